"""One call to a node, whether its home is served (through its socket) or stopped (opened here for the call)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from careledger.node import wire
from careledger.node.layout import Layout
from careledger.primitives.errors import Corrupt, Misconfigured
from careledger.primitives.sockets import connect_socket

Progress = Callable[[dict[str, Any]], None]
CONNECT_SECONDS = 5.0


def call(
    home: Path, method: str, params: dict[str, Any], passphrase: str | None, progress: Progress | None = None
) -> dict[str, Any]:
    """Call a method of `node.commands.COMMANDS`; `progress` gets its steps. Raises what the node raises.

    A served home asks for no passphrase: its socket is open to the home's user only.
    """
    report = progress or (lambda _step: None)
    layout = Layout(home)
    adopted: dict[str, Any] = {}
    if method == "upgrade" and passphrase is not None and layout.is_older():
        from careledger.node.upgrade import upgrade

        adopted = upgrade(home, passphrase)
    layout.read()
    connection = connect(layout.socket)
    if connection is not None:
        with connection:
            return ask(connection, method, params, report)
    if passphrase is None:
        raise Misconfigured(
            "the home is not served, so its passphrase is needed",
            hint="give --passphrase-file, or set CARELEDGER_PASSPHRASE_FILE",
            code="passphrase-needed",
        )
    return asyncio.run(_open_and_run(home, method, params, passphrase, report)) | adopted


def is_served(home: Path) -> bool:
    """Whether a node answers at the home's socket."""
    connection = connect(Layout(home).socket)
    if connection is None:
        return False
    connection.close()
    return True


def connect(path: Path) -> socket.socket | None:
    """A connection to a served node, or None if nobody listens."""
    try:
        connection = connect_socket(path, CONNECT_SECONDS)
    except OSError:
        return None
    connection.settimeout(None)
    return connection


def ask(connection: socket.socket, method: str, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The node's answer. Raises what the node raises, and Unavailable if it goes away."""
    try:
        return _exchange(connection, method, params, progress)
    except ConnectionError as error:
        raise wire.gone() from error


def _exchange(
    connection: socket.socket, method: str, params: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    connection.sendall(wire.pack(1, method, params))
    with connection.makefile("rb") as stream:
        while True:
            head = stream.read(wire.LENGTH.size)
            if len(head) < wire.LENGTH.size:
                raise wire.gone()
            message = msgspec.msgpack.decode(stream.read(wire.LENGTH.unpack(head)[0]), type=wire.Message)
            if message.kind == "progress":
                progress(msgspec.msgpack.decode(message.content, type=dict[str, Any]))
            elif message.kind == "error":
                raise wire.error_of(message.content)
            else:
                return msgspec.msgpack.decode(message.content, type=dict[str, Any])


async def _open_and_run(
    home: Path, method: str, params: dict[str, Any], passphrase: str, progress: Progress
) -> dict[str, Any]:
    from careledger.node.home import open_keys
    from careledger.node.service import NodeService

    file, keys = open_keys(Layout(home), passphrase)
    service = NodeService(home, file, keys, served=False, any_profile=method == "upgrade")
    try:
        await service.start()
    except Corrupt as error:
        if method != "fsck":
            raise
        return {"ok": False, "checked": {}, "problems": [error.message]}
    try:
        return await service.command(method, params, progress)
    finally:
        await service.stop()
