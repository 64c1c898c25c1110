"""One connection after the handshake: who it is, what it may hear, how fast it reads.

Every event an eligible connection is due gets the connection's next `seq`, also one that is
dropped because the reader is slow: the hole tells the client to refresh. What a slow reader has
not taken waits here, not in the transport, so that it can be counted: a slow reader loses
droppable events first; when what waits for it exceeds `max_buffered_bytes`, it loses its
connection. So the Gateway's memory never depends on how fast somebody reads.

This is plain state over a `Wire`, which writes whole text frames; it knows no transport.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from clawgw.protocol.connect import ClientInfo
from clawgw.protocol.frames import with_seq, without_seq
from clawgw.trust.session_tokens import BoundSession

SLOW_CONSUMER = "slow consumer"
POLICY_VIOLATION = 1008


class Wire(Protocol):
    """Where a connection writes."""

    def send_framed(self, frame: bytes) -> None:
        """Write bytes that are WebSocket frames already."""

    def close(self, code: int, reason: str) -> None:
        """Begin to close."""


def text_frame(payload: bytes) -> bytes:
    """An unmasked, final WebSocket text frame (RFC 6455, section 5.2)."""
    return _text_head(len(payload)) + payload


def text_frame_of(pieces: Sequence[Any]) -> bytes:
    """The same of a payload in pieces, anything with a buffer, copied once."""
    views = [memoryview(piece) for piece in pieces]
    return b"".join((_text_head(sum(view.nbytes for view in views)), *views))


def _text_head(size: int) -> bytes:
    if size < 126:
        return b"\x81" + bytes((size,))
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")


class Connection:
    """A client that was let in.

    Args:
        wire: where its frames go.
        conn_id: its name in logs.
        version: the protocol version agreed on.
        audible: the names of the events it may hear.
        max_buffered_bytes: how much may wait for it.
        commands: what a node claims it can do; likewise `permissions` and `path_env`.
        bound_session: the session of an agent's tool; None for everybody else.
        host: the `Host` under which its client reached the Gateway.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        conn_id: str,
        version: int,
        role: str,
        scopes: frozenset[str],
        caps: frozenset[str],
        client: ClientInfo,
        device_id: str | None,
        auth_method: str,
        address: str,
        audible: frozenset[str],
        max_buffered_bytes: int,
        connected_at_ms: int,
        commands: Iterable[str] = (),
        permissions: dict[str, bool] | None = None,
        path_env: str | None = None,
        bound_session: BoundSession | None = None,
        host: str = "",
    ) -> None:
        self.wire = wire
        self.conn_id = conn_id
        self.version = version
        self.role = role
        self.scopes = scopes
        self.caps = caps
        self.client = client
        self.device_id = device_id
        self.auth_method = auth_method
        self.address = address
        self.audible = audible
        self.connected_at_ms = connected_at_ms
        self.commands = tuple(dict.fromkeys(commands))
        self.permissions = permissions or {}
        self.path_env = path_env
        self.bound_session = bound_session
        self.host = host
        self.pending_requests = 0
        self._seq = 0
        self._max_buffered = max_buffered_bytes
        self._slow = False
        self._waiting: deque[bytes] = deque()
        self._buffered = 0
        self._closed = False

    def respond(self, payload: bytes) -> None:
        """Send a response."""
        self._write(text_frame(payload))

    def respond_spliced(self, pieces: Sequence[Any]) -> None:
        """Send a response that is in pieces."""
        self._write(text_frame_of(pieces))

    def send_directed(self, head: bytes) -> None:
        """Send an event that is for this connection alone, and so is not counted."""
        self._write(text_frame(without_seq(head)))

    def send_event(self, head: bytes, frames: dict[int, bytes], *, droppable: bool) -> None:
        """Send an event with this connection's next number.

        Args:
            head: the event without its end, see `protocol.frames.event_head`.
            frames: frames of this event already made, by number; shared by all connections.
            droppable: whether a slow reader goes without.
        """
        self._seq = seq = self._seq + 1
        if self._slow and droppable:
            return
        frame = frames.get(seq)
        if frame is None:
            frame = frames[seq] = text_frame(with_seq(head, seq))
        self._write(frame)

    def reader_is_slow(self) -> None:
        """The transport has more than it can send: write nothing until it has caught up."""
        self._slow = True

    def reader_caught_up(self) -> None:
        """Everything written has gone to the network: go on with what waits."""
        self._slow = False
        while self._waiting and not self._slow:
            frame = self._waiting.popleft()
            self._buffered -= len(frame)
            self.wire.send_framed(frame)

    def close(self, code: int, reason: str) -> None:
        """Begin to close, once."""
        if not self._closed:
            self._closed = True
            self._waiting.clear()
            self.wire.close(code, reason)

    def _write(self, frame: bytes) -> None:
        if not self._slow:
            self.wire.send_framed(frame)
        elif not self._closed:
            self._waiting.append(frame)
            self._buffered += len(frame)
            if self._buffered > self._max_buffered:
                self.close(POLICY_VIOLATION, SLOW_CONSUMER)
