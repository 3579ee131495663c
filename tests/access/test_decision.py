"""`decide` against a reference model of another shape, over the whole small domain."""

from __future__ import annotations

import itertools

import pytest

from careledger.access.actor import Actor
from careledger.access.decision import RULES, AccessRequest, decide
from careledger.access.entries import entries_for
from careledger.access.scopes import INTERACTIONS, parse_scopes
from careledger.vault.model import HOUSE_CHART

HOUSE = "did:careledger:house"
SCOPES = (
    "system/*.cruds",
    "system/*.rs",
    "system/Observation.cud",
    "user/*.r",
    "patient/*.cruds",
    "patient/*.rs",
)
TYPES = ("Patient", "Observation", "Practitioner", "List")
CHARTS = ((), ("a",), ("b",), ("a", "b"), ("b", "a"))
PURPOSES = ("TREAT", "HPAYMT", "HOPERAT", "HRESCH", "ETREAT", "treat", "")
ORGANISATIONS = (HOUSE, "did:careledger:other", "")
ASKED = (*INTERACTIONS, "purge", "")

LETTERS = {
    "read": "r", "vread": "r", "proof": "r", "history-instance": "r", "include": "r", "history-type": "s", "history-system": "s",
    "search": "s", "count": "s", "everything": "rs", "create": "c", "conditional-create": "cs", "update": "u",
    "conditional-update": "us", "patch": "u", "delete": "d", "conditional-delete": "ds",
}  # fmt: skip


def reasons_to_deny(asked, scope, type, charts, patient, organisation, purpose):
    """The reference for callers whom no directive names: every objection; none means permit."""
    level, _, rest = scope.partition("/")
    on, _, held = rest.partition(".")
    objections = set()
    if asked == "validate":
        fits = True
    else:
        fits = asked in LETTERS and all(letter in held for letter in LETTERS[asked])
    if not fits or on not in ("*", type):
        objections.add("scope")
    changes = any(letter in LETTERS.get(asked, "") for letter in "cud")
    if patient or level == "patient":
        if charts == () and type not in ("Practitioner",):
            objections.add("other-patient")
        if charts == () and type == "Practitioner" and changes:
            objections.add("house-read-only")
        if charts and patient not in charts:
            objections.add("other-patient")
        if charts and changes and set(charts) != {patient}:
            objections.add("other-patient")
    if organisation != HOUSE:
        objections.add("no-directive")
    if purpose not in {"TREAT", "HPAYMT", "HOPERAT"}:
        objections.add("purpose")
    return objections


def test_whole_domain_without_directives_against_the_reference_model():
    precedence = list(RULES)
    cases = itertools.product(SCOPES, ("", "a"), ORGANISATIONS, PURPOSES)
    for scope, patient, organisation, purpose in cases:
        actor = Actor("s", "c", organisation, parse_scopes(scope), patient=patient, purpose=purpose)
        for asked, type, charts in itertools.product(ASKED, TYPES, CHARTS):
            decision = decide(AccessRequest(asked, type, charts, HOUSE), actor, (), (), 7)
            objections = reasons_to_deny(asked, scope, type, charts, patient, organisation, purpose)
            expected = min(objections, key=precedence.index) if objections else "custodian-default"
            if not objections and patient and charts:
                expected = "own-chart"
            assert (decision.permit, decision.rule, decision.height) == (not objections, expected, 7)


def test_answers_hide_what_another_patient_has():
    actor = Actor("s", "c", HOUSE, parse_scopes("patient/*.cruds"), patient="a")
    for asked in INTERACTIONS:
        decision = decide(AccessRequest(asked, "Observation", ("b",), HOUSE), actor, (), (), 1)
        assert (decision.permit, decision.rule, decision.absent) == (False, "other-patient", True)
    outside = decide(
        AccessRequest("read", "Patient", ("a",), HOUSE),
        Actor("s", "c", HOUSE, parse_scopes("system/List.r")),
        (),
        (),
        1,
    )
    assert (outside.rule, outside.absent) == ("scope", False)


def test_a_node_without_a_name_permits_nothing():
    actor = Actor("s", "c", "", parse_scopes("system/*.cruds"))
    assert decide(AccessRequest("read", "Patient", ("a",), ""), actor, (), (), 1).rule == "no-directive"


@pytest.mark.parametrize("kind, by_chart, charts, entry_kind", [
    ("search", {3: (1, 2), 9: (5,)}, [3, 9], "search"),
    ("read", {3: (1,)}, [3], "read"),
    ("read", {HOUSE_CHART: (4,)}, [HOUSE_CHART], "read"),
    ("search", {}, [HOUSE_CHART], "empty"),
    ("count", {}, [HOUSE_CHART], "count"),
    ("count", {3: (1,)}, [HOUSE_CHART], "count"),
])  # fmt: skip
def test_an_answer_of_k_charts_makes_k_entries(kind, by_chart, charts, entry_kind):
    actor = Actor("s", "client", HOUSE, parse_scopes("system/*.rs"), practitioner="dr")
    decision = decide(AccessRequest("search", "Observation", (), HOUSE), actor, (), (), 5)
    entries = entries_for(actor, decision, bytes(16), kind, "w" * 2000, 5, 1000, by_chart)
    assert [entry.chart for entry in entries] == charts
    for entry in entries:
        assert entry.kind == entry_kind
        assert entry.permitted
        assert (entry.actor, entry.client, entry.organisation, entry.rule) == (
            "dr",
            "client",
            HOUSE,
            "custodian-default",
        )
        assert len(entry.what) == 1024
        assert entry.leaves == (() if entry_kind in ("empty", "count") else tuple(by_chart[entry.chart]))


def test_a_denial_is_one_house_entry_whatever_was_found():
    actor = Actor("s", "client", "did:careledger:other", parse_scopes("system/*.rs"))
    decision = decide(AccessRequest("read", "Observation", ("a",), HOUSE), actor, (), (), 5)
    (entry,) = entries_for(actor, decision, bytes(16), "read", "Observation/1", 5, 1000, {3: (1,), 4: (2,)})
    assert (entry.chart, entry.kind, entry.permitted, entry.leaves) == (HOUSE_CHART, "denied", False, ())
    assert entry.rule == "no-directive"
