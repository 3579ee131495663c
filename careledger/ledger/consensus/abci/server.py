"""The socket by which the engine calls the application: one answer for each request, in order.

The engine opens four connections (consensus, mempool, query, snapshot). Requests of one connection are handled one
after another; those of different connections interleave wherever the application awaits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

from google.protobuf.message import DecodeError, Message

from careledger.ledger.consensus.abci import schema
from careledger.ledger.consensus.abci.frames import MESSAGE_BYTES_MAX, Frames, encode_frame
from careledger.primitives.errors import CareLedgerError, Conflict, Invalid
from careledger.primitives.sockets import listen_at, write_to

CONNECTIONS_MAX: Final = 16
READ_BYTES: Final = 1 << 18
WRITE_BYTES: Final = 1 << 18
_DECIDES: Final = "finalize_block"
_FLUSH: Final = schema.Request(flush=schema.RequestFlush()).SerializeToString()
_FLUSHED: Final = encode_frame(schema.Response(flush=schema.ResponseFlush()))
"""Behind every call the engine asks for this one."""
_MUST_SUCCEED: Final = frozenset({"init_chain", "finalize_block", "commit"})
"""Calls that no replica may refuse: what raises here has left this replica behind the others."""


class Application(Protocol):
    """What a replica answers. A `CareLedgerError` is told to the engine, which then stops; others are defects."""

    async def info(self, request: schema.RequestInfo) -> schema.ResponseInfo: ...
    async def query(self, request: schema.RequestQuery) -> schema.ResponseQuery: ...
    async def check_tx(self, request: schema.RequestCheckTx) -> schema.ResponseCheckTx: ...
    async def insert_tx(self, request: schema.RequestInsertTx) -> schema.ResponseInsertTx: ...
    async def reap_txs(self, request: schema.RequestReapTxs) -> schema.ResponseReapTxs: ...
    async def init_chain(self, request: schema.RequestInitChain) -> schema.ResponseInitChain: ...
    async def prepare_proposal(
        self, request: schema.RequestPrepareProposal
    ) -> schema.ResponsePrepareProposal: ...
    async def process_proposal(
        self, request: schema.RequestProcessProposal
    ) -> schema.ResponseProcessProposal: ...
    async def extend_vote(self, request: schema.RequestExtendVote) -> schema.ResponseExtendVote: ...
    async def verify_vote_extension(
        self, request: schema.RequestVerifyVoteExtension
    ) -> schema.ResponseVerifyVoteExtension: ...
    async def finalize_block(self, request: schema.RequestFinalizeBlock) -> schema.ResponseFinalizeBlock: ...
    async def commit(self, request: schema.RequestCommit) -> schema.ResponseCommit: ...
    async def list_snapshots(self, request: schema.RequestListSnapshots) -> schema.ResponseListSnapshots: ...
    async def offer_snapshot(self, request: schema.RequestOfferSnapshot) -> schema.ResponseOfferSnapshot: ...
    async def load_snapshot_chunk(
        self, request: schema.RequestLoadSnapshotChunk
    ) -> schema.ResponseLoadSnapshotChunk: ...
    async def apply_snapshot_chunk(
        self, request: schema.RequestApplySnapshotChunk
    ) -> schema.ResponseApplySnapshotChunk: ...


Call = Callable[[Any], Awaitable[Message]]


def make_calls(application: Application) -> Mapping[str, Call]:
    """From a request's field to what answers it; the answer stands in the response's field of the same name."""
    return MappingProxyType(
        {
            "echo": _echo,
            "flush": _flush,
            "info": application.info,
            "query": application.query,
            "check_tx": application.check_tx,
            "insert_tx": application.insert_tx,
            "reap_txs": application.reap_txs,
            "init_chain": application.init_chain,
            "prepare_proposal": application.prepare_proposal,
            "process_proposal": application.process_proposal,
            "extend_vote": application.extend_vote,
            "verify_vote_extension": application.verify_vote_extension,
            "finalize_block": application.finalize_block,
            "commit": application.commit,
            "list_snapshots": application.list_snapshots,
            "offer_snapshot": application.offer_snapshot,
            "load_snapshot_chunk": application.load_snapshot_chunk,
            "apply_snapshot_chunk": application.apply_snapshot_chunk,
        }
    )


async def _echo(request: schema.RequestEcho) -> schema.ResponseEcho:
    return schema.ResponseEcho(message=request.message)


async def _flush(request: schema.RequestFlush) -> schema.ResponseFlush:
    return schema.ResponseFlush()


def decode_request(data: bytes) -> tuple[str, Message]:
    """The name of the call, and its request. Raises Invalid for anything else; unknown fields are ignored."""
    try:
        request = schema.Request.FromString(data)
    except DecodeError:
        raise Invalid("a request cannot be read", code="abci-request") from None
    name = request.WhichOneof("value")
    if name is None:
        raise Invalid("a request asks for nothing that this program knows", code="abci-request")
    return name, getattr(request, name)


# The server


class Server:
    """Answers on one socket until `close`."""

    def __init__(
        self,
        calls: Mapping[str, Call],
        on_failure: Callable[[BaseException], None],
        on_hang_up: Callable[[], None],
        message_bytes_max: int,
    ) -> None:
        self._calls = calls
        self._on_failure = on_failure
        self._on_hang_up = on_hang_up
        self._most = message_bytes_max
        self._talks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self._path: Path | None = None

    async def listen(self, path: Path) -> None:
        """Begin to answer at `path`."""
        self._path = path
        self._listener = await asyncio.start_unix_server(self._accept, sock=listen_at(path), limit=READ_BYTES)

    async def close(self) -> None:
        """Nobody is answered any more: the connections are closed, the socket is removed."""
        if self._listener is not None:
            self._listener.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._talks) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        talk = asyncio.create_task(self._talk(reader, writer), name="abci")
        self._talks.add(talk)
        talk.add_done_callback(self._end)

    def _end(self, talk: asyncio.Task[None]) -> None:
        self._talks.discard(talk)
        if not talk.cancelled() and (error := talk.exception()) is not None:
            self._on_failure(error)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames, asked = Frames(self._most), set[str]()
        try:
            while data := await reader.read(READ_BYTES):
                await self._answer_all(frames.feed(data), writer, asked)
        except (ConnectionError, _Unreadable):
            pass  # the engine went away, or was told why it is not answered any more
        finally:
            writer.close()
            if _DECIDES in asked:
                self._on_hang_up()

    async def _answer_all(
        self, frames: Iterator[bytes], writer: asyncio.StreamWriter, asked: set[str]
    ) -> None:
        """Answer every frame; what is answered leaves at a flush, or when nothing more is asked."""
        answers = bytearray()
        try:
            for frame in frames:
                if frame == _FLUSH:
                    answers += _FLUSHED
                else:
                    name, request = decode_request(frame)
                    asked.add(name)
                    answers += encode_frame(await self._answer(name, request))
                if frame == _FLUSH or len(answers) >= WRITE_BYTES:
                    write_to(writer, bytes(answers))
                    answers.clear()
                    await writer.drain()
        except Invalid as error:
            answers += encode_frame(_make_exception(error))
            raise _Unreadable from error
        finally:
            if answers and not writer.is_closing():  # whatever else went wrong must be heard
                writer.write(bytes(answers))

    async def _answer(self, name: str, request: Message) -> schema.Response:
        try:
            answer = await self._calls[name](request)
        except CareLedgerError as error:
            if name in _MUST_SUCCEED:
                raise Failed(name, error) from error
            return _make_exception(error)
        wrapped: dict[str, Any] = {name: answer}
        return schema.Response(**wrapped)


class Failed(Conflict):
    """A call that no replica may refuse was refused: this node must stop."""

    code = "replica-failed"

    def __init__(self, name: str, error: CareLedgerError) -> None:
        super().__init__(f"{name} failed: {error.message}", hint=error.hint)


class _Unreadable(Exception):
    """The stream is of no use any more."""


def _make_exception(error: CareLedgerError) -> schema.Response:
    return schema.Response(exception=schema.ResponseException(error=f"{error.code}: {error.message}"))


async def serve(
    path: Path,
    application: Application,
    on_failure: Callable[[BaseException], None],
    message_bytes_max: int = MESSAGE_BYTES_MAX,
    on_hang_up: Callable[[], None] = lambda: None,
) -> Server:
    """Answer the engine at `path`, in place of what a killed process left there; only this user may connect.

    `on_failure` is called if a defect ends a connection, or if `init_chain`, `finalize_block` or `commit` raises
    anything: the caller stops the node. Until then the engine is not answered, so nothing can go on. `on_hang_up` is
    called when a connection ends over which blocks were decided: one that was not committed will be decided again.
    """
    server = Server(make_calls(application), on_failure, on_hang_up, message_bytes_max)
    await server.listen(path)
    return server
