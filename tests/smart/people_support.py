"""Invented people with their devices, for the tests of accounts, passkeys, sessions and recovery."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from careledger.smart.accounts import Account, add_account
from careledger.smart.passkeys import (
    Passkey,
    RelyingParty,
    Verified,
    begin_registration,
    begin_sign_in,
    finish_sign_in,
    keep_passkey,
    read_registration,
)
from careledger.vault.registry import Change
from tests.smart.authenticator import HONEST, Authenticator, Credential, Forgery
from tests.smart.registry import MemoryRegistry

NOW = 1_790_000_000_000
PARTY = RelyingParty("http://localhost:8080", "Riverside")
BROWSER = b"browser"
T = TypeVar("T")

ROSA = Account(id="rosa", kind="patient", name="Rosa Quiroga", fhir_user="Patient/p1", created_ms=1)
CHEN = Account(
    id="chen", kind="clinician", name="Dr. Mei Chen", fhir_user="Practitioner/d1", roles=("physician",)
)
ADA = Account(id="ada", kind="administrator", name="Ada Obi", duties=("keys", "users", "audit"))
BELA = Account(id="bela", kind="administrator", name="Bela Novak", duties=("users",))


class TimedRegistry(MemoryRegistry):
    """Whose clock the test sets."""

    def __init__(self, now_ms: int = NOW) -> None:
        super().__init__(lambda: self.now_ms)
        self.now_ms = now_ms

    async def change(self, *changes: Change) -> None:
        await asyncio.sleep(0)  # as on disk: whoever else is at it goes on meanwhile
        await super().change(*changes)

    def dump(self) -> bytes:
        """Everything that is stored."""
        return b"".join(key + entry.value for (_, key), entry in self._entries.items())


def run(doing: Coroutine[Any, Any, T]) -> T:
    """In a thread of its own: the browser's tests have a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, doing).result()


def new_registry(*accounts: Account) -> TimedRegistry:
    registry = TimedRegistry()
    for account in accounts:
        run(add_account(registry, account))
    return registry


def enrol(
    registry: TimedRegistry,
    account: Account,
    device: Authenticator,
    *,
    forge: Forgery = HONEST,
    now_ms: int = NOW,
    browser: bytes = BROWSER,
) -> Passkey:
    """A passkey of the account, made by the device, through the whole ceremony."""

    async def ceremony() -> Passkey:
        options = await begin_registration(registry, PARTY, account, browser, now_ms, "add")
        passkey = await read_registration(
            registry, PARTY, account.id, browser, device.create(options, forge),
            label="phone", now_ms=now_ms, purpose="add",
        )  # fmt: skip
        await registry.change(*keep_passkey(registry, passkey))
        return passkey

    return run(ceremony())


def sign_in(
    registry: TimedRegistry,
    device: Authenticator,
    *,
    forge: Forgery = HONEST,
    now_ms: int = NOW,
    browser: bytes = BROWSER,
    key: Credential | None = None,
    account: str = "",
) -> Verified:
    """Whom the node takes the holder of the device for."""

    async def ceremony() -> Verified:
        options = await begin_sign_in(registry, PARTY, browser, now_ms, account=account)
        answer = device.get(options, forge, key)
        return await finish_sign_in(registry, PARTY, browser, answer, now_ms, account=account)

    return run(ceremony())
