"""The printed recovery code: asked for after each sign-in until it was typed back once, and never a lock-out.

Whoever has no code yet is reminded between signing in and what they came for, an app too, and goes on with one click:
somebody who needs their record now gets it now. What was never tried does not work, so nothing else counts as done.
"""

from __future__ import annotations

from careledger.smart.recovery import is_onboarded, make_kit, rehearse
from careledger.smart.sessions import check_step_up
from careledger.web.smart.entering import go_on_to, is_ticket
from careledger.web.smart.messages import SmartAnswer
from careledger.web.smart.rendering import render
from careledger.web.smart.screens import Form, People, go
from careledger.web.smart.visits import Visit


async def welcome(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """Who has just signed in goes on to what they came for; by way of the reminder, while there is no code."""
    ticket = _ticket(form)
    if is_onboarded(people.registry, visit.need().account.id):
        return go(visit, go_on_to(ticket))
    return go(visit, f"/kit?ticket={ticket}" if ticket else "/kit")


async def show_kit(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """Where a new code is asked for, and the way on without one."""
    return _show(people, visit, "", _ticket(form))


async def print_kit(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """A new code, shown once, to be typed back."""
    signed_in = visit.need()
    check_step_up(signed_in.session, visit.now_ms)
    code = await make_kit(people.registry, signed_in.account.id, visit.now_ms)
    return _show(people, visit, code, _ticket(form))


async def rehearse_kit(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """It was typed back: onboarding is finished, and what they came for goes on."""
    await rehearse(people.registry, visit.need().account.id, form.one("code"), visit.now_ms)
    ticket = _ticket(form)
    return go(visit, go_on_to(ticket) if ticket else "/me")


def _show(people: People, visit: Visit, code: str, ticket: str) -> SmartAnswer:
    done = is_onboarded(people.registry, visit.need().account.id)
    return render(visit, "kit", code=code, done=done, ticket=ticket, later=go_on_to(ticket))


def _ticket(form: Form) -> str:
    """The program's request that waits, '' for none: what can be no ticket is none."""
    ticket = form.one("ticket")
    return ticket if is_ticket(ticket) else ""
