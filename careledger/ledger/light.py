"""A header of the engine holds, or is refused: commits, validator sets, and the step from one trusted header to another.

What CometBFT's light client checks (light/verifier.go), and stricter: *every* signature that is there must hold. Pure:
no clock (`now_ns` is given, or None: then nothing is compared with it), no network. Errors: VerificationFailed.
docs/spec/receipt.md says which files rest on this.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from careledger.ledger.light_encoding import (
    NO_BLOCK,
    BlockId,
    EngineHeader,
    Validator,
    ValidatorSet,
    encode_precommit,
    hash_header,
)
from careledger.primitives.errors import VerificationFailed
from careledger.primitives.signing import verify_ed25519, verify_ml_dsa_65

TRUST_PERIOD_NS: Final = 14 * 86_400 * 1_000_000_000
"""protocol.md, Network: how long a validator answers for what it signed, less a week."""
CLOCK_DRIFT_NS: Final = 10 * 1_000_000_000
"""How far a header may be ahead of the reader's clock; the engine's own default."""
VALIDATORS_MAX: Final = 1_000
ABSENT, COMMIT, NIL = 1, 2, 3
"""What a place in a commit holds: nothing, a vote for the block, a vote for none. Only the second counts."""


@dataclass(frozen=True, slots=True)
class CommitSig:
    """What one validator, at its place in the set, said of a block. An absent one is all zeros."""

    flag: int
    address: bytes = b""
    time_ns: int = 0
    signature: bytes = b""


NO_SIGNATURE: Final = CommitSig(ABSENT)


@dataclass(frozen=True, slots=True)
class Commit:
    """Votes that made a block final: one place for each validator of its set."""

    height: int
    round: int
    block_id: BlockId
    signatures: tuple[CommitSig, ...]


@dataclass(frozen=True, slots=True)
class LightBlock:
    """A header, who signed it, and the set that was to."""

    header: EngineHeader
    commit: Commit
    validators: ValidatorSet


@dataclass(frozen=True, slots=True)
class TrustedPoint:
    """A header that the reader believes, and its validators: all that a light client starts from."""

    chain_id: str
    height: int
    header_hash: bytes
    time_ns: int
    app_hash: bytes
    validators: ValidatorSet
    next_validators_hash: bytes


def trust_header(header: EngineHeader, validators: ValidatorSet) -> TrustedPoint:
    """The point that a header gives which is believed on other grounds. Raises if the set is not its own."""
    _check_set(validators, header)
    return TrustedPoint(
        chain_id=header.chain_id,
        height=header.height,
        header_hash=hash_header(header),
        time_ns=header.time_ns,
        app_hash=header.app_hash,
        validators=validators,
        next_validators_hash=header.next_validators_hash,
    )


def verify_block(trusted: TrustedPoint, block: LightBlock, *, now_ns: int | None = None) -> TrustedPoint:
    """The point that this block gives, if it holds by itself and by what is trusted already.

    Later blocks: the next one's set is the one that the trusted header announces; for any other, over a third of the
    trusted set signed it. The trusted block: it is the same. An earlier block: over two thirds of the trusted set
    signed it (a third would do only if whoever left the set since could no longer sign).
    """
    check_block(block, trusted.chain_id)
    return _verify_step(trusted, block, now_ns)


def verify_blocks(
    trusted: TrustedPoint, blocks: Iterable[LightBlock], *, now_ns: int | None = None
) -> TrustedPoint:
    """The point of the last of these blocks, whose heights ascend.

    The others are bridges between sets too different for one step. Those before the trusted block are not needed, but
    must hold by themselves: nothing that is written is left unchecked.
    """
    point = trusted
    *bridges, last = blocks
    heights = [block.header.height for block in (*bridges, last)]
    if heights != sorted(set(heights)):
        raise _refused("the blocks are not in the order of their heights")
    for block in bridges:
        check_block(block, trusted.chain_id)
        if block.header.height >= trusted.height:
            point = _verify_step(point, block, now_ns)
    check_block(last, trusted.chain_id)
    return _verify_step(point, last, now_ns)


def check_block(block: LightBlock, chain_id: str) -> None:
    """Returns only if over two thirds of the block's own set signed it, and every signature holds."""
    _check_commit(block, chain_id)
    commit = block.commit
    for validator, vote in zip(block.validators.validators, commit.signatures, strict=True):
        _check_vote(chain_id, commit, validator, vote)


def _check_commit(block: LightBlock, chain_id: str) -> None:
    """As `check_block`, but for the signatures."""
    header, commit, validators = block.header, block.commit, block.validators
    if header.chain_id != chain_id:
        raise _refused("the header is of another chain")
    _check_set(validators, header)
    if header.height < 1 or commit.height != header.height:
        raise _refused("the commit is of another height")
    if commit.block_id.hash != hash_header(header):
        raise _refused("the commit is of another block")
    if len(commit.signatures) != len(validators.validators):
        raise _refused("the commit has not one place for each validator")
    if 3 * compute_power(block, validators) <= 2 * validators.power:
        raise _refused("not over two thirds of the validators signed the header")


def compute_power(block: LightBlock, validators: ValidatorSet) -> int:
    """How much weight in `validators`, whichever set that is, voted for the block. Signatures are not checked here."""
    votes = zip(block.validators.validators, block.commit.signatures, strict=True)
    signers = frozenset(one.public for one, vote in votes if vote.flag == COMMIT)
    return sum(one.power for one in validators.validators if one.public in signers)


def is_in_reach(trusted: TrustedPoint, block: LightBlock) -> bool:
    """One step leads to this later block: its set was announced, or over a third of the trusted one signed it.

    Signatures are not checked here.
    """
    if block.header.height == trusted.height + 1:
        return block.header.validators_hash == trusted.next_validators_hash
    return 3 * compute_power(block, trusted.validators) > trusted.validators.power


def drop_unsound(block: LightBlock) -> LightBlock:
    """The block without votes for nil, and without signatures that our stricter rules refuse though the engine did not.

    It holds as `check_block` says. Raises if what remains is not enough, or the block never held.
    """
    commit, kept = block.commit, []
    for validator, vote in zip(block.validators.validators, commit.signatures, strict=False):
        try:
            _check_vote(block.header.chain_id, commit, validator, vote)
        except VerificationFailed:
            vote = NO_SIGNATURE
        kept.append(vote if vote.flag == COMMIT else NO_SIGNATURE)
    kept += commit.signatures[len(kept) :]
    sound = replace(block, commit=replace(commit, signatures=tuple(kept)))
    _check_commit(sound, block.header.chain_id)
    return sound


# ---- The rules ----------------------------------------------------------------------------------------------


def _verify_step(trusted: TrustedPoint, block: LightBlock, now_ns: int | None) -> TrustedPoint:
    """From a point to a block that holds by itself."""
    header = block.header
    point = trust_header(header, block.validators)
    if header.height == trusted.height:
        if point.header_hash != trusted.header_hash:
            raise VerificationFailed(
                "two signed headers of one height differ: the network has forked",
                hint="keep both files: together they prove it",
            )
        return point
    _check_times(trusted, header, now_ns)
    if header.height > trusted.height:
        if not is_in_reach(trusted, block):
            raise _refused("the trusted validators do not vouch for the header: too few of them signed it")
    elif 3 * compute_power(block, trusted.validators) <= 2 * trusted.validators.power:
        raise _refused("the header is older than what is trusted, and its validators have changed since")
    return point


def _check_times(trusted: TrustedPoint, header: EngineHeader, now_ns: int | None) -> None:
    """Time runs as height does; what is trusted is not too old to be, and the header not from the future."""
    if (header.time_ns > trusted.time_ns) != (header.height > trusted.height):
        raise _refused("time does not run as the height does")
    if now_ns is None:
        return
    if now_ns >= trusted.time_ns + TRUST_PERIOD_NS:
        raise VerificationFailed(
            "the trusted header is over 14 days old: those who signed it answer for it no longer",
            hint="get a newer checkpoint from somebody whom you trust",
            code="trust-expired",
        )
    if header.time_ns >= now_ns + CLOCK_DRIFT_NS:
        raise VerificationFailed("the header is from the future", hint="set this machine's clock")


def _check_set(validators: ValidatorSet, header: EngineHeader) -> None:
    """The set is the header's, of validators that differ, each with some weight."""
    members = validators.validators
    if not 1 <= len(members) <= VALIDATORS_MAX:
        raise _refused(f"a set has 1 to {VALIDATORS_MAX} validators")
    if len({one.public for one in members}) != len(members) or any(one.power < 1 for one in members):
        raise _refused("a validator stands twice in its set, or has no weight")
    if validators.hash != header.validators_hash:
        raise _refused("the validators are not those of the header")


def _check_vote(chain_id: str, commit: Commit, validator: Validator, vote: CommitSig) -> None:
    """The vote is empty, or its validator's, for the block or for nil."""
    if vote.flag == ABSENT:
        if vote != NO_SIGNATURE:
            raise _refused("an absent vote says something")
        return
    if vote.flag not in (COMMIT, NIL) or vote.address != validator.address:
        raise _refused("a vote is of another validator, or of no known kind")
    block = commit.block_id if vote.flag == COMMIT else NO_BLOCK
    message = encode_precommit(chain_id, commit.height, commit.round, block, vote.time_ns)
    verify = verify_ed25519 if validator.algorithm == "ed25519" else verify_ml_dsa_65
    verify(validator.public, message, vote.signature)


def _refused(message: str) -> VerificationFailed:
    return VerificationFailed(message, hint="the file was altered, or is of another network or time")
