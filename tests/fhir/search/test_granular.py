"""A granular scope's filter holds on the index, on one body, and in a search, for the same resources."""

from __future__ import annotations

import random

import pytest

from careledger.access.granular import PARAMETERS
from careledger.access.scopes import Outside, parse_scope
from careledger.fhir.search.bitsets import members
from careledger.fhir.search.chartindex import ChartIndex, ChartIndexCache
from careledger.fhir.search.compile import search_of
from careledger.fhir.search.execute import search
from careledger.fhir.search.granular import holder, unreached
from careledger.fhir.search.query import parse
from careledger.fhir.search.values import TOKEN
from tests.fhir.search.fake import Store

SYSTEMS, CODES = ("urn:s", "urn:t", None), ("a", "b", "final", "amended")


@pytest.mark.parametrize("type", PARAMETERS)
def test_every_parameter_that_narrows_is_a_token_parameter_of_its_type(type):
    for name in PARAMETERS[type]:
        parameter = search_of(type).parameters[name]
        assert parameter.kind == TOKEN
        assert parameter.slots
        assert not parameter.resolves


def coding(chance):
    system = chance.choice(SYSTEMS)
    return ({} if system is None else {"system": system}) | {"code": chance.choice(CODES)}


def an_observation(chance, number):
    """Any category, code and status; some lack them, or have them in more than one way."""
    found = {"resourceType": "Observation", "id": f"o{number}", "subject": {"reference": "Patient/p"}}
    if chance.random() < 0.8:
        found["category"] = [
            {"coding": [coding(chance) for _ in range(chance.randrange(3))]}
            if chance.random() < 0.9
            else {"text": "a"}
            for _ in range(chance.randrange(1, 3))
        ]
    if chance.random() < 0.8:
        found["code"] = {"coding": [coding(chance)], "text": "b"}
    if chance.random() < 0.8:
        found["status"] = chance.choice(CODES)
    return found


def a_query(chance):
    def token():
        return chance.choice(("", "urn:s|", "urn:t|", "|", "urn:x|")) + chance.choice(CODES)

    names = chance.sample(("category", "code", "status"), chance.choice((1, 1, 2)))
    return "&".join(f"{name}={','.join(token() for _ in range(chance.choice((1, 2))))}" for name in names)


def test_index_body_and_search_agree():
    chance = random.Random(11)
    store = Store()
    store.put({"resourceType": "Patient", "id": "p"})
    resources = [an_observation(chance, number) for number in range(120)]
    for one in resources:
        store.put(one)
    snapshot, cache = store.snapshot(), ChartIndexCache()
    index = cache.get(snapshot, store.charts["p"]).type("Observation")
    sizes = set()
    for _ in range(300):
        query = a_query(chance)
        narrowing = parse_scope(f"system/Observation.r?{query}").narrowing
        hidden = {
            index.ids[ordinal]
            for ordinal in members(unreached(index, Outside("Observation", ((narrowing,),))))
        }
        reached = {one["id"] for one in resources} - hidden
        assert reached == {
            one["id"] for one in resources if all(map(holder("Observation", one), narrowing))
        }, query
        pairs = [tuple(pair.split("=", 1)) for pair in query.split("&")]
        asked = parse("Observation", [*pairs, ("_count", "1000")], strict=True)
        assert reached == {version.id for version in search(snapshot, cache, asked).matches}, query
        sizes.add(len(reached))
    assert len(sizes) > 20


def test_groups_must_all_be_met():
    """Of two rights that are needed, given by different scopes, one is not enough."""
    store = Store()
    store.put({"resourceType": "Patient", "id": "p"})
    for id, codes in (("both", "ab"), ("one", "a"), ("none", "")):
        category = [{"coding": [{"code": code}]} for code in codes]
        store.put(
            {
                "resourceType": "Observation",
                "id": id,
                "subject": {"reference": "Patient/p"},
                "category": category,
            }
        )
    first, second = (parse_scope(f"system/Observation.r?category={code}").narrowing for code in "ab")
    index = ChartIndex(store.charts["p"])
    index.extend(store.snapshot().columns(store.charts["p"]))
    found = index.type("Observation")
    for groups, hidden in (
        (((first,), (second,)), {"one", "none"}),
        (((second,), (first,)), {"one", "none"}),
        (((first, second),), {"none"}),
        (((first,), ()), {"both", "one", "none"}),
        (((second,),), {"one", "none"}),
    ):
        outside = Outside("Observation", groups)
        assert {found.ids[at] for at in members(unreached(found, outside))} == hidden


def test_of_a_parameter_that_the_type_does_not_have_nothing_is_met():
    filter = parse_scope("system/Goal.r?lifecycle-status=active").narrowing[0]
    assert not holder("Observation", {"resourceType": "Observation", "status": "active"})(filter)
