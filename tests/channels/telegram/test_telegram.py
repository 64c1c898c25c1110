"""Telegram with the real inbox, outbox and supervisor: what people see when things go wrong."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet import reactor

from clawgw.channels import outbox, supervisor
from clawgw.channels.account import Account
from clawgw.channels.messages import Outbound
from clawgw.channels.outbox import MOST_DOUBTS
from clawgw.channels.telegram.provider import PROVIDER
from tests.channels.harness import ChannelCase
from tests.channels.telegram.fake import TOKEN, FakeTelegram


class TelegramTests(ChannelCase):
    def setUp(self) -> None:
        super().setUp()
        self.fake = FakeTelegram(reactor).start()
        self.addCleanup(self.fake.stop)
        self.world = self.fake.world
        self.ann = self.world.user("Ann", username="ann")
        self.settings: dict[str, Any] = {"botToken": TOKEN, "apiRoot": self.fake.api_root}

    async def connect(self) -> Account:
        return await self.start(PROVIDER, self.settings)

    async def test_a_long_answer_is_cut(self) -> None:
        account = await self.connect()
        text = "\n\n".join(f"{number}: " + "word " * 100 for number in range(20))
        delivery = await self.deliver(account, "1001", text)
        self.assertEqual(delivery.state, "delivered", delivery)
        self.assertGreater(len(self.world.sent), 2)
        self.assertEqual(" ".join(" ".join(self.world.texts()).split()), " ".join(text.split()))
        self.assertEqual(self.fake.refusals, [])

    async def test_markup_of_every_kind_is_what_telegram_takes(self) -> None:
        account = await self.connect()
        for text, plain in (
            ("**bold _both_** `a < b && c`", "bold both a < b && c"),
            ("[here](https://a.example/?a=1&b=<2>)", "here"),
            ("```python\nif a < b:\n    pass\n```", "if a < b:\n    pass"),
            ("2 < 3 & <b>not ours</b> &amp; *", None),
            ("> quoted **so**\n\n- one\n- two\n  1. three", None),
            ("**never closed `neither", None),
            ("~~gone~~ ||hidden|| # no heading\n\n# Heading", None),
            ("| a | b |\n|---|---|\n| 1 | <2> |", None),
            ("🦞" * 3000, None),
        ):
            self.fake.refusals.clear()
            delivery = await self.deliver(account, "1001", text)
            self.assertEqual(delivery.state, "delivered", delivery)
            self.assertEqual(self.fake.refusals, [], text)
            if plain is not None:
                self.assertEqual(self.world.texts()[-1], plain)

    async def test_throttling_is_waited_for(self) -> None:
        account = await self.connect()
        self.fake.faults.throttle(1, "sendMessage")
        delivery = await self.deliver(account, "1001", "patience")
        self.assertEqual(delivery.state, "delivered", delivery)
        self.assertEqual(self.world.texts(), ["patience"])

    async def test_a_lost_answer_doubles_once_at_most(self) -> None:
        account = await self.connect()
        self.fake.faults.lose("sendMessage")
        delivery = await self.deliver(account, "1001", "once or twice")
        self.assertEqual(delivery.state, "delivered", delivery)
        self.assertEqual(self.world.texts(), ["once or twice"] * 2)

    async def test_a_lost_edit_doubles_nothing(self) -> None:
        account = await self.connect()
        draft = await self.deliver(account, "1001", "thinking")
        self.fake.faults.lose("editMessageText")
        await self.deliver(account, "1001", Outbound(text="done", draft=draft.ids[0]))
        self.assertEqual(self.world.texts(), ["done"])

    async def test_a_blocked_bot_fails_that_message_only(self) -> None:
        bo = self.world.user("Bo", 1002)
        account = await self.connect()
        self.world.chats[1001].blocked = True
        delivery = await self.deliver(account, "1001", "hello?")
        self.assertEqual(delivery.state, "failed")
        self.assertIn("bot was blocked by the user", delivery.error or "")
        other = await self.deliver(account, str(bo["id"]), "hello!")
        self.assertEqual(other.state, "delivered", other)

    async def test_a_wrong_token_is_said_once(self) -> None:
        self.settings["botToken"] = "123456789:wrong"
        account = self.account(PROVIDER, self.settings)
        await account.start()
        await self.until(lambda: account.status.health == "failed")
        self.assertIn("@BotFather", account.status.last_error or "")
        self.assertFalse(account.status.running)
        self.assertEqual(len(self.fake.asked("getMe", "123456789:wrong")), 1)

    async def test_an_account_removed_while_telegram_is_away_leaves_no_connection(self) -> None:
        self.patch(supervisor, "FIRST_PAUSE", 300.0)  # it would open connections of its own
        account = await self.connect()
        for _ in range(2):
            self.fake.faults.refuse(500, "Internal Server Error", "getUpdates")
        self.fake.cut_connections()
        await self.until(lambda: account.status.health == "reconnecting")
        await self.deliver(account, "1001", "while it is not connected")
        self.assertEqual(len(self.fake.connections), 1)
        await self.stop(account)
        await self.until(lambda: not self.fake.connections, seconds=15)  # an idle one has 30

    async def test_another_bot_in_its_place_is_heard_from_its_first_message_on(self) -> None:
        """Its messages have the numbers that those of the bot before had."""
        other = "987654321:AAF-fake_token_of_another_bot_0123456789"
        await self.fake.stop()
        self.fake = FakeTelegram(reactor, TOKEN, other).start()
        self.addCleanup(self.fake.stop)
        settings = {**self.settings, "apiRoot": self.fake.api_root}
        for token, text in ((TOKEN, "one"), (other, "two"), (TOKEN, "three")):
            world = self.fake.worlds[token]
            world.say(world.user("Ann"), text)
            account = await self.start(PROVIDER, {**settings, "botToken": token})
            await self.until(lambda text=text: [one.text for one in self.routed][-1:] == [text])
            await self.until(lambda world=world: world.confirmed)
            await self.stop(account)
        self.assertEqual([one.text for one in self.routed], ["one", "two", "three"])

    async def test_a_connection_that_is_cut_comes_back(self) -> None:
        account = await self.connect()
        self.world.say(self.ann, "one")
        await self.until(lambda: len(self.routed) == 1)
        self.fake.cut_connections()
        await self.until(lambda: account.status.health == "reconnecting")
        self.world.say(self.ann, "two")
        await self.until(lambda: len(self.routed) == 2)
        self.assertEqual([message.text for message in self.routed], ["one", "two"])

    async def test_hundreds_both_ways_over_a_bad_line(self) -> None:
        """Cuts, lost answers, doubled and disordered updates; nothing is lost."""
        for module in (outbox, supervisor):
            self.patch(module, "FIRST_PAUSE", 0.05)
        # Of so many messages one is sometimes struck five times running, and would be given up.
        self.patch(outbox, "MOST_DOUBTS", 100)
        people = [self.world.user(f"P{number}", 2000 + number) for number in range(10)]
        account = await self.connect()
        rng = random.Random(7)
        self.fake.faults.now_and_then(rng, 0.1, "cut", method="sendMessage")
        for skip in range(10, 300, 30):
            self.fake.faults.lose("sendMessage", skip=skip)
        self.fake.faults.cut("getUpdates", skip=3)
        deliveries = []
        for number in range(300):
            person = people[number % 10]
            self.world.say(person, f"in {number}")
            if number % 50 == 0:
                self.world.repeat()
                self.world.shuffle(rng)
            chat = str(person["id"])
            deliveries.append(self._delivering(account, chat, f"out {number}"))
        for delivery in deliveries:
            self.assertEqual((await delivery).state, "delivered")
        await self.until(lambda: len(self.routed) == 300, lambda: str(len(self.routed)))
        heard = sorted(message.text for message in self.routed)
        self.assertEqual(heard, sorted(f"in {number}" for number in range(300)))
        told = set(self.world.texts())
        self.assertEqual(told, {f"out {number}" for number in range(300)})
        doubles = self.world.doubles()
        self.assertLessEqual(doubles.total(), self.fake.faults.struck["lose"])
        self.assertLessEqual(max(doubles.values()), MOST_DOUBTS)  # one may be hit again
        self.assertEqual(self.fake.complaints, [])

    def _delivering(self, account: Account, chat: str, text: str) -> Any:
        from twisted.internet.defer import Deferred

        return Deferred.fromCoroutine(self.deliver(account, chat, text))
