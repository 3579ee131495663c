"""Each signature is verified once a node: what held when a transaction arrived still holds in its block."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from careledger.ledger.execution import Verify, verify_always
from careledger.ledger.kernel import Key
from careledger.ledger.transaction import Authenticator
from careledger.primitives.hashing import sha256

REMEMBERED_MAX = 100_000
"""Transactions whose signatures are remembered: some 20 MB. One more forgets the one met longest ago."""


class VerifiedOnce:
    """`Rules.verify` of a replica: remembers, by the SHA-256 of all its bytes, a transaction whose signatures held.

    Whether a signature holds depends on those bytes alone: they are body and authenticators. Only success is
    remembered, so a refusal always comes from `verify_authenticators`, and a lost memory costs time alone.
    """

    def __init__(self, verify: Verify = verify_always, remembered_max: int = REMEMBERED_MAX) -> None:
        self._verify = verify
        self._remembered_max = remembered_max
        self._held: OrderedDict[bytes, None] = OrderedDict()
        self.verified = 0
        self.remembered = 0

    def __call__(
        self, data: bytes, authenticators: Sequence[Authenticator], transaction_id: bytes
    ) -> frozenset[Key]:
        digest = sha256(data)
        if digest in self._held:
            self._held.move_to_end(digest)
            self.remembered += 1
            return frozenset([Key(one.algorithm, one.key) for one in authenticators])
        keys = self._verify(data, authenticators, transaction_id)
        self.verified += 1
        self._held[digest] = None
        if len(self._held) > self._remembered_max:
            self._held.popitem(last=False)
        return keys
