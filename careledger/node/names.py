"""What those are called whom a directive names, and that what was shown when it was signed is what it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from careledger.access.directives import Controller, Text
from careledger.contracts.identity import SUBJECT, SUBJECTS
from careledger.fhir.json import loads
from careledger.primitives.errors import Invalid
from careledger.primitives.types import DID_PREFIX, parse_did
from careledger.smart.consenting import compute_text_digest
from careledger.smart.directive_words import compose_shown
from careledger.vault.model import Snapshot

NAME_CHARACTERS_MAX = 80


def names_of(snapshot: Snapshot, dids: Iterable[str], practitioners: Iterable[str]) -> dict[str, str]:
    """By DID or logical id: what the ledger calls a DID, and this home's records a practitioner; unknown ones are left out."""
    found = {did: _name_of_did(snapshot, did) for did in dids}
    found |= {id: _name_of_practitioner(snapshot, id) for id in practitioners}
    return {key: _plain(name) for key, name in found.items() if _plain(name)}


def check_shown(snapshot: Snapshot, text: Text, custodian: str, controller: Controller, told: bytes) -> None:
    """Raises Invalid unless the page showed exactly what a directive under a passkey says, in its language.

    A key file signs without a page: its directive may show nothing. What an app is allowed is said by the page that asked
    (`smart.consenting`), whose digest is `told`.
    """
    if any(one.kind == "client" for one in text.grantees):
        if len(text.grantees) > 1 or compute_text_digest(text.shown) != told:
            raise _otherwise()
        return
    if not text.language:
        if controller.is_passkey:
            raise Invalid(
                "a passkey's directive holds what was shown",
                hint="see docs/spec/consent.md",
                code="not-shown",
            )
        return
    is_plain = all(line.isprintable() for line in text.shown.split("\n"))
    if not is_plain or text.shown != compose_shown(
        text, names_of_text(snapshot, text, custodian), text.language
    ):
        raise _otherwise()


def _otherwise() -> Invalid:
    return Invalid(
        "what was shown is not what the directive says",
        hint="a name may have changed since: open the page again, read, then decide",
        code="shown-otherwise",
    )


def names_of_text(snapshot: Snapshot, text: Text, custodian: str) -> Mapping[str, str]:
    """The names of the custodian and of everybody whom the text names."""
    values = [one.value for one in text.grantees if one.kind in ("organisation", "practitioner")]
    dids = [custodian, *(one for one in values if one.startswith(DID_PREFIX))]
    return names_of(snapshot, dids, [one for one in values if not one.startswith(DID_PREFIX)])


def _name_of_did(snapshot: Snapshot, did: str) -> str:
    data = snapshot.state(SUBJECTS.state_key(parse_did(did)))
    return "" if data is None else SUBJECT.decode(data).name


def _name_of_practitioner(snapshot: Snapshot, id: str) -> str:
    found = snapshot.current("Practitioner", id)
    if found is None or found.deleted:
        return ""
    names = loads(snapshot.body(found)).get("name") or [{}]
    first = names[0] if isinstance(names[0], dict) else {}
    given = " ".join(one for one in first.get("given", []) if isinstance(one, str))
    return str(first.get("text") or f"{given} {first.get('family', '')}")


def _plain(name: str) -> str:
    """One line, without signs that would move others."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in name).split())[
        :NAME_CHARACTERS_MAX
    ]
