"""The keys that ID tokens are signed with, as the operator lists, rotates and withdraws them by command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from careledger.smart.keys import list_keys, rotate_keys, withdraw_key

if TYPE_CHECKING:
    from careledger.node.commands import CommandContext

Progress = Callable[[dict[str, Any]], None]


async def show(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Every published key: its name, algorithm, from when it signs and until when it is published (ms, 0: open)."""
    return {
        "keys": [
            {
                "kid": key.kid,
                "alg": key.algorithm,
                "signs": key.signs,
                "starts_ms": key.starts_ms,
                "ends_ms": key.ends_ms,
            }
            for key in list_keys(node.registry, node.backend.now_ms())
        ]
    }


async def rotate(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """A successor for every key, published now, signing in an hour. Raises Invalid if eight are published already."""
    await rotate_keys(node.registry, node.backend.now_ms())
    return await show(node, params, progress)


async def withdraw(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The key is published no more; a new one signs, if it did. Raises Invalid for a key that is not there."""
    kid = str(params["kid"])
    await withdraw_key(node.registry, kid, node.backend.now_ms())
    return {"withdrawn": kid, **await show(node, params, progress)}
