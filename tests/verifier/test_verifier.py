"""Receipts hold, or are refused, alike in the package and in the stand-alone verifier (fault catalogue G12, S8)."""

from __future__ import annotations

import ast
import base64
import importlib.util
import io
import json
import py_compile
import random
import shutil
import subprocess
import sys
import time
import tokenize
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from careledger.ledger.verification import verify_receipt
from careledger.primitives.errors import VerificationFailed
from tests.verifier.synthetic_chart import SyntheticChart
from tests.verifier.synthetic_ledger import Signer, SyntheticLedger, note_body, sha256, u64
from tests.verifier.synthetic_network import SyntheticNetwork
from tests.verifier.twins import STANDALONE, VERIFIER, package_verdict, standalone_verdict, verdict

ORDER = 2**252 + 27742317777372353535851937790883648493
Json = dict[str, Any]


@pytest.fixture(scope="module")
def ledger() -> SyntheticLedger:
    return SyntheticLedger()


@pytest.fixture(scope="module")
def trust(ledger: SyntheticLedger) -> bytes:
    return ledger.checkpoint(ledger.block.height + 20)


def canonical(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def un64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# ---- What holds ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [0, 1, 617, 998, 999])
@pytest.mark.parametrize("batch", [False, True])
def test_every_version_has_a_receipt_that_holds(
    ledger: SyntheticLedger, trust: bytes, index: int, batch: bool
) -> None:
    receipt = ledger.receipt(index, batch=batch)
    assert verdict(receipt, trust, None if index == 0 else ledger.bodies[index]) == "anchored"
    verified = verify_receipt(receipt, trust)
    assert (verified.height, verified.index, verified.chart_size) == (ledger.block.height, index, 1000)
    assert verified.header == ledger.header(index)


@pytest.mark.parametrize("size", [2, 1500, 3001, 3050])
def test_trust_may_be_earlier_or_later_than_the_proof(ledger: SyntheticLedger, size: int) -> None:
    for receipt in (
        ledger.receipt(5),
        ledger.receipt(5, 3040, signers=(ledger.operator, ledger.operator_pq)),
    ):
        assert verdict(receipt, ledger.checkpoint(size)) == "anchored"


@pytest.mark.parametrize("shape", [(1, 1, 0), (2, 2, 1), (1, 3, 2), (7, 5, 4), (40, 17, 64)])
def test_ledgers_of_other_shapes(shape: tuple[int, int, int]) -> None:
    small = SyntheticLedger(*shape, seed=shape[0])
    for index in range(shape[1]):
        assert verdict(small.receipt(index), small.checkpoint(1 + shape[2])) == "anchored"


def witnessed_trust(ledger: SyntheticLedger, k: int, **more: object) -> bytes:
    keys = [{"alg": w.algorithm, "name": w.name, "public": b64(w.public)} for w in ledger.witnesses]
    return canonical(json.loads(ledger.checkpoint(100)) | {"witnesses": {"k": k, "keys": keys}} | more)


@pytest.mark.parametrize(
    ("k", "signers", "level", "expected"),
    [
        (1, 0, "anchored", "anchored"),
        (2, 1, "anchored", "anchored"),
        (2, 2, "anchored", "witnessed"),
        (3, 3, "witnessed", "witnessed"),
        (3, 2, "witnessed", "refused"),
    ],
)
def test_k_of_n_witnesses(ledger: SyntheticLedger, k: int, signers: int, level: str, expected: str) -> None:
    receipt = ledger.receipt(5, signers=(ledger.operator, *ledger.witnesses[:signers]))
    assert verdict(receipt, witnessed_trust(ledger, k, level=level)) == expected


def test_greatest_age(ledger: SyntheticLedger) -> None:
    trust = canonical(json.loads(ledger.checkpoint(100)) | {"max_age": 60})
    assert verdict(ledger.receipt(5), trust, now_ms=ledger.block.time_ms + 60_000) == "anchored"
    assert verdict(ledger.receipt(5), trust, now_ms=ledger.block.time_ms + 60_001) == "refused"


def test_another_body_is_refused(ledger: SyntheticLedger, trust: bytes) -> None:
    receipt, body = ledger.receipt(617), ledger.bodies[617]
    for wrong in (b"", body + b"\n", body[:-1], body.replace(b"617", b"618"), ledger.bodies[616]):
        assert verdict(receipt, trust, wrong) == "refused"


# ---- One altered byte ---------------------------------------------------------------------------------------


def test_one_altered_byte_is_refused(
    ledger: SyntheticLedger, trust: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every position of a receipt with a batch path and a witness; tests/campaigns/verifier.py tries every value."""
    parsed = STANDALONE.read_trust(witnessed_trust(ledger, 1))
    trust = witnessed_trust(ledger, 1)
    monkeypatch.setattr(STANDALONE, "read_trust", lambda data: parsed)
    draw = random.Random(7)
    receipt = ledger.receipt(617, batch=True, signers=(ledger.operator, ledger.witnesses[0]))
    assert verdict(receipt, trust) == "witnessed"
    for at in range(len(receipt)):
        altered = (
            receipt[:at] + bytes([receipt[at] ^ draw.choice((1, 2, 4, 32, 128, 255))]) + receipt[at + 1 :]
        )
        assert verdict(altered, trust) == "refused", f"byte {at}"


def test_one_altered_byte_of_the_checkpoint_is_refused(ledger: SyntheticLedger, trust: bytes) -> None:
    """All of it: the body, every key and every signature; ML-DSA's long parts are sampled."""
    receipt = ledger.receipt(617)
    for at in [*range(0, len(trust), 5), *range(200), *range(len(trust) - 40, len(trust))]:
        altered = trust[:at] + bytes([trust[at] ^ 1]) + trust[at + 1 :]
        assert verdict(receipt, altered) == "refused", f"byte {at}"


@pytest.mark.parametrize("cut", [0, 1, 2, 100, -1, -2, -100])
def test_truncated_and_extended_files(ledger: SyntheticLedger, trust: bytes, cut: int) -> None:
    receipt = ledger.receipt(3)
    for wrong in (
        receipt[:cut],
        receipt + receipt[:1],
        b" " + receipt,
        receipt + b"\n",
        b"\xef\xbb\xbf" + receipt,
    ):
        assert verdict(wrong, trust) == "refused"
        assert verdict(receipt, wrong) == "refused"


# ---- Altered structure --------------------------------------------------------------------------------------


def put(*path: str, value: object) -> Callable[[Json], None]:
    def change(receipt: Json) -> None:
        for name in path[:-1]:
            receipt = receipt[name]
        receipt[path[-1]] = value

    return change


def steps(name: str, change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Json], None]:
    """Rewrites the digests of a log path."""

    def apply(receipt: Json) -> None:
        part = receipt["signed"] if name == "signed" else receipt["batch"] if name == "batch" else receipt
        raw = un64(part["path"])
        part["path"] = b64(b"".join(change([raw[i : i + 32] for i in range(0, len(raw), 32)])))

    return apply


def bump(*path: str, by: int) -> Callable[[Json], None]:
    def change(receipt: Json) -> None:
        for name in path[:-1]:
            receipt = receipt[name]
        receipt[path[-1]] += by

    return change


def map_bytes(name: str, change: Callable[[bytes], bytes]) -> Callable[[Json], None]:
    def apply(receipt: Json) -> None:
        receipt[name] = b64(change(un64(receipt[name])))

    return apply


STRUCTURAL: dict[str, Callable[[Json], None]] = {
    **{f"{part}-swap": steps(part, lambda p: [p[1], p[0], *p[2:]]) for part in ("path", "signed", "batch")},
    **{f"{part}-drop-first": steps(part, lambda p: p[1:]) for part in ("path", "signed", "batch")},
    **{f"{part}-drop-last": steps(part, lambda p: p[:-1]) for part in ("path", "signed", "batch")},
    **{f"{part}-repeat": steps(part, lambda p: [*p, p[-1]]) for part in ("path", "signed", "batch")},
    **{f"{part}-empty": steps(part, lambda p: []) for part in ("path", "signed", "batch")},
    **{f"{part}-reverse": steps(part, lambda p: p[::-1]) for part in ("path", "signed", "batch")},
    **{f"index{by:+}": bump("index", by=by) for by in (-617, -1, 1, 2, 64, 383, 10**6)},
    **{f"chart-size{by:+}": bump("head", "size", by=by) for by in (-1000, -1, 1, 24, 10**9)},
    **{f"height{by:+}": bump("block", "height", by=by) for by in (-3000, -1, 1, 10**6)},
    **{f"block-time{by:+}": bump("block", "time", by=by) for by in (-1, 1, 86_400_000)},
    **{
        f"anchor-{name}{by:+}": bump("anchor", name, by=by)
        for name in ("seq", "size", "time")
        for by in (-1, 1)
    },
    **{f"batch-{name}{by:+}": bump("batch", name, by=by) for name in ("seq", "time") for by in (-1, 1)},
    "batch-later-than-anchor": put("batch", "seq", value=200),
    "no-batch": lambda r: r.pop("batch"),
    "other-newest": put("batch", "newest", value=b64(bytes(32))),
    "other-kind": put("header", "kind", value="deletion"),
    "access-kind": put("header", "kind", value="access"),
    "unknown-kind": put("header", "kind", value="version2"),
    "other-version": bump("header", "version", by=1),
    "other-id": put("header", "id", value="x"),
    "long-id": put("header", "id", value="x" * 65),
    "other-author": put("header", "author", value=""),
    "control-in-author": put("header", "author", value="a\x1b[2J"),
    "redated": bump("header", "time", by=1),
    "far-future": put("block", "time", value=2**53 - 1),
    "map-deeper": map_bytes("heads", lambda m: m + bytes(32)),
    "map-shorter": map_bytes("heads", lambda m: m[:-32]),
    "map-padded-bitmap": map_bytes(
        "state", lambda m: bytes([m[0] + 1]) + m[1 : 1 + m[0]] + b"\0" + m[1 + m[0] :]
    ),
    "map-no-bitmap": map_bytes("state", lambda m: b""),
    "map-of-nothing": map_bytes("state", lambda m: b"\0"),
    "map-257-levels": map_bytes("heads", lambda m: b"\x21" + b"\xff" * 33 + bytes(32 * 264)),
    "map-empty-sibling": map_bytes("heads", lambda m: m[:-32] + bytes(32)),
    "other-chain": put("chain", value="cl-" + "0" * 32),
    "chain-in-capitals": lambda r: r.update(chain=r["chain"].upper()),
    "other-format": put("format", value="careledger/receipt/2"),
    "unknown-field": put("note", value=""),
    "unknown-inner-field": put("head", "x", value=1),
    "missing-field": lambda r: r.pop("salt"),
    "null": put("batch", value=None),
    "true-for-one": put("header", "version", value=True),
    "negative": put("header", "version", value=-1),
    "float": put("header", "version", value=2.0),
    "nan": put("header", "version", value=float("nan")),
    "above-2-53": put("header", "version", value=2**53),
    "5000-digits": put("header", "version", value=10**4000),
    "number-for-text": put("header", "id", value=7),
    "list-for-object": put("header", value=[]),
    "text-for-object": put("signed", value=""),
    "padding": lambda r: r.update(salt=r["salt"] + "="),
    "plain-base64": put("salt", value="+" * 43),
    "line-break-in-base64": lambda r: r.update(salt=r["salt"][:20] + "\n" + r["salt"][20:]),
    "loose-bits": lambda r: r.update(salt=r["salt"][:-1] + chr(ord(r["salt"][-1]) + 1)),
    "short-digest": put("salt", value=b64(bytes(31))),
    "long-digest": put("salt", value=b64(bytes(33))),
    "lone-surrogate": put("header", "author", value="\ud800"),
}


@pytest.mark.parametrize("name", STRUCTURAL)
def test_altered_structure_is_refused(ledger: SyntheticLedger, trust: bytes, name: str) -> None:
    receipt = json.loads(ledger.receipt(617, batch=True))
    STRUCTURAL[name](receipt)
    data = json.dumps(
        receipt, ensure_ascii=name == "lone-surrogate", sort_keys=True, separators=(",", ":")
    ).encode()
    assert verdict(data, trust) == "refused"


def test_an_author_is_limited_in_bytes_not_in_characters(ledger: SyntheticLedger, trust: bytes) -> None:
    receipt = json.loads(ledger.receipt(617))
    receipt["header"]["author"] = "ä" * 257
    assert verdict(canonical(receipt), trust) == "refused"
    with pytest.raises(STANDALONE.Refused, match="the author is too long"):
        STANDALONE.verify(canonical(receipt), trust)


@pytest.mark.parametrize(
    "respell",
    [
        lambda d: d.replace(b'"index":617', b'"index":617,"index":617'),
        lambda d: d.replace(b'"index":617', b'"index":616,"index":617'),
        lambda d: d.replace(b'"index":617', b'"index": 617'),
        lambda d: d.replace(b'"index":617', b'"index":6.17e2'),
        lambda d: d.replace(b'"index":617', b'"index":617.0'),
        lambda d: d.replace(b'"index":617', b'"index":0617'),
        lambda d: d.replace(b'"index":617', b'"index":NaN'),
        lambda d: d.replace(b'"index":617', b'"index":Infinity'),
        lambda d: d.replace(b'"index":617', b'"index":1e999'),
        lambda d: d.replace(b'"index":617', b'"index":-0'),
        lambda d: d.replace(b'"index"', b'"\\u0069ndex"'),
        lambda d: d.replace(b"careledger/receipt", b"careledger\\/receipt"),
        lambda d: d.replace("—".encode(), b"\\u2014"),
        lambda d: d.replace(b'{"anchor"', b'{"zzz":' + b"[" * 100_000 + b"]" * 100_000 + b',"anchor"'),
        lambda d: d.replace(b'{"anchor"', b'{"zzz":' + b'{"a":' * 60 + b"1" + b"}" * 60 + b',"anchor"'),
        lambda d: b"[" * 900_000,
        lambda d: d + b" " * 1_000_000,
        lambda d: d.decode().encode("utf-16"),
        lambda d: d.replace(b"Observation", b"Observ\xffation"),
        lambda d: json.dumps(json.loads(d), ensure_ascii=False, indent=1).encode(),
        lambda d: json.dumps(
            dict(reversed(json.loads(d).items())), ensure_ascii=False, separators=(",", ":")
        ).encode(),
        lambda d: b"null",
        lambda d: b"{}",
        lambda d: b"[]",
        lambda d: b"7",
        lambda d: b"",
    ],
)
def test_each_file_has_one_spelling(
    ledger: SyntheticLedger, trust: bytes, respell: Callable[[bytes], bytes]
) -> None:
    receipt = ledger.receipt(617)
    assert respell(receipt) != receipt
    started = time.process_time()
    assert verdict(respell(receipt), trust) == "refused"
    assert time.process_time() - started < 0.25


# ---- Other ledgers, other charts, other signatures ----------------------------------------------------------


def test_parts_of_another_chart_or_ledger_are_refused(ledger: SyntheticLedger, trust: bytes) -> None:
    mine, other = json.loads(ledger.receipt(617)), json.loads(SyntheticLedger(seed=2).receipt(617))
    assert verdict(canonical(other), trust) == "refused"
    for field in (name for name in mine if mine[name] != other[name]):
        assert verdict(canonical(mine | {field: other[field]}), trust) == "refused", field
    sibling = json.loads(ledger.receipt(616))
    for field in ("header", "index", "path", "salt"):
        assert verdict(canonical(mine | {field: sibling[field]}), trust) == "refused", field


def test_a_checkpoint_of_another_ledger_is_refused(ledger: SyntheticLedger) -> None:
    other = SyntheticLedger(seed=3)
    assert verdict(ledger.receipt(1), other.checkpoint(100)) == "refused"


def test_a_checkpoint_beside_another_is_told_what_it_is(ledger: SyntheticLedger) -> None:
    """An old one that is handed out as the newest is said to be old, a fork to be one; none is taken for a proof."""
    fork = SyntheticLedger()
    fork.history_entries[7] = u64(7) + u64(1) + bytes(32)
    trust = ledger.checkpoint(200)
    for other, why in (
        (ledger.checkpoint(100), "an older one: size 100, the trusted one's is 200"),
        (fork.checkpoint(200), "a fork"),
        (ledger.checkpoint(300), "nothing beyond itself"),
        (trust, "nothing beyond itself"),
        (SyntheticLedger(seed=3).checkpoint(300), "of another ledger"),
        (trust.replace(b'"embedded"', b'"embedded","more":1'), ""),
    ):
        for check, error in ((verify_receipt, VerificationFailed), (STANDALONE.verify, STANDALONE.Refused)):
            with pytest.raises(error, match=why or "."):
                check(other, trust)


def test_equal_heights_must_have_equal_roots(ledger: SyntheticLedger) -> None:
    """The operator signs two histories of one height: whoever holds the one refuses the other."""
    fork, size = SyntheticLedger(), ledger.block.height + 5
    fork.history_entries[7] = u64(7) + u64(1) + bytes(32)
    assert verdict(fork.receipt(9, size), fork.checkpoint(size)) == "anchored"
    assert verdict(fork.receipt(9, size), ledger.checkpoint(size)) == "refused"
    assert verdict(ledger.receipt(9, size), fork.checkpoint(size)) == "refused"


def renote(ledger: SyntheticLedger, change: Callable[[str], str], index: int = 617) -> bytes:
    receipt = json.loads(ledger.receipt(index))
    note = change(receipt["signed"]["note"])
    assert note != receipt["signed"]["note"]
    return canonical(receipt | {"signed": receipt["signed"] | {"note": note}})


def malleate(note: str) -> str:
    """S + L: the same equation, another spelling."""
    head, _, blob = note.rstrip("\n").rpartition(" ")
    raw = base64.b64decode(blob)
    scalar = int.from_bytes(raw[36:], "little") + ORDER
    return f"{head} {base64.b64encode(raw[:36] + scalar.to_bytes(32, 'little')).decode()}\n"


NOTES: dict[str, Callable[[str], str]] = {
    "unsigned": lambda n: n[: n.index("\n\n") + 2],
    "no-blank-line": lambda n: n.replace("\n\n", "\n"),
    "no-last-newline": lambda n: n[:-1],
    "s-plus-l": malleate,
    "signed-twice": lambda n: n + n[n.index("—") :],
    "unknown-key": lambda n: (
        n + Signer("stranger.example", "operator", bytes(32)).line("careledger/x", 1, bytes(32))
    ),
    "renamed-key": lambda n: n.replace("— careledger", "— careledgers"),
    "garbage-line": lambda n: n + "hello\n",
    "extension-line": lambda n: n.replace("\n\n", "\nextension\n\n"),
    "leading-zero": lambda n: n.replace("\n3001\n", "\n03001\n"),
    "other-size": lambda n: n.replace("\n3001\n", "\n3002\n"),
    "arabic-digits": lambda n: n.replace("\n3001\n", "\n٣٠٠١\n"),
    "crlf": lambda n: n.replace("\n", "\r\n"),
    "hyphen": lambda n: n.replace("—", "-"),
    "two-spaces": lambda n: n.replace("— ", "—  "),
    "unpadded": lambda n: n.replace("=\n\n", "\n\n"),
    "empty": lambda n: "",
    "long": lambda n: n + "\n" * 200_000,
}


@pytest.mark.parametrize("name", NOTES)
def test_altered_notes_are_refused(ledger: SyntheticLedger, trust: bytes, name: str) -> None:
    assert verdict(renote(ledger, NOTES[name]), trust) == "refused"


def test_only_a_witness_has_signed(ledger: SyntheticLedger) -> None:
    trust = witnessed_trust(ledger, 1)
    assert verdict(ledger.receipt(5, signers=(ledger.witnesses[0],)), trust) == "refused"


IDENTITY = (1).to_bytes(32, "little")
WEAK_POINTS = [
    IDENTITY,
    bytes(32),
    bytes(31) + b"\x80",
    (2**255 - 20).to_bytes(32, "little"),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
    (2**255 - 18).to_bytes(32, "little"),  # the identity, not reduced
    IDENTITY[:31] + b"\x80",
]


@pytest.mark.parametrize("point", WEAK_POINTS)
def test_a_small_order_key_vouches_for_nothing(ledger: SyntheticLedger, point: bytes) -> None:
    """OpenSSL accepts R = identity, S = 0 under the identity key for every message."""
    key_id = sha256(ledger.origin.encode() + b"\n\x01" + point)[:4]
    trust, receipt = json.loads(ledger.checkpoint(100)), json.loads(ledger.receipt(5))
    for scalar in (0, 1, ORDER):
        for nonce in (point, IDENTITY):
            blob = base64.b64encode(key_id + nonce + scalar.to_bytes(32, "little")).decode()
            line = f"— {ledger.origin} {blob}\n"
            root = ledger.history(100).root()
            trust["note"] = note_body(ledger.origin, 100, root).decode() + "\n" + line
            trust["keys"] = [{"alg": "ed25519", "name": ledger.origin, "public": b64(point)}]
            note = receipt["signed"]["note"]
            receipt["signed"]["note"] = note[: note.index("\n\n") + 2] + line
            assert verdict(canonical(receipt), canonical(trust)) == "refused"


def test_openssl_alone_accepts_the_identity_key() -> None:
    """Why the stand-alone verifier looks at the points itself; if this fails, that check has become a habit."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    Ed25519PublicKey.from_public_bytes(IDENTITY).verify(IDENTITY + bytes(32), b"anything")


# ---- The trust file -----------------------------------------------------------------------------------------


def twice(trust: Json) -> None:
    trust["keys"].append(trust["keys"][0])


TRUST: dict[str, Callable[[Json], None]] = {
    "other-key": lambda t: t["keys"][0].update(public=b64(bytes(31) + b"\x01")),
    "no-key": put("keys", value=[]),
    "a-key-that-did-not-sign": lambda t: t["keys"].append(
        {"alg": "ed25519", "name": "other.example", "public": b64(Signer("x", "operator", b"1" * 32).public)}
    ),
    "a-key-missing": lambda t: t["keys"].pop(),
    "a-key-twice": twice,
    "wrong-algorithm": lambda t: t["keys"][0].update(alg="ml-dsa-44"),
    "unknown-algorithm": lambda t: t["keys"][0].update(alg="rsa"),
    "name-with-space": lambda t: t["keys"][0].update(name="a b"),
    "name-with-plus": lambda t: t["keys"][0].update(name="a+b"),
    "network": put("mode", value="network"),
    "other-chain": put("chain", value="cl-" + "0" * 32),
    "unknown-field": put("extra", value=1),
    "no-note": put("note", value=""),
    "level-final": put("level", value="final"),
    "level-without-witnesses": put("level", value="witnessed"),
    "k-of-none": put("witnesses", value={"k": 1, "keys": []}),
    "operator-as-witness": lambda t: t.update(witnesses={"k": 1, "keys": [t["keys"][0]]}),
    "k-zero": lambda t: t.update(witnesses={"k": 0, "keys": [WITNESS]}),
    "k-above-n": lambda t: t.update(witnesses={"k": 2, "keys": [WITNESS]}),
    "witness-of-another-algorithm": lambda t: t.update(
        witnesses={"k": 1, "keys": [WITNESS | {"alg": "ml-dsa-44"}]}
    ),
    "too-many": lambda t: t.update(keys=t["keys"] * 40),
}
WITNESS = {"alg": "ed25519", "name": "w.example", "public": b64(Signer("w", "witness", b"2" * 32).public)}


@pytest.mark.parametrize("name", TRUST)
def test_altered_trust_files_are_refused(ledger: SyntheticLedger, trust: bytes, name: str) -> None:
    changed = json.loads(trust)
    TRUST[name](changed)
    assert verdict(ledger.receipt(617), canonical(changed)) == "refused"


# ---- The program --------------------------------------------------------------------------------------------


def run(*arguments: object, verifier: Path = VERIFIER) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", verifier, *arguments]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)


def test_the_program(ledger: SyntheticLedger, trust: bytes, tmp_path: Path) -> None:
    receipt, checkpoint, body = tmp_path / "r.json", tmp_path / "c.json", tmp_path / "b.json"
    receipt.write_bytes(ledger.receipt(617))
    checkpoint.write_bytes(trust)
    body.write_bytes(ledger.bodies[617])
    good = run(receipt, "--trust", checkpoint, "--body", body)
    assert (good.returncode, good.stderr) == (0, "")
    assert "level: anchored\nas of: 2026-09-21T14:15:00.000Z (height 3000 of cl-" in good.stdout
    assert run("--trust", checkpoint, receipt).returncode == 0
    bad = run(checkpoint, "--trust", checkpoint)
    assert (bad.returncode, bad.stdout) == (6, "") and bad.stderr.startswith("refused: ")
    assert run(receipt, "--trust", checkpoint, "--body", checkpoint).returncode == 6
    for usage in (
        [],
        [receipt],
        [receipt, "--trust"],
        [receipt, receipt, "--trust", checkpoint],
        [receipt, "--trust", checkpoint, "--no"],
    ):
        assert run(*usage).returncode == 2
    for unreadable in (tmp_path / "none", tmp_path):
        assert run(unreadable, "--trust", checkpoint).returncode == 2


def test_one_file_is_enough_for_receipts_and_says_what_else_needs(
    ledger: SyntheticLedger, trust: bytes, tmp_path: Path
) -> None:
    """Exports and networks need the files beside it: without them it says so, and takes nothing for refused."""
    alone = tmp_path / "verify.py"
    shutil.copy(VERIFIER, alone)
    network, chart, mixed = SyntheticNetwork(), SyntheticChart(), json.loads(ledger.receipt(617))
    mixed["signed"]["header"] = {}
    files = {
        "receipt": ledger.receipt(617), "trust": trust, "chart": chart.export(), "kept": chart.checkpoint(),
        "mixed": canonical(mixed), "final": network.network_receipt(), "network": network.blocks.trust(6),
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)

    def answer(file: str, trusted: str) -> tuple[int, str]:
        done = run(tmp_path / file, "--trust", tmp_path / trusted, verifier=alone)
        return done.returncode, done.stderr

    assert answer("receipt", "trust") == (0, "")
    assert answer("mixed", "trust")[0] == answer("final", "trust")[0] == 6
    for file, trusted, missing in (("chart", "kept", "exports.py"), ("final", "network", "networks.py")):
        code, said = answer(file, trusted)
        assert code == 2 and missing in said and "copy" in said
    for name in ("exports.py", "networks.py"):  # a receipt does not wait for what it does not need
        (tmp_path / name).write_text("raise SystemExit(9)")
    assert answer("receipt", "trust") == (0, "")
    assert answer("chart", "kept")[0] == answer("final", "network")[0] == 9
    for name in ("exports.py", "networks.py"):
        shutil.copy(VERIFIER.with_name(name), tmp_path)
    assert answer("chart", "kept") == (0, "")
    assert answer("final", "network")[0] in (0, 6)  # by this machine's clock
    assert set(tmp_path.iterdir()) == {alone, *(tmp_path / n for n in (*files, "exports.py", "networks.py"))}


def test_what_is_read_is_what_runs(tmp_path: Path) -> None:
    """A compiled copy beside a file of the verifier, whatever it claims to be of, is not run in its place."""
    chart, other = SyntheticChart(), tmp_path / "other.py"
    for name in ("verify.py", "exports.py"):
        shutil.copy(VERIFIER.with_name(name), tmp_path)
    other.write_text("raise SystemExit(0)")
    compiled = importlib.util.cache_from_source(str(tmp_path / "exports.py"))
    py_compile.compile(str(other), compiled, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    (tmp_path / "chart").write_bytes(chart.export().replace(b"a", b"b", 1))
    (tmp_path / "kept").write_bytes(chart.checkpoint())
    done = run(tmp_path / "chart", "--trust", tmp_path / "kept", verifier=tmp_path / "verify.py")
    assert done.returncode == 6


CODE_LINES_MAX = {"verify.py": 345, "exports.py": 420, "networks.py": 150, "passkeys.py": 105, "past.py": 65}
"""Without comments, docstrings and blank lines."""
THEIRS = {
    "verify.py": {"cryptography"},
    "passkeys.py": {"cryptography", "verify"},
}  # the others: verify.py alone


def test_it_stands_alone() -> None:
    """Standard library and public modules of `cryptography`, nothing of the package; short enough for an hour each."""
    assert {path.name for path in VERIFIER.parent.glob("*.py")} == CODE_LINES_MAX.keys()
    for name, most in CODE_LINES_MAX.items():
        source = VERIFIER.with_name(name).read_text()
        imported = set()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported |= {f"{node.module}.{alias.name}" for alias in node.names}
        theirs = {one.split(".")[0] for one in imported} - sys.stdlib_module_names
        assert theirs == THEIRS.get(name, {"verify"}), name
        assert not [one for one in imported if one.startswith("_") or "._" in one], name
        assert count_code_lines(source) <= most, f"{name}: {count_code_lines(source)} lines of code"


def count_code_lines(source: str) -> int:
    blank = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {
        line
        for token in tokens
        if token.type not in (*blank, tokenize.ENDMARKER)
        for line in range(token.start[0], token.end[0] + 1)
    }
    prose = {
        node.body[0].lineno + extra
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
        and ast.get_docstring(node, clean=False)
        for extra in range((node.body[0].end_lineno or 0) - node.body[0].lineno + 1)
    }
    return len(lines - prose)


def test_a_receipt_verifies_in_ten_milliseconds(ledger: SyntheticLedger, trust: bytes) -> None:
    """With the libraries loaded. What loading them adds is a figure of the bench (docs/decisions/0013)."""
    receipt = ledger.receipt(617, signers=(ledger.operator, ledger.operator_pq))
    for check in (package_verdict, standalone_verdict):
        check(receipt, trust)
        times = []
        for _ in range(5):
            started = time.thread_time()
            assert check(receipt, trust) == "anchored"
            times.append(time.thread_time() - started)
        assert min(times) < 0.010


# ---- Size ---------------------------------------------------------------------------------------------------


def unsigned_size(receipt: bytes) -> int:
    return len(canonical({k: v for k, v in json.loads(receipt).items() if k != "signed"}))


@pytest.mark.parametrize(("charts", "limit"), [(1000, 2000), (100_000, 3000)])
def test_size_without_the_signed_part(charts: int, limit: int) -> None:
    """For the largest of several charts: how deep a chart lies in the map of heads is chance."""
    sizes = []
    big = SyntheticLedger(charts=charts, height=10)
    sizes.append(unsigned_size(big.receipt(617)))
    deepest = max(big.heads.depths())
    assert max(sizes) + 43 * (deepest - big.heads.depth_of(big.head_key)) <= limit
