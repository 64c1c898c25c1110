"""A whole Gateway in memory: the real service with a clock for time and buffers for sockets.

`MemoryGateway` starts `GatewayService` on a reactor that does nothing by itself; its store is the
real schema in memory. A `Peer` is the other end of such a "socket" and sends bytes; a `Client` has
upgraded it to a WebSocket and reads what was written, frame by frame.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import txaio
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from clawgw import service as service_module
from clawgw.gateway.connection import Connection
from clawgw.lock import StateLock
from clawgw.plan import make_plan
from clawgw.protocol.connect import ConnectAuth
from clawgw.service import GatewayService
from tests.support.memory import START_MS, Device, MemoryDatabase, client_info, connect_params
from tests.support.wire import CLOSE, PONG, TEXT, Message, client_frame

TOKEN = "test-token"
REMOTE = "192.0.2.7"
ALL_SCOPES = ("operator.admin", "operator.read", "operator.write", "operator.pairing")


# Connections without a transport


class RecordingWire:
    """A `connection.Wire` that keeps what it is told."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closes: list[tuple[int, str]] = []

    def send_framed(self, frame: bytes) -> None:
        """See `Wire`."""
        self.written.append(frame)

    def close(self, code: int, reason: str) -> None:
        """See `Wire`."""
        self.closes.append((code, reason))

    @property
    def frames(self) -> list[Any]:
        """What was written, decoded."""
        return [json.loads(one.payload) for one in read_frames(b"".join(self.written))]


def make_connection(wire: RecordingWire, **changes: Any) -> Connection:
    """A version 4 operator that may hear and do everything, or as the test wants it."""
    fields: dict[str, Any] = {
        "conn_id": "conn-1",
        "version": 4,
        "role": "operator",
        "scopes": frozenset({"operator.admin"}),
        "caps": frozenset(),
        "client": client_info(),
        "device_id": None,
        "auth_method": "token",
        "address": "127.0.0.1",
        "audible": frozenset({"tick", "chat"}),
        "max_buffered_bytes": 1000,
        "connected_at_ms": START_MS,
    }
    return Connection(wire, **(fields | changes))


def read_frames(data: bytes) -> list[Message]:
    """Unmasked WebSocket frames as RFC 6455, section 5.2, says; none may be incomplete."""
    found = []
    while data:
        assert data[0] & 0xF0 == 0x80, f"a fragment, or reserved bits: {data[0]:#x}"
        size, start = data[1], 2
        assert size < 128, "a server does not mask"
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
            assert size > 125, "not the shortest form"
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
            assert size > 65535, "not the shortest form"
        assert len(data) >= start + size, "incomplete"
        found.append(Message(data[0] & 0x0F, data[start : start + size]))
        data = data[start + size :]
    return found


# The Gateway


class _InlinePool:
    """A thread pool that does the work at once."""

    def callInThreadWithCallback(
        self, on_result: Callable[[bool, Any], None], work: Callable[..., Any], *args: Any
    ) -> None:
        try:
            result = work(*args)
        except Exception:  # noqa: BLE001 - as a thread pool does
            on_result(False, Failure())
        else:
            on_result(True, result)


class MemoryReactor(MemoryReactorClock):
    """A reactor whose time is a test's, and whose threads are the test's own."""

    def __init__(self) -> None:
        super().__init__()
        self.rightNow = START_MS / 1000

    def getThreadPool(self) -> _InlinePool:
        return _InlinePool()

    def suggestThreadPoolSize(self, size: int) -> None:
        pass

    def callFromThread(self, work: Callable[..., Any], *args: Any) -> None:
        work(*args)

    def now_ms(self) -> int:
        """The time in milliseconds since the epoch."""
        return int(self.seconds() * 1000)


class MemoryStore(MemoryDatabase):
    """A store whose disk can be made to take its time.

    Attributes:
        held: the writes that wait for `release`; None while writes are done at once.
    """

    def __init__(self, *_: Any) -> None:
        super().__init__()
        self.held: list[Deferred[None]] | None = None

    def write(self, change: Any, *args: Any, **kwargs: Any) -> Deferred[Any]:
        """See `Database.write`."""
        if self.held is None:
            return super().write(change, *args, **kwargs)
        waiting: Deferred[Any] = Deferred()
        waiting.addCallback(lambda _: MemoryDatabase.write(self, change, *args, **kwargs))
        self.held.append(waiting)
        return waiting

    def release(self) -> None:
        """Do what waits."""
        waiting, self.held = self.held or [], None
        for deferred in waiting:
            deferred.callback(None)

    def close(self) -> None:
        """See `SqliteDatabase.close`."""
        self.connection.close()


class MemoryGateway:
    """A running Gateway.

    Args:
        case: the test; the Gateway is stopped when it ends.
        config: of the Gateway.
        token: the shared secret, None for none.
    """

    def __init__(
        self,
        case: SynchronousTestCase,
        config: dict[str, Any] | None = None,
        token: str | None = TOKEN,
    ) -> None:
        self.reactor: Any = MemoryReactor()
        case.patch(txaio.config, "loop", self.reactor)
        case.patch(service_module, "SqliteDatabase", MemoryStore)
        state_dir = Path(case.mktemp()).absolute()
        state_dir.mkdir()
        (state_dir / "config.json").write_text(json.dumps(config or {}))
        options = {"state-dir": str(state_dir), "port": "0", "token": token}
        plan = make_plan(options, {"PATH": "/usr/bin"})
        self.service = GatewayService(self.reactor, plan, StateLock(plan.state_dir), None)
        self.service.privilegedStartService()
        self.store: Any = self.service.database
        self.clients: list[Client] = []
        self._case = case
        self._stopped = False
        case.addCleanup(self._stop)

    def _stop(self) -> None:
        if not self._stopped:
            self.stop()

    def start(self) -> MemoryGateway:
        """Be ready."""
        self.service.startService()
        return self

    def stop(self) -> None:
        """As SIGTERM does."""
        self._stopped = True
        done = self.service.stopService()
        self.advance(2.0)  # clients that do not answer a close are waited for, but not long
        self._case.successResultOf(done)

    def advance(self, seconds: float) -> None:
        """Let time pass, in steps small enough for timers that set timers; clients read on."""
        steps = max(1, round(seconds / 0.1))
        for step in range(steps):
            self.reactor.advance(seconds / steps)
            if step % 100 == 99:
                for client in self.clients:
                    client.read()

    def connect(self, **how: Any) -> Client:
        """A client that was let in; see `Client.connect`."""
        client = Client(self, address=how.pop("address", "127.0.0.1"))
        answer = client.connect(**how)
        assert answer["ok"], answer
        return client


class MemoryTransport(StringTransport):
    """A socket's server end. It closes as TLS does: not before its producer has let go."""

    def __init__(self, reactor: Any, protocol: Any, address: str) -> None:
        super().__init__(
            hostAddress=IPv4Address("TCP", "127.0.0.1", 18789),
            peerAddress=IPv4Address("TCP", address, 54321),
        )
        self._reactor = reactor
        self._protocol = protocol
        self.lost = False

    def loseConnection(self) -> None:
        """See `ITransport`."""
        self.disconnecting = True
        if self.producer is None:
            self._end(ConnectionDone())

    def abortConnection(self) -> None:
        """See `ITCPTransport`."""
        self.disconnecting = True
        self._end(ConnectionAborted())

    def unregisterProducer(self) -> None:
        """See `IConsumer`; unlike `StringTransport`, real ones may be told twice."""
        self.producer = self.streaming = None
        if self.disconnecting:
            self._end(ConnectionDone())

    def _end(self, why: Exception) -> None:
        if not self.lost:
            self.lost = True
            self._reactor.callLater(0, self._protocol.connectionLost, Failure(why))


class Peer:
    """The other end of a connection, before it has said anything."""

    def __init__(self, gateway: MemoryGateway, address: str = "127.0.0.1") -> None:
        self.gateway = gateway
        factory = gateway.reactor.tcpServers[0][1]
        self.protocol = factory.buildProtocol(IPv4Address("TCP", address, 54321))
        self.transport = MemoryTransport(gateway.reactor, self.protocol, address)
        if self.protocol is None:
            self.transport.lost = True
        else:
            self.protocol.makeConnection(self.transport)

    @property
    def is_cut(self) -> bool:
        """Whether the Gateway has ended the connection."""
        return self.transport.lost

    def receive_bytes(self) -> bytes:
        """What was written since the last look."""
        self.gateway.reactor.advance(0)
        data = self.transport.value()
        self.transport.clear()
        return data

    def send_bytes(self, data: bytes) -> None:
        """Bytes as they are."""
        if not self.transport.lost:
            self.protocol.dataReceived(data)
        self.gateway.reactor.advance(0)

    def hang_up(self) -> None:
        """Let go without a word."""
        if not self.transport.lost:
            self.transport.lost = True
            self.protocol.connectionLost(Failure(ConnectionDone()))


class Client(Peer):
    """A WebSocket client.

    Attributes:
        received: every text frame so far.
        closed: code and reason of a close frame.
        replies: whether it answers pings and closes.
    """

    def __init__(
        self,
        gateway: MemoryGateway,
        address: str = "127.0.0.1",
        headers: Sequence[str] = (),
        host: str = "127.0.0.1:18789",
    ) -> None:
        super().__init__(gateway, address)
        self.received: list[dict[str, Any]] = []
        self.closed: tuple[int, str] | None = None
        self.replies = True
        gateway.clients.append(self)
        self._last_id = 0
        lines = (
            "GET / HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13", *headers,
        )  # fmt: skip
        self.send_bytes("\r\n".join((*lines, "", "")).encode())
        answer = self.receive_bytes()
        head, _, rest = answer.partition(b"\r\n\r\n")
        if not self.is_cut:
            assert head.startswith(b"HTTP/1.1 101"), answer
            self._take(rest)

    def _take(self, data: bytes) -> None:
        for message in read_frames(data):
            if message.opcode == TEXT:
                self.received.append(message.json)
            elif message.opcode == CLOSE:
                self.closed = (message.close_code, message.close_reason)
                self._reply(message.payload, CLOSE)
            else:
                self._reply(message.payload, PONG)

    def _reply(self, payload: bytes, opcode: int) -> None:
        if self.replies:
            self.send_bytes(client_frame(payload, opcode))

    def read(self) -> list[dict[str, Any]]:
        """Every text frame so far."""
        self._take(self.receive_bytes())
        return self.received

    def send(self, frame: Any, opcode: int = TEXT, *, fin: bool = True) -> None:
        """One message: bytes as they are, anything else as JSON."""
        payload = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
        self.send_bytes(client_frame(payload, opcode, fin=fin))
        self.read()

    @property
    def nonce(self) -> str:
        """What this connection was challenged with."""
        (challenge,) = [one for one in self.read() if one.get("event") == "connect.challenge"]
        nonce: str = challenge["payload"]["nonce"]
        return nonce

    def connect(self, device: Device | None = None, **how: Any) -> dict[str, Any]:
        """Send `connect`, see `connect_params`; returns the response."""
        return self.request("connect", self.connect_params(device, **how))

    def connect_params(
        self,
        device: Device | None = None,
        *,
        protocol: int = 4,
        token: str | None = TOKEN,
        scopes: Sequence[str] = ALL_SCOPES,
        role: str = "operator",
        caps: Sequence[str] = (),
        device_token: str | None = None,
        client: dict[str, Any] | None = None,
    ) -> Any:
        """The parameters of `connect`, signed by the device if there is one."""
        auth: dict[str, Any] = {}
        if token is not None:
            auth["token"] = token
        if device_token is not None:
            auth["device_token"] = device_token
        wanted: dict[str, Any] = {
            "min_protocol": protocol,
            "max_protocol": protocol,
            "role": role,
            "scopes": list(scopes),
            "caps": list(caps),
            "client": client_info(**(client or {})),
            "auth": ConnectAuth(**auth),
        }
        if device is None:
            params = connect_params(**wanted)
        else:
            signed_at = self.gateway.reactor.now_ms()
            params = device.connect(nonce=self.nonce, signed_at_ms=signed_at, **wanted)
        return msgspec.to_builtins(params)

    def request(self, method: str, params: Any = None) -> dict[str, Any]:
        """Ask; returns the response, which must be there at once."""
        self._last_id += 1
        asked = f"request-{self._last_id}"
        self.send({"type": "req", "id": asked, "method": method, "params": params or {}})
        (answer,) = self.answers(asked)
        return answer

    def answers(self, asked: str) -> list[dict[str, Any]]:
        """All responses to a request."""
        return [one for one in self.read() if one["type"] == "res" and one["id"] == asked]

    @property
    def hello(self) -> dict[str, Any]:
        """The `hello-ok`."""
        (answer,) = self.answers("request-1")
        payload: dict[str, Any] = answer["payload"]
        return payload

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of a name so far, whole frames."""
        return [one for one in self.read() if one.get("event") == name]
