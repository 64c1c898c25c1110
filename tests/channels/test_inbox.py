"""The inbox: stored once, routed once, in order, and nobody held up by somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from clawgw import pump
from clawgw.channels import inbox
from clawgw.channels.inbox import Inbox
from clawgw.channels.messages import Inbound, Media
from clawgw.store import channels as channel_table
from clawgw.store import inbox as table
from clawgw.store.database import StoreError
from clawgw.store.inbox import InboxRow
from tests.channels.support import ALICE, BOB, direct, in_group
from tests.support.memory import START_MS, MemoryDatabase

FILE = (Media(kind="image", name="cat.png"),)


class Router:
    """An `Incoming` that writes down what it is given.

    Attributes:
        routed: the texts of what was routed, in order.
        troubles: raised by the next routings of a text.
        files: what fetching the file of a text waits for.
        slow: texts whose routing waits.
    """

    def __init__(self, database: MemoryDatabase) -> None:
        self.database = database
        self.routed: list[str] = []
        self.files: dict[str, Deferred[None]] = {}
        self.slow: dict[str, Deferred[None]] = {}
        self.troubles: dict[str, list[Exception]] = {}
        self.unprepared: set[str] = set()

    def needs_time(self, row: InboxRow, message: Inbound) -> bool:
        if message.text == "unjudged":
            raise ValueError("cannot be judged")
        return bool(message.media) and not message.media[0].path

    async def prepare(self, row: InboxRow, message: Inbound) -> Inbound:
        if message.text in self.unprepared:
            raise OSError("a mistake")
        await self.files.setdefault(message.text, Deferred())
        return message

    async def route(self, row: InboxRow, message: Inbound) -> None:
        if message.text in self.slow:
            await self.slow[message.text]
        troubles = self.troubles.get(message.text)
        if troubles:
            raise troubles.pop(0)
        if await self.database.write(table.settle, row.seq, "routed"):
            self.routed.append(message.text)


class Case(SynchronousTestCase):
    """An inbox over a store in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(START_MS / 1000)
        self.database = MemoryDatabase()
        self.patch(pump, "SLICE_SECONDS", 60.0)  # however slow the machine is
        self.open()

    def open(self) -> None:
        """As a start of the Gateway does."""
        self.router = Router(self.database)
        self.inbox = Inbox(self.clock, self.database, self.router, lambda: START_MS)

    def begin(self, *messages: Inbound, account: str = "default", **more: Any) -> Deferred[int]:
        return Deferred.fromCoroutine(self.inbox.receive("toy", account, messages, **more))

    def receive(self, *messages: Inbound, **more: Any) -> int:
        return self.successResultOf(self.begin(*messages, **more))

    def recover(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.inbox.recover()))

    def states(self) -> Sequence[str]:
        rows = self.database.connection.execute("SELECT state FROM inbox ORDER BY seq")
        return [state for (state,) in rows.fetchall()]

    def cursor(self) -> dict[str, str]:
        return self.database.read(channel_table.cursor, "toy", "default")


class Receiving(Case):
    """Stored, then routed."""

    def test_each_message_is_routed_in_its_order(self) -> None:
        self.assertEqual(self.receive(direct(1, "a"), direct(2, "b")), 2)
        self.assertEqual(self.router.routed, ["a", "b"])

    def test_it_is_stored_before_it_is_routed_and_before_the_provider_hears_of_it(self) -> None:
        self.router.slow["a"] = Deferred()
        self.assertEqual(self.receive(direct(1, "a")), 1)
        self.assertEqual(self.states(), ["new"])
        self.router.slow["a"].callback(None)
        self.assertEqual(self.states(), ["routed"])

    def test_it_is_routed_also_when_the_connection_ends_while_it_is_stored(self) -> None:
        at_once, on_the_disk, told = self.database.write, Deferred[None](), Deferred[Any]()

        def later(*change: Any) -> Deferred[Any]:
            self.patch(self.database, "write", at_once)
            on_the_disk.addCallback(lambda _: at_once(*change)).addBoth(told.callback)
            return told

        self.patch(self.database, "write", later)
        receiving = self.begin(direct(1, "a"))
        receiving.cancel()
        self.failureResultOf(receiving, CancelledError)
        on_the_disk.callback(None)
        self.assertEqual(self.router.routed, ["a"])
        self.assertEqual(self.receive(direct(1, "a")), 0)

    def test_a_double_in_a_batch_is_dropped_and_the_first_counts(self) -> None:
        self.assertEqual(self.receive(direct(1, "first"), direct(1, "second")), 1)
        self.assertEqual(self.router.routed, ["first"])

    def test_a_double_in_another_batch_is_dropped(self) -> None:
        self.receive(direct(1, "a"))
        self.assertEqual(self.receive(direct(1, "a"), direct(2, "b")), 1)
        self.assertEqual(self.router.routed, ["a", "b"])

    def test_also_after_a_restart(self) -> None:
        self.receive(direct(1, "a"))
        self.open()
        self.recover()
        self.assertEqual(self.receive(direct(1, "a")), 0)
        self.assertEqual(self.router.routed, [])

    def test_the_same_id_in_another_account_is_another_message(self) -> None:
        self.receive(direct(1, "a"))
        self.assertEqual(self.receive(direct(1, "a"), account="second"), 1)

    def test_nothing_but_a_cursor(self) -> None:
        self.assertEqual(self.receive(cursor={"offset": "7"}), 0)
        self.assertEqual(self.cursor(), {"offset": "7"})


class Storing(Case):
    """One transaction, or nothing."""

    def test_the_cursor_goes_with_the_messages(self) -> None:
        self.receive(direct(1), cursor={"offset": "7", "pts": "1"})
        self.receive(direct(2), cursor={"offset": "8", "pts": None})
        self.assertEqual(self.cursor(), {"offset": "8"})

    def test_what_cannot_be_stored_is_neither_routed_nor_skipped(self) -> None:
        self.database.fail_next = StoreError("disk full")
        failed = self.begin(direct(1, "a"), cursor={"offset": "7"})
        self.failureResultOf(failed, StoreError)
        self.assertEqual((self.router.routed, self.cursor(), self.states()), ([], {}, []))
        self.assertEqual(self.receive(direct(1, "a"), cursor={"offset": "7"}), 1)
        self.assertEqual(self.router.routed, ["a"])

    def test_messages_and_cursor_are_one_write(self) -> None:
        self.router.slow["a"] = Deferred()
        before = self.database.writes
        self.receive(direct(1, "a"), cursor={"offset": "7"})
        self.assertEqual(self.database.writes, before + 1)


class Recovering(Case):
    """After a crash between storing and routing."""

    def test_what_was_stored_is_routed_after_the_start(self) -> None:
        self.router.slow.update(a=Deferred(), b=Deferred())
        self.receive(direct(1, "a"), direct(2, "b"))
        self.open()
        self.recover()
        self.assertEqual(self.router.routed, ["a", "b"])
        self.assertEqual(self.states(), ["routed", "routed"])

    def test_and_once(self) -> None:
        self.router.slow["a"] = Deferred()
        self.receive(direct(1, "a"))
        self.open()
        self.recover()
        self.recover()
        self.assertEqual(self.receive(direct(1, "a")), 0)
        self.assertEqual(self.router.routed, ["a"])

    def test_more_than_one_page_of_them_in_order(self) -> None:
        self.inbox.stop()
        texts = [f"m{number}" for number in range(1201)]
        self.receive(*(direct(number, text) for number, text in enumerate(texts)))
        self.open()
        self.recover()
        self.assertEqual(self.router.routed, texts)

    def test_one_whose_file_was_being_fetched_is_fetched_again(self) -> None:
        self.receive(direct(1, "a", media=FILE))
        self.open()
        self.recover()
        self.router.files["a"].callback(None)
        self.assertEqual(self.router.routed, ["a"])


class Lanes(Case):
    """What takes time holds up its own chat."""

    def test_a_file_holds_up_its_chat_and_nothing_else(self) -> None:
        self.receive(
            direct(1, "picture", media=FILE), direct(2, "after"), direct(1, "other", BOB),
            in_group(3, "group"),
        )  # fmt: skip
        self.assertEqual(self.router.routed, ["other", "group"])
        self.receive(direct(4, "last"))
        self.assertEqual(self.router.routed, ["other", "group"])
        self.router.files["picture"].callback(None)
        self.assertEqual(self.router.routed, ["other", "group", "picture", "after", "last"])

    def test_a_thread_is_a_chat_of_its_own(self) -> None:
        self.receive(in_group(1, "picture", thread="5", media=FILE), in_group(2, "main"))
        self.assertEqual(self.router.routed, ["main"])

    def test_so_is_the_same_chat_seen_by_another_account(self) -> None:
        self.receive(direct(1, "picture", media=FILE))
        self.receive(direct(2, "here"), account="second")
        self.assertEqual(self.router.routed, ["here"])

    def test_a_chat_is_free_again_afterwards(self) -> None:
        self.receive(direct(1, "picture", media=FILE))
        self.router.files["picture"].callback(None)
        self.receive(direct(2, "quick"))
        self.assertEqual(self.router.routed, ["picture", "quick"])

    def test_two_files_one_after_the_other(self) -> None:
        self.receive(direct(1, "one", media=FILE), direct(2, "two", media=FILE))
        self.assertEqual(list(self.router.files), ["one"])
        self.router.files["one"].callback(None)
        self.router.files["two"].callback(None)
        self.assertEqual(self.router.routed, ["one", "two"])

    def test_a_mistake_in_fetching_costs_the_file_alone(self) -> None:
        self.router.unprepared.add("picture")
        self.receive(direct(1, "picture", media=FILE), direct(2, "after"))
        self.assertEqual(self.router.routed, ["picture", "after"])
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)


class Troubles(Case):
    """Routing that fails."""

    def test_a_store_that_fails_for_a_moment(self) -> None:
        self.router.troubles["a"] = [StoreError("disk full"), StoreError("disk full")]
        self.receive(direct(1, "a"))
        for _ in range(2):
            self.assertEqual(self.states(), ["new"])
            self.clock.advance(inbox.AGAIN_SECONDS)
        self.assertEqual(self.router.routed, ["a"])

    def test_a_bad_message_is_given_up_and_the_others_go_on(self) -> None:
        self.router.troubles["bad"] = [ValueError("a mistake")]
        self.receive(direct(1, "bad"), direct(2, "good"))
        self.assertEqual(self.router.routed, ["good"])
        self.assertEqual(self.states(), ["dropped", "routed"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.open()
        self.recover()
        self.assertEqual(self.router.routed, [])  # it does not come back with every start

    def test_also_in_a_chat_that_waits(self) -> None:
        self.router.troubles["bad"] = [ValueError("a mistake")]
        self.receive(direct(1, "bad", media=FILE), direct(2, "good"))
        self.router.files["bad"].callback(None)
        self.assertEqual(self.router.routed, ["good"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_one_that_cannot_even_be_judged(self) -> None:
        self.receive(direct(1, "unjudged"), direct(2, "good"))
        self.assertEqual(self.router.routed, ["unjudged", "good"])


class BackPressure(Case):
    """More than can be routed."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(inbox, "MOST_WAITING", 10)

    def fill(self) -> list[Deferred[None]]:
        waits: list[Deferred[None]] = []
        for number in range(11):
            self.router.slow[f"m{number}"] = Deferred()
            waits.append(self.router.slow[f"m{number}"])
        self.receive(*(direct(number, f"m{number}") for number in range(11)))
        return waits

    def test_receiving_waits_until_half_is_done(self) -> None:
        waits = self.fill()
        one, two = self.begin(direct(20, "one")), self.begin(direct(21, "two", BOB))
        for wait in waits[:5]:
            wait.callback(None)
            self.assertNoResult(one)
        waits[5].callback(None)
        self.assertEqual((self.successResultOf(one), self.successResultOf(two)), (1, 1))
        self.assertEqual(self.router.routed[-2:], ["one", "two"])

    def test_nothing_of_it_is_stored_meanwhile(self) -> None:
        self.fill()
        self.begin(direct(20, "one"), cursor={"offset": "20"})
        self.assertEqual((len(self.states()), self.cursor()), (11, {}))

    def test_messages_that_fail_make_room_too(self) -> None:
        self.router.troubles = {f"m{number}": [ValueError("no")] for number in range(11)}
        waits = self.fill()
        waiting = self.begin(direct(20, "one"))
        for wait in waits:
            wait.callback(None)
        self.successResultOf(waiting)
        self.flushLoggedErrors(ValueError)

    def test_a_stop_lets_go(self) -> None:
        self.fill()
        waiting = self.begin(direct(20, "one"))
        self.inbox.stop()
        self.assertEqual(self.successResultOf(waiting), 1)
        self.assertEqual(self.states()[-1], "new")  # stored, for the next start


class Stopping(Case):
    """A clean stop."""

    def test_what_comes_after_it_is_stored_only(self) -> None:
        self.inbox.stop()
        self.receive(direct(1, "a"))
        self.assertEqual((self.router.routed, self.states()), ([], ["new"]))
        self.open()
        self.recover()
        self.assertEqual(self.router.routed, ["a"])

    def test_a_chat_that_waited_is_for_the_next_start(self) -> None:
        self.receive(direct(1, "picture", media=FILE), direct(2, "after"))
        self.inbox.stop()
        self.router.files["picture"].callback(None)
        self.assertEqual(self.router.routed, [])
        self.assertEqual(self.states(), ["new", "new"])

    def test_what_waits_for_the_store_is_not_tried_again(self) -> None:
        self.router.troubles["a"] = [StoreError("disk full")]
        self.receive(direct(1, "a", ALICE))
        self.inbox.stop()
        self.clock.advance(inbox.AGAIN_SECONDS)
        self.assertEqual((self.router.routed, self.states()), ([], ["new"]))
