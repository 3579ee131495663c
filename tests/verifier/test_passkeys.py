"""Directives under a passkey, against both verifiers: what the person did not sign, there and then, is no decision.

The cases are vectors/passkeys.json too, for other implementations.
"""

from __future__ import annotations

import json
import random
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from careledger.ledger.kernel import WEBAUTHN_ML_DSA
from tests.ledger.passkeys import AT, ED, UP, UV, Passkey
from tests.verifier.passkey_chart import SHOWN, Holder, Small, enrol_passkey
from tests.verifier.synthetic_chart import Patient, SyntheticChart, b64, canonical
from tests.verifier.test_exports import permitted
from tests.verifier.twins import ROOT, export_verdict, export_verdicts

ADA, EVE = Holder(Passkey("ada")), Holder(Passkey("eve"))
FILE, KIT = Patient("ada's key file"), Patient("ada's printed kit")
Chart = SyntheticChart
Tell = Callable[[Chart], Any]
APP = [{"kind": "client", "value": "app"}]
FORGED, NOT_HERS = "did not sign this directive", "not this patient's"


def decided(**device: Any) -> Tell:
    """Ada's passkey is enrolled, and a directive bound by it in a browser or on a device like this."""

    def tell(chart: Chart) -> None:
        enrol_passkey(chart, ADA)
        rely(chart, chart.decide(ADA, by=ADA.but(**device), **SHOWN))

    return tell


def rely(chart: Chart, id: str) -> None:
    chart.accesses.insert(1, permitted(id))


def bound_by(by: Holder, **said: Any) -> Tell:
    def tell(chart: Chart) -> None:
        enrol_passkey(chart, ADA)
        rely(chart, chart.decide(ADA, by=by, **{**SHOWN, **said}))

    return tell


def enrolled(who: Holder = ADA, **more: Any) -> Tell:
    return lambda chart: enrol_passkey(chart, who, **more)


def followed(first: Any, second: Any, by: Any, **more: Any) -> Tell:
    """`first`, then `second` whom `by` lets follow; the second one decides."""

    def tell(chart: Chart) -> None:
        for who, signer in ((first, None), (second, by)):
            if isinstance(who, Holder):
                enrol_passkey(chart, who, signer, **(more if signer is None else {}))
            else:
                chart.enrol(who, signer)
        rely(chart, chart.decide(second, **SHOWN))

    return tell


def replayed(chart: Chart) -> None:
    """A former key's binding, after another took its place."""
    enrol_passkey(chart, ADA)
    enrol_passkey(chart, EVE, ADA)
    rely(chart, chart.decide(ADA, **SHOWN))


def said(**members: object) -> tuple[tuple[str, object], ...]:
    return tuple(members.items())


HOLDS: dict[str, Tell] = {
    "decided": decided(),
    "with-extensions": decided(flags=UP | UV | ED, tail=b"\xa1\x6bhmac-secret\x41\x00"),
    "counted-and-backed-up": decided(counter=9, flags=UP | UV | 8 | 16),
    "more-said-after": decided(client=said(other_keys_can_be_added_here="x")),
    "an-apps-consent": lambda chart: (enrol_passkey(chart, ADA), chart.decide(ADA, grantees=APP, **SHOWN)),
    "after-a-key-file": followed(FILE, ADA, FILE),
    "before-a-key-file": followed(ADA, FILE, ADA),
    "another-passkey": followed(ADA, EVE, ADA),
    "by-the-printed-kit": followed(ADA, EVE, KIT, recovery=b64(KIT.public)),
    "before-the-replacement": lambda chart: (
        enrol_passkey(chart, ADA), rely(chart, chart.decide(ADA, **SHOWN)), enrol_passkey(chart, EVE, ADA),
    ),
}  # fmt: skip
REFUSED: dict[str, tuple[Tell, str]] = {
    "another-credential": (bound_by(EVE), FORGED),
    "user-not-verified": (decided(flags=UP), FORGED),
    "user-not-present": (decided(flags=UV), FORGED),
    "another-origin": (decided(client=said(origin="https://evil.example")), FORGED),
    "an-origin-that-begins-alike": (decided(client=said(origin=ADA.device.origin + ".evil")), FORGED),
    "within-another-page": (decided(client=said(crossOrigin=True)), FORGED),
    "another-rp-id": (decided(said_rp_id="evil.example"), FORGED),
    "a-registration": (decided(client=said(type="webauthn.create")), FORGED),
    "attested-data": (decided(flags=UP | UV | AT), FORGED),
    "a-tail-without-its-flag": (decided(tail=b"x"), FORGED),
    "an-apps-consent-is-no-permit": (bound_by(ADA, grantees=APP), "does not permit"),
    "high-s": (decided(is_high_s=True), FORGED),
    "another-text": (bound_by(Holder(ADA.device, b"t" * 32)), FORGED),
    "a-former-binding": (replayed, FORGED),
    "shown-in-no-language": (bound_by(ADA, language=""), FORGED),
    "nothing-shown": (bound_by(ADA, shown=""), FORGED),
    "shown-under-the-old-format": (bound_by(ADA, format="careledger/directive/1"), FORGED),
    "enrolled-without-her": (enrolled(proof=b64(EVE.sign(b"t" * 32))), NOT_HERS),
    "enrolled-for-another-chart": (
        lambda chart: enrol_passkey(chart, ADA, proof=_proof_elsewhere(chart)),
        NOT_HERS,
    ),
    "enrolled-without-verification": (enrolled(ADA.but(flags=UP)), NOT_HERS),
    "without-proof": (enrolled(proof=None), NOT_HERS),
    "without-credential": (enrolled(credential=None), NOT_HERS),
    "with-an-empty-recovery": (enrolled(recovery=""), "canonical"),
    "with-half-a-recovery": (enrolled(recovery=b64(KIT.public[:-1])), NOT_HERS),
    "another-format": (enrolled(format="careledger/controller/1"), NOT_HERS),
    "a-longer-key": (enrolled(key=b64(ADA.key + b"\0")), NOT_HERS),
    "followed-by-nobodys-word": (followed(ADA, EVE, EVE), NOT_HERS),
    "followed-by-a-kit-not-hers": (followed(ADA, EVE, KIT), NOT_HERS),
    "a-key-file-with-a-kit": (lambda chart: chart.enrol(FILE, recovery=b64(KIT.public)), NOT_HERS),
}  # fmt: skip


def _proof_elsewhere(chart: Chart) -> str:
    other = Chart(seed=2)
    body = json.loads(enrol_passkey(other, ADA).body)
    return str(body["proof"])


@pytest.mark.parametrize("name", HOLDS)
def test_what_she_signed_holds(name: str) -> None:
    chart = Chart()
    HOLDS[name](chart)
    verdict, *reasons = export_verdicts(chart.export(), chart.checkpoint())
    assert verdict == "anchored", reasons


@pytest.mark.parametrize(
    "device", [Passkey("ada", WEBAUTHN_ML_DSA), Small("ada", WEBAUTHN_ML_DSA)], ids=["65", "44"]
)
def test_post_quantum_passkeys_decide_alike(device: Passkey) -> None:
    for by, verdict in ((Holder(device), "anchored"), (Holder(device).but(flags=UP), "refused")):
        chart = Chart()
        enrol_passkey(chart, Holder(device))
        rely(chart, chart.decide(Holder(device), by=by, **SHOWN))
        assert export_verdict(chart.export(), chart.checkpoint()) == verdict


@pytest.mark.parametrize("name", REFUSED)
def test_what_she_did_not_sign_is_refused(name: str) -> None:
    chart = Chart()
    tell, reason = REFUSED[name]
    tell(chart)
    verdict, *reasons = export_verdicts(chart.export(), chart.checkpoint())
    assert verdict == "refused"
    assert reason in reasons[0], reasons


def make_vectors() -> dict[str, object]:
    cases = []
    for name, tell in {**HOLDS, **{name: tell for name, (tell, _) in REFUSED.items()}}.items():
        if "key-file" in name or "kit" in name:
            continue  # ML-DSA signatures are hedged
        chart = Chart()
        tell(chart)
        expected = "anchored" if name in HOLDS else "refused"
        cases.append({"name": name, "export": chart.export().decode(), "trust": "17", "expected": expected})
    trusts = {"17": Chart().checkpoint().decode()}
    return {"format": "careledger/vectors/exports/1", "trusts": trusts, "cases": cases}


@pytest.mark.vectors
def test_vectors_have_not_drifted(vector: Callable[[str, object], None]) -> None:
    vector("passkeys.json", make_vectors())


def test_both_verifiers_say_what_the_vectors_say() -> None:
    vectors = json.loads((ROOT / "vectors" / "passkeys.json").read_text())
    for case in vectors["cases"]:
        said = export_verdict(case["export"].encode(), vectors["trusts"][case["trust"]].encode())
        assert said == case["expected"], case["name"]


def alter(data: bytes, draw: random.Random) -> bytes:
    """One byte other, gone or more; or cut; or a length that lies."""
    at = draw.randrange(len(data))
    return draw.choice(
        (
            data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :],
            data[:at] + data[at + 1 :],
            data[:at] + draw.randbytes(1) + data[at:],
            data[:at],
            data[: at & ~3] + draw.choice((bytes(4), b"\0\0\0\x40", b"\xff" * 4)) + data[(at & ~3) + 4 :],
        )
    )


@pytest.mark.parametrize("seed", range(6))
def test_whatever_a_custodian_enters_both_say_the_same(seed: int) -> None:
    """Leaves of every kind of damage, rightly committed: the verifiers agree, and take none of another key or binding."""
    draw = random.Random(seed)
    for _ in range(25):
        chart = Chart()
        enrol_passkey(chart, ADA)
        chart.decide(ADA, **SHOWN)
        number = draw.choice((-1, -2))
        leaf = json.loads(chart.entries[number].body)
        name = draw.choice(["key", "proof", "credential"] if number == -2 else ["binding", "salt", "key"])
        data = alter(urlsafe_b64decode(leaf[name] + "=="), draw)
        leaf[name] = b64(data)
        chart.entries[number] = replace(chart.entries[number], body=canonical(leaf).decode())
        verdict = export_verdict(chart.export(), chart.checkpoint())
        is_free = (name in ("credential", "key") and number == -1) or name == "credential"
        assert verdict == "refused" or is_free, (name, data.hex())
