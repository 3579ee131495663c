"""The key store: every secret of a home in one small file, sealed by a passphrase.

Promises:
- `HOME/keys` alone opens what the home holds; without the passphrase it is noise, and a guess costs about 0.3 s;
- truncated, altered, newer, foreign or wrongly opened stores are refused, each with its own reason and a hint;
- a rewrite (`change_passphrase`, `add_epoch`, `destroy_epoch`) is whole or did not happen, and the bytes before it
  are overwritten as well as a file system allows (a backup of the folder keeps them: protocol.md, Erasure).

What charts' keys are sealed with is here; how, in `wraps`.

File `HOME/keys/keystore` (folder 0700, file 0600):
    `careledger-keys` | u8 version | u32 time cost | u32 memory KiB | u32 lanes | salt 16 | nonce 12   (the head)
    | AES-256-GCM(argon2id(passphrase), enc(contents), AAD = head) | SHA-256 of all before (finds damage, proves nothing)
"""

from __future__ import annotations

import os
import struct
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from careledger.primitives.errors import Invalid, Misconfigured
from careledger.primitives.files import sync_path, write_durably
from careledger.primitives.hashing import hmac_sha256, sha256

FILE_NAME: Final = "keystore"
FORMAT_VERSION: Final = 1
FILE_BYTES_MAX: Final = 1_000_000
PASSPHRASE_CHARACTERS_MIN: Final = 8
PASSPHRASE_BYTES_MAX: Final = 4096
EPOCHS_MAX: Final = 10_000

_MAGIC: Final = b"careledger-keys"
_HEAD: Final = struct.Struct(">15sBIII16s12s")
_EPOCH: Final = struct.Struct(">I32s")
_SEED_NAMES: Final = (
    "root_seed",
    "node_seed",
    "checkpoint_seed",
    "checkpoint_mldsa_seed",
    "token_seed",
    "cursor_key",
    "blind_key",
    "journal_key",
)
_CUSTODIAN_BYTES: Final = 96  # ML-KEM-768 seed 64 | X25519 private key 32
_HOME_ID_BYTES: Final = 16


class WrongPassphrase(Misconfigured):
    """The passphrase does not open this key store."""

    code = "wrong-passphrase"


class KeyStoreDamaged(Misconfigured):
    """The key store is truncated or altered."""

    code = "key-store-damaged"


class KeyStoreMissing(Misconfigured):
    """There is no key store in this folder."""

    code = "key-store-missing"


class KeyStoreExists(Misconfigured):
    """There is a key store already; it is never overwritten by a new one."""

    code = "key-store-exists"


class KeyStoreVersion(Misconfigured):
    """The key store has a format that this program does not know."""

    code = "key-store-version"


class ForeignKeys(Misconfigured):
    """The key store belongs to another home."""

    code = "foreign-keys"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess of the passphrase costs: argon2id passes, memory in KiB, lanes."""

    passes: int = 6
    memory_kib: int = 65_536
    lanes: int = 1

    def check(self) -> None:
        """Refuse parameters that would exhaust the machine: they are read before anything is authenticated."""
        if not (1 <= self.passes <= 64 and 8 <= self.memory_kib <= 1_048_576 and 1 <= self.lanes <= 16):
            raise KeyStoreDamaged("the key store asks for impossible costs", hint=RESTORE_HINT)


RESTORE_HINT: Final = "restore the folder HOME/keys from its own backup"


@dataclass(frozen=True, slots=True)
class _Sealing:
    """What is needed to write the store again without asking for the passphrase."""

    cost: Cost
    salt: bytes
    key: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """All secrets of a home, opened. 32 bytes each unless said; all random and distinct; never printed."""

    root_seed: bytes  # Ed25519: the organisation's root key
    node_seed: bytes  # Ed25519: signs anchors
    checkpoint_seed: bytes  # Ed25519: signs checkpoints
    checkpoint_mldsa_seed: bytes  # ML-DSA-44: signs checkpoints each second
    token_seed: bytes  # Ed25519: signs bearer tokens
    cursor_key: bytes  # seals page cursors
    blind_key: bytes  # blind terms and resource tokens
    journal_key: bytes  # seals journal frames
    custodian: bytes  # HPKE MLKEM768-X25519: ML-KEM seed 64 | X25519 private key 32
    home_id: bytes  # 16 bytes, also in the home: keys of another home are refused
    wrap_masters: Mapping[int, bytes]  # epoch to the key over all chart-key wraps
    sealing: _Sealing = field(compare=False)

    def __repr__(self) -> str:
        return f"Keys(epochs={len(self.wrap_masters)})"

    @property
    def registry_key(self) -> bytes:
        """Seals the registry: who may sign in, and with which programs."""
        return hmac_sha256(self.token_seed, b"cl1.registry")

    @property
    def epoch(self) -> int:
        """The current wrap epoch: new wraps are sealed under its master."""
        return max(self.wrap_masters)

    def require_epoch(self, floor: int) -> None:
        """Raise ForeignKeys if the store is older than an erasure that destroyed every wrap master below `floor`."""
        if self.epoch < floor:
            raise ForeignKeys(
                "HOME/keys is older than its home: something was erased since",
                hint="put back the newest keys folder of this home",
            )

    def without_masters(self) -> Keys:
        """What a process keeps that only starts others: `KeyStore.reload` gives the rest, as it is then."""
        return replace(self, wrap_masters=MappingProxyType({}))

    def require_home(self, home_id: bytes) -> None:
        """Raise ForeignKeys unless these keys were made for the home with this id."""
        if home_id != self.home_id:
            raise ForeignKeys(
                "HOME/keys belongs to another home", hint="put back the keys folder that came with this home"
            )


class KeyStore:
    """Creates, opens and rewrites the folder. Each call is one whole step; nothing is kept open."""

    @staticmethod
    def create(folder: Path, passphrase: str, cost: Cost | None = None) -> Keys:
        """Fresh keys in a new store. Raises KeyStoreExists, Invalid (passphrase too short)."""
        path = folder / FILE_NAME
        if path.exists():
            raise KeyStoreExists(
                "there is a key store already", hint="choose an empty folder, or use the home that is there"
            )
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        seeds = {name: os.urandom(32) for name in _SEED_NAMES}
        keys = Keys(
            **seeds,
            custodian=os.urandom(_CUSTODIAN_BYTES),
            home_id=os.urandom(_HOME_ID_BYTES),
            wrap_masters=MappingProxyType({1: os.urandom(32)}),
            sealing=_sealing(passphrase, cost or Cost(), os.urandom(16)),
        )
        _write(path, keys)
        return keys

    @staticmethod
    def open(folder: Path, passphrase: str) -> Keys:
        """The keys, in about 0.3 s. Raises KeyStoreMissing, KeyStoreVersion, KeyStoreDamaged, WrongPassphrase."""
        data = _read(folder / FILE_NAME)
        head, sealed = data[: _HEAD.size], data[_HEAD.size :]
        _, _, passes, memory, lanes, salt, nonce = _HEAD.unpack(head)
        cost = Cost(passes, memory, lanes)
        cost.check()
        sealing = _sealing(passphrase, cost, salt)
        try:
            return _decode(AESGCM(sealing.key).decrypt(nonce, sealed, head), sealing)
        except InvalidTag:
            raise WrongPassphrase(
                "the passphrase does not open HOME/keys",
                hint="check --passphrase-file or CARELEDGER_PASSPHRASE_FILE; only its last newline is ignored",
            ) from None

    @staticmethod
    def reload(folder: Path, keys: Keys) -> Keys:
        """The store as it is now, without the passphrase, by what opened it before. Raises as `open` does."""
        data = _read(folder / FILE_NAME)
        head, sealed = data[: _HEAD.size], data[_HEAD.size :]
        nonce = head[-12:]
        try:
            return _decode(AESGCM(keys.sealing.key).decrypt(nonce, sealed, head), keys.sealing)
        except InvalidTag:
            raise WrongPassphrase(
                "HOME/keys was sealed anew meanwhile", hint="restart the node with its passphrase"
            ) from None

    @staticmethod
    def change_passphrase(folder: Path, old: str, new: str, cost: Cost | None = None) -> Keys:
        """Seal the same keys under another passphrase and salt. The old one opens copies made before."""
        keys = KeyStore.open(folder, old)
        changed = replace(keys, sealing=_sealing(new, cost or keys.sealing.cost, os.urandom(16)))
        _write(folder / FILE_NAME, changed)
        return changed

    @staticmethod
    def add_epoch(folder: Path, keys: Keys) -> Keys:
        """A new current wrap master; durable before it is returned."""
        if len(keys.wrap_masters) >= EPOCHS_MAX:
            raise Invalid("too many wrap epochs", hint="destroy the epochs that seal nothing any more")
        masters = {**keys.wrap_masters, keys.epoch + 1: os.urandom(32)}
        changed = replace(keys, wrap_masters=MappingProxyType(masters))
        _write(folder / FILE_NAME, changed)
        return changed

    @staticmethod
    def destroy_epoch(folder: Path, keys: Keys, epoch: int) -> Keys:
        """Destroy a wrap master: what only it sealed is shredded. Seal surviving wraps again first (`rewrap`).

        Atomic; the old file is overwritten after the rename, best effort. Raises Invalid for the current epoch or
        one that is not there.
        """
        if epoch == keys.epoch or epoch not in keys.wrap_masters:
            raise Invalid(
                "only a past wrap epoch that exists can be destroyed",
                hint="add an epoch, re-seal, then destroy",
            )
        masters = {number: key for number, key in keys.wrap_masters.items() if number != epoch}
        return KeyStore._keep(folder, keys, masters)

    @staticmethod
    def scrub(folder: Path) -> None:
        """Finish a rewrite that a kill cut short: overwrite the bytes that it replaced. Nothing to do as a rule."""
        _scrub(folder)

    @staticmethod
    def destroy_below(folder: Path, keys: Keys, floor: int) -> Keys:
        """Destroy every wrap master below `floor`, in one rewrite; nothing if there is none.

        Raises ForeignKeys where there is none from `floor` on: an older copy of the store was put back.
        """
        keys.require_epoch(floor)
        masters = {number: key for number, key in keys.wrap_masters.items() if number >= floor}
        return keys if len(masters) == len(keys.wrap_masters) else KeyStore._keep(folder, keys, masters)

    @staticmethod
    def _keep(folder: Path, keys: Keys, masters: dict[int, bytes]) -> Keys:
        changed = replace(keys, wrap_masters=MappingProxyType(masters))
        _write(folder / FILE_NAME, changed)
        return changed


# -- the file ---------------------------------------------------------------------------------------------------


def _sealing(passphrase: str, cost: Cost, salt: bytes) -> _Sealing:
    return _Sealing(cost, salt, compute_passphrase_key(passphrase, cost, salt))


def compute_passphrase_key(passphrase: str, cost: Cost, salt: bytes) -> bytes:
    """32 bytes by argon2id. Raises Invalid for a passphrase that is too short or too long."""
    text = unicodedata.normalize("NFC", passphrase).encode()
    if len(passphrase) < PASSPHRASE_CHARACTERS_MIN or len(text) > PASSPHRASE_BYTES_MAX:
        raise Invalid(
            "the passphrase has the wrong length",
            hint=f"{PASSPHRASE_CHARACTERS_MIN} characters to {PASSPHRASE_BYTES_MAX} bytes; several words are best",
            code="passphrase-length",
        )
    return hash_secret_raw(text, salt, cost.passes, cost.memory_kib, cost.lanes, 32, Type.ID)


def _encode(keys: Keys) -> bytes:
    seeds = b"".join(getattr(keys, name) for name in _SEED_NAMES)
    masters = sorted(keys.wrap_masters.items())
    return b"".join(
        (
            seeds,
            keys.custodian,
            keys.home_id,
            len(masters).to_bytes(4, "big"),
            *(_EPOCH.pack(*item) for item in masters),
        )
    )


def _decode(plain: bytes, sealing: _Sealing) -> Keys:
    seeds = {name: plain[at * 32 : at * 32 + 32] for at, name in enumerate(_SEED_NAMES)}
    at = len(_SEED_NAMES) * 32
    custodian = plain[at : at + _CUSTODIAN_BYTES]
    at += _CUSTODIAN_BYTES
    home_id = plain[at : at + _HOME_ID_BYTES]
    at += _HOME_ID_BYTES + 4
    count = int.from_bytes(plain[at - 4 : at], "big")
    if not count or len(plain) != at + count * _EPOCH.size:
        raise KeyStoreDamaged("the key store's contents have the wrong size", hint=RESTORE_HINT)
    masters = MappingProxyType(dict(_EPOCH.iter_unpack(plain[at:])))
    return Keys(**seeds, custodian=custodian, home_id=home_id, wrap_masters=masters, sealing=sealing)


def _read(path: Path) -> bytes:
    """The head and sealed contents of an undamaged file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise KeyStoreMissing(
            "there is no key store", hint=f"`careledger init` makes one; expected {path}"
        ) from None
    except OSError as error:
        raise Misconfigured(
            "the key store cannot be read", hint=f"check the owner and mode of {path}"
        ) from error
    if len(data) > _HEAD.size and data.startswith(_MAGIC) and data[len(_MAGIC)] != FORMAT_VERSION:
        raise KeyStoreVersion(
            f"the key store has format {data[len(_MAGIC)]}, this program knows {FORMAT_VERSION}",
            hint="open the home with the version of CareLedger that wrote it, or a newer one",
        )
    if len(data) < _HEAD.size + 48 or not data.startswith(_MAGIC) or sha256(data[:-32]) != data[-32:]:
        raise KeyStoreDamaged("the key store is truncated or altered", hint=RESTORE_HINT)
    return data[:-32]


def _write(path: Path, keys: Keys) -> None:
    """Replace the file whole: temporary file, fsync, rename, fsync of the folder; then overwrite the old bytes.

    The old bytes keep a name until they are overwritten, so that a process that starts after a kill finds them.
    """
    cost, salt, nonce = keys.sealing.cost, keys.sealing.salt, os.urandom(12)
    head = _HEAD.pack(_MAGIC, FORMAT_VERSION, cost.passes, cost.memory_kib, cost.lanes, salt, nonce)
    data = head + AESGCM(keys.sealing.key).encrypt(nonce, _encode(keys), head)
    data += sha256(data)
    try:
        _scrub(path.parent)
        if path.exists():
            os.link(path, path.with_suffix(".old"))
        write_durably(path, data)
        _scrub(path.parent)
    except OSError as error:
        raise Misconfigured(
            "the key store could not be written", hint=f"check space and permissions of {path.parent}"
        ) from error


def _scrub(folder: Path) -> None:
    """Overwrite and remove what an earlier rewrite replaced, or a killed one left behind."""
    for suffix in (".new", ".old"):
        path = (folder / FILE_NAME).with_suffix(suffix)
        if not path.exists():
            continue
        if suffix == ".new" or path.stat().st_ino != (folder / FILE_NAME).stat().st_ino:
            old = os.open(path, os.O_RDWR)
            try:
                os.pwrite(old, os.urandom(os.fstat(old).st_size), 0)
                os.fsync(old)
            finally:
                os.close(old)
        path.unlink()
        sync_path(folder)
