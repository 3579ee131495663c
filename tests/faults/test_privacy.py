"""What lies on the disk of a stopped node says nothing about a patient."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import os
import shutil
import signal
import zlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
import zstandard

from careledger.synthetic.hospital import encode, hospital
from tests.faults.killing import serving, wait_until_free
from tests.faults.rig import new_home, node_of
from tests.faults.scanning import Scanner, canaries_of

PATIENTS = 3


class Used:
    """A home that was used as a hospital uses it, stopped; what its records say; what it logged."""

    def __init__(self, folder: Path) -> None:
        self.home = new_home(folder / "home")
        bundles = list(hospital(patients=PATIENTS))
        with node_of(self.home) as node:
            for bundle in bundles:
                answer = node.client.post("", encode(bundle))
                assert answer.status == 200, answer.body[:500]
            stored = [json.loads(node.client.get("Patient").body)]
            people = [entry["resource"] for entry in stored[0]["entry"]]
            for who in people:
                page = node.client.get(f"Patient/{who['id']}/$everything?_count=1000")
                stored.append(json.loads(page.body))
                stored.append(json.loads(node.client.get(f"Patient?family={who['name'][0]['family']}").body))
            token = node.command("token.issue", client="scan", scope="system/*.cruds", expires_s=600)
            node.command(
                "token.revoke",
                token=node.command("token.issue", client="x", scope="system/*.r", expires_s=60)["token"],
            )
            node.fsck()
        self.secrets = [token["token"]]
        self.log = self._serve(token["token"], people)
        empty = Scanner(canaries_of([*bundles, *stored])).scan_home(new_home(folder / "empty"))
        common = set().union(*empty.values()) if empty else set()
        urls = {c for c in canaries_of([*bundles, *stored]) if c.startswith("http://localhost")}
        self.canaries = canaries_of([*map(json.loads, map(encode, bundles)), *stored]) - common - urls
        self.people = people

    def _serve(self, token: str, people: list[dict[str, object]]) -> bytes:
        """Requests that work and requests that do not, and what the process printed."""
        with serving(self.home, 1) as (process, port):
            for who in people:
                family = quote(who["name"][0]["family"])  # type: ignore[index]
                for method, path, body in (
                    ("GET", f"Patient?name={family}", None),
                    ("GET", f"Patient/{who['id']}", None),
                    ("GET", f"Patient/{who['id']}x/nowhere/{family}", None),
                    ("GET", f"Observation?date={family}&patient={who['id']}", None),
                    ("POST", "Patient", json.dumps({**who, "gender": family})),
                    ("PUT", f"Patient/{who['id']}", json.dumps(who)[:-3]),
                ):
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
                    connection.request(method, "/fhir/" + path, body, headers)
                    connection.getresponse().read()
                    connection.close()
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
        wait_until_free(self.home)
        return (out + err).encode()


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Used:
    return Used(tmp_path_factory.mktemp("used"))


@pytest.mark.slow
def test_nothing_of_a_patient_is_readable_at_rest(used: Used) -> None:
    assert len(used.canaries) > 500
    families = {who["name"][0]["family"] for who in used.people if len(who["name"][0]["family"]) >= 6}
    assert {who["id"] for who in used.people} | families <= used.canaries
    scanner = Scanner(used.canaries)
    assert scanner.scan_home(used.home) == {}
    assert scanner.scan(used.log) == set()
    assert Scanner(used.secrets).scan_home(used.home) == {}


SPELLINGS: dict[str, Callable[[str], bytes]] = {
    "utf-8": str.encode,
    "lower case": lambda text: text.lower().encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "hex": lambda text: text.encode().hex().encode(),
    "base64": lambda text: base64.b64encode(b"xy" + text.encode() + b"more"),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(b"x" + text.encode() + b"more"),
    "zlib": lambda text: zlib.compress(text.encode()),
    "gzip in gzip": lambda text: gzip.compress(gzip.compress(text.encode())),
    "zstd": lambda text: zstandard.ZstdCompressor().compress(text.encode() * 3),
}


@pytest.mark.slow
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_scanner_finds_what_is_planted(spelling: str, used: Used, tmp_path: Path) -> None:
    home, canary = new_home(tmp_path / "home"), used.people[0]["id"]
    shutil.rmtree(home / "keys")
    with (home / "index" / "data.mdb").open("ab") as out:
        out.write(os.urandom(777) + SPELLINGS[spelling](canary) + os.urandom(99))
    assert canary in Scanner([canary]).scan_home(home)["index/data.mdb"]
