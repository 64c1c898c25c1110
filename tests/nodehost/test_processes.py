"""Children: bounded in time and output, and gone with all they started. Real processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial import unittest

from clawgw.nodehost.processes import TERM_SECONDS, CannotStart, Finished, Processes
from tests.nodehost.support import PATIENCE, is_alive

SH = "/bin/sh"


class TimedReactor:
    """Starts real processes, but its time is a clock's: a slow machine is not late."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.callLater = self.clock.callLater
        self.spawnProcess = reactor.spawnProcess  # type: ignore[attr-defined]


class ProcessTests(unittest.TestCase):
    """`Processes.run`."""

    timeout = 120

    def setUp(self) -> None:
        self.processes = Processes(reactor)
        self.addCleanup(self.processes.stop)
        self.file = Path(self.mktemp()).resolve()

    def clock(self) -> Clock:
        """From now on time passes for the limits when a test says so."""
        timed = TimedReactor()
        self.processes = Processes(timed)
        self.addCleanup(self.processes.stop)
        return timed.clock

    def run_it(self, *argv: str, seconds: float = 60, limit: int = 100_000) -> Deferred[Finished]:
        env = {"PATH": os.environ["PATH"], "FILE": str(self.file)}
        return self.processes.run(argv, env=env, seconds=seconds, limit=limit)

    async def pids(self, count: int) -> list[int]:
        """The process ids that a child writes to the file."""
        deadline = reactor.seconds() + PATIENCE  # type: ignore[attr-defined]
        while reactor.seconds() < deadline:  # type: ignore[attr-defined]
            words = self.file.read_text().split() if self.file.exists() else []
            if len(words) >= count:
                return [int(word) for word in words]
            await deferLater(reactor, 0.02)
        raise AssertionError("the child never said who it is")

    async def gone(self, pids: list[int]) -> None:
        deadline = reactor.seconds() + PATIENCE  # type: ignore[attr-defined]
        while any(map(is_alive, pids)):
            self.assertLess(reactor.seconds(), deadline, "it still runs")  # type: ignore[attr-defined]
            await deferLater(reactor, 0.02)

    async def test_output_and_exit_code(self) -> None:
        done = await self.run_it(SH, "-c", "echo out; echo err >&2; exit 3")
        self.assertEqual((done.stdout, done.stderr, done.exit_code), (b"out\n", b"err\n", 3))
        self.assertEqual((done.truncated, done.timed_out, done.signal), (False, False, None))
        self.assertEqual(len(self.processes), 0)

    async def test_argv_arrives_as_it_is(self) -> None:
        words = ["a b", "$HOME", "'\"", "", "ä", "-n"]
        code = "import sys; print(sys.argv[1:])"
        done = await self.run_it(sys.executable, "-c", code, *words)
        self.assertEqual(done.stdout.decode().strip(), repr(words))

    async def test_there_is_nothing_to_read(self) -> None:
        done = await self.run_it("/bin/cat")
        self.assertEqual((done.exit_code, done.stdout), (0, b""))

    async def test_a_closed_pipe_ends_a_writer_as_in_a_shell(self) -> None:
        done = await self.run_it(SH, "-c", "yes | head -n 1; echo ok")
        self.assertEqual((done.stdout, done.stderr), (b"y\nok\n", b""))

    async def test_a_signal(self) -> None:
        done = await self.run_it(SH, "-c", "kill -9 $$")
        self.assertEqual((done.exit_code, done.signal), (None, 9))

    async def test_a_flood_is_read_to_its_end_and_cut(self) -> None:
        done = await self.run_it(SH, "-c", "head -c 5000000 /dev/zero; exit 7", limit=1000)
        self.assertEqual((len(done.stdout), done.truncated, done.exit_code), (1000, True, 7))

    async def test_a_flood_without_end_runs_into_the_time_limit(self) -> None:
        clock = self.clock()
        running = self.run_it(
            SH, "-c", "head -c 2000 /dev/zero; echo $$ > $FILE; exec yes", seconds=9, limit=1000
        )
        await self.pids(1)
        clock.advance(9)
        done = await running
        self.assertEqual((len(done.stdout), done.truncated, done.timed_out), (1000, True, True))

    async def test_the_time_limit_ends_all_that_was_started(self) -> None:
        clock = self.clock()
        running = self.run_it(SH, "-c", "sleep 300 & echo $$ $! > $FILE; wait", seconds=9)
        pids = await self.pids(2)
        clock.advance(9)
        self.assertTrue((await running).timed_out)
        await self.gone(pids)

    async def test_who_ignores_the_polite_signal_is_killed(self) -> None:
        clock = self.clock()
        line = "trap '' TERM; sh -c 'echo $$ > $FILE; while :; do sleep 1; done' & wait; wait"
        running = self.run_it(SH, "-c", line, seconds=9)
        (pid,) = await self.pids(1)
        clock.advance(9)
        self.assertTrue(is_alive(pid))
        clock.advance(TERM_SECONDS)
        self.assertTrue((await running).timed_out)
        await self.gone([pid])

    async def test_cancelling_ends_all_that_was_started(self) -> None:
        running = self.run_it(SH, "-c", "sleep 300 & echo $$ $! > $FILE; wait")
        pids = await self.pids(2)
        running.cancel()
        with self.assertRaises(CancelledError):
            await running
        await self.gone(pids)

    async def test_stop_ends_all_and_waits(self) -> None:
        running: Any = self.run_it(SH, "-c", "sleep 300 & echo $$ $! > $FILE; wait")
        pids = await self.pids(2)
        await self.processes.stop()
        self.assertFalse(is_alive(pids[0]))
        self.assertEqual(len(self.processes), 0)
        self.assertNotEqual((await running).exit_code, 0)
        await self.gone(pids)

    async def test_a_background_child_does_not_hold_up_the_result(self) -> None:
        done = await self.run_it(SH, "-c", "sleep 60 & echo $! > $FILE; echo started")
        pids = await self.pids(1)
        self.assertEqual(done.stdout, b"started\n")
        self.assertTrue(is_alive(pids[0]), "it may go on; nobody asked for its end")
        os.kill(pids[0], 9)

    async def test_what_is_no_program(self) -> None:
        self.file.write_text("no program")
        self.file.chmod(0o755)
        done = await self.run_it(str(self.file))
        self.assertEqual(done.exit_code, 1)
        self.assertIn(self.file.name.encode(), done.stderr)

    async def test_a_system_that_refuses(self) -> None:
        class Refusing:
            def spawnProcess(self, *_args: Any, **_kwargs: Any) -> None:
                raise OSError(11, "no more processes")

        with self.assertRaises(CannotStart):
            await Processes(Refusing()).run(["/bin/true"], env={}, seconds=1, limit=1)
