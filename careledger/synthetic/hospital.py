"""The demo hospital: its houses, its staff and its patients, as FHIR R4 transaction Bundles.

The same seed gives the same bytes on every machine; nothing depends on the clock. Patients depend on their number
only, so the first fifty of a thousand are the fifty of fifty.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from careledger.synthetic import terms as t
from careledger.synthetic.courses import Patient
from careledger.synthetic.lives import Clinic, Life, new_uuid
from careledger.synthetic.resources import Reference, Resource, codes, concept, meta

SEED: Final = 48
"""Of the demo hospital that `make run` shows."""

_encode = msgspec.json.Encoder(decimal_format="number").encode


def hospital(seed: int = SEED, patients: int = 50) -> Iterator[Resource]:
    """The Bundle of houses and staff (created only where absent), then one Bundle a patient, in a stable order."""
    entries, clinics = _house(seed)
    yield _bundle(entries)
    for number in range(patients):
        yield _bundle(Patient(seed, number, clinics).build())


def encode(bundle: Resource) -> bytes:
    """The Bundle as compact JSON; decimals keep their places."""
    return _encode(bundle)


def first_patient_id(seed: int = SEED) -> str:
    """The id of the first patient's Patient resource, which its Bundle puts there (the others get theirs there)."""
    return Life(seed, 0, ()).uid


def first_practitioner_id(seed: int = SEED) -> str:
    """The id of the first department's doctor, which the hospital's Bundle puts there (the others get theirs there)."""
    entries, _ = _house(seed)
    url: str = entries[2]["request"]["url"]
    return url.removeprefix("Practitioner/")


def write_bundles(folder: Path, patients: int = 50, seed: int = SEED) -> list[Path]:
    """Each Bundle as a file of its own, in the order in which they must be imported."""
    paths = []
    for number, bundle in enumerate(hospital(seed, patients)):
        path = folder / (f"patient-{number:04d}.json" if number else "hospitalInformation.json")
        path.write_bytes(encode(bundle))
        paths.append(path)
    return paths


def _bundle(entries: list[Resource]) -> Resource:
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _house(seed: int) -> tuple[list[Resource], tuple[Clinic, ...]]:
    random = Random(f"careledger/{seed}/house")
    entries: list[Resource] = []
    clinics: list[Clinic] = []
    for number, (name, kind, line) in enumerate(t.DEPARTMENTS):
        city, postcode, latitude, longitude = t.CITIES[number]
        address = {"line": [line], "city": city, "state": "MA", "postalCode": postcode, "country": "US"}
        phone = [{"system": "phone", "value": f"555-010-{number:04d}"}]
        organization, organization_id = _organization(random, name, address, phone)
        location, location_id = _location(random, name, kind, address, phone, organization_id)
        location["position"] = {"longitude": longitude, "latitude": latitude}
        doctor, role, who = _practitioner(random, seed, number, name, address, organization_id)
        for resource, identifier in (
            (organization, f"{t.SYSTEM}|{organization_id}"),
            (location, f"{t.SYSTEM}|{location_id}"),
            (doctor, f"{t.NPI}|{doctor['identifier'][0]['value']}"),
            (role, f"{t.SYSTEM}|{role['id']}"),
        ):
            entries.append(_entry(resource, identifier))
        if number == 0:
            entries[-2]["request"] = {"method": "PUT", "url": f"Practitioner/{doctor['id']}"}
        clinics.append(
            Clinic(
                {"reference": f"Location?identifier={t.SYSTEM}|{location_id}", "display": name},
                {"reference": f"Organization?identifier={t.SYSTEM}|{organization_id}", "display": name},
                who,
            )
        )
    return entries, tuple(clinics)


def _entry(resource: Resource, identifier: str) -> Resource:
    return {
        "fullUrl": "urn:uuid:" + resource["id"],
        "resource": resource,
        "request": {
            "method": "POST",
            "url": resource["resourceType"],
            "ifNoneExist": "identifier=" + identifier,
        },
    }


def _organization(
    random: Random, name: str, address: Resource, phone: list[Resource]
) -> tuple[Resource, str]:
    uid = new_uuid(random)
    resource = {
        "resourceType": "Organization",
        "id": uid,
        "meta": meta("organization"),
        "identifier": [{"system": t.SYSTEM, "value": uid}],
        "active": True,
        "type": [
            {**codes("organization-type", "prov", "Healthcare Provider"), "text": "Healthcare Provider"}
        ],
        "name": name,
        "telecom": phone,
        "address": [address],
    }
    return resource, uid


def _location(
    random: Random, name: str, kind: str, address: Resource, phone: list[Resource], organization: str
) -> tuple[Resource, str]:
    uid = new_uuid(random)
    resource = {
        "resourceType": "Location",
        "id": uid,
        "meta": meta("location"),
        "identifier": [{"system": t.SYSTEM, "value": uid}],
        "status": "active",
        "name": name,
        "description": kind,
        "telecom": phone,
        "address": address,
        "managingOrganization": {"reference": "urn:uuid:" + organization, "display": name},
    }
    return resource, uid


def _practitioner(
    random: Random, seed: int, number: int, house: str, address: Resource, organization: str
) -> tuple[Resource, Resource, Reference]:
    female = number % 2 == 0
    given = random.choice(t.GIVEN_FEMALE if female else t.GIVEN_MALE)
    family = random.choice(t.FAMILY)
    npi = f"99999{seed % 100:02d}{number:03d}"
    display = f"Dr. {given} {family}"
    doctor = {
        "resourceType": "Practitioner",
        "id": new_uuid(random),
        "meta": meta("practitioner"),
        "identifier": [{"system": t.NPI, "value": npi}],
        "active": True,
        "name": [{"family": family, "given": [given], "prefix": ["Dr."]}],
        "telecom": [{"system": "email", "value": f"doctor{number}@demo.careledger.example", "use": "work"}],
        "address": [address],
        "gender": "female" if female else "male",
    }
    role_id = new_uuid(random)
    role = {
        "resourceType": "PractitionerRole",
        "id": role_id,
        "meta": meta("practitionerrole"),
        "identifier": [{"system": t.SYSTEM, "value": role_id}],
        "active": True,
        "practitioner": {"reference": f"urn:uuid:{doctor['id']}", "display": display},
        "organization": {"reference": "urn:uuid:" + organization, "display": house},
        "code": [concept("http://nucc.org/provider-taxonomy", t.SPECIALTIES[number])],
        "specialty": [concept("http://nucc.org/provider-taxonomy", t.SPECIALTIES[number])],
    }
    return doctor, role, {"reference": f"Practitioner?identifier={t.NPI}|{npi}", "display": display}
