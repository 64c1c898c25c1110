"""The HTTP client against servers on loopback: what it sends, takes, refuses and says."""

from __future__ import annotations

import gzip
import json
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import PrivateCertificate
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from clawgw.channels import http
from clawgw.channels.http import (
    DownloadInfo,
    Http,
    HttpBadAnswer,
    HttpError,
    HttpLost,
    HttpUnreachable,
    Part,
    TooLarge,
)
from tests.channels.loglines import keep_out_of_log
from tests.support.certificates import Pair, make_pair
from tests.support.clocked import ClockedReactor
from tests.support.ports import hold_port
from tests.support.site import WatchedSite

SECRET = "123456:a-token-in-the-path"

Answer = Callable[[Request], Any]


class Scripted(Resource):
    """Answers every request with one function, and keeps what was asked."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.answer: Answer = lambda _: b"{}"
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.asked: Deferred[Request] = Deferred()

    def render(self, request: Request) -> Any:
        headers = {
            name.decode().lower(): values[0].decode()
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        content = request.content.read()
        self.seen.append((request.method.decode(), request.uri.decode(), headers, content))
        if not self.asked.called:
            self.asked.callback(request)
        return self.answer(request)


class HttpTestCase(TestCase):
    timeout = 90

    def setUp(self) -> None:
        keep_out_of_log(self, "a-token", "a-ticket", "Bot ")
        self.sites: list[WatchedSite] = []
        self.addCleanup(self.see_the_sites_end)  # when all clients are closed
        self.provider = Scripted()
        self.site = WatchedSite(self.provider)
        self.root = f"http://127.0.0.1:{self.listen(self.site)}"
        self.http = self.client()
        self.directory = Path(self.mktemp())
        self.directory.mkdir()

    def client(self, **options: Any) -> Http:
        http = Http(reactor, "Telegram", **options)
        self.addCleanup(lambda: Deferred.fromCoroutine(http.close()))
        return http

    async def see_the_sites_end(self) -> None:
        for site in self.sites:
            await site.ended()

    def listen(self, factory: Any, pair: Pair | None = None) -> int:
        if isinstance(factory, WatchedSite):
            self.sites.append(factory)
        if pair is None:
            port: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")
        else:
            pem = Path(pair.key_path).read_bytes() + Path(pair.cert_path).read_bytes()
            context = PrivateCertificate.loadPEM(pem).options()
            port = reactor.listenSSL(0, factory, context, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        number: int = port.getHost().port
        return number

    def trust(self, pair: Pair) -> None:
        """Make this machine trust a certificate for the time of the test."""
        os.putenv("SSL_CERT_FILE", pair.cert_path)
        self.addCleanup(os.unsetenv, "SSL_CERT_FILE")

    def raw_peer(self, protocol: type[Protocol]) -> str:
        factory = Factory.forProtocol(protocol)
        factory.noisy = False
        return f"http://127.0.0.1:{self.listen(factory)}"

    async def failure(self, kind: type[HttpError], doing: Awaitable[Any]) -> str:
        """What a person is told; never anything secret."""
        with self.assertRaises(kind) as caught:
            await doing
        text = str(caught.exception)
        self.assertNotIn("a-token", text)
        self.assertNotIn("a-ticket", text)
        self.assertIn("Telegram", text)
        return text

    def url(self, path: str = "sendMessage") -> str:
        return f"{self.root}/bot{SECRET}/{path}?ticket=a-ticket"


def silence(_: Request) -> Any:
    return NOT_DONE_YET


class Asking(HttpTestCase):
    """Requests and their answers."""

    async def test_json_goes_and_comes(self) -> None:
        self.provider.answer = lambda _: b'{"ok":true,"result":[1,"\xc3\xa9"]}'
        answer = await self.http.request("POST", self.url(), json={"text": "hé", "none": None})
        self.assertEqual((answer.status, answer.json()), (200, {"ok": True, "result": [1, "é"]}))
        method, uri, headers, content = self.provider.seen[0]
        self.assertEqual((method, uri), ("POST", f"/bot{SECRET}/sendMessage?ticket=a-ticket"))
        self.assertEqual(json.loads(content), {"text": "hé", "none": None})
        self.assertEqual(headers["content-type"], "application/json; charset=UTF-8")
        self.assertTrue(headers["user-agent"].startswith("clawgw/"))

    async def test_a_form_is_url_encoded(self) -> None:
        await self.http.request("POST", self.url(), form={"text": "a b&c"})
        self.assertEqual(self.provider.seen[0][3], b"text=a+b%26c")

    async def test_every_status_is_an_answer_with_its_headers(self) -> None:
        def throttled(request: Request) -> bytes:
            request.setResponseCode(429)
            request.setHeader("Retry-After", "7")
            return b'{"ok":false}'

        self.provider.answer = throttled
        answer = await self.http.request("GET", self.url())
        self.assertEqual(answer.status, 429)
        self.assertEqual(answer.headers.get("retry-after"), "7")
        self.assertEqual(answer.headers.get("RETRY-AFTER"), "7")
        self.assertIsNone(answer.headers.get("x-nothing"))

    async def test_default_headers_are_asked_for_each_time_and_can_be_outdone(self) -> None:
        tokens = iter(("one", "two", "three"))
        http = self.client(headers=lambda: {"Authorization": f"Bot {next(tokens)}"})
        await http.request("GET", self.url())
        await http.request("GET", self.url())
        await http.request("GET", self.url(), headers={"Authorization": "Bot other"})
        shown = [headers["authorization"] for _, _, headers, _ in self.provider.seen]
        self.assertEqual(shown, ["Bot one", "Bot two", "Bot other"])

    async def test_one_connection_serves_many_requests(self) -> None:
        for _ in range(5):
            await self.http.request("POST", self.url(), json={})
        self.assertEqual(len(self.site.connections), 1)

    async def test_a_compressed_answer_is_read(self) -> None:
        def compressed(request: Request) -> bytes:
            request.setHeader("Content-Encoding", "gzip")
            return gzip.compress(b'{"ok":1}')

        self.provider.answer = compressed
        self.assertEqual((await self.http.request("GET", self.url())).json(), {"ok": 1})

    async def test_files_go_as_parts_of_a_form(self) -> None:
        path = self.directory / "photo"
        path.write_bytes(os.urandom(700_000))
        await self.http.request(
            "POST",
            self.url("sendPhoto"),
            form={"caption": "grüß"},
            files=[
                Part("photo", 'a "b".jpg', "image/jpeg", path),
                Part("thumbnail", "t.png", "image/png", b"few bytes"),
            ],
        )
        _, _, headers, content = self.provider.seen[0]
        boundary = headers["content-type"].partition("boundary=")[2].encode()
        parts = content.split(b"--" + boundary)[1:-1]
        self.assertEqual(len(parts), 3)
        self.assertTrue(parts[0].endswith("\r\n\r\ngrüß\r\n".encode()))
        self.assertIn(b'name="photo"; filename="a \\"b\\".jpg"', parts[1])
        self.assertIn(b"Content-Type: image/jpeg", parts[1])
        self.assertEqual(parts[1].partition(b"\r\n\r\n")[2], path.read_bytes() + b"\r\n")
        self.assertTrue(parts[2].endswith(b"\r\n\r\nfew bytes\r\n"))

    async def test_a_file_that_is_not_there_is_an_os_error_and_nothing_is_sent(self) -> None:
        parts = [Part("photo", "a.jpg", "image/jpeg", self.directory / "missing")]
        with self.assertRaises(FileNotFoundError):
            await self.http.request("POST", self.url(), files=parts)
        self.assertEqual(self.provider.seen, [])

    async def test_a_peer_may_answer_before_it_has_read_a_large_file(self) -> None:
        class Hasty(Protocol):
            def dataReceived(self, data: bytes) -> None:
                if not peers:
                    peers.append(self)
                    self.transport.write(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
                    self.transport.pauseProducing()

            def connectionLost(self, reason: Failure = connectionDone) -> None:
                gone.callback(None)

        peers: list[Any] = []
        gone: Deferred[None] = Deferred()
        path = self.directory / "video"
        with path.open("wb") as file:
            file.truncate(50_000_000)
        parts = [Part("video", "v.mp4", "video/mp4", path)]
        url = self.raw_peer(Hasty) + f"/{SECRET}"
        answer = await self.http.request("POST", url, files=parts)
        self.assertEqual((answer.status, answer.body), (413, b"no"))
        peers[0].transport.abortConnection()
        await gone

    async def test_what_is_no_json_is_a_bad_answer_with_its_status(self) -> None:
        def broken(request: Request) -> bytes:
            request.setResponseCode(502)
            return b"<html>a-token</html>"

        self.provider.answer = broken
        answer = await self.http.request("GET", self.url())
        with self.assertRaises(HttpBadAnswer) as caught:
            answer.json()
        self.assertEqual(caught.exception.status, 502)
        self.assertIn(self.root, str(caught.exception))
        self.assertNotIn("a-token", str(caught.exception))

    async def test_json_nested_too_deep_is_a_bad_answer(self) -> None:
        self.provider.answer = lambda _: b"[" * 1_000_000
        answer = await self.http.request("GET", self.url())
        self.assertRaises(HttpBadAnswer, answer.json)

    async def test_an_answer_shows_neither_headers_nor_body(self) -> None:
        self.provider.answer = lambda _: b'"a-token"'
        answer = await self.http.request("GET", self.url())
        self.assertNotIn("a-token", repr(answer))


class Redirects(HttpTestCase):
    """Where an answer sends us."""

    def lead_to(self, url: str) -> None:
        def lead(request: Request) -> bytes:
            request.redirect(url.encode())
            return b""

        self.provider.answer = lead

    async def test_they_are_not_followed(self) -> None:
        self.lead_to(f"{self.root}/elsewhere")
        answer = await self.http.request("GET", self.url())
        self.assertEqual(answer.status, 302)
        self.assertEqual(answer.headers.get("Location"), f"{self.root}/elsewhere")
        self.assertEqual(len(self.provider.seen), 1)

    async def test_when_followed_credentials_stay_with_their_host(self) -> None:
        other = Scripted()
        port = self.listen(WatchedSite(other))
        self.lead_to(f"http://127.0.0.1:{port}/file")
        http = self.client(headers=lambda: {"Authorization": "Bot a-token"})
        answer = await http.request("GET", self.url(), redirects=True)
        self.assertEqual((answer.status, answer.body), (200, b"{}"))
        self.assertIn("authorization", self.provider.seen[0][2])
        self.assertNotIn("authorization", other.seen[0][2])

    async def test_they_never_lead_out_of_tls(self) -> None:
        self.lead_to(f"{self.root}/file")
        pair = make_pair(self.directory, "server", names=("127.0.0.1",))
        self.trust(pair)
        port = self.listen(self.site, pair)
        asking = self.http.request("GET", f"https://127.0.0.1:{port}/{SECRET}", redirects=True)
        text = await self.failure(HttpUnreachable, asking)
        self.assertIn("not encrypted", text)
        self.assertEqual(len(self.provider.seen), 1)


class Failing(HttpTestCase):
    """What is known of a request that got no answer."""

    async def expiring(self, until: Deferred[Any]) -> None:
        """A request whose time is up when something has happened, and not before."""
        timed = ClockedReactor()
        http = Http(timed, "Telegram")
        asking = Deferred.fromCoroutine(http.request("POST", self.url(), json={}, timeout=0.2))
        await until
        timed.clock.advance(0.2)
        await asking

    async def test_nobody_there_means_nothing_was_sent(self) -> None:
        number = hold_port(self)
        url = f"http://127.0.0.1:{number}/bot{SECRET}/x?ticket=a-ticket"
        text = await self.failure(HttpUnreachable, self.http.request("POST", url, json={}))
        self.assertEqual(
            text,
            f"Telegram: http://127.0.0.1:{number} cannot be reached: nothing answers there.",
        )

    async def test_no_such_host_means_nothing_was_sent(self) -> None:
        url = f"http://nothing.invalid/{SECRET}"
        text = await self.failure(HttpUnreachable, self.http.request("POST", url))
        self.assertIn("http://nothing.invalid cannot be reached: there is no such host", text)

    async def test_what_is_no_url_is_said_without_showing_it(self) -> None:
        for url in (f"ftp://x/{SECRET}", f"//{SECRET}", "http://[", f"http://h:port/{SECRET}"):
            await self.failure(HttpUnreachable, self.http.request("GET", url))

    async def test_so_it_is_with_a_host_that_nobody_can_have(self) -> None:
        for host in ("a b", "a_b", "a..b", "-", "%31.0.0.1", "[::1%25lo]", "x@y@h", "a" * 300):
            url = f"http://{host}/{SECRET}"
            text = await self.failure(HttpUnreachable, self.http.request("GET", url))
            self.assertEqual(text, "Telegram: The address is not a URL.", host)
            await self.failure(HttpUnreachable, self.http.download(url, self.directory / "file"))

    async def test_an_untrusted_certificate_ends_it_before_anything_is_sent(self) -> None:
        pair = make_pair(self.directory, "server")
        port = self.listen(self.site, pair)
        url = f"https://127.0.0.1:{port}/bot{SECRET}/x"
        text = await self.failure(HttpUnreachable, self.http.request("POST", url, json={}))
        self.assertIn("not signed by an authority this machine trusts", text)
        self.assertEqual(self.provider.seen, [])

    async def test_a_certificate_for_another_name_ends_it_before_anything_is_sent(self) -> None:
        pair = make_pair(self.directory, "server", names=("other.example",))
        self.trust(pair)
        port = self.listen(self.site, pair)
        url = f"https://127.0.0.1:{port}/bot{SECRET}/x"
        text = await self.failure(HttpUnreachable, self.http.request("POST", url, json={}))
        self.assertIn("another name", text)
        self.assertEqual(self.provider.seen, [])

    async def test_a_server_without_tls_is_named_so(self) -> None:
        class Plain(Protocol):
            def dataReceived(self, data: bytes) -> None:
                self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        url = self.raw_peer(Plain).replace("http:", "https:") + f"/{SECRET}"
        text = await self.failure(HttpUnreachable, self.http.request("POST", url))
        self.assertIn("does not speak TLS", text)

    async def test_a_silent_tls_peer_is_given_up_with_nothing_sent(self) -> None:
        class Mute(Protocol):
            pass

        http = self.client(connect_timeout=0.2)
        url = self.raw_peer(Mute).replace("http:", "https:") + f"/{SECRET}"
        text = await self.failure(HttpUnreachable, http.request("POST", url))
        self.assertIn("did not answer within 0.2 s", text)

    async def test_a_limit_that_ends_while_connecting_means_nothing_was_sent(self) -> None:
        class Mute(Protocol):
            pass

        url = self.raw_peer(Mute).replace("http:", "https:") + f"/{SECRET}"
        await self.failure(HttpUnreachable, self.http.request("POST", url, timeout=0.2))

    async def test_no_answer_in_time_may_have_been_acted_on(self) -> None:
        self.provider.answer = silence
        text = await self.failure(HttpLost, self.expiring(self.provider.asked))
        self.assertEqual(text, f"Telegram at {self.root} did not answer within 0.2 s.")

    async def test_an_answer_that_stops_half_way_may_have_been_acted_on(self) -> None:
        def half(request: Request) -> Any:
            request.setHeader("Content-Length", "100")
            request.write(b"{")
            return NOT_DONE_YET

        self.provider.answer = half
        begun: Deferred[bytes] = Deferred()
        self.patch(http._Memory, "write", lambda _, data: begun.callback(data))
        await self.failure(HttpLost, self.expiring(begun))

    async def test_a_cut_after_the_request_may_have_been_acted_on(self) -> None:
        def cut(request: Request) -> Any:
            request.transport.abortConnection()
            return NOT_DONE_YET

        self.provider.answer = cut
        text = await self.failure(HttpLost, self.http.request("POST", self.url(), json={}))
        self.assertIn("was cut", text)
        self.assertEqual(len(self.provider.seen), 1)

    async def test_a_peer_that_speaks_no_http_may_have_acted(self) -> None:
        class Odd(Protocol):
            def dataReceived(self, data: bytes) -> None:
                self.transport.write(b"220 mail.example ESMTP\r\n")
                self.transport.loseConnection()

        # without a body, or Twisted complains if it has not been told yet that it is all sent
        url = self.raw_peer(Odd) + f"/{SECRET}"
        await self.failure(HttpLost, self.http.request("POST", url))

    async def test_an_answer_that_is_too_large_is_not_read_to_its_end(self) -> None:
        self.provider.answer = lambda _: b"x" * 5000
        asking = self.http.request("GET", self.url(), max_bytes=4999)
        await self.failure(TooLarge, asking)
        fits = await self.http.request("GET", self.url(), max_bytes=5000)
        self.assertEqual(len(fits.body), 5000)

    async def test_an_endless_answer_is_cut_off(self) -> None:
        class Endless(Protocol):
            def dataReceived(self, data: bytes) -> None:
                self.transport.write(b"HTTP/1.1 200 OK\r\n\r\n")
                self.transport.registerProducer(self, False)

            def resumeProducing(self) -> None:
                self.transport.write(b"x" * 65536)

            def stopProducing(self) -> None:
                gone.callback(None)

        gone: Deferred[None] = Deferred()
        url = self.raw_peer(Endless) + f"/{SECRET}"
        await self.failure(TooLarge, self.http.request("GET", url, max_bytes=1_000_000))
        await gone

    async def test_closing_ends_what_is_under_way(self) -> None:
        self.provider.answer = silence
        asking = Deferred.fromCoroutine(self.http.request("POST", self.url(), json={}))
        await self.provider.asked
        await self.http.close()
        with self.assertRaises(CancelledError):
            await asking

    async def test_a_caller_may_cancel(self) -> None:
        self.provider.answer = silence
        asking = Deferred.fromCoroutine(self.http.request("POST", self.url(), json={}))
        request = await self.provider.asked
        gone = request.notifyFinish()
        asking.cancel()
        with self.assertRaises(CancelledError):
            await asking
        with self.assertRaises(Exception):  # noqa: B017 - the server sees that we are gone
            await gone


class Downloading(HttpTestCase):
    """Files from a provider."""

    async def test_a_file_arrives_whole_and_for_its_owner_only(self) -> None:
        content = os.urandom(3_000_000)

        def give(request: Request) -> bytes:
            request.setHeader("Content-Type", "image/PNG; charset=binary")
            return content

        self.provider.answer = give
        path = self.directory / "photo"
        info = await self.http.download(self.url(), path, headers={"Authorization": "x"})
        self.assertEqual(info, DownloadInfo(3_000_000, "image/png"))
        self.assertEqual(path.read_bytes(), content)
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(self.provider.seen[0][2]["authorization"], "x")
        self.assertEqual([entry.name for entry in self.directory.iterdir()], ["photo"])

    async def test_default_headers_stay_at_home(self) -> None:
        http = self.client(headers=lambda: {"Authorization": "Bot a-token"})
        await http.download(self.url(), self.directory / "file")
        self.assertNotIn("authorization", self.provider.seen[0][2])

    async def test_a_file_without_a_type_or_a_length_is_taken(self) -> None:
        def stream(request: Request) -> Any:
            request.responseHeaders.removeHeader("content-type")
            request.defaultContentType = None
            request.write(b"ab")
            request.write(b"cd")
            request.finish()
            return NOT_DONE_YET

        self.provider.answer = stream
        path = self.directory / "file"
        info = await self.http.download(self.url(), path)
        self.assertEqual((info.size, path.read_bytes()), (4, b"abcd"))

    async def test_a_refusal_tells_its_status_and_leaves_no_file(self) -> None:
        def refuse(request: Request) -> bytes:
            request.setResponseCode(404)
            return b"no"

        self.provider.answer = refuse
        with self.assertRaises(HttpBadAnswer) as caught:
            await self.http.download(self.url(), self.directory / "file")
        self.assertEqual(caught.exception.status, 404)
        self.assertEqual(list(self.directory.iterdir()), [])

    async def test_what_is_too_large_leaves_no_file(self) -> None:
        def chunked(request: Request) -> Any:
            request.write(b"x" * 600_000)
            request.write(b"x" * 600_000)
            request.finish()
            return NOT_DONE_YET

        for answer in (lambda _: b"x" * 1_200_000, chunked):
            self.provider.answer = answer
            fetching = self.http.download(self.url(), self.directory / "file", max_bytes=1_000_000)
            await self.failure(TooLarge, fetching)
            self.assertEqual(list(self.directory.iterdir()), [])

    async def test_what_stops_half_way_leaves_what_was_there_before(self) -> None:
        def half(request: Request) -> Any:
            request.setHeader("Content-Length", "1000000")
            request.write(b"x" * 600_000)
            reactor.callLater(0.05, request.transport.abortConnection)
            return NOT_DONE_YET

        self.provider.answer = half
        path = self.directory / "file"
        path.write_text("older")
        await self.failure(HttpLost, self.http.download(self.url(), path))
        self.assertEqual(path.read_text(), "older")
        self.assertEqual(list(self.directory.iterdir()), [path])

    async def test_a_place_that_cannot_be_written_is_an_os_error(self) -> None:
        with self.assertRaises(OSError):
            await self.http.download(self.url(), self.directory / "missing" / "file")
