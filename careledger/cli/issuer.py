"""`careledger issuer`: the keys that ID tokens are signed with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import App, Parameter

from careledger.cli import calls
from careledger.cli.options import NodeOptions
from careledger.cli.output import compute_table, note, print_result

COLUMNS = ("kid", "alg", "signs", "from", "published until")

app = App(
    name="issuer", help="List, rotate or withdraw the keys that sign ID tokens.", help_formatter="plain"
)


@app.command
def keys(*, options: NodeOptions = NodeOptions()) -> None:  # noqa: B008 (frozen)
    """Every key that is published: programs believe ID tokens under these."""
    _show(calls.call(options, "issuer.keys"), options)


@app.command
def rotate(*, options: NodeOptions = NodeOptions()) -> None:  # noqa: B008 (frozen)
    """Make a successor for every key: published now, signing in an hour; the old ones stay published for a day more.

    By itself this happens every 90 days.
    """
    _show(calls.call(options, "issuer.rotate"), options)


@app.command
def withdraw(
    kid: Annotated[str, Parameter(name="KID", help="The key, as `issuer keys` lists it.")],
    /,
    *,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """End a key that somebody else may have: it is published no more, and what it signed is believed no more."""
    result = calls.call(options, "issuer.withdraw", {"kid": kid})
    _show(result, options)
    if not options.json:
        note("programs that keep the key set believe the key until they fetch it again: five minutes at most")


def _show(result: dict[str, Any], options: NodeOptions) -> None:
    rows = [
        {
            **row,
            "signs": "now" if row["signs"] else "",
            "from": _time(row["starts_ms"]),
            "published until": _time(row["ends_ms"]),
        }
        for row in result["keys"]
    ]
    text = compute_table(rows, COLUMNS) if rows else "no keys yet: the first start makes them"
    print_result(result, as_json=options.json, text=text)


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC") if at_ms else "-"
