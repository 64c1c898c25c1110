"""`clawgw node run` as a person runs it: a process of its own, on a real Gateway."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial import unittest

from clawgw.client import ClientOptions, GatewayClient, GatewayError
from clawgw.identity import load_or_create_identity
from tests.support.cli import Command, start
from tests.support.gateway import GatewayProcess, scripted_agents

PATIENCE = 60.0
TOKEN = "the-token-of-the-gateway"


class NodeRunTests(unittest.TestCase):
    """The command, the Gateway and an operator."""

    timeout = 240

    async def set_up(self, protocol: int) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="clawgw-node-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        config = {**scripted_agents(), "gateway": {"nodes": {"allowCommands": ["location.get"]}}}
        self.gateway = GatewayProcess(self.directory / "gateway", token=TOKEN, config=config)
        await deferToThread(self.gateway.start)
        self.addCleanup(deferToThread, self.gateway.stop)
        identity = load_or_create_identity(self.directory / "operator" / "device.pem")
        options = ClientOptions(url=self.gateway.ws_url, token=TOKEN, identity=identity)
        self.operator = GatewayClient(reactor, options)
        await self.operator.connect()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.operator.close()))
        node_dir = self.directory / "machine" / "node"
        node_dir.mkdir(parents=True)
        (node_dir / "node.json").write_text('{"location": {"latitude": 1.5, "longitude": 2.5}}')
        self.command = start(
            ["--url", self.gateway.ws_url, "--protocol", str(protocol), "node", "run",
             "--display-name", "Build"],
            self.directory / "machine",
            CLAWGW_GATEWAY_TOKEN=TOKEN,
        )  # fmt: skip
        self.addCleanup(self.command.stop)

    async def node(self, **facts: Any) -> dict[str, Any]:
        """The node's row in the Gateway's list, once it has these facts."""
        deadline = reactor.seconds() + PATIENCE  # type: ignore[attr-defined]
        while reactor.seconds() < deadline:  # type: ignore[attr-defined]
            for row in (await self.operator.request("node.list"))["nodes"]:
                if facts.items() <= row.items():
                    return dict(row)
            await deferLater(reactor, 0.1)
        raise AssertionError(f"no node like {facts}; it says: {self.command.err.decode()}")

    async def approved(self) -> str:
        """Approve what the node offers, where that is needed; its id."""
        row = await self.node(connected=True, displayName="Build")
        if row.get("pendingRequestId"):
            params = {"requestId": row["pendingRequestId"]}
            await self.operator.request("node.pair.approve", params)
        return str(row["nodeId"])

    async def invoke(self, node_id: str, command: str, params: Any) -> Any:
        answer = await self.operator.request(
            "node.invoke",
            {
                "nodeId": node_id,
                "command": command,
                "params": params,
                "timeoutMs": 60_000,
                "idempotencyKey": str(uuid.uuid4()),
            },
            timeout=70.0,
        )
        return answer["payload"]

    async def check(self, protocol: int) -> None:
        await self.set_up(protocol)
        node_id = await self.approved()
        found = await self.invoke(node_id, "system.which", {"bins": ["sh"]})
        self.assertEqual(found, {"bins": {"sh": shutil.which("sh")}})
        place = await self.invoke(node_id, "location.get", {})
        self.assertEqual((place["lat"], place["lon"]), (1.5, 2.5))

        with self.assertRaises(GatewayError) as denied:
            await self.run_unasked(node_id)
        self.assertIn("SYSTEM_RUN_DENIED", str(denied.exception))

        policy = await self.operator.request("exec.approvals.node.get", {"nodeId": node_id})
        echo = shutil.which("env")
        new = {"version": 1, "agents": {"main": {"allowlist": [{"pattern": echo}]}}}
        change: dict[str, Any] = {"nodeId": node_id, "file": new}
        if policy["exists"]:
            change["baseHash"] = policy["hash"]
        written = await self.operator.request("exec.approvals.node.set", change)
        self.assertEqual(written["file"]["agents"], new["agents"])
        result = await self.invoke(node_id, "system.run", {"command": ["env"]})
        self.assertEqual(result["exitCode"], 0)
        self.assertIn("PATH=", result["stdout"])
        self.assertNotIn(TOKEN, result["stdout"])
        await self.second(node_id)
        await self.ended(node_id)

    async def second(self, node_id: str) -> None:
        """Another one with the same key would take the connection away; it says so and ends."""
        other = start(["--url", self.gateway.ws_url, "node", "run"], self.directory / "machine")
        self.addCleanup(other.stop)
        result = await other.ended
        self.assertEqual(result.code, 2)
        self.assertIn("already runs", result.err)
        await self.invoke(node_id, "system.which", {"bins": []})

    async def run_unasked(self, node_id: str) -> None:
        """Ask for a program that is not listed; a person, if one is asked, says no."""

        def decide(name: str, payload: Any, _seq: int | None) -> None:
            if name == "exec.approval.requested":
                params = {"id": payload["id"], "decision": "deny"}
                Deferred.fromCoroutine(self.operator.request("exec.approval.resolve", params))

        stop = self.operator.subscribe(decide)
        try:
            await self.invoke(node_id, "system.run", {"command": ["id"]})
        finally:
            stop()

    async def ended(self, node_id: str) -> None:
        self.command.signal("TERM")
        result = await self.command.ended
        self.assertEqual((result.code, result.out), (0, ""), result.err)
        self.assertIn("Connected to the Gateway", result.err)
        self.assertNotIn("Traceback", result.err)
        self.assertNotIn(TOKEN, result.err)
        await self.node(nodeId=node_id, connected=False)

    async def test_protocol_4(self) -> None:
        await self.check(4)

    async def test_protocol_3(self) -> None:
        await self.check(3)

    async def test_a_gateway_that_restarts(self) -> None:
        await self.set_up(4)
        node_id = await self.approved()
        await deferToThread(self.gateway.kill)
        await deferToThread(self.gateway.start)
        await self.operator.connect()
        await self.node(nodeId=node_id, connected=True)
        found = await self.invoke(node_id, "system.which", {"bins": ["sh"]})
        self.assertEqual(set(found["bins"]), {"sh"})
        await self.ended(node_id)


class MistakeTests(unittest.TestCase):
    """What is wrong is said in a sentence, and ends it."""

    async def fails(self, *arguments: str, word: str, setup: Any = None) -> None:
        directory = Path(self.mktemp()).resolve()
        directory.mkdir()
        if setup:
            setup(directory)
        command: Command = start(["node", "run", *arguments], directory)
        self.addCleanup(command.stop)
        result = await command.ended
        self.assertEqual(result.code, 2, result.err)
        self.assertIn(word, result.err)
        self.assertNotIn("Traceback", result.err)

    async def test_node_json(self) -> None:
        def setup(directory: Path) -> None:
            (directory / "node").mkdir()
            (directory / "node/node.json").write_text('{"displayname": "x"}')

        await self.fails(word="displayname", setup=setup)

    async def test_a_key_that_is_none(self) -> None:
        def setup(directory: Path) -> None:
            (directory / "node").mkdir()
            (directory / "node/device.pem").write_text("no key")

        await self.fails(word="device.pem", setup=setup)

    async def test_a_directory_that_cannot_be_made(self) -> None:
        await self.fails("--node-dir", f"{sys.executable}/x", word=os.path.basename(sys.executable))
