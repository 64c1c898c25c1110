"""What people write at Discord reaches the inbox: once, in order, whatever is cut."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import formatEvent, globalLogPublisher

from clawgw.channels.discord import conversation, events, feed
from clawgw.channels.discord.objects import milliseconds
from clawgw.channels.discord.provider import PROVIDER
from clawgw.store.channels import cursor
from tests.channels.discord.rest import CREATE_MESSAGE, Fault
from tests.channels.discord.support import DiscordCase
from tests.channels.discord.world import Channel

HISTORY = "GET /channels/{channel_id}/messages"


class MessageTests(DiscordCase):
    async def test_a_direct_message(self) -> None:
        account = await self.running()
        message_id = self.fake.say(self.alice, text="hello")
        await self.routed_texts(1)
        message = self.routed[0]
        self.assertEqual(message.message_id, message_id)
        self.assertEqual(message.text, "hello")
        self.assertEqual(message.chat.kind, "direct")
        self.assertEqual(message.chat.id, self.world.dm(self.alice).id)
        self.assertEqual((message.sender.id, message.sender.name), (self.alice.id, "Alice"))
        self.assertIn("@alice", message.sender.names)
        self.assertTrue(message.mentioned)
        self.assertEqual(account.status.details["name"], "clawbot")

    async def test_the_address_may_name_the_version(self) -> None:
        await self.running(apiRoot=f"{self.fake.api_root}/v10/")
        self.fake.say(self.alice, text="hello")
        self.assertEqual(await self.routed_texts(1), ["hello"])

    async def test_a_channel_and_its_thread_are_places_of_their_own(self) -> None:
        await self.running()
        self.fake.say(self.alice, self.general, f"<@{self.world.bot.id}> hello")
        self.fake.say(self.alice, self.thread, "not to the bot")
        await self.routed_texts(2)
        general, thread = self.routed
        self.assertEqual((general.text, general.mentioned), ("hello", True))
        self.assertEqual(general.chat.kind, "channel")
        self.assertEqual(general.chat.id, self.general.id)
        self.assertEqual(general.chat.title, "home #general")
        self.assertEqual(thread.chat.id, self.thread.id)
        self.assertFalse(thread.mentioned)
        self.assertIn(self.general.id, thread.chat.parents)
        self.assertIn(self.guild.id, thread.chat.parents)

    async def test_the_bots_role_and_a_reply_to_it_are_mentions(self) -> None:
        account = await self.running()
        role = self.guild.bot_role["id"]
        self.fake.say(self.alice, self.general, f"<@&{role}> one")
        delivery = await self.deliver(account, self.general.id, "said before")
        self.fake.say(self.alice, self.general, "two", reply_to=delivery.ids[0])
        await self.routed_texts(2)
        self.assertEqual([m.mentioned for m in self.routed], [True, True])
        self.assertEqual(self.routed[0].text, "one")
        quoted = self.routed[1].quoted
        assert quoted is not None
        self.assertEqual((quoted.message_id, quoted.text), (delivery.ids[0], "said before"))

    async def test_what_has_no_text_becomes_a_note(self) -> None:
        await self.running()
        dm = self.world.dm(self.alice)
        poll = {
            "question": {"text": "Lunch?"},
            "answers": [{"poll_media": {"text": "pizza"}}, {"poll_media": {"text": "pasta"}}],
        }
        self.fake.say(self.alice, dm, poll=poll)
        self.fake.say(self.alice, dm, sticker_items=[{"id": "1", "name": "wave"}])
        self.fake.say(self.alice, dm, type=99)
        forward = {"type": 1, "message_id": "5"}
        snapshots = [{"message": {"content": "from elsewhere"}}]
        self.fake.say(self.alice, dm, message_reference=forward, message_snapshots=snapshots)
        self.assertEqual(
            await self.routed_texts(4),
            [
                "[poll: Lunch? (pizza, pasta)]",
                "[sticker: wave]",
                "[a message of Discord's own, type 99]",
                "[forwarded: from elsewhere]",
            ],
        )

    async def test_names_stand_for_mentions_and_emoji(self) -> None:
        await self.running()
        bob = self.world.user("bob")
        text = f"hi <@{bob.id}> in <#{self.general.id}> <:party:123> </ask:9>"
        self.fake.say(self.alice, text=text)
        self.assertEqual(await self.routed_texts(1), ["hi @bob in #general :party: /ask"])

    async def test_bots_are_not_heard_unless_wanted(self) -> None:
        account = await self.running()
        robot = self.world.user("robot", bot=True)
        self.fake.say(robot, self.general, "beep")
        await self.deliver(account, self.general.id, "our own")
        self.fake.say(self.alice, self.general, "person")
        self.assertEqual(await self.routed_texts(1), ["person"])
        await self.stop(account)
        await self.running(allowBots=True)
        self.fake.say(robot, self.general, "boop")
        self.assertEqual(await self.routed_texts(2), ["person", "boop"])

    async def test_an_edit_is_news_and_a_preview_is_not(self) -> None:
        await self.running()
        message_id = self.fake.say(self.alice, text="tpyo")
        dm = self.world.dm(self.alice)
        message = self.world.find(dm, message_id)
        assert message is not None
        self.world.announce("MESSAGE_UPDATE", dm, message)  # Discord found a picture for a link
        self.fake.change(dm, message_id, "typo")
        self.assertEqual(await self.routed_texts(2), ["tpyo", "typo"])
        self.assertEqual(self.routed[1].kind, "edit")
        self.assertEqual(self.routed[1].reply_id, message_id)

    async def test_a_reaction_to_the_bot_is_a_notice(self) -> None:
        account = await self.running()
        delivery = await self.deliver(account, self.general.id, "done")
        other = self.fake.say(self.alice, self.general, "mine")
        self.fake.react(self.alice, self.general, other, "👎")
        self.fake.react(self.alice, self.general, delivery.ids[0], "👍")
        await self.routed_texts(2)
        self.assertEqual(self.routed[1].kind, "notice")
        self.assertIn("👍", self.routed[1].text)

    async def test_a_file_is_fetched_without_the_token_and_after_its_link_expired(self) -> None:
        account = await self.running()
        self.fake.say(self.alice, text="look", files=(("a.png", "image/png", b"PNG" * 1000),))
        await self.routed_texts(1)
        media = self.routed[0].media[0]
        self.assertEqual((media.kind, media.name, media.size), ("image", "a.png", 3000))
        self.world.expire_links()
        path = self.directory / "a.png"
        fetched = await account.adapter.fetch(media, path, 10_000)
        self.assertEqual(path.read_bytes(), b"PNG" * 1000)
        self.assertEqual(fetched.size, 3000)

    async def test_rubbish_is_skipped(self) -> None:
        await self.running()
        session = next(iter(self.world.sessions.values()))
        session.dispatch("MESSAGE_CREATE", {"id": 5})
        session.dispatch("MESSAGE_CREATE", None)
        session.dispatch("SOMETHING_NEW", {"deep": [[[[]]]]})
        dm = self.world.dm(self.alice)
        broken = {"id": self.world.snowflake(), "channel_id": dm.id, "author": self.alice.json()}
        session.dispatch("MESSAGE_CREATE", {**broken, "attachments": "many"})
        self.fake.gateway.send_raw(b"{no json")
        self.fake.gateway.send_raw(b'{"op": 77, "d": {}}')
        self.fake.say(self.alice, text="x" * 60_000)
        texts = await self.routed_texts(2)
        self.assertEqual(texts[0], "[a message of a form that is not known here]")
        self.assertEqual(texts[1], "x" * 60_000)


class ConnectionTests(DiscordCase):
    async def test_what_was_missed_is_replayed_at_the_resume_address(self) -> None:
        account = await self.running()
        self.fake.say(self.alice, text="one")
        await self.routed_texts(1)
        self.fake.gateway.cut()
        for text in ("two", "three"):
            self.fake.say(self.alice, text=text)
        self.assertEqual(await self.routed_texts(3), ["one", "two", "three"])
        await self.until(lambda: account.status.connected)
        self.assertEqual(self.fake.gateway.identifies, 1)
        kind, path, query, _ = self.fake.gateway.handshakes[-1]
        self.assertEqual((kind, path), ("resume", "/resume"))
        wanted = {"v": "10", "encoding": "json", "compress": "zlib-stream"}
        self.assertEqual(query, wanted)

    async def test_a_restart_resumes_and_loses_nothing(self) -> None:
        account = await self.running()
        self.fake.say(self.alice, text="one")
        await self.routed_texts(1)
        await self.stop(account)
        self.fake.say(self.alice, text="two")
        self.fake.say(self.alice, self.thread, f"<@{self.world.bot.id}> three")
        await self.running()
        self.assertEqual(await self.routed_texts(3), ["one", "two", "three"])
        self.assertEqual(self.fake.gateway.identifies, 1)
        # Places are asked for, since a resumed session does not tell of them.
        self.assertIn(self.general.id, self.routed[2].chat.parents)
        self.assertEqual(self.routed[2].chat.title, "home #general › plans")

    async def test_a_resume_address_that_does_not_answer_is_not_insisted_on(self) -> None:
        self.fake.gateway.resume_url = "ws://127.0.0.1:1"
        account = await self.running()
        self.fake.gateway.cut()
        await self.until(lambda: not account.status.connected)
        self.fake.say(self.alice, text="missed")
        self.assertEqual(await self.routed_texts(1), ["missed"])
        kind, path, _, _ = self.fake.gateway.handshakes[-1]
        self.assertEqual((kind, path), ("resume", "/"))

    async def test_a_backlog_is_no_dead_line(self) -> None:
        self.patch(feed, "FULL", 20)
        self.patch(feed, "EMPTY", 5)
        self.fake.gateway.heartbeat_ms = 1000
        account = await self.running()
        stored = account.received
        slow: Deferred[None] = Deferred()

        async def received(*args: Any) -> None:
            if not slow.called:
                await slow
            await stored(*args)

        self.patch(account, "received", received)
        for number in range(300):
            self.fake.say(self.alice, text=f"m{number}")
        beats = len(self.fake.gateway.heartbeats)
        await self.until(lambda: len(self.fake.gateway.heartbeats) >= beats + 4)
        slow.callback(None)
        await self.routed_texts(300)
        self.assertEqual([m.text for m in self.routed], [f"m{n}" for n in range(300)])
        self.assertEqual(len(self.fake.gateway.handshakes), 1)

    async def test_a_channel_that_is_no_longer_ours_does_not_stop_the_catching_up(self) -> None:
        account = await self.running()
        bob = self.world.user("bob")
        self.fake.say(bob, text="one")
        self.fake.say(self.alice, text="two")
        await self.routed_texts(2)
        await self.stop(account)
        self.fake.gateway.forget()
        self.world.dm(bob).readable = False
        self.fake.say(self.alice, text="three")
        await self.running()
        self.assertEqual(await self.routed_texts(3), ["one", "two", "three"])

    async def test_when_the_session_is_lost_the_history_is_read(self) -> None:
        account = await self.running()
        self.fake.say(self.alice, text="one")
        self.fake.say(self.alice, self.general, "two")
        await self.routed_texts(2)
        await self.stop(account)
        self.fake.gateway.forget()
        for number in range(230):
            self.fake.say(self.alice, text=f"dm {number}")
        self.fake.say(self.alice, self.thread, "in the thread")
        await self.running(groupPolicy="open")
        await self.routed_texts(233)
        texts = [message.text for message in self.routed[2:]]
        self.assertEqual(texts, [*[f"dm {n}" for n in range(230)], "in the thread"])
        self.assertEqual(self.routed[-1].chat.kind, "channel")
        self.assertEqual(self.routed[2].chat.kind, "direct")
        self.assertEqual(self.fake.gateway.identifies, 2)

    async def test_history_is_read_only_where_somebody_is_listened_to_and_something_is_new(
        self,
    ) -> None:
        heard = self.world.channel(self.guild, "heard")
        quiet = self.world.channel(self.guild, "quiet")
        self.world.channel(self.guild, "empty")
        other = self.world.guild("other")
        there = self.world.channel(other, "there")
        guilds = {"home": {"channels": {"heard": {}, "quiet": {}, "empty": {}}}}
        account = await self.running(guilds=guilds)
        last = milliseconds(self.fake.say(self.alice, quiet, "long ago"))
        await self.routed_texts(1)
        self.patch(events, "SLACK_MS", -1)  # what was last stored is not asked for again
        await self.until(lambda: milliseconds(self.world.snowflake()) > last + 1)
        await self.stop(account)
        self.fake.gateway.forget()
        for channel in (self.general, self.thread, there, heard):
            self.fake.say(self.alice, channel, f"in {channel.name}")
        await self.running(guilds=guilds)
        self.assertEqual(await self.routed_texts(2), ["long ago", "in heard"])
        self.fake.say(self.alice, text="the end")
        await self.routed_texts(3)
        asked = [request.path for request in self.fake.rest.of(HISTORY)]
        self.assertEqual(asked, [f"/api/v10/channels/{heard.id}/messages"])

    async def test_nobody_is_listened_to_directly_and_nothing_is_asked_for(self) -> None:
        account = await self.running()
        self.fake.say(self.alice, text="one")
        await self.routed_texts(1)
        await self.stop(account)
        self.fake.gateway.forget()
        self.fake.say(self.alice, text="two")
        await self.running(dm={"enabled": False})
        self.fake.say(self.alice, text="three")
        self.assertEqual(await self.routed_texts(2), ["one", "three"])
        self.assertEqual(self.fake.rest.of(HISTORY), [])

    async def test_a_history_that_makes_no_headway_or_is_none_ends(self) -> None:
        self.patch(events, "PAGE", 1)
        account = await self.running()
        self.fake.say(self.alice, text="one")
        await self.routed_texts(1)
        await self.stop(account)
        self.fake.gateway.forget()
        missed = self.fake.say(self.alice, text="two")
        dm = self.world.dm(self.alice)
        found = self.world.find(dm, missed)
        page = msgspec.json.encode([found])
        nothing = Fault(status=200, body=b"7")
        self.fake.rest.fail(HISTORY, nothing, *[Fault(status=200, body=page)] * 5)
        await self.running()
        self.assertEqual(await self.routed_texts(2), ["one", "two"])
        self.fake.say(self.alice, text="three")
        await self.routed_texts(3)
        self.assertEqual(len(self.fake.rest.of(HISTORY)), 3)

    async def test_servers_that_come_after_another_cut_are_caught_up_with_too(self) -> None:
        other = self.world.guild("other")
        there = self.world.channel(other, "there")
        account = await self.running()
        self.fake.say(self.alice, text="one")
        await self.routed_texts(1)
        await self.stop(account)
        self.fake.gateway.forget()
        self.fake.say(self.alice, self.general, "here")
        self.fake.say(self.alice, there, "and there")
        # The second server's history cannot be had until the session has been resumed.
        self.fake.rest.fail(HISTORY, Fault(), Fault(), Fault(status=500))
        await self.running(groupPolicy="open")
        await self.routed_texts(3)
        self.assertEqual({message.text for message in self.routed}, {"one", "here", "and there"})
        self.assertGreaterEqual(self.fake.gateway.resumes, 1)
        await self.until(lambda: not {"gap", "awaited"} & set(self.database.read(
            cursor, "discord", "default")))  # fmt: skip

    async def test_a_first_start_reads_no_history(self) -> None:
        self.fake.say(self.alice, self.general, "long ago")
        await self.running()
        self.fake.say(self.alice, self.general, "now")
        self.assertEqual(await self.routed_texts(1), ["now"])

    async def test_every_close_code_that_allows_it_goes_on(self) -> None:
        account = await self.running()
        for number, code in enumerate((1000, 4000, 4003, 4007, 4009), 1):
            account.status.last_connected_at = 0  # so that the pauses stay short
            self.fake.gateway.close(code)
            self.fake.say(self.alice, text=str(code))
            await self.until(lambda n=number: len(self.routed) == n, lambda: repr(account.status))
            await self.until(lambda: account.status.connected)
        self.assertEqual([m.text for m in self.routed], ["1000", "4000", "4003", "4007", "4009"])

    async def test_a_close_code_that_does_not_allow_it_stops_with_a_clear_word(self) -> None:
        cases = {4004: "token", 4010: "shard", 4011: "shards", 4012: "version", 4013: "intent"}
        for code, word in cases.items():
            self.fake.gateway.refuse.append(code)
            account = self.account(PROVIDER, self.settings(), f"a{code}")
            await account.start()
            await self.until(lambda a=account: a.status.health == "failed")
            self.assertIn(word, account.status.last_error or "")
            self.assertFalse(account.status.running)
            self.assertFalse(self.fake.leaks(account.status.last_error or ""))

    async def test_without_the_content_intent_it_says_where_to_switch_it_on(self) -> None:
        self.world.content_enabled = False
        account = self.account(PROVIDER, self.settings())
        await account.start()
        await self.until(lambda: account.status.health == "failed")
        self.assertIn("Message Content", account.status.last_error or "")
        self.assertEqual(self.fake.gateway.complaints.pop(), "4014 Disallowed intent(s).")

    async def test_a_wrong_token_is_one_line_and_no_loop(self) -> None:
        account = self.account(PROVIDER, {**self.settings(), "token": "wrong"})
        await account.start()
        await self.until(lambda: account.status.health == "failed")
        self.assertIn("does not accept the bot's token", account.status.last_error or "")
        self.assertFalse(account.status.running)
        await deferLater(self.reactor, 0.1)
        self.assertEqual(len(self.fake.rest.requests), 1)

    async def test_reconnect_and_invalid_session(self) -> None:
        account = await self.running()
        for number, disturb in enumerate(
            (
                self.fake.gateway.reconnect,
                lambda: self.fake.gateway.invalidate(True),
                lambda: self.fake.gateway.invalidate(False),
            ),
            1,
        ):
            before = len(self.fake.gateway.handshakes)
            disturb()
            await self.until(lambda n=before: len(self.fake.gateway.handshakes) > n)
            self.fake.say(self.alice, text=str(number))
            await self.until(lambda n=number: len(self.routed) == n, lambda: repr(account.status))
            await self.until(lambda: account.status.connected)
        self.assertEqual(self.fake.gateway.identifies, 2)

    async def test_a_silent_gateway_is_left_and_the_session_resumed(self) -> None:
        self.fake.gateway.heartbeat_ms = 200
        account = await self.running()
        begun = self.fake.gateway.identifies
        await self.until(lambda: len(self.fake.gateway.heartbeats) >= 3)
        self.fake.gateway.acks = False
        await self.until(lambda: not account.status.connected)
        self.fake.gateway.acks = True
        self.fake.say(self.alice, text="still there?")
        self.assertEqual(await self.routed_texts(1), ["still there?"])
        self.assertEqual(self.fake.gateway.identifies, begun)

    async def test_a_heartbeat_that_is_asked_for_comes_at_once(self) -> None:
        await self.running()
        before = len(self.fake.gateway.heartbeats)
        self.fake.gateway.ask_heartbeat()
        await self.until(lambda: len(self.fake.gateway.heartbeats) > before)
        self.assertIsInstance(self.fake.gateway.heartbeats[-1], int)

    async def test_a_gateway_without_hello_is_given_up(self) -> None:
        self.patch(conversation, "HELLO_SECONDS", 0.2)
        self.fake.gateway.hello = False
        account = self.account(PROVIDER, self.settings())
        await account.start()
        await self.until(lambda: account.status.last_error)
        self.assertIn("did not say hello", account.status.last_error or "")
        self.fake.gateway.hello = True
        await self.until(lambda: account.status.connected)

    async def test_pieces_doubles_and_wrong_order(self) -> None:
        self.fake.gateway.fragment = 5
        await self.running()
        self.fake.doubles = 2
        self.fake.say(self.alice, text="one")
        self.fake.hold()
        self.fake.say(self.alice, text="two")
        self.fake.say(self.alice, text="three")
        self.fake.release(backwards=True)
        await self.routed_texts(3)
        self.fake.doubles = 0
        self.fake.say(self.alice, text="last")
        texts = await self.routed_texts(4)
        self.assertEqual(sorted(texts), ["last", "one", "three", "two"])

    async def test_a_place_that_cannot_be_asked_for_now_is_asked_for_again(self) -> None:
        account = await self.running()
        await self.stop(account)
        self.fake.say(self.alice, self.thread, f"<@{self.world.bot.id}> hello")
        self.fake.rest.fail("GET /channels/{channel_id}", Fault(cut="before"), Fault(status=500))
        await self.running()
        await self.routed_texts(1)
        self.assertIn(self.general.id, self.routed[0].chat.parents)

    async def test_no_more_sessions_today(self) -> None:
        body = b'{"url": "ws://x", "session_start_limit": {"remaining": 0, "reset_after": 90000}}'
        self.fake.rest.fail("GET /gateway/bot", Fault(status=200, body=body))
        account = self.account(PROVIDER, self.settings())
        await account.start()
        await self.until(lambda: account.status.last_error)
        self.assertIn("no more sessions", account.status.last_error or "")
        self.assertEqual(self.fake.gateway.handshakes, [])

    async def test_no_secret_is_logged(self) -> None:
        logged: list[str] = []

        def keep(event: dict[str, Any]) -> None:
            logged.append(f"{formatEvent(event)} {event!r}")

        globalLogPublisher.addObserver(keep)
        self.addCleanup(globalLogPublisher.removeObserver, keep)
        account = await self.running(groupPolicy="open")
        self.fake.ask(self.alice, self.general, question="why?")
        await self.routed_texts(1)
        self.fake.rest.fail(CREATE_MESSAGE, Fault(cut="before"), Fault(status=500))
        await self.deliver(account, self.general.id, "said")
        self.fake.gateway.cut()
        await self.until(lambda: not account.status.connected)
        await self.until(lambda: account.status.connected)
        self.assertTrue(logged)
        for line in logged:
            self.assertFalse(self.fake.leaks(line), line)

    async def test_a_thousand_messages_with_cuts_arrive_once_each(self) -> None:
        account = await self.running()
        places: list[Channel] = [self.world.dm(self.alice), self.general, self.thread]
        for number in range(1000):
            self.fake.say(self.alice, places[number % 3], f"m{number}")
            if number % 200 == 100:
                await self.until(lambda: account.status.connected)
                account.status.last_connected_at = 0
                self.fake.gateway.cut()
                await deferLater(self.reactor, 0.01)
        await self.routed_texts(1000)
        texts = [message.text for message in self.routed]
        self.assertEqual(len(texts), 1000)
        for start in range(3):
            mine = [f"m{n}" for n in range(start, 1000, 3)]
            self.assertEqual([t for t in texts if t in set(mine)], mine)
