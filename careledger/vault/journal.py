"""The journal: the one append-only file that is the truth of a home; everything else can be rebuilt from it.

A *frame* is one append: it is wholly there or it is not. Frames are chained by a keyed digest, so that a frame
that was altered, removed, repeated or put in from another home is found. Whoever appended must call `sync` before
telling anybody; then the frame survives a crash and a power loss (as far as the disk keeps its word).

A last write that a crash cut short is told apart from damage, because only damage may concern what somebody was
told of: a frame is *torn* if the file ends inside it although its header is sound, or if from some byte of it on
there are only zeros up to the end of the file. Everything else that is no frame is damage, and nothing is cut.

Layout (big-endian): file header = magic 8 | home id 16 | 40 zero bytes.
Frame = magic u32 | kind u8 | payload length u32 | sequence u64 | CRC-32 of these u32 | payload | digest 16, where
digest = BLAKE2b-128(journal key, previous digest | the frame without its digest).
Payload = records, each kind u8 | length u32 | content.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from careledger.primitives.errors import Corrupt, Misconfigured, TooLarge, Unavailable
from careledger.primitives.files import sync_path
from careledger.primitives.hashing import keyed_digest

FILE_MAGIC = b"CLJRNL01"
FRAME_MAGIC = 0x434C4652
FILE_HEADER_BYTES = 64
FRAME_HEADER = struct.Struct(">IBIQI")
_CHECKED = struct.Struct(">IBIQ")
RECORD_HEADER = struct.Struct(">BI")
DIGEST_BYTES = 16
PAYLOAD_BYTES_MAX = 1 << 30
RECORD_BYTES_MAX = 1 << 28
OFFSET_MAX = 1 << 62
RESERVE_BYTES = 8 << 20
"""Room that is left on the disk for the index to take in what the journal has accepted."""

STAGED = 1
"""Frame kind: records of a group that is not finished; without effect until its COMMITTED frame."""
COMMITTED = 2
"""Frame kind: the last records of a group; with it every staged frame of the group takes effect."""
ACCESS = 3
"""Frame kind: access entries; takes effect by itself."""
ABANDONED = 4
"""Frame kind: the staged frames before it never take effect."""
FRAME_KINDS = (STAGED, COMMITTED, ACCESS, ABANDONED)


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a frame. `offset` is where its content begins in the file."""

    kind: int
    offset: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as read back. `end` is the offset behind it."""

    kind: int
    sequence: int
    offset: int
    end: int
    digest: bytes
    payload: bytes

    def records(self, kinds: frozenset[int] | None = None) -> Iterator[Record]:
        """The frame's records in order, of these kinds only. Raises Corrupt if their lengths do not fill the payload."""
        at, limit = 0, len(self.payload)
        base = self.offset + FRAME_HEADER.size
        while at < limit:
            if at + RECORD_HEADER.size > limit:
                raise _corrupt(self.offset, "a record is cut")
            kind, length = RECORD_HEADER.unpack_from(self.payload, at)
            at += RECORD_HEADER.size
            if at + length > limit:
                raise _corrupt(self.offset, "a record is longer than its frame")
            if kinds is None or kind in kinds:
                yield Record(kind, base + at, self.payload[at : at + length])
            at += length


@dataclass(frozen=True, slots=True)
class Position:
    """Where the chain stands: the next frame begins at `end`, has `sequence`, and follows `digest`."""

    end: int
    sequence: int
    digest: bytes


def pack_header(kind: int, length: int, sequence: int) -> bytes:
    """The beginning of a frame; its check tells a damaged length from a write cut short."""
    head = _CHECKED.pack(FRAME_MAGIC, kind, length, sequence)
    return head + zlib.crc32(head).to_bytes(4, "big")


def _unpack_header(head: bytes) -> tuple[int, int, int, int] | None:
    """(magic, kind, length, sequence), or None if it is cut or altered."""
    if (
        len(head) != FRAME_HEADER.size
        or zlib.crc32(head[: _CHECKED.size]).to_bytes(4, "big") != head[_CHECKED.size :]
    ):
        return None
    magic, kind, length, sequence = _CHECKED.unpack_from(head)
    return magic, kind, length, sequence


def pack_record(kind: int, content: bytes) -> bytes:
    """One record, ready for `Journal.append`."""
    return RECORD_HEADER.pack(kind, len(content)) + content


def start_position(home_id: bytes) -> Position:
    """The position before the first frame of a home."""
    return Position(FILE_HEADER_BYTES, 0, home_id)


class Journal:
    """Appends frames and reads records. One process may write; any number may read."""

    def __init__(self, path: Path, descriptor: int, key: bytes, position: Position) -> None:
        self._path = path
        self._failed = False  # a sync failed: nobody knows what the disk holds
        self._overhang = False  # a broken write could not be cut off
        self._descriptor = descriptor
        self._key = key
        self.position = position

    @classmethod
    def create(cls, path: Path, home_id: bytes, key: bytes) -> Journal:
        """A new, empty journal, durable when this returns. The file must not exist."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.write(descriptor, FILE_MAGIC + home_id + bytes(FILE_HEADER_BYTES - 24))
        os.fsync(descriptor)
        sync_path(path.parent)
        return cls(path, descriptor, key, start_position(home_id))

    @classmethod
    def open(
        cls, path: Path, home_id: bytes, key: bytes, *, write: bool, at: Position | None = None
    ) -> Journal:
        """The journal of `home_id`; `at` is a position known to be good. Raises if it is another home's."""
        try:
            descriptor = os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise Misconfigured(
                "the journal is missing",
                hint="the home was copied in part: copy it again, or restore a backup",
            ) from error
        except OSError as error:
            raise Misconfigured(
                f"the journal cannot be opened: {error.strerror}",
                hint="give this user write access to the home",
            ) from error
        header = os.pread(descriptor, FILE_HEADER_BYTES, 0)
        if header[:8] != FILE_MAGIC or header[24:] != bytes(FILE_HEADER_BYTES - 24):
            os.close(descriptor)
            raise Corrupt("the journal has no valid header", hint="restore a backup into a new folder")
        if header[8:24] != home_id:
            os.close(descriptor)
            raise Misconfigured(
                "the journal and the keys belong to different homes", hint="put back the keys of this home"
            )
        return cls(path, descriptor, key, at or start_position(home_id))

    def append(self, kind: int, records: Iterable[bytes]) -> int:
        """Write one frame and return the offset of its payload; not durable before `sync`.

        Raises Unavailable, with the file as before, when there is no room or the file cannot be written.
        """
        payload = b"".join(records)
        position = self.position
        frame = pack_header(kind, len(payload), position.sequence) + payload
        digest = keyed_digest(self._key, position.digest + frame)
        data = frame + digest
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise TooLarge("one commit is too large for the journal", hint="send it in parts")
        try:
            self._check_writable(len(data))
            self._write_whole(data, position.end)
        except OSError as error:
            self._cut_back(position.end)
            raise _unavailable(error) from error
        self.position = Position(position.end + len(data), position.sequence + 1, digest)
        return position.end + FRAME_HEADER.size

    def _check_writable(self, size: int) -> None:
        if self._failed:
            raise OSError(errno.EIO, "a sync failed before")
        if self._overhang:
            os.ftruncate(self._descriptor, self.position.end)
            self._overhang = False
        disk = os.fstatvfs(self._descriptor)
        if disk.f_bavail * disk.f_frsize < size + RESERVE_BYTES:
            raise OSError(errno.ENOSPC, "the reserve is reached")

    def _write_whole(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            if written == 0:
                raise OSError(errno.ENOSPC, "nothing was written")
            view, offset = view[written:], offset + written

    def _cut_back(self, end: int) -> None:
        try:
            os.ftruncate(self._descriptor, end)
        except OSError:
            self._overhang = True  # cut before the next frame, which might be shorter than what is there

    def sync(self) -> None:
        """Make every appended frame durable. An error here is final: the node must stop (fsyncgate).

        The kernel reports a lost write once only, so whoever asks after a failure gets the failure again.
        """
        if self._failed:
            raise OSError(errno.EIO, "a sync failed before")
        try:
            os.fdatasync(self._descriptor)
        except OSError:
            self._failed = True
            raise

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes of a record's content at `offset`; what they say is checked by whoever opens them."""
        if length > RECORD_BYTES_MAX or offset > OFFSET_MAX:
            raise _corrupt(offset, "no record can be there")
        try:
            data = os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise _corrupt(
                offset, f"the disk cannot read it ({errno.errorcode.get(error.errno or 0, 'error')})"
            ) from None
        if len(data) != length:
            raise _corrupt(offset, "the journal is shorter than its index says")
        return data

    def ends_with(self, position: Position) -> bool:
        """Whether the frame that ends at `position` is the one whose digest the position holds."""
        if position.sequence == 0:
            return True
        return os.pread(self._descriptor, DIGEST_BYTES, position.end - DIGEST_BYTES) == position.digest

    def frames(self, start: Position, stop: int | None = None) -> Iterator[Frame]:
        """Checked frames from `start` on. Ends silently at the end; raises TornTail at bytes that are no frame."""
        size = os.fstat(self._descriptor).st_size if stop is None else stop
        at = start
        while at.end < size:
            frame = self._read_frame(at, size)
            yield frame
            at = Position(frame.end, frame.sequence + 1, frame.digest)

    def _read_frame(self, at: Position, size: int) -> Frame:
        head = os.pread(self._descriptor, FRAME_HEADER.size, at.end)
        magic, kind, length, sequence = _unpack_header(head) or (0, 0, 0, 0)
        if magic != FRAME_MAGIC or kind not in FRAME_KINDS or length > PAYLOAD_BYTES_MAX:
            short = at.end + FRAME_HEADER.size > size
            raise self._torn(at.end, size, "these bytes are not the beginning of a frame", torn=short)
        end = at.end + FRAME_HEADER.size + length + DIGEST_BYTES
        if end > size:
            raise TornTail(at.end, "the file ends inside a frame", torn=sequence == at.sequence)
        rest = os.pread(self._descriptor, length + DIGEST_BYTES, at.end + FRAME_HEADER.size)
        payload, digest = rest[:length], rest[length:]
        expected = keyed_digest(self._key, at.digest + head + payload)
        if sequence != at.sequence or expected != digest:
            expected = expected if sequence == at.sequence else b""
            raise self._torn(at.end, size, "a frame was altered", torn=False, digest=expected)
        return Frame(kind, sequence, at.end, end, digest, payload)

    def _torn(self, offset: int, size: int, reason: str, *, torn: bool, digest: bytes = b"") -> TornTail:
        """A frame was never written wholly if zeros begin in it, or in its true `digest`, and go on to the end."""
        if size - offset <= PAYLOAD_BYTES_MAX and not torn:
            written = os.pread(self._descriptor, size - offset, offset).rstrip(b"\0")
            head = _unpack_header(written[: FRAME_HEADER.size])
            known = FRAME_HEADER.size - 1 if head is None else FRAME_HEADER.size + head[2]
            torn = digest.startswith(written[known:]) and size - offset - len(written) >= DIGEST_BYTES
        return TornTail(offset, reason, torn=torn)

    def size(self) -> int:
        """Bytes in the file, whatever they are."""
        return os.fstat(self._descriptor).st_size

    def cut_tail(self, position: Position) -> bytes:
        """Remove everything behind `position` and return it, so that the caller can keep it aside."""
        tail = os.pread(self._descriptor, max(0, self.size() - position.end), position.end)
        os.ftruncate(self._descriptor, position.end)
        os.fsync(self._descriptor)
        self.position = position
        return tail

    def close(self) -> None:
        """Give the file back. Nothing is synced."""
        os.close(self._descriptor)


class TornTail(Corrupt):
    """Bytes at `offset` are not the frame that must stand there: a last write cut short (`torn`), or damage."""

    code = "journal-damaged"

    def __init__(self, offset: int, reason: str, *, torn: bool) -> None:
        super().__init__(
            f"the journal is damaged at byte {offset}: {reason}",
            hint="run `careledger fsck`; restore the newest backup into a new folder",
        )
        self.offset = offset
        self.torn = torn


def _corrupt(offset: int, reason: str) -> Corrupt:
    return Corrupt(f"the journal is damaged at byte {offset}: {reason}", hint="run `careledger fsck`")


def _unavailable(error: OSError) -> Unavailable:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable(
            "the disk is full: nothing was changed", hint="free space on the home's disk, then repeat"
        )
    return Unavailable(
        f"the journal cannot be written ({errno.errorcode.get(error.errno or 0, 'error')}): nothing was changed",
        hint="check the home's disk, then restart the node",
    )
