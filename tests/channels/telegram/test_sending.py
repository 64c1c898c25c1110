"""What is sent arrives once, in its form, and every failure says what became of it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from clawgw.channels.adapter import SendError, SendLater, SendRefused, SendUnknown
from clawgw.channels.messages import OutMedia, Part, Poll, Target
from clawgw.channels.telegram.settings import TelegramCapabilities
from tests.channels.telegram.fake import TOKEN
from tests.channels.telegram.host import YES_NO, AdapterCase

PNG = b"\x89PNG a picture"


class SendingTests(AdapterCase):
    def media(self, kind: Any, mime_type: str, name: str, data: bytes = PNG) -> OutMedia:
        path = self.host.directory / name
        path.write_bytes(data)
        return OutMedia(path=str(path), kind=kind, mime_type=mime_type, name=name)

    def tearDown(self) -> None:
        self.assertEqual(self.fake.complaints, [])

    async def test_a_message_is_html(self) -> None:
        sent = await self.send("<b>2 &lt; 3</b>", plain="2 < 3")
        (message,) = self.world.sent
        self.assertEqual(message.text, "2 < 3")
        self.assertEqual(message.entities, [{"type": "bold", "offset": 0, "length": 5}])
        self.assertEqual(sent, str(message.message_id))

    async def test_markup_that_telegram_does_not_take_goes_without(self) -> None:
        await self.send("<p>so</p> & so", plain="so & so")
        self.assertEqual(self.world.texts(), ["so & so"])
        self.assertEqual(len(self.fake.asked("sendMessage")), 2)

    async def test_a_reply(self) -> None:
        said = self.world.say(self.ann, "how are you?")
        await self.send("fine", reply_to=str(said["message_id"]))
        await self.send("and you?", reply_to="4711")  # gone by now
        self.assertEqual([sent.reply_to for sent in self.world.sent], [said["message_id"], None])

    async def test_topics(self) -> None:
        forum = self.world.group("Club", forum=True)
        plans = self.world.topic(forum, "Plans")
        await self.send("in plans", chat=forum.id, thread=str(plans))
        await self.send("in general", chat=forum.id, thread="1")
        self.assertEqual([sent.thread for sent in self.world.sent], [plans, None])
        problem = await self.refused("nowhere", SendRefused, chat=forum.id, thread="4711")
        self.assertIn("topic does not exist", str(problem))

    async def test_what_is_no_number_goes_nowhere_else(self) -> None:
        forum = self.world.group("Club", forum=True)
        for thread in ("plans", "\u00b2", "-1", "9" * 5000):
            problem = await self.refused("x", SendRefused, chat=forum.id, thread=thread)
            self.assertIn("number", str(problem))
        for reply_to in ("it", "\u00b2", "9" * 5000):  # without the quotation it is still an answer
            await self.send("x", reply_to=reply_to)
        self.assertEqual([sent.reply_to for sent in self.world.sent], [None] * 3)

    async def test_without_sound_and_without_preview(self) -> None:
        self.make(link_preview=False)
        await self.send("https://a.example/", silent=True)
        params = self.world.sent[0].params
        self.assertEqual(params["link_preview_options"], {"is_disabled": True})
        self.assertTrue(params["disable_notification"])

    async def test_buttons_where_they_are_wanted(self) -> None:
        group = self.world.group("Team")
        for wanted, shown in (
            ("allowlist", [2, 2]), ("off", [0, 0]), ("dm", [2, 0]), ("group", [0, 2])
        ):  # fmt: skip
            self.world.sent.clear()
            self.make(capabilities=TelegramCapabilities(inline_buttons=wanted))
            await self.send("Run it?", buttons=YES_NO)
            await self.send("Run it?", chat=group.id, buttons=YES_NO)
            self.assertEqual([len(sent.buttons) for sent in self.world.sent], shown, wanted)

    async def test_a_poll(self) -> None:
        poll = Poll(question="Lunch?", options=("pizza", "pasta"), max_selections=2, hours=1)
        await self.send(poll=poll)
        sent = self.world.sent[0]
        about = self.world.messages[1001, sent.message_id]["poll"]
        self.assertEqual(about["question"], "Lunch?")
        self.assertEqual([option["text"] for option in about["options"]], ["pizza", "pasta"])
        self.assertTrue(about["allows_multiple_answers"])
        self.assertEqual(sent.params["open_period"], 3600)

    async def test_files_go_as_what_telegram_shows(self) -> None:
        for kind, mime_type, name, method in (
            ("image", "image/png", "a.png", "sendPhoto"),
            ("image", "image/gif", "a.gif", "sendAnimation"),
            ("image", "image/tiff", "a.tiff", "sendDocument"),
            ("voice", "audio/ogg", "a.ogg", "sendVoice"),
            ("audio", "audio/mpeg", "a.mp3", "sendAudio"),
            ("audio", "audio/wav", "a.wav", "sendDocument"),
            ("video", "video/mp4", "a.mp4", "sendVideo"),
            ("file", "application/pdf", "ä.pdf", "sendDocument"),
        ):
            await self.send("<i>look</i>", plain="look", media=self.media(kind, mime_type, name))
            sent = self.world.sent[-1]
            self.assertEqual((sent.method, sent.text), (method, "look"))
            self.assertEqual((sent.file.name, sent.file.data), (name, PNG))
            self.assertEqual(sent.file.content_type, mime_type)

    async def test_a_picture_that_is_none_goes_as_a_document(self) -> None:
        await self.send(media=self.media("image", "image/jpeg", "a.jpg", b"no picture"))
        self.assertEqual([sent.method for sent in self.world.sent], ["sendDocument"])

    async def test_a_file_that_is_gone(self) -> None:
        media = self.media("file", "text/plain", "a.txt")
        (self.host.directory / "a.txt").unlink()
        problem = await self.refused("", SendRefused, media=media)
        self.assertIn("No such file", str(problem))

    async def test_a_file_too_large_for_telegram(self) -> None:
        self.fake.faults.refuse(413, "Request Entity Too Large", "sendDocument")
        page = b"<html>413 Request Entity Too Large</html>"
        self.fake.faults.garble(page, "sendDocument", status=413)
        media = self.media("file", "text/plain", "a.txt", b"x")
        for _ in range(2):
            problem = await self.refused("", SendRefused, media=media)
            self.assertIn("50 MB", str(problem))

    async def test_a_part_takes_the_place_of_a_draft(self) -> None:
        draft = await self.send("thinking …")
        self.assertEqual(await self.send("done", edit=draft), draft)
        self.assertEqual(await self.send("done", edit=draft), draft)  # once more after a crash
        self.assertEqual(self.world.texts(), ["done"])

    async def test_a_draft_that_is_gone_is_sent_anew(self) -> None:
        draft = await self.send("thinking …")
        self.world.sent[0].deleted = True
        self.assertNotEqual(await self.send("done", edit=draft), draft)
        self.assertEqual(self.world.texts(), ["done"])

    async def test_a_group_that_moved_gets_it_at_its_new_number(self) -> None:
        group = self.world.group("Small", -42)
        big = self.world.migrate(group)
        await self.send("one", chat=-42)
        await self.send("two", chat=-42)
        self.assertEqual(self.world.texts(big.id), ["one", "two"])
        self.assertEqual(len(self.fake.asked("sendMessage")), 3)
        self.assertEqual(self.host.kept, {"moved:-42": str(big.id)})

    async def test_typing(self) -> None:
        forum = self.world.group("Club", forum=True)
        for chat, thread in ((1001, None), (forum.id, "1")):
            target = Target(channel="telegram", account="default", chat=str(chat), thread=thread)
            await self.adapter.typing(target)
        self.assertEqual(self.world.actions, [(1001, "typing", None), (forum.id, "typing", 1)])

    def refused(self, text: str, kind: type[SendError], **part: Any) -> Deferred[SendError]:
        return self.assertFailure(Deferred.fromCoroutine(self.send(text, **part)), kind)


class FailureTests(AdapterCase):
    def failing(self, kind: type[SendError], chat: Any = 1001) -> Deferred[Any]:
        sending = Deferred.fromCoroutine(self.send("hello", chat=chat))
        return self.assertFailure(sending, kind)

    async def test_what_never_works_is_refused(self) -> None:
        self.world.chats[1001].blocked = True
        problem = await self.failing(SendRefused)
        self.assertIn("bot was blocked by the user", str(problem))
        problem = await self.failing(SendRefused, 77)
        self.assertIn("has to write to the bot first", str(problem))
        await self.failing(SendRefused, "nobody")

    async def test_throttled(self) -> None:
        self.fake.faults.throttle(12, "sendMessage")
        problem = await self.failing(SendLater)
        self.assertEqual(problem.retry_after, 12)
        self.assertEqual(self.world.sent, [])

    async def test_nobody_is_made_to_wait_for_ever(self) -> None:
        self.fake.faults.throttle(10**15, "sendMessage")
        problem = await self.failing(SendLater)
        self.assertEqual(problem.retry_after, 24 * 3600)

    async def test_telegram_is_not_there(self) -> None:
        await self.fake.stop()
        problem = await self.failing(SendLater)
        self.assertTrue(problem.account_wide)
        self.assertNotIn(TOKEN, str(problem))
        self.fake.start()
        await self.send("hello")

    async def test_the_token_was_revoked(self) -> None:
        self.fake.faults.refuse(401, "Unauthorized", "sendMessage")
        problem = await self.failing(SendLater)
        self.assertTrue(problem.account_wide)

    async def test_something_in_between_refuses(self) -> None:
        self.fake.faults.garble(b"<html>403 Forbidden</html>", "sendMessage", status=403)
        problem = await self.failing(SendLater)
        self.assertIn("answered with status 403", str(problem))

    async def test_nobody_knows(self) -> None:
        faults = self.fake.faults
        for order in (
            lambda: faults.lose("sendMessage"),
            lambda: faults.half("sendMessage"),
            lambda: faults.garble(b"<html>", "sendMessage", status=502, acts=True),
            lambda: faults.garble(b"<html>", "sendMessage", acts=True),
            lambda: faults.refuse(500, "Internal Server Error", "sendMessage"),
        ):
            order()
            problem = await self.failing(SendUnknown)
            self.assertNotIn(TOKEN, str(problem))
            self.assertNotIn("hello", str(problem))

    async def test_an_answer_that_does_not_come(self) -> None:
        await self.send("hello")
        connected = self.adapter._http  # connecting would count, too
        self.make(timeout_seconds=3)._http = connected
        self.fake.faults.delay(60, "sendMessage")
        problem = await self.failing(SendUnknown)
        self.assertIn("did not answer within 3 s", str(problem))

    async def test_an_answer_without_an_id_is_a_delivery(self) -> None:
        self.fake.faults.garble(b'{"ok":true,"result":null}', "sendMessage")
        self.assertEqual(await self.send("hello"), "")

    async def test_secrets_are_in_no_repr(self) -> None:
        for thing in (self.adapter.settings, self.adapter, await self.adapter._bot()):
            self.assertNotIn(TOKEN, repr(thing))


class DraftTests(AdapterCase):
    def part(self, text: str) -> Part:
        return Part(key="0" * 32, text=text, plain=text)

    async def edit(self, chat: Any, message_id: str, text: str) -> None:
        target = Target(channel="telegram", account="default", chat=str(chat))
        await self.adapter.edit(target, message_id, self.part(text))

    async def wait(self, seconds: float) -> None:
        """Let it seem to the adapter that so much time has passed."""
        sender = self.adapter._sender
        for known in (sender._written, sender._quiet_until):
            for chat in known:
                known[chat] -= seconds

    async def test_drafts_grow(self) -> None:
        message_id = await self.send("one")
        await self.wait(1.5)
        await self.edit(1001, message_id, "one two")
        self.assertEqual(self.world.texts(), ["one two"])

    async def test_drafts_that_come_too_soon_are_left_out(self) -> None:
        group = self.world.group("Team")
        for chat, pause in ((1001, 1.5), (group.id, 4.5)):
            message_id = await self.send("one", chat=chat)
            await self.edit(chat, message_id, "one two")
            self.assertEqual(self.world.texts(chat), ["one"])
            await self.wait(pause)
            await self.edit(chat, message_id, "one two")
            self.assertEqual(self.world.texts(chat), ["one two"])

    async def test_a_throttled_draft_keeps_quiet_as_long_as_telegram_says(self) -> None:
        message_id = await self.send("one")
        await self.wait(2)
        self.fake.faults.throttle(9, "editMessageText")
        await self.edit(1001, message_id, "one two")
        await self.wait(5)
        await self.edit(1001, message_id, "one two three")
        self.assertEqual(len(self.fake.asked("editMessageText")), 1)
        await self.wait(5)
        await self.edit(1001, message_id, "one two three")
        self.assertEqual(self.world.texts(), ["one two three"])

    async def test_a_draft_that_says_the_same(self) -> None:
        message_id = await self.send("one")
        await self.wait(2)
        await self.edit(1001, message_id, "one")
        self.assertEqual(self.world.texts(), ["one"])

    async def test_an_answer_of_two_minutes_stays_within_telegrams_limits(self) -> None:
        """Written as fast as the shared part goes, in a group, with Telegram counting."""
        self.fake.enforce_rates = True
        group = self.world.group("Team")
        message_id = await self.send("0", chat=group.id)
        edits = 0
        while edits < 80:  # 80 * 1.5 s
            edits += 1
            await self.wait(1.5)
            self._age_rates(1.5)
            await self.edit(group.id, message_id, str(edits))
        self.assertEqual(self.fake.faults.struck, {})
        self.assertEqual(self.fake.refusals, [])
        self._age_rates(60)
        await self.send("the end", chat=group.id, edit=message_id)
        self.assertEqual(self.world.texts(), ["the end"])

    def _age_rates(self, seconds: float) -> None:
        for times in self.fake._rates.values():
            for at in range(len(times)):
                times[at] -= seconds
