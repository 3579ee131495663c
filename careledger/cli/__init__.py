"""The command line: one file a noun; data on stdout, everything else on stderr."""

from __future__ import annotations


def main() -> None:
    """Run the command that `sys.argv` names and exit with its code (see `careledger.cli.errors.EXIT_CODES`)."""
    import sys

    from careledger.cli.run import run

    sys.exit(run(sys.argv[1:]))
