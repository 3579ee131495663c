"""After each kind of read, the right entries in the right charts, and nothing else (fault catalogue H2)."""

from __future__ import annotations

import socket
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.conftest import Loaded
from tests.e2e.node import Caller


@dataclass(slots=True)
class Ward:
    """Three patients with two observations each, an appointment of the first two, and a house."""

    patients: list[str]
    observations: list[list[str]]
    appointment: str
    organization: str
    code: str


@pytest.fixture
def ward(loaded: Loaded) -> Ward:
    c, mark = loaded.caller, uuid.uuid4().hex[:8]
    patients = [f"log{number}-{mark}" for number in range(3)]
    observations = []
    organization = c.post("Organization", {"resourceType": "Organization", "name": mark}).json["id"]
    for id in patients:
        resource = {"resourceType": "Patient", "id": id, "name": [{"family": f"Log{mark}"}]}
        resource["managingOrganization"] = {"reference": f"Organization/{organization}"}
        c.put(f"Patient/{id}", resource)
        seen = {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"system": "urn:e2e", "code": mark}]},
        }
        seen |= {"subject": {"reference": f"Patient/{id}"}}
        observations.append([c.post("Observation", seen).json["id"] for _ in range(2)])
    who = [{"actor": {"reference": f"Patient/{id}"}, "status": "accepted"} for id in patients[:2]]
    appointment = c.post(
        "Appointment", {"resourceType": "Appointment", "status": "booked", "participant": who}
    ).json["id"]
    return Ward(patients, observations, appointment, organization, mark)


HOUSE = "house"
Act = Callable[[Caller, Ward], object]

READS: list[tuple[str, Act, str]] = [
    # what is done, and the charts (0 1 2, h for the house) that get one entry each
    ("read", lambda c, w: c.get(f"Patient/{w.patients[0]}"), "0"),
    ("head", lambda c, w: c.call("HEAD", f"Patient/{w.patients[0]}"), "0"),
    ("not-modified", lambda c, w: c.get(f"Patient/{w.patients[0]}", If_None_Match='W/"1"'), "0"),
    ("elements", lambda c, w: c.get(f"Patient/{w.patients[0]}?_elements=gender"), "0"),
    ("vread", lambda c, w: c.get(f"Observation/{w.observations[1][0]}/_history/1"), "1"),
    ("history", lambda c, w: c.get(f"Observation/{w.observations[1][0]}/_history"), "1"),
    ("history-of-a-type", lambda c, w: c.get("Appointment/_history?_count=1"), "01"),
    ("of-two-charts", lambda c, w: c.get(f"Appointment/{w.appointment}"), "01"),
    ("of-the-house", lambda c, w: c.get(f"Organization/{w.organization}"), "h"),
    ("search-in-one", lambda c, w: c.get(f"Observation?patient={w.patients[2]}"), "2"),
    ("search-in-all", lambda c, w: c.get(f"Observation?code={w.code}"), "012"),
    ("posted-search", lambda c, w: c.call("POST", "Observation/_search", f"code={w.code}".encode(), Content_Type="application/x-www-form-urlencoded"), "012"),
    ("page", lambda c, w: c.get(f"Observation?code={w.code}&_count=2"), "0"),
    ("name", lambda c, w: c.get(f"Patient?family=Log{w.code}"), "012"),
    ("include", lambda c, w: c.get(f"Observation?_id={w.observations[2][0]}&_include=Observation:patient"), "2"),
    ("revinclude", lambda c, w: c.get(f"Patient?_id={w.patients[2]}&_revinclude=Observation:patient"), "2"),
    (
        "revinclude-into-charts",
        lambda c, w: c.get(f"Organization?_id={w.organization}&_revinclude=Patient:organization"),
        "h012",
    ),
    ("everything", lambda c, w: c.get(f"Patient/{w.patients[2]}/$everything"), "2h"),
    ("batch", lambda c, w: c.post("", {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": f"Patient/{id}"}} for id in w.patients]}), "012"),
    ("condition-that-finds", lambda c, w: c.post("Patient", {"resourceType": "Patient"}, If_None_Exist=f"_id={w.patients[1]}"), "1"),
    ("conditional-reference", lambda c, w: c.post("Basic", {"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": f"Patient?_id={w.patients[1]}"}}), "1"),
    ("count", lambda c, w: c.get(f"Observation?patient={w.patients[0]}&_summary=count"), "h"),
    ("empty", lambda c, w: c.get(f"Observation?patient={w.patients[0]}&code=nothing"), "h"),
    ("not-found", lambda c, w: c.get("Patient/nobody-at-all"), "h"),
    ("metadata", lambda c, w: c.get("metadata"), ""),
    ("no-token", lambda c, w: Caller(c.port, "").get(f"Patient/{w.patients[0]}"), ""),
]  # fmt: skip


def read_logs(loaded: Loaded, ward: Ward) -> list[list[dict[str, Any]]]:
    return [loaded.node.access(patient) for patient in (*ward.patients, HOUSE)]


def test_k_charts_make_k_entries(loaded: Loaded, ward: Ward) -> None:
    for name, act, charts in READS:
        before = [len(log) for log in read_logs(loaded, ward)]
        act(loaded.caller, ward)
        after = read_logs(loaded, ward)
        gained = [len(log) - size for log, size in zip(after, before, strict=True)]
        assert gained == [int(letter in charts) for letter in "012h"], name


def test_an_entry_says_who_had_what(loaded: Loaded, ward: Ward) -> None:
    doctor = loaded.node.caller("user/*.rs", practitioner="doctor-7")
    doctor.get(f"Observation?patient={ward.patients[2]}")
    entry = loaded.node.access(ward.patients[2])[-1]
    assert entry["kind"] == "search"
    assert entry["what"].startswith(f"Observation?patient={ward.patients[2]}")
    assert "doctor-7" in entry["actor"]
    assert (entry["client"], entry["permitted"]) == ("e2e", True)
    assert len(entry["versions"]) == 2
    assert entry["organisation"].startswith("did:careledger:")


def test_denials_make_one_entry_of_the_house(loaded: Loaded, ward: Ward) -> None:
    for caller in (
        loaded.node.caller("system/Observation.rs"),
        loaded.node.caller("patient/*.rs", patient=ward.patients[0]),
    ):
        before = [len(log) for log in read_logs(loaded, ward)]
        assert caller.get(f"Patient/{ward.patients[1]}").status in (403, 404)
        after = read_logs(loaded, ward)
        assert [len(log) - size for log, size in zip(after, before, strict=True)] == [0, 0, 0, 1]
        assert (after[3][-1]["kind"], after[3][-1]["permitted"]) == ("denied", False)


def test_a_client_that_goes_away_is_logged_too(loaded: Loaded, ward: Ward) -> None:
    """The entry does not depend on the answer's arrival."""
    patient, before = ward.patients[0], len(loaded.node.access(ward.patients[0]))
    request = f"GET /fhir/Patient/{patient} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {loaded.caller.token}\r\n\r\n"
    for _ in range(5):
        client = socket.create_connection(("127.0.0.1", loaded.node.port))
        client.sendall(request.encode())
        client.recv(1, socket.MSG_PEEK)  # it answers: then the chart was left already
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    assert len(loaded.node.access(patient)) == before + 5
