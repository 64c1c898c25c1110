"""Bodies on their way through a socket: files and answers, in pieces, within a limit.

The reactor touches no file here: opening, reading, writing and renaming happen in its thread pool.
A file that is being received has a name of its own beside its place and is readable by its owner
only; it takes its place when it is complete and on disk.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IConsumer
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

__all__ = ["BodyReader", "FileBody", "InThread", "IncomingFile", "Sink", "TooMuch", "in_threads"]

_PIECE = 256 * 1024
"""Bytes read from or written to a file at a time."""

InThread = Callable[..., Deferred[Any]]
"""Calls a function in the thread pool."""


def in_threads(reactor: Any) -> InThread:
    """The thread pool of a reactor, as a function."""

    def in_thread(function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), function, *args)

    return in_thread


class TooMuch(Exception):
    """More came than was allowed."""


class Sink(Protocol):
    """Where a body goes."""

    def write(self, data: bytes) -> Deferred[Any] | None:
        """Take a piece; no more is read until the Deferred has fired."""


class BodyReader(TwistedProtocol):
    """Takes an HTTP body to a sink; ``finished`` fires at its end.

    It fails with ``TooMuch``, with what the sink failed with, or with Twisted's ``ResponseFailed``.
    """

    def __init__(self, sink: Sink, max_bytes: int) -> None:
        self._sink = sink
        self._max_bytes = max_bytes
        self.size = 0
        self.finished: Deferred[None] = Deferred(lambda _: self._hang_up())

    def dataReceived(self, data: bytes) -> None:
        if self.finished.called:
            return
        self.size += len(data)
        if self.size > self._max_bytes:
            self._fail(Failure(TooMuch()))
            return
        written = self._sink.write(data)
        if written is not None:
            self._pause()
            written.addCallbacks(self._resume, self._fail)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.finished.called:
            return
        # Without a length in the headers the end of the connection is the end of the body.
        if reason.check(ResponseDone, PotentialDataLoss):
            self.finished.callback(None)
        else:
            self.finished.errback(reason)

    def _fail(self, reason: Failure) -> None:
        self._hang_up()
        if not self.finished.called:
            self.finished.errback(reason)

    def _hang_up(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()

    def _pause(self) -> None:
        transport: Any = self.transport
        transport.pauseProducing()

    def _resume(self, _: Any) -> None:
        transport: Any = self.transport
        transport.resumeProducing()


class IncomingFile:
    """A sink that becomes the file at ``path`` when it is kept; else nothing is left of it."""

    def __init__(self, in_thread: InThread, path: Path) -> None:
        self._in_thread = in_thread
        self._path = path
        self._partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        self._file: BinaryIO | None = None
        self._buffer = bytearray()
        self._in_order = DeferredLock()

    async def open(self) -> None:
        """Make the file; raises ``OSError``."""
        await self._in_thread(self._open)

    def write(self, data: bytes) -> Deferred[Any] | None:
        self._buffer += data
        return None if len(self._buffer) < _PIECE else self._flush()

    async def keep(self) -> None:
        """Put the complete file in its place, on disk; raises ``OSError``."""
        await self._flush()
        await self._in_order.run(self._in_thread, self._keep)

    async def discard(self) -> None:
        """Leave nothing behind."""
        await self._in_order.run(self._in_thread, self._discard)

    def _flush(self) -> Deferred[Any]:
        data, self._buffer = bytes(self._buffer), bytearray()
        return self._in_order.run(self._in_thread, self._write, data)

    # In a thread, one at a time.

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.fdopen(os.open(self._partial, flags, 0o600), "wb")

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        self._file.write(data)

    def _keep(self) -> None:
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._partial.replace(self._path)

    def _discard(self) -> None:
        try:
            if self._file is not None:
                self._file.close()
        finally:
            self._partial.unlink(missing_ok=True)


@implementer(IBodyProducer)
class FileBody:
    """The first ``length`` bytes of a file, as a request's body or a part of one.

    Use ``FileBody.open``. The file is closed when all is sent or nobody wants more of it, which can
    be after the answer has come; one that was never sent is closed by ``drop``.
    """

    def __init__(self, in_thread: InThread, file: BinaryIO, length: int) -> None:
        self.length = length
        self._in_thread = in_thread
        self._file = file
        self._started = self._stopped = False
        self._go_on: Deferred[None] | None = None

    @classmethod
    async def open(cls, in_thread: InThread, path: Path) -> FileBody:
        """Open a file for sending; raises ``OSError``."""

        def opened() -> tuple[BinaryIO, int]:
            file = path.open("rb")
            return file, os.fstat(file.fileno()).st_size

        return cls(in_thread, *await in_thread(opened))

    async def drop(self) -> None:
        """The request is over; close the file unless it is still on its way."""
        if not self._started:
            await self._close()

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        self._started = True

        def closed(result: Any) -> Deferred[Any]:
            return self._close().addCallback(lambda _: result)

        return Deferred.fromCoroutine(self._copy(consumer)).addBoth(closed)

    def _close(self) -> Deferred[Any]:
        return self._in_thread(self._file.close)

    async def _copy(self, consumer: IConsumer) -> None:
        left = self.length
        while left:
            try:
                data = await self._in_thread(self._file.read, min(left, _PIECE))
            finally:
                await self._wanted()
            if not data:
                raise EOFError("the file became shorter while it was being sent")
            left -= len(data)
            consumer.write(data)
            # Who pauses us at the last piece will resume us, and not our successor.
            await self._wanted()

    async def _wanted(self) -> None:
        """Wait while paused; once stopped, for ever: Twisted wants to hear nothing of us then."""
        if self._go_on is not None:
            await self._go_on
        if self._stopped:
            await self._close()
            await Deferred()

    def pauseProducing(self) -> None:
        if self._go_on is None:
            self._go_on = Deferred()

    def resumeProducing(self) -> None:
        go_on, self._go_on = self._go_on, None
        if go_on is not None:
            go_on.callback(None)

    def stopProducing(self) -> None:
        self._stopped = True
        self.resumeProducing()
