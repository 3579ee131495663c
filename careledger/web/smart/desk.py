"""The administrators' desk: accounts, invitations, what needs a second person; and the developers' launcher.

Every act is checked against its duty where it is done (`duties.py`), not where its button is drawn.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode, urlsplit

import msgspec

from careledger.primitives.errors import Invalid, NotPermitted
from careledger.smart import launches
from careledger.smart.accounts import DUTIES, FHIR_TYPE_OF, Account, Kind, list_accounts
from careledger.smart.administering import (
    account_of,
    choose_disable,
    choose_invite,
    disable,
    disabling,
    enable,
    request_invitation,
)
from careledger.smart.auditing import patient_of
from careledger.smart.clients import Client, list_clients
from careledger.smart.duties import (
    ACTS,
    ActRequest,
    approve_act,
    check_alone,
    find_approved,
    list_requests,
    refuse_act,
    request_act,
)
from careledger.smart.invitations import invite, list_invitations, withdraw
from careledger.smart.launches import Launch
from careledger.smart.recovery import approve_as_organisation
from careledger.smart.sessions import check_step_up
from careledger.smart.tables import base64url
from careledger.web.smart.dates import write_date
from careledger.web.smart.messages import SmartAnswer
from careledger.web.smart.mine import end_grants_of, read_key
from careledger.web.smart.rendering import cookies_of, render
from careledger.web.smart.screens import Form, People, go, tell
from careledger.web.smart.telling import name_of
from careledger.web.smart.visits import Visit

KINDS: dict[str, Kind] = {"patient": "patient", "clinician": "clinician", "administrator": "administrator"}

OURS = ("disable-last-administrator", "approve-recovery")
"""Dangerous acts that are done here, asked for by the id of an account."""


async def show_desk(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """Accounts, invitations and requests, for whose duty they are."""
    return _desk(people, visit)


def _desk(people: People, visit: Visit, *, code: str = "", ticket: str = "", said: str = "") -> SmartAnswer:
    me = visit.need().account
    has_users = "users" in me.duties
    invitations = [
        {"key": base64url(key), "name": one.name, "kind": one.kind, "until": write_date(one.until_ms)}
        for key, one in (list_invitations(people.registry) if has_users else [])
    ]
    requests = [
        {
            "key": base64url(one.key),
            "act": one.value.act,
            "subject": one.value.subject,
            "reason": one.value.reason,
            "by": name_of(people, one.value.by),
            "mine": one.value.by == me.id,
            "invited": one.value.invited,
        }
        for one in list_requests(people.registry)
        if one.value.act in ACTS and ACTS[one.value.act].duty in me.duties
    ]
    askable = [name for name in _list_askable(people) if ACTS[name].duty in me.duties]
    return render(
        visit,
        "desk",
        accounts=list_accounts(people.registry) if has_users else [],
        has_users=has_users,
        has_audit="audit" in me.duties,
        invitations=invitations,
        requests=requests,
        askable=askable,
        duties=DUTIES,
        code=code,
        ticket=ticket,
        said=said,
    )


def _list_askable(people: People) -> list[str]:
    """Dangerous acts that can be asked for here: our own, and those of the node that it does for the pages."""
    return [name for name in ACTS if name in OURS or name in people.perform]


async def invite_somebody(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """The request for an invitation, which another administrator approves; its code at once for the only one there is."""
    signed_in = visit.need()
    check_step_up(signed_in.session, visit.now_ms)
    account, me = _read_invited(form), signed_in.account
    act = choose_invite(people.registry, me, account.kind)
    if ACTS[act].needs_two:
        reason = form.one("reason") or "invitation"
        await request_invitation(people.registry, me, account, reason, visit.now_ms)
        await people.record("requested", act, me.id, about=account.fhir_user)
        return _desk(people, visit, said="desk.requested")
    check_alone(me, act)
    return _desk(people, visit, code=await _invite(people, visit, account, me.id))


async def _invite(people: People, visit: Visit, account: Account, by: str) -> str:
    """The code, for the second of the two who agreed: the one who asked never sees it."""
    me = visit.need().account.id
    approved_by = me if me != by else ""
    await people.record("invited", account.kind, me, about=account.fhir_user)
    return await invite(
        people.registry,
        account,
        people.organisation,
        people.sign,
        visit.now_ms,
        by=by,
        approved_by=approved_by,
    )


def _read_invited(form: Form) -> Account:
    kind = KINDS.get(form.one("kind"))
    if kind is None:
        raise Invalid("choose what the person is invited as", code="account-kind")
    id, type = form.one("record").strip(), FHIR_TYPE_OF[kind]
    if (not id) != (not type):
        raise Invalid(
            "a patient or clinician is invited with the id of their record, an administrator without",
            code="account-fhir-user",
        )
    roles = tuple(sorted({word.strip() for word in form.one("roles").split(",") if word.strip()}))
    duties = tuple(duty for duty in DUTIES if duty in form.all("duty"))
    return Account(
        id="", kind=kind, name=form.one("name").strip(), fhir_user=f"{type}/{id}" if type else "", roles=roles, duties=duties
    )  # fmt: skip


async def withdraw_invitation(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """The code does not hold any more."""
    me = visit.need().account
    check_alone(me, "withdraw-invitation")
    await withdraw(people.registry, read_key(form.one("invitation")))
    await people.record("withdrawn", "invitation", me.id)
    return go(visit, "/desk")


async def disable_account(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """The account opens nothing any more; or the request for it, where two must agree."""
    signed_in, id = visit.need(), form.one("account")
    check_step_up(signed_in.session, visit.now_ms)
    act = choose_disable(people.registry, id)
    if ACTS[act].needs_two:
        reason = form.one("reason") or "disable"
        await request_act(people.registry, signed_in.account, act, id, reason, visit.now_ms)
        await people.record("requested", act, signed_in.account.id, about=id)
        return _desk(people, visit, said="desk.requested")
    await disable(people.registry, signed_in.account, id)
    await end_grants_of(people, id)
    await _record_change(people, "disabled", id, signed_in.account.id)
    return go(visit, "/desk")


async def enable_account(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """The account's passkeys sign in again."""
    signed_in = visit.need()
    check_step_up(signed_in.session, visit.now_ms)
    await enable(people.registry, signed_in.account, form.one("account"))
    await _record_change(people, "enabled", form.one("account"), signed_in.account.id)
    return go(visit, "/desk")


async def _record_change(people: People, what: str, id: str, by: str) -> None:
    patient = patient_of(account_of(people.registry, id))
    told = f"the account of this patient was {what} by {name_of(people, by)}"
    await people.record(what, "", by, about=id, patient=patient, told=told)


# Two persons


async def ask_for_act(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """A dangerous act is asked for."""
    signed_in = visit.need()
    check_step_up(signed_in.session, visit.now_ms)
    act, subject = form.one("act"), form.one("subject").strip()
    if act not in _list_askable(people):
        raise Invalid("this cannot be asked for here", hint="choose one of the list", code="act-elsewhere")
    await request_act(people.registry, signed_in.account, act, subject, form.one("reason"), visit.now_ms)
    await people.record("requested", act, signed_in.account.id, about=subject)
    return _desk(people, visit, said="desk.requested")


async def approve(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """The second person says yes: what was asked for is done."""
    signed_in = visit.need()
    check_step_up(signed_in.session, visit.now_ms)
    key, me = read_key(form.one("request")), signed_in.account
    asked = find_approved(people.registry, me, key, visit.now_ms).value
    if asked.act == "disable-last-administrator":
        await approve_act(people.registry, me, key, visit.now_ms, *disabling(people.registry, asked.subject))
        await end_grants_of(people, asked.subject)
        said = _desk(people, visit, said="desk.done")
    else:
        said = await _perform(people, visit, key, asked)
    await people.record("approved", asked.act, me.id, about=asked.subject)
    return said


async def _perform(people: People, visit: Visit, key: bytes, asked: ActRequest) -> SmartAnswer:
    me, registry = visit.need().account, people.registry
    if asked.act == "approve-recovery":
        await approve_act(registry, me, key, visit.now_ms)
        ticket = await approve_as_organisation(registry, asked.subject, (asked.by, me.id), visit.now_ms)
        return _desk(people, visit, ticket=ticket, said="desk.done")
    if asked.invited is not None:
        await approve_act(registry, me, key, visit.now_ms)
        return _desk(people, visit, code=await _invite(people, visit, asked.invited, asked.by))
    perform = people.perform.get(asked.act)
    if perform is None:
        raise NotPermitted("this is done on the command line", hint="careledger --help", code="act-elsewhere")
    await approve_act(registry, me, key, visit.now_ms)
    await perform(asked.subject)
    return _desk(people, visit, said="desk.done")


async def refuse(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """The second person says no, or the first thinks better of it."""
    me, key = visit.need().account, read_key(form.one("request"))
    await refuse_act(people.registry, me, key)
    await people.record("declined", "", me.id)
    return go(visit, "/desk")


# Launching apps


LAUNCHABLE_MAX: Final = 100
"""So many apps the launcher shows, the newest: the page's policy names the origin of each."""


async def show_launcher(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """The apps that have a launch address; the form's answer leads to theirs."""
    clients = _launchable(people)
    targets = sorted({origin_of(one.launch_uri) for one in clients})
    return render(visit, "launcher", form_target=" ".join(targets), clients=clients)


async def launch(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """The app opens with the context."""
    context = launches.read_context(form.one("patient"), form.one("encounter"), form.one("intent"))
    url = await _begin_launch(people, visit, form.one("client"), context)
    return SmartAnswer(303, b"", [(b"location", url.encode("ascii")), *cookies_of(visit)])


async def list_apps(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """The same apps, for the chart's page: name, and the host that each opens at."""
    apps = [
        {"id": one.id, "name": one.name, "host": urlsplit(one.launch_uri).netloc}
        for one in _launchable(people)
    ]
    return tell(visit, apps=apps)


class AppOpened(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which app, with which patient."""

    client: str
    patient: str


async def open_app(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """Where the app opens with the chart's patient. The page opens it in a tab of its own: no form leads there."""
    try:
        asked = msgspec.json.decode(visit.request.body, type=AppOpened)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Invalid("this is not what the page sends", code="launch-form") from None
    context = launches.read_context(asked.patient, "", "")
    return tell(visit, url=await _begin_launch(people, visit, asked.client, context))


async def _begin_launch(people: People, visit: Visit, id: str, context: dict[str, str]) -> str:
    """The app's address for this launch, with an opaque value, never the patient (SMART App Launch 2.2)."""
    account = visit.need().account
    client = next((one for one in _launchable(people) if one.id == id), None)
    if client is None:
        raise Invalid("choose an app", code="launch-client")
    asked = Launch(client=client.id, account=account.id, context={**context, "need_patient_banner": "true"})
    value = await launches.begin(people.registry, asked, visit.now_ms)
    separator = "&" if urlsplit(client.launch_uri).query else "?"
    return client.launch_uri + separator + urlencode({"iss": people.base, "launch": value})


def _launchable(people: People) -> list[Client]:
    found = [one for one in list_clients(people.registry) if one.launch_uri and not one.is_disabled]
    return found[-LAUNCHABLE_MAX:]


def origin_of(url: str) -> str:
    """Scheme and host of a program's address, for `form-action`; `scheme:` of a native one."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") else f"{parts.scheme}:"
