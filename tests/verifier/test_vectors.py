"""vectors/receipts.json: receipts and checkpoints for any other implementation, and a check that they do not drift.

Made again by `make vectors`. Without ML-DSA, whose signatures are hedged and differ each time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.verifier.synthetic_ledger import SyntheticLedger
from tests.verifier.test_verifier import NOTES, STRUCTURAL, canonical, put, renote, witnessed_trust
from tests.verifier.twins import ROOT, verdict

VECTORS = ROOT / "vectors" / "receipts.json"
REFUSED = (
    "path-swap", "path-drop-last", "path-repeat", "signed-drop-first", "index+1", "chart-size+1", "height-1",
    "block-time+1", "anchor-seq+1", "no-batch", "other-kind", "other-version", "redated", "map-deeper",
    "map-padded-bitmap", "map-of-nothing", "unknown-field", "missing-field", "null", "true-for-one", "negative",
    "padding", "loose-bits", "short-digest",
)  # fmt: skip
REFUSED_NOTES = ("unsigned", "s-plus-l", "signed-twice", "unknown-key", "extension-line", "crlf")


def make_vectors() -> dict[str, Any]:
    """Trust files by name, and cases: receipt, trust, body and what a verifier must say."""
    ledger, fork = SyntheticLedger(7, 6, 3000), SyntheticLedger(7, 6, 3000)
    fork.history_entries[7] = bytes(48)
    trusts = {"plain": plain(ledger, 3020), "fork": plain(fork, 3020)}
    trusts["two-witnesses"] = witnessed(ledger, 2)
    cases = []

    def add(
        name: str, receipt: bytes, expected: str, trust: str = "plain", body: bytes | None = None
    ) -> None:
        text = None if body is None else body.decode()
        cases.append(
            {"name": name, "receipt": receipt.decode(), "trust": trust, "body": text, "expected": expected}
        )

    for index in (0, 3, 5):
        add(
            f"version-{index}",
            ledger.receipt(index),
            "anchored",
            body=ledger.bodies[index] if index else None,
        )
    batched = ledger.receipt(3, batch=True)
    add("earlier-batch", batched, "anchored")
    add("later-checkpoint", ledger.receipt(3, 3020), "anchored")
    add("fork", ledger.receipt(3, 3020), "refused", "fork")
    signers = (ledger.operator, *ledger.witnesses[:2])
    add("two-witnesses", ledger.receipt(3, signers=signers), "witnessed", "two-witnesses")
    add("one-witness", ledger.receipt(3, signers=signers[:2]), "anchored", "two-witnesses")
    add("unnamed-witnesses", ledger.receipt(3, signers=signers), "refused")
    add("other-body", ledger.receipt(3), "refused", body=ledger.bodies[4])
    for name in REFUSED:
        receipt = json.loads(batched)
        STRUCTURAL[name](receipt)
        add(name, canonical(receipt), "refused")
    for name in REFUSED_NOTES:
        add(f"note-{name}", renote(ledger, NOTES[name], 3), "refused")
    other = json.loads(batched)
    put("chain", value="cl-" + "0" * 32)(other)
    add("other-chain", canonical(other), "refused")
    return {"format": "careledger/vectors/receipts/1", "trusts": trusts, "cases": cases}


def plain(ledger: SyntheticLedger, size: int) -> str:
    """A trust file with the Ed25519 key only."""
    trust = json.loads(ledger.checkpoint(size))
    return canonical(trust | {"keys": trust["keys"][:1], "note": ledger.note(size, ledger.operator)}).decode()


def witnessed(ledger: SyntheticLedger, k: int) -> str:
    trust, named = json.loads(plain(ledger, 100)), json.loads(witnessed_trust(ledger, k))["witnesses"]
    return canonical(trust | {"witnesses": {"k": k, "keys": named["keys"][:2]}}).decode()


@pytest.mark.vectors
def test_vectors_have_not_drifted(vector: Callable[[str, object], None]) -> None:
    vector("receipts.json", make_vectors())


def test_both_verifiers_answer_the_vectors() -> None:
    vectors = json.loads(VECTORS.read_text())
    for case in vectors["cases"]:
        body = None if case["body"] is None else case["body"].encode()
        trust = vectors["trusts"][case["trust"]].encode()
        assert verdict(case["receipt"].encode(), trust, body) == case["expected"], case["name"]
