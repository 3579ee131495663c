"""The remote signer: dials the engine's socket and answers what it asks, one request after another.

The engine listens on `priv_validator_laddr` (a Unix socket in the home, no encryption: only the home's user reaches
it), pings every three seconds, and gives a signature five.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from google.protobuf.message import DecodeError

from careledger.engine.privval import (
    PingResponse,
    PubKeyResponse,
    RemoteSignerError,
    SignedProposalResponse,
    SignedVoteResponse,
    SignerMessage,
    SignProposalRequest,
    SignVoteRequest,
)
from careledger.engine.sign_bytes import Asked, read_proposal, read_vote
from careledger.engine.signing_guard import GuardRefused, Sign, Signed, open_guard
from careledger.engine.validator_key import ValidatorKey
from careledger.ledger.consensus.abci.frames import Frames, encode_frame
from careledger.ledger.consensus.abci.schema import PublicKey
from careledger.primitives.errors import CareLedgerError, Conflict, Corrupt, Invalid
from careledger.primitives.sockets import connect_socket, write_to

REQUEST_BYTES_MAX: Final = 1 << 16
READ_BYTES: Final = 1 << 16
RETRY_S: Final = 0.1
CONNECT_S: Final = 5.0
Report = Callable[[CareLedgerError], None]


class Guard(Protocol):
    """What a signer asks before a signature leaves."""

    def sign(self, asked: Asked, sign: Sign) -> Signed: ...
    def saw_own_vote(self, height: int) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Silence:
    """In place of a guard that may not be believed: nothing is signed."""

    reason: CareLedgerError

    def sign(self, asked: Asked, sign: Sign) -> Signed:
        """Raises GuardRefused."""
        raise GuardRefused(self.reason.message)

    def saw_own_vote(self, height: int) -> None:
        """Nothing that was signed contradicts silence."""

    def close(self) -> None:
        """Nothing is held."""


class Signer:
    """One key under its guard. `report` hears of every refusal."""

    def __init__(self, key: ValidatorKey, guard: Guard, chain_id: str, report: Report) -> None:
        self._key = key
        self._guard = guard
        self._chain_id = chain_id
        self._report = report
        self.silence = guard.reason.message if isinstance(guard, Silence) else ""
        """Why this validator signs nothing; empty while its guard is believed."""

    @property
    def address(self) -> bytes:
        """How the engine names the validator."""
        return self._key.address

    def answer(self, data: bytes) -> SignerMessage:
        """The answer to one request; refusals are answers too. Raises Invalid for what is no request."""
        try:
            message = SignerMessage.FromString(data)
        except DecodeError:
            raise Invalid("the engine's request cannot be read", code="signer-request") from None
        match message.WhichOneof("sum"):
            case "ping_request":
                return SignerMessage(ping_response=PingResponse())
            case "pub_key_request":
                return SignerMessage(pub_key_response=self._show(message.pub_key_request.chain_id))
            case "sign_vote_request":
                return SignerMessage(signed_vote_response=self._sign_vote(message.sign_vote_request))
            case "sign_proposal_request":
                return SignerMessage(
                    signed_proposal_response=self._sign_proposal(message.sign_proposal_request)
                )
        raise Invalid("the engine asks for nothing that a signer knows", code="signer-request")

    def saw_own_vote(self, height: int) -> None:
        """The ledger holds a vote of this key at `height`: see `SigningGuard`. Raises GuardRefused."""
        try:
            self._guard.saw_own_vote(height)
        except CareLedgerError as error:
            self.silence = error.message
            raise

    def close(self) -> None:
        """Nothing is signed any more; another process may."""
        self._guard.close()

    def _show(self, chain_id: str) -> PubKeyResponse:
        try:
            self._check_chain(chain_id)
        except CareLedgerError as error:
            return PubKeyResponse(error=self._refuse(error))
        return PubKeyResponse(
            pub_key=PublicKey(mldsa65=self._key.public)
            if self._key.scheme.field == "mldsa65"
            else PublicKey(ed25519=self._key.public)
        )

    def _sign_vote(self, request: SignVoteRequest) -> SignedVoteResponse:
        vote = request.vote
        try:
            self._check_chain(request.chain_id)
            signed = self._guard.sign(read_vote(self._chain_id, vote), self._key.sign)
        except CareLedgerError as error:
            return SignedVoteResponse(error=self._refuse(error))
        vote.timestamp.seconds, vote.timestamp.nanos = signed.seconds, signed.nanos
        vote.signature, vote.extension_signature = signed.signature, b""
        return SignedVoteResponse(vote=vote)

    def _sign_proposal(self, request: SignProposalRequest) -> SignedProposalResponse:
        proposal = request.proposal
        try:
            self._check_chain(request.chain_id)
            signed = self._guard.sign(read_proposal(self._chain_id, proposal), self._key.sign)
        except CareLedgerError as error:
            return SignedProposalResponse(error=self._refuse(error))
        proposal.timestamp.seconds, proposal.timestamp.nanos = signed.seconds, signed.nanos
        proposal.signature = signed.signature
        return SignedProposalResponse(proposal=proposal)

    def _check_chain(self, chain_id: str) -> None:
        if chain_id != self._chain_id:
            raise Conflict("the engine belongs to another network", code="other-network")

    def _refuse(self, error: CareLedgerError) -> RemoteSignerError:
        self._report(error)
        return RemoteSignerError(code=1, description=f"{error.code}: {error.message}")

    async def run(self, socket_path: Path) -> None:
        """Serve the engine at `socket_path` until cancelled; dials again whenever it goes away."""
        while True:
            try:
                connection = connect_socket(socket_path, CONNECT_S)
                reader, writer = await asyncio.open_unix_connection(sock=connection)
                try:
                    await self._talk(reader, writer)
                finally:
                    writer.close()
            except OSError:
                pass  # no engine yet, or no more
            except Invalid as error:
                self._report(error)
            await asyncio.sleep(RETRY_S)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = Frames(REQUEST_BYTES_MAX)
        while data := await reader.read(READ_BYTES):
            for frame in frames.feed(data):
                # A thread: signing and keeping take milliseconds, which the node's loop has not.
                write_to(writer, encode_frame(await asyncio.to_thread(self.answer, frame)))
                await writer.drain()


def open_signer(key: ValidatorKey, guard_path: Path, chain_id: str, report: Report) -> Signer:
    """A signer that holds its guard; if the guard may not be believed, one that shows its key and signs nothing.

    Without its key the engine does not start, and a validator that may not vote can still follow. `report` hears why.
    Raises Conflict if another process signs.
    """
    try:
        guard: Guard = open_guard(guard_path, chain_id, key.public, used=key.used)
    except (GuardRefused, Corrupt) as error:
        report(error)
        return Signer(key, Silence(error), chain_id, report)
    key.mark_used()  # only once there is a guard; a guard without the mark is that of a start that was cut short
    return Signer(key, guard, chain_id, report)
