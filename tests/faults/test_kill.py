"""Accepted means durable: thousands of messages, and the Gateway killed again and again.

Four connections send twenty thousand messages into eight sessions of a very fast agent, while the
Gateway is killed (SIGKILL) ten times at moments that a seed decides, and started again. What was
not acknowledged is sent again with the same idempotency key, and so is some of what was. At the
end everything is read back through the API.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from clawgw.identity import DeviceIdentity
from tests.faults.support import echo_agents
from tests.support.gateway import GatewayProcess
from tests.support.wire import CLOSE, Client, Cut, Refused, device

MESSAGES = 20_000
SESSIONS = 8
CONNECTIONS = 4
WINDOW = 48
KILLS = 10
REPEATED = 0.03
SEED = 20260131
RESTARTED = "the Gateway was restarted while this was being answered"


def text_of(number: int) -> str:
    return f"message {number}"


class Sender(threading.Thread):
    """One client: sends its messages, some twice, across as many connections as it takes.

    Attributes:
        acknowledged: the answer to each message, by number.
        problems: what should not have happened.
    """

    def __init__(self, port: int, identity: DeviceIdentity, numbers: list[int], seed: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.identity = identity
        self.random = random.Random(seed)
        self.todo = deque(numbers)
        self.acknowledged: dict[int, Any] = {}
        self.repeated = 0
        self.problems: list[str] = []

    def run(self) -> None:
        while self.todo and not self.problems:
            try:
                client = Client(self.port, identity=self.identity)
            except (OSError, Cut):
                time.sleep(0.02)
                continue
            self.send_over(client)
            client.cut()

    def send_over(self, client: Client) -> None:
        """Send until all is acknowledged or the connection is gone."""
        in_flight: dict[str, int] = {}
        try:
            while (self.todo or in_flight) and not self.problems:
                while self.todo and len(in_flight) < WINDOW:
                    self.post(client, in_flight, self.todo.popleft())
                self.hear(client, in_flight)
        except (OSError, Cut):
            # Nobody knows what became of these: they are sent again.
            self.todo.extendleft(n for n in in_flight.values() if n not in self.acknowledged)

    def post(self, client: Client, in_flight: dict[str, int], number: int) -> None:
        params = {
            "sessionKey": f"flood-{number % SESSIONS}",
            "message": text_of(number),
            "idempotencyKey": f"key-{number}",
        }
        # filed before it is sent: a connection that breaks while sending may have carried it
        in_flight[str(number)] = number
        frame = {"type": "req", "id": str(number), "method": "chat.send", "params": params}
        client.send_text(json.dumps(frame))

    def hear(self, client: Client, in_flight: dict[str, int]) -> None:
        message = client.receive(60)
        if message.opcode == CLOSE:
            raise Cut(f"closed {message.close_code}")
        if message.payload.startswith(b'{"type":"event"'):
            return
        frame = message.json
        number = in_flight.pop(frame["id"])
        answer = frame.get("payload")
        if not frame["ok"]:
            self.problems.append(f"message {number}: {frame['error']}")
        elif self.acknowledged.setdefault(number, answer) != answer:
            self.problems.append(f"message {number}: a second answer differs: {answer}")
        elif self.random.random() < REPEATED:
            self.repeated += 1
            self.post(client, in_flight, number)


class KillNine(TestCase):
    """Twenty thousand messages and ten sudden deaths."""

    timeout = 400

    def setUp(self) -> None:
        self.state = Path(self.mktemp()).absolute()
        self.gateway = GatewayProcess(self.state / "gateway", config=echo_agents())
        self.gateway.start()
        self.addCleanup(self.gateway.kill)
        self.identity = device(self.state)

    def test_every_acknowledged_message_is_kept_once_and_its_run_ends(self) -> None:
        senders = [
            Sender(self.gateway.port, self.identity, list(range(n, MESSAGES, CONNECTIONS)), n)
            for n in range(CONNECTIONS)
        ]
        for sender in senders:
            sender.start()
        self.kill_now_and_then(senders)
        for sender in senders:
            sender.join(300)
        self.assertEqual([problem for sender in senders for problem in sender.problems], [])
        self.assertEqual(sum(len(sender.acknowledged) for sender in senders), MESSAGES)
        repeated = sum(sender.repeated for sender in senders)
        self.assertGreater(repeated, MESSAGES * REPEATED / 2)
        self.check_what_is_kept()
        self.assertNotIn("Traceback", self.gateway.log)

    def kill_now_and_then(self, senders: list[Sender]) -> None:
        chance = random.Random(SEED)
        moments = sorted(chance.sample(range(100, MESSAGES - 100), KILLS))
        for moment in moments:
            while sum(len(sender.acknowledged) for sender in senders) < moment:
                self.assertTrue(any(sender.is_alive() for sender in senders), "nobody sends")
                time.sleep(0.002)
            time.sleep(chance.random() * 0.05)
            self.gateway.kill()
            self.gateway.start()

    def check_what_is_kept(self) -> None:
        client = Client(self.gateway.port, identity=self.identity, protocol=4)
        self.wait_until_idle(client)
        asked: Counter[str] = Counter()
        answered: Counter[str] = Counter()
        for session in range(SESSIONS):
            for message in self.transcript(client, f"flood-{session}"):
                run_id = message["__openclaw"]["runId"]
                if message["role"] == "user":
                    asked[run_id] += 1
                elif message.get("errorMessage"):
                    self.assertEqual(message["errorMessage"], RESTARTED)
                    answered[run_id] += 1
                else:
                    number = int(run_id.removeprefix("key-"))
                    self.assertEqual(message["content"][0]["text"], text_of(number))
                    answered[run_id] += 1
        expected = Counter(f"key-{number}" for number in range(MESSAGES))
        self.assertEqual(asked, expected)
        self.assertEqual(answered, expected)
        ends = Counter(
            client.request("agent.wait", {"runId": f"key-{number}", "timeoutMs": 0})["status"]
            for number in range(0, MESSAGES, 20)
        )
        self.assertLessEqual(set(ends), {"ok", "error"})
        with self.assertRaises(Refused):
            client.request("agent.wait", {"runId": "key-none", "timeoutMs": 0})

    def wait_until_idle(self, client: Client) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            status = client.request("status")
            if status["activeRuns"] == status["queuedRuns"] == 0:
                return
            time.sleep(0.1)
        self.fail(f"runs are lost or stuck: {status}")

    def transcript(self, client: Client, session: str) -> list[Any]:
        messages: list[Any] = []
        more = True
        while more:
            asked = {"sessionKey": session, "limit": 1000, "offset": len(messages)}
            page = client.request("chat.history", asked)
            messages += page["messages"]
            more = page["hasMore"]
        return messages
