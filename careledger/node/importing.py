"""Import: files go through the same interactions as HTTP, on behalf of the operator."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from careledger.access.actor import Actor
from careledger.access.scopes import parse_scopes
from careledger.fhir.http import FhirApp
from careledger.fhir.messages import FhirRequest, FhirResponse
from careledger.node.sources import Source, list_files, read_sources

CLIENT = "careledger import"
SCOPE = "system/*.cruds"
HEADERS = {b"content-type": b"application/fhir+json", b"prefer": b"return=minimal"}


class _Issue(msgspec.Struct):
    diagnostics: str = ""
    expression: list[str] = []


class _Outcome(msgspec.Struct):
    issue: list[_Issue] = []


class _Response(msgspec.Struct):
    status: str = ""
    outcome: _Outcome = msgspec.field(default_factory=_Outcome)


class _Entry(msgspec.Struct):
    response: _Response = msgspec.field(default_factory=_Response)


class _Answer(msgspec.Struct):
    entry: list[_Entry] = []


_decode_answer = msgspec.json.Decoder(_Answer).decode


async def run(
    fhir: FhirApp, organisation: str, paths: list[Path], progress: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Load every Bundle, file by file. Failures are named by file and entry, never by content."""
    actor = Actor(subject=CLIENT, client=CLIENT, organisation=organisation, scopes=parse_scopes(SCOPE))
    resources = bundles = 0
    failures: list[dict[str, str]] = []
    files = list_files(paths)
    for done, file in enumerate(files):
        progress({"what": "importing", "done": done, "total": len(files)})
        for source in read_sources(file):
            problems = await _send(fhir, actor, source)
            bundles += 1
            resources += source.resources - min(len(problems), source.resources)
            failures += [{"source": source.name, "message": problem} for problem in problems]
    progress({"what": "importing", "done": len(files), "total": len(files)})
    return {"resources": resources, "bundles": bundles, "failures": failures}


async def _send(fhir: FhirApp, actor: Actor, source: Source) -> list[str]:
    response = await fhir.handle(FhirRequest("POST", (), [], HEADERS, source.bundle, actor, os.urandom(16)))
    if response.status >= 400:
        return [f"status {response.status}: {_diagnostics(response)}"] * max(1, source.resources)
    entries = _decode_answer(response.body).entry
    return [
        f"entry {number}: status {entry.response.status}{_because(entry.response.outcome)}"
        for number, entry in enumerate(entries)
        if entry.response.status[:1] in ("4", "5")
    ]


def _diagnostics(response: FhirResponse) -> str:
    """What the OperationOutcome says; it holds no patient data."""
    try:
        return _because(msgspec.json.decode(response.body, type=_Outcome)).removeprefix(": ")
    except msgspec.DecodeError:
        return "no outcome"


def _because(outcome: _Outcome) -> str:
    said = "; ".join(" ".join((issue.diagnostics, *issue.expression)) for issue in outcome.issue[:3])
    return f": {said}" if said else ""
