"""Light blocks from what an engine's RPC answers to `commit` and `validators`, as JSON.

Reading checks the form alone: whether a block holds is for `light` to say. Errors: Invalid.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from careledger.ledger.light import ABSENT, NO_SIGNATURE, Commit, CommitSig, LightBlock
from careledger.ledger.light_encoding import BlockId, EngineHeader, KeyAlgorithm, Validator, ValidatorSet
from careledger.primitives.errors import Invalid

KEY_TYPES: Final[dict[str, KeyAlgorithm]] = {
    "tendermint/PubKeyEd25519": "ed25519",
    "cometbft/PubKeyMlDsa65": "ml-dsa-65",
}
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")


class _Parts(msgspec.Struct):
    total: int
    hash: str


class _Block(msgspec.Struct):
    hash: str
    parts: _Parts


class _Version(msgspec.Struct):
    block: str = "0"
    app: str = "0"


class _Header(msgspec.Struct):
    version: _Version
    chain_id: str
    height: str
    time: str
    last_block_id: _Block
    last_commit_hash: str
    data_hash: str
    validators_hash: str
    next_validators_hash: str
    consensus_hash: str
    app_hash: str
    last_results_hash: str
    evidence_hash: str
    proposer_address: str


class _Signature(msgspec.Struct):
    block_id_flag: int
    validator_address: str
    timestamp: str
    signature: str | None


class _Commit(msgspec.Struct):
    height: str
    round: int
    block_id: _Block
    signatures: list[_Signature]


class _SignedHeader(msgspec.Struct):
    header: _Header
    commit: _Commit


class _CommitAnswer(msgspec.Struct):
    signed_header: _SignedHeader


class _Key(msgspec.Struct):
    type: str
    value: str


class _Validator(msgspec.Struct):
    pub_key: _Key
    voting_power: str


class _ValidatorsAnswer(msgspec.Struct):
    block_height: str
    validators: list[_Validator]
    total: str


def read_light_block(commit: bytes, validators: Sequence[bytes]) -> LightBlock:
    """The block of a `commit` answer and all pages of the `validators` answer of its height. Raises Invalid."""
    try:
        signed = msgspec.json.decode(commit, type=_CommitAnswer).signed_header
        pages = [msgspec.json.decode(page, type=_ValidatorsAnswer) for page in validators]
        members = [_read_validator(one) for page in pages for one in page.validators]
        if any(
            page.block_height != signed.header.height or int(page.total) != len(members) for page in pages
        ):
            raise _malformed("the validators are of another height, or not all there")
        return LightBlock(
            _read_header(signed.header), _read_commit(signed.commit), ValidatorSet(tuple(members))
        )
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise _malformed("a field is absent, or not of its form") from None


def _read_header(header: _Header) -> EngineHeader:
    return EngineHeader(
        chain_id=header.chain_id,
        height=int(header.height),
        time_ns=_read_time(header.time),
        last_block_id=_read_block(header.last_block_id),
        last_commit_hash=bytes.fromhex(header.last_commit_hash),
        data_hash=bytes.fromhex(header.data_hash),
        validators_hash=bytes.fromhex(header.validators_hash),
        next_validators_hash=bytes.fromhex(header.next_validators_hash),
        consensus_hash=bytes.fromhex(header.consensus_hash),
        app_hash=bytes.fromhex(header.app_hash),
        last_results_hash=bytes.fromhex(header.last_results_hash),
        evidence_hash=bytes.fromhex(header.evidence_hash),
        proposer_address=bytes.fromhex(header.proposer_address),
        block_version=int(header.version.block),
        app_version=int(header.version.app),
    )


def _read_commit(commit: _Commit) -> Commit:
    block = _read_block(commit.block_id)
    return Commit(int(commit.height), commit.round, block, tuple(map(_read_vote, commit.signatures)))


def _read_vote(vote: _Signature) -> CommitSig:
    if vote.block_id_flag == ABSENT and not vote.signature and not vote.validator_address:
        return NO_SIGNATURE
    return CommitSig(
        vote.block_id_flag,
        bytes.fromhex(vote.validator_address),
        _read_time(vote.timestamp),
        base64.b64decode(vote.signature or "", validate=True),
    )


def _read_validator(validator: _Validator) -> Validator:
    if validator.pub_key.type not in KEY_TYPES:
        raise _malformed("a validator has a key of a kind that is not in use")
    public = base64.b64decode(validator.pub_key.value, validate=True)
    return Validator(KEY_TYPES[validator.pub_key.type], public, int(validator.voting_power))


def _read_block(block: _Block) -> BlockId:
    return BlockId(bytes.fromhex(block.hash), block.parts.total, bytes.fromhex(block.parts.hash))


def _read_time(text: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 time in UTC."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise _malformed("a time is not of its form")
    seconds = datetime.fromisoformat(found[1]).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (seconds.days * 86_400 + seconds.seconds) * 1_000_000_000 + int((found[2] or "").ljust(9, "0"))


def _malformed(message: str) -> Invalid:
    return Invalid(f"the engine's answer cannot be read: {message}", hint="is it CometBFT v0.40?")
