"""Rate limits of the authorisation server: a client, an address, an account each has its own, so none locks out another.

Token buckets in the memory of a worker: `rate` a second on average, `burst` at once. Attempts that fail cost more than
those that succeed, and are counted for the pair of client and address: whoever guesses a client's secret from
somewhere slows down that place, not the client elsewhere. Nothing is ever locked for good (F13).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from careledger.primitives.errors import CareLedgerError

KEPT_MAX: Final = 50_000
"""Buckets a worker remembers; the one unused for longest goes first, and starts full when it comes again."""


@dataclass(frozen=True, slots=True)
class Limit:
    """`burst` uses at once, then `rate` a second."""

    rate: float
    burst: float


PAGES_OF_ADDRESS: Final = Limit(rate=50, burst=500)
"""Pages and sign-ins of an address: a hospital behind one address has many people."""
REQUESTS_OF_CLIENT: Final = Limit(rate=5000, burst=20_000)
"""What a client that proved who it is asks: more than a node can do, so that one cannot have all of it for long."""
ACTS_OF_SESSION: Final = Limit(rate=2, burst=60)
"""What somebody who is signed in posts: faster than a person, far slower than a script."""
FAILURES_OF_CLIENT: Final = Limit(rate=0.5, burst=20)
"""Failed proofs of one client from one address."""
FAILURES_OF_ADDRESS: Final = Limit(rate=20, burst=200)
"""Failed proofs of all clients from one address."""


class TooManyRequests(CareLedgerError):
    """The caller has to wait: 429 with Retry-After."""

    code = "too-many-requests"

    def __init__(self, wait_s: float) -> None:
        super().__init__("too many requests", hint=f"repeat after {max(1, math.ceil(wait_s))} s")
        self.wait_s = max(1, math.ceil(wait_s))


class Limiter:
    """Buckets by kind and name. `clock_ms` is a clock that never goes back."""

    def __init__(self, clock_ms: Callable[[], int], kept_max: int = KEPT_MAX) -> None:
        self._clock_ms = clock_ms
        self._kept_max = kept_max
        self._buckets: OrderedDict[tuple[str, ...], tuple[float, int]] = OrderedDict()

    def check(self, limit: Limit, *name: str) -> None:
        """Raise TooManyRequests if the bucket is empty; uses nothing."""
        left = self._left(limit, name)
        if left < 1:
            raise TooManyRequests((1 - left) / limit.rate)

    def use(self, limit: Limit, *name: str) -> None:
        """One use. Raises TooManyRequests, and then counts nothing."""
        self.check(limit, *name)
        self.count(limit, *name)

    def count(self, limit: Limit, *name: str) -> None:
        """One use that has happened already."""
        self._buckets[name] = (max(0.0, self._left(limit, name) - 1), self._clock_ms())
        self._buckets.move_to_end(name)
        if len(self._buckets) > self._kept_max:
            self._buckets.popitem(last=False)

    def _left(self, limit: Limit, name: tuple[str, ...]) -> float:
        found = self._buckets.get(name)
        if found is None:
            return limit.burst
        left, at_ms = found
        return min(limit.burst, left + limit.rate * (self._clock_ms() - at_ms) / 1000)
