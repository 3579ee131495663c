"""A home begins with a snapshot of another node, whole or not at all, and its journal alone says the same again."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from careledger.contracts.consent import compute_revocation_hash, revoke_message
from careledger.ledger.consensus import snapshots as logical
from careledger.ledger.consensus.abci import schema
from careledger.ledger.consensus.abci.table import ApplySnapshotChunkResult as Applied
from careledger.ledger.consensus.abci.table import OfferSnapshotResult as Offer
from careledger.ledger.kernel import ED25519
from careledger.ledger.transaction import SecretKey, build_transaction
from careledger.node import exports, fsck, handed, membership, profile, snapshots
from careledger.node.snapshots import is_due
from careledger.primitives.errors import Invalid, Unavailable, VerificationFailed
from careledger.primitives.hashing import sha256
from careledger.primitives.types import Did
from careledger.vault import journal, records
from tests.node.syncing import MEMBER, NEWCOMER, Homes, Node, node_of, set_time, time_of, until

TestBody = Callable[[Homes], Coroutine[Any, Any, None]]


@pytest.fixture(autouse=True)
def small_chunks() -> Any:
    """So that there are several of them."""
    with mock.patch.object(logical, "CHUNK_BYTES", 300):
        yield


@pytest.fixture
def homes(tmp_path: Path) -> Homes:
    return Homes(tmp_path)


async def grown(member: Node, height: int = 8) -> bytes:
    """The member's house chart is anchored, blocks follow; the app hash of the height."""
    await until(lambda: bool(member.pool.pool.select(1 << 20, 10)))
    await member.grow(height)
    return member.home.replica.app_hash


def rebuilt(homes: Homes, name: str) -> tuple[Any, ...]:
    """What the journal alone says."""

    async def run() -> tuple[Any, ...]:
        shutil.rmtree(homes.folder / name / "index")
        (homes.folder / name / "index").mkdir()
        async with node_of(homes, name) as node:
            return node.state()

    return asyncio.run(run())


def test_a_home_begins_with_a_snapshot_and_goes_on_as_the_others(homes: Homes) -> None:
    async def run() -> tuple[Any, ...]:
        async with node_of(homes, MEMBER) as member, node_of(homes, NEWCOMER) as newcomer:
            app_hash = await grown(member)
            waiting = newcomer.home.outbox.flight or newcomer.home.outbox.records
            assert (await member.offers())[0].chunks > 3
            assert await newcomer.take(member, app_hash) == Applied.ACCEPT
            assert newcomer.state()[:4] == member.state()[:4]
            assert (newcomer.home.outbox.flight or newcomer.home.outbox.records) == waiting
            with newcomer.home.tables.env.begin() as txn:
                assert handed.read_sizes(txn, newcomer.home.tables) == [9], "what it can show to continue"
            exports.check_shown(newcomer.home, 9)
            for before in (1, 3, 7):
                with pytest.raises(Invalid, match="began with a snapshot"):
                    exports.check_shown(newcomer.home, before)
                exports.check_shown(member.home, before)
            info = await newcomer.application.info(schema.RequestInfo())
            assert (info.last_block_height, info.last_block_app_hash) == (8, app_hash)
            for _ in range(5):
                transactions = await member.propose()
                assert await newcomer.decide(transactions) == await member.decide(transactions)
            await asyncio.gather(newcomer.snapshots.settle(), member.snapshots.settle())
            taken = (await newcomer.offers())[0]
            assert taken == (await member.offers())[0], "equal ledgers give equal snapshots"
            view = fsck.take_view(newcomer.home)
            assert fsck.run(newcomer.home, view, lambda step: None)["problems"] == []
            return newcomer.state()

    live = asyncio.run(run())
    assert rebuilt(homes, NEWCOMER) == live


def test_what_nobody_admitted_waits_and_is_anchored_by_nobody(homes: Homes) -> None:
    async def run() -> None:
        async with node_of(homes, MEMBER) as member, node_of(homes, NEWCOMER) as newcomer:
            app_hash = await grown(member)
            assert await newcomer.take(member, app_hash) == Applied.ACCEPT
            newcomer.sequencer._submitted_at = 0.0
            newcomer.sequencer._wake.set()
            await until(lambda: newcomer.home.outbox.flight is not None)
            assert not newcomer.pool.pool.select(1 << 20, 10)
            newcomer.sequencer.check_health()
            (said,) = membership.list_problems(SimpleNamespace(home=newcomer.home, networking=None))
            assert "not admitted" in said
            assert not membership.list_problems(SimpleNamespace(home=member.home, networking=None))

    asyncio.run(run())


def test_a_wrong_chunk_is_fetched_again_and_its_sender_left(homes: Homes) -> None:
    async def run() -> None:
        async with node_of(homes, MEMBER) as member, node_of(homes, NEWCOMER) as newcomer:
            app_hash = await grown(member)
            snapshot = (await member.offers())[0]
            chunks = [await member.chunk(snapshot.height, at) for at in range(snapshot.chunks)]
            assert await newcomer.offer(snapshot, app_hash) == Offer.ACCEPT
            for at, chunk in enumerate(chunks):
                for wrong in (b"", chunk[:-1], chunk + b"\x00", chunks[at - 1]):
                    answer = await newcomer.apply(at, wrong, "liar")
                    assert answer.result == Applied.RETRY
                    assert list(answer.refetch_chunks) == [at]
                    assert list(answer.reject_senders) == ["liar"]
                assert newcomer.home.height == 0
                assert (await newcomer.apply(at, chunk)).result == Applied.ACCEPT
            assert newcomer.home.height == 8
            answer = await newcomer.apply(0, chunks[0])
            assert answer.result == Applied.ABORT, "nothing is under way any more"

    asyncio.run(run())


def forge(snapshot: Any, chunks: list[bytes]) -> Any:
    """The snapshot with these chunks, true to itself."""
    metadata = logical.compute_metadata(map(sha256, chunks))
    return schema.Snapshot(
        height=snapshot.height,
        format=1,
        chunks=len(chunks),
        metadata=metadata,
        hash=logical.compute_hash(metadata),
    )


def test_a_false_snapshot_changes_nothing_and_the_next_one_is_taken(
    homes: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with node_of(homes, MEMBER) as member, node_of(homes, NEWCOMER) as newcomer:
            app_hash = await grown(member)
            snapshot = (await member.offers())[0]
            chunks = [await member.chunk(snapshot.height, at) for at in range(snapshot.chunks)]
            head = logical.HEAD.decode(chunks[0])

            def with_head(**changes: Any) -> list[bytes]:
                fields = {name: getattr(head, name) for name in logical.HEAD.fields} | changes
                return [logical.HEAD.encode(logical.Head(**fields)), *chunks[1:]]

            before, written = newcomer.state(), newcomer.home.journal.position
            for forged in (
                with_head(time_ms=head.time_ms + 1),
                with_head(genesis_hash=sha256(b"another")),
                with_head(height=head.height + 1),
                with_head(history=head.history[:-1] + bytes([head.history[-1] ^ 1])),
                [chunks[0], *reversed(chunks[1:])],
                [*chunks[:-1], chunks[1]],
                chunks[:-1],
            ):
                assert await newcomer.offer(forge(snapshot, forged), app_hash) == Offer.ACCEPT
                answers = [await newcomer.apply(at, chunk, f"{at % 2}") for at, chunk in enumerate(forged)]
                assert {answer.result for answer in answers[:-1]} == {Applied.ACCEPT}
                assert answers[-1].result == Applied.REJECT_SNAPSHOT
                assert list(answers[-1].reject_senders) == ["0", "1"]
                assert newcomer.state() == before
            assert newcomer.home.journal.position == written, "what is not true is not written"
            with monkeypatch.context() as smaller:
                smaller.setattr(logical, "SIZE_MAX", sum(map(len, chunks)) - 1)
                assert await newcomer.offer(snapshot, app_hash) == Offer.ACCEPT
                answers = [await newcomer.apply(at, chunk, "0") for at, chunk in enumerate(chunks)]
                assert answers[-1].result == Applied.REJECT_SNAPSHOT
                assert list(answers[-1].reject_senders) == ["0"] and newcomer.state() == before
            assert await newcomer.offer(snapshot, sha256(b"another app hash")) == Offer.ACCEPT
            last = [await newcomer.apply(at, chunk) for at, chunk in enumerate(chunks)][-1]
            assert (last.result, newcomer.state()) == (Applied.REJECT_SNAPSHOT, before)
            assert await newcomer.take(member, app_hash) == Applied.ACCEPT
            assert newcomer.state()[:4] == member.state()[:4]

    asyncio.run(run())


def test_what_is_offered_is_looked_at_before_it_is_fetched(homes: Homes) -> None:
    async def nobody_vouches(height: int) -> int:
        raise VerificationFailed("no header leads there")

    async def run() -> None:
        async with node_of(homes, MEMBER) as member, node_of(homes, NEWCOMER) as newcomer:
            app_hash = await grown(member)
            snapshot = (await member.offers())[0]

            def changed(**changes: Any) -> Any:
                found = schema.Snapshot()
                found.CopyFrom(snapshot)
                for name, value in changes.items():
                    setattr(found, name, value)
                return found

            assert await newcomer.offer(changed(format=2), app_hash) == Offer.REJECT_FORMAT
            assert await newcomer.offer(changed(chunks=snapshot.chunks + 1), app_hash) == Offer.REJECT_SENDER
            assert await newcomer.offer(changed(hash=sha256(b"another")), app_hash) == Offer.REJECT_SENDER
            assert await newcomer.offer(changed(metadata=b""), app_hash) == Offer.REJECT_SENDER
            assert await member.offer(snapshot, app_hash) == Offer.REJECT, "it stands there already"
            newcomer.sync._find_time = nobody_vouches
            assert await newcomer.offer(snapshot, app_hash) == Offer.REJECT
            newcomer.sync._find_time = None
            assert await newcomer.offer(snapshot, app_hash) == Offer.ABORT, "a founder takes none"
            assert (await newcomer.apply(0, b"")).result == Applied.ABORT

    asyncio.run(run())


def test_a_home_that_lost_its_records_is_refused_and_one_from_a_backup_goes_on(homes: Homes) -> None:
    async def run() -> None:
        async with node_of(homes, MEMBER) as member:
            await grown(member, 3)
        shutil.copytree(homes.folder / MEMBER, homes.folder / "backup")
        homes.found(MEMBER, "lost")
        async with node_of(homes, MEMBER) as member:
            await member.grow(8)
            app_hash = member.home.replica.app_hash
            async with node_of(homes, MEMBER, "lost") as lost:
                before = lost.state()
                assert await lost.take(member, app_hash) == Applied.ABORT
                assert lost.state() == before
                assert "newest backup" in lost.sync.problem
                assert await lost.offer((await member.offers())[0], app_hash) == Offer.ABORT
            async with node_of(homes, MEMBER, "backup") as backup:
                assert backup.home.height == 3
                assert await backup.take(member, app_hash) == Applied.ACCEPT
                assert backup.state() == member.state()
                assert await backup.decide() == await member.decide()

    asyncio.run(run())


def test_snapshots_are_taken_at_agreed_heights_and_the_newest_two_are_kept(homes: Homes) -> None:
    assert [height for height in range(200) if is_due(height, 100)] == [16, 32, 64, 100]
    assert [height for height in range(50) if is_due(height, 20)] == [16, 20, 40]
    assert not any(is_due(height, 0) for height in range(100))

    async def run() -> None:
        with mock.patch.object(snapshots, "FIRST_HEIGHT", 2):
            async with node_of(homes, MEMBER) as member:
                for height, kept in ((1, []), (2, [2]), (4, [4, 2]), (7, [4, 2]), (8, [8, 4])):
                    await member.grow(height)
                    assert [one.height for one in await member.offers()] == kept
                folder = homes.folder / MEMBER / "engine" / "snapshots"
                assert sorted(path.name for path in folder.iterdir()) == ["4", "8"]
                assert await member.chunk(2, 0) == b""
                (folder / "8" / "metadata").unlink()
                (folder / "16.new").mkdir()
                assert [one.height for one in await member.offers()] == [4], "only what is whole is offered"
                await member.grow(12)
                assert sorted(path.name for path in folder.iterdir()) == ["12", "4"]

    asyncio.run(run())


def test_blocks_go_on_while_a_snapshot_is_taken_and_without_room_for_one(homes: Homes) -> None:
    async def run() -> None:
        async with node_of(homes, MEMBER) as member:
            with mock.patch.object(snapshots, "PAUSE_SECONDS", 0.05):
                while member.home.height < 6:
                    await member.decide()
                app_hash = member.home.replica.app_hash
                assert await member.offers() == [], "it is not whole yet"
                await member.snapshots.settle()
            (taken,) = await member.offers()
            chunks = [await member.chunk(4, at) for at in range(taken.chunks)]
            head = logical.HEAD.decode(chunks[0])
            assert (head.height, head.app_hash != app_hash) == (4, True), "of its own block"
            full = mock.patch.object(snapshots, "write_durably", side_effect=OSError(28, "no space"))
            with full:
                await member.grow(9)
            assert [one.height for one in await member.offers()] == [4]
            taking = member.snapshots._taking
            assert taking is not None and taking.exception() is None

    asyncio.run(run())


def test_who_asks_while_a_block_is_open_is_told_of_the_one_before(homes: Homes) -> None:
    async def run() -> None:
        async with node_of(homes, MEMBER) as member:
            await member.grow(2)
            home, told = member.home, []
            did, keys = Did(home.organisation), [SecretKey(ED25519, home.keys.node_seed)]
            for number in range(12):  # enough to split every bucket of the state
                codes = [sha256(b"%d %d" % (number, at)) for at in range(16)]
                messages = [revoke_message(compute_revocation_hash(code), code=code) for code in codes]
                until_ms, hashed = time_of(60), home.the_ledger.genesis_hash
                told.append(build_transaction(hashed, until_ms, did, 5, number, messages, keys))
            request = schema.RequestFinalizeBlock(height=3, txs=told)
            set_time(request.time, 3)
            answer = await member.application.finalize_block(request)
            assert {result.code for result in answer.tx_results} == {0}
            assert not membership.list_problems(SimpleNamespace(home=home, networking=None))
            assert profile.show_upgrades(home) == []
            await member.application.commit(schema.RequestCommit())
            assert not membership.list_problems(SimpleNamespace(home=home, networking=None))

    asyncio.run(run())


def test_a_restoration_that_the_disk_refuses_is_as_if_it_had_not_been(homes: Homes) -> None:
    async def run() -> None:
        async with node_of(homes, MEMBER) as member, node_of(homes, NEWCOMER) as newcomer:
            app_hash = await grown(member)
            before = newcomer.state()
            append = newcomer.home.journal.append

            def refuse(kind: int, packed: Any) -> int:
                packed = list(packed)
                if any(record[0] == records.SNAPSHOT for record in packed) and kind == journal.COMMITTED:
                    raise Unavailable("the disk is full")
                return append(kind, packed)

            with mock.patch.object(newcomer.home.journal, "append", refuse):
                assert await newcomer.take(member, app_hash) == Applied.ABORT
            assert newcomer.state() == before
            assert "disk is full" in newcomer.sync.problem

    asyncio.run(run())
