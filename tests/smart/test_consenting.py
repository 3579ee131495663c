"""The consent to a program: every right is in the text, and what is allowed is the text that was shown (F7, F12)."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from careledger.access.scopes import WITHOUT_RESOURCES, parse_scope
from careledger.primitives.errors import Invalid
from careledger.primitives.hashing import tagged
from careledger.smart.consenting import (
    DAYS,
    ConsentView,
    compose_heading,
    compute_view_digest,
    describe_days,
    list_choices,
    read_answer,
)
from careledger.smart.wording import ABOUT, describe_scope

VIEW = ConsentView(
    ticket="t1",
    client="Growth Charts",
    redirect_host="app.example",
    words=(
        "launch/patient",
        "offline_access",
        "openid",
        "patient/Immunization.rs",
        "patient/Observation.cruds",
    ),
    kind="patient",
    person="Rosa Quiroga",
)
SHOWN = compute_view_digest(VIEW).hex()


def allow(view=VIEW, *, shown="", kept=VIEW.words, days="30"):
    return read_answer(
        view, shown=shown or compute_view_digest(view).hex(), is_allowed=True, kept=kept, days=days
    )


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_answer_is_the_text_that_was_shown(language):
    view = replace(VIEW, language=language)
    answer = allow(view, kept=("patient/Immunization.rs",))
    assert answer.kept == ("patient/Immunization.rs", "launch/patient", "openid")
    texts = {choice.word: choice.text for choice in list_choices(view)}
    expected = [compose_heading(view), *(texts[word] for word in answer.kept), describe_days(0, language)]
    assert answer.text.split("\n") == expected
    assert answer.digest == tagged("cl1.app-consent", answer.text.encode())


def test_words_a_patient_understands():
    texts = {choice.word: choice.text for choice in list_choices(VIEW)}
    assert texts["patient/Observation.cruds"] == "See, add, change, delete your measurements and test results"
    assert texts["patient/Immunization.rs"] == "See your vaccinations"
    assert compose_heading(VIEW) == (
        "Rosa Quiroga: do you allow Growth Charts (app.example) to use your record, for your own use?"
    )
    category = "http://terminology.hl7.org/CodeSystem/observation-category"
    narrowed = parse_scope(f"patient/Observation.rs?category={category}|laboratory")
    assert (
        describe_scope(narrowed, "patient", "en")
        == "See your measurements and test results (only laboratory results)"
    )
    assert describe_scope(narrowed, "patient", "es").endswith("(solo resultados de laboratorio)")


def test_two_different_rights_never_read_the_same():
    words = ["patient/Observation." + letters for letters in ("r", "c", "u", "d", "cud", "cruds")]
    words += [
        "user/Observation.r",
        "patient/*.r",
        "user/*.r",
        "patient/Basic.r",
        "patient/Observation.r?code=a|b",
    ]
    for kind in ("patient", "clinician"):
        texts = [describe_scope(parse_scope(word), kind, "en") for word in words]
        same = (
            {frozenset((0, 6)), frozenset((7, 8))} if kind == "patient" else set()
        )  # hers is all that she has
        for first, text in enumerate(texts):
            for second in range(first):
                assert (text == texts[second]) == (frozenset((first, second)) in same), (text, texts[second])


def test_every_scope_without_resources_has_words():
    assert set(ABOUT) == WITHOUT_RESOURCES


@pytest.mark.parametrize(
    "change",
    [{"client": "Growth Charts 2"}, {"redirect_host": "evil.example"}, {"patient": "Juan"}, {"ticket": "t2"},
     {"words": (*VIEW.words, "patient/*.cruds")}, {"words": VIEW.words[1:]}, {"person": "Juan"}, {"kind": "clinician"}],
    ids=str,
)  # fmt: skip
def test_an_answer_to_another_page_is_none(change):
    with pytest.raises(Invalid) as caught:
        allow(replace(VIEW, **change), shown=SHOWN)
    assert caught.value.code == "consent-changed"


@pytest.mark.parametrize("kept", [("patient/*.cruds",), ("openid", "patient/Observation.r"), ("",)])
def test_nothing_is_allowed_that_was_not_offered(kept):
    with pytest.raises(Invalid) as caught:
        allow(kept=kept)
    assert caught.value.code == "consent-widened"


@pytest.mark.parametrize("days", ["", "0", "-1", "31", "9999", "1e3", "٣٠"])
def test_only_the_days_that_were_offered(days):
    with pytest.raises(Invalid):
        allow(days=days)
    assert [allow(days=str(one)).days for one in DAYS] == list(DAYS)


def test_no_is_no():
    answer = read_answer(VIEW, shown=SHOWN, is_allowed=False, kept=VIEW.words, days="30")
    assert (answer.kept, answer.text, answer.digest) == (None, "", b"")
    assert msgspec.json.encode(answer.kept) == b"null"
