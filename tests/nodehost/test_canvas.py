"""`canvas.*` on a real chromium, with pages from a server of our own."""

from __future__ import annotations

import base64
import os
import shutil
import struct
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import Site

from clawgw.nodehost.capabilities import Machine
from tests.nodehost.support import HostTestCase, script

A2UI_PAGE = b"""<!doctype html><title>A2UI</title><script>
const seen = [];
setTimeout(() => { globalThis.openclawA2UI = {
  applyMessages: (messages) => { seen.push(...messages); return {ok: true, count: seen.length}; },
  reset: () => { seen.length = 0; return {ok: true, count: 0}; },
}; }, 300);
</script>"""


class Pages(Resource):
    """Pages by path; remembers what was asked for."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.pages = {
            "/blue": b"<!doctype html><title>Blue</title><body style='background:#00f'>",
            "/alert": b"<!doctype html><title>Alert</title><script>alert(1)</script>",
            "/__openclaw__/canvas/": b"<!doctype html><title>The canvas</title>",
            "/__openclaw__/a2ui/": A2UI_PAGE,
        }

    def render_GET(self, request: Any) -> bytes:
        path = request.path.decode()
        self.asked.append(path)
        request.setHeader(b"content-type", b"text/html")
        return self.pages.get(path, b"<title>Nothing</title>")


class CanvasTests(HostTestCase):
    """One page that nobody looks at."""

    timeout = 240

    def setUp(self) -> None:
        super().setUp()
        self.browser = shutil.which("chromium") or shutil.which("google-chrome")
        if self.browser is None:
            raise SkipTest("no chromium on this machine, so no canvas was shown; "
                           "apt-get install chromium")  # fmt: skip
        self.pages = Pages()
        self.port: Any = reactor.listenTCP(  # type: ignore[attr-defined]
            0, Site(self.pages), interface="127.0.0.1"
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(self.unlisten()))
        self.base = f"http://127.0.0.1:{self.port.getHost().port}"

    async def unlisten(self) -> None:
        await self.port.stopListening()

    async def start(self, canvas: bool = True, browser: str | None = None, **more: Any) -> None:
        self.gateway.canvas_url = self.base if canvas else None
        machine = Machine(platform="linux", browser=browser or self.browser)
        await self.start_host(machine=machine, **more)

    async def eval(self, text: str) -> Any:
        return (await self.payload("canvas.eval", {"javaScript": text}))["result"]

    def profiles(self) -> list[Path]:
        return list(self.directory.glob("browser-*"))

    async def test_a_canvas_from_beginning_to_end(self) -> None:
        await self.start()
        self.assertEqual(self.profiles(), [], "nothing is started before it is needed")
        await self.payload("canvas.present", {"placement": {"width": 640, "height": 400}})
        self.assertEqual(await self.eval("document.title"), "The canvas")
        self.assertEqual(await self.eval("[innerWidth, innerHeight]"), "[640,400]")

        await self.payload("canvas.navigate", {"url": f"{self.base}/blue"})
        self.assertEqual(await self.eval("document.title"), "Blue")
        await self.payload("canvas.navigate", {"url": "/blue"})
        self.assertEqual(await self.eval("Promise.resolve({a: 1})"), '{"a":1}')
        self.assertEqual(await self.eval("undefined"), "null")

        picture = await self.payload("canvas.snapshot", {"format": "png", "maxWidth": 320})
        data = base64.b64decode(picture["base64"])
        self.assertEqual(picture["format"], "png")
        self.assertEqual(struct.unpack(">II", data[16:24]), (320, 200))
        photo = await self.payload("canvas.snapshot", {"format": "jpg", "quality": 0.5})
        self.assertEqual(photo["format"], "jpeg")
        self.assertEqual(base64.b64decode(photo["base64"])[:2], b"\xff\xd8")

        await self.payload("canvas.hide")
        self.assertEqual(self.profiles(), [], "its profile goes with it")
        self.assertEqual(await self.eval("document.title"), "The canvas")

    async def test_scripts_that_fail(self) -> None:
        await self.start(canvas=False)
        error = await self.error("canvas.eval", {"javaScript": "throw new Error('oh no')"})
        self.assertEqual(error["code"], "EVAL_FAILED")
        self.assertIn("oh no", error["message"])
        error = await self.error("canvas.eval", {"javaScript": "("})
        self.assertEqual(error["code"], "EVAL_FAILED")
        error = await self.error("canvas.eval", {"javaScript": "while (true);"}, timeoutMs=2000)
        self.assertEqual(error["code"], "TIMEOUT")

    async def test_a_page_that_asks_does_not_hold_it_up(self) -> None:
        await self.start(canvas=False)
        await self.payload("canvas.present", {"url": f"{self.base}/alert"})
        self.assertEqual(await self.eval("document.title"), "Alert")

    async def test_only_pages_can_be_opened(self) -> None:
        await self.start(canvas=False)
        for url in (
            "file:///etc/passwd", "chrome://version", "javascript:alert(1)", "data:text/html,x",
            "view-source:http://127.0.0.1/", "about:version", "//127.0.0.1/", "http://", "x", "",
            "http://[",
        ):  # fmt: skip
            error = await self.error("canvas.navigate", {"url": url})
            self.assertEqual(error["code"], "INVALID_REQUEST", url)
        self.assertEqual((await self.error("canvas.navigate", {"url": "/x"}))["code"],
                         "UNAVAILABLE")  # fmt: skip
        self.assertEqual(self.profiles(), [])
        await self.payload("canvas.navigate", {"url": f"{self.base}/blue"})
        await self.eval("location.href = 'file:///etc/passwd'")
        self.assertEqual(await self.eval("document.title"), "Blue")

    async def test_a_page_that_is_not_there(self) -> None:
        await self.start(canvas=False)
        error = await self.error("canvas.navigate", {"url": "http://127.0.0.1:1/secret-path"})
        self.assertEqual(error["code"], "UNAVAILABLE")
        self.assertNotIn("secret-path", error["message"])

    async def test_a2ui(self) -> None:
        await self.start()
        messages = [{"deleteSurface": {"surfaceId": "a"}}, {"x": "</script>\u2028"}]
        pushed = await self.payload("canvas.a2ui.push", {"messages": messages})
        self.assertEqual(pushed, {"ok": True, "count": 2})
        lines = {"jsonl": '{"a": 1}\n\n{"b": 2}\n'}
        self.assertEqual((await self.payload("canvas.a2ui.pushJSONL", lines))["count"], 4)
        self.assertEqual(await self.eval("seen[1].x"), "</script>\u2028")
        self.assertEqual((await self.payload("canvas.a2ui.reset"))["count"], 0)
        self.assertEqual(self.pages.asked.count("/__openclaw__/a2ui/"), 1)
        for params in ({}, {"jsonl": ""}, {"jsonl": "[1]"}, {"jsonl": "{}", "messages": []}):
            error = await self.error("canvas.a2ui.push", params)
            self.assertEqual(error["code"], "INVALID_REQUEST", params)

    async def test_a2ui_without_a_page_for_it(self) -> None:
        await self.start(canvas=False)
        error = await self.error("canvas.a2ui.reset")
        self.assertEqual(error["code"], "A2UI_HOST_NOT_CONFIGURED")

    async def test_a_browser_that_dies_is_started_again(self) -> None:
        await self.start(canvas=False)
        await self.payload("canvas.present")
        (profile,) = self.profiles()
        await self.eventually(lambda: self.browser_pids(profile))
        for pid in self.browser_pids(profile):
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue
        await self.eventually(lambda: not self.profiles())
        self.assertEqual(await self.eval("1 + 1"), "2")

    async def test_a_browser_that_cannot_start(self) -> None:
        broken = script(self.directory / "broken", "#!/bin/sh\necho no display >&2\nexit 1\n")
        await self.start(browser=broken)
        error = await self.error("canvas.present")
        self.assertEqual(error["code"], "UNAVAILABLE")
        self.assertIn("no display", error["message"])

    def browser_pids(self, profile: Path) -> list[int]:
        """The processes of the browser with this profile."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if f"--user-data-dir={profile}".encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found
