"""Granular scopes: what matches none is as if it were not in the store, on every path, to the byte.

The oracle is the same store without the hidden resources. Every request of a table goes to both, under the same token
(and, for what only looks, to the oracle under a token that is not granular): status, headers and body are equal.
"""

from __future__ import annotations

import copy
import itertools
import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from careledger.access.actor import Actor
from careledger.access.scopes import parse_scopes
from careledger.fhir import freshid
from careledger.vault.model import HOUSE_CHART, Row, RowColumns, Version
from careledger.vault.rows import columns_of
from tests.fhir.client import Client, entries, observation, of, patient, practitioner
from tests.fhir.deciding import FOREIGN, Decider, caller, coding, organisation
from tests.fhir.deciding import practitioner as doctor
from tests.fhir.fakes import DID, FakeBackend, FakeSnapshot
from tests.fhir.test_directives import Ward
from tests.fhir.test_emergency import reason

SYSTEM = "http://terminology.hl7.org/CodeSystem/observation-category"
NOW = 1_800_000_000_000
SEALED = re.compile(rb"(_cursor|_page)=[\w-]+")
"""Where a page goes on: sealed, with chance. The page itself is compared."""
ABSENT = "00000000-0000-4000-8000-000000000000"


def coded(*kinds: str) -> dict[str, Any]:
    listed = [{"code": kind[1:]} if kind[0] == "|" else {"system": SYSTEM, "code": kind} for kind in kinds]
    return {"category": [{"coding": [one]} for one in listed]} if kinds else {}


KINDS = {
    "lab": coded("laboratory"),
    "amended": {**coded("laboratory"), "status": "amended"},
    "vital": coded("vital-signs"),
    "both": coded("vital-signs", "laboratory"),
    "loose": coded("|laboratory"),
    "other": {"category": [{"coding": [{"system": "urn:other", "code": "laboratory"}]}]},
    "none": {},
    "left": coded("laboratory"),
    "came": coded("vital-signs"),
    "gone": coded("laboratory"),
    "gone vital": coded("vital-signs"),
}


MATCHES_ALL = coded("laboratory", "|laboratory", "vital-signs")
MATCHES_NONE = {**coded("imaging"), "status": "amended"}


class World:
    """Ada and Ben with an Observation of every kind; two have changed their kind, two are deleted."""

    def __init__(self) -> None:
        self.backend = FakeBackend()
        self.client = client = Client(self.backend)
        self.ada, self.ben = (client.made(patient(name))["id"] for name in ("Ada", "Ben"))
        self.ids: dict[str, str] = {}
        encounter = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}}
        for who in (self.ada, self.ben):
            visit = client.made({**encounter, "subject": {"reference": f"Patient/{who}"}})["id"]
            for number, (kind, more) in enumerate(KINDS.items()):
                one = client.made(practitioner(f"{who}{number}"))["id"]
                made = observation(who, performer=[{"reference": f"Practitioner/{one}"}], **more)
                made["encounter"] = {"reference": f"Encounter/{visit}"}
                made["identifier"] = [{"system": "urn:n", "value": f"{who}-{kind}"}]
                if "vital" in self.ids:
                    made["hasMember"] = [
                        {"reference": f"Observation/{self.ids[other]}"} for other in ("vital", "lab")
                    ]
                id = client.made(made)["id"]
                if who == self.ada:
                    self.ids[kind], self.visit = id, visit
                if kind in ("left", "came"):
                    changed = coded("vital-signs" if kind == "left" else "laboratory")
                    assert client.put(f"Observation/{id}", {**made, **changed, "id": id}).status == 200
                if kind.startswith("gone"):
                    assert client.send("DELETE", f"Observation/{id}").status == 204

    @property
    def targets(self) -> list[str]:
        return [*self.ids.values(), ABSENT]


@pytest.fixture(scope="module")
def world() -> World:
    return World()


class Oracle(FakeSnapshot):
    """A view without the versions in `hidden`; their rows are of resources that went elsewhere long ago."""

    hidden: frozenset[tuple[str, str, int]] = frozenset()

    def current(self, type: str, id: str) -> Version | None:
        return next(iter(self.versions(type, id)), None)

    def version(self, type: str, id: str, version: int) -> Version | None:
        return None if (type, id, version) in self.hidden else super().version(type, id, version)

    def versions(self, type: str, id: str) -> list[Version]:
        return [one for one in super().versions(type, id) if (type, id, one.version) not in self.hidden]

    def rows(self, chart: int, start: int = 0) -> list[Row]:
        return [self._ghost(row) for row in super().rows(chart, start)]

    def columns(self, chart: int, start: int = 0) -> list[RowColumns]:
        rows = self.rows(chart, start)
        return [columns_of(rows)] if rows else []

    def row(self, chart: int, number: int) -> Row | None:
        row = super().row(chart, number)
        return None if row is None else self._ghost(row)

    def _ghost(self, row: Row) -> Row:
        if (row.type, row.id, row.version) not in self.hidden:
            return row
        return replace(row, id=f"ghost-{row.number}", moved=True, values=b"")


class OracleBackend(FakeBackend):
    hidden: frozenset[tuple[str, str, int]] = frozenset()

    def snapshot(self) -> Oracle:
        view = Oracle(self.store, self.open_snapshots)
        view.hidden = self.hidden
        return view


Meets = Callable[[dict[str, Any]], bool]


def without(world: World, meets: Meets) -> frozenset[tuple[str, str, int]]:
    """The versions of Observations that do not match, or whose resource does not match any more."""
    client, store = world.client, world.backend.store
    hidden = set()
    for (type, id), versions in store.versions.items():
        if type != "Observation":
            continue
        bodied = [one.version for one in versions if not one.deleted]
        found = {n: meets(of(client.get(f"Observation/{id}/_history/{n}"))) for n in bodied}
        for one in versions:
            if not found[bodied[-1]] or not found.get(one.version, True):
                hidden.add((type, id, one.version))
    return frozenset(hidden)


def category(*codes: str, status: str = "") -> Meets:
    """By category in the system of the tests (`|code`: without a system; `*code`: whatever it is), and by status."""

    def meets(resource: dict[str, Any]) -> bool:
        found = [coding for one in resource.get("category", ()) for coding in one["coding"]]
        named = {(one.get("system", ""), one["code"]) for one in found}
        wanted = [("", code[1:]) if code[0] == "|" else (SYSTEM, code) for code in codes if code[0] != "*"]
        anywhere = {code[1:] for code in codes if code[0] == "*"}
        return (
            not codes or bool(named & set(wanted)) or any(code in anywhere for _, code in named)
        ) and status in ("", resource["status"])

    return meets


REST = "{0}/Patient.rs {0}/Encounter.read {0}/Practitioner.*"
SCOPES: dict[str, tuple[str, str, Meets, bool]] = {
    "a category": (
        f"system/Observation.cruds?category={SYSTEM}|laboratory",
        "system/Observation.cruds",
        category("laboratory"),
        False,
    ),
    "a code of any system": (
        "user/Observation.cruds?category=laboratory",
        "user/Observation.cruds",
        category("*laboratory"),
        False,
    ),
    "a code without a system": (
        "system/Observation.cruds?category=|laboratory",
        "system/Observation.cruds",
        category("|laboratory"),
        False,
    ),
    "one of two": (
        f"user/Observation.cruds?category={SYSTEM}|vital-signs user/Observation.cruds?category=|laboratory",
        "user/Observation.cruds",
        category("vital-signs", "|laboratory"),
        False,
    ),
    "both of two, of one patient": (
        f"patient/Observation.cruds?category={SYSTEM}|laboratory&status=final",
        "patient/Observation.cruds",
        category("laboratory", status="final"),
        True,
    ),
    "a status, letters apart": (
        "system/Observation.rs?status=final system/Observation.cud?status=final",
        "system/Observation.cruds",
        category(status="final"),
        False,
    ),
}


def ask(method: str, url: str, body: Any = None, **headers: str) -> tuple[str, str, Any, dict[str, str]]:
    return method, url, body, headers


def bundle(type: str, *requests: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "Bundle",
        "type": type,
        "entry": [
            {"request": one, **({"resource": one.pop("resource")} if "resource" in one else {})}
            for one in requests
        ],
    }


def looks(world: World) -> Iterator[tuple[str, str, Any, dict[str, str]]]:
    """Requests that change nothing."""
    for id in world.targets:
        for tail in ("", "/_history", "/_history/1", "/_history/2", "/_history/3", "/_history?_count=1"):
            yield ask("GET", f"Observation/{id}{tail}")
        yield ask("GET", f"Observation/{id}", if_none_match='W/"1"')
        yield ask("GET", f"Observation?_id={id}")
        yield ask("GET", f"Observation?_id={id}&_summary=count")
        yield ask(
            "GET", f"Observation?_id={id}&_include=Observation:has-member&_include=Observation:encounter"
        )
        yield ask("GET", f"Observation?_id={id}&_revinclude=Observation:has-member")
    ada = f"patient={world.ada}"
    for more in (
        "", "_count=1", "_count=2&_sort=-_lastUpdated", "_count=3&_sort=date&_total=accurate", "_summary=count",
        "_total=none", "_count=0", "_elements=status", "status=final", "status=amended", "status:not=final",
        "category=laboratory", f"category={SYSTEM}|", "category:missing=true", "category:not=laboratory",
        "code=8867-4", "_lastUpdated=gt1990", "encounter:missing=false", f"identifier=urn:n|{world.ada}-vital",
        f"encounter=Encounter/{world.visit}", "_include=*", "_revinclude=Observation:has-member",
    ):  # fmt: skip
        yield ask("GET", f"Observation?{ada}&{more}")
        yield ask("GET", f"Observation?{more}")
    yield ask("POST", "Observation/_search", f"{ada}&_count=2".encode(), content_type="application/x-www-form-urlencoded")  # fmt: skip
    yield ask("GET", f"Encounter?_id={world.visit}&_revinclude=Observation:encounter")
    yield ask(
        "GET", f"Patient?_id={world.ada}&_revinclude=Observation:subject&_revinclude=Observation:patient"
    )
    yield ask("GET", "Practitioner?_count=100&_revinclude=Observation:performer")
    for count in (1, 4, 100):
        yield ask("GET", f"Observation/_history?_count={count}")
        types = "Patient,Observation,Encounter,Practitioner"
        yield ask("GET", f"Patient/{world.ada}/$everything?_type={types}&_count={count}")
    yield ask("GET", f"Patient/{world.ada}/$everything")
    urls = [f"Observation/{id}" for id in world.targets] + ["Observation?_summary=count"]
    for type in ("batch", "transaction"):
        yield ask("POST", "", bundle(type, *({"method": "GET", "url": url} for url in urls)))


def changes(world: World) -> Iterator[tuple[str, str, Any, dict[str, str]]]:
    """Requests that write, or would."""
    for kind, id in (*world.ids.items(), ("absent", ABSENT)):
        value = f"{world.ada}-{kind}"
        for new in (MATCHES_ALL, MATCHES_NONE):
            made = observation(world.ada, **new)
            named = {**made, "id": id}
            yield ask("PUT", f"Observation/{id}", named)
            yield ask("PUT", f"Observation/{id}", named, if_match='W/"1"')
            yield ask("PUT", f"Observation/{id}", named, if_none_match="*")
            yield ask("PUT", f"Observation?_id={id}", named)
            yield ask("PUT", f"Observation?identifier=urn:n|{value}", named)
            yield ask("PUT", f"Observation?identifier=urn:n|{value}", made)
            yield ask("POST", "Observation", made, if_none_exist=f"_id={id}")
            yield ask("POST", "Observation", made, if_none_exist=f"identifier=urn:n|{value}")
            refers = {**made, "hasMember": [{"reference": f"Observation?identifier=urn:n|{value}"}]}
            yield ask("POST", "Observation", refers)
            for type in ("batch", "transaction"):
                yield ask(
                    "POST",
                    "",
                    bundle(
                        type,
                        {"method": "PUT", "url": f"Observation/{id}", "resource": named},
                        {
                            "method": "POST",
                            "url": "Observation",
                            "resource": made,
                            "ifNoneExist": f"_id={id}",
                        },
                    ),
                    prefer="return=representation",
                )
        yield ask("DELETE", f"Observation/{id}")
        yield ask("DELETE", f"Observation/{id}", if_match='W/"1"')
        yield ask("DELETE", f"Observation?_id={id}")
        yield ask("DELETE", f"Observation?identifier=urn:n|{value}")
        yield ask("POST", "", bundle("transaction", {"method": "DELETE", "url": f"Observation/{id}"}))
        yield ask("POST", "", bundle("batch", {"method": "DELETE", "url": f"Observation/{id}"}))
    for subject, new in itertools.product((world.ada, world.ben), (*KINDS.values(), {"status": "amended"})):
        yield ask("POST", "Observation", observation(subject, **new))
    lab, vital = (observation(world.ada, **KINDS[kind]) for kind in ("lab", "vital"))
    for type in ("batch", "transaction"):
        posts = [{"method": "POST", "url": "Observation", "resource": one} for one in (lab, lab, vital)]
        yield ask("POST", "", bundle(type, *posts))


class Counter:
    """In place of chance: the same ids for the same request."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, size: int) -> bytes:
        self.made += 1
        return self.made.to_bytes(size, "big")


class Node:
    """One of the two, with one caller; `fresh` begins anew, so that what was written before does not count."""

    def __init__(
        self, world: World, token: str, bound: bool, hidden: frozenset[tuple[str, str, int]]
    ) -> None:
        self.world, self.hidden = world, hidden
        level = "patient" if bound else "user" if token.startswith("user") else "system"
        scopes = parse_scopes(f"{token} {REST.format(level)}".strip())
        self.who = Actor("grace", "app", DID, scopes, patient=world.ada if bound else "")
        self.fresh()

    def fresh(self) -> None:
        self.backend = OracleBackend()
        self.backend.hidden = self.hidden
        self.backend.store = copy.deepcopy(self.world.backend.store)
        self.backend._clock = itertools.repeat(NOW)
        self.client = Client(self.backend, self.who)

    def answers(self, method: str, url: str, body: Any, headers: dict[str, str]) -> list[Any]:
        """The answer, and those of all further pages."""
        found = []
        while url is not None and len(found) < 60:
            freshid.urandom = Counter()  # type: ignore[assignment]
            answer = self.client.send(method, url, copy.deepcopy(body), **headers)
            shown = SEALED.sub(rb"\1=", answer.body)
            found.append((answer.status, sorted(answer.headers), shown))
            links = of(answer).get("link", ()) if answer.body else ()
            url = next((one["url"] for one in links if one["relation"] == "next"), None)
            method, body = "GET", None
        return found


@pytest.fixture(autouse=True)
def chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshid, "urandom", freshid.urandom)  # put back what `Node` replaces


@pytest.mark.parametrize("name", SCOPES)
def test_what_does_not_match_is_as_if_it_were_not_there(world: World, name: str) -> None:
    token, plain, meets, bound = SCOPES[name]
    hidden = without(world, meets)
    assert hidden
    real, oracle = Node(world, token, bound, frozenset()), Node(world, token, bound, hidden)
    lesser, open_ = Node(world, plain, bound, hidden), Node(world, plain, bound, frozenset())
    narrowed = 0
    for request in looks(world):
        found = real.answers(*request)
        check_same(found, oracle.answers(*request), request)
        if "$everything" not in request[1]:
            check_same(found, lesser.answers(*request), request)
        narrowed += found != open_.answers(*request)
    assert narrowed > 40
    statuses = set()
    for request in changes(world):
        for node in (real, oracle):
            node.fresh()
        before = real.backend.store.fingerprint
        found = real.answers(*request)
        check_same(found, oracle.answers(*request), request)
        assert real.backend.store.fingerprint[1] - before[1] == (
            oracle.backend.store.fingerprint[1] - before[1]
        )
        statuses.add(found[0][0])
        for key in {one[:2] for one in hidden}:
            was = world.backend.store.versions[key]
            assert real.backend.store.versions[key] == was or key not in hidden_whole(hidden, was), request
    assert {200, 201, 204, 403, 404, 412} <= statuses


def check_same(found: list[Any], expected: list[Any], request: tuple[Any, ...]) -> None:
    """Says where they part; pytest's own comparison of long answers takes minutes."""
    for one, other in itertools.zip_longest(found, expected):
        if one != other:
            pytest.fail(f"{request[:2]}: {str(one)[:400]}\ninstead of {str(other)[:400]}")


def hidden_whole(
    hidden: frozenset[tuple[str, str, int]], versions: Sequence[Version]
) -> set[tuple[str, str]]:
    """Resources of which nothing is to be seen."""
    whole = all((one.type, one.id, one.version) in hidden for one in versions)
    return {(versions[0].type, versions[0].id)} if whole else set()


def test_letters_follow_the_scope_that_matches(world: World) -> None:
    """Laboratory is read and found, vital signs are changed, and of neither can the other be done."""
    node = Node(
        world,
        f"system/Observation.rs?category={SYSTEM}|laboratory system/Observation.ud?category={SYSTEM}|vital-signs"
        " system/Observation.c?status=amended",
        False,
        frozenset(),
    )
    client, ids = node.client, world.ids
    lab, vital, both = (observation(world.ada, **KINDS[kind]) for kind in ("lab", "vital", "both"))
    assert client.get(f"Observation/{ids['lab']}").status == 200
    assert client.get(f"Observation/{ids['vital']}").status == 404
    assert client.get(f"Observation/{ids['both']}").status == 200
    found = {entry["resource"]["id"] for entry in entries(client.get(f"Observation?patient={world.ada}"))}
    assert found == {ids[kind] for kind in ("lab", "amended", "both", "came")}
    assert client.put(f"Observation/{ids['lab']}", {**vital, "id": ids["lab"]}).status == 404
    assert client.put(f"Observation/{ids['vital']}", {**lab, "id": ids["vital"]}).status == 403
    assert client.put(f"Observation/{ids['vital']}", {**both, "id": ids["vital"]}).status == 200
    assert client.get(f"Observation/{ids['vital']}").status == 200
    assert client.get(f"Observation/{ids['vital']}/_history/1").status == 404
    before = node.backend.store.fingerprint
    assert client.send("DELETE", f"Observation/{ids['lab']}").status == 204
    assert node.backend.store.fingerprint == before
    assert client.send("DELETE", f"Observation/{ids['vital']}").status == 204
    assert node.backend.store.fingerprint != before
    assert client.post("Observation", lab).status == 403
    assert client.post("Observation", {**lab, "status": "amended"}).status == 201
    assert client.get("Condition").status == 403
    assert client.get(f"Patient/{world.ada}/$everything").status == 403


def test_each_entry_of_a_bundle_is_decided_by_itself(world: World) -> None:
    """Of many new resources of one chart, those that match are written, and no transaction with another is."""
    node = Node(world, "system/Observation.cruds?category=laboratory", False, frozenset())
    kinds = ("lab", "vital", "loose", "none")
    made = [observation(world.ada, **KINDS[kind]) for kind in kinds]
    posts = [{"method": "POST", "url": "Observation", "resource": one} for one in made]
    before = node.backend.store.fingerprint
    assert node.client.post("", bundle("transaction", *copy.deepcopy(posts))).status == 403
    assert node.backend.store.fingerprint == before
    answers = entries(node.client.post("", bundle("batch", *posts)))
    assert [one["response"]["status"][:3] for one in answers] == ["201", "403", "201", "403"]


def test_a_denial_names_its_rule_and_shows_nothing(world: World) -> None:
    node = Node(world, "system/Observation.cruds?category=laboratory", False, frozenset())
    node.backend.store.accesses.clear()
    assert node.client.get(f"Observation/{world.ids['vital']}").status == 404
    assert node.client.post("Observation", observation(world.ada)).status == 403
    logged = [(e.chart, e.kind, e.permitted, e.rule) for e in node.backend.store.accesses]
    assert logged == [(HOUSE_CHART, "denied", False, "granular-scope")] * 2


def test_neither_emergency_nor_directive_nor_her_own_chart_widens(world: World) -> None:
    """What would open the whole chart opens what the scope reaches."""
    node = Node(world, "", False, frozenset())
    ids = world.ids
    laboratory = f"system/Observation.rs?category={SYSTEM}|laboratory system/Patient.rs"
    Decider(node.backend, world.ada).grant(organisation("did:x:other"), doctor("quill"))
    own = laboratory.replace("system", "patient")
    duty = caller(node.client, f"{laboratory} system/Task.r", practitioner="d1", purpose="ETREAT")
    assert duty.post(f"Patient/{world.ada}/$emergency-access", reason()).status == 200
    for who in (
        duty,
        caller(node.client, laboratory, organisation="did:x:other"),
        caller(node.client, own, patient=world.ada),
        caller(node.client, own, patient=world.ada, purpose="PATRQT"),
    ):
        assert who.get(f"Observation/{ids['lab']}").status == 200
        for kind in ("vital", "loose", "none", "left"):
            assert who.get(f"Observation/{ids[kind]}").status == 404
        found = entries(who.get(f"Observation?patient={world.ada}"))
        assert {entry["resource"]["id"] for entry in found} == {
            ids[kind] for kind in ("lab", "amended", "both", "came")
        }
        url = f"Patient/{world.ada}/$everything?_type=Patient,Observation"
        assert {entry["resource"]["id"] for entry in entries(who.get(url))} == {
            world.ada,
            *(ids[kind] for kind in ("lab", "amended", "both", "came")),
        }


def test_a_directive_narrows_what_a_scope_reaches(world: World) -> None:
    node = Node(world, "", False, frozenset())
    device = Decider(node.backend, world.ada)
    who = caller(node.client, f"user/Observation.rs?category={SYSTEM}|laboratory", practitioner="quill")
    assert who.get(f"Observation/{world.ids['lab']}").status == 200
    device.grant(doctor("quill"), effect="deny", types=("Observation",))
    assert who.get(f"Observation/{world.ids['lab']}").status == 404
    assert entries(who.get(f"Observation?patient={world.ada}")) == []


def test_a_change_of_category_acts_on_pages_of_before(world: World) -> None:
    """A page keeps its view of the record; what does not match any more leaves it all the same."""
    node = Node(world, f"system/Observation.rs?category={SYSTEM}|laboratory", False, frozenset())
    node.backend._clock = itertools.count(NOW)
    first = node.client.get(f"Observation?patient={world.ada}&_count=1")
    following = next(link["url"] for link in of(first)["link"] if link["relation"] == "next")
    rest = {entry["resource"]["id"] for entry in entries(node.client.get(f"{following}&_count=100"))}
    gone = min(rest)
    writer = Client(node.backend)
    writer.put(f"Observation/{gone}", {**observation(world.ada, **coded("vital-signs")), "id": gone})
    now = {entry["resource"]["id"] for entry in entries(node.client.get(f"{following}&_count=100"))}
    assert now == rest - {gone}


def test_on_the_sealed_store_as_in_memory(client: Client) -> None:
    """Read, found, listed and counted: the same resources, of a type with a status as concept too."""
    ada = client.made(patient("Ada"))["id"]
    made = {kind: client.made(observation(ada, **more))["id"] for kind, more in KINDS.items()}
    clinical = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    subject = {"reference": f"Patient/{ada}"}
    conditions = {
        code: client.made(
            {
                "resourceType": "Condition",
                "subject": subject,
                "clinicalStatus": {"coding": [{"system": clinical, "code": code}]},
            }
        )["id"]
        for code in ("active", "resolved")
    }
    who = client.as_(
        f"patient/Observation.rs?category={SYSTEM}|laboratory&status=final"
        " patient/Condition.rs?clinical-status=active patient/Patient.rs",
        patient=ada,
    )
    seen = {made[kind] for kind in ("lab", "both", "left", "gone")} | {conditions["active"]}
    for type, ids in (("Observation", made), ("Condition", conditions)):
        mine = seen & set(ids.values())
        assert {id for id in ids.values() if who.get(f"{type}/{id}").status == 200} == mine
        for url in (
            type,
            f"{type}?patient={ada}",
            f"{type}?_id={','.join(ids.values())}",
            f"{type}/_history",
        ):
            assert {entry["resource"]["id"] for entry in entries(who.get(url))} == mine, url
        assert of(who.get(f"{type}?_summary=count"))["total"] == len(mine)
    everything = entries(who.get(f"Patient/{ada}/$everything?_type=Patient,Observation,Condition"))
    assert {entry["resource"]["id"] for entry in everything} == {ada, *seen}


def test_searches_find_what_reads_show_under_scopes_and_directives() -> None:
    """By sets over the index or by one body: the same, whatever scopes and directives there are."""
    ward, chance = Ward(), random.Random(3)
    parts = ("?category=mind", "?category=urn:kind|heart,|mind", "?status=final", "?category=urn:x|mind")
    sizes = set()
    for _ in range(40):
        scope = " ".join(
            f"system/Observation.{letters}{part}"
            for part in chance.sample(parts, chance.choice((1, 2)))
            for letters in chance.choice((("rs",), ("r", "s"), ("cruds",)))
        )
        granted = [
            ward.device.grant(
                chance.choice((doctor("quill"), organisation())),
                effect=chance.choice(("deny", "permit")),
                categories=chance.choice(((), (coding("mind"),), (coding("heart"),))),
            )
            for _ in range(chance.randrange(3))
        ]
        where = chance.choice((DID, FOREIGN))
        who = caller(ward.client, f"{scope} system/Patient.rs", organisation=where, practitioner="quill")
        every = [id for kind, id in ward.store.versions if kind == "Observation"]
        readable = {id for id in every if who.get(f"Observation/{id}").status == 200}
        for url in ("Observation?_count=1000", "Observation/_history?_count=1000"):
            assert {entry["resource"]["id"] for entry in entries(who.get(url))} == readable, (scope, url)
        assert of(who.get("Observation?_summary=count"))["total"] == len(readable)
        sizes.add(len(readable))
        for id in granted:
            ward.device.revoke(id)
    assert len(sizes) > 4
