"""`careledger network`: organisations that keep one ledger, all on this machine, and what can happen to them."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from careledger.cli.errors import FAILURE, OK
from careledger.cli.joining import found
from careledger.cli.options import JsonFlag, NodeOptions, Output
from careledger.cli.output import note, print_result, write_file
from careledger.primitives.errors import Invalid

app = App(
    name="network",
    help="Organisations that keep one ledger, on this machine: to try out, to test, to learn.",
    help_formatter="plain",
)

app.command(found)

Folder = Annotated[Path, Parameter(name=("--dir",), help="The network's folder.")]
Org = Annotated[str, Parameter(name="ORG", help="Name of an organisation of the network.")]


@app.command
def up(
    *,
    orgs: Annotated[int, Parameter(help="How many organisations, if it is made.")] = 4,
    dir: Folder = Path("network"),
    base_port: Annotated[
        int | None, Parameter(help="The first port, if it is made; others follow. Free ones otherwise.")
    ] = None,
    key_type: Annotated[
        str, Parameter(help="Of the validators, if it is made: ml_dsa_65 (post-quantum) or ed25519.")
    ] = "ml_dsa_65",
    json: JsonFlag = False,
) -> None:
    """Start a network, making it first if its folder is empty; returns when it makes blocks, and leaves it running."""
    from careledger.cli import localnet
    from careledger.engine.genesis import PUBLIC_KEYS
    from careledger.engine.install import find_engine

    if key_type not in PUBLIC_KEYS:
        raise Invalid("there are no such validator keys", hint="ml_dsa_65 or ed25519")
    if not 1 <= orgs <= localnet.ORGANISATIONS_MAX:
        raise Invalid(f"a network here has 1 to {localnet.ORGANISATIONS_MAX} organisations", hint="--orgs 4")
    find_engine(os.environ)
    report = (lambda text: None) if json else note
    if (dir / localnet.PLAN_NAME).exists():
        network = localnet.LocalNetwork.open(dir)
    else:
        names = [chr(ord("A") + number) for number in range(orgs)]
        network = localnet.LocalNetwork.create(dir, names, base_port, key_type, report)
    for one in network.plan.organisations:
        network.start(one)
    network.wait_ready(network.plan.organisations, 2, report)
    result = {"organisations": [_show(network, one) for one in network.plan.organisations]}
    print_result(result, as_json=json, text=_table(result["organisations"]))
    if not json:
        if len(network.plan.organisations) < localnet.FAULTS_FROM:
            note(localnet.NO_FAULTS)
        where = shlex.quote(str(dir))
        note(f"next: careledger network status --dir {where}; careledger network stop --dir {where}")


@app.command
def status(*, dir: Folder = Path("network"), json: JsonFlag = False) -> int:
    """How far every organisation is, whom it sees, and whether they agree."""
    from careledger.cli import localnet
    from careledger.primitives.errors import CareLedgerError

    network = localnet.LocalNetwork.open(dir)
    rows: list[dict[str, Any]] = []
    for one in network.plan.organisations:
        row = _show(network, one) | {"running": network.pid(one) is not None}
        try:
            row |= network.ask(one, "network.status")
        except CareLedgerError as error:
            row |= {"problem": error.message}
        rows.append(row)
    print_result({"chain_id": network.plan.chain_id, "organisations": rows}, as_json=json, text=_table(rows))
    if not json and len(rows) < localnet.FAULTS_FROM:
        note(localnet.NO_FAULTS)
    return FAILURE if any("problem" in row for row in rows) else OK


@app.command
def stop(*, dir: Folder = Path("network"), json: JsonFlag = False) -> None:
    """End every process cleanly; `up` starts them again, and everybody hears everybody."""
    from careledger.cli.localnet import LocalNetwork

    network = LocalNetwork.open(dir)
    network.stop()
    network.heal()
    print_result({"stopped": str(dir)}, as_json=json)


@app.command
def reset(*, dir: Folder = Path("network"), json: JsonFlag = False) -> None:
    """Stop the network and remove its folder with everything in it."""
    from careledger.cli.localnet import LocalNetwork

    LocalNetwork.open(dir).reset()
    print_result({"removed": str(dir)}, as_json=json)


@app.command
def kill(org: Org, /, *, dir: Folder = Path("network"), json: JsonFlag = False) -> None:
    """Kill an organisation's node and engine (SIGKILL); the others go on, if they are enough."""
    from careledger.cli.localnet import LocalNetwork

    network = LocalNetwork.open(dir)
    network.kill(network.find(org))
    print_result({"killed": org}, as_json=json)


@app.command
def restart(org: Org, /, *, dir: Folder = Path("network"), json: JsonFlag = False) -> None:
    """Stop an organisation's node if it runs, start it, and wait until it has caught up with whom it hears."""
    from careledger.cli.localnet import LocalNetwork

    network = LocalNetwork.open(dir)
    one = network.find(org)
    network.stop_one(one)
    network.start(one)
    report = (lambda text: None) if json else note
    network.wait_ready([one], max([0, *map(network.height, network.heard_by(one))]), report)
    print_result({"restarted": org, "height": network.height(one)}, as_json=json)


@app.command
def partition(
    groups: Annotated[str, Parameter(name="GROUPS", help="Who still hears whom, for example A,B/C,D.")],
    /,
    *,
    dir: Folder = Path("network"),
    json: JsonFlag = False,
) -> None:
    """Cut every link between the groups; who is in none hears nobody. It lasts until `heal` or `stop`."""
    from careledger.cli.localnet import LocalNetwork

    network = LocalNetwork.open(dir)
    parts = [[network.find(name.strip()).name for name in group.split(",")] for group in groups.split("/")]
    if len({name for part in parts for name in part}) != sum(map(len, parts)):
        raise Invalid("an organisation is in two groups", hint="for example A,B/C,D")
    network.link({name: frozenset(part) for part in parts for name in part})
    print_result({"groups": parts}, as_json=json)


@app.command
def heal(*, dir: Folder = Path("network"), json: JsonFlag = False) -> None:
    """Let everybody hear everybody again."""
    from careledger.cli.localnet import LocalNetwork

    LocalNetwork.open(dir).heal()
    print_result({"healed": str(dir)}, as_json=json)


@app.command
def join(
    name: Annotated[str, Parameter(name="NAME", help="Of the organisation that comes.")],
    /,
    *,
    dir: Folder = Path("network"),
    json: JsonFlag = False,
) -> None:
    """Let one more organisation come, all of it: keys, peers, state sync, admission by vote, validator by vote."""
    from careledger.cli import localnet, newcomer

    network, steps = newcomer.join(
        localnet.LocalNetwork.open(dir), name, (lambda text: None) if json else note
    )
    one = network.find(name)
    result = _show(network, one) | {"height": network.height(one), "seconds": steps}
    print_result(result, as_json=json)


@app.command
def describe(
    *,
    rpc: Annotated[
        list[str] | None,
        Parameter(negative="", help="HOST:PORT of an RPC server that who joins can reach; name two or more."),
    ] = None,
    address: Annotated[
        str | None, Parameter(help="HOST:PORT where peers reach this member, if it is not network.p2p.")
    ] = None,
    output: Output = Path("-"),
    dir: Annotated[
        Path | None, Parameter(name=("--dir",), help="A network's folder; else name --home.")
    ] = None,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Write the network file, with which an organisation joins; it holds no secret."""
    from careledger.cli import calls, localnet

    params = {"rpc": rpc or [], "address": address or ""}
    if dir is None:
        result = calls.call(options, "network.describe", params)
    else:
        network = localnet.LocalNetwork.open(dir)
        members = [one for one in network.plan.organisations if network.pid(one) is not None]
        params["rpc"] = rpc or [f"127.0.0.1:{one.rpc}" for one in members]
        result = network.ask(
            members[0] if members else network.plan.organisations[0], "network.describe", params
        )
    content = result["file"].encode()
    write_file(output, content)
    if str(output) != "-":
        shown = {
            "file": str(output),
            "bytes": len(content),
            "height": result["height"],
            "hash": result["hash"],
        }
        print_result(shown, as_json=options.json)


@app.command(name="admit-peer")
def admit_peer(
    peer: Annotated[str, Parameter(name="PEER", help="NODE-ID@HOST:PORT, as `careledger join` prints it.")],
    /,
    *,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Let a peer's engine connect to this node's, and dial it; the engine starts anew for that."""
    from careledger.cli import calls

    print_result(calls.call(options, "network.admit_peer", {"peer": peer}), as_json=options.json)


@app.command
def tamper(org: Org, /, *, dir: Folder = Path("network"), json: JsonFlag = False) -> int:
    """Alter one bit in the records of an organisation's stopped node, start it, and show that it does not serve them."""
    from careledger.cli import localnet
    from careledger.node.layout import Layout
    from careledger.primitives.errors import Unavailable

    network = localnet.LocalNetwork.open(dir)
    one = network.find(org)
    network.stop_one(one)
    at = localnet.flip_bit(Layout(network.home(one)).journal)
    network.start(one)
    try:
        network.wait_ready([one], 1, lambda text: None)
        problems = network.ask(one, "fsck")["problems"]  # a start reads what is new only; this, everything
        said = problems[0] if problems else ""
    except Unavailable as error:
        said = error.message
    print_result({"tampered": org, "byte": at, "detected": bool(said), "said": said}, as_json=json)
    return OK if said else FAILURE


def _show(network: Any, one: Any) -> dict[str, Any]:
    return {
        "name": one.name,
        "home": str(network.home(one).absolute()),
        "fhir": f"http://127.0.0.1:{one.fhir}/fhir",
        "rpc": f"http://127.0.0.1:{one.rpc}",
        "passphrase_file": str(network.passphrase_file(one).absolute()),
    }


def _table(rows: list[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        if "problem" in row:
            state = row["problem"]
        elif "height" in row:
            state = f"block {row['height']}  app hash {row['app_hash'][:16]}  peers {row['peers']}"
            state += "" if row["admitted"] else "  not admitted yet"
        else:
            state = f"home {row['home']}"
        lines.append(f"{row['name']:12} {row['fhir']:32} {state}\n")
    return "".join(lines)
