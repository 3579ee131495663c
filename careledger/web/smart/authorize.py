"""The authorisation end point in a browser: the request comes in, its person signs in, chooses, decides, goes back.

A request is checked before anything else and kept under a ticket; from then on the browser carries the ticket alone.
Nothing of the request is taken from the browser twice, so nobody changes it on the way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

import msgspec

from careledger.primitives.errors import Invalid
from careledger.smart import authorising, requests
from careledger.smart.authorising import AskConsent, ChoosePatient, Redirect, SignIn, Step
from careledger.smart.consenting import ConsentView
from careledger.smart.errors import OAuthError
from careledger.smart.issuing import Server
from careledger.smart.own import OWN
from careledger.smart.requests import Pending, RedirectedError
from careledger.smart.sessions import SignedIn
from careledger.smart.tables import Found
from careledger.web.smart import asking, remembering
from careledger.web.smart.asking import PatientRow
from careledger.web.smart.deciding import read_body
from careledger.web.smart.messages import FORM, SmartAnswer, SmartRequest, redirect
from careledger.web.smart.rendering import cookies_of, render
from careledger.web.smart.screens import Form, People, Route, go, tell
from careledger.web.smart.visits import Visit, read_visit
from careledger.web.target import parse_query

CONTINUE: Final = "/oauth/continue"
DECIDE: Final = "/oauth/decide"
PREPARE: Final = "/oauth/decide/options"
SIGN: Final = "/oauth/decide/answer"
SEARCH: Final = "/oauth/patients"
CHOOSE: Final = "/oauth/patient"

FindPatients = Callable[[SignedIn, str], Awaitable[Sequence[PatientRow]]]
"""Patients of that name whom this person may see; looked up, and logged, as any search is."""
NamePatient = Callable[[SignedIn, str], Awaitable[str]]
"""The name of a patient as this person may see it, '' if not."""


class Ticket(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which request."""

    ticket: str


class Authorize:
    """The screens of one server."""

    def __init__(self, server: Server, people: People, find: FindPatients, name: NamePatient) -> None:
        self._server = server
        self._people = people
        self._find = find
        self._name = name

    def routes(self) -> Mapping[tuple[str, str], Route]:
        """The screens after the request was taken in; the guard of `screens` stands before each."""
        return MappingProxyType(
            {
                ("GET", CONTINUE): Route(self.go_on, "nobody"),
                ("POST", DECIDE): Route(self.decide, "session"),
                ("POST", PREPARE): Route(self.prepare, "session", is_json=True),
                ("POST", SIGN): Route(self.sign, "session", is_json=True),
                ("POST", SEARCH): Route(self.search, "session"),
                ("POST", CHOOSE): Route(self.choose, "session"),
            }
        )

    async def begin(self, request: SmartRequest) -> SmartAnswer:
        """A request by GET or POST (RFC 6749, 3.1), from anywhere: it does nothing but wait for its person."""
        server, people = self._server, self._people
        visit = read_visit(request, people.registry, people.party, people.now_ms())
        try:
            checked = await self._read(request)
            ticket = await requests.keep(server.registry, checked, server.now_ms())
        except RedirectedError as refused:
            return _leave(authorising.redirect_error(server, refused), visit)
        except OAuthError as error:
            return _refused(visit, error)
        return go(visit, f"{CONTINUE}?ticket={ticket}")

    async def _read(self, request: SmartRequest) -> requests.AuthorisationRequest:
        pairs = request.query
        if request.method == "POST":
            kind = request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
            if kind != FORM:
                raise OAuthError(
                    "invalid_request", "send application/x-www-form-urlencoded", code="content-type"
                )
            pairs = parse_query(request.body)
        parameters = requests.read_parameters(pairs)
        if "request_uri" in parameters:
            client = parameters.get("client_id", "")
            return await requests.take_pushed(self._server.registry, parameters["request_uri"], client)
        return requests.read_request(self._server.registry, parameters, self._server.base)

    async def go_on(self, people: People, visit: Visit, form: Form) -> SmartAnswer:
        """Whatever comes next for this request and this person."""
        return await self._step(visit, form.one("ticket"))

    async def decide(self, people: People, visit: Visit, form: Form) -> SmartAnswer:
        """The person's answer, to exactly what was shown."""
        ticket, signed_in = form.one("ticket"), visit.need()
        try:
            found = requests.find_pending(self._server.registry, ticket)
            step = await authorising.next_step(self._server, found, signed_in)
            if not isinstance(step, AskConsent):
                return await self._show(visit, ticket, found, step)
            found = requests.find_pending(self._server.registry, ticket)
            said = asking.read_consent(await self._view(visit, ticket, found, step), form)
            return _leave(
                await authorising.answer(self._server, found, signed_in, said.kept, said.days), visit
            )
        except RedirectedError as refused:
            return _leave(authorising.redirect_error(self._server, refused), visit)
        except OAuthError as error:
            return _refused(visit, error)

    async def prepare(self, people: People, visit: Visit, form: Form) -> SmartAnswer:
        """What a patient's browser must know to sign what she allows."""
        asked = read_body(visit, Ticket)
        _, step = await self._asked(visit, asked.ticket)
        return tell(visit, **await remembering.prepare(people, visit, step.client.id))

    async def sign(self, people: People, visit: Visit, form: Form) -> SmartAnswer:
        """A patient's yes, to exactly what was shown, signed: on the ledger first, then the app is let in."""
        signed, signed_in = remembering.read_signed(visit), visit.need()
        found, step = await self._asked(visit, signed.ticket)
        said = remembering.read_said(await self._view(visit, signed.ticket, found, step), signed)
        remembered = await remembering.remember(people, visit, signed, said, step.client.id)
        try:
            allowed = authorising.answer(self._server, found, signed_in, said.kept, said.days, remembered)
            return tell(visit, next=(await allowed).url)
        except RedirectedError as refused:
            await remembering.forget(people, remembered)
            return tell(visit, next=authorising.redirect_error(self._server, refused).url)

    async def _asked(self, visit: Visit, ticket: str) -> tuple[Found[Pending], AskConsent]:
        """The request that waits for this person's answer. Raises Invalid if it waits for something else."""
        try:
            found = requests.find_pending(self._server.registry, ticket)
            step = await authorising.next_step(self._server, found, visit.need())
            found = requests.find_pending(self._server.registry, ticket)
        except (OAuthError, RedirectedError):
            step = None
        if not isinstance(step, AskConsent):
            raise Invalid("nothing is asked here any more", hint="go back to the app", code="ticket")
        return found, step

    async def search(self, people: People, visit: Visit, form: Form) -> SmartAnswer:
        """Patients of a name, to choose from."""
        rows = await self._find(visit.need(), form.one("name"))
        return asking.choose_patient(
            visit, form.one("ticket"), rows, search_action=SEARCH, choose_action=CHOOSE
        )

    async def choose(self, people: People, visit: Visit, form: Form) -> SmartAnswer:
        """This patient."""
        ticket = form.one("ticket")
        try:
            found = requests.find_pending(self._server.registry, ticket)
            await authorising.choose_patient(self._server, found, visit.need(), form.one("patient"))
        except OAuthError as error:
            return _refused(visit, error)
        return go(visit, f"{CONTINUE}?ticket={ticket}")

    async def _step(self, visit: Visit, ticket: str) -> SmartAnswer:
        try:
            found = requests.find_pending(self._server.registry, ticket)
            if found.value.request.client == OWN and not visit.is_by_script:
                raise OAuthError(
                    "access_denied", "only the application's own page asks this", code="not-from-our-page"
                )
            step = await authorising.next_step(self._server, found, visit.signed_in)
            return await self._show(visit, ticket, found, step)
        except RedirectedError as refused:
            return _leave(authorising.redirect_error(self._server, refused), visit)
        except OAuthError as error:
            return _refused(visit, error)

    async def _show(self, visit: Visit, ticket: str, found: Found[Pending], step: Step) -> SmartAnswer:
        if isinstance(step, Redirect):
            return _leave(step, visit)
        if isinstance(step, SignIn):
            return go(visit, f"/sign-in?ticket={ticket}")
        if isinstance(step, ChoosePatient):
            return asking.choose_patient(visit, ticket, None, search_action=SEARCH, choose_action=CHOOSE)
        view = await self._view(visit, ticket, found, step)
        can_sign = await remembering.can_sign(self._people, visit.need().account)
        return asking.consent(visit, view, found.value.request.redirect_uri, action=DECIDE, can_sign=can_sign)

    async def _view(self, visit: Visit, ticket: str, found: Found[Pending], step: AskConsent) -> ConsentView:
        signed_in = visit.need()
        account = signed_in.account
        named = step.patient and account.kind != "patient"
        return ConsentView(
            ticket=ticket,
            client=step.client.name,
            redirect_host=urlsplit(found.value.request.redirect_uri).netloc,
            words=tuple(str(step.offered).split()),
            kind=account.kind,
            person=account.name,
            patient=await self._name(signed_in, step.patient) if named else "",
            language=visit.language,
        )


def _leave(step: Redirect, visit: Visit) -> SmartAnswer:
    """Back to the program."""
    answer = redirect(step.url)
    answer.headers.extend(cookies_of(visit))
    return answer


def _refused(visit: Visit, error: OAuthError) -> SmartAnswer:
    """A page: where the program is not known for certain, nothing is sent anywhere."""
    status = error.status if error.status >= 400 else 400
    return render(visit, "refused", status=status, message=error.description, hint=error.hint)
