"""The two screens of a program's request: consent, and which patient. The authorisation end point shows and reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from careledger.smart.consenting import (
    DAYS,
    DAYS_SHOWN_FIRST,
    ConsentAnswer,
    ConsentView,
    compose_heading,
    compute_view_digest,
    describe_days,
    list_choices,
    read_answer,
)
from careledger.smart.remembering import list_types
from careledger.web.smart.desk import origin_of
from careledger.web.smart.messages import SmartAnswer
from careledger.web.smart.rendering import render
from careledger.web.smart.screens import Form
from careledger.web.smart.visits import Visit


@dataclass(frozen=True, slots=True)
class PatientRow:
    """One patient to choose from: only those whom this person may see."""

    id: str
    name: str
    born: str


def consent(
    visit: Visit, view: ConsentView, redirect_uri: str, *, action: str, can_sign: bool = False
) -> SmartAnswer:
    """The page that asks. It posts `csrf`, `ticket`, `shown`, `kept` (once for each tick), `days`, `allow` to `action`.

    With `can_sign` a patient may sign her yes with the passkey that decides in her chart.
    """
    return render(
        visit,
        "consent",
        form_target=origin_of(redirect_uri),
        action=action,
        ticket=view.ticket,
        heading=compose_heading(view),
        choices=list_choices(view),
        can_sign=can_sign,
        types={one.word: ",".join(list_types((one.word,))) for one in list_choices(view)},
        session=describe_days(0, view.language),
        is_offline=view.is_offline,
        days=[(one, describe_days(one, view.language)) for one in DAYS],
        first=DAYS_SHOWN_FIRST,
        shown=compute_view_digest(view).hex(),
    )


def read_consent(view: ConsentView, form: Form) -> ConsentAnswer:
    """What the person said to this view. Raises Invalid."""
    return read_answer(
        view,
        shown=form.one("shown"),
        is_allowed=form.one("allow") == "yes",
        kept=form.all("kept"),
        days=form.one("days"),
    )


def choose_patient(
    visit: Visit, ticket: str, rows: Sequence[PatientRow] | None, *, search_action: str, choose_action: str
) -> SmartAnswer:
    """The page that asks which patient. What is searched and chosen is posted, so it is in no address.

    It posts `csrf`, `ticket`, `name` to `search_action`, and `csrf`, `ticket`, `patient` to `choose_action`.
    `rows` None: nothing was searched yet.
    """
    return render(
        visit,
        "picker",
        ticket=ticket,
        rows=rows,
        search_action=search_action,
        choose_action=choose_action,
    )
