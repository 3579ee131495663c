"""Batch and transaction Bundles at the base (R4 http.html#transaction).

A transaction is one Commit: all of it becomes durable, or nothing. A batch's entries stand alone; its writes are
committed in groups only to save syncs, and one that collides is repeated alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from careledger.fhir import rejections
from careledger.fhir.authority import TokenRevoked, check_standing, record_entries, refusal_entries
from careledger.fhir.bundleform import Entry, EntryRequest, Form, address, read_form
from careledger.fhir.context import Context
from careledger.fhir.messages import FhirRequest, FhirResponse
from careledger.fhir.plans import Plan, Step
from careledger.fhir.preferences import check_content_type, prefer
from careledger.fhir.refusals import InEntry, Refused
from careledger.fhir.rejections import refuse
from careledger.fhir.responses import FHIR_JSON, answered_entry, written_entry
from careledger.fhir.slices import Slices
from careledger.primitives.errors import CareLedgerError, Conflict, Unavailable
from careledger.vault.model import AccessEntry, Commit

Dispatch = Callable[[Context, FhirRequest], Awaitable[FhirResponse]]
"""Answers any request, errors included: how the reading entries of a Bundle are served."""

BATCH_GROUP = 256
"""Writes of a batch that share one commit at most."""
_NOTHING_DONE = b'{"response":{"status":"503'
_WRITES = frozenset({"POST", "PUT", "DELETE"})
_READS = frozenset({"GET", "HEAD"})


@dataclass(slots=True)
class Room:
    """What the reads of a Bundle may still answer: a small Bundle can ask for a large chart many thousand times."""

    left: int

    def check(self) -> None:
        """Raise Refused(413) once there is no room left; the read is then neither made nor logged."""
        if self.left <= 0:
            raise Refused(
                413,
                "too-costly",
                "What this Bundle reads is too much for one answer.",
                hint="Send this entry again in another Bundle.",
            )

    def take(self, answer: bytes) -> bytes:
        self.left -= len(answer)
        return answer


async def bundle(context: Context, request: FhirRequest, dispatch: Dispatch) -> FhirResponse:
    """Process a posted Bundle. 200 with a response Bundle; a transaction that fails is answered as its first error."""
    check_content_type(request)
    slices = Slices(context.limits.slice_ms)
    form = await read_form(request.body, context.limits.bundle_entries_max, slices)
    await slices.rest()
    room = Room(context.limits.bundle_answer_bytes)
    if form.type == "transaction":
        entries = await _transaction(context, request, form, dispatch, slices, room)
    else:
        entries = await _batch(context, request, form, dispatch, slices, room)
    head = b'{"resourceType":"Bundle","type":"%s-response"' % form.type.encode()
    body = head + (b',"entry":[' + b",".join(entries) + b"]}" if entries else b"}")
    return FhirResponse(200, [FHIR_JSON], body)


async def _transaction(
    context: Context, request: FhirRequest, form: Form, dispatch: Dispatch, slices: Slices, room: Room
) -> list[bytes]:
    writes, reads = await _sort(context, form, slices)
    async with conditional_locks(context, writes):
        await _commit(context, request, writes, slices, transaction=True)
    returns = prefer(request).returns
    answers: dict[int, bytes] = {}
    for step in writes:
        answers[step.number] = _written(context, step, returns, room)
        if slices.due():
            await slices.rest()
    try:
        for number, entry_request in reads:
            await _pause(context, request, slices)
            answers[number] = await _read(context, request, entry_request, b"", dispatch, room)
    except TokenRevoked as revoked:
        said = answered_entry(rejections.answer(revoked))
        return [answers.get(number, said) for number in range(len(form.entry))]
    return [answers[number] for number in range(len(form.entry))]


async def _pause(context: Context, request: FhirRequest, slices: Slices) -> None:
    """Where a slice is over: let others run, and see whether the token still holds. Raises TokenRevoked."""
    if slices.due():
        await slices.rest()
        check_standing(context, request)


async def _commit(
    context: Context, request: FhirRequest, steps: Sequence[Step], slices: Slices, *, transaction: bool
) -> None:
    """Plan and commit all steps; plan again if somebody else was faster. Raises Refused(409) after some attempts."""
    for _ in range(context.limits.retries):
        plan = Plan(context, request, transaction=transaction)
        await plan.make(steps, slices)
        try:
            await commit_plan(context, request, plan, steps)
        except Conflict:
            continue
        return
    raise Refused(409, "conflict", "Others keep changing what this Bundle writes.", hint="Send it again.")


async def _read(
    context: Context, request: FhirRequest, sent: EntryRequest, body: bytes, dispatch: Dispatch, room: Room
) -> bytes:
    """One entry served as a request of its own, while there is room for its answer."""
    try:
        room.check()
    except Refused as refused:
        return answered_entry(await refuse(context, request, refused))
    response = await dispatch(context, _sub_request(context, request, sent, body))
    return room.take(answered_entry(response))


def _written(context: Context, step: Step, returns: str, room: Room) -> bytes:
    body = b""
    if returns == "representation" and step.found is not None and step.write is None and room.left > 0:
        with context.backend.snapshot() as snapshot:
            body = room.take(snapshot.body(step.found))
    return written_entry(step.write, step.found, step.status, returns, body)


async def commit_plan(context: Context, request: FhirRequest, plan: Plan, steps: Sequence[Step]) -> None:
    """One Commit: every write, and the access entries for what conditions matched and what was not to be deleted.

    Planning may have taken long: raises TokenRevoked, with nothing written, if the token does not hold any more.
    """
    check_standing(context, request)
    writes = tuple(step.write for step in steps if step.write is not None)
    accesses: tuple[AccessEntry, ...] = ()
    if plan.found is not None:
        accesses = record_entries(*plan.found, "search", "conditions of a Bundle", plan.touched)
    if plan.unseen:  # one entry a Commit, as a read makes one: it names as many as it has room for
        what = ", ".join(name for name, _ in plan.unseen)
        accesses += refusal_entries(context, request, plan.unseen[0][1], "denied", what)
    if writes or accesses:
        await context.backend.commit(Commit(writes, accesses))


async def _sort(
    context: Context, form: Form, slices: Slices
) -> tuple[list[Step], list[tuple[int, EntryRequest]]]:
    writes: list[Step] = []
    reads: list[tuple[int, EntryRequest]] = []
    for number, entry in enumerate(form.entry):
        try:
            sent = _request_of(entry)
            if sent.method in _WRITES:
                writes.append(step_of(context, number, entry, sent))
            else:
                address(sent.url, context.backend.base_url, context.types)
                reads.append((number, sent))
        except CareLedgerError as error:
            raise InEntry(number, error) from error
        if slices.due():
            await slices.rest()
    return writes, reads


def _request_of(entry: Entry) -> EntryRequest:
    sent = entry.request
    if sent is None or not sent.url:
        raise Refused(400, "required", "The entry has no request with method and url.", where="request")
    if sent.method not in _WRITES and sent.method not in _READS:
        raise Refused(
            400 if sent.method not in ("PATCH",) else 501,
            "not-supported",
            "The entry's method is not GET, POST, PUT or DELETE.",
            where="request.method",
        )
    return sent


def step_of(context: Context, number: int, entry: Entry, sent: EntryRequest) -> Step:
    """The step of a writing entry. Raises Refused(400) for a url that its method does not take."""
    place = address(sent.url, context.backend.base_url, context.types)
    if sent.method == "POST":
        usable = len(place.path) == 1 and not place.query
    else:
        usable = bool(place.id) if len(place.path) == 2 else len(place.path) == 1 and bool(place.query)
    if not usable:
        raise Refused(400, "value", "The entry's url does not go with its method.", where="request.url")
    return Step(number, sent.method, entry, sent, place)


@asynccontextmanager
async def conditional_locks(context: Context, steps: Sequence[Step]) -> AsyncIterator[None]:
    """Hold every type that a condition decides on, in the order of names, so that two Bundles never wait crosswise."""
    async with AsyncExitStack() as stack:
        for type in sorted({step.address.type for step in steps if step.conditional}):
            await stack.enter_async_context(context.backend.conditional_lock(type))
        yield


async def _batch(
    context: Context, request: FhirRequest, form: Form, dispatch: Dispatch, slices: Slices, room: Room
) -> list[bytes]:
    """Once the token is revoked, what was done stays done, and every entry after it is answered with 401."""
    answers: list[bytes] = []
    group: list[Entry] = []
    try:
        for entry in form.entry:
            if entry.request is not None and entry.request.method in _WRITES:
                group.append(entry)
                if len(group) < BATCH_GROUP:
                    continue
            await _batch_group(context, request, group, dispatch, slices, room, answers)
            group = []
            if entry.request is None or entry.request.method not in _WRITES:
                answers.append(await _alone(context, request, entry, dispatch, slices, room))
        await _batch_group(context, request, group, dispatch, slices, room, answers)
    except TokenRevoked as revoked:
        answers += [answered_entry(rejections.answer(revoked))] * (len(form.entry) - len(answers))
    if answers and all(answer.startswith(_NOTHING_DONE) for answer in answers):
        raise Unavailable("The node cannot do this now.", hint="Send the Bundle again later.")
    return answers


async def _batch_group(
    context: Context,
    request: FhirRequest,
    group: Sequence[Entry],
    dispatch: Dispatch,
    slices: Slices,
    room: Room,
    answers: list[bytes],
) -> None:
    """Write a group in one commit if no entry bears on another and none fails; otherwise each alone."""
    if len(group) > 1:
        try:
            steps = [
                step_of(context, number, entry, _request_of(entry)) for number, entry in enumerate(group)
            ]
            async with conditional_locks(context, steps):
                plan = Plan(context, request, transaction=False)
                await plan.make(steps, slices)
                refuse_overlap(steps)
                await commit_plan(context, request, plan, steps)
            returns = prefer(request).returns
            answers += [_written(context, step, returns, room) for step in steps]
            return
        except TokenRevoked:
            raise
        except CareLedgerError:
            pass  # One of them fails or collides: only alone does each get its own outcome.
    for entry in group:
        answers.append(await _alone(context, request, entry, dispatch, slices, room))


def refuse_overlap(steps: Sequence[Step]) -> None:
    """Raise Conflict if a condition could match what another entry of the group writes: order would matter."""
    conditional = {step.address.type for step in steps if step.conditional}
    written: set[tuple[str, str]] = set()
    asked: set[tuple[str, str]] = set()
    for step in steps:
        type = step.address.type
        if type not in conditional or (step.status == 200 and step.write is None):
            continue
        own = {(type, identifier) for identifier in step.identifiers}
        key = (type, plain_identifier(step.condition))
        if step.method != "POST" or not key[1] or key in written or own & (written | asked):
            raise Conflict("entries of a batch bear on each other")
        written |= own
        asked.add(key)


def plain_identifier(criteria: str) -> str:
    """`system|value` of a condition that asks for exactly one identifier, else ""."""
    name, _, value = criteria.partition("=")
    system, bar, code = value.partition("|")
    return (
        unquote(value).casefold()
        if name == "identifier" and bar and system and code and not set("&,\\") & set(value)
        else ""
    )


async def _alone(
    context: Context, request: FhirRequest, entry: Entry, dispatch: Dispatch, slices: Slices, room: Room
) -> bytes:
    """One entry of a batch with its own outcome, whatever becomes of the others. Raises TokenRevoked."""
    await _pause(context, request, slices)
    try:
        sent = _request_of(entry)
        if sent.method in _READS or (
            len(address(sent.url, context.backend.base_url, context.types).path) > 1
            and (sent.method == "POST")
        ):
            return await _read(context, request, sent, bytes(entry.resource), dispatch, room)
        steps = [step_of(context, 0, entry, sent)]
        async with conditional_locks(context, steps):
            await _commit(context, request, steps, slices, transaction=False)
        return _written(context, steps[0], prefer(request).returns, room)
    except TokenRevoked:
        raise
    except InEntry as error:
        return answered_entry(await refuse(context, request, error.cause))
    except CareLedgerError as error:
        return answered_entry(await refuse(context, request, error))


def _sub_request(context: Context, request: FhirRequest, sent: EntryRequest, body: bytes) -> FhirRequest:
    """The entry as a request of its own, with the caller and the preferences of the Bundle."""
    path, _, query = sent.url.removeprefix(context.backend.base_url).lstrip("/").partition("?")
    headers: dict[bytes, bytes] = {
        name: request.headers[name] for name in (b"prefer", b"accept") if name in request.headers
    }
    headers[b"content-type"] = b"application/fhir+json"
    for name, value in (
        (b"if-match", sent.ifMatch),
        (b"if-none-match", sent.ifNoneMatch),
        (b"if-modified-since", sent.ifModifiedSince),
        (b"if-none-exist", sent.ifNoneExist),
    ):
        if value is not None:
            headers[name] = value.encode()
    return FhirRequest(
        "GET" if sent.method == "HEAD" else sent.method,
        tuple(unquote(part) for part in path.split("/")),
        parse_qsl(query, keep_blank_values=True),
        headers,
        body,
        request.actor,
        request.request_id,
    )
