"""Foreign keys: what is read has one thumbprint; a corpus of weak, private, ambiguous and strange keys is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careledger.smart.json import Unreadable, read_object, read_time_ms
from careledger.smart.jwk import decode_segment, describe_key_set, read_key, read_key_set
from tests.smart.forging import b64, b64_int, ec_key, jwk, rsa_key

ALGORITHMS = ("RS384", "ES384", "ES256")
RSA = jwk(rsa_key(), kid="r")
EC = jwk(ec_key(), kid="e")
EC384 = jwk(ec_key("ada", "P-384"), kid="f")
MODULUS = rsa_key().public_key().public_numbers().n
P256_ORDER_FIELD = 2**256 - 2**224 + 2**192 + 2**96 - 1


def key_set(*keys):
    return json.dumps({"keys": list(keys)}).encode()


def without(key, *names):
    return {name: value for name, value in key.items() if name not in names}


def off_curve():
    return {**EC, "y": b64_int(int.from_bytes(decode_segment(EC["y"])) ^ 1, 32)}


REFUSED_KEYS = {
    "no object": "key",
    "a list": [RSA],
    "null": None,
    "kty missing": without(RSA, "kty"),
    "kty unknown": {**RSA, "kty": "OKP"},
    "kty a list": {**RSA, "kty": ["RSA"]},
    "kty in small letters": {**RSA, "kty": "rsa"},
    "symmetric (oct)": {"kty": "oct", "k": b64(bytes(32)), "kid": "o"},
    "symmetric beside RSA": {**RSA, "k": b64(bytes(32))},
    "private exponent": {**RSA, "d": b64_int(rsa_key().private_numbers().d)},
    "private factor": {**RSA, "p": b64_int(rsa_key().private_numbers().p)},
    "other primes": {**RSA, "oth": []},
    "private scalar": {**EC, "d": b64_int(ec_key().private_numbers().private_value, 32)},
    "private scalar null": {**EC, "d": None},
    "Ed25519": {"kty": "OKP", "crv": "Ed25519", "x": b64(bytes(32)), "kid": "o"},
    "RSA of 1024 bits": jwk(rsa_key("weak", 1024), kid="w"),
    "RSA of 2047 bits": {**RSA, "n": b64_int(MODULUS >> 1 | 1)},
    "RSA of 8193 bits": {**RSA, "n": b64_int(1 << 8192 | 1)},
    "RSA of a megabit": {**RSA, "n": b64_int((1 << 40_000) | 1)},
    "RSA with exponent 1": {**RSA, "e": "AQ"},
    "RSA with exponent 3": {**RSA, "e": "Aw"},
    "RSA with an even exponent": {**RSA, "e": b64_int(65_538)},
    "RSA with a huge exponent": {**RSA, "e": b64_int((1 << 2000) + 1)},
    "RSA with exponent 0": {**RSA, "e": "AA"},
    "RSA with an even modulus": {**RSA, "n": b64_int(MODULUS + 1)},
    "RSA with a small factor": {**RSA, "n": b64_int(3 * (MODULUS // 3 | 1))},
    "RSA with a square modulus": {**RSA, "n": b64_int(rsa_key().private_numbers().p ** 2)},
    "RSA with a leading zero": {**RSA, "n": b64(b"\0" + MODULUS.to_bytes(256, "big"))},
    "exponent with a leading zero": {**RSA, "e": b64(b"\0\1\0\1")},
    "modulus padded": {**RSA, "n": RSA["n"] + "="},
    "modulus in base64": {**RSA, "n": RSA["n"][:-2] + "+/"},
    "modulus empty": {**RSA, "n": ""},
    "modulus missing": without(RSA, "n"),
    "modulus a number": {**RSA, "n": MODULUS},
    "modulus null": {**RSA, "n": None},
    "curve P-521": jwk(ec_key("ada", "P-521"), kid="x"),
    "curve secp256k1": {**EC, "crv": "secp256k1"},
    "curve unknown": {**EC, "crv": "P-257"},
    "curve a list": {**EC, "crv": ["P-256"]},
    "curve missing": without(EC, "crv"),
    "point off the curve": off_curve(),
    "point on another curve": {**EC384, "crv": "P-256"},
    "point at zero": {**EC, "x": b64(bytes(32)), "y": b64(bytes(32))},
    "point not below the field": {**EC, "x": b64_int(P256_ORDER_FIELD + 5, 32)},
    "coordinate too short": {**EC, "x": b64(decode_segment(EC["x"])[1:])},
    "coordinate too long": {**EC, "x": b64(b"\0" + decode_segment(EC["x"]))},
    "coordinate missing": without(EC, "y"),
    "members of RSA and EC": {**EC, "n": RSA["n"]},
    "kid missing": without(EC, "kid"),
    "kid empty": {**EC, "kid": ""},
    "kid too long": {**EC, "kid": "k" * 257},
    "kid a number": {**EC, "kid": 1},
    "kid with a line break": {**EC, "kid": "a\nb"},
    "kid a lone surrogate": {**EC, "kid": "\ud800"},
    "alg of another curve": {**EC, "alg": "ES384"},
    "alg of another type": {**RSA, "alg": "ES256"},
    "alg HS256 on an RSA key": {**RSA, "alg": "HS256"},
    "alg none": {**RSA, "alg": "none"},
    "alg RS256, not agreed": {**RSA, "alg": "RS256"},
    "alg for encryption": {**RSA, "alg": "RSA-OAEP"},
    "alg a list": {**RSA, "alg": ["RS384"]},
    "use enc": {**EC, "use": "enc"},
    "use unknown": {**EC, "use": "SIG"},
    "use null": {**EC, "use": None},
    "key_ops sign": {**EC, "key_ops": ["sign"]},
    "key_ops sign and verify": {**EC, "key_ops": ["sign", "verify"]},
    "key_ops twice": {**EC, "key_ops": ["verify", "verify"]},
    "key_ops a text": {**EC, "key_ops": "verify"},
    "key_ops against use": {**EC, "use": "sig", "key_ops": ["encrypt"]},
    "x5u": {**EC, "x5u": "https://attacker.example/key.pem"},
    "jku": {**EC, "jku": "https://attacker.example/jwks"},
    "an expiry that would be overlooked": {**EC, "exp": 1},
    "a member nobody knows": {**EC, "revoked": True},
}

REASONS = {
    "symmetric (oct)": "private or symmetric",
    "private scalar null": "private or symmetric",
    "RSA of 1024 bits": "bits",
    "RSA of 2047 bits": "bits",
    "RSA of 8193 bits": "too long",
    "RSA with exponent 3": "exponent",
    "RSA with a huge exponent": "exponent",
    "RSA with a small factor": "two large primes",
    "RSA with a square modulus": "two large primes",
    "modulus padded": "base64url",
    "point off the curve": "no point",
    "coordinate too long": "length of its curve",
    "alg of another curve": "fits none",
}

REFUSED_SETS = {
    "empty": b"",
    "no JSON": b"-----BEGIN PUBLIC KEY-----",
    "a list": json.dumps([EC]).encode(),
    "a key alone": json.dumps(EC).encode(),
    "no keys": key_set(),
    "keys an object": json.dumps({"keys": EC}).encode(),
    "members beside keys": json.dumps({"keys": [EC], "next": "https://attacker.example"}).encode(),
    "keys twice": b'{"keys":[],' + key_set(EC)[1:],
    "a member twice": key_set(EC).replace(b'"kty": "EC"', b'"kty": "EC", "kty": "EC"'),
    "a member twice, escaped": key_set(EC).replace(b'"kty": "EC"', b'"kty": "EC", "k\\u0074y": "EC"'),
    "21 keys": key_set(*({**EC, "kid": str(number)} for number in range(21))),
    "two keys of one kid": key_set(EC, {**EC384, "kid": "e"}),
    "one good, one private": key_set(EC, {**EC384, "d": "AA"}),
    "over 32 KiB": key_set(EC) + b" " * 32_768,
    "UTF-16": key_set(EC).decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + key_set(EC),
    "no UTF-8": b'{"keys":["\xff"]}',
    "deep": b"[" * 30_000,
    "NaN": b'{"keys":NaN}',
}


@pytest.mark.parametrize("name", REFUSED_KEYS)
def test_a_weak_private_or_strange_key_is_refused(name):
    with pytest.raises(Unreadable, match=REASONS.get(name)):
        read_key_set(key_set(REFUSED_KEYS[name]), ALGORITHMS)


@pytest.mark.parametrize("name", REFUSED_SETS)
def test_a_strange_key_set_is_refused(name):
    with pytest.raises(Unreadable):
        read_key_set(REFUSED_SETS[name], ALGORITHMS)


def test_keys_are_read_and_kept_without_what_stood_beside_them():
    given = key_set(
        {**RSA, "alg": "RS384", "use": "sig", "x5c": ["MIIB"], "x5t": "AA"},
        {**EC, "key_ops": ["verify"], "ext": True},
        EC384,
    )
    keys = read_key_set(given, ALGORITHMS)
    assert [key.kid for key in keys] == ["r", "e", "f"]
    assert [[one for one in ("RS256", *ALGORITHMS) if key.takes(one)] for key in keys] == [
        ["RS384"],
        ["ES256"],
        ["ES384"],
    ]
    kept = json.loads(describe_key_set(keys))["keys"]
    assert kept == [
        {**RSA, "alg": "RS384", "use": "sig"},
        {**EC, "use": "sig"},
        {**EC384, "use": "sig"},
    ]
    assert [key.thumbprint for key in read_key_set(describe_key_set(keys), ALGORITHMS)] == [
        key.thumbprint for key in keys
    ]


def test_the_thumbprint_is_that_of_rfc_7638():
    """The example of its section 3.1, and it does not hang on order or on what describes the key."""
    example = {
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3o"
        "knjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6q"
        "MQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJz"
        "KnqDKgw",
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29",
    }
    assert read_key(example, ("RS256",)).thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    turned = dict(reversed(without(example, "kid", "alg").items()))
    assert read_key(turned, ("RS256",)).thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize("bits", [2048, 3072])
def test_usual_rsa_keys_are_taken(bits):
    assert read_key(jwk(rsa_key("usual", bits)), ("RS384",)).takes("RS384")


def test_no_message_tells_what_was_sent():
    secret = b64_int(rsa_key().private_numbers().d)
    with pytest.raises(Unreadable) as refused:
        read_key({**RSA, "d": secret}, ALGORITHMS)
    assert secret[:16] not in str(refused.value)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(list(EC.values())),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*EC, *RSA, "use", "key_ops", "alg", "keys"]), inner, max_size=6)
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_json_is_a_key_or_is_refused(value):
    for read in (
        lambda: read_key(value, ALGORITHMS),
        lambda: read_key_set(json.dumps(value).encode(), ALGORITHMS),
    ):
        try:
            read()
        except Unreadable:
            pass


@given(st.sampled_from(sorted(set(RSA) | set(EC))), JSON)
def test_a_key_with_another_member_is_itself_or_refused(name, value):
    for base in (RSA, EC):
        try:
            key = read_key({**base, name: value}, ALGORITHMS)
        except Unreadable:
            continue
        numbers = ("e", "kty", "n") if base is RSA else ("crv", "kty", "x", "y")
        if name in numbers:
            assert value == base[name] or key.thumbprint != read_key(base, ALGORITHMS).thumbprint


@given(st.binary(min_size=1, max_size=40))
def test_base64url_has_one_spelling(raw):
    text = b64(raw)
    assert decode_segment(text) == raw
    for other in (text + "=", text + "\n", " " + text, text[:-1], "+" + text, text.replace("_", "/")):
        if other != text:
            try:
                assert decode_segment(other) != raw
            except Unreadable:
                pass


@pytest.mark.parametrize("text", ["", "A", "AB", "AAA=", "AA==", "A A", "AA\n", "é", None, 1, b"AA"])
def test_strange_segments_are_refused(text):
    with pytest.raises(Unreadable):
        decode_segment(text)


@pytest.mark.parametrize(
    "value", ["1", None, True, False, -1, 2**33, 1e300, float("inf"), float("nan"), [1], {}]
)
def test_what_is_no_time_is_refused(value):
    with pytest.raises(Unreadable):
        read_time_ms(value)


def test_times_may_have_fractions():
    assert (read_time_ms(5), read_time_ms(5.25), read_time_ms(0)) == (5000, 5250, 0)


@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_refused(raw):
    try:
        assert isinstance(read_object(raw, 50), dict)
    except Unreadable:
        pass
