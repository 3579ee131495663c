"""One network of four organisations for all tests of this folder. Each test gets it whole: healed, everybody served."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.engine.real import REASON
from tests.network.clients import Book
from tests.network.local import LocalNetwork


@pytest.fixture(scope="session")
def brought_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalNetwork, float]]:
    """The network, and how long `network up` took."""
    if REASON:
        pytest.skip(REASON)
    network = LocalNetwork(tmp_path_factory.mktemp("network") / "n")
    start = time.monotonic()
    try:
        yield network.up(), time.monotonic() - start
    finally:
        network.remove()


@pytest.fixture
def network(brought_up: tuple[LocalNetwork, float]) -> LocalNetwork:
    """The network; what a failed test before this one left is put right."""
    network, _ = brought_up
    network.settle()
    return network


@pytest.fixture(scope="session")
def book() -> Book:
    """What every client of the session was told."""
    return Book()
