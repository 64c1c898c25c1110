"""Strangers and their codes."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels import senders
from clawgw.channels.senders import SenderBook
from clawgw.protocol.errors import RequestError
from clawgw.store import channels as table
from clawgw.store.channels import SenderRow
from clawgw.store.database import StoreError
from tests.support.memory import MemoryDatabase, MsClock


class Case(SynchronousTestCase):
    """A book over a store in memory."""

    def setUp(self) -> None:
        self.clock = MsClock()
        self.database = MemoryDatabase()
        self.open()

    def open(self) -> None:
        """As a start of the Gateway does."""
        self.book = SenderBook(self.database, self.clock.now_ms)

    def stranger(self, sender: str = "1", account: str = "default", channel: str = "toy") -> Any:
        return SenderRow(channel, account, sender, "Eve", sender, None, self.clock.now_ms())

    def ask(self, sender: str = "1", account: str = "default", channel: str = "toy") -> Any:
        """A stranger asks, and what they are given is written down."""
        asked = self.book.ask(self.stranger(sender, account, channel))
        if asked is not None:
            self.successResultOf(self.database.write(table.put_sender, asked))
        return asked

    def do(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def refusal(self, work: Any) -> str:
        failure = self.failureResultOf(Deferred.fromCoroutine(work), RequestError)
        return str(failure.value)

    def hours(self, number: float) -> None:
        self.clock.advance(number * 3600)

    def approved(self, account: str = "default") -> set[str]:
        return set(self.book.approved("toy", account))


class Asking(Case):
    """A code."""

    def test_it_can_be_read_out_on_the_phone(self) -> None:
        code = self.ask().code
        self.assertRegex(code, "^[A-HJ-NP-Z2-9]{8}$")
        self.assertNotEqual(code, self.ask("2").code)

    def test_who_has_one_gets_no_other_for_an_hour(self) -> None:
        first = self.ask()
        self.hours(0.99)
        self.assertIsNone(self.ask())
        self.hours(0.02)
        self.assertNotEqual(self.ask().code, first.code)

    def test_also_over_a_restart(self) -> None:
        first = self.ask()
        self.open()
        self.assertIsNone(self.ask())
        self.assertEqual(self.book.waiting(), [first])

    def test_so_many_wait_per_account(self) -> None:
        for sender in range(senders.MOST_WAITING):
            self.assertIsNotNone(self.ask(str(sender)))
        self.assertIsNone(self.ask("late"))
        self.assertIsNotNone(self.ask("late", account="second"))
        self.hours(1)
        self.assertIsNotNone(self.ask("late"))

    def test_a_flood_is_not_remembered(self) -> None:
        for sender in range(1000):
            self.ask(str(sender))
        self.assertEqual(len(self.book.waiting()), senders.MOST_WAITING)
        self.assertEqual(len(self.database.read(table.senders)), senders.MOST_WAITING)

    def test_a_code_that_could_not_be_told_is_taken_back(self) -> None:
        asked = self.book.ask(self.stranger())
        assert asked is not None
        self.book.withdraw(asked)
        self.assertEqual(self.book.waiting(), [])
        self.assertIsNotNone(self.ask())

    def test_but_no_later_one(self) -> None:
        first = self.ask()
        self.hours(1)
        second = self.ask()
        self.book.withdraw(first)
        self.assertEqual(self.book.waiting(), [second])


class Deciding(Case):
    """What an operator does with a code."""

    def test_approved(self) -> None:
        code = self.ask().code
        self.assertEqual(self.approved(), set())
        row = self.do(self.book.approve("toy", code))
        self.assertEqual((row.sender, row.code), ("1", None))
        self.assertEqual(self.approved(), {"1"})
        self.assertEqual(self.book.waiting(), [])
        self.assertEqual(self.book.accepted("toy"), [row])

    def test_for_that_account_alone_and_over_a_restart(self) -> None:
        self.do(self.book.approve(None, self.ask().code))
        self.open()
        self.assertEqual((self.approved(), self.approved("second")), ({"1"}, set()))

    def test_a_code_may_be_typed_as_people_type(self) -> None:
        code = self.ask().code
        self.do(self.book.approve("toy", f" {code.lower()} "))
        self.assertEqual(self.approved(), {"1"})

    def test_a_code_is_good_once_and_for_an_hour_and_for_its_channel(self) -> None:
        code = self.ask().code
        self.assertIn("on other", self.refusal(self.book.approve("other", code)))
        self.do(self.book.approve("toy", code))
        self.assertIn("nobody waits", self.refusal(self.book.approve("toy", code)))
        late = self.ask("2").code
        self.hours(1)
        self.assertIn("may have expired", self.refusal(self.book.approve(None, late)))
        self.assertEqual(self.approved(), {"1"})

    def test_no_code_is_no_code(self) -> None:
        self.do(self.book.approve(None, self.ask().code))
        for code in ("", " ", "NONE", "ABCDEFGH"):
            self.assertIn("code: nobody waits", self.refusal(self.book.approve(None, code)))

    def test_rejected(self) -> None:
        asked = self.ask()
        self.do(self.book.reject(None, asked.code))
        self.assertEqual(self.book.waiting(), [])
        self.open()
        self.assertEqual((self.approved(), self.book.waiting()), (set(), []))

    def test_taken_back(self) -> None:
        self.do(self.book.approve(None, self.ask().code))
        self.do(self.book.remove("toy", "default", "1"))
        self.assertEqual((self.approved(), self.book.accepted()), (set(), []))
        self.open()
        self.assertEqual(self.approved(), set())
        self.assertIn("'1' is not approved", self.refusal(self.book.remove("toy", "default", "1")))

    def test_what_waits_is_not_taken_back(self) -> None:
        self.ask()
        self.assertIn("not approved", self.refusal(self.book.remove("toy", "default", "1")))

    def test_what_cannot_be_written_down_is_not_so(self) -> None:
        code = self.ask().code
        self.database.fail_next = StoreError("disk full")
        self.failureResultOf(Deferred.fromCoroutine(self.book.approve(None, code)), StoreError)
        self.assertEqual(self.approved(), set())
        self.do(self.book.approve(None, code))
        self.assertEqual(self.approved(), {"1"})


class Lists(Case):
    """Who there is."""

    def test_by_channel(self) -> None:
        toy, other = self.ask("1"), self.ask("2", channel="other")
        self.assertEqual(self.book.waiting(), [toy, other])
        self.assertEqual(self.book.waiting("other"), [other])
        row = self.do(self.book.approve(None, toy.code))
        self.assertEqual(self.book.accepted(), [row])
        self.assertEqual(self.book.accepted("other"), [])

    def test_who_was_never_approved_is_forgotten(self) -> None:
        self.do(self.book.approve(None, self.ask("1").code))
        self.ask("2")
        self.hours(2)
        kept = self.ask("3")
        self.do(self.book.prune())
        self.assertEqual(self.book.waiting(), [kept])
        self.assertEqual([row.sender for row in self.database.read(table.senders)], ["1", "3"])

    def test_not_who_asks_again_meanwhile(self) -> None:
        self.ask("1")
        self.ask("2")
        self.hours(2)
        kept: list[Any] = []
        write = self.database.write

        def slow(change: Any, *args: Any) -> Deferred[Any]:
            done = write(change, *args)
            if not kept:
                kept.append(None)
                kept[:] = [self.ask("1"), self.ask("2")]
            return done

        self.patch(self.database, "write", slow)
        self.do(self.book.prune())
        self.assertEqual(self.book.waiting(), kept)
        self.assertEqual(self.database.read(table.senders), kept)
