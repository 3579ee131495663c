"""Request lines of the log: templates, never a path, query, header, token or body."""

from __future__ import annotations

import io
import json

import pytest

from careledger.access.tokens import TokenVerifier
from careledger.node.config import load
from careledger.node.log import configure
from careledger.primitives.errors import Invalid
from careledger.web.app import create_app
from careledger.web.requests import services_of
from tests.web.support import AUDIENCE, BEARER, ISSUER, NODE, TOKEN, Node, ask, now_ms, serving

CANARIES = ["Adell482", "Mills423", "1974-03-02", "999-12-3456", TOKEN[:20], TOKEN[-20:]]


class Configured(Node):
    """A node whose services come from the configuration."""

    mode = "all"

    async def start(self):
        config = load(None, {}, {"log.requests": self.mode})
        verifier = TokenVerifier(ISSUER.public_key, NODE, AUDIENCE, lambda _id: False, now_ms)
        return create_app(services_of(config, self, verifier.authenticate, lambda: ()))


@pytest.mark.parametrize("mode, lines", [("all", 8), ("errors", 2), ("none", 0)])
def test_canaries_in_every_part_of_a_request_stay_out_of_the_log(mode, lines):
    stream = io.StringIO()
    configure("info", stream)
    node = Configured()
    node.mode = mode
    try:
        with serving(node) as port:
            for canary in CANARIES[:2]:
                headers = (
                    BEARER
                    + f"X-Request-Id: {canary}\r\nUser-Agent: {canary}\r\nReferer: /{canary}\r\n".encode()
                )
                target = f"/fhir/Patient/{canary}?name={canary}&birthdate=1974-03-02&identifier=999-12-3456"
                ask(port, "GET", target, headers)
                ask(port, "GET", f"/{canary}?name={canary}", headers)
                node.raising = Invalid("this is not right")
                ask(port, "PUT", target, headers, canary.encode())
                node.raising = ValueError(f"cannot read {canary} 1974-03-02 999-12-3456")
                ask(port, "POST", target, headers, canary.encode())
                node.raising = None
    finally:
        configure("error", io.StringIO())
    written = stream.getvalue()
    assert not [canary for canary in CANARIES if canary in written]
    entries = [json.loads(line) for line in written.splitlines()]
    assert len(entries) == lines
    for entry in entries:
        assert entry["request_id"]
        if entry["status"] == 200:
            assert (entry["client"], entry["route"]) == ("test", "/fhir/[type]")
        if entry["status"] == 500:
            assert entry["error"] == "ValueError"
            assert entry["frames"]
