"""What the writer hands to a person over `/api`: receipts and exports of what they may see, with their entry in the log.

The commands of the same name on the command line are the operator's and ask no one; here the caller's token decides, by
`decide`. Nothing leaves before its access entry is durable, and under the head that is shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import msgspec

from careledger.access.decision import Decision
from careledger.fhir.asking import Asking
from careledger.fhir.auditlog import judge_log
from careledger.fhir.authority import Denied, judge, judge_whole, record_entries
from careledger.fhir.visibility import seen_versions
from careledger.node import exports, proofs
from careledger.node.callers import Caller, Packed, absent, demand, unpack
from careledger.node.consents import read_params
from careledger.node.cosigned import WANTED_MAX
from careledger.node.spools import Spool
from careledger.primitives.errors import Invalid, NotFound
from careledger.vault.model import (
    CONTROLLER_TYPE,
    DIRECTIVE_TYPE,
    EMERGENCY_TYPE,
    HOUSE_CHART,
    KEY_EVENT_TYPE,
    AccessEntry,
    Row,
    Version,
)

if TYPE_CHECKING:
    from careledger.node.commands import CommandContext, Progress

STANDS_FOR: Final = {
    DIRECTIVE_TYPE: "Consent",
    CONTROLLER_TYPE: "Consent",
    EMERGENCY_TYPE: "AuditEvent",
    KEY_EVENT_TYPE: "AuditEvent",
}
"""Leaves that are no FHIR resources, and of which type one must be allowed to see all in order to see them."""
OWN: Final = "own-chart"
WHOLE: Final = ("everything", "proof")
"""What an export of a chart needs, of every type in it."""


Wanted = Annotated[list[str], msgspec.Meta(max_length=WANTED_MAX)]
"""Witnesses whose lines the reader knows: their public keys as trust files write them, or `all`."""


class ReceiptParams(msgspec.Struct, forbid_unknown_fields=True):
    """Of which version, who asks, and whose lines shall be in its note."""

    caller: Packed
    reference: str
    witnesses: Wanted = []


class ExportParams(msgspec.Struct, forbid_unknown_fields=True):
    """Of whose chart, and who asks. `whole`: the records too, not the access log alone. `since`: the size of a checkpoint
    that the export shall continue, 0 for none but those that the node remembers."""

    caller: Packed
    patient: str
    whole: bool
    since: int = 0
    witnesses: Wanted = []


class PieceParams(msgspec.Struct, forbid_unknown_fields=True):
    """Which piece of a spooled export."""

    spool: str
    number: int


class SpoolParams(msgspec.Struct, forbid_unknown_fields=True):
    """Which spooled export."""

    spool: str


async def receipt(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The receipt of one version that the caller may have proof of. Raises NotFound, NotPermitted, Unavailable."""
    asked = read_params(params, ReceiptParams)
    caller = unpack(asked.caller)
    type, id, number = proofs.parse_reference(asked.reference)
    what = f"{type}/{id}" if number is None else f"{type}/{id}/_history/{number}"
    context = node.fhir.context
    with node.reader.snapshot() as snapshot:
        version = snapshot.current(type, id) if number is None else snapshot.version(type, id, number)
        asking = caller.look(context, snapshot, f"receipts/{what}")
        decision = judge(asking, "proof", type, version)
        place = None if version is None or version.erased else _place(asking, version)
        entries = record_entries(asking, decision, "receipt", what, {place[0]: [place[1]]} if place else {})
    if not decision.permit:
        await caller.refuse(context, decision, f"receipts/{what}")
    if place is None:
        await context.backend.log_access(entries)
        raise absent() if version is None else _erased()
    async with node.sequencer.shown(lambda: entries):
        with node.reader.snapshot() as snapshot:
            file, size = proofs.make_leaf_receipt(node.home, snapshot, *place), node.home.height + 1
    cosigned = node.witnesses.cosigned
    note = await cosigned.cover(size) if cosigned.wants(asked.witnesses) else None
    if note is not None:
        file = proofs.with_note(node.home, file, cosigned.narrow(note, asked.witnesses))
    return {"file": file.decode()}


def _place(asking: Asking, version: Version) -> tuple[int, int]:
    """The leaf that is shown: in the caller's own chart, where it is one of several. A receipt names its chart."""
    for chart, leaf in version.links:
        if chart == asking.own:
            return chart, leaf
    return version.chart, version.leaf


def _erased() -> NotFound:
    return NotFound("this version was erased", hint="receipts made before stay valid", code="erased")


# ---- Exports ------------------------------------------------------------------------------------------------


async def export(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """An export, sealed and ready to be taken piece by piece; `spool` names it. It is kept some minutes.

    The chart is given whole or not at all: a verifier must be able to see that nothing is missing. So whoever may not
    see something of it gets none, as if there were no such chart. Raises NotFound, NotPermitted, Invalid, Unavailable.
    """
    asked = read_params(params, ExportParams)
    caller = unpack(asked.caller)
    what = f"Patient/{asked.patient}" if asked.whole else f"Patient/{asked.patient} access log"
    with node.reader.snapshot() as snapshot:
        chart = snapshot.chart_of(asked.patient)
    if chart is None:
        await tell_absent(node, caller, what)
    spool = node.spools.open(caller.actor.account or caller.actor.token_id)
    try:
        view = await _take(node, caller, chart, what, asked)
        write = asyncio.get_running_loop().run_in_executor(None, _write, view, spool)
        await asyncio.shield(write)
    except Denied as denied:
        node.spools.close(spool.id)
        await caller.refuse(node.fhir.context, denied.decision, what)
    except BaseException:
        node.spools.close(spool.id)
        raise
    return {"spool": spool.id, "bytes": spool.size, "pieces": spool.pieces}


async def tell_absent(node: CommandContext, caller: Caller, what: str) -> NoReturn:
    """There is no such chart: entered in the house's log, then raised. Raises NotFound, NotPermitted."""
    context = node.fhir.context
    with node.reader.snapshot() as snapshot:
        asking = caller.look(context, snapshot, what)
        decision = judge_whole(asking, "everything", "Patient")
        entries = record_entries(asking, decision, "export", what, {}) if decision.permit else ()
    if not decision.permit:
        await caller.refuse(context, decision, what)
    await context.backend.log_access(entries)
    raise absent()


async def _take(
    node: CommandContext, caller: Caller, chart: int, what: str, asked: ExportParams
) -> exports.View:
    """The view, decided and entered at its very moment. Raises Denied, Invalid."""
    whole, since = asked.whole, (asked.since,) if asked.since else ()
    if asked.since > node.home.height + 1:
        raise Invalid("that checkpoint is later than the newest block", hint="ask its node", code="parameter")

    def compose() -> tuple[AccessEntry, ...]:
        with node.reader.snapshot() as snapshot:
            asking = caller.look(node.fhir.context, snapshot, what)
            decision = judge_export(asking, chart, whole=whole)
            size = exports.count_entries(node.home, chart) if whole else 0
            return record_entries(asking, decision, "export", what, {chart: list(range(size))})

    def take() -> exports.View:
        return exports.take_view(node, chart, since, whole=whole)

    async with node.sequencer.steady:
        view = await _take_cosigned(node, asked.witnesses, compose, take)
        if view is None:
            async with node.sequencer.shown(compose):
                view = take()
        return view


async def _take_cosigned(
    node: CommandContext,
    wanted: Sequence[str],
    compose: Callable[[], tuple[AccessEntry, ...]],
    take: Callable[[], exports.View],
) -> exports.View | None:
    """The view under its own checkpoint, with what those witnesses signed of it in time; None if nothing was taken yet."""
    cosigned = node.witnesses.cosigned
    taken: list[exports.View] = []
    if not cosigned.wants(wanted):
        return None
    try:
        note = await cosigned.take(compose, lambda: taken.append(take()))
    except BaseException:
        for view in taken:
            view.close()
        raise
    if taken and note is not None:
        exports.sign_with(taken[0], cosigned.narrow(note, wanted))
    return taken[0] if taken else None


def _write(view: exports.View, spool: Spool) -> None:
    try:
        exports.write_export(view, spool, lambda _step: None)
        spool.finish()
    finally:
        view.close()


async def piece(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """One piece of a spooled export. Raises NotFound for what is not kept any more."""
    asked = read_params(params, PieceParams)
    spool = node.spools.get(asked.spool)
    return {"data": await asyncio.to_thread(spool.read, asked.number)}


async def drop(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The spooled export is not needed any more."""
    node.spools.close(read_params(params, SpoolParams).spool)
    return {}


def judge_export(asking: Asking, chart: int, *, whole: bool) -> Decision:
    """The decision on a chart's access log and, for the `whole`, on every version in it. Raises Denied."""
    if chart == HOUSE_CHART:
        raise Invalid("the house's own chart is the operator's", hint="careledger chart export house")
    decision = demand(judge_log(asking, "search", chart))
    if not whole:
        return decision
    rows: dict[str, list[Row]] = {"Patient": [], "Consent": [], "AuditEvent": []}
    for row in asking.snapshot.rows(chart):
        if not row.moved:
            rows.setdefault(row.type, []).append(row)
    for type in sorted(rows):
        for interaction in WHOLE:
            demand(judge_whole(asking, interaction, STANDS_FOR.get(type, type)))
            _demand_all(asking, interaction, chart, type, rows[type])
    return asking.ruled[chart]


def _demand_all(asking: Asking, interaction: str, chart: int, type: str, rows: Iterable[Row]) -> None:
    """Every version of the type in the chart is the caller's to see. Raises Denied."""
    seen = seen_versions(asking, interaction, chart, STANDS_FOR.get(type, type))
    part = asking.partition(interaction, STANDS_FOR.get(type, type), chart, asking.patients_in(chart))
    if seen is None:
        demand(asking.decision(part.otherwise, part.directive))
        return
    if type in STANDS_FOR:
        for condition in part.of_type(STANDS_FOR[type]).conditions:
            demand(asking.decision(condition.rule, condition.directive))
        return
    if part.otherwise == OWN and not part.conditions:
        return  # what stands in her chart is hers, wherever else it stands or has gone
    for row in rows:
        if not seen(row):
            version = asking.snapshot.version(row.type, row.id, row.version)
            demand(judge(asking, interaction, type, version))
            raise Denied(asking.decision("no-directive"))
