"""The WebSocket client against servers on loopback: how it opens, carries and ends."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, DeferredQueue
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import PrivateCertificate
from twisted.trial.unittest import TestCase

from clawgw.channels.websocket import Closed, Socket, SocketUnreachable, open_socket
from tests.channels.loglines import keep_out_of_log
from tests.support.certificates import make_pair
from tests.support.clocked import ClockedReactor
from tests.support.ports import hold_port

TICKET = "ticket=a-ticket-nobody-may-see"


class Peer(WebSocketServerProtocol):
    """One connection at the server."""

    def onConnect(self, request: Any) -> None:
        if self.factory.deny is not None:
            raise ConnectionDeny(self.factory.deny, "no")
        self.factory.requests.append(request)

    def onOpen(self) -> None:
        self.factory.opened.put(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.factory.messages.put((payload, isBinary))

    def onPing(self, payload: bytes) -> None:
        self.factory.pings.put(payload)
        if self.factory.answers_pings:
            super().onPing(payload)

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        self.factory.closes.put((wasClean, code, reason))


class Server(WebSocketServerFactory):
    """A server that keeps what it gets."""

    noisy = False
    protocol = Peer
    deny: int | None = None
    answers_pings = True

    def __init__(self) -> None:
        super().__init__(reactor=reactor)
        self.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0)
        self.requests: list[Any] = []
        self.opened: DeferredQueue[Peer] = DeferredQueue()
        self.messages: DeferredQueue[tuple[bytes, bool]] = DeferredQueue()
        self.pings: DeferredQueue[bytes] = DeferredQueue()
        self.closes: DeferredQueue[tuple[bool, int, str]] = DeferredQueue()


class SocketTestCase(TestCase):
    timeout = 90

    def setUp(self) -> None:
        keep_out_of_log(self, "a-ticket", "Bot ")
        self.server = Server()
        self.root = f"ws://127.0.0.1:{self.listen(self.server)}"
        self.received: DeferredQueue[tuple[str | bytes, bool]] = DeferredQueue()

    def listen(self, factory: Any) -> int:
        port: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        number: int = port.getHost().port
        return number

    def raw_peer(self, protocol: type[Protocol]) -> str:
        factory = Factory.forProtocol(protocol)
        factory.noisy = False
        return f"ws://127.0.0.1:{self.listen(factory)}/link?{TICKET}"

    def receive(self, message: str | bytes, is_binary: bool) -> None:
        self.received.put((message, is_binary))

    async def opened(self, url: str | None = None, **options: Any) -> Socket:
        options = {"on_message": self.receive, "reactor": reactor, **options}
        socket = await open_socket(url=url or f"{self.root}/link?{TICKET}", **options)
        self.addCleanup(socket.close)
        return socket

    async def both(self, **options: Any) -> tuple[Socket, Peer]:
        return await self.opened(**options), await self.server.opened.get()

    async def refusal(self, url: str | None = None, **options: Any) -> SocketUnreachable:
        with self.assertRaises(SocketUnreachable) as caught:
            await self.opened(url, **options)
        self.assertNotIn("ticket", str(caught.exception))
        return caught.exception


class Opening(SocketTestCase):
    """From a URL to a socket, or to a reason."""

    async def test_headers_path_and_query_reach_the_server(self) -> None:
        await self.opened(headers={"Authorization": "Bot x"})
        request = self.server.requests[0]
        self.assertEqual(request.path, "/link")
        self.assertEqual(request.params, {"ticket": ["a-ticket-nobody-may-see"]})
        self.assertEqual(request.headers["authorization"], "Bot x")
        self.assertTrue(request.headers["user-agent"].startswith("clawgw/"))

    async def test_a_refused_upgrade_tells_its_status(self) -> None:
        self.server.deny = 429
        refusal = await self.refusal()
        self.assertEqual(refusal.status, 429)
        self.assertEqual(
            str(refusal), f"{self.root} answered with HTTP status 429 instead of a WebSocket."
        )

    async def test_nobody_there(self) -> None:
        number = hold_port(self)
        refusal = await self.refusal(f"ws://127.0.0.1:{number}/?{TICKET}")
        self.assertEqual(
            str(refusal), f"ws://127.0.0.1:{number} cannot be reached: nothing answers there."
        )
        self.assertIsNone(refusal.status)

    async def test_what_is_no_websocket_url(self) -> None:
        for url in (f"http://h/?{TICKET}", f"ws:///?{TICKET}", f"ws://h/?{TICKET}#part"):
            await self.refusal(url)

    async def test_a_server_that_says_nothing_is_given_up(self) -> None:
        class Mute(Protocol):
            pass

        refusal = await self.refusal(self.raw_peer(Mute), connect_timeout=0.2)
        self.assertIn("did not open a WebSocket within 0.2 s", str(refusal))

    async def test_a_server_that_speaks_something_else(self) -> None:
        for answer in (b"220 mail.example ESMTP\r\n\r\n", b"\xff\xfe\x00\r\n\r\n"):

            class Odd(Protocol):
                said = answer

                def dataReceived(self, data: bytes) -> None:
                    self.transport.write(self.said)

            refusal = await self.refusal(self.raw_peer(Odd))
            self.assertIn("did not open a WebSocket", str(refusal))

    async def test_tls_is_opened_with_a_trusted_certificate_only(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir()
        pair = make_pair(directory, "server")
        pem = Path(pair.key_path).read_bytes() + Path(pair.cert_path).read_bytes()
        context = PrivateCertificate.loadPEM(pem).options()
        port: Any = reactor.listenSSL(0, self.server, context, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        url = f"wss://127.0.0.1:{port.getHost().port}/?{TICKET}"
        refusal = await self.refusal(url)
        self.assertIn("not signed by an authority this machine trusts", str(refusal))

        os.putenv("SSL_CERT_FILE", pair.cert_path)
        self.addCleanup(os.unsetenv, "SSL_CERT_FILE")
        socket = await self.opened(url)
        socket.send("hello")
        self.assertEqual(await self.server.messages.get(), (b"hello", False))
        await socket.close()

    async def test_an_opener_may_cancel(self) -> None:
        class Mute(Protocol):
            def dataReceived(self, data: bytes) -> None:
                if not asked.called:
                    asked.callback(None)

            def connectionLost(self, *_: Any) -> None:
                gone.callback(None)

        asked: Deferred[None] = Deferred()
        gone: Deferred[None] = Deferred()
        opening = Deferred.fromCoroutine(self.opened(self.raw_peer(Mute)))
        await asked
        opening.cancel()
        with self.assertRaises(CancelledError):
            await opening
        await gone


class Carrying(SocketTestCase):
    """Messages both ways."""

    async def test_text_and_binary_in_their_order(self) -> None:
        socket, peer = await self.both()
        socket.send("grüß")
        socket.send(b"\x00\xff")
        self.assertEqual(await self.server.messages.get(), ("grüß".encode(), False))
        self.assertEqual(await self.server.messages.get(), (b"\x00\xff", True))
        peer.sendMessage("😀".encode())
        peer.sendMessage(b"\x01", isBinary=True)
        self.assertEqual(await self.received.get(), ("😀", False))
        self.assertEqual(await self.received.get(), (b"\x01", True))

    async def test_a_receiver_that_fails_costs_nothing_but_a_line_in_the_log(self) -> None:
        def receive(message: str | bytes, is_binary: bool) -> None:
            self.receive(message, is_binary)
            if message == "bad":
                raise LookupError("no such thing")

        _, peer = await self.both(on_message=receive)
        peer.sendMessage(b"bad")
        peer.sendMessage(b"good")
        await self.received.get()
        self.assertEqual(await self.received.get(), ("good", False))
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)

    async def test_a_paused_socket_hands_over_nothing_until_it_goes_on(self) -> None:
        socket, peer = await self.both()
        socket.pause()
        peer.sendMessage(b"later")
        socket.send("over")
        await self.server.messages.get()
        self.assertEqual(self.received.pending, [])
        socket.resume()
        self.assertEqual(await self.received.get(), ("later", False))

    async def test_what_is_sent_after_the_end_goes_nowhere(self) -> None:
        socket, _ = await self.both()
        await socket.close()
        socket.send("late")
        self.assertEqual(await self.server.closes.get(), (True, 1000, None))
        self.assertEqual(self.server.messages.pending, [])


class Ending(SocketTestCase):
    """Every way a connection can end, and what is told of it."""

    async def test_the_peers_code_and_reason_are_told_to_all_who_ask(self) -> None:
        socket, peer = await self.both()
        before, also = socket.closed, socket.closed
        peer.sendClose(4004, "Authentication failed.")
        expected = Closed(4004, "Authentication failed.", clean=True)
        self.assertEqual(await before, expected)
        self.assertEqual(await also, expected)
        self.assertEqual(await socket.closed, expected)

    async def test_our_code_and_reason_reach_the_peer(self) -> None:
        socket, _ = await self.both()
        self.assertTrue((await socket.close(4000, "resuming")).clean)
        self.assertEqual(await self.server.closes.get(), (True, 4000, "resuming"))

    async def test_closing_twice_is_closing_once(self) -> None:
        socket, _ = await self.both()
        first, second = socket.close(4001, "one"), socket.close(4002, "two")
        self.assertEqual(await first, await second)
        self.assertEqual(await self.server.closes.get(), (True, 4001, "one"))

    async def test_a_close_without_a_code_is_a_close(self) -> None:
        socket, peer = await self.both()
        peer.sendClose()
        self.assertEqual(await socket.closed, Closed(1005, "", clean=True))

    async def test_a_cut_is_told_from_a_close(self) -> None:
        socket, peer = await self.both()
        peer.transport.abortConnection()
        self.assertEqual(await socket.closed, Closed(1006, "the connection was cut", clean=False))

    async def test_a_message_that_is_too_large_ends_it(self) -> None:
        socket, peer = await self.both(max_message=1000)
        peer.sendMessage(b"x" * 1000)
        self.assertEqual(await self.received.get(), ("x" * 1000, False))
        peer.sendMessage(b"x" * 1001)
        closed = await socket.closed
        self.assertEqual((closed.code, closed.clean), (1009, False))
        self.assertEqual(self.received.pending, [])

    async def test_a_message_in_many_fragments_is_limited_too(self) -> None:
        socket, peer = await self.both(max_message=1000)
        peer.beginMessage()
        for _ in range(11):
            peer.sendMessageFrame(b"x" * 100)
        self.assertEqual((await socket.closed).code, 1009)

    async def test_text_that_is_none_ends_it(self) -> None:
        socket, peer = await self.both()
        peer.sendFrame(opcode=1, payload=b"\xff\xff")
        self.assertFalse((await socket.closed).clean)
        self.assertEqual(self.received.pending, [])


class Waiting(SocketTestCase):
    """What time brings; the clock is the test's."""

    def setUp(self) -> None:
        super().setUp()
        self.reactor = ClockedReactor()
        self.clock = self.reactor.clock

    async def both(self, **options: Any) -> tuple[Socket, Peer]:
        return await super().both(reactor=self.reactor, **options)

    async def test_a_peer_that_does_not_answer_our_close_is_cut(self) -> None:
        socket, peer = await self.both()
        peer.transport.pauseProducing()
        closing = socket.close()
        self.clock.advance(3)
        closed = await closing
        self.assertEqual((closed.code, closed.clean), (1006, False))
        peer.transport.abortConnection()
        await self.server.closes.get()

    async def test_a_peer_that_closes_and_stays_is_cut(self) -> None:
        socket, peer = await self.both()
        ended = socket.closed
        peer.dropConnection = lambda abort=False: None
        peer.sendCloseFrame(code=1001, reasonUtf8=b"restart")
        heard: Deferred[None] = Deferred()
        peer.onCloseFrame = lambda *_: heard.callback(None)
        await heard
        self.clock.advance(3)
        self.assertEqual(await ended, Closed(1001, "restart", clean=True))

    async def test_a_silent_peer_is_asked_and_lives_when_it_answers(self) -> None:
        socket, peer = await self.both(ping_interval=10)
        for _ in range(3):
            self.clock.advance(10)
            await self.server.pings.get()
            # The pong is on its way before this message, so it has come when this has.
            peer.sendMessage(b"so far")
            await self.received.get()
            self.clock.advance(10)
        await socket.close()

    async def test_a_peer_that_stays_silent_is_gone(self) -> None:
        socket, _ = await self.both(ping_interval=10)
        self.server.answers_pings = False
        ended = socket.closed
        self.clock.advance(10)
        await self.server.pings.get()
        self.clock.advance(10)
        closed = await ended
        self.assertEqual(closed, Closed(1006, "the peer has been silent for too long", clean=False))
        self.assertEqual(self.clock.getDelayedCalls(), [])
