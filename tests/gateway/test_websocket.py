"""The WebSocket edge: states, limits and times of a connection, byte by byte in memory."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.gateway.support import REMOTE, Client, MemoryGateway, Peer
from tests.support.memory import Device
from tests.support.wire import BINARY, CLOSE, PING

KIB = 1024


def request_of_size(size: int, method: str = "health") -> bytes:
    """A request frame of exactly so many bytes."""
    bare = json.dumps({"type": "req", "id": "1", "method": method, "params": {"x": ""}}).encode()
    return bare.replace(b'""', b'"' + b"x" * (size - len(bare)) + b'"')


class EdgeTestCase(SynchronousTestCase):
    """A Gateway in memory."""

    def setUp(self) -> None:
        self.gateway = MemoryGateway(self).start()

    def assert_closed(self, client: Client, code: int, reason: str = "") -> None:
        """The client was told why, and the connection has ended."""
        client.read()
        assert client.closed is not None, "no close frame"
        self.assertEqual(client.closed[0], code)
        self.assertIn(reason, client.closed[1])
        self.assertTrue(client.is_cut)


class ChallengeTests(EdgeTestCase):
    """Before `connect`."""

    def test_the_gateway_speaks_first(self) -> None:
        client = Client(self.gateway)
        (challenge,) = client.read()
        self.assertEqual((challenge["type"], challenge["event"]), ("event", "connect.challenge"))
        self.assertEqual(set(challenge), {"type", "event", "payload"}, "it is not counted")
        self.assertEqual(set(challenge["payload"]), {"nonce", "ts"})
        self.assertEqual(challenge["payload"]["ts"], self.gateway.reactor.now_ms())

    def test_every_challenge_is_another(self) -> None:
        nonces = {Client(self.gateway).nonce for _ in range(20)}
        self.assertEqual(len(nonces), 20)

    def test_another_request_first_is_answered_then_closed(self) -> None:
        client = Client(self.gateway)
        answer = client.request("health")
        self.assertFalse(answer["ok"])
        self.assertEqual(answer["error"]["code"], "INVALID_REQUEST")
        self.assertIn("connect", answer["error"]["message"])
        self.assert_closed(client, 1008, "connect")

    def test_text_that_is_no_frame_is_closed_without_an_answer(self) -> None:
        for text in (b"hello", b"{}", b"[]", b'{"type":"res","id":"1","ok":true}', b"", b"[" * 999):
            client = Client(self.gateway)
            client.send(text)
            self.assertEqual(len(client.received), 1, "the challenge only")
            self.assert_closed(client, 1008, "invalid request frame")

    def test_text_that_is_not_utf8_is_closed(self) -> None:
        client = Client(self.gateway)
        client.send(b"\xff\xfe\xfd")
        client.read()
        assert client.closed is not None
        self.assertIn(client.closed[0], (1007, 1008))
        self.assertTrue(client.is_cut)

    def test_a_binary_message(self) -> None:
        client = Client(self.gateway)
        client.send(b"\x00\x01", BINARY)
        self.assert_closed(client, 1003, "text")

    def test_wrong_params_are_explained(self) -> None:
        client = Client(self.gateway)
        answer = client.request("connect", {"minProtocol": "4", "nonsense": True})
        message = answer["error"]["message"]
        self.assertTrue(message.startswith("invalid connect params: "))
        for field in ("minProtocol", "maxProtocol", "client", "nonsense"):
            self.assertIn(field, message)
        self.assert_closed(client, 1008, "invalid connect params")

    def test_64_kib_are_read_and_one_byte_more_is_not(self) -> None:
        fits = Client(self.gateway)
        fits.send(request_of_size(64 * KIB, "connect"))
        self.assertIn("invalid connect params", fits.answers("1")[0]["error"]["message"])
        over = Client(self.gateway)
        over.send(request_of_size(64 * KIB + 1, "connect"))
        self.assertEqual(over.answers("1"), [])
        self.assert_closed(over, 1009)

    def test_a_message_in_pieces_is_not_larger_either(self) -> None:
        client = Client(self.gateway)
        client.send(b"x" * 40 * KIB, fin=False)
        client.send(b"x" * 40 * KIB, 0, fin=True)
        self.assert_closed(client, 1009)

    def test_the_size_is_judged_by_the_head_of_the_frame(self) -> None:
        client = Client(self.gateway)
        client.send_bytes(b"\x81\xff" + (1 << 40).to_bytes(8, "big") + b"\0\0\0\0")
        self.assert_closed(client, 1009)

    def test_ten_seconds_to_connect(self) -> None:
        client = Client(self.gateway)
        self.gateway.advance(9.8)
        client.read()
        self.assertIsNone(client.closed)
        self.gateway.advance(0.3)
        self.assert_closed(client, 1008, "handshake timeout")

    def test_pings_do_not_buy_time(self) -> None:
        client = Client(self.gateway)
        for _ in range(12):
            client.send(b"", PING)
            self.gateway.advance(1)
        self.assert_closed(client, 1008, "handshake timeout")

    def test_connected_in_time_stays(self) -> None:
        client = Client(self.gateway)
        self.gateway.advance(9)
        self.assertTrue(client.connect(Device())["ok"])
        self.gateway.advance(20)
        client.read()
        self.assertIsNone(client.closed)

    def test_a_peer_that_does_not_close_is_cut(self) -> None:
        client = Client(self.gateway)
        client.replies = False
        client.send(b"hello")
        self.assertIsNotNone(client.closed)
        self.assertFalse(client.is_cut)
        self.gateway.advance(5.1)
        self.assertTrue(client.is_cut)

    def test_nothing_said_after_the_close_counts(self) -> None:
        client = Client(self.gateway)
        client.replies = False
        client.send(b"hello")
        client.send({"type": "req", "id": "1", "method": "connect", "params": {}})
        self.assertEqual(client.answers("1"), [])

    def test_no_timer_outlives_a_connection(self) -> None:
        timers = len(self.gateway.reactor.getDelayedCalls())
        for _ in range(3):
            Client(self.gateway).hang_up()
            client = Client(self.gateway)
            client.connect(Device())
            client.hang_up()
        self.gateway.advance(1.1)  # the connection log looks back after a second
        self.assertEqual(len(self.gateway.reactor.getDelayedCalls()), timers)


class DecidingTests(EdgeTestCase):
    """While the disk is asked."""

    def begin(self) -> Client:
        """A client whose device is being paired."""
        self.gateway.store.held = []
        client = Client(self.gateway)
        params = client.connect_params(Device())
        client.send({"type": "req", "id": "c", "method": "connect", "params": params})
        self.assertEqual(client.answers("c"), [], "not before it is on the disk")
        return client

    def test_the_answer_comes_when_it_is_on_the_disk(self) -> None:
        client = self.begin()
        self.gateway.store.release()
        (answer,) = client.answers("c")
        self.assertTrue(answer["ok"])

    def test_who_does_not_wait_is_cut_off(self) -> None:
        client = self.begin()
        client.send({"type": "req", "id": "2", "method": "health"})
        self.assert_closed(client, 1008, "wait for hello-ok")
        self.gateway.store.release()
        client.read()
        self.assertEqual(client.answers("c") + client.answers("2"), [])
        self.assertEqual(len(self.gateway.service.broadcaster), 0)

    def test_who_leaves_meanwhile_is_not_there(self) -> None:
        client = self.begin()
        client.hang_up()
        self.gateway.store.release()
        self.assertEqual(len(self.gateway.service.broadcaster), 0)

    def test_a_disk_that_fails(self) -> None:
        self.gateway.store.fail_next = OSError("no space left on /secret/place")
        client = Client(self.gateway)
        answer = client.connect(Device())
        self.assertEqual(answer["error"]["code"], "UNAVAILABLE")
        self.assertTrue(answer["error"]["retryable"])
        self.assertNotIn("secret", json.dumps(answer))
        self.assert_closed(client, 1011)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_a_disk_that_takes_too_long(self) -> None:
        client = self.begin()
        self.gateway.advance(10.2)
        self.assert_closed(client, 1008, "handshake timeout")
        self.gateway.store.release()


class AdmittedTests(EdgeTestCase):
    """After `hello-ok`."""

    def test_larger_frames_are_read_up_to_the_policy(self) -> None:
        for protocol, most in ((3, 512 * KIB), (4, 25 * KIB * KIB)):
            client = self.gateway.connect(device=Device(), protocol=protocol)
            self.assertEqual(client.hello["policy"]["maxPayload"], most)
            client.send(request_of_size(512 * KIB))
            self.assertTrue(client.answers("1")[0]["ok"])
        old = self.gateway.connect(device=Device(), protocol=3)
        old.send(request_of_size(512 * KIB + 1))
        self.assertEqual(old.answers("1"), [])
        self.assert_closed(old, 1009)

    def test_a_bad_frame_is_answered_and_the_connection_lives(self) -> None:
        client = self.gateway.connect(device=Device())
        client.send(b"hello")
        (answer,) = client.answers("unknown")
        self.assertEqual(answer["error"]["code"], "INVALID_REQUEST")
        self.assertTrue(client.request("health")["ok"])

    def test_connect_again(self) -> None:
        client = self.gateway.connect(device=Device())
        self.assertFalse(client.request("connect", client.connect_params(Device()))["ok"])
        self.assertTrue(client.request("health")["ok"])

    def test_a_binary_message(self) -> None:
        client = self.gateway.connect(device=Device())
        client.send(b"\x00", BINARY)
        self.assert_closed(client, 1003)
        self.assertEqual(len(self.gateway.service.broadcaster), 0)

    def test_who_closes_is_gone_at_once(self) -> None:
        client = self.gateway.connect(device=Device())
        client.send((1000).to_bytes(2, "big"), CLOSE)
        self.assertTrue(client.is_cut)
        self.assertEqual(len(self.gateway.service.broadcaster), 0)

    def test_who_says_nothing_any_more_is_cut(self) -> None:
        silent = self.gateway.connect(device=Device(1))
        silent.replies = False
        lively = self.gateway.connect(device=Device(2))
        self.gateway.advance(90)
        self.assertTrue(silent.is_cut)
        self.assertFalse(lively.is_cut)
        self.assertEqual(len(self.gateway.service.broadcaster), 1)

    def test_a_slow_reader_goes_without_ticks(self) -> None:
        client = self.gateway.connect(device=Device())
        producer = client.transport.producer
        producer.pauseProducing()
        self.gateway.advance(31)
        self.assertEqual(client.events("tick"), [])
        producer.resumeProducing()
        self.gateway.advance(30)
        (tick,) = client.events("tick")
        self.assertGreater(tick["seq"], 1, "the hole says that something is missing")

    def test_a_reader_that_reads_nothing_is_closed(self) -> None:
        client = self.gateway.connect(device=Device(), protocol=3)
        most = client.hello["policy"]["maxBufferedBytes"]
        client.transport.producer.pauseProducing()
        frame = {"type": "req", "id": "x" * 100_000, "method": "talk.mode"}
        asked = 0
        while client.closed is None and asked < 100:
            client.send(frame)
            asked += 1
        self.assertLess(asked * 100_000, most + 500_000)
        self.assert_closed(client, 1008, "slow consumer")
        self.assertEqual(len(self.gateway.service.broadcaster), 0)


class CrowdTests(EdgeTestCase):
    """How many may be there that nobody has let in."""

    def crowd(self, number: int, address: str) -> list[Client]:
        clients = [Client(self.gateway, address) for _ in range(number)]
        self.assertFalse(any(client.is_cut for client in clients))
        return clients

    def test_from_one_address(self) -> None:
        crowd = self.crowd(64, REMOTE)
        self.assertTrue(Client(self.gateway, REMOTE).is_cut)
        self.assertFalse(Client(self.gateway, "192.0.2.8").is_cut, "others are not kept out")
        crowd[0].hang_up()
        self.assertFalse(Client(self.gateway, REMOTE).is_cut)

    def test_who_was_let_in_does_not_count(self) -> None:
        crowd = self.crowd(64, "127.0.0.1")
        self.assertTrue(crowd[0].connect(Device())["ok"])
        self.assertFalse(Client(self.gateway).is_cut)
        self.assertTrue(Client(self.gateway).is_cut)
        crowd[0].hang_up()
        self.assertTrue(Client(self.gateway).is_cut, "it is not counted down twice")

    def test_from_everywhere(self) -> None:
        for host in range(4):
            self.crowd(64, f"192.0.2.{host + 1}")
        self.assertTrue(Client(self.gateway, "192.0.2.99").is_cut)
        self.gateway.advance(20)  # nobody connected
        self.assertFalse(Client(self.gateway, "192.0.2.99").is_cut)

    def test_open_connections_that_say_nothing_at_all(self) -> None:
        for _ in range(64):
            self.assertFalse(Peer(self.gateway, REMOTE).is_cut)
        self.assertTrue(Peer(self.gateway, REMOTE).is_cut)
        self.assertFalse(Peer(self.gateway).is_cut)
        self.gateway.advance(10.1)
        self.assertFalse(Peer(self.gateway, REMOTE).is_cut)


class PageTests(EdgeTestCase):
    """The same port has the page."""

    def get(self, path: str) -> Any:
        peer = Peer(self.gateway)
        peer.send_bytes(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return peer.receive_bytes().partition(b"\r\n")[0]

    def test_page_and_health(self) -> None:
        for path in ("/", "/healthz", "/readyz"):
            self.assertEqual(self.get(path), b"HTTP/1.1 200 OK")

    def test_not_ready_before_the_start(self) -> None:
        self.gateway.stop()
        self.gateway = MemoryGateway(self)
        self.assertTrue(self.get("/readyz").startswith(b"HTTP/1.1 503"))
        self.gateway.start()
        self.assertEqual(self.get("/readyz"), b"HTTP/1.1 200 OK")
        self.gateway.stop()
        self.assertTrue(self.get("/readyz").startswith(b"HTTP/1.1 503"))

    def test_without_a_page(self) -> None:
        self.gateway.stop()
        config = {"gateway": {"controlUi": {"enabled": False}}}
        self.gateway = MemoryGateway(self, config).start()
        self.assertTrue(self.get("/").startswith(b"HTTP/1.1 404"))
        self.assertEqual(self.get("/healthz"), b"HTTP/1.1 200 OK")
