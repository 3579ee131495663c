"""What the duty `audit` opens: the house log of people, newest first, to read and nothing else. Reading is in it too."""

from __future__ import annotations

from typing import Final

from careledger.primitives.errors import Invalid
from careledger.smart.auditing import OPERATOR, Row
from careledger.smart.duties import check_alone
from careledger.web.smart.dates import write_date
from careledger.web.smart.messages import SmartAnswer
from careledger.web.smart.rendering import render, say
from careledger.web.smart.screens import Form, People
from careledger.web.smart.telling import name_of
from careledger.web.smart.visits import Visit
from careledger.web.smart.words import WORDS

DIGITS_MAX: Final = 15


async def show_audit(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """One page of who did what, when; `before` is the place that it ends at. Raises DutyMissing, Invalid."""
    me = visit.need().account
    check_alone(me, "read-audit")
    before = _read_place(form.one("before"))
    await people.record("audit-read", "", me.id)
    page = people.house.read(before)
    rows = [_describe(people, visit, row) for row in page.rows]
    return render(visit, "audit", rows=rows, before=page.before, is_first=not before)


def _describe(people: People, visit: Visit, row: Row) -> dict[str, str]:
    key = f"event.{row.what}"
    return {
        "time": write_date(row.time_ms),
        "who": _name(people, visit, row.who),
        "what": say(key, visit.language) if key in WORDS else row.what,
        "why": row.why,
    }


def _name(people: People, visit: Visit, id: str) -> str:
    if not id or id == OPERATOR:
        return say("audit.operator" if id else "audit.nobody", visit.language)
    return name_of(people, id)


def _read_place(text: str) -> int:
    if not text:
        return 0
    if not text.isascii() or not text.isdecimal() or len(text) > DIGITS_MAX:
        raise Invalid("this is not what the page sends", hint="open the page again", code="key-invalid")
    return int(text)
