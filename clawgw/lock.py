"""One Gateway per state directory and per port.

The lock is on an open file, so the system lets go of it however its holder ends. The file says
who holds it and where it listens; the command line client of the same host reads that.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import msgspec

LOCK_NAME = "gateway.lock"


class AlreadyRunning(Exception):
    """Somebody else has what we need; the message is one sentence for the operator."""


class StateLock:
    """The lock on a state directory, held until the process ends.

    Args:
        state_dir: the directory; it must exist.

    Raises:
        AlreadyRunning: another Gateway holds it.
        OSError: the file cannot be made.
    """

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / LOCK_NAME
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = read_lock(state_dir).get("pid", "unknown")
            os.close(self._descriptor)
            raise AlreadyRunning(
                f"a Gateway is already running on the state directory {state_dir}, pid {pid}; "
                "stop it first, or give this one another --state-dir"
            ) from None
        os.ftruncate(self._descriptor, 0)  # what its last holder wrote is no longer true

    def write(self, **facts: Any) -> None:
        """Say who holds the lock. The inode stays: it is what is locked."""
        text = msgspec.json.encode(facts) + b"\n"
        os.pwrite(self._descriptor, text, 0)
        os.ftruncate(self._descriptor, len(text))

    def release(self) -> None:
        """Let go."""
        os.close(self._descriptor)


def read_lock(state_dir: Path) -> dict[str, Any]:
    """What the holder of the lock wrote; empty if nobody did."""
    try:
        facts = msgspec.json.decode((state_dir / LOCK_NAME).read_bytes())
    except (OSError, msgspec.DecodeError):
        return {}
    return facts if isinstance(facts, dict) else {}


def listener_pid(port: int) -> int | None:
    """The pid of the process of this user that listens on a TCP port; Linux only.

    Looks the port's socket up in `/proc/net/tcp*` (proc_net_tcp, kernel documentation) and then
    for the process that has it open.
    """
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            columns = row.split()
            if columns[3] == "0A" and int(columns[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{columns[9]}]")
    for process in Path("/proc").glob("[0-9]*") if inodes else ():
        try:
            if any(os.readlink(link) in inodes for link in (process / "fd").iterdir()):
                return int(process.name)
        except OSError:
            continue
    return None
