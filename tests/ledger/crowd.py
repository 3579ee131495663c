"""Several organisations on a ledger whose state is a plain dict: what pool and proposals are tested with."""

from __future__ import annotations

from collections.abc import Sequence

from careledger.contracts import CONTRACTS, consent, founding_messages
from careledger.contracts.identity import ORGANISATION, REGISTER, Register
from careledger.ledger.execution import (
    ACCOUNTS,
    BlockInput,
    History,
    Outcome,
    Rules,
    apply_block,
    apply_genesis,
)
from careledger.ledger.kernel import Key, Parameters
from careledger.ledger.transaction import (
    BODY,
    TRANSACTION,
    Authenticator,
    Body,
    SecretKey,
    Transaction,
    build_transaction,
)
from careledger.primitives.hashing import sha256
from tests.ledger.play import START_MS, Party

PARTIES = [Party(name) for name in ("St Anna", "Riverside", "Northgate", "Hillcrest")]
GENESIS_HASH = sha256(b"crowd")


def trusting(data: bytes, authenticators: Sequence[Authenticator], transaction_id: bytes) -> frozenset[Key]:
    """Every signature holds: for tests of thousands of transactions, made by `unsigned`."""
    return frozenset([Key(one.algorithm, one.key) for one in authenticators])


class Crowd:
    """The ledger; `read` is always the newest state."""

    def __init__(self, rules: Rules | None = None, quota: int = 1 << 40) -> None:
        self.rules = rules or Rules(CONTRACTS)
        first = PARTIES[0]
        messages = list(founding_messages(first.name, first.root.key, first.node.key))
        for party in PARTIES[1:]:
            register = Register(first.did, ORGANISATION, party.name, party.root.key, party.node.key, ())
            messages.append(REGISTER.encode(register))
        outcome = apply_genesis(self.rules, Parameters(quota), START_MS, messages)
        self.state = {key: value for key, value in outcome.changes.items() if value is not None}
        self.height, self.time_ms = 0, START_MS

    def read(self, key: bytes) -> bytes | None:
        return self.state.get(key)

    def next(self, party: Party, lane: int) -> int:
        """The sequence that the state expects."""
        raw = self.state.get(ACCOUNTS.state_key(party.did))
        return dict(ACCOUNTS.value.decode(raw).lanes).get(lane, 0) if raw else 0

    def block(self, transactions: Sequence[bytes] = (), seconds: int = 1) -> BlockInput:
        """The next block."""
        history = History(self.height + 1, bytes(32))
        return BlockInput(GENESIS_HASH, self.height + 1, self.time_ms + seconds * 1000, history, transactions)

    def commit(self, transactions: Sequence[bytes], seconds: int = 1) -> Outcome:
        """Executes the next block."""
        block = self.block(transactions, seconds)
        outcome = apply_block(self.rules, self.read, block)
        for key, value in outcome.changes.items():
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = value
        self.height, self.time_ms = block.height, block.time_ms
        return outcome

    def build(
        self,
        party: Party,
        lane: int,
        sequence: int,
        messages: Sequence[bytes] | None = None,
        keys: Sequence[SecretKey] | None = None,
        genesis_hash: bytes = GENESIS_HASH,
        valid_ms: int = 3_600_000,
    ) -> bytes:
        """A transaction; without messages it withdraws a directive of its own, which may travel in any lane."""
        if messages is None:
            messages = [withdrawal(f"{party.name} {lane} {sequence}")]
        valid_until = self.time_ms + valid_ms
        return build_transaction(
            genesis_hash, valid_until, party.did, lane, sequence, messages, keys or [party.node]
        )


def withdrawal(name: str) -> bytes:
    """A revocation by its code of a directive that nobody granted: it executes once for each name."""
    return consent.revoke_message(sha256(name.encode() + b" commitment"), code=sha256(name.encode()))


def unsigned(party: Party, lane: int, sequence: int, valid_until: int = START_MS + 80_000_000) -> bytes:
    """A transaction that only `trusting` takes for signed."""
    message = withdrawal(f"{party.name} {lane} {sequence}")
    body = BODY.encode(Body(GENESIS_HASH, valid_until, party.did, lane, sequence, (message,)))
    key = party.node.key
    return TRANSACTION.encode(Transaction(body, (Authenticator(key.algorithm, key.public, bytes(64)),)))


def lane_of(data: bytes) -> tuple[bytes, int, int]:
    """Sponsor, lane and sequence."""
    body = BODY.decode(TRANSACTION.decode(data).body)
    return body.sponsor, body.lane, body.sequence
