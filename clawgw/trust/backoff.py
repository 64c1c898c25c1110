"""Back-off of addresses that fail to authenticate.

The first few failures in a window cost nothing: people mistype. From then on every failure
doubles the time in which nobody at that address is listened to, right or wrong, whatever the
frame says: otherwise the wait would be an oracle. Attempts made while waiting count for nothing,
so a client that keeps trying does not lock its owner out for ever. On loopback, where a single
confused program would lock everybody out, the wait is kept short.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

LOOPBACK_MAX_DELAY_MS = 5_000
MAX_ADDRESSES = 10_000


class BackoffPolicy(NamedTuple):
    """How many failures in which window, and the longest wait; times in milliseconds."""

    max_attempts: int = 5
    window_ms: int = 60_000
    max_delay_ms: int = 300_000


class _Record(NamedTuple):
    failures: int
    last_ms: int
    blocked_until_ms: int


def _owner(address: str) -> str:
    """Who has an address: of IPv6 everybody has a network of 64 bits, and moves freely in it."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None or parsed.is_loopback:
        return str(parsed.ipv4_mapped or parsed)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False))


class AuthBackoff:
    """Failures by address. Bounded: the addresses heard of longest ago are forgotten first."""

    def __init__(self, policy: BackoffPolicy) -> None:
        self._policy = policy
        self._records: dict[str, _Record] = {}

    def wait_ms(self, address: str, now_ms: int) -> int:
        """How long this address is not listened to, from now; 0 if it is."""
        record = self._records.get(_owner(address))
        return max(0, record.blocked_until_ms - now_ms) if record else 0

    def failed(self, address: str, now_ms: int, *, loopback: bool = False) -> None:
        """Count a failure."""
        owner = _owner(address)
        old = self._records.pop(owner, None)
        recent = old is not None and now_ms - old.last_ms < self._memory_ms(old)
        failures = (old.failures if old and recent else 0) + 1
        delay = self._delay_ms(failures, loopback)
        self._records[owner] = _Record(failures, now_ms, now_ms + delay)
        if len(self._records) > MAX_ADDRESSES:
            del self._records[next(iter(self._records))]

    def succeeded(self, address: str) -> None:
        """A right credential ends the counting."""
        self._records.pop(_owner(address), None)

    def _memory_ms(self, record: _Record) -> int:
        return self._policy.window_ms + max(0, record.blocked_until_ms - record.last_ms)

    def _delay_ms(self, failures: int, loopback: bool) -> int:
        over = failures - self._policy.max_attempts
        if over < 0:
            return 0
        longest = self._policy.max_delay_ms
        if loopback:
            longest = min(longest, LOOPBACK_MAX_DELAY_MS)
        return int(min(longest, 1000 * 2 ** min(over, 20)))
