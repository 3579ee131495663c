"""vectors/exports.json: exports for any other implementation, and a check that they do not drift.

Made again by `make vectors`. ML-DSA signatures are hedged, so those that the file holds already are kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.verifier.synthetic_chart import HEIGHT, Patient, SyntheticChart, canonical
from tests.verifier.test_export_past import DATED, held
from tests.verifier.test_exports import ALTERED, CONSENTS, ENTRIES, RECORDED, chart_with_consent, permitted
from tests.verifier.twins import ROOT, export_verdict

VECTORS = ROOT / "vectors" / "exports.json"
ADA = Patient("ada")
SMALL = ("bound-by-another-key", "revoked-before", "for-another-purpose", "of-another-type")
"""Of the cases about directives: each is as large as its keys and signatures."""
SMALL_DATED = ("nothing", "an-entry-of-yesterday", "a-look-of-yesterday", "a-look-that-saw-an-old-state")


def make_vectors() -> dict[str, Any]:
    """Trust files by size, and cases: export, trust, earlier export and what a verifier must say."""
    if VECTORS.exists():
        Patient.memory.update(json.loads(VECTORS.read_text())["signatures"])
    cases: list[dict[str, Any]] = []

    def add(
        name: str, export: bytes, expected: str, size: int | str = 17, earlier: str | None = None
    ) -> None:
        cases.append(
            {
                "name": name,
                "export": export.decode(),
                "trust": str(size),
                "earlier": earlier,
                "expected": expected,
            }
        )

    plain, (consented, _) = SyntheticChart(), chart_with_consent()
    trusts = {str(size): plain.checkpoint(size).decode() for size in (3, 17, 18, 30)}
    for form in ("chart", "access-log"):
        for size in (3, 17, 30):
            add(f"{form}-since-{size}", plain.export(form), "anchored", size)
        add(f"{form}-under-a-later-checkpoint", plain.export(form, HEIGHT + 9), "anchored")
        add(f"{form}-of-an-unknown-checkpoint", plain.export(form), "refused", 18)
    add("directive", consented.export(), "anchored")
    for name, change in ALTERED.items():
        if not name.startswith(("directive", "null", "access-swapped")):  # these need a directive
            file = json.loads(plain.export())
            change(file, json.loads(SyntheticChart(seed=2).export()))
            add(name, canonical(file), "refused")
    for name, (record, _) in RECORDED.items():
        if "key" not in name:
            chart = SyntheticChart()
            record(chart)
            add(name, chart.export(), "refused")
    for name, (said, holds) in ENTRIES.items():
        chart = SyntheticChart()
        chart.accesses[0] = type(chart.accesses[0])(**{"organisation": chart.did, "leaves": (1, 3), **said})
        add(f"entry-{name}", chart.export(), "anchored" if holds else "refused")
    for name in SMALL:
        directive, entry, _ = CONSENTS[name]
        chart = SyntheticChart()
        chart.enrol(ADA)
        chart.accesses.insert(1, permitted(chart.decide(ADA, **directive), **entry))
        add(f"directive-{name}", chart.export(), "refused")
    plain.sizes = (*plain.sizes, HEIGHT + 9)
    for form in ("chart", "access-log"):
        older = plain.export(form, HEIGHT + 9)
        trusts["later"] = plain.checkpoint(HEIGHT + 9).decode()
        add(f"{form}-of-an-older-block-under-a-newer-note", older, "refused", "later")
    plain.sizes = plain.sizes[:-1]
    for name in SMALL_DATED:
        chart, trust = held()
        DATED[name][0](chart)
        trusts["held"] = trust.decode()
        add(f"dated-{name}", chart.export(), "anchored" if DATED[name][1] else "refused", "held")
    earlier = plain.export()
    plain.go_on()
    plain.sizes = (*plain.sizes, HEIGHT + 1)
    plain.add("Basic", "b")
    add("later", plain.export(), "anchored", earlier=earlier.decode())
    plain.entries.pop(2)
    add("later-with-an-entry-gone", plain.export(), "refused", earlier=earlier.decode())
    signatures = dict(sorted(Patient.memory.items()))
    return {
        "format": "careledger/vectors/exports/1",
        "trusts": trusts,
        "signatures": signatures,
        "cases": cases,
    }


@pytest.mark.vectors
def test_vectors_have_not_drifted(vector: Callable[[str, object], None]) -> None:
    Patient.memory.clear()
    vector("exports.json", make_vectors())


def test_both_verifiers_say_what_the_vectors_say() -> None:
    vectors = json.loads(VECTORS.read_text())
    for case in vectors["cases"]:
        earlier = None if case["earlier"] is None else case["earlier"].encode()
        said = export_verdict(case["export"].encode(), vectors["trusts"][case["trust"]].encode(), earlier)
        assert said == case["expected"], case["name"]
