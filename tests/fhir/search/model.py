"""What a search should find, said a second time: plain Python over the resources as JSON, no index, no shared code."""

from __future__ import annotations

import calendar
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

Resource = dict[str, Any]
FAR_PAST = datetime(1, 1, 1, tzinfo=UTC) - timedelta(0)
FAR_FUTURE = datetime(9999, 12, 31, tzinfo=UTC)


def fold(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(c for c in plain if not unicodedata.combining(c)).split())


def span(text: str) -> tuple[datetime, datetime]:
    """The implicit range of a date, by the calendar."""
    if len(text) == 4:
        return datetime(int(text), 1, 1, tzinfo=UTC), datetime(int(text) + 1, 1, 1, tzinfo=UTC)
    if len(text) == 7:
        year, month = int(text[:4]), int(text[5:])
        days = calendar.monthrange(year, month)[1]
        start = datetime(year, month, 1, tzinfo=UTC)
        return start, start + timedelta(days=days)
    start = datetime.fromisoformat(text)
    start = start if start.tzinfo else start.replace(tzinfo=UTC)
    if len(text) == 10:
        return start, start + timedelta(days=1)
    body = text.removesuffix("Z")
    clock = body[11:].split("+")[0].split("-")[0]
    if clock.count(":") == 1:
        return start, start + timedelta(minutes=1)
    if "." not in clock:
        return start, start + timedelta(seconds=1)
    return start, start + timedelta(milliseconds=10 ** (3 - min(3, len(clock.split(".")[1]))))


def period(value: Resource) -> tuple[datetime, datetime]:
    start = span(value["start"])[0] if "start" in value else FAR_PAST
    return start, span(value["end"])[1] if "end" in value else FAR_FUTURE


def date_holds(prefix: str, wanted: tuple[datetime, datetime], found: tuple[datetime, datetime]) -> bool:
    contained = wanted[0] <= found[0] and found[1] <= wanted[1]
    after, before = found[1] > wanted[1], found[0] < wanted[0]
    return {
        "eq": contained,
        "ne": not contained,
        "gt": after,
        "lt": before,
        "ge": after or contained,
        "le": before or contained,
        "sa": found[0] >= wanted[1],
        "eb": found[1] <= wanted[0],
    }[prefix]


def number_holds(prefix: str, text: str, found: Decimal) -> bool:
    wanted = Decimal(text)
    places = len(text.split(".")[1]) if "." in text else 0
    half = Decimal("0.5") / 10**places
    near = wanted - half <= found < wanted + half
    return {
        "eq": near,
        "ne": not near,
        "gt": found > wanted,
        "lt": found < wanted,
        "ge": found >= wanted,
        "le": found <= wanted,
        "sa": found > wanted,
        "eb": found < wanted,
    }[prefix]


def prefixed(text: str) -> tuple[str, str]:
    return (text[:2], text[2:]) if text[:2].isalpha() else ("eq", text)


def token_holds(text: str, system: str | None, code: str | None, implicit: bool = False) -> bool:
    wanted_system, bar, wanted_code = text.rpartition("|")
    if wanted_code and wanted_code != code:
        return False
    if not wanted_code and code is None and system is None:
        return False
    return not bar or implicit or (wanted_system or None) == system


def codings(concept: Resource | None) -> list[tuple[str | None, str | None]]:
    return [(c.get("system"), c.get("code")) for c in (concept or {}).get("coding", [])]


def name_parts(resource: Resource) -> list[str]:
    parts: list[str] = []
    for name in resource.get("name", []):
        parts += [name[key] for key in ("family", "text") if key in name]
        parts += [text for key in ("given", "prefix", "suffix") for text in name.get(key, [])]
    return parts


def string_holds(modifier: str, text: str, found: str) -> bool:
    if modifier == "exact":
        return found == text
    if modifier == "contains":
        return fold(text) in fold(found)
    return fold(found).startswith(fold(text))


Finder = Callable[[Resource], list[Any]]


def _reference(*path: str) -> Finder:
    def find(resource: Resource) -> list[str]:
        value: Any = resource
        for name in path:
            value = (value or {}).get(name)
        listed = value if isinstance(value, list) else [value]
        return [v["reference"] for v in listed if v and "reference" in v]

    return find


def reference_holds(text: str, found: str, type: str = "") -> bool:
    target = found.split("/_history/")[0]
    if type and not target.startswith(type + "/"):
        return False
    return target == text or target.split("/")[-1] == text


def _dates(name: str) -> Finder:
    def find(resource: Resource) -> list[tuple[datetime, datetime]]:
        found = [
            span(resource[key]) for key in (name, name + "DateTime", name + "Instant") if key in resource
        ]
        return found + ([period(resource[name + "Period"])] if name + "Period" in resource else [])

    return find


def _quantities(resource: Resource) -> list[Resource]:
    return [resource["valueQuantity"]] if "value" in resource.get("valueQuantity", {}) else []


def quantity_holds(text: str, found: Resource) -> bool:
    number, _, rest = text.partition("|")
    system, _, unit = rest.partition("|")
    if system and found.get("system") != system:
        return False
    if unit and unit not in (found.get("code"), found.get("unit")):
        return False
    return number_holds(*prefixed(number), Decimal(found["value"]))


TOKENS: dict[tuple[str, str], tuple[Finder, bool]] = {
    ("Observation", "code"): (lambda r: codings(r.get("code")), False),
    ("Observation", "category"): (lambda r: [t for c in r.get("category", []) for t in codings(c)], False),
    ("Observation", "status"): (lambda r: [(None, r["status"])] if "status" in r else [], True),
    ("Observation", "combo-code"): (
        lambda r: (
            codings(r.get("code")) + [t for c in r.get("component", []) for t in codings(c.get("code"))]
        ),
        False,
    ),
    ("Patient", "gender"): (lambda r: [(None, r["gender"])] if "gender" in r else [], True),
    ("Patient", "active"): (lambda r: [(None, str(r["active"]).lower())] if "active" in r else [], True),
    ("Patient", "identifier"): (
        lambda r: [(i.get("system"), i.get("value")) for i in r.get("identifier", [])],
        False,
    ),
    ("Patient", "telecom"): (lambda r: [(None, t.get("value")) for t in r.get("telecom", [])], True),
    ("Patient", "phone"): (
        lambda r: [(None, t.get("value")) for t in r.get("telecom", []) if t.get("system") == "phone"],
        True,
    ),
    ("Patient", "deceased"): (
        lambda r: [(None, str("deceasedDateTime" in r or r.get("deceasedBoolean", False)).lower())],
        True,
    ),
}
STRINGS: dict[tuple[str, str], Finder] = {
    ("Patient", "name"): name_parts,
    ("Patient", "family"): lambda r: [n["family"] for n in r.get("name", []) if "family" in n],
    ("Patient", "given"): lambda r: [g for n in r.get("name", []) for g in n.get("given", [])],
    ("Patient", "address-city"): lambda r: [a["city"] for a in r.get("address", []) if "city" in a],
}
DATES: dict[tuple[str, str], Finder] = {
    ("Observation", "date"): _dates("effective"),
    ("Patient", "birthdate"): _dates("birthDate"),
}
REFERENCES: dict[tuple[str, str], tuple[Finder, str]] = {
    ("Observation", "subject"): (_reference("subject"), ""),
    ("Observation", "patient"): (_reference("subject"), "Patient"),
    ("Observation", "encounter"): (_reference("encounter"), ""),
    ("Observation", "performer"): (_reference("performer"), ""),
}
QUANTITIES: dict[tuple[str, str], Finder] = {("Observation", "value-quantity"): _quantities}


def values(type: str, code: str, resource: Resource) -> list[Any]:
    """What the parameter finds in the resource."""
    key = (type, code)
    if key in TOKENS:
        return TOKENS[key][0](resource)
    if key in REFERENCES:
        finder, target = REFERENCES[key]
        return [found for found in finder(resource) if found.startswith(target)]
    return (STRINGS.get(key) or DATES.get(key) or QUANTITIES[key])(resource)


def one_holds(type: str, code: str, modifier: str, text: str, found: Any) -> bool:
    key = (type, code)
    if key in TOKENS:
        return token_holds(text, *found, TOKENS[key][1])
    if key in STRINGS:
        return string_holds(modifier, text, found)
    if key in DATES:
        prefix, rest = prefixed(text)
        return date_holds(prefix, span(rest), found)
    if key in REFERENCES:
        return reference_holds(text, found, modifier or REFERENCES[key][1])
    return quantity_holds(text, found)


def holds(type: str, name: str, value: str, resource: Resource) -> bool:
    """Whether one name=value pair of a search holds for the resource."""
    code, _, modifier = name.partition(":")
    if code == "_id":
        return resource["id"] in value.split(",")
    found = values(type, code, resource)
    if modifier == "missing":
        return (not found) == (value == "true")
    any_holds = any(one_holds(type, code, modifier, text, one) for text in value.split(",") for one in found)
    return not any_holds if modifier == "not" else any_holds


def matching(type: str, pairs: list[tuple[str, str]], resources: dict[str, Resource]) -> set[str]:
    return {id for id, resource in resources.items() if all(holds(type, n, v, resource) for n, v in pairs)}
