"""Nodes that the tests of interactions run against. The node's own tests add the real store."""

from __future__ import annotations

import pytest

from tests.fhir.client import Client
from tests.fhir.fakes import FakeBackend


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def client(backend: FakeBackend) -> Client:
    return Client(backend)
