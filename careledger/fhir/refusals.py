"""Refusals that know their HTTP status and FHIR issue code; everything else is mapped by `outcomes.from_error`."""

from __future__ import annotations

import re

from careledger.primitives.errors import CareLedgerError, Invalid

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")

is_id = _ID.fullmatch


class Refused(CareLedgerError):
    """A request that is answered with `status` and one issue of `issue_code`; nothing was changed.

    `where` is a FHIRPath-like place in what was sent. No text holds patient data.
    """

    def __init__(
        self,
        status: int,
        issue_code: str,
        message: str,
        *,
        hint: str = "",
        where: str = "",
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(message, hint=hint, code=issue_code)
        self.status = status
        self.where = where
        self.headers = headers


class InvalidAt(Invalid):
    """Invalid, at a place: `where` names a search parameter of our own definitions, never what was sent."""

    def __init__(self, message: str, *, where: str, hint: str = "", code: str | None = None) -> None:
        super().__init__(message, hint=hint, code=code)
        self.where = where


class Invalidated(CareLedgerError):
    """Content that breaks the FHIR definitions: 422 with every issue found; nothing was changed."""

    code = "invalid"

    def __init__(self, issues: tuple[object, ...]) -> None:
        super().__init__("The resource does not conform to the FHIR R4 definitions.")
        self.issues = issues


class InEntry(CareLedgerError):
    """A refusal of one entry, which refuses the whole transaction. `cause` says what and how."""

    def __init__(self, number: int, cause: CareLedgerError) -> None:
        super().__init__(cause.message, hint=cause.hint, code=cause.code)
        self.number = number
        self.cause = cause


def not_found() -> Refused:
    """The one answer for what is not there and for what the caller may not know of."""
    return Refused(404, "not-found", "No such resource is known here.")


def gone(*, erased: bool = False) -> Refused:
    if erased:
        why = "A key event of the chart says why; receipts made before stay valid."
        return Refused(410, "deleted", "This version was erased: nobody can open it any more.", hint=why)
    return Refused(
        410, "deleted", "This resource was deleted.", hint="Its earlier versions are in its _history."
    )


def stale() -> Refused:
    """RFC 9110 If-Match; R4 http.html#concurrency."""
    return Refused(
        412,
        "conflict",
        "If-Match does not name the current version.",
        hint="Read the resource again and repeat.",
    )


def several() -> Refused:
    return Refused(412, "multiple-matches", "The criteria match more than one resource.", hint="Narrow them.")
