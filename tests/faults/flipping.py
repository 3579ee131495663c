"""One bit of one file of a home flipped: nothing altered may be served, and fsck or the start must say so.

Each flip runs in a process of its own, because LMDB may well die of a damaged page: then nothing was served either.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from careledger.node.backup import restore
from careledger.node.layout import Layout, mark_running
from careledger.primitives.errors import CareLedgerError
from tests.faults.rig import (
    PASSPHRASE,
    Node,
    appointment,
    impatient,
    new_home,
    node_of,
    observation,
    patient,
    transaction,
)

PLACES: Final = (
    "journal",
    "journal, index lost",
    "index of a stopped home",
    "index of a killed home",
    "index sum",
    "keys",
    "home.json",
    "backup",
)
CHILD_SECONDS = 120
MUST_NOT_HIDE: Final = frozenset(PLACES) - {"index of a killed home"}
"""Where a flip may not even hide a resource; an index that rots while it is in use may, until fsck finds it."""


@dataclass(frozen=True, slots=True)
class Source:
    """A stopped home, its backup, and what every address answers."""

    home: Path
    backup: Path
    answers: dict[str, tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one flip: refused, detected, named by fsck, rebuilt, harmless, hidden, crashed, UNNOTICED."""

    place: str
    bit: int
    verdict: str
    detail: str = ""


def make_source(folder: Path) -> Source:
    """A home with every kind of record and several frames of each kind."""
    folder.mkdir(parents=True)
    told = in_child(lambda: _make(folder))
    assert isinstance(told, dict), told
    return Source(
        folder / "home", folder / "backup", {url: (at[0], at[1]) for url, at in told["answers"].items()}
    )


def _make(folder: Path) -> dict[str, Any]:
    path = new_home(folder / "home")
    urls = [f"Patient/p{at}" for at in range(3)]
    with node_of(path) as node, impatient():
        send = node.client.asend
        node.client.post("", transaction([patient(f"p{at}", f"Family{at}") for at in range(3)]))
        for at in range(6):
            node.client.put(f"Observation/o{at}", observation(f"o{at}", f"p{at % 3}", 60 + at))
            node.client.put(f"Observation/o{at}", observation(f"o{at}", f"p{(at + at % 2) % 3}", 80 + at))
            urls += [f"Observation/o{at}", f"Observation/o{at}/_history/1"]
        many = transaction([observation(f"t{at}", f"p{at % 3}", at) for at in range(40)])
        node.all([send("POST", "", many), *(send("GET", f"Patient/p{at}") for at in range(3))])
        urls += [f"Observation/t{at}" for at in range(40)]
        for at in range(3):
            node.client.put(f"Appointment/a{at}", appointment(f"a{at}", [f"p{at}", f"p{(at + 1) % 3}"]))
            urls.append(f"Appointment/a{at}")
        node.client.put("Organization/h", {"resourceType": "Organization", "id": "h", "name": "House"})
        node.client.send("DELETE", "Observation/o5")
        node.command("token.revoke", token="abc")
        node.settle(0.05)
        node.client.get("Patient/p0")
        node.command("backup", path=str(folder / "backup"))
    urls += ["Organization/h", *(f"Observation?subject=Patient/p{at}&_count=100" for at in range(3))]
    urls += [f"Patient/p{at}/$everything?_count=200" for at in range(3)]
    with node_of(path) as node:
        return {"answers": {url: _ask(node, url) for url in urls}}


def _ask(node: Node, url: str) -> tuple[int, str]:
    answer = node.client.get(url)
    if answer.status != 200:
        return answer.status, ""
    found = json.loads(answer.body)
    if found.get("resourceType") == "Bundle":
        entries = sorted(json.dumps(entry["resource"]) for entry in found.get("entry", ()))
        return answer.status, "\n".join(entries)
    return answer.status, answer.body.decode()


def flip_once(source: Source, folder: Path, number: int) -> Outcome:
    """Flip the bit that this number says, and see."""
    chance = random.Random(number)
    place = PLACES[number % len(PLACES)]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    home = folder / "home"
    shutil.copytree(source.home, home)
    target = {
        "journal": home / "journal" / "log",
        "journal, index lost": home / "journal" / "log",
        "index of a stopped home": home / "index" / "data.mdb",
        "index of a killed home": home / "index" / "data.mdb",
        "index sum": home / "index" / "sum",
        "keys": home / "keys" / "keystore",
        "home.json": home / "home.json",
        "backup": folder / "backup",
    }[place]
    if place == "backup":
        shutil.copy(source.backup, target)
    if place == "journal, index lost":
        shutil.rmtree(home / "index")
    if place == "index of a killed home":
        mark_running(Layout(home))
    bit = _flip(target, chance)
    work = _restore(folder) if place == "backup" else _read_all(source, home, place)
    found = in_child(work)
    if isinstance(found, int):
        hidden = place == "index of a killed home"
        return Outcome(place, bit, "crashed" if hidden else "UNNOTICED", f"signal {found}")
    return Outcome(place, bit, found["verdict"], found["detail"])


def _flip(path: Path, chance: random.Random) -> int:
    data = bytearray(path.read_bytes())
    used = [at for at, byte in enumerate(data) if byte] if path.name == "data.mdb" else range(len(data))
    at = chance.choice(used)
    bit = chance.randrange(8)
    data[at] ^= 1 << bit
    with path.open("r+b") as out:  # in place: the inode is part of the mark of a running home
        out.write(data)
    return 8 * at + bit


def _restore(folder: Path) -> Callable[[], dict[str, Any]]:
    def work() -> dict[str, Any]:
        before = sorted(folder.iterdir())
        try:
            restore(folder / "backup", folder / "restored", PASSPHRASE)
        except CareLedgerError as error:
            left = sorted(folder.iterdir()) != before
            return {"verdict": "UNNOTICED" if left or not error.hint else "refused", "detail": error.message}
        return {"verdict": "UNNOTICED", "detail": "restored"}

    return work


def _read_all(source: Source, home: Path, place: str) -> Callable[[], dict[str, Any]]:
    def work() -> dict[str, Any]:
        try:
            node = Node(home)
        except CareLedgerError as error:
            return {"verdict": "refused" if error.hint else "UNNOTICED", "detail": error.message}
        verdicts = {_judge(node, place, url, expected) for url, expected in source.answers.items()}
        if "UNNOTICED" in verdicts:
            return {"verdict": "UNNOTICED", "detail": "another answer than before"}
        try:
            problems = node.fsck()
        except CareLedgerError as error:
            problems = [error.message]
        if place.startswith("journal") and not problems:
            return {"verdict": "UNNOTICED", "detail": "fsck finds nothing"}
        detected = next((one for one in ("detected", "hidden") if one in verdicts), "")
        if detected == "hidden" and not problems:
            return {"verdict": "UNNOTICED", "detail": "hidden, and fsck finds nothing"}
        verdict = detected or ("named by fsck" if problems else "rebuilt or harmless")
        return {"verdict": verdict, "detail": "; ".join(problems)[:300]}

    return work


def _judge(node: Node, place: str, url: str, expected: tuple[int, str]) -> str:
    try:
        status, body = _ask(node, url)
    except Exception as error:  # as the HTTP shell: 500, without a byte of a body
        return (
            "detected" if type(error).__name__ in ("CorruptedError", "PageNotFoundError") else _untidy(error)
        )
    if (status, body) == expected:
        return "same"
    if status >= 500:
        return "detected"
    served = set(body.split("\n")) - {""}
    if place not in MUST_NOT_HIDE and served <= set(expected[1].split("\n")):
        return "hidden"
    return "UNNOTICED"


def _untidy(error: Exception) -> str:
    sys.stderr.write(f"untidy: {type(error).__name__}: {error}\n")
    return "detected"


def in_child(work: Callable[[], dict[str, Any]]) -> dict[str, Any] | int:
    """What `work` returns in a forked process; the signal if it died of one."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.alarm(CHILD_SECONDS)
        try:
            with os.fdopen(writing, "w") as out:
                json.dump(work(), out)
            os._exit(0)
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as told:
        data = told.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    if not data:
        return -1
    found: dict[str, Any] = json.loads(data)
    return found


__all__ = ["PLACES", "Outcome", "Source", "flip_once", "make_source"]
