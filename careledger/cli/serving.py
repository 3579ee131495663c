"""Serving belongs to `web`, which this room may not import: the program's entry point hands it over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Serve = Callable[[Path, Mapping[str, str | int | bool], str], None]
RunWitness = Callable[
    [Path, dict[str, str | int | bool], str, Sequence[bytes], Callable[[str, str], None]], None
]

_given: list[tuple[Serve, RunWitness]] = []


def give(serve: Serve, run_witness: RunWitness) -> None:
    """Called once by `careledger.__main__`, before a command runs."""
    _given[:] = [(serve, run_witness)]


def serve(home: Path, overrides: Mapping[str, str | int | bool], passphrase: str) -> None:
    """Serve the home in the foreground until SIGINT or SIGTERM; `overrides` are settings given as flags."""
    _get_given()[0](home, overrides, passphrase)


def run_witness(
    folder: Path,
    settings: dict[str, str | int | bool],
    passphrase: str,
    trust: Sequence[bytes],
    on_ready: Callable[[str, str], None],
) -> None:
    """Run a witness in the foreground until SIGINT or SIGTERM."""
    _get_given()[1](folder, settings, passphrase, trust, on_ready)


def _get_given() -> tuple[Serve, RunWitness]:
    if not _given:
        raise RuntimeError("start the program through careledger.__main__")
    return _given[0]
