"""The host itself: what it declares, how it waits, what a lost connection ends."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from twisted.logger import globalLogPublisher

from clawgw.nodehost.capabilities import SYSTEM, Machine
from clawgw.nodehost.host import GatewayLink
from clawgw.nodehost.settings import Commands, NodeSettings
from tests.nodehost.support import HostTestCase, is_alive

SLEEP = {"command": ["sh", "-c", "echo $$ > pid; exec sleep 300"]}


class HostTests(HostTestCase):
    """On a fake Gateway of either version."""

    def setUp(self) -> None:
        super().setUp()
        self.lines: list[str] = []
        globalLogPublisher.addObserver(self.note)
        self.addCleanup(globalLogPublisher.removeObserver, self.note)

    def note(self, event: dict[str, Any]) -> None:
        """What the log of the host says, with every value in it."""
        if str(event.get("log_namespace", "")).startswith("clawgw"):
            self.lines.append(event["log_format"].format(**event))

    async def pid(self) -> int:
        """The process of SLEEP, once it runs."""
        path = self.directory / "pid"
        text = await self.eventually(lambda: path.exists() and path.read_text().strip())
        path.unlink()
        return int(text)

    def sleep(self) -> dict[str, Any]:
        return {**SLEEP, "cwd": str(self.directory)}

    async def test_what_it_declares(self) -> None:
        for protocol in (3, 4):
            with self.subTest(protocol=protocol):
                host = await self.start_host(protocol=protocol)
                said = self.gateway.connects()[-1]
                self.assertEqual((said["role"], said["scopes"]), ("node", []))
                self.assertEqual(said["minProtocol"], protocol)
                client = said["client"]
                self.assertEqual((client["id"], client["mode"]), ("node-host", "node"))
                self.assertEqual((client["platform"], client["deviceFamily"]), ("linux", "Linux"))
                self.assertEqual(client["instanceId"], said["device"]["id"])
                self.assertTrue(client["displayName"])
                self.assertEqual((said["caps"], said["commands"]), (["system"], list(SYSTEM)))
                await host.stop()
                await self.eventually(lambda: not self.gateway.connections)

    async def test_its_name(self) -> None:
        await self.start_host(settings=NodeSettings(display_name="Build"))
        self.assertEqual(self.gateway.connects()[0]["client"]["displayName"], "Build")

    async def test_version_4_hears_that_it_is_there(self) -> None:
        await self.start_host()
        (event,) = await self.eventually(lambda: self.gateway.requests("node.event"))
        self.assertEqual(event["event"], "node.presence.alive")
        self.assertEqual(json.loads(event["payloadJSON"])["trigger"], "connect")

    async def test_version_3_does_not(self) -> None:
        await self.start_host(protocol=3)
        await self.payload("system.which", {"bins": []})
        self.assertEqual(self.gateway.requests("node.event"), [])

    async def test_what_it_does_not_offer(self) -> None:
        settings = NodeSettings(commands=Commands(deny=("system.run",)))
        await self.start_host(settings=settings)
        for command in ("system.run", "camera.snap", "no.such", ""):
            error = await self.error(command, {"command": ["echo"]})
            self.assertEqual(error["code"], "UNAVAILABLE", command)

    async def test_nonsense_is_passed_over(self) -> None:
        await self.start_host()
        connection = self.gateway.connections[0]
        for payload in (None, [], {}, {"id": 1}, {"id": "x", "nodeId": "y", "command": 3}):
            connection.event("node.invoke.request", payload)
            connection.event("node.invoke.cancel", payload)
        connection.event("node.invoke.request", {"id": "x", "nodeId": "another", "command": "c"})
        connection.event("node.pair.resolved", {})
        connection.event("no.such.event", {})
        self.assertEqual((await self.error("system.which"))["code"], "INVALID_REQUEST")
        self.assertEqual(len(self.gateway.requests("node.invoke.result")), 1)

    async def test_parameters_that_are_no_json(self) -> None:
        await self.start_host()
        for text in ("", "{", "[" * 100_000, "null"):
            result = await self.gateway.ask("system.which", paramsJSON=text)
            self.assertEqual(result["error"]["code"], "INVALID_REQUEST", text[:10])

    async def test_the_same_key_runs_once(self) -> None:
        self.allow_all()
        await self.start_host()
        params = {"command": ["sh", "-c", "echo x >> ran"], "cwd": str(self.directory)}
        first = self.gateway.ask("system.run", params, idempotencyKey="k")
        second = self.gateway.ask("system.run", params, idempotencyKey="k")
        results = [await first, await second]
        results.append(await self.gateway.ask("system.run", params, idempotencyKey="k"))
        self.assertEqual({result["payloadJSON"] for result in results}, {results[0]["payloadJSON"]})
        self.assertEqual((self.directory / "ran").read_text(), "x\n")

    async def test_a_cancelled_command_is_ended(self) -> None:
        self.allow_all()
        await self.start_host()
        self.gateway.ask("system.run", self.sleep())
        pid = await self.pid()
        self.gateway.cancel("invoke-1")
        await self.eventually(lambda: not is_alive(pid))
        await self.payload("system.which", {"bins": []})
        self.assertEqual(len(self.gateway.requests("node.invoke.result")), 1)

    async def test_a_lost_connection_ends_what_runs_and_comes_back(self) -> None:
        self.allow_all()
        await self.start_host()
        self.gateway.ask("system.run", self.sleep(), idempotencyKey="k")
        pid = await self.pid()
        self.gateway.connections[0].dropConnection(abort=True)
        await self.eventually(lambda: not is_alive(pid))
        await self.eventually(lambda: len(self.gateway.connects()) == 2)
        error = await self.error("system.run", self.sleep(), idempotencyKey="k")
        self.assertEqual(error["code"], "INTERRUPTED")
        await self.payload("system.run", {"command": ["echo"]}, idempotencyKey="l")

    async def test_stopping_ends_what_runs(self) -> None:
        self.allow_all()
        host = await self.start_host()
        self.gateway.ask("system.run", self.sleep())
        pid = await self.pid()
        await host.stop()
        self.assertFalse(is_alive(pid))

    async def test_waiting_for_approval_is_said_once_and_calmly(self) -> None:
        details = {"code": "PAIRING_REQUIRED", "requestId": "request-7"}
        self.gateway.refusal = {
            "code": "NOT_PAIRED", "message": "pairing required", "details": details,
        }  # fmt: skip
        await self.start_host(connect=False)
        await self.eventually(lambda: any("request-7" in line for line in self.lines))
        (line,) = [line for line in self.lines if "request-7" in line]
        self.assertIn("clawgw devices approve request-7", line)

    async def test_no_secret_is_in_the_log(self) -> None:
        self.allow_all()
        await self.start_host()
        params = {"command": ["echo", "argument-secret"], "env": {"TOKEN": "env-secret"}}
        await self.payload("system.run", params)
        await self.error("system.run", {**params, "env": {"LD_PRELOAD": "env-secret"}})
        said = "\n".join(self.lines)
        self.assertIn("echo", said)
        for secret in ("the-token", "argument-secret", "env-secret"):
            self.assertNotIn(secret, said)

    async def test_a_result_larger_than_the_gateway_takes(self) -> None:
        self.allow_all()
        self.gateway.max_payload = 100_000
        await self.start_host()
        error = await self.error("system.run", {"command": ["head", "-c", "99999", "/dev/zero"]})
        self.assertEqual(error["code"], "PAYLOAD_TOO_LARGE")

    async def test_a_large_result_arrives_whole(self) -> None:
        self.allow_all()
        await self.start_host()
        code = "import sys; sys.stdout.write('ä' * 90_000)"
        result = await self.gateway.ask("system.run", {"command": [sys.executable, "-c", code]})
        self.assertEqual(json.loads(result["payloadJSON"])["stdout"], "ä" * 90_000)

    async def test_it_looks_around_by_itself(self) -> None:
        tools = self.directory / "tools"
        tools.mkdir()
        await self.start_host(environ={"PATH": str(tools), "HOME": os.environ.get("HOME", "/")},
                              machine=Machine(platform="linux"))  # fmt: skip
        self.assertEqual(await self.payload("system.which", {"bins": ["sh"]}), {"bins": {}})


class LinkTests(HostTestCase):
    """What commands may know of the Gateway."""

    async def test_an_address_of_the_canvas_is_renewed(self) -> None:
        self.gateway.canvas_url = "http://canvas/first"
        answers: list[Any] = [
            {"surface": "canvas", "pluginSurfaceUrls": {"canvas": "http://canvas/second"}},
            {"pluginSurfaceUrls": {"canvas": "file:///etc/passwd"}}, "nonsense",
        ]  # fmt: skip
        self.gateway.methods["node.pluginSurface.refresh"] = lambda connection, frame: (
            connection.answer(frame, answers.pop(0))
            if answers else connection.refuse(frame, "INVALID_REQUEST", "unknown method")
        )  # fmt: skip
        host = await self.start_host()
        await self.payload("system.which", {"bins": []})
        for _ in range(4):
            await host._renew()
            self.assertEqual(host._link.canvas_url, "http://canvas/second")
        self.assertEqual(
            self.gateway.requests("node.pluginSurface.refresh"), [{"surface": "canvas"}] * 4
        )

    async def test_where_the_canvas_is(self) -> None:
        self.assertIsNone(GatewayLink().canvas_url)
        for protocol in (3, 4):
            self.gateway.canvas_url = f"http://canvas/{protocol}"
            host = await self.start_host(protocol=protocol)
            await self.payload("system.which", {"bins": []})
            self.assertEqual(host._link.canvas_url, f"http://canvas/{protocol}")
            self.assertEqual(host._link.protocol, protocol)
            await host.stop()
            await self.eventually(lambda: not self.gateway.connections)
