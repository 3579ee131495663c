"""Sealed copies: a chart's two exports under a key that only its patient has wrapped (docs/spec/copy.md).

The node gives the copy key to her own page or command line, once that is entered in her chart's access log, and keeps
the wraps that come back. It never sees what they are under.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from careledger.access import copies
from careledger.access.directives import Controller
from careledger.fhir.authority import Denied, record_entries
from careledger.node import directives, exports
from careledger.node.callers import Packed, unpack
from careledger.node.consents import operator_entry, read_params
from careledger.node.handing import judge_export, tell_absent
from careledger.node.spools import Spool
from careledger.primitives.errors import Conflict, Invalid
from careledger.vault.copies import REGISTRY_TABLE, copy_key, open_kept, seal_kept
from careledger.vault.model import AccessEntry, Snapshot
from careledger.vault.registry import Change

if TYPE_CHECKING:
    from careledger.node.commands import CommandContext, Progress

KIND: Final = "copy-key"
"""Kind of the access entry of a copy key that leaves."""
PAGES: Final = "careledger-pages"


class ChartParams(msgspec.Struct, forbid_unknown_fields=True):
    """Whose chart; `account` is hers, where her own page asks, and "" on the command line."""

    patient: str
    account: str = ""


class KeepParams(msgspec.Struct, forbid_unknown_fields=True):
    """Wraps (encoded) of the copy key of this epoch, made for this enrolled key."""

    patient: str
    epoch: int
    key_id: str
    wraps: bytes


class FileParams(msgspec.Struct, forbid_unknown_fields=True):
    """A sealed copy into the file `path` (absolute)."""

    patient: str
    path: str


class AskedParams(msgspec.Struct, forbid_unknown_fields=True):
    """A sealed copy for whoever asks."""

    caller: Packed
    patient: str


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """What stands in the registry, sealed under the chart's keys: wraps, and the enrolled key they were made for."""

    key_id: str
    wraps: bytes


@dataclass(frozen=True, slots=True)
class Copy:
    """What a sealed copy is made from: one moment of the chart, twice."""

    header: copies.Header
    key: bytes
    views: tuple[exports.View, exports.View]

    def close(self) -> None:
        """Give the index back."""
        for view in self.views:
            view.close()


# ---- The key and its wraps ----------------------------------------------------------------------------------


async def give_key(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The copy key of a chart, for whom wraps it: entered in the access log before it leaves."""
    asked = read_params(params, ChartParams)
    async with node.sequencer.steady:
        with node.reader.snapshot() as snapshot:
            chart, enrolled = _enrolled(snapshot, asked.patient)
            keys = node.home.keyring.get(chart)
            entry = operator_entry(node, chart, KIND, f"Patient/{asked.patient}", snapshot.ledger_height)
        if asked.account:
            mine = {"actor": asked.account, "client": PAGES, "purpose": "PATRQT", "rule": "own-chart"}
            entry = msgspec.structs.replace(entry, **mine)
        await node.backend.log_access((entry,))
    return {
        "key": copy_key(keys),
        "epoch": keys.epoch,
        "key_id": enrolled.id,
        "credential": enrolled.credential,
        "recovery": enrolled.recovery,
    }


async def keep(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The wraps go into every sealed copy from now on, in place of those before. Raises Conflict, Invalid.

    That they open is her device's business: the node knows none of the secrets.
    """
    asked = read_params(params, KeepParams)
    wraps = copies.WRAPS.decode(asked.wraps)
    copies.check_enough(wraps)
    async with node.sequencer.steady:
        with node.reader.snapshot() as snapshot:
            chart, enrolled = _enrolled(snapshot, asked.patient)
        keys = node.home.keyring.get(chart)
        if (asked.epoch, asked.key_id) != (keys.epoch, enrolled.id):
            raise Conflict(
                "the chart's keys changed meanwhile", hint="open the page again", code="copy-key-moved"
            )
        _check_of_enrolled(wraps, enrolled)
        sealed = seal_kept(keys, msgspec.msgpack.encode(Kept(enrolled.id, asked.wraps)))
        await node.registry.change(Change(REGISTRY_TABLE, asked.patient.encode(), sealed))
    return {"kinds": _kinds(wraps)}


async def look(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """By which kinds of secrets the patient can open the copies that would be made now; none if she must wrap first."""
    asked = read_params(params, ChartParams)
    with node.reader.snapshot() as snapshot:
        chart = directives.chart_of(snapshot, asked.patient)
        return {"kinds": _kinds(_kept(node, snapshot, chart, asked.patient))}


def _enrolled(snapshot: Snapshot, patient: str) -> tuple[int, Controller]:
    """The chart and the key that decides in it. Raises NotFound, Conflict."""
    chart = directives.chart_of(snapshot, patient)
    keys = directives.enrolled_keys(snapshot, chart)
    if not keys:
        raise Conflict(
            "nobody decides in this chart yet",
            hint="enrol a passkey on her page, or a key file: careledger patient enrol",
            code="not-enrolled",
        )
    return chart, keys[-1]


def _check_of_enrolled(wraps: Sequence[copies.Wrap], enrolled: Controller) -> None:
    """Raises Invalid for a wrap of another passkey than that which decides in the chart."""
    if any(wrap.credential not in (b"", enrolled.credential) for wrap in wraps):
        raise Invalid(
            "this is not the passkey that decides in the chart",
            hint="make that one the chart's key first",
            code="copy-wraps",
        )


def _kept(node: CommandContext, snapshot: Snapshot, chart: int, patient: str) -> tuple[copies.Wrap, ...]:
    """The wraps for a copy made now; none where the chart's keys, or who decides in it, are others since."""
    entry = node.registry.get(REGISTRY_TABLE, patient.encode())
    plain = None if entry is None else open_kept(node.home.keyring.get(chart), entry.value)
    if plain is None:
        return ()
    kept = msgspec.msgpack.decode(plain, type=Kept)
    keys = directives.enrolled_keys(snapshot, chart)
    return copies.WRAPS.decode(kept.wraps) if keys and keys[-1].id == kept.key_id else ()


def _kinds(wraps: Sequence[copies.Wrap]) -> list[str]:
    return [copies.Kind(wrap.kind).name.lower().replace("_", "-") for wrap in wraps]


# ---- Copies -------------------------------------------------------------------------------------------------


async def write_file(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """A sealed copy into the file `path`, for its owner alone: the operator's command, who cannot open it."""
    asked = read_params(params, FileParams)
    path, what = Path(asked.path), _named(asked.patient)
    if not path.is_absolute():
        raise Invalid("the path of a copy must be absolute")
    with node.reader.snapshot() as snapshot:
        chart = directives.chart_of(snapshot, asked.patient)

    def compose() -> tuple[AccessEntry, ...]:
        size = exports.count_entries(node.home, chart)
        return (operator_entry(node, chart, "export", what, node.home.height, tuple(range(size))),)

    async with node.sequencer.steady:
        copy = await _take(node, chart, asked.patient, compose)
        write = lambda: exports.write_file(path, lambda file: _write(node, copy, file.write))  # noqa: E731
        size = await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, write))
    return {"path": str(path), "bytes": size, "entries": copy.views[0].size}


async def hand(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """A sealed copy, ready to be taken piece by piece as an export is, for whoever may have the export."""
    asked = read_params(params, AskedParams)
    caller, what = unpack(asked.caller), _named(asked.patient)
    with node.reader.snapshot() as snapshot:
        chart = snapshot.chart_of(asked.patient)
    if chart is None:
        await tell_absent(node, caller, what)
    found: int = chart

    def compose() -> tuple[AccessEntry, ...]:
        with node.reader.snapshot() as snapshot:
            asking = caller.look(node.fhir.context, snapshot, what)
            decision = judge_export(asking, found, whole=True)
            leaves = list(range(exports.count_entries(node.home, found)))
            return record_entries(asking, decision, "export", what, {found: leaves})

    spool = node.spools.open(caller.actor.account or caller.actor.token_id)
    try:
        async with node.sequencer.steady:
            copy = await _take(node, found, asked.patient, compose)
        write = asyncio.get_running_loop().run_in_executor(None, _spool, node, copy, spool)
        await asyncio.shield(write)
    except Denied as denied:
        node.spools.close(spool.id)
        await caller.refuse(node.fhir.context, denied.decision, what)
    except BaseException:
        node.spools.close(spool.id)
        raise
    return {"spool": spool.id, "bytes": spool.size, "pieces": spool.pieces}


def _named(patient: str) -> str:
    return f"Patient/{patient} sealed copy"


async def _take(
    node: CommandContext, chart: int, patient: str, compose: Callable[[], tuple[AccessEntry, ...]]
) -> Copy:
    """One moment of the chart, entered in its log. Raises Conflict where she has wrapped no key: after the decision."""

    def enter() -> tuple[AccessEntry, ...]:
        entries = compose()
        with node.reader.snapshot() as snapshot:
            wraps.extend(_kept(node, snapshot, chart, patient))
        if not wraps:
            raise Conflict(
                "no sealed copy can be made yet: she has not wrapped its key, or it is another since",
                hint="on her page, under “Sealed copies”; with a key file: careledger copy prepare PATIENT --key FILE",
                code="copy-not-prepared",
            )
        return entries

    wraps: list[copies.Wrap] = []
    async with node.sequencer.shown(enter):
        whole = exports.take_view(node, chart, (), whole=True)
        try:
            log = exports.take_view(node, chart, (), whole=False)
        except BaseException:
            whole.close()
            raise
        return Copy(copies.make_header(wraps), copy_key(node.home.keyring.get(chart)), (whole, log))


def _spool(node: CommandContext, copy: Copy, spool: Spool) -> None:
    _write(node, copy, spool.write)
    spool.finish()


def _write(node: CommandContext, copy: Copy, write: Callable[[bytes], int]) -> int:
    """The file by `write`, over spools: its parts' lengths stand before them, and nothing readable is on the disk."""
    parts: list[Spool] = []
    try:
        for view in copy.views:
            parts.append(node.spools.scratch())
            exports.write_export(view, parts[-1], lambda _step: None)
            parts[-1].finish()
        copies.compute_size(copy.header, [part.size for part in parts])
        given = [(part.size, _pieces(part)) for part in parts]
        return sum(write(piece) for piece in copies.seal_copy(copy.header, copy.key, given))
    finally:
        for part in parts:
            part.close()
        copy.close()


def _pieces(spool: Spool) -> Iterator[bytes]:
    for number in range(spool.pieces):
        yield spool.read(number)
