"""A block before it is decided: the proposer takes what executes, every other node checks it all again.

A block holds only transactions that execute with code 0, lane 0 first, none twice, within the limits. Both ways give
the block's outcome, so that the node need not execute it once more when it is decided. What bounds their time is
number and bytes, never a clock: every honest node must come to the same answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from careledger.ledger.blocks import TransactionReceipt
from careledger.ledger.consensus.chain import is_urgent
from careledger.ledger.consensus.queues import compute_wire_size
from careledger.ledger.execution import BlockInput, Execution, Outcome, Read, Rules
from careledger.primitives.errors import Invalid

BLOCK_TRANSACTIONS_MAX: Final = 1_500
"""In a block; on one core about 0.2 s of unseen Ed25519 signatures. Every node of a network has the same."""


class ProposalRefused(Invalid):
    """A proposed block breaks a rule that its proposer knew; the validators vote for none, and another proposes."""

    code = "proposal-refused"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A block's transactions and outcome; of the candidates that were tried, those refused and their receipts."""

    transactions: tuple[bytes, ...]
    outcome: Outcome
    refused: tuple[tuple[bytes, TransactionReceipt], ...]


def prepare(
    rules: Rules,
    read: Read,
    block: BlockInput,
    candidates: Iterable[bytes],
    bytes_max: int,
    count_max: int = BLOCK_TRANSACTIONS_MAX,
) -> Proposal:
    """The next block of these candidates, each executed once at most; `block.transactions` is not looked at.

    At most `count_max` are tried. Lane 0 is put first, otherwise they keep their order. One that does not fit into
    `bytes_max` (as the engine counts) is passed over, and what follows it in its lane then refused for its sequence.
    """
    execution = Execution(rules, read, block)
    taken: list[bytes] = []
    refused: list[tuple[bytes, TransactionReceipt]] = []
    for data in sorted(list(candidates)[:count_max], key=is_urgent, reverse=True):
        size = compute_wire_size(data)
        if size > bytes_max:
            continue
        receipt = execution.apply(data, is_kept_if_refused=False)
        if receipt.code:
            refused.append((data, receipt))
        else:
            taken.append(data)
            bytes_max -= size
    return Proposal(tuple(taken), execution.outcome(), tuple(refused))


def confirm_refused(
    rules: Rules, read: Read, block: BlockInput, transactions: Iterable[bytes]
) -> list[tuple[bytes, TransactionReceipt]]:
    """Of these, whatever the state refuses by itself, with its receipt.

    A proposal may never be decided, so nobody may be told of a refusal that follows from another transaction in it.
    """
    tried = [
        (data, Execution(rules, read, block).apply(data, is_kept_if_refused=False)) for data in transactions
    ]
    return [(data, receipt) for data, receipt in tried if receipt.code]


def check(
    rules: Rules, read: Read, block: BlockInput, bytes_max: int, count_max: int = BLOCK_TRANSACTIONS_MAX
) -> Outcome:
    """The outcome of a proposed block, each of whose transactions executes. Raises ProposalRefused.

    Stops at the first that does not: a bad proposal costs no more than what is good in it.
    """
    transactions = block.transactions
    if len(transactions) > count_max:
        raise ProposalRefused(f"the block has over {count_max} transactions")
    if sum(map(compute_wire_size, transactions)) > bytes_max:
        raise ProposalRefused(f"the block's transactions have over {bytes_max} bytes")
    if len(frozenset(transactions)) < len(transactions):
        raise ProposalRefused("the block has a transaction twice")
    execution = Execution(rules, read, block)
    for at, data in enumerate(transactions):
        receipt = execution.apply(data)
        if receipt.code:
            raise ProposalRefused(f"transaction {at} of the block is refused by rule {receipt.code}")
    return execution.outcome()
