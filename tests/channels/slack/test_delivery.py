"""Slack with the real inbox and outbox around the adapter: nothing lost, nothing doubled."""

from __future__ import annotations

import random
from typing import Any

from clawgw.channels import outbox, supervisor
from clawgw.channels.account import Account
from clawgw.channels.messages import Outbound, OutMedia
from clawgw.channels.slack.provider import PROVIDER
from tests.channels.harness import ChannelCase
from tests.channels.slack.fake import FakeSlack
from tests.channels.slack.faults import Broken, Cut, Fault, Throttle


class DeliveryTests(ChannelCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(outbox, "FIRST_PAUSE", 0.02)
        self.patch(supervisor, "FIRST_PAUSE", 0.02)
        self.slack = FakeSlack(self.reactor)
        self.slack.start()
        self.addCleanup(self.slack.stop)
        self.slack.sockets.retry_pauses = (0.05,) * 20
        self.slack.sockets.ack_timeout = 1.0
        self.ann = self.slack.workspace.person("U0ANN", "ann")
        self.dm = self.slack.workspace.direct(self.ann)
        self.general = self.slack.workspace.channel("general", self.ann)

    async def connect(self) -> Account:
        return await self.start(
            PROVIDER,
            {
                "botToken": self.slack.bot_token,
                "appToken": self.slack.app_token,
                "apiRoot": self.slack.api_root,
            },
        )

    async def again(self, account: Account) -> Account:
        """The Gateway, started anew with the store it left."""
        await self.stop(account)
        self.inbox.stop()
        self.database.close()
        earlier = self.recorder.routed
        self.open_store()
        self.recorder.routed = earlier  # the old store may still tell of its last writes
        await self.inbox.recover()
        return await self.connect()

    async def test_a_message_and_its_answer(self) -> None:
        account = await self.connect()
        self.slack.say(self.ann, self.dm, "hello")
        await self.until(lambda: self.routed)
        delivery = await self.deliver(account, self.dm, "**hi** & welcome")
        self.assertEqual((delivery.state, len(delivery.ids)), ("delivered", 1))
        self.assertEqual(len(self.slack.sent(self.dm)), 1)
        self.assertEqual(self.slack.violations, [])

    async def test_an_account_that_is_removed_after_it_gave_up_leaves_no_connection(self) -> None:
        account = await self.connect()
        self.slack.sockets.open[0].disconnect("link_disabled", close_after=0.01)
        await self.until(lambda: account.status.health == "failed")
        await self.until(lambda: not self.slack.sockets.open)
        self.assertNotEqual(self.slack.connections, [])
        await self.stop(account)
        await self.until(lambda: not self.slack.connections, seconds=15)  # an idle one has 30

    async def test_an_address_of_a_person_opens_the_conversation(self) -> None:
        account = await self.connect()
        bob = self.slack.workspace.person("U0BOB", "bob")
        await self.deliver(account, bob, "hi")
        self.assertEqual(self.slack.sent(self.slack.workspace.direct(bob)), ["hi"])

    async def test_outbound_through_every_fault_exactly_once_and_in_order(self) -> None:
        account = await self.connect()
        faults: list[Fault] = [Cut(acted=True), Cut(acted=False), Throttle(0.1), Broken(503)]
        chance = random.Random(4)
        for number in range(25):
            if chance.random() < 0.4:
                self.slack.fail("chat.postMessage", chance.choice(faults))
            if chance.random() < 0.1:
                self.slack.fail("conversations.history", chance.choice(faults))
            delivery = await self.deliver(account, self.dm, f"message {number}")
            self.assertEqual(delivery.state, "delivered")
        self.assertEqual(self.slack.sent(self.dm), [f"message {n}" for n in range(25)])
        self.assertEqual(self.slack.violations, [])

    async def test_a_file_whose_answer_is_lost_is_shared_once(self) -> None:
        account = await self.connect()
        path = self.directory / "a.txt"
        path.write_bytes(b"text")
        media = OutMedia(path=str(path), kind="file", mime_type="text/plain", name="a.txt")
        self.slack.fail("files.completeUploadExternal", Cut(acted=True))
        delivery = await self.deliver(account, self.dm, Outbound(text="see", media=(media,)))
        self.assertEqual(delivery.state, "delivered")
        shared = [message["files"][0]["name"] for _, message in self.slack.posted]
        self.assertEqual(shared, ["a.txt"])

    async def test_inbound_over_cuts_refreshes_and_restarts_each_once_and_in_order(self) -> None:
        account = await self.connect()
        chance = random.Random(7)
        total = 150
        for number in range(total):
            self.slack.say(self.ann, self.dm, str(number))
            event = chance.random()
            if event < 0.04 and self.slack.sockets.open:
                self.slack.sockets.open[0].cut()
            elif event < 0.08 and self.slack.sockets.open:
                self.slack.sockets.open[0].disconnect("refresh_requested", close_after=0.02)
            elif event < 0.10:
                account = await self.again(account)
        await self.until(lambda: len(self.texts()) >= total)
        self.assertEqual(sorted(self.texts(), key=int), [str(n) for n in range(total)])
        self.assertEqual(self.slack.violations, [])

    def texts(self) -> list[Any]:
        return [message.text for message in self.routed]
