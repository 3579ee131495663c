"""Files that are whole or as they were, and files that one holds at a time."""

import os

import pytest

from careledger.primitives.files import take_lock, write_durably


def test_a_file_is_whole_or_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "word"
    write_durably(path, b"first")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "no space")))
        with pytest.raises(OSError):
            write_durably(path, b"second")
    assert path.read_bytes() == b"first"
    write_durably(path, b"second")
    assert path.read_bytes() == b"second"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["word"]


def test_a_link_that_lies_in_wait_is_not_written_through(tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / "word.new").symlink_to(victim)
    write_durably(tmp_path / "word", b"theirs")
    assert victim.read_bytes() == b"mine"
    assert not (tmp_path / "word").is_symlink()


def test_a_lock_is_held_by_one_at_a_time(tmp_path):
    held = take_lock(tmp_path / "lock")
    assert held is not None
    assert take_lock(tmp_path / "lock") is None
    os.close(held)
    again = take_lock(tmp_path / "lock")
    assert again is not None
    os.close(again)
