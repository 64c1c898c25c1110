"""Each provider in a storm of kills and cuts; see `tests/faults/channel_storm.py`."""

from __future__ import annotations

from typing import Any

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
