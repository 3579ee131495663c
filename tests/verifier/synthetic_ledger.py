"""A small ledger made straight from the definitions of protocol.md, for receipts that both verifiers must accept.

Written by recursion as RFC 6962 and the protocol define the trees, and with nothing of the package but the file
format: a third opinion beside the package and the stand-alone verifier.
"""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from careledger.ledger.map_proof import MapProof
from careledger.ledger.proof_files import SignedPart, encode_binary
from careledger.ledger.verification import Header
from careledger.node.receipts import Anchor, Batch, Block, Head, build_checkpoint, build_receipt

EMPTY = bytes(32)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def tagged(tag: str, data: bytes) -> bytes:
    return sha256(bytes([len(tag)]) + tag.encode() + data)


def u64(value: int) -> bytes:
    return value.to_bytes(8, "big")


def counted(value: bytes | str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return len(raw).to_bytes(4, "big") + raw


class Log:
    """RFC 6962, 2.1: MTH and PATH as they are defined there."""

    def __init__(self, entries: Sequence[bytes]) -> None:
        self.leaves = [sha256(b"\0" + entry) for entry in entries]
        self._roots: dict[tuple[int, int], bytes] = {}

    def root(self, start: int = 0, end: int | None = None) -> bytes:
        end = len(self.leaves) if end is None else end
        if end - start == 1:
            return self.leaves[start]
        if (start, end) not in self._roots:
            middle = start + self._split(end - start)
            self._roots[start, end] = sha256(b"\1" + self.root(start, middle) + self.root(middle, end))
        return self._roots[start, end]

    def path(self, index: int, start: int = 0, end: int | None = None) -> list[bytes]:
        end = len(self.leaves) if end is None else end
        if end - start == 1:
            return []
        middle = start + self._split(end - start)
        if index < middle:
            return [*self.path(index, start, middle), self.root(middle, end)]
        return [*self.path(index, middle, end), self.root(start, middle)]

    @staticmethod
    def _split(size: int) -> int:
        return 1 << (size - 1).bit_length() - 1


class SparseMap:
    """The protocol's map: a subtree with exactly one leaf is that leaf."""

    def __init__(self, items: dict[bytes, bytes]) -> None:
        self.items = sorted(
            (key, sha256(b"\2" + key + tagged("cl1.value", value))) for key, value in items.items()
        )

    def root(self) -> bytes:
        return self._root(self.items, 0)

    def siblings(self, key: bytes) -> list[bytes | None]:
        """From the root down; None = empty."""
        found: list[bytes | None] = []
        items, depth = self.items, 0
        while len(items) > 1:
            sides = self._sides(items, depth)
            mine = key[depth // 8] >> 7 - depth % 8 & 1
            found.append(self._root(sides[1 - mine], depth + 1) if sides[1 - mine] else None)
            items, depth = sides[mine], depth + 1
        return found

    def depth_of(self, key: bytes) -> int:
        """Siblings that are not empty on the way to `key`."""
        return sum(sibling is not None for sibling in self.siblings(key))

    def depths(self) -> list[int]:
        """`depth_of` every key."""
        found: list[int] = []

        def descend(items: list[tuple[bytes, bytes]], depth: int, branches: int) -> None:
            if len(items) == 1:
                found.append(branches)
                return
            sides = [side for side in self._sides(items, depth) if side]
            for side in sides:
                descend(side, depth + 1, branches + len(sides) - 1)

        descend(self.items, 0, 0)
        return found

    def _root(self, items: list[tuple[bytes, bytes]], depth: int) -> bytes:
        if len(items) <= 1:
            return items[0][1] if items else EMPTY
        left, right = self._sides(items, depth)
        return sha256(b"\3" + self._root(left, depth + 1) + self._root(right, depth + 1))

    @staticmethod
    def _sides(items: list[tuple[bytes, bytes]], depth: int) -> tuple[list[tuple[bytes, bytes]], ...]:
        sides: tuple[list[tuple[bytes, bytes]], ...] = ([], [])
        for item in items:
            sides[item[0][depth // 8] >> 7 - depth % 8 & 1].append(item)
        return sides


@dataclass
class Signer:
    """A note signer: "operator" (Ed25519), "witness" (Ed25519, with a time), or either in ML-DSA-44 ("-pq")."""

    name: str
    role: str
    seed: bytes
    time: int = 0
    public: bytes = field(init=False)

    def __post_init__(self) -> None:
        if self.role.endswith("-pq"):
            self.sign = MLDSA44PrivateKey.from_seed_bytes(self.seed).sign
            self.public = MLDSA44PrivateKey.from_seed_bytes(self.seed).public_key().public_bytes_raw()
        else:
            self.sign = Ed25519PrivateKey.from_private_bytes(self.seed).sign
            self.public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()

    @property
    def algorithm(self) -> str:
        return "ml-dsa-44" if self.role.endswith("-pq") else "ed25519"

    def line(self, origin: str, size: int, root: bytes) -> str:
        note_type = {"operator": 1, "witness": 4, "operator-pq": 6, "witness-pq": 6}[self.role]
        key_id = sha256(self.name.encode() + b"\n" + bytes([note_type]) + self.public)[:4]
        message, stamp = note_body(origin, size, root), b"" if note_type == 1 else u64(self.time)
        if note_type == 4:
            message = f"cosignature/v1\ntime {self.time}\n".encode() + message
        if note_type == 6:
            message = b"subtree/v1\n\0" + bytes([len(self.name)]) + self.name.encode() + stamp
            message += bytes([len(origin)]) + origin.encode() + u64(0) + u64(size) + root
        blob = base64.b64encode(key_id + stamp + self.sign(message)).decode()
        return f"— {self.name} {blob}\n"


def note_body(origin: str, size: int, root: bytes) -> bytes:
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n".encode()


class SyntheticLedger:
    """`charts` charts, one of them written out with `versions` versions; anchored at block `height`."""

    def __init__(self, charts: int = 1000, versions: int = 1000, height: int = 3000, seed: int = 1) -> None:
        self.random = random.Random(seed)
        draw = self.random.randbytes
        self.chain = "cl-" + draw(16).hex()
        self.origin = f"careledger/{self.chain}"
        self.org, self.handle = draw(32), draw(32)
        self.operator = Signer(self.origin, "operator", draw(32))
        self.operator_pq = Signer(self.origin, "operator-pq", draw(32))
        self.witnesses = [Signer(f"w.example/{n}", "witness", draw(32), 1_790_000_000 + n) for n in range(2)]
        self.witnesses.append(Signer("w.example/2", "witness-pq", draw(32), 1_790_000_002))
        self.bodies = {i: b'{"resourceType":"Observation","id":"o-%d"}' % i for i in range(versions)}
        self.salts = [draw(32) for _ in range(versions)]
        self.log = Log([self.header(i).commitment(self.salts[i]) for i in range(versions)])
        self.head = Head(versions, self.log.root())
        heads = {draw(32): draw(40) for _ in range(charts - 1)}
        self.head_key = tagged("cl1.head", b"\0" + self.handle)
        self.heads = SparseMap({**heads, self.head_key: u64(versions) + self.head.root})
        self.old_heads = SparseMap(
            {**dict(list(heads.items())[: charts // 2]), self.head_key: u64(versions) + self.head.root}
        )
        self.make_chain(height)

    def header(self, index: int) -> Header:
        if index == 0:
            return Header(
                self.org, self.handle, 0, "", "", 0, 1_790_000_000_000, "", tagged("cl1.body", self.salts[0])
            )
        digest = tagged("cl1.body", self.salts[index] + self.bodies[index])
        return Header(
            organisation=self.org,
            handle=self.handle,
            kind=1,
            type="Observation",
            id=f"3f2504e0-4f89-41d3-9a0c-{index:012d}",
            version=1 + index % 3,
            time_ms=1_790_000_000_000 + index,
            author="client:synthea-loader",
            body=digest,
        )

    def make_chain(self, height: int) -> None:
        draw, time = self.random.randbytes, 1_790_000_100_000
        self.batches = [(seq, draw(32), time - 10_000 + seq) for seq in range(199)]
        self.batches[100] = (100, self.old_heads.root(), time - 10_000 + 100)
        self.batches.append((199, self.heads.root(), time))
        self.batch_log = Log([u64(seq) + root + u64(at) for seq, root, at in self.batches])
        self.anchor = Anchor(199, self.heads.root(), time, 200, self.batch_log.root())
        self.state_key = tagged("cl1.key", counted("records") + counted("anchors") + counted(self.org))
        value = u64(199) + self.anchor.root + u64(time) + u64(200) + self.anchor.log_root
        self.state = SparseMap({**{draw(32): draw(60) for _ in range(60)}, self.state_key: value})
        self.block = Block(height, time, self.state.root())
        blocks = [u64(h) + u64(time - height + h) + draw(32) for h in range(height)]
        blocks.append(u64(height) + u64(time) + self.state.root())
        blocks += [u64(h) + u64(time + h) + draw(32) for h in range(height + 1, height + 50)]
        self.history_entries = blocks

    def history(self, size: int) -> Log:
        return Log(self.history_entries[:size])

    def note(self, size: int, *signers: Signer) -> str:
        """A checkpoint of the first `size` blocks; by default the operator signs."""
        root = self.history(size).root()
        lines = "".join(s.line(self.origin, size, root) for s in signers or (self.operator, self.operator_pq))
        return note_body(self.origin, size, root).decode() + "\n" + lines

    def checkpoint(self, size: int) -> bytes:
        keys = [(s.name, s.algorithm, s.public) for s in (self.operator, self.operator_pq)]
        return build_checkpoint(chain=self.chain, keys=keys, note=self.note(size))  # type: ignore[arg-type]

    def receipt(
        self, index: int, size: int | None = None, *, batch: bool = False, signers: tuple[Signer, ...] = ()
    ) -> bytes:
        """Of leaf `index`, under a checkpoint of `size` blocks (default: right after the block)."""
        size = self.block.height + 1 if size is None else size
        old = Batch(100, self.batches[100][2], self.batch_log.path(100)) if batch else None
        return build_receipt(
            chain=self.chain,
            header=self.header(index),
            salt=self.salts[index],
            index=index,
            path=self.log.path(index),
            head=self.head,
            heads_proof=MapProof(tuple((self.old_heads if batch else self.heads).siblings(self.head_key))),
            anchor=self.anchor,
            state_proof=MapProof(tuple(self.state.siblings(self.state_key))),
            block=self.block,
            signed=SignedPart(
                note=self.note(size, *(signers or (self.operator,))),
                path=encode_binary(b"".join(self.history(size).path(self.block.height))),
            ),
            batch=old,
        )
