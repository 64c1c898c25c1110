"""What is remembered of each node, across connections and restarts.

All of it is in memory, because every invoke asks, and written through to the store. A record is
immutable; a change makes a new one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct, structs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from clawgw.nodes.policy import Claims
from clawgw.protocol.nodes import HostStats, NodePairRequest
from clawgw.store import nodes as table
from clawgw.store.database import Connection, Database
from clawgw.store.nodes import NodeRow, RequestRow


class Surface(Struct, frozen=True):
    """What a node lends: claimed by it, or approved by an operator."""

    caps: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    permissions: dict[str, bool] = msgspec.field(default_factory=dict)

    def within(self, ceiling: Surface) -> bool:
        """Whether it is no more than `ceiling`."""
        return (
            set(self.caps) <= set(ceiling.caps)
            and set(self.commands) <= set(ceiling.commands)
            and _granted(self.permissions) <= _granted(ceiling.permissions)
        )

    def same(self, other: Surface) -> bool:
        """Whether both are the same, in whatever order."""
        return self.within(other) and other.within(self)


def _granted(permissions: dict[str, bool]) -> set[str]:
    return {name for name, is_granted in permissions.items() if is_granted}


class Profile(Struct, frozen=True, omit_defaults=True):
    """What a node said of itself. `protocol` is the highest version it ever spoke."""

    protocol: int = 3
    display_name: str = ""
    platform: str = ""
    version: str = ""
    device_family: str = ""
    model_identifier: str = ""
    client_id: str = ""
    client_mode: str = ""
    remote_ip: str = ""
    declared: Surface = Surface()

    def claims(self) -> Claims:
        """The part that the command policy looks at."""
        return Claims(
            self.protocol,
            self.platform,
            self.device_family,
            self.declared.caps,
            self.declared.commands,
        )


class Record(Struct, frozen=True):
    """One node. Times in milliseconds since the epoch."""

    node_id: str
    profile: Profile
    created_at: int
    name: str | None = None
    approved: Surface | None = None
    approved_at: int | None = None
    token_hash: str | None = None
    last_connected_at: int | None = None
    last_disconnected_at: int | None = None
    last_seen_at: int | None = None
    last_seen_reason: str | None = None
    host_stats: HostStats | None = None

    def __repr__(self) -> str:
        return f"Record(node_id={self.node_id!r})"

    @property
    def needs_approval(self) -> bool:
        """Whether commands count only once approved.

        Version 4 has that; a node that has spoken it once cannot get around it by speaking
        version 3.
        """
        return self.profile.protocol >= 4

    @property
    def ceiling(self) -> Surface | None:
        """What an operator approved; None where no approval is needed."""
        return (self.approved or Surface()) if self.needs_approval else None


class NodeBook:
    """The records, and the requests of those who wait.

    Args:
        database: where they are kept.
        now_ms: the time, in milliseconds since the epoch.
    """

    log = Logger()

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._records = {row.node_id: _record(row) for row in database.read(table.all_nodes)}
        self._requests = {
            row.node_id: msgspec.json.decode(row.body, type=NodePairRequest)
            for row in database.read(table.all_requests)
        }

    def __iter__(self) -> Any:
        return iter(list(self._records.values()))

    def get(self, node_id: str) -> Record | None:
        """The record of a node."""
        return self._records.get(node_id)

    def change(self, node_id: str, **fields: Any) -> Deferred[None]:
        """Change a node's record, or make it; fires when that is on the disk."""
        old = self._records.get(node_id)
        if old is None:
            blank = Record(node_id, Profile(), self._now_ms())
            record = structs.replace(blank, **fields)
        else:
            record = structs.replace(old, **fields)
        self._records[node_id] = record
        return self._database.write(table.save, _row(record))

    def note(self, node_id: str, **fields: Any) -> None:
        """`change` for what nobody waits for."""
        self._unwatched(self.change(node_id, **fields))

    def remove(self, node_id: str) -> Deferred[None]:
        """Forget a node, and what it asks for; fires when that is on the disk."""
        self._records.pop(node_id, None)
        self._requests.pop(node_id, None)
        return self._database.write(table.delete, node_id)

    # Those who wait

    def requests(self) -> list[NodePairRequest]:
        """Every request, the oldest first."""
        return sorted(self._requests.values(), key=lambda request: request.ts)

    def request_of(self, node_id: str) -> NodePairRequest | None:
        """What a node waits for."""
        return self._requests.get(node_id)

    def request(self, request_id: str) -> NodePairRequest | None:
        """The request of this id."""
        return next((one for one in self._requests.values() if one.request_id == request_id), None)

    def ask(self, request: NodePairRequest) -> Deferred[None]:
        """Remember a request, in place of the node's earlier one."""
        self._requests[request.node_id] = request
        row = RequestRow(
            request.request_id, request.node_id, request.ts, msgspec.json.encode(request)
        )
        return self._database.write(table.save_request, row)

    def forget(self, request: NodePairRequest) -> Deferred[None]:
        """A request was decided, or means nothing any more."""
        self._requests.pop(request.node_id, None)
        return self._database.write(table.delete_request, request.request_id)

    def approve(self, request: NodePairRequest, **fields: Any) -> Deferred[None]:
        """Decide a request and change the node's record, both or neither."""
        self._requests.pop(request.node_id, None)
        old = self._records.get(request.node_id)
        record = structs.replace(
            old or Record(request.node_id, Profile(), self._now_ms()), **fields
        )
        self._records[request.node_id] = record
        row = _row(record)

        def change(connection: Connection) -> None:
            table.save(connection, row)
            table.delete_request(connection, request.request_id)

        return self._database.write(change)

    def _unwatched(self, work: Deferred[None]) -> None:
        work.addErrback(lambda failure: self.log.failure("while storing a node", failure))


def _record(row: NodeRow) -> Record:
    approved = None if row.approved is None else msgspec.json.decode(row.approved, type=Surface)
    stats = None if row.host_stats is None else msgspec.json.decode(row.host_stats, type=HostStats)
    return Record(
        node_id=row.node_id,
        profile=msgspec.json.decode(row.profile, type=Profile),
        created_at=row.created_at,
        name=row.name,
        approved=approved,
        approved_at=row.approved_at,
        token_hash=row.token_hash,
        last_connected_at=row.last_connected_at,
        last_disconnected_at=row.last_disconnected_at,
        last_seen_at=row.last_seen_at,
        last_seen_reason=row.last_seen_reason,
        host_stats=stats,
    )


def _row(record: Record) -> NodeRow:
    fields = structs.asdict(record)
    for name in ("profile", "approved", "host_stats"):
        value = fields[name]
        fields[name] = None if value is None else msgspec.json.encode(value)
    return NodeRow(**fields)
