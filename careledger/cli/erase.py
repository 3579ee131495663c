"""`careledger erase` and `shred`: a misfiled version, or a whole chart, made unreadable for good."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from careledger.cli import calls
from careledger.cli.errors import UsageError
from careledger.cli.options import NodeOptions
from careledger.cli.output import note, print_result, write_file

Reason = Annotated[
    str, Parameter(help="Why, in one line; it is sealed in the chart. Nothing about the patient.")
]
Yes = Annotated[bool, Parameter(name="--yes", negative="", help="Do not ask.")]


def erase(
    reference: Annotated[str, Parameter(name="REFERENCE", help="TYPE/ID/_history/V.")],
    /,
    *,
    reason: Reason,
    yes: Yes = False,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Destroy what opens one version of a resource, everywhere in the home; every proof stays valid."""
    calls.check_reference(reference, "TYPE/ID/_history/V: one version is erased at a time", versioned=True)
    confirm(f"{reference} becomes unreadable for good.", yes=yes)
    result = calls.call(options, "erase", {"reference": reference, "reason": reason})
    print_result(result, as_json=options.json, text=f"erased {result['erased']}")


def shred(
    patient: Annotated[str, Parameter(name="PATIENT", help="An id, or Patient/ID.")],
    /,
    *,
    reason: Reason,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Write the certificate to exactly this file.")
    ] = None,
    yes: Yes = False,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Destroy the keys of a patient's whole chart; the receipt of its close leaf is the certificate.

    For a chart that was shredded before, only the certificate is made again.
    """
    confirm(f"The whole chart of {patient} becomes unreadable for good.", yes=yes)
    params = {"patient": calls.compute_patient_id(patient), "reason": reason}
    result = calls.call(options, "shred", params)
    certificate = result.pop("certificate").encode()
    if output is not None:
        write_file(output, certificate)
    done = "was shredded before" if result["again"] else "shredded"
    print_result(result, as_json=options.json, text=f"{done}: {result['leaves']} leaves")
    if output is None and not options.json:
        note("the certificate was not written: repeat with -o FILE")


def confirm(what: str, *, yes: bool) -> None:
    """Ask on the terminal. Raises UsageError unless somebody says yes."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to ask", hint="add --yes")
    note(f"{what} Backups made before keep it until they are gone.")
    sys.stderr.write("type yes to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != "yes":
        raise UsageError("nothing was done", hint="type yes, or add --yes")
