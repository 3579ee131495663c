"""A clinician signs on a real ledger in Chromium: its authenticator's answer is what every validator takes (issue 6)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from careledger.web.smart.people import routes
from tests.e2e.test_pages import enrol, house, only_es256, person_at  # noqa: F401  (a fixture)
from tests.faults.rig import Node, new_home
from tests.web.people_support import CHEN, House
from tests.web.test_signing import signed_at

TEXT = "Fit to travel."


ALONE = ThreadPoolExecutor(1)
"""The node's thread: the browser's tests have a loop in this one."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    found = ALONE.submit(Node, new_home(tmp_path_factory.mktemp("signing") / "home")).result()
    yield found
    ALONE.submit(found.close).result()


@pytest.mark.parametrize("algorithm", ["es256", "ml-dsa-65"])
def test_a_clinician_signs_with_one_gesture(browser: Any, house: House, node: Node, algorithm: str) -> None:  # noqa: F811
    async def call(name: str, params: dict[str, Any]) -> dict[str, Any]:
        asked = node.service.command(name, params, lambda _step: None)
        return await asyncio.wrap_future(ALONE.submit(node.run, asked))

    house.people = replace(house.people, call=call)
    house.routes = routes(house.people)
    complaints: list[str] = []
    with person_at(browser, house, complaints) as (page, _):
        if algorithm == "es256":
            page.route("**/passkey/options", lambda route: tell(route, only_es256))
        enrol(page, house, CHEN)
        page.get_by_role("link", name="Sign", exact=True).click()
        page.get_by_role("button", name="Use this one").click()
        page.get_by_role("button", name="Sign with my passkey").click()
        page.get_by_label("Statement").fill(TEXT)
        page.get_by_role("button", name="Show me what I sign").click()
        shown = page.locator("pre.document").text_content() or ""
        assert shown.startswith(TEXT)
        did = page.locator("dd code").nth(1).inner_text()
        page.get_by_role("button", name="Sign with my passkey").click()
        page.get_by_text("This is on the ledger").wait_for()
        assert page.locator("pre.document").text_content() == shown
    assert signed_at(node, did, hashlib.sha256(shown.encode()).hexdigest())
    assert complaints == []


def tell(route: Any, change: Any) -> None:
    answer = route.fetch()
    route.fulfill(response=answer, json=change(answer.json()))
