"""Announcements: what everybody who is connected is told of the Gateway itself, by events.

A tick says that it lives. Presence says who else is there, health how it is; each goes with the
edition it is at, so that a client sees whether it has missed one. Many changes at once are one
event. What a slow reader misses it can ask for, so all of them are droppable, but for the goodbye.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Raw

from clawgw.events import EventSink
from clawgw.health import HealthService
from clawgw.presence import Presence
from clawgw.protocol.frames import StateVersion
from clawgw.protocol.system import PresenceEvent, ShutdownEvent, TickEvent

PRESENCE_GATHER_SECONDS = 0.05
HEALTH_GATHER_SECONDS = 1.0


class Announcements:
    """Tells everybody.

    Args:
        reactor: for gathering changes.
        events: where it is told.
        now_ms: the time, in milliseconds since the epoch.

    Attributes:
        presence, health: what is told; set before anything else here is used.
    """

    presence: Presence
    health: HealthService

    def __init__(self, reactor: Any, events: EventSink, now_ms: Callable[[], int]) -> None:
        self._events = events
        self._now_ms = now_ms
        self._presence = _Gathered(reactor, PRESENCE_GATHER_SECONDS, self._publish_presence)
        self._health = _Gathered(reactor, HEALTH_GATHER_SECONDS, self.publish_health)

    def state_version(self) -> StateVersion:
        """The editions presence and health are at."""
        return StateVersion(presence=self.presence.edition, health=self.health.edition)

    def tick(self) -> None:
        """The Gateway lives."""
        self.presence.refresh()
        self._events.publish("tick", TickEvent(ts=self._now_ms()), droppable=True)

    def presence_changed(self) -> None:
        """Somebody came or went, or said how they are."""
        self._presence.soon()

    def channels_changed(self) -> None:
        """A channel is doing otherwise than before."""
        self.health.changed()
        self._health.soon()

    def publish_health(self) -> None:
        """How the Gateway is."""
        self._events.publish(
            "health",
            Raw(self.health.encoded()),
            droppable=True,
            state_version=self.state_version(),
        )

    def _publish_presence(self) -> None:
        self._events.publish(
            "presence",
            PresenceEvent(presence=self.presence.entries()),
            droppable=True,
            state_version=self.state_version(),
        )

    def goodbye(self) -> None:
        """The Gateway stops."""
        self._events.publish("shutdown", ShutdownEvent(reason="service stopping"))

    def stop(self) -> None:
        """Gather nothing more."""
        self._presence.stop()
        self._health.stop()


class _Gathered:
    """Work that is done once for all who want it within some seconds."""

    def __init__(self, reactor: Any, seconds: float, work: Callable[[], None]) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._work = work
        self._call: Any = None
        self._stopped = False

    def soon(self) -> None:
        if self._call is None and not self._stopped:
            self._call = self._reactor.callLater(self._seconds, self._do)

    def stop(self) -> None:
        self._stopped = True
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _do(self) -> None:
        self._call = None
        self._work()
