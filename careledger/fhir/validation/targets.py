"""What a Reference may say and which types it may name (R4 references.html)."""

from __future__ import annotations

import re
from typing import Any

from careledger.fhir.definitions import definitions
from careledger.fhir.validation.primitive import check_string
from careledger.fhir.validation.problems import Check, Problem, Scope, one

_is_id = re.compile(r"[A-Za-z0-9\-.]{1,64}").fullmatch
_is_id_and_version = re.compile(r"[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?").fullmatch
_RESOURCE_URL = re.compile(
    r"https?://[^\s?#]+?/([A-Z][A-Za-z]{1,63})/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)
_is_absolute = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+").fullmatch
_HINT = "write Type/id, #id of a contained resource, urn:uuid:…, an absolute URL, or Type?criteria in a transaction"
UNKNOWN = ""
"""Type of a reference that does not tell it: urn:uuid:… and URLs that are no FHIR addresses."""


def reference_check(check_object: Check, targets: tuple[str, ...]) -> Check:
    """A Reference to one of `targets` (empty: to any resource type)."""
    allowed = frozenset(targets or definitions().resource_types)

    def check(value: Any, scope: Scope) -> list[Problem] | None:
        if value.__class__ is dict:  # `Type/id`, with or without words for it: nearly always
            text = value.get("reference")
            if text.__class__ is str and (
                len(value) == 1 or (len(value) == 2 and check_string(value.get("display")) is None)
            ):
                head, _, tail = text.partition("/")
                if head in allowed and _is_id(tail):
                    return None
        found = check_object(value, scope)
        if found is not None:
            return found
        if "reference" not in value and "type" not in value:
            return None  # by identifier or words alone
        return _check_slowly(value, allowed, scope)

    return check


def target_type(reference: str, scope: Scope = None) -> str | None:
    """The resource type that a literal reference names, UNKNOWN if it does not tell; None if it is no reference."""
    if reference.startswith("#"):
        return scope.get(reference[1:]) if scope is not None else ("" if reference == "#" else None)
    head, slash, tail = reference.partition("/")
    if slash and definitions().is_resource_type(head) and _is_id_and_version(tail):
        return head
    head, question, criteria = reference.partition("?")
    if question and criteria and definitions().is_resource_type(head):
        return head
    found = _RESOURCE_URL.fullmatch(reference)
    if found is not None and definitions().is_resource_type(found[1]):
        return found[1]
    return UNKNOWN if _is_absolute(reference) else None


def _check_slowly(value: dict[str, Any], allowed: frozenset[str], scope: Scope) -> list[Problem] | None:
    text, stated = value.get("reference"), value.get("type")
    named = UNKNOWN
    if text is not None:
        found = target_type(text, scope)
        if found is None:
            return _no_reference(text)
        named = found
    if named and named not in allowed:
        return _wrong_target(".reference", allowed)
    if stated is not None and ":" not in stated:  # a URL names a logical model, which R4 leaves open
        if stated not in allowed:
            return _wrong_target(".type", allowed)
        if named and stated != named:
            return one("value", "differs from the type that the reference names", path=".type")
    return None


def _no_reference(text: str) -> list[Problem]:
    if text.startswith("#"):
        return one(
            "invariant", "names no contained resource (ref-1)", "contained ids stand without #", ".reference"
        )
    return one("value", "is no reference", _HINT, ".reference")


def _wrong_target(path: str, allowed: frozenset[str]) -> list[Problem]:
    names = ", ".join(sorted(allowed)) if len(allowed) < 20 else "a resource type of R4"
    return one("value", "names a resource type that is not allowed here", f"allowed: {names}", path)
