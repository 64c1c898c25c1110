"""A running adapter against the fake Slack."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from clawgw.channels.messages import Part, Target
from clawgw.channels.slack import adapter as adapter_module
from clawgw.channels.slack import directory
from clawgw.channels.slack.adapter import SlackAdapter
from clawgw.channels.slack.settings import SlackAccount
from tests.channels.slack.fake import FakeSlack
from tests.channels.slack.host import RecordingHost


class SlackCase(TestCase):
    """Slack with Ann in it; `start` runs an adapter, `stop` ends it as a shutdown does."""

    timeout = 240

    def setUp(self) -> None:
        for module in (directory, adapter_module):  # a name may take long on a slow machine
            self.patch(module, "ASK_SECONDS", 30.0)
        self.slack = FakeSlack(reactor)
        self.slack.sockets.ack_timeout = 60.0  # and an acknowledgement too
        self.slack.start()
        self.addCleanup(self.slack.stop)
        self.addCleanup(self.check)
        self.ann = self.slack.workspace.person("U0ANN", "ann")
        self.dm = self.slack.workspace.direct(self.ann)
        self.general = self.slack.workspace.channel("general", self.ann)
        self.host = RecordingHost(reactor, Path(self.mktemp()), {})
        self.running: Deferred[Any] | None = None
        self.faults: list[BaseException] = []
        self.keys = 0

    def check(self) -> None:
        """Nothing was asked of Slack that its specification does not know."""
        self.assertEqual(self.slack.violations, [])

    def settings(self, **more: Any) -> SlackAccount:
        tokens = {"bot_token": self.slack.bot_token, "app_token": self.slack.app_token}
        return SlackAccount(api_root=self.slack.api_root, **{**tokens, **more})

    def adapter(self, **more: Any) -> SlackAdapter:
        self.current = SlackAdapter("default", self.settings(**more), self.host)
        self.addCleanup(self.current.close)
        self.addCleanup(self.stop)  # first, as the Gateway does: what runs would ask again
        return self.current

    async def start(self, **more: Any) -> SlackAdapter:
        """Runs a new adapter and waits until it is connected."""
        adapter = self.adapter(**more)
        before = len(self.host.details) + len(self.faults)
        self.running = Deferred.fromCoroutine(adapter.run())
        self.running.addErrback(lambda failure: self.faults.append(failure.value))
        await self.until(lambda: len(self.host.details) + len(self.faults) > before)
        return adapter

    async def stop(self) -> None:
        running, self.running = self.running, None
        if running is not None:
            running.cancel()
            await running
            self.faults = [one for one in self.faults if not isinstance(one, CancelledError)]

    async def until(self, condition: Callable[[], object]) -> None:
        """Waits until something is so; the test's time limit bounds it."""
        while not condition():
            await deferLater(reactor, 0.005, lambda: None)

    async def failure(self, expected: type[BaseException], work: Coroutine[Any, Any, Any]) -> Any:
        """The error of this kind that the work ends with."""
        return await self.assertFailure(Deferred.fromCoroutine(work), expected)

    def message(self, channel: str, ts: str) -> dict[str, Any]:
        """A message as Slack has it."""
        return self.slack.workspace.conversations[channel].messages[ts]

    def target(self, chat: str, thread: str | None = None) -> Target:
        return Target(channel="slack", account="default", chat=chat, thread=thread)

    def part(self, text: str = "", **more: Any) -> Part:
        self.keys += 1
        return Part(key=f"{self.keys:032x}", text=text, plain=text, **more)
