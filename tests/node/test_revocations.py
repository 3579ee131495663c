"""Revoked tokens are kept for as long as they could hold, and the journal alone gives the same list again."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

from careledger.access.tokens import LIFETIME_MAX_SECONDS
from careledger.node import commands
from careledger.node.authorisation import REVOKED_KEPT_MS
from careledger.node.group import DAY_MS
from tests.faults.rig import Node, copy_home, new_home, node_of

START_MS = 1_700_000_000_000


def revoke(node: Node, token: str, day: int) -> None:
    with mock.patch.object(commands, "system_clock_ms", return_value=START_MS + day * DAY_MS):
        node.command("token.revoke", token=token)


def kept(node: Node) -> set[bytes]:
    tables = node.service.context.home.tables
    with tables.env.begin() as txn, txn.cursor(tables.revoked) as cursor:
        return {bytes(token) for token, _ in cursor}


def test_a_revoked_token_is_forgotten_when_it_could_not_hold_any_more(tmp_path: Path) -> None:
    """Not a day sooner, whatever the clock of whoever replays says; a clock that goes back loses nothing."""
    assert REVOKED_KEPT_MS > 1000 * LIFETIME_MAX_SECONDS
    days = REVOKED_KEPT_MS // DAY_MS
    with node_of(new_home(tmp_path / "home")) as node:
        for token, day in (("first", 0), ("second", 10), ("third", days), ("fourth", days - 30)):
            revoke(node, token, day)
        assert kept(node) == {b"first", b"second", b"third", b"fourth"}
        revoke(node, "fifth", days + 1)
        assert kept(node) == {b"second", b"third", b"fourth", b"fifth"}
        assert node.fsck() == []
        before = kept(node)
    with node_of(copy_home(tmp_path / "home", tmp_path / "rebuilt")) as rebuilt:
        assert kept(rebuilt) == before
        revoke(rebuilt, "sixth", days + 11)
        assert kept(rebuilt) == {b"third", b"fourth", b"fifth", b"sixth"}
        assert rebuilt.fsck() == []
