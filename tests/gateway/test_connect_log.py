"""The connection log, when few come and when many do."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from clawgw.gateway.connect_log import LINES_PER_SECOND, ConnectLog


class ConnectLogTests(SynchronousTestCase):
    """Lines, by the second."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.lines: list[str] = []
        self.made = 0
        self.log = ConnectLog(self.clock, self.write)

    def write(self, text: str, **fields: Any) -> None:
        self.lines.append(text.format(**fields))

    def connect(self, times: int = 1) -> None:
        def fields() -> tuple[str, dict[str, Any]]:
            self.made += 1
            return "{conn} connected", {"conn": f"conn-{self.made}"}

        for _ in range(times):
            self.log.line(fields)

    def test_a_line_each(self) -> None:
        self.connect(3)
        self.clock.advance(2)
        self.assertEqual(self.lines, [f"conn-{n} connected" for n in (1, 2, 3)])

    def test_many_in_a_second_share_a_line(self) -> None:
        self.connect(LINES_PER_SECOND + 500)
        self.assertEqual(len(self.lines), LINES_PER_SECOND)
        self.clock.advance(1)
        self.assertEqual(len(self.lines), LINES_PER_SECOND + 1)
        self.assertIn("500 more", self.lines[-1])
        self.assertEqual(self.made, LINES_PER_SECOND, "a line that is not written is not made")

    def test_the_next_second_begins_anew(self) -> None:
        self.connect(LINES_PER_SECOND + 1)
        self.clock.advance(1)
        self.lines.clear()
        self.connect(LINES_PER_SECOND)
        self.assertEqual(len(self.lines), LINES_PER_SECOND)
        self.clock.advance(1)
        self.assertEqual(len(self.lines), LINES_PER_SECOND, "nothing was left out")

    def test_quiet_needs_no_timer(self) -> None:
        self.connect()
        self.clock.advance(1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_says_what_is_left(self) -> None:
        self.connect(LINES_PER_SECOND + 2)
        self.log.stop()
        self.assertIn("2 more", self.lines[-1])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.log.stop()
        self.assertEqual(len(self.lines), LINES_PER_SECOND + 1)
