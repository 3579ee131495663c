"""Key sets that clients publish (`jwks_uri`, SMART App Launch 2.2): only from hosts that the operator listed.

Off unless the node passes a fetcher and hosts. The address is checked when a client is registered and again at each
fetch; the fetcher follows no redirects. A set is kept no longer than its `Cache-Control` allows, five minutes at most;
a failure is kept for a while too, so nobody makes this node knock at a door all day.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Protocol

from careledger.primitives.errors import Misconfigured, Unavailable
from careledger.smart.assertions import ALGORITHMS
from careledger.smart.json import Unreadable
from careledger.smart.jwk import PublicKey, read_key_set

KEPT_MAX_MS: Final = 300_000
FAILURE_KEPT_MS: Final = 15_000
SETS_MAX: Final = 256

_NAME: Final = r"[a-z0-9](?:[a-z0-9.\-]{0,251}[a-z0-9])?(?::[1-9][0-9]{0,4})?"
_HOST = re.compile(_NAME, re.ASCII)
_ADDRESS = re.compile(rf"https://(?P<host>{_NAME})/[A-Za-z0-9._~/\-]{{0,400}}", re.ASCII)


def read_hosts(text: str) -> frozenset[str]:
    """The hosts of a setting, a line each. Raises Misconfigured for what could never match an address."""
    hosts = frozenset(text.split())
    if not all(map(_HOST.fullmatch, hosts)):
        raise Misconfigured(
            "smart.jwks_hosts names what is no host",
            hint="host or host:port each, in lower case, without https://",
            code="setting-invalid",
        )
    return hosts


def is_listed(address: str, hosts: Collection[str]) -> bool:
    """An https address of one of these hosts, with a plain path."""
    found = _ADDRESS.fullmatch(address)
    return found is not None and found["host"] in hosts and "/." not in address


@dataclass(frozen=True, slots=True)
class Fetched:
    """A body of at most 32 KiB, and for how many seconds its `Cache-Control` lets it be kept (0: not at all)."""

    body: bytes
    max_age_s: int


class Fetcher(Protocol):
    """What the node passes in: GET over TLS, `Accept: application/json`, no redirects, no proxies, short time-outs."""

    async def fetch(self, address: str) -> Fetched:
        """Raises Unavailable for whatever is no answer 200 in time and size."""
        ...


@dataclass(slots=True)
class _Kept:
    keys: tuple[PublicKey, ...]
    until_ms: int


@dataclass(slots=True)
class RemoteKeys:
    """The key sets of listed hosts (`host` or `host:port`, in lower case)."""

    fetcher: Fetcher
    hosts: Collection[str]
    _kept: OrderedDict[str, _Kept] = field(default_factory=OrderedDict)

    def is_listed(self, address: str) -> bool:
        """An https address of a listed host, with a plain path; nothing else is ever fetched."""
        return is_listed(address, self.hosts)

    async def get(self, address: str, now_ms: int) -> tuple[PublicKey, ...]:
        """The keys that are published there; none if they cannot be had or read, or the host is not listed."""
        kept = self._kept.get(address)
        if kept is None or now_ms >= kept.until_ms:
            kept = await self._fetch(address, now_ms)
            self._kept[address] = kept
            self._kept.move_to_end(address)
            if len(self._kept) > SETS_MAX:
                self._kept.popitem(last=False)
        return kept.keys

    async def _fetch(self, address: str, now_ms: int) -> _Kept:
        if not self.is_listed(address):
            return _Kept((), now_ms + FAILURE_KEPT_MS)
        try:
            fetched = await self.fetcher.fetch(address)
            keys = read_key_set(fetched.body, ALGORITHMS)
        except (Unavailable, Unreadable):
            return _Kept((), now_ms + FAILURE_KEPT_MS)
        return _Kept(keys, now_ms + min(max(fetched.max_age_s, 0) * 1000, KEPT_MAX_MS))
