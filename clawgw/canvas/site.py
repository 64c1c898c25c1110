"""The HTTP side of the canvas host: files, ranges, an index, the A2UI page.

Only GET and HEAD, and no body: a request that brings one is cut off. Every answer carries the
policy of `policies`. Pages (HTML) get the live-reload script and are not cached, so that a reload
shows what is there; everything else has an entity tag, a date and ranges.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.http import datetimeToString
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from clawgw.canvas import pages
from clawgw.canvas.access import CANVAS, SOCKET, Route, host_name, may_enter, route
from clawgw.canvas.capability import Capabilities
from clawgw.canvas.media import content_type, is_html
from clawgw.canvas.policies import COMMON, PUBLIC, a2ui_policy, canvas_policy
from clawgw.canvas.ranges import Span, Unsatisfiable, parse_range
from clawgw.canvas.reload import with_script
from clawgw.canvas.root import BadPath, CanvasRoot, NotThere, OpenFile
from clawgw.canvas.sending import FileSender
from clawgw.trust.peers import PeerPolicy, identify

MAX_LIVE_PAGE = 4 * 1024 * 1024
MAX_LISTED = 1000
IDLE_SECONDS = 60
RENDERER = "a2ui.js"
FAVICON = "favicon.ico"
HTML = "text/html; charset=utf-8"

_PAGE_DESTINATIONS = frozenset({"", "document", "iframe", "frame"})


@dataclass(frozen=True)
class SiteParts:
    """What the site is made of.

    Attributes:
        root: what agents write.
        renderer: the built A2UI renderer, if it was built.
        live_reload: whether pages get the script.
        secure: whether the listener speaks TLS.
    """

    root: CanvasRoot
    renderer: CanvasRoot
    capabilities: Capabilities
    peer_policy: PeerPolicy
    live_reload: bool
    secure: bool
    in_thread: Callable[..., Deferred[Any]]
    now_ms: Callable[[], int]


class CanvasRequest(Request):
    """A request without a body, of a visitor who may leave at any time."""

    gone = False

    def connectionLost(self, reason: Any) -> None:
        """The visitor left."""
        self.gone = True
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    def finish(self) -> None:
        """The answer is complete; nobody is there to have it perhaps."""
        if not self.gone:
            super().finish()  # type: ignore[no-untyped-call]

    def gotLength(self, length: int | None) -> None:
        """The head is there, and says how long the body is."""
        if length != 0:  # a body could be of any size; nothing here takes one
            self.channel.forceAbortClient()
        else:
            super().gotLength(length)  # type: ignore[no-untyped-call]


class CanvasResource(Resource):
    """Everything on the site."""

    isLeaf = True
    log = Logger()

    def __init__(self, parts: SiteParts) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._parts = parts

    def render_GET(self, request: Any) -> Any:
        """Any address. HEAD comes here too."""
        for name, value in COMMON.items():
            request.setHeader(name, value)
        done = Deferred.fromCoroutine(self._answer(request))
        done.addErrback(self._broke, request)
        return NOT_DONE_YET

    def _broke(self, failure: Any, request: Any) -> None:
        self.log.failure("while serving the canvas", failure)
        if request.gone or request.finished:
            return
        if request.startedWriting:
            request.channel.forceAbortClient()
        else:
            _page(request, 500, pages.document("Something broke", "<p>See the Gateway's log.</p>"))

    async def _answer(self, request: Any) -> None:
        parts = self._parts
        headers = {
            name.decode("latin-1").lower(): values[-1].decode("latin-1")
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        host = headers.get("host", "")
        where = route(request.path.decode("latin-1"))
        policy = canvas_policy if where.kind != "a2ui" else a2ui_policy
        if host_name(host) is None:
            _page(request, 400, pages.document("Bad request", "<p>Host: expected a name.</p>"))
            return
        request.setHeader(
            "content-security-policy", policy(host, where.prefix, secure=parts.secure)
        )
        address = getattr(request.getClientAddress(), "host", "") or "unknown"
        peer = identify(address, headers, parts.peer_policy, secure=parts.secure)
        if not may_enter(where, peer, parts.capabilities):
            _page(request, 403, pages.link_refused())
        elif where.kind == "canvas":
            await self._canvas(request, where, headers)
        elif where.kind == "a2ui":
            await self._a2ui(request, where, headers)
        elif where.kind == "socket":
            _page(request, 426, pages.document("A WebSocket", "<p>Pages connect here.</p>"))
        else:
            self._elsewhere(request, where)

    def _elsewhere(self, request: Any, where: Route) -> None:
        """Addresses from the root on mean canvas files; nothing else is here."""
        if where.path.startswith("/__openclaw__"):
            _page(request, 404, pages.not_found(where.path))
        else:
            _redirect(request, f"{where.prefix}{CANVAS}{where.path}")

    # What agents write

    async def _canvas(self, request: Any, where: Route, headers: dict[str, str]) -> None:
        parts = self._parts
        if where.bare:
            _redirect(request, f"{where.prefix}{CANVAS}/")
            return
        served = parts.now_ms()
        try:
            if where.path and not where.path.endswith("/"):
                file = await parts.in_thread(parts.root.open, where.path)
            else:
                file = await parts.in_thread(parts.root.open, f"{where.path}index.html")
        except IsADirectoryError:
            _redirect(request, request.path.decode("latin-1") + "/")
        except BadPath:
            self._own(request, 404, pages.not_found(_shown(where.path)), where, served)
        except (NotThere, FileNotFoundError):
            await self._index(request, where, served)
        else:
            await self._file(request, where, headers, file, served)

    async def _index(self, request: Any, where: Route, served: int) -> None:
        """A directory without an index, or nothing at all."""
        parts = self._parts
        missing = pages.not_found(_shown(where.path))
        if where.path == FAVICON:  # every browser asks; a page without one is no mistake
            request.setResponseCode(204)
            request.finish()
            return
        if where.path and not where.path.endswith("/"):
            self._own(request, 404, missing, where, served)
            return
        try:
            entries, more = await parts.in_thread(parts.root.entries, where.path, MAX_LISTED)
        except (BadPath, NotThere, FileNotFoundError):
            entries, more = [], False
        if entries:
            self._own(request, 200, pages.listing(where.path, entries, more), where, served)
        elif where.path:
            self._own(request, 404, missing, where, served)
        else:
            self._own(request, 200, pages.empty_canvas(str(parts.root.path)), where, served)

    def _own(self, request: Any, code: int, body: bytes, where: Route, served: int) -> None:
        """A page of ours in the place of a file; it changes when the file comes."""
        if self._parts.live_reload:
            body = with_script(body, f"{where.prefix}{SOCKET}", served)
        _page(request, code, body)

    async def _file(
        self, request: Any, where: Route, headers: dict[str, str], file: OpenFile, served: int
    ) -> None:
        if self._parts.live_reload and is_html(file.name) and file.size <= MAX_LIVE_PAGE:
            body = await self._parts.in_thread(_read_and_close, file)
            self._own(request, 200, body, where, served)
        else:
            await self._send(request, headers, file)

    async def _send(self, request: Any, headers: dict[str, str], file: OpenFile) -> None:
        """A file as it is, or the part asked for."""
        modified = file.modified_ns // 1_000_000_000
        request.setHeader("content-type", content_type(file.name))
        request.setHeader("cache-control", "no-cache")
        request.setHeader("accept-ranges", "bytes")
        request.setHeader("last-modified", datetimeToString(modified))
        request.setHeader("etag", file.etag)
        span: Span | None = None
        code = 200
        if _unchanged(headers, file.etag, modified):
            code = 304
        elif _range_counts(headers, file.etag, modified):
            try:
                span = parse_range(headers.get("range"), file.size)
            except Unsatisfiable:
                code = 416
        if code != 200:
            await self._parts.in_thread(os.close, file.descriptor)
            request.setResponseCode(code)
            if code == 416:
                request.setHeader("content-range", f"bytes */{file.size}")
                request.setHeader("content-length", "0")
            request.finish()
            return
        if span is not None:
            request.setResponseCode(206)
            request.setHeader("content-range", span.content_range(file.size))
        start, length = span or (0, file.size)
        request.setHeader("content-length", str(length))
        if request.method == b"HEAD":
            length = 0
        await FileSender(request, file.descriptor, start, length, self._parts.in_thread).send()

    # A2UI

    async def _a2ui(self, request: Any, where: Route, headers: dict[str, str]) -> None:
        if where.bare:
            _redirect(request, request.path.decode("latin-1") + "/")
        elif where.path in ("", "index.html"):
            await self._a2ui_page(request, where, headers)
        else:
            await self._renderer_file(request, where, headers)

    async def _a2ui_page(self, request: Any, where: Route, headers: dict[str, str]) -> None:
        parts = self._parts
        if headers.get("sec-fetch-dest", "") not in _PAGE_DESTINATIONS:
            # A script that wants to read the page would want its ticket.
            _page(request, 403, pages.document("A page", "<p>This is for a window.</p>"))
            return
        try:
            file = await parts.in_thread(parts.renderer.open, RENDERER)
        except (NotThere, FileNotFoundError):
            _page(request, 503, pages.renderer_missing())
            return
        await parts.in_thread(os.close, file.descriptor)
        ticket = parts.capabilities.mint("a2ui")
        _page(request, 200, pages.a2ui_page(ticket, f"{where.prefix}{SOCKET}"))

    async def _renderer_file(self, request: Any, where: Route, headers: dict[str, str]) -> None:
        parts = self._parts
        try:
            file = await parts.in_thread(parts.renderer.open, where.path)
        except (BadPath, NotThere, FileNotFoundError, IsADirectoryError):
            _page(request, 404, pages.not_found(_shown(where.path)))
            return
        for name, value in PUBLIC.items():
            request.setHeader(name, value)
        await self._send(request, headers, file)


def _shown(path: str) -> str:
    """A path as text, whatever bytes it had."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _read_and_close(file: OpenFile) -> bytes:
    with os.fdopen(file.descriptor, "rb") as source:
        return source.read(MAX_LIVE_PAGE)


def _unchanged(headers: dict[str, str], etag: str, modified: int) -> bool:
    """Whether the visitor has this very file (RFC 9110, section 13.2.2)."""
    tags = headers.get("if-none-match")
    if tags is not None:
        return etag in [tag.strip().removeprefix("W/") for tag in tags.split(",")] or tags == "*"
    since = _date(headers.get("if-modified-since"))
    return since is not None and modified <= since


def _range_counts(headers: dict[str, str], etag: str, modified: int) -> bool:
    """Whether a range may be answered as one: `If-Range` names this very file, or is not there."""
    condition = headers.get("if-range")
    return condition is None or condition == etag or _date(condition) == modified


def _date(text: str | None) -> int | None:
    """An HTTP date in seconds since the epoch."""
    try:
        return int(parsedate_to_datetime(text).timestamp()) if text else None
    except (ValueError, OverflowError):
        return None


def _page(request: Any, code: int, body: bytes) -> None:
    request.setResponseCode(code)
    request.setHeader("content-type", HTML)
    request.setHeader("cache-control", "no-store")
    request.setHeader("content-length", str(len(body)))
    if request.method != b"HEAD":
        request.write(body)
    request.finish()


def _redirect(request: Any, path: str) -> None:
    """To a path of ours; two slashes in front would be another host."""
    request.setHeader("location", "/" + path.lstrip("/"))
    request.setResponseCode(302)
    request.setHeader("content-length", "0")
    request.finish()


def make_site(reactor: Any, parts: SiteParts) -> Site:
    """The site as a factory. It writes no access log: paths hold capabilities."""
    site = Site(
        CanvasResource(parts), requestFactory=CanvasRequest, timeout=IDLE_SECONDS, reactor=reactor
    )
    site.displayTracebacks = False
    site.noisy = False
    site.log = lambda request: None  # type: ignore[method-assign]
    return site
