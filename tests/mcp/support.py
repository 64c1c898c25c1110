"""Tests of the tools as an agent meets them: a real Gateway, the official MCP client, stdio.

Everything blocks: the Gateway is a process of its own, and the MCP client has its own event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp.client.session import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client
from twisted.trial.unittest import SynchronousTestCase

from tests.support.gateway import GatewayProcess
from tests.support.wire import Client, connect_params, device

AGENT = str(Path(__file__).with_name("agent.py"))
LIMIT = 120.0
PIXEL = (  # the smallest PNG there is
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Tools:
    """What a model sees of a session's tools.

    Args:
        session: the client's side of MCP.
    """

    def __init__(self, session: ClientSession) -> None:
        self.session = session

    async def names(self) -> set[str]:
        """The tools that are listed."""
        return {tool.name for tool in (await self.session.list_tools()).tools}

    async def result(self, name: str, **arguments: Any) -> types.CallToolResult:
        """Call a tool."""
        answer = await self.session.call_tool(name, arguments, read_timeout_seconds=LIMIT)
        assert isinstance(answer, types.CallToolResult)
        return answer

    async def text(self, name: str, **arguments: Any) -> str:
        """Call a tool that works; the text it answers."""
        answer = await self.result(name, **arguments)
        assert not answer.is_error, answer
        return _text(answer)

    async def failure(self, name: str, **arguments: Any) -> str:
        """Call a tool that fails; the sentence."""
        answer = await self.result(name, **arguments)
        assert answer.is_error, answer
        return _text(answer)


def _text(answer: types.CallToolResult) -> str:
    return "\n".join(one.text for one in answer.content if isinstance(one, types.TextContent))


@contextlib.asynccontextmanager
async def tools_of(server: dict[str, Any]) -> AsyncIterator[Tools]:
    """Start a server as an agent does, and speak with it."""
    parameters = StdioServerParameters(
        command=server["command"],
        args=server["args"],
        env={variable["name"]: variable["value"] for variable in server["env"]},
    )
    async with stdio_client(parameters) as streams, ClientSession(*streams) as session:
        await session.initialize()
        yield Tools(session)


class ToolsTestCase(SynchronousTestCase):
    """A Gateway with the agents `main`, `other` and `plain` (which has few tools)."""

    timeout = 240
    config: dict[str, Any] = {}  # noqa: RUF012

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)
        self.tools_file = self.directory / "tools.jsonl"
        self.gateway = GatewayProcess(self.directory / "state", config=self.settings())
        self.addCleanup(self.gateway.stop)
        self.gateway.start()
        self.operator = self.connect()

    def settings(self) -> dict[str, Any]:
        """The configuration."""
        agents = [
            {
                "id": name,
                "command": [sys.executable, "-u", AGENT],
                "env": {"TOOLS_FILE": str(self.tools_file)},
                **more,
            }
            for name, more in self.agents().items()
        ]
        return {"agents": {"list": agents}, **self.config}

    def agents(self) -> dict[str, dict[str, Any]]:
        """The agents and what is special about them."""
        return {"main": {}, "other": {}, "plain": {"tools": {"deny": ["nodes", "canvas_*"]}}}

    def connect(self, **more: Any) -> Client:
        """An operator."""
        identity = device(self.directory, "operator")
        client = Client(
            self.gateway.port,
            identity=identity,
            protocol=4,
            tls=bool(self.gateway.scheme),
            **more,
        )
        self.addCleanup(client.cut)
        return client

    def say(self, key: str, text: str) -> str:
        """Send a message to a session; returns the run's id."""
        answer = self.operator.request(
            "chat.send", {"sessionKey": key, "message": text, "idempotencyKey": str(uuid.uuid4())}
        )
        return str(answer["runId"])

    def ask(self, key: str, text: str) -> None:
        """Send a message and wait for the end of its run."""
        run = self.say(key, text)
        self.operator.event("chat", lambda one: one["runId"] == run and one["state"] == "final")

    def servers(self) -> list[list[dict[str, Any]]]:
        """The tool servers the agents were told of, session by session."""
        if not self.tools_file.exists():
            return []
        *lines, _ = self.tools_file.read_text().split("\n")  # the last is empty, or not yet whole
        return [json.loads(line)["servers"] for line in lines]

    def server_of(self, key: str, text: str = "hello") -> dict[str, Any]:
        """Open a session with a message; the tool server it got."""
        self.ask(key, text)
        (server,) = self.servers()[-1]
        return server

    def hold(self, key: str) -> dict[str, Any]:
        """Have a turn go on in a new session; the tool server it got."""
        before = len(self.servers())
        self.say(key, "HOLD")
        self.wait_for_servers(before + 1)
        self.addCleanup(self.operator.request, "chat.abort", {"sessionKey": key})
        (server,) = self.servers()[-1]
        return server

    def wait_for_servers(self, number: int) -> None:
        """Wait until so many sessions were opened."""
        deadline = time.monotonic() + LIMIT
        while len(self.servers()) < number:
            self.assertLess(time.monotonic(), deadline, "no session was opened")
            time.sleep(0.02)

    def with_tools(self, server: dict[str, Any], work: Callable[[Tools], Awaitable[Any]]) -> Any:
        """Do something as the agent of a session."""

        outcome: list[Any] = []  # an exception in there would come out in groups of groups

        async def job() -> None:
            async with tools_of(server) as tools:
                try:
                    outcome.append(await work(tools))
                except Exception as problem:  # noqa: BLE001 - raised below
                    outcome.append(problem)

        asyncio.run(asyncio.wait_for(job(), LIMIT * 2))
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    def history(self, key: str) -> str:
        """Everything said in a session."""
        messages = self.operator.request("chat.history", {"sessionKey": key})["messages"]
        return "\n".join(block.get("text", "") for one in messages for block in one["content"])


def variable(server: dict[str, Any], name: str) -> str:
    """A variable of a server's environment."""
    return str(next(one["value"] for one in server["env"] if one["name"] == name))


def token_of(server: dict[str, Any]) -> str:
    """The token of a session."""
    return variable(server, "CLAWGW_MCP_TOKEN")


class Bound(Client):
    """A client that shows the token of a session, as somebody who stole it would.

    Args:
        port: the Gateway's.
        session_token: what is shown.
        changes: other fields of `connect`.
    """

    def __init__(self, port: int, session_token: str, **changes: Any) -> None:
        self._session_token = session_token
        self._changes = changes
        super().__init__(port, token=None, protocol=4)

    def request(self, method: str, params: Any = None, timeout: float = LIMIT) -> Any:
        """See `Client`."""
        if method == "connect":
            auth = {"agentRuntimeIdentityToken": self._session_token}
            params = {**connect_params("", token=None, protocol=4), "auth": auth, **self._changes}
        return super().request(method, params, timeout)


class FakeNode:
    """A node that answers what a test says, from a thread.

    Args:
        port: the Gateway's.
        directory: where its key is.
        answers: the payload by command, or what makes it of the parameters; an exception is a
            failure.
    """

    def __init__(
        self, port: int, directory: Path, answers: dict[str, Any], *, platform: str = "ios"
    ) -> None:
        self.asked: list[dict[str, Any]] = []
        self._answers = answers
        self.identity = device(directory, "node")
        self._client = _NodeClient(port, self.identity, list(answers), platform)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def node_id(self) -> str:
        """Its id."""
        return self.identity.device_id

    def stop(self) -> None:
        """Hang up."""
        self._client.cut()
        self._thread.join(LIMIT)

    def _serve(self) -> None:
        with contextlib.suppress(Exception):
            while True:
                frame = self._client.event("node.invoke.request", timeout=3600)
                self._client.events.remove(frame)
                self._answer(frame["payload"])

    def _answer(self, request: dict[str, Any]) -> None:
        self.asked.append(request)
        answer = self._answers[request["command"]]
        if callable(answer):
            answer = answer(json.loads(request["paramsJSON"]))
        result: dict[str, Any] = {"id": request["id"], "nodeId": request["nodeId"], "ok": True}
        if isinstance(answer, Exception):
            result |= {"ok": False, "error": {"code": "FAILED", "message": str(answer)}}
        else:
            result["payloadJSON"] = json.dumps(answer)
        self._client.post("node.invoke.result", result)


class _NodeClient(Client):
    def __init__(self, port: int, identity: Any, commands: list[str], platform: str) -> None:
        self._commands = commands
        about = {"id": "node-host", "mode": "node", "platform": platform, "displayName": "Phone"}
        super().__init__(
            port, identity=identity, protocol=3, role="node", scopes=(), client=about,
        )  # fmt: skip

    def request(self, method: str, params: Any = None, timeout: float = LIMIT) -> Any:
        """See `Client`."""
        if method == "connect":
            params = {**params, "caps": ["camera", "canvas"], "commands": self._commands}
        return super().request(method, params, timeout)
