"""A provider in a storm: messages in and out while the Gateway is killed and connections are cut.

One `Surface` for each provider (in `tests/faults/test_channels.py`) tells how its fake is started,
spoken through, looked at and cut. The storm itself is the same for all: a thousand messages come in
from several people, a thousand are sent by a client that repeats what was not acknowledged, and
every answer goes out too, while the Gateway gets SIGKILL at moments that a seed decides.

What has to hold at the end: every message that came in is in a transcript exactly once, and was
answered (or its answer tells that the Gateway was restarted); everything sent and every answer was
delivered. Where the provider can recognise a repetition nothing is doubled; where it cannot, there
are no more doubles than the outbox has counted.
"""

from __future__ import annotations

import json
import random
import sqlite3
import time
from abc import ABC, abstractmethod
from collections import Counter
from pathlib import Path
from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from clawgw.identity import DeviceIdentity
from tests.faults.support import RESTARTED, Sender, echo_agents
from tests.support.gateway import GatewayProcess
from tests.support.wire import device

PEOPLE = 8
KILLS = 20
CUTS = 8
BURST = 40


class Surface(ABC):
    """A fake provider, as the storm sees it.

    Attributes:
        channel: its id.
        recognises: a part that is sent again is shown once, whatever happens.
    """

    channel: str
    recognises: bool

    @abstractmethod
    async def start(self, reactor: Any) -> dict[str, Any]:
        """Start the fake; returns the channel's section of the configuration."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop it."""

    @abstractmethod
    def say(self, person: int, text: str) -> None:
        """Somebody writes a direct message."""

    @abstractmethod
    def address(self, person: int) -> str:
        """How `send` names that person."""

    @abstractmethod
    def shown(self) -> list[str]:
        """Every text that people got, in order, with doubles; of drafts the final text."""

    @abstractmethod
    def cut(self) -> None:
        """Cut all connections of the Gateway, or kill its child."""


class StormSender(Sender):
    """Sends to the people of a surface."""

    def __init__(
        self, port: int, identity: DeviceIdentity, surface: Surface, numbers: list[int]
    ) -> None:
        super().__init__(port, identity, numbers)
        self.surface = surface

    def request(self, number: int) -> tuple[str, dict[str, Any]]:
        return "send", {
            "channel": self.surface.channel,
            "to": self.surface.address(number % PEOPLE),
            "message": f"out {number} end",
            "idempotencyKey": f"out-{number}",
        }

    def refused(self, number: int, error: dict[str, Any]) -> None:
        """Right after a start the account is not there for a moment."""
        if error.get("retryable") or "not configured" in error["message"]:
            self.todo.append(number)
        else:
            super().refused(number, error)


class Storm(TestCase):
    """What every provider's test does; not a test by itself.

    Attributes:
        messages: how many come in, and how many are sent.
    """

    messages = 1000

    timeout = 1500
    seed = 20261122
    surface: Surface

    async def storm(self, surface: Surface) -> None:
        """Go through it."""
        self.surface = surface
        self.reactor: Any = the_reactor
        self.chance = random.Random(self.seed)
        self.state = Path(self.mktemp()).absolute()
        section = await surface.start(self.reactor)
        self.addCleanup(surface.stop)
        config = {
            **echo_agents(),
            "session": {"dmScope": "per-peer"},
            "channels": {surface.channel: {"dmPolicy": "open", "allowFrom": ["*"], **section}},
        }
        self.gateway = GatewayProcess(self.state / "gateway", config=config)
        await deferToThread(self.gateway.start)
        self.addCleanup(lambda: deferToThread(self.gateway.kill))
        numbers = list(range(self.messages))
        sender = StormSender(self.gateway.port, device(self.state), surface, numbers)
        self.addCleanup(setattr, sender, "stopped", True)
        sender.start()
        await self._weather(sender)
        await self._calm(sender)
        self._check(sender)

    async def _weather(self, sender: Sender) -> None:
        """Say everything, in bursts, with kills and cuts in between."""
        said = 0
        strikes = ["kill"] * KILLS + ["cut"] * CUTS
        self.chance.shuffle(strikes)
        for number, strike in enumerate(strikes, 1):
            until = self.messages * number // len(strikes)
            while said < until:
                for _ in range(min(BURST, until - said)):
                    self.surface.say(said % PEOPLE, f"in {said} end")
                    said += 1
                await self._pause(0.02)
            await self._pause(self.chance.uniform(0.02, 0.6))
            if strike == "cut":
                self.surface.cut()
            else:
                await deferToThread(self.gateway.kill)
                await deferToThread(self.gateway.start)

    async def _calm(self, sender: Sender) -> None:
        """Wait until nothing waits any more, and what was sent is seen.

        A provider may acknowledge what it shows later: where a phone cannot read a message, it asks
        for it again.
        """
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            if sender.problems:
                self.fail("\n".join(sender.problems[:5]))
            left = await deferToThread(self._left) or self._unseen()
            if not sender.is_alive() and not left:
                return
            await self._pause(0.2)
        log = self.gateway.log[-3000:]
        self.fail(f"still waiting: {left}, {len(sender.answered)} answered\n{log}")

    def _unseen(self) -> dict[str, int]:
        """What was sent and nobody has seen yet."""
        unseen = self._sent() - {text.strip() for text in self.surface.shown()}
        return {f"{text} never arrived": 1 for text in sorted(unseen)[:5]}

    def _sent(self) -> set[str]:
        return {f"out {number} end" for number in range(self.messages)}

    def _left(self) -> dict[str, int]:
        """What has not come to its end, by the store."""
        rows = self._rows(
            "SELECT 'inbox', count(*) FROM inbox WHERE state = 'new'"
            " UNION ALL SELECT 'said', ? - count(*) FROM inbox"
            " UNION ALL SELECT 'runs', count(*) FROM runs WHERE ended_at IS NULL"
            " UNION ALL SELECT 'outbox', count(*) FROM outbox WHERE ended_at IS NULL",
            self.messages,
        )
        return {name: count for name, count in rows if count}

    def _check(self, sender: Sender) -> None:
        self.assertEqual(sender.problems, [])
        self.assertEqual(len(sender.answered), self.messages)
        came = [f"in {number} end" for number in range(self.messages)]
        bodies = self._rows("SELECT body FROM messages WHERE role = 'user'")
        kept = Counter(json.loads(body)["content"][0]["text"] for (body,) in bodies)
        self.assertEqual(kept, Counter(came))
        states = dict(self._rows("SELECT state, count(*) FROM inbox GROUP BY state"))
        self.assertEqual(states, {"routed": self.messages})
        failed = self._rows("SELECT key, error FROM outbox WHERE state = 'failed'")
        self.assertEqual(failed, [])
        self._check_shown()
        self.assertNotIn("Traceback", self.gateway.log)

    def _check_shown(self) -> None:
        shown = Counter(text.strip() for text in self.surface.shown())
        restarted = sum(count for text, count in shown.items() if RESTARTED in text)
        self.assertEqual(self._sent() - set(shown), set(), "never arrived")
        answers = {text for text in shown if text.startswith("in ")}
        interrupted = self._rows("SELECT count(*) FROM runs WHERE state = 'error'")[0][0]
        self.assertEqual(len(answers) + interrupted, self.messages)
        self.assertGreaterEqual(restarted, interrupted)
        doubles = sum(count - 1 for text, count in shown.items() if RESTARTED not in text)
        doubles += restarted - interrupted
        counted = self._rows("SELECT coalesce(sum(doubled), 0) FROM outbox")[0][0]
        print(
            f"{self.surface.channel}: {doubles} doubled, {counted} possible by the outbox's count"
        )
        if self.surface.recognises:
            self.assertEqual((doubles, counted), (0, 0))
        self.assertLessEqual(doubles, counted)

    def _rows(self, query: str, *values: Any) -> list[Any]:
        store = self.state / "gateway" / "clawgw.sqlite"
        connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def _pause(self, seconds: float) -> Any:
        return deferLater(self.reactor, seconds)
