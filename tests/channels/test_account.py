"""One account: its life, and what it tells of itself."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent, globalLogPublisher

from clawgw.channels.account import CLOSE_SECONDS
from clawgw.channels.adapter import Fault, LoggedOut, SendRefused
from clawgw.channels.messages import Chat, Press
from clawgw.store import outbox as outbox_table
from tests.channels.accounts import AccountCase
from tests.channels.support import ALICE, ToyAdapter, direct


class Life(AccountCase):
    """From the start to the stop."""

    def test_it_runs_its_adapter_in_a_directory_of_its_own(self) -> None:
        account = self.start()
        self.assertTrue(account.status.running)
        self.assertEqual(account.directory, self.directory / "channels" / "toy" / "default")
        self.assertEqual(account.directory.stat().st_mode & 0o777, 0o700)

    def test_what_is_missing_is_said_and_nothing_is_tried(self) -> None:
        account = self.start(token=None)
        self.assertEqual(account.status.last_error, "a token is missing: set token")
        self.assertEqual(self.adapter.lives, [])
        self.assertFalse(account.status.running)

    def test_an_account_that_answers_nobody_says_so(self) -> None:
        account = self.start(dmPolicy="open")
        self.assertIn("allowFrom names nobody", account.status.warning or "")
        self.assertTrue(account.status.running)

    def test_what_waits_goes_out_in_its_order(self) -> None:
        first = self.queue("first")
        account = self.account()
        second = self.queue("second")  # while it is made, before it runs
        account.courier.take(second, "7")
        self.assertEqual(self.adapter.texts, [])
        self.do(account.start())
        self.assertEqual(self.adapter.texts, ["first", "second"])
        self.assertTrue(self.delivered(first) and self.delivered(second))

    def test_stopped_it_sends_nothing_and_stays_so(self) -> None:
        account = self.start()
        self.do(account.stop(1.0))
        account.courier.take(self.queue("late"), "7")
        account.restart()  # a login that comes to its end
        self.assertEqual((self.adapter.texts, len(self.adapter.lives)), ([], 1))

    def test_stopped_while_it_starts_it_does_not_start(self) -> None:
        made: Deferred[Any] = Deferred()
        self.threads.append(made)
        account = self.account()
        starting = Deferred.fromCoroutine(account.start())
        self.do(account.stop(1.0))
        made.callback(None)
        self.successResultOf(starting)
        self.assertEqual(self.adapter.lives, [])

    def test_what_is_being_sent_at_the_stop_gets_a_moment_while_it_is_connected(self) -> None:
        account = self.start()
        answer: Deferred[str] = Deferred()
        self.adapter.outcomes.append(answer)
        seq = self.queue("slow")
        account.courier.take(seq, "7")
        stopped = Deferred.fromCoroutine(account.stop(3.0))
        self.assertTrue(account.status.running)
        answer.callback("m1")
        self.successResultOf(stopped)
        self.assertTrue(self.delivered(seq))
        self.assertFalse(account.status.running)

    def test_an_adapter_that_does_not_let_go_holds_nothing_up(self) -> None:
        account = self.start()

        async def never() -> None:
            await Deferred()

        self.patch(self.adapter, "close", never)
        stopped = Deferred.fromCoroutine(account.stop(3.0))
        self.assertNoResult(stopped)
        self.clock.advance(CLOSE_SECONDS)
        self.successResultOf(stopped)

    def test_after_a_logout_somebody_has_to_log_in(self) -> None:
        account = self.start()
        self.changes = 0
        self.assertTrue(self.do(account.log_out()))
        status = account.status
        self.assertEqual((status.health, status.running), ("logged-out", False))
        self.assertTrue(self.changes)
        self.clock.advance(1000)
        self.assertEqual(len(self.adapter.lives), 1)
        account.restart()
        self.assertEqual((len(self.adapter.lives), status.running), (2, True))


class Sending(AccountCase):
    """When there is any use in it."""

    def test_not_after_a_login_was_revoked(self) -> None:
        account = self.start()
        self.adapter.lives[0].errback(LoggedOut("logged out"))
        seq = self.queue("a")
        account.courier.take(seq, "7")
        self.assertFalse(self.delivered(seq))
        account.restart()
        self.assertTrue(self.delivered(seq))

    def test_while_it_reconnects_where_sending_needs_no_connection(self) -> None:
        account = self.start()
        self.adapter.lives[0].errback(Fault("the line was cut"))
        seq = self.queue("a")
        account.courier.take(seq, "7")
        self.assertTrue(self.delivered(seq))

    def test_not_before_it_is_connected_where_it_does(self) -> None:
        can = msgspec.structs.replace(ToyAdapter.capabilities, needs_connection=True)
        self.patch(ToyAdapter, "capabilities", can)
        account = self.start()
        seq = self.queue("a")
        account.courier.take(seq, "7")
        self.assertFalse(self.delivered(seq))
        account.connected()
        self.assertTrue(self.delivered(seq))

    def test_a_failure_is_shown_until_something_is_delivered(self) -> None:
        account = self.start()
        self.adapter.outcomes.append(SendRefused("there is no such chat"))
        account.courier.take(self.queue("a"), "7")
        self.assertEqual(
            account.status.warning, "a message was not delivered: there is no such chat"
        )
        self.assertIsNone(account.status.last_outbound_at)
        account.courier.take(self.queue("b"), "7")
        self.assertIsNone(account.status.warning)
        self.assertEqual(account.status.last_outbound_at, self.clock.now_ms())

    def test_a_delivery_does_not_hide_another_warning(self) -> None:
        account = self.start()
        account.warn("the bot cannot read groups")
        account.courier.take(self.queue("b"), "7")
        self.assertEqual(account.status.warning, "the bot cannot read groups")


class Hosting(AccountCase):
    """What its adapter asks of it."""

    def test_messages_are_stored_and_seen_in_the_status(self) -> None:
        account = self.start()
        self.do(account.received([direct(1)], {"offset": "5"}))
        self.assertEqual(account.status.last_inbound_at, self.clock.now_ms())
        self.assertEqual(self.do(account.cursor()), {"offset": "5"})

    def test_doubles_are_not(self) -> None:
        account = self.start()
        self.do(account.received([direct(1)]))
        before = account.status.last_inbound_at
        self.clock.advance(10)
        self.do(account.received([direct(1)]))
        self.assertEqual(account.status.last_inbound_at, before)

    def test_cursors_are_the_accounts_own(self) -> None:
        one, two = self.account("one"), self.account("two")
        self.do(one.remember({"a": "1", "b": "2"}))
        self.do(one.remember({"b": None}))
        self.assertEqual(self.do(one.cursor()), {"a": "1"})
        self.assertEqual(self.do(two.cursor()), {})

    def test_presses_are_passed_on(self) -> None:
        press = Press(chat=Chat(id="7"), sender=ALICE, message_id="m1", data="x")
        self.assertEqual(self.do(self.account().pressed(press)), "noted")
        self.assertEqual(self.pressed, [press])

    def test_its_lines_in_the_log_begin_with_its_name(self) -> None:
        lines: list[Any] = []
        globalLogPublisher.addObserver(lines.append)
        self.addCleanup(globalLogPublisher.removeObserver, lines.append)
        account = self.account("work")
        account.log.info("it is {how}", how="well {really}")
        account.warn("trouble")
        account.warn("trouble")  # said once
        account.warn("")
        self.assertEqual(
            [formatEvent(line) for line in lines],
            ["toy (work): it is well {really}", "toy (work): trouble"],
        )
        self.assertIsNone(account.status.warning)

    def test_nothing_of_it_is_a_secret(self) -> None:
        account = self.account(token="very-secret")
        self.assertNotIn("very-secret", repr(account.settings) + repr(vars(account)))

    def test_the_queue_of_another_account_is_not_its_own(self) -> None:
        self.queue("a")
        other = self.account("other")
        self.do(other.start())
        self.assertEqual(self.adapter.texts, [])
        waiting = self.database.read(outbox_table.waiting, "toy", "default")
        self.assertEqual(len(waiting), 1)
