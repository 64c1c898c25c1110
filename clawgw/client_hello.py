"""What a Gateway says when it lets a client in, read with forgiveness.

A Gateway that leaves something out, or announces nonsense, is taken as far as can be lived with;
only one that speaks a version we did not ask for is none of ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from clawgw.client_connect import ClientOptions

__all__ = ["Hello", "read_hello"]


@dataclass(frozen=True)
class Hello:
    """What the Gateway said when it let us in; ``payload`` is all of it."""

    protocol: int
    server_version: str
    conn_id: str
    role: str
    scopes: tuple[str, ...]
    methods: frozenset[str]
    tick_interval: float
    payload: dict[str, Any] = field(repr=False)

    @property
    def device_token(self) -> Any:
        """The token this device is to use from now on, if the Gateway gave one."""
        return _part(self.payload, "auth").get("deviceToken")


def read_hello(payload: Any, options: ClientOptions) -> Hello | None:
    """The hello in an answer to ``connect``; None when it is none of those we asked for."""
    if not isinstance(payload, dict) or payload.get("type") != "hello-ok":
        return None
    version = payload.get("protocol")
    if not isinstance(version, int) or not options.min_protocol <= version <= options.max_protocol:
        return None
    server, auth = _part(payload, "server"), _part(payload, "auth")
    methods = _part(payload, "features").get("methods")
    scopes = auth.get("scopes")
    tick = _part(payload, "policy").get("tickIntervalMs")
    return Hello(
        protocol=version,
        server_version=str(server.get("version", "")),
        conn_id=str(server.get("connId", "")),
        role=str(auth.get("role", options.role)),
        scopes=tuple(map(str, scopes)) if isinstance(scopes, list) else tuple(options.scopes),
        methods=frozenset(map(str, methods)) if isinstance(methods, list) else frozenset(),
        # A Gateway that announces nonsense is held to something that can be lived with.
        tick_interval=min(max(tick / 1000, 1.0), 600.0) if isinstance(tick, (int, float)) else 30.0,
        payload=payload,
    )


def _part(payload: dict[str, Any], name: str) -> dict[str, Any]:
    part = payload.get(name)
    return part if isinstance(part, dict) else {}
