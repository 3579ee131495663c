"""`careledger bench`: the table of figures on this machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

import careledger
from careledger.cli.options import JsonFlag
from careledger.primitives.errors import NotFound

ROOT = Path(careledger.__file__).resolve().parent.parent


def bench(
    *,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Also write all that was measured, as JSON.")
    ] = None,
    quick: Annotated[
        bool,
        Parameter(negative="", env_var="QUICK", help="A tenth of the requests: a first look, no evidence."),
    ] = False,
    only: Annotated[
        str | None, Parameter(help="Parts, by commas: load, requests, start, tenfold, workers, ledger …")
    ] = None,
    workers: Annotated[
        int | None, Parameter(help="Workers of the main run; the node's default if absent.")
    ] = None,
    data: Annotated[Path | None, Parameter(help="Folder of transaction Bundles, such as Synthea's.")] = None,
    json: JsonFlag = False,
) -> None:
    """Measure: starts `careledger serve` as a user does, on homes of its own that are removed afterwards.

    The bench is kept beside the program, not in it: it needs the source folder.
    """
    if not (ROOT / "bench" / "__main__.py").is_file():
        raise NotFound(
            "the bench is not installed with the program", hint="run it in the source folder: make bench"
        )
    command = [sys.executable, "-m", "bench"]
    command += ["--output", str(output.resolve())] if output is not None else []
    command += ["--quick"] if quick else []
    command += ["--json"] if json else []
    command += ["--only", only] if only is not None else []
    command += ["--workers", str(workers)] if workers is not None else []
    command += ["--data", str(data.resolve())] if data is not None else []
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code:
        raise SystemExit(2 if code == 2 else 1)
