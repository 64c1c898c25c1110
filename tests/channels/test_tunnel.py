"""Requests and sockets through a proxy."""

from __future__ import annotations

from base64 import b64decode

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.protocol import Protocol

from clawgw.channels.http import HttpUnreachable
from clawgw.channels.websocket import open_socket
from tests.channels.proxy import Proxy
from tests.channels.test_http import SECRET, HttpTestCase
from tests.channels.test_websocket import TICKET, Server
from tests.support.certificates import make_pair

PASSWORD = "p@ss/word"


class Through(HttpTestCase):
    """A proxy on loopback, which asks for nothing and connects to all."""

    def setUp(self) -> None:
        super().setUp()
        self.proxy = Proxy()
        self.way = f"http://me:p%40ss%2Fword@127.0.0.1:{self.listen(self.proxy)}"
        self.http = self.client(proxy=self.way)

    async def test_a_request_goes_through_with_the_proxys_password(self) -> None:
        answer = await self.http.request("POST", self.url(), json={"a": 1})
        self.assertEqual(answer.body, b"{}")
        self.assertEqual(len(self.provider.seen), 1)
        (asked,) = self.proxy.requests
        lines = asked.decode().split("\r\n")
        here = self.root.removeprefix("http://")
        self.assertEqual(lines[:2], [f"CONNECT {here} HTTP/1.1", f"Host: {here}"])
        kind, _, pair = lines[2].removeprefix("Proxy-Authorization: ").partition(" ")
        self.assertEqual((kind, b64decode(pair).decode()), ("Basic", f"me:{PASSWORD}"))
        self.assertNotIn("proxy-authorization", self.provider.seen[0][2])

    async def test_the_proxy_reads_nothing_of_what_is_encrypted(self) -> None:
        pair = make_pair(self.directory, "server")
        self.trust(pair)
        port = self.listen(self.site, pair)
        answer = await self.http.request("GET", f"https://127.0.0.1:{port}/{SECRET}")
        self.assertEqual(answer.status, 200)
        self.assertNotIn(b"a-token", self.proxy.carried)
        self.assertGreater(len(self.proxy.carried), 100)

    async def test_a_socket_goes_through(self) -> None:
        server = Server()
        received: DeferredQueue[str | bytes] = DeferredQueue()
        socket = await open_socket(
            reactor,
            f"ws://127.0.0.1:{self.listen(server)}/?{TICKET}",
            on_message=lambda message, _: received.put(message),
            proxy=self.way,
        )
        peer = await server.opened.get()
        peer.sendMessage(b"hello")
        self.assertEqual(await received.get(), "hello")
        self.assertEqual(len(self.proxy.requests), 1)
        self.assertTrue((await socket.close()).clean)

    async def test_what_a_proxy_may_answer_instead(self) -> None:
        for answer, why in (
            (b"HTTP/1.1 407 Who are you\r\n\r\n", "asks for another user name or password"),
            (b"HTTP/1.0 403 No\r\n\r\n", "does not connect us (status 403)"),
            (b"SSH-2.0-x\r\n\r\n", "something that is not HTTP"),
            (b"x" * 20_000, "something that is not HTTP"),
        ):
            self.proxy.answer = answer
            text = await self.failure(HttpUnreachable, self.http.request("GET", self.url()))
            self.assertIn(why, text)
            self.assertNotIn(PASSWORD, text)
        self.assertEqual(self.provider.seen, [])

    async def test_a_proxy_that_is_not_there(self) -> None:
        class Cut(Protocol):
            def dataReceived(self, data: bytes) -> None:
                self.transport.abortConnection()

        for proxy, why in (
            (self.raw_peer(Cut), "the proxy cut the connection"),
            ("http://nothing.invalid:3128", "there is no such proxy"),
        ):
            http = self.client(proxy=proxy)
            text = await self.failure(HttpUnreachable, http.request("GET", self.url()))
            self.assertIn(why, text)

    async def test_a_silent_proxy_is_given_up(self) -> None:
        gone: Deferred[None] = Deferred()

        class Mute(Protocol):
            def connectionLost(self, *_: object) -> None:
                gone.callback(None)

        http = self.client(proxy=self.raw_peer(Mute), connect_timeout=0.2)
        await self.failure(HttpUnreachable, http.request("GET", self.url()))
        await gone

    def test_what_is_no_proxy_is_refused_without_showing_it(self) -> None:
        for url in ("socks5://me:secret@h:1", "http://", "me:secret@h", "http://me:secret@h:x"):
            with self.assertRaises(ValueError) as caught:
                self.client(proxy=url)
            self.assertNotIn("secret", str(caught.exception))

    async def test_a_socket_takes_no_other_proxy_either(self) -> None:
        with self.assertRaises(ValueError):
            await open_socket(
                reactor, "ws://127.0.0.1:1", on_message=lambda *_: None, proxy="socks5://h:1"
            )
