"""Presence: who is there.

The Gateway itself is always the first row. A client that a person looks at (app, page, node) has
one row per device, also when the device is there twice, as operator and as node; command line
clients come and go and have none. A row that is a beacon or a note (`system-event`) fades after
five minutes. Every change makes a new edition of the list, which is encoded once and sent to all.
"""

from __future__ import annotations

import platform
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

from msgspec import UNSET, structs

from clawgw.protocol.base import given
from clawgw.protocol.connect import ClientInfo
from clawgw.protocol.frames import encode
from clawgw.protocol.system import PresenceEntry, SystemEventParams

BEACON_LIFETIME_MS = 5 * 60 * 1000
MAX_BEACONS = 200
SILENT_MODES = frozenset({"cli", "probe", "test", "backend"})


class Visitor(Protocol):
    """What presence knows of a connection."""

    conn_id: str
    role: str
    scopes: frozenset[str]
    client: ClientInfo
    device_id: str | None
    address: str


class _Row(NamedTuple):
    entry: PresenceEntry
    connections: Mapping[str, str]  # role by conn id; empty for a beacon


class Presence:
    """The list, and its edition.

    Args:
        now_ms: the time, in milliseconds since the epoch.
        version: of the Gateway.
        instance_id: of this process.
        changed: called after every change.
    """

    def __init__(
        self,
        now_ms: Callable[[], int],
        version: str,
        instance_id: str,
        changed: Callable[[], None],
    ) -> None:
        self._now_ms = now_ms
        self._changed = changed
        self._self = self_entry(version, instance_id, now_ms())
        self._rows: dict[str, _Row] = {}
        self._encoded: bytes | None = None
        self.edition = 1

    def entries(self) -> list[PresenceEntry]:
        """The Gateway, then the others, the latest first."""
        rows = sorted((row.entry for row in self._rows.values()), key=lambda entry: -entry.ts)
        return [self._self, *rows]

    def encoded(self) -> bytes:
        """The list as JSON."""
        if self._encoded is None:
            self._encoded = encode(self.entries())
        return self._encoded

    def arrived(self, visitor: Visitor) -> None:
        """Somebody connected."""
        if visitor.client.mode in SILENT_MODES:
            return
        key = _key_of(visitor)
        old = self._rows.get(key)
        connections = {**(old.connections if old else {}), visitor.conn_id: visitor.role}
        entry = _visitor_entry(visitor, self._now_ms(), connections.values())
        self._rows[key] = _Row(entry, connections)
        self._renew()

    def left(self, visitor: Visitor) -> None:
        """Somebody disconnected; the row stays while the device is connected another way."""
        key = _key_of(visitor)
        row = self._rows.get(key)
        if row is None or visitor.conn_id not in row.connections:
            return
        remaining = {
            conn_id: role for conn_id, role in row.connections.items() if conn_id != visitor.conn_id
        }
        if remaining:
            entry = structs.replace(row.entry, roles=sorted(set(remaining.values())))
            self._rows[key] = _Row(entry, remaining)
        else:
            del self._rows[key]
        self._renew()

    def beacon(self, event: SystemEventParams) -> None:
        """An app says how it is, or somebody leaves a note."""
        now = self._now_ms()
        key = given(event.device_id, "") or given(event.instance_id, "") or f"note:{event.text}"
        old = self._rows.get(key)
        fields = {name: getattr(event, name) for name in event.__struct_fields__}
        if old is not None:
            known = {name: value for name, value in fields.items() if value is not UNSET}
            entry = structs.replace(old.entry, ts=now, **known)
            self._rows[key] = old._replace(entry=entry)
        else:
            self._rows[key] = _Row(PresenceEntry(ts=now, **fields), {})
        self._forget_beacons(now)
        self._renew()

    def refresh(self) -> None:
        """Every now and then: let old beacons fade, and say that the Gateway is still there."""
        now = self._now_ms()
        self._self = structs.replace(self._self, ts=now)
        self._encoded = None
        if self._forget_beacons(now):
            self._renew()

    def _forget_beacons(self, now: int) -> bool:
        beacons = [(row.entry.ts, key) for key, row in self._rows.items() if not row.connections]
        beacons.sort()
        excess = max(0, len(beacons) - MAX_BEACONS)
        old = [
            key
            for number, (ts, key) in enumerate(beacons)
            if number < excess or ts < now - BEACON_LIFETIME_MS
        ]
        for key in old:
            del self._rows[key]
        return bool(old)

    def _renew(self) -> None:
        self._encoded = None
        self.edition += 1
        self._changed()


def _key_of(visitor: Visitor) -> str:
    return visitor.device_id or given(visitor.client.instance_id, "") or visitor.conn_id


def _visitor_entry(visitor: Visitor, now: int, roles: Iterable[str]) -> PresenceEntry:
    client = visitor.client
    name = given(client.display_name, client.id)
    return PresenceEntry(
        ts=now,
        host=name,
        ip=UNSET if visitor.address in ("127.0.0.1", "::1", "") else visitor.address,
        version=client.version,
        platform=client.platform,
        device_family=client.device_family,
        model_identifier=client.model_identifier,
        time_zone=client.time_zone,
        mode=client.mode,
        reason="connect",
        text=f"{name} · {client.platform} · {client.mode} · connected",
        device_id=visitor.device_id or UNSET,
        roles=sorted(set(roles)),
        scopes=sorted(visitor.scopes),
        instance_id=client.instance_id,
    )


def self_entry(version: str, instance_id: str, now: int) -> PresenceEntry:
    """The Gateway's own row."""
    host = socket.gethostname() or "gateway"
    system = platform.system() or "unknown"
    return PresenceEntry(
        ts=now,
        host=host,
        version=version,
        platform=f"{system.lower()} {platform.release()}",
        device_family=system,
        model_identifier=platform.machine() or "unknown",
        mode="gateway",
        reason="self",
        instance_id=instance_id,
        text=f"Gateway: {host} · clawgw {version} · mode gateway",
    )
