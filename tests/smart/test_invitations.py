"""Invitations: signed by an organisation, used once, within seven days; a wrong code costs time."""

from __future__ import annotations

import msgspec
import pytest

from careledger.primitives.errors import Conflict, Invalid, NotFound, VerificationFailed
from careledger.primitives.signing import ed25519_public_key, sign_ed25519, verify_ed25519
from careledger.smart.accounts import Account, get_account, list_accounts
from careledger.smart.administering import disabling
from careledger.smart.backoff import FREE, LONGEST_MS, TooManyTries, compute_wait_ms
from careledger.smart.invitations import (
    INVITATIONS,
    LIFETIME_MS,
    InvitationRefused,
    Signed,
    accept,
    find_invited,
    invite,
    list_invitations,
    read_invited,
    withdraw,
)
from careledger.smart.passkeys import Passkey, begin_registration, list_passkeys, read_registration
from careledger.smart.tables import CODE_CHARACTERS, new_code
from tests.smart.authenticator import Authenticator
from tests.smart.people_support import BROWSER, NOW, PARTY, new_registry, run

SEED = bytes(range(32))
HOUSE, ELSEWHERE = "did:careledger:house", "did:careledger:elsewhere"
IMANI = Account(id="", kind="clinician", name="Imani Okafor", fhir_user="Practitioner/d7", roles=("nurse",))
HERE = "192.0.2.1"


def sign(message: bytes) -> bytes:
    return sign_ed25519(SEED, message)


def verify(organisation: str, message: bytes, signature: bytes) -> None:
    if organisation != HOUSE:
        raise VerificationFailed("unknown organisation")
    verify_ed25519(ed25519_public_key(SEED), message, signature)


def invited_code(registry, account=IMANI, organisation=HOUSE, by_key=sign, **how):
    return run(invite(registry, account, organisation, by_key, NOW, **how))


def passkey_of(registry, account, device=None) -> Passkey:
    async def ceremony():
        options = await begin_registration(registry, PARTY, account, BROWSER, NOW, "enrol")
        answer = (device or Authenticator()).create(options)
        return await read_registration(
            registry, PARTY, account.id, BROWSER, answer, label="", now_ms=NOW, purpose="enrol"
        )

    return run(ceremony())


def test_an_invited_person_gets_exactly_the_account_that_was_signed():
    registry = new_registry()
    invited = run(find_invited(registry, invited_code(registry), HERE, verify, NOW))
    assert list_accounts(registry) == []
    account = run(accept(registry, invited, passkey_of(registry, invited.account), HERE))
    assert msgspec.structs.replace(account, id="", created_ms=0) == IMANI
    assert get_account(registry, account.id).value == account
    assert len(list_passkeys(registry, account.id)) == 1
    assert INVITATIONS.list(registry) == []


def test_a_code_is_typed_as_people_type():
    registry = new_registry()
    code = invited_code(registry)
    assert len(code.replace("-", "")) == CODE_CHARACTERS == 26  # of 32 signs each: 130 bits
    for typed in (code.lower(), code.replace("-", " "), code.replace("0", "O").replace("1", "l")):
        assert run(find_invited(registry, typed, HERE, verify, NOW)).invitation.name == "Imani Okafor"
    assert code.replace("-", "").encode() not in registry.dump()


def test_an_invitation_makes_one_account():
    registry = new_registry()
    code = invited_code(registry)
    first = run(find_invited(registry, code, HERE, verify, NOW))
    second = run(find_invited(registry, code, "192.0.2.2", verify, NOW))
    passkeys = [passkey_of(registry, one.account) for one in (first, second)]
    run(accept(registry, first, passkeys[0], HERE))
    with pytest.raises(InvitationRefused):
        run(accept(registry, second, passkeys[1], HERE))
    with pytest.raises(InvitationRefused):
        run(find_invited(registry, code, HERE, verify, NOW))
    assert len(list_accounts(registry)) == 1
    assert len(list_passkeys(registry, first.account.id)) == 1


def test_nobody_gets_a_second_way_in_as_somebody_who_signs_in_already():
    registry = new_registry()
    codes = [invited_code(registry), invited_code(registry)]  # before there is an account
    first, second = (run(find_invited(registry, code, HERE, verify, NOW)) for code in codes)
    account = run(accept(registry, first, passkey_of(registry, first.account), HERE))
    with pytest.raises(InvitationRefused) as caught:
        run(accept(registry, second, passkey_of(registry, second.account), HERE))
    assert caught.value.reason == "account-exists" and len(list_accounts(registry)) == 1
    with pytest.raises(Conflict):
        invited_code(registry)
    run(registry.change(*disabling(registry, account.id)))
    assert invited_code(registry)


def test_an_invitation_ends_after_seven_days_or_when_it_is_withdrawn():
    registry = new_registry()
    code = invited_code(registry)
    [(key, _)] = list_invitations(registry)
    with pytest.raises(InvitationRefused) as caught:
        read_invited(registry, key, verify, NOW + LIFETIME_MS)
    assert caught.value.reason == "over"
    run(withdraw(registry, key))
    with pytest.raises(InvitationRefused):
        run(find_invited(registry, code, HERE, verify, NOW))
    with pytest.raises(NotFound):
        run(withdraw(registry, key))
    with pytest.raises(Invalid):
        invited_code(registry, lifetime_ms=LIFETIME_MS + 1)


@pytest.mark.parametrize(
    "what", ["widened", "moved", "signed by nobody", "of another organisation", "no struct"]
)
def test_only_what_an_organisation_signed_is_an_invitation(what):
    registry = new_registry()
    code = invited_code(
        registry,
        organisation=ELSEWHERE if what == "of another organisation" else HOUSE,
        by_key=(lambda _: bytes(64)) if what == "signed by nobody" else sign,
    )
    [found] = INVITATIONS.list(registry)
    if what == "widened":
        body = msgspec.msgpack.decode(found.value.body) | {"kind": "administrator", "fhir_user": ""}
        run(
            registry.change(
                INVITATIONS.renew(found, Signed(msgspec.msgpack.encode(body), found.value.signature))
            )
        )
    if what == "moved":
        other = invited_code(registry)
        target = next(one for one in INVITATIONS.list(registry) if one.key != found.key)
        run(registry.change(INVITATIONS.renew(target, found.value)))
        code = other
    if what == "no struct":
        run(registry.change(INVITATIONS.renew(found, Signed(b"\x93\x01\x02\x03", found.value.signature))))
    with pytest.raises(InvitationRefused):
        run(find_invited(registry, code, HERE, verify, NOW))


def test_a_passkey_of_another_enrolment_takes_no_account():
    registry = new_registry()
    first = run(find_invited(registry, invited_code(registry), HERE, verify, NOW))
    second = run(find_invited(registry, invited_code(registry), HERE, verify, NOW))
    with pytest.raises(InvitationRefused):
        run(accept(registry, first, passkey_of(registry, second.account), HERE))


@pytest.mark.parametrize(
    "account",
    [
        {"kind": "patient", "fhir_user": "Practitioner/d7"},
        {"kind": "patient", "fhir_user": "Patient/../x"},
        {"kind": "administrator"},
        {"duties": ("keys",)},
        {"name": ""},
        {"name": "Imani\u202eOkafor"},
        {"name": "x" * 201},
        {"roles": ("r" * 65,)},
        {"roles": ("r",) * 33},
    ],
    ids=str,
)
def test_nobody_is_invited_as_what_cannot_be(account):
    registry = new_registry()
    with pytest.raises(Invalid):
        invited_code(registry, msgspec.structs.replace(IMANI, **account))
    assert INVITATIONS.list(registry) == []


def test_wrong_codes_cost_time_here_and_not_elsewhere():
    registry = new_registry()
    code = invited_code(registry)
    for wrong in [*(new_code() for _ in range(FREE - 1)), "short"]:
        with pytest.raises(InvitationRefused) as refused:
            run(find_invited(registry, wrong, HERE, verify, NOW))
        assert refused.value.message == InvitationRefused("x").message
    for typed in (new_code(), code):
        with pytest.raises(TooManyTries):
            run(find_invited(registry, typed, HERE, verify, NOW))
    assert run(find_invited(registry, code, "192.0.2.2", verify, NOW)).invitation
    assert run(find_invited(registry, code, HERE, verify, NOW + compute_wait_ms(FREE))).invitation


def test_the_wait_doubles_up_to_a_quarter_of_an_hour():
    waits = [compute_wait_ms(wrong) for wrong in range(40)]
    assert waits[:6] == [0, 0, 0, 2000, 4000, 8000]
    assert max(waits) == LONGEST_MS == waits[-1]
