# Written by tools/build_message_types.py from the table; do not edit.
from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from careledger.ledger.consensus.abci.schema import PublicKey

class SignerMessage(Message):
    @property
    def pub_key_request(self) -> PubKeyRequest: ...
    @property
    def pub_key_response(self) -> PubKeyResponse: ...
    @property
    def sign_vote_request(self) -> SignVoteRequest: ...
    @property
    def signed_vote_response(self) -> SignedVoteResponse: ...
    @property
    def sign_proposal_request(self) -> SignProposalRequest: ...
    @property
    def signed_proposal_response(self) -> SignedProposalResponse: ...
    @property
    def ping_request(self) -> PingRequest: ...
    @property
    def ping_response(self) -> PingResponse: ...
    def __init__(
        self,
        *,
        pub_key_request: PubKeyRequest | Mapping[str, Any] | None = ...,
        pub_key_response: PubKeyResponse | Mapping[str, Any] | None = ...,
        sign_vote_request: SignVoteRequest | Mapping[str, Any] | None = ...,
        signed_vote_response: SignedVoteResponse | Mapping[str, Any] | None = ...,
        sign_proposal_request: SignProposalRequest | Mapping[str, Any] | None = ...,
        signed_proposal_response: SignedProposalResponse | Mapping[str, Any] | None = ...,
        ping_request: PingRequest | Mapping[str, Any] | None = ...,
        ping_response: PingResponse | Mapping[str, Any] | None = ...,
    ) -> None: ...

class PubKeyRequest(Message):
    chain_id: str
    def __init__(self, *, chain_id: str = ...) -> None: ...

class PubKeyResponse(Message):
    @property
    def pub_key(self) -> PublicKey: ...
    @property
    def error(self) -> RemoteSignerError: ...
    def __init__(
        self,
        *,
        pub_key: PublicKey | Mapping[str, Any] | None = ...,
        error: RemoteSignerError | Mapping[str, Any] | None = ...,
    ) -> None: ...

class SignVoteRequest(Message):
    @property
    def vote(self) -> Vote: ...
    chain_id: str
    def __init__(self, *, vote: Vote | Mapping[str, Any] | None = ..., chain_id: str = ...) -> None: ...

class SignedVoteResponse(Message):
    @property
    def vote(self) -> Vote: ...
    @property
    def error(self) -> RemoteSignerError: ...
    def __init__(
        self,
        *,
        vote: Vote | Mapping[str, Any] | None = ...,
        error: RemoteSignerError | Mapping[str, Any] | None = ...,
    ) -> None: ...

class SignProposalRequest(Message):
    @property
    def proposal(self) -> Proposal: ...
    chain_id: str
    def __init__(
        self, *, proposal: Proposal | Mapping[str, Any] | None = ..., chain_id: str = ...
    ) -> None: ...

class SignedProposalResponse(Message):
    @property
    def proposal(self) -> Proposal: ...
    @property
    def error(self) -> RemoteSignerError: ...
    def __init__(
        self,
        *,
        proposal: Proposal | Mapping[str, Any] | None = ...,
        error: RemoteSignerError | Mapping[str, Any] | None = ...,
    ) -> None: ...

class PingRequest(Message):
    def __init__(self) -> None: ...

class PingResponse(Message):
    def __init__(self) -> None: ...

class RemoteSignerError(Message):
    code: int
    description: str
    def __init__(self, *, code: int = ..., description: str = ...) -> None: ...

class Vote(Message):
    type: int
    height: int
    round: int
    @property
    def block_id(self) -> BlockID: ...
    @property
    def timestamp(self) -> Timestamp: ...
    validator_address: bytes
    validator_index: int
    signature: bytes
    extension: bytes
    extension_signature: bytes
    def __init__(
        self,
        *,
        type: int = ...,
        height: int = ...,
        round: int = ...,
        block_id: BlockID | Mapping[str, Any] | None = ...,
        timestamp: Timestamp | Mapping[str, Any] | None = ...,
        validator_address: bytes = ...,
        validator_index: int = ...,
        signature: bytes = ...,
        extension: bytes = ...,
        extension_signature: bytes = ...,
    ) -> None: ...

class Proposal(Message):
    type: int
    height: int
    round: int
    pol_round: int
    @property
    def block_id(self) -> BlockID: ...
    @property
    def timestamp(self) -> Timestamp: ...
    signature: bytes
    def __init__(
        self,
        *,
        type: int = ...,
        height: int = ...,
        round: int = ...,
        pol_round: int = ...,
        block_id: BlockID | Mapping[str, Any] | None = ...,
        timestamp: Timestamp | Mapping[str, Any] | None = ...,
        signature: bytes = ...,
    ) -> None: ...

class BlockID(Message):
    hash: bytes
    @property
    def part_set_header(self) -> PartSetHeader: ...
    def __init__(
        self, *, hash: bytes = ..., part_set_header: PartSetHeader | Mapping[str, Any] | None = ...
    ) -> None: ...

class PartSetHeader(Message):
    total: int
    hash: bytes
    def __init__(self, *, total: int = ..., hash: bytes = ...) -> None: ...

class CanonicalVote(Message):
    type: int
    height: int
    round: int
    @property
    def block_id(self) -> BlockID: ...
    @property
    def timestamp(self) -> Timestamp: ...
    chain_id: str
    def __init__(
        self,
        *,
        type: int = ...,
        height: int = ...,
        round: int = ...,
        block_id: BlockID | Mapping[str, Any] | None = ...,
        timestamp: Timestamp | Mapping[str, Any] | None = ...,
        chain_id: str = ...,
    ) -> None: ...

class CanonicalProposal(Message):
    type: int
    height: int
    round: int
    pol_round: int
    @property
    def block_id(self) -> BlockID: ...
    @property
    def timestamp(self) -> Timestamp: ...
    chain_id: str
    def __init__(
        self,
        *,
        type: int = ...,
        height: int = ...,
        round: int = ...,
        pol_round: int = ...,
        block_id: BlockID | Mapping[str, Any] | None = ...,
        timestamp: Timestamp | Mapping[str, Any] | None = ...,
        chain_id: str = ...,
    ) -> None: ...
