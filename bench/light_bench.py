"""The light client, measured alone: `python -m bench.light_bench` prints the milliseconds of one header.

One header with four ML-DSA-65 signatures, all verified, from the one trusted before: CPU time of one process, with no
key parsed beforehand. And the whole signed part of a receipt, from its bytes.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import msgspec

from careledger.ledger.light import (
    COMMIT,
    Commit,
    CommitSig,
    LightBlock,
    trust_header,
    verify_block,
)
from careledger.ledger.light_encoding import (
    NO_BLOCK,
    BlockId,
    EngineHeader,
    Validator,
    ValidatorSet,
    encode_precommit,
    hash_header,
)
from careledger.ledger.light_files import NetworkTrust, check_final, compose_signed_part
from careledger.ledger.proof_files import BlockPart, SignedPart, encode_part
from careledger.primitives import signing
from careledger.primitives.hashing import sha256

VALIDATORS = 4
ROUNDS = 40
START_NS = 1_800_000_000_000_000_000


def make_block(height: int, last: BlockId) -> LightBlock:
    """A header that four validators with ML-DSA-65 keys signed."""
    seeds = [sha256(b"validator %d" % number) for number in range(VALIDATORS)]
    members = ValidatorSet(
        tuple(Validator("ml-dsa-65", signing.ml_dsa_65_public_key(seed), 10) for seed in seeds)
    )
    filler = sha256(b"filler")
    header = EngineHeader(
        chain_id="cl-" + "0" * 32,
        height=height,
        time_ns=START_NS + height * 1_000_000_000,
        last_block_id=last,
        last_commit_hash=filler,
        data_hash=filler,
        validators_hash=members.hash,
        next_validators_hash=members.hash,
        consensus_hash=filler,
        app_hash=sha256(b"state %d" % height),
        last_results_hash=filler,
        evidence_hash=filler,
        proposer_address=members.validators[0].address,
        block_version=11,
        app_version=1,
    )
    block = BlockId(hash_header(header), 1, filler)
    votes = []
    for seed, member in zip(seeds, members.validators, strict=True):
        message = encode_precommit(header.chain_id, height, 0, block, header.time_ns)
        votes.append(CommitSig(COMMIT, member.address, header.time_ns, signing.sign_ml_dsa_65(seed, message)))
    return LightBlock(header, Commit(height, 0, block, tuple(votes)), members)


def measure_ms(call: Callable[[], object]) -> float:
    """Median CPU time of a call that finds no key parsed."""
    times = []
    for _ in range(ROUNDS):
        signing._ml_dsa_65_key.cache_clear()
        started = time.thread_time()
        call()
        times.append(time.thread_time() - started)
    return 1000 * statistics.median(times)


def measure() -> dict[str, float]:
    """`header_ms`: one header; `signed_part_ms`: read from its bytes, with keys; `signed_part_bytes`: without them."""
    old = make_block(7, NO_BLOCK)
    new = make_block(8, old.commit.block_id)
    point = trust_header(old.header, old.validators)
    now_ms = START_NS // 1_000_000 + 60_000
    signed = encode_part(compose_signed_part([new], previous=old.header))
    block = BlockPart(height=7, time=old.header.time_ns // 1_000_000)

    def read() -> None:
        part = msgspec.json.decode(signed, type=SignedPart)
        check_final(block, part, new.header.app_hash, NetworkTrust(point, None), now_ms)

    lean = compose_signed_part([new], previous=old.header, known=[new.validators.hash])
    return {
        "header_ms": measure_ms(lambda: verify_block(point, new, now_ns=now_ms * 1_000_000)),
        "signed_part_ms": measure_ms(read),
        "signed_part_bytes": len(encode_part(lean)),
    }


def main() -> int:
    """Prints the figures."""
    figures = measure()
    print(f"light client, one header with {VALIDATORS} ML-DSA-65 signatures: {figures['header_ms']:.2f} ms")
    print(f"the signed part of a receipt, from its bytes: {figures['signed_part_ms']:.2f} ms")
    print(f"and its size, the validators' keys known: {figures['signed_part_bytes']:.0f} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
