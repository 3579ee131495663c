"""My page: my passkeys, where I am signed in, the apps that I allowed, my guardian, whom I guard."""

from __future__ import annotations

from base64 import urlsafe_b64decode

from careledger.access.scopes import parse_scopes
from careledger.primitives.errors import Invalid
from careledger.smart.accounts import get_account
from careledger.smart.clients import get_client
from careledger.smart.grants import Grant, end_grants, list_grants
from careledger.smart.links import list_links
from careledger.smart.online import end_online
from careledger.smart.own import OWN
from careledger.smart.passkeys import list_passkeys, remove_passkey
from careledger.smart.recovery import (
    KITS,
    approve_as_guardian,
    find_open,
    is_onboarded,
    list_wards,
    name_guardian,
    stop,
)
from careledger.smart.sessions import check_step_up, end_all, end_session, list_sessions
from careledger.smart.tables import base64url
from careledger.smart.wording import Language, describe_scope, describe_session
from careledger.web.smart.dates import write_date
from careledger.web.smart.deciding import describe_deciding
from careledger.web.smart.messages import SmartAnswer
from careledger.web.smart.remembering import withdraw
from careledger.web.smart.rendering import render
from careledger.web.smart.screens import Form, People, go
from careledger.web.smart.telling import tell_page
from careledger.web.smart.visits import Visit


async def show_me(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """Everything that is mine here."""
    signed_in, registry, now_ms = visit.need(), people.registry, visit.now_ms
    account = signed_in.account
    kit = KITS.get(registry, account.id.encode())
    sessions = [
        {
            "key": base64url(one.key),
            "label": one.value.label,
            "used": write_date(one.value.seen_ms),
            "here": one.key == signed_in.key,
        }
        for one in list_sessions(registry, account, now_ms)
    ]
    passkeys = [
        {
            "id": base64url(one.id),
            "label": one.label,
            "used": write_date(one.used_ms),
            "synced": one.is_backed_up,
        }
        for one in list_passkeys(registry, account.id)
    ]
    return render(
        visit,
        "me",
        account=account,
        invited=tell_page(people, account, visit.language),
        passkeys=passkeys,
        links=[write_date(one.created_ms) for one in list_links(registry, account.id)],
        sessions=sessions,
        apps=[
            describe_grant(people, one, account.kind, visit.language)
            for one in list_grants(registry, account=account.id)
            if one.client != OWN  # our own application: it is where they are signed in
        ],
        is_onboarded=is_onboarded(registry, account.id),
        deciding=await describe_deciding(people, account),
        recovery=find_open(registry, account.id),
        guardian=kit.value.guardian if kit is not None else "",
        wards=_describe_wards(people, account.id),
    )


def describe_grant(people: People, grant: Grant, kind: str, language: Language) -> dict[str, object]:
    """An app that was allowed something, in the words of the consent."""
    client = get_client(people.registry, grant.client)
    scopes = parse_scopes(grant.scope)
    lines = [describe_scope(one, kind, language) for one in scopes.scopes]
    lines += [describe_session(word, language) for word in sorted(scopes.session)]
    return {
        "id": grant.id,
        "name": client.value.name if client is not None else grant.client,
        "lines": lines,
        "until": write_date(grant.expires_ms),
    }


def _describe_wards(people: People, guardian: str) -> list[dict[str, object]]:
    wards = []
    for id in list_wards(people.registry, guardian):
        account = get_account(people.registry, id)
        if account is not None:
            is_open = find_open(people.registry, id) is not None
            wards.append({"id": id, "name": account.value.name, "open": is_open})
    return wards


async def end_grants_of(people: People, account: str) -> None:
    """Every app that the account allowed is out, on every worker, when this returns."""
    await end_grants(people.registry, people.revoke, list_grants(people.registry, account=account))


async def drop_passkey(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """One passkey less; its sessions end with it."""
    signed_in = visit.need()
    check_step_up(signed_in.session, visit.now_ms)
    await remove_passkey(people.registry, signed_in.account.id, read_key(form.one("passkey")))
    await end_online(people.registry, people.revoke, signed_in.account, visit.now_ms)
    return go(visit, "/me")


async def end_one(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """One of my sessions is over."""
    account = visit.need().account
    await end_session(people.registry, account.id, read_key(form.one("session")))
    await end_online(people.registry, people.revoke, account, visit.now_ms)
    return go(visit, "/me")


async def end_others(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """All of them but this one."""
    signed_in = visit.need()
    await end_all(people.registry, signed_in.account.id, but=signed_in.key)
    await end_online(people.registry, people.revoke, signed_in.account, visit.now_ms)
    return go(visit, "/me")


async def end_app(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """The app is out at once."""
    await withdraw(people, visit, form.one("grant"))
    return go(visit, "/me")


async def choose_guardian(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """Who helps me back in; nobody, if the field is empty."""
    signed_in = visit.need()
    check_step_up(signed_in.session, visit.now_ms)
    await name_guardian(people.registry, signed_in.account.id, form.one("guardian").strip())
    return go(visit, "/me")


async def approve_ward(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """As a guardian I say yes; a ticket for the person, if this opened the recovery."""
    signed_in = visit.need()
    ticket = await approve_as_guardian(people.registry, signed_in, form.one("ward"), visit.now_ms)
    await people.record("recovery-approved", "guardian", signed_in.account.id, about=form.one("ward"))
    return render(visit, "given", ticket=ticket)


async def stop_recovery(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """Somebody else is recovering my account: no."""
    await stop(people.registry, visit.need().account.id)
    await people.record("recovery-stopped", "", visit.need().account.id)
    return go(visit, "/me")


def read_key(text: str) -> bytes:
    """An id as our page wrote it. Raises Invalid."""
    try:
        key = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        key = b""
    if not key or base64url(key) != text:
        raise Invalid("this is not what the page sends", hint="open the page again", code="key-invalid")
    return key
