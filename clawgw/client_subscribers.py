"""Who hears a Gateway's events, on the client's side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

__all__ = ["EventCallback", "GapCallback", "Subscribers", "ignore"]

EventCallback = Callable[[str, Any, int | None], object]
"""Called with the event's name, its payload and its ``seq`` (None where it has none)."""

GapCallback = Callable[[int, int], object]
"""Called with the ``seq`` that was due and the one that came."""


class Subscribers:
    """Who hears the events. Outlives connections; a subscriber's fault stays its own."""

    _log = Logger()

    def __init__(self) -> None:
        self._events: list[EventCallback] = []
        self._gaps: list[GapCallback] = []

    def add(self, callback: EventCallback) -> Callable[[], None]:
        return self._add(self._events, callback)

    def add_gap(self, callback: GapCallback) -> Callable[[], None]:
        return self._add(self._gaps, callback)

    def event(self, name: str, payload: Any, seq: int | None) -> None:
        for callback in tuple(self._events):
            self.call(callback, name, payload, seq)

    def gap(self, expected: int, received: int) -> None:
        for callback in tuple(self._gaps):
            self.call(callback, expected, received)

    def call(self, callback: Callable[..., object], *args: Any) -> None:
        """Call a callback of the user's and log what it raises."""
        try:
            callback(*args)
        except Exception:  # noqa: BLE001 - it is not ours, and it must not end the connection
            self._log.failure("A callback of the Gateway client failed")

    @staticmethod
    def _add(callbacks: list[Any], callback: Any) -> Callable[[], None]:
        callbacks.append(callback)

        def remove() -> None:
            if callback in callbacks:
                callbacks.remove(callback)

        return remove


def ignore(_: Any) -> None:
    """A callback for those who want none."""
