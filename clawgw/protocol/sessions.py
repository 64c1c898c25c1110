"""Sessions (contract: `Sessions*Params`, `SessionRow`, `SessionsResolveResult`, …)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta

from clawgw.protocol.base import (
    MAX_INTEGER,
    Count,
    Label,
    Maybe,
    Name,
    Open,
    Params,
    Positive,
)
from clawgw.protocol.chat import PermissionMode, ToolOverrides
from clawgw.protocol.system import ModelDefaults

Moment = Annotated[float, Meta(ge=0, le=MAX_INTEGER)]
"""Milliseconds since the epoch, where a client may have a fraction."""


class SessionsListParams(Params, frozen=True):
    """`sessions.list`: the latest first."""

    limit: Maybe[Positive] = UNSET
    offset: Maybe[Count] = UNSET
    active_minutes: Maybe[Positive] = UNSET
    require_last_interaction: Maybe[bool] = UNSET
    sort_by: Maybe[Literal["updatedAt", "lastInteractionAt"]] = UNSET
    include_global: Maybe[bool] = UNSET
    include_unknown: Maybe[bool] = UNSET
    configured_agents_only: Maybe[bool] = UNSET
    include_derived_titles: Maybe[bool] = UNSET
    include_last_message: Maybe[bool] = UNSET
    label: Maybe[Label] = UNSET
    board_face: Maybe[Literal["chat", "dashboard"]] = UNSET
    creator_id: Maybe[Name] = UNSET
    owner_id: Maybe[Name] = UNSET
    owner_first: Maybe[bool] = UNSET
    involving_me: Maybe[bool] = UNSET
    involving_profile_id: Maybe[Name] = UNSET
    include_people: Maybe[bool] = UNSET
    spawned_by: Maybe[Name] = UNSET
    agent_id: Maybe[Name] = UNSET
    search: Maybe[str] = UNSET
    archived: Maybe[bool | Literal["all"]] = UNSET


class SessionRow(Open, frozen=True):
    """One session of `sessions.list`."""

    key: str
    kind: Literal["direct", "group", "global", "unknown"]
    updated_at: Count | None
    session_id: Maybe[str] = UNSET
    agent_id: Maybe[Name] = UNSET
    is_main: Maybe[bool] = UNSET
    chat_type: Maybe[Literal["direct", "group", "channel"]] = UNSET
    label: Maybe[str] = UNSET
    display_name: Maybe[str] = UNSET
    derived_title: Maybe[str] = UNSET
    last_message_preview: Maybe[str] = UNSET
    channel: Maybe[str] = UNSET
    created_at: Maybe[Count] = UNSET
    last_interaction_at: Maybe[Count] = UNSET
    system_sent: Maybe[bool] = UNSET
    aborted_last_run: Maybe[bool] = UNSET
    status: Maybe[Literal["queued", "running", "done", "failed", "killed", "timeout"]] = UNSET
    has_active_run: Maybe[bool] = UNSET
    archived: Maybe[bool] = UNSET
    pinned: Maybe[bool] = UNSET
    unread: Maybe[bool] = UNSET
    thinking_level: Maybe[str] = UNSET
    input_tokens: Maybe[Count] = UNSET
    output_tokens: Maybe[Count] = UNSET
    total_tokens: Maybe[Count] = UNSET
    context_tokens: Maybe[Count] = UNSET
    model_provider: Maybe[str] = UNSET
    model: Maybe[str] = UNSET
    last_channel: Maybe[str] = UNSET
    spawned_by: Maybe[str] = UNSET


class SessionsList(Open, frozen=True):
    """Result of `sessions.list`; the paging fields are version 4's."""

    ts: Count
    path: str
    count: Count
    defaults: ModelDefaults
    sessions: list[SessionRow]
    total_count: Maybe[Count] = UNSET
    limit_applied: Maybe[Count] = UNSET
    next_offset: Maybe[Count | None] = UNSET
    has_more: Maybe[bool] = UNSET
    owners: Maybe[list[Any]] = UNSET


class SessionsPreviewParams(Params, frozen=True):
    """`sessions.preview`: the last few messages of some sessions, cut short."""

    keys: Annotated[list[Name], Meta(min_length=1)]
    limit: Maybe[Positive] = UNSET
    max_chars: Maybe[Annotated[int, Meta(ge=20, le=MAX_INTEGER)]] = UNSET


class PreviewItem(Open, frozen=True):
    """A message in a preview."""

    role: str
    text: str


class SessionPreview(Open, frozen=True):
    """One session's preview."""

    key: str
    status: Literal["ok", "empty", "missing", "error"]
    items: list[PreviewItem]


class SessionsPreview(Open, frozen=True):
    """Result of `sessions.preview`."""

    ts: Count
    previews: list[SessionPreview]


class SessionsResolveParams(Params, frozen=True):
    """`sessions.resolve`: which session is meant by a key, an id or a label."""

    key: Maybe[Name] = UNSET
    session_id: Maybe[Name] = UNSET
    label: Maybe[Label] = UNSET
    short_id: Maybe[Name] = UNSET
    slug_hint: Maybe[Name] = UNSET
    agent_id: Maybe[Name] = UNSET
    spawned_by: Maybe[Name] = UNSET
    include_global: Maybe[bool] = UNSET
    include_unknown: Maybe[bool] = UNSET
    allow_missing: Maybe[bool] = UNSET


class SessionResolved(Open, frozen=True):
    """Result of `sessions.resolve`; `ok` is false only where `allowMissing` was asked."""

    ok: bool
    key: Maybe[Name] = UNSET
    agent_id: Maybe[Name] = UNSET
    display_name: Maybe[str] = UNSET


class SessionsPatchParams(Params, frozen=True):
    """`sessions.patch`: change what is given; `null` takes a setting away."""

    key: Name
    agent_id: Maybe[Name] = UNSET
    expected_session_id: Maybe[Name] = UNSET
    expected_lifecycle_revision: Maybe[Name] = UNSET
    expected_permission_mode: Maybe[PermissionMode | None] = UNSET
    expected_tool_overrides: Maybe[ToolOverrides | None] = UNSET
    expected_marked_unread_at: Maybe[Moment | None] = UNSET
    label: Maybe[Label | None] = UNSET
    icon: Maybe[str | None] = UNSET
    color: Maybe[str | None] = UNSET
    category: Maybe[Label | None] = UNSET
    board_face: Maybe[Literal["chat", "dashboard"]] = UNSET
    status_note: Maybe[Annotated[str, Meta(max_length=120)] | None] = UNSET
    attention: Maybe[Literal["hand", "key", "alert", "flag", "lock", "hourglass"] | None] = UNSET
    ttl_minutes: Maybe[Annotated[int, Meta(ge=1, le=120)]] = UNSET
    archived: Maybe[bool] = UNSET
    pinned: Maybe[bool] = UNSET
    unread: Maybe[bool] = UNSET
    context_window: Maybe[Name | None] = UNSET
    thinking_level: Maybe[Name | None] = UNSET
    fast_mode: Maybe[bool | Literal["auto"] | None] = UNSET
    tool_overrides: Maybe[ToolOverrides | None] = UNSET
    verbose_level: Maybe[Name | None] = UNSET
    trace_level: Maybe[Name | None] = UNSET
    reasoning_level: Maybe[Name | None] = UNSET
    response_usage: Maybe[Literal["off", "tokens", "full", "on"] | None] = UNSET
    elevated_level: Maybe[Name | None] = UNSET
    exec_host: Maybe[Name | None] = UNSET
    exec_security: Maybe[Name | None] = UNSET
    exec_ask: Maybe[Name | None] = UNSET
    exec_node: Maybe[Name | None] = UNSET
    permission_mode: Maybe[PermissionMode | None] = UNSET
    model: Maybe[Name | None] = UNSET
    spawned_by: Maybe[Name | None] = UNSET
    completion_owner_session_key: Maybe[Name | None] = UNSET
    inherited_tool_policy_version: Maybe[Literal[1] | None] = UNSET
    inherited_tool_allow: Maybe[list[Name] | None] = UNSET
    inherited_tool_deny: Maybe[list[Name] | None] = UNSET
    send_policy: Maybe[Literal["allow", "deny"] | None] = UNSET
    group_activation: Maybe[Literal["mention", "always"] | None] = UNSET


class SessionChanged(Open, frozen=True):
    """Result of `sessions.patch` and `sessions.reset`: the session as it is now."""

    key: str
    entry: dict[str, Any]
    path: Maybe[str] = UNSET
    resolved: Maybe[dict[str, Any]] = UNSET
    ok: bool = True


class SessionsResetParams(Params, frozen=True):
    """`sessions.reset`: the same session, an empty transcript."""

    key: Name
    agent_id: Maybe[Name] = UNSET
    reason: Maybe[Literal["new", "reset"]] = UNSET


class SessionsDeleteParams(Params, frozen=True):
    """`sessions.delete`: the session and, unless told otherwise, its transcript."""

    key: Name
    agent_id: Maybe[Name] = UNSET
    delete_transcript: Maybe[bool] = UNSET
    expected_session_id: Maybe[Name] = UNSET
    expected_lifecycle_revision: Maybe[Name] = UNSET
    expected_session_updated_at: Maybe[Moment] = UNSET
    emit_lifecycle_hooks: Maybe[bool] = UNSET
    archived_only: Maybe[bool] = UNSET


class SessionDeleted(Open, frozen=True):
    """Result of `sessions.delete`."""

    key: Name
    deleted: bool
    archived: list[Name]
    ok: bool = True


class SessionsCompactParams(Params, frozen=True):
    """`sessions.compact`: keep the last `maxLines` messages."""

    key: Name
    agent_id: Maybe[Name] = UNSET
    max_lines: Maybe[Positive] = UNSET


class SessionCompacted(Open, frozen=True):
    """Result of `sessions.compact`; `kept` counts messages."""

    key: str
    compacted: bool
    kept: Maybe[Count] = UNSET
    reason: Maybe[str] = UNSET
    ok: bool = True


class SessionsChangedEvent(Open, frozen=True):
    """`sessions.changed`: somebody's list is out of date (version 4)."""

    session_key: Name
    reason: Name
    ts: Count
    agent_id: Maybe[Name] = UNSET
