"""Chains that earlier versions made come to their app hashes under the present code; they are never written again.

Red here means that an upgrade would fork every network that has such a chain: the change needs its own height, not
another table. A new version adds two rows (`python -m tests.ledger.old_chains VERSION`) and leaves the old ones.
"""

from __future__ import annotations

import pytest

from careledger.primitives.errors import Corrupt
from careledger.primitives.hashing import sha256
from tests.ledger.old_chains import FOLDER, replay, split

CHAINS = {
    "network-0.1.0.bin": (
        "67e8b98ebc8e7effd9a7677e7e2267fa6406adf953ab3c066663af5281466232",
        "190439a284eee1ea98576f55bf556b71abe5ba774120a3f2bb3f77571d77d7bd",
        56,
    ),
    "embedded-0.1.0.bin": (
        "a0049f0c86a99ce8e1d2ac1758cb9f8894a7976b62a76ad08bf1bc54f207db41",
        "21252d308afab1cc6ea8b2a2319e981f3343da0dbbfb13f9bf4f90d575ff155a",
        100,
    ),
}
"""File: SHA-256 of it, SHA-256 over its app hashes from the genesis on, height."""


def test_every_chain_that_was_kept_is_replayed():
    assert {path.name for path in FOLDER.iterdir()} == set(CHAINS)


@pytest.mark.parametrize("name", CHAINS)
def test_an_old_chain_comes_to_its_app_hashes_under_the_present_code(name):
    data, (file_hash, app_hashes, height) = (FOLDER / name).read_bytes(), CHAINS[name]
    assert sha256(data).hex() == file_hash, "this file is frozen"
    ledger, came_to = replay(data)
    assert (came_to, ledger.height) == (app_hashes, height)


@pytest.mark.parametrize("name", CHAINS)
def test_an_old_chain_with_another_block_does_not_replay(name):
    genesis, first, second, *rest = split((FOLDER / name).read_bytes())
    for blocks in ([second, first, *rest], [first, *rest], [first[:-80] + second[-80:], second]):
        with pytest.raises(Corrupt):
            replay(b"".join(len(part).to_bytes(4, "big") + part for part in (genesis, *blocks)))
