"""`careledger chart`: a patient's chart as one file, with the proof that nothing is missing."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from careledger.cli import calls
from careledger.cli.options import NodeOptions, Output
from careledger.cli.output import print_result, progress_bar
from careledger.cli.proof import read_bounded

app = App(name="chart", help="Export a patient's chart with its proof.", help_formatter="plain")

Since = Annotated[
    Path | None, Parameter(help="A checkpoint of this node, however old, that the export shall continue.")
]
Witnessed = Annotated[
    bool, Parameter(negative="", help="With the witnesses' signatures: for trust files that name them.")
]
Patient = Annotated[
    str, Parameter(name="PATIENT", help="An id, or Patient/ID; `house`: what is no patient's.")
]


@app.command
def export(
    patient: Patient,
    /,
    *,
    output: Output = Path("-"),
    since: Since = None,
    witnessed: Witnessed = False,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Write every entry of a chart, who looked into it, and the proof that this is all."""
    write_export("chart.export", patient, output, since, options, witnessed=witnessed)


@app.command(name="copy")
def copy_(
    patient: Annotated[str, Parameter(name="PATIENT", help="An id, or Patient/ID.")],
    /,
    *,
    output: Output = Path("-"),
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Write a sealed copy of a chart: both exports in one file that its patient alone can open.

    She opens it with her passkey or its printed kit on the page “Proof”, or with her key file: careledger copy open.
    """
    _write_by("chart.copy", {"patient": calls.compute_patient_id(patient)}, output, options)


def write_export(
    method: str, patient: str, output: Path, since: Path | None, options: NodeOptions, *, witnessed: bool
) -> None:
    """Let the node write the file; stdout gets it through a file that is gone afterwards."""
    params = {
        "patient": calls.compute_patient_id(patient),
        "since": "" if since is None else read_bounded(since).decode("utf-8", "replace"),
        "witnessed": witnessed,
    }
    _write_by(method, params, output, options)


def _write_by(method: str, params: dict[str, Any], output: Path, options: NodeOptions) -> None:
    with tempfile.TemporaryDirectory(prefix="careledger-") as folder:
        to_stdout = str(output) == "-"
        path = Path(folder) / "export" if to_stdout else output.absolute()
        with progress_bar("exporting", quiet=options.json) as report:
            result = calls.call(options, method, params | {"path": str(path)}, report)
        if to_stdout:
            sys.stdout.flush()
            with path.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
    if options.json and not to_stdout:
        print_result(result | {"path": str(output)}, as_json=True)
