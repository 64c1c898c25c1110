"""One port for the page and the API.

What comes in on a connection is kept until the head of the HTTP request is complete. A request to
upgrade to a WebSocket, on any path, goes to the API; everything else to the web site. The chosen
protocol then has the transport to itself; this one is no longer in the way.

How many connections may be here, without a complete head or on the web site, is bounded, in all
and by address; the API counts those it has not let in yet in the same way.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Factory, Protocol

from clawgw.gateway.admission import AdmissionCount

MAX_HEAD = 16 * 1024
HEAD_SECONDS = 10.0

TLS_HANDSHAKE = 0x16  # first byte of a TLS record with a ClientHello, RFC 8446 section 5.1

_END_OF_HEAD = b"\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n"


def is_websocket_upgrade(head: bytes) -> bool:
    """Whether the head of an HTTP request asks for a WebSocket."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"upgrade":
            return b"websocket" in value.lower()
    return False


class SharedPortProtocol(Protocol):
    """Waits for the head of the first request, then hands the connection over."""

    transport: Any  # TCP or TLS

    def __init__(self, factory: SharedPortFactory, address: IAddress | None) -> None:
        self._factory = factory
        self._address: Any = address
        self._head = b""
        self._chosen: Any = None
        self._timer: Any = None
        self._counted: str | None = None

    def connectionMade(self) -> None:
        """A connection: it has to say soon what it wants."""
        self._counted = getattr(self._address, "host", "") or "unknown"
        self._timer = self._factory.reactor.callLater(HEAD_SECONDS, self._too_slow)

    def dataReceived(self, data: bytes) -> None:
        """A part of the head."""
        self._head += data
        if self._head[0] == TLS_HANDSHAKE:
            self.transport.abortConnection()  # somebody speaks TLS to a plain port
            return
        end = self._head.find(_END_OF_HEAD)
        if end >= 0:
            self._hand_over(is_websocket_upgrade(self._head[:end]))
        elif len(self._head) > MAX_HEAD:
            self._refuse(_TOO_LARGE)

    def connectionLost(self, reason: Any = None) -> None:
        """The connection ended; whoever has it is told."""
        self._stop_timer()
        self._uncount()
        if self._chosen is not None:
            self._chosen.connectionLost(reason)
            self._chosen = None

    def _hand_over(self, websocket: bool) -> None:
        self._stop_timer()
        if websocket:
            self._uncount()  # the API counts its own
        factory = self._factory.api if websocket else self._factory.site
        chosen: IProtocol | None = factory.buildProtocol(self._address)
        if chosen is None:
            self.transport.abortConnection()
            return
        head, self._head = self._head, b""
        self._chosen = chosen
        self.dataReceived = chosen.dataReceived  # type: ignore[method-assign]
        chosen.makeConnection(self.transport)
        chosen.dataReceived(head)

    def _uncount(self) -> None:
        if self._counted is not None:
            self._factory.admission.leave(self._counted)
            self._counted = None

    def _too_slow(self) -> None:
        self._timer = None
        self.transport.abortConnection()

    def _refuse(self, answer: bytes) -> None:
        """Answer and close; over TLS the peer can still send, but not for long, and for nothing."""
        self._head = b""
        self.dataReceived = lambda data: None  # type: ignore[method-assign]
        self.transport.write(answer)
        self.transport.loseConnection()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class SharedPortFactory(Factory):
    """Listens for both.

    Args:
        reactor: for the time limit.
        api: the WebSocket side.
        site: the HTTP side.
        admission: counts the connections that are not the API's.
    """

    noisy = False

    def __init__(
        self,
        reactor: IReactorTime,
        api: IProtocolFactory,
        site: IProtocolFactory,
        admission: AdmissionCount | None = None,
    ) -> None:
        self.reactor = reactor
        self.api = api
        self.site = site
        self.admission = admission or AdmissionCount()

    def buildProtocol(self, addr: IAddress | None) -> SharedPortProtocol | None:
        """A protocol for a new connection, or None to refuse it."""
        if not self.admission.enter(getattr(addr, "host", "") or "unknown"):
            return None
        return SharedPortProtocol(self, addr)

    def doStart(self) -> None:
        """Start both sides with the port."""
        super().doStart()  # type: ignore[no-untyped-call]
        self.api.doStart()
        self.site.doStart()

    def doStop(self) -> None:
        """Stop both sides with the port."""
        self.api.doStop()
        self.site.doStop()
        super().doStop()  # type: ignore[no-untyped-call]
