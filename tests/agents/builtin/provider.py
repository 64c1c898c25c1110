"""A provider that speaks OpenAI's streaming chat completions and does what a test scripts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import DeferredQueue
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from tests.support.site import WatchedSite

Json = dict[str, Any]
Step = Callable[[Request], None]


class FakeProvider:
    """Listens on loopback. Each request takes the next step of the script.

    ``requests`` holds the bodies that came, ``keys`` the ``Authorization`` headers, ``gone`` gets
    something for each client that hung up before its answer was whole.
    """

    def __init__(self, *script: Step) -> None:
        self.script = list(script)
        self.requests: list[Json] = []
        self.keys: list[str] = []
        self.gone: DeferredQueue[None] = DeferredQueue()
        self._site = WatchedSite(_Completions(self))
        self._port: Any = reactor.listenTCP(0, self._site, interface="127.0.0.1")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port.getHost().port}/v1"

    async def stop(self) -> None:
        await self._port.stopListening()
        await self._site.cut()

    def config(self, **provider: Any) -> Json:
        settings = {"api": "openai-completions", "baseUrl": self.url, **provider}
        return {"model": "acme/talker-1", "provider": settings}


class _Completions(Resource):
    isLeaf = True

    def __init__(self, provider: FakeProvider) -> None:
        super().__init__()
        self._provider = provider

    def render_POST(self, request: Request) -> object:
        self._provider.requests.append(json.loads(request.content.read()))
        self._provider.keys.append(request.getHeader("authorization") or "")
        request.notifyFinish().addErrback(self._gone)
        self._provider.script.pop(0)(request)
        return NOT_DONE_YET

    def _gone(self, _reason: object) -> None:
        self._provider.gone.put(None)


def text(*pieces: str, finish: str = "stop") -> Step:
    """An answer in pieces."""

    def step(request: Request) -> None:
        for piece in pieces:
            _chunk(request, {"content": piece})
        _finish(request, finish)

    return step


def thought(thinking: str, answer: str) -> Step:
    """An answer that is preceded by the provider's reasoning."""

    def step(request: Request) -> None:
        _chunk(request, {"reasoning_content": thinking})
        _chunk(request, {"content": answer})
        _finish(request, "stop")

    return step


def call(name: str, **arguments: Any) -> Step:
    """A tool call, its arguments in two pieces."""

    def step(request: Request) -> None:
        whole = json.dumps(arguments)
        head = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": ""}}
        _chunk(request, {"tool_calls": [{"index": 0, **head}]})
        for piece in (whole[:3], whole[3:]):
            _chunk(request, {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
        _finish(request, "tool_calls")

    return step


def refuse(status: int, message: str, **headers: str) -> Step:
    """An HTTP error."""

    def step(request: Request) -> None:
        request.setResponseCode(status)
        request.setHeader("content-type", "application/json")
        for name, value in headers.items():
            request.setHeader(name.replace("_", "-"), value)
        request.write(json.dumps({"error": {"message": message, "type": "error"}}).encode())
        request.finish()

    return step


def hang(request: Request) -> None:
    """No answer at all."""


def begin(*pieces: str) -> Step:
    """The beginning of an answer, and then silence."""

    def step(request: Request) -> None:
        for piece in pieces:
            _chunk(request, {"content": piece})

    return step


def cut(*pieces: str) -> Step:
    """The beginning of an answer, and then the connection breaks."""

    def step(request: Request) -> None:
        begin(*pieces)(request)
        reactor.callLater(0.1, request.transport.abortConnection)

    return step


def _chunk(request: Request, delta: Json, **extra: Any) -> None:
    choice = {"index": 0, "delta": delta, "finish_reason": None, **extra}
    _send(request, {"choices": [choice]})


def _finish(request: Request, reason: str) -> None:
    _chunk(request, {}, finish_reason=reason)
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    _send(request, {"choices": [], "usage": usage})
    request.write(b"data: [DONE]\n\n")
    request.finish()


def _send(request: Request, body: Json) -> None:
    request.setHeader("content-type", "text/event-stream")
    frame = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "talker-1"}
    request.write(b"data: " + json.dumps({**frame, **body}).encode() + b"\n\n")
