"""The program's entry point: joins the command line to the HTTP server, which do not know each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def serve(home: Path, overrides: Mapping[str, str | int | bool], passphrase: str) -> None:
    """Serve a home over HTTP; the server is loaded only now, so that other commands start fast."""
    from careledger.web.serving import serve as serve_home

    serve_home(home, overrides, passphrase)


def run_witness(
    folder: Path,
    settings: dict[str, str | int | bool],
    passphrase: str,
    trust: Sequence[bytes],
    on_ready: Callable[[str, str], None],
) -> None:
    """Run a witness over HTTP."""
    from careledger.web.witnessing import run_witness as run

    run(folder, settings, passphrase, trust, on_ready)


def main() -> None:
    """Run the command that `sys.argv` names and exit with its code."""
    from careledger.cli import main as run_command
    from careledger.cli.serving import give

    give(serve, run_witness)
    run_command()


if __name__ == "__main__":
    main()
