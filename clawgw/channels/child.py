"""The JSON-RPC link of a channel adapter: to a child of ours, or to a daemon that already runs.

`signal-cli`, `imsg` and the WhatsApp sidecar speak newline-delimited JSON-RPC 2.0. Where a command
is configured, the Gateway starts it and talks over its standard input and output; where an address
is (`tcp:host:port` or `unix:/path`), it connects to what listens there. An adapter sees no
difference: it has a `RpcLink`, asks, hears, and waits for its end.

Restarting is not done here. When a link ends, the adapter's run ends with the reason, and the
supervisor of channels decides when to call it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.python.failure import Failure

from clawgw.channels.settings import TOKEN_VARIABLES
from clawgw.config import PASSWORD_VARIABLES
from clawgw.config import TOKEN_VARIABLES as GATEWAY_TOKEN_VARIABLES
from clawgw.jsonrpc import (
    JsonRpcPeer,
    JsonRpcProcess,
    OnNotification,
    OnRequest,
    ProcessGone,
)

CLOSE_SECONDS = 2.0
WITHHELD = TOKEN_VARIABLES | {*GATEWAY_TOKEN_VARIABLES, *PASSWORD_VARIABLES}
"""What a child has no business to know."""

_CANCELLED = (CancelledError, error.ConnectingCancelledError)


class RpcLink(Protocol):
    """What an adapter talks to its helper through."""

    @property
    def running(self) -> bool:
        """Whether it is there."""

    @property
    def ended(self) -> Deferred[str]:
        """Fires when the other end has gone, with the reason in words; yours alone."""

    def request(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        timeout: float | None = None,
        key: str | None = None,
    ) -> Deferred[Any]:
        """Ask; fires with the result.

        Args:
            timeout: seconds, None for as long as it takes.
            key: an id for the request, which no other under way has; None for one of ours.

        Errors: `RpcError`, `RpcTimeout`, `ProcessGone`.
        """

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Tell; nothing comes back."""

    def pause(self) -> None:
        """Hear nothing more for now; answers neither."""

    def resume(self) -> None:
        """Hear again."""

    def stop(self) -> Deferred[None]:
        """End the child, or the connection; fires when it is gone."""


class Address(NamedTuple):
    """Where a daemon listens: a host and a port, or the path of a UNIX socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp:{host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read `tcp:host:port`, `tcp:[::1]:port` or `unix:/path`.

    Raises:
        ValueError: it is none of these.
    """
    kind, _, rest = text.partition(":")
    if kind == "unix" and rest.startswith("/"):
        return Address(path=rest)
    host, _, port = rest.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if kind == "tcp" and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536:
        return Address(host=host, port=int(port))
    raise ValueError(f"{text!r} is neither 'tcp:host:port' nor 'unix:/path'")


async def open_link(
    reactor: Any,
    where: Sequence[str] | Address,
    *,
    name: str,
    env: Mapping[str, str],
    on_request: OnRequest,
    on_notification: OnNotification,
    connect_timeout: float,
    cwd: str | None = None,
) -> RpcLink:
    """Start a child, or connect to a daemon.

    Args:
        where: the words of a command, or an address.
        name: what the log calls it.
        env: the child's environment, without what opens the Gateway; a daemon has its own.
        on_request: answers what the other end asks; may raise `RpcError`.
        on_notification: hears what it says; must not assume that the link has been returned yet.
        connect_timeout: seconds a daemon has to take the connection.
        cwd: the child's working directory.

    Raises:
        ProcessGone: there is no such program, or nothing listens there; the message says which.
    """
    if isinstance(where, Address):
        connection = JsonRpcConnection(
            reactor, name, on_request=on_request, on_notification=on_notification
        )
        await _connect(reactor, where, connection, connect_timeout)
        return connection
    child = JsonRpcProcess(reactor, name, on_request=on_request, on_notification=on_notification)
    kept = {name: value for name, value in env.items() if name not in WITHHELD}
    child.start(where, env=kept, cwd=cwd)
    return child


class JsonRpcConnection(JsonRpcPeer, TwistedProtocol):
    """A JSON-RPC peer at the other end of a socket."""

    def connectionMade(self) -> None:
        """It has taken the connection; ask to be told when it does not read."""
        self._opened()
        self.transport.registerProducer(self, True)  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the daemon."""
        self._received(data)

    def connectionLost(self, reason: Failure = error.ConnectionDone) -> None:  # type: ignore[assignment]
        """The connection is gone."""
        clean = reason.check(error.ConnectionDone)
        self._gone("it closed the connection" if clean else "the connection was lost")

    def pause(self) -> None:
        """Hear nothing more for now."""
        self.transport.pauseProducing()  # type: ignore[union-attr]

    def resume(self) -> None:
        """Hear it again."""
        self.transport.resumeProducing()  # type: ignore[union-attr]

    def stop(self) -> Deferred[None]:
        """Close the connection; fires when it is gone."""
        if not self._running:
            return succeed(None)
        self._why = self._why or "it was stopped"
        abort = self._clock.callLater(CLOSE_SECONDS, self._abort)
        ended = self.ended

        def closed(_: str) -> None:
            if abort.active():
                abort.cancel()

        self.transport.unregisterProducer()  # type: ignore[union-attr]
        self.transport.loseConnection()  # type: ignore[union-attr]
        return ended.addCallback(closed)

    def _write(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[union-attr]

    def _abort(self) -> None:
        self.transport.abortConnection()  # type: ignore[union-attr]


async def _connect(
    reactor: Any, address: Address, connection: JsonRpcConnection, timeout: float
) -> None:
    endpoint: Any
    if address.path:
        endpoint = UNIXClientEndpoint(reactor, address.path, timeout=timeout)
    else:
        endpoint = HostnameEndpoint(reactor, address.host, address.port, timeout=timeout)
    connecting = endpoint.connect(Factory.forProtocol(lambda: connection))
    clock: IReactorTime = reactor
    limit = clock.callLater(timeout, connecting.cancel)
    try:
        await connecting
    except (error.ConnectError, error.DNSLookupError, OSError, *_CANCELLED) as problem:
        raise ProcessGone(f"nothing answers at {address}: {_words(problem, timeout)}") from None
    finally:
        if limit.active():
            limit.cancel()


def _words(problem: Exception, timeout: float) -> str:
    if isinstance(problem, (error.TimeoutError, *_CANCELLED)):
        return f"no answer within {timeout:g} s"
    if isinstance(problem, error.DNSLookupError):
        return "there is no such host"
    if isinstance(problem, error.ConnectionRefusedError):
        return "the connection was refused"
    return getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
