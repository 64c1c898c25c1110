"""Nodes as rows: what they said of themselves, what was approved, who waits for approval."""

from __future__ import annotations

from typing import NamedTuple

from clawgw.store.database import Connection


class NodeRow(NamedTuple):
    """A node; `profile`, `approved` and `host_stats` are JSON, times in milliseconds."""

    node_id: str
    profile: bytes
    name: str | None
    created_at: int
    approved: bytes | None = None
    approved_at: int | None = None
    token_hash: str | None = None
    last_connected_at: int | None = None
    last_disconnected_at: int | None = None
    last_seen_at: int | None = None
    last_seen_reason: str | None = None
    host_stats: bytes | None = None

    def __repr__(self) -> str:
        return f"NodeRow(node_id={self.node_id!r})"


class RequestRow(NamedTuple):
    """A node that waits; `body` is the JSON of `protocol.nodes.NodePairRequest`."""

    request_id: str
    node_id: str
    created_at: int
    body: bytes


_COLUMNS = ", ".join(NodeRow._fields)


def all_nodes(connection: Connection) -> list[NodeRow]:
    """Every node ever seen, the oldest first."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM nodes ORDER BY created_at, node_id")
    return [NodeRow(*row) for row in rows]


def all_requests(connection: Connection) -> list[RequestRow]:
    """Every node that waits, the oldest first."""
    rows = connection.execute(
        "SELECT request_id, node_id, created_at, body FROM node_requests"
        " ORDER BY created_at, request_id"
    )
    return [RequestRow(*row) for row in rows]


def save(connection: Connection, node: NodeRow) -> None:
    """Remember a node, or what is new about it."""
    marks = ",".join("?" * len(node))
    connection.execute(f"INSERT OR REPLACE INTO nodes ({_COLUMNS}) VALUES ({marks})", node)


def delete(connection: Connection, node_id: str) -> None:
    """Forget a node, and what it asks for."""
    connection.execute("DELETE FROM nodes WHERE node_id = ?", (node_id,))
    connection.execute("DELETE FROM node_requests WHERE node_id = ?", (node_id,))


def save_request(connection: Connection, request: RequestRow) -> None:
    """Remember a node that asks; it has one request, the latest."""
    connection.execute(
        "INSERT OR REPLACE INTO node_requests (request_id, node_id, created_at, body)"
        " VALUES (?, ?, ?, ?)",
        request,
    )


def delete_request(connection: Connection, request_id: str) -> None:
    """Forget a request that was decided or means nothing any more."""
    connection.execute("DELETE FROM node_requests WHERE request_id = ?", (request_id,))
