"""The readable form of a directive is the node's: no write over FHIR changes, moves or deletes it (R4 consent.html).

It follows the ledger alone (docs/spec/consent.md, "FHIR Consent"): a list of directives points to it, and readers take
it for what was decided. It is told by the directive's leaf, not by what the Consent says, and belongs to the chart in
which it came to be. Every other Consent is a record like any other, whatever identifier it bears.
"""

from __future__ import annotations

from typing import Final

from careledger.fhir.asking import Asking
from careledger.primitives.errors import Conflict
from careledger.vault.model import Version

CODE: Final = "form-of-a-directive"
_TYPE: Final = "Consent"


class FormOfDirective(Conflict):
    """Somebody writes a directive's Consent: 409, whoever it is and whatever If-Match says; nothing is written."""

    code = CODE

    def __init__(self) -> None:
        super().__init__(
            "This Consent shows a directive that the patient signed: it follows the ledger alone.",
            hint="revoke or supersede the directive with the patient's key; then the node writes its next version",
        )


def check_form(asking: Asking, current: Version) -> None:
    """Raise FormOfDirective if this resource is one's readable form, deleted or not. Ask `allow_change` first."""
    if current.type != _TYPE:
        return
    first = asking.snapshot.version(_TYPE, current.id, 1) or current
    if asking.context.standing.is_form(asking.snapshot, first.chart, current.id):
        raise FormOfDirective
