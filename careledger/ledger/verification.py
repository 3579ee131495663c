"""A receipt holds against a checkpoint, or it is refused with the step that fails.

`verify_receipt` is what `careledger verify` runs; `verifier/verify.py` is its stand-alone twin and shares no code.
Pure: no clock (the caller gives the time), no files. docs/spec/receipt.md numbers the steps.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, NoReturn, Protocol

import msgspec

from careledger.ledger import checkpoint as checkpoints
from careledger.ledger import proof_files as files
from careledger.ledger.blocks import encode_history_leaf
from careledger.ledger.execution import History
from careledger.ledger.kernel import compute_state_key
from careledger.ledger.light_files import NetworkTrust, check_final, read_network_trust
from careledger.ledger.log import leaf_hash, verify_inclusion
from careledger.ledger.map_proof import root_from_proof
from careledger.ledger.proof_fields import check_time, check_whole, decode_digest, refusal
from careledger.ledger.proof_files import UNSET
from careledger.primitives.encoding import DIGEST, U8, U64, Pair, Schema, Text
from careledger.primitives.errors import Invalid, VerificationFailed
from careledger.primitives.hashing import tagged
from careledger.primitives.signing import ML_DSA_44_PUBLIC_SIZE
from careledger.primitives.types import ChainId

Level = Literal["anchored", "witnessed", "final"]

KINDS: Final = {
    "enrolment": 0,
    "version": 1,
    "deletion": 2,
    "guardian": 3,
    "directive": 4,
    "key": 5,
    "move": 6,
    "close": 7,
    "access": 32,
}
"""What a leaf records, and its number in the header (protocol.md, Charts)."""
ACCESS: Final = KINDS["access"]
"""The only kind in an access log."""
CHAIN: Final = re.compile("cl-[0-9a-f]{32}")
KEY_NAME: Final = re.compile("[!-*,-~]{1,255}")
PLAIN: Final = re.compile("[!-~]*")
CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
CHECKPOINT_MARK: Final = b'"format":"careledger/checkpoint/1"'


@dataclass(frozen=True, slots=True)
class Header:
    """The opened header of a leaf: what was recorded, when (the operator's word), by whom."""

    organisation: bytes
    handle: bytes
    kind: int
    type: str
    id: str
    version: int
    time_ms: int
    author: str
    body: bytes

    def commitment(self, salt: bytes) -> bytes:
        """The leaf: H(`cl1.commit`, salt | enc(header))."""
        return tagged("cl1.commit", salt + HEADER.encode(self))


HEADER: Final = Schema(
    Header,
    organisation=DIGEST,
    handle=DIGEST,
    kind=U8,
    type=Text(64),
    id=Text(64),
    version=U64,
    time_ms=U64,
    author=Text(512),
    body=DIGEST,
)
HEAD_VALUE: Final = Pair(U64, DIGEST)
"""Value in the map of heads: size and root of a chart's log."""
BATCH_LEAF: Final = Pair(U64, DIGEST, U64)
"""Entry of an organisation's log of batches: seq, root, time."""
ANCHOR_VALUE: Final = Pair(U64, DIGEST, U64, U64, DIGEST)
"""Value of `records/<org>`: seq, root, time, size and root of the log of batches."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What a receipt proves: the header was leaf `index` of its chart's log no later than block `height`."""

    level: Level
    chain: str
    height: int
    as_of_ms: int
    header: Header
    index: int
    chart_size: int
    body_checked: bool


@dataclass(frozen=True, slots=True)
class Trust:
    """A trust file, read: a chain, the keys that may sign for it, and a checkpoint that all of them signed."""

    chain: str
    keys: tuple[NoteKey, ...]
    witnesses: tuple[NoteKey, ...]
    k: int
    level: Level
    max_age_s: int | None
    size: int
    root: bytes


def verify_receipt(
    data: bytes, trust: bytes, body: bytes | None = None, *, now_ms: int | None = None
) -> Verified:
    """Follows the receipt from its header to the signed checkpoint. Raises VerificationFailed at the first gap.

    `body` is the resource as the server gave it, byte for byte. `now_ms` is needed if the trust file limits the age of
    proofs, and on a network, whose headers are trusted for a time only.
    """
    trusted = read_any_trust(trust)
    if CHECKPOINT_MARK in data:
        _compare(read_any_trust(data), trusted)
    receipt = files.decode_file(data, files.ReceiptFile, "the receipt")
    if receipt.chain != trusted.chain:
        raise refusal("the receipt is of another ledger")
    header, salt = _header(receipt.header), decode_digest(receipt.salt)
    if body is not None and tagged("cl1.body", salt + body) != header.body:
        raise refusal("the body is not the one that was recorded")
    _check_chart(receipt, header, salt)
    newest = _check_batch(receipt, _compute_heads_root(receipt, header))
    state_root = compute_state_root(receipt, header.organisation, newest)
    level, _ = check_ledger(receipt, state_root, trusted, now_ms)
    return Verified(
        level=level,
        chain=receipt.chain,
        height=receipt.block.height,
        as_of_ms=receipt.block.time,
        header=header,
        index=receipt.index,
        chart_size=receipt.head.size,
        body_checked=body is not None,
    )


def _compare(other: Trust | NetworkTrust, trusted: Trust | NetworkTrust) -> NoReturn:
    """Two checkpoints alone show a fork, or which is the older one; not that one continues the other. Always raises."""
    if other.chain != trusted.chain:
        raise refusal("the checkpoint is of another ledger")
    if other.size < trusted.size:
        raise VerificationFailed(
            f"the checkpoint is an older one: size {other.size}, the trusted one's is {trusted.size}",
            hint="ask for the newest; if this was given as it, keep both files",
        )
    if other.size == trusted.size and _head_of(other) != _head_of(trusted):
        raise VerificationFailed(
            "equal heights with other roots: a fork", hint="keep both files: together they prove it"
        )
    raise VerificationFailed(
        "a checkpoint shows nothing beyond itself",
        hint="verify an export or a receipt that was made after it; careledger fsck --trust checks a home",
    )


def _head_of(trust: Trust | NetworkTrust) -> bytes:
    return trust.root if isinstance(trust, Trust) else trust.point.header_hash


def read_any_trust(data: bytes) -> Trust | NetworkTrust:
    """The trust file of an embedded ledger, or of a network. Raises VerificationFailed."""
    return read_network_trust(data) if files.read_mode(data) == "network" else read_trust(data)


def read_trust(data: bytes) -> Trust:
    """An embedded ledger's, if every one of its operator keys signed its checkpoint. Raises VerificationFailed."""
    file = files.decode_file(data, files.CheckpointFile, "the trust file")
    if CHAIN.fullmatch(file.chain) is None:
        raise refusal("the trust file names no chain")
    keys = _keys(file.keys, witness=False)
    witnesses, k = _witnesses(file.witnesses)
    if len({key.public for key in keys + witnesses}) != len(keys) + len(witnesses):
        raise refusal("the trust file lists a key twice")
    if file.level == "witnessed" and not witnesses:
        raise refusal("the trust file asks for witnesses and names none")
    checkpoint = check_note(file.note, file.chain, keys + witnesses)
    if not set(keys) <= checkpoint.signers:
        raise refusal("a key of the trust file has not signed its checkpoint")
    return Trust(
        chain=file.chain,
        keys=keys,
        witnesses=witnesses,
        k=k,
        level="witnessed" if file.level == "witnessed" else "anchored",
        max_age_s=None if file.max_age is msgspec.UNSET else check_whole(file.max_age),
        size=checkpoint.size,
        root=checkpoint.root,
    )


# ---- The steps ----------------------------------------------------------------------------------------------


def _check_chart(receipt: files.ReceiptFile, header: Header, salt: bytes) -> None:
    """The salted header is leaf `index` of the chart's log."""
    head = receipt.head
    _check_log(
        header.commitment(salt),
        receipt.index,
        head.size,
        receipt.path,
        decode_digest(head.root),
        "the version",
        "the chart",
    )


def _compute_heads_root(receipt: files.ReceiptFile, header: Header) -> bytes:
    """Root of the organisation's map of heads that holds the chart's head."""
    log = b"\1" if header.kind == ACCESS else b"\0"
    value = HEAD_VALUE.encode((check_whole(receipt.head.size), decode_digest(receipt.head.root)))
    key = tagged("cl1.head", log + header.handle)
    return root_from_proof(key, value, files.decode_map_path(receipt.heads))


def _check_batch(receipt: files.ReceiptFile, heads_root: bytes) -> bytes:
    """The root of the anchor's newest batch: `heads_root`, or one in whose log of batches that stands."""
    batch, anchor = receipt.batch, receipt.anchor
    if batch is msgspec.UNSET:
        return heads_root
    if check_whole(batch.seq) > check_whole(anchor.seq) or check_time(batch.time) > check_time(anchor.time):
        raise refusal("the batch is later than its anchor")
    leaf = BATCH_LEAF.encode((batch.seq, heads_root, batch.time))
    _check_log(
        leaf, batch.seq, anchor.size, batch.path, decode_digest(anchor.log), "the batch", "the log of batches"
    )
    return decode_digest(batch.newest)


class Anchored(Protocol):
    """The fields that receipts and exports share: from the map of heads to the signed history."""

    @property
    def anchor(self) -> files.AnchorPart: ...
    @property
    def block(self) -> files.BlockPart: ...
    @property
    def signed(self) -> files.SignedPart: ...
    @property
    def state(self) -> str: ...


def compute_state_root(proof: Anchored, organisation: bytes, newest: bytes) -> bytes:
    """Root of the ledger's state that holds the anchor, whose newest batch is `newest`."""
    anchor = proof.anchor
    if check_time(anchor.time) > check_time(proof.block.time):
        raise refusal("the anchor is later than its block")
    key = compute_state_key("records", "anchors", organisation)
    value = ANCHOR_VALUE.encode(
        (check_whole(anchor.seq), newest, anchor.time, check_whole(anchor.size), decode_digest(anchor.log))
    )
    return root_from_proof(key, value, files.decode_map_path(proof.state))


def check_ledger(
    proof: Anchored, state_root: bytes, trust: Trust | NetworkTrust, now_ms: int | None
) -> tuple[Level, History | None]:
    """The level at which the block with this state is signed, if that is enough and not too old.

    And the signed history: of a network, the one before its newest header, if the file shows it.
    """
    if isinstance(trust, NetworkTrust):
        if now_ms is None:
            raise ValueError("a network's headers are trusted for a time: now_ms is needed")
        history = check_final(proof.block, proof.signed, state_root, trust, now_ms)
        _check_age(proof.block.time, trust.max_age_s, now_ms)
        return "final", history
    level, history = _check_signed(proof, state_root, trust)
    if trust.level == "witnessed" and level != "witnessed":
        raise refusal("the proof is anchored; the trust file asks for witnessed")
    _check_age(proof.block.time, trust.max_age_s, now_ms)
    return level, history


def _check_signed(proof: Anchored, state_root: bytes, trust: Trust) -> tuple[Level, History]:
    """The block is in a signed history that agrees with the trusted one; how well that is signed."""
    block, signed = proof.block, proof.signed
    if (
        signed.note is UNSET
        or signed.path is UNSET
        or signed != files.SignedPart(note=signed.note, path=signed.path)
    ):
        raise refusal("the file is not signed as an embedded ledger's is")
    checkpoint = check_note(signed.note, trust.chain, trust.keys + trust.witnesses)
    if not checkpoint.signers & set(trust.keys):
        raise refusal("the checkpoint is not signed by the operator")
    leaf = encode_history_leaf(check_whole(block.height), block.time, state_root)
    _check_log(
        leaf, block.height, checkpoint.size, signed.path, checkpoint.root, "the block", "the signed history"
    )
    if checkpoint.size == trust.size and checkpoint.root != trust.root:
        raise VerificationFailed(
            "two signed checkpoints of equal height differ: the ledger has forked",
            hint="keep both files: together they prove it",
        )
    signed_by = {key.name for key in checkpoint.signers - set(trust.keys)}
    level: Level = "witnessed" if trust.witnesses and len(signed_by) >= trust.k else "anchored"
    return level, History(checkpoint.size, checkpoint.root)


def _check_log(entry: bytes, index: int, size: int, path: str, root: bytes, what: str, where: str) -> None:
    try:
        verify_inclusion(
            leaf_hash(entry), check_whole(index), check_whole(size), files.decode_log_path(path), root
        )
    except VerificationFailed as refused:
        raise refusal(f"{what} is not in {where}: {refused.message}") from None


def _check_age(time_ms: int, max_age_s: int | None, now_ms: int | None) -> None:
    """The proof is not older than the trust file allows."""
    if max_age_s is None:
        return
    if now_ms is None:
        raise ValueError("the trust file limits the age: now_ms is needed")
    if now_ms - time_ms > 1000 * max_age_s:
        raise refusal("the proof is older than the trust file allows")


# ---- Fields -------------------------------------------------------------------------------------------------


def _header(part: files.HeaderPart) -> Header:
    """The header, every field within its limits; type and id are plain ASCII, the author has no controls."""
    return make_header(
        decode_digest(part.org),
        decode_digest(part.handle),
        part.kind,
        part.type,
        part.id,
        part.version,
        part.time,
        part.author,
        decode_digest(part.body),
    )


def make_header(
    organisation: bytes,
    handle: bytes,
    kind: str,
    type: str,
    id: str,
    version: int,
    time_ms: int,
    author: str,
    body: bytes,
) -> Header:
    """The header of these fields, each within its limits."""
    if kind not in KINDS:
        raise refusal("the header has an unknown kind")
    for value, limit in ((type, 64), (id, 64)):
        if len(value) > limit or PLAIN.fullmatch(value) is None:
            raise refusal("the header names something malformed")
    if len(author.encode()) > 512 or CONTROL.search(author) is not None:
        raise refusal("the header names something malformed")
    number = KINDS[kind]
    return Header(
        organisation, handle, number, type, id, check_whole(version), check_time(time_ms), author, body
    )


# ---- Notes --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A key that may sign notes: the operator's or a witness's."""

    name: str
    note_type: bytes
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes that name it in a signature line."""
        return checkpoints.compute_key_id(self.name, self.note_type, self.public)


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A checkpoint all of whose signatures hold."""

    size: int
    root: bytes
    signers: frozenset[NoteKey]


def check_note(text: str, chain: str, keys: tuple[NoteKey, ...]) -> SignedHead:
    """The checkpoint in a note, if it is of `chain` and every signature is by one of `keys` and holds."""
    if len(text.encode()) > checkpoints.NOTE_SIZE_MAX:
        raise refusal("the note is too long")
    try:
        note = checkpoints.parse_note(text)
    except Invalid as invalid:
        raise refusal(f"the note is malformed: {invalid.message}") from None
    if note.checkpoint.origin != checkpoints.origin_of(ChainId(chain)):
        raise refusal("the note is no checkpoint of this chain")
    known = {(key.name, key.key_id): key for key in keys}
    signers: set[NoteKey] = set()
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None or key in signers:
            raise refusal("a signature is by an unknown key, or repeated")
        _check_note_signature(note, key, signature)
        signers.add(key)
    return SignedHead(check_whole(note.checkpoint.size), note.checkpoint.root, frozenset(signers))


def _check_note_signature(
    note: checkpoints.SignedCheckpoint, key: NoteKey, signature: checkpoints.NoteSignature
) -> None:
    if key.note_type == checkpoints.ED25519_TYPE:
        checkpoints.verify_note_ed25519(note, key.name, key.public)
    elif int.from_bytes(signature.signature[:8], "big") >= 1 << 63:
        raise refusal("a signature's time is out of range")
    elif key.note_type == checkpoints.ML_DSA_44_TYPE:
        checkpoints.verify_note_ml_dsa_44(note, key.name, key.public)
    else:
        checkpoints.verify_cosignature(note, key.name, key.public)


def _keys(parts: list[files.KeyPart], *, witness: bool) -> tuple[NoteKey, ...]:
    if not 1 <= len(parts) <= files.KEYS_MAX:
        raise refusal(f"1 to {files.KEYS_MAX} keys are needed")
    keys = []
    for part in parts:
        if KEY_NAME.fullmatch(part.name) is None:
            raise refusal("a key's name is not plain ASCII without space or plus")
        if part.alg == "ed25519":
            note_type = checkpoints.COSIGNATURE_TYPE if witness else checkpoints.ED25519_TYPE
            public = files.decode_binary(part.public, 32, 32)
        else:
            note_type = checkpoints.ML_DSA_44_TYPE
            public = files.decode_binary(part.public, ML_DSA_44_PUBLIC_SIZE, ML_DSA_44_PUBLIC_SIZE)
        keys.append(NoteKey(part.name, note_type, public))
    return tuple(keys)


def _witnesses(part: files.WitnessesPart | msgspec.UnsetType) -> tuple[tuple[NoteKey, ...], int]:
    if part is msgspec.UNSET:
        return (), 1
    keys = _keys(part.keys, witness=True)
    if not 1 <= part.k <= len({key.name for key in keys}):
        raise refusal("k of n witnesses cannot be had")
    return keys, part.k
