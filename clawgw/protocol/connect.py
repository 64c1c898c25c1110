"""`connect` and `hello-ok`, versions 3 and 4 (contract: `ConnectParams`, `HelloOk`, `Snapshot`)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Raw

from clawgw.protocol.base import Count, Maybe, Name, Open, Params, Positive
from clawgw.protocol.frames import StateVersion

ClientMode = Literal["webchat", "cli", "ui", "backend", "node", "worker", "probe", "test"]

ClientId = Literal[
    "webchat-ui",
    "clawdbot-control-ui",
    "openclaw-control-ui",
    "openclaw-browser-copilot",
    "openclaw-tui",
    "webchat",
    "cli",
    "gateway-client",
    "clawdbot-macos",
    "openclaw-macos",
    "openclaw-linux",
    "openclaw-ios",
    "openclaw-watchos",
    "openclaw-android",
    "moltbot-ios",
    "moltbot-android",
    "clawdbot-ios",
    "clawdbot-android",
    "node-host",
    "openclaw-worker",
    "test",
    "fingerprint",
    "clawdbot-probe",
    "openclaw-probe",
]
"""Names a client may give itself. The union of both versions' lists: a name grants nothing."""


class ClientInfo(Params, frozen=True):
    """What the client says of itself; display only, nothing is granted for it."""

    id: ClientId
    version: Name
    platform: Name
    mode: ClientMode
    display_name: Maybe[Name] = UNSET
    build_id: Maybe[Annotated[str, Meta(min_length=1, max_length=96)]] = UNSET
    device_family: Maybe[Name] = UNSET
    model_identifier: Maybe[Name] = UNSET
    time_zone: Maybe[Annotated[str, Meta(min_length=1, max_length=64)]] = UNSET
    instance_id: Maybe[Name] = UNSET


class DeviceProof(Params, frozen=True):
    """A device's identity and its signature over this connection's challenge."""

    id: Name
    public_key: Name
    signature: Name
    signed_at: Count
    nonce: Maybe[Name] = UNSET


class ConnectAuth(Params, frozen=True):
    """Credentials. Never logged: see `__repr__`."""

    token: Maybe[str] = UNSET
    bootstrap_token: Maybe[str] = UNSET
    device_token: Maybe[str] = UNSET
    password: Maybe[str] = UNSET
    approval_runtime_token: Maybe[str] = UNSET
    agent_runtime_identity_token: Maybe[str] = UNSET

    def __repr__(self) -> str:
        return "ConnectAuth(…)"


class WorkerRuns(Params, frozen=True):
    """What a version 4 worker host can run; accepted, not used."""

    bundle_hash: Annotated[str, Meta(pattern="^[a-f0-9]{64}$", max_length=64)]
    openclaw_version: Annotated[str, Meta(min_length=1, max_length=128)]
    protocol_features: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=128)]], Meta(max_length=64)
    ]
    bundle_prewarm: Maybe[Positive] = UNSET


class ConnectParams(Params, frozen=True):
    """The first request of every connection."""

    min_protocol: Positive
    max_protocol: Positive
    client: ClientInfo
    caps: Maybe[list[Name]] = UNSET
    commands: Maybe[list[Name]] = UNSET
    computer_use: Maybe[Any] = UNSET
    worker_runs: Maybe[WorkerRuns] = UNSET
    permissions: Maybe[dict[str, bool]] = UNSET
    path_env: Maybe[str] = UNSET
    role: Maybe[Name] = UNSET
    scopes: Maybe[list[Name]] = UNSET
    device: Maybe[DeviceProof] = UNSET
    auth: Maybe[ConnectAuth] = UNSET
    locale: Maybe[str] = UNSET
    user_agent: Maybe[str] = UNSET


class ChallengeEvent(Open, frozen=True):
    """`connect.challenge`: the Gateway speaks first."""

    nonce: Name
    ts: Count


class ServerInfo(Open, frozen=True):
    """Who answered. `host` is version 3's, `boot_id` version 4's."""

    version: Name
    conn_id: Name
    host: Maybe[Name] = UNSET
    boot_id: Maybe[Name] = UNSET


class Features(Open, frozen=True):
    """Exactly the methods and events that work."""

    methods: list[Name]
    events: list[Name]
    capabilities: Maybe[list[Name]] = UNSET


class SessionDefaults(Open, frozen=True):
    """Where a client that names no session ends up."""

    default_agent_id: Name
    main_key: Name
    main_session_key: Name
    scope: Name
    model_configured: Maybe[bool] = UNSET
    ownership: Maybe[Literal["sole", "legacy", "explicit"]] = UNSET
    selection_required: Maybe[bool] = UNSET


class Suspension(Open, frozen=True):
    """Whether the Gateway takes work (version 4)."""

    phase: Literal["accepting", "preparing", "draining", "prepared"]


_PRESENCE = {"type": "array", "items": {"$ref": "#/$defs/PresenceEntry"}}
_HEALTH = {"$ref": "#/$defs/Health"}


class Snapshot(Open, frozen=True):
    """The state a client starts from. `presence` and `health` are encoded once for all clients."""

    presence: Annotated[Raw, Meta(extra_json_schema=_PRESENCE)]
    health: Annotated[Raw, Meta(extra_json_schema=_HEALTH)]
    state_version: StateVersion
    uptime_ms: Count
    session_defaults: SessionDefaults
    config_path: Maybe[Name] = UNSET
    state_dir: Maybe[Name] = UNSET
    suspension: Maybe[Suspension] = UNSET
    auth_mode: Maybe[Literal["none", "token", "password", "trusted-proxy"]] = UNSET


class HelloAuth(Open, frozen=True):
    """What was granted. In version 3 it is there only together with a device token."""

    role: Name
    scopes: list[Name]
    device_token: Maybe[Name] = UNSET
    issued_at_ms: Maybe[Count] = UNSET
    method: Maybe[Name] = UNSET

    def __repr__(self) -> str:
        return f"HelloAuth(role={self.role!r}, scopes={self.scopes!r})"


class AttachmentPolicy(Open, frozen=True):
    """The largest attachments taken, in bytes (version 4)."""

    max_bytes: Positive
    max_image_bytes: Positive


class Policy(Open, frozen=True):
    """The limits of this connection, in bytes and milliseconds."""

    max_payload: Positive
    max_buffered_bytes: Positive
    tick_interval_ms: Positive
    attachments: Maybe[AttachmentPolicy] = UNSET


class HelloOk(Open, frozen=True):
    """The answer to `connect`."""

    protocol: Positive
    server: ServerInfo
    features: Features
    snapshot: Snapshot
    policy: Policy
    auth: Maybe[HelloAuth] = UNSET
    canvas_host_url: Maybe[Name] = UNSET
    plugin_surface_urls: Maybe[dict[str, Name]] = UNSET
    type: Literal["hello-ok"] = "hello-ok"
