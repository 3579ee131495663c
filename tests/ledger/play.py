"""An embedded ledger in memory with named parties: send messages, get receipts, compare app hashes."""

from __future__ import annotations

from collections.abc import Sequence

from careledger.contracts import CONTRACTS, consent, founding_messages, organisation_did
from careledger.contracts.identity import ORGANISATION, REGISTER, Register
from careledger.ledger.consensus.embedded import CheckpointSigner, EmbeddedLedger, ExecutedBlock
from careledger.ledger.genesis import EMBEDDED, Genesis
from careledger.ledger.kernel import ED25519, ML_DSA_65
from careledger.ledger.store.memory import MemoryKV
from careledger.ledger.transaction import SecretKey, build_transaction
from careledger.primitives.hashing import sha256
from careledger.primitives.signing import ed25519_public_key, ml_dsa_44_public_key
from careledger.primitives.types import Did

START_MS = 1_800_000_000_000
SIGNER = CheckpointSigner(sha256(b"checkpoint ed25519"), sha256(b"checkpoint ml-dsa-44"))


class Party:
    """Somebody with a root and a node key, made from a name."""

    def __init__(self, name: str, algorithm: int = ED25519) -> None:
        self.name = name
        self.root = SecretKey(algorithm, sha256(name.encode() + b" root"))
        self.node = SecretKey(ED25519, sha256(name.encode() + b" node"))
        self.did: Did = organisation_did(self.root.key)


HOSPITAL = Party("St Anna Hospital")
CLINIC = Party("Riverside Clinic", ML_DSA_65)
STRANGER = Party("Stranger")


class Decided:
    """A directive of Amina's, made from a name: its commitment, its own key, its revocation code."""

    def __init__(self, name: str, key: SecretKey | None = None) -> None:
        self.commitment = sha256(name.encode() + b" commitment")
        self.key = key or SecretKey(ML_DSA_65, sha256(name.encode() + b" key"))
        self.code = sha256(name.encode() + b" code")

    def grant(self, until_day: int = 22_000, **changes: object) -> bytes:
        """`consent.grant` of it."""
        hashed = consent.compute_revocation_hash(self.code)
        fields = {
            "commitment": self.commitment,
            "key": self.key.key,
            "until_day": until_day,
            "revocation_hash": hashed,
        }
        return consent.GRANT.encode(consent.Grant(**{**fields, **changes}))  # type: ignore[arg-type]

    def revoke(self, **changes: object) -> bytes:
        """`consent.revoke` of it, by its key."""
        fields = {"commitment": self.commitment, "key": self.key.key, "code": None}
        return consent.REVOKE.encode(consent.Revoke(**{**fields, **changes}))  # type: ignore[arg-type]

    def revoke_by_code(self) -> bytes:
        """`consent.revoke` of it, by its code."""
        return consent.revoke_message(self.commitment, code=self.code)


def make_genesis(quota: int = 1 << 40) -> Genesis:
    return Genesis(
        EMBEDDED,
        sha256(b"entropy"),
        START_MS,
        ed25519_public_key(SIGNER.ed25519_seed),
        ml_dsa_44_public_key(SIGNER.ml_dsa_44_seed),
        quota,
        founding_messages(HOSPITAL.name, HOSPITAL.root.key, HOSPITAL.node.key),
    )


def register_clinic() -> bytes:
    message = Register(HOSPITAL.did, ORGANISATION, CLINIC.name, CLINIC.root.key, CLINIC.node.key, ())
    return REGISTER.encode(message)


class Play:
    """A ledger whose next transaction is one call away; blocks are a second apart."""

    def __init__(self, quota: int = 1 << 40, *, with_clinic: bool = False) -> None:
        self.kv = MemoryKV()
        self.ledger = EmbeddedLedger.create(self.kv, make_genesis(quota), CONTRACTS, SIGNER, START_MS)
        self.now_ms = START_MS
        self.blocks: list[bytes] = []
        if with_clinic:
            self.accept([register_clinic()], [HOSPITAL.node, HOSPITAL.root, CLINIC.root, CLINIC.node])

    def build(
        self,
        messages: Sequence[bytes],
        keys: Sequence[SecretKey],
        *,
        sponsor: Party = HOSPITAL,
        lane: int = 1,
        sequence: int | None = None,
        valid_ms: int = 60_000,
        genesis_hash: bytes | None = None,
    ) -> bytes:
        """A transaction for the next block."""
        if sequence is None:
            sequence = self.ledger.next_sequence(self.kv, sponsor.did, lane)
        return build_transaction(
            genesis_hash or self.ledger.genesis_hash,
            self.now_ms + 1000 + valid_ms,
            sponsor.did,
            lane,
            sequence,
            messages,
            keys,
        )

    def run(self, transactions: Sequence[bytes]) -> ExecutedBlock:
        """The next block."""
        self.now_ms += 1000
        block = self.ledger.execute(self.kv, transactions, self.now_ms)
        self.blocks.append(block.block)
        return block

    def entry(self, commitment: bytes) -> consent.Entry | None:
        """How a directive stands."""
        raw = self.ledger.state(self.kv, "consent", "directive", commitment)
        return None if raw is None else consent.decode_entry(raw)

    def accept(
        self, messages: Sequence[bytes], keys: Sequence[SecretKey], **options: object
    ) -> ExecutedBlock:
        """Runs one transaction, which must succeed."""
        block = self.run([self.build(messages, keys, **options)])  # type: ignore[arg-type]
        assert block.receipts[0].code == 0, block.receipts[0].reason
        return block

    def refuse(self, transaction: bytes) -> int:
        """Runs one transaction, which must leave the state of an empty block; its code."""
        height = self.ledger.height
        fork = self.kv.copy()
        empty = EmbeddedLedger.open(fork, CONTRACTS, SIGNER)
        block = self.run([transaction])
        assert empty.execute(fork, [], self.now_ms).app_hash == block.app_hash
        assert block.height == height + 1
        return block.receipts[0].code
