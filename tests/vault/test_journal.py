"""The journal: whole frames or none, torn writes told from damage, a failed sync is final."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from careledger.primitives.errors import Corrupt, Misconfigured, Unavailable
from careledger.vault.journal import (
    ACCESS,
    COMMITTED,
    FILE_HEADER_BYTES,
    FRAME_HEADER,
    STAGED,
    Frame,
    Journal,
    Position,
    TornTail,
    pack_record,
    start_position,
)

HOME, KEY = b"h" * 16, b"k" * 32
CONTENTS = (b"first", b"", b"third" * 40, b"last" * 9)
KINDS = (COMMITTED, STAGED, ACCESS, COMMITTED)


def fill(path: Path) -> list[Position]:
    """A journal of four frames; where each begins, and the end."""
    journal = Journal.create(path, HOME, KEY)
    places = [journal.position]
    for kind, content in zip(KINDS, CONTENTS, strict=True):
        journal.append(kind, [pack_record(1, content), pack_record(2, b"x")])
        places.append(journal.position)
    journal.sync()
    journal.close()
    return places


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, bytes, list[Position]]:
    path = tmp_path / "log"
    places = fill(path)
    return path, path.read_bytes(), places


def read(path: Path) -> tuple[list[Frame], TornTail | None]:
    """The good frames, and what stopped the reader."""
    journal = Journal.open(path, HOME, KEY, write=False)
    frames: list[Frame] = []
    try:
        for frame in journal.frames(start_position(HOME)):
            frames.append(frame)  # noqa: PERF402 - keeps what came before the error
    except TornTail as torn:
        return frames, torn
    finally:
        journal.close()
    return frames, None


def test_frames_come_back(written: tuple[Path, bytes, list[Position]]) -> None:
    path, _, places = written
    frames, torn = read(path)
    assert torn is None
    assert [frame.kind for frame in frames] == list(KINDS)
    assert [next(frame.records()).content for frame in frames] == list(CONTENTS)
    journal = Journal.open(path, HOME, KEY, write=False)
    record = next(frames[2].records())
    assert journal.read(record.offset, len(record.content)) == CONTENTS[2]
    assert all(journal.ends_with(place) for place in places)
    journal.close()


def test_a_file_cut_anywhere_is_torn_and_keeps_every_whole_frame(
    written: tuple[Path, bytes, list[Position]],
) -> None:
    path, data, places = written
    ends = [place.end for place in places]
    for cut in range(FILE_HEADER_BYTES, len(data)):
        path.write_bytes(data[:cut])
        frames, torn = read(path)
        assert [frame.end for frame in frames] == [end for end in ends[1:] if end <= cut]
        assert (torn is None) == (cut in ends)
        assert torn is None or torn.torn


def test_pages_that_were_never_written_are_torn(written: tuple[Path, bytes, list[Position]]) -> None:
    """After a power loss the file may be long enough and end in zeros, which may begin within the digest."""
    path, data, places = written
    start, end = places[-2].end, places[-1].end
    for known in range(start, end):
        path.write_bytes(data[:known] + bytes(end - known) + bytes(100))
        frames, torn = read(path)
        assert len(frames) == len(KINDS) - 1
        assert torn is not None
        assert torn.torn, known - start


def test_an_altered_frame_before_unwritten_pages_is_damage(
    written: tuple[Path, bytes, list[Position]],
) -> None:
    """What was written wholly, and acknowledged, is not cut off because zeros follow it."""
    path, data, places = written
    for bit in range(8 * places[-2].end, 8 * len(data)):
        altered = bytearray(data + bytes(100))
        altered[bit // 8] ^= 1 << bit % 8
        path.write_bytes(altered)
        frames, torn = read(path)
        assert len(frames) == len(KINDS) - 1
        assert torn is not None
        assert not torn.torn, bit - 8 * places[-2].end


def test_every_flipped_bit_is_damage_and_never_a_torn_write(
    written: tuple[Path, bytes, list[Position]],
) -> None:
    path, data, places = written
    for bit in range(8 * FILE_HEADER_BYTES, 8 * len(data)):
        altered = bytearray(data)
        altered[bit // 8] ^= 1 << bit % 8
        path.write_bytes(altered)
        frames, torn = read(path)
        assert torn is not None, bit
        assert not torn.torn, bit
        assert torn.offset == max(place.end for place in places if place.end <= bit // 8)
        assert len(frames) == sum(place.end <= torn.offset for place in places[1:])


def test_every_flipped_bit_of_the_file_header_is_refused(
    written: tuple[Path, bytes, list[Position]],
) -> None:
    path, data, _ = written
    for bit in range(8 * FILE_HEADER_BYTES):
        altered = bytearray(data)
        altered[bit // 8] ^= 1 << bit % 8
        path.write_bytes(altered)
        with pytest.raises((Corrupt, Misconfigured)):
            Journal.open(path, HOME, KEY, write=False)


@pytest.mark.parametrize("what", ["removed", "repeated", "exchanged", "another home's"])
def test_frames_are_chained(what: str, written: tuple[Path, bytes, list[Position]], tmp_path: Path) -> None:
    path, data, places = written
    ends = [place.end for place in places]
    first, second, third = (data[ends[at] : ends[at + 1]] for at in range(3))
    rest = data[ends[3] :]
    altered = {
        "removed": first + third + rest,
        "repeated": first + second + second + third + rest,
        "exchanged": first + third + second + rest,
        "another home's": b"",
    }[what]
    if what == "another home's":
        other = Journal.create(tmp_path / "other", HOME, b"o" * 32)
        other.append(COMMITTED, [pack_record(1, b"first"), pack_record(2, b"x")])
        other.close()
        altered = (tmp_path / "other").read_bytes()[FILE_HEADER_BYTES:]
    path.write_bytes(data[:FILE_HEADER_BYTES] + altered)
    frames, torn = read(path)
    assert torn is not None
    assert not torn.torn
    assert len(frames) == {"removed": 1, "repeated": 2, "exchanged": 1, "another home's": 0}[what]


def test_headers_say_whose_journal_it_is(written: tuple[Path, bytes, list[Position]]) -> None:
    path, data, _ = written
    with pytest.raises(Misconfigured, match="different homes"):
        Journal.open(path, b"o" * 16, KEY, write=False)
    path.write_bytes(b"?" + data[1:])
    with pytest.raises(Corrupt, match="header"):
        Journal.open(path, HOME, KEY, write=False)
    path.unlink()
    with pytest.raises(Misconfigured, match="missing"):
        Journal.open(path, HOME, KEY, write=False)


@pytest.mark.parametrize("place", [(1 << 63, 5), ((1 << 64) - 1, 5), (64, (1 << 32) - 1), (10_000, 5)])
def test_an_impossible_place_is_corrupt(place: tuple[int, int], tmp_path: Path) -> None:
    fill(tmp_path / "log")
    journal = Journal.open(tmp_path / "log", HOME, KEY, write=False)
    with pytest.raises(Corrupt):
        journal.read(*place)
    journal.close()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("written_bytes", [0, 1, FRAME_HEADER.size, 40])
@pytest.mark.parametrize("cut_fails", [False, True])
def test_a_failed_write_leaves_the_journal_as_it_was(
    error: int, written_bytes: int, cut_fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    fill(path)
    before = path.read_bytes()
    journal = Journal.open(path, HOME, KEY, write=True, at=fill(tmp_path / "same")[-1])
    pwrite, ftruncate = os.pwrite, os.ftruncate

    def half(descriptor: int, data: bytes, offset: int) -> int:
        pwrite(descriptor, bytes(data)[:written_bytes], offset)
        raise OSError(error, "planted")

    def stuck(descriptor: int, length: int) -> None:
        raise OSError(errno.EIO, "planted")

    monkeypatch.setattr(os, "pwrite", half)
    if cut_fails:
        monkeypatch.setattr(os, "ftruncate", stuck)
    with pytest.raises(Unavailable) as raised:
        journal.append(COMMITTED, [pack_record(1, b"lost" * 100)])
    assert raised.value.hint
    assert cut_fails or path.read_bytes() == before
    monkeypatch.setattr(os, "pwrite", pwrite)
    monkeypatch.setattr(os, "ftruncate", ftruncate)
    journal.append(COMMITTED, [pack_record(1, b"s")])
    journal.sync()
    journal.close()
    frames, torn = read(path)
    assert torn is None
    assert [record.content for record in frames[-1].records()] == [b"s"]


def test_a_failed_sync_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel tells of a lost write once: a second sync must not look well."""
    journal = Journal.create(tmp_path / "log", HOME, KEY)

    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, "planted")

    monkeypatch.setattr(os, "fdatasync", broken)
    journal.append(COMMITTED, [pack_record(1, b"x")])
    with pytest.raises(OSError, match="planted"):
        journal.sync()
    monkeypatch.undo()
    with pytest.raises(OSError, match="sync failed before"):
        journal.sync()
    with pytest.raises(Unavailable):
        journal.append(ACCESS, [pack_record(1, b"x")])
    journal.close()


def test_room_is_left_for_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal.create(tmp_path / "log", HOME, KEY)
    disk = os.fstatvfs(journal._descriptor)

    class Full:
        f_frsize = disk.f_frsize
        f_bavail = 100

    monkeypatch.setattr(os, "fstatvfs", lambda _descriptor: Full)
    with pytest.raises(Unavailable, match="disk is full"):
        journal.append(COMMITTED, [pack_record(1, b"x")])
    monkeypatch.undo()
    journal.append(COMMITTED, [pack_record(1, b"x")])
    journal.close()
