"""Where a node's keys meet the contracts: its genesis, its anchors, and how its heads are named."""

from __future__ import annotations

import os
import sys
from importlib import metadata

from careledger import __version__
from careledger.contracts import CONTRACTS, anchor_message, founding_messages, organisation_did
from careledger.contracts.records import FIRST_PREVIOUS, HEADS, Head
from careledger.contracts.sys import Profile
from careledger.ledger.consensus.chain import Chain, StateProof
from careledger.ledger.consensus.embedded import CheckpointSigner, EmbeddedLedger
from careledger.ledger.consensus.replica import Replica
from careledger.ledger.consensus.verified import VerifiedOnce
from careledger.ledger.execution import Rules
from careledger.ledger.genesis import EMBEDDED, GENESIS, NETWORK, QUOTA_BYTES_DAY_DEFAULT, Genesis
from careledger.ledger.kernel import ED25519, Key
from careledger.ledger.store.kv import KV
from careledger.ledger.transaction import SecretKey, build_transaction, decode_transaction
from careledger.primitives.encoding import DIGEST, U64, Pair
from careledger.primitives.errors import Corrupt
from careledger.primitives.hashing import tagged
from careledger.primitives.signing import ed25519_public_key, ml_dsa_44_public_key
from careledger.primitives.types import Did
from careledger.vault.keystore import Keys

ANCHOR_LANE = 1
ANCHOR_VALID_MS = 3_600_000
CONSENSUS_PACKAGES = ("pynacl", "cryptography")  # ascending as the canonical encoding orders them

_HEAD = Pair(U64, DIGEST)


def signer(keys: Keys) -> CheckpointSigner:
    """Who signs this node's checkpoints."""
    return CheckpointSigner(keys.checkpoint_seed, keys.checkpoint_mldsa_seed)


def root_key(keys: Keys) -> Key:
    """The organisation's first root key, public."""
    return Key(ED25519, ed25519_public_key(keys.root_seed))


def founder(keys: Keys) -> Did:
    """The DID of the organisation that founds a home with these keys."""
    return organisation_did(root_key(keys))


def make_genesis(keys: Keys, name: str, now_ms: int) -> Genesis:
    """The genesis of an embedded ledger: the organisation is registered by it, and the code's profile set."""
    node = Key(ED25519, ed25519_public_key(keys.node_seed))
    return Genesis(
        mode=EMBEDDED,
        entropy=os.urandom(32),
        time_ms=now_ms,
        ed25519=ed25519_public_key(keys.checkpoint_seed),
        ml_dsa_44=ml_dsa_44_public_key(keys.checkpoint_mldsa_seed),
        quota_bytes_day=QUOTA_BYTES_DAY_DEFAULT,
        messages=founding_messages(name, root_key(keys), node, running_profile()),
    )


def running_profile() -> Profile:
    """What of this process touches consensus: the code's version, Python's minor, the packages that verify."""
    packages = tuple((name, metadata.version(name)) for name in CONSENSUS_PACKAGES)
    return Profile(__version__, ".".join(map(str, sys.version_info[:2])), packages)


def read_genesis(data: bytes) -> Genesis:
    """The genesis as `home.json` keeps it."""
    return GENESIS.decode(data)


def write_genesis(genesis: Genesis) -> bytes:
    """Reverse of `read_genesis`."""
    return GENESIS.encode(genesis)


def rules() -> Rules:
    """The contracts, with each transaction's signatures verified once by this process."""
    return Rules(CONTRACTS, VerifiedOnce())


def create_ledger(genesis: Genesis, kv: KV, keys: Keys) -> Chain:
    """The ledger of this genesis, written into an empty KV."""
    if genesis.mode == NETWORK:
        return Replica.create(kv, genesis, rules())
    return EmbeddedLedger.create(kv, genesis, CONTRACTS, signer(keys), genesis.time_ms)


def open_ledger(genesis: Genesis, kv: KV, keys: Keys) -> Chain:
    """The ledger that `kv` holds. Raises NotFound if it holds none."""
    if genesis.mode == NETWORK:
        return Replica.open(kv, rules())
    return EmbeddedLedger.open(kv, CONTRACTS, signer(keys))


def head_key(log: int, handle: bytes) -> bytes:
    """Key of a chart's head in the heads map: H(`cl1.head`, u8 log | handle); log 0 records, 1 access."""
    return tagged("cl1.head", bytes((log,)) + handle)


def head_value(size: int, root: bytes) -> bytes:
    """Value of a chart's head: enc(size, root)."""
    return _HEAD.encode((size, root))


def next_anchor(
    ledger: Chain, kv: KV, keys: Keys, organisation: bytes, root: bytes, now_ms: int
) -> tuple[int, bytes]:
    """(seq, `records.anchor`) of the next batch, signed by the node key."""
    did = Did(organisation)
    head = newest_anchor(ledger, kv, organisation)
    seq, previous = (0, FIRST_PREVIOUS) if head is None else (head.seq + 1, head.root)
    return seq, build_transaction(
        ledger.genesis_hash,
        max(now_ms, ledger.time_ms) + ANCHOR_VALID_MS,
        did,
        ANCHOR_LANE,
        ledger.next_sequence(kv, did, ANCHOR_LANE),
        [anchor_message(did, seq, previous, root)],
        [SecretKey(ED25519, keys.node_seed)],
    )


def is_expired(transaction: bytes, time_ms: int) -> bool:
    """Whether no block from that time on can hold it."""
    return decode_transaction(transaction)[1].valid_until < time_ms


def newest_anchor(ledger: Chain, kv: KV, organisation: bytes) -> Head | None:
    """The organisation's newest batch in the state."""
    data = ledger.state(kv, "records", "anchors", organisation)
    return None if data is None else HEADS.value.decode(data)


def prove_anchor(ledger: Chain, kv: KV, organisation: bytes) -> StateProof:
    """The newest batch with its proof."""
    return ledger.prove_state(kv, "records", "anchors", organisation)


def read_anchor(state: StateProof) -> Head:
    """The batch that the proof holds. Raises Corrupt if there is none."""
    if state.value is None:
        raise Corrupt("the organisation has anchored nothing", hint="run `careledger fsck`")
    return HEADS.value.decode(state.value)
