"""The state pins what executes the ledger: a node that differs stops, names the command, and goes on once it is adopted."""

from __future__ import annotations

from pathlib import Path

import pytest

from careledger.contracts.sys import Profile
from careledger.node import client, founding, profile
from careledger.node.profile import ProfileDiffers
from tests.faults.rig import PASSPHRASE, Node, new_home, node_of, patient

NEXT = Profile("99.0.0", "3.99", founding.running_profile().packages)


def run_as(monkeypatch: pytest.MonkeyPatch, other: Profile) -> None:
    """From here on this process is that program."""
    monkeypatch.setattr(profile, "running_profile", lambda: other)


def test_a_node_that_differs_stops_until_it_is_adopted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, first = new_home(tmp_path / "home"), founding.running_profile()
    with node_of(home) as node:
        node.client.put("Patient/p0", patient("p0"))
        before = node.state()
    run_as(monkeypatch, NEXT)
    with pytest.raises(ProfileDiffers) as refused:
        Node(home)
    assert "careledger upgrade" in refused.value.hint
    assert "3.99" in refused.value.message
    assert client.call(home, "upgrade", {}, PASSPHRASE)["changed"]
    assert not client.call(home, "upgrade", {}, PASSPHRASE)["changed"]
    with node_of(home) as node:
        assert node.client.get("Patient/p0").status == 200
        assert node.state()[0] > before[0]
        assert node.fsck() == []
    run_as(monkeypatch, first)
    with pytest.raises(ProfileDiffers):
        Node(home)
