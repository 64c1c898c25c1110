"""The inbox: what came in is stored, then routed, each once.

`receive` returns when the messages are on the disk, so that the adapter may acknowledge them. A
message that was there before is dropped. Then each is routed: in one transaction it is marked and
whatever follows from it is written, so that a crash leaves it either new or done with. After a
start the new ones are taken up again, before any adapter runs.

The messages of one chat are routed in the order they were stored (unless the store fails at one of
them). Usually that means at once; what takes time, such as a file that has to be fetched first,
holds up the rest of its chat, and nothing else.

When more wait to be routed than `MOST_WAITING`, receiving waits: the provider keeps the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from clawgw.channels.messages import Inbound
from clawgw.pump import Pump
from clawgw.shield import shielded
from clawgw.store import channels as channel_table
from clawgw.store import inbox as table
from clawgw.store.database import Connection, Database, StoreError
from clawgw.store.inbox import InboxRow, Received

MOST_WAITING = 5_000
AGAIN_SECONDS = 2.0

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Inbound).decode


class Incoming(Protocol):
    """What decides about a message that was stored."""

    def needs_time(self, row: InboxRow, message: Inbound) -> bool:
        """Whether the rest of its chat has to wait until it is prepared and routed."""

    async def prepare(self, row: InboxRow, message: Inbound) -> Inbound:
        """Fetch what has to be fetched; what cannot be is noted in the message."""

    def route(self, row: InboxRow, message: Inbound) -> Awaitable[None]:
        """Write what becomes of it. Unless it needs time, that is queued when this returns.

        Errors: `StoreError`: nothing was written, it has to be done again.
        """


class Inbox:
    """What came in through all accounts.

    Args:
        reactor: for pauses.
        database: where it is stored.
        now_ms: the time, in milliseconds since the epoch.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        database: Database,
        incoming: Incoming,
        now_ms: Callable[[], int],
    ) -> None:
        self._reactor = reactor
        self._database = database
        self._incoming = incoming
        self._now_ms = now_ms
        self._lanes: dict[tuple[str, str, str], deque[tuple[InboxRow, Inbound]]] = {}
        self._waiting = 0
        self._new: Pump[tuple[InboxRow, Inbound]] = Pump(reactor, self._take)
        self._blocked: list[Deferred[None]] = []
        self._stopping = False

    async def receive(
        self,
        channel: str,
        account: str,
        messages: Sequence[Inbound],
        cursor: Mapping[str, str | None] | None = None,
    ) -> int:
        """Store messages and where to go on; returns how many of them are new.

        Raises:
            StoreError: nothing was stored.
        """
        while self._waiting > MOST_WAITING and not self._stopping:
            drained: Deferred[None] = Deferred()
            self._blocked.append(drained)
            await drained
        received = [
            Received(message.message_id, chat_key(message), _encode(message))
            for message in messages
        ]
        by_id = {message.message_id: message for message in reversed(messages)}  # the first counts

        def change(connection: Connection) -> list[InboxRow]:
            rows = table.store(connection, channel, account, received, self._now_ms())
            channel_table.set_cursor(connection, channel, account, cursor or {})
            return rows

        def begin(rows: list[InboxRow]) -> int:
            self._begin([(row, by_id[row.message_id]) for row in rows])
            return len(rows)

        # Whoever waits may be cancelled meanwhile; what is on the disk then is routed all the same.
        return await shielded(self._database.write(change).addCallback(begin))

    async def recover(self) -> None:
        """Take up what a crash left new."""
        last = 0
        while rows := await self._database.read_in_thread(table.waiting, last, 500):
            last = rows[-1].seq
            self._begin([(row, _decode(row.body)) for row in rows])

    def stop(self) -> None:
        """Route nothing more; what is new stays so until the next start."""
        self._stopping = True
        self._new.clear()
        self._lanes.clear()
        self._unblock()

    # Routing

    def _begin(self, new: list[tuple[InboxRow, Inbound]]) -> None:
        if not self._stopping:
            self._waiting += len(new)
            self._new.add(new)

    def _take(self, new: tuple[InboxRow, Inbound]) -> None:
        row, message = new
        lane = (row.channel, row.account, row.chat)
        if lane in self._lanes:
            self._lanes[lane].append((row, message))
        elif self._needs_time(row, message):
            self._lanes[lane] = deque([(row, message)])
            self._run(self._drain(lane))
        else:
            self._run(self._route(row, message))

    def _run(self, work: Awaitable[None]) -> None:
        Deferred.fromCoroutine(work).addErrback(  # type: ignore[arg-type]
            lambda failure: self.log.failure("while routing a message", failure)
        )

    async def _drain(self, lane: tuple[str, str, str]) -> None:
        """Route the messages of a chat one after the other."""
        try:
            while queue := self._lanes.get(lane):
                row, message = queue.popleft()
                if self._needs_time(row, message):
                    message = await self._prepared(row, message)
                await self._route(row, message)
        finally:
            self._lanes.pop(lane, None)

    def _needs_time(self, row: InboxRow, message: Inbound) -> bool:
        try:
            return self._incoming.needs_time(row, message)
        except Exception:  # noqa: BLE001 - routing it will say what becomes of it
            return False

    async def _prepared(self, row: InboxRow, message: Inbound) -> Inbound:
        try:
            return await self._incoming.prepare(row, message)
        except Exception:  # noqa: BLE001 - it is routed as it came
            self.log.failure("message number {seq} could not be prepared", seq=row.seq)
            return message

    async def _route(self, row: InboxRow, message: Inbound) -> None:
        while not self._stopping:
            try:
                await self._incoming.route(row, message)
            except StoreError as problem:
                self.log.warn("{why}; routing will be tried again", why=str(problem))
                await deferLater(self._reactor, AGAIN_SECONDS)
                continue
            except Exception:  # noqa: BLE001 - one bad message must not hold up the others
                self.log.failure(
                    "{channel} ({account}): message number {seq} could not be routed",
                    channel=row.channel, account=row.account, seq=row.seq,
                )  # fmt: skip
                await self._give_up(row)
            break
        self._waiting -= 1
        if self._waiting <= MOST_WAITING // 2:
            self._unblock()

    async def _give_up(self, row: InboxRow) -> None:
        try:
            await self._database.write(table.settle, row.seq, "dropped", "could not be routed")
        except StoreError as problem:
            self.log.warn("{why}", why=str(problem))

    def _unblock(self) -> None:
        blocked, self._blocked = self._blocked, []
        for waiting in blocked:
            waiting.callback(None)


def chat_key(message: Inbound) -> str:
    """A chat and the thread in it, as one text."""
    chat = message.chat
    return f"{chat.id}\x1f{chat.thread}" if chat.thread else chat.id
