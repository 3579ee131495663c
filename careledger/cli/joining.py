"""`careledger join` and `network found`: the home of an organisation that comes to a network, or begins one."""

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


def found(
    directory: Annotated[Path, Parameter(name="DIR", help="The home to make; it must be absent or empty.")],
    /,
    *,
    name: Annotated[str, Parameter(help="Name of the organisation.")],
    listen: Annotated[str, Parameter(help="HOST:PORT of FHIR.")] = "127.0.0.1:8080",
    p2p: Annotated[str, Parameter(help="HOST:PORT where the engine listens to peers.")] = "127.0.0.1:26656",
    rpc: Annotated[str, Parameter(help="HOST:PORT of the engine's RPC, on loopback.")] = "127.0.0.1:26657",
    key_type: Annotated[
        str, Parameter(help="Of all validators to come: ml_dsa_65 (post-quantum) or ed25519.")
    ] = "ml_dsa_65",
    passphrase_file: PassphraseFile = None,
    json: JsonFlag = False,
) -> None:
    """Begin a network of one organisation; others join it, each by votes of those who are there."""
    from careledger.engine.genesis import PUBLIC_KEYS
    from careledger.node import founders
    from careledger.node.config import FILE_NAME
    from careledger.node.layout import Layout
    from careledger.node.networkfile import parse_address
    from careledger.primitives.errors import Invalid

    if key_type not in PUBLIC_KEYS:
        raise Invalid("there are no such validator keys", hint="ml_dsa_65 or ed25519")
    places = {"p2p": str(parse_address(p2p)), "rpc": str(parse_address(rpc))}
    passphrase = read_passphrase(passphrase_file, confirm=True)
    with founders.whole(directory):
        one = founders.prepare(directory, name, passphrase, key_type)
        genesis = founders.make_network_genesis([one], key_type)
        made = founders.found_network_home(directory, name, passphrase, genesis)
        node_id = founders.begin_engine(Layout(directory), founders.engine_genesis(genesis, [one], key_type))
        if not (directory / FILE_NAME).exists():
            text = f'[server]\nlisten = "{parse_address(listen)}"\n\n[network]\n'
            text += "".join(f'{key} = "{at}"\n' for key, at in places.items())
            (directory / FILE_NAME).write_text(text)
    result = {
        "home": str(directory),
        "name": name,
        "did": made.did,
        "chain_id": made.chain_id,
        "node_id": node_id,
    }
    print_result(result, as_json=json)
    if not json:
        note(
            f"next: careledger serve --home {directory}; then, for who shall join: careledger network describe -o FILE"
        )
