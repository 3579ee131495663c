"""What travels from a worker to the sequencer: commits whose contents are already sealed.

A worker seals by itself; the sequencer only decides the order, so one slow Bundle costs the others nothing but
its place. Plain data, so that the same message goes through memory or through a socket.
"""

from __future__ import annotations

import msgspec

from careledger.vault.model import AccessEntry


class NewChart(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A chart that begins with this commit; later parts of it name it by `-1 - position`."""

    patient: bytes  # blind token of Patient/id
    handle: bytes
    epoch: int
    wrap: bytes
    record_key: bytes
    access_key: bytes
    leaf: bytes
    meta: bytes


class SealedLink(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A leaf of a version in one more chart, or the leaf that says it left a chart (`moved`)."""

    chart: int
    moved: bool
    leaf: bytes
    meta: bytes


class SealedVersion(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One sealed version and what the index needs to find it again."""

    token: bytes  # blind token of Type/id
    type: str
    id: str
    expected_version: int
    deleted: bool
    time_ms: int
    chart: int
    leaf: bytes
    meta: bytes
    body: bytes
    values: bytes
    finds: tuple[bytes, ...]
    visits: tuple[bytes, ...]
    digest: bytes  # of the salted body, as the leaf commits to it: also that of every link
    links: tuple[SealedLink, ...] = ()


class SealedCommit(msgspec.Struct, frozen=True, array_like=True):
    """All of it becomes durable together, or none."""

    charts: tuple[NewChart, ...] = ()
    versions: tuple[SealedVersion, ...] = ()
    accesses: tuple[AccessEntry, ...] = ()
    transactions: tuple[bytes, ...] = ()
    events: tuple[bytes, ...] = ()
    epochs: tuple[tuple[int, int], ...] = ()
    """The charts, begun before, under whose keys this was sealed, each with the epoch of these keys."""
