"""Duties: keys, users and audit apart; dangerous acts need two different administrators."""

from __future__ import annotations

import msgspec
import pytest

from careledger.primitives.errors import Conflict, Invalid, NotFound
from careledger.smart.accounts import ACCOUNTS, Account, account_key, get_account
from careledger.smart.administering import (
    choose_disable,
    choose_invite,
    disable,
    disabling,
    enable,
    request_invitation,
)
from careledger.smart.duties import (
    ACTS,
    REQUEST_MS,
    DutyMissing,
    SecondPersonNeeded,
    approve_act,
    check_alone,
    check_duty,
    list_requests,
    refuse_act,
    request_act,
)
from careledger.smart.passkeys import Verified
from careledger.smart.sessions import find_session, open_session
from tests.smart.authenticator import Authenticator
from tests.smart.people_support import ADA, BELA, CHEN, NOW, ROSA, enrol, new_registry, run

KOFI = Account(id="kofi", kind="administrator", name="Kofi Mensah", duties=("keys",))
DANGEROUS = {
    "invite-patient", "invite-clinician", "invite-administrator", "disable-last-administrator", "approve-recovery",
    "rotate-keys",
}  # fmt: skip


def test_each_duty_allows_its_own_acts_and_no_others():
    for act, known in ACTS.items():
        for duty in ("keys", "users", "audit"):
            one = msgspec.structs.replace(BELA, duties=(duty,))
            if duty == known.duty:
                check_duty(one, act)
            else:
                with pytest.raises(DutyMissing):
                    check_duty(one, act)


@pytest.mark.parametrize(
    "account",
    [
        ROSA,
        CHEN,
        msgspec.structs.replace(ADA, is_disabled=True),
        msgspec.structs.replace(ADA, duties=()),
        msgspec.structs.replace(CHEN, duties=("keys", "users", "audit")),
    ],
    ids=["patient", "clinician", "disabled", "without duties", "a clinician with duties"],
)
def test_nobody_else_does_what_administrators_do(account):
    for act in (*ACTS, "invented"):
        with pytest.raises(DutyMissing):
            check_duty(account, act)


def test_the_dangerous_acts_are_these_and_nobody_does_them_alone():
    assert {act for act, known in ACTS.items() if known.needs_two} == DANGEROUS
    for act in DANGEROUS:
        with pytest.raises(SecondPersonNeeded):
            check_alone(ADA, act)


def test_a_second_administrator_approves_what_was_asked_once():
    registry = new_registry(ADA, BELA, KOFI)
    key = run(request_act(registry, ADA, "approve-recovery", "rosa", "lost her phone", NOW))
    with pytest.raises(SecondPersonNeeded):
        run(approve_act(registry, ADA, key, NOW))
    with pytest.raises(DutyMissing):
        run(approve_act(registry, KOFI, key, NOW))
    done = run(approve_act(registry, BELA, key, NOW))
    assert (done.act, done.subject, done.by) == ("approve-recovery", "rosa", "ada")
    with pytest.raises(NotFound):
        run(approve_act(registry, BELA, key, NOW))


def test_a_request_holds_for_a_day_and_while_its_author_has_the_duty():
    registry = new_registry(ADA, BELA)
    key = run(request_act(registry, ADA, "approve-recovery", "rosa", "lost her phone", NOW))
    with pytest.raises(NotFound):
        run(approve_act(registry, BELA, key, NOW + REQUEST_MS))
    found = ACCOUNTS.get(registry, account_key("ada"))
    run(registry.change(ACCOUNTS.renew(found, msgspec.structs.replace(ADA, duties=("audit",)))))
    with pytest.raises(DutyMissing):
        run(approve_act(registry, BELA, key, NOW))


def test_a_request_can_be_refused_and_says_why():
    registry = new_registry(ADA, BELA)
    key = run(request_act(registry, ADA, "rotate-keys", "node", "yearly", NOW))
    with pytest.raises(DutyMissing):
        run(refuse_act(registry, BELA, key))
    run(refuse_act(registry, ADA, key))
    assert list_requests(registry) == []
    for subject, reason in (("", "why"), ("x", " "), ("x", "y" * 301), ("x" * 257, "why")):
        with pytest.raises(Invalid):
            run(request_act(registry, ADA, "rotate-keys", subject, reason, NOW))
    with pytest.raises(Invalid):
        run(request_act(registry, ADA, "disable-account", "rosa", "why", NOW))


def test_the_last_administrator_with_a_duty_is_not_disabled_by_one_person():
    registry = new_registry(ADA, BELA, KOFI, ROSA)
    assert choose_disable(registry, "kofi") == "disable-account"
    assert choose_disable(registry, "ada") == "disable-last-administrator"  # nobody else audits
    with pytest.raises(SecondPersonNeeded):
        run(disable(registry, BELA, "ada"))
    key = run(request_act(registry, BELA, "disable-last-administrator", "ada", "left us", NOW))
    run(approve_act(registry, ADA, key, NOW, *disabling(registry, "ada")))
    assert get_account(registry, "ada").value.is_disabled
    assert choose_disable(registry, "bela") == "disable-last-administrator"


def test_a_disabled_person_is_signed_out_at_once_and_may_come_back():
    registry = new_registry(ADA, ROSA)
    passkey = enrol(registry, ROSA, Authenticator())
    cookie, _ = run(open_session(registry, Verified(ROSA, passkey), "", NOW))
    with pytest.raises(DutyMissing):
        run(disable(registry, KOFI, "rosa"))
    run(disable(registry, ADA, "rosa"))
    assert find_session(registry, cookie, NOW) is None
    run(enable(registry, ADA, "rosa"))
    assert find_session(registry, cookie, NOW) is None
    assert not get_account(registry, "rosa").value.is_disabled
    with pytest.raises(NotFound):
        run(disable(registry, ADA, "nobody"))


KINDS = ("patient", "clinician", "administrator")


def test_everybody_is_invited_by_two_once_there_are_two():
    assert {choose_invite(new_registry(ADA, KOFI), ADA, kind) for kind in KINDS} == {"invite"}
    registry = new_registry(ADA, BELA)
    assert [choose_invite(registry, ADA, kind) for kind in KINDS] == [f"invite-{kind}" for kind in KINDS]


def test_nobody_becomes_the_only_administrator_by_disabling_the_others():
    registry = new_registry(ADA, BELA)
    run(disable(registry, ADA, "bela"))
    assert [choose_invite(registry, ADA, kind) for kind in KINDS] == [f"invite-{kind}" for kind in KINDS]


def test_what_is_asked_for_is_who_will_be_invited_and_nobody_who_has_an_account():
    registry = new_registry(ADA, BELA, CHEN)
    key = run(request_invitation(registry, ADA, ROSA, "at reception", NOW))
    done = run(approve_act(registry, BELA, key, NOW))
    assert (done.act, done.subject, done.by, done.invited) == ("invite-patient", "Patient/p1", "ada", ROSA)
    with pytest.raises(Conflict):
        run(request_invitation(registry, ADA, msgspec.structs.replace(CHEN, id="x"), "again", NOW))
    with pytest.raises(Invalid):
        run(request_invitation(registry, ADA, msgspec.structs.replace(ROSA, fhir_user="Group/g"), "why", NOW))
    with pytest.raises(DutyMissing):
        run(request_invitation(registry, KOFI, ROSA, "why", NOW))
