"""What all tests share: bounded property tests, vectors that are written only when asked, and their sharing.

Property tests draw the same examples at every run; `--hypothesis-seed=N` draws others, and `.hypothesis` keeps what
failed then.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.sharing import Sharing

VECTORS = Path(__file__).resolve().parent.parent / "vectors"


def pytest_configure(config: pytest.Config) -> None:
    """A machine that is slow at the moment is no fault of a test: no deadline, no check of the speed of drawing."""
    settings.register_profile(
        "careledger",
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
        derandomize=config.getoption("--hypothesis-seed") is None,
    )
    settings.load_profile("careledger")
    config.pluginmanager.register(Sharing(), "careledger-sharing")  # of the tests among processes


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-vectors", action="store_true", help="write vectors/ instead of comparing with it"
    )


@pytest.fixture
def vector(request: pytest.FixtureRequest) -> Callable[[str, object], None]:
    """`vector(name, content)`: vectors/NAME holds exactly this (JSON, or bytes as they are), or the test is red.

    Mark the test `@pytest.mark.vectors`; `make vectors` then writes the file. A change of a vector is a change of
    what others rely on: the commit says why.
    """
    write = request.config.getoption("--write-vectors")

    def compare(name: str, content: object) -> None:
        path = VECTORS / name
        data = content if isinstance(content, bytes) else compute_json(content)
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        assert path.is_file(), f"vectors/{name} is absent; if it is new: make vectors"
        assert path.read_bytes() == data, f"vectors/{name} differs; if the change is meant: make vectors"

    return compare


def compute_json(content: object) -> bytes:
    """JSON that reads well in a diff."""
    return (json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()
