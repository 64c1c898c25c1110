"""Health and status: how the Gateway is.

`health` is asked for all the time, so its answer is kept as JSON until a session changes or a
minute has passed. `status` is for a person and is made when asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import UNSET

from clawgw.channels.providers import PROVIDERS
from clawgw.protocol import system as wire
from clawgw.protocol.frames import encode
from clawgw.sessions.book import SessionBook

LIFETIME_MS = 60_000

_NO_HEARTBEAT = wire.HeartbeatInfo(
    enabled=False, every="0m", every_ms=None, prompt="", target="none", ack_max_chars=0
)


class HealthService:
    """Answers `health` and `status`.

    Args:
        book: the sessions.
        agents: id and name of each agent; None for one without a name.
        now_ms: the time, in milliseconds since the epoch.
        run_counts: how many runs are going on, and how many wait.
        connections: how many clients are connected.
        started_ms: when the Gateway started.

    Attributes:
        channels, channel_summary: how the channels are doing, for `health` and for `status`.
    """

    def __init__(
        self,
        book: SessionBook,
        agents: Sequence[tuple[str, str | None]],
        now_ms: Callable[[], int],
        run_counts: Callable[[], tuple[int, int]],
        connections: Callable[[], int],
        version: str,
        started_ms: int,
    ) -> None:
        self.channels: Callable[[], dict[str, Any]] = dict
        self.channel_summary: Callable[[], list[str]] = list
        self._book = book
        self._agents = agents
        self._now_ms = now_ms
        self._run_counts = run_counts
        self._connections = connections
        self._version = version
        self._started_ms = started_ms
        self._encoded = b""
        self._book_edition = -1
        self._made_ms = 0
        self.edition = 0

    def encoded(self) -> bytes:
        """`health` as JSON."""
        now = self._now_ms()
        if self._book_edition != self._book.edition or now - self._made_ms > LIFETIME_MS:
            self._book_edition = self._book.edition
            self._made_ms = now
            self._encoded = encode(self._make(now))
            self.edition += 1
        return self._encoded

    def changed(self) -> None:
        """A channel is doing otherwise than before."""
        self._made_ms = 0

    def uptime_ms(self) -> int:
        """Milliseconds since the start."""
        return max(0, self._now_ms() - self._started_ms)

    def status(self) -> wire.Status:
        """What an operator asks first."""
        book = self._book
        default = book.keys.default_agent
        sessions = book.info()
        running, queued = self._run_counts()
        return wire.Status(
            runtime_version=self._version,
            heartbeat=wire.HeartbeatStatus(
                default_agent_id=default,
                agents=[
                    wire.HeartbeatStatusEntry(
                        agent_id=agent_id, enabled=False, every="0m", every_ms=None
                    )
                    for agent_id, _ in self._agents
                ],
            ),
            channel_summary=self.channel_summary(),
            queued_system_events=[],
            sessions=wire.SessionsStatus(
                paths=[book.path],
                count=sessions.count,
                defaults=book.defaults(),
                recent=sessions.recent,
                by_agent=[self._agent_sessions(agent_id) for agent_id, _ in self._agents],
            ),
            pid=os.getpid(),
            uptime_ms=self.uptime_ms(),
            process_memory=wire.ProcessMemory(rss_bytes=resident_bytes()),
            active_runs=running,
            queued_runs=queued,
            connections=self._connections(),
        )

    def _agent_sessions(self, agent_id: str) -> wire.AgentSessions:
        info = self._book.info(agent_id)
        return wire.AgentSessions(
            agent_id=agent_id, path=info.path, count=info.count, recent=info.recent
        )

    def _make(self, now: int) -> wire.Health:
        default = self._book.keys.default_agent
        channels = self.channels()
        return wire.Health(
            ts=now,
            duration_ms=max(0, self._now_ms() - now),
            channels=channels,
            channel_order=list(channels),
            channel_labels={
                provider.id: provider.label for provider in PROVIDERS if provider.id in channels
            },
            heartbeat_seconds=0,
            default_agent_id=default,
            agents=[
                wire.AgentHealth(
                    agent_id=agent_id,
                    name=name or UNSET,
                    is_default=agent_id == default,
                    heartbeat=_NO_HEARTBEAT,
                    sessions=self._book.info(agent_id),
                )
                for agent_id, name in self._agents
            ],
            sessions=self._book.info(),
        )


def resident_bytes() -> int:
    """Resident memory of this process in bytes; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
