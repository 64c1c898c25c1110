"""The handshake: from a `connect` request to a decision carried out.

`trust.connect` decides; this module gathers what it looks at, and does what follows: pair a local
device, have a remote one wait and tell the operators, count failures.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from twisted.logger import Logger

from clawgw.events import EventSink
from clawgw.protocol.base import given
from clawgw.protocol.connect import ConnectParams
from clawgw.protocol.errors import INVALID_REQUEST, UNAVAILABLE, ErrorShape, RequestError
from clawgw.trust.backoff import AuthBackoff
from clawgw.trust.connect import Admitted, Attempt, Refused, Secrets, decide
from clawgw.trust.devices import DeviceRegistry, IssuedToken
from clawgw.trust.peers import Peer
from clawgw.trust.session_tokens import BoundSession

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


class Granted(NamedTuple):
    """A client was let in; `token` is its device token."""

    admitted: Admitted
    token: IssuedToken | None


class Denied(NamedTuple):
    """A client was not let in."""

    error: ErrorShape
    close_code: int
    close_reason: str


class Gatekeeper:
    """Lets clients in, or not.

    Args:
        secrets: the shared secret.
        devices: who is paired.
        backoff: which addresses failed lately.
        events: where operators are told of devices that wait.
        now_ms: the time, in milliseconds since the epoch.
        session_of: what the token of a session stands for.
    """

    log = Logger()

    def __init__(
        self,
        secrets: Secrets,
        devices: DeviceRegistry,
        backoff: AuthBackoff,
        events: EventSink,
        now_ms: Callable[[], int],
        session_of: Callable[[str], BoundSession | None] = lambda _: None,
    ) -> None:
        self._session_of = session_of
        self._secrets = secrets
        self._devices = devices
        self._backoff = backoff
        self._events = events
        self._now_ms = now_ms

    async def admit(self, params: ConnectParams, peer: Peer, nonce: str) -> Granted | Denied:
        """Decide, and do what follows from it."""
        now = self._now_ms()
        attempt = Attempt(
            params=params,
            peer=peer,
            nonce=nonce,
            now_ms=now,
            secrets=self._secrets,
            grants_of=self._devices.grants_of,
            wait_ms=self._backoff.wait_ms(peer.address, now),
            session_of=self._session_of,
        )
        try:
            admitted = decide(attempt)
        except Refused as refused:
            if refused.failed_auth:
                self._backoff.failed(peer.address, now, loopback=peer.is_loopback)
            return await self._deny(refused, params, peer)
        # Not for a device token: its holder could wipe out its own guesses at the shared secret.
        if admitted.method in ("token", "password"):
            self._backoff.succeeded(peer.address)
        if admitted.pair_now is not None:
            await self._devices.pair(admitted.pair_now, params.client, peer.address)
            self.log.info(
                "paired {device} as {role}: it is local and knows the secret",
                device=admitted.pair_now.device_id[:12],
                role=admitted.role,
            )
        token = None
        if admitted.device_id is not None:
            token = self._devices.token_of(admitted.device_id, admitted.role)
        return Granted(admitted, token)

    async def _deny(self, refused: Refused, params: ConnectParams, peer: Peer) -> Denied:
        details = dict(refused.details)
        reason = refused.close_reason or refused.message
        if refused.wants_pairing is not None:
            try:
                request, is_new = await self._devices.ask(
                    refused.wants_pairing, params.client, peer.address, peer.origin
                )
            except RequestError as busy:
                return Denied(busy.shape, refused.close_code, busy.message)
            details["requestId"] = request.request_id
            details["remediationHint"] = (
                f"an operator approves it with: clawgw devices approve {request.request_id}"
            )
            if is_new:
                self._events.publish("device.pair.requested", request)
                self.log.info(
                    "device {device} waits for approval: clawgw devices approve {request}",
                    device=request.device_id[:12],
                    request=request.request_id,
                )
        error = RequestError(
            refused.code,
            refused.message,
            details=details or None,
            retryable=True if refused.retry_after_ms is not None else None,
            retry_after_ms=refused.retry_after_ms,
        )
        return Denied(error.shape, refused.close_code, reason)


def describe(params: ConnectParams) -> str:
    """A client in a log line: what it calls itself, printable and short."""
    client = params.client
    text = f"{client.id} {client.version} {client.mode} as {given(params.role, 'operator')}"
    return _UNPRINTABLE.sub("?", text)[:120]


def broken() -> Denied:
    """The answer when something of ours failed in a handshake."""
    error = RequestError(UNAVAILABLE, "the Gateway could not finish the handshake", retryable=True)
    return Denied(error.shape, 1011, "internal error")


def not_connect(method: str) -> Denied:
    """The answer to a first request that is not `connect`."""
    error = RequestError(
        INVALID_REQUEST, f"invalid handshake: the first request must be connect, not {method[:60]}"
    )
    return Denied(error.shape, 1008, "first request must be connect")


def bad_params(sentence: str) -> Denied:
    """The answer to a `connect` whose parameters do not fit."""
    error = RequestError(INVALID_REQUEST, sentence)
    return Denied(error.shape, 1008, "invalid connect params")
