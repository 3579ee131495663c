"""Signed texts from outside, altered by the hundred thousand: none is accepted that should not be (fault catalogue F5).

    make campaign-jose, or: python tests/campaigns/jose.py [--seconds 600] [--seed 1]

Half of them are good assertions and proofs whose characters are changed, cut, doubled or exchanged between two texts:
accepted only if nothing changed. The other half has members of header or claims exchanged for hostile values and is
signed again, by the client's key or by another: accepted exactly if a second statement of the rules (`is_good`) says
so. Anything raised but a refusal is a finding. Prints a line, exits with 1 if there was any.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from careledger.smart.dpop import Shown, check_proof
from careledger.smart.errors import OAuthError
from tests.smart.client_support import Clinic, carried
from tests.smart.forging import (
    AUDIENCES,
    ISSUER,
    NOW,
    NOW_MS,
    TOKEN_ENDPOINT,
    b64,
    compact,
    ec_key,
    jwk,
    run,
    signed,
)

LETTERS = "ABYZabyz0189-_.=+/ \n\0é"
HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, NOW, NOW + 1, NOW + 300, NOW + 305, NOW + 306, NOW - 60, NOW - 61, NOW + 0.5, NOW_MS,
    1e300, "", "e", "z", "none", "ES256", "ES384", "HS256", "JWT", "dpop+jwt", "GET", "POST", "x" * 257, "\0", "\ud800",
    TOKEN_ENDPOINT, ISSUER, [TOKEN_ENDPOINT], [ISSUER, TOKEN_ENDPOINT], [TOKEN_ENDPOINT, "x"], [], {}, [[]], {"a": {}},
    str(NOW), ["e"], "https://attacker.example/jwks", "../../etc/passwd", "' OR 1=1", {"kty": "oct", "k": "AAAA"},
)  # fmt: skip
NAMES = ("alg", "kid", "typ", "jku", "x5u", "x5c", "jwk", "crit", "b64", "zip", "cty")
CLAIMS = ("iss", "sub", "aud", "exp", "iat", "nbf", "jti", "htm", "htu", "ath", "scope")
URL = "https://clinic.example/fhir/Patient/ada"


def is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**33


def is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 256 and "\0" not in value and "\ud800" not in value


def is_good(header: dict[str, Any], claims: dict[str, Any], client: str) -> bool:
    """The rules of an assertion signed by key `e`, said once more."""
    if set(header) != {"alg", "kid", "typ"} or (header["alg"], header["kid"], header["typ"]) != (
        "ES256",
        "e",
        "JWT",
    ):
        return False
    audience = claims.get("aud")
    listed = audience if isinstance(audience, list) else [audience]
    if not 0 < len(listed) <= 2 or any(not isinstance(one, str) or one not in AUDIENCES for one in listed):
        return False
    if claims.get("iss") != client or claims.get("sub") != client or not is_text(claims.get("jti")):
        return False
    if not is_time(claims.get("exp")) or not NOW < claims["exp"] <= NOW + 305:
        return False
    started = [claims[name] for name in ("iat", "nbf") if name in claims]
    return all(is_time(one) and one <= NOW + 5 and one < claims["exp"] for one in started)


class Campaign:
    """One run: its cases, and what was found."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.clinic, self.used = Clinic(), set[str]()
        self.cases = self.accepted = 0
        self.findings: list[str] = []

    def run(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for case in (self.try_respelled, self.try_exchanged, self.try_respelled_proof):
                case()
                self.cases += 1
            if self.cases % 3000 == 0:  # the registry in memory grows
                self.clinic, self.used = Clinic(), set()

    def try_respelled(self) -> None:
        good, second = self.clinic.assertion(), self.clinic.assertion()
        self.expect(self.respell(good, second), lambda text: text in (good, second), self.take_assertion)

    def try_respelled_proof(self) -> None:
        good, second = self.make_proof(), self.make_proof()
        self.expect(self.respell(good, second), lambda text: text in (good, second), self.take_proof)

    def try_exchanged(self) -> None:
        header: dict[str, Any] = {"alg": "ES256", "kid": "e", "typ": "JWT"}
        claims = self.clinic.claims()
        for _ in range(self.chance.randint(0, 3)):
            if self.chance.random() < 0.4:
                header[self.chance.choice(NAMES)] = self.chance.choice(HOSTILE)
            else:
                claims[self.chance.choice(CLAIMS)] = self.chance.choice(HOSTILE)
        if self.chance.random() < 0.1:
            claims.pop(self.chance.choice(list(claims)))
        stranger = self.chance.random() < 0.2
        text = signed(json.dumps(header), json.dumps(claims), ec_key("mallory" if stranger else "ada"))
        good = not stranger and is_good(header, claims, self.clinic.machine.id)
        good = good and claims["jti"] not in self.used
        if good:
            self.used.add(claims["jti"])
        self.expect(text, lambda _: good, self.take_assertion)

    def respell(self, text: str, second: str) -> str:
        for _ in range(self.chance.randint(1, 3)):
            at, other = (self.chance.randrange(len(text) + 1) for _ in range(2))
            way = self.chance.randrange(6)
            if way == 0:
                text = text[:at] + self.chance.choice(LETTERS) + text[at:]
            elif way == 1:
                text = text[:at] + self.chance.choice(LETTERS) + text[at + 1 :]
            elif way == 2:
                text = text[:at] + text[at + 1 :]
            elif way == 3:
                text = text[:at] + second[at:]
            elif way == 4:
                text = text[: min(at, other)] + text[max(at, other) :]
            else:
                parts = text.split(".")
                place = self.chance.randrange(len(parts))
                parts[place] = self.chance.choice(second.split("."))
                text = ".".join(parts)
        return text

    def make_proof(self) -> str:
        claims = {"htm": "GET", "htu": URL, "iat": NOW, "jti": self.chance.randbytes(12).hex()}
        return signed({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk(ec_key())}, claims, ec_key())

    def take_assertion(self, text: str) -> None:
        self.clinic.authenticate(carried(text))

    def take_proof(self, text: str) -> None:
        raw = [text.encode("utf-8", "surrogatepass")]
        run(check_proof(raw, Shown("GET", URL), self.clinic.registry, NOW_MS))

    def expect(self, text: str, is_right: Any, take: Any) -> None:
        try:
            take(text)
            accepted = True
        except OAuthError:
            accepted = False
        except Exception as error:  # what a hostile text must never bring about
            self.findings.append(f"{type(error).__name__} for {b64(text.encode('utf-8', 'surrogatepass'))}")
            return
        self.accepted += accepted
        if accepted != is_right(text):
            said = "accepted" if accepted else "refused"
            self.findings.append(f"{said}: {compact(text)}")


def main() -> int:
    """Alter, sign, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    campaign = Campaign(options.seed)
    campaign.run(options.seconds)
    print(
        f"{campaign.cases} texts, {campaign.accepted} of them good and accepted, {len(campaign.findings)} findings"
    )
    print("\n".join(campaign.findings[:20]))
    return 1 if campaign.findings or not campaign.accepted else 0


if __name__ == "__main__":
    sys.exit(main())
