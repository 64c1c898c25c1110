"""What is to be sent is sent, each part once, whatever happens in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels import outbox
from clawgw.channels.adapter import SendLater, SendRefused, SendUnknown
from clawgw.channels.messages import Outbound, Part, Target
from clawgw.channels.outbox import Courier, Delivery, delivery_of, put
from clawgw.channels.split import split
from clawgw.store import outbox as table
from clawgw.store.database import StoreError
from tests.channels.support import ToyAccount, ToyAdapter
from tests.support.memory import START_MS, MemoryDatabase

LONG = " ".join(f"word{n}" for n in range(100))


class Case(SynchronousTestCase):
    """A courier with a toy adapter."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(START_MS / 1000)
        self.database = MemoryDatabase()
        self.reports: list[str | None] = []
        self.start()

    def start(self, **can: Any) -> None:
        """A courier after a start of the Gateway, over what is in the store."""
        host: Any = None
        self.adapter = ToyAdapter("default", ToyAccount(), host)
        self.adapter.capabilities = _with(ToyAdapter.capabilities, **can)
        self.courier = Courier(
            self.clock, self.database, self.adapter, self.reports.append, self.now_ms
        )
        self.courier.recover()
        self.courier.open(True)

    def now_ms(self) -> int:
        return int(self.clock.seconds() * 1000)

    def queue(self, text: str = "hello", chat: str = "7", key: str | None = None) -> int:
        message = Outbound(text=text)
        key = key or f"k{len(self.adapter.sent)}-{text[:20]}-{chat}"
        target = Target(channel="toy", account="default", chat=chat)
        seq: int = self.successResultOf(
            self.database.write(put, key, target, message, self.now_ms())
        )
        self.courier.take(seq, chat)
        return seq

    def delivery(self, seq: int) -> Delivery:
        found = self.database.read(delivery_of, seq)
        assert found is not None
        return found

    def row(self, seq: int) -> table.OutboxRow:
        found = self.database.read(table.get, seq)
        assert found is not None
        return found


def _with(can: Any, **changes: Any) -> Any:
    from msgspec.structs import replace

    return replace(can, **changes)


class Delivering(Case):
    """When all is well."""

    def test_a_message_is_delivered(self) -> None:
        seq = self.queue()
        self.assertEqual(self.delivery(seq), Delivery("delivered", ("m1",), None))
        self.assertEqual(self.adapter.texts, ["hello"])
        self.assertEqual(self.reports, [None])

    def test_its_content_is_forgotten(self) -> None:
        row = self.row(self.queue())
        self.assertEqual((row.body, row.parts), (None, None))

    def test_a_long_one_is_delivered_in_parts_in_order(self) -> None:
        seq = self.queue(LONG)
        self.assertEqual(" ".join(self.adapter.texts), LONG)
        self.assertEqual(len(self.delivery(seq).ids), len(self.adapter.sent))
        keys = [part.key for _, part in self.adapter.sent]
        self.assertEqual(len(set(keys)), len(keys))

    def test_the_same_key_is_the_same_message(self) -> None:
        first, second = self.queue(key="k"), self.queue(key="k")
        self.assertEqual(first, second)
        self.assertEqual(len(self.adapter.sent), 1)

    def test_a_chat_waits_for_its_own_messages_only(self) -> None:
        self.adapter.outcomes.append(Deferred())
        slow = self.queue("slow", "7")
        behind = self.queue("behind", "7")
        other = self.queue("other", "8")
        self.assertEqual(self.delivery(other).state, "delivered")
        self.assertEqual(self.delivery(slow).state, "trying")
        self.assertEqual(self.delivery(behind).state, "queued")

    def test_so_many_chats_at_a_time(self) -> None:
        waits: list[Deferred[Any]] = [Deferred() for _ in range(outbox.MOST_CHATS)]
        self.adapter.outcomes.extend(waits)
        for number in range(outbox.MOST_CHATS + 1):
            self.queue("x", str(number))
        self.assertEqual(len(self.adapter.sent), outbox.MOST_CHATS)
        waits[0].callback("id")
        self.assertEqual(len(self.adapter.sent), outbox.MOST_CHATS + 1)

    def test_long_queues_of_some_chats_do_not_keep_another_waiting(self) -> None:
        waits: list[Deferred[Any]] = [Deferred() for _ in range(outbox.MOST_CHATS)]
        self.adapter.outcomes.extend([*waits, *(Deferred() for _ in waits)])
        for number in range(outbox.MOST_CHATS):
            for text in ("first", "second", "third"):
                self.queue(text, str(number))
        self.queue("other", "other")
        waits[0].callback("id")
        self.assertEqual(self.adapter.texts[outbox.MOST_CHATS :], ["other"])

    def test_nothing_is_tried_while_there_is_no_use(self) -> None:
        self.courier.open(False)
        seq = self.queue()
        self.assertEqual(self.delivery(seq).state, "queued")
        self.courier.open(True)
        self.assertEqual(self.delivery(seq).state, "delivered")

    def test_who_waits_is_told(self) -> None:
        self.courier.open(False)
        seq = self.queue()
        over = self.courier.over(seq)
        self.assertNoResult(over)
        self.courier.open(True)
        self.successResultOf(over)

    def test_an_empty_message_fails(self) -> None:
        self.assertEqual(self.delivery(self.queue(" ")).state, "failed")


class Refusals(Case):
    """What the provider certainly did not take."""

    def test_what_is_refused_fails_and_the_chat_goes_on(self) -> None:
        self.adapter.outcomes.append(SendRefused("Toy says: blocked"))
        refused, after = self.queue("one"), self.queue("two")
        self.assertEqual(self.delivery(refused), Delivery("failed", (), "Toy says: blocked"))
        self.assertEqual(self.delivery(after).state, "delivered")
        self.assertEqual(self.reports, ["Toy says: blocked", None])

    def test_what_has_to_wait_is_tried_again_when_the_provider_says(self) -> None:
        self.adapter.outcomes.append(SendLater("slow down", 7.0))
        seq = self.queue()
        self.assertEqual(self.delivery(seq).state, "queued")
        self.clock.advance(6.9)
        self.assertEqual(len(self.adapter.sent), 1)
        self.clock.advance(0.2)
        self.assertEqual(self.delivery(seq).state, "delivered")
        self.assertEqual(self.row(seq).doubled, 0)

    def test_or_after_pauses_that_grow(self) -> None:
        self.adapter.outcomes.extend([SendLater("down")] * 4)
        seq = self.queue()
        for pause in (1.0, 2.0, 4.0):
            before = len(self.adapter.sent)
            self.clock.advance(pause - 0.1)
            self.assertEqual(len(self.adapter.sent), before)
            self.clock.advance(0.1)
            self.assertEqual(len(self.adapter.sent), before + 1)
        self.clock.advance(8.0)
        self.assertEqual(self.delivery(seq).state, "delivered")

    def test_the_other_chats_do_not_wait(self) -> None:
        self.adapter.outcomes.append(SendLater("slow down", 60.0))
        self.queue("one", "7")
        self.assertEqual(self.delivery(self.queue("two", "8")).state, "delivered")

    def test_unless_the_whole_account_has_to(self) -> None:
        self.adapter.outcomes.append(SendLater("slow down", 60.0, account_wide=True))
        self.queue("one", "7")
        seq = self.queue("two", "8")
        self.assertEqual(self.delivery(seq).state, "queued")
        self.clock.advance(60)
        self.assertEqual(self.delivery(seq).state, "delivered")

    def test_then_no_chat_goes_on_with_what_it_has(self) -> None:
        answer: Deferred[Any] = Deferred()
        self.adapter.outcomes.extend([answer, SendLater("slow down", 60.0, account_wide=True)])
        self.queue("one", "7")
        seq = self.queue("two", "7")
        self.queue("three", "8")
        answer.callback("m1")
        self.assertEqual(self.delivery(seq).state, "queued")
        self.clock.advance(60)
        self.assertEqual(self.delivery(seq).state, "delivered")

    def test_what_cannot_be_cut_fails_and_the_chat_goes_on(self) -> None:
        def refuse(message: Outbound, *_: Any) -> Any:
            if message.text == "poison":
                raise RecursionError("too deep")
            return split(message, *_)

        self.patch(outbox, "split", refuse)
        poison, after = self.queue("poison"), self.queue("after")
        self.assertEqual(self.delivery(poison).state, "failed")
        self.assertEqual(self.delivery(after).state, "delivered")
        self.assertEqual(len(self.flushLoggedErrors(RecursionError)), 1)

    def test_so_does_what_stands_in_the_store_in_a_way_nobody_reads(self) -> None:
        self.courier.open(False)
        broken, after = self.queue("one"), self.queue("two")
        self.database.connection.execute(
            "UPDATE outbox SET parts = ? WHERE seq = ?", (b'[{"text": 1}]', broken)
        )
        self.courier.open(True)
        self.assertEqual(self.delivery(broken).state, "failed")
        self.assertEqual(self.delivery(after).state, "delivered")
        self.assertEqual(len(self.flushLoggedErrors(msgspec.ValidationError)), 1)

    def test_for_three_days(self) -> None:
        self.adapter.outcomes.extend([SendLater("down", 3600.0)] * 100)
        seq = self.queue()
        for _ in range(71):
            self.clock.advance(3600)
        self.assertEqual(self.delivery(seq).state, "queued")
        for _ in range(3):
            self.clock.advance(3600)
        self.assertEqual(self.delivery(seq).state, "failed")

    def test_a_long_message_goes_on_where_it_was(self) -> None:
        self.adapter.outcomes.extend(["a", SendLater("wait", 5.0)])
        seq = self.queue(LONG)
        self.assertEqual(self.row(seq).done, 1)
        self.clock.advance(5)
        self.assertEqual(self.delivery(seq).state, "delivered")
        texts = self.adapter.texts
        self.assertEqual(" ".join([texts[0], *texts[2:]]), LONG)


class Unknown(Case):
    """An attempt whose outcome nobody knows."""

    def after_unknown(self, **can: Any) -> int:
        self.start(**can)
        self.adapter.outcomes.append(SendUnknown("the connection was lost"))
        seq = self.queue()
        self.assertEqual(self.delivery(seq).state, "trying")
        return seq

    def test_it_is_sent_again_and_counted(self) -> None:
        seq = self.after_unknown()
        self.clock.advance(1)
        self.assertEqual(self.delivery(seq).state, "delivered")
        self.assertEqual(self.row(seq).doubled, 1)
        self.assertEqual(len(self.adapter.sent), 2)

    def test_not_for_ever(self) -> None:
        seq = self.after_unknown()
        self.adapter.outcomes.extend([SendUnknown("lost")] * 20)
        self.clock.pump([300.0] * 20)
        self.assertEqual(self.delivery(seq).state, "failed")
        self.assertEqual(len(self.adapter.sent), 1 + outbox.MOST_DOUBTS)

    def test_where_the_provider_knows_our_id_nothing_is_counted(self) -> None:
        seq = self.after_unknown(client_ids=True)
        self.adapter.outcomes.extend([SendUnknown("lost")] * 10)
        self.clock.pump([300.0] * 12)
        self.assertEqual(self.delivery(seq).state, "delivered")
        self.assertEqual(self.row(seq).doubled, 0)
        self.assertEqual(len({part.key for _, part in self.adapter.sent}), 1)

    def test_unless_it_has_forgotten_it_by_then(self) -> None:
        self.start(client_ids=True, client_ids_seconds=60.0)
        self.adapter.outcomes.append(SendUnknown("lost"))
        seq = self.queue()
        self.courier.open(False)
        self.clock.advance(61)
        self.courier.open(True)
        self.assertEqual(self.row(seq).doubled, 1)

    def test_where_the_provider_can_be_asked_it_is(self) -> None:
        seq = self.after_unknown(finds=True)
        self.adapter.found.append("m-earlier")
        self.clock.advance(1)
        self.assertEqual(self.delivery(seq), Delivery("delivered", ("m-earlier",), None))
        self.assertEqual(len(self.adapter.sent), 1)

    def test_and_it_is_sent_again_only_if_it_is_not_there(self) -> None:
        seq = self.after_unknown(finds=True)
        self.adapter.found.append(None)
        self.clock.advance(1)
        self.assertEqual(self.delivery(seq).state, "delivered")
        self.assertEqual((len(self.adapter.sent), self.row(seq).doubled), (2, 0))

    def test_while_it_cannot_be_asked_nothing_is_sent(self) -> None:
        seq = self.after_unknown(finds=True)
        self.adapter.found.extend([SendLater("offline", 5.0), None])
        self.clock.advance(1)
        self.assertEqual(self.delivery(seq).state, "trying")
        self.assertEqual(len(self.adapter.sent), 1)
        self.clock.advance(5)
        self.assertEqual(self.delivery(seq).state, "delivered")

    def test_an_adapter_that_fails_is_an_unknown(self) -> None:
        self.adapter.outcomes.append(ValueError("a mistake"))
        seq = self.queue()
        self.assertEqual(self.delivery(seq).state, "trying")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_an_adapter_that_never_answers_is_one_too(self) -> None:
        self.adapter.outcomes.append(Deferred())
        seq = self.queue()
        self.clock.advance(outbox.SEND_SECONDS)
        self.clock.advance(1)
        self.assertEqual(self.delivery(seq).state, "delivered")
        self.assertEqual(self.row(seq).doubled, 1)


class Crashes(Case):
    """A kill at each moment of an attempt; what the next start does."""

    def crash_while_sending(self, text: str = "hello", done: Sequence[str] = ()) -> int:
        self.adapter.outcomes.extend([*done, Deferred()])
        return self.queue(text)

    def test_before_the_attempt(self) -> None:
        self.courier.open(False)
        seq = self.queue()
        self.start()
        self.assertEqual(self.delivery(seq).state, "delivered")
        self.assertEqual(self.row(seq).doubled, 0)

    def test_during_it(self) -> None:
        seq = self.crash_while_sending()
        self.start()
        self.assertEqual(self.delivery(seq).state, "delivered")
        self.assertEqual(self.row(seq).doubled, 1)

    def test_during_it_with_an_id_of_ours(self) -> None:
        seq = self.crash_while_sending()
        key = self.adapter.sent[0][1].key
        self.start(client_ids=True)
        self.assertEqual([part.key for _, part in self.adapter.sent], [key])
        self.assertEqual(self.row(seq).doubled, 0)

    def test_in_the_midst_of_a_long_message(self) -> None:
        seq = self.crash_while_sending(LONG, ["a"])
        first = self.adapter.sent[0][1]
        self.start(client_ids=True)
        self.assertNotIn(first, [part for _, part in self.adapter.sent])
        self.assertEqual(" ".join([first.text, *self.adapter.texts]), LONG)
        self.assertEqual(self.delivery(seq).ids[0], "a")

    def test_a_message_stays_cut_as_it_was(self) -> None:
        self.crash_while_sending(LONG, ["a"])
        second = self.adapter.sent[1][1]
        self.start(client_ids=True, text_limit=1000)
        self.assertEqual(self.adapter.sent[0][1], second)

    def test_again_and_again(self) -> None:
        seq = self.crash_while_sending()
        for _ in range(outbox.MOST_DOUBTS - 1):
            self.start()
            self.assertEqual(self.delivery(seq).state, "delivered")
            self.database.connection.execute(
                "UPDATE outbox SET state = 'trying', ended_at = NULL, done = 0,"
                " doubts = doubled, body = ?", (b'{"text":"hello"}',),
            )  # fmt: skip
        self.start()
        self.assertEqual(self.row(seq).doubled, outbox.MOST_DOUBTS)

    def test_a_store_that_fails_for_a_moment(self) -> None:
        self.courier.open(False)
        seq = self.queue()
        self.database.fail_next = StoreError("disk full")
        self.courier.open(True)
        self.assertEqual(self.delivery(seq).state, "queued")
        self.clock.advance(outbox.STORE_PAUSE)
        self.assertEqual(self.delivery(seq).state, "delivered")

    def test_what_has_arrived_is_not_sent_again_because_of_a_store_that_fails(self) -> None:
        answer: Deferred[str] = Deferred()
        self.adapter.outcomes.append(answer)
        seq = self.queue()
        self.database.fail_next = StoreError("disk full")
        answer.callback("m1")
        self.assertEqual(self.delivery(seq).state, "trying")
        self.clock.advance(outbox.STORE_PAUSE)
        self.assertEqual(self.delivery(seq), Delivery("delivered", ("m1",), None))
        self.assertEqual(len(self.adapter.sent), 1)


class Stopping(Case):
    """A clean stop."""

    def test_of_a_long_message_no_further_part_is_begun(self) -> None:
        answer: Deferred[str] = Deferred()
        self.adapter.outcomes.append(answer)
        seq = self.queue(LONG)
        stopped = Deferred.fromCoroutine(self.courier.stop(3.0))
        answer.callback("m1")
        self.successResultOf(stopped)
        self.assertEqual((self.row(seq).state, self.row(seq).done), ("queued", 1))
        self.start()
        self.assertEqual(self.delivery(seq).state, "delivered")
        self.assertEqual(self.row(seq).doubled, 0)

    def test_a_send_that_does_not_let_itself_be_stopped_holds_nothing_up(self) -> None:
        async def stubborn(*_: Any) -> str:
            try:
                await Deferred()
            except CancelledError:
                await Deferred()
            return "m1"

        self.patch(self.adapter, "send", stubborn)
        self.queue()
        stopped = Deferred.fromCoroutine(self.courier.stop(3.0))
        self.clock.pump([3.0, outbox.CANCEL_SECONDS])
        self.successResultOf(stopped)

    def test_what_is_being_sent_gets_a_moment(self) -> None:
        answer: Deferred[str] = Deferred()
        self.adapter.outcomes.append(answer)
        seq = self.queue()
        stopped = Deferred.fromCoroutine(self.courier.stop(3.0))
        self.assertNoResult(stopped)
        answer.callback("m1")
        self.successResultOf(stopped)
        self.assertEqual(self.delivery(seq).state, "delivered")

    def test_and_no_more(self) -> None:
        self.adapter.outcomes.append(Deferred())
        seq = self.queue()
        over = self.courier.over(seq)
        stopped = Deferred.fromCoroutine(self.courier.stop(3.0))
        self.clock.advance(3)
        self.successResultOf(stopped)
        self.successResultOf(over)
        self.assertEqual(self.delivery(seq).state, "trying")

    def test_what_has_arrived_is_written_down_before_it_is_over(self) -> None:
        answer, on_the_disk = Deferred[str](), Deferred[None]()
        self.adapter.outcomes.append(answer)
        seq = self.queue()
        at_once = self.database.write

        def later(*change: Any, **columns: Any) -> Deferred[Any]:
            told: Deferred[Any] = Deferred()
            on_the_disk.addCallback(lambda _: at_once(*change, **columns).chainDeferred(told))
            return told

        self.patch(self.database, "write", later)
        stopped = Deferred.fromCoroutine(self.courier.stop(3.0))
        answer.callback("m1")
        self.clock.advance(3)
        self.assertNoResult(stopped)
        on_the_disk.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(self.delivery(seq), Delivery("delivered", ("m1",), None))
        self.assertEqual(self.reports, [None])

    def test_no_timer_is_left(self) -> None:
        self.adapter.outcomes.append(SendLater("busy", 60.0))
        self.adapter.outcomes.append(SendLater("busy", 600.0, account_wide=True))
        for chat in "789":
            self.queue(chat=chat)
        self.assertNotEqual(self.clock.getDelayedCalls(), [])
        self.successResultOf(Deferred.fromCoroutine(self.courier.stop(3.0)))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_new_is_begun(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.courier.stop(3.0)))
        self.queue()
        self.assertEqual(self.adapter.sent, [])


class Keys(SynchronousTestCase):
    """Names of parts."""

    def test_a_part_has_the_same_name_for_ever(self) -> None:
        self.assertEqual(outbox.part_key("run:abc", 1), outbox.part_key("run:abc", 1))
        self.assertNotEqual(outbox.part_key("run:abc", 1), outbox.part_key("run:abc", 2))
        self.assertRegex(outbox.part_key("k", 0), "^[0-9a-f]{32}$")
        self.assertEqual(Part(key="x").key, "x")
