"""Exec approvals: a policy that is a file, and questions that a person answers.

Contract: `ExecApprovals*` is the policy file, `ExecApproval*` the questions. Version 4 gave both
more fields; a version 3 client leaves them out, and is sent those it knows. The answers to
`exec.approval.list`, `get` and `waitDecision` are not in the contract: they are as version 4
Gateways give them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta

from clawgw.protocol.base import MAX_INTEGER, Count, Maybe, Name, Number, Open, Params, Positive

Security = Literal["deny", "allowlist", "full"]
Ask = Literal["off", "on-miss", "always"]
Decision = Literal["allow-once", "allow-always", "deny"]
Reason = Literal["user", "policy", "timeout", "run-aborted", "gateway-restart", "no-route"]

Moment = Annotated[float, Meta(ge=0, le=MAX_INTEGER)]
"""Milliseconds since the epoch; version 4 allows fractions."""

Visible = Annotated[str, Meta(min_length=1, pattern=r"[^\s\x1c-\x1f\x85\ufeff]")]
"""A string with something to see in it. What is named beside `\\s` is white space to Python or to
ECMAScript only; so every validator of the schema says the same."""


# The policy file


class AllowlistEntry(Params, frozen=True):
    """What may run without asking: a pattern of paths, or one command that was always allowed."""

    pattern: str
    id: Maybe[Name] = UNSET
    source: Maybe[Literal["allow-always"]] = UNSET
    command_text: Maybe[str] = UNSET
    arg_pattern: Maybe[str] = UNSET
    last_used_at: Maybe[Moment] = UNSET
    last_used_command: Maybe[str] = UNSET
    last_resolved_path: Maybe[str] = UNSET


class AllowedMcpTool(Params, frozen=True):
    """A tool of an MCP server that was always allowed; kept for those who use it."""

    server: Visible
    tool: Visible
    source: Literal["allow-always"]
    added_at: Moment
    last_used_at: Maybe[Moment] = UNSET


class PolicySocket(Params, frozen=True):
    """Where a desktop app answers for its host; kept for those who use it. The token is secret."""

    path: Maybe[str] = UNSET
    token: Maybe[str] = UNSET

    def __repr__(self) -> str:
        return f"PolicySocket(path={self.path!r})"


class PolicyDefaults(Params, frozen=True):
    """What holds for agents that say nothing else. The values are checked when a file is set."""

    security: Maybe[str] = UNSET
    ask: Maybe[str] = UNSET
    ask_fallback: Maybe[str] = UNSET
    auto_allow_skills: Maybe[bool] = UNSET


class AgentPolicy(Params, frozen=True):
    """What holds for one agent, or for all of them under the name `*`."""

    security: Maybe[str] = UNSET
    ask: Maybe[str] = UNSET
    ask_fallback: Maybe[str] = UNSET
    auto_allow_skills: Maybe[bool] = UNSET
    allowlist: Maybe[list[AllowlistEntry]] = UNSET
    mcp_tools: Maybe[list[AllowedMcpTool]] = UNSET


class PolicyFile(Params, frozen=True):
    """`exec-approvals.json`."""

    version: Literal[1]
    socket: Maybe[PolicySocket] = UNSET
    defaults: Maybe[PolicyDefaults] = UNSET
    agents: Maybe[dict[str, AgentPolicy]] = UNSET


class PolicySetParams(Params, frozen=True):
    """`exec.approvals.set`: a new policy, and the hash of the one it was made from."""

    file: PolicyFile
    base_hash: Maybe[Name] = UNSET


class ResolvedDefaults(Open, frozen=True):
    """What holds where the file says nothing."""

    security: Security
    ask: Ask
    ask_fallback: Security
    auto_allow_skills: bool


class PolicySnapshot(Open, frozen=True):
    """Result of `exec.approvals.get` and `set`, without the socket's token."""

    path: Name
    exists: bool
    hash: Name
    file: PolicyFile
    resolved_defaults: Maybe[ResolvedDefaults] = UNSET


class NodePolicyGetParams(Params, frozen=True):
    """`exec.approvals.node.get`."""

    node_id: Name


class NativeRule(Params, frozen=True):
    """A rule of a node that has a policy of its own kind (version 4)."""

    pattern: Name
    action: Literal["allow", "deny", "prompt"]
    shells: Maybe[list[Name]] = UNSET
    description: Maybe[str] = UNSET
    enabled: Maybe[bool] = UNSET


class NativePolicy(Params, frozen=True):
    """The policy of such a node."""

    rules: list[NativeRule]
    default_action: Maybe[Literal["allow", "deny", "prompt"]] = UNSET


class NodePolicySetParams(Params, frozen=True):
    """`exec.approvals.node.set`: a `file`, or in version 4 a `native` policy with `baseHash`."""

    node_id: Name
    file: Maybe[PolicyFile] = UNSET
    native: Maybe[NativePolicy] = UNSET
    base_hash: Maybe[Name] = UNSET


class NodePolicy(Open, frozen=True):
    """Result of `exec.approvals.node.get` and `set`: what the node says, passed on as it is."""

    path: Maybe[str] = UNSET
    exists: Maybe[bool] = UNSET
    hash: Maybe[str] = UNSET
    file: Maybe[dict[str, Any]] = UNSET


# Questions


class ActionScope(Params, frozen=True):
    """What an action reaches, for those who show it (version 4)."""

    kind: Literal["message-send", "payment", "external-post", "standing-grant"]
    target: Maybe[str] = UNSET
    recipient_count: Maybe[Positive] = UNSET
    recipients: Maybe[list[str]] = UNSET
    audience: Maybe[Literal["internal", "external"]] = UNSET
    amount: Maybe[str] = UNSET
    currency: Maybe[str] = UNSET
    visibility: Maybe[Literal["public", "restricted"]] = UNSET
    automation: Maybe[str] = UNSET
    command: Maybe[str] = UNSET
    expires_in_days: Maybe[Positive] = UNSET


class PlannedRule(Params, frozen=True):
    """An allowlist rule that held when a run was planned."""

    pattern: str
    arg_pattern: Maybe[str] = UNSET
    source: Maybe[Literal["allow-always"]] = UNSET


class PlannedPolicy(Params, frozen=True):
    """The node's policy when a run was planned."""

    security: Security
    ask: Ask
    ask_fallback: Security
    auto_allow_skills: bool
    allowlist_rules: list[PlannedRule]


class PlannedFile(Params, frozen=True):
    """A file a run reads, as it was when the run was planned."""

    argv_index: Count
    path: str
    sha256: str


class SystemRunPlan(Params, frozen=True):
    """What a node is going to run, word for word (version 4)."""

    argv: list[str]
    cwd: str | None
    command_text: str
    agent_id: str | None
    session_key: str | None
    command_preview: Maybe[str | None] = UNSET
    policy_snapshot: Maybe[PlannedPolicy] = UNSET
    mutable_file_operand: Maybe[PlannedFile | None] = UNSET


class CommandSpan(Params, frozen=True):
    """A part of the command to be highlighted."""

    start_index: Count
    end_index: Positive


class ApprovalRequestParams(Params, frozen=True):
    """`exec.approval.request`: may this run? `timeoutMs` is how long the question stands."""

    id: Maybe[Name] = UNSET
    command: Maybe[Name] = UNSET
    command_argv: Maybe[list[str]] = UNSET
    system_run_plan: Maybe[SystemRunPlan] = UNSET
    env: Maybe[dict[str, str]] = UNSET
    cwd: Maybe[str | None] = UNSET
    node_id: Maybe[Name | None] = UNSET
    host: Maybe[str | None] = UNSET
    security: Maybe[str | None] = UNSET
    ask: Maybe[str | None] = UNSET
    warning_text: Maybe[str | None] = UNSET
    scope: Maybe[ActionScope] = UNSET
    unavailable_decisions: Maybe[list[Literal["allow-always"]]] = UNSET
    command_spans: Maybe[list[CommandSpan]] = UNSET
    agent_id: Maybe[str | None] = UNSET
    resolved_path: Maybe[str | None] = UNSET
    session_key: Maybe[str | None] = UNSET
    session_id: Maybe[str | None] = UNSET
    run_id: Maybe[str | None] = UNSET
    tool_call_id: Maybe[str | None] = UNSET
    turn_source_channel: Maybe[str | None] = UNSET
    turn_source_to: Maybe[str | None] = UNSET
    turn_source_account_id: Maybe[str | None] = UNSET
    turn_source_thread_id: Maybe[str | Number | None] = UNSET
    approval_reviewer_device_ids: Maybe[list[Name]] = UNSET
    require_delivery_route: Maybe[bool] = UNSET
    suppress_delivery: Maybe[bool] = UNSET
    deliver_to_approval_clients_only: Maybe[bool] = UNSET
    timeout_ms: Maybe[Positive] = UNSET
    two_phase: Maybe[bool] = UNSET

    def __repr__(self) -> str:
        return f"ApprovalRequestParams(id={self.id!r})"  # a command line may hold secrets


class NodeApprovalRequestParams(Params, frozen=True):
    """`node.approval.request`: may this run on the node that asks?

    A method of ours: the contract has none by which a node could ask about itself.
    """

    command: Name
    command_argv: Maybe[list[str]] = UNSET
    cwd: Maybe[str | None] = UNSET
    security: Maybe[str | None] = UNSET
    ask: Maybe[str | None] = UNSET
    agent_id: Maybe[str | None] = UNSET
    resolved_path: Maybe[str | None] = UNSET
    session_key: Maybe[str | None] = UNSET
    env_keys: Maybe[list[Name]] = UNSET
    unavailable_decisions: Maybe[list[Literal["allow-always"]]] = UNSET
    timeout_ms: Maybe[Positive] = UNSET

    def __repr__(self) -> str:
        return "NodeApprovalRequestParams()"  # a command line may hold secrets


class ExecRequest(Open, frozen=True):
    """What somebody wants to run, as those who decide see it.

    The first eight fields are there in both versions, `null` where nothing is known.
    """

    command: str
    cwd: str | None = None
    host: str | None = None
    security: str | None = None
    ask: str | None = None
    agent_id: str | None = None
    resolved_path: str | None = None
    session_key: str | None = None
    node_id: Maybe[str | None] = UNSET
    command_argv: Maybe[list[str]] = UNSET
    command_spans: Maybe[list[CommandSpan]] = UNSET
    warning_text: Maybe[str | None] = UNSET
    system_run_plan: Maybe[SystemRunPlan | None] = UNSET
    scope: Maybe[ActionScope] = UNSET
    env_keys: Maybe[list[str]] = UNSET
    allowed_decisions: Maybe[list[Decision]] = UNSET
    session_id: Maybe[str | None] = UNSET
    run_id: Maybe[str | None] = UNSET
    tool_call_id: Maybe[str | None] = UNSET
    turn_source_channel: Maybe[str | None] = UNSET
    turn_source_to: Maybe[str | None] = UNSET
    turn_source_account_id: Maybe[str | None] = UNSET
    turn_source_thread_id: Maybe[str | Number | None] = UNSET

    def __repr__(self) -> str:
        return f"ExecRequest(agent_id={self.agent_id!r}, session_key={self.session_key!r})"


class ApprovalRequested(Open, frozen=True):
    """Event `exec.approval.requested`, and an item of `exec.approval.list`."""

    id: Name
    request: ExecRequest
    created_at_ms: Count
    expires_at_ms: Count
    approval_kind: Maybe[Literal["exec"]] = UNSET


class ApprovalResolved(Open, frozen=True):
    """Event `exec.approval.resolved`: who decided what.

    `resolvedBy` is `null` where it was no person, see `reason`. Version 4 repeats the request.
    """

    id: Name
    decision: Decision
    resolved_by: str | None
    ts: Count
    reason: Maybe[Reason] = UNSET
    request: Maybe[ExecRequest] = UNSET


class ApprovalResult(Open, frozen=True):
    """Result of `exec.approval.request`, `waitDecision` and `node.approval.request`.

    `terminalReason` says why, where it was not a person who decided; `resolvedBy` who it was.
    """

    id: Name
    decision: Decision | None
    created_at_ms: Count
    expires_at_ms: Count
    resolved_by: Maybe[str | None] = UNSET
    terminal_reason: Maybe[Reason] = UNSET


class ApprovalAccepted(Open, frozen=True):
    """First answer of `exec.approval.request` with `twoPhase`: it stands; the decision follows."""

    id: Name
    created_at_ms: Count
    expires_at_ms: Count
    delivery_route: Literal["approval-client", "none"]
    status: Literal["accepted"] = "accepted"


class ApprovalIdParams(Params, frozen=True):
    """`exec.approval.get`; the id may be cut to its unique beginning."""

    id: Name


class ApprovalWaitParams(Open, frozen=True):
    """`exec.approval.waitDecision`; the contract leaves its parameters open."""

    id: Name


class ApprovalView(Open, frozen=True):
    """Result of `exec.approval.get`: a question that stands."""

    id: Name
    command_text: str
    command_preview: str | None
    allowed_decisions: list[Decision]
    host: str | None
    node_id: str | None
    agent_id: str | None
    expires_at_ms: Count


class ChannelReviewer(Params, frozen=True):
    """Somebody in a chat who decided; the channel vouches for them (version 4)."""

    channel: Name
    account_id: Name
    sender_id: Name


class ApprovalResolveParams(Params, frozen=True):
    """`exec.approval.resolve`. `decision` is one of `Decision`."""

    id: Name
    decision: Name
    reviewer: Maybe[ChannelReviewer] = UNSET
    grant_expires_in_days: Maybe[Annotated[int, Meta(ge=1, le=3650)]] = UNSET


class ApprovalOk(Open, frozen=True):
    """Result of `exec.approval.resolve`."""

    ok: bool = True


# The same questions as version 4 shows them, open or decided

Kind = Literal["exec", "plugin", "system-agent"]


class ExecPresentation(Open, frozen=True):
    """What is shown of a question to whoever decides."""

    command_text: str
    allowed_decisions: list[Decision]
    warning_text: Maybe[str | None] = UNSET
    host: Maybe[str | None] = UNSET
    node_id: Maybe[str | None] = UNSET
    agent_id: Maybe[str | None] = UNSET
    scope: Maybe[ActionScope] = UNSET
    kind: Literal["exec"] = "exec"


class ApprovalSource(Open, frozen=True):
    """Where a question came from."""

    agent_id: Maybe[str] = UNSET
    session_key: Maybe[str] = UNSET


class ApprovalResolver(Open, frozen=True):
    """Who decided: a client's device, or the Gateway itself."""

    kind: Literal["device", "system"]
    id: Maybe[str] = UNSET


class ApprovalSnapshot(Open, frozen=True):
    """A question as it is now. What follows `status` is there once it is decided."""

    id: Name
    url_path: Name
    created_at_ms: Count
    expires_at_ms: Count
    presentation: ExecPresentation
    status: Literal["pending", "allowed", "denied", "expired", "cancelled"]
    source_session_key: Maybe[str] = UNSET
    resolved_at_ms: Maybe[Count] = UNSET
    source: Maybe[ApprovalSource] = UNSET
    resolver: Maybe[ApprovalResolver] = UNSET
    decision: Maybe[Decision] = UNSET
    reason: Maybe[Reason] = UNSET


class ApprovalGetParams(Params, frozen=True):
    """`approval.get`."""

    id: Name


class ApprovalFound(Open, frozen=True):
    """Result of `approval.get`."""

    approval: ApprovalSnapshot


class ApprovalDecideParams(Params, frozen=True):
    """`approval.resolve`."""

    id: Name
    kind: Kind
    decision: Decision
    reviewer: Maybe[ChannelReviewer] = UNSET
    grant_expires_in_days: Maybe[Annotated[int, Meta(ge=1, le=3650)]] = UNSET


class ApprovalDecided(Open, frozen=True):
    """Result of `approval.resolve`. `applied` false: it was decided before, see `approval`."""

    applied: bool
    approval: ApprovalSnapshot


class ApprovalHistoryParams(Params, frozen=True):
    """`approval.history`: what was decided, the latest first."""

    cursor: Maybe[Annotated[str, Meta(min_length=1, max_length=512)]] = UNSET
    limit: Maybe[Annotated[int, Meta(ge=1, le=100)]] = UNSET
    kind: Maybe[Kind] = UNSET


class ApprovalHistory(Open, frozen=True):
    """Result of `approval.history`; `next_cursor` where there is more."""

    items: list[ApprovalSnapshot]
    next_cursor: Maybe[Name] = UNSET
