"""What a block does before its transactions: evidence, then what is due; each step whole or without a trace."""

from __future__ import annotations

import dataclasses

import pytest

from careledger.contracts import CONTRACTS
from careledger.ledger.execution import BlockInput, History, Rules, apply_block
from careledger.ledger.kernel import Contract, EventKind, Evidence
from careledger.primitives.encoding import U64
from careledger.primitives.errors import Corrupt
from tests.ledger.play import Play

KEY = bytes(range(32))
SEEN = EventKind("test.seen", U64)
EVIDENCE = (Evidence(1, bytes(20), 7, 1, 1), Evidence(2, bytes(20), 9, 1, 1))


def count(ctx, evidence=None):
    """Each step sees what the one before it wrote."""
    seen = int.from_bytes(ctx.state.get(KEY) or b"", "big") * 10 + (evidence.kind if evidence else 3)
    ctx.state.set(KEY, seen.to_bytes(8, "big"))
    ctx.emit(SEEN, seen)


def apply_with(on_evidence=None, on_block=None, evidence=EVIDENCE):
    play = Play()
    watcher = Contract("watcher", "", (), (), on_evidence=on_evidence, on_block=on_block)
    block = BlockInput(play.ledger.genesis_hash, 1, play.now_ms + 1, History(1, bytes(32)), [b""], evidence)
    return apply_block(Rules((*CONTRACTS, watcher)), play.ledger.reader(play.kv), block)


def test_evidence_in_its_order_then_what_is_due_then_transactions():
    outcome = apply_with(count, count)
    assert outcome.changes[KEY] == (123).to_bytes(8, "big")
    assert [int.from_bytes(event.data, "big") for event in outcome.begin_events] == [1, 12, 123]
    assert [receipt.events for receipt in outcome.receipts] == [()]


def test_without_evidence_nothing_is_written():
    assert apply_with(evidence=()).changes == apply_with().changes
    assert KEY not in apply_with(count, evidence=()).changes


@pytest.mark.parametrize("error", [KeyError(), RecursionError(), ZeroDivisionError(), TypeError()])
def test_a_defect_in_a_step_leaves_no_trace_and_the_block_goes_on(error):
    def fails(ctx, evidence=None):
        count(ctx, evidence)
        raise error

    outcome = apply_with(fails, count)
    assert outcome.changes[KEY] == (3).to_bytes(8, "big")
    assert len(outcome.begin_events) == len(outcome.receipts) == 1
    assert dataclasses.replace(apply_with(fails, fails), receipts=()) == dataclasses.replace(
        apply_with(), receipts=()
    )


def test_a_failing_store_is_no_defect():
    def fails(ctx):
        raise Corrupt("a bucket is missing")

    with pytest.raises(Corrupt):
        apply_with(on_block=fails)


def test_a_draft_counts_only_when_it_is_taken_over():
    def step(ctx):
        for kept in (False, True):
            draft = ctx.draft()
            count(draft)
            assert draft.state.get(KEY) != ctx.state.get(KEY)
            if kept:
                ctx.take(draft)

    outcome = apply_with(on_block=step)
    assert outcome.changes[KEY] == (3).to_bytes(8, "big")
    assert len(outcome.begin_events) == 1
