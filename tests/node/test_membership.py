"""What runs beside a node's sequencer: a peer is let in, dialled, and remembered; the signer is heard if it fails."""

from __future__ import annotations

import asyncio
import json
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from careledger.cli.errors import compute_exit_code
from careledger.engine import privval
from careledger.engine.logs import parse_line
from careledger.engine.signing_guard import GUARD_NAME, open_guard
from careledger.node import membership
from careledger.node import networking as networking_module
from careledger.node.config import load
from careledger.node.founders import begin_engine
from careledger.node.networking import Networking, open_own_validator
from careledger.node.statesync import OtherRecords
from careledger.primitives.errors import CareLedgerError, Conflict, Invalid, Misconfigured, Unavailable
from tests.engine.test_signer import vote
from tests.faults.rig import PASSPHRASE
from tests.node.solo import Solo, new_solo, solo_of

FIRST, NEWCOMER, MOVED = (
    f"{id * 40}@127.0.0.1:{port}" for id, port in (("a", 2000), ("b", 2001), ("b", 2002))
)


class Engine:
    """In place of the engine's process."""

    restarts = 0

    def restart(self) -> None:
        self.restarts += 1


def networking(node: Solo, *, relayed: bool = False) -> Networking:
    """The node's, as if its engine ran; the configuration names one peer."""
    if not node.home.layout.engine.exists():
        begin_engine(node.home.layout, b"{}")
    (node.home.layout.path / "config.toml").write_text(
        f'[network]\npeers = "{FIRST}"\nrelayed = {str(relayed).lower()}\n'
    )
    made = Networking(node.home, load(node.home.layout.path, {}), None, node.clock_ms)
    made.engine = Engine()  # type: ignore[assignment]
    return made


def admit(node: Solo, to: Networking, peer: str) -> Any:
    context: Any = SimpleNamespace(networking=to)
    return node.run(membership.admit_peer(context, {"peer": peer}, lambda _step: None))


def let_in(node: Solo) -> set[str]:
    settings = tomllib.loads((node.home.layout.engine / "config" / "config.toml").read_text())["p2p"]
    assert {peer.partition("@")[0] for peer in settings["persistent_peers"].split(",")} == set(
        settings["unconditional_peer_ids"].split(",")
    )
    return set(settings["persistent_peers"].split(","))


def test_a_peer_is_let_in_at_once_and_after_every_start(tmp_path: Path) -> None:
    with solo_of(new_solo(tmp_path / "home")) as node:
        to = networking(node)
        assert admit(node, to, NEWCOMER) == {"peer": NEWCOMER}
        assert let_in(node) == {FIRST, NEWCOMER}
        admit(node, to, NEWCOMER)
        assert to.engine is not None and to.engine.restarts == 1, "it was there already"
        admit(node, to, MOVED)
        assert let_in(node) == {FIRST, MOVED} and to.engine.restarts == 2
        assert [str(peer) for peer in networking(node).peers] == [FIRST, MOVED]
        for refused, error in (
            ("nobody", Invalid),
            (f"{'a' * 39}@127.0.0.1:1", Invalid),
            (f"{'a' * 40}@127.0.0.1:2009", Conflict),  # the configuration says where it is
        ):
            with pytest.raises(error):
                admit(node, to, refused)
        assert let_in(node) == {FIRST, MOVED} and to.engine.restarts == 2
        with pytest.raises(Misconfigured):
            admit(node, None, NEWCOMER)  # type: ignore[arg-type]  # the home is not served


def test_a_peer_that_moved_is_dialled_through_one_link(tmp_path: Path) -> None:
    with solo_of(new_solo(tmp_path / "home")) as node:
        to = networking(node, relayed=True)
        admit(node, to, NEWCOMER)
        (before,) = to._dialled.values()
        admit(node, to, MOVED)
        (after,) = to._dialled.values()
        assert any(str(after) in peer for peer in let_in(node))

        async def dial() -> None:
            await asyncio.open_connection(before.host, before.port)

        with pytest.raises(ConnectionRefusedError):
            node.run(dial())
        node.run(to._relays.stop())


def test_a_link_that_is_cut_stays_cut_when_the_node_starts_again(tmp_path: Path) -> None:
    with solo_of(new_solo(tmp_path / "home")) as node:
        peer = FIRST.partition("@")[0]
        for cut in (frozenset({peer}), frozenset[str]()):
            node.run(networking(node, relayed=True).cut(cut))
            again = networking(node, relayed=True)
            node.run(again._open_links())
            assert frozenset(again._relays.list_cut()) == cut and len(again._dialled) == 1
            node.run(again._relays.stop())


def test_a_validator_does_not_fall_silent_unseen(tmp_path: Path) -> None:
    class Broken:
        is_closed = False

        async def run(self, path: Path) -> None:
            raise RuntimeError("a defect")

        def close(self) -> None:
            self.is_closed = True

    with solo_of(new_solo(tmp_path / "home")) as node:
        signer: Any = Broken()
        with pytest.raises(RuntimeError):
            node.run(networking(node)._sign(signer, node.sequencer.fail))
        assert node.sequencer.failed.is_set() and signer.is_closed


def test_a_validator_whose_guard_is_taken_follows_in_silence(tmp_path: Path) -> None:
    """Without its key the engine would not start, and the node could not even follow."""
    with solo_of(new_solo(tmp_path / "home")) as node:
        made, layout, chain = networking(node), node.home.layout, node.home.the_ledger.chain_id
        key = made._key = open_own_validator(layout, PASSPHRASE)
        assert key is not None
        taken = open_guard(layout.engine / GUARD_NAME, chain, key.public, used=False)
        signer = made._open_signer()
        taken.close()
        assert signer is not None
        asked = privval.SignerMessage(pub_key_request=privval.PubKeyRequest(chain_id=chain))
        shown = signer.answer(asked.SerializeToString()).pub_key_response
        assert shown.pub_key.ed25519 == key.public
        request = privval.SignVoteRequest(vote=vote(), chain_id=chain)
        refused = signer.answer(privval.SignerMessage(sign_vote_request=request).SerializeToString())
        assert "another process signs" in refused.signed_vote_response.error.description
        assert not refused.signed_vote_response.vote.signature
        made.state_sync, made.signer = SimpleNamespace(problem=""), signer  # type: ignore[assignment]
        node.block()
        served: Any = SimpleNamespace(home=node.home, backend=node.backend, networking=made)
        (said,) = membership.list_problems(served)
        assert said.startswith("the validator signs nothing: another process signs")


LAST_WORDS = {"level": "error", "_msg": "State sync failed", "module": "statesync"}


@pytest.mark.parametrize(
    ("known", "said", "exit_code"),
    [
        (None, "failed to verify header", 7),
        (
            OtherRecords("the ledger holds anchors that this home does not know", hint="restore it"),
            "abort",
            5,
        ),
    ],
)
def test_a_beginning_that_failed_ends_the_node_with_a_code_and_what_to_do(
    tmp_path: Path, known: OtherRecords | None, said: str, exit_code: int
) -> None:
    with solo_of(new_solo(tmp_path / "home")) as node:
        to = networking(node)
        to.state_sync = SimpleNamespace(failure=known)  # type: ignore[assignment]
        line = parse_line(json.dumps({**LAST_WORDS, "err": said}).encode())
        for one in (parse_line(b'{"level":"error","_msg":"dial failed"}'), line):
            assert not to._over.is_set()
            to._heard(one.level, one.event, one.fields)
        with pytest.raises(CareLedgerError) as ended:
            node.run(to.ended())
        assert compute_exit_code(ended.value) == exit_code and ended.value.hint
        assert ended.value is known or said in ended.value.message


@pytest.mark.parametrize(("code", "stays"), [("profile-differs", True), ("unavailable", False)])
def test_before_an_upgrade_the_engine_gives_the_last_block_to_the_others(
    monkeypatch: pytest.MonkeyPatch, code: str, stays: bool
) -> None:
    monkeypatch.setattr(networking_module, "LAST_BLOCK_SECONDS", 3600.0)

    async def is_on() -> bool:
        stopped, failed = asyncio.Event(), asyncio.Event()
        failed.set()

        def check_health() -> None:
            raise Unavailable("the next block is not this program's", code=code)

        async def stop() -> None:
            stopped.set()

        sequencer: Any = SimpleNamespace(failed=failed, check_health=check_health)
        engine: Any = SimpleNamespace(stop=stop)
        stopping = asyncio.create_task(Networking._stop_with(sequencer, engine))
        await asyncio.wait([stopping], timeout=0.1)
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)
        return not stopped.is_set()

    assert asyncio.run(is_on()) is stays
