"""The adapter with a fake that others wrote: telegram-test-api, in a process of its own."""

from __future__ import annotations

import msgspec

from clawgw.channels.check import check_account
from clawgw.channels.messages import Outbound
from clawgw.channels.providers import Configured
from clawgw.channels.telegram.provider import PROVIDER
from tests.channels.harness import ChannelCase
from tests.channels.telegram.public.server import TOKEN, PublicFake, install


class PublicFakeTests(ChannelCase):
    async def setUp(self) -> None:  # type: ignore[override]
        super().setUp()
        await self.in_thread(install)
        self.fake = PublicFake(self.reactor)
        self.addCleanup(self.fake.stop)
        await self.fake.start()

    async def test_a_message_and_its_answer(self) -> None:
        account = await self.start(
            PROVIDER, {"botToken": TOKEN, "apiRoot": self.fake.api_root, "replyToMode": "off"}
        )
        self.assertEqual(account.status.details["name"], "@TestNameBot")
        await self.fake.say("ping")
        (message,) = await self.until(lambda: self.routed)
        self.assertEqual((message.text, message.sender.name), ("ping", "Ann"))
        delivery = await self.deliver(account, message.chat.id, "**pong**")
        self.assertEqual(delivery.state, "delivered", delivery)
        (answer,) = await self.fake.answers()
        self.assertIn("pong", answer["text"])
        self.assertEqual(answer["parse_mode"], "HTML")

    async def test_asked_before_it_is_configured(self) -> None:
        """This server knows nothing of webhooks."""
        settings = msgspec.convert(
            {"botToken": TOKEN, "apiRoot": self.fake.api_root}, PROVIDER.settings
        )
        one = Configured(PROVIDER, "default", settings)
        found = await check_account(one, self.reactor, self.directory, {})
        self.assertEqual(found.details["bot"]["username"], "TestNameBot")

    async def test_a_draft_is_replaced(self) -> None:
        account = await self.start(PROVIDER, {"botToken": TOKEN, "apiRoot": self.fake.api_root})
        first = await self.deliver(account, "1", "thinking")
        second = await self.deliver(account, "1", Outbound(text="done", draft=first.ids[0]))
        self.assertEqual(second.ids, first.ids)
        self.assertEqual([one["text"] for one in await self.fake.history()], ["done"])
