"""From a refusal to its answer: logged where it says something about a chart, then an OperationOutcome."""

from __future__ import annotations

from dataclasses import replace

from careledger.access.tokens import challenge
from careledger.fhir.authority import Counted, Denied, Unseen, record_refusal
from careledger.fhir.context import Context
from careledger.fhir.messages import FhirRequest, FhirResponse
from careledger.fhir.outcomes import Issue, from_error, issue_code, outcome, where_of
from careledger.fhir.refusals import InEntry, Invalidated, Refused, not_found
from careledger.fhir.responses import FHIR_JSON, deleted
from careledger.primitives.errors import CareLedgerError, Unauthenticated, Unavailable

_RETRY_AFTER = (b"retry-after", b"2")


async def refuse(context: Context, request: FhirRequest, error: CareLedgerError) -> FhirResponse:
    """The answer to a refusal. A denial or a count makes one house entry first; with the log unwritable: 503."""
    cause = error.cause if isinstance(error, InEntry) else error
    if isinstance(cause, (Denied, Counted)):
        kind, decision = "denied" if isinstance(cause, Denied) else "count", cause.decision
        try:
            await record_refusal(context, request, decision, kind, _what(request))
        except Unavailable as unavailable:
            return answer(unavailable)
        if isinstance(cause, Unseen):
            if cause.refused is None:
                return deleted(None)
            cause = cause.refused
        elif isinstance(cause, Denied) and cause.hidden:
            cause = not_found()
    return answer(InEntry(error.number, cause) if isinstance(error, InEntry) else cause)


def answer(error: CareLedgerError) -> FhirResponse:
    """Status, headers and OperationOutcome of a refusal. In a transaction the place begins with its entry."""
    cause = error.cause if isinstance(error, InEntry) else error
    status, body = from_error(cause)
    if isinstance(error, InEntry):
        body = _placed(body, cause, f"Bundle.entry[{error.number}]")
    headers = [FHIR_JSON]
    if isinstance(cause, Refused):
        headers += cause.headers
    if isinstance(cause, Unauthenticated):
        headers.append((b"www-authenticate", challenge(cause)))
    if isinstance(cause, Unavailable):
        headers.append(_RETRY_AFTER)
    return FhirResponse(status, headers, body)


def _placed(body: bytes, cause: CareLedgerError, place: str) -> bytes:
    if isinstance(cause, Invalidated):
        issues = [issue for issue in cause.issues if isinstance(issue, Issue)]
        return outcome(replace(issue, where=_inside(place, issue.where)) for issue in issues)
    where = _inside(place, where_of(cause)) if isinstance(cause, Refused) else place
    return outcome([Issue("error", issue_code(cause), where, cause.message, cause.hint, cause.code)])


def _inside(place: str, where: str) -> str:
    """`Patient.gender` in an entry is the gender of its resource; `request.url` is of the entry itself."""
    type, _, rest = where.partition(".")
    if type[:1].isupper():
        return f"{place}.resource.{rest}" if rest else f"{place}.resource"
    return f"{place}.{where}" if where else place


def _what(request: FhirRequest) -> str:
    """What was asked, sealed like every access entry."""
    query = "&".join(f"{name}={value}" for name, value in request.query)
    asked = f"{request.method} {'/'.join(request.path)}" + (f"?{query}" if query else "")
    condition = request.headers.get(b"if-none-exist", b"").decode("latin-1")
    return f"{asked} if none exist {condition}" if condition else asked
