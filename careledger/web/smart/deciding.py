"""The passkey that decides in a patient's chart: enrolled by herself, on her own page (docs/spec/consent.md, Passkeys).

The node says what there is to sign; her browser signs it, and hands in nothing secret. What is refused, and why, is
`node.enrolling`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

import msgspec

from careledger.access.directives import compute_key_id
from careledger.primitives.errors import Invalid, NotFound, NotPermitted, Unavailable
from careledger.smart.accounts import Account
from careledger.smart.controllers import encode_key, find_deciding, patient_of
from careledger.smart.passkeys import list_passkeys
from careledger.smart.sessions import check_step_up
from careledger.web.smart.messages import SmartAnswer
from careledger.web.smart.screens import Form, People, tell
from careledger.web.smart.visits import Visit

BODY_BYTES_MAX = 65_536


class Chosen(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One of the account's passkeys, by its credential id; '' asks which there are."""

    passkey: str = ""


class Enrolment(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What her browser hands in: assertions, and the public key of her printed kit. Bytes are hex."""

    passkey: str
    proof: str
    continues: str = ""
    recovery: str = ""


async def show_key(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """What the chosen passkey has to sign: for which chart, as which key, and which key it would follow.

    Where none is chosen: which there are, and which decides now.
    """
    account = visit.need().account
    chosen = read_body(visit, Chosen)
    if not chosen.passkey:
        patient_of(account)
        return tell(visit, **(await describe_deciding(people, account) or NOTHING))
    passkey = find_deciding(people.registry, account, to_bytes(chosen.passkey))
    prepared = await ask(people, "consent.prepare", {"patient": patient_of(account)})
    return tell(
        visit,
        prepared=write(prepared),
        passkey=chosen.passkey,
        key=encode_key(passkey, people.party).hex(),
    )


async def enrol_key(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """The passkey is the chart's key from now on."""
    account = visit.need().account
    said = read_body(visit, Enrolment)
    passkey = find_deciding(people.registry, account, to_bytes(said.passkey))
    params = {
        "patient": patient_of(account),
        "key": encode_key(passkey, people.party),
        "credential": passkey.id,
        "proof": to_bytes(said.proof),
        "continues": to_bytes(said.continues),
        "recovery": to_bytes(said.recovery),
    }
    enrolled = await ask(people, "patient.enrol", params)
    return tell(visit, next="/me", key_id=enrolled["key_id"])


class Wrapped(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The key of her sealed copies, wrapped in her browser: for which epoch and enrolled key. Bytes are hex."""

    epoch: int
    key_id: str
    wraps: str


async def show_copy_key(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """The key of her sealed copies, for her browser to wrap: to herself alone, verified a moment ago, and entered in her
    chart's access log first."""
    signed_in = visit.need()
    check_step_up(signed_in.session, visit.now_ms)
    account = signed_in.account
    given = await ask(people, "copy.key", {"patient": patient_of(account), "account": account.id})
    return tell(visit, **{name: one.hex() if isinstance(one, bytes) else one for name, one in given.items()})


async def keep_wraps(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """Her copies open with these from now on. Raises StepUpNeeded: whoever replaces them decides who opens the next."""
    signed_in = visit.need()
    check_step_up(signed_in.session, visit.now_ms)
    said = read_body(visit, Wrapped)
    params = {"epoch": said.epoch, "key_id": said.key_id, "wraps": to_bytes(said.wraps)}
    kept = await ask(people, "copy.keep", {"patient": patient_of(signed_in.account), **params})
    return tell(visit, kinds=kept["kinds"])


NOTHING: Final[Mapping[str, object]] = MappingProxyType(
    {"is_enrolled": False, "by_file": False, "passkeys": [], "copies": []}
)
"""For a patient without a chart here."""


async def describe_deciding(people: People, account: Account) -> dict[str, object] | None:
    """For her page: which of her passkeys can decide, and which does. None without a chart here, or while nobody can be asked."""
    if people.call is None or account.kind != "patient":
        return None
    try:
        prepared = await people.call("consent.prepare", {"patient": patient_of(account)})
        copies = await people.call("copy.look", {"patient": patient_of(account)})
    except (NotFound, NotPermitted, Unavailable):
        return None
    key, credential = prepared["key"], prepared["credential"]
    passkeys = [
        {
            "id": one.id.hex(),
            "label": one.label,
            "is_mine": one.id == credential,
            "key_id": compute_key_id(encode_key(one, people.party)),
        }
        for one in list_passkeys(people.registry, account.id)
        if one.prf
    ]
    return {
        "is_enrolled": bool(key),
        "by_file": bool(key) and not credential,
        "passkeys": passkeys,
        "copies": copies["kinds"],
    }


async def ask(people: People, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """One of the node's commands. Raises Unavailable where the pages stand without a node."""
    if people.call is None:
        raise Unavailable("the node cannot be asked now", hint="try again in a moment")
    return await people.call(method, params)


def write(prepared: dict[str, Any]) -> dict[str, Any]:
    """What a page is told before it decides: bytes as hex."""
    names = (
        "organisation", "handle", "chain", "key", "credential", "names", "genesis_hash", "sponsor", "sequence",
        "valid_until", "delay_s",
    )  # fmt: skip
    found = {name: prepared[name] for name in names}
    return {name: one.hex() if isinstance(one, bytes) else one for name, one in found.items()}


def to_bytes(text: object) -> bytes:
    """The bytes of lower-case hex. Raises Invalid."""
    try:
        data = bytes.fromhex(str(text))
    except ValueError:
        data = b""
    if data.hex() != text:
        raise Invalid("bytes are written in lower-case hex", hint="open the page again", code="form")
    return data


T = TypeVar("T")


def read_body(visit: Visit, form: type[T]) -> T:
    """The body of our script's request. Raises Invalid."""
    if len(visit.request.body) > BODY_BYTES_MAX:
        raise Invalid("this is more than the page sends", code="form-too-large")
    try:
        return msgspec.json.decode(visit.request.body, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid("this is not what the page sends", hint="open the page again", code="form") from None
