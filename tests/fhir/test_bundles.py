"""Batch and transaction Bundles: all or nothing, links, conditions, limits, authority of each entry."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careledger.fhir import bundles
from careledger.fhir.context import Limits
from careledger.fhir.http import FhirApp
from careledger.fhir.json import canonical
from careledger.fhir.links import Links
from careledger.vault.model import HOUSE_CHART, Commit, ResourceWrite
from tests.fhir.client import Client, entries, observation, of, patient, practitioner
from tests.fhir.fakes import FakeBackend

NPI = "http://hl7.org/fhir/sid/us-npi"


def post(resource: dict[str, Any], full_url: str = "", **request: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "resource": resource,
        "request": {"method": "POST", "url": resource["resourceType"]},
    }
    entry["request"].update(request)
    return {"fullUrl": full_url, **entry} if full_url else entry


def put(resource: dict[str, Any], url: str = "", **request: str) -> dict[str, Any]:
    url = url or f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": url, **request}}


def bare(method: str, url: str, **request: str) -> dict[str, Any]:
    return {"request": {"method": method, "url": url, **request}}


def bundle(*found: dict[str, Any], kind: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(found)}


def statuses(answer: Any) -> list[str]:
    return [entry["response"]["status"][:3] for entry in entries(answer)]


def test_links_are_rewritten_where_they_are_references(client: Client) -> None:
    client.made(practitioner("1"))
    urn = "urn:uuid:00000000-0000-4000-8000-00000000000a"
    document = {
        "resourceType": "DocumentReference",
        "status": "current",
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": urn}],
        "subject": {"reference": urn},
        "author": [{"reference": f"Practitioner?identifier={NPI}|1"}],
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{urn}">her</a> {urn}</div>',
        },
        "content": [{"attachment": {"contentType": "text/plain", "url": urn}}],
    }
    answer = client.post("", bundle(post(document), post(patient(), urn)), prefer="return=representation")
    assert answer.status == 200, answer.body
    stored, subject = (entry["resource"] for entry in entries(answer))
    here = f"Patient/{subject['id']}"
    assert stored["subject"]["reference"] == here
    assert stored["content"][0]["attachment"]["url"] == here
    assert f'<a href="{here}">her</a> {urn}' in stored["text"]["div"]
    assert stored["identifier"][0]["value"] == urn
    assert stored["author"][0]["reference"].startswith("Practitioner/")
    assert client.get(f"DocumentReference/{stored['id']}").status == 200
    assert client.backend.commits == 2


def test_other_full_urls_and_relative_references_lead_to_entries(client: Client) -> None:
    one = post(patient(), "https://other.test/fhir/Patient/1")
    two = post(observation("1"), "https://other.test/fhir/Observation/2")
    answer = client.post("", bundle(one, two), prefer="return=representation")
    subject, seen = (entry["resource"] for entry in entries(answer))
    assert seen["subject"]["reference"] == f"Patient/{subject['id']}"


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.sampled_from(["urn:uuid:a", "urn:uuid:b", "Patient/1", "#c", "plain", 'quo"te', "back\\slash"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["reference", "url", "value", "display", 'x"reference', "text"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_rewriting_bytes_and_trees_agree(value: Any) -> None:
    def links() -> Links:
        made = Links(lambda reference: reference)
        made.add("urn:uuid:a", "Patient/a")
        made.add("urn:uuid:b", "Patient/b")
        return made

    resource = {"resourceType": "Basic", "extension": value}
    for separators in ((",", ":"), (", ", ": ")):
        raw = json.dumps(resource, separators=separators).encode()
        new = links().load(raw)
        assert new.resource == links()._rewrite_tree(json.loads(raw), "")
        assert canonical(new.resource, "x", 1, 0, new.rest) == canonical(new.resource, "x", 1, 0)


def test_a_link_in_a_narrative_without_escapes_is_stored_rewritten() -> None:
    links = Links(lambda reference: reference)
    links.add("urn:uuid:a", "Patient/a")
    raw = b"""{"resourceType":"Basic","text":{"status":"generated","div":"<div><a href='urn:uuid:a'>x</a></div>"}}"""
    new = links.load(raw)
    assert b"<a href='Patient/a'>" in canonical(new.resource, "x", 1, 0, new.rest)


def test_a_transaction_runs_delete_post_put_get(client: Client) -> None:
    gone, kept = client.made(patient("Gone")), client.made(patient("Kept"))
    answer = client.post(
        "",
        bundle(
            bare("GET", f"{client.backend.base_url}/Patient/{kept['id']}"),
            put({**kept, "gender": "other"}, ifMatch='W/"1"'),
            post(patient("New")),
            bare("DELETE", f"Patient/{gone['id']}"),
            bare("GET", "Patient?family=New"),
        ),
    )
    assert statuses(answer) == ["200", "200", "201", "204", "200"]
    read, _, made, _, found = entries(answer)
    assert read["resource"]["gender"] == "other"
    assert made["response"]["location"].endswith("/_history/1")
    assert found["resource"]["total"] == 1
    assert client.get(f"Patient/{gone['id']}").status == 410


# What refuses a transaction, and its status. Each stands behind an entry that would succeed alone.
URN = "urn:uuid:00000000-0000-4000-8000-00000000000b"
REFUSALS: dict[str, tuple[list[dict[str, Any]], int]] = {
    "urn that matches nothing": ([post(observation("1") | {"subject": {"reference": URN}})], 400),
    "urn written with escapes": (
        [post(observation("1") | {"subject": {"reference": "urn:uuid:a"}, "note": [{"text": 'a "b"'}]})],
        400,
    ),
    "condition that matches nothing": (
        [post(observation("1") | {"performer": [{"reference": "Practitioner?identifier=x|0"}]})],
        412,
    ),
    "condition that matches two": (
        [post(observation("1") | {"performer": [{"reference": "Practitioner?family=Osler"}]})],
        412,
    ),
    "one resource twice": ([put(patient(id="a")), bare("DELETE", "Patient/a")], 400),
    "one condition twice": ([post(practitioner("9"), ifNoneExist=f"identifier={NPI}|9")] * 2, 400),
    "one fullUrl twice": ([post(patient(), URN), post(patient(), URN)], 400),
    "if-none-exist that matches two": ([post(practitioner("9"), ifNoneExist="family=Osler")], 412),
    "stale if-match": ([put(patient(id="a"), ifMatch='W/"3"')], 412),
    "invalid content": ([post(observation("1") | {"status": "nope"})], 422),
    "another type": ([post(patient()) | {"request": {"method": "POST", "url": "Observation"}}], 400),
    "no request": ([{"resource": patient()}], 400),
    "no resource": ([bare("POST", "Patient")], 400),
    "unknown method": ([bare("FETCH", "Patient/1")], 400),
    "patch": ([bare("PATCH", "Patient/1")], 501),
    "unknown type": ([bare("DELETE", "Paitent/1")], 400),
    "put without id": ([put(patient(id="a"), "Patient")], 400),
    "another id": ([put(patient(id="b"), "Patient/a")], 400),
    "foreign base": ([bare("DELETE", "https://other.test/fhir/Patient/1")], 400),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refused_transaction_writes_nothing(client: Client, name: str) -> None:
    client.made(practitioner("1"))
    client.made(practitioner("2"))
    before = client.backend.store.fingerprint
    found, status = REFUSALS[name]
    answer = client.post("", bundle(post(patient()), *found))
    assert answer.status == status, answer.body
    assert of(answer)["resourceType"] == "OperationOutcome"
    assert of(answer)["issue"][0]["expression"][0].startswith("Bundle.entry[")
    assert client.backend.store.fingerprint == before


FORMS = {
    "searchset": ({"resourceType": "Bundle", "type": "searchset"}, 400),
    "no type": ({"resourceType": "Bundle"}, 400),
    "not a bundle": (patient(), 400),
    "entry is no list": ({"resourceType": "Bundle", "type": "batch", "entry": {}}, 400),
    "duplicate property": (b'{"resourceType":"Bundle","type":"batch","type":"transaction"}', 400),
    "truncated": (
        b'{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Pat',
        400,
    ),
    "too many entries": ({"resourceType": "Bundle", "type": "batch", "entry": [{}] * 100_000}, 413),
}


@pytest.mark.parametrize("name", FORMS)
def test_what_is_no_bundle_to_process_is_refused_quickly(client: Client, name: str) -> None:
    body, status = FORMS[name]
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    started = time.process_time()
    answer = client.post("", raw)
    assert (answer.status, of(answer)["resourceType"]) == (status, "OperationOutcome")
    assert time.process_time() - started < 1


def test_duplicates_within_an_entry_are_seen(client: Client) -> None:
    raw = json.dumps(bundle(post(patient()))).encode()
    for old, new in ((b'"method"', b'"method": "PUT", "method"'), (b'"name"', b'"name": [], "name"')):
        assert client.post("", raw.replace(old, new, 1)).status == 400


def test_duplicates_around_the_entries_are_seen(client: Client) -> None:
    """What is given twice is no Bundle, also where the second is like the first, or is far behind in a long one."""
    raw = json.dumps(bundle(post(patient()))).encode()
    entry = json.dumps(post(patient())).encode()
    for old, new in (
        (b'"type"', b'"type": "batch", "type"'),
        (b'"entry"', b'"entry": [' + entry + b'], "entry"'),
    ):
        assert client.post("", raw.replace(old, new, 1)).status == 400
    long = json.dumps(bundle(*[post(patient()) for _ in range(70)])).encode()
    start, _, end = long.rpartition(b'"method"')
    answer = client.post("", start + b'"method": "PUT", "method"' + end)
    assert answer.status == 400
    assert b"twice" in answer.body


def test_empty_bundles_are_answered(client: Client) -> None:
    for kind in ("batch", "transaction"):
        assert of(client.post("", bundle(kind=kind))) == {
            "resourceType": "Bundle",
            "type": f"{kind}-response",
        }


def test_what_conditions_find_is_logged_with_the_commit(client: Client) -> None:
    found = client.made(practitioner("1"))["id"]
    leaf = client.backend.store.versions["Practitioner", found][0].leaf
    subject = client.made(patient())["id"]
    client.backend.store.accesses.clear()
    client.post(
        "", bundle(post(observation(subject, performer=[{"reference": f"Practitioner?identifier={NPI}|1"}])))
    )
    assert [(e.chart, e.kind, e.leaves) for e in client.backend.store.accesses] == [
        (HOUSE_CHART, "search", (leaf,))
    ]


def test_a_transaction_is_planned_again_when_somebody_was_faster(client: Client) -> None:
    made = client.made(patient())
    body = client.backend.store.bodies["Patient", made["id"], 1]
    now = client.backend.now_ms()
    client.backend.before_commit.append(
        Commit((ResourceWrite("Patient", made["id"], 1, body, now, (made["id"],)),))
    )
    answer = client.post("", bundle(put(made), post(practitioner("1"))))
    assert statuses(answer) == ["200", "201"]
    assert entries(answer)[0]["response"]["etag"] == 'W/"3"'


def test_if_none_exist_in_parallel_transactions_has_one_winner(client: Client) -> None:
    one = bundle(post(practitioner("7"), ifNoneExist=f"identifier={NPI}|7"), post(patient()))

    async def race() -> list[str]:
        answers = await asyncio.gather(*[client.asend("POST", "", one) for _ in range(30)])
        return [statuses(answer)[0] for answer in answers]

    assert sorted(client.run(race())) == ["200"] * 29 + ["201"]


def test_each_entry_of_a_batch_stands_alone(client: Client) -> None:
    kept = client.made(patient())
    answer = client.post(
        "",
        bundle(
            post(practitioner("1")),
            post(observation("1") | {"status": "nope"}),
            put({**kept, "gender": "male"}, ifMatch='W/"9"'),
            bare("GET", f"Patient/{kept['id']}"),
            bare("GET", f"{client.backend.base_url}/Patient/absent"),
            bare("GET", "Paitent/1"),
            post(practitioner("2")),
            kind="batch",
        ),
    )
    assert statuses(answer) == ["201", "422", "412", "200", "404", "404", "201"]
    for entry in entries(answer):
        if entry["response"]["status"][0] == "4":
            assert entry["response"]["outcome"]["resourceType"] == "OperationOutcome"


def test_a_batch_is_committed_in_groups_and_conditions_still_see_each_other(client: Client) -> None:
    new = [post(practitioner(str(n)), ifNoneExist=f"identifier={NPI}|{n}") for n in range(40)]
    answer = client.post("", bundle(*new, kind="batch"))
    assert statuses(answer) == ["201"] * 40
    assert client.backend.commits == 1
    again = client.post("", bundle(*new, *new, kind="batch"))
    assert statuses(again) == ["200"] * 80
    twice = [post(practitioner("x"), ifNoneExist=f"identifier={NPI}|x")] * 2
    loose = [
        post(practitioner("y"), ifNoneExist=f"identifier={NPI}|y"),
        post(practitioner("y"), ifNoneExist="identifier=y"),
    ]
    assert statuses(client.post("", bundle(*twice, kind="batch"))) == ["201", "200"]
    assert statuses(client.post("", bundle(*loose, kind="batch"))) == ["201", "200"]


def test_every_entry_is_authorised_singly(client: Client) -> None:
    narrow = client.as_("system/Patient.cruds")
    before = client.backend.store.fingerprint
    mixed = [post(patient()), post(practitioner("1"))]
    assert narrow.post("", bundle(*mixed)).status == 403
    assert client.backend.store.fingerprint == before
    assert statuses(narrow.post("", bundle(*mixed, bare("GET", "Practitioner"), kind="batch"))) == [
        "201",
        "403",
        "403",
    ]


def bearer(client: Client) -> Client:
    """The same caller, with a token that can be revoked."""
    return Client(client.backend, replace(client.who, token_id="t-1"), client.app)


def test_a_revoked_token_commits_no_transaction(client: Client) -> None:
    """Revoked while the Bundle is planned: nothing is written."""
    before, sent = client.backend.store.fingerprint, bundle(post(patient()), bare("GET", "Patient"))
    assert bearer(client).post("", sent).status == 200
    before = client.backend.store.fingerprint
    client.run(client.backend.revoke("t-1"))
    refused = bearer(client).post("", sent)
    assert refused.status == 401
    assert of(refused)["issue"][0]["details"]["coding"][0]["code"] == "token-revoked"
    assert b'error="invalid_token"' in dict(refused.headers)[b"www-authenticate"]
    assert client.backend.store.fingerprint == before


def test_a_bundle_ends_with_its_grant(client: Client) -> None:
    """The token is not revoked, but the grant behind it has ended."""
    who = replace(bearer(client).who, token_id="t-2", grant="g-1")
    caller = Client(client.backend, who, client.app)
    sent = bundle(post(patient()))
    assert caller.post("", sent).status == 200
    before = client.backend.store.fingerprint
    client.run(client.backend.revoke("g-1"))
    assert caller.post("", sent).status == 401
    assert client.backend.store.fingerprint == before


@pytest.mark.parametrize("kind", ["writes", "failing writes", "reads", "reads of a transaction"])
def test_a_batch_ends_where_its_token_is_revoked(
    client: Client, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """What was done stays done and is told; every entry after it is 401, and does and logs nothing."""
    monkeypatch.setattr(bundles, "BATCH_GROUP", 4)
    client.app = FhirApp(client.backend, limits=Limits(slice_ms=0))
    made = client.made(patient())["id"]
    asked = [0]

    def is_revoked(_: str) -> bool:
        asked[0] += 1
        return asked[0] > 3

    monkeypatch.setattr(client.backend, "is_revoked", is_revoked)
    client.backend.store.accesses.clear()
    commits = client.backend.commits
    if "writes" in kind:
        new = [post(practitioner(str(n))) for n in range(15)]
        if kind == "failing writes":  # so that each entry of the group is done alone
            new[1] = bare("DELETE", "Patient")
        sent = bundle(*new, kind="batch")
    else:
        form = "transaction" if kind == "reads of a transaction" else "batch"
        sent = bundle(*[bare("GET", f"Patient/{made}") for _ in range(10)], kind=form)
    got = statuses(bearer(client).post("", sent))
    done = got.index("401")
    assert set(got[done:]) == {"401"}
    assert (len(got), done > 0) == (len(sent["entry"]), True)
    if kind == "writes":
        assert set(got[:done]) == {"201"}
        assert (done, client.backend.commits - commits) == (12, 3)
    elif kind == "failing writes":
        assert (got[:done], client.backend.commits - commits) == (["201", "400"], 1)
    else:
        assert set(got[:done]) == {"200"}
        assert len(client.backend.store.accesses) == done


def test_a_full_disk_refuses_the_whole_transaction(client: Client) -> None:
    before = client.backend.store.fingerprint
    client.backend.log_broken = True
    assert client.post("", bundle(post(patient()))).status == 503
    assert client.post("", bundle(post(patient()), post(patient()), kind="batch")).status == 503
    assert client.backend.store.fingerprint == before


def test_a_stored_document_keeps_its_own_urns(client: Client) -> None:
    inner = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"fullUrl": URN, "resource": patient(id="x")},
            {"fullUrl": URN[:-1] + "c", "resource": observation("x") | {"subject": {"reference": URN}}},
        ],
    }
    answer = client.post("", bundle(post(inner)), prefer="return=representation")
    assert entries(answer)[0]["resource"]["entry"] == inner["entry"], answer.body


def test_a_large_bundle_lets_small_requests_through() -> None:
    backend = FakeBackend()
    client = Client(backend, app=FhirApp(backend, limits=Limits(slice_ms=0.2)))
    subject = client.made(patient())["id"]
    large = json.dumps(bundle(*[post(observation(subject)) for _ in range(4_000)])).encode()

    async def both() -> int:
        work = asyncio.ensure_future(client.asend("POST", "", large))
        served = 0
        while not work.done():
            await client.asend("GET", f"Patient/{subject}")
            served += 1
        assert (await work).status == 200
        return served

    assert client.run(both()) > 20
