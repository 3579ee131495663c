"""The witnesses that a node asks: who they are, and one question to one of them over HTTP.

Blocking: called in a thread. Nothing that a witness answers is believed but a signature by its configured key.
"""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from careledger.ledger.checkpoint import COSIGNATURE_TYPE, NoteSignature, compute_key_id
from careledger.ledger.witnessing import (
    ANSWER_BYTES_MAX,
    WitnessKey,
    decode_cosignatures,
    parse_witness_key,
)
from careledger.primitives.errors import Invalid, Misconfigured

PEERS_MAX = 16
TIMEOUT_SECONDS = 5.0
PATH = "/add-checkpoint"


@dataclass(frozen=True, slots=True)
class Peer:
    """A witness: where it is asked, and the key by which it is known."""

    url: str
    key: WitnessKey

    @property
    def name(self) -> str:
        """As it stands in its signatures."""
        return self.key.name


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: its signature line, unchecked; or the size that it knows (409); or another status."""

    status: int
    line: NoteSignature | None = None
    size: int | None = None


def parse_peers(text: str) -> tuple[Peer, ...]:
    """The peers of `witness.urls`: a line each, URL and key. Raises Misconfigured."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) > PEERS_MAX:
        raise Misconfigured(f"at most {PEERS_MAX} witnesses can be asked", code="setting-invalid")
    peers = tuple(_peer(words) for words in lines)
    if len({peer.name for peer in peers}) != len(peers) or len({peer.key.public for peer in peers}) != len(
        peers
    ):
        raise Misconfigured("a witness is named twice", hint="see witness.urls", code="setting-invalid")
    return peers


def _peer(words: list[str]) -> Peer:
    hint = 'witness.urls is a list of "URL KEY"; `careledger witness run` prints both'
    if len(words) != 2:
        raise Misconfigured("a witness is not given as URL and key", hint=hint, code="setting-invalid")
    parts = urlsplit(words[0])
    try:
        ok = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        ok = False
    if not ok or parts.query or parts.fragment or parts.username:
        raise Misconfigured("a witness's URL is not one of http or https", hint=hint, code="setting-invalid")
    try:
        return Peer(words[0].rstrip("/"), parse_witness_key(words[1]))
    except Invalid as invalid:
        raise Misconfigured(invalid.message, hint=hint, code="setting-invalid") from None


def ask(peer: Peer, body: bytes) -> Reply:
    """One request. Raises OSError or HTTPException if there is no answer in time, Invalid for a strange one."""
    parts = urlsplit(peer.url)
    host = parts.hostname or ""
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(
            host, parts.port, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("POST", parts.path + PATH, body, {"Content-Type": "text/plain; charset=utf-8"})
        response = connection.getresponse()
        content = response.read(ANSWER_BYTES_MAX + 1)
        return _reply(peer, response.status, content)
    finally:
        connection.close()


def _reply(peer: Peer, status: int, content: bytes) -> Reply:
    if status == 200:
        key_id = compute_key_id(peer.key.name, COSIGNATURE_TYPE, peer.key.public)
        for line in decode_cosignatures(content):
            if (line.name, line.key_id) == (peer.key.name, key_id):
                return Reply(status, line=line)
        raise Invalid("the witness signed with another key")
    if status == 409:
        text = content.decode("ascii", "replace").removesuffix("\n")
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise Invalid("the witness does not say which size it knows")
        return Reply(status, size=int(text))
    return Reply(status)
