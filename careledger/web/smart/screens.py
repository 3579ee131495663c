"""What every screen stands on: the node's side (`People`), the visit, the form; and the one guard before all of them.

A screen is a function of these, declared in the table of `people.py` with whom it demands. The guard finds out who is
there, demands it, checks that a POST came from our page, and turns refusals into a page or JSON: no screen does that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal
from urllib.parse import quote

from careledger.node.worker import Call
from careledger.primitives.errors import (
    CareLedgerError,
    Conflict,
    Invalid,
    NotFound,
    NotPermitted,
    Unauthenticated,
    Unavailable,
    VerificationFailed,
)
from careledger.smart.accounts import Kind
from careledger.smart.acting import MayNotAct, StandingOf, check_acting
from careledger.smart.auditing import Event, HouseLog
from careledger.smart.backoff import TooManyTries
from careledger.smart.credentials import PasskeyRefused
from careledger.smart.grants import Revoke
from careledger.smart.invitations import InvitationRefused, Sign, Verify
from careledger.smart.passkeys import RelyingParty
from careledger.smart.recovery import RecoveryRefused
from careledger.smart.sessions import keep_alive
from careledger.vault.registry import Registry
from careledger.web.smart.messages import FORM, JSON, Handler, SmartAnswer, SmartRequest, answer_json
from careledger.web.smart.rendering import cookies_of, describe_error, render
from careledger.web.smart.visits import Visit, read_visit
from careledger.web.target import parse_query

FIELDS_MAX: Final = 200
FIELD_MAX: Final = 4096  # a code of the organisation's provider may be as long
STATUS: Final[tuple[tuple[type[CareLedgerError], int], ...]] = (
    (TooManyTries, 429),
    (Unauthenticated, 401),
    (NotPermitted, 403),
    (NotFound, 404),
    (Conflict, 409),
    (Invalid, 400),
    (VerificationFailed, 400),
    (Unavailable, 503),
)
"""Kind of error -> HTTP status; the first that fits, else 500."""


OWN_ORIGIN: Final = ((b"cross-origin-resource-policy", b"same-origin"), (b"x-frame-options", b"DENY"))


def _no_acts() -> Mapping[str, Callable[[str], Awaitable[None]]]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class People:
    """The node's side of the pages. `perform` does the dangerous acts that are the node's own, by act and subject."""

    registry: Registry
    party: RelyingParty
    organisation: str
    base: str  # the FHIR base: `iss` of launches
    sign: Sign
    verify: Verify
    revoke: Revoke
    standing: StandingOf
    house: HouseLog
    now_ms: Callable[[], int]
    perform: Mapping[str, Callable[[str], Awaitable[None]]] = field(default_factory=_no_acts)
    call: Call | None = None  # the node's commands, for what a patient decides
    has_provider: bool = False  # the organisation's own sign-in is offered beside the passkey
    is_ledger_open: bool = False  # anybody may read the ledger

    async def record(
        self, what: str, why: str, account: str, *, about: str = "", patient: str = "", told: str = ""
    ) -> None:
        """In the house log, and a patient's, before anything of it is answered. Raises Unavailable."""
        await self.house.record(Event(what, why, account, about, patient, told))


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, as sent; a field may be there more than once."""

    fields: Mapping[str, tuple[str, ...]]

    def one(self, name: str) -> str:
        """The field's value; '' if it is not there. Raises Invalid if it is there twice."""
        values = self.fields.get(name, ())
        if len(values) > 1:
            raise Invalid("a field is given twice", code="field-repeated")
        return values[0] if values else ""

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of the field: check boxes."""
        return self.fields.get(name, ())


Screen = Callable[[People, Visit, Form], Awaitable[SmartAnswer]]
Demand = Literal["nobody", "session", "administrator", "clinician"]
"""`nobody`: open to visitors; others need a session of such an account (`session`: of any)."""


@dataclass(frozen=True, slots=True)
class Route:
    """A screen and whom it demands. `is_json`: the answer of a passkey, sent by our script with the token in a header.

    `is_exit`: open even to somebody signed in whom the ledger lets do nothing now.
    """

    screen: Screen
    demand: Demand
    is_json: bool = False
    is_exit: bool = False


def guard(people: People, method: str, route: Route) -> Handler:
    """The handler of a route: who is there, demanded, from our page; then the screen."""

    async def handle(request: SmartRequest) -> SmartAnswer:
        visit = read_visit(request, people.registry, people.party, people.now_ms())
        try:
            form = _read(request, visit, method, route)
            _demand(visit, route.demand)
            if visit.signed_in is not None:
                if not route.is_exit:
                    check_acting(visit.signed_in.account, people.standing)
                await keep_alive(people.registry, visit.signed_in, visit.now_ms)
            return await route.screen(people, visit, form)
        except CareLedgerError as error:
            return await _refuse(people, visit, route, method, error)

    return handle


def _read(request: SmartRequest, visit: Visit, method: str, route: Route) -> Form:
    """The form of a POST that came from our page. Raises NotFromOurPage, Invalid."""
    if method != "POST":
        return _form(request.query)
    kind = request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind != (JSON if route.is_json else FORM):
        raise Invalid("this is not what the page sends", hint="open the page again", code="content-type")
    if route.is_json:
        visit.check_post(request.headers.get(b"x-csrf", b"").decode("latin-1"))
        return Form({})
    form = _form(parse_query(request.body))
    visit.check_post(form.one("csrf"))
    return form


def _form(pairs: object) -> Form:
    fields: dict[str, tuple[str, ...]] = {}
    found = list(pairs)  # type: ignore[call-overload]
    if len(found) > FIELDS_MAX:
        raise Invalid("too many fields", code="form-too-large")
    for name, value in found:
        if len(value) > FIELD_MAX:
            raise Invalid("a field is too long", code="form-too-large")
        fields[name] = (*fields.get(name, ()), value)
    return Form(MappingProxyType(fields))


def _demand(visit: Visit, demand: Demand) -> None:
    """Raises Unauthenticated, NotPermitted."""
    if demand == "nobody":
        return
    account = visit.need().account
    needed: Kind | None = None if demand == "session" else demand
    if needed is not None and account.kind != needed:
        raise NotPermitted("this page is not for your account", hint="sign in with another account")


async def _refuse(
    people: People, visit: Visit, route: Route, method: str, error: CareLedgerError
) -> SmartAnswer:
    status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
    if status == 500:
        raise error
    await _record(people, error)
    message, hint = describe_error(error, visit.language)
    if route.is_json:
        answer = answer_json({"error": message, "hint": hint, "code": error.code}, status)
        answer.headers.extend(cookies_of(visit))
    elif error.code == "sign-in-needed" and method == "GET":
        return go(visit, "/sign-in")
    else:
        is_barred = isinstance(error, MayNotAct)
        answer = render(visit, "refused", status=status, message=message, hint=hint, is_barred=is_barred)
    if isinstance(error, TooManyTries):
        answer.headers.append((b"retry-after", b"%d" % -(-error.wait_ms // 1000)))
    return answer


async def _record(people: People, error: CareLedgerError) -> None:
    """Who was not let in, and why, which they are not told. A refusal stands even where it cannot be journalled."""
    try:
        if isinstance(error, PasskeyRefused):
            await people.record("passkey-refused", error.reason, error.account)
        elif isinstance(error, InvitationRefused | RecoveryRefused):
            await people.record(error.code, error.reason, "")
    except Unavailable:
        return


def go(visit: Visit, path: str) -> SmartAnswer:
    """The browser goes on to one of our own pages."""
    location = quote(path, safe="/?=&-_.~")
    return SmartAnswer(303, b"", [(b"location", location.encode()), *cookies_of(visit)])


def tell(visit: Visit, **content: object) -> SmartAnswer:
    """JSON for our script, and for no page that embeds it, were it of a sibling host, to which Lax cookies come too."""
    answer = answer_json(content)
    answer.headers.extend((*OWN_ORIGIN, *cookies_of(visit)))
    return answer
