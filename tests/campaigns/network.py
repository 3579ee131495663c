"""A network of four organisations perturbed at random, after the method of the engine's own end-to-end tests.

    make campaign-network, or: python tests/campaigns/network.py [--rounds 24] [--seed 1] [--only kill,pause,…]
        [--fail-points-at ABCD]

Clients write and read at all four nodes all the time; one directive a round is granted, used by another organisation
and revoked. A round does one thing to one organisation (tests/network/perturbing.py), then measures how long it takes,
from when the fault is over, until that node has every block of the others and one more: at most 20 s, its start
included. After it one history must explain all that clients were told, what was acknowledged must be there, and all
nodes must have equal blocks and app hashes. The campaign ends with a flood of one sender, and with a double sign, whose validator every node must jail.

Prints a line a round and a table; exits with 1 if anything did not hold. A seed repeats the same faults.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.network_bench import sign_transactions
from careledger.cli import calls
from careledger.cli.consent import revoke_by_key
from careledger.cli.options import NodeOptions
from careledger.primitives.errors import CareLedgerError
from tests.network.clients import Book, Crowd, Http
from tests.network.double_signing import hand_in, open_key, read_validators, sign_twice
from tests.network.histories import NEVER, Directive, Look, check_directive
from tests.network.local import CATCH_UP_S, LocalNetwork, Place, careledger, wait_until
from tests.network.perturbing import FAIL_POINTS, PERTURBATIONS, Skipped, fail_point

WORST_S, P99_S = 20.0, 10.0
LOOK_S = 0.1
FLOOD_S = 10.0
FLOOD_TRANSACTIONS = 20_000
QUIET_S = 3.0


class Watched(threading.Thread):
    """A directive of a patient of `place` for another organisation: looked at all the time, revoked in between."""

    def __init__(self, place: Place, grantee: str, folder: Path, number: int) -> None:
        super().__init__(daemon=True)
        self._place, self._patient = place, f"watched-{number}"
        key = folder / f"{self._patient}.key"
        self._key = key
        at = ("--home", str(place.home))
        own = Http(place)
        made = own.call("PUT", f"Patient/{self._patient}", {"resourceType": "Patient", "id": self._patient})
        assert made.status == 201, made
        own.close()
        careledger("patient", "enrol", self._patient, "--key-out", str(key), *at)
        asked = time.monotonic()
        terms = ("--to", grantee, "--purpose", "TREAT", "--until", "2999-12-31", "--key", str(key))
        self._id = str(careledger("consent", "grant", self._patient, *terms, *at)["id"])
        self._granted = (asked, time.monotonic())
        self._revoked = (NEVER, NEVER)
        self._token = place.token(grantee)
        self._looks: list[Look] = []
        self._ending = threading.Event()

    def run(self) -> None:
        http = Http(self._place, self._token)
        while not self._ending.wait(LOOK_S):
            asked = time.monotonic()
            try:
                status = http.call("GET", f"Patient/{self._patient}").status
            except OSError:
                continue
            if status in (200, 404):
                self._looks.append(Look(asked, time.monotonic(), status == 200))
        http.close()

    def revoke(self) -> None:
        """Until it is done, or the network makes no block for too long."""
        self._revoked = (time.monotonic(), NEVER)
        options = NodeOptions(home=self._place.home)
        try:
            revoke_by_key(calls.Calls(options), self._id, self._key)
        except CareLedgerError:
            return  # unknown: it may still come
        self._revoked = (self._revoked[0], time.monotonic())

    def check(self) -> int:
        """How many looks one history explains. A node that stands still refuses what it may not know: that may be."""
        self._ending.set()
        self.join(30)
        answered = [one for one in self._looks if one.permitted]
        refused = [one for one in self._looks if not one.permitted and one.asked > self._revoked[1]]
        check_directive(Directive(self._granted, self._revoked), [*answered, *refused])
        return len(self._looks)


class Campaign:
    """One network, and what its rounds came to."""

    def __init__(self, network: LocalNetwork, folder: Path, seed: int) -> None:
        self.network, self.folder, self.chance = network, folder, Random(seed)
        self.times: dict[str, list[float]] = {}
        self.failures: list[str] = []
        self.operations = self.looks = self.kept = 0
        self.dids = {place.name: place.did() for place in network}

    def round(self, number: int, what: str, name: str, perturb: Callable[[], str]) -> None:
        """One perturbation under load; prints its line."""
        start = time.monotonic()
        try:
            said, took = self._perturb(number, name, perturb)
        except Skipped as skipped:
            print(f"{number:4} {what:13} {name}  skipped: {skipped}", flush=True)
            return
        except Exception as error:
            self.failures.append(f"round {number}, {what} {name}: {error}")
            print(f"{number:4} {what:13} {name}  FAILED: {error}", flush=True)
            traceback.print_exc()
            print(self.network.last_words())
            self.network.settle()
            return
        self.times.setdefault(what, []).append(took)
        whole = time.monotonic() - start
        if took > WORST_S:
            self.failures.append(f"round {number}, {what} {name}: {took:.1f} s")
        print(
            f"{number:4} {what:13} {name}  all blocks again after {took:5.2f} s (round {whole:5.1f} s)  {said}",
            flush=True,
        )

    def _perturb(self, number: int, name: str, perturb: Callable[[], str]) -> tuple[str, float]:
        book, network = Book(), self.network
        at = self.chance.choice([place for place in network if place.name != name])
        grantee = self.dids[self.chance.choice([one for one in self.dids if one != at.name])]
        watched = Watched(at, grantee, self.folder, number)
        watched.start()
        top = network.top()
        with Crowd(list(network), book, first=2 * number):
            revoking = threading.Timer(self.chance.uniform(0.5, 5), watched.revoke)
            revoking.start()
            said = perturb()
            network.wait_caught_up(name, 3 * CATCH_UP_S)
            took = time.monotonic() - network.relieved
            revoking.join()
            time.sleep(QUIET_S)
        self.looks += watched.check()
        self.operations += book.check()
        self.kept += sum(book.check_kept(place) for place in network)
        network.check_one_history(first=max(1, top - 2))
        return said, took

    def flood(self) -> None:
        """One sender's transactions come to one engine as fast as it takes them; the others write and are anchored."""
        network, book = self.network, Book()
        quiet = self._latencies(list(network)[1:], book)
        sender = network["A"]
        given = {"home": str(sender.home), "passphrase_file": str(sender.passphrase_file)}
        transactions = iter(list(sign_transactions(given, FLOOD_TRANSACTIONS)))
        ending, sent = threading.Event(), [0]

        def send() -> None:
            for one in transactions:
                if ending.is_set():
                    return
                try:
                    sender.broadcast(one)
                    sent[0] += 1
                except OSError:
                    continue

        threads = [threading.Thread(target=send, daemon=True) for _ in range(1)]
        for thread in threads:
            thread.start()
        loud = self._latencies(list(network)[1:], book)
        ending.set()
        for thread in threads:
            thread.join()
        network.check_one_history(first=network.top() - 5)
        print(f"     flood: {sent[0]} transactions of A in {FLOOD_S:g} s; receipts of the others, p99: "
              f"{quiet:.2f} s before, {loud:.2f} s during", flush=True)  # fmt: skip
        if loud > max(WORST_S / 2, 4 * quiet):
            self.failures.append(f"the flood delays the others: {loud:.1f} s")

    def _latencies(self, places: list[Place], book: Book) -> float:
        """p99 of the time from a write to its receipt."""
        found: list[float] = []
        until = time.monotonic() + FLOOD_S

        def work(place: Place, number: int) -> None:
            http = Http(place)
            while time.monotonic() < until:
                start = time.monotonic()
                id = http.call("POST", "Patient", {"resourceType": "Patient"}).json["id"]
                place.command("receipt", reference=f"Patient/{id}")
                found.append(time.monotonic() - start)
            http.close()

        for place in places:
            place.token()
        threads = [threading.Thread(target=work, args=(p, n), daemon=True) for p in places for n in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return statistics.quantiles(found, n=100)[-1]

    def double_sign(self) -> None:
        """D's key signs twice past its guard: every node takes its weight, and the others go on."""
        network = self.network
        key = open_key(network["D"])
        address = key.address.hex().upper()
        start = time.monotonic()
        hand_in(network["A"], sign_twice(network["A"], key, network["A"].height() - 1))
        wait_until(
            lambda: all(address not in read_validators(place) for place in network),
            WORST_S,
            "who signed twice keeps its weight",
        )
        took = time.monotonic() - start
        weights = {place.name: place.command("network.status")["weight"] for place in network}
        assert weights["D"] == 0 and all(weights[name] for name in "ABC"), weights
        network.wait_grown(2, CATCH_UP_S)
        network.check_one_history(first=network.top() - 5)
        print(f"     double sign of D: jailed at every node after {took:.2f} s", flush=True)

    def print_table(self) -> None:
        """The figures."""
        everything = sorted(one for times in self.times.values() for one in times)
        print(
            f"\n{'fault':14}{'rounds':>7}{'median':>8}{'worst':>8}   seconds until the node has all blocks again"
        )
        for what, times in sorted(self.times.items()):
            print(f"{what:14}{len(times):7}{statistics.median(times):8.2f}{max(times):8.2f}")
        if everything:
            p99 = everything[min(len(everything) - 1, int(0.99 * len(everything)))]
            print(f"{'all':14}{len(everything):7}{statistics.median(everything):8.2f}{everything[-1]:8.2f}   "
                  f"p99 {p99:.2f} (at most {WORST_S:g}, aim p99 {P99_S:g})")  # fmt: skip
        print(
            f"{self.operations} operations on charts and {self.looks} looks at directives explained by one history; "
            f"{self.kept} acknowledged versions read back"
        )
        for failure in self.failures:
            print(f"FAILED {failure[:300]}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="faults, by name, with commas")
    parser.add_argument("--fail-points-at", default="", help="first each of the ten at each of these: ABCD")
    given = parser.parse_args()
    kinds = [kind for kind in PERTURBATIONS if kind in given.only.split(",") or not given.only]
    with tempfile.TemporaryDirectory(prefix="careledger-campaign-") as text:
        folder = Path(text)
        network = LocalNetwork(folder / "network")
        try:
            start = time.monotonic()
            network.up()
            print(f"up after {time.monotonic() - start:.1f} s; seed {given.seed}", flush=True)
            campaign = Campaign(network, folder, given.seed)
            plan = [
                (kind, campaign.chance.choice("ABCD"), None) for kind in choose(kinds, given.rounds, campaign)
            ]
            sweep = [("fail-point", name, at) for name in given.fail_points_at for at in range(FAIL_POINTS)]
            for number, (kind, name, at) in enumerate([*sweep, *plan]):
                campaign.round(number, kind, name, make(network, kind, name, campaign.chance, at))
            for last in (campaign.flood, campaign.double_sign):
                try:
                    last()
                except Exception as error:
                    campaign.failures.append(f"{last.__name__}: {error}")
                    traceback.print_exc()
            campaign.print_table()
        finally:
            network.remove()
    return 1 if campaign.failures else 0


def choose(kinds: list[str], rounds: int, campaign: Campaign) -> list[str]:
    """Each kind once in each pass over them, in any order."""
    found: list[str] = []
    while len(found) < rounds:
        found += campaign.chance.sample(kinds, len(kinds))
    return found[:rounds]


def make(network: LocalNetwork, kind: str, name: str, chance: Random, index: int | None) -> Callable[[], str]:
    """What a round does."""
    if index is None:
        return lambda: PERTURBATIONS[kind](network, name, chance)
    return lambda: fail_point(network, name, chance, index)


if __name__ == "__main__":
    sys.exit(main())
