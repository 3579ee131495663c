"""The device's half of consent: what was asked for becomes a text, and the text is bound and signed with her key.

Everything is composed here from what the node says about the chart, so that nothing is signed that was not asked for.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Protocol

from careledger.access.directives import (
    DIRECTIVE_FORMAT,
    Coding,
    Grantee,
    GranteeKind,
    Text,
    compute_commitment,
    encode_text,
    to_base64,
)
from careledger.access.force import PURPOSES
from careledger.access.grants import SEQUENCE_MOVED, Envelope, compose_grant, compose_revocation, sign_body
from careledger.access.patient_keys import KeyFile, PatientKey
from careledger.cli import keyfiles
from careledger.cli.errors import UsageError
from careledger.contracts.consent import compute_key_hash, compute_revocation_hash, decode_entry
from careledger.primitives.errors import Conflict, Invalid, NotPermitted, VerificationFailed
from careledger.primitives.types import Did, parse_did

NONCE_BYTES = SALT_BYTES = 32
TOKEN_FILE_BYTES_MAX = 16_384
TOKEN_START = "eyJ"
"""How every token begins: base64url of `{"`."""
_ID = re.compile("[0-9a-f]{64}")
EPOCH = date(1970, 1, 1)


class Terms(Protocol):
    """The options of `grant` and `supersede`."""

    @property
    def to(self) -> tuple[str, ...]: ...
    @property
    def purpose(self) -> tuple[str, ...]: ...
    @property
    def deny(self) -> bool: ...
    @property
    def type(self) -> tuple[str, ...]: ...
    @property
    def category(self) -> tuple[str, ...]: ...
    @property
    def label(self) -> tuple[str, ...]: ...
    @property
    def start(self) -> str | None: ...
    @property
    def until(self) -> str | None: ...
    @property
    def action(self) -> tuple[Any, ...]: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for, read and checked; grantees wait for the ledger's word on their kinds."""

    to: tuple[str, ...]
    deny: bool
    purposes: tuple[str, ...]
    types: tuple[str, ...]
    categories: tuple[Coding, ...]
    labels: tuple[Coding, ...]
    actions: tuple[Any, ...]
    from_day: int
    until_day: int


@dataclass(frozen=True, slots=True, repr=False)
class Made:
    """A directive, ready to be signed for whatever sequence the ledger has."""

    patient: str
    text: bytes
    salt: bytes
    nonce: bytes
    binding: bytes
    until_day: int
    code: bytes


def read_terms(terms: Terms) -> Wanted:
    """The options, checked. Raises UsageError."""
    if not terms.to:
        raise UsageError("a directive names somebody", hint="--to DID, Practitioner/ID or role:NAME")
    if terms.until is None:
        raise UsageError("a directive has an end", hint="--until YYYY-MM-DD; it can be superseded")
    if not terms.purpose and not terms.deny:
        raise UsageError("a permit names its purposes", hint="--purpose TREAT")
    for purpose in terms.purpose:
        if purpose not in PURPOSES:
            raise UsageError(
                f"{purpose!r} is no purpose of use", hint="TREAT, ETREAT, HPAYMT, HOPERAT, HRESCH, PUBHLTH …"
            )
    check_grantees(terms.to)
    today = (datetime.now(UTC).date() - EPOCH).days
    from_day = today if terms.start is None else read_day(terms.start)
    until_day = read_day(terms.until)
    if not from_day <= until_day or until_day < today:
        raise UsageError("the period is empty, or has ended", hint="--from and --until are its two ends")
    return Wanted(
        terms.to,
        terms.deny,
        unique(terms.purpose),
        check_types(unique(terms.type)),
        unique(map(read_coding, terms.category)),
        unique(map(read_coding, terms.label)),
        unique(terms.action) or ("access",),
        from_day,
        until_day,
    )


def unique(items: Any) -> tuple[Any, ...]:
    """Sorted and without repeats, as a text's lists are."""
    return tuple(sorted(set(items)))


def check_types(types: tuple[str, ...]) -> tuple[str, ...]:
    """The types. Raises UsageError for one that R4 does not define."""
    if types:
        import difflib

        from careledger.fhir.definitions import definitions

        known = definitions().resource_types
        for type in types:
            if type not in known:
                near = difflib.get_close_matches(type, list(known), n=1)
                raise UsageError(
                    f"{type!r} is no resource type",
                    hint=f"did you mean {near[0]}?" if near else "a type of FHIR R4, e.g. Observation",
                )
    return types


def read_day(text: str) -> int:
    """Days since 1970-01-01. Raises UsageError."""
    try:
        if len(text) != len("2026-01-02"):
            raise ValueError
        return (date.fromisoformat(text) - EPOCH).days
    except ValueError:
        raise UsageError(f"{text!r} is no day", hint="write YYYY-MM-DD") from None


def read_coding(text: str) -> Coding:
    """`SYSTEM|CODE` or `CODE`. Raises UsageError."""
    system, bar, code = text.rpartition("|")
    if not code or (bar and not system) or any(letter.isspace() or letter == "|" for letter in system + code):
        raise UsageError(f"{text!r} is no code", hint="write SYSTEM|CODE or CODE")
    return Coding(code=code, system=system)


def read_grantee(text: str, kinds: dict[str, Any]) -> Grantee:
    """A DID (of the kind that the ledger says), `Practitioner/ID` or `role:NAME`. Raises UsageError."""
    if text.startswith("did:"):
        kind: GranteeKind = "practitioner" if kinds[text]["kind"] == "practitioner" else "organisation"
        return Grantee(kind=kind, value=text)
    for prefix, other in (("Practitioner/", "practitioner"), ("role:", "role")):
        if text.startswith(prefix) and text != prefix:
            return Grantee(kind=other, value=text.removeprefix(prefix))  # type: ignore[arg-type]
    raise UsageError(f"{text!r} is nobody who can be named", hint="a DID, Practitioner/ID or role:NAME")


def check_grantees(to: tuple[str, ...]) -> None:
    """Raises UsageError before anything is asked of the node."""
    for text in to:
        if not text.startswith("did:"):
            read_grantee(text, {})
            continue
        try:
            parse_did(text)
        except Invalid as error:
            raise UsageError(f"{text!r} is no DID of this kind", hint=error.hint) from None


def read_code(text: str) -> bytes:
    """A printed revocation code; spaces and dashes do not matter. `@FILE` is what the file holds, which other users of the
    machine do not see among the processes. Raises UsageError."""
    digits = _read_word(text, "code").replace(" ", "").replace("-", "").lower()
    if len(digits) != 64 or digits.strip("0123456789abcdef"):
        raise UsageError("this is no revocation code", hint="64 hex digits, as `consent grant` printed them")
    return bytes.fromhex(digits)


def read_actor(text: str) -> str:
    """A token or a client's name; `@FILE` is what the file holds. Raises UsageError."""
    text = _read_word(text, "token")
    if text.startswith(TOKEN_START) and text.count(".") != 2:  # as a client's name it would be permitted
        raise UsageError("this token was cut", hint="give the whole token, or @FILE with it")
    return text


def _read_word(text: str, what: str) -> str:
    if not text.startswith("@"):
        return text
    try:
        with Path(text[1:]).open("rb") as file:
            return file.read(TOKEN_FILE_BYTES_MAX).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"cannot read the {what} file", hint="@FILE names a file of one line") from None


def check_id(id: str) -> None:
    """Raises UsageError for what is no directive's id."""
    if not _ID.fullmatch(id):
        raise UsageError("this is no directive's id", hint="64 hex digits, as `consent grant` printed them")


def read_her_key(path: Path | None) -> tuple[KeyFile, PatientKey]:
    """The key file that decides. Raises UsageError."""
    if path is None:
        raise UsageError("only her key decides", hint="--key FILE, as `patient enrol` wrote it")
    return keyfiles.read_key(path)


def check_enrolled(prepared: dict[str, Any], file: KeyFile, key: PatientKey) -> None:
    """Raises where the key is not the one that decides in the chart."""
    keyfiles.check_ledger(file, prepared["chain"])
    if prepared["key"] != key.public:
        raise NotPermitted(
            "this key is not the one that is enrolled in this chart"
            if prepared["key"]
            else "this chart has no enrolled key",
            hint="use the file of this patient's newest enrolment, as `patient enrol` wrote it"
            if prepared["key"]
            else "careledger patient enrol PATIENT --key-out FILE; after that, the newest file decides",
            code="not-enrolled",
        )


def make(wanted: Wanted, prepared: dict[str, Any], file: KeyFile, key: PatientKey, supersedes: str) -> Made:
    """The text, its salt and binding, and its code. Raises where the key is not the chart's."""
    check_enrolled(prepared, file, key)
    nonce, salt = os.urandom(NONCE_BYTES), os.urandom(SALT_BYTES)
    text = encode_text(
        Text(
            actions=wanted.actions,
            categories=wanted.categories,
            effect="deny" if wanted.deny else "permit",
            format=DIRECTIVE_FORMAT,
            from_day=wanted.from_day,
            grantees=unique(read_grantee(one, prepared["kinds"]) for one in wanted.to),
            handle=to_base64(prepared["handle"]),
            labels=wanted.labels,
            nonce=to_base64(nonce),
            organisation=to_base64(prepared["organisation"]),
            purposes=wanted.purposes,
            supersedes=supersedes,
            types=wanted.types,
            until_day=wanted.until_day,
        )
    )
    binding = key.bind(compute_commitment(salt, text))
    return Made(prepared["patient"], text, salt, nonce, binding, wanted.until_day, key.revocation_code(nonce))


def sign(made: Made, prepared: dict[str, Any], key: PatientKey) -> dict[str, Any]:
    """The parameters of `consent.grant`: everything but a private key."""
    seed, public = key.directive_seed(made.nonce), key.directive_key(made.nonce)
    revocation_hash = compute_revocation_hash(made.code)
    commitment = compute_commitment(made.salt, made.text)
    body = compose_grant(envelope_of(prepared), commitment, public, made.until_day, revocation_hash)
    return {
        "patient": made.patient,
        "text": made.text,
        "salt": made.salt,
        "binding": made.binding,
        "key": public,
        "revocation_hash": revocation_hash,
        "sequence": prepared["sequence"],
        "valid_until": prepared["valid_until"],
        "signature": sign_body(body, seed),
    }


def check_entry(value: bytes | None, made: Made, key: PatientKey) -> None:
    """Raises VerificationFailed unless the ledger's entry holds her directive's key and code (protocol.md, Consent)."""
    entry = None if value is None else decode_entry(value)
    if entry is None or (entry.key_hash, entry.revocation_hash) != (
        compute_key_hash(key.directive_key(made.nonce)),
        compute_revocation_hash(made.code),
    ):
        raise VerificationFailed(
            "the ledger's entry of this directive is under a key that is not hers",
            hint="somebody entered it before her: keep what the node said, and ask its operator why",
            code="not-her-key",
        )


def sign_revocation(id: str, prepared: dict[str, Any], key: PatientKey) -> dict[str, Any]:
    """The parameters of `consent.revoke`. Raises NotPermitted for a directive of another key."""
    check_can_revoke(prepared, key)
    body = compose_revocation(envelope_of(prepared), bytes.fromhex(id), public=prepared["key"])
    return {
        "id": id,
        "key": prepared["key"],
        "sequence": prepared["sequence"],
        "valid_until": prepared["valid_until"],
        "signature": sign_body(body, key.directive_seed(prepared["nonce"])),
    }


def check_in_force(prepared: dict[str, Any]) -> None:
    """Before anybody waits: what is replaced must be active. Raises Conflict."""
    if not prepared["active"]:
        raise Conflict("the directive is revoked already", hint="careledger consent grant: a new one")


def check_can_revoke(prepared: dict[str, Any], key: PatientKey) -> None:
    """Raises NotPermitted unless the directive's own key comes from this one."""
    if key.directive_key(prepared["nonce"]) != prepared["key"]:
        raise NotPermitted(
            "this key did not grant that directive",
            hint="use the key file that granted it, or --code with its printed code",
            code="not-its-key",
        )


def envelope_of(prepared: dict[str, Any]) -> Envelope:
    """The transaction's envelope, as the node said."""
    return Envelope(
        prepared["genesis_hash"], Did(prepared["sponsor"]), prepared["sequence"], prepared["valid_until"]
    )


__all__ = ["SEQUENCE_MOVED", "Made", "Wanted"]
