"""How a resource becomes a ResourceWrite: read strictly, validate, authorise, extract.

Shared by single writes and Bundles, so both refuse alike. Nothing here awaits or commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from careledger.access.decision import EMERGENCY_PURPOSE, Decision
from careledger.fhir import json
from careledger.fhir.asking import Asking, actor_of, ask
from careledger.fhir.audit import ID_PREFIX
from careledger.fhir.authority import Denied, Unseen, judge, judge_new, judge_whole, patients_named
from careledger.fhir.charts import patients_of
from careledger.fhir.context import Context
from careledger.fhir.directiveforms import check_form
from careledger.fhir.json import Received
from careledger.fhir.messages import FhirRequest
from careledger.fhir.ownentries import check_own, mark_next
from careledger.fhir.preferences import ABSENT
from careledger.fhir.refusals import Invalidated, Refused, stale
from careledger.fhir.search.extract import extract
from careledger.fhir.validation import validate
from careledger.fhir.visibility import sees_all
from careledger.vault.model import ResourceWrite, Version

Resource = dict[str, Any]


def check_type(resource: Any, type: str) -> None:
    """Raises Refused(400) for another resource type than the one in the path."""
    if not isinstance(resource, dict):
        raise Refused(400, "structure", "The body is not a JSON object.")
    if resource.get("resourceType") != type:
        raise Refused(
            400, "invalid", "resourceType is not the type in the path.", where=f"{type}.resourceType"
        )


def check(resource: Resource) -> None:
    """As `$validate`. Raises Invalidated (422) with every error found."""
    issues = validate(resource)
    if issues:
        errors = tuple(issue for issue in issues if issue.severity in ("error", "fatal"))
        if errors:
            raise Invalidated(tuple(issues))


def author_of(request: FhirRequest) -> str:
    actor = actor_of(request)
    return f"Practitioner/{actor.practitioner}" if actor.practitioner else actor.subject or actor.client


def allow_new(
    asking: Asking, interaction: str, type: str, patients: tuple[str, ...], resource: Resource
) -> None:
    """May this version be written into these charts? Raises Denied, always as 403: the caller named the charts."""
    context, request = asking.context, asking.request
    _check_new(judge_new(context, request, interaction, type, patients, asking.height, asking, resource))


def allow_alone(
    context: Context,
    request: FhirRequest,
    interaction: str,
    type: str,
    patients: tuple[str, ...],
    resource: Resource,
) -> None:
    """As `allow_new`, without a look at what is stored but in an emergency."""
    if actor_of(request).purpose != EMERGENCY_PURPOSE:
        _check_new(judge_new(context, request, interaction, type, patients, 0, None, resource))
        return
    with context.backend.snapshot() as snapshot:
        allow_new(ask(context, request, snapshot), interaction, type, patients, resource)


def _check_new(decision: Decision) -> None:
    if not decision.permit:
        raise Denied(decision, hide=False)


def allow_change(asking: Asking, interaction: str, current: Version) -> None:
    """May what is stored be replaced or deleted? Raises Denied: 404 where the caller may not know of it."""
    decision = judge(asking, interaction, current.type, current)
    if not decision.permit:
        raise Denied(decision)


def check_expected(expected: int | None, current: Version | None) -> None:
    """If-Match and If-None-Match: * (R4 http.html#concurrency). Raises Refused(412) unless what they say holds."""
    if expected is None:
        return
    present = current is not None and not current.deleted
    if expected == ABSENT and present:
        raise Refused(412, "conflict", "The resource is there already.", hint="Update it with If-Match.")
    if expected != ABSENT and (current is None or not present or current.version != expected):
        raise stale()


def next_time(context: Context, current: Version | None) -> int:
    """lastUpdated: now, and always later than the version before."""
    now = context.backend.now_ms()
    return now if current is None else max(now, current.time_ms + 1)


def compose(
    type: str,
    id: str,
    new: Received,
    base_version: int,
    time_ms: int,
    patients: Sequence[str],
    author: str,
    base_url: str,
    *,
    put_created: bool = False,
) -> ResourceWrite:
    """The write of a validated resource. `base_version` is the version it replaces, 0 for a new one."""
    resource = new.resource
    body = json.canonical(resource, id, base_version + 1, time_ms, new.rest)
    resource["id"] = id
    if "meta" in resource and not new.rest:  # as it is stored, and as a rebuilt index reads it
        resource = {"meta": resource["meta"], **resource}
    extracted = extract(type, resource, base_url, patients)
    return ResourceWrite(
        type,
        id,
        base_version,
        body,
        time_ms,
        tuple(patients),
        author,
        extracted.values,
        extracted.terms,
        extracted.chart_terms,
        put_created,
    )


def compose_update(
    asking: Asking,
    type: str,
    id: str,
    new: Received,
    expected: int | None,
    interaction: str = "update",
    time_ms: int = 0,
) -> ResourceWrite:
    """The next version of Type/id, or its first (update-as-create, R4 http.html#upsert). A deleted one is brought back.

    Only callers who see the whole type may choose an id; to others an unknown id and a hidden one look alike.
    """
    context, request = asking.context, asking.request
    if type == "AuditEvent" and id.startswith(ID_PREFIX):
        raise Refused(
            405, "not-supported", "The access log is not written over FHIR.", hint="Use another id."
        )
    current = asking.snapshot.current(type, id)
    new.resource["id"] = id
    patients = patients_of(new.resource, context.backend.base_url)
    allow_new(asking, interaction, type, patients, new.resource)
    if current is not None:
        allow_change(asking, interaction, current)
        check_form(asking, current)
        check_own(asking, current)
    elif not sees_all(asking, interaction, type):  # denied, logged and answered as a hidden one would be
        raise Denied(asking.decision("other-patient" if asking.actor.patient_bound else "no-directive"))
    check_expected(expected, current)
    new = mark_next(asking, new, current)
    when = max(time_ms, next_time(context, current))
    return compose(
        type,
        id,
        new,
        0 if current is None else current.version,
        when,
        patients,
        author_of(request),
        context.backend.base_url,
        put_created=current is None or current.deleted,
    )


def status_of_update(write: ResourceWrite) -> int:
    """201 where the PUT made the resource, or brought it back after its deletion (R4 http.html#update); else 200."""
    return 201 if write.put_created else 200


def _check_seen(
    asking: Asking, interaction: str, type: str, current: Version | None, expected: int | None
) -> None:
    """Raise Unseen for what is hidden; and to a caller bound to one patient for what is not there: they are one."""
    if current is None:
        if not asking.actor.patient_bound:
            return
        decision = asking.decision("other-patient")
    else:
        decision = judge(asking, interaction, type, current)
    if decision.absent:
        raise Unseen(decision, None if expected in (None, ABSENT) else stale())


def compose_delete(
    asking: Asking, type: str, id: str, expected: int | None, interaction: str = "delete", time_ms: int = 0
) -> ResourceWrite | None:
    """The deletion of Type/id; None if there is nothing to delete. Raises Unseen for what the caller may not know of."""
    context, snapshot = asking.context, asking.snapshot
    _check_new(judge_whole(asking, interaction, type))
    current = snapshot.current(type, id) if id else None
    if id:
        _check_seen(asking, interaction, type, current, expected)
    if current is None or current.deleted:
        check_expected(expected, None)
        return None
    allow_change(asking, interaction, current)
    check_form(asking, current)
    check_own(asking, current)
    check_expected(expected, current)
    patients = patients_named(context, snapshot, current)
    when = max(time_ms, next_time(context, current))
    return ResourceWrite(type, id, current.version, None, when, patients, author_of(asking.request))
