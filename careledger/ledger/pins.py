"""Pins: what the heads map said of one chart at an old block, and how that binds the chart as it is now.

A pin is part of a chart export (docs/spec/witness.md, Pins). It shows the heads of both logs as they stood at a block
of the signed history; the exported logs must begin with exactly these. Pure; raises VerificationFailed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from careledger.ledger.blocks import encode_history_leaf
from careledger.ledger.kernel import compute_state_key
from careledger.ledger.log import EMPTY_ROOT, Frontier, leaf_hash, verify_inclusion
from careledger.ledger.map_proof import MapProof, root_from_proof
from careledger.ledger.proof_fields import check_time, check_whole, decode_digest, refusal
from careledger.ledger.proof_files import (
    AnchorPart,
    BlockPart,
    decode_binary,
    decode_log_path,
    decode_map_path,
    encode_binary,
    encode_map_path,
)
from careledger.ledger.verification import ANCHOR_VALUE, HEAD_VALUE
from careledger.primitives.errors import VerificationFailed
from careledger.primitives.hashing import tagged

PINS_MAX: Final = 1_100
RECORDS: Final = 0
ACCESSES: Final = 1


class PinnedHead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Head of one log in the map of heads; size 0 is proved to be absent (`other`: the leaf in its place, if any)."""

    heads: str
    other: str | msgspec.UnsetType = msgspec.UNSET
    root: str
    size: int


class PinPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One pin; fields as in a receipt, `path` is the block's in the history under the export's signed note."""

    access: PinnedHead
    anchor: AnchorPart
    block: BlockPart
    path: str
    records: PinnedHead
    state: str


def make_head(size: int, root: bytes, proof: MapProof) -> PinnedHead:
    """The part for a head and its proof (of absence, if the size is 0)."""
    return PinnedHead(
        heads=encode_map_path(proof.siblings),
        other=msgspec.UNSET if proof.other is None else encode_binary(b"".join(proof.other)),
        root=encode_binary(root),
        size=size,
    )


def check_pins(
    pins: Sequence[PinPart],
    chart: tuple[bytes, bytes],
    leaves: tuple[Sequence[bytes] | None, Sequence[bytes]],
    record: tuple[int, bytes],
    history: tuple[int, bytes],
) -> None:
    """Returns only if every pin is of the signed history and the chart still begins with its heads.

    `chart` is organisation and handle. `leaves` are the leaf hashes of record log (None: not in the file) and access
    log, in order; `record` is the head of the record log, `history` size and root of the signed note.
    """
    if len(pins) > PINS_MAX:
        raise refusal("there are too many pins")
    for earlier, later in itertools.pairwise(pins):
        if earlier.block.height >= later.block.height:
            raise refusal("the pins are not in the order of their blocks")
    for log, name in ((RECORDS, "record"), (ACCESSES, "access")):
        heads = [pin.access if log else pin.records for pin in pins]
        for pin, head in zip(pins, heads, strict=True):
            _check_in_history(pin, head, log, chart, history)
        known = leaves[log]
        if known is not None:
            _check_begins(pins, heads, known, name)
        else:
            _check_heads(heads, record)


def _check_heads(heads: Sequence[PinnedHead], record: tuple[int, bytes]) -> None:
    """As far as heads can tell without the leaves: each size has one root, and none is above the newest."""
    roots = {0: EMPTY_ROOT, record[0]: record[1]}
    for head in heads:
        if head.size > record[0] or roots.setdefault(head.size, decode_digest(head.root)) != decode_digest(
            head.root
        ):
            raise refusal("the record log is shorter than it was pinned, or another one")


def _check_begins(
    pins: Sequence[PinPart], heads: Sequence[PinnedHead], leaves: Sequence[bytes], name: str
) -> None:
    roots = compute_prefix_roots(leaves, {head.size for head in heads})
    for pin, head in zip(pins, heads, strict=True):
        if roots.get(head.size) != decode_digest(head.root):
            raise VerificationFailed(
                f"the {name} log does not begin as it stood at block {pin.block.height}:"
                " an entry was dropped, altered or re-dated since",
                hint="keep the file and the checkpoint: together they prove it",
            )


def check_pinned(pins: Sequence[PinPart], trusted_size: int, height: int) -> None:
    """Returns only if a pin shows the chart at the last block of an older trusted checkpoint of `trusted_size`.

    `height` is the block of the export itself: a checkpoint that is not older than it needs no pin.
    """
    if trusted_size <= height and all(pin.block.height != trusted_size - 1 for pin in pins):
        raise VerificationFailed(
            "the export does not show how the chart stood at the trusted checkpoint",
            hint="have it made for that checkpoint: the custodian names it when exporting",
            code="not-pinned",
        )


def compute_prefix_roots(leaves: Sequence[bytes], sizes: Iterable[int]) -> dict[int, bytes]:
    """Root of the first n leaves (their hashes) for each wanted n that there is; one pass."""
    wanted = sorted(size for size in sizes if size <= len(leaves))
    roots = {0: EMPTY_ROOT}
    frontier = Frontier()
    for size in wanted:
        for leaf in leaves[frontier.size : size]:
            frontier.append(leaf)
        roots[size] = frontier.root()
    return roots


def check_pinned_state(
    pins: Sequence[PinPart], chart: tuple[bytes, bytes], height: int, app_hash: bytes
) -> None:
    """Returns only if the pin of block `height`, if there is one, is of the state with this root."""
    for pin in pins:
        if pin.block.height == height and _compute_state_root(pin, pin.access, ACCESSES, chart) != app_hash:
            raise VerificationFailed(
                "the pinned state is not the one under the trusted checkpoint",
                hint="keep both files: together they prove it",
            )


def _check_in_history(
    pin: PinPart, head: PinnedHead, log: int, chart: tuple[bytes, bytes], history: tuple[int, bytes]
) -> None:
    """The head stands in the map of heads that the state of a block of the signed history anchors."""
    state_root = _compute_state_root(pin, head, log, chart)
    leaf = leaf_hash(encode_history_leaf(check_whole(pin.block.height), pin.block.time, state_root))
    size, root = history
    try:
        verify_inclusion(leaf, pin.block.height, size, decode_log_path(pin.path), root)
    except VerificationFailed:
        raise refusal(f"the pinned block {pin.block.height} is not in the signed history") from None


def _compute_state_root(pin: PinPart, head: PinnedHead, log: int, chart: tuple[bytes, bytes]) -> bytes:
    """Root of the state that anchors a map of heads in which this head stands."""
    organisation, handle = chart
    value = HEAD_VALUE.encode((check_whole(head.size), decode_digest(head.root))) if head.size else None
    if not head.size and decode_digest(head.root) != EMPTY_ROOT:
        raise refusal("a head without leaves has a root")
    other = None
    if head.other is not msgspec.UNSET:
        raw = decode_binary(head.other, 64, 64)
        other = (raw[:32], raw[32:])
    key = tagged("cl1.head", bytes((log,)) + handle)
    heads_root = root_from_proof(key, value, MapProof(decode_map_path(head.heads).siblings, other))
    anchor = pin.anchor
    if not check_time(anchor.time) <= check_time(pin.block.time):
        raise refusal("a pinned anchor is later than its block")
    anchored = ANCHOR_VALUE.encode(
        (
            check_whole(anchor.seq),
            heads_root,
            anchor.time,
            check_whole(anchor.size),
            decode_digest(anchor.log),
        )
    )
    state_key = compute_state_key("records", "anchors", organisation)
    return root_from_proof(state_key, anchored, decode_map_path(pin.state))
