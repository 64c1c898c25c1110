"""The Gateway's side of the Agent Client Protocol (ACP, version 1; agentclientprotocol.com).

An agent is a process. It is started when a session first needs it, shared by all sessions, and
stopped when none has needed it for a while. When it dies, the turns it was in fail with the
reason, and the next one starts it again; only an agent that keeps failing to start is left alone
for a growing moment, and says so.

A session of the Gateway is one session of the agent. The agent's id for it is remembered in the
store, so that an agent that can load sessions goes on where it was after a restart. With each
session the agent is told of the tools it has there, as MCP servers (`mcpServers`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from clawgw import __version__
from clawgw.agents.roster import AgentSpec
from clawgw.jsonrpc import METHOD_NOT_FOUND, JsonRpcProcess, ProcessGone, RpcError, RpcTimeout

PROTOCOL_VERSION = 1
START_SECONDS = 60.0
SESSION_SECONDS = 60.0
MAX_START_DELAY = 30.0
FREE_FAILURES = 2

OnUpdate = Callable[[dict[str, Any]], None]
OnPermission = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class SessionServers(Protocol):
    """Says which MCP servers sessions have."""

    def servers(self, session_id: str) -> list[dict[str, Any]]:
        """ACP's `mcpServers` for one of our sessions; what it had before is void."""

    def closed(self, agent_id: str) -> None:
        """An agent's process has ended, and with it the servers of all its sessions."""


class NoServers:
    """`SessionServers` where there are none."""

    def servers(self, session_id: str) -> list[dict[str, Any]]:
        """None."""
        return []

    def closed(self, agent_id: str) -> None:
        """Nothing to do."""


class AgentUnavailable(Exception):
    """The agent cannot take a turn; the message tells a person why."""


class Capabilities(NamedTuple):
    """What an agent said it can do."""

    load_session: bool = False
    images: bool = False
    audio: bool = False
    embedded_context: bool = False


class TurnResult(NamedTuple):
    """How a turn ended by itself: ACP's stop reason, and tokens where the agent counts them."""

    stop_reason: str
    input_tokens: int = 0
    output_tokens: int = 0


class AcpAgent:
    """One agent, running or not.

    Args:
        reactor: starts the process, knows the time.
        spec: which program.
        idle_seconds: how long it may be unused before it is stopped.
        permit: decides what the agent asks permission for.
        servers: the MCP servers its sessions get.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        spec: AgentSpec,
        idle_seconds: float,
        permit: OnPermission,
        servers: SessionServers | None = None,
    ) -> None:
        self._reactor = reactor
        self._spec = spec
        self._idle_seconds = idle_seconds
        self._permit = permit
        self._servers = servers or NoServers()
        self._process: JsonRpcProcess | None = None
        self._starting: list[Deferred[None]] | None = None
        self._updates: dict[str, OnUpdate] = {}
        self._known: dict[str, str] = {}  # our session id -> the agent's, in this process
        self._in_use = 0
        self._idle_call: Any = None
        self._failures = 0
        self._blocked_until = 0.0
        self._stopped = False
        self.capabilities = Capabilities()

    async def open_session(self, session_id: str, remembered: str | None) -> str:
        """The agent's session for one of ours: the one it has, loaded, or new.

        Args:
            session_id: ours.
            remembered: the agent's, from an earlier life of its process.

        Raises:
            AgentUnavailable: it cannot be started, or has no session for us.
        """
        await self._ensure_running()
        known = self._known.get(session_id)
        if known is not None:
            return known
        place: dict[str, Any] = {
            "cwd": self._spec.workspace,
            "mcpServers": self._servers.servers(session_id),
        }
        opened = None
        if remembered is not None and self.capabilities.load_session:
            opened = await self._load(remembered, place)
        if opened is None:
            opened = await self._new(place)
        self._known[session_id] = opened
        return opened

    def forget_session(self, session_id: str) -> None:
        """Our session was reset: its next turn opens another one."""
        self._known.pop(session_id, None)

    async def prompt(
        self,
        agent_session: str,
        blocks: Sequence[Mapping[str, Any]],
        meta: Mapping[str, Any],
        on_update: OnUpdate,
    ) -> TurnResult:
        """One turn.

        Args:
            agent_session: from `open_session`.
            blocks: ACP content blocks.
            meta: our own hints, in `_meta.clawgw`.
            on_update: hears every `session/update` of the turn.

        Raises:
            AgentUnavailable: it ended with an error, or the process died.
        """
        process = self._process
        if process is None:
            raise AgentUnavailable(f"{self._title} is not running")
        params: dict[str, Any] = {"sessionId": agent_session, "prompt": list(blocks)}
        if meta:
            params["_meta"] = {"clawgw": dict(meta)}
        self._updates[agent_session] = on_update
        try:
            return _turn_result(await process.request("session/prompt", params))
        except RpcError as problem:
            raise AgentUnavailable(str(problem)) from None
        except ProcessGone as gone:
            raise AgentUnavailable(
                f"{self._title} stopped while it was answering: {gone}"
            ) from None
        finally:
            if self._updates.get(agent_session) is on_update:
                del self._updates[agent_session]

    def cancel(self, agent_session: str) -> None:
        """Ask the agent to end the turn of a session."""
        if self._process is not None:
            self._process.notify("session/cancel", {"sessionId": agent_session})

    def kill(self, why: str) -> None:
        """End a process that does not end its turn."""
        if self._process is not None:
            self._process.kill(why)

    def hold(self) -> None:
        """A turn begins: the process is needed."""
        self._in_use += 1
        if self._idle_call is not None:
            self._idle_call.cancel()
            self._idle_call = None

    def release(self) -> None:
        """A turn ended: after a while unused, the process is stopped."""
        self._in_use -= 1
        if self._in_use == 0 and self._process is not None and not self._stopped:
            self._idle_call = self._reactor.callLater(self._idle_seconds, self._idle)

    async def stop(self) -> None:
        """Stop the process for good."""
        self._stopped = True
        if self._idle_call is not None:
            self._idle_call.cancel()
            self._idle_call = None
        if self._process is not None:
            await self._process.stop()

    # The process

    @property
    def _title(self) -> str:
        return f"the agent {self._spec.agent_id!r}"

    def _idle(self) -> None:
        self._idle_call = None
        if self._process is not None and self._in_use == 0:
            self.log.info("{agent}: unused, stopping it", agent=self._spec.agent_id)
            self._process.stop()

    async def _ensure_running(self) -> None:
        while self._process is not None and self._starting is None and self._process.ending:
            await self._process.ended  # one at a time: both would write the same sessions
        if self._stopped:
            raise AgentUnavailable("the Gateway is shutting down")
        if self._process is not None and self._starting is None:
            return
        if self._starting is not None:
            waiting: Deferred[None] = Deferred()
            self._starting.append(waiting)
            await waiting
            return
        wait = self._blocked_until - self._reactor.seconds()
        if wait > 0:
            raise AgentUnavailable(
                f"{self._title} failed to start {self._failures} times in a row; "
                f"it will be tried again in {max(1, round(wait))} s"
            )
        self._starting = []
        try:
            await self._start()
        except AgentUnavailable as problem:
            self._count_failure()
            self._settle_starting(problem)
            raise
        self._failures = 0
        self._settle_starting(None)

    def _settle_starting(self, problem: AgentUnavailable | None) -> None:
        waiting, self._starting = self._starting or [], None
        for deferred in waiting:
            if problem is None:
                deferred.callback(None)
            else:
                deferred.errback(problem)

    def _count_failure(self) -> None:
        self._failures += 1
        if self._failures > FREE_FAILURES:
            delay = min(MAX_START_DELAY, 2.0 ** (self._failures - FREE_FAILURES - 1))
            self._blocked_until = self._reactor.seconds() + delay

    async def _start(self) -> None:
        process = JsonRpcProcess(
            self._reactor,
            f"agent {self._spec.agent_id}",
            on_request=self._requested,
            on_notification=self._notified,
            on_exit=lambda why: self._exited(process),
        )
        try:
            Path(self._spec.workspace).mkdir(parents=True, exist_ok=True)
            process.start(self._spec.command, env=self._spec.env, cwd=self._spec.workspace)
        except (ProcessGone, OSError) as problem:
            raise AgentUnavailable(f"{self._title} cannot be started: {problem}") from None
        self._process = process
        try:
            answer = await process.request(
                "initialize",
                {
                    "protocolVersion": PROTOCOL_VERSION,
                    "clientCapabilities": {
                        "fs": {"readTextFile": False, "writeTextFile": False},
                        "terminal": False,
                    },
                    "clientInfo": {"name": "clawgw", "title": "clawgw", "version": __version__},
                },
                timeout=START_SECONDS,
            )
        except (RpcError, RpcTimeout, ProcessGone) as problem:
            process.kill("it did not start")
            raise AgentUnavailable(f"{self._title} cannot be started: {problem}") from None
        self.capabilities = _capabilities(answer)

    def _exited(self, process: JsonRpcProcess) -> None:
        if self._process is process:
            self._process = None
            self._known.clear()
            self._updates.clear()
            self._servers.closed(self._spec.agent_id)

    async def _load(self, remembered: str, place: dict[str, Any]) -> str | None:
        try:
            await self._ask("session/load", {"sessionId": remembered, **place})
        except (RpcError, RpcTimeout) as problem:
            self.log.info(
                "{agent}: cannot go on with a session, begins anew: {why}",
                agent=self._spec.agent_id,
                why=str(problem)[:200],
            )
            return None
        return remembered

    async def _new(self, place: dict[str, Any]) -> str:
        try:
            answer = await self._ask("session/new", place)
        except (RpcError, RpcTimeout) as problem:
            raise AgentUnavailable(f"{self._title} refuses a session: {problem}") from None
        session_id = answer.get("sessionId") if isinstance(answer, dict) else None
        if not isinstance(session_id, str) or not session_id:
            raise AgentUnavailable(f"{self._title} gave no session id")
        return session_id

    async def _ask(self, method: str, params: dict[str, Any]) -> Any:
        if self._process is None:
            raise AgentUnavailable(f"{self._title} is not running")
        try:
            return await self._process.request(method, params, timeout=SESSION_SECONDS)
        except ProcessGone as gone:
            raise AgentUnavailable(f"{self._title} stopped: {gone}") from None

    # What the agent says and asks

    def _notified(self, method: str, params: dict[str, Any]) -> None:
        if method == "session/update":
            listener = self._updates.get(str(params.get("sessionId")))
            update = params.get("update")
            if listener is not None and isinstance(update, dict):
                listener(update)

    async def _requested(self, method: str, params: dict[str, Any]) -> Any:
        if method == "session/request_permission":
            return await self._permit(params)
        raise RpcError(METHOD_NOT_FOUND, f"the Gateway has no {method}")


async def refuse_permission(params: dict[str, Any]) -> dict[str, Any]:
    """Say no to whatever an agent asks permission for, the way it offers to be told."""
    options = params.get("options")
    for option in options if isinstance(options, list) else []:
        if isinstance(option, dict) and option.get("kind") == "reject_once":
            return {"outcome": {"outcome": "selected", "optionId": option.get("optionId")}}
    return {"outcome": {"outcome": "cancelled"}}


def _capabilities(answer: Any) -> Capabilities:
    said = answer.get("agentCapabilities") if isinstance(answer, dict) else None
    said = said if isinstance(said, dict) else {}
    prompt = said.get("promptCapabilities")
    prompt = prompt if isinstance(prompt, dict) else {}
    return Capabilities(
        load_session=said.get("loadSession") is True,
        images=prompt.get("image") is True,
        audio=prompt.get("audio") is True,
        embedded_context=prompt.get("embeddedContext") is True,
    )


def _turn_result(answer: Any) -> TurnResult:
    said = answer if isinstance(answer, dict) else {}
    usage = said.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    reason = said.get("stopReason")
    return TurnResult(
        stop_reason=reason if isinstance(reason, str) else "end_turn",
        input_tokens=_count(usage.get("inputTokens")),
        output_tokens=_count(usage.get("outputTokens")),
    )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
