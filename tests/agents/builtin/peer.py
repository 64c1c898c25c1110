"""The Gateway's end of the pipes, for tests: starts the agent and speaks ACP with it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet import error, reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

Json = dict[str, Any]
ROOT = Path(__file__).parents[3]
LIMIT = 240.0  # seconds any single answer may take on a busy machine


class RpcError(Exception):
    """The agent answered with a JSON-RPC error."""

    def __init__(self, error: Json) -> None:
        super().__init__(error["message"])
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.data: Any = error.get("data")


class AgentPeer(ProcessProtocol):
    """A running agent process.

    ``updates`` holds every ``session/update`` in order, ``stray`` every message that is neither
    an update nor the answer to a request, ``junk`` every line that is not JSON.
    """

    def __init__(self) -> None:
        self.updates: list[Json] = []
        self.stray: list[Json] = []
        self.junk: list[bytes] = []
        self.stderr = b""
        self.everything = b""
        self.ended: Deferred[int | None] = Deferred()
        self._rest = b""
        self._ids = 0
        self._waiting: dict[int, Deferred[Json]] = {}
        self._watchers: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def request(self, method: str, **params: Any) -> Deferred[Json]:
        """Send a request; fires with its result, fails with :class:`RpcError`."""
        self._ids += 1
        answer: Deferred[Json] = Deferred().addTimeout(LIMIT, reactor)
        self._waiting[self._ids] = answer
        self.write({"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params})
        return answer

    def notify(self, method: str, **params: Any) -> None:
        self.write({"jsonrpc": "2.0", "method": method, "params": params})

    def write(self, message: object) -> None:
        self.write_line(json.dumps(message).encode())

    def write_line(self, line: bytes) -> None:
        self.transport.write(line + b"\n")

    def when(self, condition: Callable[[], bool]) -> Deferred[None]:
        """Fires when something arrived that makes the condition true."""
        watcher: Deferred[None] = Deferred().addTimeout(LIMIT, reactor)
        self._watchers.append((condition, watcher))
        self._check()
        return watcher

    async def start_session(self, **params: Any) -> str:
        await self.request("initialize", protocolVersion=1)
        result = await self.request("session/new", **{"cwd": "/", "mcpServers": [], **params})
        return str(result["sessionId"])

    def prompt(self, session: str, text: str, **params: Any) -> Deferred[Json]:
        blocks = [{"type": "text", "text": text}]
        return self.request("session/prompt", sessionId=session, prompt=blocks, **params)

    def of_kind(self, kind: str) -> list[Json]:
        """The updates of one kind, in order."""
        return [update for update in self.updates if update["sessionUpdate"] == kind]

    def said(self) -> str:
        """The answer so far."""
        return "".join(u["content"]["text"] for u in self.of_kind("agent_message_chunk"))

    def forget(self) -> None:
        self.updates.clear()

    def hang_up(self) -> Deferred[int | None]:
        """Close stdin; fires with the exit code."""
        self.transport.closeStdin()
        return self.ended

    def outReceived(self, data: bytes) -> None:
        self.everything += data
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._receive(line)
        self._check()

    def errReceived(self, data: bytes) -> None:
        self.stderr += data

    def processEnded(self, reason: Failure) -> None:
        for answer in list(self._waiting.values()):
            answer.errback(AssertionError(f"the agent ended: {self.stderr.decode()}"))
        self._waiting.clear()
        self.ended.callback(getattr(reason.value, "exitCode", None))

    def _receive(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            self.junk.append(line)
            return
        answer = self._waiting.pop(message.get("id"), None)
        if message.get("method") == "session/update":
            self.updates.append(message["params"]["update"])
        elif answer is None:
            self.stray.append(message)
        elif "error" in message:
            answer.errback(RpcError(message["error"]))
        else:
            answer.callback(message["result"])

    def _check(self) -> None:
        for entry in list(self._watchers):
            condition, watcher = entry
            if condition():
                self._watchers.remove(entry)
                watcher.callback(None)


def start(
    config: Json | str | None = None, *, environ: Mapping[str, str] | None = None
) -> AgentPeer:
    """Start ``python -m clawgw.agents.builtin`` with an environment that holds no key."""
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    env["PYTHONPATH"] = str(ROOT)
    if config is not None:
        env["CLAWGW_AGENT_CONFIG"] = config if isinstance(config, str) else json.dumps(config)
    env.update(environ or {})
    peer = AgentPeer()
    command = [sys.executable, "-m", "clawgw.agents.builtin"]
    reactor.spawnProcess(peer, command[0], command, env=env)
    return peer


async def end(peer: AgentPeer) -> None:
    """Make sure a process has gone, whatever state the test left it in."""
    if peer.ended.called:
        return
    with contextlib.suppress(error.ProcessExitedAlready):
        peer.transport.signalProcess("KILL")
    await peer.ended
