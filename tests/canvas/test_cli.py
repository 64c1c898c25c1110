"""`clawgw canvas` against a running Gateway."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.canvas.support import TOKEN, CanvasGateway
from tests.support.cli import Result, start


class CanvasCommandTests(TestCase):
    timeout = 120

    async def setUp(self) -> None:  # type: ignore[override]
        self.gateway = CanvasGateway()
        self.addCleanup(deferToThread, self.gateway.close)
        await deferToThread(self.gateway.start)
        self.here = Path(self.mktemp())
        self.here.mkdir()

    async def run_clawgw(self, *arguments: str) -> Result:
        options = ["--url", self.gateway.process.ws_url, "--token", TOKEN]
        command = start([*options, *arguments], self.here)
        self.addCleanup(command.stop)
        return await command.ended

    async def test_push_list_url_reset(self) -> None:
        site = self.here / "site"
        (site / "sub").mkdir(parents=True)
        (site / "index.html").write_text("<h1>Pushed</h1>")
        (site / "sub" / "data.bin").write_bytes(bytes(range(256)))
        (site / ".secret").write_text("stays")
        pushed = await self.run_clawgw("canvas", "push", str(site))
        self.assertEqual((pushed.code, pushed.out), (0, "index.html\nsub/data.bin\n"))
        one = await self.run_clawgw("canvas", "push", str(site / "index.html"), "--to", "a/b.html")
        self.assertEqual(one.out, "a/b.html\n")
        listed = await self.run_clawgw("canvas", "list")
        self.assertEqual(listed.out, "a/b.html\nindex.html\nsub/data.bin\n")
        url = (await self.run_clawgw("canvas", "url")).out.strip()
        page = await deferToThread(lambda: urllib.request.urlopen(url, timeout=60).read())
        self.assertIn(b"<h1>Pushed</h1>", page)
        reset = await self.run_clawgw("canvas", "reset", "--yes")
        self.assertEqual(reset.out, "Deleted 3 files.\n")

    async def test_push_a2ui(self) -> None:
        lines = self.here / "form.jsonl"
        lines.write_text(json.dumps({"version": "v0.9", "createSurface": {"surfaceId": "f"}}))
        shown = await self.run_clawgw("canvas", "push", "--a2ui", str(lines))
        self.assertEqual(shown.out, "Shown on 0 screens: f\n")
        lines.write_text("{}")
        refused = await self.run_clawgw("canvas", "push", "--a2ui", str(lines))
        self.assertEqual(refused.code, 1)
        self.assertIn("message 1: expected exactly one of", refused.err)
        self.assertEqual((await self.run_clawgw("canvas", "reset", "--a2ui")).code, 0)
