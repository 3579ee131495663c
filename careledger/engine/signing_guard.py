"""The guard against signing twice: what was signed last is on disk before its signature leaves.

Whoever signs two different votes at one place (height, round, step) is convicted by the network. So: places only rise;
at the place that was signed last, only what was signed is signed again, with the time and signature of then; one
process at a time; and a guard that is missing, damaged, put back from a copy (`stamped`), or behind what the ledger
has seen of this validator (`saw_own_vote`) signs nothing until `recover_guard` gave it a floor. What cannot be seen:
the disks of this and of every other node set back together, and a copy of key and guard that signs on another machine.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from careledger.engine.sign_bytes import PRECOMMIT, Asked
from careledger.engine.stamped import Stamp, read_stamped, write_stamped
from careledger.primitives.errors import Conflict, Corrupt, Invalid, Misconfigured, Unavailable
from careledger.primitives.files import take_lock
from careledger.primitives.hashing import sha256

GUARD_NAME: Final = "signed.json"
"""In the engine's home."""
GUARD_BYTES_MAX: Final = 1 << 16
ROUND_MAX: Final = 2**31 - 1
HEIGHT_MAX: Final = 2**63 - 1
Sign = Callable[[bytes], bytes]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Signed:
    """What was signed last. A floor has no content, so nothing equals it."""

    height: int = 0
    round: int = 0
    step: int = 0
    content: bytes = b""
    seconds: int = 0
    nanos: int = 0
    signature: bytes = b""


class GuardFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The guard's file. `seen`: a vote of this key at a later height that the guard knew nothing of."""

    format: Literal["careledger/signing-guard/1"]
    chain_id: str
    key: str
    height: int
    round: int
    step: int
    content: str
    seconds: int
    nanos: int
    signature: str
    seen: int
    inode: int
    written_s: int
    check: str = ""

    def computed_check(self) -> str:
        """What `check` must be (against damage, it proves nothing)."""
        return sha256(msgspec.json.encode(msgspec.structs.replace(self, check=""))).hex()


class GuardRefused(Misconfigured):
    """The guard is not the one that knows what this key signed last: nothing is signed."""

    code = "signing-guard"

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            hint="take care that no other machine signs with this key; then careledger engine recover-guard "
            "--above HEIGHT: one that the network has passed since this key signed last",
        )


def check_order(last: Signed, asked: Asked) -> bool:
    """Is this what was signed last, once more? False: it comes after it. Raises Conflict for all else."""
    place, before = (asked.height, asked.round, asked.step), (last.height, last.round, last.step)
    if place > before:
        return False
    if place < before:
        raise Conflict(
            f"height {asked.height}, round {asked.round}, step {asked.step} is before what was signed last: "
            f"{last.height}, {last.round}, {last.step}",
            code="signing-backwards",
        )
    if asked.content != last.content:
        raise Conflict(
            f"something else was signed at height {asked.height}, round {asked.round}, step {asked.step}",
            code="signing-twice",
        )
    return True


class SigningGuard:
    """Holds the file from `open_guard` to `close`. Calls come from any thread; each is whole."""

    def __init__(self, path: Path, identity: tuple[str, bytes], clock: Clock) -> None:
        self._path = path
        self._chain_id, self._key = identity[0], sha256(identity[1]).hex()
        self._clock = clock
        self._mutex = threading.Lock()
        self._last, self._seen = Signed(), 0
        self._lock: int | None = _take_lock(path)

    @property
    def last(self) -> Signed:
        """What was signed last."""
        return self._last

    def sign(self, asked: Asked, sign: Sign) -> Signed:
        """The signature to give out: a new one that is kept durably, or that of before.

        Raises Conflict (backwards, or twice), GuardRefused, Unavailable (the disk).
        """
        with self._mutex:
            self._check_usable()
            if check_order(self._last, asked):
                return self._last
            signature = sign(asked.sign_bytes)
            place = (asked.height, asked.round, asked.step)
            signed = Signed(*place, asked.content, asked.seconds, asked.nanos, signature)
            self._keep(signed, self._seen)
            return signed

    def saw_own_vote(self, height: int) -> None:
        """The ledger holds a vote of this key at `height`. Raises GuardRefused if it was not signed under this guard."""
        with self._mutex:
            self._check_open()
            if height > max(self._last.height, self._seen):
                self._seen = height  # holds from now on, even if the disk does not take it
                self._keep(self._last, height)
            self._check_usable()

    def close(self) -> None:
        """Let another process sign. Nothing is signed any more."""
        with self._mutex:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _check_open(self) -> None:
        if self._lock is None:
            raise Unavailable("the signer is closed")

    def _check_usable(self) -> None:
        self._check_open()
        if self._seen > self._last.height:
            raise GuardRefused(
                f"this key voted at height {self._seen}, the guard ends at {self._last.height}: it is an older copy, "
                "or the key is used elsewhere"
            )

    def _keep(self, signed: Signed, seen: int) -> None:
        def encode(stamp: Stamp) -> bytes:
            file = GuardFile(
                "careledger/signing-guard/1",
                self._chain_id,
                self._key,
                *(signed.height, signed.round, signed.step, signed.content.hex()),
                *(signed.seconds, signed.nanos, signed.signature.hex(), seen),
                *(stamp.inode, stamp.time_s),
            )
            return msgspec.json.encode(msgspec.structs.replace(file, check=file.computed_check()))

        try:
            write_stamped(self._path, self._clock(), encode)
        except OSError as error:
            raise Unavailable(
                f"the signing guard cannot be written: {error.strerror}",
                hint="nothing was signed; see to the disk",
            ) from error
        self._last, self._seen = signed, seen

    def _load(self, *, anyway: bool = False) -> None:
        """Take over what the file says; `anyway`: also if it was put back. Raises Corrupt, GuardRefused."""
        data, stamp = read_stamped(self._path, GUARD_BYTES_MAX)
        try:
            file = msgspec.json.decode(data, type=GuardFile)
            content, signature = bytes.fromhex(file.content), bytes.fromhex(file.signature)
        except (msgspec.DecodeError, ValueError):
            raise _damaged() from None
        if file.check != file.computed_check():
            raise _damaged()
        if (file.chain_id, file.key) != (self._chain_id, self._key):
            raise GuardRefused("the signing guard is of another key or another network")
        if not anyway and stamp != Stamp(file.inode, file.written_s):
            raise GuardRefused(
                "the signing guard was put back or copied: it may not know what was signed last"
            )
        place = (file.height, file.round, file.step)
        self._last, self._seen = Signed(*place, content, file.seconds, file.nanos, signature), file.seen


def open_guard(
    path: Path, chain_id: str, public: bytes, *, used: bool, clock: Clock = time.time
) -> SigningGuard:
    """The guard of this key; a new one if the key was never `used`. Raises GuardRefused, Corrupt, Conflict (in use)."""
    guard = SigningGuard(path, (chain_id, public), clock)
    try:
        if path.exists():
            guard._load()
            guard._check_usable()
        elif used:
            raise GuardRefused("the signing guard is missing, and this key has signed before")
        else:
            guard._keep(Signed(), 0)
    except BaseException:
        guard.close()
        raise
    return guard


def recover_guard(path: Path, chain_id: str, public: bytes, floor: int, clock: Clock = time.time) -> None:
    """A new guard that signs only above the height `floor`. Raises Invalid if the old one knows of a later height.

    The caller answers for it that this key signed nothing above `floor`, and that nobody else signs with it.
    """
    guard = SigningGuard(path, (chain_id, public), clock)
    try:
        try:
            guard._load(anyway=True)
        except (Corrupt, FileNotFoundError):
            pass
        known = max(guard._last.height, guard._seen)
        if not max(known, 1) <= floor < HEIGHT_MAX:
            raise Invalid(
                f"the floor is at least {max(known, 1)}: this key voted there", code="signing-floor"
            )
        guard._keep(Signed(floor, ROUND_MAX, PRECOMMIT), 0)
    finally:
        guard.close()


def _take_lock(path: Path) -> int:
    descriptor = take_lock(path.with_name(path.name + ".lock"))
    if descriptor is None:
        raise Conflict("another process signs with this key", hint="stop it first", code="signer-in-use")
    return descriptor


def _damaged() -> Corrupt:
    return Corrupt(
        "the signing guard is damaged",
        hint="careledger engine recover-guard --above HEIGHT: one that the network has passed since it signed last",
        code="signing-guard-damaged",
    )
