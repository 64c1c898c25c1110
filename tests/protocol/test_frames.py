"""Frames as bytes, and errors as clients see them."""

from __future__ import annotations

import json

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from clawgw.protocol import errors, frames
from clawgw.protocol.connect import ConnectAuth, HelloAuth
from clawgw.protocol.devices import TokenRotated


class RequestTests(SynchronousTestCase):
    """What is a request frame and what is not."""

    def test_params_stay_raw(self) -> None:
        frame = frames.decode_request(b'{"type":"req","id":"1","method":"m","params":{"a": 1.0}}')
        self.assertEqual((frame.id, frame.method), ("1", "m"))
        self.assertEqual(bytes(frame.params), b'{"a": 1.0}')

    def test_params_may_be_absent(self) -> None:
        frame = frames.decode_request(b'{"type":"req","id":"1","method":"m"}')
        self.assertIs(frame.params, msgspec.UNSET)

    def test_version_4_may_send_a_trace(self) -> None:
        trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        raw = b'{"type":"req","id":"1","method":"m","traceparent":"%b"}' % trace.encode()
        self.assertEqual(frames.decode_request(raw).traceparent, trace)

    def test_everything_else_is_refused(self) -> None:
        for raw in (
            b'{"id":"1","method":"m"}',
            b'{"type":"res","id":"1","method":"m"}',
            b'{"type":"req","id":"","method":"m"}',
            b'{"type":"req","id":1,"method":"m"}',
            b'{"type":"req","id":"1"}',
            b'{"type":"req","id":"1","method":"m","x":1}',
            b"[]",
            b"null",
        ):
            self.assertRaises(msgspec.ValidationError, frames.decode_request, raw)


class EncodingTests(SynchronousTestCase):
    """Frames put together from parts are the frames the types describe."""

    def test_response(self) -> None:
        raw = frames.response('i"d', b'{"ok":true}')
        response = msgspec.json.decode(raw, type=frames.ResponseFrame)
        self.assertEqual((response.id, response.ok, response.payload), ('i"d', True, {"ok": True}))

    def test_error_response(self) -> None:
        error = errors.RequestError("UNAVAILABLE", "later", retryable=True, retry_after_ms=5).shape
        self.assertEqual(
            json.loads(frames.error_response("1", error, b'{"runId":"r"}')),
            {
                "type": "res",
                "id": "1",
                "ok": False,
                "payload": {"runId": "r"},
                "error": {
                    "code": "UNAVAILABLE",
                    "message": "later",
                    "retryable": True,
                    "retryAfterMs": 5,
                },
            },
        )
        self.assertNotIn("payload", json.loads(frames.error_response("1", error)))

    def test_an_event_is_one_encoding_with_a_count_for_each_connection(self) -> None:
        head = frames.event_head("health", b"{}", frames.StateVersion(presence=1, health=2))
        for seq in (1, 2**40):
            self.assertEqual(
                json.loads(frames.with_seq(head, seq)),
                {
                    "type": "event",
                    "event": "health",
                    "payload": {},
                    "stateVersion": {"presence": 1, "health": 2},
                    "seq": seq,
                },
            )

    def test_the_challenge_is_not_counted(self) -> None:
        frame = json.loads(frames.without_seq(frames.event_head("connect.challenge", b'{"ts":1}')))
        self.assertEqual(
            frame, {"type": "event", "event": "connect.challenge", "payload": {"ts": 1}}
        )

    def test_encode_leaves_unset_fields_out_and_raw_as_it_is(self) -> None:
        frame = frames.EventFrame(event="x", payload=msgspec.Raw(b'{"a":  1}'))
        self.assertEqual(frames.encode(frame), b'{"type":"event","event":"x","payload":{"a":  1}}')


class ErrorTests(SynchronousTestCase):
    """Refusals in the words of each version."""

    def test_an_error_has_no_more_than_was_said(self) -> None:
        shape = errors.invalid("no such thing").shape
        self.assertEqual(
            frames.encode(shape), b'{"code":"INVALID_REQUEST","message":"no such thing"}'
        )

    def test_details(self) -> None:
        problem = errors.unavailable("node not connected", retryable=False, code="NOT_CONNECTED")
        self.assertEqual(
            json.loads(frames.encode(problem.shape)),
            {
                "code": "UNAVAILABLE",
                "message": "node not connected",
                "details": {"code": "NOT_CONNECTED"},
                "retryable": False,
            },
        )
        self.assertEqual(str(problem), "node not connected")

    def test_a_missing_scope_in_version_3(self) -> None:
        shape = errors.missing_scope(3, "operator.admin", ["operator.admin"]).shape
        self.assertEqual(shape.code, "INVALID_REQUEST")
        self.assertEqual(shape.message, "missing scope: operator.admin")
        self.assertIs(shape.details, msgspec.UNSET)

    def test_a_missing_scope_in_version_4(self) -> None:
        shape = errors.missing_scope(4, "operator.write", ["operator.write"]).shape
        self.assertEqual(shape.code, "FORBIDDEN")
        details = msgspec.convert(shape.details, errors.MissingScopeDetails)
        self.assertEqual(
            (details.code, details.missing_scope, details.required_scopes),
            ("MISSING_SCOPE", "operator.write", ["operator.write"]),
        )


class SecretTests(SynchronousTestCase):
    """What holds a credential does not show it."""

    def test_reprs(self) -> None:
        for value in (
            ConnectAuth(token="hunter2", password="hunter2", device_token="hunter2"),
            HelloAuth(role="operator", scopes=[], device_token="hunter2"),
            TokenRotated(
                device_id="d",
                role="operator",
                scopes=[],
                rotated_at_ms=1,
                token_delivery="in-band",
                token="hunter2",
            ),
        ):
            self.assertNotIn("hunter2", repr(value))
            self.assertIn("hunter2", frames.encode(value).decode())
