"""Back-off after wrong codes: each one costs whoever typed it a longer wait, and nobody else anything.

What is counted is (what was tried, from where); never the account that was tried for, so nobody locks another out.
The codes have 130 bits: the wait is not what protects them, it keeps a guesser from being a load.
"""

from __future__ import annotations

from typing import Final

import msgspec

from careledger.primitives.errors import CareLedgerError
from careledger.primitives.hashing import tagged
from careledger.smart.tables import Table
from careledger.vault.registry import Change, Registry

FREE: Final = 3
"""Wrong ones that cost nothing: people mistype."""
FIRST_MS: Final = 2_000
LONGEST_MS: Final = 900_000
FORGOTTEN_MS: Final = 3_600_000


class Tries(msgspec.Struct, frozen=True):
    """How often it went wrong, and until when nothing is tried."""

    wrong: int
    until_ms: int


TRIES: Final = Table("counter", Tries, b"tries:")


class TooManyTries(CareLedgerError):
    """Wait. `wait_ms` says how long."""

    code = "too-many-tries"

    def __init__(self, wait_ms: int) -> None:
        seconds = -(-wait_ms // 1000)
        super().__init__("too many wrong codes from here", hint=f"try again in {seconds} s")
        self.wait_ms = wait_ms


def compute_wait_ms(wrong: int) -> int:
    """After so many wrong ones: none, then doubling from two seconds to a quarter of an hour."""
    if wrong < FREE:
        return 0
    return int(min(FIRST_MS * 2 ** min(wrong - FREE, 20), LONGEST_MS))


def tries_key(what: str, address: str) -> bytes:
    """Whose tries these are."""
    return tagged("cl1.tries", f"{what}\x00{address}".encode())


def check_tries(registry: Registry, what: str, address: str, now_ms: int) -> None:
    """Raises TooManyTries while whoever is at this address has to wait."""
    found = TRIES.get(registry, tries_key(what, address))
    if found is not None and now_ms < found.value.until_ms:
        raise TooManyTries(found.value.until_ms - now_ms)


async def count_wrong(registry: Registry, what: str, address: str, now_ms: int) -> None:
    """One more wrong one. Of several at once one may be lost; the next waits all the same."""
    key = tries_key(what, address)
    found = TRIES.get(registry, key)
    wrong = (found.value.wrong if found is not None else 0) + 1
    tries = Tries(wrong, now_ms + compute_wait_ms(wrong))
    await registry.change(TRIES.put(key, tries, expires_ms=now_ms + FORGOTTEN_MS))


def forget_tries(what: str, address: str) -> Change:
    """The change that forgets them: the right code was typed."""
    return Change(TRIES.name, TRIES.prefix + tries_key(what, address), None)
