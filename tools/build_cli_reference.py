#!/usr/bin/env python3
"""Write docs/cli.md from the command line's own help; `--check` only compares. Run by `make docs`."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "cli.md"
SUBCOMMANDS: dict[str, tuple[str, ...]] = {
    "token": ("revoke",),
    "patient": ("enrol",),
    "consent": ("grant", "supersede", "revoke", "list", "explain"),
    "practitioner": ("register", "suspend", "reinstate", "license", "list", "sign"),
    "client": ("add", "list", "disable"),
    "issuer": ("keys", "rotate", "withdraw"),
    "account": ("invite", "list", "disable", "enable", "link", "unlink"),
    "engine": ("install", "doctor"),
    "config": ("show",),
}

HEAD = """\
# The command line

Written from the program's own help by `make docs`.

Data is on stdout, everything else on stderr. With `--json` a result is one JSON object on stdout, and an error is
`{"error": {"code", "message", "hint", "exit"}}` on stderr.
"""


def main(arguments: list[str]) -> int:
    """Write or compare; exit code 1 if the file is not what the program says."""
    text = compute_reference()
    if "--check" in arguments:
        return 0 if TARGET.is_file() and TARGET.read_text("utf-8") == text else 1
    TARGET.write_text(text, "utf-8")
    return 0


def compute_reference() -> str:
    """Help of every command and subcommand, as it prints on a terminal of 100 columns."""
    sys.path.insert(0, str(ROOT))
    os.environ.update(COLUMNS="100", NO_COLOR="1", TERM="dumb")
    from careledger.cli.commands import COMMANDS

    parts = [HEAD, compute_section([])]
    for command in COMMANDS:
        parts.append(compute_section([command.name]))
        parts += [compute_section([command.name, name]) for name in SUBCOMMANDS.get(command.name, ())]
    return "\n".join(parts)


def compute_section(words: list[str]) -> str:
    """One command's heading and help."""
    from careledger.cli.run import run

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        run([*words, "--help"])
    help_text = "\n".join(line.rstrip() for line in printed.getvalue().strip().splitlines())
    return f"## {' '.join(['careledger', *words])}\n\n```text\n{help_text}\n```\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
