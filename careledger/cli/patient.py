"""`careledger patient`: the key with which a patient decides about her chart."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from careledger.cli import calls
from careledger.cli.errors import UsageError
from careledger.cli.options import NodeOptions
from careledger.cli.output import note, print_result
from careledger.primitives.errors import CareLedgerError, Conflict, Unavailable

app = App(name="patient", help="Enrol the key with which a patient decides.", help_formatter="plain")


@app.command
def enrol(
    patient: Annotated[str, Parameter(name="PATIENT", help="An id, or Patient/ID.")],
    /,
    *,
    key_out: Annotated[
        Path | None, Parameter(name="--key-out", help="The key file to write; it must be absent.")
    ] = None,
    key: Annotated[
        Path | None, Parameter(name="--key", help="The key file of the enrolment before, if there is one.")
    ] = None,
    kit: Annotated[
        Path | None,
        Parameter(name="--kit", help="Instead: a file with the code of her passkey's printed kit."),
    ] = None,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Make a key in this process, write it to a file of hers, and enrol its public half in her chart.

    Run it on her device: who holds the file decides. A later key is signed by the one before.
    """
    from careledger.access.directives import compute_key_id
    from careledger.access.grants import continuation
    from careledger.access.patient_keys import SEED_BYTES, PatientKey
    from careledger.cli import keyfiles
    from careledger.cli.copies import wrap_for

    if key_out is None:
        raise UsageError(
            "a key needs a file", hint="careledger patient enrol PATIENT --key-out FILE --home DIR"
        )
    if key is not None and kit is not None:
        raise UsageError("one key lets another follow", hint="--key FILE or --kit FILE")
    former = keyfiles.read_key(key) if key is not None else None
    printed = keyfiles.read_kit(kit) if kit is not None else None
    call, patient = calls.Calls(options), calls.compute_patient_id(patient)
    prepared = call("consent.prepare", patient=patient)
    if former is not None:
        keyfiles.check_ledger(former[0], prepared["chain"])
    elif prepared["key"] and printed is None:
        raise Conflict(
            "this chart has an enrolled key, which must sign its successor",
            hint="add --key FILE, the key file of the enrolment before, or --kit FILE with the code of a passkey's kit",
            code="enrolled",
        )
    seed = os.urandom(SEED_BYTES)
    new = PatientKey(seed)
    keyfiles.write_key(
        key_out, seed, chain=prepared["chain"], organisation=prepared["organisation"], home=call.home
    )
    letting = former[1] if former is not None else printed
    continues = letting.bind(continuation(new.public)) if letting is not None else b""
    try:
        result = call("patient.enrol", patient=patient, key=new.public, continues=continues)
    except Unavailable:
        note(f"it is not known whether the key was enrolled: keep {key_out} until you have looked")
        raise
    except CareLedgerError:
        key_out.unlink(missing_ok=True)
        raise
    assert result["key_id"] == compute_key_id(new.public)
    print_result({**result, "file": str(key_out)}, as_json=options.json, text=result["key_id"])
    try:
        wrap_for(call, patient, seed)
    except CareLedgerError as error:
        note(
            f"no sealed copy can be made yet ({error.message}): careledger copy prepare {patient} --key {key_out}"
        )
    if not options.json:
        note(f"{key_out} is the only copy of the key: keep it, and keep a copy elsewhere")


@app.command
def follow(
    key_id: Annotated[str, Parameter(name="KEY_ID", help="Of the key that shall follow: 32 hex digits.")],
    /,
    *,
    key: Annotated[Path | None, Parameter(name="--key", help="The key file that decides now.")] = None,
    as_json: Annotated[bool, Parameter(name="--json", help="Print JSON, errors too.")] = False,
) -> None:
    """Let another key follow this key file: print its word, for the page on which her passkey is enrolled.

    Asks no node. Whoever is given this word can enrol that one key in her chart, and no other.
    """
    from careledger.cli import keyfiles

    if re.fullmatch("[0-9a-f]{32}", key_id) is None:
        raise UsageError("this is no key's id", hint="32 hex digits, as the page shows them")
    if key is None:
        raise UsageError("only her key lets another follow", hint="--key FILE, as `patient enrol` wrote it")
    word = keyfiles.read_key(key)[1].bind(key_id.encode()).hex()
    print_result({"key_id": key_id, "word": word}, as_json=as_json, text=word)
