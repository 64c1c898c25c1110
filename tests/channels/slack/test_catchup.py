"""What people wrote while the Gateway was away."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from clawgw.channels.slack import adapter, catchup
from tests.channels.slack.faults import Broken, Refuse, Throttle
from tests.channels.slack.support import SlackCase
from tests.channels.slack.workspace import BOT_USER


class CatchUpTests(SlackCase):
    def setUp(self) -> None:
        super().setUp()
        # what is not delivered at once is not delivered again: only the history tells
        self.slack.sockets.retry_pauses = ()

    async def have_been_here(self) -> None:
        """A first run that reads one message."""
        await self.start()
        self.slack.say(self.ann, self.dm, "first")
        await self.until(lambda: self.host.messages)
        await self.until(lambda: not self.slack.sockets.pending)
        await self.stop()
        await self.until(lambda: not self.slack.sockets.open)

    async def back_with(self, count: int) -> None:
        await self.start()
        await self.until(lambda: len(self.host.messages) >= count)

    async def test_what_was_missed_is_read_in_order(self) -> None:
        await self.have_been_here()
        self.slack.page_limit = 10
        for number in range(35):
            self.slack.say(self.ann, self.dm, str(number))
        await self.back_with(36)
        self.assertEqual(self.host.texts, ["first", *map(str, range(35))])

    async def test_new_messages_wait_for_the_missed_ones(self) -> None:
        self.patch(adapter, "IN_ORDER_SECONDS", 30.0)
        await self.have_been_here()
        self.slack.say(self.ann, self.dm, "missed")
        self.slack.fail("conversations.history", Throttle(1))
        await self.start()
        self.slack.say(self.ann, self.dm, "new")
        await self.until(lambda: len(self.host.messages) == 3)
        self.assertEqual(self.host.texts, ["first", "missed", "new"])

    async def test_but_not_for_long(self) -> None:
        self.patch(adapter, "IN_ORDER_SECONDS", 0.05)
        await self.have_been_here()
        self.slack.fail("users.conversations", Throttle(60))
        await self.start()
        self.slack.say(self.ann, self.dm, "new")
        await self.until(lambda: len(self.host.messages) == 2)

    async def test_a_conversation_that_began_meanwhile_is_found(self) -> None:
        await self.have_been_here()
        bob = self.slack.workspace.person("U0BOB", "bob")
        self.slack.say(bob, self.slack.workspace.direct(bob), "hello?")
        self.slack.say(self.ann, self.general, f"<@{BOT_USER}> and here")
        await self.back_with(3)
        found = {message.text: message for message in self.host.messages.values()}
        self.assertEqual(found["hello?"].chat.kind, "direct")
        self.assertEqual(found["and here"].chat.kind, "channel")
        self.assertTrue(found["and here"].mentioned)

    async def test_replies_in_threads_are_found(self) -> None:
        await self.start()
        old = self.slack.say(self.ann, self.general, "a thread")
        self.slack.say(self.ann, self.general, "a reply", thread_ts=old)
        await self.until(lambda: len(self.host.messages) == 2)
        await self.stop()
        await self.until(lambda: not self.slack.sockets.open)
        self.slack.say(self.ann, self.general, "a missed reply", thread_ts=old)
        await self.back_with(3)
        (missed,) = [one for one in self.host.messages.values() if one.text == "a missed reply"]
        self.assertEqual(missed.chat.thread, old)

    async def test_an_edit_made_meanwhile_is_an_edit(self) -> None:
        await self.have_been_here()
        (first,) = self.host.messages.values()
        self.slack.edit(self.dm, str(first.reply_id), "first, but better")
        await self.back_with(2)
        edit = list(self.host.messages.values())[1]
        self.assertEqual((edit.kind, edit.text), ("edit", "first, but better"))

    async def test_a_first_start_reads_nothing_old(self) -> None:
        self.slack.say(self.ann, self.dm, "before anybody listened")
        await self.start()
        self.slack.say(self.ann, self.dm, "now")
        await self.until(lambda: self.host.messages)
        await self.until(lambda: "at" in self.host.stored)
        self.assertEqual(self.host.texts, ["now"])
        self.assertEqual(self.slack.called("conversations.history"), [])

    async def test_a_conversation_that_is_gone_is_forgotten(self) -> None:
        await self.have_been_here()
        del self.slack.workspace.conversations[self.dm]
        await self.start()
        await self.until(lambda: f"c:{self.dm}" not in self.host.stored)
        self.assertEqual(self.faults, [])

    async def test_a_scope_that_is_missing_is_said_and_forgets_nothing(self) -> None:
        await self.have_been_here()
        self.slack.missing_scopes["conversations.history"] = "im:history"
        await self.start()
        await self.until(lambda: self.host.warnings)
        self.assertIn("lacks the scope im:history", self.host.warnings[0])
        self.assertIn(f"c:{self.dm}", self.host.stored)

    async def test_what_cannot_be_read_is_said(self) -> None:
        await self.have_been_here()
        self.slack.fail("users.conversations", Refuse("missing_scope"))
        self.slack.fail("conversations.history", Broken(503))
        await self.start()
        await self.until(lambda: len(self.host.warnings) == 2)
        self.assertIn("only known conversations", self.host.warnings[0])
        self.assertIn("may be missing", self.host.warnings[1])
        self.slack.say(self.ann, self.dm, "goes on")
        await self.until(lambda: "goes on" in self.host.texts)

    async def test_what_slack_did_not_tell_is_asked_for_again(self) -> None:
        self.patch(catchup, "AGAIN_SECONDS", 0.05)
        await self.have_been_here()
        self.slack.say(self.ann, self.dm, "missed")
        self.slack.fail("conversations.history", Broken(503), Refuse("internal_error"))
        await self.back_with(2)
        self.assertEqual(self.host.texts, ["first", "missed"])
        await self.until(lambda: "gap" not in self.host.stored)
        self.assertEqual(self.host.warnings[-1], "")

    async def test_neither_news_nor_an_end_hides_what_is_still_missing(self) -> None:
        self.patch(catchup, "OVERLAP_SECONDS", 0.0)
        await self.have_been_here()
        self.slack.say(self.ann, self.dm, "missed")
        self.slack.fail("conversations.history", Broken(503))
        await self.start()
        self.slack.say(self.ann, self.dm, "new")
        await self.until(lambda: "new" in self.host.texts)
        await self.stop()
        self.assertNotIn("missed", self.host.texts)
        await self.back_with(3)
        self.assertEqual(self.host.texts, ["first", "new", "missed"])

    async def test_killed_before_the_acknowledgement_it_is_told_again(self) -> None:
        self.slack.sockets.retry_pauses = (0.05,) * 100
        never: Deferred[None] = Deferred()
        self.host.before_storing = lambda: never
        await self.start()
        self.slack.say(self.ann, self.dm, "hello")
        await self.until(lambda: self.slack.sockets.deliveries[0].attempts)
        await self.stop()
        self.host.before_storing = None
        await self.start()
        await self.until(lambda: self.host.messages)
        await self.until(lambda: not self.slack.sockets.pending)
        self.assertEqual(self.host.texts, ["hello"])
