"""Sockets at a path: only this user may connect, and a path of any length will do."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from careledger.primitives.errors import Misconfigured

if TYPE_CHECKING:
    import asyncio

SOCKET_PATH_MAX: Final = 107
"""What the kernel takes (`sockaddr_un`, without its closing zero)."""


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """A name for the socket at `path` that the kernel takes: a long one is reached through its open folder."""
    name = str(path)
    if len(os.fsencode(name)) <= SOCKET_PATH_MAX:
        yield name
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def connect_socket(path: Path, seconds: float | None = None) -> socket.socket:
    """A connection to the socket at `path`. Raises OSError if nobody listens."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(seconds)
    try:
        with socket_address(path) as address:
            connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def listen_at(path: Path) -> socket.socket:
    """Listen at `path`, in place of what a killed process left there. Only this user may connect."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        with socket_address(path) as address:
            listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise Misconfigured(
            f"the socket cannot be made: {error.strerror}", hint="keep the home on a local file system"
        ) from error
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener


def write_to(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Raises ConnectionResetError if the other side is gone: uvloop's own error for that is none of a connection."""
    if writer.is_closing():
        raise ConnectionResetError("the other side is gone")
    writer.write(data)
