"""`/api` behind the HTTP shell: a literal table of what there is, what each demands, and who answers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from careledger.fhir.messages import FhirResponse
from careledger.node.config import Config
from careledger.node.worker import Answering
from careledger.primitives.errors import CareLedgerError, Unauthenticated
from careledger.smart.limits import Limiter, TooManyRequests
from careledger.web.api import charts, consents, ledger, me
from careledger.web.api.messages import JSON, ApiRequest
from careledger.web.api.parts import Found, Handler, Kept, Parts

TOKEN: Final = "access token"
EXPLORER: Final = "access token of a person; with `explorer.open` nobody: a ledger holds no patient's data"


@dataclass(frozen=True, slots=True)
class Route:
    """One thing at one address. `{…}` are segments of `A-Z a-z 0-9 - . _`, 1 to 128 long."""

    method: str
    path: str
    demand: str
    handler: Handler


ROUTES: Final = (
    Route("GET", "/api/me", TOKEN, me.show),
    Route("GET", "/api/checkpoint", TOKEN, charts.checkpoint),
    Route("GET", "/api/receipts/{type}/{id}", TOKEN, charts.receipt),
    Route("GET", "/api/receipts/{type}/{id}/_history/{vid}", TOKEN, charts.receipt),
    Route("GET", "/api/charts/{id}/head", TOKEN, charts.head),
    Route("GET", "/api/charts/{id}/accesses", TOKEN, charts.accesses),
    Route("GET", "/api/charts/{id}/export", TOKEN, charts.export),
    Route("GET", "/api/charts/{id}/access-export", TOKEN, charts.access_export),
    Route("GET", "/api/charts/{id}/copy", TOKEN, charts.copy),
    Route("GET", "/api/charts/{id}/consents", TOKEN, consents.show),
    Route("GET", "/api/charts/{id}/consents/prepare", TOKEN, consents.prepare),
    Route("POST", "/api/charts/{id}/consents", TOKEN, consents.grant),
    Route("GET", "/api/charts/{id}/consents/{directive}/prepare", TOKEN, consents.prepare_revocation),
    Route("POST", "/api/charts/{id}/consents/{directive}/revoke", TOKEN, consents.revoke),
    Route("GET", "/api/network", TOKEN, ledger.network),
    Route("GET", "/api/ledger", EXPLORER, ledger.overview),
    Route("GET", "/api/ledger/blocks", EXPLORER, ledger.blocks),
    Route("GET", "/api/ledger/blocks/{height}", EXPLORER, ledger.block),
    Route("GET", "/api/ledger/transactions/{hash}", EXPLORER, ledger.transaction),
    Route("GET", "/api/ledger/validators", EXPLORER, ledger.validators),
    Route("GET", "/api/ledger/search", EXPLORER, ledger.search),
    Route("GET", "/api/ledger/trust", EXPLORER, ledger.trust),
)
"""The whole of `/api`; docs/spec/api.md says what each answers."""

SEGMENTS_MAX: Final = 8
SEGMENT_MAX: Final = 128
_ALLOWED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._")


@dataclass(frozen=True, slots=True)
class ApiApp:
    """The table, over one worker's parts."""

    parts: Parts

    def methods(self, path: str) -> frozenset[str]:
        """What is possible at a path; nothing where there is nothing."""
        found = {route.method for route in ROUTES if match(route, path) is not None}
        return frozenset(found | {"OPTIONS"}) if found else frozenset()

    def template(self, path: str) -> str:
        """What logs call the path: never an id."""
        return next((route.path for route in ROUTES if match(route, path) is not None), "/api")

    def is_open(self, path: str) -> bool:
        """Whether nobody need say who they are."""
        is_explorer = any(route.demand == EXPLORER and match(route, path) is not None for route in ROUTES)
        return is_explorer and self.parts.config.explorer.open

    async def handle(self, request: ApiRequest) -> FhirResponse:
        """The answer; path and method are in the table. Refusals are raised."""
        for route in ROUTES:
            found = match(route, request.path) if route.method == request.method else None
            if found is not None:
                return replace(await self._answer(route, request, found), route=route.path)
        raise RuntimeError("the shell asks for what is not in the table")

    def leave(self) -> None:
        """Whoever waits is answered now: the process is about to end."""
        self.parts.watching.is_leaving = True

    async def _answer(self, route: Route, request: ApiRequest, found: Found) -> FhirResponse:
        try:
            return await route.handler(self.parts, request, found)
        except TooManyRequests as error:
            return _too_many(error)


def match(route: Route, path: str) -> Mapping[str, str] | None:
    """The variable segments of a path, if it is the route's."""
    wanted, given = route.path.split("/"), path.split("/", SEGMENTS_MAX + 1)
    if len(wanted) != len(given):
        return None
    found: dict[str, str] = {}
    for name, value in zip(wanted, given, strict=True):
        if name.startswith("{"):
            if not 0 < len(value) <= SEGMENT_MAX or not _ALLOWED.issuperset(value):
                return None
            found[name[1:-1]] = value
        elif name != value:
            return None
    return found


def _too_many(error: CareLedgerError) -> FhirResponse:
    said = {"code": error.code, "message": error.message, "hint": error.hint}
    headers = [JSON, (b"retry-after", b"%d" % getattr(error, "wait_s", 1))]
    return FhirResponse(429, headers, msgspec.json.encode(said))


def create_api(answering: Answering, config: Config, limiter: Limiter) -> ApiApp:
    """The interface of a worker."""

    def recheck(request: ApiRequest) -> None:
        actor = request.caller
        now_ms = answering.fhir.context.backend.now_ms()
        revoked = answering.fhir.context.backend.is_revoked
        ended = [one for one in (actor.token_id, actor.grant) if one and revoked(one)]
        if ended or (actor.expires_ms and now_ms >= actor.expires_ms):
            raise Unauthenticated("the token holds no longer", code="token-revoked", hint="sign in again")
        answering.authority.standings.check(actor)

    return ApiApp(
        Parts(
            context=answering.fhir.context,
            authority=answering.authority,
            call=answering.call,
            reader=answering.reader,
            config=config,
            limiter=limiter,
            recheck=recheck,
            checkpoint=Kept(answering.call, "checkpoint", 2.0, time.monotonic),
            network=Kept(answering.call, "asked.network", 1.0, time.monotonic),
            signing=Kept(answering.call, "asked.signing", 10.0, time.monotonic),
        )
    )
