"""Who asks the writer through `/api`: the verified caller of a request, as it travels to the process that can answer.

The same decisions and access entries as over FHIR: what is refused is entered in the house's log first, and what the
caller may not know of looks absent.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NoReturn

import msgspec

from careledger.access.actor import Actor
from careledger.access.decision import Decision
from careledger.access.scopes import parse_scopes
from careledger.fhir.asking import Asking, ask
from careledger.fhir.authority import Denied, record_refusal
from careledger.fhir.context import Context
from careledger.fhir.messages import FhirRequest
from careledger.primitives.errors import NotFound, NotPermitted
from careledger.vault.model import Snapshot

REQUEST_ID_BYTES = 16


class Packed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A caller on the way: the actor's fields, its scopes as text; and the request's id, for access entries."""

    actor: dict[str, Any]
    request_id: bytes


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, in which request. Whoever makes one has verified the actor's token."""

    actor: Actor
    request_id: bytes

    def pack(self) -> dict[str, Any]:
        """As parameters of a command."""
        packed = {one.name: getattr(self.actor, one.name) for one in fields(self.actor)}
        return {"actor": packed | {"scopes": str(self.actor.scopes)}, "request_id": self.request_id}

    def look(self, context: Context, snapshot: Snapshot, what: str) -> Asking:
        """The request, looking at this view; `what` names it where it is refused."""
        return ask(context, self.request(what), snapshot)

    def request(self, what: str) -> FhirRequest:
        """The request as decisions know it."""
        return FhirRequest("GET", ("api", *what.split("/")), [], {}, b"", self.actor, self.request_id)

    async def refuse(self, context: Context, decision: Decision, what: str) -> NoReturn:
        """Enter the denial, then raise what the caller learns: NotFound where it must look absent, else NotPermitted."""
        await record_refusal(context, self.request(what), decision, "denied", what)
        if decision.absent:
            raise absent()
        raise NotPermitted(
            "the token does not allow this", hint="ask for a token whose scope covers it", code="forbidden"
        )


def unpack(packed: Packed) -> Caller:
    """Reverse of `Caller.pack`."""
    actor = {
        **packed.actor,
        "scopes": parse_scopes(packed.actor["scopes"]),
        "roles": tuple(packed.actor["roles"]),
    }
    return Caller(Actor(**actor), packed.request_id)


def absent() -> NotFound:
    """The one answer for what is not there and for what the caller may not know of."""
    return NotFound(
        "no such thing is known here, or it is not yours to see", hint="check the id; ask whose chart it is"
    )


def demand(decision: Decision) -> Decision:
    """The decision, if it permits. Raises Denied, which is for `Caller.refuse`."""
    if not decision.permit:
        raise Denied(decision)
    return decision
