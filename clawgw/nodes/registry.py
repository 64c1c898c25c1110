"""The nodes: those connected now, and every other that is paired.

A node is its device. It has one connection: when it connects anew, the earlier connection is
closed, because a node that lost its network does not know that the Gateway still waits for it.
What a node may be asked is worked out when it is asked, from what it declares, what was approved
and the policy of the moment (`nodes.policy`), so that a changed configuration or approval counts at
once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from clawgw.loglimit import LineLimit
from clawgw.nodes.book import NodeBook, Profile, Record, Surface
from clawgw.nodes.pairing import NodePairing
from clawgw.nodes.policy import CommandPolicy, Reason
from clawgw.nodes.rows import View, row
from clawgw.protocol import nodes as wire
from clawgw.protocol.base import given
from clawgw.protocol.connect import ClientInfo
from clawgw.protocol.devices import PairedDevice, PairList
from clawgw.protocol.errors import invalid
from clawgw.trust.scopes import NODE

POLICY = 1008
LOOPBACK = ("127.0.0.1", "::1")


class NodeConnection(Protocol):
    """What the registry knows of a connection. `commands` to `path_env` are claims."""

    conn_id: str
    version: int
    role: str
    caps: frozenset[str]
    client: ClientInfo
    device_id: str | None
    address: str
    connected_at_ms: int
    commands: tuple[str, ...]
    permissions: dict[str, bool]
    path_env: str | None

    def close(self, code: int, reason: str) -> None:
        """End it."""


class Devices(Protocol):
    """Who may connect as a node."""

    def listing(self, connected: Callable[[str], bool]) -> PairList:
        """Every paired device."""

    def remove(self, device_id: str, role: str) -> Deferred[None]:
        """Take a role away from a device; fires when that is on the disk."""


@dataclass
class Live:
    """A node that is connected.

    Attributes:
        plugin_tools: what it offers to agents, as it last told.
        invokes: the ids of the invocations it is working on.
        lines: how much of what it says of its own accord the log takes.
    """

    node_id: str
    connection: NodeConnection
    lines: LineLimit
    plugin_tools: list[wire.PluginTool] = field(default_factory=list)
    invokes: set[str] = field(default_factory=set)


class NodeRegistry:
    """Nodes as operators and the Gateway see them.

    Args:
        book: what is remembered.
        pairing: where approval is asked for.
        devices: who may connect as a node.
        policy: the configuration's say; may be replaced at any time.
        now_ms: the time, in milliseconds since the epoch.
        clock: for what a node may have written to the log.

    Attributes:
        on_gone: called with a node that has disconnected or was replaced.
    """

    log = Logger()

    def __init__(
        self,
        book: NodeBook,
        pairing: NodePairing,
        devices: Devices,
        policy: CommandPolicy,
        now_ms: Callable[[], int],
        clock: IReactorTime,
    ) -> None:
        self.policy = policy
        self.on_gone: Callable[[Live], None] = lambda _: None
        self._book = book
        self._pairing = pairing
        self._devices = devices
        self._now_ms = now_ms
        self._clock = clock
        self._live: dict[str, Live] = {}
        self._lines: dict[str, LineLimit] = {}

    # Coming and going

    def arrived(self, connection: NodeConnection) -> None:
        """A connection was let in; nothing happens unless it is a node's."""
        node_id = connection.device_id
        if connection.role != NODE or node_id is None:
            return
        old = self._live.get(node_id)
        self._live[node_id] = Live(node_id, connection, self._lines_of(node_id))
        if old is not None:
            self.log.info("node {node} connected anew; the old connection ends", node=node_id[:12])
            old.connection.close(POLICY, "replaced by a newer connection of this node")
            self.on_gone(old)
        known = self._book.get(node_id)
        at = connection.connected_at_ms
        self._book.note(
            node_id,
            profile=_profile(connection, known),
            last_connected_at=at,
            last_seen_at=at,
            last_seen_reason="connect",
        )
        self._pairing.consider(self.record(node_id), silent=self._was_silent(node_id))

    def left(self, connection: NodeConnection) -> None:
        """A connection is over."""
        live = self._live.get(connection.device_id or "")
        if live is None or live.connection is not connection:
            return
        del self._live[live.node_id]
        self._book.note(live.node_id, last_disconnected_at=self._now_ms())
        self.on_gone(live)

    # Asking

    def live(self, node_id: str) -> Live | None:
        """The connected node of this id."""
        return self._live.get(node_id)

    def live_of(self, conn_id: str, node_id: str | None) -> Live:
        """The node whose present connection this is.

        Raises:
            RequestError: it has connected anew since.
        """
        live = self._live.get(node_id or "")
        if live is None or live.connection.conn_id != conn_id:
            raise invalid("unknown nodeId")
        return live

    def record(self, node_id: str) -> Record:
        """What is remembered of a node; a blank where nothing is."""
        return self._book.get(node_id) or Record(node_id, Profile(), self._now_ms())

    def commands(self, node_id: str) -> tuple[str, ...]:
        """What a node may be asked now."""
        record = self.record(node_id)
        return self.policy.effective(record.profile.claims(), _approved_commands(record))

    def refusal(self, node_id: str, command: str) -> tuple[Reason, str] | None:
        """Why a node may not be asked for a command, and that in words; None if it may."""
        record = self.record(node_id)
        claims = record.profile.claims()
        reason = self.policy.refusal(command, claims, _approved_commands(record))
        if reason is None:
            return None
        return reason, self.policy.words(reason, command, claims)

    # Lists

    def listing(self, version: int) -> list[wire.Node]:
        """Every node: the connected ones first, then by name.

        Args:
            version: the protocol version of who asks.
        """
        devices = {device.device_id: device for device in self._node_devices()}
        ids = {*devices, *self._live, *(one.node_id for one in self._book if one.approved)}
        nodes = [self._row(node_id, devices.get(node_id), version) for node_id in ids]
        return sorted(nodes, key=_order)

    def describe(self, node_id: str, version: int) -> wire.Node:
        """One node.

        Raises:
            RequestError: there is none of this id.
        """
        device = self._device(node_id)
        record = self._book.get(node_id)
        if device is None and node_id not in self._live and not (record and record.approved):
            raise invalid("unknown nodeId")
        return self._row(node_id, device, version)

    async def rename(self, node_id: str, name: str) -> wire.NodeRenamed:
        """Give a node a name of the operators' choice.

        Raises:
            RequestError: there is no such node, or the name is blank.
        """
        name = name.strip()
        if not name:
            raise invalid("displayName: expected a name that is not blank")
        self.describe(node_id, 4)
        await self._book.change(node_id, name=name)
        return wire.NodeRenamed(node_id=node_id, display_name=name)

    async def remove(self, node_id: str) -> None:
        """A node is none any more: it may not connect as one, and nothing of it is approved.

        It can ask to be let in again, as a node that was never seen.

        Raises:
            RequestError: there is no such node.
        """
        self.describe(node_id, 4)
        # All of it before anything is waited for: the node may be connecting anew.
        role_gone = self._devices.remove(node_id, NODE)
        live = self._live.pop(node_id, None)
        if live is not None:
            live.connection.close(POLICY, "this node was removed")
            self.on_gone(live)
        self._lines.pop(node_id, None)
        approval_gone = self._pairing.remove(node_id)
        await role_gone
        await approval_gone
        self.log.info("node {node} was removed", node=node_id[:12])

    def _lines_of(self, node_id: str) -> LineLimit:
        """One limit for all connections of a node: it could connect anew for each line."""

        def report(remark: str) -> None:
            self.log.info("node {node} {remark}", node=node_id[:12], remark=remark)

        return self._lines.setdefault(node_id, LineLimit(self._clock, report))

    def _row(self, node_id: str, device: PairedDevice | None, version: int) -> wire.Node:
        live = self._live.get(node_id)
        view = View(
            self.record(node_id),
            live.connection if live else None,
            device,
            self._book.request_of(node_id),
            self.commands(node_id),
            self.plugin_tools(live) if live else [],
        )
        return row(view, version)

    def plugin_tools(self, live: Live) -> list[wire.PluginTool]:
        """The tools of a connected node whose command may be invoked."""
        commands = self.commands(live.node_id)
        return [tool for tool in live.plugin_tools if given(tool.command, "") in commands]

    def _device(self, node_id: str) -> PairedDevice | None:
        devices = self._node_devices()
        return next((device for device in devices if device.device_id == node_id), None)

    def _node_devices(self) -> Iterable[PairedDevice]:
        paired = self._devices.listing(lambda _: False).paired
        return (device for device in paired if NODE in device.roles)

    def _was_silent(self, node_id: str) -> bool:
        device = self._device(node_id)
        return device is not None and given(device.approved_via, "") == "silent"


def _profile(connection: NodeConnection, known: Record | None) -> Profile:
    client = connection.client
    return Profile(
        protocol=max(connection.version, known.profile.protocol if known else 0),
        display_name=given(client.display_name, ""),
        platform=client.platform,
        version=client.version,
        device_family=given(client.device_family, ""),
        model_identifier=given(client.model_identifier, ""),
        client_id=client.id,
        client_mode=client.mode,
        remote_ip="" if connection.address in LOOPBACK else connection.address,
        declared=Surface(
            tuple(sorted(connection.caps)), connection.commands, dict(connection.permissions)
        ),
    )


def _approved_commands(record: Record) -> tuple[str, ...] | None:
    return None if record.ceiling is None else record.ceiling.commands


def _order(node: wire.Node) -> tuple[bool, str, str]:
    return (not node.connected, given(node.display_name, node.node_id).lower(), node.node_id)
