"""The log of who connected, readable also when somebody reconnects in a loop.

The first few connections of a second have a line each; the others of that second share one line
that counts them. Refusals are treated alike, so that nobody can fill the disk by being refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

LINES_PER_SECOND = 10


class ConnectLog:
    """Writes at most so many lines a second, and how many it left out.

    Args:
        reactor: for the second.
        write: the log, called as `write(format, **fields)`.
    """

    def __init__(self, reactor: IReactorTime, write: Callable[..., Any]) -> None:
        self._reactor = reactor
        self._write = write
        self._written = 0
        self._left_out = 0
        self._second_over: Any = None

    def line(self, fields: Callable[[], tuple[str, dict[str, Any]]]) -> None:
        """Write a line, unless there were too many; `fields` makes its format and fields."""
        if self._second_over is None:
            self._second_over = self._reactor.callLater(1.0, self._next_second)
        if self._written >= LINES_PER_SECOND:
            self._left_out += 1
            return
        self._written += 1
        text, named = fields()
        self._write(text, **named)

    def stop(self) -> None:
        """Write what is left to say."""
        if self._second_over is not None:
            self._second_over.cancel()
            self._next_second()

    def _next_second(self) -> None:
        self._second_over = None
        if self._left_out:
            self._write("… and {count} more connections in this second", count=self._left_out)
        self._written = self._left_out = 0
