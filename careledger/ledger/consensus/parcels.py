"""Transactions that travel to peers together: the engine asks the application once for a parcel, not for each.

A parcel is `cb` | enc(list of transactions). No transaction begins so: its first byte is of its body's length, 00.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from careledger.ledger.transaction import TRANSACTION_SIZE_MAX
from careledger.primitives.encoding import Bytes, List

MARK: Final = b"\xcb"
COUNT_MAX: Final = 128
BYTES_MAX: Final = 1 << 16
"""Of a parcel's transactions; one that is larger travels alone. The engine takes no more than a transaction's limit."""
_PARCEL: Final[List[bytes]] = List(Bytes(TRANSACTION_SIZE_MAX, least=1), COUNT_MAX)


def pack(transactions: Iterable[bytes]) -> list[bytes]:
    """All of them in their order, in as few messages as the limits allow; one alone stays as it is."""
    parcels: list[list[bytes]] = []
    room = 0
    for one in transactions:
        room -= len(one)
        if room < 0 or len(parcels[-1]) == COUNT_MAX:
            parcels.append([])
            room = BYTES_MAX - len(one)
        parcels[-1].append(one)
    return [MARK + _PARCEL.encode(tuple(parcel)) if len(parcel) > 1 else parcel[0] for parcel in parcels]


def unpack(data: bytes) -> tuple[bytes, ...]:
    """What a message of a peer holds; what is no parcel is one transaction, or claims to be. Raises Invalid."""
    return _PARCEL.decode(data[1:]) if data.startswith(MARK) else (data,)
