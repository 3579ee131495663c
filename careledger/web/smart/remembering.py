"""A patient signs what she allows an app: her passkey's gesture over the lines of the consent page, kept on the ledger.

The answer comes as JSON instead of the form, with what her browser signed beside; everything that the form's answer must
hold, it must too. Without a passkey in her chart, or on another device, the form remains.
"""

from __future__ import annotations

from typing import Any

import msgspec

from careledger.access.directives import DAY_MS, compute_commitment, decode_text
from careledger.contracts.consent import compute_revocation_hash
from careledger.primitives.errors import (
    Conflict,
    Invalid,
    NotFound,
    NotPermitted,
    Unavailable,
    VerificationFailed,
)
from careledger.smart.accounts import Account
from careledger.smart.consenting import ConsentAnswer, ConsentView, read_answer
from careledger.smart.controllers import patient_of
from careledger.smart.grants import Grant, end_grant, get_grant
from careledger.smart.memories import MEMORIES, begin_memory, drop_memory, memory_key
from careledger.smart.remembering import Remembered, check_remembers
from careledger.web.smart.deciding import ask, read_body, to_bytes, write
from careledger.web.smart.screens import People
from careledger.web.smart.visits import Visit


class Signed(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What the page posts when she signs. `grant` is what `lib/directives.ts` makes; bytes are hex."""

    ticket: str
    shown: str
    kept: tuple[str, ...]
    days: str
    grant: dict[str, str | int]
    code: str


BYTES = ("text", "salt", "binding", "key", "revocation_hash", "signature")
NUMBERS = ("sequence", "valid_until")


async def can_sign(people: People, account: Account) -> bool:
    """Whether a passkey decides in the chart of whose account this is."""
    if people.call is None or account.kind != "patient":
        return False
    try:
        prepared = await people.call("consent.prepare", {"patient": patient_of(account)})
    except (NotFound, NotPermitted, Unavailable):
        return False
    return bool(prepared["credential"])


async def prepare(people: People, visit: Visit, client: str) -> dict[str, Any]:
    """What her browser must know to compose and sign the directive."""
    prepared = await ask(people, "consent.prepare", {"patient": patient_of(visit.need().account)})
    return {
        "prepared": write(prepared),
        "client": client,
        "today": visit.now_ms // DAY_MS,
        "language": visit.language,
    }


def read_signed(visit: Visit) -> Signed:
    """The body. Raises Invalid."""
    return read_body(visit, Signed)


def read_said(view: ConsentView, signed: Signed) -> ConsentAnswer:
    """What she answered to this view: always a yes. Raises Invalid."""
    return read_answer(view, shown=signed.shown, is_allowed=True, kept=signed.kept, days=signed.days)


async def remember(
    people: People, visit: Visit, signed: Signed, said: ConsentAnswer, client: str
) -> Remembered:
    """The directive stands on the ledger. Raises what `consent.grant` raises, and Invalid for another text than said."""
    params = _grant_params(signed)
    text = decode_text(params["text"])
    check_remembers(text, said, client, visit.language, visit.now_ms // DAY_MS)
    code = to_bytes(signed.code)
    if compute_revocation_hash(code) != params["revocation_hash"]:
        raise Invalid("the code does not revoke this directive", hint="open the page again", code="form")
    account = visit.need().account
    remembered = Remembered(compute_commitment(params["salt"], params["text"]).hex(), code)
    is_new = MEMORIES.get(people.registry, memory_key(remembered.directive)) is None
    if is_new:
        await begin_memory(people.registry, remembered, account.id, visit.now_ms)
    asked = {**params, "patient": patient_of(account), "told": said.digest}
    try:
        await ask(people, "consent.grant", asked)
    except (Invalid, NotFound, VerificationFailed):  # refused before anything stood
        if is_new:
            await people.registry.change(drop_memory(remembered.directive))
        raise
    return remembered


def _grant_params(signed: Signed) -> dict[str, Any]:
    grant = signed.grant
    if set(grant) != {*BYTES, *NUMBERS} or any(type(grant[name]) is not int for name in NUMBERS):
        raise Invalid("this is not what the page sends", hint="open the page again", code="form")
    return {name: to_bytes(grant[name]) for name in BYTES} | {name: grant[name] for name in NUMBERS}


async def forget(people: People, remembered: Remembered) -> None:
    """The directive is revoked by its code; one that is revoked already, or gone, stays so."""
    if not remembered.directive or people.call is None:
        return
    try:
        await people.call("consent.revoke", {"id": remembered.directive, "code": remembered.code})
    except (Conflict, NotFound):
        return


async def withdraw(people: People, visit: Visit, id: str) -> None:
    """The app is out at once; then the ledger says so too. Raises NotFound for what is not hers."""
    account = visit.need().account
    found = get_grant(people.registry, id)
    await end_grant(people.registry, people.revoke, id, account=account.id)
    if found is not None:
        await forget(people, _remembered(found.value))


def _remembered(grant: Grant) -> Remembered:
    return Remembered(grant.directive, grant.code)
