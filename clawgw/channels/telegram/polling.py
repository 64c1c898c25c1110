"""Receiving by asking: `getUpdates`, each time from the first update that is not stored yet.

An offset confirms everything before it at Telegram, which then forgets it. It is advanced only over
updates that are stored, and kept with them in the store, so that a crash at any moment loses and
doubles nothing (core.telegram.org/bots/api, "getUpdates").
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from twisted.internet.task import deferLater
from twisted.logger import Logger

from clawgw.channels.telegram.api import BotApi
from clawgw.channels.telegram.updates import Update, read_update

POLL_SECONDS = 30
ANSWER_SECONDS = 15.0
MOST_UPDATES = 100
ALBUM_SECONDS = 0.6
"""How long the rest of an album may take; more than half a second, before which Telegram answers
the same offset with one update only."""

IDLE_SECONDS = 1.0
"""A server that does not wait for updates is not asked more often."""

Numbered = tuple[Update, msgspec.Raw]
Store = Callable[[Sequence[Numbered], int], Awaitable[None]]


class Poller:
    """Asks for updates.

    Args:
        offset: the first update to ask for; 0: the oldest there is.
        allowed: the kinds of updates wanted.
        store: stores updates and the next offset; when it returns they are safe.
        log: for updates that cannot be read.
    """

    def __init__(
        self,
        reactor: Any,
        api: BotApi,
        offset: int,
        allowed: Sequence[str],
        store: Store,
        log: Logger,
    ) -> None:
        self._reactor = reactor
        self._api = api
        self._offset = offset
        self._allowed = tuple(allowed)
        self._store = store
        self._log = log

    async def run(self, connected: Callable[[], None]) -> None:
        """Ask and store, for ever.

        Args:
            connected: told when Telegram has answered for the first time.

        Raises:
            BotError, HttpError: Telegram refused, or was not there.
            StoreError: the updates could not be stored.
        """
        found = await self._ask(0)
        connected()
        while True:
            if found and _may_go_on(found[-1]):
                found = await self._whole_album(found)
            if found:
                await self._keep(found)
            asked_at = self._reactor.seconds()
            found = await self._ask(POLL_SECONDS)
            if not found and self._reactor.seconds() - asked_at < IDLE_SECONDS:
                await deferLater(self._reactor, IDLE_SECONDS)

    async def _keep(self, found: Sequence[Numbered]) -> None:
        offset = max(update.update_id for update, _raw in found) + 1
        await self._store(found, offset)
        self._offset = offset

    async def _whole_album(self, found: list[Numbered]) -> list[Numbered]:
        """The same updates and what has come since; an album arrives in several."""
        await deferLater(self._reactor, ALBUM_SECONDS)
        return await self._ask(0) or found

    async def _ask(self, seconds: int) -> list[Numbered]:
        answer = await self._api.call(
            "getUpdates",
            {
                "offset": self._offset,
                "limit": MOST_UPDATES,
                "timeout": seconds,
                "allowed_updates": self._allowed,
            },
            list[msgspec.Raw],
            seconds=seconds + ANSWER_SECONDS,
        )
        found = []
        for raw in answer:
            update = read_update(raw)
            if update is None:
                self._log.warn("Telegram sent an update that cannot be read; it is skipped")
            else:
                found.append((update, raw))
        return found


def _may_go_on(last: Numbered) -> bool:
    message = last[0].message
    return message is not None and message.media_group_id is not None
