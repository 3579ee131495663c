"""What a patient signs about an app is what the consent page said, for this app, until the day that she chose."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from careledger.access.directives import Coding, Grantee, Text, to_base64
from careledger.primitives.errors import Invalid
from careledger.smart.consenting import ConsentView, compute_view_digest, read_answer
from careledger.smart.remembering import check_remembers, list_types

TODAY = 20_780
VIEW = ConsentView(
    ticket="t", client="Growth chart", redirect_host="app.example", kind="patient", person="Rosa Quiroga",
    words=("launch/patient", "offline_access", "patient/Observation.rs?category=laboratory", "patient/Condition.rs"),
)  # fmt: skip
SAID = read_answer(
    VIEW, shown=compute_view_digest(VIEW).hex(), is_allowed=True, kept=VIEW.words[1:3], days="7"
)
TEXT = Text(
    actions=("access",), categories=(), effect="permit", format="careledger/directive/2", from_day=TODAY,
    grantees=(Grantee(kind="client", value="app-1"),), handle=to_base64(bytes(32)), labels=(), language="en",
    nonce=to_base64(bytes(32)), organisation=to_base64(bytes(32)), purposes=("PATRQT",), shown=SAID.text,
    supersedes="", types=("Observation",), until_day=TODAY + 7,
)  # fmt: skip
OTHERWISE: dict[str, dict[str, Any]] = {
    "another app": {"grantees": (Grantee(kind="client", value="app-2"),)},
    "somebody else beside": {"grantees": (*TEXT.grantees, Grantee(kind="role", value="nurse"))},
    "other lines": {"shown": SAID.text + "\nand everything else"},
    "another language": {"language": "es"},
    "longer": {"until_day": TODAY + 30},
    "from tomorrow": {"from_day": TODAY + 1},
    "more types": {"types": ("Condition", "Observation")},
    "every type": {"types": ()},
    "another purpose": {"purposes": ("TREAT",)},
    "a deny": {"effect": "deny"},
    "receipts": {"actions": ("access", "proof")},
    "narrowed unseen": {"labels": (Coding(code="R", system=""),)},
    "in the place of another": {"supersedes": "ab" * 32},
}


def test_what_was_answered_is_remembered() -> None:
    check_remembers(TEXT, SAID, "app-1", "en", TODAY)
    assert "For 7 days" in SAID.text and "laboratory results" in SAID.text and "diagnoses" not in SAID.text


@pytest.mark.parametrize("name", OTHERWISE)
def test_anything_else_is_refused(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_remembers(msgspec.structs.replace(TEXT, **OTHERWISE[name]), SAID, "app-1", "en", TODAY)
    assert refused.value.code == "signed-otherwise"


def test_every_type_stands_for_all() -> None:
    assert list_types(("openid", "patient/*.rs", "patient/Observation.rs")) == ()
    assert list_types(("user/Patient.rs", "launch", "patient/Observation.rs?category=laboratory")) == (
        "Observation",
        "Patient",
    )
