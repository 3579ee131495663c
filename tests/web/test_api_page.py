"""docs/spec/api.md is the program's: every route has its place, and every example has exactly the fields of an answer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from careledger.web.api.app import ROUTES
from tests.node.consenting import Device
from tests.web.api_support import Site, fill, site_of
from tests.web.test_api_consents import in_hex

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs/spec/api.md").read_text("utf-8")
OPEN = frozenset({"names", "types", "fields"})
"""Objects whose fields are data: of them the page shows some."""


def examples() -> dict[str, Any]:
    """The example of each heading that has one, by its first method and path."""
    found = {}
    for part in PAGE.split("\n### ")[1:]:
        heading, _, rest = part.partition("\n")
        block = re.search(r"```json\n(.*?)```", rest, re.DOTALL)
        if block:
            found[heading.split("`")[1]] = json.loads(block[1])
    return found


def shape(value: Any, name: str = "") -> Any:
    """Names of fields, and in lists of what; data that may be there or not is left out."""
    if isinstance(value, dict):
        return {key: shape(one, key) for key, one in sorted(value.items())} if name not in OPEN else {}
    if isinstance(value, list):
        return [shape(value[0])] if value and isinstance(value[0], dict) else []
    return None


def test_every_route_has_its_place() -> None:
    headings = re.findall(r"^### (.*)$", PAGE, re.MULTILINE)
    named = {tuple(one.split(" ", 1)) for heading in headings for one in re.findall(r"`([^`]+)`", heading)}
    assert named == {(route.method, route.path) for route in ROUTES}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with site_of(tmp_path_factory.mktemp("api") / "home") as site:
        fill(site)
        return dict(ask_all(site))


def ask_all(site: Site) -> list[tuple[str, Any]]:
    token, device = site.token(), Device(site.node.command, "ada", bytes(range(32)))
    device.enrol()
    site.ask("/api/receipts/Observation/of-ada", site.token("clinician"))
    granted = site.ask("/api/charts/ada/consents", token, "POST", in_hex(device.signed())).json
    paths = {"{id}": "ada", "{height}": "1", "{directive}": granted["id"]}
    found = [("POST /api/charts/{id}/consents", granted)]
    for place in examples():
        method, path = place.split(" ")
        for name, value in paths.items():
            path = path.replace(name, value)
        if method == "GET":
            found.append((place, site.ask(path, token).json))
    return found


@pytest.mark.parametrize("place", sorted(set(examples()) - {"GET /api/ledger/validators"}))
def test_an_example_has_the_fields_of_an_answer(place: str, answers: dict[str, Any]) -> None:
    assert shape(answers[place]) == shape(examples()[place])
