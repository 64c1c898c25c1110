"""What the commands print."""

from __future__ import annotations

import contextlib
import io

from twisted.trial.unittest import SynchronousTestCase

from clawgw.cli.output import ago, clean, facts, table


class Output(SynchronousTestCase):
    def printed(self, function: object, *arguments: object) -> str:
        assert callable(function)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            function(*arguments)
        return out.getvalue()

    def test_a_name_cannot_drive_the_terminal(self) -> None:
        self.assertEqual(clean("a\x1b[31mb\x07\u202e\u009b"), "a�[31mb���")
        self.assertEqual(clean("zwei\tWörter\n"), "zwei\tWörter\n")

    def test_a_pipe_gets_one_line_a_row(self) -> None:
        printed = self.printed(table, ["A", "B"], [["x\ty", None], [["p", "q"], True]])
        self.assertEqual(printed, "A\tB\nx y\t\np, q\tyes\n")

    def test_facts_leave_out_what_is_not_known(self) -> None:
        printed = self.printed(facts, [("One", 1), ("Nothing", None), ("Three", "x")])
        self.assertEqual(printed, "One:   1\nThree: x\n")

    def test_how_long_ago(self) -> None:
        now = 10_000_000.0
        times = (5, 125, 7_300, 200_000)
        self.assertEqual(
            [ago((now - seconds) * 1000, now) for seconds in times],
            ["just now", "2 min ago", "2 h ago", "2 d ago"],
        )
        self.assertEqual(ago(None), "")
