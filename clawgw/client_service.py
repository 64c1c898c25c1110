"""A Gateway connection that comes back by itself, for what runs long: nodes, bridges, watchers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from twisted.application.internet import ClientService, backoffPolicy
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from clawgw.client_connect import ClientOptions
from clawgw.client_connection import Connection
from clawgw.client_dialer import Dialer
from clawgw.client_errors import ClientError, ConnectionLost, ConnectRefused
from clawgw.client_hello import Hello
from clawgw.client_subscribers import EventCallback, GapCallback, ignore

__all__ = ["ReconnectingGatewayClient"]

_LONGEST_DELAY = 30.0
"""Seconds between attempts to reconnect, at most."""


class ReconnectingGatewayClient(Service):
    """A connection to a Gateway that comes back by itself, with a growing delay.

    Subscriptions outlive connections. A request made while there is none fails at once with
    ``ConnectionLost``; nothing is queued, because only the caller knows whether it still matters.
    What the Gateway refuses (a wrong token, a missing approval) is tried again too, at the longest
    delay: approval may come, and a node must not need a restart for it.

    :param on_connected: called with each hello.
    :param on_disconnected: called with why a connection ended, or did not come about.
    :raises OptionsError: when the options cannot be used.
    """

    def __init__(
        self,
        reactor: Any,
        options: ClientOptions,
        *,
        on_connected: Callable[[Hello], object] | None = None,
        on_disconnected: Callable[[ClientError], object] | None = None,
    ) -> None:
        self._reactor = reactor
        self._dialer = Dialer(reactor, options)
        self._on_connected = on_connected or ignore
        self._on_disconnected = on_disconnected or ignore
        self._connection: Connection | None = None
        self._waiters: list[Deferred[Hello]] = []
        self._backoff = backoffPolicy(1.0, _LONGEST_DELAY)
        self._next_delay: float | None = None
        self._service = ClientService(
            _Greeted(self._greet), _NoFactory(), retryPolicy=self._delay, clock=reactor
        )

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]
        self._service.startService()

    def stopService(self) -> Deferred[None]:
        """Close the connection and stop; fires when it is gone. Once is enough."""
        if not self.running:
            return succeed(None)
        super().stopService()  # type: ignore[no-untyped-call]
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.errback(ConnectionLost("The Gateway client was stopped."))
        stopped: Deferred[None] = self._service.stopService()
        return stopped

    @property
    def connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._connection is not None

    def when_connected(self) -> Deferred[Hello]:
        """Fires with the hello of the present or the next connection.

        Fails with ``ConnectionLost`` when the service is stopped first.
        """
        if self._connection is not None:
            return self._connection.hello()
        waiter: Deferred[Hello] = Deferred()
        self._waiters.append(waiter)
        return waiter

    def request(self, method: str, params: Any = None, *, timeout: float = 30.0) -> Awaitable[Any]:
        """As ``GatewayClient.request``."""
        return self._open().request(method, params, timeout=timeout)

    def request_final(
        self,
        method: str,
        params: Any = None,
        *,
        on_accepted: Callable[[Any], object] | None = None,
        timeout: float = 30.0,
        final_timeout: float | None = None,
    ) -> Awaitable[Any]:
        """As ``GatewayClient.request_final``."""
        return self._open().request(
            method,
            params,
            timeout=timeout,
            on_accepted=on_accepted or ignore,
            final_timeout=final_timeout,
        )

    def subscribe(self, callback: EventCallback) -> Callable[[], None]:
        """As ``GatewayClient.subscribe``."""
        return self._dialer.subscribers.add(callback)

    def on_gap(self, callback: GapCallback) -> Callable[[], None]:
        """As ``GatewayClient.on_gap``; a new connection may have missed anything too."""
        return self._dialer.subscribers.add_gap(callback)

    def _open(self) -> Connection:
        if self._connection is None:
            raise ConnectionLost("There is no connection to the Gateway at the moment.")
        return self._connection

    async def _greet(self) -> Connection:
        """Make a connection and wait for its hello, or tell why there is none."""
        try:
            connection = await self._dialer.connect()
            hello = await connection.hello()
        except ClientError as error:
            self._failed(error)
            raise
        self._connection = connection
        self._next_delay = None
        connection.when_closed().addCallback(self._lost)
        self._tell(self._greeted, hello)
        return connection

    def _greeted(self, hello: Hello) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(hello)
        self._dialer.subscribers.call(self._on_connected, hello)

    def _lost(self, reason: ClientError) -> None:
        self._connection = None
        self._tell(self._dialer.subscribers.call, self._on_disconnected, reason)

    def _failed(self, error: ClientError) -> None:
        """Tell of an attempt that came to nothing, and let it decide when to try again."""
        if isinstance(error, ConnectRefused):
            if self._dialer.credentials.refused(error):
                self._next_delay = 0.0
                return
            wish = (error.retry_after_ms or 0) / 1000
            slow = error.about_credentials or not wish
            self._next_delay = max(_LONGEST_DELAY, wish) if slow else wish
        self._tell(self._dialer.subscribers.call, self._on_disconnected, error)

    def _tell(self, callback: Callable[..., object], *args: Any) -> None:
        """Call back in a turn of its own, so that the callback may stop this service."""

        def unless_stopped() -> None:
            if self.running:
                callback(*args)

        self._reactor.callLater(0, unless_stopped)

    def _delay(self, attempts: int) -> float:
        delay, self._next_delay = self._next_delay, None
        return self._backoff(attempts) if delay is None else delay


class _NoFactory(Factory):
    """``ClientService`` wants a protocol; ours is made by the dialer, this stands for it."""

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return Protocol()


@implementer(IStreamClientEndpoint)
class _Greeted:
    """An endpoint that counts a connection only once the Gateway has said hello on it.

    ``ClientService`` knows two states, connected or not; everything up to the hello is the second.
    """

    def __init__(self, greet: Callable[[], Coroutine[Any, Any, Connection]]) -> None:
        self._greet = greet

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> Any:
        connection = await self._greet()
        standin: Any = factory.buildProtocol(None)  # type: ignore[arg-type]
        standin.makeConnection(_Goodbye(connection))

        def ended(reason: ClientError) -> None:
            standin.connectionLost(Failure(reason))

        connection.when_closed().addCallback(ended)
        return standin


class _Goodbye:
    """The one thing ``ClientService`` asks of a transport: to end it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def loseConnection(self) -> None:
        self._connection.close()
