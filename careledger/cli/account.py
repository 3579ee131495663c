"""`careledger account`: people who sign in."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from careledger.cli import calls
from careledger.cli.errors import UsageError
from careledger.cli.options import NodeOptions
from careledger.cli.output import compute_table, note, print_result

COLUMNS = ("id", "kind", "name", "fhir_user", "duties", "disabled")

app = App(
    name="account", help="Invite, list, link, disable or enable people who sign in.", help_formatter="plain"
)


@app.command
def invite(
    *,
    name: Annotated[str | None, Parameter(help="What the person is called.")] = None,
    patient: Annotated[str, Parameter(help="Of a patient: the id of the Patient.")] = "",
    practitioner: Annotated[str, Parameter(help="Of a clinician: the id of the Practitioner.")] = "",
    did: Annotated[
        str, Parameter(help="Of a clinician: the DID on the ledger; suspended there, out here.")
    ] = "",
    role: Annotated[tuple[str, ...], Parameter(name="--role", negative="", help="A role; repeatable.")] = (),
    duty: Annotated[
        tuple[str, ...],
        Parameter(name="--duty", negative="", help="Of an administrator: keys, users or audit; repeatable."),
    ] = (),
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Print a link with which one person makes an account and a passkey, once, within seven days."""
    if name is None or sum(map(bool, (patient, practitioner, duty))) != 1:
        raise UsageError(
            "say who: --name, and one of --patient, --practitioner or --duty",
            hint="careledger account invite --name 'Ana Torres' --patient ID --home DIR",
        )
    params: dict[str, Any] = {"kind": "administrator", "name": name, "duties": list(duty)}
    if patient:
        params |= {"kind": "patient", "fhir_user": f"Patient/{calls.compute_patient_id(patient)}"}
    elif practitioner:
        params |= {
            "kind": "clinician",
            "fhir_user": f"Practitioner/{practitioner.removeprefix('Practitioner/')}",
        }
        params |= {"did": did, "roles": list(role)}
    result = calls.call(options, "account.invite", params)
    print_result(result, as_json=options.json, text=result["link"])
    if not options.json:
        note(f"or type the code at /enrol: {result['code']}")


@app.command(name="list")
def list_(*, options: NodeOptions = NodeOptions()) -> None:  # noqa: B008 (frozen)
    """Everybody who can sign in, or could."""
    result = calls.call(options, "account.list")
    shown = [
        {**row, "duties": " ".join(row["duties"]), "disabled": "yes" if row["disabled"] else ""}
        for row in result["accounts"]
    ]
    print_result(result, as_json=options.json, text=compute_table(shown, COLUMNS) if shown else "no accounts")


@app.command
def disable(
    account: Annotated[str, Parameter(name="ID", help="The account's id.")],
    /,
    *,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """The person is signed out everywhere, with every program that they allowed, once this returns."""
    result = calls.call(options, "account.disable", {"id": account})
    print_result(result, as_json=options.json, text=f"disabled {result['id']}")


@app.command
def enable(
    account: Annotated[str, Parameter(name="ID", help="The account's id.")],
    /,
    *,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """The person's passkeys sign in again."""
    result = calls.call(options, "account.enable", {"id": account})
    print_result(result, as_json=options.json, text=f"enabled {result['id']}")


Subject = Annotated[
    str | None, Parameter(help="Who that is at the organisation's provider: `sub` of its ID tokens.")
]


@app.command
def link(
    account: Annotated[str, Parameter(name="ID", help="The account's id.")],
    /,
    *,
    subject: Subject = None,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Let the person sign in through the organisation's own provider too, which the node's configuration names."""
    result = calls.call(options, "account.link", {"id": account, "subject": _given(subject)})
    print_result(result, as_json=options.json, text=f"linked {result['id']}")


@app.command
def unlink(
    account: Annotated[str, Parameter(name="ID", help="The account's id.")],
    /,
    *,
    subject: Subject = None,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """The provider signs this person in no more; what it signed in is over once this returns."""
    result = calls.call(options, "account.unlink", {"id": account, "subject": _given(subject)})
    print_result(result, as_json=options.json, text=f"unlinked {result['id']}")


def _given(subject: str | None) -> str:
    if not subject:
        raise UsageError("say who that is at the provider: --subject", hint="`sub` of its ID tokens")
    return subject
