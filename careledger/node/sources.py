"""Files of FHIR resources as a stream of Bundles ready to be submitted.

Takes files and folders of JSON and NDJSON, plain or `.gz`: transaction and batch Bundles as they are, any other
Bundle as the resources in it, single resources and NDJSON as batches of updates. Files that others refer to
(organisations, practitioners) come first. Memory is bounded by the largest Bundle. Bytes of resources are passed on
as they were read, so numbers keep their form.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from careledger.primitives.errors import Invalid, NotFound, TooLarge

BATCH_RESOURCES_MAX = 500
FILE_BYTES_MAX = 1 << 30
LINE_BYTES_MAX = 64 << 20
SUFFIXES = (".json", ".ndjson", ".jsonl", ".json.gz", ".ndjson.gz", ".jsonl.gz")
FIRST = ("hospitalinformation", "practitionerinformation", "organization", "location", "practitioner")


@dataclass(frozen=True, slots=True)
class Source:
    """One Bundle: where it came from, its bytes, and how many resources it holds."""

    name: str
    bundle: bytes
    resources: int


class Head(msgspec.Struct):
    """As much of a resource as is needed to route it."""

    resourceType: str
    id: str | None = None
    type: msgspec.Raw = msgspec.Raw()
    entry: list[Entry] | None = None


class Entry(msgspec.Struct):
    """An entry of a Bundle, its resource still as bytes."""

    resource: msgspec.Raw = msgspec.Raw()


HEAD = msgspec.json.Decoder(Head)


def list_files(paths: Iterable[Path]) -> list[Path]:
    """Every file to import, in the order in which it is imported. Raises `NotFound` if a path is absent."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(
                file for file in path.rglob("*") if file.name.endswith(SUFFIXES) and file.is_file()
            )
        elif path.is_file():
            found.append(path)
        else:
            raise NotFound(
                f"there is nothing at {path}", hint="name files or folders of .json or .ndjson, .gz too"
            )
    return sorted(dict.fromkeys(found), key=compute_rank)


def compute_rank(file: Path) -> int:
    """Files whose resources others refer to have a low rank; the sort is stable."""
    name = file.name.lower()
    return next((rank for rank, prefix in enumerate(FIRST) if name.startswith(prefix)), len(FIRST))


def read_sources(file: Path) -> Iterator[Source]:
    """The Bundles of one file. Raises `Invalid` with the file's name, never with its content."""
    if ".ndjson" in file.name or ".jsonl" in file.name:
        yield from read_ndjson(file)
        return
    content = read_whole(file)
    head = decode_head(content, file.name)
    if head.resourceType != "Bundle":
        yield make_batch(file.name, [content])
    elif bytes(head.type) in (b'"transaction"', b'"batch"'):
        yield Source(file.name, content, len(head.entry or ()))
    else:
        bodies = [bytes(entry.resource) for entry in head.entry or () if len(bytes(entry.resource))]
        for start in range(0, len(bodies), BATCH_RESOURCES_MAX):
            yield make_batch(file.name, bodies[start : start + BATCH_RESOURCES_MAX])


def read_whole(file: Path) -> bytes:
    """The bytes of a file, decompressed, at most `FILE_BYTES_MAX`."""
    try:
        with gzip.open(file) if file.name.endswith(".gz") else file.open("rb") as stream:
            content: bytes = stream.read(FILE_BYTES_MAX + 1)
    except (OSError, EOFError, zlib.error):
        raise Invalid(
            f"cannot read {file.name}", hint="check that the file is whole and may be read"
        ) from None
    if len(content) > FILE_BYTES_MAX:
        raise TooLarge(f"{file.name} is over {FILE_BYTES_MAX} bytes", hint="split it, or use NDJSON")
    return content


def read_ndjson(file: Path) -> Iterator[Source]:
    """Batches of the lines of a file; blank lines are skipped."""
    lines: list[bytes] = []
    try:
        with gzip.open(file) if file.name.endswith(".gz") else file.open("rb") as stream:
            while line := stream.readline(LINE_BYTES_MAX):
                if line.strip():
                    lines.append(bytes(line.strip()))
                if len(lines) == BATCH_RESOURCES_MAX:
                    yield make_batch(file.name, lines)
                    lines = []
    except (OSError, EOFError, zlib.error):
        raise Invalid(
            f"cannot read {file.name}", hint="check that the file is whole and may be read"
        ) from None
    if lines:
        yield make_batch(file.name, lines)


def decode_head(content: bytes, name: str) -> Head:
    """Type and id of a resource."""
    try:
        return HEAD.decode(content)
    except msgspec.DecodeError:
        raise Invalid(f"{name} holds something that is no FHIR resource in JSON") from None


def make_batch(name: str, bodies: list[bytes]) -> Source:
    """A batch Bundle that updates each resource under its id, or creates it if it has none."""
    entries = []
    for body in bodies:
        head = decode_head(body, name)
        method, url = ("PUT", f"{head.resourceType}/{head.id}") if head.id else ("POST", head.resourceType)
        request = msgspec.json.encode({"method": method, "url": url})
        entries.append(b'{"resource":' + body + b',"request":' + request + b"}")
    bundle = b'{"resourceType":"Bundle","type":"batch","entry":[' + b",".join(entries) + b"]}"
    return Source(name, bundle, len(entries))
