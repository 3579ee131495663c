"""vectors/networks.json: what a network signs, for any other implementation, and a check that it does not drift.

Made again by `make vectors`. Without ML-DSA, whose signatures are hedged and differ each time: with it, and the engine's
own word on each step, there is vectors/engine_light.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from careledger.ledger.export_verification import verify_export
from careledger.primitives.errors import VerificationFailed
from tests.verifier.synthetic_chart import canonical
from tests.verifier.synthetic_network import NetworkChart, SyntheticNetwork
from tests.verifier.test_network import EXPORT, NEWEST, SIGNED, TRUST, verdict
from tests.verifier.twins import EXPORTS, ROOT, STANDALONE

VECTORS = ROOT / "vectors" / "networks.json"
SETS = (
    "e0:10 e1:10 e2:10 e3:10",
    "e0:10 e1:10 e4:10 e5:10",
    "e4:10 e5:10 e6:10 e7:10",
    "e6:10 e7:10 e8:10 e9:10",
)
ALTERED = (
    "another-block", "another-round", "two-signatures", "signature-of-zeros", "signed-later", "signatures-exchanged",
    "signed-twice", "by-the-next-one", "set-exchanged", "weight-inflated", "validators-unnamed", "short-key",
    "bridge-dropped", "no-bridges", "bridges-exchanged", "bridge-twice", "bridge-unsigned", "a-note-too", "no-past",
    "past-of-another-root", "no-path", "a-time-too", "unknown-field", "header-app_hash", "header-height",
    "bridge-app_hash",
)  # fmt: skip
"""Of the alterations of tests/verifier/test_network.py, these: a field of a header stands for all."""


def make_vectors() -> dict[str, Any]:
    """Files and trust files by name, and cases: a receipt or export, trust, a clock and what a verifier must say."""
    network = SyntheticNetwork(sets=(*[SETS[0]] * 4, SETS[1], *[SETS[2]] * 3, *[SETS[3]] * 4))
    chart, now = NetworkChart(), network.time_ms(13)
    trusts = {str(height): network.blocks.trust(height).decode() for height in (1, 5, 6, 8, 9, 11)}
    trusts |= {f"chart-{at}": chart.network_checkpoint(at).decode() for at in (3, 16, 17)}
    cases: list[dict[str, Any]] = []
    files: dict[str, str] = {}

    def add(name: str, file: bytes, trust: str, expected: str, at_ms: int = now) -> None:
        place = files.setdefault(file.decode(), f"file-{len(files)}")
        cases.append({"name": name, "file": place, "trust": trust, "now_ms": at_ms, "expected": expected})

    far, near = network.network_receipt(11, (5, 8)), network.network_receipt()
    for height in (1, 5, 6, 8, 9, 11):
        add(f"far-from-{height}", far, str(height), "final")
        add(f"near-from-{height}", near, str(height), "final" if height in (5, 6, 8) else "refused")
    add("after-14-days", far, "1", "refused", now + 14 * 86_400_000)
    add("from-the-future", far, "1", "refused", now - 60_000)
    for table, file, trust in ((SIGNED, far, "1"), (NEWEST, near, "6")):
        for name, change in table.items():
            if table is NEWEST or name in ALTERED:
                altered = json.loads(file)
                change(altered["signed"])
                add(name, canonical(altered), trust, "refused")
    for name, change in TRUST.items():
        if not name.startswith("header-"):
            altered = json.loads(trusts["6"])
            change(altered)
            trusts[name] = canonical(altered).decode()
            add(f"trust-{name}", near, name, "refused")
    later = now + 3_600_000
    for form in ("chart", "access-log"):
        for at in (3, 16, 17):
            add(
                f"{form}-{at}",
                chart.network_export(form),
                f"chart-{at}",
                "refused" if at == 16 else "final",
                later,
            )
    for name, change in EXPORT.items():
        altered = json.loads(chart.network_export())
        change(altered)
        add(f"export-{name}", canonical(altered), "chart-17", "refused", later)
    named = {place: file for file, place in files.items()}
    return {"format": "careledger/vectors/networks/1", "files": named, "trusts": trusts, "cases": cases}


@pytest.mark.vectors
def test_vectors_have_not_drifted(vector: Callable[[str, object], None]) -> None:
    vector("networks.json", make_vectors())


def test_both_verifiers_answer_the_vectors() -> None:
    vectors = json.loads(VECTORS.read_text())
    for case in vectors["cases"]:
        file, trust = (vectors[kind][case[kind[:-1]]].encode() for kind in ("files", "trusts"))
        said = judge(file, trust, case["now_ms"])
        assert said == case["expected"], case["name"]


def judge(file: bytes, trust: bytes, now_ms: int) -> str:
    """What both verifiers say."""
    if not STANDALONE.format_of(file):
        return verdict(file, trust, now_ms)
    said = []
    for verify in (
        lambda: verify_export(file, trust, now_ms=now_ms).level,
        lambda: EXPORTS.verify_export(file, trust, None, now_ms / 1000)[0],
    ):
        try:
            said.append(verify())
        except (VerificationFailed, STANDALONE.Refused):
            said.append("refused")
    assert said[0] == said[1]
    return str(said[0])
