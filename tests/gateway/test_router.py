"""Requests: which are called, which are refused, and that each is answered by its id."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from clawgw.gateway import router as router_module
from clawgw.gateway.router import Router
from clawgw.methods import MethodTable, Spliced, Twice
from clawgw.protocol.errors import RequestError, invalid
from clawgw.protocol.system import Ok
from clawgw.store.database import StoreBusy
from clawgw.trust.scopes import READ
from tests.gateway.support import RecordingWire, make_connection


class RouterTestCase(SynchronousTestCase):
    """A router whose `health` is whatever `handler` is."""

    def setUp(self) -> None:
        self.log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        self.handler: Any = lambda caller, params: {"ok": True}
        table = MethodTable()
        table.add("health", lambda *given: self.handler(*given), scope=READ)
        table.add("chat.send", lambda _, params: {"sent": params.message}, scope="operator.write")
        table.add("status", lambda *_: {}, scope=None)
        self.threads: list[Any] = []
        self.router = Router(table, self.in_thread)
        self.wire = RecordingWire()
        self.connection = make_connection(self.wire)

    def in_thread(self, work: Any, *args: Any) -> Deferred[Any]:
        self.threads.append(work)
        return execute(work, *args)

    def ask(self, payload: Any, connection: Any = None) -> list[dict[str, Any]]:
        """Send a frame; returns the new answers."""
        connection = connection or self.connection
        before = len(connection.wire.frames)
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.router.handle(connection, raw)
        return connection.wire.frames[before:]

    def call(self, method: str, params: Any = None, connection: Any = None) -> dict[str, Any]:
        """Ask for something that is answered at once, once."""
        frame = {"type": "req", "id": "7", "method": method}
        if params is not None:
            frame["params"] = params
        (answer,) = self.ask(frame, connection)
        self.assertEqual((answer["type"], answer["id"]), ("res", "7"))
        return answer

    def error(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Ask for something that is refused."""
        answer = self.call(*args, **kwargs)
        self.assertFalse(answer["ok"])
        self.assertNotIn("payload", answer)
        return answer["error"]

    def logged(self) -> str:
        return "\n".join(formatEvent(event) for event in self.log)


class ResultTests(RouterTestCase):
    """Whatever a handler returns becomes an answer."""

    def result(self, returned: Any) -> dict[str, Any]:
        self.handler = lambda *_: returned
        answer = self.call("health")
        self.assertTrue(answer["ok"])
        return answer["payload"]

    def test_kinds(self) -> None:
        async def later() -> Any:
            return Ok()

        done: Deferred[Any] = Deferred()
        done.callback({"a": 1})
        for returned in ({"ok": True}, Ok(), b'{"ok":true}', later()):
            self.assertEqual(self.result(returned), {"ok": True})
        self.assertEqual(self.result(done), {"a": 1})

    def test_bytes_of_a_coroutine_are_json_already(self) -> None:
        async def later() -> bytes:
            return b"[1,2]"

        self.assertEqual(self.result(later()), [1, 2])

    def test_a_large_result_in_pieces(self) -> None:
        for size in (0, 100, 70_000):
            big = memoryview(b'"' + b"x" * size + b'"')
            spliced = Spliced((b'{"a":', big, b',"b":1}'))
            self.assertEqual(self.result(spliced), {"a": "x" * size, "b": 1})

    def test_the_handler_gets_caller_and_params(self) -> None:
        self.handler = lambda caller, params: {"id": caller.conn_id, "is": type(params).__name__}
        self.assertEqual(
            self.call("health", {"x": 1})["payload"], {"id": "conn-1", "is": "AnyParams"}
        )

    def test_slow_answers_do_not_hold_up_others(self) -> None:
        slow: Deferred[Any] = Deferred()
        self.handler = lambda *_: slow
        self.assertEqual(self.ask({"type": "req", "id": "slow", "method": "health"}), [])
        self.assertTrue(self.call("status")["ok"])
        slow.callback({"late": True})
        self.assertEqual(
            self.wire.frames[-1],
            {"type": "res", "id": "slow", "ok": True, "payload": {"late": True}},
        )

    def test_twice(self) -> None:
        final: Deferred[Any] = Deferred()

        async def accepted() -> Twice:
            return Twice({"status": "accepted"}, final)

        self.handler = lambda *_: accepted()
        self.assertEqual(self.call("health")["payload"], {"status": "accepted"})
        final.callback({"status": "ok"})
        last = self.wire.frames[-1]
        self.assertEqual((last["id"], last["payload"]), ("7", {"status": "ok"}))

    def test_twice_and_the_second_is_an_error_with_its_payload(self) -> None:
        final: Deferred[Any] = Deferred()
        self.handler = lambda *_: Twice({"status": "accepted"}, final)
        self.call("health")
        final.errback(RequestError("AGENT_TIMEOUT", "too long", payload={"status": "timeout"}))
        last = self.wire.frames[-1]
        self.assertEqual(last["id"], "7")
        self.assertFalse(last["ok"])
        self.assertEqual(last["payload"], {"status": "timeout"})
        self.assertEqual(last["error"], {"code": "AGENT_TIMEOUT", "message": "too long"})


class RefusalTests(RouterTestCase):
    """Callers that may not, and requests that make no sense."""

    def test_unknown_method(self) -> None:
        self.assertEqual(
            self.error("no.such.method"),
            {"code": "INVALID_REQUEST", "message": "unknown method: no.such.method"},
        )
        self.assertLess(len(self.error("x" * 100_000)["message"]), 200)

    def test_a_node_calls_an_operators_method(self) -> None:
        node = make_connection(
            RecordingWire(), role="node", scopes=frozenset({"operator.admin", READ})
        )
        for method in ("health", "status"):
            error = self.error(method, connection=node)
            self.assertEqual(
                error, {"code": "INVALID_REQUEST", "message": "unauthorized role: node"}
            )

    def test_a_missing_scope_in_version_3(self) -> None:
        old = make_connection(RecordingWire(), version=3, scopes=frozenset({READ}))
        self.assertTrue(self.call("health", connection=old)["ok"])
        self.assertEqual(
            self.error("chat.send", {}, connection=old),
            {"code": "INVALID_REQUEST", "message": "missing scope: operator.write"},
        )

    def test_a_missing_scope_in_version_4(self) -> None:
        new = make_connection(RecordingWire(), scopes=frozenset({READ}))
        error = self.error("chat.send", {}, connection=new)
        self.assertEqual(error["code"], "FORBIDDEN")
        self.assertEqual(
            error["details"],
            {
                "code": "MISSING_SCOPE",
                "missingScope": "operator.write",
                "requiredScopes": ["operator.write"],
            },
        )

    def test_a_scope_that_includes_the_one_needed(self) -> None:
        for scope in ("operator.write", "operator.admin"):
            able = make_connection(RecordingWire(), scopes=frozenset({scope}))
            self.assertTrue(self.call("health", connection=able)["ok"])
        nothing = make_connection(RecordingWire(), scopes=frozenset())
        self.assertEqual(self.error("health", connection=nothing)["code"], "FORBIDDEN")
        self.assertTrue(self.call("status", connection=nothing)["ok"])

    def test_the_caller_is_judged_before_the_params(self) -> None:
        new = make_connection(RecordingWire(), scopes=frozenset({READ}))
        self.assertEqual(self.error("chat.send", {"x": 1}, connection=new)["code"], "FORBIDDEN")
        self.assertEqual(self.threads, [])

    def test_wrong_params_are_named_one_by_one(self) -> None:
        params = {"sessionKey": 5, "idempotencyKey": "", "nonsense": 1, "timeoutMs": -1}
        error = self.error("chat.send", params)
        self.assertEqual(error["code"], "INVALID_REQUEST")
        self.assertTrue(error["message"].startswith("invalid chat.send params: "))
        for field in ("sessionKey", "message", "idempotencyKey", "nonsense", "timeoutMs"):
            self.assertIn(field, error["message"])
        self.assertEqual(len(self.threads), 1, "explained off the reactor")

    def test_params_left_out_or_of_another_kind(self) -> None:
        self.assertIn("message", self.error("chat.send")["message"])
        for params in ([], "x", 7):
            self.assertEqual(self.error("health", params)["code"], "INVALID_REQUEST")

    def test_params_nested_too_deeply(self) -> None:
        deep = b'{"type":"req","id":"7","method":"health","params":' + b"[" * 5000 + b"]" * 5000
        (answer,) = self.ask(deep + b"}")
        self.assertFalse(answer["ok"])
        self.assertIn("nested too deeply", answer["error"]["message"])

    def test_a_frame_that_is_no_request_is_answered_by_its_id(self) -> None:
        frames = (
            {"type": "req", "id": "7"},
            {"type": "req", "id": "7", "method": ""},
            {"type": "req", "id": "7", "method": 5},
            {"type": "event", "id": "7", "method": "health"},
            {"type": "req", "id": "7", "method": "health", "extra": 1},
        )
        for frame in frames:
            (answer,) = self.ask(frame)
            self.assertEqual((answer["id"], answer["ok"]), ("7", False))
            self.assertEqual(answer["error"]["code"], "INVALID_REQUEST")
            self.assertIn("invalid request frame", answer["error"]["message"])

    def test_a_frame_without_a_usable_id(self) -> None:
        unusable: tuple[Any, ...] = (
            {}, [], 7, None, {"id": 5, "method": "x"}, {"id": ""}, b"no JSON", b"\xff\xfe", b"",
            b'{"type":"req",', b"[" * 10_000,
        )  # fmt: skip
        for frame in unusable:
            (answer,) = self.ask(frame)
            self.assertEqual((answer["id"], answer["ok"]), ("unknown", False), frame)
            self.assertEqual(answer["error"]["code"], "INVALID_REQUEST")

    def test_the_connection_lives_on(self) -> None:
        self.ask(b"no JSON")
        self.error("no.such.method")
        self.assertTrue(self.call("health")["ok"])
        self.assertEqual(self.wire.closes, [])


class FaultTests(RouterTestCase):
    """A handler that breaks."""

    SECRET = "the password is swordfish"

    def assert_unavailable(self, error: dict[str, Any]) -> None:
        self.assertEqual(error["code"], "UNAVAILABLE")
        self.assertIn("health failed", error["message"])
        self.assertNotIn("swordfish", json.dumps(error))
        self.assertNotIn("Error", json.dumps(error))
        self.assertEqual(self.connection.pending_requests, 0)
        self.assertTrue(self.call("status")["ok"])

    def assert_logged(self) -> None:
        logged = self.logged()
        self.assertIn("Traceback", logged)
        self.assertIn("test_router.py", logged)
        self.assertIn("swordfish", logged)
        self.assertIn("conn-1", logged)

    def test_raises_at_once(self) -> None:
        def fails(*_: Any) -> Any:
            raise ZeroDivisionError(self.SECRET)

        self.handler = fails
        self.assert_unavailable(self.error("health"))
        self.assert_logged()

    def test_raises_later(self) -> None:
        async def fails() -> Any:
            raise ZeroDivisionError(self.SECRET)

        self.handler = lambda *_: fails()
        self.assert_unavailable(self.error("health"))
        self.assert_logged()

    def test_raises_after_its_first_answer(self) -> None:
        final: Deferred[Any] = Deferred()
        self.handler = lambda *_: Twice({}, final)
        self.call("health")
        final.errback(ZeroDivisionError(self.SECRET))
        self.assert_unavailable(self.wire.frames[-1]["error"])

    def test_returns_what_cannot_be_sent(self) -> None:
        for answer in (lambda: {"a": object()}, lambda: Twice({"a": object()}, Deferred())):

            async def later(answer: Any = answer) -> Any:
                return answer()

            for handler in (answer, later):
                self.handler = lambda *_, handler=handler: handler()
                self.assert_unavailable(self.error("health"))

    def test_a_refusal_is_passed_on(self) -> None:
        def refuses(*_: Any) -> Any:
            raise invalid("label: already in use", label="x")

        self.handler = refuses
        self.assertEqual(
            self.error("health"),
            {
                "code": "INVALID_REQUEST",
                "message": "label: already in use",
                "details": {"label": "x"},
            },
        )
        self.assertNotIn("Traceback", self.logged())

    def test_a_store_that_is_behind_can_be_tried_again(self) -> None:
        async def busy() -> Any:
            raise StoreBusy("too many writes are waiting")

        self.handler = lambda *_: busy()
        error = self.error("health")
        self.assertEqual((error["code"], error["retryable"]), ("UNAVAILABLE", True))
        self.assertNotIn("Traceback", self.logged())


class PendingTests(RouterTestCase):
    """How many requests of one connection may be worked on."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(router_module, "MAX_PENDING_REQUESTS", 3)

    def test_more_are_refused_until_some_are_done(self) -> None:
        waiting: list[Deferred[Any]] = []

        def wait(*_: Any) -> Deferred[Any]:
            waiting.append(Deferred())
            return waiting[-1]

        self.handler = wait
        for number in range(3):
            self.ask({"type": "req", "id": f"slow-{number}", "method": "health"})
        error = self.error("health")
        self.assertEqual((error["code"], error["retryable"]), ("UNAVAILABLE", True))
        self.assertEqual(len(waiting), 3, "the handler was not called")
        other = make_connection(RecordingWire(), conn_id="conn-2")
        self.assertTrue(self.call("status", connection=other)["ok"])
        waiting[0].callback({})
        waiting[1].errback(invalid("no"))
        self.assertEqual(self.connection.pending_requests, 1)
        self.assertTrue(self.call("status")["ok"])

    def test_explanations_count_too(self) -> None:
        explained: list[Deferred[Any]] = []

        def in_thread(*_: Any) -> Deferred[Any]:
            explained.append(Deferred())
            return explained[-1]

        router = Router(self.router._methods, in_thread)
        for number in range(10):
            frame = {"type": "req", "id": f"{number}", "method": "chat.send", "params": {}}
            router.handle(self.connection, json.dumps(frame).encode())
        self.assertEqual(len(explained), 3)
        self.assertEqual({one["error"]["code"] for one in self.wire.frames}, {"UNAVAILABLE"})
        explained[0].callback("what was wrong")
        self.assertEqual(self.wire.frames[-1]["id"], "0")
        self.assertEqual(self.wire.frames[-1]["error"]["message"], "what was wrong")
