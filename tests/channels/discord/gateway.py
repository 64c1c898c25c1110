"""The fake's Gateway: WebSocket, version 10, JSON, with or without zlib-stream.

It holds a client to what is documented: the query of the address, Identify or Resume first, one
Identify in five seconds, 120 frames a minute, 4096 bytes a frame, a heartbeat in time; each
breach has its close code. A client that closes with 1000 or 1001 gives up its session; any other
end leaves the session to be resumed, and what happens meanwhile is replayed.

What a test can do to it is in `Gateway`'s public attributes and methods.
"""

from __future__ import annotations

import json
import zlib
from collections import deque
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol

from tests.channels.discord.world import (
    GUILDS,
    JSON,
    KNOWN_INTENTS,
    MESSAGE_CONTENT,
    PRIVILEGED,
    Session,
    World,
)

DISPATCH, HEARTBEAT, IDENTIFY, RESUME, RECONNECT, INVALID, HELLO, ACK = 0, 1, 2, 6, 7, 9, 10, 11
ACCEPTED = {HEARTBEAT, IDENTIFY, 3, 4, RESUME, 8, 31, 43}
RESUME_PATH = "/resume/"


class Gateway(WebSocketServerFactory):
    """All connections.

    Attributes:
        resume_url: another address for resuming.
        heartbeat_ms: what Hello says.
        patience: seconds a heartbeat may be late; both ends wait in the same process.
        identify_seconds: how far apart two Identify must be.
        acks: whether heartbeats are acknowledged.
        fragment: send each frame in pieces of so many bytes (with compression only).
        hello: whether a new connection is greeted.
        refuse: close codes for the next Identify or Resume, one each.
        handshakes: how every client began: `(operation, path, query, payload)`.
        heartbeats: the sequence numbers heard.
        identifies, resumes: how many succeeded.
        too_soon: how many Identify were refused because they came too soon after another.
        complaints: what clients did against the rules.
    """

    protocol: Any

    def __init__(self, reactor: Any, world: World) -> None:
        super().__init__(reactor=reactor)
        self.protocol = _Connection
        # Autobahn counts whole seconds of the clock: one may be over before a close frame is out.
        self.setProtocolOptions(
            openHandshakeTimeout=5, closeHandshakeTimeout=0, maxMessagePayloadSize=1 << 20
        )
        self.clock = reactor
        self.world = world
        self.base = ""
        self.resume_url = ""
        self.heartbeat_ms = 41_250
        self.patience = 30.0
        self.identify_seconds = 5.0
        self.acks = True
        self.fragment = 0
        self.hello = True
        self.refuse: deque[int] = deque()
        self.connections: list[_Connection] = []
        self.handshakes: list[tuple[str, str, dict[str, str], JSON]] = []
        self.heartbeats: list[int | None] = []
        self.identifies = 0
        self.too_soon = 0
        self.resumes = 0
        self.complaints: list[str] = []
        self._last_identify: float | None = None

    # What a test can do

    def cut(self) -> int:
        """Tear every connection, without a close frame; returns how many there were."""
        torn = list(self.connections)
        for connection in torn:
            connection.transport.abortConnection()
        return len(torn)

    def close(self, code: int, reason: str = "") -> None:
        """Close every connection with a code; those that say so take the session with them."""
        if code in (4007, 4009):
            self.forget()
        for connection in list(self.connections):
            connection.sendClose(code, reason)

    def reconnect(self) -> None:
        """Ask everybody to reconnect (op 7)."""
        self._all({"op": RECONNECT, "d": None})

    def invalidate(self, resumable: bool) -> None:
        """Invalid Session (op 9); what is not resumable is forgotten."""
        if not resumable:
            self.forget()
        self._all({"op": INVALID, "d": resumable})

    def forget(self) -> None:
        """Lose all sessions, as after a long absence."""
        self.world.sessions.clear()

    def ask_heartbeat(self) -> None:
        self._all({"op": HEARTBEAT, "d": None})

    def send_raw(self, data: bytes) -> None:
        """Send anything; compressed where that was agreed."""
        for connection in list(self.connections):
            connection.send_bytes(data)

    def ready(self) -> bool:
        """Whether somebody is connected with a session."""
        return any(connection.session for connection in self.connections)

    def _all(self, frame: JSON) -> None:
        for connection in list(self.connections):
            connection.send_frame(frame)

    # Sessions

    def identified(self, connection: _Connection, intents: int) -> Session | None:
        """A new session, or None where Identify came too soon."""
        now = self.clock.seconds()
        if self._last_identify is not None and now - self._last_identify < self.identify_seconds:
            self.too_soon += 1
            return None
        self._last_identify = now
        self.identifies += 1
        session = Session(self.world.secret()[:32], intents)
        self.world.sessions[session.id] = session
        return session

    def greet(self, session: Session) -> None:
        """Ready, then the servers one by one."""
        world = self.world
        guilds = list(world.guilds.values())
        session.dispatch(
            "READY",
            {
                "v": 10,
                "user": world.bot.json(),
                "guilds": [{"id": guild.id, "unavailable": True} for guild in guilds],
                "session_id": session.id,
                "resume_gateway_url": self.resume_url or self.base + RESUME_PATH.rstrip("/"),
                "application": {"id": world.application_id, "flags": 0},
                "_trace": ["fake"],
            },
        )
        if session.intents & GUILDS:
            for guild in guilds:
                session.dispatch("GUILD_CREATE", guild.json())


class _Connection(WebSocketServerProtocol):
    """One client."""

    factory: Gateway
    session: Session | None = None
    _deadline: Any = None

    def onConnect(self, request: Any) -> None:
        parts = urlsplit(request.path)
        self.path = parts.path or "/"
        self.query = {key: values[0] for key, values in request.params.items()}
        self.query |= dict(parse_qsl(parts.query))
        compress = self.query.get("compress")
        self._deflate = zlib.compressobj() if compress == "zlib-stream" else None
        self._received: deque[float] = deque(maxlen=121)

    def onOpen(self) -> None:
        self.factory.connections.append(self)
        if self.query.get("v") != "10":
            self.sendClose(4012, "Invalid API version.")
        elif self.query.get("encoding", "json") != "json":
            self.sendClose(4002, "This fake speaks JSON only.")
        elif self.factory.hello:
            self.send_frame({"op": HELLO, "d": {"heartbeat_interval": self.factory.heartbeat_ms}})
            self._expect_heartbeat()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if self in self.factory.connections:
            self.factory.connections.remove(self)
        if self._deadline and self._deadline.active():
            self._deadline.cancel()
        session, self.session = self.session, None
        if session is None:
            return
        if session.deliver == self.send_frame:
            session.deliver = None
        # Whoever says goodbye with these two gives the session up.
        if self.remoteCloseCode in (1000, 1001) and wasClean and self.closedByMe is False:
            self.factory.world.sessions.pop(session.id, None)

    # Out

    def send_frame(self, frame: JSON) -> None:
        self.send_bytes(json.dumps(frame).encode())

    def send_bytes(self, data: bytes) -> None:
        if self.state != self.STATE_OPEN:
            return
        if self._deflate is None:
            self.sendMessage(data, isBinary=False)
            return
        packed = self._deflate.compress(data) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        size = self.factory.fragment or len(packed)
        for start in range(0, len(packed), size):
            self.sendMessage(packed[start : start + size], isBinary=True)

    # In

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        problem = self._wrong(payload)
        if problem:
            self._refuse(*problem)
            return
        frame = json.loads(payload)
        data = frame.get("d")
        if frame["op"] == HEARTBEAT:
            self._heartbeat(data)
        elif frame["op"] == IDENTIFY:
            self._begin("identify", data, self._identify)
        elif frame["op"] == RESUME:
            self._begin("resume", data, self._resume)
        elif self.session is None:
            self._refuse(4003, "Not authenticated.")

    def _wrong(self, payload: bytes) -> tuple[int, str] | None:
        now = self.factory.clock.seconds()
        self._received.append(now)
        if len(self._received) > 120 and now - self._received[0] < 60:
            return 4008, "Rate limited."
        if len(payload) > 4096:
            return 4002, "Payload too large."
        try:
            frame = json.loads(payload)
        except ValueError:
            return 4002, "Error while decoding payload."
        if not isinstance(frame, dict) or frame.get("op") not in ACCEPTED:
            return 4001, "Unknown opcode."
        return None

    def _refuse(self, code: int, reason: str) -> None:
        self.factory.complaints.append(f"{code} {reason}")
        self.sendClose(code, reason)

    def _heartbeat(self, seq: Any) -> None:
        if seq is not None and (not isinstance(seq, int) or isinstance(seq, bool)):
            self._refuse(4001, "A heartbeat carries the last sequence number or null.")
            return
        self.factory.heartbeats.append(seq)
        self._expect_heartbeat()
        if self.factory.acks:
            self.send_frame({"op": ACK, "d": None})

    def _expect_heartbeat(self) -> None:
        if self._deadline and self._deadline.active():
            self._deadline.cancel()
        late = self.factory.heartbeat_ms / 1000 + self.factory.patience
        self._deadline = self.factory.clock.callLater(late, self._late)

    def _late(self) -> None:
        self._refuse(4000, "No heartbeat in time.")

    def _begin(self, kind: str, data: Any, go: Any) -> None:
        known = data if isinstance(data, dict) else {}
        shown = {key: value for key, value in known.items() if key != "token"}
        self.factory.handshakes.append((kind, self.path, self.query, shown))
        if self.session is not None:
            self._refuse(4005, "Already authenticated.")
        elif self.factory.refuse:
            self.sendClose(self.factory.refuse.popleft(), "As the test wished.")
        elif known.get("token") != self.factory.world.token:
            self._refuse(4004, "Authentication failed.")
        else:
            go(known)

    def _identify(self, data: JSON) -> None:
        intents = data.get("intents")
        properties = data.get("properties")
        if not isinstance(properties, dict) or not {"os", "browser", "device"} <= set(properties):
            self._refuse(4002, "Identify needs properties: os, browser, device.")
        elif not isinstance(intents, int) or intents & ~KNOWN_INTENTS:
            self._refuse(4013, "Invalid intent(s).")
        elif intents & PRIVILEGED & ~(MESSAGE_CONTENT if self.factory.world.content_enabled else 0):
            self._refuse(4014, "Disallowed intent(s).")
        elif session := self.factory.identified(self, intents):
            self._attach(session)
            self.factory.greet(session)
        else:
            self.send_frame({"op": INVALID, "d": False})

    def _resume(self, data: JSON) -> None:
        session = self.factory.world.sessions.get(str(data.get("session_id")))
        seq = data.get("seq")
        if not isinstance(seq, int):
            self._refuse(4001, "Resume needs seq.")
        elif session is None:
            self.send_frame({"op": INVALID, "d": False})
        elif seq > len(session.log):
            self._refuse(4007, "Invalid seq.")
        else:
            self.factory.resumes += 1
            self._attach(session)
            for frame in session.log[seq:]:
                self.send_frame(frame)
            session.dispatch("RESUMED", {"_trace": ["fake"]})

    def _attach(self, session: Session) -> None:
        for other in self.factory.connections:
            if other is not self and other.session is session:
                other.session = None
                other.sendClose(4000, "The session was resumed elsewhere.")
        self.session = session
        session.deliver = self.send_frame
