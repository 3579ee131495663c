"""Exports against both verifiers: honest ones hold; whatever a custodian or anybody else does to one is refused.

Both must agree on every input, and refuse for the same reason.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from careledger.access import decision
from careledger.ledger.export_consent import _RULES, SUPPORTING_TYPES
from careledger.ledger.export_verification import verify_export
from tests.verifier.synthetic_chart import DAY, HEIGHT, START, Access, Patient, SyntheticChart, b64, canonical
from tests.verifier.twins import EXPORTS, export_verdict, export_verdicts

ADA, EVE = Patient("ada"), Patient("eve")
Chart = SyntheticChart

KEY_EVENT = '{"epoch":1,"event":"erase","format":"careledger/key-event/1","leaves":[],"reason":"misfiled"}'


def chart_with_consent() -> tuple[Chart, str]:
    """Ada enrolled, permitted p-1 to read for TREAT, and an entry relies on it (another organisation's)."""
    chart = Chart()
    chart.enrol(ADA)
    id = chart.decide(ADA)
    chart.accesses.insert(1, permitted(id))
    return chart, id


def permitted(id: str, **more: Any) -> Access:
    given: dict[str, Any] = {
        "organisation": "did:careledger:other",
        "rule": "directive-permit",
        "directives": (id,),
    }
    return Access(**{**given, "time": START + 6_000, "height": 20, **more})


def refused(chart: Chart, reason: str = "", form: str = "chart") -> None:
    verdict, *reasons = export_verdicts(chart.export(form), chart.checkpoint())
    assert verdict == "refused", reason
    assert reason in reasons[0], reasons


# ---- What holds ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["chart", "access-log"])
@pytest.mark.parametrize("size", [HEIGHT + 1, HEIGHT + 20])
def test_honest_exports_hold_against_each_checkpoint_that_was_handed_out(form: str, size: int) -> None:
    chart, _ = chart_with_consent()
    export = chart.export(form, size)
    for kept in chart.sizes:
        assert export_verdict(export, chart.checkpoint(kept)) == "anchored"
    for unknown in (1, 16, 18, HEIGHT - 1):
        verdict, reason, _ = export_verdicts(export, chart.checkpoint(unknown))
        assert (verdict, "trusted checkpoint" in reason) == ("refused", True)


def test_what_an_export_shows() -> None:
    chart, _ = chart_with_consent()
    chart.add("Condition", "c", version=4)
    chart.add("Observation", "o-2", kind="deletion")
    verified = verify_export(chart.export(), chart.checkpoint(), key_id=ADA.id)
    assert (verified.entries, verified.accesses, verified.moved_in) == (8, 3, 1)
    assert (verified.key_id, verified.directives, verified.without_force) == (ADA.id, 1, 0)
    assert verified.kinds == {"enrolment": 1, "version": 4, "guardian": 1, "directive": 1, "deletion": 1}
    assert (verified.height, verified.as_of_ms, verified.continues) == (HEIGHT, chart.block_time, 17)


def test_another_patients_key_is_refused() -> None:
    chart, _ = chart_with_consent()
    with pytest.raises(Exception, match="not the one that was given"):
        verify_export(chart.export(), chart.checkpoint(), key_id=EVE.id)
    with pytest.raises(Exception, match="use a chart export"):
        verify_export(chart.export("access-log"), chart.checkpoint(), key_id=ADA.id)


# ---- Files that were altered --------------------------------------------------------------------------------


def put(*place: Any, value: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(file: dict[str, Any], other: dict[str, Any]) -> None:
        at: Any = file
        for step in place[:-1]:
            at = at[step]
        at[place[-1]] = value(at[place[-1]]) if callable(value) else value

    return change


def take(*names: str, at: int = 1) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    """From another patient's chart of the same custodian."""

    def change(file: dict[str, Any], other: dict[str, Any]) -> None:
        for name in names:
            file[name][at] = other[name][at]

    return change


def swap(name: str) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(file: dict[str, Any], other: dict[str, Any]) -> None:
        items = file[name]
        items[1], items[2] = items[2], items[1]

    return change


def history(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    return lambda file, _other: change(file["history"])


FLIP = "A" * 43
ALTERED: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
    "entry-removed": lambda file, _: file["entries"].pop(2),
    "last-entry-removed": lambda file, _: file["entries"].pop(),
    "entry-repeated": lambda file, _: file["entries"].insert(2, file["entries"][2]),
    "entries-swapped": swap("entries"),
    "entry-redated": put("entries", 2, "time", value=lambda ms: ms + 1),
    "entry-of-another-chart": take("entries"),
    "other-body": put("entries", 2, "body", value=lambda text: text.replace("é", "e")),
    "other-salt": put("entries", 2, "salt", value=FLIP),
    "other-version": put("entries", 2, "version", value=2),
    "other-author": put("entries", 2, "author", value="client:eve"),
    "other-kind": put("entries", 2, "kind", value="close"),
    "entry-withheld": put("entries", 2, value={"leaf": FLIP}),
    "entry-half-open": put("entries", 2, value=lambda one: one | {"leaf": FLIP}),
    "entry-without-salt": lambda file, _: file["entries"][2].pop("salt"),
    "no-entries": put("entries", value=[]),
    "access-removed": lambda file, _: file["access"].pop(0),
    "access-cut": lambda file, _: file["access"].pop(),
    "access-repeated": lambda file, _: file["access"].append(file["access"][-1]),
    "access-swapped": swap("access"),
    "access-of-another-chart": take("access", at=0),
    "access-of-another-salt": put("access", 0, "salt", value=FLIP),
    "access-withheld": put("access", 0, value={"leaf": FLIP}),
    "no-access": put("access", value=[]),
    "other-handle": lambda file, other: file.update(handle=other["handle"]),
    "other-organisation": put("org", value=FLIP),
    "other-chain": put("chain", value="cl-" + "0" * 32),
    "other-heads": lambda file, other: file.update(heads=other["heads"]),
    "heads-exchanged": put("heads", value=lambda one: {"access": one["record"], "record": one["access"]}),
    "other-state": lambda file, other: file.update(state=other["state"]),
    "later-block": put("block", "time", value=lambda ms: ms + 1),
    "higher-block": put("block", "height", value=lambda height: height + 1),
    "other-anchor": put("anchor", "seq", value=8),
    "other-note": lambda file, other: file.update(signed=other["signed"]),
    "directive-standing-missing": lambda file, _: file["directives"].pop(),
    "directive-standing-twice": lambda file, _: file["directives"].append(file["directives"][0]),
    "directive-revived": put("directives", 0, "said", "height", value=1),
    "directive-said-absent": lambda file, _: file["directives"][0].pop("said"),
    "directive-said-and-other": put("directives", 0, "other", value="A" * 86),
    "directive-status": put("directives", 0, "said", "status", value=3),
    "history-of-another-size": history(lambda one: one["sizes"].__setitem__(0, 4)),
    "history-size-twice": history(lambda one: one["sizes"].insert(0, one["sizes"][0])),
    "history-size-zero": history(lambda one: one["sizes"].insert(0, 0)),
    "history-without-the-last": history(lambda one: one["sizes"].pop()),
    "history-node-missing": history(lambda one: one.update(nodes=one["nodes"][:-43])),
    "history-of-thousands": history(lambda one: one.update(sizes=list(range(1, 1_200)))),
    "unknown-field": lambda file, _: file.update(more=1),
    "null": put("directives", 0, value=None),
    "true-for-one": put("entries", 2, "version", value=True),
}  # fmt: skip


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_export_is_refused(name: str) -> None:
    chart, _ = chart_with_consent()
    other = Chart(seed=2)
    other.org, other.chain, other.origin = chart.org, chart.chain, chart.origin
    file, theirs = json.loads(chart.export()), json.loads(other.export())
    assert export_verdict(canonical(file), chart.checkpoint()) == "anchored"
    ALTERED[name](file, theirs)
    assert export_verdict(canonical(file), chart.checkpoint()) == "refused"


@pytest.mark.parametrize("name", ["access-removed", "access-cut", "access-repeated", "access-swapped", "other-handle",
                                  "other-heads", "history-of-another-size"])  # fmt: skip
def test_an_altered_access_log_is_refused(name: str) -> None:
    chart, _ = chart_with_consent()
    file, theirs = json.loads(chart.export("access-log")), json.loads(Chart(seed=2).export("access-log"))
    ALTERED[name](file, theirs)
    assert export_verdict(canonical(file), chart.checkpoint()) == "refused"


def test_an_export_has_one_spelling() -> None:
    chart, _ = chart_with_consent()
    export, trust = chart.export(), chart.checkpoint()
    for other in (
        export + b"\n", export.replace(b",", b", ", 1), export.replace("é".encode(), b"\\u00e9"),
        export.replace(b'"handle"', b'"h\\u0061ndle"'), export[:-1] + b',"state":""}', b"\xef\xbb\xbf" + export,
        export.replace("é".encode(), b"\xc3"), export.replace("é".encode(), b"\\ud800"), export[:-1], b"", b"[]",
    ):  # fmt: skip
        assert export_verdict(other, trust) == "refused"


# ---- What a custodian recorded ------------------------------------------------------------------------------


def redate(chart: Chart) -> None:
    chart.add("Observation", "o-3", time=START + 2_500)


def drop(chart: Chart) -> None:
    chart.add("Observation", "o-1", version=4)


def repeat(chart: Chart) -> None:
    chart.add("Observation", "o-1", version=2)


RECORDED: dict[str, tuple[Callable[[Chart], object], str]] = {
    "out-of-time-order": (redate, "earlier than the one before"),
    "redated-resource": (lambda c: c.add("Basic", "b", served=START - DAY), "what its header says"),
    "resource-of-tomorrow": (lambda c: c.add("Basic", "b", served=START + DAY), "what its header says"),
    "later-than-its-block": (lambda c: c.add("Basic", "b", time=c.block_time + 1), "later than its block"),
    "version-dropped": (drop, "missing, or there twice"),
    "version-twice": (repeat, "missing, or there twice"),
    "body-of-another-version": (lambda c: c.add("Basic", "b", body='{"resourceType":"Basic","id":"c"}'), "header says"),
    "version-without-body": (lambda c: c.add("Basic", "b", body=""), "missing"),
    "deletion-with-body": (lambda c: c.add("Observation", "o-1", kind="deletion", body="{}"), "no body"),
    "directive-as-resource": (lambda c: c.add("Directive", "d"), "not one of its kind"),
    "resource-as-directive": (lambda c: c.add("Observation", "aa" * 32, kind="directive"), "not one of its kind"),
    "second-enrolment": (lambda c: c.entries.append(replace(c.entries[0], time=START + 9_000)), "enrolment"),
    "enrolment-elsewhere": (lambda c: c.entries.pop(0), "enrolment"),
    "access-among-records": (lambda c: c.add("", "", kind="access", version=0, body=""), "access"),
    "withheld": (lambda c: c.entries.__setitem__(1, replace(c.entries[1], is_bare=True)), "withheld"),
    "bare-enrolment": (lambda c: c.entries.__setitem__(0, replace(c.entries[0], is_bare=True)), "opened nor bare"),
    "access-out-of-time-order": (lambda c: c.accesses.append(c.shown(time=START)), "earlier than the one before"),
    "access-after-the-block": (lambda c: c.accesses.append(c.shown(time=c.block_time + 1)), "later than the block"),
    "access-decided-after-the-block": (lambda c: c.accesses.append(c.shown(height=HEIGHT + 1)), "later than the block"),
    "access-of-nothing": (lambda c: c.accesses.append(c.shown(leaves=(99,))), "not in the record log"),
    "names-another-key": (lambda c: (c.enrol(ADA), c.enrol(EVE, by=EVE)), "not signed by the one before"),
    "first-key-continues": (lambda c: c.enrol(ADA, by=EVE), "continues one that is not there"),
    "key-under-another-id": (lambda c: c.enrol(ADA, key="A" * 2603), "another id"),
    "unreadable-key": (lambda c: c.enrol(ADA, more=1), "enrolled key"),
    "unreadable-key-event": (lambda c: c.add("KeyEvent", "e", kind="key", body="{}"), "key event"),
    "key-event-of-what-is-there": (
        lambda c: c.add("KeyEvent", "e", kind="key", body=KEY_EVENT.replace("[]", "[1]")),
        "withheld",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDED)
def test_what_a_custodian_may_not_record_is_refused(name: str) -> None:
    chart = Chart()
    change, reason = RECORDED[name]
    assert export_verdict(chart.export(), chart.checkpoint()) == "anchored"
    change(chart)
    refused(chart, reason)


def test_an_erased_version_is_bare_and_named_by_a_key_event() -> None:
    chart = Chart()
    chart.entries[3] = replace(chart.entries[3], is_bare=True)
    chart.add("KeyEvent", "e", kind="key", body=KEY_EVENT.replace("[]", "[3]"))
    chart.add("Observation", "o-1", version=3)
    assert verify_export(chart.export(), chart.checkpoint()).kinds["erased"] == 1
    assert export_verdict(chart.export(), chart.checkpoint()) == "anchored"


def test_a_resource_that_moved_away_may_come_back() -> None:
    chart = Chart()
    chart.add("Observation", "o-1", kind="move", body="")
    chart.add("Observation", "o-1", version=9)
    assert export_verdict(chart.export(), chart.checkpoint()) == "anchored"


# ---- What was allowed ---------------------------------------------------------------------------------------

DENY = {"effect": "deny", "grantees": [{"kind": "practitioner", "value": "p-1"}]}
Consent = tuple[dict[str, Any], dict[str, Any], str]
CONSENTS: dict[str, Consent] = {
    "bound-by-another-key": ({"by": EVE}, {}, "did not sign"),
    "of-another-enrolled-key": ({"by": EVE, "enrolled": EVE}, {}, "did not sign"),
    "never-granted": ({"standing": None}, {}, "not in force"),
    "granted-later": ({"standing": {"height": 21}}, {}, "not in force"),
    "revoked-before": ({"standing": {"status": 2, "height": 20}}, {}, "not in force"),
    "under-another-ledger-key": ({"standing": {"key": bytes(32)}}, {}, "not in force"),
    "longer-on-the-ledger": ({"standing": {"until": 99_999}}, {}, "not in force"),
    "a-deny": (
        {"effect": "deny", "grantees": [{"kind": "practitioner", "value": "p-9"}]},
        {"actor": "p-9"},
        "not permit",
    ),
    "for-somebody-else": ({}, {"actor": "p-2"}, "does not permit"),
    "for-a-role": ({"grantees": [{"kind": "role", "value": "nurse"}]}, {}, "does not permit"),
    "for-another-purpose": ({}, {"purpose": "HRESCH"}, "does not permit"),
    "of-proofs-only": ({"actions": ["proof"]}, {}, "does not permit"),
    "not-yet": ({"from_day": START // DAY + 2}, {}, "does not permit"),
    "not-any-more": ({"from_day": 1, "until_day": START // DAY - 1}, {}, "does not permit"),
    "of-another-type": ({"types": ["Condition"]}, {}, "no such type"),
    "of-another-chart": ({"handle": "A" * 43}, {}, "did not sign"),
    "of-another-house": ({"organisation": "A" * 43}, {}, "did not sign"),
    "unsorted": ({"purposes": ["TREAT", "HRESCH"]}, {}, "did not sign"),
}


@pytest.mark.parametrize("name", CONSENTS)
def test_an_access_needs_a_directive_with_force(name: str) -> None:
    said, entry, reason = CONSENTS[name]
    chart = Chart()
    chart.enrol(ADA)
    chart.accesses.insert(1, permitted(chart.decide(ADA, **said), **entry))
    refused(chart, reason)
    chart.accesses.pop(1)
    verdict, *reasons = export_verdicts(chart.export(), chart.checkpoint())
    if reason == "did not sign":  # forged: refused, whether anybody relied on it or not
        assert verdict == "refused" and all("did not sign" in one for one in reasons)
    else:
        assert verdict == "anchored", "without reliance it only has no force"


@pytest.mark.parametrize(
    ("said", "entry"),
    [
        ({"standing": {"status": 2, "height": 21}}, {}),
        ({"grantees": [{"kind": "role", "value": "nurse"}]}, {"roles": ("nurse",)}),
        ({"grantees": [{"kind": "organisation", "value": "did:careledger:other"}]}, {}),
        ({"grantees": [{"kind": "practitioner", "value": "did:x"}]}, {"subject": "did:x"}),
        ({"purposes": []}, {"purpose": "HRESCH"}),
        ({"types": ["Observation"]}, {}),
    ],
)
def test_what_a_directive_permits_holds(said: dict[str, Any], entry: dict[str, Any]) -> None:
    chart = Chart()
    chart.enrol(ADA)
    chart.accesses.insert(1, permitted(chart.decide(ADA, **said), **entry))
    assert export_verdict(chart.export(), chart.checkpoint()) == "anchored"


def test_several_directives_may_permit_one_answer() -> None:
    """What left is each of a type of one of them; the custodian has the rest by default, for the purposes of care."""
    for leaves, more, holds in (
        ((1, 7), {}, True),
        ((1, 7, 8), {}, False),
        ((1, 7, 8), {"organisation": ""}, True),
        ((1, 7, 8), {"organisation": "", "purpose": "HRESCH"}, False),
    ):
        chart = Chart()
        chart.enrol(ADA)
        both = {"purposes": ["HRESCH", "TREAT"]}
        ids = tuple(chart.decide(ADA, types=[one], **both) for one in ("Observation", "Basic"))[::-1]
        for type in ("Basic", "Condition"):
            chart.add(type, "x")
        look = permitted("", directives=ids, leaves=leaves, **more)
        chart.accesses.insert(1, replace(look, organisation=look.organisation or chart.did))
        assert export_verdict(chart.export(), chart.checkpoint()) == ("anchored" if holds else "refused"), (
            leaves
        )


def test_what_a_directive_is_narrowed_to_must_occur() -> None:
    """By its codes, in some version of the resource by then; unless what counted then may not be here any more."""
    code = 'a "quoted" code'
    labelled = canonical({"meta": {"security": [{"code": code}]}}).decode()
    narrow: dict[str, Any] = {"labels": [{"code": code, "system": ""}]}
    for body, said, more, holds in (
        (labelled, narrow, {}, True),
        ("", narrow, {}, False),
        (labelled, {**narrow, "categories": [{"code": "lab", "system": ""}]}, {}, False),
        (labelled, {**narrow, "categories": [{"code": "security", "system": ""}]}, {}, True),
        ("", narrow, {"organisation": ""}, True),
    ):
        chart = Chart()
        chart.enrol(ADA)
        id = chart.decide(ADA, **said)
        entry = chart.add("Basic", "b", time=START + 5_000)
        chart.entries[-1] = replace(entry, body=entry.body[:-1] + f',"x":{body or 0}' + "}")
        look = permitted(id, leaves=(len(chart.entries) - 1,), **more)
        chart.accesses.insert(1, replace(look, organisation=look.organisation or chart.did))
        assert export_verdict(chart.export(), chart.checkpoint()) == ("anchored" if holds else "refused"), (
            said
        )
    chart.accesses[1] = replace(chart.accesses[1], organisation="did:careledger:other")
    refused(chart, "no such type, category or label")
    chart.add("Basic", "b", kind="move")
    assert export_verdict(chart.export(), chart.checkpoint()) == "anchored", (
        "where it went it may bear the code"
    )


def test_a_directive_of_a_swapped_key_has_no_force() -> None:
    """What Ada bound before Eve followed her holds; what Ada binds afterwards does not."""
    for late in (False, True):
        chart = Chart()
        chart.enrol(ADA)
        id = "" if late else chart.decide(ADA)
        chart.enrol(EVE, by=ADA)
        chart.accesses.insert(1, permitted(id or chart.decide(ADA)))
        assert (export_verdict(chart.export(), chart.checkpoint()) == "refused") == late
    chart = Chart()
    chart.accesses.insert(1, permitted(chart.decide(ADA)))
    refused(chart, "did not sign")


def test_superseded_and_later_revoked() -> None:
    chart, id = chart_with_consent()
    new = chart.decide(ADA, supersedes=id, standing={"height": 15})
    refused(chart, "superseded")
    chart.standings[new] = replace(chart.standings[new], height=25)
    assert export_verdict(chart.export(), chart.checkpoint()) == "anchored", "it was superseded later"


def test_a_deny_in_force_binds_the_custodian_too() -> None:
    chart = Chart()
    chart.enrol(ADA)
    chart.accesses[0] = replace(chart.accesses[0], height=20)
    id = chart.decide(ADA, **DENY)
    refused(chart, "denied it")
    for standing in ({"height": 21}, {"status": 2, "height": 15}):
        held = chart.standings[id]
        chart.standings[id] = replace(held, **standing)
        assert export_verdict(chart.export(), chart.checkpoint()) == "anchored"
        chart.standings[id] = held
    chart.decide(ADA, supersedes=id)
    assert export_verdict(chart.export(), chart.checkpoint()) == "anchored", "it is superseded"
    for narrowed, verdict in (
        ({"types": ["Observation"]}, "refused"),
        ({"types": ["Condition"]}, "anchored"),
        ({"labels": [{"code": "R", "system": ""}]}, "anchored"),
    ):
        chart = Chart()
        chart.enrol(ADA)
        chart.decide(ADA, **DENY, **narrowed)
        assert export_verdict(chart.export(), chart.checkpoint()) == verdict, narrowed


ENTRIES: dict[str, tuple[dict[str, Any], bool]] = {
    "custodian": ({}, True),
    "custodian-of-research": ({"purpose": "HRESCH"}, False),
    "stranger-by-default": ({"organisation": "did:careledger:other"}, False),
    "default-names-a-directive": ({"directives": ("aa",)}, False),
    "own-chart": ({"rule": "own-chart", "purpose": "PATRQT"}, True),
    "own-chart-with-a-role": ({"rule": "own-chart", "roles": ("nurse",)}, False),
    "own-chart-elsewhere": ({"rule": "own-chart", "organisation": "x"}, False),
    "operator": ({"rule": "operator", "purpose": "HOPERAT"}, True),
    "operator-elsewhere": ({"rule": "operator", "organisation": "x"}, False),
    "directive-without-one": ({"rule": "directive-permit"}, False),
    "directive-elsewhere": ({"rule": "directive-permit", "directives": ("aa" * 32,)}, False),
    "no-rule": ({"rule": ""}, False),
    "rule-that-denies": ({"rule": "no-directive"}, False),
    "denied": ({"permitted": False, "rule": "no-directive", "kind": "denied", "leaves": ()}, True),
    "denied-and-left": ({"permitted": False, "rule": "no-directive", "kind": "denied"}, False),
    "count": ({"kind": "count", "rule": "no-directive", "leaves": ()}, True),
    "count-and-left": ({"kind": "count"}, False),
    "emergency-without-one": ({"rule": "emergency", "purpose": "ETREAT"}, False),
    "supporting": ({"rule": "supporting", "organisation": "x", "leaves": ()}, True),
    "supporting-with-a-patients-data": ({"rule": "supporting", "organisation": "x"}, False),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_is_decided_again(name: str) -> None:
    said, holds = ENTRIES[name]
    chart = Chart()
    chart.accesses[0] = replace(chart.accesses[0], **said)
    assert export_verdict(chart.export(), chart.checkpoint()) == ("anchored" if holds else "refused")


def test_the_types_that_support_a_chart_are_those_of_the_decision() -> None:
    assert frozenset(SUPPORTING_TYPES) == frozenset(EXPORTS.SUPPORTING) == decision.SUPPORTING_TYPES
    assert frozenset(_RULES) - {"operator"} == {
        rule for rule, said in decision.RULES.items() if said == "permit"
    }
    chart = Chart()
    chart.add("Practitioner", "p")
    chart.accesses[0] = replace(chart.accesses[0], rule="supporting", organisation="x", leaves=(4,))
    assert export_verdict(chart.export(), chart.checkpoint()) == "anchored"


def test_an_emergency_has_its_box() -> None:
    body = canonical({
        "client": "app", "format": "careledger/emergency/1", "from_ms": START + 4_000, "practitioner": "p-1",
        "task": "t", "until_ms": START + 3_600_000,
    }).decode()  # fmt: skip
    base = {"rule": "emergency", "purpose": "ETREAT"}
    for said, holds in (
        ({}, True),
        ({"actor": "p-2"}, False),
        ({"purpose": "TREAT"}, False),
        ({"time": START + 3_600_000 + 60_000}, False),
    ):
        chart = Chart()
        chart.block_time = START + 10_000_000
        chart.add("EmergencyAccess", "e", body=body)
        chart.accesses = [replace(chart.accesses[0], **{**base, **said}), chart.shown(time=START + 9_000_000)]
        assert export_verdict(chart.export(), chart.checkpoint()) == ("anchored" if holds else "refused"), (
            said
        )


def any_chart(draw: random.Random) -> Chart:
    """Honest in most things and dishonest in some, at random."""
    chart = Chart(seed=draw.randrange(3))
    if draw.random() < 0.95:
        chart.enrol(ADA)
    ids = [""]
    for _ in range(draw.randrange(5)):
        said: dict[str, Any] = {
            "effect": draw.choice(("permit", "permit", "deny")),
            "purposes": draw.choice(([], ["TREAT"], ["HRESCH", "TREAT"])),
            "types": draw.choice(([], ["Observation"], ["Basic", "Condition"])),
            "labels": draw.choice(([], [], [{"code": "R", "system": ""}])),
            "actions": draw.choice((["access"], ["access", "proof"], ["proof"])),
            "supersedes": draw.choice(ids),
            "from_day": START // DAY + draw.choice((-1, 0, 1)),
            "grantees": draw.choice(
                (
                    [{"kind": "practitioner", "value": "p-1"}],
                    [{"kind": "role", "value": "nurse"}],
                    [{"kind": "organisation", "value": chart.did}, {"kind": "practitioner", "value": ""}],
                )
            ),
        }
        standing = draw.choice((None, {}, {"height": 25}, {"status": 2, "height": 25}))
        by = ADA if draw.random() < 0.97 else EVE
        ids.append(chart.decide(ADA, by=by, standing=standing, **said))
        if draw.random() < 0.03:
            chart.enrol(EVE, by=draw.choice((ADA, EVE)))
    for _ in range(draw.choice((0, 0, 0, 1, 3))):
        kind = draw.choice(("version", "version", "version", "deletion", "move", "close"))
        version = draw.choice((0, 1, 2, 3, 4))
        more = {} if draw.random() < 0.7 else {"version": version}
        chart.add(draw.choice(("Observation", "Basic")), draw.choice(("o-1", "b")), kind=kind, **more)
    if draw.random() < 0.05:
        at = draw.randrange(len(chart.entries))
        chart.entries[at] = replace(chart.entries[at], is_bare=True)
    for _ in range(draw.randrange(1, 3)):
        entry = Access(
            organisation=draw.choice((chart.did, chart.did, "did:careledger:other")),
            purpose=draw.choice(("TREAT", "TREAT", "TREAT", "HRESCH", "PATRQT")),
            rule=draw.choice(("custodian-default", "directive-permit", "directive-permit", "own-chart", "x")),
            kind=draw.choice(("read",) * 20 + ("count", "denied")),
            permitted=draw.random() < 0.97,
            height=draw.choice((9, 10, 24, 25, 26, HEIGHT)),
            directives=(),
            leaves=draw.choice(((), (1,), (1, 3), (0, 2))),
            roles=draw.choice(((), (), ("nurse",))),
            subject=draw.choice(("", "grace")),
        )
        if entry.rule == "directive-permit":
            entry = replace(entry, directives=(draw.choice(ids[1:] or ["aa"]),))
        chart.accesses.insert(draw.randrange(2), entry)
    return chart


def test_both_verifiers_agree_on_any_chart() -> None:
    """Two programs that share no code: what one accepts the other accepts. Both verdicts occur."""
    draw = random.Random(20)
    verdicts = [
        export_verdict(one.export(), one.checkpoint()) for one in (any_chart(draw) for _ in range(60))
    ]
    assert {"anchored", "refused"} == set(verdicts)


# ---- An older checkpoint, an earlier export -----------------------------------------------------------------


def test_a_history_written_anew_is_refused() -> None:
    chart, fork = Chart(), Chart()
    fork.past[5] = bytes(48)
    assert export_verdict(fork.export(), fork.checkpoint()) == "anchored"
    verdict, reason, _ = export_verdicts(fork.export(), chart.checkpoint())
    assert (verdict, "written anew" in reason) == ("refused", True)
    assert export_verdict(fork.export(), chart.checkpoint(3)) == "anchored", "the fork came later"


@pytest.mark.parametrize("form", ["chart", "access-log"])
def test_an_earlier_export_is_a_prefix(form: str) -> None:
    chart = Chart()
    earlier, trust = chart.export(form), chart.checkpoint()
    chart.go_on()
    chart.sizes = (*chart.sizes, HEIGHT + 1)
    chart.add("Basic", "b")
    chart.accesses.append(chart.shown())
    assert export_verdict(chart.export(), trust, earlier) == "anchored"
    assert export_verdict(chart.export("access-log"), trust, earlier) == "anchored"
    verified = verify_export(chart.export(), trust, earlier)
    assert verified.earlier == 6
    rewritten: dict[str, Callable[[Chart], object]] = {
        "entry-gone": lambda c: c.entries.pop(2),
        "entry-of-another-salt": lambda c: c.entries.__setitem__(2, replace(c.entries[2], salt=bytes(32))),
        "access-gone": lambda c: c.accesses.pop(0),
        "access-altered": lambda c: c.accesses.__setitem__(0, replace(c.accesses[0], what="x")),
        "shorter": lambda c: (c.entries.__delitem__(slice(3, None)), c.accesses.pop(0)),
    }
    for name, rewrite in rewritten.items():
        other = replace(chart, entries=list(chart.entries), accesses=list(chart.accesses))
        other.past, other.pinned, other.sizes = chart.past, chart.pinned, chart.sizes[:-1]
        rewrite(other)
        assert export_verdict(other.export(), trust, earlier) == "refused", name
    assert export_verdict(chart.export(), trust, Chart(seed=2).export(form)) == "refused"


# ---- Pins ---------------------------------------------------------------------------------------------------


def pin(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[dict[str, Any]], object]:
    return lambda file: change(file["pins"])


BAD_PINS: dict[str, Callable[[dict[str, Any]], object]] = {
    "none-for-the-trusted-checkpoint": pin(lambda pins: pins.pop(1)),
    "none": lambda file: file.pop("pins"),
    "an-empty-list": lambda file: file.update(pins=[]),
    "twice": pin(lambda pins: pins.append(pins[-1])),
    "in-another-order": pin(lambda pins: pins.reverse()),
    "of-another-block": pin(lambda pins: pins[1]["block"].update(height=15)),
    "of-another-time": pin(lambda pins: pins[1]["block"].update(time=pins[1]["block"]["time"] + 1)),
    "anchored-later": pin(lambda pins: pins[1]["anchor"].update(time=pins[1]["block"]["time"] + 1)),
    "of-another-anchor": pin(lambda pins: pins[1]["anchor"].update(seq=6)),
    "records-that-were-not": pin(lambda pins: pins[1]["records"].update(size=1)),
    "an-empty-log-with-a-root": pin(lambda pins: pins[1]["access"].update(root=b64(bytes(32)))),
    "without-the-other-leaf": pin(lambda pins: [one["records"].pop("other", "") for one in pins]),
    "another-leaf-in-its-place": pin(lambda pins: pins[1]["records"].update(other=b64(bytes(64)))),
    "another-path": pin(lambda pins: pins[1].update(path=pins[0]["path"])),
    "another-state": pin(lambda pins: pins[1].update(state=pins[0]["state"])),
    "heads-of-the-other-log": pin(lambda pins: pins[1].update(records=pins[1]["access"])),
    "an-unknown-field": pin(lambda pins: pins[1].update(more=1)),
    "a-size-that-is-too-large": pin(lambda pins: pins[1]["records"].update(size=2**53)),
}


@pytest.mark.parametrize("form", ["chart", "access-log"])
@pytest.mark.parametrize("name", BAD_PINS)
def test_pins_show_the_then_heads_or_are_refused(name: str, form: str) -> None:
    chart = Chart()
    file = json.loads(chart.export(form))
    assert export_verdict(canonical(file), chart.checkpoint()) == "anchored"
    BAD_PINS[name](file)
    assert export_verdict(canonical(file), chart.checkpoint()) == "refused"


@pytest.mark.parametrize("form", ["chart", "access-log"])
def test_a_log_that_begins_otherwise_than_it_was_pinned(form: str) -> None:
    """The history continues and every head is anchored, but the chart was begun anew in between."""
    chart = Chart()
    chart.export(form)
    chart.go_on()
    chart.sizes = (*chart.sizes, HEIGHT + 1)
    trust = chart.checkpoint(HEIGHT + 1)
    rewritten: dict[str, Callable[[Chart], object]] = {
        "nothing": lambda c: None,
        "entry-dropped": lambda c: c.entries.pop(),
        "entry-of-another-salt": lambda c: c.entries.__setitem__(2, replace(c.entries[2], salt=bytes(32))),
        "access-cut": lambda c: c.accesses.pop(0),
        "access-altered": lambda c: c.accesses.__setitem__(0, replace(c.accesses[0], what="x")),
    }
    for name, rewrite in rewritten.items():
        other = replace(chart, entries=list(chart.entries), accesses=list(chart.accesses))
        other.past, other.pinned = chart.past, chart.pinned
        rewrite(other)
        other.accesses.append(other.shown())
        verdict = export_verdict(other.export(form), trust)
        if form == "access-log" and name == "entry-of-another-salt":
            continue  # the record log is not there: of its head only the size can contradict
        assert verdict == ("anchored" if name == "nothing" else "refused"), name
