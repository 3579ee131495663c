"""Frames on a stream: an unsigned varint length, and so many bytes of a protobuf message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from google.protobuf.message import Message

from careledger.primitives.errors import Invalid, TooLarge

MESSAGE_BYTES_MAX: Final = 64 << 20
_LENGTH_BYTES_MAX: Final = 10


class Frames:
    """Cuts a stream into its messages."""

    def __init__(self, message_bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        self._most = message_bytes_max
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that are whole now; use them up before the next call.

        Raises Invalid or TooLarge at the place of a bad length; then the stream is of no use any more.
        """
        self._buffer += data
        used = 0
        try:
            while (found := self._find(used)) is not None:
                start, used = found
                yield bytes(memoryview(self._buffer)[start:used])
        finally:
            del self._buffer[:used]

    def _find(self, at: int) -> tuple[int, int] | None:
        """Begin and end of the message whose length stands at `at`; None if it is not whole yet."""
        length = 0
        for place, byte in enumerate(self._buffer[at : at + _LENGTH_BYTES_MAX]):
            length |= (byte & 0x7F) << (7 * place)
            if length > self._most:
                raise TooLarge(f"a message is over {self._most} bytes", code="abci-message-size")
            if byte < 0x80:
                start = at + place + 1
                return (start, start + length) if start + length <= len(self._buffer) else None
        if len(self._buffer) - at >= _LENGTH_BYTES_MAX:
            raise Invalid("a message's length does not end", code="abci-length")
        return None


def encode_frame(message: Message) -> bytes:
    """A message behind its length."""
    body = message.SerializeToString()
    return encode_length(len(body)) + body


def encode_length(length: int) -> bytes:
    """An unsigned varint."""
    encoded = bytearray()
    while length >= 0x80:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes(encoded)
