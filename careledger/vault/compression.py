"""Smaller bodies whose length says little: zstd with a shipped dictionary, then padding to few sizes.

`pack` makes the bytes that are sealed, `unpack` accepts only what `pack` can have made. The first byte of a sealed
body is its format, so a later dictionary gets a number of its own and old bodies stay readable:

    0  stored      content as it is
    1  dictionary  zstd (magicless, no sizes, no checksum) with dictionary 1

Content is followed by 0x80 and zeros up to the next bucket. Buckets are those of Padmé (Nikitin et al., PETS 2019)
from `BUCKET_BYTES_MIN` on: 8 to 32 sizes for each power of two. What a length leaks is which bucket the compressed
content falls in: fewer than 270 buckets up to 1 MB, so at most 8.1 bits a body, and nothing at all below 128 bytes;
the padding costs at most 12 %, on average 3 %.

The dictionary holds text of the `synthetic` hospital only (`tools/train_dictionary.py`), never of a patient.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Final

import zstandard

from careledger.primitives.errors import Corrupt, TooLarge

FORMAT_STORED: Final = 0
FORMAT_DICTIONARY_1: Final = 1
FORMAT_BYTES: Final = (b"\x00", b"\x01")

CONTENT_BYTES_MAX: Final = 64 * 1024 * 1024
"""No content above this is packed or unpacked (the limit of a request)."""

BUCKET_BYTES_MIN: Final = 128
STORED_BYTES_MAX: Final = 80
"""Content up to this length is stored: compressing could not lower its bucket."""

LEVEL: Final = 3
"""Chosen by measurement on single resources of patients that the dictionary never saw (mean bytes, µs to pack an
Observation): level 1: 432, 2.1; level 3: 418, 2.7; level 5: 439, 5.5."""


class _Codec(threading.local):
    """One compressor and one decompressor a thread: zstd contexts must not be shared between running threads."""

    def __init__(self) -> None:
        dictionary = _dictionary()
        parameters = zstandard.ZstdCompressionParameters.from_level(
            LEVEL,
            dict_size=len(dictionary.as_bytes()),
            format=zstandard.FORMAT_ZSTD1_MAGICLESS,
            write_content_size=False,
            write_checksum=False,
            write_dict_id=False,
        )
        self.compress = zstandard.ZstdCompressor(dict_data=dictionary, compression_params=parameters).compress
        self.decompress = zstandard.ZstdDecompressor(
            dict_data=dictionary, format=zstandard.FORMAT_ZSTD1_MAGICLESS
        ).decompress
        plain = zstandard.ZstdCompressionParameters.from_level(
            LEVEL,
            format=zstandard.FORMAT_ZSTD1_MAGICLESS,
            write_content_size=False,
            write_checksum=False,
        )
        self.squeeze = zstandard.ZstdCompressor(compression_params=plain).compress
        self.unsqueeze = zstandard.ZstdDecompressor(format=zstandard.FORMAT_ZSTD1_MAGICLESS).decompress


def dictionary_bytes() -> bytes:
    """The shipped dictionary 1."""
    return resources.files("careledger.vault").joinpath("dictionary.bin").read_bytes()


@cache
def _dictionary() -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(dictionary_bytes())


@cache
def _codec() -> _Codec:
    return _Codec()


def bucket(length: int) -> int:
    """The padded size for `length` bytes of content and marker: Padmé, at least `BUCKET_BYTES_MIN`."""
    if length <= BUCKET_BYTES_MIN:
        return BUCKET_BYTES_MIN
    exponent = length.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (length + mask) & ~mask


def pack(content: bytes) -> tuple[int, bytes]:
    """(format, padded bytes) of `content`. Raises TooLarge above `CONTENT_BYTES_MAX`."""
    size = len(content)
    if size > CONTENT_BYTES_MAX:
        raise TooLarge(
            f"content of {size} bytes is over the limit", hint=f"at most {CONTENT_BYTES_MAX} bytes"
        )
    if size <= STORED_BYTES_MAX:
        return FORMAT_STORED, _padded(content)
    squeezed = _codec().compress(content)
    if len(squeezed) < size:
        return FORMAT_DICTIONARY_1, _padded(squeezed)
    return FORMAT_STORED, _padded(content)


def unpack(form: int, padded: bytes, length: int | None, limit: int = CONTENT_BYTES_MAX) -> bytes:
    """The content of `length` bytes that `pack` made these from. Raises Corrupt on anything else.

    Never allocates more than `length` (or, where that is None because it was not recorded, `limit`), whatever the
    compressed bytes claim.
    """
    marked = padded.rstrip(b"\x00")
    end = len(marked)
    if not marked or marked[-1] != 0x80 or len(padded) != bucket(end):
        raise Corrupt("a sealed body is not padded as it must be", hint="run: careledger fsck")
    if form == FORMAT_DICTIONARY_1:
        content = _decompress(_codec().decompress, marked[:-1], limit if length is None else length)
    elif form == FORMAT_STORED:
        content = marked[:-1]
    else:
        raise Corrupt(
            f"a sealed body has the unknown format {form}", hint="a newer version wrote it: upgrade"
        )
    if length is not None and len(content) != length:
        raise Corrupt("a sealed body has another length than recorded", hint="run: careledger fsck")
    return content


def squeeze(content: bytes) -> bytes:
    """Plain zstd, without dictionary or padding: for index segments, whose rows repeat each other."""
    return _codec().squeeze(content)


def unsqueeze(squeezed: bytes, length: int) -> bytes:
    """What was squeezed, of exactly `length` bytes; Corrupt on anything else."""
    content = _decompress(_codec().unsqueeze, squeezed, length)
    if len(content) != length:
        raise Corrupt("a squeezed segment has another length than recorded", hint="run: careledger fsck")
    return content


def _decompress(decompress: Callable[..., bytes], squeezed: bytes, limit: int) -> bytes:
    if limit > CONTENT_BYTES_MAX:
        raise Corrupt("a compressed length is over the limit", hint="run: careledger fsck")
    try:
        return decompress(squeezed, max_output_size=limit or 1, allow_extra_data=False)
    except zstandard.ZstdError:
        raise Corrupt("compressed bytes cannot be decompressed", hint="run: careledger fsck") from None


def _padded(content: bytes) -> bytes:
    size = bucket(len(content) + 1)
    return (content + b"\x80").ljust(size, b"\x00")
