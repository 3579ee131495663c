"""Index rows, one by one or by column: the same rows, both ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from careledger.vault.model import ROW_DELETED, ROW_MOVED, Row, RowColumns

_DELETED: Final = tuple(bool(flags & ROW_DELETED) for flags in range(4))
_MOVED: Final = tuple(bool(flags & ROW_MOVED) for flags in range(4))


def columns_of(rows: Sequence[Row]) -> RowColumns:
    """At least one row, their numbers following each other, by column."""
    types = sorted({row.type for row in rows})
    index = {name: at for at, name in enumerate(types)}
    return RowColumns(
        rows[0].number,
        types,
        [index[row.type] for row in rows],
        [row.id for row in rows],
        [row.version for row in rows],
        bytes([row.deleted * ROW_DELETED | row.moved * ROW_MOVED for row in rows]),
        [row.time_ms for row in rows],
        [row.height for row in rows],
        [row.leaf for row in rows],
        [row.values for row in rows],
    )


def rows_of(columns: RowColumns) -> list[Row]:
    """Each row by itself."""
    first, flags, types = columns.first, columns.flags, columns.types
    return list(
        map(
            Row,
            range(first, first + len(columns)),
            [types[index] for index in columns.type],
            columns.id,
            columns.version,
            [_DELETED[flag] for flag in flags],
            [_MOVED[flag] for flag in flags],
            columns.time_ms,
            columns.height,
            columns.leaf,
            columns.values,
        )
    )


def row_at(columns: RowColumns, at: int) -> Row:
    """The row at that position, by itself."""
    flags = columns.flags[at]
    return Row(
        columns.first + at,
        columns.types[columns.type[at]],
        columns.id[at],
        columns.version[at],
        _DELETED[flags],
        _MOVED[flags],
        columns.time_ms[at],
        columns.height[at],
        columns.leaf[at],
        columns.values[at],
    )


def from_row(columns: RowColumns, start: int) -> RowColumns:
    """The columns from row number `start` on, which is one of theirs."""
    skip = start - columns.first
    if not skip:
        return columns
    return RowColumns(
        start,
        columns.types,
        columns.type[skip:],
        columns.id[skip:],
        columns.version[skip:],
        columns.flags[skip:],
        columns.time_ms[skip:],
        columns.height[skip:],
        columns.leaf[skip:],
        columns.values[skip:],
    )
