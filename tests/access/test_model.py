"""`decide`, the partition of a chart and the joining of charts against the reference model (tests/access/model.py)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from careledger.access.actor import Actor
from careledger.access.decision import RULES, AccessRequest, decide, join, withholding
from careledger.access.directives import DAY_MS, Coding, Directive, Grantee, Text
from careledger.access.force import PURPOSES
from careledger.access.granular import Filter, Holds
from careledger.access.scopes import INTERACTIONS, Outside, parse_scopes
from tests.access import model

HOUSE, OTHER, THIRD = "did:careledger:house", "did:careledger:other", "did:careledger:third"
DAY = 20_000
CODES = tuple(Coding(code=code, system=system) for code in ("psy", "lab") for system in ("s", "t", ""))
IDS = tuple(f"{number:064x}" for number in range(5))

GRANTEES = (
    Grantee(kind="organisation", value=HOUSE), Grantee(kind="organisation", value=OTHER),
    Grantee(kind="organisation", value=THIRD), Grantee(kind="practitioner", value="did:x:quill"),
    Grantee(kind="practitioner", value="quill"), Grantee(kind="role", value="nurse"),
    Grantee(kind="role", value="quill"), Grantee(kind="role", value=OTHER),
)  # fmt: skip
PURPOSES_ASKED = ("TREAT",) * 5 + ("HPAYMT", "HRESCH", "ETREAT", "PATRQT", "XYZZY", "treat", "")
INTERACTIONS_ASKED = ("read",) * 12 + ("search", "proof", "update") * 2 + (*INTERACTIONS, "purge")
Pick = Callable[[Sequence[Any]], Any]
"""Takes one of a sequence: by chance, or by Hypothesis, which makes small what fails."""


def some(pick: Pick, values: Sequence[Any], most: int) -> tuple[Any, ...]:
    return tuple(sorted({pick(values) for _ in range(pick(range(most + 1)))}))


def directives_of_a_chart(pick: Pick) -> list[Directive]:
    found = []
    for id in IDS[: pick((0, 1, 2, 2, 3, 3, 5))]:
        from_day = DAY + pick((-9, -9, -9, -1, 0, 0, 1))
        text = Text(
            actions=pick((("access",), ("access",), ("access", "proof"), ("proof",))),
            categories=some(pick, CODES, pick((0, 0, 2))),
            effect=pick(("deny", "permit")),
            format="careledger/directive/1",
            from_day=from_day,
            grantees=tuple(sorted({pick(GRANTEES[:2]), pick(GRANTEES)})),
            handle="",
            labels=some(pick, CODES, pick((0, 0, 0, 2))),
            nonce="",
            organisation="",
            purposes=some(pick, PURPOSES_ASKED[:-1], pick((0, 1, 2, 3))),
            supersedes=pick(("",) * 20 + IDS),
            types=pick(((), (), (), ("Observation",), ("Condition", "Observation"), ("Condition",))),
            until_day=max(from_day, DAY + pick((9, 9, 9, 1, 0, 0, -1))),
        )
        status = pick(("active",) * 8 + ("revoked", "unknown"))
        found.append(Directive(id, text, status, pick(range(10)) > 0, 1))
    return found


def an_actor(pick: Pick) -> Actor:
    scopes = (
        *("system/*.cruds",) * 12,
        "system/Condition.rs",
        "patient/*.cruds",
        "system/*.rs patient/*.r",
        "system/Observation.cruds?category=s|psy",
        "system/*.cud user/Observation.r?category=psy user/Observation.rs?category=t|lab,|psy",
        "patient/Observation.rs?category=lab patient/*.s",
    )
    return Actor(
        pick(("s", "s", "did:x:quill", "quill")),
        "c",
        pick((HOUSE, HOUSE, HOUSE, OTHER, OTHER, OTHER, THIRD, "")),
        parse_scopes(pick(scopes)),
        practitioner=pick(("", "", "quill", "ada")),
        patient=pick(("",) * 9 + ("a", "a")),
        purpose=pick(PURPOSES_ASKED),
        roles=pick(((), (), ("nurse",), ("clerk", "quill"))),
    )


def a_request(pick: Pick) -> AccessRequest:
    return AccessRequest(
        pick(INTERACTIONS_ASKED),
        pick(("Observation", "Observation", "Condition", "Practitioner")),
        pick((("?",),) * 4 + (("a",), ("a", "?"), ())),
        pick((HOUSE,) * 15 + ("",)),
        some(pick, CODES, 2),
        DAY * DAY_MS + pick((-1, 0, 1, DAY_MS // 2, DAY_MS - 1, DAY_MS)),
        pick(range(8)) == 0,
        pick(range(6)) == 0,
    )


def compare(pick: Pick) -> str:
    """One case against the model; the rule that decided."""
    request, actor, directives = a_request(pick), an_actor(pick), directives_of_a_chart(pick)
    labels = some(pick, CODES, 2)
    rule, used = model.decided(request, actor, directives, labels)
    decision = decide(request, actor, directives, labels, 7, holder(request))
    assert (decision.rule, decision.directives) == (rule, (used,) if used else ())
    assert decision.permit == (model.ANSWERS[rule] == "permit")
    assert decision.absent == (model.ANSWERS[rule] == "absent")
    assert decision.height == 7
    partition = withholding(request, actor, directives)
    asked = (request.type, request.categories, labels, holder(request))
    assert partition.applies(*asked) == (rule, used)
    of_type = partition.of_type(request.type)
    assert of_type.applies(*asked) == (rule, used)
    for one in of_type.conditions:
        if isinstance(one, Outside):
            assert one.type == request.type
        else:
            assert not one.types and (one.categories or one.labels)
    return rule


def holder(request: AccessRequest) -> Holds:
    """Filters by category hold as the categories of the request say."""

    def holds(filter: Filter) -> bool:
        assert filter.name == "category"
        return any(
            token.code == one.code and (token.is_of_any_system or token.system == one.system)
            for token in filter.tokens
            for one in request.categories
        )

    return holds


def compare_charts(pick: Pick) -> None:
    request, actor, labels = a_request(pick), an_actor(pick), some(pick, CODES, 2)
    charts = [directives_of_a_chart(pick) for _ in range(pick((1, 2, 3)))]
    holds = holder(request)
    decision = join([decide(request, actor, directives, labels, 7, holds) for directives in charts])
    assert (decision.permit, decision.rule) == model.decided_in_all(request, actor, charts, labels)


def test_decisions_on_directives_are_the_models():
    """Many cases, always the same ones; every rule decides often."""
    chance = random.Random(41)
    rules = Counter(compare(chance.choice) for _ in range(12_000))
    assert set(rules) == set(RULES)
    assert all(count >= 12 for count in rules.values()), rules


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_decisions_on_directives_are_the_models_in_small_cases(data):
    compare(lambda values: data.draw(st.sampled_from(values)))


def test_what_stands_in_several_charts_needs_a_permit_in_each():
    chance = random.Random(42)
    for _ in range(3_000):
        compare_charts(chance.choice)


def test_the_model_and_the_table_have_the_same_rules():
    assert dict(RULES) == model.ANSWERS
    assert list(RULES) == list(model.ANSWERS)
    assert model.KNOWN <= PURPOSES
    assert set(model.LETTERS) == set(INTERACTIONS)
