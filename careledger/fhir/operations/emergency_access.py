"""Patient/[id]/$emergency-access: break-glass in its first form. docs/spec/emergency.md says what is kept.

One commit, before any data: the entry in the patient's access log, the Task that asks for a review, and the leaf
that opens the chart to this practitioner until the box ends. Who may not override is refused, whoever the patient.
"""

from __future__ import annotations

from typing import Any

from careledger.access.decision import EMERGENCY_PURPOSE, Decision
from careledger.access.emergency import EmergencyLeaf, emergency_id, emergency_term, encode_emergency
from careledger.fhir import json, writing
from careledger.fhir.asking import Asking, actor_of, ask
from careledger.fhir.authority import Denied, judge_new, record, record_entries
from careledger.fhir.context import Context
from careledger.fhir.freshid import fresh_id
from careledger.fhir.json import Received
from careledger.fhir.messages import FhirRequest, FhirResponse
from careledger.fhir.preferences import check_content_type
from careledger.fhir.refusals import Refused, not_found
from careledger.fhir.responses import FHIR_JSON
from careledger.fhir.routes import Match
from careledger.primitives.errors import Conflict
from careledger.vault.model import EMERGENCY_TYPE, Commit, ResourceWrite

REASON_MIN, REASON_MAX = 10, 1_000
KIND = "emergency"


async def emergency_access(context: Context, request: FhirRequest, match: Match) -> FhirResponse:
    """200 with Parameters `until` and `task`. 403 for who may not override, 404 for a patient who is not there."""
    check_content_type(request)
    _check_caller(context, request)
    reason = _reason(json.loads(request.body))
    for _ in range(context.limits.retries):
        with context.backend.snapshot() as snapshot:
            asking = ask(context, request, snapshot)
            chart = snapshot.chart_of(match.id)
            current = snapshot.current("Patient", match.id)
            present = chart is not None and current is not None and not current.deleted
            if present and chart is not None:
                commit, leaf = _commit(asking, chart, match.id, reason)
        if not present:
            await record(asking, asking.decision("emergency"), KIND, f"Patient/{match.id}", {})
            raise not_found()
        try:
            await context.backend.commit(commit)
        except Conflict:
            continue
        return FhirResponse(200, [FHIR_JSON], _answer(leaf))
    raise Refused(409, "conflict", "Another emergency access is being entered.", hint="Repeat the request.")


def _check_caller(context: Context, request: FhirRequest) -> None:
    """Raises Denied, as 403: payers, researchers, programs without a person and other organisations override nothing."""
    actor = actor_of(request)
    decision = judge_new(context, request, "everything", "Patient", (), 0, None, None)
    if decision.rule == "scope":
        raise Denied(decision)
    if actor.organisation != context.backend.organisation:
        raise Denied(Decision(False, (), "no-directive", (), 0), hide=False)
    if actor.purpose != EMERGENCY_PURPOSE or not actor.practitioner or actor.patient_bound:
        raise Denied(Decision(False, (), "purpose", (), 0), hide=False)


def _reason(sent: dict[str, Any]) -> str:
    """The reason as it will be kept. Raises Refused(400)."""
    listed = sent.get("parameter") if sent.get("resourceType") == "Parameters" else None
    found = [
        one.get("valueString")
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, dict) and one.get("name") == "reason"
    ]
    reason = " ".join(found[0].split()) if len(found) == 1 and isinstance(found[0], str) else ""
    if not REASON_MIN <= len(reason) <= REASON_MAX:
        raise Refused(
            400,
            "required",
            "An emergency access needs a reason.",
            hint=f"Parameters with one `reason`: a valueString of {REASON_MIN} to {REASON_MAX} characters.",
            where="Parameters.parameter",
        )
    return reason


def _commit(asking: Asking, chart: int, patient: str, reason: str) -> tuple[Commit, EmergencyLeaf]:
    context, actor, snapshot = asking.context, asking.actor, asking.snapshot
    now_ms = context.backend.now_ms()
    leaf = EmergencyLeaf(
        client=actor.client,
        format="careledger/emergency/1",
        from_ms=now_ms,
        practitioner=actor.practitioner,
        task=fresh_id(),
        until_ms=now_ms + context.limits.emergency_ms,
    )
    id = emergency_id(snapshot.place(chart)[1], actor.practitioner)
    before = snapshot.current(EMERGENCY_TYPE, id)
    author = writing.author_of(asking.request)
    own = ResourceWrite(
        EMERGENCY_TYPE,
        id,
        0 if before is None else before.version,
        encode_emergency(leaf),
        now_ms,
        (patient,),
        author,
        chart_terms=(emergency_term(leaf.practitioner),),
    )
    task = _task(leaf, patient, reason, now_ms + context.limits.review_ms)
    writing.check(task)
    review = writing.compose(
        "Task", leaf.task, Received(task), 0, now_ms, (patient,), author, context.backend.base_url
    )
    entries = record_entries(asking, asking.decision("emergency"), KIND, reason, {chart: []})
    return Commit((own, review), entries), leaf


def _task(leaf: EmergencyLeaf, patient: str, reason: str, due_ms: int) -> dict[str, Any]:
    """The request to review it, with its clock."""
    return {
        "resourceType": "Task",
        "id": leaf.task,
        "status": "requested",
        "intent": "order",
        "priority": "urgent",
        "code": {"coding": [{"system": "urn:careledger:task", "code": "emergency-access-review"}]},
        "description": "Review an emergency access to this chart.",
        "for": {"reference": f"Patient/{patient}"},
        "executionPeriod": {"start": json.instant(leaf.from_ms), "end": json.instant(leaf.until_ms)},
        "authoredOn": json.instant(leaf.from_ms),
        "requester": {"reference": f"Practitioner/{leaf.practitioner}"},
        "reasonCode": {"text": reason},
        "restriction": {"period": {"end": json.instant(due_ms)}},
    }


def _answer(leaf: EmergencyLeaf) -> bytes:
    return json.dumps(
        {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "until", "valueInstant": json.instant(leaf.until_ms)},
                {"name": "task", "valueReference": {"reference": f"Task/{leaf.task}"}},
            ],
        }
    )
