"""Paired devices, their roles and tokens, and devices that ask to be let in.

A token is kept as a hash. What `trust.tokens` needs to make it again, a salt, is kept beside it
and is worth nothing without the key file of the state directory.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from clawgw.store.database import Connection


class Device(NamedTuple):
    """A paired device; times in milliseconds."""

    device_id: str
    public_key: str
    display_name: str | None
    platform: str | None
    device_family: str | None
    client_id: str | None
    client_mode: str | None
    remote_ip: str | None
    created_at: int
    approved_at: int
    approved_via: str


class Grant(NamedTuple):
    """What a device may be, and do, in one role."""

    device_id: str
    role: str
    scopes: tuple[str, ...]
    token_scopes: tuple[str, ...]
    token_salt: str
    token_hash: str
    created_at: int
    rotated_at: int | None = None
    revoked_at: int | None = None

    def __repr__(self) -> str:
        return f"Grant(device_id={self.device_id!r}, role={self.role!r}, scopes={self.scopes!r})"


class PairRequestRow(NamedTuple):
    """A device that waits; `body` is the JSON of `protocol.devices.PairRequest`."""

    request_id: str
    device_id: str
    role: str
    created_at: int
    body: bytes


_GRANT = (
    "device_id, role, scopes, token_scopes, token_salt, token_hash, created_at, rotated_at,"
    " revoked_at"
)


def _grant(row: tuple[str, ...]) -> Grant:
    scopes, token_scopes = (tuple(json.loads(text)) for text in row[2:4])
    return Grant(row[0], row[1], scopes, token_scopes, *row[4:])  # type: ignore[arg-type]


def all_devices(connection: Connection) -> list[Device]:
    """Every paired device, the oldest first."""
    rows = connection.execute("SELECT * FROM devices ORDER BY created_at, device_id").fetchall()
    return [Device(*row) for row in rows]


def all_grants(connection: Connection) -> list[Grant]:
    """Every role of every device."""
    return [_grant(row) for row in connection.execute(f"SELECT {_GRANT} FROM device_roles")]


def all_requests(connection: Connection) -> list[PairRequestRow]:
    """Every device that waits, the oldest first."""
    rows = connection.execute(
        "SELECT request_id, device_id, role, created_at, body FROM pair_requests"
        " ORDER BY created_at, request_id"
    ).fetchall()
    return [PairRequestRow(*row) for row in rows]


def save_device(connection: Connection, device: Device) -> None:
    """Remember a device, or what is new about it."""
    marks = ",".join("?" * len(device))
    names = ", ".join(device._fields)
    sets = ", ".join(f"{name} = excluded.{name}" for name in device._fields[1:])
    connection.execute(
        f"INSERT INTO devices ({names}) VALUES ({marks})"
        f" ON CONFLICT (device_id) DO UPDATE SET {sets}",
        device,
    )


def save_grant(connection: Connection, grant: Grant) -> None:
    """Remember what a device may be and do in a role."""
    values = (*grant[:2], json.dumps(grant.scopes), json.dumps(grant.token_scopes), *grant[4:])
    connection.execute(
        f"INSERT OR REPLACE INTO device_roles ({_GRANT}) VALUES ({','.join('?' * 9)})", values
    )


def delete_grant(connection: Connection, device_id: str, role: str) -> None:
    """Forget what a device was in a role; without a role left it is no device of ours."""
    connection.execute(
        "DELETE FROM device_roles WHERE device_id = ? AND role = ?", (device_id, role)
    )
    connection.execute(
        "DELETE FROM devices WHERE device_id = ?"
        " AND NOT EXISTS (SELECT 1 FROM device_roles WHERE device_id = devices.device_id)",
        (device_id,),
    )


def save_request(connection: Connection, request: PairRequestRow) -> None:
    """Remember a device that asks; it has one request per role, the latest."""
    connection.execute(
        "INSERT OR REPLACE INTO pair_requests (request_id, device_id, role, created_at, body)"
        " VALUES (?, ?, ?, ?, ?)",
        request,
    )


def delete_request(connection: Connection, request_id: str) -> None:
    """Forget a request that was decided or has expired."""
    connection.execute("DELETE FROM pair_requests WHERE request_id = ?", (request_id,))
