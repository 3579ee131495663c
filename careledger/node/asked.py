"""What workers ask the writer on behalf of those who use `/api`: a literal table, beside the operator's commands.

Each takes the verified caller of the request (`callers.Packed`) where what it answers depends on who asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from careledger.node import copying, deciding, handing, network_facts
from careledger.node.commands import Function

ASKED: Mapping[str, Function] = MappingProxyType(
    {
        "asked.receipt": handing.receipt,
        "asked.export": handing.export,
        "asked.copy": copying.hand,
        "asked.export.piece": handing.piece,
        "asked.export.drop": handing.drop,
        "asked.consents": deciding.show,
        "asked.consents.prepare": deciding.prepare,
        "asked.consents.grant": deciding.grant,
        "asked.consents.prepare_revocation": deciding.prepare_revocation,
        "asked.consents.revoke": deciding.revoke,
        "asked.network": network_facts.describe,
        "asked.signing": network_facts.show_signing,
        "asked.trust": network_facts.show_trust,
    }
)
