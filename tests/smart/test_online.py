"""Online access dies with the session that it was allowed in, however that ends; offline access does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from careledger.primitives.errors import Unauthenticated
from careledger.smart.online import end_online
from careledger.smart.passkeys import PASSKEYS
from careledger.smart.sessions import ABSOLUTE_MS, IDLE_MS, end_all, end_session
from careledger.vault.registry import Change
from tests.smart.flow_support import House, refusal
from tests.smart.forging import run

ONLINE = "launch/patient online_access patient/*.rs"
PLAIN = "launch/patient patient/*.rs"


def tokens(house: House, scope: str) -> dict[str, Any]:
    return house.redeem(house.allow(house.ana, scope=scope)["code"])


def is_open(house: House, answer: dict[str, Any]) -> bool:
    try:
        house.actor(answer)
    except Unauthenticated:
        return False
    return True


def drop_passkey(house: House) -> None:
    key = house.ana.session.passkey
    run(house.registry.change(Change(PASSKEYS.name, PASSKEYS.prefix + key, None)))


ENDS: dict[str, Callable[[House], None]] = {
    "one": lambda house: run(end_session(house.registry, house.ana.account.id, house.ana.key)),
    "all": lambda house: run(end_all(house.registry, house.ana.account.id)) and None,
    "its passkey": drop_passkey,
}


@pytest.mark.parametrize("how", ENDS)
def test_what_was_given_without_offline_access_ends_with_the_session(how: str) -> None:
    house = House()
    online, plain, offline = (tokens(house, scope) for scope in (ONLINE, PLAIN, ONLINE + " offline_access"))
    code = house.allow(house.ana, scope=ONLINE)["code"]
    run(end_online(house.registry, house.server.revoke, house.ana.account, house.clock()))
    assert [is_open(house, one) for one in (online, plain, offline)] == [True, True, True]
    ENDS[how](house)
    run(end_online(house.registry, house.server.revoke, house.ben.account, house.clock()))
    assert is_open(house, online)  # somebody else's session ended
    run(end_online(house.registry, house.server.revoke, house.ana.account, house.clock()))
    assert [is_open(house, one) for one in (online, plain, offline)] == [False, False, True]
    assert refusal(lambda: house.redeem(code)).code == "session-ended"
    assert refusal(lambda: house.refresh(online["refresh_token"])).code == "refresh-unknown"
    assert house.refresh(offline["refresh_token"])["access_token"]


def test_a_token_of_online_access_lives_no_longer_than_an_idle_or_old_session() -> None:
    house = House()
    online, offline = tokens(house, ONLINE), tokens(house, "offline_access patient/*.rs")
    assert (online["expires_in"], offline["expires_in"]) == (IDLE_MS["patient"] // 1000, 3600)
    house.clock.now_ms += IDLE_MS["patient"]
    assert [is_open(house, one) for one in (online, offline)] == [False, True]
    house = House()
    house.clock.now_ms += ABSOLUTE_MS
    assert refusal(lambda: tokens(house, ONLINE)).code == "session-ended"
