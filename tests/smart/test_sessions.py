"""Sessions: idle log-off, an end after twelve hours, a list, an end from elsewhere (fault catalogue F10)."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from careledger.primitives.errors import NotFound
from careledger.smart.accounts import ACCOUNTS, account_key
from careledger.smart.passkeys import PASSKEYS, Verified
from careledger.smart.sessions import (
    ABSOLUTE_MS,
    IDLE_MS,
    MINUTE_MS,
    SESSIONS,
    SESSIONS_MAX,
    STEP_UP_MS,
    StepUpNeeded,
    check_step_up,
    end_all,
    end_session,
    find_session,
    keep_alive,
    list_sessions,
    mark_verified,
    open_session,
    session_key,
)
from tests.smart.authenticator import Authenticator
from tests.smart.people_support import ADA, CHEN, NOW, ROSA, enrol, new_registry, run


def opened(registry, account, *, now_ms=NOW, former=""):
    passkeys = [one.value for one in PASSKEYS.list(registry) if one.value.account == account.id]
    passkey = passkeys[0] if passkeys else enrol(registry, account, Authenticator())
    return run(open_session(registry, Verified(account, passkey), "Firefox", now_ms, former=former))


@pytest.mark.parametrize("account", [ROSA, CHEN, ADA], ids=lambda one: one.kind)
def test_an_idle_session_ends_by_itself(account):
    registry = new_registry(account)
    cookie, _ = opened(registry, account)
    idle_ms = {"patient": 30, "clinician": 15, "administrator": 15}[account.kind] * MINUTE_MS
    assert IDLE_MS[account.kind] == idle_ms
    assert find_session(registry, cookie, NOW + idle_ms - 1).account == account
    assert find_session(registry, cookie, NOW + idle_ms) is None
    assert find_session(registry, cookie, NOW - 1) is None


def test_a_used_session_ends_after_twelve_hours():
    registry = new_registry(ROSA)
    cookie, _ = opened(registry, ROSA)
    now_ms = NOW
    while now_ms + 20 * MINUTE_MS < NOW + ABSOLUTE_MS:
        now_ms += 20 * MINUTE_MS
        run(keep_alive(registry, find_session(registry, cookie, now_ms), now_ms))
    assert find_session(registry, cookie, NOW + ABSOLUTE_MS - 1) is not None
    assert find_session(registry, cookie, NOW + ABSOLUTE_MS) is None
    registry.now_ms = NOW + ABSOLUTE_MS
    assert SESSIONS.list(registry) == []


def test_use_is_written_once_a_minute():
    registry = new_registry(ROSA)
    cookie, signed_in = opened(registry, ROSA)
    before = registry.changes
    for second in range(0, 60, 5):
        run(keep_alive(registry, signed_in, NOW + second * 1000))
    assert registry.changes == before
    run(keep_alive(registry, signed_in, NOW + MINUTE_MS))
    run(keep_alive(registry, signed_in, NOW + MINUTE_MS))  # a second request at the same moment
    assert registry.changes == before + 1
    assert find_session(registry, cookie, NOW + MINUTE_MS + IDLE_MS["patient"] - 1) is not None


@pytest.mark.parametrize("cookie", ["", "x", "é", "A" * 43, "x" * 10_000, "\x00"])
def test_an_invented_cookie_is_nobodys(cookie):
    registry = new_registry(ROSA)
    opened(registry, ROSA)
    assert find_session(registry, cookie, NOW) is None


def test_a_cookie_is_not_stored():
    registry = new_registry(ROSA)
    cookie, _ = opened(registry, ROSA)
    assert cookie.encode() not in registry.dump()
    assert find_session(registry, session_key(cookie).hex(), NOW) is None


def test_signing_in_gives_a_new_cookie_and_ends_the_browsers_old_session():
    registry = new_registry(ROSA, CHEN)
    first, _ = opened(registry, CHEN)
    second, _ = opened(registry, ROSA, former=first)
    assert first != second
    assert find_session(registry, first, NOW) is None
    fixed, _ = opened(registry, ROSA, former="chosen-by-somebody-else")
    assert fixed != "chosen-by-somebody-else"
    assert find_session(registry, "chosen-by-somebody-else", NOW) is None


def test_one_session_or_all_end_from_elsewhere():
    registry = new_registry(ROSA, CHEN)
    cookies = [opened(registry, ROSA, now_ms=NOW + number)[0] for number in range(4)]
    other, foreign = opened(registry, CHEN)
    listed = list_sessions(registry, ROSA, NOW + 4)
    assert [one.value.seen_ms for one in listed] == [NOW + 3, NOW + 2, NOW + 1, NOW]
    with pytest.raises(NotFound):
        run(end_session(registry, "rosa", foreign.key))
    run(end_session(registry, "rosa", session_key(cookies[0])))
    assert find_session(registry, cookies[0], NOW + 4) is None
    assert run(end_all(registry, "rosa", but=session_key(cookies[1]))) == 2
    held = [find_session(registry, one, NOW + 4) is not None for one in (*cookies, other)]
    assert held == [False, True, False, False, True]
    assert run(end_all(registry, "rosa")) == 1


def test_a_disabled_account_and_a_removed_passkey_end_their_sessions_at_once():
    registry = new_registry(ROSA, CHEN)
    hers, _ = opened(registry, ROSA)
    his, _ = opened(registry, CHEN)
    found = ACCOUNTS.get(registry, account_key("rosa"))
    run(registry.change(ACCOUNTS.renew(found, msgspec.structs.replace(ROSA, is_disabled=True))))
    assert find_session(registry, hers, NOW) is None
    passkey = next(one for one in PASSKEYS.list(registry) if one.value.account == "chen")
    run(registry.change(PASSKEYS.drop(passkey)))
    assert find_session(registry, his, NOW) is None


def test_signing_needs_a_verification_of_the_last_five_minutes():
    registry = new_registry(CHEN)
    _, signed_in = opened(registry, CHEN)
    check_step_up(signed_in.session, NOW + STEP_UP_MS - 1)
    for now_ms in (NOW + STEP_UP_MS, NOW - 1):
        with pytest.raises(StepUpNeeded):
            check_step_up(signed_in.session, now_ms)
    run(keep_alive(registry, signed_in, NOW + STEP_UP_MS))
    run(mark_verified(registry, signed_in, NOW + STEP_UP_MS))
    fresh = SESSIONS.get(registry, signed_in.key).value
    check_step_up(fresh, NOW + STEP_UP_MS)
    run(end_all(registry, "chen"))
    with pytest.raises(NotFound):
        run(mark_verified(registry, signed_in, NOW + STEP_UP_MS))


def test_use_does_not_bring_an_ended_session_back():
    registry = new_registry(ROSA)
    cookie, signed_in = opened(registry, ROSA)
    run(end_all(registry, "rosa"))
    run(keep_alive(registry, signed_in, NOW + MINUTE_MS))
    assert find_session(registry, cookie, NOW + MINUTE_MS) is None


def test_an_account_has_at_most_twenty_sessions():
    registry = new_registry(ROSA)
    cookies = [opened(registry, ROSA, now_ms=NOW + number)[0] for number in range(SESSIONS_MAX + 3)]
    held = [one for one in cookies if find_session(registry, one, NOW + 99) is not None]
    assert held == cookies[-SESSIONS_MAX:]


def test_two_sign_ins_at_once_are_both_found_again():
    registry = new_registry(ROSA)
    passkey = enrol(registry, ROSA, Authenticator())

    async def at_once():
        doing = [open_session(registry, Verified(ROSA, passkey), "", NOW + number) for number in range(4)]
        return await asyncio.gather(*doing)

    cookies = [cookie for cookie, _ in run(at_once())]
    assert len(list_sessions(registry, ROSA, NOW + 4)) == 4
    run(end_all(registry, "rosa"))
    assert [find_session(registry, one, NOW + 4) for one in cookies] == [None] * 4


def test_nobody_elses_sessions_are_read_to_find_ones_own(monkeypatch):
    registry = new_registry(ROSA, CHEN)
    cookie, _ = opened(registry, ROSA)
    opened(registry, CHEN)
    monkeypatch.setattr(registry, "list", None)  # reading everybody's takes as long as there are people
    assert find_session(registry, cookie, NOW) is not None
    assert len(list_sessions(registry, ROSA, NOW)) == 1
    run(end_all(registry, "rosa"))
    assert len(list_sessions(registry, CHEN, NOW)) == 1
