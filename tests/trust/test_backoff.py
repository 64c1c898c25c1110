"""Addresses that fail to authenticate wait."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from clawgw.trust import backoff
from clawgw.trust.backoff import LOOPBACK_MAX_DELAY_MS, AuthBackoff, BackoffPolicy

HERE, THERE = "203.0.113.9", "203.0.113.10"


class Waiting(SynchronousTestCase):
    """How long, after how many failures."""

    def setUp(self) -> None:
        self.backoff = AuthBackoff(BackoffPolicy())
        self.now = 1_000_000

    def fail_times(self, count: int, **more: bool) -> int:
        """Fail, each time as soon as one is listened to; returns the wait after the last."""
        for _ in range(count):
            self.now += self.backoff.wait_ms(HERE, self.now)
            self.backoff.failed(HERE, self.now, **more)
        return self.backoff.wait_ms(HERE, self.now)

    def test_people_mistype(self) -> None:
        self.assertEqual([self.fail_times(1) for _ in range(4)], [0, 0, 0, 0])

    def test_every_further_failure_doubles_the_wait(self) -> None:
        self.fail_times(4)
        self.assertEqual(
            [self.fail_times(1) for _ in range(6)], [1000, 2000, 4000, 8000, 16000, 32000]
        )

    def test_the_wait_has_a_limit(self) -> None:
        self.assertEqual(self.fail_times(200), 300_000)

    def test_on_loopback_the_limit_is_short(self) -> None:
        self.assertEqual(self.fail_times(200, loopback=True), LOOPBACK_MAX_DELAY_MS)

    def test_moving_within_a_network_is_no_way_out(self) -> None:
        for number in range(8):
            self.backoff.failed(f"2001:db8::{number:x}", self.now)
        self.assertGreater(self.backoff.wait_ms("2001:db8::ffff", self.now), 0)
        self.assertEqual(self.backoff.wait_ms("2001:db8:0:1::1", self.now), 0)

    def test_an_address_in_ipv6_clothes_is_the_same_address(self) -> None:
        for _ in range(8):
            self.backoff.failed(f"::ffff:{HERE}", self.now)
        self.assertGreater(self.backoff.wait_ms(HERE, self.now), 0)
        self.assertEqual(self.backoff.wait_ms(THERE, self.now), 0)

    def test_it_passes(self) -> None:
        self.fail_times(5)
        self.assertEqual(self.backoff.wait_ms(HERE, self.now + 999), 1)
        self.assertEqual(self.backoff.wait_ms(HERE, self.now + 1000), 0)

    def test_others_do_not_wait(self) -> None:
        self.fail_times(50)
        self.assertEqual(self.backoff.wait_ms(THERE, self.now), 0)

    def test_failures_of_long_ago_do_not_count(self) -> None:
        self.fail_times(4)
        self.now += BackoffPolicy().window_ms
        self.assertEqual(self.fail_times(4), 0)

    def test_waiting_is_not_forgetting(self) -> None:
        """Who was made to wait for minutes goes on where it was, also when it comes back late."""
        self.fail_times(14)
        self.now += 300_000 + BackoffPolicy().window_ms - 1
        self.assertEqual(self.fail_times(1), 300_000)

    def test_a_right_credential_ends_it(self) -> None:
        self.fail_times(4)
        self.backoff.succeeded(HERE)
        self.assertEqual(self.fail_times(4), 0)

    def test_the_operators_numbers_count(self) -> None:
        self.backoff = AuthBackoff(BackoffPolicy(2, 10_000, 1500))
        self.assertEqual([self.fail_times(1) for _ in range(4)], [0, 1000, 1500, 1500])

    def test_memory_is_bounded_and_the_latest_are_kept(self) -> None:
        self.patch(backoff, "MAX_ADDRESSES", 100)
        self.fail_times(9)
        for number in range(1000):
            self.backoff.failed(f"2001:db8:0:{number:x}::1", self.now)
            if number % 50 == 0:
                self.backoff.failed(HERE, self.now)
        self.assertEqual(len(self.backoff._records), 100)
        self.assertGreater(self.backoff.wait_ms(HERE, self.now), 0)
