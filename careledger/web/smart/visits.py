"""Who is at this browser, and whether a request really comes from our page: cookies, CSRF token, Origin.

A visitor has a cookie of random bytes before signing in: challenges and half-done enrolments belong to it. Signing in
gives another one, the session's. Every POST carries the CSRF token of its page and the Origin of this node.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from careledger.primitives.errors import NotPermitted, Unauthenticated
from careledger.primitives.hashing import tagged
from careledger.smart.passkeys import RelyingParty
from careledger.smart.sessions import ABSOLUTE_MS, STEP_UP_MS, SignedIn, find_session, session_key
from careledger.smart.tables import base64url, new_secret
from careledger.smart.wording import LANGUAGES, Language
from careledger.vault.registry import Registry
from careledger.web.smart.messages import SmartRequest

SESSION, VISIT, LANGUAGE = "careledger", "careledger-visit", "careledger-language"
PROVIDER: Final = "careledger-provider"
PROVIDER_S: Final = 600
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_BROWSERS: Final = ("Edg", "OPR", "Firefox", "Chrome", "Safari")
_SYSTEMS: Final = ("Android", "iPhone", "iPad", "Windows", "Mac OS X", "Linux")
_SHOWN_AS: Final[Mapping[str, str]] = {"Edg": "Edge", "OPR": "Opera", "Mac OS X": "macOS"}


class NotFromOurPage(NotPermitted):
    """The request does not come from a page of this node (or from one of another session)."""

    code = "not-from-our-page"

    def __init__(self) -> None:
        super().__init__("this did not come from our page", hint="open the page again, then repeat")


@dataclass(slots=True)
class Visit:
    """One request of one browser. `cookies` are the Set-Cookie lines that its answer carries."""

    request: SmartRequest
    party: RelyingParty
    language: Language
    secret: str
    signed_in: SignedIn | None
    now_ms: int
    cookies: list[str] = field(default_factory=list)

    @property
    def csrf(self) -> str:
        """What every form of this page carries."""
        if self.signed_in is not None:
            return base64url(self.signed_in.session.csrf)
        return base64url(tagged("cl1.csrf", self.secret.encode()))

    @property
    def binding(self) -> bytes:
        """Whom a challenge is for: this session, or this visitor."""
        if self.signed_in is not None:
            return self.signed_in.key
        return tagged("cl1.visit", self.secret.encode())

    @property
    def session_cookie(self) -> str:
        """The session's cookie as the browser sent it."""
        return self.request.cookie(_name(SESSION, self.party))

    @property
    def label(self) -> str:
        """The browser in a few words, for the list of sessions; never the whole user agent."""
        agent = self.request.headers.get(b"user-agent", b"")[:400].decode("latin-1")
        browser = next((one for one in _BROWSERS if one in agent), "")
        system = next((one for one in _SYSTEMS if one in agent), "")
        words = [_SHOWN_AS.get(one, one) for one in (browser, system) if one]
        return " · ".join(words) or "?"

    @property
    def fresh_seconds(self) -> int:
        """For how long yet no new verification is asked for: our script then sends forms without one."""
        if self.signed_in is None:
            return 0
        left_ms = self.signed_in.session.verified_ms + STEP_UP_MS - self.now_ms
        return max(0, min(left_ms, STEP_UP_MS) // 1000)

    def need(self) -> SignedIn:
        """Who is signed in. Raises Unauthenticated."""
        if self.signed_in is None:
            raise Unauthenticated("sign in first", hint="use your passkey", code="sign-in-needed")
        return self.signed_in

    def take_in(self, cookie: str, signed_in: SignedIn) -> None:
        """The browser gets the session's cookie; the visitor's goes."""
        self.signed_in = signed_in
        self.cookies.append(_cookie(SESSION, cookie, self.party, "Lax", ABSOLUTE_MS // 1000))
        self.cookies.append(_cookie(VISIT, "", self.party, "Strict", 0))

    def send_away(self) -> None:
        """The browser forgets its session."""
        self.signed_in = None
        self.cookies.append(_cookie(SESSION, "", self.party, "Lax", 0))

    def set_out(self) -> str:
        """A secret that comes back with the browser from the organisation's provider (a strict cookie would not)."""
        secret = new_secret()
        self.cookies.append(_cookie(PROVIDER, secret, self.party, "Lax", PROVIDER_S))
        return secret

    def come_back(self) -> str:
        """The secret that it set out with, '' if it did not; the browser forgets it."""
        secret = self.request.cookie(_name(PROVIDER, self.party))
        self.cookies.append(_cookie(PROVIDER, "", self.party, "Lax", 0))
        return secret

    def speak(self, language: Language) -> None:
        """The pages' language from now on."""
        self.language = language
        self.cookies.append(_cookie(LANGUAGE, language, self.party, "Lax", 365 * 86_400))

    @property
    def is_by_script(self) -> bool:
        """A script of our own page asks: no link, form, frame or other page (Fetch Metadata, which every browser sends here).

        Who sends none of it is no browser, and has nobody else's cookie.
        """
        headers = self.request.headers
        site, into = headers.get(b"sec-fetch-site", b"same-origin"), headers.get(b"sec-fetch-dest", b"empty")
        return site == b"same-origin" and into == b"empty"

    def check_post(self, token: str) -> None:
        """Raises NotFromOurPage unless Origin and CSRF token are those of a page that this browser has from us."""
        headers = self.request.headers
        site = headers.get(b"sec-fetch-site", b"same-origin")
        if headers.get(b"origin", b"").decode("latin-1") != self.party.origin or site != b"same-origin":
            raise NotFromOurPage
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self.csrf.encode()):
            raise NotFromOurPage


def read_visit(request: SmartRequest, registry: Registry, party: RelyingParty, now_ms: int) -> Visit:
    """Who that is. A new visitor gets a cookie; nothing is written."""
    signed_in = find_session(registry, request.cookie(_name(SESSION, party)), now_ms)
    secret = request.cookie(_name(VISIT, party))
    visit = Visit(request, party, _language(request, party), secret, signed_in, now_ms)
    if signed_in is None and not _SECRET.fullmatch(secret):
        visit.secret = new_secret()
        visit.cookies.append(_cookie(VISIT, visit.secret, party, "Strict", 3600))
    return visit


def is_session(cookie: str, signed_in: SignedIn) -> bool:
    """The cookie is this session's."""
    return session_key(cookie) == signed_in.key


def _language(request: SmartRequest, party: RelyingParty) -> Language:
    """The chosen one, else the first of ours that the browser names."""
    chosen = request.cookie(_name(LANGUAGE, party))
    named = [
        part.strip()[:2]
        for part in request.headers.get(b"accept-language", b"")[:200].decode("latin-1").split(",")
    ]
    return next((one for wanted in (chosen, *named) for one in LANGUAGES if one == wanted), "en")


def _name(name: str, party: RelyingParty) -> str:
    """`__Host-` wants https; only http://localhost is without."""
    return f"__Host-{name}" if party.origin.startswith("https://") else name


def _cookie(name: str, value: str, party: RelyingParty, same_site: str, seconds: int) -> str:
    secure = "; Secure" if party.origin.startswith("https://") else ""
    return f"{_name(name, party)}={value}; Path=/; HttpOnly; SameSite={same_site}; Max-Age={seconds}{secure}"
