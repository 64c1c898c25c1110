"""What we say arrives at Discord: once, in order, and what Discord refuses is said clearly."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from clawgw.channels import presses
from clawgw.channels.adapter import Fault as ChannelFault
from clawgw.channels.adapter import SendLater
from clawgw.channels.discord.adapter import DiscordAdapter
from clawgw.channels.messages import Button, Outbound, OutMedia, Part, Poll, Target
from clawgw.store.channels import cursor
from tests.channels.discord.rest import CREATE_MESSAGE, Fault
from tests.channels.discord.support import DiscordCase


class SendingTests(DiscordCase):
    async def test_a_text_with_a_nonce_and_nobody_pinged_by_accident(self) -> None:
        account = await self.running()
        delivery = await self.deliver(account, self.general.id, "hello @everyone")
        self.assertEqual(delivery.state, "delivered")
        self.assertIn("hello", self.fake.texts(self.general)[0])
        request = self.fake.rest.of(CREATE_MESSAGE)[0]
        self.assertTrue(request.body["enforce_nonce"])
        self.assertLessEqual(len(request.body["nonce"]), 25)
        self.assertNotIn("everyone", request.body["allowed_mentions"]["parse"])
        self.assertEqual(delivery.ids, (self.fake.sent()[0]["id"],))

    async def test_a_lost_answer_doubles_nothing(self) -> None:
        account = await self.running()
        self.fake.rest.fail(CREATE_MESSAGE, Fault(cut="after"), Fault(cut="before"))
        delivery = await self.deliver(account, self.general.id, "once")
        self.assertEqual(delivery.state, "delivered")
        self.assertEqual(self.fake.texts(), ["once"])
        self.assertEqual(len(self.world.deduplicated), 1)

    async def test_errors_of_the_server_are_retried(self) -> None:
        account = await self.running()
        self.fake.rest.fail(CREATE_MESSAGE, Fault(status=502, body=b"<html>"), Fault(status=500))
        delivery = await self.deliver(account, self.general.id, "at last")
        self.assertEqual((delivery.state, self.fake.texts()), ("delivered", ["at last"]))

    async def test_what_is_not_discords_own_refusal_is_no_refusal(self) -> None:
        account = await self.running()
        self.fake.rest.fail(CREATE_MESSAGE, Fault(status=403, body=b"<html>a proxy</html>"))
        delivery = await self.deliver(account, self.general.id, "at last")
        self.assertEqual((delivery.state, self.fake.texts()), ("delivered", ["at last"]))

    async def test_rate_limits_are_kept_without_being_told_off(self) -> None:
        account = await self.running()
        self.fake.rest.throttle(3, 0.3)
        for number in range(8):
            await self.deliver(account, self.general.id, f"{number}")
        self.assertEqual(self.fake.texts(), [f"{number}" for number in range(8)])
        self.assertEqual(self.fake.rest.exceeded, 0)

    async def test_a_429_is_waited_for(self) -> None:
        account = await self.running()
        self.fake.rest.fail(CREATE_MESSAGE, Fault(retry_after=0.2))
        begun = self.reactor.seconds()
        delivery = await self.deliver(account, self.general.id, "patient")
        self.assertEqual(delivery.state, "delivered")
        self.assertGreaterEqual(self.reactor.seconds() - begun, 0.2)
        self.assertEqual(self.fake.texts(), ["patient"])

    async def test_the_global_limit_holds_up_everything(self) -> None:
        account = await self.running()
        self.fake.rest.fail(CREATE_MESSAGE, Fault(retry_after=0.5, everywhere=True))
        await self.deliver(account, self.general.id, "one")
        await self.deliver(account, self.thread.id, "two")
        self.assertEqual(self.fake.texts(), ["one", "two"])
        self.assertEqual(self.fake.rest.exceeded, 0)

    async def test_a_429_that_is_not_of_the_api_holds_up_everything_for_a_while(self) -> None:
        account = await self.running()
        nonsense = {"Retry-After": "9" * 5000}
        for number, headers in enumerate(({}, nonsense, {"Retry-After": "soon"})):
            banned = Fault(status=429, body=b"<html>banned", headers=headers)
            self.fake.rest.fail(CREATE_MESSAGE, banned)
            adapter = DiscordAdapter(f"a{number}", account.adapter.settings, account)
            self.addCleanup(adapter.close)
            before = len(self.fake.rest.requests)
            for chat in (self.general.id, self.thread.id):
                target = Target(channel="discord", account="default", chat=chat)
                with self.assertRaises(SendLater) as caught:
                    await adapter.send(target, Part(key="a" * 32, text="hello"))
                self.assertTrue(caught.exception.account_wide)
                self.assertGreater(caught.exception.retry_after or 0, 10)
            self.assertEqual(len(self.fake.rest.requests), before + 1)

    async def test_what_discord_refuses_fails_at_once_and_says_why(self) -> None:
        account = await self.running()
        self.alice.blocked = True
        self.general.writable = False
        for chat, why in (
            (self.world.dm(self.alice).id, "takes no messages"),
            (self.general.id, "may not write"),
            ("123456789", "no such channel"),
        ):
            delivery = await self.deliver(account, chat, "hello")
            self.assertEqual(delivery.state, "failed")
            self.assertIn(why, delivery.error or "")
        self.assertEqual(self.fake.texts(), [])

    async def test_a_long_text_comes_in_order(self) -> None:
        account = await self.running()
        text = "\n\n".join(f"Paragraph {n}. " + "word " * 60 for n in range(20))
        delivery = await self.deliver(account, self.general.id, text)
        self.assertEqual(delivery.state, "delivered")
        self.assertGreater(len(self.fake.texts()), 2)
        told = "\n\n".join(self.fake.texts())
        self.assertEqual(told.split(), text.split())

    async def test_a_reply_and_one_to_a_message_that_is_gone(self) -> None:
        account = await self.running()
        asked = self.fake.say(self.alice, self.general, "?")
        for reply_to in (asked, "1234567890"):
            await self.deliver(account, self.general.id, Outbound(text="!", reply_to=reply_to))
        first, second = self.fake.sent(self.general)
        self.assertEqual(first["message_reference"]["message_id"], asked)
        self.assertNotIn("message_reference", second)

    async def test_a_file_with_its_caption(self) -> None:
        account = await self.running()
        path = self.directory / "plot.png"
        path.write_bytes(b"PNG" * 100)
        media = OutMedia(path=str(path), kind="image", mime_type="image/png", name="plot.png")
        message = Outbound(text="the plot", media=(media,))
        delivery = await self.deliver(account, self.general.id, message)
        self.assertEqual(delivery.state, "delivered", delivery.error)
        sent = self.fake.sent()[0]
        self.assertEqual(sent["content"], "the plot")
        self.assertEqual(sent["attachments"][0]["filename"], "plot.png")
        self.assertEqual(sent["attachments"][0]["size"], 300)

    async def test_a_poll(self) -> None:
        account = await self.running()
        poll = Poll(question="Lunch?", options=("pizza", "pasta"), max_selections=2, hours=1)
        delivery = await self.deliver(account, self.general.id, Outbound(poll=poll))
        self.assertEqual(delivery.state, "delivered", delivery.error)
        self.assertTrue(self.fake.sent()[0]["poll"]["allow_multiselect"])
        poll = Poll(question="Lunch?", options=("x" * 56,))
        delivery = await self.deliver(account, self.general.id, Outbound(poll=poll))
        self.assertEqual(delivery.state, "failed")
        self.assertIn("55 characters", delivery.error or "")

    async def test_a_draft_is_edited_and_a_deleted_one_said_anew(self) -> None:
        account = await self.running()
        target = Target(channel="discord", account="default", chat=self.general.id)
        part = Part(key="a" * 32, text="so far …")
        draft = await account.adapter.send(target, part)
        await account.adapter.edit(target, draft, Part(key="b" * 32, text="further …"))
        await self.deliver(account, self.general.id, Outbound(text="all of it", draft=draft))
        self.assertEqual(self.fake.texts(), ["all of it"])
        self.general.messages.clear()
        await self.deliver(account, self.general.id, Outbound(text="again", draft=draft))
        self.assertEqual(self.fake.texts(), ["again"])

    async def test_a_person_is_reached_by_name_of_id(self) -> None:
        account = await self.running()
        chat, thread = account.adapter.address(f"user:{self.alice.id}")
        self.assertIsNone(thread)
        chat = await account.adapter.reach(chat)
        self.assertEqual(chat, self.world.dm(self.alice).id)
        self.assertEqual(account.adapter.address(f"<#{self.general.id}>")[0], self.general.id)
        self.assertEqual(account.adapter.address(f"channel:{self.general.id}")[0], self.general.id)
        for wrong in ("alice", self.alice.id, "user:", ""):
            self.assertRaises(ValueError, account.adapter.address, wrong)

    async def test_typing_is_shown(self) -> None:
        account = await self.running()
        target = Target(channel="discord", account="default", chat=self.general.id)
        await account.adapter.typing(target)
        self.assertEqual(self.world.typing, [self.general.id])

    async def test_a_probe_says_who_we_are(self) -> None:
        account = await self.running()
        probe = await account.adapter.probe()
        self.assertEqual(probe["bot"]["username"], "clawbot")
        self.assertTrue(probe["application"]["messageContent"])
        self.fake.world.token = "another"
        with self.assertRaises(ChannelFault) as caught:
            await account.adapter.probe()
        self.assertIn("token", str(caught.exception))


OPEN = {"groupPolicy": "open"}


class InteractionTests(DiscordCase):
    async def test_ask_is_a_message_and_is_shown_to_all(self) -> None:
        await self.running(**OPEN)
        asked = self.fake.ask(self.alice, self.general, question="why?")
        await self.routed_texts(1)
        message = self.routed[0]
        self.assertEqual((message.text, message.mentioned), ("why?", True))
        self.assertEqual(message.chat.id, self.general.id)
        await self.until(lambda: asked.answered)
        self.assertEqual(self.fake.texts(), ["**Alice** asked:\n> why?"])

    async def test_who_is_not_listed_is_told_so_alone(self) -> None:
        await self.running(guilds={"home": {"users": ["bob"]}})
        asked = self.fake.ask(self.alice, self.general, question="why?")
        await self.until(lambda: asked.ephemeral)
        self.assertIn("not on the list", asked.ephemeral[0])
        self.assertEqual(self.fake.texts(), [])
        self.assertEqual(self.routed, [])

    async def test_a_question_that_waited_too_long_is_still_asked(self) -> None:
        account = await self.running(**OPEN)
        await self.stop(account)
        asked = self.fake.ask(self.alice, question="late?")
        asked.at -= 100
        await self.running(**OPEN)
        self.assertEqual(await self.routed_texts(1), ["late?"])

    async def test_a_button(self) -> None:
        account = await self.running(**OPEN)
        buttons = ((Button(text="Allow", data="a:1"), Button(text="Deny", data="d:1")),)
        await self.deliver(account, self.general.id, Outbound(text="May I?", buttons=buttons))
        pressed = self.fake.press(self.alice, self.fake.sent()[0], "Allow")
        await self.until(lambda: pressed.ephemeral)
        self.assertEqual(pressed.ephemeral, [self.press_answer])
        press = self.pressed[0]
        self.assertEqual((press.data, press.sender.id), ("a:1", self.alice.id))
        self.assertEqual(press.message_id, self.fake.sent()[0]["id"])

    async def test_a_press_that_takes_too_long_holds_up_nothing(self) -> None:
        self.patch(presses, "PRESS_SECONDS", 0.05)
        account = await self.running(**OPEN)
        buttons = ((Button(text="Allow", data="a:1"),),)
        await self.deliver(account, self.general.id, Outbound(text="May I?", buttons=buttons))
        self.patch(account, "pressed", _never)
        pressed = self.fake.press(self.alice, self.fake.sent()[0], "Allow")
        self.fake.say(self.alice, text="after")
        await self.routed_texts(1)
        await self.until(lambda: pressed.ephemeral)
        self.assertIn("takes too long", pressed.ephemeral[0])

    async def test_an_old_press_does_nothing(self) -> None:
        account = await self.running(**OPEN)
        buttons = ((Button(text="Allow", data="a:1"),),)
        await self.deliver(account, self.general.id, Outbound(text="May I?", buttons=buttons))
        await self.stop(account)
        pressed = self.fake.press(self.alice, self.fake.sent()[0], "Allow")
        pressed.at -= 100
        await self.running(**OPEN)
        self.fake.say(self.alice, text="after")
        await self.routed_texts(1)
        self.assertEqual(self.pressed, [])

    async def test_the_command_is_registered_once_and_taken_away_when_unwanted(self) -> None:
        account = await self.running()
        self.assertEqual([command["name"] for command in self.world.commands], ["ask"])
        await self.until(lambda: "commands" in self.database.read(cursor, *account.id))
        await self.stop(account)
        puts = "PUT /applications/{application_id}/commands"
        self.assertEqual(len(self.fake.rest.of(puts)), 1)
        account = await self.running()
        await self.stop(account)
        self.assertEqual(len(self.fake.rest.of(puts)), 1)
        await self.running(commands={"native": False})
        await self.until(lambda: self.world.commands == [])

    async def test_a_failed_registration_is_a_warning(self) -> None:
        puts = "PUT /applications/{application_id}/commands"
        self.fake.rest.fail(puts, Fault(status=403, body=b'{"message": "Missing Access"}'))
        account = await self.running(commands={"native": True})
        await self.until(lambda: account.status.warning)
        self.assertIn("/ask could not be registered", account.status.warning or "")


async def _never(_: object) -> str:
    await Deferred()
    raise AssertionError("unreachable")
