"""Idempotency: the same key never acts twice.

A key is claimed in the same transaction as what it protects (`store.idempotency`). The same key
with the same parameters gets the same answer, while the first call is running, after it, and
after a restart, for 24 hours; with other parameters, or another method, it is a mistake that the
client hears of.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from clawgw.protocol.errors import RequestError, invalid
from clawgw.store import idempotency as table
from clawgw.store.database import Connection
from clawgw.store.idempotency import Claim

_canonical = msgspec.json.Encoder(order="deterministic").encode


def digest(method: str, params: Any) -> bytes:
    """What a call is recognised by: its method and parameters, however they were ordered."""
    return hashlib.sha256(method.encode() + b"\0" + _canonical(params)).digest()


def earlier(
    connection: Connection, key: str, method: str, call: bytes, now_ms: int
) -> Claim | None:
    """Inside a write: the claim of an earlier, equal call.

    Raises:
        RequestError: the key was used for something else.
    """
    claim = table.find(connection, key, now_ms)
    if claim is not None and (claim.method, claim.digest) != (method, call):
        raise reused()
    return claim


def reused() -> RequestError:
    """The refusal of a key that was used for something else."""
    return invalid(
        "idempotencyKey: already used for another request; use a new key for each new request",
        code="IDEMPOTENCY_KEY_REUSED",
    )
