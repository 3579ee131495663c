"""The consent to a program: what is shown, what is answered, and that both are the same text.

`pages.consent` shows a `ConsentView` and gives back a `ConsentAnswer`. The text of an answer is made of the very lines
that the page shows (F12): heading, one line for each thing that the person kept, how long. Its digest is what a
directive or a log may name. A page that was shown for something else (the program, the patient or the scopes changed
meanwhile) answers nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from careledger.access.scopes import parse_scope
from careledger.primitives.errors import Invalid
from careledger.primitives.hashing import tagged
from careledger.smart.wording import (
    DURATIONS,
    HEADINGS,
    Language,
    describe_scope,
    describe_session,
    pick,
)

DAYS: Final = (1, 7, 30, 90)
"""How long a program may go on by itself: what a person can choose."""
DAYS_SHOWN_FIRST: Final = 30
NOT_OPTIONAL: Final = frozenset(("openid", "launch", "launch/patient", "launch/encounter"))
"""Without these the program cannot start; they are shown and cannot be taken out."""


@dataclass(frozen=True, slots=True)
class ConsentView:
    """What the person is asked. `words` are the scopes offered; `patient` a name for the page, '' if none is chosen."""

    ticket: str
    client: str
    redirect_host: str
    words: tuple[str, ...]
    kind: str  # of the account: patient, clinician
    person: str
    patient: str = ""
    language: Language = "en"

    @property
    def is_offline(self) -> bool:
        """Whether a duration is asked at all; else the access ends with the session."""
        return "offline_access" in self.words


@dataclass(frozen=True, slots=True)
class Choice:
    """One line with its box."""

    word: str
    text: str
    is_optional: bool


@dataclass(frozen=True, slots=True)
class ConsentAnswer:
    """What the person said. `kept` is None for no; `text` is what was shown of it, `digest` names that text."""

    kept: tuple[str, ...] | None
    days: int
    text: str = ""
    digest: bytes = b""


def list_choices(view: ConsentView) -> tuple[Choice, ...]:
    """Each scope in words, in the order in which it is shown: records first."""
    choices = []
    for word in sorted(view.words, key=lambda one: ("/" not in one or one in NOT_OPTIONAL, one)):
        scope = parse_scope(word)
        text = (
            describe_session(word, view.language)
            if scope is None
            else describe_scope(scope, view.kind, view.language)
        )
        choices.append(Choice(word, text, word not in NOT_OPTIONAL))
    return tuple(choices)


def compose_heading(view: ConsentView) -> str:
    """Who asks whom, about whom, for what."""
    about = f" ({view.patient})" if view.patient else ""
    heading = pick(HEADINGS["patient" if view.kind == "patient" else "staff"], view.language)
    return heading.format(person=view.person, client=view.client, host=view.redirect_host, about=about)


def describe_days(days: int, language: Language) -> str:
    """How long; 0 is: while signed in."""
    return pick(DURATIONS[min(days, 2)], language).format(days=days)


def compose_text(view: ConsentView, kept: tuple[str, ...], days: int) -> str:
    """What was shown and kept: heading, lines, duration; a line each."""
    lines = [choice.text for choice in list_choices(view) if choice.word in kept]
    return "\n".join((compose_heading(view), *lines, describe_days(days, view.language)))


def compute_view_digest(view: ConsentView) -> bytes:
    """What the page carries, so that an answer is to what was shown and to nothing else."""
    shown = [view.ticket, view.language, view.patient, compose_heading(view)]
    for choice in list_choices(view):
        shown += [choice.word, choice.text]
    return tagged("cl1.consent-view", "\x00".join(shown).encode())


def read_answer(
    view: ConsentView, *, shown: str, is_allowed: bool, kept: tuple[str, ...], days: str
) -> ConsentAnswer:
    """The answer to this view. Raises Invalid for the answer to another one, or one that says more than was offered."""
    if shown != compute_view_digest(view).hex():
        raise Invalid(
            "what is asked has changed since the page was shown",
            hint="read it again, then decide",
            code="consent-changed",
        )
    if not is_allowed:
        return ConsentAnswer(None, 0)
    choices = list_choices(view)
    if not set(kept) <= {choice.word for choice in choices}:
        raise Invalid("something was allowed that was not offered", code="consent-widened")
    words = tuple(choice.word for choice in choices if choice.word in kept or not choice.is_optional)
    chosen = _read_days(view, days) if "offline_access" in words else 0
    text = compose_text(view, words, chosen)
    return ConsentAnswer(words, chosen, text, compute_text_digest(text))


def compute_text_digest(text: str) -> bytes:
    """What names the text of an answer."""
    return tagged("cl1.app-consent", text.encode())


def _read_days(view: ConsentView, days: str) -> int:
    if days not in {str(one) for one in DAYS}:
        raise Invalid("say for how many days", hint=f"one of {DAYS}", code="consent-days")
    return int(days)
