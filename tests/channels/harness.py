"""Adapters with the real inbox, outbox and supervisor around them, on a real reactor.

What is routed is recorded instead of being answered.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.trial.unittest import TestCase

from clawgw.channels.account import Account, Surroundings
from clawgw.channels.adapter import Provider
from clawgw.channels.inbox import Inbox
from clawgw.channels.messages import Inbound, Outbound, Press, Target
from clawgw.channels.outbox import Delivery, delivery_of, put
from clawgw.store import inbox as inbox_table
from clawgw.store.database import SqliteDatabase
from clawgw.store.inbox import InboxRow

LOOK_SECONDS = 0.01
SECONDS = 90.0


class Recorder:
    """The `Incoming` of the tests: every message is routed, to a list."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.database = database
        self.routed: list[Inbound] = []

    def needs_time(self, row: InboxRow, message: Inbound) -> bool:
        return False

    async def prepare(self, row: InboxRow, message: Inbound) -> Inbound:
        return message

    async def route(self, row: InboxRow, message: Inbound) -> None:
        await self.database.write(inbox_table.settle, row.seq, "routed")
        self.routed.append(message)


class ChannelCase(TestCase):
    """A test with accounts in it."""

    timeout = 300

    def setUp(self) -> None:
        self.reactor: Any = the_reactor
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.pressed: list[Press] = []
        self.press_answer = "Allowed, once."
        self.accounts: list[Account] = []
        self.environ = dict(os.environ)
        self.open_store()
        self.addCleanup(self._close)

    def open_store(self) -> None:
        self.database = SqliteDatabase(
            self.reactor, self.reactor.getThreadPool(), self.directory / "store.sqlite"
        )
        self.recorder = Recorder(self.database)
        self.inbox = Inbox(self.reactor, self.database, self.recorder, self.now_ms)

    async def _close(self) -> None:
        for account in self.accounts:
            await account.stop(1.0)
        self.inbox.stop()
        self.database.close()

    def now_ms(self) -> int:
        return int(self.reactor.seconds() * 1000)

    @property
    def routed(self) -> list[Inbound]:
        """What came in, in its order, each message once."""
        return self.recorder.routed

    def account(
        self, provider: Provider, settings: dict[str, Any], name: str = "default"
    ) -> Account:
        """An account with these settings, as they stand in the configuration file."""
        around = Surroundings(
            self.reactor,
            self.database,
            self.inbox,
            self.directory / "channels",
            self.in_thread,
            self.environ,
            self._press,
            lambda: None,
            self.now_ms,
        )
        account = Account(provider, name, msgspec.convert(settings, provider.settings), around)
        self.accounts.append(account)
        return account

    async def start(
        self, provider: Provider, settings: dict[str, Any], name: str = "default"
    ) -> Account:
        """An account that is connected."""
        account = self.account(provider, settings, name)
        await account.start()
        await self.until(lambda: account.status.connected, lambda: repr(account.status))
        return account

    async def stop(self, account: Account) -> None:
        """End an account; what it has stored stays."""
        await account.stop(1.0)
        self.accounts.remove(account)

    async def deliver(
        self, account: Account, chat: str, message: Outbound | str, thread: str | None = None,
        key: str | None = None,
    ) -> Delivery:  # fmt: skip
        """Put a message into the outbox and wait until it is delivered or has failed."""
        if isinstance(message, str):
            message = Outbound(text=message)
        target = Target(channel=account.channel, account=account.name, chat=chat, thread=thread)
        key = key or f"test:{os.urandom(8).hex()}"
        seq = await self.database.write(put, key, target, message, self.now_ms())
        over = account.courier.over(seq)
        account.courier.take(seq, chat)
        over.addTimeout(SECONDS, self.reactor)
        await over
        delivery = self.database.read(delivery_of, seq)
        assert delivery is not None
        return delivery

    async def until(
        self,
        condition: Callable[[], Any],
        what: Callable[[], str] = lambda: "",
        *,
        seconds: float = SECONDS,
    ) -> Any:
        """Wait for something to be so; returns what the condition says."""
        end = self.reactor.seconds() + seconds
        while not (found := condition()):
            if self.reactor.seconds() > end:
                self.fail(f"did not happen within {seconds:g} s: {what()}")
            await deferLater(self.reactor, LOOK_SECONDS)
        return found

    def in_thread(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return deferToThreadPool(self.reactor, self.reactor.getThreadPool(), function, *args)

    async def _press(self, account: Account, press: Press) -> str:
        self.pressed.append(press)
        return self.press_answer
