"""What people write in Slack, as it arrives at the Gateway."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from clawgw.channels.adapter import Fatal, Fault
from clawgw.channels.messages import Inbound
from clawgw.channels.slack import intake, socketmode
from clawgw.channels.slack.events import message_of
from clawgw.store.database import StoreError
from tests.channels.slack.faults import Broken, Refuse, Throttle
from tests.channels.slack.support import SlackCase
from tests.channels.slack.workspace import BOT_ID, BOT_USER


class MessageTests(SlackCase):
    async def received(self, count: int = 1) -> list[Inbound]:
        await self.until(lambda: len(self.host.messages) >= count)
        return list(self.host.messages.values())

    async def test_a_direct_message(self) -> None:
        await self.start()
        ts = self.slack.say(self.ann, self.dm, "hi &amp; &lt;b&gt;")
        (message,) = await self.received()
        self.assertEqual(message.message_id, f"{self.dm}:{ts}")
        self.assertEqual(message.text, "hi & <b>")
        self.assertEqual((message.chat.id, message.chat.kind), (self.dm, "direct"))
        self.assertEqual(message.sender.id, self.ann)
        self.assertEqual((message.sender.names, message.sender.name), (("@ann",), "ann"))
        self.assertEqual(message.sent_at, int(float(ts) * 1000))
        self.assertEqual(message.reply_id, ts)

    async def test_a_mention_is_one_message_though_slack_tells_it_twice(self) -> None:
        await self.start()
        self.slack.say(self.ann, self.general, f"<@{BOT_USER}> what is <@{self.ann}> up to?")
        await self.until(lambda: len(self.slack.sockets.acks) == 2)
        (message,) = self.host.messages.values()
        self.assertEqual(message.text, "what is @ann up to?")
        self.assertTrue(message.mentioned)
        self.assertEqual(message.chat.kind, "channel")
        self.assertEqual(message.chat.title, "#general")
        self.assertIn("#general", message.chat.parents)

    async def test_talk_without_a_mention_is_told_as_such(self) -> None:
        await self.start()
        self.slack.say(self.ann, self.general, "lunch?")
        (message,) = await self.received()
        self.assertFalse(message.mentioned)

    async def test_a_reply_in_a_thread_of_the_bot_addresses_it(self) -> None:
        adapter = await self.start()
        ts = await adapter.send(self.target(self.general), self.part("done"))
        self.slack.say(self.ann, self.general, "thanks", thread_ts=ts)
        (message,) = await self.received()
        self.assertTrue(message.mentioned)
        self.assertEqual((message.chat.thread, message.reply_id), (ts, ts))

    async def test_group_talk_of_all_kinds(self) -> None:
        bob = self.slack.workspace.person("U0BOB", "bob")
        private = self.slack.workspace.channel("secret", self.ann, kind="group")
        several = self.slack.workspace.direct(self.ann, bob)
        await self.start()
        self.slack.say(self.ann, private, "one")
        self.slack.say(self.ann, several, "two")
        one, two = await self.received(2)
        self.assertEqual((one.chat.kind, one.chat.title), ("channel", "#secret"))
        self.assertEqual(two.chat.kind, "group")
        self.assertIn("mpim", two.chat.parents)

    async def test_an_edit_is_another_version_and_a_preview_is_none(self) -> None:
        await self.start()
        ts = self.slack.say(self.ann, self.dm, "helo")
        self.slack.edit(self.dm, ts, "helo")  # a preview: the text stays
        self.slack.edit(self.dm, ts, "hello")
        first, second = await self.received(2)
        self.assertEqual((first.kind, second.kind), ("message", "edit"))
        self.assertEqual(second.text, "hello")
        self.assertTrue(second.message_id.startswith(f"{first.message_id}:edit:"))

    async def test_a_message_that_cannot_be_read_leaves_a_note_and_holds_nothing_up(self) -> None:
        def picky(picked: Any, *rest: Any) -> Inbound:
            if picked.raw.get("text") == "poison":
                raise TypeError("nobody thought of that")
            return message_of(picked, *rest)

        self.patch(intake, "message_of", picky)
        await self.start()
        self.slack.say(self.ann, self.dm, "poison")
        self.slack.say(self.ann, self.dm, "odd", subtype={"a": 1})
        self.slack.say(self.ann, self.dm, "still here")
        await self.received(3)
        note = "[a message of a form that is not known here]"
        self.assertEqual(self.host.texts, [note, "odd", "still here"])
        await self.until(lambda: not self.slack.sockets.pending)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    async def test_own_and_other_bots_messages_are_not_handed_over(self) -> None:
        adapter = await self.start()
        await adapter.send(self.target(self.dm), self.part("mine"))
        self.slack.say(BOT_USER, self.general, "mine too", bot_id=BOT_ID)
        self.slack.say("U0OTHER", self.general, "beep", bot_id="B0OTHER", subtype="bot_message")
        self.slack.say(self.ann, self.dm, "the end")
        await self.received()
        self.assertEqual(self.host.texts, ["the end"])

    async def test_other_bots_are_heard_where_that_is_allowed(self) -> None:
        await self.start(allow_bots=True)
        self.slack.say("", self.general, "beep", bot_id="B0OTHER", subtype="bot_message",
            username="Robot")  # fmt: skip
        (message,) = await self.received()
        self.assertEqual((message.sender.id, message.sender.name), ("B0OTHER", "Robot"))

    async def test_files_come_with_what_is_needed_to_fetch_them(self) -> None:
        adapter = await self.start()
        file = self.slack.workspace.file("a.png", b"picture", "image/png")
        self.slack.share(self.ann, self.dm, file, "look")
        (message,) = await self.received()
        (media,) = message.media
        self.assertEqual((media.kind, media.name, media.size), ("image", "a.png", 7))
        path = self.host.directory / "a.png"
        path.parent.mkdir()
        fetched = await adapter.fetch(media, path, 100)
        self.assertEqual(path.read_bytes(), b"picture")
        self.assertEqual((fetched.path, fetched.size), (str(path), 7))

    async def test_what_is_no_message_becomes_a_note(self) -> None:
        await self.start()
        self.slack.say(self.ann, self.general, f"<@{self.ann}> has joined", subtype="channel_join")
        self.slack.say(self.ann, self.dm, "", attachments=[
            {"is_share": True, "author_name": "Bob", "text": "the plan"}])  # fmt: skip
        external = {
            "id": "F1",
            "mode": "external",
            "title": "Doc",
            "url_private": "https://x.org/d",
        }
        self.slack.say(self.ann, self.dm, "see", files=[external])
        joined, shared, linked = await self.received(3)
        self.assertEqual((joined.kind, joined.text), ("notice", "[@ann has joined]"))
        self.assertEqual(shared.text, "[shared message of Bob: the plan]")
        self.assertEqual(linked.text, "see\n[file Doc: https://x.org/d]")
        self.assertEqual(linked.media, ())

    async def test_reactions_to_our_messages_are_noticed(self) -> None:
        adapter = await self.start()
        ts = await adapter.send(self.target(self.dm), self.part("done"))
        event = {"type": "reaction_added", "user": self.ann, "reaction": "tada",
            "item": {"type": "message", "channel": self.dm, "ts": ts}, "event_ts": ts}  # fmt: skip
        self.slack.event({**event, "item_user": self.ann, "reaction": "eyes"})
        self.slack.event({**event, "item_user": BOT_USER})
        (message,) = await self.received()
        self.assertEqual(message.kind, "notice")
        self.assertEqual(message.text, "[reacted with :tada: to a message]")

    async def test_a_slash_command_is_answered_in_the_direct_conversation(self) -> None:
        await self.start()
        self.slack.slash(self.ann, self.general, "/openclaw", "what &amp; why")
        (first,) = await self.received()
        self.slack.slash(self.ann, "C0ELSEWHERE", "/new", "")
        await self.until(lambda: len(self.slack.sockets.acks) == 2)
        self.assertEqual(first.text, "what & why")
        self.assertEqual((first.chat.id, first.chat.kind), (self.dm, "direct"))
        self.assertTrue(first.mentioned)

    async def test_a_pressed_button_is_answered_to_the_one_who_pressed(self) -> None:
        await self.start()
        ts = self.slack.say(self.ann, self.dm, "x")
        self.slack.click(self.ann, self.dm, ts, {"action_id": "clawgw:0:0", "value": "allow-once"})
        await self.until(lambda: self.slack.whispers)
        (press,) = self.host.presses
        self.assertEqual((press.data, press.message_id), ("allow-once", ts))
        self.assertEqual((press.sender.id, press.chat.id), (self.ann, self.dm))
        self.assertEqual(self.slack.whispers, [(self.dm, self.ann, "Allowed once.")])

    async def test_a_press_that_fails_is_answered_too(self) -> None:
        self.host.press_fails = RuntimeError("a bug")
        await self.start()
        ts = self.slack.say(self.ann, self.dm, "x")
        self.slack.click(self.ann, self.dm, ts, {"action_id": "clawgw:0:0", "value": "allow-once"})
        await self.until(lambda: self.slack.whispers)
        ((_, _, told),) = self.slack.whispers
        self.assertIn("try again", told)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class TroubleTests(SlackCase):
    async def test_the_unknown_and_the_malformed_are_passed_over(self) -> None:
        await self.start()
        socket = self.slack.sockets.open[0]
        for garbage in ("{", "[]", "null", '{"type": 7}', '{"envelope_id": 5}', '"x"', ""):
            socket.say_text(garbage)
        self.slack.sockets.send("holograms", {"new": True})
        for event in (
            {"type": "never_heard_of"},
            {"type": "message"},
            {"type": "message", "channel": 7, "ts": []},
            {"type": "message", "channel": "C1", "ts": "now", "files": "no", "text": 3},
            {"type": "message", "channel": "C1", "subtype": "message_changed", "message": "x"},
            {"type": "reaction_added", "item": {"type": "file"}},
        ):
            self.slack.event(event)
        self.slack.say(self.ann, self.dm, "still here", files=["x", {"size": "big"}], blocks=4)
        await self.until(lambda: self.host.messages)
        await self.until(lambda: not self.slack.sockets.pending)
        self.assertEqual(self.host.texts, ["still here"])
        self.assertEqual(self.faults, [])

    async def test_a_huge_message_is_taken_whole(self) -> None:
        await self.start()
        self.slack.say(self.ann, self.dm, "x" * 3_000_000)
        await self.until(lambda: self.host.messages)
        self.assertEqual(len(self.host.texts[0]), 3_000_000)

    async def test_nothing_is_acknowledged_before_it_is_stored(self) -> None:
        asked: list[bool] = []
        stored: Deferred[None] = Deferred()
        self.host.before_storing = lambda: asked.append(True) or stored
        self.slack.sockets.ack_timeout = 0.05
        self.slack.sockets.retry_pauses = (0.01,) * 50
        await self.start()
        self.slack.say(self.ann, self.dm, "careful")
        (delivery,) = self.slack.sockets.deliveries
        await self.until(lambda: asked and delivery.attempts >= 3)
        self.assertEqual(self.slack.sockets.acks, [])
        self.host.before_storing = None
        stored.callback(None)
        await self.until(lambda: delivery.acknowledged)
        self.assertEqual(self.host.texts, ["careful"])

    async def test_a_store_that_fails_ends_the_connection_without_an_acknowledgement(self) -> None:
        await self.start()
        self.host.broken = True
        self.slack.say(self.ann, self.dm, "lost?")
        await self.until(lambda: self.faults)
        self.assertIsInstance(self.faults[0], StoreError)
        self.assertEqual(self.slack.sockets.acks, [])
        await self.until(lambda: not self.slack.sockets.open)

    async def test_doubled_deliveries_are_one_message(self) -> None:
        await self.start()
        self.slack.sockets.copies = 2
        for number in range(20):
            self.slack.say(self.ann, self.dm, str(number))
        await self.until(lambda: len(self.slack.sockets.acks) == 40)
        self.assertEqual(self.host.texts, [str(number) for number in range(20)])

    async def test_a_thousand_messages_come_in_batches_and_in_order(self) -> None:
        await self.start()
        self.host.before_storing = lambda: deferLater(reactor, 0.002, lambda: None)
        self.slack.sockets.hold = True
        for number in range(1000):
            self.slack.say(self.ann, self.dm, str(number))
        self.slack.sockets.release()
        await self.until(lambda: len(self.slack.sockets.acks) >= 1000)
        self.assertEqual(self.host.texts, [str(number) for number in range(1000)])
        self.assertLess(len(self.host.batches), 200)

    async def test_names_that_cannot_be_had_hold_nothing_up(self) -> None:
        self.slack.fail("users.info", Throttle(30), Broken())
        self.slack.fail("conversations.info", Refuse("missing_scope"))
        await self.start()
        self.slack.say(self.ann, self.general, f"<@{BOT_USER}> hi")
        await self.until(lambda: self.host.messages)
        (message,) = self.host.messages.values()
        self.assertEqual((message.sender.id, message.sender.name), (self.ann, ""))
        self.assertEqual((message.chat.kind, message.chat.title), ("channel", ""))


class ConnectionTests(SlackCase):
    async def test_a_refresh_overlaps_two_sockets_and_loses_nothing(self) -> None:
        await self.start()
        old = self.slack.sockets.open[0]
        self.slack.say(self.ann, self.dm, "before")
        old.disconnect("warning", close_after=None)
        await self.until(lambda: len(self.slack.sockets.open) == 2)
        for number in range(10):
            self.slack.say(self.ann, self.dm, str(number))
        await self.until(lambda: len(self.host.messages) == 11)
        old.disconnect("refresh_requested", close_after=0.01)
        await self.until(lambda: self.slack.sockets.open and old not in self.slack.sockets.open)
        self.slack.say(self.ann, self.dm, "after")
        await self.until(lambda: len(self.host.messages) == 12)
        self.assertEqual(self.slack.sockets.most_open, 2)
        self.assertEqual(len(self.host.details), 1)
        self.assertEqual(self.slack.sockets.lost, [])
        self.assertEqual(self.faults, [])

    async def test_the_old_socket_is_kept_while_no_new_one_can_be_had(self) -> None:
        self.slack.fail("apps.connections.open")
        await self.start()
        self.slack.fail("apps.connections.open", Throttle(1), Broken())
        self.slack.sockets.open[0].disconnect("warning", close_after=None)
        self.slack.say(self.ann, self.dm, "meanwhile")
        await self.until(lambda: self.host.messages)
        await self.until(lambda: len(self.slack.sockets.open) == 2)
        self.assertEqual(self.faults, [])

    async def test_a_cut_is_a_fault_to_connect_again_after(self) -> None:
        await self.start()
        self.slack.sockets.open[0].cut()
        await self.until(lambda: self.faults)
        self.assertIsInstance(self.faults[0], Fault)
        self.assertNotIsInstance(self.faults[0], Fatal)

    async def test_socket_mode_switched_off_is_said_so(self) -> None:
        await self.start()
        self.slack.sockets.open[0].disconnect("link_disabled", close_after=0.01)
        await self.until(lambda: self.faults)
        self.assertIsInstance(self.faults[0], Fatal)
        self.assertIn("Socket Mode is switched off", str(self.faults[0]))

    async def test_a_goodbye_instead_of_a_greeting_says_why(self) -> None:
        for reason, kind, words in (
            ("link_disabled", Fatal, "Socket Mode is switched off"),
            ("too_many_websockets", Fault, "too many connections"),
            ("refresh_requested", Fault, "refresh_requested"),
        ):
            self.slack.sockets.goodbye = reason
            await self.start()
            self.assertIs(type(self.faults[-1]), kind)
            self.assertIn(words, str(self.faults[-1]))
            await self.until(lambda: not self.slack.sockets.open)

    async def test_too_many_connections_are_not_made_more(self) -> None:
        await self.start()
        self.slack.sockets.open[0].disconnect("too_many_websockets", close_after=None)
        await self.until(lambda: self.faults)
        self.assertIn("too many connections", str(self.faults[0]))
        self.assertEqual(len(self.slack.called("apps.connections.open")), 1)

    async def test_a_socket_that_is_not_greeted_is_a_fault(self) -> None:
        self.patch(socketmode, "HELLO_SECONDS", 0.1)
        self.slack.sockets.hello = False
        await self.start()
        self.assertIn("did not greet", str(self.faults[0]))
        await self.until(lambda: not self.slack.sockets.open)

    async def test_a_silent_connection_is_given_up(self) -> None:
        self.patch(socketmode, "PING_SECONDS", 1.0)
        await self.start()
        self.slack.sockets.open[0].freeze()
        await self.until(lambda: self.faults)
        self.assertIn("silent for too long", str(self.faults[0]))

    async def test_a_slack_that_ends_every_connection_is_not_asked_for_ever(self) -> None:
        self.patch(socketmode, "OPENINGS_SECONDS", 60.0)
        await self.start()
        seen = set()
        while not self.faults:
            for socket in self.slack.sockets.open:
                if socket not in seen:
                    seen.add(socket)
                    socket.disconnect("refresh_requested", close_after=0.02)
            await self.until(lambda: self.faults or set(self.slack.sockets.open) - seen)
        self.assertIn("ends every connection", str(self.faults[0]))
        self.assertLessEqual(len(self.slack.called("apps.connections.open")), 6)

    async def test_another_program_with_the_same_token_is_said(self) -> None:
        other = self.adapter()
        running = Deferred.fromCoroutine(other.run()).addErrback(lambda _: None)
        await self.until(lambda: self.slack.sockets.open)
        await self.until(lambda: self.host.details)
        self.assertEqual(self.host.warnings, [])
        await self.start()
        await self.until(lambda: self.host.warnings)
        self.assertIn("1 other connection(s)", self.host.warnings[0])
        running.cancel()
        await running

    async def test_wrong_tokens_are_one_clear_line_each(self) -> None:
        await self.start(bot_token="xoxb-wrong")
        await self.start(app_token="xapp-wrong")
        bot, app = self.faults
        self.assertIsInstance(bot, Fatal)
        self.assertIsInstance(app, Fatal)
        self.assertTrue(str(bot).startswith("botToken: Slack says: the token is not valid"))
        self.assertTrue(str(app).startswith("appToken: Slack says: the token is not valid"))
        self.assertNotIn("wrong", f"{bot}{app}")

    async def test_a_page_of_somebody_in_between_says_nothing_of_the_tokens(self) -> None:
        self.slack.fail("auth.test", Broken(403))
        await self.start()
        self.slack.fail("apps.connections.open", Broken(404))
        await self.start()
        for problem in self.faults:
            self.assertIsInstance(problem, Fault)
            self.assertNotIsInstance(problem, Fatal)
        self.assertEqual(len(self.faults), 2)

    async def test_exchanged_and_missing_tokens_are_noticed_before_slack_is_asked(self) -> None:
        await self.start(bot_token=self.slack.app_token)
        await self.start(bot_token=None)
        self.assertIn("botToken begins with xoxb-", str(self.faults[0]))
        self.assertIn("SLACK_BOT_TOKEN", str(self.faults[1]))
        self.assertEqual(self.slack.calls, [])

    async def test_tokens_may_come_from_the_environment(self) -> None:
        self.host.environ = {
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_APP_TOKEN": self.slack.app_token,
        }
        await self.start(bot_token=None, app_token=None)
        self.assertEqual(self.faults, [])
        self.assertEqual(self.host.details[0]["id"], BOT_USER)

    async def test_a_throttled_start_says_how_long_to_wait(self) -> None:
        self.slack.fail("auth.test", Throttle(17))
        await self.start()
        fault: Any = self.faults[0]
        self.assertEqual(fault.retry_after, 17)

    async def test_stopping_leaves_no_socket(self) -> None:
        await self.start()
        await self.stop()
        await self.until(lambda: not self.slack.sockets.open)
        self.assertEqual(self.faults, [])

    async def test_stopping_in_the_middle_of_a_refresh_leaves_no_socket_either(self) -> None:
        await self.start()
        self.slack.sockets.open[0].disconnect("warning", close_after=None)
        await self.until(lambda: len(self.slack.sockets.open) == 2)
        await self.stop()
        await self.until(lambda: not self.slack.sockets.open)
