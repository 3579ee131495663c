"""`careledger receipt`, `checkpoint` and `verify`: files that a stranger can check without this program."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from careledger.cli import calls
from careledger.cli.errors import UsageError
from careledger.cli.options import JsonFlag, NodeOptions, Output
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


def verify(
    file: Annotated[Path, Parameter(name="FILE", help="The receipt.")],
    /,
    *,
    trust: Annotated[
        Path, Parameter(help="A checkpoint of the same ledger, earlier or later than the proof.")
    ],
    body: Annotated[Path | None, Parameter(help="The resource as it was served, to compare.")] = None,
    json: JsonFlag = False,
) -> None:
    """Verify a receipt offline; exits 0 only if all is well."""
    from careledger.ledger.verification import verify_receipt

    content = read_bounded(body) if body is not None else None
    verified = verify_receipt(
        read_bounded(file), read_bounded(trust), content, now_ms=time.time_ns() // 1_000_000
    )
    header = verified.header
    result = {
        "holds": f"version {header.version} of {header.type}/{header.id}",
        "level": verified.level,
        "as_of": compute_time(verified.as_of_ms),
        "height": verified.height,
        "chain": verified.chain,
        "organisation": f"did:careledger:{header.organisation.hex()}",
        "recorded": compute_time(header.time_ms),
        "leaf": verified.index,
        "chart_size": verified.chart_size,
        "body_checked": verified.body_checked,
    }
    print_result(result, as_json=json)


def compute_time(time_ms: int) -> str:
    """A time as people and FHIR write it."""
    return (
        datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def read_bounded(file: Path) -> bytes:
    """The bytes of a proof file, at most `PROOF_BYTES_MAX` of them (the verifier refuses what is cut)."""
    try:
        with file.open("rb") as handle:
            return handle.read(PROOF_BYTES_MAX)
    except OSError as error:
        raise UsageError(
            f"cannot read {file}: {error.strerror}", hint="name a file that you may read"
        ) from None
