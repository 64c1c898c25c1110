"""The adapter, the real sidecar and real Baileys against a simulated WhatsApp."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from clawgw.channels.account import Account
from clawgw.channels.adapter import LoginStep
from clawgw.channels.messages import Outbound, OutMedia
from clawgw.channels.whatsapp import adapter
from clawgw.channels.whatsapp.provider import PROVIDER
from tests.channels.harness import ChannelCase
from tests.channels.whatsapp.real import MAIN, NUMBER, install_sidecar
from tests.channels.whatsapp_server.server import WhatsAppServer

ANNA = "491701234567"
BEN = "491709876543"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


class EndToEndTests(ChannelCase):
    """A person writes on a phone, and reads on it what the Gateway sends."""

    timeout = 400

    async def setUp(self) -> None:
        super().setUp()
        self.patch(adapter, "FIRST_STEP_SECONDS", 90.0)
        self.patch(adapter, "TITLE_SECONDS", 90.0)
        install_sidecar()
        self.server = await WhatsAppServer.start(self.reactor)
        self.addCleanup(self.server.close)
        self.environ.update(self.server.sidecar_environment())
        await self.server.command("contact", number=ANNA, name="Anna")

    def account(self, *args: Any, **named: Any) -> Account:
        """An account whose adapter is closed in the end."""
        account = super().account(*args, **named)
        self.addCleanup(account.adapter.close)
        return account

    def settings(self, **more: Any) -> dict[str, Any]:
        """The configuration of the account."""
        return {"command": ["node", str(MAIN)], "socketUrl": self.server.url, **more}

    async def link(self, account: Account) -> None:
        """Link the phone, as `web.login.start` and `web.login.wait` do, and go on from there."""
        step = await self.until_step(account, lambda one: one.qr is not None)
        await self.server.command("scan", qr=step.qr)
        step = await self.until_step(account, lambda one: one.connected, shown=step.qr)
        self.assertIn(f"+{NUMBER}", step.message)
        account.restart()
        await self.until(lambda: account.status.connected, lambda: repr(account.status))

    async def until_step(self, account: Account, fits: Any, shown: str | None = None) -> LoginStep:
        """The first step of a login that fits."""
        if shown is None:
            step = await account.adapter.login_start(force=False)
        else:
            step = await account.adapter.login_wait(20, shown)
        while not fits(step):
            step = await account.adapter.login_wait(20, step.qr)
        return step

    async def linked(self, **more: Any) -> Account:
        """An account that is linked and connected."""
        account = self.account(PROVIDER, self.settings(**more))
        await account.start()
        await self.until(lambda: account.status.health == "logged-out")
        await self.link(account)
        return account

    async def test_there_and_back(self) -> None:
        account = await self.linked()
        self.assertEqual(account.status.details["id"], f"+{NUMBER}")
        await self.server.incoming(ANNA, "hello", name="Anna")
        [message] = await self.until(lambda: self.routed)
        self.assertEqual((message.text, message.chat.id), ("hello", f"+{ANNA}"))
        self.assertEqual((message.sender.id, message.sender.name), (f"+{ANNA}", "Anna"))
        answer = Outbound(text="**good** morning", reply_to=message.reply_id)
        delivery = await self.deliver(account, message.chat.id, answer)
        self.assertEqual(delivery.state, "delivered")
        shown = await self.server.wait_for("message")
        self.assertEqual(shown["id"], delivery.ids[0])
        await account.adapter.seen(message)
        await self.server.wait_for("receipt", lambda told: told["type"] == "read")

    async def test_comes_back_after_a_cut_and_misses_nothing(self) -> None:
        account = await self.linked()
        await self.server.command("cut")
        await self.until(lambda: not account.status.connected)
        await self.server.incoming(ANNA, "in between")
        await self.until(lambda: self.routed)
        await self.until(lambda: account.status.connected)
        self.assertEqual([one.text for one in self.routed], ["in between"])

    async def test_removed_at_the_phone_and_linked_again(self) -> None:
        account = await self.linked()
        await self.server.command("logout")
        await self.until(lambda: account.status.health == "logged-out")
        self.assertIn("clawgw channels login whatsapp", account.status.last_error or "")
        await self.link(account)
        delivery = await self.deliver(account, f"+{ANNA}", "back again")
        self.assertEqual(delivery.state, "delivered")

    async def test_logged_out_here(self) -> None:
        account = await self.linked()
        self.assertTrue(await account.adapter.logout())
        await self.server.wait_for("unlinked")
        await self.until(lambda: account.status.health == "logged-out")
        self.assertFalse(await account.adapter.logout())

    async def test_forced_login_gives_up_the_old_one(self) -> None:
        account = await self.linked()
        step = await account.adapter.login_start(force=False)
        self.assertTrue(step.connected)
        step = await account.adapter.login_start(force=True)
        await self.server.wait_for("unlinked")
        await self.server.command("scan", qr=step.qr)
        step = await self.until_step(account, lambda one: one.connected, shown=step.qr)
        account.restart()
        await self.until(lambda: account.status.connected)

    async def test_by_code(self) -> None:
        account = self.account(PROVIDER, self.settings())
        await account.start()
        step = await account.adapter.login_start(force=False, phone="+49 1510 0000001")
        assert step.code is not None
        await self.server.wait_for("codeAwaited")
        await self.server.command("enterCode", code=step.code.replace("-", ""))
        step = await account.adapter.login_wait(90)
        self.assertTrue(step.connected)

    async def test_a_group_and_who_is_meant(self) -> None:
        account = await self.linked()
        group = (await self.server.command("group", subject="Lunch", members=[ANNA, BEN]))["id"]
        await self.server.incoming(ANNA, "hello all", group=group)
        [message] = await self.until(lambda: self.routed)
        self.assertEqual((message.chat.kind, message.chat.title), ("group", "Lunch"))
        self.assertFalse(message.mentioned)
        delivery = await self.deliver(account, group, "hello you")
        self.assertEqual(delivery.state, "delivered")
        mine = f"{NUMBER}@s.whatsapp.net"
        text = {"text": f"@{NUMBER} and you?", "contextInfo": {"mentionedJid": [mine]}}
        await self.server.incoming(ANNA, group=group, message={"extendedTextMessage": text})
        await self.until(lambda: len(self.routed) == 2)
        self.assertEqual((self.routed[1].text, self.routed[1].mentioned), ("and you?", True))

    async def test_files_both_ways(self) -> None:
        account = await self.linked()
        data = base64.b64encode(PNG).decode()
        media = {"kind": "image", "data": data, "mimetype": "image/png", "caption": "a dot"}
        await self.server.incoming(ANNA, media=media)
        [message] = await self.until(lambda: self.routed)
        path = Path(self.mktemp()).absolute()
        got = await account.adapter.fetch(message.media[0], path, 1000)
        self.assertEqual((path.read_bytes(), got.size, got.kind), (PNG, len(PNG), "image"))
        file = OutMedia(path=str(path), kind="image", mime_type="image/png", name="dot.png")
        await self.deliver(account, f"+{ANNA}", Outbound(text="yours", media=(file,)))
        shown = await self.server.wait_for("message")
        self.assertEqual((shown["kind"], shown["text"]), ("imageMessage", "yours"))

    async def test_not_on_whatsapp(self) -> None:
        account = await self.linked()
        delivery = await self.deliver(account, "+4999999999", "anybody?")
        self.assertEqual(delivery.state, "failed")
        self.assertIn("not on WhatsApp", delivery.error or "")
