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
    remaining: int
    full_at: float


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

    def wait(self, route: str, major: str) -> float:
        """Seconds until a request may be made; when it is 0, the request is counted.

        Args:
            route: method and path, its variables unnamed.
            major: the channel, server or webhook it is about.
        """
        now = self._seconds()
        if now < self._stopped_until:
            return self._stopped_until - now
        bucket = self._buckets.get(self._key(route, major))
        if bucket is None or now >= bucket.full_at:
            return 0.0
        if bucket.remaining <= 0:
            return bucket.full_at - now
        bucket.remaining -= 1
        return 0.0

    def learn(self, route: str, major: str, headers: Headers) -> None:
        """Take in what an answer says."""
        name = headers.get("x-ratelimit-bucket")
        remaining = _number(headers.get("x-ratelimit-remaining"))
        after = _number(headers.get("x-ratelimit-reset-after"))
        if not name or remaining is None or after is None:
            return
        if len(self._names) < MANY:
            self._names[route] = name
        full_at = self._seconds() + max(0.0, after)
        self._forget()
        self._buckets[self._key(route, major)] = _Bucket(int(remaining), full_at)

    def stop(self, route: str, major: str, seconds: float, *, everywhere: bool) -> None:
        """A request was refused for so many seconds."""
        until = self._seconds() + seconds
        if everywhere:
            self._stopped_until = max(self._stopped_until, until)
        else:
            self._buckets[self._key(route, major)] = _Bucket(0, until)

    def _key(self, route: str, major: str) -> tuple[str, str]:
        return self._names.get(route, route), major

    def _forget(self) -> None:
        if len(self._buckets) < MANY:
            return
        now = self._seconds()
        for key in [key for key, one in self._buckets.items() if now >= one.full_at]:
            del self._buckets[key]


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < 1e9 else None
