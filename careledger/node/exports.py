"""Chart exports and access-log exports out of the open home (docs/spec/export.md).

What must agree (heads, state, signed history, the chart's size) is taken while no group is in progress; the leaves
are opened and written afterwards from the same view of the index, while the node goes on. The export itself is an
entry of the chart's access log: durable, and under the exported head, before a byte of it is written.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import lmdb

from careledger.access.directives import ANYBODY_TERM
from careledger.contracts import consent
from careledger.ledger import export_files as files
from careledger.ledger.checkpoint import SignedCheckpoint, parse_note
from careledger.ledger.consensus.index import block_key
from careledger.ledger.export_files import AccessPart, EntryPart, ExportWriter, Sink
from careledger.ledger.log import Frontier
from careledger.ledger.proof_files import (
    AnchorPart,
    BlockPart,
    HeadPart,
    SignedPart,
    encode_binary,
    encode_map_path,
)
from careledger.ledger.store.lmdb import LmdbKV
from careledger.ledger.verification import HEAD_VALUE, HEADER, KINDS, read_any_trust
from careledger.node import former, founding, handed, pins
from careledger.node.consents import operator_entry
from careledger.node.finality import prove_history
from careledger.node.home import OpenHome
from careledger.primitives.errors import Corrupt, Invalid, Misconfigured, NotFound
from careledger.vault import records
from careledger.vault.commitments import commit, derive
from careledger.vault.envelope import ChartKeys, disclose_access, header_of, open_body
from careledger.vault.model import DIRECTIVE_TYPE, HOUSE_CHART, AccessEntry
from careledger.vault.snapshot import VaultSnapshot
from careledger.vault.tables import ACCESS_LOG, CHART, CHART_KEY, RECORD_LOG

if TYPE_CHECKING:
    from careledger.node.commands import CommandContext, Progress

ENTRIES_MAX: Final = 250_000
"""Versions that one access entry can name, so that one export can hold."""
STEP: Final = 500
_KIND_NAMES: Final = {number: name for name, number in KINDS.items()}


@dataclass(frozen=True, slots=True)
class View:
    """One moment of a chart: the index as of then, and all fields of the export that are in memory."""

    home: OpenHome
    txn: lmdb.Transaction
    snapshot: VaultSnapshot
    chart: int
    keys: ChartKeys
    size: int
    access_size: int
    fields: dict[str, Any]

    def close(self) -> None:
        """Give the index back."""
        self.txn.abort()
        self.snapshot.__exit__()


async def export_chart(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Every entry of a chart's two logs, with its proof, into the file `path` (absolute)."""
    return await _export(node, params, progress, whole=True)


async def export_access_log(
    node: CommandContext, params: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    """Every entry of a chart's access log, with its proof, into the file `path` (absolute)."""
    return await _export(node, params, progress, whole=False)


async def _export(
    node: CommandContext, params: dict[str, Any], progress: Progress, *, whole: bool
) -> dict[str, Any]:
    path = Path(params["path"])
    if not path.is_absolute():
        raise Invalid("the path of an export must be absolute")
    since = _since(node.home, str(params.get("since") or "").encode())
    patient = str(params["patient"])
    with node.reader.snapshot() as snapshot:
        chart = HOUSE_CHART if patient == "house" else snapshot.chart_ever_of(patient)
        if chart is not None and whole and snapshot.is_closed(chart):
            raise NotFound(
                "this chart was shredded", hint="careledger access-log export; careledger shred -o FILE"
            )
    if chart is None:
        raise NotFound("there is no chart of this patient", hint="PATIENT is an id or Patient/ID")
    what = f"Patient/{patient}" if chart else "house"
    async with node.sequencer.steady:
        compose = lambda: _entry_of(node, chart, what, whole=whole)  # noqa: E731
        if params.get("witnessed"):
            view = await _take_witnessed(node, compose, lambda: take_view(node, chart, since, whole=whole))
        else:
            async with node.sequencer.shown(compose):
                view = take_view(node, chart, since, whole=whole)
        write = asyncio.get_running_loop().run_in_executor(None, _write_whole, view, path, progress)
        size = await asyncio.shield(write)
    return {"path": str(path), "bytes": size, "entries": view.size, "accesses": view.access_size}


async def _take_witnessed(
    node: CommandContext, compose: Callable[[], tuple[AccessEntry, ...]], take: Callable[[], View]
) -> View:
    """The view, under its own checkpoint as witnesses signed it. Raises Unavailable if too few of them do."""
    taken: list[View] = []
    try:
        note = await node.witnesses.ask_all(handed=True, compose=compose, take=lambda: taken.append(take()))
        note = node.witnesses.check_enough(note)
    except BaseException:
        for view in taken:
            view.close()
        raise
    sign_with(taken[0], note)
    return taken[0]


def sign_with(view: View, note: SignedCheckpoint) -> None:
    """The view's own checkpoint, with more lines."""
    view.fields["signed"] = SignedPart(note=note.note(), path=view.fields["signed"].path)


def _since(home: OpenHome, checkpoint: bytes) -> tuple[int, ...]:
    """The size of a checkpoint that the export shall continue. Raises where this history does not."""
    if not checkpoint:
        return ()
    trust = read_any_trust(checkpoint)
    ledger = home.the_ledger
    if trust.chain != ledger.chain_id:
        raise Invalid("the checkpoint is of another ledger", hint="name one that this node handed out")
    if trust.size > ledger.height + 1:
        raise Invalid("the checkpoint is later than this node's newest block", hint="careledger fsck --trust")
    check_shown(home, trust.size)
    return (trust.size,)


def check_shown(home: OpenHome, size: int) -> None:
    """Raises Invalid if this node began with a snapshot since: of what was before it has no more than the root."""
    ledger = home.the_ledger
    with home.tables.env.begin() as txn:
        kv = LmdbKV(txn, home.tables.ledger)
        try:
            ledger.history_subtrees(kv, sorted({size, ledger.height + 1}))
        except Corrupt:
            if all(kv.get(block_key(height)) is not None for height in range(size, ledger.height)):
                raise
            raise Invalid(
                "this node began with a snapshot after that checkpoint, and cannot show that the ledger continues it",
                hint="name a checkpoint that this node handed out",
                code="before-the-snapshot",
            ) from None


def _entry_of(node: CommandContext, chart: int, what: str, *, whole: bool) -> tuple[AccessEntry, ...]:
    """The access entry of the export. Called while no group is in progress: the chart does not grow meanwhile."""
    size = count_entries(node.home, chart) if whole else 0
    named = what if whole else f"{what} access log"
    return (operator_entry(node, chart, "export", named, node.home.height, tuple(range(size))),)


def count_entries(home: OpenHome, chart: int) -> int:
    """Entries of a chart's record log. Raises Invalid if an export does not hold so many."""
    with home.tables.env.begin() as txn:
        size = _frontier(txn, home, chart).size
    if size > ENTRIES_MAX:
        raise Invalid(
            f"a chart export holds at most {ENTRIES_MAX} entries", hint="careledger access-log export"
        )
    return size


def _frontier(txn: lmdb.Transaction, home: OpenHome, chart: int) -> Frontier:
    data = txn.get(CHART_KEY.pack(chart), b"", db=home.tables.chart)
    return Frontier.from_bytes(data[CHART.size :])


def take_view(node: CommandContext, chart: int, since: Sequence[int], *, whole: bool) -> View:
    """The chart as it is under the newest block. Call while no group is in progress; its views stay open."""
    home = node.home
    snapshot, txn = node.reader.snapshot(), home.tables.env.begin()
    keys = home.keyring.get(chart)
    ledger, kv, heads = home.the_ledger, LmdbKV(txn, home.tables.ledger), LmdbKV(txn, home.tables.heads)
    head_keys = [founding.head_key(log, keys.handle) for log in (RECORD_LOG, ACCESS_LOG)]
    values = [home.heads.get(heads, key) for key in head_keys]
    if values[0] is None or values[1] is None:
        raise Corrupt("the heads do not hold the chart", hint="run `careledger fsck`")
    (size, root), (access_size, _) = (HEAD_VALUE.decode(value) for value in values if value is not None)
    state = founding.prove_anchor(ledger, kv, home.organisation)
    anchor = founding.read_anchor(state)
    if anchor.root != home.heads.root:
        raise Corrupt("the newest anchor is not of these heads", hint="run `careledger fsck`")
    signed, signed_size = _sign(home, txn)
    sizes = sorted({*handed.read_sizes(txn, home.tables), *since, signed_size})
    sizes = [one for one in sizes if one <= signed_size]
    record_path, access_path = (encode_map_path(home.heads.prove(heads, key).siblings) for key in head_keys)
    fields: dict[str, Any] = {
        "anchor": AnchorPart(
            log=encode_binary(anchor.log_root), seq=anchor.seq, size=anchor.size, time=anchor.time_ms
        ),
        "block": BlockPart(height=ledger.height, time=ledger.time_ms),
        "chain": ledger.chain_id,
        "format": files.CHART_FORMAT if whole else files.ACCESS_LOG_FORMAT,
        "handle": encode_binary(keys.handle),
        "heads": files.HeadsPart(access=access_path, record=record_path),
        "history": files.HistoryPart(
            nodes=encode_binary(b"".join(ledger.history_subtrees(kv, sizes))), sizes=sizes
        ),
        "org": encode_binary(home.organisation),
        "signed": signed,
        "state": encode_map_path(state.proof.siblings),
    }
    pinned = pins.take_pins(home, txn, keys.handle, sizes, signed_size)
    if pinned:
        fields["pins"] = pinned
    past = former.show_former(home, txn, keys.handle) if home.migrated_view is not None else None
    if past is not None:
        fields["former"] = past
    if whole:
        fields["directives"] = _standings(home, snapshot, kv, chart, is_former=past is not None)
    else:
        fields["head"] = HeadPart(root=encode_binary(root), size=size)
    return View(home, txn, snapshot, chart, keys, size if whole else 0, access_size, fields)


def _sign(home: OpenHome, txn: lmdb.Transaction) -> tuple[SignedPart, int]:
    """What is signed of the newest block, and how many leaves the history has that it shows."""
    if home.is_network:
        return home.the_signed_state.sign_with_history(prove_history(home, txn)), home.height
    note, kv = home.sign_checkpoint(txn), LmdbKV(txn, home.tables.ledger)
    size = parse_note(note).checkpoint.size
    path = encode_binary(b"".join(home.the_ledger.history_path(kv, home.height, size)))
    return SignedPart(note=note, path=path), size


def _standings(
    home: OpenHome, snapshot: VaultSnapshot, kv: LmdbKV, chart: int, *, is_former: bool
) -> list[files.StandingPart]:
    """What the ledger says of each directive of the chart, in their order."""
    if not snapshot.is_chart_with(chart, ANYBODY_TERM):
        return []
    ids = [
        part.id[at]
        for part in snapshot.columns(chart)
        if DIRECTIVE_TYPE in part.types
        for at, code in enumerate(part.type)
        if part.types[code] == DIRECTIVE_TYPE
    ]
    return [_standing(home, kv, bytes.fromhex(id), is_former=is_former) for id in dict.fromkeys(ids)]


def _standing(home: OpenHome, kv: LmdbKV, commitment: bytes, *, is_former: bool) -> files.StandingPart:
    proof = home.the_ledger.prove_state(kv, "consent", "directive", commitment)
    path = encode_map_path(proof.proof.siblings)
    if proof.value is None:
        other = proof.proof.other
        return files.StandingPart(
            kept=former.show_kept(home, kv, commitment) if is_former else files.UNSET,
            other=files.UNSET if other is None else encode_binary(b"".join(other)),
            path=path,
        )
    return files.StandingPart(path=path, said=former.show_entry(consent.decode_entry(proof.value)))


# ---- Writing ------------------------------------------------------------------------------------------------


def _write_whole(view: View, path: Path, progress: Progress) -> int:
    try:
        return write_file(path, lambda file: write_export(view, file, progress))
    finally:
        view.close()


def write_file(path: Path, write: Callable[[IO[bytes]], int]) -> int:
    """The file, whole or not at all, for its owner alone. Returns its bytes."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb", buffering=1 << 20) as file:
                size = write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise Misconfigured(
            f"the export cannot be written: {error.strerror}", hint="name a file in a folder with room"
        ) from None
    return size


def write_export(view: View, file: Sink, progress: Progress) -> int:
    """Every field in the order of RFC 8785. Returns how many bytes."""
    writer = ExportWriter(file)
    total = view.size + view.access_size
    report = _reporter(progress, total)
    lists: dict[str, Callable[[], Iterator[Any]]] = {"access": lambda: _accesses(view, report)}
    if view.size:
        lists["entries"] = lambda: _entries(view, report)
    for name in sorted(view.fields.keys() | lists.keys()):
        if name in lists:
            writer.items(name, lists[name]())
        else:
            writer.field(name, view.fields[name])
    writer.end()
    return writer.bytes


def _reporter(progress: Progress, total: int) -> Callable[[], None]:
    done = 0

    def report() -> None:
        nonlocal done
        done += 1
        if done % STEP == 0 or done == total:
            progress({"what": "exporting", "done": done, "total": total})

    return report


def _accesses(view: View, report: Callable[[], None]) -> Iterator[AccessPart]:
    for index in range(view.access_size):
        record = records.unpack_access(view.snapshot.record(view.chart, ACCESS_LOG, index))
        _, content, salt = disclose_access(view.keys, view.chart, index, record.leaf, record.sealed)
        yield AccessPart(content=encode_binary(content), salt=encode_binary(salt))
        report()


def _entries(view: View, report: Callable[[], None]) -> Iterator[EntryPart]:
    for index in range(view.size):
        yield _entry(view, index)
        report()


def _entry(view: View, index: int) -> EntryPart:
    """One leaf of the record log: opened, or bare if it was erased. Raises Corrupt rather than write what the leaf
    does not commit to."""
    leaf, opened, sealed_body = view.snapshot.open_leaf(view.chart, index)
    if opened is None:
        return EntryPart(leaf=encode_binary(leaf))
    body = open_body(view.keys, opened, sealed_body)
    _, salt = derive(opened.secret)
    encoded = header_of(view.keys, opened, body)
    if commit(salt, encoded) != leaf:
        raise Corrupt("a commitment is not what was committed", hint="run `careledger fsck`")
    header = HEADER.decode(encoded)
    return EntryPart(
        author=header.author,
        body=body.decode(),
        id=header.id,
        kind=_KIND_NAMES[header.kind],
        salt=encode_binary(salt),
        time=header.time_ms,
        type=header.type,
        version=header.version,
    )
