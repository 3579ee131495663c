"""Receipts and checkpoints as files: pure assembly from parts that the store and the ledger give.

Only the state root is checked here (the caller may run `ledger.verification.verify_receipt` on the result), and
nothing is disclosed but the parts: no body, no secret, no other leaf. docs/spec/receipt.md is the format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from careledger.ledger.kernel import compute_state_key
from careledger.ledger.map_proof import MapProof, root_from_proof
from careledger.ledger.proof_files import (
    CHECKPOINT_FORMAT,
    RECEIPT_FORMAT,
    Algorithm,
    AnchorPart,
    BatchPart,
    BlockPart,
    CheckpointFile,
    HeaderPart,
    HeadPart,
    KeyPart,
    ReceiptFile,
    SignedPart,
    WitnessesPart,
    encode_binary,
    encode_file,
    encode_map_path,
)
from careledger.ledger.verification import ANCHOR_VALUE, HEADER, KINDS, Header
from careledger.ledger.witnessing import WitnessKey
from careledger.primitives.errors import Corrupt

_KIND_NAMES = {number: name for name, number in KINDS.items()}


@dataclass(frozen=True, slots=True)
class Head:
    """Size and root of the chart's record log, as they stood in the anchored map of heads."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Anchor:
    """The value of `records/<org>` in the state of the block: newest batch, size and root of the batch log."""

    seq: int
    root: bytes
    time_ms: int
    size: int
    log_root: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """An earlier batch whose map of heads is used instead of the newest, and the path of leaf `seq` in the batch log."""

    seq: int
    time_ms: int
    path: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Block:
    """The block whose state holds the anchor."""

    height: int
    time_ms: int
    state_root: bytes


def parse_header(encoded: bytes) -> Header:
    """The header whose canonical encoding the vault gives (`envelope.header_of`). Raises Invalid."""
    return HEADER.decode(encoded)


def build_receipt(
    *,
    chain: str,
    header: Header,
    salt: bytes,
    index: int,
    path: Sequence[bytes],
    head: Head,
    heads_proof: MapProof,
    anchor: Anchor,
    state_proof: MapProof,
    block: Block,
    signed: SignedPart,
    batch: Batch | None = None,
) -> bytes:
    """The receipt file. Log paths run from the leaf to the root.

    `signed` leads from the block to what the operator, witnesses or validators signed.
    """
    _check_state_root(header, anchor, state_proof, block)
    receipt = ReceiptFile(
        anchor=AnchorPart(
            log=encode_binary(anchor.log_root),
            seq=anchor.seq,
            size=anchor.size,
            time=anchor.time_ms,
        ),
        batch=msgspec.UNSET if batch is None else _batch_part(batch, anchor.root),
        block=BlockPart(height=block.height, time=block.time_ms),
        chain=chain,
        format=RECEIPT_FORMAT,
        head=HeadPart(root=encode_binary(head.root), size=head.size),
        header=_header_part(header),
        heads=encode_map_path(heads_proof.siblings),
        index=index,
        path=encode_binary(b"".join(path)),
        salt=encode_binary(salt),
        signed=signed,
        state=encode_map_path(state_proof.siblings),
    )
    return encode_file(receipt)


def build_checkpoint(
    *,
    chain: str,
    keys: Sequence[tuple[str, Algorithm, bytes]],
    note: str,
    witnesses: tuple[int, Sequence[WitnessKey]] | None = None,
) -> bytes:
    """The checkpoint file for `--trust`. `keys` are (name, "ed25519" | "ml-dsa-44", public key) of the operator.

    Every listed key must have signed `note` (a verifier refuses the file otherwise), and a key that is not listed
    is unknown to whoever trusts this file: list all keys of the operator, and let all of them sign.
    `witnesses` are k and the keys of the n witnesses; their lines in `note` need not be complete.
    """
    parts = [KeyPart(alg=alg, name=name, public=encode_binary(public)) for name, alg, public in keys]
    return encode_file(
        CheckpointFile(
            chain=chain,
            format=CHECKPOINT_FORMAT,
            keys=parts,
            mode="embedded",
            note=note,
            witnesses=msgspec.UNSET if witnesses is None else _witnesses_part(*witnesses),
        )
    )


def _witnesses_part(k: int, keys: Sequence[WitnessKey]) -> WitnessesPart:
    return WitnessesPart(
        k=k, keys=[KeyPart(alg="ed25519", name=key.name, public=encode_binary(key.public)) for key in keys]
    )


def _check_state_root(header: Header, anchor: Anchor, proof: MapProof, block: Block) -> None:
    """The state root is not written (a reader computes it): parts of different blocks would be seen by the reader only."""
    key = compute_state_key("records", "anchors", header.organisation)
    value = ANCHOR_VALUE.encode((anchor.seq, anchor.root, anchor.time_ms, anchor.size, anchor.log_root))
    if root_from_proof(key, value, proof) != block.state_root:
        raise Corrupt("the anchor is not in the state of this block", hint="run `careledger fsck`")


def _batch_part(batch: Batch, newest: bytes) -> BatchPart:
    return BatchPart(
        newest=encode_binary(newest),
        path=encode_binary(b"".join(batch.path)),
        seq=batch.seq,
        time=batch.time_ms,
    )


def _header_part(header: Header) -> HeaderPart:
    return HeaderPart(
        author=header.author,
        body=encode_binary(header.body),
        handle=encode_binary(header.handle),
        id=header.id,
        kind=_KIND_NAMES[header.kind],
        org=encode_binary(header.organisation),
        time=header.time_ms,
        type=header.type,
        version=header.version,
    )
