"""What the command line says, as transcripts.

A transcript is commands and what they print: `$ command`, `1> ` a line on stdout, `2> ` a line on stderr, `exit N` the
exit code (0 if absent), `…` any text, `-- name --` the content of a file that is there before the first command. A
line `1> …` alone stands for any number of lines.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from careledger.cli.run import run

TRANSCRIPTS = sorted(Path(__file__).parent.glob("transcripts/*.txt"))


def split_transcript(text: str) -> tuple[dict[str, str], list[tuple[str, list[str], list[str], int]]]:
    """Files, and (command, stdout, stderr, exit code) of each step."""
    script, *parts = re.split(r"^-- (\S+) --\n", text, flags=re.MULTILINE)
    steps: list[tuple[str, list[str], list[str], int]] = []
    for line in script.splitlines():
        if line.startswith("$ careledger"):
            steps.append((line.removeprefix("$ careledger").strip(), [], [], 0))
        elif line.startswith(("1>", "2>")):
            steps[-1][1 if line[0] == "1" else 2].append(line[3:])
        elif line.startswith("exit "):
            command, stdout, stderr, _ = steps[-1]
            steps[-1] = (command, stdout, stderr, int(line.split()[1]))
        else:
            assert not line.strip() or line.startswith("#"), f"what is this? {line}"
    return dict(zip(parts[::2], parts[1::2], strict=True)), steps


def compute_pattern(lines: list[str]) -> str:
    pattern = ""
    for line in lines:
        pattern += "(?:.*\n)*" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + "\n"
    return pattern


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript(path, tmp_path, monkeypatch, capsys):
    files, steps = split_transcript(path.read_text("utf-8"))
    monkeypatch.chdir(tmp_path)
    for name in (
        "CARELEDGER_HOME",
        "CARELEDGER_PASSPHRASE_FILE",
        "CARELEDGER_TOKEN_FILE",
        "CARELEDGER_TRACEBACK",
    ):
        monkeypatch.delenv(name, raising=False)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, "utf-8")
    for command, stdout, stderr, exit_code in steps:
        code = run(shlex.split(command))
        got = capsys.readouterr()
        assert (code, bool(re.fullmatch(compute_pattern(stdout), got.out))) == (exit_code, True), (
            command,
            got,
        )
        assert re.fullmatch(compute_pattern(stderr), got.err), (command, got.err)


def test_there_are_transcripts():
    assert len(TRANSCRIPTS) >= 4
