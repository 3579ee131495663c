"""What a network's validators signed: for verify.py, which loads this file if the trusted one is a network's.

The engine is CometBFT v0.40: `types/block.go`, `types/canonical.go`, `types/validator.go`, `light/verifier.go`.
"""

from verify import (  # isort: skip
    CHAIN, DIGEST, LOG_PATH, MAP_PATH, NUMBER, SIGNED, TIME, H, check_signature, enc, log_root, map_root, need, parse,
    tree_root,
)  # fmt: skip

MS = 1_000_000  # nanoseconds
DAY = 86_400_000  # milliseconds
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
SIGNED = SIGNED | {
    "bridges?": [BRIDGE, 1, 64], "commit?": COMMIT, "header?": ENGINE_HEADER, "validators?": VALIDATORS,
    "past?": {"root": DIGEST, "state": MAP_PATH}, "time?": {"nanos": NANOS, "path": LOG_PATH},
}  # fmt: skip
NETWORK = {
    "chain": CHAIN, "format": "careledger/checkpoint/1", "hash": DIGEST, "header": ENGINE_HEADER, "level?": "final",
    "max_age?": NUMBER, "mode": "network", "validators": VALIDATORS,
}  # fmt: skip


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


def read_trust(data):
    """The trust file: a header that is believed, its hash, and its validators."""
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
