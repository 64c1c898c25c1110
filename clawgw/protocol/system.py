"""health, status, presence, ticks and talk mode (contract: `Snapshot`, `PresenceEntry`, …)."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from clawgw.protocol.base import Count, Maybe, Name, Open, Params


class PresenceEntry(Open, frozen=True):
    """One row of `system-presence`: a device, an instance, or a note somebody left."""

    ts: Count
    host: Maybe[Name] = UNSET
    ip: Maybe[Name] = UNSET
    version: Maybe[Name] = UNSET
    platform: Maybe[Name] = UNSET
    device_family: Maybe[Name] = UNSET
    model_identifier: Maybe[Name] = UNSET
    time_zone: Maybe[Name] = UNSET
    mode: Maybe[Name] = UNSET
    last_input_seconds: Maybe[Count] = UNSET
    reason: Maybe[Name] = UNSET
    tags: Maybe[list[Name]] = UNSET
    text: Maybe[str] = UNSET
    device_id: Maybe[Name] = UNSET
    roles: Maybe[list[Name]] = UNSET
    scopes: Maybe[list[Name]] = UNSET
    instance_id: Maybe[Name] = UNSET


class PresenceEvent(Open, frozen=True):
    """`presence`: the whole list, whenever it changes."""

    presence: list[PresenceEntry]


class SystemEventParams(Open, frozen=True):
    """`system-event`: a beacon of an app, or a note. Open, as the contract gives no schema."""

    text: Name
    device_id: Maybe[Name] = UNSET
    instance_id: Maybe[Name] = UNSET
    host: Maybe[Name] = UNSET
    ip: Maybe[Name] = UNSET
    mode: Maybe[Name] = UNSET
    version: Maybe[Name] = UNSET
    platform: Maybe[Name] = UNSET
    device_family: Maybe[Name] = UNSET
    model_identifier: Maybe[Name] = UNSET
    last_input_seconds: Maybe[Count] = UNSET
    reason: Maybe[Name] = UNSET
    roles: Maybe[list[Name]] = UNSET
    scopes: Maybe[list[Name]] = UNSET
    tags: Maybe[list[Name]] = UNSET


class Ok(Open, frozen=True):
    """Done, and nothing more to say."""

    ok: bool = True


class HeartbeatInfo(Open, frozen=True):
    """An agent's heartbeat as health shows it."""

    enabled: bool
    every: str
    every_ms: Count | None
    prompt: str
    target: str
    ack_max_chars: Count


class RecentSession(Open, frozen=True):
    """A session spoken to lately; `age` in milliseconds."""

    key: str
    updated_at: Count | None
    age: Count | None


class SessionsInfo(Open, frozen=True):
    """Where sessions are stored, how many, and the latest."""

    path: str
    count: Count
    recent: list[RecentSession]


class AgentHealth(Open, frozen=True):
    """One agent in `health`."""

    agent_id: str
    is_default: bool
    heartbeat: HeartbeatInfo
    sessions: SessionsInfo
    name: Maybe[str] = UNSET


class Health(Open, frozen=True):
    """Result of `health`, payload of the `health` event, part of `hello-ok`."""

    ts: Count
    duration_ms: Count
    channels: dict[str, Any]
    channel_order: list[str]
    channel_labels: dict[str, str]
    heartbeat_seconds: Count
    default_agent_id: str
    agents: list[AgentHealth]
    sessions: SessionsInfo
    ok: bool = True


class HeartbeatStatusEntry(Open, frozen=True):
    """One agent's heartbeat in `status`."""

    agent_id: str
    enabled: bool
    every: str
    every_ms: Count | None


class HeartbeatStatus(Open, frozen=True):
    """Heartbeats in `status`."""

    default_agent_id: str
    agents: list[HeartbeatStatusEntry]


class ModelDefaults(Open, frozen=True):
    """The model a session gets when nobody chose one."""

    model: str | None
    context_tokens: Count | None
    model_provider: Maybe[str | None] = UNSET


class AgentSessions(Open, frozen=True):
    """One agent's sessions in `status`."""

    agent_id: str
    path: str
    count: Count
    recent: list[RecentSession]


class SessionsStatus(Open, frozen=True):
    """Sessions in `status`."""

    paths: list[str]
    count: Count
    defaults: ModelDefaults
    recent: list[RecentSession]
    by_agent: list[AgentSessions]


class ProcessMemory(Open, frozen=True):
    """Resident memory of the Gateway process, in bytes."""

    rss_bytes: Count


class Status(Open, frozen=True):
    """Result of `status`: what an operator asks first. After `sessions`: not in version 3."""

    heartbeat: HeartbeatStatus
    channel_summary: list[str]
    queued_system_events: list[str]
    sessions: SessionsStatus
    runtime_version: Maybe[str] = UNSET
    pid: Maybe[Count] = UNSET
    uptime_ms: Maybe[Count] = UNSET
    process_memory: Maybe[ProcessMemory] = UNSET
    active_runs: Maybe[Count] = UNSET
    queued_runs: Maybe[Count] = UNSET
    connections: Maybe[Count] = UNSET


class TickEvent(Open, frozen=True):
    """`tick`: a sign of life."""

    ts: Count


class ShutdownEvent(Open, frozen=True):
    """`shutdown`: the Gateway goes away."""

    reason: Name
    restart_expected_ms: Maybe[Count] = UNSET


class TalkModeParams(Params, frozen=True):
    """`talk.mode`: a talking client tells the others."""

    enabled: bool
    phase: Maybe[str] = UNSET


class TalkMode(Open, frozen=True):
    """Result of `talk.mode`, and the event of that name."""

    enabled: bool
    phase: str | None
    ts: Count
