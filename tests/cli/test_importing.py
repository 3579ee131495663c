"""Importing into a server by its address: what is sent, and what each answer becomes."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from careledger.cli.importing import compute_refused_entries
from careledger.cli.run import run
from careledger.node.sources import list_files, read_sources
from careledger.primitives.errors import Invalid, NotFound

ADA = b'{"resourceType":"Patient","id":"ada","multipleBirthInteger":1.50}'
NOTE = b'{"resourceType":"Basic"}'


@pytest.fixture
def server():
    """A server that remembers what it was sent and answers as its `status` and `entries` say."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.received.append((self.path, self.headers["Authorization"], json.loads(body)))
            answer = {
                "resourceType": "Bundle",
                "entry": [{"response": {"status": s}} for s in self.server.entries],
            }
            content = json.dumps(answer).encode()
            self.send_response(self.server.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.received, server.status, server.entries = [], 200, []
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def import_to(server, *paths):
    return run(["import", *map(str, paths), "--url", f"http://127.0.0.1:{server.server_port}/fhir"])


def test_resources_are_updated_under_their_ids(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CARELEDGER_TOKEN", "secret-token")
    with gzip.open(tmp_path / "all.ndjson.gz", "wb") as file:
        file.write(ADA + b"\n\n" + NOTE + b"\n")
    server.entries = ["201 Created", "201 Created"]
    assert import_to(server, tmp_path) == 0
    [(path, authorization, bundle)] = server.received
    assert (path, authorization) == ("/fhir", "Bearer secret-token")
    assert [entry["request"] for entry in bundle["entry"]] == [
        {"method": "PUT", "url": "Patient/ada"},
        {"method": "POST", "url": "Basic"},
    ]
    assert capsys.readouterr().out == "imported 2 resources in 1 Bundles, 0 failed\n"


def test_a_refused_entry_is_a_failure_without_its_content(server, tmp_path, capsys):
    (tmp_path / "ada.json").write_bytes(ADA)
    server.entries = ["422 Unprocessable Entity"]
    assert import_to(server, tmp_path / "ada.json") == 1
    printed = capsys.readouterr()
    assert printed.out == "imported 0 resources in 1 Bundles, 1 failed\n"
    assert printed.err == "failed: ada.json: entry 0: status 422 Unprocessable Entity\n"


@pytest.mark.parametrize(
    "system, said",
    [("urn:careledger:error", ": Observation.code: is absent; hint: add it"), ("urn:other", "")],
)
def test_why_an_entry_was_refused_is_said_where_it_holds_nothing_of_a_patient(system, said):
    issue = {
        "details": {"coding": [{"system": system}]},
        "diagnostics": "Observation.code: is absent; hint: add it",
    }
    response = {"status": "422 Unprocessable Entity", "outcome": {"issue": [issue]}}
    content = json.dumps(
        {"entry": [{"response": {"status": "201 Created"}}, {"response": response}]}
    ).encode()
    assert compute_refused_entries(content) == [f"entry 1: status 422 Unprocessable Entity{said}"]


@pytest.mark.parametrize("status, code", [(401, 4), (403, 4), (500, 1)])
def test_a_refusing_server(server, tmp_path, status, code, capsys):
    (tmp_path / "ada.json").write_bytes(ADA)
    server.status = status
    assert import_to(server, tmp_path / "ada.json") == code


def test_an_absent_server_is_unreachable(tmp_path, capsys):
    (tmp_path / "ada.json").write_bytes(ADA)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # and does not listen
        port = deaf.getsockname()[1]
        assert run(["import", str(tmp_path), "--url", f"http://127.0.0.1:{port}/fhir"]) == 7


def test_bundles_pass_as_they_are_and_numbers_keep_their_form(tmp_path):
    bundle = b'{"resourceType":"Bundle", "type":"transaction","entry":[{"resource":' + ADA + b"}]}"
    (tmp_path / "patient.json").write_bytes(bundle)
    (tmp_path / "hospitalInformation1.json").write_bytes(ADA)
    files = list_files([tmp_path])
    assert [file.name for file in files] == ["hospitalInformation1.json", "patient.json"]
    first, second = (next(iter(read_sources(file))) for file in files)
    assert ADA in first.bundle
    assert (second.bundle, second.resources) == (bundle, 1)


def test_a_collection_becomes_batches(tmp_path):
    entries = b",".join(b'{"resource":{"resourceType":"Basic","id":"b%d"}}' % number for number in range(501))
    (tmp_path / "all.json").write_bytes(
        b'{"resourceType":"Bundle","type":"collection","entry":[' + entries + b"]}"
    )
    assert [source.resources for source in read_sources(tmp_path / "all.json")] == [500, 1]


@pytest.mark.parametrize("content", [b"", b"not json", b"[]", b'{"id":"x"}', ADA[:-9]])
def test_files_that_are_not_fhir_are_named(tmp_path, content):
    (tmp_path / "odd.json").write_bytes(content)
    with pytest.raises(Invalid, match=r"odd\.json"):
        list(read_sources(tmp_path / "odd.json"))


def test_a_cut_archive_is_named(tmp_path):
    (tmp_path / "cut.json.gz").write_bytes(gzip.compress(ADA * 99)[:-9])
    with pytest.raises(Invalid, match="cut"):
        list(read_sources(tmp_path / "cut.json.gz"))


def test_an_absent_path_is_named(tmp_path):
    with pytest.raises(NotFound):
        list_files([tmp_path / "nothing"])
