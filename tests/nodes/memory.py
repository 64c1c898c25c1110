"""All of the Gateway's side of nodes, in memory: no socket, a clock, a recorded event sink."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, succeed

from clawgw.nodes.book import NodeBook
from clawgw.nodes.events import NodeEvents, Speech
from clawgw.nodes.invoke import Invocations
from clawgw.nodes.methods import NodeMethods
from clawgw.nodes.pairing import NodePairing
from clawgw.nodes.pending import PendingWork
from clawgw.nodes.policy import CommandPolicy
from clawgw.nodes.registry import NodeRegistry
from clawgw.protocol.connect import ClientInfo
from clawgw.protocol.devices import PairedDevice, PairList
from clawgw.protocol.nodes import NodeInvokeParams, NodeInvokeResultParams
from tests.support.memory import Caller, MemoryDatabase, MsClock, RecordedEvents, client_info

ABOUT = {
    "id": "node-host",
    "mode": "node",
    "platform": "linux",
    "device_family": "Linux",
    "display_name": "Test node",
}
SYSTEM = ("system.which", "system.run", "system.notify")


@dataclass
class FakeConnection:
    """A node's connection; `sent` is what it was sent, `closed` how it was closed."""

    node_id: str
    conn_id: str
    version: int = 4
    role: str = "node"
    caps: frozenset[str] = frozenset({"system"})
    commands: tuple[str, ...] = SYSTEM
    permissions: dict[str, bool] = field(default_factory=dict)
    path_env: str | None = None
    address: str = "127.0.0.1"
    connected_at_ms: int = 0
    client: ClientInfo = field(default_factory=lambda: client_info(**ABOUT))
    sent: list[tuple[str, Any]] = field(default_factory=list)
    closed: list[tuple[int, str]] = field(default_factory=list)

    @property
    def device_id(self) -> str:
        return self.node_id

    def close(self, code: int, reason: str) -> None:
        self.closed.append((code, reason))

    def caller(self) -> Caller:
        """The same connection as handlers see it."""
        return Caller(
            conn_id=self.conn_id, version=self.version, role="node", scopes=frozenset(),
            device_id=self.node_id,
        )  # fmt: skip

    def named(self, name: str) -> list[Any]:
        """The payloads of the events of this name it was sent."""
        return [payload for sent, payload in self.sent if sent == name]


class World:
    """A Gateway with nodes.

    Args:
        database: an earlier one's, to be started again on.
    """

    def __init__(
        self, database: MemoryDatabase | None = None, policy: CommandPolicy | None = None
    ) -> None:
        self.clock = MsClock()
        self.database = database or MemoryDatabase()
        self.events = RecordedEvents()
        self.said: list[Speech] = []
        self.paired: dict[str, PairedDevice] = {}
        self.connections: dict[str, FakeConnection] = {}
        now_ms = self.clock.now_ms
        self.book = NodeBook(self.database, now_ms)
        self.pairing = NodePairing(self.book, self.events, now_ms)
        self.registry = NodeRegistry(
            self.book, self.pairing, self, policy or CommandPolicy(), now_ms, self.clock
        )
        self.invocations = Invocations(self.clock, self.database, self.registry, self.send, now_ms)
        self.methods = NodeMethods(
            self.registry,
            self.pairing,
            self.invocations,
            PendingWork(self.database, now_ms),
            NodeEvents(self.book, self.events, self._say, now_ms),
            self.send,
            now_ms,
            lambda caller, _, params: self.invocations.invoke(caller, params),
        )

    async def _say(self, speech: Speech) -> None:
        self.said.append(speech)

    def listing(self, _: Any) -> PairList:
        """See `registry.Devices`."""
        return PairList(pending=[], paired=list(self.paired.values()))

    def remove(self, device_id: str, role: str) -> Deferred[None]:
        """See `registry.Devices`."""
        self.paired.pop(device_id, None)
        return succeed(None)

    def send(self, conn_id: str, name: str, payload: Any) -> bool:
        """See `events.SendTo`."""
        connection = self.connections.get(conn_id)
        if connection is None:
            return False
        connection.sent.append((name, payload))
        return True

    def connect(self, node_id: str = "node-a", **fields: Any) -> FakeConnection:
        """A node connects."""
        if node_id not in self.paired:
            self.paired[node_id] = PairedDevice(
                device_id=node_id, public_key="key", roles=["operator", "node"], scopes=[],
                created_at_ms=1, approved_at_ms=1, tokens=[], approved_via="silent",
            )  # fmt: skip
        number = len(self.connections) + 1
        connection = FakeConnection(
            node_id, f"conn-{number}", connected_at_ms=self.clock.now_ms(), **fields
        )
        self.connections[connection.conn_id] = connection
        self.registry.arrived(connection)
        return connection

    def approved(self, node_id: str = "node-a", **fields: Any) -> FakeConnection:
        """A node connects, and an operator approves what it declares."""
        connection = self.connect(node_id, **fields)
        request = self.book.request_of(node_id)
        assert request is not None
        done: list[Any] = []
        Deferred.fromCoroutine(
            self.pairing.approve(request.request_id, frozenset({"operator.admin"}), 4)
        ).addBoth(done.append)
        assert done, "the approval waits for something"
        return connection


def ask(command: str = "system.which", key: str = "key-1", **fields: Any) -> NodeInvokeParams:
    """The parameters of `node.invoke`, as they come from the wire."""
    params = {"nodeId": "node-a", "command": command, "idempotencyKey": key, **fields}
    return msgspec.json.decode(msgspec.json.encode(params), type=NodeInvokeParams)


def told(invocation: Any, **fields: Any) -> NodeInvokeResultParams:
    """The parameters of a `node.invoke.result`, as they come from the wire."""
    params = {"id": invocation.id, "nodeId": invocation.node_id, "ok": True, **fields}
    return msgspec.json.decode(msgspec.json.encode(params), type=NodeInvokeResultParams)


def payload(spliced: Any) -> Any:
    """What a client reads of an answer."""
    return msgspec.json.decode(b"".join(map(bytes, spliced.parts)))
