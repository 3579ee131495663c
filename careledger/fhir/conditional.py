"""Conditions: which resource do criteria mean? (R4 http.html#ccreate, #cond-update, #cdelete, #trules)

A condition sees what its caller may see. It is read strictly: a parameter that were ignored would match too much.
Callers that write on its answer hold `Backend.conditional_lock` of the type.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode

from careledger.access.decision import Decision
from careledger.fhir.asking import Asking
from careledger.fhir.authority import Counted, Denied, judge_whole
from careledger.fhir.messages import FhirRequest
from careledger.fhir.refusals import Refused, several
from careledger.fhir.search.execute import search
from careledger.fhir.search.query import CURSOR, parse
from careledger.fhir.visibility import search_scope
from careledger.vault.model import Version

_CONTROLS = frozenset(
    {"_count", "_sort", "_include", "_revinclude", "_summary", "_elements", "_total", "_contained", CURSOR}
)


def find(asking: Asking, type: str, criteria: str, interaction: str) -> tuple[list[Version], Decision]:
    """The match, if there is one, and the decision under which it was looked for.

    Raises Denied, Counted(412) if more match, and Invalid or Refused(400) for criteria that cannot be read or say
    nothing.
    """
    context = asking.context
    decision = judge_whole(asking, interaction, type)
    if not decision.permit:
        raise Denied(decision, hide=False)
    if type not in context.types:
        raise Refused(400, "value", "The criteria name no FHIR R4 resource type.")
    pairs = parse_qsl(criteria.lstrip("?"), keep_blank_values=True)
    if any(name.partition(":")[0] in _CONTROLS for name, _ in pairs):
        raise Refused(
            400, "not-supported", "Criteria hold filters only.", hint="Leave out _count, _sort and the like."
        )
    backend = context.backend
    query = parse(type, pairs, strict=True, now_ms=backend.now_ms(), base=backend.base_url, count=2)
    if not query.conditions:
        raise Refused(
            412, "incomplete", "The criteria say nothing.", hint="Name at least one search parameter."
        )
    result = search(asking.snapshot, context.charts, query, search_scope(asking, type))
    if len(result.matches) > 1:
        raise Counted(decision, several())
    return list(result.matches), decision


def resolve(asking: Asking, reference: str) -> tuple[Version, Decision]:
    """What the conditional reference `Type?criteria` means: exactly one resource, else Counted(412)."""
    type, _, criteria = reference.partition("?")
    try:
        matches, decision = find(asking, type, criteria, "search")
    except Counted as counted:
        raise Counted(counted.decision, _unresolved("multiple-matches", "more than one resource.")) from None
    if not matches:
        raise Counted(decision, _unresolved("not-found", "nothing."))
    return matches[0], decision


def _unresolved(code: str, what: str) -> Refused:
    hint = "Store what it refers to first, or refer to it as Type/id."
    return Refused(412, code, f"A conditional reference matches {what}", hint=hint)


def criteria_of(request: FhirRequest) -> str:
    """The criteria in the query of a conditional update or delete."""
    pairs = [(name, value) for name, value in request.query if name not in ("_format", "_pretty")]
    return urlencode(pairs, quote_via=quote)
