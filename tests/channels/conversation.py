"""Channels as the Gateway wires them, with toy accounts, an agent of the test's and no disk.

Everything happens at once: the store is in memory, threads are none, the clock is the test's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, execute
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from clawgw import pump
from clawgw.agents.acp import Capabilities, TurnResult
from clawgw.agents.runs import RunManager
from clawgw.approvals.book import ApprovalBook
from clawgw.channels import assembly, status
from clawgw.channels.account import Account
from clawgw.channels.assembly import Channels, Needs
from clawgw.channels.messages import Inbound
from clawgw.channels.providers import Configured
from clawgw.config import Config, parse_config
from clawgw.methods import MethodTable
from clawgw.protocol.approvals import ExecRequest
from clawgw.sessions.book import ModelInfo, SessionBook
from clawgw.sessions.keys import SessionKeys
from clawgw.sessions.methods import SessionMethods
from clawgw.store import runs as run_table
from clawgw.store.database import StoreError
from tests.channels.support import TOY, ToyAdapter, ToySettings
from tests.support.memory import Caller, MemoryDatabase, MsClock, RecordedEvents

OPEN = {"dmPolicy": "open", "allowFrom": ["*"]}


class _Pool:
    """A thread pool without threads."""

    def callInThreadWithCallback(self, on_result: Any, work: Any, *args: Any, **kw: Any) -> None:
        """See `ThreadPool`."""
        try:
            result = work(*args, **kw)
        except Exception:  # noqa: BLE001 - as a thread pool does
            on_result(False, Failure())
        else:
            on_result(True, result)


class PoolClock(MsClock):
    """A clock that is also as much of a reactor as runs need."""

    def getThreadPool(self) -> _Pool:
        """See `IReactorThreads`."""
        return _Pool()

    def callFromThread(self, work: Callable[..., Any], *args: Any) -> None:
        """See `IReactorFromThreads`."""
        work(*args)


class Turn:
    """What the agent was asked, and how the test lets it answer."""

    def __init__(self, blocks: Any, update: Callable[[dict[str, Any]], None]) -> None:
        self.text = "\n".join(block.get("text", f"<{block['type']}>") for block in blocks)
        self._update = update
        self.over: Deferred[TurnResult] = Deferred()

    def say(self, text: str) -> None:
        """A piece of the answer."""
        content = {"type": "text", "text": text}
        self._update({"sessionUpdate": "agent_message_chunk", "content": content})

    def end(self, text: str = "") -> None:
        """The rest of the answer, and its end."""
        if text:
            self.say(text)
        self.over.callback(TurnResult("end_turn", 3, 5))

    def fail(self, problem: Exception) -> None:
        """It does not come to an end."""
        self.over.errback(problem)


class ToyAgent:
    """As much of an `AcpAgent` as runs need."""

    capabilities = Capabilities()

    def __init__(self) -> None:
        self.turns: list[Turn] = []

    async def open_session(self, session_id: str, remembered: str | None) -> str:
        """See `AcpAgent`."""
        return f"agent-{session_id}"

    async def prompt(self, session: str, blocks: Any, meta: Any, update: Any) -> TurnResult:
        """See `AcpAgent`."""
        turn = Turn(blocks, update)
        self.turns.append(turn)
        return await turn.over

    def cancel(self, session: str) -> None:
        """See `AcpAgent`."""
        self.turns[-1].over.callback(TurnResult("cancelled"))

    def kill(self, why: str) -> None:
        """See `AcpAgent`."""

    def hold(self) -> None:
        """See `AcpAgent`."""

    def release(self) -> None:
        """See `AcpAgent`."""

    def forget_session(self, session_id: str) -> None:
        """See `AcpAgent`."""


class ConversationCase(SynchronousTestCase):
    """Toy accounts, and the agents `main` and `work`.

    Attributes:
        settings: of the accounts, by name, as the file has them.
    """

    config: dict[str, Any] = {}  # noqa: RUF012
    settings: dict[str, dict[str, Any]] = {"default": OPEN}  # noqa: RUF012

    def setUp(self) -> None:
        self.clock = PoolClock()
        self.database = MemoryDatabase()
        self.directory = Path(self.mktemp()).absolute()
        self.workspace = self.directory / "workspace"
        self.workspace.mkdir(parents=True)
        self.patch(pump, "SLICE_SECONDS", 60.0)  # however slow the machine is
        self.patch(assembly, "accounts_of", lambda _: self.configured())
        self.patch(status, "PROVIDERS", (TOY,))
        self.remembered: list[ExecRequest] = []
        self.open()

    def configured(self) -> list[Configured]:
        """The accounts of the configuration."""
        return [
            Configured(TOY, name, msgspec.convert(settings, ToySettings))
            for name, settings in self.settings.items()
        ]

    def parsed(self, **more: Any) -> Config:
        """The configuration, but for the accounts."""
        agents = [{"id": "main"}, {"id": "work"}]
        config = {"agents": {"list": agents}, **self.config, **more}
        return parse_config(msgspec.json.encode(config).decode())

    def open(self) -> None:
        """As a start of the Gateway does; also after a crash."""
        if hasattr(self, "runs"):
            self.runs.stop()  # or it would begin what waits when it is collected as garbage
        now_ms = self.clock.now_ms
        self.events = RecordedEvents()
        self.agents = {"main": ToyAgent(), "work": ToyAgent()}
        agents: Any = self.agents
        keys = SessionKeys("main", ["main", "work"])
        self.book = SessionBook(
            self.database, keys, "store", lambda *_: ModelInfo("toy", "toy", 1000),
            lambda: self.runs.active_sessions(), self.events, now_ms,
        )  # fmt: skip
        self.runs = RunManager(
            self.clock, self.database, self.book, agents, self.events, 600.0, now_ms
        )
        self.addCleanup(self.runs.stop)
        sessions = SessionMethods(
            self.database, self.book, self.runs,
            lambda agent, session: self.agents[agent].forget_session(session), now_ms,
        )  # fmt: skip
        self.approvals = ApprovalBook(self.clock, self.database, self.events, self.remember, now_ms)
        self.changes = 0
        self.channels = Channels(
            self.parsed(),
            Needs(
                reactor=self.clock,
                database=self.database,
                runs=self.runs,
                approvals=self.approvals,
                events=self.events,
                keys=keys,
                state_dir=self.directory,
                roots=(self.workspace,),
                environ={},
                in_thread=execute,
                reset=sessions.begin_anew,
                changed=self.changed,
                now_ms=now_ms,
            ),
        )
        self.approvals.on_asked = self.channels.asked
        self.table = MethodTable()
        self.channels.register(self.table)
        self.successResultOf(self.runs.recover())
        self.do(self.channels.start())

    async def remember(self, request: ExecRequest) -> None:
        """See `ApprovalBook`."""
        self.remembered.append(request)

    def changed(self) -> None:
        """See `Needs`."""
        self.changes += 1

    def do(self, work: Any) -> Any:
        """What has its result at once."""
        return self.successResultOf(Deferred.fromCoroutine(work))

    # Accounts

    def account(self, name: str = "default") -> Account:
        """An account that runs."""
        found = self.channels.hub.find("toy", name)
        assert found is not None
        return found

    @property
    def adapter(self) -> ToyAdapter:
        """The default account's."""
        adapter = self.account().adapter
        assert isinstance(adapter, ToyAdapter)
        return adapter

    def fail_second_write(self) -> None:
        """The disk is full once, at the second write from now."""
        writes = 0
        write = self.database.write

        def failing(change: Any, *args: Any, **kw: Any) -> Deferred[Any]:
            nonlocal writes
            writes += 1
            if writes == 2:
                self.database.fail_next = StoreError("disk full")
            return write(change, *args, **kw)

        self.patch(self.database, "write", failing)

    def hear(self, *messages: Inbound, account: str = "default") -> None:
        """Messages come in."""
        self.do(self.account(account).received(messages))

    @property
    def sent(self) -> list[str]:
        """What went out through the default account."""
        return self.adapter.texts

    # Agents

    @property
    def turns(self) -> list[Turn]:
        """What the agent `main` was asked."""
        return self.agents["main"].turns

    def outbox(self) -> list[tuple[str, str]]:
        """Key and state of everything in the outbox."""
        rows = self.database.connection.execute("SELECT key, state FROM outbox ORDER BY seq")
        return [(key, state) for key, state in rows.fetchall()]

    def inbox(self) -> list[str]:
        """What became of each message."""
        rows = self.database.connection.execute("SELECT state FROM inbox ORDER BY seq")
        return [state for (state,) in rows.fetchall()]

    def run_states(self) -> list[str]:
        """How each run is doing."""
        rows = self.database.connection.execute("SELECT state FROM runs ORDER BY rowid")
        return [state for (state,) in rows.fetchall()]

    def run_of(self, run_id: str) -> run_table.Run:
        """A run."""
        found = self.database.read(run_table.get, run_id)
        assert found is not None
        return found

    # Methods

    def begin(self, method: str, caller: Caller | None = None, **params: Any) -> Deferred[Any]:
        """Call a method."""
        found = self.table.find(method)
        decoded = found.decoder.decode(msgspec.json.encode(params))
        result = found.handler(caller or Caller(), decoded)
        if hasattr(result, "send"):
            result = Deferred.fromCoroutine(result)
        elif not isinstance(result, Deferred):
            result = execute(lambda: result)
        return result.addCallback(msgspec.to_builtins)

    def call(self, method: str, caller: Caller | None = None, **params: Any) -> Any:
        """What a method answers."""
        return self.successResultOf(self.begin(method, caller, **params))

    def refusal(self, method: str, caller: Caller | None = None, **params: Any) -> Any:
        """The error a method answers."""
        return self.failureResultOf(self.begin(method, caller, **params)).value
