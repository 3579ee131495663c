"""Grants by account: found without reading everybody's, also those of before there was an index; each account's are limited."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from careledger.smart import codes
from careledger.smart.codes import find_code, issue_code
from careledger.smart.grants import (
    GRANTS,
    GRANTS_MAX,
    Grant,
    grant_key,
    index_grants,
    list_grants,
    make_room,
    put_grant,
)
from tests.smart.flow_support import CHALLENGE, REDIRECT, VERIFIER
from tests.smart.people_support import NOW, TimedRegistry, run


def grant(id: str, account: str = "ana", at: int = 0) -> Grant:
    return Grant(
        id=id, client="c1", account=account, scope="openid", context={}, created_ms=NOW + at, used_ms=NOW,
        expires_ms=NOW + 10**9,
    )  # fmt: skip


def test_an_accounts_grants_are_found_without_reading_anybody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = TimedRegistry()
    for number in range(3):
        run(registry.change(*put_grant(registry, grant(f"a{number}", at=number))))
    run(registry.change(*put_grant(registry, grant("b", "ben"))))
    assert len(list_grants(registry)) == 4, "the lists are no grants"

    def never(*_: Any) -> Any:
        raise AssertionError("everybody's grants are read")

    monkeypatch.setattr(TimedRegistry, "list", never)
    assert [one.id for one in list_grants(registry, account="ana")] == ["a2", "a1", "a0"]
    assert list_grants(registry, account="ana", client="other") == []
    assert list_grants(registry, account="nobody") == []


def test_grants_of_before_the_index_are_in_it_once_the_node_has_started() -> None:
    registry = TimedRegistry()
    for number in range(40):
        one = grant(f"g{number}", f"account-{number % 7}")
        run(registry.change(GRANTS.put(grant_key(one.id), one, expected=0)))
    run(index_grants(registry))
    assert sum(len(list_grants(registry, account=f"account-{number}")) for number in range(7)) == 40
    before = registry.dump()
    run(index_grants(registry))
    assert registry.dump() == before


def test_an_account_has_so_many_grants_and_the_one_allowed_first_ends() -> None:
    registry, ended = TimedRegistry(), []

    async def revoke(ids: Any) -> None:
        ended.extend(ids)

    for number in range(GRANTS_MAX + 2):
        run(make_room(registry, revoke, "ana"))
        run(registry.change(*put_grant(registry, grant(f"g{number}", at=number))))
    assert ended == ["g0", "g1"]
    assert len(list_grants(registry, account="ana")) == len(GRANTS.list(registry)) == GRANTS_MAX


def test_programs_allowed_at_once_are_all_found_again() -> None:
    registry = TimedRegistry()

    async def revoke(ids: Any) -> None:
        raise AssertionError("nothing was used twice")

    async def redeem(id: str) -> None:
        code = await issue_code(registry, grant("x"), REDIRECT, CHALLENGE, NOW)
        found = find_code(registry, code, "c1")
        await codes.redeem(
            registry, revoke, found, redirect_uri=REDIRECT, verifier=VERIFIER, grant=grant(id), now_ms=NOW
        )

    async def all_at_once() -> None:
        await asyncio.gather(*(redeem(f"g{number}") for number in range(4)))

    run(all_at_once())
    assert sorted(one.id for one in list_grants(registry, account="ana")) == ["g0", "g1", "g2", "g3"]
