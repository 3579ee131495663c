"""`/api` of a network's node: receipts and exports under signed headers, a light client's way, who signs."""

from __future__ import annotations

import http.client
import json
from typing import Any

import msgspec

from careledger.ledger.export_verification import verify_export
from careledger.ledger.light import verify_blocks
from careledger.ledger.light_encoding import hash_header
from careledger.ledger.light_files import _read_blocks, read_network_trust
from careledger.ledger.proof_files import CommitPart, EngineHeaderPart, NetworkCheckpointFile, SignedPart
from careledger.ledger.verification import verify_receipt
from tests.network.clients import Http
from tests.network.local import CATCH_UP_S, LocalNetwork, Place, wait_until


def ask(place: Place, path: str, token: str = "") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=30)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Light(msgspec.Struct):
    """What a light client reads of the answer."""

    checkpoint: NetworkCheckpointFile
    signed: SignedPart


def test_proofs_for_the_patient_and_for_the_browsers_light_client(network: LocalNetwork) -> None:
    here, there = network["A"], network["B"]
    assert Http(here).call("PUT", "Patient/dora", {"resourceType": "Patient", "id": "dora"}).status == 201
    given = {"client": "app", "scope": "patient/*.cruds", "patient": "dora", "expires_s": 600}
    token = str(here.command("token.issue", **given)["token"])

    def read(path: str, place: Place = here) -> Any:
        status, body = ask(place, path, token if place is here else "")
        assert status == 200, (path, body)
        return json.loads(body)

    wait_until(lambda: ask(here, "/api/receipts/Patient/dora", token)[0] == 200, CATCH_UP_S, "no receipt")
    trust = ask(here, "/api/checkpoint", token)[1]
    now_ms = read("/api/ledger")["time_ms"] + 5_000
    verify_receipt(ask(here, "/api/receipts/Patient/dora", token)[1], trust, now_ms=now_ms)
    verify_export(ask(here, "/api/charts/dora/export", token)[1], trust, now_ms=now_ms)

    believed = read_network_trust(trust).point
    height = believed.height
    network.wait_grown(2, CATCH_UP_S)
    way = msgspec.json.decode(ask(here, f"/api/ledger/trust?height={height}", token)[1], type=Light)
    header, commit = way.signed.header, way.signed.commit
    assert isinstance(header, EngineHeaderPart) and isinstance(commit, CommitPart)
    blocks = _read_blocks(way.signed, header, commit, believed)
    point = verify_blocks(believed, blocks, now_ns=now_ms * 1_000_000 + 60 * 10**9)
    newest = read_network_trust(msgspec.json.encode(way.checkpoint)).point
    assert (newest.height, newest.header_hash) == (header.height, hash_header(blocks[-1].header))
    assert newest.height > height and point is not believed

    assert read("/api/ledger", there)["mode"] == "network", "open to anybody"
    rows = read("/api/ledger/validators", there)["validators"]
    assert [row["organisation"]["name"] for row in rows if row["signed"]["commits"] > 5] == [
        row["organisation"]["name"] for row in rows
    ]
    fields = {"address", "organisation", "key", "weight", "status", "since", "signed"}
    assert len(rows) == 4 and set(rows[0]) == fields
    facts = read("/api/network")
    assert (facts["mode"], facts["is_stale"], len(facts["engine"]["peers"])) == ("network", False, 3)
    assert facts["anchoring"]["anchored"] > 0 and "127.0.0.1" not in json.dumps(facts)
    block = read(f"/api/ledger/blocks/{height}", there)
    assert block["hash"] == read(f"/api/ledger/blocks/{height}")["hash"], "the same block at every node"
