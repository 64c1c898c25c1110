"""The outbox: what is to be sent is stored, then sent, each part once.

A message is queued in a transaction (`put`), often one that ends a run or answers a request; from
then on it is delivered whatever is killed in between. Each account has a `Courier`. The messages of
one chat go one after the other; a few chats at a time, each in its turn. A message is cut into
parts at its first attempt, and stays cut that way.

Before a part is handed to the provider that is written down (`trying`); afterwards what came of it.
So a crash, or a connection lost at the wrong moment, leaves a part whose outcome is unknown:

- where the provider recognises our id of the part, it is simply sent again;
- where the provider can be asked, it is asked, and sent again only if it is not there;
- else, and where even the provider cannot tell, it is sent again, for a message that is lost is
  worse than one that comes twice. Such attempts are counted (`doubled`), for they are the only
  doubles there can be; after `MOST_DOUBTS` of them the part is taken as failed, so that no fault
  makes a person's phone ring for ever.

What the provider certainly did not take is tried again, with the provider's own waiting time or a
growing one; for so many days. What the provider refuses fails at once, and so does what cannot be
cut; the chat goes on.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import msgspec
from twisted.internet.defer import CancelledError, Deferred, DeferredList, TimeoutError
from twisted.internet.task import deferLater
from twisted.logger import Logger

from clawgw.channels.adapter import (
    Adapter,
    SendError,
    SendLater,
    SendRefused,
    SendUnknown,
    Unsupported,
    clause,
)
from clawgw.channels.messages import Outbound, Part, Target
from clawgw.channels.split import split
from clawgw.store import outbox as table
from clawgw.store.database import Connection, Database, StoreError
from clawgw.store.outbox import NewOutboxRow, OutboxRow

MOST_CHATS = 8
SEND_SECONDS = 180.0
CANCEL_SECONDS = 5.0
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0
LONGEST_ASKED = 3600.0
TOO_OLD_MS = 3 * 24 * 3600 * 1000
STORE_PAUSE = 2.0
MOST_DOUBTS = 4
MOST_CHARS_ON_REACTOR = 1000

_parts_in = msgspec.json.Decoder(tuple[Part, ...]).decode
_encode = msgspec.json.Encoder().encode
_body = msgspec.json.Decoder(Outbound).decode
_ids = msgspec.json.Decoder(list[str]).decode


class Delivery(NamedTuple):
    """How a message is doing. `ids`: what the provider calls its parts."""

    state: str
    ids: tuple[str, ...]
    error: str | None

    @property
    def over(self) -> bool:
        """Whether it was delivered or has failed."""
        return self.state in ("delivered", "failed")


def put(connection: Connection, key: str, target: Target, message: Outbound, now_ms: int) -> int:
    """Inside a write: queue a message, once per key; returns its number, for `Courier.take`."""
    row = NewOutboxRow(
        key, target.channel, target.account, target.chat, target.thread, _encode(message)
    )
    return table.put(connection, row, now_ms)


def delivery_of(connection: Connection, seq: int) -> Delivery | None:
    """How a message is doing; None if it is no longer known."""
    row = table.get(connection, seq)
    return None if row is None else Delivery(row.state, tuple(_ids(row.ids)), row.error)


def part_key(key: str, number: int) -> str:
    """The name of a part: the same whenever the message is cut."""
    return hashlib.sha256(f"{key}\x00{number}".encode()).hexdigest()[:32]


@dataclass
class _Shipment:
    """One message on its way, as far as it has come.

    `unknown`: the part that is next has been handed over before, with an unknown outcome.
    """

    row: OutboxRow
    target: Target
    parts: tuple[Part, ...]
    ids: list[str]
    done: int
    doubts: int
    doubled: int
    unknown: bool
    tried_at: int

    @property
    def part(self) -> Part:
        """What is next."""
        return self.parts[self.done]


class Courier:
    """Delivers the messages of one account.

    Args:
        reactor: for pauses and time limits.
        adapter: what sends.
        on_sent: told None after every delivery, and the reason after every failure.
        now_ms: the time, in milliseconds since the epoch.

    Attributes:
        doubles: how many parts may have arrived twice since the start.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        database: Database,
        adapter: Adapter[Any],
        on_sent: Callable[[str | None], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._reactor = reactor
        self._database = database
        self._adapter = adapter
        self._on_sent = on_sent
        self._now_ms = now_ms
        self._name = f"{adapter.channel} ({adapter.account})"
        self._chats: dict[str, deque[int]] = {}
        self._ready: deque[str] = deque()
        self._busy: dict[str, Deferred[Any]] = {}
        self._known: set[int] = set()
        self._watchers: dict[int, list[Deferred[None]]] = {}
        self._tries: dict[str, int] = {}
        self._paused_until = 0.0
        self._wake: Any = None
        self._resting: dict[str, Any] = {}
        self.doubles = 0
        self._open = False
        self._stopping = False
        self._going_on = False

    # What is to be delivered

    def recover(self) -> None:
        """Take up what is in the store."""
        adapter = self._adapter
        for seq, chat in self._database.read(table.waiting, adapter.channel, adapter.account):
            self.take(seq, chat)

    def take(self, seq: int, chat: str) -> None:
        """A message was queued."""
        if seq in self._known or self._stopping:
            return
        self._known.add(seq)
        if chat in self._chats:
            self._chats[chat].append(seq)
        else:
            self._chats[chat] = deque([seq])
            self._make_ready(chat)

    def over(self, seq: int) -> Deferred[None]:
        """Fires when a message that was taken is delivered or has failed, or the courier stops."""
        waiting: Deferred[None] = Deferred()
        self._watchers.setdefault(seq, []).append(waiting)
        return waiting

    def open(self, is_open: bool) -> None:
        """Whether there is any use in sending now."""
        self._open = is_open
        self._go_on()

    async def stop(self, seconds: float) -> None:
        """Begin nothing more, and give what is being sent so many seconds.

        Of a message of several parts only the one that is being sent: the next start has the rest.
        """
        self._stopping = True
        self._cancel_timers()
        busy = list(self._busy.values())
        if busy:
            timer = self._reactor.callLater(seconds, _cancel, busy)
            over = DeferredList([_follow(work) for work in busy], consumeErrors=True)
            await over.addTimeout(seconds + CANCEL_SECONDS, self._reactor)
            if timer.active():
                timer.cancel()
        for seq in list(self._watchers):
            self._tell(seq)

    # Which chat is next

    def _make_ready(self, chat: str) -> None:
        self._ready.append(chat)
        self._go_on()

    def _go_on(self) -> None:
        if self._going_on:  # what we have begun ended at once; the loop sees it
            return
        self._going_on = True
        while self._ready and len(self._busy) < MOST_CHATS and self._may_send():
            pause = self._paused_until - self._reactor.seconds()
            if pause > 0:
                self._wait(pause)
                break
            chat = self._ready.popleft()
            work: Deferred[Any] = Deferred.fromCoroutine(self._serve(chat))
            self._busy[chat] = work
            work.addErrback(self._trouble, chat)
            work.addCallback(self._served, chat)
        self._going_on = False

    def _may_send(self) -> bool:
        return self._open and not self._stopping

    def _wait(self, pause: float) -> None:
        """Go on after the account's pause, with one timer for however much waits."""
        if self._wake is None or not self._wake.active():
            self._wake = self._reactor.callLater(pause, self._go_on)

    def _cancel_timers(self) -> None:
        resting, self._resting = self._resting, {}
        for timer in (self._wake, *resting.values()):
            if timer is not None and timer.active():
                timer.cancel()

    def _trouble(self, failure: Any, chat: str) -> float:
        if failure.check(CancelledError) is not None:
            return STORE_PAUSE
        self.log.failure("{name}: while sending", failure, name=self._name)
        return self._pause(chat, None)

    def _served(self, pause: float | None, chat: str) -> None:
        self._busy.pop(chat, None)
        if not self._chats.get(chat):
            self._chats.pop(chat, None)
        elif pause is None:
            self._make_ready(chat)
        elif not self._stopping:
            self._resting[chat] = self._reactor.callLater(pause, self._rested, chat)
        self._go_on()

    def _rested(self, chat: str) -> None:
        del self._resting[chat]
        self._make_ready(chat)

    async def _serve(self, chat: str) -> float | None:
        """Deliver the next message of a chat; returns for how long the chat has to wait."""
        queue = self._chats[chat]
        try:
            pause = await self._deliver(queue[0])
        except StoreError as problem:
            self.log.warn("{why}; sending will go on", why=str(problem))
            pause = STORE_PAUSE
        if pause is None:
            self._tries.pop(chat, None)
            seq = queue.popleft()
            self._known.discard(seq)
            self._tell(seq)
        return pause

    def _tell(self, seq: int) -> None:
        for waiting in self._watchers.pop(seq, ()):
            waiting.callback(None)

    # One message

    async def _deliver(self, seq: int) -> float | None:
        """Bring a message to its end; returns the pause after which it has to be gone on with."""
        row = self._database.read(table.get, seq)
        if row is None or row.state in ("delivered", "failed"):
            return None
        try:
            shipment = await self._shipment(row)
            while shipment.done < len(shipment.parts):
                if not self._may_send():
                    return 0.0
                await self._step(shipment)
            return None
        except (SendRefused, Unsupported) as problem:
            await self._fail(row, str(problem))
            return None
        except SendLater as problem:
            later = problem
        except SendUnknown as problem:
            later = SendLater(f"{clause(problem)}; nobody knows whether it arrived")
        if self._now_ms() - row.created_at < TOO_OLD_MS:
            return self._pause(row.chat, later)
        await self._fail(row, f"given up after three days: {later}")
        return None

    async def _shipment(self, row: OutboxRow) -> _Shipment:
        parts = await self._parts(row)
        target = Target(
            channel=row.channel,
            account=row.account,
            chat=await self._limited(self._adapter.reach(row.chat)),
            thread=row.thread,
        )
        return _Shipment(
            row, target, parts, _ids(row.ids), row.done, row.doubts, row.doubled,
            unknown=row.state == "trying", tried_at=row.tried_at or row.created_at,
        )  # fmt: skip

    async def _parts(self, row: OutboxRow) -> tuple[Part, ...]:
        """The parts of a message, as they were cut once and for all.

        Raises:
            SendRefused: there are none.
        """
        try:
            if row.parts is not None:
                return _parts_in(row.parts)
            keys = lambda number: part_key(row.key, number)  # noqa: E731
            parts = await self._split(_body(row.body or b"{}"), keys)
        except (SendRefused, CancelledError):
            raise
        except Exception as problem:  # noqa: BLE001 - it would be the same the next time
            self.log.failure("{name}: message {seq}", name=self._name, seq=row.seq)
            raise SendRefused(f"it could not be cut: {type(problem).__name__}") from None
        if not parts:
            raise SendRefused("there is nothing to send")
        await self._database.write(table.update, row.seq, parts=_encode(parts))
        return parts

    async def _split(self, message: Outbound, key: Callable[[int], str]) -> tuple[Part, ...]:
        """The parts of a message; a long text is cut in a thread."""
        adapter = self._adapter
        what = (message, adapter.capabilities, adapter.settings, key)
        if len(message.text) <= MOST_CHARS_ON_REACTOR:
            return split(*what)
        return cast("tuple[Part, ...]", await adapter.host.in_thread(split, *what))

    async def _step(self, shipment: _Shipment) -> None:
        """Deliver the next part.

        Raises:
            SendLater, SendRefused, SendUnknown
        """
        message_id = await self._earlier(shipment) if shipment.unknown else None
        if message_id is None:
            await self._update(
                shipment, state="trying", doubts=shipment.doubts, doubled=shipment.doubled,
                tried_at=self._now_ms(),
            )  # fmt: skip
            try:
                message_id = await self._limited(self._adapter.send(shipment.target, shipment.part))
            except SendLater:
                await self._update(shipment, state="queued")
                raise
        await self._arrived(shipment, message_id)

    async def _earlier(self, shipment: _Shipment) -> str | None:
        """What became of an attempt whose outcome is unknown: its id, or None to send again.

        Raises:
            SendRefused: it must not be sent again.
            SendLater: it cannot be found out now.
        """
        can = self._adapter.capabilities
        age = (self._now_ms() - shipment.tried_at) / 1000
        if can.client_ids and (not can.client_ids_seconds or age < can.client_ids_seconds):
            return None
        if can.finds:
            try:
                return await self._limited(self._adapter.find(shipment.target, shipment.part))
            except Unsupported:
                pass  # of this part, nobody can tell
        if shipment.doubts >= MOST_DOUBTS:
            raise SendRefused(
                f"it was sent {MOST_DOUBTS + 1} times, and nobody can tell whether it arrived"
            )
        shipment.doubts += 1
        shipment.doubled += 1
        self.doubles += 1
        self.log.warn(
            "{name}: message {seq} is sent again; it may arrive twice",
            name=self._name, seq=shipment.row.seq,
        )  # fmt: skip
        return None

    async def _arrived(self, shipment: _Shipment, message_id: str) -> None:
        shipment.done += 1
        shipment.doubts = 0
        shipment.unknown = False
        shipment.ids.append(message_id)
        over: dict[str, Any] = {"state": "queued"}
        if shipment.done == len(shipment.parts):
            over = {
                "state": "delivered", "body": None, "parts": None, "ended_at": self._now_ms(),
            }  # fmt: skip
        over |= {"done": shipment.done, "doubts": 0, "ids": _encode(shipment.ids).decode()}
        await self._noted(shipment, over)
        self._on_sent(None)

    async def _noted(self, shipment: _Shipment, columns: dict[str, Any]) -> None:
        """Write down what has arrived: forgotten, it would be sent again.

        Also when it is stopped meanwhile: the account's next courier has to find it.
        """
        try:
            await self._written(shipment, columns)
        except CancelledError:
            await self._update(shipment, **columns)

    async def _written(self, shipment: _Shipment, columns: dict[str, Any]) -> None:
        """Write until it stands."""
        while True:
            try:
                return await self._update(shipment, **columns)
            except StoreError as problem:
                self.log.warn("{why}; what was sent will be noted again", why=str(problem))
                await deferLater(self._reactor, STORE_PAUSE)

    async def _fail(self, row: OutboxRow, why: str) -> None:
        now = self._now_ms()
        await self._database.write(
            table.update, row.seq, state="failed", error=why, body=None, parts=None, ended_at=now
        )
        self.log.warn(
            "{name}: message {seq} was not delivered: {why}",
            name=self._name, seq=row.seq, why=why,
        )  # fmt: skip
        self._on_sent(why)

    async def _update(self, shipment: _Shipment, **columns: Any) -> None:
        await self._database.write(table.update, shipment.row.seq, **columns)

    async def _limited(self, work: Any) -> str:
        """What the adapter answers; whatever it does not know to say is `SendUnknown`.

        Raises:
            SendError
        """
        answer = Deferred.fromCoroutine(work)
        answer.addTimeout(SEND_SECONDS, self._reactor)
        try:
            return cast(str, await answer)
        except (SendError, Unsupported, CancelledError):
            raise
        except TimeoutError:
            raise SendUnknown("no answer in time") from None
        except Exception as problem:  # noqa: BLE001 - an adapter's mistake is not the courier's
            self.log.failure("{name}: while sending", name=self._name)
            raise SendUnknown(f"the adapter failed: {type(problem).__name__}") from None

    def _pause(self, chat: str, problem: SendLater | None) -> float:
        tries = self._tries[chat] = self._tries.get(chat, 0) + 1
        pause: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(tries - 1, 20))
        if problem is not None:
            if problem.retry_after is not None:
                pause = min(max(0.0, problem.retry_after), LONGEST_ASKED)
            if problem.account_wide:
                self._paused_until = self._reactor.seconds() + pause
            self.log.info(
                "{name}: sending has to wait {pause:.1f} s: {why}",
                name=self._name, pause=pause, why=str(problem),
            )  # fmt: skip
        return pause


def _cancel(works: list[Deferred[Any]]) -> None:
    for work in works:
        work.cancel()


def _follow(work: Deferred[Any]) -> Deferred[None]:
    """Fires when `work` does, and leaves it alone."""
    done: Deferred[None] = Deferred()

    def pass_on(result: Any) -> Any:
        done.callback(None)
        return result

    work.addBoth(pass_on)
    return done
