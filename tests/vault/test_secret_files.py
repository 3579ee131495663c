"""A key file opens with its passphrase and for its purpose only; whatever was damaged is refused by name."""

from __future__ import annotations

import pytest

from careledger.primitives.errors import Invalid
from careledger.vault.keystore import Cost, KeyStoreDamaged, WrongPassphrase
from careledger.vault.secret_files import open_secret, seal_secret

SECRET = bytes(range(32))
CHEAP = Cost(1, 8, 1)
PASSPHRASE = "several words"


def test_a_secret_comes_back():
    data = seal_secret(SECRET, PASSPHRASE, b"witness", CHEAP)
    assert SECRET not in data
    assert open_secret(data, PASSPHRASE, b"witness") == SECRET
    assert data != seal_secret(SECRET, PASSPHRASE, b"witness", CHEAP)


def test_another_passphrase_or_purpose_does_not_open_it():
    data = seal_secret(SECRET, PASSPHRASE, b"witness", CHEAP)
    for passphrase, purpose in (("another passphrase", b"witness"), (PASSPHRASE, b"patient")):
        with pytest.raises(WrongPassphrase):
            open_secret(data, passphrase, purpose)
    with pytest.raises(Invalid):
        seal_secret(SECRET, "short", b"witness", CHEAP)


def test_damage_is_found_before_it_costs_anything():
    data = seal_secret(SECRET, PASSPHRASE, b"witness", CHEAP)
    costs = range(18, 30)  # passes, memory, lanes: a flipped high bit asks for the whole machine
    for at in range(len(data)):
        bad = data[:at] + bytes([data[at] ^ 0x80]) + data[at + 1 :]
        if at in costs and at % 4 == 1:
            continue  # a low byte: the cost is another, not an impossible one
        with pytest.raises((KeyStoreDamaged, WrongPassphrase)):
            open_secret(bad, PASSPHRASE, b"witness")
    for cut in (b"", data[:-1], data + b"\0"):
        with pytest.raises(KeyStoreDamaged):
            open_secret(cut, PASSPHRASE, b"witness")
