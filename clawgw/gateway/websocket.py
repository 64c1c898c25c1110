"""The WebSocket edge: bytes in, frames out, one `ApiProtocol` per connection.

A connection passes through four states. *Opening*: the HTTP upgrade, which Autobahn does.
*Challenged*: the Gateway has sent `connect.challenge` and takes one frame, of at most 64 KiB,
within ten seconds; anything but a `connect` request ends the connection. *Deciding*: the decision
may have to wait for the disk; a client that sends more meanwhile is cut off. *Admitted*: frames
go to the router, events come from the broadcaster, and only now the limits are those of
`hello-ok.policy`.

Outgoing frames are put together here and written to the transport as one piece; what has to wait
because the peer reads slowly is counted through Twisted's producer interface.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionRequest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IPushProducer, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from clawgw.events import AUDIBLE_TO_TOOLS, RULES, audible_events
from clawgw.gateway.admission import AdmissionCount
from clawgw.gateway.broadcast import Broadcaster
from clawgw.gateway.connect_log import ConnectLog
from clawgw.gateway.connection import Connection, text_frame
from clawgw.gateway.handshake import (
    Denied,
    Gatekeeper,
    Granted,
    bad_params,
    broken,
    describe,
    not_connect,
)
from clawgw.gateway.hello import Greeter, policy_of
from clawgw.gateway.router import InThread, Router
from clawgw.protocol.base import UNSET, given
from clawgw.protocol.connect import ChallengeEvent, ConnectParams
from clawgw.protocol.frames import (
    decode_request,
    encode,
    error_response,
    event_head,
    response,
    without_seq,
)
from clawgw.protocol.validate import (
    UNREADABLE,
    MalformedJson,
    ParamsDecoder,
    ParamsRejected,
    explain,
    unreadable,
)
from clawgw.trust.peers import Peer, PeerPolicy, identify

PRE_AUTH_FRAME = 64 * 1024
HANDSHAKE_SECONDS = 10.0
LINGER_SECONDS = 5.0
PING_SECONDS = 25.0
PONG_SECONDS = 60.0

PROTOCOL_VIOLATION = 1008
ORDINARY_CLOSE = frozenset({None, 1000, 1001, 1005, 1006})


@dataclass(frozen=True)
class Edge:
    """What every connection shares."""

    reactor: IReactorTime
    gatekeeper: Gatekeeper
    greeter: Greeter
    router: Router
    broadcaster: Broadcaster
    peer_policy: PeerPolicy
    in_thread: InThread
    connect_log: ConnectLog
    on_arrival: Any
    on_departure: Any
    now_ms: Any


@implementer(IPushProducer)
class ApiProtocol(WebSocketServerProtocol):
    """One client's WebSocket."""

    # Not `log`: Autobahn writes its own remarks to that one.
    gateway_log = Logger()
    # On the class: Autobahn looks here before it has copied the factory's options, and without it
    # a second small frame waits 40 ms for the peer's acknowledgement of the first (Nagle).
    tcpNoDelay = True
    transport: Any  # TCP or TLS; Autobahn knows only ITransport
    edge: Edge
    connection: Connection | None = None
    peer_info: Peer
    _nonce = ""
    _host = ""
    _deciding = False
    _timer: Any = None
    _finished = False

    # Opening

    def onConnect(self, request: ConnectionRequest) -> None:
        """The upgrade request is there: remember who asks."""
        transport = self.transport
        address = getattr(transport.getPeer(), "host", "") or "unknown"
        certificate = getattr(transport, "getPeerCertificate", lambda: None)()
        self._host = request.headers.get("host", "")
        self.peer_info = identify(
            address,
            request.headers,
            self.edge.peer_policy,
            secure=self.factory.isSecure,
            tls_pinned=certificate is not None,
        )._replace(tools_only=self.factory.tools_only)

    def onOpen(self) -> None:
        """The WebSocket is open: speak first."""
        self.conn_id = str(uuid.uuid4())
        self._nonce = str(uuid.uuid4())
        self._timer = self.edge.reactor.callLater(HANDSHAKE_SECONDS, self._too_slow)
        challenge = ChallengeEvent(nonce=self._nonce, ts=self.edge.now_ms())
        self.send_text(without_seq(event_head("connect.challenge", encode(challenge))))

    def _too_slow(self) -> None:
        self._timer = None
        self.gateway_log.info("{conn}: no connect within the time allowed", conn=self.conn_id)
        self.close(PROTOCOL_VIOLATION, "handshake timeout")

    # Frames in

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A whole message."""
        connection = self.connection
        if self._finished:
            return
        if isBinary:
            self.close(1003, "text frames only")
        elif connection is not None:
            self.edge.router.handle(connection, payload)
        elif self._deciding:
            self.close(PROTOCOL_VIOLATION, "wait for hello-ok")
        else:
            self._first_frame(payload)

    def _first_frame(self, payload: bytes) -> None:
        try:
            frame = decode_request(payload)
        except UNREADABLE as problem:
            why = (
                "no request frame"
                if isinstance(problem, msgspec.ValidationError)
                else unreadable(problem)
            )
            self.gateway_log.info("{conn}: first frame refused: {why}", conn=self.conn_id, why=why)
            self.close(PROTOCOL_VIOLATION, "invalid request frame")
            return
        if frame.method != "connect":
            self._deny(frame.id, not_connect(frame.method))
            return
        self._deciding = True
        raw = b"{}" if frame.params is UNSET else frame.params
        done = Deferred.fromCoroutine(self._connect(frame.id, raw))
        done.addErrback(self._broke, frame.id)

    async def _connect(self, frame_id: str, raw: Any) -> None:
        decoder = self.factory.connect_decoder
        try:
            params = decoder.decode(raw)
        except MalformedJson as problem:
            self._deny(frame_id, bad_params(f"invalid connect params: {problem}"))
            return
        except ParamsRejected as rejected:
            sentence = await self.edge.in_thread(explain, "connect", decoder.schema, rejected.value)
            self._deny(frame_id, bad_params(sentence))
            return
        verdict = await self.edge.gatekeeper.admit(params, self.peer_info, self._nonce)
        if self._finished:
            return
        if isinstance(verdict, Denied):
            self._note(params, "refused", verdict.error.message)
            self._deny(frame_id, verdict)
        else:
            self._admit(frame_id, params, verdict)

    def _broke(self, failure: Failure, frame_id: str) -> None:
        self.gateway_log.failure("while connecting", failure)
        self._deny(frame_id, broken())

    def _deny(self, frame_id: str, denied: Denied) -> None:
        self.send_text(error_response(frame_id, denied.error))
        self.close(denied.close_code, denied.close_reason)

    def _admit(self, frame_id: str, params: ConnectParams, granted: Granted) -> None:
        admitted, token = granted
        policy = policy_of(admitted.version)
        audible = audible_events(admitted.version, admitted.role, frozenset(admitted.scopes))
        if admitted.bound_session is not None:
            audible &= AUDIBLE_TO_TOOLS
        connection = Connection(
            self,
            conn_id=self.conn_id,
            version=admitted.version,
            role=admitted.role,
            scopes=frozenset(admitted.scopes),
            caps=frozenset(given(params.caps, [])),
            client=params.client,
            device_id=admitted.device_id,
            auth_method=admitted.method,
            address=self.peer_info.address,
            audible=audible,
            max_buffered_bytes=policy.max_buffered_bytes,
            connected_at_ms=self.edge.now_ms(),
            commands=given(params.commands, []),
            permissions=given(params.permissions, {}),
            path_env=given(params.path_env, None),
            bound_session=admitted.bound_session,
            host=self._host,
        )
        self._stop_timer()
        self.factory.admission.leave(self._counted_address)
        self._counted_address = None
        self.maxFramePayloadSize = self.maxMessagePayloadSize = policy.max_payload
        self.transport.registerProducer(self, True)
        events = audible if admitted.version >= 4 else frozenset(RULES) & audible
        hello = self.edge.greeter.hello(admitted, self.conn_id, events, token, self._host)
        connection.respond(response(frame_id, encode(hello)))
        self.connection = connection
        self.edge.broadcaster.add(connection)
        self.edge.on_arrival(connection)
        self._note(params, "connected", f"authenticated by {admitted.method}")

    def _note(self, params: ConnectParams, what: str, why: str) -> None:
        """A line of the connection log."""
        self.edge.connect_log.line(
            lambda: (
                "{conn}: {what} {client} from {address}: {why}",
                {
                    "conn": self.conn_id,
                    "what": what,
                    "client": describe(params),
                    "address": self.peer_info.address,
                    "why": why,
                },
            )
        )

    # Frames out (the `Wire` of a `Connection`)

    def send_text(self, payload: bytes) -> None:
        """See `connection.Wire`."""
        self.send_framed(text_frame(payload))

    def send_framed(self, frame: bytes) -> None:
        """See `connection.Wire`."""
        if self.state == self.STATE_OPEN:
            self.transport.write(frame)

    def close(self, code: int, reason: str) -> None:
        """See `connection.Wire`. A peer that does not read is cut off after a moment."""
        if self._finished:
            return
        self._finished = True
        self._stop_timer()
        if self.connection is not None:
            self.transport.unregisterProducer()
            self.gateway_log.info("{conn}: closing: {why}", conn=self.conn_id, why=reason)
        # Not `sendClose`: Autobahn keeps codes such as 1008 from applications.
        self.sendCloseFrame(code=code, reasonUtf8=reason[:120].encode(), isReply=False)
        self._timer = self.edge.reactor.callLater(LINGER_SECONDS, self._cut_off)

    def _cut_off(self) -> None:
        self._timer = None
        self.transport.abortConnection()

    # The peer's reading speed (IPushProducer)

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        if self.connection is not None:
            self.connection.reader_is_slow()

    def resumeProducing(self) -> None:
        """The transport's buffer is empty."""
        if self.connection is not None:
            self.connection.reader_caught_up()

    def stopProducing(self) -> None:
        """The transport is gone; `onClose` follows."""

    # The end

    _counted_address: str | None = None

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is over, however it ended."""
        self._finished = True
        self._stop_timer()
        if self._counted_address is not None:
            self.factory.admission.leave(self._counted_address)
            self._counted_address = None
        connection, self.connection = self.connection, None
        if connection is not None:
            self.edge.broadcaster.remove(connection)
            self.edge.on_departure(connection)
            if code not in ORDINARY_CLOSE:
                self.gateway_log.info("{conn}: closed with {code}", conn=self.conn_id, code=code)

    def _closeConnection(self, abort: bool = False) -> None:
        # Autobahn closes the transport here; over TLS that waits for a producer that stays.
        if self.connection is not None and not self._finished:
            self.transport.unregisterProducer()
        super()._closeConnection(abort)


class ApiFactory(WebSocketServerFactory):
    """Makes an `ApiProtocol` per connection, as long as not too many wait to be let in.

    With `tools_only` it lets in nobody but tools of agents.
    """

    protocol = ApiProtocol
    noisy = False

    def __init__(
        self,
        edge: Edge,
        admission: AdmissionCount,
        *,
        secure: bool = False,
        tools_only: bool = False,
    ) -> None:
        super().__init__(reactor=edge.reactor)  # type: ignore[no-untyped-call]
        self.isSecure = secure
        self.tools_only = tools_only
        self.edge = edge
        self.admission = admission
        self.connect_decoder: ParamsDecoder[ConnectParams] = ParamsDecoder(ConnectParams)
        self.setProtocolOptions(  # type: ignore[no-untyped-call]
            webStatus=False,
            maxFramePayloadSize=PRE_AUTH_FRAME,
            maxMessagePayloadSize=PRE_AUTH_FRAME,
            openHandshakeTimeout=HANDSHAKE_SECONDS,
            closeHandshakeTimeout=2,
            failByDrop=False,  # say by a close code what was wrong
            tcpNoDelay=True,
            autoPingInterval=PING_SECONDS,
            autoPingTimeout=PONG_SECONDS,
        )

    def buildProtocol(self, addr: IAddress | None) -> ApiProtocol | None:
        """A protocol for a connection, or None to refuse it."""
        address = getattr(addr, "host", "") or "unknown"
        if not self.admission.enter(address):
            return None
        protocol: Any = super().buildProtocol(addr)
        protocol.edge = self.edge
        protocol._counted_address = address
        return cast(ApiProtocol, protocol)
