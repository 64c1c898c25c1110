"""The web site on the Gateway's port: WebChat at `/`, `/healthz` and `/readyz` for supervisors.

The page is a handful of static files, read once at start: nothing but these can be asked for, and
no request touches the disk. It has no secrets; what it may do is decided when it connects. Its
headers forbid everything it does not need: scripts from elsewhere, frames, forms.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from typing import NamedTuple

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}
TYPES = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "webmanifest": "application/manifest+json",
}
IDLE_SECONDS = 60


class Page(NamedTuple):
    """One file of the site."""

    content_type: str
    body: bytes
    etag: bytes


def page(content_type: str, body: bytes) -> Page:
    """A page with its entity tag."""
    return Page(content_type, body, b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode())


def load_pages() -> dict[str, Page]:
    """The files of WebChat by their paths; `/` is the index."""
    pages = dict(_files(resources.files("clawgw").joinpath("web"), ""))
    if "/index.html" in pages:
        pages["/"] = pages["/index.html"]
    return pages


def _files(folder: Traversable, path: str) -> Iterator[tuple[str, Page]]:
    for entry in folder.iterdir():
        name = f"{path}/{entry.name}"
        content_type = TYPES.get(entry.name.rpartition(".")[2])
        if entry.is_dir():
            yield from _files(entry, name)
        elif content_type is not None:
            yield name, page(content_type, entry.read_bytes())


class SiteRoot(Resource):
    """Everything on the site.

    Args:
        pages: what is there, by path.
        is_ready: whether the Gateway takes work.
    """

    isLeaf = True

    def __init__(self, pages: Mapping[str, Page], is_ready: Callable[[], bool]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._pages = pages
        self._is_ready = is_ready

    def render_GET(self, request: Request) -> bytes:
        """A page, or a health check. HEAD comes here too."""
        for name, value in HEADERS.items():
            request.setHeader(name, value)
        path = (request.path or b"/").decode("utf-8", "replace")
        if path == "/healthz":
            return self._check(request, True)
        if path == "/readyz":
            return self._check(request, self._is_ready())
        found = self._pages.get(path)
        if found is None:
            request.setResponseCode(404)
            request.setHeader("content-type", "text/plain; charset=utf-8")
            return b"Not found.\n"
        request.setHeader("content-type", found.content_type)
        if request.setETag(found.etag):
            return b""
        return found.body

    def _check(self, request: Request, good: bool) -> bytes:
        request.setResponseCode(200 if good else 503)
        request.setHeader("content-type", "application/json")
        return b'{"ok":true}\n' if good else b'{"ok":false}\n'


def make_site(
    reactor: IReactorTime, pages: Mapping[str, Page], is_ready: Callable[[], bool]
) -> Site:
    """The site as a factory for the port. It writes no access log: `/readyz` is asked for ever."""
    site = Site(SiteRoot(pages, is_ready), timeout=IDLE_SECONDS, reactor=reactor)
    site.displayTracebacks = False
    site.noisy = False
    site.log = lambda request: None  # type: ignore[method-assign]
    return site
