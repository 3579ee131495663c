"""The authorisation server of a real node under races, kills, suspensions and guessing (fault catalogue F2, F4, F6, E14).

    make campaign-auth, or: python tests/campaigns/auth.py [--seconds 600] [--seed 1]

A node of two workers, again and again: one code redeemed by many at once, one refresh token used by many at once, one
proof and one assertion shown by many at once, all with a kill -9 of every process in between at random; a practitioner
suspended under load. After each round: of what counts once, one at most counted; whatever was used twice has ended; nobody
suspended reads. At the end whether a stranger can tell known clients from unknown ones by time (Welch's t). Prints a
line, exits with 1 for any finding.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.e2e.node import Answer
from tests.e2e.smart import App, Clinic, assertion, browse, key_set, open_clinic, proof, service_form
from tests.smart.forging import ec_key

RIVALS = 24
T_MAX = 4.5
SAMPLES = 400


def failed(work: Callable[[], Answer]) -> int:
    """Its status; 0 if the process died under it."""
    try:
        return work().status
    except OSError:
        return 0
    except Exception as error:  # http.client says so in many ways
        return 0 if "Disconnected" in type(error).__name__ or "Incomplete" in type(error).__name__ else -1


class Campaign:
    """Rounds on one clinic; `findings` is what went wrong, `done` how often each round was run."""

    def __init__(self, clinic: Clinic, seed: int) -> None:
        self.clinic, self.random = clinic, random.Random(seed)
        self.findings: list[str] = []
        self.done: Counter[str] = Counter()
        self.app = App(clinic, clinic.client())
        self.service = clinic.client(jwks=key_set("ES256"), scope="system/*.rs")

    def rivals(self, work: Callable[[], Answer], *, kill: bool) -> list[int]:
        """Many at once, the node killed among them or not; then once more on the node that came back."""
        with ThreadPoolExecutor(RIVALS) as pool:
            asked = [pool.submit(failed, work) for _ in range(RIVALS)]
            if kill:
                time.sleep(self.random.random() * 0.05)
                self.clinic.kill()
            statuses = [one.result() for one in asked]
        if any(one >= 500 or one < 0 for one in statuses):
            self.findings.append(f"statuses {Counter(statuses)}")
        return [*statuses, failed(work)]

    def check(self, name: str, statuses: list[int]) -> None:
        """Of what counts once, one at most counted."""
        self.done[name] += 1
        if statuses.count(200) > 1:
            self.findings.append(f"{name}: counted {statuses.count(200)} times")

    def code(self, *, kill: bool) -> None:
        app = App(self.clinic, self.app.id)
        code = browse(self.clinic, "Pat").launch(app)["code"]
        self.check("code", self.rivals(lambda: app.redeem(code), kill=kill))

    def refresh(self, *, kill: bool) -> None:
        given = App(self.clinic, self.app.id).tokens(browse(self.clinic, "Pat"))
        held = given["refresh_token"]
        self.check("refresh", self.rivals(lambda: self.app.refresh(held), kill=kill))
        if self.clinic.on_all(given["access_token"], "Patient") == {200} and not kill:
            self.findings.append("refresh: used twice, and the grant lives")

    def assertion(self, *, kill: bool) -> None:
        form = service_form(assertion(self.clinic, self.service, "ES256"))
        url = self.clinic.discover()["token_endpoint"]
        self.check("assertion", self.rivals(lambda: self.clinic.send("POST", url, form), kill=kill))

    def proof(self, *, kill: bool) -> None:
        app = App(self.clinic, self.app.id, ec_key("campaign"))
        token = app.tokens(browse(self.clinic, "Pat"))["access_token"]
        url = f"{self.clinic.base}/Patient"
        headers = {"Authorization": f"DPoP {token}", "DPoP": proof(app.key, "GET", url, token)}
        self.check("proof", self.rivals(lambda: self.clinic.send("GET", url, **headers), kill=kill))

    def suspension(self, *, kill: bool) -> None:
        chosen = self.clinic.patients[1]
        token = App(self.clinic, self.app.id).tokens(browse(self.clinic, "Clin"), chosen)["access_token"]
        url, bearer = f"{self.clinic.base}/Patient/{chosen}", {"Authorization": f"Bearer {token}"}
        suspended, ended, late = threading.Event(), threading.Event(), Counter[int]()

        def read() -> None:
            while not ended.is_set():
                is_late = suspended.is_set()
                status = failed(lambda: self.clinic.send("GET", url, **bearer))
                if is_late:
                    late[status] += 1

        readers = [threading.Thread(target=read) for _ in range(4)]
        for reader in readers:
            reader.start()
        self.clinic.command("practitioner", "suspend", self.clinic.did)
        suspended.set()
        if kill:
            self.clinic.kill()
        time.sleep(0.5)
        ended.set()
        for reader in readers:
            reader.join()
        self.clinic.command("practitioner", "reinstate", self.clinic.did)
        self.done["suspension"] += 1
        if late[200] or not late[401]:
            self.findings.append(f"suspension: {dict(late)}")

    def times(self) -> float:
        """Welch's t of the time to refuse an unknown client and a known one under another's key."""
        from tests.e2e.test_smart_backend import header

        forge, url = header(ec_key("mallory"), lambda head: head), self.clinic.discover()["token_endpoint"]
        taken: dict[bool, list[float]] = {True: [], False: []}
        for number in range(2 * SAMPLES):
            is_known = bool(number % 2)
            form = forge(self.clinic, self.service if is_known else f"nobody-{number}")
            before = time.perf_counter()
            answer = self.clinic.send("POST", url, form)
            if answer.status != 429:
                taken[is_known].append(time.perf_counter() - before)
            time.sleep(0.06)  # slower than the limit of an address
        kept = [
            sorted(one)[: int(len(one) * 0.9)] for one in taken.values()
        ]  # without the machine's own pauses
        if min(map(len, kept)) < 20:
            return 0.0
        spread = sum(statistics.variance(one) / len(one) for one in kept)
        return float((statistics.mean(kept[0]) - statistics.mean(kept[1])) / spread**0.5)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-times", action="store_true", help="leave the measurement of time out")
    options = parser.parse_args(arguments)
    until = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory(prefix="careledger-auth-") as folder:
        clinic = open_clinic(Path(folder))
        try:
            campaign = Campaign(clinic, options.seed)
            rounds = (
                campaign.code,
                campaign.refresh,
                campaign.assertion,
                campaign.proof,
                campaign.suspension,
            )
            while time.monotonic() < until:
                for one in rounds:
                    one(kill=campaign.random.random() < 0.3)
            t = 0.0 if options.no_times else campaign.times()
        finally:
            clinic.node.stop()
    if abs(t) > T_MAX:
        campaign.findings.append(f"known and unknown clients differ in time: t = {t:.1f}")
    for finding in campaign.findings:
        print(f"FINDING {finding}", file=sys.stderr)
    rounds_done = ", ".join(f"{number} of {name}" for name, number in sorted(campaign.done.items()))
    print(
        f"{rounds_done}; {RIVALS} rivals each; t = {t:.1f}; {len(campaign.findings)} findings; seed {options.seed}"
    )
    return 1 if campaign.findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
