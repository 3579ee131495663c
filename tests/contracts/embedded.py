"""A clinic's embedded ledger in memory, and what it brings along when it joins a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from careledger.contracts import CONTRACTS, adoption, anchor_message, founding_messages
from careledger.contracts.adoption import Adopt, Follow
from careledger.contracts.identity import DEVICE, REGISTER, SUBJECTS, Register
from careledger.contracts.records import BATCHES, HEADS
from careledger.ledger.blocks import BLOCK
from careledger.ledger.consensus.embedded import CheckpointSigner, EmbeddedLedger
from careledger.ledger.foreign import ProvenEntry, SignedState
from careledger.ledger.genesis import EMBEDDED, Genesis
from careledger.ledger.kernel import ED25519
from careledger.ledger.store.memory import MemoryKV
from careledger.ledger.transaction import SecretKey, build_transaction
from careledger.primitives.hashing import sha256
from careledger.primitives.signing import ed25519_public_key, ml_dsa_44_public_key
from careledger.primitives.types import compute_did
from tests.ledger.play import START_MS, Decided, Party

SIGNER = CheckpointSigner(sha256(b"clinic ed25519"), sha256(b"clinic ml-dsa-44"))
SCANNER = SecretKey(ED25519, sha256(b"scanner"))
AMINA, BELA = Decided("Amina at the clinic"), Decided("Bela at the clinic")


class Embedded:
    """Three batches, a device, a directive in force and a revoked one."""

    def __init__(
        self, party: Party, signer: CheckpointSigner = SIGNER, start_ms: int = START_MS - 900_000
    ) -> None:
        self.party = party
        self.kv = MemoryKV()
        genesis = Genesis(
            EMBEDDED,
            sha256(b"clinic"),
            start_ms,
            ed25519_public_key(signer.ed25519_seed),
            ml_dsa_44_public_key(signer.ml_dsa_44_seed),
            1 << 40,
            founding_messages(party.name, party.root.key, party.node.key),
        )
        self.ledger = EmbeddedLedger.create(self.kv, genesis, CONTRACTS, signer, start_ms)
        self.roots = [sha256(b"clinic heads %d" % seq) for seq in range(3)]
        for seq, root in enumerate(self.roots):
            previous = self.roots[seq - 1] if seq else bytes(32)
            self.run([anchor_message(party.did, seq, previous, root)], [party.node])
        register = Register(party.did, DEVICE, "", SCANNER.key, None, ())
        self.run([REGISTER.encode(register)], [party.node, party.root, SCANNER])
        self.run([AMINA.grant(), BELA.grant()], [party.node, AMINA.key, BELA.key])
        self.run([BELA.revoke()], [party.node, BELA.key])

    def run(self, messages: Sequence[bytes], keys: Sequence[SecretKey]) -> None:
        """The next block, a second later."""
        ledger, did = self.ledger, self.party.did
        now_ms = ledger.time_ms + 1000
        sequence = ledger.next_sequence(self.kv, did, 1)
        transaction = build_transaction(ledger.genesis_hash, now_ms, did, 1, sequence, messages, keys)
        assert ledger.execute(self.kv, [transaction], now_ms).receipts[0].code == 0

    def prove(self, key: bytes) -> ProvenEntry:
        """An entry of the newest state, by its hashed key."""
        state = self.ledger._state(self.kv)
        value = self.ledger._tree.get(state, key)
        assert value is not None
        return ProvenEntry(value, self.ledger._tree.prove(state, key).siblings)

    def signed(self) -> SignedState:
        """The newest state."""
        ledger, size = self.ledger, self.ledger.height + 1
        block = BLOCK.decode(ledger.block_bytes(self.kv, ledger.height))
        return SignedState(
            ledger.genesis.to_bytes(),
            size,
            ledger._history.root(),
            block.signature,
            ledger.time_ms,
            ledger.app_hash,
            tuple(ledger.history_path(self.kv, ledger.height, size)),
        )

    def adoption(self) -> Adopt:
        """What joins: the newest state, with the three entries."""
        did = self.party.did
        return Adopt(
            did,
            self.signed(),
            self.prove(SUBJECTS.state_key(did)),
            self.prove(HEADS.state_key(did)),
            self.prove(BATCHES.state_key(did)),
        )

    def adopt(self, **changes: object) -> bytes:
        """`ledger.adopt`, or one that differs in a field."""
        return adoption.ADOPT.encode(replace(self.adoption(), **changes))  # type: ignore[arg-type]

    def follow(self, *keys: bytes) -> bytes:
        """`ledger.follow` of these entries."""
        entries = tuple((key, self.prove(key)) for key in keys)
        return adoption.FOLLOW.encode(Follow(self.party.did, entries))


SCANNER_DID = compute_did(DEVICE, *SCANNER.key)
