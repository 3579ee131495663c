"""The authorisation server behind the HTTP shell: which paths are its, and the proof of possession of FHIR requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from careledger.access.tokens import Presented
from careledger.node.authorisation import Authority
from careledger.node.worker import Answering
from careledger.primitives.errors import Unauthenticated
from careledger.smart.authentication import Authenticator
from careledger.smart.dpop import Shown, check_proof
from careledger.smart.errors import OAuthError
from careledger.smart.keys import ensure_keys
from careledger.web.smart.endpoints import DEMANDS, EndPoints
from careledger.web.smart.messages import Handler, SmartAnswer, SmartRequest

BODY_BYTES_MAX = 262_144
"""Forms and JSON of this server are small."""


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
    await ensure_keys(server.registry, server.now_ms())
    authenticator = Authenticator(server.registry, frozenset((server.token_url, server.base)))
    end_points = EndPoints(server, authenticator, parts.read_token, authority.nonces, authority.registration)
    return SmartApp(authority, tabulate(end_points.routes()))


def tabulate(*tables: Mapping[tuple[str, str], Handler]) -> Mapping[str, Mapping[str, Handler]]:
    """Tables of (method, path) as one of path, then method."""
    found: dict[str, dict[str, Handler]] = {}
    for table in tables:
        for (method, path), handler in table.items():
            if method in found.setdefault(path, {}):
                raise RuntimeError(f"two handlers for {method} {path}")
            found[path][method] = handler
    return MappingProxyType(found)
