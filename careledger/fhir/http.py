"""From a request to an answer: find the interaction, let it act, turn refusals into OperationOutcomes.

FHIR R4 http.html. Nothing else in the program knows how FHIR paths look.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import MappingProxyType

from careledger.fhir import auditlog, bundles, freshness, histories, interactions, searches
from careledger.fhir.asking import actor_of
from careledger.fhir.authority import demand_scope
from careledger.fhir.backend import Backend
from careledger.fhir.capability import Capability
from careledger.fhir.chartorder import ChartOrders
from careledger.fhir.context import Context, Limits
from careledger.fhir.definitions import definitions
from careledger.fhir.messages import FhirRequest, FhirResponse
from careledger.fhir.operations.emergency_access import emergency_access
from careledger.fhir.operations.everything import everything
from careledger.fhir.operations.validate import validate
from careledger.fhir.preferences import check_accept
from careledger.fhir.rejections import refuse
from careledger.fhir.routes import Match, match
from careledger.fhir.search.chartindex import ChartIndexCache
from careledger.primitives.errors import CareLedgerError

Handler = Callable[[Context, FhirRequest, Match], Awaitable[FhirResponse]]

HANDLERS: MappingProxyType[str, Handler] = MappingProxyType(
    {
        "read": interactions.read,
        "vread": interactions.vread,
        "create": interactions.create,
        "update": interactions.update,
        "delete": interactions.delete,
        "conditional_update": interactions.conditional_update,
        "conditional_delete": interactions.conditional_delete,
        "history_instance": histories.history_instance,
        "history_type": histories.history_type,
        "search": searches.search,
        "validate": validate,
        "everything": everything,
        "emergency_access": emergency_access,
    }
)
"""Interaction of the route table -> what does it. `capabilities` and `bundle` are FhirApp's own."""

AUDIT: MappingProxyType[str, Handler] = MappingProxyType(
    {"read": auditlog.read, "vread": auditlog.read, "search": auditlog.search}
)
"""The same for AuditEvent, where the access log is a view besides."""

SHOWING = frozenset(("read", "vread"))
"""Interactions that show one version: its level can be asked for."""


class FhirApp:
    """The FHIR interface of one node, in one process."""

    def __init__(
        self, backend: Backend, *, limits: Limits | None = None, chart_cache_max_bytes: int = 96 << 20
    ) -> None:
        self._capability = Capability(backend.base_url)
        self.context = Context(
            backend,
            ChartIndexCache(chart_cache_max_bytes),
            ChartOrders(),
            frozenset(definitions().resource_types),
            limits or Limits(),
        )

    def forget(self) -> None:
        """Something was erased: drop all that was opened of any chart."""
        self.context.charts.clear()
        self.context.orders.clear()
        self.context.standing.clear()

    async def handle(self, request: FhirRequest) -> FhirResponse:
        """Answer a request. Refusals are answers; any exception that leaves here is a defect."""
        if request.actor is None:
            return await self._dispatch(self.context, request)
        try:
            height = await freshness.reach(self.context, request)
        except CareLedgerError as error:
            return await refuse(self.context, request, error)
        answer = await self._dispatch(self.context, request)
        return freshness.mark(self.context, request, answer, height)

    async def _dispatch(self, context: Context, request: FhirRequest) -> FhirResponse:
        route = ""
        try:
            check_accept(request)
            found = match(request.method, request.path, context.types)
            route = found.route
            answer = await self._act(context, request, found)
        except CareLedgerError as error:
            answer = await refuse(context, request, error)
        return FhirResponse(answer.status, answer.headers, answer.body, route)

    async def _act(self, context: Context, request: FhirRequest, found: Match) -> FhirResponse:
        if found.interaction == "capabilities":
            return self._capability.answer(request)
        actor_of(request)
        if found.interaction == "bundle":
            return await bundles.bundle(context, request, self._dispatch)
        if found.type == "AuditEvent" and found.interaction in AUDIT:
            return await AUDIT[found.interaction](context, request, found)
        demand_scope(context, request, found.interaction.replace("_", "-"), found.type)
        answer = await HANDLERS[found.interaction](context, request, found)
        if found.interaction in SHOWING and freshness.LEVEL in request.headers:
            return freshness.tell_level(context, found, answer)
        return answer
