"""The logs of an export, read: every leaf's commitment, and the rules that leaves obey among each other.

`read_logs` reads the record log, `read_accesses` the access log (docs/spec/export.md, steps 1 to 6). That they stand in the
ledger is `export_verification`'s part. Pure. Errors: VerificationFailed, naming the entry.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from careledger.ledger import verification as proofs
from careledger.ledger.access_content import AccessContent, decode_content
from careledger.ledger.export_consent import Consents
from careledger.ledger.export_files import UNSET, AccessLogFile, ChartFile, EntryPart
from careledger.ledger.export_past import LATE_MS_MAX
from careledger.ledger.log import leaf_hash
from careledger.ledger.proof_fields import decode_digest
from careledger.ledger.proof_files import INTEGER_MAX, decode_binary, decode_file
from careledger.ledger.verification import ACCESS, Header
from careledger.primitives.errors import VerificationFailed
from careledger.primitives.hashing import tagged

Export: TypeAlias = ChartFile | AccessLogFile

TYPES: Final = {"guardian": "Controller", "directive": "Directive", "key": "KeyEvent"}
"""Leaves that are no FHIR resources: type by kind."""
EMERGENCY_TYPE: Final = "EmergencyAccess"
RESOURCES: Final = ("version", "deletion", "move")
ACCESS_BYTES_MAX: Final = 1 << 20
CLOCK_DRIFT_MS: Final = 10_000


class KeyEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of a leaf of kind key that names what was erased: places in the record log."""

    epoch: Annotated[int, msgspec.Meta(ge=1, le=INTEGER_MAX)]
    event: Literal["erase"]
    format: Literal["careledger/key-event/1"]
    leaves: list[Annotated[int, msgspec.Meta(ge=0, le=INTEGER_MAX)]]
    reason: str


@dataclass(slots=True)
class Logs:
    """Both logs of an export, read: leaf hashes, and what the leaves say."""

    organisation: bytes
    handle: bytes
    consents: Consents
    head: tuple[int, bytes] | None
    """Size and root of the record log, where an export has no more of it."""
    record: list[bytes] = field(default_factory=list)
    access: list[bytes] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    """When each entry was recorded; 0 for a bare one, which does not say."""
    kinds: dict[str, int] = field(default_factory=dict)
    versions: dict[tuple[str, str], int] = field(default_factory=dict)
    places: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """Entries by type and id."""
    moved_in: int = 0
    skipped: int = 0
    """Versions that are missing between others: as many bare entries must stand before."""
    newest_ms: int = 0
    bare: list[int] = field(default_factory=list)
    named: set[int] = field(default_factory=set)

    @property
    def size(self) -> int:
        """Entries of the record log."""
        return len(self.record) if self.head is None else self.head[0]


# ---- The record log -----------------------------------------------------------------------------------------


def read_logs(export: Export) -> Logs:
    """Every leaf's commitment, and the rules that leaves obey among each other."""
    organisation, handle = decode_digest(export.org), decode_digest(export.handle)
    head = None
    if isinstance(export, AccessLogFile):
        if not 0 < export.head.size <= INTEGER_MAX:
            raise _refused("the record log is empty")
        head = (export.head.size, decode_digest(export.head.root))
    logs = Logs(organisation, handle, Consents(organisation, handle), head)
    if isinstance(export, ChartFile):
        for number, part in enumerate(export.entries):
            try:
                logs.record.append(leaf_hash(_read_entry(logs, number, part)))
            except VerificationFailed as refused:
                raise _at(f"entry {number}", refused) from None
        if not logs.record:
            raise _refused("the record log is empty")
        if logs.named != set(logs.bare):
            raise _refused("an entry is withheld, or a key event names one that is there")
        if logs.newest_ms > _latest_ms(export):
            raise _refused("an entry is later than its block")
    return logs


def _latest_ms(export: Export) -> int:
    """Until when an entry may be dated. A network's time is its validators' and follows: entries were there before the
    signed header, by a clock that may be ahead of theirs by `CLOCK_DRIFT_MS`."""
    header = export.signed.header
    return export.block.time if isinstance(header, msgspec.UnsetType) else header.time + CLOCK_DRIFT_MS


def _read_entry(logs: Logs, number: int, part: EntryPart) -> bytes:
    """The commitment of entry `number`."""
    header = _open(logs, number, part)
    if header is None:
        logs.types.append("")
        logs.times.append(0)
        logs.bare.append(number)
        logs.kinds["erased"] = logs.kinds.get("erased", 0) + 1
        return decode_binary(str(part.leaf), 32, 32)
    kind, body = str(part.kind), str(part.body)
    if (kind == "enrolment") != (number == 0) or kind == "access":
        raise _refused("the first entry, and no other, is the enrolment; and none is an access")
    if number == 0 and (header.type, header.id, header.version, header.author) != ("", "", 0, ""):
        raise _refused("the enrolment says more than that")
    if header.time_ms < logs.newest_ms:
        raise _refused("it is earlier than the one before it")
    logs.newest_ms = header.time_ms
    logs.types.append(header.type)
    logs.times.append(header.time_ms)
    logs.kinds[kind] = logs.kinds.get(kind, 0) + 1
    if kind in TYPES or kind in RESOURCES:
        _check_form(header, kind, body)
        _count_version(logs, header, kind)
        _take_leaf(logs, header, kind, body.encode())
    elif body:
        raise _refused("this kind of entry has no body")
    return header.commitment(decode_digest(str(part.salt)))


def _open(logs: Logs, number: int, part: EntryPart) -> Header | None:
    fields = (part.author, part.body, part.id, part.kind, part.salt, part.time, part.type, part.version)
    if part.leaf is not UNSET:
        if any(one is not UNSET for one in fields) or number == 0:
            raise _refused("it is neither opened nor bare")
        return None
    if UNSET in fields:
        raise _refused("it is neither opened nor bare")
    author, body, id, kind, salt, time_ms, type, version = fields
    return proofs.make_header(
        organisation=logs.organisation,
        handle=logs.handle,
        kind=str(kind),
        type=str(type),
        id=str(id),
        version=version,  # type: ignore[arg-type]
        time_ms=time_ms,  # type: ignore[arg-type]
        author=str(author),
        body=tagged("cl1.body", decode_digest(str(salt)) + str(body).encode()),
    )


def _check_form(header: Header, kind: str, body: str) -> None:
    """Kind, type and body agree: a resource says what its header says."""
    if TYPES.get(kind, header.type) != header.type or (kind not in TYPES and header.type in TYPES.values()):
        raise _refused("its type is not one of its kind")
    if (kind in ("deletion", "move")) == bool(body):
        raise _refused("its kind has no body, or its body is missing")
    if kind != "version" or header.type == EMERGENCY_TYPE:
        return
    start = f'{{"resourceType":"{header.type}","id":"{header.id}","meta":{{"versionId":"{header.version}","lastUpdated":"'
    at = body[len(start) : len(start) + 24]
    if not body.startswith(start) or not _instant(header.time_ms - LATE_MS_MAX) <= at <= _instant(
        header.time_ms
    ):
        raise _refused("the resource does not say what its header says")


def _count_version(logs: Logs, header: Header, kind: str) -> None:
    """Versions of a resource count up without gaps, but for those of its time in another chart, and erased ones."""
    place = (header.type, header.id)
    before = logs.versions.get(place)
    step = header.version - abs(before or 0)
    logs.skipped += step - 1 if before is not None and before > 0 else 0
    if step < 1 or logs.skipped > len(logs.bare):
        raise _refused("a version of the resource is missing, or there twice")
    logs.moved_in += before is None and step > 1
    logs.versions[place] = -header.version if kind == "move" else header.version
    logs.places.setdefault(place, []).append(len(logs.times) - 1)


def _take_leaf(logs: Logs, header: Header, kind: str, body: bytes) -> None:
    if kind == "guardian":
        logs.consents.enrol(header.id, body)
    elif kind == "directive" and header.version == 1:  # nothing that comes later changes what it says
        logs.consents.add(header.id, body, header.time_ms)
    elif kind == "key":
        leaves = decode_file(body, KeyEvent, "a key event").leaves
        if max(leaves, default=0) >= len(logs.times) - 1:
            raise _refused("a key event names what came later")
        logs.named.update(leaves)
    elif header.type == EMERGENCY_TYPE and body:
        logs.consents.override(body, header.time_ms)


def bears(
    export: ChartFile, logs: Logs, leaf: int, until_ms: int, codes: tuple[tuple[str, ...], ...]
) -> bool:
    """As far as the chart can tell: what counted then may have been erased, or stand where the resource moved to."""
    places = logs.places.get((logs.types[leaf], str(export.entries[leaf].id)), ())
    parts = [export.entries[at] for at in places]
    if logs.bare or not parts or any(part.kind == "move" for part in parts):
        return True
    bodies = [str(part.body) for at, part in zip(places, parts, strict=True) if logs.times[at] <= until_ms]
    wanted = [[msgspec.json.encode(code).decode() for code in ones] for ones in codes]
    return any(all(any(code in body for code in ones) for ones in wanted) for body in bodies)


# ---- The access log -----------------------------------------------------------------------------------------


def read_accesses(export: Export, logs: Logs) -> list[AccessContent]:
    """Every access entry's commitment; what they say. A network's heights count from behind a former ledger's."""
    entries: list[AccessContent] = []
    newest_ms = 0
    for number, part in enumerate(export.access):
        try:
            content, salt = decode_binary(part.content, 0, ACCESS_BYTES_MAX), decode_digest(part.salt)
            entry = decode_content(content)
            digest = tagged("cl1.body", salt + content)
            header = Header(logs.organisation, logs.handle, ACCESS, "", "", number, entry.time_ms, "", digest)
            logs.access.append(leaf_hash(header.commitment(salt)))
            if entry.time_ms < newest_ms:
                raise _refused("it is earlier than the one before it")
            latest, before = _latest_height(export, number)
            if entry.height > latest or entry.time_ms > _latest_ms(export):
                raise _refused("it is later than the block")
        except VerificationFailed as refused:
            raise _at(f"access entry {number}", refused) from None
        newest_ms = entry.time_ms
        entries.append(replace(entry, height=entry.height + before) if before else entry)
    if not entries:
        raise _refused("the access log is empty: it does not even hold this export")
    return entries


def _latest_height(export: Export, number: int) -> tuple[int, int]:
    """At which height access entry `number` was decided at the latest, and how many blocks a former ledger had before."""
    former = export.former
    if former is UNSET:
        return export.block.height, 0
    if number < former.last.access.size:
        return former.size - 1, 0
    return export.block.height, former.size


# ---- Fields -------------------------------------------------------------------------------------------------


def _instant(time_ms: int) -> str:
    """As a resource's lastUpdated."""
    seconds, ms = divmod(max(time_ms, 0), 1000)
    return f"{_second(seconds)}.{ms:03d}Z"


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _at(place: str, refused: VerificationFailed) -> VerificationFailed:
    return VerificationFailed(f"{place}: {refused.message}", hint=refused.hint)


def _refused(message: str) -> VerificationFailed:
    return VerificationFailed(message, hint="the file was altered, or the custodian did what it may not")
