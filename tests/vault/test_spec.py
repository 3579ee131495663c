"""A home read with docs/spec/vault.md and nothing of the package: every byte of key store and journal is as written.

This file is a second reader of the formats. It imports libraries only; if it and the program disagree, one of them has
left the page.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import zstandard
from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite

from tests.faults.rig import PASSPHRASE, appointment, new_home, node_of, observation, patient, transaction

DICTIONARY = Path(__file__).resolve().parents[2] / "careledger" / "vault" / "dictionary.bin"


def tagged(tag: str, data: bytes) -> bytes:
    return hashlib.sha256(bytes([len(tag)]) + tag.encode() + data).digest()


def mac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def keyed(key: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16, key=key).digest()


def text(value: str) -> bytes:
    return struct.pack(">I", len(value.encode())) + value.encode()


class KeyStore:
    """`keys/keystore`, opened."""

    def __init__(self, data: bytes) -> None:
        assert hashlib.sha256(data[:-32]).digest() == data[-32:]
        head = data[:56]
        magic, version, passes, memory, lanes, salt, nonce = struct.unpack(">15sBIII16s12s", head)
        assert (magic, version) == (b"careledger-keys", 1)
        key = hash_secret_raw(PASSPHRASE.encode(), salt, passes, memory, lanes, 32, Type.ID)
        plain = AESGCM(key).decrypt(nonce, data[56:-32], head)
        seeds = [plain[at : at + 32] for at in range(0, 256, 32)]
        self.blind, self.journal = seeds[6], seeds[7]
        self.custodian, self.home_id = plain[256:352], plain[352:368]
        (count,) = struct.unpack(">I", plain[368:372])
        self.masters = dict(struct.iter_unpack(">I32s", plain[372:]))
        assert len(self.masters) == count

    def unwrap(self, handle: bytes, epoch: int, wrap: bytes) -> tuple[bytes, bytes]:
        info = b"cl1.wrap" + self.home_id + handle + struct.pack(">I", epoch)
        (number,) = struct.unpack(">I", wrap[:4])
        inner = AESGCM(self.masters[number]).decrypt(wrap[4:16], wrap[16:], wrap[:4] + info)
        private = MLKEM768X25519PrivateKey(
            MLKEM768PrivateKey.from_seed_bytes(self.custodian[:64]),
            X25519PrivateKey.from_private_bytes(self.custodian[64:]),
        )
        hpke = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
        batch = hpke.decrypt(inner[:1168], private, b"cl1.batch" + self.home_id)
        pair = AESGCM(batch).decrypt(inner[1168:1180], inner[1180:], info)
        return pair[:32], pair[32:]


def read_frames(data: bytes, keys: KeyStore) -> Iterator[tuple[int, list[tuple[int, bytes]]]]:
    """(kind, records) of every frame, with its chain checked."""
    assert data[:24] == b"CLJRNL01" + keys.home_id
    assert data[24:64] == bytes(40)
    at, expected, digest = 64, 0, keys.home_id
    while at < len(data):
        magic, kind, length, sequence, check = struct.unpack_from(">IBIQI", data, at)
        assert (magic, sequence) == (0x434C4652, expected)
        assert check == zlib.crc32(data[at : at + 17])
        end = at + 21 + length
        digest = keyed(keys.journal, digest + data[at:end])
        assert data[end : end + 16] == digest
        yield kind, list(read_records(data[at + 21 : end]))
        at, expected = end + 16, expected + 1


def read_records(payload: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(payload):
        kind, length = struct.unpack_from(">BI", payload, at)
        yield kind, payload[at + 5 : at + 5 + length]
        at += 5 + length
    assert at == len(payload)


def unpack(form: int, padded: bytes) -> bytes:
    content = padded.rstrip(b"\0")
    size, marked = len(padded), len(content)
    assert content[-1] == 0x80
    if marked <= 128:
        assert size == 128
    else:
        exponent = marked.bit_length() - 1
        step = 1 << (exponent - exponent.bit_length())
        assert size == -(-marked // step) * step
    if form == 0:
        return content[:-1]
    assert form == 1
    dictionary = zstandard.ZstdCompressionDict(DICTIONARY.read_bytes())
    reader = zstandard.ZstdDecompressor(dict_data=dictionary, format=zstandard.FORMAT_ZSTD1_MAGICLESS)
    return reader.decompress(content[:-1], max_output_size=1 << 20)


def open_sealed(secret: bytes, six: bytes, sealed: bytes) -> bytes:
    packed = AESGCM(mac(secret, b"body")).decrypt(bytes(12), sealed[1:], sealed[:1] + six)
    return unpack(sealed[0], packed)


def commit(secret: bytes, six: bytes, time_ms: int, author: str, body: bytes) -> bytes:
    salt = mac(secret, b"salt")
    header = six + struct.pack(">Q", time_ms) + text(author) + tagged("cl1.body", salt + body)
    return tagged("cl1.commit", salt + header)


@dataclass
class Chart:
    handle: bytes
    epoch: int
    record_key: bytes
    access_key: bytes
    records: list[bytes] = field(default_factory=list)  # leaves
    accesses: list[bytes] = field(default_factory=list)

    def six(self, organisation: bytes, kind: int, type: str, id: str, version: int) -> bytes:
        return organisation + self.handle + bytes([kind]) + text(type) + text(id) + struct.pack(">Q", version)

    def open_meta(self, organisation: bytes, leaf: bytes, meta: bytes) -> list[Any]:
        data = b"cl1.meta" + organisation + self.handle + leaf
        plain = AESGCM(mac(self.record_key, b"meta")).decrypt(meta[:12], meta[12:], data)
        found: list[Any] = msgspec.msgpack.decode(plain)
        return found


class Home:
    """Everything that the journal says, opened and checked."""

    def __init__(self, path: Path) -> None:
        self.organisation = bytes.fromhex(json.loads((path / "home.json").read_text())["did"][-64:])
        self.keys = KeyStore((path / "keys" / "keystore").read_bytes())
        self.charts: list[Chart] = []
        self.bodies: dict[tuple[str, int], bytes] = {}
        self.kinds: list[int] = []
        self.accesses: list[tuple[int, bytes]] = []
        self.tokens: dict[bytes, int] = {}
        self._last: tuple[bytes, bytes] = (b"", b"")  # secret and body of the version before
        self.wraps: dict[int, bytes] = {}
        self.epochs: dict[int, int] = {}
        self.metas: dict[int, dict[int, tuple[bool, bytes]]] = {}
        self.closed: set[int] = set()
        self.bare: list[tuple[int, int]] = []
        frames = list(read_frames((path / "journal" / "log").read_bytes(), self.keys))
        for _, records in frames:
            for kind, content in records:
                if kind == 8:
                    self._reseal(content)
                elif kind == 9:
                    self.wraps[int.from_bytes(content[:4], "big")] = content[4:]
                elif kind == 10:
                    assert min(self.keys.masters) >= int.from_bytes(content, "big")
        for _, records in frames:
            for kind, content in records:
                {1: self._chart, 2: self._version, 3: self._link, 4: self._access}.get(
                    kind, lambda _content: None
                )(content)

    def _reseal(self, content: bytes) -> None:
        chart, epoch, closed, size, count = struct.unpack_from(">IIBHI", content)
        at = 15 + size
        self.wraps[chart], self.epochs[chart] = content[15:at], epoch
        self.metas[chart] = {}
        if closed:
            self.closed.add(chart)
        for _ in range(count):
            index, erased, length = struct.unpack_from(">IBH", content, at)
            self.metas[chart][index] = bool(erased), content[at + 7 : at + 7 + length]
            at += 7 + length
        assert at == len(content)

    def _take(self, number: int, epoch: int, leaf: bytes, meta: bytes) -> list[Any] | None:
        """The opened meta; None for a bare leaf."""
        chart = self.charts[number]
        index = len(chart.records)
        chart.records.append(leaf)
        erased = False
        if epoch != chart.epoch:
            if number in self.closed:
                self.bare.append((number, index))
                return None
            erased, meta = self.metas[number][index]
        opened = chart.open_meta(self.organisation, leaf, meta)
        if erased:
            assert opened[5:8] == ["", 0, b""]
            self.bare.append((number, index))
            return None
        self.kinds.append(opened[0])
        return opened

    def _check(self, chart: Chart, leaf: bytes, opened: list[Any], body: bytes) -> None:
        kind, type, id, version, time_ms, author, length, secret, _, _, _ = opened
        assert length == len(body)
        six = chart.six(self.organisation, kind, type, id, version)
        assert commit(secret, six, time_ms, author, body) == leaf

    def _chart(self, content: bytes) -> None:
        number, token, handle, epoch, leaf, size = struct.unpack_from(">I16s32sI32sH", content)
        meta, wrap = content[90 : 90 + size], content[90 + size :]
        assert number == len(self.charts)
        self.tokens[token] = number
        last, wrap = self.epochs.get(number, epoch), self.wraps.get(number, wrap)
        chart = Chart(handle, last, *self.keys.unwrap(handle, last, wrap))
        self.charts.append(chart)
        opened = self._take(number, epoch, leaf, meta)
        if opened is None:
            return
        assert opened[:4] == [0, "", "", 0]
        self._check(chart, leaf, opened, b"")

    def _version(self, content: bytes) -> None:
        number, index, leaf, epoch, size = struct.unpack_from(">II32sIH", content)
        meta, sealed = content[46 : 46 + size], content[46 + size :]
        chart = self.charts[number]
        assert index == len(chart.records)
        opened = self._take(number, epoch, leaf, meta)
        if opened is None:
            self._last = b"", sealed
            return
        kind, type, id, version, secret = opened[0], opened[1], opened[2], opened[3], opened[7]
        six = chart.six(self.organisation, kind, type, id, version)
        body = open_sealed(secret, six, sealed) if sealed else b""
        self._check(chart, leaf, opened, body)
        self.bodies[f"{type}/{id}", version] = body
        self._last = secret, body

    def _link(self, content: bytes) -> None:
        number, index, leaf, epoch, moved, home, _ = struct.unpack_from(">II32sIBII", content)
        chart = self.charts[number]
        assert index == len(chart.records)
        opened = self._take(number, epoch, leaf, content[53:])
        if opened is None:
            return
        if moved:
            assert opened[0] == 6
            self._check(chart, leaf, opened, b"")
            return
        secret, body = self._last
        if not secret:  # the chart that sealed it was shredded
            secret = opened[7]
            six = self.charts[home].six(self.organisation, *opened[:4])
            body = open_sealed(secret, six, body)
            self.bodies[f"{opened[1]}/{opened[2]}", opened[3]] = body
        assert (opened[7], opened[8]) == (secret, self.charts[home].handle)
        self._check(chart, leaf, opened, body)

    def _access(self, content: bytes) -> None:
        number, index, leaf = struct.unpack_from(">II32s", content)
        chart, sealed = self.charts[number], content[40:]
        assert index == len(chart.accesses)
        chart.accesses.append(leaf)
        secret = mac(chart.access_key, b"entry" + struct.pack(">Q", index) + sealed[:16])
        six = chart.six(self.organisation, 32, "", "", index)
        entry = open_sealed(secret, six, sealed[16:])
        (length,) = struct.unpack_from(">I", entry)
        _, _, time_ms = struct.unpack_from(">BQQ", entry, 4 + length)
        assert commit(secret, six, time_ms, "", entry) == leaf
        self.accesses.append((number, entry))


def compute_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\1" + compute_root(leaves[:half]) + compute_root(leaves[half:])).digest()


def test_a_home_is_what_the_page_says(tmp_path: Path) -> None:
    path = new_home(tmp_path / "home")
    with node_of(path) as node:
        served = {}
        for body in (
            patient("a"),
            patient("b"),
            observation("o", "a", 1.5),
            {"resourceType": "Basic", "id": "x", "code": {"text": "y"}},
        ):
            node.client.put(f"{body['resourceType']}/{body['id']}", body)
        node.client.put("Appointment/v", appointment("v", ["a", "b"]))
        node.client.put("Observation/o", observation("o", "b", 2.5))  # moves to another chart
        node.client.post("", transaction([observation(f"n{number}", "a", number) for number in range(20)]))
        for name in ("Patient/a", "Appointment/v", "Observation/o", "Basic/x", "Observation/n7"):
            served[name] = node.client.get(name).body
        node.client.send("DELETE", "Observation/n3")
        receipts = [
            json.loads(node.command("receipt", reference=name)["file"])
            for name in ("Patient/a", "Observation/o")
        ]
    home = Home(path)
    for name, body in served.items():
        assert home.bodies[name, max(version for known, version in home.bodies if known == name)] == body
    assert home.bodies["Observation/n3", 2] == b""
    assert set(home.kinds) == {0, 1, 2, 6}
    assert home.tokens[keyed(home.keys.blind, b"id\0Patient/a")] > 0
    assert home.tokens[keyed(home.keys.blind, b"id\0Organization/")] == 0
    assert any(number and b"Appointment/v" in entry for number, entry in home.accesses)
    roots = {
        compute_root(chart.records[:size]).hex()
        for chart in home.charts
        for size in range(1, len(chart.records) + 1)
    }
    for receipt in receipts:
        assert base64.urlsafe_b64decode(receipt["head"]["root"] + "=").hex() in roots


def test_a_home_that_erased_is_what_the_page_says(tmp_path: Path) -> None:
    path = new_home(tmp_path / "home")
    with node_of(path) as node:
        for name in "abc":
            node.client.put(f"Patient/{name}", patient(name))
        for value in (1, 2, 3):
            node.client.put("Observation/o", observation("o", "b", value))
        node.client.put("Appointment/v", appointment("v", ["a", "b"]))
        node.command("erase", reference="Observation/o/_history/2", reason="misfiled")
        node.command("shred", patient="a", reason="asked for")
        node.client.put("Observation/o", observation("o", "b", 4))
        served = {
            name: node.client.get(name).body for name in ("Appointment/v", "Observation/o", "Patient/c")
        }
    home = Home(path)
    newest = {name: max(version for known, version in home.bodies if known == name) for name in served}
    assert {name: home.bodies[name, newest[name]] for name in served} == served
    assert ("Observation/o", 1) in home.bodies and ("Observation/o", 2) not in home.bodies
    assert not [name for name, _ in home.bodies if name == "Patient/a"]
    assert {5, 7} <= set(home.kinds)
    assert len(home.bare) == 4  # enrolment, Patient and Appointment of one chart, one version of the other
    assert len(home.keys.masters) == 1
