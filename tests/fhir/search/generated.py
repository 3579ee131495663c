"""Hypothesis strategies: small worlds of patients and observations, and searches that often find something."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

SYSTEMS = ["http://loinc.org", "http://snomed.info/sct", None]
CODES = ["8867-4", "29463-7", "a|b", "ä"]
NAMES = ["Adell482", "Mills423", "María José", "MARIA", "Ödegård", "Straße", "d'Amore", "van der Berg"]
DATES = [
    "2020",
    "2020-02",
    "2020-02-29",
    "2020-02-29T23:30:00Z",
    "2020-03-01T01:30:00+02:00",
    "2020-02-29T23:30:00.250Z",
    "2020-02-29T23:30:00.25-01:00",
    "2021-01-01T00:00:00+14:00",
    "1969-12-31",
]
QUERY_DATES = [*DATES, "2020-03", "2021", "2020-02-29T23:30Z", "2020-03-01"]
NUMBERS = ["72.50", "72.5", "72", "72.49", "-1.0", "0", "100"]
IDS = [f"p{n}" for n in range(4)]
PREFIXES = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"]
WORDS = ["final", "amended"]


def _maybe(name: str, strategy: Any) -> Any:
    return st.one_of(st.just({}), strategy.map(lambda value: {name: value}))


def _merged(*parts: Any) -> Any:
    return st.tuples(*parts).map(lambda found: {k: v for part in found for k, v in part.items()})


coding = _merged(
    st.sampled_from(SYSTEMS).map(lambda s: {"system": s} if s else {}),
    st.sampled_from(CODES).map(lambda c: {"code": c}),
)
concept = st.lists(coding, min_size=1, max_size=2).map(lambda found: {"coding": found})
quantity = _merged(
    st.sampled_from(NUMBERS).map(lambda n: {"value": float(n)}),
    _maybe("system", st.just("http://unitsofmeasure.org")),
    _maybe("code", st.just("mg")),
    _maybe("unit", st.sampled_from(["mg", "milligram"])),
)
reference = st.sampled_from(
    [f"Patient/{id}" for id in IDS] + [f"Patient/{IDS[0]}/_history/1", "Group/p1", "Practitioner/p2"]
).map(lambda text: {"reference": text})
performer = reference.filter(lambda found: not found["reference"].startswith("Group/"))  # no target of R4
period = _merged(_maybe("start", st.sampled_from(DATES)), _maybe("end", st.sampled_from(DATES)))
observation = _merged(
    st.just({"resourceType": "Observation"}),
    st.sampled_from([f"o{n}" for n in range(8)]).map(lambda name: {"id": name}),
    _maybe("code", concept),
    _maybe("category", st.lists(concept, min_size=1, max_size=2)),
    _maybe("status", st.sampled_from(WORDS)),
    _maybe("subject", reference),
    _maybe("encounter", st.sampled_from(["Encounter/e1", "Encounter/e2"]).map(lambda r: {"reference": r})),
    _maybe("performer", st.lists(performer, min_size=1, max_size=2)),
    _maybe("component", st.lists(concept.map(lambda c: {"code": c}), min_size=1, max_size=2)),
    _maybe("valueQuantity", quantity),
    st.one_of(
        st.just({}),
        st.sampled_from(DATES).map(lambda d: {"effectiveDateTime": d}),
        period.map(lambda p: {"effectivePeriod": p}),
    ),
)
human_name = _merged(
    _maybe("family", st.sampled_from(NAMES)),
    _maybe("given", st.lists(st.sampled_from(NAMES), min_size=1, max_size=2)),
    _maybe("prefix", st.just(["Mrs."])),
).filter(bool)  # FHIR has no empty elements (ele-1)
patient = _merged(
    st.just({"resourceType": "Patient"}),
    st.sampled_from(IDS).map(lambda name: {"id": name}),
    _maybe("name", st.lists(human_name, min_size=1, max_size=2)),
    _maybe("gender", st.sampled_from(["male", "female"])),
    _maybe("active", st.booleans()),
    _maybe("birthDate", st.sampled_from(["1970", "1970-01", "1970-01-31", "1969-12-31"])),
    _maybe("address", st.sampled_from(NAMES).map(lambda n: [{"city": n}])),
    _maybe(
        "identifier",
        st.lists(
            st.sampled_from(
                [{"system": "urn:a", "value": "1"}, {"value": "1"}, {"system": "urn:b", "value": "2"}]
            ),
            min_size=1,
            max_size=2,
        ),
    ),
    _maybe(
        "telecom",
        st.sampled_from([[{"system": "phone", "value": "555"}], [{"system": "email", "value": "555"}]]),
    ),
    st.one_of(
        st.just({}),
        st.booleans().map(lambda b: {"deceasedBoolean": b}),
        st.just({"deceasedDateTime": "2020-01-01"}),
    ),
)
change = st.one_of(
    observation,
    observation,
    patient,
    st.sampled_from([("Observation", f"o{n}") for n in range(8)] + [("Patient", id) for id in IDS]),
)
"""A resource to write, or (type, id) to delete."""

_dates = st.tuples(st.sampled_from(PREFIXES), st.sampled_from(QUERY_DATES)).map("".join)
_tokens = st.sampled_from(
    [
        "8867-4",
        "http://loinc.org|8867-4",
        "|8867-4",
        "http://loinc.org|",
        "ä",
        "http://snomed.info/sct|29463-7",
    ]
)
_texts = st.sampled_from(
    ["ade", "MILLS", "maria", "María José", "ode", "strasse", "d'a", "van der", "berg", "Mrs"]
)
_references = st.sampled_from(
    ["p0", "p1", "Patient/p0", "Patient/p2", "Group/p1", "Practitioner/p2", "Patient/none"]
)


def _pair(name: str, values: Any) -> Any:
    joined = st.lists(values, min_size=1, max_size=2).map(",".join)
    return joined.map(lambda value: (name, value))


_missing = st.sampled_from(["true", "false"])
observation_pair = st.one_of(
    _pair("code", _tokens),
    _pair("code:not", _tokens),
    _pair("combo-code", _tokens),
    _pair("category", _tokens),
    _pair("status", st.sampled_from([*WORDS, "http://x|final"])),
    _pair("date", _dates),
    _pair("subject", _references),
    _pair("subject:Patient", st.sampled_from(IDS)),
    _pair("patient", st.sampled_from(["p0", "p1", "Patient/p0"])),
    _pair("encounter", st.sampled_from(["e1", "Encounter/e2"])),
    _pair("performer", _references),
    _pair("_id", st.sampled_from(["o1", "o2", "nothing"])),
    _pair(
        "value-quantity",
        st.tuples(
            st.sampled_from(PREFIXES),
            st.sampled_from(NUMBERS),
            st.sampled_from(["", "|http://unitsofmeasure.org|mg", "||milligram", "|urn:x|mg"]),
        ).map("".join),
    ),
    st.tuples(
        st.sampled_from(
            ["code:missing", "date:missing", "subject:missing", "patient:missing", "value-quantity:missing"]
        ),
        _missing,
    ),
)
patient_pair = st.one_of(
    _pair("name", _texts),
    _pair("name:exact", st.sampled_from(NAMES)),
    _pair("name:contains", _texts),
    _pair("family", _texts),
    _pair("given", _texts),
    _pair("gender", st.sampled_from(["male", "female"])),
    _pair("gender:not", st.sampled_from(["male", "female"])),
    _pair("active", _missing),
    _pair("deceased", _missing),
    _pair(
        "birthdate",
        st.tuples(st.sampled_from(PREFIXES), st.sampled_from(["1970-01-31", "1970", "1969-12"])).map("".join),
    ),
    _pair("address-city", _texts),
    _pair("identifier", st.sampled_from(["1", "urn:a|1", "|1", "urn:b|", "urn:a|2"])),
    _pair("telecom", st.just("555")),
    _pair("phone", st.just("555")),
    _pair("_id", st.sampled_from([*IDS, "nothing"])),
    st.tuples(st.sampled_from(["name:missing", "birthdate:missing", "identifier:missing"]), _missing),
)
query = st.one_of(
    st.tuples(st.just("Observation"), st.lists(observation_pair, max_size=3)),
    st.tuples(st.just("Patient"), st.lists(patient_pair, max_size=3)),
)
sort = st.sampled_from(
    ["", "_id", "-_id", "_lastUpdated", "date", "-date", "-value-quantity,date", "birthdate", "-name"]
)
