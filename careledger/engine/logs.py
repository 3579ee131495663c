"""What the engine says, made fit for the node's log: a fixed phrase and known fields.

The engine sees transactions as opaque bytes and logs their hashes at most: nothing of a patient. Even so only the
fields named here go on, cut short; its phrases are kept in full but stripped of anything that is no plain text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import msgspec

LINE_BYTES_MAX: Final = 1 << 16
TEXT_CHARACTERS_MAX: Final = 100
REASON_CHARACTERS_MAX: Final = 200
_LEVELS: Final = {"debug": "debug", "info": "info", "error": "error"}
_NOT_PLAIN: Final = re.compile(r"[^A-Za-z0-9 ,.:;'()/_-]+")


@dataclass(frozen=True, slots=True)
class Said:
    """One line: `text` as it was said, `event` as it is logged."""

    level: str
    text: str
    event: str
    is_plain: bool
    """Not in the engine's format: a panic, or the end at a fail point."""
    reason: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)


class _Line(msgspec.Struct, frozen=True):
    level: str = "info"
    message: Annotated[str, msgspec.Meta(max_length=LINE_BYTES_MAX)] = msgspec.field(name="_msg", default="")
    module: str = ""
    height: Any = None
    peer: Any = None
    err: Any = None
    error: Any = None


def parse_line(line: bytes) -> Said:
    """A line of the engine's output. Never raises."""
    try:
        entry = msgspec.json.decode(line, type=_Line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = line.decode("utf-8", "replace").rstrip()[:REASON_CHARACTERS_MAX]
        return Said("error", text, "engine: said outside its log", True, text, {"reason": text})
    reason = str(entry.err or entry.error or "")[:REASON_CHARACTERS_MAX]
    fields: dict[str, object] = {"logger": entry.module[:40]}
    if isinstance(entry.height, int):
        fields["height"] = entry.height
    if entry.peer is not None:
        fields["address"] = str(entry.peer)[:REASON_CHARACTERS_MAX]
    if reason:
        fields["reason"] = reason
    level = _LEVELS.get(entry.level, "info")
    return Said(level, entry.message[:REASON_CHARACTERS_MAX], _event(entry.message), False, reason, fields)


def _event(text: str) -> str:
    return f"engine: {_NOT_PLAIN.sub(' ', text)[:TEXT_CHARACTERS_MAX].strip()}"
