"""Asking an engine over its RPC: a few questions, each with a limit of bytes and seconds, answers as frozen structs.

Numbers are texts in the engine's JSON and are read as numbers here; hashes stay upper-case hex as the engine writes
them; keys are bytes. What comes back is an engine's word, and it may be a stranger's: `ledger.light` checks it, this
does not.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

import httptools
import msgspec
from msgspec import Meta

from careledger.engine.configuration import Address
from careledger.ledger.light import VALIDATORS_MAX, LightBlock
from careledger.ledger.light_rpc import read_light_block
from careledger.primitives.errors import Corrupt, NotFound, TooLarge, Unavailable

ANSWER_BYTES_MAX: Final = 16 << 20
ANSWER_SECONDS_MAX: Final = 10.0
PAGE: Final = 100
PEERS_MAX: Final = 1_000
_READ_BYTES: Final = 1 << 16

Number = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Hex = Annotated[str, Meta(pattern="^[0-9A-F]*$", max_length=128)]
Text = Annotated[str, Meta(max_length=1024)]
Time = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$")]


class _Struct(msgspec.Struct, frozen=True, kw_only=True):
    """Fields that are not named here are left out: the engine may add some."""


class Key(_Struct, frozen=True):
    """A public key and the engine's name of its type."""

    type: Text
    value: bytes


class SyncInfo(_Struct, frozen=True):
    """How far an engine is."""

    latest_block_hash: Hex
    latest_app_hash: Hex
    latest_block_height: Number
    latest_block_time: Time
    earliest_block_height: Number
    catching_up: bool


class NodeInfo(_Struct, frozen=True):
    """Who an engine says it is."""

    id: Annotated[str, Meta(pattern="^[0-9a-f]{40}$")]
    network: Text
    moniker: Text
    listen_addr: Text = ""


class ValidatorInfo(_Struct, frozen=True):
    """With what key and weight an engine validates."""

    address: Hex
    pub_key: Key
    voting_power: Number


class Status(_Struct, frozen=True):
    """`/status`."""

    node_info: NodeInfo
    sync_info: SyncInfo
    validator_info: ValidatorInfo


class PeerInfo(_Struct, frozen=True):
    """A connected peer."""

    node_info: NodeInfo
    is_outbound: bool
    remote_ip: Text


class NetInfo(_Struct, frozen=True):
    """`/net_info`."""

    n_peers: Number
    peers: Annotated[tuple[PeerInfo, ...], Meta(max_length=PEERS_MAX)]


class _Page(_Struct, frozen=True):
    total: Annotated[int, Meta(ge=0, le=VALIDATORS_MAX)]


class _Failure(_Struct, frozen=True):
    code: int
    message: str = ""
    data: str = ""


class _Answer(_Struct, frozen=True):
    result: msgspec.Raw = msgspec.Raw(b"")
    error: _Failure | None = None


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rpc:
    """One engine's RPC. Every question raises Unavailable if it does not answer, Corrupt if it answers nonsense."""

    address: Address
    seconds_max: float = ANSWER_SECONDS_MAX

    async def status(self) -> Status:
        """Who it is, and how far."""
        return _decode(await self.ask("status"), Status)

    async def net_info(self) -> NetInfo:
        """Who is connected to it."""
        return _decode(await self.ask("net_info"), NetInfo)

    async def light_block(self, height: int) -> LightBlock:
        """The header of a height with its commit and all its validators. Raises NotFound if it has none, Invalid."""
        query = {"height": str(height)}
        commit = await self.ask("commit", query)
        pages: list[bytes] = []
        while True:
            page = {"page": str(len(pages) + 1), "per_page": str(PAGE)}
            pages.append(await self.ask("validators", query | page))
            if PAGE * len(pages) >= _decode(pages[-1], _Page).total:
                return read_light_block(commit, pages)

    async def ask(self, path: str, query: dict[str, str] | None = None) -> bytes:
        """The `result` of one question, as JSON."""
        target = f"/{path}" + (
            "?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else ""
        )
        try:
            async with asyncio.timeout(self.seconds_max):
                body = await _get(self.address, target)
        except TimeoutError:
            raise _unreachable(self.address, f"no answer in {self.seconds_max:g} s") from None
        except OSError as error:
            raise _unreachable(self.address, error.strerror or type(error).__name__) from None
        answer = _decode(body, _Answer)
        if answer.error is not None:
            raise _refused(path, answer.error)
        return bytes(answer.result)


def parse_time(text: str) -> tuple[int, int]:
    """A time of the engine's as seconds since 1970 and nanoseconds, exactly."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole + "+00:00").timestamp())
    return seconds, int(fraction.ljust(9, "0") or "0")


def _decode(data: bytes, type: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=type, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _nonsense(f"no {type.__name__.strip('_')}") from None


@dataclass(slots=True)
class _Response:
    """What the HTTP parser tells."""

    body: bytearray = field(default_factory=bytearray)
    is_complete: bool = False

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.is_complete = True


async def _get(address: Address, target: str) -> bytes:
    """The body of one GET, whatever its status: the engine tells its errors in the body."""
    reader, writer = await asyncio.open_connection(address.host.strip("[]"), address.port)
    try:
        head = f"GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode("ascii"))
        response = _Response()
        parser: Any = httptools.HttpResponseParser(response)
        taken = 0
        while not response.is_complete and (data := await reader.read(_READ_BYTES)):
            taken += len(data)
            if taken > ANSWER_BYTES_MAX:
                raise TooLarge(
                    f"the engine's answer is over {ANSWER_BYTES_MAX} bytes",
                    hint="ask for less",
                    code="engine-answer-too-large",
                )
            parser.feed_data(data)
    except httptools.HttpParserError:
        raise _nonsense("no HTTP") from None
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    if not response.is_complete:
        raise _nonsense("half an answer")
    return bytes(response.body)


def _refused(path: str, failure: _Failure) -> NotFound | Unavailable:
    said = (failure.data or failure.message)[:200]
    if "height" in said:
        return NotFound(
            f"the engine has no such block: {said}", hint="ask for a height it has", code="engine-no-height"
        )
    return Unavailable(
        f"the engine refused {path}: {said}", hint="the engine's log says more", code="engine-refused"
    )


def _unreachable(address: Address, why: str) -> Unavailable:
    return Unavailable(
        f"no engine answers at {address}: {why}",
        hint="is the node running? careledger network status says so",
        code="engine-unreachable",
    )


def _nonsense(what: str) -> Corrupt:
    return Corrupt(
        f"the engine's answer makes no sense: {what}",
        hint="is it the engine of this node that listens there? careledger engine doctor",
        code="engine-nonsense",
    )
