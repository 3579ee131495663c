"""`careledger receipt` and `checkpoint`: files that a stranger can check without this program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from careledger.cli import calls
from careledger.cli.errors import UsageError
from careledger.cli.options import NodeOptions, Output
from careledger.cli.output import note, print_result, write_file

PROOF_BYTES_MAX = 64 << 20


def receipt(
    reference: Annotated[str, Parameter(name="REFERENCE", help="TYPE/ID, or TYPE/ID/_history/V.")],
    /,
    *,
    output: Output = Path("-"),
    witnessed: Annotated[
        bool,
        Parameter(negative="", help="With the witnesses' signatures: for trust files that name them."),
    ] = False,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Write the receipt of a version: that it is in the chart, unaltered, anchored on the ledger."""
    calls.check_reference(reference, "TYPE/ID, or TYPE/ID/_history/V")
    result = calls.call(options, "receipt", {"reference": reference, "witnessed": witnessed})
    write_proof(result["file"], output, as_json=options.json)


def checkpoint(
    *,
    output: Output = Path("-"),
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Write the newest signed checkpoint: what somebody else keeps in order to detect rewriting."""
    result = calls.call(options, "checkpoint")
    for name in result["missing"]:
        note(f"witness {name} has not signed it: careledger status says why")
    write_proof(result["file"], output, as_json=options.json)


def write_proof(text: str, output: Path, *, as_json: bool) -> None:
    """Write a proof's exact bytes; with --json, say where unless stdout holds it already."""
    content = text.encode("utf-8")
    write_file(output, content)
    if as_json and str(output) != "-":
        print_result({"file": str(output), "bytes": len(content)}, as_json=True)


def read_bounded(file: Path, bytes_max: int = PROOF_BYTES_MAX) -> bytes:
    """The bytes of a proof file, at most one more than `bytes_max` (the verifier refuses what is cut)."""
    try:
        with file.open("rb") as handle:
            return handle.read(bytes_max + 1)
    except OSError as error:
        raise UsageError(
            f"cannot read {file}: {error.strerror}", hint="name a file that you may read"
        ) from None
