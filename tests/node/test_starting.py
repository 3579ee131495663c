"""A node that cannot start leaves nothing running and nothing open."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from careledger.node.config import load
from careledger.node.home import open_keys
from careledger.node.layout import Layout
from careledger.node.service import NodeService
from careledger.primitives.errors import Misconfigured
from tests.faults.rig import PASSPHRASE, new_home, node_of


def test_a_start_that_fails_late_ends_what_it_began(tmp_path: Path) -> None:
    home = new_home(tmp_path / "home")
    file, keys = open_keys(Layout(home), PASSPHRASE)

    async def start() -> None:
        service = NodeService(home, file, keys, served=True, config=load(home))
        with pytest.raises(Misconfigured, match="listened on"):
            await service.start()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left
        assert not Layout(home).socket.exists()

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        (home / "config.toml").write_text(f'[metrics]\nlisten = "{listen}"\n')
        asyncio.run(start())
    (home / "config.toml").unlink()
    with node_of(home) as node:
        assert node.fsck() == []
