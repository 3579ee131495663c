"""A custodian that holds every key and tells another past: what a pinned block or an earlier export knew convicts it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from careledger.ledger.export_verification import verify_export
from tests.verifier.synthetic_chart import DAY, HEIGHT, START, Patient, SyntheticChart, canonical
from tests.verifier.twins import export_verdict, export_verdicts

ADA, EVE = Patient("ada"), Patient("eve")
HOUR = 3_600_000
ERASED = '{"epoch":1,"event":"erase","format":"careledger/key-event/1","leaves":[LEAF],"reason":"misfiled"}'
Chart = SyntheticChart
Cheat = Callable[[Chart], object]


def verdict_of(
    chart: Chart, trust: bytes, earlier: bytes | None = None, form: str = "chart"
) -> tuple[str, str]:
    """The verdict of both, and the package's reason."""
    verdict, reason, _ = export_verdicts(chart.export(form), trust, earlier)
    return verdict, reason


@pytest.mark.parametrize("form", ["chart", "access-log"])
def test_an_older_block_under_a_newer_note_is_refused(form: str) -> None:
    """Who cuts both logs shows the chart as it was, in a history that is signed as far as the checkpoint goes."""
    chart = Chart()
    newer = HEIGHT + 20
    chart.sizes = (*chart.sizes, HEIGHT + 1, newer)
    file = chart.export(form, newer)
    chart._remember(chart.height, chart.block_time, *chart.newest)
    assert export_verdict(file, chart.checkpoint(HEIGHT + 1)) == "anchored", "it is as new as that"
    for size in (newer, HEIGHT + 2):
        chart.sizes = (*chart.sizes, size)
        verdict, *reasons = export_verdicts(chart.export(form, newer), chart.checkpoint(size))
        assert verdict == "refused" and all("trusted checkpoint" in one for one in reasons), size


# ---- Pinned blocks ------------------------------------------------------------------------------------------


def held() -> tuple[Chart, bytes]:
    """A chart that lay still for a day; then somebody took a checkpoint. And the checkpoint."""
    chart = Chart()
    chart.enrol(ADA)
    chart.export()
    chart.block_time = START + DAY
    chart.go_on()
    chart.block_time = START + 2 * DAY
    chart.sizes = (*chart.sizes, HEIGHT + 1)
    trust = chart.checkpoint(HEIGHT + 1)
    chart.accesses.append(chart.shown(time=START + 2 * DAY - 1, height=HEIGHT + 1))
    return chart, trust


DATED: dict[str, tuple[Cheat, bool]] = {
    "nothing": (lambda c: None, True),
    "an-entry-of-today": (lambda c: c.add("Basic", "b", time=START + 2 * DAY - 5), True),
    "one-that-took-an-hour": (lambda c: c.add("Basic", "b", time=START + DAY - HOUR), True),
    "an-entry-of-yesterday": (lambda c: c.add("Basic", "b", time=START + DAY - HOUR - 1), False),
    "a-look-of-yesterday": (lambda c: c.accesses.insert(2, c.shown(time=START + DAY - HOUR - 1)), False),
    "a-look-that-saw-an-old-state": (lambda c: c.accesses.append(c.shown(time=START + 2 * DAY - 1)), False),
    "a-look-while-it-was-new": (lambda c: c.accesses.insert(2, c.shown(time=START + DAY + HOUR - 1)), True),
}


@pytest.mark.parametrize("name", DATED)
def test_what_was_entered_after_a_pinned_block_is_not_dated_before_it(name: str) -> None:
    cheat, holds = DATED[name]
    chart, trust = held()
    cheat(chart)
    for form in ("chart", "access-log"):
        verdict, reason = verdict_of(chart, trust, form=form)
        if form == "access-log" and "entry" in name:
            continue  # the record log is not there
        assert (verdict == "anchored") == holds, reason
        assert holds or "dated back" in reason or "long past" in reason


def test_a_bare_entry_is_dated_by_the_next() -> None:
    chart, trust = held()
    chart.add("Basic", "b", time=START + DAY)
    chart.entries[-1] = replace(chart.entries[-1], is_bare=True)
    at = str(len(chart.entries) - 1)
    for time, holds in ((START + 2 * DAY - 9, True), (START + DAY - 2 * HOUR, False)):
        other = copy.copy(chart)
        other.entries = list(chart.entries)
        other.add("KeyEvent", "e", kind="key", time=time, body=ERASED.replace("LEAF", at))
        assert (verdict_of(other, trust)[0] == "anchored") == holds


def test_a_chart_begun_anew_under_another_handle_is_dated_by_its_enrolment() -> None:
    """Its versions can be left out, but not with their old dates: the new chart was not there yet."""
    chart, trust = held()
    chart.handle = bytes(32)
    for height in range(HEIGHT):
        chart._remember(
            height,
            START + height,
            {bytes([7]) * 32: bytes(40)},
            {bytes([8]) * 32: bytes(60)},
            (5, START, 6, bytes(32)),
        )
    chart._remember(
        HEIGHT,
        START + DAY,
        {bytes([7]) * 32: bytes(40)},
        {bytes([8]) * 32: bytes(60)},
        (5, START, 6, bytes(32)),
    )
    trust = chart.checkpoint(HEIGHT + 1)
    verdict, reason = verdict_of(chart, trust)
    assert (verdict, "dated back" in reason) == ("refused", True)


def test_an_emergency_that_was_entered_afterwards_allows_nothing_before() -> None:
    body = {
        "client": "app", "format": "careledger/emergency/1", "from_ms": START, "practitioner": "p-1", "task": "t",
        "until_ms": START + DAY,
    }  # fmt: skip
    for recorded, holds in ((START + 4_000, True), (START + 4_000 + 10 * 60_000, False)):
        chart = Chart()
        chart.block_time = START + DAY
        chart.add("EmergencyAccess", "e", time=recorded, body=canonical(body).decode())
        look = replace(chart.accesses[0], rule="emergency", purpose="ETREAT", time=START + 5_000)
        chart.accesses = [look, chart.shown(time=START + DAY - 1)]
        assert (verdict_of(chart, chart.checkpoint())[0] == "anchored") == holds


def test_nothing_is_erased_in_advance() -> None:
    """A key event that names a place that is not filled yet would excuse whatever is withheld there later."""
    for named, holds in (("2", True), ("5", False)):
        chart = Chart()
        chart.add("KeyEvent", "e", kind="key", body=ERASED.replace("LEAF", named))
        chart.add("Basic", "b")
        at = int(named)
        chart.entries[at] = replace(chart.entries[at], is_bare=True)
        verdict, reason = verdict_of(chart, chart.checkpoint())
        assert (verdict == "anchored") == holds, reason
        assert holds or "came later" in reason


# ---- Erasing more than records ------------------------------------------------------------------------------


def erase(chart: Chart, *places: int) -> None:
    """Withhold these entries, and say that they were erased."""
    for at in places:
        chart.entries[at] = replace(chart.entries[at], is_bare=True)
        chart.add("KeyEvent", f"e{at}", kind="key", body=ERASED.replace("LEAF", str(at)))


def test_as_many_versions_may_be_missing_as_were_erased() -> None:
    for version, holds in ((3, True), (4, True), (5, False)):
        chart = Chart()
        erase(chart, 2)
        chart.add("Observation", "o-1", version=version)
        verdict, reason = verdict_of(chart, chart.checkpoint())
        assert (verdict == "anchored") == holds, version
        assert holds or "missing" in reason


# ---- An earlier export --------------------------------------------------------------------------------------


def decided(**said: Any) -> tuple[Chart, str, bytes]:
    """A chart with a directive, its id, and an export that somebody keeps; its history goes on since."""
    chart = Chart()
    chart.enrol(ADA)
    id = chart.decide(ADA, **said)
    kept = chart.export()
    chart.go_on()
    chart.sizes = (*chart.sizes, HEIGHT + 1)
    return chart, id, kept


REVOKED = {"standing": {"status": 2, "height": 20}}


def stand(**said: Any) -> Callable[[Chart, str], object]:
    return lambda chart, one: chart.standings.__setitem__(one, replace(chart.standings[one], **said))


UNDONE: dict[str, tuple[dict[str, Any], Callable[[Chart, str], object], str]] = {
    "nothing": ({}, lambda c, one: None, ""),
    "revoked-since": ({}, stand(status=2, height=HEIGHT + 2), ""),
    "decided-since": ({}, lambda c, one: c.decide(ADA, standing={"height": HEIGHT + 2}), ""),
    "never-granted": ({"standing": None}, lambda c, one: None, ""),
    "revived": (REVOKED, stand(status=1, height=10), "revived"),
    "granted-anew": (REVOKED, stand(status=1, height=HEIGHT + 2), "revived"),
    "revoked-later-than-it-was": (REVOKED, stand(height=HEIGHT + 2), "revived"),
    "revoked-back-then": ({}, stand(status=2, height=HEIGHT - 2), "changed since"),
    "another-key": ({}, stand(key=bytes(32)), "changed since"),
    "another-end": ({}, stand(until=99_999), "changed since"),
    "gone-from-the-ledger": ({}, lambda c, one: c.standings.pop(one), "changed since"),
    "granted-back-then": ({}, lambda c, one: c.decide(ADA, standing={"height": HEIGHT - 2}), "dated back"),
    "a-deny-erased": ({"effect": "deny"}, lambda c, one: erase(c, 5), "cannot be erased"),
    "a-key-erased": ({}, lambda c, one: erase(c, 4, 5), "cannot be erased"),
}


@pytest.mark.parametrize("name", UNDONE)
def test_what_was_decided_is_not_undone(name: str) -> None:
    said, cheat, why = UNDONE[name]
    chart, id, kept = decided(**said)
    cheat(chart, id)
    verdict, reason = verdict_of(chart, chart.checkpoint(HEIGHT + 1), kept)
    assert (verdict == "anchored") == (not why), reason
    assert why in reason


# ---- Whose key ----------------------------------------------------------------------------------------------


def test_a_forged_directive_is_refused_although_nobody_relied_on_it() -> None:
    chart = Chart()
    chart.enrol(ADA)
    chart.decide(ADA, by=EVE)
    verdict, *reasons = export_verdicts(chart.export(), chart.checkpoint())
    assert verdict == "refused" and all("forged" in one for one in reasons)


def test_the_stand_alone_verifier_takes_the_id_of_her_key(tmp_path: Any, capsys: Any) -> None:
    """A custodian that enrols a key of its own before hers binds what it likes: her key's id tells."""
    from tests.verifier.twins import STANDALONE

    chart = Chart()
    chart.enrol(EVE)
    chart.decide(EVE)
    for name, data in (
        ("export", chart.export()),
        ("log", chart.export("access-log")),
        ("trust", chart.checkpoint()),
    ):
        (tmp_path / name).write_bytes(data)
    trust = ["--trust", str(tmp_path / "trust")]
    for file, key, code in (
        ("export", EVE.id, 0),
        ("export", ADA.id, 6),
        ("log", EVE.id, 6),
        ("export", "ada", 2),
        ("trust", EVE.id, 2),
    ):
        assert STANDALONE.main([str(tmp_path / file), *trust, "--key", key]) == code, (file, key)
    assert "not the patient's" in capsys.readouterr().err
    with pytest.raises(Exception, match="not the one that was given"):
        verify_export(chart.export(), chart.checkpoint(), key_id=ADA.id)
