"""A small request makes no answer of any size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from careledger.fhir.context import Limits
from careledger.fhir.http import FhirApp
from careledger.fhir.search import includes
from tests.faults.rig import Node, new_home
from tests.fhir.client import Client, entries, observation, of, patient, practitioner


def test_the_reads_of_a_bundle_have_a_bound_together(tmp_path: Path) -> None:
    node = Node(new_home(tmp_path / "home"))
    backend = node.client.backend
    client = Client(backend, app=FhirApp(backend, limits=Limits(bundle_answer_bytes=5_000)))
    ada = client.made(patient("Ada"))["id"]
    client.made(observation(ada))
    url = f"Patient/{ada}/$everything"
    reads = [{"request": {"method": "GET", "url": url}} for _ in range(50)]
    for kind in ("batch", "transaction"):
        before = len(node.command("access_log", patient=ada)["entries"])
        answer = client.post("", {"resourceType": "Bundle", "type": kind, "entry": reads})
        served = [entry["response"]["status"][:3] for entry in entries(answer)]
        after = len(node.command("access_log", patient=ada)["entries"])
        assert served == sorted(served)
        assert set(served) == {"200", "413"}
        assert served.count("200") == after - before < 10
    node.close()


PAGE_BYTES = 6_000


class Heavy:
    """Ada, ten Observations of 1,500 bytes, one of them of 8,000, and five practitioners of 2,000 whom they name."""

    def __init__(self, path: Path) -> None:
        self.node = Node(new_home(path))
        backend = self.node.client.backend
        self.client = Client(backend, app=FhirApp(backend, limits=Limits(page_bytes=PAGE_BYTES)))
        self.ada = self.client.made(patient("Ada"))["id"]
        doctors = [self._doctor(number) for number in range(5)]
        self.doctors = {made["id"] for made in doctors}
        performers = [{"reference": f"Practitioner/{made['id']}"} for made in doctors]
        self.seen = []
        for number in range(10):
            note = [{"text": "x" * (8_000 if number == 4 else 1_000)}]
            made = self.client.made(observation(self.ada, note=note, performer=performers))
            self.seen.append(made["id"])
        self.amended = self.seen[0]
        for _ in range(7):
            made = of(self.client.get(f"Observation/{self.amended}"))
            assert self.client.put(f"Observation/{self.amended}", made).status == 200
        self.client.send("DELETE", f"Observation/{self.amended}")
        del self.seen[0]

    def _doctor(self, number: int) -> dict[str, Any]:
        return self.client.made({**practitioner(str(number)), "name": [{"family": "y" * 1_900}]})

    def left(self) -> int:
        """How many versions the access logs say have left."""
        logs = (
            self.node.command("access_log", patient=of_whom)["entries"] for of_whom in (self.ada, "house")
        )
        return sum(len(entry["versions"]) for log in logs for entry in log)

    def walk(self, url: str) -> list[list[dict[str, Any]]]:
        """The entries of every page. Each is within the bound, or holds one resource; each is logged as it left."""
        pages = []
        while url:
            before, answer = self.left(), self.client.get(url)
            assert answer.status == 200
            shown = [entry for entry in entries(answer) if "resource" in entry]
            assert len(answer.body) < PAGE_BYTES + 400 * (len(entries(answer)) + 1) or len(shown) == 1
            assert shown or not pages
            assert self.left() - before == len(entries(answer))
            pages.append(entries(answer))
            url = next((link["url"] for link in of(answer)["link"] if link["relation"] == "next"), "")
        return pages


@pytest.fixture
def heavy(tmp_path: Path) -> Iterator[Heavy]:
    made = Heavy(tmp_path / "home")
    yield made
    made.node.close()


def test_a_page_ends_before_it_is_too_large(heavy: Heavy) -> None:
    """Searches, histories and $everything: nothing is lost or repeated where a page ends early."""
    ids = ",".join(heavy.seen)
    for url in (
        "Observation",
        "Observation?_sort=-_id",
        f"Observation?_id={ids}",
        f"Observation?patient={heavy.ada}",
    ):
        join = "&" if "?" in url else "?"
        pages = heavy.walk(f"{url}{join}_count=1000")
        found = [entry["resource"]["id"] for page in pages for entry in page]
        assert (sorted(found), len(pages) > 3) == (sorted(heavy.seen), True), url
        assert {len(page) for page in pages} >= {1, 3} or "_sort" in url
    chart = heavy.walk(f"Patient/{heavy.ada}/$everything?_count=1000")
    found = [entry["resource"]["id"] for page in chart for entry in page]
    assert sorted(found) == sorted([heavy.ada, *heavy.seen, *heavy.doctors])
    one = [
        entry["response"]["etag"]
        for page in heavy.walk(f"Observation/{heavy.amended}/_history")
        for entry in page
    ]
    assert one == [f'W/"{number}"' for number in range(9, 0, -1)]
    every = [
        entry["fullUrl"] + entry["response"]["etag"]
        for page in heavy.walk("Observation/_history")
        for entry in page
    ]
    assert len(every) == len(set(every)) == len(heavy.seen) + 9


def test_what_is_included_has_a_bound_and_a_cut_is_said(
    heavy: Heavy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By bytes, by number, and by references followed; what is left out is not in the log."""
    url = f"Observation?_id={heavy.seen[0]}&_include=Observation:performer"

    def included() -> tuple[int, list[str]]:
        house = len(heavy.node.command("access_log", patient="house")["entries"])
        found = entries(heavy.client.get(url))
        ids = {entry["resource"]["id"] for entry in found if entry["search"]["mode"] == "include"}
        logged = heavy.node.command("access_log", patient="house")["entries"][house:]
        assert ids <= heavy.doctors
        assert sum(len(entry["versions"]) for entry in logged) == len(ids)
        outcomes = [entry["resource"] for entry in found if entry["search"]["mode"] == "outcome"]
        return len(ids), [issue["code"] for said in outcomes for issue in said["issue"]]

    assert included() == (2, ["too-costly"])
    heavy.client = Client(heavy.node.client.backend)
    assert included() == (5, [])
    monkeypatch.setattr(includes, "LOOKED_UP_MAX", 4)
    assert included() == (4, ["too-costly"])
    monkeypatch.setattr(includes, "INCLUDED_MAX", 3)
    assert included() == (3, ["too-costly"])
