"""Delivery of events to all connections that may hear them.

The payload is encoded once per protocol version, the frame once per sequence number: connections
that came together count alike, so most of a fan-out is one write of the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred

from clawgw.gateway.connection import Connection
from clawgw.protocol.frames import StateVersion, encode, event_head


class Broadcaster:
    """All connections, and the `EventSink` of the domain packages."""

    def __init__(self) -> None:
        self._connections: dict[str, Connection] = {}
        self._waiting: list[Deferred[None]] = []

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._connections.values()))

    def __len__(self) -> int:
        return len(self._connections)

    def add(self, connection: Connection) -> None:
        """From now on this connection hears events."""
        self._connections[connection.conn_id] = connection

    def remove(self, connection: Connection) -> None:
        """It hears no more."""
        self._connections.pop(connection.conn_id, None)
        if not self._connections:
            waiting, self._waiting = self._waiting, []
            for deferred in waiting:
                deferred.callback(None)

    def when_empty(self) -> Deferred[None]:
        """Fires when nobody is connected any more."""
        deferred: Deferred[None] = Deferred()
        if self._connections:
            self._waiting.append(deferred)
        else:
            deferred.callback(None)
        return deferred

    def has_device(self, device_id: str) -> bool:
        """Whether a device is connected."""
        return any(one.device_id == device_id for one in self._connections.values())

    def send(self, conn_id: str, name: str, payload: Any) -> bool:
        """Send an event to one connection, uncounted (see `events.SendTo`)."""
        connection = self._connections.get(conn_id)
        if connection is None:
            return False
        connection.send_directed(event_head(name, encode(payload)))
        return True

    def publish(
        self,
        name: str,
        payload: Any,
        *,
        v3: Any = None,
        droppable: bool = False,
        cap: str | None = None,
        state_version: StateVersion | None = None,
        only_version: int | None = None,
    ) -> None:
        """See `events.EventSink.publish`."""
        editions: dict[int, tuple[bytes, dict[int, bytes]]] = {}
        for connection in list(self._connections.values()):
            version = connection.version
            if name not in connection.audible or (cap and cap not in connection.caps):
                continue
            if only_version is not None and version != only_version:
                continue
            edition = editions.get(version)
            if edition is None:
                content = v3 if version < 4 and v3 is not None else payload
                head = event_head(name, encode(content), state_version)
                edition = editions[version] = (head, {})
            connection.send_event(*edition, droppable=droppable)
