"""`careledger copy`: sealed copies of a chart, prepared and opened by its patient with her own key."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from careledger.cli import calls
from careledger.cli.errors import UsageError
from careledger.cli.options import NodeOptions
from careledger.cli.output import print_result

if TYPE_CHECKING:
    from careledger.access.copies import Header

app = App(name="copy", help="Prepare or open sealed copies of a chart.", help_formatter="plain")

KeyFile = Annotated[Path | None, Parameter(name="--key", help="Her key file: `patient enrol` wrote it.")]


@app.command
def prepare(
    patient: Annotated[str, Parameter(name="PATIENT", help="An id, or Patient/ID.")],
    /,
    *,
    key: KeyFile = None,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Wrap the key of sealed copies under her key file, for `chart copy`.

    `patient enrol` does it; again after something was erased from the chart. With a passkey she does it on her page.
    """
    from careledger.cli import decisions

    file, opened = decisions.read_her_key(key)
    call, patient = calls.Calls(options), calls.compute_patient_id(patient)
    prepared = call("consent.prepare", patient=patient)
    decisions.check_enrolled(prepared, file, opened)
    result = wrap_for(call, patient, opened.seed)
    print_result(result, as_json=options.json, text="prepared: careledger chart copy " + patient)


def wrap_for(call: calls.Calls, patient: str, seed: bytes) -> dict[str, object]:
    """The node gives the chart's copy key, and keeps it wrapped under the key file's seed."""
    from careledger.access.copies import WRAPS, Kind, wrap_key

    given = call("copy.key", patient=patient)
    wrap = wrap_key(given["key"], Kind.KEY_FILE, seed, os.urandom(32))
    kept = {"epoch": given["epoch"], "key_id": given["key_id"], "wraps": WRAPS.encode((wrap,))}
    return call("copy.keep", patient=patient, **kept)


@app.command(name="open")
def open_(
    file: Annotated[Path, Parameter(name="FILE", help="A sealed copy.")],
    /,
    *,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="The folder to make; it must be absent.")
    ] = None,
    key: KeyFile = None,
    kit: Annotated[
        Path | None,
        Parameter(name="--kit", help="Instead: a file with the code of her passkey's printed kit."),
    ] = None,
    as_json: Annotated[bool, Parameter(name="--json", help="Print JSON, errors too.")] = False,
) -> None:
    """Open a sealed copy into a folder: chart.json and access-log.json, each for `careledger verify`.

    Asks no node. Whole, or nothing is written; the folder is its owner's alone.
    """
    from careledger.access import copies
    from careledger.cli import keyfiles

    if output is None:
        raise UsageError("the opened files need a folder", hint="-o DIR, which must be absent")
    if (key is None) == (kit is None):
        raise UsageError("one secret of hers opens it", hint="--key FILE or --kit FILE")
    kind = copies.Kind.KIT if key is None else copies.Kind.KEY_FILE
    secret = keyfiles.read_kit(kit) if kit is not None else keyfiles.read_key(key or Path())[1]
    with _read(file) as sealed:
        header = copies.read_header(sealed)
        copy_key = copies.open_wraps(header, kind, secret.seed)
        _write(output, sealed, header, copy_key)
    text = "\n".join(str(output / name) for name in copies.PARTS)
    print_result({"files": [str(output / name) for name in copies.PARTS]}, as_json=as_json, text=text)


def _read(file: Path) -> IO[bytes]:
    try:
        return file.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", hint="name a sealed copy") from None


def _write(output: Path, sealed: IO[bytes], header: Header, copy_key: bytes) -> None:
    """The folder, whole or not at all."""
    from careledger.access import copies

    if output.exists():
        raise UsageError(f"{output} is there already", hint="name a folder that is not there yet")
    try:
        folder = Path(tempfile.mkdtemp(prefix=".copy-", dir=output.absolute().parent))
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}", hint="name another folder") from None
    try:
        with ExitStack() as stack:
            parts = [stack.enter_context((folder / name).open("xb")) for name in copies.PARTS]
            copies.open_copy(sealed, header, copy_key, parts)
        folder.rename(output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
