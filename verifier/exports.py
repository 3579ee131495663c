"""What a chart or access-log export shows: for verify.py, which loads this file when it is given one.

docs/spec/export.md says what an export is; the numbers are its steps.
"""

import bisect
import functools
import itertools
import json
import re

from verify import (  # isort: skip
    ANY, CHAIN, DIGEST, EXPORT_MAX, KINDS, LOG_PATH, MAP_PATH, NUMBER, RECEIPT, TIME, H, Refused, check, check_ledger,
    commitment, conclude, enc, format_of, head_root, instant, load, log_root, map_root, need, parse,
    read_signed, read_trust, sha256, split, state_root, tree_root,
)  # fmt: skip

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000  # milliseconds
CARE = ("TREAT", "HPAYMT", "HOPERAT")  # purposes for which a custodian acts without a directive
TYPES = {"guardian": "Controller", "directive": "Directive", "key": "KeyEvent"}  # of what is no resource
SUPPORTING = (
    "Organization", "Practitioner", "PractitionerRole", "Location", "HealthcareService", "Medication",
    "MedicationKnowledge", "Substance", "InsurancePlan", "Endpoint", "Questionnaire", "PlanDefinition",
    "ActivityDefinition",
)  # fmt: skip
ENTRY = {
    "author": RECEIPT["header"]["author"], "body": ANY, "id": "[!-~]{0,64}", "kind": "|".join(KINDS),
    "salt": DIGEST, "time": TIME, "type": "[!-~]{0,64}", "version": NUMBER,
}  # fmt: skip
SAID = {"height": NUMBER, "key": DIGEST, "revocation": DIGEST, "status": range(1, 3), "until": range(2**32)}
PINNED = {"heads": MAP_PATH, "other?": (64, 64), "root": DIGEST, "size": NUMBER}
PIN = {"access": PINNED, "records": PINNED, "state": MAP_PATH, "path": LOG_PATH}
PIN |= {"anchor": RECEIPT["anchor"], "block": RECEIPT["block"]}
ABSENT = {"other?": (64, 64), "path": MAP_PATH}
KEPT = ABSENT | {"said?": SAID, "withdrawn": [ABSENT | {"height?": NUMBER}, 0, 2]}
FORMER = {"genesis": DIGEST, "height": NUMBER, "last": PIN, "path": MAP_PATH, "root": DIGEST, "seq": NUMBER}
FORMER |= {"size": NUMBER, "state": DIGEST}
ACCESS_LOG = {
    "access": [{"content": (0, 1 << 20), "salt": DIGEST}, 1, None], "format": "careledger/access-log/1",
    "anchor": RECEIPT["anchor"], "block": RECEIPT["block"], "chain": CHAIN, "former?": FORMER, "handle": DIGEST,
    "head": {"root": DIGEST, "size": range(1, 2**53)}, "heads": {"access": MAP_PATH, "record": MAP_PATH},
    "history": {"nodes": (32, 1100 * 2 * 53 * 32), "sizes": [range(1, 2**53), 1, 1100]},
    "org": DIGEST, "pins?": [PIN, 1, 1100], "signed": dict, "state": MAP_PATH,
}  # fmt: skip
CHART = {name: form for name, form in ACCESS_LOG.items() if name != "head"} | {
    "directives": [ABSENT | {"kept?": KEPT, "said?": SAID}, 0, None],
    "entries": [dict, 1, None],  # each an ENTRY, or bare: its leaf alone
    "format": "careledger/chart/1",
}
SIGNED = (0, 4857)  # by an enrolled key: ML-DSA-65, or a passkey's assertion
CONTROLLER = {"continues": SIGNED, "credential?": (16, 1023), "format": "careledger/controller/[12]"}
CONTROLLER |= {"key": (1, 2259), "proof?": (1, 4857), "recovery?": (1952, 1952)}
DIRECTIVE = {
    "binding": SIGNED, "consent": ANY, "controller": ANY, "key": (1952, 1952), "salt": (0, 64), "text": (1, 65_536),
}  # fmt: skip
CODINGS, WORDS = [{"code": ANY, "system": ANY}, 0, None], [ANY, 0, None]
TEXT = {
    "actions": ["access|proof", 0, None], "categories": CODINGS, "effect": "deny|permit",
    "format": "careledger/directive/[12]", "from_day": range(2**32),
    "grantees": [{"kind": "client|organisation|practitioner|role", "value": ANY}, 0, None], "handle": DIGEST,
    "labels": CODINGS, "language?": "en|es", "nonce": ANY, "organisation": DIGEST, "purposes": WORDS,
    "shown?": "(?s:.+)", "supersedes": ANY, "types": WORDS, "until_day": range(2**32),
}  # fmt: skip
EMERGENCY = {
    "client": ANY, "format": "careledger/emergency/1", "from_ms": TIME, "practitioner": ANY, "task": ANY,
    "until_ms": TIME,
}  # fmt: skip
KEY_EVENT = {
    "epoch": range(1, 2**53), "event": "erase", "format": "careledger/key-event/1", "leaves": [NUMBER, 0, None],
    "reason": ANY,
}  # fmt: skip


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
        leaf, place = parse(body, CONTROLLER, where), r["org"] + r["handle"]
        keys.append(load("passkeys").enrol(keys[-1] if keys else None, leaf, place, e["id"]))
    elif kind == "directive" and e["version"] == 1:
        need(re.fullmatch("[0-9a-f]{64}", e["id"]), f"{where}: a directive's id is no commitment")
        try:
            text, key = read_directive(r, e["id"], keys, body)
        except Refused as why:
            raise Refused(f"{where}: forged, the enrolled key did not sign this directive: {why}") from None
        chart["mandates"][e["id"]] = {"text": text, "key": key, "time": e["time"], "status": 0, "height": 0}
    elif kind == "version":
        leaf = parse(body, EMERGENCY, where)
        leaf["from_ms"] = max(leaf["from_ms"], e["time"])
        leaf["until_ms"] = min(leaf["until_ms"], e["time"] + DAY)
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
    fields = {"language", "shown"} if text["format"].endswith("2") else set()
    need({"language", "shown"} & text.keys() == fields, "a directive has not the fields of its format")
    need(digest.hex() == id_ and keys and leaf["controller"] == key_id(keys[-1][0]), "another id or key")
    need((text["organisation"], text["handle"]) == (r["org"], r["handle"]), "a directive is another chart's")
    load("passkeys").check_signed(keys[-1][0], leaf["binding"], digest)
    return text, H("cl1.key-id", b"\2" + enc(leaf["key"]))


def check_standing(r, chart, state):
    """10. What the ledger's state says of each directive."""
    need(len(r["directives"]) == len(chart["mandates"]), "a directive without its standing")
    before = r["former"]["size"] if "former" in r else 0
    for (id_, mandate), part in zip(chart["mandates"].items(), r["directives"], strict=True):
        said, kept, digest = part.get("said"), part.get("kept"), bytes.fromhex(id_)
        value = take_said(mandate, said, before) if said else None
        key = check_place(("consent", "directive", digest), value, part, state)
        need((kept is not None) == ("former" in r and not said), "what followed of a directive is missing")
        if kept:
            load("past").follow(mandate, kept, (r["org"] + key, digest), before, state)


def take_said(mandate, said, before):
    """The bytes of what the ledger says, which counts if it is of the directive that was bound."""
    value = bytes([said["status"]]) + said["key"] + said["until"].to_bytes(4, "big")
    if (said["key"], said["until"]) == (mandate["key"], mandate["text"]["until_day"]):
        mandate["status"], mandate["height"] = said["status"], before + said["height"]
    return value + said["revocation"] + enc(said["height"])


def check_place(place, value, part, state):
    """The key of a place in the state, which holds this value there, or nothing."""
    key, other = H("cl1.key", enc(*place)), part.get("other", b"")
    stands = (value is None or not other) and map_root(key, value, part["path"], other) == state
    need(stands, "the standing of a directive is not in the state")
    return key


def read_accesses(r):
    """6. The access log's leaves, and what they say."""
    leaves, entries, newest = [], [], 0
    for number, part in enumerate(r["access"]):
        e = read_content(part["content"], f"access entry {number}")
        digest = H("cl1.body", part["salt"] + part["content"])
        header = ["", "", number, e["time"], ""]
        leaves.append(commitment(r["org"], r["handle"], part["salt"], "access", header, digest))
        need(newest <= e["time"] <= latest(r), f"access entry {number}: out of time order")
        former = r.get("former", {"size": 0, "last": {"access": {"size": 0}}})
        was_before = number < former["last"]["access"]["size"]
        block = former["size"] - 1 if was_before else r["block"]["height"]
        need(e["height"] <= block, f"access entry {number}: decided after the block")
        e["height"] += 0 if was_before else former["size"]
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
    names = {"organisation": [e["organisation"]], "role": e["roles"], "client": []}
    names["practitioner"] = [e["actor"], e["subject"]]
    named = any(one["value"] and one["value"] in names[one["kind"]] for one in text["grantees"])
    purpose = not text["purposes"] or e["purpose"] in text["purposes"]
    day = text["from_day"] <= e["time"] // DAY <= text["until_day"]
    return named and purpose and day and "access" in text["actions"]


def replaced(mandates, id_, height, perhaps):
    """A directive with force superseded this one by then; one that was revoked since counts as `perhaps`."""
    others = [m for other, m in mandates.items() if other != id_ and m["text"]["supersedes"] == id_]
    return any(m["height"] <= height if m["status"] == 1 else m["status"] and perhaps for m in others)


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


def read_export(data, mode):
    """An export, its record log's leaves (if they are there), its access log's, and what both say."""
    form = ACCESS_LOG if format_of(data) == ACCESS_LOG["format"] else CHART
    r = parse(data, form, "export", EXPORT_MAX)
    r["signed"] = read_signed(r["signed"], mode, "export.signed")
    chart = read_entries(r) if form is CHART else {"keys": [], "leaves": [], "times": []}
    r["size"] = len(chart["leaves"]) if form is CHART else r["head"]["size"]
    return r, chart, *read_accesses(r)


def verify_export(data, trust_data, earlier=None, now=None, key=None):
    """(level, export, what its chart says) if every step holds; else `Refused`. `key` is the id of the patient's."""
    trust = read_trust(trust_data)
    r, chart, access, entries = read_export(data, trust["mode"])
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
    need(final or "former" not in r, "an embedded ledger has no other before it")
    if "former" in r:
        load("past").check_former(r, chart["leaves"], access, state)
    if not final:
        check_dates(r, chart["times"], entries)
    if "head" not in r:
        check_standing(r, chart, state)
        for number, e in enumerate(entries):
            why = decide(r, chart, e)
            need(not why, f"access entry {number} was not allowed: {why}")
    enrolled = chart["enrolled"] = key_id(chart["keys"][-1][0]) if chart["keys"] else "none"
    is_shown = key is None or "head" not in r
    need(is_shown, "an access-log export does not show the enrolled key: use a chart export")
    need(key is None or key == enrolled, f"the enrolled key is not the patient's: {enrolled}")
    if earlier is not None:
        load("past").check_earlier(r, chart, access, roots, earlier)
    chart["rules"] = [re.sub("[^a-z-]", "?", e["rule"]) or "none" for e in entries]
    return level, r, chart


def check_pins(r, leaves, access, trust, size, root):
    """8a. Both logs begin as they stood at each pinned block; the last block of an older trusted checkpoint is one."""
    states = check_begins(r, r.get("pins", []), leaves, access, size, root)
    at = trust["size"] - 1
    if trust["mode"] == "network" and at in states:
        need(states[at] == trust["header"]["app_hash"], "a pinned state is not the trusted header's")
    pinned = trust["size"] > r["block"]["height"] or at in states
    need(pinned, "the export does not show how the chart stood at the trusted checkpoint")


def check_begins(r, pins, leaves, access, size, root):
    """States by height: both logs begin as each of these pins of the signed history says."""
    states = {}
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
            state = states[height] = state_root(pin, r["org"], heads)
            entry = enc(height, pin["block"]["time"]) + state
            need(log_root(entry, height, size, pin["path"]) == root, "a pinned block is not in the history")
    return states


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


def report(data, trust_data, earlier, key):
    """What an export shows, in lines; else `Refused`."""
    level, r, chart = verify_export(data, trust_data, earlier, key=key)
    of = f"of: did:careledger:{r['org'].hex()}, {r['size']} entries, {len(r['access'])} access entries"
    lines = [f"holds: the whole {'access log' if 'head' in r else 'chart'} {r['handle'].hex()}", of]
    counts = [f"{rule} {chart['rules'].count(rule)}" for rule in sorted(set(chart["rules"]))]
    lines.append(f"decided by: {', '.join(counts)}")
    if "head" not in r:
        given, idle = len(chart["mandates"]), sum(not m["status"] for m in chart["mandates"].values())
        lines.append(f"bare: {chart['bare']} erased, each named by a key event")
        lines.append(f"enrolled key: {chart['enrolled']}")
        lines.append(f"directives: {given}, {idle} of them without force; moved in: {chart['moved_in']}")
    return [*lines, *conclude(level, r)]
