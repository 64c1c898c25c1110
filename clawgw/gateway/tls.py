"""The server side of TLS: which certificate the Gateway shows, and which clients it lets in.

Policy:

- TLS 1.2 is the least we speak. There is no session resumption, so every connection goes
  through the whole handshake and every check below.
- With no certificate configured the Gateway makes its own, once: self-signed, ECDSA P-256, ten
  years. Nobody vouches for it; clients pin its SHA-256 fingerprint. The key is mode 0600 from
  the moment its file exists and is never anywhere else.
- ``clientAuth: "pinned"`` asks every client for a certificate during the handshake and ends the
  handshake unless its SHA-256 is on the list. The pin *is* the trust: chain and names are not
  looked at. An expired certificate is refused all the same, because an expiry date is the only
  way its owner has to say "no longer".
- A certificate or key that cannot be used stops the start with one sentence that names the file.

Everything here reads files and blocks, and runs before the reactor does.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL
from OpenSSL import crypto as openssl
from twisted.internet.interfaces import IOpenSSLContextFactory
from twisted.internet.ssl import CertificateOptions, TLSVersion

from clawgw.fingerprint import fingerprint_of_der, parse_fingerprint

__all__ = ["ServerTls", "TlsConfigurationError", "TlsSettings", "load_server_tls"]

_LIFETIME = timedelta(days=3650)
_CLOCK_SKEW = timedelta(days=1)
"""A client whose clock runs behind must not find a new certificate "not yet valid"."""

_VerifyCallback = Callable[[SSL.Connection, openssl.X509, int, int, int], bool]


class TlsConfigurationError(ValueError):
    """TLS cannot be set up as configured; the text says which file or setting, and what to do."""


class TlsSettings(Protocol):
    """The part of the configuration under ``gateway.tls`` that is read here."""

    @property
    def cert_path(self) -> str | None: ...
    @property
    def key_path(self) -> str | None: ...
    @property
    def auto_generate(self) -> bool: ...
    @property
    def client_auth(self) -> Literal["off", "pinned"]: ...
    @property
    def client_fingerprints(self) -> Collection[str]: ...


@dataclass(frozen=True)
class ServerTls:
    """What a listening TLS port needs, and the fingerprint its clients pin (``sha256:…``)."""

    context_factory: IOpenSSLContextFactory
    fingerprint: str


def load_server_tls(settings: TlsSettings, state_dir: str | os.PathLike[str]) -> ServerTls:
    """Load (or, the first time, make) the Gateway's certificate and set up the TLS context.

    :raises TlsConfigurationError: for anything that keeps the Gateway from speaking TLS.
    """
    cert_path, key_path = _pair_paths(settings, Path(state_dir))
    chain = _load_chain(cert_path)
    key = _load_key(key_path)
    if _public_bytes(key) != _public_bytes(chain[0]):
        raise TlsConfigurationError(
            f"The private key {key_path} does not belong to the certificate {cert_path}; "
            "set gateway.tls.certPath and gateway.tls.keyPath to a matching pair."
        )
    options = CertificateOptions(
        privateKey=openssl.PKey.from_cryptography_key(key),  # type: ignore[arg-type]
        certificate=openssl.X509.from_cryptography(chain[0]),
        extraCertChain=[openssl.X509.from_cryptography(cert) for cert in chain[1:]],
        raiseMinimumTo=TLSVersion.TLSv1_2,
    )
    _prepare_context(options, settings, cert_path)
    fingerprint = fingerprint_of_der(chain[0].public_bytes(serialization.Encoding.DER))
    return ServerTls(options, fingerprint)


def _prepare_context(options: CertificateOptions, settings: TlsSettings, cert_path: Path) -> None:
    """Build the OpenSSL context now, so that a weak key or a bad list stops the start."""
    pins = _client_pins(settings)
    try:
        context = options.getContext()
    except SSL.Error as error:
        raise TlsConfigurationError(
            f"OpenSSL does not accept the certificate {cert_path} or its key "
            f"({_openssl_reason(error)}); make a new pair, for example with an ECDSA P-256 key."
        ) from error
    context.set_alpn_select_callback(_speak_http_1)
    if pins is not None:
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _pinned_client(pins))


def _speak_http_1(_: SSL.Connection, offered: list[bytes]) -> Any:
    """Choose HTTP/1.1 of what a browser offers (ALPN, RFC 7301); without it, choose nothing.

    Twisted's own choice of nothing is one that newer OpenSSL bindings take for an error, and then
    no browser gets in.
    """
    return b"http/1.1" if b"http/1.1" in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def _client_pins(settings: TlsSettings) -> frozenset[str] | None:
    """The client fingerprints that may connect, or None when clients show no certificate."""
    if settings.client_auth == "off":
        return None
    if settings.client_auth != "pinned":
        raise TlsConfigurationError(
            f'gateway.tls.clientAuth is {settings.client_auth!r}; it is either "off" or "pinned".'
        )
    pins = set()
    for index, text in enumerate(settings.client_fingerprints):
        try:
            pins.add(parse_fingerprint(text))
        except ValueError as error:
            raise TlsConfigurationError(
                f"gateway.tls.clientFingerprints[{index}]: {error}"
            ) from None
    if not pins:
        raise TlsConfigurationError(
            'gateway.tls.clientAuth is "pinned" and gateway.tls.clientFingerprints is empty, so '
            "nobody could connect; add the SHA-256 fingerprint of each client's certificate."
        )
    return frozenset(pins)


def _pinned_client(pins: frozenset[str]) -> _VerifyCallback:
    """An OpenSSL verify callback that judges the client's own certificate by its pin alone."""

    def verify(
        _connection: SSL.Connection, cert: openssl.X509, _error: int, depth: int, _ok: int
    ) -> bool:
        if depth != 0:
            return True
        seen = cert.to_cryptography()
        pinned = fingerprint_of_der(seen.public_bytes(serialization.Encoding.DER)) in pins
        return pinned and seen.not_valid_after_utc > datetime.now(UTC)

    return verify


# --- files ---------------------------------------------------------------------------------


def _pair_paths(settings: TlsSettings, state_dir: Path) -> tuple[Path, Path]:
    """Where certificate and key are; makes the Gateway's own pair when nothing is configured."""
    if settings.cert_path and settings.key_path:
        return Path(settings.cert_path).expanduser(), Path(settings.key_path).expanduser()
    if settings.cert_path or settings.key_path:
        given, missing = ("certPath", "keyPath")[:: 1 if settings.cert_path else -1]
        raise TlsConfigurationError(
            f"gateway.tls.{given} is set and gateway.tls.{missing} is not; set both, or neither "
            "to let the Gateway make its own certificate."
        )
    if not settings.auto_generate:
        raise TlsConfigurationError(
            "gateway.tls.enabled is true without a certificate; set gateway.tls.certPath and "
            "gateway.tls.keyPath, or set gateway.tls.autoGenerate to true."
        )
    return _own_pair(state_dir / "tls")


def _own_pair(directory: Path) -> tuple[Path, Path]:
    cert_path, key_path = directory / "gateway-cert.pem", directory / "gateway-key.pem"
    if not (cert_path.exists() and key_path.exists()):
        try:
            _make_own_pair(directory, cert_path, key_path)
        except OSError as error:
            raise TlsConfigurationError(
                f"The Gateway could not write its own certificate to {directory} "
                f"({error.strerror}); make that directory writable, or set gateway.tls.certPath "
                "and gateway.tls.keyPath."
            ) from error
    return cert_path, key_path


def _make_own_pair(directory: Path, cert_path: Path, key_path: Path) -> None:
    """Write a new pair so that a crash at any point leaves no pair rather than a wrong one.

    The certificate appears last, and what is left of an earlier pair goes first: an interrupted
    run leaves a missing file, which the next start sees and begins again.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory.chmod(0o700)
    cert_path.unlink(missing_ok=True)
    _write_new(
        key_path,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        mode=0o600,
    )
    _write_new(cert_path, _self_signed(key).public_bytes(serialization.Encoding.PEM), mode=0o644)
    _sync_directory(directory)


def _write_new(path: Path, data: bytes, *, mode: int) -> None:
    """Put ``data`` at ``path`` in one step, in a file that had ``mode`` from its creation."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "clawgw gateway")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName(_own_names()), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _own_names() -> list[x509.GeneralName]:
    dns = ["localhost"]
    host = socket.gethostname()
    # A host name with characters no DNS name has would make the certificate unreadable to some.
    if host != "localhost" and host.replace("-", "").replace(".", "").isalnum() and host.isascii():
        dns.append(host)
    addresses = ("127.0.0.1", "::1")
    return [
        *(x509.DNSName(name) for name in dns),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
    ]


def _load_chain(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path, "certPath"))
    except ValueError as error:
        if isinstance(error, TlsConfigurationError):
            raise
        raise TlsConfigurationError(
            f"The TLS certificate {path} is not a PEM certificate; gateway.tls.certPath takes a "
            'file that begins with "-----BEGIN CERTIFICATE-----", the Gateway\'s own first.'
        ) from error


def _load_key(path: Path) -> PrivateKeyTypes:
    data = _read(path, "keyPath")
    try:
        return serialization.load_pem_private_key(data, password=None)
    except TypeError as error:
        raise TlsConfigurationError(
            f"The TLS private key {path} is protected by a passphrase, which a daemon cannot type; "
            "store it without one (openssl pkey -in KEY -out KEY.plain) in a file of mode 0600."
        ) from error
    except ValueError as error:
        raise TlsConfigurationError(
            f"The TLS private key {path} is not a PEM private key; gateway.tls.keyPath takes a "
            'file that begins with "-----BEGIN PRIVATE KEY-----" or similar.'
        ) from error


def _read(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsConfigurationError(
            f"The file {path} (gateway.tls.{setting}) cannot be read: {error.strerror}; check "
            "the path, and that the Gateway's user may read it."
        ) from error


def _public_bytes(holder: PrivateKeyTypes | x509.Certificate) -> bytes:
    return holder.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _openssl_reason(error: SSL.Error) -> str:
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    reasons = [str(entry[-1]) for entry in entries if entry]
    return "; ".join(filter(None, reasons)) or "no reason given"
