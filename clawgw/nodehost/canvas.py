"""``canvas.*``: a page that nobody needs a screen for (protocol 3, docs/nodes and platforms/mac).

The canvas is one page in a headless chromium. The first command that needs it starts it; ``hide``
ends it, because a canvas without a screen has nothing else to hide; ``present`` begins anew, at the
Gateway's canvas where it has one. One command at a time: the next finds the page as it was left.

Addresses are ``http``, ``https``, ``about:blank``, or a path on the Gateway's canvas host. Files of
this machine cannot be opened: a picture of one would hand it out. What is on the network of this
machine can be seen, though; whoever does not want that denies ``canvas.*`` in ``node.json``.

A2UI messages go to the Gateway's A2UI page: ``globalThis.openclawA2UI`` with
``applyMessages(messages)`` and ``reset()``, as the stock page has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta
from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.internet.interfaces import IDelayedCall

from clawgw.nodehost.calls import Call, CommandError, Gateway, Handler, Params, invalid, unavailable
from clawgw.nodehost.devtools import Browser

__all__ = ["CanvasCommands"]

_CANVAS_PATH = "/__openclaw__/canvas/"
_A2UI_PATH = "/__openclaw__/a2ui/"
_CAPABILITY = re.compile("/__openclaw__/cap/[^/]+/")
_WIDTH, _HEIGHT = 1280, 800
_START_SECONDS = 30.0
_LOAD_SECONDS = 20.0
_EVAL_SECONDS = 20.0
_A2UI_SECONDS = 10.0
_IDLE_SECONDS = 900.0
_MOST_RESULT = 1_000_000

Side = Annotated[float, Meta(ge=1, le=8192)]


class Placement(Params, frozen=True):
    """Where the stock apps put the window; of use here is its size."""

    width: Side | None = None
    height: Side | None = None


class PresentParams(Params, frozen=True):
    """``canvas.present``."""

    url: str | None = None
    placement: Placement | None = None


class NavigateParams(Params, frozen=True):
    """``canvas.navigate``."""

    url: str


class EvalParams(Params, frozen=True):
    """``canvas.eval``."""

    java_script: Annotated[str, Meta(min_length=1)]


class SnapshotParams(Params, frozen=True):
    """``canvas.snapshot``. ``max_width`` in pixels, ``quality`` from 0 to 1 (JPEG)."""

    format: Literal["png", "jpeg", "jpg"] = "png"
    max_width: Annotated[float, Meta(ge=1, le=8192)] | None = None
    quality: Annotated[float, Meta(ge=0, le=1)] = 0.9


class PushParams(Params, frozen=True):
    """``canvas.a2ui.push`` and ``pushJSONL``: messages, or lines of JSON with one each."""

    messages: list[dict[str, Any]] | None = None
    jsonl: str | None = None


class CanvasCommands:
    """The commands of the family ``canvas``; ``stop`` ends the browser."""

    def __init__(
        self,
        reactor: Any,
        program: str,
        environment: Mapping[str, str],
        directory: Path,
        gateway: Gateway,
    ) -> None:
        self._reactor = reactor
        self._program = program
        self._environment = environment
        self._directory = directory
        self._gateway = gateway
        self._turn = DeferredLock()
        self._page: _Page | None = None
        self._idle: IDelayedCall | None = None

    def handlers(self) -> dict[str, Handler]:
        """The commands of this family."""
        return {
            "canvas.present": self._in_turn(self._present),
            "canvas.hide": self._in_turn(self._hide),
            "canvas.navigate": self._in_turn(self._navigate),
            "canvas.eval": self._in_turn(self._eval),
            "canvas.snapshot": self._in_turn(self._snapshot),
            "canvas.a2ui.push": self._in_turn(self._push),
            "canvas.a2ui.pushJSONL": self._in_turn(self._push),
            "canvas.a2ui.reset": self._in_turn(self._reset),
        }

    def stop(self) -> Deferred[None]:
        """End the browser; fires when it is gone."""
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        page, self._page = self._page, None
        return succeed(None) if page is None else page.browser.stop()

    def _in_turn(self, handler: Handler) -> Handler:
        async def in_turn(call: Call) -> Any:
            await self._turn.acquire()
            try:
                return await handler(call)
            finally:
                self._rest()
                self._turn.release()

        return in_turn

    def _rest(self) -> None:
        """A browser that nobody uses is ended after a while."""
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        if self._page is not None:
            self._idle = self._reactor.callLater(_IDLE_SECONDS, self.stop)

    async def _present(self, call: Call) -> Any:
        params = call.read(PresentParams)
        url = self._address(params.url) if params.url else None
        page = await self._open()
        if params.placement is not None:
            await page.resize(
                int(params.placement.width or _WIDTH), int(params.placement.height or _HEIGHT)
            )
        if url is not None:
            await page.navigate(url)
        return {"ok": True}

    async def _hide(self, _call: Call) -> Any:
        await self.stop()
        return {"ok": True}

    async def _navigate(self, call: Call) -> Any:
        url = self._address(call.read(NavigateParams).url)
        await (await self._open(load=False)).navigate(url)
        return {"ok": True}

    async def _eval(self, call: Call) -> Any:
        script = call.read(EvalParams).java_script
        value = await (await self._open()).evaluate(script)
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        if len(text) > _MOST_RESULT:
            raise CommandError("PAYLOAD_TOO_LARGE", "the value has more than a million characters")
        return {"result": text}

    async def _snapshot(self, call: Call) -> Any:
        params = call.read(SnapshotParams)
        kind = "png" if params.format == "png" else "jpeg"
        page = await self._open()
        data = await page.snapshot(kind, params.max_width, params.quality)
        return {"format": kind, "base64": data}

    async def _push(self, call: Call) -> Any:
        messages = _messages(call.read(PushParams))
        page = await self._a2ui_page()
        argument = msgspec.json.encode(messages).decode()
        return _outcome(await page.evaluate(f"globalThis.openclawA2UI.applyMessages({argument})"))

    async def _reset(self, _call: Call) -> Any:
        page = await self._a2ui_page()
        return _outcome(await page.evaluate("globalThis.openclawA2UI.reset()"))

    async def _a2ui_page(self) -> _Page:
        """The page, showing the Gateway's A2UI renderer and ready for messages."""
        base = self._gateway.canvas_url
        if base is None:
            raise CommandError(
                "A2UI_HOST_NOT_CONFIGURED", "the Gateway has no canvas host that shows A2UI"
            )
        url = f"{base.rstrip('/')}{_A2UI_PATH}"
        page = await self._open(load=False)
        if _place(page.url) != _place(url):
            await page.navigate(url)
        waiting = (
            "new Promise((done) => { const until = Date.now() + "
            f"{int(_A2UI_SECONDS * 1000)}; const look = () => globalThis.openclawA2UI"
            " ? done(true) : Date.now() > until ? done(false) : setTimeout(look, 50); look(); })"
        )
        if await page.evaluate(waiting) is not True:
            raise CommandError(
                "A2UI_HOST_UNAVAILABLE", "the Gateway's A2UI page does not take messages"
            )
        return page

    async def _open(self, *, load: bool = True) -> _Page:
        """The page; a new one shows the Gateway's canvas, unless it goes elsewhere anyway."""
        if self._page is not None and self._page.browser.running:
            return self._page
        self._page = page = _Page(self._reactor)
        try:
            await page.start(self._program, self._environment, self._directory)
        except BaseException:
            self._page = None
            page.browser.stop()
            raise
        if load and self._gateway.canvas_url is not None:
            await page.navigate(f"{self._gateway.canvas_url.rstrip('/')}{_CANVAS_PATH}")
        return page

    def _address(self, text: str) -> str:
        """The address that a caller means.

        :raises CommandError: when it is none that a canvas may show.
        """
        text = text.strip()
        if text == "about:blank":
            return text
        if text.startswith("/") and not text.startswith("//"):
            base = self._gateway.canvas_url
            if base is None:
                raise unavailable("url: the Gateway has no canvas host for a path")
            return base.rstrip("/") + (_CANVAS_PATH if text == "/" else text)
        try:
            parts = urlsplit(text)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise invalid("url: expected http://…, https://…, about:blank or a path of the canvas")
        return text


class _Page:
    """The one page of a browser."""

    def __init__(self, reactor: Any) -> None:
        self.browser = Browser(reactor, self._event)
        self.url = ""
        self._reactor = reactor
        self._session: str | None = None
        self._size = (_WIDTH, _HEIGHT)
        self._loaded: Deferred[None] | None = None

    async def start(self, program: str, env: Mapping[str, str], directory: Path) -> None:
        self.browser.start(program, env, directory)
        made = await self.browser.ask(
            "Target.createTarget", {"url": "about:blank"}, seconds=_START_SECONDS
        )
        attached = await self.browser.ask(
            "Target.attachToTarget", {"targetId": made["targetId"], "flatten": True}
        )
        self._session = attached["sessionId"]
        await self.browser.ask("Browser.setDownloadBehavior", {"behavior": "deny"})
        await self._ask("Page.enable")
        await self.resize(*self._size)

    async def resize(self, width: int, height: int) -> None:
        self._size = (width, height)
        await self._ask(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    async def navigate(self, url: str) -> None:
        """Go to a page and wait until it has loaded; one that never ends loading is shown as is."""
        loaded: Deferred[None] = Deferred()
        self._loaded = loaded
        self.url = url
        answer = await self._ask("Page.navigate", {"url": url}, seconds=_LOAD_SECONDS)
        problem = answer.get("errorText")
        if problem:
            self.url = ""
            raise unavailable(f"{_shown(url)} cannot be shown: {problem}")
        timer = self._reactor.callLater(_LOAD_SECONDS, self._has_loaded)
        try:
            await loaded
        finally:
            self._loaded = None
            if timer.active():
                timer.cancel()

    async def evaluate(self, script: str) -> Any:
        """The value of a script, promises waited for.

        :raises CommandError: with what the script threw.
        """
        answer = await self._ask(
            "Runtime.evaluate",
            {
                "expression": script,
                "awaitPromise": True,
                "returnByValue": True,
                "userGesture": True,
                "timeout": int(_EVAL_SECONDS * 1000),
            },
            seconds=_EVAL_SECONDS + 2,
        )
        thrown = answer.get("exceptionDetails")
        if thrown:
            what = thrown.get("exception") or {}
            text = what.get("description") or what.get("value") or thrown.get("text")
            raise CommandError("EVAL_FAILED", f"the script failed: {str(text)[:2000]}")
        return answer.get("result", {}).get("value")

    async def snapshot(self, kind: str, max_width: float | None, quality: float) -> str:
        """A picture of the page, in base64."""
        width, height = self._size
        scale = min(1.0, (max_width or width) / width)
        params: dict[str, Any] = {
            "format": kind,
            "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": scale},
        }
        if kind == "jpeg":
            params["quality"] = round(quality * 100)
        answer = await self._ask("Page.captureScreenshot", params)
        return str(answer.get("data", ""))

    async def _ask(
        self, method: str, params: Mapping[str, Any] | None = None, *, seconds: float = 15.0
    ) -> Any:
        return await self.browser.ask(method, params, session=self._session, seconds=seconds)

    def _event(self, method: str, params: Any, session: str | None) -> None:
        if session is None or session != self._session:
            return
        if method == "Page.loadEventFired":
            self._has_loaded()
        elif method == "Page.frameNavigated" and "parentId" not in params.get("frame", {}):
            frame = params["frame"]
            # Where scripts and links have led; our own way there is told already.
            if self._loaded is None:
                self.url = str(frame.get("url", ""))
        elif method == "Page.javascriptDialogOpening":
            closing = self.browser.ask(
                "Page.handleJavaScriptDialog", {"accept": False}, session=session
            )
            closing.addErrback(lambda failure: failure.trap(CommandError) and None)

    def _has_loaded(self) -> None:
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            loaded.callback(None)


def _messages(params: PushParams) -> list[dict[str, Any]]:
    if params.messages is not None and params.jsonl is None:
        return params.messages
    if params.jsonl is None or params.messages is not None:
        raise invalid("expected either messages or jsonl")
    messages = []
    for number, line in enumerate(params.jsonl.splitlines(), 1):
        if not line.strip():
            continue
        try:
            messages.append(msgspec.json.decode(line, type=dict[str, Any]))
        except (msgspec.DecodeError, RecursionError):
            raise invalid(f"jsonl: line {number} is not a JSON object") from None
    if not messages:
        raise invalid("jsonl: expected at least one line")
    return messages


def _outcome(value: Any) -> Any:
    return value if isinstance(value, dict) else {"ok": True}


def _place(url: str) -> str:
    """An address without the capability in it: a page stays though its capability was renewed."""
    return _CAPABILITY.sub("/", url)


def _shown(url: str) -> str:
    """An address without its path and query, where a capability may be."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else url[:100]
