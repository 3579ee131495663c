"""Coming in: sign in, enrol by an invitation, recover."""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from careledger.primitives.errors import NotFound
from careledger.smart import online
from careledger.smart.acting import MayNotAct, check_acting
from careledger.smart.auditing import patient_of
from careledger.smart.invitations import accept, find_invited, read_invited
from careledger.smart.passkeys import (
    Verified,
    begin_registration,
    begin_sign_in,
    finish_sign_in,
    keep_passkey,
    read_registration,
)
from careledger.smart.recovery import (
    approve_with_code,
    check_ready,
    complete,
    find_ticket,
)
from careledger.smart.sessions import check_step_up, end_session, mark_verified
from careledger.smart.tables import Table
from careledger.web.smart.messages import SmartAnswer
from careledger.web.smart.mine import end_grants_of
from careledger.web.smart.rendering import render
from careledger.web.smart.screens import Form, People, go, tell
from careledger.web.smart.telling import tell_coming
from careledger.web.smart.visits import Visit

HALF_DONE_MS: Final = 900_000
HOME: Final = "/app"
WELCOME: Final = "/welcome"
"""Where somebody is at home after signing in: the web application."""
CONTINUE: Final = "/oauth/continue?ticket="
"""Where somebody goes on who had to sign in for a program's request."""
_TICKET = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class HalfDone(msgspec.Struct, frozen=True, kw_only=True):
    """A visitor who typed a code that holds, and has made no passkey yet. `key` is that of invitation or recovery."""

    purpose: Literal["enrol", "recover"]
    key: bytes
    account: str
    until_ms: int


HALF_DONE: Final = Table("request", HalfDone, b"entering:")

# Signing in


async def show_sign_in(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """The page, the same for everybody. `ticket` is of a program's request that waits."""
    ticket = form.one("ticket")
    own = f"/sign-in/provider?ticket={ticket}" if is_ticket(ticket) else "/sign-in/provider"
    return render(visit, "sign_in", next=arriving(ticket), provider=own if people.has_provider else "")


async def begin(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """Options for the passkey: of a visitor, or of somebody signed in who confirms."""
    account = visit.signed_in.account.id if visit.signed_in is not None else ""
    options = await begin_sign_in(people.registry, people.party, visit.binding, visit.now_ms, account=account)
    return tell(visit, options=options)


async def sign_in(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """The passkey's answer: a new session, never the one that the browser brought."""
    verified = await finish_sign_in(
        people.registry, people.party, visit.binding, visit.request.body, visit.now_ms
    )
    await take_in(people, visit, verified)
    return tell(visit, next="")


async def step_up(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """Somebody signed in confirmed with their own passkey."""
    signed_in = visit.need()
    await finish_sign_in(
        people.registry, people.party, visit.binding, visit.request.body, visit.now_ms,
        account=signed_in.account.id,
    )  # fmt: skip
    await mark_verified(people.registry, signed_in, visit.now_ms)
    return tell(visit, next="")


async def sign_out(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """This session is over."""
    signed_in = visit.need()
    await end_session(people.registry, signed_in.account.id, signed_in.key)
    await online.end_online(people.registry, people.revoke, signed_in.account, visit.now_ms)
    visit.send_away()
    return go(visit, "/sign-in")


async def take_in(
    people: People, visit: Visit, verified: Verified, *, verified_ms: int | None = None
) -> None:
    """A new session, however the person was verified; never the one that the browser brought, which ends.

    Raises MayNotAct for a practitioner whom the ledger does not have as active: then there is no session.
    """
    try:
        check_acting(verified.account, people.standing)
    except MayNotAct as error:
        await people.record("sign-in-refused", error.code, verified.account.id)
        raise
    await people.record("signed-in", "", verified.account.id)
    cookie, signed_in = await online.sign_in(
        people.registry, people.revoke, verified, visit.label, visit.now_ms,
        former=visit.session_cookie, verified_ms=verified_ms,
    )  # fmt: skip
    visit.take_in(cookie, signed_in)


def arriving(ticket: str) -> str:
    """Where whoever has just signed in arrives: the page that may remind them, then goes on (`onboarding`)."""
    return f"{WELCOME}?ticket={ticket}" if is_ticket(ticket) else WELCOME


def go_on_to(ticket: str) -> str:
    """Where to go after signing in: one of our own pages, never an address that somebody sent."""
    return CONTINUE + ticket if is_ticket(ticket) else HOME


def is_ticket(text: str) -> bool:
    """Whether it can be of a program's request."""
    return _TICKET.fullmatch(text) is not None


# Enrolling


async def show_enrol(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """Where the code of an invitation is typed."""
    return render(visit, "enrol")


async def enrol(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """The code holds: whose invitation it is, and the button for the passkey."""
    invited = await find_invited(
        people.registry, form.one("code"), visit.request.address, people.verify, visit.now_ms
    )
    account = invited.account
    await _keep_half(people, visit, "enrol", invited.found.key, account.id)
    return render(visit, "passkey", purpose="enrol", person=account.name, kind=account.kind)


async def begin_passkey(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """Options for the new passkey of somebody invited or recovering."""
    half = _half(people, visit)
    if half.purpose == "enrol":
        account = read_invited(people.registry, half.key, people.verify, visit.now_ms).account
    else:
        _, account = check_ready(people.registry, half.key, visit.now_ms)
    options = await begin_registration(
        people.registry, people.party, account, visit.binding, visit.now_ms, half.purpose
    )
    return tell(visit, options=options)


async def make_passkey(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """The new passkey: the account comes to be, or is recovered; and the person is signed in."""
    half = _half(people, visit)
    passkey = await read_registration(
        people.registry, people.party, half.account, visit.binding, visit.request.body,
        label=visit.label, now_ms=visit.now_ms, purpose=half.purpose,
    )  # fmt: skip
    address = visit.request.address
    if half.purpose == "enrol":
        invited = read_invited(people.registry, half.key, people.verify, visit.now_ms)
        account = await accept(people.registry, invited, passkey, address)
    else:
        account = await complete(people.registry, half.key, passkey, address, visit.now_ms)
        await end_grants_of(people, account.id)
    what = "enrolled" if half.purpose == "enrol" else "recovered"
    await people.record(
        what, "", account.id, patient=patient_of(account), told=tell_coming(people, what, account)
    )
    await take_in(people, visit, Verified(account, passkey))
    return tell(visit, next="/kit")


async def _keep_half(
    people: People, visit: Visit, purpose: Literal["enrol", "recover"], key: bytes, account: str
) -> None:
    until_ms = visit.now_ms + HALF_DONE_MS
    half = HalfDone(purpose=purpose, key=key, account=account, until_ms=until_ms)
    await people.registry.change(HALF_DONE.put(visit.binding, half, expires_ms=until_ms))


def _half(people: People, visit: Visit) -> HalfDone:
    found = HALF_DONE.get(people.registry, visit.binding)
    if found is None or visit.now_ms >= found.value.until_ms:
        raise NotFound("this took too long", hint="type your code again", code="entering-over")
    return found.value


# Recovering


async def show_recover(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """Where the printed code or a ticket is typed."""
    return render(visit, "recover", ticket="", counted=False)


async def recover_with_code(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """The printed code says yes; a ticket, if this opened the recovery."""
    ticket = await approve_with_code(people.registry, form.one("code"), visit.request.address, visit.now_ms)
    await people.record("recovery-approved", "printed code", "")
    return render(visit, "recover", ticket=ticket, counted=True)


async def recover_with_ticket(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """How far the recovery is; when it is ready, the button for the new passkey."""
    found = await find_ticket(people.registry, form.one("ticket"), visit.request.address, visit.now_ms)
    recovery = found.value
    if not recovery.ready_ms or visit.now_ms < recovery.ready_ms:
        return render(visit, "recovering", recovery=recovery)
    _, account = check_ready(people.registry, found.key, visit.now_ms)
    await _keep_half(people, visit, "recover", found.key, account.id)
    return render(visit, "passkey", purpose="recover", person=account.name, kind=account.kind)


# Another passkey


async def begin_another(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """Options for one more passkey of somebody signed in and freshly verified."""
    signed_in = visit.need()
    check_step_up(signed_in.session, visit.now_ms)
    options = await begin_registration(
        people.registry, people.party, signed_in.account, visit.binding, visit.now_ms, "add"
    )
    return tell(visit, options=options)


async def add_another(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """One more passkey."""
    signed_in = visit.need()
    check_step_up(signed_in.session, visit.now_ms)
    passkey = await read_registration(
        people.registry, people.party, signed_in.account.id, visit.binding, visit.request.body,
        label=visit.label, now_ms=visit.now_ms, purpose="add",
    )  # fmt: skip
    await people.registry.change(*keep_passkey(people.registry, passkey))
    return tell(visit, next="/me")
