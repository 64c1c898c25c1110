"""Each invocation once, answered once for everybody who asked."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial import unittest

from clawgw.nodehost import invocations as module
from clawgw.nodehost.calls import Call, invalid, unavailable
from clawgw.nodehost.invocations import Invocation, Invocations, Outcome


class InvocationTests(unittest.SynchronousTestCase):
    """`Invocations`, with commands that end when the test says so."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.answers: list[tuple[str, Outcome]] = []
        self.calls: list[Call] = []
        self.doing: list[Deferred[Any]] = []
        self.limit = 10_000_000
        self.table = Invocations(
            self.clock,
            self.do,
            lambda invoke_id, outcome: self.answers.append((invoke_id, outcome)),
            lambda: self.limit,
        )

    async def do(self, call: Call) -> Any:
        self.calls.append(call)
        self.doing.append(Deferred())
        return await self.doing[-1]

    def begin(self, invoke_id: str, key: str | None = None, **more: Any) -> None:
        self.table.begin(Invocation(invoke_id, more.pop("command", "c"), key=key, **more))

    def codes(self) -> list[tuple[str, str]]:
        return [(invoke_id, outcome.code) for invoke_id, outcome in self.answers]

    def test_one_is_done_and_answered(self) -> None:
        self.begin("1", params=b'{"a":1}', timeout=5)
        self.assertEqual(self.calls, [Call("c", b'{"a":1}', 5)])
        self.doing[0].callback({"x": 1})
        self.assertEqual(self.answers, [("1", Outcome(b'{"x":1}'))])
        self.assertEqual(len(self.table), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_same_id_twice_runs_once_and_is_answered_once(self) -> None:
        self.begin("1")
        self.begin("1")
        self.doing[0].callback(None)
        self.assertEqual((len(self.calls), len(self.answers)), (1, 1))

    def test_the_same_key_while_it_runs_waits_for_the_same_result(self) -> None:
        self.begin("1", "k")
        self.begin("2", "k")
        self.doing[0].callback("r")
        self.assertEqual(len(self.calls), 1)
        self.assertEqual(self.answers, [("1", Outcome(b'"r"')), ("2", Outcome(b'"r"'))])

    def test_the_same_key_afterwards_gets_the_result_again(self) -> None:
        self.begin("1", "k")
        self.doing[0].callback("r")
        self.begin("2", "k")
        self.assertEqual(len(self.calls), 1)
        self.assertEqual(self.answers[1], ("2", Outcome(b'"r"')))

    def test_a_key_is_of_one_command(self) -> None:
        self.begin("1", "k")
        self.begin("2", "k", command="other")
        self.assertEqual(len(self.calls), 2)

    def test_what_was_refused_may_be_tried_again(self) -> None:
        for refusal in (invalid("no"), unavailable("not now")):
            self.begin("1", "k")
            self.doing[-1].errback(refusal)
        self.begin("2", "k")
        self.assertEqual(len(self.calls), 3)
        self.assertEqual(self.codes(), [("1", "INVALID_REQUEST"), ("1", "UNAVAILABLE")])

    def test_a_deadline(self) -> None:
        self.begin("1", "k", timeout=5)
        self.clock.advance(5)
        self.assertEqual(self.codes(), [("1", "TIMEOUT")])
        self.begin("2", "k")
        self.assertEqual(self.codes()[1:], [("2", "TIMEOUT")], "nobody knows how far it came")

    def test_a_cancelled_one_is_ended_and_not_answered(self) -> None:
        self.begin("1", "k")
        self.table.cancel("other")
        self.assertEqual(len(self.table), 1)
        self.table.cancel("1")
        self.assertEqual((len(self.table), self.answers), (0, []))
        self.begin("2", "k")
        self.assertEqual((len(self.calls), self.codes()), (1, [("2", "CANCELLED")]))

    def test_one_of_two_that_wait_gives_up(self) -> None:
        self.begin("1", "k")
        self.begin("2", "k")
        self.table.cancel("1")
        self.doing[0].callback("r")
        self.assertEqual(self.answers, [("2", Outcome(b'"r"'))])

    def test_a_lost_connection_ends_everything(self) -> None:
        self.begin("1", "k")
        self.begin("2", "l")
        self.table.interrupt()
        self.assertEqual((len(self.table), self.answers), (0, []))
        self.begin("3", "k")
        self.assertEqual((len(self.calls), self.codes()), (2, [("3", "INTERRUPTED")]))

    def test_a_fault_of_ours_is_logged_and_says_nothing(self) -> None:
        self.begin("1")
        self.doing[0].errback(ZeroDivisionError("secret"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.answers[0][1].code, "INTERNAL")
        self.assertNotIn("secret", self.answers[0][1].message)

    def test_a_result_that_the_gateway_does_not_take(self) -> None:
        self.limit = 10
        self.begin("1")
        self.doing[0].callback("x" * 20)
        self.assertEqual(self.codes(), [("1", "PAYLOAD_TOO_LARGE")])

    def test_not_more_than_so_many_at_once(self) -> None:
        for number in range(module.MOST_RUNNING + 1):
            self.begin(f"{number}")
        self.assertEqual(self.codes(), [(f"{module.MOST_RUNNING}", "UNAVAILABLE")])

    def test_memory_is_bounded(self) -> None:
        self.patch(module, "REMEMBERED_BYTES", 5000)
        for number in range(4):
            self.begin(f"{number}", f"k{number}")
            self.doing[-1].callback("x" * 2000)
        self.answers.clear()
        self.begin("again-0", "k0")
        self.begin("again-3", "k3")
        self.assertEqual(len(self.calls), 4)
        self.assertEqual(self.codes(), [("again-0", "RESULT_GONE"), ("again-3", "")])

    def test_the_oldest_are_forgotten(self) -> None:
        self.patch(module, "REMEMBERED", 2)
        for number in range(3):
            self.begin(f"{number}", f"k{number}")
            self.doing[-1].callback(None)
        self.begin("again", "k0")
        self.assertEqual(len(self.calls), 4)
