"""Telegram's side of a webhook: updates are posted in order, each again until it is taken.

The bot's public address is reached through what the test says is its reverse proxy.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.web.client import Agent, ResponseFailed, readBody
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from tests.channels.telegram.errors import ApiError
from tests.channels.telegram.world import Json

PORTS = (None, 80, 88, 443, 8443)
SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"
RETRY_SECONDS = 0.2


class Webhook:
    """The webhook of one bot.

    Args:
        proxy: where the bot's public address leads to, as `http://127.0.0.1:8787`.
        act: does a call that came as the answer to an update.
    """

    def __init__(self, reactor: Any, params: Json, proxy: str, updates: Any, act: Any) -> None:
        self.url: str = params["url"]
        self.secret: str = params.get("secret_token", "")
        self.posts: list[tuple[int, int]] = []
        self.last_error = ""
        self.proxy = proxy
        self._reactor = reactor
        self._lines = _Loopback(reactor)
        self._agent = Agent.usingEndpointFactory(reactor, self._lines)
        self._updates = updates
        self._act = act
        self._busy = False
        self._posting: Deferred[None] | None = None
        self._later: Any = None
        self.closed = False

    def pump(self) -> None:
        """Post what waits, unless a post is under way."""
        if self._busy or self.closed or self._later is not None or not self._updates():
            return
        self._busy = True
        self._posting = Deferred.fromCoroutine(self._post(self._updates()[0]))

    def close(self) -> None:
        """Post no more."""
        self.closed = True
        if self._later is not None and self._later.active():
            self._later.cancel()

    def cut(self) -> None:
        """Post no more, and leave no connection behind, not even one that is about to end."""
        self.close()
        if self._posting is not None:
            self._posting.addErrback(lambda failure: failure.trap(CancelledError))
            self._posting.cancel()
        self._lines.cut()

    async def _post(self, update: Json) -> None:
        taken, answer = await self._ask(update)
        self._busy = False
        if self.closed:
            return
        if not taken:
            self._later = self._reactor.callLater(RETRY_SECONDS, self._again)
            return
        self._act(update["update_id"] + 1, answer)
        self.pump()

    def _again(self) -> None:
        self._later = None
        self.pump()

    async def _ask(self, update: Json) -> tuple[bool, Json]:
        headers = {"Content-Type": ["application/json"]}
        if self.secret:
            headers[SECRET_HEADER] = [self.secret]
        address = (self.proxy + urlsplit(self.url).path).encode()
        body = _Body(json.dumps(update).encode())
        try:
            response = await self._agent.request(b"POST", address, Headers(headers), body)
            read = await readBody(response)
        except (ConnectError, ConnectionDone, ConnectionLost, ResponseFailed) as error:
            self.last_error = str(error)
            return False, {}
        self.posts.append((update["update_id"], response.code))
        try:
            answer = json.loads(read)
        except ValueError:
            answer = {}
        return 200 <= response.code < 300, answer if isinstance(answer, dict) else {}


@implementer(IAgentEndpointFactory)
class _Loopback:
    """Connects without looking up any name, so that a refusal is known at once."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._opened: list[Any] = []

    def endpointForURI(self, uri: Any) -> TCP4ClientEndpoint:
        return _Line(self._opened, self._reactor, uri.host.decode(), uri.port, timeout=2)

    def cut(self) -> None:
        for protocol in self._opened:
            protocol.transport.abortConnection()


class _Line(TCP4ClientEndpoint):
    """Notes what it has connected."""

    def __init__(self, opened: list[Any], *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._opened = opened

    def connect(self, factory: Any) -> Deferred[Any]:
        def note(protocol: Any) -> Any:
            self._opened.append(protocol)
            return protocol

        return super().connect(factory).addCallback(note)


class _Body:
    """A body producer; `FileBodyProducer` leaves a delayed call behind when a test ends early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        consumer.write(self._data)
        done.callback(None)
        return done

    def pauseProducing(self) -> None:
        pass

    def resumeProducing(self) -> None:
        pass

    def stopProducing(self) -> None:
        pass


def check_address(url: str) -> None:
    """Refuse what Telegram refuses.

    Raises:
        ApiError: it is no HTTPS address, or not on a port Telegram reaches.
    """
    parts = urlsplit(url)
    if parts.scheme != "https":
        raise ApiError(400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook")
    if parts.port not in PORTS:
        raise ApiError(
            400,
            "Bad Request: bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443",
        )
