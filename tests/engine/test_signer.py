"""The remote signer: what the engine's own code would sign, at each place once, over any crash, and only under its guard."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from careledger.engine import privval, signing_guard, stamped
from careledger.engine.genesis import Validator
from careledger.engine.privval_table import PRIVVAL, SignedType
from careledger.engine.sign_bytes import NANOS, PRECOMMIT, PREVOTE, PROPOSE, Asked, read_proposal, read_vote
from careledger.engine.signer import Signer, open_signer
from careledger.engine.signing_guard import GuardRefused, Signed, SigningGuard, open_guard, recover_guard
from careledger.engine.validator_key import create_validator_key, open_validator_key
from careledger.ledger.consensus.abci.frames import Frames, encode_frame
from careledger.ledger.consensus.abci.server import serve
from careledger.ledger.light import LightBlock
from careledger.ledger.light_encoding import NO_BLOCK, BlockId, encode_precommit
from careledger.primitives.errors import (
    CareLedgerError,
    Conflict,
    Corrupt,
    Invalid,
    Misconfigured,
    NotFound,
    Unavailable,
)
from careledger.primitives.hashing import sha256
from careledger.primitives.signing import verify_ed25519, verify_ml_dsa_65
from careledger.primitives.sockets import listen_at
from careledger.vault.keystore import Cost, WrongPassphrase
from tests.engine.real import CHAIN as ENGINE_CHAIN
from tests.engine.real import REAL_ENGINE, make_genesis, make_home, make_settings, running, signing
from tests.engine.test_process import reach
from tests.ledger.test_abci import GOLDEN, Told, fill

CHAIN = "cl-test"
PASSPHRASE = "correct horse battery"
CHEAP = Cost(1, 1024, 1)
HASH, PARTS = bytes(range(32)), bytes(255 - number for number in range(32))
AT = (1735689600, 123456789)
VERIFY = {"ml_dsa_65": verify_ml_dsa_65, "ed25519": verify_ed25519}


def block(hash: bytes = HASH, total: int = 3, parts: bytes = PARTS) -> privval.BlockID:
    return privval.BlockID(hash=hash, part_set_header=privval.PartSetHeader(total=total, hash=parts))


def vote(type=SignedType.PRECOMMIT, height=7, round=0, at=AT, **fields) -> privval.Vote:
    fields = {"block_id": block()} | fields
    made = privval.Vote(type=type, height=height, round=round, **fields)
    made.timestamp.seconds, made.timestamp.nanos = at
    return made


def proposal(height=7, round=0, pol_round=-1, at=AT, **fields) -> privval.Proposal:
    fields = {"type": SignedType.PROPOSAL, "block_id": block()} | fields
    made = privval.Proposal(height=height, round=round, pol_round=pol_round, **fields)
    made.timestamp.seconds, made.timestamp.nanos = at
    return made


def asked(height=1, round=0, step=PREVOTE, content="A", seconds=100) -> Asked:
    digest = sha256(content.encode())
    place = f"{height}/{round}/{step}/{content}/{seconds}".encode()
    return Asked(height, round, step, digest, seconds, 5, place)


def sign(message: bytes) -> bytes:
    return b"signed " + message


# What is signed


@pytest.mark.parametrize("name", [name for name in PRIVVAL.messages if name in GOLDEN["messages"]])
def test_every_message_is_the_engines_own(name):
    message = getattr(privval, name)()
    fill(message)
    assert message.SerializeToString().hex() == GOLDEN["messages"][name]


def test_every_choice_is_the_engines_own():
    kind = privval.SignerMessage
    golden = GOLDEN["choices"]["Message"]
    chosen = {name: kind.FromString(bytes.fromhex(data)).WhichOneof("sum") for name, data in golden.items()}
    assert chosen == {field.name: field.name for field in kind.DESCRIPTOR.fields}


SIGN_BYTES = {
    "prevote": read_vote(CHAIN, vote(SignedType.PREVOTE, round=2)),
    "precommit": read_vote(CHAIN, vote()),
    "nil": read_vote(
        CHAIN, vote(height=2**63 - 1, round=2**31 - 1, block_id=privval.BlockID(), at=(AT[0], 0))
    ),
    "proposal": read_proposal(CHAIN, proposal()),
    "proposal-again": read_proposal(CHAIN, proposal(round=4, pol_round=2)),
    "proposal-zero": read_proposal(CHAIN, proposal(round=4, pol_round=0)),
}


@pytest.mark.parametrize("name", GOLDEN["sign_bytes"])
def test_what_is_signed_is_what_the_engine_signs(name):
    assert SIGN_BYTES[name].sign_bytes.hex() == GOLDEN["sign_bytes"][name]


@pytest.mark.parametrize("name", ["precommit", "nil"])
def test_what_is_signed_is_what_a_light_client_verifies(name):
    one = SIGN_BYTES[name]
    named = NO_BLOCK if name == "nil" else BlockId(HASH, 3, PARTS)
    time_ns = one.seconds * 1_000_000_000 + one.nanos
    assert encode_precommit(CHAIN, one.height, one.round, named, time_ns) == one.sign_bytes


def test_the_content_is_all_but_the_time_and_what_only_one_validator_sees():
    first = read_vote(CHAIN, vote())
    for same in (vote(at=(AT[0] + 9, 1)), vote(validator_index=5, validator_address=b"x" * 20)):
        assert read_vote(CHAIN, same).content == first.content
    others = [
        read_vote(CHAIN, vote(SignedType.PREVOTE)),
        read_vote(CHAIN, vote(height=8)),
        read_vote(CHAIN, vote(round=1)),
        read_vote(CHAIN, vote(block_id=privval.BlockID())),
        read_vote(CHAIN, vote(block_id=block(hash=PARTS))),
        read_vote(CHAIN, vote(block_id=block(total=4))),
        read_vote(CHAIN, vote(block_id=block(parts=HASH))),
        read_vote("cl-other", vote()),
        read_proposal(CHAIN, proposal()),
        read_proposal(CHAIN, proposal(round=3, pol_round=-1)),
        read_proposal(CHAIN, proposal(round=3, pol_round=0)),
        read_proposal(CHAIN, proposal(block_id=block(hash=PARTS))),
    ]
    assert len({first.content, *(other.content for other in others)}) == 1 + len(others)


@pytest.mark.parametrize(
    "bad",
    [
        vote(type=0),
        vote(type=SignedType.PROPOSAL),
        vote(height=0),
        vote(height=-1),
        vote(round=-1),
        vote(extension=b"x"),
        vote(at=(0, 0)),
        vote(at=(-62135596800, 0)),
        vote(at=(AT[0], 1_000_000_000)),
        vote(at=(AT[0], -1)),
        vote(block_id=block(hash=b"")),
        vote(block_id=block(hash=HASH[:20])),
        vote(block_id=block(parts=b"")),
        vote(block_id=block(total=0)),
        proposal(type=SignedType.PRECOMMIT),
        proposal(height=0),
        proposal(pol_round=-2),
        proposal(pol_round=0),
        proposal(round=2, pol_round=2),
        proposal(block_id=privval.BlockID()),
        proposal(at=(0, 0)),
    ],
)
def test_what_no_engine_asks_for_is_not_signed(bad):
    read = read_vote if isinstance(bad, privval.Vote) else read_proposal
    with pytest.raises(Invalid):
        read(CHAIN, bad)


# The order of signatures

SIGNED, SAME = "signed", "the signature of before"
BACKWARDS, TWICE = "signing-backwards", "signing-twice"


@pytest.mark.parametrize(
    "before, then, outcome",
    [
        ([], asked(1, 0, PROPOSE), SIGNED),
        ([asked(1, 0, PROPOSE)], asked(1, 0, PREVOTE), SIGNED),
        ([asked(1, 0, PREVOTE)], asked(1, 0, PRECOMMIT, "B"), SIGNED),
        ([asked(1, 0, PRECOMMIT)], asked(1, 1, PROPOSE), SIGNED),
        ([asked(1, 5, PRECOMMIT)], asked(2, 0, PROPOSE), SIGNED),
        ([asked(1, 0)], asked(1, 0), SAME),
        ([asked(1, 0)], asked(1, 0, seconds=200), SAME),
        ([asked(1, 0)], asked(1, 0, seconds=50), SAME),
        ([asked(1, 0)], asked(1, 0, content="B"), TWICE),
        ([asked(1, 0, content="B", seconds=7)], asked(1, 0, content="A", seconds=7), TWICE),
        ([asked(1, 0, PREVOTE)], asked(1, 0, PROPOSE), BACKWARDS),
        ([asked(1, 0, PRECOMMIT)], asked(1, 0, PREVOTE), BACKWARDS),
        ([asked(1, 1, PROPOSE)], asked(1, 0, PRECOMMIT), BACKWARDS),
        ([asked(2, 0, PROPOSE)], asked(1, 9, PRECOMMIT), BACKWARDS),
        ([asked(1, 0, PREVOTE), asked(1, 0, PRECOMMIT)], asked(1, 0, PREVOTE), BACKWARDS),
    ],
)
@pytest.mark.parametrize("reopened", [False, True])
def test_places_rise_and_each_is_signed_once(tmp_path, before, then, outcome, reopened):
    path = tmp_path / "guard"
    guard = open_guard(path, CHAIN, b"key", used=False)
    for one in before:
        kept = guard.sign(one, sign)
    if reopened:
        guard.close()
        guard = open_guard(path, CHAIN, b"key", used=True)
    if outcome in (SIGNED, SAME):
        signed = guard.sign(then, sign)
        assert signed == kept if outcome == SAME else signed.signature == sign(then.sign_bytes)
    else:
        held = path.read_bytes()
        with pytest.raises(Conflict) as refused:
            guard.sign(then, sign)
        assert (refused.value.code, path.read_bytes()) == (outcome, held)
    guard.close()


class Crash(BaseException):
    """The machine stops here."""


class Disk:
    """Stops the machine at a step; then keeps of the unsynced what it likes."""

    def __init__(self, path: Path) -> None:
        self.path, self.kept = path, path.with_name("kept")
        self.left: int | None = None
        self.synced: set[int] = set()

    def step(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Crash

    def fsync(self, descriptor: int) -> None:
        self.step()
        self.synced.add(os.fstat(descriptor).st_ino)
        self.step()

    def replace(self, source: Path, target: Path) -> None:
        self.step()
        os.replace(source, target)
        self.step()

    def sync_path(self, folder: Path) -> None:
        self.step()
        self.kept.unlink(missing_ok=True)
        os.link(self.path, self.kept)
        self.step()

    def utime(self, descriptor: int, times: tuple[int, int], *, real=os.utime) -> None:
        self.synced.discard(os.fstat(descriptor).st_ino)
        self.step()
        real(descriptor, times)

    def restart(self, *, lucky: bool) -> None:
        self.left = None
        if not lucky:
            self.path.unlink()
            os.link(self.kept, self.path)
        if self.path.stat().st_ino not in self.synced:
            os.truncate(self.path, 10)

    @contextlib.contextmanager
    def plugged(self):
        with (
            mock.patch.object(stamped.os, "fsync", self.fsync),
            mock.patch.object(stamped.os, "utime", self.utime),
            mock.patch.object(stamped, "sync_path", self.sync_path),
            mock.patch.object(stamped.Path, "replace", lambda source, target: self.replace(source, target)),
        ):
            yield


ASKS = st.builds(
    asked,
    st.integers(1, 3),
    st.integers(0, 1),
    st.integers(1, 3),
    st.sampled_from("AB"),
    st.integers(1, 3),
)


@settings(max_examples=150)
@given(st.lists(st.tuples(ASKS, st.none() | st.integers(0, 8), st.booleans()), max_size=25))
def test_no_crash_makes_two_signatures_at_one_place(tmp_path_factory, asks):
    path = tmp_path_factory.mktemp("crash") / "guard"
    disk = Disk(path)
    given_out, highest, tried = defaultdict(set), (0, 0, 0), (0, 0, 0)
    with disk.plugged():
        guard = open_guard(path, CHAIN, b"key", used=False)
        for ask, crash_at, lucky in asks:
            place = (ask.height, ask.round, ask.step)
            disk.left = crash_at
            try:
                signed = guard.sign(ask, sign)
            except Conflict:
                assert place <= tried
            except Crash:
                pass
            else:
                assert place >= highest
                assert signed.signature == sign(replace_time(ask, signed).sign_bytes)
                given_out[place].add(signed.signature)
                highest = place
            tried = max(tried, place)
            if crash_at is not None:  # during it, or after the signature left
                guard.close()
                disk.restart(lucky=lucky)
                guard = open_guard(path, CHAIN, b"key", used=True)
        guard.close()
    assert all(len(signatures) == 1 for signatures in given_out.values())


def replace_time(ask: Asked, signed: Signed) -> Asked:
    content = "A" if ask.content == sha256(b"A") else "B"
    return asked(ask.height, ask.round, ask.step, content, signed.seconds)


# The guard


@pytest.fixture
def guarded(tmp_path) -> Path:
    """A guard that signed height 5."""
    path = tmp_path / "guard"
    guard = open_guard(path, CHAIN, b"key", used=False)
    guard.sign(asked(5), sign)
    guard.close()
    return path


def refuse_to_open(path: Path, error: type[CareLedgerError] = GuardRefused, key=b"key", chain=CHAIN) -> None:
    with pytest.raises(error):
        open_guard(path, chain, key, used=True)


def put_back_in_place(path: Path, copy: Path) -> None:
    path.write_bytes(copy.read_bytes())


def put_back_with_its_times(path: Path, copy: Path) -> None:
    path.unlink()
    shutil.copy2(copy, path)


def put_back_by_name(path: Path, copy: Path) -> None:
    copy.replace(path)


@pytest.mark.parametrize("put_back", [put_back_in_place, put_back_with_its_times, put_back_by_name])
@pytest.mark.parametrize("signed_since", [0, 1, 2])
def test_a_guard_that_was_put_back_signs_nothing(guarded, put_back, signed_since):
    copy = guarded.with_name("copy")
    keep_inode_busy = guarded.open("rb")  # so that the copy's inode is never given again by chance
    shutil.copy2(guarded, copy)
    guard = open_guard(guarded, CHAIN, b"key", used=True, clock=lambda: time.time() + 10)
    for height in range(6, 6 + signed_since):
        guard.sign(asked(height), sign)
    guard.close()
    if put_back is put_back_in_place:
        os.utime(copy, (1, 1))
    put_back(guarded, copy)
    keep_inode_busy.close()
    refuse_to_open(guarded)


def test_a_guard_that_is_missing_foreign_or_damaged_signs_nothing(guarded):
    refuse_to_open(guarded, key=b"other key")
    refuse_to_open(guarded, chain="cl-other")
    held = guarded.read_bytes()
    mtime = guarded.stat().st_mtime
    for at in [*range(0, len(held), 7), len(held) - 1]:
        bent = bytearray(held)
        bent[at] ^= 1
        guarded.write_bytes(bytes(bent))
        os.utime(guarded, (mtime, mtime))
        refuse_to_open(guarded, (Corrupt, GuardRefused))
    guarded.write_bytes(held[:-1])
    refuse_to_open(guarded, Corrupt)
    guarded.unlink()
    refuse_to_open(guarded)
    open_guard(guarded, CHAIN, b"key", used=False).close()


def test_owners_and_permissions_may_change(guarded):
    guarded.chmod(0o640)
    open_guard(guarded, CHAIN, b"key", used=True).close()


def test_only_one_process_signs(guarded):
    guard = open_guard(guarded, CHAIN, b"key", used=True)
    refuse_to_open(guarded, Conflict)
    with pytest.raises(Conflict):
        recover_guard(guarded, CHAIN, b"key", 9)
    guard.close()
    with pytest.raises(Unavailable):
        guard.sign(asked(9), sign)
    with pytest.raises(Unavailable):
        guard.saw_own_vote(9)


def test_a_full_disk_gives_no_signature(guarded):
    guard = open_guard(guarded, CHAIN, b"key", used=True)
    with (
        mock.patch.object(signing_guard, "write_stamped", side_effect=OSError(28, "No space left")),
        pytest.raises(Unavailable),
    ):
        guard.sign(asked(6), sign)
    assert guard.last.height == 5
    assert guard.sign(asked(6, content="B"), sign).height == 6
    guard.close()


def test_votes_that_the_guard_does_not_know_stop_it_for_good(guarded):
    guard = open_guard(guarded, CHAIN, b"key", used=True)
    guard.saw_own_vote(5)
    with pytest.raises(GuardRefused):
        guard.saw_own_vote(6)
    with pytest.raises(GuardRefused):
        guard.sign(asked(9), sign)
    guard.close()
    refuse_to_open(guarded)
    with pytest.raises(Invalid):
        recover_guard(guarded, CHAIN, b"key", 5)
    recover_guard(guarded, CHAIN, b"key", 6)
    open_guard(guarded, CHAIN, b"key", used=True).close()


@pytest.mark.parametrize("state", ["missing", "damaged", "put back", "whole"])
def test_a_recovered_guard_signs_above_its_floor_only(guarded, state):
    if state == "missing":
        guarded.unlink()
    elif state == "damaged":
        guarded.write_bytes(b"{}")
    elif state == "put back":
        put_back_with_its_times(guarded, shutil.copy2(guarded, guarded.with_name("copy")))
    if state in ("put back", "whole"):
        with pytest.raises(Invalid):
            recover_guard(guarded, CHAIN, b"key", 4)
    for floor in (0, -1, 2**63):
        with pytest.raises(Invalid):
            recover_guard(guarded, CHAIN, b"key", floor)
    recover_guard(guarded, CHAIN, b"key", 8)
    guard = open_guard(guarded, CHAIN, b"key", used=True)
    for below in (asked(5), asked(8, 0, PROPOSE), asked(8, 2**31 - 1, PRECOMMIT)):
        with pytest.raises(Conflict):
            guard.sign(below, sign)
    assert guard.sign(asked(9, 0, PROPOSE), sign).height == 9
    guard.close()


# The key


@pytest.mark.parametrize("type", ["ml_dsa_65", "ed25519"])
def test_a_key_opens_with_its_passphrase_and_is_never_replaced(tmp_path, type):
    public = create_validator_key(tmp_path, PASSPHRASE, type, CHEAP)
    path = tmp_path / "validator.json"
    held = path.read_bytes()
    key = open_validator_key(tmp_path, PASSPHRASE)
    assert (key.public, key.type, key.used, key.address) == (public, type, False, sha256(public)[:20])
    VERIFY[type](public, b"message", key.sign(b"message"))
    assert key.seed not in held
    assert key.seed.hex().encode() not in held
    assert repr(key.seed) not in repr(key)
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(WrongPassphrase):
        open_validator_key(tmp_path, PASSPHRASE + "!")
    with pytest.raises(Misconfigured):
        create_validator_key(tmp_path, PASSPHRASE, type, CHEAP)
    assert path.read_bytes() == held
    key.mark_used()
    assert open_validator_key(tmp_path, PASSPHRASE).used


def test_a_key_file_that_is_not_what_was_written_is_refused(tmp_path):
    with pytest.raises(NotFound):
        open_validator_key(tmp_path, PASSPHRASE)
    create_validator_key(tmp_path, PASSPHRASE, "ed25519", CHEAP)
    path = tmp_path / "validator.json"
    file = json.loads(path.read_text("utf-8"))
    for change in (
        {"type": "ml_dsa_65"},
        {"public": "00" * 32},
        {"public": "zz"},
        {"sealed": file["sealed"][:-2] + "00"},
        {"format": "careledger/validator-key/2"},
        {"more": 1},
    ):
        path.write_text(json.dumps(file | change), "utf-8")
        with pytest.raises(Misconfigured if "sealed" in change or "type" in change else Corrupt):
            open_validator_key(tmp_path, PASSPHRASE)


# The socket


class Engine:
    """Listens for its signer as the engine does, and asks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.arrived: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def listen(self) -> None:
        async def accept(reader, writer):
            await self.arrived.put((reader, writer))

        self.server = await asyncio.start_unix_server(accept, sock=listen_at(self.path))

    async def meet(self) -> None:
        async with asyncio.timeout(10):
            self.reader, self.writer = await self.arrived.get()

    async def receive(self) -> privval.SignerMessage | None:
        frames = Frames()
        async with asyncio.timeout(10):
            while data := await self.reader.read(1 << 16):
                for frame in frames.feed(data):
                    return privval.SignerMessage.FromString(frame)
        return None

    async def ask(self, cut: int | None = None, **request) -> privval.SignerMessage:
        frame = encode_frame(privval.SignerMessage(**request))
        self.writer.write(frame[:cut])
        if cut is not None:
            await asyncio.sleep(0.01)
            self.writer.write(frame[cut:])
        answer = await self.receive()
        assert answer is not None
        return answer


def play(tmp_path: Path, scene, type="ml_dsa_65", loop_factory=None) -> list[CareLedgerError]:
    """The scene with a running signer; returns what it reported."""
    create_validator_key(tmp_path, PASSPHRASE, type, CHEAP)
    key = open_validator_key(tmp_path, PASSPHRASE)
    reported: list[CareLedgerError] = []

    async def run() -> None:
        engine = Engine(tmp_path / "signer.sock")
        async with signing(engine.path, key, tmp_path / "guard", reported.append, CHAIN):
            try:
                async with asyncio.timeout(30):
                    await asyncio.sleep(0.05)  # the signer is there before the engine
                    await engine.listen()
                    await engine.meet()
                    await scene(engine, key)
            finally:
                engine.writer.close()
                engine.server.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(run())
    return reported


@pytest.mark.parametrize("type", ["ml_dsa_65", "ed25519"])
def test_a_conversation_with_the_engine(tmp_path, type):
    async def scene(engine: Engine, key) -> None:
        shown = await engine.ask(pub_key_request=privval.PubKeyRequest(chain_id=CHAIN))
        assert not shown.pub_key_response.HasField("error")
        field = {"ml_dsa_65": "mldsa65", "ed25519": "ed25519"}[type]
        assert shown.pub_key_response.pub_key.WhichOneof("sum") == field
        assert getattr(shown.pub_key_response.pub_key, field) == key.public
        assert (await engine.ask(ping_request=privval.PingRequest())).HasField("ping_response")
        for cut, each in enumerate((proposal(), vote(SignedType.PREVOTE), vote()), 1):
            name = "proposal" if isinstance(each, privval.Proposal) else "vote"
            request = privval.SignProposalRequest if name == "proposal" else privval.SignVoteRequest
            answer = await engine.ask(
                cut, **{f"sign_{name}_request": request(**{name: each}, chain_id=CHAIN)}
            )
            response = getattr(answer, f"signed_{name}_response")
            assert not response.HasField("error")
            signed = getattr(response, name)
            read = read_proposal if name == "proposal" else read_vote
            VERIFY[type](key.public, read(CHAIN, each).sign_bytes, signed.signature)
            signed.signature = b""
            assert signed == each

    assert play(tmp_path, scene, type) == []


def test_refusals_are_answers_and_are_reported(tmp_path):
    async def scene(engine: Engine, key) -> None:
        def ask_vote(made: privval.Vote, chain_id: str = CHAIN):
            return engine.ask(sign_vote_request=privval.SignVoteRequest(vote=made, chain_id=chain_id))

        first = (await ask_vote(vote())).signed_vote_response.vote
        later = (await ask_vote(vote(at=(AT[0] + 60, 0)))).signed_vote_response.vote
        assert (later.signature, later.timestamp) == (first.signature, first.timestamp)
        refused = [
            (await ask_vote(vote(block_id=privval.BlockID()))).signed_vote_response,
            (await ask_vote(vote(SignedType.PREVOTE))).signed_vote_response,
            (await ask_vote(vote(height=8), "cl-other")).signed_vote_response,
            (await ask_vote(vote(height=8, extension=b"x"))).signed_vote_response,
            (
                await engine.ask(
                    sign_proposal_request=privval.SignProposalRequest(proposal=proposal(), chain_id=CHAIN)
                )
            ).signed_proposal_response,
            (await engine.ask(pub_key_request=privval.PubKeyRequest(chain_id="cl-other"))).pub_key_response,
        ]
        told = [answer.error.description.split(":")[0] for answer in refused]
        assert told == [TWICE, BACKWARDS, "other-network", "unsignable", BACKWARDS, "other-network"]
        for answer in refused[:4]:
            assert not answer.vote.signature
        assert (await ask_vote(vote(height=8))).signed_vote_response.vote.signature

    reported = play(tmp_path, scene)
    assert [error.code for error in reported] == [
        TWICE,
        BACKWARDS,
        "other-network",
        "unsignable",
        BACKWARDS,
        "other-network",
    ]


@pytest.mark.parametrize("garbage", [b"\x03abc", b"\x00", b"\xff\xff\xff\x7f", b"\x80" * 10])
def test_the_signer_dials_again_after_garbage_and_after_the_engine_went_away(tmp_path, garbage):
    async def scene(engine: Engine, key) -> None:
        engine.writer.write(garbage)
        assert await engine.receive() is None
        await engine.meet()
        assert (await engine.ask(ping_request=privval.PingRequest())).HasField("ping_response")
        engine.writer.close()
        engine.server.close()
        await engine.listen()
        await engine.meet()
        assert (await engine.ask(ping_request=privval.PingRequest())).HasField("ping_response")

    [told] = play(tmp_path, scene)
    assert isinstance(told, Invalid)


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"{}")])
def test_a_signer_marks_its_key_and_needs_its_guard_from_then_on(tmp_path, harm):
    """Without it, it shows its key, or the engine would not start, and signs nothing."""
    create_validator_key(tmp_path, PASSPHRASE, "ed25519", CHEAP)
    guard, reported = tmp_path / "guard", []

    def open_now() -> Signer:
        return open_signer(open_validator_key(tmp_path, PASSPHRASE), guard, CHAIN, reported.append)

    def ask(signer: Signer, height: int) -> privval.SignedVoteResponse:
        request = privval.SignVoteRequest(vote=vote(height=height), chain_id=CHAIN)
        return signer.answer(
            privval.SignerMessage(sign_vote_request=request).SerializeToString()
        ).signed_vote_response

    open_now().close()
    assert open_validator_key(tmp_path, PASSPHRASE).used
    signer = open_now()
    assert ask(signer, 2).vote.signature
    with pytest.raises(GuardRefused):
        signer.saw_own_vote(3)
    assert ask(signer, 4).error.description.startswith("signing-guard: ")
    signer.close()
    harm(guard)
    signer = open_now()
    shown = privval.SignerMessage(pub_key_request=privval.PubKeyRequest(chain_id=CHAIN))
    assert signer.answer(shown.SerializeToString()).pub_key_response.pub_key.ed25519
    assert ask(signer, 5).error.description.startswith("signing-guard: ")
    signer.saw_own_vote(9)
    signer.close()
    assert len(reported) == 3
    recover_guard(guard, CHAIN, open_validator_key(tmp_path, PASSPHRASE).public, 9)
    signer = open_now()
    assert ask(signer, 9).error.description.startswith("signing-backwards: ")
    assert ask(signer, 10).vote.signature
    with pytest.raises(Conflict):
        open_now()
    signer.close()


def test_a_guard_comes_before_its_key_is_marked(tmp_path):
    create_validator_key(tmp_path, PASSPHRASE, "ed25519", CHEAP)
    key = open_validator_key(tmp_path, PASSPHRASE)
    with mock.patch.object(SigningGuard, "_keep", side_effect=Crash), pytest.raises(Crash):
        open_signer(key, tmp_path / "guard", CHAIN, print)
    assert not open_validator_key(tmp_path, PASSPHRASE).used
    open_signer(key, tmp_path / "guard", CHAIN, print).close()
    assert replace(key, used=True) == open_validator_key(tmp_path, PASSPHRASE)


def test_an_engine_that_dies_between_question_and_answer_is_dialled_again(tmp_path):
    """As `serve` does, on uvloop: it has an error of its own for a connection that is gone."""

    async def scene(engine: Engine, key) -> None:
        engine.writer.transport.pause_reading()  # what it leaves unread resets the connection
        engine.writer.write(encode_frame(privval.SignerMessage(ping_request=privval.PingRequest())))
        await asyncio.sleep(0.05)
        request = privval.SignVoteRequest(vote=vote(), chain_id=CHAIN)
        engine.writer.write(encode_frame(privval.SignerMessage(sign_vote_request=request)))
        engine.writer.transport.abort()
        await engine.meet()
        assert (await engine.ask(ping_request=privval.PingRequest())).HasField("ping_response")

    assert play(tmp_path, scene, loop_factory=uvloop.new_event_loop) == []


@REAL_ENGINE
def test_the_real_engine_makes_blocks_with_this_signer_and_this_socket(tmp_path):
    """An ML-DSA-65 validator, killed in between; every commit of it holds by our own encoding."""
    home = tmp_path / "engine"
    public = create_validator_key(tmp_path, PASSPHRASE, cost=CHEAP)
    genesis = make_genesis(validators=(Validator(public, 10, "berg"),), key_type="ml_dsa_65")
    settings_ = make_settings(application="abci.sock", signer="signer.sock", mempool="app")
    make_home(home, settings_, validates=False, genesis=genesis)
    reported, failures = [], []

    async def run() -> list[LightBlock]:
        server = await serve(home / "abci.sock", Told(), failures.append)
        key = open_validator_key(tmp_path, PASSPHRASE)
        async with (
            signing(home / "signer.sock", key, tmp_path / "guard", reported.append),
            running(home, settings_) as process,
        ):
            await reach(process, 2)
            process.kill()
            await reach(process, 5)
            commits = [await process.rpc.light_block(height) for height in (1, 4)]
        await server.close()
        return commits

    for commit in (one.commit for one in asyncio.run(asyncio.wait_for(run(), 60))):
        [one], id = commit.signatures, commit.block_id
        made = vote(
            height=commit.height,
            round=commit.round,
            block_id=block(id.hash, id.total, id.parts),
            at=divmod(one.time_ns, NANOS),
        )
        verify_ml_dsa_65(public, read_vote(ENGINE_CHAIN, made).sign_bytes, one.signature)
    assert (failures, reported) == ([], [])
