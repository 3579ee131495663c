"""A home is made whole, or nothing of it stays: keys, genesis, journal, the house chart; `home.json` last."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from careledger.ledger.genesis import Genesis, compute_chain_id, compute_genesis_hash
from careledger.ledger.store.lmdb import LmdbKV
from careledger.node import founding
from careledger.node.heads import head_changes
from careledger.node.home import OpenHome
from careledger.node.layout import FORMAT, NAME_BYTES_MAX, HomeFile, Layout, mark_stopped
from careledger.primitives.errors import Invalid, Misconfigured
from careledger.primitives.types import did_text
from careledger.vault import records
from careledger.vault.journal import COMMITTED as FRAME_COMMITTED
from careledger.vault.journal import Journal, pack_record
from careledger.vault.keystore import Keys, KeyStore
from careledger.vault.model import HOUSE_CHART
from careledger.vault.sealer import new_chart
from careledger.vault.tables import RECORD_LOG

HOUSE_TOKEN_TERM = ("Organization", "")
"""The house chart is found by the blind token of this name, which no resource can have."""


def init(path: Path, name: str, passphrase: str) -> HomeFile:
    """Make a home: fresh keys, genesis, the organisation registered, the house chart begun. Raises if one is there."""
    layout = Layout(path)
    if layout.file.exists():
        raise Misconfigured(
            f"there is a home at {path} already", hint="choose another folder", code="home-exists"
        )
    if path.exists() and any(entry.name != "config.toml" for entry in path.iterdir()):
        raise Misconfigured(f"{path} is not empty", hint="choose an empty folder", code="folder-not-empty")
    if not name.strip() or len(name.encode()) > NAME_BYTES_MAX:
        raise Invalid("the organisation's name is empty or too long", hint=f"1 to {NAME_BYTES_MAX} bytes")
    existed = path.exists()
    try:
        layout.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        keys = KeyStore.create(layout.keys, passphrase)
        now_ms = time.time_ns() // 1_000_000
        return found(layout, name, keys, founding.make_genesis(keys, name, now_ms), now_ms)
    except BaseException as error:
        unmake(path, existed=existed)
        if isinstance(error, OSError):
            raise Misconfigured(
                f"{path} cannot be made: {error.strerror}",
                hint="choose a folder you may write, on a disk with room",
            ) from error
        raise


def found(layout: Layout, name: str, keys: Keys, genesis: Genesis, now_ms: int) -> HomeFile:
    """The home of these keys on the ledger of this genesis; `home.json` is written last."""
    layout.journal.parent.mkdir(mode=0o700)
    encoded = founding.write_genesis(genesis)
    chain_id = compute_chain_id(compute_genesis_hash(genesis))
    file = HomeFile(
        FORMAT, keys.home_id.hex(), name, did_text(founding.founder(keys)), chain_id, encoded.hex()
    )
    Journal.create(layout.journal, keys.home_id, keys.journal_key).close()
    layout.index.mkdir(mode=0o700)
    home = OpenHome(layout, keys, file, layout.index, write=True)
    try:
        _begin(home, now_ms)
    finally:
        home.close()
    mark_stopped(layout, keys.journal_key)
    layout.write(file)
    return file


def unmake(path: Path, *, existed: bool) -> None:
    """Remove what is left of a home that could not be finished, so that the next try finds an empty folder."""
    if not path.is_dir():
        return
    for entry in path.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != "config.toml":
            entry.unlink(missing_ok=True)
    if not existed:
        shutil.rmtree(path, ignore_errors=True)


def _begin(home: OpenHome, now_ms: int) -> None:
    """The house chart begins. Embedded, block 1 anchors its head; on a network that waits for the engine."""
    txn = home.writer.begin()
    home.ledger = founding.create_ledger(home.genesis, LmdbKV(txn, home.tables.ledger), home.keys)
    chart, chart_keys = new_chart(home.keyring, home.keyring.token(*HOUSE_TOKEN_TERM), now_ms)
    home.keyring.put(HOUSE_CHART, chart_keys)
    state = home.writer.add_chart(HOUSE_CHART, chart.patient, chart.handle, chart.epoch, chart.wrap)
    index, hashed = home.writer.add_leaf(state, chart.leaf)
    content = records.pack_chart(
        records.ChartRecord(
            HOUSE_CHART, chart.patient, chart.handle, chart.epoch, chart.leaf, chart.meta, chart.wrap
        )
    )
    touched = home.writer.touched_heads()
    first = pack_record(records.CHART, content)
    packed = [first]
    if home.is_network:
        home.outbox.records |= touched.keys()
        home.writer.flush()
    else:
        home.update_heads(txn, head_changes(home, touched, ()))
        home.writer.flush()
        packed.append(pack_record(records.BLOCK, home.execute(txn, home.heads.root, (), now_ms).block))
    base = home.journal.append(FRAME_COMMITTED, packed)
    home.writer.place(HOUSE_CHART, RECORD_LOG, index, hashed, base + len(first) - len(content), len(content))
    home.put_applied(txn, home.view + 1 if home.is_network else home.height)
    home.journal.sync()
    home.writer.commit()
