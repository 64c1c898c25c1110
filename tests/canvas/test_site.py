"""The HTTP side over real sockets: what a browser, a media player and an attacker get."""

from __future__ import annotations

import http.client
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet import reactor as default_reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from clawgw.canvas.capability import Capabilities
from clawgw.canvas.root import CanvasRoot
from clawgw.canvas.site import SiteParts, make_site
from clawgw.trust.peers import PeerPolicy

TIMEOUT = 60
CANVAS = "/__openclaw__/canvas/"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class SiteTestCase(TestCase):
    timeout = 60
    live_reload = True

    def setUp(self) -> None:
        base = Path(self.mktemp()).absolute()
        base.mkdir()
        self.path = base / "canvas"
        self.renderer = base / "static"
        self.root = CanvasRoot(self.path)
        self.root.prepare()
        self.now = int(time.time() * 1000)
        self.capabilities = Capabilities(b"k" * 32, 60_000, lambda: self.now)
        self.reads: list[int] = []
        site = make_site(default_reactor, self.parts())
        self.listening = default_reactor.listenTCP(0, site, interface="127.0.0.1")
        self.port: int = self.listening.getHost().port
        self.addCleanup(self.listening.stopListening)

    def parts(self) -> SiteParts:
        return SiteParts(
            root=self.root,
            renderer=CanvasRoot(self.renderer),
            capabilities=self.capabilities,
            peer_policy=PeerPolicy(),
            live_reload=self.live_reload,
            secure=False,
            in_thread=self.in_thread,
            now_ms=lambda: self.now,
        )

    def in_thread(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        if function is os.pread:
            self.reads.append(args[1])
        return deferToThread(function, *args)

    def ask(self, path: str, method: str = "GET", **headers: str) -> Deferred[Answer]:
        return deferToThread(self._ask, path, method, headers)

    def _ask(self, path: str, method: str, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers=named)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def put(self, name: str, content: bytes) -> None:
        self.root.write(name, content)


class ServingTests(SiteTestCase):
    async def test_an_empty_canvas_explains_itself(self) -> None:
        answer = await self.ask(CANVAS)
        self.assertEqual(answer.status, 200)
        self.assertIn("This canvas is empty", answer.body.decode())
        self.assertIn(str(self.path), answer.body.decode())
        self.assertIn(b"new WebSocket", answer.body)

    async def test_pages_are_live_and_not_cached(self) -> None:
        self.put("index.html", b"<body><h1>Hi</h1></body>")
        for path in (CANVAS, f"{CANVAS}index.html"):
            answer = await self.ask(path)
            self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")
            self.assertEqual(answer.headers["cache-control"], "no-store")
            self.assertIn(b"<h1>Hi</h1><script>", answer.body)

    async def test_types(self) -> None:
        for name, expected in (
            ("a.css", "text/css; charset=utf-8"), ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.json", "application/json; charset=utf-8"),
            ("a.svg", "image/svg+xml; charset=utf-8"),
            ("a.PNG", "image/png"), ("a.mp4", "video/mp4"), ("a.wasm", "application/wasm"),
            ("a.unknown", "application/octet-stream"), ("a", "application/octet-stream"),
        ):  # fmt: skip
            self.put(name, b"x")
            answer = await self.ask(CANVAS + name)
            self.assertEqual((answer.headers["content-type"], answer.body), (expected, b"x"))
            self.assertEqual(answer.headers["x-content-type-options"], "nosniff")

    async def test_only_pages_get_the_script(self) -> None:
        self.put("a.svg", b"<svg><body></body></svg>")
        self.assertEqual((await self.ask(f"{CANVAS}a.svg")).body, b"<svg><body></body></svg>")

    async def test_directories(self) -> None:
        self.put("sub/page.html", b"x")
        self.put("sub/a:b <i>.txt", b"x")
        moved = await self.ask(f"{CANVAS}sub")
        self.assertEqual((moved.status, moved.headers["location"]), (302, f"{CANVAS}sub/"))
        listing = (await self.ask(f"{CANVAS}sub/")).body.decode()
        self.assertIn('<a href="./page.html">page.html</a>', listing)
        self.assertIn('<a href="./a%3Ab%20%3Ci%3E.txt">a:b &lt;i&gt;.txt</a>', listing)
        self.assertEqual((await self.ask(f"{CANVAS}none/")).status, 404)

    async def test_the_root_leads_to_the_canvas(self) -> None:
        for path, expected in (("/", CANVAS), ("/a/b.png", f"{CANVAS}a/b.png"),
                               ("//evil.example/x", f"{CANVAS}/evil.example/x"),
                               ("/__openclaw__/canvas", CANVAS)):  # fmt: skip
            answer = await self.ask(path)
            self.assertEqual((answer.status, answer.headers.get("location")), (302, expected))

    async def test_nothing_outside(self) -> None:
        (self.path.parent / "secret.txt").write_text("secret")
        (self.path / ".env").write_text("secret")
        (self.path / "link").symlink_to(self.path.parent / "secret.txt")
        for path in ("../secret.txt", "%2e%2e/secret.txt", "..%2fsecret.txt", "a/../../secret.txt",
                     "/../secret.txt", "..%5csecret.txt", ".env", "%2eenv", "link", "%00", "%ff%fe",
                     "x%0d%0aset-cookie:a"):  # fmt: skip
            answer = await self.ask(CANVAS + path)
            self.assertEqual(answer.status, 404, path)
            self.assertNotIn(b"secret</", answer.body.replace(b"secret.txt", b""))
            self.assertNotIn("set-cookie", answer.headers)

    async def test_a_missing_page_appears_by_itself(self) -> None:
        answer = await self.ask(f"{CANVAS}soon.html")
        self.assertEqual(answer.status, 404)
        self.assertIn(b"new WebSocket", answer.body)

    async def test_other_methods(self) -> None:
        self.put("a.txt", b"x")
        for method in ("DELETE", "OPTIONS", "PROPFIND"):
            self.assertGreaterEqual((await self.ask(f"{CANVAS}a.txt", method)).status, 400)
        self.assertEqual(self.root.read("a.txt", 9)[1], b"x")

    async def test_a_body_is_not_taken(self) -> None:
        def post() -> bytes:
            with socket.create_connection(("127.0.0.1", self.port), TIMEOUT) as plain:
                plain.settimeout(TIMEOUT)
                plain.sendall(
                    b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 999999999999\r\n\r\n"
                )
                try:
                    return plain.recv(1)
                except ConnectionResetError:
                    return b""

        self.assertEqual(await deferToThread(post), b"")


class CachingTests(SiteTestCase):
    async def test_etag_and_date(self) -> None:
        self.put("a.css", b"body {}")
        first = await self.ask(f"{CANVAS}a.css")
        etag, date = first.headers["etag"], first.headers["last-modified"]
        for headers, expected in (
            ({"If_None_Match": etag}, 304), ({"If_None_Match": f'"x", W/{etag}'}, 304),
            ({"If_None_Match": '"x"'}, 200), ({"If_Modified_Since": date}, 304),
            ({"If_Modified_Since": "Thu, 01 Jan 2015 00:00:00 GMT"}, 200),
            ({"If_Modified_Since": "soon"}, 200),
            ({"If_None_Match": '"x"', "If_Modified_Since": date}, 200),
        ):  # fmt: skip
            answer = await self.ask(f"{CANVAS}a.css", **headers)
            self.assertEqual((answer.status, answer.body == b""), (expected, expected == 304))
        self.put("a.css", b"p {}")
        self.assertEqual((await self.ask(f"{CANVAS}a.css", If_None_Match=etag)).status, 200)

    async def test_head(self) -> None:
        self.put("a.mp4", b"x" * 1000)
        self.put("index.html", b"hi")
        for path in ("a.mp4", "index.html", "none"):
            got, head = await self.ask(CANVAS + path), await self.ask(CANVAS + path, "HEAD")
            self.assertEqual((head.status, head.body), (got.status, b""))
            for name in ("content-length", "content-type", "etag"):
                self.assertEqual(head.headers.get(name), got.headers.get(name))

    async def test_ranges(self) -> None:
        content = bytes(range(256)) * 1000
        self.put("a.mp4", content)
        whole = await self.ask(f"{CANVAS}a.mp4")
        self.assertEqual((whole.status, whole.body), (200, content))
        self.assertEqual(whole.headers["accept-ranges"], "bytes")
        for text, start, end in (("0-0", 0, 1), ("100-200099", 100, 200_100),
                                 ("255000-", 255_000, 256_000),
                                 ("-7", 255_993, 256_000)):  # fmt: skip
            answer = await self.ask(f"{CANVAS}a.mp4", Range=f"bytes={text}")
            self.assertEqual((answer.status, answer.body), (206, content[start:end]))
            self.assertEqual(
                answer.headers["content-range"], f"bytes {start}-{end - 1}/{len(content)}"
            )
        beyond = await self.ask(f"{CANVAS}a.mp4", Range="bytes=256000-")
        self.assertEqual((beyond.status, beyond.headers["content-range"]), (416, "bytes */256000"))
        etag = whole.headers["etag"]
        for condition, status in ((etag, 206), ('"other"', 200),
                                  (whole.headers["last-modified"], 206)):  # fmt: skip
            answer = await self.ask(f"{CANVAS}a.mp4", Range="bytes=0-1", If_Range=condition)
            self.assertEqual(answer.status, status)

    async def test_many_players_at_once(self) -> None:
        content = os.urandom(3_000_000)
        self.put("film.webm", content)
        asked = [
            self.ask(f"{CANVAS}film.webm", Range=f"bytes={number * 1000}-") for number in range(8)
        ]
        for number, waiting in enumerate(asked):
            self.assertEqual((await waiting).body, content[number * 1000 :])

    async def test_a_slow_reader_costs_little(self) -> None:
        """Nothing is read from the disk that the reader has not made room for."""
        self.put("big.bin", b"x" * 64_000_000)
        plain = socket.socket()
        self.addCleanup(plain.close)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

        def ask() -> None:
            plain.connect(("127.0.0.1", self.port))
            plain.sendall(f"GET {CANVAS}big.bin HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            plain.recv(1)

        await deferToThread(ask)
        before = -1
        while before != len(self.reads):  # until it stands still
            before = len(self.reads)
            await deferToThread(time.sleep, 0.3)
        self.assertLess(sum(self.reads), 32_000_000)
        plain.close()
        answer = await self.ask(f"{CANVAS}big.bin", Range="bytes=-5")
        self.assertEqual(answer.body, b"xxxxx")


class AccessTests(SiteTestCase):
    async def test_a_name_of_somebody_else(self) -> None:
        """A web page that points its name at 127.0.0.1 does not get in."""
        self.put("a.txt", b"ours")
        self.assertEqual((await self.ask(f"{CANVAS}a.txt", Host="evil.example")).status, 403)
        self.assertEqual((await self.ask(f"{CANVAS}a.txt", Host="localhost:1")).status, 200)
        self.assertEqual((await self.ask(f"{CANVAS}a.txt", Host="a b")).status, 400)

    async def test_from_elsewhere_with_a_capability(self) -> None:
        self.put("a.txt", b"ours")
        far = {"X_Forwarded_For": "203.0.113.9"}
        self.assertEqual((await self.ask(f"{CANVAS}a.txt", **far)).status, 403)
        base = f"/__openclaw__/cap/{self.capabilities.mint('canvas')}"
        self.assertEqual((await self.ask(f"{base}{CANVAS}a.txt", **far)).body, b"ours")
        wrong = f"/__openclaw__/cap/{self.capabilities.mint('a2ui')}"
        self.assertEqual((await self.ask(f"{wrong}{CANVAS}a.txt", **far)).status, 403)
        moved = await self.ask(f"{base}/", **far)
        self.assertEqual(moved.headers["location"], f"{base}{CANVAS}")
        self.now += 60_000
        late = await self.ask(f"{base}{CANVAS}a.txt", **far)
        self.assertEqual(late.status, 403)
        self.assertIn("no longer opens", late.body.decode())

    async def test_live_pages_stay_under_their_capability(self) -> None:
        base = f"/__openclaw__/cap/{self.capabilities.mint('canvas')}"
        answer = await self.ask(f"{base}{CANVAS}", X_Forwarded_For="203.0.113.9")
        self.assertIn(f'"{base}/__openclaw__/ws"'.encode(), answer.body)
        self.assertEqual(answer.headers["referrer-policy"], "no-referrer")


class RendererTests(SiteTestCase):
    A2UI = "/__openclaw__/a2ui/"

    async def test_not_built(self) -> None:
        answer = await self.ask(self.A2UI)
        self.assertEqual(answer.status, 503)
        self.assertIn("make a2ui", answer.body.decode())
        self.assertIn("apt install npm", answer.body.decode())

    async def test_built(self) -> None:
        CanvasRoot(self.renderer).prepare()
        (self.renderer / "a2ui.js").write_text("1")
        page = await self.ask(self.A2UI)
        self.assertIn("sandbox allow-scripts", page.headers["content-security-policy"])
        ticket = page.body.decode().split('data-ticket="')[1].split('"')[0]
        self.assertTrue(self.capabilities.holds("a2ui", ticket))
        script = await self.ask(f"{self.A2UI}a2ui.js")
        self.assertEqual((script.body, script.headers["access-control-allow-origin"]), (b"1", "*"))
        self.assertEqual((await self.ask(f"{self.A2UI}../canvas/x")).status, 404)

    async def test_a_script_does_not_get_the_page(self) -> None:
        CanvasRoot(self.renderer).prepare()
        (self.renderer / "a2ui.js").write_text("1")
        for wanted in ("empty", "script", "worker"):
            answer = await self.ask(self.A2UI, Sec_Fetch_Dest=wanted)
            self.assertEqual(answer.status, 403)
            self.assertNotIn(b"data-ticket", answer.body)
        self.assertEqual((await self.ask(self.A2UI, Sec_Fetch_Dest="document")).status, 200)


class WithoutReloadTests(SiteTestCase):
    live_reload = False

    async def test_pages_are_files_like_others(self) -> None:
        self.put("index.html", b"<body></body>")
        answer = await self.ask(CANVAS)
        self.assertEqual(answer.body, b"<body></body>")
        self.assertEqual((await self.ask(CANVAS, If_None_Match=answer.headers["etag"])).status, 304)
