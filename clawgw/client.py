"""The Gateway client: what the CLI, ``clawgw mcp``, ``clawgw node`` and the tests connect with.

``GatewayClient`` is one connection; the service that always has one, or is about to, is in
``client_service`` (apart, because a command is not to load a service framework). What can go wrong
is in ``client_errors``; how a connection is made in ``client_dialer``, what is promised on it in
``client_connection``; which secret is shown in ``client_connect``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from clawgw.client_connect import OPERATOR_SCOPES, ClientOptions
from clawgw.client_connection import Connection
from clawgw.client_dialer import Dialer
from clawgw.client_errors import (
    CannotConnect,
    CertificateProblem,
    ClientError,
    ConnectionLost,
    ConnectRefused,
    GatewayError,
    OptionsError,
    PinMismatch,
    RequestTimeout,
    TlsNameMismatch,
)
from clawgw.client_hello import Hello
from clawgw.client_subscribers import EventCallback, GapCallback, ignore

__all__ = [
    "OPERATOR_SCOPES",
    "CannotConnect",
    "CertificateProblem",
    "ClientError",
    "ClientOptions",
    "ConnectRefused",
    "ConnectionLost",
    "GatewayClient",
    "GatewayError",
    "Hello",
    "OptionsError",
    "PinMismatch",
    "RequestTimeout",
    "TlsNameMismatch",
]


class GatewayClient:
    """One connection to a Gateway.

    :raises OptionsError: when the options cannot be used; nothing has been sent then.
    """

    def __init__(self, reactor: Any, options: ClientOptions) -> None:
        self._dialer = Dialer(reactor, options)
        self._connection: Connection | None = None

    async def connect(self) -> Hello:
        """Connect and authenticate.

        :raises CannotConnect: when there is no Gateway to talk to, or not the one we mean.
        :raises ConnectRefused: when the Gateway does not let us in.
        """
        while True:
            try:
                self._connection = await self._dialer.connect()
                return await self._connection.hello()
            except ConnectRefused as refusal:
                # At most twice: see ``Credentials``.
                if not self._dialer.credentials.refused(refusal):
                    raise

    async def request(self, method: str, params: Any = None, *, timeout: float = 30.0) -> Any:
        """Call a method; returns the payload of its answer.

        ``params`` is a mapping or a ``msgspec`` struct; None is the empty object.

        :raises GatewayError: when the Gateway answers with an error.
        :raises RequestTimeout: when it does not answer within ``timeout`` seconds.
        :raises ConnectionLost: when the connection ends first.
        """
        return await self._open().request(method, params, timeout=timeout)

    async def request_final(
        self,
        method: str,
        params: Any = None,
        *,
        on_accepted: Callable[[Any], object] | None = None,
        timeout: float = 30.0,
        final_timeout: float | None = None,
    ) -> Any:
        """Call a method that answers twice (``agent``); returns the payload of its last answer.

        ``timeout`` is for the first answer, ``final_timeout`` for what follows it (None: as long
        as the connection lives). Raises as ``request`` does.
        """
        return await self._open().request(
            method,
            params,
            timeout=timeout,
            on_accepted=on_accepted or ignore,
            final_timeout=final_timeout,
        )

    def subscribe(self, callback: EventCallback) -> Callable[[], None]:
        """Hear every event; returns the function that ends it."""
        return self._dialer.subscribers.add(callback)

    def on_gap(self, callback: GapCallback) -> Callable[[], None]:
        """Hear of dropped events; returns the function that ends it."""
        return self._dialer.subscribers.add_gap(callback)

    def when_closed(self) -> Deferred[ClientError]:
        """Fires, never fails, with the reason when the connection has ended."""
        return self._open().when_closed()

    async def close(self) -> None:
        """Close the connection, if there is one; what still waits fails with ConnectionLost."""
        if self._connection is not None:
            await self._connection.close()

    def _open(self) -> Connection:
        if self._connection is None:
            raise ConnectionLost("There is no connection to the Gateway yet.")
        return self._connection
