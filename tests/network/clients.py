"""Clients of a network: each writes versions of a few charts at one node, over and over, and notes what it was told.

A request that got no answer, or a 5xx, has an unknown outcome; nothing is sent again by itself.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.network.histories import NEVER, Operation, Read, Write, check_versions
from tests.network.local import Place

TIMEOUT_S = 20.0
FHIR_JSON = "application/fhir+json"


@dataclass(frozen=True, slots=True)
class Told:
    """An answer."""

    status: int
    version: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Http:
    """One kept connection to a node; unlike a browser it never repeats a request."""

    def __init__(self, place: Place, token: str = "") -> None:
        self._place = place
        self._token = token or place.token()
        self._connection: http.client.HTTPConnection | None = None

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Told:
        """Raises OSError if there is no answer: whether it was done is not known."""
        sent = {"Authorization": f"Bearer {self._token}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            sent["Content-Type"] = FHIR_JSON
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._place.port, timeout=TIMEOUT_S)
        try:
            data = None if body is None else json.dumps(body).encode()
            self._connection.request(method, f"/fhir/{path}", data, sent)
            response = self._connection.getresponse()
            raw = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise OSError(str(error)) from error
        if response.will_close:
            self.close()
        tag = response.headers.get("ETag", "").removeprefix('W/"').rstrip('"')
        return Told(response.status, int(tag) if tag.isdigit() else 0, raw)

    def close(self) -> None:
        """The next call connects anew."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


@dataclass
class Book:
    """What all clients were told. One history must explain it, and nothing acknowledged may be lost."""

    operations: dict[str, list[Operation]] = field(default_factory=dict)
    acknowledged: dict[tuple[str, int], str] = field(default_factory=dict)
    """Chart and version -> what was written in it."""
    mutex: threading.Lock = field(default_factory=threading.Lock)

    def note(self, one: Operation) -> None:
        """One more operation."""
        with self.mutex:
            self.operations.setdefault(one.key, []).append(one)

    def note_acknowledged(self, key: str, version: int, text: str) -> None:
        """A version whose writer was told so."""
        with self.mutex:
            taken = self.acknowledged.setdefault((key, version), text)
        assert taken == text, f"version {version} of {key} was acknowledged twice"

    def check(self) -> int:
        """How many operations one history explains. Raises NotOneHistory."""
        for operations in self.operations.values():
            check_versions(operations)
        return sum(map(len, self.operations.values()))

    def check_kept(self, place: Place) -> int:
        """Every version that was acknowledged at this node is there and says what was written; how many."""
        http = Http(place)
        mine: dict[str, dict[int, str]] = {}
        for (key, version), text in self.acknowledged.items():
            if key.startswith(f"{place.name}-".lower()):
                mine.setdefault(key, {})[version] = text
        for key, versions in mine.items():
            told = http.call("GET", f"Patient/{key}/_history?_count=1000")
            assert told.status == 200, (key, told.status, told.body[:300])
            found = {
                int(one["resource"]["meta"]["versionId"]): one["resource"]["name"][0]["family"]
                for one in told.json["entry"]
            }
            lost = {version: text for version, text in versions.items() if found.get(version) != text}
            assert not lost, (key, lost)
            assert sorted(found) == list(range(1, max(found) + 1)), key
        http.close()
        return sum(map(len, mine.values()))

    def sample(self, name: str, count: int) -> list[str]:
        """References of some versions that were acknowledged at a node: the newest."""
        mine = sorted(one for one in self.acknowledged if one[0].startswith(f"{name}-".lower()))
        return [f"Patient/{key}/_history/{version}" for key, version in mine[-count:]]


def check_undone(told: Told) -> None:
    """A node says 5xx in trouble, and 401 where its clock is behind the token's: nothing else is expected."""
    assert told.status >= 500 or told.status == 401, told


class Client(threading.Thread):
    """Does one thing after the other at one node until it is told to stop."""

    def __init__(self, place: Place, book: Book, number: int, charts: int = 3, pause_s: float = 0.05) -> None:
        super().__init__(daemon=True)
        self._place = place
        self._book = book
        self._charts = [f"{place.name}-{number // 2}-{chart}".lower() for chart in range(charts)]
        self._chance = Random(f"{place.name} {number}")
        self._pause_s = pause_s
        self._number = number
        self._versions = dict.fromkeys(self._charts, 0)
        self._http = Http(place)
        self._ending = threading.Event()
        self.problems: list[str] = []

    def run(self) -> None:
        while not self._ending.wait(self._pause_s):
            chart = self._chance.choice(self._charts)
            try:
                self._read(chart) if self._chance.random() < 0.3 else self._write(chart)
            except OSError:
                self._ending.wait(0.2)
            except Exception as error:
                self.problems.append(repr(error))
                return

    def _write(self, chart: str) -> None:
        expected, asked = self._versions[chart], time.monotonic()
        text = f"{self._place.name} {self._number} {asked}"
        body = {"resourceType": "Patient", "id": chart, "name": [{"family": text}]}
        condition = {"If_Match": f'W/"{expected}"'} if expected else {"If_None_Match": "*"}
        outcome: bool | None = None
        answered = NEVER
        try:
            told = self._http.call("PUT", f"Patient/{chart}", body, **condition)
            if told.status in (200, 201):
                outcome, answered = True, time.monotonic()
                assert told.version == expected + 1, (chart, told)
                self._book.note_acknowledged(chart, told.version, text)
                self._versions[chart] = told.version
            elif told.status in (409, 412):
                outcome, answered = False, time.monotonic()
            else:
                check_undone(told)
        finally:
            self._book.note(Write(chart, expected + 1, asked, answered, outcome))
            if not outcome:
                self._look_again(chart)

    def _read(self, chart: str) -> None:
        asked = time.monotonic()
        told = self._http.call("GET", f"Patient/{chart}")
        if told.status not in (200, 404):
            check_undone(told)
            return
        self._versions[chart] = told.version
        self._book.note(Read(chart, told.version, asked, time.monotonic()))

    def _look_again(self, chart: str) -> None:
        """Somebody else wrote it, or nobody knows: the next write begins from what is there."""
        try:
            self._read(chart)
        except OSError:
            return

    def stop(self) -> None:
        """It has ended when this returns."""
        self._ending.set()
        self.join(TIMEOUT_S + 5)
        self._http.close()
        assert not self.problems, self.problems


class Crowd:
    """Two clients at each of these nodes, which share their charts."""

    def __init__(self, places: list[Place], book: Book, first: int = 0, pause_s: float = 0.05) -> None:
        self.book = book
        self.clients = [
            Client(place, book, first + number, pause_s=pause_s) for place in places for number in (0, 1)
        ]

    def __enter__(self) -> Crowd:
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *failure: object) -> None:
        for client in self.clients:
            client.stop()
