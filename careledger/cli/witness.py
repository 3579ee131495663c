"""`careledger witness`: sign the checkpoints of other people's ledgers, one history of each."""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from careledger.cli.errors import OK
from careledger.cli.options import JsonFlag, PassphraseFile, read_passphrase
from careledger.cli.output import note, print_result
from careledger.cli.proof import read_bounded

VERIFICATION_FAILED = 6

app = App(
    name="witness",
    help="Sign checkpoints of ledgers that you follow: one history of each.",
    help_formatter="plain",
)

Directory = Annotated[Path, Parameter(name="DIR", help="The witness's own folder.")]


@app.command
def init(
    directory: Directory,
    /,
    *,
    name: Annotated[str, Parameter(help="Its name in signatures, e.g. witness.example.org.")],
    passphrase_file: PassphraseFile = None,
    json: JsonFlag = False,
) -> None:
    """Make a witness: a folder and a key of its own, sealed by the passphrase."""
    key = make(directory, name, read_passphrase(passphrase_file, confirm=True))
    print_result({"witness": str(directory), "name": name, "key": key}, as_json=json)
    if not json:
        note(f"next: careledger witness run {directory} --listen HOST:PORT --trust CHECKPOINT")


def make(directory: Path, name: str, passphrase: str) -> str:
    """The same for other commands; the key's line."""
    from careledger.ledger.witnessing import WitnessKey, check_witness_name
    from careledger.primitives.signing import ed25519_public_key
    from careledger.vault.secret_files import seal_secret
    from careledger.witness.folder import WitnessFolder

    check_witness_name(name)
    seed = os.urandom(32)
    key = WitnessKey(name, ed25519_public_key(seed))
    WitnessFolder.create(directory, key, seal_secret(seed, passphrase, b"witness"))
    return key.text


@app.command
def add(
    directory: Directory,
    checkpoint: Annotated[Path, Parameter(name="CHECKPOINT", help="A checkpoint file of the ledger.")],
    /,
    *,
    passphrase_file: PassphraseFile = None,
    json: JsonFlag = False,
) -> None:
    """Follow the ledger of this checkpoint: signs it, and from now on only what continues it."""
    from careledger.vault.secret_files import open_secret
    from careledger.witness.folder import WitnessFolder
    from careledger.witness.witness import add_log

    folder = WitnessFolder.open(directory)
    seed = open_secret(folder.read_key(), read_passphrase(passphrase_file), b"witness")
    chain = add_log(folder, seed, read_bounded(checkpoint), int(time.time()))
    print_result({"follows": chain}, as_json=json)


@app.command
def run(
    directory: Directory,
    /,
    *,
    listen: Annotated[str, Parameter(help="HOST:PORT; off loopback it demands TLS.")],
    trust: Annotated[
        tuple[Path, ...], Parameter(help="Checkpoint file of a ledger to follow; may be given again.")
    ] = (),
    tls_cert: Annotated[Path | None, Parameter(help="Certificate chain (PEM).")] = None,
    tls_key: Annotated[Path | None, Parameter(help="Its private key (PEM).")] = None,
    behind_proxy: Annotated[bool, Parameter(negative="", help="A proxy does TLS.")] = False,
    passphrase_file: PassphraseFile = None,
) -> int:
    """Answer POST /add-checkpoint in the foreground until Ctrl-C; prints its address and key when it is ready."""
    from careledger.cli import serving

    settings: dict[str, str | int | bool] = {"server.listen": listen, "server.behind_proxy": behind_proxy}
    if tls_cert is not None and tls_key is not None:
        settings |= {"server.tls_cert": str(tls_cert), "server.tls_key": str(tls_key)}
    passphrase = read_passphrase(passphrase_file)
    serving.run_witness(directory, settings, passphrase, [read_bounded(file) for file in trust], announce)
    return OK


def announce(address: str, key: str) -> None:
    """The one line that says: ready, and what a node's configuration wants."""
    sys.stdout.write(f"witness ready: {address} {key}\n")
    sys.stdout.flush()


@app.command
def show(directory: Directory, /, *, json: JsonFlag = False) -> int:
    """Show its key, the ledgers that it follows and their heads; exit code 6 if one has forked."""
    from careledger.witness.folder import WitnessFolder
    from careledger.witness.overview import describe

    found = describe(WitnessFolder.open(directory))
    print_result(found, as_json=json, text=compute_text(found))
    return VERIFICATION_FAILED if found["forked"] else OK


def compute_text(found: dict[str, Any]) -> str:
    """What `show` prints: the key's line first, ready to be copied."""
    lines = [f"key: {found['key']}"]
    for log in found["logs"]:
        lines.append(
            f"{log['chain']}: size {log['size']}, root {log['root']}, signed {compute_time(log['signed_at_s'])}"
        )
        for fork in log["forks"]:
            word = (
                "FORK, proven" if fork["proven"] else "FORK, or a wrong path" if fork["open"] else "refused"
            )
            lines.append(f"  {word} ({fork['reason']}), seen {compute_time(fork['seen_at_s'])}")
            lines.append(f"    signed here: size {fork['signed']['size']}, root {fork['signed']['root']}")
            lines.append(f"    refused:     size {fork['refused']['size']}, root {fork['refused']['root']}")
    if not found["logs"]:
        lines.append("follows no ledger yet: careledger witness add DIR CHECKPOINT")
    return "\n".join(lines)


def compute_time(time_s: int) -> str:
    """A time as people write it."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
