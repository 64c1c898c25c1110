"""Names are looked up without holding anything else up."""

from __future__ import annotations

import socket
from threading import Event
from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import DNSLookupError
from twisted.internet.protocol import Factory
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from clawgw.names import NameThreads


class Silent(TestCase):
    """A name server that does not answer."""

    timeout = 120

    def setUp(self) -> None:
        self.reactor: Any = the_reactor
        self.answers = Event()
        self.addCleanup(self.answers.set)

    def look_up(self, *_: Any) -> Any:
        self.answers.wait(60)
        raise socket.gaierror(-2, "Name or service not known")

    async def test_holds_up_nothing_but_lookups(self) -> None:
        before = self.reactor.nameResolver
        names = NameThreads(self.reactor, self.look_up)
        attempts = [
            HostnameEndpoint(self.reactor, b"nothing.invalid", 1, timeout=60).connect(Factory())
            for _ in range(40)  # more than there are threads
        ]
        self.assertEqual(await deferToThread(lambda: "done"), "done")
        self.assertFalse(any(attempt.called for attempt in attempts))
        self.answers.set()
        for attempt in attempts:
            await self.assertFailure(attempt, DNSLookupError)
        names.stop()
        self.assertIs(self.reactor.nameResolver, before)

    async def test_nor_the_end(self) -> None:
        names = NameThreads(self.reactor, self.look_up)
        attempt = HostnameEndpoint(self.reactor, b"nothing.invalid", 1).connect(Factory())
        names.stop()
        attempt.cancel()
        await self.assertFailure(attempt, DNSLookupError)
