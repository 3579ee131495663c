"""The light client says what the engine's own says; what the engine does not check, it checks too."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from careledger.ledger.light import (
    COMMIT,
    NIL,
    NO_SIGNATURE,
    CommitSig,
    LightBlock,
    check_block,
    drop_unsound,
    trust_header,
    verify_block,
    verify_blocks,
)
from careledger.ledger.light_encoding import ValidatorSet, hash_header
from careledger.ledger.light_rpc import read_light_block
from careledger.primitives.errors import Invalid, VerificationFailed
from tests.conftest import VECTORS
from tests.verifier.synthetic_network import Blocks, sign, validators

ENGINE = json.loads((VECTORS / "engine_light.json").read_text())


def read(answers: dict[str, object]) -> LightBlock:
    """What an engine answered."""
    return read_light_block(
        json.dumps(answers["commit"]).encode(), [json.dumps(answers["validators"]).encode()]
    )


BLOCKS = {name: read(one) for name, one in ENGINE["blocks"].items()}


def holds(call: Callable[[], object]) -> bool:
    try:
        call()
    except VerificationFailed:
        return False
    return True


def test_headers_and_sets_hash_as_in_the_engine() -> None:
    kinds = set()
    for name, block in BLOCKS.items():
        assert hash_header(block.header).hex().upper() == ENGINE["blocks"][name]["hash"], name
        kinds |= {one.algorithm for one in block.validators.validators}
        if name not in ("set-swapped", "weight-inflated"):
            assert block.validators.hash == block.header.validators_hash, name
    assert kinds == {"ed25519", "ml-dsa-65"}


def test_every_step_holds_exactly_if_it_does_for_the_engines_light_client() -> None:
    """Blocks, signatures and verdicts are of CometBFT v0.40.0 (tests/ledger/engine_light/main.go)."""
    for case in ENGINE["cases"]:
        trusted, block = BLOCKS[case["trusted"]], BLOCKS[case["block"]]
        point = trust_header(trusted.header, trusted.validators)
        verdict = holds(lambda: verify_block(point, block, now_ns=int(case["now"])))  # noqa: B023
        assert verdict == case["holds"], case
    assert sum(case["holds"] for case in ENGINE["cases"]) == 14


def test_every_signature_that_is_there_must_hold() -> None:
    """The engine stops once two thirds are counted, and does not look at votes for nil."""
    block = BLOCKS["block-5"]
    votes = list(block.commit.signatures)
    votes[-1] = replace(votes[-1], signature=votes[0].signature)
    spoiled = replace(block, commit=replace(block.commit, signatures=tuple(votes)))
    assert not holds(lambda: check_block(spoiled, ENGINE["chain"]))
    check_block(drop_unsound(spoiled), ENGINE["chain"])
    nil = BLOCKS["block-4"]
    assert [vote.flag for vote in nil.commit.signatures].count(NIL) == 1
    check_block(nil, ENGINE["chain"])
    votes = [vote if vote.flag != NIL else replace(vote, flag=COMMIT) for vote in nil.commit.signatures]
    assert not holds(lambda: check_block(replace_votes(nil, votes), ENGINE["chain"]))
    assert NIL not in {vote.flag for vote in drop_unsound(nil).commit.signatures}


def replace_votes(block: LightBlock, votes: list[CommitSig]) -> LightBlock:
    return replace(block, commit=replace(block.commit, signatures=tuple(votes)))


def of(block: LightBlock, text: str) -> LightBlock:
    """The same header for another set, signed anew."""
    members = validators(text)
    return sign(replace(block.header, validators_hash=members.hash), members)


@pytest.fixture(scope="module")
def blocks() -> Blocks:
    return Blocks("cl-" + "0" * 32, [bytes([n]) * 32 for n in range(12)])


VOTES: dict[str, Callable[[LightBlock], LightBlock]] = {
    "absent, but signed": lambda b: replace_votes(
        b, [replace(b.commit.signatures[0], flag=1), *b.commit.signatures[1:]]
    ),
    "of no known kind": lambda b: replace_votes(
        b, [replace(b.commit.signatures[0], flag=4), *b.commit.signatures[1:]]
    ),
    "of another's address": lambda b: replace_votes(
        b,
        [
            replace(b.commit.signatures[0], address=b.validators.validators[1].address),
            *b.commit.signatures[1:],
        ],
    ),
    "a place too few": lambda b: replace_votes(b, list(b.commit.signatures[:-1])),
    "a place too many": lambda b: replace_votes(b, [*b.commit.signatures, NO_SIGNATURE]),
    "in another order": lambda b: replace_votes(b, list(b.commit.signatures[::-1])),
    "of another chain, signed for this one": lambda b: sign(
        replace(b.header, chain_id="cl-" + "f" * 32), b.validators, chain=b.header.chain_id
    ),
    "of other weights": lambda b: replace(
        b,
        validators=ValidatorSet(
            (replace(b.validators.validators[0], power=11), *b.validators.validators[1:])
        ),
    ),
    "a validator twice": lambda b: of(b, "e4:10 e4:10 e5:10"),
    "one without weight": lambda b: of(b, "e4:10 e5:0"),
    "nobody": lambda b: replace(
        replace_votes(b, []),
        header=replace(b.header, validators_hash=ValidatorSet(()).hash),
        validators=ValidatorSet(()),
    ),
}


@pytest.mark.parametrize("name", VOTES)
def test_a_commit_of_another_form_is_refused(blocks: Blocks, name: str) -> None:
    block = blocks.at(7)
    check_block(block, blocks.chain)
    assert not holds(lambda: check_block(VOTES[name](block), blocks.chain))
    if "place" in name:
        assert not holds(lambda: drop_unsound(VOTES[name](block)))


def test_exactly_two_thirds_and_exactly_one_third_are_too_few() -> None:
    """All compare with >, never with >=."""
    chain, hashes = "cl-" + "1" * 32, [bytes(32)] * 4
    for missing, enough in ((10, False), (9, True)):
        made = Blocks(chain, hashes, [f"e0:10 e1:10 e2:{missing}"] * 2, {2: {"e2": "absent"}})
        assert holds(lambda: check_block(made.at(2), chain)) == enough  # noqa: B023
    for weight, near in ((10, False), (11, True)):
        made = Blocks(chain, hashes, [f"e0:{weight} e1:10 e2:10", "e0:1 e8:1", "e0:1 e8:1"])
        point = trust_header(made.at(1).header, made.at(1).validators)
        assert holds(lambda: verify_block(point, made.at(3))) == near  # noqa: B023


def test_a_weight_that_hashes_as_another_is_refused() -> None:
    """Weights are hashed in 64 bits: one of 2**64 more would count for all, under the hash that was announced."""
    chain, announced = "cl-" + "4" * 32, "e0:10 e1:10 e2:10 e3:10"
    made = Blocks(chain, [bytes(32)] * 3, [announced] * 3)
    point, honest = trust_header(made.at(1).header, made.at(1).validators), made.at(2)
    assert holds(lambda: verify_block(point, honest))
    silent = dict.fromkeys(("e0", "e1", "e2"), "absent")
    forged = sign(replace(honest.header, app_hash=b"f" * 32), honest.validators, silent)
    for more in (0, 1 << 64, 1 << 65, 1 << 63):
        members = forged.validators.validators
        heavy = ValidatorSet((*members[:-1], replace(members[-1], power=10 + more)))
        assert not holds(lambda: verify_block(point, replace(forged, validators=heavy))), more  # noqa: B023


@pytest.mark.parametrize("number", [2**63, 2**64 + 2, -(2**63) - 1])
def test_numbers_that_the_engine_cannot_write_are_refused(blocks: Blocks, number: int) -> None:
    block = blocks.at(7)
    for commit in (replace(block.commit, round=number), replace(block.commit, height=number)):
        assert not holds(lambda: check_block(replace(block, commit=commit), blocks.chain))  # noqa: B023
    tall = replace(block, header=replace(block.header, height=number))
    assert not holds(lambda: check_block(tall, blocks.chain))
    assert not holds(lambda: hash_header(tall.header))


def test_older_blocks_need_two_thirds_of_the_trusted_validators() -> None:
    """Who has left may have sold its key: a third, which is enough ahead, is not enough behind."""
    sets = ["e0:10 e1:10 e2:10 e3:10", "e0:10 e1:10 e2:10 e4:10", "e0:10 e1:10 e5:10 e6:10"]
    made = Blocks("cl-" + "2" * 32, [bytes(32)] * 3, sets)
    second, third = (trust_header(made.at(n).header, made.at(n).validators) for n in (2, 3))
    assert holds(lambda: verify_block(second, made.at(1)))
    assert not holds(lambda: verify_block(third, made.at(1)))
    assert not holds(lambda: verify_block(third, made.at(2)))


def test_blocks_that_do_not_ascend_are_refused(blocks: Blocks) -> None:
    start = trust_header(blocks.at(1).header, blocks.at(1).validators)
    for heights in ((5, 5, 6), (6, 5), (5, 6, 5)):
        with pytest.raises(VerificationFailed, match="order"):
            verify_blocks(start, [blocks.at(one) for one in heights])


def test_times_of_the_engine_have_as_many_digits_as_they_need() -> None:
    answers = json.loads(json.dumps(ENGINE["blocks"]["block-1"]))
    found = []
    for fraction in ("", ".5", ".000000001", ".25"):
        answers["commit"]["signed_header"]["header"]["time"] = f"2026-09-21T14:00:00{fraction}Z"
        found.append(read(answers).header.time_ns)
    assert [time_ns - found[0] for time_ns in found] == [0, 500_000_000, 1, 250_000_000]


@pytest.mark.parametrize(
    "change",
    [
        lambda c, v: v.update(block_height="2"),
        lambda c, v: v.update(total="9"),
        lambda c, v: v["validators"][0]["pub_key"].update(type="tendermint/PubKeySecp256k1"),
        lambda c, v: v["validators"][0].update(voting_power="ten"),
        lambda c, v: c["signed_header"]["header"].update(time="yesterday"),
        lambda c, v: c["signed_header"]["header"].update(app_hash="xy"),
        lambda c, v: c["signed_header"]["commit"].pop("round"),
        lambda c, v: c["signed_header"]["commit"]["signatures"][0].update(signature="?"),
    ],
)
def test_an_answer_of_another_form_is_invalid(change: Callable[..., object]) -> None:
    answers = json.loads(json.dumps(ENGINE["blocks"]["block-1"]))
    change(answers["commit"], answers["validators"])
    with pytest.raises(Invalid, match="the engine's answer"):
        read(answers)
