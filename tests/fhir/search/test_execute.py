"""Scopes, several charts, includes, and the bounds of the cache."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from careledger.fhir.search.chartindex import ChartIndex, ChartIndexCache
from careledger.fhir.search.execute import SearchResult, search
from careledger.fhir.search.query import parse
from careledger.fhir.search.scope import EVERYTHING, Scope
from tests.fhir.search.fake import Store, decode
from tests.fhir.search.model import matching

SYNTHEA = Path(os.environ.get("SYNTHEA", Path(__file__).resolve().parents[4] / "shared" / "data" / "synthea"))


def run(store: Store, type: str, *pairs: tuple[str, str], scope: Scope = EVERYTHING) -> SearchResult:
    with store.snapshot() as snapshot:
        return search(snapshot, ChartIndexCache(), parse(type, list(pairs)), scope)


def ids(result: SearchResult) -> list[str]:
    return [match.id for match in result.matches]


def world() -> Store:
    store = Store()
    for name in ("a", "b"):
        store.put({"resourceType": "Patient", "id": name, "name": [{"family": "Same"}]})
        store.put(
            {"resourceType": "Observation", "id": "o" + name, "subject": {"reference": f"Patient/{name}"}}
        )
    store.put({"resourceType": "Practitioner", "id": "doc", "name": [{"family": "Same"}]})
    both = [{"entity": {"reference": "Patient/a"}}, {"entity": {"reference": "Patient/b"}}]
    store.put({"resourceType": "Group", "id": "g", "type": "person", "member": both})
    return store


def test_a_scope_hides_other_charts_everywhere() -> None:
    store = world()
    own = Scope(frozenset({store.charts["a"]}))
    assert ids(run(store, "Patient", scope=own)) == ["a"]
    for pairs in ([("name", "same")], [("_id", "a,b")], [("_id", "b")], [("_total", "accurate")]):
        result = run(store, "Patient", *pairs, scope=own)
        assert "b" not in ids(result) and result.total == len(ids(result))
    assert ids(run(store, "Observation", ("patient", "b"), scope=own)) == []
    assert ids(run(store, "Observation", ("subject", "b,a"), scope=own)) == ["oa"]
    assert run(store, "Observation", ("_summary", "count"), scope=own).total == 1
    assert [v.id for v in run(store, "Group", ("_include", "Group:member"), scope=own).includes] == ["a"]
    revinclude = run(store, "Patient", ("_id", "a"), ("_revinclude", "Observation:subject"), scope=own)
    assert [v.id for v in revinclude.includes] == ["oa"]


def test_the_last_word_on_a_resource_counts_in_totals_and_includes() -> None:
    store = world()
    hidden = Scope(visible=lambda _, version: version.id not in ("oa", "a"))
    result = run(
        store, "Observation", ("_include", "Observation:subject"), ("_total", "accurate"), scope=hidden
    )
    assert ids(result) == ["ob"] and result.total == 1 and [v.id for v in result.includes] == ["b"]
    assert ids(run(store, "Patient", ("name", "same"), scope=hidden)) == ["b"]


def test_a_resource_of_several_charts_is_found_once_and_from_each() -> None:
    store = world()
    assert ids(run(store, "Group")) == ["g"]
    assert run(store, "Group", ("_summary", "count")).total == 1
    assert ids(run(store, "Group", ("_sort", "_id"))) == ["g"]
    assert ids(run(store, "Group", ("member", "Patient/b"))) == ["g"]
    for name in ("a", "b"):
        found = run(store, "Group", scope=Scope(frozenset({store.charts[name]}))).matches
        assert [(v.id, v.chart) for v in found] == [("g", store.charts["a"])]  # the chart that seals it


def test_a_resource_that_moves_is_found_where_it_went() -> None:
    store = world()
    store.put({"resourceType": "Observation", "id": "oa", "subject": {"reference": "Patient/b"}})
    assert ids(run(store, "Observation", ("patient", "a"))) == []
    assert sorted(ids(run(store, "Observation", ("patient", "b")))) == ["oa", "ob"]
    assert run(store, "Observation", ("_total", "accurate")).total == 2


def test_includes_are_current_and_never_repeat_a_match() -> None:
    store = world()
    result = run(store, "Observation", ("_include", "*"), ("_revinclude", "Provenance:target"))
    assert sorted(v.id for v in result.includes) == ["a", "b"]
    target = [{"reference": "Patient/a"}, {"reference": "Observation/oa"}]
    store.put({"resourceType": "Provenance", "id": "pr", "target": target})
    store.delete("Patient", "b")
    result = run(store, "Observation", ("_include", "*"), ("_revinclude", "Provenance:target"))
    assert sorted(v.id for v in result.includes) == ["a", "pr"]


def test_a_resource_of_very_many_references_is_found_by_each() -> None:
    store = world()
    target = [{"reference": "Patient/a"}, *({"reference": f"Observation/{n}"} for n in range(100))]
    store.put({"resourceType": "Provenance", "id": "pr", "target": target})
    assert ids(run(store, "Provenance", ("target", "Observation/77"))) == ["pr"]
    assert ids(run(store, "Provenance", ("target", "Observation/101"))) == []


def test_many_patients_are_opened_only_as_far_as_the_page_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("careledger.fhir.search.execute.ROWS_COUNTED", 0)
    store, cache = world(), ChartIndexCache()
    store.put(*[{"resourceType": "Patient", "id": f"x{n}"} for n in range(30)])
    links = [{"target": {"reference": f"Patient/x{n}"}} for n in range(9)]
    store.put({"resourceType": "Person", "id": "person", "link": links})
    query, after, found, opened = parse("Patient", [("_count", "7")]), None, [], []
    with store.snapshot() as snapshot:
        row = snapshot.row
        snapshot.row = lambda *place: opened.append(place) or row(*place)  # type: ignore[method-assign,func-returns-value]
        while True:
            page = search(snapshot, cache, query, after=after)
            found += ids(page)
            after = page.next
            if after is None:
                break
    assert sorted(found) == sorted(store.resources("Patient"))
    assert len(opened) <= 32 + 5
    assert ids(run(store, "Person")) == ["person"]
    assert run(store, "Person", ("_count", "1")).next is None


def test_the_house_chart_is_searched_without_chart_terms() -> None:
    store = world()
    assert ids(run(store, "Practitioner")) == ["doc"]
    store.put({"resourceType": "Observation", "id": "lab", "code": {"coding": [{"code": "x"}]}})
    assert ids(run(store, "Observation", ("code", "x"))) == ["lab"]


def test_the_cache_is_bounded_and_reads_only_new_rows() -> None:
    store = Store()
    for number in range(30):
        store.put(*[_observation(f"o{number}-{n}", f"p{number}") for n in range(20)])
    cache = ChartIndexCache(max_bytes=60_000)
    for number in range(30):
        with store.snapshot() as snapshot:
            assert (
                len(search(snapshot, cache, parse("Observation", [("patient", f"p{number}")])).matches) == 20
            )
        assert cache.memory <= 60_000 or len(cache) == 1
    assert 1 < len(cache) < 30
    chart = store.charts["p29"]
    with store.snapshot() as snapshot:
        before = cache.get(snapshot, chart)
    store.put(_observation("new", "p29"))
    starts: list[int] = []
    with store.snapshot() as snapshot:
        original = snapshot.rows
        snapshot.rows = lambda chart, start=0: starts.append(start) or original(chart, start)  # type: ignore[method-assign,func-returns-value]
        assert cache.get(snapshot, chart) is before
    assert starts == [20]


def _observation(id: str, patient: str) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": id, "subject": {"reference": f"Patient/{patient}"}}


def test_an_index_ahead_of_the_snapshot_answers_for_the_snapshot() -> None:
    store, cache = Store(), ChartIndexCache()
    store.put(_observation("o", "p"))
    old = store.snapshot()
    store.put({**_observation("o", "p"), "status": "final"})
    store.put(_observation("later", "p"))
    query = parse("Observation", [("patient", "p")])
    assert len(search(store.snapshot(), cache, query).matches) == 2
    assert [(v.id, v.version) for v in search(old, cache, query).matches] == [("o", 1)]
    store.put(_observation("last", "p"))
    assert len(search(store.snapshot(), cache, query).matches) == 3


def test_match_gives_row_numbers() -> None:
    store = world()
    index = ChartIndex(store.charts["a"])
    with store.snapshot() as snapshot:
        index.extend(snapshot.columns(store.charts["a"]))
        query = parse("Observation", [("patient", "a")])
        assert index.match("Observation", query.conditions, snapshot.height) == [1]
        assert index.match("Condition", (), snapshot.height) == []


def test_synthea_patients_are_found_as_the_model_finds_them() -> None:
    """Real shapes: every value of each compared parameter is searched for, first as it is, then with its system."""
    files = sorted(SYNTHEA.glob("*.gz"))[:3]
    if not files:
        pytest.skip(f"NOT TESTED on real data: no Synthea bundles in {SYNTHEA}")
    store = Store()
    for file in files:
        entries = decode(gzip.decompress(file.read_bytes()))["entry"]
        local = {e["fullUrl"]: f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in entries}
        store.put(*[_localised(entry["resource"], local) for entry in entries])
    cache = ChartIndexCache()
    for type, name, limit in (
        ("Observation", "code", 60),
        ("Observation", "date", 60),
        ("Patient", "name", 30),
    ):
        resources = store.resources(type)
        values = sorted({v for resource in resources.values() for v in _asked(name, resource)})[:limit]
        for value in values:
            with store.snapshot() as snapshot:
                result = search(snapshot, cache, parse(type, [(name, value), ("_count", "1000")]))
            assert {v.id for v in result.matches} == matching(type, [(name, value)], resources), (name, value)


def _asked(name: str, resource: dict[str, Any]) -> list[str]:
    if name == "name":
        parts = [n["family"] for n in resource["name"]] + [g for n in resource["name"] for g in n["given"]]
        return [part[:4] for part in parts] + parts
    if name == "date":
        moment = resource.get("effectiveDateTime")
        return [moment[:7], "ge" + moment[:10], moment] if moment else []
    return [f"{c['system']}|{c['code']}" for c in resource["code"]["coding"]]


def _localised(node: Any, local: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {k: local.get(v, v) if k == "reference" else _localised(v, local) for k, v in node.items()}
    return [_localised(item, local) for item in node] if isinstance(node, list) else node
