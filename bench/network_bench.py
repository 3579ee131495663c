"""`make bench-network`: what four organisations on one ledger do on this machine, as a table and `bench-network.json`.

Four validators with ML-DSA-65 keys, four nodes, and the clients, all on the same cores. Transactions go to the
engines' RPC, writes to the nodes' FHIR interfaces; nothing is set otherwise than `careledger network up` sets it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvloop

from bench import faults_bench, join_bench, light_bench, processes
from bench.client import Client
from bench.figures import COLUMNS, Figure, compute_row, compute_table
from careledger.contracts.consent import compute_revocation_hash, revoke_message
from careledger.engine.configuration import Address
from careledger.engine.rpc import Rpc
from careledger.ledger.genesis import Genesis
from careledger.ledger.kernel import ED25519
from careledger.ledger.transaction import SecretKey, build_transaction
from careledger.node import founding
from careledger.node.home import open_keys
from careledger.node.layout import Layout
from careledger.primitives.hashing import sha256
from careledger.primitives.types import Did, parse_did

ORGANISATIONS = 4
FIRST_LANE, LANES = 3, 12
TRANSACTION_SECONDS = 15
RATES = (1000, 1500, 2000)
WRITE_SECONDS = 15
CONNECTIONS_EACH = 4
PATIENTS_EACH = 40
GROWTH_RATE, GROWTH_SECONDS = 100, 20
SIGNATURE_BYTES = 3_309 + 64
"""Of a validator in a commit, with its address and time."""

FIGURES = (
    Figure("finalised", "signed transactions, finalised", "/s", 1000, 1800, True),
    Figure("anchored", "FHIR writes anchored, clients at all four nodes", "/s", 1000, 2000, True),
    Figure("anchor_p95", "from 201 to anchored, p95", "s", 1.5, 0.8, False),
    Figure("revocation", "revocation in force at every node", "blocks", 1, 1, False),
    Figure("growth", "ledger growth a write at 100 writes/s, without commit signatures", "B", 100, 50, False),
    Figure("join", "new node by state sync, 100,000 state keys", "s", 30, 10, False),
    Figure("back", "blocks again after kill, pause, disconnect, restart, the worst", "s", 20, 10, False),
    Figure("light", "light client: a header with four ML-DSA signatures", "ms", 10, 5, False),
)


class Network:
    """A network that `careledger network` started, and removes."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="careledger-bench-network-"))
        started = time.monotonic()
        told = self.command("up", "--orgs", str(ORGANISATIONS), "--json")
        self.up_s = time.monotonic() - started
        self.organisations: list[dict[str, Any]] = json.loads(told)["organisations"]

    def command(self, *arguments: str) -> str:
        """`careledger network …`; what it prints."""
        command = [sys.executable, "-m", "careledger", "network", *arguments, "--dir", str(self.folder)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def status(self) -> list[dict[str, Any]]:
        """Of every organisation."""
        organisations: list[dict[str, Any]] = json.loads(self.command("status", "--json"))["organisations"]
        return organisations

    def processes(self, organisation: dict[str, Any]) -> list[int]:
        """Its node, the workers below it, and its engine."""
        pid = (self.folder / organisation["name"] / "pid").read_text().split()[0]
        return processes.tree(int(pid))

    def cpu_s(self) -> float:
        """CPU seconds of all nodes and engines so far."""
        return sum(processes.cpu_s(self.processes(one)) for one in self.organisations)

    def memory_mb(self) -> float:
        """Of the organisation that needs most, node and engine together."""
        return max(processes.memory_mb(self.processes(one)) for one in self.organisations)

    def token(self, organisation: dict[str, Any], somebody_of: str = "") -> str:
        """A token for all of its records, for somebody of another organisation (a DID) if that is said."""
        command = [sys.executable, "-m", "careledger", "token", "--home", organisation["home"]]
        command += ["--client", "bench", "--scope", "system/*.cruds"]
        command += ["--org", somebody_of] if somebody_of else []
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def remove(self) -> None:
        """Stop and delete it."""
        subprocess.run(
            [sys.executable, "-m", "careledger", "network", "reset", "--dir", str(self.folder)], check=False
        )
        shutil.rmtree(self.folder, ignore_errors=True)


def rpc_of(organisation: dict[str, Any]) -> Rpc:
    """The engine's RPC."""
    host, _, port = organisation["rpc"].removeprefix("http://").partition(":")
    return Rpc(Address(host, int(port)))


def sign_transactions(organisation: dict[str, Any], count: int) -> Iterator[bytes]:
    """Revocations by code of directives that nobody granted: small, valid in any order, each changes the state."""
    home = Path(organisation["home"])
    file, keys = open_keys(Layout(home), Path(organisation["passphrase_file"]).read_text().strip())
    genesis = Genesis.from_bytes(bytes.fromhex(file.genesis))
    did, secret = Did(parse_did(file.did)), SecretKey(ED25519, keys.node_seed)
    valid_until = time.time_ns() // 1_000_000 + founding.ANCHOR_VALID_MS
    for number in range(count):
        code = sha256(b"%s %d" % (file.did.encode(), number))
        lane, sequence = FIRST_LANE + number % LANES, number // LANES
        message = revoke_message(compute_revocation_hash(code), code=code)
        yield build_transaction(genesis.genesis_hash, valid_until, did, lane, sequence, [message], [secret])


class Sender:
    """Hands transactions to one engine, over one connection, as fast as it answers or as it is told."""

    def __init__(self, organisation: dict[str, Any]) -> None:
        self._rpc = rpc_of(organisation)
        self.accepted = 0

    async def run(self, transactions: list[bytes], rate: float) -> None:
        """Raises RuntimeError if the engine refuses one."""
        address = self._rpc.address
        reader, writer = await asyncio.open_connection(address.host, address.port)
        start = time.monotonic()
        for number, one in enumerate(transactions):
            late = start + number / rate - time.monotonic()
            if late > 0:
                await asyncio.sleep(late)
            body = json.dumps(
                {
                    "jsonrpc": "2.0", "id": 1, "method": "broadcast_tx_sync",
                    "params": {"tx": base64.b64encode(one).decode()},
                }
            ).encode()  # fmt: skip
            writer.write(
                b"POST / HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (len(body), body)
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            answer = json.loads(await reader.readexactly(length))
            if answer.get("error") or int(answer["result"].get("code", 0)):
                raise RuntimeError(f"the engine refused a transaction: {str(answer)[:300]}")
            self.accepted += 1
        writer.close()


async def count_transactions(rpc: Rpc, start: int, stop: int) -> int:
    """In blocks start … stop − 1, anchors included."""
    total = 0
    for low in range(start, stop, 20):
        query = {"minHeight": str(low), "maxHeight": str(min(low + 19, stop - 1))}
        metas = json.loads(await rpc.ask("blockchain", query))["block_metas"]
        total += sum(int(meta["num_txs"]) for meta in metas)
    return total


async def bench_transactions(network: Network) -> dict[str, Any]:
    """The highest offered rate that was finalised while it was offered, within a second."""
    rpc = rpc_of(network.organisations[0])
    most = (
        sum(RATES) * TRANSACTION_SECONDS
    )  # each rate takes its own: none is offered twice, and none runs short
    signed = [list(sign_transactions(one, most // ORGANISATIONS)) for one in network.organisations]
    used, rows = 0, []
    for rate in RATES:
        count = rate * TRANSACTION_SECONDS // ORGANISATIONS
        first = (await rpc.status()).sync_info.latest_block_height + 1
        started, cpu_s = time.monotonic(), network.cpu_s()
        senders = [Sender(one) for one in network.organisations]
        await asyncio.gather(
            *[
                sender.run(each[used : used + count], rate / ORGANISATIONS)
                for sender, each in zip(senders, signed, strict=True)
            ]
        )
        offered_s = time.monotonic() - started
        done, height = 0, first
        while done < ORGANISATIONS * count and time.monotonic() - started < 4 * TRANSACTION_SECONDS:
            await asyncio.sleep(0.2)
            newest = (await rpc.status()).sync_info.latest_block_height + 1
            done += await count_transactions(rpc, height, newest)
            height = newest
        seconds = time.monotonic() - started
        used += count
        row = {
            "offered": rate, "sent": round(ORGANISATIONS * count / offered_s), "finalised": round(done / seconds),
            "blocks": height - first, "seconds": round(seconds, 1),
            "server_cpu_ms": round(1000 * (network.cpu_s() - cpu_s) / done, 3), "memory_mb": round(network.memory_mb()),
        }  # fmt: skip
        rows.append(row)
        print(f"transactions: {row}", flush=True)
    return {"rows": rows, "finalised": max(row["finalised"] for row in rows)}


class Writers:
    """Clients of one node."""

    def __init__(self, organisation: dict[str, Any], token: str) -> None:
        host, _, rest = organisation["fhir"].removeprefix("http://").partition(":")
        self.port = int(rest.partition("/")[0])
        self.client = Client(host, self.port, token, lambda: 0.0)
        self.patients: list[str] = []

    def request(self, path: str, resource: dict[str, Any]) -> bytes:
        """A create."""
        return self.client.request("POST", f"/{path}", json.dumps(resource).encode())

    async def prepare(self) -> None:
        """Patients to write about."""
        for number in range(PATIENTS_EACH):
            _, body = await self.client.ask(
                self.request("Patient", {"resourceType": "Patient", "name": [{"family": f"Bench{number}"}]})
            )
            self.patients.append(json.loads(body)["id"])

    def observation(self, number: int) -> bytes:
        """A vital sign of one of them."""
        patient = self.patients[number % len(self.patients)]
        return self.request(
            "Observation",
            {
                "resourceType": "Observation",
                "status": "final",
                "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}], "text": "heart rate"},
                "subject": {"reference": f"Patient/{patient}"},
                "effectiveDateTime": "2026-01-01T10:00:00Z",
                "valueQuantity": {"value": 60 + number % 40, "unit": "/min"},
            },
        )


async def bench_writes(network: Network) -> dict[str, Any]:
    """Creates at all four nodes for some seconds; how many were anchored a second, and how long each waited."""
    writers = [Writers(one, network.token(one)) for one in network.organisations]
    await asyncio.gather(*[one.prepare() for one in writers])
    before = network.status()
    started, cpu_s = time.monotonic(), network.cpu_s()
    stop = started + WRITE_SECONDS
    written = await asyncio.gather(*[_write_until(one, stop) for one in writers])
    total = sum(written)
    while True:
        now = network.status()
        anchored = sum(one["anchored"] for one in now) - sum(one["anchored"] for one in before)
        if anchored >= total or time.monotonic() > stop + 20:
            break
        await asyncio.sleep(0.2)
    seconds = time.monotonic() - started
    result = {
        "written": total, "written_s": round(total / WRITE_SECONDS), "anchored_s": round(anchored / seconds),
        "anchor_p50_ms": [one["anchor_p50_ms"] for one in now], "anchor_p95_ms": [one["anchor_p95_ms"] for one in now],
        "server_cpu_ms": round(1000 * (network.cpu_s() - cpu_s) / total, 3), "memory_mb": round(network.memory_mb()),
    }  # fmt: skip
    print(f"writes: {result}", flush=True)
    result["growth"] = await bench_growth(network, writers)
    return result


async def _write_until(writers: Writers, stop: float) -> int:
    """Each connection one request after another."""
    counts = await asyncio.gather(*[_write_one(writers, stop, at) for at in range(CONNECTIONS_EACH)])
    return sum(counts)


async def _write_one(writers: Writers, stop: float, at: int) -> int:
    await writers.client.connect(CONNECTIONS_EACH)
    done = 0
    while time.monotonic() < stop:
        status, body = await writers.client.ask(writers.observation(CONNECTIONS_EACH * done + at), at)
        if status != 201:
            raise RuntimeError(f"a write was refused: {status} {body[:300]!r}")
        done += 1
    return done


async def bench_growth(network: Network, writers: list[Writers]) -> dict[str, Any]:
    """Bytes of blocks a write, at a fixed rate of writes."""
    rpc = rpc_of(network.organisations[0])
    first = (await rpc.status()).sync_info.latest_block_height + 1
    count = GROWTH_RATE * GROWTH_SECONDS
    started = time.monotonic()
    for number in range(count):
        late = started + number / GROWTH_RATE - time.monotonic()
        if late > 0:
            await asyncio.sleep(late)
        which = number % len(writers)
        await writers[which].client.ask(writers[which].observation(number))
    last = (await rpc.status()).sync_info.latest_block_height
    size = blocks = transactions = 0
    for low in range(first, last + 1, 20):
        query = {"minHeight": str(low), "maxHeight": str(min(low + 19, last))}
        for meta in json.loads(await rpc.ask("blockchain", query))["block_metas"]:
            size += int(meta["block_size"])
            transactions += int(meta["num_txs"])
            blocks += 1
    signatures = blocks * ORGANISATIONS * SIGNATURE_BYTES
    return {
        "bytes_a_write": round((size - signatures) / count, 1), "blocks": blocks, "transactions": transactions,
        "block_bytes": round(size / blocks), "signature_bytes_a_block": ORGANISATIONS * SIGNATURE_BYTES,
        "blocks_s": round(blocks / (time.monotonic() - started), 2),
    }  # fmt: skip


async def main(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything that was asked for."""
    raw: dict[str, Any] = {}
    measured: dict[str, float] = {}
    cpu_ms: dict[str, float] = {}
    if "light" in arguments.parts:
        raw["light"] = light_bench.measure()
        measured["light"] = raw["light"]["header_ms"]
    network = Network()
    try:
        raw["up_s"] = round(network.up_s, 1)
        if "transactions" in arguments.parts:
            raw["transactions"] = await bench_transactions(network)
            measured["finalised"] = raw["transactions"]["finalised"]
            cpu_ms["finalised"] = min(row["server_cpu_ms"] for row in raw["transactions"]["rows"])
        if "writes" in arguments.parts:
            raw["writes"] = await bench_writes(network)
            measured["anchored"] = raw["writes"]["anchored_s"]
            cpu_ms["anchored"] = raw["writes"]["server_cpu_ms"]
            measured["anchor_p95"] = max(raw["writes"]["anchor_p95_ms"]) / 1000
            measured["growth"] = raw["writes"]["growth"]["bytes_a_write"]
        if "revocations" in arguments.parts:
            raw["revocations"] = await faults_bench.measure_revocations(network)
            measured["revocation"] = raw["revocations"]["blocks"]
        if "faults" in arguments.parts:
            raw["faults"] = await asyncio.to_thread(faults_bench.measure_faults, network)
            measured["back"] = raw["faults"]["worst"]
        if "join" in arguments.parts:
            raw["join"] = {"keys": await join_bench.fill(network)} | join_bench.join(network)
            measured["join"] = raw["join"]["joined_s"]
    finally:
        network.remove()
    rows = [compute_row(figure, measured.get(figure.key), cpu_ms.get(figure.key)) for figure in FIGURES]
    print(compute_table(rows, COLUMNS[:6]))
    print(json.dumps(raw, indent=1))
    return raw


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="light,transactions,writes,revocations,faults,join")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    options.parts = frozenset(options.only.split(","))
    result = uvloop.run(main(options))
    if options.output:
        options.output.write_text(json.dumps(result, indent=1))
