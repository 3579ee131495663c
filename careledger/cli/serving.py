"""Serving belongs to `web`, which this room may not import: the program's entry point hands it over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

Serve = Callable[[Path, Mapping[str, str | int | bool], str], None]

_given: list[Serve] = []


def give(serve: Serve) -> None:
    """Called once by `careledger.__main__`, before a command runs."""
    _given[:] = [serve]


def serve(home: Path, overrides: Mapping[str, str | int | bool], passphrase: str) -> None:
    """Serve the home in the foreground until SIGINT or SIGTERM; `overrides` are settings given as flags."""
    if not _given:
        raise RuntimeError("start the program through careledger.__main__")
    _given[0](home, overrides, passphrase)
