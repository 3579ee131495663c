"""Who is asking: the verified attributes of a caller, and nothing that the caller only claims."""

from __future__ import annotations

from dataclasses import dataclass

from careledger.access.scopes import Scopes

DEFAULT_PURPOSE = "TREAT"
"""A client that names no purpose acts for treatment."""


@dataclass(frozen=True, slots=True)
class Actor:
    """One authenticated caller. `subject` is the person or client behind the token; '' means "not given"."""

    subject: str
    client: str
    organisation: str  # DID
    scopes: Scopes
    practitioner: str = ""  # logical id of a Practitioner
    patient: str = ""  # logical id of the one Patient this token may see
    purpose: str = DEFAULT_PURPOSE
    token_id: str = ""
    expires_ms: int = 0
    roles: tuple[str, ...] = ()  # as directives name them
    grant: str = ""  # id of the grant behind the token: revoked with it
    account: str = ""  # who signed in, where somebody did
    did: str = ""  # the practitioner's, on the ledger
    confirmation: str = ""  # thumbprint of the key that must prove itself at each request (RFC 9449)

    @property
    def patient_bound(self) -> bool:
        """The token sees one chart only. Patient scopes without a patient see no chart at all."""
        return bool(self.patient) or self.scopes.patient_level

    @property
    def is_patient_herself(self) -> bool:
        """The person who signed in is the patient of the chart that the token sees: no program, nobody who treats her."""
        return bool(self.account) and bool(self.patient) and not self.practitioner
