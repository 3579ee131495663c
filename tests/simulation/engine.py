"""The modelled engine of one node: Tendermint's rounds (arXiv:1807.04938) over a faked network.

Only what stands around the application is modelled: who proposes, what is voted on, what is stored when, and what is
replayed at a start. Everything it asks is answered by the shipped application, and every ballot passes the shipped
signing guard.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from careledger.engine.sign_bytes import Asked
from careledger.ledger.consensus.abci import schema
from careledger.ledger.consensus.abci.table import ProposalStatus
from careledger.primitives.errors import CareLedgerError
from careledger.primitives.hashing import sha256
from tests.simulation.ballots import (
    PRECOMMIT,
    PREVOTE,
    PROPOSE,
    STEP_NAMES,
    Ballot,
    Block,
    Decision,
    Gossip,
    Powers,
    Proof,
    Proposal,
    Status,
    compute_median_time,
    has_quorum,
    is_decided,
    is_proof,
)
from tests.simulation.world import Violation

if TYPE_CHECKING:
    from tests.simulation.nodes import Node

BLOCK_PAUSE_S = 0.3
PROPOSE_S = 2.5
VOTE_S = 1.0
ROUND_S = 0.5
STATUS_S = 0.5
GOSSIP_S = 0.15
MAX_TX_BYTES = 1 << 20
NEW = 0
"""Step before the first round of a height begins."""


@dataclass
class EngineDisk:
    """What the engine stored; each write is whole and durable. `locks`: height, round and what was locked and valid."""

    blocks: dict[int, Block] = field(default_factory=dict)
    decisions: dict[int, tuple[Ballot, ...]] = field(default_factory=dict)
    answers: dict[int, tuple[bytes, tuple[int, ...], tuple[tuple[int, int], ...]]] = field(
        default_factory=dict
    )
    state_height: int = 0
    powers: dict[int, Powers] = field(default_factory=dict)
    locks: tuple[int, int, int, bytes, int, Block | None] = (0, 0, -1, b"", -1, None)
    own: list[Ballot | Proposal] = field(default_factory=list)
    """What this validator signed at the height of the locks."""
    proofs: dict[tuple[int, int, int, int], Proof] = field(default_factory=dict)
    convicted: set[tuple[int, int, int, int]] = field(default_factory=set)

    def forget_votes(self) -> None:
        """The log of this height is lost; only the signing guard knows what was signed."""
        self.locks = (0, 0, -1, b"", -1, None)
        self.own.clear()


class Engine:
    """One node's. `run` goes on until it is cancelled."""

    def __init__(self, node: Node, disk: EngineDisk) -> None:
        self.node = node
        self.disk = disk
        self.simulation = node.simulation
        self.book = node.simulation.book
        self.application = node.application
        self._queue: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self._seen: set[tuple[str, int]] = set()
        self.height = self.round = self.step = 0

    # Life

    async def run(self) -> None:
        """Start, replay, then go from height to height."""
        await self._handshake()
        self._begin_height(self.disk.state_height + 1)
        self.node.is_ready = True
        self.node.spawn(self._tell_status())
        self.node.spawn(self._gossip())
        while True:
            kind, what = await self._queue.get()
            await getattr(self, f"_on_{kind}")(what)
            while await self._advance():
                pass

    def deliver(self, source: int, message: object) -> None:
        """From the network."""
        if isinstance(message, Gossip):
            self.node.spawn(self._insert(message))
        else:
            self._queue.put_nowait(("message", (source, message)))

    def _later(self, seconds: float, kind: str, what: object) -> None:
        self.node.later(seconds, lambda: self._queue.put_nowait((kind, what)))

    async def _tell_status(self) -> None:
        while True:
            self._broadcast(Status(self.height, frozenset(self._all_votes()), frozenset(self._proposals)))
            await asyncio.sleep(STATUS_S)

    def _all_votes(self) -> list[Ballot]:
        return [vote for votes in self._votes.values() for vote in votes.values()]

    async def _gossip(self) -> None:
        while True:
            found = await self.application.reap_txs(schema.RequestReapTxs())
            if found.txs:
                self._broadcast(Gossip(tuple(found.txs)))
            await asyncio.sleep(GOSSIP_S)

    async def _insert(self, gossip: Gossip) -> None:
        for one in gossip.transactions:
            await self.application.insert_tx(schema.RequestInsertTx(tx=one))

    def _broadcast(self, message: object) -> None:
        for peer in self.simulation.peers(self.node.number):
            self.simulation.network.send(self.node.number, peer, message)

    # Start

    async def _handshake(self) -> None:
        """As the engine's: the application is asked where it is, and gets what it lacks."""
        disk, simulation = self.disk, self.simulation
        told = await self.application.info(schema.RequestInfo())
        stored = max(disk.blocks, default=0)
        if told.last_block_height == 0:
            await self.application.init_chain(simulation.init_chain())
        if told.last_block_height > stored:
            raise Violation(f"{self.node}: the application is ahead of the engine")
        if told.last_block_height:
            simulation.check_app_hash(self.node, told.last_block_height, told.last_block_app_hash)
        for height in range(told.last_block_height + 1, stored + 1):
            self.simulation.trace.add(self.node, "replays", height)
            await self._execute(disk.blocks[height])
        if disk.state_height < stored:
            self._store_state(stored)

    # Blocks

    async def _execute(self, block: Block) -> None:
        simulation, node = self.simulation, self.node
        answer = await self.application.finalize_block(
            schema.RequestFinalizeBlock(
                txs=block.transactions,
                misbehavior=self._misbehavior(block),
                hash=block.id,
                height=block.height,
                time=_timestamp(block.time_ms),
            )
        )
        codes = tuple(one.code for one in answer.tx_results)
        updates = tuple(
            (simulation.node_of_validator(one.pub_key), int(one.power)) for one in answer.validator_updates
        )
        kept = (bytes(answer.app_hash), codes, updates)
        if self.disk.answers.setdefault(block.height, kept) != kept:
            raise Violation(f"{node}: block {block.height} came out otherwise when it was executed again")
        simulation.check_app_hash(node, block.height, kept[0])
        simulation.trace.add(node, "executes", block.height, block.label, kept[0], codes.count(0), len(codes))
        node.may_die("finalised")
        await self.application.commit(schema.RequestCommit())
        node.height = node.home.height
        simulation.committed(node, block)
        node.may_die("committed")

    async def _decide(self, decision: Decision) -> None:
        block = decision.contents
        self.simulation.decided(self.node, block)
        self.disk.blocks[block.height] = block
        self.disk.decisions[block.height] = decision.ballots
        self.node.may_die("block stored")
        await self._execute(block)
        self._store_state(block.height)
        self.node.may_die("state stored")
        self._begin_height(block.height + 1)

    def _store_state(self, height: int) -> None:
        disk = self.disk
        powers = dict(self._powers(height + 1))
        powers.update(disk.answers[height][2])
        disk.powers[height + 2] = {node: power for node, power in powers.items() if power}
        disk.convicted |= {proof.one.place for proof in disk.blocks[height].proofs}
        disk.state_height = height

    def _powers(self, height: int) -> Powers:
        return self.disk.powers.get(height) or self.simulation.founding_powers

    def _misbehavior(self, block: Block) -> list[schema.Misbehavior]:
        return [
            schema.Misbehavior(
                type=1,
                validator=schema.Validator(
                    address=self.simulation.address_of(proof.one.node),
                    power=self._powers(proof.one.height).get(proof.one.node, 0),
                ),
                height=proof.one.height,
                time=_timestamp(self.disk.blocks[proof.one.height].time_ms),
                total_voting_power=sum(self._powers(proof.one.height).values()),
            )
            for proof in block.proofs
        ]

    # Rounds

    def _begin_height(self, height: int) -> None:
        locked_at = self.disk.locks
        is_same = locked_at[0] == height
        self.height, self.step = height, NEW
        self.round = locked_at[1] if is_same else 0
        self._locked_round, self._locked = (locked_at[2], locked_at[3]) if is_same else (-1, b"")
        self._valid_round, self._valid = (locked_at[4], locked_at[5]) if is_same else (-1, None)
        self._proposals: dict[int, Proposal] = {}
        self._votes: dict[tuple[int, int], dict[tuple[int, bytes], Ballot]] = {}
        self._known: dict[bytes, Block] = {self._valid.id: self._valid} if self._valid else {}
        self._verdicts: dict[bytes, bool] = {}
        self._seen = set()
        own, self.disk.own = self.disk.own if is_same else [], []
        for one in own:
            self._remember(one)
        self._later(BLOCK_PAUSE_S, "round", (height, self.round))

    def _remember(self, one: Ballot | Proposal) -> None:
        """Its own, kept for the time after a restart."""
        self.disk.own.append(one)
        if isinstance(one, Proposal):
            self._take_proposal(one)
        elif one.step != PROPOSE:
            self._take_vote(one)

    async def _on_round(self, what: tuple[int, int]) -> None:
        if what[0] == self.height and (what[1] > self.round or self.step == NEW):
            await self._begin_round(what[1])

    async def _begin_round(self, round: int) -> None:
        self.round, self.step = round, PROPOSE
        for step in (PREVOTE, PRECOMMIT):  # as far as it had come before a restart
            if self.node.number in self._count(round, step):
                self.step = step
        self._write_locks()
        self._later(PROPOSE_S + ROUND_S * round, "timeout", (self.height, round, PROPOSE))
        if self.simulation.proposer(self._powers(self.height), self.height, round) == self.node.number:
            await self._propose(round)

    async def _propose(self, round: int) -> None:
        if round not in self._proposals:
            self._send_proposal(round, self._valid or await self._make_block(round))

    def _send_proposal(self, round: int, block: Block) -> None:
        valid_round = self._valid_round if self._valid is block else -1
        ballot = self._sign(PROPOSE, block.id)
        if ballot is not None:
            if block.transactions:
                self.node.may_die("proposed")
            proposal = Proposal(ballot, valid_round, block)
            self._remember(proposal)
            self._broadcast(proposal)

    async def _make_block(self, round: int) -> Block:
        time_ms = self._next_time()
        proofs = tuple(proof for proof in self.disk.proofs.values() if self._is_new(proof))[:4]
        label = f"{self.height}/{round}/{self.node.number}"
        empty = Block(self.height, label, time_ms, (), proofs)
        answer = await self.application.prepare_proposal(
            schema.RequestPrepareProposal(
                max_tx_bytes=MAX_TX_BYTES,
                height=self.height,
                time=_timestamp(time_ms),
                misbehavior=self._misbehavior(empty),
            )
        )
        return Block(self.height, label, time_ms, tuple(answer.txs), proofs)

    def _next_time(self) -> int:
        """Median of the times at which the last block was voted for: no one machine's clock."""
        last = self.disk.blocks.get(self.height - 1)
        if last is None:
            return self.simulation.genesis_ms
        median = compute_median_time(self.disk.decisions[last.height], self._powers(last.height))
        return max(median, last.time_ms + 1)

    def _is_new(self, proof: Proof) -> bool:
        return (
            proof.one.height < self.height
            and proof.one.place not in self.disk.convicted
            and proof.one.node in self._powers(proof.one.height)
        )

    async def _is_valid(self, block: Block) -> bool:
        known = self._verdicts.get(block.id)
        if known is None:
            known = self._verdicts[block.id] = await self._judge(block)
            self.simulation.judged(self.node, block, is_valid=known)
        return known

    async def _judge(self, block: Block) -> bool:
        """The engine's own rules, then the application's."""
        last = self.disk.blocks.get(self.height - 1)
        if block.height != self.height or (last is not None and block.time_ms <= last.time_ms):
            return False
        if sum(map(len, block.transactions)) > MAX_TX_BYTES:
            return False
        if not all(is_proof(proof, self.book) and self._is_new(proof) for proof in block.proofs):
            return False
        answer = await self.application.process_proposal(
            schema.RequestProcessProposal(
                txs=block.transactions,
                misbehavior=self._misbehavior(block),
                hash=block.id,
                height=block.height,
                time=_timestamp(block.time_ms),
            )
        )
        return bool(answer.status == ProposalStatus.ACCEPT)

    # Messages

    async def _on_message(self, what: tuple[int, object]) -> None:
        source, message = what
        if isinstance(message, Proposal):
            self._take_proposal(message)
        elif isinstance(message, Ballot):
            self._take_vote(message)
        elif isinstance(message, Status):
            self._answer(source, message)
        elif isinstance(message, Decision):
            powers = self._powers(self.height)
            if message.contents.height == self.height and is_decided(message, powers, self.book):
                await self._decide(message)
        elif isinstance(message, Proof) and is_proof(message, self.book):
            self.disk.proofs.setdefault(message.one.place, message)

    def _answer(self, source: int, status: Status) -> None:
        def send(message: object) -> None:
            self.simulation.network.send(self.node.number, source, message)

        if status.height < self.height:
            block = self.disk.blocks.get(status.height)
            if block is not None and status.height in self.disk.decisions:
                send(Decision(block, self.disk.decisions[status.height]))
        elif status.height == self.height:
            for round, proposal in self._proposals.items():
                if round not in status.proposals:
                    send(proposal)
            for vote in self._all_votes():
                if vote not in status.votes:
                    send(vote)
        for proof in self.disk.proofs.values():
            if self._is_new(proof):
                send(proof)

    def _take_proposal(self, proposal: Proposal) -> None:
        ballot = proposal.ballot
        if ballot.height != self.height or ballot.round in self._proposals:
            return
        expected = self.simulation.proposer(self._powers(self.height), self.height, ballot.round)
        if (
            ballot.node == expected
            and ballot.block == proposal.contents.id
            and self.book.is_signed(ballot)
            and ballot.step == PROPOSE
        ):
            self._proposals[ballot.round] = proposal
            self._known[ballot.block] = proposal.contents

    def _take_vote(self, vote: Ballot) -> None:
        if vote.height != self.height or not self.book.is_signed(vote):
            return
        if vote.node not in self._powers(self.height):
            return
        votes = self._votes.setdefault((vote.round, vote.step), {})
        votes.setdefault((vote.node, vote.block), vote)
        others = [one for one in votes.values() if one.node == vote.node and one.block != vote.block]
        if others and vote.place not in self.disk.proofs:
            proof = Proof(others[0], vote)
            self.disk.proofs[vote.place] = proof
            self.simulation.trace.add(self.node, "has proof against", vote.node, vote.height)
            self._broadcast(proof)

    # Rules: each step of `_advance` is one of the paper's "upon" clauses; True if something happened.

    async def _advance(self) -> bool:
        if await self._try_decide():
            return True
        if self.step == NEW:
            return False
        for clause in (self._try_prevote, self._try_lock, self._try_nil, self._try_skip):
            if await clause():
                return True
        self._set_timeouts()
        return False

    def _count(self, round: int, step: int, block: bytes | None = None) -> set[int]:
        votes = self._votes.get((round, step), {})
        return {node for node, voted in votes if block is None or voted == block}

    def _has_quorum(self, round: int, step: int, block: bytes | None = None) -> bool:
        return has_quorum(self._powers(self.height), self._count(round, step, block))

    async def _try_decide(self) -> bool:
        for (round, step), votes in list(self._votes.items()):
            if step != PRECOMMIT:
                continue
            for block_id in {vote.block: None for vote in votes.values() if vote.block}:
                block = self._known.get(block_id)
                if block is not None and self._has_quorum(round, PRECOMMIT, block_id):
                    ballots = [vote for vote in votes.values() if vote.block == block_id]
                    ballots.sort(key=lambda vote: vote.node)
                    await self._decide(Decision(block, tuple(ballots)))
                    return True
        return False

    async def _try_prevote(self) -> bool:
        proposal = self._proposals.get(self.round)
        if self.step != PROPOSE or proposal is None:
            return False
        block, before = proposal.contents, proposal.valid_round
        if before >= 0 and not (before < self.round and self._has_quorum(before, PREVOTE, block.id)):
            return False
        is_free = self._locked_round <= before if before >= 0 else self._locked_round == -1
        is_valid = await self._is_valid(block)
        self._vote(PREVOTE, block.id if is_valid and (is_free or self._locked == block.id) else b"")
        return True

    async def _try_lock(self) -> bool:
        proposal = self._proposals.get(self.round)
        if self.step < PREVOTE or proposal is None or ("lock", self.round) in self._seen:
            return False
        block = proposal.contents
        if not self._has_quorum(self.round, PREVOTE, block.id) or not await self._is_valid(block):
            return False
        self._seen.add(("lock", self.round))
        self._valid_round, self._valid = self.round, block
        if self.step == PREVOTE:
            self._locked_round, self._locked = self.round, block.id
            self._write_locks()
            self._vote(PRECOMMIT, block.id)
        self._write_locks()
        return True

    async def _try_nil(self) -> bool:
        if self.step != PREVOTE or not self._has_quorum(self.round, PREVOTE, b""):
            return False
        self._vote(PRECOMMIT, b"")
        return True

    async def _try_skip(self) -> bool:
        """Over a third is in a later round: so is this node."""
        powers = self._powers(self.height)
        later = sorted({round for round, _ in self._votes if round > self.round})
        for round in later:
            nodes = self._count(round, PREVOTE) | self._count(round, PRECOMMIT)
            if 3 * sum(powers.get(node, 0) for node in nodes) > sum(powers.values()):
                await self._begin_round(round)
                return True
        return False

    def _set_timeouts(self) -> None:
        for step in (PREVOTE, PRECOMMIT):
            if self._has_quorum(self.round, step) and (STEP_NAMES[step], self.round) not in self._seen:
                self._seen.add((STEP_NAMES[step], self.round))
                self._later(VOTE_S + ROUND_S * self.round, "timeout", (self.height, self.round, step))

    async def _on_timeout(self, what: tuple[int, int, int]) -> None:
        height, round, step = what
        if (height, round) != (self.height, self.round):
            return
        if step == PROPOSE and self.step == PROPOSE:
            self._vote(PREVOTE, b"")
        elif step == PREVOTE and self.step == PREVOTE:
            self._vote(PRECOMMIT, b"")
        elif step == PRECOMMIT:
            await self._begin_round(round + 1)

    # Signing

    def _vote(self, step: int, block: bytes) -> None:
        self.step = step
        ballot = self._sign(step, block)
        if ballot is not None:
            self._remember(ballot)
            self._broadcast(ballot)

    def _sign(self, step: int, block: bytes) -> Ballot | None:
        """By the shipped guard; None if it refuses, or if this node is no validator now."""
        if self.node.number not in self._powers(self.height):
            return None
        last = self.disk.blocks.get(self.height - 1)
        time_ms = max(self.node.clock_ms(), 0 if last is None else last.time_ms + 1)
        content = sha256(repr((self.height, self.round, step, block)).encode())
        seconds, millis = divmod(time_ms, 1000)
        asked = Asked(self.height, self.round, step, content, seconds, millis * 1_000_000, content)
        try:
            signed = self.node.sign(asked)
        except CareLedgerError as refusal:
            self.simulation.trace.add(
                self.node, "signs not", self.height, self.round, STEP_NAMES[step], refusal.code
            )
            return None
        time_ms = signed.seconds * 1000 + signed.nanos // 1_000_000
        ballot = Ballot(self.node.number, self.height, self.round, step, block, time_ms)
        self.book.enter(ballot)
        what = self._known[block].label if block in self._known else "nothing" if not block else "new"
        self.simulation.trace.add(self.node, "signs", self.height, self.round, STEP_NAMES[step], what)
        self.node.may_die("signed")
        return ballot

    def _write_locks(self) -> None:
        self.disk.locks = (
            self.height,
            self.round,
            self._locked_round,
            self._locked,
            self._valid_round,
            self._valid,
        )


def _timestamp(time_ms: int) -> dict[str, int]:
    seconds, millis = divmod(time_ms, 1000)
    return {"seconds": seconds, "nanos": millis * 1_000_000}
