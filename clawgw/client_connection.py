"""One conversation with a Gateway, from the first byte to the last frame.

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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from autobahn.twisted.websocket import WebSocketClientProtocol
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IHandshakeListener
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from clawgw.client_connect import connect_params
from clawgw.client_errors import (
    CannotConnect,
    ClientError,
    ConnectionLost,
    ConnectRefused,
    GatewayError,
    RequestTimeout,
)
from clawgw.client_hello import Hello, read_hello
from clawgw.client_tls import explain_tls_failure
from clawgw.protocol.base import Open

if TYPE_CHECKING:
    from clawgw.client_dialer import Dialer

__all__ = ["Connection"]

_CLOSE_GRACE = 2.0
"""Seconds a Gateway has to answer our close before we cut the connection."""


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
        # Autobahn says "None" for an HTTP error without a text of its own.
        why = (self.wasNotCleanReason or "").removesuffix(": None")
        return CannotConnect(
            f"{address} answered, but not as a Gateway does{f': {why}' if why else ''}."
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
        hello = read_hello(frame.payload, self._dialer.options)
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
        self._dialer.credentials.accepted(hello.device_token)
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


def _is_accepted(payload: Any) -> bool:
    return isinstance(payload, dict) and payload.get("status") == "accepted"


def _stop(timer: IDelayedCall | None) -> None:
    if timer is not None and timer.active():
        timer.cancel()
