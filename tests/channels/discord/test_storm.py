"""Discord in a storm of kills and cuts; see `tests/faults/channel_storm.py`."""

from __future__ import annotations

from typing import Any

from tests.channels.discord.fake import FakeDiscord
from tests.channels.discord.world import User
from tests.faults.channel_storm import PEOPLE, Storm, Surface
from tests.faults.support import Sender

HISTORY = "GET /channels/{channel_id}/messages"


class DiscordSurface(Surface):
    """The Gateway and REST. A nonce that comes again makes no second message.

    Once everybody was answered, some cuts lose the session too, and what was missed has to be read
    from the history. (Before that nobody could know where to look: Discord lists no conversations.)
    """

    channel = "discord"
    recognises = True

    async def start(self, reactor: Any) -> dict[str, Any]:
        self.fake = FakeDiscord(reactor)
        self.fake.gateway.identify_seconds = 1.0
        self.fake.start()
        self.cuts = 0
        self.people = [self.fake.world.user(f"person{n}") for n in range(PEOPLE)]
        self.waiting: list[tuple[User, str]] = []
        return {"token": self.fake.token, "apiRoot": self.fake.api_root}

    async def stop(self) -> None:
        await self.fake.stop()

    def say(self, person: int, text: str) -> None:
        self.waiting.append((self.people[person], text))
        # Who writes to a bot that has never been there gets no answer at Discord either; its
        # command shows that it has.
        if self.fake.world.commands:
            waiting, self.waiting = self.waiting, []
            for who, what in waiting:
                self.fake.say(who, text=what)

    def address(self, person: int) -> str:
        return f"user:{self.people[person].id}"

    def shown(self) -> list[str]:
        return self.fake.texts()

    def cut(self) -> None:
        self.cuts += 1
        if self.cuts % 2 and self.answered():
            self.fake.gateway.forget()
        self.fake.cut()

    def lose(self) -> None:
        """A cut that loses the session for certain."""
        self.fake.gateway.forget()
        self.fake.cut()

    def answered(self) -> bool:
        """Whether everybody has had an answer."""
        answers = [one for one in self.fake.sent() if not one["content"].startswith("out ")]
        return len({answer["channel_id"] for answer in answers}) == PEOPLE


class DiscordStorm(Storm):
    """Discord."""

    surface: DiscordSurface

    async def _calm(self, sender: Sender) -> None:
        """However slow the machine is, the session is lost at least once."""
        while not self.surface.answered():
            await self._pause(0.1)
        self.surface.lose()
        await super()._calm(sender)

    async def test_nothing_is_lost(self) -> None:
        surface = DiscordSurface()
        await self.storm(surface)
        while not surface.fake.rest.of(HISTORY):
            await self._pause(0.1)
        self.assertEqual(surface.fake.complaints(), [])
        self.assertGreater(surface.fake.gateway.resumes, 0)
        self.assertGreater(len(surface.fake.rest.of(HISTORY)), 0)
