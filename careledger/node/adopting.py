"""`careledger migrate --adopt`: the network's ledger learns what a home that came with an embedded one has anchored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from careledger.node import former
from careledger.node.governing import submit
from careledger.primitives.errors import Conflict

if TYPE_CHECKING:
    from careledger.node.commands import CommandContext, Progress


async def adopt(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The ledger knows what this home anchored before, and its directives; what is written from here on is anchored."""
    home = node.home
    if home.migrated_view is None:
        raise Conflict("this home has had no other ledger", hint="careledger migrate --to-network FILE")
    adopted = 0
    if not home.outbox.landings:
        adopted = await submit(node, former.compose_adoption(home))
    messages = former.compose_following(home)
    for number, message in enumerate(messages):
        await submit(node, message)
        progress({"what": "following", "done": number + 1, "total": len(messages)})
    return {"adopted": adopted, "followed": len(messages), "height": home.height}
