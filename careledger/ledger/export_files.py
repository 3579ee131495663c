"""Chart exports and access-log exports: their fields, and one spelling for each (docs/spec/export.md).

Canonical JSON (RFC 8785) of a closed shape, as receipts are; what the parts show is checked in
`export_logs` and `export_verification`. `ExportWriter` writes an export piece by piece, so that a long chart needs no memory.
Errors: VerificationFailed, naming what is malformed, never its content.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, Protocol

import msgspec

from careledger.ledger.export_former import FormerPart, KeptPart, SaidPart
from careledger.ledger.pins import PinPart
from careledger.ledger.proof_files import (
    AnchorPart,
    BlockPart,
    HeadPart,
    SignedPart,
    _Part,
    decode_file,
    encode_part,
)
from careledger.primitives.errors import VerificationFailed

CHART_FORMAT: Final[Literal["careledger/chart/1"]] = "careledger/chart/1"
ACCESS_LOG_FORMAT: Final[Literal["careledger/access-log/1"]] = "careledger/access-log/1"
EXPORT_BYTES_MAX: Final = 512_000_000
"""Of an export; every other proof has at most `proof_files.FILE_BYTES_MAX`."""
HISTORY_SIZES_MAX: Final = 1_100
"""Earlier checkpoints that one export continues."""

Unset = msgspec.UnsetType
UNSET = msgspec.UNSET


class EntryPart(_Part, frozen=True, kw_only=True, gc=False):
    """A leaf of the record log: opened (all but `leaf`), or bare (`leaf` alone). `body` is "" for none."""

    author: str | Unset = UNSET
    body: str | Unset = UNSET
    id: str | Unset = UNSET
    kind: str | Unset = UNSET
    leaf: str | Unset = UNSET
    salt: str | Unset = UNSET
    time: int | Unset = UNSET
    type: str | Unset = UNSET
    version: int | Unset = UNSET


class AccessPart(_Part, frozen=True, kw_only=True, gc=False):
    """A leaf of the access log, opened: the committed content, base64url, and its salt."""

    content: str
    salt: str


class StandingPart(_Part, frozen=True, kw_only=True):
    """What the ledger says of a directive, with its path in the state. Without `said` it says nothing of it.

    Then `other` is the one leaf (key, hash of the value) that stands in its place, if one does, and `kept` what followed
    from the embedded ledger, if the organisation came with one.
    """

    kept: KeptPart | Unset = UNSET
    other: str | Unset = UNSET
    path: str
    said: SaidPart | Unset = UNSET


class HeadsPart(_Part, frozen=True, kw_only=True):
    """Map paths of both heads in the organisation's map of heads."""

    access: str
    record: str


class HistoryPart(_Part, frozen=True, kw_only=True):
    """Earlier sizes of the signed history, ascending, and the subtrees between them: each one's root can be computed."""

    nodes: str
    sizes: list[int]


class ChartFile(_Part, frozen=True, kw_only=True):
    """A chart export."""

    access: list[AccessPart]
    anchor: AnchorPart
    block: BlockPart
    chain: str
    directives: list[StandingPart]
    entries: list[EntryPart]
    format: Literal["careledger/chart/1"]
    former: FormerPart | Unset = UNSET
    handle: str
    heads: HeadsPart
    history: HistoryPart
    org: str
    pins: list[PinPart] | Unset = UNSET
    signed: SignedPart
    state: str


class AccessLogFile(_Part, frozen=True, kw_only=True):
    """An access-log export: the record log is there as its head only."""

    access: list[AccessPart]
    anchor: AnchorPart
    block: BlockPart
    chain: str
    format: Literal["careledger/access-log/1"]
    former: FormerPart | Unset = UNSET
    handle: str
    head: HeadPart
    heads: HeadsPart
    history: HistoryPart
    org: str
    pins: list[PinPart] | Unset = UNSET
    signed: SignedPart
    state: str


class _Format(msgspec.Struct):
    format: str = ""


def read_format(data: bytes) -> str:
    """What a proof file says that it is; "" if it says nothing."""
    try:
        return msgspec.json.decode(data, type=_Format).format
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""


def decode_export(data: bytes) -> ChartFile | AccessLogFile:
    """The export, if it re-encodes to exactly these bytes. Raises VerificationFailed."""
    if read_format(data) == ACCESS_LOG_FORMAT:
        return decode_file(data, AccessLogFile, "the export", EXPORT_BYTES_MAX)
    return decode_file(data, ChartFile, "the export", EXPORT_BYTES_MAX)


class Sink(Protocol):
    """Where an export is written to, from its beginning to its end."""

    def write(self, data: bytes, /) -> int: ...


class ExportWriter:
    """Writes the fields of an export in their order. Lists are taken one by one."""

    def __init__(self, file: Sink) -> None:
        self._file = file
        self._between = b"{"
        self.bytes = 0

    def field(self, name: str, value: object) -> None:
        """One field whose value is in memory. Raises VerificationFailed over `EXPORT_BYTES_MAX`."""
        self._begin(name)
        self._write(msgspec.json.encode(value))

    def items(self, name: str, parts: Iterable[_Part]) -> None:
        """A list, item by item."""
        self._begin(name)
        between = b"["
        for part in parts:
            self._write(between + encode_part(part))
            between = b","
        self._write(b"[]" if between == b"[" else b"]")

    def end(self) -> None:
        """Behind the last field."""
        self._write(b"}")

    def _begin(self, name: str) -> None:
        self._write(self._between + msgspec.json.encode(name) + b":")
        self._between = b","

    def _write(self, data: bytes) -> None:
        self.bytes += len(data)
        if self.bytes > EXPORT_BYTES_MAX:
            raise VerificationFailed(
                f"an export has at most {EXPORT_BYTES_MAX} bytes", hint="export the access log alone"
            )
        self._file.write(data)
