"""Four organisations change over to other code at a height that they voted for; the old chain is replayed by the new code.

    make campaign-upgrade, or: python tests/campaigns/upgrade.py [--ahead 40]

The other program is a copy of this one with one line more in a consensus room: other code by its hash, equal versions. Three
vote for it; before its height all stop, with nothing half done and a word about what to run (one may lack the last block, which
nobody offers any more: it gets it from those that go on). Three come back with the new code and go on; the fourth, with the
old, is refused and told, and catches up with the new. Then one organisation's index is
made again from its journal, the blocks of before the upgrade by the new code: every node must have one history and equal
app hashes, and everything that clients were told before, and since, must be there.

Takes some two minutes. Exits with 1 if anything did not hold.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.e2e.node import ROOT
from tests.network import local
from tests.network.clients import Book, Crowd
from tests.network.local import CATCH_UP_S, LocalNetwork, wait_until
from tests.network.perturbing import lose_derived

ROOM: Final = Path("contracts", "records.py")
LINE: Final = "\n# another program, which executes every block alike\n"
LEFT_OUT: Final = shutil.ignore_patterns("ui", "__pycache__")
WRITES_S: Final = 6.0
STAND_S: Final = 5.0
REACHED_S: Final = 90.0


def make_program(folder: Path) -> Path:
    """The folder that holds the new code, to be run from."""
    shutil.copytree(ROOT / "careledger", folder / "careledger", ignore=LEFT_OUT)
    with (folder / "careledger" / ROOM).open("a") as file:
        file.write(LINE)
    return folder


def describe_program(folder: Path) -> str:
    """What the code in this folder says that it is."""
    told = folder / "program.json"
    words = [sys.executable, "-m", "careledger", "governance", "program", "-o", str(told)]
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=60)
    return told.read_text()


def serve_from(folder: Path) -> None:
    """Whoever is started from now on runs the code of this folder."""
    local.ROOT = folder


def decide(network: LocalNetwork, program: str, ahead: int) -> int:
    """Proposed by one, voted for by two more: passed. The height from which the new program executes."""
    at_height = network.top() + ahead
    proposer, *voters = network
    made = proposer.command("governance.propose", what="upgrade", file=program, days=1, at_height=at_height)
    for place in voters[:2]:
        wait_until(lambda: place.replica_height() >= made["block"], CATCH_UP_S, "no proposal")  # noqa: B023
        place.command("governance.vote", number=made["number"], is_for=True, hash=made["hash"])
    return at_height


def problems(network: LocalNetwork, name: str) -> str:
    """What a node says is wrong."""
    return " ".join(network[name].command("status")["problems"])


def is_told(network: LocalNetwork, name: str, at_height: int) -> bool:
    """It stands before the height, and says which code it needs."""
    return network[name].replica_height() == at_height - 1 and "(code " in problems(network, name)


def write_for_a_while(network: LocalNetwork, book: Book, first: int) -> None:
    """Clients at all four."""
    with Crowd(list(network), book, first=first):
        time.sleep(WRITES_S)


def check(network: LocalNetwork, book: Book) -> int:
    """One history on all nodes, which explains what clients saw; the height up to which."""
    book.check()
    for place in network:
        assert book.check_kept(place) > 0, f"nothing was written at {place.name}"
    return network.check_one_history()


def run(folder: Path, ahead: int, say: Callable[[str], None]) -> None:
    """The whole of it. Raises AssertionError for what does not hold."""
    network, book = LocalNetwork(folder / "network"), Book()
    new = make_program(folder / "new")
    try:
        network.up()
        write_for_a_while(network, book, 0)
        program = describe_program(new)
        assert program != describe_program_of_this(folder), "it is the same code"
        height = decide(network, program, ahead)
        say(f"passed: from block {height} on")
        wait_until(
            lambda: sum(is_told(network, name, height) for name in "ABCD") > 2, REACHED_S, "they go on"
        )
        time.sleep(STAND_S)
        stand = sorted(place.replica_height() for place in network)
        assert stand[0] >= height - 2 and stand[1] == stand[3] == height - 1, stand
        say(f"they stand at blocks {stand}, and say what to run")
        change_over(network, new, height, say)
        network.wait_grown(3, CATCH_UP_S)
        write_for_a_while(network, book, 100)
        say(f"one history up to block {check(network, book)}")
        lose_derived(network, "D", None)  # type: ignore[arg-type]
        took = network.wait_caught_up("D", REACHED_S)
        say(
            f"replayed by the new code, and caught up after {took:.1f} s; one history up to block {check(network, book)}"
        )
        network.stop_one("D")
        words = [
            "fsck",
            "--home",
            str(network["D"].home),
            "--passphrase-file",
            str(network["D"].passphrase_file),
        ]
        done = subprocess.run(
            [sys.executable, "-m", "careledger", *words], cwd=new, capture_output=True, text=True, check=False, timeout=120
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]
        say("fsck under the new code finds nothing")
    except AssertionError:
        print(
            {place.name: place.replica_height() for place in network}, network.last_words(), file=sys.stderr
        )
        raise
    finally:
        serve_from(ROOT)
        network.remove()


def change_over(network: LocalNetwork, new: Path, height: int, say: Callable[[str], None]) -> None:
    """All but one run the new code, and go on; the last one with the old code is told, and catches up with the new."""
    stand = {place.name: place.replica_height() for place in network}
    last = min(reversed("ABCD"), key=lambda name: stand[name])  # one block may have come to three alone
    for name in "ABCD":
        network.stop_one(name)
    first = "".join(name for name in "ABCD" if name != last)
    for name in first:
        start_from(new, network, name)
    for name in first:
        wait_until(lambda: network[name].replica_height() >= height + 2, CATCH_UP_S, f"{name} does not go on")  # noqa: B023
    say(f"{first} go on with the new code, at block {network[first[0]].replica_height()}")
    if stand[last] < height - 1:
        start_from(ROOT, network, last)
        wait_until(lambda: is_told(network, last, height), CATCH_UP_S, "the old code does not stop")
        network.stop_one(last)
    words = [
        "serve",
        "--home",
        str(network[last].home),
        "--passphrase-file",
        str(network[last].passphrase_file),
    ]
    refused = subprocess.run(
        [sys.executable, "-m", "careledger", *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )  # fmt: skip
    assert refused.returncode != 0 and "hint: install" in refused.stderr, refused.stderr[-500:]
    start_from(new, network, last)
    say(f"{last} is told what to install; with that it caught up after {network.wait_caught_up(last):.1f} s")
    serve_from(new)


def start_from(folder: Path, network: LocalNetwork, name: str) -> None:
    """Serve its home by the code of this folder; `network` knows it by its pid like any other."""
    place = network[name]
    words = ["serve", "--home", str(place.home), "--passphrase-file", str(place.passphrase_file)]
    with (network.folder / name / "serve.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "careledger", *words],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    began = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
    (network.folder / name / "pid").write_text(f"{process.pid} {began}\n")
    wait_until(lambda: place.replica_height() >= 0, CATCH_UP_S, f"{name} does not answer")


def describe_program_of_this(folder: Path) -> str:
    """The same of the code that runs now."""
    told = folder / "former.json"
    words = [sys.executable, "-m", "careledger", "governance", "program", "-o", str(told)]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True, timeout=60)
    return told.read_text()


def main() -> int:
    """Run it; 1 if anything did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ahead", type=int, default=40, help="blocks until the upgrade")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="careledger-upgrade-") as folder:
        try:
            run(
                Path(folder),
                options.ahead,
                lambda text: print(f"{time.monotonic() - started:6.1f} s  {text}", flush=True),
            )
        except AssertionError as failure:
            print(f"FAILED: {failure}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
