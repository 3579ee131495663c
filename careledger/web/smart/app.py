"""The authorisation server behind the HTTP shell: which paths are its, and the proof of possession of FHIR requests."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from careledger.access.tokens import Presented
from careledger.node.authorisation import Authority
from careledger.node.worker import Answering, Call
from careledger.primitives.errors import Invalid, Unauthenticated
from careledger.smart.authentication import Authenticator
from careledger.smart.dpop import Shown, check_proof
from careledger.smart.errors import OAuthError
from careledger.smart.issuing import Server
from careledger.smart.keys import Upkeep, rotate_keys
from careledger.smart.limits import ACTS_OF_SESSION, PAGES_OF_ADDRESS, Limiter, TooManyRequests
from careledger.smart.own import keep_own
from careledger.smart.passkeys import RelyingParty
from careledger.smart.sessions import session_key
from careledger.web.services import FhirHandler
from careledger.web.smart import demo, federated
from careledger.web.smart.authorize import Authorize
from careledger.web.smart.endpoints import DEMANDS, EndPoints
from careledger.web.smart.messages import Handler, SmartAnswer, SmartRequest, answer_too_many
from careledger.web.smart.patients import Patients
from careledger.web.smart.people import routes
from careledger.web.smart.screens import People, guard
from careledger.web.smart.visits import SESSION


@dataclass(frozen=True, slots=True)
class SmartApp:
    """The literal routes of the authorisation server, by path and method."""

    authority: Authority
    routes: Mapping[str, Mapping[str, Handler]]

    def is_mine(self, path: str) -> bool:
        """Whether the path is answered here."""
        return path in self.routes

    def is_open(self, path: str) -> bool:
        """Whether programs in browsers of other origins may use it: it reads no cookie."""
        return path in DEMANDS

    def methods(self, path: str) -> frozenset[str]:
        """What is possible at one of its paths."""
        return frozenset(self.routes[path]) | {"OPTIONS"}

    async def handle(self, request: SmartRequest) -> SmartAnswer:
        """The answer; path and method are in the table."""
        return await self.routes[request.path][request.method](request)

    async def prove(
        self, proofs: tuple[bytes, ...], presented: Presented, token: str, thumbprint: str
    ) -> None:
        """Return only if the request proves the key that its token is bound to. Raises Unauthenticated."""
        server = self.authority.server
        shown = Shown(presented.method, presented.url, token, thumbprint)
        try:
            await check_proof(proofs, shown, server.registry, server.now_ms(), self.authority.nonces)
        except OAuthError as error:
            nonce = error.error == "use_dpop_nonce"
            raise Unauthenticated(
                error.description, hint=error.hint, code="dpop-nonce" if nonce else "dpop-refused"
            ) from error

    def nonce(self) -> bytes:
        """What the next proof must carry; b"" where no nonce is asked for."""
        nonces = self.authority.nonces
        return b"" if nonces is None else nonces.current(self.authority.server.now_ms()).encode()


async def create_smart(parts: Answering) -> SmartApp:
    """The authorisation server of a worker; the keys of ID tokens are made with the first start."""
    authority = parts.authority
    server = authority.server
    tables = []
    limiter = Limiter(monotonic_ms)
    upkeep, remote = Upkeep(server.registry), authority.remote
    await upkeep.keep(server.now_ms())
    authenticator = Authenticator(server.registry, frozenset((server.token_url, server.base)), remote)
    end_points = EndPoints(
        server, authenticator, parts.read_token, authority.nonces, authority.registration, limiter, upkeep,
        None if remote is None else remote.is_listed,
    )  # fmt: skip
    tables.append(end_points.routes())
    party = party_of(server.public_url, authority.name)
    if party is not None:
        await keep_own(server.registry, server.public_url, server.now_ms())
        tables += [
            {place: limited(limiter, handler) for place, handler in table.items()}
            for table in people_tables(authority, party, parts.fhir, parts.call)
        ]
    return SmartApp(authority, tabulate(*tables))


def monotonic_ms() -> int:
    """A clock that never goes back."""
    return time.monotonic_ns() // 1_000_000


def limited(limiter: Limiter, handler: Handler) -> Handler:
    """The handler of a page, within the limits of the address that asks, and of the session that acts."""

    async def handle(request: SmartRequest) -> SmartAnswer:
        try:
            limiter.use(PAGES_OF_ADDRESS, "pages", request.address)
            session = request.cookie(SESSION) or request.cookie(f"__Host-{SESSION}")
            if session and request.method == "POST":
                limiter.use(ACTS_OF_SESSION, "acts", session_key(session).hex())
        except TooManyRequests as error:
            return answer_too_many(error)
        return await handler(request)

    return handle


def party_of(public_url: str, name: str) -> RelyingParty | None:
    """This node as browsers know it; None where they allow no passkeys (neither https nor http://localhost)."""
    try:
        return RelyingParty(public_url, name)
    except Invalid:
        return None


def people_tables(
    authority: Authority, party: RelyingParty, fhir: FhirHandler, call: Call | None = None
) -> list[Mapping[tuple[str, str], Handler]]:
    """The pages, and the authorisation end point, which needs them."""
    server = authority.server
    people = People(
        registry=server.registry,
        party=party,
        organisation=server.organisation,
        base=server.base,
        sign=authority.sign,
        verify=authority.verify,
        revoke=server.revoke,
        standing=server.standing,
        house=authority.house,
        now_ms=server.now_ms,
        perform=MappingProxyType({"rotate-keys": Rotation(server).perform}),
        call=call,
        has_provider=authority.provider is not None,
        is_ledger_open=authority.is_ledger_open,
    )
    patients = Patients(server, fhir)
    authorize = Authorize(server, people, patients.find, patients.name)
    shown = {
        **authorize.routes(),
        **demo.routes_of(server.registry),
        **federated.routes_of(authority.provider),
    }
    screens = {(method, path): guard(people, method, route) for (method, path), route in shown.items()}
    begin: dict[tuple[str, str], Handler] = {
        ("GET", "/oauth/authorize"): authorize.begin,
        ("POST", "/oauth/authorize"): authorize.begin,
    }
    return [routes(people), screens, begin]


@dataclass(frozen=True, slots=True)
class Rotation:
    """New keys for ID tokens, as two administrators asked."""

    server: Server

    async def perform(self, subject: str) -> None:
        """Sign with new keys from now on; the old ones stay published until what they signed has ended."""
        await rotate_keys(self.server.registry, self.server.now_ms())


def tabulate(*tables: Mapping[tuple[str, str], Handler]) -> Mapping[str, Mapping[str, Handler]]:
    """Tables of (method, path) as one of path, then method."""
    found: dict[str, dict[str, Handler]] = {}
    for table in tables:
        for (method, path), handler in table.items():
            if method in found.setdefault(path, {}):
                raise RuntimeError(f"two handlers for {method} {path}")
            found[path][method] = handler
    return MappingProxyType(found)
