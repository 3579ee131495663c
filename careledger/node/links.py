"""Who an account is at the organisation's own provider, as the operator links and unlinks it by command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from careledger.node.accounts import Progress
from careledger.node.auditing import NodeHouseLog
from careledger.node.authorisation import Revoker
from careledger.node.sequencer import system_clock_ms
from careledger.primitives.errors import Misconfigured
from careledger.smart.administering import account_of
from careledger.smart.auditing import OPERATOR, Event, patient_of
from careledger.smart.links import link, unlink
from careledger.smart.online import end_online

if TYPE_CHECKING:
    from careledger.node.commands import CommandContext


async def link_account(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The subject of the configured provider signs this account in from now on."""
    id, subject = str(params["id"]), str(params["subject"])
    await link(node.registry, _issuer(node), subject, id, system_clock_ms())
    await _record(node, "linked", id)
    return {"id": id, "subject": subject}


async def unlink_account(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Its sessions, and every program's access that hung on one, end."""
    id, subject = str(params["id"]), str(params["subject"])
    await unlink(node.registry, _issuer(node), subject, id)
    await _record(node, "unlinked", id)
    account = account_of(node.registry, id)
    await end_online(node.registry, Revoker(node.backend).revoke, account, system_clock_ms())
    return {"id": id, "subject": subject}


async def _record(node: CommandContext, what: str, id: str) -> None:
    """Another way into an account, or its end, is seen by whoever reads the house log, and by the patient it is of."""
    patient = patient_of(account_of(node.registry, id))
    told = f"the account of this patient was {what}: sign-in at the organisation's own provider"
    await NodeHouseLog(node.backend).record(Event(what, "", OPERATOR, about=id, patient=patient, told=told))


def _issuer(node: CommandContext) -> str:
    issuer = node.config.smart.provider_issuer
    if not issuer:
        raise Misconfigured(
            "this node has no provider of its organisation",
            hint="set smart.provider_issuer, and what belongs to it",
            code="no-provider",
        )
    return issuer
