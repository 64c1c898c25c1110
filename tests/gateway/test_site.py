"""The web site: every page with its headers, and nothing but the pages."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from clawgw.gateway.site import load_pages, make_site, page

WEB = Path(str(resources.files("clawgw").joinpath("web")))
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


class Answer:
    """An HTTP response, taken apart."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        self.code = int(status.split()[1])
        self.headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }


class SiteTestCase(SynchronousTestCase):
    """The site as it is served."""

    def setUp(self) -> None:
        self.ready = False
        self.clock = Clock()
        self.site = make_site(self.clock, load_pages(), lambda: self.ready)

    def ask(self, path: str, method: str = "GET", *headers: str) -> Answer:
        """One request on a connection of its own."""
        protocol = self.site.buildProtocol(IPv4Address("TCP", "127.0.0.1", 5000))
        transport = StringTransport()
        protocol.makeConnection(transport)
        lines = (f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers)
        protocol.dataReceived("\r\n".join((*lines, "", "")).encode())
        return Answer(transport.value())

    def files(self) -> list[Path]:
        found = [path for path in sorted(WEB.rglob("*")) if path.suffix in TYPES]
        self.assertGreater(len(found), 10)
        return found


class PageTests(SiteTestCase):
    """What is there."""

    def test_every_file_with_its_type(self) -> None:
        for file in self.files():
            answer = self.ask(f"/{file.relative_to(WEB)}")
            self.assertEqual(answer.code, 200, file)
            self.assertEqual(answer.body, file.read_bytes(), file)
            self.assertEqual(answer.headers["content-type"], TYPES[file.suffix], file)
            self.assertEqual(answer.headers["content-length"], str(file.stat().st_size))

    def test_no_file_of_the_page_is_left_out(self) -> None:
        rest = {path.suffix for path in WEB.rglob("*") if path.is_file()} - set(TYPES)
        self.assertEqual(rest, set())

    def test_the_index(self) -> None:
        index = (WEB / "index.html").read_bytes()
        for path in ("/", "/index.html"):
            answer = self.ask(path)
            self.assertEqual((answer.code, answer.body), (200, index))
            self.assertEqual(answer.headers["content-type"], TYPES[".html"])

    def test_a_query_does_not_matter(self) -> None:
        self.assertEqual(self.ask("/?session=main").code, 200)

    def test_headers_that_keep_others_out(self) -> None:
        for path in ("/", "/app.js", "/nothing", "/healthz"):
            headers = self.ask(path).headers
            policy = dict(
                part.strip().partition(" ")[::2]
                for part in headers["content-security-policy"].split(";")
            )
            self.assertEqual(policy["default-src"], "'self'")
            self.assertNotIn("script-src", policy)
            for name in ("object-src", "base-uri", "frame-ancestors", "form-action"):
                self.assertEqual(policy[name], "'none'", path)
            self.assertEqual(policy["connect-src"], "'self' ws: wss:")
            self.assertNotIn("unsafe", headers["content-security-policy"])
            self.assertEqual(headers["x-content-type-options"], "nosniff")
            self.assertEqual(headers["x-frame-options"], "DENY")
            self.assertEqual(headers["referrer-policy"], "no-referrer")
            self.assertEqual(headers["cross-origin-opener-policy"], "same-origin")
            self.assertEqual(headers["cache-control"], "no-cache")

    def test_what_has_not_changed_is_not_sent_again(self) -> None:
        etag = self.ask("/app.js").headers["etag"]
        again = self.ask("/app.js", "GET", f"If-None-Match: {etag}")
        self.assertEqual((again.code, again.body), (304, b""))
        self.assertEqual(again.headers["etag"], etag)
        other = self.ask("/app.js", "GET", 'If-None-Match: "other"')
        self.assertEqual(other.code, 200)
        self.assertNotEqual(self.ask("/").headers["etag"], etag)

    def test_the_tag_follows_the_content(self) -> None:
        self.assertEqual(page("text/css", b"a").etag, page("text/css", b"a").etag)
        self.assertNotEqual(page("text/css", b"a").etag, page("text/css", b"b").etag)

    def test_head(self) -> None:
        for path in ("/", "/app.js", "/healthz"):
            full, head = self.ask(path), self.ask(path, "HEAD")
            self.assertEqual((head.code, head.body), (200, b""))
            for name in ("content-type", "content-length", "content-security-policy"):
                self.assertEqual(head.headers[name], full.headers[name])

    def test_other_methods(self) -> None:
        for method, code in (("POST", 405), ("PUT", 501), ("DELETE", 501)):
            answer = self.ask("/", method, "Content-Length: 0")
            self.assertEqual(answer.code, code)
            self.assertNotIn(b"<script", answer.body)

    def test_nothing_but_the_pages(self) -> None:
        paths = (
            "/nothing", "/../setup.cfg", "/../../setup.cfg", "/%2e%2e/setup.cfg", "/..%2fsetup.cfg",
            "/%2e%2e%2f%2e%2e%2fetc/passwd", "//etc/passwd", "/./app.js", "/../web/app.js",
            "/app.js/", "/app.js%00.html", "/APP.JS", "/etc/passwd", "/clawgw/service.py",
            "/__init__.py", "/%ff%fe", "/..\\setup.cfg",
        )  # fmt: skip
        for path in paths:
            answer = self.ask(path)
            self.assertEqual((answer.code, answer.body), (404, b"Not found.\n"), path)
            self.assertTrue(answer.headers["content-type"].startswith("text/plain"))

    def test_a_gateway_without_a_page(self) -> None:
        self.site = make_site(self.clock, {}, lambda: True)
        self.assertEqual(self.ask("/").code, 404)
        self.assertEqual(self.ask("/readyz").code, 200)


class HealthTests(SiteTestCase):
    """What supervisors ask."""

    def test_alive_is_not_ready(self) -> None:
        self.assertEqual(self.ask("/healthz").code, 200)
        waiting = self.ask("/readyz")
        self.assertEqual((waiting.code, waiting.body), (503, b'{"ok":false}\n'))
        self.ready = True
        there = self.ask("/readyz")
        self.assertEqual((there.code, there.body), (200, b'{"ok":true}\n'))
        self.assertEqual(there.headers["content-type"], "application/json")
