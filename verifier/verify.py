"""Check a CareLedger receipt against a checkpoint, offline: python -I verify.py FILE --trust CHECKPOINT.

Shares no code with CareLedger: standard library and `cryptography` only. docs/spec/receipt.md says what a receipt
is, verifier/README.md what a pass means and what it does not. Exit codes: 0 all holds, 6 something does not hold,
2 the arguments are wrong or a file cannot be read. Read it from top to bottom; every refusal is a `Refused`.
"""

import base64
import hashlib
import json
import re
import sys
import time

INPUT_MAX = 1_000_000  # bytes of a file; also of --body
INTEGER_MAX = 2**53 - 1  # what RFC 8785 writes exactly
P = 2**255 - 19  # the field of Ed25519
L = 2**252 + 27742317777372353535851937790883648493  # the order of its base point
Y8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022  # of a point of order 8
SMALL_ORDER_Y = {0, 1, P - 1, Y8, P - Y8}
KINDS = {"enrolment": 0, "version": 1, "deletion": 2, "guardian": 3, "directive": 4, "key": 5, "move": 6}
KINDS |= {"close": 7, "access": 32}  # number of a leaf's kind in its header
EMPTY = bytes(32)


class Refused(Exception):
    """The proof does not hold, or is not written as the specification says."""


def need(condition, why):
    """Not `assert`, which -O removes."""
    if not condition:
        raise Refused(why)


# ---- Files: canonical JSON (RFC 8785) of a closed shape, so that each file has one spelling only ----


def canonical(value):
    """RFC 8785 for what we allow: objects with ASCII keys, lists, strings, integers up to 2^53 - 1."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def parse(data, what):
    """JSON that re-encodes to exactly these bytes: no other spacing, order, escape, duplicate key or number."""

    def refuse(_):
        raise Refused(f"{what}: not a whole number")

    def integer(digits):
        need(len(digits) <= 16, f"{what}: number too large")
        return int(digits)

    need(len(data) <= INPUT_MAX, f"{what}: over {INPUT_MAX} bytes")
    # So that json, which recurses, cannot go deep; brackets within strings do not nest.
    bare = re.sub(rb'"(?:[^"\\]|\\.)*"', b"", data)
    need(bare.count(b"{") + bare.count(b"[") <= 100, f"{what}: nested too deeply")
    try:
        value = json.loads(data.decode(), parse_float=refuse, parse_constant=refuse, parse_int=integer)
        again = canonical(value)
    except ValueError:  # includes UnicodeError: not UTF-8, or a lone surrogate
        raise Refused(f"{what}: not JSON") from None
    need(again == data, f"{what}: not in canonical form")
    return value


def number(value):
    need(type(value) is int and 0 <= value <= INTEGER_MAX, "a number is out of range")
    return value


def moment(value):
    need(number(value) < 253_402_300_800_000, "a time is after the year 9999")
    return value


def text(limit, form):
    """A string of at most `limit` bytes that has the form of this pattern."""

    def check(value):
        need(type(value) is str and len(value.encode()) <= limit, "a text is missing or too long")
        need(re.fullmatch(form, value), "a text has another form")
        return value

    return check


def unbase64(value, encode):
    """Strict: exactly what `encode` would write for these bytes."""
    try:
        raw = base64.b64decode(value.encode("ascii").translate(bytes.maketrans(b"-_", b"+/")) + b"==")
    except ValueError:
        raise Refused("not base64") from None
    need(encode(raw) == value.encode(), "not in canonical base64")
    return raw


def binary(smallest, largest):
    """base64url without padding, `smallest` to `largest` bytes."""

    def check(value):
        need(type(value) is str and len(value) <= 2 * largest + 4, "bytes are missing or too long")
        raw = unbase64(value, lambda b: base64.urlsafe_b64encode(b).rstrip(b"="))
        need(smallest <= len(raw) <= largest, "bytes of the wrong length")
        return raw

    return check


def digests(raw):
    return [raw[i : i + 32] for i in range(0, len(raw), 32)]


def log_path(value):
    """Path in a log, leaf to root: up to 53 digests, joined."""
    raw = binary(0, 53 * 32)(value)
    need(len(raw) % 32 == 0, "a path is not made of digests")
    return digests(raw)


def map_path(value):
    """Path in a map, root to leaf: u8 n | bitmap of n bytes | a digest for each set bit; 0 = empty sibling.
    The last set bit is the deepest sibling: an only leaf stands for its whole subtree, so that one is never empty."""
    raw = binary(1, 33 + 256 * 32)(value)
    bitmap, siblings = raw[1 : 1 + raw[0]], raw[1 + raw[0] :]
    need(len(bitmap) == raw[0] <= 32 and (not bitmap or bitmap[-1]), "a map path has no canonical bitmap")
    bits = "".join(f"{byte:08b}" for byte in bitmap).rstrip("0")
    need(len(siblings) == 32 * bits.count("1"), "a map path and its bitmap disagree")
    parts = iter(digests(siblings))
    path = [next(parts) if bit == "1" else EMPTY for bit in bits]
    need(path.count(EMPTY) == bits.count("0"), "a map path writes an empty sibling out")
    return path


def shape(value, where, fields, optional=()):
    """The object `value`, checked: exactly these fields, each by its own check (a dict is an inner object)."""
    need(type(value) is dict, f"{where}: not an object")
    required = fields.keys() - set(optional)
    need(required <= value.keys() <= fields.keys(), f"{where}: a field is missing or unknown")
    checked = {}
    for name, item in value.items():
        check = fields[name]
        try:
            checked[name] = shape(item, f"{where}.{name}", check) if type(check) is dict else check(item)
        except Refused as refused:
            raise Refused(str(refused) if where in str(refused) else f"{where}.{name}: {refused}") from None
    return checked


CHAIN = text(35, "cl-[0-9a-f]{32}")
DIGEST = binary(32, 32)
NOTE = text(65_536, "(?s:.)*")
RECEIPT = {
    "anchor": {"log": DIGEST, "seq": number, "size": number, "time": moment},
    "batch": {"newest": DIGEST, "path": log_path, "seq": number, "time": moment},  # optional
    "block": {"height": number, "time": moment},
    "chain": CHAIN,
    "format": text(32, "careledger/receipt/1"),
    "head": {"root": DIGEST, "size": number},
    "header": {
        "author": text(512, "[^\0-\x1f\x7f-\x9f]*"), "body": DIGEST, "handle": DIGEST, "id": text(64, "[!-~]*"),
        "kind": text(16, "|".join(KINDS)), "org": DIGEST, "time": moment, "type": text(64, "[!-~]*"), "version": number,
    },
    "heads": map_path,
    "index": number,
    "path": log_path,
    "salt": DIGEST,
    "signed": {"note": NOTE, "path": log_path},
    "state": map_path,
}  # fmt: skip
KEY = {"alg": text(16, "ed25519|ml-dsa-44"), "name": text(255, "[!-*,-~]+"), "public": binary(32, 1312)}
CHECKPOINT = {
    "chain": CHAIN,
    "format": text(32, "careledger/checkpoint/1"),
    "keys": lambda keys: key_list(keys, witness=False),
    "level": text(16, "anchored|witnessed"),  # optional: the least level that is accepted
    "max_age": number,  # optional: seconds
    "mode": text(16, "embedded"),
    "note": NOTE,
    "witnesses": {"k": number, "keys": lambda keys: key_list(keys, witness=True)},  # optional
}


# ---- Encoding and trees (protocol: `enc`, `H`, Log, Map) ----


def sha256(data):
    return hashlib.sha256(data).digest()


def H(tag, data):  # noqa: N802 - the protocol's name
    return sha256(bytes([len(tag)]) + tag + data)


def enc(*fields):
    """Numbers as u64, text and keys as u32 length | bytes. Digests of fixed place are joined as they are, elsewhere."""
    out = b""
    for field in fields:
        raw = field.encode() if type(field) is str else field
        out += raw.to_bytes(8, "big") if type(raw) is int else len(raw).to_bytes(4, "big") + raw
    return out


def short(text):
    """As C2SP writes names: u8 length | bytes."""
    return bytes([len(text)]) + text.encode()


def log_root(entry, index, size, path):
    """Root of the RFC 6962 log of `size` entries with `entry` at `index` (RFC 9162, 2.1.3.2)."""
    need(index < size, "an index lies outside its log")
    digest, place, last = sha256(b"\0" + entry), index, size - 1
    for sibling in path:
        need(last, "a path is too long")
        if place & 1 or place == last:
            digest = sha256(b"\1" + sibling + digest)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            digest = sha256(b"\1" + digest + sibling)
        place, last = place >> 1, last >> 1
    need(not last, "a path is too short")
    return digest


def map_root(key, value, path):
    """Root of the map that holds `value` under the 256-bit `key`, with these siblings from the root down."""
    digest, bits = sha256(b"\2" + key + H(b"cl1.value", value)), int.from_bytes(key, "big")
    for depth in range(len(path) - 1, -1, -1):
        pair = path[depth] + digest if bits >> (255 - depth) & 1 else digest + path[depth]
        digest = sha256(b"\3" + pair)
    return digest


# ---- Signatures (protocol: Transactions, Checkpoint; C2SP signed-note, tlog-checkpoint, tlog-cosignature) ----


def is_sound(raw):
    """OpenSSL alone accepts the identity as a key, for any message: hence canonical and of large order only."""
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    return y < P and y not in SMALL_ORDER_Y


def check_signature(public, signature, message):
    """Ed25519, or ML-DSA-44 (FIPS 204, pure, empty context) if the key has that size."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa

    post_quantum = len(public) == 1312
    need(len(signature) == (2420 if post_quantum else 64), "a signature has the wrong size")
    if not post_quantum:
        need(is_sound(public) and is_sound(signature[:32]), "a point is not canonical, or of small order")
        need(int.from_bytes(signature[32:], "little") < L, "S is not reduced")
    try:
        key_type = mldsa.MLDSA44PublicKey if post_quantum else ed25519.Ed25519PublicKey
        key_type.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise Refused("a signature does not hold") from None


def key_list(value, witness):
    """(name, key id) -> (note type, public key). Types: 1 signs the text; 4 and 6 (ML-DSA) a time with it."""
    need(type(value) is list and 1 <= len(value) <= 32, "a list of 1 to 32 keys is needed")
    need(len({canonical(key) for key in value}) == len(value), "a key is listed twice")
    keys = {}
    for key in (shape(item, "key", KEY) for item in value):
        name, public = key["name"], key["public"]
        kind = 6 if key["alg"] == "ml-dsa-44" else 4 if witness else 1
        need(len(public) == (1312 if kind == 6 else 32), "a key has the wrong size")
        keys[name, sha256(name.encode() + b"\n" + bytes([kind]) + public)[:4]] = (kind, public)
    return keys


def check_note(note, chain, keys):
    """(size, root, the keys that signed) of a checkpoint of `chain`; every signature is known and holds."""
    body, blank, tail = note.partition("\n\n")
    lines, body = body.split("\n"), body + "\n"
    need(blank and len(lines) == 3, "the note is no checkpoint")
    need(lines[0] == f"careledger/{chain}", "the note is of another chain")
    need(re.fullmatch("[1-9][0-9]{0,15}", lines[1]), "the note's size is not a number")
    size, root = number(int(lines[1])), unbase64(lines[2], base64.b64encode)
    need(len(root) == 32 and tail.endswith("\n"), "the note's root or its end is missing")
    signers = set()
    for line in tail[:-1].split("\n"):
        parts = line.split(" ")
        need(len(parts) == 3 and parts[0] == "—", "a signature line is malformed")
        raw = unbase64(parts[2], base64.b64encode)
        signer, signature, message = (parts[1], raw[:4]), raw[4:], body.encode()
        need(signer in keys and signer not in signers, "a signature is by an unknown key, or repeated")
        signers.add(signer)
        kind, public = keys[signer]
        stamp, signature = (b"", signature) if kind == 1 else (signature[:8], signature[8:])
        need(int.from_bytes(stamp, "big") < 2**63, "a signature's time is out of range")
        if kind == 4:
            message = f"cosignature/v1\ntime {int.from_bytes(stamp, 'big')}\n".encode() + body.encode()
        elif kind == 6:
            message = b"subtree/v1\n\0" + short(parts[1]) + stamp + short(lines[0])
            message += bytes(8) + size.to_bytes(8, "big") + root
        check_signature(public, signature, message)
    return size, root, signers


# ---- The two files ----


def read_trust(data):
    """The trust file: chain and keys, and a checkpoint that every one of its operator keys has signed."""
    trust = shape(parse(data, "trust"), "trust", CHECKPOINT, optional=("level", "max_age", "witnesses"))
    keys, witnesses = trust["keys"], trust.get("witnesses", {"k": 0, "keys": {}})
    trust["all"] = keys | witnesses["keys"]
    publics = {public for _, public in trust["all"].values()}
    need(len(publics) == len(keys) + len(witnesses["keys"]), "trust: a key is listed twice")
    names = {name for name, _ in witnesses["keys"]}
    need("witnesses" not in trust or 1 <= witnesses["k"] <= len(names), "trust: k of n cannot be had")
    need(trust.get("level") != "witnessed" or names, "trust: no witnesses are named")
    trust["size"], trust["root"], signers = check_note(trust["note"], trust["chain"], trust["all"])
    need(keys.keys() <= signers, "trust: a key has not signed the checkpoint")
    return trust


def check_signed(trust, signed, height, block):
    """Level of the signed part: `block` is in the signed history, which agrees with the trusted one."""
    size, root, signers = check_note(signed["note"], trust["chain"], trust["all"])
    need(trust["keys"].keys() & signers, "the checkpoint is not signed by the operator")
    need(log_root(block, height, size, signed["path"]) == root, "the block is not in the history")
    need(size != trust["size"] or root == trust["root"], "equal heights, other roots: a fork")
    names = {name for name, _ in signers - trust["keys"].keys()}
    return "witnessed" if "witnesses" in trust and len(names) >= trust["witnesses"]["k"] else "anchored"


def verify(receipt_data, trust_data, body=None, now=None):
    """(level, receipt) if every step from the opened header to the signed checkpoint holds; else `Refused`."""
    trust = read_trust(trust_data)
    r = shape(parse(receipt_data, "receipt"), "receipt", RECEIPT, optional=("batch",))
    header, head, anchor, block = r["header"], r["head"], r["anchor"], r["block"]
    need(r["chain"] == trust["chain"], "the receipt is of another ledger")
    # 1. The body is the one that the header names.
    if body is not None:
        need(H(b"cl1.body", r["salt"] + body) == header["body"], "the body is not the one that was recorded")
    # 2. The header, salted, is a leaf of the chart's log.
    opened = header["org"] + header["handle"] + bytes([KINDS[header["kind"]]])
    opened += enc(header["type"], header["id"], header["version"], header["time"], header["author"])
    leaf = H(b"cl1.commit", r["salt"] + opened + header["body"])
    need(log_root(leaf, r["index"], head["size"], r["path"]) == head["root"], "the leaf is not in the chart")
    # 3. The chart's head is in the organisation's map of heads.
    log = b"\1" if header["kind"] == "access" else b"\0"
    heads = map_root(H(b"cl1.head", log + header["handle"]), enc(head["size"]) + head["root"], r["heads"])
    # 4. The organisation anchored that map: as its newest, or as an earlier one in its log of batches.
    newest = heads
    if "batch" in r:
        batch, newest = r["batch"], r["batch"]["newest"]
        entry = enc(batch["seq"]) + heads + enc(batch["time"])
        need(batch["seq"] <= anchor["seq"] and batch["time"] <= anchor["time"], "the batch is too late")
        log = log_root(entry, batch["seq"], anchor["size"], batch["path"])
        need(log == anchor["log"], "the batch is not in the log of batches")
    # 5. The anchor is in the ledger's state after the block.
    need(anchor["time"] <= block["time"], "the anchor is later than its block")
    key = H(b"cl1.key", enc("records", "anchors", header["org"]))
    value = enc(anchor["seq"]) + newest + enc(anchor["time"], anchor["size"]) + anchor["log"]
    entry = enc(block["height"], block["time"]) + map_root(key, value, r["state"])
    # 6. The block is in the history that the operator signed.
    level = check_signed(trust, r["signed"], block["height"], entry)
    need(level == "witnessed" or trust.get("level") != "witnessed", "the proof is anchored, not witnessed")
    age = (time.time() if now is None else now) - block["time"] / 1000
    need(age <= trust.get("max_age", INTEGER_MAX), "the proof is older than the trust file allows")
    return level, r


def main(arguments):
    """The command line; no argparse, which takes longer to import than a receipt to verify."""
    words, options = list(arguments), {"--trust": None, "--body": None, "FILE": None}
    while words:
        word = words.pop(0)
        name = word if word.startswith("-") else "FILE"
        value = word if name == "FILE" else words.pop(0) if words else None
        if name not in options or options[name] is not None or value is None:
            options["FILE"] = None
            break
        options[name] = value
    if options["FILE"] is None or options["--trust"] is None:
        print("usage: python -I verify.py FILE --trust CHECKPOINT [--body FILE]", file=sys.stderr)
        return 2
    inputs = {}
    try:
        for name, path in options.items():
            if path is not None:
                with open(path, "rb") as file:
                    inputs[name] = file.read(64 * INPUT_MAX if name == "--body" else INPUT_MAX + 1)
    except (OSError, ValueError) as error:
        print(f"cannot read a file: {error}", file=sys.stderr)
        return 2
    try:
        level, r = verify(inputs["FILE"], inputs["--trust"], inputs.get("--body"))
    except Refused as refused:
        print(f"refused: {refused}", file=sys.stderr)
        return 6
    header, (seconds, ms) = r["header"], divmod(r["block"]["time"], 1000)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    print(f"holds: {header['kind']} {header['version']} of {header['type']}/{header['id']}")
    print(f"of: did:careledger:{header['org'].hex()}, leaf {r['index']} of {r['head']['size']}")
    print(f"level: {level}\nas of: {stamp}.{ms:03d}Z (height {r['block']['height']} of {r['chain']})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
