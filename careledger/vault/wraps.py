"""Chart keys, sealed to the home's custodian: what is stored of them, and how they open again.

Promises:
- a chart's keys open only for their home, chart and chart epoch, with the custodian's key *and* the wrap master of a
  wrap epoch that still exists: destroying an epoch shreds every wrap that was not sealed again (`rewrap`);
- equal keys look unrelated; one altered bit raises Corrupt.

Sealing to the custodian (HPKE, hybrid) costs more than all else of a new chart. So a **batch key** is sealed to them,
which seals the keys of up to `BATCH_CHARTS` charts; each wrap holds it whole and stands alone. It gives nobody
anything new: who could use it holds the custodian's key, and each wrap still needs its own master.

Wire: u32 wrap epoch | nonce 12 | AES-256-GCM(master, inner), where inner is one of, told apart by their lengths:
    HPKE(custodian, batch key) 1168 | nonce 12 | AES-256-GCM(batch key, record key | access key) 80
    HPKE(custodian, record key | access key) 1200      as written before; still opened
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from careledger.primitives.errors import Corrupt
from careledger.vault.keystore import RESTORE_HINT, Keys

BATCH_CHARTS: Final = 256
_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_BATCH_BYTES: Final = 1168
_ALONE_BYTES: Final = 1200


class EpochDestroyed(Corrupt):
    """The wrap master that sealed these chart keys exists no more: they were shredded."""

    code = "epoch-destroyed"


class Wrapper:
    """Wraps charts' keys for one home, with a fresh batch key every `BATCH_CHARTS` charts. One a process."""

    def __init__(self) -> None:
        self._batch: AESGCM | None = None
        self._sealed = b""  # the batch key, to the custodian
        self._left = 0

    def wrap(self, keys: Keys, handle: bytes, record_key: bytes, access_key: bytes, epoch: int) -> bytes:
        """Both keys of a chart's `epoch`, under the current wrap master. About 10 µs, the first of a batch 120."""
        info, nonce = _wrap_info(keys, handle, epoch), os.urandom(12)
        batch = self._take(keys)
        inner = self._sealed + nonce + batch.encrypt(nonce, record_key + access_key, info)
        return _outer_seal(keys, info, inner)

    def forget(self) -> None:
        """Begin the next wrap with a fresh batch key."""
        self._batch = None

    def _take(self, keys: Keys) -> AESGCM:
        if self._batch is None or not self._left:
            secret = os.urandom(32)
            self._sealed = _SUITE.encrypt(secret, _custodian(keys.custodian)[1], _batch_info(keys))
            self._batch, self._left = AESGCM(secret), BATCH_CHARTS
        self._left -= 1
        return self._batch


def unwrap_chart_keys(keys: Keys, handle: bytes, epoch: int, wrapped: bytes) -> tuple[bytes, bytes]:
    """(record key, access key) of the chart at that epoch. Raises EpochDestroyed, or Corrupt. About 90 µs, or 10 where
    a chart of the same batch was opened lately."""
    info = _wrap_info(keys, handle, epoch)
    inner = _outer_open(keys, info, wrapped)
    try:
        if len(inner) == _ALONE_BYTES:
            pair = _SUITE.decrypt(inner, _custodian(keys.custodian)[0], info)
        else:
            batch = _open_batch(keys.custodian, _batch_info(keys), inner[:_BATCH_BYTES])
            sealed = inner[_BATCH_BYTES:]
            pair = batch.decrypt(sealed[:12], sealed[12:], info)
    except (InvalidTag, ValueError):
        raise _unopened() from None
    return pair[:32], pair[32:]


def rewrap(keys: Keys, handle: bytes, epoch: int, wrapped: bytes) -> bytes:
    """The same chart keys under the current wrap master, without opening them: what survives a shredding."""
    info = _wrap_info(keys, handle, epoch)
    return _outer_seal(keys, info, _outer_open(keys, info, wrapped))


def wrap_epoch(wrapped: bytes) -> int:
    """The wrap epoch whose master sealed these chart keys."""
    return int.from_bytes(wrapped[:4], "big")


def _outer_seal(keys: Keys, info: bytes, inner: bytes) -> bytes:
    head = keys.epoch.to_bytes(4, "big")
    nonce = os.urandom(12)
    return head + nonce + AESGCM(keys.wrap_masters[keys.epoch]).encrypt(nonce, inner, head + info)


def _outer_open(keys: Keys, info: bytes, wrapped: bytes) -> bytes:
    head = wrapped[:4]
    master = keys.wrap_masters.get(wrap_epoch(head))
    if master is None:
        raise EpochDestroyed(
            "these chart keys were sealed under a key that exists no more", hint=RESTORE_HINT
        )
    try:
        return AESGCM(master).decrypt(wrapped[4:16], wrapped[16:], head + info)
    except (InvalidTag, ValueError):
        raise _unopened() from None


def _unopened() -> Corrupt:
    return Corrupt("wrapped chart keys are not what was sealed", hint="run: careledger fsck")


def _wrap_info(keys: Keys, handle: bytes, epoch: int) -> bytes:
    return b"cl1.wrap" + keys.home_id + handle + epoch.to_bytes(4, "big")


def _batch_info(keys: Keys) -> bytes:
    return b"cl1.batch" + keys.home_id


@lru_cache(maxsize=16)
def _open_batch(secret: bytes, info: bytes, sealed: bytes) -> AESGCM:
    return AESGCM(_SUITE.decrypt(sealed, _custodian(secret)[0], info))


@lru_cache(maxsize=4)
def _custodian(secret: bytes) -> tuple[MLKEM768X25519PrivateKey, MLKEM768X25519PublicKey]:
    kem = MLKEM768PrivateKey.from_seed_bytes(secret[:64])
    private = MLKEM768X25519PrivateKey(kem, X25519PrivateKey.from_private_bytes(secret[64:]))
    return private, private.public_key()
