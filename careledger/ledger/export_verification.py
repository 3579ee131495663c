"""An export is whole and was allowed, or it is refused with the step that fails (docs/spec/export.md numbers them).

`verify_export` is what `careledger verify` runs; `verifier/exports.py` is its stand-alone twin and shares no code.
Pure: no clock, no files. Errors: VerificationFailed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Final

import msgspec

from careledger.ledger import export_files as files
from careledger.ledger import verification as proofs
from careledger.ledger.execution import History
from careledger.ledger.export_files import UNSET, AccessLogFile, ChartFile
from careledger.ledger.export_former import check_former, compute_former_chain
from careledger.ledger.export_logs import EMERGENCY_TYPE, TYPES, Export, Logs, bears, read_accesses, read_logs
from careledger.ledger.export_past import check_dated, check_kept, check_standings
from careledger.ledger.light_files import NetworkTrust
from careledger.ledger.log import EMPTY_ROOT, node_hash
from careledger.ledger.map_proof import root_from_proof
from careledger.ledger.pins import check_pinned, check_pinned_state, check_pins
from careledger.ledger.proof_files import INTEGER_MAX, decode_binary, decode_map_path
from careledger.ledger.verification import HEAD_VALUE, Level, Trust, read_any_trust
from careledger.primitives.errors import VerificationFailed
from careledger.primitives.hashing import tagged

_PLAIN: Final = re.compile("[^a-z-]")
HISTORY_BYTES_MAX: Final = files.HISTORY_SIZES_MAX * 2 * 53 * 32


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
    logs = read_logs(export)
    entries = read_accesses(export, logs)
    level, state = _check_ledger(export, logs, trusted, now_ms)
    is_network = isinstance(trusted, NetworkTrust)
    if not is_network:
        check_dated(export.pins or (), logs.times, entries, export.block.time)
    if isinstance(export, ChartFile):
        before = None if export.former is UNSET else export.former.size
        logs.consents.stand(export.directives, state, before)
        for number, entry in enumerate(entries):
            logs.consents.check(number, entry, logs.types, partial(bears, export, logs))
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
    if export.former is not UNSET:
        if not isinstance(trust, NetworkTrust):
            raise _refused("an embedded ledger has no other before it")
        check_former(export.former, chart, leaves, record, state)
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
    before = read_logs(former)
    read_accesses(former, before)
    is_former = export.former is not UNSET and former.chain == compute_former_chain(export.former)
    chain = former.chain if is_former else export.chain
    if (former.chain, before.organisation, before.handle) != (chain, logs.organisation, logs.handle):
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
    if not is_former and size in roots and roots[size] != compute_roots(former.history)[-1]:
        raise _refused("the earlier export is of another history")
    if isinstance(export, ChartFile) and isinstance(former, ChartFile):
        check_kept(logs.types, before.types, (*TYPES.values(), EMERGENCY_TYPE))
        now = [_as_followed(part) for part in export.directives] if is_former else export.directives
        check_standings(now, former.directives, former.block.height, is_network=is_network)
    return before.size + len(before.access)


def _as_followed(part: files.StandingPart) -> files.StandingPart:
    """What the former ledger said of the directive, to be compared with what it said then."""
    said = UNSET if part.kept is UNSET else part.kept.said
    return msgspec.structs.replace(part, said=said)


def _refused(message: str) -> VerificationFailed:
    return VerificationFailed(message, hint="the file was altered, or the custodian did what it may not")
