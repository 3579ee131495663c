"""A network's receipts and exports hold from one trusted header, or are refused, alike in both verifiers."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from careledger.ledger import light_files
from careledger.ledger.export_verification import verify_export
from careledger.ledger.light import CLOCK_DRIFT_NS, TRUST_PERIOD_NS, LightBlock
from careledger.ledger.light_encoding import NO_BLOCK, ValidatorSet
from careledger.ledger.light_files import compose_signed_part, make_trust_file
from careledger.ledger.verification import verify_receipt
from careledger.primitives.errors import VerificationFailed
from tests.verifier import twins
from tests.verifier.synthetic_chart import HEIGHT, b64, canonical
from tests.verifier.synthetic_network import (
    OWNERS,
    SETS,
    NetworkChart,
    SyntheticNetwork,
    as_json,
    secret,
    sign,
    validators,
)
from tests.verifier.twins import EXPORTS, STANDALONE

Json = dict[str, Any]
NOW_MS = SyntheticNetwork.time_ms(13)
BRIDGES = (5, 8)
"""They lead from the first validators to those of block 11, of whom none is left."""


def verdict(receipt: bytes, trust: bytes, now_ms: int = NOW_MS) -> str:
    return twins.verdict(receipt, trust, now_ms=now_ms)


@pytest.fixture(scope="module")
def network() -> SyntheticNetwork:
    return SyntheticNetwork()


@pytest.fixture(scope="module")
def trust(network: SyntheticNetwork) -> bytes:
    return network.blocks.trust(1)


@pytest.fixture(scope="module")
def receipt(network: SyntheticNetwork) -> bytes:
    """Of block 6, under block 11, for whoever trusts any block."""
    return network.network_receipt(11, BRIDGES)


# ---- What holds ---------------------------------------------------------------------------------------------


def test_a_receipt_is_final_from_any_trusted_block(network: SyntheticNetwork, receipt: bytes) -> None:
    """Before, between, at and behind the bridges; and so is one without them, from where it is near."""
    for height in range(1, 13):
        assert verdict(receipt, network.blocks.trust(height)) == "final"
    near = network.network_receipt()
    assert [verdict(near, network.blocks.trust(n)) for n in (1, 4, 5, 6, 7, 8, 9, 12)] == [
        *["refused"] * 2, *["final"] * 4, *["refused"] * 2,
    ]  # fmt: skip
    verified = verify_receipt(receipt, network.blocks.trust(1), network.bodies[3], now_ms=NOW_MS)
    assert (verified.height, verified.as_of_ms) == (6, network.time_ms(6))
    assert (verified.level, verified.chain, verified.body_checked) == ("final", network.chain, True)


def test_sets_that_the_reader_knows_are_left_out(network: SyntheticNetwork, trust: bytes) -> None:
    """So that a receipt stays small: keys are half as long again as signatures."""
    own = network.network_receipt(12, (5, 8), known=[12])
    assert verdict(own, network.blocks.trust(12)) == "final"
    assert verdict(own, trust) == "refused"
    repeated = json.loads(network.network_receipt(11, (5, 8, 9)))["signed"]
    assert "validators" in repeated["bridges"][2] and "validators" not in repeated
    first = json.loads(network.network_receipt(11, (4, 5, 8), known=[1]))["signed"]["bridges"]
    assert ["validators" in one for one in first] == [False, True, True]


def test_the_signed_part_of_four_ml_dsa_validators_is_small() -> None:
    """protocol.md, Receipts: 20 kB with four."""
    network = SyntheticNetwork(height=2)
    small = network.network_receipt(known=[1])
    assert verdict(small, network.blocks.trust(1)) == "final"
    assert len(canonical(json.loads(small)["signed"])) < 20_000
    embedded = json.loads(network.receipt(3))
    assert len(small) - len(canonical(json.loads(small)["signed"])) == len(canonical(embedded)) - len(
        canonical(embedded["signed"])
    )


def test_one_of_four_may_be_missing_and_votes_for_nil_are_left_out() -> None:
    network = SyntheticNetwork(votes={7: {"e5": "nil"}, 11: {"e8": "absent"}, 12: {"e8": "nil"}})
    assert verdict(network.network_receipt(), network.blocks.trust(6)) == "final"
    signed = json.loads(network.network_receipt(12, BRIDGES))["signed"]
    assert [vote["index"] for vote in signed["commit"]["signatures"]] == [0, 1, 3]
    assert verdict(network.network_receipt(12, BRIDGES), network.blocks.trust(1)) == "final"
    two = SyntheticNetwork(votes={7: {"e5": "nil", "e4": "absent"}})
    with pytest.raises(VerificationFailed, match="two thirds"):
        two.network_receipt()


@pytest.mark.parametrize("header", [7, 8])
def test_the_trust_period_and_the_readers_clock(network: SyntheticNetwork, header: int) -> None:
    receipt, trust = network.network_receipt(header), network.blocks.trust(6)
    end = (network.blocks.at(6).header.time_ns + TRUST_PERIOD_NS) // 1_000_000
    assert [verdict(receipt, trust, now) for now in (end, end + 1)] == ["final", "refused"]
    early = (network.blocks.at(header).header.time_ns - CLOCK_DRIFT_NS) // 1_000_000
    assert [verdict(receipt, trust, now) for now in (early, early + 1)] == ["refused", "final"]
    # The trusted header itself needs nobody's word, however old.
    assert verdict(receipt, network.blocks.trust(header), end + 10**12) == "final"
    with pytest.raises(ValueError, match="now_ms"):
        verify_receipt(receipt, trust)
    aged = network.blocks.trust(6, max_age=60, level="final")
    limit = network.block.time_ms + 60_000
    assert [verdict(receipt, aged, now) for now in (limit, limit + 1)] == ["final", "refused"]


# ---- Altered files ------------------------------------------------------------------------------------------


def test_one_altered_byte_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a receipt with a bridge and Ed25519 alone, so that many can be tried; tests/campaigns/verifier.py tries all."""
    sets = ["e0:10 e1:10 e2:10", *["e0:5 e1:10 e3:20"] * 2, *["e3:10 e4:10 e5:10"] * 4]
    network = SyntheticNetwork(height=4, sets=sets)
    trust, receipt = network.blocks.trust(1), network.network_receipt(5, (2,))
    assert verdict(receipt, trust) == "final"
    assert verdict(network.network_receipt(5), trust) == "refused"
    parsed = STANDALONE.read_trust(trust)
    monkeypatch.setattr(STANDALONE, "read_trust", lambda data: parsed)
    draw = random.Random(7)
    for at in range(draw.randrange(3), len(receipt), 3):
        flipped = bytes([receipt[at] ^ draw.choice((1, 2, 4, 32, 128, 255))])
        assert verdict(receipt[:at] + flipped + receipt[at + 1 :], trust) == "refused", f"byte {at}"


def test_one_altered_byte_of_the_checkpoint_is_refused(network: SyntheticNetwork) -> None:
    receipt, trust = network.network_receipt(), network.blocks.trust(6)
    for at in [*range(0, len(trust), 5), *range(len(trust) - 1_000, len(trust))]:
        altered = trust[:at] + bytes([trust[at] ^ 1]) + trust[at + 1 :]
        assert verdict(receipt, altered) == "refused", f"byte {at}"


def put(*path: str | int, value: object) -> Callable[[Json], None]:
    def change(part: Any) -> None:
        for name in path[:-1]:
            part = part[name]
        part[path[-1]] = value

    return change


def bump(*path: str | int, by: int = 1) -> Callable[[Json], None]:
    def change(part: Any) -> None:
        for name in path[:-1]:
            part = part[name]
        part[path[-1]] += by

    return change


def drop(*path: str | int) -> Callable[[Json], None]:
    def change(part: Any) -> None:
        for name in path[:-1]:
            part = part[name]
        del part[path[-1]]

    return change


def several(*changes: Callable[[Json], None]) -> Callable[[Json], None]:
    def change(part: Json) -> None:
        for one in changes:
            one(part)

    return change


def exchange(*path: str) -> Callable[[Json], None]:
    """The first two of a list."""

    def change(part: Any) -> None:
        for name in path:
            part = part[name]
        part[0], part[1] = part[1], part[0]

    return change


def move(source: str, target: str) -> Callable[[Json], None]:
    return lambda part: part.update({target: part.pop(source)})


OTHER = b64(bytes(31) + b"\1")
HASHES = (
    "app_hash", "consensus_hash", "data_hash", "evidence_hash", "last_commit_hash", "last_results_hash",
    "next_validators_hash", "validators_hash",
)  # fmt: skip
HEADER: dict[str, Callable[[Json], None]] = {
    **{name: put(name, value=OTHER) for name in HASHES},
    **{f"short-{name}": put(name, value=b64(bytes(20))) for name in HASHES},
    **{name: bump(name) for name in ("height", "time", "nanos")},
    "height-0": put("height", value=0),
    "nanos-of-a-millisecond": put("nanos", value=1_000_000),
    "last-hash": put("last", "hash", value=OTHER),
    "last-parts": put("last", "parts", value=OTHER),
    "last-total": bump("last", "total"),
    "last-total-of-33-bits": put("last", "total", value=2**32),
    "no-last": drop("last"),
    "proposer": put("proposer", value=b64(bytes(20))),
    "app-version": bump("version", "app"),
    "block-version": bump("version", "block"),
    "unknown-field": put("chain_id", value="x"),
}
"""Alterations of an engine's header."""
SIGNED: dict[str, Callable[[Json], None]] = {
    "another-block": put("commit", "parts", value=OTHER),
    "another-total": bump("commit", "total"),
    "another-round": bump("commit", "round"),
    "round-0": put("commit", "round", value=0),
    "round-of-32-bits": put("commit", "round", value=2**31),
    "two-signatures": several(drop("commit", "signatures", 3), drop("commit", "signatures", 1)),
    "no-signature": put("commit", "signatures", value=[]),
    "signature-of-zeros": put("commit", "signatures", 0, "signature", value=b64(bytes(64))),
    "signature-absent": put("commit", "signatures", 0, "signature", value=""),
    "signed-later": bump("commit", "signatures", 0, "time"),
    "signed-nanoseconds-later": bump("commit", "signatures", 2, "nanos"),
    "nanos-of-a-millisecond": put("commit", "signatures", 0, "nanos", value=1_000_000),
    "signatures-exchanged": exchange("commit", "signatures"),
    "signed-twice": lambda s: s["commit"]["signatures"].insert(1, s["commit"]["signatures"][0]),
    "by-the-next-one": several(
        drop("commit", "signatures", 1), put("commit", "signatures", 0, "index", value=1)
    ),
    "by-nobody": put("commit", "signatures", 3, "index", value=4),
    "set-exchanged": exchange("validators"),
    "weight-inflated": bump("validators", 0, "power", by=100),
    "weight-0": put("validators", 0, "power", value=0),
    "validator-missing": drop("validators", 3),
    "validator-added": lambda s: s["validators"].append(s["validators"][0]),
    "no-validators": put("validators", value=[]),
    "validators-unnamed": drop("validators"),
    "other-algorithm": put("validators", 0, "alg", value="ml-dsa-65"),
    "unknown-algorithm": put("validators", 0, "alg", value="secp256k1"),
    "short-key": put("validators", 0, "public", value=b64(bytes(31))),
    "bridge-dropped": drop("bridges", 0),
    "other-bridge-dropped": drop("bridges", 1),
    "no-bridges": drop("bridges"),
    "empty-bridges": put("bridges", value=[]),
    "bridges-exchanged": exchange("bridges"),
    "bridge-twice": lambda s: s["bridges"].insert(0, s["bridges"][0]),
    "bridge-altered": put("bridges", 0, "header", "app_hash", value=OTHER),
    "bridge-unsigned": put("bridges", 1, "commit", "signatures", value=[]),
    "65-bridges": lambda s: s.update(bridges=s["bridges"][:1] * 65),
    "no-commit": drop("commit"),
    "no-header": drop("header"),
    "a-note-too": put("note", value=""),
    "no-past": drop("past"),
    "past-of-another-root": put("past", "root", value=OTHER),
    "past-of-another-state": lambda s: s["past"].update(state=s["past"]["state"][:-4] + "AAAA"),
    "no-path": drop("path"),
    "empty-path": put("path", value=""),
    "a-time-too": put("time", value={"nanos": 0, "path": ""}),
    "unknown-field": put("app_hash", value=OTHER),
    **{f"header-{name}": (lambda s, change=change: change(s["header"])) for name, change in HEADER.items()},
    **{
        f"bridge-{name}": (lambda s, change=change: change(s["bridges"][1]["header"]))
        for name, change in HEADER.items()
    },
}
"""Of block 6 under block 11, with two bridges."""
NEWEST: dict[str, Callable[[Json], None]] = {
    "no-time": drop("time"),
    "other-nanos": bump("time", "nanos"),
    "nanos-of-a-millisecond": several(bump("time", "nanos", by=1_000_000)),
    "time-of-another-header": put("time", "path", value=b64(bytes(128))),
    "short-path": lambda s: s["time"].update(path=s["time"]["path"][:43]),
    "a-path-too": put("path", value=""),
    "no-last": drop("header", "last"),
}
"""Of block 6 under block 7."""


@pytest.mark.parametrize("name", SIGNED)
def test_an_altered_signed_part_is_refused(receipt: bytes, trust: bytes, name: str) -> None:
    altered = json.loads(receipt)
    SIGNED[name](altered["signed"])
    assert verdict(canonical(altered), trust) == "refused"


@pytest.mark.parametrize("name", NEWEST)
def test_an_altered_proof_of_the_newest_block_is_refused(network: SyntheticNetwork, name: str) -> None:
    altered = json.loads(network.network_receipt())
    NEWEST[name](altered["signed"])
    assert verdict(canonical(altered), network.blocks.trust(6)) == "refused"


def test_old_bridges_hold_too(network: SyntheticNetwork, receipt: bytes) -> None:
    """Whoever trusts block 9 needs no bridge; but nothing stands in a file that is not checked."""
    assert verdict(receipt, network.blocks.trust(9)) == "final"
    for change in (put("header", "app_hash", value=OTHER), bump("commit", "round"), drop("validators", 0)):
        altered = json.loads(receipt)
        change(altered["signed"]["bridges"][0])
        assert verdict(canonical(altered), network.blocks.trust(9)) == "refused"


def test_a_third_is_not_enough_for_the_past() -> None:
    sets = [*["e0:10 e1:10 e2:10 e3:10"] * 6, "e0:10 e1:10 e2:10 e5:10", "e0:10 e1:10 e5:10 e6:10"]
    network = SyntheticNetwork(height=4, sets=sets)
    receipt = network.network_receipt(5)
    held = [verdict(receipt, network.blocks.trust(height)) for height in (5, 6, 7, 8)]
    assert held == ["final", "final", "final", "refused"]


TRUST: dict[str, Callable[[Json], None]] = {
    **{f"header-{name}": (lambda t, change=change: change(t["header"])) for name, change in HEADER.items()},
    "hash": put("hash", value=OTHER),
    "weight": bump("validators", 0, "power"),
    "set-exchanged": exchange("validators"),
    "validator-missing": drop("validators", 0),
    "no-validators": put("validators", value=[]),
    "other-chain": put("chain", value="cl-" + "0" * 32),
    "no-chain": put("chain", value="cl-"),
    "embedded": put("mode", value="embedded"),
    "no-mode": drop("mode"),
    "level-anchored": put("level", value="anchored"),
    "level-witnessed": put("level", value="witnessed"),
    "witnesses": put("witnesses", value={"k": 1, "keys": []}),
    "endless-age": put("max_age", value=2**53),
    "unknown-field": put("note", value=""),
}


@pytest.mark.parametrize("name", TRUST)
def test_an_altered_trust_file_is_refused(network: SyntheticNetwork, name: str) -> None:
    altered = json.loads(network.blocks.trust(6))
    TRUST[name](altered)
    assert verdict(network.network_receipt(), canonical(altered)) == "refused"


def test_embedded_and_network_files_do_not_stand_for_each_other(network: SyntheticNetwork) -> None:
    embedded, receipt = network.receipt(3), network.network_receipt()
    checkpoint, trust = network.checkpoint(7), network.blocks.trust(6)
    assert (verdict(embedded, checkpoint), verdict(receipt, trust)) == ("anchored", "final")
    assert verdict(embedded, trust) == verdict(receipt, checkpoint) == "refused"
    both = json.loads(receipt)
    both["signed"] |= json.loads(embedded)["signed"]
    assert verdict(canonical(both), trust) == verdict(canonical(both), checkpoint) == "refused"


def test_signatures_and_sets_may_be_left_out_where_they_are_not_needed(receipt: bytes, trust: bytes) -> None:
    """As lines of a note may: what remains is still signed. Three of four are over two thirds."""
    lean = json.loads(receipt)
    drop("commit", "signatures", 2)(lean["signed"])
    drop("bridges", 0, "commit", "signatures", 3)(lean["signed"])
    assert verdict(canonical(lean), trust) == "final"


# ---- Forged files: their maker holds keys, and signs what no validator should ------------------------------------


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files can be composed of blocks that do not hold."""
    monkeypatch.setattr(light_files, "check_block", lambda block, chain: None)
    monkeypatch.setattr(light_files, "drop_unsound", lambda block: block)


Forge = Callable[[LightBlock], LightBlock]


def header(**changes: Any) -> Forge:
    """The block with another header, rightly signed."""
    return lambda block: sign(replace(block.header, **changes), block.validators)


def members(text: str) -> Forge:
    """The block with another set, rightly signed."""
    return lambda block: sign(replace(block.header, validators_hash=validators(text).hash), validators(text))


def votes(**how: str) -> Forge:
    return lambda block: sign(block.header, block.validators, how)


def nil_counted(block: LightBlock) -> LightBlock:
    """Votes for nil, given out as votes for the block."""
    voted = sign(block.header, block.validators, {"e4": "nil", "e5": "nil"})
    counted = tuple(replace(vote, flag=2) for vote in voted.commit.signatures)
    return replace(voted, commit=replace(voted.commit, signatures=counted))


FORGED: dict[str, tuple[bool, Forge]] = {
    "signed again": (True, header()),
    "of the same second, later": (True, header(time_ns=SyntheticNetwork.time_ms(6) * 1_000_000 + 999_999)),
    "two absent": (False, votes(e4="absent", e5="absent")),
    "two for nil": (False, votes(e4="nil", e5="nil")),
    "two for nil, counted": (False, nil_counted),
    "signed for another chain": (False, votes(e4="wrong")),
    "of another chain": (False, header(chain_id="cl-" + "f" * 32)),
    "no later than the trusted block": (
        False,
        header(time_ns=SyntheticNetwork.time_ms(6) * 1_000_000 + 123_456),
    ),
    "earlier than the trusted block": (False, header(time_ns=SyntheticNetwork.time_ms(5) * 1_000_000)),
    "of another state": (False, header(app_hash=bytes(32))),
    "after another block": (False, header(last_block_id=NO_BLOCK)),
    "a set that was not announced": (False, members("e4:10 e5:10 e6:10")),
    "a validator twice": (False, members("e4:10 e5:10 e6:10 e6:10 m7:10")),
    "nobody": (False, lambda block: replace(block, validators=ValidatorSet(()))),
}
"""Block 7, for whoever trusts block 6; whether it holds."""


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", FORGED)
def test_what_validators_should_not_have_signed_is_refused(network: SyntheticNetwork, name: str) -> None:
    holds, forge = FORGED[name]
    signed = compose_signed_part([forge(network.blocks.at(7))], previous=network.blocks.at(6).header)
    forged = canonical(json.loads(network.network_receipt()) | {"signed": as_json(signed)})
    assert verdict(forged, network.blocks.trust(6)) == ("final" if holds else "refused")


LATER: dict[str, tuple[bool, Forge]] = {
    "a set of which none is new": (True, members("e4:10 e5:10 e6:10")),
    "over a third is known": (True, members("e4:10 e5:10 e0:10 e1:10")),
    "a third would be known": (False, members("e4:10 e0:10 e1:10")),
    "a validator twice": (False, members("e4:10 e5:10 e5:10")),
    "one without weight": (False, members("e4:10 e5:10 e6:0")),
    "no earlier than the trusted block": (
        False,
        header(time_ns=SyntheticNetwork.time_ms(6) * 1_000_000 + 123_456),
    ),
}
"""Block 8, for whoever trusts block 6; whether it holds."""


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", LATER)
def test_a_later_set_of_validators_needs_a_third_of_the_trusted(network: SyntheticNetwork, name: str) -> None:
    holds, forge = LATER[name]
    receipt = json.loads(network.network_receipt(8))
    signed = as_json(compose_signed_part([forge(network.blocks.at(8))]))
    forged = canonical(receipt | {"signed": receipt["signed"] | signed})
    assert verdict(forged, network.blocks.trust(6)) == ("final" if holds else "refused")


def test_a_history_of_ones_own_is_refused(network: SyntheticNetwork) -> None:
    """The path of another block in another history, which the header's state does not hold."""
    mine = json.loads(SyntheticNetwork(is_fork=True).network_receipt(9))
    signed = json.loads(network.network_receipt(9))["signed"]
    mixed = canonical(mine | {"signed": mine["signed"] | {n: signed[n] for n in ("commit", "header")}})
    assert verdict(mixed, network.blocks.trust(9)) == "refused"
    assert verdict(network.network_receipt(9), network.blocks.trust(9)) == "final"


def test_a_block_of_another_height_does_not_show_this_one(network: SyntheticNetwork) -> None:
    """Its state is another, and the block lies elsewhere in its history."""
    receipt = json.loads(network.network_receipt())
    for height in (8, 9):
        other = json.loads(network.network_receipt(height))["signed"]
        mixed = receipt["signed"] | {name: other[name] for name in ("commit", "header", "validators")}
        assert verdict(canonical(receipt | {"signed": mixed}), network.blocks.trust(7)) == "refused"
    older = json.loads(network.network_receipt(9))
    for other in (8, 10):
        mixed = older["signed"] | {"path": json.loads(network.network_receipt(other))["signed"]["path"]}
        assert verdict(canonical(older | {"signed": mixed}), network.blocks.trust(7)) == "refused"


def test_a_fork_is_seen_by_whoever_holds_the_other_side(network: SyntheticNetwork) -> None:
    """All validators sign a second history: equal heights, and the state of a block, must be those that are trusted."""
    fork = SyntheticNetwork(is_fork=True)
    forked = fork.network_receipt(8)
    assert verdict(forked, fork.blocks.trust(8)) == verdict(forked, fork.blocks.trust(7)) == "final"
    assert verdict(forked, network.blocks.trust(8)) == "refused"
    # Of block 6 the trusted header 7 says the state; a later header of the fork cannot tell another.
    assert verdict(forked, network.blocks.trust(7)) == "refused"
    assert verdict(forked, network.blocks.trust(6)) == "final"


def test_no_checkpoint_is_made_of_a_block_that_does_not_hold(network: SyntheticNetwork) -> None:
    with pytest.raises(VerificationFailed):
        make_trust_file(votes(e4="absent", e5="nil")(network.blocks.at(7)))


# ---- Exports ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chart() -> NetworkChart:
    return NetworkChart()


def export_verdict(export: bytes, trust: bytes, now_ms: int = NOW_MS + 3_600_000) -> str:
    try:
        package: str = verify_export(export, trust, now_ms=now_ms).level
    except VerificationFailed:
        package = "refused"
    try:
        other = str(EXPORTS.verify_export(export, trust, None, now_ms / 1000)[0])
    except STANDALONE.Refused:
        other = "refused"
    assert package == other
    return package


@pytest.mark.parametrize("form", ["chart", "access-log"])
def test_an_export_is_final_and_answers_for_trusted_blocks(chart: NetworkChart, form: str) -> None:
    """For those whose state it pins, and any that is not older than its own block; not for a later one."""
    export, heights = chart.network_export(form), (3, 16, 17, 30, HEIGHT + 1, HEIGHT + 2)
    held = [at for at in heights if export_verdict(export, chart.network_checkpoint(at)) == "final"]
    assert held == [3, 17, 30, HEIGHT + 1]


def test_the_pinned_state_is_the_one_under_the_trusted_header(chart: NetworkChart) -> None:
    """Whatever validators signed since: this header was in other hands."""
    export = chart.network_export()
    assert export_verdict(export, chart.network_checkpoint(17, bytes(32))) == "refused"
    fields = json.loads(export)
    assert (
        export_verdict(canonical(fields | {"pins": fields["pins"][:1]}), chart.network_checkpoint(17))
        == "refused"
    )


EXPORT: dict[str, Callable[[Json], None]] = {
    "no-past": drop("signed", "past"),
    "past-of-another-root": put("signed", "past", "root", value=OTHER),
    "no-history": put("history", "sizes", value=[3, 17, 30]),
    "another-history": lambda e: e["history"].update(nodes=e["history"]["nodes"][:-4] + "AAAA"),
    "a-node-too-many": lambda e: e["history"].update(nodes=e["history"]["nodes"] + b64(bytes(33))),
    "another-path": put("signed", "path", value=""),
    "another-app-hash": put("signed", "header", "app_hash", value=OTHER),
    "entry-dropped": drop("entries", 2),
    "access-dropped": drop("access", 0),
}


@pytest.mark.parametrize("name", EXPORT)
def test_an_altered_export_is_refused(chart: NetworkChart, name: str) -> None:
    altered = json.loads(chart.network_export())
    EXPORT[name](altered)
    assert export_verdict(canonical(altered), chart.network_checkpoint()) == "refused"


def test_an_earlier_export_continues_across_signed_blocks(chart: NetworkChart) -> None:
    earlier = chart.network_export(header=48)
    later = chart.network_export(header=60)
    trust = chart.network_checkpoint()
    verified = verify_export(later, trust, earlier, now_ms=NOW_MS + 3_600_000)
    assert verified.earlier == verified.entries + verified.accesses
    EXPORTS.verify_export(later, trust, earlier, NOW_MS / 1000 + 3_600)


def test_validators_of_a_name_have_a_key_of_its_kind() -> None:
    assert {OWNERS[one.public] for one in validators(SETS[4]).validators} == {"m0", "m1", "e4", "e5"}
    assert type(secret("m0")) is not type(secret("e4"))
