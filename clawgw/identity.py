"""The device identity of a client on this machine: one Ed25519 key, and the tokens it earned.

A client proves who it is by signing the Gateway's nonce with its device key; the Gateway knows
the device by the SHA-256 of the public key. Once an operator has approved the device, the Gateway
hands it a device token, which is of use only together with the key.

On disk, both readable by their owner alone:

- ``device.pem``: the private key (PKCS #8). Created in one step, so that two programs started at
  the same moment end up with the same key and a crash leaves a whole file or none.
- ``device-tokens.json`` beside it: the tokens by Gateway and role. Replaced as a whole. It is not
  synced to disk, because a lost token costs nothing: the next hello carries a new one.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clawgw.trust.signatures import device_id_of, encode_base64url

__all__ = ["DeviceIdentity", "DeviceTokens", "IdentityError", "load_or_create_identity"]


class IdentityError(ValueError):
    """The device key cannot be read or made; the text names the file and what to do."""


@dataclass(frozen=True)
class DeviceIdentity:
    """A device key. ``device_id`` is hex, ``public_key`` unpadded base64url of the raw 32 bytes."""

    device_id: str
    public_key: str
    tokens: DeviceTokens = field(repr=False)
    _key: Ed25519PrivateKey = field(repr=False)

    def sign(self, text: str) -> str:
        """The signature over the UTF-8 ``text``, as unpadded base64url."""
        return encode_base64url(self._key.sign(text.encode()))


def load_or_create_identity(path: str | os.PathLike[str]) -> DeviceIdentity:
    """Read the device key at ``path``; the first time, make it (and its directory, mode 0700).

    :raises IdentityError: when the file is not a device key, or cannot be read or written.
    """
    path = Path(path)
    try:
        key = _read_key(path) or _create_key(path)
    except OSError as error:
        raise IdentityError(
            f"The device key {path} cannot be used: {error.strerror}; check that you own it and "
            "its directory."
        ) from error
    raw = key.public_key().public_bytes_raw()
    return DeviceIdentity(
        device_id=device_id_of(raw),
        public_key=encode_base64url(raw),
        tokens=DeviceTokens(path.with_name("device-tokens.json")),
        _key=key,
    )


def _read_key(path: Path) -> Ed25519PrivateKey | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise IdentityError(
            f"{path} is not an Ed25519 private key in PEM; move it away and a new one is made "
            "(this device then has to be approved again)."
        )
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    return key


def _create_key(path: Path) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = _write_private(path, pem, sync=True)
    try:
        # A link, unlike a rename, fails when another process was quicker; then its key counts.
        os.link(temporary, path)
    except FileExistsError:
        return _read_key(path) or key
    finally:
        temporary.unlink()
    return key


class DeviceTokens:
    """The device tokens saved for (Gateway, role), in one JSON file of mode 0600.

    The Gateway is named by the fingerprint of its certificate where it is pinned, else by its
    host and port. An unreadable file counts as empty: the tokens in it come again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __repr__(self) -> str:
        return f"DeviceTokens({str(self._path)!r})"

    def load(self, gateway: str, role: str) -> str | None:
        """The saved token, or None."""
        token = self._roles(self._read(), gateway).get(role)
        return token if isinstance(token, str) and token else None

    def save(self, gateway: str, role: str, token: str) -> None:
        """Remember ``token``; does nothing when it is the one already saved.

        :raises OSError: when the file cannot be written.
        """
        if self.load(gateway, role) == token:
            return
        everything = self._read()
        everything[gateway] = {**self._roles(everything, gateway), role: token}
        self._write(everything)

    def forget(self, gateway: str, role: str) -> None:
        """Drop the token, because the Gateway does not take it any more.

        :raises OSError: when the file cannot be written.
        """
        everything = self._read()
        roles = self._roles(everything, gateway)
        if roles.pop(role, None) is None:
            return
        everything[gateway] = roles
        self._write({name: saved for name, saved in everything.items() if saved})

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    @staticmethod
    def _roles(everything: dict[str, Any], gateway: str) -> dict[str, Any]:
        roles = everything.get(gateway)
        return dict(roles) if isinstance(roles, dict) else {}

    def _write(self, everything: dict[str, Any]) -> None:
        data = json.dumps(everything, indent=2, sort_keys=True).encode()
        _write_private(self._path, data, sync=False).replace(self._path)


def _write_private(path: Path, data: bytes, *, sync: bool) -> Path:
    """Write ``data`` to a new file beside ``path`` that only its owner ever could read."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    return temporary
