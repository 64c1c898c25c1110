"""The Gateway client against a fake Gateway: real sockets, and a clock the test moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from clawgw.client import (
    CannotConnect,
    ClientError,
    ClientOptions,
    ConnectionLost,
    ConnectRefused,
    GatewayClient,
    GatewayError,
    Hello,
    RequestTimeout,
)
from clawgw.client_service import ReconnectingGatewayClient
from clawgw.identity import load_or_create_identity
from clawgw.trust.signatures import decode_base64url, raw_public_key
from tests.support.clocked import ClockedReactor
from tests.support.fake_gateway import NONCE, FakeConnection, FakeGateway
from tests.support.ports import hold_port

Frame = dict[str, Any]


class ClientTestCase(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.reactor = ClockedReactor()
        self.clock = self.reactor.clock
        self.gateway = FakeGateway(reactor)
        self.url = self.gateway.listen()
        self.addCleanup(lambda: ensureDeferred(self.gateway.stop()))
        self.identity = load_or_create_identity(Path(self.mktemp()) / "device.pem")
        self.gateway_name = self.url.removeprefix("ws://")

    def client(self, **options: Any) -> GatewayClient:
        options = {"url": self.url, "identity": self.identity, **options}
        client = GatewayClient(self.reactor, ClientOptions(**options))
        self.addCleanup(lambda: ensureDeferred(client.close()))
        return client

    async def connected(self, **options: Any) -> GatewayClient:
        client = self.client(**options)
        await client.connect()
        return client

    async def refusal(self, **options: Any) -> ConnectRefused:
        with self.assertRaises(ConnectRefused) as caught:
            await self.client(**options).connect()
        return caught.exception

    async def soon(self, waiting: Deferred[Any], step: float = 0.0) -> Any:
        """Let the clock run in small steps until something has happened."""
        while not waiting.called:
            self.clock.advance(step)
            await turn()
        return await waiting

    def when(self, method: str) -> Deferred[tuple[FakeConnection, Frame]]:
        """Fires when the Gateway gets a request for `method`; it is not answered."""
        asked: Deferred[tuple[FakeConnection, Frame]] = Deferred()
        self.gateway.methods[method] = lambda *call: asked.callback(call)
        return asked

    def saved_token(self) -> str | None:
        return self.identity.tokens.load(self.gateway_name, "operator")


class Handshake(ClientTestCase):
    """From the challenge to the hello."""

    async def test_says_who_it_is(self) -> None:
        hello = await self.client(token="t", display_name="Desk").connect()
        (params,) = self.gateway.connects()
        self.assertEqual((params["minProtocol"], params["maxProtocol"]), (4, 4))
        self.assertEqual(params["client"]["id"], "cli")
        self.assertEqual(params["client"]["displayName"], "Desk")
        self.assertEqual(params["auth"], {"token": "t"})
        self.assertEqual(params["device"]["nonce"], NONCE)
        self.assertEqual(hello.protocol, 4)
        self.assertEqual(hello.role, "operator")
        self.assertIn("operator.pairing", hello.scopes)

    async def test_signs_the_challenge(self) -> None:
        await self.connected(token="t", platform=" Linux ", device_family="Desk")
        (params,) = self.gateway.connects()
        device = params["device"]
        scopes = ",".join(params["scopes"])
        self.assert_signed(
            device,
            f"v3|{device['id']}|cli|cli|operator|{scopes}|{device['signedAt']}|t|{NONCE}"
            "|linux|desk",
        )

    async def test_version_3(self) -> None:
        hello = await self.client(token="t", min_protocol=3, max_protocol=3).connect()
        self.assertEqual(hello.protocol, 3)
        (params,) = self.gateway.connects()
        device = params["device"]
        scopes = ",".join(params["scopes"])
        self.assert_signed(
            device,
            f"v2|{device['id']}|cli|cli|operator|{scopes}|{device['signedAt']}|t|{NONCE}",
        )

    def assert_signed(self, device: Frame, text: str) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        raw = raw_public_key(device["publicKey"])
        signature = decode_base64url(device["signature"])
        assert raw is not None
        assert signature is not None
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, text.encode())

    async def test_without_a_device(self) -> None:
        await self.connected(identity=None)
        (params,) = self.gateway.connects()
        self.assertNotIn("device", params)
        self.assertNotIn("auth", params)

    async def test_node(self) -> None:
        await self.connected(
            role="node",
            scopes=(),
            client_id="node-host",
            client_mode="node",
            caps=("camera",),
            commands=("camera.snap",),
            permissions={"camera": True},
        )
        (params,) = self.gateway.connects()
        self.assertEqual(params["role"], "node")
        self.assertEqual(params["commands"], ["camera.snap"])
        self.assertEqual(params["permissions"], {"camera": True})

    async def test_nothing_listens(self) -> None:
        number = hold_port(self)
        with self.assertRaises(CannotConnect) as caught:
            await self.soon(
                ensureDeferred(self.client(url=f"ws://127.0.0.1:{number}").connect()), 0.1
            )
        self.assertIn(f"Nothing answers at 127.0.0.1:{number}", str(caught.exception))

    async def test_another_kind_of_server(self) -> None:
        server = NotFound()
        factory = Factory.forProtocol(lambda: server)  # type: ignore[arg-type]
        port: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        with self.assertRaises(CannotConnect) as caught:
            await self.client(url=f"ws://127.0.0.1:{port.getHost().port}").connect()
        self.assertIn("answered, but not as a Gateway does", str(caught.exception))
        self.assertNotIn("None", str(caught.exception))
        self.assertIn("[404]", str(caught.exception))
        await server.ended

    async def test_a_server_that_does_not_greet(self) -> None:
        self.gateway.challenge = None
        opened: Deferred[None] = Deferred()
        on_open = FakeConnection.onOpen
        self.patch(FakeConnection, "onOpen", lambda conn: (on_open(conn), opened.callback(None)))
        attempt = ensureDeferred(self.client(handshake_timeout=7).connect())
        await opened
        self.clock.advance(7)
        with self.assertRaises(CannotConnect) as caught:
            await attempt
        self.assertIn("did not greet us as a Gateway within 7 s", str(caught.exception))

    async def test_a_challenge_that_is_none(self) -> None:
        for payload in ({}, {"nonce": ""}, {"nonce": 7}, None):
            self.gateway.challenge = {"payload": payload}
            with self.assertRaises(CannotConnect):
                await self.client().connect()
        self.assertEqual(self.gateway.connects(), [])

    async def test_a_hello_that_is_none(self) -> None:
        for hello in (None, {}, {"type": "hello-ok"}, {"type": "hello-ok", "protocol": 5}):
            self.gateway.hello = lambda _, hello=hello: hello  # type: ignore[method-assign]
            with self.assertRaises(CannotConnect):
                await self.client().connect()

    async def test_a_hello_that_says_little_is_enough(self) -> None:
        self.gateway.hello = (  # type: ignore[method-assign]
            lambda _: {"type": "hello-ok", "protocol": 4, "policy": {"tickIntervalMs": 0}}
        )
        hello = await self.client().connect()
        self.assertEqual(hello.tick_interval, 1.0)

    async def test_secrets_are_not_shown(self) -> None:
        self.gateway.issue = "sesame-device"
        client = self.client(token="sesame")
        hello = await client.connect()
        options = ClientOptions(url=self.url, token="sesame", password="sesame")
        self.assertNotIn("sesame", f"{hello!r} {options!r} {client!r}")


class Credentials(ClientTestCase):
    """Which secret is shown, and what a refusal leads to."""

    def setUp(self) -> None:
        super().setUp()
        self.gateway.token = "right"
        self.gateway.issue = "device"
        self.gateway.device_tokens.add("device")

    def shown(self) -> list[Frame]:
        return [params.get("auth", {}) for params in self.gateway.connects()]

    async def test_the_device_token_is_kept_and_used_the_next_time(self) -> None:
        await self.connected(token="right")
        await self.connected()
        self.assertEqual(self.shown(), [{"token": "right"}, {"deviceToken": "device"}])

    async def test_version_3_shows_it_as_a_token(self) -> None:
        await self.connected(token="right")
        await self.connected(min_protocol=3, max_protocol=3)
        self.assertEqual(self.shown(), [{"token": "right"}, {"token": "device"}])

    async def test_a_given_token_wins(self) -> None:
        await self.connected(token="right")
        await self.connected(token="right")
        self.assertEqual(self.shown()[1], {"token": "right"})

    async def test_password_and_bootstrap_token(self) -> None:
        self.gateway.token = None
        await self.connected(password="p")
        self.identity.tokens.forget(self.gateway_name, "operator")
        await self.connected(bootstrap_token="b")
        self.assertEqual(self.shown(), [{"password": "p"}, {"bootstrapToken": "b"}])

    async def test_a_wrong_token_falls_back_to_the_saved_one(self) -> None:
        await self.connected(token="right")
        await self.connected(token="wrong")
        self.assertEqual(self.shown()[1:], [{"token": "wrong"}, {"deviceToken": "device"}])

    async def test_and_only_once(self) -> None:
        self.identity.tokens.save(self.gateway_name, "operator", "stale")
        error = await self.refusal(token="wrong")
        self.assertEqual(self.shown(), [{"token": "wrong"}, {"deviceToken": "stale"}])
        self.assertEqual(error.detail_code, "AUTH_DEVICE_TOKEN_MISMATCH")
        self.assertIsNone(self.saved_token())

    async def test_a_wrong_token_without_a_saved_one(self) -> None:
        error = await self.refusal(token="wrong")
        self.assertEqual(len(self.shown()), 1)
        self.assertTrue(error.about_credentials)
        self.assertIn("not this Gateway's", error.advice or "")
        self.assertNotIn("wrong", str(error))

    async def test_a_stale_saved_token_is_forgotten(self) -> None:
        self.identity.tokens.save(self.gateway_name, "operator", "stale")
        error = await self.refusal()
        self.assertEqual(self.shown(), [{"deviceToken": "stale"}, {}])
        self.assertEqual(error.detail_code, "AUTH_TOKEN_MISSING")
        self.assertIn("--token", error.advice or "")
        self.assertIsNone(self.saved_token())

    async def test_pairing_needed(self) -> None:
        self.gateway.refusal = {
            "code": "NOT_PAIRED",
            "message": "pairing required",
            "details": {"code": "PAIRING_REQUIRED", "requestId": "req-7"},
        }
        error = await self.refusal(token="right")
        self.assertTrue(error.needs_pairing)
        self.assertIn("clawgw devices approve req-7", error.advice or "")
        self.assertEqual(len(self.shown()), 1)


class Requests(ClientTestCase):
    """Questions and answers."""

    async def test_answers_find_their_questions(self) -> None:
        first, second = self.when("first"), self.when("second")
        client = await self.connected()
        one = ensureDeferred(client.request("first", {"a": 1}))
        two = ensureDeferred(client.request("second"))
        (connection, asked_1), (_, asked_2) = await first, await second
        self.assertEqual((asked_1["params"], asked_2["params"]), ({"a": 1}, {}))
        connection.answer(asked_2, "two")
        connection.answer(asked_1, "one")
        self.assertEqual((await one, await two), ("one", "two"))

    async def test_an_error_is_told_in_full(self) -> None:
        self.gateway.methods["x"] = lambda connection, frame: connection.refuse(
            frame, "UNAVAILABLE", "busy", details={"code": "C"}, retryable=True, retryAfterMs=250
        )
        client = await self.connected()
        with self.assertRaises(GatewayError) as caught:
            await client.request("x")
        error = caught.exception
        self.assertEqual(
            (error.code, error.message, error.detail_code), ("UNAVAILABLE", "busy", "C")
        )
        self.assertEqual((error.retryable, error.retry_after_ms), (True, 250))

    async def test_an_error_that_says_nothing(self) -> None:
        self.gateway.methods["x"] = lambda connection, frame: connection.send(
            {"type": "res", "id": frame["id"], "ok": False, "error": "?"}
        )
        client = await self.connected()
        with self.assertRaises(GatewayError) as caught:
            await client.request("x")
        self.assertEqual(caught.exception.code, "UNAVAILABLE")

    async def test_no_answer_in_time(self) -> None:
        asked = self.when("slow")
        self.gateway.methods["quick"] = lambda connection, frame: connection.answer(frame, 1)
        client = await self.connected()
        waiting = ensureDeferred(client.request("slow", timeout=5))
        connection, frame = await asked
        self.clock.advance(5)
        with self.assertRaises(RequestTimeout) as caught:
            await waiting
        self.assertIn("slow within 5 s", str(caught.exception))
        # The answer that comes after all disturbs nobody.
        connection.answer(frame, "late")
        self.assertEqual(await client.request("quick"), 1)

    async def test_cancelled(self) -> None:
        asked = self.when("slow")
        client = await self.connected()
        waiting = ensureDeferred(client.request("slow"))
        connection, frame = await asked
        waiting.cancel()
        self.failureResultOf(waiting)
        self.gateway.methods["quick"] = lambda connection, frame: connection.answer(frame, 1)
        connection.answer(frame, "late")
        self.assertEqual(await client.request("quick"), 1)

    async def test_connection_cut(self) -> None:
        asked = self.when("slow")
        client = await self.connected()
        ended = client.when_closed()
        waiting = ensureDeferred(client.request("slow"))
        connection, _ = await asked
        connection.dropConnection(abort=True)
        with self.assertRaises(ConnectionLost):
            await waiting
        self.assertIsInstance(await ended, ConnectionLost)
        with self.assertRaises(ConnectionLost):
            await client.request("slow")

    async def test_gateway_closes_with_a_reason(self) -> None:
        asked = self.when("slow")
        client = await self.connected()
        waiting = ensureDeferred(client.request("slow"))
        connection, _ = await asked
        connection.sendCloseFrame(code=1008, reasonUtf8=b"slow consumer")
        with self.assertRaises(ConnectionLost) as caught:
            await waiting
        self.assertIn("1008 slow consumer", str(caught.exception))
        self.assertEqual(caught.exception.code, 1008)

    async def test_closing_ends_what_waits(self) -> None:
        asked = self.when("slow")
        client = await self.connected()
        waiting = ensureDeferred(client.request("slow"))
        await asked
        closing = ensureDeferred(client.close())
        with self.assertRaises(ConnectionLost) as caught:
            await waiting
        await closing
        self.assertIn("This client closed", str(caught.exception))

    async def test_a_gateway_that_ignores_our_goodbye(self) -> None:
        client = await self.connected()
        self.patch(FakeConnection, "onCloseFrame", lambda *_: None)
        closing = ensureDeferred(client.close())
        self.clock.advance(2)
        await closing

    async def test_before_connecting(self) -> None:
        with self.assertRaises(ConnectionLost):
            await self.client().request("health")


class TwoAnswers(ClientTestCase):
    """`request_final`, for methods that answer twice."""

    async def begin(self, **options: Any) -> tuple[Deferred[Any], FakeConnection, Frame, list[Any]]:
        asked = self.when("agent")
        accepted: list[Any] = []
        client = await self.connected()
        final = ensureDeferred(
            client.request_final("agent", on_accepted=accepted.append, **options)
        )
        connection, frame = await asked
        return final, connection, frame, accepted

    async def test_accepted_then_final(self) -> None:
        final, connection, frame, accepted = await self.begin()
        connection.answer(frame, {"status": "accepted", "runId": "r"})
        connection.answer(frame, {"status": "ok", "runId": "r"})
        self.assertEqual(await final, {"status": "ok", "runId": "r"})
        self.assertEqual(accepted, [{"status": "accepted", "runId": "r"}])

    async def test_the_final_answer_at_once(self) -> None:
        final, connection, frame, accepted = await self.begin()
        connection.answer(frame, {"status": "ok"})
        self.assertEqual(await final, {"status": "ok"})
        self.assertEqual(accepted, [])

    async def test_accepted_then_failed(self) -> None:
        final, connection, frame, _ = await self.begin()
        connection.answer(frame, {"status": "accepted"})
        error = {"code": "UNAVAILABLE", "message": "the agent died"}
        state = {"status": "error", "runId": "r"}
        connection.send(
            {"type": "res", "id": frame["id"], "ok": False, "error": error, "payload": state}
        )
        with self.assertRaises(GatewayError) as caught:
            await final
        self.assertEqual(caught.exception.message, "the agent died")
        self.assertEqual(caught.exception.payload, state)

    async def test_never_accepted(self) -> None:
        final, _, _, _ = await self.begin(timeout=3)
        self.clock.advance(3)
        with self.assertRaises(RequestTimeout):
            await final

    async def test_the_first_limit_does_not_hold_for_the_second_answer(self) -> None:
        self.gateway.tick_interval_ms = 600_000
        final, connection, frame, accepted = await self.begin(timeout=3, final_timeout=60)
        connection.answer(frame, {"status": "accepted"})
        self.gateway.methods["sync"] = lambda connection, frame: None
        connection.event("tick", {})
        while not accepted:
            await turn()
        self.clock.advance(59)
        self.assertNoResult(final)
        self.clock.advance(1)
        with self.assertRaises(RequestTimeout):
            await final


class Events(ClientTestCase):
    """What the Gateway says unasked."""

    async def listening(self) -> tuple[GatewayClient, FakeConnection]:
        client = await self.connected()
        return client, self.gateway.connections[0]

    async def test_in_order_with_their_numbers(self) -> None:
        client, connection = await self.listening()
        seen: list[Any] = []
        done = collect(client.subscribe, seen, 2)
        connection.event("presence", {"n": 1})
        connection.event("tick", {"n": 2})
        await done
        self.assertEqual(seen, [("presence", {"n": 1}, 1), ("tick", {"n": 2}, 2)])

    async def test_until_unsubscribed(self) -> None:
        client, connection = await self.listening()
        first: list[Any] = []
        second: list[Any] = []
        client.subscribe(lambda *event: first.append(event))()
        done = collect(client.subscribe, second, 1)
        connection.event("tick", {})
        await done
        self.assertEqual(first, [])

    async def test_a_faulty_subscriber_harms_nobody(self) -> None:
        client, connection = await self.listening()

        def faulty(*_: Any) -> None:
            raise ZeroDivisionError

        client.subscribe(faulty)
        seen: list[Any] = []
        done = collect(client.subscribe, seen, 1)
        connection.event("tick", {})
        await done
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_a_hole_is_reported_before_the_event(self) -> None:
        client, connection = await self.listening()
        seen: list[Any] = []
        client.on_gap(lambda due, came: seen.append((due, came)))
        done = collect(client.subscribe, seen, 3)
        connection.event("a", {}, skip=4)
        connection.event("b", {}, skip=2)
        await done
        self.assertEqual(seen, [("a", {}, 5), (6, 8), ("b", {}, 8)])

    async def test_frames_of_a_newer_gateway_are_passed_over(self) -> None:
        client, connection = await self.listening()
        seen: list[Any] = []
        done = collect(client.subscribe, seen, 1)
        for frame in ({"type": "stream"}, {"type": "event"}, {}, []):
            connection.send(frame)  # type: ignore[arg-type]
        connection.event("tick", {})
        await done
        self.assertEqual(seen, [("tick", {}, 1)])

    async def test_what_is_not_json_ends_the_connection(self) -> None:
        deep = b'{"type":"event","event":"x","payload":' + b"[" * 100_000
        for payload, binary in ((b"{", False), (b"{}", True), (deep, False)):
            client, _ = await self.listening()
            ended = client.when_closed()
            self.gateway.connections[-1].sendMessage(payload, isBinary=binary)
            self.assertIn("not the Gateway protocol", str(await ended))

    async def test_a_frame_that_is_too_large_ends_the_connection(self) -> None:
        client, connection = await self.listening()
        ended = client.when_closed()
        connection.transport.write(b"\x81\x7f" + (27 * 1024 * 1024).to_bytes(8, "big"))
        self.assertIn("larger than 26 MiB", str(await ended))

    async def test_silence_ends_the_connection(self) -> None:
        self.gateway.tick_interval_ms = 10_000
        client, connection = await self.listening()
        ended = client.when_closed()
        self.clock.advance(15)
        done = collect(client.subscribe, [], 1)
        connection.event("tick", {})
        await done
        self.clock.advance(15)
        self.assertNoResult(ended)
        self.clock.advance(5)
        self.assertIn("said nothing for 20 s", str(await ended))


class Reconnecting(ClientTestCase):
    """The service that keeps a connection."""

    def service(self, **options: Any) -> ReconnectingGatewayClient:
        self.heard: list[Any] = []
        self.next: Deferred[Any] = Deferred()
        options = {"url": self.url, "identity": self.identity, **options}
        service = ReconnectingGatewayClient(
            self.reactor,
            ClientOptions(**options),
            on_connected=self.hear,
            on_disconnected=self.hear,
        )
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def hear(self, what: Hello | ClientError) -> None:
        heard, self.next = self.next, Deferred()
        heard.callback(what)

    async def test_comes_back_and_keeps_its_subscribers(self) -> None:
        service = self.service()
        self.assertIsInstance(await self.soon(self.next), Hello)
        seen: list[Any] = []
        done = collect(service.subscribe, seen, 1)
        self.gateway.connections[0].dropConnection(abort=True)
        self.assertIsInstance(await self.soon(self.next), ConnectionLost)
        self.assertFalse(service.connected)
        with self.assertRaises(ConnectionLost):
            await service.request("health")
        again = self.next
        self.clock.advance(30)
        self.assertIsInstance(await self.soon(again), Hello)
        self.assertTrue(service.connected)
        self.gateway.connections[-1].event("tick", {})
        await done
        self.assertEqual(seen, [("tick", {}, 1)])

    async def test_requests(self) -> None:
        self.gateway.methods["health"] = lambda connection, frame: connection.answer(frame, "ok")
        service = self.service()
        hello = await self.soon(service.when_connected())
        self.assertEqual(hello.protocol, 4)
        self.assertEqual(await service.request("health"), "ok")
        self.assertEqual(await service.request_final("health"), "ok")

    async def test_a_refusal_is_told_and_tried_again_slowly(self) -> None:
        self.gateway.token = "right"
        self.service(token="wrong")
        self.assertIsInstance(await self.soon(self.next), ConnectRefused)
        self.clock.advance(29)
        self.assertEqual(len(self.gateway.connects()), 1)
        self.gateway.token = "wrong"
        again = self.next
        self.clock.advance(1)
        self.assertIsInstance(await self.soon(again), Hello)

    async def test_the_gateways_own_wish_counts(self) -> None:
        self.gateway.refusal = {
            "code": "UNAVAILABLE",
            "message": "starting",
            "retryable": True,
            "retryAfterMs": 500,
        }
        self.service()
        self.assertIsInstance(await self.soon(self.next), ConnectRefused)
        self.gateway.refusal = None
        again = self.next
        self.clock.advance(0.5)
        self.assertIsInstance(await self.soon(again), Hello)

    async def test_the_saved_token_is_tried_at_once(self) -> None:
        self.gateway.token = "right"
        self.gateway.device_tokens.add("device")
        self.identity.tokens.save(self.gateway_name, "operator", "device")
        self.service(token="wrong")
        self.assertIsInstance(await self.soon(self.next), Hello)

    async def test_a_gateway_that_is_away(self) -> None:
        service = self.service(url=f"ws://127.0.0.1:{hold_port(self)}")
        self.assertIsInstance(await self.soon(self.next, 0.1), CannotConnect)
        self.assertFalse(service.connected)

    async def test_stopping_closes_the_connection(self) -> None:
        service = self.service()
        await self.soon(service.when_connected())
        await service.stopService()
        self.assertFalse(service.connected)

    async def test_stopping_ends_the_wait_for_a_connection(self) -> None:
        self.gateway.challenge = None
        service = self.service()
        waiting = service.when_connected()
        await service.stopService()
        with self.assertRaises(ConnectionLost):
            await waiting

    async def test_a_callback_may_stop_the_service(self) -> None:
        service = self.service()
        stopped: Deferred[None] = Deferred()
        service.when_connected().addCallback(lambda _: service.stopService().chainDeferred(stopped))
        await self.soon(stopped)
        self.assertFalse(service.connected)


class NotFound(Protocol):
    """An HTTP server that has no Gateway, for one connection."""

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(None)

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


def collect(subscribe: Callable[..., Any], into: list[Any], count: int) -> Deferred[None]:
    """Append each event to `into`; fires when there are `count` things in it."""
    done: Deferred[None] = Deferred()

    def hear(*event: Any) -> None:
        into.append(event)
        if len(into) == count:
            done.callback(None)

    subscribe(hear)
    return done


def turn() -> Deferred[None]:
    """Let the reactor go round once."""
    done: Deferred[None] = Deferred()
    reactor.callLater(0, done.callback, None)
    return done
