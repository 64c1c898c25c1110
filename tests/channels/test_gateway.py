"""Channels in a real Gateway process, with a Telegram that is none: the whole way, once."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.channels.telegram.fake import FakeTelegram
from tests.mcp.support import AGENT, Tools, tools_of
from tests.support.gateway import GatewayProcess
from tests.support.wire import Client, device

SECONDS = 60.0
TOKENS = ("111:first-token-of-the-tests", "222:second-token-of-the-tests")


class GatewayTests(TestCase):
    """A Gateway that begins without any channel, and a person."""

    timeout = 300

    async def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.tools_file = self.directory / "tools.jsonl"
        self.fake = FakeTelegram(reactor, *TOKENS).start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.fake.stop()))
        self.gateway = GatewayProcess(self.directory / "state", config=self.config())
        await self.blocking(self.gateway.start)
        self.addCleanup(self.blocking, self.gateway.stop)
        self.client: Client = await self.blocking(
            lambda: Client(
                self.gateway.port, identity=device(self.directory, "operator"), protocol=4
            )
        )
        self.addCleanup(self.client.cut)

    def config(self, **accounts: dict[str, Any]) -> dict[str, Any]:
        """A configuration with these accounts of Telegram."""
        agent = {
            "id": "main",
            "command": [sys.executable, "-u", AGENT],
            "env": {"TOOLS_FILE": str(self.tools_file)},
        }
        channels = {"telegram": {"apiRoot": self.fake.api_root, "accounts": accounts}}
        return {"agents": {"list": [agent]}, "channels": channels if accounts else {}}

    def configure(self, **accounts: dict[str, Any]) -> None:
        """Change the file, as an editor does."""
        path = self.gateway.state_dir / "config.json"
        new = path.with_suffix(".new")
        new.write_text(json.dumps(self.config(**accounts)))
        new.replace(path)

    def blocking(self, work: Callable[..., Any], *args: Any) -> Any:
        return deferToThread(work, *args)

    async def request(self, method: str, **params: Any) -> Any:
        return await self.blocking(self.client.request, method, params)

    async def refused(self, method: str, **params: Any) -> str:
        try:
            await self.request(method, **params)
        except Exception as problem:  # noqa: BLE001 - whatever it is, it is looked at
            return str(problem)
        raise self.failureException(f"{method} was not refused")

    async def accounts(self) -> dict[str, Any]:
        """How the accounts of Telegram do, by name."""
        status = await self.request("channels.status")
        return {row["accountId"]: row for row in status["channelAccounts"].get("telegram", [])}

    async def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until the accounts are so."""
        end = reactor.seconds() + SECONDS  # type: ignore[attr-defined]
        while True:
            accounts = await self.accounts()
            if condition(accounts):
                return accounts
            if reactor.seconds() > end:  # type: ignore[attr-defined]
                self.fail(f"{accounts}\n{self.gateway.log[-3000:]}")
            await deferLater(reactor, 0.1)

    async def connected(self, *names: str) -> dict[str, Any]:
        """Wait until these accounts, and no others, are connected."""
        return await self.until(
            lambda accounts: (
                sorted(accounts) == sorted(names)
                and all(account["connected"] for account in accounts.values())
            )
        )

    async def told(self, number: int, world: int = 0) -> list[str]:
        """What the bot has said, once it is so many messages."""
        world_ = self.fake.worlds[TOKENS[world]]
        await self.fake.when(lambda: len(world_.texts()) >= number, SECONDS)
        return world_.texts()

    async def test_from_a_stranger_to_an_answer(self) -> None:
        problem = await self.refused("send", to="1001", message="hi", idempotencyKey="k0")
        self.assertIn("channel: none is configured; see clawgw channels add", problem)

        self.configure(default={"botToken": TOKENS[0]})  # while it runs
        await self.connected("default")

        alice = self.fake.world.user("Alice")
        self.fake.world.say(alice, "hello there")
        self.fake.look()
        (text,) = await self.told(1)
        (row,) = (await self.request("channel.pair.list"))["pending"]
        self.assertEqual((row["name"], row["sender"]), ("Alice", str(alice["id"])))
        self.assertIn(row["code"], text)

        await self.request("channel.pair.approve", code=row["code"])
        self.assertIn("You are in", (await self.told(2))[1])
        self.fake.world.say(alice, "hello again")
        self.fake.look()
        self.assertIn("hello again", (await self.told(3))[2])

        sent = {"to": f"telegram:{alice['id']}", "message": "news", "idempotencyKey": "k1"}
        answers = [await self.request("send", **sent) for _ in range(2)]
        self.assertEqual(answers[0], answers[1])
        self.assertEqual((await self.told(4))[3:], ["news"])

        await self.check_that_it_is_seen()
        await self.check_the_tool(str(alice["id"]))
        await self.check_a_restart(alice)
        self.assertEqual(self.fake.complaints, [])
        for secret in (*TOKENS, "hello there", "hello again"):
            self.assertNotIn(secret, self.gateway.log)

    async def check_that_it_is_seen(self) -> None:
        status = await self.request("channels.status", probe=True)
        (row,) = status["channelAccounts"]["telegram"]
        self.assertTrue(row["connected"] and row["probe"]["ok"])
        self.assertLessEqual(row["lastInboundAt"], row["lastOutboundAt"])
        health = (await self.request("health"))["channels"]["telegram"]
        self.assertTrue(health["connected"] and health["accounts"]["default"]["connected"])
        summary = (await self.request("status"))["channelSummary"]
        self.assertTrue(any("Telegram (default): connected" in line for line in summary), summary)

    async def check_the_tool(self, chat: str) -> None:
        """The agent can send messages, as its session's tool."""
        servers = json.loads(self.tools_file.read_text().splitlines()[-1])["servers"]

        async def work(tools: Tools) -> str:
            assert "message_send" in await tools.names()
            return await tools.text("message_send", channel="telegram", to=chat, message="psst")

        async def job() -> str:
            async with tools_of(servers[0]) as tools:
                return await work(tools)

        said = await self.blocking(lambda: asyncio.run(asyncio.wait_for(job(), SECONDS)))
        self.assertEqual(said, f"Sent to {chat} by telegram.")
        self.assertEqual((await self.told(5))[4:], ["psst"])

    async def check_a_restart(self, alice: Any) -> None:
        """What comes while the Gateway is dead is answered, once, when it is back."""
        await self.blocking(self.gateway.kill)
        self.client.cut()
        self.fake.world.say(alice, "are you there?")
        await self.blocking(self.gateway.start)
        self.client = await self.blocking(
            lambda: Client(
                self.gateway.port, identity=device(self.directory, "operator"), protocol=4
            )
        )
        self.addCleanup(self.client.cut)
        texts = await self.told(6)
        self.assertIn("are you there?", texts[5])
        self.assertEqual(len(texts), 6)

    async def test_channels_come_and_go_while_it_runs(self) -> None:
        servers = await self.tool_server()
        self.assertNotIn("message_send", await self.blocking(self.names_of, servers))

        first, second = {"botToken": TOKENS[0]}, {"botToken": TOKENS[1]}
        self.configure(first=first)
        began = (await self.connected("first"))["first"]["lastStartAt"]
        self.configure(first=first, second=second)
        accounts = await self.connected("first", "second")
        self.assertEqual(accounts["first"]["lastStartAt"], began)

        self.configure(first=first, second=second | {"enabled": False})
        # it runs no more before it is gone, and only then is it shown as switched off
        accounts = await self.until(lambda found: not found["second"]["enabled"])
        self.assertFalse(accounts["second"]["running"])
        self.assertTrue(accounts["first"]["connected"])

        self.configure(first=first, second={"botToken": "333:unknown"})
        accounts = await self.until(lambda found: found["second"]["healthState"] == "failed")
        self.assertNotIn("333:", accounts["second"]["lastError"])
        self.assertEqual(accounts["first"]["lastStartAt"], began)

        self.configure()
        await self.connected()
        asked = len(self.fake.asked("getUpdates"))
        await deferLater(reactor, 1.0)
        self.assertEqual(len(self.fake.asked("getUpdates")), asked)
        self.assertNotIn("333:unknown", self.gateway.log)

    async def tool_server(self) -> Any:
        """The tool server that a new session is given."""
        params = {"message": "hello", "sessionKey": "fresh", "idempotencyKey": str(uuid.uuid4())}
        run = (await self.request("chat.send", **params))["runId"]
        await self.blocking(
            self.client.event, "chat", lambda one: one["runId"] == run and one["state"] == "final"
        )
        return json.loads(self.tools_file.read_text().splitlines()[-1])["servers"][0]

    def names_of(self, server: Any) -> set[str]:
        async def job() -> set[str]:
            async with tools_of(server) as tools:
                return await tools.names()

        return asyncio.run(asyncio.wait_for(job(), SECONDS))
