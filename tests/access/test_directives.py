"""Decisions on directives, one line each: who asks for what, what was decided, and the rule that must come of it."""

from __future__ import annotations

from typing import Any

import pytest

from careledger.access.actor import Actor
from careledger.access.decision import AccessRequest, decide, join, withholding
from careledger.access.directives import DAY_MS, Coding, Directive, Grantee, Text
from careledger.access.scopes import WRITES, parse_scopes

HOUSE, PAYER = "did:careledger:house", "did:careledger:payer"
DAY = 20_000
MIDNIGHT = DAY * DAY_MS
PSYCHIATRY, LABORATORY = Coding(code="psy", system="s"), Coding(code="lab", system="s")
RESTRICTED = Coding(code="R", system="conf")
TO_HOUSE = (Grantee(kind="organisation", value=HOUSE),)
TO_PAYER = (Grantee(kind="organisation", value=PAYER),)
TO_QUILL = (Grantee(kind="practitioner", value="quill"),)
TO_NURSES = (Grantee(kind="role", value="nurse"),)


def directive(number: int = 1, status: str = "active", bound: bool = True, **text: Any) -> Directive:
    given = {
        "actions": ("access",), "categories": (), "effect": "permit", "format": "careledger/directive/1", "from_day": DAY,
        "grantees": TO_PAYER, "handle": "", "labels": (), "nonce": "", "organisation": "", "purposes": ("TREAT",), "supersedes": "",
        "types": (), "until_day": DAY,
    }  # fmt: skip
    return Directive(f"{number:064x}", Text(**{**given, **text}), status, bound, 1)


def deny(number: int = 2, **rest: Any) -> Directive:
    return directive(number, **{"effect": "deny", "grantees": TO_HOUSE, "purposes": (), **rest})


def caller(organisation: str = PAYER, scopes: str = "system/*.cruds", **rest: Any) -> Actor:
    return Actor("s", "c", organisation, parse_scopes(scopes), **rest)


def request(interaction: str = "read", **rest: Any) -> AccessRequest:
    given = {"type": "Observation", "patients": ("?",), "custodian": HOUSE, "time_ms": MIDNIGHT}
    return AccessRequest(interaction, **{**given, **rest})


OURS, STRANGER = caller(HOUSE), caller()
QUILL = caller(HOUSE, practitioner="quill")
ADA = caller(HOUSE, "patient/*.cruds", patient="ada")
HERS = {"patients": ("ada",)}

CASES: dict[str, tuple[Any, ...]] = {
    "nobody from outside without a directive": (STRANGER, request(), [], "no-directive"),
    "a permit opens the chart": (STRANGER, request(), [directive()], "directive-permit"),
    "a permit opens a search": (STRANGER, request("search"), [directive()], "directive-permit"),
    "a permit lets nobody write": (STRANGER, request("update"), [directive()], "no-directive"),
    "a permit to read is none to a receipt": (STRANGER, request("proof"), [directive()], "no-directive"),
    "a permit of receipts": (STRANGER, request("proof"), [directive(actions=("access", "proof"))], "directive-permit"),
    "a permit of receipts alone opens nothing else": (STRANGER, request(), [directive(actions=("proof",))], "no-directive"),
    "a permit for another organisation": (caller("did:careledger:third"), request(), [directive()], "no-directive"),
    "a permit for another purpose": (STRANGER, request(), [directive(purposes=("HRESCH",))], "no-directive"),
    "a permit without purposes is for every known one": (caller(purpose="HMARKT"), request(), [directive(purposes=())], "directive-permit"),
    "a permit is for no purpose that nobody knows": (caller(purpose="XYZZY"), request(), [directive(purposes=())], "no-directive"),
    "nor if it says so itself": (caller(purpose="XYZZY"), request(), [directive(purposes=("XYZZY",))], "no-directive"),
    "research of the house needs a permit": (caller(HOUSE, purpose="HRESCH"), request(), [], "purpose"),
    "research of the house with a permit": (caller(HOUSE, purpose="HRESCH"), request(), [directive(grantees=TO_HOUSE, purposes=("HRESCH",))], "directive-permit"),
    "the scope comes first": (caller(scopes="system/Condition.r"), request(), [directive()], "scope"),
    "the house acts by default": (OURS, request(), [directive()], "custodian-default"),
    "a deny binds the house": (OURS, request(), [deny()], "directive-deny"),
    "a deny hides from writes as well": (OURS, request("update"), [deny()], "directive-deny"),
    "a deny of access denies receipts": (OURS, request("proof"), [deny()], "directive-deny"),
    "a deny of receipts denies receipts": (OURS, request("proof"), [deny(actions=("proof",))], "directive-deny"),
    "a deny of receipts hides nothing": (OURS, request(), [deny(actions=("proof",))], "custodian-default"),
    "a deny overrides a permit before it": (STRANGER, request(), [directive(1), deny(2, grantees=TO_PAYER)], "directive-deny"),
    "a deny overrides a permit after it": (STRANGER, request(), [deny(2, grantees=TO_PAYER), directive(1)], "directive-deny"),
    "a deny of a purpose that nobody knows denies": (OURS, request(), [deny(purposes=("XYZZY",))], "directive-deny"),
    "a deny meets callers whose purpose nobody knows": (caller(HOUSE, purpose="XYZZY"), request(), [deny(purposes=("TREAT",))], "directive-deny"),
    "a deny of another purpose": (OURS, request(), [deny(purposes=("HPAYMT",))], "custodian-default"),
    "a deny of one practitioner": (QUILL, request(), [deny(grantees=TO_QUILL)], "directive-deny"),
    "a deny of another practitioner": (caller(HOUSE, practitioner="ada"), request(), [deny(grantees=TO_QUILL)], "custodian-default"),
    "a practitioner's name is no role's": (caller(HOUSE, roles=("quill",)), request(), [deny(grantees=TO_QUILL)], "custodian-default"),
    "a deny of a role": (caller(HOUSE, roles=("clerk", "nurse")), request(), [deny(grantees=TO_NURSES)], "directive-deny"),
    "one of several grantees is enough": (QUILL, request(), [deny(grantees=TO_QUILL + TO_NURSES)], "directive-deny"),
    "a practitioner by DID": (Actor("did:x:quill", "c", PAYER, parse_scopes("system/*.rs")), request(), [directive(grantees=(Grantee(kind="practitioner", value="did:x:quill"),))], "directive-permit"),
    "a subject that is no DID names nobody": (Actor("quill", "c", PAYER, parse_scopes("system/*.rs")), request(), [directive(grantees=TO_QUILL)], "no-directive"),
    "a type that is named": (OURS, request(), [deny(types=("Condition", "Observation"))], "directive-deny"),
    "a type that is not named": (OURS, request(), [deny(types=("Condition",))], "custodian-default"),
    "a category that is named": (OURS, request(categories=(LABORATORY, PSYCHIATRY)), [deny(categories=(PSYCHIATRY,))], "directive-deny"),
    "a category that is not named": (OURS, request(categories=(LABORATORY,)), [deny(categories=(PSYCHIATRY,))], "custodian-default"),
    "no category": (OURS, request(), [deny(categories=(PSYCHIATRY,))], "custodian-default"),
    "the same code of another system": (OURS, request(categories=(Coding(code="psy", system="t"),)), [deny(categories=(PSYCHIATRY,))], "custodian-default"),
    "a directive's code without a system is of every system": (OURS, request(categories=(PSYCHIATRY,)), [deny(categories=(Coding(code="psy", system=""),))], "directive-deny"),
    "a resource's code without a system is denied": (OURS, request(categories=(Coding(code="psy", system=""),)), [deny(categories=(PSYCHIATRY,))], "directive-deny"),
    "a resource's code without a system is not permitted": (STRANGER, request(categories=(Coding(code="psy", system=""),)), [directive(categories=(PSYCHIATRY,))], "no-directive"),
    "a label is no category": (OURS, request(categories=(RESTRICTED,)), [deny(labels=(RESTRICTED,))], "custodian-default"),
    "type and category, both": (OURS, request(type="Condition", categories=(PSYCHIATRY,)), [deny(types=("Observation",), categories=(PSYCHIATRY,))], "custodian-default"),
    "revoked": (STRANGER, request(), [directive(status="revoked")], "no-directive"),
    "a revoked deny": (OURS, request(), [deny(status="revoked")], "custodian-default"),
    "unknown to the ledger": (STRANGER, request(), [directive(status="unknown")], "no-directive"),
    "bound by somebody else's key": (STRANGER, request(), [directive(bound=False)], "no-directive"),
    "the first moment of the first day": (STRANGER, request(time_ms=MIDNIGHT), [directive()], "directive-permit"),
    "one ms before the first day": (STRANGER, request(time_ms=MIDNIGHT - 1), [directive()], "no-directive"),
    "the last ms of the last day": (STRANGER, request(time_ms=MIDNIGHT + DAY_MS - 1), [directive()], "directive-permit"),
    "the first moment after the last day": (STRANGER, request(time_ms=MIDNIGHT + DAY_MS), [directive()], "no-directive"),
    "a deny that has ended": (OURS, request(time_ms=MIDNIGHT + DAY_MS), [deny()], "custodian-default"),
    "superseded": (STRANGER, request(), [directive(1), directive(3, supersedes=f"{1:064x}", types=("Condition",))], "no-directive"),
    "superseded by one that is about somebody else": (STRANGER, request(), [directive(1), directive(3, supersedes=f"{1:064x}", grantees=TO_QUILL)], "no-directive"),
    "superseded by one that begins later": (STRANGER, request(), [directive(1), directive(3, supersedes=f"{1:064x}", from_day=DAY + 1, until_day=DAY + 1)], "no-directive"),
    "superseded by one that is revoked": (STRANGER, request(), [directive(1), directive(3, "revoked", supersedes=f"{1:064x}", types=("Condition",))], "directive-permit"),
    "a forged directive supersedes nothing": (OURS, request(), [deny(2), directive(3, bound=False, supersedes=f"{2:064x}")], "directive-deny"),
    "one that supersedes itself counts": (STRANGER, request(), [directive(1, supersedes=f"{1:064x}")], "directive-permit"),
    "two that supersede each other: neither": (STRANGER, request(), [directive(1, supersedes=f"{3:064x}"), directive(3, supersedes=f"{1:064x}")], "no-directive"),
    "the end of a chain": (STRANGER, request(), [deny(1, grantees=TO_PAYER), deny(3, grantees=TO_PAYER, supersedes=f"{1:064x}"), directive(4, supersedes=f"{3:064x}")], "directive-permit"),
    "her own chart": (ADA, request(**HERS), [], "own-chart"),
    "no directive narrows her": (ADA, request(**HERS), [deny()], "own-chart"),
    "her own request": (caller(HOUSE, "patient/*.cruds", patient="ada", purpose="PATRQT"), request(**HERS), [deny()], "own-chart"),
    "her token for research": (caller(HOUSE, "patient/*.cruds", patient="ada", purpose="HRESCH"), request(**HERS), [], "purpose"),
    "who treats her with a token of her chart is not herself": (caller(HOUSE, "patient/*.cruds", patient="ada", practitioner="quill"), request(**HERS), [deny()], "directive-deny"),
    "nor is who has a role": (caller(HOUSE, "patient/*.cruds", patient="ada", roles=("nurse",)), request(**HERS), [deny()], "directive-deny"),
    "nor is who is from elsewhere": (caller(PAYER, "patient/*.cruds", patient="ada"), request(**HERS), [], "no-directive"),
    "another patient's directives open nothing to her": (ADA, request(), [directive(grantees=TO_HOUSE)], "other-patient"),
    "an emergency overrides a deny": (caller(HOUSE, practitioner="quill", purpose="ETREAT"), request(emergency=True), [deny()], "emergency"),
    "no emergency without a grant of it": (caller(HOUSE, practitioner="quill", purpose="ETREAT"), request(), [deny()], "directive-deny"),
    "the purpose alone opens nothing": (caller(HOUSE, purpose="ETREAT"), request(), [], "purpose"),
    "no emergency for payers": (caller(HOUSE, purpose="HPAYMT"), request(emergency=True), [deny()], "directive-deny"),
    "no emergency for researchers": (caller(HOUSE, purpose="HRESCH"), request(emergency=True), [], "purpose"),
    "an emergency from outside is for reading": (caller(purpose="ETREAT"), request("update", emergency=True), [], "no-directive"),
    "an emergency stays within the scope": (caller(HOUSE, "system/Condition.r", purpose="ETREAT"), request(emergency=True), [], "scope"),
    "no emergency opens the house chart": (caller(HOUSE, purpose="ETREAT"), request(patients=(), emergency=True), [], "purpose"),
    "but what a chart refers to can be read in one": (caller(HOUSE, purpose="ETREAT"), request(type="Practitioner", patients=(), emergency=True), [], "supporting"),
    "the house chart is the house's": (STRANGER, request(patients=()), [directive()], "no-directive"),
    "what a permitted chart refers to": (STRANGER, request("include", type="Practitioner", patients=()), [directive()], "supporting"),
    "without a permit in force nothing is referred to": (STRANGER, request("include", type="Practitioner", patients=()), [directive(status="revoked")], "no-directive"),
    "supporting types are not written": (STRANGER, request("update", type="Practitioner", patients=()), [directive()], "no-directive"),
    "no deny closes the house chart": (OURS, request(patients=()), [deny()], "custodian-default"),
    "she reads who treated her, on her own request": (caller(HOUSE, "patient/*.rs", patient="ada", purpose="PATRQT"), request(type="Practitioner", patients=()), [], "supporting"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_decision(name):
    actor, asked, directives, rule = CASES[name]
    decision = decide(asked, actor, directives, (), 9)
    assert (decision.rule, decision.height) == (rule, 9)
    expected = {"directive-permit": "permit", "directive-deny": "deny"}.get(rule)
    used = [one for one in directives if one.id in decision.directives]
    assert [one.text.effect for one in used] == ([expected] if expected else [])


def test_labels_are_met_by_labels():
    assert decide(request(), OURS, [deny(labels=(RESTRICTED,))], (RESTRICTED,), 1).rule == "directive-deny"
    assert decide(request(), OURS, [deny(labels=(RESTRICTED,))], (), 1).rule == "custodian-default"
    permit = directive(labels=(RESTRICTED,), categories=(PSYCHIATRY,))
    both = request(categories=(PSYCHIATRY,))
    assert decide(both, STRANGER, [permit], (RESTRICTED,), 1).rule == "directive-permit"
    assert decide(both, STRANGER, [permit], (), 1).rule == "no-directive"


def test_no_permit_lets_a_stranger_change_anything():
    permit = directive(actions=("access", "proof"), purposes=())
    for interaction in (*WRITES, "validate"):
        assert decide(request(interaction), STRANGER, [permit], (), 1).rule == "no-directive"


def test_one_chart_that_denies_denies_what_stands_in_several():
    both = [decide(request(), OURS, directives, (), 1) for directives in ([], [deny()])]
    for order in (both, both[::-1]):
        assert (join(order).permit, join(order).rule) == (False, "directive-deny")
        assert join(order).directives == both[1].directives
    permits = [decide(request(), STRANGER, [directive(number)], (), 1) for number in (1, 2)]
    assert (join(permits).rule, join(permits).directives) == ("directive-permit", (f"{1:064x}", f"{2:064x}"))
    nothing = decide(request(), STRANGER, [], (), 1)
    assert join([permits[0], nothing]).rule == "no-directive"


def test_a_partition_tells_searches_what_is_withheld_without_opening_anything():
    directives = [
        directive(1, types=("Observation",)),
        deny(2, grantees=TO_PAYER, categories=(PSYCHIATRY,)),
        deny(3, grantees=TO_PAYER, types=("Condition",)),
    ]
    partition = withholding(request("search"), STRANGER, directives)
    assert [(one.effect, one.types, one.categories, one.labels) for one in partition.conditions] == [
        ("deny", (), (PSYCHIATRY,), ()), ("deny", ("Condition",), (), ()), ("permit", ("Observation",), (), ()),
    ]  # fmt: skip
    observations, conditions, other = map(partition.of_type, ("Observation", "Condition", "Procedure"))
    assert [one.categories for one in observations.conditions] == [(PSYCHIATRY,)]
    assert (observations.otherwise, observations.directive) == ("directive-permit", f"{1:064x}")
    assert (conditions.otherwise, conditions.directive) == ("directive-deny", f"{3:064x}")
    assert (other.otherwise, other.directive) == ("no-directive", "")
    assert withholding(request(), OURS, []).of_type("Observation").conditions == ()
