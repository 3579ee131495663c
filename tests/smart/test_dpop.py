"""Proofs of possession: for this request, of this minute, once, under this key; a corpus of others is refused (F4)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import json
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careledger.smart.dpop import Nonces, Shown, check_proof, normalise_url
from careledger.smart.errors import OAuthError
from careledger.smart.jwk import read_key
from careledger.vault.registry import StoredRegistry
from tests.smart.forging import (
    NOW,
    NOW_MS,
    TOKEN_ENDPOINT,
    Clock,
    b64,
    compact,
    ec_key,
    jwk,
    rsa_key,
    run,
    signed,
)
from tests.smart.registry import MemoryRegistry

READ = "https://clinic.example/fhir/Patient/ada"
TOKEN = "header.claims.signature"
ATH = base64.urlsafe_b64encode(hashlib.sha256(TOKEN.encode()).digest()).rstrip(b"=").decode()
_NUMBERS = itertools.count()


class Desk:
    """A resource server that asks for proofs."""

    def __init__(self, nonces: Nonces | None = None) -> None:
        self.clock = Clock()
        self.registry = MemoryRegistry(self.clock)
        self.nonces = nonces

    def check(self, *headers, method="GET", url=READ, token=TOKEN, thumbprint=""):
        shown = Shown(method, url, token, thumbprint)
        raw = [header.encode("latin-1") if isinstance(header, str) else header for header in headers]
        return run(check_proof(raw, shown, self.registry, self.clock.now_ms, self.nonces))

    def refusal(self, *headers, **request):
        before = self.registry.changes
        with pytest.raises(OAuthError) as refused:
            self.check(*headers, **request)
        assert self.registry.changes == before
        assert refused.value.error in ("invalid_dpop_proof", "use_dpop_nonce")
        return refused.value


@pytest.fixture
def desk():
    return Desk()


def claims(**changes):
    given = {"htm": "GET", "htu": READ, "iat": NOW, "jti": f"p{next(_NUMBERS)}", "ath": ATH}
    return {name: value for name, value in (given | changes).items() if value is not None}


def header(key=None, **changes):
    given = {"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk(key or ec_key())}
    return {name: value for name, value in (given | changes).items() if value is not None}


def proof(**changes):
    return signed(header(), claims(**changes), ec_key())


def thumbprint(key):
    return read_key(jwk(key), ("ES256", "ES384", "RS256")).thumbprint


@pytest.mark.parametrize(
    "algorithm, key",
    [
        ("ES256", ec_key()),
        ("ES384", ec_key("ada", "P-384")),
        ("RS256", rsa_key()),
        ("RS384", rsa_key("big", 4096)),
    ],
)
def test_who_holds_the_key_is_known_by_its_thumbprint(desk, algorithm, key):
    text = signed(header(key, alg=algorithm), claims(), key)
    assert desk.check(text, thumbprint=thumbprint(key)) == thumbprint(key)
    assert desk.refusal(text).code == "proof-replayed"


def test_the_example_of_rfc_9449_holds():
    """Section 4.1, at its time; it is for a token request."""
    example = (
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0Rs"
        "cEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2"
        "In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2Vu"
        "IiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT"
        "3Lg"
    )
    desk = Desk()
    desk.clock.now_ms = 1_562_262_618_000
    found = desk.check(example, method="POST", url="https://server.example.com/token", token="")
    assert found == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def test_a_proof_for_the_token_endpoint_has_no_ath(desk):
    at_token = {"method": "POST", "url": TOKEN_ENDPOINT, "token": ""}
    assert desk.check(proof(htm="POST", htu=TOKEN_ENDPOINT, ath=None), **at_token)
    assert desk.refusal(proof(htm="POST", htu=TOKEN_ENDPOINT), **at_token).code == "proof-token"


def plain(**changes):
    return signed(header(**changes), claims(), ec_key())


MALLORY = ec_key("mallory")

REFUSED = {
    # the request
    "htm of another method": lambda: proof(htm="POST"),
    "htm in small letters": lambda: proof(htm="get"),
    "htm missing": lambda: proof(htm=None),
    "htm a list": lambda: proof(htm=["GET"]),
    "htu of another resource": lambda: proof(htu=READ + "1"),
    "htu of the collection": lambda: proof(htu=READ.rpartition("/")[0]),
    "htu of another host": lambda: proof(htu="https://attacker.example/fhir/Patient/ada"),
    "htu of another scheme": lambda: proof(htu=READ.replace("https", "http")),
    "htu of another port": lambda: proof(htu="https://clinic.example:8443/fhir/Patient/ada"),
    "htu in another case of the path": lambda: proof(htu=READ.replace("Patient", "patient")),
    "htu with a slash at the end": lambda: proof(htu=READ + "/"),
    "htu with a query": lambda: proof(htu=READ + "?_format=json"),
    "htu with a fragment": lambda: proof(htu=READ + "#x"),
    "htu with a user": lambda: proof(htu="https://clinic.example@attacker.example/fhir/Patient/ada"),
    "htu with dot segments": lambda: proof(htu="https://clinic.example/fhir/Group/../Patient/ada"),
    "htu with escaped dot segments": lambda: proof(
        htu="https://clinic.example/fhir/Group/%2e%2e/Patient/ada"
    ),
    "htu with an escaped slash": lambda: proof(htu="https://clinic.example/fhir/Patient%2Fada"),
    "htu with a backslash": lambda: proof(htu="https://clinic.example\\fhir/Patient/ada"),
    "htu with a stray percent": lambda: proof(htu=READ + "%"),
    "htu with a space": lambda: proof(htu=READ + " "),
    "htu not ASCII": lambda: proof(htu="https://clinic.exämple/fhir/Patient/ada"),
    "htu relative": lambda: proof(htu="/fhir/Patient/ada"),
    "htu without host": lambda: proof(htu="https:///fhir/Patient/ada"),
    "htu with a port that is none": lambda: proof(htu="https://clinic.example:x/fhir/Patient/ada"),
    "htu with a port too high": lambda: proof(htu="https://clinic.example:65536/fhir/Patient/ada"),
    "htu with half a bracket": lambda: proof(htu="https://[::1/fhir/Patient/ada"),
    "htu missing": lambda: proof(htu=None),
    "htu a list": lambda: proof(htu=[READ]),
    "htu long": lambda: proof(htu=READ + "a" * 4000),
    # time
    "iat over a minute old": lambda: proof(iat=NOW - 61),
    "iat a day old": lambda: proof(iat=NOW - 86_400),
    "iat ahead": lambda: proof(iat=NOW + 6),
    "iat a year ahead": lambda: proof(iat=NOW + 31_536_000),
    "iat in milliseconds": lambda: proof(iat=NOW_MS),
    "iat a text": lambda: proof(iat=str(NOW)),
    "iat missing": lambda: proof(iat=None),
    "iat true": lambda: proof(iat=True),
    "iat infinite": lambda: signed(header(), compact(claims()).replace(str(NOW), "1e400"), ec_key()),
    # the token
    "ath of another token": lambda: proof(ath=b64(hashlib.sha256(b"another").digest())),
    "ath missing": lambda: proof(ath=None),
    "ath empty": lambda: proof(ath=""),
    "ath the token itself": lambda: proof(ath=TOKEN),
    "ath padded": lambda: proof(ath=ATH + "="),
    "ath in hexadecimal": lambda: proof(ath=hashlib.sha256(TOKEN.encode()).hexdigest()),
    "ath of SHA-512": lambda: proof(ath=b64(hashlib.sha512(TOKEN.encode()).digest())),
    # jti
    "jti missing": lambda: proof(jti=None),
    "jti empty": lambda: proof(jti=""),
    "jti long": lambda: proof(jti="j" * 257),
    "jti a number": lambda: proof(jti=7),
    "jti with a line break": lambda: proof(jti="a\r\nb"),
    # the key
    "jwk missing": lambda: plain(jwk=None),
    "jwk of another": lambda: signed(header(), claims(), MALLORY),
    "jwk with its private half": lambda: plain(
        jwk={**jwk(ec_key()), "d": b64(ec_key().private_numbers().private_value.to_bytes(32, "big"))}
    ),
    "jwk symmetric": lambda: signed(
        header(alg="HS256", jwk={"kty": "oct", "k": b64(bytes(32))}), claims(), bytes(32)
    ),
    "jwk a text": lambda: plain(jwk=compact(jwk(ec_key()))),
    "jwk a set": lambda: plain(jwk={"keys": [jwk(ec_key())]}),
    "jwk with use enc": lambda: plain(jwk={**jwk(ec_key()), "use": "enc"}),
    "jwk for another algorithm": lambda: plain(jwk={**jwk(ec_key()), "alg": "ES384"}),
    "jwk of P-521": lambda: signed(
        header(ec_key("ada", "P-521"), alg="ES512"), claims(), ec_key("ada", "P-521")
    ),
    "jwk of weak RSA": lambda: signed(
        header(rsa_key("weak", 1024), alg="RS256"), claims(), rsa_key("weak", 1024)
    ),
    "jwk of RSA with exponent 3": lambda: signed(
        header(rsa_key("three", 2048, 3), alg="RS256"), claims(), rsa_key("three", 2048, 3)
    ),
    "jwk with a key address": lambda: plain(jwk={**jwk(ec_key()), "x5u": "https://attacker.example"}),
    # the header
    "alg none": lambda: signed(header(alg="none"), claims(), None),
    "alg HS256 with the public key": lambda: signed(
        header(alg="HS256"), claims(), compact(jwk(ec_key())).encode()
    ),
    "alg PS256": lambda: signed(header(rsa_key(), alg="PS256"), claims(), rsa_key()),
    "alg RS512": lambda: signed(header(rsa_key(), alg="RS512"), claims(), rsa_key()),
    "alg missing": lambda: signed(header(alg=None), claims(), ec_key(), "ES256"),
    "typ JWT": lambda: plain(typ="JWT"),
    "typ missing": lambda: plain(typ=None),
    "typ in capitals": lambda: plain(typ="DPoP+JWT"),
    "typ with application/": lambda: plain(typ="application/dpop+jwt"),
    "kid beside jwk": lambda: plain(kid="e"),
    "jku beside jwk": lambda: plain(jku="https://attacker.example/jwks.json"),
    "crit": lambda: plain(crit=["jwk"]),
    "b64": lambda: plain(b64=False, crit=["b64"]),
    # forms
    "empty": lambda: "",
    "two proofs in one header": lambda: f"{proof()}, {proof()}",
    "scheme before": lambda: "DPoP " + proof(),
    "a space after": lambda: proof() + " ",
    "unsigned": lambda: proof().rpartition(".")[0] + ".",
    "signature cut": lambda: proof()[:-4],
    "claims altered": lambda: ".".join(
        [proof().split(".")[0], b64(compact(claims(jti="x"))), proof().split(".")[2]]
    ),
    "not ASCII": lambda: proof() + "é",
    "over 8 kB": lambda: proof(more="x" * 8192),
    "htu twice": lambda: signed(header(), compact(claims())[:-1] + f',"htu":"{READ}"}}', ec_key()),
    "jwk twice": lambda: signed(
        compact(header())[:-1] + f',"jwk":{compact(jwk(MALLORY))}}}', claims(), ec_key()
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_proof_for_anything_else_is_refused(desk, name):
    refusal = desk.refusal(REFUSED[name]())
    assert (refusal.error, refusal.status) == ("invalid_dpop_proof", 400)
    assert desk.check(proof())


REASONS = {
    "iat over a minute old": "proof-time",
    "iat ahead": "proof-time",
    "ath missing": "proof-token",
    "htm of another method": "proof-method",
    "htu with dot segments": "proof-address",
    "jti long": "proof-jti",
    "jwk with its private half": "proof-malformed",
    "jwk of another": "proof-malformed",
}


@pytest.mark.parametrize("name", REASONS)
def test_a_proof_falls_for_its_own_reason(desk, name):
    assert desk.refusal(REFUSED[name]()).code == REASONS[name]


def test_one_header_and_one_only(desk):
    assert desk.refusal().code == "proof-missing"
    assert desk.refusal(proof(), proof()).code == "proof-twice"


def test_a_stolen_token_is_of_no_use_without_the_key(desk):
    """Also with a perfect proof under the thief's own key; a refused try uses up nothing."""
    bound = thumbprint(ec_key())
    stolen = signed(header(MALLORY), claims(jti="mine"), MALLORY)
    assert desk.refusal(stolen, thumbprint=bound).code == "proof-key"
    assert desk.check(signed(header(), claims(jti="mine"), ec_key()), thumbprint=bound) == bound


def test_a_proof_is_remembered_longer_than_it_could_be_used(desk):
    text = proof(iat=NOW + 5)
    desk.check(text)
    for seconds in (0, 30, 64.999):
        desk.clock.now_ms = NOW_MS + int(seconds * 1000)
        assert desk.refusal(text).code == "proof-replayed"
    desk.clock.now_ms = NOW_MS + 65_001
    assert desk.refusal(text).code == "proof-time"
    desk.clock.now_ms = NOW_MS + 100_000
    assert desk.registry.list("replay")


USED_AND_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from careledger.smart.dpop import Shown, check_proof
from careledger.vault.registry import StoredRegistry

proof, now_ms = sys.argv[2].encode(), int(sys.argv[3])
registry = StoredRegistry(Path(sys.argv[1]), bytes(32), lambda: now_ms)
print(asyncio.run(check_proof([proof], Shown("GET", sys.argv[4], sys.argv[5]), registry, now_ms)), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_proof_is_remembered_over_kill_9(tmp_path):
    """Used, killed at once, replayed at a process that began anew."""
    text = proof()
    arguments = [str(tmp_path / "registry"), text, str(NOW_MS), READ, TOKEN]
    done = subprocess.run(
        [sys.executable, "-c", USED_AND_KILLED, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (-signal.SIGKILL, thumbprint(ec_key())), done.stderr
    registry = StoredRegistry(tmp_path / "registry", bytes(32), Clock())
    with pytest.raises(OAuthError) as refused:
        run(check_proof([text.encode()], Shown("GET", READ, TOKEN), registry, NOW_MS))
    registry.close()
    assert refused.value.code == "proof-replayed"


def test_of_many_at_the_same_time_one_counts(desk):
    async def race():
        text = [proof().encode()]
        work = [check_proof(text, Shown("GET", READ, TOKEN), desk.registry, NOW_MS) for _ in range(50)]
        return await asyncio.gather(*work, return_exceptions=True)

    outcome = run(race())
    assert sum(isinstance(one, str) for one in outcome) == 1
    assert sum(isinstance(one, OAuthError) and one.code == "proof-replayed" for one in outcome) == 49


def test_with_nonces_a_proof_made_in_advance_is_of_no_use():
    nonces = Nonces(bytes(range(32)))
    desk = Desk(nonces)
    current = nonces.current(NOW_MS)
    assert desk.check(proof(nonce=current))
    before = nonces.current(NOW_MS - 120_000)
    assert desk.check(proof(nonce=before))
    for other in (
        None,
        "",
        nonces.current(NOW_MS + 120_000),
        nonces.current(NOW_MS - 240_000),
        7,
        [current],
        "é",
    ):
        assert desk.refusal(proof(nonce=other)).error == "use_dpop_nonce"
    assert desk.refusal(proof(nonce=Nonces(bytes(32)).current(NOW_MS))).error == "use_dpop_nonce"
    assert len({nonces.current(NOW_MS + 120_000 * number) for number in range(50)}) == 50


SAME = [
    ("HTTPS://CLINIC.example/fhir", "https://clinic.example/fhir"),
    ("https://clinic.example:443/fhir", "https://clinic.example/fhir"),
    ("http://clinic.example:80", "http://clinic.example/"),
    ("https://clinic.example", "https://clinic.example/"),
    ("https://clinic.example/fhir/%50atient/%7eada", "https://clinic.example/fhir/Patient/~ada"),
    ("https://clinic.example/fhir/%c3%a4", "https://clinic.example/fhir/%C3%A4"),
    ("https://[2001:DB8::1]:8443/fhir", "https://[2001:db8::1]:8443/fhir"),
]


@pytest.mark.parametrize("first, second", SAME)
def test_addresses_are_compared_in_one_spelling(desk, first, second):
    assert normalise_url(first) == normalise_url(second) == second
    assert desk.check(proof(htu=first), url=second + "?_count=5#x")


@pytest.mark.parametrize("path", ["/a/../b", "/./a", "/a/..", "/a/%2e%2E/b", "/%2e"])
def test_an_address_with_dot_segments_is_none(desk, path):
    """Also where the request has the same: who stands in between may have read it otherwise."""
    url = "https://clinic.example" + path
    assert desk.refusal(proof(htu=url), url=url).code == "proof-address"


@given(st.text(max_size=60) | st.from_regex(r"https?://[!-~]{0,40}"))
def test_an_address_is_normal_or_refused(url):
    try:
        normal = normalise_url(url)
    except OAuthError:
        return
    assert normalise_url(normal) == normal


JSON = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2) | st.booleans()


@given(
    st.dictionaries(st.sampled_from(["typ", "alg", "jwk", "kid", "crit"]), JSON, max_size=3),
    st.dictionaries(st.sampled_from(["htm", "htu", "iat", "jti", "ath", "nonce"]), JSON, max_size=3),
)
def test_any_header_and_claims_make_a_proof_or_a_refusal(more, other):
    text = signed(json.dumps({**header(), **more}), json.dumps({**claims(), **other}), ec_key())
    desk = Desk()
    if (
        set(more)
        or set(other) - {"nonce", "jti"}
        or not isinstance(other.get("jti", "j"), str)
        or other.get("jti") == ""
    ):
        with pytest.raises(OAuthError):
            desk.check(text)
