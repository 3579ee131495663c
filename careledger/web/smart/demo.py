"""The demo's people, one click each: only in a home that has such people, which only `careledger demo` makes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from careledger.smart.personas import become, list_personas
from careledger.vault.registry import Registry
from careledger.web.smart.entering import HOME, take_in
from careledger.web.smart.messages import SmartAnswer
from careledger.web.smart.rendering import render
from careledger.web.smart.screens import Form, People, Route, go
from careledger.web.smart.visits import Visit

PATH: Final = "/demo"


async def show(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """A button for each."""
    return render(visit, "demo", personas=list_personas(people.registry))


async def sign_in(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """Signed in as that persona: a session like any other."""
    await take_in(people, visit, become(people.registry, form.one("account")))
    return go(visit, HOME)


ROUTES: Final[Mapping[tuple[str, str], Route]] = MappingProxyType(
    {("GET", PATH): Route(show, "nobody"), ("POST", PATH): Route(sign_in, "nobody")}
)
"""In a demo's home; elsewhere there is nothing at this path."""


def routes_of(registry: Registry) -> Mapping[tuple[str, str], Route]:
    """The screens, or none."""
    return ROUTES if list_personas(registry) else MappingProxyType({})
