"""The organisation's own OpenID provider, and this node as its client: where its end points and keys are, and the code
that is exchanged there. Authlib is the client; what goes over the network goes through one small interface.

Every address is of the configured issuer's own origin: a document that names another is refused whole. Document and
key set are small, kept for a while, fetched by one at a time; a failure is kept too, so that nobody makes this node
knock all day.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.client import OAuth2Client

from careledger.primitives.errors import Invalid, Unavailable
from careledger.smart.id_tokens import IdToken, find_key
from careledger.smart.json import TEXT, Unreadable, read_object

DOCUMENT_BYTES_MAX: Final = 65_536
KEPT_MS: Final = 3_600_000
KEYS_KEPT_MS: Final = 300_000
FAILURE_KEPT_MS: Final = 15_000
ASKED_AGAIN_MS: Final = 30_000
"""So long after a fetch an unknown `kid` makes nobody fetch again."""
DISCOVERY: Final = "/.well-known/openid-configuration"
SCOPE: Final = "openid"
METHODS: Final = ("client_secret_basic", "client_secret_post")
_ADDRESS = re.compile(
    r"https?://[a-z0-9](?:[a-z0-9.\-]{0,251}[a-z0-9])?(?::[1-9][0-9]{0,4})?(?:/[A-Za-z0-9._~\-/]{0,400})?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Sent:
    """A request to the provider: GET without a body, POST with a form."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Got:
    """Its answer, whole; never a redirect that was followed."""

    status: int
    body: bytes


class Fetch(Protocol):
    """What the node passes in: one request over TLS to this one origin, limits of time and size, no redirects."""

    async def fetch(self, sent: Sent) -> Got:
        """Raises Unavailable for whatever is no answer in time and size."""
        ...


@dataclass(frozen=True, slots=True)
class EndPoints:
    """What the provider's document says."""

    authorization: str
    token: str
    keys: str
    method: str  # how this node proves itself at the token end point
    names_itself: bool  # every answer carries `iss` (RFC 9207)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What came for a code. The access token is used for `at_hash` and nothing else."""

    id_token: str
    access_token: str


@dataclass(slots=True)
class _Kept:
    value: Any  # None: it could not be had
    fetched_ms: int
    until_ms: int


def check_issuer(issuer: str) -> str:
    """The issuer as it is configured. Raises Invalid unless it is https (or http://localhost), plain, without a slash."""
    plain = _ADDRESS.fullmatch(issuer) and not issuer.endswith("/") and "/." not in issuer
    parts = urlsplit(issuer)
    if not plain or (parts.scheme != "https" and parts.hostname != "localhost"):
        raise Invalid(
            "the provider's issuer is no plain https address",
            hint="copy `issuer` out of its openid-configuration, to the letter",
            code="provider-issuer",
        )
    return issuer


def origin_of(address: str) -> str:
    """Scheme, host and port."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


class _Client(OAuth2Client):  # type: ignore[misc]
    """Authlib's client over our one way out; the async turn is what its own integrations make."""

    def __init__(self, fetch: Fetch, **settings: str) -> None:
        super().__init__(None, code_challenge_method="S256", **settings)
        self._fetch = fetch

    async def _fetch_token(
        self, url: str, body: str = "", headers: Any = None, auth: Any = None, method: str = "POST", **_: Any
    ) -> Got:
        # a copy: Authlib's default headers are one dict for everybody, and the secret goes into it
        address, sent, form = auth.prepare(method, url, dict(headers), body)
        return await self._fetch.fetch(Sent(method, address, sent, form.encode()))


@dataclass(slots=True)
class Provider:
    """One provider, named in the configuration. `demanded` is the `acr` or `amr` that each sign-in must show."""

    issuer: str
    client_id: str
    secret: str = field(repr=False)
    demanded: str
    redirect_uri: str
    fetch: Fetch
    _document: _Kept | None = None
    _key_set: _Kept | None = None
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def end_points(self, now_ms: int) -> EndPoints:
        """Where they are. Raises Unavailable."""
        async with self._one:
            if self._document is None or now_ms >= self._document.until_ms:
                address = f"{self.issuer}{DISCOVERY}"
                self._document = await self._get(address, self._read_document, KEPT_MS, now_ms)
            return _had(self._document)  # type: ignore[no-any-return]

    async def find_key(self, token: IdToken, now_ms: int) -> Mapping[str, Any] | None:
        """The key that the token names; a new one may be found by asking again, now and then. Raises Unavailable."""
        address = (await self.end_points(now_ms)).keys
        async with self._one:
            kept = self._key_set
            if kept is None or now_ms >= kept.until_ms:
                kept = self._key_set = await self._get(address, dict, KEYS_KEPT_MS, now_ms)
            found = find_key(_had(kept), token)
            if found is None and now_ms - kept.fetched_ms >= ASKED_AGAIN_MS:
                kept = self._key_set = await self._get(address, dict, KEYS_KEPT_MS, now_ms)
                found = find_key(_had(kept), token)
            return found

    async def ask(self, now_ms: int, *, state: str, nonce: str, verifier: str, fresh: bool) -> str:
        """Where the browser goes: code, PKCE S256, state, nonce; `fresh` demands that the person proves it anew."""
        points = await self.end_points(now_ms)
        more = {"prompt": "login", "max_age": "0"} if fresh else {}
        url, _ = self._client(points).create_authorization_url(
            points.authorization, state=state, code_verifier=verifier, nonce=nonce, acr_values=self.demanded, **more
        )  # fmt: skip
        return str(url)

    async def exchange(self, code: str, verifier: str, now_ms: int) -> Tokens:
        """What the provider gives for the code. Raises Unreadable (not for us), Unavailable."""
        points = await self.end_points(now_ms)
        try:
            got = await self._client(points).fetch_token(
                points.token, grant_type="authorization_code", code=code, code_verifier=verifier
            )
        except (AuthlibBaseError, ValueError, TypeError) as error:
            raise Unreadable("the code cannot be exchanged") from error
        if got.status >= 500:
            raise unavailable("the answer is no 200")
        if got.status != 200:
            raise Unreadable("the code is not accepted")
        answer = read_object(got.body, DOCUMENT_BYTES_MAX)
        tokens = [answer.get(name) for name in ("id_token", "access_token")]
        if not all(isinstance(one, str) and one for one in tokens):
            raise Unreadable("no ID token, or no access token")
        return Tokens(*map(str, tokens))

    def _client(self, points: EndPoints) -> _Client:
        return _Client(
            self.fetch, client_id=self.client_id, client_secret=self.secret, scope=SCOPE,
            redirect_uri=self.redirect_uri, token_endpoint_auth_method=points.method,
        )  # fmt: skip

    async def _get(self, address: str, read: Any, kept_ms: int, now_ms: int) -> _Kept:
        try:
            got = await self.fetch.fetch(Sent("GET", address, {"Accept": "application/json"}))
            if got.status != 200:
                raise Unreadable("the answer is no 200")
            value = read(read_object(got.body, DOCUMENT_BYTES_MAX))
        except (Unavailable, Unreadable):
            return _Kept(None, now_ms, now_ms + FAILURE_KEPT_MS)
        return _Kept(value, now_ms, now_ms + kept_ms)

    def _read_document(self, document: Mapping[str, Any]) -> EndPoints:
        """Raises Unreadable: of another issuer, an address elsewhere, without what this client needs."""
        if document.get("issuer") != self.issuer:
            raise Unreadable("the document is of another issuer")
        methods = document.get("token_endpoint_auth_methods_supported", [METHODS[0]])
        method = next((one for one in METHODS if isinstance(methods, list) and one in methods), "")
        challenges = document.get("code_challenge_methods_supported", ["S256"])
        if not method or not isinstance(challenges, list) or "S256" not in challenges:
            raise Unreadable("no client secret or no S256 there")
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        authorization, token, keys = (self._read_address(document.get(name)) for name in names)
        says = document.get("authorization_response_iss_parameter_supported", False)
        return EndPoints(authorization, token, keys, method, says is not False)

    def _read_address(self, address: object) -> str:
        if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
            raise Unreadable("an address is no plain one")
        if "/." in address or origin_of(address) != origin_of(self.issuer):
            raise Unreadable("an address is of another host than the issuer")
        return address


def check_client(client_id: str, secret: str, demanded: str) -> None:
    """Raises Invalid unless each is a text of 1 to 256 characters without control characters."""
    if not all(TEXT.fullmatch(one) for one in (client_id, secret, demanded)):
        raise Invalid(
            "the provider's client needs an id, a secret and the acr or amr that it must show",
            hint="set smart.provider_client_id, smart.provider_secret_file, smart.provider_acr",
            code="provider-client",
        )


def unavailable(why: str) -> Unavailable:
    """The provider does not answer as one."""
    return Unavailable(
        f"the organisation's sign-in cannot be used now ({why})",
        hint="use your passkey, or try again in a minute",
        code="provider-unavailable",
    )


def _had(kept: _Kept) -> Any:
    if kept.value is None:
        raise unavailable("no document or no keys")
    return kept.value
