"""Challenges of passkeys: for one purpose, one account (or none), one browser; used once; gone after two minutes."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from careledger.smart.credentials import PasskeyRefused
from careledger.smart.tables import Table, new_secret, secret_key
from careledger.vault.registry import Registry, RegistryMoved

CHALLENGE_MS: Final = 120_000
Purpose = Literal["enrol", "add", "recover", "sign-in", "step-up"]


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked: of whom (`account` is empty at sign-in), by which browser (`binding`)."""

    purpose: Purpose
    account: str
    binding: bytes
    until_ms: int


CHALLENGES: Final = Table("request", Challenge, b"challenge:")


async def ask(registry: Registry, purpose: Purpose, account: str, binding: bytes, now_ms: int) -> str:
    """A new challenge, durable before it is shown: 43 characters."""
    challenge, until_ms = new_secret(), now_ms + CHALLENGE_MS
    asked = Challenge(purpose=purpose, account=account, binding=binding, until_ms=until_ms)
    key = secret_key("cl1.challenge", challenge)
    await registry.change(CHALLENGES.put(key, asked, expected=0, expires_ms=until_ms))
    return challenge


async def take(
    registry: Registry, challenge: str, purpose: Purpose, account: str, binding: bytes, now_ms: int
) -> None:
    """The challenge is gone, whatever comes of the answer. Raises PasskeyRefused unless it was asked just so."""
    found = CHALLENGES.get(registry, secret_key("cl1.challenge", challenge))
    if found is None:
        raise PasskeyRefused("challenge")
    try:
        await registry.change(CHALLENGES.drop(found))
    except RegistryMoved:
        raise PasskeyRefused("challenge") from None
    asked = found.value
    is_as_asked = (asked.purpose, asked.account, asked.binding) == (purpose, account, binding)
    if not is_as_asked or now_ms >= asked.until_ms:
        raise PasskeyRefused("challenge")
