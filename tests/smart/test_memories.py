"""A directive that remembers an app's grant is over when the last grant is, however that one ended."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from careledger.smart import authorising, grants, memories
from careledger.smart.administering import disabling
from careledger.smart.authorising import AskConsent, Redirect
from careledger.smart.clients import disable_client
from careledger.smart.memories import BEGINNING_MS
from careledger.smart.remembering import Remembered
from careledger.smart.sessions import end_session
from tests.smart.flow_support import House, refusal
from tests.smart.forging import run

DAY_MS = 86_400_000
SIGNED = Remembered("ab" * 32, b"c" * 32)
ONLINE = "openid launch/patient online_access patient/*.rs"
OFFLINE = "openid launch/patient offline_access patient/*.rs"


def over(house: House) -> list[str]:
    return [one.directive for one in memories.list_over(house.registry, house.clock())]


def code_for(house: House, scope: str, days: int = 7) -> str:
    """What the app gets when Ana signs on the consent page."""
    found = house.begin(scope=scope)
    asked = run(authorising.next_step(house.server, found, house.ana))
    assert isinstance(asked, AskConsent)
    kept = tuple(str(asked.offered).split())
    step = run(authorising.answer(house.server, house.again(found), house.ana, kept, days, SIGNED))
    assert isinstance(step, Redirect)
    return house.answered(step)["code"]


def allow(scope: str = OFFLINE, days: int = 7) -> tuple[House, str]:
    """The house once Ana has allowed the app, and its refresh token."""
    house = House()
    token: str = house.redeem(code_for(house, scope, days))["refresh_token"]
    house.clock.now_ms += BEGINNING_MS
    assert over(house) == []
    return house, token


def expire(house: House, token: str) -> None:
    house.clock.now_ms += 7 * DAY_MS


def reuse(house: House, token: str) -> None:
    house.refresh(token)
    assert refusal(lambda: house.refresh(token)).code == "refresh-reused"


def disable_app(house: House, token: str) -> None:
    run(disable_client(house.registry, house.app.id))


def disable_account(house: House, token: str) -> None:
    run(house.registry.change(*disabling(house.registry, house.ana.account.id)))


def restore(house: House, token: str) -> None:
    """A backup holds no grants."""
    for one in grants.list_grants(house.registry):
        run(grants.end_grant(house.registry, house.server.revoke, one.id))


OFFLINE_ENDS: dict[str, Callable[[House, str], None]] = {
    "it expires": expire,
    "its refresh token came twice": reuse,
    "the client is disabled": disable_app,
    "the account is disabled": disable_account,
    "a backup is restored": restore,
}


@pytest.mark.parametrize("how", OFFLINE_ENDS)
def test_a_directive_is_over_with_its_grant(how: str) -> None:
    house, token = allow()
    OFFLINE_ENDS[how](house, token)
    assert over(house) == [SIGNED.directive]


def sign_out(house: House, token: str) -> None:
    run(end_session(house.registry, house.ana.account.id, house.ana.key))


def go_away(house: House, token: str) -> None:
    house.clock.now_ms += DAY_MS // 2 - BEGINNING_MS - 1000  # the grant itself would hold a second yet


@pytest.mark.parametrize("end", [sign_out, go_away])
def test_online_access_is_over_with_its_session(end: Callable[[House, str], None]) -> None:
    house, token = allow(ONLINE, 0)
    end(house, token)
    assert over(house) == [SIGNED.directive]


def test_a_code_that_the_app_never_redeems_leaves_no_directive() -> None:
    house = House()
    code_for(house, OFFLINE)
    house.clock.now_ms += BEGINNING_MS - 1
    assert over(house) == []
    house.clock.now_ms += 1
    assert over(house) == [SIGNED.directive]


def test_it_stands_as_long_as_one_of_its_grants() -> None:
    house, token = allow()
    second = house.redeem(house.allow(house.ana, scope=OFFLINE)["code"])["refresh_token"]
    reuse(house, token)
    house.clock.now_ms += BEGINNING_MS
    assert over(house) == []
    reuse(house, second)
    assert over(house) == [SIGNED.directive]


def test_grants_of_before_have_their_memory() -> None:
    house, token = allow()
    run(house.registry.change(memories.drop_memory(SIGNED.directive)))
    run(memories.keep_memories(house.registry, house.clock()))
    reuse(house, token)
    house.clock.now_ms += BEGINNING_MS
    assert over(house) == [SIGNED.directive]
