"""The interactions of one resource and of one type: each a small function of context, request and match.

R4 http.html. A handler reads in a snapshot, closes it, makes the access entries durable and only then answers.
"""

from __future__ import annotations

from careledger.fhir import conditional, writing
from careledger.fhir.asking import actor_of, ask
from careledger.fhir.authority import ByChart, Denied, judge, leaving, merge, record, record_entries
from careledger.fhir.charts import patients_of
from careledger.fhir.context import Context
from careledger.fhir.freshid import fresh_id
from careledger.fhir.json import Received, receive
from careledger.fhir.links import Links
from careledger.fhir.messages import FhirRequest, FhirResponse
from careledger.fhir.ownentries import mark_new
from careledger.fhir.preferences import check_content_type, if_match, is_fresh, view
from careledger.fhir.refusals import Refused, gone, is_id, not_found
from careledger.fhir.responses import deleted, not_modified, projected, resource, stored
from careledger.fhir.routes import Match
from careledger.primitives.errors import Conflict
from careledger.vault.model import Commit, ResourceWrite, Snapshot, Version


async def read(context: Context, request: FhirRequest, match: Match) -> FhirResponse:
    """The current version. 404 unknown or hidden, 410 deleted, 304 if the caller has it."""
    return await _read(context, request, match, "read")


async def vread(context: Context, request: FhirRequest, match: Match) -> FhirResponse:
    """That version. 404 unknown or hidden, 410 if it is the deletion."""
    return await _read(context, request, match, "vread")


async def _read(context: Context, request: FhirRequest, match: Match, interaction: str) -> FhirResponse:
    wanted = view(request.query, counts=False)
    with context.backend.snapshot() as snapshot:
        asking = ask(context, request, snapshot)
        version = _version(snapshot, match)
        decision = judge(asking, interaction, match.type, version)
        if not decision.permit:
            raise Denied(decision)
        if version is None or version.deleted:
            response, charts = None, {}
        else:
            body = snapshot.body(version)
            charts = leaving(version)
            if is_fresh(request, version.version, version.time_ms):
                response = not_modified(version)
            else:
                response = resource(version, body) if wanted.whole else projected(version, body, wanted)
    what = f"{match.type}/{match.id}/_history/{match.vid}" if match.vid else f"{match.type}/{match.id}"
    await record(asking, decision, interaction, what, charts)
    if response is None:
        raise not_found() if version is None else gone(erased=version.erased)
    return response


def _version(snapshot: Snapshot, match: Match) -> Version | None:
    if not match.vid:
        return snapshot.current(match.type, match.id)
    number = match.vid
    if not number.isdecimal() or not number.isascii() or len(number) > 9 or number[0] == "0":
        return None
    return snapshot.version(match.type, match.id, int(number))


async def create(context: Context, request: FhirRequest, match: Match) -> FhirResponse:
    """201 with an id of the server's; 200 if `If-None-Exist` matches one, 412 if it matches more."""
    criteria = request.headers.get(b"if-none-exist")
    new = await _received(context, request, match.type)
    if criteria is None:
        write = _compose_create(context, request, match.type, new, "create")
        await context.backend.commit(Commit((write,)))
        return stored(context.backend.base_url, request, write, 201)
    async with context.backend.conditional_lock(match.type):
        with context.backend.snapshot() as snapshot:
            asking = ask(context, request, snapshot)
            found, decision = conditional.find(
                asking, match.type, criteria.decode("latin-1"), "conditional-create"
            )
            if found:
                body = snapshot.body(found[0])
                charts = leaving(found[0])
        what = f"{match.type}?{criteria.decode('latin-1')}"
        if not found:
            write = _compose_create(context, request, match.type, new, "conditional-create")
            seen = record_entries(asking, decision, "search", what, {})
            await context.backend.commit(Commit((write,), seen))
            return stored(context.backend.base_url, request, write, 201)
    await record(asking, decision, "read", what, charts)
    return stored(context.backend.base_url, request, found[0], 200, body)


def _compose_create(
    context: Context, request: FhirRequest, type: str, new: Received, interaction: str
) -> ResourceWrite:
    """The first version of a resource with a new id; fresh ids are not looked up, the commit refuses a clash."""
    new = mark_new(actor_of(request), new)
    new.resource["id"] = id = fresh_id()
    patients = patients_of(new.resource, context.backend.base_url)
    writing.allow_alone(context, request, interaction, type, patients, new.resource)
    return writing.compose(
        type,
        id,
        new,
        0,
        context.backend.now_ms(),
        patients,
        writing.author_of(request),
        context.backend.base_url,
        put_created=interaction == "conditional-update",
    )


async def _received(context: Context, request: FhirRequest, type: str) -> Received:
    """The body, read strictly, its conditional references resolved (and what they find logged), validated."""
    check_content_type(request)
    if type == "Bundle" or b"?" not in request.body:
        new = receive(request.body)
    else:
        new = await _resolved(context, request)
    writing.check_type(new.resource, type)
    writing.check(new.resource)
    return new


async def _resolved(context: Context, request: FhirRequest) -> Received:
    charts: ByChart = {}
    with context.backend.snapshot() as snapshot:
        decisions = []
        asking = ask(context, request, snapshot)

        def find(reference: str) -> str:
            version, decision = conditional.resolve(asking, reference)
            merge(charts, leaving(version))
            decisions.append(decision)
            return f"{version.type}/{version.id}"

        new = Links(find, urn=False).load(request.body)
    if decisions:
        await record(asking, decisions[0], "search", "conditional references", charts)
    return new


async def update(context: Context, request: FhirRequest, match: Match) -> FhirResponse:
    """200 with the next version, 201 with the first (update-as-create) or after a deletion; 412 if `If-Match` is stale."""
    new = await _received(context, request, match.type)
    _check_id(new, match.type, match.id)
    return await _update(context, request, match.type, match.id, new, "update")


async def _update(
    context: Context, request: FhirRequest, type: str, id: str, new: Received, interaction: str
) -> FhirResponse:
    expected = if_match(request)
    for _ in range(context.limits.retries):
        with context.backend.snapshot() as snapshot:
            asking = ask(context, request, snapshot)
            write = writing.compose_update(asking, type, id, new, expected, interaction)
        try:
            await context.backend.commit(Commit((write,)))
        except Conflict:
            continue
        return stored(context.backend.base_url, request, write, writing.status_of_update(write))
    raise _busy()


def _check_id(new: Received, type: str, id: str) -> None:
    if new.resource.get("id") != id:
        raise Refused(
            400,
            "invalid",
            "The id in the resource is not the id in the path.",
            hint="Send the id of the path in the resource.",
            where=f"{type}.id",
        )


def _busy() -> Refused:
    return Refused(409, "conflict", "Others keep changing this resource.", hint="Read it again and repeat.")


async def delete(context: Context, request: FhirRequest, match: Match) -> FhirResponse:
    """204, whether there was something to delete or not; later reads are 410, earlier versions stay."""
    return await _delete(context, request, match.type, match.id, "delete")


async def _delete(
    context: Context, request: FhirRequest, type: str, id: str, interaction: str
) -> FhirResponse:
    expected = if_match(request)
    for _ in range(context.limits.retries):
        with context.backend.snapshot() as snapshot:
            write = writing.compose_delete(ask(context, request, snapshot), type, id, expected, interaction)
        if write is None:
            return deleted(None)
        try:
            await context.backend.commit(Commit((write,)))
        except Conflict:
            continue
        return deleted(write)
    raise _busy()


async def conditional_update(context: Context, request: FhirRequest, match: Match) -> FhirResponse:
    """Update of the one match; create if nothing matches; 412 if more than one does."""
    new = await _received(context, request, match.type)
    sent_id = new.resource.get("id")
    async with context.backend.conditional_lock(match.type):
        found = await _matched(context, request, match, "conditional-update")
        if found:
            id = found[0].id
            new.resource.setdefault("id", id)
            _check_id(new, match.type, id)
        elif sent_id is None:
            writing.check_expected(if_match(request), None)
            write = _compose_create(context, request, match.type, new, "conditional-update")
            await context.backend.commit(Commit((write,)))
            return stored(context.backend.base_url, request, write, 201)
        else:
            id = sent_id if isinstance(sent_id, str) and is_id(sent_id) else ""
            _check_id(new, match.type, id)
        return await _update(context, request, match.type, id, new, "conditional-update")


async def conditional_delete(context: Context, request: FhirRequest, match: Match) -> FhirResponse:
    """Delete of the one match; 204 if nothing matches, 412 if more than one does."""
    async with context.backend.conditional_lock(match.type):
        found = await _matched(context, request, match, "conditional-delete")
        id = found[0].id if found else ""
        return await _delete(context, request, match.type, id, "conditional-delete")


async def _matched(context: Context, request: FhirRequest, match: Match, interaction: str) -> list[Version]:
    """The match of a conditional write, if there is one: whatever becomes of the write, the caller learns of it."""
    criteria = conditional.criteria_of(request)
    with context.backend.snapshot() as snapshot:
        asking = ask(context, request, snapshot)
        found, decision = conditional.find(asking, match.type, criteria, interaction)
    charts = leaving(found[0]) if found else {}
    await record(asking, decision, "search", f"{match.type}?{criteria}", charts)
    return found
