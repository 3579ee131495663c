"""`careledger migrate`: a home with an embedded ledger goes over to a network, and keeps every proof."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from careledger.cli import calls
from careledger.cli.errors import UsageError
from careledger.cli.joining import (
    NETWORK_FILE,
    P2P_DEFAULT,
    RPC_DEFAULT,
    EngineRpc,
    Member,
    Peers,
    ReachedAt,
    read_place,
)
from careledger.cli.options import NodeOptions, configured_passphrase_file, get_home, read_passphrase
from careledger.cli.output import note, print_result
from careledger.cli.proof import read_bounded


def migrate(
    *,
    to_network: Annotated[Path | None, NETWORK_FILE] = None,
    adopt: Annotated[
        bool,
        Parameter(negative="", help="Once admitted: let the ledger adopt what was anchored before."),
    ] = False,
    listen: Annotated[
        str, Parameter(help="HOST:PORT of FHIR, if the home has no configuration.")
    ] = "127.0.0.1:8080",
    p2p: Peers = P2P_DEFAULT,
    rpc: EngineRpc = RPC_DEFAULT,
    address: ReachedAt = None,
    to: Member = None,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Take a stopped home to a network, on a copy that must pass fsck; the home as it was is kept beside it."""
    if adopt == (to_network is not None):
        raise UsageError("what is to be done was not said", hint="--to-network FILE, later --adopt")
    if to_network is None:
        print_result(calls.call(options, "ledger.adopt"), as_json=options.json)
        return
    from careledger.node import joining, migrating
    from careledger.node.networkfile import FILE_BYTES_MAX
    from careledger.primitives.types import did_text, parse_did

    home = get_home(options)
    place = read_place(listen, p2p, rpc, address)
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
