"""An HTTP proxy that knows `CONNECT`, for tests."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure


class Proxy(Factory):
    """Connects to what is asked for; `requests` are the requests as they came."""

    noisy = False
    answer = b"HTTP/1.1 200 Connection established\r\n\r\n"

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.carried = b""

    def buildProtocol(self, addr: Any) -> Protocol:
        return _Client(self)


class _Client(Protocol):
    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.far: _Far | None = None
        self.seen = b""

    def dataReceived(self, data: bytes) -> None:
        if self.far is not None:
            self.proxy.carried += data
            self.far.transport.write(data)
            return
        self.seen += data
        if self.seen.endswith(b"\r\n\r\n"):
            self.proxy.requests.append(self.seen)
            self.begin(self.seen.split()[1])

    def begin(self, where: bytes) -> None:
        if b" 200 " not in self.proxy.answer:
            self.transport.write(self.proxy.answer)
            return
        host, _, port = where.decode().rpartition(":")
        self.far = _Far(self)
        connectProtocol(TCP4ClientEndpoint(reactor, host, int(port)), self.far).addCallback(
            lambda _: self.transport.write(self.proxy.answer)
        )

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.far is not None:
            self.far.transport.loseConnection()


class _Far(Protocol):
    def __init__(self, near: _Client) -> None:
        self.near = near

    def dataReceived(self, data: bytes) -> None:
        self.near.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.near.transport.loseConnection()
