"""Work that waits for a node that sleeps."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from clawgw.nodes.book import Profile, Record
from clawgw.nodes.pending import ACTION_MS, MAX_ACTIONS, PendingWork
from clawgw.protocol.errors import RequestError, invalid, unavailable
from clawgw.protocol.nodes import PendingEnqueueParams
from tests.nodes.memory import ask
from tests.support.memory import MemoryDatabase, MsClock

PHONE = Record("node-a", Profile(protocol=4, platform="iOS 26.1", device_family="iPhone"), 1)
ASLEEP = {"code": "NODE_BACKGROUND_UNAVAILABLE", "message": "bring the app to the front"}
MY = ("camera.snap", "canvas.present", "talk.ptt.start", "screen.record")


def refused(**error: str) -> RequestError:
    """A node's refusal as `node.invoke` tells it."""
    return unavailable("node said no", nodeError=error or ASLEEP)


class PendingTestCase(SynchronousTestCase):
    """A Gateway's memory of such work."""

    def setUp(self) -> None:
        self.database = MemoryDatabase()
        self.clock = MsClock()
        self.restart()

    def restart(self) -> None:
        """What a new process would have."""
        self.pending = PendingWork(self.database, self.clock.now_ms)

    def do(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def refuse(
        self, key: str = "k", command: str = "camera.snap", *, record: Record = PHONE, **error: str
    ) -> RequestError:
        """A node refuses; what the operator hears."""
        params = ask(command, key, params={"x": 1})
        told = self.do(self.pending.after(record, params, refused(**error)))
        assert isinstance(told, RequestError)
        return told

    def keys(self, *commands: str) -> list[str]:
        return [one.command for one in self.pending.actions("node-a", commands or MY)]


class ActionTests(PendingTestCase):
    """`node.pending.pull` and `.ack`."""

    def test_it_waits_until_it_was_done(self) -> None:
        told = self.refuse()
        self.assertEqual((told.code, told.shape.retryable), ("UNAVAILABLE", True))
        details: Any = told.shape.details
        for _ in range(2):
            (action,) = self.pending.actions("node-a", MY)
            self.assertEqual(action.id, details["queuedActionId"])
            self.assertEqual(action.params_json, '{"x":1}')
            self.restart()
        self.assertEqual(self.do(self.pending.acknowledge("node-a", [action.id])), 0)
        for _ in range(2):
            self.assertEqual(self.keys(), [])
            self.restart()

    def test_the_order_is_that_of_asking(self) -> None:
        for number, command in enumerate(MY):
            self.refuse(f"k{number}", command)
            self.clock.advance(1)
        self.assertEqual(self.keys(), list(MY))
        first = self.pending.actions("node-a", MY)[0].id
        self.assertEqual(self.do(self.pending.acknowledge("node-a", [first, "nobody's"])), 3)

    def test_what_may_not_be_asked_now_is_not_told(self) -> None:
        self.refuse()
        self.assertEqual(self.keys("canvas.present"), [])

    def test_one_key_is_one_action_also_when_it_is_over(self) -> None:
        first = self.refuse().shape.details
        self.assertEqual(self.refuse().shape.details, first)
        (action,) = self.pending.actions("node-a", MY)
        self.do(self.pending.acknowledge("node-a", [action.id]))
        self.restart()
        self.assertEqual(self.refuse().shape.details, first)
        self.assertEqual(self.keys(), [])
        self.clock.advance(24 * 3600 + 1)
        self.assertNotEqual(self.refuse().shape.details, first)

    def test_it_waits_ten_minutes(self) -> None:
        self.refuse()
        before = self.pending.revision("node-a")
        self.clock.advance(ACTION_MS / 1000)
        self.assertEqual(self.keys(), [])
        self.assertGreater(self.pending.revision("node-a"), before)

    def test_what_does_not_fit_is_refused_and_nothing_dropped(self) -> None:
        for number in range(MAX_ACTIONS):
            self.refuse(f"k{number}")
        told = self.refuse("one more")
        self.assertEqual(told.message, "node said no")
        self.assertEqual(len(self.keys()), MAX_ACTIONS)

    def test_what_is_not_on_the_disk_is_not_acknowledged(self) -> None:
        self.database.fail_next = RuntimeError("full")
        work = self.pending.after(PHONE, ask("camera.snap", "k"), refused())
        self.failureResultOf(Deferred.fromCoroutine(work), RuntimeError)
        self.assertEqual(self.keys(), [])
        self.refuse()
        self.assertEqual(self.keys(), ["camera.snap"])

    def test_only_an_app_that_is_not_on_the_screen(self) -> None:
        for record, command, error in (
            (PHONE, "location.get", ASLEEP),
            (PHONE, "camera.snap", {"code": "CAMERA_DISABLED", "message": "switched off"}),
            (Record("node-a", Profile(4, platform="android"), 1), "camera.snap", ASLEEP),
            (Record("node-a", Profile(3, platform="ios"), 1), "camera.snap", ASLEEP),
        ):
            told = self.refuse(command=command, record=record, **error)
            self.assertEqual(told.message, "node said no")
        other = invalid("not allowed", reason="x")
        told = self.do(self.pending.after(PHONE, ask("camera.snap", "k"), other))
        self.assertIs(told, other)
        self.assertEqual(self.keys(*MY, "location.get"), [])


class RequestTests(PendingTestCase):
    """`node.pending.enqueue` and `.drain`."""

    def enqueue(self, kind: Any, **fields: Any) -> Any:
        params = PendingEnqueueParams(node_id="node-a", type=kind, **fields)
        return self.do(self.pending.enqueue("node-a", params))

    def drain(self, limit: int = 4) -> tuple[list[str], bool]:
        drained = self.do(self.pending.drain("node-a", limit))
        return [item.type for item in drained.items], drained.has_more

    def test_the_status_is_asked_for_in_any_case(self) -> None:
        for _ in range(2):
            self.assertEqual(self.drain(), (["status.request"], False))

    def test_the_most_urgent_first_and_then_gone(self) -> None:
        self.enqueue("status.request")
        self.clock.advance(1)
        self.enqueue("location.request", priority="high")
        self.restart()
        self.assertEqual(self.drain(1), (["location.request"], True))
        self.restart()
        self.assertEqual(self.drain(1), (["status.request"], False))
        self.assertEqual(self.do(self.pending.drain("node-a", 1)).items[0].id, "baseline-status")

    def test_one_of_each_sort(self) -> None:
        first = self.enqueue("location.request", expires_in_ms=1000)
        self.assertEqual(self.enqueue("location.request", priority="high"), first)
        self.clock.advance(1)
        self.assertNotEqual(self.enqueue("location.request").id, first.id)

    def test_a_node_that_is_removed_takes_its_work_along(self) -> None:
        self.enqueue("location.request")
        self.refuse()
        self.do(self.pending.forget("node-a"))
        for _ in range(2):
            self.assertEqual(self.drain(), (["status.request"], False))
            self.assertEqual(self.keys(), [])
            self.restart()
