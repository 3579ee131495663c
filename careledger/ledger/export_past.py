"""What an export says of the past against what was known then: pinned blocks, and an export of before.

Order within a log does not date an entry: a chart that lay still could be given old entries later. Blocks that were
pinned do, and so does an earlier export. Pure. Errors: VerificationFailed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

import msgspec

from careledger.ledger.access_content import AccessContent
from careledger.ledger.export_consent import ACTIVE
from careledger.ledger.export_files import UNSET, StandingPart
from careledger.ledger.export_former import SaidPart
from careledger.ledger.pins import PinPart
from careledger.primitives.errors import VerificationFailed

LATE_MS_MAX: Final = 3_600_000
"""How much later than it says something may have been recorded."""
REVOKED: Final = 2


def check_dated(
    pins: Sequence[PinPart],
    times: Sequence[int],
    entries: Sequence[AccessContent],
    end_ms: int,
) -> None:
    """What entered a log after a pinned block is not dated, nor decided, more than an hour before that block.

    `times` are those of the record log's entries (none, if they are not in the file), 0 for a bare one; `entries` are
    the access log's, `end_ms` is the time of the export's block. The pins hold: `check_pins`. Not for
    networks: what is recorded there may wait for its block, for as long as no block is made.
    """
    blocks = [pin.block.time for pin in pins]
    if blocks != sorted(blocks):
        raise _refused("the pinned blocks are not in the order of their times")
    records = _fill(times, end_ms) if times else []
    accesses = _fill([entry.time_ms for entry in entries], end_ms)
    for pin, block_ms in zip(pins, blocks, strict=True):
        since = block_ms - LATE_MS_MAX
        if accesses[pin.access.size] < since or (records and records[pin.records.size] < since):
            raise _refused(f"an entry is dated back: it was not there yet at block {pin.block.height}")
    for number, entry in enumerate(entries):
        at = bisect_right(blocks, entry.time_ms - LATE_MS_MAX)
        if at and entry.height < pins[at - 1].block.height:
            raise _refused(f"access entry {number} was decided by a state long past")


def _fill(times: Sequence[int], end_ms: int) -> list[int]:
    """The times, `end_ms` after the last; what says none is as of the next that does."""
    filled = [*times, end_ms]
    for number in range(len(times) - 1, -1, -1):
        filled[number] = filled[number] or filled[number + 1]
    return filled


def check_kept(now: Sequence[str], before: Sequence[str], lasting: Sequence[str]) -> None:
    """What was opened before, of a type that no erasure reaches, is opened still ("" is bare)."""
    for number, (type, was) in enumerate(zip(now, before, strict=False)):
        if not type and was in lasting:
            raise _refused(f"entry {number} was withheld since: a {was} cannot be erased")


def check_standings(
    now: Sequence[StandingPart], before: Sequence[StandingPart], height: int, *, is_network: bool
) -> None:
    """What the ledger said of a directive at `height` it says still, unless it was revoked since: for good.

    A directive that is new in the chart was granted since; on a network its grant may be there before its leaf.
    """
    for number, part in enumerate(now[: len(before)] if is_network else now):
        said = part.said
        was = before[number].said if number < len(before) else UNSET
        if was is UNSET:
            if said is not UNSET and said.height <= height:
                raise _refused(f"directive {number} is dated back")
        elif said is UNSET or not (said == was or _has_ended(said, was, height)):
            raise _refused(f"directive {number} was changed since, or revived after its revocation")


def _has_ended(said: SaidPart, was: SaidPart, height: int) -> bool:
    """It was active, and was revoked after `height`; nothing else of it changed."""
    ended = msgspec.structs.replace(was, status=REVOKED, height=said.height)
    return was.status == ACTIVE and said.height > height and said == ended


def _refused(message: str) -> VerificationFailed:
    return VerificationFailed(message, hint="keep both files: the custodian did what it may not")
