"""Apps whose consent stands on the ledger: when that ends, they are out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from careledger.contracts.consent import ACTIVE
from careledger.node import directives
from careledger.node.authorisation import Revoker
from careledger.node.directives import Held
from careledger.smart.grants import end_grants, list_grants

if TYPE_CHECKING:
    from careledger.node.commands import CommandContext


async def end_revoked(node: CommandContext, held: Held | None) -> None:
    """If the directive is revoked, every grant that it remembers is over, in every worker, when this returns."""
    if held is None or all(one.kind != "client" for one in held.text().grantees):
        return
    with node.reader.snapshot() as snapshot:
        entry = directives.entry_of(snapshot, held.id)
    if entry is None or entry.status == ACTIVE:
        return
    grants = [one for one in list_grants(node.registry) if one.directive == held.id]
    await end_grants(node.registry, Revoker(node.backend).revoke, grants)
