"""Through an HTTP proxy to where one wants to go, with ``CONNECT`` (RFC 9110, 9.3.6).

The proxy sees whom we talk to and nothing else: TLS goes through the tunnel. It is asked in the
clear, with the user name and password of its URL if that has them.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from urllib.parse import unquote, urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["ProxyRefused", "Tunnel", "check_proxy"]

_MAX_ANSWER = 16 * 1024
"""Bytes of a proxy's answer that are read."""


class ProxyRefused(Exception):
    """The proxy does not connect us. The text is a part of a sentence for a person."""


def check_proxy(url: str) -> None:
    """See whether a proxy's URL can be used.

    :raises ValueError: when it cannot; the text does not show it, for it may hold a password.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("a proxy is given as http://HOST:PORT, with USER:PASSWORD@ if need be")


@implementer(IStreamClientEndpoint)
class Tunnel:
    """An endpoint for ``host`` and ``port``, as seen by the proxy; ``timeout`` is in seconds."""

    def __init__(self, reactor: Any, proxy: str, host: str, port: int, timeout: float) -> None:
        check_proxy(proxy)
        parts = urlsplit(proxy)
        name = f"[{host}]" if ":" in host else host.encode("idna").decode()
        lines = [f"CONNECT {name}:{port} HTTP/1.1", f"Host: {name}:{port}"]
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            lines.append(f"Proxy-Authorization: Basic {b64encode(pair.encode()).decode()}")
        self._request = "\r\n".join([*lines, "", ""]).encode("ascii")
        self._endpoint = HostnameEndpoint(
            reactor, parts.hostname or "", parts.port or 80, timeout=timeout
        )

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """Fires with the protocol once the tunnel is open; fails with ``ProxyRefused``."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> Any:
        asking = _Asking(self._request, factory)
        await self._endpoint.connect(_once(asking))
        return await asking.opened


def _once(protocol: Protocol) -> Any:
    factory = Factory.forProtocol(lambda: protocol)
    factory.noisy = False
    return factory


class _Asking(Protocol):
    """Asks the proxy, then stands between the connection and its protocol."""

    def __init__(self, request: bytes, factory: IProtocolFactory) -> None:
        self._request = request
        self._factory = factory
        self._answer = b""
        self._inner: Any = None
        self.opened: Deferred[Any] = Deferred(lambda _: self._hang_up())

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(self._request)

    def dataReceived(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.dataReceived(data)
            return
        self._answer += data
        head, end, rest = self._answer.partition(b"\r\n\r\n")
        if end:
            self._judge(head.split(b"\r\n")[0].split(), rest)
        elif len(self._answer) > _MAX_ANSWER:
            self._fail("the proxy answered with something that is not HTTP")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._inner is not None:
            self._inner.connectionLost(reason)
        else:
            self._fail("the proxy cut the connection")

    def _judge(self, status_line: list[bytes], rest: bytes) -> None:
        if len(status_line) < 2 or not status_line[0].startswith(b"HTTP/1."):
            self._fail("the proxy answered with something that is not HTTP")
        elif status_line[1] == b"407":
            self._fail("the proxy asks for another user name or password")
        elif not status_line[1].startswith(b"2"):
            status = status_line[1][:3].decode("latin-1")
            self._fail(f"the proxy does not connect us (status {status})")
        elif not self.opened.called:
            self._begin(rest)

    def _begin(self, rest: bytes) -> None:
        transport: Any = self.transport
        self._inner = self._factory.buildProtocol(transport.getPeer())
        self._inner.makeConnection(transport)
        self.opened.callback(self._inner)
        if rest:
            self._inner.dataReceived(rest)

    def _fail(self, why: str) -> None:
        self._hang_up()
        if not self.opened.called:
            self.opened.errback(ProxyRefused(why))

    def _hang_up(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()
