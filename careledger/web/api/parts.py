"""What the handlers of `/api` share: the node's parts in this process, and who waits in it."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from careledger.fhir.context import Context
from careledger.fhir.messages import FhirResponse
from careledger.node.authorisation import Authority
from careledger.node.callers import Caller
from careledger.node.config import Config
from careledger.node.explorer import Members
from careledger.node.worker import Call
from careledger.smart.limits import Limiter
from careledger.vault.snapshot import VaultReader
from careledger.web.api.messages import ApiRequest

WATCHED_MAX: Final = 10_000


@dataclass(slots=True)
class Watching:
    """Who waits for changes in this process, and whose first look at a chart's sizes is entered already."""

    waiting: dict[str, int] = field(default_factory=dict)
    entered: OrderedDict[tuple[str, str], None] = field(default_factory=OrderedDict)
    is_leaving: bool = False

    def note(self, token: str, patient: str) -> bool:
        """Whether this token watches this chart for the first time, as far as this process remembers."""
        key = (token, patient)
        is_new = key not in self.entered
        self.entered[key] = None
        self.entered.move_to_end(key)
        if len(self.entered) > WATCHED_MAX:
            self.entered.popitem(last=False)
        return is_new

    def forget(self, token: str, patient: str) -> None:
        """The look could not be entered: the next one is the first again."""
        self.entered.pop((token, patient), None)


@dataclass(slots=True)
class Kept:
    """What the writer answers alike to everybody: asked for once however many want it, and kept for some seconds."""

    call: Call
    name: str
    seconds: float
    clock: Callable[[], float]
    _answer: dict[str, Any] | None = None
    _at: float = 0.0
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def get(self, *, fresh: bool = False) -> dict[str, Any]:
        """The answer; a `fresh` one is asked for now. Raises what the writer raises."""
        async with self._asking:
            if fresh or self._answer is None or self.clock() - self._at > self.seconds:
                self._answer = await self.call(self.name, {})
                self._at = self.clock()
            return self._answer


@dataclass(frozen=True, slots=True)
class Parts:
    """The node as handlers see it. `recheck` raises Unauthenticated if a caller may not act any more."""

    context: Context
    authority: Authority
    call: Call
    reader: VaultReader
    config: Config
    limiter: Limiter
    recheck: Callable[[ApiRequest], None]
    checkpoint: Kept
    network: Kept
    signing: Kept
    watching: Watching = field(default_factory=Watching)
    members: Members = field(default_factory=Members)
    clock: Callable[[], float] = time.monotonic

    def caller(self, request: ApiRequest) -> Caller:
        """Who asks. Raises Unauthenticated for nobody."""
        return Caller(request.caller, request.request_id)


Found = Mapping[str, str]
"""What a path's variable segments are."""
Handler = Callable[[Parts, ApiRequest, Found], Awaitable[FhirResponse]]
