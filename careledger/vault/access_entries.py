"""What an access entry commits to: its content as canonical bytes (`enc`), and back. No sealing here.

    bytes request id | u8 permitted | u64 height | u64 time ms | text actor, client, organisation, purpose, rule,
    kind, what | list of text directives | list of u32: record-log positions, ascending, each less the one before
    | nothing, or (if either is there) list of text roles | text subject

The chart's number is local to the node and is not committed: the header names the chart by its handle.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate
from operator import sub
from typing import Final

from careledger.primitives.errors import Corrupt, Invalid
from careledger.vault.model import AccessEntry

ENTRY_BYTES_MAX: Final = 1024 * 1024

_U32: Final = struct.Struct(">I")
_HEAD: Final = struct.Struct(">BQQ")


def encode_entry(entry: AccessEntry) -> bytes:
    """enc(request id, permitted u8, height u64, time u64, seven texts, directives, leaves as ascending u32 steps)."""
    request = entry.request_id
    parts = [
        len(request).to_bytes(4, "big"),
        request,
        b"\x01" if entry.permitted else b"\x00",
        entry.height.to_bytes(8, "big"),
        entry.time_ms.to_bytes(8, "big"),
    ]
    texts = (entry.actor, entry.client, entry.organisation, entry.purpose, entry.rule, entry.kind, entry.what)
    for text in texts:
        raw = text.encode()
        parts += (len(raw).to_bytes(4, "big"), raw)
    parts.append(len(entry.directives).to_bytes(4, "big"))
    for text in entry.directives:
        raw = text.encode()
        parts += (len(raw).to_bytes(4, "big"), raw)
    distances = steps(sorted(set(entry.leaves)))
    try:
        parts.append(struct.pack(f">{len(distances) + 1}I", len(distances), *distances))
    except struct.error:
        raise Invalid("the leaves of an access entry are at most 2^32 apart") from None
    if entry.roles or entry.subject:
        parts.append(len(entry.roles).to_bytes(4, "big"))
        for text in (*entry.roles, entry.subject):
            raw = text.encode()
            parts += (len(raw).to_bytes(4, "big"), raw)
    content = b"".join(parts)
    if len(content) > ENTRY_BYTES_MAX:
        raise Invalid("an access entry is too large", hint=f"at most {ENTRY_BYTES_MAX} bytes")
    return content


def decode_entry(number: int, content: bytes) -> AccessEntry:
    """The entry of chart `number` with this content, else Corrupt."""
    try:
        request, at = _take(content, 0)
        permitted, height, time_ms = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        texts: list[str] = []
        for _ in range(7):
            raw, at = _take(content, at)
            texts.append(raw.decode())
        (count,) = _U32.unpack_from(content, at)
        at += 4
        directives: list[str] = []
        for _ in range(count):
            raw, at = _take(content, at)
            directives.append(raw.decode())
        (count,) = _U32.unpack_from(content, at)
        steps = struct.unpack_from(f">{count}I", content, at + 4)
        roles, subject = _take_caller(content, at + 4 + 4 * count)
    except (struct.error, UnicodeDecodeError):
        raise Corrupt("the content of an access entry cannot be read", hint="run: careledger fsck") from None
    actor, client, organisation, purpose, rule, kind, what = texts
    return AccessEntry(
        chart=number,
        request_id=request,
        actor=actor,
        client=client,
        organisation=organisation,
        purpose=purpose,
        rule=rule,
        permitted=permitted == 1,
        kind=kind,
        what=what,
        height=height,
        time_ms=time_ms,
        leaves=tuple(accumulate(steps)),
        directives=tuple(directives),
        roles=roles,
        subject=subject,
    )


def _take_caller(content: bytes, at: int) -> tuple[tuple[str, ...], str]:
    """Roles and subject: what is left of the content, if anything is."""
    if at == len(content):
        return (), ""
    (count,) = _U32.unpack_from(content, at)
    at += 4
    texts = []
    for _ in range(count + 1):
        raw, at = _take(content, at)
        texts.append(raw.decode())
    if at != len(content) or not any(texts):
        raise struct.error("long")
    return tuple(texts[:-1]), texts[-1]


def _take(content: bytes, at: int) -> tuple[bytes, int]:
    (size,) = _U32.unpack_from(content, at)
    end = at + 4 + size
    if end > len(content):
        raise struct.error("short")
    return content[at + 4 : end], end


def steps(numbers: Sequence[int]) -> list[int]:
    """The first number, then each one's distance from the one before (`accumulate` undoes it)."""
    return [*numbers[:1], *map(sub, numbers[1:], numbers)]
