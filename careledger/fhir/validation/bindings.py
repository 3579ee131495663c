"""Required bindings (R4 terminologies.html#required) whose value sets R4 enumerates."""

from __future__ import annotations

from typing import Any

from careledger.fhir.definitions import definitions
from careledger.fhir.validation.problems import Check, Problem, Scope, one

SHOWN_MAX = 12
"""Codes that a hint lists; of longer sets it gives the address."""


def code_check(binding: str) -> Check:
    """A `code` of the value set; its system is implied."""
    codes = frozenset(code for _, code in definitions().codes(binding))

    def check(value: Any, _: Scope) -> list[Problem] | None:
        if value.__class__ is str and value in codes:
            return None
        return _not_in_set(binding) if value.__class__ is str else one("value", "must be a code: a string")

    return check


def coding_check(check_coding: Check, binding: str) -> Check:
    """A `Coding` whose system and code are in the value set."""
    pairs = definitions().codes(binding)

    def check(value: Any, scope: Scope) -> list[Problem] | None:
        found = check_coding(value, scope)
        if found is None and (value.get("system"), value.get("code")) not in pairs:
            return _not_in_set(binding)
        return found

    return check


def concept_check(check_concept: Check, binding: str) -> Check:
    """A `CodeableConcept` with at least one Coding of the value set; text alone does not do."""
    pairs = definitions().codes(binding)

    def check(value: Any, scope: Scope) -> list[Problem] | None:
        found = check_concept(value, scope)
        if found is None:
            for coding in value.get("coding", ()):
                if (coding.get("system"), coding.get("code")) in pairs:
                    return None
            return _not_in_set(binding)
        return found

    return check


def _not_in_set(binding: str) -> list[Problem]:
    pairs = definitions().codes(binding)
    codes = sorted({code for _, code in pairs})
    systems = sorted({system for system, _ in pairs})
    hint = (
        f"allowed: {', '.join(codes)} (system {', '.join(systems)})"
        if len(codes) <= SHOWN_MAX
        else f"see {binding}"
    )
    return one("code-invalid", f"must be a code of the required value set {binding}", hint)
