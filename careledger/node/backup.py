"""Backups: one file with everything a home cannot rebuild, sealed as it is at rest; restored only after proof.

The file is a tar of home.json, config.toml, keys/, the journal up to a position, and what that position must hold,
and who may sign in (the registry's lasting tables), followed by a seal: magic 8 | SHA-256 of all before 32 | BLAKE2b-128 of that under the journal key 16. The first finds
damage before anything is unpacked, the second that somebody without the keys shortened or changed it.
Its keys are sealed by the passphrase: whoever has the file and the passphrase can read everything, so keep them apart.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from careledger.node.founders import begin_engine
from careledger.node.home import LockedHome, OpenHome, open_keys
from careledger.node.layout import Layout
from careledger.node.networkfile import FILE_NAME, read_network
from careledger.primitives.errors import Corrupt, Misconfigured, NotFound, Unavailable
from careledger.primitives.files import sync_path, write_durably
from careledger.primitives.hashing import keyed_digest, new_sha256
from careledger.vault.registry import StoredRegistry

Progress = Callable[[dict[str, Any]], None]
MANIFEST = "backup.json"
JOURNAL = "journal/log"
REGISTRY = "registry/dump"
REGISTRY_BYTES_MAX = 1 << 30
CHUNK_BYTES = 1 << 20
SMALL_BYTES_MAX = 1 << 20
SEAL_MAGIC = b"CLBACK01"
SEAL_BYTES = len(SEAL_MAGIC) + 32 + 16


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the journal in the backup must come to."""

    format: int
    height: int
    app_hash: str
    heads_root: str
    journal_bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write, fixed at one moment; the node goes on."""

    layout: Layout
    manifest: Manifest
    key: bytes
    registry: bytes

    def __repr__(self) -> str:
        return f"Plan({self.layout.path})"


def plan(home: OpenHome, registry: StoredRegistry) -> Plan:
    """Fix the moment. Call while no group is in progress. Raises Unavailable if the journal cannot be synced."""
    try:
        home.journal.sync()
    except OSError as error:
        raise Unavailable(
            "the journal cannot be synced", hint="check the disk, then restart the node"
        ) from error
    return Plan(
        home.layout,
        Manifest(
            1,
            home.height,
            home.the_ledger.app_hash.hex(),
            home.heads.root.hex(),
            home.journal.position.end,
        ),
        home.keys.journal_key,
        registry.dump(),
    )


def write(plan: Plan, path: Path, progress: Progress) -> dict[str, Any]:
    """Write the backup durably under exactly this name, replacing an older one only when the new one is whole."""
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.unlink(missing_ok=True)  # never write through a link that lies there
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            out = _Hashed(file)
            _write_tar(plan, out, progress)
            digest = out.running.digest()
            out.write(SEAL_MAGIC + digest + keyed_digest(plan.key, SEAL_MAGIC + digest))
            out.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        sync_path(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise Unavailable(
            f"the backup cannot be written: {error.strerror}",
            hint="choose a folder with room that you may write",
        ) from error
    return {"path": str(path), "bytes": path.stat().st_size, "height": plan.manifest.height}


class _Hashed:
    """A file that is hashed as it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.running = new_sha256()

    def write(self, data: bytes) -> int:
        self.running.update(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()


def _write_tar(plan: Plan, out: Any, progress: Progress) -> None:
    layout = plan.layout
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, MANIFEST, msgspec.json.encode(plan.manifest))
        _add(tar, "home.json", layout.file.read_bytes())
        config = layout.path / "config.toml"
        if config.exists():
            _add(tar, "config.toml", config.read_bytes())
        for file in sorted(layout.keys.iterdir()):
            _add(tar, f"keys/{file.name}", file.read_bytes())
        _add(tar, REGISTRY, plan.registry)
        member = tarfile.TarInfo(JOURNAL)
        member.size, member.mode = plan.manifest.journal_bytes, 0o600
        with open(layout.journal, "rb") as journal:
            progress({"what": "backup", "done": 0, "total": member.size})
            tar.addfile(member, journal)
            progress({"what": "backup", "done": member.size, "total": member.size})


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    tar.addfile(member, io.BytesIO(content))


def restore(file: Path, directory: Path, passphrase: str, network: bytes | None = None) -> dict[str, Any]:
    """Make a home from a backup. Every body, leaf and block is checked before `directory` appears.

    `network` is a network file: what the engine needs is laid into the home, with a new node key; peers must admit the
    `node_id` that is given. Raises Corrupt, Misconfigured (folder not empty, wrong passphrase, another network); then
    nothing is left behind.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise Misconfigured(
            f"{directory} is not empty", hint="choose an empty folder", code="folder-not-empty"
        )
    seal = _check_seal(file)
    directory.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"{directory.name}.restoring-", dir=directory.parent))
    try:
        manifest, dumped = _unpack(file, scratch)
        _prove(scratch, passphrase, manifest, seal, dumped)
        more = {} if network is None else {"node_id": _begin_engine(Layout(scratch), network)}
        if directory.exists():
            directory.rmdir()
        scratch.rename(directory)
        sync_path(directory.parent)
    except OSError as error:
        raise Unavailable(
            f"the home cannot be written: {error.strerror}",
            hint="choose a folder with room that you may write",
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    done = {"home": str(directory), "height": manifest.height, "journal_bytes": manifest.journal_bytes}
    return done | more


def _begin_engine(layout: Layout, file: bytes) -> str:
    """The engine will begin with the network's newest snapshot; the id by which its peers know it."""
    network = read_network(file)
    if network.genesis.chain_id != layout.read().chain_id:
        raise Misconfigured(
            "the network file is of another network than the home",
            hint="careledger network describe, at a member of the home's network",
            code="other-network",
        )
    node_id = begin_engine(layout, network.engine_genesis)
    write_durably(layout.engine / FILE_NAME, file)
    return node_id


def _check_seal(file: Path) -> bytes:
    """The seal of an undamaged backup; whether it is of these keys is checked once they are open."""
    running = new_sha256()
    try:
        with open(file, "rb") as source:
            left = os.fstat(source.fileno()).st_size - SEAL_BYTES
            while left > 0:
                chunk = source.read(min(left, CHUNK_BYTES))
                if not chunk:
                    raise _broken()
                running.update(chunk)
                left -= len(chunk)
            seal = source.read(SEAL_BYTES + 1)
    except FileNotFoundError as error:
        raise NotFound(
            "there is no such backup", hint="name the file that `careledger backup` wrote"
        ) from error
    except OSError as error:
        raise Misconfigured(
            f"the backup cannot be read: {error.strerror}", hint="name a file you may read"
        ) from error
    if len(seal) != SEAL_BYTES or not seal.startswith(SEAL_MAGIC + running.digest()):
        raise _broken()
    return seal


def _unpack(file: Path, scratch: Path) -> tuple[Manifest, bytes]:
    manifest: Manifest | None = None
    dumped = b""
    try:
        with tarfile.open(file, "r:") as tar:
            for member in tar:
                target = _target(member, scratch)
                source = tar.extractfile(member)
                if source is None:
                    raise _broken()
                if member.name == MANIFEST:
                    manifest = msgspec.json.decode(source.read(SMALL_BYTES_MAX), type=Manifest)
                    continue
                if member.name == REGISTRY:
                    dumped = source.read(REGISTRY_BYTES_MAX)
                    continue
                target.parent.mkdir(mode=0o700, exist_ok=True)
                with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                    shutil.copyfileobj(source, out, CHUNK_BYTES)
                    out.flush()
                    os.fsync(out.fileno())
    except (tarfile.TarError, msgspec.DecodeError, FileExistsError, EOFError, ValueError) as error:
        raise _broken() from error
    journal = scratch / JOURNAL
    if manifest is None or not journal.exists() or journal.stat().st_size != manifest.journal_bytes:
        raise _broken()
    return manifest, dumped


def _target(member: tarfile.TarInfo, scratch: Path) -> Path:
    """Where a member goes; only the names that `write` makes are taken, so nothing leaves the folder."""
    name = member.name
    small = name in (MANIFEST, "home.json", "config.toml")
    key = name.startswith("keys/") and name.count("/") == 1 and not name.endswith("/") and ".." not in name
    large = name in (JOURNAL, REGISTRY)
    if not member.isfile() or not (small or key or large):
        raise _broken()
    if not large and member.size > SMALL_BYTES_MAX:
        raise _broken()
    return scratch / name


def _prove(scratch: Path, passphrase: str, manifest: Manifest, seal: bytes, dumped: bytes) -> None:
    """Rebuild the index from the journal, which checks everything, and compare where it ends; refill the registry."""
    file, keys = open_keys(Layout(scratch), passphrase)
    if keyed_digest(keys.journal_key, seal[:-16]) != seal[-16:]:
        raise Corrupt("the backup was not sealed with the keys that are in it", hint="use another backup")
    locked = LockedHome(scratch, file, keys)
    try:
        home = locked.home
        found = (home.height, home.the_ledger.app_hash.hex(), home.heads.root.hex())
        whole = home.journal.position.end >= manifest.journal_bytes  # more, if a group was left unfinished
    finally:
        locked.close()
    if found != (manifest.height, manifest.app_hash, manifest.heads_root) or not whole:
        raise Corrupt("the backup does not come to the state that it names", hint="use another backup")
    registry = StoredRegistry(Layout(scratch).registry, keys.registry_key, lambda: 0)
    try:
        registry.load(dumped)
    finally:
        registry.close()


def _broken() -> Corrupt:
    return Corrupt("this is no whole backup of a CareLedger home", hint="use another backup")
