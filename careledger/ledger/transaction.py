"""The signed envelope (protocol.md, Transactions): body, id, authenticators, limits.

transaction = enc(body, authenticators); body = enc(genesis hash, valid_until, sponsor, lane, sequence, messages);
id = H(`cl1.tx`, body). Every authenticator signs the id. They stand in ascending order of (algorithm, key), and each
must be needed: by the sponsor or by a message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Protocol

from careledger.ledger.kernel import (
    ED25519,
    ML_DSA_65,
    WEBAUTHN_ES256,
    WEBAUTHN_ML_DSA,
    Key,
    Rejected,
)
from careledger.primitives.encoding import DIGEST, U8, U64, Bytes, List, Schema
from careledger.primitives.errors import Invalid, TooLarge, VerificationFailed
from careledger.primitives.hashing import tagged
from careledger.primitives.signing import (
    ed25519_public_key,
    ml_dsa_65_public_key,
    sign_ed25519,
    sign_ml_dsa_65,
    verify_ed25519,
    verify_ml_dsa_65,
)
from careledger.primitives.types import Did
from careledger.primitives.webauthn import (
    ASSERTION_SIZE_MAX,
    WEBAUTHN_KEY_SIZE_MAX,
    verify_webauthn_es256,
    verify_webauthn_ml_dsa_65,
)

MESSAGE_SIZE_MAX = 16_384
MESSAGES_MAX = 16
AUTHENTICATORS_MAX = 8
TRANSACTION_SIZE_MAX = 131_072
LANES = 16


class Malformed(Rejected):
    """The bytes are not the canonical encoding of a transaction."""

    number, code, reason = 2, "malformed-transaction", "not the canonical encoding of a transaction"


class TransactionTooLarge(Rejected):
    """The transaction is over its size limit, or its body over `body_bytes_max`."""

    number, code, reason = (
        3,
        "transaction-too-large",
        f"a transaction has at most {TRANSACTION_SIZE_MAX} bytes",
    )


class BadAuthenticator(Rejected):
    """An authenticator does not verify over the transaction's id, or its key or signature is not acceptable."""

    number, code, reason = 14, "bad-authenticator", "an authenticator does not hold"


class UnknownAlgorithm(Rejected):
    """The authenticator's algorithm has no number in this protocol."""

    number, code, reason = 16, "unknown-algorithm", "the authenticator's algorithm is unknown"


@dataclass(frozen=True, slots=True)
class Body:
    """What is signed. `valid_until` is block time in ms; `lane` 0 … 15; `sequence` rises by one per sponsor and lane."""

    genesis_hash: bytes
    valid_until: int
    sponsor: Did
    lane: int
    sequence: int
    messages: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Authenticator:
    """A signature of `key` over the id; a passkey's is enc(Assertion), its challenge the id."""

    algorithm: int
    key: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Transaction:
    """The envelope as it travels."""

    body: bytes
    authenticators: tuple[Authenticator, ...]


BODY: Schema[Body] = Schema(
    Body,
    genesis_hash=DIGEST,
    valid_until=U64,
    sponsor=DIGEST,
    lane=U8,
    sequence=U64,
    messages=List(Bytes(MESSAGE_SIZE_MAX, least=2), MESSAGES_MAX),
)
AUTHENTICATOR: Schema[Authenticator] = Schema(
    Authenticator,
    algorithm=U8,
    key=Bytes(WEBAUTHN_KEY_SIZE_MAX, least=1),
    signature=Bytes(ASSERTION_SIZE_MAX, least=1),
)
TRANSACTION: Schema[Transaction] = Schema(
    Transaction, body=Bytes(TRANSACTION_SIZE_MAX), authenticators=List(AUTHENTICATOR, AUTHENTICATORS_MAX)
)


DECODED_MAX = 8_192
"""Transactions whose decoded form is remembered; what cannot be decoded is not."""
DECODED_SIZE_MAX = 4_096
"""Bytes of such a one. A decoded form is twice as large: strangers can make a node remember 100 MB, and no more."""


def compute_id(body: bytes) -> bytes:
    """H(`cl1.tx`, body)."""
    return tagged("cl1.tx", body)


def decode_transaction(data: bytes) -> tuple[Transaction, Body]:
    """The envelope and its body. Raises Malformed, TransactionTooLarge. A replica meets each transaction four times."""
    return _remember(data) if len(data) <= DECODED_SIZE_MAX else _decode(data)


@lru_cache(maxsize=DECODED_MAX)
def _remember(data: bytes) -> tuple[Transaction, Body]:
    return _decode(data)


def _decode(data: bytes) -> tuple[Transaction, Body]:
    if len(data) > TRANSACTION_SIZE_MAX:
        raise TransactionTooLarge
    try:
        transaction = TRANSACTION.decode(data)
        body = BODY.decode(transaction.body)
    except (Invalid, TooLarge) as error:
        raise Malformed(f"{Malformed.reason}: {error.message}") from None
    order = [(one.algorithm, one.key) for one in transaction.authenticators]
    if any(left >= right for left, right in zip(order, order[1:], strict=False)):
        raise Malformed("the authenticators must strictly ascend by algorithm and key")
    return transaction, body


_VERIFIERS: Mapping[int, Callable[[bytes, bytes, bytes], None]] = MappingProxyType(
    {
        ED25519: verify_ed25519,
        ML_DSA_65: verify_ml_dsa_65,
        WEBAUTHN_ES256: verify_webauthn_es256,
        WEBAUTHN_ML_DSA: verify_webauthn_ml_dsa_65,
    }
)
"""By algorithm: (key, id, signature); each raises VerificationFailed."""


def verify_authenticators(authenticators: Sequence[Authenticator], transaction_id: bytes) -> frozenset[Key]:
    """The keys that signed the id: all of them, or a refusal. Raises BadAuthenticator, UnknownAlgorithm."""
    for one in authenticators:
        verify = _VERIFIERS.get(one.algorithm)
        if verify is None:
            raise UnknownAlgorithm
        try:
            verify(one.key, transaction_id, one.signature)
        except VerificationFailed as error:
            raise BadAuthenticator(error.message) from None
    return frozenset([Key(one.algorithm, one.key) for one in authenticators])


class Signer(Protocol):
    """Whoever signs ids: a secret key, or what asks a passkey."""

    @property
    def key(self) -> Key: ...
    def sign(self, data: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A seed of 32 bytes and the algorithm it is for. Its text shows no seed."""

    algorithm: int
    seed: bytes

    def __repr__(self) -> str:
        return f"SecretKey(algorithm={self.algorithm})"

    @property
    def key(self) -> Key:
        """The public half."""
        if self.algorithm == ED25519:
            return Key(ED25519, ed25519_public_key(self.seed))
        return Key(ML_DSA_65, ml_dsa_65_public_key(self.seed))

    def sign(self, data: bytes) -> bytes:
        """A signature over `data`."""
        return sign_ed25519(self.seed, data) if self.algorithm == ED25519 else sign_ml_dsa_65(self.seed, data)


def build_transaction(
    genesis_hash: bytes,
    valid_until: int,
    sponsor: Did,
    lane: int,
    sequence: int,
    messages: Sequence[bytes],
    keys: Sequence[Signer],
) -> bytes:
    """A signed transaction: `messages` as `MessageKind.encode` wrote them, `keys` the sponsor's and the authors'."""
    body = BODY.encode(Body(genesis_hash, valid_until, sponsor, lane, sequence, tuple(messages)))
    return sign_transaction(body, keys)


def sign_transaction(body: bytes, keys: Sequence[Signer]) -> bytes:
    """The envelope of an encoded body, signed by each key once."""
    transaction_id = compute_id(body)
    return join_authenticators(
        body,
        [
            Authenticator(*one.key, one.sign(transaction_id))
            for one in {one.key: one for one in keys}.values()
        ],
    )


def join_authenticators(body: bytes, authenticators: Sequence[Authenticator]) -> bytes:
    """The envelope of an encoded body and what signed its id, wherever that was made."""
    ordered = sorted(authenticators, key=lambda one: (one.algorithm, one.key))
    return TRANSACTION.encode(Transaction(body, tuple(ordered)))
