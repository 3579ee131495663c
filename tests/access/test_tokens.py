"""Tokens: what this node makes it accepts, once, for itself, in time; a corpus of forgeries it refuses."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from careledger.access.tokens import (
    LIFETIME_MAX_SECONDS,
    Presented,
    TokenIssuer,
    TokenVerifier,
    challenge,
    decode_segment,
    header_of,
    key_id,
)
from careledger.primitives.errors import Invalid, Unauthenticated

SEED = bytes(range(32))
NOW_MS = 1_767_225_600_000
ISSUER, AUDIENCE = "did:careledger:house", "chain-1 http://localhost:8080/fhir"


class Clock:
    """Time as the test sets it."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def issuer(clock):
    return TokenIssuer(SEED, ISSUER, AUDIENCE, clock)


@pytest.fixture
def revoked():
    return set()


@pytest.fixture
def verifier(issuer, clock, revoked):
    return TokenVerifier(issuer.public_key, ISSUER, AUDIENCE, revoked.__contains__, clock, cache_entries=8)


def issue(issuer, **changes):
    given = {"client": "demo", "scope": "system/*.cruds", "organisation": ISSUER, "lifetime_seconds": 3600}
    return issuer.issue(**{**given, **changes})


def bearer(token):
    return b"Bearer " + (token if isinstance(token, bytes) else token.encode())


def refusal_of(verifier, header):
    with pytest.raises(Unauthenticated) as refused:
        verifier.authenticate(header)
    return refused.value.code


def test_a_token_carries_the_caller(issuer, verifier):
    token = issue(
        issuer, scope="patient/*.rs", patient="Patient/p1", practitioner="Practitioner/d1", purpose="HPAYMT"
    )
    actor = verifier.authenticate(bearer(token))
    assert (actor.client, actor.organisation, actor.patient, actor.practitioner) == (
        "demo",
        ISSUER,
        "p1",
        "d1",
    )
    assert actor.purpose == "HPAYMT"
    assert actor.patient_bound
    assert actor.expires_ms == NOW_MS + 3_600_000
    assert verifier.authenticate(b"bEaReR " + token.encode()) == actor


def test_a_token_carries_roles(issuer, verifier):
    """Sorted, each once; a token without any is spelled as it always was."""
    token = issue(issuer, roles=["nurse", "clerk", "nurse"])
    assert verifier.authenticate(bearer(token)).roles == ("clerk", "nurse")
    assert verifier.authenticate(bearer(issue(issuer))).roles == ()
    assert b"roles" not in decode_segment(issue(issuer).split(".")[1].encode())
    for roles in (["\n"], [""], ["r" * 65], [f"role {number}" for number in range(17)]):
        with pytest.raises(Invalid):
            issue(issuer, roles=roles)


def test_expiry_is_checked_on_the_warm_path(issuer, verifier, clock):
    header = bearer(issue(issuer, lifetime_seconds=10))
    verifier.authenticate(header)
    clock.now_ms = NOW_MS + 9_999
    verifier.authenticate(header)
    clock.now_ms = NOW_MS + 10_000
    assert refusal_of(verifier, header) == "token-expired"


def test_start_is_checked_on_the_warm_path(issuer, verifier, clock):
    header = bearer(issue(issuer))
    verifier.authenticate(header)
    clock.now_ms = NOW_MS - 1
    assert refusal_of(verifier, header) == "token-not-yet-valid"


def test_revocation_is_checked_on_the_warm_path(issuer, verifier, revoked):
    header = bearer(issue(issuer, token_id="t1"))
    verifier.authenticate(header)
    revoked.add("t1")
    assert refusal_of(verifier, header) == "token-revoked"


def test_the_end_of_a_grant_ends_its_tokens_on_the_warm_path(issuer, verifier, revoked):
    first, second = (bearer(issue(issuer, token_id=id, grant="g1")) for id in ("t1", "t2"))
    other = bearer(issue(issuer, token_id="t3", grant="g2"))
    alone = bearer(issue(issuer, token_id="t4"))
    for header in (first, second, other, alone):
        verifier.authenticate(header)
    revoked.update(("g1", ""))
    assert refusal_of(verifier, first) == refusal_of(verifier, second) == "token-revoked"
    assert verifier.authenticate(other).grant == "g2"
    assert verifier.authenticate(alone).grant == ""


def test_a_token_carries_grant_account_did_and_key(issuer, verifier):
    """And is spelled as it always was without them."""
    token = issue(issuer, grant="g1", account="a1", did="did:careledger:" + "a" * 64)
    actor = verifier.authenticate(bearer(token))
    assert (actor.grant, actor.account, actor.did, actor.confirmation) == (
        "g1",
        "a1",
        "did:careledger:" + "a" * 64,
        "",
    )
    plain = decode_segment(issue(issuer).split(".")[1].encode())
    assert not any(name in plain for name in (b"gid", b"account", b"did:x", b"cnf"))
    for changes in (
        {"grant": "a/b"},
        {"account": "a b"},
        {"did": "x"},
        {"confirmation": "short"},
        {"confirmation": "B" * 43},
    ):
        with pytest.raises(Invalid):
            issue(issuer, **changes)


class Prover:
    """Notes what it is asked; refuses the proof `bad`."""

    def __init__(self):
        self.asked = []

    def __call__(self, presented, token, thumbprint):
        self.asked.append((presented.method, presented.url, presented.proof, token, thumbprint))
        if presented.proof == b"bad":
            raise Unauthenticated("the proof does not hold", code="dpop-invalid")


def test_a_bound_token_needs_its_scheme_and_a_proof_at_every_request(issuer, clock):
    prover = Prover()
    verifier = TokenVerifier(issuer.public_key, ISSUER, AUDIENCE, set().__contains__, clock, prove=prover)
    token = issue(issuer, confirmation="A" * 43).encode()
    good, bad = (Presented(proof, "GET", "http://n/fhir/Patient") for proof in (b"proof", b"bad"))

    shown = set()

    def outcome(header, presented=None):
        try:
            return verifier.authenticate(header, presented).confirmation
        except Unauthenticated as refused:
            shown.add((refused.code, challenge(refused).partition(b" ")[0]))
            return refused.code

    for _ in range(2):  # cold and warm
        assert outcome(b"Bearer " + token) == "token-bound"
        assert outcome(b"Bearer " + token, good) == "token-bound"
        assert outcome(b"DPoP " + token) == "dpop-missing"
        assert outcome(b"DPoP " + token, Presented(b"", "GET", "http://n/fhir/Patient")) == "dpop-missing"
        assert outcome(b"DPoP " + token, bad) == "dpop-invalid"
        assert outcome(b"dpop " + token, good) == "A" * 43
    asked = ("GET", "http://n/fhir/Patient", b"proof", token, "A" * 43)
    assert [one for one in prover.asked if one[2] == b"proof"] == [asked, asked]
    free = issue(issuer).encode()
    assert outcome(b"DPoP " + free, good) == "token-unbound"
    assert outcome(b"Bearer " + free, good) == ""
    assert outcome(b"DPoP  " + token, good) == "token-foreign"
    schemes = {"token-bound": b"DPoP", "dpop-missing": b"DPoP", "dpop-invalid": b"DPoP"}
    assert shown == {*schemes.items(), ("token-unbound", b"Bearer"), ("token-foreign", b"Bearer")}
    unable = TokenVerifier(issuer.public_key, ISSUER, AUDIENCE, set().__contains__, clock)
    with pytest.raises(Unauthenticated) as refused:
        unable.authenticate(b"DPoP " + token, good)
    assert refused.value.code == "dpop-missing"


def test_cache_is_bounded(issuer, verifier):
    for number in range(30):
        verifier.authenticate(bearer(issue(issuer, token_id=f"t{number}")))
    assert len(verifier._cache) == 8


def test_another_node_refuses(issuer, verifier, clock):
    for other in (TokenIssuer(SEED, ISSUER, "chain-2", clock), TokenIssuer(SEED, "did:x", AUDIENCE, clock)):
        assert refusal_of(verifier, bearer(issue(other))) == "token-audience"
    stranger = TokenIssuer(bytes(32), ISSUER, AUDIENCE, clock)
    assert refusal_of(verifier, bearer(issue(stranger))) == "token-foreign"


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"Bearer",
        b"Bearer ",
        b"Basic dTpw",
        b"Token x",
        b"Bearer a.b",
        b"Bearer " + b"a" * 9000,
        b"Bearer \xff.\xff.\xff",
        b"Bearer a.b.c d",
    ],
    ids=range(10),
)
def test_other_headers_are_refused(verifier, header):
    code = refusal_of(verifier, header)
    assert code == ("token-missing" if header is None else code)
    with pytest.raises(Unauthenticated) as refused:
        verifier.authenticate(header)
    shown = challenge(refused.value)
    assert shown.startswith(b'Bearer realm="careledger"')
    assert (b"invalid_token" in shown) == (header is not None)


def b64(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else json.dumps(data).encode()).rstrip(
        b"="
    )


def make_forgeries():
    """(name, token) of everything that must not pass; the claims are good unless the name says otherwise."""
    clock = Clock()
    issuer = TokenIssuer(SEED, ISSUER, AUDIENCE, clock)
    public = issuer.public_key
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    good = issue(issuer, token_id="good", scope="system/Patient.r").encode()
    head, body, signature = good.split(b".")
    claims = json.loads(base64.urlsafe_b64decode(body + b"=="))
    kid = key_id(public)

    def signed(header, payload, signer=key.sign):
        first = (header if isinstance(header, bytes) else b64(header)) + b"."
        signing_input = first + (payload if isinstance(payload, bytes) else b64(payload))
        return signing_input + b"." + b64(signer(signing_input))

    def canonical(**changes):
        return b64(msgspec.json.encode({**claims, **changes}))

    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    base = {"alg": "Ed25519", "kid": kid, "typ": "at+jwt"}

    # Algorithm: none, in its spellings; HMAC under everything public; other families; polymorphic EdDSA.
    for alg in ("none", "None", "NONE", "nOnE", ""):
        yield f"alg-{alg}", b64({**base, "alg": alg}) + b"." + body + b"."
        yield f"alg-{alg}-signed", b64({**base, "alg": alg}) + b"." + body + b"." + signature
    for secret_name, secret in (
        ("raw", public),
        ("pem", pem),
        ("der", der),
        ("b64", b64(public)),
        ("empty", b""),
    ):
        for alg, digest in (("HS256", hashlib.sha256), ("HS512", hashlib.sha512)):
            signer = lambda data, s=secret, d=digest: hmac.new(s, data, d).digest()  # noqa: E731
            yield f"{alg}-{secret_name}", signed({**base, "alg": alg}, body, signer)
    signer = lambda data: hmac.new(public, data, hashlib.sha256).digest()  # noqa: E731
    yield "hs-under-our-header", signed(head, body, signer)
    elliptic = ec.generate_private_key(ec.SECP256R1())
    yield (
        "es256",
        signed({**base, "alg": "ES256"}, body, lambda data: elliptic.sign(data, ec.ECDSA(hashes.SHA256()))),
    )
    rsa_key = rsa.generate_private_key(65537, 2048)
    rsa_signer = lambda data: rsa_key.sign(data, padding.PKCS1v15(), hashes.SHA256())  # noqa: E731
    yield "rs256", signed({**base, "alg": "RS256"}, body, rsa_signer)
    yield "eddsa-alias", signed({**base, "alg": "EdDSA"}, body)
    yield "ed448-name", signed({**base, "alg": "Ed448"}, body)
    # Header: kid tricks, foreign keys, crit, b64, zip, typ, repeated and extra members, other spelling.
    for name, other_kid in (
        ("path", "../../dev/null"),
        ("sql", "' or 1=1 --"),
        ("url", "http://127.0.0.1/k"),
        ("empty", ""),
        ("number", 1),
        ("list", [kid]),
        ("null", None),
    ):
        yield f"kid-{name}", signed({**base, "kid": other_kid}, body)
    yield "kid-absent", signed({"alg": "Ed25519", "typ": "at+jwt"}, body)
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(32))
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(stranger.public_key().public_bytes_raw()).decode()}
    for name, extra in (
        ("jwk", {"jwk": jwk}), ("jku", {"jku": "http://127.0.0.1/keys"}), ("x5u", {"x5u": "http://127.0.0.1/c"}),
        ("x5c", {"x5c": [b64(der).decode()]}), ("crit", {"crit": ["exp"], "exp": 1}), ("crit-b64", {"crit": ["b64"], "b64": False}),
        ("crit-empty", {"crit": []}), ("zip", {"zip": "DEF"}), ("enc", {"enc": "A256GCM"}), ("cty", {"cty": "JWT"}),
    ):  # fmt: skip
        yield f"header-{name}", signed({**base, **extra}, body)
        yield f"header-{name}-stranger", signed({**base, **extra}, body, stranger.sign)
    for typ in ("JWT", "at+JWT", "application/at+jwt", "", None):
        yield f"typ-{typ}", signed({**base, "typ": typ}, body)
    text = header_of(public)
    yield "header-repeated-alg", signed(b64(text[:-1] + b',"alg":"Ed25519"}'), body)
    yield "header-repeated-alg-none", signed(b64(b'{"alg":"none",' + text[1:]), body)
    yield "header-spaced", signed(b64(text.replace(b",", b", ")), body)
    yield "header-array", signed(b64(b"[]"), body)
    yield "header-bom", signed(b64(b"\xef\xbb\xbf" + text), body)
    yield "stranger", signed(head, body, stranger.sign)
    # Claims, under the true key: a thief of the issuer's code path must still be within the rules.
    for name, changes in (
        ("expired", {"exp": NOW_MS // 1000, "iat": NOW_MS // 1000 - 10, "nbf": NOW_MS // 1000 - 10}), ("not-yet", {"nbf": NOW_MS // 1000 + 60}),
        ("exp-before-iat", {"exp": NOW_MS // 1000 - 3600}), ("exp-too-far", {"exp": NOW_MS // 1000 + LIFETIME_MAX_SECONDS + 1}),
        ("exp-text", {"exp": "9999999999"}), ("exp-float", {"exp": 1e12}), ("exp-bool", {"exp": True}), ("exp-null", {"exp": None}), ("exp-huge", {"exp": 10**30}),
        ("aud-other", {"aud": "chain-2"}), ("aud-list", {"aud": [AUDIENCE]}), ("aud-list-two", {"aud": ["x", AUDIENCE]}), ("aud-prefix", {"aud": AUDIENCE + "/"}), ("aud-null", {"aud": None}),
        ("iss-other", {"iss": "did:x"}), ("sub-empty", {"sub": ""}), ("sub-control", {"sub": "a\nb"}), ("sub-long", {"sub": "a" * 257}), ("client-list", {"client_id": ["a"]}),
        ("scope-list", {"scope": ["system/*.r"]}), ("scope-unknown", {"scope": "admin/*.r"}), ("scope-granular", {"scope": "system/Observation.r?category:not=x"}), ("scope-empty", {"scope": ""}),
        ("patient-scope-without-patient", {"scope": "patient/*.r"}), ("patient-path", {"patient": "../b"}), ("patient-list", {"patient": ["a", "b"]}), ("patient-long", {"patient": "a" * 65}),
        ("purpose-small", {"purpose": "treat"}), ("purpose-list", {"purpose": ["TREAT"]}), ("unknown-claim", {"act": {"sub": "x"}}), ("cnf-short", {"cnf": {"jkt": "x"}}), ("cnf-spare-bits", {"cnf": {"jkt": "B" * 43}}), ("cnf-null", {"cnf": None}),
        ("cnf-empty", {"cnf": {}}), ("cnf-text", {"cnf": "A" * 43}), ("cnf-more", {"cnf": {"jkt": "A" * 43, "x5t#S256": "A" * 43}}), ("cnf-other", {"cnf": {"jwk": {}}}),
        ("gid-path", {"gid": "../g"}), ("gid-empty", {"gid": ""}), ("gid-list", {"gid": ["g"]}), ("account-text", {"account": "a b"}), ("did-other", {"did": "Practitioner/1"}), ("did-list", {"did": ["did:x:y"]}), ("jti-empty", {"jti": ""}), ("jti-list", {"jti": ["good"]}),
    ):  # fmt: skip
        yield f"claim-{name}", signed(head, canonical(**changes))
    for name in ("iss", "aud", "sub", "client_id", "scope", "organisation", "jti", "iat", "nbf", "exp"):
        yield (
            f"claim-without-{name}",
            signed(head, b64(msgspec.json.encode({k: v for k, v in claims.items() if k != name}))),
        )
    plain = msgspec.json.encode(claims)
    yield "claims-repeated-scope", signed(head, b64(plain[:-1] + b',"scope":"system/*.cruds"}'))
    yield "claims-repeated-exp-first", signed(head, b64(b'{"exp":99999999999,' + plain[1:]))
    yield "claims-escaped-repeat", signed(head, b64(plain[:-1] + b',"\\u0073cope":"system/*.cruds"}'))
    yield "claims-reordered", signed(head, b64(msgspec.json.encode(dict(reversed(claims.items())))))
    yield "claims-spaced", signed(head, b64(json.dumps(claims).encode()))
    yield "claims-array", signed(head, b64(b"[]"))
    yield "claims-empty", signed(head, b64(b"{}"))
    yield "claims-not-json", signed(head, b64(b"\xff\xfe"))
    yield "claims-nested-token", signed(head, b64(good))
    yield "claims-deep", signed(head, b64(b"[" * 3000))
    # Form: parts missing, repeated, padded, not canonical, with other characters; signatures from elsewhere.
    yield "two-parts", head + b"." + body
    yield "four-parts", good + b"." + signature
    yield "five-parts-jwe", b".".join([head, b"", body, body, signature])
    yield "detached", head + b".." + signature
    yield "no-signature", head + b"." + body + b"."
    yield "padded", good + b"=="
    yield "newline", good + b"\n"
    yield "space", good.replace(b".", b". ", 1)
    yield (
        "standard-alphabet",
        head + b"." + body + b"." + signature.replace(b"-", b"+").replace(b"_", b"/") + b"+",
    )
    yield "ignored-character", head + b"." + body[:8] + b"!" + body[8:] + b"." + signature
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(signature[-1:])
    yield "signature-spare-bits", good[:-1] + alphabet[last ^ 1 : (last ^ 1) + 1]
    yield "signature-zero", head + b"." + body + b"." + b64(bytes(64))
    yield "signature-short", head + b"." + body + b"." + b64(bytes(63))
    raw = base64.urlsafe_b64decode(signature + b"==")
    order = 2**252 + 27742317777372353535851937790883648493
    malleable = raw[:32] + (int.from_bytes(raw[32:], "little") + order).to_bytes(32, "little")
    yield "signature-plus-order", head + b"." + body + b"." + b64(malleable)
    other = issue(issuer, token_id="other").encode().split(b".")
    yield "signature-of-another", head + b"." + body + b"." + other[2]
    yield "body-of-another", head + b"." + other[1] + b"." + signature
    yield (
        "json-serialisation",
        json.dumps(
            {"protected": head.decode(), "payload": body.decode(), "signature": signature.decode()}
        ).encode(),
    )


FORGERIES = list(make_forgeries())


def test_corpus_is_large():
    assert len(FORGERIES) >= 120
    assert len({name for name, _ in FORGERIES}) == len(FORGERIES)


@pytest.mark.parametrize("token", [token for _, token in FORGERIES], ids=[name for name, _ in FORGERIES])
def test_forgery_is_refused(verifier, token):
    assert refusal_of(verifier, bearer(token)).startswith(("token-", "scope-"))


def test_every_altered_character_is_refused(issuer, verifier):
    token = issue(issuer).encode()
    verifier.authenticate(bearer(token))
    for place in range(len(token)):
        altered = bytearray(token)
        altered[place] = ord("A") if token[place] != ord("A") else ord("B")
        assert refusal_of(verifier, bearer(bytes(altered)))
    for length in range(0, len(token), 7):
        assert refusal_of(verifier, bearer(token[:length]))


def test_segments_have_one_spelling():
    assert decode_segment(b"AA") == b"\0"
    for other in (b"AB", b"AA=", b"A", b"A\nA", b"A+", b"A/", b"", "А".encode()):
        with pytest.raises(Unauthenticated):
            decode_segment(other)


def test_refusals_do_not_repeat_the_token(verifier):
    for _, token in FORGERIES:
        with pytest.raises(Unauthenticated) as refused:
            verifier.authenticate(bearer(token))
        shown = refused.value.message.encode() + refused.value.hint.encode() + challenge(refused.value)
        assert token[:12] not in shown


@pytest.mark.parametrize("changes", [
    {"scope": "patient/*.r"}, {"scope": "system/Observation.r?x=y"}, {"scope": ""}, {"lifetime_seconds": 0},
    {"lifetime_seconds": LIFETIME_MAX_SECONDS + 1}, {"client": ""}, {"patient": "a/b"}, {"purpose": "x"}, {"organisation": ""},
])  # fmt: skip
def test_the_issuer_makes_no_token_that_would_be_refused(issuer, changes):
    with pytest.raises(Invalid):
        issue(issuer, **changes)
