"""What a directive says, in the words that a patient reads before she signs it: English and Spanish.

The text that is shown is part of what is signed, so that nobody can say later that something else was on the page. It
names everything that decides. The browser composes the same lines by itself from the same words, and the node refuses a
directive whose lines are not these. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final

from careledger.access.directives import Coding, Grantee, Text, from_base64
from careledger.smart.wording import KINDS, RECORDS, Language, pick

PURPOSES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "BTG": ("emergencies, overriding", "emergencias, con excepción"),
        "CAREMGT": ("coordinating care", "coordinación de la atención"),
        "ETREAT": ("emergency treatment", "tratamiento de urgencia"),
        "FAMRQT": ("a request of the family", "petición de la familia"),
        "HMARKT": ("marketing", "publicidad"),
        "HOPERAT": ("running the organisation", "funcionamiento de la organización"),
        "HPAYMT": ("payment", "pago"),
        "HRESCH": ("research", "investigación"),
        "PATRQT": ("my own request", "mi propia petición"),
        "PUBHLTH": ("public health", "salud pública"),
        "TREAT": ("treatment", "tratamiento"),
    }
)
"""Purposes of use in words; one without a row is named by its code."""

LINES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "permit": ("I allow access to my record at {}.", "Permito el acceso a mi historial en {}."),
        "deny": ("I forbid access to my record at {}.", "Prohíbo el acceso a mi historial en {}."),
        "client": ("Who: the app {}", "Quién: la app {}"),
        "organisation": ("Who: {}", "Quién: {}"),
        "practitioner": ("Who: {}", "Quién: {}"),
        "role": ("Who: everybody in the role {}", "Quién: todas las personas con la función {}"),
        "types": ("What: {}", "Qué: {}"),
        "categories": ("Only of these kinds: {}", "Solo de estas clases: {}"),
        "labels": ("Only with these labels: {}", "Solo con estas etiquetas: {}"),
        "access": ("To do: see, search and copy", "Para: ver, buscar y copiar"),
        "proof": ("To do: get proofs of entries", "Para: obtener pruebas de entradas"),
        "purposes": ("For: {}", "Con el fin de: {}"),
        "period": (
            "From {} to {}, both days included (UTC)",
            "Del {} al {}, ambos días incluidos (UTC)",
        ),
        "supersedes": ("This replaces my decision {}", "Esto sustituye mi decisión {}"),
    }
)
EVERYTHING: Final = RECORDS["*"]
ANY_PURPOSE: Final = ("every purpose", "cualquier fin")
EPOCH: Final = date(1970, 1, 1)


def compose_shown(text: Text, names: Mapping[str, str], language: Language) -> str:
    """The lines, joined by newlines. `names`: what DIDs and ids are called; whoever has none is shown by it alone."""
    organisation = f"did:careledger:{from_base64(text.organisation).hex()}"
    lines = [
        _line(text.effect, language, _called(organisation, names)),
        *(_line(one.kind, language, _grantee(one, names)) for one in text.grantees),
        _line("types", language, _types(text.types, language)),
        *(
            _line(name, language, _codings(codings, language))
            for name, codings in (("categories", text.categories), ("labels", text.labels))
            if codings
        ),
        *(_line(action, language) for action in text.actions),
        _line("purposes", language, _purposes(text.purposes, language)),
        _line("period", language, _day(text.from_day), _day(text.until_day)),
        *([_line("supersedes", language, text.supersedes)] if text.supersedes else []),
    ]
    return "\n".join(lines)


def _line(name: str, language: Language, *values: str) -> str:
    return pick(LINES[name], language).format(*values)


def _called(value: str, names: Mapping[str, str]) -> str:
    return f"{names[value]} ({value})" if names.get(value) else value


def _grantee(one: Grantee, names: Mapping[str, str]) -> str:
    return one.value if one.kind == "role" else _called(one.value, names)


def _types(types: Iterable[str], language: Language) -> str:
    named = [f"{pick(RECORDS[one], language)} ({one})" if one in RECORDS else one for one in types]
    return ", ".join(named) or pick(EVERYTHING, language)


def _codings(codings: Iterable[Coding], language: Language) -> str:
    return ", ".join(_coding(one, language) for one in codings)


def _coding(one: Coding, language: Language) -> str:
    code = f"{one.system}|{one.code}" if one.system else one.code
    return f"{pick(KINDS[one.code], language)} ({code})" if one.code in KINDS else code


def _purposes(purposes: Iterable[str], language: Language) -> str:
    named = [f"{pick(PURPOSES[one], language)} ({one})" if one in PURPOSES else one for one in purposes]
    return ", ".join(named) or pick(ANY_PURPOSE, language)


def _day(days: int) -> str:
    return (EPOCH + timedelta(days=days)).isoformat()
