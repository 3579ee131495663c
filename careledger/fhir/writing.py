"""How a resource becomes a ResourceWrite: read strictly, validate, authorise, extract.

Shared by single writes and Bundles, so both refuse alike. Nothing here awaits or commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from careledger.fhir import json
from careledger.fhir.authority import (
    SOMEBODY,
    Denied,
    Unseen,
    actor_of,
    judge,
    patients_behind,
    patients_named,
)
from careledger.fhir.charts import patients_of
from careledger.fhir.context import Context
from careledger.fhir.json import Received
from careledger.fhir.messages import FhirRequest
from careledger.fhir.preferences import ABSENT
from careledger.fhir.refusals import Invalidated, Refused, stale
from careledger.fhir.search.extract import extract
from careledger.fhir.validation import validate
from careledger.vault.model import ResourceWrite, Snapshot, Version

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
    context: Context,
    request: FhirRequest,
    interaction: str,
    type: str,
    patients: tuple[str, ...],
    height: int,
) -> None:
    """May this version be written into these charts? Raises Denied, always as 403: the caller named the charts."""
    decision = judge(context, request, interaction, type, patients, height)
    if not decision.permit:
        raise Denied(decision, hide=False)


def allow_change(
    context: Context, request: FhirRequest, interaction: str, snapshot: Snapshot, current: Version
) -> None:
    """May what is stored be replaced or deleted? Raises Denied: 404 where the caller may not know of it."""
    patients = patients_behind(actor_of(request), snapshot, current)
    decision = judge(context, request, interaction, current.type, patients, snapshot.height)
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
    context: Context,
    request: FhirRequest,
    snapshot: Snapshot,
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
    current = snapshot.current(type, id)
    new.resource["id"] = id
    patients = patients_of(new.resource, context.backend.base_url)
    allow_new(context, request, interaction, type, patients, snapshot.height)
    if current is not None:
        allow_change(context, request, interaction, snapshot, current)
    elif actor_of(request).patient_bound:  # denied, logged and answered as another patient's would be
        raise Denied(judge(context, request, interaction, type, SOMEBODY, snapshot.height))
    check_expected(expected, current)
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
    context: Context,
    request: FhirRequest,
    interaction: str,
    type: str,
    snapshot: Snapshot,
    current: Version | None,
    expected: int | None,
) -> None:
    """Raise Unseen for what is another patient's and for what is not there: to a caller bound to one they are one."""
    actor = actor_of(request)
    if not actor.patient_bound:
        return
    patients = SOMEBODY if current is None else patients_behind(actor, snapshot, current)
    decision = judge(context, request, interaction, type, patients, snapshot.height)
    if decision.absent:
        raise Unseen(decision, None if expected in (None, ABSENT) else stale())


def compose_delete(
    context: Context,
    request: FhirRequest,
    snapshot: Snapshot,
    type: str,
    id: str,
    expected: int | None,
    interaction: str = "delete",
    time_ms: int = 0,
) -> ResourceWrite | None:
    """The deletion of Type/id; None if there is nothing to delete. Raises Unseen for what the caller may not know of."""
    actor = actor_of(request)
    scope_only = (actor.patient,) if actor.patient_bound else ()
    allow_new(context, request, interaction, type, scope_only, snapshot.height)
    current = snapshot.current(type, id) if id else None
    if id:
        _check_seen(context, request, interaction, type, snapshot, current, expected)
    if current is None or current.deleted:
        check_expected(expected, None)
        return None
    allow_change(context, request, interaction, snapshot, current)
    check_expected(expected, current)
    patients = patients_named(context, snapshot, current)
    when = max(time_ms, next_time(context, current))
    return ResourceWrite(type, id, current.version, None, when, patients, author_of(request))
