"""Patients for the pages, asked of the node's own FHIR interface in the person's name: decided and logged as any look is."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from careledger.access.actor import Actor
from careledger.access.scopes import parse_scopes
from careledger.fhir.messages import FhirRequest
from careledger.smart.issuing import Server
from careledger.smart.sessions import SignedIn
from careledger.web.services import FhirHandler
from careledger.web.smart.asking import PatientRow

CLIENT: Final = "careledger-pages"
SHOWN_MAX: Final = 20
NAME_MAX: Final = 100
_SCOPES = parse_scopes("user/Patient.rs")


class Patients:
    """Looks patients up for somebody who is signed in."""

    def __init__(self, server: Server, fhir: FhirHandler) -> None:
        self._server = server
        self._fhir = fhir

    async def find(self, signed_in: SignedIn, name: str) -> Sequence[PatientRow]:
        """Those of that name whom the person may see; none for an empty name."""
        if not name.strip():
            return ()
        query = [("name", name.strip()[:NAME_MAX]), ("_count", str(SHOWN_MAX))]
        found = await self._ask(signed_in, ("Patient",), query)
        rows = [entry.get("resource", {}) for entry in (found or {}).get("entry", ())]
        return tuple(
            PatientRow(row["id"], name_of(row), row.get("birthDate", ""))
            for row in rows
            if row.get("resourceType") == "Patient"
        )

    async def name(self, signed_in: SignedIn, patient: str) -> str:
        """How the patient is called, '' if the person may not know."""
        found = await self._ask(signed_in, ("Patient", patient), [])
        return name_of(found) if found else ""

    async def _ask(
        self, signed_in: SignedIn, path: tuple[str, ...], query: list[tuple[str, str]]
    ) -> dict[str, Any] | None:
        actor = self._actor(signed_in)
        if actor is None:
            return None
        answer = await self._fhir.handle(FhirRequest("GET", path, query, {}, b"", actor, os.urandom(16)))
        if answer.status != 200:
            return None
        content: dict[str, Any] = msgspec.json.decode(answer.body)
        return content

    def _actor(self, signed_in: SignedIn) -> Actor | None:
        """The person as FHIR sees them; None for who sees no patients, or may not act now."""
        account = signed_in.account
        type, _, id = account.fhir_user.partition("/")
        if type != "Practitioner":
            return None
        standing = self._server.standing(account.did) if account.did else None
        if standing is not None and not standing.is_active:
            return None
        return Actor(
            subject=account.did or account.fhir_user,
            client=CLIENT,
            organisation=self._server.organisation,
            scopes=_SCOPES,
            practitioner=id,
            roles=(*account.roles, *(standing.roles if standing is not None else ())),
            account=account.id,
            did=account.did,
        )


def name_of(patient: Mapping[str, Any]) -> str:
    """A patient's name in one line."""
    for name in patient.get("name", ()):
        text = name.get("text") or " ".join([*name.get("given", ()), name.get("family", "")])
        if text.strip():
            return str(text.strip())
    return ""
