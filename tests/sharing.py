"""How the processes of `make test` share the tests: what stays together on one, and what begins first.

A file always stays whole; so does a group of the table below, because its tests use one dear thing (a network, a
loaded node) that every process would otherwise set up for itself, or because two of them would disturb each other's
deadlines. Nothing here changes what a test is called or shows. Without pytest-xdist, or with `-n0`, it does nothing.
"""

from __future__ import annotations

import pytest

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    # Several nodes with engines, and nodes that are killed: these keep time, so one of them at a time.
    ("networks and faults", ("tests/network/", "tests/engine/", "tests/faults/")),
    # One clinic with its people and apps.
    ("clinic", (
        "tests/e2e/test_app_client.py", "tests/e2e/test_app_decisions.py", "tests/e2e/test_app_screens.py",
        "tests/e2e/test_passkey_consent.py", "tests/e2e/test_smart_",
    )),
    # Two loaded nodes, one of them with two workers.
    ("loaded nodes", (
        "tests/e2e/test_access_log.py", "tests/e2e/test_consent", "tests/e2e/test_http.py",
        "tests/e2e/test_processes.py", "tests/e2e/test_receipts.py", "tests/e2e/test_records.py",
        "tests/e2e/test_refusals.py", "tests/e2e/test_search.py", "tests/e2e/test_tokens.py",
    )),
)  # fmt: skip
"""(name, beginnings of test ids), in the order in which they begin; then come the files, the long ones first."""
LONG = (
    "tests/e2e/test_app_stories.py",
    "tests/simulation/",
    "tests/e2e/test_witness.py",
    "tests/web_ui/",
    "tests/e2e/test_app_attacks.py",
    "tests/e2e/",
)
"""Files that take so long that no process may be left with them at the end."""


def group_of(nodeid: str) -> str:
    """What the test stays together with: a group's name, or its own file."""
    for name, places in GROUPS:
        if nodeid.startswith(places):
            return name
    return nodeid.partition("::")[0]


def order_of(nodeid: str) -> int:
    """The earlier a test's group begins, the smaller."""
    places = [places for _, places in GROUPS] + [(place,) for place in LONG]
    return next((at for at, begins in enumerate(places) if nodeid.startswith(begins)), len(places))


class Sharing:
    """The plugin; registered by tests/conftest.py."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: object) -> object:
        """Whole groups, one after the other, to whichever process is free."""
        from xdist.scheduler import LoadScopeScheduling

        class Groups(LoadScopeScheduling):
            def _split_scope(self, nodeid: str) -> str:
                return group_of(nodeid)

        config.option.loadscopereorder = False  # the order is that of pytest_collection_modifyitems
        return Groups(config, log)

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """The order of beginning, in each of several processes alike; a single process keeps pytest's own."""
        if hasattr(config, "workerinput"):
            items.sort(key=lambda item: order_of(item.nodeid))
