"""The node's side of its witnesses: what each answer is taken for, and what of it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from careledger.ledger.checkpoint import NoteSignature, cosign
from careledger.ledger.witnessing import WitnessKey, decode_submission
from careledger.node import config, making
from careledger.node.home import open_keys
from careledger.node.layout import Layout
from careledger.node.peers import Peer, Reply, parse_peers
from careledger.node.service import NodeService
from careledger.node.witnesses import AHEAD, FORKED, REFUSED, UNKNOWN, UNREACHABLE, Witnesses
from careledger.primitives.errors import Invalid, Misconfigured, Unavailable
from careledger.primitives.signing import ed25519_public_key

PASSPHRASE = "witnesses-passphrase"
SEEDS = [bytes([number]) * 32 for number in (1, 2)]
PEERS = [
    Peer(f"http://127.0.0.1:{number}", WitnessKey(f"w{number}", ed25519_public_key(seed)))
    for number, seed in enumerate(SEEDS, 1)
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("witnesses") / "home"
    making.init(path, "Witnessed", PASSPHRASE)
    return (path, *open_keys(Layout(path), PASSPHRASE))


def sign(peer: Peer, body: bytes, seed: bytes | None = None) -> NoteSignature:
    seed = seed or SEEDS[PEERS.index(peer)]
    return cosign(
        decode_submission(body).note.checkpoint, peer.key.name, seed, peer.key.public, 1_800_000_000
    )


def play(made, ask: Callable[[Peer, bytes], Reply], work, k: int = 1, peers=PEERS[:1]):
    """Open the home, ask once, then work with what came of it."""

    async def run():
        service = NodeService(*made, served=False)
        await service.start()
        try:
            context = service.context
            witnesses = Witnesses(context.home, context.sequencer, peers, k, 1, ask)
            note = await witnesses.ask_all(handed=False)
            return work(witnesses, note)
        finally:
            await service.stop()

    return asyncio.run(run())


def raises(error: Exception) -> Callable[[Peer, bytes], Reply]:
    def ask(peer: Peer, body: bytes) -> Reply:
        raise error

    return ask


def size_of(body: bytes) -> int:
    return decode_submission(body).note.checkpoint.size


ANSWERS = {
    "the log is not known": (lambda peer, body: Reply(404), UNKNOWN, False),
    "signed by others": (lambda peer, body: Reply(403), REFUSED, False),
    "out of order": (lambda peer, body: Reply(503), REFUSED, False),
    "it does not continue": (lambda peer, body: Reply(422), FORKED, True),
    "another root of this size": (lambda peer, body: Reply(409, size=size_of(body)), FORKED, True),
    "it knows a later block": (lambda peer, body: Reply(409, size=size_of(body) + 1), AHEAD, True),
    "it never agrees": (lambda peer, body: Reply(409, size=1 + (decode_submission(body).old == 1)), REFUSED, False),
    "nobody answers": (raises(ConnectionRefusedError()), UNREACHABLE, False),
    "too slow": (raises(TimeoutError()), UNREACHABLE, False),
    "nonsense": (raises(Invalid("nonsense")), REFUSED, False),
    "signed with another key": (
        lambda peer, body: Reply(200, line=sign(peer, body, bytes(32))), REFUSED, False,
    ),
    "a signature of something else": (
        lambda peer, body: Reply(200, line=replace(sign(peer, body), signature=bytes(72))), REFUSED, False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_each_answer_is_taken_for_what_it_is(made, name):
    ask, trouble, refused = ANSWERS[name]

    def look(witnesses: Witnesses, note):
        (standing,) = witnesses.standing()
        assert (standing["trouble"], standing["refused"], standing["ok"]) == (trouble, refused, False)
        assert standing["hint"]
        assert bool(witnesses.problems()) == refused
        assert {line.name for line in note.signatures} == {note.checkpoint.origin}
        with pytest.raises(Unavailable):
            witnesses.check_enough(note)

    play(made, ask, look)

    def healed(witnesses: Witnesses, note):
        assert witnesses.problems() == []
        assert witnesses.standing()[0]["ok"]

    play(made, lambda peer, body: Reply(200, line=sign(peer, body)), healed)


def test_a_refusal_outlives_the_process(made):
    play(made, lambda peer, body: Reply(422), lambda witnesses, note: None)

    def look(witnesses: Witnesses, note):
        assert "fork" in witnesses.problems()[0]

    play(made, raises(ConnectionRefusedError()), look)
    play(made, lambda peer, body: Reply(200, line=sign(peer, body)), lambda witnesses, note: None)


def test_it_begins_where_the_witness_stands(made):
    """A node whose index was rebuilt asks from nothing, and is told where to begin."""
    asked = []
    new = Peer("http://127.0.0.1:3", WitnessKey("w3", ed25519_public_key(bytes([3]) * 32)))

    def ask(peer: Peer, body: bytes) -> Reply:
        submission = decode_submission(body)
        asked.append((submission.old, len(submission.path)))
        return (
            Reply(200, line=sign(peer, body, bytes([3]) * 32)) if submission.old == 1 else Reply(409, size=1)
        )

    play(made, ask, lambda witnesses, note: None, peers=[new])
    assert [old for old, _ in asked] == [0, 1]
    assert asked[-1][1] > 0


def test_k_of_n_sign_the_same_checkpoint(made):
    def ask(peer: Peer, body: bytes) -> Reply:
        return Reply(200, line=sign(peer, body)) if peer is PEERS[0] else Reply(404)

    def look(k: int):
        def work(witnesses: Witnesses, note):
            if k == 1:
                assert witnesses.check_enough(note) is note
            else:
                with pytest.raises(Unavailable):
                    witnesses.check_enough(note)

        return work

    play(made, ask, look(1), 1, PEERS)
    play(made, ask, look(2), 2, PEERS)
    play(made, lambda peer, body: Reply(200, line=sign(peer, body)), look(1), 2, PEERS)


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:1",
        f"ftp://127.0.0.1 {PEERS[0].key.text}",
        f"http://127.0.0.1:99999 {PEERS[0].key.text}",
        f"http://u@127.0.0.1 {PEERS[0].key.text}",
        f"http://127.0.0.1?x=1 {PEERS[0].key.text}",
        f"http://127.0.0.1:1 {PEERS[0].key.text}x",
        f"http://127.0.0.1:1 {PEERS[0].key.text}\nhttp://127.0.0.1:2 {PEERS[0].key.text}",
        "\n".join(f"http://127.0.0.1:{n} {WitnessKey(f'n{n}', bytes([n]) * 32).text}" for n in range(20)),
    ],
)
def test_a_witness_is_named_by_url_and_key(text):
    with pytest.raises(Misconfigured):
        parse_peers(text)


def test_the_setting_is_a_list(tmp_path):
    lines = [f"{peer.url} {peer.key.text}" for peer in PEERS]
    (tmp_path / "config.toml").write_text(f"[witness]\nurls = {lines!r}\n")
    assert parse_peers(config.load(tmp_path, {}).witness.urls) == tuple(PEERS)
    environment = {"CARELEDGER_WITNESS__URLS": ",".join(lines)}
    assert parse_peers(config.load(None, environment).witness.urls) == tuple(PEERS)
    (tmp_path / "config.toml").write_text("[witness]\nurls = [1]\n")
    with pytest.raises(Misconfigured):
        config.load(tmp_path, {})
