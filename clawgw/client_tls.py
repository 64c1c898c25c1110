"""The client side of TLS: when a Gateway is the one we mean, and what to tell a person if not.

Policy:

- With a pin (``tls_fingerprint``) the Gateway's certificate must have exactly that SHA-256. The
  check runs inside the TLS handshake, so a wrong certificate ends it before one application byte
  (the upgrade request, and far more the token) has left this machine. Chain and name are then
  not looked at: the pin says more than both. An expired certificate is refused also when pinned;
  who keeps the pin's key secret for ever is nobody's promise.
- Without a pin the chain must lead to an authority this machine trusts (or to one in
  ``ca_file``) and the certificate must name the host, as in a browser.
- Plain ``ws://`` is for this machine. Elsewhere the token would go, and the device token come
  back, for everyone on the way to read; so it takes an explicit ``allow_insecure``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from OpenSSL.crypto import X509
from OpenSSL.crypto import Error as CryptoError
from service_identity import VerificationError
from twisted.internet.error import VerifyError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    PrivateCertificate,
    TLSVersion,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from clawgw.client_errors import (
    CannotConnect,
    CertificateProblem,
    OptionsError,
    PinMismatch,
    TlsNameMismatch,
)
from clawgw.fingerprint import fingerprint_of_der, parse_fingerprint

__all__ = [
    "GatewayAddress",
    "client_tls",
    "explain_tls_failure",
    "is_no_tls",
    "parse_gateway_url",
    "tls_reasons",
]

_DEFAULT_PORTS = {"ws": 80, "wss": 443}
_ONE_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.S)


class GatewayAddress:
    """Where a Gateway listens, taken from its URL."""

    def __init__(self, url: str, host: str, port: int, *, secure: bool) -> None:
        self.url = url
        self.host = host
        self.port = port
        self.secure = secure

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """True when the connection does not leave this machine."""
        name = self.host.lower()
        if name == "localhost" or name.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False


def parse_gateway_url(url: str) -> GatewayAddress:
    """Read a ``ws://`` or ``wss://`` URL.

    :raises OptionsError: when it is none, or carries user name and password.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise OptionsError(f"The Gateway URL is not a URL: {error}.") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        shown = f"{parts.scheme}://…" if parts.scheme else "one without ws:// or wss://"
        raise OptionsError(
            "The Gateway URL begins with ws:// or wss:// and names a host, for example "
            f"ws://127.0.0.1:18789; this is {shown}."
        )
    if parts.username or parts.password:
        raise OptionsError(
            "The Gateway URL carries a user name or password; give a token or password as an "
            "option of its own, where it does not end up in logs."
        )
    return GatewayAddress(
        parts.geturl(),
        parts.hostname,
        port if port is not None else _DEFAULT_PORTS[parts.scheme],
        secure=parts.scheme == "wss",
    )


def client_tls(
    address: GatewayAddress,
    *,
    fingerprint: str | None = None,
    client_cert: str | None = None,
    client_key: str | None = None,
    ca_file: str | None = None,
    allow_insecure: bool = False,
) -> IOpenSSLClientConnectionCreator | None:
    """What to wrap the connection to ``address`` with; None for plain ``ws://``.

    Reads the files named, so call it before the reactor is busy.

    :raises OptionsError: when the options contradict each other or a file cannot be used.
    """
    if not address.secure:
        _check_plain(address, (fingerprint, client_cert, ca_file), allow_insecure)
        return None
    own = _own_certificate(client_cert, client_key)
    if fingerprint is not None:
        try:
            pin = parse_fingerprint(fingerprint)
        except ValueError as error:
            raise OptionsError(f"The TLS fingerprint cannot be used: {error}") from None
        return _PinnedConnectionCreator(address, pin, own)
    trust = platformTrust() if ca_file is None else trustRootFromCertificates(_roots(ca_file))
    return optionsForClientTLS(address.host, trustRoot=trust, clientCertificate=own)


def _check_plain(
    address: GatewayAddress, for_tls: Iterable[str | None], allow_insecure: bool
) -> None:
    if any(option is not None for option in for_tls):
        raise OptionsError(
            "A certificate pin, a client certificate or a CA file needs TLS; use a wss:// URL "
            f"instead of ws://{address}."
        )
    if not (address.is_loopback or allow_insecure):
        raise OptionsError(
            f"ws://{address} is not encrypted and leaves this machine, so the token could be "
            "read on the way. Use wss://, or an ssh tunnel (ssh -N -L "
            f"18789:127.0.0.1:{address.port} USER@{address.host}), or allow it explicitly "
            "(--allow-insecure) if the network itself is encrypted."
        )


@implementer(IOpenSSLClientConnectionCreator)
class _PinnedConnectionCreator:
    """Makes TLS connections that only the holder of the pinned certificate can complete."""

    def __init__(self, address: GatewayAddress, pin: str, own: PrivateCertificate | None) -> None:
        self._address = address
        self._pin = pin
        self._context = CertificateOptions(
            privateKey=own.privateKey.original if own else None,
            certificate=own.original if own else None,
            raiseMinimumTo=TLSVersion.TLSv1_2,
        ).getContext()

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        if not _is_ip(self._address.host):
            connection.set_tlsext_host_name(self._address.host.encode("idna"))

        def verify(
            _connection: SSL.Connection, cert: X509, _error: int, depth: int, _ok: int
        ) -> bool:
            if depth != 0:
                return True
            problem = self._judge(cert.to_cryptography())
            if problem is not None:
                tlsProtocol.failVerification(Failure(problem))
            return problem is None

        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, verify)
        return connection

    def _judge(self, cert: x509.Certificate) -> CertificateProblem | None:
        seen = fingerprint_of_der(cert.public_bytes(Encoding.DER))
        if seen != self._pin:
            return PinMismatch(str(self._address), self._pin, seen)
        if cert.not_valid_after_utc <= datetime.now(UTC):
            return CertificateProblem(
                f"The pinned certificate of {self._address} expired on "
                f"{cert.not_valid_after_utc:%Y-%m-%d}, so nothing was sent. Make a new "
                "certificate on the Gateway's host and pin its fingerprint."
            )
        return None


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


# --- files ---------------------------------------------------------------------------------


def _own_certificate(cert: str | None, key: str | None) -> PrivateCertificate | None:
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise OptionsError("A client certificate takes both files: the certificate and its key.")
    try:
        own: PrivateCertificate = PrivateCertificate.loadPEM(_read(key) + b"\n" + _read(cert))
    except (SSL.Error, CryptoError, VerifyError, ValueError, TypeError) as error:
        raise OptionsError(
            f"The client certificate {cert} and the key {key} cannot be used together; both are "
            "PEM files, the key without a passphrase and the one the certificate was made for."
        ) from error
    return own


def _roots(ca_file: str) -> Sequence[Certificate]:
    try:
        found = [Certificate.loadPEM(pem) for pem in _ONE_CERTIFICATE.findall(_read(ca_file))]
    except (SSL.Error, CryptoError, ValueError) as error:
        raise OptionsError(f"The CA file {ca_file} is not a PEM certificate.") from error
    if not found:
        raise OptionsError(f"The CA file {ca_file} holds no PEM certificate.")
    return found


def _read(path: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise OptionsError(f"The file {path} cannot be read: {error.strerror}.") from error


# --- explanations --------------------------------------------------------------------------


def explain_tls_failure(address: GatewayAddress, error: BaseException) -> CannotConnect | None:
    """Say in one sentence why TLS failed; None when ``error`` is not about TLS."""
    if isinstance(error, CannotConnect):
        return error
    if isinstance(error, VerificationError):
        return TlsNameMismatch(
            f"The certificate at {address} was issued for another name than {address.host}, so "
            "nothing was sent. Use the name it was issued for, or pin the certificate with "
            "--tls-fingerprint."
        )
    if not isinstance(error, SSL.Error):
        return None
    reasons = tls_reasons(error)
    if "certificate verify failed" in reasons:
        return CertificateProblem(
            f"The certificate at {address} is not signed by an authority this machine trusts, or "
            "is out of date, so nothing was sent. A Gateway with a certificate of its own is "
            "trusted by its fingerprint: --tls-fingerprint sha256:…"
        )
    if "alert" in reasons and ("certificate" in reasons or "unknown ca" in reasons):
        verdict = "asks for a" if "required" in reasons else "did not accept our"
        return CertificateProblem(
            f"The Gateway at {address} {verdict} client certificate ({reasons}): it lets in "
            "pinned clients only. Give --client-cert and --client-key, and add the certificate's "
            "fingerprint to gateway.tls.clientFingerprints on the Gateway."
        )
    if is_no_tls(reasons):
        return CannotConnect(
            f"{address} does not speak TLS; use ws:// instead of wss:// if this is the right port."
        )
    return CannotConnect(f"TLS with {address} failed: {reasons or 'the connection was cut'}.")


_NOT_TLS = ("wrong version number", "packet length too long", "http request", "unknown protocol")


def is_no_tls(reasons: str) -> bool:
    """True when OpenSSL's ``reasons`` mean that the peer answered with something else than TLS."""
    return any(hint in reasons for hint in _NOT_TLS)


def tls_reasons(error: SSL.Error) -> str:
    """OpenSSL's own words for an error, joined with ``;``; empty when it has none."""
    entries: Any = error.args[0] if error.args else []
    if not isinstance(entries, list):
        return ""
    return "; ".join(str(entry[-1]) for entry in entries if isinstance(entry, tuple) and entry[-1])
