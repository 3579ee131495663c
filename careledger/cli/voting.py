"""`careledger governance`: what a network's organisations decide together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from careledger.cli import calls
from careledger.cli.errors import UsageError
from careledger.cli.governance import read_request
from careledger.cli.options import NodeOptions, Output
from careledger.cli.output import compute_lines, compute_table, print_result, write_file
from careledger.node.program import running_program, write_program

PROPOSAL_COLUMNS = ("number", "status", "votes_for", "votes_against", "weight", "what")
VALIDATOR_COLUMNS = ("address", "weight", "since", "organisation")

app = App(
    name="governance",
    help="Propose, vote on and list what a network's organisations decide together.",
    help_formatter="plain",
)
propose = App(
    name="propose",
    help="Propose something; that is this organisation's vote for it too.",
    help_formatter="plain",
)
app.command(propose)

Days = Annotated[int, Parameter(help="How long it can be voted on: 1 to 30.")]
Weight = Annotated[int | None, Parameter(help="Of its votes on blocks; as the lightest that validates.")]
Address = Annotated[str, Parameter(name="VALIDATOR", help="Its address: `governance list` shows it.")]
Request = Annotated[Path, Parameter(name="FILE", help="What `careledger join` wrote there.")]


def _propose(options: NodeOptions, what: str, days: int, **params: Any) -> None:
    result = calls.call(options, "governance.propose", {"what": what, "days": days} | params)
    print_result(result, as_json=options.json, text=_tell(result))


@propose.command
def admit(file: Request, /, *, days: Days = 7, options: NodeOptions = NodeOptions()) -> None:  # noqa: B008
    """Admit the organisation that asks this one."""
    _propose(options, "admit", days, file=read_request(file))


@propose.command
def validator(
    file: Request,
    /,
    *,
    weight: Weight = None,
    days: Days = 7,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Let an admitted organisation validate."""
    _propose(options, "validator", days, file=read_request(file), weight=weight)


@propose.command(name="remove-organisation")
def remove_organisation(
    did: Annotated[str, Parameter(name="DID", help="The organisation.")],
    /,
    *,
    days: Days = 7,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """End what an organisation may do on the ledger, and its validators, for ever."""
    _propose(options, "remove-organisation", days, did=did)


@propose.command
def weight(
    address: Address,
    weight: Annotated[int, Parameter(name="WEIGHT", help="From now on.")],
    /,
    *,
    days: Days = 7,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Give an active validator another weight."""
    _propose(options, "weight", days, validator=address, weight=weight)


@propose.command(name="remove-validator")
def remove_validator(
    address: Address,
    /,
    *,
    days: Days = 7,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Remove a validator; its key never returns."""
    _propose(options, "remove-validator", days, validator=address)


@propose.command
def jail(address: Address, /, *, days: Days = 7, options: NodeOptions = NodeOptions()) -> None:  # noqa: B008
    """Take a validator's weight, until a vote gives it back."""
    _propose(options, "jail", days, validator=address)


@propose.command
def unjail(
    address: Address,
    /,
    *,
    weight: Weight = None,
    days: Days = 7,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Give a jailed validator weight again."""
    _propose(options, "unjail", days, validator=address, weight=weight)


@propose.command
def parameter(
    name: Annotated[str, Parameter(name="NAME", help="A parameter that `parameters show` lists.")],
    value: Annotated[int, Parameter(name="VALUE", help="A whole number within its bounds.")],
    /,
    *,
    days: Days = 7,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Set a parameter of the ledger."""
    _propose(options, "parameter", days, name=name, value=value)


@propose.command
def upgrade(
    file: Annotated[Path, Parameter(name="FILE", help="What `careledger governance program` wrote there.")],
    /,
    *,
    at_height: Annotated[
        int, Parameter(help="The first block that it executes; every node stops before it.")
    ],
    days: Days = 7,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Let another program execute the ledger, from a block on."""
    _propose(options, "upgrade", days, file=read_request(file), at_height=at_height)


@app.command
def program(*, output: Output = Path("-")) -> None:
    """Write which program this is: its versions, and the hash of the code that executes blocks."""
    write_file(output, write_program(running_program()))


@app.command
def vote(
    number: Annotated[int, Parameter(name="NUMBER", help="Of the proposal.")],
    /,
    *,
    yes: Annotated[bool, Parameter(negative="", help="For it.")] = False,
    no: Annotated[bool, Parameter(negative="", help="Against it.")] = False,
    hash: Annotated[
        str | None, Parameter(help="Only if the proposal is this one, as `governance list` shows it.")
    ] = None,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Give this organisation's one vote."""
    if yes == no:
        raise UsageError("a vote is for or against", hint="--yes or --no")
    result = calls.call(options, "governance.vote", {"number": number, "is_for": yes, "hash": hash or ""})
    print_result(result, as_json=options.json, text=_tell(result))


@app.command(name="list")
def list_(*, options: NodeOptions = NodeOptions()) -> None:  # noqa: B008 (frozen)
    """List the newest proposals, and who validates with which weight."""
    result = calls.call(options, "governance.list")
    rows = [row | {"what": ", ".join(one["what"] for one in row["actions"])} for row in result["proposals"]]
    text = compute_table(result["validators"], VALIDATOR_COLUMNS)
    if rows:
        text += "\n" + compute_table(rows, PROPOSAL_COLUMNS)
    for row in result["proposals"]:
        if row["actions"]:
            text += f"\n{row['number']} ({row['hash']}):\n{compute_lines({'actions': row['actions']}, '  ')}"
    print_result(result, as_json=options.json, text=text)


def _tell(result: dict[str, Any]) -> str:
    what = ", ".join(one["what"] for one in result["actions"])
    told = f"proposal {result['number']} is {result['status']}" + (f": {what}" if what else "")
    return f"{told}\n{result['votes_for']} of {result['weight']} for, {result['votes_against']} against\n"
