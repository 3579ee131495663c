"""Where a search goes on: sealed, so that a link shows no position and an altered or borrowed one is refused."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from careledger.fhir.search.query import Query
from careledger.primitives.errors import Invalid, VerificationFailed
from careledger.primitives.hashing import sha256
from careledger.primitives.opaque import open_text, seal_text

_FORM = struct.Struct("<QII")
_UNBOUND = frozenset({"_count", "_total", "_format", "_pretty"})


@dataclass(frozen=True, slots=True)
class Cursor:
    """After row `row` of chart `chart`, in the view of ledger height `height`.

    No sort values: they are found again from the row, so no patient data is in a link, sealed or not.
    """

    height: int
    chart: int
    row: int

    def encode(self, key: bytes, query: Query) -> str:
        """The text for a link, valid for this query alone. `key` is the node's cursor key."""
        return seal_text(key, binding(query), _FORM.pack(self.height, self.chart, self.row))

    @classmethod
    def decode(cls, text: str, key: bytes, query: Query) -> Cursor:
        """Raises Invalid if this node did not seal it for this query."""
        try:
            return cls(*_FORM.unpack(open_text(key, binding(query), text)))
        except (VerificationFailed, struct.error):
            raise Invalid(
                "The page link was altered, or belongs to another query.",
                hint="Begin at the first page.",
                code="value",
            ) from None


def binding(query: Query) -> bytes:
    """What a cursor belongs to: type, conditions and order; the page size may change under way."""
    pairs = [(name, value) for name, value in query.applied if name not in _UNBOUND]
    return sha256(repr((query.type, pairs)).encode("utf-8", "replace"))
