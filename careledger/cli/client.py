"""`careledger client`: programs that may ask for tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from careledger.cli import calls
from careledger.cli.errors import UsageError
from careledger.cli.options import NodeOptions
from careledger.cli.output import compute_table, note, print_result

JWKS_BYTES_MAX = 65_536
COLUMNS = ("id", "name", "method", "grant_types", "scope", "disabled")

app = App(
    name="client", help="Register, list or disable programs that ask for tokens.", help_formatter="plain"
)


@app.command
def add(
    *,
    name: Annotated[str | None, Parameter(help="Its name, as people are shown it.")] = None,
    scope: Annotated[str | None, Parameter(help="The most that it may ever get: SMART v2 scopes.")] = None,
    jwks: Annotated[
        Path | None, Parameter(help="Its public keys, a JWK set: it proves itself with them.")
    ] = None,
    jwks_uri: Annotated[
        str, Parameter(help="Where it publishes them, on a host that smart.jwks_hosts lists.")
    ] = "",
    redirect_uri: Annotated[
        tuple[str, ...], Parameter(name="--redirect-uri", negative="", help="Where answers go; repeatable.")
    ] = (),
    grant: Annotated[
        tuple[str, ...],
        Parameter(name="--grant", negative="", help="authorization_code (for people) or client_credentials."),
    ] = (),
    public: Annotated[
        bool, Parameter(negative="", help="It can keep no secret (a browser, a phone).")
    ] = False,
    dpop: Annotated[
        bool, Parameter(negative="", help="Its tokens are bound to a key that it proves.")
    ] = False,
    launch_uri: Annotated[str, Parameter(help="Where it is launched from the record.")] = "",
    org: Annotated[str, Parameter(help="DID of another organisation that it acts for.")] = "",
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Register a program; prints its client id alone (and, on stderr, its secret if it has one: shown once)."""
    if name is None or scope is None or not (jwks or jwks_uri or redirect_uri):
        raise UsageError(
            "a client needs --name, --scope, and --jwks or --redirect-uri",
            hint="careledger client add --name Lab --jwks keys.json --grant client_credentials --scope 'system/*.rs'",
        )
    if public and (jwks is not None or jwks_uri):
        raise UsageError("a public client has no keys", hint="leave --public or the keys out")
    params: dict[str, Any] = {
        "name": name,
        "scope": scope,
        "method": "none" if public else "",
        "redirect_uris": list(redirect_uri),
        "grant_types": list(grant),
        "jwks": read_jwks(jwks) if jwks is not None else "",
        "jwks_uri": jwks_uri,
        "dpop_bound": dpop,
        "launch_uri": launch_uri,
        "organisation": org,
    }
    result = calls.call(options, "client.add", params)
    print_result(result, as_json=options.json, text=result["id"])
    if result["secret"] and not options.json:
        note(f"secret (shown once): {result['secret']}")


def read_jwks(path: Path) -> str:
    """The file's text. Raises UsageError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", hint="name a file with a JWK set"
        ) from error
    if len(data) > JWKS_BYTES_MAX:
        raise UsageError(f"{path} is too large for a JWK set", hint="64 kB at most")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text", hint="name a file with a JWK set") from error


@app.command(name="list")
def list_(*, options: NodeOptions = NodeOptions()) -> None:  # noqa: B008 (frozen)
    """Every program that was registered, disabled ones included."""
    result = calls.call(options, "client.list")
    shown = [
        {**row, "grant_types": " ".join(row["grant_types"]), "disabled": "yes" if row["disabled"] else ""}
        for row in result["clients"]
    ]
    print_result(result, as_json=options.json, text=compute_table(shown, COLUMNS) if shown else "no clients")


@app.command
def disable(
    client: Annotated[str, Parameter(name="ID", help="The client's id.")],
    /,
    *,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """The program gets no token any more, and those it has are refused once this returns."""
    result = calls.call(options, "client.disable", {"id": client})
    print_result(result, as_json=options.json, text=f"disabled {result['id']}")
