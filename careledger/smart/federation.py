"""Signing in at the organisation's own provider: what is kept of a begun sign-in, and what its answer must be.

A begun sign-in is for one browser (its cookie), ten minutes and one answer, whatever the answer is. The answer and the
ID token must be of the configured issuer (mix-up, RFC 9207 and RFC 9700, 4.4), for this client and this nonce, with
the `acr` or `amr` that was demanded; the account is the one that an administrator linked to the subject, or none.
All refusals but the last look alike from outside; `reason` is for the node's log.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Final

import msgspec

from careledger.primitives.errors import Invalid, Unauthenticated
from careledger.primitives.hashing import tagged
from careledger.smart.id_tokens import Asserted, Wanted, read_id_token, verify_id_token
from careledger.smart.json import Unreadable
from careledger.smart.links import check_subject, find_linked, is_linked
from careledger.smart.passkeys import Verified
from careledger.smart.provider import Provider
from careledger.smart.tables import Table, new_secret, secret_key
from careledger.vault.registry import Registry, RegistryMoved

BEGUN_MS: Final = 600_000
CODE_MAX: Final = 4096
FRESH_LEEWAY_MS: Final = 5_000
"""The provider counts in whole seconds, by a clock of its own."""


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that was sent to the provider. `account` and `session` are set where somebody signed in confirms."""

    binding: bytes
    nonce: str
    verifier: str
    account: str
    session: bytes
    ticket: str
    begun_ms: int
    until_ms: int


BEGUN: Final = Table("request", Begun, b"provider:")


class FederationRefused(Unauthenticated):
    """The provider's answer is not accepted. Whatever the reason, the person is told the same; the log is told it."""

    code = "provider-refused"

    def __init__(self, reason: str) -> None:
        super().__init__(
            "this sign-in was not accepted", hint="try again, or use your passkey; nothing was changed"
        )
        self.reason = reason


class NotLinked(FederationRefused):
    """The provider has verified somebody whom no administrator linked. They, and nobody else, are told their subject."""

    def __init__(self, subject: str) -> None:
        super().__init__("not-linked")
        self.code, self.hint = "provider-not-linked", subject


@dataclass(frozen=True, slots=True)
class Answer:
    """What the browser brought back, as it came; '' for what is not there."""

    state: str
    code: str
    issuer: str
    error: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Who signed in, when they proved it (ms; 0 if the provider does not say), and what the sign-in was begun for."""

    verified: Verified
    verified_ms: int
    begun: Begun


def bind(secret: str) -> bytes:
    """Whom a begun sign-in is for: the browser with this cookie."""
    return tagged("cl1.provider-browser", secret.encode())


async def begin(
    provider: Provider, registry: Registry, secret: str, now_ms: int, *, ticket: str = "", account: str = "",
    session: bytes = b"",
) -> str:  # fmt: skip
    """Where the browser goes. With `account` and `session` somebody signed in confirms: freshly, and only they."""
    state, nonce, verifier = new_secret(), new_secret(), new_secret()
    address = await provider.ask(now_ms, state=state, nonce=nonce, verifier=verifier, fresh=bool(account))
    until_ms = now_ms + BEGUN_MS
    begun = Begun(
        binding=bind(secret), nonce=nonce, verifier=verifier, account=account, session=session, ticket=ticket,
        begun_ms=now_ms, until_ms=until_ms,
    )  # fmt: skip
    await registry.change(BEGUN.put(_key(state), begun, expected=0, expires_ms=until_ms))
    return address


async def finish(
    provider: Provider, registry: Registry, answer: Answer, secret: str, session: bytes, now_ms: int
) -> Finished:
    """Who that is; `session` is the browser's own, b"" without one. Raises FederationRefused, Unavailable."""
    begun = await _take(registry, answer.state, now_ms)
    if not secret or not hmac.compare_digest(begun.binding, bind(secret)):
        raise FederationRefused("another-browser")
    if begun.session != b"" and begun.session != session:
        raise FederationRefused("another-session")
    names_itself = (await provider.end_points(now_ms)).names_itself
    if answer.issuer != provider.issuer and (answer.issuer or names_itself):
        raise FederationRefused("another-issuer")
    if answer.error or not 0 < len(answer.code) <= CODE_MAX:
        raise FederationRefused("no-code")
    asserted = await _ask_for(provider, begun, answer.code, now_ms)
    if provider.demanded not in asserted.methods:
        raise FederationRefused("not-the-demanded-acr")
    verified = _find(provider, registry, asserted)
    if begun.account:
        _check_fresh(begun, verified, asserted)
    return Finished(verified, asserted.verified_ms, begun)


async def _take(registry: Registry, state: str, now_ms: int) -> Begun:
    """It is gone, whatever comes of the answer."""
    found = BEGUN.get(registry, _key(state)) if state else None
    if found is None:
        raise FederationRefused("state")
    try:
        await registry.change(BEGUN.drop(found))
    except RegistryMoved:
        raise FederationRefused("state") from None
    if now_ms >= found.value.until_ms:
        raise FederationRefused("state")
    return found.value


async def _ask_for(provider: Provider, begun: Begun, code: str, now_ms: int) -> Asserted:
    try:
        tokens = await provider.exchange(code, begun.verifier, now_ms)
        token = read_id_token(tokens.id_token)
        key = await provider.find_key(token, now_ms)
        if key is None:
            raise Unreadable("the provider has no such key")
        wanted = Wanted(provider.issuer, provider.client_id, begun.nonce, tokens.access_token, now_ms)
        return verify_id_token(token, key, wanted)
    except Unreadable as error:
        raise FederationRefused(error.message) from error


def _find(provider: Provider, registry: Registry, asserted: Asserted) -> Verified:
    try:
        subject = check_subject(asserted.subject)
    except Invalid as error:
        raise FederationRefused("subject") from error
    verified = find_linked(registry, provider.issuer, subject)
    if verified is not None:
        return verified
    if is_linked(registry, provider.issuer, subject):
        raise FederationRefused("account-disabled")
    raise NotLinked(subject)


def _check_fresh(begun: Begun, verified: Verified, asserted: Asserted) -> None:
    """Whoever confirms is the one signed in, and proved it after they were asked."""
    if verified.account.id != begun.account:
        raise FederationRefused("another-account")
    if asserted.verified_ms < begun.begun_ms - FRESH_LEEWAY_MS:
        raise FederationRefused("not-fresh")


def _key(state: str) -> bytes:
    return secret_key("cl1.provider-state", state)
