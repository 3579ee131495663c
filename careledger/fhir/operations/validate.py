"""$validate (R4 resource-operation-validate.html): what a write would say, without writing."""

from __future__ import annotations

from typing import Any

from careledger.fhir import json
from careledger.fhir.asking import actor_of
from careledger.fhir.authority import Denied, judge_new
from careledger.fhir.context import Context
from careledger.fhir.messages import FhirRequest, FhirResponse
from careledger.fhir.outcomes import Issue, outcome
from careledger.fhir.preferences import check_content_type
from careledger.fhir.refusals import Refused
from careledger.fhir.responses import FHIR_JSON
from careledger.fhir.routes import Match
from careledger.fhir.validation import validate as check

_MODES = frozenset({"create", "update", "profile"})


async def validate(context: Context, request: FhirRequest, match: Match) -> FhirResponse:
    """200 with an OperationOutcome, whatever it says; 400 only if there is nothing to judge. Looks at nothing stored."""
    check_content_type(request)
    decision = judge_new(context, request, "validate", match.type, _own(request), 0, None, None)
    if decision.rule == "scope":
        raise Denied(decision)
    sent = json.loads(request.body)
    resource, mode = _unwrapped(sent, match.type)
    for name, value in request.query:
        mode = value if name == "mode" else mode
        if name == "profile" and value != f"http://hl7.org/fhir/StructureDefinition/{match.type}":
            raise Refused(400, "not-supported", "Only the R4 base definitions are checked.", where="profile")
    if mode and mode not in _MODES:
        raise Refused(
            400, "not-supported", "This mode is not offered.", hint="create, update or none.", where="mode"
        )
    return FhirResponse(200, [FHIR_JSON], outcome([*_identity(resource, match, mode), *check(resource)]))


def _own(request: FhirRequest) -> tuple[str, ...]:
    actor = actor_of(request)
    return (actor.patient,) if actor.patient_bound else ()


def _unwrapped(sent: dict[str, Any], type: str) -> tuple[dict[str, Any], str]:
    """The resource itself: sent bare, or as the parameter `resource`."""
    if sent.get("resourceType") != "Parameters" or type == "Parameters":
        return sent, ""
    resource: Any = None
    mode = ""
    parameters = sent.get("parameter")
    for parameter in parameters if isinstance(parameters, list) else ():
        if isinstance(parameter, dict) and parameter.get("name") == "resource":
            resource = parameter.get("resource")
        elif isinstance(parameter, dict) and parameter.get("name") == "mode":
            mode = str(parameter.get("valueCode"))
    if not isinstance(resource, dict):
        raise Refused(
            400, "required", "There is no parameter `resource` to validate.", where="Parameters.parameter"
        )
    return resource, mode


def _identity(resource: dict[str, Any], match: Match, mode: str) -> list[Issue]:
    issues = []
    if resource.get("resourceType") != match.type:
        issues.append(Issue("error", "invalid", "resourceType", "is not the type in the path"))
    if match.id and resource.get("id", match.id) != match.id:
        issues.append(Issue("error", "invalid", f"{match.type}.id", "is not the id in the path"))
    if mode == "update" and "id" not in resource:
        issues.append(Issue("error", "required", f"{match.type}.id", "an update needs an id"))
    return issues
