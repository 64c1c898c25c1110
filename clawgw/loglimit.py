"""How much somebody who is not ours may have written to the log.

A child that says too much, or sends nothing but rubbish, must not fill the disk: so many lines a
minute are written, the others are counted. That lines are missing is said at once, how many there
were as soon as another minute begins with a line, or at the end.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

MOST_LINES = 300
SECONDS = 60.0


class LineLimit:
    """The lines of one source.

    Args:
        clock: knows the time.
        report: writes a remark about the lines that are missing.
    """

    def __init__(self, clock: IReactorTime, report: Callable[[str], None]) -> None:
        self._clock = clock
        self._report = report
        self._until = 0.0
        self._left = 0
        self._dropped = 0

    def admits(self) -> bool:
        """Whether one more line may be written; it has been counted."""
        now = self._clock.seconds()
        if now >= self._until:
            self.close()
            self._until, self._left = now + SECONDS, MOST_LINES
        if self._left > 0:
            self._left -= 1
            return True
        if not self._dropped:
            self._report("says too much; for a while the rest is not logged")
        self._dropped += 1
        return False

    def close(self) -> None:
        """The end, for now: say how many lines are missing, if any are."""
        if self._dropped:
            self._report(f"{self._dropped} lines were not logged")
        self._dropped = 0
