"""A host for one adapter: keeps what it is given in memory, and dies when it is told to."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from clawgw.channels.adapter import Adapter
from clawgw.channels.messages import Inbound, Part, Press, Target
from clawgw.store.database import StoreError


class FakeHost:
    """See `clawgw.channels.adapter.Host`.

    Attributes:
        messages: what was received, each once, in order.
        again: ids of messages that had been received before.
        broken: whether storing fails.
    """

    log = Logger()

    def __init__(self, reactor: Any, directory: Path, values: dict[str, str] | None = None) -> None:
        self.reactor = reactor
        self.directory = directory
        self.environ: Mapping[str, str] = {"PATH": os.environ["PATH"], "HOME": str(directory)}
        self.values: dict[str, str] = {} if values is None else values
        self.messages: list[Inbound] = []
        self.again: list[str] = []
        self.details: list[dict[str, str]] = []
        self.warnings: list[str] = []
        self.batches: list[int] = []
        self.broken = False
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def in_thread(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return deferToThreadPool(self.reactor, self.reactor.getThreadPool(), work, *args)

    async def received(
        self, messages: Sequence[Inbound], cursor: Mapping[str, str | None] | None = None
    ) -> None:
        pause: Deferred[None] = Deferred()
        self.reactor.callLater(0, pause.callback, None)
        await pause
        if self.broken:
            raise StoreError("the disk is full")
        known = {message.message_id for message in self.messages}
        for message in messages:
            if message.message_id in known:
                self.again.append(message.message_id)
            else:
                known.add(message.message_id)
                self.messages.append(message)
        self.batches.append(len(messages))
        await self.remember(cursor or {})

    async def cursor(self) -> dict[str, str]:
        return dict(self.values)

    async def remember(self, cursor: Mapping[str, str | None]) -> None:
        for name, value in cursor.items():
            self.values.pop(name, None)
            if value is not None:
                self.values[name] = value
        self.changed()

    async def pressed(self, press: Press) -> str:
        raise NotImplementedError

    def connected(self, **details: str) -> None:
        self.details.append(details)
        self.changed()

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    # For tests

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.messages]

    def until(self, condition: Callable[[], bool]) -> Deferred[None]:
        """Fires when the condition has become true."""
        deferred: Deferred[None] = Deferred()
        self._waiting.append((condition, deferred))
        self.changed()
        return deferred

    def changed(self) -> None:
        for condition, deferred in list(self._waiting):
            if condition():
                self._waiting.remove((condition, deferred))
                # Not from inside the adapter: what follows may well be to stop it.
                self.reactor.callLater(0, deferred.callback, None)


class Running:
    """An adapter's `run`, under way."""

    def __init__(self, adapter: Adapter[Any]) -> None:
        self.over = False
        self.problem: Exception | None = None
        self._watchers: list[Deferred[None]] = []
        self._life = Deferred.fromCoroutine(adapter.run())
        self._life.addBoth(self._end)

    async def ended(self) -> Exception | None:
        """Wait for its end; returns why, None if it returned."""
        if not self.over:
            watcher: Deferred[None] = Deferred()
            self._watchers.append(watcher)
            await watcher
        return self.problem

    def cancel(self) -> None:
        """Tell it to end, as the supervisor does."""
        if not self.over:
            self._life.cancel()

    async def stop(self) -> None:
        """Tell it to end, and wait until it has."""
        self.cancel()
        await self.ended()

    def _end(self, result: Any) -> None:
        self.over = True
        if isinstance(result, Failure) and not result.check(CancelledError):
            self.problem = result.value
        for watcher in self._watchers:
            watcher.callback(None)


class AdapterCase(TestCase):
    """A test of an adapter against a fake in this process."""

    timeout = 240

    def setUp(self) -> Any:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.values: dict[str, str] = {}

    def host(self) -> FakeHost:
        """A host with what earlier ones remembered."""
        return FakeHost(self.reactor, self.directory, self.values)

    async def start(self, adapter: Adapter[Any]) -> Running:
        """Run an adapter until it is connected."""
        host: Any = adapter.host
        before = len(host.details)
        running = Running(adapter)
        self.addCleanup(lambda: Deferred.fromCoroutine(running.stop()))
        ended = Deferred.fromCoroutine(running.ended())
        ended.addCallback(lambda _: host.changed())
        await host.until(lambda: len(host.details) > before or running.over)
        if running.over:
            raise running.problem or AssertionError("it ended at once")
        return running

    async def fails(self, work: Awaitable[Any], kind: type[Exception]) -> Any:
        """The exception that work raises."""
        with self.assertRaises(kind) as caught:
            await work
        return caught.exception

    def part(self, key: int | str, text: str = "", **more: Any) -> Part:
        return Part(key=f"{key:0>32}", text=text, **more)

    def target(self, chat: str, channel: str = "signal") -> Target:
        return Target(channel=channel, account="default", chat=chat)
