"""What an export shows of before: an earlier export of the chart, or the embedded ledger that it came from.

For exports.py, which loads this file when it is given one of them; docs/spec/export.md, step 12 and Former.
"""

from verify import H, enc, load, map_root, need, tree_root

exports = load("exports")


def follow(mandate, kept, names, before, state):
    """Former: what the embedded ledger said of a directive, until it was withdrawn on the network."""
    said, heights = kept.get("said"), []
    value = enc(exports.take_said(mandate, said, 0)) if said else None
    exports.check_place(("ledger", "followed", names[0]), value, kept, state)
    ends = [said["key"], said["revocation"]] if said and said["status"] == 1 else []
    need(len(ends) == len(kept["withdrawn"]), "whether a directive that followed was withdrawn is not shown")
    for end, part in zip(ends, kept["withdrawn"], strict=True):
        height = part.get("height")
        key = H("cl1.withdrawn", names[1] + end)
        exports.check_place(
            ("consent", "withdrawn", key), None if height is None else enc(height), part, state
        )
        heights += [] if height is None else [height]
    if heights and mandate["status"]:
        mandate["status"], mandate["height"] = 2, before + min(heights)


def check_former(r, leaves, access, state):
    """Former: the state holds which embedded ledger was adopted; the chart begins as it stood at that one's end."""
    former = r["former"]
    value = former["genesis"] + enc(former["size"]) + former["root"] + former["state"]
    value += enc(former["seq"], former["height"])
    key = H("cl1.key", enc("ledger", "adopted", r["org"]))
    adopted = map_root(key, value, former["path"]) == state
    need(adopted, "the state does not hold that this ledger was adopted")
    last = former["last"]
    is_last = last["block"]["height"] == former["size"] - 1 and last["records"]["size"]
    need(is_last, "the adopted ledger's last block is not the one that is shown")
    exports.check_begins(r, [last], leaves, access, former["size"], former["root"])


def check_earlier(r, chart, access, roots, earlier):
    """12. Every leaf of an earlier export of the chart stands where it stood, and what was decided is not undone."""
    leaves = chart["leaves"]
    old, old_chart, old_access, _ = exports.read_export(
        earlier, "network"
    )  # nothing rests on its signed part
    is_former = "former" in r and old["chain"] == "cl-" + r["former"]["genesis"].hex()[:32]
    same = all(old[name] == r[name] for name in ("chain", "org", "handle")[is_former:])
    need(same, "the earlier export is of another chart")
    need(access[: len(old_access)] == old_access, "an access entry has gone, or was changed since")
    begun = not leaves or leaves[: len(old_chart["leaves"])] == old_chart["leaves"]
    need(begun, "an entry has gone, or was changed since")
    if leaves and "head" in old:
        need(tree_root(leaves[: old["size"]]) == old["head"]["root"], "the record log is another one")
    need(r["size"] >= old["size"], "the record log is shorter than it was")
    size, root = list(exports.history_roots(old["history"]).items())[-1]
    need(is_former or roots.get(size, root) == root, "the earlier export is of another history")
    if not leaves or not old_chart["leaves"]:
        return
    for number, (was, now) in enumerate(zip(old_chart["types"], chart["types"], strict=False)):
        gone = not now and was in (*exports.TYPES.values(), "EmergencyAccess")
        need(not gone, f"entry {number} was withheld since: a {was} cannot be erased")
    height = old["block"]["height"]
    for number, part in enumerate(r["directives"]):
        was = old["directives"][number].get("said") if number < len(old["directives"]) else None
        now = part.get("kept", {}).get("said") if is_former else part.get("said")
        if number >= len(old["directives"]) and "note" not in r["signed"]:
            continue  # on a network a grant may be there before its leaf
        if was is None:  # not there yet, or not known to the ledger
            need(not now or now["height"] > height, f"directive {number} is dated back")
            continue
        ended = now and was["status"] < now["status"] and height < now["height"]
        kept = now == was or (ended and now | {"status": 1, "height": was["height"]} == was)
        need(kept, f"directive {number} was changed since, or revived after its revocation")
