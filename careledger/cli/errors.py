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


def compute_exit_code(error: CareLedgerError) -> int:
    """The exit code of an error: stable, part of the interface."""
    if isinstance(error, UsageError):
        return USAGE
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), FAILURE)


def print_error(error: CareLedgerError, *, as_json: bool) -> int:
    """Print an error on stderr and return the exit code that goes with it."""
    code = compute_exit_code(error)
    if as_json:
        body = {"code": error.code, "message": error.message, "hint": error.hint, "exit": code}
        sys.stderr.write(json.dumps({"error": body}, ensure_ascii=False) + "\n")
        return code
    sys.stderr.write(f"error: {error.message}\n")
    if error.hint:
        sys.stderr.write(f"hint: {error.hint}\n")
    return code
