"""An export is whole and was allowed, or it is refused with the step that fails (docs/spec/export.md numbers them).

`verify_export` is what `careledger verify` runs; `verifier/verify.py` is its stand-alone twin and shares no code.
Pure: no clock, no files. Errors: VerificationFailed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, partial
from itertools import pairwise
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from careledger.ledger import export_files as files
from careledger.ledger import verification as proofs
from careledger.ledger.execution import History
from careledger.ledger.export_consent import Consents
from careledger.ledger.export_files import UNSET, AccessContent, AccessLogFile, ChartFile, EntryPart
from careledger.ledger.export_past import LATE_MS_MAX, check_dated, check_kept, check_standings
from careledger.ledger.light_files import NetworkTrust
from careledger.ledger.log import EMPTY_ROOT, leaf_hash, node_hash
from careledger.ledger.map_proof import root_from_proof
from careledger.ledger.pins import check_pinned, check_pinned_state, check_pins
from careledger.ledger.proof_fields import decode_digest
from careledger.ledger.proof_files import INTEGER_MAX, decode_binary, decode_file, decode_map_path
from careledger.ledger.verification import (
    ACCESS,
    HEAD_VALUE,
    Header,
    Level,
    Trust,
    read_any_trust,
)
from careledger.primitives.errors import VerificationFailed
from careledger.primitives.hashing import tagged

Export: TypeAlias = ChartFile | AccessLogFile

TYPES: Final = {"guardian": "Controller", "directive": "Directive", "key": "KeyEvent"}
"""Leaves that are no FHIR resources: type by kind."""
_PLAIN: Final = re.compile("[^a-z-]")
EMERGENCY_TYPE: Final = "EmergencyAccess"
RESOURCES: Final = ("version", "deletion", "move")
ACCESS_BYTES_MAX: Final = 1 << 20
CLOCK_DRIFT_MS: Final = 10_000
HISTORY_BYTES_MAX: Final = files.HISTORY_SIZES_MAX * 2 * 53 * 32


class KeyEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of a leaf of kind key that names what was erased: places in the record log."""

    epoch: Annotated[int, msgspec.Meta(ge=1, le=INTEGER_MAX)]
    event: Literal["erase"]
    format: Literal["careledger/key-event/1"]
    leaves: list[Annotated[int, msgspec.Meta(ge=0, le=INTEGER_MAX)]]
    reason: str


@dataclass(frozen=True, slots=True)
class VerifiedExport:
    """What an export proves, as of block `height`."""

    level: Level
    chain: str
    height: int
    as_of_ms: int
    format: str
    organisation: bytes
    handle: bytes
    entries: int
    accesses: int
    rules: dict[str, int]
    """Access entries by the rule that decided."""
    kinds: dict[str, int]
    """Opened entries of the record log by kind; `erased` are the bare ones that a key event names."""
    key_id: str
    """Of the patient's enrolled key; "" if there is none, or the export does not show it."""
    directives: int
    without_force: int
    moved_in: int
    """Resources whose first version in this chart is not their first: they came from another chart."""
    continues: int
    """Size of the trusted checkpoint, whose history this one continues."""
    earlier: int | None
    """Entries of the earlier export that are all still there; None without one."""


def verify_export(
    data: bytes,
    trust: bytes,
    earlier: bytes | None = None,
    *,
    key_id: str | None = None,
    now_ms: int | None = None,
) -> VerifiedExport:
    """Follows every entry to the signed checkpoint. Raises VerificationFailed at the first gap.

    `earlier` is an export of the same chart, `key_id` the id of the key that must be enrolled.
    """
    trusted = read_any_trust(trust)
    export = files.decode_export(data)
    logs = _read_logs(export)
    entries = _read_accesses(export, logs)
    level, state = _check_ledger(export, logs, trusted, now_ms)
    is_network = isinstance(trusted, NetworkTrust)
    if not is_network:
        check_dated(export.pins or (), logs.times, entries, export.block.time)
    if isinstance(export, ChartFile):
        logs.consents.stand(export.directives, state)
        for number, entry in enumerate(entries):
            logs.consents.check(number, entry, logs.types, partial(_bears, export, logs))
    consents = logs.consents
    if key_id is not None and isinstance(export, AccessLogFile):
        raise _refused("an access-log export does not show the enrolled key: use a chart export")
    if key_id is not None and consents.key_id != key_id:
        raise _refused("the enrolled key is not the one that was given")
    return VerifiedExport(
        level=level,
        chain=export.chain,
        height=export.block.height,
        as_of_ms=export.block.time,
        format=export.format,
        organisation=logs.organisation,
        handle=logs.handle,
        entries=logs.size,
        accesses=len(logs.access),
        rules=dict(Counter(_PLAIN.sub("?", entry.rule) or "none" for entry in entries)),
        kinds=logs.kinds,
        key_id=consents.key_id,
        directives=len(consents.mandates),
        without_force=consents.without_force,
        moved_in=logs.moved_in,
        continues=trusted.size,
        earlier=None if earlier is None else _check_earlier(export, logs, earlier, is_network=is_network),
    )


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


def _read_logs(export: Export) -> Logs:
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


def _bears(
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


def _read_accesses(export: Export, logs: Logs) -> list[AccessContent]:
    """Every access entry's commitment; what they say."""
    entries: list[AccessContent] = []
    newest_ms = 0
    for number, part in enumerate(export.access):
        try:
            content, salt = decode_binary(part.content, 0, ACCESS_BYTES_MAX), decode_digest(part.salt)
            entry = files.decode_content(content)
            digest = tagged("cl1.body", salt + content)
            header = Header(logs.organisation, logs.handle, ACCESS, "", "", number, entry.time_ms, "", digest)
            logs.access.append(leaf_hash(header.commitment(salt)))
            if entry.time_ms < newest_ms:
                raise _refused("it is earlier than the one before it")
            if entry.height > export.block.height or entry.time_ms > _latest_ms(export):
                raise _refused("it is later than the block")
        except VerificationFailed as refused:
            raise _at(f"access entry {number}", refused) from None
        newest_ms = entry.time_ms
        entries.append(entry)
    if not entries:
        raise _refused("the access log is empty: it does not even hold this export")
    return entries


# ---- The ledger ---------------------------------------------------------------------------------------------


def _check_ledger(
    export: Export, logs: Logs, trust: Trust | NetworkTrust, now_ms: int | None
) -> tuple[Level, bytes]:
    """Both heads stand in the map of heads, that in the state, the state in a signed history. Returns its state root."""
    if export.chain != trust.chain:
        raise _refused("the export is of another ledger")
    record = logs.head or (len(logs.record), compute_root(logs.record))
    heads = _compute_heads_root(0, logs.handle, record, export.heads.record)
    access = (len(logs.access), compute_root(logs.access))
    if _compute_heads_root(1, logs.handle, access, export.heads.access) != heads:
        raise _refused("the two heads do not stand in one map of heads: an entry is missing, or was changed")
    state = proofs.compute_state_root(export, logs.organisation, heads)
    level, signed = proofs.check_ledger(export, state, trust, now_ms)
    if signed is None:
        raise _refused("the export does not show the history before its block")
    _check_continues(export, signed, trust)
    if export.pins == []:
        raise _refused("a list of pins that is empty is left out")
    pins = () if export.pins is UNSET else export.pins
    chart, leaves = (
        (logs.organisation, logs.handle),
        (logs.record if logs.head is None else None, logs.access),
    )
    check_pins(pins, chart, leaves, record, (signed.size, signed.root))
    check_pinned(pins, trust.size, export.block.height)
    if isinstance(trust, NetworkTrust):
        check_pinned_state(pins, chart, trust.size - 1, trust.point.app_hash)
    return level, state


def _compute_heads_root(log: int, handle: bytes, head: tuple[int, bytes], path: str) -> bytes:
    key = tagged("cl1.head", bytes([log]) + handle)
    return root_from_proof(key, HEAD_VALUE.encode(head), decode_map_path(path))


def _check_continues(export: Export, signed: History, trust: Trust | NetworkTrust) -> None:
    """The signed history begins with the one under the trusted checkpoint, and the export's block is not before it."""
    history = export.history
    roots = compute_roots(history)
    if history.sizes[-1] != signed.size or roots[-1] != signed.root:
        raise _refused("the parts of the history do not make the signed one")
    # Whatever note it carries, an export shows the chart as of its block. On a network the light client has come from
    # the trusted header to the signed one, whose state holds this history.
    is_older = trust.size > export.block.height + 1
    if is_older or (isinstance(trust, Trust) and trust.size not in history.sizes):
        raise VerificationFailed(
            "the export does not show that its history continues the trusted checkpoint",
            hint="export again: the export is older than the checkpoint"
            if is_older
            else "export again, with --since the checkpoint",
        )
    if isinstance(trust, Trust) and roots[history.sizes.index(trust.size)] != trust.root:
        raise VerificationFailed(
            "the history was written anew after the trusted checkpoint",
            hint="keep both files: together they prove it",
        )


def compute_roots(history: files.HistoryPart) -> list[bytes]:
    """The root at each size: `nodes` are the complete subtrees that cover what lies between one and the next."""
    sizes = history.sizes
    if not 1 <= len(sizes) <= files.HISTORY_SIZES_MAX or sizes[0] < 1 or sizes[-1] > INTEGER_MAX:
        raise _refused("the history has no sizes, or too many")
    if any(a >= b for a, b in pairwise(sizes)):
        raise _refused("the sizes of the history do not ascend")
    nodes = decode_binary(history.nodes, 32, HISTORY_BYTES_MAX)
    roots, start, at = [], 0, 0
    peaks: list[tuple[int, bytes]] = []
    for size in sizes:
        while start < size:
            level = (size - start).bit_length() - 1
            if start:
                level = min(level, (start & -start).bit_length() - 1)
            push(peaks, level, nodes[at : at + 32])
            start, at = start + (1 << level), at + 32
        roots.append(fold(peaks))
    if at != len(nodes):
        raise _refused("the history has a node too many, or too few")
    return roots


def compute_root(leaves: Iterable[bytes]) -> bytes:
    """RFC 6962 root of these leaf hashes."""
    peaks: list[tuple[int, bytes]] = []
    for leaf in leaves:
        push(peaks, 0, leaf)
    return fold(peaks)


def push(peaks: list[tuple[int, bytes]], level: int, node: bytes) -> None:
    """One more complete subtree, to the right of all others."""
    while peaks and peaks[-1][0] == level:
        node = node_hash(peaks.pop()[1], node)
        level += 1
    peaks.append((level, node))


def fold(peaks: Sequence[tuple[int, bytes]]) -> bytes:
    """The root over all subtrees."""
    root = peaks[-1][1] if peaks else EMPTY_ROOT
    for _, peak in peaks[-2::-1]:
        root = node_hash(peak, root)
    return root


# ---- An earlier export --------------------------------------------------------------------------------------


def _check_earlier(export: Export, logs: Logs, data: bytes, *, is_network: bool) -> int:
    """Every leaf of the earlier export stands where it stood. Returns how many there were."""
    former = files.decode_export(data)
    before = _read_logs(former)
    _read_accesses(former, before)
    if (former.chain, before.organisation, before.handle) != (export.chain, logs.organisation, logs.handle):
        raise _refused("the earlier export is of another chart")
    for mine, theirs in ((logs.record, before.record), (logs.access, before.access)):
        if mine and mine[: len(theirs)] != theirs:
            raise VerificationFailed(
                "an entry of the earlier export has gone, or was changed since",
                hint="keep both files: together they prove it",
            )
    if logs.size < before.size:
        raise _refused("the record log is shorter than it was")
    if before.head is not None and logs.record and compute_root(logs.record[: before.size]) != before.head[1]:
        raise _refused("the record log is not the one that the earlier export names")
    roots = dict(zip(export.history.sizes, compute_roots(export.history), strict=True))
    size = former.history.sizes[-1]
    if roots.get(size) != compute_roots(former.history)[-1] and size in roots:
        raise _refused("the earlier export is of another history")
    if isinstance(export, ChartFile) and isinstance(former, ChartFile):
        check_kept(logs.types, before.types, (*TYPES.values(), EMERGENCY_TYPE))
        check_standings(export.directives, former.directives, former.block.height, is_network=is_network)
    return before.size + len(before.access)


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
