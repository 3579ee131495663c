"""`/api/charts/{patient}/consents`: a patient's directives, and what her device hands in to grant and to revoke.

Bytes are written as hex. What is handed in is what the command line submits (docs/spec/consent.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, get_type_hints

import msgspec

from careledger.fhir.messages import FhirResponse
from careledger.node.callers import absent
from careledger.node.consents import GrantParams, RevokeParams
from careledger.primitives.errors import Invalid
from careledger.web.api.charts import patient_of
from careledger.web.api.messages import ApiRequest, answer
from careledger.web.api.parts import Found, Parts

NAMED_MAX: Final = 64
_DIRECTIVE = re.compile("[0-9a-f]{64}", re.ASCII)
_PLACE: Final = frozenset(("patient", "id"))
"""Said by the path, and by it alone."""


async def show(parts: Parts, request: ApiRequest, found: Found) -> FhirResponse:
    """The chart's directives with how each stands on the ledger."""
    request.parameters()
    asked = {"caller": parts.caller(request).pack(), "patient": patient_of(found)}
    return answer(_shown(await parts.call("asked.consents", asked)))


async def prepare(parts: Parts, request: ApiRequest, found: Found) -> FhirResponse:
    """What a grant is composed of; `did` and `practitioner`, each repeatable, are whom it will name."""
    named: dict[str, list[str]] = {"did": [], "practitioner": []}
    for name, value in request.query:
        if name not in named or len(named[name]) >= NAMED_MAX:
            raise Invalid(
                "a parameter is unknown, or repeated too often", hint="did, practitioner", code="parameter"
            )
        named[name].append(value)
    asked = {
        "caller": parts.caller(request).pack(),
        "patient": patient_of(found),
        "dids": named["did"],
        "practitioners": named["practitioner"],
    }
    return answer(_shown(await parts.call("asked.consents.prepare", asked)))


async def grant(parts: Parts, request: ApiRequest, found: Found) -> FhirResponse:
    """Grant what her device signed: 201 once it is in force."""
    request.parameters()
    asked = {
        "caller": parts.caller(request).pack(),
        "patient": patient_of(found),
        "decided": _decided(request, GrantParams),
    }
    return answer(_shown(await parts.call("asked.consents.grant", asked)), 201)


async def prepare_revocation(parts: Parts, request: ApiRequest, found: Found) -> FhirResponse:
    """What a revocation is composed of."""
    request.parameters()
    asked = {
        "caller": parts.caller(request).pack(),
        "patient": patient_of(found),
        "id": _directive_of(found),
    }
    return answer(_shown(await parts.call("asked.consents.prepare_revocation", asked)))


async def revoke(parts: Parts, request: ApiRequest, found: Found) -> FhirResponse:
    """Revoke by the directive's key or its printed code: no request that starts afterwards rests on it."""
    request.parameters()
    asked = {
        "caller": parts.caller(request).pack(),
        "patient": patient_of(found),
        "id": _directive_of(found),
        "decided": _decided(request, RevokeParams),
    }
    return answer(_shown(await parts.call("asked.consents.revoke", asked)))


def _directive_of(found: Found) -> str:
    if not _DIRECTIVE.fullmatch(found["directive"]):
        raise absent()
    return found["directive"]


def _decided(request: ApiRequest, kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The body's fields, bytes read from hex. Raises Invalid for what is no JSON object of this shape."""
    content = request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if content != b"application/json":
        raise Invalid("the body is JSON", hint="Content-Type: application/json", code="content-type")
    try:
        given = msgspec.json.decode(request.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid("the body is no JSON object", code="malformed-json") from None
    known = get_type_hints(kind)
    if any(name not in known or name in _PLACE for name in given):
        raise Invalid(
            "the body has a field that is not known here", hint="docs/spec/api.md lists them", code="field"
        )
    return {name: _read(value) if known[name] is bytes else value for name, value in given.items()}


def _read(value: Any) -> bytes:
    try:
        if isinstance(value, str) and value == value.lower() and not value.count(" "):
            return bytes.fromhex(value)
    except ValueError:
        pass
    raise Invalid("bytes are written in lower-case hex", hint="docs/spec/api.md", code="field")


def _shown(value: Any) -> Any:
    """The same with bytes as hex."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {name: _shown(one) for name, one in value.items()}
    return [_shown(one) for one in value] if isinstance(value, list | tuple) else value
