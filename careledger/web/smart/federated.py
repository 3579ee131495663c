"""Signing in at the organisation's own provider: the way there and the way back. Not there unless it is configured.

The browser carries a cookie of ten minutes that comes back with the provider's redirect (SameSite=Lax); only it can
finish what it began. The way there is begun by a link of our own page, never by another site's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from careledger.smart.federation import Answer, FederationRefused, begin, finish
from careledger.smart.provider import Provider
from careledger.smart.sessions import mark_verified
from careledger.web.smart.entering import arriving, take_in
from careledger.web.smart.messages import SmartAnswer
from careledger.web.smart.rendering import cookies_of
from careledger.web.smart.screens import Form, People, Route, go
from careledger.web.smart.visits import NotFromOurPage, Visit

START: Final = "/sign-in/provider"
ANSWER: Final = "/sign-in/provider/answer"
_OURS: Final = (b"same-origin", b"none")
"""`Sec-Fetch-Site` of our own link, and of somebody who typed the address."""


@dataclass(frozen=True, slots=True)
class Federated:
    """The two screens, over the one provider."""

    provider: Provider

    async def start(self, people: People, visit: Visit, form: Form) -> SmartAnswer:
        """To the provider: to sign in, or, for somebody signed in, to confirm that it is still they."""
        if visit.request.headers.get(b"sec-fetch-site", b"same-origin") not in _OURS:
            raise NotFromOurPage
        signed_in = visit.signed_in
        address = await begin(
            self.provider, people.registry, visit.set_out(), visit.now_ms,
            ticket=form.one("ticket"),
            account=signed_in.account.id if signed_in is not None else "",
            session=signed_in.key if signed_in is not None else b"",
        )  # fmt: skip
        headers = [(b"location", address.encode("ascii")), (b"referrer-policy", b"no-referrer")]
        return SmartAnswer(303, b"", [*headers, *cookies_of(visit)])

    async def answer(self, people: People, visit: Visit, form: Form) -> SmartAnswer:
        """Back from it: a session like any other, as fresh as the provider says, or a session confirmed."""
        secret = visit.come_back()
        answer = Answer(form.one("state"), form.one("code"), form.one("iss"), form.one("error"))
        session = visit.signed_in.key if visit.signed_in is not None else b""
        try:
            finished = await finish(self.provider, people.registry, answer, secret, session, visit.now_ms)
        except FederationRefused as error:
            await people.record("provider-refused", error.reason, "")
            raise
        if finished.begun.account and visit.signed_in is not None:
            await mark_verified(people.registry, visit.signed_in, visit.now_ms)
        else:
            await take_in(people, visit, finished.verified, verified_ms=finished.verified_ms)
        return go(visit, arriving(finished.begun.ticket))

    def routes(self) -> Mapping[tuple[str, str], Route]:
        """Both."""
        return MappingProxyType(
            {("GET", START): Route(self.start, "nobody"), ("GET", ANSWER): Route(self.answer, "nobody")}
        )


def routes_of(provider: Provider | None) -> Mapping[tuple[str, str], Route]:
    """The screens, or none."""
    return Federated(provider).routes() if provider is not None else MappingProxyType({})
