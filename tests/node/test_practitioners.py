"""On a network: a practitioner with a passkey comes to the ledger through this node, signs, and is suspended."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from careledger.access.grants import Envelope
from careledger.access.staff import compose_registration, compose_signing
from careledger.ledger.kernel import WEBAUTHN_ES256, WEBAUTHN_ML_DSA
from careledger.ledger.transaction import BadAuthenticator, compute_id
from careledger.node import practitioners
from careledger.primitives.errors import Conflict, Invalid
from careledger.primitives.types import parse_did
from tests.ledger.passkeys import Passkey
from tests.node.solo import Solo, new_solo, solo_of

LETTER = bytes(range(32))


def ask(node: Solo, method: Any, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """A command, with blocks made while it waits."""
    context: Any = SimpleNamespace(home=node.home, sequencer=node.sequencer, backend=node.backend)

    async def both() -> dict[str, Any]:
        waiting = asyncio.ensure_future(method(context, params or {}, lambda _: None))
        for _ in range(50):
            await asyncio.sleep(0.01)
            if waiting.done():
                break
            await node._block()
        result: dict[str, Any] = await waiting
        return result

    found: dict[str, Any] = node.run(both())
    return found


def given(node: Solo, passkey: Passkey, compose: Any) -> dict[str, Any]:
    """What the page sends after the gesture: it signed what it composed itself."""
    prepared = ask(node, practitioners.prepare)
    sequence, valid_until = prepared["sequence"], prepared["valid_until"]
    body = compose(Envelope(prepared["genesis_hash"], prepared["sponsor"], sequence, valid_until))
    return {
        "algorithm": passkey.algorithm,
        "key": passkey.key.public,
        "signature": passkey.sign(compute_id(body)),
        "sequence": sequence,
        "valid_until": valid_until,
    }


@pytest.mark.parametrize("algorithm", [WEBAUTHN_ES256, WEBAUTHN_ML_DSA], ids=["es256", "ml-dsa-65"])
def test_a_passkey_signs_until_its_practitioner_is_suspended(tmp_path: Any, algorithm: int) -> None:
    passkey = Passkey("Dr Okafor", algorithm)
    with solo_of(new_solo(tmp_path / "home")) as node:
        registration = given(node, passkey, lambda envelope: compose_registration(envelope, passkey.key))
        with pytest.raises(BadAuthenticator):
            ask(node, practitioners.register, registration | {"sequence": registration["sequence"] + 1})
        registered = ask(node, practitioners.register, registration)
        assert ask(node, practitioners.register, registration) == registered, "sent twice, done once"
        did = registered["did"]

        def signing(statement: bytes) -> dict[str, Any]:
            made = given(node, passkey, lambda one: compose_signing(one, parse_did(did), statement))
            return made | {"did": did, "statement": statement}

        ask(node, practitioners.license_, {"did": did, "role": "physician", "until": 40_000})
        ask(node, practitioners.sign, signing(LETTER))
        suspended = ask(node, practitioners.suspend, {"did": did})
        (row,) = ask(node, practitioners.list_practitioners)["practitioners"]
        assert (row["standing"], row["roles"], suspended["height"]) == ("suspended", [], node.home.height)
        with pytest.raises(Conflict, match="213"):
            ask(node, practitioners.sign, signing(bytes(32)))
        ask(node, practitioners.reinstate, {"did": did})
        ask(node, practitioners.sign, signing(bytes([1]) * 32))
        (row,) = ask(node, practitioners.list_practitioners)["practitioners"]
        assert (row["standing"], row["roles"]) == ("active", ["physician"])


def test_what_no_client_of_ours_sends_is_refused(tmp_path: Any) -> None:
    passkey = Passkey("Dr Okafor")
    with solo_of(new_solo(tmp_path / "home")) as node:
        good = given(node, passkey, lambda envelope: compose_registration(envelope, passkey.key))
        for change in (
            {"algorithm": 9},
            {"sequence": -1},
            {"valid_until": 2**64},
            {"more": 1},
            {"key": b"short"},
        ):
            with pytest.raises(Invalid):
                ask(node, practitioners.register, good | change)
        assert ask(node, practitioners.list_practitioners) == {"practitioners": []}
