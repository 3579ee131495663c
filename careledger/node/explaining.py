"""`consent explain`: the decision on one read, as it would be taken now, and nothing of what would be read."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import msgspec

from careledger.access.actor import Actor
from careledger.access.decision import RULES, Decision
from careledger.access.scopes import parse_scopes
from careledger.access.tokens import TokenVerifier
from careledger.fhir.asking import ask
from careledger.fhir.authority import judge
from careledger.fhir.messages import FhirRequest
from careledger.node.consents import operator_entry, read_params
from careledger.primitives.errors import Invalid, NotFound
from careledger.vault.model import HOUSE_CHART, Snapshot, Version

if TYPE_CHECKING:
    from careledger.node.commands import CommandContext, Progress

CLIENT_SCOPE = "system/*.cruds"
_CLIENT = re.compile(r"[^\x00-\x1f\x7f]{1,256}")
_REFERENCE = re.compile(r"([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})", re.ASCII)


class ExplainParams(msgspec.Struct, forbid_unknown_fields=True):
    """`actor` is a bearer token of this node, or the name of a client of its organisation; `reference` is TYPE/ID."""

    actor: str
    reference: str


async def explain(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Permit or not, by which rule and directives, as of which height. The question is in the house's access log."""
    asked = read_params(params, ExplainParams)
    actor = actor_of(node, asked.actor)
    found = _REFERENCE.fullmatch(asked.reference)
    if found is None:
        raise Invalid("this names no resource", hint="TYPE/ID, e.g. Observation/123")
    with node.reader.snapshot() as snapshot:
        version = snapshot.current(found[1], found[2])
        if version is None or version.deleted:
            raise NotFound("there is no such resource", hint="explain what is there: TYPE/ID")
        decision = judge_read(node, snapshot, actor, version)
    what = f"explain to {actor.client}: {asked.reference}"
    await node.backend.log_access((operator_entry(node, HOUSE_CHART, "explain", what, decision.height),))
    return {
        "permit": decision.permit,
        "answer": RULES[decision.rule],
        "rule": decision.rule,
        "directives": list(decision.directives),
        "height": decision.height,
    }


def actor_of(node: CommandContext, text: str) -> Actor:
    """The caller behind a token (raises Unauthenticated if it does not hold), or a client of the custodian for TREAT."""
    if text.count(".") == 2:
        issuer = node.issuer
        verifier = TokenVerifier(
            issuer.public_key,
            node.home.did,
            node.home.file.chain_id,
            node.backend.is_revoked,
            node.backend.now_ms,
        )
        return verifier.authenticate(b"Bearer " + text.encode())
    if not _CLIENT.fullmatch(text):
        raise Invalid(
            "this is neither a token nor a client's name", hint="a token, @FILE with one, or a name"
        )
    return Actor(subject=text, client=text, organisation=node.home.did, scopes=parse_scopes(CLIENT_SCOPE))


def judge_read(node: CommandContext, snapshot: Snapshot, actor: Actor, version: Version) -> Decision:
    """What a read of this version would be decided to be: the path that a read over FHIR takes."""
    path = (version.type, version.id)
    request = FhirRequest("GET", path, [], {}, b"", actor, os.urandom(16))
    return judge(ask(node.fhir.context, request, snapshot), "read", version.type, version)
