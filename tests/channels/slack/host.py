"""The adapter's surroundings in tests: keeps what it is given, and can be slow or broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from clawgw.channels.messages import Inbound, Press
from clawgw.store.database import StoreError


class RecordingHost:
    """A `Host` that stores in memory, as the inbox does: each message id once."""

    def __init__(self, reactor: Any, directory: Path, environ: Mapping[str, str]) -> None:
        self.reactor = reactor
        self.directory = directory
        self.environ = environ
        self.log = Logger()
        self.messages: dict[str, Inbound] = {}
        self.batches: list[int] = []
        self.stored: dict[str, str] = {}
        self.presses: list[Press] = []
        self.warnings: list[str] = []
        self.details: list[dict[str, str]] = []
        self.broken = False
        self.press_fails: Exception | None = None
        self.before_storing: Callable[[], Deferred[None]] | None = None

    def in_thread(self, function: Any, *args: Any, **kwargs: Any) -> Deferred[Any]:
        pool = self.reactor.getThreadPool()
        return deferToThreadPool(self.reactor, pool, function, *args, **kwargs)

    async def received(
        self, messages: Sequence[Inbound], cursor: Mapping[str, str | None] | None = None
    ) -> None:
        if self.broken:
            raise StoreError("the disk is full")
        if self.before_storing is not None:
            await self.before_storing()
        self.batches.append(len(messages))
        for message in messages:
            self.messages.setdefault(message.message_id, message)
        await self.remember(cursor or {})

    async def cursor(self) -> dict[str, str]:
        return dict(self.stored)

    async def remember(self, cursor: Mapping[str, str | None]) -> None:
        for key, value in cursor.items():
            if value is None:
                self.stored.pop(key, None)
            else:
                self.stored[key] = value

    async def pressed(self, press: Press) -> str:
        self.presses.append(press)
        if self.press_fails is not None:
            raise self.press_fails
        return "Allowed once."

    def connected(self, **details: str) -> None:
        self.details.append(details)

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    @property
    def texts(self) -> list[str]:
        """What was said, in the order it was stored."""
        return [message.text for message in self.messages.values()]
