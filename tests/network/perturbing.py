"""What can happen to one organisation's machine, one function each: it does it and undoes it.

What a function gives back is worth a word in the campaign's line; after it the node has to catch up by itself.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Final

from careledger.primitives.errors import CareLedgerError
from tests.e2e.node import ROOT
from tests.network.clients import Http
from tests.network.double_signing import read_validators
from tests.network.local import CATCH_UP_S, LocalNetwork, careledger, wait_until

LASTS_S: Final = 5.0
"""A node is gone so long: three or four blocks of the others."""
ODD_NODE: Final = Path(__file__).with_name("odd_node.py")
FAIL_POINTS: Final = 10
SKEWS_S: Final = (-3600, 3600)

Perturb = Callable[[LocalNetwork, str, Random], str]


class Skipped(Exception):
    """This machine cannot do it."""


def kill(network: LocalNetwork, name: str, chance: Random) -> str:
    """SIGKILL; started again after a while."""
    network.do("kill", name)
    time.sleep(LASTS_S)
    network.up(len(network.places))
    return ""


def restart(network: LocalNetwork, name: str, chance: Random) -> str:
    """An orderly end, and a start."""
    network.do("restart", name)
    return ""


def pause(network: LocalNetwork, name: str, chance: Random) -> str:
    """Node and engine stand still, as in a machine that is suspended."""
    network.pause(name)
    time.sleep(LASTS_S)
    network.resume(name)
    return ""


def disconnect(network: LocalNetwork, name: str, chance: Random) -> str:
    """Nobody hears it, and it hears nobody."""
    others = ",".join(place.name for place in network.others(name))
    network.do("partition", f"{others}/{name}")
    time.sleep(LASTS_S)
    network.do("heal")
    return ""


def fail_point(network: LocalNetwork, name: str, chance: Random, index: int | None = None) -> str:
    """Its engine ends itself at one of its fail points, in the middle of a block; the node starts it again."""
    index = chance.randrange(FAIL_POINTS) if index is None else index
    start_odd(network, name, "--fail-index", str(index))
    wait_until(lambda: _restarts(network, name) > 0, CATCH_UP_S, f"fail point {index} was not reached")
    return f"fail point {index}"


def skew(network: LocalNetwork, name: str, chance: Random) -> str:
    """Its node's clock is an hour off."""
    seconds = chance.choice(SKEWS_S)
    start_odd(network, name, "--clock-s", str(seconds))
    network.wait_caught_up(name)
    network.wait_grown(2, CATCH_UP_S)
    network.do("restart", name)
    return f"{seconds} s"


def lose_derived(network: LocalNetwork, name: str, chance: Random) -> str:
    """The index and everything of the engine's are gone: the journal gives the one, the peers give the other."""
    network.stop_one(name)
    for folder in (network[name].home / "index", network[name].home / "engine" / "data"):
        shutil.rmtree(folder)
    network.up(len(network.places))
    return ""


def lose_journal(network: LocalNetwork, name: str, chance: Random) -> str:
    """Without the journal it does not start, says so, and what to do; nothing of it is made up from peers."""
    network.stop_one(name)
    journal = network[name].home / "journal"
    aside = journal.rename(journal.with_name("aside"))
    try:
        words = ["--home", str(network[name].home), "--passphrase-file", str(network[name].passphrase_file)]
        done = subprocess.run(
            [sys.executable, "-m", "careledger", "serve", *words],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode != 0 and "hint: " in done.stderr, done.stderr[-500:]
    finally:
        if journal.is_dir():
            shutil.rmtree(journal)
        journal.unlink(missing_ok=True)
        aside.rename(journal)
    network.up(len(network.places))
    return "refused: " + done.stderr.strip().splitlines()[0][:80]


def fill_disk(network: LocalNetwork, name: str, chance: Random) -> str:
    """Its home is on a disk with little room, which its clients fill; then there is room again."""
    place = network[name]
    height = place.replica_height()
    network.stop_one(name)
    real = place.home.rename(place.home.with_name("real"))
    place.home.mkdir()
    used = sum(path.stat().st_size for path in real.rglob("*") if path.is_file() and not path.is_symlink())
    mount = ["mount", "-t", "tmpfs", "-o", f"size={used + (6 << 20)}", "tmpfs", str(place.home)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        place.home.rmdir()
        real.rename(place.home)
        network.up(len(network.places))
        raise Skipped("no mount") from None
    try:
        _copy(real, place.home)
        _recover_guard(network, name)
        network.up(len(network.places))
        refused = _fill(network, name)
        subprocess.run(["mount", "-o", "remount,size=400m", str(place.home)], check=True)
        network.do("restart", name)
        network.wait_caught_up(name)
        network.stop_one(name)
        shutil.rmtree(real)
        _copy(place.home, real)
    finally:
        network.stop_one(name)
        subprocess.run(["umount", str(place.home)], check=True)
        place.home.rmdir()
        real.rename(place.home)
    _recover_guard(network, name)
    network.up(len(network.places))
    return f"{refused} at block {height}"


def _copy(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", f"{source}/.", str(target)], check=True)


def _recover_guard(network: LocalNetwork, name: str) -> None:
    """A guard that came from a copy signs nothing (tests/engine/test_signer.py) until somebody answers for it."""
    words = ["--home", str(network[name].home), "--passphrase-file", str(network[name].passphrase_file)]
    careledger("engine", "recover-guard", "--above", str(network.top()), *words)


def _fill(network: LocalNetwork, name: str) -> str:
    """Large records until one is refused, while the others go on."""
    before = max(place.replica_height() for place in network.others(name))
    http, said = Http(network[name]), ""
    text = "".join(Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=400_000))
    for number in range(200):
        body = {"resourceType": "Basic", "code": {"text": text[number:]}}
        try:
            told = http.call("POST", "Basic", body)
        except OSError:
            said = "it ended"
            break
        if told.status != 201:
            said = f"status {told.status}"
            break
    http.close()
    assert said, "the disk was never full"
    wait_until(
        lambda: max(place.replica_height() for place in network.others(name)) > before + 1,
        CATCH_UP_S,
        "the others do not go on",
    )
    return said


def clone(network: LocalNetwork, name: str, chance: Random) -> str:
    """A copy of its disk is served elsewhere while it runs: the copy signs nothing, and nobody is convicted."""
    place, folder = network[name], network.folder / "clone"
    shutil.copytree(place.home, folder, ignore=shutil.ignore_patterns("*.sock", "lock"))
    config = folder / "config.toml"
    text = config.read_text()
    own = [line for line in text.splitlines() if line.startswith(("listen", "p2p", "rpc"))]
    for number, line in enumerate(own):
        port = line.rsplit(":", 1)[1].rstrip('"')
        text = text.replace(line, line.replace(port, str(network.base_port + 30 + number)))
    config.write_text(text)
    log_path = network.folder / "clone.log"
    weights = read_validators(network.others(name)[0])
    try:
        with log_path.open("wb") as log:
            words = ["--home", str(folder), "--passphrase-file", str(place.passphrase_file)]
            thief = subprocess.Popen(
                [sys.executable, "-m", "careledger", "serve", *words],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        wait_until(
            lambda: "was put back or copied" in log_path.read_text(), 2 * CATCH_UP_S, "the copy says nothing"
        )
        network.wait_grown(3, CATCH_UP_S)
        assert read_validators(network.others(name)[0]) == weights, "somebody was convicted"
        network.relieved = time.monotonic()
    finally:
        thief.send_signal(signal.SIGTERM)
        try:
            thief.wait(30)
        except subprocess.TimeoutExpired:
            thief.kill()
        shutil.rmtree(folder, ignore_errors=True)
    return "the copy signs nothing"


def start_odd(network: LocalNetwork, name: str, *words: str) -> None:
    """Serve its home by the odd node instead; `network` knows it by its pid like any other."""
    place = network[name]
    network.stop_one(name)
    network.relieved = time.monotonic()
    with (network.folder / name / "serve.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, str(ODD_NODE), str(place.home), str(place.passphrase_file), *words],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={n: v for n, v in os.environ.items() if not n.startswith("CARELEDGER_LOG")},
        )  # fmt: skip
    began = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
    (network.folder / name / "pid").write_text(f"{process.pid} {began}\n")
    wait_until(lambda: place.replica_height() >= 0, CATCH_UP_S, f"the odd node {name} does not answer")


def _restarts(network: LocalNetwork, name: str) -> int:
    try:
        return int(network[name].command("network.status").get("engine_restarts", 0))
    except CareLedgerError:
        return 0


PERTURBATIONS: Mapping[str, Perturb] = MappingProxyType(
    {
        "kill": kill,
        "restart": restart,
        "pause": pause,
        "disconnect": disconnect,
        "fail-point": fail_point,
        "clock": skew,
        "wiped-disk": lose_derived,
        "lost-journal": lose_journal,
        "full-disk": fill_disk,
        "stolen-disk": clone,
    }
)
