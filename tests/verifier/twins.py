"""Both verifiers under one name, for tests that demand that they agree."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from careledger.ledger.verification import verify_receipt
from careledger.primitives.errors import VerificationFailed

ROOT = Path(__file__).resolve().parents[2]
VERIFIER = ROOT / "verifier" / "verify.py"


def load_verifier() -> ModuleType:
    """verifier/verify.py as a module."""
    spec = importlib.util.spec_from_file_location("standalone_verifier", VERIFIER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STANDALONE = load_verifier()


def package_verdict(
    receipt: bytes, trust: bytes, body: bytes | None = None, now_ms: int | None = None
) -> str:
    """The level, or "refused"."""
    try:
        return verify_receipt(receipt, trust, body, now_ms=now_ms).level
    except VerificationFailed:
        return "refused"


def standalone_verdict(
    receipt: bytes, trust: bytes, body: bytes | None = None, now_ms: int | None = None
) -> str:
    """The level, or "refused"."""
    try:
        return str(STANDALONE.verify(receipt, trust, body, None if now_ms is None else now_ms / 1000)[0])
    except STANDALONE.Refused:
        return "refused"


def verdict(receipt: bytes, trust: bytes, body: bytes | None = None, now_ms: int | None = None) -> str:
    """What both say; fails if they disagree, or if either fails in any other way than by refusing."""
    one = package_verdict(receipt, trust, body, now_ms)
    other = standalone_verdict(receipt, trust, body, now_ms)
    assert one == other, f"the package says {one}, the stand-alone verifier {other}"
    return one
