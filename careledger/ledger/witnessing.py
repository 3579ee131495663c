"""What a log and its witness say to each other (C2SP tlog-witness), as bytes: the request, and a witness's key as text.

    old <size that the witness signed last>
    <consistency path, a digest a line, base64>

    <the checkpoint, a signed note>

Pure; docs/spec/witness.md is normative. Errors: Invalid, naming what is malformed.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from careledger.ledger.checkpoint import (
    COSIGNATURE_TYPE,
    NOTE_SIZE_MAX,
    NoteSignature,
    SignedCheckpoint,
    compute_key_id,
    parse_note,
)
from careledger.primitives.errors import Invalid
from careledger.primitives.hashing import DIGEST_SIZE
from careledger.primitives.signing import ED25519_PUBLIC_SIZE

PROOF_LINES_MAX: Final = 63
REQUEST_BYTES_MAX: Final = NOTE_SIZE_MAX + 64 * 48
ANSWER_BYTES_MAX: Final = NOTE_SIZE_MAX
SIZE_TYPE: Final = "text/x.tlog.size"
"""Content type of a 409's body: the size that the witness signed last, in decimal, and a newline."""
_OLD: Final = re.compile(r"old (0|[1-9][0-9]{0,18})")
_NAME: Final = re.compile("[!-*,-~]{1,255}")


@dataclass(frozen=True, slots=True)
class Submission:
    """A checkpoint offered to a witness, and the path that leads to it from the one of size `old`."""

    old: int
    path: tuple[bytes, ...]
    note: SignedCheckpoint


def encode_submission(old: int, path: Sequence[bytes], note: str) -> bytes:
    """The body of `POST …/add-checkpoint`."""
    lines = [f"old {old}", *(base64.b64encode(digest).decode() for digest in path), "", note]
    return "\n".join(lines).encode()


def decode_submission(body: bytes) -> Submission:
    """The inverse of `encode_submission`; refuses whatever that would not write."""
    if len(body) > REQUEST_BYTES_MAX:
        raise Invalid("the request is too long", code="too-large")
    try:
        head, separator, note = body.decode("utf-8").partition("\n\n")
    except UnicodeDecodeError:
        raise Invalid("the request is not UTF-8") from None
    first, *rest = head.split("\n")
    old = _OLD.fullmatch(first)
    if old is None or not separator:
        raise Invalid("the request does not begin with the old size, path lines and an empty line")
    if len(rest) > PROOF_LINES_MAX:
        raise Invalid(f"a consistency path has at most {PROOF_LINES_MAX} lines", code="too-large")
    return Submission(int(old[1]), tuple(_digest(line) for line in rest), parse_note(note))


def _digest(line: str) -> bytes:
    try:
        digest = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("a line of the consistency path is no base64") from None
    if len(digest) != DIGEST_SIZE or base64.b64encode(digest).decode() != line:
        raise Invalid("a line of the consistency path is no digest")
    return digest


def decode_cosignatures(body: bytes) -> list[NoteSignature]:
    """The signature lines of a 200 answer, unchecked. Raises Invalid."""
    if len(body) > ANSWER_BYTES_MAX:
        raise Invalid("the witness's answer is too long", code="too-large")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid("the witness's answer is not UTF-8") from None
    # Lines are read as those of a note are: under a checkpoint that says nothing.
    empty = base64.b64encode(bytes(DIGEST_SIZE)).decode()
    return list(parse_note(f"-\n1\n{empty}\n\n{text}").signatures)


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """A witness's name and Ed25519 key; as text a C2SP verifier key: NAME+KEYID+BASE64(04 | key)."""

    name: str
    public: bytes

    @property
    def text(self) -> str:
        """One line to copy; `parse_witness_key` reads it."""
        key_id = compute_key_id(self.name, COSIGNATURE_TYPE, self.public)
        return f"{self.name}+{key_id.hex()}+{base64.b64encode(COSIGNATURE_TYPE + self.public).decode()}"


def check_witness_name(name: str) -> None:
    """Raise Invalid unless a note can carry the name."""
    if _NAME.fullmatch(name) is None:
        raise Invalid(
            "a witness's name is printable ASCII without space and plus, at most 255 characters",
            hint="for example witness.example.org",
        )


def parse_witness_key(text: str) -> WitnessKey:
    """The key that this line names. Raises Invalid."""
    name, _, rest = text.partition("+")
    check_witness_name(name)
    try:
        raw = base64.b64decode(rest.partition("+")[2], validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    key = WitnessKey(name, raw[1:])
    if len(raw) != 1 + ED25519_PUBLIC_SIZE or key.text != text:
        raise Invalid(
            "this is no key of a witness", hint="copy the line that `careledger witness show DIR` prints"
        )
    return key
