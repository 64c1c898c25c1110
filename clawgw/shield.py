"""Waiting for what must not be interrupted.

A cancel reaches whatever a coroutine waits for at that moment. That may be a change on its way to
the disk: it gets there all the same, but what has to follow it in memory would not happen. So here
the wait is cancelled, and the work is not.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

T = TypeVar("T")

_log = Logger()


def shielded(work: Deferred[T]) -> Deferred[T]:
    """A wait for some work: cancelled, it is over at once, and the work goes on.

    Of an error that nobody waits for any more, the type is in the log.
    """
    wait: Deferred[T] = Deferred()

    def ended(result: Any) -> None:
        if not wait.called:
            wait.callback(result)
        elif isinstance(result, Failure) and result.check(CancelledError) is None:
            _log.warn("{kind}, when nobody waited any more", kind=type(result.value).__name__)

    work.addBoth(ended)
    return wait


async def to_its_end(work: Deferred[T]) -> T:
    """Wait for some work until it has ended; a cancel is raised then, not before."""
    results: list[Any] = []
    cancelled = False
    wake: Deferred[None] = Deferred()

    def ended(result: Any) -> None:
        results.append(result)
        wake.callback(None)

    work.addBoth(ended)
    while not results:
        try:
            await wake
        except CancelledError:
            cancelled = True
            wake = Deferred()
    if cancelled:
        raise CancelledError
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return cast(T, results[0])
