"""Slack's Socket Mode: the WebSocket side of the fake.

A socket opens with a ticket from ``apps.connections.open`` that works once, and is greeted with
``hello``. Every payload goes to one of the open sockets (up to ten), inside an envelope that the
client must acknowledge within three seconds; else the payload is delivered again with
``retry_attempt`` and ``retry_reason``, up to three times with growing pauses, and then given up:
``lost``. A payload for which no socket is open fails the same way.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from tests.channels.slack import workspace
from tests.channels.slack.workspace import Json

if TYPE_CHECKING:
    from tests.channels.slack.fake import FakeSlack

MAX_SOCKETS = 10
ACK_TIMEOUT = 3.0
RETRY_PAUSES = (0.0, 60.0, 300.0)  # seconds before the first, second and third retry


@dataclass
class Delivery:
    """One payload on its way: how often it was tried, and whether it was acknowledged."""

    kind: str
    payload: Json
    envelopes: list[str] = field(default_factory=list)
    acknowledged: bool = False
    lost: bool = False
    timer: IDelayedCall | None = None

    @property
    def attempts(self) -> int:
        return len(self.envelopes)


class Sockets:
    """All open sockets, and the payloads that wait for an acknowledgement.

    ``ack_timeout`` and ``retry_pauses`` are Slack's own; a test shortens them. ``hold`` keeps
    payloads back until ``release``, which can give them out in another order.
    """

    def __init__(self, slack: FakeSlack, reactor: IReactorTime) -> None:
        self.slack = slack
        self.reactor = reactor
        self.ack_timeout = ACK_TIMEOUT
        self.retry_pauses: tuple[float, ...] = RETRY_PAUSES
        self.open: list[Socket] = []
        self.deliveries: list[Delivery] = []
        self.acks: list[tuple[str, Json]] = []
        """Envelope ids in the order they were acknowledged, each with the payload sent along."""
        self.hello = True
        self.goodbye = ""
        """The reason of a ``disconnect`` that takes the place of ``hello``."""
        self.hold = False
        self.copies = 1
        """How many times each payload is sent: 2 doubles everything."""
        self.most_open = 0
        self._held: list[Delivery] = []
        self._by_envelope: dict[str, Delivery] = {}
        self._turn = 0
        self._over = False

    @property
    def lost(self) -> list[Delivery]:
        return [delivery for delivery in self.deliveries if delivery.lost]

    @property
    def pending(self) -> list[Delivery]:
        return [one for one in self.deliveries if not one.acknowledged and not one.lost]

    def send(self, kind: str, payload: Json) -> Delivery:
        """Delivers a payload: ``events_api``, ``interactive`` or ``slash_commands``."""
        delivery = Delivery(kind, payload)
        self.deliveries.append(delivery)
        if self.hold:
            self._held.append(delivery)
        else:
            self._try(delivery)
        return delivery

    def release(self, *, backwards: bool = False) -> None:
        """Sends what was held, in the order it came or in the reverse order."""
        self.hold = False
        held, self._held = self._held, []
        for delivery in reversed(held) if backwards else held:
            self._try(delivery)

    def opened(self, socket: Socket) -> None:
        self.open.append(socket)
        self.most_open = max(self.most_open, len(self.open))
        if self.goodbye:
            socket.disconnect(self.goodbye, close_after=None)
        elif self.hello:
            socket.say(
                {
                    "type": "hello",
                    "num_connections": len(self.open),
                    "debug_info": {"host": "applink-fake", "approximate_connection_time": 18060},
                    "connection_info": {"app_id": workspace.APP},
                }
            )

    def closed(self, socket: Socket) -> None:
        if socket in self.open:
            self.open.remove(socket)
        for delivery in self.pending:
            if delivery.envelopes and delivery.envelopes[-1] in socket.envelopes:
                self._failed(delivery)

    def acknowledged(self, envelope: str, payload: Json) -> None:
        self.acks.append((envelope, payload))
        delivery = self._by_envelope.get(envelope)
        if delivery is None:
            self.slack.violations.append(f"acknowledged an envelope that never was: {envelope!r}")
            return
        delivery.acknowledged = True
        self._stop(delivery)

    def stop(self) -> None:
        """Gives up what is under way: no timer stays behind."""
        self._over = True
        for delivery in self.deliveries:
            self._stop(delivery)

    def _try(self, delivery: Delivery) -> None:
        envelope = str(uuid.uuid4())
        delivery.envelopes.append(envelope)
        self._by_envelope[envelope] = delivery
        ready = [socket for socket in self.open if not socket.leaving]
        if not ready:
            self._failed(delivery)
            return
        self._turn += 1
        socket = ready[self._turn % len(ready)]
        message = {
            "envelope_id": envelope,
            "type": delivery.kind,
            "accepts_response_payload": delivery.kind != "events_api",
            "payload": delivery.payload,
        }
        if delivery.kind == "events_api":
            message["retry_attempt"] = delivery.attempts - 1
            message["retry_reason"] = "timeout" if delivery.attempts > 1 else ""
        socket.envelopes.add(envelope)
        for _ in range(self.copies):
            socket.say(message)
        delivery.timer = self.reactor.callLater(self.ack_timeout, self._failed, delivery)

    def _failed(self, delivery: Delivery) -> None:
        """No acknowledgement came. Only events are tried again; a click is gone."""
        self._stop(delivery)
        if (
            self._over
            or delivery.kind != "events_api"
            or delivery.attempts > len(self.retry_pauses)
        ):
            delivery.lost = True
            return
        pause = self.retry_pauses[delivery.attempts - 1]
        delivery.timer = self.reactor.callLater(pause, self._try, delivery)

    def _stop(self, delivery: Delivery) -> None:
        if delivery.timer is not None and delivery.timer.active():
            delivery.timer.cancel()
        delivery.timer = None


class Socket(WebSocketServerProtocol):
    """One connection of a client."""

    def __init__(self, sockets: Sockets) -> None:
        super().__init__()
        self._sockets = sockets
        self.envelopes: set[str] = set()
        self.leaving = False

    def onConnect(self, request: Any) -> None:
        ticket = (request.params.get("ticket") or [""])[0]
        if not self._sockets.slack.use_ticket(ticket):
            raise ConnectionDeny(ConnectionDeny.FORBIDDEN, "the ticket is used or unknown")
        if len(self._sockets.open) >= MAX_SOCKETS:
            raise ConnectionDeny(ConnectionDeny.FORBIDDEN, "too many connections")

    def onOpen(self) -> None:
        self._sockets.opened(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        try:
            message = json.loads(payload)
            envelope = message["envelope_id"]
        except (ValueError, KeyError, TypeError):
            self._sockets.slack.violations.append(f"not an acknowledgement: {payload[:200]!r}")
            return
        self._sockets.acknowledged(envelope, message.get("payload") or {})

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self._sockets.closed(self)

    def say(self, message: Json) -> None:
        self.say_text(json.dumps(message))

    def say_text(self, text: str) -> None:
        """Sends any text: what is no JSON, what has no end."""
        self.sendMessage(text.encode())

    def disconnect(self, reason: str, close_after: float | None) -> None:
        """Slack's ``disconnect``: ``warning``, ``refresh_requested`` or ``link_disabled``.

        A ``refresh_requested`` socket gets nothing more. It closes after ``close_after`` seconds;
        ``None`` leaves that to the client.
        """
        self.leaving = reason != "warning"
        self.say({"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-fake"}})
        if close_after is not None:
            closing = self._sockets.reactor.callLater(close_after, self.sendClose, 1000)
            self.is_closed.addCallback(lambda _: closing.active() and closing.cancel())

    def cut(self) -> None:
        """Resets the connection without a closing handshake."""
        self.transport.abortConnection()

    def freeze(self) -> None:
        """Neither reads nor writes any more, and does not close: a half-open connection."""
        self.transport.stopReading()
        self.leaving = True


class SocketFactory(WebSocketServerFactory):
    """Makes a ``Socket`` of each connection."""

    noisy = False

    def __init__(self, sockets: Sockets) -> None:
        super().__init__(reactor=sockets.reactor)
        self._sockets = sockets
        self.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0)

    def buildProtocol(self, addr: Any) -> Socket:
        socket = Socket(self._sockets)
        socket.factory = self
        return socket
