"""Pages: `_count`, opaque cursors, and the links of a Bundle.

A cursor is a position, sealed under the node's cursor key and bound to the query it belongs to: it shows nothing in
a log or a referrer, every worker can read it, and an altered or borrowed one is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import msgspec

from careledger.fhir.context import Context
from careledger.fhir.messages import FhirRequest
from careledger.fhir.preferences import prefer
from careledger.fhir.refusals import Refused
from careledger.primitives.errors import VerificationFailed
from careledger.primitives.opaque import open_text, seal_text

CURSOR = "_cursor"
Position = tuple[int | str, ...]
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)


def seal(context: Context, scope: str, position: Position) -> str:
    """The cursor that continues `scope` after `position`."""
    return seal_text(context.backend.cursor_key, scope.encode(), msgspec.json.encode(position))


def position(context: Context, request: FhirRequest, scope: str) -> Position:
    """Where the caller wants to go on, () at the beginning. Raises Refused(400) unless this node sealed it for `scope`."""
    text = next((value for name, value in request.query if name == CURSOR), None)
    return () if text is None else open_cursor(context, text, scope)


def open_cursor(context: Context, text: str, scope: str) -> Position:
    """What `seal` sealed. Raises Refused(400) unless this node sealed it for `scope`."""
    try:
        opened = open_text(context.backend.cursor_key, scope.encode(), text)
    except VerificationFailed as error:
        raise Refused(
            400,
            "value",
            "The page link was altered, or belongs to another query.",
            hint="Begin at the first page.",
        ) from error
    return tuple(msgspec.json.decode(opened, type=list[int | str]))


def count(context: Context, query: Sequence[tuple[str, str]]) -> int:
    """`_count`, at most the server's limit. Raises Refused(400) if it is no whole number."""
    text = next((value for name, value in query if name == "_count"), None)
    if text is None:
        return context.limits.page_default
    if not text.isdecimal() or not text.isascii():
        raise Refused(400, "value", "_count is not a whole number.", where="_count")
    return context.limits.page_max if len(text) > 9 else min(int(text), context.limits.page_max)


def instant_parameter(query: Sequence[tuple[str, str]], name: str) -> int:
    """The milliseconds since 1970 that a parameter names, 0 without it. Raises Refused(400) if it cannot be read."""
    text = next((value for key, value in query if key == name), None)
    if text is None:
        return 0
    text = text.replace(" ", "+")
    try:
        if not _INSTANT.fullmatch(text):
            raise ValueError(name)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(
            400, "value", f"{name} is not an instant.", hint="2026-01-31T12:00:00Z", where=name
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def check_known(request: FhirRequest, known: frozenset[str]) -> None:
    """Under `Prefer: handling=strict`, raise Refused(400) for a parameter that the interaction does not have."""
    if not request.query or not prefer(request).strict:
        return
    for name, _ in request.query:
        if name not in known:
            raise Refused(400, "not-supported", "A parameter is not known here.", hint="See metadata.")


def links(
    context: Context,
    path: str,
    kept: Sequence[tuple[str, str]],
    request: FhirRequest,
    scope: str,
    after: Position | None,
) -> list[tuple[str, str]]:
    """`self` as it was understood, and `next` if there is more."""
    base = f"{context.backend.base_url}/{path}"
    here = [pair for pair in request.query if pair[0] == CURSOR]
    found = [("self", url(base, [*kept, *here]))]
    if after is not None:
        found.append(("next", url(base, [*kept, (CURSOR, seal(context, scope, after))])))
    return found


def url(base: str, query: Sequence[tuple[str, str]]) -> str:
    """`base` with the query, percent-encoded."""
    return f"{base}?{urlencode(query, safe='|,:$', quote_via=quote)}" if query else base
