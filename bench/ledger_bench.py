"""Three claims about the ledger, each measured alone: `python -m bench.ledger_bench` prints them.

CPU time of one process. The state tree and the ledger live in LMDB without sync, as in a node.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import lmdb

from careledger.contracts import CONTRACTS, anchor_message, founding_messages, organisation_did
from careledger.contracts.identity import ORGANISATION, REGISTER, Register
from careledger.ledger.consensus.embedded import CheckpointSigner, EmbeddedLedger
from careledger.ledger.genesis import EMBEDDED, QUOTA_BYTES_DAY_DEFAULT, Genesis
from careledger.ledger.kernel import ED25519
from careledger.ledger.log import Frontier, leaf_hash
from careledger.ledger.store.lmdb import LmdbKV
from careledger.ledger.transaction import SecretKey, build_transaction
from careledger.ledger.tree import MapTree
from careledger.primitives.hashing import sha256, tagged
from careledger.primitives.signing import ed25519_public_key, ml_dsa_44_public_key

START_MS = 1_800_000_000_000


@contextmanager
def open_store() -> Iterator[lmdb.Environment]:
    """An LMDB environment that is removed afterwards."""
    folder = tempfile.mkdtemp(prefix="careledger-bench-")
    try:
        with lmdb.open(folder, map_size=4 << 30, sync=False, metasync=False, writemap=True) as env:
            yield env
    finally:
        shutil.rmtree(folder)


class _Organisation:
    def __init__(self, number: int) -> None:
        self.root = SecretKey(ED25519, sha256(b"root %d" % number))
        self.node = SecretKey(ED25519, sha256(b"node %d" % number))
        self.did = organisation_did(self.root.key)
        self.previous = bytes(32)

    def anchor(self, ledger: EmbeddedLedger, seq: int, root: bytes) -> bytes:
        """The next anchor, signed by the node key."""
        message = anchor_message(self.did, seq, self.previous, root)
        self.previous = root
        valid_until = START_MS + 3_600_000
        return build_transaction(ledger.genesis_hash, valid_until, self.did, 1, seq, [message], [self.node])


def _found(env: lmdb.Environment, organisations: int) -> tuple[EmbeddedLedger, list[_Organisation]]:
    members = [_Organisation(number) for number in range(organisations)]
    first = members[0]
    messages = list(founding_messages("bench", first.root.key, first.node.key))
    for member in members[1:]:
        register = Register(first.did, ORGANISATION, "bench", member.root.key, member.node.key, ())
        messages.append(REGISTER.encode(register))
    signer = CheckpointSigner(sha256(b"ed25519"), sha256(b"ml-dsa-44"))
    keys = ed25519_public_key(signer.ed25519_seed), ml_dsa_44_public_key(signer.ml_dsa_44_seed)
    genesis = Genesis(EMBEDDED, sha256(b"bench"), START_MS, *keys, QUOTA_BYTES_DAY_DEFAULT, tuple(messages))
    with env.begin(write=True) as txn:
        return EmbeddedLedger.create(LmdbKV(txn), genesis, CONTRACTS, signer), members


def bench_apply_block(blocks: int = 10, size: int = 500) -> float:
    """Signed transactions a second through `apply_block`, state and index written; every signature verified."""
    with open_store() as env:
        ledger, members = _found(env, 50)
        rounds = size // len(members)
        spent = 0.0
        for block in range(blocks):
            transactions = [
                member.anchor(ledger, block * rounds + at, sha256(b"%d %d" % (block, at)))
                for at in range(rounds)
                for member in members
            ]
            start = time.process_time()
            with env.begin(write=True) as txn:
                done = ledger.execute(LmdbKV(txn), transactions, START_MS + block)
            spent += time.process_time() - start
            if any(receipt.code for receipt in done.receipts):
                raise RuntimeError("a transaction of the benchmark was refused")
        return blocks * size / spent


def bench_state_tree(keys: int = 500_000, blocks: int = 20, size: int = 1000) -> float:
    """Keys a second set in a map of `keys` keys, in blocks of `size`, commits included."""
    with open_store() as env:
        tree = MapTree()
        for start in range(0, keys, 50_000):
            with env.begin(write=True) as txn:
                end = min(keys, start + 50_000)
                tree.update(LmdbKV(txn), {sha256(b"%d" % at): bytes(44) for at in range(start, end)})
        spent = 0.0
        for block in range(blocks):
            value = (block + 1).to_bytes(44, "big")
            changes = {sha256(b"%d" % ((block * size + at) * 7919 % keys)): value for at in range(size)}
            start_s = time.process_time()
            with env.begin(write=True) as txn:
                tree.update(LmdbKV(txn), changes)
            spent += time.process_time() - start_s
        return blocks * size / spent


def bench_anchoring(charts: int = 1000, batches: int = 20, size: int = 1000) -> float:
    """Records anchored a second: leaf appended, head in the heads map, one signed anchor a batch executed."""
    with open_store() as env, open_store() as heads_env:
        ledger, (organisation,) = _found(env, 1)
        heads = MapTree()
        logs = [Frontier() for _ in range(charts)]
        keys = [tagged("cl1.head", b"\x00" + sha256(b"chart %d" % at)) for at in range(charts)]
        spent = 0.0
        for batch in range(-2, batches):
            commitments = [sha256(b"%d %d" % (batch, at)) for at in range(size)]
            start = time.process_time()
            with env.begin(write=True) as txn, heads_env.begin(write=True) as heads_txn:
                changed = {}
                for at, commitment in enumerate(commitments):
                    log = logs[at * 31 % charts]
                    log.append(leaf_hash(commitment))
                    changed[at * 31 % charts] = log
                root = heads.update(
                    LmdbKV(heads_txn),
                    {keys[at]: log.size.to_bytes(8, "big") + log.root() for at, log in changed.items()},
                )
                anchor = organisation.anchor(ledger, batch + 2, root)
                done = ledger.execute(LmdbKV(txn), [anchor], START_MS + batch + 2)
            if batch >= 0:
                spent += time.process_time() - start
            if done.receipts[0].code:
                raise RuntimeError("an anchor of the benchmark was refused")
        return batches * size / spent


def main() -> None:
    """Prints the three figures."""
    quick = "--quick" in sys.argv[1:]
    print(f"signed transactions through apply_block: {bench_apply_block():,.0f}/s (floor 3,000, aim 8,000)")
    tree = bench_state_tree(50_000) if quick else bench_state_tree()
    print(f"state tree, blocks of 1,000: {tree:,.0f} keys/s (floor 30,000, aim 80,000)")
    print(f"records anchored, 1,000 charts: {bench_anchoring():,.0f}/s (floor 20,000, aim 60,000)")


if __name__ == "__main__":
    main()
