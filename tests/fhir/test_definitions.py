"""The pack holds R4 as published, decodes what it is asked for, and is rebuilt byte for byte."""

from __future__ import annotations

import importlib
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from careledger.fhir.definitions import MANY, PACK, definitions, open_pack, summary_elements
from careledger.primitives.errors import Misconfigured, NotFound

ROOT = Path(__file__).resolve().parents[2]
SOURCE = (
    ROOT / ".cache" / "definitions" / "node_modules" / "@medplum" / "definitions" / "dist" / "fhir" / "r4"
)


def test_the_sizes_of_r4():
    found = definitions()
    urls = {p.url for t in found.resource_types for p in found.search_parameters(t).values()}
    assert (found.version, len(found.resource_types), len(found.primitives)) == ("4.0.1", 146, 20)
    assert len(found._pack.search_urls) == 1378
    assert (
        {found.search_parameter(url).url for url in found._pack.search_urls}
        == set(found._pack.search_urls)
        >= urls
    )


def test_elements():
    observation = definitions().type("Observation")
    value = observation.properties("value")
    assert (observation.kind, observation.base) == ("resource", "DomainResource")
    assert len(value) == 11
    assert {e.property for e in value if e.type == "Quantity"} == {"valueQuantity"}
    assert observation.elements["subject"].targets == ("Device", "Group", "Location", "Patient")
    assert (observation.elements["status"].min, observation.elements["category"].max) == (1, MANY)
    assert observation.elements["component"].type == "Observation.component"
    assert (
        definitions().type("Observation.component").elements["referenceRange"].type
        == "Observation.referenceRange"
    )
    assert definitions().type("Patient").elements["id"].type == "id"
    status = definitions().codes(observation.elements["status"].binding)
    assert ("http://hl7.org/fhir/observation-status", "final") in status
    assert {"status", "code", "valueQuantity", "_status"} <= summary_elements("Observation")
    assert "note" not in summary_elements("Observation")


def test_every_type_that_an_element_names_exists():
    found = definitions()
    for root in (*found.resource_types, *found.data_types):
        found.type(root)
        for nested in found._nested[root].values():
            for element in nested.elements.values():
                assert element.type in found.primitives or found.type(element.type)


def test_what_the_packages_maker_added_is_left_out():
    """Meta.project and the like would let a resource through that R4 does not allow."""
    assert set(definitions().type("Meta").elements) == {
        *("id", "extension", "versionId", "lastUpdated", "source", "profile", "security", "tag")
    }
    assert not definitions().is_resource_type("SubscriptionStatus")
    assert "usageContext" in definitions().type("EvidenceVariable.characteristic").elements


def test_search_parameters_and_compartment():
    found = definitions().search_parameters("Observation")
    assert found["code-value-quantity"].components[1].expression == "value.ofType(Quantity)"
    assert found["_id"].type == "token"
    assert "_text" in found
    assert (
        definitions().search_parameter(found["code-value-quantity"].components[0].definition).code == "code"
    )
    assert definitions().compartment()["Observation"] == ("subject", "performer")
    assert "Practitioner" not in definitions().compartment()
    assert definitions().operations["Patient-everything"].endswith("/Patient-everything")


@pytest.mark.parametrize("name", ["Nonsense", "Observation.nonsense", "string", "MetadataResource"])
def test_unknown_types(name):
    with pytest.raises(NotFound):
        definitions().type(name)


def test_a_pack_that_is_absent_or_damaged_gets_a_hint(tmp_path):
    (tmp_path / "cut").write_bytes(PACK.read_bytes()[:-1])
    (tmp_path / "other").write_bytes(b"\x99" + PACK.read_bytes()[1:])
    for name in ("absent", "cut", "other"):
        with pytest.raises(Misconfigured) as caught:
            open_pack(tmp_path / name)
        assert "make setup" in caught.value.hint


def test_opening_is_cheap():
    times = []
    for _ in range(3):
        started = time.process_time()
        found = open_pack(PACK)
        found.type("Observation")
        found.search_parameters("Observation")
        times.append(time.process_time() - started)
    assert min(times) < 0.03


def test_the_lock_file_pins_hashes_and_names_no_registry():
    packages = json.loads((ROOT / "tools/definitions/package-lock.json").read_text())["packages"]
    fetched = [package for path, package in packages.items() if path]
    assert fetched
    assert all(
        package["integrity"].startswith("sha512-") and "resolved" not in package for package in fetched
    )


def test_an_unchanged_build_is_skipped():
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(
        [sys.executable, "tools/build_definitions.py"], cwd=ROOT, capture_output=True, check=True
    )
    assert done.stderr == b""
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 2


@pytest.mark.skipif(not SOURCE.is_dir(), reason="the fetched definitions (.cache/definitions) are not there")
def test_the_build_is_reproducible(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools" / "definitions"))
    assert importlib.import_module("compile_r4").compile_pack(SOURCE) == PACK.read_bytes()
