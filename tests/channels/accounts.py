"""Accounts of the toy channel over a store in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, execute
from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels.account import Account, Surroundings
from clawgw.channels.inbox import Inbox
from clawgw.channels.messages import Inbound, Outbound, Press, Target
from clawgw.channels.outbox import delivery_of, put
from clawgw.store.inbox import InboxRow
from tests.channels.support import TOY, ToyAdapter, ToySettings
from tests.support.memory import MemoryDatabase, MsClock


class Nobody:
    """An `Incoming` that leaves everything as it is."""

    def needs_time(self, row: InboxRow, message: Inbound) -> bool:
        return False

    async def prepare(self, row: InboxRow, message: Inbound) -> Inbound:
        return message

    async def route(self, row: InboxRow, message: Inbound) -> None:
        return


class AccountCase(SynchronousTestCase):
    """Accounts that are given everything but a network."""

    def setUp(self) -> None:
        self.clock = MsClock()
        self.database = MemoryDatabase()
        self.inbox = Inbox(self.clock, self.database, Nobody(), self.clock.now_ms)
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.changes = 0
        self.pressed: list[Press] = []
        self.threads: list[Deferred[Any]] = []

    def in_thread(self, function: Any, *args: Any) -> Deferred[Any]:
        return self.threads.pop() if self.threads else execute(function, *args)

    async def press(self, account: Account, press: Press) -> str:
        self.pressed.append(press)
        return "noted"

    def changed(self) -> None:
        self.changes += 1

    def around(self) -> Surroundings:
        """What every account is given."""
        return Surroundings(
            self.clock, self.database, self.inbox, self.directory / "channels", self.in_thread,
            {}, self.press, self.changed, self.clock.now_ms,
        )  # fmt: skip

    def account(self, name: str = "default", **settings: Any) -> Account:
        """An account that was made."""
        account = Account(TOY, name, msgspec.convert(settings, ToySettings), self.around())
        assert isinstance(account.adapter, ToyAdapter)
        self.adapter = account.adapter
        return account

    def start(self, **settings: Any) -> Account:
        """An account that runs."""
        account = self.account(**settings)
        self.do(account.start())
        return account

    def do(self, work: Any) -> Any:
        """What has its result at once."""
        return self.successResultOf(Deferred.fromCoroutine(work))

    def queue(self, text: str, chat: str = "7") -> int:
        """A message in the outbox; its number."""
        target = Target(channel="toy", account="default", chat=chat)
        seq: int = self.successResultOf(
            self.database.write(put, text, target, Outbound(text=text), self.clock.now_ms())
        )
        return seq

    def delivered(self, seq: int) -> bool:
        """Whether it has arrived."""
        found = self.database.read(delivery_of, seq)
        return found is not None and found.state == "delivered"
