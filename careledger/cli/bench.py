"""`careledger bench`: the table of figures on this machine."""

from __future__ import annotations

import json as json_
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from careledger.cli.options import JsonFlag
from careledger.cli.output import compute_table, print_result, progress_bar, write_file

COLUMNS = ("what", "measured", "at_least", "aim", "server_cpu", "verdict")


def bench(
    *,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Also write the JSON here.")
    ] = None,
    only: Annotated[str | None, Parameter(help="Only figures whose name begins with this.")] = None,
    json: JsonFlag = False,
) -> None:
    """Measure: starts `careledger serve` as a user does, on a home of its own that is removed afterwards."""
    from careledger.node import bench as node_bench

    with progress_bar("measuring", quiet=json) as progress:
        result = node_bench.run(only, progress)
    if output is not None:
        write_file(output, (json_.dumps(result, indent=1, ensure_ascii=False) + "\n").encode())
    print_result(result, as_json=json, text=compute_table(result["figures"], COLUMNS))
