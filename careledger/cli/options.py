"""Options that several commands share, and how the home and its passphrase are found."""

from __future__ import annotations

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


def read_passphrase(file: Path | None, *, confirm: bool = False) -> str:
    """The passphrase, from the file or typed on a terminal; never from an argument, which others could see."""
    if file is not None:
        try:
            with file.open("rb") as handle:
                text = handle.read(PASSPHRASE_BYTES_MAX + 1)
        except OSError as error:
            raise Misconfigured(
                f"cannot read the passphrase file {file}: {error.strerror}",
                hint="write the passphrase into it, or name another: --passphrase-file FILE",
            ) from None
        return decode_passphrase(text)
    if not sys.stdin.isatty():
        raise Misconfigured(
            "the keys are sealed and no passphrase was given",
            hint="add --passphrase-file FILE, or set CARELEDGER_PASSPHRASE_FILE",
        )
    return prompt_passphrase(confirm=confirm)


def decode_passphrase(content: bytes) -> str:
    """The text of a passphrase file without its last newline; everything else counts, spaces too."""
    text = content.removesuffix(b"\n")
    text = text.removesuffix(b"\r") if text != content else text
    if not text or len(text) > PASSPHRASE_BYTES_MAX:
        raise Misconfigured(
            f"a passphrase has 1 to {PASSPHRASE_BYTES_MAX} bytes", hint="write it into the file, on one line"
        )
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise Misconfigured(
            "the passphrase file is not UTF-8 text", hint="write it with a text editor"
        ) from None


def prompt_passphrase(*, confirm: bool) -> str:
    """Ask on the terminal; the prompt goes to the terminal, not to stdout."""
    import getpass

    first = getpass.getpass("passphrase: ")
    if confirm and getpass.getpass("again: ") != first:
        raise UsageError("the two passphrases differ", hint="type the same one twice")
    if not first:
        raise UsageError("an empty passphrase protects nothing", hint="type several words")
    return first


def get_passphrase(home: Path, options: NodeOptions) -> str | None:
    """The passphrase if this process has to open the home itself; `None` if a running node answers for it."""
    from careledger.node import client

    if options.passphrase_file is None and client.is_served(home):
        return None
    return read_passphrase(options.passphrase_file or configured_passphrase_file(home))


def configured_passphrase_file(home: Path) -> Path | None:
    """`keys.passphrase_file` of the configuration, relative to the home; none if it is not set."""
    from careledger.node import config

    value = config.load(home).keys.passphrase_file
    return home / value if value else None
