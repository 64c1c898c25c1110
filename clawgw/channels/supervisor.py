"""Supervision: an account's adapter is run, and run again, without touching the others.

A connection that breaks is made again after a pause that doubles up to five minutes, with some
chance in it, so that many do not come back at once; the provider's own waiting time wins. After a
connection that stood for a minute the pauses begin anew. What no waiting mends (a wrong token, a
login that was revoked) is said once, and the account rests until its configuration changes or
somebody logs in.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Literal

import msgspec
from twisted.internet.defer import Deferred, TimeoutError
from twisted.logger import Logger

from clawgw.channels.adapter import Adapter, Fatal, Fault, LoggedOut, clause
from clawgw.store.database import StoreError

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0
STEADY_SECONDS = 60.0
STOP_SECONDS = 10.0

Health = Literal["stopped", "starting", "healthy", "reconnecting", "failed", "logged-out"]


class AccountStatus(msgspec.Struct, kw_only=True):
    """How an account is doing; times in milliseconds. Changed in place by the supervisor."""

    running: bool = False
    connected: bool = False
    health: Health = "stopped"
    reconnect_attempts: int = 0
    last_error: str | None = None
    warning: str | None = None
    details: dict[str, str] = msgspec.field(default_factory=dict)
    last_start_at: int | None = None
    last_stop_at: int | None = None
    last_connected_at: int | None = None
    last_inbound_at: int | None = None
    last_outbound_at: int | None = None


class Supervisor:
    """Runs one adapter.

    Args:
        reactor: for pauses.
        adapter: what is run.
        status: where it shows how it is doing.
        changed: told after every change of the status.
        now_ms: the time, in milliseconds since the epoch.
    """

    def __init__(
        self,
        reactor: Any,
        adapter: Adapter[Any],
        status: AccountStatus,
        changed: Callable[[], None],
        now_ms: Callable[[], int],
        log: Logger,
    ) -> None:
        self._reactor = reactor
        self._adapter = adapter
        self._status = status
        self._changed = changed
        self._now_ms = now_ms
        self._log = log
        self._life: Deferred[None] | None = None
        self._cancelled: Deferred[None] | None = None
        self._timer: Any = None
        self._wanted = False

    def start(self) -> None:
        """Begin, or begin again after a failure that no waiting mends."""
        self._wanted = True
        if self._life is None:
            self._cancel_timer()
            self._status.last_start_at = self._now_ms()
            self._status.reconnect_attempts = 0
            self._begin()

    async def stop(self) -> None:
        """End the connection; returns when it has cleaned up, or takes too long to."""
        self._wanted = False
        self._cancel_timer()
        life = self._life
        if life is not None:
            await self._end(life)
        if not self._wanted:
            self._set(running=False, connected=False, health="stopped", last_stop_at=self._now_ms())

    def connected(self, details: dict[str, str]) -> None:
        """The adapter says that its connection stands."""
        self._log.info("connected{as_}", as_=_named(details))
        self._set(
            connected=True, health="healthy", last_error=None, warning=None, details=details,
            last_connected_at=self._now_ms(),
        )  # fmt: skip

    # One life after the other

    async def _end(self, life: Deferred[None]) -> None:
        gone: Deferred[None] = Deferred()
        life.addBoth(lambda _: gone.callback(None))
        if self._cancelled is not life:  # a second time would cancel its cleaning up
            self._cancelled = life
            life.cancel()
        gone.addTimeout(STOP_SECONDS, self._reactor)
        try:
            await gone
        except TimeoutError:
            self._log.error("did not stop within {seconds:g} s", seconds=STOP_SECONDS)

    def _begin(self) -> None:
        self._timer = None
        health: Health = "reconnecting" if self._status.reconnect_attempts else "starting"
        self._set(running=True, health=health)
        life = self._life = Deferred.fromCoroutine(self._adapter.run())
        life.addCallbacks(lambda _: 0.0, self._broken)
        life.addCallback(self._ended)
        life.addErrback(lambda failure: self._log.failure("while supervising", failure))

    def _ended(self, pause: float | None) -> None:
        self._life = None
        status = self._status
        if status.connected and self._steady():
            status.reconnect_attempts = 0
        self._set(connected=False)
        if not self._wanted or pause is None:
            self._set(running=False)
            return
        status.reconnect_attempts += 1
        if status.reconnect_attempts > 1 and pause == 0.0 and not self._steady():
            pause = FIRST_PAUSE  # it ends as soon as it has begun
        self._timer = self._reactor.callLater(pause, self._begin)

    def _broken(self, failure: Any) -> float | None:
        """How long to wait before the next life; None: for ever."""
        problem = failure.value
        if self._cancelled is self._life:
            return 0.0  # we ended it ourselves
        if isinstance(problem, Fatal):
            health: Health = "logged-out" if isinstance(problem, LoggedOut) else "failed"
            self._log.error("stopped: {why}", why=str(problem))
            self._set(health=health, last_error=str(problem))
            return None
        pause = self._pause()
        if isinstance(problem, Fault):
            if problem.retry_after is not None:
                pause = max(0.0, problem.retry_after)
            why = str(problem)
        elif isinstance(problem, StoreError):
            why = str(problem)
        else:
            self._log.failure("the adapter failed", failure)
            why = f"the adapter failed: {type(problem).__name__}"
        self._log.warn("{why}; trying again in {pause:.0f} s", why=clause(why), pause=pause)
        self._set(health="reconnecting", last_error=why)
        return pause

    def _pause(self) -> float:
        tries = 0 if self._steady() else self._status.reconnect_attempts
        longest: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(tries, 20))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret

    def _steady(self) -> bool:
        since = self._status.last_connected_at
        if not self._status.connected or since is None:
            return False
        return self._now_ms() - since >= STEADY_SECONDS * 1000

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _set(self, **changes: Any) -> None:
        for name, value in changes.items():
            setattr(self._status, name, value)
        self._changed()


def _named(details: dict[str, str]) -> str:
    name = details.get("name")
    return f" as {name}" if name else ""
