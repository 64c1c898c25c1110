"""The files a child writes to, and what is learned from them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.trial.unittest import SynchronousTestCase, TestCase

from clawgw import jsonrpc
from clawgw.channels.adapter import Fault
from clawgw.channels.signal import answers as answers_module
from clawgw.channels.signal import spool as module
from clawgw.channels.signal.answers import Answers
from clawgw.channels.signal.spool import Spool, SpooledProcess
from clawgw.jsonrpc import ProcessGone

TALKS = """
import sys, time
for number in range(3):
    print('{"method": "receive", "params": {"n": %d}}' % number, flush=True)
sys.stdin.readline()
print('{"id": "k", "result": 7}', flush=True)
sys.stdin.read()
print('{"method": "receive", "params": {"n": "last words"}}', flush=True)
"""


class Children(TestCase):
    """A real child that writes to a file."""

    timeout = 120

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.patch(jsonrpc, "TERM_SECONDS", 60.0)  # a slow machine's last words may take long
        self.patch(jsonrpc, "KILL_SECONDS", 60.0)
        self.directory = Path(self.mktemp()).absolute()
        self.spool = Spool(reactor, self.directory, self.in_thread)
        self.heard: list[Any] = []
        self.positions: list[int] = []
        self.waiting: list[tuple[int, Deferred[None]]] = []

    def in_thread(self, work: Any, *args: Any) -> Deferred[Any]:
        return deferToThreadPool(self.reactor, self.reactor.getThreadPool(), work, *args)

    def until(self, count: int) -> Deferred[None]:
        deferred: Deferred[None] = Deferred()
        self.waiting.append((count, deferred))
        self.look()
        return deferred

    def look(self) -> None:
        for count, deferred in list(self.waiting):
            if len(self.heard) >= count:
                self.waiting.remove((count, deferred))
                deferred.callback(None)

    async def child(self, script: str) -> SpooledProcess:
        child = await self.unstarted()
        child.start([sys.executable, "-u", "-c", script], env={"PATH": os.environ["PATH"]})
        self.addCleanup(child.stop)
        return child

    async def unstarted(self) -> SpooledProcess:
        path, descriptor = await self.spool.new()

        def hear(_: str, params: dict[str, Any]) -> None:
            self.heard.append(params["n"])
            self.positions.append(child.position)
            self.look()

        child = SpooledProcess(
            self.reactor, "child", self.in_thread, path, descriptor,
            on_request=lambda *_: None, on_notification=hear,
        )  # fmt: skip
        return child

    async def test_it_is_heard_from_its_file(self) -> None:
        child = await self.child(TALKS)
        await self.until(3)
        self.assertEqual(await child.request("m", {}, key="k"), 7)
        await child.stop()
        self.assertEqual(self.heard, [0, 1, 2, "last words"])
        self.assertEqual(child.exit_code, 0)
        size = child.path.stat().st_size
        self.assertEqual(
            (self.positions[-1], self.positions == sorted(self.positions)), (size, True)
        )
        lines, over = await self.spool.lines(child.path, self.positions[1])
        self.assertEqual(over, True)
        self.assertEqual([line for line, _ in lines][1], b'{"id": "k", "result": 7}\n')
        self.assertEqual(lines[0][1], self.positions[2])

    async def test_it_is_read_by_one_at_a_time_also_at_its_end(self) -> None:
        """A change that is told during the last reading begins no second one."""
        most, reading, told = 0, 0, 0
        direct = self.in_thread

        def slowly(work: Any, *args: Any) -> Deferred[Any]:
            nonlocal most, reading, told
            if work is not os.pread or child.exit_code is None:
                return direct(work, *args)
            reading += 1
            most = max(most, reading)
            if told < 5:
                told += 1
                self.reactor.callLater(0, child._changed)
            done = deferLater(self.reactor, 0.02).addCallback(lambda _: direct(work, *args))
            return done.addBoth(over)

        def over(result: Any) -> Any:
            nonlocal reading
            reading -= 1
            return result

        self.patch(self, "in_thread", slowly)
        child = await self.unstarted()
        lingers = f"{TALKS}time.sleep(0.2)"  # so that its words are read before its end
        child.start([sys.executable, "-u", "-c", lingers], env={"PATH": os.environ["PATH"]})
        self.addCleanup(child.stop)
        await self.until(3)
        await child.stop()
        self.assertEqual(self.heard, [0, 1, 2, "last words"])
        self.assertEqual((most, told), (1, 5))

    async def test_without_inotify(self) -> None:
        from twisted.internet import inotify

        def refuse(*_: Any, **__: Any) -> Any:
            raise inotify.INotifyError("none left")

        self.patch(module, "POLL_SECONDS", 0.01)
        for owner, name in ((inotify.INotify, "watch"), (inotify, "INotify")):
            self.heard.clear()
            self.patch(owner, name, refuse)
            child = await self.child(TALKS)
            await self.until(3)
            await child.stop()
            self.assertEqual(self.heard[-1], "last words")

    async def test_holding_it_up(self) -> None:
        child = await self.child(TALKS)
        await self.until(3)  # the very first reading, under way at the start, cannot be held up
        child.pause()
        asked = child.request("m", {}, key="k")
        await self.in_thread(self.wait_for_size, child.path, 150)
        self.assertFalse(asked.called)
        child.resume()
        self.assertEqual(await asked, 7)
        child.pause()
        await child.stop()  # its last words are heard all the same
        self.assertEqual(self.heard[-1], "last words")

    @staticmethod
    def wait_for_size(path: Path, size: int) -> None:
        import time

        while path.stat().st_size < size:
            time.sleep(0.01)

    async def test_a_line_that_is_too_long(self) -> None:
        self.patch(jsonrpc, "MAX_LINE", 100_000)
        child = await self.child("import sys; sys.stdout.write('x' * 1_000_000); sys.stdin.read()")
        self.assertEqual(await child.ended, "it wrote a line of more than 100000 bytes")

    async def test_a_program_that_is_not_there(self) -> None:
        child = await self.unstarted()
        with self.assertRaises(ProcessGone):
            child.start(["no-such-program"], env={"PATH": os.environ["PATH"]})
        child.close()
        self.assertEqual(await self.spool.left(), [child.path])
        await self.spool.complete(child.path)
        await self.spool.remove(child.path)
        self.assertEqual(await self.spool.left(), [])

    async def test_a_file_is_complete_when_nobody_can_write_to_it(self) -> None:
        self.patch(module, "LOCK_SECONDS", 0.3)
        child = await self.child("import sys; sys.stdin.read()")
        with self.assertRaises(Fault) as caught:
            await self.spool.complete(child.path)
        self.assertIn("still running", str(caught.exception))
        await child.stop()
        await self.spool.complete(child.path)

    async def test_half_a_line_is_none(self) -> None:
        path, descriptor = await self.spool.new()
        os.write(descriptor, b"one\ntwo\nthr")
        os.close(descriptor)
        lines, over = await self.spool.lines(path, 0)
        self.assertEqual((lines, over), ([(b"one\n", 4), (b"two\n", 8)], True))

    async def test_a_large_file_in_pieces(self) -> None:
        path, descriptor = await self.spool.new()
        os.write(descriptor, b"".join(b"%07d\n" % number for number in range(100_000)))
        os.close(descriptor)
        position, count, over, pieces = 0, 0, False, 0
        while not over:
            lines, over = await self.spool.lines(path, position)
            position, count, pieces = lines[-1][1], count + len(lines), pieces + 1
        self.assertEqual((count, position, pieces > 2), (100_000, 800_000, True))

    async def test_names_go_up(self) -> None:
        names = []
        for _ in range(3):
            path, descriptor = await self.spool.new()
            os.close(descriptor)
            names.append(path.name)
        self.assertEqual(names, ["00000001.jsonl", "00000002.jsonl", "00000003.jsonl"])
        self.assertEqual([path.name for path in await self.spool.left()], names)
        self.assertEqual(self.directory.stat().st_mode & 0o777, 0o700)


class WhatBecame(SynchronousTestCase):
    """Answers to sends."""

    def test_from_the_asking_to_the_answer(self) -> None:
        answers = Answers()
        answers.asked("a")
        self.assertTrue(answers.is_under_way("a"))
        self.assertFalse(answers.all_given)
        answers.answered("a", 5)
        self.assertEqual((answers.timestamp_of("a"), answers.all_given), (5, True))
        answers.asked("b")
        answers.answered("b", None)
        self.assertEqual((answers.timestamp_of("b"), answers.is_lost("b")), (None, False))

    def test_the_end_of_a_child(self) -> None:
        answers = Answers()
        answers.asked("a")
        self.assertFalse(answers.ended(orderly=True))
        self.assertEqual((answers.is_under_way("a"), answers.is_lost("a")), (False, False))
        answers.asked("a")
        self.assertTrue(answers.ended(orderly=False))
        self.assertTrue(answers.is_lost("a"))
        answers.asked("a")
        self.assertFalse(answers.is_lost("a"))

    def test_reading_what_a_child_wrote(self) -> None:
        answers = Answers()
        self.assertEqual(
            answers.read(b'{"method":"receive","params":{"envelope":{}}}'), {"envelope": {}}
        )
        for line in (
            b'{"id":"a","result":{"timestamp":5}}',
            b'{"id":"b","error":{"code":-1,"message":"x"}}',
            b'{"id":7,"result":{"timestamp":5}}',
            b'{"id":"c","result":{"timestamp":"5"}}',
            b"INFO starting",
            b'{"method":"receive","params":7}',
            b"\xff",
            b"[" * 5000,
            b"",
        ):
            self.assertIsNone(answers.read(line))
        self.assertEqual([answers.timestamp_of(key) for key in "abc"], [5, None, None])

    def test_over_a_restart(self) -> None:
        answers = Answers()
        answers.answered("a", 5)
        answers.asked("b")
        answers.ended(orderly=False)
        kept = answers.to_remember()
        later = Answers()
        later.recall(kept["answers"], kept["lost"])
        self.assertEqual((later.timestamp_of("a"), later.is_lost("b")), (5, True))
        later.recall("damaged", None)
        self.assertEqual(later.timestamp_of("a"), 5)

    def test_only_the_newest_are_kept(self) -> None:
        self.patch(answers_module, "KEPT", 3)
        answers = Answers()
        for number in range(5):
            answers.answered(str(number), number)
        known = [answers.timestamp_of(str(number)) for number in range(5)]
        self.assertEqual(known, [None, None, 2, 3, 4])
