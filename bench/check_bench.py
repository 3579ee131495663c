"""What the check of a token costs on the hot path: seconds of CPU a check, in this process, over a home that was served.

The check is what every FHIR request goes through before anything else: signature and claims (kept after the first
time), times, revocation of the token and of its grant, a practitioner's standing on the ledger; with DPoP also the proof,
of which none is used twice, so its signature is checked and its use made durable each time.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jws
from joserfc.jwk import ECKey

from careledger.access.actor import Actor
from careledger.access.tokens import Presented
from careledger.node.home import open_keys
from careledger.node.layout import Layout
from careledger.node.service import NodeService
from careledger.node.worker import Answering, LocalWorker
from careledger.primitives.hashing import sha256
from careledger.smart.jwk import read_key
from careledger.smart.replay import use_once
from careledger.smart.tables import base64url
from careledger.web.smart.app import SmartApp, create_smart

TOKENS = 200
CHECKS = 20_000
PROOFS = 2_000
AT_ONCE = 8
ROUNDS = 5


class Bench:
    """An open home as a worker answers from it."""

    def __init__(self, parts: Answering, smart: SmartApp) -> None:
        self.parts, self.smart = parts, smart
        self.key = ECKey.import_key(ec.generate_private_key(ec.SECP256R1()))
        self.jwk = self.key.as_dict(private=False)
        self.thumbprint = read_key(
            {name: self.jwk[name] for name in ("kty", "crv", "x", "y")}, ("ES256",)
        ).thumbprint
        self.url = f"{smart.authority.server.base}/Patient/p"

    def token(self, number: int, **more: str) -> str:
        """As the token end point gives them."""
        server = self.smart.authority.server
        return server.issuer.issue(
            client="bench", scope="system/*.rs", organisation=server.organisation, lifetime_seconds=3600,
            grant=f"grant{number}", **more,
        )  # fmt: skip

    def proof(self, token: str) -> bytes:
        """For one use."""
        jwk = {name: self.jwk[name] for name in ("kty", "crv", "x", "y")}
        header = {"alg": "ES256", "jwk": jwk, "typ": "dpop+jwt"}
        claims = {
            "htm": "GET", "htu": self.url, "iat": int(time.time()), "jti": os.urandom(12).hex(),
            "ath": base64url(sha256(token.encode())),
        }  # fmt: skip
        return jws.serialize_compact(
            header, json.dumps(claims).encode(), self.key, algorithms=["ES256"]
        ).encode()

    def checks_us(self, tokens: Sequence[str]) -> float:
        """CPU of a check of tokens without a key."""
        headers = [b"Bearer " + one.encode() for one in tokens]
        return _median_us(lambda at: self.parts.authenticate(headers[at % len(headers)], None), CHECKS)

    def bound_us(self, tokens: Sequence[str]) -> float:
        """CPU of the same for tokens with a key, without the proof."""
        headers = [b"DPoP " + one.encode() for one in tokens]
        presented = Presented(b"x", "GET", self.url)
        return _median_us(lambda at: self.parts.authenticate(headers[at % len(headers)], presented), CHECKS)

    async def proved_us(self, tokens: Sequence[str]) -> float:
        """CPU of token and proof, eight requests at a time."""
        rounds = []
        for _ in range(ROUNDS):
            shown = [(one, self.proof(one)) for one in (tokens[n % len(tokens)] for n in range(PROOFS))]
            pending, begin = iter(shown), time.process_time()

            async def run(pending: Any = pending) -> None:
                for token, proof in pending:
                    presented = Presented(proof, "GET", self.url)
                    actor = self.parts.authenticate(b"DPoP " + token.encode(), presented)
                    await self.smart.prove((proof,), presented, token, actor.confirmation)

            await asyncio.gather(*[run() for _ in range(AT_ONCE)])
            rounds.append(1e6 * (time.process_time() - begin) / PROOFS)
        return statistics.median(rounds)

    async def use_us(self) -> float:
        """CPU of writing down that a proof was used, eight at a time, the registry alone."""
        server = self.smart.authority.server
        pending, begin = iter(range(PROOFS)), time.process_time()

        async def run() -> None:
            for _ in pending:
                await use_once(
                    server.registry, "proof", self.thumbprint, os.urandom(12).hex(), server.now_ms()
                )

        await asyncio.gather(*[run() for _ in range(AT_ONCE)])
        return 1e6 * (time.process_time() - begin) / PROOFS

    def signature_us(self) -> float:
        """CPU of the one ES256 signature of a proof, by the library alone: less is not to be had."""
        private = ec.generate_private_key(ec.SECP256R1())
        public, scheme = private.public_key(), ec.ECDSA(hashes.SHA256())
        signature = private.sign(b"bench", scheme)
        return _median_us(lambda _: public.verify(signature, b"bench", scheme), PROOFS)


def _median_us(call: Callable[[int], Actor | None], count: int) -> float:
    """Of a call, over some rounds, after one that fills what is kept."""
    rounds = []
    for _ in range(ROUNDS + 1):
        begin = time.thread_time()
        for at in range(count):
            call(at)
        rounds.append(1e6 * (time.thread_time() - begin) / count)
    return statistics.median(rounds[1:])


async def measure(home: Path, passphrase: str, did: str) -> dict[str, Any]:
    """Microseconds of CPU. `did` is that of a practitioner who is registered there."""
    file, keys = open_keys(Layout(home), passphrase)
    service = NodeService(home, file, keys, served=False)
    await service.start()
    try:
        parts = await LocalWorker(service, keys, service.config).open()
        bench = Bench(parts, await create_smart(parts))
        plain = [bench.token(number) for number in range(TOKENS)]
        persons = [bench.token(number, did=did) for number in range(TOKENS)]
        bound = [bench.token(number, did=did, confirmation=bench.thumbprint) for number in range(TOKENS)]
        found = {
            "check_us": bench.checks_us(plain),
            "check_did_us": bench.checks_us(persons),
            "check_bound_us": bench.bound_us(bound),
            "check_dpop_us": await bench.proved_us(bound),
            "es256_alone_us": bench.signature_us(),
            "use_alone_us": await bench.use_us(),
        }
        return {name: round(value, 1) for name, value in found.items()}
    finally:
        await service.stop()
