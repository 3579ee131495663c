"""Recovery: two of three and a day of waiting; of one alone, or of strangers, nothing comes (F9: recovery as bypass)."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from careledger.primitives.errors import Invalid, NotFound, NotPermitted
from careledger.smart.accounts import ACCOUNTS, account_key
from careledger.smart.backoff import FREE, TooManyTries
from careledger.smart.passkeys import (
    PasskeyRefused,
    Verified,
    begin_registration,
    list_passkeys,
    read_registration,
)
from careledger.smart.recovery import (
    LIFETIME_MS,
    OPEN,
    WAIT_MS,
    RecoveryRefused,
    RecoveryWaits,
    approve_as_guardian,
    approve_as_organisation,
    approve_with_code,
    check_ready,
    complete,
    find_open,
    find_ticket,
    is_onboarded,
    list_wards,
    make_kit,
    name_guardian,
    rehearse,
    stop,
)
from careledger.smart.sessions import SESSIONS, StepUpNeeded, find_session, open_session
from careledger.smart.tables import new_code
from tests.smart.authenticator import Authenticator
from tests.smart.people_support import (
    ADA,
    BELA,
    BROWSER,
    CHEN,
    NOW,
    PARTY,
    ROSA,
    enrol,
    new_registry,
    run,
    sign_in,
)

HERE = "192.0.2.1"
LATER = NOW + WAIT_MS


class Town:
    """Rosa, onboarded, with Chen as her guardian; Ada and Bela administer."""

    def __init__(self):
        self.registry = new_registry(ROSA, CHEN, ADA, BELA)
        self.lost, self.guardians = Authenticator(), Authenticator()
        passkey = enrol(self.registry, ROSA, self.lost)
        self.cookie, _ = run(open_session(self.registry, Verified(ROSA, passkey), "", NOW))
        self.code = run(make_kit(self.registry, "rosa", NOW))
        run(rehearse(self.registry, "rosa", self.code, NOW))
        run(name_guardian(self.registry, "rosa", "chen"))
        enrol(self.registry, CHEN, self.guardians)
        _, self.guardian = run(open_session(self.registry, sign_in(self.registry, self.guardians), "", NOW))

    def approve(self, who: str) -> str:
        if who == "printed code":
            return run(approve_with_code(self.registry, self.code, HERE, NOW))
        if who == "guardian":
            return run(approve_as_guardian(self.registry, self.guardian, "rosa", NOW))
        return run(approve_as_organisation(self.registry, "rosa", ("ada", "bela"), NOW))

    def finish(self, ticket: str, now_ms: int = LATER):
        async def ceremony():
            found = await find_ticket(self.registry, ticket, HERE, now_ms)
            _, account = check_ready(self.registry, found.key, now_ms)
            options = await begin_registration(self.registry, PARTY, account, BROWSER, now_ms, "recover")
            device = Authenticator()
            passkey = await read_registration(
                self.registry, PARTY, account.id, BROWSER, device.create(options),
                label="", now_ms=now_ms, purpose="recover",
            )  # fmt: skip
            await complete(self.registry, found.key, passkey, HERE, now_ms)
            return device

        return run(ceremony())


THREE = ("printed code", "guardian", "organisation")


@pytest.mark.parametrize("first, second", list(itertools.permutations(THREE, 2)))
def test_any_two_of_three_recover_and_end_everything_before(first, second):
    town = Town()
    ticket = town.approve(first)
    assert town.approve(second) == ""
    device = town.finish(ticket)
    assert sign_in(town.registry, device, now_ms=LATER).account == ROSA
    with pytest.raises(PasskeyRefused):
        sign_in(town.registry, town.lost)
    assert find_session(town.registry, town.cookie, NOW) is None
    assert "rosa" not in {one.value.account for one in SESSIONS.list(town.registry)}
    assert len(list_passkeys(town.registry, "rosa")) == 1
    assert not is_onboarded(town.registry, "rosa")  # a new code has to be printed, and rehearsed
    with pytest.raises(RecoveryRefused):
        town.approve("printed code")
    with pytest.raises(RecoveryRefused):
        town.finish(ticket)


@pytest.mark.parametrize("one", THREE)
def test_one_of_three_is_not_enough_however_often(one):
    town = Town()
    ticket = town.approve(one)
    assert town.approve(one) == ""
    for now_ms in (LATER, NOW + 3 * WAIT_MS):
        with pytest.raises(RecoveryWaits):
            town.finish(ticket, now_ms)
    assert sign_in(town.registry, town.lost).account == ROSA


def test_a_day_goes_by_in_which_the_person_can_stop_it():
    town = Town()
    ticket = town.approve("printed code")
    town.approve("organisation")
    with pytest.raises(RecoveryWaits):
        town.finish(ticket, LATER - 1)
    assert find_open(town.registry, "rosa").value.ready_ms == LATER
    run(stop(town.registry, "rosa"))
    with pytest.raises(RecoveryRefused):
        town.finish(ticket)
    with pytest.raises(NotFound):
        run(stop(town.registry, "rosa"))
    assert sign_in(town.registry, town.lost).account == ROSA


def test_a_recovery_ends_after_seven_days():
    town = Town()
    ticket = town.approve("printed code")
    town.approve("guardian")
    town.registry.now_ms = NOW + LIFETIME_MS
    with pytest.raises(RecoveryRefused):
        town.finish(ticket, NOW + LIFETIME_MS)
    assert OPEN.list(town.registry) == []


def test_the_guardian_shows_a_passkey_and_is_the_one_who_was_named():
    town = Town()
    with pytest.raises(StepUpNeeded):
        run(approve_as_guardian(town.registry, town.guardian, "rosa", NOW + 5 * 60_000))
    assert list_wards(town.registry, "chen") == ["rosa"]
    run(name_guardian(town.registry, "rosa", ""))
    with pytest.raises(RecoveryRefused):
        town.approve("guardian")
    for nobody in ("rosa", "unknown"):
        with pytest.raises(Invalid):
            run(name_guardian(town.registry, "rosa", nobody))


@pytest.mark.parametrize("pair", [("ada", "ada"), ("ada", "rosa"), ("chen", "ada")])
def test_nobody_of_the_organisation_decides_twice_or_as_another_of_the_three(pair):
    town = Town()
    with pytest.raises(NotPermitted):
        run(approve_as_organisation(town.registry, "rosa", pair, NOW))
    assert find_open(town.registry, "rosa") is None


def test_a_code_that_was_never_typed_back_recovers_nothing():
    town = Town()
    code = run(make_kit(town.registry, "rosa", NOW))
    assert not is_onboarded(town.registry, "rosa")
    for typed in (town.code, code):
        with pytest.raises(RecoveryRefused):
            run(approve_with_code(town.registry, typed, HERE, NOW))
    with pytest.raises(RecoveryRefused):
        run(rehearse(town.registry, "rosa", town.code, NOW))
    run(rehearse(town.registry, "rosa", code.lower(), NOW))
    assert run(approve_with_code(town.registry, code, HERE, NOW))
    assert code.replace("-", "").encode() not in town.registry.dump()


def test_wrong_codes_and_tickets_cost_time():
    town = Town()
    for _ in range(FREE):
        with pytest.raises(RecoveryRefused):
            run(approve_with_code(town.registry, new_code(), HERE, NOW))
        with pytest.raises(RecoveryRefused):
            run(find_ticket(town.registry, new_code(), HERE, NOW))
        with pytest.raises(RecoveryRefused):
            run(rehearse(town.registry, "chen", new_code(), NOW))
    with pytest.raises(TooManyTries):
        run(approve_with_code(town.registry, town.code, HERE, NOW))
    with pytest.raises(TooManyTries):
        run(find_ticket(town.registry, new_code(), HERE, NOW))
    with pytest.raises(TooManyTries):
        run(rehearse(town.registry, "chen", new_code(), NOW))
    assert run(approve_with_code(town.registry, town.code, "192.0.2.2", NOW))


def test_a_disabled_account_is_not_recovered():
    town = Town()
    ticket = town.approve("printed code")
    town.approve("guardian")
    found = ACCOUNTS.get(town.registry, account_key("rosa"))
    run(town.registry.change(ACCOUNTS.renew(found, msgspec.structs.replace(ROSA, is_disabled=True))))
    with pytest.raises(RecoveryRefused):
        town.finish(ticket)
    with pytest.raises(RecoveryRefused):
        town.approve("organisation")


def test_the_new_passkey_is_of_the_recovered_account():
    town = Town()
    ticket = town.approve("printed code")
    town.approve("guardian")
    found = run(find_ticket(town.registry, ticket, HERE, LATER))
    foreign = list_passkeys(town.registry, "chen")[0]
    with pytest.raises(RecoveryRefused):
        run(complete(town.registry, found.key, foreign, HERE, LATER))
    assert len(list_passkeys(town.registry, "rosa")) == 1
