"""Each provider in a storm of kills and cuts; see `tests/faults/channel_storm.py`."""

from __future__ import annotations

from typing import Any

from tests.channels.slack.fake import FakeSlack
from tests.channels.telegram.fake import FakeTelegram
from tests.faults.channel_storm import PEOPLE, Storm, Surface

TELEGRAM_TOKEN = "123456:test-token"


class TelegramSurface(Surface):
    """The Bot API. It has no way to recognise a message that is sent again."""

    channel = "telegram"
    recognises = False

    async def start(self, reactor: Any) -> dict[str, Any]:
        self.fake = FakeTelegram(reactor, TELEGRAM_TOKEN).start()
        self.people = [self.fake.world.user(f"Person {n}", 1001 + n) for n in range(PEOPLE)]
        return {
            "botToken": TELEGRAM_TOKEN, "apiRoot": self.fake.api_root, "streamMode": "off",
        }  # fmt: skip

    async def stop(self) -> None:
        await self.fake.stop()

    def say(self, person: int, text: str) -> None:
        self.fake.world.say(self.people[person], text)
        self.fake.look()

    def address(self, person: int) -> str:
        return str(1001 + person)

    def shown(self) -> list[str]:
        return self.fake.world.texts()

    def cut(self) -> None:
        self.fake.cut_connections()


class TelegramStorm(Storm):
    """Telegram."""

    async def test_nothing_is_lost(self) -> None:
        await self.storm(TelegramSurface())


class SlackSurface(Surface):
    """Socket Mode and the Web API. What was posted is found again by its metadata."""

    channel = "slack"
    recognises = True

    async def start(self, reactor: Any) -> dict[str, Any]:
        self.fake = FakeSlack(reactor)
        self.fake.start()
        self.fake.sockets.retry_pauses = (0.0, 2.0, 5.0)
        workspace = self.fake.workspace
        self.people = [workspace.person(f"U0PERSON{n}", f"person{n}") for n in range(PEOPLE)]
        self.chats = [workspace.direct(person) for person in self.people]
        return {
            "botToken": self.fake.bot_token,
            "appToken": self.fake.app_token,
            "apiRoot": self.fake.api_root,
        }

    async def stop(self) -> None:
        await self.fake.stop()

    def say(self, person: int, text: str) -> None:
        self.fake.say(self.people[person], self.chats[person], text)

    def address(self, person: int) -> str:
        return f"user:{self.people[person]}"

    def shown(self) -> list[str]:
        return [message["text"] for _, message in self.fake.posted]

    def cut(self) -> None:
        self.fake.cut_connections()


class SlackStorm(Storm):
    """Slack."""

    async def test_nothing_is_lost(self) -> None:
        surface = SlackSurface()
        await self.storm(surface)
        self.assertEqual(surface.fake.violations, [])
