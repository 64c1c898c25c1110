"""Accepted means durable: thousands of messages, and the Gateway killed again and again.

Four connections send twenty thousand messages into eight sessions of a very fast agent, while the
Gateway is killed (SIGKILL) ten times at moments that a seed decides, and started again. What was
not acknowledged is sent again with the same idempotency key, and so is some of what was. At the
end everything is read back through the API.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import Any

from clawgw.identity import DeviceIdentity
from tests.faults.support import RESTARTED, GatewayCase, Sender, echo_agents
from tests.support.wire import Client, Refused

MESSAGES = 20_000
SESSIONS = 8
CONNECTIONS = 4
KILLS = 10
REPEATED = 0.03
SEED = 20260131


def text_of(number: int) -> str:
    return f"message {number}"


class Flood(Sender):
    """One client: some of its messages it sends twice.

    Attributes:
        repeated: how many.
    """

    window = 48

    def __init__(self, port: int, identity: DeviceIdentity, numbers: list[int], seed: int) -> None:
        super().__init__(port, identity, numbers)
        self.random = random.Random(seed)
        self.repeated = 0

    def request(self, number: int) -> tuple[str, dict[str, Any]]:
        return "chat.send", {
            "sessionKey": f"flood-{number % SESSIONS}",
            "message": text_of(number),
            "idempotencyKey": f"key-{number}",
        }

    def accepted(self, number: int, answer: Any) -> None:
        if self.answered.setdefault(number, answer) != answer:
            self.problems.append(f"message {number}: a second answer differs: {answer}")
        elif self.random.random() < REPEATED:
            self.repeated += 1
            self.todo.appendleft(number)


class KillNine(GatewayCase):
    """Twenty thousand messages and ten sudden deaths."""

    timeout = 1500
    config = echo_agents()

    def test_every_acknowledged_message_is_kept_once_and_its_run_ends(self) -> None:
        senders = [
            Flood(self.gateway.port, self.identity, list(range(n, MESSAGES, CONNECTIONS)), n)
            for n in range(CONNECTIONS)
        ]
        for sender in senders:
            sender.start()
        self.kill_now_and_then(senders)
        for sender in senders:
            sender.join(600)
        self.assertEqual([problem for sender in senders for problem in sender.problems], [])
        self.assertEqual(sum(len(sender.answered) for sender in senders), MESSAGES)
        repeated = sum(sender.repeated for sender in senders)
        self.assertGreater(repeated, MESSAGES * REPEATED / 2)
        self.check_what_is_kept()
        self.assertNotIn("Traceback", self.gateway.log)

    def kill_now_and_then(self, senders: list[Flood]) -> None:
        chance = random.Random(SEED)
        moments = sorted(chance.sample(range(100, MESSAGES - 100), KILLS))
        for moment in moments:
            while sum(len(sender.answered) for sender in senders) < moment:
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
        deadline = time.monotonic() + 300
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
