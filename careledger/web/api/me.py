"""`/api/me`: who is signed in, for the application's frame. Nothing of a chart."""

from __future__ import annotations

from typing import Any, Final

from careledger.access.actor import Actor
from careledger.fhir.messages import FhirResponse
from careledger.node.explorer import Explorer
from careledger.smart.accounts import Account, get_account
from careledger.smart.personas import list_personas
from careledger.smart.wording import LANGUAGES
from careledger.web.api.messages import ApiRequest, answer
from careledger.web.api.parts import Found, Parts

ACCEPT_BYTES_MAX: Final = 200
FEATURES: Final = ("receipts", "exports", "accesses", "consents", "watch", "ledger")


async def show(parts: Parts, request: ApiRequest, found: Found) -> FhirResponse:
    """Who the token's person is, and where they are signed in."""
    request.parameters()
    actor = request.caller
    registry = parts.authority.server.registry
    known = get_account(registry, actor.account) if actor.account else None
    with parts.reader.snapshot() as snapshot:
        ledger = Explorer(snapshot)
        chain, is_network, own = ledger.chain, ledger.is_network, snapshot.place(0)[0]
        name = ledger.name_of(own)
    return answer(
        {
            **_person(actor, None if known is None else known.value),
            "language": _language(request),
            "organisation": {
                "name": parts.authority.name or name,
                "did": parts.context.backend.organisation,
            },
            "chain": chain,
            "mode": "network" if is_network else "embedded",
            "is_demo": bool(list_personas(registry)),
            "is_explorer_open": parts.config.explorer.open,
            "features": [*FEATURES, *(("network",) if is_network else ())],
        }
    )


def _person(actor: Actor, account: Account | None) -> dict[str, Any]:
    patient = f"Patient/{actor.patient}" if actor.patient and not actor.practitioner else ""
    practitioner = f"Practitioner/{actor.practitioner}" if actor.practitioner else ""
    return {
        "kind": account.kind
        if account is not None
        else "patient"
        if patient
        else "clinician"
        if practitioner
        else "",
        "name": "" if account is None else account.name,
        "account": actor.account,
        "fhir_user": (account.fhir_user if account is not None else "") or practitioner or patient,
        "patient": actor.patient,
        "practitioner": actor.practitioner,
        "did": actor.did,
        "roles": list(actor.roles),
        "duties": [] if account is None else list(account.duties),
        "purpose": actor.purpose,
        "scope": str(actor.scopes),
        "client": actor.client,
        "expires_ms": actor.expires_ms,
    }


def _language(request: ApiRequest) -> str:
    """The first of our languages that the browser asks for."""
    said = request.headers.get(b"accept-language", b"")[:ACCEPT_BYTES_MAX].decode("latin-1")
    named = [part.partition(";")[0].partition("-")[0].strip().lower() for part in said.split(",")]
    return next((one for one in named if one in LANGUAGES), LANGUAGES[0])
