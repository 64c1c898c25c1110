"""Methods of the Gateway itself: health, status, presence, talk mode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from clawgw.events import EventSink
from clawgw.health import HealthService
from clawgw.methods import Caller, MethodTable
from clawgw.presence import Presence
from clawgw.protocol import system as wire
from clawgw.protocol.base import given
from clawgw.trust.scopes import ADMIN, READ, TALK


@dataclass(frozen=True)
class SystemMethods:
    """The handlers."""

    health_service: HealthService
    presence: Presence
    events: EventSink
    now_ms: Callable[[], int]

    def register(self, table: MethodTable) -> None:
        """Add them to the table."""
        table.add("health", self.health, scope=READ)
        table.add("status", self.status, scope=READ)
        table.add("system-presence", self.system_presence, scope=READ)
        table.add("system-event", self.system_event, scope=ADMIN)
        table.add("talk.mode", self.talk_mode, scope=TALK)

    def health(self, _: Caller, __: Any) -> bytes:
        """How the Gateway is."""
        return self.health_service.encoded()

    def status(self, _: Caller, __: Any) -> wire.Status:
        """What an operator asks first."""
        return self.health_service.status()

    def system_presence(self, _: Caller, __: Any) -> bytes:
        """Who is there."""
        return self.presence.encoded()

    def system_event(self, _: Caller, params: wire.SystemEventParams) -> wire.Ok:
        """A beacon of an app, or a note."""
        self.presence.beacon(params)
        return wire.Ok()

    def talk_mode(self, _: Caller, params: wire.TalkModeParams) -> wire.TalkMode:
        """A talking client tells the others."""
        mode = wire.TalkMode(
            enabled=params.enabled, phase=given(params.phase, None), ts=self.now_ms()
        )
        self.events.publish("talk.mode", mode)
        return mode
