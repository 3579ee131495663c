"""The browser composes, shows and signs a directive as the node does: vectors/directives.json, read by its own tests.

The words are one table in Python; the browser's copy of it is written from there (`--write-vectors`), and compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from careledger.access.directives import (
    Coding,
    Grantee,
    Text,
    compute_commitment,
    compute_key_id,
    encode_text,
    to_base64,
)
from careledger.access.grants import Envelope, compose_grant, compose_revocation
from careledger.access.patient_keys import PatientKey
from careledger.contracts.consent import ENTRY, Entry, compute_key_hash, compute_revocation_hash
from careledger.ledger.controllers import compute_enrolment
from careledger.primitives.hashing import tagged
from careledger.primitives.signing import ml_dsa_65_public_key
from careledger.primitives.types import Did
from careledger.primitives.webauthn import ASSERTION, P256_ORDER, verify_webauthn
from careledger.smart import directive_words, wording
from tests.ledger.passkeys import Passkey
from tests.node.passkey_device import PasskeyDevice
from tests.web_ui.running import LIB, run_tests

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "directives.json"
WORDS = LIB / "directive_words.ts"
CLINIC = "did:careledger:" + "11" * 32
PAYER = "did:careledger:" + "5e" * 32
ANNA = PasskeyDevice(lambda *_, **__: {}, "anna", Passkey("anna"))
PREPARED: dict[str, Any] = {
    "organisation": (b"\x11" * 32).hex(), "handle": (b"\x22" * 32).hex(), "genesis_hash": (b"\x33" * 32).hex(),
    "sponsor": (b"\x11" * 32).hex(), "sequence": 7, "valid_until": 1_795_456_800_123,
    "key": ANNA.key.hex(), "credential": b"credential-of-16".hex(),
    "names": {CLINIC: "Valley Clinic", "quill": "Dr Quill “Q”", "__proto__": "Nobody"},
}  # fmt: skip
SYSTEM = "http://terminology.hl7.org/CodeSystem/observation-category"
PLAIN: dict[str, Any] = {
    "effect": "permit", "grantees": [{"kind": "organisation", "value": PAYER}], "actions": ["access"],
    "purposes": ["TREAT"], "types": [], "categories": [], "labels": [], "from_day": 20_780, "until_day": 21_144,
    "supersedes": "",
}  # fmt: skip
ALL: dict[str, Any] = {
    "effect": "deny",
    "grantees": [
        {"kind": "role", "value": "nurse {} \U0001f40e"}, {"kind": "role", "value": "nurse {} \uffdc"},
        {"kind": "practitioner", "value": "quill"}, {"kind": "organisation", "value": CLINIC},
        {"kind": "practitioner", "value": "quill"},
    ],
    "actions": ["proof", "access"], "purposes": [], "types": ["Observation", "Basic", "Condition"],
    "categories": [{"code": "laboratory", "system": SYSTEM}, {"code": "laboratory", "system": ""}],
    "labels": [{"code": "PSY", "system": ""}], "from_day": 0, "until_day": 2_932_896, "supersedes": "ab" * 32,
}  # fmt: skip
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "plain": (PLAIN, "en"),
    "plain-in-spanish": (PLAIN, "es"),
    "everything": (ALL, "en"),
    "everything-in-spanish": (ALL, "es"),
    "every-purpose-in-words": ({**PLAIN, "purposes": ["CLINTRCH", *directive_words.PURPOSES]}, "es"),
    "every-type-in-words": ({**PLAIN, "types": [one for one in wording.RECORDS if one != "*"]}, "en"),
}


def make_text(terms: Mapping[str, Any], language: Any, nonce: bytes) -> Text:
    def ordered(name: str, kind: Any) -> Any:
        return tuple(sorted({kind(**one) if isinstance(one, dict) else one for one in terms[name]}))

    text = Text(
        actions=ordered("actions", str), categories=ordered("categories", Coding), effect=terms["effect"],
        format="careledger/directive/2", from_day=terms["from_day"], grantees=ordered("grantees", Grantee),
        handle=to_base64(b"\x22" * 32), labels=ordered("labels", Coding), language=language, nonce=to_base64(nonce),
        organisation=to_base64(b"\x11" * 32), purposes=ordered("purposes", str), shown="?",
        supersedes=terms["supersedes"], types=ordered("types", str), until_day=terms["until_day"],
    )  # fmt: skip
    shown = directive_words.compose_shown(text, PREPARED["names"], language)
    return Text(**{**{name: getattr(text, name) for name in text.__struct_fields__}, "shown": shown})


def make_case(name: str, terms: Mapping[str, Any], language: str, number: int) -> dict[str, Any]:
    nonce, salt = bytes([number]) * 32, bytes([128 + number]) * 32
    text = make_text(terms, language, nonce)
    content = encode_text(text)
    commitment = compute_commitment(salt, content)
    inputs = tagged("cl1.directive", nonce), tagged("cl1.revocation", nonce)
    seed, code = (ANNA.prf(one) for one in inputs)
    key, code_hash = ml_dsa_65_public_key(seed), compute_revocation_hash(code)
    given = ANNA.passkey.answer(commitment)
    verify_webauthn(ANNA.key, commitment, ASSERTION.encode(given))
    r, s = (int.from_bytes(part, "big") for part in (given.signature[:32], given.signature[32:]))
    envelope = Envelope(b"\x33" * 32, Did(b"\x11" * 32), PREPARED["sequence"], PREPARED["valid_until"])
    return {
        "name": name, "prepared": PREPARED, "terms": terms, "language": language, "nonce": nonce.hex(),
        "salt": salt.hex(), "text": content.decode(), "shown": text.shown, "id": commitment.hex(),
        "prf_inputs": [one.hex() for one in inputs], "prf": [seed.hex(), code.hex()],
        "assertion": {
            "authenticator_data": given.authenticator_data.hex(), "client_data": given.client_data.hex(),
            # Half of all devices answer with the higher of the two.
            "der": encode_dss_signature(r, P256_ORDER - s if number % 2 else s).hex(),
        },
        "binding": ASSERTION.encode(given).hex(), "key": key.hex(), "revocation_hash": code_hash.hex(),
        "grant_body": compose_grant(envelope, commitment, key, text.until_day, code_hash).hex(),
        "revocation_body": compose_revocation(envelope, commitment, public=key).hex(),
        "entry": ENTRY.encode(Entry(1, compute_key_hash(key), text.until_day, code_hash, 42)).hex(),
    }  # fmt: skip


def make_vectors() -> dict[str, Any]:
    cases = [
        make_case(name, terms, language, at) for at, (name, (terms, language)) in enumerate(CASES.items())
    ]
    passkey = ANNA.passkey
    enrolment = {
        "raw": passkey.raw.hex(), "rp_id": passkey.rp_id, "origin": passkey.origin, "key": ANNA.key.hex(),
        "id": compute_key_id(ANNA.key), "recovery": PatientKey(bytes([7]) * 32).public.hex(),
        "challenge": compute_enrolment(b"\x11" * 32 + b"\x22" * 32, ANNA.key).hex(),
    }  # fmt: skip
    return {"format": "careledger/vectors/directives/1", "cases": cases, "enrolment": enrolment}


def write_words() -> str:
    """The browser's copy of the words."""
    tables = {
        "RECORDS": wording.RECORDS, "KINDS": wording.KINDS, "PURPOSES": directive_words.PURPOSES,
        "LINES": directive_words.LINES,
    }  # fmt: skip
    lines = [
        "/** The words of directives, from careledger/smart/directive_words.py by tests/web_ui/test_directives.py: not by hand. */",
        f"export const LANGUAGES = {json.dumps(list(wording.LANGUAGES))} as const;",
        "export type Language = (typeof LANGUAGES)[number];",
        "/** What something is called in each language. */",
        "export type Words = Readonly<Record<string, readonly [string, string]>>;",
    ]
    for name, pair in (
        ("EVERYTHING", directive_words.EVERYTHING),
        ("ANY_PURPOSE", directive_words.ANY_PURPOSE),
    ):
        lines.append(f"export const {name} = {json.dumps(list(pair), ensure_ascii=False)} as const;")
    for name, table in tables.items():
        rows = [
            f"  {json.dumps(code)}: {json.dumps(list(pair), ensure_ascii=False)},"
            for code, pair in table.items()
        ]
        lines += [f"export const {name}: Words = {{", *rows, "};"]
    return "\n".join(lines) + "\n"


@pytest.mark.vectors
def test_vectors_have_not_drifted(vector: Callable[[str, object], None]) -> None:
    vector("directives.json", make_vectors())


@pytest.mark.vectors
def test_the_browsers_words_are_the_nodes(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--write-vectors"):
        WORDS.write_text(write_words(), "utf-8")
    assert WORDS.read_text("utf-8") == write_words(), "make vectors writes the browser's words"


def test_the_browser_makes_what_the_node_takes() -> None:
    said = run_tests("directives.test.ts", DIRECTIVES=str(VECTORS))
    assert "# fail 0" in said and f"# pass {3 * len(CASES) + 4}" in said, said
