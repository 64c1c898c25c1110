"""An account of Discord against the fake, with the real inbox and outbox around it."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from clawgw.channels.account import Account
from clawgw.channels.discord.provider import PROVIDER
from tests.channels.discord.fake import FakeDiscord, make_guild
from tests.channels.harness import ChannelCase


class DiscordCase(ChannelCase):
    """A test with a fake Discord: a server, a channel, a thread, and Alice."""

    def setUp(self) -> None:
        self.fake = FakeDiscord(reactor)
        self.fake.gateway.identify_seconds = 0
        self.fake.rest.answer_seconds = 60.0  # questions are stored first, by a slow disk
        self.fake.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.fake.stop()))
        self.world = self.fake.world
        self.guild, self.general, self.thread = make_guild(self.fake)
        self.alice = self.world.user("alice")
        self.addCleanup(self._look_for_complaints)
        super().setUp()

    def _look_for_complaints(self) -> None:
        """Whatever a test is about: nothing may be asked that Discord does not describe."""
        self.assertEqual(self.fake.complaints(), [])

    def settings(self, **more: Any) -> dict[str, Any]:
        return {"token": self.fake.token, "apiRoot": self.fake.api_root, **more}

    async def running(self, **more: Any) -> Account:
        """An account that is connected and has told Discord of its command."""
        account = await self.start(PROVIDER, self.settings(**more))
        if more.get("commands") is None:
            await self.until(lambda: self.world.commands)
        return account

    async def routed_texts(self, count: int) -> list[str]:
        """What was routed, once it is so much."""
        await self.until(lambda: len(self.routed) >= count, lambda: str(self.routed))
        return [message.text for message in self.routed]
