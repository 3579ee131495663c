"""Scopes: the whole matrix of letters, levels and interactions against SMART's own table."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careledger.access.scopes import INTERACTIONS, allows, combine, parse_scope, parse_scopes
from careledger.primitives.errors import Invalid

# What each letter is for, written from SMART App Launch 2.2, not from the code.
SMART = {
    "read": "r",
    "vread": "r",
    "history-instance": "r",
    "include": "r",
    "proof": "r",
    "history-type": "s",
    "history-system": "s",
    "search": "s",
    "count": "s",
    "everything": "rs",
    "create": "c",
    "conditional-create": "cs",
    "update": "u",
    "conditional-update": "us",
    "patch": "u",
    "delete": "d",
    "conditional-delete": "ds",
}
LETTER_SETS = ["".join(some) for n in range(1, 6) for some in itertools.combinations("cruds", n)]


def test_matrix_of_letters_and_interactions():
    assert set(SMART) | {"validate"} == set(INTERACTIONS)
    for level, letters in itertools.product(("patient", "user", "system"), LETTER_SETS):
        scopes = parse_scopes(f"{level}/Observation.{letters}")
        everywhere = parse_scopes(f"{level}/*.{letters}")
        for interaction, needed in SMART.items():
            expected = set(needed) <= set(letters)
            assert allows(scopes, interaction, "Observation") is expected
            assert allows(scopes, interaction, "Patient") is False
            assert allows(scopes, interaction, "*") is False
            assert allows(everywhere, interaction, "Patient") is expected
            assert allows(everywhere, interaction, "*") is expected
        assert allows(scopes, "validate", "Observation")
        assert not allows(scopes, "validate", "Patient")
        assert not allows(everywhere, "purge", "Patient"), "an unknown interaction is never allowed"


@pytest.mark.parametrize(
    "version_1, version_2", [("read", "rs"), ("write", "cud"), ("*", "cruds")], ids=["read", "write", "all"]
)
def test_version_1_reads_as_version_2(version_1, version_2):
    assert parse_scope(f"patient/Condition.{version_1}") == parse_scope(f"patient/Condition.{version_2}")


def test_union_of_scopes_never_crosses_types():
    scopes = parse_scopes("system/Patient.r user/Observation.s openid launch/patient")
    assert allows(scopes, "read", "Patient")
    assert allows(scopes, "search", "Observation")
    assert not allows(scopes, "search", "Patient")
    assert not allows(scopes, "read", "Observation")
    assert not scopes.patient_level
    assert parse_scopes("system/Patient.r patient/Observation.s").patient_level


REFUSED = [
    "",
    " ",
    "system/*.cruds ",
    "system/*.cruds  system/*.r",
    "system/*.",
    "system/*",
    "system/.r",
    "system/*.sr",
    "system/*.rr",
    "system/*.x",
    "System/*.r",
    "admin/*.r",
    "system/*.reads",
    "system/patient.r",
    "system/Pat*.r",
    "system/**.r",
    "system/../Patient.r",
    "system/Patient.r?",
    "system/Observation.r?code=b c",
    "system/Patient.r\n",
    "\nsystem/Patient.r",
    "system/Patient.r\tsystem/*.r",
    "syst\u0435m/Patient.r",
    "system/P\u0430tient.r",
    "*/Patient.r",
    "*",
    "x" * 5000,
    " ".join(["system/Patient.r"] * 200),
]


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_refused(text):
    with pytest.raises(Invalid) as refusal:
        parse_scopes(text)
    assert refusal.value.code == "scope-invalid"


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([f"system/{t}.{x}" for t in ("Patient", "*") for x in LETTER_SETS]), min_size=1)
)
def test_scopes_print_as_they_are_read(texts):
    scopes = parse_scopes(" ".join(texts[:20]))
    assert parse_scopes(str(scopes)) == scopes
    assert combine(reversed(scopes.scopes)).by_type == scopes.by_type
