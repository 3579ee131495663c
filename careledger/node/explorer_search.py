"""What a text names on the ledger, within what a search may look at; the rest it says from where to look for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from careledger.contracts.identity import ORGANISATION, SUBJECTS
from careledger.ledger.transaction import Body, decode_transaction
from careledger.node.explorer import SHOWN_MAX, Explorer, Placed, describe_organisation
from careledger.node.explorer_words import kinds, name_message
from careledger.primitives.errors import CareLedgerError, Invalid, NotFound
from careledger.primitives.types import Did, parse_did

LOOK_BACK: Final = 500
LOOKED_AT_MAX: Final = 5_000
"""Blocks that one search looks through, and transactions."""
FOUND_MAX: Final = 50
QUERY_MAX: Final = 100
_HEIGHT = re.compile(r"[0-9]{1,15}", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)

Fits = Callable[[Body, Sequence[str]], bool]
"""Whether a transaction, by its body and the types of its messages, is looked for."""


def search(ledger: Explorer, text: str, before: int | None) -> dict[str, Any]:
    """What a text names: a height, a hash, a DID, an organisation's name, a type of message. Raises Invalid.

    Transactions of a DID or type are looked for in the newest blocks below `before`; `next` says from where to go on.
    """
    wanted = text.strip()
    if not 0 < len(wanted) <= QUERY_MAX:
        raise Invalid(f"a search has 1 to {QUERY_MAX} characters", code="parameter")
    if _HEIGHT.fullmatch(wanted):
        is_there = int(wanted) <= ledger.height
        return _found(blocks=[ledger.line(ledger.block(int(wanted)))] if is_there else [])
    if _HASH.fullmatch(wanted.lower()):
        return _by_hash(ledger, bytes.fromhex(wanted.lower()))
    if wanted.startswith("did:"):
        return _by_did(ledger, parse_did(wanted), before)
    if any(kind.name == wanted for kind in kinds().values()):
        return _look_back(ledger, before, lambda body, names: wanted in names)
    named = [one for one in ledger.list_organisations() if wanted.casefold() in one["name"].casefold()]
    return _found(organisations=named[:FOUND_MAX])


def _by_hash(ledger: Explorer, wanted: bytes) -> dict[str, Any]:
    found = ledger.find(wanted)
    if found is not None:
        return _found(transactions=[ledger.describe(found)])
    for height in range(ledger.height, max(-1, ledger.height - LOOK_BACK), -1):
        try:
            block = ledger.block(height)
        except NotFound:
            break
        if block.app_hash == wanted:
            return _found(blocks=[ledger.line(block)])
    return _found()


def _by_did(ledger: Explorer, did: Did, before: int | None) -> dict[str, Any]:
    subject = SUBJECTS.get(ledger.state, did)
    if subject is None:
        return _found()
    found = _look_back(ledger, before, lambda body, names: body.sponsor == did)
    if subject.kind == ORGANISATION:
        found["organisations"] = [describe_organisation(did, subject)]
    return found


def _look_back(ledger: Explorer, before: int | None, fits: Fits) -> dict[str, Any]:
    top = ledger.height if before is None else min(before - 1, ledger.height)
    found: list[dict[str, Any]] = []
    height, left = top, LOOKED_AT_MAX
    while height > max(0, top - LOOK_BACK) and len(found) < FOUND_MAX and left > 0:
        try:
            block = ledger.block(height)
        except NotFound:
            return _found(transactions=found)
        for at, data in enumerate(block.transactions[:SHOWN_MAX]):
            if _fits(data, fits):
                found.append(ledger.describe(Placed(height, at, data, block.codes[at])))
        left -= len(block.transactions)
        height -= 1
    return _found(transactions=found, next=height + 1 if height > 0 else None)


def _found(
    *,
    blocks: Sequence[Any] = (),
    transactions: Sequence[Any] = (),
    organisations: Sequence[Any] = (),
    next: int | None = None,
) -> dict[str, Any]:
    return {
        "blocks": list(blocks),
        "transactions": list(transactions),
        "organisations": list(organisations),
        "next": next,
    }


def _fits(data: bytes, fits: Fits) -> bool:
    try:
        _, body = decode_transaction(data)
    except CareLedgerError:
        return False
    return fits(body, [name_message(one) for one in body.messages])
