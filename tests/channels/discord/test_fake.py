"""The fake Discord itself, with a client that knows nothing but sockets."""

from __future__ import annotations

import json
import zlib
from typing import Any

import treq
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.trial.unittest import TestCase
from twisted.web._newclient import ResponseNeverReceived
from twisted.web.client import Agent, HTTPConnectionPool

from tests.channels.discord.fake import FakeDiscord, make_guild
from tests.channels.discord.rest import CREATE_MESSAGE, Fault
from tests.channels.discord.world import DIRECT_MESSAGES, GUILD_MESSAGES, GUILDS, MESSAGE_CONTENT

INTENTS = GUILDS | GUILD_MESSAGES | DIRECT_MESSAGES | MESSAGE_CONTENT
AGENT = "DiscordBot (https://example.org, 1)"


class Client(WebSocketClientProtocol):
    """Collects frames; `closed` fires with the close code, None for a torn connection."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: Deferred[None] = Deferred()
        self.closed: Deferred[int | None] = Deferred()
        self.frames: DeferredQueue[dict[str, Any]] = DeferredQueue()
        self.binary = 0
        self._inflate = zlib.decompressobj()
        self._buffer = b""

    def onOpen(self) -> None:
        self.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if isBinary:
            self.binary += 1
            self._buffer += payload
            if not self._buffer.endswith(b"\x00\x00\xff\xff"):
                return
            payload, self._buffer = self._inflate.decompress(self._buffer), b""
        self.frames.put(json.loads(payload))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.closed.callback(self.remoteCloseCode)

    def say(self, op: int, data: Any) -> None:
        self.sendMessage(json.dumps({"op": op, "d": data}).encode())

    async def until(self, event: str) -> dict[str, Any]:
        while True:
            frame = await self.frames.get()
            if frame.get("t") == event:
                return frame


class FakeCase(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.fake = FakeDiscord(reactor)
        self.fake.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.fake.stop()))
        self.guild, self.general, self.thread = make_guild(self.fake)
        self.alice = self.fake.world.user("alice")
        self.pool = HTTPConnectionPool(reactor)  # a connection it keeps is one it can close
        self.addCleanup(self.pool.closeCachedConnections)
        self.agent = Agent(reactor, pool=self.pool)

    async def request(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        headers = {"Authorization": f"Bot {self.fake.token}", "User-Agent": AGENT}
        headers |= more.pop("headers", {})
        if body is not None:
            more["json"] = body
        response = await treq.request(
            method,
            f"{self.fake.api_root}/v10{path}",
            headers={name: value for name, value in headers.items() if value},
            agent=self.agent,
            **more,
        )
        self.headers = response.headers
        text = await response.text()
        return response.code, json.loads(text) if text else None

    async def connect(self, path: str = "/", query: str = "v=10&encoding=json") -> Client:
        factory = WebSocketClientFactory(f"{self.fake.gateway.base}{path}?{query}")
        factory.protocol = Client
        factory.setProtocolOptions(closeHandshakeTimeout=0)
        port = int(self.fake.gateway.base.rpartition(":")[2])
        client = await TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(factory)
        await client.opened
        return client

    async def identify(self, client: Client, intents: int = INTENTS, token: str = "") -> None:
        properties = {"os": "linux", "browser": "x", "device": "x"}
        client.say(
            2,
            {"token": token or self.fake.token, "intents": intents, "properties": properties},
        )

    async def ready(self, **more: Any) -> tuple[Client, dict[str, Any]]:
        client = await self.connect(**more)
        await self.identify(client)
        return client, (await client.until("READY"))["d"]


class GatewayTests(FakeCase):
    async def test_hello_then_ready_then_servers(self) -> None:
        client = await self.connect()
        hello = await client.frames.get()
        self.assertEqual(hello["op"], 10)
        self.assertEqual(hello["d"]["heartbeat_interval"], 41250)
        await self.identify(client)
        ready = await client.until("READY")
        self.assertEqual(ready["s"], 1)
        self.assertTrue(ready["d"]["resume_gateway_url"].endswith("/resume"))
        guild = await client.until("GUILD_CREATE")
        self.assertEqual(guild["d"]["threads"][0]["parent_id"], self.general.id)
        client.transport.abortConnection()
        await client.closed

    async def test_heartbeats_are_acknowledged(self) -> None:
        client = await self.connect()
        await client.frames.get()
        client.say(1, None)
        self.assertEqual((await client.frames.get())["op"], 11)
        self.assertEqual(self.fake.gateway.heartbeats, [None])
        client.transport.abortConnection()
        await client.closed

    async def test_a_client_without_heartbeat_is_closed(self) -> None:
        self.fake.gateway.heartbeat_ms = 100
        self.fake.gateway.patience = 0.0
        client = await self.connect()
        self.assertEqual(await client.closed, 4000)

    async def test_resume_replays_what_was_missed(self) -> None:
        client, ready = await self.ready()
        self.fake.say(self.alice, text="one")
        seq = (await client.until("MESSAGE_CREATE"))["s"]
        client.transport.abortConnection()
        await client.closed
        self.fake.say(self.alice, text="two")
        self.fake.say(self.alice, text="three")
        client = await self.connect("/resume/")
        client.say(6, {"token": self.fake.token, "session_id": ready["session_id"], "seq": seq})
        await client.frames.get()
        frames = [await client.frames.get() for _ in range(3)]
        self.assertEqual([frame["s"] for frame in frames], [seq + 1, seq + 2, seq + 3])
        self.assertEqual([frame["d"].get("content") for frame in frames], ["two", "three", None])
        self.assertEqual(frames[2]["t"], "RESUMED")
        self.assertEqual(self.fake.gateway.handshakes[-1][:2], ("resume", "/resume/"))
        client.transport.abortConnection()
        await client.closed

    async def test_a_goodbye_gives_the_session_up(self) -> None:
        client, ready = await self.ready()
        client.sendClose(1000)
        await client.closed
        client = await self.connect("/resume/")
        client.say(6, {"token": self.fake.token, "session_id": ready["session_id"], "seq": 1})
        await client.frames.get()
        self.assertEqual(await client.frames.get(), {"op": 9, "d": False})
        client.transport.abortConnection()
        await client.closed

    async def test_close_codes(self) -> None:
        async def closes(code: int, *frames: tuple[int, Any], query: str = "v=10") -> None:
            client = await self.connect(query=query)
            for op, data in frames:
                client.say(op, data)
            self.assertEqual(await client.closed, code)

        identify = {
            "token": self.fake.token,
            "intents": INTENTS,
            "properties": {"os": "", "browser": "", "device": ""},
        }
        self.fake.gateway.identify_seconds = 0
        await closes(4012, query="v=9")
        await closes(4001, (99, None))
        await closes(4002, (2, {"token": self.fake.token, "intents": 0}))
        await closes(4002, (2, {**identify, "x": "y" * 5000}))
        await closes(4003, (3, {}))
        await closes(4004, (2, {**identify, "token": "wrong"}))
        await closes(4005, (2, identify), (2, identify))
        await closes(4013, (2, {**identify, "intents": 1 << 30}))
        await closes(4014, (2, {**identify, "intents": 1 << 8}))
        self.fake.world.content_enabled = False
        await closes(4014, (2, identify))
        await closes(4008, *[(1, None)] * 121)
        session = next(iter(self.fake.world.sessions))
        resume = {"token": self.fake.token, "session_id": session, "seq": 99}
        await closes(4007, (6, resume))

    async def test_identifying_too_soon_is_an_invalid_session(self) -> None:
        self.fake.gateway.identify_seconds = 300.0
        client, _ = await self.ready()
        other = await self.connect()
        await self.identify(other)
        await other.frames.get()
        self.assertEqual(await other.frames.get(), {"op": 9, "d": False})
        for connection in (client, other):
            connection.transport.abortConnection()
            await connection.closed

    async def test_zlib_stream_in_pieces(self) -> None:
        self.fake.gateway.fragment = 7
        client, _ = await self.ready(query="v=10&encoding=json&compress=zlib-stream")
        self.fake.say(self.alice, text="squeezed " * 50)
        message = await client.until("MESSAGE_CREATE")
        self.assertEqual(message["d"]["content"], ("squeezed " * 50).strip())
        self.assertGreater(client.binary, 20)
        client.transport.abortConnection()
        await client.closed

    async def test_no_content_without_the_intent_unless_mentioned(self) -> None:
        client = await self.connect()
        await self.identify(client, INTENTS & ~MESSAGE_CONTENT)
        await client.until("READY")
        self.fake.say(self.alice, self.general, "secret")
        self.fake.say(self.alice, self.general, f"<@{self.fake.world.bot.id}> hello")
        self.assertEqual((await client.until("MESSAGE_CREATE"))["d"]["content"], "")
        self.assertIn("hello", (await client.until("MESSAGE_CREATE"))["d"]["content"])
        client.transport.abortConnection()
        await client.closed

    async def test_doubles_order_and_rubbish(self) -> None:
        client, _ = await self.ready()
        self.fake.doubles = 1
        self.fake.say(self.alice, text="twice")
        twice = [(await client.until("MESSAGE_CREATE"))["d"]["id"] for _ in range(2)]
        self.assertEqual(twice[0], twice[1])
        self.fake.doubles = 0
        self.fake.hold()
        self.fake.say(self.alice, text="first")
        self.fake.say(self.alice, text="second")
        self.fake.release(backwards=True)
        texts = [(await client.until("MESSAGE_CREATE"))["d"]["content"] for _ in range(2)]
        self.assertEqual(texts, ["second", "first"])
        self.fake.gateway.send_raw(b'{"op": 11, "d": null}')
        self.assertEqual((await client.frames.get())["op"], 11)
        self.fake.gateway.cut()
        self.assertIsNone(await client.closed)


class RestTests(FakeCase):
    async def say(self, body: Any, channel: Any = None, **more: Any) -> Any:
        where = (channel or self.general).id
        return await self.request("POST", f"/channels/{where}/messages", body, **more)

    async def test_a_message_is_made(self) -> None:
        code, message = await self.say({"content": "hello"})
        self.assertEqual(code, 200)
        self.assertEqual(message["content"], "hello")
        self.assertEqual(self.fake.texts(self.general), ["hello"])

    async def test_the_same_nonce_makes_one_message(self) -> None:
        body = {"content": "once", "nonce": "abc", "enforce_nonce": True}
        _, first = await self.say(body)
        _, second = await self.say(body)
        self.assertEqual(first["id"], second["id"])
        self.assertEqual(self.fake.texts(), ["once"])
        self.assertEqual(self.fake.world.deduplicated, ["abc"])
        await self.say({"content": "twice", "nonce": "abc"})
        self.assertEqual(self.fake.texts(), ["once", "twice"])

    async def test_what_discord_refuses(self) -> None:
        async def refused(status: int, code: int, body: Any, **more: Any) -> Any:
            got, answer = await self.say(body, **more)
            self.assertEqual((got, answer["code"]), (status, code), answer)
            return answer

        long = await refused(400, 50035, {"content": "x" * 2001})
        error = long["errors"]["content"]["_errors"][0]
        self.assertEqual(error["code"], "BASE_TYPE_MAX_LENGTH")
        await refused(400, 50035, {"content": 7})
        await refused(400, 50035, {"content": "x", "nonce": "n" * 26})
        await refused(400, 50035, {"content": "x", "reply_to": "1"})
        await refused(400, 50035, {"content": "x", "message_reference": {"message_id": "1"}})
        await refused(400, 50006, {"content": "  "})
        await refused(401, 0, {"content": "x"}, headers={"Authorization": "Bot wrong"})
        await refused(403, 0, {"content": "x"}, headers={"User-Agent": "curl"})
        self.general.writable = False
        await refused(403, 50013, {"content": "x"})
        self.alice.blocked = True
        await refused(403, 50007, {"content": "x"}, channel=self.fake.world.dm(self.alice))
        self.assertEqual((await self.request("GET", "/channels/5"))[1]["code"], 10003)
        self.assertEqual((await self.request("GET", "/nothing"))[0], 404)
        self.assertEqual((await self.request("DELETE", "/gateway/bot"))[0], 405)
        self.assertEqual(self.fake.texts(), [])

    async def test_a_bucket_runs_empty_and_fills_again(self) -> None:
        self.fake.rest.throttle(2, 300.0)
        self.assertEqual((await self.say({"content": "1"}))[0], 200)
        self.assertEqual(self.headers.getRawHeaders("X-RateLimit-Remaining"), ["1"])
        await self.say({"content": "2"})
        code, answer = await self.say({"content": "3"})
        self.assertEqual(code, 429)
        self.assertEqual(self.headers.getRawHeaders("X-RateLimit-Scope"), ["user"])
        self.assertLessEqual(answer["retry_after"], 300.0)
        self.assertEqual((await self.say({"content": "3"}, self.thread))[0], 200)
        self.fake.rest.refill()
        self.assertEqual((await self.say({"content": "3"}))[0], 200)
        self.assertEqual(self.fake.rest.exceeded, 1)

    async def test_the_global_limit_stops_everything(self) -> None:
        self.fake.rest.fail(CREATE_MESSAGE, Fault(retry_after=20, everywhere=True))
        code, answer = await self.say({"content": "x"})
        self.assertEqual((code, answer["global"]), (429, True))
        self.assertEqual((await self.request("GET", "/users/@me"))[0], 429)

    async def test_the_answer_is_lost_before_or_after_acting(self) -> None:
        self.fake.rest.fail(CREATE_MESSAGE, Fault(cut="before"), Fault(cut="after"))
        lost = (ResponseNeverReceived, ConnectionLost, ConnectionDone)
        for expected in ([], ["kept"]):
            await self.assertFailure(Deferred.fromCoroutine(self.say({"content": "kept"})), *lost)
            self.assertEqual(self.fake.texts(), expected)

    async def test_a_refusal_of_the_tests_choosing(self) -> None:
        self.fake.rest.fail(CREATE_MESSAGE, Fault(status=502, body=b'"oops"'))
        self.assertEqual(await self.say({"content": "x"}), (502, "oops"))
        self.assertEqual(self.fake.texts(), [])

    async def test_files_go_up_and_come_down(self) -> None:
        payload = json.dumps({"content": "look", "attachments": [{"id": "0"}]})
        code, message = await self.request(
            "POST",
            f"/channels/{self.general.id}/messages",
            data={"payload_json": payload},
            files={"files[0]": ("a.txt", "text/plain", b"content")},
        )
        self.assertEqual(code, 200)
        attachment = message["attachments"][0]
        self.assertEqual((attachment["filename"], attachment["size"]), ("a.txt", 7))
        response = await treq.get(attachment["url"], agent=self.agent)
        self.assertEqual(await response.content(), b"content")

    async def test_history_after_a_message(self) -> None:
        ids = [self.fake.say(self.alice, self.general, str(n)) for n in range(5)]
        path = f"/channels/{self.general.id}/messages?after={ids[1]}&limit=2"
        _, messages = await self.request("GET", path)
        self.assertEqual([m["content"] for m in messages], ["3", "2"])

    async def test_a_dm_is_opened_once(self) -> None:
        body = {"recipient_id": self.alice.id}
        _, one = await self.request("POST", "/users/@me/channels", body)
        _, two = await self.request("POST", "/users/@me/channels", body)
        self.assertEqual(one["id"], two["id"])
        self.assertEqual((await self.request("POST", "/users/@me/channels", {}))[0], 400)

    async def test_a_slash_command_is_answered_in_time(self) -> None:
        application = self.fake.world.application_id
        option = {"type": 3, "name": "question", "description": "What", "required": True}
        command = {"name": "ask", "description": "Ask", "options": [option]}
        path = f"/applications/{application}/commands"
        self.assertEqual((await self.request("PUT", path, [command]))[0], 200)
        asked = self.fake.ask(self.alice, self.general, question="why?")
        callback = f"/interactions/{asked.id}/{asked.token}/callback"
        self.assertEqual((await self.request("POST", callback, {"type": 5}))[0], 204)
        self.assertEqual((await self.request("POST", callback, {"type": 5}))[1]["code"], 40060)
        original = f"/webhooks/{application}/{asked.token}/messages/@original"
        self.assertEqual((await self.request("PATCH", original, {"content": "because"}))[0], 200)
        self.assertEqual(self.fake.texts(self.general), ["because"])
        late = self.fake.ask(self.alice, self.general, question="still?")
        late.at -= 4
        callback = f"/interactions/{late.id}/{late.token}/callback"
        self.assertEqual((await self.request("POST", callback, {"type": 5}))[1]["code"], 10062)
