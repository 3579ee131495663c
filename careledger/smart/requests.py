"""Authorisation requests: what a program asks of a person, checked before anybody is asked anything.

Two kinds of refusal. Where the program or its redirect URI is not known for certain, nothing is sent anywhere: the
person sees a page (`OAuthError` with no redirect). Everything else goes back to the program with `error`, `state` and
`iss` (RFC 6749, 4.1.2.1; RFC 9207). PKCE with S256 and a state are demanded of every program (OAuth 2.1; SMART App
Launch 2.2). Pushed requests (RFC 9126) are checked alike, once, before they are kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from careledger.access.actor import DEFAULT_PURPOSE
from careledger.access.decision import EMERGENCY_PURPOSE
from careledger.smart.clients import Client, find_client
from careledger.smart.errors import OAuthError
from careledger.smart.own import is_own
from careledger.smart.redirects import matches
from careledger.smart.tables import Found, Table, new_secret, secret_key
from careledger.vault.registry import Registry, RegistryMoved

PUSHED_MS: Final = 60_000
PENDING_MS: Final = 15 * 60_000
"""How long a person may take to sign in and decide."""
PUSHED_PREFIX: Final = "urn:ietf:params:oauth:request_uri:"
VALUE_MAX: Final = 4096
PARAMETERS_MAX: Final = 40
STATE_LEAST: Final = 8
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_PRINTABLE = re.compile(r"[ -~]*", re.ASCII)
_JKT = _CHALLENGE
PROMPTS: Final = frozenset(("none", "login", "consent", "select_account"))


class AuthorisationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A checked request. `redirect_uri` is exactly the one asked with; `max_age_s` -1 for none."""

    client: str
    redirect_uri: str
    scope: str
    state: str
    challenge: str
    nonce: str = ""
    launch: str = ""
    prompt: tuple[str, ...] = ()
    max_age_s: int = -1
    dpop_jkt: str = ""
    purpose: str = DEFAULT_PURPOSE


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A checked request that waits: pushed by its program, or for its person."""

    request: AuthorisationRequest
    is_pushed: bool
    asked_ms: int
    account: str = ""
    context: dict[str, str] | None = None
    """What the launch established for `account`; None while nobody has taken the request up."""


PENDING: Final = Table("request", Pending)


class RedirectedError(Exception):
    """A refusal that goes back to the program."""

    def __init__(self, error: OAuthError, redirect_uri: str, state: str) -> None:
        super().__init__(error.error)
        self.error, self.redirect_uri, self.state = error, redirect_uri, state


def read_parameters(pairs: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    """Parameters by name. Raises OAuthError: repeated ones, too many, too long (RFC 6749, 3.1)."""
    if len(pairs) > PARAMETERS_MAX:
        raise OAuthError("invalid_request", "too many parameters")
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise OAuthError("invalid_request", "a parameter is given twice", code="parameter-repeated")
        if len(value) > VALUE_MAX:
            raise OAuthError("invalid_request", "a parameter is too long", code="parameter-length")
        found[name] = value
    return found


def read_request(registry: Registry, parameters: Mapping[str, str], base: str) -> AuthorisationRequest:
    """The request, if all of it holds. `base` is the FHIR base, which `aud` must name.

    Raises OAuthError (a page) or RedirectedError (back to the program).
    """
    client = _client_of(registry, parameters)
    redirect_uri = parameters.get("redirect_uri", "")
    if not matches(client.redirect_uris, redirect_uri):
        raise OAuthError(
            "invalid_request",
            "the redirect_uri is not one that this program registered",
            hint="send exactly a registered one: careledger client list",
            code="redirect-uri",
        )
    state = parameters.get("state", "")
    try:
        return _checked(client, parameters, redirect_uri, base)
    except OAuthError as error:
        raise RedirectedError(error, redirect_uri, state) from error


def _client_of(registry: Registry, parameters: Mapping[str, str]) -> Client:
    client = find_client(registry, parameters.get("client_id", ""))
    if client is None or "authorization_code" not in client.grant_types:
        raise OAuthError(
            "unauthorized_client",
            "this program is not known here, or may not ask people",
            hint="register it: careledger client add",
            code="client-unknown",
        )
    return client


def _checked(
    client: Client, parameters: Mapping[str, str], redirect_uri: str, base: str
) -> AuthorisationRequest:
    """Raises OAuthError, which goes back to the program."""
    for name in ("request", "registration", "claims", "request_uri"):
        if name in parameters:
            raise OAuthError("request_not_supported", f"the parameter {name} is not supported here")
    if parameters.get("response_type") != "code":
        raise OAuthError("unsupported_response_type", "only response_type=code is given")
    if parameters.get("response_mode", "query") != "query":
        raise OAuthError("invalid_request", "only response_mode=query is given")
    if len(parameters.get("state", "")) < STATE_LEAST:
        raise OAuthError("invalid_request", "a state that nobody guesses is needed", code="state-missing")
    for name in ("state", "nonce", "scope", "launch"):
        if not _PRINTABLE.fullmatch(parameters.get(name, "")):
            raise OAuthError("invalid_request", f"{name} holds characters that it may not")
    _check_challenge(parameters)
    if parameters.get("aud", "").rstrip("/") != base:
        raise OAuthError(
            "invalid_request", "aud is not this server's FHIR base", hint=f"send aud={base}", code="aud"
        )
    scope = parameters.get("scope", "")
    if not scope:
        raise OAuthError("invalid_scope", "no scope is asked for")
    jkt = parameters.get("dpop_jkt", "")
    if (jkt or client.dpop_bound) and not _JKT.fullmatch(jkt):
        raise OAuthError("invalid_request", "dpop_jkt is no thumbprint", code="dpop-jkt")
    return AuthorisationRequest(
        client=client.id,
        redirect_uri=redirect_uri,
        scope=scope,
        state=parameters["state"],
        challenge=parameters["code_challenge"],
        nonce=parameters.get("nonce", ""),
        launch=parameters.get("launch", ""),
        prompt=_prompt(parameters),
        max_age_s=_max_age(parameters),
        dpop_jkt=jkt,
        purpose=_purpose(client, parameters),
    )


def _purpose(client: Client, parameters: Mapping[str, str]) -> str:
    """Why the person asks (HL7 PurposeOfUse). The node's own application alone may say that it is an emergency.

    That alone opens nothing: a chart is open for this purpose only after `$emergency-access` to it.
    """
    asked = parameters.get("purpose_of_use", "")
    if not is_own(client) or asked in ("", DEFAULT_PURPOSE):
        return DEFAULT_PURPOSE  # RFC 6749, 3.1: what is not known is ignored
    if asked != EMERGENCY_PURPOSE:
        raise OAuthError("invalid_request", "nothing is given for this purpose", code="purpose")
    return asked


def _check_challenge(parameters: Mapping[str, str]) -> None:
    """PKCE, S256 alone: `plain`, and leaving it out, are refused (RFC 9700, 2.1.1)."""
    if parameters.get("code_challenge_method") != "S256":
        raise OAuthError("invalid_request", "code_challenge_method must be S256", code="pkce-method")
    if not _CHALLENGE.fullmatch(parameters.get("code_challenge", "")):
        raise OAuthError(
            "invalid_request", "code_challenge is no SHA-256 in base64url", code="pkce-challenge"
        )


def _prompt(parameters: Mapping[str, str]) -> tuple[str, ...]:
    asked = tuple(parameters.get("prompt", "").split())
    if not PROMPTS.issuperset(asked) or ("none" in asked and len(asked) > 1):
        raise OAuthError("invalid_request", "prompt is not understood", code="prompt")
    return asked


def _max_age(parameters: Mapping[str, str]) -> int:
    text = parameters.get("max_age", "")
    if not text:
        return -1
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise OAuthError("invalid_request", "max_age is no number of seconds", code="max-age")
    return int(text)


async def push(registry: Registry, request: AuthorisationRequest, now_ms: int) -> str:
    """Keep a checked request for a minute: its `request_uri` (RFC 9126, 2.2)."""
    pending = Pending(request=request, is_pushed=True, asked_ms=now_ms)
    return PUSHED_PREFIX + await _keep(registry, pending, now_ms + PUSHED_MS)


async def take_pushed(registry: Registry, request_uri: str, client: str) -> AuthorisationRequest:
    """The request that this client pushed; once. Raises OAuthError."""
    found = _find(registry, request_uri.removeprefix(PUSHED_PREFIX))
    known = found is not None and found.value.is_pushed and request_uri.startswith(PUSHED_PREFIX)
    if found is None or not known or found.value.request.client != client:
        raise _gone()
    try:
        await registry.change(PENDING.drop(found))
    except RegistryMoved:
        raise _gone() from None
    return found.value.request


async def keep(registry: Registry, request: AuthorisationRequest, now_ms: int) -> str:
    """Keep a request until its person has decided: the ticket of its page."""
    pending = Pending(request=request, is_pushed=False, asked_ms=now_ms)
    return await _keep(registry, pending, now_ms + PENDING_MS)


async def _keep(registry: Registry, pending: Pending, until_ms: int) -> str:
    ticket = new_secret()
    key = secret_key("cl1.request", ticket)
    await registry.change(PENDING.put(key, pending, expected=0, expires_ms=until_ms))
    return ticket


def find_pending(registry: Registry, ticket: str) -> Found[Pending]:
    """The request behind a page's ticket. Raises OAuthError if it has ended."""
    found = _find(registry, ticket)
    if found is None or found.value.is_pushed:
        raise _gone()
    return found


async def take_up(
    registry: Registry, found: Found[Pending], account: str, context: dict[str, str]
) -> Found[Pending]:
    """Somebody has taken the request up, in this context. Raises OAuthError if somebody else did meanwhile."""
    pending = msgspec.structs.replace(found.value, account=account, context=context)
    try:
        await registry.change(PENDING.renew(found, pending))
    except RegistryMoved:
        raise _gone() from None
    return Found(found.key, pending, found.version + 1, found.expires_ms)


async def finish(registry: Registry, found: Found[Pending]) -> None:
    """The request is answered, once. Raises OAuthError if it was already."""
    try:
        await registry.change(PENDING.drop(found))
    except RegistryMoved:
        raise _gone() from None


def _find(registry: Registry, ticket: str) -> Found[Pending] | None:
    return PENDING.get(registry, secret_key("cl1.request", ticket))


def _gone() -> OAuthError:
    return OAuthError(
        "invalid_request",
        "this request has ended or was answered",
        hint="begin again in the program that you came from",
        code="request-gone",
    )
