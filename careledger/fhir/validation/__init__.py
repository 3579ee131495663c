"""FHIR R4 validation: a walk compiled from the definitions, as `$validate` and every write use it.

`validate` checks structure, cardinality, primitive values, required bindings that can be enumerated, reference
targets, choices, extensions and contained resources. It does not check invariants beyond these, profiles, or codes
of external terminologies. `references` finds every Reference of a resource.
"""

from __future__ import annotations

from careledger.fhir.validation.references import references
from careledger.fhir.validation.walk import validate

__all__ = ["references", "validate"]
