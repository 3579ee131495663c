"""`careledger join` and `network found`: the home of an organisation that comes to a network, or begins one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from careledger.cli.options import JsonFlag, PassphraseFile, read_passphrase
from careledger.cli.output import note, print_result, write_file
from careledger.cli.proof import read_bounded

if TYPE_CHECKING:
    from careledger.node.joining import Place

NETWORK_FILE: Final = Parameter(help="The network file, from a member: `careledger network describe`.")
P2P_DEFAULT: Final = "127.0.0.1:26656"
RPC_DEFAULT: Final = "127.0.0.1:26657"
NewHome = Annotated[Path, Parameter(name="DIR", help="The home to make; it must be absent or empty.")]
Peers = Annotated[str, Parameter(help="HOST:PORT where the engine listens to peers.")]
EngineRpc = Annotated[str, Parameter(help="HOST:PORT of the engine's RPC, on loopback.")]
ReachedAt = Annotated[
    str | None, Parameter(help="HOST:PORT where peers reach the engine, if it is not --p2p.")
]
Member = Annotated[str | None, Parameter(help="DID of the member that is asked, if not the file's author.")]


def join(
    directory: NewHome,
    /,
    *,
    network: Annotated[Path, NETWORK_FILE],
    name: Annotated[str, Parameter(help="Name of the organisation.")],
    listen: Annotated[str, Parameter(help="HOST:PORT of FHIR.")] = "127.0.0.1:8080",
    p2p: Peers = P2P_DEFAULT,
    rpc: EngineRpc = RPC_DEFAULT,
    address: ReachedAt = None,
    to: Member = None,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Write the request here too; - is stdout.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    json: JsonFlag = False,
) -> None:
    """Make keys and a home on a network's ledger, and the request with which its members are asked."""
    from careledger.node import joining
    from careledger.node.networkfile import FILE_BYTES_MAX
    from careledger.primitives.types import did_text, parse_did

    file = read_bounded(network, FILE_BYTES_MAX)
    passphrase = read_passphrase(passphrase_file, confirm=True)
    place = read_place(listen, p2p, rpc, address)
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


def read_place(listen: str, p2p: str, rpc: str, address: str | None) -> Place:
    """Where a home that joins listens, and is reached: at `address`, else at `p2p`. Raises Invalid."""
    from careledger.node import joining
    from careledger.node.networkfile import parse_address

    return joining.Place(
        listen=listen,
        p2p=parse_address(p2p),
        rpc=parse_address(rpc),
        reached_at=parse_address(address or p2p),
    )


def found(
    directory: NewHome,
    /,
    *,
    name: Annotated[str, Parameter(help="Name of the organisation.")],
    listen: Annotated[str, Parameter(help="HOST:PORT of FHIR.")] = "127.0.0.1:8080",
    p2p: Peers = P2P_DEFAULT,
    rpc: EngineRpc = RPC_DEFAULT,
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
