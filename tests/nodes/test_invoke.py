"""Invocations: one result, in time, from the node that was asked; never twice for one key."""

from __future__ import annotations

from typing import Any

from msgspec import Raw
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from clawgw.nodes.policy import CommandPolicy
from clawgw.protocol.errors import RequestError
from tests.nodes.memory import FakeConnection, World, ask, payload, told
from tests.support.memory import Caller, scopes

OPERATOR = Caller()
WRITER = Caller(scopes=frozenset(scopes("write")))


class InvokeTestCase(SynchronousTestCase):
    """A world with one approved node."""

    def setUp(self) -> None:
        self.world = World()
        self.node = self.world.approved()

    def invoke(
        self, caller: Caller = OPERATOR, world: World | None = None, **fields: Any
    ) -> Deferred[Any]:
        invocations = (world or self.world).invocations
        return Deferred.fromCoroutine(invocations.invoke(caller, ask(**fields)))

    def asked(self, node: FakeConnection | None = None) -> list[Any]:
        return (node or self.node).named("node.invoke.request")

    def tells(self, result: Any, node: FakeConnection | None = None) -> Any:
        return self.world.methods.result((node or self.node).caller(), result)

    def error(self, work: Deferred[Any]) -> RequestError:
        problem = self.failureResultOf(work, RequestError).value
        assert isinstance(problem, RequestError)
        return problem


class ResultTests(InvokeTestCase):
    """What goes to the node, and what comes back."""

    def test_a_round_trip(self) -> None:
        waiting = self.invoke(params={"bins": ["sh"]}, timeoutMs=5000)
        (request,) = self.asked()
        self.assertEqual(request.params_json, '{"bins":["sh"]}')
        self.assertEqual((request.command, request.timeout_ms), ("system.which", 5000))
        self.assertNoResult(waiting)
        taken = self.tells(told(request, payloadJSON='{"bins":{"sh":"/bin/sh"}}'))
        self.assertTrue(taken.ok)
        self.assertEqual(
            payload(self.successResultOf(waiting)),
            {
                "ok": True,
                "nodeId": "node-a",
                "command": "system.which",
                "payload": {"bins": {"sh": "/bin/sh"}},
                "payloadJSON": '{"bins":{"sh":"/bin/sh"}}',
            },
        )

    def test_every_form_of_a_value(self) -> None:
        for number, (fields, value, text) in enumerate(
            [
                ({"payload": {"a": [1.5, None, "é"]}}, {"a": [1.5, None, "é"]}, None),
                ({"payloadJSON": {"a": 1}}, {"a": 1}, None),
                ({"payloadJSON": None, "payload": 7}, 7, None),
                ({"payloadJSON": '"quoted \\" text"'}, 'quoted " text', '"quoted \\" text"'),
                ({"payloadJSON": "no json"}, {"payloadJSON": "no json"}, "no json"),
                ({"payloadJSON": '{"a":1} x'}, {"payloadJSON": '{"a":1} x'}, '{"a":1} x'),
                ({"payloadJSON": "", "payload": 3}, 3, ""),
                ({}, None, None),
            ]
        ):
            waiting = self.invoke(key=f"form-{number}")
            self.tells(told(self.asked()[-1], **fields))
            found = payload(self.successResultOf(waiting))
            self.assertEqual((found["payload"], found["payloadJSON"]), (value, text), fields)

    def test_a_large_value_is_the_bytes_the_node_sent(self) -> None:
        waiting = self.invoke()
        photo = b'"' + b"x" * 100_000 + b'"'
        result = told(self.asked()[0])
        self.tells(type(result)(id=result.id, node_id="node-a", ok=True, payload=Raw(photo)))
        parts = self.successResultOf(waiting).parts
        self.assertIn(photo, [bytes(part) for part in parts])

    def test_what_a_node_could_not_do(self) -> None:
        for version, message in [(3, "no such bin"), (4, "NOPE: no such bin")]:
            waiting = self.invoke(Caller(version=version), key=f"v{version}")
            failure = {"code": "NOPE", "message": "no such bin"}
            self.tells(told(self.asked()[-1], ok=False, error=failure))
            problem = self.error(waiting)
            self.assertEqual((problem.code, problem.message), ("UNAVAILABLE", message))
            self.assertEqual(problem.shape.details["nodeError"], failure)

    def test_many_in_flight_each_get_their_own(self) -> None:
        waiting = [self.invoke(key=f"key-{number}", params=number) for number in range(64)]
        for request in reversed(self.asked()):
            self.tells(told(request, payload=int(request.params_json) * 2))
        values = [payload(self.successResultOf(one))["payload"] for one in waiting]
        self.assertEqual(values, [number * 2 for number in range(64)])


class EndTests(InvokeTestCase):
    """An invocation ends once."""

    def test_at_its_deadline(self) -> None:
        waiting = self.invoke(timeoutMs=1500)
        self.world.clock.advance(1.4)
        self.assertNoResult(waiting)
        self.world.clock.advance(0.2)
        problem = self.error(waiting)
        self.assertEqual(problem.message, "TIMEOUT: node invoke timed out")
        (cancelled,) = self.node.named("node.invoke.cancel")
        self.assertEqual(cancelled.invoke_id, self.asked()[0].id)

    def test_thirty_seconds_unless_said_otherwise(self) -> None:
        waiting = self.invoke()
        self.world.clock.advance(29.9)
        self.assertNoResult(waiting)
        self.world.clock.advance(0.2)
        self.error(waiting)

    def test_when_the_node_goes_away(self) -> None:
        waiting = self.invoke()
        self.world.registry.left(self.node)
        problem = self.error(waiting)
        self.assertEqual(problem.code, "UNAVAILABLE")
        self.assertEqual(problem.shape.details["nodeError"]["code"], "DISCONNECTED")
        self.assertTrue(problem.shape.details["nodeCommandDispatched"])
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_when_the_node_connects_anew(self) -> None:
        waiting = self.invoke()
        new = self.world.connect()
        self.assertIn("DISCONNECTED", self.error(waiting).message)
        taken = self.tells(told(self.asked()[0]), new)
        self.assertTrue(taken.ignored)

    def test_a_late_result_is_ignored(self) -> None:
        waiting = self.invoke(timeoutMs=1)
        self.world.clock.advance(1)
        self.error(waiting)
        self.assertTrue(self.tells(told(self.asked()[0])).ignored)

    def test_a_second_result_is_ignored(self) -> None:
        waiting = self.invoke()
        self.tells(told(self.asked()[0], payload=1))
        self.assertTrue(self.tells(told(self.asked()[0], payload=2)).ignored)
        self.assertEqual(payload(self.successResultOf(waiting))["payload"], 1)

    def test_a_foreign_result_is_ignored(self) -> None:
        waiting = self.invoke()
        other = self.world.approved("node-b")
        request = self.asked()[0]
        forged = type(told(request))(id=request.id, node_id="node-b", ok=True, payload=Raw(b"1"))
        self.assertTrue(self.tells(forged, other).ignored)
        self.assertRaises(RequestError, self.tells, told(request, payload=1), other)
        self.assertNoResult(waiting)
        self.tells(told(request, payload="mine"))
        self.assertEqual(payload(self.successResultOf(waiting))["payload"], "mine")


class RefusalTests(InvokeTestCase):
    """What is refused before a node hears of it."""

    def assertRefused(self, work: Deferred[Any], wanted: str, **details: Any) -> None:
        problem = self.error(work)
        self.assertEqual(problem.code, wanted)
        for name, value in details.items():
            self.assertEqual(problem.shape.details[name], value)
        self.assertEqual(self.asked(), [])

    def test_a_node_that_is_not_there(self) -> None:
        self.world.registry.left(self.node)
        for version in (3, 4):
            work = self.invoke(Caller(version=version), key=f"v{version}")
            self.assertRefused(work, "UNAVAILABLE", code="NOT_CONNECTED")

    def test_a_command_that_is_not_allowed(self) -> None:
        self.assertRefused(
            self.invoke(command="camera.snap"),
            "INVALID_REQUEST",
            reason="command not allowlisted",
            command="camera.snap",
        )

    def test_a_command_that_was_denied_since(self) -> None:
        self.world.registry.policy = CommandPolicy(deny=frozenset({"system.which"}))
        self.assertRefused(self.invoke(), "INVALID_REQUEST", reason="command not allowlisted")

    def test_nobody_approves_for_themselves(self) -> None:
        for number, claim in enumerate(
            ({"approved": True}, {"approvalDecision": "allow-once"}, {"approvalSource": "x"})
        ):
            work = self.invoke(WRITER, command="system.run", key=f"k{number}", params=claim)
            self.assertRefused(work, "INVALID_REQUEST", code="APPROVAL_REQUIRED")
        self.invoke(command="system.run", params={"approved": False, "approvalDecision": None})
        self.assertEqual(len(self.asked()), 1)

    def test_policies_of_nodes_have_methods_of_their_own(self) -> None:
        self.assertRefused(self.invoke(command="system.execApprovals.set"), "INVALID_REQUEST")

    def test_what_only_admins_may_relay(self) -> None:
        self.node = self.world.approved("node-a", commands=("fs.listDir",))
        self.assertRefused(self.invoke(WRITER, command="fs.listDir"), "FORBIDDEN")
        self.invoke(command="fs.listDir", key="admin")
        self.assertEqual(len(self.asked()), 1)

    def test_a_refused_key_can_be_used_again(self) -> None:
        self.error(self.invoke(command="camera.snap"))
        self.world.registry.policy = CommandPolicy(allow=frozenset({"camera.snap"}))
        self.node = self.world.approved("node-a", commands=("camera.snap",))
        self.assertNoResult(self.invoke(command="camera.snap"))
        self.assertEqual(len(self.asked()), 1)


class IdempotencyTests(InvokeTestCase):
    """The same key never acts twice."""

    def test_while_it_runs(self) -> None:
        first, second = self.invoke(), self.invoke()
        (request,) = self.asked()
        self.tells(told(request, payload="once"))
        for work in (first, second):
            self.assertEqual(payload(self.successResultOf(work))["payload"], "once")

    def test_afterwards_and_after_a_restart_with_the_node_away(self) -> None:
        first = self.invoke(params={"a": 1, "b": 2})
        self.tells(told(self.asked()[0], payloadJSON='{"x":1}'))
        answer = payload(self.successResultOf(first))
        self.assertEqual(
            payload(self.successResultOf(self.invoke(params={"b": 2, "a": 1}))), answer
        )
        self.assertEqual(len(self.asked()), 1)
        world = World(self.world.database)
        again = self.invoke(world=world, params={"a": 1, "b": 2})
        self.assertEqual(payload(self.successResultOf(again)), answer)

    def test_a_failure_is_kept_too(self) -> None:
        self.invoke(timeoutMs=10).addErrback(lambda _: None)
        self.world.clock.advance(1)
        self.assertIn("TIMEOUT", self.error(self.invoke()).message)
        self.assertEqual(len(self.asked()), 1)

    def test_a_restart_in_between_says_so_and_does_not_ask_again(self) -> None:
        self.invoke()
        world = World(self.world.database)
        node = world.connect()
        problem = self.error(self.invoke(world=world))
        self.assertEqual(problem.shape.details["code"], "OUTCOME_UNKNOWN")
        self.assertIn("restarted", problem.message)
        self.assertEqual(self.asked(node), [])

    def test_another_request_with_the_key_is_a_mistake(self) -> None:
        running = self.invoke()
        self.assertIn("already used", self.error(self.invoke(params={"x": 1})).message)
        self.tells(told(self.asked()[0]))
        self.successResultOf(running)
        self.assertIn("already used", self.error(self.invoke(command="system.run")).message)
        self.assertEqual(len(self.asked()), 1)

    def test_a_mistaken_key_is_one_each_time_also_while_the_node_is_away(self) -> None:
        self.invoke()
        self.tells(told(self.asked()[0]))
        world = World(self.world.database)  # restarted, and the node has not come back
        for _ in range(2):
            problem = self.error(self.invoke(world=world, params={"x": 1}))
            self.assertIn("already used", problem.message)

    def test_nothing_is_asked_if_the_key_cannot_be_kept(self) -> None:
        self.world.database.fail_next = ValueError("the disk is full")
        self.assertEqual(self.error(self.invoke()).code, "UNAVAILABLE")
        self.assertEqual(self.asked(), [])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertNoResult(self.invoke())

    def test_the_gateways_own_account_needs_no_key(self) -> None:
        work = Deferred.fromCoroutine(
            self.world.invocations.run("node-a", "system.which", {"bins": []})
        )
        (request,) = self.asked()
        self.assertEqual(request.params_json, '{"bins":[]}')
        self.tells(told(request, payloadJSON='{"ok":1}'))
        self.assertEqual(self.successResultOf(work), {"ok": 1})
