"""The two nodes that the tests of interactions run against: one in memory, and the sealed store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fhir.client import Client
from tests.fhir.fakes import FakeBackend
from tests.fhir.stored import StoredBackend, Template


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template(tmp_path_factory.mktemp("home"))


@pytest.fixture(params=["memory", "store"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FakeBackend | StoredBackend]:
    if request.param == "memory":
        yield FakeBackend()
        return
    template: Template = request.getfixturevalue("template")
    node = template.copy(tmp_path / "home")
    yield node
    node.close()


@pytest.fixture
def client(backend: FakeBackend | StoredBackend) -> Client:
    return Client(backend)
