"""What a network signs, in files: trust files of mode `network`, and the signed part of receipts and exports there.

docs/spec/receipt.md gives the fields. Reading checks sizes and encodings here and the rest by `light`; composing gives
what reading accepts. Pure. Errors: VerificationFailed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from careledger.ledger import proof_files as files
from careledger.ledger.blocks import encode_history_leaf
from careledger.ledger.execution import HISTORY, History
from careledger.ledger.light import (
    COMMIT,
    NO_SIGNATURE,
    VALIDATORS_MAX,
    Commit,
    CommitSig,
    LightBlock,
    TrustedPoint,
    check_block,
    drop_unsound,
    trust_header,
    verify_blocks,
)
from careledger.ledger.light_encoding import (
    ADDRESS_SIZE,
    HEADER_FIELDS,
    NO_BLOCK,
    TIME_FIELD,
    BlockId,
    EngineHeader,
    Validator,
    ValidatorSet,
    encode_time,
    hash_header,
    prove_time,
)
from careledger.ledger.log import leaf_hash, verify_inclusion
from careledger.ledger.map_proof import MapProof, root_from_proof
from careledger.ledger.proof_fields import check_time, check_whole, decode_digest, refusal
from careledger.ledger.proof_files import UNSET, decode_binary, encode_binary
from careledger.primitives.errors import VerificationFailed
from careledger.primitives.signing import (
    ED25519_PUBLIC_SIZE,
    ED25519_SIGNATURE_SIZE,
    ML_DSA_65_PUBLIC_SIZE,
    ML_DSA_65_SIGNATURE_SIZE,
)

BRIDGES_MAX: Final = 64
ROUND_MAX: Final = 2**31 - 1
PARTS_MAX: Final = 2**32 - 1
MS_NS: Final = 1_000_000
KEY_SIZES: Final = {"ed25519": ED25519_PUBLIC_SIZE, "ml-dsa-65": ML_DSA_65_PUBLIC_SIZE}
NAME: Final = "the trust file"


@dataclass(frozen=True, slots=True)
class NetworkTrust:
    """A trust file of a network, read: one header that is believed, and its validators."""

    point: TrustedPoint
    max_age_s: int | None

    @property
    def chain(self) -> str:
        """The chain id."""
        return self.point.chain_id

    @property
    def size(self) -> int:
        """Leaves of the history that end with the state in the header: blocks 0 … height − 1."""
        return self.point.height


@dataclass(frozen=True, slots=True)
class PastProof:
    """The history log as the state under a header holds it: its root, the path to it, the path of an old block in it."""

    root: bytes
    state: MapProof
    path: Sequence[bytes] = ()


# ---- Reading ------------------------------------------------------------------------------------------------


def read_network_trust(data: bytes) -> NetworkTrust:
    """The trust file, if its validators are those of its header, and that has its hash."""
    file = files.decode_file(data, files.NetworkCheckpointFile, NAME)
    header = _read_header(file.header, file.chain)
    point = trust_header(header, _read_validators(file.validators))
    if point.header_hash != decode_digest(file.hash):
        raise refusal("the header of the trust file has another hash")
    return NetworkTrust(point, None if file.max_age is UNSET else check_whole(file.max_age))


def check_final(
    block: files.BlockPart, signed: files.SignedPart, state_root: bytes, trust: NetworkTrust, now_ms: int
) -> History | None:
    """Returns only if validators that the reader trusts made the block final, with this state.

    What the header's state says of the history before it, if the file shows that: exports must.
    """
    if signed.note is not UNSET or signed.header is UNSET or signed.commit is UNSET:
        raise refusal("the file is not signed as a network's is")
    blocks = _read_blocks(signed, signed.header, signed.commit, trust.point)
    verify_blocks(trust.point, blocks, now_ns=now_ms * MS_NS)
    header = blocks[-1].header
    past = None if signed.past is UNSET else _read_past(signed.past, header)
    if check_whole(block.height) == header.height - 1:
        if state_root != header.app_hash:
            raise refusal("the state is not the one that the header names")
        _check_block_time(block, signed, header)
    else:
        _check_in_past(block, signed, state_root, past)
    if block.height == trust.point.height - 1 and state_root != trust.point.app_hash:
        raise VerificationFailed(
            "the state is another one than the trusted header names: the network has forked",
            hint="keep both files: together they prove it",
        )
    return past


def _check_block_time(block: files.BlockPart, signed: files.SignedPart, header: EngineHeader) -> None:
    """`block.time` stands in the header of the block itself, which the signed one names as the one before."""
    if signed.time is UNSET or signed.path is not UNSET:
        raise refusal("the newest block is shown by its time, and by nothing else")
    leaf = leaf_hash(encode_time(_read_time(block.time, signed.time.nanos)))
    path = files.decode_log_path(signed.time.path)
    verify_inclusion(leaf, TIME_FIELD, HEADER_FIELDS, path, header.last_block_id.hash)


def _check_in_past(
    block: files.BlockPart, signed: files.SignedPart, state_root: bytes, past: History | None
) -> None:
    """The block is one of those before, in the history that the header's state holds."""
    if signed.time is not UNSET or signed.path is UNSET or past is None:
        raise refusal("an older block is shown by its place in the history")
    leaf = leaf_hash(encode_history_leaf(block.height, check_time(block.time), state_root))
    verify_inclusion(leaf, block.height, past.size, files.decode_log_path(signed.path), past.root)


def _read_past(part: files.PastPart, header: EngineHeader) -> History:
    """`sys/history` in the state that the header names: block h begins with the leaves of blocks 0 … h − 1."""
    past = History(header.height - 1, decode_digest(part.root))
    root = root_from_proof(
        HISTORY.state_key(b""), HISTORY.value.encode(past), files.decode_map_path(part.state)
    )
    if root != header.app_hash:
        raise refusal("the history is not the one that the header's state holds")
    return past


def _read_blocks(
    signed: files.SignedPart, header: files.EngineHeaderPart, commit: files.CommitPart, point: TrustedPoint
) -> list[LightBlock]:
    """Bridges, then the header on which the proof rests. A set that is not written is one met before."""
    bridges: list[files.BridgePart] = [] if signed.bridges is UNSET else signed.bridges
    if signed.bridges is not UNSET and not 1 <= len(bridges) <= BRIDGES_MAX:
        raise refusal(f"there are 1 to {BRIDGES_MAX} bridges, or none is named")
    known = {point.validators.hash: point.validators}
    blocks = []
    for part in (*bridges, files.BridgePart(commit=commit, header=header, validators=signed.validators)):
        head = _read_header(part.header, point.chain_id)
        if part.validators is not UNSET:
            validators = _read_validators(part.validators)
            known[validators.hash] = validators
        elif head.validators_hash in known:
            validators = known[head.validators_hash]
        else:
            raise VerificationFailed(
                "the validators have changed since the trusted header, and the file does not name them",
                hint="get the file anew, for this checkpoint; or a newer checkpoint",
            )
        blocks.append(LightBlock(head, _read_commit(part.commit, head, validators), validators))
    return blocks


def _read_header(part: files.EngineHeaderPart, chain: str) -> EngineHeader:
    last = NO_BLOCK
    if part.last is not UNSET:
        last = BlockId(
            decode_digest(part.last.hash),
            _limited(part.last.total, PARTS_MAX),
            decode_digest(part.last.parts),
        )
    return EngineHeader(
        chain_id=chain,
        height=check_whole(part.height),
        time_ns=_read_time(part.time, part.nanos),
        last_block_id=last,
        last_commit_hash=decode_digest(part.last_commit_hash),
        data_hash=decode_digest(part.data_hash),
        validators_hash=decode_digest(part.validators_hash),
        next_validators_hash=decode_digest(part.next_validators_hash),
        consensus_hash=decode_digest(part.consensus_hash),
        app_hash=decode_digest(part.app_hash),
        last_results_hash=decode_digest(part.last_results_hash),
        evidence_hash=decode_digest(part.evidence_hash),
        proposer_address=decode_binary(part.proposer, ADDRESS_SIZE, ADDRESS_SIZE),
        block_version=check_whole(part.version.block),
        app_version=check_whole(part.version.app),
    )


def _read_commit(part: files.CommitPart, header: EngineHeader, validators: ValidatorSet) -> Commit:
    """The commit of this header; validators that are not named signed nothing."""
    votes = [NO_SIGNATURE] * len(validators.validators)
    before = -1
    for vote in part.signatures:
        if not before < vote.index < len(votes):
            raise refusal("the signatures are not in the order of their validators")
        before = vote.index
        votes[vote.index] = CommitSig(
            COMMIT,
            validators.validators[vote.index].address,
            _read_time(vote.time, vote.nanos),
            decode_binary(vote.signature, ED25519_SIGNATURE_SIZE, ML_DSA_65_SIGNATURE_SIZE),
        )
    block = BlockId(hash_header(header), _limited(part.total, PARTS_MAX), decode_digest(part.parts))
    return Commit(header.height, _limited(part.round, ROUND_MAX), block, tuple(votes))


def _read_validators(parts: Sequence[files.ValidatorPart]) -> ValidatorSet:
    if len(parts) > VALIDATORS_MAX:
        raise refusal("there are too many validators")
    validators = []
    for part in parts:
        size = KEY_SIZES[part.alg]
        public = decode_binary(part.public, size, size)
        validators.append(Validator(part.alg, public, check_whole(part.power)))
    return ValidatorSet(tuple(validators))


def _read_time(time_ms: int, nanos: int) -> int:
    return check_time(time_ms) * MS_NS + _limited(nanos, MS_NS - 1)


def _limited(value: int, most: int) -> int:
    if not 0 <= value <= most:
        raise refusal("a number is out of range")
    return value


# ---- Composing ----------------------------------------------------------------------------------------------


def compose_signed_part(
    blocks: Sequence[LightBlock],
    *,
    previous: EngineHeader | None = None,
    past: PastProof | None = None,
    known: Sequence[bytes] = (),
) -> files.SignedPart:
    """The signed part that rests on the last of `blocks`; the others are bridges to it (`light.is_in_reach`).

    Of the newest block in that header's state: `previous` is the header of that block. Of an older one: `past` with
    its path. An export needs `past` in both cases. `known` are hashes of sets that every reader has: those that its
    oldest checkpoint names. Raises VerificationFailed if the commits do not hold once unsound signatures are dropped.
    """
    met, parts = set(known), []
    for block in map(drop_unsound, blocks):
        new = block.validators.hash not in met
        met.add(block.validators.hash)
        parts.append(
            files.BridgePart(
                commit=_commit_part(block.commit),
                header=_header_part(block.header),
                validators=_validator_parts(block.validators) if new else UNSET,
            )
        )
    *bridges, last = parts
    path = UNSET if past is None or previous is not None else encode_binary(b"".join(past.path))
    return files.SignedPart(
        bridges=bridges or UNSET,
        commit=last.commit,
        header=last.header,
        past=UNSET if past is None else _past_part(past),
        path=path,
        time=UNSET if previous is None else _time_part(previous),
        validators=last.validators,
    )


def make_trust_file(block: LightBlock) -> bytes:
    """The checkpoint file of mode `network`. Raises VerificationFailed if the block's commit does not hold."""
    check_block(block, block.header.chain_id)
    return files.encode_file(
        files.NetworkCheckpointFile(
            chain=block.header.chain_id,
            format=files.CHECKPOINT_FORMAT,
            hash=encode_binary(hash_header(block.header)),
            header=_header_part(block.header),
            mode="network",
            validators=_validator_parts(block.validators),
        )
    )


def _header_part(header: EngineHeader) -> files.EngineHeaderPart:
    last, (time_ms, nanos) = header.last_block_id, divmod(header.time_ns, MS_NS)
    named = files.BlockIdPart(
        hash=encode_binary(last.hash), parts=encode_binary(last.parts), total=last.total
    )
    return files.EngineHeaderPart(
        app_hash=encode_binary(header.app_hash),
        consensus_hash=encode_binary(header.consensus_hash),
        data_hash=encode_binary(header.data_hash),
        evidence_hash=encode_binary(header.evidence_hash),
        height=header.height,
        last=UNSET if last == NO_BLOCK else named,
        last_commit_hash=encode_binary(header.last_commit_hash),
        last_results_hash=encode_binary(header.last_results_hash),
        nanos=nanos,
        next_validators_hash=encode_binary(header.next_validators_hash),
        proposer=encode_binary(header.proposer_address),
        time=time_ms,
        validators_hash=encode_binary(header.validators_hash),
        version=files.VersionPart(app=header.app_version, block=header.block_version),
    )


def _commit_part(commit: Commit) -> files.CommitPart:
    votes = []
    for index, vote in enumerate(commit.signatures):
        if vote.flag == COMMIT:
            time_ms, nanos = divmod(vote.time_ns, MS_NS)
            votes.append(
                files.VotePart(
                    index=index, nanos=nanos, signature=encode_binary(vote.signature), time=time_ms
                )
            )
    return files.CommitPart(
        parts=encode_binary(commit.block_id.parts),
        round=commit.round,
        signatures=votes,
        total=commit.block_id.total,
    )


def _validator_parts(validators: ValidatorSet) -> list[files.ValidatorPart]:
    return [
        files.ValidatorPart(alg=one.algorithm, power=one.power, public=encode_binary(one.public))
        for one in validators.validators
    ]


def _past_part(past: PastProof) -> files.PastPart:
    return files.PastPart(root=encode_binary(past.root), state=files.encode_map_path(past.state.siblings))


def _time_part(header: EngineHeader) -> files.TimePart:
    return files.TimePart(nanos=header.time_ns % MS_NS, path=encode_binary(b"".join(prove_time(header))))
