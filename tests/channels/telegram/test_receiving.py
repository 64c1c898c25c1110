"""What people write to the bot arrives once, in order, and is confirmed only when it is stored."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.defer import Deferred

from clawgw.channels import presses
from clawgw.channels.adapter import Fatal, Fault, SendLater, SendRefused
from clawgw.channels.commands import COMMANDS
from clawgw.channels.telegram.settings import CustomCommand, TelegramCommands, TelegramGroup
from clawgw.store.database import StoreError
from tests.channels.telegram.fake import TOKEN
from tests.channels.telegram.host import YES_NO, AdapterCase

JPEG = b"\xff\xd8\xff\xe0 a picture"


class ReceivingTests(AdapterCase):
    async def test_a_message(self) -> None:
        self.world.say(self.ann, "good morning")
        await self.start()
        (message,) = await self.arrived(1)
        self.assertEqual(message.text, "good morning")
        self.assertEqual(message.chat.kind, "direct")
        self.assertEqual((message.sender.id, message.sender.names), ("1001", ("@ann",)))
        self.assertEqual(message.sender.name, "Ann")
        self.assertEqual(message.message_id, f"1001:{message.reply_id}")
        self.assertEqual(
            self.host.details, {"name": "@claw_test_bot", "id": "123456789", "mode": "polling"}
        )

    async def test_what_comes_later_comes_at_once(self) -> None:
        await self.start()
        self.world.say(self.ann, "one")
        await self.arrived(1)
        self.world.say(self.ann, "two")
        await self.arrived(2)
        self.assertEqual(self.host.texts, ["one", "two"])

    async def test_an_update_is_confirmed_only_when_it_is_stored(self) -> None:
        self.host.fails = 1
        self.world.say(self.ann, "do not lose me")
        life = await self.start()
        await self.assertFailure(life, StoreError)
        self.assertEqual(self.world.confirmed, [])
        await self.start()
        await self.until(lambda: self.world.confirmed)
        self.assertEqual(self.host.texts, ["do not lose me"])

    async def test_after_a_restart_it_goes_on_where_it_was(self) -> None:
        self.world.say(self.ann, "one")
        await self.start()
        await self.arrived(1)
        await self.end()
        self.world.say(self.ann, "two")
        self.make()
        await self.start()
        await self.arrived(2)
        self.assertEqual([texts for texts, _cursor in self.host.batches], [["one"], ["two"]])

    async def test_updates_told_twice_and_in_disorder_are_each_taken_once(self) -> None:
        for number in range(20):
            self.world.say(self.ann, str(number))
        self.world.shuffle(random.Random(3))
        await self.start()
        await self.arrived(20)
        self.world.repeat(3)
        self.world.say(self.ann, "20")
        await self.arrived(21)
        self.world.say(self.ann, "21")
        await self.arrived(22)
        self.assertEqual(sorted(map(int, self.host.texts)), list(range(22)))

    async def test_five_thousand_waiting_messages(self) -> None:
        for number in range(5_000):
            self.world.say(self.ann, str(number))
        await self.start()
        await self.arrived(5_000)
        self.assertEqual(self.host.texts, [str(number) for number in range(5_000)])

    async def test_what_cannot_be_understood_does_not_stop_the_rest(self) -> None:
        for odd in (
            {"message": {"message_id": "x"}},
            {"message": 5},
            {"business_thing_of_2031": {"a": 1}},
            {"message": None},
            {"callback_query": {"id": "1"}},
        ):
            self.world.push(odd)
        self.world.say(self.ann, "still here")
        await self.start()
        await self.arrived(1)
        await self.until(lambda: len(self.world.confirmed) == 6)
        self.assertEqual(self.host.texts, ["still here"])

    async def test_a_text_that_is_no_unicode_does_not_stop_the_rest(self) -> None:
        self.world.say(self.ann, "half an \ud83d")
        self.world.say(self.ann, "still here")
        await self.start()
        await self.arrived(2)
        self.assertEqual(self.host.texts, ["half an ?", "still here"])

    async def test_a_broken_field_leaves_a_note(self) -> None:
        self.world.say(self.ann, "x", sticker="not one", chat=None)
        await self.start()
        (message,) = await self.arrived(1)
        self.assertEqual(message.text, "[a part of this message could not be read]\nx")
        self.assertEqual(message.sender.id, "1001")

    async def test_an_album_is_one_message(self) -> None:
        await self.start()
        album = {"media_group_id": "77"}
        self.world.upload(self.ann, "photo", JPEG, caption="the garden", **album)
        self.world.upload(self.ann, "photo", JPEG + b"2", **album)
        self.world.upload(self.ann, "video", b"moving", content_type="video/mp4", **album)
        (message,) = await self.arrived(1)
        await self.until(lambda: len(self.world.confirmed) == 3)
        self.assertEqual(message.text, "the garden")
        self.assertEqual([media.kind for media in message.media], ["image", "image", "video"])
        self.assertEqual(len(self.host.messages), 1)
        self.world.confirmed = self.world.confirmed[1:]  # told again, without its first picture
        self.world.repeat()
        self.world.say(self.ann, "nice?")
        await self.arrived(2)
        self.assertEqual(self.host.texts, ["the garden", "nice?"])

    async def test_an_edit_that_changes_nothing_is_none(self) -> None:
        """Telegram calls it an edit, too, when somebody reacts to a message."""
        await self.start()
        said = self.world.say(self.ann, "what is new?")
        await self.arrived(1)
        self.world.touch(said)
        better = self.world.edit(said, text="what is old?")
        self.world.touch(better)
        self.world.edit(better, text="what is new?")
        self.world.say(self.ann, "the end")
        await self.arrived(4)
        self.assertEqual(
            self.host.texts, ["what is new?", "what is old?", "what is new?", "the end"]
        )

    async def test_an_edit_that_could_not_be_stored_is_one_when_it_is_told_again(self) -> None:
        life = await self.start()
        said = self.world.say(self.ann, "one")
        await self.arrived(1)
        self.host.fails = 1
        self.world.edit(said, text="two")
        await self.assertFailure(life, StoreError)
        await self.start()
        await self.arrived(2)
        self.assertEqual(self.host.texts, ["one", "two"])

    async def test_files_are_fetched(self) -> None:
        self.world.upload(
            self.ann, "document", b"%PDF-1.7", name="a.pdf", content_type="application/pdf"
        )
        await self.start()
        (message,) = await self.arrived(1)
        (media,) = message.media
        self.assertEqual((media.kind, media.name, media.size), ("file", "a.pdf", 8))
        path = self.host.directory / "a.pdf"
        fetched = await self.adapter.fetch(media, path, 1000)
        self.assertEqual(path.read_bytes(), b"%PDF-1.7")
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual((fetched.path, fetched.size), (str(path), 8))

    async def test_files_that_are_not_to_be_had(self) -> None:
        path = self.host.directory / "file"
        big = self.world.upload(self.ann, "voice", b"o" * (21 << 20), claims=10)
        small = self.world.upload(self.ann, "voice", b"o" * 2000, claims=10)
        await self.start()
        media = [message.media[0] for message in await self.arrived(2)]
        refused = await self.assertFailure(self._fetching(media[0], path, 30 << 20), SendRefused)
        self.assertIn("20 MB", str(refused))
        refused = await self.assertFailure(self._fetching(media[1], path, 1000), SendRefused)
        self.assertIn("larger than allowed", str(refused))
        del self.world.files[small["voice"]["file_id"]], self.world.files[big["voice"]["file_id"]]
        await self.assertFailure(self._fetching(media[1], path, 1000), SendRefused)
        self.assertFalse(path.exists())

    async def test_a_download_that_breaks_off_is_tried_later(self) -> None:
        self.world.upload(self.ann, "voice", b"o" * 200_000)
        await self.start()
        (message,) = await self.arrived(1)
        self.fake.faults.half("file")
        path = self.host.directory / "voice"
        later = await self.assertFailure(self._fetching(message.media[0], path, 1 << 20), SendLater)
        self.assertNotIn(TOKEN, str(later))  # it is in the file's address
        self.assertFalse(path.exists())

    def _fetching(self, media: Any, path: Any, most: int) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.adapter.fetch(media, path, most))

    async def test_a_reaction_to_a_message_of_the_bot(self) -> None:
        await self.start()
        await self.until(lambda: self.world.allowed)
        mine = int(await self.send("the answer is 42"))
        said = self.world.say(self.ann, "thanks")
        self.world.react(self.ann, 1001, said["message_id"], "👎")
        self.world.react(self.ann, 1001, mine, "👍")
        messages = await self.arrived(2)
        self.assertEqual(messages[1].text, '[reaction 👍 to "the answer is 42"]')
        self.assertEqual(messages[1].kind, "notice")

    async def test_a_group_that_becomes_a_supergroup(self) -> None:
        group = self.world.group("Small", -42)
        await self.start()
        big = self.world.migrate(group)
        await self.until(lambda: "moved:-42" in self.host.kept)
        await self.send("hello", chat=-42)
        self.assertEqual(self.world.texts(big.id), ["hello"])


class ButtonTests(AdapterCase):
    async def test_a_pressed_button(self) -> None:
        await self.start()
        await self.send("Run it?", buttons=YES_NO)
        self.world.press(self.ann, self.world.sent[0], "a:yes")
        await self.until(lambda: self.world.answered and not self.world.sent[0].buttons)
        (press,) = self.host.presses
        self.assertEqual((press.data, press.sender.id, press.chat.id), ("a:yes", "1001", "1001"))
        self.assertEqual(press.message_id, str(self.world.sent[0].message_id))
        self.assertEqual([one["text"] for one in self.world.answered.values()], ["Approved."])

    async def test_in_a_group_the_buttons_stay_for_the_others(self) -> None:
        group = self.world.group("Team")
        self.host.answer = "Only the owner may decide."
        await self.start()
        await self.send("Run it?", chat=group.id, buttons=YES_NO)
        self.world.press(self.ann, self.world.sent[0], "a:no")
        await self.until(lambda: self.world.answered)
        self.assertEqual(len(self.world.sent[0].buttons), 2)

    async def test_a_press_that_fails_stops_nothing(self) -> None:
        self.host.answer = RuntimeError("a bug")
        await self.start()
        await self.send("Run it?", buttons=YES_NO)
        self.world.press(self.ann, self.world.sent[0], "a:yes")
        self.world.say(self.ann, "anybody there?")
        await self.arrived(1)
        await self.until(lambda: self.world.answered)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_a_press_that_takes_too_long_is_answered(self) -> None:
        self.patch(presses, "PRESS_SECONDS", 0.05)
        self.host.answer = Deferred()
        await self.start()
        await self.send("Run it?", buttons=YES_NO)
        self.world.press(self.ann, self.world.sent[0], "a:yes")
        await self.until(lambda: self.world.answered)
        (told,) = self.world.answered.values()
        self.assertIn("too long", told["text"])


class TroubleTests(AdapterCase):
    async def fault(self) -> Fault:
        """Why the adapter ends."""
        return await self.assertFailure(self.begin(), Fault)

    async def test_a_wrong_token_is_one_clear_line(self) -> None:
        for token in ("123456789:wrong-secret", "nonsense"):
            self.make(bot_token=token)
            problem = await self.fault()
            self.assertIsInstance(problem, Fatal)
            self.assertIn("@BotFather", str(problem))
            self.assertNotIn(token, str(problem))

    async def test_no_token(self) -> None:
        self.make(bot_token=None)
        self.assertIsInstance(await self.fault(), Fatal)
        self.host.environ = {"TELEGRAM_BOT_TOKEN": f" {TOKEN}\n"}
        self.make(bot_token=None)
        await self.start()
        self.assertEqual(self.host.details["mode"], "polling")

    async def test_a_token_in_a_file(self) -> None:
        path = self.host.directory / "token"
        self.make(bot_token=None, token_file=str(path))
        problem = await self.fault()
        self.assertIn(f"tokenFile {path} cannot be read", str(problem))
        path.write_text(TOKEN + "\n")
        await self.start()
        self.assertEqual(self.host.connections, 1)

    async def test_a_token_that_would_lead_elsewhere_is_refused_unsent(self) -> None:
        self.make(bot_token="1:a/../../secret")
        self.assertIsInstance(await self.fault(), Fatal)
        self.assertEqual(self.fake.calls, [])

    async def test_another_program_that_polls_is_named(self) -> None:
        life = await self.start()
        self.make()
        await self.until(lambda: len(self.fake.asked("getUpdates")) >= 2)
        await self.start()
        problem = await self.assertFailure(life, Fault)
        self.assertIn("another program receives this bot's messages", str(problem))
        self.assertNotIsInstance(problem, Fatal)

    async def test_another_programs_webhook_is_named(self) -> None:
        await self._set_webhook()
        problem = await self.fault()
        self.assertIn("another program has set a webhook", str(problem))

    async def test_our_own_webhook_of_before_is_removed(self) -> None:
        await self._set_webhook()
        self.host.kept["webhook"] = "1"
        await self.start()
        self.assertEqual(self.host.connections, 1)
        self.assertNotIn("webhook", self.host.kept)

    async def _set_webhook(self) -> None:
        api = await self.adapter._bot()
        await api.call("setWebhook", {"url": "https://other.example/hook"}, object)

    async def test_throttled(self) -> None:
        self.fake.faults.throttle(7, "getUpdates")
        problem = await self.fault()
        self.assertEqual(problem.retry_after, 7)

    async def test_everything_else_that_can_go_wrong(self) -> None:
        faults = self.fake.faults
        for order in (
            lambda: faults.cut("getUpdates"),
            lambda: faults.half("getUpdates"),
            lambda: faults.garble(b"<html>Bad Gateway</html>", "getUpdates", status=502),
            lambda: faults.garble(b'{"ok":true,"result":[', "getUpdates"),
            lambda: faults.garble(b'{"ok":true,"result":{"a":1}}', "getUpdates"),
            lambda: faults.garble(b"[" * 100_000, "getUpdates"),
            lambda: faults.refuse(500, "Internal Server Error", "getUpdates"),
            lambda: faults.huge(20 << 20, "getUpdates"),
        ):
            order()
            problem = await self.fault()
            self.assertNotIsInstance(problem, Fatal)
            self.assertNotIn(TOKEN, str(problem))
        self.world.say(self.ann, "after all that")
        await self.start()
        await self.arrived(1)

    async def test_privacy_mode_is_told(self) -> None:
        self.world.me["can_read_all_group_messages"] = False
        self.make(groups={"*": TelegramGroup(require_mention=False)})
        await self.start()
        self.assertIn("/setprivacy", self.host.warnings[0])

    async def test_who_the_bot_is(self) -> None:
        told = await self.adapter.probe()
        self.assertEqual(told["bot"]["username"], "claw_test_bot")
        self.assertEqual(told["webhook"], {"host": None, "pending": 0})

    async def test_the_menu(self) -> None:
        await self.start()
        await self.until(lambda: self.world.commands)
        told = {command["command"]: command["description"] for command in self.world.commands}
        self.assertEqual(told, {**COMMANDS})
        self.assertIn("new", told)
        self.assertEqual(self.fake.complaints, [])
        await self.end()
        backup = CustomCommand(command="/Backup", description="Git backup")
        self.make(commands=TelegramCommands(native=False), custom_commands=(backup,))
        await self.start()
        self.assertEqual(self.world.commands, [{"command": "backup", "description": "Git backup"}])
