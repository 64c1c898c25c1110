"""The fake keeps to the Bot API's documentation."""

from __future__ import annotations

import json
import random
from typing import Any

import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.trial.unittest import TestCase
from twisted.web.client import HTTPConnectionPool, ResponseFailed
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.channels.telegram.fake import TOKEN, FakeTelegram
from tests.channels.telegram.markup import MarkupError, parse_html

JPEG = b"\xff\xd8\xff\xe0 a picture"


class MarkupTests(TestCase):
    def test_entities(self) -> None:
        text, entities = parse_html('🏟 &lt;<b>so <i>so</i></b> <a href="https://a.example/">a</a>')
        self.assertEqual(text, "🏟 <so so a")
        self.assertEqual(entities, [
            {"type": "bold", "offset": 4, "length": 5},
            {"type": "italic", "offset": 7, "length": 2},
            {"type": "text_link", "offset": 10, "length": 1, "url": "https://a.example/"},
        ])  # fmt: skip

    def test_a_reference_there_is_not_stays(self) -> None:
        self.assertEqual(parse_html("&laquo; &amp &#x41;")[0], "&laquo; & A")

    def test_errors_are_telegrams(self) -> None:
        for source, error in (
            ("🏟<abac>", 'Unsupported start tag "abac" at byte offset 4'),
            ("a < b", "Unclosed start tag at byte offset 2"),
            ("<i>a</em>", 'Unmatched end tag at byte offset 4, expected "</i>", found "</em>"'),
            ("a</b>", "Unexpected end tag at byte offset 1"),
            ("<b>a", 'Can\'t find end tag corresponding to start tag "b"'),
            ("<span>a</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
        ):
            with self.assertRaises(MarkupError) as raised:
                parse_html(source)
            self.assertEqual(str(raised.exception), error)


class FakeCase(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.fake = FakeTelegram(reactor).start()
        self.world = self.fake.world
        self.ann = self.world.user("Ann", username="ann")
        self.pool = HTTPConnectionPool(reactor)
        self.addCleanup(self._close)

    async def _close(self) -> None:
        await self.pool.closeCachedConnections()
        await self.fake.stop()

    async def ask(self, method: str, *, token: str = TOKEN, **params: Any) -> Any:
        url = f"{self.fake.api_root}/bot{token}/{method}"
        response = await treq.post(url, json=params, pool=self.pool, timeout=20)
        told = json.loads(await response.content())
        self.assertEqual(response.code, 200 if told["ok"] else told["error_code"])
        return told["result"] if told["ok"] else told

    def asking(self, method: str, **params: Any) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.ask(method, **params))

    async def error(self, method: str, **params: Any) -> str:
        told = await self.ask(method, **params)
        self.assertIsInstance(told, dict)
        self.assertFalse(told["ok"])
        return str(told["description"])


class AccessTests(FakeCase):
    async def test_wrong_tokens(self) -> None:
        self.assertEqual(await self.error("getMe", token="123456789:wrong-secret"), "Unauthorized")
        self.assertEqual(await self.error("getMe", token="nonsense"), "Not Found")
        self.assertEqual(await self.error("getFire"), "Not Found: method not found")
        self.assertEqual((await self.ask("getMe"))["username"], "claw_test_bot")

    async def test_a_form_and_a_query_say_the_same_as_json(self) -> None:
        url = f"{self.fake.api_root}/bot{TOKEN}/sendMessage"
        one, two = ({"chat_id": "1001", "text": text} for text in ("one", "two"))
        query = await treq.get(url, params=one, pool=self.pool, timeout=20)
        await query.content()
        form = await treq.post(url, data=two, pool=self.pool, timeout=20)
        await form.content()
        self.assertEqual(self.world.texts(1001), ["one", "two"])
        self.assertEqual(self.fake.complaints, [])

    async def test_parameters_there_are_not_are_noted(self) -> None:
        await self.ask("sendMessage", chat_id=1001, text="a", reply_to_mesage_id=1)
        self.assertEqual(
            self.fake.complaints, ["sendMessage: there is no parameter reply_to_mesage_id"]
        )


class PollingTests(FakeCase):
    async def test_an_offset_confirms(self) -> None:
        for text in ("a", "b", "c"):
            self.world.say(self.ann, text)
        first = await self.ask("getUpdates")
        self.assertEqual([update["message"]["text"] for update in first], ["a", "b", "c"])
        again = await self.ask("getUpdates", offset=first[1]["update_id"] + 1)
        self.assertEqual([update["message"]["text"] for update in again], ["c"])
        self.assertEqual(len(self.world.confirmed), 2)

    async def test_a_poll_waits_for_the_next_message(self) -> None:
        waiting = self.asking("getUpdates", timeout=20)
        await self.fake.when(lambda: self.fake.asked("getUpdates"))
        self.world.say(self.ann, "there")
        self.assertEqual((await waiting)[0]["message"]["text"], "there")

    async def test_two_pollers_are_in_conflict(self) -> None:
        first = self.asking("getUpdates", timeout=20)
        await self.fake.when(lambda: self.fake.asked("getUpdates"))
        second = self.asking("getUpdates", timeout=20)
        told = await first
        self.assertEqual(told["error_code"], 409)
        self.assertIn("terminated by other getUpdates request", told["description"])
        self.world.say(self.ann, "x")
        await second

    async def test_only_what_is_allowed_arrives(self) -> None:
        self.world.react(self.ann, 1001, 1, "👍")
        self.assertEqual(await self.ask("getUpdates"), [])
        allowed = ["message", "message_reaction"]
        waiting = self.asking("getUpdates", timeout=20, allowed_updates=allowed)
        await self.fake.when(lambda: len(self.fake.asked("getUpdates")) == 2)
        self.world.react(self.ann, 1001, 1, "👍")
        self.assertIn("message_reaction", (await waiting)[0])

    async def test_updates_again_and_in_another_order(self) -> None:
        for number in range(5):
            self.world.say(self.ann, str(number))
        self.world.shuffle(random.Random(1))
        got = await self.ask("getUpdates")
        ids = [update["update_id"] for update in got]
        self.assertNotEqual(ids, sorted(ids))
        self.world.repeat()
        self.world.say(self.ann, "5")
        after = await self.ask("getUpdates", offset=max(ids) + 1)
        texts = [update["message"]["text"] for update in after]
        self.assertEqual(texts, ["2", "3", "4", "5"])

    async def test_privacy_mode(self) -> None:
        group = self.world.group("Family")
        self.world.me["can_read_all_group_messages"] = False
        self.world.say(self.ann, "among us", group)
        self.world.say(self.ann, "hello @claw_test_bot", group)
        (update,) = await self.ask("getUpdates")
        self.assertEqual(update["message"]["entities"][0]["type"], "mention")


class SendingTests(FakeCase):
    async def test_a_message_and_its_reply(self) -> None:
        said = self.world.say(self.ann, "ping")
        sent = await self.ask(
            "sendMessage", chat_id=1001, text="<b>po</b>ng", parse_mode="HTML",
            reply_parameters={"message_id": said["message_id"]},
        )  # fmt: skip
        self.assertEqual(sent["reply_to_message"]["text"], "ping")
        self.assertEqual(sent["entities"], [{"type": "bold", "offset": 0, "length": 2}])
        self.assertEqual(self.world.texts(1001), ["pong"])

    async def test_refusals(self) -> None:
        gone = self.world.group("Gone")
        gone.kicked = True
        self.world.chats[1001].blocked = True
        for params, error in (
            ({"chat_id": 1001, "text": "a"}, "Forbidden: bot was blocked by the user"),
            ({"chat_id": gone.id, "text": "a"}, "Forbidden: bot was kicked from the "
                "supergroup chat"),
            ({"chat_id": 77, "text": "a"}, "Bad Request: chat not found"),
            ({"text": "a"}, "Bad Request: chat_id is empty"),
        ):  # fmt: skip
            self.assertEqual(await self.error("sendMessage", **params), error)
        self.world.chats[1001].blocked = False
        for params, error in (
            ({"text": " "}, "message text is empty"),
            ({"text": "😀" * 2049}, "message is too long"),
            ({"text": "<p>", "parse_mode": "HTML"}, "can't parse entities: Unsupported start tag"),
            ({"text": "a", "reply_parameters": {"message_id": 99}}, "to be replied not found"),
            (
                {"text": "a", "reply_markup": {"inline_keyboard": [[
                    {"text": "x", "callback_data": "y" * 65}]]}},
                "BUTTON_DATA_INVALID",
            ),
        ):  # fmt: skip
            self.assertIn(error, await self.error("sendMessage", chat_id=1001, **params))
        self.assertEqual(self.world.sent, [])

    async def test_a_group_that_moved(self) -> None:
        group = self.world.group("Small", -42)
        big = self.world.migrate(group)
        told = await self.ask("sendMessage", chat_id=-42, text="a")
        self.assertEqual(told["parameters"], {"migrate_to_chat_id": big.id})
        kinds = [update["message"] for update in await self.ask("getUpdates")]
        self.assertEqual(kinds[0]["migrate_to_chat_id"], big.id)
        self.assertEqual(kinds[1]["migrate_from_chat_id"], -42)

    async def test_topics(self) -> None:
        forum = self.world.group("Club", forum=True)
        plans = self.world.topic(forum, "Plans")
        sent = await self.ask("sendMessage", chat_id=forum.id, text="a", message_thread_id=plans)
        self.assertEqual(sent["message_thread_id"], plans)
        for thread in (1, 4711):
            error = await self.error(
                "sendMessage", chat_id=forum.id, text="a", message_thread_id=thread
            )
            self.assertEqual(error, "Bad Request: message thread not found")
        await self.ask("sendChatAction", chat_id=forum.id, action="typing", message_thread_id=1)
        self.assertEqual(self.world.actions, [(forum.id, "typing", 1)])

    async def test_editing(self) -> None:
        sent = await self.ask("sendMessage", chat_id=1001, text="one")
        known = {"chat_id": 1001, "message_id": sent["message_id"]}
        self.assertIn(
            "message is not modified", await self.error("editMessageText", **known, text="one")
        )
        await self.ask("editMessageText", **known, text="two")
        self.assertEqual((self.world.texts(), self.world.sent[0].edits), (["two"], ["one"]))
        self.assertEqual(
            await self.error("editMessageText", chat_id=1001, message_id=99, text="x"),
            "Bad Request: message to edit not found",
        )

    async def test_buttons(self) -> None:
        buttons = {"inline_keyboard": [[{"text": "Yes", "callback_data": "y"}]]}
        await self.ask("sendMessage", chat_id=1001, text="Sure?", reply_markup=buttons)
        query_id = self.world.press(self.ann, self.world.sent[0], "y")
        (update,) = await self.ask("getUpdates")
        self.assertEqual(update["callback_query"]["data"], "y")
        self.assertTrue(await self.ask("answerCallbackQuery", callback_query_id=query_id))
        self.assertIn(
            "query is too old", await self.error("answerCallbackQuery", callback_query_id=query_id)
        )

    async def test_uploads_and_downloads(self) -> None:
        url = f"{self.fake.api_root}/bot{TOKEN}/sendPhoto"
        response = await treq.post(
            url, data={"chat_id": "1001", "caption": "look"}, pool=self.pool,
            files={"photo": ("a.jpg", "image/jpeg", JPEG)},
        )  # fmt: skip
        photo = json.loads(await response.content())["result"]["photo"][0]
        sent = self.world.sent[0]
        self.assertEqual((sent.text, sent.file.name, sent.file.data), ("look", "a.jpg", JPEG))
        self.assertEqual(self.fake.complaints, [])
        about = await self.ask("getFile", file_id=photo["file_id"])
        answer = await treq.get(
            f"{self.fake.api_root}/file/bot{TOKEN}/{about['file_path']}", pool=self.pool
        )
        self.assertEqual(await answer.content(), JPEG)
        self.assertIn("wrong file_id", await self.error("getFile", file_id="nope"))

    async def test_polls_and_reactions(self) -> None:
        said = self.world.say(self.ann, "lunch?")
        poll = await self.ask(
            "sendPoll", chat_id=1001, question="Lunch?", options=[{"text": "a"}, {"text": "b"}]
        )
        self.assertEqual(poll["poll"]["question"], "Lunch?")
        self.assertIn("at least 1", await self.error(
            "sendPoll", chat_id=1001, question="?", options=[]))  # fmt: skip
        where = {"chat_id": 1001, "message_id": said["message_id"]}
        await self.ask("setMessageReaction", **where, reaction=[_emoji("👍")])
        self.assertIn("REACTION_INVALID", await self.error(
            "setMessageReaction", **where, reaction=[_emoji("🧀")]))  # fmt: skip

    async def test_rates(self) -> None:
        self.fake.enforce_rates = True
        for number in range(5):
            await self.ask("sendMessage", chat_id=1001, text=str(number))
        told = await self.ask("sendMessage", chat_id=1001, text="too many")
        self.assertEqual(told["error_code"], 429)
        self.assertGreaterEqual(told["parameters"]["retry_after"], 1)


class FaultTests(FakeCase):
    async def test_refuse_and_throttle(self) -> None:
        self.fake.faults.throttle(7, "sendMessage")
        told = await self.ask("sendMessage", chat_id=1001, text="a")
        self.assertEqual((told["error_code"], told["parameters"]), (429, {"retry_after": 7}))
        await self.ask("sendMessage", chat_id=1001, text="a")
        self.assertEqual(self.world.texts(), ["a"])

    async def test_lost_before_and_after(self) -> None:
        for order, left in ((self.fake.faults.cut, 0), (self.fake.faults.lose, 1)):
            order("sendMessage")
            try:
                await self.ask("sendMessage", chat_id=1001, text="a")
            except (ResponseFailed, ConnectionLost, ConnectionDone):
                self.assertEqual(len(self.world.sent), left)
            else:
                self.fail("there was an answer")

    async def test_half_an_answer(self) -> None:
        self.fake.faults.half("getMe")
        response = await treq.get(f"{self.fake.api_root}/bot{TOKEN}/getMe", pool=self.pool)
        with self.assertRaises(ResponseFailed):
            await response.content()

    async def test_garbage(self) -> None:
        self.fake.faults.garble(b"<html>502 Bad Gateway</html>", "getMe", status=502)
        url = f"{self.fake.api_root}/bot{TOKEN}/getMe"
        response = await treq.get(url, pool=self.pool)
        self.assertEqual(response.code, 502)
        self.assertIn(b"html", await response.content())

    async def test_huge(self) -> None:
        self.fake.faults.huge(1 << 20, "getUpdates")
        url = f"{self.fake.api_root}/bot{TOKEN}/getUpdates"
        response = await treq.get(url, pool=self.pool)
        self.assertGreater(len(await response.content()), 1 << 20)

    async def test_away_and_back(self) -> None:
        port = self.fake.port
        await self.fake.stop()
        self.fake.start()
        self.assertEqual(self.fake.port, port)
        self.assertTrue((await self.ask("getMe"))["is_bot"])


class WebhookTests(FakeCase):
    async def test_updates_are_posted_until_taken(self) -> None:
        hook = _Hook([500, 200, 200])
        port = reactor.listenTCP(0, Site(hook), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.fake.webhook_proxy = f"http://127.0.0.1:{port.getHost().port}"
        await self.ask("setWebhook", url="https://bot.example/hook", secret_token="s3cret")
        self.world.say(self.ann, "one")
        self.world.say(self.ann, "two")
        await self.fake.when(lambda: len(self.world.confirmed) == 2)
        texts = [update["message"]["text"] for update in hook.got]
        self.assertEqual(texts, ["one", "one", "two"])
        self.assertEqual(hook.secrets, {"s3cret"})

    async def test_no_polling_beside_a_webhook(self) -> None:
        waiting = self.asking("getUpdates", timeout=20)
        await self.fake.when(lambda: self.fake.asked("getUpdates"))
        await self.ask("setWebhook", url="https://bot.example/hook")
        self.assertEqual(
            (await waiting)["description"], "Conflict: terminated by setWebhook request"
        )
        self.assertIn("while webhook is active", await self.error("getUpdates"))
        await self.ask("deleteWebhook")
        self.assertEqual(await self.ask("getUpdates"), [])

    async def test_only_https(self) -> None:
        self.assertIn(
            "An HTTPS URL must be provided", await self.error("setWebhook", url="http://a.example/")
        )
        self.assertIn("ports", await self.error("setWebhook", url="https://a.example:8787/"))


def _emoji(one: str) -> dict[str, str]:
    return {"type": "emoji", "emoji": one}


class _Hook(Resource):
    """A webhook that answers with these codes, and keeps what it got."""

    isLeaf = True

    def __init__(self, codes: list[int]) -> None:
        super().__init__()
        self.codes = codes
        self.got: list[dict[str, Any]] = []
        self.secrets: set[str | None] = set()

    def render_POST(self, request: Any) -> bytes:
        self.got.append(json.loads(request.content.read()))
        self.secrets.add(request.getHeader("x-telegram-bot-api-secret-token"))
        request.setResponseCode(self.codes.pop(0))
        return b""
