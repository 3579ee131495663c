"""A directive: what a patient decided about her chart, as she signed it, and how it stands on the ledger.

The **text** is canonical JSON (RFC 8785) of a closed shape. Its commitment, H(`cl1.consent`, salt | text), is all
that the ledger sees. The chart keeps the text with salt, directive key and **binding**, the enrolled key's signature
over the commitment: a directive without a binding by the key that is enrolled in this chart has no force.
docs/spec/consent.md is the format; `ledger.directive_forms` holds the forms, by which an export is verified too.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from careledger.access.emergency import emergency_terms
from careledger.contracts import consent
from careledger.ledger.controllers import Controller as Controller
from careledger.ledger.controllers import verify_signed
from careledger.ledger.directive_forms import Coding as Coding
from careledger.ledger.directive_forms import ControllerLeaf as ControllerLeaf
from careledger.ledger.directive_forms import DirectiveLeaf as DirectiveLeaf
from careledger.ledger.directive_forms import Effect as Effect
from careledger.ledger.directive_forms import Grantee as Grantee
from careledger.ledger.directive_forms import GranteeKind as GranteeKind
from careledger.ledger.directive_forms import Text as Text
from careledger.ledger.directive_forms import compute_key_id as compute_key_id
from careledger.primitives.errors import Invalid, VerificationFailed
from careledger.primitives.hashing import tagged
from careledger.vault.model import DIRECTIVE_TYPE, EMERGENCY_TYPE

DIRECTIVE_FORMAT: Final[Literal["careledger/directive/1"]] = "careledger/directive/1"
SHOWN_FORMAT: Final[Literal["careledger/directive/2"]] = "careledger/directive/2"
DIRECTIVE_BYTES_MAX: Final = 65_536
ITEMS_MAX: Final = 64
DAY_MS: Final = 86_400_000
DAY_MAX: Final = 2_932_896
"""The last day of the year 9999, counted from 1970-01-01."""

ANYBODY_TERM: Final = b"grantee"
"""Chart-level term of every chart that holds a directive."""

Status = Literal["active", "revoked", "unknown"]


@dataclass(frozen=True, slots=True)
class Directive:
    """A directive as it stands at a height: its text, its status on the ledger, and whether its binding holds."""

    id: str
    text: Text
    status: Status
    bound: bool
    height: int
    """Of the last change on the ledger."""


LedgerEntry = consent.Entry
"""`consent/directive[commitment]`: fixed length, nothing of a patient."""


_encode_text = msgspec.json.Encoder(order="sorted").encode
_decode_text = msgspec.json.Decoder(Text).decode
_decode_leaf = msgspec.json.Decoder(DirectiveLeaf).decode
_decode_controller = msgspec.json.Decoder(ControllerLeaf).decode
_ID = re.compile("[0-9a-f]{64}")


def encode_text(text: Text) -> bytes:
    """The one spelling of a text. Raises Invalid where a list is unsorted, repeats itself or is too long."""
    for items in (text.actions, text.categories, text.grantees, text.labels, text.purposes, text.types):
        if len(items) > ITEMS_MAX or any(a >= b for a, b in zip(items, items[1:], strict=False)):  # type: ignore[operator]
            raise Invalid(
                "a list of the directive is unsorted or too long", hint=f"at most {ITEMS_MAX}, sorted"
            )
    if not text.grantees or not text.actions:
        raise Invalid("a directive names somebody and something to do", hint="name a grantee")
    if not 0 <= text.from_day <= text.until_day <= DAY_MAX:
        raise Invalid("the directive's period is empty or out of range", hint="an end after the beginning")
    if text.supersedes and _ID.fullmatch(text.supersedes) is None:
        raise Invalid("the superseded directive's id is malformed", hint="64 hex digits")
    if not text.is_whole:
        raise Invalid("the directive has not the fields of its format", hint="see docs/spec/consent.md")
    return _encode_text(text)


def decode_text(data: bytes) -> Text:
    """The text whose spelling this is. Raises Invalid for every other spelling."""
    try:
        text = _decode_text(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Invalid("the directive cannot be read", hint="see docs/spec/consent.md") from None
    if encode_text(text) != data:
        raise Invalid("the directive is not in its one spelling", hint="see docs/spec/consent.md")
    return text


def compute_commitment(salt: bytes, text: bytes) -> bytes:
    """What stands on the ledger: H(`cl1.consent`, salt | text); its hex digits are the directive's id."""
    return tagged("cl1.consent", salt + text)


def encode_leaf(leaf: DirectiveLeaf | ControllerLeaf) -> bytes:
    """The leaf's body."""
    return _encode_text(leaf)


def decode_leaf(body: bytes) -> DirectiveLeaf:
    """The body of a leaf of kind directive. Raises Invalid."""
    try:
        return _decode_leaf(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Invalid("a directive's leaf cannot be read", hint="run `careledger fsck`") from None


def decode_controller(body: bytes) -> ControllerLeaf:
    """The body of a leaf of kind guardian. Raises Invalid."""
    try:
        return _decode_controller(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Invalid("an enrolled key's leaf cannot be read", hint="run `careledger fsck`") from None


def is_bound(id: str, leaf: DirectiveLeaf, controller: bytes, organisation: bytes, handle: bytes) -> bool:
    """Whether the commitment opens to this text, for this chart, and the enrolled key `controller` signed it."""
    try:
        text = from_base64(leaf.text)
        commitment = compute_commitment(from_base64(leaf.salt), text)
        decided = decode_text(text)
        if commitment.hex() != id or leaf.controller != compute_key_id(controller):
            return False
        if (from_base64(decided.organisation), from_base64(decided.handle)) != (organisation, handle):
            return False
        verify_signed(controller, commitment, from_base64(leaf.binding))
    except (Invalid, VerificationFailed):
        return False
    return True


def grantee_terms(text: Text) -> tuple[bytes, ...]:
    """Blind terms by which the charts are found in which somebody, or this one, is granted or denied something."""
    denials = (denial_term(one) for one in text.grantees) if text.effect == "deny" else ()
    return (ANYBODY_TERM, *(grantee_term(one) for one in text.grantees), *denials)


def leaf_terms(type: str, body: bytes) -> tuple[bytes, ...]:
    """Chart-level terms of a leaf that is no FHIR resource."""
    if type == EMERGENCY_TYPE:
        return emergency_terms(body)
    if type != DIRECTIVE_TYPE:
        return ()
    return grantee_terms(decode_text(from_base64(decode_leaf(body).text)))


def grantee_term(grantee: Grantee) -> bytes:
    """The chart-level term of one grantee."""
    return f"grantee\0{grantee.kind}\0{grantee.value}".encode()


def denial_term(grantee: Grantee) -> bytes:
    """The chart-level term of one grantee to whom something is denied."""
    return f"denied\0{grantee.kind}\0{grantee.value}".encode()


def to_base64(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64(text: str) -> bytes:
    """The bytes; raises Invalid for any other spelling than `to_base64`'s."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise Invalid("not base64url", hint="base64url without padding") from None
    if to_base64(data) != text:
        raise Invalid("not base64url in its one spelling", hint="base64url without padding")
    return data
