"""`careledger practitioner`: who acts for this organisation on the ledger, and what they sign with keys of their own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from cyclopts import App, Parameter

from careledger.cli import calls
from careledger.cli.errors import UsageError
from careledger.cli.governance import make_table
from careledger.cli.options import NodeOptions
from careledger.cli.output import note, print_result
from careledger.primitives.errors import CareLedgerError, Conflict, Unavailable

ATTEMPTS: Final = 5
KEY_FORMAT: Final[Literal["careledger/practitioner-key/1"]] = "careledger/practitioner-key/1"
COLUMNS: Final = ("did", "standing", "roles", "licences", "height")

app = App(
    name="practitioner",
    help="Register, suspend, reinstate, license and list practitioners on the ledger.",
    help_formatter="plain",
)
DidArgument = Annotated[str, Parameter(name="DID", help="The practitioner, as `practitioner list` shows it.")]


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file that `practitioner register --key-out` writes: theirs alone. `seed` is base64url, 32 bytes (ML-DSA-65)."""

    chain: str
    did: str
    format: Literal["careledger/practitioner-key/1"]
    seed: str

    def __repr__(self) -> str:
        return "KeyFile(…)"


@app.command
def register(
    *,
    key_out: Annotated[
        Path | None, Parameter(name="--key-out", help="The key file to write; it must be absent.")
    ] = None,
    role: Annotated[
        tuple[str, ...], Parameter(name="--role", help="A role from now on; may be repeated.", negative="")
    ] = (),
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Make a key in this process, write it to a file of theirs, and register its public half.

    Who has a passkey enrols it on the web instead. Prints the DID.
    """
    from careledger.access.directives import to_base64
    from careledger.access.staff import compose_registration, compute_practitioner_did
    from careledger.cli import keyfiles
    from careledger.ledger.kernel import ML_DSA_65
    from careledger.ledger.transaction import SecretKey
    from careledger.primitives.types import did_text

    if key_out is None:
        raise UsageError(
            "a key needs a file", hint="careledger practitioner register --key-out FILE --home DIR"
        )
    call, seed = calls.Calls(options), os.urandom(32)
    secret = SecretKey(ML_DSA_65, seed)
    did = did_text(compute_practitioner_did(secret.key))
    file = KeyFile(
        chain=call("practitioner.prepare")["chain"], did=did, format=KEY_FORMAT, seed=to_base64(seed)
    )
    keyfiles.write_new(key_out, msgspec.json.encode(file), home=call.home)
    try:
        result = _send(
            call,
            "practitioner.register",
            secret,
            lambda envelope: compose_registration(envelope, secret.key, role),
            roles=role,
        )
    except Unavailable:
        note(f"it is not known whether the key was registered: keep {key_out} until you have looked")
        raise
    except CareLedgerError:
        key_out.unlink(missing_ok=True)
        raise
    print_result({**result, "file": str(key_out)}, as_json=options.json, text=result["did"])
    if not options.json:
        note(f"{key_out} is the only copy of the key: keep it apart from the home")


@app.command
def suspend(
    did: DidArgument,
    /,
    *,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """End what a practitioner may do, at the next block, until reinstated."""
    result = calls.call(options, "practitioner.suspend", {"did": did})
    print_result(result, as_json=options.json, text=f"suspended {did} at block {result['height']}")


@app.command
def reinstate(
    did: DidArgument,
    /,
    *,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """End a suspension."""
    result = calls.call(options, "practitioner.reinstate", {"did": did})
    print_result(result, as_json=options.json, text=f"reinstated {did} at block {result['height']}")


@app.command(name="license")
def license_(
    did: DidArgument,
    role: Annotated[str, Parameter(name="ROLE", help="The role that ends, as directives and rules name it.")],
    /,
    *,
    until: Annotated[str | None, Parameter(name="--until", help="Last day, YYYY-MM-DD (UTC).")] = None,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Give a role that ends with a day, or another last day to one that was given; a day gone by ends it now.

    A role that was ever licensed is held by licence alone; whose every licence has ended acts no more.
    """
    from careledger.cli.decisions import read_day

    if until is None:
        raise UsageError("a licence has an end", hint="--until YYYY-MM-DD; it can be licensed again")
    params = {"did": did, "role": role, "until": max(read_day(until), 0)}
    result = calls.call(options, "practitioner.license", params)
    text = f"{role} until {result['until']} from block {result['height']} on"
    print_result(result, as_json=options.json, text=text)


@app.command(name="list")
def list_(
    *,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """List this organisation's practitioners as they stand now."""
    result = calls.call(options, "practitioner.list")
    rows = [
        {
            **row,
            "roles": ", ".join(row["roles"]) or "-",
            "licences": ", ".join(f"{one['role']} until {one['until']}" for one in row["licences"]) or "-",
        }
        for row in result["practitioners"]
    ]
    print_result(result, as_json=options.json, text=make_table(rows, COLUMNS))


@app.command
def sign(
    statement: Annotated[
        str,
        Parameter(
            name="STATEMENT", help="SHA-256 of what is signed, salted if it can be guessed: 64 hex digits."
        ),
    ],
    /,
    *,
    key: Annotated[
        Path | None, Parameter(name="--key", help="Their key file, as `practitioner register` wrote it.")
    ] = None,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Sign a statement on the ledger with a practitioner's own key: it shows who, what hash and when."""
    from careledger.access.directives import from_base64
    from careledger.access.staff import compose_signing
    from careledger.cli import keyfiles
    from careledger.ledger.kernel import ML_DSA_65
    from careledger.ledger.transaction import SecretKey
    from careledger.primitives.types import parse_did

    if key is None:
        raise UsageError("a signature needs a key", hint="--key FILE, as `practitioner register` wrote it")
    if len(statement) != 64 or statement.strip("0123456789abcdef"):
        raise UsageError("a statement is 64 lower-case hex digits", hint="sha256sum FILE")
    file = keyfiles.read_file(key, KeyFile, "practitioner's", "practitioner register")
    secret, hashed = SecretKey(ML_DSA_65, from_base64(file.seed)), bytes.fromhex(statement)
    call = calls.Calls(options)
    if call("practitioner.prepare")["chain"] != file.chain:
        raise UsageError("this key was registered on another ledger", hint="name the home of its node")
    result = _send(
        call,
        "practitioner.sign",
        secret,
        lambda envelope: compose_signing(envelope, parse_did(file.did), hashed),
        did=file.did,
        statement=hashed,
    )
    print_result(result, as_json=options.json, text=f"signed at block {result['height']}")


def _send(
    call: calls.Calls, method: str, secret: Any, compose: Callable[[Any], bytes], **params: Any
) -> dict[str, Any]:
    """Signs what was composed here and has the node sponsor it, anew whenever another took its sequence."""
    from careledger.access.grants import SEQUENCE_MOVED, Envelope
    from careledger.ledger.transaction import compute_id

    for attempt in range(1, ATTEMPTS + 1):
        prepared = call("practitioner.prepare")
        sequence, valid_until = prepared["sequence"], prepared["valid_until"]
        body = compose(Envelope(prepared["genesis_hash"], prepared["sponsor"], sequence, valid_until))
        given = {
            "algorithm": secret.key.algorithm,
            "key": secret.key.public,
            "signature": secret.sign(compute_id(body)),
            "sequence": sequence,
            "valid_until": valid_until,
        }
        try:
            return call(method, **given, **params)
        except Conflict as conflict:
            if conflict.code != SEQUENCE_MOVED or attempt == ATTEMPTS:
                raise
    raise AssertionError  # the loop returns or raises
