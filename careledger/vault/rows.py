"""Index rows, one by one or by column: the same rows, both ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from careledger.vault.model import ROW_DELETED, ROW_MOVED, Row, RowColumns, RowNumbers

_DELETED: Final = tuple(bool(flags & ROW_DELETED) for flags in range(4))
_MOVED: Final = tuple(bool(flags & ROW_MOVED) for flags in range(4))


def columns_of(rows: Sequence[Row]) -> RowColumns:
    """At least one row, their numbers following each other, by column."""
    types = sorted({row.type for row in rows})
    index = {name: at for at, name in enumerate(types)}
    values = [row.values for row in rows]
    return RowColumns(
        rows[0].number,
        types,
        bytes([index[row.type] for row in rows]),
        [row.version for row in rows],
        bytes([row.deleted * ROW_DELETED | row.moved * ROW_MOVED for row in rows]),
        values,
        RowNumbers(
            [row.id for row in rows],
            [row.time_ms for row in rows],
            [row.height for row in rows],
            [row.leaf for row in rows],
        ),
        sum(map(len, values)),
    )


def joined(before: RowColumns, after: RowColumns) -> RowColumns:
    """Both, where one follows the other, as one."""
    types = list(before.types)
    types += [name for name in after.types if name not in types]
    table = bytes([types.index(name) for name in after.types]).ljust(256, b"\0")
    return RowColumns(
        before.first,
        types,
        before.type + after.type.translate(table),
        [*before.version, *after.version],
        before.flags + after.flags,
        [*before.values, *after.values],
        RowNumbers(
            [*before.id, *after.id],
            [*before.time_ms, *after.time_ms],
            [*before.height, *after.height],
            [*before.leaf, *after.leaf],
        ),
        before.size + after.size,
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
    values = columns.values[skip:]
    return RowColumns(
        start,
        columns.types,
        columns.type[skip:],
        columns.version[skip:],
        columns.flags[skip:],
        values,
        RowNumbers(columns.id[skip:], columns.time_ms[skip:], columns.height[skip:], columns.leaf[skip:]),
        sum(map(len, values)),
    )
