"""A file on its way to a browser: read in a thread, a piece at a time, no faster than it is taken.

The reactor never waits for the disk, and a slow reader costs one piece of memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

PIECE = 64 * 1024


@implementer(IPushProducer)
class FileSender:
    """Sends a part of a file.

    Args:
        request: where it goes; it has its headers.
        descriptor: the file; closed at the end, whatever the end is.
        start: the first byte.
        length: how many.
        in_thread: runs a function in the thread pool.
    """

    def __init__(
        self,
        request: Any,
        descriptor: int,
        start: int,
        length: int,
        in_thread: Callable[..., Deferred[Any]],
    ) -> None:
        self._request = request
        self._descriptor = descriptor
        self._at = start
        self._left = length
        self._in_thread = in_thread
        self._paused = False
        self._gone = request.gone
        self._resumed: Deferred[None] | None = None

    async def send(self) -> None:
        """Send it; returns when all is written, or nobody wants it any more."""
        request = self._request
        if not self._gone:
            request.notifyFinish().addErrback(lambda _: self.stopProducing())
            request.registerProducer(self, True)
        try:
            while self._left > 0 and not self._gone:
                piece = await self._in_thread(
                    os.pread, self._descriptor, min(PIECE, self._left), self._at
                )
                if self._gone:
                    break
                if not piece:  # it became shorter meanwhile: the length said so is wrong now
                    request.unregisterProducer()
                    request.channel.forceAbortClient()
                    return
                self._at += len(piece)
                self._left -= len(piece)
                request.write(piece)
                await self._until_wanted()
        finally:
            await self._in_thread(os.close, self._descriptor)
        if not self._gone:
            request.unregisterProducer()
            request.finish()

    async def _until_wanted(self) -> None:
        while self._paused and not self._gone:
            self._resumed = Deferred()
            await self._resumed

    def pauseProducing(self) -> None:
        """The transport has enough for now."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The transport wants more."""
        self._paused = False
        self._wake()

    def stopProducing(self) -> None:
        """Nobody wants the rest."""
        self._gone = True
        self._wake()

    def _wake(self) -> None:
        resumed, self._resumed = self._resumed, None
        if resumed is not None:
            resumed.callback(None)
