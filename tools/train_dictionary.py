"""Train the compression dictionary on the demo hospital and write `careledger/vault/dictionary.bin`.

Synthetic data only: nothing that was ever a patient's goes in, because the dictionary ships with the program. A new
dictionary is a new format number in `compression.py`; the old one must stay for as long as bodies use it. The result
depends on the zstd release, so the committed file is the truth and `tests/vault/test_compression.py` holds its hash.

    python -m tools.train_dictionary [OUT]
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import zstandard

from careledger.synthetic.hospital import hospital
from careledger.synthetic.lives import new_uuid

DICTIONARY_BYTES = 110_000
SEED = 20_260_105  # not the demo's seed: the demo is measured with it, not trained on
PATIENTS = 150
SAMPLES_A_TYPE_MAX = 1_500
SAMPLE_BYTES_MAX = 16_384

_encode = msgspec.json.Encoder(decimal_format="number").encode


def stored_bodies(bundle: dict[str, Any], random: Random) -> list[bytes]:
    """The Bundle's resources as the vault would store them: ids given, references resolved, meta completed."""
    places = {e["fullUrl"]: f"{e['resource']['resourceType']}/{e['fullUrl'][9:]}" for e in bundle["entry"]}

    def resolved(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: resolved(item) for key, item in value.items()}
        if isinstance(value, list):
            return [resolved(item) for item in value]
        if isinstance(value, str):
            if value in places:
                return places[value]
            kind, question, _ = value.partition("?identifier=")
            return f"{kind}/{new_uuid(random)}" if question else value
        return value

    bodies = []
    for entry in bundle["entry"]:
        resource = resolved(entry["resource"])
        written = f"2026-{random.randrange(1, 13):02d}-{random.randrange(1, 29):02d}T{random.randrange(24):02d}:{random.randrange(60):02d}"
        updated = f"{written}:{random.randrange(60):02d}.{random.randrange(1000):03d}Z"
        meta = {"versionId": "1", "lastUpdated": updated, **resource.get("meta", {})}
        rest = {k: v for k, v in resource.items() if k not in ("resourceType", "id", "meta")}
        bodies.append(
            _encode({"resourceType": resource["resourceType"], "id": resource["id"], "meta": meta, **rest})
        )
    return bodies


def samples() -> list[bytes]:
    """Bodies of many patients, no type more than `SAMPLES_A_TYPE_MAX` times, none so long that it drowns others."""
    random = Random(SEED)
    seen: dict[bytes, int] = {}
    chosen: list[bytes] = []
    for bundle in hospital(SEED, PATIENTS):
        for body in stored_bodies(bundle, random):
            kind = body[:40].split(b'"')[3]
            seen[kind] = seen.get(kind, 0) + 1
            limit = SAMPLES_A_TYPE_MAX * (6 if kind == b"Observation" else 1)
            if seen[kind] <= limit:
                chosen.append(body[:SAMPLE_BYTES_MAX])
    return chosen


def main(arguments: list[str]) -> int:
    """Train and write; prints sizes."""
    out = Path(arguments[0]) if arguments else Path("careledger/vault/dictionary.bin")
    bodies = samples()
    material: list[bytes | bytearray | memoryview[int]] = [*bodies]
    trained = zstandard.train_dictionary(DICTIONARY_BYTES, material, level=3, k=1024, d=8)
    out.write_bytes(trained.as_bytes())
    print(
        f"{out}: {len(trained.as_bytes())} bytes from {len(bodies)} bodies of {sum(map(len, bodies))} bytes"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
