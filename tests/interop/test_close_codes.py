"""How a connection ends that does not begin as it should."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.support.gateway import GatewayProcess
from tests.support.wire import Closed, Socket, client_frame, connect_params, device


class CloseCodes(TestCase):
    """Before hello-ok, whatever is wrong ends the connection; how, tells what was wrong."""

    timeout = 60

    def setUp(self) -> None:
        directory = Path(self.mktemp()).absolute()
        self.gateway = GatewayProcess(directory / "gateway")
        self.gateway.start()
        self.addCleanup(self.gateway.kill)
        self.identity = device(directory)

    def challenged(self) -> tuple[Socket, str]:
        """A connection, and its nonce."""
        socket = Socket(self.gateway.port)
        self.addCleanup(socket.cut)
        challenge = socket.receive().json
        self.assertEqual(challenge["event"], "connect.challenge")
        return socket, challenge["payload"]["nonce"]

    def request(self, socket: Socket, method: str, params: Any) -> None:
        frame = {"type": "req", "id": "1", "method": method, "params": params}
        socket.send_text(json.dumps(frame))

    def assert_closed(self, socket: Socket, code: int) -> None:
        end = socket.ending()
        self.assertIsInstance(end, Closed)
        self.assertEqual(end.code, code)
        self.assertTrue(end.reason)

    def test_no_protocol_in_common(self) -> None:
        for low, high in ((1, 2), (5, 9)):
            socket, nonce = self.challenged()
            params = connect_params(nonce, identity=self.identity)
            self.request(socket, "connect", {**params, "minProtocol": low, "maxProtocol": high})
            answer = socket.receive().json
            self.assertFalse(answer["ok"])
            self.assertEqual(answer["error"]["message"], "protocol mismatch")
            self.assertEqual(answer["error"]["details"]["expectedProtocol"], 4)
            self.assert_closed(socket, 1002)

    def test_the_highest_common_protocol_is_spoken(self) -> None:
        for low, high, spoken in ((1, 3, 3), (3, 4, 4), (4, 99, 4), (1, 99, 4)):
            socket, nonce = self.challenged()
            params = connect_params(nonce, identity=self.identity)
            self.request(socket, "connect", {**params, "minProtocol": low, "maxProtocol": high})
            self.assertEqual(socket.receive().json["payload"]["protocol"], spoken)

    def test_another_request_first_is_answered_then_closed(self) -> None:
        socket, _ = self.challenged()
        self.request(socket, "health", {})
        answer = socket.receive().json
        self.assertEqual((answer["id"], answer["ok"]), ("1", False))
        self.assertEqual(answer["error"]["code"], "INVALID_REQUEST")
        self.assert_closed(socket, 1008)

    def test_connect_that_does_not_fit_is_explained_then_closed(self) -> None:
        socket, _ = self.challenged()
        self.request(socket, "connect", {"minProtocol": 4})
        answer = socket.receive().json
        self.assertIn("maxProtocol", answer["error"]["message"])
        self.assert_closed(socket, 1008)

    def test_garbage_first_is_closed_at_once(self) -> None:
        for garbage in ("hello", "", "{}", "[]", '{"type":"event","event":"x"}', "null"):
            socket, _ = self.challenged()
            socket.send_text(garbage)
            self.assert_closed(socket, 1008)

    def test_a_binary_frame_is_not_taken(self) -> None:
        socket, _ = self.challenged()
        socket.send_raw(client_frame(b"\x00\x01", opcode=2))
        self.assert_closed(socket, 1003)

    def test_a_wrong_token_is_answered_then_closed(self) -> None:
        socket, nonce = self.challenged()
        params = connect_params(nonce, token="wrong", identity=self.identity)
        self.request(socket, "connect", params)
        answer = socket.receive().json
        self.assertEqual(answer["error"]["details"]["code"], "AUTH_TOKEN_MISMATCH")
        self.assert_closed(socket, 1008)
