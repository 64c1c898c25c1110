"""How a client gets a connection, and what is said when it gets none."""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import (
    ConnectError,
    ConnectionRefusedError,
    DNSLookupError,
    TimeoutError,
)
from twisted.python.failure import Failure

from clawgw import __version__
from clawgw.client_connect import ClientOptions, Credentials
from clawgw.client_connection import Connection
from clawgw.client_errors import CannotConnect, ClientError, OptionsError
from clawgw.client_subscribers import Subscribers
from clawgw.client_tls import GatewayAddress, client_tls, parse_gateway_url
from clawgw.fingerprint import parse_fingerprint

__all__ = ["Dialer"]

_MAX_FRAME = 26 * 1024 * 1024
"""Bytes; what the Gateway announces as ``policy.maxPayload`` (25 MiB), and the frame around it."""


class _ConnectionFactory(WebSocketClientFactory):
    """Builds the protocol with our limits; Autobahn's own timers are off, the protocol has its."""

    def __init__(self, dialer: Dialer) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            url=dialer.address.url, useragent=f"clawgw/{__version__}", reactor=dialer.reactor
        )
        self.setProtocolOptions(  # type: ignore[no-untyped-call]
            maxFramePayloadSize=_MAX_FRAME,
            maxMessagePayloadSize=_MAX_FRAME,
            openHandshakeTimeout=0,
            closeHandshakeTimeout=0,
            serverConnectionDropTimeout=0,
            tcpNoDelay=True,
        )
        self._dialer = dialer

    def buildProtocol(self, addr: object) -> Connection:
        connection = Connection(self._dialer)
        connection.factory = self
        return connection


class Dialer:
    """All that the connections of one client have in common, and the way to make one.

    :raises OptionsError: when the options cannot be used; files are read here.
    """

    def __init__(self, reactor: Any, options: ClientOptions) -> None:
        self.reactor = reactor
        self.options = options
        self.address: GatewayAddress = parse_gateway_url(options.url)
        tls = client_tls(
            self.address,
            fingerprint=options.tls_fingerprint,
            client_cert=options.client_cert,
            client_key=options.client_key,
            ca_file=options.ca_file,
            allow_insecure=options.allow_insecure,
        )
        plain = HostnameEndpoint(
            reactor, self.address.host, self.address.port, timeout=options.open_timeout
        )
        self.subscribers = Subscribers()
        self.credentials = Credentials(options, self._gateway_name())
        self._endpoint = plain if tls is None else wrapClientTLS(tls, plain)
        try:
            self._factory = _ConnectionFactory(self)
        except ValueError as error:
            raise OptionsError(f"The Gateway URL cannot be used: {error}.") from None

    def connect(self) -> Deferred[Connection]:
        """Open a connection; a failure is one of ours, in words."""
        opened: Deferred[Any] = self._endpoint.connect(self._factory)
        return opened.addErrback(self._explain)

    def _gateway_name(self) -> str:
        """Whom a saved device token belongs to; a pinned certificate names it best."""
        pin = self.options.tls_fingerprint
        return str(self.address) if pin is None else parse_fingerprint(pin)

    def _explain(self, failure: Failure) -> Failure:
        error = failure.value
        if isinstance(error, (ClientError, CancelledError)):
            return failure
        if isinstance(error, ConnectionRefusedError):
            text = (
                f"Nothing answers at {self.address}; start the Gateway (twistd clawgw) or check "
                "the address."
            )
        elif isinstance(error, DNSLookupError):
            text = f"There is no host named {self.address.host}."
        elif isinstance(error, TimeoutError):
            text = (
                f"{self.address} did not answer within {self.options.open_timeout:g} s; check the "
                "address and whether a firewall is in between."
            )
        elif isinstance(error, ConnectError):
            text = f"{self.address} cannot be reached: {error}"
        else:
            return failure
        return Failure(CannotConnect(text))
