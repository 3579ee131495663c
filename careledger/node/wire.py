"""Messages over HOME/node.sock: u32 length, then msgpack [number, kind, content]. Only the home's user can connect."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from careledger.primitives import errors
from careledger.primitives.errors import CareLedgerError, Unavailable

LENGTH: Final = struct.Struct(">I")
MESSAGE_BYTES_MAX: Final = 1 << 30

BY_NAME: Final[Mapping[str, type[CareLedgerError]]] = MappingProxyType(
    {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, CareLedgerError)
    }
)

encode = msgspec.msgpack.Encoder().encode


class Message(msgspec.Struct, array_like=True):
    """`kind` is a method's name from the caller; `result`, `progress` or `error` from the node."""

    number: int
    kind: str
    content: msgspec.Raw


class Failure(msgspec.Struct, array_like=True):
    """An error as it travels: the class it was, code, message, hint."""

    name: str
    code: str
    message: str
    hint: str


_decode = msgspec.msgpack.Decoder(Message).decode
_decode_failure = msgspec.msgpack.Decoder(Failure).decode


def pack(number: int, kind: str, content: Any) -> bytes:
    """One message, ready to send."""
    data = encode((number, kind, content))
    return LENGTH.pack(len(data)) + data


async def receive(reader: asyncio.StreamReader) -> Message | None:
    """The next message, or None when the other side has gone."""
    try:
        (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
        if length > MESSAGE_BYTES_MAX:
            return None
        return _decode(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError, msgspec.DecodeError):
        return None


def failure_of(error: CareLedgerError) -> Failure:
    """An error, ready to travel."""
    return Failure(type(error).__name__, error.code, error.message, error.hint)


def error_of(
    content: msgspec.Raw, known: Mapping[str, type[CareLedgerError]] = MappingProxyType({})
) -> CareLedgerError:
    """What the other side raised, as the same class where this side knows it."""
    failure = _decode_failure(content)
    kind = known.get(failure.name) or BY_NAME.get(failure.name, CareLedgerError)
    return kind(failure.message, hint=failure.hint, code=failure.code)


def defect() -> CareLedgerError:
    """What a caller learns of a defect of the program: that it was one."""
    return CareLedgerError("the node failed to do this: a defect", hint="see the node's log", code="defect")


def gone() -> Unavailable:
    """The node went away in the middle of a request."""
    return Unavailable(
        "the node has gone away", hint="start it again: careledger serve --home …", code="gone"
    )
