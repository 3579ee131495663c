"""A real double sign: two precommits of one validator for two blocks of one height, as evidence for the engines.

Our guard never gives two such signatures (tests/engine/test_signer.py); so the key is taken from its file and used
past the guard, as somebody would who stole it and knows the passphrase.
"""

from __future__ import annotations

import base64
import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from google.protobuf.timestamp_pb2 import Timestamp

from careledger.engine.privval import BlockID, PartSetHeader, Vote
from careledger.engine.privval_table import SignedType
from careledger.engine.sign_bytes import read_vote
from careledger.engine.validator_key import ValidatorKey, open_validator_key
from careledger.node.layout import Layout
from tests.network.local import Place


def read_validators(place: Place, height: int = 0) -> dict[str, int]:
    """Weight by address (hex), in the engine's order."""
    suffix = f"?height={height}" if height else ""
    validators = place.ask(f"/validators{suffix}")["validators"]
    return {one["address"]: int(one["voting_power"]) for one in validators}


def open_key(place: Place) -> ValidatorKey:
    """The validator's key of a home."""
    return open_validator_key(Layout(place.home).keys, place.passphrase_file.read_text().strip())


def sign_twice(place: Place, thief: ValidatorKey, height: int) -> dict[str, Any]:
    """Evidence against `thief` at a height that is decided; `place` tells what stands in it."""
    header = place.ask(f"/header?height={height}")["header"]
    validators = read_validators(place, height)
    address = thief.address.hex().upper()
    votes = [
        _vote(thief, header["chain_id"], height, list(validators).index(address), bytes([number]) * 32)
        for number in (1, 2)
    ]
    return {
        "type": "tendermint/DuplicateVoteEvidence",
        "value": {
            "vote_a": votes[0],
            "vote_b": votes[1],
            "TotalVotingPower": str(sum(validators.values())),
            "ValidatorPower": str(validators[address]),
            "Timestamp": header["time"],
        },
    }


def _vote(key: ValidatorKey, chain_id: str, height: int, index: int, block: bytes) -> dict[str, Any]:
    vote = Vote(
        type=SignedType.PRECOMMIT,
        height=height,
        block_id=BlockID(hash=block, part_set_header=PartSetHeader(total=1, hash=block)),
        timestamp=Timestamp(seconds=1_700_000_000),
        validator_address=key.address,
        validator_index=index,
    )
    signature = key.sign(read_vote(chain_id, vote).sign_bytes)
    return {
        "type": 2,
        "height": str(height),
        "round": 0,
        "block_id": {
            "hash": block.hex().upper(),
            "parts": {"total": 1, "hash": block.hex().upper()},
        },
        "timestamp": "2023-11-14T22:13:20Z",
        "validator_address": key.address.hex().upper(),
        "validator_index": index,
        "signature": base64.b64encode(signature).decode(),
        "extension": None,
        "extension_signature": None,
    }


def hand_in(place: Place, evidence: dict[str, Any]) -> None:
    """To an engine, which checks it and tells the others. Raises AssertionError with its reason."""
    connection = http.client.HTTPConnection("127.0.0.1", int(urlsplit(place.rpc).port or 0), timeout=10)
    body = {"jsonrpc": "2.0", "id": 1, "method": "broadcast_evidence", "params": {"evidence": evidence}}
    connection.request("POST", "/", json.dumps(body), {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    assert "error" not in answer, answer["error"]
