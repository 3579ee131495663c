"""What a chart holds of its patient's decisions, and what a new one must be before the node sponsors it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from careledger.access.directives import (
    DIRECTIVE_BYTES_MAX,
    Coding,
    Controller,
    DirectiveLeaf,
    Grantee,
    Text,
    decode_controller,
    decode_leaf,
    decode_text,
    from_base64,
    is_bound,
)
from careledger.access.force import PURPOSES
from careledger.access.grants import follows
from careledger.access.standing import read_entry
from careledger.contracts.consent import ACTIVE, Entry, decode_entry
from careledger.contracts.identity import DEVICE, PRACTITIONER, SUBJECT, SUBJECTS
from careledger.fhir.definitions import definitions
from careledger.fhir.json import loads
from careledger.primitives.errors import Invalid, NotFound, VerificationFailed
from careledger.primitives.types import DID_PREFIX, parse_did
from careledger.vault.model import CONTROLLER_TYPE, DIRECTIVE_TYPE, HOUSE_CHART, Snapshot, Version

NONCE_BYTES: Final = 32
SALT_BYTES: Final = 32
_ID = re.compile("[0-9a-f]{64}", re.ASCII)
_FHIR_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_WORD = re.compile(r"[^\s|\x00-\x1f\x7f]{1,256}")
_CLIENT = re.compile(r"[A-Za-z0-9_\-.]{1,64}", re.ASCII)
_ROLE = re.compile(r"[^\x00-\x1f\x7f]{1,64}")


@dataclass(frozen=True, slots=True)
class Held:
    """A directive's leaf in its chart, opened; nothing of it is checked yet."""

    id: str
    version: Version
    leaf: DirectiveLeaf

    def text(self) -> Text:
        """What was decided. Raises Invalid."""
        return decode_text(from_base64(self.leaf.text))


def chart_of(snapshot: Snapshot, patient: str) -> int:
    """The patient's chart. Raises NotFound."""
    chart = snapshot.chart_of(patient)
    if chart is None:
        raise NotFound(
            "there is no chart of this patient here", hint="PATIENT is an id or Patient/ID of this home"
        )
    return chart


def enrolled_keys(snapshot: Snapshot, chart: int) -> list[Controller]:
    """The keys that the chart enrolled, oldest first; a leaf that its predecessor did not sign counts nothing."""
    keys: list[Controller] = []
    place = snapshot.place(chart)
    for version in _leaves(snapshot, chart, CONTROLLER_TYPE):
        try:
            leaf = decode_controller(snapshot.body(version))
        except Invalid:  # what cannot be read has no force
            continue
        enrolled = follows(keys[-1] if keys else None, leaf, place)
        if enrolled is not None:
            keys.append(enrolled)
    return keys


def directives_of(snapshot: Snapshot, chart: int) -> list[Held]:
    """The chart's directives in the order in which they were entered: what each said when it was."""
    found = []
    for version in _leaves(snapshot, chart, DIRECTIVE_TYPE):
        try:
            found.append(Held(version.id, version, decode_leaf(snapshot.body(version))))
        except Invalid:
            continue
    return found


def directive(snapshot: Snapshot, id: str) -> Held | None:
    """The directive of this id, if it was granted here."""
    check_id(id)
    version = snapshot.current(DIRECTIVE_TYPE, id)
    if version is None or version.deleted or version.chart == HOUSE_CHART:
        return None
    return Held(id, version, decode_leaf(snapshot.body(version)))


def patient_of(snapshot: Snapshot, held: Held) -> str:
    """Whose chart holds it, by the Consent that the node wrote beside it. Raises NotFound if that is gone."""
    first = snapshot.version("Consent", held.leaf.consent, 1)
    if first is not None and not first.deleted and first.chart == held.version.chart:
        reference = loads(snapshot.body(first))["patient"]["reference"]
        return str(reference).removeprefix("Patient/")
    for one in _leaves(snapshot, held.version.chart, "Patient"):
        if snapshot.chart_of(one.id) == held.version.chart:
            return one.id
    raise NotFound("the chart's patient is not known here any more", hint="run `careledger fsck`")


def entry_of(snapshot: Snapshot, id: str) -> Entry | None:
    """How the directive stands on the ledger."""
    data = read_entry(snapshot, snapshot.place(HOUSE_CHART)[0], id)
    return None if data is None else decode_entry(data)


def check_id(id: str) -> str:
    """Raises Invalid for what is no directive's id."""
    if not _ID.fullmatch(id):
        raise Invalid("this is no directive's id", hint="64 hex digits, as `consent grant` printed them")
    return id


def kind_of(snapshot: Snapshot, did: str) -> tuple[str, bool]:
    """Whether this DID is an organisation's or a practitioner's, and whether the ledger knows it."""
    data = snapshot.state(SUBJECTS.state_key(parse_did(did)))
    if data is None:
        return "organisation", False
    kind = SUBJECT.decode(data).kind
    if kind == DEVICE:
        raise Invalid("this DID is a device's", hint="name an organisation, a practitioner or a role")
    return ("practitioner" if kind == PRACTITIONER else "organisation"), True


def check_text(snapshot: Snapshot, text: Text, today: int) -> None:
    """Raise Invalid for codes and names that no decision knows, and for a period that has ended."""
    for purpose in text.purposes:
        if purpose not in PURPOSES:
            raise Invalid(
                "the directive names an unknown purpose",
                hint=f"one of {', '.join(sorted(PURPOSES))}",
                code="purpose",
            )
    if text.effect == "permit" and not text.purposes:
        raise Invalid("a permit names its purposes", hint="--purpose TREAT", code="purpose")
    for type in text.types:
        if type not in definitions().resource_types:
            raise Invalid("the directive names an unknown resource type", hint="a type of R4", code="type")
    for coding in (*text.categories, *text.labels):
        _check_coding(coding)
    for grantee in text.grantees:
        _check_grantee(snapshot, grantee)
    if text.until_day < today:
        raise Invalid("the directive's period has ended", hint="a later --until", code="period")
    if len(from_base64(text.nonce)) != NONCE_BYTES:
        raise Invalid("the directive's nonce has not 32 bytes", hint="see docs/spec/consent.md")


def _check_coding(coding: Coding) -> None:
    if not _WORD.fullmatch(coding.code) or (coding.system and not _WORD.fullmatch(coding.system)):
        raise Invalid("a category or label is no code", hint="write SYSTEM|CODE or CODE", code="coding")


def _check_grantee(snapshot: Snapshot, grantee: Grantee) -> None:
    if grantee.kind == "client":
        if not _CLIENT.fullmatch(grantee.value):
            raise Invalid("an app is named by its client id", hint="careledger client list", code="grantee")
        return
    if grantee.kind == "role":
        if not _ROLE.fullmatch(grantee.value):
            raise Invalid("a role's name is empty or too long", hint="1 to 64 characters", code="grantee")
        return
    if grantee.value.startswith(DID_PREFIX):
        if kind_of(snapshot, grantee.value)[0] != grantee.kind:
            raise Invalid(
                "the ledger knows this DID as of another kind",
                hint="ask the ledger: `consent grant` does",
                code="grantee",
            )
        return
    if grantee.kind == "organisation" or not _FHIR_ID.fullmatch(grantee.value):
        raise Invalid("a grantee cannot be read", hint="a DID, Practitioner/ID or role:NAME", code="grantee")


def check_new(
    id: str, leaf: DirectiveLeaf, text: bytes, keys: list[Controller], organisation: bytes, handle: bytes
) -> Text:
    """The text of a directive that shall be granted in this chart. Raises Invalid or VerificationFailed."""
    if len(text) > DIRECTIVE_BYTES_MAX:
        raise Invalid("the directive is too long", hint=f"at most {DIRECTIVE_BYTES_MAX} bytes")
    decided = decode_text(text)
    if (from_base64(decided.organisation), from_base64(decided.handle)) != (organisation, handle):
        raise Invalid(
            "the directive is made for another chart",
            hint="make it for this patient at this organisation",
            code="other-chart",
        )
    if not keys:
        raise Invalid(
            "this chart has no enrolled key",
            hint="careledger patient enrol PATIENT --key-out FILE",
            code="not-enrolled",
        )
    if not is_bound(id, leaf, keys[-1].key, organisation, handle):
        raise VerificationFailed(
            "the directive is not bound by the key that is enrolled in this chart",
            hint="use the key file of this patient's newest enrolment",
            code="not-bound",
        )
    return decided


def check_superseded(snapshot: Snapshot, text: Text, chart: int) -> None:
    """The directive that is replaced must be one of this chart and in force on the ledger."""
    if not text.supersedes:
        return
    old = directive(snapshot, text.supersedes)
    if old is None or old.version.chart != chart:
        raise NotFound(
            "the superseded directive is not of this chart", hint="careledger consent list PATIENT"
        )
    entry = entry_of(snapshot, old.id)
    if entry is None or entry.status != ACTIVE:
        raise Invalid("the superseded directive is not in force", hint="grant a new one", code="not-active")


def _leaves(snapshot: Snapshot, chart: int, type: str) -> Iterator[Version]:
    """The first versions of a type in the chart: nothing later changes what was decided. Erased ones are left out."""
    for row in snapshot.rows(chart):
        if row.type == type and row.version == 1 and not row.deleted and not row.moved:
            version = snapshot.version(type, row.id, 1)
            if version is not None and not version.deleted:
                yield version


__all__ = ["NONCE_BYTES", "SALT_BYTES", "Held"]
