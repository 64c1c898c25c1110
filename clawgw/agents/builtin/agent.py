"""The ACP side: what the Gateway asks, and who answers it.

``initialize`` is answered at once; the model library (and the local model, if it is the one
configured) is loaded meanwhile in a thread, and the first turn waits for it. Sessions are
independent of each other; within a session one turn runs at a time.

Methods and types are those of the Agent Client Protocol, version 1. Beyond it:

* ``_meta.clawgw.model`` of ``session/prompt``: the model for this turn, ``provider/model``;
* ``_meta.clawgw.model`` of its response: the model that answered;
* ``data`` of an error of ``session/prompt``: ``{kind, retryable}``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from acp import PROTOCOL_VERSION, RequestError
from acp.interfaces import Client
from acp.schema import (
    AgentCapabilities,
    ClientCapabilities,
    CloseSessionResponse,
    Implementation,
    InitializeResponse,
    LoadSessionResponse,
    McpCapabilities,
    NewSessionResponse,
    PromptCapabilities,
    PromptResponse,
    SessionCapabilities,
    SessionCloseCapabilities,
    Usage,
)

from clawgw import __version__

from . import history, models
from .config import AgentConfig, Secrets
from .content import Block, user_content
from .errors import TurnError, explain
from .history import SessionStore, StoredSession
from .models import Choice
from .tools import Server, ToolServers

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage
    from pydantic_ai.models import Model

    from .local import LocalEngines
    from .turn import StopReason, Turn

_TURN_FAILED = -32603
_INVALID_PARAMS = -32602
_NOT_FOUND = -32002
_CLOSE_SECONDS = 10.0
_log = logging.getLogger("clawgw.agent")


@dataclass
class Session:
    """A conversation and what is running for it.

    :ivar running: the task of the turn in progress, as long as it can be cancelled.
    :ivar busy: a turn is in progress.
    :ivar cancelled: the Gateway asked to end the turn in progress.
    """

    id: str
    cwd: str
    tools: ToolServers
    messages: list[ModelMessage] = field(default_factory=list)
    running: asyncio.Task[Any] | None = None
    busy: bool = False
    cancelled: bool = False


class BuiltinAgent:
    """Answers the Gateway. One per process."""

    def __init__(
        self, config: AgentConfig, secrets: Secrets, on_engine_loaded: Callable[[], None]
    ) -> None:
        """:param on_engine_loaded: called on the event loop when a local model was loaded."""
        self._config = config
        self._secrets = secrets
        self._on_engine_loaded = on_engine_loaded
        self._store = SessionStore(config.state_dir)
        self._sessions: dict[str, Session] = {}
        self._models: dict[Choice, Model[Any]] = {}
        self._engines: LocalEngines | None = None
        self._libraries: asyncio.Task[None] | None = None
        self._preloading: asyncio.Task[None] | None = None
        self._client: Client | None = None

    def on_connect(self, conn: Client) -> None:
        self._client = conn

    async def initialize(
        self,
        protocol_version: int,
        client_capabilities: ClientCapabilities | None = None,
        client_info: Implementation | None = None,
        **_meta: Any,
    ) -> InitializeResponse:
        if self._preloading is None:
            self._preloading = asyncio.create_task(self._preload())
        return InitializeResponse(
            protocol_version=PROTOCOL_VERSION,
            agent_capabilities=AgentCapabilities(
                load_session=self._store.durable,
                prompt_capabilities=PromptCapabilities(
                    image=self._reads_images(), audio=False, embedded_context=True
                ),
                mcp_capabilities=McpCapabilities(http=True, sse=True),
                session_capabilities=SessionCapabilities(close=SessionCloseCapabilities()),
            ),
            agent_info=Implementation(
                name="clawgw-agent", title="clawgw built-in agent", version=__version__
            ),
            auth_methods=[],
        )

    async def new_session(
        self,
        cwd: str,
        additional_directories: list[str] | None = None,
        mcp_servers: Sequence[Server] | None = None,
        **_meta: Any,
    ) -> NewSessionResponse:
        session = Session(history.new_session_id(), cwd, ToolServers(mcp_servers or (), cwd))
        await self._libraries_loaded()
        await self._save(session)
        self._sessions[session.id] = session
        return NewSessionResponse(session_id=session.id)

    async def load_session(
        self,
        cwd: str,
        session_id: str,
        mcp_servers: Sequence[Server] | None = None,
        additional_directories: list[str] | None = None,
        **_meta: Any,
    ) -> LoadSessionResponse:
        tools = ToolServers(mcp_servers or (), cwd)
        await self._libraries_loaded()
        session = self._sessions.get(session_id)
        if session is None:
            try:
                stored = await asyncio.to_thread(self._store.load, session_id)
            except TurnError as error:
                raise self._to_wire(error) from None
            if stored is None:
                raise _unknown(session_id)
            session = self._sessions.setdefault(
                session_id, Session(session_id, cwd, tools, stored.messages)
            )
        elif session.busy:
            raise _still_answering()
        else:
            await session.tools.close()
            session.cwd, session.tools = cwd, tools
        from .events import replay

        for update in replay(session.messages):
            await self._connection.session_update(session_id, update)
        return LoadSessionResponse()

    async def prompt(
        self, session_id: str, prompt: list[Block], clawgw: Any = None, **_meta: Any
    ) -> PromptResponse:
        session = self._sessions.get(session_id)
        if session is None:
            raise _unknown(session_id)
        if session.busy:
            raise _still_answering()
        session.busy, session.cancelled = True, False
        session.running = asyncio.current_task()
        try:
            return await self._turn(session, prompt, _model_override(clawgw))
        except asyncio.CancelledError:
            if not session.cancelled:
                raise
            cast("asyncio.Task[Any]", asyncio.current_task()).uncancel()
            return PromptResponse(stop_reason="cancelled")
        finally:
            session.busy, session.running = False, None
            session.tools.rest()

    async def cancel(self, session_id: str, **_meta: Any) -> None:
        session = self._sessions.get(session_id)
        if session is not None and session.running is not None and not session.cancelled:
            session.cancelled = True
            session.running.cancel()

    async def close_session(self, session_id: str, **_meta: Any) -> CloseSessionResponse:
        await self.cancel(session_id)
        session = self._sessions.pop(session_id, None)
        if session is None:
            raise _unknown(session_id)
        await session.tools.close()
        return CloseSessionResponse()

    async def ext_method(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        raise RequestError.method_not_found(f"_{method}")

    async def ext_notification(self, method: str, params: dict[str, Any]) -> None:
        """Unknown notifications are ignored."""

    async def aclose(self) -> None:
        """Stop the tool servers of all sessions."""
        closing = [
            asyncio.create_task(session.tools.close()) for session in self._sessions.values()
        ]
        if closing:
            await asyncio.wait(closing, timeout=_CLOSE_SECONDS)

    async def _turn(
        self, session: Session, blocks: Sequence[Block], override: str | None
    ) -> PromptResponse:
        choice = self._choose(override)
        turn: Turn | None = None
        try:
            await self._libraries_loaded()
            prompt = user_content(blocks)
            turn = await self._prepare(session, choice)
            stop = await turn.run(
                prompt,
                history.fitting(session.messages, prompt, _window(choice, turn.model)),
                lambda update: self._connection.session_update(session.id, update),
            )
            session.running = None  # it has ended: too late to cancel
            await self._keep(session, turn)
        except asyncio.CancelledError:
            session.running = None
            if turn is not None:
                await self._keep(session, turn)
            if not session.cancelled or turn is None:
                raise
            cast("asyncio.Task[Any]", asyncio.current_task()).uncancel()
            stop = "cancelled"
        except (RequestError, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever failed, the person gets a sentence
            raise await self._failed(session, choice, turn, error) from None
        return _response(stop, turn, choice)

    def _choose(self, override: str | None) -> Choice:
        try:
            return models.choose(self._config, override)
        except TurnError as error:
            raise self._to_wire(error) from None

    async def _prepare(self, session: Session, choice: Choice) -> Turn:
        from .turn import Turn

        model = await self._model(choice)
        tools = [] if choice.local else await session.tools.toolsets()
        instructions = None if choice.local else self._config.system_prompt
        return Turn(model, instructions, tools, choice.timeout)

    async def _model(self, choice: Choice) -> Model[Any]:
        if choice.local:
            from .local import LocalModel

            engine = await self._local_engines().get(choice.name, choice.context_window)
            return LocalModel(engine, self._config.system_prompt)
        if choice not in self._models:
            self._models[choice] = await asyncio.to_thread(models.build, choice, self._secrets)
        return self._models[choice]

    def _local_engines(self) -> LocalEngines:
        if self._engines is None:
            from .local import LocalEngines

            self._engines = LocalEngines(self._on_engine_loaded)
        return self._engines

    async def _failed(
        self, session: Session, choice: Choice, turn: Turn | None, error: Exception
    ) -> RequestError:
        session.running = None
        self._models.pop(choice, None)  # the key may have been replaced by the next turn
        await session.tools.close()  # so may a dead tool server
        if turn is not None and turn.new:
            await self._keep(session, turn)
        told = explain(error, choice)
        _log.warning(
            "turn failed: %s (%s)",
            told.kind,
            type(error).__name__,
            exc_info=error if told.kind == "internal" else None,
        )
        return self._to_wire(told)

    async def _keep(self, session: Session, turn: Turn) -> None:
        session.messages = history.bounded([*session.messages, *turn.new])
        await self._save(session)

    async def _save(self, session: Session) -> None:
        stored = StoredSession(session.cwd, session.messages)
        saving = asyncio.create_task(asyncio.to_thread(self._store.save, session.id, stored))
        try:
            await asyncio.shield(saving)
        except OSError as error:
            # the answer was given all the same; the next turn tries again
            _log.error("session not stored: %s", error.strerror)

    def _to_wire(self, error: TurnError) -> RequestError:
        return RequestError(
            _TURN_FAILED,
            self._secrets.redact(error.sentence),
            {"kind": error.kind, "retryable": error.retryable},
        )

    async def _libraries_loaded(self) -> None:
        if self._libraries is None:
            self._libraries = asyncio.create_task(asyncio.to_thread(_import_libraries))
        try:
            await asyncio.shield(self._libraries)
        except ImportError as error:
            raise RequestError(_TURN_FAILED, _not_loadable(error)) from None

    async def _preload(self) -> None:
        """Load what the first turn will need. It reports failures, this does not."""
        with contextlib.suppress(Exception):
            await self._libraries_loaded()
            choice = models.choose(self._config)
            if choice.local:
                await self._local_engines().get(choice.name, choice.context_window)

    def _reads_images(self) -> bool:
        try:
            return not models.choose(self._config).local
        except TurnError:
            return True

    @property
    def _connection(self) -> Client:
        if self._client is None:
            raise ConnectionError
        return self._client


def _import_libraries() -> None:
    from . import events, local, turn  # noqa: F401 - these import pydantic-ai


def _not_loadable(error: ImportError) -> str:
    return (
        f"The agent's model library cannot be loaded ({error.name or 'a part is missing'}): "
        "run pip install --upgrade 'clawgw[agent]'."
    )


def _window(choice: Choice, model: Model[Any]) -> int | None:
    """Tokens of context, when known. The local model fits its own context, exactly."""
    return None if choice.local else choice.context_window or model.context_window


def _model_override(meta: Any) -> str | None:
    """``_meta.clawgw.model`` of a prompt."""
    model = meta.get("model") if isinstance(meta, dict) else None
    if model is not None and not isinstance(model, str):
        raise RequestError(_INVALID_PARAMS, "_meta.clawgw.model: expected a string")
    return model


def _response(stop: StopReason, turn: Turn, choice: Choice) -> PromptResponse:
    used = turn.usage
    thoughts = used.details.get("reasoning_tokens")
    return PromptResponse(
        stop_reason=stop,
        usage=Usage(
            total_tokens=used.input_tokens + used.output_tokens,
            input_tokens=used.input_tokens,
            output_tokens=used.output_tokens,
            cached_read_tokens=used.cache_read_tokens or None,
            cached_write_tokens=used.cache_write_tokens or None,
            thought_tokens=thoughts,
        ),
        field_meta={"clawgw": {"model": choice.label}},
    )


def _unknown(session_id: str) -> RequestError:
    return RequestError(_NOT_FOUND, "There is no such session.", {"sessionId": session_id})


def _still_answering() -> RequestError:
    return RequestError(
        -32600, "This session is still answering: wait for the answer or cancel it."
    )
