"""What a program gets: the least of what it asked for, what it is registered for, what its person may, and what the
person allowed. Nothing ever widens (property-tested in `access.scopes.narrow`); each step only takes away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from careledger.access.scopes import (
    SCOPES_MAX,
    WITHOUT_RESOURCES,
    Scope,
    Scopes,
    combine,
    narrow,
    parse_scope,
    parse_scopes,
    with_session,
)
from careledger.primitives.errors import Invalid
from careledger.smart.accounts import Account
from careledger.smart.errors import OAuthError

USER_SCOPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "patient": "patient/*.crus",
        "clinician": "patient/*.cruds user/*.cruds",
        "administrator": "",
    }
)
"""Kind of account -> the most that a program may do in its name. Whose record it is, `decide` says at each request."""


def read_scopes(text: str) -> Scopes:
    """Scopes that a program asks for. Raises OAuthError (`invalid_scope`)."""
    try:
        return parse_scopes(text)
    except Invalid as error:
        raise OAuthError("invalid_scope", error.message, hint=error.hint, code=error.code) from error


def limit(requested: Scopes, registered: str, account: Account) -> Scopes:
    """What a program may be allowed by this person, before the person has said anything. Raises OAuthError.

    `system/` is for services alone: asked with a person it is narrowed to what the person may do.
    """
    mine = USER_SCOPES[account.kind]
    most = with_session(read_scopes(mine)) if mine else combine((), WITHOUT_RESOURCES)
    return _least(_least(requested, read_scopes(registered)), most)


def limit_service(requested: Scopes, registered: str) -> Scopes:
    """What a service without a person gets: `system/` scopes alone. Raises OAuthError."""
    if requested.session or any(scope.level != "system" for scope in requested.scopes):
        raise OAuthError("invalid_scope", "a service asks for system/ scopes", hint="system/*.rs")
    return _least(requested, read_scopes(registered))


def keep(limited: Scopes, kept: Iterable[str]) -> Scopes:
    """What the person kept of what was offered, word by word. Raises OAuthError for anything that was not."""
    words = tuple(kept)
    if not set(words) <= set(str(limited).split()):
        raise OAuthError(
            "access_denied", "something was allowed that was not asked for", code="consent-widened"
        )
    parsed = [scope for scope in map(parse_scope, words) if scope is not None]
    return combine(parsed, WITHOUT_RESOURCES.intersection(words))


def lessen(asked: str, granted: str) -> Scopes:
    """Scopes of a refresh: those of the grant, or the fewer ones asked for now. Raises OAuthError."""
    held = read_scopes(granted)
    if not asked:
        return held
    wanted = read_scopes(asked)
    least = _least(wanted, held)
    if not covers(least, wanted):
        raise OAuthError("invalid_scope", "more is asked for than was granted", code="scope-widened")
    return least


def covers(granted: Scopes, asked: Scopes) -> bool:
    """Whether everything asked for is granted."""
    return asked.session <= granted.session and all(_is_given(scope, granted) for scope in asked.scopes)


def spell(granted: Scopes, asked: str) -> str:
    """The granted scopes as the program spelled them, where it gets all that it asked for: `.read` stays `.read`."""
    if not asked:
        return str(granted)
    words: list[str] = []
    said: list[Scope] = []
    for word in dict.fromkeys(asked.split(" ")):
        scope = parse_scope(word)
        if (scope is None and word in granted.session) or (scope is not None and _is_given(scope, granted)):
            words.append(word)
            said += [] if scope is None else [scope]
    told = combine(said)
    rest = [str(scope) for scope in granted.scopes if not _is_given(scope, told)]
    return " ".join([*words, *rest][:SCOPES_MAX])


def _is_given(scope: Scope, granted: Scopes) -> bool:
    """Every right of the scope is in the set: letter by letter, for different scopes may give them."""
    left = scope.bits
    for other in granted.scopes:
        if Scope(scope.level, scope.type, 0, scope.narrowing).implies(other):
            left &= ~other.bits
    return left == 0


def _least(one: Scopes, other: Scopes) -> Scopes:
    try:
        return narrow(one, other)
    except Invalid as error:
        raise OAuthError("invalid_scope", error.message, hint=error.hint, code=error.code) from error
