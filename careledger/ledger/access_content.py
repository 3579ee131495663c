"""What an access entry says: the content that its leaf commits to, read from its one encoding (docs/spec/vault.md).

`vault.access_entries` writes it; the vault and whoever verifies an export read it here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from careledger.primitives.errors import VerificationFailed


@dataclass(frozen=True, slots=True)
class AccessContent:
    """The content of an access entry (docs/spec/vault.md): who had what, when, and on what authority."""

    request_id: bytes
    height: int
    time_ms: int
    permitted: bool
    actor: str
    client: str
    organisation: str
    purpose: str
    rule: str
    kind: str
    what: str
    directives: tuple[str, ...]
    leaves: tuple[int, ...]
    roles: tuple[str, ...]
    subject: str


_U32: Final = struct.Struct(">I")
_HEAD: Final = struct.Struct(">BQQ")


def decode_content(content: bytes) -> AccessContent:
    """The entry with this content, in its one encoding. Raises VerificationFailed."""
    try:
        request_id, at = _take(content, 0)
        permitted, height, time_ms = _HEAD.unpack_from(content, at)
        texts, at = _take_texts(content, at + _HEAD.size, 7)
        (count,) = _U32.unpack_from(content, at)
        directives, at = _take_texts(content, at + 4, count)
        (count,) = _U32.unpack_from(content, at)
        steps = struct.unpack_from(f">{count}I", content, at + 4)
        at += 4 + 4 * count
        roles: list[str] = [""]
        if at < len(content):
            (count,) = _U32.unpack_from(content, at)
            roles, at = _take_texts(content, at + 4, count + 1)
            permitted += 2 * (not any(roles))
    except (struct.error, UnicodeDecodeError):
        raise _malformed() from None
    if at != len(content) or permitted > 1 or 0 in steps[1:]:
        raise _malformed()
    actor, client, organisation, purpose, rule, kind, what = texts
    return AccessContent(
        request_id=request_id,
        height=height,
        time_ms=time_ms,
        permitted=permitted == 1,
        actor=actor,
        client=client,
        organisation=organisation,
        purpose=purpose,
        rule=rule,
        kind=kind,
        what=what,
        directives=tuple(directives),
        leaves=tuple(accumulate(steps)),
        roles=tuple(roles[:-1]),
        subject=roles[-1],
    )


def _take(content: bytes, at: int) -> tuple[bytes, int]:
    (size,) = _U32.unpack_from(content, at)
    end = at + 4 + size
    if end > len(content):
        raise struct.error("short")
    return content[at + 4 : end], end


def _take_texts(content: bytes, at: int, count: int) -> tuple[list[str], int]:
    texts = []
    for _ in range(count):
        raw, at = _take(content, at)
        texts.append(raw.decode())
    return texts, at


def _malformed() -> VerificationFailed:
    return VerificationFailed("an access entry's content is malformed", hint="see docs/spec/vault.md")
