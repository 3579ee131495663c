#!/usr/bin/env python3
"""Write the `.pyi` beside each module whose classes are built from a table of messages."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from careledger.engine.privval_table import PRIVVAL  # noqa: E402
from careledger.ledger.consensus.abci.table import ABCI  # noqa: E402
from careledger.ledger.consensus.abci.wire import SCALARS, WELL_KNOWN, Field, Table  # noqa: E402

TABLES: dict[str, tuple[Table, str]] = {
    "careledger/ledger/consensus/abci/schema.pyi": (ABCI, ""),
    "careledger/engine/privval.pyi": (
        PRIVVAL,
        "\nfrom careledger.ledger.consensus.abci.schema import PublicKey\n",
    ),
}
PYTHON = {"bool": "bool", "bytes": "bytes", "string": "str"}
HEAD = """# Written by tools/build_message_types.py from the table; do not edit.
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.internal.containers import RepeatedCompositeFieldContainer, RepeatedScalarFieldContainer
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
"""


def main() -> int:
    """Write every file."""
    for name, (table, imports) in TABLES.items():
        (ROOT / name).write_text(compute_types(table, imports), "utf-8")
    return 0


def compute_types(table: Table, imports: str) -> str:
    """The file's content."""
    fields = [field for name in table.messages for field in table.fields(name)]
    used = {field.type for field in fields}
    head = HEAD
    for line in HEAD.splitlines():
        name = line.rsplit(" ", 1)[-1]
        if name in WELL_KNOWN and name not in used:
            head = head.replace(line + "\n", "")
    if not any(field.repeated for field in fields):
        head = "".join(line + "\n" for line in head.splitlines() if "containers" not in line)
        head = head.replace("Iterable, Mapping", "Mapping")
    return head + imports + "".join(_compute_class(table, name) for name in table.messages)


def _compute_class(table: Table, name: str) -> str:
    fields = table.fields(name)
    lines = [f"\nclass {name}(Message):\n"]
    lines += [_compute_attribute(field) for field in fields]
    arguments = "".join(f", {field.name}: {_compute_argument(field)} = ..." for field in fields)
    star = ", *" if fields else ""
    lines.append(f"    def __init__(self{star}{arguments}) -> None: ...\n")
    return "".join(lines)


def _compute_attribute(field: Field) -> str:
    if field.type in SCALARS and not field.repeated:
        return f"    {field.name}: {PYTHON.get(field.type, 'int')}\n"
    if not field.repeated:
        return f"    @property\n    def {field.name}(self) -> {field.type}: ...\n"
    kind = "Scalar" if field.type in SCALARS else "Composite"
    held = PYTHON.get(field.type, "int") if field.type in SCALARS else field.type
    return f"    @property\n    def {field.name}(self) -> Repeated{kind}FieldContainer[{held}]: ...\n"


def _compute_argument(field: Field) -> str:
    if field.type in SCALARS:
        held = PYTHON.get(field.type, "int")
        return f"Iterable[{held}]" if field.repeated else held
    held = f"{field.type} | Mapping[str, Any]"
    return f"Iterable[{held}]" if field.repeated else f"{field.type} | Mapping[str, Any] | None"


if __name__ == "__main__":
    sys.exit(main())
