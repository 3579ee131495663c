"""An honest node is never refused: whatever happens to a chart, each export holds for all that was handed out before."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any
from unittest import mock

from careledger.primitives.errors import CareLedgerError
from tests.faults.rig import Node, appointment, new_home, node_of, observation, patient
from tests.fhir.deciding import caller
from tests.node.consenting import ELSEWHERE, Device
from tests.verifier.twins import export_verdicts

HOUR_NS = 3_600_000_000_000
ACTS = 72
REASON = {"name": "reason", "valueString": "found alone and unconscious"}
PARAMETERS = {"resourceType": "Parameters", "parameter": [REASON]}


class Days:
    """Acts at random, spread over days; two patients, `a` with a device."""

    def __init__(self, node: Node, seed: int) -> None:
        self.draw, self.node = random.Random(seed), node
        self.device = Device(node.command, "a", b"\1" * 32)
        self.directives: list[str] = []
        for name in "ab":
            node.client.put(f"Patient/{name}", patient(name))
        self.device.enrol()
        house = node.client.who.organisation
        self.callers = [
            node.client,
            caller(node.client, organisation=ELSEWHERE),
            caller(node.client, organisation=house, practitioner="owl"),
            caller(node.client, organisation=house, practitioner="owl", purpose="ETREAT"),
        ]

    def act(self) -> None:
        """One thing that people do; what is refused is refused."""
        acts = (self.write, self.write, self.look, self.look, self.look, self.grant, self.revoke, self.rarely)
        try:
            self.draw.choice(acts)()
        except CareLedgerError:
            pass

    def write(self) -> None:
        id, who = f"o{self.draw.randrange(5)}", self.draw.choice("aab")
        send = self.draw.randrange(8)
        if send == 0:
            self.node.client.send("DELETE", f"Observation/{id}")
        elif send == 1:
            self.node.client.put(f"Appointment/v{id}", appointment(f"v{id}", ["a", "b"]))
        else:
            self.node.client.put(f"Observation/{id}", observation(id, who, self.draw.random()))

    def look(self) -> None:
        urls = (
            "Patient/a", f"Observation/o{self.draw.randrange(5)}", "Observation?patient=a", "Patient/a/$everything",
            "Observation?code=8867-4", "AuditEvent?patient=a", "Observation?patient=a&_summary=count",
            "Observation?patient=a&_include=Observation:subject", "Patient?_id=a&_revinclude=Observation:subject",
            f"Observation/o{self.draw.randrange(5)}/_history", "Patient/a/_history/1",
        )  # fmt: skip
        self.draw.choice(self.callers).get(self.draw.choice(urls))

    def grant(self) -> None:
        terms: dict[str, Any] = {
            "to": (self.draw.choice((ELSEWHERE, "Practitioner/owl")),),
            "deny": self.draw.random() < 0.3,
            "purpose": self.draw.choice((("TREAT",), ("TREAT", "HPAYMT"))),
            "type": self.draw.choice(((), ("Observation",), ("Patient", "Condition"))),
            "category": self.draw.choice(((), (), ("vital-signs",), ("laboratory",))),
        }
        old = self.draw.choice(["", *self.directives])
        self.directives.append(self.device.grant(old if self.draw.random() < 0.5 else "", **terms))

    def revoke(self) -> None:
        if self.directives:
            self.device.revoke(self.draw.choice(self.directives))

    def rarely(self) -> None:
        what = self.draw.randrange(3)
        if what == 0:
            self.callers[3].post("Patient/a/$emergency-access", PARAMETERS)
        elif what == 1:
            reference = f"Observation/o{self.draw.randrange(5)}/_history/{self.draw.randrange(1, 4)}"
            self.node.command("erase", reference=reference, reason="misfiled")
        else:
            former = self.device.key
            self.device = Device(self.node.command, "a", self.draw.randbytes(32))
            self.device.enrol(former)


def test_an_honest_node_is_never_refused(tmp_path: Path) -> None:
    """Over days with a clock that jumps ahead and, at a restart, back; both verifiers, every checkpoint and export."""
    assert live(tmp_path, 7) >= {"custodian-default", "directive-permit", "operator", "emergency"}


def live(tmp_path: Path, seed: int) -> set[str]:
    """Days of acts, exports in between; the rules that decided."""
    path, draw = new_home(tmp_path / "home"), random.Random(seed)
    clock, ahead = time.time_ns, [0]
    kept: list[bytes] = []
    exports: list[bytes] = []
    with mock.patch.object(time, "time_ns", side_effect=lambda: clock() + ahead[0]):
        with node_of(path) as node:
            days = Days(node, seed)
            for number in range(ACTS):
                days.act()
                ahead[0] += draw.choice((0, 0, 0, HOUR_NS // 60, 2 * HOUR_NS, 30 * HOUR_NS))
                if number % 18 == 17:
                    kept.append(node.command("checkpoint")["file"].encode())
                    exports.append(export(node, tmp_path, kept))
                    check(exports, kept)
        ahead[0] -= 100 * HOUR_NS
        with node_of(path) as node:
            for name in "ab":
                node.client.put(f"Observation/{name}", observation(name, "a", 1.5))
            node.client.get("Patient/a/$everything")
            exports.append(export(node, tmp_path, kept))
            check(exports, kept)
            assert node.fsck() == []
            return {entry["rule"] for entry in node.command("access_log", patient="a")["entries"]}


def export(node: Node, folder: Path, kept: list[bytes]) -> bytes:
    file = folder / "export"
    node.command("chart.export", patient="a", path=str(file))
    return file.read_bytes()


def check(exports: list[bytes], kept: list[bytes]) -> None:
    """The newest holds for everything that was kept."""
    for trust in kept:
        for earlier in (None, *exports[:-1]):
            assert export_verdicts(exports[-1], trust, earlier) == ("anchored", "", "")
