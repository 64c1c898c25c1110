"""Nodes: the list of them, what they may be asked, invocations (contract: `Node*`, `SkillsBins*`).

Results of commands can be megabytes (a photo). Their fields are `Raw`: the Gateway looks at the
bytes as little as it can, and never builds the value.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Raw, field

from clawgw.protocol.base import Count, Maybe, Name, Number, Open, Params

Millis = Count

# Asking for nodes


class NodeParams(Params, frozen=True):
    """`node.describe`."""

    node_id: Name


class NodeRenameParams(Params, frozen=True):
    """`node.rename`: what operators call a node."""

    node_id: Name
    display_name: Name


class NodeRenamed(Open, frozen=True):
    """Result of `node.rename`."""

    node_id: Name
    display_name: Name


class PluginToolMcp(Params, frozen=True):
    """Where a node's tool comes from, if from an MCP server beside it."""

    server: Name
    tool: Name


class PluginTool(Params, frozen=True):
    """A tool a version 4 node offers to agents; calling it is invoking its command."""

    plugin_id: Name
    name: Annotated[str, Meta(min_length=1, max_length=64, pattern="^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    description: Name
    parameters: Maybe[dict[str, Any]] = UNSET
    command: Maybe[Name] = UNSET
    mcp: Maybe[PluginToolMcp] = UNSET


Bytes = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Load = Annotated[float, Meta(ge=0, le=100_000)]


class HostStats(Open, frozen=True):
    """How busy a node's host is; `updated_at_ms` is the Gateway's time of receipt."""

    cpu_count: Annotated[int, Meta(ge=1, le=4096)]
    memory_total_bytes: Bytes
    memory_free_bytes: Bytes
    load_average: Maybe[Annotated[list[Load], Meta(min_length=3, max_length=3)]] = UNSET
    disk_total_bytes: Maybe[Bytes] = UNSET
    disk_available_bytes: Maybe[Bytes] = UNSET
    updated_at_ms: Maybe[Millis] = UNSET


ApprovalState = Literal["approved", "pending-approval", "pending-reapproval", "unapproved"]


class Node(Open, frozen=True):
    """A node as `node.list` shows it.

    From `client_id` to `pending_declared_permissions`: version 4 only. `caps` and `commands` are
    what counts now, not what the node claims.
    """

    node_id: Name
    caps: list[str]
    commands: list[str]
    paired: bool
    connected: bool
    display_name: Maybe[str] = UNSET
    platform: Maybe[str] = UNSET
    version: Maybe[str] = UNSET
    device_family: Maybe[str] = UNSET
    model_identifier: Maybe[str] = UNSET
    remote_ip: Maybe[str] = UNSET
    path_env: Maybe[str] = UNSET
    permissions: Maybe[dict[str, bool]] = UNSET
    connected_at_ms: Maybe[Millis] = UNSET
    last_connected_at_ms: Maybe[Millis] = UNSET
    last_disconnected_at_ms: Maybe[Millis] = UNSET
    last_seen_at_ms: Maybe[Millis] = UNSET
    last_seen_reason: Maybe[str] = UNSET
    client_id: Maybe[str] = UNSET
    client_mode: Maybe[str] = UNSET
    session_host: Maybe[bool] = UNSET
    node_plugin_tools: Maybe[list[PluginTool]] = UNSET
    host_stats: Maybe[HostStats] = UNSET
    approval_state: Maybe[ApprovalState] = UNSET
    approved_at_ms: Maybe[Millis] = UNSET
    pending_request_id: Maybe[str] = UNSET
    pending_declared_caps: Maybe[list[str]] = UNSET
    pending_declared_commands: Maybe[list[str]] = UNSET
    pending_declared_permissions: Maybe[dict[str, bool]] = UNSET


class NodeList(Open, frozen=True):
    """Result of `node.list`: the connected ones first, then by name."""

    ts: Millis
    nodes: list[Node]


class NodeDescription(Node, frozen=True, kw_only=True):
    """Result of `node.describe`."""

    ts: Millis


# Invoking


class NodeInvokeParams(Params, frozen=True):
    """`node.invoke`. The fields from `session_key` on are version 4's, and only taken note of."""

    node_id: Name
    command: Name
    idempotency_key: Name
    params: Maybe[Raw] = UNSET
    timeout_ms: Maybe[Count] = UNSET
    session_key: Maybe[Name] = UNSET
    turn_source_channel: Maybe[str] = UNSET
    turn_source_to: Maybe[str] = UNSET
    turn_source_account_id: Maybe[str] = UNSET
    turn_source_thread_id: Maybe[str | Number] = UNSET


class NodeInvoked(Open, frozen=True):
    """Result of `node.invoke`: the node's result, as JSON and, if it came so, as a string too."""

    node_id: Name
    command: Name
    payload: Maybe[Any] = UNSET
    payload_json: Maybe[str | None] = field(default=UNSET, name="payloadJSON")
    ok: bool = True


class NodeInvokeRequestEvent(Open, frozen=True):
    """`node.invoke.request`: to the node that is asked, and to nobody else."""

    id: Name
    node_id: Name
    command: Name
    params_json: Maybe[str] = field(default=UNSET, name="paramsJSON")
    timeout_ms: Maybe[Count] = UNSET
    idempotency_key: Maybe[Name] = UNSET


class NodeInvokeCancelEvent(Open, frozen=True):
    """`node.invoke.cancel` (version 4): nobody waits for this result any more."""

    invoke_id: Name
    node_id: Name


class NodeFailure(Params, frozen=True):
    """Why a node could not."""

    code: Maybe[Name] = UNSET
    message: Maybe[Name] = UNSET


class NodeInvokeResultParams(Params, frozen=True):
    """`node.invoke.result`.

    `payload_json` should be a string that holds JSON. Apps in the field also send `null`, or the
    value itself; both are taken, as the original does.
    """

    id: Name
    node_id: Name
    ok: bool
    payload: Maybe[Raw] = UNSET
    payload_json: Maybe[Raw] = field(default=UNSET, name="payloadJSON")
    error: Maybe[NodeFailure | None] = UNSET


class NodeResultTaken(Open, frozen=True):
    """Result of `node.invoke.result` and `node.invoke.progress`. `ignored`: nobody waits for it."""

    ok: bool = True
    ignored: Maybe[bool] = UNSET


class NodeInvokeProgressParams(Params, frozen=True):
    """`node.invoke.progress` (version 4): output of a command that is still running."""

    invoke_id: Name
    node_id: Name
    seq: Count
    chunk: Annotated[str, Meta(max_length=16384)]


# What a node tells of its own accord


class NodeEventParams(Params, frozen=True):
    """`node.event`."""

    event: Name
    payload: Maybe[Any] = UNSET
    payload_json: Maybe[str | None] = field(default=UNSET, name="payloadJSON")


class NodeEventResult(Open, frozen=True):
    """Result of `node.event`; after `ok` only in version 4."""

    ok: bool = True
    event: Maybe[Name] = UNSET
    handled: Maybe[bool] = UNSET
    reason: Maybe[Name] = UNSET


class HostStatsEvent(Open, frozen=True):
    """`node.hostStats` (version 4): a node told how busy its host is."""

    node_id: Name
    host_stats: HostStats


class PluginToolsUpdateParams(Params, frozen=True):
    """`node.pluginTools.update` (version 4): all tools a node offers, in place of the earlier."""

    tools: list[PluginTool]


class PluginToolsUpdated(Open, frozen=True):
    """Result of `node.pluginTools.update`: the tools that count."""

    node_id: Name
    tools: list[PluginTool]


class NodeSkill(Params, frozen=True):
    """A skill that lives on a node."""

    name: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=64,
            pattern="^(?!.*--)[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$",
        ),
    ]
    description: Annotated[str, Meta(min_length=1, max_length=1024)]
    content: Annotated[str, Meta(min_length=1, max_length=65536)]


class SkillsUpdateParams(Params, frozen=True):
    """`node.skills.update` (version 4): all skills a node has."""

    skills: Annotated[list[NodeSkill], Meta(max_length=64)]


class SkillsUpdated(Open, frozen=True):
    """Result of `node.skills.update`: the skills that count. This Gateway uses none."""

    node_id: Name
    skills: list[NodeSkill]


class RunnerInventoryUpdated(Open, frozen=True):
    """Result of `node.runnerInventory.update` (version 4): noted."""

    node_id: Name


PendingType = Literal["status.request", "location.request"]


class PendingItem(Open, frozen=True):
    """Something a node is asked for when it wakes; `default` is what nobody asked for."""

    id: Name
    type: PendingType
    priority: Literal["default", "normal", "high"]
    created_at_ms: Count
    expires_at_ms: Maybe[Count | None] = UNSET


class PendingEnqueueParams(Params, frozen=True):
    """`node.pending.enqueue` (version 4): ask a node for something when it wakes.

    `wake` is taken and means nothing: this Gateway cannot push.
    """

    node_id: Name
    type: PendingType
    priority: Maybe[Literal["normal", "high"]] = UNSET
    expires_in_ms: Maybe[Annotated[int, Meta(ge=1000, le=86_400_000)]] = UNSET
    wake: Maybe[bool] = UNSET


class PendingEnqueued(Open, frozen=True):
    """Result of `node.pending.enqueue`."""

    node_id: Name
    revision: Count
    queued: PendingItem
    wake_triggered: bool = False


class PendingDrainParams(Params, frozen=True):
    """`node.pending.drain` (version 4)."""

    max_items: Maybe[Annotated[int, Meta(ge=1, le=10)]] = UNSET


class PendingDrained(Open, frozen=True):
    """Result of `node.pending.drain`: what the node is asked for, and whether there is more."""

    node_id: Name
    items: list[PendingItem]
    revision: Count
    has_more: bool


class PendingAction(Open, frozen=True):
    """A command that an app refused because it was not on the screen."""

    id: Name
    command: Name
    params_json: str | None = field(name="paramsJSON")
    enqueued_at_ms: Count


class PendingActions(Open, frozen=True):
    """Result of `node.pending.pull` (version 4)."""

    node_id: Name
    actions: list[PendingAction]


class PendingAckParams(Params, frozen=True):
    """`node.pending.ack` (version 4)."""

    ids: Annotated[list[Name], Meta(min_length=1)]


class PendingAcked(Open, frozen=True):
    """Result of `node.pending.ack`."""

    node_id: Name
    acked_ids: list[str]
    remaining_count: Count


class SkillsBins(Open, frozen=True):
    """Result of `skills.bins`: programs that skills of this Gateway need on a node."""

    bins: list[str]


# Approving what a node may lend


class NodePairRequestParams(Params, frozen=True):
    """`node.pair.request` (version 3): ask for a node by hand."""

    node_id: Name
    display_name: Maybe[Name] = UNSET
    platform: Maybe[Name] = UNSET
    version: Maybe[Name] = UNSET
    core_version: Maybe[Name] = UNSET
    ui_version: Maybe[Name] = UNSET
    device_family: Maybe[Name] = UNSET
    model_identifier: Maybe[Name] = UNSET
    caps: Maybe[list[Name]] = UNSET
    commands: Maybe[list[Name]] = UNSET
    remote_ip: Maybe[Name] = UNSET
    silent: Maybe[bool] = UNSET


class NodePairRequest(Open, frozen=True):
    """A node that waits for approval; also the payload of `node.pair.requested`.

    `silent`: the device was let in without asking anybody, so an app may offer to do the same here.
    """

    request_id: Name
    node_id: Name
    ts: Millis
    caps: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    permissions: Maybe[dict[str, bool]] = UNSET
    display_name: Maybe[str] = UNSET
    platform: Maybe[str] = UNSET
    version: Maybe[str] = UNSET
    core_version: Maybe[str] = UNSET
    ui_version: Maybe[str] = UNSET
    device_family: Maybe[str] = UNSET
    model_identifier: Maybe[str] = UNSET
    client_id: Maybe[str] = UNSET
    client_mode: Maybe[str] = UNSET
    remote_ip: Maybe[str] = UNSET
    required_approve_scopes: Maybe[list[str]] = UNSET
    silent: Maybe[bool] = UNSET
    is_repair: Maybe[bool] = UNSET


class NodePairRequested(Open, frozen=True):
    """Result of `node.pair.request`."""

    request: NodePairRequest
    created: bool
    status: Literal["pending"] = "pending"


class ApprovedNode(Open, frozen=True):
    """A node whose commands an operator approved. `token`: told once, to version 3 only."""

    node_id: Name
    created_at_ms: Millis
    approved_at_ms: Millis
    caps: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    permissions: Maybe[dict[str, bool]] = UNSET
    display_name: Maybe[str] = UNSET
    platform: Maybe[str] = UNSET
    version: Maybe[str] = UNSET
    device_family: Maybe[str] = UNSET
    model_identifier: Maybe[str] = UNSET
    client_id: Maybe[str] = UNSET
    client_mode: Maybe[str] = UNSET
    remote_ip: Maybe[str] = UNSET
    last_connected_at_ms: Maybe[Millis] = UNSET
    last_seen_at_ms: Maybe[Millis] = UNSET
    last_seen_reason: Maybe[str] = UNSET
    token: Maybe[str] = UNSET

    def __repr__(self) -> str:
        return f"ApprovedNode(node_id={self.node_id!r}, commands={self.commands!r})"


class NodePairList(Open, frozen=True):
    """Result of `node.pair.list`."""

    pending: list[NodePairRequest]
    paired: list[ApprovedNode]


class NodePairDecisionParams(Params, frozen=True):
    """`node.pair.approve` and `node.pair.reject`."""

    request_id: Name


class NodePairApproved(Open, frozen=True):
    """Result of `node.pair.approve`."""

    request_id: Name
    node: ApprovedNode


class NodePairRejected(Open, frozen=True):
    """Result of `node.pair.reject`."""

    request_id: Name
    node_id: Name


class NodePairRemoveParams(Params, frozen=True):
    """`node.pair.remove` (version 4): the node is none any more."""

    node_id: Name


class NodePairRemoved(Open, frozen=True):
    """Result of `node.pair.remove`."""

    node_id: Name


class NodePairResolvedEvent(Open, frozen=True):
    """`node.pair.resolved`. `expired`: the node now asks for something else, or for nothing."""

    request_id: Name
    node_id: Name
    decision: Literal["approved", "rejected", "expired"]
    ts: Millis


class NodePairVerifyParams(Params, frozen=True):
    """`node.pair.verify` (version 3)."""

    node_id: Name
    token: Name

    def __repr__(self) -> str:
        return f"NodePairVerifyParams(node_id={self.node_id!r})"


class NodePairVerified(Open, frozen=True):
    """Result of `node.pair.verify`."""

    ok: bool
    node: Maybe[ApprovedNode] = UNSET
