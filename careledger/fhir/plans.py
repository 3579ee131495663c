"""Planning the writes of a Bundle: who becomes what, in which order, and one Commit for all.

R4 http.html#trules. DELETE, then POST, then PUT; no resource twice; every entry authorised singly. Planning reads,
and works in slices; nothing is written until the whole plan stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from careledger.access.decision import Decision
from careledger.access.scopes import is_narrowed
from careledger.fhir import conditional, json, writing
from careledger.fhir.asking import Asking, ask, at_view
from careledger.fhir.authority import ByChart, Unseen, demand_scope, leaving, merge
from careledger.fhir.bundleform import Address, Entry, EntryRequest
from careledger.fhir.charts import patients_of
from careledger.fhir.context import Context
from careledger.fhir.freshid import fresh_id
from careledger.fhir.links import Links
from careledger.fhir.messages import FhirRequest
from careledger.fhir.ownentries import mark_new
from careledger.fhir.preferences import expected_version
from careledger.fhir.refusals import InEntry, Refused
from careledger.fhir.slices import Slices
from careledger.primitives.errors import CareLedgerError
from careledger.vault.model import ResourceWrite, Snapshot, Version

ORDER = {"DELETE": 0, "POST": 1, "PUT": 2}
_INTERACTIONS = {"DELETE": "delete", "POST": "create", "PUT": "update"}


@dataclass(slots=True)
class Step:
    """One writing entry: what it addresses, then what it became."""

    number: int  # place in the Bundle
    method: str
    entry: Entry
    sent: EntryRequest
    address: Address
    id: str = ""  # "" until it is known; a DELETE that matches nothing keeps it
    found: Version | None = None  # the one match of a condition
    write: ResourceWrite | None = None
    status: int = 0
    identifiers: tuple[str, ...] = ()  # of what a batch's entry creates: `system|value`, casefolded

    @property
    def condition(self) -> str:
        """The criteria that decide which resource is meant, "" if the entry has none."""
        return self.sent.ifNoneExist or "" if self.method == "POST" else self.address.query

    @property
    def conditional(self) -> bool:
        if self.method == "POST":
            return self.sent.ifNoneExist is not None
        return not self.address.id

    @property
    def interaction(self) -> str:
        verb = _INTERACTIONS[self.method]
        return "conditional-" + verb if self.conditional else verb


class Plan:
    """The writes of some steps, made over one or more snapshots; optimistic versions guard what was read."""

    def __init__(self, context: Context, request: FhirRequest, *, transaction: bool) -> None:
        self._context = context
        self._request = request
        self._author = writing.author_of(request)
        self._allowed: set[tuple[str, str, tuple[str, ...]]] = set()
        self._resolved: dict[str, str] = {}
        self._asking: Asking | None = None
        self._base = context.backend.base_url
        self.links = Links(self._find_reference)
        self.time_ms = context.backend.now_ms()
        self.touched: ByChart = {}
        self.found: tuple[Asking, Decision] | None = None  # what conditions were decided by
        self.unseen: list[tuple[str, Decision]] = []  # deletions that are answered as if there was nothing
        self.transaction = transaction

    async def make(self, steps: Sequence[Step], slices: Slices) -> None:
        """Identify, link and compose every step, all or nothing. Raises InEntry at the first that cannot be."""
        await self._each(steps, self.identify, slices)
        seen = Seen()
        for step in steps:
            seen.add(step)
            self.link(step)
            if slices.due():
                await slices.rest()
        ordered = sorted(steps, key=lambda step: ORDER[step.method])
        await self._each(ordered, self.compose, slices)

    async def _each(self, steps: Sequence[Step], act: Callable[[Asking, Step], None], slices: Slices) -> None:
        position = 0
        while position < len(steps):
            with self._context.backend.snapshot() as snapshot:
                asking = self._asking = self._ask(snapshot)
                while position < len(steps):
                    step = steps[position]
                    try:
                        act(asking, step)
                    except CareLedgerError as error:
                        raise InEntry(step.number, error) from error
                    position += 1
                    if slices.due():
                        break
                self._asking = None
            if slices.due():
                await slices.rest()

    def _ask(self, snapshot: Snapshot) -> Asking:
        """The request at this view; what earlier views were decided by is kept for the access log."""
        if self.found is not None:
            return at_view(self.found[0], snapshot)
        return ask(self._context, self._request, snapshot)

    def identify(self, asking: Asking, step: Step) -> None:
        """Settle which resource is meant. Raises Counted(412) for a condition that matches more than one."""
        demand_scope(self._context, self._request, step.interaction, step.address.type)
        step.write, step.found, step.status = None, None, 0
        if not step.conditional:
            step.id = step.id if step.method == "POST" and step.id else step.address.id or fresh_id()
            return
        matches, decision = conditional.find(asking, step.address.type, step.condition, step.interaction)
        self.found = (asking, decision)
        if matches:
            step.found = matches[0]
            step.id = step.found.id
            merge(self.touched, leaving(step.found))
        elif step.method == "POST":
            step.id = fresh_id()
        elif step.method == "PUT":
            step.id = _id_sent(step) or fresh_id()
        else:
            step.id = ""

    def link(self, step: Step) -> None:
        """Let the other entries refer to this one by its fullUrl."""
        full_url = step.entry.fullUrl
        if self.transaction and full_url and step.id and step.method != "DELETE":
            try:
                self.links.add(full_url, f"{step.address.type}/{step.id}")
            except Refused as error:
                raise InEntry(step.number, error) from error

    def compose(self, asking: Asking, step: Step) -> None:
        """Make the write of one step, or find that it needs none."""
        if step.method == "POST":
            self._compose_create(asking, step)
        elif step.method == "PUT":
            self._compose_update(asking, step)
        else:
            self._compose_delete(asking, step)

    def _compose_create(self, asking: Asking, step: Step) -> None:
        type = step.address.type
        if step.found is not None:
            step.status = 200
            return
        new = mark_new(asking.actor, self._received(step))
        resource = new.resource
        resource["id"] = step.id
        patients = patients_of(resource, self._base)
        key = (step.interaction, type, patients)
        if key not in self._allowed:
            writing.allow_new(asking, step.interaction, type, patients, resource)
            if not is_narrowed(asking.actor.scopes, step.interaction, type):  # else each is decided by itself
                self._allowed.add(key)
        step.write = writing.compose(type, step.id, new, 0, self.time_ms, patients, self._author, self._base)
        step.status = 201
        if not self.transaction:
            step.identifiers = _identifiers(resource)

    def _compose_update(self, asking: Asking, step: Step) -> None:
        new = self._received(step)
        resource = new.resource
        sent_id = resource.get("id")
        if sent_id is None and step.conditional:
            resource["id"] = step.id
        elif sent_id != step.id:
            raise Refused(
                400, "invalid", "The id in the resource is not the id in the url.", where="resource.id"
            )
        expected = expected_version(step.sent.ifMatch, step.sent.ifNoneMatch)
        step.write = writing.compose_update(
            asking, step.address.type, step.id, new, expected, step.interaction, self.time_ms
        )
        step.status = writing.status_of_update(step.write)

    def _compose_delete(self, asking: Asking, step: Step) -> None:
        step.status = 204
        expected = expected_version(step.sent.ifMatch, None)
        try:
            step.write = writing.compose_delete(
                asking, step.address.type, step.id, expected, step.interaction, self.time_ms
            )
        except Unseen as unseen:
            if unseen.refused is not None:
                raise
            self.unseen.append((f"DELETE {step.address.type}/{step.id}", unseen.decision))

    def _received(self, step: Step) -> json.Received:
        if not step.entry.resource:
            raise Refused(400, "required", "The entry has no resource.", where="resource")
        raw = bytes(step.entry.resource)
        # A stored Bundle (document, message) has urns of its own: its links are left alone.
        new = (
            json.receive(raw)
            if step.address.type == "Bundle"
            else self.links.load(raw, step.entry.fullUrl or "")
        )
        writing.check_type(new.resource, step.address.type)
        writing.check(new.resource)
        return new

    def _find_reference(self, reference: str) -> str:
        """What `Type?criteria` refers to: exactly one resource that the caller may find (R4 http.html#trules)."""
        found = self._resolved.get(reference)
        if found is None:
            asking = self._asking
            if asking is None:
                raise RuntimeError("a conditional reference is resolved outside a plan")
            version, decision = conditional.resolve(asking, reference)
            merge(self.touched, leaving(version))
            self.found = (asking, decision)
            found = self._resolved[reference] = f"{version.type}/{version.id}"
        return found


class Seen:
    """R4: no resource may appear twice among the writes of a transaction."""

    def __init__(self) -> None:
        self._resources: set[tuple[str, str]] = set()
        self._conditions: set[tuple[str, str]] = set()

    def add(self, step: Step) -> None:
        """Raises InEntry(400) if an earlier entry means the same resource, or asks the same condition."""
        resource = (step.address.type, step.id)
        condition = (step.address.type, unquote(step.condition)) if step.conditional else None
        if (step.id and resource in self._resources) or condition in self._conditions:
            raise InEntry(
                step.number,
                Refused(400, "invalid", "Two entries write one resource.", hint="Send them in two Bundles."),
            )
        self._resources.add(resource)
        if condition is not None:
            self._conditions.add(condition)


def _id_sent(step: Step) -> str:
    resource = json.loads(bytes(step.entry.resource)) if step.entry.resource else {}
    sent = resource.get("id")
    return sent if isinstance(sent, str) else ""


def _identifiers(resource: writing.Resource) -> tuple[str, ...]:
    found = resource.get("identifier")
    return tuple(
        f"{item.get('system', '')}|{item.get('value', '')}".casefold()
        for item in (found if isinstance(found, list) else [found])
        if isinstance(item, dict)
    )
