"""Who is here: what the web application asks when it is opened (docs/spec/api.md)."""

from __future__ import annotations

from careledger.smart.clients import find_client
from careledger.smart.own import OWN
from careledger.smart.personas import list_personas
from careledger.smart.recovery import is_onboarded
from careledger.smart.sessions import IDLE_MS, SignedIn
from careledger.web.smart.messages import SmartAnswer
from careledger.web.smart.screens import Form, People, tell
from careledger.web.smart.visits import Visit


async def tell_house(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """The house's name, and who is signed in at this browser, if anybody is. Being asked for keeps a session alive."""
    session = None if visit.signed_in is None else describe(people, visit, visit.signed_in)
    return tell(
        visit,
        name=people.party.name,
        isDemo=bool(list_personas(people.registry)),
        isLedgerOpen=people.is_ledger_open,
        isAppOn=find_client(people.registry, OWN) is not None,
        language=visit.language,
        session=session,
    )


def describe(people: People, visit: Visit, signed_in: SignedIn) -> dict[str, object]:
    """The person, in what their own page shows of them."""
    account = signed_in.account
    return {
        "kind": account.kind,
        "account": account.id,
        "name": account.name,
        "fhirUser": account.fhir_user,
        "csrf": visit.csrf,
        "idle": IDLE_MS[account.kind] // 1000,
        "fresh": visit.fresh_seconds,
        "isOnboarded": is_onboarded(people.registry, account.id),
    }
