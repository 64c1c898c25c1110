"""From a link that tells one message at a time to a store that likes many at once.

What a link tells is put here in its order; one batch is stored while the next one gathers. When
more waits than can be stored soon, the link is held up. Where to go on is stored with the messages.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice

from twisted.internet.defer import Deferred

from clawgw.channels.messages import Inbound

BATCH = 500
MOST_WAITING = 2000

Cursor = Mapping[str, str | None]
Store = Callable[[Sequence[Inbound], Cursor | None], Awaitable[None]]


class Intake:
    """Stores what is put into it.

    Args:
        store: `Host.received`.
        hold: told True when nothing more should be put in for now, False when it may again.
    """

    def __init__(self, store: Store, hold: Callable[[bool], None]) -> None:
        self._store = store
        self._hold = hold
        self._waiting: deque[tuple[Inbound | None, Cursor | None]] = deque()
        self._something: Deferred[None] | None = None
        self._holding = False
        self._over = False

    def put(self, message: Inbound | None, cursor: Cursor | None = None) -> None:
        """Something was heard: a message, or nothing but where to go on."""
        self._waiting.append((message, cursor))
        if len(self._waiting) > MOST_WAITING and not self._holding:
            self._holding = True
            self._hold(True)
        self._wake()

    def finish(self) -> None:
        """Nothing more will be put in: `run` returns when what is there has been stored."""
        self._over = True
        self._wake()

    async def run(self) -> None:
        """Store what is put in, until `finish`, or until cancelled; what is left then stays.

        Raises:
            StoreError: it could not be stored.
        """
        while self._waiting or not self._over:
            if self._waiting:
                await self._store_some()
            else:
                self._something = Deferred()
                await self._something

    def _wake(self) -> None:
        something, self._something = self._something, None
        if something is not None:
            something.callback(None)

    async def _store_some(self) -> None:
        batch = list(islice(self._waiting, BATCH))
        cursor = next((cursor for _, cursor in reversed(batch) if cursor is not None), None)
        messages = [message for message, _ in batch if message is not None]
        if messages or cursor is not None:
            await self._store(messages, cursor)
        for _ in batch:
            self._waiting.popleft()
        if self._holding and len(self._waiting) <= MOST_WAITING // 2:
            self._holding = False
            self._hold(False)
