"""A node as `node.list` and `node.describe` show it, to clients of either version.

What a node declares and nobody approved, or the policy does not allow, is not shown as its own; a
version 4 client sees what waits for approval beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from msgspec import UNSET

from clawgw.nodes.book import Record
from clawgw.protocol import nodes as wire
from clawgw.protocol.devices import PairedDevice


class Connected(Protocol):
    """What is shown of a connection."""

    connected_at_ms: int
    path_env: str | None


class View(NamedTuple):
    """Everything known of a node. `commands` are those that count."""

    record: Record
    connection: Connected | None
    device: PairedDevice | None
    waiting: wire.NodePairRequest | None
    commands: Iterable[str]
    plugin_tools: list[wire.PluginTool]


def row(view: View, version: int) -> wire.Node:
    """One node.

    Args:
        version: the protocol version of who asks.
    """
    record, connection, device = view.record, view.connection, view.device
    profile = record.profile
    fields: dict[str, Any] = {
        "node_id": record.node_id,
        "display_name": record.name
        or profile.display_name
        or (device.display_name if device else UNSET),
        "platform": profile.platform or (device.platform if device else UNSET),
        "version": profile.version or UNSET,
        "device_family": profile.device_family or UNSET,
        "model_identifier": profile.model_identifier or UNSET,
        "remote_ip": profile.remote_ip or UNSET,
        "path_env": (connection.path_env if connection else None) or UNSET,
        "caps": sorted(_caps(record)),
        "commands": sorted(view.commands),
        "permissions": _permissions(record, version),
        "connected_at_ms": connection.connected_at_ms if connection else UNSET,
        "last_connected_at_ms": _set(record.last_connected_at),
        "last_disconnected_at_ms": UNSET if connection else _set(record.last_disconnected_at),
        "last_seen_at_ms": _set(record.last_seen_at),
        "last_seen_reason": record.last_seen_reason or UNSET,
        "paired": device is not None or record.approved is not None,
        "connected": connection is not None,
    }
    if version >= 4:
        fields |= _version_4(view)
    return wire.Node(**fields)


def _version_4(view: View) -> dict[str, Any]:
    record, device, waiting = view.record, view.device, view.waiting
    profile = record.profile
    fields: dict[str, Any] = {
        "client_id": profile.client_id or (device.client_id if device else UNSET),
        "client_mode": profile.client_mode or (device.client_mode if device else UNSET),
        "session_host": False,
        "node_plugin_tools": view.plugin_tools if view.connection else UNSET,
        "host_stats": record.host_stats or UNSET,
        "approval_state": _state(record, is_waiting=waiting is not None),
        "approved_at_ms": _set(record.approved_at or (device.approved_at_ms if device else None)),
    }
    if waiting is not None:
        fields |= {
            "pending_request_id": waiting.request_id,
            "pending_declared_caps": waiting.caps,
            "pending_declared_commands": waiting.commands,
            "pending_declared_permissions": waiting.permissions,
        }
    return fields


def _caps(record: Record) -> Iterable[str]:
    caps = set(record.profile.declared.caps)
    return caps if record.ceiling is None else caps & set(record.ceiling.caps)


def _permissions(record: Record, version: int) -> Any:
    """What the node may do on its own host, as far as it said; approval can only take away."""
    ceiling = record.ceiling
    permissions = {
        name: is_granted and (ceiling is None or ceiling.permissions.get(name, False))
        for name, is_granted in record.profile.declared.permissions.items()
    }
    return permissions if permissions or version < 4 else UNSET


def _state(record: Record, *, is_waiting: bool) -> wire.ApprovalState:
    if is_waiting:
        return "pending-approval" if record.approved is None else "pending-reapproval"
    return "unapproved" if record.needs_approval and record.approved is None else "approved"


def _set(value: int | None) -> Any:
    return UNSET if value is None else value
