"""Discord's rate limits, kept by reading its answers: nothing about them is written down here.

An answer names the bucket its request counted in, how many more it takes and when it is full
again. Requests that may share a bucket (the same route, the same channel or webhook) wait until
it has room. Only when a 429 comes all the same is a request late; the global one stops everything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clawgw.channels.http import Headers

MANY = 1000
"""So many buckets are remembered; those that are full again are forgotten first."""


@dataclass
class _Bucket:
    """How many requests may be made, until when, and how it goes on then."""

    limit: int
    remaining: int
    full_at: float
    period: float

    def refill(self, now: float) -> None:
        if now >= self.full_at:
            self.remaining = self.limit
            self.full_at = now + self.period


class Limits:
    """Knows when a request may be made.

    Args:
        seconds: the time, from any beginning.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._names: dict[str, str] = {}
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._stopped_until = 0.0

    @property
    def stopped(self) -> bool:
        """Whether every request has to wait, whatever it is about."""
        return self._seconds() < self._stopped_until

    def wait(self, route: str, major: str) -> float:
        """Seconds until it is worth asking again; 0: make the request, it has been counted.

        Args:
            route: method and path, its variables unnamed.
            major: the channel, server or webhook it is about.
        """
        now = self._seconds()
        if self.stopped:
            return self._stopped_until - now
        bucket = self._buckets.get(self._key(route, major))
        if bucket is None:
            return 0.0
        bucket.refill(now)
        if bucket.remaining <= 0:
            return bucket.full_at - now
        bucket.remaining -= 1
        return 0.0

    def learn(self, route: str, major: str, headers: Headers) -> None:
        """Take in what an answer says. Requests still under way are not in it, but were counted."""
        name = headers.get("x-ratelimit-bucket")
        limit = _number(headers.get("x-ratelimit-limit"))
        remaining = _number(headers.get("x-ratelimit-remaining"))
        after = _number(headers.get("x-ratelimit-reset-after"))
        if not name or not limit or remaining is None or after is None:
            return
        if len(self._names) < MANY:
            self._names[route] = name
        now = self._seconds()
        key = self._key(route, major)
        old = self._buckets.get(key)
        left, period = int(remaining), after
        if old is not None:
            period = max(old.period, after)
            if now < old.full_at:
                left = min(left, old.remaining)
        self._forget(now)
        self._buckets[key] = _Bucket(int(limit), left, now + after, period)

    def stop(self, route: str, major: str, seconds: float, *, everywhere: bool) -> None:
        """A request was refused for so many seconds."""
        until = self._seconds() + seconds
        if everywhere:
            self._stopped_until = max(self._stopped_until, until)
            return
        key = self._key(route, major)
        old = self._buckets.get(key)
        limit, period = (old.limit, old.period) if old else (1, 0.0)
        self._buckets[key] = _Bucket(limit, 0, until, period)

    def _key(self, route: str, major: str) -> tuple[str, str]:
        return self._names.get(route, route), major

    def _forget(self, now: float) -> None:
        if len(self._buckets) < MANY:
            return
        for key in [key for key, one in self._buckets.items() if now >= one.full_at]:
            del self._buckets[key]


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < 1e9 else None
