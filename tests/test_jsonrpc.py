"""JSON-RPC with real children: talking, failing, dying, being stopped."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import TestCase

from clawgw import jsonrpc, loglimit
from clawgw.jsonrpc import JsonRpcProcess, ProcessGone, RpcError, RpcTimeout
from tests.support.clocked import ClockedReactor

PRELUDE = """
import json, os, signal, subprocess, sys, time

def read():
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return json.loads(line)

def write(**message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\\n")
    sys.stdout.flush()

"""

ECHO = """
while True:
    message = read()
    if "id" in message:
        write(id=message["id"], result={"method": message["method"], "params": message["params"]})
"""


class ChildTestCase(TestCase):
    """A child of a few lines of Python, and all it said."""

    timeout = 120

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.reasons: list[str] = []
        self.logged: list[str] = []
        self.waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

        def observe(event: Any) -> None:
            if event.get("log_namespace") == "clawgw.jsonrpc.JsonRpcProcess":
                self.logged.append(formatEvent(event))
                self.look()

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def look(self) -> None:
        """Something happened: somebody may have waited for it."""
        for condition, deferred in list(self.waiting):
            if condition():
                self.waiting.remove((condition, deferred))
                deferred.callback(None)

    def until(self, condition: Callable[[], bool]) -> Deferred[None]:
        deferred: Deferred[None] = Deferred()
        self.waiting.append((condition, deferred))
        self.look()
        return deferred

    def child(
        self, script: str, on_request: Callable[[str, dict[str, Any]], Any] | None = None
    ) -> JsonRpcProcess:
        def hear(method: str, params: dict[str, Any]) -> None:
            self.heard.append((method, params))
            self.look()

        process = JsonRpcProcess(
            self.reactor,
            "the child",
            on_request=on_request or (lambda *_: None),
            on_notification=hear,
            on_exit=self.reasons.append,
        )
        command = [sys.executable, "-u", "-c", PRELUDE + script]
        process.start(command, env={"PATH": os.environ["PATH"]})
        self.addCleanup(self.finish, process)
        return process

    def finish(self, process: JsonRpcProcess) -> Deferred[None]:
        if process.running:
            process.kill("the test is over")
        return process.ended

    async def fails(self, work: Any, kind: type[Exception]) -> Exception:
        with self.assertRaises(kind) as caught:
            await work
        return caught.exception


class Talking(ChildTestCase):
    """Both sides ask, answer and tell."""

    async def test_asking(self) -> None:
        child = self.child(ECHO)
        answers = await DeferredList([child.request("m", {"n": number}) for number in range(50)])
        self.assertEqual([answer["params"]["n"] for _, answer in answers], list(range(50)))

    async def test_answers_in_another_order(self) -> None:
        child = self.child(
            "first, second = read(), read()\n"
            "write(id=second['id'], result=2); write(id=first['id'], result=1); read()"
        )
        results = await DeferredList([child.request("a", {}), child.request("b", {})])
        self.assertEqual(results, [(True, 1), (True, 2)])

    async def test_asking_with_an_id_of_ones_own(self) -> None:
        child = self.child("for _ in range(2):\n    write(id=read()['id'], result=1)\nread()")
        first = child.request("m", {}, key="mine")
        self.assertRaises(ValueError, child.request, "m", {}, key="mine")
        self.assertEqual(await first, 1)
        self.assertEqual(await child.request("m", {}, key="mine"), 1)

    async def test_telling(self) -> None:
        child = self.child("write(method='heard', params={'what': read()}); read()")
        child.notify("hello", {"a": "ü\n"})
        await self.until(lambda: bool(self.heard))
        ((method, params),) = self.heard
        self.assertEqual(method, "heard")
        self.assertEqual(
            params["what"], {"jsonrpc": "2.0", "method": "hello", "params": {"a": "ü\n"}}
        )

    async def test_being_asked(self) -> None:
        async def later(method: str, params: dict[str, Any]) -> Any:
            await deferLater(self.reactor, 0)
            return {"method": method, **params}

        self.child(ASKS, later)
        await self.until(lambda: bool(self.heard))
        self.assertEqual(
            self.heard[0][1]["answer"],
            {"jsonrpc": "2.0", "id": "a", "result": {"method": "question", "n": 1}},
        )

    async def test_refusing(self) -> None:
        def refuse(method: str, _: Any) -> None:
            raise RpcError(jsonrpc.METHOD_NOT_FOUND, f"no {method} here")

        self.child(ASKS, refuse)
        await self.until(lambda: bool(self.heard))
        error = self.heard[0][1]["answer"]["error"]
        self.assertEqual(error, {"code": -32601, "message": "no question here"})

    async def test_a_fault_of_ours_is_answered_without_our_insides(self) -> None:
        for answer in (lambda *_: {}["secret"], lambda *_: object()):
            self.heard.clear()
            self.child(ASKS, answer)
            await self.until(lambda: bool(self.heard))
            error = self.heard[0][1]["answer"]["error"]
            self.assertEqual(error["code"], jsonrpc.INTERNAL_ERROR)
            self.assertNotIn("secret", error["message"])
        self.assertEqual(len(self.flushLoggedErrors(KeyError, TypeError)), 2)

    async def test_a_fault_while_hearing_does_not_break_hearing(self) -> None:
        child = self.child("write(method='a'); write(method='b')\n" + ECHO)
        heard: list[str] = []

        def hear(method: str, _: Any) -> None:
            heard.append(method)
            raise KeyError(method)

        child._on_notification = hear
        await child.request("m", {})
        self.assertEqual(heard, ["a", "b"])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 2)

    async def test_error_answers(self) -> None:
        table: list[tuple[Any, tuple[int, str, Any]]] = [
            ({"code": 5, "message": "no", "data": [1]}, (5, "no", [1])),
            ({"code": "5", "message": 7}, (-32603, "an error without a description", None)),
            ("no", (-32603, "an error without a description", None)),
            ({"code": 1, "message": ""}, (1, "an error without a description", None)),
        ]
        answers = json.dumps([error for error, _ in table])
        child = self.child(
            f"for error in json.loads({answers!r}):\n"
            "    write(id=read()['id'], error=error)\n"
            "read()"
        )
        for _, expected in table:
            error = await self.fails(child.request("m", {}), RpcError)
            assert isinstance(error, RpcError)
            self.assertEqual((error.code, str(error), error.data), expected)

    async def test_an_answer_that_comes_too_late(self) -> None:
        child = self.child(
            "late = read(); now = read(); write(id=late['id'], result=1)\n"
            "write(id=late['id'], result=1); write(id=now['id'], result=2); read()"
        )
        late = child.request("slow", {}, timeout=0.01)
        self.assertIn("slow", str(await self.fails(late, RpcTimeout)))
        self.assertEqual(await child.request("quick", {}, timeout=20), 2)

    async def test_an_asker_that_has_gone(self) -> None:
        child = self.child(ECHO)
        gone = child.request("a", {})
        gone.cancel()
        await self.fails(gone, CancelledError)
        self.assertEqual((await child.request("b", {}))["method"], "b")


ASKS = """
write(id="a", method="question", params={"n": 1})
write(method="told", params={"answer": read()})
read()
"""


class Nonsense(ChildTestCase):
    """A child that does not keep to the rules."""

    async def test_lines_that_are_no_json_rpc(self) -> None:
        child = self.child(
            "print('loading model...'); print('{'); print('[1]'); print('\"x\"'); print('')\n"
            "sys.stdout.buffer.write(b'\\xff\\xfe\\n'); print('[' * 100000)\n"
            "print('{\"id\": 1.5}')\n"
            "print(json.dumps({'id': 99, 'result': 1})); print(json.dumps({'id': 'x'}))\n"
            "print(json.dumps({'id': None, 'error': {}})); print('{}')\n" + ECHO
        )
        self.assertEqual((await child.request("m", {}))["method"], "m")
        complaints = [line for line in self.logged if "no JSON-RPC" in line]
        self.assertEqual(len(complaints), 7)
        self.assertEqual([line for line in self.logged if "loading" in line], [])

    async def test_params_that_are_no_object(self) -> None:
        self.child("write(method='a', params=[1]); write(method='b', params=None); read()")
        await self.until(lambda: len(self.heard) == 2)
        self.assertEqual(self.heard, [("a", {}), ("b", {})])

    async def test_a_long_line_in_pieces(self) -> None:
        child = self.child("import random\nwrite(id=read()['id'], result='x' * 3_000_000); read()")
        self.assertEqual(len(await child.request("m", {})), 3_000_000)

    async def test_a_line_that_is_too_long(self) -> None:
        self.patch(jsonrpc, "MAX_LINE", 100_000)
        child = self.child("read(); sys.stdout.write('x' * 10_000_000); sys.stdout.flush(); read()")
        problem = await self.fails(child.request("m", {}), ProcessGone)
        self.assertIn("a line of more than 100000 bytes", str(problem))
        await child.ended
        self.assertEqual(self.reasons, [str(problem)])

    async def test_one_that_does_not_read(self) -> None:
        self.patch(jsonrpc, "MAX_UNREAD", 200_000)
        child = self.child("write(method='up'); time.sleep(60)")
        await self.until(lambda: bool(self.heard))
        work = [child.request("m", {"text": "x" * 50_000}) for _ in range(20)]
        results = await DeferredList(work, consumeErrors=True)
        for ok, failure in results:
            self.assertFalse(ok)
            self.assertIn("it does not read", str(failure.value))
        await child.ended
        self.assertIn("it does not read", self.reasons[0])

    async def test_one_that_reads_slowly_is_given_time(self) -> None:
        self.patch(jsonrpc, "MAX_UNREAD", 3_000_000)
        child = self.child(ECHO)
        for _ in range(5):
            work = [child.request("m", {"text": "x" * 200_000}) for _ in range(10)]
            self.assertTrue(all(ok for ok, _ in await DeferredList(work)))

    async def test_standard_error_goes_to_the_log_and_cannot_move_the_cursor(self) -> None:
        child = self.child(
            "sys.stderr.buffer.write(b'one\\r\\n\\x1b[31mred\\x07 \\xff \\xc2\\x9b2J\\n\\n')\n"
            "sys.stderr.buffer.write(b'\\ttab {name}\\n'); sys.stderr.flush()\n"
            "sys.stderr.write('y' * 50_000 + '\\n'); sys.stderr.write('last words'); sys.exit(3)"
        )
        await child.ended
        lines = [line.removeprefix("the child: ") for line in self.logged]
        lines = [line for line in lines if not line.startswith(("started", "ended"))]
        long = "y" * jsonrpc.MAX_LOG_LINE
        expected = ["one", "?[31mred? \ufffd ?2J", "\ttab {name}", long, "last words"]
        self.assertEqual(lines, expected)

    async def test_one_that_says_too_much_does_not_fill_the_log(self) -> None:
        self.patch(loglimit, "MOST_LINES", 5)
        self.patch(loglimit, "SECONDS", 3600.0)
        child = self.child(
            "for number in range(1000): print('on', number, file=sys.stderr)\n"
            "sys.stderr.flush()\n"
            "for number in range(1000): print('rubbish')\n" + ECHO
        )
        self.assertEqual((await child.request("m", {}))["method"], "m")
        child.kill("the test is over")
        await child.ended
        lines = [line.removeprefix("the child: ") for line in self.logged]
        lines = [line for line in lines if not line.startswith(("started", "ended"))]
        said = [line for line in lines if line.startswith("on") or "no JSON-RPC" in line]
        self.assertEqual(len(said), 5)
        self.assertIn("says too much; for a while the rest is not logged", lines)
        self.assertEqual(lines[-1], "1995 lines were not logged")


class Ending(ChildTestCase):
    """Children that end, or do not."""

    async def test_in_the_middle_of_a_request(self) -> None:
        child = self.child("read(); sys.exit(7)")
        results = await DeferredList(
            [child.request("a", {}), child.request("b", {})], consumeErrors=True
        )
        for _, failure in results:
            self.assertEqual(str(failure.value), "it ended with exit code 7")
        await child.ended
        self.assertEqual(self.reasons, ["it ended with exit code 7"])
        self.assertFalse(child.running)
        self.assertIn("exit code 7", str(await self.fails(child.request("c", {}), ProcessGone)))
        child.notify("d", {})

    async def test_by_a_signal(self) -> None:
        child = self.child("os.kill(os.getpid(), signal.SIGSEGV)")
        await child.ended
        self.assertEqual(self.reasons, [f"it was ended by signal {int(signal.SIGSEGV)}"])

    async def test_what_it_said_last_is_heard(self) -> None:
        child = self.child("write(id=read()['id'], result=1); write(method='bye'); sys.exit(0)")
        self.assertEqual(await child.request("m", {}), 1)
        await child.ended
        self.assertEqual(self.heard, [("bye", {})])

    async def test_one_whose_own_child_holds_its_output(self) -> None:
        """Our child is gone; that something it started lives on must not keep us waiting."""
        self.patch(jsonrpc, "LAST_WORDS_SECONDS", 0.1)
        child = self.child(
            "grandchild = subprocess.Popen(['sleep', '60'])\n"
            "write(method='pid', params={'pid': grandchild.pid}); read(); os._exit(9)"
        )
        await self.until(lambda: bool(self.heard))
        self.addCleanup(os.kill, self.heard[0][1]["pid"], signal.SIGKILL)
        problem = await self.fails(child.request("m", {}), ProcessGone)
        self.assertEqual(str(problem), "it ended with exit code 9")
        await child.ended
        self.assertEqual(len(self.reasons), 1)

    async def test_there_is_nothing_to_start(self) -> None:
        def never(*_: Any) -> None:
            raise AssertionError("it never ran")

        process = JsonRpcProcess(
            self.reactor, "x", on_request=never, on_notification=never, on_exit=never
        )
        env = {"PATH": os.environ["PATH"]}
        for command, cwd, says in (
            (["no-such-program-here"], None, "there is no program 'no-such-program-here'"),
            (["/etc/passwd"], None, "there is no program"),
            ([sys.executable], "/no/such/directory", "there is no directory"),
        ):
            problem = self.assertRaises(ProcessGone, process.start, command, env=env, cwd=cwd)
            self.assertIn(says, str(problem))
        self.assertFalse(process.running)
        await self.fails(process.request("m", {}), ProcessGone)
        await process.stop()

    async def test_its_directory_and_environment_are_what_was_said(self) -> None:
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        process = JsonRpcProcess(
            self.reactor,
            "x",
            on_request=lambda *_: None,
            on_notification=lambda *_: None,
            on_exit=lambda _: None,
        )
        script = (
            PRELUDE + "write(id=read()['id'], result=[os.getcwd(), sorted(os.environ)])\nread()"
        )
        env = {"PATH": os.environ["PATH"], "ONLY": "this"}
        process.start([sys.executable, "-c", script], env=env, cwd=str(directory))
        self.addCleanup(self.finish, process)
        where, names = await process.request("m", {})
        self.assertEqual(where, str(directory))
        self.assertNotIn("HOME", names)
        self.assertIn("ONLY", names)


class Stopping(ChildTestCase):
    """Politely first."""

    def setUp(self) -> None:
        super().setUp()
        self.reactor = ClockedReactor()

    def stop(self, child: JsonRpcProcess) -> Deferred[None]:
        """Stop it, and let the time until SIGTERM pass."""
        stopped = child.stop()
        self.reactor.clock.advance(jsonrpc.TERM_SECONDS)
        return stopped

    async def test_one_that_ends_when_its_input_does(self) -> None:
        child = self.child("write(method='up')\n" + ECHO)
        await self.until(lambda: bool(self.heard))
        await child.stop()
        self.assertEqual(self.reasons, ["it was stopped"])
        await child.stop()

    async def test_one_that_needs_a_word(self) -> None:
        child = self.child(
            "def bye(*_):\n    write(method='term'); sys.exit(0)\n"
            "signal.signal(signal.SIGTERM, bye); write(method='up')\n"
            "while True:\n    time.sleep(0.05)"
        )
        await self.until(lambda: bool(self.heard))
        await self.stop(child)
        self.assertEqual([method for method, _ in self.heard], ["up", "term"])

    async def test_one_that_does_not_want_to(self) -> None:
        child = self.child(
            "signal.signal(signal.SIGTERM, lambda *_: write(method='never'))\n"
            "write(method='up')\nwhile True:\n    time.sleep(0.05)"
        )
        await self.until(lambda: bool(self.heard))
        pending = child.request("m", {})
        first, second = self.stop(child), child.stop()
        await self.until(lambda: len(self.heard) == 2)
        self.reactor.clock.advance(jsonrpc.KILL_SECONDS - jsonrpc.TERM_SECONDS)
        self.assertEqual(str(await self.fails(pending, ProcessGone)), "it was stopped")
        await first
        await second
        self.assertEqual([method for method, _ in self.heard], ["up", "never"])
        self.assertEqual(self.reasons, ["it was stopped"])

    async def test_one_that_does_not_read(self) -> None:
        child = self.child("write(method='up'); time.sleep(60)")
        await self.until(lambda: bool(self.heard))
        child.notify("m", {"text": "x" * 1_000_000})
        await self.stop(child)
        self.assertEqual(self.reasons, ["it was stopped"])
