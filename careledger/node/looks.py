"""Looks into a chart over `/api` that any worker can answer: its sizes, and who looked at it, in plain fields.

By the decisions and entries that FHIR's reads and `AuditEvent` have: nobody learns here what they would not there.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from careledger.access.decision import Decision
from careledger.contracts.identity import SUBJECTS
from careledger.fhir.asking import Asking
from careledger.fhir.audit import without_values
from careledger.fhir.auditlog import KIND, judge_log
from careledger.fhir.authority import judge, judge_whole, leaving, merge, record, record_entries
from careledger.fhir.context import Context
from careledger.fhir.json import loads
from careledger.node.callers import Caller, absent
from careledger.primitives.errors import Invalid
from careledger.primitives.types import parse_did
from careledger.vault.model import AccessEntry, Commit, Snapshot

COUNT_MAX: Final = 200
RESOURCES_MAX: Final = 20
"""Resources of an entry that are named; how many there were is always said."""
TYPE: Final = "AuditEvent"
_REFERENCE = re.compile(r"[A-Z][A-Za-z]{1,63}/[A-Za-z0-9\-.]{1,64}(/_history/[A-Za-z0-9\-.]{1,64})?")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much a chart holds, and how far the ledger is: nothing of what is in it."""

    records: int
    accesses: int
    height: int


def read_sizes(context: Context, caller: Caller, patient: str) -> tuple[Decision, Sizes | None]:
    """The decision on the patient's own resource, and the chart's sizes if it permits. Enters nothing."""
    with context.backend.snapshot() as snapshot:
        asking = caller.look(context, snapshot, _named(patient))
        chart = snapshot.chart_of(patient)
        decision = judge(asking, "read", "Patient", snapshot.current("Patient", patient))
        if chart is None or not decision.permit:
            return decision, None
        return decision, _sizes(snapshot, chart)


def peek(context: Context, patient: str) -> Sizes | None:
    """The sizes as they are, for who waits until they change: not to be told before it is decided again."""
    with context.backend.snapshot() as snapshot:
        chart = snapshot.chart_of(patient)
        return None if chart is None else _sizes(snapshot, chart)


def _sizes(snapshot: Snapshot, chart: int) -> Sizes:
    return Sizes(snapshot.record_count(chart), snapshot.access_count(chart), snapshot.ledger_height)


async def enter_watch(context: Context, caller: Caller, patient: str) -> None:
    """Enter in the chart's log that its sizes are watched. Raises Unavailable."""
    with context.backend.snapshot() as snapshot:
        asking = caller.look(context, snapshot, _named(patient))
        chart = snapshot.chart_of(patient)
        decision = judge(asking, "read", "Patient", snapshot.current("Patient", patient))
        charts: dict[int, list[int]] = {} if chart is None else {chart: []}
    await record(asking, decision, "watch", _named(patient), charts)


def _named(patient: str) -> str:
    return f"Patient/{patient}"


async def list_accesses(
    context: Context, caller: Caller, patient: str, before: int | None, count: int
) -> dict[str, Any]:
    """Entries of the access log below `before`, newest first; `next` says where the page after begins.

    For whom FHIR shows the same as AuditEvents; the look is entered in the log before it is answered. To the patient
    herself the values of a query are left out: they may name others.
    """
    if not 0 < count <= COUNT_MAX:
        raise Invalid(f"a page has 1 to {COUNT_MAX} entries", code="parameter")
    what = f"{TYPE}?patient={patient}"
    with context.backend.snapshot() as snapshot:
        asking = caller.look(context, snapshot, what)
        chart = snapshot.chart_of(patient)
        decision = judge_whole(asking, "search", TYPE)
        if decision.permit:
            decision = judge_log(asking, "search", chart)
        charts: dict[int, list[int]] = {} if chart is None else {chart: []}
        entries = record_entries(asking, decision, KIND, what, charts)
    if not decision.permit:
        await caller.refuse(context, decision, what)
    await context.backend.commit(Commit(accesses=entries))  # which also brings the index up to the log
    if chart is None:
        raise absent()
    with context.backend.snapshot() as snapshot:
        size = snapshot.access_count(chart)
        stop = size if before is None else max(0, min(before, size))
        start = max(0, stop - count)
        found = list(enumerate(snapshot.accesses(chart, start, stop), start))[::-1]
        asking = caller.look(context, snapshot, what)
        names = _Names(asking, snapshot)
        shown = [_show(asking, chart, index, entry, names) for index, entry in found]
    if names.charts:
        await record(asking, asking.decision(decision.rule), "include", "Practitioner", names.charts)
    return {"entries": shown, "total": size, "next": start or None}


class _Names:
    """Names of practitioners and organisations, as far as the caller may read them; `charts` are where from."""

    def __init__(self, asking: Asking, snapshot: Snapshot) -> None:
        self._asking = asking
        self._snapshot = snapshot
        self._known: dict[str, str] = {}
        self.charts: dict[int, list[int]] = {}

    def of_practitioner(self, id: str) -> str:
        """As the Practitioner resource says; '' where there is none to read."""
        if id not in self._known:
            self._known[id] = self._read(id)
        return self._known[id]

    def _read(self, id: str) -> str:
        version = self._snapshot.current("Practitioner", id)
        if version is None or version.deleted:
            return ""
        if not judge(self._asking, "include", "Practitioner", version).permit:
            return ""
        merge(self.charts, leaving(version))
        return _human(loads(self._snapshot.body(version)).get("name") or ())

    def of_organisation(self, did: str) -> str:
        """As the ledger says."""
        if did not in self._known:
            try:
                data = self._snapshot.state(SUBJECTS.state_key(parse_did(did)))
            except Invalid:
                data = None
            self._known[did] = "" if data is None else SUBJECTS.value.decode(data).name
        return self._known[did]


def _human(names: Iterable[Any]) -> str:
    for name in names:
        if isinstance(name, dict):
            text = name.get("text") or " ".join(
                map(str, [*(name.get("prefix") or ()), *(name.get("given") or ()), name.get("family") or ""])
            )
            if text.strip():
                return str(text).strip()[:200]
    return ""


def _show(asking: Asking, chart: int, index: int, entry: AccessEntry, names: _Names) -> dict[str, Any]:
    herself = asking.actor.patient_bound
    emergency = entry.kind == "emergency"
    what = "" if emergency else without_values(entry.what) if herself else entry.what
    return {
        "index": index,
        "time_ms": entry.time_ms,
        "who": {
            "id": entry.actor,
            "subject": entry.subject,
            "name": names.of_practitioner(entry.actor) if entry.subject else "",
            "roles": list(entry.roles),
        },
        "client": entry.client,
        "organisation": {"did": entry.organisation, "name": names.of_organisation(entry.organisation)},
        "purpose": entry.purpose,
        "action": entry.kind,
        "what": what,
        "reason": entry.what if emergency else "",
        "resources": _resources(asking, chart, entry, herself=herself),
        "versions": len(entry.leaves),
        "permitted": entry.permitted,
        "rule": entry.rule,
        "directives": list(entry.directives),
        "height": entry.height,
        "request": entry.request_id.hex(),
    }


def _resources(asking: Asking, chart: int, entry: AccessEntry, *, herself: bool) -> Sequence[str]:
    """Which resources left; beyond what the entry itself names, for the patient alone."""
    if not herself or not entry.leaves:
        return [entry.what] if _REFERENCE.fullmatch(entry.what) else []
    found: dict[str, None] = {}
    for leaf in entry.leaves[: 4 * RESOURCES_MAX]:
        named = _name_at(asking.snapshot, chart, leaf)
        if named and len(found) < RESOURCES_MAX:
            found[named] = None
    return list(found)


def _name_at(snapshot: Snapshot, chart: int, leaf: int) -> str:
    """Type and id of what stands at this place of the record log: rows are in its order, with gaps between them."""
    number = bisect_left(
        range(snapshot.row_count(chart)), leaf, key=lambda one: _leaf_of(snapshot, chart, one)
    )
    row = snapshot.row(chart, number)
    return f"{row.type}/{row.id}" if row is not None and row.leaf == leaf else ""


def _leaf_of(snapshot: Snapshot, chart: int, number: int) -> int:
    row = snapshot.row(chart, number)
    return -1 if row is None else row.leaf
