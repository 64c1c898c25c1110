"""The real sidecar with real Baileys against a simulated WhatsApp: linking, messages, kills."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import TestCase

from clawgw.jsonrpc import RpcError
from tests.channels.whatsapp.real import NUMBER, Sidecar
from tests.channels.whatsapp_server.server import WhatsAppServer

ANNA = "491701234567"
BEN = "491709876543"
MANY = 40
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


def name(number: int) -> str:
    """The id of a message of ours."""
    return f"3EB0{number:016X}"


class SidecarTestCase(TestCase):
    """A simulated WhatsApp and one sidecar, not linked yet."""

    timeout = 400.0

    async def setUp(self) -> None:
        self.server = await WhatsAppServer.start(reactor)
        self.addCleanup(self.server.close)
        self.directory = Path(self.mktemp()).absolute()
        self.sidecar = self.new_sidecar()
        self.started = await self.sidecar.begin()
        await self.server.command("contact", number=ANNA, name="Anna")

    async def group(self) -> str:
        """A group of the account, Anna and Ben; its id at the server."""
        params = {"subject": "Lunch", "members": [ANNA, BEN]}
        return str((await self.server.command("group", **params))["id"])

    def new_sidecar(self) -> Sidecar:
        """A sidecar with this test's login."""
        sidecar = Sidecar(reactor, self.server, self.directory)
        self.addCleanup(sidecar.stop)
        return sidecar

    async def again(self) -> Sidecar:
        """Kill it, and start another one."""
        await self.sidecar.kill()
        self.sidecar = self.new_sidecar()
        self.started = await self.sidecar.begin()
        return self.sidecar

    async def refused(self, work: Any) -> RpcError:
        """The error of something that has to fail."""
        return await self.assertFailure(ensureDeferred(work), RpcError)


class LinkTests(SidecarTestCase):
    """Becoming linked, and no longer being it."""

    async def test_by_qr_for_good(self) -> None:
        self.assertEqual(self.started, {"linked": False, "self": None})
        await self.sidecar.link()
        status = await self.sidecar.command("status")
        self.assertEqual(status["self"]["phone"], f"+{NUMBER}")
        await self.again()
        self.assertTrue(self.started["linked"])
        await self.sidecar.open()
        self.assertEqual(self.sidecar.all("qr"), [])

    async def test_by_code(self) -> None:
        answer = await self.sidecar.command("login", kind="code", phoneNumber="+49 151 00000001")
        self.assertRegex(answer["code"], r"^[0-9A-Z]{4}-[0-9A-Z]{4}$")
        await self.server.wait_for("codeAwaited")
        await self.server.command("enterCode", code=answer["code"].replace("-", ""))
        opened = await self.sidecar.open()
        self.assertEqual(opened["self"]["phone"], f"+{NUMBER}")

    async def test_a_login_that_was_given_up_leaves_nothing(self) -> None:
        await self.sidecar.command("login", kind="code", phoneNumber=NUMBER)
        await self.again()
        self.assertFalse(self.started["linked"])
        await self.sidecar.link()

    async def test_the_login_is_for_its_owner_alone(self) -> None:
        await self.sidecar.link()
        await self.sidecar.stop()
        self.assertEqual(stat.S_IMODE(self.directory.stat().st_mode), 0o700)
        modes = {stat.S_IMODE(path.stat().st_mode) for path in self.directory.iterdir()}
        self.assertEqual(modes, {0o600})

    async def test_removed_at_the_phone(self) -> None:
        await self.sidecar.link()
        await self.server.command("logout")
        ended = await self.sidecar.ended()
        self.assertEqual((ended["state"], ended["statusCode"]), ("loggedOut", 401))
        self.assertFalse((self.directory / "creds.json").exists())
        await self.again()
        self.assertFalse(self.started["linked"])

    async def test_cut_is_not_logged_out(self) -> None:
        await self.sidecar.link()
        await self.server.command("cut")
        ended = await self.sidecar.ended()
        self.assertEqual(ended["state"], "closed")
        await self.again()
        self.assertTrue(self.started["linked"])
        await self.sidecar.open()

    async def test_refused_by_http(self) -> None:
        await self.sidecar.link()
        await self.sidecar.kill()
        await self.server.command("fault", kind="refuseConnection", count=1)
        self.sidecar = self.new_sidecar()
        await self.sidecar.begin()
        ended = await self.sidecar.ended()
        self.assertEqual(ended["state"], "closed")
        self.assertIn("503", ended["reason"])

    async def test_garbage_ends_the_connection(self) -> None:
        await self.sidecar.link()
        await self.server.command("garbage")
        self.assertEqual((await self.sidecar.ended())["state"], "closed")
        self.assertFalse((await self.sidecar.command("status"))["open"])

    async def test_a_server_that_is_not_whatsapps_is_refused(self) -> None:
        self.sidecar = self.new_sidecar()
        self.sidecar.trusting = False
        self.directory.mkdir(exist_ok=True)
        await self.sidecar.begin()
        problem = await self.refused(self.sidecar.command("login", kind="qr"))
        self.assertIn("certificate", str(problem))

    async def test_replaced_by_another_session(self) -> None:
        await self.sidecar.link()
        await self.server.command("replace")
        ended = await self.sidecar.ended()
        self.assertEqual((ended["state"], ended["statusCode"]), ("closed", 440))

    async def test_log_out_here(self) -> None:
        await self.sidecar.link()
        answer = await self.sidecar.command("logout")
        self.assertEqual(answer, {"loggedOut": True, "told": True})
        await self.server.wait_for("unlinked")
        left = sorted(path.name for path in self.directory.iterdir())
        self.assertEqual(left, ["sent.jsonl", "spool.jsonl"])
        await self.sidecar.link()

    async def test_killed_while_linking(self) -> None:
        answer = await self.sidecar.command("login", kind="qr")
        await self.server.command("scan", qr=answer["qr"])
        await self.server.wait_for("paired")
        await self.again()  # linked or not, but never broken
        if not self.started["linked"]:
            await self.sidecar.link()
        await self.sidecar.open()

    async def test_credentials_that_cannot_be_read_are_said(self) -> None:
        await self.sidecar.link()
        await self.sidecar.kill()
        (self.directory / "creds.json").write_text('{"noiseKey":')
        self.sidecar = self.new_sidecar()
        problem = await self.refused(self.sidecar.begin())
        self.assertIn("cannot be read", str(problem))


class ReceiveTests(SidecarTestCase):
    """Messages in."""

    async def setUp(self) -> None:
        await super().setUp()
        await self.sidecar.link()

    async def test_a_text(self) -> None:
        message_id = await self.server.incoming(ANNA, "hello", name="Anna")
        message = await self.sidecar.heard("hello")
        self.assertEqual(message["key"]["id"], message_id)
        self.assertEqual(message["chat"], f"{ANNA}@s.whatsapp.net")
        self.assertEqual(message["sender"]["phone"], f"+{ANNA}")
        self.assertEqual(message["sender"]["name"], "Anna")
        self.assertTrue(message["sender"]["lid"].endswith("@lid"))
        self.assertEqual((message["kind"], message["group"]), ("message", False))

    async def test_it_is_on_the_disk_before_whatsapp_is_told(self) -> None:
        message_id = await self.server.incoming(ANNA, "hello")
        await self.server.wait_for("receipt", lambda told: message_id in told["ids"])
        self.assertIn("hello", (self.directory / "spool.jsonl").read_text())

    async def test_what_was_not_confirmed_comes_again(self) -> None:
        await self.server.incoming(ANNA, "one")
        one = await self.sidecar.heard("one")
        await self.server.incoming(ANNA, "two")
        two = await self.sidecar.heard("two")
        for message in (one, two):  # else WhatsApp may deliver it again as well
            key = message["key"]["id"]
            await self.server.wait_for("receipt", lambda told, key=key: key in told["ids"])
        await self.sidecar.command("confirm", seqs=[one["seq"]])
        await self.again()
        again = await self.sidecar.heard("two")
        self.assertEqual((again["seq"], again["key"]), (two["seq"], two["key"]))
        self.assertNotIn("one", [told["text"] for told in self.sidecar.all("message")])
        await self.sidecar.command("confirm", seqs=[two["seq"]])
        await self.again()
        await self.sidecar.open()
        self.assertEqual(self.sidecar.all("message"), [])

    async def test_killed_at_any_point_of_a_delivery(self) -> None:
        for number in range(6):
            text = f"message {number}"
            await self.server.incoming(ANNA, text)
            if number % 2:
                await self.sidecar.heard(text)
            await self.again()
            await self.sidecar.heard(text)
            for message in self.sidecar.all("message"):
                await self.sidecar.command("confirm", seqs=[message["seq"]])

    async def test_what_came_while_it_was_away(self) -> None:
        await self.sidecar.kill()
        for number in range(5):
            await self.server.incoming(ANNA, f"missed {number}")
        self.sidecar = self.new_sidecar()
        await self.sidecar.begin()
        for number in range(5):
            message = await self.sidecar.heard(f"missed {number}")
            self.assertTrue(message["offline"])

    async def test_a_receipt_that_was_lost_makes_no_second_message(self) -> None:
        await self.server.command("fault", kind="loseReceipt", count=1)
        message_id = await self.server.incoming(ANNA, "hello")
        first = await self.sidecar.heard("hello")
        await self.again()
        await self.sidecar.open()
        again = await self.sidecar.heard("hello")
        self.assertEqual((again["key"]["id"], again["seq"]), (message_id, first["seq"]))

    async def test_in_a_group(self) -> None:
        await self.server.incoming(ANNA, "hello all", group=await self.group())
        message = await self.sidecar.heard("hello all")
        self.assertTrue(message["group"])
        self.assertTrue(message["chat"].endswith("@g.us"))
        self.assertEqual(message["sender"]["phone"], f"+{ANNA}")
        group = await self.sidecar.command("group", jid=message["chat"])
        self.assertEqual(group["jid"], message["chat"])

    async def test_a_file(self) -> None:
        data = base64.b64encode(PNG).decode()
        media = {"kind": "image", "data": data, "mimetype": "image/png", "caption": "a dot"}
        await self.server.incoming(ANNA, media=media)
        message = await self.sidecar.heard("a dot")
        self.assertEqual((message["media"]["kind"], message["media"]["size"]), ("image", len(PNG)))
        handle, path = message["media"]["handle"], os.path.abspath(self.mktemp())
        got = await self.sidecar.command("fetchMedia", handle=handle, path=path, maxBytes=1000)
        self.assertEqual(got, {"path": path, "size": len(PNG), "mimetype": "image/png"})
        self.assertEqual(Path(path).read_bytes(), PNG)
        self.assertEqual(stat.S_IMODE(Path(path).stat().st_mode), 0o600)

    async def test_a_file_that_is_too_large_or_gone(self) -> None:
        data = base64.b64encode(PNG).decode()
        media = {"kind": "document", "data": data, "mimetype": "application/pdf", "caption": "x"}
        await self.server.incoming(ANNA, media=media)
        handle = (await self.sidecar.heard("x"))["media"]["handle"]
        path = os.path.abspath(self.mktemp())
        work = self.sidecar.command("fetchMedia", handle=handle, path=path, maxBytes=10)
        self.assertEqual((await self.refused(work)).data["reason"], "tooLarge")
        await self.server.command("fault", kind="failDownload", count=1)
        work = self.sidecar.command("fetchMedia", handle=handle, path=path, maxBytes=1000)
        self.assertEqual((await self.refused(work)).data["reason"], "gone")
        self.assertFalse(os.path.exists(path))

    async def test_what_is_no_text_is_told_in_a_note(self) -> None:
        location = {"degreesLatitude": 52.5, "degreesLongitude": 13.4, "name": "Here"}
        await self.server.incoming(ANNA, message={"locationMessage": location})
        await self.sidecar.heard("[location 52.5,13.4: Here]")
        poll = {"name": "Lunch?", "options": [{"optionName": "pizza"}, {"optionName": "pasta"}]}
        await self.server.incoming(ANNA, message={"pollCreationMessageV3": poll})
        await self.sidecar.heard("[poll: Lunch? (pizza, pasta)]")
        await self.server.incoming(ANNA, message={"orderMessage": {"orderId": "1"}})
        await self.sidecar.heard("[order]")

    async def test_the_log_tells_no_secrets(self) -> None:
        lines: list[str] = []

        def observe(event: LogEvent) -> None:
            lines.append(formatEvent(event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        await self.server.incoming(ANNA, "a very private thing")
        await self.sidecar.heard("a very private thing")
        await self.again()
        await self.sidecar.open()
        await self.sidecar.send(ANNA, "another private thing", name(1))
        logged = "\n".join(lines)
        self.assertIn("whatsapp-sidecar: started", logged)
        self.assertNotIn("private thing", logged)
        self.assertNotIn("SessionEntry", logged)


class SendTests(SidecarTestCase):
    """Messages out."""

    async def setUp(self) -> None:
        await super().setUp()
        await self.sidecar.link()

    async def shown(self, message_id: str) -> dict[str, Any]:
        """The message of that id, on a phone."""
        return await self.server.wait_for("message", lambda told: told["id"] == message_id)

    async def test_a_text_with_our_id(self) -> None:
        answer = await self.sidecar.send(ANNA, "hello", name(1))
        self.assertEqual(answer["id"], name(1))
        self.assertEqual((await self.shown(name(1)))["text"], "hello")

    async def test_sent_twice_is_shown_once(self) -> None:
        await self.sidecar.send(ANNA, "hello", name(1))
        await self.again()
        await self.sidecar.open()
        await self.sidecar.send(ANNA, "hello", name(1))
        await self.sidecar.send(ANNA, "the end", name(2))
        await self.shown(name(2))
        texts = [one["text"] for one in await self.server.delivered(ANNA)]
        self.assertEqual(texts, ["hello", "the end"])

    async def test_a_lost_connection_leaves_it_unknown_and_a_retry_is_free(self) -> None:
        await self.server.command("fault", kind="cutAfterMessage", count=1)
        problem = await self.refused(self.sidecar.send(ANNA, "hello", name(1)))
        self.assertEqual(problem.data["reason"], "unknown")
        await self.again()
        await self.sidecar.open()
        await self.sidecar.send(ANNA, "hello", name(1))
        await self.sidecar.send(ANNA, "the end", name(2))
        await self.shown(name(2))
        texts = [one["text"] for one in await self.server.delivered(ANNA)]
        self.assertEqual(texts, ["hello", "the end"])

    async def test_a_refusal_is_final(self) -> None:
        await self.server.command("fault", kind="refuseMessage", count=1, error=463)
        problem = await self.refused(self.sidecar.send(ANNA, "hello", name(1)))
        self.assertEqual(problem.data, {"reason": "refused", "statusCode": 463})

    async def test_a_phone_that_cannot_read_it_gets_it_again(self) -> None:
        await self.server.command("fault", kind="failDecryption", count=1, number=ANNA)
        await self.sidecar.send(ANNA, "hello", name(1))
        self.assertEqual((await self.shown(name(1)))["text"], "hello")

    async def test_it_gets_it_again_even_after_a_kill(self) -> None:
        await self.sidecar.send(ANNA, "first", name(1))
        await self.server.command("fault", kind="failDecryption", count=1, number=ANNA)
        await self.server.command("fault", kind="cutAfterMessage", count=1)
        await self.refused(self.sidecar.send(ANNA, "second", name(2)))
        await self.again()
        await self.sidecar.open()
        await self.sidecar.send(ANNA, "second", name(2))
        self.assertEqual((await self.shown(name(2)))["text"], "second")

    async def test_what_comes_meanwhile_does_not_make_it_unreadable(self) -> None:
        await self.server.incoming(ANNA, "hello")
        await self.sidecar.heard("hello")
        sending = []
        for n in range(MANY):
            sending.append(ensureDeferred(self.server.incoming(ANNA, f"in {n}")))
            sending.append(ensureDeferred(self.sidecar.send(ANNA, f"out {n}", name(n))))
        await gatherResults(sending)
        for n in range(MANY):
            await self.sidecar.heard(f"in {n}")
            await self.shown(name(n))
        self.assertEqual(self.server.all("unreadable"), [])

    async def test_it_gets_it_again_when_we_were_away_as_it_asked(self) -> None:
        await self.sidecar.send(ANNA, "first", name(1))
        await self.server.command("fault", kind="failDecryption", count=1, number=ANNA)
        await self.server.command("fault", kind="loseAck", count=1)
        sending = ensureDeferred(self.sidecar.send(ANNA, "second", name(2)))
        await self.server.wait_for("unreadable", lambda told: told["id"] == name(2))
        await self.server.command("cut")
        await self.refused(sending)
        await self.again()
        self.assertEqual((await self.shown(name(2)))["text"], "second")

    async def test_to_a_group(self) -> None:
        await self.server.incoming(ANNA, "hello all", group=await self.group())
        chat = (await self.sidecar.heard("hello all"))["chat"]
        await self.sidecar.command("send", to=chat, id=name(1), text="hello to you")
        self.assertEqual((await self.shown(name(1)))["text"], "hello to you")

    async def test_a_quote(self) -> None:
        message_id = await self.server.incoming(ANNA, "what time is it?")
        await self.sidecar.heard("what time is it?")
        await self.sidecar.send(ANNA, "late", name(1), quoted={"id": message_id})
        shown = await self.shown(name(1))
        context = shown["message"]["extendedTextMessage"]["contextInfo"]
        self.assertEqual(context["stanzaId"], message_id)
        self.assertIn("what time is it?", str(context["quotedMessage"]))

    async def test_a_quote_does_not_carry_words_to_another_chat(self) -> None:
        message_id = await self.server.incoming(ANNA, "between us")
        await self.sidecar.heard("between us")
        await self.server.incoming(ANNA, "hello all", group=await self.group())
        chat = (await self.sidecar.heard("hello all"))["chat"]
        quoted = {"id": message_id, "participant": f"{ANNA}@s.whatsapp.net"}
        await self.sidecar.command("send", to=chat, id=name(1), text="as was said", quoted=quoted)
        self.assertNotIn("between us", str(await self.shown(name(1))))

    async def test_a_file(self) -> None:
        path = Path(self.mktemp()).absolute()
        path.write_bytes(PNG)
        media = {"kind": "image", "path": str(path), "mimetype": "image/png"}
        to = f"{ANNA}@s.whatsapp.net"
        await self.sidecar.command("send", to=to, id=name(1), text="a dot", media=media)
        shown = await self.shown(name(1))
        self.assertEqual((shown["kind"], shown["text"]), ("imageMessage", "a dot"))

    async def test_a_file_that_is_not_there(self) -> None:
        media = {"kind": "image", "path": "/nowhere/x.png", "mimetype": "image/png"}
        to = f"{ANNA}@s.whatsapp.net"
        work = self.sidecar.command("send", to=to, id=name(1), media=media)
        self.assertEqual((await self.refused(work)).data["reason"], "refused")

    async def test_requests_that_are_wrong_name_the_field(self) -> None:
        for wrong, field in (
            ({"to": "nobody", "id": name(1), "text": "x"}, "to"),
            ({"to": f"{ANNA}@s.whatsapp.net", "id": "x", "text": "x"}, "id"),
            ({"to": f"{ANNA}@s.whatsapp.net", "id": name(1), "text": 7}, "text"),
            ({"to": f"{ANNA}@s.whatsapp.net", "id": name(1)}, "text"),
        ):
            problem = await self.refused(self.sidecar.command("send", **wrong))
            self.assertEqual(problem.data["reason"], "invalid")
            self.assertIn(f'"{field}"', str(problem))

    async def test_presence_and_read_receipts(self) -> None:
        message_id = await self.server.incoming(ANNA, "hello")
        message = await self.sidecar.heard("hello")
        await self.sidecar.command("presence", state="composing", to=message["chat"])
        await self.server.wait_for("chatstate")
        await self.sidecar.command("read", keys=[message["key"]])
        await self.server.wait_for(
            "receipt", lambda told: message_id in str(told) and told.get("type") == "read"
        )

    async def test_whether_a_number_is_there(self) -> None:
        answer = await self.sidecar.command("resolve", phone=f"+{ANNA}")
        self.assertEqual(answer["jid"], f"{ANNA}@s.whatsapp.net")
