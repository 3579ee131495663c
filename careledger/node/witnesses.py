"""The node's side of its witnesses: it offers each newest checkpoint, keeps what they sign, and shouts if one refuses.

No write waits for a witness. What is kept is in the index and can be had again by asking; a refusal stands until the
witness signs again or is taken out of the configuration.
"""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import lmdb
import msgspec

from careledger.ledger.checkpoint import (
    NoteSignature,
    SignedCheckpoint,
    parse_note,
    verify_cosignature,
)
from careledger.ledger.store.lmdb import LmdbKV
from careledger.ledger.witnessing import encode_submission
from careledger.node.config import Config
from careledger.node.cosigned import Cosigned
from careledger.node.home import OpenHome
from careledger.node.log import logger
from careledger.node.peers import Peer, Reply, ask, parse_peers
from careledger.node.sequencer import Sequencer
from careledger.primitives.errors import Invalid, Misconfigured, Unavailable, VerificationFailed
from careledger.vault.model import AccessEntry

TRIES = 3
"""Questions a round: where we think it stands, where it says it stands, once more if it moved."""
LAG_MS_MAX = 60_000
PIN_SECONDS = 3600.0
"""At most so often a checkpoint that a witness signed is remembered as held by somebody (protocol.md, Pins)."""
_KEY = b"witness:"

FORKED = "it refuses to sign: this ledger does not continue what it signed (a fork)"
AHEAD = "it has signed a later block than this home holds: the home was restored from an older copy, or runs twice"
UNKNOWN = "it does not follow this ledger"
REFUSED = "it does not accept the checkpoint"
UNREACHABLE = "it cannot be reached"

HINTS = {
    FORKED: "stop writing; compare the two heads with the witness's operator (`careledger witness show`)",
    AHEAD: "stop writing; find the home that went on, and put it back",
    UNKNOWN: "give its operator a checkpoint: careledger checkpoint -o FILE; there: careledger witness add DIR FILE",
    REFUSED: "its operator's log says why; the ledger's keys are those of the checkpoint that it was given",
    UNREACHABLE: "check the address in witness.urls, and whether the witness runs",
}


class Kept(msgspec.Struct, frozen=True):
    """What the index keeps of a witness: the newest checkpoint that it signed, and why it refuses now."""

    size: int = 0
    note: str = ""  # the operator's
    line: tuple[str, bytes, bytes] = ("", b"", b"")
    time_s: int = 0
    block_ms: int = 0
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """The newest checkpoint, and the time of its block."""

    note: SignedCheckpoint
    block_ms: int


Ask = Callable[[Peer, bytes], Reply]


class Witnesses:
    """Those of one open home. `start` begins to ask; `ask_all` asks once, for whoever waits."""

    def __init__(
        self,
        home: OpenHome,
        sequencer: Sequencer,
        peers: Sequence[Peer],
        k: int,
        seconds: int,
        ask: Ask = ask,
    ) -> None:
        self.peers = tuple(peers)
        self.k = min(k, len(self.peers))
        self._home = home
        self._sequencer = sequencer
        self._seconds = seconds
        self._ask = ask
        self._trouble: dict[str, str] = {}
        self._round = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.cosigned = Cosigned(self.peers, self.ask_all)

    @classmethod
    def of(cls, home: OpenHome, sequencer: Sequencer, config: Config) -> Witnesses:
        """Those of the configuration; none on a network, which is its own: a home that has migrated may name some yet."""
        section = config.witness
        peers = () if home.is_network else parse_peers(section.urls)
        return cls(home, sequencer, peers, section.k, section.seconds)

    def start(self) -> None:
        """Begin to ask, if there is anybody."""
        if self.peers:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ask nobody any more."""
        await self.cosigned.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pinned_at = -PIN_SECONDS
        while True:
            if any(self._wants(self._kept(peer)) for peer in self.peers):
                handed = time.monotonic() - pinned_at >= PIN_SECONDS
                try:
                    await self.ask_all(handed=handed)
                except Unavailable:
                    handed = False  # the node stops, or its index catches up
                pinned_at = time.monotonic() if handed else pinned_at
            await asyncio.sleep(self._seconds)

    def _wants(self, kept: Kept) -> bool:
        return kept.size <= self._home.height or bool(kept.refusal)

    # Asking

    async def ask_all(
        self,
        *,
        handed: bool,
        compose: Callable[[], tuple[AccessEntry, ...]] = tuple,
        take: Callable[[], None] | None = None,
    ) -> SignedCheckpoint:
        """Offer the newest checkpoint to every witness once; it comes back with what they signed.

        `handed`: it will be shown to somebody, so the node remembers it, after the entries that `compose` gives
        (`Sequencer.shown`). `take` is called at the very moment of that checkpoint.
        """
        async with self._round:
            async with self._sequencer.shown(compose) if handed else self._sequencer.quiet():
                if take is not None:
                    take()
                with self._home.tables.env.begin() as txn:
                    note = parse_note(self._home.sign_checkpoint(txn))
                offer = Offer(note, self._home.the_ledger.time_ms)
            lines = await asyncio.gather(*(self._ask_one(peer, offer) for peer in self.peers))
        for line in lines:
            note = note if line is None else note.with_signature(line)
        return note

    async def _ask_one(self, peer: Peer, offer: Offer) -> NoteSignature | None:
        """The witness's line if it signs; else what is wrong is noted."""
        old, trouble = self._kept(peer).size, REFUSED
        size, text = offer.note.checkpoint.size, offer.note.note()
        for _ in range(TRIES):
            if old > size:  # it knows more than this home holds
                trouble = AHEAD
                break
            body = encode_submission(old, self._path(old, size), text)
            try:
                reply = await asyncio.to_thread(self._ask, peer, body)
            except (OSError, http.client.HTTPException):
                trouble = UNREACHABLE
                break
            except Invalid:
                break
            if reply.line is not None:
                trouble = await self._accept(peer, offer, reply.line)
                break
            if reply.size is None:
                trouble = {404: UNKNOWN, 422: FORKED}.get(reply.status, REFUSED)
                break
            if reply.size == old:  # our very size, and another root
                trouble = FORKED
                break
            old = reply.size
        await self._note_trouble(peer, trouble)
        return reply.line if not trouble else None

    def _path(self, old: int, size: int) -> list[bytes]:
        with self._home.tables.env.begin() as txn:
            kv = LmdbKV(txn, self._home.tables.ledger)
            return self._home.the_ledger.history_consistency(kv, old, size) if old else []

    async def _accept(self, peer: Peer, offer: Offer, line: NoteSignature) -> str:
        """Keep the signature if it holds; what is wrong with it otherwise."""
        try:
            time_s = verify_cosignature(offer.note.with_signature(line), peer.key.name, peer.key.public)
        except VerificationFailed:
            return REFUSED
        kept = Kept(
            offer.note.checkpoint.size,
            offer.note.note(),
            (line.name, line.key_id, line.signature),
            time_s,
            offer.block_ms,
        )
        await self._keep(peer, kept)
        return ""

    async def _note_trouble(self, peer: Peer, trouble: str) -> None:
        """Say it once in the log; a refusal is kept, so that a restart does not forget it."""
        if trouble and self._trouble.get(peer.name) != trouble:
            serious = trouble in (FORKED, AHEAD)
            level = logger().error if serious else logger().warning
            level("a witness does not sign", reason=f"{peer.name}: {trouble}", height=self._home.height)
        self._trouble[peer.name] = trouble
        kept = self._kept(peer)
        if trouble in (FORKED, AHEAD) and kept.refusal != trouble:
            await self._keep(peer, msgspec.structs.replace(kept, refusal=trouble))

    # What is kept

    async def _keep(self, peer: Peer, kept: Kept) -> None:
        async with self._sequencer.quiet():
            try:
                with self._home.tables.env.begin(write=True) as txn:
                    txn.put(_record_key(peer), msgspec.msgpack.encode(kept), db=self._home.tables.meta)
            except lmdb.Error as error:
                raise Unavailable(f"the index cannot be written ({type(error).__name__})") from error

    def _kept(self, peer: Peer) -> Kept:
        return read_kept(self._home, peer)

    def check_enough(self, note: SignedCheckpoint) -> SignedCheckpoint:
        """The note, if k witnesses signed it. Raises Unavailable, or Misconfigured if there is none to ask."""
        if not self.peers:
            raise Misconfigured(
                "no witness is configured", hint='set witness.urls = ["URL KEY"] in config.toml'
            )
        signed = {line.name for line in note.signatures} & {peer.name for peer in self.peers}
        if len(signed) < self.k:
            raise Unavailable(
                f"{len(signed)} of {self.k} witnesses signed",
                hint="careledger status says what is wrong; without --witnessed it is anchored all the same",
                code="not-witnessed",
            )
        return note

    def standing(self) -> list[dict[str, Any]]:
        """How each witness stands: for `status` and `doctor`."""
        return [self._stands(peer) for peer in self.peers]

    def _stands(self, peer: Peer) -> dict[str, Any]:
        kept = self._kept(peer)
        trouble = kept.refusal or self._trouble.get(peer.name, "")
        behind = max(0, self._home.height + 1 - kept.size)
        lag_ms = self._home.the_ledger.time_ms - kept.block_ms if behind else 0
        return {
            "name": peer.name,
            "url": peer.url,
            "size": kept.size,
            "behind": behind,
            "lag_s": lag_ms // 1000 if kept.size else None,
            "signed_at_s": kept.time_s,
            "trouble": trouble,
            "refused": bool(kept.refusal),
            "ok": not trouble and bool(kept.size) and lag_ms <= LAG_MS_MAX,
            "hint": HINTS.get(trouble, "") or (HINTS[UNREACHABLE] if not kept.size else ""),
        }

    def problems(self) -> list[str]:
        """Refusals, in words: what must not be overlooked."""
        return [f"witness {one['name']}: {one['trouble']}" for one in self.standing() if one["refused"]]


def read_kept(home: OpenHome, peer: Peer) -> Kept:
    """What the index keeps of a witness."""
    with home.tables.env.begin() as txn:
        data = txn.get(_record_key(peer), db=home.tables.meta)
    try:
        return Kept() if data is None else msgspec.msgpack.decode(data, type=Kept)
    except msgspec.DecodeError:
        return Kept()  # it is asked anew


def _record_key(peer: Peer) -> bytes:
    return _KEY + peer.key.public
