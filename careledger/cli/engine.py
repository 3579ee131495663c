"""`careledger engine`: the consensus engine of a network node, built from its module and checked."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from cyclopts import App, Parameter

from careledger.cli.errors import FAILURE, OK
from careledger.cli.options import JsonFlag, NodeOptions, get_home, read_passphrase
from careledger.cli.output import Progress, note, print_result, progress_bar

LINE_SECONDS = 10.0
"""Between two lines of progress where there is no terminal."""

app = App(
    name="engine",
    help="Build the consensus engine of a network node, or say what is missing.",
    help_formatter="plain",
)


@app.command
def install(
    *,
    quiet: Annotated[bool, Parameter(negative="", help="Print nothing if it is there.")] = False,
    json: JsonFlag = False,
) -> None:
    """Build the engine into the user's cache, from exactly one module; nothing happens if it is there."""
    from careledger.engine.install import install as build

    with _progress() as report:
        engine, is_new = build(os.environ, report)
    if quiet and not is_new and not json:
        return
    result = {
        "engine": str(engine.path),
        "version": engine.version,
        "module_sum": engine.sum,
        "sha256": engine.sha256,
        "go": engine.go,
        "built": is_new,
    }
    print_result(result, as_json=json)


@app.command
def doctor(*, json: JsonFlag = False) -> int:
    """Say which engine is there, what it was built from, and what is missing."""
    from careledger.engine.install import examine

    checks = examine(os.environ)
    lines = []
    for check in checks:
        lines.append(f"{'ok  ' if check.ok else 'FAIL'}  {check.name}: {check.detail}\n")
        if check.hint:
            lines.append(f"      hint: {check.hint}\n")
    is_ok = all(check.ok for check in checks)
    found = [
        {"name": check.name, "ok": check.ok, "detail": check.detail, "hint": check.hint} for check in checks
    ]
    print_result({"ok": is_ok, "checks": found}, as_json=json, text="".join(lines))
    return OK if is_ok else FAILURE


@app.command(name="recover-guard")
def recover_guard(
    *,
    above: Annotated[
        int, Parameter(help="A height that the network has passed since this key signed last, anywhere.")
    ],
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Let a validator sign again whose guard was lost or came from a copy; you answer for it that nobody else does."""
    from careledger.engine import signing_guard
    from careledger.engine.validator_key import open_validator_key
    from careledger.node.layout import HomeLock, Layout

    layout = Layout(get_home(options))
    file = layout.read()
    lock = HomeLock(layout)
    try:
        key = open_validator_key(layout.keys, read_passphrase(options.passphrase_file))
        layout.engine.mkdir(mode=0o700, exist_ok=True)
        signing_guard.recover_guard(
            layout.engine / signing_guard.GUARD_NAME, file.chain_id, key.public, above
        )
    finally:
        lock.release()
    print_result({"validator": key.address.hex(), "signs_above": above}, as_json=options.json)


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on a terminal; elsewhere a line on stderr for each part of the work and every ten seconds."""
    import sys

    if sys.stderr.isatty():
        with progress_bar("the engine") as report:
            yield report
        return
    said: dict[str, float] = {}

    def line(event: dict[str, Any]) -> None:
        what, now = str(event["what"]), time.monotonic()
        if now - said.get(what, -LINE_SECONDS) < LINE_SECONDS:
            return
        said[what] = now
        total = f" of {event['total']}" if event.get("total") else ""
        note(f"engine: {what}" + (f" ({event['done']}{total})" if event.get("done") else ""))

    yield line
