"""What a patient's passkey signed: for exports.py, which loads this file when a chart's enrolled key is one.

docs/spec/consent.md, Passkeys. An assertion counts only if the person was verified, at the origin that was enrolled, and
its challenge is the message. Nothing that a browser wrote is parsed: it must begin with these bytes.
"""

import base64

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from verify import H, Refused, check_signature, need, sha256

PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1  # P-256: its field, its constant b and its order
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
RAW = (64, 1312, 1952)  # bytes of a raw key: ES256, ML-DSA-44, ML-DSA-65
KEY_FILE = 1952
HOST = set("abcdefghijklmnopqrstuvwxyz0123456789.-")


def take(data, *limits):
    """Fields of these (least, most) bytes, each behind its u32 length, or of exactly so many; nothing may be left."""
    out = []
    for limit in limits:
        if type(limit) is tuple:
            size, data = int.from_bytes(data[:4], "big") if len(data) >= 4 else -1, data[4:]
            need(limit[0] <= size <= limit[1], "a passkey's field has the wrong length")
        else:
            size = limit
        need(len(data) >= size, "a passkey's field is cut")
        out.append(data[:size])
        data = data[size:]
    need(not data, "a passkey's encoding is too long")
    return out


def read_key(key):
    """(raw key, RP id hash, origin) of an encoded key that can sign."""
    raw, rp, origin = take(key, (64, 1952), 32, (1, 267))
    need(len(raw) in RAW, "a passkey's key is of no algorithm that is known")
    if len(raw) == 64:
        x, y = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        need(x < PRIME and y < PRIME and not (y * y - x**3 + 3 * x - B) % PRIME, "no point of P-256")
    try:
        scheme, _, rest = origin.decode().partition("://")
    except UnicodeDecodeError:
        raise Refused("a passkey's origin is not UTF-8") from None
    host, colon, port = rest.partition(":")
    is_port = not colon or (port.isascii() and port.isdigit() and port[0] != "0" and len(port) < 6)
    is_web = scheme == "https" or (scheme == "http" and host == "localhost")
    need(host and set(host) <= HOST and is_port and is_web, "a passkey's origin is none of a web page")
    return raw, rp, origin


def check_signed(key, signature, message):
    """The enrolled key signed the message: a key file's ML-DSA-65, or a passkey's assertion with this challenge."""
    if len(key) == KEY_FILE:
        check_signature(key, signature, message)
        return
    raw, rp, origin = read_key(key)
    said, client, signature = take(signature, (37, 512), (1, 1024), (64, 3309))
    flags = said[32]
    need(said[:32] == rp, "the assertion is for another RP id")
    need(flags & 1 and flags & 4, "the person was not present, or not verified")
    need(not flags & 64 and bool(flags & 128) == (len(said) > 37), "authenticatorData is not an assertion's")
    challenge = base64.urlsafe_b64encode(message).rstrip(b"=")
    start = b'{"type":"webauthn.get","challenge":"' + challenge + b'","origin":"' + origin
    start += b'","crossOrigin":false'
    is_this = client.startswith(start) and client[len(start) : len(start) + 1] in (b"}", b",")
    need(is_this, "another text was signed, or at another origin")
    signed = said + sha256(client)
    if len(raw) == 64:
        check_es256(raw, signature, signed)
    else:
        check_signature(raw, signature, signed)


def check_es256(raw, signature, message):
    """r | s, with the lower s; the key is a point of P-256."""
    need(len(signature) == 64, "an ES256 signature has 64 bytes")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    need(0 < r < ORDER and 0 < s <= ORDER // 2, "r or s is out of range, or s not the lower one")
    x, y = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    try:
        public.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Refused("a signature does not hold") from None


def enrol(former, leaf, place, id_):
    """(key, recovery key or none): what this leaf enrols in the chart at `place`, after the `former` ones, if any."""
    key, recovery, is_passkey = leaf["key"], leaf.get("recovery"), leaf["format"].endswith("2")
    need(id_ == sha256(key).hex()[:32], "the key has another id")
    need(is_passkey == (len(key) != KEY_FILE), "a key of another form")
    need(
        {"credential", "proof"} & leaf.keys() == ({"credential", "proof"} if is_passkey else set()),
        "half a passkey",
    )
    if is_passkey:
        read_key(key)
        check_signed(key, leaf["proof"], H("cl1.enrolment", place + id_.encode()))
    else:
        need(recovery is None, "a key file names a recovery key")
    need(former or not leaf["continues"], "the first key continues none")
    if former:
        need(
            any(is_signed(one, leaf["continues"], id_.encode()) for one in former if one),
            "not signed by the one before",
        )
    return key, recovery


def is_signed(key, signature, message):
    """Whether `check_signed` returns."""
    try:
        check_signed(key, signature, message)
    except Refused:
        return False
    return True
