"""The Gateway's certificate and the clients it lets in, over real sockets."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions, PrivateCertificate
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from clawgw.fingerprint import fingerprint_of_der, parse_fingerprint
from clawgw.gateway.tls import TlsConfigurationError, load_server_tls
from tests.support.certificates import Pair, make_pair


@dataclass
class Settings:
    """What the configuration offers under `gateway.tls`."""

    cert_path: str | None = None
    key_path: str | None = None
    auto_generate: bool = True
    client_auth: Any = "off"
    client_fingerprints: tuple[str, ...] = ()


class OwnCertificate(TestCase):
    """The pair the Gateway makes for itself."""

    def setUp(self) -> None:
        self.state = Path(self.mktemp())
        self.cert = self.state / "tls" / "gateway-cert.pem"
        self.key = self.state / "tls" / "gateway-key.pem"

    def certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.cert.read_bytes())

    def test_made_once_and_kept(self) -> None:
        first = load_server_tls(Settings(), self.state)
        again = load_server_tls(Settings(), self.state)
        self.assertEqual(first.fingerprint, again.fingerprint)
        der = self.certificate().public_bytes(Encoding.DER)
        self.assertEqual(first.fingerprint, fingerprint_of_der(der))

    def test_only_the_owner_can_read_the_key(self) -> None:
        previous = os.umask(0)
        self.addCleanup(os.umask, previous)
        load_server_tls(Settings(), self.state)
        self.assertEqual(stat.S_IMODE(self.key.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.key.parent.stat().st_mode), 0o700)

    def test_names_this_host_and_lasts_ten_years(self) -> None:
        load_server_tls(Settings(), self.state)
        cert = self.certificate()
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertIn("localhost", names.get_values_for_type(x509.DNSName))
        addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
        self.assertEqual(addresses, {"127.0.0.1", "::1"})
        self.assertGreaterEqual((cert.not_valid_after_utc - cert.not_valid_before_utc).days, 3650)

    def test_half_a_pair_is_replaced(self) -> None:
        for lost in (self.cert, self.key):
            before = load_server_tls(Settings(), self.state).fingerprint
            lost.unlink()
            after = load_server_tls(Settings(), self.state).fingerprint
            self.assertNotEqual(before, after)

    def test_what_an_interrupted_run_left_is_no_obstacle(self) -> None:
        self.key.parent.mkdir(parents=True)
        for path in (self.cert, self.key):
            path.with_name(path.name + ".new").write_text("half")
        load_server_tls(Settings(), self.state)
        self.assertEqual(sorted(os.listdir(self.key.parent)), [self.cert.name, self.key.name])

    def test_unwritable_directory_is_one_clear_sentence(self) -> None:
        self.state.write_text("a file where a directory should be")
        error = self.assertRaises(TlsConfigurationError, load_server_tls, Settings(), self.state)
        self.assertIn(str(self.state / "tls"), str(error))


class ConfiguredCertificate(TestCase):
    """Certificates an operator brought, and what can be wrong with them."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.pair = make_pair(self.directory, "gateway")

    def problem(self, **settings: Any) -> str:
        with self.assertRaises(TlsConfigurationError) as caught:
            load_server_tls(Settings(**settings), self.directory)
        return str(caught.exception)

    def test_is_used(self) -> None:
        settings = Settings(self.pair.cert_path, self.pair.key_path)
        self.assertEqual(
            load_server_tls(settings, self.directory).fingerprint, self.pair.fingerprint
        )

    def test_chain_is_shown_leaf_first(self) -> None:
        authority = make_pair(self.directory, "ca", authority=True)
        leaf = make_pair(self.directory, "leaf", issuer=authority)
        path = Path(leaf.cert_path)
        path.write_bytes(path.read_bytes() + Path(authority.cert_path).read_bytes())
        loaded = load_server_tls(Settings(leaf.cert_path, leaf.key_path), self.directory)
        self.assertEqual(loaded.fingerprint, leaf.fingerprint)

    def test_missing_file(self) -> None:
        text = self.problem(cert_path="/no/such/cert.pem", key_path=self.pair.key_path)
        self.assertIn("/no/such/cert.pem", text)
        self.assertIn("gateway.tls.certPath", text)

    def test_no_certificate_in_the_file(self) -> None:
        text = self.problem(cert_path=self.pair.key_path, key_path=self.pair.key_path)
        self.assertIn(self.pair.key_path, text)
        self.assertIn("BEGIN CERTIFICATE", text)

    def test_no_key_in_the_file(self) -> None:
        text = self.problem(cert_path=self.pair.cert_path, key_path=self.pair.cert_path)
        self.assertIn("is not a PEM private key", text)

    def test_key_of_another_certificate(self) -> None:
        other = make_pair(self.directory, "other")
        text = self.problem(cert_path=self.pair.cert_path, key_path=other.key_path)
        self.assertIn("does not belong to", text)
        self.assertIn(other.key_path, text)

    def test_one_path_without_the_other(self) -> None:
        self.assertIn("gateway.tls.keyPath is not", self.problem(cert_path=self.pair.cert_path))
        self.assertIn("gateway.tls.certPath is not", self.problem(key_path=self.pair.key_path))

    def test_nothing_configured_and_nothing_generated(self) -> None:
        self.assertIn("gateway.tls.autoGenerate", self.problem(auto_generate=False))

    def test_pinning_nobody(self) -> None:
        text = self.problem(client_auth="pinned")
        self.assertIn("gateway.tls.clientFingerprints is empty", text)

    def test_pinning_something_else_than_a_fingerprint(self) -> None:
        text = self.problem(client_auth="pinned", client_fingerprints=("a" * 64, "cafe"))
        self.assertIn("gateway.tls.clientFingerprints[1]", text)


class PinnedClients(TestCase):
    """`clientAuth: "pinned"`, decided in the handshake."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()

    async def exchange(self, pins: tuple[str, ...], client: Pair | None) -> bytes:
        """What an echo behind the Gateway's TLS returns to this client; empty if nothing."""
        settings = Settings(client_auth="pinned", client_fingerprints=pins)
        tls = load_server_tls(settings, self.directory)
        echo = Factory.forProtocol(Echo)
        echo.over = Deferred()
        port: Any = reactor.listenSSL(0, echo, tls.context_factory, interface="127.0.0.1")
        try:
            endpoint = HostnameEndpoint(reactor, "127.0.0.1", port.getHost().port)
            wrapped = wrapClientTLS(trusting(client), endpoint)
            conversation: Any = await wrapped.connect(Factory.forProtocol(Conversation))
            answer: bytes = await conversation.ended
            await echo.over
            return answer
        finally:
            await port.stopListening()

    async def test_pinned_client_gets_in(self) -> None:
        client = make_pair(self.directory, "client")
        spellings = [client.fingerprint, client.fingerprint.removeprefix("sha256:").upper()]
        for pin in spellings:
            self.assertEqual(await self.exchange((pin,), client), b"hello")

    async def test_client_without_certificate_is_refused(self) -> None:
        client = make_pair(self.directory, "client")
        self.assertEqual(await self.exchange((client.fingerprint,), None), b"")

    async def test_other_client_is_refused(self) -> None:
        client, other = (make_pair(self.directory, name) for name in ("client", "other"))
        self.assertEqual(await self.exchange((client.fingerprint,), other), b"")

    async def test_certificate_issued_by_a_pinned_one_is_refused(self) -> None:
        pinned = make_pair(self.directory, "client", authority=True)
        issued = make_pair(self.directory, "issued", issuer=pinned)
        path = Path(issued.cert_path)
        path.write_bytes(path.read_bytes() + Path(pinned.cert_path).read_bytes())
        self.assertEqual(await self.exchange((pinned.fingerprint,), issued), b"")

    async def test_expired_client_is_refused_though_pinned(self) -> None:
        client = make_pair(self.directory, "client", expired=True)
        self.assertEqual(await self.exchange((client.fingerprint,), client), b"")


class FingerprintText(TestCase):
    """What people paste is brought into one form."""

    def test_spellings(self) -> None:
        digits = "0123456789abcdef" * 4
        colons = ":".join(digits[i : i + 2] for i in range(0, 64, 2))
        for text in (digits, f"sha256:{digits}", f"SHA256:{digits.upper()}", f" {colons}\n"):
            self.assertEqual(parse_fingerprint(text), f"sha256:{digits}")

    def test_anything_else_is_refused_with_what_was_expected(self) -> None:
        for text in ("", "sha256:", "ab" * 20, "zz" * 32, "ab" * 33):
            error = self.assertRaises(ValueError, parse_fingerprint, text)
            self.assertIn("64 hex digits", str(error))


def trusting(client: Pair | None) -> CertificateOptions:
    """A TLS client that believes any server, and shows the certificate it is given."""
    if client is None:
        return CertificateOptions()
    pem = Path(client.key_path).read_bytes() + Path(client.cert_path).read_bytes()
    own: CertificateOptions = PrivateCertificate.loadPEM(pem).options()
    return own


class Echo(Protocol):
    """Returns what it gets and hangs up."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.over.callback(None)


class Conversation(Protocol):
    """Says hello and collects the answer until the end."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.received = b""
        self.ended: Deferred[bytes] = Deferred()
        self.transport.write(b"hello")

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(self.received)
