"""The simulated WhatsApp keeps its word: a plain Baileys links, hears and sends through it."""

from __future__ import annotations

import base64
import hashlib
import os

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from clawgw.jsonrpc import RpcError
from tests.channels.whatsapp_server.client import BareClient
from tests.channels.whatsapp_server.node_program import NotTold, Params
from tests.channels.whatsapp_server.server import NUMBER, WhatsAppServer

ANNA = "491701234567"
BEN = "491709876543"
LIMIT = 400.0
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


def jid(number: str) -> str:
    """The JID of a phone number."""
    return f"{number}@s.whatsapp.net"


class ServerTestCase(TestCase):
    """A running server and one client process, not linked yet."""

    timeout = LIMIT

    async def setUp(self) -> None:
        self.server = await WhatsAppServer.start(reactor)
        self.addCleanup(self.server.close)
        self.credentials = os.path.abspath(self.mktemp())
        self.client = self.new_client()

    def new_client(self) -> BareClient:
        """A client process with the credentials of this test."""
        client = BareClient(reactor, self.server, self.credentials)
        self.addCleanup(client.stop)
        client.launch()
        return client

    async def back(self) -> BareClient:
        """A new process of the linked client, logged in, and done with what it missed."""
        mark = self.server.mark()
        self.client = self.new_client()
        await self.client.command("connect")
        await self.client.wait_for("open")
        await self.server.wait_for("online", since=mark)
        return self.client

    async def heard(self, message_id: str, client: BareClient | None = None) -> Params:
        """The client's message of that id."""
        client = client or self.client
        return await client.wait_for("message", lambda told: told["key"]["id"] == message_id)

    async def send(self, number: str, text: str, **more: object) -> str:
        """Send a text; its id."""
        sent = await self.client.command("send", to=jid(number), content={"text": text}, **more)
        return str(sent["id"])


class LinkTests(ServerTestCase):
    """Becoming a linked device, and no longer being one."""

    async def test_by_qr(self) -> None:
        opened = await self.client.link()
        self.assertTrue(opened["me"]["id"].startswith(f"{NUMBER}:"))
        self.assertEqual([told["code"] for told in self.client.all("close")], [515])
        self.assertEqual(self.server.all("preKeys"), [{"count": 812}])
        self.assertEqual(self.server.complaints(), [])

    async def test_comes_back_without_a_qr(self) -> None:
        await self.client.link()
        await self.client.kill()
        client = await self.back()
        self.assertEqual(client.all("qr"), [])
        self.assertEqual(self.server.complaints(), [])

    async def test_a_qr_nobody_shows_is_refused(self) -> None:
        await self.client.command("connect")
        qr = (await self.client.wait_for("qr"))["qr"]
        reference, *keys = qr.split("#")[1].split(",")
        with self.assertRaises(RpcError) as refused:
            await self.server.command("scan", qr=",".join(["2@other", *keys]))
        self.assertIn("no client shows this QR", str(refused.exception))
        with self.assertRaises(RpcError) as refused:
            await self.server.command("scan", qr=",".join([reference, keys[1], keys[0], keys[2]]))
        self.assertIn("not those of the client", str(refused.exception))

    async def test_by_code(self) -> None:
        await self.client.command("connect")
        await self.client.wait_for("qr")
        code = (await self.client.command("code", number=NUMBER))["code"]
        await self.server.wait_for("codeAwaited")
        await self.server.command("enterCode", code=code)
        await self.client.wait_for("open")
        await self.server.wait_for("online")
        self.assertEqual(self.server.complaints(), [])

    async def test_a_wrong_code_links_nothing(self) -> None:
        await self.client.command("connect")
        await self.client.wait_for("qr")
        await self.client.command("code", number=NUMBER)
        await self.server.wait_for("codeAwaited")
        await self.server.command("enterCode", code="WRONGWRO")
        failed = await self.server.wait_for("pairingFailed")
        self.assertEqual(failed["message"], "wrong code")
        self.assertEqual((await self.server.command("state"))["devices"], [])

    async def test_baileys_does_not_trust_it_by_itself(self) -> None:
        client = BareClient(reactor, self.server, self.credentials)
        self.addCleanup(client.stop)
        client.run(client.arguments())
        await client.command("connect")
        closed = await client.wait_for("close")
        self.assertIn("certificate signature invalid", closed["reason"])

    async def test_logged_out_by_the_phone(self) -> None:
        await self.client.link()
        mark = self.client.mark()
        await self.server.command("logout")
        self.assertEqual((await self.client.wait_for("close", since=mark))["code"], 401)
        mark = self.client.mark()
        await self.client.command("connect")
        self.assertEqual((await self.client.wait_for("close", since=mark))["code"], 401)

    async def test_logs_out_itself(self) -> None:
        await self.client.link()
        await self.client.command("logout")
        await self.server.wait_for("unlinked")
        self.assertEqual((await self.server.command("state"))["devices"], [])

    async def test_disconnects_of_other_kinds(self) -> None:
        await self.client.link()
        for command, expected in (("cut", 428), ("replace", 440), ("disconnect", 503)):
            mark = self.client.mark()
            await self.server.command(command)
            closed = await self.client.wait_for("close", since=mark)
            self.assertEqual(closed["code"], expected, command)
            since = self.server.mark()
            await self.client.command("connect")
            await self.server.wait_for("online", since=since)

    async def test_connections_and_logins_can_be_refused(self) -> None:
        await self.server.command("fault", kind="refuseConnection", count=1)
        await self.client.command("connect")
        closed = await self.client.wait_for("close")
        self.assertIn("503", closed["reason"])
        await self.server.command("fault", kind="refuseLogin", count=1, reason=503)
        mark = self.client.mark()
        await self.client.command("connect")
        self.assertEqual((await self.client.wait_for("close", since=mark))["code"], 503)
        await self.client.command("connect")
        await self.client.wait_for("qr")


class IncomingTests(ServerTestCase):
    """What contacts write, and what of it is sent again."""

    async def setUp(self) -> None:
        await super().setUp()
        await self.client.link()

    async def test_a_text(self) -> None:
        written = await self.server.incoming(ANNA, "hello", name="Anna")
        told = await self.heard(written)
        self.assertEqual(told["message"], {"conversation": "hello"})
        self.assertEqual((told["type"], told["name"]), ("notify", "Anna"))
        self.assertTrue(told["key"]["remoteJid"].endswith("@lid"))
        self.assertEqual(told["key"]["remoteJidAlt"], jid(ANNA))
        receipt = await self.server.wait_for("receipt", lambda one: written in one["ids"])
        self.assertEqual(receipt["type"], "inactive")  # delivered, and the app is not in front
        await self.client.command("read", id=written)
        await self.server.wait_for(
            "receipt", lambda one: written in one["ids"] and one["type"] == "read"
        )
        self.assertEqual(self.server.complaints(), [])

    async def test_by_number(self) -> None:
        written = await self.server.incoming(ANNA, "hello", addressing="pn")
        self.assertEqual((await self.heard(written))["key"]["remoteJid"], jid(ANNA))

    async def test_from_the_own_phone(self) -> None:
        written = await self.server.incoming(NUMBER, "from my phone", to=ANNA, addressing="pn")
        told = await self.heard(written)
        self.assertEqual(told["key"]["fromMe"], True)
        self.assertEqual(told["key"]["remoteJid"], jid(ANNA))
        self.assertEqual(told["message"]["conversation"], "from my phone")

    async def test_any_other_message(self) -> None:
        place = {"locationMessage": {"degreesLatitude": 52.5, "degreesLongitude": 13.4}}
        written = await self.server.incoming(ANNA, message=place)
        self.assertEqual((await self.heard(written))["message"], place)

    async def test_what_came_meanwhile_is_in_the_queue(self) -> None:
        await self.client.kill()
        written = [await self.server.incoming(ANNA, f"while away {n}") for n in range(3)]
        queued = (await self.server.command("queued"))["ids"]
        self.assertEqual(queued[-3:], written)
        client = await self.back()
        for one in written:
            self.assertEqual((await self.heard(one))["type"], "append")
        for one in written:
            await self.server.wait_for("receipt", lambda told, one=one: one in told["ids"])
        self.assertEqual([told["key"]["id"] for told in client.all("message")][-3:], written)
        self.assertEqual((await self.server.command("queued"))["ids"], [])

    async def test_what_was_not_acknowledged_comes_again(self) -> None:
        await self.server.command("fault", kind="loseReceipt")
        written = await self.server.incoming(ANNA, "hello")
        await self.heard(written)
        await self.client.kill()
        await self.server.wait_for("closed", lambda told: told["linked"])
        await self.server.command("calm")
        self.assertIn(written, (await self.server.command("queued"))["ids"])
        client = await self.back()
        # the same ciphertext: Baileys cannot read it twice, says so, and emits nothing
        acked = await self.server.wait_for("acked", lambda one: one["id"] == written)
        self.assertEqual(acked["error"], "487")
        self.assertNotIn(written, [told["key"]["id"] for told in client.all("message")])
        self.assertNotIn(written, (await self.server.command("queued"))["ids"])

    async def test_a_stanza_sent_twice_is_heard_once(self) -> None:
        written = await self.server.incoming(ANNA, "hello")
        await self.heard(written)
        await self.server.wait_for("receipt", lambda told: written in told["ids"])
        await self.server.command("repeat", id=written)
        acked = await self.server.wait_for("acked", lambda told: told["id"] == written)
        self.assertEqual(acked["error"], "487")
        heard = [told["key"]["id"] for told in self.client.all("message")]
        self.assertEqual(heard.count(written), 1)

    async def test_the_same_id_newly_encrypted_is_heard_twice(self) -> None:
        written = await self.server.incoming(ANNA, "hello")
        await self.heard(written)
        mark = self.client.mark()
        await self.server.incoming(ANNA, "hello", id=written)
        await self.client.wait_for("message", lambda told: told["key"]["id"] == written, since=mark)

    async def test_a_damaged_message_is_asked_for_again(self) -> None:
        await self.heard(await self.server.incoming(ANNA, "a session first"))
        await self.server.command("fault", kind="spoilMessage", count=1)
        written = await self.server.incoming(ANNA, "hello")
        await self.server.wait_for(
            "receipt", lambda one: written in one["ids"] and one["type"] == "retry"
        )
        told = await self.client.wait_for(
            "message", lambda one: one["key"]["id"] == written and one.get("message")
        )
        self.assertEqual(told["message"]["conversation"], "hello")

    async def test_typing(self) -> None:
        await self.client.command("typing", to=jid(ANNA))
        told = await self.server.wait_for("chatstate")
        self.assertEqual(told, {"to": jid(ANNA), "state": "composing"})
        await self.server.command("typing", **{"from": ANNA})
        [[who, state]] = (await self.client.wait_for("presence"))["presences"].items()
        self.assertTrue(who.endswith("@lid"))
        self.assertEqual(state["lastKnownPresence"], "composing")

    async def test_a_stanza_as_it_is(self) -> None:
        contact = await self.server.command("contact", number=ANNA)
        offer = {"tag": "offer", "attrs": {"call-id": "C1", "call-creator": contact["lid"]}}
        attrs = {"from": contact["lid"], "id": "1", "t": "1795315459"}
        await self.server.command("stanza", tag="call", attrs=attrs, content=[offer])
        call = await self.client.wait_for("call")
        self.assertEqual((call["id"], call["status"]), ("C1", "offer"))

    async def test_garbage_is_the_end_of_baileys(self) -> None:
        with self.assertRaises(NotTold):  # nobody in it catches what it throws
            ended = self.client.wait_for("close", since=self.client.mark())
            await self.server.command("garbage")
            await ended
        await self.back()
        await self.heard(await self.server.incoming(ANNA, "hello"))


class OutgoingTests(ServerTestCase):
    """What the client sends, and whether it learns what became of it."""

    async def setUp(self) -> None:
        await super().setUp()
        await self.server.command("contact", number=ANNA, name="Anna")
        await self.client.link()

    async def test_a_text(self) -> None:
        sent = await self.send(ANNA, "good morning", id="3EB0C1A")
        self.assertEqual(sent, "3EB0C1A")
        shown = await self.server.wait_for("message")
        self.assertEqual((shown["id"], shown["chat"], shown["text"]), (sent, ANNA, "good morning"))
        self.assertEqual((await self.client.wait_for("ack"))["id"], sent)
        await self.client.wait_for("update", lambda told: told["update"].get("status") == 3)
        own = await self.server.wait_for("ownCopy")
        self.assertEqual((own["id"], own["complete"]), (sent, True))
        self.assertEqual(self.server.complaints(), [])

    async def test_order(self) -> None:
        for n in range(5):
            await self.send(ANNA, f"number {n}")
        await self.server.wait_for("message", lambda one: one["text"] == "number 4")
        texts = [one["text"] for one in await self.server.delivered(ANNA)]
        self.assertEqual(texts, [f"number {n}" for n in range(5)])

    async def test_an_answer_to_the_lid(self) -> None:
        told = await self.heard(await self.server.incoming(ANNA, "hello"))
        await self.client.command(
            "send", to=told["key"]["remoteJid"], content={"text": "hello yourself"}
        )
        shown = await self.server.wait_for("message")
        self.assertEqual((shown["chat"], shown["text"]), (ANNA, "hello yourself"))

    async def test_the_same_id_is_shown_once(self) -> None:
        await self.send(ANNA, "once", id="3EB0AA")
        await self.send(ANNA, "once", id="3EB0AA")
        await self.server.wait_for("copy")
        [shown] = await self.server.delivered(ANNA)
        self.assertEqual((shown["text"], shown["copies"]), ("once", 2))

    async def test_the_ack_can_be_lost(self) -> None:
        await self.server.command("fault", kind="loseAck", count=1)
        lost = await self.send(ANNA, "one")
        acked = await self.send(ANNA, "two")
        await self.client.wait_for("ack", lambda told: told["id"] == acked)
        self.assertEqual([told["id"] for told in self.client.all("ack")], [acked])
        self.assertEqual([one["id"] for one in await self.server.delivered(ANNA)], [lost, acked])

    async def test_the_ack_can_be_late(self) -> None:
        await self.server.command("fault", kind="lateAck", count=1)
        late = await self.send(ANNA, "one")
        prompt = await self.send(ANNA, "two")
        await self.client.wait_for("ack", lambda told: told["id"] == late)
        self.assertEqual([told["id"] for told in self.client.all("ack")], [prompt, late])

    async def test_read(self) -> None:
        sent = await self.send(ANNA, "good morning")
        await self.client.wait_for("update", lambda told: told["update"].get("status") == 3)
        await self.server.command("read", number=ANNA, ids=[sent])
        await self.client.wait_for("update", lambda told: told["update"].get("status") == 4)
        await self.server.command("contact", number=ANNA, receipts="read")
        sent = await self.send(ANNA, "good evening")
        await self.client.wait_for(
            "update",
            lambda told: told["key"]["id"] == sent and told["update"].get("status") == 4,
        )

    async def test_who_is_there(self) -> None:
        answer = await self.client.command("lookUp", numbers=[ANNA, "499999999999"])
        self.assertEqual(
            [(one["jid"], one["exists"]) for one in answer["found"]], [(jid(ANNA), True)]
        )

    async def test_the_message_can_be_lost(self) -> None:
        await self.server.command("fault", kind="loseMessage", count=1)
        lost = await self.send(ANNA, "one")
        await self.server.wait_for("lostMessage", lambda told: told["id"] == lost)
        acked = await self.send(ANNA, "two")
        await self.client.wait_for("ack", lambda told: told["id"] == acked)
        self.assertEqual([one["id"] for one in await self.server.delivered(ANNA)], [acked])

    async def test_the_connection_can_end_instead_of_the_ack(self) -> None:
        await self.server.command("fault", kind="cutAfterMessage", count=1)
        mark = self.client.mark()
        sent = await self.send(ANNA, "one")
        await self.client.wait_for("close", since=mark)
        self.assertEqual(self.client.all("ack"), [])
        since = self.server.mark()
        await self.client.command("connect")
        await self.server.wait_for("online", since=since)
        await self.send(ANNA, "one", id=sent)
        await self.client.wait_for("ack", lambda told: told["id"] == sent)
        [shown] = await self.server.delivered(ANNA)
        self.assertEqual(shown["copies"], 2)

    async def test_a_refusal(self) -> None:
        await self.server.command("fault", kind="refuseMessage", count=1, error=463)
        sent = await self.send(ANNA, "one")
        ack = await self.client.wait_for("ack", lambda told: told["id"] == sent)
        self.assertEqual(ack["error"], "463")
        self.assertEqual(await self.server.delivered(ANNA), [])

    async def test_nobody_has_the_number(self) -> None:
        sent = await self.send("499999999999", "anybody?")
        ack = await self.client.wait_for("ack", lambda told: told["id"] == sent)
        self.assertEqual(ack["error"], "479")
        refused = await self.server.wait_for("refused")
        self.assertIn("nobody has", refused["reason"])

    async def test_a_phone_that_cannot_read_asks_again(self) -> None:
        await self.send(ANNA, "first")
        await self.server.wait_for("message")
        await self.server.command("fault", kind="failDecryption", number=ANNA, count=1)
        sent = await self.send(ANNA, "second")
        await self.server.wait_for("unreadable", lambda told: told["id"] == sent)
        shown = await self.server.wait_for("message", lambda told: told["id"] == sent)
        self.assertEqual(shown["text"], "second")

    async def test_what_a_phone_asks_again_waits_for_the_client(self) -> None:
        await self.server.command("fault", kind="failDecryption", number=ANNA, count=1)
        await self.server.command("fault", kind="cutAfterMessage", count=1)
        mark = self.client.mark()
        await self.send(ANNA, "one")
        await self.client.wait_for("close", since=mark)
        self.assertEqual(await self.server.delivered(ANNA), [])
        messages = len((await self.server.command("queued"))["ids"])
        since = self.server.mark()
        await self.client.command("connect")
        online = await self.server.wait_for("online", since=since)
        self.assertEqual(online["missed"], messages + 1)

    async def test_silence(self) -> None:
        await self.send(ANNA, "first")
        await self.client.wait_for("ack")
        await self.server.command("fault", kind="silence")
        await self.send(ANNA, "into the void")
        await self.server.wait_for("ignored", lambda told: told["tag"] == "message")
        await self.server.command("calm", kind="silence")
        last = await self.send(ANNA, "last")
        await self.client.wait_for("ack", lambda told: told["id"] == last)
        self.assertEqual(len(self.client.all("ack")), 2)
        texts = [one["text"] for one in await self.server.delivered(ANNA)]
        self.assertEqual(texts, ["first", "last"])

    async def test_a_query_can_be_refused(self) -> None:
        await self.server.command("fault", kind="refuseQuery", xmlns="usync", count=1)
        with self.assertRaises(RpcError) as refused:
            await self.send(ANNA, "one")
        self.assertIn("rate-overlimit", str(refused.exception))
        await self.send(ANNA, "two")
        await self.server.wait_for("message")


class GroupTests(ServerTestCase):
    """Groups, with the keys of those who write there."""

    async def setUp(self) -> None:
        await super().setUp()
        await self.client.link()
        self.group = (await self.server.command("group", subject="Lunch", members=[ANNA, BEN]))[
            "id"
        ]

    async def test_incoming(self) -> None:
        for text in ("one", "two"):
            written = await self.server.incoming(ANNA, text, group=self.group, name="Anna")
            told = await self.heard(written)
            self.assertEqual(told["message"]["conversation"], text)
            self.assertEqual(told["key"]["remoteJid"], self.group)
            self.assertEqual(told["key"]["participantAlt"], jid(ANNA))

    async def test_outgoing(self) -> None:
        for text in ("one", "two"):
            sent = await self.client.command("send", to=self.group, content={"text": text})
            shown = await self.server.wait_for(
                "message", lambda told, sent=sent: told["id"] == sent["id"]
            )
            self.assertEqual((shown["chat"], shown["text"]), (self.group, text))
            await self.client.wait_for("ack", lambda told, sent=sent: told["id"] == sent["id"])
        for shown in await self.server.delivered(self.group):
            self.assertEqual(sorted(shown["shownTo"]), sorted([NUMBER, ANNA, BEN]))
        self.assertEqual(self.server.all("unreadable"), [])
        self.assertEqual(self.server.complaints(), [])

    async def test_what_there_is(self) -> None:
        [group] = (await self.client.command("groups"))["groups"]
        self.assertEqual((group["id"], group["subject"]), (self.group, "Lunch"))
        numbers = {one["phoneNumber"] for one in group["participants"]}
        self.assertEqual(numbers, {jid(NUMBER), jid(ANNA), jid(BEN)})

    async def test_a_group_by_numbers(self) -> None:
        group = (
            await self.server.command("group", subject="Old", members=[ANNA], addressing="pn")
        )["id"]
        told = await self.heard(await self.server.incoming(ANNA, "hello", group=group))
        self.assertEqual(told["key"]["participant"], jid(ANNA))
        await self.client.command("send", to=group, content={"text": "hello all"})
        await self.client.wait_for("ack")
        [shown] = await self.server.delivered(group)
        self.assertEqual(sorted(shown["shownTo"]), sorted([NUMBER, ANNA]))

    async def test_a_member_that_cannot_read_asks_again(self) -> None:
        await self.server.command("fault", kind="failDecryption", number=BEN, count=1)
        sent = await self.client.command("send", to=self.group, content={"text": "hello"})
        await self.server.wait_for("unreadable", lambda told: told["number"] == BEN)
        await self.server.wait_for(
            "shown", lambda told: told["id"] == sent["id"] and told["number"] == BEN
        )


class MediaTests(ServerTestCase):
    """Files, over HTTPS."""

    async def setUp(self) -> None:
        await super().setUp()
        await self.server.command("contact", number=ANNA)
        await self.client.link()

    async def test_incoming(self) -> None:
        data = base64.b64encode(PNG).decode()
        media = {"kind": "image", "data": data, "mimetype": "image/png", "caption": "look"}
        written = await self.server.incoming(ANNA, media=media)
        told = await self.heard(written)
        self.assertEqual(told["message"]["imageMessage"]["caption"], "look")
        self.assertEqual((await self.client.command("download", id=written))["data"], data)
        await self.server.command("fault", kind="failDownload", count=1)
        with self.assertRaises(RpcError):
            await self.client.command("download", id=written)

    async def test_outgoing(self) -> None:
        data = os.urandom(100_000)
        content = {
            "document": {"base64": base64.b64encode(data).decode()},
            "mimetype": "application/pdf", "fileName": "a.pdf", "caption": "read this",
        }  # fmt: skip
        await self.client.command("send", to=jid(ANNA), content=content)
        shown = await self.server.wait_for("message")
        self.assertEqual(shown["text"], "read this")
        self.assertEqual(shown["media"]["sha256"], hashlib.sha256(data).hexdigest())
        self.assertEqual(shown["media"]["fileName"], "a.pdf")
        self.assertEqual(self.server.complaints(), [])

    async def test_an_upload_can_fail(self) -> None:
        await self.server.command("fault", kind="failUpload")
        content = {"image": {"base64": base64.b64encode(PNG).decode()}}
        with self.assertRaises(RpcError) as failed:
            await self.client.command("send", to=jid(ANNA), content=content)
        self.assertIn("upload failed", str(failed.exception))
        self.assertEqual(await self.server.delivered(), [])
