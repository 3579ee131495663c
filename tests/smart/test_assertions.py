"""Client assertions: what a registered key signed for this server, now, counts once; nothing else does.

The negative cases of ONC (g)(10) are named by their Inferno ids; the forged ones by what they try (F5).
"""

from __future__ import annotations

import contextlib
import json
import zlib

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import RSAKey

from careledger.smart.assertions import read_assertion
from careledger.smart.errors import OAuthError
from tests.smart.client_support import Clinic, carried
from tests.smart.forging import (
    AUDIENCES,
    ISSUER,
    NOW,
    NOW_MS,
    TOKEN_ENDPOINT,
    b64,
    b64_int,
    compact,
    ec_key,
    jwk,
    rsa_key,
    signature,
    signed,
)

HEADER = {"alg": "ES256", "kid": "e", "typ": "JWT"}
MALLORY = ec_key("mallory")
PEM = ec_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
RSA_PEM = rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture
def clinic():
    return Clinic()


@pytest.mark.parametrize(
    "kid, algorithm, key",
    [("r", "RS384", rsa_key()), ("e", "ES256", ec_key()), ("f", "ES384", ec_key("ada", "P-384"))],
)
@pytest.mark.parametrize("audience", [TOKEN_ENDPOINT, ISSUER, [TOKEN_ENDPOINT], [ISSUER, TOKEN_ENDPOINT]])
def test_a_registered_key_signs_for_this_server(clinic, kid, algorithm, key, audience):
    claims = clinic.claims(aud=audience, iat=NOW, nbf=NOW, scope="claims that mean nothing here")
    text = signed({"alg": algorithm, "kid": kid, "typ": "JWT"}, claims, key)
    assert clinic.authenticate(carried(text)) == clinic.machine
    assert clinic.refusal(carried(text)).code == "assertion-replayed"


def test_what_a_foreign_library_signs_is_taken(clinic):
    text = jwt.encode(
        {"alg": "RS384", "kid": "r"}, clinic.claims(), RSAKey.import_key(rsa_key()), algorithms=["RS384"]
    )
    assert clinic.authenticate(carried(text)) == clinic.machine


def other(clinic, **changes):
    """A header with more or other members, properly signed."""
    return signed({**HEADER, **changes}, clinic.claims(), ec_key())


def respelled(clinic, header=None, claims=None):
    """Header or claims as text, properly signed."""
    return signed(header or compact(HEADER), claims or compact(clinic.claims()), ec_key())


def parts(clinic):
    return clinic.assertion().split(".")


def resigned(clinic, change):
    """The signature's numbers changed."""
    first, second, _ = parts(clinic)
    raw = signature("ES256", ec_key(), f"{first}.{second}".encode())
    return f"{first}.{second}.{b64(change(raw))}"


def der(raw):
    return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))


def doubled(clinic, name, value):
    return respelled(clinic, claims=compact(clinic.claims())[:-1] + f',"{name}":{json.dumps(value)}}}')


def last_bits(text):
    """The same bytes in a second spelling: the unused bits of the last character set."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) + 1]


FORGED = {
    # Inferno, ONC (g)(10): smart_backend_services_invalid_jwt and bulk_data_authorization, each claim in turn
    "smart_backend_services_invalid_jwt iss": lambda c: c.assertion(iss="not a registered client"),
    "smart_backend_services_invalid_jwt iss unknown": lambda c: c.assertion(iss="nobody", sub="nobody"),
    "smart_backend_services_invalid_jwt iss missing": lambda c: c.assertion(iss=None),
    "smart_backend_services_invalid_jwt sub": lambda c: c.assertion(sub="not a registered client"),
    "smart_backend_services_invalid_jwt sub missing": lambda c: c.assertion(sub=None),
    "smart_backend_services_invalid_jwt aud": lambda c: c.assertion(aud="https://not_a_token_endpoint"),
    "smart_backend_services_invalid_jwt aud missing": lambda c: c.assertion(aud=None),
    "smart_backend_services_invalid_jwt exp": lambda c: c.assertion(exp=NOW + 600),
    "smart_backend_services_invalid_jwt exp past": lambda c: c.assertion(exp=NOW - 1),
    "smart_backend_services_invalid_jwt exp missing": lambda c: c.assertion(exp=None),
    "smart_backend_services_invalid_jwt jti missing": lambda c: c.assertion(jti=None),
    "smart_backend_services_invalid_jwt signature": lambda c: signed(HEADER, c.claims(), MALLORY),
    # times
    "exp now": lambda c: c.assertion(exp=NOW),
    "exp six seconds too far": lambda c: c.assertion(exp=NOW + 306),
    "exp a year": lambda c: c.assertion(exp=NOW + 31_536_000),
    "exp in milliseconds": lambda c: c.assertion(exp=NOW_MS + 60_000),
    "exp a text": lambda c: c.assertion(exp=str(NOW + 60)),
    "exp true": lambda c: c.assertion(exp=True),
    "exp infinite": lambda c: respelled(c, claims=compact(c.claims()).replace(str(NOW + 300), "1e999")),
    "exp NaN": lambda c: respelled(c, claims=compact(c.claims()).replace(str(NOW + 300), "NaN")),
    "exp negative": lambda c: c.assertion(exp=-1),
    "exp a list": lambda c: c.assertion(exp=[NOW + 60]),
    "exp of 4,000 digits": lambda c: respelled(
        c, claims=compact(c.claims()).replace(str(NOW + 300), "9" * 4000)
    ),
    "exp of 4,500 digits": lambda c: respelled(
        c, claims=compact(c.claims()).replace(str(NOW + 300), "9" * 4500)
    ),
    "iat ahead": lambda c: c.assertion(iat=NOW + 60),
    "iat a text": lambda c: c.assertion(iat="now"),
    "iat after exp": lambda c: c.assertion(iat=NOW + 4, exp=NOW + 3),
    "nbf ahead": lambda c: c.assertion(nbf=NOW + 60),
    # whom it is for
    "aud of another server": lambda c: c.assertion(aud="https://other.example/oauth/token"),
    "aud a list with a stranger": lambda c: c.assertion(
        aud=[TOKEN_ENDPOINT, "https://other.example/oauth/token"]
    ),
    "aud an empty list": lambda c: c.assertion(aud=[]),
    "aud a list of lists": lambda c: c.assertion(aud=[[TOKEN_ENDPOINT]]),
    "aud a list that repeats": lambda c: c.assertion(aud=[TOKEN_ENDPOINT] * 3),
    "aud an object": lambda c: c.assertion(aud={TOKEN_ENDPOINT: 1}),
    "aud a prefix": lambda c: c.assertion(aud=TOKEN_ENDPOINT[:-1]),
    "aud with a slash": lambda c: c.assertion(aud=TOKEN_ENDPOINT + "/"),
    "aud in capitals": lambda c: c.assertion(aud=TOKEN_ENDPOINT.upper()),
    "aud with a space": lambda c: c.assertion(aud=f"{TOKEN_ENDPOINT} https://other.example"),
    "aud of the authorize endpoint": lambda c: c.assertion(aud="https://clinic.example/oauth/authorize"),
    "aud another port": lambda c: c.assertion(aud="https://clinic.example:8443/oauth/token"),
    # jti
    "jti empty": lambda c: c.assertion(jti=""),
    "jti too long": lambda c: c.assertion(jti="j" * 257),
    "jti a number": lambda c: c.assertion(jti=1),
    "jti a list": lambda c: c.assertion(jti=["j"]),
    "jti with NUL": lambda c: c.assertion(jti="j\0k"),
    "jti a lone surrogate": lambda c: c.assertion(jti="\ud800"),
    # who it is from
    "iss and sub differ": lambda c: c.assertion(iss=c.public.id),
    "iss and sub of another client": lambda c: c.assertion(iss=c.basic.id, sub=c.basic.id),
    "sub a list": lambda c: c.assertion(sub=[c.machine.id], iss=[c.machine.id]),
    "sub with SQL": lambda c: c.assertion(sub="' OR 1=1 --", iss="' OR 1=1 --"),
    "sub a path": lambda c: c.assertion(sub="../client", iss="../client"),
    "sub a megabyte": lambda c: c.assertion(sub="a" * 1_000_000, iss="a" * 1_000_000),
    "sub in another case": lambda c: c.assertion(sub=c.machine.id.swapcase(), iss=c.machine.id.swapcase()),
    # algorithms
    "alg none": lambda c: signed({**HEADER, "alg": "none"}, c.claims(), None),
    "alg None": lambda c: signed({**HEADER, "alg": "None"}, c.claims(), None, "none"),
    "alg NONE with a signature": lambda c: signed({**HEADER, "alg": "nOnE"}, c.claims(), ec_key(), "ES256"),
    "alg empty": lambda c: signed({**HEADER, "alg": ""}, c.claims(), ec_key(), "ES256"),
    "alg missing": lambda c: signed({"kid": "e", "typ": "JWT"}, c.claims(), ec_key(), "ES256"),
    "alg null": lambda c: signed({**HEADER, "alg": None}, c.claims(), ec_key(), "ES256"),
    "alg a list": lambda c: signed({**HEADER, "alg": ["ES256"]}, c.claims(), ec_key(), "ES256"),
    "alg an object": lambda c: signed({**HEADER, "alg": {"ES256": 1}}, c.claims(), ec_key(), "ES256"),
    "alg in small letters": lambda c: signed({**HEADER, "alg": "es256"}, c.claims(), ec_key(), "ES256"),
    "HS256 with the public key (PEM)": lambda c: signed({**HEADER, "alg": "HS256"}, c.claims(), PEM),
    "HS384 with the public key (PEM)": lambda c: signed(
        {**HEADER, "alg": "HS384", "kid": "r"}, c.claims(), RSA_PEM
    ),
    "HS256 with the public key (JWK)": lambda c: signed(
        {**HEADER, "alg": "HS256"}, c.claims(), compact(jwk(ec_key())).encode()
    ),
    "HS256 with nothing": lambda c: signed({**HEADER, "alg": "HS256"}, c.claims(), b""),
    "RS256 by the RSA key": lambda c: signed(
        {"alg": "RS256", "kid": "r", "typ": "JWT"}, c.claims(), rsa_key()
    ),
    "RS512 by the RSA key": lambda c: signed(
        {"alg": "RS512", "kid": "r", "typ": "JWT"}, c.claims(), rsa_key()
    ),
    "PS384 by the RSA key": lambda c: signed(
        {"alg": "PS384", "kid": "r", "typ": "JWT"}, c.claims(), rsa_key()
    ),
    "ES512": lambda c: signed({**HEADER, "alg": "ES512"}, c.claims(), ec_key("ada", "P-521")),
    "ES256K": lambda c: signed({**HEADER, "alg": "ES256K"}, c.claims(), ec_key(), "ES256"),
    "EdDSA": lambda c: signed({**HEADER, "alg": "EdDSA"}, c.claims(), ec_key(), "ES256"),
    "RS384 said, ES256 signed": lambda c: signed({**HEADER, "alg": "RS384"}, c.claims(), ec_key(), "ES256"),
    "ES384 said of the P-256 key": lambda c: signed(
        {**HEADER, "alg": "ES384"}, c.claims(), ec_key(), "ES256"
    ),
    "ES256 with SHA-384": lambda c: signed(HEADER, c.claims(), ec_key(), "ES384"),
    "RSA key's kid, EC signature": lambda c: signed({**HEADER, "kid": "r"}, c.claims(), ec_key()),
    # kid
    "kid missing": lambda c: signed({"alg": "ES256", "typ": "JWT"}, c.claims(), ec_key()),
    "kid unknown": lambda c: other(c, kid="z"),
    "kid of another key": lambda c: other(c, kid="f"),
    "kid a path": lambda c: other(c, kid="../../../../dev/null"),
    "kid with SQL": lambda c: other(c, kid="e' UNION SELECT 'key"),
    "kid an address": lambda c: other(c, kid="https://attacker.example/key"),
    "kid a list": lambda c: other(c, kid=["e"]),
    "kid null": lambda c: other(c, kid=None),
    "kid with a command": lambda c: other(c, kid="|/bin/true"),
    "kid with NUL": lambda c: other(c, kid="e\0"),
    # members that name a key or change the meaning
    "jku": lambda c: other(c, jku="https://attacker.example/jwks.json"),
    "jku that is not text": lambda c: other(c, jku=["https://attacker.example/jwks.json"]),
    "jku empty": lambda c: other(c, jku=""),
    "x5u": lambda c: other(c, x5u="https://attacker.example/cert.pem"),
    "x5c": lambda c: other(c, x5c=["MIIB"]),
    "x5t": lambda c: other(c, x5t="AAAA"),
    "jwk of the attacker": lambda c: signed({**HEADER, "jwk": jwk(MALLORY)}, c.claims(), MALLORY),
    "jwk of the client": lambda c: other(c, jwk=jwk(ec_key())),
    "crit unknown": lambda c: other(c, crit=["exp"], exp=1),
    "crit empty": lambda c: other(c, crit=[]),
    "crit names kid": lambda c: other(c, crit=["kid"]),
    "b64 false": lambda c: other(c, b64=False, crit=["b64"]),
    "b64 true": lambda c: other(c, b64=True),
    "zip": lambda c: signed({**HEADER, "zip": "DEF"}, zlib.compress(compact(c.claims()).encode()), ec_key()),
    "cty JWT": lambda c: other(c, cty="JWT"),
    "enc": lambda c: other(c, enc="A256GCM"),
    "a member nobody knows": lambda c: other(c, nonce="n"),
    "iss in the header": lambda c: other(c, iss=c.machine.id),
    # typ
    "typ missing": lambda c: signed({"alg": "ES256", "kid": "e"}, c.claims(), ec_key()),
    "typ of a proof": lambda c: other(c, typ="dpop+jwt"),
    "typ of an access token": lambda c: other(c, typ="at+jwt"),
    "typ in small letters": lambda c: other(c, typ="jwt"),
    "typ a list": lambda c: other(c, typ=["JWT"]),
    # forms
    "empty": lambda c: "",
    "dots": lambda c: "..",
    "two parts": lambda c: ".".join(parts(c)[:2]),
    "two parts and a dot": lambda c: ".".join(parts(c)[:2]) + ".",
    "four parts": lambda c: c.assertion() + ".AA",
    "five parts (JWE)": lambda c: ".".join([*parts(c), "AA", "AA"]),
    "detached": lambda c: f"{parts(c)[0]}..{parts(c)[2]}",
    "JSON serialisation": lambda c: compact(
        dict(zip(("protected", "payload", "signature"), parts(c), strict=True))
    ),
    "nested": lambda c: signed(HEADER, c.assertion(), ec_key()),
    "nested with cty": lambda c: signed({**HEADER, "cty": "JWT"}, c.assertion(), ec_key()),
    "padded": lambda c: c.assertion() + "==",
    "padded in the header": lambda c: "{}=.{}.{}".format(*parts(c)),
    "a space before": lambda c: " " + c.assertion(),
    "a line break after": lambda c: c.assertion() + "\n",
    "a line break within": lambda c: c.assertion()[:50] + "\n" + c.assertion()[50:],
    "Bearer before": lambda c: "Bearer " + c.assertion(),
    "standard base64": lambda c: c.assertion().replace("-", "+").replace("_", "/") + "+",
    "signature in a second spelling": lambda c: last_bits(c.assertion()),
    "not ASCII": lambda c: c.assertion()[:-1] + "é",
    "over 8 kB": lambda c: c.assertion(more="x" * 8192),
    # JSON
    "header no JSON": lambda c: respelled(c, header="alg=ES256"),
    "header a list": lambda c: respelled(c, header='["ES256"]'),
    "header null": lambda c: respelled(c, header="null"),
    "header with alg twice": lambda c: respelled(c, header=compact(HEADER)[:-1] + ',"alg":"ES256"}'),
    "header with alg twice, none first": lambda c: respelled(
        c, header='{"alg":"none","alg":"ES256","kid":"e","typ":"JWT"}'
    ),
    "header with alg twice, escaped": lambda c: respelled(
        c, header=compact(HEADER)[:-1] + ',"\\u0061lg":"ES256"}'
    ),
    "header deep": lambda c: respelled(c, header='{"alg":' + "[" * 3000),
    "header over 4 kB": lambda c: other(c, kid="e" + " " * 4096),
    "claims no JSON": lambda c: respelled(c, claims="iss=me"),
    "claims a list": lambda c: respelled(c, claims="[]"),
    "claims a text": lambda c: respelled(c, claims='"iss"'),
    "claims deep": lambda c: respelled(c, claims='{"a":' + "[" * 5000 + "]" * 500 + "}"),
    "claims in UTF-16": lambda c: respelled(c, claims=compact(c.claims()).encode("utf-16")),
    "claims with a byte order mark": lambda c: respelled(
        c, claims=b"\xef\xbb\xbf" + compact(c.claims()).encode()
    ),
    "claims with bytes after": lambda c: respelled(c, claims=compact(c.claims()) + "{}"),
    "claims with a comment": lambda c: respelled(c, claims=compact(c.claims()) + "//"),
    "aud twice": lambda c: doubled(c, "aud", TOKEN_ENDPOINT),
    "sub twice": lambda c: doubled(c, "sub", c.machine.id),
    "exp twice": lambda c: doubled(c, "exp", NOW + 60),
    "jti twice": lambda c: doubled(c, "jti", "k"),
    "a claim twice within another": lambda c: respelled(
        c, claims=compact(c.claims())[:-1] + ',"x":{"a":1,"a":2}}'
    ),
    # signatures
    "signature empty": lambda c: ".".join([*parts(c)[:2], ""]),
    "signature of zeros": lambda c: resigned(c, lambda raw: bytes(64)),
    "r zero": lambda c: resigned(c, lambda raw: bytes(32) + raw[32:]),
    "s zero": lambda c: resigned(c, lambda raw: raw[:32] + bytes(32)),
    "r the order": lambda c: resigned(c, lambda raw: ORDER.to_bytes(32, "big") + raw[32:]),
    "r and s of ones": lambda c: resigned(c, lambda raw: bytes([255]) * 64),
    "signature in DER": lambda c: resigned(c, der),
    "signature one byte short": lambda c: resigned(c, lambda raw: raw[:-1]),
    "signature one byte long": lambda c: resigned(c, lambda raw: raw + b"\0"),
    "signature with zeros before": lambda c: resigned(c, lambda raw: b"\0" + raw[:32] + b"\0" + raw[32:]),
    "signature halves swapped": lambda c: resigned(c, lambda raw: raw[32:] + raw[:32]),
    "signature of another assertion": lambda c: ".".join([*parts(c)[:2], parts(c)[2]]),
    "claims of another assertion": lambda c: ".".join([parts(c)[0], b64(compact(c.claims())), parts(c)[2]]),
    "RSA signature as ES256": lambda c: signed(HEADER, c.claims(), rsa_key(), "RS384"),
    "RSA signature a number": lambda c: "{}.{}.{}".format(*parts(c)[:2], b64_int(1, 256)),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_assertion_is_refused(clinic, name):
    refusal = clinic.refusal(carried(FORGED[name](clinic)))
    expected = "invalid_request" if name == "empty" else "invalid_client"
    assert (refusal.error, refusal.status) == (expected, 400)
    assert clinic.authenticate(carried(clinic.assertion())) == clinic.machine


REASONS = {
    "exp six seconds too far": "assertion-too-long",
    "exp now": "assertion-expired",
    "nbf ahead": "assertion-not-yet-valid",
    "iat ahead": "assertion-not-yet-valid",
    "aud a list with a stranger": "assertion-audience",
    "jti too long": "assertion-jti",
    "iss and sub differ": "assertion-client",
    "iss and sub of another client": "client-method",
    "jku": "assertion-jku",
    "kid unknown": "assertion-key",
    "ES256 with SHA-384": "assertion-signature",
    "RS256 by the RSA key": "assertion-malformed",
    "typ of a proof": "assertion-malformed",
    "a member nobody knows": "assertion-malformed",
    "aud twice": "assertion-malformed",
    "signature in a second spelling": "assertion-malformed",
}


@pytest.mark.parametrize("name", REASONS)
def test_a_forgery_falls_for_its_own_reason(clinic, name):
    assert clinic.refusal(carried(FORGED[name](clinic))).code == REASONS[name]


def test_an_assertion_counts_once_by_client_and_a_strangers_use_does_not_count(clinic):
    """Who cannot sign cannot use up the jti of somebody else; two clients may choose the same one."""
    assert (
        clinic.refusal(carried(signed(HEADER, clinic.claims(jti="once"), MALLORY))).code
        == "assertion-signature"
    )
    first = clinic.machine
    assert clinic.authenticate(carried(clinic.assertion(jti="once"))) == first
    assert clinic.refusal(carried(clinic.assertion(jti="once"))).code == "assertion-replayed"
    second, _ = clinic.add(
        name="Second", method="private_key_jwt", grant_types=("client_credentials",), jwks=clinic.jwks
    )
    text = clinic.assertion(iss=second.id, sub=second.id, jti="once")
    assert clinic.authenticate(carried(text)) == second


def test_an_assertion_is_not_good_again_in_its_last_moment(clinic):
    """The memory of it ends after it could be used, also if the clock was set back a little."""
    text = clinic.assertion()
    clinic.authenticate(carried(text))
    clinic.clock.now_ms = NOW_MS + 299_999
    assert clinic.refusal(carried(text)).code == "assertion-replayed"
    clinic.clock.now_ms = NOW_MS + 300_000
    assert clinic.refusal(carried(text)).code == "assertion-expired"
    clinic.clock.now_ms = NOW_MS + 330_000
    assert clinic.registry.list("replay")


def test_a_clients_clock_may_be_a_little_ahead(clinic):
    assert clinic.authenticate(carried(clinic.assertion(exp=NOW + 305, iat=NOW + 5, nbf=NOW + 5.0)))


def test_refusals_tell_nothing_of_what_was_sent(clinic):
    for name, forge in FORGED.items():
        refusal = clinic.refusal(carried(forge(clinic)))
        assert clinic.machine.id not in refusal.description + refusal.hint, name
        assert "attacker" not in refusal.description, name


@given(
    st.binary(max_size=200) | st.text(max_size=200) | st.from_regex(r"[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,40}")
)
def test_any_text_is_an_assertion_or_refused(text):
    given_text = text.decode("latin-1") if isinstance(text, bytes) else text
    with pytest.raises(OAuthError):
        read_assertion(given_text, AUDIENCES, NOW_MS)


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.lists(st.integers(), max_size=2)


@given(
    st.dictionaries(st.sampled_from([*HEADER, "jwk", "jku", "crit", "b64"]), VALUES, max_size=4),
    st.dictionaries(st.sampled_from(["iss", "sub", "aud", "exp", "jti", "iat", "nbf"]), VALUES, max_size=4),
)
def test_any_header_and_claims_are_refused_as_such(header, claims):
    clinic_claims = {"iss": "c", "sub": "c", "aud": ISSUER, "exp": NOW + 60, "jti": "j"}
    text = f"{b64(json.dumps({**HEADER, **header}))}.{b64(json.dumps({**clinic_claims, **claims}))}.AAAA"
    with contextlib.suppress(OAuthError):
        assert read_assertion(text, AUDIENCES, NOW_MS).client == "c"


@given(st.data())
def test_one_changed_character_is_one_too_many(data):
    clinic = CLINIC
    text = clinic.assertion()
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("ABab01-_.=+ \n"))
    if text[place] != letter:
        clinic.refusal(carried(text[:place] + letter + text[place + 1 :]))


CLINIC = Clinic()
