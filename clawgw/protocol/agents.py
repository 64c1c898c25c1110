"""Agents, models and runs (contract: `AgentParams`, `AgentWaitParams`, `AgentsListResult`, …)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta

from clawgw.protocol.base import Count, Label, Maybe, Name, Number, Open, Params, Positive


class Provenance(Params, frozen=True):
    """Who really spoke, where a client passes somebody else's words on."""

    kind: Literal["external_user", "inter_session", "internal_system"]
    origin_session_id: Maybe[str] = UNSET
    source_session_key: Maybe[str] = UNSET
    source_channel: Maybe[str] = UNSET
    source_tool: Maybe[str] = UNSET


class Attachment(Open, frozen=True):
    """A file sent along; `content` is base64 text."""

    type: Maybe[str] = UNSET
    mime_type: Maybe[str] = UNSET
    file_name: Maybe[str] = UNSET
    content: Maybe[Any] = UNSET
    size_bytes: Maybe[Number] = UNSET
    duration_ms: Maybe[Number] = UNSET
    width: Maybe[Number] = UNSET
    height: Maybe[Number] = UNSET


class AgentParams(Params, frozen=True):
    """`agent`: run one turn and answer twice, when accepted and when done.

    `acpTurnSource` and all after it is what version 4's Gateway tells itself: taken, not used.
    """

    message: Name
    idempotency_key: Name
    agent_id: Maybe[Name] = UNSET
    provider: Maybe[str] = UNSET
    model: Maybe[str] = UNSET
    to: Maybe[str] = UNSET
    reply_to: Maybe[str] = UNSET
    session_id: Maybe[str] = UNSET
    session_key: Maybe[str] = UNSET
    expected_existing_session_id: Maybe[Name] = UNSET
    thinking: Maybe[str] = UNSET
    deliver: Maybe[bool] = UNSET
    attachments: Maybe[list[Attachment]] = UNSET
    channel: Maybe[str] = UNSET
    reply_channel: Maybe[str] = UNSET
    account_id: Maybe[str] = UNSET
    reply_account_id: Maybe[str] = UNSET
    thread_id: Maybe[str] = UNSET
    group_id: Maybe[str] = UNSET
    group_channel: Maybe[str] = UNSET
    group_space: Maybe[str] = UNSET
    timeout: Maybe[Count] = UNSET
    best_effort_deliver: Maybe[bool] = UNSET
    lane: Maybe[str] = UNSET
    cwd: Maybe[Name] = UNSET
    cleanup_bundle_mcp_on_run_end: Maybe[bool] = UNSET
    model_run: Maybe[bool] = UNSET
    prompt_mode: Maybe[Literal["full", "minimal", "none"]] = UNSET
    extra_system_prompt: Maybe[str] = UNSET
    bootstrap_context_mode: Maybe[Literal["full", "lightweight"]] = UNSET
    bootstrap_context_run_kind: Maybe[Literal["default", "heartbeat", "cron"]] = UNSET
    input_provenance: Maybe[Provenance] = UNSET
    suppress_prompt_persistence: Maybe[bool] = UNSET
    session_effects: Maybe[Literal["visible", "internal"]] = UNSET
    voice_wake_trigger: Maybe[str] = UNSET
    label: Maybe[Label] = UNSET
    spawned_by: Maybe[str] = UNSET
    acp_turn_source: Maybe[Literal["manual_spawn"]] = UNSET
    internal_runtime_handoff_id: Maybe[Name] = UNSET
    internal_execution_identity_retry: Maybe[bool] = UNSET
    internal_execution_identity_recovery_attempt: Maybe[Positive] = UNSET
    exec_approval_followup_expected_session_id: Maybe[Name] = UNSET
    internal_events: Maybe[list[dict[str, Any]]] = UNSET
    source_reply_delivery_mode: Maybe[Literal["automatic", "message_tool_only"]] = UNSET
    disable_message_tool: Maybe[bool] = UNSET
    swarm_collector: Maybe[bool] = UNSET
    swarm_output_schema: Maybe[dict[str, Any]] = UNSET
    force_restart_safe_tools: Maybe[bool] = UNSET
    force_code_mode_tools: Maybe[bool] = UNSET


class AgentAccepted(Open, frozen=True):
    """First answer of `agent`: the message is stored, the run will happen."""

    run_id: Name
    accepted_at: Count
    status: Literal["accepted"] = "accepted"
    session_key: Maybe[Name] = UNSET
    agent_id: Maybe[Name] = UNSET


class RunPayload(Open, frozen=True):
    """One piece of an answer."""

    text: str
    media_url: str | None = None


class RunUsage(Open, frozen=True):
    """Tokens of a run, as far as the agent told."""

    input: Count = 0
    output: Count = 0
    total: Count = 0


class AgentMeta(Open, frozen=True):
    """By what a run was done."""

    session_id: str
    provider: str | None
    model: str | None
    usage: Maybe[RunUsage] = UNSET


class RunMeta(Open, frozen=True):
    """How a run went."""

    duration_ms: Count
    agent_meta: AgentMeta
    aborted: bool
    stop_reason: Maybe[str] = UNSET


class RunResult(Open, frozen=True):
    """What a run brought."""

    payloads: list[RunPayload]
    meta: RunMeta


class AgentFinal(Open, frozen=True):
    """Second answer of `agent`; `summary` says it in words."""

    run_id: Name
    status: Literal["ok", "error", "timeout"]
    summary: str
    result: Maybe[RunResult] = UNSET


class AgentEvent(Open, frozen=True):
    """`agent`: what happens inside a run; `seq` counts per run."""

    run_id: Name
    stream: Name
    data: dict[str, Any]
    seq: Count
    ts: Count
    session_key: Maybe[Name] = UNSET
    session_id: Maybe[Name] = UNSET
    agent_id: Maybe[Name] = UNSET


class AgentWaitParams(Params, frozen=True):
    """`agent.wait`: the end of a run, or a time-out after so many milliseconds."""

    run_id: Name
    timeout_ms: Maybe[Count] = UNSET


class AgentWaitResult(Open, frozen=True):
    """Result of `agent.wait`; `timeout` without `ended_at` means: still running."""

    run_id: Name
    status: Literal["ok", "error", "timeout"]
    started_at: Maybe[Count] = UNSET
    ended_at: Maybe[Count] = UNSET
    error: Maybe[str] = UNSET


class AgentIdentityParams(Params, frozen=True):
    """`agent.identity.get`."""

    agent_id: Maybe[Name] = UNSET
    session_key: Maybe[str] = UNSET


class AgentIdentity(Open, frozen=True):
    """Result of `agent.identity.get`."""

    agent_id: Name
    name: Name
    avatar: Maybe[Name] = UNSET
    emoji: Maybe[Name] = UNSET
    name_source: Maybe[Literal["config", "agent", "workspace", "default"]] = UNSET


class IdentitySummary(Open, frozen=True):
    """Name and picture of an agent in a list."""

    name: Maybe[Name] = UNSET
    theme: Maybe[Name] = UNSET
    emoji: Maybe[Name] = UNSET
    avatar: Maybe[Name] = UNSET


class AgentModel(Open, frozen=True):
    """The model of an agent, as `provider/model`."""

    primary: Name


class AgentSummary(Open, frozen=True):
    """One agent of `agents.list`."""

    id: Name
    name: Maybe[Name] = UNSET
    identity: Maybe[IdentitySummary] = UNSET
    workspace: Maybe[Name] = UNSET
    model: Maybe[AgentModel] = UNSET


class AgentsList(Open, frozen=True):
    """Result of `agents.list`."""

    default_id: Name
    main_key: Name
    agents: list[AgentSummary]
    scope: Literal["per-sender", "global"] = "per-sender"
    ownership: Maybe[Literal["sole", "legacy", "explicit"]] = UNSET
    selection_required: Maybe[bool] = UNSET


class ModelsListParams(Params, frozen=True):
    """`models.list`."""

    agent_id: Maybe[Name] = UNSET
    include_provider_capabilities: Maybe[bool] = UNSET
    prepared_only: Maybe[bool] = UNSET
    refresh: Maybe[bool] = UNSET
    view: Maybe[Literal["default", "configured", "provider-config", "all"]] = UNSET


class ModelChoice(Open, frozen=True):
    """One model somebody can choose."""

    id: Name
    name: Name
    provider: Name
    context_window: Maybe[Positive] = UNSET
    reasoning: Maybe[bool] = UNSET
    input: Maybe[list[Literal["text", "image", "audio", "video", "document"]]] = UNSET
    tags: Maybe[list[Name]] = UNSET
    available: Maybe[bool] = UNSET


class ModelsList(Open, frozen=True):
    """Result of `models.list`."""

    models: list[ModelChoice]


MessageLimit = Annotated[int, Meta(ge=1, le=1000)]
