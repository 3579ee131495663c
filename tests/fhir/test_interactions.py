"""Interactions of single resources, against any Backend."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from careledger.fhir.messages import FhirResponse
from careledger.vault.model import HOUSE_CHART, Commit
from tests.fhir.client import Client, entries, header, observation, of, patient, practitioner


def leaves_of(client: Client) -> list[tuple[int, str, tuple[int, ...]]]:
    return [(entry.chart, entry.kind, entry.leaves) for entry in client.backend.store.accesses]


# one resource


def test_create_read_vread_update_delete(client: Client) -> None:
    answer = client.post("Patient", patient(), prefer="return=representation")
    made = of(answer)
    place = f"{client.backend.base_url}/Patient/{made['id']}"
    assert answer.status == 201
    assert header(answer, "location") == f"{place}/_history/1"
    assert header(answer, "etag") == 'W/"1"'
    assert header(answer, "last-modified").endswith("GMT")
    assert client.get(f"Patient/{made['id']}").body == answer.body

    changed = client.put(f"Patient/{made['id']}", {**made, "gender": "female"}, if_match='W/"1"')
    assert (changed.status, of(changed)["meta"]["versionId"]) == (200, "2")
    assert of(changed)["meta"]["lastUpdated"] > made["meta"]["lastUpdated"]
    assert client.get(f"Patient/{made['id']}/_history/1").body == answer.body

    assert client.send("DELETE", f"Patient/{made['id']}").status == 204
    assert client.get(f"Patient/{made['id']}").status == 410
    assert client.get(f"Patient/{made['id']}/_history/3").status == 410
    assert client.send("DELETE", f"Patient/{made['id']}").status == 204
    assert client.put(f"Patient/{made['id']}", made).status == 201


def test_numbers_are_served_as_received(client: Client) -> None:
    raw = b'{"resourceType":"Observation","status":"final","code":{"text":"weight"},"valueQuantity":{"value":72.50,"unit":"kg"}}'
    made = client.post("Observation", raw)
    assert b'"value":72.50' in made.body
    assert b'"value":72.50' in client.get(f"Observation/{of(made)['id']}").body


def test_update_as_create_keeps_the_id(client: Client) -> None:
    answer = client.put("Patient/p-1", patient(id="p-1"))
    assert (answer.status, of(answer)["id"]) == (201, "p-1")
    assert client.get("Patient/p-1").status == 200


@pytest.mark.parametrize(
    "returns, has_body", [("minimal", False), ("representation", True), ("OperationOutcome", True)]
)
def test_prefer_return(client: Client, returns: str, has_body: bool) -> None:
    answer = client.post("Patient", patient(), prefer=f"return={returns}")
    assert (answer.status, bool(answer.body)) == (201, has_body)
    if returns == "OperationOutcome":
        assert of(answer)["resourceType"] == "OperationOutcome"


def test_who_has_the_version_gets_304(client: Client) -> None:
    made = client.made(patient())
    first = client.get(f"Patient/{made['id']}")
    tag, date = header(first, "etag"), header(first, "last-modified")
    assert client.get(f"Patient/{made['id']}", if_none_match=tag).status == 304
    assert client.get(f"Patient/{made['id']}", if_none_match=tag).body == b""
    assert client.get(f"Patient/{made['id']}", if_none_match='W/"2"').status == 200
    assert client.get(f"Patient/{made['id']}", if_modified_since=date).status == 304
    assert (
        client.get(f"Patient/{made['id']}", if_modified_since="Thu, 01 Jan 1970 00:00:00 GMT").status == 200
    )


def test_summary_and_elements_are_tagged(client: Client) -> None:
    made = client.made(patient(birthDate="1980-02-03", communication=[{"language": {"text": "en"}}]))
    part = of(client.get(f"Patient/{made['id']}?_elements=birthDate"))
    assert part["birthDate"] == "1980-02-03"
    assert "name" not in part
    assert part["meta"]["tag"][-1]["code"] == "SUBSETTED"
    summary = of(client.get(f"Patient/{made['id']}?_summary=true"))
    assert "communication" not in summary
    assert "name" in summary


# what is refused leaves no trace


def bad(**changes: Any) -> dict[str, Any]:
    return {**observation("p1"), **changes}


REFUSALS = {
    "malformed json": ("POST", "Patient", b"{", {}, 400),
    "duplicate property": (
        "POST",
        "Patient",
        b'{"resourceType":"Patient","active":true,"active":false}',
        {},
        400,
    ),
    "byte order mark": ("POST", "Patient", b'\xef\xbb\xbf{"resourceType":"Patient"}', {}, 400),
    "deep": (
        "POST",
        "Patient",
        b'{"resourceType":"Patient","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        {},
        400,
    ),
    "not an object": ("POST", "Patient", b"[]", {}, 400),
    "another type": ("POST", "Observation", patient(), {}, 400),
    "unknown type": ("POST", "Paitent", patient(), {}, 404),
    "unknown element": ("POST", "Patient", patient(colour="red"), {}, 422),
    "unknown code": ("POST", "Observation", bad(status="nope"), {}, 422),
    "missing element": ("POST", "Observation", {"resourceType": "Observation", "status": "final"}, {}, 422),
    "wrong reference type": ("POST", "Observation", bad(subject={"reference": "Medication/1"}), {}, 422),
    "id of 65": ("PUT", "Patient/" + "a" * 65, patient(id="a" * 65), {}, 400),
    "another id": ("PUT", "Patient/a", patient(id="b"), {}, 400),
    "no id": ("PUT", "Patient/a", patient(), {}, 400),
    "stale absent": ("PUT", "Patient/a", patient(id="a"), {"if_match": 'W/"1"'}, 412),
    "if-match unreadable": ("PUT", "Patient/a", patient(id="a"), {"if_match": "1"}, 400),
    "content type": ("POST", "Patient", patient(), {"content_type": "text/xml"}, 415),
    "charset": ("POST", "Patient", patient(), {"content_type": "application/fhir+json; charset=latin1"}, 415),
    "accept xml": ("POST", "Patient", patient(), {"accept": "application/fhir+xml"}, 406),
    "format xml": ("POST", "Patient?_format=xml", patient(), {}, 406),
    "patch": ("PATCH", "Patient/a", b"[]", {}, 405),
    "system search": ("GET", "", None, {}, 501),
    "unknown operation": ("POST", "Patient/a/$frobnicate", patient(), {}, 501),
    "conditional without criteria": ("PUT", "Patient", patient(), {}, 412),
    "conditional unknown parameter": ("PUT", "Patient?colour=red", patient(), {}, 400),
    "conditional control": ("DELETE", "Patient?_count=1", None, {}, 400),
    "conditional reference to nothing": (
        "POST",
        "Observation",
        bad(performer=[{"reference": "Practitioner?identifier=a|b"}]),
        {},
        412,
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_leave_the_store_untouched(client: Client, name: str) -> None:
    method, url, body, headers, status = REFUSALS[name]
    before = client.backend.store.fingerprint
    answer = client.send(method, url, body, **headers)
    assert answer.status == status, answer.body
    outcome = of(answer)
    assert outcome["resourceType"] == "OperationOutcome"
    assert all(issue["code"] and issue["diagnostics"] for issue in outcome["issue"])
    assert client.backend.store.fingerprint == before


def test_a_stale_if_match_is_412_and_writes_nothing(client: Client) -> None:
    made = client.made(patient())
    client.put(f"Patient/{made['id']}", made)
    before = client.backend.store.fingerprint
    for method in ("PUT", "DELETE"):
        assert client.send(method, f"Patient/{made['id']}", made, if_match='W/"1"').status == 412
    assert client.backend.store.fingerprint == before


def test_if_none_match_star_creates_only(client: Client) -> None:
    assert client.put("Patient/a", patient(id="a"), if_none_match="*").status == 201
    before = client.backend.store.fingerprint
    assert client.put("Patient/a", patient(id="a"), if_none_match="*").status == 412
    assert client.backend.store.fingerprint == before


def test_routes_for_metrics_name_no_resource(client: Client) -> None:
    assert client.get("Patient/secret").route == "Patient/[id]"
    assert client.get("Patient/secret/_history/1").route == "Patient/[id]/_history/[vid]"
    assert client.get("Patient/secret/$everything").route == "Patient/[id]/$everything"
    assert client.get("Nonsense/secret").route == ""


def test_two_updates_of_one_version_have_one_winner(client: Client) -> None:
    made = client.made(patient())

    async def race() -> list[int]:
        url = f"Patient/{made['id']}"
        answers = [client.asend("PUT", url, {**made, "gender": "male"}, if_match='W/"1"') for _ in range(20)]
        return [answer.status for answer in await asyncio.gather(*answers)]

    statuses = client.run(race())
    assert (statuses.count(200), statuses.count(412)) == (1, 19)


def test_updates_without_if_match_are_repeated_over_a_faster_writer(client: Client) -> None:
    made = client.made(patient())
    write = client.backend.store.versions["Patient", made["id"]][0]
    faster = Commit((_copy(client, made["id"], write.version),))
    client.backend.before_commit.append(faster)
    answer = client.put(f"Patient/{made['id']}", {**made, "gender": "male"})
    assert (answer.status, header(answer, "etag")) == (200, 'W/"3"')


def _copy(client: Client, id: str, version: int) -> Any:
    from careledger.vault.model import ResourceWrite

    body = client.backend.store.bodies["Patient", id, version]
    return ResourceWrite("Patient", id, version, body, client.backend.now_ms(), (id,))


# conditions


def test_conditional_create_in_parallel_has_one_winner(client: Client) -> None:
    async def race() -> list[tuple[int, str]]:
        criteria = "identifier=http://hl7.org/fhir/sid/us-npi|77"
        answers = [
            client.asend("POST", "Practitioner", practitioner("77"), if_none_exist=criteria)
            for _ in range(100)
        ]
        done = await asyncio.gather(*answers)
        return [(answer.status, of(answer)["id"]) for answer in done]

    answers = client.run(race())
    assert sorted(status for status, _ in answers) == [200] * 99 + [201]
    assert len({id for _, id in answers}) == 1


def test_conditional_matches_are_logged_and_several_are_412(client: Client) -> None:
    first = client.made(practitioner("1"))
    client.made(practitioner("2"))
    leaf = client.backend.store.versions["Practitioner", first["id"]][0].leaf
    before = client.backend.store.fingerprint
    one = client.post("Practitioner", practitioner("1"), if_none_exist="identifier=|1,1")
    assert one.status == 200
    assert leaves_of(client)[-1] == (HOUSE_CHART, "read", (leaf,))
    both = client.post("Practitioner", practitioner("1"), if_none_exist="identifier=1,2")
    assert both.status == 412
    assert client.send("DELETE", "Practitioner?family=Osler").status == 412
    assert client.backend.store.fingerprint == before


def test_conditional_update_and_delete(client: Client) -> None:
    criteria = "Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|5"
    made = client.put(criteria, practitioner("5"))
    again = client.put(criteria, {**practitioner("5"), "active": True})
    assert (made.status, again.status) == (201, 200)
    assert of(made)["id"] == of(again)["id"]
    assert client.put(criteria, {**practitioner("5"), "id": "other"}).status == 400
    assert client.send("DELETE", criteria).status == 204
    assert client.get(f"Practitioner/{of(made)['id']}").status == 410
    assert client.send("DELETE", criteria).status == 204


def test_conditional_references_of_a_single_write_are_resolved(client: Client) -> None:
    one = client.made(practitioner("9"))
    subject = client.made(patient())
    reference = "Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|9"
    made = client.made(observation(subject["id"], performer=[{"reference": reference}]))
    assert made["performer"][0]["reference"] == f"Practitioner/{one['id']}"


# history, search, everything


def test_history_is_newest_first_and_paged(client: Client) -> None:
    made = client.made(patient())
    for gender in ("male", "female", "other"):
        client.put(f"Patient/{made['id']}", {**made, "gender": gender})
    client.send("DELETE", f"Patient/{made['id']}")
    page, seen = client.get(f"Patient/{made['id']}/_history?_count=2"), []
    while True:
        found = of(page)
        assert (found["type"], found["total"]) == ("history", 5)
        seen += [entry["response"]["etag"] for entry in found["entry"]]
        following = [link["url"] for link in found["link"] if link["relation"] == "next"]
        if not following:
            break
        page = client.get(following[0])
    assert seen == [f'W/"{n}"' for n in (5, 4, 3, 2, 1)]
    newest = entries(client.get(f"Patient/{made['id']}/_history?_count=1"))[0]
    assert newest["request"]["method"] == "DELETE"
    assert "resource" not in newest
    assert client.get("Patient/unknown/_history").status == 404


def test_history_says_how_each_version_came_about(client: Client) -> None:
    """Create, update-as-create, update, deletion and what is brought back: the same in history, answer and Bundle."""
    posted = client.made(patient())["id"]
    assert client.put("Patient/chosen", patient(id="chosen")).status == 201
    assert client.put("Patient/chosen", patient(id="chosen", gender="male")).status == 200
    assert client.send("DELETE", "Patient/chosen").status == 204
    assert client.put("Patient/chosen", patient(id="chosen")).status == 201
    url = "Patient?identifier=urn:x|1"
    found = of(client.put(url, patient(identifier=[{"system": "urn:x", "value": "1"}])))["id"]

    def told(answer: FhirResponse, id: str) -> list[tuple[str, str, str]]:
        return [
            (entry["request"]["method"], entry["request"]["url"], entry["response"]["status"])
            for entry in entries(answer)
            if entry["fullUrl"].endswith(f"/{id}")
        ]

    name = "Patient/chosen"
    chosen = [("PUT", name, "201 Created"), ("DELETE", name, "204 No Content")]
    chosen += [("PUT", name, "200 OK"), ("PUT", name, "201 Created")]
    for url in ("Patient/_history", "Patient/{id}/_history"):
        assert told(client.get(url.format(id=posted)), posted) == [("POST", "Patient", "201 Created")]
        assert told(client.get(url.format(id="chosen")), "chosen") == chosen
        assert told(client.get(url.format(id=found)), found) == [("PUT", f"Patient/{found}", "201 Created")]
    for kind in ("batch", "transaction"):
        client.send("DELETE", name)
        put = {"resource": patient(id="chosen"), "request": {"method": "PUT", "url": name}}
        done = client.post("", {"resourceType": "Bundle", "type": kind, "entry": [put]})
        assert entries(done)[0]["response"]["status"] == "201 Created"
        assert told(client.get(f"{name}/_history?_count=1"), "chosen") == chosen[:1]


def test_type_history_spans_charts_and_pages_stay_whole(client: Client) -> None:
    made = [client.made(patient(f"N{n}")) for n in range(7)]
    page, seen = client.get("Patient/_history?_count=3"), []
    while True:
        seen += [entry["resource"]["id"] for entry in entries(page)]
        following = [link["url"] for link in of(page)["link"] if link["relation"] == "next"]
        if not following:
            break
        page = client.get(following[0])
    newest_first = sorted(made, key=lambda one: (one["meta"]["lastUpdated"], one["id"]), reverse=True)
    assert seen == [one["id"] for one in newest_first], "those of one millisecond by their ids"


def test_since_limits_history(client: Client) -> None:
    made = client.made(patient())
    later = of(client.put(f"Patient/{made['id']}", made))["meta"]["lastUpdated"]
    assert len(entries(client.get(f"Patient/{made['id']}/_history?_since={later}"))) == 1


def test_search_pages_by_cursor_and_self_says_what_counted(client: Client) -> None:
    subject = client.made(patient())["id"]
    made = [client.made(observation(subject))["id"] for _ in range(5)]
    page, seen = client.get(f"Observation?patient={subject}&_count=2&colour=red"), []
    assert of(page)["total"] == 5
    assert "colour" not in of(page)["link"][0]["url"]
    while True:
        seen += [entry["resource"]["id"] for entry in entries(page)]
        following = [link["url"] for link in of(page)["link"] if link["relation"] == "next"]
        if not following:
            break
        page = client.get(following[0])
    assert sorted(seen) == sorted(made)


def test_strict_handling_refuses_what_lenient_ignores(client: Client) -> None:
    assert client.get("Patient?colour=red").status == 200
    assert client.get("Patient?colour=red", prefer="handling=strict").status == 400
    assert client.get("Patient?birthdate=yesterday").status == 400
    assert client.get("Patient/_history?colour=red", prefer="handling=strict").status == 400


def test_a_posted_search_stays_out_of_links(client: Client) -> None:
    for _ in range(3):
        client.made(patient("Zebrowski"))
    form = b"family=Zebrowski&_count=2"
    page = client.post("Patient/_search", form, content_type="application/x-www-form-urlencoded")
    links = {link["relation"]: link["url"] for link in of(page)["link"]}
    assert len(entries(page)) == 2
    assert not any("ebrowski" in url for url in links.values())
    assert len(entries(client.get(links["next"]))) == 1


@pytest.mark.parametrize(
    "url", ["Patient?family=Ames&_count=1", "Patient/_history?_count=1", "Patient/{id}/$everything?_count=1"]
)
def test_altered_and_borrowed_cursors_are_refused(client: Client, url: str) -> None:
    first, other = client.made(patient()), client.made(patient())
    client.made(observation(first["id"]))
    page = client.get(url.format(id=first["id"]))
    following = next(link["url"] for link in of(page)["link"] if link["relation"] == "next")
    assert client.get(following).status == 200
    altered = following[:-6] + ("A" if following[-6] != "A" else "B") + following[-5:]
    assert client.get(altered).status == 400
    borrowed = (
        following.replace("Ames", "Bell").replace(first["id"], other["id"]).replace("Patient/_h", "Group/_h")
    )
    assert client.get(borrowed).status == 400


def test_everything_holds_the_chart_and_what_it_refers_to(client: Client) -> None:
    doctor, stranger = client.made(practitioner("1")), client.made(practitioner("2"))
    subject, other = client.made(patient())["id"], client.made(patient())["id"]
    reference = [{"reference": f"Practitioner/{doctor['id']}"}]
    own = [client.made(observation(subject, performer=reference))["id"] for _ in range(5)]
    client.made(observation(other))
    client.send("DELETE", f"Observation/{own.pop()}")
    page, seen = client.get(f"Patient/{subject}/$everything?_count=2"), []
    while True:
        assert page.status == 200, page.body
        seen += [entry["resource"]["id"] for entry in entries(page)]
        following = [link["url"] for link in of(page)["link"] if link["relation"] == "next"]
        if not following:
            break
        page = client.get(following[0])
    assert seen[0] == subject
    assert sorted(seen) == sorted([subject, *own, doctor["id"]])
    assert stranger["id"] not in seen
    only = client.get(f"Patient/{subject}/$everything?_type=Patient")
    assert [entry["resource"]["id"] for entry in entries(only)] == [subject]
    assert client.get("Patient/unknown/$everything").status == 404


def test_validate_says_what_a_write_would_say(client: Client) -> None:
    before = client.backend.store.fingerprint
    fine = client.post("Observation/$validate", observation("p"))
    wrong = client.post("Observation/$validate", {**observation("p"), "status": "nope"})
    assert (fine.status, wrong.status) == (200, 200)
    assert {issue["severity"] for issue in of(fine)["issue"]} == {"information"}
    refused = client.post("Observation", {**observation("p"), "status": "nope"})
    assert of(wrong)["issue"] == of(refused)["issue"]
    assert client.backend.store.fingerprint == before
