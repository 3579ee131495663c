"""The key store opens for its passphrase alone, is rewritten whole, and what is destroyed stays destroyed."""

from __future__ import annotations

import os
import struct

import pytest

from careledger.primitives.errors import Invalid
from careledger.primitives.hashing import sha256
from careledger.vault import keystore
from careledger.vault.keystore import (
    Cost,
    ForeignKeys,
    KeyStore,
    KeyStoreDamaged,
    KeyStoreExists,
    KeyStoreMissing,
    KeyStoreVersion,
    WrongPassphrase,
)

CHEAP = Cost(passes=1, memory_kib=64, lanes=1)
PHRASE = "correct horse battery"
HANDLE, OTHER = bytes(range(32)), bytes(range(1, 33))
RECORD, ACCESS = b"r" * 32, b"a" * 32


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "home" / "keys"


@pytest.fixture
def keys(folder):
    return KeyStore.create(folder, PHRASE, CHEAP)


def secrets_of(keys) -> list[bytes]:
    names = [*keystore._SEED_NAMES, "custodian", "home_id"]
    return [getattr(keys, name) for name in names] + list(keys.wrap_masters.values())


def test_open_gives_what_create_made(folder, keys):
    assert KeyStore.open(folder, PHRASE) == keys


def test_secrets_are_distinct_and_nowhere_readable(folder, keys):
    """Not in the file, not in a text of the object."""
    secrets = secrets_of(keys)
    assert len(set(secrets)) == len(secrets)
    data = (folder / keystore.FILE_NAME).read_bytes()
    for secret in secrets:
        assert secret not in data
        assert secret.hex() not in repr(keys) and repr(secret) not in repr(keys)


def test_only_the_owner_may_read(folder, keys):
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / keystore.FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000


def test_opening_costs_what_a_guess_should_cost():
    """The default cost: argon2id, 64 MiB; a later default may only be dearer."""
    assert Cost().memory_kib >= 65_536 and Cost().passes * Cost().memory_kib >= 6 * 65_536


def test_passphrase_is_the_same_however_its_accents_are_typed(folder):
    KeyStore.create(folder, "cafe\u0301 au lait", CHEAP)
    assert KeyStore.open(folder, "caf\u00e9 au lait")


@pytest.mark.parametrize("phrase", ["", "short", "seven77", "x" * 5000])
def test_unusable_passphrases_are_refused(folder, phrase):
    with pytest.raises(Invalid):
        KeyStore.create(folder, phrase, CHEAP)
    assert not (folder / keystore.FILE_NAME).exists()


def resummed(data: bytes) -> bytes:
    """An alteration by somebody who knows the format: with a fresh checksum."""
    return data[:-32] + sha256(data[:-32])


def set_cost(data: bytes, memory_kib: int) -> bytes:
    return data[:20] + struct.pack(">I", memory_kib) + data[24:]


REFUSED = {
    "truncated": (lambda d: d[: len(d) // 2], KeyStoreDamaged),
    "empty": (lambda d: b"", KeyStoreDamaged),
    "one bit": (lambda d: d[:100] + bytes([d[100] ^ 1]) + d[101:], KeyStoreDamaged),
    "another file": (lambda d: os.urandom(len(d)), KeyStoreDamaged),
    "newer version": (lambda d: resummed(d[:15] + b"\x02" + d[16:]), KeyStoreVersion),
    "altered with checksum": (lambda d: resummed(d[:100] + bytes([d[100] ^ 1]) + d[101:]), WrongPassphrase),
    "cheaper cost": (lambda d: resummed(set_cost(d, 32)), WrongPassphrase),
    "impossible cost": (lambda d: resummed(set_cost(d, 2**31)), KeyStoreDamaged),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_damaged_store_is_refused_with_its_reason(folder, keys, case):
    alter, error = REFUSED[case]
    path = folder / keystore.FILE_NAME
    path.write_bytes(alter(path.read_bytes()))
    with pytest.raises(error) as refused:
        KeyStore.open(folder, PHRASE)
    assert refused.value.hint


def test_wrong_missing_existing_foreign(folder, keys, tmp_path):
    with pytest.raises(WrongPassphrase):
        KeyStore.open(folder, PHRASE + " ")
    with pytest.raises(KeyStoreExists):
        KeyStore.create(folder, PHRASE, CHEAP)
    with pytest.raises(KeyStoreMissing):
        KeyStore.open(tmp_path, PHRASE)
    keys.require_home(keys.home_id)
    with pytest.raises(ForeignKeys):
        keys.require_home(os.urandom(16))


def test_change_passphrase_keeps_the_keys(folder, keys):
    assert KeyStore.change_passphrase(folder, PHRASE, "another good phrase") == keys
    assert KeyStore.open(folder, "another good phrase") == keys
    with pytest.raises(WrongPassphrase):
        KeyStore.open(folder, PHRASE)


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_failed_rewrite_leaves_the_old_store(folder, keys, monkeypatch, call):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        if call == "fsync":
            patched.setattr(os, "fsync", fail)
        elif call == "write":
            patched.setattr(os, "fdopen", fail)
        else:
            patched.setattr(type(folder), "replace", fail)
        with pytest.raises(keystore.Misconfigured):
            KeyStore.add_epoch(folder, keys)
    assert KeyStore.open(folder, PHRASE) == keys
    assert KeyStore.add_epoch(folder, keys).epoch == 2


def test_only_past_epochs_are_destroyed(folder, keys):
    for epoch in (keys.epoch, 7):
        with pytest.raises(Invalid):
            KeyStore.destroy_epoch(folder, keys, epoch)
    assert KeyStore.open(folder, PHRASE) == keys


def test_old_bytes_are_overwritten(folder, keys):
    """Whoever still holds the old file open (or its blocks) finds no old store in it."""
    path = folder / keystore.FILE_NAME
    with path.open("rb") as held:
        before = held.read()
        KeyStore.add_epoch(folder, keys)
        held.seek(0)
        after = held.read()
    assert len(after) == len(before)
    assert not any(after[at : at + 8] == before[at : at + 8] for at in range(0, len(before) - 7, 8))
