"""`careledger access-log`: who looked into a chart."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from careledger.cli import calls
from careledger.cli.options import NodeOptions
from careledger.cli.output import compute_table, note, print_result

COLUMNS = ("time", "actor", "client", "organisation", "purpose", "kind", "what")


def access_log(
    patient: Annotated[str, Parameter(name="PATIENT", help="An id, or Patient/ID.")],
    /,
    *,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """List the entries of a chart's access log, oldest first."""
    result = calls.call(options, "access_log", {"patient": calls.compute_patient_id(patient)})
    print_result(result, as_json=options.json, text=compute_table(result["entries"], COLUMNS))
    if not options.json and not result["entries"]:
        note("nobody has looked")
