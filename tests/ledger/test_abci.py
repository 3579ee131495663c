"""The engine's interface: every message travels whole, every stream is cut right, every request has its answer in turn."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import json
import random
import stat
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from careledger.ledger.consensus.abci import schema
from careledger.ledger.consensus.abci.frames import Frames, encode_frame, encode_length
from careledger.ledger.consensus.abci.server import CONNECTIONS_MAX, Failed, Server, decode_request, serve
from careledger.ledger.consensus.abci.table import ABCI, ProposalStatus
from careledger.primitives.errors import Corrupt, Invalid, TooLarge, Unavailable
from careledger.primitives.sockets import connect_socket

ROOT = Path(__file__).resolve().parent.parent.parent
REQUESTS = [field.name for field in schema.Request.DESCRIPTOR.fields]

# Messages


def fill(message: Message, count: int = 0) -> int:
    """Every field set, each to another value, repeated ones twice; of a `oneof`, the first."""
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof and field.containing_oneof.fields[0] is not field:
            continue
        for _ in range(2 if field.is_repeated else 1):
            count += 1
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                held = getattr(message, field.name)
                held = held.add() if field.is_repeated else held
                held.SetInParent()
                count = fill(held, count)
                continue
            value = {
                FieldDescriptor.TYPE_STRING: f"text {count}",
                FieldDescriptor.TYPE_BYTES: b"bytes %d" % count,
                FieldDescriptor.TYPE_BOOL: True,
            }.get(field.type, count)
            if field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
    return count


@pytest.mark.parametrize("name", ABCI.messages)
def test_every_message_travels_whole(name):
    sent = getattr(schema, name)()
    fill(sent)
    received = getattr(schema, name).FromString(sent.SerializeToString())
    assert received == sent
    assert len(received.ListFields()) == len(sent.ListFields())


GOLDEN = json.loads((ROOT / "tests/ledger/engine_messages.json").read_text("utf-8"))
"""Written by the engine's own code (v0.40.0): messages filled as `fill` does, each choice of each `oneof`."""


@pytest.mark.parametrize("name", [name for name in ABCI.messages if name in GOLDEN["messages"]])
def test_every_message_is_the_engines_own(name):
    message = getattr(schema, name)()
    fill(message)
    assert message.SerializeToString().hex() == GOLDEN["messages"][name]


@pytest.mark.parametrize("name", ABCI.oneofs)
def test_every_choice_is_the_engines_own(name):
    kind = getattr(schema, name)
    chosen = {
        choice: kind.FromString(bytes.fromhex(data)).WhichOneof(ABCI.oneofs[name])
        for choice, data in GOLDEN["choices"][name].items()
    }
    assert chosen == {field.name: field.name for field in kind.DESCRIPTOR.fields}


def test_the_types_are_those_of_the_table():
    spec = importlib.util.spec_from_file_location(
        "build_message_types", ROOT / "tools/build_message_types.py"
    )
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    for name, (table, imports) in tool.TABLES.items():
        made = ast.dump(ast.parse(tool.compute_types(table, imports)))
        assert made == ast.dump(ast.parse((ROOT / name).read_text("utf-8"))), (
            f"{name}: python tools/build_message_types.py"
        )


def test_unknown_fields_are_ignored():
    unknown = bytes([0xF2, 0x01, 3]) + b"new"  # field 30
    request = schema.RequestInsertTx(tx=b"x").SerializeToString() + unknown
    data = schema.Request(insert_tx=schema.RequestInsertTx.FromString(request)).SerializeToString()
    name, read = decode_request(data + unknown)
    assert (name, read.tx) == ("insert_tx", b"x")


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_nothing_else_happens(data):
    try:
        decode_request(data)
    except Invalid:
        pass


@given(st.data())
def test_bent_requests_are_read_or_refused(data):
    request = schema.Request(finalize_block=schema.RequestFinalizeBlock())
    fill(request.finalize_block)
    bent = bytearray(request.SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        bent[data.draw(st.integers(0, len(bent) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_request(bytes(bent))
    except Invalid:
        pass


# Frames


def test_a_stream_may_be_cut_anywhere():
    messages = [b"", b"x" * 5, b"y" * 127, b"z" * 128, b"w" * 300, b""]
    stream = b"".join(encode_length(len(message)) + message for message in messages)
    for cut in range(len(stream) + 1):
        frames = Frames()
        assert [*frames.feed(stream[:cut]), *frames.feed(stream[cut:])] == messages
    frames = Frames()
    assert [found for at in range(len(stream)) for found in frames.feed(stream[at : at + 1])] == messages


@pytest.mark.parametrize(
    "stream, error",
    [
        (encode_length(101), TooLarge),
        (encode_length(1 << 62), TooLarge),
        (b"\xff" * 10, TooLarge),
        (b"\x80" * 10, Invalid),
    ],
)
def test_bad_lengths_are_refused_before_their_message_is_read(stream, error):
    frames = Frames(100)
    good = encode_length(100) + bytes(100)
    found = frames.feed(good + stream)
    assert next(found) == bytes(100)
    with pytest.raises(error):
        next(found)


# Conversations


class Told:
    """An application that says what it was asked, and fails as it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.raises: dict[str, BaseException] = {}
        self.gates: dict[str, asyncio.Event] = {}

    def __getattr__(self, name: str) -> Callable[[Message], Awaitable[Message]]:
        if name not in REQUESTS:
            raise AttributeError(name)

        async def answer(request: Message) -> Message:
            assert request.DESCRIPTOR.name == "Request" + name.title().replace("_", "")
            self.asked.append(name)
            if name in self.gates:
                await self.gates[name].wait()
            await asyncio.sleep(0)
            if name in self.raises:
                raise self.raises[name]
            answer = getattr(schema, request.DESCRIPTOR.name.replace("Request", "Response"))()
            if name == "check_tx":
                answer.data = request.tx
            if name == "process_proposal":
                answer.status = ProposalStatus.ACCEPT
            return answer

        return answer


class Caller:
    """The engine's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer, self._frames, self._waiting = reader, writer, Frames(), []

    def send(self, *requests: Message) -> None:
        self.writer.write(b"".join(map(encode_frame, requests)))

    async def receive(self) -> schema.Response | None:
        """The next answer; None at the end of the connection."""
        async with asyncio.timeout(10):
            while not self._waiting:
                data = await self.reader.read(1 << 16)
                if not data:
                    return None
                self._waiting.extend(self._frames.feed(data))
        return schema.Response.FromString(self._waiting.pop(0))


def ask(name: str, **fields: object) -> schema.Request:
    request = schema.Request()
    held = getattr(request, name)
    held.SetInParent()
    for field, value in fields.items():
        setattr(held, field, value)
    return request


class Stage:
    """A server, its application, and what it reported."""

    def __init__(self, path: Path) -> None:
        self.path, self.application, self.failures = path, Told(), []
        self.server: Server
        self._callers: list[Caller] = []

    async def connect(self) -> Caller:
        caller = Caller(*await asyncio.open_unix_connection(sock=connect_socket(self.path)))
        self._callers.append(caller)
        return caller


def play(
    path: Path,
    scene: Callable[[Stage], Awaitable[None]],
    most: int = 1 << 20,
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> Stage:
    @asynccontextmanager
    async def staged():
        stage = Stage(path)
        stage.server = await serve(path, stage.application, stage.failures.append, most)
        try:
            yield stage
        finally:
            for caller in stage._callers:
                caller.writer.close()
            await stage.server.close()

    async def run() -> Stage:
        async with staged() as stage, asyncio.timeout(30):
            await scene(stage)
        return stage

    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(run())


def test_every_call_reaches_the_application_and_is_answered_by_its_own_name(tmp_path):
    async def scene(stage: Stage) -> None:
        caller = await stage.connect()
        for name in REQUESTS:
            caller.send(ask(name), ask("flush"))
            answer = await caller.receive()
            assert answer is not None
            assert answer.WhichOneof("value") == name
            assert (await caller.receive()).WhichOneof("value") == "flush"

    stage = play(tmp_path / "abci.sock", scene)
    assert stage.application.asked == [name for name in REQUESTS if name not in ("echo", "flush")]
    assert stage.failures == []


def test_a_conversation_of_the_engine(tmp_path):
    """What the engine says at a start, in a block of one transaction, and at its end, on its connections."""

    async def scene(stage: Stage) -> None:
        query, mempool, consensus = [await stage.connect() for _ in range(3)]
        query.send(ask("echo", message="hello"), ask("flush"), ask("info", version="0.40.0"), ask("flush"))
        assert (await query.receive()).echo.message == "hello"
        assert [(await query.receive()).WhichOneof("value") for _ in range(3)] == ["flush", "info", "flush"]
        mempool.send(ask("insert_tx", tx=b"tx"), ask("flush"), ask("reap_txs", max_bytes=100), ask("flush"))
        for name in ("init_chain", "prepare_proposal", "process_proposal", "finalize_block", "commit"):
            consensus.send(ask(name), ask("flush"))
            assert (await consensus.receive()).WhichOneof("value") == name
            assert (await consensus.receive()).WhichOneof("value") == "flush"
        names = [(await mempool.receive()).WhichOneof("value") for _ in range(4)]
        assert names == ["insert_tx", "flush", "reap_txs", "flush"]

    assert play(tmp_path / "abci.sock", scene).failures == []


def test_answers_keep_the_order_of_a_connection_and_connections_do_not_wait_for_each_other(tmp_path):
    async def scene(stage: Stage) -> None:
        slow, quick = await stage.connect(), await stage.connect()
        gate = stage.application.gates["process_proposal"] = asyncio.Event()
        slow.send(ask("process_proposal"), ask("check_tx", tx=b"after"), ask("flush"))
        pipelined = [ask("check_tx", tx=b"%d" % number) for number in range(600)]
        quick.send(*pipelined, ask("flush"))
        assert [(await quick.receive()).check_tx.data for _ in pipelined] == [
            r.check_tx.tx for r in pipelined
        ]
        gate.set()
        assert (await slow.receive()).process_proposal.status == ProposalStatus.ACCEPT
        assert (await slow.receive()).check_tx.data == b"after"

    play(tmp_path / "abci.sock", scene)


def test_answers_leave_at_a_flush_while_the_next_request_is_still_at_work(tmp_path):
    async def scene(stage: Stage) -> None:
        caller = await stage.connect()
        stage.application.gates["commit"] = asyncio.Event()
        caller.send(ask("check_tx", tx=b"first"), ask("flush"), ask("commit"))
        assert (await caller.receive()).check_tx.data == b"first"

    play(tmp_path / "abci.sock", scene)


def test_a_refusal_is_told_and_the_connection_goes_on(tmp_path):
    async def scene(stage: Stage) -> None:
        caller = await stage.connect()
        stage.application.raises["query"] = Unavailable("stopping")
        caller.send(ask("query"), ask("echo", message="still here"))
        assert (await caller.receive()).exception.error == "unavailable: stopping"
        assert (await caller.receive()).echo.message == "still here"

    assert play(tmp_path / "abci.sock", scene).failures == []


@pytest.mark.parametrize("name", ["init_chain", "finalize_block", "commit"])
@pytest.mark.parametrize("error", [Corrupt("differs"), RuntimeError("defect"), OSError("disk")])
def test_what_no_replica_may_refuse_stops_the_node_unanswered(tmp_path, name, error):
    async def scene(stage: Stage) -> None:
        caller = await stage.connect()
        stage.application.raises[name] = error
        caller.send(ask("echo", message="before"), ask(name), ask("flush"))
        assert (await caller.receive()).echo.message == "before"
        assert await caller.receive() is None

    [failure] = play(tmp_path / "abci.sock", scene).failures
    assert failure is error or (isinstance(failure, Failed) and failure.__cause__ is error)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_engine_that_goes_away_before_it_is_answered_is_no_failure(tmp_path, new_loop):
    async def scene(stage: Stage) -> None:
        for again in range(3):
            gate = stage.application.gates["finalize_block"] = asyncio.Event()
            caller = await stage.connect()
            caller.send(ask("finalize_block"), *[ask("flush")] * (1 + again), ask("echo", message="late"))
            while len(stage.application.asked) <= again:  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.01)
            caller.writer.transport.abort()
            await asyncio.sleep(0.05)
            gate.set()
            await asyncio.sleep(0.05)

    assert play(tmp_path / "abci.sock", scene, new_loop=new_loop).failures == []


def test_a_defect_in_any_call_stops_the_node(tmp_path):
    async def scene(stage: Stage) -> None:
        caller = await stage.connect()
        stage.application.raises["check_tx"] = KeyError("x")
        caller.send(ask("check_tx"))
        assert await caller.receive() is None

    [failure] = play(tmp_path / "abci.sock", scene).failures
    assert isinstance(failure, KeyError)


@pytest.mark.parametrize(
    "garbage, told",
    [
        (encode_length(2 << 20), "abci-message-size: a message is over 1048576 bytes"),
        (encode_length(3) + b"abc", "abci-request: a request cannot be read"),
        (encode_length(0), "abci-request: a request asks for nothing that this program knows"),
        (b"\x80" * 10, "abci-length: a message's length does not end"),
    ],
)
def test_who_speaks_another_language_is_told_and_cut_off(tmp_path, garbage, told):
    async def scene(stage: Stage) -> None:
        caller, other = await stage.connect(), await stage.connect()
        caller.send(ask("echo", message="before"))
        caller.writer.write(garbage)
        assert (await caller.receive()).echo.message == "before"
        assert (await caller.receive()).exception.error == told
        assert await caller.receive() is None
        other.send(ask("echo", message="others go on"))
        assert (await other.receive()).echo.message == "others go on"

    assert play(tmp_path / "abci.sock", scene).failures == []


def test_garbage_never_stops_the_node(tmp_path):
    choose = random.Random(20261123)

    async def scene(stage: Stage) -> None:
        for _ in range(200):
            caller = await stage.connect()
            caller.writer.write(choose.randbytes(choose.randrange(1, 60)))
            caller.writer.write_eof()
            while await caller.receive() is not None:
                pass
            caller.writer.close()

    assert play(tmp_path / "abci.sock", scene).failures == []


def test_the_socket_is_its_owners_alone_and_replaces_what_was_left(tmp_path):
    path = tmp_path / ("long" * 30) / "abci.sock"
    path.parent.mkdir()
    path.touch()

    async def scene(stage: Stage) -> None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        callers = [await stage.connect() for _ in range(CONNECTIONS_MAX + 1)]
        for caller in callers[:-1]:
            caller.send(ask("echo", message="one of few"))
            assert (await caller.receive()).echo.message == "one of few"
        callers[-1].send(ask("echo", message="one too many"))
        with pytest.raises(ConnectionError):
            if await callers[-1].receive() is None:
                raise ConnectionError

    play(path, scene)
    assert not path.exists()
