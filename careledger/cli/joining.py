"""`careledger join`: the home of an organisation that comes to a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from careledger.cli.options import JsonFlag, PassphraseFile, read_passphrase
from careledger.cli.output import note, print_result, write_file
from careledger.cli.proof import read_bounded


def join(
    directory: Annotated[Path, Parameter(name="DIR", help="The home to make; it must be absent or empty.")],
    /,
    *,
    network: Annotated[
        Path, Parameter(help="The network file, from a member: `careledger network describe`.")
    ],
    name: Annotated[str, Parameter(help="Name of the organisation.")],
    listen: Annotated[str, Parameter(help="HOST:PORT of FHIR.")] = "127.0.0.1:8080",
    p2p: Annotated[str, Parameter(help="HOST:PORT where the engine listens to peers.")] = "127.0.0.1:26656",
    rpc: Annotated[str, Parameter(help="HOST:PORT of the engine's RPC, on loopback.")] = "127.0.0.1:26657",
    address: Annotated[
        str | None, Parameter(help="HOST:PORT where peers reach the engine, if it is not --p2p.")
    ] = None,
    to: Annotated[
        str | None, Parameter(help="DID of the member that is asked, if not the file's author.")
    ] = None,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Write the request here too; - is stdout.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    json: JsonFlag = False,
) -> None:
    """Make keys and a home on a network's ledger, and the request with which its members are asked."""
    from careledger.node import joining
    from careledger.node.networkfile import FILE_BYTES_MAX, parse_address
    from careledger.primitives.types import did_text, parse_did

    file = read_bounded(network, FILE_BYTES_MAX)
    passphrase = read_passphrase(passphrase_file, confirm=True)
    place = joining.Place(
        listen=listen,
        p2p=parse_address(p2p),
        rpc=parse_address(rpc),
        reached_at=parse_address(address or p2p),
    )
    made = joining.join(directory, name, passphrase, file, place, parse_did(to) if to else None)
    if output is not None:
        write_file(output, made.request)
    request = directory / joining.REQUEST_NAME
    result = {
        "home": str(directory),
        "name": name,
        "did": did_text(made.did),
        "chain_id": made.chain_id,
        "peer": str(made.peer),
        "request": str(request),
    }
    if str(output) == "-":
        return
    print_result(result, as_json=json)
    if not json:
        note(
            f"next: send {request} to a member, who lets {made.peer} in (careledger network admit-peer) and proposes "
            f"(careledger governance propose admit FILE); then: careledger serve --home {directory}"
        )
