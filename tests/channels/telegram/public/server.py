"""telegram-test-api in a process of its own, and the people who write to the bot through it.

It comes from npm, at the version pinned in `package-lock.json`, and is installed beside this file
the first time a test needs it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import treq
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone
from twisted.internet.protocol import ProcessProtocol
from twisted.web.client import HTTPConnectionPool

from tests.support import npm
from tests.support.ports import hold_port

HERE = Path(__file__).parent
READY_SECONDS = 30
TOKEN = "987654321:AAtoken-for-the-public-fake"


def install() -> None:
    """Install the server, unless it is there already.

    Raises:
        AssertionError: npm is missing, or failed.
    """
    npm.install(HERE, "telegram-test-api")


class PublicFake:
    """The server."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._pool = HTTPConnectionPool(reactor)
        self._process: _Node | None = None
        self.port = 0

    @property
    def api_root(self) -> str:
        """The address to configure."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> PublicFake:
        """Start it; returns when it listens."""
        node = shutil.which("node")
        assert node, "the Telegram tests need Node (Debian: apt-get install npm)"
        self.port = hold_port(self)
        self._process = _Node()
        self._reactor.spawnProcess(
            self._process, node, [node, str(HERE / "serve.cjs"), str(self.port)], env=None
        )
        self._process.ready.addTimeout(READY_SECONDS, self._reactor)
        await self._process.ready
        return self

    async def stop(self) -> None:
        """End it."""
        await self._pool.closeCachedConnections()
        if self._process is not None:
            await self._process.end()

    async def say(self, text: str, person: int = 1) -> None:
        """A person writes to the bot."""
        message = {
            "botToken": TOKEN, "text": text, "date": 1_790_000_000,
            "from": {"id": person, "first_name": "Ann", "username": "ann"},
            "chat": {"id": person, "type": "private", "first_name": "Ann", "username": "ann"},
        }  # fmt: skip
        await self._post("sendMessage", message)

    async def answers(self, person: int = 1) -> list[dict[str, Any]]:
        """What the bot has written to a person since this was last asked."""
        told = await self._post("getUpdates", {"token": TOKEN, "chatId": person})
        return [update["message"] for update in told["result"]]

    async def history(self) -> list[dict[str, Any]]:
        """Everything written so far, as it stands now."""
        told = await self._post("getUpdatesHistory", {"token": TOKEN})
        return [update["message"] for update in told["result"]]

    async def _post(self, path: str, body: Any) -> Any:
        response = await treq.post(f"{self.api_root}/{path}", json=body, pool=self._pool)
        return json.loads(await response.content())


class _Node(ProcessProtocol):
    def __init__(self) -> None:
        self.ready: Deferred[None] = Deferred()
        self._gone: Deferred[None] = Deferred()
        self._said = b""

    def outReceived(self, data: bytes) -> None:
        if not self.ready.called:
            self.ready.callback(None)

    def errReceived(self, data: bytes) -> None:
        self._said += data

    def processEnded(self, reason: Any) -> None:
        if not self.ready.called:
            self.ready.errback(AssertionError(f"telegram-test-api ended: {self._said!r}"))
        reason.trap(ProcessDone)
        self._gone.callback(None)

    async def end(self) -> None:
        assert self.transport is not None
        self.transport.closeStdin()
        await self._gone
