"""The index finds what plain Python over the JSON finds: on generated worlds and on Synthea's patients."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from careledger.fhir.search.chartindex import ChartIndexCache
from careledger.fhir.search.cursor import Cursor
from careledger.fhir.search.execute import search
from careledger.fhir.search.query import parse
from careledger.vault.model import Version
from tests.fhir.search.fake import Store
from tests.fhir.search.generated import change, query, sort
from tests.fhir.search.model import matching

KEY = bytes(32)
BOUNDED = settings(max_examples=120, deadline=None)


def apply(store: Store, changes: list[Any]) -> None:
    for one in changes:
        if isinstance(one, dict):
            store.put(one)
        elif one in store.history and not store.history[one][0].deleted:
            store.delete(*one)


def pages(
    store: Store, cache: ChartIndexCache, type: str, pairs: list[Any], between: list[Any]
) -> list[Version]:
    """Every page in turn, with a write between each two."""
    asked = parse(type, pairs)
    found: list[Version] = []
    after = None
    for turn in range(100):
        with store.snapshot() as snapshot:
            page = search(snapshot, cache, asked, after=after)
        assert len(page.matches) <= asked.count
        found += page.matches
        if page.next is None:
            return found
        after = Cursor.decode(page.next.encode(KEY, asked), KEY, asked)
        apply(store, between[turn : turn + 1])
    raise AssertionError("paging does not end")


THREE = [{"resourceType": "Observation", "id": f"o{n}", "status": "final"} for n in range(3)]
AMENDED = {**THREE[1], "status": "amended"}
FINAL = [("Observation", [("status", "final")]), ("Observation", [])]


@BOUNDED
@example([*THREE, AMENDED, ("Observation", "o2")], FINAL, [])
@example(THREE, FINAL, [AMENDED, ("Observation", "o2")])
@given(st.lists(change, max_size=25), st.lists(query, min_size=1, max_size=6), st.lists(change, max_size=4))
def test_finds_what_the_model_finds(changes: list[Any], queries: list[Any], later: list[Any]) -> None:
    """Terms, charts, postings, supersession and deletion together; the cache is kept while the record grows."""
    store, cache = Store(), ChartIndexCache()
    apply(store, changes)
    for _ in range(2):
        for type, pairs in queries:
            with store.snapshot() as snapshot:
                result = search(snapshot, cache, parse(type, [*pairs, ("_total", "accurate")]))
            found = [match.id for match in result.matches]
            assert len(found) == len(set(found)) == result.total
            assert set(found) == matching(type, pairs, store.resources(type)), (type, pairs)
        apply(store, later)


@BOUNDED
@example(THREE, ("Observation", []), "", [AMENDED], 1)
@example(THREE, ("Observation", []), "", [("Observation", "o2")], 1)
@given(st.lists(change, max_size=25), query, sort, st.lists(change, max_size=6), st.integers(1, 3))
def test_pages_equal_the_unpaged_search_under_writes(
    changes: list[Any], asked: Any, order: str, between: list[Any], count: int
) -> None:
    """A cursor keeps its height: what is written between two pages neither shows nor hides anything."""
    store, cache = Store(), ChartIndexCache()
    apply(store, changes)
    type, pairs = asked
    extra = [("_sort", order)] if order else []
    with store.snapshot() as snapshot:
        whole = search(snapshot, ChartIndexCache(), parse(type, [*pairs, *extra])).matches
    paged = pages(store, cache, type, [*pairs, *extra, ("_count", str(count))], between)
    assert [(v.id, v.version) for v in paged] == [(v.id, v.version) for v in whole]
