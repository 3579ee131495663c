"""A small network made without an engine: blocks, validators that change, receipts and exports that both verifiers take.

What validators sign is encoded by the package here; vectors/engine_light.json, which the engine's own code made, holds
that to be right. Everything else is of `synthetic_ledger` and `synthetic_chart`, a third opinion.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from careledger.ledger.light import COMMIT, NIL, NO_SIGNATURE, Commit, CommitSig, LightBlock
from careledger.ledger.light_encoding import (
    NO_BLOCK,
    BlockId,
    EngineHeader,
    Validator,
    ValidatorSet,
    encode_precommit,
    hash_header,
)
from careledger.ledger.light_files import PastProof, compose_signed_part, make_trust_file
from careledger.ledger.map_proof import MapProof
from careledger.ledger.proof_files import SignedPart, encode_part
from careledger.node.receipts import Anchor, Block
from tests.verifier.synthetic_chart import SyntheticChart, canonical
from tests.verifier.synthetic_ledger import Log, SparseMap, SyntheticLedger, counted, sha256, tagged, u64

HISTORY_KEY = tagged("cl1.key", counted("sys") + counted("history") + counted(b""))
START_NS = 1_790_000_000_000_123_456
SETS = (
    *["m0:10 m1:10 m2:10 m3:10"] * 4,
    "m0:10 m1:10 e4:10 e5:10",
    *["e4:10 e5:10 e6:10 m7:10"] * 3,
    *["e6:10 m7:10 e8:10 e9:10"] * 4,
)
"""The validators of blocks 1 to 12, and their weight: m… have ML-DSA-65 keys, e… Ed25519."""


@lru_cache
def secret(name: str) -> MLDSA65PrivateKey | Ed25519PrivateKey:
    """The key of a validator of that name."""
    seed = sha256(name.encode())
    return (
        MLDSA65PrivateKey.from_seed_bytes(seed)
        if name[0] == "m"
        else Ed25519PrivateKey.from_private_bytes(seed)
    )


OWNERS: dict[bytes, str] = {}


@lru_cache
def validators(text: str) -> ValidatorSet:
    """The set that a line of SETS names."""
    members = []
    for word in text.split():
        name, _, power = word.partition(":")
        public = secret(name).public_key().public_bytes_raw()
        OWNERS[public] = name
        members.append(Validator("ml-dsa-65" if name[0] == "m" else "ed25519", public, int(power)))
    return ValidatorSet(tuple(members))


def sign(
    header: EngineHeader, members: ValidatorSet, votes: Mapping[str, str] = {}, chain: str = ""
) -> LightBlock:
    """The header as its validators commit it; `votes` names those that are "absent", vote "nil", or "wrong".

    `chain` is what they sign for, if not the header's.
    """
    block = BlockId(hash_header(header), 1, sha256(b"parts" + u64(header.height)))
    signatures = []
    for place, member in enumerate(members.validators):
        name = OWNERS[member.public]
        how = votes.get(name, "")
        if how == "absent":
            signatures.append(NO_SIGNATURE)
            continue
        time_ns = header.time_ns + 1_000_007 * (place + 1)
        voted = NO_BLOCK if how == "nil" else block
        named = (chain or header.chain_id) + ("x" if how == "wrong" else "")
        message = encode_precommit(named, header.height, 1, voted, time_ns)
        flag = NIL if how == "nil" else COMMIT
        signatures.append(CommitSig(flag, member.address, time_ns, secret(name).sign(message)))
    return LightBlock(header, Commit(header.height, 1, block, tuple(signatures)), members)


def make_header(
    chain: str, height: int, last: BlockId, app_hash: bytes, members: ValidatorSet, following: ValidatorSet
) -> EngineHeader:
    """Blocks are a second apart."""
    return EngineHeader(
        chain_id=chain,
        height=height,
        time_ns=START_NS + height * 1_000_000_000,
        last_block_id=last,
        last_commit_hash=sha256(b"commit"),
        data_hash=sha256(b"data"),
        validators_hash=members.hash,
        next_validators_hash=following.hash,
        consensus_hash=sha256(b"consensus"),
        app_hash=app_hash,
        last_results_hash=sha256(b"results"),
        evidence_hash=sha256(b"evidence"),
        proposer_address=members.validators[0].address,
        block_version=11,
        app_version=1,
    )


@dataclass
class Blocks:
    """The engine's blocks 1 to n of a chain; block h has `app_hashes[h − 1]`, the state after the block before."""

    chain: str
    app_hashes: Sequence[bytes]
    sets: Sequence[str] = SETS
    votes: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    """By height: who did not vote for the block."""

    def __post_init__(self) -> None:
        last, self.blocks = NO_BLOCK, list[LightBlock]()
        for height in range(1, len(self.sets) + 1):
            members = validators(self.sets[height - 1])
            following = validators(self.sets[min(height, len(self.sets) - 1)])
            header = make_header(self.chain, height, last, self.app_hashes[height - 1], members, following)
            self.blocks.append(sign(header, members, self.votes.get(height, {})))
            last = self.blocks[-1].commit.block_id

    def at(self, height: int) -> LightBlock:
        return self.blocks[height - 1]

    def trust(self, height: int, **more: Any) -> bytes:
        """The trust file of that header."""
        return canonical(json.loads(make_trust_file(self.at(height))) | more)


def as_json(part: SignedPart) -> Any:
    return json.loads(encode_part(part))


class SyntheticNetwork(SyntheticLedger):
    """A ledger of 12 blocks whose state holds the anchor from block `height` on; `receipt` is a network's."""

    def __init__(self, height: int = 6, seed: int = 1, **more: Any) -> None:
        self.sets: Sequence[str] = more.pop("sets", SETS)
        self.votes = more.pop("votes", {})
        self.is_fork: bool = more.pop("is_fork", False)
        """Then all is as without it, but for the state from the block of the anchor on."""
        super().__init__(charts=20, versions=6, height=height, seed=seed)
        self.blocks = Blocks(self.chain, [one.root() for one in self.states], self.sets, self.votes)

    def make_chain(self, height: int) -> None:
        draw, time = self.random.randbytes, self.time_ms(height)
        self.anchor = Anchor(0, self.heads.root(), time, 1, draw(32))
        self.state_key = tagged("cl1.key", counted("records") + counted("anchors") + counted(self.org))
        value = u64(0) + self.anchor.root + u64(time) + u64(1) + self.anchor.log_root
        items = {draw(32): draw(60) for _ in range(20)}
        self.states, self.history_entries = list[SparseMap](), list[bytes]()
        for number in range(len(self.sets) + 1):
            if number:
                items[HISTORY_KEY] = u64(number) + Log(self.history_entries).root()
            if number == height:
                items[self.state_key] = value
                items |= {sha256(b"fork"): b"fork"} if self.is_fork else {}
            self.states.append(SparseMap(items))
            self.history_entries.append(u64(number) + u64(self.time_ms(number)) + self.states[-1].root())
        self.state = self.states[height]
        self.block = Block(height, time, self.state.root())

    @staticmethod
    def time_ms(height: int) -> int:
        return (START_NS + height * 1_000_000_000) // 1_000_000

    def signed(self, header: int, bridges: Sequence[int] = (), known: Sequence[int] = ()) -> SignedPart:
        """Of `self.block` under the block `header`; `known` are heights whose sets are left out."""
        newest = header == self.block.height + 1
        past = None
        if not newest:
            history, state = Log(self.history_entries[: header - 1]), self.states[header - 1]
            path = history.path(self.block.height)
            past = PastProof(history.root(), MapProof(tuple(state.siblings(HISTORY_KEY))), path)
        return compose_signed_part(
            [self.blocks.at(one) for one in (*bridges, header)],
            previous=self.blocks.at(header - 1).header if newest else None,
            past=past,
            known=[self.blocks.at(one).validators.hash for one in known],
        )

    def network_receipt(
        self, header: int = 0, bridges: Sequence[int] = (), known: Sequence[int] = (), index: int = 3
    ) -> bytes:
        """Of leaf `index`, under the block `header` (default: the first that can show it)."""
        signed = as_json(self.signed(header or self.block.height + 1, bridges, known))
        return canonical(json.loads(self.receipt(index)) | {"signed": signed})


class NetworkChart(SyntheticChart):
    """A chart whose exports a network signs."""

    def network_export(self, form: str = "chart", header: int = 48) -> bytes:
        """The export under the engine's block `header`, whose state holds the history of the blocks before."""
        fields = self._fields(form, header - 1)
        history = self.history(SparseMap(self.newest[1]).root(), header - 1)
        items = {sha256(b"%d" % n): u64(n) for n in range(9)} | {
            HISTORY_KEY: u64(header - 1) + history.root()
        }
        state = SparseMap(items)
        past = PastProof(
            history.root(), MapProof(tuple(state.siblings(HISTORY_KEY))), history.path(self.height)
        )
        block = self.engine_block(header, state.root())
        fields["signed"] = as_json(compose_signed_part([block], past=past, known=[block.validators.hash]))
        return canonical(fields)

    def network_checkpoint(self, height: int = 17, app_hash: bytes = b"") -> bytes:
        """What somebody kept: the engine's block `height`, with the state after the block before."""
        if not app_hash:
            newest = SparseMap(self.newest[1]).root() if height == self.height + 1 else b""
            app_hash = newest or self.past[height - 1][-32:]
        return make_trust_file(self.engine_block(height, app_hash))

    def engine_block(self, height: int, app_hash: bytes) -> LightBlock:
        """One validator set for the whole chain: sets that change are tried on receipts."""
        last, members = BlockId(sha256(b"before"), 1, bytes(32)), validators("e0:10 e1:10 e2:10 e3:10")
        return sign(make_header(self.chain, height, last, app_hash, members, members), members)
