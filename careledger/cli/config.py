"""`careledger config`: what a node is set to, and by what."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from careledger.cli import calls
from careledger.cli.options import NodeOptions
from careledger.cli.output import print_result

app = App(
    name="config", help="Show the configuration and where each value comes from.", help_formatter="plain"
)


@app.command
def show(
    *,
    origin: Annotated[bool, Parameter(negative="", help="Say where each value comes from.")] = False,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Show every setting; values come from defaults, TOML, CARELEDGER_… variables and flags, the last wins."""
    result = calls.call(options, "config")
    settings = result["settings"]
    if not origin:
        result = {**result, "settings": {name: entry["value"] for name, entry in settings.items()}}
    head = [f"did = {result['did']}", f"name = {result['name']}"]
    width = max((len(f"{name} = {entry['value']}") for name, entry in settings.items()), default=0)
    rows = [
        f"{f'{name} = ' + str(entry['value']):<{width}}  # {entry['origin']}"
        if origin
        else f"{name} = {entry['value']}"
        for name, entry in settings.items()
    ]
    print_result(result, as_json=options.json, text="\n".join(head + rows))
