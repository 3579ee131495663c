"""`careledger access-log`: who looked into a chart, and the proof that this is all."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from careledger.cli import calls
from careledger.cli.chart import Patient, Since, Witnessed, write_export
from careledger.cli.options import NodeOptions, Output
from careledger.cli.output import compute_table, note, print_result

COLUMNS = ("time", "actor", "client", "organisation", "purpose", "kind", "rule", "directives", "what")


app = App(name="access-log", help="List or export who looked into a patient's chart.", help_formatter="plain")


@app.default
def show(
    patient: Patient,
    /,
    *,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """List the entries of a chart's access log, oldest first."""
    result = calls.call(options, "access_log", {"patient": calls.compute_patient_id(patient)})
    rows = [{**entry, "directives": ",".join(entry["directives"])} for entry in result["entries"]]
    print_result(result, as_json=options.json, text=compute_table(rows, COLUMNS))
    if options.json:
        return
    if not result["entries"]:
        note("nobody has looked")
    emergencies = sum(entry["kind"] == "emergency" for entry in result["entries"])
    if emergencies:
        note(
            f"emergency access was taken, times: {emergencies}; `what` is the reason, a Task asks for the review"
        )


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
    """Write every entry of a chart's access log, and the proof that none is missing."""
    write_export("access_log.export", patient, output, since, options, witnessed=witnessed)
