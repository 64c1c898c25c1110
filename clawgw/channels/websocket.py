"""A WebSocket connection to a provider, for those that push their events.

Policy:

- Connecting has one time limit, from the first DNS question to the upgrade. Until then a failure is
  ``SocketUnreachable``; afterwards the connection ends with ``Closed``, once and in any case.
- The peer is not believed: what it sends is limited in size; a close that it does not answer is
  made without it; with ``ping_interval`` one that is silent for two intervals is gone, whatever TCP
  believes.
- Messages are handed over in their order. What the receiver raises is logged, and costs neither
  the connection nor the next message. A receiver that cannot keep up pauses the socket, and TCP
  tells the peer.
- Neither log nor errors show the path or the query of the URL, the headers or a message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from clawgw import __version__
from clawgw.channels.dial import Dial, Peer, Unreachable
from clawgw.channels.tunnel import check_proxy

__all__ = ["Closed", "OnMessage", "Socket", "SocketUnreachable", "open_socket"]

OnMessage = Callable[[str | bytes, bool], object]
"""Called with each message, ``str`` or ``bytes``, and whether it is binary (``bytes``)."""

_CLOSE_GRACE = 3.0
"""Seconds a peer has to answer our close, or to end the connection after its own."""

_READ_BYTES = 8192
"""What is read of a socket at a time."""

_NO_CODE = 1005
"""Stands for a close frame without a code (RFC 6455, 7.4.1)."""

_ABNORMAL = 1006
"""Stands for a connection that ended without a close frame."""

_TOO_BIG = 1009


class SocketUnreachable(Exception):
    """No WebSocket came about. The text is for a person.

    ``status`` is the HTTP status of a server that answered but did not upgrade, else None.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Closed:
    """How a connection ended.

    ``code`` and ``reason`` are those of the peer's close frame, which may be its answer to ours;
    ``clean`` is True then. Where none came, ``code`` is 1006, or 1009 after a message that was too
    large, and ``reason`` is in our words.
    """

    code: int
    reason: str
    clean: bool


class Socket:
    """An open WebSocket."""

    def __init__(self, line: _Line) -> None:
        self._line = line

    def send(self, message: str | bytes) -> None:
        """Send text or binary; on a closed socket it goes nowhere, as ``closed`` says."""
        self._line.send(message)

    def close(self, code: int = 1000, reason: str = "") -> Deferred[Closed]:
        """Say goodbye; fires when the connection is gone, soon in any case.

        ``code`` is 1000 or 3000 to 4999; ``reason`` is at most 123 bytes of UTF-8.
        """
        self._line.close(code, reason)
        return self.closed

    def pause(self) -> None:
        """Read no more from the connection until ``resume``; few more messages may come."""
        self._line.pause()

    def resume(self) -> None:
        """Read again."""
        self._line.resume()

    @property
    def closed(self) -> Deferred[Closed]:
        """Fires once the connection has ended; each asker gets a Deferred of its own."""
        return self._line.when_ended()


async def open_socket(
    reactor: Any,
    url: str,
    *,
    on_message: OnMessage,
    headers: Mapping[str, str] | None = None,
    connect_timeout: float = 15.0,
    max_message: int = 16 * 1024 * 1024,
    ping_interval: float | None = None,
    proxy: str | None = None,
) -> Socket:
    """Open a ``ws://`` or ``wss://`` URL; times in seconds, ``max_message`` in bytes.

    ``proxy`` is the URL of an HTTP proxy to go through.

    :raises SocketUnreachable: when it does not come about.
    :raises ValueError: when ``proxy`` is no such URL.
    """
    if proxy is not None:
        check_proxy(proxy)
    try:
        peer = Peer.of(url)
        if peer.scheme not in ("ws", "wss"):
            raise SocketUnreachable(f"{peer} is no address of a WebSocket (ws:// or wss://).")
        factory = _Factory(reactor, url, peer, dict(headers or {}), max_message)
    except Unreachable as error:
        raise SocketUnreachable(str(error)) from None
    except ValueError:
        raise SocketUnreachable("The address is no URL a WebSocket can have.") from None
    factory.on_message, factory.ping_interval = on_message, ping_interval

    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        opening.cancel()

    timer = reactor.callLater(connect_timeout, expire)
    dial = Dial(reactor, peer, connect_timeout, proxy=proxy)
    opening = Deferred.fromCoroutine(_open(dial, factory))
    try:
        return await opening
    except CancelledError:
        if not expired:
            raise
        text = f"{peer} did not open a WebSocket within {connect_timeout:g} s."
        raise SocketUnreachable(text) from None
    except Unreachable as error:
        raise SocketUnreachable(str(error)) from None
    finally:
        if timer.active():
            timer.cancel()


async def _open(dial: Dial, factory: _Factory) -> Socket:
    line: _Line = await dial.connect(factory)
    await line.opened()
    return Socket(line)


class _Factory(WebSocketClientFactory):
    """Builds the protocol with our limits; Autobahn's own timers are off, the protocol has its."""

    noisy = False

    def __init__(
        self, reactor: Any, url: str, peer: Peer, headers: dict[str, str], max_message: int
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            url=url, headers=headers, useragent=f"clawgw/{__version__}", reactor=reactor
        )
        self.setProtocolOptions(  # type: ignore[no-untyped-call]
            maxFramePayloadSize=max_message,
            maxMessagePayloadSize=max_message,
            openHandshakeTimeout=0,
            closeHandshakeTimeout=0,
            serverConnectionDropTimeout=0,
            tcpNoDelay=True,
        )
        self.clock = reactor
        self.remote = peer
        self.on_message: OnMessage
        self.ping_interval: float | None

    def buildProtocol(self, addr: object) -> _Line:
        line = _Line(self)
        line.factory = self
        return line


class _Line(WebSocketClientProtocol):
    """The connection, from the upgrade to its end."""

    _log = Logger()

    def __init__(self, options: _Factory) -> None:
        super().__init__()
        self._options = options
        self._clock = options.clock
        self._on_message = options.on_message
        self._opening: Deferred[None] | None = None
        self._open = False
        self._ended: Closed | None = None
        self._waiters: list[Deferred[Closed]] = []
        self._why: str | None = None
        self._cut_timer: IDelayedCall | None = None
        self._ping_timer: IDelayedCall | None = None
        self._heard = self._asked = self._goodbye_heard = False

    # The beginning.

    def opened(self) -> Deferred[None]:
        """Fires when the upgrade is done, fails with ``SocketUnreachable``."""
        opening: Deferred[None] = Deferred(lambda _: self._cut("cancelled"))
        if self._ended is not None:
            opening.errback(self._not_opened())
        elif self._open:
            opening.callback(None)
        else:
            self._opening = opening
        return opening

    def onOpen(self) -> None:
        self._open = True
        _read_in_small_pieces(self.transport)
        self._expect_life()
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.callback(None)

    def _not_opened(self) -> SocketUnreachable:
        peer, status = self._options.remote, _status(getattr(self, "http_status_line", None))
        if status is not None and status != 101:
            text = f"{peer} answered with HTTP status {status} instead of a WebSocket."
            return SocketUnreachable(text, status)
        return SocketUnreachable(f"{peer} did not open a WebSocket: it cut the connection.")

    # Messages.

    def dataReceived(self, data: bytes) -> None:
        self._heard = True
        try:
            super().dataReceived(data)
        except Exception:  # noqa: BLE001 - Autobahn does not survive every byte a peer can send
            self._log.debug("{peer} sent no WebSocket protocol", peer=self._options.remote)
            self._cut("the peer sent something that is not the WebSocket protocol")

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        try:
            self._on_message(payload if isBinary else payload.decode(), isBinary)
        except Exception:  # noqa: BLE001 - the receiver's fault is not the connection's
            self._log.failure("A message of {peer} could not be handled", peer=self._options.remote)

    def send(self, message: str | bytes) -> None:
        if self.state == self.STATE_OPEN:
            binary = isinstance(message, bytes)
            payload = message if isinstance(message, bytes) else message.encode()
            self.sendMessage(payload, isBinary=binary)  # type: ignore[no-untyped-call]

    def pause(self) -> None:
        transport: Any = self.transport
        if self._ended is None:
            transport.pauseProducing()

    def resume(self) -> None:
        transport: Any = self.transport
        if self._ended is None:
            transport.resumeProducing()

    # Signs of life.

    def _expect_life(self) -> None:
        if self._options.ping_interval is not None:
            self._heard = False
            self._ping_timer = self._clock.callLater(self._options.ping_interval, self._look)

    def _look(self) -> None:
        """Every interval: a peer that was silent for one is asked, one that stays silent is cut."""
        if not self._heard and self._asked:
            self._cut("the peer has been silent for too long")
            return
        self._asked = not self._heard
        if self._asked:
            self.sendPing()
        self._expect_life()

    # The end.

    def close(self, code: int, reason: str) -> None:
        if self.state == self.STATE_OPEN:
            self.sendClose(code, reason or None)
            self._limit_goodbye()
        elif self._ended is None and self._cut_timer is None:
            self._cut("closed on this side")

    def onCloseFrame(self, code: int, reasonRaw: bytes) -> Any:
        # The peer drops the TCP connection after its close frame; one that does not is cut.
        self._limit_goodbye()
        self._goodbye_heard = True
        return super().onCloseFrame(code, reasonRaw)

    def _limit_goodbye(self) -> None:
        self.resume()
        if self._cut_timer is None:
            text = "the peer did not answer our goodbye"
            self._cut_timer = self._clock.callLater(_CLOSE_GRACE, self._cut, text)

    def _cut(self, why: str) -> None:
        self._why = why
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        for timer in (self._cut_timer, self._ping_timer):
            if timer is not None and timer.active():
                timer.cancel()
        self._ended = ended = self._how_it_ended()
        opening, self._opening = self._opening, None
        if opening is not None and not opening.called:
            opening.errback(self._not_opened())
        while self._waiters:
            self._waiters.pop(0).callback(ended)

    def _how_it_ended(self) -> Closed:
        if self._goodbye_heard:
            return Closed(
                self.remoteCloseCode or _NO_CODE, self.remoteCloseReason or "", clean=True
            )
        if self.wasNotCleanReason and "exceeds" in self.wasNotCleanReason:
            return Closed(_TOO_BIG, "a message was larger than is allowed here", clean=False)
        return Closed(_ABNORMAL, self._why or "the connection was cut", clean=False)

    def when_ended(self) -> Deferred[Closed]:
        waiter: Deferred[Closed] = Deferred(self._waiters.remove)
        if self._ended is not None:
            waiter.callback(self._ended)
        else:
            self._waiters.append(waiter)
        return waiter


def _status(line: str | None) -> int | None:
    """The status in an HTTP status line, when there is one."""
    words = (line or "").split()
    return int(words[1]) if len(words) > 1 and words[1].isdecimal() else None


def _read_in_small_pieces(transport: Any) -> None:
    """Have the socket read a little at a time.

    After a while of absence a provider sends thousands of small messages at once; the 64 KiB that
    Twisted reads hold enough of them to keep the reactor for a tenth of a second.
    """
    while transport is not None:
        if hasattr(transport, "bufferSize"):
            transport.bufferSize = _READ_BYTES
            return
        transport = getattr(transport, "transport", None)
