"""Granular scopes: what is read, what is refused, what is reached; and what two sets of scopes have in common."""

from __future__ import annotations

import itertools
import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careledger.access import scopes
from careledger.access.actor import Actor
from careledger.access.decision import AccessRequest, decide
from careledger.access.granular import FILTERS_MAX, PARAMETERS, TOKENS_MAX, Filter
from careledger.access.scopes import (
    INTERACTIONS,
    SCOPE_TEXT_MAX_BYTES,
    SCOPES_MAX,
    WITHOUT_RESOURCES,
    allows,
    combine,
    is_narrowed,
    narrow,
    parse_scope,
    parse_scopes,
    with_session,
)
from careledger.primitives.errors import Invalid
from tests.access.model import LETTERS

LAB = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
READ = [
    (f"patient/Observation.rs?category={LAB}", ""),
    ("user/Condition.cruds?category=problem-list-item&clinical-status=active", ""),
    ("system/Observation.r?category=a,b,|c,s|d", "system/Observation.r?category=a,b,s|d,|c"),
    ("system/Observation.r?status=final&category=a", "system/Observation.r?category=a&status=final"),
    ("system/Observation.r?category=a&category=a", "system/Observation.r?category=a"),
    ("system/Observation.r?category=a&category=a,b", "system/Observation.r?category=a"),
    ("system/Observation.r?category=a,s|a,|a", "system/Observation.r?category=a"),
    ("system/Observation.r?category=s%7Ca%2Cb", "system/Observation.r?category=b,s|a"),
    ("system/Observation.r?category=urn%3aoid%3A1.2|a", "system/Observation.r?category=urn:oid:1.2|a"),
]


@pytest.mark.parametrize("text, written", READ, ids=range(len(READ)))
def test_granular_scopes_are_read_and_written(text, written):
    token = parse_scopes(text)
    assert str(token) == (written or text)
    assert parse_scopes(str(token)) == token
    assert token.scopes[0].narrowing


REFUSED = [
    "Observation.r?category",
    "Observation.r?category=",
    "Observation.r?=a",
    "Observation.r?category=a&",
    "Observation.r?&category=a",
    "Observation.r?category=a,",
    "Observation.r?category=,",
    "Observation.r?category=|",
    "Observation.r?category=s|",
    "Observation.r?category=s|a|b",
    "Observation.r?category=*",
    "Observation.r?category=*|a",
    "Observation.r?category=a+b",
    "Observation.r?category=a%20b",
    "Observation.r?category=%2561",
    "Observation.r?category=a%",
    "Observation.r?category=a%00",
    "Observation.r?category=%c3%a4",
    "Observation.r?category=a%26status=final",
    "Observation.r?category=a?code=b",
    "Observation.r?category=a=b",
    "Observation.r?category:not=a",
    "Observation.r?category:in=http://v",
    "Observation.r?category:missing=true",
    "Observation.r?Category=a",
    "Observation.r?%63ategory=a",
    "Observation.r?_id=a",
    "Observation.r?_security=R",
    "Observation.r?subject=Patient/1",
    "Observation.r?patient.name=a",
    "Observation.r?_has:Provenance:target:agent=a",
    "Observation.r?date=2026",
    "Observation.r?clinical-status=active",
    "Observation.r?value-quantity=5",
    "Observation.r?category=a&unknown=b",
    "Patient.r?gender=female",
    "AuditEvent.r?type=rest",
    "Nothing.r?category=a",
    "*.r?category=a",
    "Observation.read?category=a",
    "Observation.*?category=a",
    "Observation.write?category=a",
    "Observation.r?category=" + ",".join(str(n) for n in range(TOKENS_MAX + 1)),
    "Observation.r?" + "&".join(f"category={n}" for n in range(9)),
    "Observation.r?category=" + "a" * 201,
]


@pytest.mark.parametrize("rest", REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_evaluated_refuses_the_token(rest):
    """Alone, and among scopes that can be."""
    for text in (f"system/{rest}", f"system/Patient.r system/{rest} system/*.cruds"):
        with pytest.raises(Invalid) as refused:
            parse_scopes(text)
        assert refused.value.code in ("scope-granular", "scope-invalid")
        assert rest not in refused.value.message + refused.value.hint


# Meaning, as naive loops over the text of scopes

TYPES = ("Observation", "Condition", "Patient")
REACHES = ("patient", "user", "system")
CODINGS = ("s|a", "|a", "t|b")
RESOURCES = [
    {"category": categories, "status": (status,), "code": ()}
    for n in range(len(CODINGS) + 1)
    for categories in itertools.combinations(CODINGS, n)
    for status in ("|final", "|amended")
]


def meets(criteria, resource):
    for one in filter(None, criteria.split("&")):
        name, _, value = one.partition("=")
        wanted = value.split(",")
        if not any(
            coding == text or ("|" not in text and coding.partition("|")[2] == text)
            for coding in resource.get(name, ())
            for text in wanted
        ):
            return False
    return True


def rights(text):
    """(reach, type, number of the resource, letter): all that a text of scopes allows on this small world."""
    found = set()
    for scope in text.split(" "):
        level, _, rest = scope.partition("/")
        on, _, rest = rest.partition(".")
        held, _, criteria = rest.partition("?")
        held = {"read": "rs", "write": "cud", "*": "cruds"}.get(held, held)
        for reach in REACHES[: REACHES.index(level) + 1] if level in REACHES else ():
            for type in TYPES if on == "*" else (on,):
                for number, resource in enumerate(RESOURCES):
                    if meets(criteria, resource):
                        found |= {(reach, type, number, letter) for letter in held}
    return found


def a_scope(pick):
    level, type = pick(REACHES), pick((*TYPES[:2], *TYPES, "*"))
    if type == "*" or type == "Patient" or pick(range(3)) == 0:
        return f"{level}/{type}.{pick(('read', 'write', '*', 'r', 's', 'rs', 'cruds', 'cud'))}"
    filters = []
    for name in ("category", "status") if pick(range(3)) == 0 and type == "Observation" else ("category",):
        values = ("final", "amended", "|final") if name == "status" else ("a", "b", "s|a", "|a", "t|b", "x|a")
        filters.append(f"{name}=" + ",".join({pick(values) for _ in range(pick((1, 1, 2, 3)))}))
    return f"{level}/{type}.{pick(('r', 's', 'rs', 'cruds', 'u'))}?{'&'.join(filters)}"


def some_scopes(pick):
    return " ".join(a_scope(pick) for _ in range(pick((1, 2, 3, 4))))


def check_narrow(pick):
    a, b = some_scopes(pick), some_scopes(pick)
    first, second = parse_scopes(a), parse_scopes(b)
    both = narrow(first, second)
    assert rights(str(both)) == rights(a) & rights(b), (a, b, str(both))
    assert narrow(second, first).scopes == both.scopes or rights(str(narrow(second, first))) == rights(
        str(both)
    )
    assert narrow(both, both) == both
    assert rights(str(narrow(first, first))) == rights(a)
    assert narrow(both, first).outside == narrow(both, second).outside == both.outside
    if both.scopes:
        assert parse_scopes(str(both)) == both
    return bool(both.scopes), any(scope.narrowing for scope in both.scopes)


def test_narrow_is_exactly_what_both_sets_mean():
    """Many cases, always the same ones; both kinds of answer are common."""
    chance = random.Random(6)
    found = [check_narrow(chance.choice) for _ in range(1_500)]
    assert min(sum(one[0] for one in found), sum(one[1] for one in found)) > 300
    assert sum(not one[0] for one in found) > 100


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_narrow_in_small_cases(data):
    check_narrow(lambda values: data.draw(st.sampled_from(values)))


def test_what_a_token_reaches_is_what_its_scopes_say():
    """`allows` and `outside` together, on each resource, against the loops."""
    chance = random.Random(7)
    for _ in range(400):
        text = some_scopes(chance.choice)
        token, held = parse_scopes(text), rights(text)
        for interaction, type in itertools.product(INTERACTIONS, TYPES):
            letters = LETTERS[interaction]
            if not letters:
                continue
            outside = [one for one in token.outside.get(interaction, ()) if one.type == type]
            assert is_narrowed(token, interaction, type) == bool(outside)
            reached = [
                number
                for number, resource in enumerate(RESOURCES)
                if all(any((reach, type, number, one) in held for reach in REACHES) for one in letters)
            ]
            for number, resource in enumerate(RESOURCES):
                holds = lambda one, resource=resource: meets(str(one), resource)  # noqa: E731
                open_ = allows(token, interaction, type) and not any(
                    one.covers(type, holds) for one in outside
                )
                assert open_ == (number in reached), (text, interaction, type)
            if len(reached) == len(RESOURCES) and not any("?" in one and type in one for one in text.split()):
                assert not outside


CORNERS = [
    # requested, granted, what is left
    ("patient/*.*", "patient/Observation.rs", "patient/Observation.rs"),
    ("patient/*.*", f"patient/Observation.rs?category={LAB}", f"patient/Observation.rs?category={LAB}"),
    (f"patient/Observation.rs?category={LAB}", "patient/*.read", f"patient/Observation.rs?category={LAB}"),
    ("patient/Observation.read", "patient/Observation.write", ""),
    ("patient/Observation.*", "patient/Observation.rs", "patient/Observation.rs"),
    ("patient/Observation.cruds", "patient/Observation.read", "patient/Observation.rs"),
    ("user/Observation.rs", "patient/*.cruds", "patient/Observation.rs"),
    ("patient/Observation.rs", "user/*.cruds", "patient/Observation.rs"),
    ("system/*.cruds", "user/Patient.r", "user/Patient.r"),
    ("patient/Observation.rs user/Observation.rs", "user/*.rs", "patient/Observation.rs user/Observation.rs"),
    ("patient/Condition.rs", "patient/Observation.rs", ""),
    (
        "patient/Observation.rs?category=a",
        "patient/Observation.rs?category=b",
        "patient/Observation.rs?category=a&category=b",
    ),
    (
        "patient/Observation.rs?category=a",
        "patient/Observation.rs?category=a,b",
        "patient/Observation.rs?category=a",
    ),
    (
        "patient/Observation.rs?category=s|a",
        "patient/Observation.rs?category=a",
        "patient/Observation.rs?category=s|a",
    ),
    (
        "patient/Observation.rs?category=a",
        "patient/Observation.rs?status=final",
        "patient/Observation.rs?category=a&status=final",
    ),
    (
        "patient/Observation.rs?category=a",
        "patient/Observation.r?category=a patient/Observation.s",
        "patient/Observation.rs?category=a",
    ),
    (
        "patient/Observation.rs?category=a patient/Observation.r",
        "patient/*.rs",
        "patient/Observation.r patient/Observation.rs?category=a",
    ),
    ("patient/Observation.rs?category=a patient/Observation.rs", "patient/*.rs", "patient/Observation.rs"),
    (
        "openid fhirUser launch/patient offline_access patient/Patient.r",
        "openid launch patient/*.rs",
        "openid patient/Patient.r",
    ),
    ("openid offline_access", "openid online_access", "openid"),
]


@pytest.mark.parametrize("requested, granted, left", CORNERS, ids=range(len(CORNERS)))
def test_corner(requested, granted, left):
    """F7 of the fault catalogue: wildcards, versions, levels, granular parts and session scopes never widen."""
    both = narrow(parse_scopes(requested), parse_scopes(granted))
    assert str(both) == left
    assert narrow(parse_scopes(granted), parse_scopes(requested)) == both
    assert narrow(both, parse_scopes(requested)) == both == narrow(both, parse_scopes(granted))


def test_a_set_of_rights_alone_says_nothing_of_the_session():
    rights_of_user = with_session(parse_scopes("user/*.rs"))
    assert rights_of_user.session == WITHOUT_RESOURCES
    left = narrow(parse_scopes("openid launch user/Patient.cruds"), rights_of_user)
    assert str(left) == "launch openid user/Patient.rs"


def test_too_much_in_common_is_refused_in_time(monkeypatch):
    """Quadratic work ends at a limit: neither a huge token nor a slow answer."""
    made = []
    meet = scopes._meet
    monkeypatch.setattr(scopes, "_meet", lambda one, other: made.append(0) or meet(one, other))
    many = [
        " ".join(f"user/Observation.r?category={prefix}{number}" for number in range(100)) for prefix in "ab"
    ]
    with pytest.raises(Invalid) as refused:
        narrow(parse_scopes(many[0]), parse_scopes(many[1]))
    assert refused.value.code == "scope-invalid"
    assert len(made) < 500
    assert len(narrow(parse_scopes(many[0]), parse_scopes(many[0])).scopes) == 100
    some = [" ".join(one.split(" ")[:13]) for one in many]
    with pytest.raises(Invalid):
        narrow(parse_scopes(some[0]), parse_scopes(some[1]))
    nine = [" ".join(("user/Observation.r?" + "&".join(f"{name}={i}{n}" for n in range(5)),)) for i, name in enumerate(("category", "code"))]  # fmt: skip
    with pytest.raises(Invalid):
        narrow(parse_scopes(nine[0]), parse_scopes(nine[1]))


def test_the_order_of_scopes_and_filters_does_not_matter():
    one = parse_scope("system/Observation.r?category=b,a&code=c")
    assert one == parse_scope("system/Observation.r?code=c&category=a,b")
    assert combine([one, one]) == combine([one])
    assert isinstance(one.narrowing[0], Filter)
    assert all(names for names in PARAMETERS.values())


def test_what_nobody_looked_at_is_out_of_reach():
    """A decision that is not told of the resource's tokens denies."""
    actor = Actor("s", "c", "did:x:house", parse_scopes("system/Observation.r?category=a"))
    request = AccessRequest("read", "Observation", ("?",), "did:x:house")
    assert decide(request, actor, (), (), 1).rule == "granular-scope"
    assert decide(request, actor, (), (), 1, lambda one: True).permit


def test_the_page_lists_the_parameters():
    page = (Path(__file__).resolve().parents[2] / "docs" / "spec" / "scopes.md").read_text("utf-8")
    listed = dict(re.findall(r"^\| ([A-Z][A-Za-z]+) \| ([a-z, -]+) \|$", page, re.MULTILINE))
    assert {type: set(names.split(", ")) for type, names in listed.items()} == dict(PARAMETERS)
    for number in (FILTERS_MAX, TOKENS_MAX, SCOPES_MAX, f"{SCOPE_TEXT_MAX_BYTES:,}"):
        assert f" {number} " in page
    assert all(f"`{one}`" in page for one in WITHOUT_RESOURCES)
