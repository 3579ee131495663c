"""`careledger consent`: what a patient decides about her chart. Her key stays in this process."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from careledger.cli import calls, decisions
from careledger.cli.decisions import Made
from careledger.cli.errors import UsageError
from careledger.cli.options import NodeOptions
from careledger.cli.output import compute_table, note, print_result
from careledger.primitives.errors import CareLedgerError, Conflict

ATTEMPTS = 5
COLUMNS = (
    "id", "effect", "actions", "grantees", "purposes", "types", "categories", "labels", "from", "until", "status",
    "bound",
)  # fmt: skip
REFUSED_HINT = "careledger consent list PATIENT shows what stands"

app = App(
    name="consent", help="Grant, supersede, revoke, list and explain directives.", help_formatter="plain"
)


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Terms:
    """What a directive says."""

    to: Annotated[
        tuple[str, ...],
        Parameter(name="--to", help="A DID, Practitioner/ID or role:NAME; may be repeated.", negative=""),
    ] = ()
    purpose: Annotated[
        tuple[str, ...],
        Parameter(name="--purpose", help="TREAT, HPAYMT, HRESCH …; may be repeated.", negative=""),
    ] = ()
    deny: Annotated[bool, Parameter(name="--deny", negative="", help="Deny instead of permit.")] = False
    type: Annotated[
        tuple[str, ...],
        Parameter(name="--type", help="Only this resource type; may be repeated.", negative=""),
    ] = ()
    category: Annotated[
        tuple[str, ...],
        Parameter(name="--category", help="Only this category: SYSTEM|CODE or CODE.", negative=""),
    ] = ()
    label: Annotated[
        tuple[str, ...],
        Parameter(name="--label", help="Only this security label: SYSTEM|CODE or CODE.", negative=""),
    ] = ()
    start: Annotated[
        str | None, Parameter(name="--from", help="First day, YYYY-MM-DD (UTC); today if absent.")
    ] = None
    until: Annotated[str | None, Parameter(name="--until", help="Last day, YYYY-MM-DD (UTC).")] = None
    action: Annotated[
        tuple[Literal["access", "proof"], ...],
        Parameter(
            name="--action", help="access (default: to read and search), proof (receipts).", negative=""
        ),
    ] = ()


KeyOption = Annotated[Path | None, Parameter(name="--key", help="Her key file, as `patient enrol` wrote it.")]


@app.command
def grant(
    patient: Annotated[str, Parameter(name="PATIENT", help="An id, or Patient/ID.")],
    /,
    *,
    terms: Terms = Terms(),
    key: KeyOption = None,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Permit (or with --deny, deny) something; prints the directive's id alone, its revocation code on stderr.

    It is signed here, waits a random time (consent.grant_delay_seconds) and is in force when its id is printed.
    """
    wanted = decisions.read_terms(terms)
    call = calls.Calls(options)
    made = submit(call, options, {"patient": calls.compute_patient_id(patient)}, wanted, key, "")
    print_made(made, options)


@app.command
def supersede(
    id: Annotated[str, Parameter(name="ID", help="The directive that is replaced.")],
    /,
    *,
    terms: Terms = Terms(),
    key: KeyOption = None,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Grant a new directive in place of an old one, then revoke the old one; prints the new one's id."""
    wanted = decisions.read_terms(terms)
    decisions.check_id(id)
    call = calls.Calls(options)
    _, patient_key = decisions.read_her_key(key)
    prepared = call("consent.prepare_revocation", id=id)
    decisions.check_can_revoke(prepared, patient_key)
    decisions.check_in_force(prepared)
    made = submit(call, options, {"id": id}, wanted, key, id)
    try:
        revoked = revoke_by_key(call, id, key)
    except CareLedgerError:
        note(f"granted {made['id']}, which replaces {id}; but the old one could not be revoked:")
        raise
    print_made({**made, "supersedes": id, "revoked_height": revoked["height"]}, options)


@app.command
def revoke(
    id: Annotated[str, Parameter(name="ID", help="The directive's id.")],
    /,
    *,
    key: KeyOption = None,
    code: Annotated[
        str | None, Parameter(name="--code", help="Its printed code, or @FILE with it, instead of --key.")
    ] = None,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Revoke a directive: no request that starts after this returns is answered on its authority."""
    if (key is None) == (code is None):
        raise UsageError("a revocation needs --key or --code", hint="careledger consent revoke ID --key FILE")
    decisions.check_id(id)
    call = calls.Calls(options)
    result = (
        revoke_by_key(call, id, key)
        if code is None
        else call("consent.revoke", id=id, code=decisions.read_code(code))
    )
    print_result(result, as_json=options.json, text=f"revoked {id}")


@app.command(name="list")
def list_(
    patient: Annotated[str, Parameter(name="PATIENT", help="An id, or Patient/ID.")],
    /,
    *,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """List the directives of a chart, oldest first, with how each stands on the ledger."""
    result = calls.call(options, "consent.list", {"patient": calls.compute_patient_id(patient)})
    rows = [
        {
            name: (",".join(value) or "any") if isinstance(value, list) else value
            for name, value in row.items()
        }
        for row in result["directives"]
    ]
    rows = [{**row, "bound": "yes" if row["bound"] else "no"} for row in rows]
    print_result(result, as_json=options.json, text=compute_table(rows, (*COLUMNS, "consent")))
    if not options.json and not rows:
        note("nothing was decided" + ("" if result["key"] else "; no key is enrolled"))


@app.command
def explain(
    actor: Annotated[
        str,
        Parameter(
            name="TOKEN-OR-CLIENT", help="A token, @FILE with one, or the name of a custodian's client."
        ),
    ],
    reference: Annotated[str, Parameter(name="TYPE/ID", help="What it would read.")],
    /,
    *,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Say what is decided on a read: permit or deny, by which rule and directive, as of which height."""
    calls.check_reference(reference, "TYPE/ID, e.g. Observation/123", versioned=False)
    result = calls.call(
        options, "consent.explain", {"actor": decisions.read_actor(actor), "reference": reference}
    )
    print_result(result, as_json=options.json)


def submit(
    call: calls.Calls,
    options: NodeOptions,
    chart: dict[str, str],
    wanted: decisions.Wanted,
    key: Path | None,
    supersedes: str,
) -> dict[str, Any]:
    """Make, sign, wait, hand in; sign again where another transaction took the sequence."""
    file, patient_key = decisions.read_her_key(key)
    dids = [one for one in wanted.to if one.startswith("did:")]
    people = [name for one in wanted.to if one != (name := one.removeprefix("Practitioner/"))]
    prepared = call("consent.prepare", **chart, dids=dids, practitioners=people)
    made: Made = decisions.make(wanted, prepared, file, patient_key, supersedes)
    for did in dids:
        if not prepared["kinds"][did]["known"]:
            note(f"{did} is not on this ledger: taken for an organisation")
    for name in prepared["strangers"]:
        note(f"there is no Practitioner/{name} here: whoever comes with that id is meant")
    delay_s = int(prepared["delay_s"])
    if delay_s:
        if not options.json:
            note(f"waiting up to {delay_s} s, so that the ledger tells less about who decided when")
        time.sleep(secrets.randbelow(1000 * delay_s + 1) / 1000)
    for left in range(ATTEMPTS - 1, -1, -1):
        try:
            result = call("consent.grant", **decisions.sign(made, prepared, patient_key))
            decisions.check_entry(result.pop("entry"), made, patient_key)
            return {**result, "code": made.code.hex()}
        except Conflict as error:
            if error.code != decisions.SEQUENCE_MOVED or not left:
                raise
        prepared = call("consent.prepare", **chart, dids=dids)
    raise AssertionError  # the loop returns or raises


def revoke_by_key(call: calls.Calls, id: str, key: Path | None) -> dict[str, Any]:
    """Sign the revocation here; again where another transaction took the sequence."""
    _, patient_key = decisions.read_her_key(key)
    for left in range(ATTEMPTS - 1, -1, -1):
        prepared = call("consent.prepare_revocation", id=id)
        try:
            return call("consent.revoke", **decisions.sign_revocation(id, prepared, patient_key))
        except Conflict as error:
            if error.code != decisions.SEQUENCE_MOVED or not left:
                raise
    raise AssertionError  # the loop returns or raises


def print_made(made: dict[str, Any], options: NodeOptions) -> None:
    """The id alone on stdout; the code, which is nowhere else, on stderr."""
    print_result(made, as_json=options.json, text=made["id"])
    if not options.json:
        note(f"revocation code, to be kept on paper: {made['code']}")
        note(f"in force since height {made['height']}; shown by {made['consent']}")
