"""Check a CareLedger receipt or export against a checkpoint, offline: python -I verify.py FILE --trust CHECKPOINT.

Shares no code with CareLedger: standard library and `cryptography` only. This file alone verifies the receipts of
embedded ledgers; exports.py and networks.py beside it are loaded for the files that need them. docs/spec/receipt.md
and export.md say what these files are, verifier/README.md what a pass means and what it does not. Exit codes: 0 all
holds, 6 something does not hold, 2 the arguments are wrong or a file cannot be read. Read it from top to bottom; every
refusal is a `Refused`.
"""

import binascii
import functools
import gc
import json
import os.path
import re
import sys
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa

INPUT_MAX = 1_000_000  # bytes of a file, unless it is an export
EXPORT_MAX = 512_000_000
P = 2**255 - 19  # the field of Ed25519
L = 2**252 + 27742317777372353535851937790883648493  # the order of its base point
Y8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022  # of a point of order 8
SMALL_ORDER_Y = {0, 1, P - 1, Y8, P - Y8}
KINDS = {"enrolment": 0, "version": 1, "deletion": 2, "guardian": 3, "directive": 4, "key": 5, "move": 6}
KINDS |= {"close": 7, "access": 32}  # number of a leaf's kind in its header
EMPTY = bytes(32)

# What each field of a file is; `check` reads this.
DIGEST = (32, 32)
LOG_PATH = (0, 53 * 32)
MAP_PATH = (1, 33 + 256 * 32)
NUMBER = range(2**53)  # what RFC 8785 writes exactly
TIME = range(253_402_300_800_000)  # milliseconds, to the end of the year 9999
CHAIN = "cl-[0-9a-f]{32}"
ANY = "(?s:.*)"  # text
RECEIPT = {
    "anchor": {"log": DIGEST, "seq": NUMBER, "size": NUMBER, "time": TIME},
    "batch?": {"newest": DIGEST, "path": LOG_PATH, "seq": NUMBER, "time": TIME},
    "block": {"height": NUMBER, "time": TIME}, "chain": CHAIN, "format": "careledger/receipt/1",
    "head": {"root": DIGEST, "size": NUMBER},
    "header": {
        "author": "[^\0-\x1f\x7f-\x9f]*", "body": DIGEST, "handle": DIGEST, "id": "[!-~]{0,64}",
        "kind": "|".join(KINDS), "org": DIGEST, "time": TIME, "type": "[!-~]{0,64}", "version": NUMBER,
    },
    "heads": MAP_PATH, "index": NUMBER, "path": LOG_PATH, "salt": DIGEST, "state": MAP_PATH,
    "signed": dict,  # `read_signed` has its form
}  # fmt: skip
SIGNED = {"note?": ANY, "path?": LOG_PATH}  # `signed`, of an embedded ledger; networks.py has the rest
KEY = {"alg": "ed25519|ml-dsa-44", "name": "[!-*,-~]{1,255}", "public": (32, 1312)}
CHECKPOINT = {
    "chain": CHAIN, "format": "careledger/checkpoint/1", "keys": [KEY, 1, 32], "mode": "embedded",
    "level?": "anchored|witnessed",  # the least level that is accepted
    "max_age?": NUMBER,  # seconds
    "note": ANY, "witnesses?": {"k": NUMBER, "keys": [KEY, 1, 32]},
}  # fmt: skip


class Refused(Exception):
    """The proof does not hold, or is not written as the specification says."""


def need(condition, why):
    """Not `assert`, which -O removes."""
    if not condition:
        raise Refused(why)


@functools.cache
def load(name):
    """exports.py, networks.py, past.py or passkeys.py, from this file's folder. No compiled copy of it is read or written."""
    from importlib import machinery, util

    class Source(machinery.SourceFileLoader):
        def path_stats(self, path):
            raise OSError  # of no known age: so importlib keeps to the source

    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.py")
    spec = util.spec_from_loader(name, Source(name, path))
    module = util.module_from_spec(spec)
    sys.modules["verify"] = sys.modules[__name__]  # as what it imports this file, however that was started
    spec.loader.exec_module(module)
    return module


# ---- Files: canonical JSON (RFC 8785) of a closed shape, so that each file has one spelling only ----


def parse(data, form, what, most=INPUT_MAX):
    """JSON of this form that re-encodes to exactly these bytes: no other spacing, order, escape, or repeated key."""
    need(len(data) <= most, f"{what}: over {most} bytes")
    try:
        value = json.loads(data.decode())
        again = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError):  # also: not UTF-8, a lone surrogate, a number of 5000 digits
        raise Refused(f"{what}: not JSON") from None
    need(again == data, f"{what}: not in canonical form")
    return check(value, form, what)


def check(value, form, where):
    """The value, if it has this form: a range of numbers, a pattern of text, (least, most) bytes in base64url, which
    are decoded, [form, least, most] for a list, or an object with exactly these fields, but for those with a "?"."""
    if type(form) is range:
        need(type(value) is int and value in form, f"{where}: not a number, or out of range")
    elif type(form) is str:
        need(type(value) is str and re.fullmatch(form, value), f"{where}: not a text, or of another form")
    elif type(form) is tuple:
        need(type(value) is str and re.fullmatch("[A-Za-z0-9_-]*", value), f"{where}: not base64url")
        value = unbase64(value.replace("-", "+").replace("_", "/") + "=" * (-len(value) % 4), where)
        need(form[0] <= len(value) <= form[1], f"{where}: bytes of the wrong length")
    elif type(form) is list:
        most = len(value) if form[2] is None else form[2]
        need(type(value) is list and form[1] <= len(value) <= most, f"{where}: not a list of its length")
        value = [check(item, form[0], where) for item in value]
    else:
        need(type(value) is dict, f"{where}: not an object")
        if form is dict:
            return value  # checked by whoever takes it
        fields = {name.rstrip("?"): inner for name, inner in form.items()}
        required = fields.keys() & form.keys()
        need(required <= value.keys() <= fields.keys(), f"{where}: a field is missing or unknown")
        value = {name: check(item, fields[name], f"{where}.{name}") for name, item in value.items()}
    return value


def unbase64(value, where):
    """Strict: `value` is exactly what base64 writes for these bytes."""
    try:
        raw = binascii.a2b_base64(value)
    except ValueError:
        raise Refused(f"{where}: not base64") from None
    need(binascii.b2a_base64(raw, newline=False).decode() == value, f"{where}: not in canonical base64")
    return raw


# ---- Encoding and trees (protocol: `enc`, `H`, Log, Map) ----


def sha256(data):
    digest = hashes.Hash(hashes.SHA256())
    digest.update(data)
    return digest.finalize()


def short(name):
    """u8 length | bytes."""
    return bytes([len(name)]) + name.encode()


def H(tag, data):  # noqa: N802 - the protocol's name
    return sha256(short(tag) + data)


def enc(*fields):
    """Numbers as u64, text and keys as u32 length | bytes. Digests of fixed place are joined as they are, elsewhere."""
    out = b""
    for field in fields:
        raw = field.encode() if type(field) is str else field
        out += raw.to_bytes(8, "big") if type(raw) is int else len(raw).to_bytes(4, "big") + raw
    return out


def split(joined, size=32):
    """Digests (or numbers) that are joined, one by one."""
    return [joined[i : i + size] for i in range(0, len(joined), size)]


def log_root(entry, index, size, path):
    """Root of the RFC 6962 log of `size` entries with `entry` at `index` (RFC 9162, 2.1.3.2)."""
    need(index < size, "an index lies outside its log")
    need(len(path) % 32 == 0, "a path is not made of digests")
    digest, place, last = sha256(b"\0" + entry), index, size - 1
    for sibling in split(path):
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


def map_root(key, value, path, other=b""):
    """Root of the map that holds `value` under the 256-bit `key`; if that is None, none, but perhaps an `other` leaf in
    its place. Path, root to leaf: u8 n | bitmap of n bytes | a digest for each set bit; 0 = empty sibling. The last set
    bit is the deepest sibling: an only leaf stands for its whole subtree, so that one is never empty."""
    bitmap, siblings = path[1 : 1 + path[0]], path[1 + path[0] :]
    need(len(bitmap) == path[0] <= 32 and bitmap[-1:] != b"\0", "a map path has no canonical bitmap")
    bits = "".join(f"{byte:08b}" for byte in bitmap).rstrip("0")
    need(len(siblings) == 32 * bits.count("1"), "a map path and its bitmap disagree")
    siblings = split(siblings)
    need(EMPTY not in siblings, "a map path writes an empty sibling out")
    turns = int.from_bytes(key, "big")
    if value is not None:
        digest = sha256(b"\2" + key + H("cl1.value", value))
    else:
        apart = (turns ^ int.from_bytes(other[:32], "big")).bit_length() if other else 256
        need(not other or 0 < apart <= 256 - len(bits), "the other leaf is not in the absent one's place")
        digest = sha256(b"\2" + other) if other else EMPTY
    for depth in reversed(range(len(bits))):
        sibling = siblings.pop() if bits[depth] == "1" else EMPTY
        digest = sha256(b"\3" + (sibling + digest if turns >> (255 - depth) & 1 else digest + sibling))
    return digest


def tree_root(leaves):
    """Root of the RFC 6962 log of these entries, of which there is one at least."""
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0])
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + tree_root(leaves[:left]) + tree_root(leaves[left:]))


# ---- Signatures (protocol: Transactions, Checkpoint; C2SP signed-note, tlog-checkpoint, tlog-cosignature) ----


SCHEMES = {32: (64, ed25519.Ed25519PublicKey), 1312: (2420, mldsa.MLDSA44PublicKey)}
SCHEMES[1952] = (3309, mldsa.MLDSA65PublicKey)


def is_sound(raw):
    """OpenSSL alone accepts the identity as a key, for any message: hence canonical and of large order only."""
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    return y < P and y not in SMALL_ORDER_Y


def check_signature(public, signature, message):
    """Ed25519, or ML-DSA-44 or -65 (FIPS 204, pure, empty context) if the key has that size."""
    size, key_type = SCHEMES[len(public)]
    need(len(signature) == size, "a signature has the wrong size")
    if size == 64:
        need(is_sound(public) and is_sound(signature[:32]), "a point is not canonical, or of small order")
        need(int.from_bytes(signature[32:], "little") < L, "S is not reduced")
    try:
        key_type.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise Refused("a signature does not hold") from None


def key_table(keys, witness=False):
    """(name, key id) -> (note type, public key). Types: 1 signs the text; 4 and 6 (ML-DSA) a time with it."""
    table = {}
    for key in keys:
        name, public = key["name"], key["public"]
        kind = 6 if key["alg"] == "ml-dsa-44" else 4 if witness else 1
        need(len(public) == (1312 if kind == 6 else 32), "a key has the wrong size")
        table[name, sha256(name.encode() + b"\n" + bytes([kind]) + public)[:4]] = (kind, public)
    return table


def check_note(note, chain, keys):
    """(size, root, the keys that signed) of a checkpoint of `chain`; every signature is known and holds."""
    need(len(note.encode()) <= 65_536, "the note is too long")
    parts = re.fullmatch("((.*)\n([1-9][0-9]{0,15})\n(.*)\n)\n((?:— [^ \n]+ [^ \n]+\n)+)", note)
    need(parts, "the note is no signed checkpoint")
    body, origin, size, root, lines = parts.groups()
    need(origin == f"careledger/{chain}", "the note is of another chain")
    size, root = int(size), unbase64(root, "the note's root")
    need(size in NUMBER and len(root) == 32, "the note's size or root is malformed")
    signers = set()
    for name, blob in re.findall("— (.+) (.+)\n", lines):
        raw, message = unbase64(blob, "a signature"), body.encode()
        signer, signature = (name, raw[:4]), raw[4:]
        need(signer in keys and signer not in signers, "a signature is by an unknown key, or repeated")
        signers.add(signer)
        kind, public = keys[signer]
        if kind != 1:
            stamp, signature = signature[:8], signature[8:]
            need(int.from_bytes(stamp, "big") < 2**63, "a signature's time is out of range")
            if kind == 4:
                message = f"cosignature/v1\ntime {int.from_bytes(stamp, 'big')}\n{body}".encode()
            else:
                message = b"subtree/v1\n\0" + short(name) + stamp + short(origin)
                message += bytes(8) + size.to_bytes(8, "big") + root
        check_signature(public, signature, message)
    return size, root, signers


# ---- Trust files, and what embedded ledgers sign ----


def read_trust(data):
    """The trust file: chain and keys, and a checkpoint that every one of its operator keys has signed; or a header."""
    if b'"mode":"network"' in data:
        return load("networks").read_trust(data)
    trust = parse(data, CHECKPOINT, "trust")
    witnesses = trust.get("witnesses", {"k": 0, "keys": []})
    keys, others = key_table(trust["keys"]), key_table(witnesses["keys"], witness=True)
    names = {name for name, _ in others}
    need("witnesses" not in trust or 1 <= witnesses["k"] <= len(names), "trust: k of n cannot be had")
    need(trust.get("level") != "witnessed" or names, "trust: no witnesses are named")
    trust["operators"], trust["signers"] = keys, keys | others
    publics = {public for _, public in trust["signers"].values()}
    need(len(publics) == len(trust["keys"] + witnesses["keys"]), "trust: a key is listed twice")
    trust["size"], trust["root"], signers = check_note(trust["note"], trust["chain"], trust["signers"])
    need(keys.keys() <= signers, "trust: a key has not signed the checkpoint")
    return trust


def read_signed(signed, mode, where):
    """The signed part in its form; `mode` says what may be in it."""
    is_plain = signed.keys() <= {"note", "path"}
    need(is_plain or mode == "network", "not signed as an embedded ledger's files are")
    return check(signed, SIGNED if is_plain else load("networks").SIGNED, where)


def check_signed(trust, signed, height, block):
    """Level of the signed part: `block` is in the signed history, which agrees with the trusted one."""
    need(signed.keys() == {"note", "path"}, "not signed as an embedded ledger's files are")
    size, root, signers = check_note(signed["note"], trust["chain"], trust["signers"])
    need(trust["operators"].keys() & signers, "the checkpoint is not signed by the operator")
    need(log_root(block, height, size, signed["path"]) == root, "the block is not in the history")
    need(size != trust["size"] or root == trust["root"], "equal heights, other roots: a fork")
    names = {name for name, _ in signers - trust["operators"].keys()}
    level = "witnessed" if "witnesses" in trust and len(names) >= trust["witnesses"]["k"] else "anchored"
    need(level == "witnessed" or trust.get("level") != "witnessed", "the proof is anchored, not witnessed")
    return level, size, root


# ---- Receipts ----


def state_root(r, org, newest):
    """Root of the ledger's state in which the batch `newest` is the organisation's anchor."""
    anchor = r["anchor"]
    need(anchor["time"] <= r["block"]["time"], "the anchor is later than its block")
    key = H("cl1.key", enc("records", "anchors", org))
    value = enc(anchor["seq"]) + newest + enc(anchor["time"], anchor["size"]) + anchor["log"]
    return map_root(key, value, r["state"])


def check_ledger(trust, r, org, newest, now):
    """(level, size and root of the signed history, state root): the batch `newest` is anchored in a signed block."""
    block, state = r["block"], state_root(r, org, newest)
    now = time.time() if now is None else now
    if trust["mode"] == "network":
        now_ns = round(now * 1000) * 1_000_000
        level, (size, root) = "final", load("networks").check_final(trust, r["signed"], block, state, now_ns)
    else:
        entry = enc(block["height"], block["time"]) + state
        level, size, root = check_signed(trust, r["signed"], block["height"], entry)
    age = now - block["time"] / 1000
    need(age <= trust.get("max_age", age), "the proof is older than the trust file allows")
    return level, size, root, state


def commitment(org, handle, salt, kind, header, body):
    """The leaf of an opened header: type, id, version, time, author."""
    opened = org + handle + bytes([KINDS[kind]]) + enc(*header)
    return H("cl1.commit", salt + opened + body)


def head_root(r, log, size, root, path):
    """Root of the map of heads that holds this head of the chart."""
    return map_root(H("cl1.head", bytes([log]) + r["handle"]), enc(size) + root, path)


def compare(other, trust):
    """Two checkpoints alone show a fork, or which is the older one; not that one continues the other. Always refuses."""
    need(other["chain"] == trust["chain"], "the checkpoint is of another ledger")
    size, trusted, name = other["size"], trust["size"], "root" if "root" in trust else "hash"
    need(size >= trusted, f"the checkpoint is an older one: size {size}, the trusted one's is {trusted}")
    need(size > trusted or other.get(name) == trust[name], "equal heights, other roots: a fork")
    why = "a checkpoint shows nothing beyond itself: verify an export or a receipt that was made after it"
    raise Refused(why)


def verify(receipt_data, trust_data, body=None, now=None):
    """(level, receipt) if every step from the opened header to the signed checkpoint holds; else `Refused`."""
    trust = read_trust(trust_data)
    if b'"format":"careledger/checkpoint/1"' in receipt_data:
        compare(read_trust(receipt_data), trust)
    r = parse(receipt_data, RECEIPT, "receipt")
    r["signed"] = read_signed(r["signed"], trust["mode"], "receipt.signed")
    header, head, anchor = r["header"], r["head"], r["anchor"]
    need(r["chain"] == trust["chain"], "the receipt is of another ledger")
    need(len(header["author"].encode()) <= 512, "the author is too long")
    # 1. The body is the one that the header names.
    if body is not None:
        need(H("cl1.body", r["salt"] + body) == header["body"], "the body is not the one that was recorded")
    # 2. The header, salted, is a leaf of the chart's log.
    named = [header[name] for name in ("type", "id", "version", "time", "author")]
    leaf = commitment(header["org"], header["handle"], r["salt"], header["kind"], named, header["body"])
    need(log_root(leaf, r["index"], head["size"], r["path"]) == head["root"], "the leaf is not in the chart")
    # 3. The chart's head is in the organisation's map of heads.
    heads = head_root(header, header["kind"] == "access", head["size"], head["root"], r["heads"])
    # 4. The organisation anchored that map: as its newest, or as an earlier one in its log of batches.
    newest = heads
    if "batch" in r:
        batch, newest = r["batch"], r["batch"]["newest"]
        entry = enc(batch["seq"]) + heads + enc(batch["time"])
        need(batch["seq"] <= anchor["seq"] and batch["time"] <= anchor["time"], "the batch is too late")
        log = log_root(entry, batch["seq"], anchor["size"], batch["path"])
        need(log == anchor["log"], "the batch is not in the log of batches")
    # 5 to 8. The anchor is in the ledger's state after the block; the block is in the history that the operator signed.
    return check_ledger(trust, r, header["org"], newest, now)[0], r


# ---- The command line ----

USAGE = """usage: python -I verify.py RECEIPT --trust CHECKPOINT [--body FILE]
       python -I verify.py EXPORT --trust CHECKPOINT [--earlier EXPORT] [--key ID]"""


def main(words):
    """Its words; no argparse, which takes longer to import than a receipt to verify."""
    paths, inputs = {}, {}
    while words:
        name = words.pop(0) if words[0].startswith("-") else "FILE"
        if name not in ("FILE", "--trust", "--body", "--earlier", "--key") or name in paths or not words:
            return complain(2, USAGE)
        paths[name] = words.pop(0)
    key = paths.pop("--key", None)
    try:
        for name, path in paths.items():
            with open(path, "rb") as file:
                inputs[name] = file.read(INPUT_MAX + 1 if name == "--trust" else EXPORT_MAX + 1)
    except (OSError, ValueError) as error:
        return complain(2, f"cannot read a file: {error}")
    is_export = bool(format_of(inputs.get("FILE", b"")))
    known = {"FILE", "--trust", "--earlier" if is_export else "--body"}
    is_wrong = key is not None and not (is_export and re.fullmatch("[0-9a-f]{32}", key))
    if is_wrong or not {"FILE", "--trust"} <= inputs.keys() <= known:
        return complain(2, USAGE)
    file, trust = inputs.pop("FILE"), inputs.pop("--trust")
    try:
        if is_export:
            lines = load("exports").report(file, trust, inputs.get("--earlier"), key)
        else:
            lines = report(*verify(file, trust, inputs.get("--body")))
    except Refused as refused:
        return complain(6, f"refused: {refused}")
    except OSError as error:  # from `load`: whatever else is read was read above
        return complain(2, f"cannot read a file: {error}; copy the whole folder of verify.py, not that alone")
    print(*lines, sep="\n")
    return 0


def complain(code, why):
    print(why, file=sys.stderr)
    return code


def format_of(data):
    """What an export says that it is; "" of any other file."""
    found = re.search(rb'"format":"(careledger/(?:chart|access-log)/1)","(?:handle":"|former":{)', data)
    return found[1].decode() if found else ""


def report(level, r):
    """What a receipt shows, in lines."""
    header = r["header"]
    yield f"holds: {header['kind']} {header['version']} of {header['type']}/{header['id']}"
    yield f"of: did:careledger:{header['org'].hex()}, leaf {r['index']} of {r['head']['size']}"
    yield from conclude(level, r)


def conclude(level, r):
    yield f"level: {level}"
    yield f"as of: {instant(r['block']['time'])} (height {r['block']['height']} of {r['chain']})"


def instant(ms):
    """A time as FHIR writes it."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(max(ms, 0) // 1000))}.{max(ms, 0) % 1000:03d}Z"


if __name__ == "__main__":
    # Nothing becomes garbage in so short a run: looking for it, at the end in every module, would take 6 ms.
    gc.disable()
    code = main(sys.argv[1:])
    gc.freeze()
    sys.exit(code)
