"""Whatever a client sends, it gets a clear answer or a close with a code, and nobody else suffers.

Every test ends with the same question: does the Gateway still answer, and is its log free of
anything it did not expect?
"""

from __future__ import annotations

import json
import random
import socket as sockets
import time
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.faults.support import GatewayCase
from tests.support.wire import (
    CLOSE,
    PING,
    TEXT,
    Client,
    Closed,
    Cut,
    Socket,
    client_frame,
)

KIB = 1024
PRE_AUTH = 64 * KIB
MAX_PAYLOAD = {3: 512 * KIB, 4: 25 * KIB * KIB}
INSIDES = ("Traceback", "Unhandled", "msgspec", "sqlite", "/clawgw/")

UNREADABLE = {
    "no JSON": b"hello",
    "half a JSON": b'{"type":"req","id":"1","method":"hea',
    "deep arrays": b"[" * 100_000,
    "deep objects": b'{"a":' * 30_000,
    "deep params": b'{"type":"req","id":"1","method":"health","params":' + b"[" * 60_000,
    "NUL": b'{"type":"req","id":"1\x00","method":"health"}',
    "a huge number": b'{"type":"req","id":"1","method":"health","params":' + b"9" * 50_000 + b"}",
    "a lone surrogate": b'{"type":"req","id":"\\ud800","method":"health"}',
    "two values": b'{"type":"req","id":"1","method":"health"}{}',
}
NO_REQUESTS = {
    "nothing": b"",
    "null": b"null",
    "a number": b"12",
    "an array": b"[]",
    "an object": b"{}",
    "no id": b'{"type":"req","method":"health"}',
    "an empty id": b'{"type":"req","id":"","method":"health"}',
    "a numeric id": b'{"type":"req","id":7,"method":"health"}',
    "no method": b'{"type":"req","id":"1"}',
    "a method that is no string": b'{"type":"req","id":"1","method":{}}',
    "a response": b'{"type":"res","id":"1","ok":true}',
    "an event": b'{"type":"event","event":"chat","payload":{}}',
    "an unknown member": b'{"type":"req","id":"1","method":"health","admin":true}',
}


class GarbageCase(GatewayCase):
    """A Gateway that has to survive."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.check_it_survived)

    def check_it_survived(self) -> None:
        """Cleanups run last first: this one before the Gateway is ended."""
        client = Client(self.gateway.port, identity=self.identity)
        self.assertTrue(client.request("health")["ok"])
        client.cut()
        for word in ("Traceback", "Unhandled"):
            self.assertNotIn(word, self.gateway.log)

    def challenged(self) -> Socket:
        socket = Socket(self.gateway.port)
        self.addCleanup(socket.cut)
        self.assertEqual(socket.receive().json["event"], "connect.challenge")
        return socket

    def response(self, client: Client) -> dict[str, Any]:
        """The next response, to whatever request; events such as a tick may come before it."""
        deadline = time.monotonic() + 60
        while (frame := client.step(deadline))["type"] != "res":
            self.assertEqual(frame["type"], "event")
        return frame

    def assert_closed(self, socket: Socket, *codes: int) -> None:
        end = socket.ending()
        self.assertIsInstance(end, Closed, repr(end))
        self.assertIn(end.code, codes)
        for word in INSIDES:
            self.assertNotIn(word, end.reason)


class BeforeTheHandshake(GarbageCase):
    """A stranger has one frame, and it had better be good."""

    def test_bytes_that_are_no_http(self) -> None:
        chance = random.Random(1)
        for size in (1, 100, 20_000):
            with sockets.create_connection(("127.0.0.1", self.gateway.port), 60) as plain:
                plain.sendall(chance.randbytes(size) + b"\r\n\r\n")
                try:
                    while plain.recv(4096):
                        pass
                except ConnectionError:
                    pass  # cut off, which is as good an answer

    def test_a_head_without_end(self) -> None:
        with sockets.create_connection(("127.0.0.1", self.gateway.port), 60) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nx: " + b"x" * 20_000)
            self.assertIn(b"431", plain.recv(4096))

    def test_bytes_that_are_no_frames(self) -> None:
        chance = random.Random(2)
        for size in (2, 64, 5_000):
            socket = self.challenged()
            socket.send_raw(b"\xff" + chance.randbytes(size))
            self.assert_closed(socket, 1002)

    def test_text_that_cannot_be_read_or_is_no_request(self) -> None:
        for name, payload in {**UNREADABLE, **NO_REQUESTS}.items():
            socket = self.challenged()
            socket.send_text(payload[:PRE_AUTH])
            try:
                self.assert_closed(socket, 1008)
            except self.failureException as problem:
                raise self.failureException(f"{name}: {problem}") from None

    def test_a_frame_that_is_too_long_for_a_stranger(self) -> None:
        socket = self.challenged()
        socket.send_text(b" " * (PRE_AUTH + 1))
        self.assert_closed(socket, 1009)

    def test_fragments_that_are_too_long_together(self) -> None:
        socket = self.challenged()
        socket.send_raw(client_frame(b" " * 40_000, fin=False))
        socket.send_raw(client_frame(b" " * 40_000, opcode=0))
        self.assert_closed(socket, 1009)

    def test_a_binary_frame(self) -> None:
        socket = self.challenged()
        socket.send_raw(client_frame(b"\x00\x01\x02", opcode=2))
        self.assert_closed(socket, 1003)

    def test_text_that_is_no_utf8(self) -> None:
        socket = self.challenged()
        socket.send_text(b"\xc3\x28")
        self.assert_closed(socket, 1007)

    def test_more_before_the_answer(self) -> None:
        socket = self.challenged()
        connect = b'{"type":"req","id":"1","method":"connect","params":{}}'
        socket.send_raw(client_frame(connect) * 3)
        self.assert_closed(socket, 1008)


class AfterTheHandshake(GarbageCase):
    """A known client may make mistakes and stays connected; one that breaks WebSocket does not."""

    def test_a_mistake_is_answered_and_the_connection_lives_on(self) -> None:
        client = self.connect()
        for name, payload in {**UNREADABLE, **NO_REQUESTS}.items():
            client.send_text(payload)
            frame = self.response(client)
            self.assertIs(frame["ok"], False, name)
            self.assertEqual(frame["error"]["code"], "INVALID_REQUEST", name)
            for word in INSIDES:
                self.assertNotIn(word, frame["error"]["message"], name)
        self.assertTrue(client.request("health")["ok"])

    def test_an_error_goes_to_the_id_it_belongs_to(self) -> None:
        client = self.connect()
        client.send_text('{"type":"req","id":"mine","method":7}')
        self.assertEqual(client.answer("mine")["error"]["code"], "INVALID_REQUEST")

    def test_names_as_long_as_a_book(self) -> None:
        client = self.connect()
        long = "x" * 300_000
        client.send_text(json.dumps({"type": "req", "id": long, "method": "health"}))
        self.assertIn("ok", client.answer(long))
        refused = client.answer(client.post(long))
        self.assertLess(len(refused["error"]["message"]), 1000)
        params = {"sessionKey": long, "message": "hello", "idempotencyKey": "k"}
        refused = client.answer(client.post("chat.send", params))
        self.assertLess(len(json.dumps(refused["error"])), 5000)
        params = {"sessionKey": "main", "message": "hello", "idempotencyKey": long}
        refused = client.answer(client.post("chat.send", params))
        self.assertLess(len(json.dumps(refused["error"])), 5000)

    def test_members_given_twice(self) -> None:
        client = self.connect()
        client.send_text('{"type":"req","id":"a","id":"b","method":"status","method":"health"}')
        frame = self.response(client)
        self.assertIn(frame["id"], ("a", "b", "unknown"))

    def test_every_method_with_every_wrong_type(self) -> None:
        client = self.connect()
        wrong: list[Any] = [None, [], "x", 1, -1.5, True, [[]], {"": None}, {"x": {"y": []}}]
        names = ("sessionKey", "message", "idempotencyKey", "key", "runId", "enabled", "text",
                 "limit", "requestId", "deviceId", "role", "keys", "timeoutMs")  # fmt: skip
        for method in client.hello["features"]["methods"]:
            for value in wrong:
                answer = client.answer(self.post_raw(client, method, value))
                self.check(answer)
                answer = client.answer(client.post(method, dict.fromkeys(names, value)))
                self.check(answer)

    def post_raw(self, client: Client, method: str, params: Any) -> str:
        request_id = f"raw-{random.random()}"
        frame = {"type": "req", "id": request_id, "method": method, "params": params}
        client.send_text(json.dumps(frame))
        return request_id

    def check(self, answer: dict[str, Any]) -> None:
        if not answer["ok"]:
            self.assertIn(answer["error"]["code"], ("INVALID_REQUEST", "NOT_PAIRED"), answer)
            for word in INSIDES:
                self.assertNotIn(word, answer["error"]["message"])

    def test_numbers_beyond_all_bounds(self) -> None:
        client = self.connect()
        for number in ("1e400", "-1", "99999999999999999999999", "1.5", "9223372036854775808"):
            for params in (
                f'{{"sessionKey":"main","limit":{number}}}',
                f'{{"sessionKey":"main","limit":1,"offset":{number}}}',
            ):
                client.send_text(
                    f'{{"type":"req","id":"n","method":"chat.history","params":{params}}}'
                )
                self.check(self.response(client))

    def test_a_frame_as_long_as_allowed_and_one_longer(self) -> None:
        for protocol, limit in MAX_PAYLOAD.items():
            client = self.connect(protocol)
            self.assertEqual(client.hello["policy"]["maxPayload"], limit)
            head = b'{"type":"req","id":"long","method":"health"}'
            client.send_text(head + b" " * (limit - len(head)))
            self.assertTrue(client.answer("long")["ok"])
            # the head of a longer frame is enough to be told
            client.send_raw(b"\x81\xff" + (limit + 1).to_bytes(8, "big") + b"\0\0\0\0")
            self.assert_closed(client, 1009)

    def test_what_breaks_websocket_ends_the_connection(self) -> None:
        for frame, code in (
            (client_frame(b"\xff\xfe"), 1007),
            (client_frame(b"\x00", opcode=2), 1003),
            (client_frame(b"x", opcode=3), 1002),
            (b"\xf1" + client_frame(b"{}")[1:], 1002),
            (b"\x81\x02{}", 1002),
            (client_frame(b"x" * 126, opcode=PING), 1002),
            (client_frame(b"x", opcode=0), 1002),
            (b"\x81\xff" + b"\xff" * 8 + b"\0\0\0\0", 1002),
        ):
            client = self.connect()
            client.send_raw(frame)
            self.assert_closed(client, code, 1009)

    def test_a_broken_goodbye_is_a_goodbye_all_the_same(self) -> None:
        client = self.connect()
        client.send_raw(client_frame(b"\x00", opcode=CLOSE))
        self.assertIsInstance(client.ending(), Closed | Cut)

    def test_fragments_and_pings_in_between_are_fine(self) -> None:
        client = self.connect()
        payload = b'{"type":"req","id":"parts","method":"health"}'
        client.send_raw(client_frame(payload[:10], fin=False))
        client.send_raw(client_frame(b"are you there", opcode=PING))
        client.send_raw(client_frame(payload[10:], opcode=0))
        self.assertTrue(client.answer("parts")["ok"])

    def test_more_requests_at_once_than_are_answered_at_once(self) -> None:
        client = self.connect()
        waits = [client.post("agent.wait", {"runId": "x" * n}) for n in range(1, 3000)]
        self.assertEqual(len([client.answer(one) for one in waits]), len(waits))


class HalfClosed(GarbageCase):
    """Clients that go away in the middle of something."""

    def test_at_any_moment_of_the_handshake_and_of_a_request(self) -> None:
        for _ in range(20):
            Socket(self.gateway.port).cut()
            self.challenged().cut()
            client = self.connect()
            client.post("chat.send", {"sessionKey": "main", "message": "x", "idempotencyKey": "g"})
            client.cut()
            client = self.connect()
            client.send_raw(client_frame(b'{"type":"req"')[:9])
            client.cut()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class Fuzzed(GarbageCase):
    """Frames that Hypothesis makes up."""

    def setUp(self) -> None:
        super().setUp()
        self.fuzzing = self.connect()
        self.number = 0

    def still_there(self) -> None:
        """Everything sent before is answered, and the answer to `health` comes."""
        self.number += 1
        mark = f"mark-{self.number}"
        frame = {"type": "req", "id": mark, "method": "health", "params": {}}
        self.fuzzing.send_text(json.dumps(frame))
        while True:
            message = self.fuzzing.receive()
            self.assertEqual(message.opcode, TEXT, message.payload[:200])
            frame = message.json
            self.assertIn(frame["type"], ("res", "event"))
            if frame["type"] == "res" and not frame["ok"]:
                self.assertIn(frame["error"]["code"], ("INVALID_REQUEST", "UNAVAILABLE"))
                for word in INSIDES:
                    self.assertNotIn(word, frame["error"]["message"])
            if frame.get("id") == mark:
                return

    @settings(max_examples=150, suppress_health_check=list(HealthCheck))
    @given(JSON_VALUES)
    def test_any_json(self, value: Any) -> None:
        self.fuzzing.send_text(json.dumps(value))
        self.still_there()

    @settings(max_examples=150, suppress_health_check=list(HealthCheck))
    @given(st.binary(max_size=300))
    def test_any_text(self, data: bytes) -> None:
        self.fuzzing.send_text(data.decode("utf-8", "replace"))
        self.still_there()

    @settings(max_examples=400, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def test_any_parameters(self, data: st.DataObject) -> None:
        methods = [m for m in self.fuzzing.hello["features"]["methods"] if m != "agent.wait"]
        names = st.sampled_from(
            ["sessionKey", "key", "message", "idempotencyKey", "limit", "offset", "cursor", "text",
             "label", "model", "enabled", "keys", "requestId", "deviceId", "role", "scopes",
             "search", "agentId", "attachments", "maxChars", "thinking", "thinkingLevel"]
        ) | st.text(max_size=8)  # fmt: skip
        params = data.draw(st.dictionaries(names, JSON_VALUES, max_size=6) | JSON_VALUES)
        frame = {"type": "req", "id": "fuzz", "method": data.draw(st.sampled_from(methods))}
        self.fuzzing.send_text(json.dumps({**frame, "params": params}))
        self.still_there()
