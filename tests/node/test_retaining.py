"""What the engine may forget: never a block that somebody who begins with an offered snapshot still needs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from careledger.node.layout import Layout
from careledger.node.snapshots import FOLDER, Snapshots
from careledger.primitives.hashing import DIGEST_SIZE


def compute(home: Path, height: int, kept: tuple[int, ...], *, every: int = 100, blocks: int = 50) -> int:
    for one in kept:
        folder = Layout(home).engine / FOLDER / str(one)
        folder.mkdir(parents=True)
        (folder / "metadata").write_bytes(bytes(DIGEST_SIZE))
    node: Any = SimpleNamespace(height=height, layout=Layout(home))
    return Snapshots(node, every, blocks).compute_retain_height()


@pytest.mark.parametrize(
    "height, kept, more, retain",
    [
        (1000, (900, 1000), {}, 899),
        (1000, (900, 1000), {"blocks": 300}, 700),
        (1000, (900, 1000), {"blocks": 0}, 0),
        (1001, (900, 1000), {}, 0),
        (1000, (1000,), {}, 0),
        (1000, (), {"every": 0}, 950),
        (40, (16, 32), {"blocks": 50}, 0),
    ],
    ids=["back to the older snapshot", "more if told", "all", "now and then", "one snapshot", "none are taken", "young"],
)  # fmt: skip
def test_the_engine_keeps_what_a_newcomer_needs(tmp_path, height, kept, more, retain):
    assert compute(tmp_path, height, kept, **more) == retain
