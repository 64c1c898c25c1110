// Generated from protocol.schema.json by `python -m clawgw.protocol swift`. Do not edit.

import Foundation

/// Any JSON value.
public enum JSONValue: Codable, Equatable, Sendable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    public init(from decoder: Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([JSONValue].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONValue].self))
        }
    }

    public func encode(to encoder: Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }
}

/// Every method.
public enum GatewayMethod: String, Codable, CaseIterable, Sendable {
    case agent
    case agentIdentityGet = "agent.identity.get"
    case agentWait = "agent.wait"
    case agentsList = "agents.list"
    case approvalGet = "approval.get"
    case approvalHistory = "approval.history"
    case approvalResolve = "approval.resolve"
    case canvasA2uiPush = "canvas.a2ui.push"
    case canvasA2uiPushJSONL = "canvas.a2ui.pushJSONL"
    case canvasA2uiReset = "canvas.a2ui.reset"
    case canvasFilesDelete = "canvas.files.delete"
    case canvasFilesList = "canvas.files.list"
    case canvasFilesRead = "canvas.files.read"
    case canvasFilesReset = "canvas.files.reset"
    case canvasFilesWrite = "canvas.files.write"
    case channelPairApprove = "channel.pair.approve"
    case channelPairList = "channel.pair.list"
    case channelPairReject = "channel.pair.reject"
    case channelPairRemove = "channel.pair.remove"
    case channelsLogout = "channels.logout"
    case channelsStatus = "channels.status"
    case chatAbort = "chat.abort"
    case chatHistory = "chat.history"
    case chatInject = "chat.inject"
    case chatSend = "chat.send"
    case connect
    case devicePairApprove = "device.pair.approve"
    case devicePairList = "device.pair.list"
    case devicePairReject = "device.pair.reject"
    case deviceTokenRevoke = "device.token.revoke"
    case deviceTokenRotate = "device.token.rotate"
    case execApprovalGet = "exec.approval.get"
    case execApprovalList = "exec.approval.list"
    case execApprovalRequest = "exec.approval.request"
    case execApprovalResolve = "exec.approval.resolve"
    case execApprovalWaitDecision = "exec.approval.waitDecision"
    case execApprovalsGet = "exec.approvals.get"
    case execApprovalsNodeGet = "exec.approvals.node.get"
    case execApprovalsNodeSet = "exec.approvals.node.set"
    case execApprovalsSet = "exec.approvals.set"
    case health
    case messageAction = "message.action"
    case modelsList = "models.list"
    case nodeApprovalRequest = "node.approval.request"
    case nodeDescribe = "node.describe"
    case nodeEvent = "node.event"
    case nodeInvoke = "node.invoke"
    case nodeInvokeProgress = "node.invoke.progress"
    case nodeInvokeResult = "node.invoke.result"
    case nodeList = "node.list"
    case nodePairApprove = "node.pair.approve"
    case nodePairList = "node.pair.list"
    case nodePairReject = "node.pair.reject"
    case nodePairRemove = "node.pair.remove"
    case nodePairRequest = "node.pair.request"
    case nodePairVerify = "node.pair.verify"
    case nodePendingAck = "node.pending.ack"
    case nodePendingDrain = "node.pending.drain"
    case nodePendingEnqueue = "node.pending.enqueue"
    case nodePendingPull = "node.pending.pull"
    case nodePluginSurfaceRefresh = "node.pluginSurface.refresh"
    case nodePluginToolsUpdate = "node.pluginTools.update"
    case nodeRename = "node.rename"
    case nodeRunnerInventoryUpdate = "node.runnerInventory.update"
    case nodeSkillsUpdate = "node.skills.update"
    case pluginSurfaceRefresh = "plugin.surface.refresh"
    case poll
    case send
    case sessionsCompact = "sessions.compact"
    case sessionsDelete = "sessions.delete"
    case sessionsList = "sessions.list"
    case sessionsPatch = "sessions.patch"
    case sessionsPreview = "sessions.preview"
    case sessionsReset = "sessions.reset"
    case sessionsResolve = "sessions.resolve"
    case skillsBins = "skills.bins"
    case status
    case systemEvent = "system-event"
    case systemPresence = "system-presence"
    case talkMode = "talk.mode"
    case webLoginStart = "web.login.start"
    case webLoginWait = "web.login.wait"
}

/// Every event.
public enum GatewayEvent: String, Codable, CaseIterable, Sendable {
    case agent
    case channelPairRequested = "channel.pair.requested"
    case channelPairResolved = "channel.pair.resolved"
    case chat
    case connectChallenge = "connect.challenge"
    case devicePairRequested = "device.pair.requested"
    case devicePairResolved = "device.pair.resolved"
    case execApprovalRequested = "exec.approval.requested"
    case execApprovalResolved = "exec.approval.resolved"
    case health
    case nodeHostStats = "node.hostStats"
    case nodeInvokeCancel = "node.invoke.cancel"
    case nodeInvokeRequest = "node.invoke.request"
    case nodePairRequested = "node.pair.requested"
    case nodePairResolved = "node.pair.resolved"
    case presence
    case sessionsChanged = "sessions.changed"
    case shutdown
    case talkMode = "talk.mode"
    case tick
}

/// One message on the wire.
public enum GatewayFrame: Codable, Equatable, Sendable {
    case req(RequestFrame)
    case res(ResponseFrame)
    case event(EventFrame)

    private enum Tag: String, CodingKey { case type }

    public init(from decoder: Decoder) throws {
        let container = try decoder.container(keyedBy: Tag.self)
        switch try container.decode(String.self, forKey: .type) {
        case "req": self = .req(try RequestFrame(from: decoder))
        case "res": self = .res(try ResponseFrame(from: decoder))
        case "event": self = .event(try EventFrame(from: decoder))
        default:
            throw DecodingError.dataCorruptedError(
                forKey: .type, in: container,
                debugDescription: "not a frame of this protocol")
        }
    }

    public func encode(to encoder: Encoder) throws {
        switch self {
        case .req(let frame): try frame.encode(to: encoder)
        case .res(let frame): try frame.encode(to: encoder)
        case .event(let frame): try frame.encode(to: encoder)
        }
    }
}

/// `canvas.a2ui.pushJSONL`.
public struct A2uiPushLinesParams: Codable, Equatable, Sendable {
    public let jsonl: String
    public let sessionKey: String?

    public init(
        jsonl: String,
        sessionKey: String? = nil
    ) {
        self.jsonl = jsonl
        self.sessionKey = sessionKey
    }
}

/// `canvas.a2ui.push`: A2UI messages, as a list or as JSON lines; actions go to the session.
public struct A2uiPushParams: Codable, Equatable, Sendable {
    public let messages: [JSONValue]?
    public let jsonl: String?
    public let sessionKey: String?

    public init(
        messages: [JSONValue]? = nil,
        jsonl: String? = nil,
        sessionKey: String? = nil
    ) {
        self.messages = messages
        self.jsonl = jsonl
        self.sessionKey = sessionKey
    }
}

/// `canvas.a2ui.reset`: end all surfaces, or those of a session, or one.
public struct A2uiResetParams: Codable, Equatable, Sendable {
    public let sessionKey: String?
    public let surfaceId: String?

    public init(
        sessionKey: String? = nil,
        surfaceId: String? = nil
    ) {
        self.sessionKey = sessionKey
        self.surfaceId = surfaceId
    }
}

/// Result of `canvas.a2ui.*`: the surfaces there are, and how many screens show them.
public struct A2uiState: Codable, Equatable, Sendable {
    public let surfaces: [String]
    public let screens: Int
    public let ok: Bool?

    public init(
        surfaces: [String],
        screens: Int,
        ok: Bool? = nil
    ) {
        self.surfaces = surfaces
        self.screens = screens
        self.ok = ok
    }
}

/// One account, as apps read it. Nothing here is a secret; times in milliseconds. `possibleDoubles`: how many messages may have arrived twice since the start. `canLogin`, `canLoginByCode` (ours): there is a login with a QR code; and with a code to type.
public struct AccountSnapshot: Codable, Equatable, Sendable {
    public let accountId: String
    public let enabled: Bool
    public let configured: Bool
    public let running: Bool
    public let connected: Bool
    public let reconnectAttempts: Int
    public let healthState: String
    public let dmPolicy: String
    public let allowFrom: [String]
    public let name: String?
    public let linked: Bool?
    public let canLogin: Bool?
    public let canLoginByCode: Bool?
    public let lastError: String?
    public let warning: String?
    public let possibleDoubles: Int?
    public let lastConnectedAt: Int?
    public let lastStartAt: Int?
    public let lastStopAt: Int?
    public let lastInboundAt: Int?
    public let lastOutboundAt: Int?
    public let lastProbeAt: Int?
    public let mode: String?
    public let baseUrl: String?
    public let probe: JSONValue?

    public init(
        accountId: String,
        enabled: Bool,
        configured: Bool,
        running: Bool,
        connected: Bool,
        reconnectAttempts: Int,
        healthState: String,
        dmPolicy: String,
        allowFrom: [String],
        name: String? = nil,
        linked: Bool? = nil,
        canLogin: Bool? = nil,
        canLoginByCode: Bool? = nil,
        lastError: String? = nil,
        warning: String? = nil,
        possibleDoubles: Int? = nil,
        lastConnectedAt: Int? = nil,
        lastStartAt: Int? = nil,
        lastStopAt: Int? = nil,
        lastInboundAt: Int? = nil,
        lastOutboundAt: Int? = nil,
        lastProbeAt: Int? = nil,
        mode: String? = nil,
        baseUrl: String? = nil,
        probe: JSONValue? = nil
    ) {
        self.accountId = accountId
        self.enabled = enabled
        self.configured = configured
        self.running = running
        self.connected = connected
        self.reconnectAttempts = reconnectAttempts
        self.healthState = healthState
        self.dmPolicy = dmPolicy
        self.allowFrom = allowFrom
        self.name = name
        self.linked = linked
        self.canLogin = canLogin
        self.canLoginByCode = canLoginByCode
        self.lastError = lastError
        self.warning = warning
        self.possibleDoubles = possibleDoubles
        self.lastConnectedAt = lastConnectedAt
        self.lastStartAt = lastStartAt
        self.lastStopAt = lastStopAt
        self.lastInboundAt = lastInboundAt
        self.lastOutboundAt = lastOutboundAt
        self.lastProbeAt = lastProbeAt
        self.mode = mode
        self.baseUrl = baseUrl
        self.probe = probe
    }
}

/// Where the tool of an agent that asks for an action was called from.
public struct ActionContext: Codable, Equatable, Sendable {
    public let currentChannelId: String?
    public let currentMessagingTarget: String?
    public let currentGraphChannelId: String?
    public let currentChannelProvider: String?
    public let currentThreadTs: String?
    public let currentMessageId: JSONValue?
    public let replyToMode: ActionContextReplyToMode?
    public let hasRepliedRef: ReplyState?
    public let sameChannelThreadRequired: Bool?
    public let skipCrossContextDecoration: Bool?

    public init(
        currentChannelId: String? = nil,
        currentMessagingTarget: String? = nil,
        currentGraphChannelId: String? = nil,
        currentChannelProvider: String? = nil,
        currentThreadTs: String? = nil,
        currentMessageId: JSONValue? = nil,
        replyToMode: ActionContextReplyToMode? = nil,
        hasRepliedRef: ReplyState? = nil,
        sameChannelThreadRequired: Bool? = nil,
        skipCrossContextDecoration: Bool? = nil
    ) {
        self.currentChannelId = currentChannelId
        self.currentMessagingTarget = currentMessagingTarget
        self.currentGraphChannelId = currentGraphChannelId
        self.currentChannelProvider = currentChannelProvider
        self.currentThreadTs = currentThreadTs
        self.currentMessageId = currentMessageId
        self.replyToMode = replyToMode
        self.hasRepliedRef = hasRepliedRef
        self.sameChannelThreadRequired = sameChannelThreadRequired
        self.skipCrossContextDecoration = skipCrossContextDecoration
    }
}

/// What `ActionContext.replyToMode` may be.
public enum ActionContextReplyToMode: String, Codable, Sendable {
    case all
    case batched
    case first
    case off
}

/// Which message an action answers, and who says so.
public struct ActionReply: Codable, Equatable, Sendable {
    public let replyToId: String
    public let source: ActionReplySource
    public let mode: ActionReplyMode?

    public init(
        replyToId: String,
        source: ActionReplySource,
        mode: ActionReplyMode? = nil
    ) {
        self.replyToId = replyToId
        self.source = source
        self.mode = mode
    }
}

/// What `ActionReply.source` may be.
public enum ActionReplySource: String, Codable, Sendable {
    case explicit
    case implicit
}

/// What `ActionReply.mode` may be.
public enum ActionReplyMode: String, Codable, Sendable {
    case all
    case first
}

/// What an action reaches, for those who show it (version 4).
public struct ActionScope: Codable, Equatable, Sendable {
    public let kind: ActionScopeKind
    public let target: String?
    public let recipientCount: Int?
    public let recipients: [String]?
    public let audience: ActionScopeAudience?
    public let amount: String?
    public let currency: String?
    public let visibility: ActionScopeVisibility?
    public let automation: String?
    public let command: String?
    public let expiresInDays: Int?

    public init(
        kind: ActionScopeKind,
        target: String? = nil,
        recipientCount: Int? = nil,
        recipients: [String]? = nil,
        audience: ActionScopeAudience? = nil,
        amount: String? = nil,
        currency: String? = nil,
        visibility: ActionScopeVisibility? = nil,
        automation: String? = nil,
        command: String? = nil,
        expiresInDays: Int? = nil
    ) {
        self.kind = kind
        self.target = target
        self.recipientCount = recipientCount
        self.recipients = recipients
        self.audience = audience
        self.amount = amount
        self.currency = currency
        self.visibility = visibility
        self.automation = automation
        self.command = command
        self.expiresInDays = expiresInDays
    }
}

/// What `ActionScope.kind` may be.
public enum ActionScopeKind: String, Codable, Sendable {
    case externalPost = "external-post"
    case messageSend = "message-send"
    case payment
    case standingGrant = "standing-grant"
}

/// What `ActionScope.audience` may be.
public enum ActionScopeAudience: String, Codable, Sendable {
    case external
    case `internal` = "internal"
}

/// What `ActionScope.visibility` may be.
public enum ActionScopeVisibility: String, Codable, Sendable {
    case `public` = "public"
    case restricted
}

/// First answer of `agent`: the message is stored, the run will happen.
public struct AgentAccepted: Codable, Equatable, Sendable {
    public let runId: String
    public let acceptedAt: Int
    public let status: AgentAcceptedStatus?
    public let sessionKey: String?
    public let agentId: String?

    public init(
        runId: String,
        acceptedAt: Int,
        status: AgentAcceptedStatus? = nil,
        sessionKey: String? = nil,
        agentId: String? = nil
    ) {
        self.runId = runId
        self.acceptedAt = acceptedAt
        self.status = status
        self.sessionKey = sessionKey
        self.agentId = agentId
    }
}

/// What `AgentAccepted.status` may be.
public enum AgentAcceptedStatus: String, Codable, Sendable {
    case accepted
}

/// `agent`: what happens inside a run; `seq` counts per run.
public struct AgentEvent: Codable, Equatable, Sendable {
    public let runId: String
    public let stream: String
    public let data: [String: JSONValue]
    public let seq: Int
    public let ts: Int
    public let sessionKey: String?
    public let sessionId: String?
    public let agentId: String?

    public init(
        runId: String,
        stream: String,
        data: [String: JSONValue],
        seq: Int,
        ts: Int,
        sessionKey: String? = nil,
        sessionId: String? = nil,
        agentId: String? = nil
    ) {
        self.runId = runId
        self.stream = stream
        self.data = data
        self.seq = seq
        self.ts = ts
        self.sessionKey = sessionKey
        self.sessionId = sessionId
        self.agentId = agentId
    }
}

/// Second answer of `agent`; `summary` says it in words.
public struct AgentFinal: Codable, Equatable, Sendable {
    public let runId: String
    public let status: AgentFinalStatus
    public let summary: String
    public let result: RunResult?

    public init(
        runId: String,
        status: AgentFinalStatus,
        summary: String,
        result: RunResult? = nil
    ) {
        self.runId = runId
        self.status = status
        self.summary = summary
        self.result = result
    }
}

/// What `AgentFinal.status` may be.
public enum AgentFinalStatus: String, Codable, Sendable {
    case error
    case ok
    case timeout
}

/// One agent in `health`.
public struct AgentHealth: Codable, Equatable, Sendable {
    public let agentId: String
    public let isDefault: Bool
    public let heartbeat: HeartbeatInfo
    public let sessions: SessionsInfo
    public let name: String?

    public init(
        agentId: String,
        isDefault: Bool,
        heartbeat: HeartbeatInfo,
        sessions: SessionsInfo,
        name: String? = nil
    ) {
        self.agentId = agentId
        self.isDefault = isDefault
        self.heartbeat = heartbeat
        self.sessions = sessions
        self.name = name
    }
}

/// Result of `agent.identity.get`.
public struct AgentIdentity: Codable, Equatable, Sendable {
    public let agentId: String
    public let name: String
    public let avatar: String?
    public let emoji: String?
    public let nameSource: AgentIdentityNameSource?

    public init(
        agentId: String,
        name: String,
        avatar: String? = nil,
        emoji: String? = nil,
        nameSource: AgentIdentityNameSource? = nil
    ) {
        self.agentId = agentId
        self.name = name
        self.avatar = avatar
        self.emoji = emoji
        self.nameSource = nameSource
    }
}

/// What `AgentIdentity.nameSource` may be.
public enum AgentIdentityNameSource: String, Codable, Sendable {
    case agent
    case config
    case `default` = "default"
    case workspace
}

/// `agent.identity.get`.
public struct AgentIdentityParams: Codable, Equatable, Sendable {
    public let agentId: String?
    public let sessionKey: String?

    public init(
        agentId: String? = nil,
        sessionKey: String? = nil
    ) {
        self.agentId = agentId
        self.sessionKey = sessionKey
    }
}

/// By what a run was done.
public struct AgentMeta: Codable, Equatable, Sendable {
    public let sessionId: String
    public let provider: String?
    public let model: String?
    public let usage: RunUsage?

    public init(
        sessionId: String,
        provider: String?,
        model: String?,
        usage: RunUsage? = nil
    ) {
        self.sessionId = sessionId
        self.provider = provider
        self.model = model
        self.usage = usage
    }
}

/// The model of an agent, as `provider/model`.
public struct AgentModel: Codable, Equatable, Sendable {
    public let primary: String

    public init(
        primary: String
    ) {
        self.primary = primary
    }
}

/// `agent`: run one turn and answer twice, when accepted and when done. `acpTurnSource` and all after it is what version 4's Gateway tells itself: taken, not used.
public struct AgentParams: Codable, Equatable, Sendable {
    public let message: String
    public let idempotencyKey: String
    public let agentId: String?
    public let provider: String?
    public let model: String?
    public let to: String?
    public let replyTo: String?
    public let sessionId: String?
    public let sessionKey: String?
    public let expectedExistingSessionId: String?
    public let thinking: String?
    public let deliver: Bool?
    public let attachments: [Attachment]?
    public let channel: String?
    public let replyChannel: String?
    public let accountId: String?
    public let replyAccountId: String?
    public let threadId: String?
    public let groupId: String?
    public let groupChannel: String?
    public let groupSpace: String?
    public let timeout: Int?
    public let bestEffortDeliver: Bool?
    public let lane: String?
    public let cwd: String?
    public let cleanupBundleMcpOnRunEnd: Bool?
    public let modelRun: Bool?
    public let promptMode: AgentParamsPromptMode?
    public let extraSystemPrompt: String?
    public let bootstrapContextMode: AgentParamsBootstrapContextMode?
    public let bootstrapContextRunKind: AgentParamsBootstrapContextRunKind?
    public let inputProvenance: Provenance?
    public let suppressPromptPersistence: Bool?
    public let sessionEffects: AgentParamsSessionEffects?
    public let voiceWakeTrigger: String?
    public let label: String?
    public let spawnedBy: String?
    public let acpTurnSource: AgentParamsAcpTurnSource?
    public let internalRuntimeHandoffId: String?
    public let internalExecutionIdentityRetry: Bool?
    public let internalExecutionIdentityRecoveryAttempt: Int?
    public let execApprovalFollowupExpectedSessionId: String?
    public let internalEvents: [[String: JSONValue]]?
    public let sourceReplyDeliveryMode: AgentParamsSourceReplyDeliveryMode?
    public let disableMessageTool: Bool?
    public let swarmCollector: Bool?
    public let swarmOutputSchema: [String: JSONValue]?
    public let forceRestartSafeTools: Bool?
    public let forceCodeModeTools: Bool?

    public init(
        message: String,
        idempotencyKey: String,
        agentId: String? = nil,
        provider: String? = nil,
        model: String? = nil,
        to: String? = nil,
        replyTo: String? = nil,
        sessionId: String? = nil,
        sessionKey: String? = nil,
        expectedExistingSessionId: String? = nil,
        thinking: String? = nil,
        deliver: Bool? = nil,
        attachments: [Attachment]? = nil,
        channel: String? = nil,
        replyChannel: String? = nil,
        accountId: String? = nil,
        replyAccountId: String? = nil,
        threadId: String? = nil,
        groupId: String? = nil,
        groupChannel: String? = nil,
        groupSpace: String? = nil,
        timeout: Int? = nil,
        bestEffortDeliver: Bool? = nil,
        lane: String? = nil,
        cwd: String? = nil,
        cleanupBundleMcpOnRunEnd: Bool? = nil,
        modelRun: Bool? = nil,
        promptMode: AgentParamsPromptMode? = nil,
        extraSystemPrompt: String? = nil,
        bootstrapContextMode: AgentParamsBootstrapContextMode? = nil,
        bootstrapContextRunKind: AgentParamsBootstrapContextRunKind? = nil,
        inputProvenance: Provenance? = nil,
        suppressPromptPersistence: Bool? = nil,
        sessionEffects: AgentParamsSessionEffects? = nil,
        voiceWakeTrigger: String? = nil,
        label: String? = nil,
        spawnedBy: String? = nil,
        acpTurnSource: AgentParamsAcpTurnSource? = nil,
        internalRuntimeHandoffId: String? = nil,
        internalExecutionIdentityRetry: Bool? = nil,
        internalExecutionIdentityRecoveryAttempt: Int? = nil,
        execApprovalFollowupExpectedSessionId: String? = nil,
        internalEvents: [[String: JSONValue]]? = nil,
        sourceReplyDeliveryMode: AgentParamsSourceReplyDeliveryMode? = nil,
        disableMessageTool: Bool? = nil,
        swarmCollector: Bool? = nil,
        swarmOutputSchema: [String: JSONValue]? = nil,
        forceRestartSafeTools: Bool? = nil,
        forceCodeModeTools: Bool? = nil
    ) {
        self.message = message
        self.idempotencyKey = idempotencyKey
        self.agentId = agentId
        self.provider = provider
        self.model = model
        self.to = to
        self.replyTo = replyTo
        self.sessionId = sessionId
        self.sessionKey = sessionKey
        self.expectedExistingSessionId = expectedExistingSessionId
        self.thinking = thinking
        self.deliver = deliver
        self.attachments = attachments
        self.channel = channel
        self.replyChannel = replyChannel
        self.accountId = accountId
        self.replyAccountId = replyAccountId
        self.threadId = threadId
        self.groupId = groupId
        self.groupChannel = groupChannel
        self.groupSpace = groupSpace
        self.timeout = timeout
        self.bestEffortDeliver = bestEffortDeliver
        self.lane = lane
        self.cwd = cwd
        self.cleanupBundleMcpOnRunEnd = cleanupBundleMcpOnRunEnd
        self.modelRun = modelRun
        self.promptMode = promptMode
        self.extraSystemPrompt = extraSystemPrompt
        self.bootstrapContextMode = bootstrapContextMode
        self.bootstrapContextRunKind = bootstrapContextRunKind
        self.inputProvenance = inputProvenance
        self.suppressPromptPersistence = suppressPromptPersistence
        self.sessionEffects = sessionEffects
        self.voiceWakeTrigger = voiceWakeTrigger
        self.label = label
        self.spawnedBy = spawnedBy
        self.acpTurnSource = acpTurnSource
        self.internalRuntimeHandoffId = internalRuntimeHandoffId
        self.internalExecutionIdentityRetry = internalExecutionIdentityRetry
        self.internalExecutionIdentityRecoveryAttempt = internalExecutionIdentityRecoveryAttempt
        self.execApprovalFollowupExpectedSessionId = execApprovalFollowupExpectedSessionId
        self.internalEvents = internalEvents
        self.sourceReplyDeliveryMode = sourceReplyDeliveryMode
        self.disableMessageTool = disableMessageTool
        self.swarmCollector = swarmCollector
        self.swarmOutputSchema = swarmOutputSchema
        self.forceRestartSafeTools = forceRestartSafeTools
        self.forceCodeModeTools = forceCodeModeTools
    }
}

/// What `AgentParams.promptMode` may be.
public enum AgentParamsPromptMode: String, Codable, Sendable {
    case full
    case minimal
    case none
}

/// What `AgentParams.bootstrapContextMode` may be.
public enum AgentParamsBootstrapContextMode: String, Codable, Sendable {
    case full
    case lightweight
}

/// What `AgentParams.bootstrapContextRunKind` may be.
public enum AgentParamsBootstrapContextRunKind: String, Codable, Sendable {
    case cron
    case `default` = "default"
    case heartbeat
}

/// What `AgentParams.sessionEffects` may be.
public enum AgentParamsSessionEffects: String, Codable, Sendable {
    case `internal` = "internal"
    case visible
}

/// What `AgentParams.acpTurnSource` may be.
public enum AgentParamsAcpTurnSource: String, Codable, Sendable {
    case manualSpawn = "manual_spawn"
}

/// What `AgentParams.sourceReplyDeliveryMode` may be.
public enum AgentParamsSourceReplyDeliveryMode: String, Codable, Sendable {
    case automatic
    case messageToolOnly = "message_tool_only"
}

/// What holds for one agent, or for all of them under the name `*`.
public struct AgentPolicy: Codable, Equatable, Sendable {
    public let security: String?
    public let ask: String?
    public let askFallback: String?
    public let autoAllowSkills: Bool?
    public let allowlist: [AllowlistEntry]?
    public let mcpTools: [AllowedMcpTool]?

    public init(
        security: String? = nil,
        ask: String? = nil,
        askFallback: String? = nil,
        autoAllowSkills: Bool? = nil,
        allowlist: [AllowlistEntry]? = nil,
        mcpTools: [AllowedMcpTool]? = nil
    ) {
        self.security = security
        self.ask = ask
        self.askFallback = askFallback
        self.autoAllowSkills = autoAllowSkills
        self.allowlist = allowlist
        self.mcpTools = mcpTools
    }
}

/// One agent's sessions in `status`.
public struct AgentSessions: Codable, Equatable, Sendable {
    public let agentId: String
    public let path: String
    public let count: Int
    public let recent: [RecentSession]

    public init(
        agentId: String,
        path: String,
        count: Int,
        recent: [RecentSession]
    ) {
        self.agentId = agentId
        self.path = path
        self.count = count
        self.recent = recent
    }
}

/// One agent of `agents.list`.
public struct AgentSummary: Codable, Equatable, Sendable {
    public let id: String
    public let name: String?
    public let identity: IdentitySummary?
    public let workspace: String?
    public let model: AgentModel?

    public init(
        id: String,
        name: String? = nil,
        identity: IdentitySummary? = nil,
        workspace: String? = nil,
        model: AgentModel? = nil
    ) {
        self.id = id
        self.name = name
        self.identity = identity
        self.workspace = workspace
        self.model = model
    }
}

/// `agent.wait`: the end of a run, or a time-out after so many milliseconds.
public struct AgentWaitParams: Codable, Equatable, Sendable {
    public let runId: String
    public let timeoutMs: Int?

    public init(
        runId: String,
        timeoutMs: Int? = nil
    ) {
        self.runId = runId
        self.timeoutMs = timeoutMs
    }
}

/// Result of `agent.wait`; `timeout` without `ended_at` means: still running.
public struct AgentWaitResult: Codable, Equatable, Sendable {
    public let runId: String
    public let status: AgentWaitResultStatus
    public let startedAt: Int?
    public let endedAt: Int?
    public let error: String?

    public init(
        runId: String,
        status: AgentWaitResultStatus,
        startedAt: Int? = nil,
        endedAt: Int? = nil,
        error: String? = nil
    ) {
        self.runId = runId
        self.status = status
        self.startedAt = startedAt
        self.endedAt = endedAt
        self.error = error
    }
}

/// What `AgentWaitResult.status` may be.
public enum AgentWaitResultStatus: String, Codable, Sendable {
    case error
    case ok
    case timeout
}

/// Result of `agents.list`.
public struct AgentsList: Codable, Equatable, Sendable {
    public let defaultId: String
    public let mainKey: String
    public let agents: [AgentSummary]
    public let scope: AgentsListScope?
    public let ownership: AgentsListOwnership?
    public let selectionRequired: Bool?

    public init(
        defaultId: String,
        mainKey: String,
        agents: [AgentSummary],
        scope: AgentsListScope? = nil,
        ownership: AgentsListOwnership? = nil,
        selectionRequired: Bool? = nil
    ) {
        self.defaultId = defaultId
        self.mainKey = mainKey
        self.agents = agents
        self.scope = scope
        self.ownership = ownership
        self.selectionRequired = selectionRequired
    }
}

/// What `AgentsList.scope` may be.
public enum AgentsListScope: String, Codable, Sendable {
    case global
    case perSender = "per-sender"
}

/// What `AgentsList.ownership` may be.
public enum AgentsListOwnership: String, Codable, Sendable {
    case explicit
    case legacy
    case sole
}

/// A tool of an MCP server that was always allowed; kept for those who use it.
public struct AllowedMcpTool: Codable, Equatable, Sendable {
    public let server: String
    public let tool: String
    public let source: AllowedMcpToolSource
    public let addedAt: Double
    public let lastUsedAt: Double?

    public init(
        server: String,
        tool: String,
        source: AllowedMcpToolSource = .allowAlways,
        addedAt: Double,
        lastUsedAt: Double? = nil
    ) {
        self.server = server
        self.tool = tool
        self.source = source
        self.addedAt = addedAt
        self.lastUsedAt = lastUsedAt
    }
}

/// What `AllowedMcpTool.source` may be.
public enum AllowedMcpToolSource: String, Codable, Sendable {
    case allowAlways = "allow-always"
}

/// What may run without asking: a pattern of paths, or one command that was always allowed.
public struct AllowlistEntry: Codable, Equatable, Sendable {
    public let pattern: String
    public let id: String?
    public let source: AllowlistEntrySource?
    public let commandText: String?
    public let argPattern: String?
    public let lastUsedAt: Double?
    public let lastUsedCommand: String?
    public let lastResolvedPath: String?

    public init(
        pattern: String,
        id: String? = nil,
        source: AllowlistEntrySource? = nil,
        commandText: String? = nil,
        argPattern: String? = nil,
        lastUsedAt: Double? = nil,
        lastUsedCommand: String? = nil,
        lastResolvedPath: String? = nil
    ) {
        self.pattern = pattern
        self.id = id
        self.source = source
        self.commandText = commandText
        self.argPattern = argPattern
        self.lastUsedAt = lastUsedAt
        self.lastUsedCommand = lastUsedCommand
        self.lastResolvedPath = lastResolvedPath
    }
}

/// What `AllowlistEntry.source` may be.
public enum AllowlistEntrySource: String, Codable, Sendable {
    case allowAlways = "allow-always"
}

/// A method for which the contract defines no parameters: any object will do.
public struct AnyParams: Codable, Equatable, Sendable {
    public init() {}
}

/// First answer of `exec.approval.request` with `twoPhase`: it stands; the decision follows.
public struct ApprovalAccepted: Codable, Equatable, Sendable {
    public let id: String
    public let createdAtMs: Int
    public let expiresAtMs: Int
    public let deliveryRoute: ApprovalAcceptedDeliveryRoute
    public let status: ApprovalAcceptedStatus?

    public init(
        id: String,
        createdAtMs: Int,
        expiresAtMs: Int,
        deliveryRoute: ApprovalAcceptedDeliveryRoute,
        status: ApprovalAcceptedStatus? = nil
    ) {
        self.id = id
        self.createdAtMs = createdAtMs
        self.expiresAtMs = expiresAtMs
        self.deliveryRoute = deliveryRoute
        self.status = status
    }
}

/// What `ApprovalAccepted.deliveryRoute` may be.
public enum ApprovalAcceptedDeliveryRoute: String, Codable, Sendable {
    case approvalClient = "approval-client"
    case none
}

/// What `ApprovalAccepted.status` may be.
public enum ApprovalAcceptedStatus: String, Codable, Sendable {
    case accepted
}

/// `approval.resolve`.
public struct ApprovalDecideParams: Codable, Equatable, Sendable {
    public let id: String
    public let kind: ApprovalDecideParamsKind
    public let decision: ApprovalDecideParamsDecision
    public let reviewer: ChannelReviewer?
    public let grantExpiresInDays: Int?

    public init(
        id: String,
        kind: ApprovalDecideParamsKind,
        decision: ApprovalDecideParamsDecision,
        reviewer: ChannelReviewer? = nil,
        grantExpiresInDays: Int? = nil
    ) {
        self.id = id
        self.kind = kind
        self.decision = decision
        self.reviewer = reviewer
        self.grantExpiresInDays = grantExpiresInDays
    }
}

/// What `ApprovalDecideParams.kind` may be.
public enum ApprovalDecideParamsKind: String, Codable, Sendable {
    case exec
    case plugin
    case systemAgent = "system-agent"
}

/// What `ApprovalDecideParams.decision` may be.
public enum ApprovalDecideParamsDecision: String, Codable, Sendable {
    case allowAlways = "allow-always"
    case allowOnce = "allow-once"
    case deny
}

/// Result of `approval.resolve`. `applied` false: it was decided before, see `approval`.
public struct ApprovalDecided: Codable, Equatable, Sendable {
    public let applied: Bool
    public let approval: ApprovalSnapshot

    public init(
        applied: Bool,
        approval: ApprovalSnapshot
    ) {
        self.applied = applied
        self.approval = approval
    }
}

/// Result of `approval.get`.
public struct ApprovalFound: Codable, Equatable, Sendable {
    public let approval: ApprovalSnapshot

    public init(
        approval: ApprovalSnapshot
    ) {
        self.approval = approval
    }
}

/// `approval.get`.
public struct ApprovalGetParams: Codable, Equatable, Sendable {
    public let id: String

    public init(
        id: String
    ) {
        self.id = id
    }
}

/// Result of `approval.history`; `next_cursor` where there is more.
public struct ApprovalHistory: Codable, Equatable, Sendable {
    public let items: [ApprovalSnapshot]
    public let nextCursor: String?

    public init(
        items: [ApprovalSnapshot],
        nextCursor: String? = nil
    ) {
        self.items = items
        self.nextCursor = nextCursor
    }
}

/// `approval.history`: what was decided, the latest first.
public struct ApprovalHistoryParams: Codable, Equatable, Sendable {
    public let cursor: String?
    public let limit: Int?
    public let kind: ApprovalHistoryParamsKind?

    public init(
        cursor: String? = nil,
        limit: Int? = nil,
        kind: ApprovalHistoryParamsKind? = nil
    ) {
        self.cursor = cursor
        self.limit = limit
        self.kind = kind
    }
}

/// What `ApprovalHistoryParams.kind` may be.
public enum ApprovalHistoryParamsKind: String, Codable, Sendable {
    case exec
    case plugin
    case systemAgent = "system-agent"
}

/// `exec.approval.get`; the id may be cut to its unique beginning.
public struct ApprovalIdParams: Codable, Equatable, Sendable {
    public let id: String

    public init(
        id: String
    ) {
        self.id = id
    }
}

/// Result of `exec.approval.resolve`.
public struct ApprovalOk: Codable, Equatable, Sendable {
    public let ok: Bool?

    public init(
        ok: Bool? = nil
    ) {
        self.ok = ok
    }
}

/// `exec.approval.request`: may this run? `timeoutMs` is how long the question stands.
public struct ApprovalRequestParams: Codable, Equatable, Sendable {
    public let id: String?
    public let command: String?
    public let commandArgv: [String]?
    public let systemRunPlan: SystemRunPlan?
    public let env: [String: String]?
    public let cwd: String??
    public let nodeId: String??
    public let host: String??
    public let security: String??
    public let ask: String??
    public let warningText: String??
    public let scope: ActionScope?
    public let unavailableDecisions: [String]?
    public let commandSpans: [CommandSpan]?
    public let agentId: String??
    public let resolvedPath: String??
    public let sessionKey: String??
    public let sessionId: String??
    public let runId: String??
    public let toolCallId: String??
    public let turnSourceChannel: String??
    public let turnSourceTo: String??
    public let turnSourceAccountId: String??
    public let turnSourceThreadId: JSONValue??
    public let approvalReviewerDeviceIds: [String]?
    public let requireDeliveryRoute: Bool?
    public let suppressDelivery: Bool?
    public let deliverToApprovalClientsOnly: Bool?
    public let timeoutMs: Int?
    public let twoPhase: Bool?

    public init(
        id: String? = nil,
        command: String? = nil,
        commandArgv: [String]? = nil,
        systemRunPlan: SystemRunPlan? = nil,
        env: [String: String]? = nil,
        cwd: String?? = nil,
        nodeId: String?? = nil,
        host: String?? = nil,
        security: String?? = nil,
        ask: String?? = nil,
        warningText: String?? = nil,
        scope: ActionScope? = nil,
        unavailableDecisions: [String]? = nil,
        commandSpans: [CommandSpan]? = nil,
        agentId: String?? = nil,
        resolvedPath: String?? = nil,
        sessionKey: String?? = nil,
        sessionId: String?? = nil,
        runId: String?? = nil,
        toolCallId: String?? = nil,
        turnSourceChannel: String?? = nil,
        turnSourceTo: String?? = nil,
        turnSourceAccountId: String?? = nil,
        turnSourceThreadId: JSONValue?? = nil,
        approvalReviewerDeviceIds: [String]? = nil,
        requireDeliveryRoute: Bool? = nil,
        suppressDelivery: Bool? = nil,
        deliverToApprovalClientsOnly: Bool? = nil,
        timeoutMs: Int? = nil,
        twoPhase: Bool? = nil
    ) {
        self.id = id
        self.command = command
        self.commandArgv = commandArgv
        self.systemRunPlan = systemRunPlan
        self.env = env
        self.cwd = cwd
        self.nodeId = nodeId
        self.host = host
        self.security = security
        self.ask = ask
        self.warningText = warningText
        self.scope = scope
        self.unavailableDecisions = unavailableDecisions
        self.commandSpans = commandSpans
        self.agentId = agentId
        self.resolvedPath = resolvedPath
        self.sessionKey = sessionKey
        self.sessionId = sessionId
        self.runId = runId
        self.toolCallId = toolCallId
        self.turnSourceChannel = turnSourceChannel
        self.turnSourceTo = turnSourceTo
        self.turnSourceAccountId = turnSourceAccountId
        self.turnSourceThreadId = turnSourceThreadId
        self.approvalReviewerDeviceIds = approvalReviewerDeviceIds
        self.requireDeliveryRoute = requireDeliveryRoute
        self.suppressDelivery = suppressDelivery
        self.deliverToApprovalClientsOnly = deliverToApprovalClientsOnly
        self.timeoutMs = timeoutMs
        self.twoPhase = twoPhase
    }
}

/// Event `exec.approval.requested`, and an item of `exec.approval.list`.
public struct ApprovalRequested: Codable, Equatable, Sendable {
    public let id: String
    public let request: ExecRequest
    public let createdAtMs: Int
    public let expiresAtMs: Int
    public let approvalKind: ApprovalRequestedApprovalKind?

    public init(
        id: String,
        request: ExecRequest,
        createdAtMs: Int,
        expiresAtMs: Int,
        approvalKind: ApprovalRequestedApprovalKind? = nil
    ) {
        self.id = id
        self.request = request
        self.createdAtMs = createdAtMs
        self.expiresAtMs = expiresAtMs
        self.approvalKind = approvalKind
    }
}

/// What `ApprovalRequested.approvalKind` may be.
public enum ApprovalRequestedApprovalKind: String, Codable, Sendable {
    case exec
}

/// `exec.approval.resolve`. `decision` is one of `Decision`.
public struct ApprovalResolveParams: Codable, Equatable, Sendable {
    public let id: String
    public let decision: String
    public let reviewer: ChannelReviewer?
    public let grantExpiresInDays: Int?

    public init(
        id: String,
        decision: String,
        reviewer: ChannelReviewer? = nil,
        grantExpiresInDays: Int? = nil
    ) {
        self.id = id
        self.decision = decision
        self.reviewer = reviewer
        self.grantExpiresInDays = grantExpiresInDays
    }
}

/// Event `exec.approval.resolved`: who decided what. `resolvedBy` is `null` where it was no person, see `reason`. Version 4 repeats the request.
public struct ApprovalResolved: Codable, Equatable, Sendable {
    public let id: String
    public let decision: ApprovalResolvedDecision
    public let resolvedBy: String?
    public let ts: Int
    public let reason: ApprovalResolvedReason?
    public let request: ExecRequest?

    public init(
        id: String,
        decision: ApprovalResolvedDecision,
        resolvedBy: String?,
        ts: Int,
        reason: ApprovalResolvedReason? = nil,
        request: ExecRequest? = nil
    ) {
        self.id = id
        self.decision = decision
        self.resolvedBy = resolvedBy
        self.ts = ts
        self.reason = reason
        self.request = request
    }
}

/// What `ApprovalResolved.decision` may be.
public enum ApprovalResolvedDecision: String, Codable, Sendable {
    case allowAlways = "allow-always"
    case allowOnce = "allow-once"
    case deny
}

/// What `ApprovalResolved.reason` may be.
public enum ApprovalResolvedReason: String, Codable, Sendable {
    case gatewayRestart = "gateway-restart"
    case noRoute = "no-route"
    case policy
    case runAborted = "run-aborted"
    case timeout
    case user
}

/// Who decided: a client's device, or the Gateway itself.
public struct ApprovalResolver: Codable, Equatable, Sendable {
    public let kind: ApprovalResolverKind
    public let id: String?

    public init(
        kind: ApprovalResolverKind,
        id: String? = nil
    ) {
        self.kind = kind
        self.id = id
    }
}

/// What `ApprovalResolver.kind` may be.
public enum ApprovalResolverKind: String, Codable, Sendable {
    case device
    case system
}

/// Result of `exec.approval.request`, `waitDecision` and `node.approval.request`. `terminalReason` says why, where it was not a person who decided; `resolvedBy` who it was.
public struct ApprovalResult: Codable, Equatable, Sendable {
    public let id: String
    public let decision: ApprovalResultDecision?
    public let createdAtMs: Int
    public let expiresAtMs: Int
    public let resolvedBy: String?
    public let terminalReason: ApprovalResultTerminalReason?

    public init(
        id: String,
        decision: ApprovalResultDecision?,
        createdAtMs: Int,
        expiresAtMs: Int,
        resolvedBy: String? = nil,
        terminalReason: ApprovalResultTerminalReason? = nil
    ) {
        self.id = id
        self.decision = decision
        self.createdAtMs = createdAtMs
        self.expiresAtMs = expiresAtMs
        self.resolvedBy = resolvedBy
        self.terminalReason = terminalReason
    }
}

/// What `ApprovalResult.decision` may be.
public enum ApprovalResultDecision: String, Codable, Sendable {
    case allowAlways = "allow-always"
    case allowOnce = "allow-once"
    case deny
}

/// What `ApprovalResult.terminalReason` may be.
public enum ApprovalResultTerminalReason: String, Codable, Sendable {
    case gatewayRestart = "gateway-restart"
    case noRoute = "no-route"
    case policy
    case runAborted = "run-aborted"
    case timeout
    case user
}

/// A question as it is now. What follows `status` is there once it is decided.
public struct ApprovalSnapshot: Codable, Equatable, Sendable {
    public let id: String
    public let urlPath: String
    public let createdAtMs: Int
    public let expiresAtMs: Int
    public let presentation: ExecPresentation
    public let status: ApprovalSnapshotStatus
    public let sourceSessionKey: String?
    public let resolvedAtMs: Int?
    public let source: ApprovalSource?
    public let resolver: ApprovalResolver?
    public let decision: ApprovalSnapshotDecision?
    public let reason: ApprovalSnapshotReason?

    public init(
        id: String,
        urlPath: String,
        createdAtMs: Int,
        expiresAtMs: Int,
        presentation: ExecPresentation,
        status: ApprovalSnapshotStatus,
        sourceSessionKey: String? = nil,
        resolvedAtMs: Int? = nil,
        source: ApprovalSource? = nil,
        resolver: ApprovalResolver? = nil,
        decision: ApprovalSnapshotDecision? = nil,
        reason: ApprovalSnapshotReason? = nil
    ) {
        self.id = id
        self.urlPath = urlPath
        self.createdAtMs = createdAtMs
        self.expiresAtMs = expiresAtMs
        self.presentation = presentation
        self.status = status
        self.sourceSessionKey = sourceSessionKey
        self.resolvedAtMs = resolvedAtMs
        self.source = source
        self.resolver = resolver
        self.decision = decision
        self.reason = reason
    }
}

/// What `ApprovalSnapshot.status` may be.
public enum ApprovalSnapshotStatus: String, Codable, Sendable {
    case allowed
    case cancelled
    case denied
    case expired
    case pending
}

/// What `ApprovalSnapshot.decision` may be.
public enum ApprovalSnapshotDecision: String, Codable, Sendable {
    case allowAlways = "allow-always"
    case allowOnce = "allow-once"
    case deny
}

/// What `ApprovalSnapshot.reason` may be.
public enum ApprovalSnapshotReason: String, Codable, Sendable {
    case gatewayRestart = "gateway-restart"
    case noRoute = "no-route"
    case policy
    case runAborted = "run-aborted"
    case timeout
    case user
}

/// Where a question came from.
public struct ApprovalSource: Codable, Equatable, Sendable {
    public let agentId: String?
    public let sessionKey: String?

    public init(
        agentId: String? = nil,
        sessionKey: String? = nil
    ) {
        self.agentId = agentId
        self.sessionKey = sessionKey
    }
}

/// Result of `exec.approval.get`: a question that stands.
public struct ApprovalView: Codable, Equatable, Sendable {
    public let id: String
    public let commandText: String
    public let commandPreview: String?
    public let allowedDecisions: [String]
    public let host: String?
    public let nodeId: String?
    public let agentId: String?
    public let expiresAtMs: Int

    public init(
        id: String,
        commandText: String,
        commandPreview: String?,
        allowedDecisions: [String],
        host: String?,
        nodeId: String?,
        agentId: String?,
        expiresAtMs: Int
    ) {
        self.id = id
        self.commandText = commandText
        self.commandPreview = commandPreview
        self.allowedDecisions = allowedDecisions
        self.host = host
        self.nodeId = nodeId
        self.agentId = agentId
        self.expiresAtMs = expiresAtMs
    }
}

/// `exec.approval.waitDecision`; the contract leaves its parameters open.
public struct ApprovalWaitParams: Codable, Equatable, Sendable {
    public let id: String

    public init(
        id: String
    ) {
        self.id = id
    }
}

/// A node whose commands an operator approved. `token`: told once, to version 3 only.
public struct ApprovedNode: Codable, Equatable, Sendable {
    public let nodeId: String
    public let createdAtMs: Int
    public let approvedAtMs: Int
    public let caps: [String]?
    public let commands: [String]?
    public let permissions: [String: Bool]?
    public let displayName: String?
    public let platform: String?
    public let version: String?
    public let deviceFamily: String?
    public let modelIdentifier: String?
    public let clientId: String?
    public let clientMode: String?
    public let remoteIp: String?
    public let lastConnectedAtMs: Int?
    public let lastSeenAtMs: Int?
    public let lastSeenReason: String?
    public let token: String?

    public init(
        nodeId: String,
        createdAtMs: Int,
        approvedAtMs: Int,
        caps: [String]? = nil,
        commands: [String]? = nil,
        permissions: [String: Bool]? = nil,
        displayName: String? = nil,
        platform: String? = nil,
        version: String? = nil,
        deviceFamily: String? = nil,
        modelIdentifier: String? = nil,
        clientId: String? = nil,
        clientMode: String? = nil,
        remoteIp: String? = nil,
        lastConnectedAtMs: Int? = nil,
        lastSeenAtMs: Int? = nil,
        lastSeenReason: String? = nil,
        token: String? = nil
    ) {
        self.nodeId = nodeId
        self.createdAtMs = createdAtMs
        self.approvedAtMs = approvedAtMs
        self.caps = caps
        self.commands = commands
        self.permissions = permissions
        self.displayName = displayName
        self.platform = platform
        self.version = version
        self.deviceFamily = deviceFamily
        self.modelIdentifier = modelIdentifier
        self.clientId = clientId
        self.clientMode = clientMode
        self.remoteIp = remoteIp
        self.lastConnectedAtMs = lastConnectedAtMs
        self.lastSeenAtMs = lastSeenAtMs
        self.lastSeenReason = lastSeenReason
        self.token = token
    }
}

/// A file sent along; `content` is base64 text.
public struct Attachment: Codable, Equatable, Sendable {
    public let type: String?
    public let mimeType: String?
    public let fileName: String?
    public let content: JSONValue?
    public let sizeBytes: Double?
    public let durationMs: Double?
    public let width: Double?
    public let height: Double?

    public init(
        type: String? = nil,
        mimeType: String? = nil,
        fileName: String? = nil,
        content: JSONValue? = nil,
        sizeBytes: Double? = nil,
        durationMs: Double? = nil,
        width: Double? = nil,
        height: Double? = nil
    ) {
        self.type = type
        self.mimeType = mimeType
        self.fileName = fileName
        self.content = content
        self.sizeBytes = sizeBytes
        self.durationMs = durationMs
        self.width = width
        self.height = height
    }
}

/// The largest attachments taken, in bytes (version 4).
public struct AttachmentPolicy: Codable, Equatable, Sendable {
    public let maxBytes: Int
    public let maxImageBytes: Int

    public init(
        maxBytes: Int,
        maxImageBytes: Int
    ) {
        self.maxBytes = maxBytes
        self.maxImageBytes = maxImageBytes
    }
}

/// `connect.challenge`: the Gateway speaks first.
public struct ChallengeEvent: Codable, Equatable, Sendable {
    public let nonce: String
    public let ts: Int

    public init(
        nonce: String,
        ts: Int
    ) {
        self.nonce = nonce
        self.ts = ts
    }
}

/// Whether there was a login, and what has to be done besides.
public struct ChannelLoggedOut: Codable, Equatable, Sendable {
    public let channel: String
    public let accountId: String
    public let cleared: Bool
    public let loggedOut: Bool

    public init(
        channel: String,
        accountId: String,
        cleared: Bool,
        loggedOut: Bool
    ) {
        self.channel = channel
        self.accountId = accountId
        self.cleared = cleared
        self.loggedOut = loggedOut
    }
}

/// How apps show a channel.
public struct ChannelMeta: Codable, Equatable, Sendable {
    public let id: String
    public let label: String
    public let detailLabel: String
    public let systemImage: String?

    public init(
        id: String,
        label: String,
        detailLabel: String,
        systemImage: String? = nil
    ) {
        self.id = id
        self.label = label
        self.detailLabel = detailLabel
        self.systemImage = systemImage
    }
}

/// `channel.pair.approve` and `channel.pair.reject`.
public struct ChannelPairDecisionParams: Codable, Equatable, Sendable {
    public let code: String
    public let channel: String?

    public init(
        code: String,
        channel: String? = nil
    ) {
        self.code = code
        self.channel = channel
    }
}

/// Who waits, and who was let in.
public struct ChannelPairList: Codable, Equatable, Sendable {
    public let pending: [ChannelStranger]
    public let approved: [ChannelStranger]

    public init(
        pending: [ChannelStranger],
        approved: [ChannelStranger]
    ) {
        self.pending = pending
        self.approved = approved
    }
}

/// `channel.pair.list`.
public struct ChannelPairListParams: Codable, Equatable, Sendable {
    public let channel: String?

    public init(
        channel: String? = nil
    ) {
        self.channel = channel
    }
}

/// `channel.pair.remove`: take an approval back.
public struct ChannelPairRemoveParams: Codable, Equatable, Sendable {
    public let channel: String
    public let sender: String
    public let accountId: String?

    public init(
        channel: String,
        sender: String,
        accountId: String? = nil
    ) {
        self.channel = channel
        self.sender = sender
        self.accountId = accountId
    }
}

/// The answer to a decision, and event `channel.pair.resolved`.
public struct ChannelPairResolved: Codable, Equatable, Sendable {
    public let channel: String
    public let accountId: String
    public let sender: String
    public let name: String
    public let decision: ChannelPairResolvedDecision
    public let ts: Int

    public init(
        channel: String,
        accountId: String,
        sender: String,
        name: String,
        decision: ChannelPairResolvedDecision,
        ts: Int
    ) {
        self.channel = channel
        self.accountId = accountId
        self.sender = sender
        self.name = name
        self.decision = decision
        self.ts = ts
    }
}

/// What `ChannelPairResolved.decision` may be.
public enum ChannelPairResolvedDecision: String, Codable, Sendable {
    case approved
    case rejected
    case removed
}

/// Somebody in a chat who decided; the channel vouches for them (version 4).
public struct ChannelReviewer: Codable, Equatable, Sendable {
    public let channel: String
    public let accountId: String
    public let senderId: String

    public init(
        channel: String,
        accountId: String,
        senderId: String
    ) {
        self.channel = channel
        self.accountId = accountId
        self.senderId = senderId
    }
}

/// Somebody who wrote to an account without being on a list; also `channel.pair.requested`.
public struct ChannelStranger: Codable, Equatable, Sendable {
    public let channel: String
    public let accountId: String
    public let sender: String
    public let name: String
    public let ts: Int
    public let code: String?
    public let approvedAt: Int?

    public init(
        channel: String,
        accountId: String,
        sender: String,
        name: String,
        ts: Int,
        code: String? = nil,
        approvedAt: Int? = nil
    ) {
        self.channel = channel
        self.accountId = accountId
        self.sender = sender
        self.name = name
        self.ts = ts
        self.code = code
        self.approvedAt = approvedAt
    }
}

/// `channels.logout`.
public struct ChannelsLogoutParams: Codable, Equatable, Sendable {
    public let channel: String
    public let accountId: String?

    public init(
        channel: String,
        accountId: String? = nil
    ) {
        self.channel = channel
        self.accountId = accountId
    }
}

/// The answer to `channels.status`.
public struct ChannelsStatus: Codable, Equatable, Sendable {
    public let ts: Int
    public let channelOrder: [String]
    public let channelLabels: [String: String]
    public let channelDetailLabels: [String: String]
    public let channelSystemImages: [String: String]
    public let channelMeta: [ChannelMeta]
    public let channels: [String: JSONValue]
    public let channelAccounts: [String: [AccountSnapshot]]
    public let channelDefaultAccountId: [String: String]

    public init(
        ts: Int,
        channelOrder: [String],
        channelLabels: [String: String],
        channelDetailLabels: [String: String],
        channelSystemImages: [String: String],
        channelMeta: [ChannelMeta],
        channels: [String: JSONValue],
        channelAccounts: [String: [AccountSnapshot]],
        channelDefaultAccountId: [String: String]
    ) {
        self.ts = ts
        self.channelOrder = channelOrder
        self.channelLabels = channelLabels
        self.channelDetailLabels = channelDetailLabels
        self.channelSystemImages = channelSystemImages
        self.channelMeta = channelMeta
        self.channels = channels
        self.channelAccounts = channelAccounts
        self.channelDefaultAccountId = channelDefaultAccountId
    }
}

/// `channels.status`; with `probe` the providers are asked.
public struct ChannelsStatusParams: Codable, Equatable, Sendable {
    public let probe: Bool?
    public let timeoutMs: Int?
    public let channel: String?

    public init(
        probe: Bool? = nil,
        timeoutMs: Int? = nil,
        channel: String? = nil
    ) {
        self.probe = probe
        self.timeoutMs = timeoutMs
        self.channel = channel
    }
}

/// `chat.abort`: one run, or all runs of a session.
public struct ChatAbortParams: Codable, Equatable, Sendable {
    public let sessionKey: String
    public let agentId: String?
    public let runId: String?
    public let preserveSideRuns: Bool?

    public init(
        sessionKey: String,
        agentId: String? = nil,
        runId: String? = nil,
        preserveSideRuns: Bool? = nil
    ) {
        self.sessionKey = sessionKey
        self.agentId = agentId
        self.runId = runId
        self.preserveSideRuns = preserveSideRuns
    }
}

/// Result of `chat.abort`.
public struct ChatAbortResult: Codable, Equatable, Sendable {
    public let aborted: Bool
    public let runIds: [String]
    public let ok: Bool?

    public init(
        aborted: Bool,
        runIds: [String],
        ok: Bool? = nil
    ) {
        self.aborted = aborted
        self.runIds = runIds
        self.ok = ok
    }
}

/// `chat`: an answer as it grows. `delta_text` is version 4's; `message` is cumulative.
public struct ChatEvent: Codable, Equatable, Sendable {
    public let runId: String
    public let sessionKey: String
    public let seq: Int
    public let state: ChatEventState
    public let agentId: String?
    public let phase: ChatEventPhase?
    public let deltaText: String?
    public let replace: Bool?
    public let message: [String: JSONValue]?
    public let errorMessage: String?
    public let errorKind: ChatEventErrorKind?
    public let usage: [String: JSONValue]?
    public let stopReason: String?

    public init(
        runId: String,
        sessionKey: String,
        seq: Int,
        state: ChatEventState,
        agentId: String? = nil,
        phase: ChatEventPhase? = nil,
        deltaText: String? = nil,
        replace: Bool? = nil,
        message: [String: JSONValue]? = nil,
        errorMessage: String? = nil,
        errorKind: ChatEventErrorKind? = nil,
        usage: [String: JSONValue]? = nil,
        stopReason: String? = nil
    ) {
        self.runId = runId
        self.sessionKey = sessionKey
        self.seq = seq
        self.state = state
        self.agentId = agentId
        self.phase = phase
        self.deltaText = deltaText
        self.replace = replace
        self.message = message
        self.errorMessage = errorMessage
        self.errorKind = errorKind
        self.usage = usage
        self.stopReason = stopReason
    }
}

/// What `ChatEvent.state` may be.
public enum ChatEventState: String, Codable, Sendable {
    case aborted
    case delta
    case error
    case final
    case status
}

/// What `ChatEvent.phase` may be.
public enum ChatEventPhase: String, Codable, Sendable {
    case preparingContext = "preparing_context"
    case preparingWorkspace = "preparing_workspace"
    case startingModel = "starting_model"
}

/// What `ChatEvent.errorKind` may be.
public enum ChatEventErrorKind: String, Codable, Sendable {
    case contextLength = "context_length"
    case rateLimit = "rate_limit"
    case refusal
    case timeout
    case unknown
}

/// Result of `chat.history`; all after `thinking_level` is version 4's.
public struct ChatHistory: Codable, Equatable, Sendable {
    public let sessionKey: String
    public let messages: [[String: JSONValue]]
    public let sessionId: String?
    public let thinkingLevel: String?
    public let pendingInputs: [String: JSONValue]?
    public let deltaCursor: String?
    public let hasMore: Bool?
    public let totalMessages: Int?
    public let defaults: [String: JSONValue]?
    public let sessionInfo: [String: JSONValue]?
    public let inFlightRun: InFlightRun?

    public init(
        sessionKey: String,
        messages: [[String: JSONValue]],
        sessionId: String? = nil,
        thinkingLevel: String? = nil,
        pendingInputs: [String: JSONValue]? = nil,
        deltaCursor: String? = nil,
        hasMore: Bool? = nil,
        totalMessages: Int? = nil,
        defaults: [String: JSONValue]? = nil,
        sessionInfo: [String: JSONValue]? = nil,
        inFlightRun: InFlightRun? = nil
    ) {
        self.sessionKey = sessionKey
        self.messages = messages
        self.sessionId = sessionId
        self.thinkingLevel = thinkingLevel
        self.pendingInputs = pendingInputs
        self.deltaCursor = deltaCursor
        self.hasMore = hasMore
        self.totalMessages = totalMessages
        self.defaults = defaults
        self.sessionInfo = sessionInfo
        self.inFlightRun = inFlightRun
    }
}

/// Result of `chat.history` with a cursor that still holds: what came since.
public struct ChatHistoryDelta: Codable, Equatable, Sendable {
    public let messages: [[String: JSONValue]]
    public let deltaCursor: String
    public let sessionInfo: [String: JSONValue]
    public let kind: ChatHistoryDeltaKind?
    public let inFlightRun: InFlightRun?

    public init(
        messages: [[String: JSONValue]],
        deltaCursor: String,
        sessionInfo: [String: JSONValue],
        kind: ChatHistoryDeltaKind? = nil,
        inFlightRun: InFlightRun? = nil
    ) {
        self.messages = messages
        self.deltaCursor = deltaCursor
        self.sessionInfo = sessionInfo
        self.kind = kind
        self.inFlightRun = inFlightRun
    }
}

/// What `ChatHistoryDelta.kind` may be.
public enum ChatHistoryDeltaKind: String, Codable, Sendable {
    case delta
}

/// `chat.history`: the latest `limit` messages, `offset` from the end.
public struct ChatHistoryParams: Codable, Equatable, Sendable {
    public let sessionKey: String
    public let agentId: String?
    public let cursor: String?
    public let limit: Int?
    public let offset: Int?
    public let pendingBefore: Int?
    public let inputRunIds: [String]?
    public let messageId: String?
    public let sessionId: String?
    public let maxChars: Int?

    public init(
        sessionKey: String,
        agentId: String? = nil,
        cursor: String? = nil,
        limit: Int? = nil,
        offset: Int? = nil,
        pendingBefore: Int? = nil,
        inputRunIds: [String]? = nil,
        messageId: String? = nil,
        sessionId: String? = nil,
        maxChars: Int? = nil
    ) {
        self.sessionKey = sessionKey
        self.agentId = agentId
        self.cursor = cursor
        self.limit = limit
        self.offset = offset
        self.pendingBefore = pendingBefore
        self.inputRunIds = inputRunIds
        self.messageId = messageId
        self.sessionId = sessionId
        self.maxChars = maxChars
    }
}

/// Result of `chat.history` with a cursor that no longer holds: ask again without.
public struct ChatHistoryReset: Codable, Equatable, Sendable {
    public let kind: ChatHistoryResetKind?

    public init(
        kind: ChatHistoryResetKind? = nil
    ) {
        self.kind = kind
    }
}

/// What `ChatHistoryReset.kind` may be.
public enum ChatHistoryResetKind: String, Codable, Sendable {
    case reset
}

/// `chat.inject`: a note into a transcript, without a run.
public struct ChatInjectParams: Codable, Equatable, Sendable {
    public let sessionKey: String
    public let message: String
    public let agentId: String?
    public let label: String?

    public init(
        sessionKey: String,
        message: String,
        agentId: String? = nil,
        label: String? = nil
    ) {
        self.sessionKey = sessionKey
        self.message = message
        self.agentId = agentId
        self.label = label
    }
}

/// Result of `chat.inject`.
public struct ChatInjectResult: Codable, Equatable, Sendable {
    public let messageId: String
    public let ok: Bool?

    public init(
        messageId: String,
        ok: Bool? = nil
    ) {
        self.messageId = messageId
        self.ok = ok
    }
}

/// `chat.send`: a message to an agent; the idempotency key becomes the run's id.
public struct ChatSendParams: Codable, Equatable, Sendable {
    public let sessionKey: String
    public let message: String
    public let idempotencyKey: String
    public let agentId: String?
    public let sessionId: String?
    public let intent: GoalIntent?
    public let thinking: String?
    public let fastMode: JSONValue?
    public let fastAutoOnSeconds: Int?
    public let queueMode: ChatSendParamsQueueMode?
    public let deliver: Bool?
    public let originatingChannel: String?
    public let originatingTo: String?
    public let originatingAccountId: String?
    public let originatingThreadId: String?
    public let replyToId: String?
    public let attachments: [Attachment]?
    public let toolBindings: [String: JSONValue]?
    public let timeoutMs: Int?
    public let systemInputProvenance: Provenance?
    public let systemProvenanceReceipt: String?
    public let suppressCommandInterpretation: Bool?
    public let expectedLeafEntryId: String??
    public let expectedSessionRoutingContract: String?
    public let expectedPermissionMode: ChatSendParamsExpectedPermissionMode??
    public let expectedToolOverrides: ToolOverrides??

    public init(
        sessionKey: String,
        message: String,
        idempotencyKey: String,
        agentId: String? = nil,
        sessionId: String? = nil,
        intent: GoalIntent? = nil,
        thinking: String? = nil,
        fastMode: JSONValue? = nil,
        fastAutoOnSeconds: Int? = nil,
        queueMode: ChatSendParamsQueueMode? = nil,
        deliver: Bool? = nil,
        originatingChannel: String? = nil,
        originatingTo: String? = nil,
        originatingAccountId: String? = nil,
        originatingThreadId: String? = nil,
        replyToId: String? = nil,
        attachments: [Attachment]? = nil,
        toolBindings: [String: JSONValue]? = nil,
        timeoutMs: Int? = nil,
        systemInputProvenance: Provenance? = nil,
        systemProvenanceReceipt: String? = nil,
        suppressCommandInterpretation: Bool? = nil,
        expectedLeafEntryId: String?? = nil,
        expectedSessionRoutingContract: String? = nil,
        expectedPermissionMode: ChatSendParamsExpectedPermissionMode?? = nil,
        expectedToolOverrides: ToolOverrides?? = nil
    ) {
        self.sessionKey = sessionKey
        self.message = message
        self.idempotencyKey = idempotencyKey
        self.agentId = agentId
        self.sessionId = sessionId
        self.intent = intent
        self.thinking = thinking
        self.fastMode = fastMode
        self.fastAutoOnSeconds = fastAutoOnSeconds
        self.queueMode = queueMode
        self.deliver = deliver
        self.originatingChannel = originatingChannel
        self.originatingTo = originatingTo
        self.originatingAccountId = originatingAccountId
        self.originatingThreadId = originatingThreadId
        self.replyToId = replyToId
        self.attachments = attachments
        self.toolBindings = toolBindings
        self.timeoutMs = timeoutMs
        self.systemInputProvenance = systemInputProvenance
        self.systemProvenanceReceipt = systemProvenanceReceipt
        self.suppressCommandInterpretation = suppressCommandInterpretation
        self.expectedLeafEntryId = expectedLeafEntryId
        self.expectedSessionRoutingContract = expectedSessionRoutingContract
        self.expectedPermissionMode = expectedPermissionMode
        self.expectedToolOverrides = expectedToolOverrides
    }
}

/// What `ChatSendParams.queueMode` may be.
public enum ChatSendParamsQueueMode: String, Codable, Sendable {
    case collect
    case followup
    case interrupt
    case steer
}

/// What `ChatSendParams.expectedPermissionMode` may be.
public enum ChatSendParamsExpectedPermissionMode: String, Codable, Sendable {
    case full
    case guarded
    case readOnly = "read-only"
    case workspace
}

/// Result of `chat.send`: the message is stored, the run will happen.
public struct ChatSendResult: Codable, Equatable, Sendable {
    public let runId: String
    public let status: ChatSendResultStatus?

    public init(
        runId: String,
        status: ChatSendResultStatus? = nil
    ) {
        self.runId = runId
        self.status = status
    }
}

/// What `ChatSendResult.status` may be.
public enum ChatSendResultStatus: String, Codable, Sendable {
    case started
}

/// What the client says of itself; display only, nothing is granted for it.
public struct ClientInfo: Codable, Equatable, Sendable {
    public let id: ClientInfoId
    public let version: String
    public let platform: String
    public let mode: ClientInfoMode
    public let displayName: String?
    public let buildId: String?
    public let deviceFamily: String?
    public let modelIdentifier: String?
    public let timeZone: String?
    public let instanceId: String?

    public init(
        id: ClientInfoId,
        version: String,
        platform: String,
        mode: ClientInfoMode,
        displayName: String? = nil,
        buildId: String? = nil,
        deviceFamily: String? = nil,
        modelIdentifier: String? = nil,
        timeZone: String? = nil,
        instanceId: String? = nil
    ) {
        self.id = id
        self.version = version
        self.platform = platform
        self.mode = mode
        self.displayName = displayName
        self.buildId = buildId
        self.deviceFamily = deviceFamily
        self.modelIdentifier = modelIdentifier
        self.timeZone = timeZone
        self.instanceId = instanceId
    }
}

/// What `ClientInfo.id` may be.
public enum ClientInfoId: String, Codable, Sendable {
    case clawdbotAndroid = "clawdbot-android"
    case clawdbotControlUi = "clawdbot-control-ui"
    case clawdbotIos = "clawdbot-ios"
    case clawdbotMacos = "clawdbot-macos"
    case clawdbotProbe = "clawdbot-probe"
    case cli
    case fingerprint
    case gatewayClient = "gateway-client"
    case moltbotAndroid = "moltbot-android"
    case moltbotIos = "moltbot-ios"
    case nodeHost = "node-host"
    case openclawAndroid = "openclaw-android"
    case openclawBrowserCopilot = "openclaw-browser-copilot"
    case openclawControlUi = "openclaw-control-ui"
    case openclawIos = "openclaw-ios"
    case openclawLinux = "openclaw-linux"
    case openclawMacos = "openclaw-macos"
    case openclawProbe = "openclaw-probe"
    case openclawTui = "openclaw-tui"
    case openclawWatchos = "openclaw-watchos"
    case openclawWorker = "openclaw-worker"
    case test
    case webchat
    case webchatUi = "webchat-ui"
}

/// What `ClientInfo.mode` may be.
public enum ClientInfoMode: String, Codable, Sendable {
    case backend
    case cli
    case node
    case probe
    case test
    case ui
    case webchat
    case worker
}

/// A part of the command to be highlighted.
public struct CommandSpan: Codable, Equatable, Sendable {
    public let startIndex: Int
    public let endIndex: Int

    public init(
        startIndex: Int,
        endIndex: Int
    ) {
        self.startIndex = startIndex
        self.endIndex = endIndex
    }
}

/// Credentials. Never logged: see `__repr__`.
public struct ConnectAuth: Codable, Equatable, Sendable {
    public let token: String?
    public let bootstrapToken: String?
    public let deviceToken: String?
    public let password: String?
    public let approvalRuntimeToken: String?
    public let agentRuntimeIdentityToken: String?

    public init(
        token: String? = nil,
        bootstrapToken: String? = nil,
        deviceToken: String? = nil,
        password: String? = nil,
        approvalRuntimeToken: String? = nil,
        agentRuntimeIdentityToken: String? = nil
    ) {
        self.token = token
        self.bootstrapToken = bootstrapToken
        self.deviceToken = deviceToken
        self.password = password
        self.approvalRuntimeToken = approvalRuntimeToken
        self.agentRuntimeIdentityToken = agentRuntimeIdentityToken
    }
}

/// The first request of every connection.
public struct ConnectParams: Codable, Equatable, Sendable {
    public let minProtocol: Int
    public let maxProtocol: Int
    public let client: ClientInfo
    public let caps: [String]?
    public let commands: [String]?
    public let computerUse: JSONValue?
    public let workerRuns: WorkerRuns?
    public let permissions: [String: Bool]?
    public let pathEnv: String?
    public let role: String?
    public let scopes: [String]?
    public let device: DeviceProof?
    public let auth: ConnectAuth?
    public let locale: String?
    public let userAgent: String?

    public init(
        minProtocol: Int,
        maxProtocol: Int,
        client: ClientInfo,
        caps: [String]? = nil,
        commands: [String]? = nil,
        computerUse: JSONValue? = nil,
        workerRuns: WorkerRuns? = nil,
        permissions: [String: Bool]? = nil,
        pathEnv: String? = nil,
        role: String? = nil,
        scopes: [String]? = nil,
        device: DeviceProof? = nil,
        auth: ConnectAuth? = nil,
        locale: String? = nil,
        userAgent: String? = nil
    ) {
        self.minProtocol = minProtocol
        self.maxProtocol = maxProtocol
        self.client = client
        self.caps = caps
        self.commands = commands
        self.computerUse = computerUse
        self.workerRuns = workerRuns
        self.permissions = permissions
        self.pathEnv = pathEnv
        self.role = role
        self.scopes = scopes
        self.device = device
        self.auth = auth
        self.locale = locale
        self.userAgent = userAgent
    }
}

/// A device's identity and its signature over this connection's challenge.
public struct DeviceProof: Codable, Equatable, Sendable {
    public let id: String
    public let publicKey: String
    public let signature: String
    public let signedAt: Int
    public let nonce: String?

    public init(
        id: String,
        publicKey: String,
        signature: String,
        signedAt: Int,
        nonce: String? = nil
    ) {
        self.id = id
        self.publicKey = publicKey
        self.signature = signature
        self.signedAt = signedAt
        self.nonce = nonce
    }
}

/// An error on the wire.
public struct ErrorShape: Codable, Equatable, Sendable {
    public let code: String
    public let message: String
    public let details: [String: JSONValue]?
    public let retryable: Bool?
    public let retryAfterMs: Int?

    public init(
        code: String,
        message: String,
        details: [String: JSONValue]? = nil,
        retryable: Bool? = nil,
        retryAfterMs: Int? = nil
    ) {
        self.code = code
        self.message = message
        self.details = details
        self.retryable = retryable
        self.retryAfterMs = retryAfterMs
    }
}

/// A push, as the schema and clients see it.
public struct EventFrame: Codable, Equatable, Sendable {
    public let type: EventFrameType
    public let event: String
    public let payload: JSONValue?
    public let seq: Int?
    public let stateVersion: StateVersion?

    public init(
        type: EventFrameType = .event,
        event: String,
        payload: JSONValue? = nil,
        seq: Int? = nil,
        stateVersion: StateVersion? = nil
    ) {
        self.type = type
        self.event = event
        self.payload = payload
        self.seq = seq
        self.stateVersion = stateVersion
    }
}

/// What `EventFrame.type` may be.
public enum EventFrameType: String, Codable, Sendable {
    case event
}

/// What is shown of a question to whoever decides.
public struct ExecPresentation: Codable, Equatable, Sendable {
    public let commandText: String
    public let allowedDecisions: [String]
    public let warningText: String?
    public let host: String?
    public let nodeId: String?
    public let agentId: String?
    public let scope: ActionScope?
    public let kind: ExecPresentationKind?

    public init(
        commandText: String,
        allowedDecisions: [String],
        warningText: String? = nil,
        host: String? = nil,
        nodeId: String? = nil,
        agentId: String? = nil,
        scope: ActionScope? = nil,
        kind: ExecPresentationKind? = nil
    ) {
        self.commandText = commandText
        self.allowedDecisions = allowedDecisions
        self.warningText = warningText
        self.host = host
        self.nodeId = nodeId
        self.agentId = agentId
        self.scope = scope
        self.kind = kind
    }
}

/// What `ExecPresentation.kind` may be.
public enum ExecPresentationKind: String, Codable, Sendable {
    case exec
}

/// What somebody wants to run, as those who decide see it. The first eight fields are there in both versions, `null` where nothing is known.
public struct ExecRequest: Codable, Equatable, Sendable {
    public let command: String
    public let cwd: String?
    public let host: String?
    public let security: String?
    public let ask: String?
    public let agentId: String?
    public let resolvedPath: String?
    public let sessionKey: String?
    public let nodeId: String?
    public let commandArgv: [String]?
    public let commandSpans: [CommandSpan]?
    public let warningText: String?
    public let systemRunPlan: SystemRunPlan?
    public let scope: ActionScope?
    public let envKeys: [String]?
    public let allowedDecisions: [String]?
    public let sessionId: String?
    public let runId: String?
    public let toolCallId: String?
    public let turnSourceChannel: String?
    public let turnSourceTo: String?
    public let turnSourceAccountId: String?
    public let turnSourceThreadId: JSONValue?

    public init(
        command: String,
        cwd: String? = nil,
        host: String? = nil,
        security: String? = nil,
        ask: String? = nil,
        agentId: String? = nil,
        resolvedPath: String? = nil,
        sessionKey: String? = nil,
        nodeId: String? = nil,
        commandArgv: [String]? = nil,
        commandSpans: [CommandSpan]? = nil,
        warningText: String? = nil,
        systemRunPlan: SystemRunPlan? = nil,
        scope: ActionScope? = nil,
        envKeys: [String]? = nil,
        allowedDecisions: [String]? = nil,
        sessionId: String? = nil,
        runId: String? = nil,
        toolCallId: String? = nil,
        turnSourceChannel: String? = nil,
        turnSourceTo: String? = nil,
        turnSourceAccountId: String? = nil,
        turnSourceThreadId: JSONValue? = nil
    ) {
        self.command = command
        self.cwd = cwd
        self.host = host
        self.security = security
        self.ask = ask
        self.agentId = agentId
        self.resolvedPath = resolvedPath
        self.sessionKey = sessionKey
        self.nodeId = nodeId
        self.commandArgv = commandArgv
        self.commandSpans = commandSpans
        self.warningText = warningText
        self.systemRunPlan = systemRunPlan
        self.scope = scope
        self.envKeys = envKeys
        self.allowedDecisions = allowedDecisions
        self.sessionId = sessionId
        self.runId = runId
        self.toolCallId = toolCallId
        self.turnSourceChannel = turnSourceChannel
        self.turnSourceTo = turnSourceTo
        self.turnSourceAccountId = turnSourceAccountId
        self.turnSourceThreadId = turnSourceThreadId
    }
}

/// Exactly the methods and events that work.
public struct Features: Codable, Equatable, Sendable {
    public let methods: [String]
    public let events: [String]
    public let capabilities: [String]?

    public init(
        methods: [String],
        events: [String],
        capabilities: [String]? = nil
    ) {
        self.methods = methods
        self.events = events
        self.capabilities = capabilities
    }
}

/// Result of `canvas.files.read`.
public struct FileContent: Codable, Equatable, Sendable {
    public let file: FileEntry
    public let content: String
    public let encoding: FileContentEncoding

    public init(
        file: FileEntry,
        content: String,
        encoding: FileContentEncoding
    ) {
        self.file = file
        self.content = content
        self.encoding = encoding
    }
}

/// What `FileContent.encoding` may be.
public enum FileContentEncoding: String, Codable, Sendable {
    case base64
    case utf8
}

/// `canvas.files.delete`: a file, or a directory with everything in it.
public struct FileDeleteParams: Codable, Equatable, Sendable {
    public let path: String

    public init(
        path: String
    ) {
        self.path = path
    }
}

/// A file of the canvas; `size` in bytes.
public struct FileEntry: Codable, Equatable, Sendable {
    public let path: String
    public let size: Int
    public let modifiedAtMs: Int

    public init(
        path: String,
        size: Int,
        modifiedAtMs: Int
    ) {
        self.path = path
        self.size = size
        self.modifiedAtMs = modifiedAtMs
    }
}

/// Result of `canvas.files.list`; `truncated`: there are more.
public struct FileList: Codable, Equatable, Sendable {
    public let files: [FileEntry]
    public let truncated: Bool

    public init(
        files: [FileEntry],
        truncated: Bool
    ) {
        self.files = files
        self.truncated = truncated
    }
}

/// `canvas.files.list`: the files under a directory.
public struct FileListParams: Codable, Equatable, Sendable {
    public let path: String?
    public let limit: Int?

    public init(
        path: String? = nil,
        limit: Int? = nil
    ) {
        self.path = path
        self.limit = limit
    }
}

/// `canvas.files.read`; without `encoding` text comes as text and anything else as base64.
public struct FileReadParams: Codable, Equatable, Sendable {
    public let path: String
    public let encoding: FileReadParamsEncoding?

    public init(
        path: String,
        encoding: FileReadParamsEncoding? = nil
    ) {
        self.path = path
        self.encoding = encoding
    }
}

/// What `FileReadParams.encoding` may be.
public enum FileReadParamsEncoding: String, Codable, Sendable {
    case base64
    case utf8
}

/// `canvas.files.write`: put a file there, whole.
public struct FileWriteParams: Codable, Equatable, Sendable {
    public let path: String
    public let content: String
    public let encoding: FileWriteParamsEncoding?

    public init(
        path: String,
        content: String,
        encoding: FileWriteParamsEncoding? = nil
    ) {
        self.path = path
        self.content = content
        self.encoding = encoding
    }
}

/// What `FileWriteParams.encoding` may be.
public enum FileWriteParamsEncoding: String, Codable, Sendable {
    case base64
    case utf8
}

/// Result of `canvas.files.write`.
public struct FileWritten: Codable, Equatable, Sendable {
    public let file: FileEntry
    public let ok: Bool?

    public init(
        file: FileEntry,
        ok: Bool? = nil
    ) {
        self.file = file
        self.ok = ok
    }
}

/// Result of `canvas.files.delete` and `canvas.files.reset`: how many files went.
public struct FilesDeleted: Codable, Equatable, Sendable {
    public let deleted: Int
    public let ok: Bool?

    public init(
        deleted: Int,
        ok: Bool? = nil
    ) {
        self.deleted = deleted
        self.ok = ok
    }
}

/// A version 4 client's wish to start a goal; taken as an ordinary message.
public struct GoalIntent: Codable, Equatable, Sendable {
    public let kind: GoalIntentKind
    public let version: Int
    public let issuedAtMs: Int

    public init(
        kind: GoalIntentKind = .sessionGoalStart,
        version: Int = 1,
        issuedAtMs: Int
    ) {
        self.kind = kind
        self.version = version
        self.issuedAtMs = issuedAtMs
    }
}

/// What `GoalIntent.kind` may be.
public enum GoalIntentKind: String, Codable, Sendable {
    case sessionGoalStart = "session-goal-start"
}

/// Result of `health`, payload of the `health` event, part of `hello-ok`.
public struct Health: Codable, Equatable, Sendable {
    public let ts: Int
    public let durationMs: Int
    public let channels: [String: JSONValue]
    public let channelOrder: [String]
    public let channelLabels: [String: String]
    public let heartbeatSeconds: Int
    public let defaultAgentId: String
    public let agents: [AgentHealth]
    public let sessions: SessionsInfo
    public let ok: Bool?

    public init(
        ts: Int,
        durationMs: Int,
        channels: [String: JSONValue],
        channelOrder: [String],
        channelLabels: [String: String],
        heartbeatSeconds: Int,
        defaultAgentId: String,
        agents: [AgentHealth],
        sessions: SessionsInfo,
        ok: Bool? = nil
    ) {
        self.ts = ts
        self.durationMs = durationMs
        self.channels = channels
        self.channelOrder = channelOrder
        self.channelLabels = channelLabels
        self.heartbeatSeconds = heartbeatSeconds
        self.defaultAgentId = defaultAgentId
        self.agents = agents
        self.sessions = sessions
        self.ok = ok
    }
}

/// An agent's heartbeat as health shows it.
public struct HeartbeatInfo: Codable, Equatable, Sendable {
    public let enabled: Bool
    public let every: String
    public let everyMs: Int?
    public let prompt: String
    public let target: String
    public let ackMaxChars: Int

    public init(
        enabled: Bool,
        every: String,
        everyMs: Int?,
        prompt: String,
        target: String,
        ackMaxChars: Int
    ) {
        self.enabled = enabled
        self.every = every
        self.everyMs = everyMs
        self.prompt = prompt
        self.target = target
        self.ackMaxChars = ackMaxChars
    }
}

/// Heartbeats in `status`.
public struct HeartbeatStatus: Codable, Equatable, Sendable {
    public let defaultAgentId: String
    public let agents: [HeartbeatStatusEntry]

    public init(
        defaultAgentId: String,
        agents: [HeartbeatStatusEntry]
    ) {
        self.defaultAgentId = defaultAgentId
        self.agents = agents
    }
}

/// One agent's heartbeat in `status`.
public struct HeartbeatStatusEntry: Codable, Equatable, Sendable {
    public let agentId: String
    public let enabled: Bool
    public let every: String
    public let everyMs: Int?

    public init(
        agentId: String,
        enabled: Bool,
        every: String,
        everyMs: Int?
    ) {
        self.agentId = agentId
        self.enabled = enabled
        self.every = every
        self.everyMs = everyMs
    }
}

/// What was granted. In version 3 it is there only together with a device token.
public struct HelloAuth: Codable, Equatable, Sendable {
    public let role: String
    public let scopes: [String]
    public let deviceToken: String?
    public let issuedAtMs: Int?
    public let method: String?

    public init(
        role: String,
        scopes: [String],
        deviceToken: String? = nil,
        issuedAtMs: Int? = nil,
        method: String? = nil
    ) {
        self.role = role
        self.scopes = scopes
        self.deviceToken = deviceToken
        self.issuedAtMs = issuedAtMs
        self.method = method
    }
}

/// The answer to `connect`.
public struct HelloOk: Codable, Equatable, Sendable {
    public let `protocol`: Int
    public let server: ServerInfo
    public let features: Features
    public let snapshot: Snapshot
    public let policy: Policy
    public let auth: HelloAuth?
    public let canvasHostUrl: String?
    public let pluginSurfaceUrls: [String: String]?
    public let type: HelloOkType?

    public init(
        `protocol`: Int,
        server: ServerInfo,
        features: Features,
        snapshot: Snapshot,
        policy: Policy,
        auth: HelloAuth? = nil,
        canvasHostUrl: String? = nil,
        pluginSurfaceUrls: [String: String]? = nil,
        type: HelloOkType? = nil
    ) {
        self.`protocol` = `protocol`
        self.server = server
        self.features = features
        self.snapshot = snapshot
        self.policy = policy
        self.auth = auth
        self.canvasHostUrl = canvasHostUrl
        self.pluginSurfaceUrls = pluginSurfaceUrls
        self.type = type
    }
}

/// What `HelloOk.type` may be.
public enum HelloOkType: String, Codable, Sendable {
    case helloOk = "hello-ok"
}

/// How busy a node's host is; `updated_at_ms` is the Gateway's time of receipt.
public struct HostStats: Codable, Equatable, Sendable {
    public let cpuCount: Int
    public let memoryTotalBytes: Int
    public let memoryFreeBytes: Int
    public let loadAverage: [Double]?
    public let diskTotalBytes: Int?
    public let diskAvailableBytes: Int?
    public let updatedAtMs: Int?

    public init(
        cpuCount: Int,
        memoryTotalBytes: Int,
        memoryFreeBytes: Int,
        loadAverage: [Double]? = nil,
        diskTotalBytes: Int? = nil,
        diskAvailableBytes: Int? = nil,
        updatedAtMs: Int? = nil
    ) {
        self.cpuCount = cpuCount
        self.memoryTotalBytes = memoryTotalBytes
        self.memoryFreeBytes = memoryFreeBytes
        self.loadAverage = loadAverage
        self.diskTotalBytes = diskTotalBytes
        self.diskAvailableBytes = diskAvailableBytes
        self.updatedAtMs = updatedAtMs
    }
}

/// `node.hostStats` (version 4): a node told how busy its host is.
public struct HostStatsEvent: Codable, Equatable, Sendable {
    public let nodeId: String
    public let hostStats: HostStats

    public init(
        nodeId: String,
        hostStats: HostStats
    ) {
        self.nodeId = nodeId
        self.hostStats = hostStats
    }
}

/// Name and picture of an agent in a list.
public struct IdentitySummary: Codable, Equatable, Sendable {
    public let name: String?
    public let theme: String?
    public let emoji: String?
    public let avatar: String?

    public init(
        name: String? = nil,
        theme: String? = nil,
        emoji: String? = nil,
        avatar: String? = nil
    ) {
        self.name = name
        self.theme = theme
        self.emoji = emoji
        self.avatar = avatar
    }
}

/// A run that is going on while somebody asks for the history (version 4).
public struct InFlightRun: Codable, Equatable, Sendable {
    public let runId: String
    public let text: String
    public let startedAt: Int

    public init(
        runId: String,
        text: String,
        startedAt: Int
    ) {
        self.runId = runId
        self.text = text
        self.startedAt = startedAt
    }
}

/// `message.action`: what the stock command line sends with; `params` are the action's own.
public struct MessageActionParams: Codable, Equatable, Sendable {
    public let channel: String
    public let action: String
    public let params: [String: JSONValue]
    public let idempotencyKey: String
    public let reply: ActionReply?
    public let accountId: String?
    public let requesterAccountId: String?
    public let requesterSenderId: String?
    public let senderIsOwner: Bool?
    public let sessionKey: String?
    public let sessionId: String?
    public let inboundTurnKind: MessageActionParamsInboundTurnKind?
    public let agentId: String?
    public let toolContext: ActionContext?
    public let conversationReadOrigin: MessageActionParamsConversationReadOrigin?

    public init(
        channel: String,
        action: String,
        params: [String: JSONValue],
        idempotencyKey: String,
        reply: ActionReply? = nil,
        accountId: String? = nil,
        requesterAccountId: String? = nil,
        requesterSenderId: String? = nil,
        senderIsOwner: Bool? = nil,
        sessionKey: String? = nil,
        sessionId: String? = nil,
        inboundTurnKind: MessageActionParamsInboundTurnKind? = nil,
        agentId: String? = nil,
        toolContext: ActionContext? = nil,
        conversationReadOrigin: MessageActionParamsConversationReadOrigin? = nil
    ) {
        self.channel = channel
        self.action = action
        self.params = params
        self.idempotencyKey = idempotencyKey
        self.reply = reply
        self.accountId = accountId
        self.requesterAccountId = requesterAccountId
        self.requesterSenderId = requesterSenderId
        self.senderIsOwner = senderIsOwner
        self.sessionKey = sessionKey
        self.sessionId = sessionId
        self.inboundTurnKind = inboundTurnKind
        self.agentId = agentId
        self.toolContext = toolContext
        self.conversationReadOrigin = conversationReadOrigin
    }
}

/// What `MessageActionParams.inboundTurnKind` may be.
public enum MessageActionParamsInboundTurnKind: String, Codable, Sendable {
    case roomEvent = "room_event"
    case userRequest = "user_request"
}

/// What `MessageActionParams.conversationReadOrigin` may be.
public enum MessageActionParamsConversationReadOrigin: String, Codable, Sendable {
    case directOperator = "direct-operator"
}

/// `details` of a version 4 `FORBIDDEN`.
public struct MissingScopeDetails: Codable, Equatable, Sendable {
    public let missingScope: String
    public let requiredScopes: [String]
    public let code: String?

    public init(
        missingScope: String,
        requiredScopes: [String],
        code: String? = nil
    ) {
        self.missingScope = missingScope
        self.requiredScopes = requiredScopes
        self.code = code
    }
}

/// One model somebody can choose.
public struct ModelChoice: Codable, Equatable, Sendable {
    public let id: String
    public let name: String
    public let provider: String
    public let contextWindow: Int?
    public let reasoning: Bool?
    public let input: [String]?
    public let tags: [String]?
    public let available: Bool?

    public init(
        id: String,
        name: String,
        provider: String,
        contextWindow: Int? = nil,
        reasoning: Bool? = nil,
        input: [String]? = nil,
        tags: [String]? = nil,
        available: Bool? = nil
    ) {
        self.id = id
        self.name = name
        self.provider = provider
        self.contextWindow = contextWindow
        self.reasoning = reasoning
        self.input = input
        self.tags = tags
        self.available = available
    }
}

/// The model a session gets when nobody chose one.
public struct ModelDefaults: Codable, Equatable, Sendable {
    public let model: String?
    public let contextTokens: Int?
    public let modelProvider: String?

    public init(
        model: String?,
        contextTokens: Int?,
        modelProvider: String? = nil
    ) {
        self.model = model
        self.contextTokens = contextTokens
        self.modelProvider = modelProvider
    }
}

/// Result of `models.list`.
public struct ModelsList: Codable, Equatable, Sendable {
    public let models: [ModelChoice]

    public init(
        models: [ModelChoice]
    ) {
        self.models = models
    }
}

/// `models.list`.
public struct ModelsListParams: Codable, Equatable, Sendable {
    public let agentId: String?
    public let includeProviderCapabilities: Bool?
    public let preparedOnly: Bool?
    public let refresh: Bool?
    public let view: ModelsListParamsView?

    public init(
        agentId: String? = nil,
        includeProviderCapabilities: Bool? = nil,
        preparedOnly: Bool? = nil,
        refresh: Bool? = nil,
        view: ModelsListParamsView? = nil
    ) {
        self.agentId = agentId
        self.includeProviderCapabilities = includeProviderCapabilities
        self.preparedOnly = preparedOnly
        self.refresh = refresh
        self.view = view
    }
}

/// What `ModelsListParams.view` may be.
public enum ModelsListParamsView: String, Codable, Sendable {
    case all
    case configured
    case `default` = "default"
    case providerConfig = "provider-config"
}

/// The policy of such a node.
public struct NativePolicy: Codable, Equatable, Sendable {
    public let rules: [NativeRule]
    public let defaultAction: NativePolicyDefaultAction?

    public init(
        rules: [NativeRule],
        defaultAction: NativePolicyDefaultAction? = nil
    ) {
        self.rules = rules
        self.defaultAction = defaultAction
    }
}

/// What `NativePolicy.defaultAction` may be.
public enum NativePolicyDefaultAction: String, Codable, Sendable {
    case allow
    case deny
    case prompt
}

/// A rule of a node that has a policy of its own kind (version 4).
public struct NativeRule: Codable, Equatable, Sendable {
    public let pattern: String
    public let action: NativeRuleAction
    public let shells: [String]?
    public let description: String?
    public let enabled: Bool?

    public init(
        pattern: String,
        action: NativeRuleAction,
        shells: [String]? = nil,
        description: String? = nil,
        enabled: Bool? = nil
    ) {
        self.pattern = pattern
        self.action = action
        self.shells = shells
        self.description = description
        self.enabled = enabled
    }
}

/// What `NativeRule.action` may be.
public enum NativeRuleAction: String, Codable, Sendable {
    case allow
    case deny
    case prompt
}

/// A method that takes nothing: the empty object.
public struct NoParams: Codable, Equatable, Sendable {
    public init() {}
}

/// A node as `node.list` shows it. From `client_id` to `pending_declared_permissions`: version 4 only. `caps` and `commands` are what counts now, not what the node claims.
public struct Node: Codable, Equatable, Sendable {
    public let nodeId: String
    public let caps: [String]
    public let commands: [String]
    public let paired: Bool
    public let connected: Bool
    public let displayName: String?
    public let platform: String?
    public let version: String?
    public let deviceFamily: String?
    public let modelIdentifier: String?
    public let remoteIp: String?
    public let pathEnv: String?
    public let permissions: [String: Bool]?
    public let connectedAtMs: Int?
    public let lastConnectedAtMs: Int?
    public let lastDisconnectedAtMs: Int?
    public let lastSeenAtMs: Int?
    public let lastSeenReason: String?
    public let clientId: String?
    public let clientMode: String?
    public let sessionHost: Bool?
    public let nodePluginTools: [PluginTool]?
    public let hostStats: HostStats?
    public let approvalState: NodeApprovalState?
    public let approvedAtMs: Int?
    public let pendingRequestId: String?
    public let pendingDeclaredCaps: [String]?
    public let pendingDeclaredCommands: [String]?
    public let pendingDeclaredPermissions: [String: Bool]?

    public init(
        nodeId: String,
        caps: [String],
        commands: [String],
        paired: Bool,
        connected: Bool,
        displayName: String? = nil,
        platform: String? = nil,
        version: String? = nil,
        deviceFamily: String? = nil,
        modelIdentifier: String? = nil,
        remoteIp: String? = nil,
        pathEnv: String? = nil,
        permissions: [String: Bool]? = nil,
        connectedAtMs: Int? = nil,
        lastConnectedAtMs: Int? = nil,
        lastDisconnectedAtMs: Int? = nil,
        lastSeenAtMs: Int? = nil,
        lastSeenReason: String? = nil,
        clientId: String? = nil,
        clientMode: String? = nil,
        sessionHost: Bool? = nil,
        nodePluginTools: [PluginTool]? = nil,
        hostStats: HostStats? = nil,
        approvalState: NodeApprovalState? = nil,
        approvedAtMs: Int? = nil,
        pendingRequestId: String? = nil,
        pendingDeclaredCaps: [String]? = nil,
        pendingDeclaredCommands: [String]? = nil,
        pendingDeclaredPermissions: [String: Bool]? = nil
    ) {
        self.nodeId = nodeId
        self.caps = caps
        self.commands = commands
        self.paired = paired
        self.connected = connected
        self.displayName = displayName
        self.platform = platform
        self.version = version
        self.deviceFamily = deviceFamily
        self.modelIdentifier = modelIdentifier
        self.remoteIp = remoteIp
        self.pathEnv = pathEnv
        self.permissions = permissions
        self.connectedAtMs = connectedAtMs
        self.lastConnectedAtMs = lastConnectedAtMs
        self.lastDisconnectedAtMs = lastDisconnectedAtMs
        self.lastSeenAtMs = lastSeenAtMs
        self.lastSeenReason = lastSeenReason
        self.clientId = clientId
        self.clientMode = clientMode
        self.sessionHost = sessionHost
        self.nodePluginTools = nodePluginTools
        self.hostStats = hostStats
        self.approvalState = approvalState
        self.approvedAtMs = approvedAtMs
        self.pendingRequestId = pendingRequestId
        self.pendingDeclaredCaps = pendingDeclaredCaps
        self.pendingDeclaredCommands = pendingDeclaredCommands
        self.pendingDeclaredPermissions = pendingDeclaredPermissions
    }
}

/// What `Node.approvalState` may be.
public enum NodeApprovalState: String, Codable, Sendable {
    case approved
    case pendingApproval = "pending-approval"
    case pendingReapproval = "pending-reapproval"
    case unapproved
}

/// `node.approval.request`: may this run on the node that asks? A method of ours: the contract has none by which a node could ask about itself.
public struct NodeApprovalRequestParams: Codable, Equatable, Sendable {
    public let command: String
    public let commandArgv: [String]?
    public let cwd: String??
    public let security: String??
    public let ask: String??
    public let agentId: String??
    public let resolvedPath: String??
    public let sessionKey: String??
    public let envKeys: [String]?
    public let unavailableDecisions: [String]?
    public let timeoutMs: Int?

    public init(
        command: String,
        commandArgv: [String]? = nil,
        cwd: String?? = nil,
        security: String?? = nil,
        ask: String?? = nil,
        agentId: String?? = nil,
        resolvedPath: String?? = nil,
        sessionKey: String?? = nil,
        envKeys: [String]? = nil,
        unavailableDecisions: [String]? = nil,
        timeoutMs: Int? = nil
    ) {
        self.command = command
        self.commandArgv = commandArgv
        self.cwd = cwd
        self.security = security
        self.ask = ask
        self.agentId = agentId
        self.resolvedPath = resolvedPath
        self.sessionKey = sessionKey
        self.envKeys = envKeys
        self.unavailableDecisions = unavailableDecisions
        self.timeoutMs = timeoutMs
    }
}

/// Result of `node.describe`.
public struct NodeDescription: Codable, Equatable, Sendable {
    public let nodeId: String
    public let caps: [String]
    public let commands: [String]
    public let paired: Bool
    public let connected: Bool
    public let displayName: String?
    public let platform: String?
    public let version: String?
    public let deviceFamily: String?
    public let modelIdentifier: String?
    public let remoteIp: String?
    public let pathEnv: String?
    public let permissions: [String: Bool]?
    public let connectedAtMs: Int?
    public let lastConnectedAtMs: Int?
    public let lastDisconnectedAtMs: Int?
    public let lastSeenAtMs: Int?
    public let lastSeenReason: String?
    public let clientId: String?
    public let clientMode: String?
    public let sessionHost: Bool?
    public let nodePluginTools: [PluginTool]?
    public let hostStats: HostStats?
    public let approvalState: NodeDescriptionApprovalState?
    public let approvedAtMs: Int?
    public let pendingRequestId: String?
    public let pendingDeclaredCaps: [String]?
    public let pendingDeclaredCommands: [String]?
    public let pendingDeclaredPermissions: [String: Bool]?
    public let ts: Int

    public init(
        nodeId: String,
        caps: [String],
        commands: [String],
        paired: Bool,
        connected: Bool,
        displayName: String? = nil,
        platform: String? = nil,
        version: String? = nil,
        deviceFamily: String? = nil,
        modelIdentifier: String? = nil,
        remoteIp: String? = nil,
        pathEnv: String? = nil,
        permissions: [String: Bool]? = nil,
        connectedAtMs: Int? = nil,
        lastConnectedAtMs: Int? = nil,
        lastDisconnectedAtMs: Int? = nil,
        lastSeenAtMs: Int? = nil,
        lastSeenReason: String? = nil,
        clientId: String? = nil,
        clientMode: String? = nil,
        sessionHost: Bool? = nil,
        nodePluginTools: [PluginTool]? = nil,
        hostStats: HostStats? = nil,
        approvalState: NodeDescriptionApprovalState? = nil,
        approvedAtMs: Int? = nil,
        pendingRequestId: String? = nil,
        pendingDeclaredCaps: [String]? = nil,
        pendingDeclaredCommands: [String]? = nil,
        pendingDeclaredPermissions: [String: Bool]? = nil,
        ts: Int
    ) {
        self.nodeId = nodeId
        self.caps = caps
        self.commands = commands
        self.paired = paired
        self.connected = connected
        self.displayName = displayName
        self.platform = platform
        self.version = version
        self.deviceFamily = deviceFamily
        self.modelIdentifier = modelIdentifier
        self.remoteIp = remoteIp
        self.pathEnv = pathEnv
        self.permissions = permissions
        self.connectedAtMs = connectedAtMs
        self.lastConnectedAtMs = lastConnectedAtMs
        self.lastDisconnectedAtMs = lastDisconnectedAtMs
        self.lastSeenAtMs = lastSeenAtMs
        self.lastSeenReason = lastSeenReason
        self.clientId = clientId
        self.clientMode = clientMode
        self.sessionHost = sessionHost
        self.nodePluginTools = nodePluginTools
        self.hostStats = hostStats
        self.approvalState = approvalState
        self.approvedAtMs = approvedAtMs
        self.pendingRequestId = pendingRequestId
        self.pendingDeclaredCaps = pendingDeclaredCaps
        self.pendingDeclaredCommands = pendingDeclaredCommands
        self.pendingDeclaredPermissions = pendingDeclaredPermissions
        self.ts = ts
    }
}

/// What `NodeDescription.approvalState` may be.
public enum NodeDescriptionApprovalState: String, Codable, Sendable {
    case approved
    case pendingApproval = "pending-approval"
    case pendingReapproval = "pending-reapproval"
    case unapproved
}

/// `node.event`.
public struct NodeEventParams: Codable, Equatable, Sendable {
    public let event: String
    public let payload: JSONValue?
    public let payloadJSON: String??

    public init(
        event: String,
        payload: JSONValue? = nil,
        payloadJSON: String?? = nil
    ) {
        self.event = event
        self.payload = payload
        self.payloadJSON = payloadJSON
    }
}

/// Result of `node.event`; after `ok` only in version 4.
public struct NodeEventResult: Codable, Equatable, Sendable {
    public let ok: Bool?
    public let event: String?
    public let handled: Bool?
    public let reason: String?

    public init(
        ok: Bool? = nil,
        event: String? = nil,
        handled: Bool? = nil,
        reason: String? = nil
    ) {
        self.ok = ok
        self.event = event
        self.handled = handled
        self.reason = reason
    }
}

/// Why a node could not.
public struct NodeFailure: Codable, Equatable, Sendable {
    public let code: String?
    public let message: String?

    public init(
        code: String? = nil,
        message: String? = nil
    ) {
        self.code = code
        self.message = message
    }
}

/// `node.invoke.cancel` (version 4): nobody waits for this result any more.
public struct NodeInvokeCancelEvent: Codable, Equatable, Sendable {
    public let invokeId: String
    public let nodeId: String

    public init(
        invokeId: String,
        nodeId: String
    ) {
        self.invokeId = invokeId
        self.nodeId = nodeId
    }
}

/// `node.invoke`. The fields from `session_key` on are version 4's, and only taken note of.
public struct NodeInvokeParams: Codable, Equatable, Sendable {
    public let nodeId: String
    public let command: String
    public let idempotencyKey: String
    public let params: JSONValue?
    public let timeoutMs: Int?
    public let sessionKey: String?
    public let turnSourceChannel: String?
    public let turnSourceTo: String?
    public let turnSourceAccountId: String?
    public let turnSourceThreadId: JSONValue?

    public init(
        nodeId: String,
        command: String,
        idempotencyKey: String,
        params: JSONValue? = nil,
        timeoutMs: Int? = nil,
        sessionKey: String? = nil,
        turnSourceChannel: String? = nil,
        turnSourceTo: String? = nil,
        turnSourceAccountId: String? = nil,
        turnSourceThreadId: JSONValue? = nil
    ) {
        self.nodeId = nodeId
        self.command = command
        self.idempotencyKey = idempotencyKey
        self.params = params
        self.timeoutMs = timeoutMs
        self.sessionKey = sessionKey
        self.turnSourceChannel = turnSourceChannel
        self.turnSourceTo = turnSourceTo
        self.turnSourceAccountId = turnSourceAccountId
        self.turnSourceThreadId = turnSourceThreadId
    }
}

/// `node.invoke.progress` (version 4): output of a command that is still running.
public struct NodeInvokeProgressParams: Codable, Equatable, Sendable {
    public let invokeId: String
    public let nodeId: String
    public let seq: Int
    public let chunk: String

    public init(
        invokeId: String,
        nodeId: String,
        seq: Int,
        chunk: String
    ) {
        self.invokeId = invokeId
        self.nodeId = nodeId
        self.seq = seq
        self.chunk = chunk
    }
}

/// `node.invoke.request`: to the node that is asked, and to nobody else.
public struct NodeInvokeRequestEvent: Codable, Equatable, Sendable {
    public let id: String
    public let nodeId: String
    public let command: String
    public let paramsJSON: String?
    public let timeoutMs: Int?
    public let idempotencyKey: String?

    public init(
        id: String,
        nodeId: String,
        command: String,
        paramsJSON: String? = nil,
        timeoutMs: Int? = nil,
        idempotencyKey: String? = nil
    ) {
        self.id = id
        self.nodeId = nodeId
        self.command = command
        self.paramsJSON = paramsJSON
        self.timeoutMs = timeoutMs
        self.idempotencyKey = idempotencyKey
    }
}

/// `node.invoke.result`. `payload_json` should be a string that holds JSON. Apps in the field also send `null`, or the value itself; both are taken, as the original does.
public struct NodeInvokeResultParams: Codable, Equatable, Sendable {
    public let id: String
    public let nodeId: String
    public let ok: Bool
    public let payload: JSONValue?
    public let payloadJSON: JSONValue?
    public let error: NodeFailure??

    public init(
        id: String,
        nodeId: String,
        ok: Bool,
        payload: JSONValue? = nil,
        payloadJSON: JSONValue? = nil,
        error: NodeFailure?? = nil
    ) {
        self.id = id
        self.nodeId = nodeId
        self.ok = ok
        self.payload = payload
        self.payloadJSON = payloadJSON
        self.error = error
    }
}

/// Result of `node.invoke`: the node's result, as JSON and, if it came so, as a string too.
public struct NodeInvoked: Codable, Equatable, Sendable {
    public let nodeId: String
    public let command: String
    public let payload: JSONValue?
    public let payloadJSON: String?
    public let ok: Bool?

    public init(
        nodeId: String,
        command: String,
        payload: JSONValue? = nil,
        payloadJSON: String? = nil,
        ok: Bool? = nil
    ) {
        self.nodeId = nodeId
        self.command = command
        self.payload = payload
        self.payloadJSON = payloadJSON
        self.ok = ok
    }
}

/// Result of `node.list`: the connected ones first, then by name.
public struct NodeList: Codable, Equatable, Sendable {
    public let ts: Int
    public let nodes: [Node]

    public init(
        ts: Int,
        nodes: [Node]
    ) {
        self.ts = ts
        self.nodes = nodes
    }
}

/// Result of `node.pair.approve`.
public struct NodePairApproved: Codable, Equatable, Sendable {
    public let requestId: String
    public let node: ApprovedNode

    public init(
        requestId: String,
        node: ApprovedNode
    ) {
        self.requestId = requestId
        self.node = node
    }
}

/// `node.pair.approve` and `node.pair.reject`.
public struct NodePairDecisionParams: Codable, Equatable, Sendable {
    public let requestId: String

    public init(
        requestId: String
    ) {
        self.requestId = requestId
    }
}

/// Result of `node.pair.list`.
public struct NodePairList: Codable, Equatable, Sendable {
    public let pending: [NodePairRequest]
    public let paired: [ApprovedNode]

    public init(
        pending: [NodePairRequest],
        paired: [ApprovedNode]
    ) {
        self.pending = pending
        self.paired = paired
    }
}

/// Result of `node.pair.reject`.
public struct NodePairRejected: Codable, Equatable, Sendable {
    public let requestId: String
    public let nodeId: String

    public init(
        requestId: String,
        nodeId: String
    ) {
        self.requestId = requestId
        self.nodeId = nodeId
    }
}

/// `node.pair.remove` (version 4): the node is none any more.
public struct NodePairRemoveParams: Codable, Equatable, Sendable {
    public let nodeId: String

    public init(
        nodeId: String
    ) {
        self.nodeId = nodeId
    }
}

/// Result of `node.pair.remove`.
public struct NodePairRemoved: Codable, Equatable, Sendable {
    public let nodeId: String

    public init(
        nodeId: String
    ) {
        self.nodeId = nodeId
    }
}

/// A node that waits for approval; also the payload of `node.pair.requested`. `silent`: the device was let in without asking anybody, so an app may offer to do the same here.
public struct NodePairRequest: Codable, Equatable, Sendable {
    public let requestId: String
    public let nodeId: String
    public let ts: Int
    public let caps: [String]?
    public let commands: [String]?
    public let permissions: [String: Bool]?
    public let displayName: String?
    public let platform: String?
    public let version: String?
    public let coreVersion: String?
    public let uiVersion: String?
    public let deviceFamily: String?
    public let modelIdentifier: String?
    public let clientId: String?
    public let clientMode: String?
    public let remoteIp: String?
    public let requiredApproveScopes: [String]?
    public let silent: Bool?
    public let isRepair: Bool?

    public init(
        requestId: String,
        nodeId: String,
        ts: Int,
        caps: [String]? = nil,
        commands: [String]? = nil,
        permissions: [String: Bool]? = nil,
        displayName: String? = nil,
        platform: String? = nil,
        version: String? = nil,
        coreVersion: String? = nil,
        uiVersion: String? = nil,
        deviceFamily: String? = nil,
        modelIdentifier: String? = nil,
        clientId: String? = nil,
        clientMode: String? = nil,
        remoteIp: String? = nil,
        requiredApproveScopes: [String]? = nil,
        silent: Bool? = nil,
        isRepair: Bool? = nil
    ) {
        self.requestId = requestId
        self.nodeId = nodeId
        self.ts = ts
        self.caps = caps
        self.commands = commands
        self.permissions = permissions
        self.displayName = displayName
        self.platform = platform
        self.version = version
        self.coreVersion = coreVersion
        self.uiVersion = uiVersion
        self.deviceFamily = deviceFamily
        self.modelIdentifier = modelIdentifier
        self.clientId = clientId
        self.clientMode = clientMode
        self.remoteIp = remoteIp
        self.requiredApproveScopes = requiredApproveScopes
        self.silent = silent
        self.isRepair = isRepair
    }
}

/// `node.pair.request` (version 3): ask for a node by hand.
public struct NodePairRequestParams: Codable, Equatable, Sendable {
    public let nodeId: String
    public let displayName: String?
    public let platform: String?
    public let version: String?
    public let coreVersion: String?
    public let uiVersion: String?
    public let deviceFamily: String?
    public let modelIdentifier: String?
    public let caps: [String]?
    public let commands: [String]?
    public let remoteIp: String?
    public let silent: Bool?

    public init(
        nodeId: String,
        displayName: String? = nil,
        platform: String? = nil,
        version: String? = nil,
        coreVersion: String? = nil,
        uiVersion: String? = nil,
        deviceFamily: String? = nil,
        modelIdentifier: String? = nil,
        caps: [String]? = nil,
        commands: [String]? = nil,
        remoteIp: String? = nil,
        silent: Bool? = nil
    ) {
        self.nodeId = nodeId
        self.displayName = displayName
        self.platform = platform
        self.version = version
        self.coreVersion = coreVersion
        self.uiVersion = uiVersion
        self.deviceFamily = deviceFamily
        self.modelIdentifier = modelIdentifier
        self.caps = caps
        self.commands = commands
        self.remoteIp = remoteIp
        self.silent = silent
    }
}

/// Result of `node.pair.request`.
public struct NodePairRequested: Codable, Equatable, Sendable {
    public let request: NodePairRequest
    public let created: Bool
    public let status: NodePairRequestedStatus?

    public init(
        request: NodePairRequest,
        created: Bool,
        status: NodePairRequestedStatus? = nil
    ) {
        self.request = request
        self.created = created
        self.status = status
    }
}

/// What `NodePairRequested.status` may be.
public enum NodePairRequestedStatus: String, Codable, Sendable {
    case pending
}

/// `node.pair.resolved`. `expired`: the node now asks for something else, or for nothing.
public struct NodePairResolvedEvent: Codable, Equatable, Sendable {
    public let requestId: String
    public let nodeId: String
    public let decision: NodePairResolvedEventDecision
    public let ts: Int

    public init(
        requestId: String,
        nodeId: String,
        decision: NodePairResolvedEventDecision,
        ts: Int
    ) {
        self.requestId = requestId
        self.nodeId = nodeId
        self.decision = decision
        self.ts = ts
    }
}

/// What `NodePairResolvedEvent.decision` may be.
public enum NodePairResolvedEventDecision: String, Codable, Sendable {
    case approved
    case expired
    case rejected
}

/// Result of `node.pair.verify`.
public struct NodePairVerified: Codable, Equatable, Sendable {
    public let ok: Bool
    public let node: ApprovedNode?

    public init(
        ok: Bool,
        node: ApprovedNode? = nil
    ) {
        self.ok = ok
        self.node = node
    }
}

/// `node.pair.verify` (version 3).
public struct NodePairVerifyParams: Codable, Equatable, Sendable {
    public let nodeId: String
    public let token: String

    public init(
        nodeId: String,
        token: String
    ) {
        self.nodeId = nodeId
        self.token = token
    }
}

/// `node.describe`.
public struct NodeParams: Codable, Equatable, Sendable {
    public let nodeId: String

    public init(
        nodeId: String
    ) {
        self.nodeId = nodeId
    }
}

/// Result of `exec.approvals.node.get` and `set`: what the node says, passed on as it is.
public struct NodePolicy: Codable, Equatable, Sendable {
    public let path: String?
    public let exists: Bool?
    public let hash: String?
    public let file: [String: JSONValue]?

    public init(
        path: String? = nil,
        exists: Bool? = nil,
        hash: String? = nil,
        file: [String: JSONValue]? = nil
    ) {
        self.path = path
        self.exists = exists
        self.hash = hash
        self.file = file
    }
}

/// `exec.approvals.node.get`.
public struct NodePolicyGetParams: Codable, Equatable, Sendable {
    public let nodeId: String

    public init(
        nodeId: String
    ) {
        self.nodeId = nodeId
    }
}

/// `exec.approvals.node.set`: a `file`, or in version 4 a `native` policy with `baseHash`.
public struct NodePolicySetParams: Codable, Equatable, Sendable {
    public let nodeId: String
    public let file: PolicyFile?
    public let native: NativePolicy?
    public let baseHash: String?

    public init(
        nodeId: String,
        file: PolicyFile? = nil,
        native: NativePolicy? = nil,
        baseHash: String? = nil
    ) {
        self.nodeId = nodeId
        self.file = file
        self.native = native
        self.baseHash = baseHash
    }
}

/// `node.rename`: what operators call a node.
public struct NodeRenameParams: Codable, Equatable, Sendable {
    public let nodeId: String
    public let displayName: String

    public init(
        nodeId: String,
        displayName: String
    ) {
        self.nodeId = nodeId
        self.displayName = displayName
    }
}

/// Result of `node.rename`.
public struct NodeRenamed: Codable, Equatable, Sendable {
    public let nodeId: String
    public let displayName: String

    public init(
        nodeId: String,
        displayName: String
    ) {
        self.nodeId = nodeId
        self.displayName = displayName
    }
}

/// Result of `node.invoke.result` and `node.invoke.progress`. `ignored`: nobody waits for it.
public struct NodeResultTaken: Codable, Equatable, Sendable {
    public let ok: Bool?
    public let ignored: Bool?

    public init(
        ok: Bool? = nil,
        ignored: Bool? = nil
    ) {
        self.ok = ok
        self.ignored = ignored
    }
}

/// A skill that lives on a node.
public struct NodeSkill: Codable, Equatable, Sendable {
    public let name: String
    public let description: String
    public let content: String

    public init(
        name: String,
        description: String,
        content: String
    ) {
        self.name = name
        self.description = description
        self.content = content
    }
}

/// Done, and nothing more to say.
public struct Ok: Codable, Equatable, Sendable {
    public let ok: Bool?

    public init(
        ok: Bool? = nil
    ) {
        self.ok = ok
    }
}

/// Result of `device.pair.approve`.
public struct PairApproved: Codable, Equatable, Sendable {
    public let requestId: String
    public let device: PairedDevice

    public init(
        requestId: String,
        device: PairedDevice
    ) {
        self.requestId = requestId
        self.device = device
    }
}

/// `device.pair.approve` and `device.pair.reject`.
public struct PairDecisionParams: Codable, Equatable, Sendable {
    public let requestId: String

    public init(
        requestId: String
    ) {
        self.requestId = requestId
    }
}

/// Result of `device.pair.list`.
public struct PairList: Codable, Equatable, Sendable {
    public let pending: [PairRequest]
    public let paired: [PairedDevice]

    public init(
        pending: [PairRequest],
        paired: [PairedDevice]
    ) {
        self.pending = pending
        self.paired = paired
    }
}

/// Result of `device.pair.reject`.
public struct PairRejected: Codable, Equatable, Sendable {
    public let requestId: String
    public let deviceId: String

    public init(
        requestId: String,
        deviceId: String
    ) {
        self.requestId = requestId
        self.deviceId = deviceId
    }
}

/// A device that asks to be let in; also the payload of `device.pair.requested`.
public struct PairRequest: Codable, Equatable, Sendable {
    public let requestId: String
    public let deviceId: String
    public let publicKey: String
    public let ts: Int
    public let displayName: String?
    public let platform: String?
    public let deviceFamily: String?
    public let clientId: String?
    public let clientMode: String?
    public let browserOrigin: String?
    public let role: String?
    public let roles: [String]?
    public let scopes: [String]?
    public let remoteIp: String?
    public let silent: Bool?
    public let isRepair: Bool?

    public init(
        requestId: String,
        deviceId: String,
        publicKey: String,
        ts: Int,
        displayName: String? = nil,
        platform: String? = nil,
        deviceFamily: String? = nil,
        clientId: String? = nil,
        clientMode: String? = nil,
        browserOrigin: String? = nil,
        role: String? = nil,
        roles: [String]? = nil,
        scopes: [String]? = nil,
        remoteIp: String? = nil,
        silent: Bool? = nil,
        isRepair: Bool? = nil
    ) {
        self.requestId = requestId
        self.deviceId = deviceId
        self.publicKey = publicKey
        self.ts = ts
        self.displayName = displayName
        self.platform = platform
        self.deviceFamily = deviceFamily
        self.clientId = clientId
        self.clientMode = clientMode
        self.browserOrigin = browserOrigin
        self.role = role
        self.roles = roles
        self.scopes = scopes
        self.remoteIp = remoteIp
        self.silent = silent
        self.isRepair = isRepair
    }
}

/// `device.pair.resolved`.
public struct PairResolvedEvent: Codable, Equatable, Sendable {
    public let requestId: String
    public let deviceId: String
    public let decision: PairResolvedEventDecision
    public let ts: Int

    public init(
        requestId: String,
        deviceId: String,
        decision: PairResolvedEventDecision,
        ts: Int
    ) {
        self.requestId = requestId
        self.deviceId = deviceId
        self.decision = decision
        self.ts = ts
    }
}

/// What `PairResolvedEvent.decision` may be.
public enum PairResolvedEventDecision: String, Codable, Sendable {
    case approved
    case expired
    case rejected
}

/// A device that was let in.
public struct PairedDevice: Codable, Equatable, Sendable {
    public let deviceId: String
    public let publicKey: String
    public let roles: [String]
    public let scopes: [String]
    public let createdAtMs: Int
    public let approvedAtMs: Int
    public let tokens: [TokenSummary]
    public let displayName: String?
    public let platform: String?
    public let deviceFamily: String?
    public let clientId: String?
    public let clientMode: String?
    public let role: String?
    public let remoteIp: String?
    public let approvedVia: String?
    public let lastSeenAtMs: Int?
    public let connected: Bool?

    public init(
        deviceId: String,
        publicKey: String,
        roles: [String],
        scopes: [String],
        createdAtMs: Int,
        approvedAtMs: Int,
        tokens: [TokenSummary],
        displayName: String? = nil,
        platform: String? = nil,
        deviceFamily: String? = nil,
        clientId: String? = nil,
        clientMode: String? = nil,
        role: String? = nil,
        remoteIp: String? = nil,
        approvedVia: String? = nil,
        lastSeenAtMs: Int? = nil,
        connected: Bool? = nil
    ) {
        self.deviceId = deviceId
        self.publicKey = publicKey
        self.roles = roles
        self.scopes = scopes
        self.createdAtMs = createdAtMs
        self.approvedAtMs = approvedAtMs
        self.tokens = tokens
        self.displayName = displayName
        self.platform = platform
        self.deviceFamily = deviceFamily
        self.clientId = clientId
        self.clientMode = clientMode
        self.role = role
        self.remoteIp = remoteIp
        self.approvedVia = approvedVia
        self.lastSeenAtMs = lastSeenAtMs
        self.connected = connected
    }
}

/// `node.pending.ack` (version 4).
public struct PendingAckParams: Codable, Equatable, Sendable {
    public let ids: [String]

    public init(
        ids: [String]
    ) {
        self.ids = ids
    }
}

/// Result of `node.pending.ack`.
public struct PendingAcked: Codable, Equatable, Sendable {
    public let nodeId: String
    public let ackedIds: [String]
    public let remainingCount: Int

    public init(
        nodeId: String,
        ackedIds: [String],
        remainingCount: Int
    ) {
        self.nodeId = nodeId
        self.ackedIds = ackedIds
        self.remainingCount = remainingCount
    }
}

/// A command that an app refused because it was not on the screen.
public struct PendingAction: Codable, Equatable, Sendable {
    public let id: String
    public let command: String
    public let paramsJSON: String?
    public let enqueuedAtMs: Int

    public init(
        id: String,
        command: String,
        paramsJSON: String?,
        enqueuedAtMs: Int
    ) {
        self.id = id
        self.command = command
        self.paramsJSON = paramsJSON
        self.enqueuedAtMs = enqueuedAtMs
    }
}

/// Result of `node.pending.pull` (version 4).
public struct PendingActions: Codable, Equatable, Sendable {
    public let nodeId: String
    public let actions: [PendingAction]

    public init(
        nodeId: String,
        actions: [PendingAction]
    ) {
        self.nodeId = nodeId
        self.actions = actions
    }
}

/// `node.pending.drain` (version 4).
public struct PendingDrainParams: Codable, Equatable, Sendable {
    public let maxItems: Int?

    public init(
        maxItems: Int? = nil
    ) {
        self.maxItems = maxItems
    }
}

/// Result of `node.pending.drain`: what the node is asked for, and whether there is more.
public struct PendingDrained: Codable, Equatable, Sendable {
    public let nodeId: String
    public let items: [PendingItem]
    public let revision: Int
    public let hasMore: Bool

    public init(
        nodeId: String,
        items: [PendingItem],
        revision: Int,
        hasMore: Bool
    ) {
        self.nodeId = nodeId
        self.items = items
        self.revision = revision
        self.hasMore = hasMore
    }
}

/// `node.pending.enqueue` (version 4): ask a node for something when it wakes. `wake` is taken and means nothing: this Gateway cannot push.
public struct PendingEnqueueParams: Codable, Equatable, Sendable {
    public let nodeId: String
    public let type: PendingEnqueueParamsType
    public let priority: PendingEnqueueParamsPriority?
    public let expiresInMs: Int?
    public let wake: Bool?

    public init(
        nodeId: String,
        type: PendingEnqueueParamsType,
        priority: PendingEnqueueParamsPriority? = nil,
        expiresInMs: Int? = nil,
        wake: Bool? = nil
    ) {
        self.nodeId = nodeId
        self.type = type
        self.priority = priority
        self.expiresInMs = expiresInMs
        self.wake = wake
    }
}

/// What `PendingEnqueueParams.type` may be.
public enum PendingEnqueueParamsType: String, Codable, Sendable {
    case locationRequest = "location.request"
    case statusRequest = "status.request"
}

/// What `PendingEnqueueParams.priority` may be.
public enum PendingEnqueueParamsPriority: String, Codable, Sendable {
    case high
    case normal
}

/// Result of `node.pending.enqueue`.
public struct PendingEnqueued: Codable, Equatable, Sendable {
    public let nodeId: String
    public let revision: Int
    public let queued: PendingItem
    public let wakeTriggered: Bool?

    public init(
        nodeId: String,
        revision: Int,
        queued: PendingItem,
        wakeTriggered: Bool? = nil
    ) {
        self.nodeId = nodeId
        self.revision = revision
        self.queued = queued
        self.wakeTriggered = wakeTriggered
    }
}

/// Something a node is asked for when it wakes; `default` is what nobody asked for.
public struct PendingItem: Codable, Equatable, Sendable {
    public let id: String
    public let type: PendingItemType
    public let priority: PendingItemPriority
    public let createdAtMs: Int
    public let expiresAtMs: Int?

    public init(
        id: String,
        type: PendingItemType,
        priority: PendingItemPriority,
        createdAtMs: Int,
        expiresAtMs: Int? = nil
    ) {
        self.id = id
        self.type = type
        self.priority = priority
        self.createdAtMs = createdAtMs
        self.expiresAtMs = expiresAtMs
    }
}

/// What `PendingItem.type` may be.
public enum PendingItemType: String, Codable, Sendable {
    case locationRequest = "location.request"
    case statusRequest = "status.request"
}

/// What `PendingItem.priority` may be.
public enum PendingItemPriority: String, Codable, Sendable {
    case `default` = "default"
    case high
    case normal
}

/// A file a run reads, as it was when the run was planned.
public struct PlannedFile: Codable, Equatable, Sendable {
    public let argvIndex: Int
    public let path: String
    public let sha256: String

    public init(
        argvIndex: Int,
        path: String,
        sha256: String
    ) {
        self.argvIndex = argvIndex
        self.path = path
        self.sha256 = sha256
    }
}

/// The node's policy when a run was planned.
public struct PlannedPolicy: Codable, Equatable, Sendable {
    public let security: PlannedPolicySecurity
    public let ask: PlannedPolicyAsk
    public let askFallback: PlannedPolicyAskFallback
    public let autoAllowSkills: Bool
    public let allowlistRules: [PlannedRule]

    public init(
        security: PlannedPolicySecurity,
        ask: PlannedPolicyAsk,
        askFallback: PlannedPolicyAskFallback,
        autoAllowSkills: Bool,
        allowlistRules: [PlannedRule]
    ) {
        self.security = security
        self.ask = ask
        self.askFallback = askFallback
        self.autoAllowSkills = autoAllowSkills
        self.allowlistRules = allowlistRules
    }
}

/// What `PlannedPolicy.security` may be.
public enum PlannedPolicySecurity: String, Codable, Sendable {
    case allowlist
    case deny
    case full
}

/// What `PlannedPolicy.ask` may be.
public enum PlannedPolicyAsk: String, Codable, Sendable {
    case always
    case off
    case onMiss = "on-miss"
}

/// What `PlannedPolicy.askFallback` may be.
public enum PlannedPolicyAskFallback: String, Codable, Sendable {
    case allowlist
    case deny
    case full
}

/// An allowlist rule that held when a run was planned.
public struct PlannedRule: Codable, Equatable, Sendable {
    public let pattern: String
    public let argPattern: String?
    public let source: PlannedRuleSource?

    public init(
        pattern: String,
        argPattern: String? = nil,
        source: PlannedRuleSource? = nil
    ) {
        self.pattern = pattern
        self.argPattern = argPattern
        self.source = source
    }
}

/// What `PlannedRule.source` may be.
public enum PlannedRuleSource: String, Codable, Sendable {
    case allowAlways = "allow-always"
}

/// A tool a version 4 node offers to agents; calling it is invoking its command.
public struct PluginTool: Codable, Equatable, Sendable {
    public let pluginId: String
    public let name: String
    public let description: String
    public let parameters: [String: JSONValue]?
    public let command: String?
    public let mcp: PluginToolMcp?

    public init(
        pluginId: String,
        name: String,
        description: String,
        parameters: [String: JSONValue]? = nil,
        command: String? = nil,
        mcp: PluginToolMcp? = nil
    ) {
        self.pluginId = pluginId
        self.name = name
        self.description = description
        self.parameters = parameters
        self.command = command
        self.mcp = mcp
    }
}

/// Where a node's tool comes from, if from an MCP server beside it.
public struct PluginToolMcp: Codable, Equatable, Sendable {
    public let server: String
    public let tool: String

    public init(
        server: String,
        tool: String
    ) {
        self.server = server
        self.tool = tool
    }
}

/// `node.pluginTools.update` (version 4): all tools a node offers, in place of the earlier.
public struct PluginToolsUpdateParams: Codable, Equatable, Sendable {
    public let tools: [PluginTool]

    public init(
        tools: [PluginTool]
    ) {
        self.tools = tools
    }
}

/// Result of `node.pluginTools.update`: the tools that count.
public struct PluginToolsUpdated: Codable, Equatable, Sendable {
    public let nodeId: String
    public let tools: [PluginTool]

    public init(
        nodeId: String,
        tools: [PluginTool]
    ) {
        self.nodeId = nodeId
        self.tools = tools
    }
}

/// The limits of this connection, in bytes and milliseconds.
public struct Policy: Codable, Equatable, Sendable {
    public let maxPayload: Int
    public let maxBufferedBytes: Int
    public let tickIntervalMs: Int
    public let attachments: AttachmentPolicy?

    public init(
        maxPayload: Int,
        maxBufferedBytes: Int,
        tickIntervalMs: Int,
        attachments: AttachmentPolicy? = nil
    ) {
        self.maxPayload = maxPayload
        self.maxBufferedBytes = maxBufferedBytes
        self.tickIntervalMs = tickIntervalMs
        self.attachments = attachments
    }
}

/// What holds for agents that say nothing else. The values are checked when a file is set.
public struct PolicyDefaults: Codable, Equatable, Sendable {
    public let security: String?
    public let ask: String?
    public let askFallback: String?
    public let autoAllowSkills: Bool?

    public init(
        security: String? = nil,
        ask: String? = nil,
        askFallback: String? = nil,
        autoAllowSkills: Bool? = nil
    ) {
        self.security = security
        self.ask = ask
        self.askFallback = askFallback
        self.autoAllowSkills = autoAllowSkills
    }
}

/// `exec-approvals.json`.
public struct PolicyFile: Codable, Equatable, Sendable {
    public let version: Int
    public let socket: PolicySocket?
    public let defaults: PolicyDefaults?
    public let agents: [String: AgentPolicy]?

    public init(
        version: Int = 1,
        socket: PolicySocket? = nil,
        defaults: PolicyDefaults? = nil,
        agents: [String: AgentPolicy]? = nil
    ) {
        self.version = version
        self.socket = socket
        self.defaults = defaults
        self.agents = agents
    }
}

/// `exec.approvals.set`: a new policy, and the hash of the one it was made from.
public struct PolicySetParams: Codable, Equatable, Sendable {
    public let file: PolicyFile
    public let baseHash: String?

    public init(
        file: PolicyFile,
        baseHash: String? = nil
    ) {
        self.file = file
        self.baseHash = baseHash
    }
}

/// Result of `exec.approvals.get` and `set`, without the socket's token.
public struct PolicySnapshot: Codable, Equatable, Sendable {
    public let path: String
    public let exists: Bool
    public let hash: String
    public let file: PolicyFile
    public let resolvedDefaults: ResolvedDefaults?

    public init(
        path: String,
        exists: Bool,
        hash: String,
        file: PolicyFile,
        resolvedDefaults: ResolvedDefaults? = nil
    ) {
        self.path = path
        self.exists = exists
        self.hash = hash
        self.file = file
        self.resolvedDefaults = resolvedDefaults
    }
}

/// Where a desktop app answers for its host; kept for those who use it. The token is secret.
public struct PolicySocket: Codable, Equatable, Sendable {
    public let path: String?
    public let token: String?

    public init(
        path: String? = nil,
        token: String? = nil
    ) {
        self.path = path
        self.token = token
    }
}

/// `poll`: a question with answers to choose from.
public struct PollParams: Codable, Equatable, Sendable {
    public let to: String
    public let question: String
    public let options: [String]
    public let idempotencyKey: String
    public let maxSelections: Int?
    public let durationSeconds: Int?
    public let durationHours: Int?
    public let silent: Bool?
    public let isAnonymous: Bool?
    public let threadId: String?
    public let channel: String?
    public let accountId: String?

    public init(
        to: String,
        question: String,
        options: [String],
        idempotencyKey: String,
        maxSelections: Int? = nil,
        durationSeconds: Int? = nil,
        durationHours: Int? = nil,
        silent: Bool? = nil,
        isAnonymous: Bool? = nil,
        threadId: String? = nil,
        channel: String? = nil,
        accountId: String? = nil
    ) {
        self.to = to
        self.question = question
        self.options = options
        self.idempotencyKey = idempotencyKey
        self.maxSelections = maxSelections
        self.durationSeconds = durationSeconds
        self.durationHours = durationHours
        self.silent = silent
        self.isAnonymous = isAnonymous
        self.threadId = threadId
        self.channel = channel
        self.accountId = accountId
    }
}

/// One row of `system-presence`: a device, an instance, or a note somebody left.
public struct PresenceEntry: Codable, Equatable, Sendable {
    public let ts: Int
    public let host: String?
    public let ip: String?
    public let version: String?
    public let platform: String?
    public let deviceFamily: String?
    public let modelIdentifier: String?
    public let timeZone: String?
    public let mode: String?
    public let lastInputSeconds: Int?
    public let reason: String?
    public let tags: [String]?
    public let text: String?
    public let deviceId: String?
    public let roles: [String]?
    public let scopes: [String]?
    public let instanceId: String?

    public init(
        ts: Int,
        host: String? = nil,
        ip: String? = nil,
        version: String? = nil,
        platform: String? = nil,
        deviceFamily: String? = nil,
        modelIdentifier: String? = nil,
        timeZone: String? = nil,
        mode: String? = nil,
        lastInputSeconds: Int? = nil,
        reason: String? = nil,
        tags: [String]? = nil,
        text: String? = nil,
        deviceId: String? = nil,
        roles: [String]? = nil,
        scopes: [String]? = nil,
        instanceId: String? = nil
    ) {
        self.ts = ts
        self.host = host
        self.ip = ip
        self.version = version
        self.platform = platform
        self.deviceFamily = deviceFamily
        self.modelIdentifier = modelIdentifier
        self.timeZone = timeZone
        self.mode = mode
        self.lastInputSeconds = lastInputSeconds
        self.reason = reason
        self.tags = tags
        self.text = text
        self.deviceId = deviceId
        self.roles = roles
        self.scopes = scopes
        self.instanceId = instanceId
    }
}

/// `presence`: the whole list, whenever it changes.
public struct PresenceEvent: Codable, Equatable, Sendable {
    public let presence: [PresenceEntry]

    public init(
        presence: [PresenceEntry]
    ) {
        self.presence = presence
    }
}

/// A message in a preview.
public struct PreviewItem: Codable, Equatable, Sendable {
    public let role: String
    public let text: String

    public init(
        role: String,
        text: String
    ) {
        self.role = role
        self.text = text
    }
}

/// Resident memory of the Gateway process, in bytes.
public struct ProcessMemory: Codable, Equatable, Sendable {
    public let rssBytes: Int

    public init(
        rssBytes: Int
    ) {
        self.rssBytes = rssBytes
    }
}

/// Who really spoke, where a client passes somebody else's words on.
public struct Provenance: Codable, Equatable, Sendable {
    public let kind: ProvenanceKind
    public let originSessionId: String?
    public let sourceSessionKey: String?
    public let sourceChannel: String?
    public let sourceTool: String?

    public init(
        kind: ProvenanceKind,
        originSessionId: String? = nil,
        sourceSessionKey: String? = nil,
        sourceChannel: String? = nil,
        sourceTool: String? = nil
    ) {
        self.kind = kind
        self.originSessionId = originSessionId
        self.sourceSessionKey = sourceSessionKey
        self.sourceChannel = sourceChannel
        self.sourceTool = sourceTool
    }
}

/// What `Provenance.kind` may be.
public enum ProvenanceKind: String, Codable, Sendable {
    case externalUser = "external_user"
    case interSession = "inter_session"
    case internalSystem = "internal_system"
}

/// A session spoken to lately; `age` in milliseconds.
public struct RecentSession: Codable, Equatable, Sendable {
    public let key: String
    public let updatedAt: Int?
    public let age: Int?

    public init(
        key: String,
        updatedAt: Int?,
        age: Int?
    ) {
        self.key = key
        self.updatedAt = updatedAt
        self.age = age
    }
}

/// Whether something has been answered already.
public struct ReplyState: Codable, Equatable, Sendable {
    public let value: Bool

    public init(
        value: Bool
    ) {
        self.value = value
    }
}

/// A call: `params` stays raw until the method's own decoder has a look. `traceparent` (version 4, W3C Trace Context) is taken and not used.
public struct RequestFrame: Codable, Equatable, Sendable {
    public let type: RequestFrameType
    public let id: String
    public let method: String
    public let params: JSONValue?
    public let traceparent: String?

    public init(
        type: RequestFrameType = .req,
        id: String,
        method: String,
        params: JSONValue? = nil,
        traceparent: String? = nil
    ) {
        self.type = type
        self.id = id
        self.method = method
        self.params = params
        self.traceparent = traceparent
    }
}

/// What `RequestFrame.type` may be.
public enum RequestFrameType: String, Codable, Sendable {
    case req
}

/// What holds where the file says nothing.
public struct ResolvedDefaults: Codable, Equatable, Sendable {
    public let security: ResolvedDefaultsSecurity
    public let ask: ResolvedDefaultsAsk
    public let askFallback: ResolvedDefaultsAskFallback
    public let autoAllowSkills: Bool

    public init(
        security: ResolvedDefaultsSecurity,
        ask: ResolvedDefaultsAsk,
        askFallback: ResolvedDefaultsAskFallback,
        autoAllowSkills: Bool
    ) {
        self.security = security
        self.ask = ask
        self.askFallback = askFallback
        self.autoAllowSkills = autoAllowSkills
    }
}

/// What `ResolvedDefaults.security` may be.
public enum ResolvedDefaultsSecurity: String, Codable, Sendable {
    case allowlist
    case deny
    case full
}

/// What `ResolvedDefaults.ask` may be.
public enum ResolvedDefaultsAsk: String, Codable, Sendable {
    case always
    case off
    case onMiss = "on-miss"
}

/// What `ResolvedDefaults.askFallback` may be.
public enum ResolvedDefaultsAskFallback: String, Codable, Sendable {
    case allowlist
    case deny
    case full
}

/// An answer, as the schema and clients see it.
public struct ResponseFrame: Codable, Equatable, Sendable {
    public let type: ResponseFrameType
    public let id: String
    public let ok: Bool
    public let payload: JSONValue?
    public let error: ErrorShape?

    public init(
        type: ResponseFrameType = .res,
        id: String,
        ok: Bool,
        payload: JSONValue? = nil,
        error: ErrorShape? = nil
    ) {
        self.type = type
        self.id = id
        self.ok = ok
        self.payload = payload
        self.error = error
    }
}

/// What `ResponseFrame.type` may be.
public enum ResponseFrameType: String, Codable, Sendable {
    case res
}

/// How a run went.
public struct RunMeta: Codable, Equatable, Sendable {
    public let durationMs: Int
    public let agentMeta: AgentMeta
    public let aborted: Bool
    public let stopReason: String?

    public init(
        durationMs: Int,
        agentMeta: AgentMeta,
        aborted: Bool,
        stopReason: String? = nil
    ) {
        self.durationMs = durationMs
        self.agentMeta = agentMeta
        self.aborted = aborted
        self.stopReason = stopReason
    }
}

/// One piece of an answer.
public struct RunPayload: Codable, Equatable, Sendable {
    public let text: String
    public let mediaUrl: String?

    public init(
        text: String,
        mediaUrl: String? = nil
    ) {
        self.text = text
        self.mediaUrl = mediaUrl
    }
}

/// What a run brought.
public struct RunResult: Codable, Equatable, Sendable {
    public let payloads: [RunPayload]
    public let meta: RunMeta

    public init(
        payloads: [RunPayload],
        meta: RunMeta
    ) {
        self.payloads = payloads
        self.meta = meta
    }
}

/// Tokens of a run, as far as the agent told.
public struct RunUsage: Codable, Equatable, Sendable {
    public let input: Int?
    public let output: Int?
    public let total: Int?

    public init(
        input: Int? = nil,
        output: Int? = nil,
        total: Int? = nil
    ) {
        self.input = input
        self.output = output
        self.total = total
    }
}

/// Result of `node.runnerInventory.update` (version 4): noted.
public struct RunnerInventoryUpdated: Codable, Equatable, Sendable {
    public let nodeId: String

    public init(
        nodeId: String
    ) {
        self.nodeId = nodeId
    }
}

/// `send`: a message of the operator's, or of an agent's tool.
public struct SendParams: Codable, Equatable, Sendable {
    public let to: String
    public let idempotencyKey: String
    public let message: String?
    public let mediaUrl: String?
    public let mediaUrls: [String]?
    public let buffer: String?
    public let filename: String?
    public let contentType: String?
    public let asVoice: Bool?
    public let gifPlayback: Bool?
    public let channel: String?
    public let accountId: String?
    public let agentId: String?
    public let replyToId: String?
    public let threadId: String?
    public let forceDocument: Bool?
    public let silent: Bool?
    public let parseMode: SendParamsParseMode?
    public let sessionKey: String?

    public init(
        to: String,
        idempotencyKey: String,
        message: String? = nil,
        mediaUrl: String? = nil,
        mediaUrls: [String]? = nil,
        buffer: String? = nil,
        filename: String? = nil,
        contentType: String? = nil,
        asVoice: Bool? = nil,
        gifPlayback: Bool? = nil,
        channel: String? = nil,
        accountId: String? = nil,
        agentId: String? = nil,
        replyToId: String? = nil,
        threadId: String? = nil,
        forceDocument: Bool? = nil,
        silent: Bool? = nil,
        parseMode: SendParamsParseMode? = nil,
        sessionKey: String? = nil
    ) {
        self.to = to
        self.idempotencyKey = idempotencyKey
        self.message = message
        self.mediaUrl = mediaUrl
        self.mediaUrls = mediaUrls
        self.buffer = buffer
        self.filename = filename
        self.contentType = contentType
        self.asVoice = asVoice
        self.gifPlayback = gifPlayback
        self.channel = channel
        self.accountId = accountId
        self.agentId = agentId
        self.replyToId = replyToId
        self.threadId = threadId
        self.forceDocument = forceDocument
        self.silent = silent
        self.parseMode = parseMode
        self.sessionKey = sessionKey
    }
}

/// What `SendParams.parseMode` may be.
public enum SendParamsParseMode: String, Codable, Sendable {
    case HTML
}

/// The answer to `send` and `poll`, and to `message.action` with `ok`. `queued`: it is safe with the Gateway and was not delivered so far.
public struct Sent: Codable, Equatable, Sendable {
    public let runId: String
    public let channel: String
    public let messageId: String?
    public let messageIds: [String]?
    public let chatId: String?
    public let to: String?
    public let queued: Bool?
    public let ok: Bool?

    public init(
        runId: String,
        channel: String,
        messageId: String? = nil,
        messageIds: [String]? = nil,
        chatId: String? = nil,
        to: String? = nil,
        queued: Bool? = nil,
        ok: Bool? = nil
    ) {
        self.runId = runId
        self.channel = channel
        self.messageId = messageId
        self.messageIds = messageIds
        self.chatId = chatId
        self.to = to
        self.queued = queued
        self.ok = ok
    }
}

/// Who answered. `host` is version 3's, `boot_id` version 4's.
public struct ServerInfo: Codable, Equatable, Sendable {
    public let version: String
    public let connId: String
    public let host: String?
    public let bootId: String?

    public init(
        version: String,
        connId: String,
        host: String? = nil,
        bootId: String? = nil
    ) {
        self.version = version
        self.connId = connId
        self.host = host
        self.bootId = bootId
    }
}

/// Result of `sessions.patch` and `sessions.reset`: the session as it is now.
public struct SessionChanged: Codable, Equatable, Sendable {
    public let key: String
    public let entry: [String: JSONValue]
    public let path: String?
    public let resolved: [String: JSONValue]?
    public let ok: Bool?

    public init(
        key: String,
        entry: [String: JSONValue],
        path: String? = nil,
        resolved: [String: JSONValue]? = nil,
        ok: Bool? = nil
    ) {
        self.key = key
        self.entry = entry
        self.path = path
        self.resolved = resolved
        self.ok = ok
    }
}

/// Result of `sessions.compact`; `kept` counts messages.
public struct SessionCompacted: Codable, Equatable, Sendable {
    public let key: String
    public let compacted: Bool
    public let kept: Int?
    public let reason: String?
    public let ok: Bool?

    public init(
        key: String,
        compacted: Bool,
        kept: Int? = nil,
        reason: String? = nil,
        ok: Bool? = nil
    ) {
        self.key = key
        self.compacted = compacted
        self.kept = kept
        self.reason = reason
        self.ok = ok
    }
}

/// Where a client that names no session ends up.
public struct SessionDefaults: Codable, Equatable, Sendable {
    public let defaultAgentId: String
    public let mainKey: String
    public let mainSessionKey: String
    public let scope: String
    public let modelConfigured: Bool?
    public let ownership: SessionDefaultsOwnership?
    public let selectionRequired: Bool?

    public init(
        defaultAgentId: String,
        mainKey: String,
        mainSessionKey: String,
        scope: String,
        modelConfigured: Bool? = nil,
        ownership: SessionDefaultsOwnership? = nil,
        selectionRequired: Bool? = nil
    ) {
        self.defaultAgentId = defaultAgentId
        self.mainKey = mainKey
        self.mainSessionKey = mainSessionKey
        self.scope = scope
        self.modelConfigured = modelConfigured
        self.ownership = ownership
        self.selectionRequired = selectionRequired
    }
}

/// What `SessionDefaults.ownership` may be.
public enum SessionDefaultsOwnership: String, Codable, Sendable {
    case explicit
    case legacy
    case sole
}

/// Result of `sessions.delete`.
public struct SessionDeleted: Codable, Equatable, Sendable {
    public let key: String
    public let deleted: Bool
    public let archived: [String]
    public let ok: Bool?

    public init(
        key: String,
        deleted: Bool,
        archived: [String],
        ok: Bool? = nil
    ) {
        self.key = key
        self.deleted = deleted
        self.archived = archived
        self.ok = ok
    }
}

/// One session's preview.
public struct SessionPreview: Codable, Equatable, Sendable {
    public let key: String
    public let status: SessionPreviewStatus
    public let items: [PreviewItem]

    public init(
        key: String,
        status: SessionPreviewStatus,
        items: [PreviewItem]
    ) {
        self.key = key
        self.status = status
        self.items = items
    }
}

/// What `SessionPreview.status` may be.
public enum SessionPreviewStatus: String, Codable, Sendable {
    case empty
    case error
    case missing
    case ok
}

/// Result of `sessions.resolve`; `ok` is false only where `allowMissing` was asked.
public struct SessionResolved: Codable, Equatable, Sendable {
    public let ok: Bool
    public let key: String?
    public let agentId: String?
    public let displayName: String?

    public init(
        ok: Bool,
        key: String? = nil,
        agentId: String? = nil,
        displayName: String? = nil
    ) {
        self.ok = ok
        self.key = key
        self.agentId = agentId
        self.displayName = displayName
    }
}

/// One session of `sessions.list`.
public struct SessionRow: Codable, Equatable, Sendable {
    public let key: String
    public let kind: SessionRowKind
    public let updatedAt: Int?
    public let sessionId: String?
    public let agentId: String?
    public let isMain: Bool?
    public let chatType: SessionRowChatType?
    public let label: String?
    public let displayName: String?
    public let derivedTitle: String?
    public let lastMessagePreview: String?
    public let channel: String?
    public let createdAt: Int?
    public let lastInteractionAt: Int?
    public let systemSent: Bool?
    public let abortedLastRun: Bool?
    public let status: SessionRowStatus?
    public let hasActiveRun: Bool?
    public let archived: Bool?
    public let pinned: Bool?
    public let unread: Bool?
    public let thinkingLevel: String?
    public let inputTokens: Int?
    public let outputTokens: Int?
    public let totalTokens: Int?
    public let contextTokens: Int?
    public let modelProvider: String?
    public let model: String?
    public let lastChannel: String?
    public let spawnedBy: String?

    public init(
        key: String,
        kind: SessionRowKind,
        updatedAt: Int?,
        sessionId: String? = nil,
        agentId: String? = nil,
        isMain: Bool? = nil,
        chatType: SessionRowChatType? = nil,
        label: String? = nil,
        displayName: String? = nil,
        derivedTitle: String? = nil,
        lastMessagePreview: String? = nil,
        channel: String? = nil,
        createdAt: Int? = nil,
        lastInteractionAt: Int? = nil,
        systemSent: Bool? = nil,
        abortedLastRun: Bool? = nil,
        status: SessionRowStatus? = nil,
        hasActiveRun: Bool? = nil,
        archived: Bool? = nil,
        pinned: Bool? = nil,
        unread: Bool? = nil,
        thinkingLevel: String? = nil,
        inputTokens: Int? = nil,
        outputTokens: Int? = nil,
        totalTokens: Int? = nil,
        contextTokens: Int? = nil,
        modelProvider: String? = nil,
        model: String? = nil,
        lastChannel: String? = nil,
        spawnedBy: String? = nil
    ) {
        self.key = key
        self.kind = kind
        self.updatedAt = updatedAt
        self.sessionId = sessionId
        self.agentId = agentId
        self.isMain = isMain
        self.chatType = chatType
        self.label = label
        self.displayName = displayName
        self.derivedTitle = derivedTitle
        self.lastMessagePreview = lastMessagePreview
        self.channel = channel
        self.createdAt = createdAt
        self.lastInteractionAt = lastInteractionAt
        self.systemSent = systemSent
        self.abortedLastRun = abortedLastRun
        self.status = status
        self.hasActiveRun = hasActiveRun
        self.archived = archived
        self.pinned = pinned
        self.unread = unread
        self.thinkingLevel = thinkingLevel
        self.inputTokens = inputTokens
        self.outputTokens = outputTokens
        self.totalTokens = totalTokens
        self.contextTokens = contextTokens
        self.modelProvider = modelProvider
        self.model = model
        self.lastChannel = lastChannel
        self.spawnedBy = spawnedBy
    }
}

/// What `SessionRow.kind` may be.
public enum SessionRowKind: String, Codable, Sendable {
    case direct
    case global
    case group
    case unknown
}

/// What `SessionRow.chatType` may be.
public enum SessionRowChatType: String, Codable, Sendable {
    case channel
    case direct
    case group
}

/// What `SessionRow.status` may be.
public enum SessionRowStatus: String, Codable, Sendable {
    case done
    case failed
    case killed
    case queued
    case running
    case timeout
}

/// `sessions.changed`: somebody's list is out of date (version 4).
public struct SessionsChangedEvent: Codable, Equatable, Sendable {
    public let sessionKey: String
    public let reason: String
    public let ts: Int
    public let agentId: String?

    public init(
        sessionKey: String,
        reason: String,
        ts: Int,
        agentId: String? = nil
    ) {
        self.sessionKey = sessionKey
        self.reason = reason
        self.ts = ts
        self.agentId = agentId
    }
}

/// `sessions.compact`: keep the last `maxLines` messages.
public struct SessionsCompactParams: Codable, Equatable, Sendable {
    public let key: String
    public let agentId: String?
    public let maxLines: Int?

    public init(
        key: String,
        agentId: String? = nil,
        maxLines: Int? = nil
    ) {
        self.key = key
        self.agentId = agentId
        self.maxLines = maxLines
    }
}

/// `sessions.delete`: the session and, unless told otherwise, its transcript.
public struct SessionsDeleteParams: Codable, Equatable, Sendable {
    public let key: String
    public let agentId: String?
    public let deleteTranscript: Bool?
    public let expectedSessionId: String?
    public let expectedLifecycleRevision: String?
    public let expectedSessionUpdatedAt: Double?
    public let emitLifecycleHooks: Bool?
    public let archivedOnly: Bool?

    public init(
        key: String,
        agentId: String? = nil,
        deleteTranscript: Bool? = nil,
        expectedSessionId: String? = nil,
        expectedLifecycleRevision: String? = nil,
        expectedSessionUpdatedAt: Double? = nil,
        emitLifecycleHooks: Bool? = nil,
        archivedOnly: Bool? = nil
    ) {
        self.key = key
        self.agentId = agentId
        self.deleteTranscript = deleteTranscript
        self.expectedSessionId = expectedSessionId
        self.expectedLifecycleRevision = expectedLifecycleRevision
        self.expectedSessionUpdatedAt = expectedSessionUpdatedAt
        self.emitLifecycleHooks = emitLifecycleHooks
        self.archivedOnly = archivedOnly
    }
}

/// Where sessions are stored, how many, and the latest.
public struct SessionsInfo: Codable, Equatable, Sendable {
    public let path: String
    public let count: Int
    public let recent: [RecentSession]

    public init(
        path: String,
        count: Int,
        recent: [RecentSession]
    ) {
        self.path = path
        self.count = count
        self.recent = recent
    }
}

/// Result of `sessions.list`; the paging fields are version 4's.
public struct SessionsList: Codable, Equatable, Sendable {
    public let ts: Int
    public let path: String
    public let count: Int
    public let defaults: ModelDefaults
    public let sessions: [SessionRow]
    public let totalCount: Int?
    public let limitApplied: Int?
    public let nextOffset: Int?
    public let hasMore: Bool?
    public let owners: [JSONValue]?

    public init(
        ts: Int,
        path: String,
        count: Int,
        defaults: ModelDefaults,
        sessions: [SessionRow],
        totalCount: Int? = nil,
        limitApplied: Int? = nil,
        nextOffset: Int? = nil,
        hasMore: Bool? = nil,
        owners: [JSONValue]? = nil
    ) {
        self.ts = ts
        self.path = path
        self.count = count
        self.defaults = defaults
        self.sessions = sessions
        self.totalCount = totalCount
        self.limitApplied = limitApplied
        self.nextOffset = nextOffset
        self.hasMore = hasMore
        self.owners = owners
    }
}

/// `sessions.list`: the latest first.
public struct SessionsListParams: Codable, Equatable, Sendable {
    public let limit: Int?
    public let offset: Int?
    public let activeMinutes: Int?
    public let requireLastInteraction: Bool?
    public let sortBy: SessionsListParamsSortBy?
    public let includeGlobal: Bool?
    public let includeUnknown: Bool?
    public let configuredAgentsOnly: Bool?
    public let includeDerivedTitles: Bool?
    public let includeLastMessage: Bool?
    public let label: String?
    public let boardFace: SessionsListParamsBoardFace?
    public let creatorId: String?
    public let ownerId: String?
    public let ownerFirst: Bool?
    public let involvingMe: Bool?
    public let involvingProfileId: String?
    public let includePeople: Bool?
    public let spawnedBy: String?
    public let agentId: String?
    public let search: String?
    public let archived: JSONValue?

    public init(
        limit: Int? = nil,
        offset: Int? = nil,
        activeMinutes: Int? = nil,
        requireLastInteraction: Bool? = nil,
        sortBy: SessionsListParamsSortBy? = nil,
        includeGlobal: Bool? = nil,
        includeUnknown: Bool? = nil,
        configuredAgentsOnly: Bool? = nil,
        includeDerivedTitles: Bool? = nil,
        includeLastMessage: Bool? = nil,
        label: String? = nil,
        boardFace: SessionsListParamsBoardFace? = nil,
        creatorId: String? = nil,
        ownerId: String? = nil,
        ownerFirst: Bool? = nil,
        involvingMe: Bool? = nil,
        involvingProfileId: String? = nil,
        includePeople: Bool? = nil,
        spawnedBy: String? = nil,
        agentId: String? = nil,
        search: String? = nil,
        archived: JSONValue? = nil
    ) {
        self.limit = limit
        self.offset = offset
        self.activeMinutes = activeMinutes
        self.requireLastInteraction = requireLastInteraction
        self.sortBy = sortBy
        self.includeGlobal = includeGlobal
        self.includeUnknown = includeUnknown
        self.configuredAgentsOnly = configuredAgentsOnly
        self.includeDerivedTitles = includeDerivedTitles
        self.includeLastMessage = includeLastMessage
        self.label = label
        self.boardFace = boardFace
        self.creatorId = creatorId
        self.ownerId = ownerId
        self.ownerFirst = ownerFirst
        self.involvingMe = involvingMe
        self.involvingProfileId = involvingProfileId
        self.includePeople = includePeople
        self.spawnedBy = spawnedBy
        self.agentId = agentId
        self.search = search
        self.archived = archived
    }
}

/// What `SessionsListParams.sortBy` may be.
public enum SessionsListParamsSortBy: String, Codable, Sendable {
    case lastInteractionAt
    case updatedAt
}

/// What `SessionsListParams.boardFace` may be.
public enum SessionsListParamsBoardFace: String, Codable, Sendable {
    case chat
    case dashboard
}

/// `sessions.patch`: change what is given; `null` takes a setting away.
public struct SessionsPatchParams: Codable, Equatable, Sendable {
    public let key: String
    public let agentId: String?
    public let expectedSessionId: String?
    public let expectedLifecycleRevision: String?
    public let expectedPermissionMode: SessionsPatchParamsExpectedPermissionMode??
    public let expectedToolOverrides: ToolOverrides??
    public let expectedMarkedUnreadAt: Double??
    public let label: String??
    public let icon: String??
    public let color: String??
    public let category: String??
    public let boardFace: SessionsPatchParamsBoardFace?
    public let statusNote: String??
    public let attention: SessionsPatchParamsAttention??
    public let ttlMinutes: Int?
    public let archived: Bool?
    public let pinned: Bool?
    public let unread: Bool?
    public let contextWindow: String??
    public let thinkingLevel: String??
    public let fastMode: JSONValue??
    public let toolOverrides: ToolOverrides??
    public let verboseLevel: String??
    public let traceLevel: String??
    public let reasoningLevel: String??
    public let responseUsage: SessionsPatchParamsResponseUsage??
    public let elevatedLevel: String??
    public let execHost: String??
    public let execSecurity: String??
    public let execAsk: String??
    public let execNode: String??
    public let permissionMode: SessionsPatchParamsPermissionMode??
    public let model: String??
    public let spawnedBy: String??
    public let completionOwnerSessionKey: String??
    public let inheritedToolPolicyVersion: Int??
    public let inheritedToolAllow: [String]??
    public let inheritedToolDeny: [String]??
    public let sendPolicy: SessionsPatchParamsSendPolicy??
    public let groupActivation: SessionsPatchParamsGroupActivation??

    public init(
        key: String,
        agentId: String? = nil,
        expectedSessionId: String? = nil,
        expectedLifecycleRevision: String? = nil,
        expectedPermissionMode: SessionsPatchParamsExpectedPermissionMode?? = nil,
        expectedToolOverrides: ToolOverrides?? = nil,
        expectedMarkedUnreadAt: Double?? = nil,
        label: String?? = nil,
        icon: String?? = nil,
        color: String?? = nil,
        category: String?? = nil,
        boardFace: SessionsPatchParamsBoardFace? = nil,
        statusNote: String?? = nil,
        attention: SessionsPatchParamsAttention?? = nil,
        ttlMinutes: Int? = nil,
        archived: Bool? = nil,
        pinned: Bool? = nil,
        unread: Bool? = nil,
        contextWindow: String?? = nil,
        thinkingLevel: String?? = nil,
        fastMode: JSONValue?? = nil,
        toolOverrides: ToolOverrides?? = nil,
        verboseLevel: String?? = nil,
        traceLevel: String?? = nil,
        reasoningLevel: String?? = nil,
        responseUsage: SessionsPatchParamsResponseUsage?? = nil,
        elevatedLevel: String?? = nil,
        execHost: String?? = nil,
        execSecurity: String?? = nil,
        execAsk: String?? = nil,
        execNode: String?? = nil,
        permissionMode: SessionsPatchParamsPermissionMode?? = nil,
        model: String?? = nil,
        spawnedBy: String?? = nil,
        completionOwnerSessionKey: String?? = nil,
        inheritedToolPolicyVersion: Int?? = nil,
        inheritedToolAllow: [String]?? = nil,
        inheritedToolDeny: [String]?? = nil,
        sendPolicy: SessionsPatchParamsSendPolicy?? = nil,
        groupActivation: SessionsPatchParamsGroupActivation?? = nil
    ) {
        self.key = key
        self.agentId = agentId
        self.expectedSessionId = expectedSessionId
        self.expectedLifecycleRevision = expectedLifecycleRevision
        self.expectedPermissionMode = expectedPermissionMode
        self.expectedToolOverrides = expectedToolOverrides
        self.expectedMarkedUnreadAt = expectedMarkedUnreadAt
        self.label = label
        self.icon = icon
        self.color = color
        self.category = category
        self.boardFace = boardFace
        self.statusNote = statusNote
        self.attention = attention
        self.ttlMinutes = ttlMinutes
        self.archived = archived
        self.pinned = pinned
        self.unread = unread
        self.contextWindow = contextWindow
        self.thinkingLevel = thinkingLevel
        self.fastMode = fastMode
        self.toolOverrides = toolOverrides
        self.verboseLevel = verboseLevel
        self.traceLevel = traceLevel
        self.reasoningLevel = reasoningLevel
        self.responseUsage = responseUsage
        self.elevatedLevel = elevatedLevel
        self.execHost = execHost
        self.execSecurity = execSecurity
        self.execAsk = execAsk
        self.execNode = execNode
        self.permissionMode = permissionMode
        self.model = model
        self.spawnedBy = spawnedBy
        self.completionOwnerSessionKey = completionOwnerSessionKey
        self.inheritedToolPolicyVersion = inheritedToolPolicyVersion
        self.inheritedToolAllow = inheritedToolAllow
        self.inheritedToolDeny = inheritedToolDeny
        self.sendPolicy = sendPolicy
        self.groupActivation = groupActivation
    }
}

/// What `SessionsPatchParams.expectedPermissionMode` may be.
public enum SessionsPatchParamsExpectedPermissionMode: String, Codable, Sendable {
    case full
    case guarded
    case readOnly = "read-only"
    case workspace
}

/// What `SessionsPatchParams.boardFace` may be.
public enum SessionsPatchParamsBoardFace: String, Codable, Sendable {
    case chat
    case dashboard
}

/// What `SessionsPatchParams.attention` may be.
public enum SessionsPatchParamsAttention: String, Codable, Sendable {
    case alert
    case flag
    case hand
    case hourglass
    case key
    case lock
}

/// What `SessionsPatchParams.responseUsage` may be.
public enum SessionsPatchParamsResponseUsage: String, Codable, Sendable {
    case full
    case off
    case on
    case tokens
}

/// What `SessionsPatchParams.permissionMode` may be.
public enum SessionsPatchParamsPermissionMode: String, Codable, Sendable {
    case full
    case guarded
    case readOnly = "read-only"
    case workspace
}

/// What `SessionsPatchParams.sendPolicy` may be.
public enum SessionsPatchParamsSendPolicy: String, Codable, Sendable {
    case allow
    case deny
}

/// What `SessionsPatchParams.groupActivation` may be.
public enum SessionsPatchParamsGroupActivation: String, Codable, Sendable {
    case always
    case mention
}

/// Result of `sessions.preview`.
public struct SessionsPreview: Codable, Equatable, Sendable {
    public let ts: Int
    public let previews: [SessionPreview]

    public init(
        ts: Int,
        previews: [SessionPreview]
    ) {
        self.ts = ts
        self.previews = previews
    }
}

/// `sessions.preview`: the last few messages of some sessions, cut short.
public struct SessionsPreviewParams: Codable, Equatable, Sendable {
    public let keys: [String]
    public let limit: Int?
    public let maxChars: Int?

    public init(
        keys: [String],
        limit: Int? = nil,
        maxChars: Int? = nil
    ) {
        self.keys = keys
        self.limit = limit
        self.maxChars = maxChars
    }
}

/// `sessions.reset`: the same session, an empty transcript.
public struct SessionsResetParams: Codable, Equatable, Sendable {
    public let key: String
    public let agentId: String?
    public let reason: SessionsResetParamsReason?

    public init(
        key: String,
        agentId: String? = nil,
        reason: SessionsResetParamsReason? = nil
    ) {
        self.key = key
        self.agentId = agentId
        self.reason = reason
    }
}

/// What `SessionsResetParams.reason` may be.
public enum SessionsResetParamsReason: String, Codable, Sendable {
    case new
    case reset
}

/// `sessions.resolve`: which session is meant by a key, an id or a label.
public struct SessionsResolveParams: Codable, Equatable, Sendable {
    public let key: String?
    public let sessionId: String?
    public let label: String?
    public let shortId: String?
    public let slugHint: String?
    public let agentId: String?
    public let spawnedBy: String?
    public let includeGlobal: Bool?
    public let includeUnknown: Bool?
    public let allowMissing: Bool?

    public init(
        key: String? = nil,
        sessionId: String? = nil,
        label: String? = nil,
        shortId: String? = nil,
        slugHint: String? = nil,
        agentId: String? = nil,
        spawnedBy: String? = nil,
        includeGlobal: Bool? = nil,
        includeUnknown: Bool? = nil,
        allowMissing: Bool? = nil
    ) {
        self.key = key
        self.sessionId = sessionId
        self.label = label
        self.shortId = shortId
        self.slugHint = slugHint
        self.agentId = agentId
        self.spawnedBy = spawnedBy
        self.includeGlobal = includeGlobal
        self.includeUnknown = includeUnknown
        self.allowMissing = allowMissing
    }
}

/// Sessions in `status`.
public struct SessionsStatus: Codable, Equatable, Sendable {
    public let paths: [String]
    public let count: Int
    public let defaults: ModelDefaults
    public let recent: [RecentSession]
    public let byAgent: [AgentSessions]

    public init(
        paths: [String],
        count: Int,
        defaults: ModelDefaults,
        recent: [RecentSession],
        byAgent: [AgentSessions]
    ) {
        self.paths = paths
        self.count = count
        self.defaults = defaults
        self.recent = recent
        self.byAgent = byAgent
    }
}

/// `shutdown`: the Gateway goes away.
public struct ShutdownEvent: Codable, Equatable, Sendable {
    public let reason: String
    public let restartExpectedMs: Int?

    public init(
        reason: String,
        restartExpectedMs: Int? = nil
    ) {
        self.reason = reason
        self.restartExpectedMs = restartExpectedMs
    }
}

/// Result of `skills.bins`: programs that skills of this Gateway need on a node.
public struct SkillsBins: Codable, Equatable, Sendable {
    public let bins: [String]

    public init(
        bins: [String]
    ) {
        self.bins = bins
    }
}

/// `node.skills.update` (version 4): all skills a node has.
public struct SkillsUpdateParams: Codable, Equatable, Sendable {
    public let skills: [NodeSkill]

    public init(
        skills: [NodeSkill]
    ) {
        self.skills = skills
    }
}

/// Result of `node.skills.update`: the skills that count. This Gateway uses none.
public struct SkillsUpdated: Codable, Equatable, Sendable {
    public let nodeId: String
    public let skills: [NodeSkill]

    public init(
        nodeId: String,
        skills: [NodeSkill]
    ) {
        self.nodeId = nodeId
        self.skills = skills
    }
}

/// The state a client starts from. `presence` and `health` are encoded once for all clients.
public struct Snapshot: Codable, Equatable, Sendable {
    public let presence: [PresenceEntry]
    public let health: Health
    public let stateVersion: StateVersion
    public let uptimeMs: Int
    public let sessionDefaults: SessionDefaults
    public let configPath: String?
    public let stateDir: String?
    public let suspension: Suspension?
    public let authMode: SnapshotAuthMode?

    public init(
        presence: [PresenceEntry],
        health: Health,
        stateVersion: StateVersion,
        uptimeMs: Int,
        sessionDefaults: SessionDefaults,
        configPath: String? = nil,
        stateDir: String? = nil,
        suspension: Suspension? = nil,
        authMode: SnapshotAuthMode? = nil
    ) {
        self.presence = presence
        self.health = health
        self.stateVersion = stateVersion
        self.uptimeMs = uptimeMs
        self.sessionDefaults = sessionDefaults
        self.configPath = configPath
        self.stateDir = stateDir
        self.suspension = suspension
        self.authMode = authMode
    }
}

/// What `Snapshot.authMode` may be.
public enum SnapshotAuthMode: String, Codable, Sendable {
    case none
    case password
    case token
    case trustedProxy = "trusted-proxy"
}

/// Which edition of presence and health a frame belongs to.
public struct StateVersion: Codable, Equatable, Sendable {
    public let presence: Int
    public let health: Int

    public init(
        presence: Int,
        health: Int
    ) {
        self.presence = presence
        self.health = health
    }
}

/// Result of `status`: what an operator asks first. After `sessions`: not in version 3.
public struct Status: Codable, Equatable, Sendable {
    public let heartbeat: HeartbeatStatus
    public let channelSummary: [String]
    public let queuedSystemEvents: [String]
    public let sessions: SessionsStatus
    public let runtimeVersion: String?
    public let pid: Int?
    public let uptimeMs: Int?
    public let processMemory: ProcessMemory?
    public let activeRuns: Int?
    public let queuedRuns: Int?
    public let connections: Int?

    public init(
        heartbeat: HeartbeatStatus,
        channelSummary: [String],
        queuedSystemEvents: [String],
        sessions: SessionsStatus,
        runtimeVersion: String? = nil,
        pid: Int? = nil,
        uptimeMs: Int? = nil,
        processMemory: ProcessMemory? = nil,
        activeRuns: Int? = nil,
        queuedRuns: Int? = nil,
        connections: Int? = nil
    ) {
        self.heartbeat = heartbeat
        self.channelSummary = channelSummary
        self.queuedSystemEvents = queuedSystemEvents
        self.sessions = sessions
        self.runtimeVersion = runtimeVersion
        self.pid = pid
        self.uptimeMs = uptimeMs
        self.processMemory = processMemory
        self.activeRuns = activeRuns
        self.queuedRuns = queuedRuns
        self.connections = connections
    }
}

/// `plugin.surface.refresh` and `node.pluginSurface.refresh` (version 4): a new address. The contract leaves the parameters open; this Gateway has one surface, `canvas`.
public struct SurfaceRefreshParams: Codable, Equatable, Sendable {
    public let surface: String

    public init(
        surface: String
    ) {
        self.surface = surface
    }
}

/// Their result: the address by the surface's name, and until when it is good.
public struct SurfaceRefreshed: Codable, Equatable, Sendable {
    public let surface: String
    public let pluginSurfaceUrls: [String: String]
    public let expiresAtMs: Int

    public init(
        surface: String,
        pluginSurfaceUrls: [String: String],
        expiresAtMs: Int
    ) {
        self.surface = surface
        self.pluginSurfaceUrls = pluginSurfaceUrls
        self.expiresAtMs = expiresAtMs
    }
}

/// Whether the Gateway takes work (version 4).
public struct Suspension: Codable, Equatable, Sendable {
    public let phase: SuspensionPhase

    public init(
        phase: SuspensionPhase
    ) {
        self.phase = phase
    }
}

/// What `Suspension.phase` may be.
public enum SuspensionPhase: String, Codable, Sendable {
    case accepting
    case draining
    case prepared
    case preparing
}

/// `system-event`: a beacon of an app, or a note. Open, as the contract gives no schema.
public struct SystemEventParams: Codable, Equatable, Sendable {
    public let text: String
    public let deviceId: String?
    public let instanceId: String?
    public let host: String?
    public let ip: String?
    public let mode: String?
    public let version: String?
    public let platform: String?
    public let deviceFamily: String?
    public let modelIdentifier: String?
    public let lastInputSeconds: Int?
    public let reason: String?
    public let roles: [String]?
    public let scopes: [String]?
    public let tags: [String]?

    public init(
        text: String,
        deviceId: String? = nil,
        instanceId: String? = nil,
        host: String? = nil,
        ip: String? = nil,
        mode: String? = nil,
        version: String? = nil,
        platform: String? = nil,
        deviceFamily: String? = nil,
        modelIdentifier: String? = nil,
        lastInputSeconds: Int? = nil,
        reason: String? = nil,
        roles: [String]? = nil,
        scopes: [String]? = nil,
        tags: [String]? = nil
    ) {
        self.text = text
        self.deviceId = deviceId
        self.instanceId = instanceId
        self.host = host
        self.ip = ip
        self.mode = mode
        self.version = version
        self.platform = platform
        self.deviceFamily = deviceFamily
        self.modelIdentifier = modelIdentifier
        self.lastInputSeconds = lastInputSeconds
        self.reason = reason
        self.roles = roles
        self.scopes = scopes
        self.tags = tags
    }
}

/// What a node is going to run, word for word (version 4).
public struct SystemRunPlan: Codable, Equatable, Sendable {
    public let argv: [String]
    public let cwd: String?
    public let commandText: String
    public let agentId: String?
    public let sessionKey: String?
    public let commandPreview: String??
    public let policySnapshot: PlannedPolicy?
    public let mutableFileOperand: PlannedFile??

    public init(
        argv: [String],
        cwd: String?,
        commandText: String,
        agentId: String?,
        sessionKey: String?,
        commandPreview: String?? = nil,
        policySnapshot: PlannedPolicy? = nil,
        mutableFileOperand: PlannedFile?? = nil
    ) {
        self.argv = argv
        self.cwd = cwd
        self.commandText = commandText
        self.agentId = agentId
        self.sessionKey = sessionKey
        self.commandPreview = commandPreview
        self.policySnapshot = policySnapshot
        self.mutableFileOperand = mutableFileOperand
    }
}

/// Result of `talk.mode`, and the event of that name.
public struct TalkMode: Codable, Equatable, Sendable {
    public let enabled: Bool
    public let phase: String?
    public let ts: Int

    public init(
        enabled: Bool,
        phase: String?,
        ts: Int
    ) {
        self.enabled = enabled
        self.phase = phase
        self.ts = ts
    }
}

/// `talk.mode`: a talking client tells the others.
public struct TalkModeParams: Codable, Equatable, Sendable {
    public let enabled: Bool
    public let phase: String?

    public init(
        enabled: Bool,
        phase: String? = nil
    ) {
        self.enabled = enabled
        self.phase = phase
    }
}

/// `tick`: a sign of life.
public struct TickEvent: Codable, Equatable, Sendable {
    public let ts: Int

    public init(
        ts: Int
    ) {
        self.ts = ts
    }
}

/// `device.token.revoke`.
public struct TokenRevokeParams: Codable, Equatable, Sendable {
    public let deviceId: String
    public let role: String

    public init(
        deviceId: String,
        role: String
    ) {
        self.deviceId = deviceId
        self.role = role
    }
}

/// Result of `device.token.revoke`.
public struct TokenRevoked: Codable, Equatable, Sendable {
    public let deviceId: String
    public let role: String
    public let revokedAtMs: Int

    public init(
        deviceId: String,
        role: String,
        revokedAtMs: Int
    ) {
        self.deviceId = deviceId
        self.role = role
        self.revokedAtMs = revokedAtMs
    }
}

/// `device.token.rotate`: a new token, with these scopes or those it had.
public struct TokenRotateParams: Codable, Equatable, Sendable {
    public let deviceId: String
    public let role: String
    public let scopes: [String]?

    public init(
        deviceId: String,
        role: String,
        scopes: [String]? = nil
    ) {
        self.deviceId = deviceId
        self.role = role
        self.scopes = scopes
    }
}

/// Result of `device.token.rotate`. The token itself goes to the device it belongs to and to nobody else; another asker is told `withheld-cross-device`, and the device finds its new token in its next `hello-ok`.
public struct TokenRotated: Codable, Equatable, Sendable {
    public let deviceId: String
    public let role: String
    public let scopes: [String]
    public let rotatedAtMs: Int
    public let tokenDelivery: TokenRotatedTokenDelivery
    public let token: String?

    public init(
        deviceId: String,
        role: String,
        scopes: [String],
        rotatedAtMs: Int,
        tokenDelivery: TokenRotatedTokenDelivery,
        token: String? = nil
    ) {
        self.deviceId = deviceId
        self.role = role
        self.scopes = scopes
        self.rotatedAtMs = rotatedAtMs
        self.tokenDelivery = tokenDelivery
        self.token = token
    }
}

/// What `TokenRotated.tokenDelivery` may be.
public enum TokenRotatedTokenDelivery: String, Codable, Sendable {
    case inBand = "in-band"
    case withheldCrossDevice = "withheld-cross-device"
}

/// A device token as a list shows it: all but the token.
public struct TokenSummary: Codable, Equatable, Sendable {
    public let role: String
    public let scopes: [String]
    public let createdAtMs: Int
    public let rotatedAtMs: Int?
    public let revokedAtMs: Int?
    public let lastUsedAtMs: Int?

    public init(
        role: String,
        scopes: [String],
        createdAtMs: Int,
        rotatedAtMs: Int? = nil,
        revokedAtMs: Int? = nil,
        lastUsedAtMs: Int? = nil
    ) {
        self.role = role
        self.scopes = scopes
        self.createdAtMs = createdAtMs
        self.rotatedAtMs = rotatedAtMs
        self.revokedAtMs = revokedAtMs
        self.lastUsedAtMs = lastUsedAtMs
    }
}

/// Which tools a client expects a session to have.
public struct ToolOverrides: Codable, Equatable, Sendable {
    public let mcpServers: [String: Bool]?
    public let mcpToolsDeny: [String: [String]]?
    public let skills: [String: Bool]?
    public let webSearch: Bool?

    public init(
        mcpServers: [String: Bool]? = nil,
        mcpToolsDeny: [String: [String]]? = nil,
        skills: [String: Bool]? = nil,
        webSearch: Bool? = nil
    ) {
        self.mcpServers = mcpServers
        self.mcpToolsDeny = mcpToolsDeny
        self.skills = skills
        self.webSearch = webSearch
    }
}

/// Where a login is. `qr`: what the picture says, for a terminal (ours).
public struct WebLogin: Codable, Equatable, Sendable {
    public let message: String
    public let connected: Bool
    public let qrDataUrl: String?
    public let qr: String?
    public let code: String?

    public init(
        message: String,
        connected: Bool,
        qrDataUrl: String? = nil,
        qr: String? = nil,
        code: String? = nil
    ) {
        self.message = message
        self.connected = connected
        self.qrDataUrl = qrDataUrl
        self.qr = qr
        self.code = code
    }
}

/// `web.login.start`; `channel` and `phone` are ours.
public struct WebLoginStartParams: Codable, Equatable, Sendable {
    public let force: Bool?
    public let timeoutMs: Int?
    public let verbose: Bool?
    public let accountId: String?
    public let channel: String?
    public let phone: String?

    public init(
        force: Bool? = nil,
        timeoutMs: Int? = nil,
        verbose: Bool? = nil,
        accountId: String? = nil,
        channel: String? = nil,
        phone: String? = nil
    ) {
        self.force = force
        self.timeoutMs = timeoutMs
        self.verbose = verbose
        self.accountId = accountId
        self.channel = channel
        self.phone = phone
    }
}

/// `web.login.wait`; `channel` is ours.
public struct WebLoginWaitParams: Codable, Equatable, Sendable {
    public let timeoutMs: Int?
    public let accountId: String?
    public let currentQrDataUrl: String?
    public let channel: String?

    public init(
        timeoutMs: Int? = nil,
        accountId: String? = nil,
        currentQrDataUrl: String? = nil,
        channel: String? = nil
    ) {
        self.timeoutMs = timeoutMs
        self.accountId = accountId
        self.currentQrDataUrl = currentQrDataUrl
        self.channel = channel
    }
}

/// What a version 4 worker host can run; accepted, not used.
public struct WorkerRuns: Codable, Equatable, Sendable {
    public let bundleHash: String
    public let openclawVersion: String
    public let protocolFeatures: [String]
    public let bundlePrewarm: Int?

    public init(
        bundleHash: String,
        openclawVersion: String,
        protocolFeatures: [String],
        bundlePrewarm: Int? = nil
    ) {
        self.bundleHash = bundleHash
        self.openclawVersion = openclawVersion
        self.protocolFeatures = protocolFeatures
        self.bundlePrewarm = bundlePrewarm
    }
}
