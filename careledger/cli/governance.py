"""`careledger org` and `careledger parameters`: who is admitted to the ledger, and what its operator may set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from careledger.cli import calls
from careledger.cli.errors import UsageError
from careledger.cli.options import NodeOptions, Output
from careledger.cli.output import compute_table, print_result, write_file

REQUEST_BYTES_MAX = 1_000_000
ORGANISATION_COLUMNS = ("did", "active", "operator", "height", "name")
PARAMETER_COLUMNS = ("name", "value", "least", "most", "meaning")

org = App(
    name="org", help="Admit organisations to the ledger, or ask to be admitted.", help_formatter="plain"
)
parameters = App(
    name="parameters",
    help="Show or set the ledger's parameters, within their bounds.",
    help_formatter="plain",
)


@org.command
def request(
    *,
    to: Annotated[str | None, Parameter(help="DID of the operator that is asked.")] = None,
    end_point: Annotated[
        list[str] | None, Parameter(negative="", help="Where this organisation can be reached; repeatable.")
    ] = None,
    output: Output = Path("-"),
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Write this organisation's request, signed by its keys; it holds no secret."""
    if to is None:
        raise UsageError(
            "the operator that is asked was not named",
            hint="--to DID; there, `careledger config show` prints it",
        )
    result = calls.call(options, "org.request", {"operator": to, "end_points": end_point or []})
    content = result["file"].encode()
    write_file(output, content)
    if options.json and str(output) != "-":
        print_result({"file": str(output), "bytes": len(content)}, as_json=True)


@org.command
def admit(
    file: Annotated[Path, Parameter(name="FILE", help="What `careledger org request` wrote there.")],
    /,
    *,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Admit the organisation that asks; only the operator can."""
    result = calls.call(options, "org.admit", {"file": read_request(file)})
    print_result(
        result,
        as_json=options.json,
        text=f"admitted {result['did']} ({result['name']}) at block {result['height']}",
    )


@org.command
def deactivate(
    did: Annotated[str, Parameter(name="DID", help="The organisation.")],
    /,
    *,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """End what an organisation may do on the ledger, for ever; only the operator can."""
    result = calls.call(options, "org.deactivate", {"did": did})
    print_result(result, as_json=options.json, text=f"deactivated {did} at block {result['height']}")


@org.command(name="list")
def list_(
    *,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """List every organisation that was ever admitted, as it is now."""
    result = calls.call(options, "org.list")
    print_result(result, as_json=options.json, text=make_table(result["organisations"], ORGANISATION_COLUMNS))


@parameters.command
def show(
    *,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Show every parameter with its bounds, and which versions execute the ledger."""
    result = calls.call(options, "parameters.show")
    text = make_table(result["parameters"], PARAMETER_COLUMNS) + f"\nexecuted by {result['profile']}"
    print_result(result, as_json=options.json, text=text)


@parameters.command(name="set")
def set_(
    name: Annotated[str, Parameter(name="NAME", help="A parameter that `parameters show` lists.")],
    value: Annotated[int, Parameter(name="VALUE", help="A whole number within its bounds.")],
    /,
    *,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Set a parameter for everybody; only the operator can."""
    result = calls.call(options, "parameters.set", {"name": name, "value": value})
    print_result(
        result, as_json=options.json, text=f"{name} is {result['value']} from block {result['height']} on"
    )


def make_table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    """Rows as a table; truths as people say them."""
    said = {True: "yes", False: "no"}
    return compute_table(
        [
            {name: said.get(cell, cell) if isinstance(cell, bool) else cell for name, cell in row.items()}
            for row in rows
        ],
        columns,
    )


def read_request(file: Path) -> str:
    """The text of a request, at most `REQUEST_BYTES_MAX` bytes of it (the reader refuses what is cut)."""
    try:
        with file.open("rb") as handle:
            return handle.read(REQUEST_BYTES_MAX + 1).decode()
    except OSError as error:
        raise UsageError(
            f"cannot read {file}: {error.strerror}", hint="name a file that you may read"
        ) from None
    except UnicodeDecodeError:
        raise UsageError(
            f"{file} is no request for admission", hint="careledger org request writes one"
        ) from None
