"""Run a command that holds a lock for as long as it lives: `exclusive.py LOCKFILE COMMAND…`.

A WhatsApp login must be used by one process at a time, and a host has one session. The lock is on
an open file that the command inherits, so that it lasts exactly as long as the command, also when
the Gateway that started it was killed and another one comes up before the command has noticed. That
other one waits here for it. The command may be this file again, with another lock.

This file is run by its path and imports nothing but the standard library.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time

WAIT_SECONDS = 15.0
LOCKED = 75
"""Exit code: somebody else holds the lock (`EX_TEMPFAIL` of sysexits.h)."""


def main(arguments: list[str]) -> int:
    """Take the lock, become the command; returns only if that was not possible."""
    path, *command = arguments
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    deadline = time.monotonic() + WAIT_SECONDS
    parent = os.getppid()
    while not _lock(descriptor):
        if time.monotonic() > deadline or os.getppid() != parent:
            sys.stderr.write(f"another process holds {path}\n")
            return LOCKED
        time.sleep(0.05)
    os.set_inheritable(descriptor, True)
    try:
        os.execvp(command[0], command)  # noqa: S606 - the operator's command
    except OSError as problem:
        sys.stderr.write(f"cannot start {command[0]}: {problem.strerror}\n")
        return 127


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
