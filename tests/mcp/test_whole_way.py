"""The whole way: a message, the built-in agent, a scripted model that calls tools, an answer."""

from __future__ import annotations

import contextlib
import json
import uuid
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.agents.builtin.provider import FakeProvider, call, text
from tests.mcp.support import PIXEL
from tests.support.gateway import GatewayProcess
from tests.support.wire import Client, device

MAIN = "agent:main:main"
ANSWER_SECONDS = 240.0


class WholeWay(TestCase):
    """The Gateway is a process; the model's provider is this one."""

    timeout = 240

    async def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)
        self.provider = FakeProvider()
        self.addCleanup(self.provider.stop)

    async def start(self, config: dict[str, Any]) -> None:
        """Start a Gateway and connect."""
        self.gateway = GatewayProcess(self.directory / "state", config=config)
        self.addCleanup(lambda: deferToThread(self.gateway.stop))
        await deferToThread(self.gateway.start)
        identity = device(self.directory)
        self.operator = await deferToThread(
            Client, self.gateway.port, identity=identity, protocol=4, caps=("tool-events",)
        )
        self.addCleanup(self.operator.cut)

    def scripted(self) -> dict[str, Any]:
        """A configuration with the scripted model."""
        provider = {"api": "openai-completions", "baseUrl": self.provider.url, "apiKey": "k" * 20}
        return {
            "agents": {"defaults": {"model": {"primary": "acme/talker-1"}}},
            "models": {"providers": {"acme": provider}},
        }

    async def ask(self, message: str) -> str:
        """Say something; the answer."""
        return str(await deferToThread(self._ask, message))

    def _ask(self, message: str) -> str:
        sent = {"sessionKey": MAIN, "message": message, "idempotencyKey": str(uuid.uuid4())}
        run = self.operator.request("chat.send", sent)["runId"]
        over = self.operator.event(
            "chat",
            lambda one: one["runId"] == run and one["state"] in ("final", "error"),
            ANSWER_SECONDS,
        )["payload"]
        self.assertEqual(over["state"], "final", over)
        blocks = over["message"]["content"]
        return "".join(block["text"] for block in blocks if block["type"] == "text")

    def told(self) -> str:
        """What the model was told of its last tool call."""
        results = [m for m in self.provider.requests[-1]["messages"] if m["role"] == "tool"]
        return json.dumps(results[-1]["content"])

    async def test_a_page_is_drawn_looked_at_and_a_failure_is_told(self) -> None:
        await self.start(self.scripted())
        page = {"path": "index.html", "content": "<h1>Hello from the agent</h1>"}
        self.provider.script += [call("canvas_write", **page), text("I drew it.")]
        self.assertEqual(await self.ask("draw a page"), "I drew it.")
        written = self.gateway.state_dir / "canvas" / "index.html"
        self.assertEqual(written.read_text(), page["content"])
        offered = {tool["function"]["name"] for tool in self.provider.requests[0]["tools"]}
        self.assertLessEqual({"canvas_write", "nodes_invoke", "sessions_send"}, offered)
        self.assertIn("Written: index.html", self.told())

        dot = {"path": "dot.png", "content": PIXEL, "encoding": "base64"}
        self.provider.script += [
            call("canvas_write", **dot), call("canvas_read", path="dot.png"), text("A dot."),
        ]  # fmt: skip
        self.assertEqual(await self.ask("draw a dot and look at it"), "A dot.")
        seen = json.dumps(self.provider.requests[-1]["messages"])
        self.assertIn(f"data:image/png;base64,{PIXEL}", seen)

        self.provider.script += [
            call("nodes_invoke", nodeId="nobody", command="camera.snap"), text("There is none."),
        ]  # fmt: skip
        self.assertEqual(await self.ask("take a photo"), "There is none.")
        self.assertIn("not connected", self.told())

        tools = self.operator.payloads("agent", lambda one: one["stream"] == "tool")
        named = {one["data"]["name"] for one in tools}
        self.assertLessEqual({"canvas_write", "canvas_read", "nodes_invoke"}, named)

    async def test_the_local_model_takes_no_tools_so_none_are_started(self) -> None:
        await self.start({})
        self.assertTrue(await self.ask("hello"))
        started = [line for line in _commands_below(self.gateway.pid) if "builtin" in line]
        self.assertEqual(len(started), 1)
        self.assertFalse([line for line in _commands_below(self.gateway.pid) if "mcp" in line])


def _commands_below(pid: int) -> list[str]:
    """The command lines of a process's descendants."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        children = ""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
            children = (task / "children").read_text()
        for child in children.split():
            command = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            found += [command, *_commands_below(int(child))]
    return found
