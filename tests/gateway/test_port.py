"""The shared port: what goes to the API, what to the site, and what nowhere."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from clawgw.gateway.admission import AdmissionCount
from clawgw.gateway.port import SharedPortFactory, is_websocket_upgrade

PAGE = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPGRADE = (
    b"GET /any/path HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\n"
    b"uPgRaDe: WebSocket\r\nSec-WebSocket-Key: x\r\n\r\n"
)


class Side(Factory):
    """One side of the port; keeps what it gets."""

    def __init__(self) -> None:
        self.data: list[bytes] = []
        self.lost = 0
        self.transports: list[Any] = []
        self.full = False
        self.running = 0

    def buildProtocol(self, addr: Any) -> Any:
        return None if self.full else _Kept(self)

    def startFactory(self) -> None:
        self.running += 1

    def stopFactory(self) -> None:
        self.running -= 1

    @property
    def received(self) -> bytes:
        return b"".join(self.data)


class _Kept(Protocol):
    def __init__(self, side: Side) -> None:
        self.side = side

    def connectionMade(self) -> None:
        self.side.transports.append(self.transport)

    def dataReceived(self, data: bytes) -> None:
        self.side.data.append(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.side.lost += 1


class PortTests(SynchronousTestCase):
    """One connection to the port."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.api, self.site = Side(), Side()
        self.factory = SharedPortFactory(self.clock, self.api, self.site)
        self.transport = StringTransport()
        self.protocol = self.factory.buildProtocol(None)
        self.protocol.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def test_a_page_goes_to_the_site(self) -> None:
        self.send(PAGE)
        self.assertEqual((self.site.received, self.api.received), (PAGE, b""))

    def test_an_upgrade_on_any_path_goes_to_the_api(self) -> None:
        self.send(UPGRADE)
        self.assertEqual((self.api.received, self.site.received), (UPGRADE, b""))

    def test_what_is_an_upgrade(self) -> None:
        heads = {
            b"GET / HTTP/1.1\r\nUpgrade: websocket": True,
            b"GET / HTTP/1.1\r\nUPGRADE:WebSocket": True,
            b"GET / HTTP/1.1\r\nUpgrade: h2c, websocket": True,
            b"GET / HTTP/1.1\r\nUpgrade: h2c": False,
            b"GET /Upgrade: websocket HTTP/1.1\r\nHost: x": False,
            b"GET / HTTP/1.1\r\nX-Upgrade: websocket": False,
            b"GET / HTTP/1.1": False,
            b"": False,
        }
        for head, expected in heads.items():
            self.assertEqual(is_websocket_upgrade(head), expected, head)

    def test_byte_by_byte(self) -> None:
        for number in range(len(UPGRADE)):
            self.assertEqual(self.api.received, b"")
            self.send(UPGRADE[number : number + 1])
        self.assertEqual(self.api.received, UPGRADE)

    def test_bytes_right_behind_the_head_reach_the_api(self) -> None:
        self.send(UPGRADE + b"\x81\x80frame")
        self.send(b" and more")
        self.assertEqual(self.api.received, UPGRADE + b"\x81\x80frame and more")

    def test_the_chosen_side_has_the_transport_and_hears_of_the_end(self) -> None:
        self.send(PAGE)
        self.assertEqual(self.site.transports, [self.transport])
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.site.lost, 1)

    def test_the_time_limit_is_for_the_head_only(self) -> None:
        self.send(UPGRADE)
        self.clock.advance(3600)
        self.assertFalse(self.transport.disconnecting)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_head_that_does_not_come_is_cut(self) -> None:
        self.clock.advance(9)
        self.send(b"GET / HT")
        self.clock.advance(0.9)
        self.assertFalse(self.transport.disconnected)
        self.clock.advance(0.2)
        self.assertTrue(self.transport.disconnected)
        self.protocol.connectionLost(Failure(ConnectionDone()))

    def test_a_trickle_does_not_buy_time(self) -> None:
        for _ in range(12):
            if not self.transport.disconnected:
                self.send(b"G")
            self.clock.advance(1)
        self.assertTrue(self.transport.disconnected)

    def test_a_head_without_end(self) -> None:
        self.send(b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 3000)
        self.assertTrue(self.transport.value().startswith(b"HTTP/1.1 431 "))
        self.assertTrue(self.transport.value().endswith(b"\r\n\r\n"))
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual((self.api.transports, self.site.transports), ([], []))

    def test_nothing_is_kept_of_what_follows_a_refused_head(self) -> None:
        """Over TLS bytes come in until the peer agrees to close; it is not waited for long."""
        self.send(b"x" * 20_000)
        answer = self.transport.value()
        for _ in range(100):
            self.send(b"x" * 60_000)
        self.send(b"\r\n\r\n")
        self.assertEqual(self.transport.value(), answer)
        self.assertEqual((self.api.transports, self.site.transports), ([], []))
        self.assertLess(len(self.protocol._head), 100_000)
        self.clock.advance(10.1)
        self.assertTrue(self.transport.disconnected)

    def test_a_large_head_is_not_too_large(self) -> None:
        head = b"GET / HTTP/1.1\r\nCookie: " + b"x" * 12_000 + b"\r\n\r\n"
        self.send(head)
        self.assertEqual(self.site.received, head)

    def test_tls_on_a_plain_port_is_cut(self) -> None:
        self.send(bytes.fromhex("16030100f8010000f4"))
        self.assertTrue(self.transport.disconnected)
        self.assertEqual(self.transport.value(), b"", "no HTTP into a TLS handshake")

    def test_a_side_that_takes_nobody(self) -> None:
        self.api.full = True
        self.send(UPGRADE)
        self.assertTrue(self.transport.disconnected)

    def test_the_end_before_the_head(self) -> None:
        self.send(b"GET")
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((self.api.lost, self.site.lost), (0, 0))

    def test_both_sides_start_and_stop_with_the_port(self) -> None:
        self.factory.doStart()
        self.assertEqual((self.api.running, self.site.running), (1, 1))
        self.factory.doStop()
        self.assertEqual((self.api.running, self.site.running), (0, 0))


class CrowdTests(SynchronousTestCase):
    """How many connections may be here at once."""

    def setUp(self) -> None:
        self.api, self.site = Side(), Side()
        self.factory = SharedPortFactory(Clock(), self.api, self.site, AdmissionCount(3, 2))

    def connect(self, address: str) -> Any:
        protocol: Any = self.factory.buildProtocol(IPv4Address("TCP", address, 1))
        if protocol is not None:
            protocol.makeConnection(StringTransport())
        return protocol

    def test_by_address_and_in_all(self) -> None:
        first = self.connect("192.0.2.1")
        self.assertIsNotNone(self.connect("192.0.2.1"))
        self.assertIsNone(self.connect("192.0.2.1"))
        self.assertIsNotNone(self.connect("192.0.2.2"))
        self.assertIsNone(self.connect("192.0.2.3"))
        first.connectionLost(Failure(ConnectionDone()))
        self.assertIsNotNone(self.connect("192.0.2.3"))

    def test_a_page_counts_and_a_websocket_does_not(self) -> None:
        self.connect("192.0.2.1").dataReceived(PAGE)
        upgraded = self.connect("192.0.2.1")
        self.assertIsNone(self.connect("192.0.2.1"))
        upgraded.dataReceived(UPGRADE)
        self.assertIsNotNone(self.connect("192.0.2.1"))
        self.assertIsNone(self.connect("192.0.2.1"))
        upgraded.connectionLost(Failure(ConnectionDone()))
        self.assertIsNone(self.connect("192.0.2.1"), "it is not counted down twice")
