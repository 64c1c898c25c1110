"""A2UI surfaces as rows: what the canvas shows survives a restart."""

from __future__ import annotations

from typing import NamedTuple

from clawgw.store.database import Connection


class SurfaceRow(NamedTuple):
    """One surface; `body` is JSON."""

    surface_id: str
    session_key: str
    body: bytes


def everything(connection: Connection) -> list[SurfaceRow]:
    """All surfaces, in the order in which they began."""
    rows = connection.execute(
        "SELECT surface_id, session_key, body FROM a2ui_surfaces ORDER BY rowid"
    ).fetchall()
    return [SurfaceRow(*row) for row in rows]


def put(connection: Connection, row: SurfaceRow) -> None:
    """Keep a surface; one that is there keeps its place."""
    connection.execute(
        "INSERT INTO a2ui_surfaces (surface_id, session_key, body) VALUES (?, ?, ?)"
        " ON CONFLICT (surface_id) DO UPDATE SET session_key = excluded.session_key,"
        " body = excluded.body",
        row,
    )


def remove(connection: Connection, surface_id: str) -> None:
    """Forget a surface."""
    connection.execute("DELETE FROM a2ui_surfaces WHERE surface_id = ?", (surface_id,))
