"""Files that wait to be taken over `/api`: sealed under a key of their own that is nowhere but in memory.

A file is written at the disk's pace and taken at the client's, so that a slow client holds up no erasure, and a disk
keeps nothing that can be read: the file has no name, and its key goes with it.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from careledger.primitives.errors import Corrupt, NotFound, Unavailable

PIECE_BYTES: Final = 1 << 18
TAG_BYTES: Final = 16
NONCE_BYTES: Final = 12
KEPT_SECONDS: Final = 180.0
"""How long a file waits for whoever asked for it to take the next piece."""
SPOOLS_MAX: Final = 8
SPOOLS_OF_CALLER_MAX: Final = 2


class Spool:
    """One file: written once from its beginning to its end, then read by pieces of `PIECE_BYTES`."""

    def __init__(self, folder: Path | None, owner: str, used: float) -> None:
        self.id = secrets.token_hex(32)
        self.owner = owner
        self.used = used
        self.is_whole = False
        self.size = 0
        self.pieces = 0
        self._cipher = AESGCM(AESGCM.generate_key(256))
        self._rest = bytearray()
        try:
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by `close`)
        except OSError as error:
            raise _no_room(error) from None

    def write(self, data: bytes, /) -> int:
        """More of the file. Raises Unavailable where there is no room."""
        self._rest += data
        while len(self._rest) >= PIECE_BYTES:
            self._put(bytes(self._rest[:PIECE_BYTES]))
            del self._rest[:PIECE_BYTES]
        return len(data)

    def finish(self) -> None:
        """The file is whole."""
        self.is_whole = True
        if self._rest:
            self._put(bytes(self._rest))
            self._rest.clear()
        try:
            self._file.flush()
        except OSError as error:
            raise _no_room(error) from None

    def _put(self, piece: bytes) -> None:
        sealed = self._cipher.encrypt(self.pieces.to_bytes(NONCE_BYTES, "big"), piece, None)
        try:
            self._file.write(sealed)
        except OSError as error:
            raise _no_room(error) from None
        self.pieces += 1
        self.size += len(piece)

    def read(self, number: int) -> bytes:
        """The piece of this number. Raises NotFound, Corrupt."""
        if not 0 <= number < self.pieces:
            raise NotFound("the file has no such piece")
        try:
            self._file.seek(number * (PIECE_BYTES + TAG_BYTES))
            sealed = self._file.read(PIECE_BYTES + TAG_BYTES)
            return self._cipher.decrypt(number.to_bytes(NONCE_BYTES, "big"), sealed, None)
        except (OSError, ValueError, InvalidTag):
            raise Corrupt("a file that waited cannot be read any more", hint="ask for it again") from None

    def close(self) -> None:
        """Nothing of it is left."""
        self._file.close()


class Spools:
    """Those of a node: a few, each for a while, and fewer of one caller."""

    def __init__(self, folder: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._kept: dict[str, Spool] = {}

    def open(self, owner: str) -> Spool:
        """A new one. Raises Unavailable if too many wait."""
        now = self._clock()
        for old in [one for one in self._kept.values() if one.is_whole and now - one.used > KEPT_SECONDS]:
            self.close(old.id)
        own = sum(one.owner == owner for one in self._kept.values())
        if len(self._kept) >= SPOOLS_MAX or own >= SPOOLS_OF_CALLER_MAX:
            raise Unavailable(
                "too many files are being handed out", hint="repeat when one is done", code="busy"
            )
        spool = Spool(self._folder, owner, now)
        self._kept[spool.id] = spool
        return spool

    def scratch(self) -> Spool:
        """One that is part of another's making: counted nowhere, and closed by whoever made it."""
        return Spool(self._folder, "", self._clock())

    def get(self, id: str) -> Spool:
        """The one of this id. Raises NotFound."""
        found = self._kept.get(id)
        if found is None:
            raise NotFound("this file is not kept any more", hint="ask for it again")
        found.used = self._clock()
        return found

    def close(self, id: str) -> None:
        """It is not needed any more; one that is not there is no error."""
        found = self._kept.pop(id, None)
        if found is not None:
            found.close()

    def close_all(self) -> None:
        """The node stops."""
        for id in list(self._kept):
            self.close(id)


def _no_room(error: OSError) -> Unavailable:
    return Unavailable(
        f"the file cannot be kept: {error.strerror}", hint="free space on the home's disk", code="no-room"
    )
