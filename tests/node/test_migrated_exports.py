"""An export of a chart that came with an embedded ledger proves both of its pasts, and cannot leave one out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from careledger.access import standing
from careledger.ledger import export_verification as verification
from careledger.ledger.execution import History
from careledger.ledger.export_verification import VerifiedExport, compute_roots
from careledger.ledger.light_files import NetworkTrust
from careledger.ledger.proof_files import SignedPart
from careledger.node import exports, former
from careledger.node.migrating import migrate
from careledger.primitives.errors import VerificationFailed
from tests.faults.rig import PASSPHRASE, node_of
from tests.node.solo import Solo, solo_of
from tests.node.test_exports import export as export_embedded
from tests.node.test_joining import PLACE, Member
from tests.node.test_migrating import Before, admit, cheap_keys, elsewhere, send
from tests.verifier.twins import EXPORTS, STANDALONE

__all__ = ["cheap_keys"]
DAY_MS = 86_400_000


class Scene:
    """Ada's chart before and after: two looks by her directive, one on each ledger; and its export of before."""

    def __init__(self, node: Solo, before: Before, earlier: bytes) -> None:
        self.node, self.before, self.earlier = node, before, earlier
        self._app_hashes: dict[int, bytes] = {}

    def chart(self, who: str) -> int:
        with self.node.reader.snapshot() as snapshot:
            found = snapshot.chart_ever_of(who)
        assert found is not None
        return found

    def export(self, who: str = "ada", *, whole: bool = True) -> bytes:
        """As the command writes it, under a header that every reader trusts."""
        node, file = self.node, BytesIO()
        while node.home.access.changed:
            node.sequencer._anchored_at = 0.0
            node.run(asyncio.sleep(0.02))
            node.block()
        node.anchor()
        node.now_ms += 1
        node.empty_block()
        self._app_hashes[node.home.height] = node.home.the_ledger.app_hash
        context: Any = SimpleNamespace(home=node.home, reader=node.reader)
        view = exports.take_view(context, self.chart(who), (), whole=whole)
        try:
            exports.write_export(view, file, lambda _step: None)
        finally:
            view.close()
        return file.getvalue()

    def verify(self, data: bytes, earlier: bytes | None = None) -> VerifiedExport:
        """Both verifiers say the same, but for the words of a refusal."""
        self.newest = int(json.loads(data)["block"]["height"])
        refused = ""
        try:
            EXPORTS.verify_export(data, b"", earlier, 0)
        except STANDALONE.Refused as error:
            refused = str(error)
        try:
            found = verification.verify_export(data, b"", earlier, now_ms=0)
        except VerificationFailed:
            assert refused
            raise
        assert not refused
        return found

    def standalone_trust(self, _: bytes) -> dict[str, Any]:
        trust = self.trust(b"")
        header = {"app_hash": trust.point.app_hash}
        return {"mode": "network", "chain": trust.chain, "size": trust.size, "header": header}

    def standalone_ledger(self, _: Any, export: Any, org: bytes, newest: bytes, *__: Any) -> Any:
        state = EXPORTS.state_root(export, org, newest)
        if state != self._app_hashes[export["block"]["height"]]:
            raise STANDALONE.Refused("another state")
        roots = EXPORTS.history_roots(export["history"])
        return "final", max(roots), roots[max(roots)], state

    def trust(self, _: bytes) -> NetworkTrust:
        chain_id, app_hash = self.node.home.the_ledger.chain_id, self._app_hashes[self.newest]
        point: Any = SimpleNamespace(chain_id=chain_id, height=self.newest + 1, app_hash=app_hash)
        return NetworkTrust(point, None)

    def check_ledger(self, export: Any, state: bytes, *_: Any) -> tuple[str, History]:
        """The light client's part, which has tests of its own."""
        if state != self._app_hashes[export.block.height]:
            raise VerificationFailed("another state")
        return "final", History(export.history.sizes[-1], compute_roots(export.history)[-1])


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    before = Before(tmp_path / "clinic")
    with node_of(before.path) as node:
        for _ in range(40):  # the embedded ledger is higher than the network will be
            node.command("checkpoint")
            node.client.get("Observation/of-ada")
        earlier = export_embedded(node, "ada")
    migrated = migrate(before.path, PASSPHRASE, Member().file(), PLACE)
    with solo_of(before.path) as solo:
        scene = Scene(solo, before, earlier)
        monkeypatch.setattr(exports, "_sign", lambda home, txn: (SignedPart(), home.height))
        monkeypatch.setattr(verification, "read_any_trust", scene.trust)
        monkeypatch.setattr(verification.proofs, "check_ledger", scene.check_ledger)
        monkeypatch.setattr(EXPORTS, "read_trust", scene.standalone_trust)
        monkeypatch.setattr(EXPORTS, "check_ledger", scene.standalone_ledger)
        monkeypatch.setattr(EXPORTS, "read_signed", lambda signed, *_: signed)
        solo.block()
        admit(solo, migrated)
        send(solo, former.compose_adoption(solo.home))
        for message in former.compose_following(solo.home):
            send(solo, message)
        assert elsewhere(solo).get("Observation/of-ada").status == 200
        yield scene


def test_both_pasts_verify_together(scene: Scene) -> None:
    data = scene.export()
    shown = json.loads(data)
    assert shown["former"]["last"]["block"]["height"] > shown["block"]["height"]
    found = scene.verify(data)
    assert (found.directives, found.without_force, found.level) == (1, 0, "final")
    assert found.rules["directive-permit"] == 1
    assert scene.verify(scene.export(whole=False)).accesses == found.accesses
    assert scene.verify(data, scene.earlier).earlier is not None, "it continues the export of before"
    scene.node.client.put("/Patient/dora", {"resourceType": "Patient", "id": "dora"})
    assert scene.node.client.get("/Patient/dora").status == 200
    assert "former" not in json.loads(scene.export("dora"))
    scene.verify(scene.export("dora"))


def test_a_revocation_on_the_network_ends_what_followed(scene: Scene) -> None:
    send(scene.node, scene.before.revocation.message, None, scene.before.revocation)
    data = scene.export()
    assert scene.verify(data).rules["directive-permit"] == 1, "it was allowed when it was looked at"
    kept = json.loads(data)["directives"][0]["kept"]
    assert [set(part) >= {"height"} for part in kept["withdrawn"]].count(True) == 1


def test_a_look_after_the_withdrawal_is_refused(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a node that goes on to let somebody look: its own export convicts it."""
    with monkeypatch.context() as lying:
        lying.setattr(standing, "withdrawal_keys", lambda *_: ())
        send(scene.node, scene.before.revocation.message, None, scene.before.revocation)
        assert elsewhere(scene.node).get("Observation/of-ada").status == 200
    with pytest.raises(VerificationFailed, match="not in force"):
        scene.verify(scene.export())


def _alter(change: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    def altered(data: bytes) -> bytes:
        shown = json.loads(data)
        change(shown)
        return json.dumps(shown, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()

    return altered


ALTERED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "left-out": (lambda s: s.pop("former"), "later than the block"),
    "another-ledger": (lambda s: s["former"].update(genesis=s["former"]["root"]), "was adopted"),
    "longer": (lambda s: s["former"].update(size=s["former"]["size"] + 1), "was adopted"),
    "another-last-block": (
        lambda s: s["former"]["last"]["block"].update(height=1),
        "later than the block|last block",
    ),
    "fewer-entries-before": (
        lambda s: s["former"]["last"]["access"].update(size=s["former"]["last"]["access"]["size"] - 1),
        "later than the block|history",
    ),
    "nothing-followed": (lambda s: s["directives"][0].pop("kept"), "missing"),
    "never-withdrawn": (lambda s: s["directives"][0]["kept"].update(withdrawn=[]), "not shown"),
    "another-entry": (lambda s: s["directives"][0]["kept"]["said"].update(until=1), "not in the state"),
}


def test_what_is_left_out_or_altered_is_refused(scene: Scene) -> None:
    data = scene.export()
    for name, (change, why) in ALTERED.items():
        with pytest.raises(VerificationFailed, match=why):
            scene.verify(_alter(change)(data))
            raise AssertionError(name)
