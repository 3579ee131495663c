"""Online access dies with the session that it was allowed in, however that ends; offline access does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from careledger.primitives.errors import Unauthenticated
from careledger.smart.online import end_online, sign_in
from careledger.smart.passkeys import PASSKEYS, Verified
from careledger.smart.sessions import (
    ABSOLUTE_MS,
    IDLE_MS,
    SESSIONS_MAX,
    SignedIn,
    end_all,
    end_session,
)
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


def test_signing_in_ends_online_access_of_the_browsers_former_session_whoevers_it_was() -> None:
    house = House()
    passkey = PASSKEYS.get(house.registry, house.ana.session.passkey)
    bens = PASSKEYS.get(house.registry, house.ben.session.passkey)
    assert passkey
    assert bens

    def enter(who: Verified, former: str = "") -> tuple[str, SignedIn]:
        return run(sign_in(house.registry, house.server.revoke, who, "", house.clock(), former=former))

    cookie, house.ana = enter(Verified(house.ana.account, passkey.value))
    online = tokens(house, ONLINE)
    enter(Verified(house.ben.account, bens.value))
    assert is_open(house, online)
    enter(Verified(house.ben.account, bens.value), cookie)
    assert not is_open(house, online)
    _, house.ana = enter(Verified(house.ana.account, passkey.value))
    online = tokens(house, ONLINE)
    for _ in range(SESSIONS_MAX):
        house.clock.now_ms += 1
        enter(Verified(house.ana.account, passkey.value))
    assert not is_open(house, online)


def test_a_token_of_online_access_lives_no_longer_than_an_idle_or_old_session() -> None:
    house = House()
    online, offline = tokens(house, ONLINE), tokens(house, "offline_access patient/*.rs")
    assert (online["expires_in"], offline["expires_in"]) == (IDLE_MS["patient"] // 1000, 3600)
    house.clock.now_ms += IDLE_MS["patient"]
    assert [is_open(house, one) for one in (online, offline)] == [False, True]
    house = House()
    house.clock.now_ms += ABSOLUTE_MS
    assert refusal(lambda: tokens(house, ONLINE)).code == "session-ended"
