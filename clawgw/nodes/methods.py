"""Methods of nodes: `node.*` and `skills.bins`.

Those of operators and those of nodes are apart: a node may call its own, about itself, and nothing
else. What a node calls as another, or through a connection that was replaced, is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from msgspec import structs
from twisted.logger import Logger

from clawgw.events import SendTo
from clawgw.methods import Caller, MethodTable, Spliced
from clawgw.nodes.events import NodeEvents
from clawgw.nodes.invoke import Invocations
from clawgw.nodes.pairing import NodePairing
from clawgw.nodes.pending import DEFAULT_ITEMS, PendingWork
from clawgw.nodes.registry import Live, NodeRegistry
from clawgw.protocol import nodes as wire
from clawgw.protocol.base import given
from clawgw.protocol.errors import RequestError, invalid
from clawgw.trust.scopes import NODE, PAIRING, READ, WRITE
from clawgw.trust.session_tokens import BoundSession

NODE_METHODS = (NODE,)

InvokeForTool = Callable[[Caller, BoundSession, wire.NodeInvokeParams], Awaitable[Spliced]]
"""`node.invoke` in the name of an agent's session."""


@dataclass(frozen=True)
class NodeMethods:
    """The handlers."""

    registry: NodeRegistry
    pairing: NodePairing
    invocations: Invocations
    pending: PendingWork
    node_events: NodeEvents
    send: SendTo
    now_ms: Callable[[], int]
    invoke_for_tool: InvokeForTool

    log = Logger()

    def register(self, table: MethodTable) -> None:
        """Add them to the table."""
        table.add("node.list", self.list_nodes, scope=READ, agents=True)
        table.add("node.describe", self.describe, scope=READ, agents=True)
        table.add("node.rename", self.rename, scope=PAIRING)
        table.add("node.invoke", self.invoke, scope=WRITE, agents=True)
        table.add("node.pending.enqueue", self.enqueue, scope=WRITE)
        table.add("node.pair.request", self.pair_request, scope=PAIRING)
        table.add("node.pair.list", self.pair_list, scope=PAIRING)
        table.add("node.pair.approve", self.approve, scope=PAIRING)
        table.add("node.pair.reject", self.reject, scope=PAIRING)
        table.add("node.pair.remove", self.remove, scope=PAIRING)
        table.add("node.pair.verify", self.verify, scope=PAIRING)
        own: dict[str, Any] = {
            "node.invoke.result": self.result,
            "node.invoke.progress": self.progress,
            "node.event": self.event,
            "node.pluginTools.update": self.plugin_tools,
            "node.skills.update": self.skills,
            "node.runnerInventory.update": self.runner_inventory,
            "node.pending.drain": self.drain,
            "node.pending.pull": self.pull,
            "node.pending.ack": self.ack,
            "skills.bins": self.bins,
        }
        for name, handler in own.items():
            table.add(name, handler, scope=None, roles=NODE_METHODS)

    # Of operators

    def list_nodes(self, caller: Caller, _: Any) -> wire.NodeList:
        """Every node, connected or not."""
        return wire.NodeList(ts=self.now_ms(), nodes=self.registry.listing(caller.version))

    def describe(self, caller: Caller, params: wire.NodeParams) -> wire.NodeDescription:
        """One node."""
        node = self.registry.describe(params.node_id.strip(), caller.version)
        return wire.NodeDescription(ts=self.now_ms(), **_fields(node))

    async def rename(self, _: Caller, params: wire.NodeRenameParams) -> wire.NodeRenamed:
        """Call a node something."""
        return await self.registry.rename(params.node_id.strip(), params.display_name)

    async def invoke(self, caller: Caller, params: wire.NodeInvokeParams) -> Spliced:
        """Ask a node for something, and wait for it."""
        bound = caller.bound_session
        if bound is not None:
            return await self.invoke_for_tool(caller, bound, params)
        try:
            return await self.invocations.invoke(caller, params)
        except RequestError as refusal:
            record = self.registry.record(params.node_id)
            raise await self.pending.after(record, params, refusal) from None

    async def enqueue(
        self, caller: Caller, params: wire.PendingEnqueueParams
    ) -> wire.PendingEnqueued:
        """Ask a node for something when it wakes."""
        node_id = params.node_id.strip()
        self.registry.describe(node_id, caller.version)
        item = await self.pending.enqueue(node_id, params)
        return wire.PendingEnqueued(
            node_id=node_id, revision=self.pending.revision(node_id), queued=item
        )

    async def pair_request(
        self, _: Caller, params: wire.NodePairRequestParams
    ) -> wire.NodePairRequested:
        """Ask for a node by hand."""
        return await self.pairing.ask_by_hand(params)

    def pair_list(self, _: Caller, __: Any) -> wire.NodePairList:
        """Who waits and who was approved."""
        return self.pairing.listing()

    async def approve(
        self, caller: Caller, params: wire.NodePairDecisionParams
    ) -> wire.NodePairApproved:
        """Let a node lend what it asked to; it is told."""
        approved = await self.pairing.approve(params.request_id, caller.scopes, caller.version)
        live = self.registry.live(approved.node.node_id)
        if live is not None:
            event = wire.NodePairResolvedEvent(
                request_id=approved.request_id,
                node_id=live.node_id,
                decision="approved",
                ts=approved.node.approved_at_ms,
            )
            self.send(live.connection.conn_id, "node.pair.resolved", event)
        return approved

    async def reject(self, _: Caller, params: wire.NodePairDecisionParams) -> wire.NodePairRejected:
        """Refuse what a node asked for."""
        return await self.pairing.reject(params.request_id)

    async def remove(self, _: Caller, params: wire.NodePairRemoveParams) -> wire.NodePairRemoved:
        """Let go of a node."""
        node_id = params.node_id.strip()
        await self.registry.remove(node_id)
        await self.pending.forget(node_id)
        return wire.NodePairRemoved(node_id=node_id)

    def verify(self, _: Caller, params: wire.NodePairVerifyParams) -> wire.NodePairVerified:
        """Whether a token is that of an approval."""
        return self.pairing.verify(params.node_id, params.token)

    # Of nodes

    def result(self, caller: Caller, params: wire.NodeInvokeResultParams) -> wire.NodeResultTaken:
        """What came of an invocation."""
        live = self._caller(caller)
        if params.node_id != live.node_id:
            if live.lines.admits():
                self.log.info(
                    "node {node} gave a result in another's name: refused", node=live.node_id[:12]
                )
            raise invalid("nodeId mismatch")
        return _taken(self.invocations.result(live, params))

    def progress(
        self, caller: Caller, params: wire.NodeInvokeProgressParams
    ) -> wire.NodeResultTaken:
        """Output of a command that still runs; nobody here listens to it."""
        live = self._caller(caller)
        if params.node_id != live.node_id:
            raise invalid("nodeId mismatch")
        return _taken(params.invoke_id in live.invokes)

    async def event(self, caller: Caller, params: wire.NodeEventParams) -> wire.NodeEventResult:
        """Something happened at a node."""
        return await self.node_events.take(self._caller(caller), params)

    def plugin_tools(
        self, caller: Caller, params: wire.PluginToolsUpdateParams
    ) -> wire.PluginToolsUpdated:
        """The tools a node offers now."""
        live = self._caller(caller)
        live.plugin_tools = params.tools
        tools = self.registry.plugin_tools(live)
        return wire.PluginToolsUpdated(node_id=live.node_id, tools=tools)

    def skills(self, caller: Caller, _: wire.SkillsUpdateParams) -> wire.SkillsUpdated:
        """The skills a node has; agents here bring their own."""
        return wire.SkillsUpdated(node_id=self._caller(caller).node_id, skills=[])

    def runner_inventory(self, caller: Caller, _: Any) -> wire.RunnerInventoryUpdated:
        """What a node could run for the Gateway; nothing is run there."""
        return wire.RunnerInventoryUpdated(node_id=self._caller(caller).node_id)

    async def drain(self, caller: Caller, params: wire.PendingDrainParams) -> wire.PendingDrained:
        """What a node that woke is asked for."""
        limit = given(params.max_items, DEFAULT_ITEMS)
        return await self.pending.drain(self._caller(caller).node_id, limit)

    def pull(self, caller: Caller, _: Any) -> wire.PendingActions:
        """What an app that is on the screen again is to do."""
        node_id = self._caller(caller).node_id
        actions = self.pending.actions(node_id, self.registry.commands(node_id))
        return wire.PendingActions(node_id=node_id, actions=actions)

    async def ack(self, caller: Caller, params: wire.PendingAckParams) -> wire.PendingAcked:
        """It did these."""
        node_id = self._caller(caller).node_id
        ids = list(dict.fromkeys(params.ids))
        remaining = await self.pending.acknowledge(node_id, ids)
        return wire.PendingAcked(node_id=node_id, acked_ids=ids, remaining_count=remaining)

    def bins(self, _: Caller, __: Any) -> wire.SkillsBins:
        """Programs that a node may run unasked because skills need them (`autoAllowSkills`): none.

        The Gateway has no skills. Its agents' are files in their workspaces, where an agent that
        names a program in a skill would allow itself what no person has.
        """
        return wire.SkillsBins(bins=[])

    def _caller(self, caller: Caller) -> Live:
        return self.registry.live_of(caller.conn_id, caller.device_id)


def _taken(was_awaited: bool) -> wire.NodeResultTaken:
    return wire.NodeResultTaken() if was_awaited else wire.NodeResultTaken(ignored=True)


def _fields(node: wire.Node) -> dict[str, Any]:
    return structs.asdict(node)
