"""`careledger migrate`: a home with an embedded ledger goes over to a network, and keeps every proof."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from careledger.cli import calls
from careledger.cli.errors import UsageError
from careledger.cli.options import NodeOptions, configured_passphrase_file, get_home, read_passphrase
from careledger.cli.output import note, print_result
from careledger.cli.proof import read_bounded


def migrate(
    *,
    to_network: Annotated[
        Path | None, Parameter(help="The network file, from a member: `careledger network describe`.")
    ] = None,
    adopt: Annotated[
        bool,
        Parameter(negative="", help="Once admitted: let the ledger adopt what was anchored before."),
    ] = False,
    listen: Annotated[
        str, Parameter(help="HOST:PORT of FHIR, if the home has no configuration.")
    ] = "127.0.0.1:8080",
    p2p: Annotated[str, Parameter(help="HOST:PORT where the engine listens to peers.")] = "127.0.0.1:26656",
    rpc: Annotated[str, Parameter(help="HOST:PORT of the engine's RPC, on loopback.")] = "127.0.0.1:26657",
    address: Annotated[
        str | None, Parameter(help="HOST:PORT where peers reach the engine, if it is not --p2p.")
    ] = None,
    to: Annotated[
        str | None, Parameter(help="DID of the member that is asked, if not the file's author.")
    ] = None,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Take a stopped home to a network, on a copy that must pass fsck; the home as it was is kept beside it."""
    if adopt == (to_network is not None):
        raise UsageError("what is to be done was not said", hint="--to-network FILE, later --adopt")
    if to_network is None:
        print_result(calls.call(options, "ledger.adopt"), as_json=options.json)
        return
    from careledger.node import joining, migrating
    from careledger.node.networkfile import FILE_BYTES_MAX, parse_address
    from careledger.primitives.types import did_text, parse_did

    home = get_home(options)
    place = joining.Place(
        listen=listen,
        p2p=parse_address(p2p),
        rpc=parse_address(rpc),
        reached_at=parse_address(address or p2p),
    )
    file = read_bounded(to_network, FILE_BYTES_MAX)
    passphrase = read_passphrase(options.passphrase_file or configured_passphrase_file(home))
    made = migrating.migrate(home, passphrase, file, place, parse_did(to) if to else None)
    request = home / joining.REQUEST_NAME
    result = {
        "home": str(home),
        "did": did_text(made.joined.did),
        "chain_id": made.joined.chain_id,
        "peer": str(made.joined.peer),
        "request": str(request),
        "embedded_height": made.height,
        "kept": str(made.kept),
    }
    print_result(result, as_json=options.json)
    if not options.json:
        note(
            f"next: send {request} to a member, who lets {made.joined.peer} in (careledger network admit-peer) and "
            f"proposes (careledger governance propose admit FILE); careledger serve --home {home}; once admitted: "
            f"careledger migrate --adopt; new tokens for every client; delete {made.kept} when you are content"
        )
