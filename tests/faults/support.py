"""What the fault tests share: a Gateway, its clients, and one that does not give up."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from clawgw.identity import DeviceIdentity
from tests.support.gateway import GatewayProcess
from tests.support.wire import CLOSE, Client, Cut, device

ECHO_AGENT = str(Path(__file__).with_name("echo_agent.py"))
RESTARTED = "the Gateway was restarted while this was being answered"
ANSWER_SECONDS = 90.0


def echo_agents() -> dict[str, Any]:
    """A configuration whose agent answers at once."""
    return {"agents": {"list": [{"id": "main", "command": [sys.executable, "-u", ECHO_AGENT]}]}}


class GatewayCase(TestCase):
    """A Gateway, and clients of it.

    Attributes:
        config: its configuration; None: with the scripted agent.
    """

    timeout = 300
    config: dict[str, Any] | None = None

    def setUp(self) -> None:
        directory = Path(self.mktemp()).absolute()
        self.gateway = GatewayProcess(directory / "gateway", config=self.config)
        self.gateway.start()
        self.addCleanup(self.gateway.kill)
        self.identity = device(directory)

    def connect(self, protocol: int = 4, **options: Any) -> Client:
        """A client that is connected."""
        client = Client(self.gateway.port, identity=self.identity, protocol=protocol, **options)
        self.addCleanup(client.cut)
        return client


class Sender(threading.Thread):
    """A client that sends numbered messages, again where it got no answer.

    It takes as many connections as it needs, and ends when all are answered, when it is `stopped`,
    or at the first problem.

    Attributes:
        window: how many are sent before an answer has to come.
        todo: what is still to be sent.
        answered: the answers, by number.
        problems: what should not have happened.
    """

    window = 32

    def __init__(self, port: int, identity: DeviceIdentity, numbers: list[int]) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.identity = identity
        self.todo = deque(numbers)
        self.answered: dict[int, Any] = {}
        self.problems: list[str] = []
        self.stopped = False

    def request(self, number: int) -> tuple[str, dict[str, Any]]:
        """A message's method and params."""
        raise NotImplementedError

    def accepted(self, number: int, answer: Any) -> None:
        """A message was answered."""
        self.answered[number] = answer

    def refused(self, number: int, error: dict[str, Any]) -> None:
        """A message was answered with an error."""
        self.problems.append(f"message {number}: {error}")

    def run(self) -> None:
        while self.todo and not self._over:
            try:
                client = Client(self.port, identity=self.identity)
            except (OSError, Cut):
                time.sleep(0.02)
                continue
            self._send_over(client)
            client.cut()

    @property
    def _over(self) -> bool:
        return self.stopped or bool(self.problems)

    def _send_over(self, client: Client) -> None:
        """Send until all is answered or the connection is gone."""
        in_flight: dict[str, int] = {}
        try:
            while (self.todo or in_flight) and not self._over:
                while self.todo and len(in_flight) < self.window:
                    self._post(client, in_flight, self.todo.popleft())
                self._hear(client, in_flight)
        except (OSError, Cut):
            # Nobody knows what became of these: they are sent again.
            self.todo.extendleft(in_flight.values())

    def _post(self, client: Client, in_flight: dict[str, int], number: int) -> None:
        # filed before it is sent: a connection that breaks while sending may have carried it
        in_flight[str(number)] = number
        method, params = self.request(number)
        frame = {"type": "req", "id": str(number), "method": method, "params": params}
        client.send_text(json.dumps(frame))

    def _hear(self, client: Client, in_flight: dict[str, int]) -> None:
        message = client.receive(ANSWER_SECONDS)
        if message.opcode == CLOSE:
            raise Cut(f"closed {message.close_code}")
        if message.payload.startswith(b'{"type":"event"'):
            return
        frame = message.json
        number = in_flight.pop(frame["id"])
        if frame["ok"]:
            self.accepted(number, frame.get("payload"))
        else:
            self.refused(number, frame["error"])
