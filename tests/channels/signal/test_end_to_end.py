"""Signal with the real inbox, outbox and supervisor around its adapter."""

from __future__ import annotations

from typing import Any

from clawgw.channels.messages import Outbound
from clawgw.channels.signal import outgoing
from clawgw.channels.signal.provider import PROVIDER
from tests.channels.harness import ChannelCase
from tests.channels.signal.fake import FakeSignal, unsuccessful

BOT = "+15550001111"


class SignalEndToEnd(ChannelCase):
    """A linked account, and Alice."""

    async def setUp(self) -> None:  # type: ignore[override]
        super().setUp()
        self.fake = FakeSignal(self.reactor)
        await self.fake.start()
        self.addCleanup(self.fake.stop)
        self.fake.account(BOT)
        self.alice = self.fake.person("+15552222222", "Alice")
        self.settings: dict[str, Any] = {"account": BOT, "command": self.fake.command}

    async def test_a_conversation_over_kills_of_the_child(self) -> None:
        account = await self.start(PROVIDER, self.settings)
        for number in range(6):
            self.fake.write(self.alice, f"question {number}")
            await self.until(lambda: len(self.routed) == number + 1)  # noqa: B023
            done = await self.deliver(account, self.alice.uuid, f"answer {number}")
            self.assertEqual(done.state, "delivered")
            if number % 2:
                self.fake.cut()
        self.assertEqual([sent.text for sent in self.fake.sent], [f"answer {n}" for n in range(6)])
        self.assertEqual(self.fake.complaints, [])

    async def test_what_comes_again_in_another_order_is_routed_once(self) -> None:
        await self.start(PROVIDER, self.settings)
        for text in ("one", "two", "three"):
            self.fake.write(self.alice, text)
        await self.until(lambda: len(self.routed) == 3)
        self.fake.repeat(BOT)
        self.fake.write(self.alice, "the end")
        await self.until(lambda: len(self.routed) > 3)
        texts = [message.text for message in self.routed]
        self.assertEqual(texts, ["one", "two", "three", "the end"])

    async def test_answers_among_garbage_and_answers_given_twice(self) -> None:
        account = await self.start(PROVIDER, self.settings)
        for kind in ("garbage", "twice"):
            self.fake.fault("send", kind)
            done = await self.deliver(account, self.alice.uuid, kind)
            self.assertEqual(done.ids, (f"{BOT}:{self.fake.sent[-1].timestamp}",))
        self.assertEqual([sent.text for sent in self.fake.sent], ["garbage", "twice"])

    async def test_markdown_becomes_styles(self) -> None:
        account = await self.start(PROVIDER, self.settings)
        await self.deliver(account, self.alice.uuid, "😀 **bold** and `code`, ~~gone~~ *so*")
        (sent,) = self.fake.sent
        self.assertEqual(sent.text, "😀 bold and code, gone so")
        self.assertEqual(
            sorted(sent.styles),
            ["12:4:MONOSPACE", "18:4:STRIKETHROUGH", "23:2:ITALIC", "3:4:BOLD"],
        )
        self.assertEqual(self.fake.complaints, [])

    async def test_a_long_text_goes_in_pieces_that_styles_fit(self) -> None:
        account = await self.start(PROVIDER, self.settings)
        text = "\n\n".join(f"**paragraph {n}** " + "word " * 100 for n in range(30))
        done = await self.deliver(account, self.alice.uuid, text)
        self.assertGreater(len(done.ids), 3)
        self.assertEqual(len(self.fake.sent), len(done.ids))
        self.assertTrue(all(len(sent.text) <= 4000 and sent.styles for sent in self.fake.sent))
        self.assertEqual(self.fake.complaints, [])

    async def test_throttled(self) -> None:
        account = await self.start(PROVIDER, self.settings)
        error = unsuccessful({}, "RATE_LIMIT_FAILURE", retryAfterSeconds=1)
        self.fake.fault("send", "refuse", error=error, times=2)
        done = await self.deliver(account, self.alice.uuid, "patience")
        self.assertEqual(done.state, "delivered")
        self.assertEqual([sent.text for sent in self.fake.sent], ["patience"])

    async def test_an_answer_that_comes_too_late_is_no_second_message(self) -> None:
        self.patch(outgoing, "SEND_SECONDS", 0.2)
        self.patch(outgoing, "BUSY_SECONDS", 0.2)
        account = await self.start(PROVIDER, self.settings)
        self.fake.fault("send", "delay", seconds=2.0)
        done = await self.deliver(account, self.alice.uuid, "once")
        self.assertEqual((done.state, len(self.fake.sent)), ("delivered", 1))
        self.assertEqual(done.ids, (f"{BOT}:{self.fake.sent[0].timestamp}",))

    async def test_a_child_killed_in_the_middle_may_double_and_is_counted(self) -> None:
        account = await self.start(PROVIDER, self.settings)
        self.fake.fault("send", "act-and-die")
        done = await self.deliver(account, self.alice.uuid, "twice")
        self.assertEqual((done.state, len(self.fake.sent)), ("delivered", 2))
        counted = self.database.read(
            lambda connection: connection.execute("SELECT sum(doubled) FROM outbox").fetchone()[0]
        )
        self.assertEqual(counted, 1)

    async def test_refused(self) -> None:
        account = await self.start(PROVIDER, self.settings)
        done = await self.deliver(account, "+15559999999", Outbound(text="hello?"))
        self.assertEqual((done.state, done.error), ("failed", "the recipient is not at Signal"))

    async def test_not_linked_is_one_clear_line(self) -> None:
        self.settings["account"] = "+4915111111111"
        account = self.account(PROVIDER, self.settings)
        await account.start()
        await self.until(lambda: account.status.health == "logged-out")
        self.assertIn("clawgw channels login signal", account.status.last_error or "")
        started = self.fake.started
        await self.until(lambda: account.status.running is False)
        self.assertEqual(self.fake.started, started)
