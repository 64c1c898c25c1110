"""The channels put together, while the configuration changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import formatEvent, globalLogPublisher

from clawgw.channels import assembly
from clawgw.channels.adapter import Fatal
from tests.channels.conversation import OPEN, ConversationCase


class Following(ConversationCase):
    """What a changed configuration does."""

    def test_of_two_changes_the_later_one_counts(self) -> None:
        loads: list[Callable[[], Any]] = []

        def in_thread(function: Callable[..., Any], *args: Any) -> Deferred[Any]:
            loaded: Deferred[Any] = Deferred()
            loads.append(lambda: loaded.callback(function(*args)))
            return loaded

        self.channels._needs = replace(self.channels._needs, in_thread=in_thread)

        def configured(channels: Any) -> Any:
            self.settings = {"default": OPEN | {"token": f"t{channels.media_days}"}}
            return self.configured()

        self.patch(assembly, "accounts_of", configured)
        changes = [
            Deferred.fromCoroutine(self.channels.follow(self.parsed(channels={"mediaDays": days})))
            for days in (1, 2)
        ]
        for load in reversed(loads):  # the first has more to load
            load()
        for change in changes:
            self.successResultOf(change)
        self.assertEqual(self.adapter.settings.token, "t2")


class Sweeping(ConversationCase):
    """What is forgotten."""

    def test_what_could_not_be_sent_for_a_week_is_given_up_and_said(self) -> None:
        self.adapter.lives[-1].errback(Fatal("a wrong token"))
        sent = self.begin("send", to="7", message="hello", idempotencyKey="k")
        self.clock.advance(20)
        self.assertTrue(self.successResultOf(sent)["queued"])
        lines: list[str] = []
        watch = lambda event: lines.append(formatEvent(event))  # noqa: E731
        globalLogPublisher.addObserver(watch)
        self.addCleanup(globalLogPublisher.removeObserver, watch)
        self.clock.advance(7 * 24 * 3600 - 21)
        self.do(self.channels.sweep())
        self.assertEqual((self.outbox(), lines), ([("send:k", "queued")], []))
        self.clock.advance(1)
        self.do(self.channels.sweep())
        self.assertEqual(self.outbox(), [("send:k", "failed")])
        self.assertEqual(lines, ["given up, as they could not be sent for a week: 1 message(s)"])
