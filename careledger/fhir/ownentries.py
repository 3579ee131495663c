"""What a patient wrote herself bears a mark, and she changes nothing else (docs/spec/consent.md, "What she writes").

The mark is a `meta.tag` of R4's, v3 ObservationValue PATAST, "patient asserted". The node puts it on whatever the patient
writes; of others only programs of the organisation (imports, `system/` tokens) bring it, with what comes from elsewhere.
Clinicians who correct her entry may keep or drop it. It tells whose entry this is, not who wrote which version: that is
the author in the version's leaf.
"""

from __future__ import annotations

from typing import Any, Final

from careledger.access.actor import Actor
from careledger.access.decision import Decision
from careledger.fhir import json
from careledger.fhir.asking import Asking
from careledger.fhir.authority import Denied
from careledger.fhir.json import Received
from careledger.fhir.refusals import Refused
from careledger.vault.model import Snapshot, Version

SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
CODE: Final = "PATAST"
_MARK: Final = {"system": SYSTEM, "code": CODE, "display": "patient asserted"}

RULE: Final = "not-your-entry"
"""Stands in the access entry of such a refusal. No decision has it: the chart is hers, the entry is not."""


class NotYourEntry(Denied):
    """A patient changes what others wrote about her: 403, entered in the log as denied, nothing written."""

    code = RULE

    def __init__(self, height: int) -> None:
        super().__init__(Decision(False, (), RULE, (), height), hide=False)
        self.message = "This entry was not written by you: it stays as it is."
        self.hint = "say what is wrong beside it: a Communication about it"


def check_own(asking: Asking, current: Version) -> None:
    """Raise NotYourEntry if the caller is the patient herself, and this version bears no mark. Ask `allow_change` first."""
    if asking.actor.is_patient_herself and not _is_hers(asking.snapshot, current):
        raise NotYourEntry(asking.height)


def mark_new(actor: Actor, new: Received) -> Received:
    """As it is stored: what the patient herself writes is marked. Raises Refused(422) for a mark that is not the caller's."""
    if actor.is_patient_herself:
        return _marked(new)
    if _bears(new.resource) and not _brings(actor):
        raise Refused(
            422,
            "business-rule",
            "Only the patient's own entries say that the patient asserts them.",
            hint="leave the tag PATAST out",
            where=f"{new.resource['resourceType']}.meta.tag",
        )
    return new


def mark_next(asking: Asking, new: Received, current: Version | None) -> Received:
    """As `mark_new`, for the version after `current`, whose mark anybody may keep."""
    if current is not None and not asking.actor.is_patient_herself and _bears(new.resource):
        if _is_hers(asking.snapshot, current):
            return new
    return mark_new(asking.actor, new)


def _brings(actor: Actor) -> bool:
    """A program that acts for itself, on nobody's behalf."""
    scopes = actor.scopes.scopes
    return (
        not (actor.account or actor.practitioner or actor.patient_bound)
        and bool(scopes)
        and all(scope.level == "system" for scope in scopes)
    )


def _is_hers(snapshot: Snapshot, current: Version) -> bool:
    """The version bears the mark; of what was deleted, the version before."""
    if current.deleted:
        versions = snapshot.versions(current.type, current.id)
        found = next((one for one in versions if not one.deleted), None)
        return found is not None and _bears(json.loads(snapshot.body(found)))
    return _bears(json.loads(snapshot.body(current)))


def _bears(resource: dict[str, Any]) -> bool:
    """Of a resource that conforms to R4."""
    tags = resource.get("meta", {}).get("tag", ())
    return any(tag.get("code") == CODE and tag.get("system") == SYSTEM for tag in tags)


def _marked(new: Received) -> Received:
    if _bears(new.resource):
        return new
    meta = new.resource.get("meta", {})
    return Received({**new.resource, "meta": {**meta, "tag": [*meta.get("tag", ()), dict(_MARK)]}})
