"""What a caller may ask about the ledger behind an answer: its height, a least height, how far a version's proof is.

And what a node says by itself: that its newest block is old (docs/spec/reading.md). Heights and levels are told on
request only (protocol: Ids and leaks).
"""

from __future__ import annotations

import asyncio
from typing import Final

from careledger.fhir.backend import Backend
from careledger.fhir.context import Context
from careledger.fhir.messages import FhirRequest, FhirResponse
from careledger.fhir.routes import Match
from careledger.primitives.errors import Invalid, Unavailable
from careledger.vault.model import Snapshot

STALE_MS: Final = 10_000
"""protocol, Network: a node whose newest block is older refuses what rests on a directive outside its own care."""
UNKNOWN_MS: Final = STALE_MS + 1
"""The age of a block that came before the node was started."""
WAIT_S: Final = 5.0
POLL_S: Final = 0.025
HEIGHT: Final = b"careledger-height"
AT_LEAST: Final = b"careledger-at-least"
LEVEL: Final = b"careledger-level"
STALE: Final = b"careledger-stale"
_DIGITS_MAX: Final = 15


class NotThereYet(Unavailable):
    """The ledger has not reached the height that the caller asked for, as far as this node knows."""

    code = "height-not-reached"


def compute_age_ms(backend: Backend, snapshot: Snapshot) -> int:
    """How old the newest block is: by its own time and by when it came here, whichever is more.

    0 where the home orders its own blocks. A clock that is set ahead makes a node stale, one that is set back does
    not make it fresh.
    """
    block = snapshot.block
    if block is None:
        return 0
    since_ms = -1 if block.committed_ms is None else backend.monotonic_ms() - block.committed_ms
    return max(backend.now_ms() - block.time_ms, UNKNOWN_MS if since_ms < 0 else since_ms)


def is_stale(age_ms: int) -> bool:
    """Whether too much may have been revoked meanwhile."""
    return age_ms > STALE_MS


async def reach(context: Context, request: FhirRequest) -> int:
    """The height that the answer rests on at least, once it is as high as the caller asks.

    Raises Invalid, and NotThereYet if no such block came within `WAIT_S` seconds.
    """
    wanted = _read_height(request.headers.get(AT_LEAST))
    for name in (HEIGHT, LEVEL):
        if request.headers.get(name, b"?") != b"?":
            raise Invalid(f"the header {name.decode()} asks by a question mark", hint=f"{name.decode()}: ?")
    loop = asyncio.get_running_loop()
    end = loop.time() + WAIT_S
    while (height := _get_height(context)) < wanted:
        if loop.time() >= end:
            raise NotThereYet(
                "this node has no block of that height",
                hint="repeat, or ask a node that has it; careledger network status says how far each is",
            )
        await asyncio.sleep(POLL_S)
    return height


def _read_height(value: bytes | None) -> int:
    if value is None:
        return 0
    if not value.isdigit() or len(value) > _DIGITS_MAX:
        raise Invalid("the height asked for is no number", hint="careledger-at-least: 4711")
    return int(value)


def _get_height(context: Context) -> int:
    with context.backend.snapshot() as snapshot:
        return snapshot.ledger_height


def mark(context: Context, request: FhirRequest, answer: FhirResponse, height: int) -> FhirResponse:
    """The answer with the height, if it was asked for, and with the newest block's age in seconds, if that is old."""
    with context.backend.snapshot() as snapshot:
        age_ms = compute_age_ms(context.backend, snapshot)
    more = [(HEIGHT, b"%d" % height)] if HEIGHT in request.headers else []
    if is_stale(age_ms):
        more.append((STALE, b"%d" % (age_ms // 1000)))
    return _with(answer, more) if more else answer


def tell_level(context: Context, found: Match, answer: FhirResponse) -> FhirResponse:
    """The answer to a read or vread with the level of the version that it shows."""
    etag = dict(answer.headers).get(b"etag", b"")
    if not etag:
        return answer
    with context.backend.snapshot() as snapshot:
        version = snapshot.version(found.type, found.id, int(etag.removeprefix(b'W/"').removesuffix(b'"')))
        level = None if version is None else snapshot.level(version)
    return answer if level is None else _with(answer, [(LEVEL, level.encode())])


def _with(answer: FhirResponse, more: list[tuple[bytes, bytes]]) -> FhirResponse:
    return FhirResponse(answer.status, [*answer.headers, *more], answer.body, answer.route)
