"""Speaks to a FhirApp as the shell does, without sockets."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Coroutine
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from careledger.access.actor import Actor
from careledger.access.scopes import parse_scopes
from careledger.fhir.http import FhirApp
from careledger.fhir.messages import FhirRequest, FhirResponse

T = TypeVar("T")


def actor(
    scope: str = "system/*.cruds", *, patient: str = "", organisation: str = "did:careledger:house"
) -> Actor:
    return Actor("grace", "test-client", organisation, parse_scopes(scope), patient=patient)


class Client:
    """One caller. Every method returns the raw answer. A backend that lives in a loop of its own brings `run`."""

    def __init__(self, backend: Any, who: Actor | None = None, app: FhirApp | None = None) -> None:
        self.backend = backend
        self.who = who or actor(organisation=backend.organisation)
        self.app = app or FhirApp(backend)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        found: T = getattr(self.backend, "run", asyncio.run)(work)
        return found

    def as_(self, scope: str = "patient/*.cruds", *, patient: str = "") -> Client:
        return Client(
            self.backend, actor(scope, patient=patient, organisation=self.backend.organisation), self.app
        )

    async def asend(self, method: str, url: str, body: Any = None, **headers: str) -> FhirResponse:
        parts = urlsplit(url.removeprefix(self.backend.base_url).lstrip("/"))
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        if raw and b"content-type" not in sent:
            sent[b"content-type"] = b"application/fhir+json"
        path = tuple(unquote(part) for part in parts.path.split("/")) if parts.path else ()
        query = parse_qsl(parts.query, keep_blank_values=True)
        return await self.app.handle(FhirRequest(method, path, query, sent, raw, self.who, os.urandom(16)))

    def send(self, method: str, url: str, body: Any = None, **headers: str) -> FhirResponse:
        return self.run(self.asend(method, url, body, **headers))

    def get(self, url: str, **headers: str) -> FhirResponse:
        return self.send("GET", url, **headers)

    def post(self, url: str, body: Any, **headers: str) -> FhirResponse:
        return self.send("POST", url, body, **headers)

    def put(self, url: str, body: Any, **headers: str) -> FhirResponse:
        return self.send("PUT", url, body, **headers)

    def made(self, resource: dict[str, Any]) -> dict[str, Any]:
        """The resource as created."""
        answer = self.post(resource["resourceType"], resource)
        assert answer.status == 201, answer.body
        return of(answer)


def of(answer: FhirResponse) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.body)
    return found


def header(answer: FhirResponse, name: str) -> str:
    return dict(answer.headers).get(name.encode(), b"").decode()


def entries(answer: FhirResponse) -> list[dict[str, Any]]:
    return of(answer).get("entry", [])


def patient(family: str = "Ames", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "name": [{"family": family}], **more}


def observation(subject: str, code: str = "8867-4", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": f"Patient/{subject}"},
        "effectiveDateTime": "2026-01-02",
        **more,
    }


def practitioner(npi: str) -> dict[str, Any]:
    return {
        "resourceType": "Practitioner",
        "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": npi}],
        "name": [{"family": "Osler"}],
    }
