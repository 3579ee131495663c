"""What an access entry commits to: its content as canonical bytes (`enc`), and back. No sealing here.

    bytes request id | u8 permitted | u64 height | u64 time ms | text actor, client, organisation, purpose, rule,
    kind, what | list of text directives | list of u32: record-log positions, ascending, each less the one before
    | nothing, or (if either is there) list of text roles | text subject

The chart's number is local to the node and is not committed: the header names the chart by its handle.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from operator import sub
from typing import Final

from careledger.ledger.access_content import decode_content
from careledger.primitives.errors import Corrupt, Invalid, VerificationFailed
from careledger.vault.model import AccessEntry

ENTRY_BYTES_MAX: Final = 1024 * 1024


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
    """The entry of chart `number` with this content, in its one encoding, else Corrupt."""
    try:
        said = decode_content(content)
    except VerificationFailed:
        raise Corrupt("the content of an access entry cannot be read", hint="run: careledger fsck") from None
    return AccessEntry(
        chart=number,
        request_id=said.request_id,
        actor=said.actor,
        client=said.client,
        organisation=said.organisation,
        purpose=said.purpose,
        rule=said.rule,
        permitted=said.permitted,
        kind=said.kind,
        what=said.what,
        height=said.height,
        time_ms=said.time_ms,
        leaves=said.leaves,
        directives=said.directives,
        roles=said.roles,
        subject=said.subject,
    )


def steps(numbers: Sequence[int]) -> list[int]:
    """The first number, then each one's distance from the one before (`itertools.accumulate` undoes it)."""
    return [*numbers[:1], *map(sub, numbers[1:], numbers)]
