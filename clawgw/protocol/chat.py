"""Chat: what a person reads and writes (contract: `Chat*Params`, `ChatEvent`)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta

from clawgw.protocol.agents import Attachment, MessageLimit, Provenance
from clawgw.protocol.base import Count, Maybe, Name, Open, Params, Positive

RunId = Annotated[str, Meta(min_length=1, max_length=256)]
SessionKey = Annotated[str, Meta(min_length=1, max_length=512)]


class GoalIntent(Params, frozen=True):
    """A version 4 client's wish to start a goal; taken as an ordinary message."""

    kind: Literal["session-goal-start"]
    version: Literal[1]
    issued_at_ms: Count


class ToolOverrides(Params, frozen=True):
    """Which tools a client expects a session to have."""

    mcp_servers: Maybe[dict[str, bool]] = UNSET
    mcp_tools_deny: Maybe[dict[str, list[Name]]] = UNSET
    skills: Maybe[dict[str, bool]] = UNSET
    web_search: Maybe[bool] = UNSET


PermissionMode = Literal["read-only", "guarded", "workspace", "full"]


class ChatSendParams(Params, frozen=True):
    """`chat.send`: a message to an agent; the idempotency key becomes the run's id."""

    session_key: SessionKey
    message: str
    idempotency_key: Name
    agent_id: Maybe[Name] = UNSET
    session_id: Maybe[Name] = UNSET
    intent: Maybe[GoalIntent] = UNSET
    thinking: Maybe[str] = UNSET
    fast_mode: Maybe[bool | Literal["auto"]] = UNSET
    fast_auto_on_seconds: Maybe[Positive] = UNSET
    queue_mode: Maybe[Literal["steer", "followup", "collect", "interrupt"]] = UNSET
    deliver: Maybe[bool] = UNSET
    originating_channel: Maybe[str] = UNSET
    originating_to: Maybe[str] = UNSET
    originating_account_id: Maybe[str] = UNSET
    originating_thread_id: Maybe[str] = UNSET
    reply_to_id: Maybe[Name] = UNSET
    attachments: Maybe[list[Attachment]] = UNSET
    tool_bindings: Maybe[dict[str, Any]] = UNSET
    timeout_ms: Maybe[Count] = UNSET
    system_input_provenance: Maybe[Provenance] = UNSET
    system_provenance_receipt: Maybe[str] = UNSET
    suppress_command_interpretation: Maybe[bool] = UNSET
    expected_leaf_entry_id: Maybe[Name | None] = UNSET
    expected_session_routing_contract: Maybe[Name] = UNSET
    expected_permission_mode: Maybe[PermissionMode | None] = UNSET
    expected_tool_overrides: Maybe[ToolOverrides | None] = UNSET


class ChatSendResult(Open, frozen=True):
    """Result of `chat.send`: the message is stored, the run will happen."""

    run_id: Name
    status: Literal["started"] = "started"


class ChatHistoryParams(Params, frozen=True):
    """`chat.history`: the latest `limit` messages, `offset` from the end."""

    session_key: Name
    agent_id: Maybe[Name] = UNSET
    cursor: Maybe[str] = UNSET
    limit: Maybe[MessageLimit] = UNSET
    offset: Maybe[Count] = UNSET
    pending_before: Maybe[Positive] = UNSET
    input_run_ids: Maybe[Annotated[list[RunId], Meta(min_length=1, max_length=50)]] = UNSET
    message_id: Maybe[Name] = UNSET
    session_id: Maybe[Name] = UNSET
    max_chars: Maybe[Annotated[int, Meta(ge=1, le=500000)]] = UNSET


class ChatAbortParams(Params, frozen=True):
    """`chat.abort`: one run, or all runs of a session."""

    session_key: Name
    agent_id: Maybe[Name] = UNSET
    run_id: Maybe[Name] = UNSET
    preserve_side_runs: Maybe[bool] = UNSET


class ChatAbortResult(Open, frozen=True):
    """Result of `chat.abort`."""

    aborted: bool
    run_ids: list[str]
    ok: bool = True


class ChatInjectParams(Params, frozen=True):
    """`chat.inject`: a note into a transcript, without a run."""

    session_key: Name
    message: Name
    agent_id: Maybe[Name] = UNSET
    label: Maybe[Annotated[str, Meta(max_length=100)]] = UNSET


class ChatInjectResult(Open, frozen=True):
    """Result of `chat.inject`."""

    message_id: Name
    ok: bool = True


class ChatEvent(Open, frozen=True):
    """`chat`: an answer as it grows. `delta_text` is version 4's; `message` is cumulative."""

    run_id: Name
    session_key: Name
    seq: Count
    state: Literal["status", "delta", "final", "aborted", "error"]
    agent_id: Maybe[Name] = UNSET
    phase: Maybe[Literal["preparing_workspace", "preparing_context", "starting_model"]] = UNSET
    delta_text: Maybe[str] = UNSET
    replace: Maybe[bool] = UNSET
    message: Maybe[dict[str, Any]] = UNSET
    error_message: Maybe[str] = UNSET
    error_kind: Maybe[Literal["refusal", "timeout", "rate_limit", "context_length", "unknown"]] = (
        UNSET
    )
    usage: Maybe[dict[str, Any]] = UNSET
    stop_reason: Maybe[str] = UNSET


class InFlightRun(Open, frozen=True):
    """A run that is going on while somebody asks for the history (version 4)."""

    run_id: Name
    text: str
    started_at: Count


class ChatHistory(Open, frozen=True):
    """Result of `chat.history`; all after `thinking_level` is version 4's."""

    session_key: str
    messages: list[dict[str, Any]]
    session_id: Maybe[str] = UNSET
    thinking_level: Maybe[str] = UNSET
    pending_inputs: Maybe[dict[str, Any]] = UNSET
    delta_cursor: Maybe[str] = UNSET
    has_more: Maybe[bool] = UNSET
    total_messages: Maybe[Count] = UNSET
    defaults: Maybe[dict[str, Any]] = UNSET
    session_info: Maybe[dict[str, Any]] = UNSET
    in_flight_run: Maybe[InFlightRun] = UNSET


class ChatHistoryDelta(Open, frozen=True):
    """Result of `chat.history` with a cursor that still holds: what came since."""

    messages: list[dict[str, Any]]
    delta_cursor: str
    session_info: dict[str, Any]
    kind: Literal["delta"] = "delta"
    in_flight_run: Maybe[InFlightRun] = UNSET


class ChatHistoryReset(Open, frozen=True):
    """Result of `chat.history` with a cursor that no longer holds: ask again without."""

    kind: Literal["reset"] = "reset"
