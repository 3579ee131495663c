"""Signing on the ledger with a passkey: the page says exactly what is signed, one gesture signs it, the ledger has it.

Before the first statement the passkey becomes the practitioner's key on the ledger, by a gesture of the same kind: a new
practitioner for an account without DID, another key for one that has it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from careledger.primitives.errors import Conflict, NotFound, Unavailable
from careledger.smart.accounts import ACCOUNTS, Account, get_account
from careledger.smart.credentials import read_answer
from careledger.smart.passkeys import Passkey, list_passkeys
from careledger.smart.signing import (
    KEPT_MS,
    Purpose,
    Signed,
    Signing,
    begin,
    find,
    finish,
    forget,
    is_for_ledger,
    keep,
    ledger_key,
    new_salt,
    read_text,
)
from careledger.smart.tables import base64url
from careledger.web.smart.dates import write_date
from careledger.web.smart.messages import SmartAnswer
from careledger.web.smart.mine import read_key
from careledger.web.smart.rendering import render
from careledger.web.smart.screens import Form, People, go, tell
from careledger.web.smart.visits import Visit

PAGE = "/sign"


async def show_sign(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """Where a statement is written; before that, where a passkey is chosen for the ledger; after it, what was signed."""
    account = visit.need().account
    found = find(people.registry, visit.binding, account.id, visit.now_ms)
    if found is not None and found.value.height:
        return render(visit, "signed", signing=found.value, statement=found.value.statement.hex())
    passkeys = [one for one in list_passkeys(people.registry, account.id) if is_for_ledger(one)]
    own = await _find_own(people, account, passkeys)
    choices = [
        {"id": base64url(one.id), "label": one.label, "used": write_date(one.used_ms)} for one in passkeys
    ]
    return render(visit, "sign", did=account.did, is_ready=own is not None, choices=choices)


async def write(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """A statement was written: the page that says exactly what the gesture signs. Raises Invalid, Conflict."""
    account = visit.need().account
    text = read_text(form.one("text"))
    own = await _find_own(people, account, list_passkeys(people.registry, account.id))
    if own is None:
        raise Conflict("your passkey is not on the ledger yet", hint="choose one first", code="no-ledger-key")
    signing = _wait_for(visit, "statement", own, account)
    return await _confirm(people, visit, msgspec.structs.replace(signing, text=text, salt=new_salt()), own)


async def choose_key(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """A passkey was chosen for the ledger: the page that says what that means. Raises Invalid, NotFound."""
    account, id = visit.need().account, read_key(form.one("passkey"))
    passkey = next((one for one in list_passkeys(people.registry, account.id) if one.id == id), None)
    if passkey is None:
        raise NotFound("this passkey is not yours", hint="open the page again")
    key = ledger_key(passkey, people.party)
    looked = await _call(people, "practitioner.look", {"did": account.did, "keys": [tuple(key)]})
    owner = str(looked["owners"][0])
    if owner and not account.did:  # it came to the ledger, and the answer was lost
        await _adopt(people, account, owner)
        return go(visit, PAGE)
    signing = _wait_for(visit, "rotate" if account.did else "register", passkey, account)
    return await _confirm(people, visit, signing, passkey)


async def options(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """Options for the gesture; its challenge is the transaction that is sent if it holds."""
    account = visit.need().account
    found = find(people.registry, visit.binding, account.id, visit.now_ms)
    passkey = _passkey_of(people, account, found.value if found is not None else None)
    if found is None or passkey is None:
        raise NotFound("this took too long", hint="begin again", code="signing-over")
    prepared = await _call(people, "practitioner.prepare", {})
    return tell(visit, options=await begin(people.registry, people.party, found, passkey, prepared))


async def answer(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """The gesture: recorded, sent, and on the ledger when this returns. Raises PasskeyRefused, Conflict, NotFound."""
    account = visit.need().account
    found = find(people.registry, visit.binding, account.id, visit.now_ms)
    passkey = _passkey_of(people, account, found.value if found is not None else None)
    signed = await finish(people.registry, people.party, found, passkey, read_answer(visit.request.body))
    signing = signed.signing
    about = signing.statement.hex() if signing.purpose == "statement" else signing.did
    await people.record("signs", signing.purpose, account.id, about=about)
    await _send(people, visit, account, signed)
    return tell(visit, next=PAGE)


async def begin_anew(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """What waited, or was shown, is forgotten here; on the ledger it stays."""
    await forget(people.registry, visit.binding)
    return go(visit, PAGE)


async def _send(people: People, visit: Visit, account: Account, signed: Signed) -> None:
    command = "sign" if signed.signing.purpose == "statement" else signed.signing.purpose
    result = await _call(people, f"practitioner.{command}", dict(signed.given))
    if command == "register":
        await _adopt(people, account, str(result["did"]))
    if command == "sign":
        done = msgspec.structs.replace(signed.signing, id=b"", height=int(result["height"]))
        await keep(people.registry, visit.binding, done)
    else:
        await forget(people.registry, visit.binding)


async def _adopt(people: People, account: Account, did: str) -> None:
    """The account is that practitioner's on the ledger from now on. Raises Conflict if it is another's already."""
    found = get_account(people.registry, account.id)
    if found is None or found.value.did not in ("", did):
        raise Conflict("this account stands for another practitioner", hint="ask your organisation")
    await people.registry.change(ACCOUNTS.renew(found, msgspec.structs.replace(found.value, did=did)))


async def _confirm(people: People, visit: Visit, signing: Signing, passkey: Passkey) -> SmartAnswer:
    await keep(people.registry, visit.binding, signing)
    statement = signing.statement.hex() if signing.purpose == "statement" else ""
    return render(visit, "sign_confirm", signing=signing, statement=statement, label=passkey.label)


def _wait_for(visit: Visit, purpose: Purpose, passkey: Passkey, account: Account) -> Signing:
    return Signing(
        purpose=purpose,
        account=account.id,
        passkey=passkey.id,
        did=account.did,
        until_ms=visit.now_ms + KEPT_MS,
    )


async def _find_own(people: People, account: Account, passkeys: list[Passkey]) -> Passkey | None:
    """The passkey of the account that signs for its DID now, if one does."""
    if not account.did:
        return None
    looked = await _call(people, "practitioner.look", {"did": account.did, "keys": []})
    standing = (looked["algorithm"], looked["key"])
    return next(
        (one for one in passkeys if is_for_ledger(one) and ledger_key(one, people.party) == standing), None
    )


def _passkey_of(people: People, account: Account, signing: Signing | None) -> Passkey | None:
    passkeys = list_passkeys(people.registry, account.id) if signing is not None else []
    return next((one for one in passkeys if signing is not None and one.id == signing.passkey), None)


async def _call(people: People, name: str, params: dict[str, Any]) -> dict[str, Any]:
    if people.call is None:
        raise Unavailable("the writer is out of reach", hint="try again in a minute")
    return await people.call(name, params)
