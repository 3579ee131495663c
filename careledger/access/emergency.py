"""Emergency accesses as a chart keeps them: who may, until when, and which Task reviews it.

The leaf is a version of a type that R4 does not define, sealed in the patient's chart: no FHIR interaction reaches
it, so nobody writes one but `$emergency-access`, and every worker and a restarted node finds it in its snapshot. A
practitioner has one in a chart; each further access is its next version. docs/spec/emergency.md is the format.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from careledger.primitives.errors import Corrupt
from careledger.primitives.hashing import tagged
from careledger.vault.model import EMERGENCY_TYPE, Snapshot

BOX_MAX_MS: Final = 24 * 3_600_000
"""No emergency access holds longer, whatever a leaf says."""


class EmergencyLeaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of the leaf. Times are milliseconds since 1970; `task` is the logical id of the reviewing Task."""

    client: str
    format: Literal["careledger/emergency/1"]
    from_ms: int
    practitioner: str
    task: str
    until_ms: int


encode_emergency = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(EmergencyLeaf).decode


def decode_emergency(body: bytes) -> EmergencyLeaf:
    """The leaf. Raises Corrupt."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Corrupt("an emergency access cannot be read", hint="run `careledger fsck`") from None


def emergency_id(handle: bytes, practitioner: str) -> str:
    """The id of a practitioner's leaf in the chart with this handle."""
    return tagged("cl1.emergency", handle + practitioner.encode()).hex()


def emergency_term(practitioner: str) -> bytes:
    """The chart-level term by which the charts are found to which a practitioner ever had emergency access."""
    return f"emergency\0{practitioner}".encode()


def emergency_terms(body: bytes) -> tuple[bytes, ...]:
    """The chart-level terms of a leaf."""
    return (emergency_term(decode_emergency(body).practitioner),)


def charts_in_emergency(snapshot: Snapshot, practitioner: str, now_ms: int) -> frozenset[int]:
    """The charts to which an emergency access of this practitioner is in force. Raises Corrupt."""
    found = set()
    for chart in snapshot.charts_with(emergency_term(practitioner)):
        version = snapshot.current(EMERGENCY_TYPE, emergency_id(snapshot.place(chart)[1], practitioner))
        if version is None or version.deleted or version.chart != chart:
            continue
        if version.time_ms + BOX_MAX_MS <= now_ms:
            continue
        leaf = decode_emergency(snapshot.body(version))
        until_ms = min(leaf.until_ms, version.time_ms + BOX_MAX_MS)
        if leaf.practitioner == practitioner and leaf.from_ms <= now_ms < until_ms:
            found.add(chart)
    return frozenset(found)
