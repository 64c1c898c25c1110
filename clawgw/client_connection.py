"""One conversation with a Gateway, from dialling to the last frame.

How it comes about:

1. TCP, then TLS where the URL says ``wss://``; see ``client_tls`` for whom we believe.
2. The WebSocket upgrade, and the Gateway's first word: event ``connect.challenge {nonce, ts}``.
3. Our ``connect`` request: versions we speak, who we are, the secret, and the device's signature
   over the challenge. The answer is ``hello-ok`` or a refusal.

Each step has its time limit, and until step 3 nothing secret is sent.

Afterwards requests are answered by id, in any order; events go to the subscribers. ``seq`` counts
the events of this connection, and a hole means something was dropped for us: the gap callback
says so, and whoever keeps state refreshes it. A Gateway that says nothing for twice its announced
tick interval is gone, whatever TCP believes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import (
    ConnectError,
    ConnectionRefusedError,
    DNSLookupError,
    TimeoutError,
)
from twisted.internet.interfaces import IDelayedCall, IHandshakeListener
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from clawgw import __version__
from clawgw.client_connect import ClientOptions, Credentials, connect_params
from clawgw.client_errors import (
    CannotConnect,
    ClientError,
    ConnectionLost,
    ConnectRefused,
    GatewayError,
    OptionsError,
    RequestTimeout,
)
from clawgw.client_tls import GatewayAddress, client_tls, explain_tls_failure, parse_gateway_url
from clawgw.fingerprint import parse_fingerprint
from clawgw.protocol.base import Open

__all__ = ["Connection", "Dialer", "EventCallback", "GapCallback", "Hello", "Subscribers", "ignore"]

_MAX_FRAME = 26 * 1024 * 1024
"""Bytes; what the Gateway announces as ``policy.maxPayload`` (25 MiB), and the frame around it."""

_CLOSE_GRACE = 2.0
"""Seconds a Gateway has to answer our close before we cut the connection."""

EventCallback = Callable[[str, Any, int | None], object]
"""Called with the event's name, its payload and its ``seq`` (None where it has none)."""

GapCallback = Callable[[int, int], object]
"""Called with the ``seq`` that was due and the one that came."""


@dataclass(frozen=True)
class Hello:
    """What the Gateway said when it let us in; ``payload`` is all of it."""

    protocol: int
    server_version: str
    conn_id: str
    role: str
    scopes: tuple[str, ...]
    methods: frozenset[str]
    tick_interval: float
    payload: dict[str, Any] = field(repr=False)


class _Response(Open, frozen=True, tag_field="type", tag="res"):
    """An answer as we read it: more forgiving than what a Gateway of ours would write."""

    id: str
    ok: bool
    payload: Any = None
    error: Any = None


class _Event(Open, frozen=True, tag_field="type", tag="event"):
    event: str
    payload: Any = None
    seq: int | None = None


@dataclass
class _Pending:
    """A request that waits for its answer, or for the second of its two answers."""

    method: str
    answer: Deferred[Any]
    timer: IDelayedCall | None = None
    on_accepted: Callable[[Any], object] | None = None
    final_timeout: float | None = None


class Subscribers:
    """Who hears the events. Outlives connections; a subscriber's fault stays its own."""

    _log = Logger()

    def __init__(self) -> None:
        self._events: list[EventCallback] = []
        self._gaps: list[GapCallback] = []

    def add(self, callback: EventCallback) -> Callable[[], None]:
        return self._add(self._events, callback)

    def add_gap(self, callback: GapCallback) -> Callable[[], None]:
        return self._add(self._gaps, callback)

    def event(self, name: str, payload: Any, seq: int | None) -> None:
        for callback in tuple(self._events):
            self.call(callback, name, payload, seq)

    def gap(self, expected: int, received: int) -> None:
        for callback in tuple(self._gaps):
            self.call(callback, expected, received)

    def call(self, callback: Callable[..., object], *args: Any) -> None:
        """Call a callback of the user's and log what it raises."""
        try:
            callback(*args)
        except Exception:  # noqa: BLE001 - it is not ours, and it must not end the connection
            self._log.failure("A callback of the Gateway client failed")

    @staticmethod
    def _add(callbacks: list[Any], callback: Any) -> Callable[[], None]:
        callbacks.append(callback)

        def remove() -> None:
            if callback in callbacks:
                callbacks.remove(callback)

        return remove


@implementer(IHandshakeListener)
class Connection(WebSocketClientProtocol):
    """The conversation on one connection, from the first byte to the last."""

    _frames = msgspec.json.Decoder(_Response | _Event)
    _log = Logger()

    def __init__(self, dialer: Dialer) -> None:
        super().__init__()
        self._dialer = dialer
        self._clock = dialer.reactor
        self._ids = itertools.count(1)
        self._pending: dict[str, _Pending] = {}
        self._hello: Hello | None = None
        self._greeting: Deferred[Hello] | None = None
        self._problem: ClientError | None = None
        self._ended: ClientError | None = None
        self._end_waiters: list[Deferred[ClientError]] = []
        self._deadline: IDelayedCall | None = None
        self._silence: IDelayedCall | None = None
        self._heard_at = 0.0
        self._heard_anything = False
        self._tls_done = False
        self._connect_id: str | None = None
        self._last_seq: int | None = None
        self._transport_error: BaseException | None = None

    # The life of the connection, in order.

    def hello(self) -> Deferred[Hello]:
        """Fires with the hello, or fails with what kept it from coming."""
        greeting: Deferred[Hello] = Deferred(lambda _: self._give_up(None))
        if self._ended is not None:
            greeting.errback(self._ended)
        elif self._hello is not None:
            greeting.callback(self._hello)
        else:
            self._greeting = greeting
        return greeting

    def connectionMade(self) -> None:
        limits = self._dialer.options
        if self._dialer.address.secure:
            self._limit(
                limits.tls_timeout,
                CannotConnect(
                    f"{self._dialer.address} did not answer in TLS within "
                    f"{limits.tls_timeout:g} s; use ws:// instead of wss:// if this is a Gateway "
                    "without TLS."
                ),
            )
        else:
            self._limit_handshake()
        super().connectionMade()

    def handshakeCompleted(self) -> None:
        self._tls_done = True
        self._limit_handshake()

    def dataReceived(self, data: bytes) -> None:
        self._heard_at = self._clock.seconds()
        if not self._heard_anything:
            self._heard_anything = True
            # A TLS record where "HTTP/1.1" was due: 0x15 is an alert, 0x16 a handshake.
            if not self._dialer.address.secure and data[:1] in (b"\x15", b"\x16"):
                self._give_up(CannotConnect(_SPEAKS_TLS.format(self._dialer.address)))
                return
        super().dataReceived(data)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        try:
            frame = None if isBinary else self._frames.decode(payload)
        except msgspec.ValidationError as error:
            # JSON, but no frame we know: a newer Gateway may have more kinds than we.
            self._log.debug("Ignored a frame: {reason}", reason=str(error))
            return
        except (msgspec.DecodeError, RecursionError):
            frame = None
        if frame is None:
            self._give_up(
                ConnectionLost(
                    f"{self._dialer.address} sent something that is not the Gateway protocol."
                )
            )
        elif isinstance(frame, _Response):
            self._on_response(frame)
        else:
            self._on_event(frame)

    def onCloseFrame(self, code: int, reasonRaw: bytes) -> Any:
        # The peer drops the TCP connection after its close frame; one that does not is cut.
        self._limit(_CLOSE_GRACE, None)
        return super().onCloseFrame(code, reasonRaw)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._transport_error = reason.value
        super().connectionLost(reason)
        self._end(self._problem or self._explain_end())

    def close(self, code: int = 1000, reason: str = "") -> Deferred[ClientError]:
        """Say goodbye; fires when the connection is gone, soon in any case."""
        if self._ended is None:
            self._problem = self._problem or ConnectionLost("This client closed the connection.")
            if self.state == self.STATE_OPEN:
                self.sendClose(code, reason)
                self._limit(_CLOSE_GRACE, None)
            else:
                self._cut()
        return self.when_closed()

    def when_closed(self) -> Deferred[ClientError]:
        """Fires, never fails, with the reason once the connection is gone."""
        waiter: Deferred[ClientError] = Deferred()
        if self._ended is not None:
            waiter.callback(self._ended)
        else:
            self._end_waiters.append(waiter)
        return waiter

    def _end(self, reason: ClientError) -> None:
        self._ended = reason
        for timer in (self._deadline, self._silence):
            if timer is not None and timer.active():
                timer.cancel()
        pending, self._pending = self._pending, {}
        greeting, self._greeting = self._greeting, None
        waiters, self._end_waiters = self._end_waiters, []
        if greeting is not None and not greeting.called:  # whoever waited may have cancelled it
            greeting.errback(reason)
        for request in pending.values():
            _stop(request.timer)
            request.answer.errback(reason)
        for waiter in waiters:
            waiter.callback(reason)

    def _give_up(self, problem: ClientError | None) -> None:
        """End the connection at once, for a reason of ours."""
        self._problem = self._problem or problem
        self._cut()

    def _cut(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()

    def _limit(self, seconds: float, problem: ClientError | None) -> None:
        """Give up in ``seconds``, unless the next step sets its own limit first."""
        _stop(self._deadline)
        self._deadline = self._clock.callLater(seconds, self._give_up, problem)

    def _limit_handshake(self) -> None:
        seconds = self._dialer.options.handshake_timeout
        self._limit(
            seconds,
            CannotConnect(
                f"{self._dialer.address} accepted the connection but did not greet us as a Gateway "
                f"within {seconds:g} s; check that the port is the Gateway's."
            ),
        )

    def _explain_end(self) -> ClientError:
        """Why the connection ended when it was not our doing."""
        address = self._dialer.address
        if self._hello is not None:
            if self.remoteCloseCode is not None:
                said = " ".join(filter(None, [str(self.remoteCloseCode), self.remoteCloseReason]))
                return ConnectionLost(
                    f"The Gateway closed the connection ({said}).", code=self.remoteCloseCode
                )
            if self.wasNotCleanReason and "exceeds" in self.wasNotCleanReason:
                return ConnectionLost("The Gateway sent a frame larger than 26 MiB.")
            return ConnectionLost("The connection to the Gateway was cut.")
        if self._transport_error is not None:
            problem = explain_tls_failure(address, self._transport_error)
            if problem is not None:
                return problem
        if self.remoteCloseCode is not None:
            said = " ".join(filter(None, [str(self.remoteCloseCode), self.remoteCloseReason]))
            return CannotConnect(f"The Gateway at {address} turned us away ({said}).")
        if address.secure and not self._tls_done:
            return CannotConnect(
                f"{address} ended the connection during the TLS handshake; use ws:// if this is a "
                "Gateway without TLS."
            )
        if not self._heard_anything:
            hint = (
                "If it lets in pinned clients only, give --client-cert and --client-key."
                if address.secure
                else "If it is a Gateway with TLS, use wss:// instead of ws://."
            )
            return CannotConnect(f"{address} ended the connection without an answer. {hint}")
        return CannotConnect(
            f"{address} answered, but not as a Gateway does"
            + (f": {self.wasNotCleanReason}." if self.wasNotCleanReason else ".")
        )

    # The handshake.

    def _answer_challenge(self, payload: Any) -> None:
        nonce = payload.get("nonce") if isinstance(payload, dict) else None
        if not isinstance(nonce, str) or not nonce:
            self._give_up(
                CannotConnect(
                    f"The Gateway at {self._dialer.address} sent a challenge without a nonce."
                )
            )
            return
        auth, now_ms = self._dialer.credentials.choose(), int(self._clock.seconds() * 1000)
        params = connect_params(self._dialer.options, auth, nonce, now_ms)
        self._connect_id = self._post("connect", params)

    def _on_connect_response(self, frame: _Response) -> None:
        if not frame.ok:
            self._give_up(ConnectRefused.from_wire(frame.error))
            return
        hello = _read_hello(frame.payload, self._dialer.options)
        if hello is None:
            self._give_up(
                CannotConnect(
                    f"{self._dialer.address} answered connect with something other than hello-ok."
                )
            )
            return
        self._hello = hello
        _stop(self._deadline)
        self._watch_silence()
        self._dialer.credentials.accepted(_part(hello.payload, "auth").get("deviceToken"))
        greeting, self._greeting = self._greeting, None
        if greeting is not None:
            greeting.callback(hello)

    # Requests and events.

    def request(
        self,
        method: str,
        params: Any = None,
        *,
        timeout: float,
        on_accepted: Callable[[Any], object] | None = None,
        final_timeout: float | None = None,
    ) -> Deferred[Any]:
        """Send a request; fires with the payload of its (final) answer."""
        if self._hello is None or self._ended is not None:
            raise self._ended or ConnectionLost("There is no connection to the Gateway yet.")
        request_id = self._post(method, params)
        pending = _Pending(
            method,
            Deferred(lambda _: self._cancelled(request_id)),
            on_accepted=on_accepted,
            final_timeout=final_timeout,
        )
        self._pending[request_id] = pending
        pending.timer = self._clock.callLater(timeout, self._timed_out, request_id, timeout)
        return pending.answer

    def _post(self, method: str, params: Any) -> str:
        request_id = str(next(self._ids))
        frame = {"type": "req", "id": request_id, "method": method}
        text = msgspec.json.encode({**frame, "params": {} if params is None else params})
        self.sendMessage(text)  # type: ignore[no-untyped-call]
        return request_id

    def _drop(self, request_id: str) -> _Pending | None:
        pending = self._pending.pop(request_id, None)
        if pending is not None:
            _stop(pending.timer)
        return pending

    def _cancelled(self, request_id: str) -> None:
        self._drop(request_id)

    def _timed_out(self, request_id: str, seconds: float) -> None:
        pending = self._pending.pop(request_id)
        pending.answer.errback(RequestTimeout(pending.method, seconds))

    def _on_response(self, frame: _Response) -> None:
        if frame.id == self._connect_id and self._hello is None:
            self._on_connect_response(frame)
            return
        pending = self._drop(frame.id)
        if pending is None:
            return  # Its time was up, or it was cancelled.
        if not frame.ok:
            pending.answer.errback(GatewayError.from_wire(frame.error, frame.payload))
        elif pending.on_accepted is not None and _is_accepted(frame.payload):
            self._await_final(frame.id, pending, frame.payload)
        else:
            pending.answer.callback(frame.payload)

    def _await_final(self, request_id: str, pending: _Pending, accepted: Any) -> None:
        on_accepted, pending.on_accepted = pending.on_accepted, None
        self._pending[request_id] = pending
        limit = pending.final_timeout
        pending.timer = (
            None
            if limit is None
            else self._clock.callLater(limit, self._timed_out, request_id, limit)
        )
        if on_accepted is not None:
            self._dialer.subscribers.call(on_accepted, accepted)

    def _on_event(self, frame: _Event) -> None:
        if frame.event == "connect.challenge":
            if self._connect_id is None:
                self._answer_challenge(frame.payload)
            return
        if frame.seq is not None:
            due = frame.seq if self._last_seq is None else self._last_seq + 1
            self._last_seq = frame.seq
            if frame.seq > due:
                self._dialer.subscribers.gap(due, frame.seq)
        self._dialer.subscribers.event(frame.event, frame.payload, frame.seq)

    def _watch_silence(self) -> None:
        """Look again when the Gateway would have been silent for too long."""
        if self._hello is None:
            return
        limit = 2 * self._hello.tick_interval
        silent = self._clock.seconds() - self._heard_at
        if silent >= limit:
            self._give_up(
                ConnectionLost(
                    f"The Gateway has said nothing for {limit:g} s; the connection is dead."
                )
            )
        else:
            self._silence = self._clock.callLater(limit - silent, self._watch_silence)


_SPEAKS_TLS = "{} speaks TLS; use wss:// instead of ws://."


def ignore(_: Any) -> None:
    """A callback for those who want none."""


def _is_accepted(payload: Any) -> bool:
    return isinstance(payload, dict) and payload.get("status") == "accepted"


def _stop(timer: IDelayedCall | None) -> None:
    if timer is not None and timer.active():
        timer.cancel()


def _part(payload: dict[str, Any], name: str) -> dict[str, Any]:
    part = payload.get(name)
    return part if isinstance(part, dict) else {}


def _read_hello(payload: Any, options: ClientOptions) -> Hello | None:
    """The hello in an answer to ``connect``; None when it is none of those we asked for."""
    if not isinstance(payload, dict) or payload.get("type") != "hello-ok":
        return None
    version = payload.get("protocol")
    if not isinstance(version, int) or not options.min_protocol <= version <= options.max_protocol:
        return None
    server, auth = _part(payload, "server"), _part(payload, "auth")
    methods = _part(payload, "features").get("methods")
    scopes = auth.get("scopes")
    tick = _part(payload, "policy").get("tickIntervalMs")
    return Hello(
        protocol=version,
        server_version=str(server.get("version", "")),
        conn_id=str(server.get("connId", "")),
        role=str(auth.get("role", options.role)),
        scopes=tuple(map(str, scopes)) if isinstance(scopes, list) else tuple(options.scopes),
        methods=frozenset(map(str, methods)) if isinstance(methods, list) else frozenset(),
        # A Gateway that announces nonsense is held to something that can be lived with.
        tick_interval=min(max(tick / 1000, 1.0), 600.0) if isinstance(tick, (int, float)) else 30.0,
        payload=payload,
    )


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
