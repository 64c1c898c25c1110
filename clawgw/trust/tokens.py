"""Secrets: comparing them, and device tokens.

A device token is made from the state directory's token key and a salt that is drawn anew whenever
the token is rotated. The store keeps a hash and the salt, so a copy of the database admits nobody;
and a device that connects with the shared secret can be told its token again without a write.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from clawgw.trust.signatures import encode_base64url

KEY_BYTES = 32


def same_secret(given: str, expected: str) -> bool:
    """Compare two secrets in constant time, whatever their lengths."""
    return hmac.compare_digest(
        hashlib.sha256(given.encode()).digest(), hashlib.sha256(expected.encode()).digest()
    )


def new_salt() -> str:
    """A salt for one device token."""
    return secrets.token_urlsafe(16)


def hash_token(token: str) -> str:
    """What the store keeps of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


class TokenMint:
    """Makes device tokens.

    Args:
        key: 32 secret bytes of this state directory.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "TokenMint(…)"

    def token(self, device_id: str, role: str, salt: str) -> str:
        """The token of a device in a role, as long as the salt stands."""
        text = f"{device_id}|{role}|{salt}"
        mac = hashlib.blake2b(text.encode(), digest_size=32, key=self._key, person=b"clawgw-device")
        return encode_base64url(mac.digest())


def load_token_key(path: Path) -> bytes:
    """The token key in a file, made with mode 0600 if there is none.

    Raises:
        OSError: the file cannot be made or read.
        ValueError: the file is not a token key.
    """
    if not path.exists():
        _make_key(path)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise ValueError(
            f"{path} is not a token key of {KEY_BYTES} bytes: restore it from a backup, or delete "
            "it, which makes every device token invalid"
        )
    return key


def _make_key(path: Path) -> None:
    """Write a new key beside `path`, then give it its name: a crash leaves a whole key or none."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
