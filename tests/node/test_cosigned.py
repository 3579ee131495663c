"""How `/api` asks witnesses: seldom, briefly, and never so that an answer fails for their sake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from careledger.ledger.checkpoint import Checkpoint, NoteSignature, SignedCheckpoint, cosign
from careledger.ledger.proof_files import encode_binary
from careledger.ledger.witnessing import WitnessKey
from careledger.node import cosigned as room
from careledger.node.cosigned import ALL, Cosigned
from careledger.node.peers import Peer
from careledger.primitives.errors import Unavailable
from careledger.primitives.signing import ed25519_public_key
from careledger.vault.model import AccessEntry

SEEDS = [bytes([number]) * 32 for number in (1, 2)]
PEERS = [
    Peer(f"http://127.0.0.1:{number}", WitnessKey(f"w{number}", ed25519_public_key(seed)))
    for number, seed in enumerate(SEEDS, 1)
]
ORIGIN = "careledger/cl-00"


def note_of(size: int) -> SignedCheckpoint:
    """Of this size, by the operator and both witnesses."""
    checkpoint = Checkpoint(ORIGIN, size, bytes(32))
    lines = [
        cosign(checkpoint, peer.name, seed, peer.key.public, 1)
        for peer, seed in zip(PEERS, SEEDS, strict=True)
    ]
    return SignedCheckpoint(checkpoint, (NoteSignature(ORIGIN, b"oper", b"o"), *lines))


class Ledger:
    """Grows by a block with each answer; its witnesses sign after `seconds`, or raise."""

    def __init__(self, seconds: float = 0.0, error: Exception | None = None) -> None:
        self.size = 0
        self.rounds = 0
        self.seconds = seconds
        self.error = error
        self.busy = asyncio.Lock()
        self.cosigned = Cosigned(PEERS, self.ask_all)

    async def ask_all(
        self,
        *,
        handed: bool,
        compose: Callable[[], tuple[AccessEntry, ...]] = tuple,
        take: Callable[[], None] | None = None,
    ) -> SignedCheckpoint:
        assert handed, "what is shown is remembered"
        async with self.busy:
            compose()
            if take is not None:
                take()
            self.rounds += 1
            size = self.size
            await asyncio.sleep(self.seconds)
            if self.error is not None:
                raise self.error
            return note_of(size)

    async def answer(self) -> SignedCheckpoint | None:
        """A receipt under a block of its own."""
        self.size += 1
        size = self.size
        note = await self.cosigned.cover(size) if self.cosigned.wants([ALL]) else None
        assert note is None or note.checkpoint.size >= size
        return note


def play(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 20))


def test_a_burst_of_receipts_asks_a_few_times_and_each_is_covered() -> None:
    async def run() -> None:
        ledger = Ledger(0.02)

        async def later(number: int) -> SignedCheckpoint | None:
            await asyncio.sleep(number * 0.002)
            return await ledger.answer()

        found = await asyncio.gather(*(later(number) for number in range(100)))
        assert None not in found
        assert ledger.rounds <= 4

    play(run())


@pytest.mark.parametrize("kind", ["receipt", "export"])
def test_a_slow_witness_delays_one_answer_and_then_nobody_for_a_while(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "PATIENCE_SECONDS", 0.05)

    async def run() -> None:
        ledger = Ledger(1e9)
        taken: list[int] = []
        loop = asyncio.get_running_loop()
        began = loop.time()
        if kind == "receipt":
            assert await ledger.answer() is None
        else:
            assert await ledger.cosigned.take(tuple, lambda: taken.append(1)) is None
            assert taken == [1], "its moment was: only the lines are missing"
            assert await ledger.cosigned.take(tuple, lambda: taken.append(2)) is None
            assert taken == [1], "behind a round that hangs there was none: the answer is taken otherwise"
        assert loop.time() - began < 5
        assert not ledger.cosigned.wants([ALL])
        assert ledger.rounds == 1
        await ledger.cosigned.stop()

    play(run())


def test_an_export_that_went_without_is_neither_taken_nor_entered_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "PATIENCE_SECONDS", 0.05)

    async def run() -> None:
        ledger = Ledger()
        entered: list[int] = []
        taken: list[int] = []

        def compose() -> tuple[AccessEntry, ...]:
            entered.append(1)
            return ()

        await ledger.busy.acquire()
        assert await ledger.cosigned.take(compose, lambda: taken.append(1)) is None
        ledger.busy.release()
        await asyncio.sleep(0.02)
        assert (entered, taken) == ([], [])

    play(run())


def test_what_the_node_itself_refuses_is_raised_and_what_the_round_cannot_do_is_not() -> None:
    async def run() -> None:
        def refuse() -> tuple[AccessEntry, ...]:
            raise Unavailable("the log cannot be written")

        ledger = Ledger(error=Unavailable("the index catches up"))
        with pytest.raises(Unavailable, match="the log"):
            await ledger.cosigned.take(refuse, lambda: None)
        taken: list[int] = []
        assert await ledger.cosigned.take(tuple, lambda: taken.append(1)) is None
        assert taken == [1]
        assert await ledger.answer() is None

    play(run())


def test_a_note_holds_the_lines_that_its_reader_knows() -> None:
    async def run() -> None:
        cosigned, note = Ledger().cosigned, note_of(5)
        for wanted, names in (
            ([ALL], ["w1", "w2"]),
            ([encode_binary(PEERS[1].key.public)], ["w2"]),
            ([encode_binary(bytes(32))], []),
            ([], []),
        ):
            assert [line.name for line in cosigned.narrow(note, wanted).signatures] == [ORIGIN, *names]
            assert cosigned.wants(wanted) == bool(names), "nobody is asked for nothing"
        other = NoteSignature("w1", b"anew", b"s")  # a witness's new key, under its old name
        assert other not in cosigned.narrow(note.with_signature(other), [ALL]).signatures

    play(run())
