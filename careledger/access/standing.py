"""How the directives of charts stand: opened once a process, their status read from the ledger at every height.

What a directive says never changes, so an opened chart stays open and only its newer rows are read. Its status may
change with any block: it is kept for one height and read again at the next, so a revocation acts at its block, for
charts that were open long before too.

A directive counts as bound if the key that was enrolled when it came into the chart signed it. The first enrolled key
is the first leaf of its kind; one that its predecessor did not sign is no key of this chart. Signatures are checked
when somebody asks whom they concern, once. One `Standing` serves one process; it is not for several threads.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar, cast

from msgspec.structs import replace

from careledger.access.actor import Actor
from careledger.access.directives import (
    ANYBODY_TERM,
    Controller,
    Directive,
    DirectiveLeaf,
    Grantee,
    Status,
    Text,
    decode_controller,
    decode_leaf,
    decode_text,
    denial_term,
    from_base64,
    grantee_term,
    is_bound,
)
from careledger.access.force import grantees_of
from careledger.access.grants import follows
from careledger.contracts.adoption import decode_followed, followed_key
from careledger.contracts.consent import (
    ACTIVE,
    ENTRY,
    REVOKED,
    compute_key_hash,
    decode_entry,
    entry_key,
    withdrawal_keys,
)
from careledger.primitives.errors import Invalid
from careledger.vault.model import CONTROLLER_TYPE, DIRECTIVE_TYPE, RowColumns, Snapshot, Version

DIRECTIVES_KEPT = 50_000
"""Opened directives a process keeps, about 1 kB each: the chart asked for least recently goes first."""
SHARED_KEPT = 16_384


@dataclass(slots=True)
class _Opened:
    """One directive of a chart, and how it stood when it was asked for last.

    Its entry stands under `state_key`, or followed from an embedded ledger of the chart's organisation: what was
    decided on the network's ledger itself comes first.
    """

    row: int
    version: Version
    text: Text
    state_key: bytes
    followed_key: bytes
    key_hash: bytes
    controller: Controller | None
    entry: bytes | None = None
    standing: Directive | None = None
    """As `entry` says, the ledger's bytes at `height`; None until somebody asked."""
    height: int = -1


@dataclass(slots=True)
class _Chart:
    """What is open of one chart: its first `rows` rows."""

    rows: int = 0
    controller: Controller | None = None
    opened: list[_Opened] = field(default_factory=list)
    naming: dict[Grantee, list[int]] = field(default_factory=dict)
    superseding: dict[str, list[int]] = field(default_factory=dict)
    forms: dict[str, int] = field(default_factory=dict)
    """Id of a directive's FHIR Consent -> place of the directive."""

    def add(self, one: _Opened, form: str) -> None:
        place = len(self.opened)
        self.opened.append(one)
        self.forms.setdefault(form, place)
        for grantee in one.text.grantees:
            self.naming.setdefault(grantee, []).append(place)
        if one.text.supersedes:
            self.superseding.setdefault(one.text.supersedes, []).append(place)

    def concerning(self, grantees: frozenset[Grantee]) -> list[_Opened]:
        """Those that name one of these, and those that supersede one that does; in the chart's order."""
        named = {place for grantee in grantees for place in self.naming.get(grantee, ())}
        if self.superseding:
            for place in tuple(named):
                named.update(self.superseding.get(self.opened[place].version.id, ()))
        return [self.opened[place] for place in sorted(named)]


class Standing:
    """The directives of charts, as of a snapshot. Give a snapshot that is newer than those given before."""

    def __init__(self, directives_kept: int = DIRECTIVES_KEPT) -> None:
        self._charts: OrderedDict[int, _Chart] = OrderedDict()
        self._kept = 0
        self._kept_max = directives_kept

    def clear(self) -> None:
        """Forget every chart: something was erased."""
        self._charts.clear()
        self._kept = 0
        _kept.cache_clear()

    def directives(self, snapshot: Snapshot, chart: int, actor: Actor) -> tuple[Directive, ...]:
        """All that `decide` needs of the chart's directives for this caller: others change no decision on them."""
        if not snapshot.is_chart_with(chart, ANYBODY_TERM):
            return ()
        opened, rows = self._chart(snapshot, chart)
        return _stand_all(snapshot, opened.concerning(grantees_of(actor)), rows)

    def all_directives(self, snapshot: Snapshot, chart: int) -> tuple[Directive, ...]:
        """Every directive of the chart, in the order in which they came; for lists and explanations."""
        if not snapshot.is_chart_with(chart, ANYBODY_TERM):
            return ()
        opened, rows = self._chart(snapshot, chart)
        return _stand_all(snapshot, opened.opened, rows)

    def is_form(self, snapshot: Snapshot, chart: int, consent: str) -> bool:
        """Whether a directive of the chart, in force or not, names this FHIR Consent as its readable form."""
        if not snapshot.is_chart_with(chart, ANYBODY_TERM):
            return False
        opened, rows = self._chart(snapshot, chart)
        place = opened.forms.get(consent)
        return place is not None and opened.opened[place].row < rows

    def charts(self, snapshot: Snapshot) -> frozenset[int]:
        """Charts that hold a directive: all others have none. For searches, once each."""
        return frozenset(snapshot.charts_with(ANYBODY_TERM))

    def charts_granted(self, snapshot: Snapshot, actor: Actor) -> frozenset[int]:
        """Charts in which some directive, in force or not, names this caller: only these can open to a stranger."""
        return frozenset(
            chart for one in grantees_of(actor) for chart in snapshot.charts_with(grantee_term(one))
        )

    def charts_denied(self, snapshot: Snapshot, actor: Actor) -> frozenset[int]:
        """Charts in which some directive, in force or not, denies this caller something."""
        return frozenset(
            chart for one in grantees_of(actor) for chart in snapshot.charts_with(denial_term(one))
        )

    def _chart(self, snapshot: Snapshot, number: int) -> tuple[_Chart, int]:
        """The chart opened as far as the snapshot goes, and how far that is: another one may have gone further."""
        chart = self._charts.get(number)
        if chart is None:
            chart = self._charts[number] = _Chart()
        else:
            self._charts.move_to_end(number)
        rows = snapshot.row_count(number)
        if rows > chart.rows:
            before = len(chart.opened)
            for part in snapshot.columns(number, chart.rows):
                _open(snapshot, number, chart, part)
            chart.rows = rows
            self._kept += len(chart.opened) - before
            self._shrink()
        return chart, rows

    def _shrink(self) -> None:
        while self._kept > self._kept_max and len(self._charts) > 1:
            self._kept -= len(self._charts.popitem(last=False)[1].opened)


def _open(snapshot: Snapshot, number: int, chart: _Chart, part: RowColumns) -> None:
    """Take in the directives and enrolled keys among these rows. What cannot be read has no force."""
    wanted = [part.types.index(type) for type in (DIRECTIVE_TYPE, CONTROLLER_TYPE) if type in part.types]
    if not wanted:
        return
    for at, code in enumerate(part.type):
        # A directive is what its first version says: nothing that came later changes or removes it.
        if code not in wanted or part.version[at] != 1 or part.flags[at]:
            continue
        type, id = part.types[code], part.id[at]
        version = Version(type, id, 1, False, part.time_ms[at], part.height[at], number, part.leaf[at])
        try:
            if type == CONTROLLER_TYPE:
                _open_controller(snapshot, number, chart, version)
            else:
                leaf = decode_leaf(snapshot.body(version))
                chart.add(_open_directive(snapshot, chart, version, leaf, part.first + at), leaf.consent)
        except Invalid:
            continue


def _open_controller(snapshot: Snapshot, number: int, chart: _Chart, version: Version) -> None:
    leaf = decode_controller(snapshot.body(version))
    enrolled = follows(chart.controller, leaf, snapshot.place(number))
    if enrolled is not None and version.id == enrolled.id:
        chart.controller = enrolled


def _open_directive(
    snapshot: Snapshot, chart: _Chart, version: Version, leaf: DirectiveLeaf, row: int
) -> _Opened:
    text = _compact(decode_text(from_base64(leaf.text)))
    key_hash = compute_key_hash(from_base64(leaf.key))
    state_key = entry_key(_commitment(version.id))
    followed = followed_key(snapshot.place(version.chart)[0], state_key)
    return _Opened(row, version, text, state_key, followed, key_hash, chart.controller)


def _compact(text: Text) -> Text:
    """The same text; what many directives have in common is kept once."""
    return replace(
        text,
        actions=_shared(text.actions),
        categories=_shared(text.categories),
        grantees=_shared(text.grantees),
        handle=_shared(text.handle),
        labels=_shared(text.labels),
        organisation=_shared(text.organisation),
        purposes=_shared(text.purposes),
        types=_shared(text.types),
    )


T = TypeVar("T")


@lru_cache(SHARED_KEPT)
def _kept(value: object) -> object:
    return value


def _shared(value: T) -> T:
    """An equal value, the same one for all who ask with it."""
    return cast("T", _kept(value))


def _commitment(id: str) -> bytes:
    try:
        return bytes.fromhex(id)
    except ValueError:
        raise Invalid("a directive's id is no commitment") from None


def _stand_all(snapshot: Snapshot, found: list[_Opened], rows: int) -> tuple[Directive, ...]:
    return tuple([_stand(snapshot, one) for one in found if one.row < rows])


def _stand(snapshot: Snapshot, one: _Opened) -> Directive:
    """The directive at the snapshot's height."""
    before = one.standing
    if before is not None and one.height == snapshot.height:
        return before
    entry = snapshot.state(one.state_key) or _followed(
        snapshot, one.followed_key, one.state_key, one.version.id
    )
    if before is None or entry != one.entry:
        bound = _is_bound(snapshot, one) if before is None else before.bound
        status, height = _status(one, entry)
        one.standing = before = Directive(one.version.id, one.text, status, bound, height)
        one.entry = entry
    one.height = snapshot.height
    return before


def read_entry(snapshot: Snapshot, organisation: bytes, id: str) -> bytes | None:
    """How a directive of this organisation's charts stands on the ledger, or followed from its embedded one."""
    state_key = entry_key(_commitment(id))
    followed = followed_key(organisation, state_key)
    return snapshot.state(state_key) or _followed(snapshot, followed, state_key, id)


def _followed(snapshot: Snapshot, key: bytes, state_key: bytes, id: str) -> bytes | None:
    """The entry in the embedded ledger from which the organisation came, if it did; revoked if it was since.

    Until it has followed, the home's own copy of that ledger says it: what a patient denied is denied meanwhile.
    """
    raw = snapshot.state(key)
    kept = snapshot.former_state(state_key) if raw is None else decode_followed(raw)
    if kept is None:
        return None
    entry = decode_entry(kept)
    revocations = withdrawal_keys(_commitment(id), entry)
    if any(snapshot.state(key) is not None for key in revocations):
        return ENTRY.encode(dataclasses.replace(entry, status=REVOKED))
    return kept


def _status(one: _Opened, entry: bytes | None) -> tuple[Status, int]:
    """What the ledger says, and since when. An entry under another key or for another time is not this directive's."""
    if entry is None:
        return "unknown", 0
    found = decode_entry(entry)
    if found.key_hash != one.key_hash or found.until_day != one.text.until_day:
        return "unknown", found.height
    return ("active" if found.status == ACTIVE else "revoked"), found.height


def _is_bound(snapshot: Snapshot, one: _Opened) -> bool:
    if one.controller is None:
        return False
    organisation, handle = snapshot.place(one.version.chart)
    leaf = decode_leaf(snapshot.body(one.version))
    return is_bound(one.version.id, leaf, one.controller.key, organisation, handle)
