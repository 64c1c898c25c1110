"""iMessage with the real inbox, outbox and supervisor around its adapter."""

from __future__ import annotations

from clawgw.channels.imessage import adapter as module
from clawgw.channels.imessage.provider import PROVIDER
from tests.channels.harness import ChannelCase
from tests.channels.imessage.fake import FakeMessages, internal, invalid


class IMessageEndToEnd(ChannelCase):
    """A Mac, and Alice."""

    async def setUp(self) -> None:  # type: ignore[override]
        super().setUp()
        self.patch(module, "SETTLE_SECONDS", 0.3)
        self.fake = FakeMessages(self.reactor)
        await self.fake.start()
        self.addCleanup(self.fake.stop)
        self.alice = self.fake.direct("+15552222222", "Alice")
        self.chat = str(self.alice.id)
        self.settings = {"command": self.fake.command}

    async def test_a_conversation_over_kills_of_the_child(self) -> None:
        account = await self.start(PROVIDER, self.settings)
        for number in range(6):
            self.fake.write(self.alice, f"question {number}")
            await self.until(lambda: len(self.routed) == number + 1)  # noqa: B023
            done = await self.deliver(account, self.chat, f"answer {number}")
            self.assertEqual(done.state, "delivered")
            if number % 2:
                self.fake.cut()
        self.assertEqual([row.text for row in self.fake.sent], [f"answer {n}" for n in range(6)])
        self.assertEqual([one.own for one in self.routed], [False] * 6)
        self.assertEqual(self.fake.complaints, [])

    async def test_what_comes_again_in_another_order_is_routed_once(self) -> None:
        await self.start(PROVIDER, self.settings)
        for text in ("one", "two", "three"):
            self.fake.write(self.alice, text)
        await self.until(lambda: len(self.routed) == 3)
        self.fake.repeat()
        self.fake.cut()  # it goes on after the newest row, whatever came last
        self.fake.write(self.alice, "the end")
        await self.until(lambda: len(self.routed) > 3)
        texts = [message.text for message in self.routed]
        self.assertEqual(texts, ["one", "two", "three", "the end"])

    async def test_answers_among_garbage_and_answers_given_twice(self) -> None:
        account = await self.start(PROVIDER, self.settings)
        for kind in ("garbage", "twice"):
            self.fake.fault("send", kind)
            done = await self.deliver(account, self.chat, kind)
            self.assertEqual(done.ids, (self.fake.sent[-1].guid,))
        self.assertEqual([row.text for row in self.fake.sent], ["garbage", "twice"])

    async def test_markdown_becomes_plain(self) -> None:
        account = await self.start(PROVIDER, self.settings)
        await self.deliver(account, self.chat, "**bold** and [here](https://example.com)")
        (row,) = self.fake.sent
        self.assertNotIn("*", row.text)
        self.assertIn("https://example.com", row.text)

    async def test_nothing_is_doubled_by_a_kill_in_the_middle(self) -> None:
        account = await self.start(PROVIDER, self.settings)
        for number, kind in enumerate(("act-and-die", "die", "act-and-die")):
            self.fake.fault("send", kind)
            done = await self.deliver(account, self.chat, "the same words")
            self.assertEqual((done.state, len(self.fake.sent)), ("delivered", number + 1))

    async def test_a_fault_of_messages_that_passes(self) -> None:
        account = await self.start(PROVIDER, self.settings)
        self.fake.fault("send", "refuse", error=internal("AppleScript failed: timed out"))
        done = await self.deliver(account, self.chat, "in the end")
        self.assertEqual((done.state, len(self.fake.sent)), ("delivered", 1))

    async def test_refused(self) -> None:
        account = await self.start(PROVIDER, self.settings)
        self.fake.fault("send", "refuse", error=invalid("unknown chat_id 7"))
        done = await self.deliver(account, "7", "hello?")
        self.assertEqual(done.state, "failed")
        self.assertEqual(done.error, "imsg: Invalid params: unknown chat_id 7")

    async def test_no_access_is_one_clear_line(self) -> None:
        self.fake.denied = "Permission Error: Full Disk Access"
        account = self.account(PROVIDER, self.settings)
        await account.start()
        await self.until(lambda: account.status.health == "failed")
        self.assertIn("Full Disk Access", account.status.last_error or "")
        self.assertFalse(account.status.running)
