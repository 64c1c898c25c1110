"""How much of what others say gets into the log."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from clawgw import loglimit
from clawgw.loglimit import LineLimit


class LineLimitTests(SynchronousTestCase):
    """So many lines a minute, and a word about the others."""

    def setUp(self) -> None:
        self.patch(loglimit, "MOST_LINES", 3)
        self.clock = Clock()
        self.remarks: list[str] = []
        self.limit = LineLimit(self.clock, self.remarks.append)

    def admitted(self, lines: int) -> int:
        """How many of so many lines are written."""
        return sum(self.limit.admits() for _ in range(lines))

    def test_a_few_lines_pass(self) -> None:
        self.assertEqual(self.admitted(3), 3)
        self.limit.close()
        self.assertEqual(self.remarks, [])

    def test_what_is_too_much_is_counted_and_said(self) -> None:
        self.assertEqual(self.admitted(10), 3)
        self.assertEqual(self.remarks, ["says too much; for a while the rest is not logged"])
        self.limit.close()
        self.assertEqual(self.remarks[1:], ["7 lines were not logged"])

    def test_every_minute_begins_anew(self) -> None:
        self.admitted(5)
        self.clock.advance(loglimit.SECONDS - 1)
        self.assertEqual(self.admitted(1), 0)
        self.clock.advance(1)
        self.assertEqual(self.admitted(5), 3)
        self.assertEqual(self.remarks[1], "3 lines were not logged")

    def test_what_was_said_is_not_said_again(self) -> None:
        self.admitted(5)
        self.limit.close()
        self.limit.close()
        self.assertEqual(self.remarks[1:], ["2 lines were not logged"])
