"""Pages: Jinja2 with everything escaped, our words in the visitor's language, and headers that let nothing else in.

No page holds a script or a style of its own; titles and addresses name no person and no record.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from careledger.primitives.errors import CareLedgerError
from careledger.smart.wording import Language
from careledger.web.smart.dates import write_date
from careledger.web.smart.messages import HTML, SmartAnswer
from careledger.web.smart.visits import Visit
from careledger.web.smart.words import WORDS

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action {form_action}; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
HEADERS: Final = (
    (b"content-type", HTML),
    (
        b"referrer-policy",
        b"same-origin",
    ),  # with `no-referrer` browsers send `Origin: null` with our own forms
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"permissions-policy",
        b"camera=(), microphone=(), geolocation=(), publickey-credentials-get=(self), publickey-credentials-create=(self)",
    ),
)
ASSETS: Final = {
    "people.js": b"text/javascript;charset=utf-8",
    "deciding.js": b"text/javascript;charset=utf-8",
    "people.css": b"text/css;charset=utf-8",
    "icon.svg": b"image/svg+xml",
}


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("careledger.web.smart", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def say(key: str, language: Language) -> str:
    """Our words for `key`."""
    return WORDS[key][0 if language == "en" else 1]


def render(
    visit: Visit,
    name: str,
    *,
    status: int = 200,
    form_target: str = "",
    is_barred: bool = False,
    **values: Any,
) -> SmartAnswer:
    """The page `pages/NAME.html`. `form_target` is an origin that the answer to its form may redirect to; `is_barred`
    leaves whoever is signed in no way but out.

    Browsers apply `form-action` to redirects too, so the consent page names the program's origin.
    """
    body = (
        _environment()
        .get_template(f"{name}.html")
        .render(
            page=name,
            t=lambda key: say(key, visit.language),
            date=write_date,
            language=visit.language,
            csrf=visit.csrf,
            fresh_seconds=visit.fresh_seconds,
            me=visit.signed_in.account if visit.signed_in is not None else None,
            house=visit.party.name,
            is_barred=is_barred,
            **values,
        )
    )
    policy = POLICY.format(form_action=f"'self' {form_target}".rstrip())
    headers = [*HEADERS, (b"content-security-policy", policy.encode("ascii"))]
    return SmartAnswer(status, body.encode(), [*headers, *cookies_of(visit)])


def cookies_of(visit: Visit) -> list[tuple[bytes, bytes]]:
    """The Set-Cookie headers of a visit's answer."""
    return [(b"set-cookie", line.encode("ascii")) for line in visit.cookies]


def describe_error(error: CareLedgerError, language: Language) -> tuple[str, str]:
    """Message and hint; in the visitor's language where we have words for its code."""
    key = f"error.{error.code}"
    if key in WORDS:
        return say(key, language), say(f"{key}.hint", language) if f"{key}.hint" in WORDS else error.hint
    return error.message, error.hint


@cache
def read_asset(name: str) -> bytes | None:
    """A file that the package's build made; None where it was not built."""
    path = files("careledger.web").joinpath("_ui", name)
    return path.read_bytes() if name in ASSETS and path.is_file() else None
