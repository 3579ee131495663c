"""What administrators do on the command line stands in the house log, whichever command it is: literal tables.

Every command is in one of three: its entry is made here, when it has succeeded; it makes one itself, in words of its
own; or it changes nothing and shows nobody's record. What an entry names are ids and heights: never a secret, a code,
a file's place, nor what an erasure shall make unreadable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from careledger.node.auditing import NodeHouseLog
from careledger.smart.auditing import OPERATOR, Event

if TYPE_CHECKING:
    from careledger.node.commands import CommandContext

ABOUT_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Act:
    """What the house log says; `about` names fields of the result, else of the parameters. `actor` is '' where a page, too,
    asks for this, and has said before who signs."""

    what: str
    about: tuple[str, ...] = ()
    actor: str = OPERATOR


ENTERED: Final[Mapping[str, Act]] = MappingProxyType(
    {
        "token.issue": Act("token-issued", ("client", "id")),
        "token.revoke": Act("token-revoked", ("id",)),
        "account.personas": Act("personas-made", ("personas",)),
        "client.add": Act("client-added", ("id",)),
        "client.disable": Act("client-disabled", ("id",)),
        "issuer.rotate": Act("keys-rotated"),
        "issuer.withdraw": Act("key-withdrawn", ("withdrawn",)),
        "access_log": Act("log-read", ("patient",)),
        "erase": Act("erased", ("height",)),
        "shred": Act("shredded", ("height",)),
        "import": Act("imported", ("resources",)),
        "backup": Act("backed-up", ("height",)),
        "upgrade": Act("upgraded", ("changed",)),
        "org.request": Act("admission-asked", ("operator",)),
        "org.admit": Act("organisation-admitted", ("did",)),
        "org.deactivate": Act("organisation-deactivated", ("did",)),
        "practitioner.register": Act("practitioner-registered", ("did",), actor=""),
        "practitioner.rotate": Act("practitioner-key-rotated", ("did",), actor=""),
        "practitioner.sign": Act("practitioner-signed", ("did",), actor=""),
        "practitioner.suspend": Act("practitioner-suspended", ("did",)),
        "practitioner.reinstate": Act("practitioner-reinstated", ("did",)),
        "practitioner.license": Act("practitioner-licensed", ("did", "role", "until")),
        "parameters.set": Act("parameter-set", ("name", "value")),
        "governance.propose": Act("proposed", ("number",)),
        "governance.vote": Act("voted", ("number", "is_for")),
        "ledger.adopt": Act("ledger-adopted", ("height",)),
        "network.admit_peer": Act("peer-admitted", ("peer",)),
        "network.cut": Act("peers-cut", ("cut",)),
    }
)
ENTERS_ITSELF: Final = frozenset(
    (
        "account.invite", "account.disable", "account.enable", "account.link", "account.unlink", "access_log.export",
        "chart.copy", "chart.export", "consent.explain", "consent.list",
        # the patient's own acts: leaves of her chart, and on the ledger
        "consent.grant", "consent.revoke", "copy.keep", "copy.key", "patient.enrol",
    )
)  # fmt: skip
SHOWS_NO_RECORD: Final = frozenset(
    (
        "account.list", "checkpoint", "client.list", "config", "consent.prepare", "consent.prepare_revocation",
        "copy.look", "doctor", "fsck", "governance.list", "issuer.keys", "network.describe", "network.status",
        "org.list", "parameters.show", "practitioner.list", "practitioner.look", "practitioner.prepare", "receipt",
        "status",
    )
)  # fmt: skip


async def enter_act(node: CommandContext, name: str, params: dict[str, Any], result: dict[str, Any]) -> None:
    """The entry of this command, if it is one of `ENTERED`, is durable when it returns. Raises Unavailable."""
    act = ENTERED.get(name)
    if act is not None:
        said = " ".join(str(result.get(field, params.get(field, ""))) for field in act.about)
        await NodeHouseLog(node.backend).enter(Event(act.what, "", act.actor, about=said[:ABOUT_MAX].strip()))
