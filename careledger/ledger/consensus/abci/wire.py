"""Protobuf message classes from a literal table: no generated code.

A table maps a message to its fields, each `NUMBER NAME TYPE`, separated by commas. TYPE is a scalar of protobuf, or a
message of this or a needed table; `repeated` stands before it. Enumerations are declared `int32`, which is the same on
the wire and keeps unknown values. A message's fields are one `oneof` if `oneofs` names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from google.protobuf import descriptor_pool, duration_pb2, message_factory, timestamp_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message import Message

SCALARS: Final = {
    "bool": FieldDescriptor.TYPE_BOOL,
    "bytes": FieldDescriptor.TYPE_BYTES,
    "int32": FieldDescriptor.TYPE_INT32,
    "int64": FieldDescriptor.TYPE_INT64,
    "sfixed64": FieldDescriptor.TYPE_SFIXED64,
    "string": FieldDescriptor.TYPE_STRING,
    "uint32": FieldDescriptor.TYPE_UINT32,
    "uint64": FieldDescriptor.TYPE_UINT64,
}
WELL_KNOWN: Final = {
    "Timestamp": (timestamp_pb2.DESCRIPTOR.name, ".google.protobuf.Timestamp"),
    "Duration": (duration_pb2.DESCRIPTOR.name, ".google.protobuf.Duration"),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message."""

    number: int
    name: str
    type: str
    repeated: bool


@dataclass(frozen=True, slots=True)
class Table:
    """The messages of one package. Package and message names never travel: only field numbers do."""

    package: str
    messages: Mapping[str, str]
    oneofs: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[Table, ...] = ()

    def fields(self, message: str) -> tuple[Field, ...]:
        """The fields of a message, in the table's order."""
        return tuple(_read_field(text) for text in self.messages[message].split(",") if text.strip())

    def find(self, type: str) -> tuple[str, str]:
        """File and full name of a message. Raises KeyError if no table has it."""
        if type in WELL_KNOWN:
            return WELL_KNOWN[type]
        if type in self.messages:
            return self.package, f".{self.package}.{type}"
        for table in self.needs:
            if type in table.messages:
                return table.find(type)
        raise KeyError(type)


def _read_field(text: str) -> Field:
    number, name, *rest = text.split()
    return Field(int(number), name, rest[-1], rest[0] == "repeated")


def build_classes(table: Table) -> dict[str, type[Message]]:
    """The class of each message of the table."""
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(_make_file(table).SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{table.package}.{name}"))
        for name in table.messages
    }


def _make_file(table: Table) -> FileDescriptorProto:
    file = FileDescriptorProto(name=table.package, package=table.package, syntax="proto3")
    needed = set()
    for name in table.messages:
        message = file.message_type.add(name=name)
        if name in table.oneofs:
            message.oneof_decl.add(name=table.oneofs[name])
        for each in table.fields(name):
            made = message.field.add(
                name=each.name,
                number=each.number,
                label=FieldDescriptorProto.LABEL_REPEATED
                if each.repeated
                else FieldDescriptorProto.LABEL_OPTIONAL,
            )
            if name in table.oneofs:
                made.oneof_index = 0
            if each.type in SCALARS:
                made.type = FieldDescriptorProto.Type.ValueType(SCALARS[each.type])
            else:
                made.type = FieldDescriptorProto.TYPE_MESSAGE
                source, made.type_name = table.find(each.type)
                needed.add(source)
    file.dependency.extend(sorted(needed - {table.package}))
    return file
