"""What the tests of the Signal adapter share."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher

from clawgw.channels.signal.adapter import SignalAdapter
from clawgw.channels.signal.settings import SignalAccount
from tests.channels.rpc_cases import RpcAdapterCase
from tests.channels.signal.fake import FakeSignal

BOT = "+15550001111"


class SignalCase(RpcAdapterCase):
    """A fake with a linked account, and Alice."""

    fake: FakeSignal

    async def setUp(self) -> None:  # type: ignore[override]
        super().setUp()
        await self.start_fake(FakeSignal(self.reactor))
        self.account = self.fake.account(BOT)
        self.alice = self.fake.person("+15552222222", "Alice")
        self.group = self.fake.group("Friends", self.alice)

    def adapter(self, **settings: Any) -> SignalAdapter:
        settings.setdefault("account", BOT)
        if "socket" not in settings:
            settings.setdefault("command", tuple(self.fake.command))
        return SignalAdapter("default", SignalAccount(**settings), self.host())

    def said(self, words: str) -> Deferred[None]:
        """Fires when the log has said something."""
        heard: Deferred[None] = Deferred()

        def hear(event: dict[str, Any]) -> None:
            if words in (event.get("log_format") or ""):
                globalLogPublisher.removeObserver(hear)
                self.reactor.callLater(0, heard.callback, None)  # not while it is being said

        globalLogPublisher.addObserver(hear)
        return heard
