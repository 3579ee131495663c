"""The messages between the engine (CometBFT v0.40.0) and its remote signer, and what validators sign.

Field numbers and names are the protocol's; the notation is that of `ledger.consensus.abci.wire`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from careledger.ledger.consensus.abci.table import ABCI
from careledger.ledger.consensus.abci.wire import Table

MESSAGES: Final = {
    "SignerMessage": "1 pub_key_request PubKeyRequest, 2 pub_key_response PubKeyResponse,"
    "3 sign_vote_request SignVoteRequest, 4 signed_vote_response SignedVoteResponse,"
    "5 sign_proposal_request SignProposalRequest, 6 signed_proposal_response SignedProposalResponse,"
    "7 ping_request PingRequest, 8 ping_response PingResponse",
    "PubKeyRequest": "1 chain_id string",
    "PubKeyResponse": "1 pub_key PublicKey, 2 error RemoteSignerError",
    "SignVoteRequest": "1 vote Vote, 2 chain_id string",
    "SignedVoteResponse": "1 vote Vote, 2 error RemoteSignerError",
    "SignProposalRequest": "1 proposal Proposal, 2 chain_id string",
    "SignedProposalResponse": "1 proposal Proposal, 2 error RemoteSignerError",
    "PingRequest": "",
    "PingResponse": "",
    "RemoteSignerError": "1 code int32, 2 description string",
    "Vote": "1 type int32, 2 height int64, 3 round int32, 4 block_id BlockID, 5 timestamp Timestamp,"
    "6 validator_address bytes, 7 validator_index int32, 8 signature bytes, 9 extension bytes,"
    "10 extension_signature bytes",
    "Proposal": "1 type int32, 2 height int64, 3 round int32, 4 pol_round int32, 5 block_id BlockID,"
    "6 timestamp Timestamp, 7 signature bytes",
    "BlockID": "1 hash bytes, 2 part_set_header PartSetHeader",
    "PartSetHeader": "1 total uint32, 2 hash bytes",
    # What is signed: heights and rounds have a fixed size, and what only some validators see is left out.
    "CanonicalVote": "1 type int32, 2 height sfixed64, 3 round sfixed64, 4 block_id BlockID,"
    "5 timestamp Timestamp, 6 chain_id string",
    "CanonicalProposal": "1 type int32, 2 height sfixed64, 3 round sfixed64, 4 pol_round int64,"
    "5 block_id BlockID, 6 timestamp Timestamp, 7 chain_id string",
}
PRIVVAL: Final = Table("careledger.privval", MESSAGES, {"SignerMessage": "sum"}, (ABCI,))


class SignedType(IntEnum):
    """What a signature is for."""

    PREVOTE = 1
    PRECOMMIT = 2
    PROPOSAL = 32
