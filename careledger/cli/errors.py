"""How an error becomes an exit code and a text of three parts: what, why, and what to type next."""

from __future__ import annotations

import json
import sys

from careledger.primitives import errors
from careledger.primitives.errors import CareLedgerError

OK, FAILURE, USAGE, INTERRUPTED = 0, 1, 2, 130

EXIT_CODES: tuple[tuple[type[CareLedgerError], int], ...] = (
    (errors.NotFound, 3),
    (errors.NotPermitted, 4),
    (errors.Unauthenticated, 4),
    (errors.Conflict, 5),
    (errors.VerificationFailed, 6),
    (errors.Corrupt, 6),
    (errors.Unavailable, 7),
)
"""The first class that fits decides; any other error is 1."""


class UsageError(CareLedgerError):
    """The command line itself is wrong; nothing was done."""

    code = "usage"


HINTS: tuple[tuple[type[CareLedgerError], str], ...] = (
    (UsageError, "careledger COMMAND --help shows what it takes"),
    (errors.TooLarge, "send less at once"),
    (errors.Invalid, "correct what was given and repeat: nothing was changed"),
    (errors.NotFound, "check the name; `careledger status` says what the home holds"),
    (errors.Unauthenticated, "get a token: careledger token --help"),
    (errors.NotPermitted, "ask for a token whose scope covers it"),
    (errors.Conflict, "read it again and repeat"),
    (errors.VerificationFailed, "get the file again from where it came; if it fails again, keep both"),
    (errors.Corrupt, "run `careledger fsck`; restore the newest backup into a new folder"),
    (errors.Unavailable, "repeat in a while; `careledger doctor` says what is wrong"),
    (errors.Misconfigured, "`careledger doctor` says what is wrong"),
    (CareLedgerError, "`careledger doctor` says what is wrong"),
)
"""What to do about an error that does not say it better itself; the first class that fits."""


def compute_hint(error: CareLedgerError) -> str:
    """The error's own hint, or that of its kind: never empty."""
    return error.hint or next(hint for kind, hint in HINTS if isinstance(error, kind))


def compute_exit_code(error: CareLedgerError) -> int:
    """The exit code of an error: stable, part of the interface."""
    if isinstance(error, UsageError):
        return USAGE
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), FAILURE)


def print_error(error: CareLedgerError, *, as_json: bool) -> int:
    """Print an error on stderr and return the exit code that goes with it."""
    code = compute_exit_code(error)
    if as_json:
        body = {"code": error.code, "message": error.message, "hint": compute_hint(error), "exit": code}
        sys.stderr.write(json.dumps({"error": body}, ensure_ascii=False) + "\n")
        return code
    sys.stderr.write(f"error: {error.message}\nhint: {compute_hint(error)}\n")
    return code
