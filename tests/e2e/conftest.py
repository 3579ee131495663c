"""One real node per worker mode for the whole session, with synthetic patients and, where present, Synthea's."""

from __future__ import annotations

import gzip
import os
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from careledger.synthetic.hospital import encode, hospital
from tests.e2e.chromium import open_chromium
from tests.e2e.node import ROOT, Caller, Node, loads
from tests.e2e.smart import Clinic, open_clinic

SYNTHEA = Path(os.environ.get("CARELEDGER_SYNTHEA", ROOT.parent / "shared" / "data" / "synthea"))
SYNTHEA_HOUSE = ("hospitalInformation.json.gz", "practitionerInformation.json.gz")
SYNTHEA_PATIENTS = 4
SYNTHETIC_PATIENTS = 5

Resource = dict[str, Any]


@dataclass(slots=True)
class Loaded:
    """A served node, what was sent to it, and what it then holds. Tests add patients of their own, never to these."""

    node: Node
    caller: Caller
    sent: list[Resource]
    held: dict[str, dict[str, Resource]] = field(
        default_factory=dict
    )  # type -> id -> resource, numbers exact

    @property
    def largest(self) -> str:
        """The id of the patient with most observations."""
        counts: dict[str, int] = {}
        for observation in self.held["Observation"].values():
            patient = observation["subject"]["reference"].removeprefix("Patient/")
            counts[patient] = counts.get(patient, 0) + 1
        return max(counts, key=lambda patient: counts[patient])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "loaded" in metafunc.fixturenames:
        metafunc.parametrize(
            "loaded", (1, 2), ids=("one-process", "two-workers"), indirect=True, scope="session"
        )


@pytest.fixture(scope="session")
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """The node of this worker mode, loaded."""
    folder = tmp_path_factory.mktemp(f"e2e-{request.param}")
    node = Node(folder / "home", request.param).init().start()
    try:
        caller = node.caller()
        sent: list[Resource] = []
        for raw in bundles():
            answer = caller.post("", raw)
            assert answer.status == 200, answer.body[:600]
            sent += [entry["resource"] for entry in loads(raw)["entry"]]
        result = Loaded(node, caller, sent)
        for type in sorted({resource["resourceType"] for resource in sent}):
            for page in caller.pages(f"{type}?_count=1000"):
                for entry in page.exact["entry"]:
                    result.held.setdefault(type, {})[entry["resource"]["id"]] = entry["resource"]
        yield result
        caller.close()
    finally:
        node.stop()
        shutil.rmtree(folder, ignore_errors=True)


def bundles() -> list[bytes]:
    """Synthetic Bundles, then Synthea's houses and some of its smaller patients."""
    found = [encode(bundle) for bundle in hospital(11, SYNTHETIC_PATIENTS)]
    if not SYNTHEA.is_dir():
        warnings.warn(f"{SYNTHEA} is absent: end-to-end tests run on synthetic patients only", stacklevel=1)
        return found
    patients = sorted(
        (path for path in SYNTHEA.glob("*.json.gz") if path.name not in SYNTHEA_HOUSE),
        key=lambda path: (path.stat().st_size, path.name),
    )
    middle = len(patients) // 2
    chosen = [*SYNTHEA_HOUSE, *(path.name for path in patients[middle : middle + SYNTHEA_PATIENTS])]
    return found + [gzip.decompress((SYNTHEA / name).read_bytes()) for name in chosen]


@pytest.fixture(scope="session")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A node of two workers whose people sign in and whose programs ask."""
    folder = tmp_path_factory.mktemp("e2e-smart")
    found = open_clinic(folder, people=7)  # an account each, for whoever needs a person of their own
    try:
        yield found
    finally:
        found.node.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium for the tests of one file; not of the session, because its loop would be in everybody's way."""
    with open_chromium() as found:
        yield found
