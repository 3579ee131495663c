"""What is loaded: transaction Bundles of Synthea's patients, or of the demo hospital's where those are absent."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT_FOLDER = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "synthea"
SYNTHETIC_PATIENTS = 400
"""The demo hospital's lives are shorter than Synthea's: so many give about as many resources."""

_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Data:
    """`house` Bundles are loaded first and in order, then `patients` in any order."""

    source: str
    house: tuple[bytes, ...]
    patients: tuple[bytes, ...]
    is_synthea: bool


def read(folder: Path | None) -> Data:
    """The Bundles of a folder (.json, .json.gz), or synthetic ones if there is none."""
    folder = folder or DEFAULT_FOLDER
    files = sorted([*folder.glob("*.json"), *folder.glob("*.json.gz")]) if folder.is_dir() else []
    if not files:
        return _synthetic()
    house = [path for path in files if "hospitalInformation" in path.name]
    house += [path for path in files if "practitionerInformation" in path.name]
    return Data(
        str(folder),
        tuple(map(_slurp, house)),
        tuple(_slurp(path) for path in files if path not in house),
        True,
    )


def _slurp(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def _synthetic() -> Data:
    from careledger.synthetic.hospital import encode, hospital

    house, *patients = [encode(bundle) for bundle in hospital(patients=SYNTHETIC_PATIENTS)]
    return Data(f"careledger.synthetic, {SYNTHETIC_PATIENTS} patients", (house,), tuple(patients), False)


def copies(data: Data, count: int) -> Iterator[bytes]:
    """Each patient's Bundle `count` times over, as other people: ids, names and identifiers differ, the rest does not."""
    kept = {found for bundle in data.house for found in _UUID.findall(bundle)}
    for number in range(1, count + 1):
        for bundle in data.patients:
            yield _other_person(bundle, number, kept)


def _other_person(bundle: bytes, number: int, kept: set[bytes]) -> bytes:
    made: dict[bytes, bytes] = {}

    def other(found: re.Match[bytes]) -> bytes:
        old = found[0]
        new = made.get(old)
        if new is None:
            shifted = b"%08x" % ((int(old[:8], 16) + number * 0x1234_5679) & 0xFFFF_FFFF)
            new = made[old] = old if old in kept else shifted + old[8:]
        return new

    text = _UUID.sub(other, bundle)
    letter = b"ABCDEFGHIJ"[number % 10 : number % 10 + 1]
    patient = _patient(bundle)
    for name in _names(patient):
        text = text.replace(name.encode(), letter + name.encode().lower())
    for identifier in patient.get("identifier", ()):
        value = str(identifier.get("value", "")).encode()
        if value and not _UUID.fullmatch(value):
            text = text.replace(b'"' + value + b'"', b'"' + value + b"-%d" % number + b'"')
    return text


def _patient(bundle: bytes) -> dict[str, Any]:
    for entry in json.loads(bundle)["entry"]:
        if entry["resource"]["resourceType"] == "Patient":
            found: dict[str, Any] = entry["resource"]
            return found
    raise ValueError("a Bundle without a Patient")


def _names(patient: dict[str, Any]) -> list[str]:
    names = {name for one in patient["name"] for name in (one.get("family"), *one.get("given", ())) if name}
    return sorted(names, key=len, reverse=True)


def names(data: Data) -> list[str]:
    """A family and a given name of each patient, to search for."""
    found = set()
    for bundle in data.patients:
        name = _patient(bundle)["name"][0]
        found |= {name["family"], name["given"][0]}
    return sorted(found)


def observation(patient: str, number: int) -> bytes:
    """A vital sign, different for each number."""
    return json.dumps(
        {
            "resourceType": "Observation",
            "status": "final",
            "category": [
                {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                            "code": "vital-signs",
                            "display": "Vital Signs",
                        }
                    ]
                }
            ],
            "code": {
                "coding": [{"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}],
                "text": "Heart rate",
            },
            "subject": {"reference": f"Patient/{patient}"},
            "effectiveDateTime": f"2026-{1 + number % 12:02d}-{1 + number % 28:02d}"
            f"T{number % 24:02d}:{number % 60:02d}:00Z",
            "valueQuantity": {
                "value": 55 + number % 70,
                "unit": "/min",
                "system": "http://unitsofmeasure.org",
                "code": "/min",
            },
        }
    ).encode()


def patient(number: int) -> bytes:
    """A new patient, different for each number."""
    return json.dumps(
        {
            "resourceType": "Patient",
            "identifier": [{"system": "urn:example:bench", "value": f"B-{number}"}],
            "name": [
                {"use": "official", "family": f"Bench{number % 997}", "given": [f"Given{number % 89}", "M"]}
            ],
            "gender": "female" if number % 2 else "male",
            "birthDate": f"{1930 + number % 90}-{1 + number % 12:02d}-{1 + number % 28:02d}",
            "active": True,
            "telecom": [{"system": "phone", "value": f"555-{number:07d}", "use": "home"}],
            "address": [
                {
                    "line": [f"{number} Main St"],
                    "city": "Boston",
                    "state": "MA",
                    "postalCode": f"{2000 + number % 900:05d}",
                    "country": "US",
                }
            ],
        }
    ).encode()


def large_bundle(resources: int) -> bytes:
    """One transaction: a patient and their vital signs, as large as a large real chart."""
    uuid = "urn:uuid:00000000-0000-4000-8000-000000000001"
    first = (
        f'{{"fullUrl":"{uuid}","resource":{patient(999_999_999).decode()},'
        '"request":{"method":"POST","url":"Patient"}}'
    )
    rest = [
        f'{{"resource":{observation("x", number).decode().replace("Patient/x", uuid)},'
        '"request":{"method":"POST","url":"Observation"}}'
        for number in range(resources - 1)
    ]
    entries = ",".join([first, *rest])
    return f'{{"resourceType":"Bundle","type":"transaction","entry":[{entries}]}}'.encode()
