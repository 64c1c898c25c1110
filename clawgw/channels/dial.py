"""Reaching a provider: the address in its URL, then DNS, TCP and TLS, and why it did not work.

Policy:

- A connection counts once TLS is established on it. What fails before is ``Unreachable``, and then
  not one byte of a request has left this machine; so whoever sees it may try again without doubt.
- The certificate has to name the host and to lead to an authority this machine trusts
  (``SSL_CERT_FILE`` names others, for a server of one's own).
- The words for a failure name scheme, host and port, never the path or the query: bot tokens and
  tickets live there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import (
    ConnectError,
    ConnectionRefusedError,
    DNSLookupError,
    TimeoutError,
)
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHandshakeListener,
    IProtocolFactory,
    ISSLTransport,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import optionsForClientTLS
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer, providedBy

from clawgw.channels.tunnel import ProxyRefused, Tunnel
from clawgw.client_tls import is_no_tls, tls_reasons

__all__ = ["Dial", "GivenUp", "Peer", "Unreachable"]

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

_GOODBYE = 2.0
"""Seconds a peer has to end a connection that we ended."""


class Unreachable(Exception):
    """No connection came about, so nothing was sent. The text is for a person."""


class GivenUp(Unreachable, CancelledError):
    """The attempt was cancelled while it was still connecting; nothing was sent."""


@dataclass(frozen=True)
class Peer:
    """Who is on the other side, and all of a URL that may be shown."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Peer:
        """The peer in an ``http``, ``https``, ``ws`` or ``wss`` URL.

        :raises Unreachable: when it is none of those.
        """
        try:
            parts = urlsplit(url.strip())
            port = parts.port
        except ValueError:
            raise Unreachable("The address is not a URL.") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise Unreachable(
                "The address is not a URL that begins with http://, https://, ws:// or wss://."
            )
        return cls(parts.scheme, parts.hostname, port or _PORTS[parts.scheme])

    @property
    def secure(self) -> bool:
        """True when the connection is encrypted."""
        return self.scheme in ("https", "wss")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


class _Forbidden(Exception):
    """Nothing may be sent to where the name has led."""


@implementer(IStreamClientEndpoint)
class Dial:
    """An endpoint for one peer. ``timeout`` is in seconds, for DNS, TCP and TLS together.

    ``proxy`` is the URL of an HTTP proxy to go through. ``allowed`` says whether anything may be
    sent to an IP address, once it is known which one the name has led to.
    """

    def __init__(
        self,
        reactor: Any,
        peer: Peer,
        timeout: float,
        *,
        proxy: str | None = None,
        allowed: Callable[[str], bool] | None = None,
    ) -> None:
        self._reactor = reactor
        self._peer = peer
        self._timeout = timeout
        self._proxy = proxy
        self._allowed = allowed

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """Fires with the connected protocol.

        Fails with ``Unreachable``, and with ``GivenUp`` when it is cancelled.
        """
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> Any:
        connecting = Deferred.fromCoroutine(self._secured(factory))
        connecting.addTimeout(self._timeout, self._reactor, onTimeoutCancel=_too_late)
        try:
            return await connecting
        except CancelledError:
            raise GivenUp(f"{self._peer} was given up while connecting.") from None
        except Exception as error:
            text = f"{self._peer} cannot be reached: {self._why(error)}."
            raise Unreachable(text) from error

    async def _secured(self, factory: IProtocolFactory) -> Any:
        endpoint = self._unsecured()
        if self._peer.secure:
            endpoint = wrapClientTLS(optionsForClientTLS(self._peer.host), endpoint)
        wrapper: _Line = await endpoint.connect(
            _LineFactory(self._reactor, factory, self._peer.secure)
        )
        await wrapper.ready
        transport: Any = wrapper.transport
        if self._allowed is not None and not self._allowed(transport.getPeer().host):
            wrapper.abortConnection()
            raise _Forbidden
        return wrapper.wrappedProtocol

    def _unsecured(self) -> Any:
        where = self._peer.host, self._peer.port
        if self._proxy is None:
            return HostnameEndpoint(self._reactor, *where, timeout=self._timeout)
        return Tunnel(self._reactor, self._proxy, *where, timeout=self._timeout)

    def _why(self, error: Exception) -> str:
        if isinstance(error, ProxyRefused):
            return str(error)
        if isinstance(error, _Forbidden):
            return "it is in a private network"
        if isinstance(error, DNSLookupError):
            return "there is no such proxy" if self._proxy else "there is no such host"
        if isinstance(error, ConnectionRefusedError):
            return "the proxy does not answer" if self._proxy else "nothing answers there"
        if isinstance(error, TimeoutError):
            return f"it did not answer within {self._timeout:g} s"
        if isinstance(error, VerificationError):
            return "its certificate was issued for another name"
        if isinstance(error, SSL.Error):
            return _tls_trouble(tls_reasons(error))
        if isinstance(error, ConnectError):
            return str(error).rstrip(".") or "the network is down"
        return "the connection was cut"


def _tls_trouble(reasons: str) -> str:
    if "certificate verify failed" in reasons:
        return "its certificate is out of date or not signed by an authority this machine trusts"
    if is_no_tls(reasons):
        return "it does not speak TLS at this port"
    return f"TLS failed ({reasons or 'the connection was cut'})"


def _too_late(result: Any, _: float) -> Any:
    return Failure(TimeoutError()) if isinstance(result, Failure) else result


class _LineFactory(WrappingFactory):
    noisy = False

    def __init__(self, reactor: Any, wrapped: Any, secure: bool) -> None:
        super().__init__(wrapped)  # type: ignore[no-untyped-call]
        self.reactor = reactor
        self.secure = secure

    def buildProtocol(self, addr: IAddress | None) -> _Line:
        return _Line(self, self.wrappedFactory.buildProtocol(addr))


@implementer(IHandshakeListener)
class _Line(ProtocolWrapper):
    """Between transport and protocol: knows when one can send, and ends what has to end."""

    def __init__(self, factory: _LineFactory, protocol: Any) -> None:
        super().__init__(factory, protocol)  # type: ignore[arg-type]
        self._reactor = factory.reactor
        self._secure = factory.secure
        self.ready: Deferred[None] = Deferred(lambda _: self.abortConnection())
        self._cut: IDelayedCall | None = None

    def makeConnection(self, transport: Any) -> None:
        # Autobahn looks for TLS details in an ISSLTransport, in one class of Twisted's only.
        directlyProvides(self, providedBy(transport) - ISSLTransport)
        Protocol.makeConnection(self, transport)

    def connectionMade(self) -> None:
        if not self._secure:
            self._begin()

    def handshakeCompleted(self) -> None:
        self._begin()

    def _begin(self) -> None:
        if not self.ready.called:
            protocol: Any = self.wrappedProtocol
            protocol.makeConnection(self)
            self.ready.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._cut is not None and self._cut.active():
            self._cut.cancel()
        if self.ready.called:
            self.wrappedProtocol.connectionLost(reason)
        else:
            self.ready.errback(reason)

    def loseConnection(self) -> None:
        # TLS waits for the peer's goodbye, which a peer can withhold for ever, sending all along.
        if self._cut is None:
            self._cut = self._reactor.callLater(_GOODBYE, self.abortConnection)
        super().loseConnection()  # type: ignore[no-untyped-call]

    def abortConnection(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()
