"""What a patient decides over `/api`: her directives shown, and grants and revocations taken from her own device.

`consents` checks what is handed in and sponsors it, as for the command line. Here the caller must be the patient herself
in her own chart; only her list is shown to others too, as far as they may see the Consents that stand for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from careledger.access.decision import Decision
from careledger.access.directives import Directive
from careledger.fhir.asking import Asking
from careledger.fhir.authority import judge, judge_new, judge_whole, record_entries
from careledger.node import consents, directives, names
from careledger.node.callers import Caller, Packed, absent, unpack
from careledger.node.consents import read_params
from careledger.node.directives import Held
from careledger.vault.model import Snapshot

if TYPE_CHECKING:
    from careledger.node.commands import CommandContext, Progress

OWN = "own-chart"
TYPE = "Consent"
KIND = "consents"


class ChartParams(msgspec.Struct, forbid_unknown_fields=True):
    """Whose chart, and who asks. `dids` and `practitioners` are asked for before a directive names them."""

    caller: Packed
    patient: str
    dids: list[str] = []
    practitioners: list[str] = []


class DirectiveParams(msgspec.Struct, forbid_unknown_fields=True):
    """Which directive of whose chart, and who asks."""

    caller: Packed
    patient: str
    id: str


class DecidedParams(msgspec.Struct, forbid_unknown_fields=True):
    """What her device made: the parameters of `consents.grant` or `consents.revoke`, but for whose chart it is."""

    caller: Packed
    patient: str
    decided: dict[str, Any]
    id: str = ""


async def show(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The directives of a chart, oldest first: all to herself, to others those whose Consent they may see."""
    asked = read_params(params, ChartParams)
    caller, what = unpack(asked.caller), f"{TYPE}?patient={asked.patient}"
    context = node.fhir.context
    with node.reader.snapshot() as snapshot:
        asking = caller.look(context, snapshot, what)
        decision = judge_whole(asking, "search", TYPE)
        chart = snapshot.chart_of(asked.patient)
        part = None if chart is None else asking.partition("search", TYPE, chart, asking.patients_in(chart))
        if part is not None and decision.permit:
            decision = asking.decision(part.otherwise, part.directive)
        if chart is None or not decision.permit:
            seen, shown, leaves = [], [], {}
        else:
            found = consents.list_held(snapshot, chart)
            seen = [(one, held) for one, held in found if _is_seen(asking, decision, snapshot, held)]
            shown = [_describe(node, snapshot, one, held) for one, held in seen]
            leaves = {chart: [held.version.leaf for _, held in seen]}
            asking.note(chart, decision)
        entries = record_entries(asking, decision, KIND, what, leaves)
        keys = directives.enrolled_keys(snapshot, chart) if chart is not None else []
    if not decision.permit:
        await caller.refuse(context, decision, what)
    await context.backend.log_access(entries)
    if chart is None:
        raise absent()
    herself = decision.rule == OWN
    return {"key": keys[-1].id if keys and herself else "", "directives": shown}


def _is_seen(asking: Asking, decision: Decision, snapshot: Snapshot, held: Held) -> bool:
    if decision.rule == OWN:
        return True
    shown = snapshot.current(TYPE, held.leaf.consent)
    return shown is not None and not shown.deleted and judge(asking, "search", TYPE, shown).permit


def _describe(node: CommandContext, snapshot: Snapshot, directive: Directive, held: Held) -> dict[str, Any]:
    text = directive.text
    said = names.names_of_text(snapshot, text, node.home.did)
    return consents.describe(directive, held) | {
        "language": text.language,
        "shown": text.shown,
        "names": dict(said),
    }


async def prepare(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """What her device must know to compose a grant; see `consents.prepare`."""
    asked = read_params(params, ChartParams)
    await _demand_herself(node, unpack(asked.caller), asked.patient, f"{TYPE}/prepare")
    wanted = {"patient": asked.patient, "dids": asked.dids, "practitioners": asked.practitioners}
    return await consents.prepare(node, wanted, progress)


async def prepare_revocation(
    node: CommandContext, params: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    """What her device must know to sign a revocation of a directive of hers."""
    asked = read_params(params, DirectiveParams)
    await _demand_herself(node, unpack(asked.caller), asked.patient, f"{TYPE}/prepare", asked.id)
    return await consents.prepare_revocation(node, {"id": asked.id}, progress)


async def grant(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The directive is in force when this returns; see `consents.grant`."""
    asked = read_params(params, DecidedParams)
    await _demand_herself(node, unpack(asked.caller), asked.patient, f"{TYPE}/grant")
    return await consents.grant(node, asked.decided | {"patient": asked.patient}, progress)


async def revoke(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The directive is without force when this returns; see `consents.revoke`."""
    asked = read_params(params, DecidedParams)
    await _demand_herself(node, unpack(asked.caller), asked.patient, f"{TYPE}/revoke", asked.id)
    return await consents.revoke(node, asked.decided | {"id": asked.id}, progress)


async def _demand_herself(
    node: CommandContext, caller: Caller, patient: str, what: str, id: str = ""
) -> None:
    """The caller is the patient in her own chart, who may write Consents; a directive named is one of this chart's.

    The look is entered in the chart's log. Raises NotPermitted, NotFound, Unavailable.
    """
    context = node.fhir.context
    with node.reader.snapshot() as snapshot:
        asking = caller.look(context, snapshot, what)
        chart = snapshot.chart_of(patient)
        request = caller.request(what)
        decision = judge_new(context, request, "create", TYPE, (patient,), asking.height, asking, None)
        if decision.permit and decision.rule != OWN:
            decision = asking.decision("scope")  # whoever treats her does not decide for her
        held = directives.directive(snapshot, id) if id else None
        entries = record_entries(asking, decision, KIND, what, {} if chart is None else {chart: []})
    if not decision.permit:
        await caller.refuse(context, decision, what)
    await context.backend.log_access(entries)
    if chart is None or (id and (held is None or held.version.chart != chart)):
        raise absent()
