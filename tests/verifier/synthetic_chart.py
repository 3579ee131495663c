"""A chart made straight from the definitions, by a custodian who holds every key: honest, or in any way dishonest.

Everything is sealed, anchored and signed as the protocol says, whatever the leaves say. So what a verifier refuses
here it refuses for what was recorded, not because somebody altered a file. A third opinion, as `synthetic_ledger`.
"""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from tests.verifier.synthetic_ledger import Log, Signer, SparseMap, counted, note_body, sha256, tagged, u64

START = 1_790_000_000_000
DAY = 86_400_000
KINDS = {"enrolment": 0, "version": 1, "deletion": 2, "guardian": 3, "directive": 4, "key": 5, "move": 6}
KINDS |= {"close": 7, "access": 32}
HEIGHT = 40
Sign = Callable[["Patient", bytes], bytes]


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def instant(ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03d}Z"


def map_path(siblings: Sequence[bytes | None]) -> str:
    bitmap = bytearray((len(siblings) + 7) // 8)
    for depth, sibling in enumerate(siblings):
        if sibling is not None:
            bitmap[depth // 8] |= 0x80 >> depth % 8
    return b64(bytes([len(bitmap)]) + bytes(bitmap) + b"".join(one for one in siblings if one is not None))


class Patient:
    """A patient's key. ML-DSA is hedged: `memory` gives the same signature for the same message."""

    memory: dict[str, str] = {}

    def __init__(self, name: str) -> None:
        self._key = MLDSA65PrivateKey.from_seed_bytes(sha256(name.encode()))
        self.public = self._key.public_key().public_bytes_raw()
        self.id = sha256(self.public).hex()[:32]

    def sign(self, message: bytes) -> bytes:
        place = sha256(self.public + message).hex()
        if place not in self.memory:
            self.memory[place] = b64(self._key.sign(message))
        text = self.memory[place]
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(frozen=True)
class Entry:
    """A leaf of the record log, as the custodian wants it."""

    kind: str
    type: str = ""
    id: str = ""
    version: int = 0
    time: int = START
    author: str = ""
    body: str = ""
    salt: bytes = bytes(32)
    is_bare: bool = False


@dataclass(frozen=True)
class Access:
    """A leaf of the access log."""

    actor: str = "p-1"
    client: str = "app"
    organisation: str = ""
    purpose: str = "TREAT"
    rule: str = "custodian-default"
    kind: str = "read"
    what: str = "Observation/o-1"
    permitted: bool = True
    height: int = HEIGHT - 1
    time: int = START + 5_000
    directives: tuple[str, ...] = ()
    leaves: tuple[int, ...] = (1,)
    roles: tuple[str, ...] = ()
    subject: str = "grace"

    def content(self) -> bytes:
        raw = counted(b"r" * 16) + bytes([self.permitted]) + u64(self.height) + u64(self.time)
        for text in (
            self.actor,
            self.client,
            self.organisation,
            self.purpose,
            self.rule,
            self.kind,
            self.what,
        ):
            raw += counted(text)
        raw += len(self.directives).to_bytes(4, "big") + b"".join(counted(one) for one in self.directives)
        steps = [b - a for a, b in zip((0, *self.leaves), self.leaves, strict=False)]
        raw += len(steps).to_bytes(4, "big") + b"".join(step.to_bytes(4, "big") for step in steps)
        if self.roles or self.subject:
            raw += len(self.roles).to_bytes(4, "big") + b"".join(
                counted(one) for one in (*self.roles, self.subject)
            )
        return raw


@dataclass(frozen=True)
class Standing:
    """What the ledger says of a directive."""

    key: bytes
    until: int
    status: int = 1
    height: int = 10


@dataclass
class SyntheticChart:
    """One chart of one organisation. Change the lists, then `export`."""

    seed: int = 1
    entries: list[Entry] = field(default_factory=list)
    accesses: list[Access] = field(default_factory=list)
    standings: dict[str, Standing] = field(default_factory=dict)
    """Of directives by id; one of `entries` that is not here is absent on the ledger."""
    block_time: int = START + 60_000
    sizes: tuple[int, ...] = (3, 17, 30)
    height: int = HEIGHT

    def __post_init__(self) -> None:
        draw = random.Random(self.seed).randbytes
        self.chain = "cl-" + draw(16).hex()
        self.origin = f"careledger/{self.chain}"
        self.org, self.handle = draw(32), draw(32)
        self.operator = Signer(self.origin, "operator", draw(32))
        self.did = f"did:careledger:{self.org.hex()}"
        self.draw = draw
        self.past: list[bytes] = []
        self.pinned: list[dict[str, Any]] = []
        """By height: the heads of the chart in the block there; before the first export it had not begun."""
        for height in range(HEIGHT + 60):
            heads, state = {draw(32): draw(40) for _ in range(4)}, {draw(32): draw(60) for _ in range(3)}
            self._remember(height, START + height, heads, state, (5, START + height, 6, draw(32)))
        if not self.entries:
            self.entries = [Entry("enrolment", salt=self.salt())]
            for number, id in enumerate(("o-1", "o-2", "o-1"), 1):
                self.add("Observation", id, time=START + 1_000 * number)
            self.accesses = [Access(organisation=self.did, leaves=(1, 3)), self.shown()]

    def salt(self) -> bytes:
        return self.draw(32)

    def shown(self, **more: Any) -> Access:
        """The entry of the export itself."""
        given = {"organisation": self.did, "purpose": "HOPERAT", "rule": "operator", "kind": "export"}
        return Access(**{**given, "actor": "operator", "subject": "", "time": START + 50_000, **more})  # type: ignore[arg-type]

    def add(self, type: str, id: str, **more: Any) -> Entry:
        """One more version, rightly counted and served."""
        version = 1 + max((e.version for e in self.entries if (e.type, e.id) == (type, id)), default=0)
        given: dict[str, Any] = {
            "time": self.entries[-1].time + 1,
            "author": "client:app",
            "version": version,
        }
        given |= more
        kind = given.pop("kind", "version")
        body = (
            f'{{"resourceType":"{type}","id":"{id}","meta":{{"versionId":"{given["version"]}","lastUpdated":"'
        )
        body += f'{instant(given.pop("served", given["time"]))}"}},"note":[{{"text":"é\u2028\x7f"}}]}}'
        given.setdefault("body", "" if kind in ("deletion", "move") else body)
        entry = Entry(kind, type, id, salt=self.salt(), **given)
        self.entries.append(entry)
        return entry

    # What patients decide

    def enrol(self, who: Patient, by: Patient | None = None, **more: Any) -> Entry:
        leaf = {"continues": b64(by.sign(who.id.encode())) if by else "", "format": "careledger/controller/1"}
        body = canonical({**leaf, "key": b64(who.public), **more}).decode()
        return self.add("Controller", who.id, kind="guardian", author="", body=body)

    def decide(
        self, who: Patient, *, by: Patient | None = None, enrolled: Patient | None = None, **said: Any
    ) -> str:
        """A directive of this patient: bound by `by` (herself), granted on the ledger. Its id."""
        standing = said.pop("standing", {})
        text = {
            "actions": ["access"], "categories": [], "effect": "permit", "format": "careledger/directive/1",
            "from_day": START // DAY - 1, "grantees": [{"kind": "practitioner", "value": "p-1"}],
            "handle": b64(self.handle), "labels": [], "nonce": b64(self.salt()), "organisation": b64(self.org),
            "purposes": ["TREAT"], "supersedes": "", "types": [], "until_day": START // DAY + 300, **said,
        }  # fmt: skip
        own, salt, raw = Patient("directive" + text["nonce"]), self.salt(), canonical(text)
        commitment = tagged("cl1.consent", salt + raw)
        leaf = {
            "binding": b64((by or who).sign(commitment)), "consent": "c", "controller": (enrolled or who).id,
            "key": b64(own.public), "salt": b64(salt), "text": b64(raw),
        }  # fmt: skip
        id = commitment.hex()
        self.add("Directive", id, kind="directive", author="", body=canonical(leaf).decode())
        key = tagged("cl1.key-id", b"\2" + counted(own.public))
        if standing is not None:
            self.standings[id] = replace(Standing(key, text["until_day"]), **standing)
        return id

    # Proofs

    def _remember(
        self,
        height: int,
        time_ms: int,
        heads: dict[bytes, bytes],
        state: dict[bytes, bytes],
        anchored: tuple[int, int, int, bytes],
    ) -> None:
        """The block at this height anchors these heads."""
        tree = SparseMap(heads)
        seq, at_ms, size, log = anchored
        anchor = {"log": b64(log), "seq": seq, "size": size, "time": at_ms}
        key = tagged("cl1.key", counted("records") + counted("anchors") + counted(self.org))
        state = {**state, key: u64(seq) + tree.root() + u64(at_ms) + u64(size) + log}
        values = SparseMap(state)
        pin: dict[str, Any] = {"anchor": anchor, "block": {"height": height, "time": time_ms}}
        for number, name in enumerate(("records", "access")):
            place = tagged("cl1.head", bytes([number]) + self.handle)
            value = heads.get(place, u64(0) + sha256(b""))
            head = {"root": b64(value[8:]), "size": int.from_bytes(value[:8], "big")}
            pin[name] = head | self._absent("heads", tree, place, heads)
        pin["state"] = map_path(values.siblings(key))
        leaf = u64(height) + u64(time_ms) + values.root()
        self.past[height : height + 1] = [leaf]
        self.pinned[height : height + 1] = [pin]

    def _absent(self, name: str, tree: SparseMap, key: bytes, items: dict[bytes, bytes]) -> dict[str, str]:
        """The siblings down to the only leaf, or the empty subtree, in the key's place; and that other leaf."""
        if key in items:
            return {name: map_path(tree.siblings(key))}
        left, found, depth = tree.items, [], 0
        while len(left) > 1:
            sides = tree._sides(left, depth)
            mine = key[depth // 8] >> 7 - depth % 8 & 1
            found.append(tree._root(sides[1 - mine], depth + 1) if sides[1 - mine] else None)
            left, depth = sides[mine], depth + 1
        if not left:
            return {name: map_path(found)}
        other = left[0][0]
        return {name: map_path(found), "other": b64(other + tagged("cl1.value", items[other]))}

    def leaf(self, kind: str, entry: Entry, body: bytes) -> bytes:
        header = self.org + self.handle + bytes([KINDS[kind]]) + counted(entry.type) + counted(entry.id)
        header += u64(entry.version) + u64(entry.time) + counted(entry.author)
        return tagged("cl1.commit", entry.salt + header + tagged("cl1.body", entry.salt + body))

    def history(self, state_root: bytes, size: int) -> Log:
        blocks = list(self.past)
        if state_root:
            blocks[self.height] = u64(self.height) + u64(self.block_time) + state_root
        return Log(blocks[:size])

    def export(self, form: str = "chart", size: int = 0) -> bytes:
        """The file, under a checkpoint of `size` blocks (that of its own block)."""
        return canonical(self._fields(form, size or self.height + 1))

    def go_on(self) -> None:
        """The block of the last export stays; the next one is later."""
        self._remember(self.height, self.block_time, *self.newest)
        self.height += 5
        self.block_time += 1_000

    def _fields(self, form: str, size: int) -> dict[str, Any]:
        rng = random.Random(self.seed + 1)
        record = Log([self.leaf(e.kind, e, e.body.encode()) for e in self.entries])
        salts = [rng.randbytes(32) for _ in self.accesses]
        contents = [one.content() for one in self.accesses]
        access = Log([
            self.leaf("access", Entry("access", version=at, time=one.time, salt=salts[at]), contents[at])
            for at, one in enumerate(self.accesses)
        ])  # fmt: skip
        keys = [tagged("cl1.head", bytes([log]) + self.handle) for log in (0, 1)]
        heads = {rng.randbytes(32): rng.randbytes(40) for _ in range(20)}
        heads[keys[0]] = u64(len(self.entries)) + record.root()
        heads[keys[1]] = u64(len(self.accesses)) + access.root()
        tree = SparseMap(heads)
        batches, anchored = rng.randbytes(32), self.block_time - 5
        state = {rng.randbytes(32): rng.randbytes(60) for _ in range(30)}
        anchor_key = tagged("cl1.key", counted("records") + counted("anchors") + counted(self.org))
        state[anchor_key] = u64(9) + tree.root() + u64(anchored) + u64(10) + batches
        ids = list(dict.fromkeys(e.id for e in self.entries if e.kind == "directive" and not e.is_bare))
        places = {
            id: tagged("cl1.key", counted("consent") + counted("directive") + counted(bytes.fromhex(id)))
            for id in ids
        }
        for id in ids:
            if id in self.standings:
                state[places[id]] = self._value(id)
        values = SparseMap(state)
        history = self.history(values.root(), size)
        self.newest = heads, state, (9, anchored, 10, batches)
        note = note_body(self.origin, size, history.root()).decode() + "\n"
        fields: dict[str, Any] = {
            "access": [{"content": b64(c), "salt": b64(s)} for c, s in zip(contents, salts, strict=True)],
            "anchor": {"log": b64(batches), "seq": 9, "size": 10, "time": anchored},
            "block": {"height": self.height, "time": self.block_time},
            "chain": self.chain,
            "format": f"careledger/{form}/1",
            "handle": b64(self.handle),
            "heads": {"access": map_path(tree.siblings(keys[1])), "record": map_path(tree.siblings(keys[0]))},
            "history": self._history(history, sorted({*self.sizes, size})),
            "org": b64(self.org),
            "signed": {
                "note": note + self.operator.line(self.origin, size, history.root()),
                "path": b64(b"".join(history.path(self.height))),
            },
            "state": map_path(values.siblings(anchor_key)),
        }
        older = sorted(one for one in self.sizes if one <= self.height)
        if older:
            fields["pins"] = [
                self.pinned[one - 1] | {"path": b64(b"".join(history.path(one - 1)))} for one in older
            ]
        if form == "access-log":
            return fields | {"head": {"root": b64(record.root()), "size": len(self.entries)}}
        standings = [self._standing(id, values, places[id], state) for id in ids]
        return fields | {"directives": standings, "entries": [self._entry(e) for e in self.entries]}

    def _entry(self, e: Entry) -> dict[str, Any]:
        if e.is_bare:
            return {"leaf": b64(self.leaf(e.kind, e, e.body.encode()))}
        names = ("author", "body", "id", "kind", "time", "type", "version")
        return {name: getattr(e, name) for name in names} | {"salt": b64(e.salt)}

    def _value(self, id: str) -> bytes:
        said = self.standings[id]
        value = bytes([said.status]) + said.key + said.until.to_bytes(4, "big") + bytes(32)
        return value + u64(said.height)

    def _standing(self, id: str, values: SparseMap, key: bytes, state: dict[bytes, bytes]) -> dict[str, Any]:
        if id in self.standings:
            said = self.standings[id]
            fields = {"height": said.height, "key": b64(said.key), "revocation": b64(bytes(32))}
            fields |= {"status": said.status, "until": said.until}
            return {"path": map_path(values.siblings(key)), "said": fields}
        return self._absent("path", values, key, state)

    def _history(self, history: Log, sizes: list[int]) -> dict[str, Any]:
        nodes, start = [], 0
        for size in sizes:
            while start < size:
                level = max(
                    one for one in range(20) if start % (1 << one) == 0 and start + (1 << one) <= size
                )
                nodes.append(history.root(start, start + (1 << level)))
                start += 1 << level
        return {"nodes": b64(b"".join(nodes)), "sizes": sizes}

    def checkpoint(self, size: int = 17) -> bytes:
        """What somebody kept: a trust file of this chain."""
        history = self.history(b"", size)
        note = note_body(self.origin, size, history.root()).decode() + "\n"
        key = {"alg": "ed25519", "name": self.origin, "public": b64(self.operator.public)}
        return canonical({
            "chain": self.chain, "format": "careledger/checkpoint/1", "keys": [key], "mode": "embedded",
            "note": note + self.operator.line(self.origin, size, history.root()),
        })  # fmt: skip
