"""Capabilities: who may open the canvas from elsewhere, and who may press its buttons.

A capability is a text that nobody can guess and that says itself until when it holds: an expiry
and 16 random bytes, sealed with a key of this state directory. So nothing has to be remembered, a
link survives a restart, and every client that connects can be given one of its own. There are two
purposes, sealed differently: `canvas` opens the pages, `a2ui` is what one A2UI page shows when it
sends what somebody pressed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Literal

Purpose = Literal["canvas", "a2ui"]

_NONCE = 16
_EXPIRY = 6
_SEAL = 16
_MAX_TEXT = 100


class Capabilities:
    """Makes and checks capabilities.

    Args:
        key: 32 secret bytes of this state directory.
        lifetime_ms: how long a new one holds.
        now_ms: the time, in milliseconds since the epoch.
    """

    def __init__(self, key: bytes, lifetime_ms: int, now_ms: Callable[[], int]) -> None:
        self._key = key
        self._lifetime_ms = lifetime_ms
        self._now_ms = now_ms

    def __repr__(self) -> str:
        return "Capabilities(…)"

    def mint(self, purpose: Purpose) -> str:
        """A new capability, as text that fits into a URL's path."""
        expiry = self._now_ms() + self._lifetime_ms
        body = expiry.to_bytes(_EXPIRY, "big") + secrets.token_bytes(_NONCE)
        return base64.urlsafe_b64encode(body + self._seal(purpose, body)).rstrip(b"=").decode()

    def holds(self, purpose: Purpose, text: str) -> bool:
        """Whether this is one of ours, for this purpose, and not expired."""
        if not text.isascii() or len(text) > _MAX_TEXT:
            return False
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            return False
        body, seal = raw[: _EXPIRY + _NONCE], raw[_EXPIRY + _NONCE :]
        if len(raw) != _EXPIRY + _NONCE + _SEAL:
            return False
        if not hmac.compare_digest(seal, self._seal(purpose, body)):
            return False
        return int.from_bytes(body[:_EXPIRY], "big") > self._now_ms()

    def _seal(self, purpose: Purpose, body: bytes) -> bytes:
        person = f"clawgw-{purpose}".encode()
        return hashlib.blake2b(body, digest_size=_SEAL, key=self._key, person=person).digest()
