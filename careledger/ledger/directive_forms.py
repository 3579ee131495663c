"""The forms of what a patient signs, as a chart holds them: a directive's text, its leaf, an enrolled key's leaf.

docs/spec/consent.md says what they mean. Fields stand in the order of RFC 8785; what is decoded has no others.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from careledger.primitives.hashing import sha256

Effect = Literal["deny", "permit"]
GranteeKind = Literal["client", "organisation", "practitioner", "role"]
Day = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
"""Counted from 1970-01-01 UTC."""


class Grantee(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, order=True):
    """Whom it is about: an organisation (DID), a practitioner (DID or logical id of a Practitioner), a role (name).

    A client is an app by its id: such a directive remembers what a patient allowed it, and decides nothing by itself.
    """

    kind: GranteeKind
    value: str


class Coding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, order=True):
    """A code of a system; "" for a system that was not given."""

    code: str
    system: str


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What was decided. Lists are sorted and without repeats; an empty one does not narrow, but for `grantees`.

    Days are counted from 1970-01-01 UTC; both ends count. `actions` are `access` (read, search, history, exports) and
    `proof` (receipts). `supersedes` is the id of the directive that this one replaces, or "".
    Format 2 holds what the page showed when it was signed, too: `shown`, in `language`; format 1 holds neither.
    """

    actions: tuple[Literal["access", "proof"], ...]
    categories: tuple[Coding, ...]
    effect: Effect
    format: Literal["careledger/directive/1", "careledger/directive/2"]
    from_day: Day
    grantees: tuple[Grantee, ...]
    handle: str
    labels: tuple[Coding, ...]
    language: Literal["", "en", "es"] = ""
    nonce: str
    organisation: str
    purposes: tuple[str, ...]
    shown: str = ""
    supersedes: str
    types: tuple[str, ...]
    until_day: Day

    @property
    def is_whole(self) -> bool:
        """Whether it has the fields of its format, and no others."""
        return {bool(self.shown), bool(self.language)} == {self.format == "careledger/directive/2"}


class DirectiveLeaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of a leaf of kind directive: what is needed to check it without asking anybody. Bytes are base64url.

    `binding` is the enrolled key's signature over the commitment (a passkey's: an encoded assertion), `controller` that key's id; `key` is the
    directive's own public key; `consent` names the FHIR Consent that shows it to readers.
    """

    binding: str
    consent: str
    controller: str
    key: str
    salt: str
    text: str


class ControllerLeaf(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """Body of a leaf of kind guardian: the patient's enrolled key. A later one is signed by the one before.

    `continues` is the former key's signature over this key's id; "" for the first. Format 1 is a key file's ML-DSA-65
    key; format 2 a passkey: `key` is encoded with its RP id hash and origin, `credential` is its id, `proof` its
    assertion that it is this chart's, `recovery` a key that may enrol the next one.
    """

    continues: str
    credential: str = ""
    format: Literal["careledger/controller/1", "careledger/controller/2"]
    key: str
    proof: str = ""
    recovery: str = ""


def compute_key_id(public: bytes) -> str:
    """The id of an enrolled key: 32 hex digits of its hash."""
    return sha256(public).hex()[:32]
