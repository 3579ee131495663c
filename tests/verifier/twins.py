"""Both verifiers under one name, for tests that demand that they agree."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from careledger.ledger.export_files import ACCESS_LOG_FORMAT, CHART_FORMAT, read_format
from careledger.ledger.export_verification import verify_export
from careledger.ledger.verification import verify_receipt
from careledger.primitives.errors import VerificationFailed

ROOT = Path(__file__).resolve().parents[2]
VERIFIER = ROOT / "verifier" / "verify.py"


def load_verifier() -> ModuleType:
    """verifier/verify.py as a module; whoever calls sees to it that nothing else is called so."""
    spec = importlib.util.spec_from_file_location("verify", VERIFIER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["verify"] = module
    spec.loader.exec_module(module)
    return module


STANDALONE = load_verifier()
EXPORTS = STANDALONE.load("exports")


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


def export_verdict(export: bytes, trust: bytes, earlier: bytes | None = None) -> str:
    """As `verdict`, of an export."""
    return export_verdicts(export, trust, earlier)[0]


def export_verdicts(export: bytes, trust: bytes, earlier: bytes | None = None) -> tuple[str, str, str]:
    """The level or "refused", and the reasons that the package and the stand-alone verifier give."""
    reasons = ["", ""]
    try:
        if read_format(export) not in (CHART_FORMAT, ACCESS_LOG_FORMAT):
            raise VerificationFailed("no export")
        one: str = verify_export(export, trust, earlier, now_ms=0).level
    except VerificationFailed as refused:
        one, reasons[0] = "refused", refused.message
    try:
        if not STANDALONE.format_of(export):
            raise STANDALONE.Refused("no export")
        other = str(EXPORTS.verify_export(export, trust, earlier, 0)[0])
    except STANDALONE.Refused as refused:
        other, reasons[1] = "refused", str(refused)
    assert one == other, (
        f"the package says {one} ({reasons[0]}), the stand-alone verifier {other} ({reasons[1]})"
    )
    return one, reasons[0], reasons[1]
