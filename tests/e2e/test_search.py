"""Search against brute force over the same resources (`oracle`), paging, order, includes and `$everything`."""

from __future__ import annotations

import json
import threading
import uuid
from urllib.parse import quote

import pytest

from tests.e2e import oracle
from tests.e2e.conftest import Loaded
from tests.e2e.node import Caller

QUERIES = """
Patient?family={family} Patient?family:exact={family} Patient?name={family3} Patient?name:contains=an Patient?given=a,b,c
Patient?gender=female Patient?gender:not=female Patient?gender=male,female Patient?birthdate={birthdate}
Patient?birthdate=ge1970-01-01 Patient?birthdate=gt1960-05&birthdate=le2000-12-31 Patient?birthdate=ne{birthdate}
Patient?birthdate=sa1990 Patient?birthdate=eb1990 Patient?identifier={mrn} Patient?identifier={system}|{mrn}
Patient?identifier={system}| Patient?identifier=http://nowhere.example|{mrn} Patient?address-city={city}
Patient?address-state=MA Patient?phone={phone} Patient?telecom={phone} Patient?death-date:missing=true
Patient?_id={largest},{other},none Patient?_id:not={largest} Patient?_lastUpdated=ge2020 Patient?_lastUpdated=lt2020
Observation?code=8302-2 Observation?code=http://loinc.org|8302-2,http://loinc.org|29463-7 Observation?code=|8302-2
Observation?code=http://snomed.info/sct|8302-2 Observation?category=vital-signs Observation?category=laboratory&date=ge2019
Observation?status=final Observation?status:not=final Observation?date=2022 Observation?date=ge2021-03-01&date=lt2023-09
Observation?date=gt2022 Observation?date=sa2022-01-01T00:00:00Z Observation?date=eb2020 Observation?date=ne2022
Observation?date=le2021-01-01T12:00:00-05:00 Observation?value-quantity=gt100 Observation?value-quantity=72.5
Observation?value-quantity=lt5|http://unitsofmeasure.org|mmol/L Observation?code=8302-2&value-quantity=ge160||cm
Observation?value-quantity=ne1 Observation?component-code=8480-6 Observation?combo-code=8480-6
Observation?component-value-quantity=gt120||mm[Hg] Observation?patient={largest}
Observation?patient=Patient/{largest}&code=8302-2 Observation?subject:Patient={largest}&category=vital-signs
Observation?patient={largest},{other} Observation?encounter=Encounter/{encounter} Observation?encounter={encounter}
Encounter?date=ge2020 Encounter?date=2022-05 Encounter?date=lt2015 Encounter?class=AMB Encounter?status=finished
Encounter?reason-code:missing=false Encounter?participant={participant} Encounter?service-provider={provider}
Encounter?patient={largest}&date=ge2010 Condition?code=http://snomed.info/sct| Condition?clinical-status=active
Condition?clinical-status=resolved&onset-date=ge2010 Condition?onset-date=lt2015 Condition?abatement-date:missing=true
Condition?patient={largest}&clinical-status:not=active Procedure?date=ge2021-01 Procedure?date=eb2018
MedicationRequest?authoredon=ge2019 MedicationRequest?status=stopped,completed Immunization?date=2021
Immunization?vaccine-code=140 DiagnosticReport?date=2022 DiagnosticReport?issued=ge2020 Claim?created=ge2022
Claim?patient={largest} Claim?use=claim ExplanationOfBenefit?created=2022 AllergyIntolerance?category=food
Organization?name={house} Organization?active=true Practitioner?gender=female Practitioner?name={doctor}
Location?organization={provider} PractitionerRole?practitioner={participant}
"""


def compute_names(loaded: Loaded) -> dict[str, str]:
    """What the queries name: taken from what is held, so that it matches something."""
    held, largest = loaded.held, loaded.largest
    patient = held["Patient"][largest]
    other = next(id for id in held["Patient"] if id != largest)
    encounter = next(e for e in held["Encounter"].values() if "serviceProvider" in e and "participant" in e)
    family = patient["name"][0]["family"]
    return {
        "largest": largest,
        "other": other,
        "family": family,
        "family3": family[:3].lower(),
        "birthdate": patient["birthDate"],
        "mrn": patient["identifier"][0]["value"],
        "system": patient["identifier"][0]["system"],
        "city": patient["address"][0]["city"],
        "phone": patient["telecom"][0]["value"],
        "encounter": encounter["id"],
        "participant": encounter["participant"][0]["individual"]["reference"],
        "provider": encounter["serviceProvider"]["reference"],
        "house": next(iter(held["Organization"].values()))["name"][:5],
        "doctor": next(iter(held["Practitioner"].values()))["name"][0]["family"][:3],
    }


def test_searches_equal_brute_force(loaded: Loaded) -> None:
    """Every parameter type, alone and together, over one patient and over all: pages, totals and counts."""
    names, c, wrong, hits = compute_names(loaded), loaded.caller, [], 0
    loaded_at = max(r["meta"]["lastUpdated"] for t in loaded.held.values() for r in t.values())
    for query in QUERIES.split():
        type, _, criteria = query.format(**names).partition("?")
        pairs = [tuple(part.split("=", 1)) for part in criteria.split("&")]
        # What other tests added later is left out on both sides.
        url = (
            f"{type}?"
            + "&".join(f"{k}={quote(v, safe='|,:/')}" for k, v in pairs)
            + f"&_lastUpdated=le{loaded_at}"
        )
        want = {f"{type}/{id}" for id, r in loaded.held[type].items() if oracle.matches(r, pairs)}
        first = c.get(url + "&_count=100&_total=accurate")
        assert first.status == 200, (query, first.body[:300])
        total = int(first.json["total"])
        count = int(c.get(url + "&_summary=count").json["total"])
        found = c.all_ids(url + "&_count=700")
        if set(found) != want or len(found) != len(want) or not total == count == len(want):
            wrong.append((query, len(want), len(found), len(set(found)), total, count))
        hits += bool(want)
    assert not wrong
    assert hits > len(QUERIES.split()) * 0.8, "most queries find something, else the test shows little"


@pytest.mark.parametrize(
    ("sort", "key"),
    [
        ("date", lambda r: oracle.span(r["effectiveDateTime"])[0]),
        ("-date", lambda r: -oracle.span(r["effectiveDateTime"])[0].timestamp()),
        ("value-quantity", lambda r: float(r["valueQuantity"]["value"])),
        ("_id", lambda r: r["id"]),
        ("-_lastUpdated", lambda r: [-ord(c) for c in r["meta"]["lastUpdated"]]),
    ],
)
@pytest.mark.parametrize("where", ["code=29463-7", "code=29463-7&patient={largest}"])
def test_sorted_and_paged_equals_unpaged(loaded: Loaded, where: str, sort: str, key: object) -> None:
    url = f"Observation?{where.format(largest=loaded.largest)}&_sort={sort}"
    paged = [e["resource"] for page in loaded.caller.pages(url + "&_count=7") for e in page.json["entry"]]
    whole = loaded.caller.get(url + "&_count=1000").json["entry"]
    assert [r["id"] for r in paged] == [e["resource"]["id"] for e in whole]
    keys = [key(r) for r in paged]  # type: ignore[operator]
    assert keys == sorted(keys)
    assert len(keys) > 2


def test_posted_search_finds_the_same_and_keeps_the_criteria_out_of_links(loaded: Loaded) -> None:
    c, patient = loaded.caller, loaded.largest
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    answer = c.call("POST", "Observation/_search", f"patient={patient}&_count=90".encode(), **form)
    links = {link["relation"]: link["url"] for link in answer.json["link"]}
    assert patient not in json.dumps(links)
    found = answer.ids + [id for page in c.pages(links["next"]) for id in page.ids]
    assert found == c.all_ids(f"Observation?patient={patient}&_count=1000")


def test_links_hold_only_what_was_sent(loaded: Loaded) -> None:
    """`self` repeats the criteria that counted; `next` adds nothing that says anything of a patient."""
    patient = loaded.held["Patient"][loaded.largest]
    answer = loaded.caller.get("Patient?gender=female,male&frobnicate=1&_count=1")
    links = {link["relation"]: link["url"] for link in answer.json["link"]}
    assert links["self"].endswith("/fhir/Patient?gender=female,male&_count=1")
    for text in (patient["id"], patient["name"][0]["family"], patient["birthDate"]):
        assert text not in json.dumps(links)


def test_includes(loaded: Loaded) -> None:
    c, patient = loaded.caller, loaded.largest
    page = c.get(
        f"Observation?patient={patient}&_count=20&_include=Observation:patient&_include=Observation:encounter"
    )
    matches = [e["resource"] for e in page.json["entry"] if e["search"]["mode"] == "match"]
    included = [e["resource"] for e in page.json["entry"] if e["search"]["mode"] == "include"]
    want = {r[name]["reference"] for r in matches for name in ("subject", "encounter") if name in r}
    assert len(matches) == 20
    assert sorted(f"{r['resourceType']}/{r['id']}" for r in included) == sorted(want)
    page = c.get(f"Patient?_id={patient}&_revinclude=Condition:patient&_revinclude=Encounter:patient")
    want = {*c.all_ids(f"Condition?patient={patient}"), *c.all_ids(f"Encounter?patient={patient}")}
    assert set(page.ids) == {f"Patient/{patient}", *want}


def test_everything_is_the_whole_chart(loaded: Loaded) -> None:
    """Over all pages: the patient first, then all that names them, then what these name; each once."""
    c, patient = loaded.caller, loaded.largest
    found = c.all_ids(f"Patient/{patient}/$everything?_count=150")
    assert found == c.get(f"Patient/{patient}/$everything?_count=1000").ids or len(found) > 1000
    assert found[0] == f"Patient/{patient}"
    assert len(set(found)) == len(found)
    named = f'"Patient/{patient}"'
    chart = {
        f"{type}/{id}"
        for type, of_type in loaded.held.items()
        for id, resource in of_type.items()
        if type != "Patient" and named in json.dumps(resource)
    }
    assert chart <= set(found)
    assert not {
        id for id in set(found) - chart if id.startswith(("Patient/", "Observation/", "Encounter/"))
    } - {found[0]}


def test_pages_stay_whole_while_others_write(loaded: Loaded) -> None:
    """Nothing that was there is lost or shown twice, in any order, however much is added, changed or deleted."""
    c, patient = loaded.caller, "paging-" + uuid.uuid4().hex[:8]
    c.put(f"Patient/{patient}", {"resourceType": "Patient", "id": patient})
    entries = []
    for day in range(60):
        resource = {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": "p"},
            "subject": {"reference": f"Patient/{patient}"},
        }
        resource |= {"effectiveDateTime": f"2020-{day // 28 + 1:02d}-{day % 28 + 1:02d}"}
        entries.append({"resource": resource, "request": {"method": "POST", "url": "Observation"}})
    assert c.post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries}).status == 200
    stop = threading.Event()

    def write() -> None:
        writer = Caller(loaded.node.port, c.token)
        while not stop.is_set():
            added = writer.post("Observation", entries[30]["resource"]).json["id"]
            writer.delete(f"Observation/{added}")
            writer.post("Observation", {**entries[5]["resource"], "status": "amended"})
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for url in (
            f"Observation?patient={patient}&",
            f"Observation?patient={patient}&_sort=-date&",
            "Observation?_sort=date&date=lt2021&",
            f"Patient/{patient}/$everything?",
        ):
            before = c.all_ids(f"{url}_count=1000")
            paged = c.all_ids(f"{url}_count=40")
            assert len(paged) == len(set(paged)), url
            lost = set(before) - set(paged)
            assert all(c.get(id).status == 410 for id in lost), (url, len(lost))
    finally:
        stop.set()
        thread.join()


def test_altered_or_borrowed_cursors_are_refused(loaded: Loaded) -> None:
    c = loaded.caller
    url = next(
        link["url"]
        for link in c.get("Observation?status=final&_count=3").json["link"]
        if link["relation"] == "next"
    )
    address, _, cursor = url.rpartition("=")
    for place in range(0, len(cursor), 5):
        altered = cursor[:place] + ("B" if cursor[place] == "A" else "A") + cursor[place + 1 :]
        assert c.get(f"{address}={altered}").status == 400, place
    assert c.get(url.replace("final", "amended")).status == 400


def test_every_listed_parameter_answers(loaded: Loaded) -> None:
    """The CapabilityStatement promises nothing that strict handling refuses."""
    value = {
        "token": "a",
        "string": "a",
        "date": "2020",
        "reference": "Patient/x",
        "quantity": "1",
        "number": "1",
        "uri": "urn:x",
    }
    types = ("Patient", "Observation", "Encounter", "ExplanationOfBenefit", "ValueSet", "RiskAssessment")
    for resource in loaded.caller.get("metadata").json["rest"][0]["resource"]:
        if resource["type"] in types:
            for parameter in resource["searchParam"]:
                url = f"{resource['type']}?{parameter['name']}={value[parameter['type']]}&_count=1"
                assert loaded.caller.get(url, Prefer="handling=strict").status == 200, url
