"""Everything the program refuses or reports on purpose, by who has to act.

Any other exception is a defect. Messages and hints never hold patient data: they may be logged and shown.
"""

from __future__ import annotations


class CareLedgerError(Exception):
    """A refusal that names its rule: a stable `code`, what happened, and what to do (`hint`)."""

    code = "error"

    def __init__(self, message: str, *, hint: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code


class Invalid(CareLedgerError):
    """The input cannot be read or breaks a stated rule; nothing was changed."""

    code = "invalid"


class TooLarge(Invalid):
    """The input is over a stated limit."""

    code = "too-large"


class NotFound(CareLedgerError):
    """There is no such thing, or the caller may not know of it."""

    code = "not-found"


class NotPermitted(CareLedgerError):
    """The caller is known and may not do this."""

    code = "not-permitted"


class Unauthenticated(CareLedgerError):
    """The caller is not known: no token, or one that does not hold."""

    code = "unauthenticated"


class Conflict(CareLedgerError):
    """Somebody else changed it first; nothing was changed. Read again and repeat."""

    code = "conflict"


class Unavailable(CareLedgerError):
    """The node cannot do this now (disk full, log unwritable, stopping); nothing was changed."""

    code = "unavailable"


class Corrupt(CareLedgerError):
    """Stored bytes are not what was committed. They are not served; run `careledger fsck`."""

    code = "corrupt"


class VerificationFailed(CareLedgerError):
    """A proof or signature does not hold."""

    code = "verification-failed"


class Misconfigured(CareLedgerError):
    """The home or the configuration does not allow this; the hint says what to change."""

    code = "misconfigured"
