"""What must not be interrupted goes on, whoever waits for it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from clawgw.shield import shielded, to_its_end


class Shielded(SynchronousTestCase):
    """The wait ends, the work does not."""

    def test_what_comes_of_it_is_passed_on(self) -> None:
        good: Deferred[str] = Deferred()
        bad: Deferred[str] = Deferred()
        waits = shielded(good), shielded(bad)
        good.callback("done")
        bad.errback(OSError("no"))
        self.assertEqual(self.successResultOf(waits[0]), "done")
        self.failureResultOf(waits[1], OSError)

    def test_cancelled_it_goes_on(self) -> None:
        work: Deferred[str] = Deferred()
        followed: list[str] = []
        wait = shielded(work.addCallback(followed.append))
        wait.cancel()
        self.failureResultOf(wait, CancelledError)
        work.callback("done")
        self.assertEqual(followed, ["done"])

    def test_an_error_nobody_waits_for_is_in_the_log_without_its_words(self) -> None:
        events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        work: Deferred[str] = Deferred()
        wait = shielded(work)
        wait.cancel()
        self.failureResultOf(wait, CancelledError)
        work.errback(OSError("a secret"))
        (event,) = (one for one in events if one.get("kind") == "OSError")
        self.assertNotIn("a secret", repr(event))


class ToItsEnd(SynchronousTestCase):
    """The wait lasts as long as the work."""

    def test_what_comes_of_it_is_passed_on(self) -> None:
        good: Deferred[str] = Deferred()
        bad: Deferred[str] = Deferred()
        waits = [Deferred.fromCoroutine(to_its_end(one)) for one in (good, bad)]
        good.callback("done")
        bad.errback(OSError("no"))
        self.assertEqual(self.successResultOf(waits[0]), "done")
        self.failureResultOf(waits[1], OSError)

    def test_a_cancel_is_heard_of_at_the_end(self) -> None:
        work: Deferred[str] = Deferred()
        wait = Deferred.fromCoroutine(to_its_end(work))
        wait.cancel()
        wait.cancel()
        self.assertNoResult(wait)
        work.callback("done")
        self.failureResultOf(wait, CancelledError)
