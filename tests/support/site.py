"""An HTTP server that knows its connections, and when each has ended."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Request, Site


class WatchedSite(Site):
    """A site on loopback.

    Attributes:
        connections: all it was given, also those that have ended.
    """

    noisy = False

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource)
        self.connections: list[HTTPChannel] = []
        self._ends: list[Deferred[None]] = []

    def log(self, request: Request) -> None:
        """The server's own log would hold what ours must not."""

    def buildProtocol(self, addr: Any) -> Any:
        channel: Any = super().buildProtocol(addr)
        self.connections.append(channel)
        lost, end = channel.connectionLost, Deferred()
        self._ends.append(end)

        def connectionLost(reason: Failure) -> None:
            lost(reason)
            end.callback(None)

        channel.connectionLost = connectionLost
        return channel

    async def ended(self) -> None:
        """Wait until the server has noticed the end of every connection, and its timers are off."""
        for end in self._ends:
            await end

    async def cut(self) -> None:
        """End every connection."""
        for channel, end in zip(self.connections, self._ends, strict=True):
            if not end.called:
                channel.transport.abortConnection()
        await self.ended()
