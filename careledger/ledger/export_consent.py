"""Whether the accesses of a chart were allowed: her enrolled keys, her directives, and each entry's decision again.

The twin of `access.decision` for strangers: it sees what the chart's leaves and the ledger say and nothing else, so
it computes again what an entry relied on, and that no directive in force forbade it outright. docs/spec/export.md
lists what it does not see. Pure. Errors: VerificationFailed, naming the entry.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

import msgspec

from careledger.ledger import export_files as files
from careledger.ledger.access_content import AccessContent
from careledger.ledger.controllers import SIGNED_BYTES_MAX, Controller, read_controller, verify_signed
from careledger.ledger.directive_forms import ControllerLeaf, DirectiveLeaf, Text
from careledger.ledger.export_files import UNSET
from careledger.ledger.export_former import KeptPart, SaidPart, check_kept
from careledger.ledger.kernel import compute_state_key
from careledger.ledger.map_proof import MapProof, root_from_proof
from careledger.ledger.proof_fields import TIME_MS_MAX
from careledger.ledger.proof_files import decode_binary, decode_file, decode_map_path
from careledger.primitives.encoding import DIGEST, U8, U32, U64, Bytes, Pair
from careledger.primitives.errors import VerificationFailed
from careledger.primitives.hashing import tagged
from careledger.primitives.signing import ML_DSA_65_PUBLIC_SIZE

ACTIVE: Final = 1
REVOKED: Final = 2
DAY_MS: Final = 86_400_000
TEXT_BYTES_MAX: Final = 65_536
REQUEST_MS_MAX: Final = 60_000
"""How much later than its entry says a request may have been decided."""
DEFAULT_PURPOSES: Final = ("TREAT", "HPAYMT", "HOPERAT")
OWN_PURPOSES: Final = (*DEFAULT_PURPOSES, "PATRQT")
EMERGENCY_PURPOSE: Final = "ETREAT"
SUPPORTING_TYPES: Final = (
    "Organization", "Practitioner", "PractitionerRole", "Location", "HealthcareService", "Medication",
    "MedicationKnowledge", "Substance", "InsurancePlan", "Endpoint", "Questionnaire", "PlanDefinition",
    "ActivityDefinition",
)  # fmt: skip
"""What describes nobody under care: `access.decision` says why."""
NOTHING_LEFT: Final = ("denied", "empty", "count")
"""Kinds of entries after which nothing of a chart has left."""
ENTRY_VALUE: Final = Pair(U8, DIGEST, U32, DIGEST, U64)
_KEY: Final = Pair(U8, Bytes(ML_DSA_65_PUBLIC_SIZE))
_ML_DSA_65: Final = 2
_ID: Final = re.compile("[0-9a-f]{64}")


@dataclass(slots=True)
class Mandate:
    """A directive of the chart: as it was bound, and as the ledger shows it (`status` 0: not as it was bound)."""

    id: str
    text: Text
    key_hash: bytes
    time_ms: int
    status: int = 0
    height: int = 0

    def is_in_force(self, entry: AccessContent) -> bool:
        """When the entry was decided, as far as the ledger's last word tells: a revoked one was, until then."""
        if not self.status or entry.time_ms + REQUEST_MS_MAX < self.time_ms:
            return False
        return self.height <= entry.height if self.status == ACTIVE else entry.height < self.height


class Emergency(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of a leaf of type EmergencyAccess (docs/spec/emergency.md): who may override until when."""

    client: str
    format: Literal["careledger/emergency/1"]
    from_ms: Annotated[int, msgspec.Meta(ge=0, le=TIME_MS_MAX)]
    practitioner: str
    task: str
    until_ms: Annotated[int, msgspec.Meta(ge=0, le=TIME_MS_MAX)]


@dataclass(slots=True)
class Consents:
    """What the chart's leaves say of keys and directives, in their order."""

    organisation: bytes
    handle: bytes
    controllers: list[Controller] = field(default_factory=list)
    mandates: dict[str, Mandate] = field(default_factory=dict)
    emergencies: list[Emergency] = field(default_factory=list)

    @property
    def key_id(self) -> str:
        """Of the key that is enrolled now; "" for none."""
        return self.controllers[-1].id if self.controllers else ""

    def enrol(self, id: str, body: bytes) -> None:
        """One more enrolled key: the first, or signed by the one before."""
        leaf = decode_file(body, ControllerLeaf, "an enrolled key")
        former = self.controllers[-1] if self.controllers else None
        try:
            enrolled = read_controller(leaf, former, self.organisation + self.handle)
        except VerificationFailed as why:
            raise _refused(f"an enrolled key is not this patient's: {why.message}") from None
        if id != enrolled.id:
            raise _refused("an enrolled key has another id")
        self.controllers.append(enrolled)

    def add(self, id: str, body: bytes, time_ms: int) -> None:
        """One more directive. One that the key enrolled here did not bind is forged: no honest node enters it."""
        if _ID.fullmatch(id) is None:
            raise _refused("a directive's id is no commitment")
        try:
            leaf = decode_file(body, DirectiveLeaf, "a directive")
            key = decode_binary(leaf.key, ML_DSA_65_PUBLIC_SIZE, ML_DSA_65_PUBLIC_SIZE)
            text = self._bound(id, leaf)
        except VerificationFailed as why:
            raise _refused(f"forged: the enrolled key did not sign this directive: {why.message}") from None
        key_hash = tagged("cl1.key-id", _KEY.encode((_ML_DSA_65, key)))
        self.mandates[id] = Mandate(id, text, key_hash, time_ms)

    def _bound(self, id: str, leaf: DirectiveLeaf) -> Text:
        content = decode_binary(leaf.text, 1, TEXT_BYTES_MAX)
        commitment = tagged("cl1.consent", decode_binary(leaf.salt, 0, 64) + content)
        text = decode_file(content, Text, "a directive's text", TEXT_BYTES_MAX)
        lists = (text.actions, text.categories, text.grantees, text.labels, text.purposes, text.types)
        if any(list(one) != sorted(set(one)) for one in lists):  # type: ignore[type-var]
            raise _refused("a list of a directive is not sorted")
        if not text.is_whole:
            raise _refused("a directive has not the fields of its format")
        place = (decode_binary(text.organisation, 32, 32), decode_binary(text.handle, 32, 32))
        if (
            not self.controllers
            or commitment.hex() != id
            or place != (self.organisation, self.handle)
            or leaf.controller != self.key_id
        ):
            raise _refused("a directive is another chart's, or under another key")
        signature = decode_binary(leaf.binding, 0, SIGNED_BYTES_MAX)
        verify_signed(self.controllers[-1].key, commitment, signature)
        return text

    def override(self, body: bytes, time_ms: int) -> None:
        """One more emergency access, recorded at `time_ms`: none holds before that, nor longer than a day."""
        leaf = decode_file(body, Emergency, "an emergency access")
        from_ms, until_ms = max(leaf.from_ms, time_ms), min(leaf.until_ms, time_ms + DAY_MS)
        self.emergencies.append(msgspec.structs.replace(leaf, from_ms=from_ms, until_ms=until_ms))

    def stand(self, parts: list[files.StandingPart], state_root: bytes, before: int | None = None) -> None:
        """What the ledger says of each directive, in the chart's order. `before`: blocks of a former ledger, if any."""
        if len(parts) != len(self.mandates):
            raise _refused("the standing of a directive is missing, or one too many is there")
        for mandate, part in zip(self.mandates.values(), parts, strict=True):
            _stand(mandate, part, state_root, before or 0)
            if (part.kept is not UNSET) != (before is not None and part.said is UNSET):
                raise _refused("what followed of a directive is missing, or stands beside the network's own")
            if part.kept is not UNSET:
                _follow(mandate, part.kept, self.organisation, state_root, before or 0)

    @property
    def without_force(self) -> int:
        """Directives of the chart that the ledger does not know, or not with the key and period that she signed."""
        return sum(not mandate.status for mandate in self.mandates.values())

    def check(self, number: int, entry: AccessContent, types: list[str], bears: Bears) -> None:
        """The entry's decision, computed again. `types` are those of the record log's entries, "" for a bare one."""
        problem = self._problem(entry, types) or self._covered(entry, types, bears)
        if problem:
            raise _refused(f"access entry {number} was not allowed: {problem}")

    def _problem(self, entry: AccessContent, types: list[str]) -> str:
        if entry.leaves and entry.leaves[-1] >= len(types):
            return "it names an entry that is not in the record log"
        if not entry.permitted or entry.kind in NOTHING_LEFT:
            return "it was denied and something left" if entry.leaves else ""
        if entry.rule not in _RULES:
            return "no rule that permits decided it"
        problem = _RULES[entry.rule](self, entry, types)
        if entry.rule in ("custodian-default", "operator", "own-chart"):
            problem = problem or self._alone(entry)
        if problem or entry.rule not in ("custodian-default", "directive-permit"):
            return problem
        return self._denied(entry, types)

    def _default(self, entry: AccessContent, types: list[str]) -> str:
        if entry.purpose not in DEFAULT_PURPOSES:
            return "the purpose is none of the custodian's"
        return self._custodian(entry)

    def _custodian(self, entry: AccessContent) -> str:
        is_custodian = entry.organisation == f"did:careledger:{self.organisation.hex()}"
        return "" if is_custodian else "it was not the custodian"

    def _alone(self, entry: AccessContent) -> str:
        return "it names directives" if entry.directives else ""

    def _own(self, entry: AccessContent, types: list[str]) -> str:
        if entry.purpose not in OWN_PURPOSES or entry.roles:
            return "it was not the patient herself"
        return self._custodian(entry)

    def _operator(self, entry: AccessContent, types: list[str]) -> str:
        return self._custodian(entry)

    def _emergency(self, entry: AccessContent, types: list[str]) -> str:
        if entry.purpose != EMERGENCY_PURPOSE:
            return "it was no emergency"
        opened = any(
            one.practitioner == entry.actor
            and one.from_ms - REQUEST_MS_MAX <= entry.time_ms < one.until_ms + REQUEST_MS_MAX
            for one in self.emergencies
        )
        return "" if opened else "the chart holds no emergency access of this practitioner at this time"

    def _supporting(self, entry: AccessContent, types: list[str]) -> str:
        """What a house chart lends to whom a directive permits a patient's."""
        is_more = any(types[leaf] not in SUPPORTING_TYPES for leaf in entry.leaves)
        return "it is more than what supports a chart" if is_more else ""

    def _permitted(self, entry: AccessContent, types: list[str]) -> str:
        if not entry.directives:
            return "it names no directive"
        for id in entry.directives:
            mandate = self.mandates.get(id)
            if mandate is None:
                return "its directive is not in the chart"
            if not mandate.is_in_force(entry):
                return "its directive was not in force on the ledger"
            if self._is_replaced(mandate, entry.height, surely=True):
                return "its directive was superseded"
            text = mandate.text
            if text.effect != "permit" or not _is_meant(text, entry):
                return "its directive does not permit it"
        return ""

    def _covered(self, entry: AccessContent, types: list[str], bears: Bears) -> str:
        """Each part of what left was permitted by one of the directives, or is the custodian's by default."""
        if entry.rule != "directive-permit" or not entry.permitted or entry.kind in NOTHING_LEFT:
            return ""
        if not self._default(entry, types):
            return ""
        texts = [self.mandates[id].text for id in entry.directives]
        until_ms = entry.time_ms + REQUEST_MS_MAX
        for leaf in entry.leaves:
            if types[leaf] and not any(_covers(text, types[leaf], leaf, until_ms, bears) for text in texts):
                return "its directives permit no such type, category or label"
        return ""

    def _denied(self, entry: AccessContent, types: list[str]) -> str:
        """Why a directive that is active, and was at the entry's height, forbade it; those by code are not seen."""
        for mandate in self.mandates.values():
            text = mandate.text
            if mandate.status != ACTIVE or mandate.height > entry.height:
                continue
            if text.effect != "deny" or text.categories or text.labels or not _is_meant(text, entry):
                continue
            meant = not text.types or any(types[leaf] in text.types for leaf in entry.leaves)
            if meant and not self._is_replaced(mandate, entry.height, surely=False):
                return "a directive in force denied it"
        return ""

    def _is_replaced(self, mandate: Mandate, height: int, *, surely: bool) -> bool:
        """Another directive with force superseded it by then; one that was revoked since may have, but not surely."""
        return any(
            other.text.supersedes == mandate.id != other.id
            and (other.height <= height if other.status == ACTIVE else bool(other.status) and not surely)
            for other in self.mandates.values()
        )


Bears = Callable[[int, int, tuple[tuple[str, ...], ...]], bool]
"""Whether some version, recorded by then, of the resource at a leaf has one code of each of these lists."""
_RULES: Final = {
    "custodian-default": Consents._default,
    "operator": Consents._operator,
    "own-chart": Consents._own,
    "emergency": Consents._emergency,
    "directive-permit": Consents._permitted,
    "supporting": Consents._supporting,
}
"""Rules under which something may leave, and how each is computed again."""


def _is_meant(text: Text, entry: AccessContent) -> bool:
    """The directive is about this caller, purpose and day, and about access."""
    names: dict[str, Sequence[str]] = {
        "client": (),  # remembered, no permit
        "organisation": (entry.organisation,),
        "practitioner": (entry.actor, entry.subject),
        "role": entry.roles,
    }
    return (
        "access" in text.actions
        and text.from_day <= entry.time_ms // DAY_MS <= text.until_day
        and (not text.purposes or entry.purpose in text.purposes)
        and any(one.value and one.value in names[one.kind] for one in text.grantees)
    )


def _covers(text: Text, type: str, leaf: int, until_ms: int, bears: Bears) -> bool:
    """The directive is about this type, and about codes that the resource bears."""
    codes = tuple(tuple(one.code for one in ones) for ones in (text.categories, text.labels) if ones)
    return (not text.types or type in text.types) and (not codes or bears(leaf, until_ms, codes))


def _take(mandate: Mandate, said: SaidPart, before: int) -> bytes:
    """The mandate stands as the ledger says, if it is the one that was bound; the entry's bytes."""
    if said.status not in (1, 2):
        raise _refused("the standing of a directive is malformed")
    if not (0 <= said.until < 2**32 and 0 <= said.height < 2**53):
        raise _refused("the standing of a directive is out of range")
    key_hash, revocation = decode_binary(said.key, 32, 32), decode_binary(said.revocation, 32, 32)
    if (key_hash, said.until) == (mandate.key_hash, mandate.text.until_day):
        mandate.status, mandate.height = said.status, said.height + before
    return ENTRY_VALUE.encode((said.status, key_hash, said.until, revocation, said.height))


def _follow(mandate: Mandate, kept: KeptPart, organisation: bytes, state_root: bytes, before: int) -> None:
    """What followed counts as it stood in the former ledger, until it was withdrawn on the network."""
    value = None if kept.said is UNSET else _take(mandate, kept.said, 0)
    withdrawn = check_kept(kept, organisation, bytes.fromhex(mandate.id), value, state_root)
    if withdrawn is not None and mandate.status:
        mandate.status, mandate.height = REVOKED, before + withdrawn


def _stand(mandate: Mandate, part: files.StandingPart, state_root: bytes, before: int) -> None:
    key = compute_state_key("consent", "directive", bytes.fromhex(mandate.id))
    proof, value = decode_map_path(part.path), None
    said = part.said
    if said is not UNSET:
        if part.other is not UNSET:
            raise _refused("the standing of a directive is malformed")
        value = _take(mandate, said, before)
    elif part.other is not UNSET:
        other = decode_binary(part.other, 64, 64)
        proof = MapProof(proof.siblings, (other[:32], other[32:]))
    if root_from_proof(key, value, proof) != state_root:
        raise _refused("the standing of a directive is not in the ledger's state")


def _refused(message: str) -> VerificationFailed:
    return VerificationFailed(message, hint="the file was altered, or the custodian did what it may not")
