"""Runs with everything real but the sockets: a store on disk, agent processes, recorded events."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase

from clawgw.agents import answering
from clawgw.agents.acp import AcpAgent, refuse_permission
from clawgw.agents.prompts import Prompt
from clawgw.agents.roster import Roster
from clawgw.agents.runs import RunManager
from clawgw.config import parse_config
from clawgw.sessions.book import SessionBook
from clawgw.sessions.keys import SessionKeys
from clawgw.sessions.transcripts import read_page
from clawgw.store.database import SqliteDatabase
from clawgw.store.runs import Run
from tests.support.gateway import SCRIPTED_AGENT

WAIT_SECONDS = 60.0


class Recorder:
    """An `EventSink` that keeps what is published, as version 4 clients would get it."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.old: list[tuple[str, dict[str, Any]]] = []
        self.caps: list[str | None] = []

    def publish(self, name: str, payload: Any, *, v3: Any = None, **how: Any) -> None:
        """See `events.EventSink`."""
        self.events.append((name, msgspec.to_builtins(payload)))
        self.old.append((name, msgspec.to_builtins(payload if v3 is None else v3)))
        self.caps.append(how.get("cap"))

    def of(self, name: str) -> list[dict[str, Any]]:
        """The payloads of one event."""
        return [payload for event, payload in self.events if event == name]

    def chat(self, state: str) -> list[dict[str, Any]]:
        """The `chat` payloads in a state."""
        return [payload for payload in self.of("chat") if payload["state"] == state]

    def streams(self) -> list[str]:
        """The streams of all `agent` events, in order."""
        return [payload["stream"] for payload in self.of("agent")]


class RunsTestCase(TestCase):
    """A `RunManager` with scripted agents.

    `agents` names the configuration's agents: id to command.
    """

    timeout = 60
    agents: dict[str, list[str]] = {"main": [sys.executable, "-u", SCRIPTED_AGENT]}  # noqa: RUF012
    run_timeout = 15.0
    idle_seconds = 60.0
    environ: dict[str, str] = {"PATH": "/usr/local/bin:/usr/bin:/bin"}  # noqa: RUF012

    def setUp(self) -> None:
        """Make everything."""
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.patch(answering, "DRAIN_SECONDS", 1.0)
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.pool = ThreadPool(0, 2)
        self.pool.start()
        self.addCleanup(self.pool.stop)
        self.open()
        self.addCleanup(self.close)

    def open(self) -> None:
        """As a Gateway's start does."""
        listed = [{"id": name, "command": command} for name, command in self.agents.items()]
        config = parse_config(msgspec.json.encode({"agents": {"list": listed}}).decode())
        self.roster = Roster(config, self.directory.absolute(), self.environ)
        self.database = SqliteDatabase(self.reactor, self.pool, self.directory / "store.sqlite")
        self.recorder = Recorder()
        self.acp = {
            name: AcpAgent(
                self.reactor, self.roster.spec(name), self.idle_seconds, refuse_permission
            )
            for name in self.roster.ids
        }
        keys = SessionKeys(self.roster.default_id, self.roster.ids)
        self.book = SessionBook(
            self.database, keys, "store", self.roster.model_info,
            lambda: self.runs.active_sessions(), self.recorder, self.now_ms,
        )  # fmt: skip
        self.runs = RunManager(
            self.reactor, self.database, self.book, self.acp, self.recorder, self.run_timeout,
            self.now_ms,
        )  # fmt: skip

    async def close(self) -> None:
        """As a Gateway's stop does."""
        self.runs.stop()
        for agent in self.acp.values():
            await agent.stop()
        self.database.close()

    def now_ms(self) -> int:
        """The real time."""
        return int(self.reactor.seconds() * 1000)

    async def send(self, text: str, run_id: str, key: str = "main", **prompt: Any) -> Run:
        """Have a message accepted."""
        name = self.book.keys.parse(key)
        params = {"text": text, "key": key, **{k: repr(v) for k, v in prompt.items()}}
        return await self.runs.accept(
            "chat.send", params, name, key, Prompt(text, **prompt), run_id
        )

    async def ask(self, text: str, run_id: str, key: str = "main", **prompt: Any) -> Run:
        """Have a message answered; returns the run when it is over."""
        await self.send(text, run_id, key, **prompt)
        run = await self.runs.wait(run_id, int(WAIT_SECONDS * 1000))
        assert run is not None
        return run

    def transcript(self, key: str = "main") -> list[dict[str, Any]]:
        """A session's messages."""
        full = self.book.keys.parse(key).key
        _, page = self.database.read(read_page, full, version=4)
        return [msgspec.json.decode(message) for message in page.messages]

    async def until(self, condition: Any) -> None:
        """Wait until something holds, as long as a test may take."""
        deadline = self.reactor.seconds() + WAIT_SECONDS
        while not condition():
            if self.reactor.seconds() > deadline:
                self.fail("it did not come true")
            pause: Deferred[None] = deferLater(self.reactor, 0.01)
            await pause


def text_of(message: dict[str, Any]) -> str:
    """The text blocks of a message."""
    return "".join(b.get("text", "") for b in message["content"] if b["type"] == "text")
