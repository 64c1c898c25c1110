"""What the Gateway sends, as people see it in Slack."""

from __future__ import annotations

from pathlib import Path

from clawgw.channels.adapter import (
    Fatal,
    SendError,
    SendLater,
    SendRefused,
    SendUnknown,
    Unsupported,
)
from clawgw.channels.messages import Button, Media, OutMedia
from tests.channels.slack.faults import Answer, Broken, Cut, Refuse, Throttle
from tests.channels.slack.support import SlackCase


class SendTests(SlackCase):
    async def test_a_text(self) -> None:
        adapter = self.adapter()
        ts = await adapter.send(self.target(self.dm), self.part("*hello*"))
        self.assertEqual(self.message(self.dm, ts)["text"], "*hello*")

    async def test_a_thread_is_kept_and_a_reply_opens_one(self) -> None:
        adapter = self.adapter()
        parent = self.slack.say(self.ann, self.general, "question")
        in_thread = await adapter.send(self.target(self.general, parent), self.part("one"))
        reply = await adapter.send(self.target(self.general), self.part("two", reply_to=parent))
        for ts in (in_thread, reply):
            self.assertEqual(self.message(self.general, ts)["thread_ts"], parent)

    async def test_a_thread_that_is_gone_does_not_lose_the_message(self) -> None:
        adapter = self.adapter()
        part = self.part("one")
        ts = await adapter.send(self.target(self.general, "1.000001"), part)
        self.assertNotIn("thread_ts", self.message(self.general, ts))
        found = await adapter.find(self.target(self.general, "1.000001"), part)
        self.assertEqual(found, ts)

    async def test_what_is_no_thread_does_not_go_to_the_whole_channel(self) -> None:
        work = self.adapter().send(self.target(self.general, "plans"), self.part("one"))
        self.assertIn("thread", str(await self.failure(SendRefused, work)))
        self.assertEqual(self.slack.posted, [])

    async def test_buttons(self) -> None:
        adapter = self.adapter()
        rows = ((Button(text="Allow", data="a:1", style="primary"), Button(text="No", data="a:2")),)
        ts = await adapter.send(self.target(self.dm), self.part("Run it?", buttons=rows))
        section, actions = self.message(self.dm, ts)["blocks"]
        self.assertEqual(section["text"], {"type": "mrkdwn", "text": "Run it?"})
        self.assertEqual([one["value"] for one in actions["elements"]], ["a:1", "a:2"])
        self.assertEqual(actions["elements"][0]["style"], "primary")
        self.assertEqual(len({one["action_id"] for one in actions["elements"]}), 2)

    async def test_a_long_text_with_buttons_stays_within_the_blocks_limits(self) -> None:
        adapter = self.adapter()
        rows = ((Button(text="Allow", data="a:1"),),)
        text = "\n".join("x" * 79 for _ in range(50))
        ts = await adapter.send(self.target(self.dm), self.part(text[:4000], buttons=rows))
        *sections, _ = self.message(self.dm, ts)["blocks"]
        self.assertEqual("\n".join(one["text"]["text"] for one in sections), text[:4000])

    async def test_an_edit_replaces_text_and_buttons(self) -> None:
        adapter = self.adapter()
        rows = ((Button(text="Allow", data="a:1"),),)
        ts = await adapter.send(self.target(self.dm), self.part("Run it?", buttons=rows))
        again = await adapter.send(self.target(self.dm), self.part("Allowed.", edit=ts))
        self.assertEqual(again, ts)
        self.assertEqual(self.message(self.dm, ts)["text"], "Allowed.")
        self.assertEqual(self.message(self.dm, ts)["blocks"], [])
        self.assertEqual(len(self.slack.posted), 1)

    async def test_a_draft_that_is_gone_is_sent_anew(self) -> None:
        adapter = self.adapter()
        await adapter.send(self.target(self.dm), self.part("answer", edit="1.000001"))
        self.assertEqual(self.slack.sent(self.dm), ["answer"])

    async def test_a_person_and_a_channels_name_can_be_written_to(self) -> None:
        adapter = self.adapter()
        self.assertEqual(await adapter.reach(self.ann), self.dm)
        self.assertEqual(await adapter.reach("#general"), self.general)
        self.assertEqual(await adapter.reach(self.general), self.general)
        refusal = await self.failure(SendRefused, adapter.reach("#nowhere"))
        self.assertIn("invite it", str(refusal))

    def test_addresses(self) -> None:
        address = self.adapter().address
        self.assertEqual(address("channel:C123ABC"), ("C123ABC", None))
        self.assertEqual(address(" user:U123ABC "), ("U123ABC", None))
        thread = "1700000000.123456"
        self.assertEqual(address(f"slack:C123ABC:{thread}"), ("C123ABC", thread))
        self.assertEqual(address("<@U123ABC>"), ("U123ABC", None))
        self.assertEqual(address("#general"), ("#general", None))
        for wrong in ("", "general", "@ann", "C123ABC:x", "+49123"):
            self.assertRaises(ValueError, address, wrong)


class OutcomeTests(SlackCase):
    """What is known about a message that did not simply arrive."""

    async def test_throttled(self) -> None:
        adapter = self.adapter()
        self.slack.fail("chat.postMessage", Throttle(12))
        later = await self.failure(SendLater, adapter.send(self.target(self.dm), self.part("x")))
        self.assertEqual(later.retry_after, 12)

    async def test_refused(self) -> None:
        adapter = self.adapter()
        work = adapter.send(self.target("C404"), self.part("x"))
        refused = await self.failure(SendRefused, work)
        self.assertIn("Slack says: there is no such conversation", str(refused))

    async def test_a_missing_scope_is_named(self) -> None:
        adapter = self.adapter()
        self.slack.missing_scopes["chat.postMessage"] = "chat:write"
        work = adapter.send(self.target(self.dm), self.part("x"))
        self.assertIn("lacks the scope chat:write", str(await self.failure(SendRefused, work)))

    async def test_nothing_listens(self) -> None:
        adapter = self.adapter()
        await self.slack.vanish()
        await self.failure(SendLater, adapter.send(self.target(self.dm), self.part("x")))
        self.slack.start()
        await adapter.send(self.target(self.dm), self.part("x"))
        self.assertEqual(self.slack.sent(self.dm), ["x"])

    async def test_nobody_knows_until_slack_is_asked(self) -> None:
        adapter = self.adapter()
        target = self.target(self.dm)
        for fault, arrived in (
            (Cut(acted=True), True),
            (Cut(acted=False), False),
            (Broken(503), False),
            (Answer(b"<html>"), True),
            (Answer(b'{"ok": "maybe"}'), True),
            (Refuse("fatal_error"), False),
        ):
            part = self.part(f"text {fault}")
            self.slack.fail("chat.postMessage", fault)
            await self.failure(SendUnknown, adapter.send(target, part))
            found = await adapter.find(target, part)
            self.assertEqual(found is not None, arrived, fault)
            if found is not None:
                self.assertEqual(self.message(self.dm, found)["text"], part.text)

    async def test_one_of_many_is_found_in_a_thread_too(self) -> None:
        adapter = self.adapter()
        self.slack.page_limit = 10
        parent = self.slack.say(self.ann, self.general, "question")
        target = self.target(self.general, parent)
        parts = [self.part(str(number)) for number in range(25)]
        sent = [await adapter.send(target, part) for part in parts]
        self.assertEqual(await adapter.find(target, parts[12]), sent[12])
        self.assertIsNone(await adapter.find(target, self.part("never sent")))

    async def test_what_nobody_can_tell_is_not_said_to_be_missing(self) -> None:
        adapter = self.adapter()
        self.slack.missing_scopes["conversations.history"] = "im:history"
        await self.failure(Unsupported, adapter.find(self.target(self.dm), self.part("x")))
        self.slack.missing_scopes.clear()
        self.slack.page_limit = 1
        for number in range(8):
            self.slack.say(self.ann, self.dm, str(number))
        await self.failure(Unsupported, adapter.find(self.target(self.dm), self.part("x")))

    async def test_a_page_of_somebody_in_between_is_no_refusal(self) -> None:
        adapter = self.adapter()
        self.slack.fail("chat.postMessage", Broken(403))
        await self.failure(SendLater, adapter.send(self.target(self.dm), self.part("x")))

    async def test_looking_can_be_tried_again(self) -> None:
        adapter = self.adapter()
        self.slack.fail("conversations.history", Throttle(3), Cut())
        work = adapter.find(self.target(self.dm), self.part("x"))
        self.assertEqual((await self.failure(SendLater, work)).retry_after, 3)
        work = adapter.find(self.target(self.dm), self.part("x"))
        await self.failure(SendLater, work)

    async def test_a_revoked_token_ends_the_connection_and_keeps_the_message(self) -> None:
        adapter = await self.start()
        self.slack.fail("chat.postMessage", Refuse("token_revoked"))
        await self.failure(SendLater, adapter.send(self.target(self.dm), self.part("x")))
        await self.until(lambda: self.faults)
        self.assertIsInstance(self.faults[0], Fatal)
        self.assertIn("the token was revoked", str(self.faults[0]))

    async def test_the_tokens_show_nowhere(self) -> None:
        adapter = self.adapter()
        faults = (Broken(500), Cut(), Refuse("invalid_auth"), Answer(b"x"))
        self.slack.fail("chat.postMessage", *faults)
        shown = repr(adapter.settings) + repr(adapter) + repr(adapter._bot)
        for _ in faults:
            work = adapter.send(self.target(self.dm), self.part("x"))
            problem = await self.failure(SendError, work)
            shown += f"{problem!r} {problem} {problem.__cause__!r}"
        self.assertNotIn("xoxb-", shown)
        self.assertNotIn("xapp-", shown)

    async def test_a_probe(self) -> None:
        probe = await self.adapter().probe()
        self.assertEqual((probe["bot"]["name"], probe["team"]["name"]), ("clawgw", "Fake"))
        wrong = self.adapter(bot_token="xoxb-wrong")
        self.assertIn("not valid", str(await self.failure(Fatal, wrong.probe())))

    async def test_before_it_is_configured_both_tokens_are_checked(self) -> None:
        self.assertTrue((await self.adapter().check())["ok"])
        wrong = self.adapter(app_token="xapp-wrong")
        self.assertIn("appToken:", str(await self.failure(Fatal, wrong.check())))
        self.assertEqual(self.slack.sockets.most_open, 0)


class FileTests(SlackCase):
    def setUp(self) -> None:
        super().setUp()
        directory = Path(self.mktemp())
        directory.mkdir()
        self.path = directory / "a.png"
        self.path.write_bytes(b"picture" * 1000)
        self.media = OutMedia(
            path=str(self.path), kind="image", mime_type="image/png", name="a.png"
        )

    async def test_a_file_with_its_caption(self) -> None:
        adapter = self.adapter()
        parent = self.slack.say(self.ann, self.general, "picture?")
        part = self.part("here", media=self.media)
        file = await adapter.send(self.target(self.general, parent), part)
        ((channel, message),) = self.slack.posted
        self.assertEqual((channel, message["text"]), (self.general, "here"))
        self.assertEqual(message["thread_ts"], parent)
        self.assertEqual(message["files"][0]["id"], file)
        self.assertEqual(self.slack.workspace.files[file].content, b"picture" * 1000)
        self.assertEqual(self.host.stored, {})

    async def test_a_file_that_is_refused_leaves_nothing_behind(self) -> None:
        adapter = self.adapter()
        self.slack.fail("files.completeUploadExternal", Refuse("channel_not_found"))
        work = adapter.send(self.target(self.general), self.part("here", media=self.media))
        await self.failure(SendRefused, work)
        self.assertEqual(self.host.stored, {})

    async def test_what_fails_before_the_last_step_was_seen_by_nobody(self) -> None:
        adapter = self.adapter()
        for method, fault in (
            ("files.getUploadURLExternal", Cut(acted=True)),
            ("files.getUploadURLExternal", Throttle(2)),
            ("upload", Cut()),
            ("upload", Broken(500)),
        ):
            self.slack.fail(method, fault)
            part = self.part(media=self.media)
            await self.failure(SendLater, adapter.send(self.target(self.dm), part))
        self.assertEqual(self.slack.posted, [])

    async def test_the_file_itself_tells_whether_it_was_shared(self) -> None:
        adapter = self.adapter()
        target = self.target(self.dm)
        for acted in (True, False):
            part = self.part(f"acted {acted}", media=self.media)
            self.slack.fail("files.completeUploadExternal", Cut(acted=acted))
            await self.failure(SendUnknown, adapter.send(target, part))
            self.assertEqual(await adapter.find(target, part) is not None, acted)
        self.assertIsNone(await adapter.find(target, self.part(media=self.media)))

    async def test_a_file_that_is_not_there_is_refused(self) -> None:
        adapter = self.adapter()
        self.path.unlink()
        part = self.part(media=self.media)
        refused = await self.failure(SendRefused, adapter.send(self.target(self.dm), part))
        self.assertIn("cannot be read", str(refused))

    async def test_fetching_refuses_what_is_too_large_elsewhere_or_not_ours(self) -> None:
        adapter = self.adapter()
        target = self.path.with_name("in")
        file = self.slack.workspace.file("b.txt", b"x" * 2000)
        there = {"id": file.id, "url": self.slack.file_object(file)["url_private_download"]}
        big = Media(kind="file", mime_type="text/plain", ref=there)
        await self.failure(SendRefused, adapter.fetch(big, target, 1000))
        foreign = Media(kind="file", ref={"id": "F1", "url": "https://evil.example/slack.com/x"})
        await self.failure(SendRefused, adapter.fetch(foreign, target, 1000))
        self.slack.bot_token = "xoxb-another"
        locked = await self.failure(SendRefused, adapter.fetch(big, target, 10_000))
        self.assertIn("files:read", str(locked))
        self.assertFalse(target.exists())

    async def test_fetching_can_be_tried_again(self) -> None:
        adapter = self.adapter()
        target = self.path.with_name("in")
        file = self.slack.workspace.file("b.txt", b"text")
        media = Media(kind="file", mime_type="text/plain", ref={"id": file.id})
        self.slack.fail("download", Broken(502), Broken(503))
        for _ in range(2):
            await self.failure(SendLater, adapter.fetch(media, target, 1000))
        fetched = await adapter.fetch(media, target, 1000)
        self.assertEqual(Path(fetched.path).read_bytes(), b"text")
