"""Whom the client believes, over real TLS on loopback; and that it tells nobody else anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions, PrivateCertificate
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from clawgw.client import (
    CannotConnect,
    CertificateProblem,
    ClientError,
    ClientOptions,
    GatewayClient,
    OptionsError,
    PinMismatch,
    TlsNameMismatch,
)
from clawgw.client_tls import parse_gateway_url
from clawgw.gateway.tls import load_server_tls
from tests.gateway.test_tls import Settings
from tests.support.certificates import Pair, make_pair
from tests.support.fake_gateway import FakeGateway

SECRET = "a-token-nobody-else-may-see"


def server_context(pair: Pair) -> CertificateOptions:
    pem = Path(pair.key_path).read_bytes() + Path(pair.cert_path).read_bytes()
    options: CertificateOptions = PrivateCertificate.loadPEM(pem).options()
    return options


class Recorder(Protocol):
    """A peer behind TLS that keeps every application byte it gets."""

    def __init__(self) -> None:
        self.seen = b""
        self.ended: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.seen += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(self.seen)


class TlsTestCase(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()

    def gateway(self, context: Any) -> tuple[FakeGateway, str]:
        gateway = FakeGateway(reactor)
        gateway.token = SECRET
        url = gateway.listen(context)
        self.addCleanup(gateway.stop)
        return gateway, url

    def recorder(self, context: Any) -> tuple[Deferred[bytes], str]:
        """A TLS port that records one connection: all it was told, when it has ended; its URL."""
        recorder = Recorder()
        factory = Factory.forProtocol(lambda: recorder)  # type: ignore[arg-type]
        port: Any = reactor.listenSSL(0, factory, context, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return recorder.ended, f"wss://127.0.0.1:{port.getHost().port}"

    async def hello(self, url: str, **options: Any) -> str:
        """Connect and close; the version of the Gateway that answered."""
        client = GatewayClient(reactor, ClientOptions(url=url, token=SECRET, **options))
        hello = await client.connect()
        await client.close()
        return hello.server_version

    async def problem(self, url: str, **options: Any) -> ClientError:
        """Fail to connect; why."""
        try:
            await self.hello(url, **options)
        except ClientError as error:
            self.assertNotIn(SECRET, str(error) + repr(error))
            return error
        raise AssertionError("the client connected")


class Pinned(TlsTestCase):
    """With `tls_fingerprint`."""

    async def test_right_pin(self) -> None:
        tls = load_server_tls(Settings(), self.directory)
        _, url = self.gateway(tls.context_factory)
        self.assertEqual(await self.hello(url, tls_fingerprint=tls.fingerprint), "1.2.3")

    async def test_the_name_does_not_matter(self) -> None:
        pair = make_pair(self.directory, "elsewhere", names=("gateway.example",))
        _, url = self.gateway(server_context(pair))
        self.assertEqual(await self.hello(url, tls_fingerprint=pair.fingerprint), "1.2.3")

    async def test_wrong_pin_and_not_one_byte_sent(self) -> None:
        expected, actual = (make_pair(self.directory, name) for name in ("expected", "actual"))
        seen, url = self.recorder(server_context(actual))
        error = await self.problem(url, tls_fingerprint=expected.fingerprint)
        self.assertIsInstance(error, PinMismatch)
        self.assertIn(expected.fingerprint, str(error))
        self.assertIn(actual.fingerprint, str(error))
        self.assertEqual(await seen, b"")

    async def test_wrong_pin_in_tls_1_2_too(self) -> None:
        expected, actual = (make_pair(self.directory, name) for name in ("expected", "actual"))
        context = server_context(actual)
        context.getContext().set_max_proto_version(SSL.TLS1_2_VERSION)
        seen, url = self.recorder(context)
        error = await self.problem(url, tls_fingerprint=expected.fingerprint)
        self.assertIsInstance(error, PinMismatch)
        self.assertEqual(await seen, b"")

    async def test_certificate_issued_by_the_pinned_one_is_not_the_pinned_one(self) -> None:
        pinned = make_pair(self.directory, "ca", authority=True)
        issued = make_pair(self.directory, "issued", issuer=pinned)
        context = CertificateOptions(
            **{
                **_parts(issued),
                "extraCertChain": [_parts(pinned)["certificate"]],
            }
        )
        seen, url = self.recorder(context)
        error = await self.problem(url, tls_fingerprint=pinned.fingerprint)
        self.assertIsInstance(error, PinMismatch)
        self.assertEqual(await seen, b"")

    async def test_expired_certificate_is_refused_though_pinned(self) -> None:
        pair = make_pair(self.directory, "old", expired=True)
        seen, url = self.recorder(server_context(pair))
        error = await self.problem(url, tls_fingerprint=pair.fingerprint)
        self.assertIsInstance(error, CertificateProblem)
        self.assertIn("expired on", str(error))
        self.assertEqual(await seen, b"")


class Unpinned(TlsTestCase):
    """Chain and name, as in a browser."""

    async def test_right_chain_and_name(self) -> None:
        authority = make_pair(self.directory, "ca", authority=True)
        pair = make_pair(self.directory, "gateway", issuer=authority)
        _, url = self.gateway(server_context(pair))
        self.assertEqual(await self.hello(url, ca_file=authority.cert_path), "1.2.3")

    async def test_wrong_name(self) -> None:
        authority = make_pair(self.directory, "ca", authority=True)
        pair = make_pair(self.directory, "gateway", issuer=authority, names=("gateway.example",))
        seen, url = self.recorder(server_context(pair))
        error = await self.problem(url, ca_file=authority.cert_path)
        self.assertIsInstance(error, TlsNameMismatch)
        self.assertEqual(await seen, b"")

    async def test_untrusted_chain(self) -> None:
        pair = make_pair(self.directory, "gateway")
        seen, url = self.recorder(server_context(pair))
        error = await self.problem(url)
        self.assertIsInstance(error, CertificateProblem)
        self.assertIn("not signed by an authority this machine trusts", str(error))
        self.assertIn("--tls-fingerprint", str(error))
        self.assertEqual(await seen, b"")

    async def test_expired(self) -> None:
        authority = make_pair(self.directory, "ca", authority=True)
        pair = make_pair(self.directory, "gateway", issuer=authority, expired=True)
        seen, url = self.recorder(server_context(pair))
        error = await self.problem(url, ca_file=authority.cert_path)
        self.assertIsInstance(error, CertificateProblem)
        self.assertIn("out of date", str(error))
        self.assertEqual(await seen, b"")


class ClientCertificate(TlsTestCase):
    """A Gateway that pins its clients."""

    async def setup_pair(self) -> tuple[FakeGateway, str, str, Pair]:
        client = make_pair(self.directory, "client")
        pins = (client.fingerprint,)
        settings = Settings(client_auth="pinned", client_fingerprints=pins)
        tls = load_server_tls(settings, self.directory)
        gateway, url = self.gateway(tls.context_factory)
        return gateway, url, tls.fingerprint, client

    async def test_pinned_on_both_sides(self) -> None:
        _, url, pin, client = await self.setup_pair()
        version = await self.hello(
            url, tls_fingerprint=pin, client_cert=client.cert_path, client_key=client.key_path
        )
        self.assertEqual(version, "1.2.3")

    async def test_with_a_trusted_chain(self) -> None:
        client = make_pair(self.directory, "client")
        authority = make_pair(self.directory, "ca", authority=True)
        pair = make_pair(self.directory, "gateway", issuer=authority)
        settings = Settings(
            pair.cert_path,
            pair.key_path,
            client_auth="pinned",
            client_fingerprints=(client.fingerprint,),
        )
        _, url = self.gateway(load_server_tls(settings, self.directory).context_factory)
        version = await self.hello(
            url,
            ca_file=authority.cert_path,
            client_cert=client.cert_path,
            client_key=client.key_path,
        )
        self.assertEqual(version, "1.2.3")

    async def test_missing(self) -> None:
        gateway, url, pin, _ = await self.setup_pair()
        error = await self.problem(url, tls_fingerprint=pin)
        self.assertIn("--client-cert", str(error))
        self.assertEqual(gateway.frames, [])

    async def test_another(self) -> None:
        gateway, url, pin, _ = await self.setup_pair()
        other = make_pair(self.directory, "other")
        error = await self.problem(
            url, tls_fingerprint=pin, client_cert=other.cert_path, client_key=other.key_path
        )
        self.assertIn("did not accept our client certificate", str(error))
        self.assertEqual(gateway.frames, [])


class WrongScheme(TlsTestCase):
    """One clear sentence, and soon."""

    async def test_plain_to_a_tls_port(self) -> None:
        tls = load_server_tls(Settings(), self.directory)
        _, url = self.gateway(tls.context_factory)
        error = await self.problem(url.replace("wss:", "ws:"))
        self.assertIsInstance(error, CannotConnect)
        self.assertIn("use wss:// instead of ws://", str(error))

    async def test_tls_to_a_plain_port_that_waits(self) -> None:
        _, url = self.gateway(None)
        error = await self.problem(
            url.replace("ws:", "wss:"), tls_fingerprint="ab" * 32, tls_timeout=0.3
        )
        self.assertIsInstance(error, CannotConnect)
        self.assertIn("use ws:// instead of wss://", str(error))

    async def test_tls_to_a_plain_port_that_answers(self) -> None:
        server = BadRequest()
        factory = Factory.forProtocol(lambda: server)  # type: ignore[arg-type]
        port: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        error = await self.problem(f"wss://127.0.0.1:{port.getHost().port}")
        self.assertIn("does not speak TLS", str(error))
        await server.ended


class BadRequest(Recorder):
    """What an HTTP server says to a TLS handshake."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


class Refused(TlsTestCase):
    """What the client does not even try."""

    def refusal(self, url: str, **options: Any) -> str:
        with self.assertRaises(OptionsError) as caught:
            GatewayClient(reactor, ClientOptions(url=url, token=SECRET, **options))
        self.assertNotIn(SECRET, str(caught.exception))
        return str(caught.exception)

    def test_plain_beyond_this_machine(self) -> None:
        for host in ("gateway.example", "192.0.2.7", "[2001:db8::1]", "127.0.0.1.example"):
            text = self.refusal(f"ws://{host}:18789")
            self.assertIn("wss://", text)
            self.assertIn("ssh -N -L", text)

    def test_plain_beyond_this_machine_when_allowed(self) -> None:
        GatewayClient(reactor, ClientOptions(url="ws://192.0.2.7", allow_insecure=True))

    def test_loopback_in_all_its_spellings(self) -> None:
        for host in ("localhost", "127.0.0.1", "127.9.9.9", "[::1]", "gw.localhost"):
            self.assertTrue(parse_gateway_url(f"ws://{host}:1").is_loopback, host)

    def test_pin_without_tls(self) -> None:
        text = self.refusal("ws://127.0.0.1:1", tls_fingerprint="ab" * 32)
        self.assertIn("use a wss:// URL", text)

    def test_client_certificate_without_tls(self) -> None:
        self.assertIn("use a wss:// URL", self.refusal("ws://127.0.0.1:1", client_cert="c"))
        self.assertIn("use a wss:// URL", self.refusal("ws://127.0.0.1:1", ca_file="c"))

    def test_pin_that_is_none(self) -> None:
        self.assertIn("64 hex digits", self.refusal("wss://127.0.0.1:1", tls_fingerprint="cafe"))

    def test_certificate_without_key(self) -> None:
        pair = make_pair(self.directory, "client")
        text = self.refusal("wss://127.0.0.1:1", client_cert=pair.cert_path)
        self.assertIn("both files", text)

    def test_key_of_another_certificate(self) -> None:
        one, two = (make_pair(self.directory, name) for name in ("one", "two"))
        text = self.refusal("wss://127.0.0.1:1", client_cert=one.cert_path, client_key=two.key_path)
        self.assertIn(one.cert_path, text)
        self.assertIn(two.key_path, text)

    def test_files_that_are_not_there_or_not_certificates(self) -> None:
        self.assertIn("/no/ca.pem", self.refusal("wss://127.0.0.1:1", ca_file="/no/ca.pem"))
        pair = make_pair(self.directory, "client")
        self.assertIn(
            "holds no PEM certificate", self.refusal("wss://127.0.0.1:1", ca_file=pair.key_path)
        )

    def test_urls_that_are_none(self) -> None:
        for url in ("127.0.0.1:18789", "http://127.0.0.1", "ws://", "ws://host:port", ""):
            self.assertIn("URL", self.refusal(url))

    def test_url_with_a_password_in_it(self) -> None:
        text = self.refusal("wss://me:hunter2@gateway.example")
        self.assertNotIn("hunter2", text)


def _parts(pair: Pair) -> dict[str, Any]:
    pem = Path(pair.key_path).read_bytes() + Path(pair.cert_path).read_bytes()
    loaded = PrivateCertificate.loadPEM(pem)
    return {"privateKey": loaded.privateKey.original, "certificate": loaded.original}
