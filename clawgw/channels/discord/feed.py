"""From events to the store, in order: what came is stored before the next is said to be known.

Events are read one after the other (reading may fetch something from Discord), and what they bring
is handed over in batches: while one is being stored, the next gathers. With each goes how far the
session has been stored, so that a resume replays what was not, however it was lost. An event that
cannot be read for a reason nobody thought of is logged and skipped: replayed, it would stop
everything again. Discord is read no further when too much waits here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from clawgw.channels.adapter import Host
from clawgw.channels.discord.api import Refused, Throttled
from clawgw.channels.discord.protocol import Frame, Session
from clawgw.channels.http import HttpError
from clawgw.channels.messages import Inbound
from clawgw.store.database import StoreError

BATCH = 50
FULL, EMPTY = 2_000, 500
SPARSE = 200
"""So many events without a message, and how far they go is stored by itself."""


_MENDS_ITSELF = (StoreError, CancelledError, HttpError, Refused, Throttled)


class Feed:
    """The events of one connection.

    Args:
        read: gives what an event brings.
        session: what was resumed, None where a session begins.
        on_trouble: told when nothing more can be stored; the connection has to end.
        pause, resume: read no further, read on.
    """

    log = Logger()

    def __init__(
        self,
        host: Host,
        read: Callable[[Frame], AsyncIterator[Inbound]],
        session: Session | None,
        on_trouble: Callable[[Failure], None],
        pause: Callable[[], None],
        resume: Callable[[], None],
    ) -> None:
        self._host = host
        self._read = read
        self._session = session
        self._on_trouble = on_trouble
        self._pause = pause
        self._resume = resume
        self._queue: deque[Frame] = deque()
        self._batch: list[Inbound] = []
        self._cursor: dict[str, str | None] = {}
        self._stored_seq = session.seq if session else 0
        self._work: Deferred[None] | None = None
        self._working = self._paused = self._broken = False

    def put(self, frame: Frame) -> None:
        """An event came."""
        if self._broken:
            return
        self._queue.append(frame)
        if len(self._queue) >= FULL and not self._paused:
            self._paused = True
            self._pause()
        if not self._working:
            self._working = True
            self._work = Deferred.fromCoroutine(self._go())
            self._work.addErrback(self._trouble)

    def began(self, session: Session) -> None:
        """While its READY is read: this is the session now; that has been stored."""
        self._session = session
        self._stored_seq = session.seq

    def note(self, name: str, value: str | None) -> None:
        """Store a value of the cursor with what comes next."""
        self._cursor[name] = value

    async def flush(self) -> None:
        """Hand over what was gathered, and how far that is; returns when it is stored."""
        session = self._session
        moved = session is not None and session.seq - self._stored_seq >= SPARSE
        if not self._batch and not self._cursor and not moved:
            return
        batch, self._batch = self._batch, []
        cursor, self._cursor = {**self._cursor, **_marks(batch)}, {}
        if session is not None:
            cursor["session"] = msgspec.json.encode(session).decode()
            self._stored_seq = session.seq
        await self._host.received(batch, cursor)

    async def drain(self) -> None:
        """Wait until all that came is stored."""
        if self._work is not None:
            await _end_of(self._work)

    async def stop(self) -> None:
        """Read no more; what is being stored may be finished or not."""
        self._broken = True
        self._queue.clear()
        if self._work is not None:
            self._work.cancel()
            await _end_of(self._work)

    async def _go(self) -> None:
        try:
            while self._queue:
                frame = self._queue.popleft()
                await self._take(frame)
                if frame.s is not None and self._session is not None:
                    self._session = replace(self._session, seq=frame.s)
                if not self._queue or len(self._batch) >= BATCH:
                    await self.flush()
                if self._paused and len(self._queue) <= EMPTY:
                    self._paused = False
                    self._resume()
        finally:
            self._working = False

    async def _take(self, frame: Frame) -> None:
        try:
            async for inbound in self._read(frame):
                self._batch.append(inbound)
                if len(self._batch) >= BATCH:
                    await self.flush()
        except _MENDS_ITSELF:
            raise
        except Exception:  # noqa: BLE001 - one event must not stop all that follow
            self.log.failure("an event ({event}) could not be read; skipped", event=frame.t)

    def _trouble(self, failure: Failure) -> None:
        if self._broken and failure.check(CancelledError):
            return
        self._broken = True
        self._queue.clear()
        self._on_trouble(failure)


def load_session(cursor: dict[str, str]) -> Session | None:
    """The session that was stored, if there is one."""
    try:
        return msgspec.json.decode(cursor.get("session", ""), type=Session)
    except msgspec.DecodeError:
        return None


def _marks(batch: list[Inbound]) -> dict[str, str]:
    """How far a batch goes: in all, and in each direct conversation."""
    ids = [int(one.message_id) for one in batch if one.message_id.isdecimal()]
    marks = {"last": str(max(ids))} if ids else {}
    for one in batch:
        if one.chat.kind == "direct" and one.message_id.isdecimal():
            marks[f"dm:{one.chat.id}"] = one.message_id
    return marks


def _end_of(work: Deferred[None]) -> Deferred[None]:
    done: Deferred[None] = Deferred()

    def over(result: object) -> object:
        done.callback(None)
        return result

    work.addBoth(over)
    return done
