"""Webhook mode: Telegram posts, we store, then we say so."""

from __future__ import annotations

import json
from typing import Any

import treq
import twisted.web.http
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.web.client import HTTPConnectionPool, RequestTransmissionFailed, ResponseFailed

from clawgw.channels.adapter import Fault
from clawgw.channels.telegram import adapter
from tests.channels.telegram.host import AdapterCase
from tests.support.ports import hold_port

URL = "https://bot.example/telegram-webhook"


class WebhookTests(AdapterCase):
    def setUp(self) -> None:
        super().setUp()
        self.port = hold_port(self)
        self.fake.webhook_proxy = f"http://127.0.0.1:{self.port}"
        self.make(webhook_url=URL, webhook_port=self.port)

    async def post(self, body: bytes, path: str = "/telegram-webhook", **headers: str) -> int:
        url = f"http://127.0.0.1:{self.port}{path}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = await treq.post(url, data=body, headers=named, persistent=False)
        await response.content()
        return int(response.code)

    async def test_messages_arrive_in_order(self) -> None:
        await self.start()
        self.assertEqual(self.host.details["mode"], "webhook")
        for number in range(20):
            self.world.say(self.ann, str(number))
        await self.arrived(20)
        await self.until(lambda: len(self.world.confirmed) == 20)
        self.assertEqual(self.host.texts, [str(number) for number in range(20)])

    async def test_what_is_not_stored_is_posted_again(self) -> None:
        await self.start()
        self.host.fails = 2
        self.world.say(self.ann, "do not lose me")
        await self.arrived(1)
        await self.until(lambda: self.world.confirmed)
        codes = [code for _number, code in self.fake.webhooks[self.world.token].posts]
        self.assertEqual(codes, [500, 500, 200])
        self.assertEqual(len(self.flushLoggedErrors()), 2)

    async def test_only_telegram_may_post(self) -> None:
        await self.start()
        update = {"update_id": 1, "message": self.world.say(self.ann, "x")}
        await self.arrived(1)
        forged = json.dumps({**update, "update_id": 2}).encode()
        self.assertEqual(await self.post(forged), 403)
        self.assertEqual(await self.post(forged, X_Telegram_Bot_Api_Secret_Token="guess"), 403)
        self.assertEqual(await self.post(forged, "/elsewhere"), 404)
        self.assertEqual(len(self.host.batches), 1)

    async def test_garbage_and_far_too_much(self) -> None:
        self.make(webhook_url=URL, webhook_port=self.port, webhook_secret="s3cret")
        await self.start()
        header: dict[str, Any] = {"X_Telegram_Bot_Api_Secret_Token": "s3cret"}
        self.assertEqual(await self.post(b"{garbage", **header), 200)
        with self.assertRaises((ResponseFailed, RequestTransmissionFailed)):
            await self.post(b"x" * (2 << 20), **header)
        self.world.say(self.ann, "still here")
        await self.arrived(1)

    async def test_a_connection_that_outlives_us_is_told_to_come_again(self) -> None:
        self.make(webhook_url=URL, webhook_port=self.port, webhook_secret="s3cret")
        await self.start()
        pool = HTTPConnectionPool(reactor)
        self.addCleanup(pool.closeCachedConnections)
        url = f"http://127.0.0.1:{self.port}/telegram-webhook"
        headers = {"X-Telegram-Bot-Api-Secret-Token": "s3cret"}
        codes = []
        for _ in range(2):
            response = await treq.post(url, data=b"{garbage", headers=headers, pool=pool)
            await response.content()
            codes.append(response.code)
            await self.end()
        self.assertEqual(codes, [200, 503])

    async def test_a_stranger_cannot_make_us_read_a_form(self) -> None:
        await self.start()
        asked: list[object] = []
        self.patch(twisted.web.http, "parse_qs", lambda *args, **_: asked.append(args) or {})
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        self.assertEqual(await self.post(b"a&" * 100_000, **form), 403)
        self.assertEqual(asked, [])

    async def test_a_secret_that_is_no_text(self) -> None:
        await self.start()
        url = f"http://127.0.0.1:{self.port}/telegram-webhook"
        headers = {b"X-Telegram-Bot-Api-Secret-Token": b"\xff\xfe"}
        response = await treq.post(url, data=b"{}", headers=headers, persistent=False)
        await response.content()
        self.assertEqual(response.code, 403)

    async def test_what_came_while_we_were_away_comes_then(self) -> None:
        await self.start()
        await self.end()
        self.world.say(self.ann, "anybody?")
        await self.start()
        await self.arrived(1)

    async def test_back_to_polling(self) -> None:
        await self.start()
        await self.end()
        self.world.say(self.ann, "hello")
        self.make()
        await self.start()
        self.assertEqual(self.host.details["mode"], "polling")
        await self.arrived(1)

    async def test_another_program_that_changes_the_webhook_is_named(self) -> None:
        self.patch(adapter, "WEBHOOK_CHECK_SECONDS", 0.05)
        life = await self.start()
        api = await self.adapter._bot()
        await api.call("setWebhook", {"url": "https://other.example/hook"}, object)
        problem = await self.assertFailure(life, Fault)
        self.assertIn("another program has changed this bot's webhook", str(problem))
        await self.start()
        self.world.say(self.ann, "still here")
        await self.arrived(1)

    async def test_an_address_that_leads_nowhere_is_said_until_it_leads_here(self) -> None:
        self.patch(adapter, "WEBHOOK_CHECK_SECONDS", 0.05)
        self.fake.webhook_proxy = f"http://127.0.0.1:{hold_port(self)}"
        await self.start()
        self.world.say(self.ann, "anybody?")
        await self.until(lambda: self.fake.webhooks[self.world.token].last_error)
        await self.until_warned("Telegram cannot reach webhookUrl")
        self.fake.webhooks[self.world.token].proxy = f"http://127.0.0.1:{self.port}"
        await self.arrived(1)
        await self.until_warned("")

    async def until_warned(self, words: str) -> None:
        """Wait for this warning; an empty one takes back what was said."""
        while not (self.host.warnings and self._is(self.host.warnings[-1], words)):
            await deferLater(reactor, 0.01)

    def _is(self, warning: str, words: str) -> bool:
        return words in warning if words else not warning

    async def test_a_port_that_is_taken(self) -> None:
        self.make(webhook_url=URL, webhook_port=self.fake.port)
        problem = await self.assertFailure(self.begin(), Fault)
        self.assertIn("webhookPort", str(problem))

    async def test_an_address_telegram_does_not_take(self) -> None:
        self.make(webhook_url="https://bot.example:8787/", webhook_port=self.port)
        problem = await self.assertFailure(self.begin(), Fault)
        self.assertIn("ports 80, 88, 443 or 8443", str(problem))
