"""The copy key of a chart, and the wraps of it that a node keeps (docs/spec/copy.md).

Promises:
- the copy key opens sealed copies and nothing at rest: it comes from the chart's record key one way, for one epoch;
- with the chart's keys of that epoch it is gone from the node, and so are the wraps that stand in the registry: an
  erasure makes both anew, a shredding ends them.

At rest: nonce 12 | AES-256-GCM(HKDF(record key, place, `cl1.copy.kept` | u32 epoch), what is kept, AAD = `cl1.copy.kept` | place).
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from careledger.primitives.hashing import hkdf_sha256
from careledger.vault.envelope import ChartKeys

REGISTRY_TABLE: Final = "copy"
"""Where wraps stand, by the patient's id."""
_KEY: Final = b"cl1.copy"
_KEPT: Final = b"cl1.copy.kept"


def copy_key(keys: ChartKeys) -> bytes:
    """The key under which a chart's sealed copies are, while its keys are of this epoch: 32 bytes."""
    return _derive(keys, _KEY)


def seal_kept(keys: ChartKeys, plain: bytes) -> bytes:
    """What the registry holds of a chart's wraps."""
    nonce = os.urandom(12)
    return nonce + AESGCM(_derive(keys, _KEPT)).encrypt(nonce, plain, _KEPT + keys.place)


def open_kept(keys: ChartKeys, sealed: bytes) -> bytes | None:
    """What `seal_kept` was given; None if the chart's keys are others since: what was erased has made them anew."""
    try:
        return AESGCM(_derive(keys, _KEPT)).decrypt(sealed[:12], sealed[12:], _KEPT + keys.place)
    except (InvalidTag, ValueError):
        return None


def _derive(keys: ChartKeys, label: bytes) -> bytes:
    return hkdf_sha256(keys.record_key, keys.place, label + keys.epoch.to_bytes(4, "big"))
