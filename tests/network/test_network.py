"""Four organisations on one ledger, as `careledger network` brings them up, through whatever happens to one machine.

One network serves all of these tests, in this order; each leaves it whole. `make campaign-network` is the long form.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from careledger.ledger.verification import verify_receipt
from tests.e2e.node import ROOT
from tests.network.clients import Book, Crowd, Http
from tests.network.local import CATCH_UP_S, LocalNetwork, Place, careledger, wait_until

READY_S = 60.0
IDLE_MS = 2_000
HEAL_S = 10.0
VERIFIER = ROOT / "verifier" / "verify.py"


def test_up_says_where_everybody_is(brought_up: tuple[LocalNetwork, float]) -> None:
    network, took = brought_up
    rows = network.shown["organisations"]
    assert list(network.shown) == ["organisations"] and [row["name"] for row in rows] == list("ABCD")
    assert {tuple(row) for row in rows} == {("name", "home", "fhir", "rpc", "passphrase_file")}
    for place in network:
        assert place.home == network.folder / place.name / "home" and place.passphrase_file.is_file()
        assert place.fhir.startswith("http://127.0.0.1:") and place.rpc.startswith("http://127.0.0.1:")
        assert Http(place).call("GET", "metadata").status == 200
        wait_until(partial(sees_three, place), CATCH_UP_S, f"{place.name} does not see everybody")
    assert took < READY_S


def test_an_idle_network_makes_a_block_every_two_seconds(network: LocalNetwork) -> None:
    """Three tries: another program may take this machine for a second, the network may not."""
    slowest = []
    for _ in range(3):
        time.sleep(5)
        metas = network["A"].ask("/blockchain")["block_metas"][:4]
        times = [to_ms(meta["header"]["time"]) for meta in metas]
        slowest.append(max(later - earlier for later, earlier in zip(times, times[1:], strict=False)))
        if slowest[-1] <= IDLE_MS:
            return
    raise AssertionError(f"blocks came up to {slowest} ms apart")


def test_a_write_at_any_node_is_anchored_and_final_for_everybody_else(
    network: LocalNetwork, tmp_path: Path
) -> None:
    before = check_point(network["B"], tmp_path / "before.json")

    def write(place: Place) -> bytes:
        anna = f"anna-{place.name}".lower()
        made = Http(place).call("PUT", f"Patient/{anna}", {"resourceType": "Patient", "id": anna})
        assert (made.status, made.version) == (201, 1)
        return read_receipt(place, f"Patient/{anna}")

    with ThreadPoolExecutor() as threads:
        receipts = dict(zip("ABCD", threads.map(write, network), strict=True))
    for number, place in enumerate(network):
        other = network["BCDA"[number]]
        after = check_point(other, tmp_path / f"{other.name}.json")
        for trust in (before, after):
            check_final(receipts[place.name], trust, tmp_path)
    network.check_one_history()


def test_a_directive_holds_for_the_other_organisation_until_its_revocations_height(
    network: LocalNetwork, tmp_path: Path
) -> None:
    here, there = network["A"], network["B"].did()
    at = ("--home", str(here.home))
    own = Http(here)
    assert own.call("PUT", "Patient/berta", {"resourceType": "Patient", "id": "berta"}).status == 201
    key = str(tmp_path / "berta.key")
    enrolled = careledger("patient", "enrol", "berta", "--key-out", key, *at)
    stranger = Http(here, here.token(there))
    assert stranger.call("GET", "Patient/berta").status == 404
    terms = ("--to", there, "--purpose", "TREAT", "--until", "2999-12-31", "--key", key)
    granted = careledger("consent", "grant", "berta", *terms, *at)
    assert stranger.call("GET", "Patient/berta").status == 200
    revoked = careledger("consent", "revoke", granted["id"], "--key", key, *at)
    assert stranger.call("GET", "Patient/berta").status == 404
    assert own.call("GET", "Patient/berta").status == 200
    assert enrolled["height"] < granted["height"] < revoked["height"] <= here.replica_height()
    network.check_one_history(first=enrolled["height"])


def test_a_killed_node_comes_back_and_nothing_that_was_acknowledged_is_lost(
    network: LocalNetwork, book: Book, tmp_path: Path
) -> None:
    with Crowd(list(network), book):
        network.wait_grown(1, CATCH_UP_S)
        network.do("kill", "D")
        assert not network.pids("D")
        network.wait_grown(3, CATCH_UP_S, "ABC")
        network.do("restart", "D")
        network.wait_caught_up("D")
        network.wait_grown(1, CATCH_UP_S)
    check_book(network, book, tmp_path)


def test_a_paused_node_goes_on_where_the_others_are(network: LocalNetwork, book: Book) -> None:
    with Crowd(network.others("C"), book, first=2):
        network.pause("C")
        network.wait_grown(2, CATCH_UP_S, "DAB")
        network.resume("C")
        network.wait_caught_up("C")
    network.check_one_history(first=network.top() - 10)


def test_halves_make_no_block_and_go_on_when_they_hear_each_other(network: LocalNetwork, book: Book) -> None:
    network.do("partition", "A,B/C,D")
    stuck_at = wait_stuck(network, "ABCD")
    network.do("restart", "D")  # a start heals no link
    with Crowd(list(network), book, first=4):
        time.sleep(3)
    assert [place.replica_height() for place in network] == stuck_at, "a half made a block"
    network.do("heal")
    assert network.wait_grown(1, CATCH_UP_S) < 2 * HEAL_S
    network.check_one_history(first=min(stuck_at) - 2)
    book.check()


def test_two_of_four_wait_for_a_third(network: LocalNetwork, book: Book) -> None:
    for name in "CD":
        network.do("kill", name)
    stuck_at = wait_stuck(network, "AB")
    own = Http(network["A"])
    assert own.call("GET", "Patient/anna-a").status == 200
    told = own.call("PUT", "Patient/carl", {"resourceType": "Patient", "id": "carl"})
    assert told.status == 201, "a write is durable at its own node"
    assert [network[name].replica_height() for name in "AB"] == stuck_at
    shutil.rmtree(network["D"].home / "index")
    network.up()
    network.wait_grown(1, CATCH_UP_S)
    network.check_one_history(first=min(stuck_at) - 2)
    assert own.call("GET", "Patient/carl").status == 200
    book.check_kept(network["D"])


def test_an_altered_record_is_found_before_it_is_served(network: LocalNetwork, book: Book) -> None:
    told = network.do("tamper", "B")
    assert told["detected"] is True, told
    network.wait_grown(2, CATCH_UP_S, "ACD")
    network.check_one_history("ACD", first=network.top() - 10)


# --- what is looked at ------------------------------------------------------------------------------------------


def sees_three(place: Place) -> bool:
    """All the others."""
    return int(place.ask("/net_info")["n_peers"]) == 3


def to_ms(time_text: str) -> int:
    """Of a header's time."""
    from careledger.engine.rpc import parse_time

    seconds, nanoseconds = parse_time(time_text)
    return seconds * 1000 + nanoseconds // 1_000_000


def check_point(place: Place, path: Path) -> Path:
    """What somebody who does not trust `place` keeps of it."""
    path.write_text(place.command("checkpoint")["file"])
    return path


def read_receipt(place: Place, reference: str) -> bytes:
    """Comes as soon as the next header is decided."""
    return str(place.command("receipt", reference=reference)["file"]).encode()


def check_final(receipt: bytes, trust: Path, folder: Path) -> None:
    """Both verifiers say that the validators signed it."""
    now_ms = time.time_ns() // 1_000_000
    assert verify_receipt(receipt, trust.read_bytes(), now_ms=now_ms).level == "final"
    path = folder / "one.receipt"
    path.write_bytes(receipt)
    command = [sys.executable, "-I", str(VERIFIER), str(path), "--trust", str(trust)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "level: final" in done.stdout.splitlines()


def check_book(network: LocalNetwork, book: Book, folder: Path) -> None:
    """One history explains what clients saw; what was acknowledged is there, on the ledger, and equal everywhere."""
    assert book.check() > 50
    trust = check_point(network["A"], folder / "trusted.json")
    for place in network:
        assert book.check_kept(place)

    def sample(place: Place) -> list[bytes]:
        return [read_receipt(place, reference) for reference in book.sample(place.name, 2)]

    with ThreadPoolExecutor() as threads:
        for receipts in threads.map(sample, network):
            for receipt in receipts:
                check_final(receipt, trust, folder)
    network.check_one_history()


def wait_stuck(network: LocalNetwork, names: str) -> list[int]:
    """Until nothing moves any more (a block that was decided before is still made); where each stands."""
    seen: list[list[int]] = []

    def is_stuck() -> bool:
        seen.append([network[name].replica_height() for name in names])
        time.sleep(1)
        return len(seen) > 2 and seen[-1] == seen[-2] == seen[-3]

    wait_until(is_stuck, CATCH_UP_S, "blocks are made without two thirds")
    return seen[-1]
