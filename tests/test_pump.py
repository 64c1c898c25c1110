"""The pump: all of the work, in its order, without holding the reactor up."""

from __future__ import annotations

import time

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from clawgw import pump
from clawgw.pump import Pump


class Pumping(SynchronousTestCase):
    """A pump whose pieces take as long as the test says."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.now = 100.0
        self.done: list[int] = []
        self.patch(time, "perf_counter", lambda: self.now)
        self.pump: Pump[int] = Pump(self.clock, self.work)
        self.takes = 0.0

    def work(self, piece: int) -> None:
        self.now += self.takes
        if piece < 0:
            raise ValueError(piece)
        self.done.append(piece)

    def test_what_is_quick_is_done_at_once(self) -> None:
        self.pump.add(range(1000))
        self.assertEqual(self.done, list(range(1000)))
        self.assertEqual((len(self.pump), self.clock.getDelayedCalls()), (0, []))

    def test_what_takes_long_is_done_in_slices(self) -> None:
        self.takes = pump.SLICE_SECONDS * 0.6
        self.pump.add(range(5))
        self.assertEqual((self.done, len(self.pump)), ([0, 1], 3))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(0)
        self.assertEqual(self.done, [0, 1, 2, 3, 4])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_comes_meanwhile_waits_its_turn(self) -> None:
        self.takes = pump.SLICE_SECONDS * 2
        self.pump.add([1, 2])
        self.pump.add([3])
        self.assertEqual(self.done, [1])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.pump([0, 0])
        self.assertEqual(self.done, [1, 2, 3])

    def test_a_piece_may_bring_more(self) -> None:
        def work(piece: int) -> None:
            self.done.append(piece)
            if piece < 3:
                more.add([piece + 1])
                self.done.append(-piece)

        more: Pump[int] = Pump(self.clock, work)
        more.add([1])
        self.assertEqual(self.done, [1, -1, 2, -2, 3])

    def test_one_that_fails_is_logged_and_the_next_is_done(self) -> None:
        self.pump.add([1, -1, 2])
        self.assertEqual(self.done, [1, 2])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_what_waits_can_be_forgotten(self) -> None:
        self.takes = pump.SLICE_SECONDS * 2
        self.pump.add([1, 2, 3])
        self.pump.clear()
        self.clock.advance(0)
        self.pump.add([4])
        self.assertEqual(self.done, [1, 4])
