"""A command whose node goes away in its middle says so, wherever that happens."""

from __future__ import annotations

import socket
import threading

import pytest

from careledger.node.client import ask
from careledger.primitives.errors import Unavailable


@pytest.mark.parametrize("taken_bytes", [0, 1])
def test_a_node_that_goes_away_is_named(taken_bytes: int) -> None:
    """Before the request is written (the pipe is broken), or while it is read (the connection is reset)."""
    mine, its = socket.socketpair()

    def go() -> None:
        if taken_bytes:
            its.recv(taken_bytes)
        its.close()

    leaving = threading.Thread(target=go)
    leaving.start()
    if not taken_bytes:
        leaving.join()
    with mine, pytest.raises(Unavailable) as refused:
        ask(mine, "status", {}, lambda _step: None)
    leaving.join()
    assert refused.value.code == "gone"
