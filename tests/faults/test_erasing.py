"""What is erased is gone from the home, whatever key of the home is tried; everything else stays and stays provable."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from careledger.ledger.export_verification import verify_export
from careledger.node import backup
from careledger.node.home import OpenHome, open_keys
from careledger.node.layout import Layout, _mark
from careledger.primitives.errors import CareLedgerError, Conflict, Corrupt, Invalid, NotFound
from careledger.vault import journal as frames
from careledger.vault import records
from careledger.vault.journal import Journal, start_position
from careledger.vault.keystore import ForeignKeys, KeyStore
from tests.faults import rig
from tests.faults.opening import open_everything
from tests.faults.rig import (
    PASSPHRASE,
    Node,
    appointment,
    copy_home,
    impatient,
    new_home,
    node_of,
    observation,
    patient,
)
from tests.faults.scanning import Scanner
from tests.verifier.twins import EXPORTS, verdict

ERASED, KEPT = "31.4159265", "27.1828182"
"""Values that the erased version and others hold."""
MISFILED = "Observation/o/_history/2"


def fill(node: Node) -> None:
    """Three patients; one misfiled version; resources of two charts, resources that moved."""
    put = node.client.put
    for who in ("ada", "ben", "cyd"):
        assert put(f"Patient/{who}", patient(who, f"Quill-{who}")).status == 201
    for value in (KEPT, ERASED, KEPT):
        put("Observation/o", note(observation("o", "ada", 1), value))
    put("Appointment/first", appointment("first", ["ada", "ben"]))
    put("Appointment/second", appointment("second", ["ben", "ada"]))
    put("Observation/came", observation("came", "ben", 1))
    put("Observation/came", observation("came", "ada", 2))
    put("Observation/went", observation("went", "ada", 1))
    put("Observation/went", observation("went", "ben", 2))
    put("Observation/back", observation("back", "ben", 1))
    put("Observation/back", observation("back", "ada", 2))
    put("Observation/back", observation("back", "ben", 3))
    for number in range(40):
        put(f"Observation/n{number}", note(observation(f"n{number}", "ada", number), KEPT))


def note(resource: dict[str, Any], text: str) -> dict[str, Any]:
    return {**resource, "note": [{"text": text}], "identifier": [{"system": "urn:x", "value": text}]}


def statuses(node: Node, *names: str) -> list[int]:
    return [node.client.get(name).status for name in names]


@contextmanager
def filled(path: Path) -> Iterator[Node]:
    with node_of(new_home(path)) as node:
        node.service.reader.on_forget.append(node.client.app.forget)
        fill(node)
        yield node


def erase(node: Node, reference: str = MISFILED) -> dict[str, Any]:
    return node.command("erase", reference=reference, reason="filed under the wrong name")


def shred(node: Node, who: str = "ada") -> dict[str, Any]:
    return node.command("shred", patient=who, reason="asked for by the patient")


# -- one version ------------------------------------------------------------------------------------------------


def test_an_erased_version_is_gone_and_nothing_else_is(tmp_path: Path) -> None:
    with filled(tmp_path / "home") as node:
        get = node.client.get
        others = ("Observation/o", "Observation/o/_history/1", "Appointment/first", "Patient/ben")
        before = {name: get(name).body for name in others}
        receipts = {name: node.command("receipt", reference=name)["file"].encode() for name in others}
        old = node.command("receipt", reference=MISFILED)["file"].encode()
        assert ERASED in get(MISFILED).body.decode()
        assert json.loads(get(f"Observation?identifier={ERASED}&patient=ada").body)["total"] == 0
        erase(node)
        assert get(MISFILED).status == 410
        assert {name: get(name).body for name in others} == before
        entries = json.loads(get("Observation/o/_history").body)["entry"]
        assert [entry["response"]["status"][:3] for entry in entries] == ["200", "410", "201"]
        assert ["resource" in entry for entry in entries] == [True, False, True]
        trust = node.command("checkpoint")["file"].encode()
        for receipt in (*receipts.values(), old):
            assert verdict(receipt, trust) == "anchored"
        with pytest.raises(NotFound):
            node.command("receipt", reference=MISFILED)
        for refused, kind in (
            (MISFILED, Conflict),
            ("Observation/o", Invalid),
            ("Observation/no/_history/1", NotFound),
        ):
            with pytest.raises(kind):
                erase(node, refused)
        assert node.fsck() == []
        with node.service.reader.snapshot() as snapshot:
            chart = snapshot.chart_of("ada")
            assert chart is not None
            bare = [at for at in range(20) if snapshot.is_erased(chart, at)]
            version = snapshot.version("Observation", "o", 2)
            assert version is not None and bare == [version.leaf]
        erase(node, "Observation/o/_history/3")
        assert statuses(node, "Observation/o", "Observation/o/_history/1") == [410, 200]
        assert node.client.put("Observation/o", observation("o", "ada", 5)).status == 201
        assert json.loads(get("Observation?patient=ada&_summary=count").body)["total"] == 42
        assert node.fsck() == []


def test_an_export_shows_what_was_erased_as_a_bare_leaf(tmp_path: Path) -> None:
    """Both verifiers find the chart whole: the key event names what is bare."""
    with filled(tmp_path / "home") as node:
        trust = node.command("checkpoint")["file"].encode()
        erase(node)
        node.client.put("Observation/o", observation("o", "ada", 6))
        file = tmp_path / "export"
        node.command("chart.export", patient="ada", path=str(file))
        entries = json.loads(file.read_bytes())["entries"]
        bare = [at for at, entry in enumerate(entries) if set(entry) == {"leaf"}]
        named = [json.loads(entry["body"])["leaves"] for entry in entries if entry.get("kind") == "key"]
        assert named == [bare] and len(bare) == 1
        assert ERASED.encode() not in file.read_bytes()
        assert verify_export(file.read_bytes(), trust).kinds["erased"] == 1
        EXPORTS.verify_export(file.read_bytes(), trust)
        shred(node)
        with pytest.raises(NotFound, match="shredded"):
            node.command("chart.export", patient="ada", path=str(file))
        node.client.get("Patient/ben")
        log = tmp_path / "log"
        node.command("access_log.export", patient="ada", path=str(log))
        assert verify_export(log.read_bytes(), trust).accesses >= 1
        EXPORTS.verify_export(log.read_bytes(), trust)


def test_terms_that_only_the_erased_version_had_are_gone(tmp_path: Path) -> None:
    with node_of(new_home(tmp_path / "home")) as node:
        put = node.client.put
        put("Patient/ada", patient("ada", "Misspelt"))
        put("Patient/ada", patient("ada", "Quill"))
        put("Device/d", {"resourceType": "Device", "id": "d", "patient": {"reference": "Patient/ada"}})
        tables = node.service.context.home.tables
        terms = lambda: [len(list(node_terms(node, name))) for name in ("find", "visit")]  # noqa: E731
        finds, visits = terms()
        erase(node, "Patient/ada/_history/1")
        now = terms()
        assert now[0] < finds, "names of the erased version"
        erase(node, "Device/d/_history/1")
        assert terms()[1] < visits, "no Device is in the chart any more"
        assert node.fsck() == []
        assert tables is node.service.context.home.tables


def node_terms(node: Node, name: str) -> Iterator[bytes]:
    tables = node.service.context.home.tables
    with tables.env.begin() as txn, txn.cursor(getattr(tables, name)) as cursor:
        yield from cursor.iternext(keys=True, values=False)


def test_no_key_of_the_home_opens_what_was_erased(tmp_path: Path) -> None:
    """Each key of the store is tried on each record, as it is now; the scanner reads every byte besides."""
    path = tmp_path / "home"
    with filled(path):
        pass
    loot = open_everything(path)
    assert loot.holds(ERASED)
    assert loot.holds(KEPT)
    with node_of(path) as node:
        assert ERASED in node.client.get(MISFILED).body.decode()  # it was in the caches
        erase(node)
    left = open_everything(path)
    assert not left.holds(ERASED)
    assert left.holds(KEPT)
    assert set(loot.secrets) - set(left.secrets) and len(set(loot.secrets) - set(left.secrets)) == 1
    with node_of(path) as node:
        shred(node)
        assert node.fsck() == []
    left = open_everything(path)
    assert not left.holds(KEPT)
    assert not left.holds("Quill-ada")
    assert left.holds("Quill-ben")
    assert Scanner([ERASED, KEPT, "Quill-ada"]).scan_home(path) == {}


def test_blind_terms_leave_the_file_with_the_version(tmp_path: Path) -> None:
    path = tmp_path / "home"
    with filled(path) as node:
        keyring = node.service.reader.keyring
        token = keyring.token("Observation", "n7")
        with node.service.reader.snapshot() as snapshot:
            assert snapshot.current("Observation", "n7") is not None
        shred(node)
    assert token not in (path / "index" / "data.mdb").read_bytes()


# -- a chart ----------------------------------------------------------------------------------------------------


def test_a_shredded_chart_is_absent_and_every_other_proof_holds(tmp_path: Path) -> None:
    with filled(tmp_path / "home") as node:
        get = node.client.get
        receipt = node.command("receipt", reference="Patient/ben")["file"].encode()
        hers = node.command("receipt", reference="Patient/ada")["file"].encode()
        assert get("Patient/ada").status == 200
        done = shred(node)
        certificate = done["certificate"].encode()
        header = json.loads(certificate)["header"]
        assert (header["kind"], header["type"]) == ("close", "KeyEvent")
        trust = node.command("checkpoint")["file"].encode()
        assert {verdict(one, trust) for one in (receipt, hers, certificate)} == {"anchored"}
        again = shred(node)
        assert again["again"] and json.loads(again["certificate"])["header"] == header
        assert (
            statuses(node, "Patient/ada", "Observation/o", "Observation/o/_history/1", "Observation/n3")
            == [404] * 4
        )
        assert get("Patient/ada/$everything").status == 404
        for query in (
            "Patient?family=Quill-ada",
            "Observation?patient=ada",
            f"Observation?identifier={KEPT}",
        ):
            assert json.loads(get(query).body)["total"] == 0, query
        # what others' charts hold stays theirs; what had left them for hers does not come back
        assert statuses(node, "Appointment/first", "Appointment/second") == [200, 200]
        assert statuses(node, "Observation/went", "Observation/went/_history/1") == [200, 404]
        assert statuses(node, "Observation/came", "Observation/came/_history/1") == [410, 200]
        assert statuses(node, "Observation/back", "Observation/back/_history/1") == [200, 200]
        assert node.client.send("DELETE", "Appointment/first").status == 204
        for write in (patient("ada"), observation("new", "ada", 1)):
            refused = node.client.put(f"{write['resourceType']}/{write['id']}", write)
            assert refused.status == 400 and b"chart-closed" in refused.body
        assert node.client.put("Patient/dee", patient("dee")).status == 201
        assert [entry["kind"] for entry in node.command("access_log", patient="ada")["entries"]]
        assert node.fsck() == []
        shred(node, "ben")
        assert (
            statuses(node, "Appointment/first", "Observation/went", "Observation/back/_history/1")
            == [404] * 3
        )
        assert node.fsck() == []


def test_a_reader_that_nobody_told_notices_by_itself(tmp_path: Path) -> None:
    """Between the block and the word to the workers, a request may come: its snapshot says that caches are stale."""
    with filled(tmp_path / "home") as node:
        other = node.service.context.home.reader(1 << 20)
        with other.snapshot() as snapshot:
            version = snapshot.current("Patient", "ada")
            assert version is not None and snapshot.body(version)
        shred(node)
        with other.snapshot() as snapshot:
            assert snapshot.chart_of("ada") is None
        assert (
            other.cache.get((version.chart, version.leaf, version.version, version.id, version.type)) is None
        )


def test_a_rebuilt_index_and_a_restored_backup_come_to_the_same(tmp_path: Path) -> None:
    path = tmp_path / "home"
    with filled(path) as node:
        erase(node, "Appointment/first/_history/1")
        erase(node)
        node.client.put("Observation/later", observation("later", "ada", 1))
        shred(node)
        erase(node, "Observation/went/_history/2")
        state = node.state()
        node.command("backup", path=str(tmp_path / "backup"))
    backup.restore(tmp_path / "backup", tmp_path / "restored", PASSPHRASE)
    for home in (copy_home(path, tmp_path / "rebuilt"), tmp_path / "restored", path):
        with node_of(home) as node:
            assert node.fsck() == []
            assert statuses(node, "Patient/ada", "Patient/ben", "Observation/went") == [404, 200, 410]
            assert node.state()[0] >= state[0]
        assert not open_everything(home).holds(ERASED)


def test_a_missing_key_is_damage_unless_a_later_record_destroyed_it(tmp_path: Path) -> None:
    path = tmp_path / "home"
    with filled(path):
        pass
    _, keys = open_keys(Layout(path), PASSPHRASE)
    old = shutil.copytree(path / "keys", tmp_path / "old-keys")
    keys = KeyStore.add_epoch(path / "keys", keys)
    KeyStore.destroy_epoch(path / "keys", keys, keys.epoch - 1)
    shutil.rmtree(path / "index")
    with pytest.raises(Corrupt, match="exists no more"):
        Node(path)
    shutil.rmtree(path / "keys")
    shutil.copytree(old, path / "keys")
    with node_of(path) as node:
        erase(node)
    shutil.rmtree(path / "keys")
    shutil.copytree(old, path / "keys")
    with pytest.raises(ForeignKeys, match="older"):
        Node(path)


def test_what_was_sealed_under_replaced_keys_is_sealed_again(tmp_path: Path) -> None:
    """A worker that sealed before the erasure, and asks after it, must not lose its write."""
    with filled(tmp_path / "home") as node:
        backend, commit = node.service.context.backend, node.service.context.sequencer.commit
        sealed: list[Any] = []

        async def late(one: Any) -> Any:
            if not sealed:
                sealed.append(one)
                await node.service.command("erase", {"reference": MISFILED, "reason": "x"}, lambda _: None)
            return await commit(one)

        backend._order.commit = late  # type: ignore[attr-defined]
        writes = {"resourceType": "Bundle", "type": "transaction", "entry": []}
        for one in (observation("late", "ada", 7), patient("eve"), observation("eves", "eve", 8)):
            url = f"{one['resourceType']}/{one['id']}"
            writes["entry"].append({"resource": one, "request": {"method": "PUT", "url": url}})  # type: ignore[attr-defined]
        assert node.client.post("", writes).status == 200
        assert sealed
    with node_of(tmp_path / "home") as node:
        assert statuses(node, "Observation/late", "Patient/eve", "Observation/eves") == [200] * 3
        assert node.fsck() == []


def test_who_asked_may_go_away_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C at the command line, or a stop of the node: what has begun is finished, and the node goes on."""
    monkeypatch.setattr(rig, "WAIT_SECONDS", 15.0)

    async def begin_and_go(node: Node) -> None:
        asked = asyncio.ensure_future(
            node.service.command("erase", {"reference": MISFILED, "reason": "x"}, lambda _: None)
        )
        for _ in range(4):
            await asyncio.sleep(0)
        assert node.service.context.sequencer.steady.locked()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked

    with filled(tmp_path / "home") as node, impatient():
        node.run(begin_and_go(node))
        assert node.client.put("Observation/more", observation("more", "ada", 1)).status == 201
        assert node.client.get(MISFILED).status == 410
        assert node.fsck() == []
    with node_of(tmp_path / "home") as node, impatient():

        async def shred_and_go() -> None:
            asked = asyncio.ensure_future(
                node.service.command("shred", {"patient": "ada", "reason": "x"}, lambda _: None)
            )
            for _ in range(4):
                await asyncio.sleep(0)
            assert node.service.context.sequencer.steady.locked()
            asked.cancel()

        node.run(shred_and_go())  # and the node stops
    with node_of(tmp_path / "home") as node:
        assert node.client.get("Patient/ada").status == 404
        assert node.fsck() == []


# -- kill -9 ----------------------------------------------------------------------------------------------------


ENDED_S = 10


class Killed(BaseException):
    """The process ends here."""


def die(*_: object, **__: object) -> None:
    raise Killed


def give_back(node: Node) -> None:
    """What the system takes from a killed process: its files. Nothing is finished."""
    tasks = asyncio.all_tasks(node.loop)
    for task in tasks:
        task.cancel()
    if tasks:  # some end in several steps: none may be left to a closed loop
        node.loop.run_until_complete(asyncio.wait(tasks, timeout=ENDED_S))
    node.service.context.home.close()
    node.loop.close()


def after(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*arguments: Any, **named: Any) -> None:
        function(*arguments, **named)
        raise Killed

    return run


def on_commit_frame(append: Callable[..., int], *, done: bool) -> Callable[..., int]:
    def run(self: Journal, kind: int, content: Any) -> int:
        content = list(content)
        due = any(one[0] == records.DESTROY for one in content) or kind == frames.COMMITTED
        if due and not done:
            raise Killed
        found = append(self, kind, content)
        if due and kind == frames.COMMITTED:
            raise Killed
        return found

    return run


STEPS: dict[str, tuple[Any, str, Callable[[Any], Any], bool]] = {
    "before the new master": (KeyStore, "add_epoch", lambda _: staticmethod(die), False),
    "after the new master": (KeyStore, "add_epoch", lambda old: staticmethod(after(old)), False),
    "before the block": (Journal, "append", lambda old: on_commit_frame(old, done=False), False),
    "the block is journalled": (Journal, "append", lambda old: on_commit_frame(old, done=True), True),
    "before the old master goes": (OpenHome, "destroy_due", lambda _: die, True),
    "after the old master went": (OpenHome, "destroy_due", after, True),
}


@pytest.mark.parametrize("what", ["erase", "shred"])
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_leaves_the_old_state_or_the_new_one(
    step: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name, bent, done = STEPS[step]
    path = tmp_path / "home"
    node = Node(new_home(path))
    with impatient():
        fill(node)
        node.rest()
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, bent(getattr(owner, name)))
            with pytest.raises(Killed):
                (erase if what == "erase" else shred)(node)
    killed = copy_home(path, tmp_path / "killed", index=True)
    give_back(node)
    (killed / "running").write_text(_mark(Layout(killed)))
    for index in (True, False):
        copy = copy_home(killed, tmp_path / f"copy-{index}", index=index)
        if index:
            (copy / "running").write_text(_mark(Layout(copy)))
        with node_of(copy) as again:
            gone = 410 if what == "erase" else 404
            assert statuses(again, MISFILED, "Patient/ben") == [gone if done else 200, 200]
            assert again.fsck() == []
            assert not done or len(again.service.context.home.keys.wrap_masters) == 1
        assert open_everything(copy).holds(ERASED) is not done
        if not done:  # the next try works
            with node_of(copy) as again:
                (erase if what == "erase" else shred)(again)
                assert again.fsck() == []
            assert not open_everything(copy).holds(ERASED)


def test_a_rewrite_of_the_key_store_that_was_cut_short_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the new file and the end of the old bytes: they have a name until a start overwrites them."""
    path = tmp_path / "home"
    with filled(path):
        pass
    _, keys = open_keys(Layout(path), PASSPHRASE)
    keys = KeyStore.add_epoch(path / "keys", keys)
    held = (path / "keys" / "keystore").open("rb")
    before = held.read()
    from careledger.vault import keystore

    real, calls = keystore._scrub, []
    monkeypatch.setattr(
        keystore, "_scrub", lambda folder: die() if calls else (calls.append(1), real(folder))
    )
    with pytest.raises(Killed):
        KeyStore.destroy_epoch(path / "keys", keys, keys.epoch - 1)
    monkeypatch.undo()
    assert sorted(file.name for file in (path / "keys").iterdir()) == ["keystore", "keystore.old"]
    KeyStore.add_epoch(path / "keys", keys)  # any later rewrite does it, a start too
    held.seek(0)
    assert held.read() != before
    assert [file.name for file in (path / "keys").iterdir()] == ["keystore"]
    held.close()


# -- fault catalogue G6, G7 -------------------------------------------------------------------------------------


def test_no_nonce_or_key_is_used_twice_over_a_run_of_erasures(tmp_path: Path) -> None:
    """G6: what is sealed anew has new nonces, secrets stay single. G7: equal content, unrelated commitments."""
    path = new_home(tmp_path / "home")
    with node_of(path) as node:
        node.client.put("Patient/ada", patient("ada"))
        for number in range(60):
            node.client.put(
                f"Basic/same{number}",
                {
                    "resourceType": "Basic",
                    "id": f"same{number}",
                    "code": {"text": "same"},
                    "subject": {"reference": "Patient/ada"},
                },
            )
        for number in range(4):
            erase(node, f"Basic/same{number}/_history/1")
    _, keys = open_keys(Layout(path), PASSPHRASE)
    journal = Journal.open(Layout(path).journal, keys.home_id, keys.journal_key, write=False)
    nonces: list[bytes] = []
    leaves: list[bytes] = []
    wraps: list[bytes] = []
    for frame in journal.frames(start_position(keys.home_id)):
        for record in frame.records():
            if record.kind == records.VERSION:
                version = records.unpack_version(record.content)
                nonces.append(version.meta[:12])
                leaves.append(version.leaf)
            elif record.kind == records.RESEAL:
                reseal = records.unpack_reseal(record.content)
                nonces += [one.meta[:12] for one in reseal.metas]
                wraps.append(reseal.wrap[4:16])
            elif record.kind == records.REWRAP:
                wraps.append(records.unpack_rewrap(record.content)[1][4:16])
    journal.close()
    assert len(nonces) > 300 and len(set(nonces)) == len(nonces)
    assert len(wraps) == 8 and len(set(wraps)) == 8
    assert len(set(leaves)) == len(leaves)
    bits = sum(byte.bit_count() for leaf in leaves for byte in leaf) / (len(leaves) * 256)
    assert abs(bits - 0.5) < 0.05
    loot = open_everything(path)
    assert len(set(loot.secrets.values())) == len(loot.secrets)


def test_a_re_sealed_secret_opens_at_its_own_leaf_alone(tmp_path: Path) -> None:
    """G6: put in another leaf's place, or in another chart's, it is refused."""
    with filled(tmp_path / "home") as node:
        erase(node)
        home = node.service.context.home
        with home.tables.env.begin(write=True) as txn, txn.cursor(home.tables.reseal) as cursor:
            items = list(cursor.iternext(keys=True, values=True))
            txn.put(items[5][0], items[6][1], db=home.tables.reseal)
        with node.service.reader.snapshot() as snapshot:
            chart, leaf = int.from_bytes(items[5][0][:4], "big"), int.from_bytes(items[5][0][5:], "big")
            with pytest.raises(Corrupt):
                snapshot.open_leaf(chart, leaf)
        assert node.fsck() != []


# -- duties -----------------------------------------------------------------------------------------------------


def test_a_duty_to_keep_refuses_with_rule_and_date(tmp_path: Path) -> None:
    path = tmp_path / "home"
    with filled(path):
        pass
    (path / "config.toml").write_text("[retention]\nmedical_records_years = 10\n")
    with node_of(path) as node:
        for refused in (erase, shred):
            with pytest.raises(
                CareLedgerError, match=r"medical-records \(10 years .* until 20\d\d-\d\d-\d\d"
            ) as error:
                refused(node)
            assert error.value.code == "retention-duty"
        assert statuses(node, MISFILED, "Patient/ada") == [200, 200]
    (path / "config.toml").write_text("[retention]\nbilling_years = 10\n")
    with node_of(path) as node:
        erase(node)
        shred(node)
