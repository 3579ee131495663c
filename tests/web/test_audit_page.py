"""The house log as a page: for the duty `audit` alone, whole, read-only, and itself in the log."""

from __future__ import annotations

import ast
import html
import re
from pathlib import Path

import pytest

import careledger
from careledger.node.acts import ENTERED
from careledger.smart.auditing import PAGE_ROWS, Event
from careledger.web.smart.people import ROUTES
from careledger.web.smart.words import WORDS
from tests.smart.people_support import run
from tests.web.people_support import BELA, ROSA, Browser, House, person

OLA = person("Ola Berg", "administrator", duties=("audit",))
PACKAGE = Path(careledger.__file__).parent


@pytest.fixture
def house():
    return House()


def rows_of(browser):
    found = re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td></tr>", browser.text)
    return [tuple(html.unescape(cell) for cell in row[1:]) for row in found]


def test_the_duty_audit_reads_who_did_what_and_nobody_else_does(house):
    ola, bela, rosa = (Browser(house).enrol(one) for one in (OLA, BELA, ROSA))
    assert [one.get("/desk/audit").status for one in (bela, rosa)] == [403, 403]
    rosa.post("/sign-out")
    rosa.device.credentials.clear()
    number = bela.account_id()
    bela.get("/desk")
    bela.post("/desk/accounts/disable", account=number)
    run(house.record(Event("invited", "patient", "operator", about="Patient/p9")))
    run(house.record(Event("passkey-refused", "unknown-credential", "")))
    assert ola.get("/desk/audit").status == 200
    rows = rows_of(ola)
    assert rows[0] == ("Ola Berg", "read this log", "")
    assert rows[1] == ("nobody known", "passkey refused", "unknown-credential")
    assert rows[2] == ("the operator (command line)", "invited", "patient Patient/p9")
    assert ("Bela Novak", "asked for", f"disable-last-administrator {number}") in rows
    assert ("Rosa Quiroga", "signed in", "") in rows
    assert "<form" not in ola.text.partition("<main")[2]
    assert [method for method, path in ROUTES if path.startswith("/desk/audit")] == ["GET"]


def test_older_pages_follow_without_a_gap(house):
    ola = Browser(house).enrol(OLA)
    for number in range(2 * PAGE_ROWS):
        run(house.record(Event("enabled", "", "a", about=f"n{number}")))
    ola.get("/desk/audit")
    seen = [why for _, _, why in rows_of(ola) if why]
    while older := re.search(r'href="/desk/audit\?before=(\d+)"', ola.text):
        ola.get(f"/desk/audit?before={older[1]}")
        seen += [why for _, _, why in rows_of(ola) if why]
    assert seen == [f"n{number}" for number in reversed(range(2 * PAGE_ROWS))]
    for wrong in ("-1", "x", "9" * 16, "%C2%B2"):
        assert ola.get(f"/desk/audit?before={wrong}").status == 400


def test_every_event_that_is_recorded_has_words():
    """The first argument of each `record(…)` and `Event(…)` of the package, and the acts of the command line."""
    said = {act.what for act in ENTERED.values()}
    for path in [*(PACKAGE / "web" / "smart").glob("*.py"), *(PACKAGE / "node").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name == "Event" or (name == "record" and "people" in ast.unparse(node.func)):
                said.add(node.args[0].value)
    assert {"signed-in", "invited", "audit-read"} <= said
    assert [what for what in said if f"event.{what}" not in WORDS] == []
