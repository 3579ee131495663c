"""The authorisation end point, step by step: who is it, in which context, what may the program have, and the code.

Each step is decided anew from what is kept (`requests.Pending`) and who is signed in; a browser brings nothing but a
ticket and its cookie. What comes of it is a redirect with a code, or with the reason why there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from careledger.access.scopes import Scopes
from careledger.smart import codes, grants, launches, requests, scoping
from careledger.smart.accounts import Account
from careledger.smart.clients import Client, find_client
from careledger.smart.errors import OAuthError
from careledger.smart.grants import OFFLINE_MS, ONLINE_MS, Grant, new_grant_id
from careledger.smart.issuing import Server
from careledger.smart.memories import begin_memory
from careledger.smart.own import is_own
from careledger.smart.remembering import NOT_REMEMBERED, Remembered
from careledger.smart.requests import AuthorisationRequest, Pending, RedirectedError
from careledger.smart.sessions import SignedIn
from careledger.smart.tables import Found

WITH_PATIENT = frozenset(("launch/patient",))


@dataclass(frozen=True, slots=True)
class SignIn:
    """Somebody must sign in first; `again`: even who is signed in."""

    again: bool


@dataclass(frozen=True, slots=True)
class ChoosePatient:
    """The program wants to know which patient it is about."""

    client: Client


@dataclass(frozen=True, slots=True)
class AskConsent:
    """The person must say whether, what and how long. `offered` is the most that can be allowed."""

    client: Client
    offered: Scopes
    patient: str


@dataclass(frozen=True, slots=True)
class Redirect:
    """The browser goes back to the program."""

    url: str


Step = SignIn | ChoosePatient | AskConsent | Redirect


async def next_step(server: Server, found: Found[Pending], signed_in: SignedIn | None) -> Step:
    """What comes next for this browser. Raises OAuthError (a page) or RedirectedError."""
    request = found.value.request
    try:
        if signed_in is None or _must_sign_in_again(found.value, signed_in):
            _never_silent(request, "login_required")
            return SignIn(again=signed_in is not None)
        client = _client_of(server, request)
        offered = _offer(client, request, signed_in.account)
        found = await _take_up(server, found, signed_in.account)
        context = found.value.context or {}
        if _wants_patient(offered, context):
            _never_silent(request, "interaction_required")
            return ChoosePatient(client)
        if is_own(client):
            return await _grant(server, found, signed_in, offered, 0)
        former = _find_allowed(server, request, signed_in.account, offered, context)
        if former is not None and "consent" not in request.prompt:
            return await _grant(server, found, signed_in, offered, 0, former=former)
        _never_silent(request, "consent_required")
        return AskConsent(client, offered, context.get("patient", ""))
    except OAuthError as error:
        raise RedirectedError(error, request.redirect_uri, request.state) from error


async def choose_patient(server: Server, found: Found[Pending], signed_in: SignedIn, patient: str) -> None:
    """The person has chosen; whether she may see that chart, `decide` says at each request. Raises OAuthError."""
    pending = found.value
    if pending.account != signed_in.account.id or pending.context is None or "patient" in pending.context:
        raise OAuthError("invalid_request", "nobody asked for a patient here", code="patient-unasked")
    if not launches.is_id(patient):
        raise OAuthError("invalid_request", "this is not the id of a patient", code="patient-id")
    await requests.take_up(
        server.registry, found, signed_in.account.id, {**pending.context, "patient": patient}
    )


async def answer(
    server: Server,
    found: Found[Pending],
    signed_in: SignedIn,
    kept: tuple[str, ...] | None,
    days: int,
    remembered: Remembered = NOT_REMEMBERED,
) -> Redirect:
    """What the person said on the consent screen: `kept` words of the offer for `days`, None for no. Raises RedirectedError."""
    pending, request = found.value, found.value.request
    try:
        if pending.account != signed_in.account.id or pending.context is None:
            raise OAuthError("access_denied", "this request is somebody else's", code="consent-not-yours")
        if kept is None:
            await requests.finish(server.registry, found)
            raise OAuthError("access_denied", "the person did not allow it", code="consent-refused")
        offered = _offer(_client_of(server, request), request, signed_in.account)
        allowed = scoping.keep(offered, kept)
        if not allowed.scopes and not allowed.session:
            await requests.finish(server.registry, found)
            raise OAuthError("access_denied", "the person allowed nothing", code="consent-nothing")
        return await _grant(server, found, signed_in, allowed, days, remembered)
    except OAuthError as error:
        raise RedirectedError(error, request.redirect_uri, request.state) from error


def redirect_with(url: str, **parameters: str) -> str:
    """A redirect URI with parameters added to its query (RFC 6749, 3.1.2: what it has is kept)."""
    parts = urlsplit(url)
    added = urlencode({name: value for name, value in parameters.items() if value}, quote_via=quote)
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, added)))))


def redirect_error(server: Server, refused: RedirectedError) -> Redirect:
    """The program learns why (RFC 6749, 4.1.2.1; RFC 9207)."""
    error = refused.error
    return Redirect(
        redirect_with(
            refused.redirect_uri,
            error=error.error,
            error_description=error.description,
            state=refused.state,
            iss=server.base,
        )
    )


def _client_of(server: Server, request: AuthorisationRequest) -> Client:
    client = find_client(server.registry, request.client)
    if client is None:
        raise OAuthError("unauthorized_client", "this program was disabled meanwhile", code="client-unknown")
    return client


def _offer(client: Client, request: AuthorisationRequest, account: Account) -> Scopes:
    offered = scoping.limit(scoping.read_scopes(request.scope), client.scope, account)
    if not offered.scopes and not offered.session:
        raise OAuthError("invalid_scope", "nothing that is asked for can be given", code="scope-nothing")
    return offered


async def _take_up(server: Server, found: Found[Pending], account: Account) -> Found[Pending]:
    """The request with the context of its launch, for this account; somebody else may not go on with it."""
    pending = found.value
    if pending.context is not None:
        if pending.account != account.id:
            raise OAuthError(
                "access_denied", "somebody else began to answer this request", code="request-taken"
            )
        return found
    context: dict[str, str] = {}
    if pending.request.launch:
        context = await launches.take(
            server.registry, pending.request.launch, pending.request.client, account.id
        )
    if account.kind == "patient":
        context["patient"] = account.fhir_user.removeprefix("Patient/")
    return await requests.take_up(server.registry, found, account.id, context)


def _must_sign_in_again(pending: Pending, signed_in: SignedIn) -> bool:
    """Whether the request wants a fresher verification than there is (OpenID Connect Core, 3.1.2.1)."""
    verified_ms, request = signed_in.session.verified_ms, pending.request
    if {"login", "select_account"} & set(request.prompt) and verified_ms < pending.asked_ms:
        return True
    return request.max_age_s >= 0 and verified_ms < pending.asked_ms - 1000 * request.max_age_s


def _never_silent(request: AuthorisationRequest, error: str) -> None:
    if "none" in request.prompt:
        raise OAuthError(error, "this needs the person, who was not to be asked")


def _wants_patient(offered: Scopes, context: dict[str, str]) -> bool:
    needed = offered.patient_level or bool(WITH_PATIENT & offered.session)
    return needed and "patient" not in context


def _find_allowed(
    server: Server, request: AuthorisationRequest, account: Account, offered: Scopes, context: dict[str, str]
) -> Grant | None:
    """By which the person allowed this program at least as much, for the same patient, longest; None if nothing stands."""
    standing = (
        one
        for one in grants.list_grants(server.registry, account=account.id, client=request.client)
        if one.is_offline
        and scoping.covers(scoping.read_scopes(one.scope), offered)
        and one.context.get("patient", "") == context.get("patient", "")
    )
    return max(standing, key=lambda one: one.expires_ms, default=None)


async def _grant(
    server: Server,
    found: Found[Pending],
    signed_in: SignedIn,
    allowed: Scopes,
    days: int,
    remembered: Remembered = NOT_REMEMBERED,
    former: Grant | None = None,
) -> Redirect:
    """The program gets its code. By a former grant it gets what that one is, until that one ends, and ends with its
    directive."""
    request, now_ms = found.value.request, server.now_ms()
    is_offline = "offline_access" in allowed.session
    lasts_ms = min(days * 86_400_000 or OFFLINE_MS, OFFLINE_MS) if is_offline else ONLINE_MS
    until_ms = now_ms + lasts_ms
    if former is not None:
        until_ms = min(until_ms, former.expires_ms)
        remembered = Remembered(former.directive, former.code)
    grant = Grant(
        id=new_grant_id(),
        client=request.client,
        account=signed_in.account.id,
        scope=str(allowed),
        context={**(found.value.context or {}), "asked": request.scope},
        created_ms=now_ms,
        used_ms=now_ms,
        expires_ms=until_ms,
        verified_ms=signed_in.session.verified_ms,
        nonce=request.nonce,
        session=signed_in.key,
        is_offline=is_offline,
        dpop_jkt=request.dpop_jkt,
        purpose=request.purpose,
        directive=remembered.directive,
        code=remembered.code,
    )
    await requests.finish(server.registry, found)
    await begin_memory(server.registry, remembered, grant.account, now_ms)
    code = await codes.issue_code(server.registry, grant, request.redirect_uri, request.challenge, now_ms)
    return Redirect(redirect_with(request.redirect_uri, code=code, state=request.state, iss=server.base))
