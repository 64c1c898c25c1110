"""Live reload: who changes a file sees the open pages change.

Every HTML page that is served gets a short script that holds a WebSocket open and reloads when it
is told to. The directory is looked through only while such a page is open, in a thread, twice a
second, and less often the longer a look takes, so it costs at most a tenth of a core; a write
through the Gateway is seen at once. There is no file system watch: a look works on every system,
over network file systems, and needs no handle per directory.

A page says when it was served, by the Gateway's clock. So a change between then and its first
word is noticed too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from clawgw.canvas.root import CanvasRoot, Entry

LOOK_SECONDS = 0.5
LOOK_SHARE = 10.0
MAX_WATCHED = 20_000
CLOCK_GRAIN_MS = 10
"""How far a file system's clock may be behind ours."""

RELOAD = "reload"

_SCRIPT = b"""<script>(() => {
  const socket = %(socket)s, served = %(served)s;
  let pause = 500;
  const listen = () => {
    const url = new URL(socket + "?at=" + served, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const line = new WebSocket(url);
    line.onopen = () => { pause = 500; };
    line.onmessage = (event) => { if (event.data === "reload") location.reload(); };
    line.onclose = () => { setTimeout(listen, pause); pause = Math.min(2 * pause, 30000); };
  };
  listen();
  const post = (value) => {
    const app = globalThis.webkit?.messageHandlers?.openclawCanvasA2UIAction
      ?? globalThis.openclawCanvasA2UIAction;
    if (!app?.postMessage) return false;
    app.postMessage(typeof value === "string" ? value : JSON.stringify(value));
    return true;
  };
  const sendUserAction = (action) =>
    post({userAction: {id: String(Date.now()) + Math.random(), ...action}});
  globalThis.OpenClaw = {...globalThis.OpenClaw, postMessage: post, sendUserAction};
  globalThis.openclawPostMessage = post;
  globalThis.openclawSendUserAction = sendUserAction;
})();</script>
"""
"""The names of the second half are those by which pages for the stock apps reach the app."""


def with_script(html: bytes, socket: str, served_ms: int) -> bytes:
    """A page with the live-reload script before the end of its body.

    Pages in UTF-16 are left alone; every other encoding of the web contains ASCII.
    """
    if html.startswith((b"\xff\xfe", b"\xfe\xff")):
        return html
    values = {b"socket": json.dumps(socket).encode(), b"served": str(served_ms).encode()}
    script = _SCRIPT % values
    end = html.lower().rfind(b"</body")
    return html + script if end < 0 else html[:end] + script + html[end:]


class View(NamedTuple):
    """What a look saw: a fingerprint of all files, and when the latest of them changed."""

    fingerprint: bytes
    newest_ms: int


def look(entries: Iterable[Entry], now_ms: int) -> View:
    """A view of these files; a change from the future says nothing about when it was."""
    digest, newest = hashlib.blake2b(digest_size=16), 0
    for entry in entries:
        digest.update(f"{entry.path}\0{entry.size}\0{entry.modified_ns}\n".encode(errors="replace"))
        changed = entry.modified_ns // 1_000_000
        if newest < changed <= now_ms:
            newest = changed
    return View(digest.digest(), newest)


class LivePage(Protocol):
    """An open page. `served_ms`: when it was served."""

    served_ms: int

    def tell(self, text: str) -> None:
        """Send a text."""


class Watcher:
    """Looks at the directory while pages are open, and tells them to reload.

    Args:
        reactor: for the pauses.
        in_thread: runs a function in the thread pool.
        root: what to look at.
        now_ms: the time, in milliseconds since the epoch.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        in_thread: Callable[..., Deferred[Any]],
        root: CanvasRoot,
        now_ms: Callable[[], int],
    ) -> None:
        self._reactor = reactor
        self._in_thread = in_thread
        self._root = root
        self._now_ms = now_ms
        self._pages: set[LivePage] = set()
        self._new: set[LivePage] = set()
        self._known: View | None = None
        self._changed_ms = -1
        self._looking = False
        self._again = False
        self._call: Any = None

    def __len__(self) -> int:
        return len(self._pages)

    def opened(self, page: LivePage) -> None:
        """A page listens from now on."""
        if not self._pages:
            self._known = None  # nobody looked since the last page went
        self._pages.add(page)
        self._new.add(page)
        self.look_now()

    def closed(self, page: LivePage) -> None:
        """A page is gone; with the last one the looking ends."""
        self._pages.discard(page)
        self._new.discard(page)
        if not self._pages:
            self._cancel()

    def changed(self) -> None:
        """Something was written or deleted through the Gateway.

        What is deleted has no date that a look could find; so for pages served before it, but not
        listening yet, the moment is kept.
        """
        self._changed_ms = self._now_ms()
        self.look_now()

    def look_now(self) -> None:
        """Something changed, or somebody came."""
        if self._looking:
            self._again = True
        elif self._pages:
            self._cancel()
            self._looking = True
            done = Deferred.fromCoroutine(self._look())
            done.addErrback(lambda failure: self.log.failure("while watching the canvas", failure))

    async def _look(self) -> None:
        began = self._reactor.seconds()
        new, self._new = self._new, set()
        view = self._known
        try:
            view = await self._in_thread(self._view, self._now_ms())
        except OSError as problem:
            self.log.info("cannot watch the canvas: {why}", why=str(problem))
        finally:
            self._looking = False
        self._tell(view, new)
        if not self._pages:
            return
        pause = max(LOOK_SECONDS, LOOK_SHARE * (self._reactor.seconds() - began))
        self._cancel()
        self._call = self._reactor.callLater(0 if self._again else pause, self._due)
        self._again = False

    def _view(self, now_ms: int) -> View:
        entries, _ = self._root.entries("", MAX_WATCHED)
        return look(entries, now_ms)

    def _tell(self, view: View | None, new: set[LivePage]) -> None:
        if view is None:
            return
        changed = self._known is not None and self._known.fingerprint != view.fingerprint
        self._known = view
        newest = max(view.newest_ms + CLOCK_GRAIN_MS, self._changed_ms)
        for page in list(self._pages):
            if changed or (page in new and page.served_ms <= newest):
                page.tell(RELOAD)

    def _due(self) -> None:
        self._call = None
        self.look_now()

    def _cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None
