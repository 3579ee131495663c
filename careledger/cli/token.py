"""`careledger token`: bearer tokens for programs and people."""

from __future__ import annotations

import re
from typing import Annotated

from cyclopts import App, Parameter

from careledger.cli import calls
from careledger.cli.durations import parse_duration_s
from careledger.cli.errors import UsageError
from careledger.cli.options import NodeOptions
from careledger.cli.output import note, print_result
from careledger.primitives.errors import Invalid

app = App(name="token", help="Issue a bearer token, or revoke one.", help_formatter="plain")


@app.default
def issue(
    *,
    client: Annotated[str | None, Parameter(help="Name of the program that will use it.")] = None,
    scope: Annotated[str | None, Parameter(help="SMART v2 scopes, e.g. 'system/*.cruds'.")] = None,
    patient: Annotated[str | None, Parameter(help="Only this patient; the rest is as if absent.")] = None,
    practitioner: Annotated[str | None, Parameter(help="The practitioner on whose behalf it acts.")] = None,
    role: Annotated[
        tuple[str, ...],
        Parameter(name="--role", help="A role it has, as directives name it; may be repeated.", negative=""),
    ] = (),
    org: Annotated[str | None, Parameter(help="DID of another organisation that acts.")] = None,
    purpose: Annotated[
        str | None, Parameter(help="Purpose of use: TREAT (default), ETREAT, HPAYMT, …")
    ] = None,
    expires: Annotated[str, Parameter(help="How long it holds: 15m, 1h, 7d.")] = "1h",
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Issue a bearer token; prints the token alone, its expiry on stderr."""
    if client is None or scope is None:
        raise UsageError(
            "a token needs --client and --scope",
            hint="careledger token --client app --scope 'system/*.rs' --home DIR",
        )
    check_asked(org, purpose)
    params = {
        "client": client,
        "scope": scope,
        "patient": calls.compute_patient_id(patient) if patient else None,
        "practitioner": practitioner,
        "roles": list(role),
        "org": org,
        "purpose": purpose,
        "expires_s": parse_duration_s(expires),
    }
    result = calls.call(options, "token.issue", params)
    print_result(result, as_json=options.json, text=result["token"])
    if not options.json:
        note(f"expires: {result['expires']}; revoke it with: careledger token revoke {result['id']}")


def check_asked(org: str | None, purpose: str | None) -> None:
    """A token of nobody, or for nothing known, would see nothing, and nobody would say why. Raises UsageError."""
    from careledger.access.force import PURPOSES
    from careledger.primitives.types import parse_did

    if purpose is not None and purpose not in PURPOSES:
        raise UsageError(
            f"{purpose!r} is no purpose of use", hint="TREAT, ETREAT, HPAYMT, HOPERAT, HRESCH, PUBHLTH …"
        )
    try:
        if org is not None:
            parse_did(org)
    except Invalid as error:
        raise UsageError(f"{org!r} is no DID of this kind", hint=error.hint) from None


_TOKEN_OR_ID = re.compile(r"[0-9a-f]{32}|[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


@app.command
def revoke(
    token: Annotated[str, Parameter(name="TOKEN", help="The token, or its id.")],
    /,
    *,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Revoke a token: no request that starts after this returns is answered with it."""
    if not _TOKEN_OR_ID.fullmatch(token):  # else a slip of the pen would be told "revoked"
        raise UsageError(
            "this is neither a token nor a token's id", hint="32 hex digits, as `token` printed them"
        )
    result = calls.call(options, "token.revoke", {"token": token})
    print_result(result, as_json=options.json, text=f"revoked {result['id']}")
