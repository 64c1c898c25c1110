"""Supervision: run again and again, with pauses that grow, until there is no use."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels import supervisor
from clawgw.channels.adapter import Adapter, Fatal, Fault, LoggedOut
from clawgw.channels.supervisor import AccountStatus, Supervisor
from clawgw.store.database import StoreError
from tests.support.memory import MsClock


class Runner:
    """An adapter, as far as a supervisor sees it.

    Attributes:
        lives: one Deferred for each life; firing it ends that life.
        cleaning: what a cancelled life waits for before it is over.
    """

    def __init__(self) -> None:
        self.lives: list[Deferred[None]] = []
        self.cleaning: Deferred[None] | None = None
        self.cancelled = 0
        self.at_once: Any = None

    async def run(self) -> None:
        if self.at_once is not None:
            self.lives.append(Deferred())
            if isinstance(self.at_once, Exception):
                raise self.at_once
            return
        life: Deferred[None] = Deferred()
        self.lives.append(life)
        try:
            await life
        except CancelledError:
            self.cancelled += 1
            if self.cleaning is not None:
                await self.cleaning
            raise


class Case(SynchronousTestCase):
    """A supervisor whose chance is as the test says."""

    chance = 1.0

    def setUp(self) -> None:
        self.clock = MsClock()
        self.patch(supervisor.random, "uniform", self.uniform)
        self.runner = Runner()
        adapter: Adapter[Any] = self.runner  # type: ignore[assignment]
        self.status = AccountStatus()
        self.changes = 0
        self.supervisor = Supervisor(
            self.clock, adapter, self.status, self.changed, self.clock.now_ms, Logger()
        )

    def uniform(self, least: float, most: float) -> float:
        self.assertEqual((least, most), (0.5, 1.0))
        return self.chance

    def changed(self) -> None:
        self.changes += 1

    def end(self, problem: Exception | None = None) -> None:
        """End the life that goes on."""
        life = self.runner.lives[-1]
        if problem is None:
            life.callback(None)
        else:
            life.errback(problem)

    def connect(self) -> None:
        self.supervisor.connected({"name": "toybot"})

    def stop(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.supervisor.stop())

    def pause(self) -> float:
        """For how long it waits now; then that time passes."""
        before = len(self.runner.lives)
        (call,) = self.clock.getDelayedCalls()
        pause = call.getTime() - self.clock.seconds()
        self.clock.advance(max(0.0, pause))
        self.assertEqual(len(self.runner.lives), before + 1)
        return round(pause, 3)


class Living(Case):
    """One life."""

    def test_it_starts(self) -> None:
        self.supervisor.start()
        self.assertEqual((self.status.running, self.status.health), (True, "starting"))
        self.assertEqual(self.status.last_start_at, self.clock.now_ms())

    def test_it_connects(self) -> None:
        self.supervisor.start()
        self.status.last_error, self.status.warning = "old", "old"
        self.connect()
        status = self.status
        self.assertEqual((status.connected, status.health), (True, "healthy"))
        self.assertEqual((status.last_error, status.warning), (None, None))
        self.assertEqual(status.details, {"name": "toybot"})
        self.assertTrue(self.changes)

    def test_a_second_start_changes_nothing(self) -> None:
        self.supervisor.start()
        self.supervisor.start()
        self.assertEqual(len(self.runner.lives), 1)

    def test_what_ends_well_is_run_again_at_once(self) -> None:
        self.supervisor.start()
        self.connect()
        self.end()
        self.assertFalse(self.status.connected)
        self.assertEqual(self.pause(), 0.0)

    def test_but_what_ends_at_once_does_not_spin(self) -> None:
        self.runner.at_once = "return"
        self.supervisor.start()
        for _ in range(100):
            self.clock.advance(0.1)
        self.assertLessEqual(len(self.runner.lives), 12)

    def test_nor_when_the_provider_says_to_come_at_once(self) -> None:
        self.runner.at_once = Fault("come again", retry_after=0.0)
        self.supervisor.start()
        for _ in range(100):
            self.clock.advance(0.1)
        self.assertLessEqual(len(self.runner.lives), 12)

    def test_nor_does_a_waiting_time_before_now_end_it(self) -> None:
        self.supervisor.start()
        self.end(Fault("come again", retry_after=-5.0))
        self.assertEqual(self.pause(), 0.0)


class Pauses(Case):
    """How long it waits."""

    def pauses(self, number: int) -> list[float]:
        found = []
        for _ in range(number):
            self.end(Fault("the line was cut"))
            found.append(self.pause())
        return found

    def test_they_double_up_to_five_minutes(self) -> None:
        self.supervisor.start()
        self.assertEqual(
            self.pauses(11), [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0]
        )
        self.assertEqual(self.status.reconnect_attempts, 11)

    def test_there_is_some_chance_in_them(self) -> None:
        self.chance = 0.6
        self.supervisor.start()
        self.assertEqual(self.pauses(3), [0.6, 1.2, 2.4])

    def test_a_connection_that_stood_for_a_minute_begins_anew(self) -> None:
        self.supervisor.start()
        self.pauses(5)
        self.connect()
        self.clock.advance(60)
        self.assertEqual(self.pauses(2), [1.0, 2.0])

    def test_one_that_did_not_goes_on_growing(self) -> None:
        self.supervisor.start()
        self.pauses(5)
        self.connect()
        self.clock.advance(59)
        self.assertEqual(self.pauses(1), [32.0])

    def test_a_minute_without_a_connection_counts_for_nothing(self) -> None:
        self.supervisor.start()
        self.pauses(5)
        self.clock.advance(3600)
        self.assertEqual(self.pauses(1), [32.0])

    def test_the_providers_own_waiting_time_wins(self) -> None:
        self.supervisor.start()
        self.end(Fault("slow down", retry_after=417.0))
        self.assertEqual(self.status.last_error, "slow down")
        self.assertEqual(self.pause(), 417.0)

    def test_while_it_waits_it_is_reconnecting(self) -> None:
        self.supervisor.start()
        self.connect()
        self.end(Fault("the line was cut"))
        status = self.status
        self.assertEqual((status.health, status.running), ("reconnecting", True))
        self.assertEqual((status.connected, status.last_error), (False, "the line was cut"))

    def test_a_store_that_fails_is_a_reason_to_wait(self) -> None:
        self.supervisor.start()
        self.end(StoreError("disk full"))
        self.assertEqual((self.status.last_error, self.pause()), ("disk full", 1.0))

    def test_a_mistake_of_the_adapter_is_logged_and_named(self) -> None:
        self.supervisor.start()
        self.end(ValueError("with perhaps a secret in it"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.status.last_error, "the adapter failed: ValueError")
        self.assertEqual(self.pause(), 1.0)

    def test_a_start_does_not_wait(self) -> None:
        self.supervisor.start()
        self.end(Fault("slow down", retry_after=417.0))
        self.supervisor.start()
        self.assertEqual(len(self.runner.lives), 2)
        self.assertEqual(self.status.reconnect_attempts, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Resting(Case):
    """What no waiting mends."""

    def rests(self, problem: Exception, health: str) -> None:
        self.supervisor.start()
        self.connect()
        lines: list[Any] = []
        globalLogPublisher.addObserver(lines.append)
        self.addCleanup(globalLogPublisher.removeObserver, lines.append)
        self.end(problem)
        status = self.status
        self.assertEqual((status.health, status.last_error), (health, str(problem)))
        self.assertEqual((status.running, status.connected), (False, False))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(lines), 1)  # one clear line

    def test_a_wrong_token(self) -> None:
        self.rests(Fatal("the token is wrong"), "failed")

    def test_a_login_that_was_revoked(self) -> None:
        self.rests(LoggedOut("logged out at the phone"), "logged-out")

    def test_a_retry_after_does_not_wake_it(self) -> None:
        problem = Fatal("the token is wrong")
        problem.retry_after = 5.0
        self.rests(problem, "failed")

    def test_until_it_is_started_again(self) -> None:
        self.rests(Fatal("the token is wrong"), "failed")
        self.supervisor.start()
        self.assertEqual((len(self.runner.lives), self.status.running), (2, True))

    def test_also_when_it_ends_at_once(self) -> None:
        self.runner.at_once = Fatal("the token is wrong")
        self.supervisor.start()
        self.clock.advance(1000)
        self.assertEqual((len(self.runner.lives), self.status.health), (1, "failed"))


class Stopping(Case):
    """A clean stop."""

    def test_the_connection_is_cancelled(self) -> None:
        self.supervisor.start()
        self.connect()
        self.successResultOf(self.stop())
        status = self.status
        self.assertEqual(self.runner.cancelled, 1)
        self.assertEqual((status.running, status.connected), (False, False))
        self.assertEqual((status.health, status.last_error), ("stopped", None))
        self.assertEqual(status.last_stop_at, self.clock.now_ms())
        self.clock.advance(1000)
        self.assertEqual(len(self.runner.lives), 1)

    def test_it_is_waited_for_until_it_has_cleaned_up(self) -> None:
        self.runner.cleaning = Deferred()
        self.supervisor.start()
        stopped = self.stop()
        self.assertNoResult(stopped)
        self.runner.cleaning.callback(None)
        self.successResultOf(stopped)

    def test_two_stops_do_not_cancel_its_cleaning_up(self) -> None:
        cleaning = self.runner.cleaning = Deferred()
        self.supervisor.start()
        one, two = self.stop(), self.stop()
        self.assertNoResult(cleaning)
        cleaning.callback(None)
        self.successResultOf(one)
        self.successResultOf(two)
        self.assertEqual(self.runner.cancelled, 1)

    def test_but_not_for_ever(self) -> None:
        self.runner.cleaning = Deferred()
        self.supervisor.start()
        stopped = self.stop()
        self.clock.advance(supervisor.STOP_SECONDS)
        self.successResultOf(stopped)
        self.runner.cleaning.callback(None)  # at last; nobody waits for it

    def test_a_pause_ends(self) -> None:
        self.supervisor.start()
        self.end(Fault("the line was cut"))
        self.successResultOf(self.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_never_began(self) -> None:
        self.successResultOf(self.stop())
        self.assertEqual(self.status.health, "stopped")

    def test_a_trouble_while_it_stops_is_not_tried_again(self) -> None:
        self.runner.cleaning = Deferred()
        self.supervisor.start()
        stopped = self.stop()
        self.runner.cleaning.errback(Fault("the line was cut"))
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.status.last_error, None)

    def test_started_again_while_it_stops(self) -> None:
        self.runner.cleaning = Deferred()
        self.supervisor.start()
        stopped = self.stop()
        self.supervisor.start()
        self.runner.cleaning.callback(None)
        self.successResultOf(stopped)
        self.clock.advance(0)
        self.assertEqual((len(self.runner.lives), self.status.running), (2, True))
