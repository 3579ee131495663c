"""The patient's pages of power: who looked, what she decides, what is proven; their component tests, run as they stand.

What her page says would change is what the node decides: on random decisions, callers and things, both are asked.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from careledger.access.actor import Actor
from careledger.access.decision import AccessRequest, decide
from careledger.access.directives import Coding, Directive, Grantee, Text
from careledger.access.scopes import parse_scopes
from careledger.fhir.consents import day
from tests.web_ui.running import LIB, ROOT, run_components

HOUSE = "did:careledger:" + "5b" * 32
OTHER = "did:careledger:" + "5c" * 32
DAY_MS = 86_400_000
TODAY = 20_780
CASES = 400
WHY = {
    "directive-deny": "denied",
    "directive-permit": "allowed",
    "custodian-default": "house",
    "no-directive": "nothing",
    "purpose": "nothing",
}
TYPES = ("Observation", "Condition", "MedicationRequest")
PURPOSES = ("TREAT", "HPAYMT", "HRESCH")
CODINGS = (
    Coding(code="laboratory", system=""),
    Coding(code="laboratory", system="urn:a"),
    Coding(code="sdoh", system=""),
)
PEOPLE = (
    ({"practitioner": "osei", "organisation": HOUSE}, True),
    ({"practitioner": "brandt", "organisation": HOUSE}, True),
    ({"organisation": OTHER}, False),
)


COUNTS = {"looked": 8, "grants": 6, "proof": 11}


@pytest.mark.parametrize("feature", COUNTS)
def test_the_pages_of_power(feature: str) -> None:
    count = COUNTS[feature]
    said = run_components(f"features/{feature}")
    assert f"Tests  {count} passed ({count})" in said, said


def test_what_her_page_says_would_change_is_what_the_node_decides(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chance = random.Random(7)
    cases = [make_case(chance) for _ in range(CASES)]
    assert {case["why"] for case in cases} == set(WHY.values())
    place = tmp_path / "cases.json"
    place.write_text(json.dumps(cases))
    monkeypatch.setenv("CARELEDGER_DECISIONS", str(place))
    said = run_components("features/grants")
    assert re.search(r"Tests  6 passed \(6\)", said), said[-3000:]


_ACCOUNT = re.compile(r"\"([^\"\n]*(?:this patient's account|account of this patient)[^\"\n]*)\"")
_WAYS = ("by an invitation of Ruth, approved by Ana", "by an invitation of Ruth alone")


def test_every_line_of_a_patients_account_has_words() -> None:
    source = (LIB.parent / "features" / "looked" / "account.tsx").read_text()
    patterns = re.findall(r'\["([\w-]+)", /(.+)/\],', source)
    lines = {line for place in ("web/smart", "node") for line in list_account_lines(place)}
    said = {
        line: next((told for told, pattern in patterns if re.search(pattern, line)), "") for line in lines
    }
    assert [line for line, told in said.items() if not told] == []
    assert {"recovered", "made-two", "made-alone", "disabled", "enabled", "linked", "unlinked"} <= set(
        said.values()
    )


def list_account_lines(place: str) -> list[str]:
    """What the node writes in a chart's log of its patient's account, with the holes filled."""
    found = []
    for path in (ROOT / "careledger" / place).glob("*.py"):
        for text in _ACCOUNT.findall(path.read_text()):
            causes = ("linked", "unlinked") if "sign-in" in text else ("disabled", "enabled")
            for what, way in zip(causes, _WAYS, strict=True):
                filled = text
                known = {"what": what, "name_of(people, by)": "Ruth", "tell_inviting(people, account)": way}
                for hole, filling in known.items():
                    filled = filled.replace("{" + hole + "}", filling)
                found.append(filled)
    return found


def make_case(chance: random.Random) -> dict[str, Any]:
    """Some decisions, somebody who looks at something, and what the node says to it."""
    held = [make_directive(chance, number) for number in range(chance.randrange(5))]
    person, is_of_house = chance.choice(PEOPLE)
    purpose, type = chance.choice(PURPOSES), chance.choice((*TYPES, "*"))
    category = chance.choice((None, *CODINGS))
    actor = Actor(
        subject="x",
        client="c",
        scopes=parse_scopes("system/*.rs"),
        purpose=purpose,
        organisation=person["organisation"],
        practitioner=person.get("practitioner", ""),
    )
    asked = AccessRequest(
        interaction="read",
        type="Basic" if type == "*" else type,
        patients=("p",),
        custodian=HOUSE,
        categories=() if category is None else (category,),
        time_ms=TODAY * DAY_MS,
    )
    names = [{"kind": kind, "value": value} for kind, value in person.items()]
    thing = {"type": type, **({} if category is None else {"category": as_coding(category)})}
    return {
        "decisions": [as_told(one) for one in held],
        "caller": {"names": names, "isOfHouse": is_of_house},
        "purpose": purpose,
        "thing": thing,
        "day": TODAY,
        "why": WHY[decide(asked, actor, held, (), 1).rule],
    }


def make_directive(chance: random.Random, number: int) -> Directive:
    """Any decision: in force or not, wide or narrow."""
    grantees = (
        ("practitioner", "osei"),
        ("practitioner", "brandt"),
        ("organisation", HOUSE),
        ("organisation", OTHER),
    )
    effect = chance.choice(("permit", "deny"))
    text = Text(
        actions=("access",),
        categories=tuple(chance.sample(CODINGS, chance.choice((0, 0, 1)))),
        effect=effect,  # type: ignore[arg-type]
        format="careledger/directive/1",
        from_day=TODAY + chance.choice((-9, -1, 0, 1)),
        grantees=tuple(Grantee(kind=kind, value=value) for kind, value in chance.sample(grantees, 2)),  # type: ignore[arg-type]
        handle="",
        labels=(),
        nonce="",
        organisation="",
        purposes=some(chance, PURPOSES) or (() if effect == "deny" else ("TREAT",)),
        supersedes=f"d{chance.randrange(number)}" if number and chance.random() < 0.2 else "",
        types=some(chance, TYPES),
        until_day=TODAY + chance.choice((-1, 0, 300, 300)) if chance.random() < 0.3 else TODAY + 300,
    )
    status = chance.choice(("active", "active", "active", "revoked"))
    return Directive(id=f"d{number}", text=text, status=status, bound=chance.random() < 0.9, height=1)  # type: ignore[arg-type]


def some(chance: random.Random, items: tuple[str, ...]) -> tuple[str, ...]:
    """None, one or two of them."""
    return tuple(sorted(chance.sample(items, chance.randint(0, 2))))


def as_coding(one: Coding) -> dict[str, str]:
    return {"code": one.code, "system": one.system}


def as_told(one: Directive) -> dict[str, Any]:
    """As `/api` tells it."""
    text = one.text
    return {
        "id": one.id,
        "effect": text.effect,
        "grantees": [f"{grantee.kind}:{grantee.value}" for grantee in text.grantees],
        "purposes": text.purposes,
        "types": text.types,
        "categories": [
            f"{code.system}|{code.code}" if code.system else code.code for code in text.categories
        ],
        "labels": [],
        "actions": text.actions,
        "from": day(text.from_day),
        "until": day(text.until_day),
        "status": one.status,
        "bound": one.bound,
        "supersedes": text.supersedes,
        "granted": "2026-11-23T00:00:00Z",
    }
