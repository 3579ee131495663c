"""What the vault takes and gives: versions, rows, access entries, commits.

These types are the seam between the rooms above (`fhir`, `access`, `node`) and the sealed store. They name no
storage and no key, so a handler can be tested with a snapshot of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

VERSION_LEAF = 1
"""Kind of leaf of a resource's version, also of a deletion's; others are in `vault.commitments.Kind`."""
DIRECTIVE_TYPE = "Directive"
CONTROLLER_TYPE = "Controller"
KEY_EVENT_TYPE = "KeyEvent"
EMERGENCY_TYPE = "EmergencyAccess"
LEAF_TYPES = frozenset((DIRECTIVE_TYPE, CONTROLLER_TYPE, KEY_EVENT_TYPE, EMERGENCY_TYPE))
"""Types of chart leaves that are no FHIR resources: what lists a chart's resources leaves them out."""
HOUSE_CHART = 0
"""Number of the organisation's own chart: resources that name no patient."""


class ResourceWrite(msgspec.Struct, frozen=True):
    """One new version of a resource, decided but not yet sealed.

    `expected_version` is the current version the author based this on; 0 says that the resource must not exist.
    The new version is always `expected_version + 1`. `body` is the canonical JSON that will be served, `None` a
    deletion. `patients` are the logical ids of the Patients whose charts hold it: the first seals it, the others
    log it; none means the house chart. `values` and the terms come from `fhir.search.extract`. `put_created` says that
    a PUT makes a resource that is not there: an update-as-create, or one that brings a deleted one back.
    `kind` is that of the leaf: what is no FHIR resource (a directive, an enrolled key) is stored in the same way,
    under a `type` that R4 does not define, so that no FHIR interaction reaches it.
    """

    type: str
    id: str
    expected_version: int
    body: bytes | None
    time_ms: int
    patients: tuple[str, ...] = ()
    author: str = ""
    values: bytes = b""
    terms: tuple[bytes, ...] = ()
    chart_terms: tuple[bytes, ...] = ()
    put_created: bool = False
    kind: int = VERSION_LEAF


class AccessEntry(msgspec.Struct, frozen=True, gc=False):
    """Who had what of a chart, on what authority: durable before the answer leaves.

    `leaves` are record-log positions of the versions that leave. Denials, counts and empty answers name
    `HOUSE_CHART` and carry what was asked in `what` (sealed like everything else).
    """

    chart: int
    request_id: bytes  # 16 bytes
    actor: str
    client: str
    organisation: str
    purpose: str
    rule: str
    permitted: bool
    kind: str  # read | vread | search | history | everything | export | denied | empty | count | …
    what: str
    height: int
    time_ms: int
    leaves: tuple[int, ...] = ()
    directives: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    subject: str = ""
    """Roles of the caller, and the token's subject if `actor` is a practitioner: a directive may name either."""


class Commit(msgspec.Struct, frozen=True):
    """All or nothing: every version and entry becomes durable together, or none does."""

    writes: tuple[ResourceWrite, ...] = ()
    accesses: tuple[AccessEntry, ...] = ()
    transactions: tuple[bytes, ...] = ()
    events: tuple[bytes, ...] = ()  # node events (revoked tokens), packed; no patient data


class CommitResult(msgspec.Struct, frozen=True, gc=False):
    """Where the commit became durable: the block's height."""

    height: int


class Version(msgspec.Struct, frozen=True, gc=False):
    """A stored version, found but not opened: `Snapshot.body` opens it."""

    type: str
    id: str
    version: int
    deleted: bool
    time_ms: int
    height: int
    chart: int
    leaf: int  # position in the chart's record log
    links: tuple[tuple[int, int], ...] = ()  # (chart, leaf) in each further chart that holds it
    erased: bool = False  # its secret is destroyed: there is no body any more; `deleted` is True as well
    linked: bool = False  # the leaf is a link: the chart that sealed the body was shredded


class Row(msgspec.Struct, frozen=True, gc=False):
    """One opened index row: holds from `height` until the next row of the same resource in the same chart."""

    number: int  # position among the chart's rows
    type: str
    id: str
    version: int
    deleted: bool
    moved: bool  # the resource left this chart with this row
    time_ms: int
    height: int
    leaf: int
    values: bytes


ROW_DELETED = 1
ROW_MOVED = 2


class RowNumbers(NamedTuple):
    """The columns of rows that few who read rows need of many of them."""

    id: Sequence[str]
    time_ms: Sequence[int]
    height: Sequence[int]
    leaf: Sequence[int]


class RowColumns:
    """Consecutive rows of a chart by column, the first of them number `first`: what searches read.

    `type` holds positions in `types`; `flags` has ROW_DELETED and ROW_MOVED. `numbers` may be given as a function: it
    is called when one of its columns is first asked for, and may raise Corrupt. `size` is what all takes until then.
    """

    __slots__ = ("_numbers", "first", "flags", "size", "type", "types", "values", "version")

    def __init__(
        self,
        first: int,
        types: Sequence[str],
        type: bytes,
        version: Sequence[int],
        flags: bytes,
        values: Sequence[bytes],
        numbers: RowNumbers | Callable[[], RowNumbers],
        size: int,
    ) -> None:
        self.first = first
        self.types = types
        self.type = type
        self.version = version
        self.flags = flags
        self.values = values
        self.size = size
        self._numbers = numbers

    @property
    def numbers(self) -> RowNumbers:
        """What is read late."""
        if not isinstance(self._numbers, RowNumbers):
            self._numbers = self._numbers()
        return self._numbers

    @property
    def is_read(self) -> bool:
        """Whether `numbers` was asked for."""
        return isinstance(self._numbers, RowNumbers)

    @property
    def id(self) -> Sequence[str]:
        return self.numbers.id

    @property
    def time_ms(self) -> Sequence[int]:
        return self.numbers.time_ms

    @property
    def height(self) -> Sequence[int]:
        return self.numbers.height

    @property
    def leaf(self) -> Sequence[int]:
        return self.numbers.leaf

    def __len__(self) -> int:
        return len(self.type)


class BlockMark(msgspec.Struct, frozen=True, gc=False):
    """The newest block of a network as this node has it: its time, and when it came here, by the machine's monotonic
    clock; None if no block came since the node was started."""

    time_ms: int
    committed_ms: int | None


Level = Literal["pending", "anchored", "final"]
"""How far a version's proof is: in no block yet; anchored in one; in a state that the validators have signed."""


class Snapshot(Protocol):
    """A consistent view of everything committed at `height`. Cheap; close it before awaiting anything.

    `height` rises with every commit; embedded it is the ledger's. `ledger_height` is that of the newest block.
    """

    height: int

    @property
    def ledger_height(self) -> int:
        """Height of the newest block that the view holds: what directives and decisions count by."""

    @property
    def block(self) -> BlockMark | None:
        """The newest block that the view holds; None where the home orders its own: nobody else knows a newer one."""

    def level(self, version: Version) -> Level:
        """How far the version's proof is. Embedded a version is anchored before it is acknowledged."""

    def current(self, type: str, id: str) -> Version | None:
        """The newest version (it may be a deletion), or None if there never was one."""

    def version(self, type: str, id: str, version: int) -> Version | None:
        """That version, or None."""

    def versions(self, type: str, id: str) -> list[Version]:
        """All versions, newest first; empty if unknown."""

    def body(self, version: Version) -> bytes:
        """The canonical JSON as committed. Raises Corrupt rather than return an altered byte."""

    def bodies(self, versions: Sequence[Version], bytes_max: int | None = None) -> list[bytes]:
        """`body` of each, in order, in one go; with `bytes_max` of the first that fit together, one at least."""

    def put_created(self, version: Version) -> bool:
        """Whether a PUT made the resource with this version (see `ResourceWrite`). Raises Corrupt as `body` does."""

    def chart_of(self, patient_id: str) -> int | None:
        """Number of the chart of Patient/`patient_id` (the Patient resource need not exist)."""

    def chart_numbers(self) -> list[int]:
        """All charts, the house chart first."""

    def chart_ever_of(self, patient_id: str) -> int | None:
        """As `chart_of`, but for a shredded chart too: its access log outlives it, and its patient's id."""

    def is_closed(self, chart: int) -> bool:
        """Whether the chart was shredded: of its record log only the close leaf can be opened."""

    def is_erased(self, chart: int, leaf: int) -> bool:
        """Whether the record-log leaf can never be opened again: a bare leaf in exports."""

    def row_count(self, chart: int) -> int:
        """How many rows the chart has: a cached chart index is valid up to this number."""

    def record_count(self, chart: int) -> int:
        """Entries of the chart's record log."""

    def rows(self, chart: int, start: int = 0) -> list[Row]:
        """The chart's rows from `start` on, opened, in the order of commitment."""

    def columns(self, chart: int, start: int = 0) -> list[RowColumns]:
        """The same rows by column, in parts that follow each other."""

    def row(self, chart: int, number: int) -> Row | None:
        """One row, opened alone."""

    def access_count(self, chart: int) -> int:
        """How many access entries of the chart are indexed: what was durable at the last block, at least."""

    def accesses(self, chart: int, start: int, stop: int) -> list[AccessEntry]:
        """The chart's access entries from `start` up to before `stop`, opened and checked. Raises Corrupt."""

    def state(self, key: bytes) -> bytes | None:
        """The ledger's value of a state key (`ledger.kernel.compute_state_key`), as of `height`."""

    def former_state(self, key: bytes) -> bytes | None:
        """The same in the embedded ledger with which the home came to its network, as it ended; None if there is none."""

    def find(self, term: bytes) -> list[tuple[int, int]]:
        """(chart, row number) of rows written with this resource-level term; superseded rows included."""

    def charts_with(self, chart_term: bytes) -> list[int]:
        """Charts in which some row was ever written with this chart-level term."""

    def is_chart_with(self, chart: int, chart_term: bytes) -> bool:
        """Whether `charts_with` holds this chart: one look, about a microsecond."""

    def place(self, chart: int) -> tuple[bytes, bytes]:
        """Organisation (the bytes of its DID) and handle of the chart, 32 bytes each. Raises Corrupt if it is gone."""

    def __enter__(self) -> Snapshot: ...
    def __exit__(self, *exc: object) -> None: ...
