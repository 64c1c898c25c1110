"""The adapter against a fake of the sidecar, with the real inbox, outbox and supervisor."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from clawgw.channels.account import Account
from clawgw.channels.adapter import Fault, LoginProblem, SendLater, SendRefused
from clawgw.channels.messages import Media, Outbound, OutMedia, Poll, Target
from clawgw.channels.whatsapp import adapter, exclusive
from clawgw.channels.whatsapp.provider import PROVIDER
from tests.channels.harness import ChannelCase
from tests.channels.whatsapp.fake import ME, MY_LID, FakeSidecar, jid, refusal

ANNA = "491701234567"
BEN = "491709876543"
LUNCH = "120363000000000001@g.us"


class WhatsAppCase(ChannelCase):
    """A fake sidecar with a linked phone."""

    linked = True

    async def setUp(self) -> None:
        super().setUp()
        self.patch(adapter, "FIRST_STEP_SECONDS", 90.0)
        self.patch(adapter, "TITLE_SECONDS", 90.0)
        self.fake = FakeSidecar(self.reactor, linked=self.linked)
        await self.fake.start()
        self.addCleanup(self._stop_fake)

    async def _stop_fake(self) -> None:
        await self.fake.stop()
        self.assertEqual(self.fake.complaints, [])

    def account(self, *args: Any, **named: Any) -> Account:
        """An account whose adapter is closed in the end."""
        account = super().account(*args, **named)
        self.addCleanup(account.adapter.close)
        return account

    async def running(self, **settings: Any) -> Account:
        """An account that is connected."""
        return await self.start(PROVIDER, {"command": self.fake.command, **settings})

    async def logged_out(self) -> Account:
        """An account that has no phone."""
        account = self.account(PROVIDER, {"command": self.fake.command})
        await account.start()
        await self.until(lambda: account.status.health == "logged-out")
        await self.fake.until(lambda: not self.fake.sessions)
        return account


class ReceiveTests(WhatsAppCase):
    """Messages in."""

    async def test_a_message_is_confirmed_when_it_is_stored(self) -> None:
        await self.running()
        self.fake.write(ANNA, "hello")
        await self.until(lambda: self.routed)
        await self.until(lambda: not self.fake.unconfirmed)
        [message] = self.routed
        self.assertEqual(message.text, "hello")
        self.assertEqual((message.chat.id, message.chat.kind), (f"+{ANNA}", "direct"))
        self.assertEqual((message.sender.id, message.sender.name), (f"+{ANNA}", f"Contact {ANNA}"))
        self.assertIn(jid(ANNA), message.sender.names)

    async def test_doubles_are_routed_once_and_confirmed_each_time(self) -> None:
        await self.running()
        first = self.fake.write(ANNA, "hello")
        await self.until(lambda: not self.fake.unconfirmed)
        again = self.fake.write(ANNA, "hello", key=first["key"])
        self.assertNotEqual(first["seq"], again["seq"])
        self.fake.write(ANNA, "the end")
        await self.until(lambda: not self.fake.unconfirmed and len(self.routed) > 1)
        self.assertEqual([one.text for one in self.routed], ["hello", "the end"])

    async def test_ids_are_the_senders_choice(self) -> None:
        await self.running()
        first = self.fake.write(ANNA, "mine")
        self.fake.write(BEN, "mine too", key={"id": first["key"]["id"], "chat": jid(BEN)})
        await self.until(lambda: len(self.routed) == 2)

    async def test_what_waited_before_the_start(self) -> None:
        for number in range(3):
            self.fake.write(ANNA, f"waiting {number}")
        await self.running()
        await self.until(lambda: len(self.routed) == 3)
        self.assertEqual([one.text for one in self.routed], [f"waiting {n}" for n in range(3)])

    async def test_a_message_that_is_none_is_skipped(self) -> None:
        await self.running()
        self.fake.notify("message", {"seq": "seven"})
        self.fake.notify("message", ["no", "object"])
        self.fake.notify("connection", {"state": "wonderful"})
        self.fake.notify("weather", {"sunny": True})
        self.fake.write(ANNA, "hello")
        await self.until(lambda: self.routed)
        self.assertEqual([one.text for one in self.routed], ["hello"])

    async def test_one_that_cannot_be_read_is_a_note_and_confirmed(self) -> None:
        await self.running()
        self.fake.write(ANNA, "hello", kind="novelty", media={"kind": 7})
        self.fake.write(ANNA, "the end")
        await self.until(lambda: not self.fake.unconfirmed and len(self.routed) == 2)
        texts = [one.text for one in self.routed]
        self.assertEqual(texts, ["[a message that cannot be read here]", "the end"])
        self.assertEqual(self.routed[0].chat.id, f"+{ANNA}")

    async def test_huge_and_many(self) -> None:
        await self.running()
        self.fake.write(ANNA, "x" * 5_000_000)
        for number in range(300):
            self.fake.write(ANNA, str(number))
        await self.until(lambda: len(self.routed) == 301)
        self.assertEqual([one.text for one in self.routed[1:]], [str(n) for n in range(300)])

    async def test_in_a_group_with_its_name(self) -> None:
        self.fake.groups[LUNCH] = "Lunch"
        await self.running()
        quoted = {"id": "0" * 20, "sender": MY_LID, "fromMe": True, "text": "Pizza?"}
        self.fake.write(ANNA, "yes", group=True, chat=LUNCH, quoted=quoted)
        [message] = await self.until(lambda: self.routed)
        self.assertEqual((message.chat.id, message.chat.title), (LUNCH, "Lunch"))
        self.assertEqual(message.chat.kind, "group")
        self.assertTrue(message.mentioned)
        assert message.quoted is not None
        self.assertEqual(message.quoted.text, "Pizza?")
        self.assertEqual(message.reply_id, f"{message.reply_id.partition('/')[0]}/{jid(ANNA)}")

    async def test_a_group_nobody_tells_the_name_of(self) -> None:
        await self.running()
        self.fake.write(ANNA, "hello", group=True, chat=LUNCH)
        [message] = await self.until(lambda: self.routed)
        self.assertEqual(message.chat.title, "")

    async def test_groups_that_are_slow_to_tell_their_names_do_not_wait_for_each_other(
        self,
    ) -> None:
        account = await self.running()
        stored, gate = account.received, Deferred[None]()

        async def received(*args: Any) -> None:
            if not gate.called:
                await gate
            await stored(*args)

        self.patch(account, "received", received)
        self.fake.write(ANNA, "hello")
        self.fake.fault("group", "silence", times=5)
        for number in range(5):
            self.fake.write(ANNA, "hello", group=True, chat=f"12036300000000000{number}@g.us")
        await account.adapter.probe()  # it has heard what was said before the answer
        gate.callback(None)
        await self.fake.until(lambda: len(self.fake.called("group")) == 5)
        self.fake.cut()
        await self.until(lambda: len(self.routed) == 6)
        self.assertEqual({one.chat.title for one in self.routed}, {""})

    async def test_a_mention_of_us_is_no_part_of_what_is_said(self) -> None:
        await self.running()
        text = f"@{MY_LID.partition('@')[0]}, what time is it?"
        more = {"mentions": [MY_LID], "mentionsMe": True}
        self.fake.write(ANNA, text, group=True, chat=LUNCH, **more)
        [message] = await self.until(lambda: self.routed)
        self.assertEqual((message.text, message.mentioned), ("what time is it?", True))

    async def test_reactions_and_deletions_are_notices(self) -> None:
        await self.running()
        target = {"id": "0" * 20, "fromMe": True}
        self.fake.write(ANNA, "👍", kind="reaction", target=target)
        self.fake.write(ANNA, "", kind="reaction", target=target)
        self.fake.write(ANNA, "", kind="revoke", target=target)
        self.fake.write(ANNA, "better", kind="edit", target=target)
        await self.until(lambda: len(self.routed) == 4)
        self.assertEqual(
            [(one.kind, one.text) for one in self.routed],
            [
                ("notice", "[reacted 👍 to your message]"),
                ("notice", "[took back a reaction to your message]"),
                ("notice", "[deleted a message]"),
                ("edit", "better"),
            ],
        )

    async def test_what_the_account_writes_itself(self) -> None:
        await self.running()
        key = {"id": "A" * 20, "chat": jid(ANNA), "fromMe": True}
        self.fake.write(ME, "from my phone", chat=jid(ANNA), key=key)
        key = {"id": "B" * 20, "chat": jid(ME), "fromMe": True}
        self.fake.write(ME, "a note to myself", key=key)
        await self.until(lambda: len(self.routed) == 2)
        self.assertEqual([one.own for one in self.routed], [True, True])

    async def test_self_chat_is_for_the_agent_where_that_is_wanted(self) -> None:
        await self.running(selfChatMode=True)
        self.assertEqual(self.fake.called("start")[0]["markOnline"], False)
        self.fake.write(ME, "hello agent", key={"id": "B" * 20, "chat": jid(ME), "fromMe": True})
        [message] = await self.until(lambda: self.routed)
        self.assertFalse(message.own)

    async def test_a_file_is_fetched_to_where_it_is_wanted(self) -> None:
        account = await self.running()
        self.fake.files["f1"] = b"a picture"
        media = {"kind": "image", "mimetype": "image/png", "size": 9, "handle": {"file": "f1"}}
        self.fake.write(ANNA, "look", media=media)
        [message] = await self.until(lambda: self.routed)
        path = Path(self.mktemp()).absolute()
        got = await account.adapter.fetch(message.media[0], path, 100)
        self.assertEqual((path.read_bytes(), got.path, got.size), (b"a picture", str(path), 9))
        for most, ref in ((5, {"file": "f1"}), (100, {"file": "f2"})):
            with self.assertRaises(SendRefused):
                await account.adapter.fetch(Media(kind="image", ref=ref), path, most)

    async def test_voice_notes_and_stickers(self) -> None:
        await self.running()
        voice = {"kind": "audio", "mimetype": "audio/ogg; codecs=opus", "voice": True, "handle": {}}
        self.fake.write(ANNA, "", media=voice)
        sticker = {"kind": "sticker", "mimetype": "image/webp", "emoji": "👍", "handle": {}}
        self.fake.write(ANNA, "", media=sticker)
        await self.until(lambda: len(self.routed) == 2)
        self.assertEqual(self.routed[0].media[0].kind, "voice")
        self.assertEqual(self.routed[0].media[0].mime_type, "audio/ogg")
        self.assertEqual(self.routed[1].text, "[sticker 👍]")

    async def test_blue_ticks_and_a_reaction_that_it_was_taken(self) -> None:
        account = await self.running(ackReaction={"emoji": "👀"})
        self.fake.write(ANNA, "hello")
        [message] = await self.until(lambda: self.routed)
        await account.adapter.seen(message)
        [read] = self.fake.called("read")
        key_id = message.message_id.rpartition(":")[2]
        self.assertEqual(read["keys"], [{"chat": jid(ANNA), "id": key_id}])
        self.assertEqual(self.fake.reactions[0]["emoji"], "👀")

    async def test_no_blue_ticks_where_they_are_not_wanted(self) -> None:
        account = await self.running(sendReadReceipts=False)
        self.fake.write(ANNA, "hello")
        [message] = await self.until(lambda: self.routed)
        await account.adapter.seen(message)
        self.assertEqual(self.fake.called("read"), [])


class SendTests(WhatsAppCase):
    """Messages out."""

    async def test_a_text(self) -> None:
        account = await self.running()
        delivery = await self.deliver(account, f"+{ANNA}", "hello")
        [shown] = self.fake.shown
        self.assertEqual((shown["to"], shown["text"]), (jid(ANNA), "hello"))
        self.assertEqual(delivery.ids, (shown["id"],))

    async def test_an_answer_quotes(self) -> None:
        account = await self.running()
        self.fake.write(ANNA, "hello", group=True, chat=LUNCH)
        [message] = await self.until(lambda: self.routed)
        answer = Outbound(text="hi", reply_to=message.reply_id)
        await self.deliver(account, LUNCH, answer)
        key_id = message.message_id.rpartition(":")[2]
        self.assertEqual(self.fake.shown[0]["quoted"], {"id": key_id, "participant": jid(ANNA)})

    async def test_people_are_named_in_groups_only(self) -> None:
        account = await self.running()
        await self.deliver(account, LUNCH, f"@+{ANNA} and @{BEN}: lunch!")
        await self.deliver(account, f"+{ANNA}", f"ask @{BEN}")
        group, direct = self.fake.shown
        self.assertEqual(group["mentions"], [jid(ANNA), jid(BEN)])
        self.assertEqual(group["text"], f"@{ANNA} and @{BEN}: lunch!")
        self.assertNotIn("mentions", direct)

    async def test_a_number_is_looked_up_once(self) -> None:
        account = await self.running()
        self.fake.numbers = {ANNA}
        for text in ("one", "two"):
            await self.deliver(account, f"+{ANNA}", text)
        self.assertEqual(len(self.fake.called("resolve")), 1)
        delivery = await self.deliver(account, f"+{BEN}", "three")
        self.assertEqual(delivery.state, "failed")
        self.assertIn(f"+{BEN} is not on WhatsApp", delivery.error or "")

    async def test_who_has_written_is_not_looked_up(self) -> None:
        account = await self.running()
        self.fake.write(ANNA, "hello")
        [message] = await self.until(lambda: self.routed)
        await self.deliver(account, message.chat.id, "hi")
        self.assertEqual(self.fake.called("resolve"), [])

    async def test_files_of_all_kinds(self) -> None:
        account = await self.running()
        for kind, mime_type, expected in (
            ("image", "image/png", ("image", False)),
            ("file", "application/pdf", ("document", False)),
            ("voice", "audio/ogg", ("audio", True)),
            ("audio", "audio/mpeg", ("audio", False)),
            ("sticker", "image/webp", ("sticker", False)),
            ("sticker", "image/png", ("image", False)),
        ):
            path = Path(self.mktemp()).absolute()
            path.write_bytes(b"x")
            media = OutMedia(path=str(path), kind=kind, mime_type=mime_type, name="x")
            await self.deliver(account, f"+{ANNA}", Outbound(media=(media,)))
            sent = self.fake.shown[-1]["media"]
            self.assertEqual((sent["kind"], sent["voice"]), expected)

    async def test_the_words_of_a_voice_note_go_before_it(self) -> None:
        account = await self.running()
        path = Path(self.mktemp()).absolute()
        path.write_bytes(b"x")
        media = OutMedia(path=str(path), kind="voice", mime_type="audio/ogg", name="x")
        await self.deliver(account, f"+{ANNA}", Outbound(text="listen", media=(media,)))
        words, note = self.fake.shown
        self.assertEqual((words["text"], note["text"]), ("listen", ""))
        self.assertNotEqual(words["id"], note["id"])

    async def test_a_poll(self) -> None:
        account = await self.running()
        poll = Poll(question="Lunch?", options=("pizza", "pasta"))
        await self.deliver(account, LUNCH, Outbound(poll=poll))
        expected = {"question": "Lunch?", "options": ["pizza", "pasta"], "selectable": 1}
        self.assertEqual(self.fake.shown[0]["poll"], expected)

    async def test_a_refusal_is_final(self) -> None:
        account = await self.running()
        self.fake.fault("send", "refuse", error=refusal("refused", "not allowed", statusCode=463))
        delivery = await self.deliver(account, LUNCH, "hello")
        self.assertEqual(delivery.state, "failed")
        self.assertIn("not allowed", delivery.error or "")
        self.assertEqual(len(self.fake.called("send")), 1)

    async def test_what_failed_for_now_is_tried_again(self) -> None:
        account = await self.running()
        self.fake.fault("send", "refuse", error=refusal("failed", "try later"))
        delivery = await self.deliver(account, LUNCH, "hello")
        self.assertEqual(delivery.state, "delivered")

    async def test_an_unknown_outcome_is_tried_again_and_shown_once(self) -> None:
        account = await self.running()
        self.fake.fault("send", "act-and-die")
        delivery = await self.deliver(account, LUNCH, "hello")
        self.assertEqual(delivery.state, "delivered")
        self.assertEqual((len(self.fake.shown), self.fake.copies), (1, 1))

    async def test_typing(self) -> None:
        account = await self.running()
        chat, thread = account.adapter.address(f"whatsapp:+{ANNA}")
        target = Target(channel="whatsapp", account="default", chat=chat, thread=thread)
        await account.adapter.typing(target)
        self.assertEqual(self.fake.called("presence"), [{"to": jid(ANNA), "state": "composing"}])


class ConnectionTests(WhatsAppCase):
    """Ends and beginnings."""

    async def test_the_status_says_who_we_are(self) -> None:
        account = await self.running()
        self.assertEqual(account.status.details, {"name": "Account", "id": f"+{ME}"})
        self.assertEqual((await account.adapter.probe())["linked"], True)

    async def test_it_comes_back_after_the_child_was_killed(self) -> None:
        account = await self.running()
        self.fake.cut()
        await self.until(lambda: not account.status.connected)
        await self.until(lambda: account.status.connected)
        self.assertEqual(self.fake.started, 2)

    async def test_a_closed_connection_is_not_logged_out(self) -> None:
        account = await self.running()
        self.fake.end_connection(428, "Connection Terminated")
        await self.until(lambda: account.status.health == "reconnecting")
        self.assertIn("Connection Terminated", account.status.last_error or "")
        await self.until(lambda: account.status.connected)

    async def test_removed_at_the_phone_it_says_what_to_do_and_rests(self) -> None:
        account = await self.running()
        self.fake.remove_device()
        await self.until(lambda: account.status.health == "logged-out")
        self.assertIn("clawgw channels login whatsapp", account.status.last_error or "")
        await self.fake.until(lambda: not self.fake.sessions)
        self.assertEqual(self.fake.started, 1)
        with self.assertRaises(Fault):
            await account.adapter.probe()

    async def test_replaced_by_another_it_does_not_fight(self) -> None:
        account = await self.running()
        self.fake.end_connection(440, "Stream Errored (conflict)")
        await self.until(lambda: account.status.health == "failed")
        self.assertIn("another process", account.status.last_error or "")

    async def test_a_sidecar_that_does_not_start(self) -> None:
        self.fake.fault("start", "refuse", error=refusal("failed", "the login cannot be read"))
        account = self.account(PROVIDER, {"command": self.fake.command})
        await account.start()
        await self.until(lambda: account.status.last_error)
        self.assertIn("the login cannot be read", account.status.last_error or "")
        await self.until(lambda: account.status.connected)

    async def test_a_command_that_is_not_there(self) -> None:
        account = self.account(PROVIDER, {"command": ["/nowhere/node"]})
        await account.start()
        await self.until(lambda: account.status.last_error)
        self.assertIn("the WhatsApp sidecar", account.status.last_error or "")

    async def test_one_session_for_a_login(self) -> None:
        login = str(self.directory / "login")
        first = await self.running(authDir=login)
        program = [sys.executable, "-I", "-c", "print('it ran')"]
        settings = {"command": program, "authDir": login}
        self.patch(exclusive, "__file__", self._impatient())
        second = self.account(PROVIDER, settings, "second")
        await second.start()
        await self.until(lambda: second.status.last_error)
        self.assertIn("another process holds this login", second.status.last_error or "")
        self.assertTrue(first.status.connected)

    def _impatient(self) -> str:
        source = Path(exclusive.__file__).read_text()
        path = self.directory / "impatient.py"
        path.write_text(source.replace("WAIT_SECONDS = 15.0", "WAIT_SECONDS = 0.1"))
        return str(path)

    async def test_nothing_is_sent_without_a_connection(self) -> None:
        account = await self.logged_out_later()
        with self.assertRaises(SendLater):
            await account.adapter.reach(f"+{ANNA}")

    async def logged_out_later(self) -> Account:
        """An account whose phone has been removed."""
        account = await self.running()
        self.fake.remove_device()
        await self.until(lambda: account.status.health == "logged-out")
        return account

    async def test_stopping_leaves_no_child(self) -> None:
        account = await self.running()
        await self.stop(account)
        await self.fake.until(lambda: not self.fake.sessions)


class LoginTests(WhatsAppCase):
    """Linking a phone."""

    linked = False

    async def test_without_a_phone_it_says_so_and_rests(self) -> None:
        account = await self.logged_out()
        self.assertIn("no phone is linked", account.status.last_error or "")

    async def test_by_qr(self) -> None:
        account = await self.logged_out()
        step = await account.adapter.login_start(force=False)
        self.assertEqual(step.qr, self.fake.qr)
        self.reactor.callLater(0, self.fake.next_qr)
        step = await account.adapter.login_wait(20, step.qr)
        self.assertEqual(step.qr, self.fake.qr)
        self.reactor.callLater(0, self.fake.scan)
        step = await account.adapter.login_wait(20, step.qr)
        self.assertTrue(step.connected)
        account.restart()
        await self.until(lambda: account.status.connected)
        self.assertEqual(self.fake.started, 2)  # the connection of the login goes on

    async def test_by_code(self) -> None:
        account = await self.logged_out()
        step = await account.adapter.login_start(force=False, phone=f"+{ME}")
        self.assertEqual(step.code, "ABCD-1234")
        self.reactor.callLater(0, self.fake.scan)
        step = await account.adapter.login_wait(20)
        self.assertTrue(step.connected)

    async def test_waiting_in_vain(self) -> None:
        account = await self.logged_out()
        step = await account.adapter.login_start(force=False)
        step = await account.adapter.login_wait(0.05, step.qr)
        self.assertEqual((step.connected, step.qr), (False, self.fake.qr))

    async def test_nobody_ever_links_a_phone(self) -> None:
        self.patch(adapter, "LINK_SECONDS", 0.2)
        account = await self.logged_out()
        with self.assertRaises(LoginProblem) as caught:
            step = await account.adapter.login_start(force=False)
            while True:
                step = await account.adapter.login_wait(20, step.qr)
        self.assertIn("no phone was linked", str(caught.exception))
        await self.fake.until(lambda: not self.fake.sessions)
        self.patch(adapter, "LINK_SECONDS", 600.0)
        step = await account.adapter.login_start(force=False)
        self.assertEqual(step.qr, self.fake.qr)

    async def test_no_more_codes(self) -> None:
        account = await self.logged_out()
        step = await account.adapter.login_start(force=False)
        self.reactor.callLater(0, self.fake.end_connection, 408, "QR refs attempts ended")
        with self.assertRaises(LoginProblem) as caught:
            await account.adapter.login_wait(20, step.qr)
        self.assertIn("QR refs attempts ended", str(caught.exception))
        await self.fake.until(lambda: not self.fake.sessions)

    async def test_the_child_dies(self) -> None:
        account = await self.logged_out()
        self.fake.fault("login", "die")
        with self.assertRaises(LoginProblem):
            await account.adapter.login_start(force=False)
        step = await account.adapter.login_start(force=False)
        self.assertIsNotNone(step.qr)

    async def test_waiting_for_nothing(self) -> None:
        account = await self.logged_out()
        with self.assertRaises(LoginProblem):
            await account.adapter.login_wait(1)

    async def test_a_second_login_takes_the_place_of_the_first(self) -> None:
        account = await self.logged_out()
        first = await account.adapter.login_start(force=False)
        second = await account.adapter.login_start(force=False)
        self.assertNotEqual(first.qr, second.qr)


class LinkedLoginTests(WhatsAppCase):
    """Logins where there is one."""

    async def test_linked_already(self) -> None:
        account = await self.running()
        step = await account.adapter.login_start(force=False)
        self.assertTrue(step.connected)
        self.assertIn(f"+{ME}", step.message)

    async def test_force(self) -> None:
        account = await self.running()
        step = await account.adapter.login_start(force=True)
        self.assertIsNotNone(step.qr)
        self.assertEqual(len(self.fake.called("logout")), 1)

    async def test_logout(self) -> None:
        account = await self.running()
        self.assertTrue(await account.adapter.logout())
        await self.until(lambda: account.status.health == "logged-out")
        self.assertFalse(await account.adapter.logout())
        await self.fake.until(lambda: not self.fake.sessions)
