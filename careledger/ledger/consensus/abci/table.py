"""The messages of ABCI in CometBFT v0.40.0: field numbers and names are the protocol's, the notation is `wire`'s."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from careledger.ledger.consensus.abci.wire import Table

_BLOCK: Final = (
    "1 txs repeated bytes, 2 {0}_last_commit CommitInfo, 3 misbehavior repeated Misbehavior, 4 hash bytes,"
    "5 height int64, 6 time Timestamp, 7 next_validators_hash bytes, 8 proposer_address bytes"
)
_RESULT: Final = (
    "1 code uint32, 2 data bytes, 3 log string, 4 info string, 5 gas_wanted int64, 6 gas_used int64,"
    "7 events repeated Event, 8 codespace string"
)

MESSAGES: Final = {
    # Requests
    "Request": "1 echo RequestEcho, 2 flush RequestFlush, 3 info RequestInfo, 5 init_chain RequestInitChain,"
    "6 query RequestQuery, 8 check_tx RequestCheckTx, 11 commit RequestCommit,"
    "12 list_snapshots RequestListSnapshots, 13 offer_snapshot RequestOfferSnapshot,"
    "14 load_snapshot_chunk RequestLoadSnapshotChunk, 15 apply_snapshot_chunk RequestApplySnapshotChunk,"
    "16 prepare_proposal RequestPrepareProposal, 17 process_proposal RequestProcessProposal,"
    "18 extend_vote RequestExtendVote, 19 verify_vote_extension RequestVerifyVoteExtension,"
    "20 finalize_block RequestFinalizeBlock, 21 insert_tx RequestInsertTx, 22 reap_txs RequestReapTxs",
    "RequestEcho": "1 message string",
    "RequestFlush": "",
    "RequestInfo": "1 version string, 2 block_version uint64, 3 p2p_version uint64, 4 abci_version string",
    "RequestInitChain": "1 time Timestamp, 2 chain_id string, 3 consensus_params ConsensusParams,"
    "4 validators repeated ValidatorUpdate, 5 app_state_bytes bytes, 6 initial_height int64",
    "RequestQuery": "1 data bytes, 2 path string, 3 height int64, 4 prove bool",
    "RequestCheckTx": "1 tx bytes, 2 type int32",
    "RequestInsertTx": "1 tx bytes",
    "RequestReapTxs": "1 max_bytes uint64, 2 max_gas uint64",
    "RequestCommit": "",
    "RequestListSnapshots": "",
    "RequestOfferSnapshot": "1 snapshot Snapshot, 2 app_hash bytes",
    "RequestLoadSnapshotChunk": "1 height uint64, 2 format uint32, 3 chunk uint32",
    "RequestApplySnapshotChunk": "1 index uint32, 2 chunk bytes, 3 sender string",
    "RequestPrepareProposal": "1 max_tx_bytes int64, 2 txs repeated bytes, 3 local_last_commit ExtendedCommitInfo,"
    "4 misbehavior repeated Misbehavior, 5 height int64, 6 time Timestamp, 7 next_validators_hash bytes,"
    "8 proposer_address bytes",
    "RequestProcessProposal": _BLOCK.format("proposed"),
    "RequestExtendVote": "1 hash bytes, 2 height int64, 3 time Timestamp, 4 txs repeated bytes,"
    "5 proposed_last_commit CommitInfo, 6 misbehavior repeated Misbehavior, 7 next_validators_hash bytes,"
    "8 proposer_address bytes",
    "RequestVerifyVoteExtension": "1 hash bytes, 2 validator_address bytes, 3 height int64, 4 vote_extension bytes",
    "RequestFinalizeBlock": _BLOCK.format("decided"),
    # Responses
    "Response": "1 exception ResponseException, 2 echo ResponseEcho, 3 flush ResponseFlush, 4 info ResponseInfo,"
    "6 init_chain ResponseInitChain, 7 query ResponseQuery, 9 check_tx ResponseCheckTx, 12 commit ResponseCommit,"
    "13 list_snapshots ResponseListSnapshots, 14 offer_snapshot ResponseOfferSnapshot,"
    "15 load_snapshot_chunk ResponseLoadSnapshotChunk, 16 apply_snapshot_chunk ResponseApplySnapshotChunk,"
    "17 prepare_proposal ResponsePrepareProposal, 18 process_proposal ResponseProcessProposal,"
    "19 extend_vote ResponseExtendVote, 20 verify_vote_extension ResponseVerifyVoteExtension,"
    "21 finalize_block ResponseFinalizeBlock, 22 insert_tx ResponseInsertTx, 23 reap_txs ResponseReapTxs",
    "ResponseException": "1 error string",
    "ResponseEcho": "1 message string",
    "ResponseFlush": "",
    "ResponseInfo": "1 data string, 2 version string, 3 app_version uint64, 4 last_block_height int64,"
    "5 last_block_app_hash bytes",
    "ResponseInitChain": "1 consensus_params ConsensusParams, 2 validators repeated ValidatorUpdate, 3 app_hash bytes",
    "ResponseQuery": "1 code uint32, 3 log string, 4 info string, 5 index int64, 6 key bytes, 7 value bytes,"
    "8 proof_ops ProofOps, 9 height int64, 10 codespace string",
    "ResponseCheckTx": _RESULT,
    "ResponseInsertTx": "1 code uint32",
    "ResponseReapTxs": "1 txs repeated bytes",
    "ResponseCommit": "3 retain_height int64",
    "ResponseListSnapshots": "1 snapshots repeated Snapshot",
    "ResponseOfferSnapshot": "1 result int32",
    "ResponseLoadSnapshotChunk": "1 chunk bytes",
    "ResponseApplySnapshotChunk": "1 result int32, 2 refetch_chunks repeated uint32, 3 reject_senders repeated string",
    "ResponsePrepareProposal": "1 txs repeated bytes",
    "ResponseProcessProposal": "1 status int32",
    "ResponseExtendVote": "1 vote_extension bytes",
    "ResponseVerifyVoteExtension": "1 status int32",
    "ResponseFinalizeBlock": "1 events repeated Event, 2 tx_results repeated ExecTxResult,"
    "3 validator_updates repeated ValidatorUpdate, 4 consensus_param_updates ConsensusParams, 5 app_hash bytes",
    # What they are made of
    "CommitInfo": "1 round int32, 2 votes repeated VoteInfo",
    "ExtendedCommitInfo": "1 round int32, 2 votes repeated ExtendedVoteInfo",
    "Event": "1 type string, 2 attributes repeated EventAttribute",
    "EventAttribute": "1 key string, 2 value string, 3 index bool",
    "ExecTxResult": _RESULT,
    "Validator": "1 address bytes, 3 power int64",
    "ValidatorUpdate": "1 pub_key PublicKey, 2 power int64",
    "VoteInfo": "1 validator Validator, 3 block_id_flag int32",
    "ExtendedVoteInfo": "1 validator Validator, 3 vote_extension bytes, 4 extension_signature bytes,"
    "5 block_id_flag int32",
    "Misbehavior": "1 type int32, 2 validator Validator, 3 height int64, 4 time Timestamp, 5 total_voting_power int64",
    "Snapshot": "1 height uint64, 2 format uint32, 3 chunks uint32, 4 hash bytes, 5 metadata bytes",
    "PublicKey": "1 ed25519 bytes, 2 secp256k1 bytes, 3 bls12381 bytes, 4 mldsa65 bytes, 5 secp256k1eth bytes",
    "ProofOps": "1 ops repeated ProofOp",
    "ProofOp": "1 type string, 2 key bytes, 3 data bytes",
    "ConsensusParams": "1 block BlockParams, 2 evidence EvidenceParams, 3 validator ValidatorParams,"
    "4 version VersionParams, 5 abci ABCIParams, 6 authority AuthorityParams",
    "BlockParams": "1 max_bytes int64, 2 max_gas int64",
    "EvidenceParams": "1 max_age_num_blocks int64, 2 max_age_duration Duration, 3 max_bytes int64",
    "ValidatorParams": "1 pub_key_types repeated string",
    "VersionParams": "1 app uint64",
    "ABCIParams": "1 vote_extensions_enable_height int64",
    "AuthorityParams": "1 authority string",
}
ABCI: Final = Table(
    "careledger.abci", MESSAGES, {"Request": "value", "Response": "value", "PublicKey": "sum"}
)


class CheckTxType(IntEnum):
    """Why a transaction is checked: it is new, or it stayed after a block."""

    NEW = 0
    RECHECK = 1


class OfferSnapshotResult(IntEnum):
    """What the application says of a snapshot. UNKNOWN ends the restoration, as ABORT does."""

    UNKNOWN = 0
    ACCEPT = 1
    ABORT = 2
    REJECT = 3
    REJECT_FORMAT = 4
    REJECT_SENDER = 5


class ApplySnapshotChunkResult(IntEnum):
    """What the application says of a snapshot's chunk."""

    UNKNOWN = 0
    ACCEPT = 1
    ABORT = 2
    RETRY = 3
    RETRY_SNAPSHOT = 4
    REJECT_SNAPSHOT = 5


class ProposalStatus(IntEnum):
    """Whether a proposed block may be voted for; UNKNOWN stops the engine."""

    UNKNOWN = 0
    ACCEPT = 1
    REJECT = 2


class VerifyStatus(IntEnum):
    """Whether a vote's extension is valid; UNKNOWN stops the engine."""

    UNKNOWN = 0
    ACCEPT = 1
    REJECT = 2


class MisbehaviorType(IntEnum):
    """What a validator is convicted of."""

    UNKNOWN = 0
    DUPLICATE_VOTE = 1
    LIGHT_CLIENT_ATTACK = 2


class BlockIDFlag(IntEnum):
    """How a validator voted on the last block."""

    UNKNOWN = 0
    ABSENT = 1
    COMMIT = 2
    NIL = 3
