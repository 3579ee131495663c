"""Checkpoints: C2SP tlog-checkpoint in a C2SP signed note, and the cosignatures of witnesses (C2SP tlog-cosignature).

    careledger/<chain id>
    <size of the history log = height + 1>
    <its root, base64>

    — careledger/<chain id> <base64(4 bytes key id | signature)>

Embedded, the origin is also the name of the signer. Its Ed25519 line has note type 01. Its ML-DSA-44 line has type 06
(C2SP tlog-cosignature, "subtree/v1" from leaf 0, with a time) over origin, size and root.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from careledger.primitives.errors import Invalid, VerificationFailed
from careledger.primitives.hashing import sha256
from careledger.primitives.signing import (
    sign_ed25519,
    sign_ml_dsa_44,
    verify_ed25519,
    verify_ml_dsa_44,
)
from careledger.primitives.types import ChainId

ORIGIN_PREFIX = "careledger/"
NOTE_SIZE_MAX = 65_536
SIGNATURES_MAX = 64
ED25519_TYPE = b"\x01"
COSIGNATURE_TYPE = b"\x04"
ML_DSA_44_TYPE = b"\x06"
_DASH = "\u2014 "


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a history log: `size` leaves under `root`; the newest block is size − 1."""

    origin: str
    size: int
    root: bytes

    @property
    def height(self) -> int:
        """The newest block that the checkpoint covers."""
        return self.size - 1

    def text(self) -> str:
        """The note's text: what is signed, as UTF-8."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: who, by which key (4 bytes), and the signature's bytes."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        """As it stands in the note."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A parsed note; its signatures are not yet checked."""

    checkpoint: Checkpoint
    signatures: tuple[NoteSignature, ...]

    def note(self) -> str:
        """The whole note; `parse_note` gives this value back."""
        return self.checkpoint.text() + "\n" + "".join(one.line() for one in self.signatures)

    def with_signature(self, signature: NoteSignature) -> SignedCheckpoint:
        """The same checkpoint with one more line."""
        return SignedCheckpoint(self.checkpoint, (*self.signatures, signature))


def origin_of(chain_id: ChainId) -> str:
    """`careledger/<chain id>`."""
    return ORIGIN_PREFIX + chain_id


def compute_key_id(name: str, note_type: bytes, public_key: bytes) -> bytes:
    """First 4 bytes of SHA-256(name | 0A | type | key) (C2SP signed-note)."""
    return sha256(name.encode() + b"\n" + note_type + public_key)[:4]


def sign_note_ed25519(checkpoint: Checkpoint, name: str, seed: bytes, public_key: bytes) -> NoteSignature:
    """The Ed25519 line of a checkpoint."""
    signature = sign_ed25519(seed, checkpoint.text().encode())
    return NoteSignature(name, compute_key_id(name, ED25519_TYPE, public_key), signature)


def sign_note_ml_dsa_44(
    checkpoint: Checkpoint, name: str, seed: bytes, public_key: bytes, time_s: int
) -> NoteSignature:
    """The ML-DSA-44 line of a checkpoint, at `time_s` (seconds since 1970, the signer's word); hedged."""
    signature = sign_ml_dsa_44(seed, _subtree_message(checkpoint, name, time_s))
    key_id = compute_key_id(name, ML_DSA_44_TYPE, public_key)
    return NoteSignature(name, key_id, time_s.to_bytes(8, "big") + signature)


def _subtree_message(checkpoint: Checkpoint, name: str, time_s: int) -> bytes:
    """C2SP tlog-cosignature, ML-DSA-44: leaves 0 … size − 1."""
    signer, origin = name.encode(), checkpoint.origin.encode()
    if max(len(signer), len(origin)) > 255:
        raise Invalid("a name or origin has at most 255 bytes", code="too-large")
    start = b"subtree/v1\n\0" + bytes([len(signer)]) + signer + time_s.to_bytes(8, "big")
    return (
        start
        + bytes([len(origin)])
        + origin
        + bytes(8)
        + checkpoint.size.to_bytes(8, "big")
        + checkpoint.root
    )


def cosign(checkpoint: Checkpoint, name: str, seed: bytes, public_key: bytes, time_s: int) -> NoteSignature:
    """A witness's line: the checkpoint existed before `time_s` (seconds since 1970, the witness's word)."""
    signature = sign_ed25519(seed, _cosigned_text(checkpoint, time_s))
    return NoteSignature(
        name, compute_key_id(name, COSIGNATURE_TYPE, public_key), time_s.to_bytes(8, "big") + signature
    )


def _cosigned_text(checkpoint: Checkpoint, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{checkpoint.text()}".encode()


def verify_note_ed25519(note: SignedCheckpoint, name: str, public_key: bytes) -> None:
    """Returns only if the note carries this key's Ed25519 signature."""
    signature = _find(note, name, ED25519_TYPE, public_key)
    verify_ed25519(public_key, note.checkpoint.text().encode(), signature)


def verify_note_ml_dsa_44(note: SignedCheckpoint, name: str, public_key: bytes) -> int:
    """The signer's time in seconds, if the note carries its ML-DSA-44 line. Raises VerificationFailed."""
    data = _find(note, name, ML_DSA_44_TYPE, public_key)
    time_s = int.from_bytes(data[:8], "big")
    verify_ml_dsa_44(public_key, _subtree_message(note.checkpoint, name, time_s), data[8:])
    return time_s


def verify_cosignature(note: SignedCheckpoint, name: str, public_key: bytes) -> int:
    """The witness's time in seconds, if the note carries its cosignature. Raises VerificationFailed."""
    data = _find(note, name, COSIGNATURE_TYPE, public_key)
    time_s = int.from_bytes(data[:8], "big")
    verify_ed25519(public_key, _cosigned_text(note.checkpoint, time_s), data[8:])
    return time_s


def _find(note: SignedCheckpoint, name: str, note_type: bytes, public_key: bytes) -> bytes:
    key_id = compute_key_id(name, note_type, public_key)
    found = [one.signature for one in note.signatures if one.name == name and one.key_id == key_id]
    if len(found) != 1:
        raise VerificationFailed("the checkpoint does not carry exactly one signature of this key")
    return found[0]


def parse_note(text: str) -> SignedCheckpoint:
    """The note that this text is. Raises Invalid for whatever `SignedCheckpoint.note` would not write."""
    if len(text) > NOTE_SIZE_MAX:
        raise Invalid("the checkpoint is too long", code="too-large")
    lines = text.split("\n")
    if len(lines) < 6 or lines[3] or lines[-1] or len(lines) - 5 > SIGNATURES_MAX:
        raise Invalid(
            "not a checkpoint: three lines, an empty one, then signatures", code="invalid-checkpoint"
        )
    origin, size, root = lines[:3]
    if not origin or not size.isdecimal() or len(size) > 19:
        raise Invalid("the checkpoint's origin or size is malformed", code="invalid-checkpoint")
    checkpoint = Checkpoint(origin, int(size), _decode(root))
    note = SignedCheckpoint(checkpoint, tuple(_parse_signature(line) for line in lines[4:-1]))
    if len(checkpoint.root) != 32 or checkpoint.size < 1 or note.note() != text:
        raise Invalid("the checkpoint is not in canonical form", code="invalid-checkpoint")
    return note


def _parse_signature(line: str) -> NoteSignature:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    data = _decode(encoded)
    if not line.startswith(_DASH) or not name or len(data) < 5:
        raise Invalid("a signature line of the checkpoint is malformed", code="invalid-checkpoint")
    return NoteSignature(name, data[:4], data[4:])


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("the checkpoint holds no valid base64", code="invalid-checkpoint") from None
