"""Where a passphrase comes from, and what is one."""

from __future__ import annotations

import pytest

from careledger.cli.options import PASSPHRASE_BYTES_MAX, decode_passphrase, read_passphrase
from careledger.primitives.errors import Misconfigured


@pytest.mark.parametrize(
    "content, passphrase",
    [
        (b"correct horse\n", "correct horse"),
        (b"correct horse", "correct horse"),
        (b"correct horse\r\n", "correct horse"),
        (b" spaces count \n", " spaces count "),
        (b"only the last newline\n\n", "only the last newline\n"),
        (b"a bare return\r", "a bare return\r"),
        ("pässword\n".encode(), "pässword"),
    ],
)
def test_only_the_last_newline_is_ignored(content, passphrase):
    assert decode_passphrase(content) == passphrase


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * (PASSPHRASE_BYTES_MAX + 1), b"\xff\xfe\n"])
def test_an_unusable_passphrase_is_refused(tmp_path, content):
    file = tmp_path / "passphrase"
    file.write_bytes(content)
    with pytest.raises(Misconfigured) as refusal:
        read_passphrase(file)
    assert refusal.value.hint


def test_nothing_is_asked_without_a_terminal():
    with pytest.raises(Misconfigured, match="no passphrase"):
        read_passphrase(None)
