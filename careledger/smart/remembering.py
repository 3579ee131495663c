"""A patient's consent to an app, remembered on the ledger: a directive that says what the consent page said.

It names the app, for her own use, until the last day of what was allowed; its lines are those of the page. No decision on
records looks at it: what an app may do is its grant's, which ends when the directive is revoked, and the other way round.
Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from careledger.access.directives import SHOWN_FORMAT, Grantee, Text
from careledger.access.scopes import parse_scope
from careledger.primitives.errors import Invalid
from careledger.smart.consenting import ConsentAnswer
from careledger.smart.wording import Language

PURPOSE: Final = "PATRQT"


@dataclass(frozen=True, slots=True)
class Remembered:
    """Which directive remembers a grant, '' for none, and the code that revokes it."""

    directive: str = ""
    code: bytes = b""


NOT_REMEMBERED: Final = Remembered()


def list_types(kept: tuple[str, ...]) -> tuple[str, ...]:
    """Resource types of what was allowed; none means every type."""
    scopes = (parse_scope(word) for word in kept)
    types = {scope.type for scope in scopes if scope is not None}
    return () if "*" in types else tuple(sorted(types))


def compute_until_day(answer: ConsentAnswer, today: int) -> int:
    """The last day of what was allowed. Access while signed in may go on past midnight."""
    return today + max(answer.days, 1)


def check_remembers(text: Text, answer: ConsentAnswer, client: str, language: Language, today: int) -> None:
    """Raises Invalid unless the directive says what was answered, to this app, from today on, and nothing else."""
    expected = {
        "actions": ("access",), "categories": (), "effect": "permit", "format": SHOWN_FORMAT, "from_day": today,
        "grantees": (Grantee(kind="client", value=client),), "labels": (), "language": language,
        "purposes": (PURPOSE,), "shown": answer.text, "supersedes": "",
        "types": list_types(answer.kept or ()), "until_day": compute_until_day(answer, today),
    }  # fmt: skip
    if any(getattr(text, name) != value for name, value in expected.items()):
        raise Invalid(
            "what was signed is not what was answered",
            hint="open the page again, read, then decide",
            code="signed-otherwise",
        )
