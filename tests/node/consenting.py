"""A patient's device for tests: it enrols, decides and revokes as the command line does, or as somebody else would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from careledger.access.grants import continuation
from careledger.access.patient_keys import KEY_FORMAT, KeyFile, PatientKey
from careledger.cli import decisions
from careledger.cli.consent import Terms
from careledger.cli.decisions import Made, Wanted

Command = Callable[..., dict[str, Any]]
ELSEWHERE = "did:careledger:" + "5e" * 32
"""An organisation that the ledger does not know."""


def wanted(**terms: Any) -> Wanted:
    """What was asked for; by default a permit for TREAT to somebody elsewhere."""
    return decisions.read_terms(
        Terms(**{"to": (ELSEWHERE,), "purpose": ("TREAT",), "until": "2999-12-31", **terms})
    )


@dataclass(slots=True)
class Device:
    """Somebody's device, speaking to a node by `command(method, **params)`."""

    command: Command
    patient: str
    seed: bytes
    key: PatientKey = field(init=False)

    def __post_init__(self) -> None:
        self.key = PatientKey(self.seed)

    def enrol(self, former: PatientKey | None = None) -> str:
        """The id of the enrolled key."""
        continues = former.bind(continuation(self.key.public)) if former is not None else b""
        answer = self.command("patient.enrol", patient=self.patient, key=self.key.public, continues=continues)
        return str(answer["key_id"])

    def prepare(self, **more: Any) -> dict[str, Any]:
        return self.command("consent.prepare", **({"patient": self.patient} | more))

    def make(self, prepared: dict[str, Any], supersedes: str = "", **terms: Any) -> Made:
        """A directive for whatever chart `prepared` is about, by this device's key."""
        file = KeyFile(chain=prepared["chain"], format=KEY_FORMAT, organisation="", seed="")
        return decisions.make(
            wanted(**terms), {**prepared, "key": self.key.public}, file, self.key, supersedes
        )

    def signed(self, supersedes: str = "", **terms: Any) -> dict[str, Any]:
        """The parameters of a grant, not yet handed in."""
        dids = [one for one in terms.get("to", (ELSEWHERE,)) if one.startswith("did:")]
        prepared = self.prepare(dids=dids)
        return decisions.sign(self.make(prepared, supersedes, **terms), prepared, self.key)

    def grant(self, supersedes: str = "", **terms: Any) -> str:
        """The directive's id."""
        return str(self.command("consent.grant", **self.signed(supersedes, **terms))["id"])

    def revocation(self, id: str) -> dict[str, Any]:
        """The parameters of a revocation by the directive's key, not yet handed in."""
        return decisions.sign_revocation(id, self.command("consent.prepare_revocation", id=id), self.key)

    def revoke(self, id: str) -> int:
        """The height from which it holds."""
        return int(self.command("consent.revoke", **self.revocation(id))["height"])

    def code(self, id: str) -> bytes:
        """The printed code."""
        return self.key.revocation_code(self.command("consent.prepare_revocation", id=id)["nonce"])
