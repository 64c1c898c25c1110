"""A host for one adapter, in memory: it stores like the inbox, and can be told to fail."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger, eventAsText, globalLogPublisher
from twisted.trial.unittest import TestCase

from clawgw.channels.messages import Button, Inbound, Part, Press, Target
from clawgw.channels.telegram.adapter import TelegramAdapter
from clawgw.channels.telegram.settings import TelegramAccount
from clawgw.store.database import StoreError
from tests.channels.telegram.fake import TOKEN, FakeTelegram

CHAT = "1001"


class MemoryHost:
    """What an adapter is given, and what it did with it."""

    def __init__(self, fake: FakeTelegram, directory: Path) -> None:
        self.reactor = reactor
        self.directory = directory
        self.in_thread = deferToThread
        self.environ: Mapping[str, str] = {}
        self.log = Logger()
        self.messages: dict[str, Inbound] = {}
        self.batches: list[tuple[list[str], dict[str, str | None]]] = []
        self.kept: dict[str, str] = {}
        self.presses: list[Press] = []
        self.answer: Any = "Approved."
        self.details: dict[str, str] = {}
        self.connections = 0
        self.warnings: list[str] = []
        self.fails = 0
        self._fake = fake

    async def received(
        self, messages: Sequence[Inbound], cursor: Mapping[str, str | None] | None = None
    ) -> None:
        if self.fails:
            self.fails -= 1
            raise StoreError("the disk is full")
        self.batches.append(([one.text for one in messages], dict(cursor or {})))
        for message in messages:
            self.messages.setdefault(message.message_id, message)
        await self.remember(cursor or {})

    async def cursor(self) -> dict[str, str]:
        return dict(self.kept)

    async def remember(self, cursor: Mapping[str, str | None]) -> None:
        for name, value in cursor.items():
            if value is None:
                self.kept.pop(name, None)
            else:
                self.kept[name] = value
        self._fake.look()

    async def pressed(self, press: Press) -> str:
        self.presses.append(press)
        if isinstance(self.answer, Exception):
            raise self.answer
        return str(await self.answer if isinstance(self.answer, Deferred) else self.answer)

    def connected(self, **details: str) -> None:
        self.details = details
        self.connections += 1
        self._fake.look()

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.messages.values()]


class AdapterCase(TestCase):
    """A fake Telegram with Ann, who writes to the bot, and an adapter for the bot."""

    timeout = 300

    def setUp(self) -> None:
        self.fake = FakeTelegram(reactor).start()
        self.world = self.fake.world
        self.ann = self.world.user("Ann", username="Ann")
        self.host = MemoryHost(self.fake, Path(tempfile.mkdtemp(dir=self.mktemp_parent())))
        self._lives: list[Deferred[None]] = []
        self._made: list[TelegramAdapter] = []
        self.addCleanup(self._close)
        self._lines: list[str] = []
        globalLogPublisher.addObserver(self._note)
        self.adapter = self.make()

    def mktemp_parent(self) -> str:
        parent = Path(self.mktemp())
        parent.mkdir(parents=True)
        return str(parent)

    def _note(self, event: Any) -> None:
        self._lines.append(eventAsText(event))

    async def _close(self) -> None:
        globalLogPublisher.removeObserver(self._note)
        for line in self._lines:
            self.assertNotIn(TOKEN, line, "a token in the log")
        await self.end()
        for adapter in self._made:
            await adapter.close()
        await self.fake.stop()

    def make(self, **settings: Any) -> TelegramAdapter:
        """An adapter with these settings."""
        account = TelegramAccount(
            **{"bot_token": TOKEN, "api_root": self.fake.api_root, **settings}
        )
        self.adapter = TelegramAdapter("default", account, self.host)
        self._made.append(self.adapter)
        return self.adapter

    def begin(self) -> Deferred[None]:
        """Run the adapter; fires when it ends."""
        life: Deferred[None] = Deferred.fromCoroutine(self.adapter.run())
        self._lives.append(life)
        return life

    async def start(self) -> Deferred[None]:
        """Run the adapter until it is connected; what is returned fires when it ends."""
        before, menus = self.host.connections, len(self.fake.asked("setMyCommands"))
        life = self.begin()
        await self.until(lambda: self.host.connections > before or life.called)
        await self.until(lambda: len(self.fake.asked("setMyCommands")) > menus or life.called)
        return life

    async def end(self) -> None:
        """Stop every adapter that runs."""
        for life in self._lives:
            life.addErrback(lambda failure: failure.trap(CancelledError))
            life.cancel()
            await life
        self._lives.clear()

    def until(self, condition: Any) -> Deferred[Any]:
        """Fires when the condition is true; asked whenever something happened."""
        return self.fake.when(condition)

    async def arrived(self, count: int) -> list[Inbound]:
        """The messages, when there are so many."""
        await self.until(lambda: len(self.host.messages) >= count)
        return list(self.host.messages.values())

    async def send(self, text: str = "", chat: Any = CHAT, **part: Any) -> str:
        """Send a part."""
        thread = part.pop("thread", None)
        target = Target(channel="telegram", account="default", chat=str(chat), thread=thread)
        plain = part.pop("plain", text)
        return await self.adapter.send(target, Part(key="0" * 32, text=text, plain=plain, **part))


YES_NO = ((Button(text="Yes", data="a:yes"), Button(text="No", data="a:no", style="danger")),)
