"""Receipts and checkpoints out of the open home. Call while no group is in progress: heads and ledger must agree."""

from __future__ import annotations

from collections.abc import Sequence

import lmdb
import msgspec

from careledger.ledger.checkpoint import SignedCheckpoint
from careledger.ledger.log import inclusion_path
from careledger.ledger.proof_files import ReceiptFile, SignedPart, decode_file, encode_binary, encode_file
from careledger.ledger.store.lmdb import LmdbKV
from careledger.ledger.verification import HEAD_VALUE, Header
from careledger.ledger.witnessing import WitnessKey
from careledger.node import founding
from careledger.node.home import OpenHome
from careledger.node.lognodes import LogNodes
from careledger.node.receipts import Anchor, Block, Head, build_checkpoint, build_receipt, parse_header
from careledger.primitives.errors import Corrupt, Invalid, NotFound
from careledger.vault.commitments import derive
from careledger.vault.envelope import header_of, open_body
from careledger.vault.snapshot import VaultReader, VaultSnapshot
from careledger.vault.tables import RECORD_LOG


def parse_reference(text: str) -> tuple[str, str, int | None]:
    """`TYPE/ID` or `TYPE/ID/_history/V`. Raises Invalid."""
    parts = text.strip("/").split("/")
    if len(parts) == 2:
        return parts[0], parts[1], None
    if len(parts) == 4 and parts[2] == "_history" and parts[3].isascii() and parts[3].isdigit():
        return parts[0], parts[1], int(parts[3][:10])
    raise Invalid("not a reference to a version", hint="TYPE/ID, or TYPE/ID/_history/V")


def make_receipt(home: OpenHome, reader: VaultReader, reference: str) -> bytes:
    """The receipt of a version against the newest block. Raises NotFound."""
    type_, id_, number = parse_reference(reference)
    with reader.snapshot() as snapshot:
        version = snapshot.current(type_, id_) if number is None else snapshot.version(type_, id_, number)
        if version is None:
            raise NotFound(
                f"there is no such {type_ if type_.isalpha() else 'resource'}", hint="check type and id"
            )
        if version.erased:
            raise NotFound("this version was erased", hint="receipts made before stay valid")
        return make_leaf_receipt(home, snapshot, version.chart, version.leaf)


def make_leaf_receipt(home: OpenHome, snapshot: VaultSnapshot, chart: int, index: int) -> bytes:
    """The receipt of any leaf of a chart's record log. Raises NotFound if it was erased."""
    keys = home.keyring.get(chart)
    leaf = snapshot.open_leaf(chart, index)
    if leaf.opened is None:
        raise NotFound("this leaf was erased", hint="receipts made before stay valid")
    header = parse_header(header_of(keys, leaf.opened, open_body(keys, leaf.opened, leaf.body)))
    _, salt = derive(leaf.opened.secret)
    return _assemble(home, chart, index, header, salt)


def _assemble(home: OpenHome, chart: int, index: int, header: Header, salt: bytes) -> bytes:
    ledger = home.the_ledger
    with home.tables.env.begin() as txn:
        heads, key = LmdbKV(txn, home.tables.heads), founding.head_key(0, header.handle)
        value = home.heads.get(heads, key)
        size, root = (0, b"") if value is None else HEAD_VALUE.decode(value)
        if index >= size:
            raise NotFound("this version is not anchored yet", hint="repeat in a second", code="pending")
        nodes = LogNodes(txn, home.tables, chart, RECORD_LOG)
        path = inclusion_path(index, size, nodes.get)
        heads_proof = home.heads.prove(heads, key)
        kv = LmdbKV(txn, home.tables.ledger)
        state = founding.prove_anchor(ledger, kv, home.organisation)
        anchor = founding.read_anchor(state)
        if anchor.root != home.heads.root:
            raise Corrupt("the newest anchor is not of these heads", hint="run `careledger fsck`")
        return build_receipt(
            chain=ledger.chain_id,
            header=header,
            salt=salt,
            index=index,
            path=path,
            head=Head(size, root),
            heads_proof=heads_proof,
            anchor=Anchor(anchor.seq, anchor.root, anchor.time_ms, anchor.size, anchor.log_root),
            state_proof=state.proof,
            block=Block(ledger.height, ledger.time_ms, ledger.app_hash),
            signed=_sign(home, txn),
        )


def _sign(home: OpenHome, txn: lmdb.Transaction) -> SignedPart:
    """What is signed of the newest block."""
    if home.is_network:
        return home.the_signed_state.sign_newest()
    path = home.the_ledger.history_path(LmdbKV(txn, home.tables.ledger), home.height, home.height + 1)
    return SignedPart(note=home.sign_checkpoint(txn), path=encode_binary(b"".join(path)))


def with_note(home: OpenHome, receipt: bytes, note: SignedCheckpoint) -> bytes:
    """The same receipt under another checkpoint that covers its block."""
    file = decode_file(receipt, ReceiptFile, "the receipt")
    with home.tables.env.begin() as txn:
        kv = LmdbKV(txn, home.tables.ledger)
        path = home.the_ledger.history_path(kv, file.block.height, note.checkpoint.size)
    signed = SignedPart(note=note.note(), path=encode_binary(b"".join(path)))
    return encode_file(msgspec.structs.replace(file, signed=signed))


def make_checkpoint(
    home: OpenHome, note: str = "", witnesses: tuple[int, Sequence[WitnessKey]] | None = None
) -> bytes:
    """A checkpoint (the newest, if no note is given) with the operator's keys, or a network's newest signed header:
    what others keep."""
    if home.is_network:
        return home.the_signed_state.trust_file()
    ledger = home.the_ledger
    if not note:
        with home.tables.env.begin() as txn:
            note = home.sign_checkpoint(txn)
    return build_checkpoint(
        chain=ledger.chain_id,
        keys=[
            (ledger.origin, "ed25519", ledger.genesis.ed25519),
            (ledger.origin, "ml-dsa-44", ledger.genesis.ml_dsa_44),
        ],
        note=note,
        witnesses=witnesses,
    )
