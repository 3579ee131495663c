"""Which program this is: versions and the hash of the code that executes blocks, as governance votes for it.

`careledger/program/1` is canonical JSON (RFC 8785) of a closed shape: what runs here says it of itself, and a proposal
for an upgrade takes it from there (docs/spec/governance.md, Versions).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

import msgspec

import careledger
from careledger.contracts.actions import Upgrade
from careledger.contracts.sys import Profile
from careledger.ledger.proof_files import decode_file
from careledger.node.founding import running_profile
from careledger.primitives.encoding import DIGEST, Pair, Set, Text
from careledger.primitives.errors import Invalid
from careledger.primitives.hashing import DIGEST_SIZE, sha256, tagged

PROGRAM_FORMAT: Final[Literal["careledger/program/1"]] = "careledger/program/1"
CONSENSUS_ROOMS: Final = ("contracts", "ledger", "primitives")
"""What decides how a block comes out: nothing in them imports from elsewhere (`tests/test_layers.py`)."""
_FILES: Final = Set(Pair(Text(512, least=1), DIGEST), 4096)


@dataclass(frozen=True, slots=True)
class Program:
    """What executes blocks. `code_hash` is None where only versions were agreed, as a genesis does."""

    profile: Profile
    code_hash: bytes | None

    def is_met_by(self, running: Program) -> bool:
        """Whether that one is what was agreed."""
        return self.profile == running.profile and self.code_hash in (None, running.code_hash)

    def describe(self) -> str:
        """In one line, for people."""
        packages = ", ".join(" ".join(package) for package in self.profile.packages)
        code = "" if self.code_hash is None else f" (code {self.code_hash.hex()[:12]})"
        return f"careledger {self.profile.code}{code} on Python {self.profile.python} with {packages}"


class ProgramFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Fields in the order of RFC 8785. `code_hash` are 64 hex digits, `packages` pairs of name and version."""

    code: str
    code_hash: str
    format: Literal["careledger/program/1"]
    packages: list[tuple[str, str]]
    python: str


def compute_code_hash(package: Path) -> bytes:
    """H(`cl1.code`, enc(set of (path, SHA-256 of the file))) over every .py file of the consensus rooms of a package
    folder; paths relative to it, with slashes."""
    files = [
        (path.relative_to(package).as_posix(), sha256(path.read_bytes()))
        for room in CONSENSUS_ROOMS
        for path in (package / room).rglob("*.py")
    ]
    return tagged("cl1.code", _FILES.encode(_FILES.sorted(files)))


@cache
def running_code_hash() -> bytes:
    """Of the package that this process runs, as it was when it was first asked for."""
    return compute_code_hash(Path(careledger.__file__).parent)


def running_program() -> Program:
    """What this process executes blocks with."""
    return Program(running_profile(), running_code_hash())


def write_program(program: Program) -> bytes:
    """The file."""
    profile = program.profile
    return msgspec.json.encode(
        ProgramFile(
            code=profile.code,
            code_hash=(program.code_hash or b"").hex(),
            format=PROGRAM_FORMAT,
            packages=[(name, version) for name, version in profile.packages],
            python=profile.python,
        )
    )


def read_upgrade(data: bytes) -> Upgrade:
    """The action that lets the program of this file execute the ledger. Raises VerificationFailed or Invalid."""
    file = decode_file(data, ProgramFile, "the program's description")
    try:
        code_hash = bytes.fromhex(file.code_hash)
    except ValueError:
        code_hash = b""
    if len(code_hash) != DIGEST_SIZE or code_hash.hex() != file.code_hash:
        raise Invalid("the hash of the code is 64 hex digits", hint="careledger governance program writes it")
    return Upgrade(file.code, file.python, tuple(file.packages), code_hash)
