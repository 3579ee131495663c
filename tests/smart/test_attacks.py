"""How many attacks of each kind are tried and refused: docs/assurance.md says these numbers, and they do not shrink."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e import test_smart_backend, test_smart_launch, test_smart_pages
from tests.primitives import test_webauthn
from tests.smart import (
    test_assertions,
    test_authentication,
    test_authorising,
    test_dpop,
    test_jwk,
    test_passkeys,
    test_redirects,
    test_registration,
)

TRIED = {
    "forged assertions": len(test_assertions.FORGED) + len(test_smart_backend.REFUSED),
    "weak, private or strange keys": len(test_jwk.REFUSED_KEYS) + len(test_jwk.REFUSED_SETS),
    "headers that prove no client": len(test_authentication.REFUSED_HEADERS),
    "proofs of possession": len(test_dpop.REFUSED),
    "redirect addresses": len(test_redirects.VARIANTS),
    "authorisation requests and codes": len(test_authorising.UNSENT)
    + len(test_authorising.SENT_BACK)
    + len(test_authorising.CODES)
    + len(test_smart_launch.BAD_REQUESTS)
    + len(test_smart_launch.CODE_ATTACKS),
    "registrations": len(test_registration.REFUSED_DRAFTS)
    + len(test_registration.REFUSED_REQUESTS)
    + len(test_registration.REFUSED_ADDRESSES),
    "passkey registrations and sign-ins": len(test_passkeys.BAD_KEYS)
    + len(test_passkeys.BAD_REGISTRATIONS)
    + len(test_passkeys.BAD_SIGN_INS),
    "passkey signatures for the ledger": len(test_webauthn.REFUSED) + len(test_webauthn.ES256_REFUSED),
    "origins of forms": len(test_smart_pages.ORIGINS),
}
ROW = re.compile(r"^\| Over (\d+) attacks .*", re.MULTILINE)


def test_the_attacks_are_as_many_as_the_documents_say() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "assurance.md").read_text("utf-8")
    row = ROW.search(text)
    assert row, "docs/assurance.md has lost its row of attacks"
    assert sum(TRIED.values()) >= int(row[1]) >= 150
    told = {
        kind: int(number) for number, kind in re.findall(r"(\d+) ([a-z, -]+?)[;:]", row[0].partition(":")[2])
    }
    assert told.keys() == TRIED.keys()
    for kind, number in told.items():
        assert TRIED[kind] >= number, kind
