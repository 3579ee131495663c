"""Check a CareLedger receipt or export against a checkpoint, offline: python -I verify.py FILE --trust CHECKPOINT.

Shares no code with CareLedger: standard library and `cryptography` only. docs/spec/receipt.md and export.md say what
these files are, verifier/README.md what a pass means and what it does not. Exit codes: 0 all holds, 6 something does
not hold, 2 the arguments are wrong or a file cannot be read. Read it from top to bottom; every refusal is a `Refused`.
"""

import binascii
import bisect
import functools
import gc
import itertools
import json
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
MS = 1_000_000  # nanoseconds
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000  # milliseconds
CARE = ("TREAT", "HPAYMT", "HOPERAT")  # purposes for which a custodian acts without a directive
TYPES = {
    "guardian": "Controller",
    "directive": "Directive",
    "key": "KeyEvent",
}  # of leaves that are no resources

SUPPORTING = (
    "Organization", "Practitioner", "PractitionerRole", "Location", "HealthcareService", "Medication",
    "MedicationKnowledge", "Substance", "InsurancePlan", "Endpoint", "Questionnaire", "PlanDefinition",
    "ActivityDefinition",
)  # fmt: skip

# What each field of a file is; `check` reads this.
DIGEST = (32, 32)
LOG_PATH = (0, 53 * 32)
MAP_PATH = (1, 33 + 256 * 32)
NUMBER = range(2**53)  # what RFC 8785 writes exactly
TIME = range(253_402_300_800_000)  # milliseconds, to the end of the year 9999
CHAIN = "cl-[0-9a-f]{32}"
NANOS = range(1_000_000)  # beyond a time in milliseconds
VALIDATORS = [{"alg": "ed25519|ml-dsa-65", "power": range(1, 2**53), "public": (32, 1952)}, 1, 1000]
ENGINE_HEADER = {
    "app_hash": DIGEST, "consensus_hash": DIGEST, "data_hash": DIGEST, "evidence_hash": DIGEST, "height": NUMBER,
    "last?": {"hash": DIGEST, "parts": DIGEST, "total": range(2**32)}, "last_commit_hash": DIGEST,
    "last_results_hash": DIGEST, "nanos": NANOS, "next_validators_hash": DIGEST, "proposer": (20, 20), "time": TIME,
    "validators_hash": DIGEST, "version": {"app": NUMBER, "block": NUMBER},
}  # fmt: skip
VOTE = {"index": range(1000), "nanos": NANOS, "signature": (64, 3309), "time": TIME}
COMMIT = {"parts": DIGEST, "round": range(2**31), "signatures": [VOTE, 0, 1000], "total": range(2**32)}
BRIDGE = {"commit": COMMIT, "header": ENGINE_HEADER, "validators?": VALIDATORS}
SIGNED = {
    "note?": "(?s:.*)", "path?": LOG_PATH,  # embedded: both. A network: all others, and `path` for an older block
    "bridges?": [BRIDGE, 1, 64], "commit?": COMMIT, "header?": ENGINE_HEADER, "validators?": VALIDATORS,
    "past?": {"root": DIGEST, "state": MAP_PATH}, "time?": {"nanos": NANOS, "path": LOG_PATH},
}  # fmt: skip
RECEIPT = {
    "anchor": {"log": DIGEST, "seq": NUMBER, "size": NUMBER, "time": TIME},
    "batch?": {"newest": DIGEST, "path": LOG_PATH, "seq": NUMBER, "time": TIME},
    "block": {"height": NUMBER, "time": TIME},
    "chain": CHAIN,
    "format": "careledger/receipt/1",
    "head": {"root": DIGEST, "size": NUMBER},
    "header": {
        "author": "[^\0-\x1f\x7f-\x9f]*", "body": DIGEST, "handle": DIGEST, "id": "[!-~]{0,64}", "kind": "|".join(KINDS),
        "org": DIGEST, "time": TIME, "type": "[!-~]{0,64}", "version": NUMBER,
    },
    "heads": MAP_PATH,
    "index": NUMBER,
    "path": LOG_PATH,
    "salt": DIGEST,
    "signed": SIGNED,
    "state": MAP_PATH,
}  # fmt: skip
ENTRY = {
    "author": RECEIPT["header"]["author"], "body": "(?s:.*)", "id": "[!-~]{0,64}", "kind": "|".join(KINDS),
    "salt": DIGEST, "time": TIME, "type": "[!-~]{0,64}", "version": NUMBER,
}  # fmt: skip
SAID = {"height": NUMBER, "key": DIGEST, "revocation": DIGEST, "status": range(1, 3), "until": range(2**32)}
PINNED = {"heads": MAP_PATH, "other?": (64, 64), "root": DIGEST, "size": NUMBER}
PIN = {"access": PINNED, "records": PINNED, "state": MAP_PATH, "path": LOG_PATH}
PIN |= {"anchor": RECEIPT["anchor"], "block": RECEIPT["block"]}
ACCESS_LOG = {
    "access": [{"content": (0, 1 << 20), "salt": DIGEST}, 1, None],
    "anchor": RECEIPT["anchor"],
    "block": RECEIPT["block"],
    "chain": CHAIN,
    "format": "careledger/access-log/1",
    "handle": DIGEST,
    "head": {"root": DIGEST, "size": range(1, 2**53)},
    "heads": {"access": MAP_PATH, "record": MAP_PATH},
    "history": {"nodes": (32, 1100 * 2 * 53 * 32), "sizes": [range(1, 2**53), 1, 1100]},
    "org": DIGEST,
    "pins?": [PIN, 1, 1100],
    "signed": RECEIPT["signed"],
    "state": MAP_PATH,
}
CHART = {name: form for name, form in ACCESS_LOG.items() if name != "head"} | {
    "directives": [{"other?": (64, 64), "path": MAP_PATH, "said?": SAID}, 0, None],
    "entries": [dict, 1, None],  # each an ENTRY, or bare: its leaf alone
    "format": "careledger/chart/1",
}
CONTROLLER = {"continues": (0, 3309), "format": "careledger/controller/1", "key": (1952, 1952)}
DIRECTIVE = {
    "binding": (0, 3309), "consent": "(?s:.*)", "controller": "(?s:.*)", "key": (1952, 1952), "salt": (0, 64),
    "text": (1, 65_536),
}  # fmt: skip
CODINGS = [{"code": "(?s:.*)", "system": "(?s:.*)"}, 0, None]
WORDS = ["(?s:.*)", 0, None]
TEXT = {
    "actions": ["access|proof", 0, None], "categories": CODINGS, "effect": "deny|permit",
    "format": "careledger/directive/1", "from_day": range(2**32),
    "grantees": [{"kind": "organisation|practitioner|role", "value": "(?s:.*)"}, 0, None], "handle": DIGEST,
    "labels": CODINGS, "nonce": "(?s:.*)", "organisation": DIGEST, "purposes": WORDS, "supersedes": "(?s:.*)",
    "types": WORDS, "until_day": range(2**32),
}  # fmt: skip
EMERGENCY = {
    "client": "(?s:.*)", "format": "careledger/emergency/1", "from_ms": TIME, "practitioner": "(?s:.*)",
    "task": "(?s:.*)", "until_ms": TIME,
}  # fmt: skip
KEY_EVENT = {
    "epoch": range(1, 2**53), "event": "erase", "format": "careledger/key-event/1", "leaves": [NUMBER, 0, None],
    "reason": "(?s:.*)",
}  # fmt: skip
KEY = {"alg": "ed25519|ml-dsa-44", "name": "[!-*,-~]{1,255}", "public": (32, 1312)}
CHECKPOINT = {
    "chain": CHAIN,
    "format": "careledger/checkpoint/1",
    "keys": [KEY, 1, 32],
    "level?": "anchored|witnessed",  # the least level that is accepted
    "max_age?": NUMBER,  # seconds
    "mode": "embedded",
    "note": "(?s:.*)",
    "witnesses?": {"k": NUMBER, "keys": [KEY, 1, 32]},
}
NETWORK = {
    "chain": CHAIN, "format": "careledger/checkpoint/1", "hash": DIGEST, "header": ENGINE_HEADER, "level?": "final",
    "max_age?": NUMBER, "mode": "network", "validators": VALIDATORS,
}  # fmt: skip


class Refused(Exception):
    """The proof does not hold, or is not written as the specification says."""


def need(condition, why):
    """Not `assert`, which -O removes."""
    if not condition:
        raise Refused(why)


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
        return read_network_trust(data)
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


# ---- Networks (CometBFT v0.40: types/block.go, types/canonical.go, types/validator.go, light/verifier.go) ----


def varint(value):
    """Seven bits a byte, lowest first."""
    out = []
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def message(number, value):
    """A field of Protocol Buffers that is written even if it is empty."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def proto(*values):
    """Fields 1, 2, …: numbers and bytes. Zeros are left out, as the canonical encoding wants."""
    out = b""
    for number, value in enumerate(values, 1):
        if value:
            out += varint(number << 3) + varint(value) if type(value) is int else message(number, value)
    return out


def instant_ns(part):
    return part["time"] * MS + part["nanos"]


def time_field(part):
    """A time as the engine writes it: seconds, nanoseconds."""
    return proto(*divmod(instant_ns(part), 1000 * MS))


def block_id(hash_, total, parts):
    return proto(hash_) + message(2, proto(total, parts))


def header_hash(h, chain):
    """Root over the 14 fields of a header of the engine."""
    last = h.get("last", {"hash": b"", "total": 0, "parts": b""})
    fields = [proto(h["version"]["block"], h["version"]["app"]), proto(chain.encode()), proto(h["height"])]
    fields += [time_field(h), block_id(last["hash"], last["total"], last["parts"])]
    for name in ("last_commit", "data", "validators", "next_validators"):
        fields.append(proto(h[f"{name}_hash"]))
    for name in ("consensus", "app", "last_results", "evidence"):
        fields.append(proto(h[f"{name}_hash"]))
    return tree_root([*fields, proto(h["proposer"])])


def check_set(validators, header):
    """The set is the header's; its keys differ and have their sizes."""
    for one in validators:
        need(len(one["public"]) == (32 if one["alg"] == "ed25519" else 1952), "a key has the wrong size")
    need(len({one["public"] for one in validators}) == len(validators), "a validator stands twice in its set")
    keys = [message(1, message(1 if one["alg"] == "ed25519" else 4, one["public"])) for one in validators]
    members = [key + proto(0, one["power"]) for key, one in zip(keys, validators, strict=True)]
    need(tree_root(members) == header["validators_hash"], "the validators are not those of the header")


def weight(validators, signers=None):
    """Of all, or of those that have signed, under whatever set."""
    return sum(one["power"] for one in validators if signers is None or one["public"] in signers)


def read_network_trust(data):
    """A header that is believed, its hash, and its validators."""
    trust = parse(data, NETWORK, "trust")
    header = trust["header"]
    check_set(trust["validators"], header)
    need(header_hash(header, trust["chain"]) == trust["hash"], "trust: the header has another hash")
    trust["size"] = header["height"]  # of the history that ends with the state in the header
    return trust


def check_commit(block, chain):
    """Over two thirds of the header's own set signed it, and every signature holds."""
    header, commit, validators = block["header"], block["commit"], block["validators"]
    check_set(validators, header)
    need(header["height"], "there is no block 0")
    block["hash"], block["signers"], before = header_hash(header, chain), set(), -1
    start = proto(2) + b"\x11" + header["height"].to_bytes(8, "little")
    start += b"\x19" + commit["round"].to_bytes(8, "little") if commit["round"] else b""
    start += message(4, block_id(block["hash"], commit["total"], commit["parts"]))
    for vote in commit["signatures"]:
        need(before < vote["index"] < len(validators), "the signatures are not in the validators' order")
        before, public = vote["index"], validators[vote["index"]]["public"]
        said = start + message(5, time_field(vote)) + message(6, chain.encode())
        check_signature(public, vote["signature"], varint(len(said)) + said)
        block["signers"].add(public)
    signed, total = weight(validators, block["signers"]), weight(validators)
    need(3 * signed > 2 * total, "two thirds did not sign the header")


def check_step(trusted, block, now):
    """From a trusted block to another: the same, the next, a later or an earlier one."""
    old, new = trusted["header"], block["header"]
    if old["height"] == new["height"]:
        need(trusted["hash"] == block["hash"], "equal heights, other headers: a fork")
        return
    later = new["height"] > old["height"]
    need((instant_ns(new) > instant_ns(old)) == later, "time does not run as the height does")
    need(now < instant_ns(old) + 14 * DAY * MS, "the trusted header is over 14 days old: get a newer one")
    need(instant_ns(new) < now + 10_000 * MS, "the header is from the future: set the clock")
    signed, total = weight(trusted["validators"], block["signers"]), weight(trusted["validators"])
    if new["height"] == old["height"] + 1:
        need(new["validators_hash"] == old["next_validators_hash"], "the next validators are others")
    elif later:
        need(3 * signed > total, "a third of the trusted validators did not sign the header")
    else:
        need(3 * signed > 2 * total, "an older header, and two thirds of the trusted did not sign it")


def check_final(trust, signed, block, state, now):
    """Size and root (if it is shown) of the history that the signed header's state holds; `block` is under it."""
    need("note" not in signed and signed.keys() >= {"commit", "header"}, "not signed as a network's files")
    known, at, before = {trust["header"]["validators_hash"]: trust["validators"]}, trust, -1
    for part in [*signed.get("bridges", []), signed]:
        header = part["header"]
        need(before < header["height"], "the headers are not in the order of their heights")
        before = header["height"]
        validators = part.get("validators", known.get(header["validators_hash"]))
        need(validators, "the validators have changed, and are not named: get the file anew")
        known[header["validators_hash"]] = validators
        new = {"header": header, "commit": part["commit"], "validators": validators}
        check_commit(new, trust["chain"])
        if part is signed or header["height"] >= trust["size"]:  # older bridges hold alone, and lead nowhere
            check_step(at, new, now)
            at = new
    size, past, root = header["height"] - 1, signed.get("past"), None
    if past:
        root = past["root"]
        under = map_root(H("cl1.key", enc("sys", "history", b"")), enc(size) + root, past["state"])
        need(under == header["app_hash"], "the history is not in the header's state")
    if block["height"] == size:
        need("time" in signed and "path" not in signed, "the newest block is shown by its time alone")
        need(state == header["app_hash"], "the state is not the header's")
        leaf = time_field({"time": block["time"], "nanos": signed["time"]["nanos"]})
        named = header["last"]["hash"] if "last" in header else b""
        need(log_root(leaf, 3, 14, signed["time"]["path"]) == named, "the block has another time")
    else:
        need("time" not in signed and "path" in signed and past, "an older block is shown by its place alone")
        entry = enc(block["height"], block["time"]) + state
        found = log_root(entry, block["height"], size, signed["path"])
        need(found == root, "the block is not in the history")
    same = block["height"] != trust["size"] - 1 or state == trust["header"]["app_hash"]
    need(same, "another state than under the trusted header: a fork")
    return size, root


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
        level, (size, root) = "final", check_final(trust, r["signed"], block, state, round(now * 1000) * MS)
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
    size, name = other["size"], "root" if "root" in trust else "hash"
    need(
        size >= trust["size"],
        f"the checkpoint is an older one: size {size}, the trusted one's is {trust['size']}",
    )
    need(size > trust["size"] or other.get(name) == trust[name], "equal heights, other roots: a fork")
    raise Refused(
        "a checkpoint shows nothing beyond itself: verify an export or a receipt that was made after it"
    )


def verify(receipt_data, trust_data, body=None, now=None):
    """(level, receipt) if every step from the opened header to the signed checkpoint holds; else `Refused`."""
    trust = read_trust(trust_data)
    if b'"format":"careledger/checkpoint/1"' in receipt_data:
        compare(read_trust(receipt_data), trust)
    r = parse(receipt_data, RECEIPT, "receipt")
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


# ---- Exports (docs/spec/export.md; the numbers are its steps) ----


def latest(r):
    """Until when an entry may be dated: a network's time is its validators', and clocks differ by ten seconds."""
    header = r["signed"].get("header")
    return header["time"] + 10_000 if header else r["block"]["time"]


def read_entries(r):
    """What the record log says, if its leaves obey the rules: leaves, types, and what bears on consent."""
    chart = {"leaves": [], "types": [], "keys": [], "mandates": {}, "emergencies": [], "moved_in": 0}
    chart["places"], chart["times"], newest, versions, bare, named, skipped = {}, [], 0, {}, [], [], 0
    for number, part in enumerate(r["entries"]):
        where = f"entry {number}"
        if "leaf" in part:  # 5. bare
            need(number, f"{where}: the enrolment is bare")
            chart["leaves"].append(check(part, {"leaf": DIGEST}, where)["leaf"])
            chart["types"].append("")
            chart["times"].append(0)
            bare.append(number)
            continue
        e = check(part, ENTRY, where)
        kind, type_, body, version = e["kind"], e["type"], e["body"].encode(), e["version"]
        need(len(e["author"].encode()) <= 512, f"{where}: the author is too long")
        # 1 and 2. Kinds and times.
        need((kind == "enrolment") == (number == 0) and kind != "access", f"{where}: of the wrong kind")
        need(number or (type_, e["id"], version, e["author"]) == ("", "", 0, ""), f"{where}: says too much")
        need(newest <= e["time"] <= latest(r), f"{where}: out of time order, or after the block")
        newest = e["time"]
        header = [type_, e["id"], version, e["time"], e["author"]]
        digest = H("cl1.body", e["salt"] + body)
        chart["leaves"].append(commitment(r["org"], r["handle"], e["salt"], kind, header, digest))
        chart["types"].append(type_)
        chart["times"].append(e["time"])
        if kind in ("enrolment", "close"):
            need(not body, f"{where}: a body where none can be")
            continue
        need(TYPES.get(kind, "") == (type_ if type_ in TYPES.values() else ""), f"{where}: of another type")
        need((kind in ("deletion", "move")) != bool(body), f"{where}: a body too many, or none")
        # 3. Versions: as many as are bare may be missing between two, and any number before the first that is here.
        before = versions.get((type_, e["id"]))
        step = version - abs(before or 0)
        skipped += step - 1 if before and before > 0 else 0
        need(step > 0 and skipped <= len(bare), f"{where}: a version is missing or repeated")
        chart["moved_in"] += before is None and step > 1
        versions[type_, e["id"]] = -version if kind == "move" else version
        chart["places"].setdefault((type_, e["id"]), []).append(number)
        # 4. A resource says what its header says; 9, 10 and `emergency`: what others say.
        if kind == "version" and type_ != "EmergencyAccess":
            start = f'{{"resourceType":"{type_}","id":"{e["id"]}","meta":{{"versionId":"{version}","lastUpdated":"'
            said = e["body"][len(start) : len(start) + 24]
            need(e["body"].startswith(start), f"{where}: the resource is not the one of its header")
            need(instant(e["time"] - HOUR) <= said <= instant(e["time"]), f"{where}: re-dated")
        elif kind == "key":
            named += parse(body, KEY_EVENT, where)["leaves"]
            need(max(named, default=0) < number, f"{where}: it names what came later")
        elif body:
            take_leaf(r, chart, e, kind, body, where)
    chart["bare"] = len(bare)
    need(set(named) == set(bare), "an entry is withheld, or a key event names one that is there")
    return chart


def take_leaf(r, chart, e, kind, body, where):
    """An enrolled key, a directive or an emergency access enters the chart."""
    keys = chart["keys"]
    if kind == "guardian":  # 9.
        leaf = parse(body, CONTROLLER, where)
        need(e["id"] == key_id(leaf["key"]), f"{where}: the key has another id")
        need(keys or not leaf["continues"], f"{where}: the first key continues none")
        if keys:
            check_signature(keys[-1], leaf["continues"], e["id"].encode())
        keys.append(leaf["key"])
    elif kind == "directive" and e["version"] == 1:
        need(re.fullmatch("[0-9a-f]{64}", e["id"]), f"{where}: a directive's id is no commitment")
        try:
            text, key = read_directive(r, e["id"], keys, body)
        except Refused as why:
            raise Refused(f"{where}: forged, the enrolled key did not sign this directive: {why}") from None
        mandate = {"text": text, "key": key, "time": e["time"], "status": 0, "height": 0}
        chart["mandates"][e["id"]] = mandate
    elif kind == "version":
        leaf = parse(body, EMERGENCY, where)
        leaf["from_ms"], leaf["until_ms"] = (
            max(leaf["from_ms"], e["time"]),
            min(leaf["until_ms"], e["time"] + DAY),
        )
        chart["emergencies"].append(leaf)


def key_id(public):
    return sha256(public).hex()[:32]


def read_directive(r, id_, keys, body):
    """10. (text, hash of its own key) of a directive that the enrolled key has bound to this chart."""
    leaf = parse(body, DIRECTIVE, "a directive")
    text = parse(leaf["text"], TEXT, "a directive's text")
    for name in ("actions", "categories", "grantees", "labels", "purposes", "types"):
        items = [tuple(one.values()) if type(one) is dict else one for one in text[name]]
        need(items == sorted(set(items)), "a list of a directive is not sorted")
    digest = H("cl1.consent", leaf["salt"] + leaf["text"])
    need(digest.hex() == id_ and keys and leaf["controller"] == key_id(keys[-1]), "another id or key")
    need((text["organisation"], text["handle"]) == (r["org"], r["handle"]), "a directive is another chart's")
    check_signature(keys[-1], leaf["binding"], digest)
    return text, H("cl1.key-id", b"\2" + enc(leaf["key"]))


def check_standing(r, chart, state):
    """10. What the ledger's state says of each directive."""
    need(len(r["directives"]) == len(chart["mandates"]), "a directive without its standing")
    for (id_, mandate), part in zip(chart["mandates"].items(), r["directives"], strict=True):
        said, value, other = part.get("said"), None, part.get("other", b"")
        if said:
            need(not other, "the standing of a directive is malformed")
            value = bytes([said["status"]]) + said["key"] + said["until"].to_bytes(4, "big")
            value += said["revocation"] + enc(said["height"])
            if (said["key"], said["until"]) == (mandate["key"], mandate["text"]["until_day"]):
                mandate["status"], mandate["height"] = said["status"], said["height"]
        key = H("cl1.key", enc("consent", "directive", bytes.fromhex(id_)))
        stands = map_root(key, value, part["path"], other) == state
        need(stands, "the standing of a directive is not in the state")


def read_accesses(r):
    """6. The access log's leaves, and what they say."""
    leaves, entries, newest = [], [], 0
    for number, part in enumerate(r["access"]):
        e = read_content(part["content"], f"access entry {number}")
        digest = H("cl1.body", part["salt"] + part["content"])
        header = ["", "", number, e["time"], ""]
        leaves.append(commitment(r["org"], r["handle"], part["salt"], "access", header, digest))
        need(newest <= e["time"] <= latest(r), f"access entry {number}: out of time order")
        need(e["height"] <= r["block"]["height"], f"access entry {number}: decided after the block")
        newest = e["time"]
        entries.append(e)
    return leaves, entries


def read_content(content, where):
    """An access entry's content (docs/spec/vault.md), in its one encoding."""
    at = 0

    def take(size):
        nonlocal at
        need(at + size <= len(content), f"{where}: too short")
        at += size
        return content[at - size : at]

    def number(size=4):
        return int.from_bytes(take(size), "big")

    def text():
        try:
            return take(number()).decode()
        except UnicodeDecodeError:
            raise Refused(f"{where}: not UTF-8") from None

    take(number())
    e = {"permitted": number(1), "height": number(8), "time": number(8)}
    for name in ("actor", "client", "organisation", "purpose", "rule", "kind", "what"):
        e[name] = text()
    e["directives"] = [text() for _ in range(number())]
    steps = split(take(4 * number()), 4)
    e["leaves"] = list(itertools.accumulate(int.from_bytes(step, "big") for step in steps))
    e["roles"], e["subject"] = [], ""
    if at < len(content):
        e["roles"], e["subject"] = [text() for _ in range(number())], text()
        need(any(e["roles"]) or e["subject"], f"{where}: not in canonical form")
    need(at == len(content), f"{where}: too long")
    need(e["permitted"] < 2 and bytes(4) not in steps[1:], f"{where}: not in canonical form")
    return e


def decide(r, chart, e):
    """11. Why an access was not allowed, as far as its entry and the chart tell; "" if it was."""
    types, rule, mandates, texts = chart["types"], e["rule"], chart["mandates"], []
    is_custodian = e["organisation"] == f"did:careledger:{r['org'].hex()}"
    if e["leaves"] and e["leaves"][-1] >= len(types):
        return "it names what is not in the record log"
    if not e["permitted"] or e["kind"] in ("denied", "empty", "count"):
        return "it was denied, and something left" if e["leaves"] else ""
    if rule in ("custodian-default", "operator", "own-chart"):
        purposes = (*CARE, "PATRQT") if rule == "own-chart" else CARE
        if (rule != "operator" and e["purpose"] not in purposes) or (rule == "own-chart" and e["roles"]):
            return "another purpose, or not herself"
        if not is_custodian or e["directives"]:
            return "not the custodian"
    elif rule == "emergency":
        boxes = [one for one in chart["emergencies"] if one["practitioner"] == e["actor"]]
        opened = any(one["from_ms"] - MINUTE <= e["time"] < one["until_ms"] + MINUTE for one in boxes)
        return "" if opened and e["purpose"] == "ETREAT" else "no emergency"
    elif rule == "directive-permit":
        for id_ in e["directives"] or [""]:
            m = mandates.get(id_)
            if m is None:
                return "its directive is not in the chart"
            text, began = m["text"], e["time"] + MINUTE >= m["time"]
            if m["status"] == 1:
                began = began and m["height"] <= e["height"]
            elif not m["status"] or e["height"] >= m["height"]:
                return "its directive was not in force"
            if not began or replaced(mandates, id_, e["height"], False):
                return "its directive was not in force"
            if text["effect"] != "permit" or not is_meant(text, e):
                return "its directive does not permit it"
            texts.append(text)
        # What no directive permits, a custodian has by default.
        by_default, left = is_custodian and e["purpose"] in CARE, e["leaves"]
        if not by_default and not all(any(covers(r, chart, i, e, text) for text in texts) for i in left):
            return "its directives permit no such type, category or label"
    else:
        lent = rule == "supporting" and all(types[i] in SUPPORTING for i in e["leaves"])
        return "" if lent else "no rule that permits"
    for id_, m in mandates.items() if rule in ("custodian-default", "directive-permit") else ():
        text = m["text"]
        if text["effect"] != "deny" or m["status"] != 1 or m["height"] > e["height"]:
            continue
        narrowed = text["categories"] or text["labels"]
        meant = not text["types"] or any(types[i] in text["types"] for i in e["leaves"])
        if meant and not narrowed and is_meant(text, e) and not replaced(mandates, id_, e["height"], True):
            return "a directive in force denied it"
    return ""


def covers(r, chart, i, e, text):
    """The directive names the type of what left, and its codes occur in some version by then, as far as one can tell."""
    if not chart["types"][i] or (text["types"] and chart["types"][i] not in text["types"]):
        return not chart["types"][i]
    parts = [r["entries"][n] for n in chart["places"].get((chart["types"][i], r["entries"][i].get("id")), [])]
    if chart["bare"] or not parts or any(part["kind"] == "move" for part in parts):
        return True  # what counted then may not be here any more
    bodies = [part["body"] for part in parts if part["time"] <= e["time"] + MINUTE]
    wanted = [text[name] for name in ("categories", "labels") if text[name]]
    wanted = [[json.dumps(one["code"], ensure_ascii=False) for one in codings] for codings in wanted]
    return any(all(any(code in body for code in codes) for codes in wanted) for body in bodies)


def is_meant(text, e):
    """The directive is about this caller, purpose and day, and about access."""
    names = {
        "organisation": [e["organisation"]],
        "role": e["roles"],
        "practitioner": [e["actor"], e["subject"]],
    }
    named = any(one["value"] and one["value"] in names[one["kind"]] for one in text["grantees"])
    purpose = not text["purposes"] or e["purpose"] in text["purposes"]
    day = text["from_day"] <= e["time"] // DAY <= text["until_day"]
    return named and purpose and day and "access" in text["actions"]


def replaced(mandates, id_, height, perhaps):
    """A directive with force superseded this one by then; one that was revoked since counts as `perhaps`."""
    others = [m for other, m in mandates.items() if other != id_ and m["text"]["supersedes"] == id_]
    return any(m["height"] <= height if m["status"] == 1 else m["status"] and perhaps for m in others)


def tree_root(leaves):
    """RFC 6962 root of all these entries."""
    peaks = []
    for leaf in leaves:
        push(peaks, 0, sha256(b"\0" + leaf))
    return fold(peaks)


def push(peaks, level, node):
    """One more complete subtree, to the right of all others."""
    while peaks and peaks[-1][0] == level:
        level, node = level + 1, sha256(b"\1" + peaks.pop()[1] + node)
    peaks.append((level, node))


def fold(peaks):
    """The root over these subtrees."""
    nodes = [node for _, node in reversed(peaks)]
    return functools.reduce(lambda right, left: sha256(b"\1" + left + right), nodes)


def history_roots(history):
    """8. The root at each size; `nodes` tile what lies between one size and the next with complete subtrees."""
    sizes, nodes = history["sizes"], history["nodes"]
    need(sizes == sorted(set(sizes)), "the sizes of the history do not ascend")
    roots, peaks, start, at = {}, [], 0, 0
    for size in sizes:
        while start < size:
            level = (size - start).bit_length() - 1
            level = min(level, (start & -start).bit_length() - 1) if start else level
            push(peaks, level, nodes[at : at + 32])
            start, at = start + (1 << level), at + 32
        roots[size] = fold(peaks)
    need(at == len(nodes), "the history has a node too many, or too few")
    return roots


def read_export(data):
    """An export, its record log's leaves (if they are there), its access log's, and what both say."""
    form = ACCESS_LOG if format_of(data) == ACCESS_LOG["format"] else CHART
    r = parse(data, form, "export", EXPORT_MAX)
    chart = read_entries(r) if form is CHART else {"leaves": [], "mandates": {}, "times": []}
    r["size"] = len(chart["leaves"]) if form is CHART else r["head"]["size"]
    return r, chart, *read_accesses(r)


def format_of(data):
    """What a proof file says that it is."""
    found = re.search(rb'"format":"(careledger/(?:chart|access-log)/1)","handle":"', data)
    return found[1].decode() if found else ""


def verify_export(data, trust_data, earlier=None, now=None, key=None):
    """(level, export, what its chart says) if every step holds; else `Refused`. `key` is the id of the patient's."""
    trust = read_trust(trust_data)
    r, chart, access, entries = read_export(data)
    need(r["chain"] == trust["chain"], "the export is of another ledger")
    # 7. The roots of both logs, from all leaves, stand in one map of heads, and that in a signed block.
    root = r["head"]["root"] if "head" in r else tree_root(chart["leaves"])
    heads = head_root(r, 0, r["size"], root, r["heads"]["record"])
    other = head_root(r, 1, len(access), tree_root(access), r["heads"]["access"])
    need(heads == other, "the heads are not in one map: an entry is missing, or was changed")
    level, size, root, state = check_ledger(trust, r, r["org"], heads, now)
    # 8. That history begins with the one of the trusted checkpoint.
    roots = history_roots(r["history"])
    need(max(roots) == size and roots[size] == root, "the parts of the history do not make the signed one")
    is_older = trust["size"] > r["block"]["height"] + 1
    hint = "export again: it is older" if is_older else "export again, with --since it"
    # On a network the light client has come from the trusted header to the one that holds this root.
    final = trust["mode"] == "network"
    answers = (final or trust["size"] in roots) and not is_older
    need(answers, f"the export does not answer for the trusted checkpoint; {hint}")
    same = final or roots[trust["size"]] == trust["root"]
    need(same, "the history was written anew after the trusted checkpoint")
    check_pins(r, chart["leaves"], access, trust, size, roots[size])
    if not final:
        check_dates(r, chart["times"], entries)
    if "head" not in r:
        check_standing(r, chart, state)
        for number, e in enumerate(entries):
            why = decide(r, chart, e)
            need(not why, f"access entry {number} was not allowed: {why}")
    if key is not None:
        need("head" not in r, "an access-log export does not show the enrolled key: use a chart export")
        enrolled = key_id(chart["keys"][-1]) if chart["keys"] else "none"
        need(key == enrolled, f"the enrolled key is not the patient's: {enrolled}")
    if earlier is not None:
        check_earlier(r, chart, access, roots, earlier)
    chart["rules"] = [re.sub("[^a-z-]", "?", e["rule"]) or "none" for e in entries]
    return level, r, chart


def check_pins(r, leaves, access, trust, size, root):
    """8a. Both logs begin as they stood at each pinned block; the last block of an older trusted checkpoint is one."""
    pins = r.get("pins", [])
    known = [prefix_roots(leaves, [p["records"] for p in pins])]
    known.append(prefix_roots(access, [p["access"] for p in pins]))
    if "head" in r:  # the record log's leaves are not there: its heads are compared among each other
        known[0].update({r["size"]: r["head"]["root"], 0: sha256(b"")})
    before = -1
    for pin in pins:
        height = pin["block"]["height"]
        need(before < height, "the pins are not in the order of their blocks")
        before = height
        for log, head in enumerate((pin["records"], pin["access"])):
            if "head" in r and not log and head["size"] < r["size"]:
                known[0].setdefault(head["size"], head["root"])
            begins = known[log].get(head["size"]) == head["root"]
            need(begins, f"a log does not begin as it stood at block {height}")
            need(not (head["size"] and "other" in head), "a proof of existence names no other leaf")
            key, value = H("cl1.head", bytes([log]) + r["handle"]), enc(head["size"]) + head["root"]
            heads = map_root(key, value if head["size"] else None, head["heads"], head.get("other", b""))
            state = state_root(pin, r["org"], heads)
            if trust["mode"] == "network" and height == trust["size"] - 1:
                need(state == trust["header"]["app_hash"], "a pinned state is not the trusted header's")
            entry = enc(height, pin["block"]["time"]) + state
            need(log_root(entry, height, size, pin["path"]) == root, "a pinned block is not in the history")
    pinned = trust["size"] > r["block"]["height"] or trust["size"] - 1 in [p["block"]["height"] for p in pins]
    need(pinned, "the export does not show how the chart stood at the trusted checkpoint")


def check_dates(r, times, entries):
    """8b. What entered a log after a pinned block is not dated, nor decided, more than an hour before that block. (On
    a network it may wait for its block, for as long as none is made.)"""
    logs = {"records": times, "access": [e["time"] for e in entries]}
    for log in logs.values():  # of a bare one: as of the next; after the last: as of the block
        log.append(r["block"]["time"])
        for number in range(len(log) - 2, -1, -1):
            log[number] = log[number] or log[number + 1]
    pins = [(pin["block"]["time"] - HOUR, pin["block"]["height"]) for pin in r.get("pins", [])]
    need(pins == sorted(pins), "the pinned blocks are not in the order of their times")
    for pin, (since, height) in zip(r.get("pins", []), pins, strict=True):
        late = all(len(log) == 1 or log[pin[name]["size"]] >= since for name, log in logs.items())
        need(late, f"an entry is dated back: it was not there yet at block {height}")
    for number, e in enumerate(entries):
        at = bisect.bisect_right(pins, (e["time"] - 2 * HOUR, 2**53))
        need(not at or e["height"] >= pins[at - 1][1], f"access entry {number}: decided by a state long past")


def prefix_roots(leaves, heads):
    """Root of the first n entries, for each size n of `heads` that there is."""
    roots, peaks, at = {0: sha256(b"")}, [], 0
    for size in sorted({head["size"] for head in heads if 0 < head["size"] <= len(leaves)}):
        for leaf in leaves[at:size]:
            push(peaks, 0, sha256(b"\0" + leaf))
        at, roots[size] = size, fold(peaks)
    return roots


def check_earlier(r, chart, access, roots, earlier):
    """12. Every leaf of an earlier export of the chart stands where it stood, and what was decided is not undone."""
    leaves = chart["leaves"]
    old, old_chart, old_access, _ = read_export(earlier)
    same = all(old[name] == r[name] for name in ("chain", "org", "handle"))
    need(same, "the earlier export is of another chart")
    need(access[: len(old_access)] == old_access, "an access entry has gone, or was changed since")
    if leaves:
        begun = leaves[: len(old_chart["leaves"])] == old_chart["leaves"]
        need(begun, "an entry has gone, or was changed since")
        if "head" in old:
            need(tree_root(leaves[: old["size"]]) == old["head"]["root"], "the record log is another one")
    need(r["size"] >= old["size"], "the record log is shorter than it was")
    size, root = list(history_roots(old["history"]).items())[-1]
    need(roots.get(size, root) == root, "the earlier export is of another history")
    if not leaves or not old_chart["leaves"]:
        return
    for number, (was, now) in enumerate(zip(old_chart["types"], chart["types"], strict=False)):
        gone = not now and was in (*TYPES.values(), "EmergencyAccess")
        need(not gone, f"entry {number} was withheld since: a {was} cannot be erased")
    height = old["block"]["height"]
    for number, part in enumerate(r["directives"]):
        was = old["directives"][number].get("said") if number < len(old["directives"]) else None
        now = part.get("said")
        if number >= len(old["directives"]) and "note" not in r["signed"]:
            continue  # on a network a grant may be there before its leaf
        if was is None:  # not there yet, or not known to the ledger
            need(not now or now["height"] > height, f"directive {number} is dated back")
            continue
        ended = now and was["status"] < now["status"] and height < now["height"]
        kept = now == was or (ended and now | {"status": 1, "height": was["height"]} == was)
        need(kept, f"directive {number} was changed since, or revived after its revocation")


@functools.lru_cache(4096)
def second(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def instant(ms):
    """A time as FHIR writes it."""
    return f"{second(max(ms, 0) // 1000)}.{max(ms, 0) % 1000:03d}Z"


def main(words):
    """The command line; no argparse, which takes longer to import than a receipt to verify."""
    paths = {}
    while words:
        name = words.pop(0) if words[0].startswith("-") else "FILE"
        if name not in ("FILE", "--trust", "--body", "--earlier", "--key") or name in paths or not words:
            paths.clear()
            break
        paths[name] = words.pop(0)
    inputs, key = {}, paths.pop("--key", None)
    try:
        for name, path in paths.items():
            with open(path, "rb") as file:
                inputs[name] = file.read(INPUT_MAX + 1 if name == "--trust" else EXPORT_MAX + 1)
    except (OSError, ValueError) as error:
        print(f"cannot read a file: {error}", file=sys.stderr)
        return 2
    is_export = bool(format_of(inputs.get("FILE", b"")))
    is_wrong = ("--body" if is_export else "--earlier") in paths or (key is not None and not is_export)
    if (
        not {"FILE", "--trust"} <= paths.keys()
        or is_wrong
        or not re.fullmatch("[0-9a-f]{32}", key or "0" * 32)
    ):
        print("usage: python -I verify.py RECEIPT --trust CHECKPOINT [--body FILE]", file=sys.stderr)
        print(
            "       python -I verify.py EXPORT --trust CHECKPOINT [--earlier EXPORT] [--key ID]",
            file=sys.stderr,
        )
        return 2
    try:
        if is_export:
            found = verify_export(inputs["FILE"], inputs["--trust"], inputs.get("--earlier"), key=key)
        else:
            found = verify(inputs["FILE"], inputs["--trust"], inputs.get("--body"))
    except Refused as refused:
        print(f"refused: {refused}", file=sys.stderr)
        return 6
    (describe_export if is_export else describe)(*found)
    level, r, *_ = found
    print(
        f"level: {level}\nas of: {instant(r['block']['time'])} (height {r['block']['height']} of {r['chain']})"
    )
    return 0


def describe(level, r):
    """What a receipt shows."""
    header = r["header"]
    print(f"holds: {header['kind']} {header['version']} of {header['type']}/{header['id']}")
    print(f"of: did:careledger:{header['org'].hex()}, leaf {r['index']} of {r['head']['size']}")


def describe_export(level, r, chart):
    """What an export shows."""
    print(f"holds: the whole {'access log' if 'head' in r else 'chart'} {r['handle'].hex()}")
    print(f"of: did:careledger:{r['org'].hex()}, {r['size']} entries, {len(r['access'])} access entries")
    rules = chart["rules"]
    print("decided by:", ", ".join(f"{rule} {rules.count(rule)}" for rule in sorted(set(rules))))
    if "head" in r:
        return
    print(f"bare: {chart['bare']} erased, each named by a key event")
    idle = sum(not m["status"] for m in chart["mandates"].values())
    print(f"enrolled key: {key_id(chart['keys'][-1]) if chart['keys'] else 'none'}")
    print(
        f"directives: {len(chart['mandates'])}, {idle} of them without force; moved in: {chart['moved_in']}"
    )


if __name__ == "__main__":
    # Nothing becomes garbage in so short a run: looking for it, at the end in every module, would take 6 ms.
    gc.disable()
    code = main(sys.argv[1:])
    gc.freeze()
    sys.exit(code)
