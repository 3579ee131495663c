"""What a command writes: results on stdout, progress on stderr and only on a terminal, files whole or not at all."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from careledger.primitives.errors import Misconfigured

Progress = Callable[[dict[str, Any]], None]
"""Called with {"what": text, "done": count, "total": count or None} as long work goes on."""


def print_result(result: object, *, as_json: bool, text: str | None = None) -> None:
    """Print one result: as JSON, or as the text made for people (`key: value` lines unless given)."""
    if as_json:
        sys.stdout.write(json.dumps(result, ensure_ascii=False, default=str) + "\n")
    elif text is not None:
        sys.stdout.write(text if text.endswith("\n") or not text else text + "\n")
    else:
        sys.stdout.write(compute_lines(result))


def compute_lines(result: object, indent: str = "") -> str:
    """A nested result as indented `key: value` lines."""
    if isinstance(result, dict):
        parts = []
        for key, value in result.items():
            if isinstance(value, dict | list) and value:
                parts.append(f"{indent}{key}:\n{compute_lines(value, indent + '  ')}")
            else:
                parts.append(f"{indent}{key}: {compute_scalar(value)}\n")
        return "".join(parts)
    if isinstance(result, list):
        return "".join(f"{indent}- {compute_lines(item, indent + '  ').lstrip()}" for item in result)
    return f"{indent}{compute_scalar(result)}\n"


def compute_scalar(value: object) -> str:
    """One value as people write it."""
    if value is None or value == [] or value == {}:
        return "none"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def compute_table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    """Rows as left-aligned columns with a heading; empty if there are none."""
    if not rows:
        return ""
    lines = [columns, *(tuple(str(row.get(column, "")) for column in columns) for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )


def write_file(path: Path, content: bytes) -> None:
    """Write exactly this file, whole or not at all; `-` is stdout."""
    if str(path) == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        return
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)  # a pipe or device: it cannot be replaced
            return
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.chmod(temporary, 0o644 & ~get_umask())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise Misconfigured(
            f"cannot write {path}: {error.strerror}", hint="name a file in a folder that you may write to"
        ) from None


def get_umask() -> int:
    """The process's umask (which can only be read by setting it)."""
    current = os.umask(0)
    os.umask(current)
    return current


def note(text: str) -> None:
    """A line for the person at the terminal."""
    sys.stderr.write(text + "\n")


@contextmanager
def progress_bar(what: str, *, quiet: bool = False) -> Iterator[Progress]:
    """A bar on stderr if that is a terminal; otherwise nothing is shown."""
    if quiet or not sys.stderr.isatty():
        yield lambda event: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def update(event: dict[str, Any]) -> None:
            bar.update(
                task,
                description=str(event.get("what") or what),
                completed=event.get("done", 0),
                total=event.get("total"),
            )

        yield update
