"""Which types belong to which method and event: the index of the protocol.

The schema export walks it, the router decodes by it, and the tests generate from it. Scopes are
not here: they are declared where a method is registered, beside what it does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from clawgw.protocol import (
    agents,
    approvals,
    canvas,
    channels,
    chat,
    connect,
    devices,
    nodes,
    sessions,
    system,
)
from clawgw.protocol.base import AnyParams, NoParams


class MethodTypes(NamedTuple):
    """Parameter and result type of a method; `others` are results it may have instead."""

    params: type[Any]
    result: Any
    others: tuple[Any, ...] = ()


def method_types() -> dict[str, MethodTypes]:
    """Every method of the protocol, by name."""
    of = MethodTypes
    return {
        "connect": of(connect.ConnectParams, connect.HelloOk),
        "health": of(AnyParams, system.Health),
        "status": of(AnyParams, system.Status),
        "system-presence": of(AnyParams, list[system.PresenceEntry]),
        "system-event": of(system.SystemEventParams, system.Ok),
        "talk.mode": of(system.TalkModeParams, system.TalkMode),
        "agents.list": of(NoParams, agents.AgentsList),
        "agent.identity.get": of(agents.AgentIdentityParams, agents.AgentIdentity),
        "models.list": of(agents.ModelsListParams, agents.ModelsList),
        "agent": of(agents.AgentParams, agents.AgentFinal, (agents.AgentAccepted,)),
        "agent.wait": of(agents.AgentWaitParams, agents.AgentWaitResult),
        "chat.send": of(chat.ChatSendParams, chat.ChatSendResult),
        "chat.history": of(
            chat.ChatHistoryParams,
            chat.ChatHistory,
            (chat.ChatHistoryDelta, chat.ChatHistoryReset),
        ),
        "chat.abort": of(chat.ChatAbortParams, chat.ChatAbortResult),
        "chat.inject": of(chat.ChatInjectParams, chat.ChatInjectResult),
        "sessions.list": of(sessions.SessionsListParams, sessions.SessionsList),
        "sessions.preview": of(sessions.SessionsPreviewParams, sessions.SessionsPreview),
        "sessions.resolve": of(sessions.SessionsResolveParams, sessions.SessionResolved),
        "sessions.patch": of(sessions.SessionsPatchParams, sessions.SessionChanged),
        "sessions.reset": of(sessions.SessionsResetParams, sessions.SessionChanged),
        "sessions.delete": of(sessions.SessionsDeleteParams, sessions.SessionDeleted),
        "sessions.compact": of(sessions.SessionsCompactParams, sessions.SessionCompacted),
        "device.pair.list": of(NoParams, devices.PairList),
        "device.pair.approve": of(devices.PairDecisionParams, devices.PairApproved),
        "device.pair.reject": of(devices.PairDecisionParams, devices.PairRejected),
        "device.token.rotate": of(devices.TokenRotateParams, devices.TokenRotated),
        "device.token.revoke": of(devices.TokenRevokeParams, devices.TokenRevoked),
        "canvas.a2ui.push": of(canvas.A2uiPushParams, canvas.A2uiState),
        "canvas.a2ui.pushJSONL": of(canvas.A2uiPushLinesParams, canvas.A2uiState),
        "canvas.a2ui.reset": of(canvas.A2uiResetParams, canvas.A2uiState),
        "canvas.files.write": of(canvas.FileWriteParams, canvas.FileWritten),
        "canvas.files.read": of(canvas.FileReadParams, canvas.FileContent),
        "canvas.files.list": of(canvas.FileListParams, canvas.FileList),
        "canvas.files.delete": of(canvas.FileDeleteParams, canvas.FilesDeleted),
        "canvas.files.reset": of(NoParams, canvas.FilesDeleted),
        "plugin.surface.refresh": of(canvas.SurfaceRefreshParams, canvas.SurfaceRefreshed),
        "node.pluginSurface.refresh": of(canvas.SurfaceRefreshParams, canvas.SurfaceRefreshed),
        "node.list": of(NoParams, nodes.NodeList),
        "node.describe": of(nodes.NodeParams, nodes.NodeDescription),
        "node.rename": of(nodes.NodeRenameParams, nodes.NodeRenamed),
        "node.invoke": of(nodes.NodeInvokeParams, nodes.NodeInvoked),
        "node.invoke.result": of(nodes.NodeInvokeResultParams, nodes.NodeResultTaken),
        "node.invoke.progress": of(nodes.NodeInvokeProgressParams, nodes.NodeResultTaken),
        "node.event": of(nodes.NodeEventParams, nodes.NodeEventResult),
        "node.pair.request": of(nodes.NodePairRequestParams, nodes.NodePairRequested),
        "node.pair.list": of(NoParams, nodes.NodePairList),
        "node.pair.approve": of(nodes.NodePairDecisionParams, nodes.NodePairApproved),
        "node.pair.reject": of(nodes.NodePairDecisionParams, nodes.NodePairRejected),
        "node.pair.remove": of(nodes.NodePairRemoveParams, nodes.NodePairRemoved),
        "node.pair.verify": of(nodes.NodePairVerifyParams, nodes.NodePairVerified),
        "node.pluginTools.update": of(nodes.PluginToolsUpdateParams, nodes.PluginToolsUpdated),
        "node.skills.update": of(nodes.SkillsUpdateParams, nodes.SkillsUpdated),
        "node.runnerInventory.update": of(AnyParams, nodes.RunnerInventoryUpdated),
        "node.pending.enqueue": of(nodes.PendingEnqueueParams, nodes.PendingEnqueued),
        "node.pending.drain": of(nodes.PendingDrainParams, nodes.PendingDrained),
        "node.pending.pull": of(NoParams, nodes.PendingActions),
        "node.pending.ack": of(nodes.PendingAckParams, nodes.PendingAcked),
        "skills.bins": of(NoParams, nodes.SkillsBins),
        "exec.approvals.get": of(NoParams, approvals.PolicySnapshot),
        "exec.approvals.set": of(approvals.PolicySetParams, approvals.PolicySnapshot),
        "exec.approvals.node.get": of(approvals.NodePolicyGetParams, approvals.NodePolicy),
        "exec.approvals.node.set": of(approvals.NodePolicySetParams, approvals.NodePolicy),
        "exec.approval.request": of(
            approvals.ApprovalRequestParams,
            approvals.ApprovalResult,
            (approvals.ApprovalAccepted,),
        ),
        "node.approval.request": of(approvals.NodeApprovalRequestParams, approvals.ApprovalResult),
        "exec.approval.resolve": of(approvals.ApprovalResolveParams, approvals.ApprovalOk),
        "exec.approval.get": of(approvals.ApprovalIdParams, approvals.ApprovalView),
        "exec.approval.list": of(AnyParams, list[approvals.ApprovalRequested]),
        "exec.approval.waitDecision": of(approvals.ApprovalWaitParams, approvals.ApprovalResult),
        "approval.get": of(approvals.ApprovalGetParams, approvals.ApprovalFound),
        "approval.resolve": of(approvals.ApprovalDecideParams, approvals.ApprovalDecided),
        "send": of(channels.SendParams, channels.Sent),
        "poll": of(channels.PollParams, channels.Sent),
        "message.action": of(channels.MessageActionParams, channels.Sent),
        "channels.status": of(channels.ChannelsStatusParams, channels.ChannelsStatus),
        "channels.logout": of(channels.ChannelsLogoutParams, channels.ChannelLoggedOut),
        "web.login.start": of(channels.WebLoginStartParams, channels.WebLogin),
        "web.login.wait": of(channels.WebLoginWaitParams, channels.WebLogin),
        "channel.pair.list": of(channels.ChannelPairListParams, channels.ChannelPairList),
        "channel.pair.approve": of(
            channels.ChannelPairDecisionParams, channels.ChannelPairResolved
        ),
        "channel.pair.reject": of(channels.ChannelPairDecisionParams, channels.ChannelPairResolved),
        "channel.pair.remove": of(channels.ChannelPairRemoveParams, channels.ChannelPairResolved),
        "approval.history": of(approvals.ApprovalHistoryParams, approvals.ApprovalHistory),
    }


def event_types() -> dict[str, Any]:
    """Every event of the protocol, by name."""
    return {
        "connect.challenge": connect.ChallengeEvent,
        "agent": agents.AgentEvent,
        "chat": chat.ChatEvent,
        "presence": system.PresenceEvent,
        "tick": system.TickEvent,
        "talk.mode": system.TalkMode,
        "shutdown": system.ShutdownEvent,
        "health": system.Health,
        "sessions.changed": sessions.SessionsChangedEvent,
        "device.pair.requested": devices.PairRequest,
        "device.pair.resolved": devices.PairResolvedEvent,
        "node.pair.requested": nodes.NodePairRequest,
        "node.pair.resolved": nodes.NodePairResolvedEvent,
        "node.invoke.request": nodes.NodeInvokeRequestEvent,
        "node.invoke.cancel": nodes.NodeInvokeCancelEvent,
        "node.hostStats": nodes.HostStatsEvent,
        "exec.approval.requested": approvals.ApprovalRequested,
        "channel.pair.requested": channels.ChannelStranger,
        "channel.pair.resolved": channels.ChannelPairResolved,
        "exec.approval.resolved": approvals.ApprovalResolved,
    }
