"""What the stories of the web application need: a clinic of their own that is open to strangers, whose store can be altered."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import lmdb
import pytest
from playwright.sync_api import Locator, Page

from tests.e2e.node import Answer, Node
from tests.e2e.smart import Clinic, open_clinic
from tests.e2e.test_receipts import VERIFIER

PICTURE_BYTES_MAX = 100_000
LEAF_KEY = struct.Struct(">IBI")  # chart, log, index; docs of careledger.vault.tables
LEAF = struct.Struct(">QI32s")  # offset in the journal, length, hash
RECORD_LOG = 0
MEDICINE = "Amlodipine 5 mg"
PALETTE = """async (png) => {
  const whole = await createImageBitmap(new Blob([Uint8Array.from(atob(png), (c) => c.charCodeAt(0))]));
  const canvas = new OffscreenCanvas(whole.width, whole.height);
  const drawing = canvas.getContext("2d");
  drawing.drawImage(whole, 0, 0);
  const { data } = drawing.getImageData(0, 0, whole.width, whole.height);
  const counts = new Map(), names = new Uint32Array(data.length / 4);
  for (let i = 0; i < names.length; i += 1) {
    const name = ((data[4 * i] & 0xfc) << 16) | ((data[4 * i + 1] & 0xfc) << 8) | (data[4 * i + 2] & 0xfc);
    names[i] = name;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const kept = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 256).map(([name]) => name);
  const parts = (name) => [name >> 16, (name >> 8) & 255, name & 255];
  const apart = (a, b) => parts(a).reduce((sum, part, i) => sum + (part - parts(b)[i]) ** 2, 0);
  const places = new Map(kept.map((name, place) => [name, place]));
  for (const name of counts.keys())
    if (!places.has(name)) places.set(name, kept.reduce((best, one, place) => (apart(one, name) < apart(kept[best], name) ? place : best), 0));
  let pixels = "";
  for (const name of names) pixels += String.fromCharCode(places.get(name));
  return { wide: whole.width, pixels: btoa(pixels), colours: kept.flatMap((name) => parts(name).map((part) => part | (part >> 6))) };
}"""
"""A picture in 256 colours, by the browser that took it."""

Resource = dict[str, Any]


@contextmanager
def open_house(folder: Path) -> Iterator[Clinic]:
    """A clinic whose ledger anybody may read, in which everybody takes a medicine; `folder`/spare is a copy of its home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARELEDGER_EXPLORER__OPEN", "true")
        clinic = open_clinic(folder, workers=1)
        try:
            caller = clinic.node.caller()
            for patient in clinic.patients:
                assert caller.post("MedicationRequest", prescribe(patient)).status == 201
            caller.close()
            clinic.node.stop()
            shutil.copytree(clinic.node.home, folder / "spare")
            clinic.node.start()
            yield clinic
        finally:
            clinic.node.stop()


def prescribe(patient: str, words: str = "Take 1 time daily.") -> Resource:
    dose = {"text": words, "doseAndRate": [{"doseQuantity": {"value": 1}}]}
    dose["timing"] = {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}  # type: ignore[assignment]
    subject = {"reference": f"Patient/{patient}"}
    return {
        "resourceType": "MedicationRequest", "status": "active", "intent": "order", "subject": subject,
        "medicationCodeableConcept": {"text": MEDICINE}, "authoredOn": "2026-11-20", "dosageInstruction": [dose],
    }  # fmt: skip


@contextmanager
def copy_of(clinic: Clinic, folder: Path) -> Iterator[Clinic]:
    """The same people and records in a home of their own, served: to be altered."""
    shutil.copytree(clinic.node.home.with_name("spare"), folder / "home")
    twin = replace(clinic, node=Node(folder / "home", 1).start(), told={})
    try:
        yield twin
    finally:
        twin.node.stop()


def flip_a_byte(home: Path) -> int:
    """One bit of one byte in the middle of what the journal holds of each chart; how many charts. The node is stopped."""
    with lmdb.open(str(home / "index"), max_dbs=24, readonly=True, lock=False) as env:
        table = env.open_db(b"leaf", create=False)
        with env.begin(db=table) as txn:
            places = {LEAF_KEY.unpack(key): LEAF.unpack(value)[:2] for key, value in txn.cursor()}
    charts: dict[int, list[tuple[int, int]]] = {}
    for (chart, log, _), place in sorted(places.items()):
        if log == RECORD_LOG:
            charts.setdefault(chart, []).append(place)
    with (home / "journal" / "log").open("r+b") as journal:
        for chart in charts.values():
            offset, length = chart[len(chart) // 2]
            journal.seek(offset + length // 2)
            [byte] = journal.read(1)
            journal.seek(-1, os.SEEK_CUR)
            journal.write(bytes([byte ^ 1]))
    return len(charts)


def put_back(clinic: Clinic, earlier: Path) -> None:
    """The house serves an earlier copy of its home, as if nothing had been written since."""
    clinic.node.stop()
    shutil.rmtree(clinic.node.home)
    shutil.copytree(earlier, clinic.node.home)
    clinic.node.start()


def read_as_practitioner(clinic: Clinic, path: str) -> tuple[str, Answer]:
    """What a clinician's own token gets, and the token."""
    person = clinic.practitioner.removeprefix("Practitioner/")
    words = ("token", "--client", "ward", "--scope", "user/*.rs", "--practitioner", person, "--json")
    token = str(json.loads(clinic.command(*words))["token"])
    return token, clinic.send("GET", f"{clinic.base}/{path}", authorization=f"Bearer {token}")


def name_of(clinic: Clinic, reference: str) -> tuple[str, str]:
    """Given and family name."""
    caller = clinic.node.caller("system/*.rs")
    [name, *_] = caller.get(reference).json["name"]
    caller.close()
    return name["given"][0], name["family"]


def verify_alone(file: Path, trust: Path) -> subprocess.CompletedProcess[str]:
    """The stand-alone verifier as its user runs it: alone, isolated, elsewhere."""
    command = [sys.executable, "-I", str(VERIFIER), str(file), "--trust", str(trust)]
    return subprocess.run(command, cwd=file.parent, capture_output=True, text=True, check=False)


def picture(page: Page, name: str, about: Locator | None = None) -> None:
    """Keeps the screen for the docs, where CARELEDGER_SCREENSHOTS names a folder: 256 colours, small enough for a repository."""
    folder = os.environ.get("CARELEDGER_SCREENSHOTS")
    if folder is None:
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    if about is not None:
        about.first.evaluate("(one) => one.scrollIntoView({ block: 'center' })")
    taken = page.screenshot(animations="disabled", scale="css")
    other = page.context.new_page()
    said = other.evaluate(PALETTE, b64encode(taken).decode())
    other.close()
    pixels, wide = b64decode(said["pixels"]), said["wide"]
    rows = b"".join(b"\0" + pixels[at : at + wide] for at in range(0, len(pixels), wide))
    head = struct.pack(">IIBBBBB", wide, len(pixels) // wide, 8, 3, 0, 0, 0)
    parts = (
        (b"IHDR", head),
        (b"PLTE", bytes(said["colours"])),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    )
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    assert len(png) <= PICTURE_BYTES_MAX, f"{name}.png has {len(png)} bytes"
    (Path(folder) / f"{name}.png").write_bytes(png)
