"""A device's identity and its signature over a connection's challenge.

A device is its Ed25519 key: its id is the hex SHA-256 of the raw 32-byte public key. It signs
these fields, joined with `|`, in one of three versions (see docs/protocol/README.md):

    v1|id|client id|client mode|role|scopes,joined|signedAtMs|token
    v2|… the same …|nonce
    v3|… the same …|nonce|platform|deviceFamily

The nonce is the one this connection was challenged with, so a signature is good for one
connection. `v1` has none and is taken from this host only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)


class SignedFields(NamedTuple):
    """What a device signs. `token` is the credential it presents, or empty.

    `protocol` is signed by nobody: clients of protocol 4 sign version 3, older ones version 2, and
    a verification is too dear to begin with the wrong one.
    """

    device_id: str
    client_id: str
    client_mode: str
    role: str
    scopes: Sequence[str]
    signed_at_ms: int
    token: str
    nonce: str | None
    platform: str = ""
    device_family: str = ""
    protocol: int = 4

    def __repr__(self) -> str:
        return f"SignedFields(device_id={self.device_id!r})"


def signed_texts(fields: SignedFields) -> list[str]:
    """Every text whose signature counts for these fields, the likelier one first."""
    common = [
        fields.device_id,
        fields.client_id,
        fields.client_mode,
        fields.role,
        ",".join(fields.scopes),
        str(fields.signed_at_ms),
        fields.token,
    ]
    if fields.nonce is None:
        return ["|".join(["v1", *common])]
    extra = [fields.platform.strip().lower(), fields.device_family.strip().lower()]
    texts = [
        "|".join(["v3", *common, fields.nonce, *extra]),
        "|".join(["v2", *common, fields.nonce]),
    ]
    return texts if fields.protocol >= 4 else texts[::-1]


def decode_base64url(text: str) -> bytes | None:
    """The bytes of unpadded (or padded) base64url text; None if it is none."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None


def encode_base64url(data: bytes) -> str:
    """Bytes as unpadded base64url text."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def raw_public_key(text: str) -> bytes | None:
    """The 32 bytes of an Ed25519 public key given as base64url or PEM; None if it is none."""
    if "-----BEGIN" in text:
        try:
            key = load_pem_public_key(text.encode())
        except (ValueError, UnsupportedAlgorithm):
            return None
        if not isinstance(key, Ed25519PublicKey):
            return None
        return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    raw = decode_base64url(text)
    return raw if raw is not None and len(raw) == 32 else None


def device_id_of(raw_key: bytes) -> str:
    """The id of the device that has this raw public key."""
    return hashlib.sha256(raw_key).hexdigest()


def is_signed(raw_key: bytes, signature: str, fields: SignedFields) -> bool:
    """Whether `signature` (base64url) is this key's over one version of these fields."""
    signature_bytes = decode_base64url(signature)
    if signature_bytes is None or len(signature_bytes) != 64:
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(raw_key)
    except ValueError:
        return False
    return any(_verifies(key, signature_bytes, text) for text in signed_texts(fields))


def _verifies(key: Ed25519PublicKey, signature: bytes, text: str) -> bool:
    try:
        key.verify(signature, text.encode())
    except InvalidSignature:
        return False
    return True
