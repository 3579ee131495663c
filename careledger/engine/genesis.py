"""genesis.json: what every engine of a network begins with; equal settings give equal bytes."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from careledger.ledger.blocks import EVIDENCE_MAX
from careledger.primitives.errors import Invalid
from careledger.primitives.hashing import sha256
from careledger.primitives.signing import ED25519_PUBLIC_SIZE, ED25519_SIGNATURE_SIZE, ML_DSA_65_PUBLIC_SIZE

KeyType = Literal["ml_dsa_65", "ed25519"]

PUBLIC_KEYS: Final[dict[KeyType, tuple[str, int]]] = {
    "ml_dsa_65": ("cometbft/PubKeyMlDsa65", ML_DSA_65_PUBLIC_SIZE),
    "ed25519": ("tendermint/PubKeyEd25519", ED25519_PUBLIC_SIZE),
}
"""The engine's name of a key's type, and the key's size."""

CHAIN_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,49}")
VALIDATORS_MAX: Final = 200
POWER_MAX: Final = 1 << 40
ADDRESS_SIZE: Final = 20
DAY_S: Final = 86_400
SIGNATURE_BYTES_MAX: Final = 3_500
"""Of one validator in a commit, encoded."""


@dataclass(frozen=True, slots=True)
class Validator:
    """A validator of the first block: its public key, its weight, and a name for people."""

    public_key: bytes
    power: int
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenesisSettings:
    """What the genesis of a network says."""

    chain_id: str
    time_ms: int
    validators: tuple[Validator, ...]
    ledger_genesis: bytes
    """The ledger's own genesis, for the application."""
    key_type: KeyType = "ml_dsa_65"
    app_version: int = 1
    block_bytes_max: int = 4 << 20
    evidence_days: int = 21
    """How long a validator's double signing can be shown: the trust period of light clients must be shorter."""
    evidence_blocks: int = 100_000
    evidence_bytes_max: int = 256 << 10

    def __post_init__(self) -> None:
        size = PUBLIC_KEYS[self.key_type][1]
        if not CHAIN_ID.fullmatch(self.chain_id):
            raise _invalid("a chain id has up to 50 lower-case letters, digits and hyphens")
        if not 1 <= len(self.validators) <= VALIDATORS_MAX:
            raise _invalid(f"a network begins with 1 to {VALIDATORS_MAX} validators")
        if any(len(one.public_key) != size or not 0 < one.power <= POWER_MAX for one in self.validators):
            raise _invalid(f"each validator has a {self.key_type} key of {size} bytes and a weight")
        if len({one.public_key for one in self.validators}) != len(self.validators):
            raise _invalid("two validators have the same key")
        if self.block_bytes_max < 2 * SIGNATURE_BYTES_MAX * len(self.validators) + (64 << 10):
            raise _invalid("the blocks are too small for their validators' signatures")
        if self.evidence_bytes_max > min(self.block_bytes_max, ED25519_SIGNATURE_SIZE * EVIDENCE_MAX):
            raise _invalid("evidence must fit into a block, and into what the ledger keeps of one")


def compute_address(public_key: bytes) -> bytes:
    """A validator's address: the first 20 bytes of SHA-256 of its key, for either type of key."""
    return sha256(public_key)[:ADDRESS_SIZE]


def compute_genesis(settings: GenesisSettings) -> bytes:
    """The content of genesis.json. Integers of 64 bits are texts there, as the engine's JSON has them."""
    document = {
        "genesis_time": _compute_time(settings.time_ms),
        "chain_id": settings.chain_id,
        "initial_height": "1",
        "consensus_params": _compute_parameters(settings),
        "validators": [_compute_validator(one, settings.key_type) for one in settings.validators],
        "app_hash": "",
        "app_state": {"genesis": settings.ledger_genesis.hex()},
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def _compute_parameters(settings: GenesisSettings) -> dict[str, Any]:
    return {
        "block": {"max_bytes": str(settings.block_bytes_max), "max_gas": "-1"},
        "evidence": {
            # Evidence is too old only if it is over both: the days decide, however fast the blocks come.
            "max_age_num_blocks": str(settings.evidence_blocks),
            "max_age_duration": str(settings.evidence_days * DAY_S * 10**9),
            "max_bytes": str(settings.evidence_bytes_max),
        },
        "validator": {"pub_key_types": [settings.key_type]},
        "version": {"app": str(settings.app_version)},
        "abci": {"vote_extensions_enable_height": "0"},
    }


def _compute_validator(validator: Validator, key_type: KeyType) -> dict[str, Any]:
    return {
        "address": compute_address(validator.public_key).hex().upper(),
        "pub_key": {
            "type": PUBLIC_KEYS[key_type][0],
            "value": base64.b64encode(validator.public_key).decode(),
        },
        "power": str(validator.power),
        "name": validator.name,
    }


def _compute_time(time_ms: int) -> str:
    seconds, ms = divmod(time_ms, 1000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{ms:03d}Z"


def _invalid(message: str) -> Invalid:
    return Invalid(message, hint="correct the network's genesis", code="engine-genesis")
