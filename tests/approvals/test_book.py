"""Questions that stand, and their one end."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from clawgw.approvals import book as book_module
from clawgw.approvals.book import NOBODY, Approval, Asker, Resolver
from clawgw.protocol.errors import unavailable
from tests.approvals.desk import DeskTestCase, request

ANNA, BOB = Resolver("Anna", "device-a"), Resolver("Bob", "device-b")


class BookTests(DeskTestCase):
    """Without the policy."""

    def ask(self, name: str | None = "q-1", timeout_ms: int = 60_000, **changes: Any) -> Approval:
        return self.do(self.book.ask(request(**changes), timeout_ms, Asker("cli"), name))

    def ended(self) -> list[tuple[str, str | None, str]]:
        """Decision, who and why, of every end that was told."""
        events = self.events.named("exec.approval.resolved")
        return [(event.decision, event.resolved_by, event.reason) for event in events]

    def test_a_question_is_told_with_its_time(self) -> None:
        approval = self.ask()
        (event,) = self.events.named("exec.approval.requested")
        self.assertEqual(event.request, request())
        self.assertEqual(event.expires_at_ms - event.created_at_ms, 60_000)
        self.assertEqual(self.book.pending(), [approval])

    def test_a_person_decides(self) -> None:
        self.ask()
        waiting = self.start(self.book.wait("q-1"))
        decided = self.do(self.book.resolve("q-1", "allow-once", ANNA))
        self.assertEqual(self.successResultOf(waiting), decided)
        self.assertTrue(decided.allowed)
        self.assertEqual(self.ended(), [("allow-once", "Anna", "user")])
        self.assertEqual(self.book.pending(), [])
        self.clock.advance(3600)
        self.assertEqual(len(self.ended()), 1)
        stored = self.book.find("q-1")
        assert stored is not None
        self.assertEqual((stored.resolved_by, stored.resolver_id), ("Anna", "device-a"))

    def test_only_the_first_decision_counts(self) -> None:
        self.ask()
        self.do(self.book.resolve("q-1", "deny", ANNA))
        words = self.refusal(self.book.resolve("q-1", "allow-once", BOB))
        self.assertEqual(words, "this approval was already resolved: deny by Anna")
        self.assertEqual(self.ended(), [("deny", "Anna", "user")])

    def test_two_at_the_same_moment(self) -> None:
        """While the first decision is being written, the second is refused."""
        self.ask()
        slow: Deferred[None] = Deferred()
        self.patch(self.book, "_remember", lambda _: slow)
        first = self.start(self.book.resolve("q-1", "allow-always", ANNA))
        words = self.refusal(self.book.resolve("q-1", "deny", BOB))
        self.assertEqual(words, "this approval is being decided already")
        self.clock.advance(3600)  # its time does not run out any more
        slow.callback(None)
        self.assertEqual(self.successResultOf(first).decision, "allow-always")
        self.assertEqual(self.ended(), [("allow-always", "Anna", "user")])

    def test_time_running_out_is_a_no(self) -> None:
        self.ask(timeout_ms=5000)
        waiting = self.start(self.book.wait("q-1"))
        self.clock.advance(4.9)
        self.assertNoResult(waiting)
        self.clock.advance(0.2)
        self.assertEqual(self.successResultOf(waiting).decision, "deny")
        self.assertEqual(self.ended(), [("deny", None, "timeout")])
        words = self.refusal(self.book.resolve("q-1", "allow-once", ANNA))
        self.assertIn("deny, because nobody decided in time", words)

    def test_a_restart_is_a_no_that_the_asker_hears_of(self) -> None:
        self.ask()
        self.clock.advance(1)
        self.open()
        for _ in range(2):  # before the old questions are ended in the store, and after
            again = self.do(self.book.ask(request(), 60_000, Asker("cli"), "q-1"))
            self.assertEqual((again.decision, again.reason), ("deny", "gateway-restart"))
            waited = self.do(self.book.wait("q-1"))
            self.assertEqual(waited.decision, "deny")
            words = self.refusal(self.book.resolve("q-1", "allow-once", ANNA))
            self.assertIn("because the Gateway was restarted", words)
            self.do(self.book.recover())

    def test_a_stop_tells_who_waits(self) -> None:
        self.ask()
        waiting = self.start(self.book.wait("q-1"))
        self.do(self.book.stop())
        self.assertEqual(self.successResultOf(waiting).reason, "gateway-restart")
        self.assertIn("shutting down", self.refusal(self.book.ask(request(), 1, NOBODY, "q-2")))

    def test_asked_again_it_is_the_same_question(self) -> None:
        first = self.ask()
        self.assertEqual(self.ask(), first)
        self.assertEqual(len(self.events.named("exec.approval.requested")), 1)
        words = self.refusal(self.book.ask(request("something else"), 1, NOBODY, "q-1"))
        self.assertIn("already used", words)

    def test_withdrawn(self) -> None:
        self.ask()
        self.do(self.book.cancel("q-1"))
        self.do(self.book.cancel("q-1"))
        self.assertEqual(self.ended(), [("deny", None, "run-aborted")])

    def test_a_decision_that_nobody_waits_for_any_more_is_one(self) -> None:
        """A press in a chat is given up after a while, and its connection may end."""
        self.ask(timeout_ms=5000)
        waiting = self.start(self.book.wait("q-1"))
        remembered: Deferred[None] = Deferred()
        self.patch(self.book, "_remember", lambda _: remembered)
        deciding = self.start(self.book.resolve("q-1", "allow-always", ANNA))
        deciding.cancel()
        self.failureResultOf(deciding, CancelledError)
        self.clock.advance(6)
        remembered.callback(None)
        self.assertTrue(self.successResultOf(waiting).allowed)
        self.assertEqual(self.ended(), [("allow-always", "Anna", "user")])

    def test_a_yes_that_cannot_be_written_is_none(self) -> None:
        self.ask()
        self.database.fail_next = OSError("disk full")
        words = self.refusal(self.book.resolve("q-1", "allow-once", ANNA))
        self.assertIn("nothing was decided", words)
        self.assertEqual(self.ended(), [])
        decided = self.do(self.book.resolve("q-1", "allow-once", BOB))
        self.assertEqual(decided.resolved_by, "Bob")

    def test_a_no_that_cannot_be_written_is_one(self) -> None:
        self.ask()
        self.database.fail_next = OSError("disk full")
        self.assertEqual(self.do(self.book.resolve("q-1", "deny", ANNA)).decision, "deny")
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_always_that_cannot_be_remembered_is_none(self) -> None:
        async def fail(_: Any) -> None:
            raise unavailable("the policy is broken")

        self.ask(timeout_ms=5000)
        self.patch(self.book, "_remember", fail)
        words = self.refusal(self.book.resolve("q-1", "allow-always", ANNA))
        self.assertEqual(words, "the policy is broken")
        self.clock.advance(6)
        self.assertEqual(self.ended(), [("deny", None, "timeout")])

    def test_what_cannot_be_decided(self) -> None:
        self.ask(allowed_decisions=["allow-once", "deny"])
        self.ask("q-2")
        for name, decision, words in (
            ("q-1", "allow-always", "unavailable"),
            ("q-1", "maybe", "expected allow-once, allow-always or deny"),
            ("q-", "deny", "several"),
            ("nothing", "deny", "unknown or expired approval id"),
        ):
            self.assertIn(words, self.refusal(self.book.resolve(name, decision, ANNA)))
        self.assertEqual(len(self.book.pending()), 2)

    def test_limits(self) -> None:
        self.patch(book_module, "MAX_PENDING", 1)
        words = self.refusal(self.book.ask(request("x" * 20_000), 1, NOBODY, None))
        self.assertIn("a person has to read it", words)
        self.assertIn("id: ", self.refusal(self.book.ask(request(), 1, NOBODY, "q" * 999)))
        self.ask()
        self.assertIn("too many", self.refusal(self.book.ask(request(), 1, NOBODY, "q-2")))

    def test_version_3_hears_what_it_knows(self) -> None:
        self.ask(allowed_decisions=["deny"], run_id="r")
        self.do(self.book.resolve("q-1", "deny", ANNA))
        asked, ended = (event.v3 for event in self.events.published)
        self.assertEqual(asked.request, request())
        self.assertEqual(ended.request, ended.reason)  # both are left out
