"""Becomes the program named in its arguments, which the kernel then kills when the process that started it ends.

Run as a file, alone: `python -I -S launch.py PARENT PROGRAM ARGUMENT…`. It is a program of its own because what it
does must happen in the child, and a forked child of a process with threads may safely do nothing but this.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, words: list[str]) -> None:
    """Never returns."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(1)
    os.execv(words[0], words)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
