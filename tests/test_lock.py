"""One Gateway per state directory and per port."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from clawgw.lock import LOCK_NAME, AlreadyRunning, StateLock, listener_pid, read_lock
from tests.support.ports import free_port

ROOT = Path(__file__).parents[1]

HOLDER = """
import os, subprocess, sys, time
from pathlib import Path
from clawgw.lock import StateLock

lock = StateLock(Path(sys.argv[1]))
lock.write(pid=os.getpid())
child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
time.sleep(60)
"""


class Locks(SynchronousTestCase):
    """The lock on a state directory."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()

    def held(self) -> StateLock:
        lock = StateLock(self.directory)
        self.addCleanup(lock.release)
        return lock

    def test_only_one(self) -> None:
        self.held().write(pid=4711, url="ws://x")
        refusal = self.assertRaises(AlreadyRunning, StateLock, self.directory)
        for words in (str(self.directory), "pid 4711", "--state-dir"):
            self.assertIn(words, str(refusal))

    def test_before_the_holder_has_said_who_it_is(self) -> None:
        """What an earlier holder wrote is not told as if it were true."""
        lock = StateLock(self.directory)
        lock.write(pid=1)
        lock.release()
        self.held()
        refusal = self.assertRaises(AlreadyRunning, StateLock, self.directory)
        self.assertIn("pid unknown", str(refusal))

    def test_let_go(self) -> None:
        lock = StateLock(self.directory)
        lock.release()
        self.held()

    def test_what_is_written_is_read(self) -> None:
        lock = self.held()
        lock.write(pid=1, url="ws://127.0.0.1:18789", tlsFingerprint="ab" * 32)
        lock.write(pid=2, url=None)
        self.assertEqual(read_lock(self.directory), {"pid": 2, "url": None})
        mode = (self.directory / LOCK_NAME).stat().st_mode
        self.assertEqual(stat.S_IMODE(mode), 0o600)

    def test_nothing_to_read(self) -> None:
        self.assertEqual(read_lock(self.directory), {})
        for content in (b"", b"[]", b"{", b"\xff"):
            (self.directory / LOCK_NAME).write_bytes(content)
            self.assertEqual(read_lock(self.directory), {})

    def test_it_ends_with_its_holder_however_that_ends(self) -> None:
        """Killed, with a child of its own that lives on."""
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(self.directory)], stdout=subprocess.PIPE, cwd=ROOT
        )
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        self.addCleanup(os.kill, child, signal.SIGKILL)
        refusal = self.assertRaises(AlreadyRunning, StateLock, self.directory)
        self.assertIn(f"pid {holder.pid}", str(refusal))
        holder.kill()
        holder.wait()
        holder.stdout.close()
        self.held()


class Listeners(SynchronousTestCase):
    """Who listens on a port."""

    def test_ours(self) -> None:
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as listener:
                port = free_port()  # an ephemeral one may be somebody else's at another address
                listener.bind((address, port))
                self.assertIsNone(listener_pid(port))
                listener.listen()
                self.assertEqual(listener_pid(port), os.getpid())
            self.assertIsNone(listener_pid(port))
