"""The records inside journal frames, packed and unpacked. Contents are sealed before they come here.

| kind | content |
|---|---|
| CHART | chart u32, patient token 16, handle 32, epoch u32, leaf 32, meta length u16, meta, wrapped keys |
| VERSION | chart u32, leaf index u32, leaf 32, epoch u32, meta length u16, meta, body |
| LINK | chart u32, leaf index u32, leaf 32, epoch u32, moved u8, chart u32 and leaf index u32 of the VERSION, meta |
| ACCESS | chart u32, index u32, leaf 32, sealed entry |
| BLOCK | one ledger block |
| CUT | sequence u64 of the first ACCESS frame that the block's heads do not hold |
| EVENT | node event (a revoked token): canonical, no patient data |
| RESEAL | chart u32, its new epoch u32, closed u8, length of the wrap u16, count u32; wrapped keys; for each leaf that is kept: index u32, erased u8, meta length u16, meta |
| REWRAP | chart u32, the same chart keys wrapped anew |
| DESTROY | u32: wrap masters below this one are to be destroyed |
| SNAPSHOT | one chunk of the snapshot of a network's ledger with which the home goes on (`ledger.consensus.snapshots`) |
| MIGRATED | height u64 and app hash 32 of the last embedded block: from here on blocks are a network's |
| ANCHOR | on a network: seq u64, root 32 of the heads map as it is up to here, the transaction that anchors it |
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

from careledger.primitives.errors import Corrupt

CHART: Final = 1
VERSION: Final = 2
LINK: Final = 3
ACCESS: Final = 4
BLOCK: Final = 5
CUT: Final = 6
EVENT: Final = 7
RESEAL: Final = 8
REWRAP: Final = 9
DESTROY: Final = 10
ANCHOR: Final = 11
SNAPSHOT: Final = 12
MIGRATED: Final = 13

_CHART = struct.Struct(">I16s32sI32sH")
_VERSION = struct.Struct(">II32sIH")
_LINK = struct.Struct(">II32sIBII")
_ACCESS = struct.Struct(">II32s")
_CUT = struct.Struct(">Q")
_RESEAL = struct.Struct(">IIBHI")
_RESEALED = struct.Struct(">IBH")
_REWRAP = struct.Struct(">I")
_DESTROY = struct.Struct(">I")
_ANCHOR = struct.Struct(">Q32s")
_MIGRATED = struct.Struct(">Q32s")


@dataclass(frozen=True, slots=True)
class ChartRecord:
    """A chart begins: its number, whose it is (blind), its handle and wrapped keys, its enrolment leaf."""

    chart: int
    patient: bytes
    handle: bytes
    epoch: int
    leaf: bytes
    meta: bytes
    wrap: bytes


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """A sealed version at its place in the chart's record log."""

    chart: int
    index: int
    leaf: bytes
    epoch: int
    meta: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class LinkRecord:
    """A version of another chart, logged in this one too; or its departure (`moved`)."""

    chart: int
    index: int
    leaf: bytes
    epoch: int
    moved: bool
    target_chart: int
    target_index: int
    meta: bytes


@dataclass(frozen=True, slots=True)
class AccessRecord:
    """A sealed access entry at its place in the chart's access log."""

    chart: int
    index: int
    leaf: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Resealed:
    """The meta of a leaf under a chart's new epoch. `erased`: a stub, which has no secret."""

    index: int
    erased: bool
    meta: bytes


@dataclass(frozen=True, slots=True)
class ResealRecord:
    """A chart's keys of a new epoch, and every secret that goes on under it: what is not listed is erased.

    `closed`: the chart is shredded; only its close leaf and its access log can be opened from here on.
    """

    chart: int
    epoch: int
    closed: bool
    wrap: bytes
    metas: tuple[Resealed, ...]


def pack_chart(r: ChartRecord) -> bytes:
    """Content of a CHART record."""
    head = _CHART.pack(r.chart, r.patient, r.handle, r.epoch, r.leaf, len(r.meta))
    return head + r.meta + r.wrap


def unpack_chart(content: bytes) -> ChartRecord:
    """Reverse of `pack_chart`."""
    chart, patient, handle, epoch, leaf, size = _head(_CHART, content)
    at = _CHART.size
    return ChartRecord(chart, patient, handle, epoch, leaf, content[at : at + size], content[at + size :])


def pack_version(chart: int, index: int, leaf: bytes, epoch: int, meta: bytes, body: bytes) -> bytes:
    """Content of a VERSION record."""
    return _VERSION.pack(chart, index, leaf, epoch, len(meta)) + meta + body


def unpack_version(content: bytes) -> VersionRecord:
    """Reverse of `pack_version`."""
    chart, index, leaf, epoch, size = _head(_VERSION, content)
    at = _VERSION.size
    return VersionRecord(chart, index, leaf, epoch, content[at : at + size], content[at + size :])


def pack_link(r: LinkRecord) -> bytes:
    """Content of a LINK record."""
    head = _LINK.pack(r.chart, r.index, r.leaf, r.epoch, r.moved, r.target_chart, r.target_index)
    return head + r.meta


def unpack_link(content: bytes) -> LinkRecord:
    """Reverse of `pack_link`."""
    chart, index, leaf, epoch, moved, target, position = _head(_LINK, content)
    return LinkRecord(chart, index, leaf, epoch, bool(moved), target, position, content[_LINK.size :])


def pack_access(chart: int, index: int, leaf: bytes, sealed: bytes) -> bytes:
    """Content of an ACCESS record."""
    return _ACCESS.pack(chart, index, leaf) + sealed


def unpack_access(content: bytes) -> AccessRecord:
    """Reverse of `pack_access`."""
    chart, index, leaf = _head(_ACCESS, content)
    return AccessRecord(chart, index, leaf, content[_ACCESS.size :])


def pack_cut(sequence: int) -> bytes:
    """Content of a CUT record."""
    return _CUT.pack(sequence)


def unpack_cut(content: bytes) -> int:
    """Reverse of `pack_cut`."""
    (sequence,) = _head(_CUT, content)
    return int(sequence)


def pack_reseal(r: ResealRecord) -> bytes:
    """Content of a RESEAL record."""
    parts = [_RESEAL.pack(r.chart, r.epoch, r.closed, len(r.wrap), len(r.metas)), r.wrap]
    for one in r.metas:
        parts += (_RESEALED.pack(one.index, one.erased, len(one.meta)), one.meta)
    return b"".join(parts)


def unpack_reseal(content: bytes) -> ResealRecord:
    """Reverse of `pack_reseal`."""
    chart, epoch, closed, size, count = _head(_RESEAL, content)
    at = _RESEAL.size + size
    wrap, metas = content[_RESEAL.size : at], []
    for _ in range(count):
        index, erased, length = _head(_RESEALED, content[at : at + _RESEALED.size])
        at += _RESEALED.size
        metas.append(Resealed(index, bool(erased), content[at : at + length]))
        at += length
    if at != len(content):
        raise Corrupt("a journal record has the wrong length", hint="run `careledger fsck`")
    return ResealRecord(chart, epoch, bool(closed), wrap, tuple(metas))


def pack_rewrap(chart: int, wrap: bytes) -> bytes:
    """Content of a REWRAP record."""
    return _REWRAP.pack(chart) + wrap


def unpack_rewrap(content: bytes) -> tuple[int, bytes]:
    """Reverse of `pack_rewrap`: chart and wrap."""
    (chart,) = _head(_REWRAP, content)
    return int(chart), content[_REWRAP.size :]


def pack_destroy(floor: int) -> bytes:
    """Content of a DESTROY record."""
    return _DESTROY.pack(floor)


def unpack_destroy(content: bytes) -> int:
    """Reverse of `pack_destroy`."""
    (floor,) = _head(_DESTROY, content)
    return int(floor)


def pack_anchor(seq: int, root: bytes, transaction: bytes) -> bytes:
    """Content of an ANCHOR record."""
    return _ANCHOR.pack(seq, root) + transaction


def unpack_anchor(content: bytes) -> tuple[int, bytes, bytes]:
    """Reverse of `pack_anchor`: (seq, root, transaction)."""
    seq, root = _head(_ANCHOR, content)
    return int(seq), bytes(root), content[_ANCHOR.size :]


def pack_migrated(height: int, app_hash: bytes) -> bytes:
    """Content of a MIGRATED record."""
    return _MIGRATED.pack(height, app_hash)


def unpack_migrated(content: bytes) -> tuple[int, bytes]:
    """Reverse of `pack_migrated`."""
    height, app_hash = _head(_MIGRATED, content)
    return int(height), bytes(app_hash)


def _head(layout: struct.Struct, content: bytes) -> tuple[Any, ...]:
    if len(content) < layout.size:
        raise Corrupt("a journal record is too short", hint="run `careledger fsck`")
    return layout.unpack_from(content)
