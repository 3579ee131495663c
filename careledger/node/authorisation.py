"""The authorisation server of a node: what `smart` stands on, joined from registry, keys, ledger and configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from careledger.access.actor import Actor
from careledger.access.tokens import TokenIssuer
from careledger.contracts.standing import ACTIVE, compute_standing
from careledger.contracts.subjects import get_sponsor_keys
from careledger.node.auditing import NodeHouseLog
from careledger.node.backend import NodeBackend
from careledger.node.config import Config
from careledger.node.group import Revoked, encode_event
from careledger.node.key_fetcher import KeyFetcher
from careledger.node.provider import open_provider
from careledger.primitives.errors import Invalid, Unauthenticated, VerificationFailed
from careledger.primitives.hashing import hmac_sha256
from careledger.primitives.signing import sign_ed25519, verify_ed25519
from careledger.primitives.types import parse_did
from careledger.smart.auditing import HouseLog
from careledger.smart.dpop import Nonces
from careledger.smart.issuing import Server, Standing
from careledger.smart.provider import Provider
from careledger.smart.remote_keys import RemoteKeys, read_hosts
from careledger.vault.keystore import Keys
from careledger.vault.model import Commit
from careledger.vault.registry import Registry
from careledger.vault.snapshot import VaultSnapshot

REVOKED_KEPT_MS = 400 * 24 * 3600 * 1000
"""Longer than any token lives (`tokens.LIFETIME_MAX_SECONDS`), and than a clock is wrong."""
REVOKED_PER_COMMIT = 256
MINUTE_MS = 60_000
KNOWN_MAX = 10_000
UNKNOWN = Standing(False)


class Standings:
    """How practitioners stand on the ledger, as of its newest block: asked at each request, computed once a block.

    A licence ends by the block's time or the node's clock, whichever is later: a ledger at rest prolongs nothing.
    """

    def __init__(self, backend: NodeBackend) -> None:
        self._backend = backend
        self._as_of = (-1, -1)
        self._known: dict[str, Standing] = {}

    def of(self, did: str) -> Standing:
        """Whether the DID may act now, and its roles in force. A text that is no DID stands for nobody."""
        now_ms = self._backend.now_ms()
        with self._backend.snapshot() as snapshot:
            as_of = (snapshot.ledger_height, now_ms // MINUTE_MS)
            if as_of != self._as_of or len(self._known) >= KNOWN_MAX:
                self._as_of, self._known = as_of, {}
            found = self._known.get(did)
            if found is None:
                found = self._known[did] = _read(snapshot, did, now_ms)
        return found

    def check(self, actor: Actor) -> None:
        """Raises Unauthenticated if the practitioner behind the token may not act any more."""
        if actor.did and not self.of(actor.did).is_active:
            raise Unauthenticated(
                "the practitioner behind this token may not act now",
                code="practitioner-not-active",
                hint="a suspension or a lapsed licence stands on the ledger; ask your organisation",
            )


class _ReadOnly:
    """A snapshot as contracts read the state."""

    def __init__(self, snapshot: VaultSnapshot) -> None:
        self._snapshot = snapshot

    def get(self, key: bytes) -> bytes | None:
        return self._snapshot.state(key)

    def set(self, key: bytes, value: bytes | None) -> None:
        raise RuntimeError("a reader of the state changes nothing")


def _read(snapshot: VaultSnapshot, did: str, now_ms: int) -> Standing:
    try:
        found = compute_standing(_ReadOnly(snapshot), parse_did(did), now_ms)
    except Invalid:
        return UNKNOWN
    return Standing(found.status == ACTIVE, found.roles, found.status)


@dataclass(frozen=True, slots=True)
class Authority:
    """The server, and what only a node's process knows beside it."""

    server: Server
    house: HouseLog
    standings: Standings
    nonces: Nonces | None
    registration: bool
    remote: RemoteKeys | None  # None: no key set is fetched from anywhere
    provider: Provider | None  # None: people sign in with passkeys alone
    name: str  # of the organisation, as people read it
    sign: Callable[[bytes], bytes]  # with the organisation's node key
    verify: Callable[[str, bytes, bytes], None]  # (DID, message, signature); raises VerificationFailed
    is_ledger_open: bool = False  # anybody may read the ledger (`explorer.open`)


def open_authority(
    backend: NodeBackend, registry: Registry, issuer: TokenIssuer, keys: Keys, config: Config, name: str
) -> Authority:
    """The authorisation server over an open worker or writer."""
    standings = Standings(backend)
    server = Server(
        registry=registry,
        issuer=issuer,
        base=backend.base_url,
        public_url=backend.base_url.removesuffix("/fhir"),
        organisation=backend.organisation,
        revoke=Revoker(backend).revoke,
        standing=standings.of,
        now_ms=backend.now_ms,
    )
    nonces = Nonces(hmac_sha256(keys.token_seed, b"cl1.dpop-nonces")) if config.smart.dpop_nonces else None
    hosts = read_hosts(config.smart.jwks_hosts)
    return Authority(
        server=server,
        house=NodeHouseLog(backend),
        standings=standings,
        nonces=nonces,
        registration=config.smart.registration,
        remote=RemoteKeys(KeyFetcher(), hosts) if hosts else None,
        provider=open_provider(config.smart, server.public_url),
        name=name,
        sign=lambda message: sign_ed25519(keys.node_seed, message),
        verify=Verifier(backend).verify,
        is_ledger_open=config.explorer.open,
    )


@dataclass(frozen=True, slots=True)
class Verifier:
    """Checks what an organisation signed, by its node or root key as the ledger has them now."""

    backend: NodeBackend

    def verify(self, did: str, message: bytes, signature: bytes) -> None:
        """Raises VerificationFailed."""
        with self.backend.snapshot() as snapshot:
            signers = get_sponsor_keys(_ReadOnly(snapshot), parse_did(did))
        for key in signers:
            try:
                verify_ed25519(key.public, message, signature)
            except VerificationFailed:
                continue
            return
        raise VerificationFailed("no key of the organisation signed this")


@dataclass(frozen=True, slots=True)
class Revoker:
    """Ends tokens by their id or that of their grant."""

    backend: NodeBackend

    async def revoke(self, ids: Iterable[str]) -> None:
        """Durable, and seen by every worker, when it returns."""
        now_ms = self.backend.now_ms()
        events = [encode_event(Revoked(id.encode(), now_ms + REVOKED_KEPT_MS, now_ms)) for id in ids]
        for start in range(0, len(events), REVOKED_PER_COMMIT):
            await self.backend.commit(Commit(events=tuple(events[start : start + REVOKED_PER_COMMIT])))
