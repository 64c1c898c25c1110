"""The fake Slack answers as Slack's documentation says, whoever asks."""

from __future__ import annotations

import json
from typing import Any

import treq
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.endpoints import HostnameEndpoint
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, HTTPConnectionPool

from tests.channels.slack.fake import FakeSlack
from tests.channels.slack.faults import Cut, Refuse, Throttle
from tests.channels.slack.workspace import APP_TOKEN, BOT_TOKEN, BOT_USER

Json = dict[str, Any]


class _Client(WebSocketClientProtocol):
    """A client that keeps what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: DeferredQueue[Json] = DeferredQueue()
        self.gone: Deferred[None] = Deferred()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.heard.put(json.loads(payload))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.gone.callback(None)

    def acknowledge(self, envelope: Json) -> None:
        self.sendMessage(json.dumps({"envelope_id": envelope["envelope_id"]}).encode())


class FakeTestCase(TestCase):
    timeout = 240

    def setUp(self) -> None:
        self.slack = FakeSlack(reactor)
        self.slack.start()
        self.addCleanup(self.slack.stop)
        self.ann = self.slack.workspace.person("U0ANN", "ann")
        self.pool = HTTPConnectionPool(reactor, persistent=False)
        self.agent = Agent(reactor, pool=self.pool)

    async def call(self, method: str, token: str = BOT_TOKEN, **arguments: Any) -> Json:
        answer = await self.post(method, token, arguments)
        return dict(await answer.json())

    async def post(self, method: str, token: str, arguments: Json) -> Any:
        return await treq.post(
            f"{self.slack.api_root}/{method}",
            data=arguments,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            agent=self.agent,
        )

    async def connect(self) -> _Client:
        """Opens a socket and hears the greeting."""
        client = await self.connect_to((await self.open())["url"])
        self.assertEqual((await client.heard.get())["type"], "hello")
        return client

    async def open(self) -> Json:
        return await self.call("apps.connections.open", APP_TOKEN)

    async def connect_to(self, url: str) -> _Client:
        factory = WebSocketClientFactory(url, reactor=reactor)
        factory.protocol = _Client
        factory.setProtocolOptions(closeHandshakeTimeout=0)
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", self.slack.port)
        client: _Client = await endpoint.connect(factory)
        return client


class WebApiTests(FakeTestCase):
    async def test_a_message_posted_is_found_in_the_history_with_its_metadata(self) -> None:
        channel = self.slack.workspace.channel("general", self.ann)
        metadata = json.dumps({"event_type": "part", "event_payload": {"key": "k1"}})
        posted = await self.call("chat.postMessage", channel=channel, text="hi", metadata=metadata)
        plain = await self.call("conversations.history", channel=channel)
        full = await self.call(
            "conversations.history", channel=channel, include_all_metadata="true"
        )
        self.assertTrue(posted["ok"])
        self.assertEqual(plain["messages"][0]["ts"], posted["ts"])
        self.assertEqual(plain["messages"][0]["metadata"], {"event_type": "part"})
        self.assertEqual(full["messages"][0]["metadata"]["event_payload"], {"key": "k1"})
        self.assertEqual(self.slack.sent(channel), ["hi"])
        self.assertEqual(self.slack.violations, [])

    async def test_arguments_are_checked_against_the_specification(self) -> None:
        wrong = await self.call("chat.postMessage", text="hi", unfurl_links="perhaps", colour="red")
        self.assertEqual(wrong["error"], "invalid_arguments")
        self.assertEqual(
            sorted(wrong["response_metadata"]["messages"]),
            [
                "[ERROR] missing required field: channel",
                "[ERROR] must be of type boolean: unfurl_links",
                "[ERROR] no such argument: colour",
            ],
        )
        self.assertEqual(len(self.slack.violations), 3)

    async def test_tokens_are_told_apart(self) -> None:
        self.assertEqual((await self.call("auth.test", ""))["error"], "not_authed")
        self.assertEqual((await self.call("auth.test", "xoxb-other"))["error"], "invalid_auth")
        wrong_kind = await self.call("apps.connections.open", BOT_TOKEN)
        self.assertEqual(wrong_kind["error"], "not_allowed_token_type")
        self.assertEqual((await self.call("auth.test"))["user_id"], BOT_USER)

    async def test_unknown_methods_and_targets_get_their_documented_errors(self) -> None:
        self.assertEqual((await self.call("chat.shout"))["error"], "unknown_method")
        nowhere = await self.call("chat.postMessage", channel="C404", text="hi")
        empty = await self.call("chat.postMessage", channel=self.ann)
        self.assertEqual(nowhere["error"], "channel_not_found")
        self.assertEqual(empty["error"], "no_text")

    async def test_history_pages_from_the_newest_and_shows_no_replies(self) -> None:
        channel = self.slack.workspace.channel("general", self.ann)
        first = self.slack.say(self.ann, channel, "one")
        self.slack.say(self.ann, channel, "a reply", thread_ts=first)
        self.slack.say(self.ann, channel, "two")
        self.slack.say(self.ann, channel, "three")
        page = await self.call("conversations.history", channel=channel, limit=2)
        cursor = page["response_metadata"]["next_cursor"]
        rest = await self.call("conversations.history", channel=channel, limit=2, cursor=cursor)
        later = await self.call("conversations.history", channel=channel, oldest=first)
        thread = await self.call("conversations.replies", channel=channel, ts=first)
        self.assertEqual([m["text"] for m in page["messages"]], ["three", "two"])
        self.assertEqual([m["text"] for m in rest["messages"]], ["one"])
        self.assertEqual([m["text"] for m in later["messages"]], ["three", "two"])
        self.assertEqual([m["text"] for m in thread["messages"]], ["one", "a reply"])

    async def test_an_upload_is_shared_when_it_is_complete(self) -> None:
        direct = self.slack.workspace.direct(self.ann)
        where = await self.call("files.getUploadURLExternal", filename="a.txt", length=5)
        files = json.dumps([{"id": where["file_id"], "title": "A"}])
        early = await self.call("files.completeUploadExternal", files=files, channel_id=direct)
        sent = await treq.post(where["upload_url"], data=b"hello", agent=self.agent)
        await sent.content()
        done = await self.call("files.completeUploadExternal", files=files, channel_id=direct)
        self.assertEqual(early["error"], "file_not_found")
        self.assertTrue(done["ok"])
        self.assertEqual(self.slack.posted[0][1]["files"][0]["name"], "a.txt")

    async def test_a_private_file_needs_the_token(self) -> None:
        file = self.slack.workspace.file("a.txt", b"hello")
        url = self.slack.file_object(file)["url_private_download"]
        with_token = await treq.get(
            url, headers={"Authorization": f"Bearer {BOT_TOKEN}"}, agent=self.agent
        )
        without = await treq.get(url, agent=self.agent)
        self.assertEqual(await with_token.content(), b"hello")
        self.assertIn(b"Sign in", await without.content())

    async def test_faults_come_in_the_order_they_were_queued(self) -> None:
        self.slack.fail("auth.test", Throttle(7), Refuse("account_inactive"))
        throttled = await self.post("auth.test", BOT_TOKEN, {})
        self.assertEqual(throttled.code, 429)
        self.assertEqual(throttled.headers.getRawHeaders("retry-after"), ["7"])
        self.assertEqual((await throttled.json())["error"], "ratelimited")
        self.assertEqual((await self.call("auth.test"))["error"], "account_inactive")
        self.assertTrue((await self.call("auth.test"))["ok"])

    async def test_a_lost_answer_has_still_been_acted_on(self) -> None:
        direct = self.slack.workspace.direct(self.ann)
        self.slack.fail("chat.postMessage", Cut(acted=False), Cut(acted=True))
        for _ in range(2):
            attempt = self.post("chat.postMessage", BOT_TOKEN, {"channel": direct, "text": "hi"})
            await self.assertFailure(Deferred.fromCoroutine(attempt), Exception)
        self.assertEqual(self.slack.sent(direct), ["hi"])


class SocketModeTests(FakeTestCase):
    async def test_a_mention_comes_as_two_events_about_one_message(self) -> None:
        client = await self.connect()
        channel = self.slack.workspace.channel("general", self.ann)
        ts = self.slack.say(self.ann, channel, f"<@{BOT_USER}> hello")
        events = []
        for _ in range(2):
            envelope = await client.heard.get()
            client.acknowledge(envelope)
            events.append(envelope["payload"]["event"])
        self.assertEqual([event["type"] for event in events], ["message", "app_mention"])
        self.assertEqual({event["ts"] for event in events}, {ts})
        self.assertEqual(events[0]["channel_type"], "channel")

    async def test_what_is_not_acknowledged_comes_again(self) -> None:
        self.slack.sockets.ack_timeout = 0.05
        self.slack.sockets.retry_pauses = (0.0, 0.01, 600.0)  # the third time is never given up
        client = await self.connect()
        delivery = self.slack.event({"type": "message", "text": "x"})
        envelopes = [await client.heard.get() for _ in range(3)]
        self.assertEqual([one["retry_attempt"] for one in envelopes], [0, 1, 2])
        self.assertEqual(len({one["envelope_id"] for one in envelopes}), 3)
        self.assertEqual(len({one["payload"]["event_id"] for one in envelopes}), 1)
        client.acknowledge(envelopes[2])
        await self._until(lambda: delivery.acknowledged)
        self.assertEqual(self.slack.sockets.lost, [])

    async def test_a_cut_socket_gives_its_payloads_to_another(self) -> None:
        self.slack.sockets.retry_pauses = (0.05,) * 100
        first, second = await self.connect(), await self.connect()
        self.slack.event({"type": "message", "text": "x"})
        envelope = await _first([first.heard.get(), second.heard.get()])
        for socket in list(self.slack.sockets.open):
            socket.cut()
        await first.gone
        await second.gone
        third = await self.connect()
        again = await third.heard.get()
        self.assertEqual(again["payload"], envelope["payload"])
        self.assertGreaterEqual(again["retry_attempt"], 1)
        third.acknowledge(again)
        await self._until(lambda: not self.slack.sockets.pending)

    async def test_a_ticket_opens_one_socket(self) -> None:
        url = (await self.open())["url"]
        await (await self.connect_to(url)).heard.get()
        again = await self.connect_to(url)
        await again.gone
        self.assertEqual(len(self.slack.sockets.open), 1)

    async def test_a_socket_is_told_before_it_is_closed(self) -> None:
        client = await self.connect()
        self.slack.sockets.open[0].disconnect("refresh_requested", close_after=0.01)
        self.assertEqual((await client.heard.get())["reason"], "refresh_requested")
        await client.gone

    async def _until(self, condition: Any) -> None:
        while not condition():
            pause: Deferred[None] = Deferred()
            reactor.callLater(0.01, pause.callback, None)
            await pause


async def _first(waiting: list[Deferred[Json]]) -> Json:
    found: Deferred[Json] = Deferred()
    for one in waiting:
        one.addCallback(lambda value: None if found.called else found.callback(value))
    return await found
