"""The application behind the engine: a node's pool and replica as ABCI asks for them.

What executes a block is the sequencer's; what may be in one is the pool's. Nothing here reads a clock for anything
that replicas must agree on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from careledger.contracts.validators import Power, genesis_validators, validator_updates
from careledger.ledger.consensus import index, parcels, proposals
from careledger.ledger.consensus.abci import schema
from careledger.ledger.consensus.abci.table import BlockIDFlag, ProposalStatus, VerifyStatus
from careledger.ledger.consensus.pool import Pool
from careledger.ledger.consensus.proposals import ProposalRefused
from careledger.ledger.consensus.replica import Decided
from careledger.ledger.consensus.snapshots import FORMAT, compute_hash
from careledger.ledger.consensus.verdicts import Gone, InsertCode, Source, Verdict
from careledger.ledger.execution import Overlay, Read
from careledger.ledger.kernel import ED25519, Evidence
from careledger.ledger.store.kv import PrefixKV
from careledger.ledger.store.lmdb import LmdbKV
from careledger.ledger.tree import ValueReader
from careledger.node.group import ledger_refuses, sequence_moved
from careledger.node.home import OpenHome
from careledger.node.log import logger
from careledger.node.networked import NetworkSequencer
from careledger.node.retelling import Retelling
from careledger.node.snapshots import Snapshots
from careledger.node.statesync import Offered, StateSync
from careledger.primitives.errors import CareLedgerError, Invalid, Misconfigured, Unavailable

VOTED: Final = (BlockIDFlag.COMMIT, BlockIDFlag.NIL)
REAP_COUNT_MAX: Final = 2_000
REAP_BYTES: Final = 1 << 20
INSERTED_AT_ONCE: Final = 16
"""Of a parcel: about 1 ms of signatures."""
OVERDUE_BLOCKS: Final = 2
APP_VERSION: Final = 1
BLOCK_BYTES_MAX: Final = 4 << 20
"""Of the transactions of a block, whatever the engine would allow."""


class StateReader:
    """The newest committed state, by hashed key; each read is a transaction of its own."""

    def __init__(self, home: OpenHome) -> None:
        self._tables = home.tables
        self._reader = ValueReader()

    def __call__(self, key: bytes) -> bytes | None:
        with self.at_once() as read:
            return read(key)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[Read]:
        """For many reads of one state, in one transaction: nothing may be awaited within."""
        with self._tables.env.begin() as txn:
            state = PrefixKV(LmdbKV(txn, self._tables.ledger), index.STATE_PREFIX)
            yield lambda key: self._reader.read(state, key)


class NodePool:
    """The pool of this node, fed by its own clients and by the engine's peers."""

    def __init__(self, home: OpenHome, clock_ms: Callable[[], int], idle_s: float) -> None:
        replica = home.replica
        self._home = home
        self._idle_s = idle_s
        self._arrived = asyncio.Event()
        self.read = StateReader(home)
        self.pool = Pool(replica.rules, replica.genesis_hash, self.read, replica.height, replica.time_ms)
        self._clock_ms = clock_ms

    def submit(self, transaction: bytes) -> None:
        """See `networked.Ordering`."""
        verdict = self.insert(transaction, Source.LOCAL)
        if verdict.code in (InsertCode.OK, InsertCode.DUPLICATE):
            return
        if verdict.code == InsertCode.CONFLICT:
            raise sequence_moved()
        if verdict.refusal is not None:
            raise ledger_refuses(verdict.refusal.number, verdict.refusal.message)
        raise Unavailable(
            f"the node's pool takes no more of this organisation ({verdict.code.name.lower()})",
            hint="repeat in a few seconds",
        )

    def insert(self, transaction: bytes, source: Source) -> Verdict:
        """Take a transaction in, or say why not."""
        verdict = self.pool.insert(transaction, source, self._clock_ms())
        if verdict.code == InsertCode.OK:
            self._arrived.set()
        return verdict

    async def candidates(self, bytes_max: int) -> list[bytes]:
        """For the next block. With nothing to propose it waits a while for something: idle blocks come rarer so."""
        found = self.pool.select(bytes_max, proposals.BLOCK_TRANSACTIONS_MAX)
        if found:
            return found
        self._arrived.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), self._idle_s)
        return self.pool.select(bytes_max, proposals.BLOCK_TRANSACTIONS_MAX)

    def refresh(self) -> None:
        """The ledger stands elsewhere than one block further: what waits is judged anew."""
        replica = self._home.replica
        self.pool.update((), self.read, replica.height, replica.time_ms)

    def reap(self) -> list[bytes]:
        """What peers shall hear of."""
        return self.pool.reap(REAP_BYTES, REAP_COUNT_MAX, self._clock_ms())


class OwnSigner(Protocol):
    """This node's validator, if it is one."""

    @property
    def address(self) -> bytes:
        """How the engine names it."""

    def saw_own_vote(self, height: int) -> None:
        """The ledger holds a vote of its key. Raises GuardRefused if its guard knows nothing of that."""


class NodeApplication:
    """See `abci.server.Application`."""

    def __init__(
        self,
        home: OpenHome,
        sequencer: NetworkSequencer,
        pool: NodePool,
        tell_gone: Callable[[Gone], None],
        snapshots: Snapshots | None = None,
        state_sync: StateSync | None = None,
        signer: OwnSigner | None = None,
    ) -> None:
        self._signer = signer
        self._snapshots = snapshots or Snapshots(home, 0)
        self._state_sync = state_sync or StateSync(home, sequencer, None)
        self._home = home
        self._sequencer = sequencer
        self._pool = pool
        self._tell_gone = tell_gone
        self._transactions: tuple[bytes, ...] = ()
        self._retelling = Retelling(home)
        self._is_retold = False  # the block between `finalize_block` and `commit`

    # the engine begins

    async def info(self, request: schema.RequestInfo) -> schema.ResponseInfo:
        """Where this replica stands: the engine replays what is missing."""
        retelling = self._retelling
        return schema.ResponseInfo(
            data=self._home.did,
            version="careledger",
            app_version=APP_VERSION,
            last_block_height=retelling.height,
            last_block_app_hash=retelling.app_hash if retelling.height else b"",
        )

    async def init_chain(self, request: schema.RequestInitChain) -> schema.ResponseInitChain:
        """The engine's genesis must be this home's. Raises Misconfigured otherwise."""
        replica = self._home.replica
        try:
            told = bytes.fromhex(json.loads(request.app_state_bytes)["genesis"])
        except (ValueError, KeyError, TypeError):
            told = b""
        if (
            request.chain_id != replica.chain_id
            or told != replica.genesis.to_bytes()
            or self._retelling.height
        ):
            raise Misconfigured(
                "the engine's genesis is not this home's",
                hint="remove the home's folder `engine`, it is made again; or run `careledger engine doctor`",
            )
        if self._retelling.is_behind:
            return schema.ResponseInitChain(app_hash=self._retelling.app_hash)
        expected = [_update(power) for power in genesis_validators(Overlay(self._pool.read))]
        if sorted(map(_as_bytes, expected)) != sorted(map(_as_bytes, request.validators)):
            raise Misconfigured(
                "the engine's validators are not those of the genesis", hint="careledger engine doctor"
            )
        return schema.ResponseInitChain(validators=expected, app_hash=replica.app_hash)

    # transactions

    async def check_tx(self, request: schema.RequestCheckTx) -> schema.ResponseCheckTx:
        """A transaction that came by the engine's own door."""
        verdict = self._pool.insert(request.tx, Source.DOOR)
        return schema.ResponseCheckTx(code=verdict.code, log=verdict.code.name.lower())

    async def insert_tx(self, request: schema.RequestInsertTx) -> schema.ResponseInsertTx:
        """What a peer sent: a transaction, or a parcel of them. Of a parcel, what is to be offered again counts first."""
        try:
            transactions = parcels.unpack(request.tx)
        except Invalid:
            return schema.ResponseInsertTx(code=InsertCode.INVALID)
        codes = []
        for number, one in enumerate(transactions, start=1):
            codes.append(self._pool.insert(one, Source.PEER).code)
            if number % INSERTED_AT_ONCE == 0:
                await asyncio.sleep(0)  # a block does not wait for a parcel
        if InsertCode.OK in codes or InsertCode.DUPLICATE in codes or not codes:
            codes = [code for code in codes if code.is_retry]
        return schema.ResponseInsertTx(code=max(codes, default=InsertCode.OK))

    async def reap_txs(self, request: schema.RequestReapTxs) -> schema.ResponseReapTxs:
        """What peers shall hear of."""
        return schema.ResponseReapTxs(txs=parcels.pack(self._pool.reap()))

    # blocks

    async def prepare_proposal(
        self, request: schema.RequestPrepareProposal
    ) -> schema.ResponsePrepareProposal:
        """A block of what executes. Raises Unavailable if this node cannot follow the ledger any more."""
        await self._sequencer.ready()
        bytes_max = min(request.max_tx_bytes, BLOCK_BYTES_MAX)
        candidates = await self._pool.candidates(bytes_max)
        known = frozenset(candidates)
        overdue = [one for one in self._pool.pool.list_overdue(OVERDUE_BLOCKS) if one not in known]
        replica = self._home.replica
        block = replica.block_input(self._decided(request, ()))
        with self._pool.read.at_once() as read:
            prepared = proposals.prepare(replica.rules, read, block, [*candidates, *overdue], bytes_max)
            refused = [data for data, _ in prepared.refused]
            confirmed = proposals.confirm_refused(replica.rules, read, block, refused)
        self._pool.pool.refuse(confirmed)
        self._tell_all_gone()
        replica.plan(self._decided(request, prepared.transactions), prepared.outcome)
        return schema.ResponsePrepareProposal(txs=prepared.transactions)

    async def process_proposal(
        self, request: schema.RequestProcessProposal
    ) -> schema.ResponseProcessProposal:
        """Whether every transaction executes, in this order; what came out is kept for when it is decided."""
        await self._sequencer.ready()
        replica = self._home.replica
        decided = self._decided(request, tuple(request.txs))
        if decided.height != replica.height + 1 or decided.time_ms < replica.time_ms:
            return schema.ResponseProcessProposal(status=ProposalStatus.REJECT)
        if replica.is_planned(decided):  # by this node's own proposal, which was checked when it was made
            return schema.ResponseProcessProposal(status=ProposalStatus.ACCEPT)
        block = replica.block_input(decided)
        try:
            with self._pool.read.at_once() as read:
                outcome = proposals.check(replica.rules, read, block, BLOCK_BYTES_MAX)
        except ProposalRefused:
            return schema.ResponseProcessProposal(status=ProposalStatus.REJECT)
        replica.plan(decided, outcome)
        return schema.ResponseProcessProposal(status=ProposalStatus.ACCEPT)

    async def extend_vote(self, request: schema.RequestExtendVote) -> schema.ResponseExtendVote:
        """Votes carry nothing of ours."""
        return schema.ResponseExtendVote()

    async def verify_vote_extension(
        self, request: schema.RequestVerifyVoteExtension
    ) -> schema.ResponseVerifyVoteExtension:
        """Only votes that carry nothing."""
        status = VerifyStatus.REJECT if request.vote_extension else VerifyStatus.ACCEPT
        return schema.ResponseVerifyVoteExtension(status=status)

    async def finalize_block(self, request: schema.RequestFinalizeBlock) -> schema.ResponseFinalizeBlock:
        """The decided block, executed; nothing of it lasts before `commit`."""
        await self._sequencer.settle()
        await self._watch_own_votes(request)
        decided = self._decided(request, tuple(request.txs))
        self._is_retold = decided.height <= self._home.height
        if self._is_retold:
            codes, powers, app_hash = self._retelling.tell(decided)
            return schema.ResponseFinalizeBlock(
                tx_results=[schema.ExecTxResult(code=code) for code in codes],
                validator_updates=[_update(power) for power in powers],
                app_hash=app_hash,
            )
        done = await self._sequencer.begin_block(decided)
        self._transactions = decided.transactions
        updates = validator_updates(done.outcome)
        return schema.ResponseFinalizeBlock(
            tx_results=[schema.ExecTxResult(code=receipt.code) for receipt in done.receipts],
            validator_updates=[_update(power) for power in updates],
            app_hash=done.app_hash,
        )

    async def _watch_own_votes(self, request: schema.RequestFinalizeBlock) -> None:
        """A vote of this key that its guard did not see means that an old copy or a stranger signs: it falls silent."""
        signer = self._signer
        if signer is None or not any(
            vote.block_id_flag in VOTED and vote.validator.address == signer.address
            for vote in request.decided_last_commit.votes
        ):
            return
        try:
            await asyncio.to_thread(signer.saw_own_vote, request.height - 1)  # it may wait for the disk
        except CareLedgerError as error:
            logger().error("the validator signs nothing more", reason=error.message, hint=error.hint)

    async def commit(self, request: schema.RequestCommit) -> schema.ResponseCommit:
        """The block is durable when this returns."""
        if self._is_retold:
            self._retelling.told()
            return schema.ResponseCommit()
        done = await self._sequencer.commit_block()
        self._retelling.moved()
        self._pool.pool.update(self._transactions, self._pool.read, done.height, done.time_ms)
        self._refuse_overdue()
        self._tell_all_gone()
        self._snapshots.after_block()
        return schema.ResponseCommit(retain_height=self._snapshots.compute_retain_height())

    def _refuse_overdue(self) -> None:
        """What every proposer passes over may be refused: a node that never proposes learns it only so."""
        replica, overdue = self._home.replica, self._pool.pool.list_overdue(OVERDUE_BLOCKS)
        block = replica.block_input(Decided(replica.height + 1, replica.time_ms, ()))
        self._pool.pool.refuse(proposals.confirm_refused(replica.rules, self._pool.read, block, overdue))

    def _decided(
        self,
        request: schema.RequestPrepareProposal | schema.RequestProcessProposal | schema.RequestFinalizeBlock,
        transactions: tuple[bytes, ...],
    ) -> Decided:
        evidence = tuple(
            Evidence(
                one.type, one.validator.address, one.height, _milliseconds(one.time), one.validator.power
            )
            for one in request.misbehavior
        )
        return Decided(request.height, _milliseconds(request.time), transactions, evidence)

    def _tell_all_gone(self) -> None:
        for gone in self._pool.pool.drain_gone():
            self._tell_gone(gone)

    # questions, snapshots

    async def query(self, request: schema.RequestQuery) -> schema.ResponseQuery:
        """A node's own commands answer; the engine's door gives nothing away."""
        return schema.ResponseQuery(code=1, log="ask the node: careledger network status")

    async def list_snapshots(self, request: schema.RequestListSnapshots) -> schema.ResponseListSnapshots:
        """Those that others may begin with."""
        return schema.ResponseListSnapshots(
            snapshots=[
                schema.Snapshot(
                    height=one.height,
                    format=FORMAT,
                    chunks=one.chunks,
                    hash=compute_hash(one.metadata),
                    metadata=one.metadata,
                )
                for one in self._snapshots.list_kept()
            ]
        )

    async def offer_snapshot(self, request: schema.RequestOfferSnapshot) -> schema.ResponseOfferSnapshot:
        """Whether this node begins with it; see `statesync`."""
        one = request.snapshot
        offered = Offered(one.height, one.format, one.chunks, one.hash, one.metadata, request.app_hash)
        return schema.ResponseOfferSnapshot(result=await self._state_sync.offer(offered))

    async def load_snapshot_chunk(
        self, request: schema.RequestLoadSnapshotChunk
    ) -> schema.ResponseLoadSnapshotChunk:
        """A chunk for somebody else; empty if the snapshot is gone."""
        found = b""
        if request.format == FORMAT:
            found = self._snapshots.read_chunk(request.height, request.chunk)
        return schema.ResponseLoadSnapshotChunk(chunk=found)

    async def apply_snapshot_chunk(
        self, request: schema.RequestApplySnapshotChunk
    ) -> schema.ResponseApplySnapshotChunk:
        """With the last chunk this node stands where the snapshot does."""
        applied = await self._state_sync.apply(request.index, request.chunk, request.sender)
        self._retelling.moved()
        return schema.ResponseApplySnapshotChunk(
            result=applied.result, refetch_chunks=applied.refetch, reject_senders=applied.reject
        )


class Moment(Protocol):
    """A time as the engine writes it."""

    @property
    def seconds(self) -> int: ...
    @property
    def nanos(self) -> int: ...


def _milliseconds(time: Moment) -> int:
    return int(time.seconds) * 1000 + int(time.nanos) // 1_000_000


def _update(power: Power) -> schema.ValidatorUpdate:
    key = (
        schema.PublicKey(ed25519=power.public)
        if power.algorithm == ED25519
        else schema.PublicKey(mldsa65=power.public)
    )
    return schema.ValidatorUpdate(pub_key=key, power=power.power)


def _as_bytes(update: schema.ValidatorUpdate) -> bytes:
    return bytes(update.SerializeToString(deterministic=True))
