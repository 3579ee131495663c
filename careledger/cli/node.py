"""`careledger init`, `serve`, `fsck`, `doctor`: the life of a node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from careledger.cli import calls
from careledger.cli.errors import FAILURE, OK
from careledger.cli.options import (
    JsonFlag,
    NodeOptions,
    PassphraseFile,
    configured_passphrase_file,
    get_home,
    read_passphrase,
)
from careledger.cli.output import compute_lines, note, print_result, progress_bar
from careledger.cli.proof import read_bounded

VERIFICATION_FAILED = 6


def init(
    directory: Annotated[Path, Parameter(name="DIR", help="The home to make; it must be absent or empty.")],
    /,
    *,
    name: Annotated[str, Parameter(help="Name of the organisation.")],
    passphrase_file: PassphraseFile = None,
    json: JsonFlag = False,
) -> None:
    """Make the home of a new node: its keys sealed by the passphrase, its journal, its organisation."""
    passphrase = read_passphrase(passphrase_file, confirm=True)
    from careledger.node import making
    from careledger.node.accounts import invite_first
    from careledger.node.home import open_keys
    from careledger.node.layout import Layout

    made = making.init(directory, name, passphrase)
    first = invite_first(Layout(directory), *open_keys(Layout(directory), passphrase))
    result = {"home": str(directory), "name": made.name, "did": made.did, "chain_id": made.chain_id}
    result["first_administrator"] = first["link"]
    print_result(result, as_json=json)
    if not json:
        note(
            "first_administrator is a link for one person, once, within seven days; for another: careledger account invite"
        )
        note(f"next: careledger serve --home {directory}")


def serve(
    *,
    listen: Annotated[str | None, Parameter(help="HOST:PORT; off loopback it demands TLS.")] = None,
    workers: Annotated[int | None, Parameter(help="HTTP processes; 1 keeps everything in one.")] = None,
    base_url: Annotated[str | None, Parameter(help="The address that clients see.")] = None,
    tls_cert: Annotated[Path | None, Parameter(help="Certificate chain (PEM).")] = None,
    tls_key: Annotated[Path | None, Parameter(help="Its private key (PEM).")] = None,
    behind_proxy: Annotated[
        bool | None, Parameter(negative="", help="A proxy does TLS: listen off loopback without it.")
    ] = None,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> int:
    """Serve FHIR R4 at /fhir in the foreground; prints one line with its address when it is ready."""
    home = get_home(options)
    flags = {
        "server.listen": listen,
        "server.workers": workers,
        "server.base_url": base_url,
        "server.tls_cert": str(tls_cert) if tls_cert else None,
        "server.tls_key": str(tls_key) if tls_key else None,
        "server.behind_proxy": behind_proxy,
    }
    overrides = {name: value for name, value in flags.items() if value is not None}
    passphrase = read_passphrase(options.passphrase_file or configured_passphrase_file(home))
    from careledger.cli import serving

    serving.serve(home, overrides, passphrase)
    return OK


def fsck(
    *,
    trust: Annotated[
        Path | None, Parameter(help="A checkpoint kept elsewhere: is this still the ledger that it names?")
    ] = None,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> int:
    """Check every body, log, tree and block against the ledger; names what is wrong."""
    params = {} if trust is None else {"trust": read_bounded(trust).decode("utf-8", "replace")}
    with progress_bar("checking", quiet=options.json) as progress:
        result = calls.call(options, "fsck", params, progress)
    print_result(result, as_json=options.json)
    return OK if result["ok"] else VERIFICATION_FAILED


def doctor(*, options: NodeOptions = NodeOptions()) -> int:  # noqa: B008 (frozen)
    """Say what is wrong with this machine, home or node, and what to do about it."""
    result = calls.call(options, "doctor")
    lines = []
    for check in result["checks"]:
        lines.append(f"{'ok  ' if check['ok'] else 'FAIL'}  {check['name']}: {check['detail']}\n")
        if not check["ok"] and check.get("hint"):
            lines.append(f"      hint: {check['hint']}\n")
    print_result(result, as_json=options.json, text="".join(lines) or compute_lines(result))
    return OK if result["ok"] else FAILURE


def status(*, options: NodeOptions = NodeOptions()) -> int:  # noqa: B008 (frozen)
    """Say how far the node is and whether it can serve."""
    result = calls.call(options, "status")
    print_result(result, as_json=options.json)
    return OK if not result["problems"] else FAILURE


def upgrade(*, options: NodeOptions = NodeOptions()) -> None:  # noqa: B008 (frozen)
    """Let this version of the program, of Python and of its packages execute the ledger; signed by the operator."""
    print_result(calls.call(options, "upgrade"), as_json=options.json)
