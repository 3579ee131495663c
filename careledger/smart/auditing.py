"""What the house log keeps of people: sign-ins, refusals, what administrators did; durable before the answer leaves.

An event is an access entry of the house chart; what concerns a patient's account stands in that patient's chart too,
where they read it, whoever holds the account. Ids of accounts, never codes or secrets; names only in a patient's chart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from careledger.smart.accounts import Account

KIND: Final = "account"
"""Kind of these access entries."""
OPERATOR: Final = "operator"
"""Who acts on the command line, where a page would name an account."""
PAGE_ROWS: Final = 100


@dataclass(frozen=True, slots=True)
class Event:
    """What happened and why, in our words, by which account ('' for strangers), about which id.

    `patient` is the id of the patient whose chart's log says it too, in the words of `told`.
    """

    what: str
    why: str
    account: str
    about: str = ""
    patient: str = ""
    told: str = ""

    @property
    def line(self) -> str:
        """Why and about what, as the house log has it."""
        return f"{self.why} {self.about}".strip()

    @property
    def is_refusal(self) -> bool:
        """Somebody was not let in: such events can come by the thousand."""
        return self.what.endswith("-refused")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the house log as administrators with the duty `audit` read it."""

    time_ms: int
    who: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Page:
    """Lines, newest first; older ones stand before `before`, 0 if there are none."""

    rows: Sequence[Row]
    before: int


class HouseLog(Protocol):
    """Where events go, and where administrators read them."""

    async def record(self, event: Event) -> None:
        """Durable when it returns. Raises Unavailable."""

    def read(self, before: int) -> Page:
        """The newest lines that stand before this place of the log; 0 for the end."""


def patient_of(account: Account) -> str:
    """The id of the patient whom the account is of, '' for others."""
    type, _, id = account.fhir_user.partition("/")
    return id if type == "Patient" else ""
