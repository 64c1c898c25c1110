"""Signal and iMessage in a storm of kills and cuts; see `tests/faults/channel_storm.py`.

Both are children of the Gateway, so a cut is a SIGKILL of the child. Neither takes an id of ours.
"""

from __future__ import annotations

from typing import Any

from tests.channels.imessage.fake import FakeMessages
from tests.channels.signal.fake import FakeSignal
from tests.faults.channel_storm import PEOPLE, Storm, Surface

BOT = "+15550001111"


class SignalSurface(Surface):
    """What was sent is known from what the child wrote, unless the child itself was killed."""

    channel = "signal"
    recognises = False

    async def start(self, reactor: Any) -> dict[str, Any]:
        self.fake = FakeSignal(reactor)
        await self.fake.start()
        self.fake.account(BOT)
        self.people = [self.fake.person(f"+1555222000{n}", f"Person {n}") for n in range(PEOPLE)]
        return {"account": BOT, "command": self.fake.command}

    async def stop(self) -> None:
        await self.fake.stop()

    def say(self, person: int, text: str) -> None:
        self.fake.write(self.people[person], text)

    def address(self, person: int) -> str:
        return f"uuid:{self.people[person].uuid}"

    def shown(self) -> list[str]:
        return [sent.text for sent in self.fake.sent]

    def cut(self) -> None:
        self.fake.cut()


class SignalStorm(Storm):
    """Signal."""

    async def test_nothing_is_lost(self) -> None:
        surface = SignalSurface()
        await self.storm(surface)
        self.assertEqual(surface.fake.complaints, [])


class IMessageSurface(Surface):
    """What was sent is found among the rows of Messages.

    What is in the database before anybody has watched it is not new, so people begin to write then.
    """

    channel = "imessage"
    recognises = True

    async def start(self, reactor: Any) -> dict[str, Any]:
        self.fake = FakeMessages(reactor)
        await self.fake.start()
        self.chats = [self.fake.direct(f"+1555222000{n}") for n in range(PEOPLE)]
        self.early: list[tuple[int, str]] | None = []
        watched = self.fake.until(lambda: bool(self.fake.called("watch.subscribe")))
        watched.addCallback(lambda _: self._begin())
        return {"command": self.fake.command}

    def _begin(self) -> None:
        early, self.early = self.early or [], None
        for person, text in early:
            self.say(person, text)

    async def stop(self) -> None:
        await self.fake.stop()

    def say(self, person: int, text: str) -> None:
        if self.early is None:
            self.fake.write(self.chats[person], text)
        else:
            self.early.append((person, text))

    def address(self, person: int) -> str:
        return f"chat_id:{self.chats[person].id}"

    def shown(self) -> list[str]:
        return [row.text for row in self.fake.sent]

    def cut(self) -> None:
        self.fake.cut()


class IMessageStorm(Storm):
    """iMessage."""

    async def test_nothing_is_lost(self) -> None:
        surface = IMessageSurface()
        await self.storm(surface)
        self.assertEqual(surface.fake.complaints, [])
