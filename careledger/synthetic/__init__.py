"""The demo hospital's patients: invented, deterministic, coherent over years. Never mixed with real data."""

from __future__ import annotations

from careledger.synthetic.hospital import (
    encode,
    first_patient_id,
    first_practitioner_id,
    hospital,
    write_bundles,
)

__all__ = ["encode", "first_patient_id", "first_practitioner_id", "hospital", "write_bundles"]
