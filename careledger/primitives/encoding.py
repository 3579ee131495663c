"""THE canonical encoding `enc` (protocol.md): one byte string per value, one value per byte string.

A class states its fields once:

    HEAD = Schema(Head, size=U64, root=DIGEST)
    data = HEAD.encode(Head(size=3, root=root))
    head = HEAD.decode(data)

`decode` refuses (Invalid, TooLarge) trailing or missing bytes, values over a limit, sets out of order, text that is
not UTF-8, and every other string that `encode` would not write. `encode` refuses what `decode` would refuse.
Schemas are compiled when they are made: neighbouring fields of fixed size become one `struct` call.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import chain
from operator import attrgetter, ge
from typing import Any, Generic, TypeVar

from careledger.primitives.errors import Invalid, TooLarge

T = TypeVar("T")

_COUNT = struct.Struct(">I")
_read_count = _COUNT.unpack_from
_write_count = _COUNT.pack


def _truncated() -> Invalid:
    return Invalid("the bytes end before the value does", code="truncated")


def _mistyped(what: str) -> Invalid:
    return Invalid(f"the value is not {what}", code="invalid-value")


class Codec(Generic[T]):
    """How one kind of value is written and read.

    `format` is its `struct` code where every value has the same size and needs no check after unpacking.
    """

    format: str | None = None
    name = "value"

    def write(self, value: T) -> bytes:
        """The encoding of `value`. Raises Invalid if it has none."""
        raise NotImplementedError

    def read(self, data: bytes, at: int) -> tuple[T, int]:
        """The value at `at` and the place after it. Raises Invalid."""
        raise NotImplementedError

    def encode(self, value: T) -> bytes:
        """`write`, under the name that callers use."""
        return self.write(value)

    def decode(self, data: bytes) -> T:
        """The value that exactly these bytes encode. Raises Invalid."""
        value, end = self.read(data, 0)
        if end != len(data):
            raise Invalid("bytes follow the value", code="trailing-bytes")
        return value


class _Unsigned(Codec[int]):
    def __init__(self, bits: int, code: str) -> None:
        self.name = f"u{bits}"
        self.format = code
        self._size = bits // 8
        self._end = 1 << bits

    def write(self, value: int) -> bytes:
        if type(value) is not int or not 0 <= value < self._end:
            raise _mistyped(self.name)
        return value.to_bytes(self._size, "big")

    def read(self, data: bytes, at: int) -> tuple[int, int]:
        end = at + self._size
        if end > len(data):
            raise _truncated()
        return int.from_bytes(data[at:end], "big"), end


U8 = _Unsigned(8, "B")
U16 = _Unsigned(16, "H")
U32 = _Unsigned(32, "I")
U64 = _Unsigned(64, "Q")


class Flag(Codec[bool]):
    """A truth: 00 or 01."""

    name = "flag"

    def write(self, value: bool) -> bytes:
        if value is True:
            return b"\x01"
        if value is False:
            return b"\x00"
        raise _mistyped("a flag")

    def read(self, data: bytes, at: int) -> tuple[bool, int]:
        if at >= len(data):
            raise _truncated()
        if data[at] > 1:
            raise Invalid("a flag is 00 or 01", code="non-canonical")
        return data[at] == 1, at + 1


FLAG = Flag()


class Fixed(Codec[bytes]):
    """Exactly `size` bytes, written as they are."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.format = f"{size}s"
        self.name = f"{size} bytes"

    def write(self, value: bytes) -> bytes:
        if type(value) is not bytes or len(value) != self.size:
            raise _mistyped(self.name)
        return value

    def read(self, data: bytes, at: int) -> tuple[bytes, int]:
        end = at + self.size
        if end > len(data):
            raise _truncated()
        return data[at:end], end


DIGEST = Fixed(32)


class Bytes(Codec[bytes]):
    """u32 length | bytes; at least `least`, at most `limit` bytes."""

    def __init__(self, limit: int, least: int = 0) -> None:
        self.limit = limit
        self.least = least
        self.name = f"{least} to {limit} bytes"

    def write(self, value: bytes) -> bytes:
        if type(value) is not bytes:
            raise _mistyped("bytes")
        size = len(value)
        if size > self.limit or size < self.least:
            raise self._out_of_bounds(size)
        return _write_count(size) + value

    def read(self, data: bytes, at: int) -> tuple[bytes, int]:
        start = at + 4
        if start > len(data):
            raise _truncated()
        size = _read_count(data, at)[0]
        if size > self.limit or size < self.least:
            raise self._out_of_bounds(size)
        end = start + size
        if end > len(data):
            raise _truncated()
        return data[start:end], end

    def _out_of_bounds(self, size: int) -> Invalid:
        if size > self.limit:
            return TooLarge(f"{size} bytes where at most {self.limit} are allowed")
        return Invalid(f"{size} bytes where at least {self.least} are needed", code="too-short")


class Text(Codec[str]):
    """UTF-8, u32 length in bytes | bytes; lengths as in `Bytes`. No normalisation: bytes are what is compared."""

    def __init__(self, limit: int, least: int = 0) -> None:
        self._bytes = Bytes(limit, least)
        self.name = f"text of {least} to {limit} bytes"

    def write(self, value: str) -> bytes:
        if type(value) is not str:
            raise _mistyped("text")
        try:
            return self._bytes.write(value.encode())
        except UnicodeEncodeError:
            raise _mistyped("text that UTF-8 can write") from None

    def read(self, data: bytes, at: int) -> tuple[str, int]:
        raw, end = self._bytes.read(data, at)
        try:
            return raw.decode(), end
        except UnicodeDecodeError:
            raise Invalid("text is not UTF-8", code="invalid-text") from None


class List(Codec[tuple[T, ...]]):
    """u32 count | items, at most `limit` of them."""

    def __init__(self, item: Codec[T], limit: int) -> None:
        self.item = item
        self.limit = limit
        self.name = f"list of at most {limit}: {item.name}"

    def write(self, value: Sequence[T]) -> bytes:
        if len(value) > self.limit:
            raise TooLarge(f"{len(value)} items where at most {self.limit} are allowed")
        return _write_count(len(value)) + b"".join(map(self.item.write, value))

    def read(self, data: bytes, at: int) -> tuple[tuple[T, ...], int]:
        count = self._read_count(data, at)
        at += 4
        read = self.item.read
        items: list[T] = []
        for _ in range(count):
            item, at = read(data, at)
            items.append(item)
        return tuple(items), at

    def _read_count(self, data: bytes, at: int) -> int:
        if at + 4 > len(data):
            raise _truncated()
        count: int = _read_count(data, at)[0]
        if count > self.limit:
            raise TooLarge(f"{count} items where at most {self.limit} are allowed")
        return count


class Set(List[T]):
    """A list whose encoded items strictly ascend, as bytes: one order, nothing twice.

    Items of numbers alone are read and written together: big-endian numbers ascend as their bytes do.
    """

    def __init__(self, item: Codec[T], limit: int) -> None:
        super().__init__(item, limit)
        self.name = f"set of at most {limit}: {item.name}"
        self._numbers = item.numbers if isinstance(item, Pair) else None

    def write(self, value: Sequence[T]) -> bytes:
        if len(value) > self.limit:
            raise TooLarge(f"{len(value)} items where at most {self.limit} are allowed")
        if self._numbers is not None:
            return self._write_numbers(self._numbers, value)
        items = [self.item.write(item) for item in value]
        self._check_ascending(items)
        return _write_count(len(items)) + b"".join(items)

    def read(self, data: bytes, at: int) -> tuple[tuple[T, ...], int]:
        if self._numbers is not None:
            return self._read_numbers(self._numbers, data, at)
        items, end = super().read(data, at)
        if len(items) > 1:
            self._check_ascending([self.item.write(item) for item in items])
        return items, end

    def _write_numbers(self, layout: struct.Struct, value: Sequence[Any]) -> bytes:
        count, width = len(value), len(layout.format) - 1
        parts = [*chain.from_iterable(value)]
        if not {int}.issuperset(map(type, parts)) or not {width}.issuperset(map(len, value)):
            raise _mistyped(self.name)
        try:
            data = struct.pack(f">I{layout.format[1:] * count}", count, *parts)
        except struct.error:
            raise _mistyped(self.name) from None
        self._check_ascending(value)
        return data

    def _read_numbers(self, layout: struct.Struct, data: bytes, at: int) -> tuple[tuple[Any, ...], int]:
        start = at + 4
        end = start + self._read_count(data, at) * layout.size
        if end > len(data):
            raise _truncated()
        items = tuple(layout.iter_unpack(data[start:end]))
        self._check_ascending(items)
        return items, end

    def sorted(self, values: Sequence[T]) -> tuple[T, ...]:
        """The values in the order of their encodings, each once."""
        return tuple(
            value for _, value in sorted({self.item.write(value): value for value in values}.items())
        )

    @staticmethod
    def _check_ascending(items: Sequence[Any]) -> None:
        if any(map(ge, items, items[1:])):
            raise Invalid("the items of a set must strictly ascend", code="non-canonical")


class Option(Codec[T | None]):
    """00, or 01 | value."""

    def __init__(self, item: Codec[T]) -> None:
        self.item = item
        self.name = f"option: {item.name}"

    def write(self, value: T | None) -> bytes:
        return b"\x00" if value is None else b"\x01" + self.item.write(value)

    def read(self, data: bytes, at: int) -> tuple[T | None, int]:
        if at >= len(data):
            raise _truncated()
        if data[at] == 0:
            return None, at + 1
        if data[at] != 1:
            raise Invalid("an option begins with 00 or 01", code="non-canonical")
        return self.item.read(data, at + 1)


class Pair(Codec[tuple[Any, ...]]):
    """Several values one after the other, as a tuple: for small keys and entries without a class."""

    def __init__(self, *codecs: Codec[Any]) -> None:
        self.codecs = codecs
        self.name = f"({', '.join(codec.name for codec in codecs)})"
        self.numbers = _number_layout(codecs)
        """Where every part is a number: how `struct` writes them all."""

    def write(self, value: Sequence[Any]) -> bytes:
        if len(value) != len(self.codecs):
            raise _mistyped(self.name)
        return b"".join([codec.write(part) for codec, part in zip(self.codecs, value, strict=True)])

    def read(self, data: bytes, at: int) -> tuple[tuple[Any, ...], int]:
        if self.numbers is not None:
            end = at + self.numbers.size
            if end > len(data):
                raise _truncated()
            return self.numbers.unpack_from(data, at), end
        parts = []
        for codec in self.codecs:
            part, at = codec.read(data, at)
            parts.append(part)
        return tuple(parts), at


def _number_layout(codecs: Sequence[Codec[Any]]) -> struct.Struct | None:
    formats = [codec.format or "" for codec in codecs if isinstance(codec, _Unsigned)]
    return struct.Struct(">" + "".join(formats)) if codecs and len(formats) == len(codecs) else None


_Reader = Callable[[bytes, int], tuple[Any, int]]


def _group_reader(codecs: Sequence[Codec[Any]]) -> _Reader:
    """Reads a run of fixed-size fields with one `struct` call."""
    layout = struct.Struct(">" + "".join(codec.format or "" for codec in codecs))
    unpack, size = layout.unpack_from, layout.size

    def read(data: bytes, at: int) -> tuple[Any, int]:
        end = at + size
        if end > len(data):
            raise _truncated()
        return unpack(data, at), end

    return read


class Schema(Codec[T]):
    """The fields of a class, in order; the class is made from them by position."""

    def __init__(self, cls: Callable[..., T], **fields: Codec[Any]) -> None:
        self.cls = cls
        self.fields = fields
        self.name = getattr(cls, "__name__", "record")
        self._writers = [codec.write for codec in fields.values()]
        self._get_one = attrgetter(next(iter(fields))) if len(fields) == 1 else None
        self._get = attrgetter(*fields)
        self._steps = self._compile()

    def _compile(self) -> list[tuple[bool, _Reader]]:
        steps: list[tuple[bool, _Reader]] = []
        group: list[Codec[Any]] = []
        for codec in (*self.fields.values(), None):
            if codec is not None and codec.format:
                group.append(codec)
                continue
            if group:
                steps.append((True, _group_reader(group)))
                group = []
            if codec is not None:
                steps.append((False, codec.read))
        return steps

    def write(self, value: T) -> bytes:
        if self._get_one is not None:
            return self._writers[0](self._get_one(value))
        return b"".join([write(part) for write, part in zip(self._writers, self._get(value), strict=True)])

    def read(self, data: bytes, at: int) -> tuple[T, int]:
        values: list[Any] = []
        for many, read in self._steps:
            value, at = read(data, at)
            if many:
                values.extend(value)
            else:
                values.append(value)
        return self.cls(*values), at
