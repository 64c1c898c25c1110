"""Who a client is to the Gateway: its options, its secrets and the ``connect`` request of them.

Which secret is shown: a token or password given by the caller wins; without one, the device token
an earlier hello brought. If the Gateway does not know the given token (``AUTH_TOKEN_MISMATCH``),
one more attempt is made with the saved device token. If it does not take the saved one any more,
that is forgotten and one more attempt is made without.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET
from twisted.logger import Logger

from clawgw import __version__
from clawgw.client_errors import ConnectRefused
from clawgw.identity import DeviceIdentity
from clawgw.protocol.base import Maybe
from clawgw.protocol.connect import ClientInfo, ConnectAuth, ConnectParams, DeviceProof
from clawgw.trust.signatures import SignedFields, signed_texts

__all__ = ["OPERATOR_SCOPES", "ClientOptions", "Credentials", "connect_params"]

OPERATOR_SCOPES = (
    "operator.admin",
    "operator.read",
    "operator.write",
    "operator.approvals",
    "operator.pairing",
)


@dataclass(frozen=True, kw_only=True)
class ClientOptions:
    """How to reach a Gateway and who to be there. Times in seconds.

    Without ``identity`` the client has no device: it can neither be paired nor get a device token.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    device_token: str | None = field(default=None, repr=False)
    bootstrap_token: str | None = field(default=None, repr=False)
    identity: DeviceIdentity | None = None

    tls_fingerprint: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    ca_file: str | None = None
    allow_insecure: bool = False

    client_id: str = "cli"
    client_mode: str = "cli"
    client_version: str = __version__
    display_name: str | None = None
    platform: str = sys.platform
    device_family: str | None = None
    instance_id: str | None = None
    role: str = "operator"
    scopes: Sequence[str] = OPERATOR_SCOPES
    caps: Sequence[str] = ()
    commands: Sequence[str] | None = None
    permissions: dict[str, bool] | None = None
    min_protocol: int = 4
    max_protocol: int = 4

    open_timeout: float = 10.0
    tls_timeout: float = 5.0
    handshake_timeout: float = 10.0


class Credentials:
    """Which secret the next ``connect`` shows, and what a refusal of it teaches."""

    _log = Logger()

    def __init__(self, options: ClientOptions, gateway: str) -> None:
        self._options = options
        self._gateway = gateway
        self._saved_in_use = False
        self._prefer_saved = False
        self._without_saved = False

    def choose(self) -> ConnectAuth | None:
        """The ``auth`` of the next attempt."""
        given = self._options
        saved = None if self._without_saved else self._saved()
        self._saved_in_use = saved is not None and (
            self._prefer_saved or not (given.token or given.password or given.device_token)
        )
        if self._saved_in_use and saved is not None:
            return self._device_auth(saved)
        if given.token or given.password:
            return ConnectAuth(token=given.token or UNSET, password=given.password or UNSET)
        if given.device_token:
            return self._device_auth(given.device_token)
        if given.bootstrap_token:
            return ConnectAuth(bootstrap_token=given.bootstrap_token)
        return None

    def accepted(self, device_token: Any) -> None:
        """The Gateway let us in; keep the device token it may have handed out."""
        self._prefer_saved = self._without_saved = False
        identity = self._options.identity
        if identity is None or not isinstance(device_token, str) or not device_token:
            return
        try:
            identity.tokens.save(self._gateway, self._options.role, device_token)
        except OSError as error:
            self._log.warn("The device token could not be saved: {reason}", reason=error.strerror)

    def refused(self, error: ConnectRefused) -> bool:
        """Learn from a refusal; True when another attempt would show something else."""
        mismatch = error.detail_code in {"AUTH_TOKEN_MISMATCH", "AUTH_DEVICE_TOKEN_MISMATCH"} or (
            # Version 3 has no detail code.
            error.detail_code is None and "token mismatch" in error.message
        )
        if not mismatch:
            return False
        if self._saved_in_use:
            self._forget()
            first_choice, self._without_saved = not self._prefer_saved, True
            return first_choice
        if self._without_saved or self._prefer_saved or self._saved() is None:
            return False
        self._prefer_saved = error.detail_code != "AUTH_DEVICE_TOKEN_MISMATCH"
        return self._prefer_saved

    def _device_auth(self, token: str) -> ConnectAuth:
        # Version 3 has one field for both kinds of token.
        if self._options.max_protocol < 4:
            return ConnectAuth(token=token)
        return ConnectAuth(device_token=token)

    def _saved(self) -> str | None:
        identity = self._options.identity
        if identity is None:
            return None
        return identity.tokens.load(self._gateway, self._options.role)

    def _forget(self) -> None:
        if self._options.identity is None:
            return
        try:
            self._options.identity.tokens.forget(self._gateway, self._options.role)
        except OSError as error:
            self._log.warn("The device token could not be dropped: {reason}", reason=error.strerror)


def connect_params(
    options: ClientOptions, auth: ConnectAuth | None, nonce: str, now_ms: int
) -> ConnectParams:
    """The ``connect`` request that answers a challenge, signed by the device if there is one."""
    return ConnectParams(
        min_protocol=options.min_protocol,
        max_protocol=options.max_protocol,
        client=ClientInfo(
            id=options.client_id,  # type: ignore[arg-type]
            version=options.client_version,
            platform=options.platform,
            mode=options.client_mode,  # type: ignore[arg-type]
            display_name=options.display_name or UNSET,
            device_family=options.device_family or UNSET,
            instance_id=options.instance_id or UNSET,
        ),
        caps=list(options.caps),
        commands=UNSET if options.commands is None else list(options.commands),
        permissions=UNSET if options.permissions is None else options.permissions,
        role=options.role,
        scopes=list(options.scopes),
        auth=UNSET if auth is None else auth,
        device=_device_proof(options, auth, nonce, now_ms),
        user_agent=f"clawgw/{__version__}",
    )


def _device_proof(
    options: ClientOptions, auth: ConnectAuth | None, nonce: str, now_ms: int
) -> Maybe[DeviceProof]:
    identity = options.identity
    if identity is None:
        return UNSET
    secrets = (auth.token, auth.device_token, auth.bootstrap_token) if auth else ()
    token = next((secret for secret in secrets if isinstance(secret, str) and secret), "")
    newest, version_2 = signed_texts(
        SignedFields(
            device_id=identity.device_id,
            client_id=options.client_id,
            client_mode=options.client_mode,
            role=options.role,
            scopes=options.scopes,
            signed_at_ms=now_ms,
            token=token,
            nonce=nonce,
            platform=options.platform,
            device_family=options.device_family or "",
        )
    )
    # A Gateway of protocol 3 knows only the second text, which signs less.
    text = version_2 if options.max_protocol < 4 else newest
    return DeviceProof(
        id=identity.device_id,
        public_key=identity.public_key,
        signature=identity.sign(text),
        signed_at=now_ms,
        nonce=nonce,
    )
