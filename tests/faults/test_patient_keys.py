"""A patient's key never comes to the node: not through its socket, not into its home, not into what it seals."""

from __future__ import annotations

import base64
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from careledger.access.patient_keys import PatientKey
from careledger.cli.keyfiles import read_key
from careledger.cli.run import run
from careledger.node.layout import Layout
from careledger.primitives.sockets import connect_socket, listen_at
from careledger.vault.snapshot import VaultReader
from tests.faults.killing import serving, wait_until_free
from tests.faults.rig import new_home, node_of, patient
from tests.faults.scanning import Scanner
from tests.node.consenting import ELSEWHERE

TERMS = ("--to", ELSEWHERE, "--purpose", "TREAT", "--until", "2999-12-31")


@contextmanager
def overheard(home: Path, front: Path) -> Iterator[bytearray]:
    """`front` is a home for the command line; what passes between it and the node of `home` is kept."""
    front.mkdir()
    shutil.copy(home / "home.json", front / "home.json")
    heard, listener = bytearray(), listen_at(Layout(front).socket)
    listener.setblocking(True)

    def copy(source: socket.socket, target: socket.socket) -> None:
        while data := source.recv(65_536):
            heard.extend(data)
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            node = connect_socket(Layout(home).socket, 10.0)
            for ends in ((caller, node), (node, caller)):
                threading.Thread(target=copy, args=ends, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield heard
    finally:
        listener.close()


def spellings(secret: bytes) -> Iterator[bytes]:
    yield secret
    yield secret[:16]
    yield secret[16:]
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + secret)[4:-4]
        yield text
        yield text.replace(b"+", b"-").replace(b"/", b"_")


def find(secrets: list[bytes], data: bytes) -> list[int]:
    return [at for at, secret in enumerate(secrets) if any(one in data for one in spellings(secret))]


def open_all(reader: VaultReader) -> Iterator[bytes]:
    """Every body of the home, opened."""
    with reader.snapshot() as snapshot:
        for chart in snapshot.chart_numbers():
            for row in snapshot.rows(chart):
                version = snapshot.version(row.type, row.id, row.version)
                if version is not None and not version.deleted:
                    yield snapshot.body(version)


def test_a_patients_key_never_comes_to_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    home = new_home(tmp_path / "home")
    with node_of(home) as node:
        node.client.put("Patient/anna", patient("anna"))
        monkeypatch.setenv("CARELEDGER_CONSENT__GRANT_DELAY_SECONDS", "0")

    def done(*words: str) -> str:
        assert run([*words, "--home", "front"]) == 0, capsys.readouterr().err
        return capsys.readouterr().out.strip()

    with serving(home, 2) as (process, _), overheard(home, tmp_path / "front") as heard:
        done("patient", "enrol", "anna", "--key-out", "old.key")
        done("patient", "enrol", "anna", "--key", "old.key", "--key-out", "new.key")
        first = done("consent", "grant", "anna", *TERMS, "--key", "new.key")
        second = done("consent", "supersede", first, *TERMS, "--key", "new.key")
        done("consent", "list", "anna")
        done("consent", "revoke", second, "--key", "new.key")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    wait_until_free(home)
    keys = [read_key(tmp_path / name)[1] for name in ("old.key", "new.key")]
    with node_of(home) as node:
        nonces = [node.command("consent.prepare_revocation", id=id)["nonce"] for id in (first, second)]
        opened = b"\0".join(open_all(node.service.reader))
    secrets = [secret for key in keys for secret in secrets_of(key, nonces)]
    assert len(secrets) == 12
    assert len(heard) > 30_000
    assert len(opened) > 20_000
    assert find(secrets, bytes(heard)) == []
    assert find(secrets, opened) == []
    assert find(secrets, (out + err).encode()) == []
    for path in home.rglob("*"):
        assert path.is_dir() or find(secrets, path.read_bytes()) == [], path
    seeds = [base64.urlsafe_b64encode(key.seed).decode().rstrip("=") for key in keys]
    assert Scanner([*seeds, *(key.seed.hex() for key in keys)]).scan_home(home) == {}


def secrets_of(key: PatientKey, nonces: list[bytes]) -> list[bytes]:
    """All that the key file gives and only her device may know."""
    derived = [key.directive_seed(nonce) for nonce in nonces] + [
        key.revocation_code(nonce) for nonce in nonces
    ]
    return [key.seed, key._enrolled, *derived]


def test_the_search_finds_a_key() -> None:
    secret = bytes(range(32))
    for data in (
        secret,
        secret.hex().encode(),
        base64.b64encode(b"x" + secret),
        base64.urlsafe_b64encode(secret),
    ):
        assert find([secret], b"before" + data + b"after") == [0]
