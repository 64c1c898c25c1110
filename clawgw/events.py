"""Events: which there are, who may hear them, which a slow reader may miss.

Domain packages publish through an `EventSink`; the Gateway's edge delivers. The payload of an
event is encoded once, or once per protocol version where the versions differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from clawgw.protocol.frames import StateVersion
from clawgw.trust import scopes


class EventRule(NamedTuple):
    """`scope`: who may hear it; None: everybody, nodes too; `node`: nodes, each its own only.

    `min_version`: since when.
    """

    scope: str | None
    min_version: int = 3


RULES: dict[str, EventRule] = {
    "connect.challenge": EventRule(None),
    "agent": EventRule(scopes.READ),
    "chat": EventRule(scopes.READ),
    "presence": EventRule(scopes.READ),
    "tick": EventRule(None),
    "talk.mode": EventRule(scopes.READ),
    "shutdown": EventRule(None),
    "health": EventRule(scopes.READ),
    "sessions.changed": EventRule(scopes.READ, min_version=4),
    "device.pair.requested": EventRule(scopes.PAIRING),
    "device.pair.resolved": EventRule(scopes.PAIRING),
    "node.pair.requested": EventRule(scopes.PAIRING),
    "node.pair.resolved": EventRule(scopes.PAIRING),
    "node.invoke.request": EventRule(scopes.NODE),
    "node.invoke.cancel": EventRule(scopes.NODE, min_version=4),
    "node.hostStats": EventRule(scopes.READ, min_version=4),
    "exec.approval.requested": EventRule(scopes.APPROVALS),
    "exec.approval.resolved": EventRule(scopes.APPROVALS),
    "channel.pair.requested": EventRule(scopes.PAIRING),
    "channel.pair.resolved": EventRule(scopes.PAIRING),
}


AUDIBLE_TO_TOOLS = frozenset({"shutdown"})
"""What a tool of an agent hears. Everything else it asks for."""

SendTo = Callable[[str, str, Any], bool]
"""Sends an event to one connection: its id, the event's name, the payload. False: it is gone."""


class EventSink(Protocol):
    """Where domain packages publish."""

    def publish(
        self,
        name: str,
        payload: Any,
        *,
        v3: Any = None,
        droppable: bool = False,
        cap: str | None = None,
        state_version: StateVersion | None = None,
        only_version: int | None = None,
    ) -> None:
        """Send an event to everybody who may hear it.

        Args:
            name: one of `RULES`.
            payload: what is sent; to version 3 clients too, unless `v3` is given.
            droppable: a slow reader goes without.
            cap: only clients that declared this capability.
            state_version: goes with presence and health.
            only_version: only clients of this protocol version.
        """


def audible_events(version: int, role: str, granted: frozenset[str]) -> frozenset[str]:
    """The events a connection may hear."""
    return frozenset(
        name
        for name, rule in RULES.items()
        if version >= rule.min_version and _may_hear(rule.scope, role, granted)
    )


def _may_hear(scope: str | None, role: str, granted: frozenset[str]) -> bool:
    if scope is None or scope == scopes.NODE:
        return scope is None or role == scopes.NODE
    return role == scopes.OPERATOR and scopes.covers(granted, scope)
