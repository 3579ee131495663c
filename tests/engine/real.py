"""Whether the real engine is built: `make test` builds it first; a test run alone says loudly that it is not."""

from __future__ import annotations

import os

import pytest

from careledger.engine.install import find_engine
from careledger.primitives.errors import CareLedgerError


def find_reason() -> str:
    """Why there is no engine to test with; empty if there is one."""
    try:
        find_engine(os.environ)
    except CareLedgerError as error:
        return f"NO ENGINE, SO NOTHING ABOUT IT IS TESTED: {error.message}; run: make engine"
    return ""


REASON = find_reason()
REAL_ENGINE = pytest.mark.skipif(bool(REASON), reason=REASON or "the engine is there")
