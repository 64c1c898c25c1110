"""Many small pieces of work on the reactor, in their order, without holding it up.

What is added is done one after the other for a few milliseconds; then the reactor gets its turn,
and the pump goes on where it was. A piece that raises is logged, and the next one is done.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from twisted.logger import Logger

T = TypeVar("T")

SLICE_SECONDS = 0.005


class Pump(Generic[T]):
    """Does one kind of work.

    Args:
        reactor: gives the next turn.
        handle: does one piece.
    """

    log = Logger()

    def __init__(self, reactor: Any, handle: Callable[[T], None]) -> None:
        self._reactor = reactor
        self._handle = handle
        self._waiting: deque[T] = deque()
        self._scheduled = False
        self._busy = False

    def __len__(self) -> int:
        """How many pieces wait."""
        return len(self._waiting)

    def add(self, pieces: Iterable[T]) -> None:
        """Take work up; what can be done at once is."""
        self._waiting.extend(pieces)
        if not self._scheduled and not self._busy:
            self._go()

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()

    def _go(self) -> None:
        self._scheduled = False
        self._busy = True
        end = time.perf_counter() + SLICE_SECONDS
        while self._waiting:
            piece = self._waiting.popleft()
            try:
                self._handle(piece)
            except Exception:  # noqa: BLE001 - the next piece is not to blame
                self.log.failure("in a piece of work")
            if self._waiting and time.perf_counter() > end:
                self._scheduled = True
                self._reactor.callLater(0, self._go)
                break
        self._busy = False
