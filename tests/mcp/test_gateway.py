"""The tool server's connection, against a Gateway that breaks off."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from clawgw.mcp.gateway import Failure, Gateway, Over

TOKEN = "the-token-of-the-session"
LIMIT = 90.0


class Broken:
    """A Gateway that greets, and does what the method's name says."""

    def __init__(self) -> None:
        self.connections = 0
        self.tokens: list[str] = []
        self.refuses = False

    async def handle(self, socket: ServerConnection) -> None:
        """One connection."""
        self.connections += 1
        challenge = {"type": "event", "event": "connect.challenge", "payload": {"nonce": "n"}}
        await socket.send(json.dumps(challenge))
        with contextlib.suppress(ConnectionClosed):
            async for message in socket:
                request = json.loads(message)
                await self._answer(socket, request["id"], request["method"], request["params"])

    async def _answer(self, socket: ServerConnection, name: str, method: str, params: Any) -> None:
        answer: dict[str, Any] = {"type": "res", "id": name, "ok": True, "payload": {"n": 1}}
        if method == "connect":
            self.tokens.append(params["auth"]["agentRuntimeIdentityToken"])
            answer["payload"] = {"features": {"methods": ["echo"], "events": []}}
            if self.refuses:
                answer = {"type": "res", "id": name, "ok": False, "error": {"message": "go away"}}
        elif method == "silence":
            return
        elif method == "break":
            await socket.close(1011)
            return
        elif method == "stop":
            await socket.close(1012, "service restart")
            return
        elif method == "garbage":
            await socket.send("{")
            return
        elif method == "refuse":
            answer |= {"ok": False, "error": {"code": "X", "message": "not today"}}
        await socket.send(json.dumps(answer))


class Connection(SynchronousTestCase):
    """Asking, and what goes wrong."""

    def run_with(self, work: Callable[[Gateway, Broken], Awaitable[None]]) -> Broken:
        broken = Broken()

        async def job() -> None:
            async with serve(broken.handle, "127.0.0.1", 0) as server:
                port = server.sockets[0].getsockname()[1]
                gateway = Gateway(f"ws://127.0.0.1:{port}", TOKEN)
                try:
                    await work(gateway, broken)
                finally:
                    await gateway.close()

        asyncio.run(asyncio.wait_for(job(), LIMIT))
        return broken

    async def failure(self, gateway: Gateway, method: str, limit: float = LIMIT) -> str:
        try:
            await gateway.request(method, {}, limit)
        except Failure as problem:
            return str(problem)
        raise self.failureException(f"{method} did not fail")

    def test_an_answer_and_a_refusal(self) -> None:
        async def work(gateway: Gateway, _: Broken) -> None:
            self.assertEqual(await gateway.request("echo", {}), {"n": 1})
            self.assertEqual(gateway.methods, {"echo"})
            self.assertEqual(await self.failure(gateway, "refuse"), "Not today.")

        broken = self.run_with(work)
        self.assertEqual(broken.tokens, [TOKEN])

    def test_many_at_once(self) -> None:
        async def work(gateway: Gateway, _: Broken) -> None:
            answers = await asyncio.gather(*(gateway.request("echo", {}) for _ in range(20)))
            self.assertEqual(answers, [{"n": 1}] * 20)

        self.assertEqual(self.run_with(work).connections, 1)

    def test_no_answer_in_time(self) -> None:
        async def work(gateway: Gateway, _: Broken) -> None:
            said = await self.failure(gateway, "silence", 0.1)
            self.assertEqual(said, "The Gateway did not answer in time.")
            self.assertEqual(await gateway.request("echo", {}), {"n": 1})

        self.assertEqual(self.run_with(work).connections, 1)

    def test_a_connection_that_breaks_is_made_anew_at_the_next_call(self) -> None:
        async def work(gateway: Gateway, _: Broken) -> None:
            for method in ("break", "garbage"):
                said = await self.failure(gateway, method)
                self.assertIn("whether this was done is not known", said)
                self.assertEqual(await gateway.request("echo", {}), {"n": 1})
                self.assertFalse(gateway.over.is_set())

        self.assertEqual(self.run_with(work).connections, 3)

    def test_over_when_the_gateway_stops(self) -> None:
        async def work(gateway: Gateway, _: Broken) -> None:
            await self.failure(gateway, "stop")
            await gateway.over.wait()
            self.assertIn("session that has ended", await self.failure(gateway, "echo"))

        self.assertEqual(self.run_with(work).connections, 1)

    def test_over_when_the_token_is_refused(self) -> None:
        async def work(gateway: Gateway, broken: Broken) -> None:
            broken.refuses = True
            for says in ("go away", "session that has ended"):
                try:
                    await gateway.connect()
                except Over as problem:
                    self.assertIn(says, str(problem))
                    self.assertNotIn(TOKEN, f"{problem} {gateway!r}")
                else:
                    self.fail("it was let in")

        self.assertEqual(self.run_with(work).connections, 1)

    def test_addresses_that_are_not_of_this_host(self) -> None:
        for url in (
            "ws://192.0.2.1:1", "ws://example.org", "http://127.0.0.1", "wss://127.0.0.1:1", "",
        ):  # fmt: skip
            with self.assertRaises(Failure):
                asyncio.run(self._made(url))

    async def _made(self, url: str) -> Gateway:
        return Gateway(url, TOKEN)
