# Written by tools/build_message_types.py from the table; do not edit.
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.internal.containers import RepeatedCompositeFieldContainer, RepeatedScalarFieldContainer
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

class Request(Message):
    @property
    def echo(self) -> RequestEcho: ...
    @property
    def flush(self) -> RequestFlush: ...
    @property
    def info(self) -> RequestInfo: ...
    @property
    def init_chain(self) -> RequestInitChain: ...
    @property
    def query(self) -> RequestQuery: ...
    @property
    def check_tx(self) -> RequestCheckTx: ...
    @property
    def commit(self) -> RequestCommit: ...
    @property
    def list_snapshots(self) -> RequestListSnapshots: ...
    @property
    def offer_snapshot(self) -> RequestOfferSnapshot: ...
    @property
    def load_snapshot_chunk(self) -> RequestLoadSnapshotChunk: ...
    @property
    def apply_snapshot_chunk(self) -> RequestApplySnapshotChunk: ...
    @property
    def prepare_proposal(self) -> RequestPrepareProposal: ...
    @property
    def process_proposal(self) -> RequestProcessProposal: ...
    @property
    def extend_vote(self) -> RequestExtendVote: ...
    @property
    def verify_vote_extension(self) -> RequestVerifyVoteExtension: ...
    @property
    def finalize_block(self) -> RequestFinalizeBlock: ...
    @property
    def insert_tx(self) -> RequestInsertTx: ...
    @property
    def reap_txs(self) -> RequestReapTxs: ...
    def __init__(
        self,
        *,
        echo: RequestEcho | Mapping[str, Any] | None = ...,
        flush: RequestFlush | Mapping[str, Any] | None = ...,
        info: RequestInfo | Mapping[str, Any] | None = ...,
        init_chain: RequestInitChain | Mapping[str, Any] | None = ...,
        query: RequestQuery | Mapping[str, Any] | None = ...,
        check_tx: RequestCheckTx | Mapping[str, Any] | None = ...,
        commit: RequestCommit | Mapping[str, Any] | None = ...,
        list_snapshots: RequestListSnapshots | Mapping[str, Any] | None = ...,
        offer_snapshot: RequestOfferSnapshot | Mapping[str, Any] | None = ...,
        load_snapshot_chunk: RequestLoadSnapshotChunk | Mapping[str, Any] | None = ...,
        apply_snapshot_chunk: RequestApplySnapshotChunk | Mapping[str, Any] | None = ...,
        prepare_proposal: RequestPrepareProposal | Mapping[str, Any] | None = ...,
        process_proposal: RequestProcessProposal | Mapping[str, Any] | None = ...,
        extend_vote: RequestExtendVote | Mapping[str, Any] | None = ...,
        verify_vote_extension: RequestVerifyVoteExtension | Mapping[str, Any] | None = ...,
        finalize_block: RequestFinalizeBlock | Mapping[str, Any] | None = ...,
        insert_tx: RequestInsertTx | Mapping[str, Any] | None = ...,
        reap_txs: RequestReapTxs | Mapping[str, Any] | None = ...,
    ) -> None: ...

class RequestEcho(Message):
    message: str
    def __init__(self, *, message: str = ...) -> None: ...

class RequestFlush(Message):
    def __init__(self) -> None: ...

class RequestInfo(Message):
    version: str
    block_version: int
    p2p_version: int
    abci_version: str
    def __init__(
        self, *, version: str = ..., block_version: int = ..., p2p_version: int = ..., abci_version: str = ...
    ) -> None: ...

class RequestInitChain(Message):
    @property
    def time(self) -> Timestamp: ...
    chain_id: str
    @property
    def consensus_params(self) -> ConsensusParams: ...
    @property
    def validators(self) -> RepeatedCompositeFieldContainer[ValidatorUpdate]: ...
    app_state_bytes: bytes
    initial_height: int
    def __init__(
        self,
        *,
        time: Timestamp | Mapping[str, Any] | None = ...,
        chain_id: str = ...,
        consensus_params: ConsensusParams | Mapping[str, Any] | None = ...,
        validators: Iterable[ValidatorUpdate | Mapping[str, Any]] = ...,
        app_state_bytes: bytes = ...,
        initial_height: int = ...,
    ) -> None: ...

class RequestQuery(Message):
    data: bytes
    path: str
    height: int
    prove: bool
    def __init__(
        self, *, data: bytes = ..., path: str = ..., height: int = ..., prove: bool = ...
    ) -> None: ...

class RequestCheckTx(Message):
    tx: bytes
    type: int
    def __init__(self, *, tx: bytes = ..., type: int = ...) -> None: ...

class RequestInsertTx(Message):
    tx: bytes
    def __init__(self, *, tx: bytes = ...) -> None: ...

class RequestReapTxs(Message):
    max_bytes: int
    max_gas: int
    def __init__(self, *, max_bytes: int = ..., max_gas: int = ...) -> None: ...

class RequestCommit(Message):
    def __init__(self) -> None: ...

class RequestListSnapshots(Message):
    def __init__(self) -> None: ...

class RequestOfferSnapshot(Message):
    @property
    def snapshot(self) -> Snapshot: ...
    app_hash: bytes
    def __init__(
        self, *, snapshot: Snapshot | Mapping[str, Any] | None = ..., app_hash: bytes = ...
    ) -> None: ...

class RequestLoadSnapshotChunk(Message):
    height: int
    format: int
    chunk: int
    def __init__(self, *, height: int = ..., format: int = ..., chunk: int = ...) -> None: ...

class RequestApplySnapshotChunk(Message):
    index: int
    chunk: bytes
    sender: str
    def __init__(self, *, index: int = ..., chunk: bytes = ..., sender: str = ...) -> None: ...

class RequestPrepareProposal(Message):
    max_tx_bytes: int
    @property
    def txs(self) -> RepeatedScalarFieldContainer[bytes]: ...
    @property
    def local_last_commit(self) -> ExtendedCommitInfo: ...
    @property
    def misbehavior(self) -> RepeatedCompositeFieldContainer[Misbehavior]: ...
    height: int
    @property
    def time(self) -> Timestamp: ...
    next_validators_hash: bytes
    proposer_address: bytes
    def __init__(
        self,
        *,
        max_tx_bytes: int = ...,
        txs: Iterable[bytes] = ...,
        local_last_commit: ExtendedCommitInfo | Mapping[str, Any] | None = ...,
        misbehavior: Iterable[Misbehavior | Mapping[str, Any]] = ...,
        height: int = ...,
        time: Timestamp | Mapping[str, Any] | None = ...,
        next_validators_hash: bytes = ...,
        proposer_address: bytes = ...,
    ) -> None: ...

class RequestProcessProposal(Message):
    @property
    def txs(self) -> RepeatedScalarFieldContainer[bytes]: ...
    @property
    def proposed_last_commit(self) -> CommitInfo: ...
    @property
    def misbehavior(self) -> RepeatedCompositeFieldContainer[Misbehavior]: ...
    hash: bytes
    height: int
    @property
    def time(self) -> Timestamp: ...
    next_validators_hash: bytes
    proposer_address: bytes
    def __init__(
        self,
        *,
        txs: Iterable[bytes] = ...,
        proposed_last_commit: CommitInfo | Mapping[str, Any] | None = ...,
        misbehavior: Iterable[Misbehavior | Mapping[str, Any]] = ...,
        hash: bytes = ...,
        height: int = ...,
        time: Timestamp | Mapping[str, Any] | None = ...,
        next_validators_hash: bytes = ...,
        proposer_address: bytes = ...,
    ) -> None: ...

class RequestExtendVote(Message):
    hash: bytes
    height: int
    @property
    def time(self) -> Timestamp: ...
    @property
    def txs(self) -> RepeatedScalarFieldContainer[bytes]: ...
    @property
    def proposed_last_commit(self) -> CommitInfo: ...
    @property
    def misbehavior(self) -> RepeatedCompositeFieldContainer[Misbehavior]: ...
    next_validators_hash: bytes
    proposer_address: bytes
    def __init__(
        self,
        *,
        hash: bytes = ...,
        height: int = ...,
        time: Timestamp | Mapping[str, Any] | None = ...,
        txs: Iterable[bytes] = ...,
        proposed_last_commit: CommitInfo | Mapping[str, Any] | None = ...,
        misbehavior: Iterable[Misbehavior | Mapping[str, Any]] = ...,
        next_validators_hash: bytes = ...,
        proposer_address: bytes = ...,
    ) -> None: ...

class RequestVerifyVoteExtension(Message):
    hash: bytes
    validator_address: bytes
    height: int
    vote_extension: bytes
    def __init__(
        self,
        *,
        hash: bytes = ...,
        validator_address: bytes = ...,
        height: int = ...,
        vote_extension: bytes = ...,
    ) -> None: ...

class RequestFinalizeBlock(Message):
    @property
    def txs(self) -> RepeatedScalarFieldContainer[bytes]: ...
    @property
    def decided_last_commit(self) -> CommitInfo: ...
    @property
    def misbehavior(self) -> RepeatedCompositeFieldContainer[Misbehavior]: ...
    hash: bytes
    height: int
    @property
    def time(self) -> Timestamp: ...
    next_validators_hash: bytes
    proposer_address: bytes
    def __init__(
        self,
        *,
        txs: Iterable[bytes] = ...,
        decided_last_commit: CommitInfo | Mapping[str, Any] | None = ...,
        misbehavior: Iterable[Misbehavior | Mapping[str, Any]] = ...,
        hash: bytes = ...,
        height: int = ...,
        time: Timestamp | Mapping[str, Any] | None = ...,
        next_validators_hash: bytes = ...,
        proposer_address: bytes = ...,
    ) -> None: ...

class Response(Message):
    @property
    def exception(self) -> ResponseException: ...
    @property
    def echo(self) -> ResponseEcho: ...
    @property
    def flush(self) -> ResponseFlush: ...
    @property
    def info(self) -> ResponseInfo: ...
    @property
    def init_chain(self) -> ResponseInitChain: ...
    @property
    def query(self) -> ResponseQuery: ...
    @property
    def check_tx(self) -> ResponseCheckTx: ...
    @property
    def commit(self) -> ResponseCommit: ...
    @property
    def list_snapshots(self) -> ResponseListSnapshots: ...
    @property
    def offer_snapshot(self) -> ResponseOfferSnapshot: ...
    @property
    def load_snapshot_chunk(self) -> ResponseLoadSnapshotChunk: ...
    @property
    def apply_snapshot_chunk(self) -> ResponseApplySnapshotChunk: ...
    @property
    def prepare_proposal(self) -> ResponsePrepareProposal: ...
    @property
    def process_proposal(self) -> ResponseProcessProposal: ...
    @property
    def extend_vote(self) -> ResponseExtendVote: ...
    @property
    def verify_vote_extension(self) -> ResponseVerifyVoteExtension: ...
    @property
    def finalize_block(self) -> ResponseFinalizeBlock: ...
    @property
    def insert_tx(self) -> ResponseInsertTx: ...
    @property
    def reap_txs(self) -> ResponseReapTxs: ...
    def __init__(
        self,
        *,
        exception: ResponseException | Mapping[str, Any] | None = ...,
        echo: ResponseEcho | Mapping[str, Any] | None = ...,
        flush: ResponseFlush | Mapping[str, Any] | None = ...,
        info: ResponseInfo | Mapping[str, Any] | None = ...,
        init_chain: ResponseInitChain | Mapping[str, Any] | None = ...,
        query: ResponseQuery | Mapping[str, Any] | None = ...,
        check_tx: ResponseCheckTx | Mapping[str, Any] | None = ...,
        commit: ResponseCommit | Mapping[str, Any] | None = ...,
        list_snapshots: ResponseListSnapshots | Mapping[str, Any] | None = ...,
        offer_snapshot: ResponseOfferSnapshot | Mapping[str, Any] | None = ...,
        load_snapshot_chunk: ResponseLoadSnapshotChunk | Mapping[str, Any] | None = ...,
        apply_snapshot_chunk: ResponseApplySnapshotChunk | Mapping[str, Any] | None = ...,
        prepare_proposal: ResponsePrepareProposal | Mapping[str, Any] | None = ...,
        process_proposal: ResponseProcessProposal | Mapping[str, Any] | None = ...,
        extend_vote: ResponseExtendVote | Mapping[str, Any] | None = ...,
        verify_vote_extension: ResponseVerifyVoteExtension | Mapping[str, Any] | None = ...,
        finalize_block: ResponseFinalizeBlock | Mapping[str, Any] | None = ...,
        insert_tx: ResponseInsertTx | Mapping[str, Any] | None = ...,
        reap_txs: ResponseReapTxs | Mapping[str, Any] | None = ...,
    ) -> None: ...

class ResponseException(Message):
    error: str
    def __init__(self, *, error: str = ...) -> None: ...

class ResponseEcho(Message):
    message: str
    def __init__(self, *, message: str = ...) -> None: ...

class ResponseFlush(Message):
    def __init__(self) -> None: ...

class ResponseInfo(Message):
    data: str
    version: str
    app_version: int
    last_block_height: int
    last_block_app_hash: bytes
    def __init__(
        self,
        *,
        data: str = ...,
        version: str = ...,
        app_version: int = ...,
        last_block_height: int = ...,
        last_block_app_hash: bytes = ...,
    ) -> None: ...

class ResponseInitChain(Message):
    @property
    def consensus_params(self) -> ConsensusParams: ...
    @property
    def validators(self) -> RepeatedCompositeFieldContainer[ValidatorUpdate]: ...
    app_hash: bytes
    def __init__(
        self,
        *,
        consensus_params: ConsensusParams | Mapping[str, Any] | None = ...,
        validators: Iterable[ValidatorUpdate | Mapping[str, Any]] = ...,
        app_hash: bytes = ...,
    ) -> None: ...

class ResponseQuery(Message):
    code: int
    log: str
    info: str
    index: int
    key: bytes
    value: bytes
    @property
    def proof_ops(self) -> ProofOps: ...
    height: int
    codespace: str
    def __init__(
        self,
        *,
        code: int = ...,
        log: str = ...,
        info: str = ...,
        index: int = ...,
        key: bytes = ...,
        value: bytes = ...,
        proof_ops: ProofOps | Mapping[str, Any] | None = ...,
        height: int = ...,
        codespace: str = ...,
    ) -> None: ...

class ResponseCheckTx(Message):
    code: int
    data: bytes
    log: str
    info: str
    gas_wanted: int
    gas_used: int
    @property
    def events(self) -> RepeatedCompositeFieldContainer[Event]: ...
    codespace: str
    def __init__(
        self,
        *,
        code: int = ...,
        data: bytes = ...,
        log: str = ...,
        info: str = ...,
        gas_wanted: int = ...,
        gas_used: int = ...,
        events: Iterable[Event | Mapping[str, Any]] = ...,
        codespace: str = ...,
    ) -> None: ...

class ResponseInsertTx(Message):
    code: int
    def __init__(self, *, code: int = ...) -> None: ...

class ResponseReapTxs(Message):
    @property
    def txs(self) -> RepeatedScalarFieldContainer[bytes]: ...
    def __init__(self, *, txs: Iterable[bytes] = ...) -> None: ...

class ResponseCommit(Message):
    retain_height: int
    def __init__(self, *, retain_height: int = ...) -> None: ...

class ResponseListSnapshots(Message):
    @property
    def snapshots(self) -> RepeatedCompositeFieldContainer[Snapshot]: ...
    def __init__(self, *, snapshots: Iterable[Snapshot | Mapping[str, Any]] = ...) -> None: ...

class ResponseOfferSnapshot(Message):
    result: int
    def __init__(self, *, result: int = ...) -> None: ...

class ResponseLoadSnapshotChunk(Message):
    chunk: bytes
    def __init__(self, *, chunk: bytes = ...) -> None: ...

class ResponseApplySnapshotChunk(Message):
    result: int
    @property
    def refetch_chunks(self) -> RepeatedScalarFieldContainer[int]: ...
    @property
    def reject_senders(self) -> RepeatedScalarFieldContainer[str]: ...
    def __init__(
        self, *, result: int = ..., refetch_chunks: Iterable[int] = ..., reject_senders: Iterable[str] = ...
    ) -> None: ...

class ResponsePrepareProposal(Message):
    @property
    def txs(self) -> RepeatedScalarFieldContainer[bytes]: ...
    def __init__(self, *, txs: Iterable[bytes] = ...) -> None: ...

class ResponseProcessProposal(Message):
    status: int
    def __init__(self, *, status: int = ...) -> None: ...

class ResponseExtendVote(Message):
    vote_extension: bytes
    def __init__(self, *, vote_extension: bytes = ...) -> None: ...

class ResponseVerifyVoteExtension(Message):
    status: int
    def __init__(self, *, status: int = ...) -> None: ...

class ResponseFinalizeBlock(Message):
    @property
    def events(self) -> RepeatedCompositeFieldContainer[Event]: ...
    @property
    def tx_results(self) -> RepeatedCompositeFieldContainer[ExecTxResult]: ...
    @property
    def validator_updates(self) -> RepeatedCompositeFieldContainer[ValidatorUpdate]: ...
    @property
    def consensus_param_updates(self) -> ConsensusParams: ...
    app_hash: bytes
    def __init__(
        self,
        *,
        events: Iterable[Event | Mapping[str, Any]] = ...,
        tx_results: Iterable[ExecTxResult | Mapping[str, Any]] = ...,
        validator_updates: Iterable[ValidatorUpdate | Mapping[str, Any]] = ...,
        consensus_param_updates: ConsensusParams | Mapping[str, Any] | None = ...,
        app_hash: bytes = ...,
    ) -> None: ...

class CommitInfo(Message):
    round: int
    @property
    def votes(self) -> RepeatedCompositeFieldContainer[VoteInfo]: ...
    def __init__(self, *, round: int = ..., votes: Iterable[VoteInfo | Mapping[str, Any]] = ...) -> None: ...

class ExtendedCommitInfo(Message):
    round: int
    @property
    def votes(self) -> RepeatedCompositeFieldContainer[ExtendedVoteInfo]: ...
    def __init__(
        self, *, round: int = ..., votes: Iterable[ExtendedVoteInfo | Mapping[str, Any]] = ...
    ) -> None: ...

class Event(Message):
    type: str
    @property
    def attributes(self) -> RepeatedCompositeFieldContainer[EventAttribute]: ...
    def __init__(
        self, *, type: str = ..., attributes: Iterable[EventAttribute | Mapping[str, Any]] = ...
    ) -> None: ...

class EventAttribute(Message):
    key: str
    value: str
    index: bool
    def __init__(self, *, key: str = ..., value: str = ..., index: bool = ...) -> None: ...

class ExecTxResult(Message):
    code: int
    data: bytes
    log: str
    info: str
    gas_wanted: int
    gas_used: int
    @property
    def events(self) -> RepeatedCompositeFieldContainer[Event]: ...
    codespace: str
    def __init__(
        self,
        *,
        code: int = ...,
        data: bytes = ...,
        log: str = ...,
        info: str = ...,
        gas_wanted: int = ...,
        gas_used: int = ...,
        events: Iterable[Event | Mapping[str, Any]] = ...,
        codespace: str = ...,
    ) -> None: ...

class Validator(Message):
    address: bytes
    power: int
    def __init__(self, *, address: bytes = ..., power: int = ...) -> None: ...

class ValidatorUpdate(Message):
    @property
    def pub_key(self) -> PublicKey: ...
    power: int
    def __init__(self, *, pub_key: PublicKey | Mapping[str, Any] | None = ..., power: int = ...) -> None: ...

class VoteInfo(Message):
    @property
    def validator(self) -> Validator: ...
    block_id_flag: int
    def __init__(
        self, *, validator: Validator | Mapping[str, Any] | None = ..., block_id_flag: int = ...
    ) -> None: ...

class ExtendedVoteInfo(Message):
    @property
    def validator(self) -> Validator: ...
    vote_extension: bytes
    extension_signature: bytes
    block_id_flag: int
    def __init__(
        self,
        *,
        validator: Validator | Mapping[str, Any] | None = ...,
        vote_extension: bytes = ...,
        extension_signature: bytes = ...,
        block_id_flag: int = ...,
    ) -> None: ...

class Misbehavior(Message):
    type: int
    @property
    def validator(self) -> Validator: ...
    height: int
    @property
    def time(self) -> Timestamp: ...
    total_voting_power: int
    def __init__(
        self,
        *,
        type: int = ...,
        validator: Validator | Mapping[str, Any] | None = ...,
        height: int = ...,
        time: Timestamp | Mapping[str, Any] | None = ...,
        total_voting_power: int = ...,
    ) -> None: ...

class Snapshot(Message):
    height: int
    format: int
    chunks: int
    hash: bytes
    metadata: bytes
    def __init__(
        self,
        *,
        height: int = ...,
        format: int = ...,
        chunks: int = ...,
        hash: bytes = ...,
        metadata: bytes = ...,
    ) -> None: ...

class PublicKey(Message):
    ed25519: bytes
    secp256k1: bytes
    bls12381: bytes
    mldsa65: bytes
    secp256k1eth: bytes
    def __init__(
        self,
        *,
        ed25519: bytes = ...,
        secp256k1: bytes = ...,
        bls12381: bytes = ...,
        mldsa65: bytes = ...,
        secp256k1eth: bytes = ...,
    ) -> None: ...

class ProofOps(Message):
    @property
    def ops(self) -> RepeatedCompositeFieldContainer[ProofOp]: ...
    def __init__(self, *, ops: Iterable[ProofOp | Mapping[str, Any]] = ...) -> None: ...

class ProofOp(Message):
    type: str
    key: bytes
    data: bytes
    def __init__(self, *, type: str = ..., key: bytes = ..., data: bytes = ...) -> None: ...

class ConsensusParams(Message):
    @property
    def block(self) -> BlockParams: ...
    @property
    def evidence(self) -> EvidenceParams: ...
    @property
    def validator(self) -> ValidatorParams: ...
    @property
    def version(self) -> VersionParams: ...
    @property
    def abci(self) -> ABCIParams: ...
    @property
    def authority(self) -> AuthorityParams: ...
    def __init__(
        self,
        *,
        block: BlockParams | Mapping[str, Any] | None = ...,
        evidence: EvidenceParams | Mapping[str, Any] | None = ...,
        validator: ValidatorParams | Mapping[str, Any] | None = ...,
        version: VersionParams | Mapping[str, Any] | None = ...,
        abci: ABCIParams | Mapping[str, Any] | None = ...,
        authority: AuthorityParams | Mapping[str, Any] | None = ...,
    ) -> None: ...

class BlockParams(Message):
    max_bytes: int
    max_gas: int
    def __init__(self, *, max_bytes: int = ..., max_gas: int = ...) -> None: ...

class EvidenceParams(Message):
    max_age_num_blocks: int
    @property
    def max_age_duration(self) -> Duration: ...
    max_bytes: int
    def __init__(
        self,
        *,
        max_age_num_blocks: int = ...,
        max_age_duration: Duration | Mapping[str, Any] | None = ...,
        max_bytes: int = ...,
    ) -> None: ...

class ValidatorParams(Message):
    @property
    def pub_key_types(self) -> RepeatedScalarFieldContainer[str]: ...
    def __init__(self, *, pub_key_types: Iterable[str] = ...) -> None: ...

class VersionParams(Message):
    app: int
    def __init__(self, *, app: int = ...) -> None: ...

class ABCIParams(Message):
    vote_extensions_enable_height: int
    def __init__(self, *, vote_extensions_enable_height: int = ...) -> None: ...

class AuthorityParams(Message):
    authority: str
    def __init__(self, *, authority: str = ...) -> None: ...
