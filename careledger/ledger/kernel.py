"""Everything that a contract may use: state, context, tables, refusals. Contracts import this and `primitives` only.

A handler checks first (every read and every refusal), then writes, then emits. It is pure: state, message and context
in, state and events out; a refusal leaves no trace, whatever was written before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from careledger.ledger.log import Frontier, Node, leaf_hash
from careledger.primitives.encoding import U8, U64, Bytes, Codec, Fixed, Pair, Schema, Text
from careledger.primitives.errors import CareLedgerError, Corrupt, Invalid
from careledger.primitives.hashing import new_sha256, tag_prefix
from careledger.primitives.types import Did
from careledger.primitives.webauthn import WEBAUTHN_KEY_SIZE_MAX

K = TypeVar("K")
V = TypeVar("V")

ED25519, ML_DSA_65, WEBAUTHN_ES256, WEBAUTHN_ML_DSA = 1, 2, 3, 4
"""Algorithms of authenticators: the last two are those of passkeys."""


class Key(NamedTuple):
    """A public key and its algorithm. A passkey's `public` is enc(WebauthnKey): raw key, RP id hash, origin."""

    algorithm: int
    public: bytes


KEY: Schema[Key] = Schema(Key, algorithm=U8, public=Bytes(WEBAUTHN_KEY_SIZE_MAX, least=32))


class Rejected(CareLedgerError):
    """A refusal by a rule: `number` is stable and never reused, 0 is success. Nothing was changed."""

    number: ClassVar[int] = 0
    code = "rejected"
    reason: ClassVar[str] = "refused"

    def __init__(self, reason: str = "", *, hint: str = "") -> None:
        super().__init__(reason or self.reason, hint=hint)


class NotSigned(Rejected):
    """A key that this message needs did not sign the transaction."""

    number, code, reason = 20, "not-signed", "a key that the message needs did not sign"


class State(Protocol):
    """The state as one transaction sees it, by hashed key."""

    def get(self, key: bytes) -> bytes | None: ...
    def set(self, key: bytes, value: bytes | None) -> None: ...


STATE_KEY: Pair = Pair(Text(64, least=1), Text(64, least=1), Bytes(256))
"""enc(contract, map, key)."""


def compute_state_key(contract: str, name: str, key: bytes) -> bytes:
    """Where the state map holds `contract`/`name`[key]: H(`cl1.key`, enc(contract, map, key))."""
    return new_sha256(tag_prefix("cl1.key") + STATE_KEY.encode((contract, name, key))).digest()


REMEMBERED_MAX = 1_024
"""Of each map, hashed keys and decoded values that are remembered by their bytes, on which alone they depend."""


class Map(Generic[K, V]):
    """`contract/name`: key -> value, both in the canonical encoding. Values are never changed: they may be shared."""

    def __init__(self, contract: str, name: str, key: Codec[K], value: Codec[V], note: str = "") -> None:
        self.contract, self.name, self.key, self.value, self.note = contract, name, key, value, note
        start = STATE_KEY.encode((contract, name, b""))
        self._prefix = tag_prefix("cl1.key") + start[:-4]
        self._hash = lru_cache(REMEMBERED_MAX)(self._hash_key)
        self._decode: Callable[[bytes], V] = lru_cache(REMEMBERED_MAX)(value.decode)

    def state_key(self, key: K) -> bytes:
        """`compute_state_key` of this entry."""
        return self._hash(self.key.encode(key))

    def _hash_key(self, raw: bytes) -> bytes:
        return new_sha256(self._prefix + len(raw).to_bytes(4, "big") + raw).digest()

    def get(self, state: State, key: K) -> V | None:
        """The value, or None."""
        raw = state.get(self.state_key(key))
        if raw is None:
            return None
        try:
            return self._decode(raw)
        except Invalid:  # never the transaction's fault
            raise Corrupt(f"the state of {self.contract}/{self.name} cannot be read") from None

    def set(self, state: State, key: K, value: V) -> None:
        """Sets the value."""
        state.set(self.state_key(key), self.value.encode(value))

    def delete(self, state: State, key: K) -> None:
        """Removes the entry."""
        state.set(self.state_key(key), None)


NO_KEY: Fixed = Fixed(0)


class Item(Map[bytes, V]):
    """`contract/name` -> one value; its key is empty."""

    def __init__(self, contract: str, name: str, value: Codec[V], note: str = "") -> None:
        super().__init__(contract, name, NO_KEY, value, note)

    def read(self, state: State) -> V | None:
        """The value, or None."""
        return self.get(state, b"")

    def write(self, state: State, value: V) -> None:
        """Sets the value."""
        self.set(state, b"", value)


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the genesis fixed and governance may change. Quotas count bytes of bodies per sponsor and day."""

    quota_bytes_day: int


PARAMETERS: Item[Parameters] = Item(
    "sys",
    "parameters",
    Schema(Parameters, quota_bytes_day=U64),
    "fixed by the genesis, changed by governance",
)
GOVERNED: Map[str, int] = Map(
    "governance",
    "parameter",
    Text(64, least=1),
    U64,
    "by name, if it was ever set: what differs from the default",
)


class Governed:
    """A number that governance may set; where the state says nothing it is `default`."""

    __slots__ = ("_key", "default", "name")

    def __init__(self, name: str, default: int) -> None:
        self.name, self.default = name, default
        self._key = GOVERNED.state_key(name)

    def get(self, state: State) -> int:
        """Its value in this state."""
        raw = state.get(self._key)
        return self.default if raw is None else U64.decode(raw)


VALID_MS_MAX = Governed("valid_ms_max", 86_400_000)
BODY_BYTES_MAX = Governed("body_bytes_max", 131_072)
"""How far `valid_until` may lie ahead of the block's time, and the largest body of a transaction."""


class FrontierCodec(Codec[Frontier]):
    """A log's size and peaks: u64 size | peaks."""

    name = "frontier"

    def write(self, value: Frontier) -> bytes:
        return value.to_bytes()

    def read(self, data: bytes, at: int) -> tuple[Frontier, int]:
        return Frontier.from_bytes(data[at:]), len(data)


class Log(Map[K, Frontier]):
    """`contract/name`: key -> frontier of a log (RFC 6962); the ledger stores the log's nodes outside the state."""

    def __init__(self, contract: str, name: str, key: Codec[K], note: str = "") -> None:
        super().__init__(contract, name, key, FrontierCodec(), note)
        self._decode = self.value.decode  # a frontier grows: each reader has its own

    def append(self, ctx: Context, key: K, entry: bytes) -> Frontier:
        """Adds an entry to the log of `key`; the frontier with it."""
        frontier = self.get(ctx.state, key) or Frontier()
        place = self.state_key(key)
        ctx.log_nodes.extend([(place, node) for node in frontier.append(leaf_hash(entry))])
        self.set(ctx.state, key, frontier)
        return frontier


class Event(NamedTuple):
    """What happened: `contract.name` and the encoded fields. Never patient data."""

    type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class EventKind(Generic[V]):
    """One kind of event of a contract."""

    name: str
    schema: Schema[V]


class Draft:
    """A state as one part of a handler sees it: what it writes stays in `changes`."""

    __slots__ = ("_state", "changes")

    def __init__(self, state: State) -> None:
        self._state = state
        self.changes: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.changes[key] if key in self.changes else self._state.get(key)

    def set(self, key: bytes, value: bytes | None) -> None:
        self.changes[key] = value


class Context:
    """What a handler knows of the block and the transaction, and where it writes."""

    __slots__ = ("events", "height", "is_genesis", "log_nodes", "signers", "state", "time_ms", "used")

    def __init__(
        self, state: State, height: int, time_ms: int, signers: frozenset[Key], *, is_genesis: bool = False
    ) -> None:
        self.state = state
        self.height = height
        self.time_ms = time_ms
        self.signers = signers
        self.is_genesis = is_genesis
        self.used: list[Key] = []
        self.events: list[Event] = []
        self.log_nodes: list[tuple[bytes, Node]] = []

    def require_signed(self, key: Key) -> None:
        """Raises NotSigned unless this key signed the transaction (in the genesis every key counts as having signed)."""
        if key in self.signers:
            self.used.append(key)
        elif not self.is_genesis:
            raise NotSigned

    def emit(self, kind: EventKind[V], event: V) -> None:
        """Adds an event to the receipt."""
        self.events.append(Event(kind.name, kind.schema.encode(event)))

    def draft(self) -> Context:
        """A context whose writes and events count only once they are taken over with `take`; else it leaves no trace."""
        state = Draft(self.state)
        return Context(state, self.height, self.time_ms, self.signers, is_genesis=self.is_genesis)

    def take(self, draft: Context) -> None:
        """What a draft of this context wrote, emitted and needed signed is now this context's."""
        if isinstance(draft.state, Draft):
            for key, value in draft.state.changes.items():
                self.state.set(key, value)
        self.used += draft.used
        self.events += draft.events
        self.log_nodes += draft.log_nodes


@dataclass(frozen=True, slots=True)
class MessageKind(Generic[V]):
    """One message of a contract: its stable number, name, fields, handler and everything it may be refused with."""

    number: int
    name: str
    schema: Schema[V]
    handler: Callable[[Context, V], None]
    refusals: tuple[type[Rejected], ...]
    is_urgent: bool = False
    """May travel in lane 0 (revocations, suspensions, jailing)."""

    def encode(self, message: V) -> bytes:
        """The message as a transaction carries it: u16 number | fields."""
        return self.number.to_bytes(2, "big") + self.schema.encode(message)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A validator signed two blocks of one height, or lied to a light client, as the engine found and proved it.

    `address` is the first 20 bytes of SHA-256 of the validator's key; `height` and `time_ms` are when it lied.
    """

    kind: int
    address: bytes
    height: int
    time_ms: int
    power: int


DUPLICATE_VOTE, LIGHT_CLIENT_ATTACK = 1, 2
"""Kinds of evidence, as ABCI numbers them."""

EVIDENCE: Schema[Evidence] = Schema(Evidence, kind=U8, address=Fixed(20), height=U64, time_ms=U64, power=U64)


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract's tables; nothing registers itself."""

    name: str
    purpose: str
    state: tuple[Map[Any, Any], ...]
    messages: tuple[MessageKind[Any], ...]
    events: tuple[EventKind[Any], ...] = ()
    sponsor_keys: Callable[[State, Did], tuple[Key, ...]] | None = None
    """Keys that may sponsor for an organisation; exactly one contract of a ledger answers, () for the unknown."""
    on_evidence: Callable[[Context, Evidence], None] | None = None
    """What follows from evidence against a validator. Runs first in a block, before lane 0."""
    on_block: Callable[[Context], None] | None = None
    """What is due at this block. Runs after the evidence and before the transactions; writes nothing if nothing is."""


HEIGHT = U64
TIME_MS = U64
