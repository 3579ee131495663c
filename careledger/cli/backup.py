"""`careledger backup` and `restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from careledger.cli import calls
from careledger.cli.options import JsonFlag, NodeOptions, PassphraseFile, read_passphrase
from careledger.cli.output import print_result, progress_bar
from careledger.cli.proof import read_bounded
from careledger.primitives.errors import NotFound


def backup(
    file: Annotated[Path, Parameter(name="FILE", help="The file to write.")],
    /,
    *,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> None:
    """Write the whole node to one file, sealed as it is at rest; the node may go on serving."""
    with progress_bar("writing the backup", quiet=options.json) as progress:
        result = calls.call(options, "backup", {"path": str(file.absolute())}, progress)
    print_result(result, as_json=options.json)


def restore(
    file: Annotated[Path, Parameter(name="FILE", help="The backup.")],
    directory: Annotated[Path, Parameter(name="DIR", help="The home to make; it must be absent or empty.")],
    /,
    *,
    network: Annotated[
        Path | None,
        Parameter(
            help="The network file, of a home on a network: `careledger network describe` at a member."
        ),
    ] = None,
    passphrase_file: PassphraseFile = None,
    json: JsonFlag = False,
) -> None:
    """Make a home from a backup; everything in it is verified before the home appears."""
    if not file.is_file():
        raise NotFound(f"there is no backup at {file}", hint="careledger backup FILE --home DIR writes one")
    from careledger.node import backup as node_backup
    from careledger.node.networkfile import FILE_BYTES_MAX

    content = None if network is None else read_bounded(network, FILE_BYTES_MAX)
    passphrase = read_passphrase(passphrase_file)
    result = node_backup.restore(file, directory, passphrase, content)
    print_result(result, as_json=json)
