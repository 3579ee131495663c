"""Options that several commands share, and how the home and its passphrase are found."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from careledger.cli.errors import UsageError
from careledger.primitives.errors import Misconfigured, NotFound

PASSPHRASE_BYTES_MAX = 4096

JsonFlag = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON, errors too.")]
PassphraseFile = Annotated[
    Path | None,
    Parameter(
        name="--passphrase-file",
        env_var="CARELEDGER_PASSPHRASE_FILE",
        help="File with the passphrase of the keys; its last newline is ignored.",
    ),
]
Output = Annotated[Path, Parameter(name=["--output", "-o"], help="Write exactly this file; - is stdout.")]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class NodeOptions:
    """What every command about a node takes."""

    home: Annotated[
        Path | None, Parameter(name="--home", env_var="CARELEDGER_HOME", help="The home of the node.")
    ] = None
    passphrase_file: PassphraseFile = None
    json: JsonFlag = False


def get_home(options: NodeOptions) -> Path:
    """The home that the command is about; it must exist."""
    if options.home is None:
        raise UsageError("no home was named", hint="add --home DIR, or set CARELEDGER_HOME")
    if not options.home.is_dir():
        raise NotFound(
            f"there is no home at {options.home}", hint=f"careledger init {options.home} --name ORGANISATION"
        )
    return options.home


def is_served(home: Path) -> bool:
    """Does a node answer at the home's socket now?"""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        try:
            probe.connect(os.path.relpath(home / "node.sock"))
        except OSError:
            return False
    return True


def read_passphrase(file: Path | None, *, confirm: bool = False) -> bytes:
    """The passphrase, from the file or typed on a terminal; never from an argument, which others could see."""
    if file is not None:
        try:
            with file.open("rb") as handle:
                text = handle.read(PASSPHRASE_BYTES_MAX + 1)
        except OSError as error:
            raise Misconfigured(f"cannot read the passphrase file: {error.strerror}") from None
        text = text.removesuffix(b"\n").removesuffix(b"\r")
        if not text or len(text) > PASSPHRASE_BYTES_MAX:
            raise Misconfigured(f"a passphrase has 1 to {PASSPHRASE_BYTES_MAX} bytes")
        return text
    if not sys.stdin.isatty():
        raise Misconfigured(
            "the keys are sealed and no passphrase was given",
            hint="add --passphrase-file FILE, or set CARELEDGER_PASSPHRASE_FILE",
        )
    return prompt_passphrase(confirm=confirm)


def prompt_passphrase(*, confirm: bool) -> bytes:
    """Ask on the terminal; the prompt goes to the terminal, not to stdout."""
    import getpass

    first = getpass.getpass("passphrase: ")
    if confirm and getpass.getpass("again: ") != first:
        raise UsageError("the two passphrases differ")
    if not first:
        raise UsageError("an empty passphrase protects nothing")
    return first.encode()


def get_passphrase(home: Path, options: NodeOptions) -> bytes | None:
    """The passphrase if this process has to open the home itself; `None` if a running node answers for it."""
    if options.passphrase_file is None and is_served(home):
        return None
    return read_passphrase(options.passphrase_file or configured_passphrase_file(home))


def configured_passphrase_file(home: Path) -> Path | None:
    """`passphrase_file` of HOME/config.toml, relative to the home; none if it is not set or not readable."""
    import tomllib

    try:
        value = tomllib.loads((home / "config.toml").read_text("utf-8")).get("passphrase_file")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None
    return home / value if isinstance(value, str) else None
