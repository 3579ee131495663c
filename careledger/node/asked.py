"""What workers ask the writer on behalf of those who use `/api`: a literal table, beside the operator's commands.

Each takes the verified caller of the request (`callers.Packed`) where what it answers depends on who asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from careledger.node import handing
from careledger.node.commands import Function

ASKED: Mapping[str, Function] = MappingProxyType(
    {
        "asked.receipt": handing.receipt,
        "asked.export": handing.export,
        "asked.export.piece": handing.piece,
        "asked.export.drop": handing.drop,
    }
)
