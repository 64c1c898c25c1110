"""Who is let in, as what: the whole decision over a `connect` request.

The questions, in this order; the first "no" is the answer:

1. Has this address failed too often lately? (Nothing in the frame can change that.)
2. Is there a protocol version both sides speak?  3. Is the role one we know?
4. If a browser connects: may its page?
5. Does an agent's tool show the token of its session? Then that decides alone, on this host only.
6. If a device is named: is the id its key's, the signature its own, fresh, and for this very
   connection?
7. Does it know a secret? A device token that counts is enough, and then nothing else is looked
   at: a holder of one must not learn from the answer whether it also guessed the shared secret.
8. Is the device paired in this role, with these scopes? A local device that knows the shared
   secret is paired, or given more, on the spot; everybody else waits for an operator.

What comes out is what the operator granted. A client without a device has no scopes: there is
nothing they could be bound to. The one exception are the stock command line and its helpers, which
leave their key at home when they know the shared secret and are on this host: they have what they
ask for. That lets nobody further in, as whoever is here and knows the secret may pair a key on the
spot (8). The name, mode and version a client gives itself grant nothing: there they only keep all
others out, who have no need of it.

Codes and `details` are the contract's (`ConnectErrorDetailCodes`). This module does no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from clawgw.protocol import PROTOCOL_VERSIONS
from clawgw.protocol.base import given
from clawgw.protocol.connect import ConnectAuth, ConnectParams, DeviceProof
from clawgw.protocol.errors import INVALID_REQUEST, NOT_PAIRED
from clawgw.trust import scopes as scope_rules
from clawgw.trust.peers import Peer
from clawgw.trust.session_tokens import BoundSession
from clawgw.trust.signatures import SignedFields, device_id_of, is_signed, raw_public_key
from clawgw.trust.tokens import hash_token, same_secret

SIGNATURE_LIFETIME_MS = 10 * 60 * 1000
POLICY_VIOLATION = 1008
PROTOCOL_ERROR = 1002
KEYLESS_AT_HOME = frozenset({("cli", "cli"), ("gateway-client", "backend")})
"""Id and mode of the stock clients that come without a device to a Gateway on loopback whose shared
secret they know (`openclaw` 2026.9.6, docs/gateway/protocol/auth.md)."""


AuthMode = Literal["none", "token", "password"]
AuthMethod = Literal["none", "token", "password", "device-token", "session-token"]
PairReason = Literal["not-paired", "role-upgrade", "scope-upgrade"]

_PAIR_WORDS: dict[PairReason, str] = {
    "not-paired": "this device is not approved yet",
    "role-upgrade": "this device is not approved in this role yet",
    "scope-upgrade": "this device asks for more scopes than were approved",
}


class Secrets(NamedTuple):
    """The shared secret a client must know."""

    mode: AuthMode
    token: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"Secrets(mode={self.mode!r})"


class RoleGrant(NamedTuple):
    """What a device may be and do. `token_hash` is None when the token was revoked."""

    scopes: tuple[str, ...]
    token_scopes: tuple[str, ...]
    token_hash: str | None


Grants = Mapping[str, RoleGrant]
"""A paired device's grants, by role."""


@dataclass(frozen=True)
class Attempt:
    """Everything the decision looks at.

    Attributes:
        nonce: what this connection was challenged with.
        grants_of: the grants of a paired device by its id, None for one that is not paired.
        wait_ms: how long the address is still in back-off.
        session_of: what a session's token stands for, None for one that does not count.
    """

    params: ConnectParams
    peer: Peer
    nonce: str
    now_ms: int
    secrets: Secrets
    grants_of: Callable[[str], Grants | None]
    wait_ms: int = 0
    session_of: Callable[[str], BoundSession | None] = lambda _: None


@dataclass(frozen=True)
class Pairing:
    """A device to be paired, or to be given more: on the spot, or when an operator says so."""

    reason: PairReason
    device_id: str
    public_key: str
    role: str
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class Admitted:
    """Come in. `pair_now` is done before the answer goes out.

    `bound_session` is the session of an agent's tool, which may do what that session's policy says.
    """

    version: int
    role: str
    scopes: tuple[str, ...]
    method: AuthMethod
    device_id: str | None = None
    pair_now: Pairing | None = None
    bound_session: BoundSession | None = None


@dataclass(eq=False)
class Refused(Exception):
    """Stay out: the error response, then the close.

    Attributes:
        failed_auth: whether it counts against the address.
        wants_pairing: what an operator is to be asked.
    """

    code: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)
    close_code: int = POLICY_VIOLATION
    close_reason: str = ""
    retry_after_ms: int | None = None
    failed_auth: bool = False
    wants_pairing: Pairing | None = None


def decide(attempt: Attempt) -> Admitted:
    """Let somebody in, or raise why not.

    Raises:
        Refused: with everything the edge needs to answer and close.
    """
    _check_backoff(attempt.wait_ms)
    version = choose_version(attempt.params.min_protocol, attempt.params.max_protocol)
    role = _check_role(given(attempt.params.role, scope_rules.OPERATOR))
    _check_origin(attempt.peer)
    device = attempt.params.device
    session_token = given(_auth(attempt.params).agent_runtime_identity_token, "")
    if attempt.peer.tools_only or (session_token and not isinstance(device, DeviceProof)):
        return _admit_tool(attempt, version, role, session_token)
    if not isinstance(device, DeviceProof):
        return _admit_without_device(attempt, version, role)
    _check_device(attempt, device, role)
    grants = attempt.grants_of(device.id)
    method = _authenticate(attempt, grants.get(role) if grants else None)
    wanted = _wanted_scopes(attempt.params, role, version)
    return _admit_device(attempt, version, role, device, grants, method, wanted)


def choose_version(lowest: int, highest: int) -> int:
    """The highest version both sides speak."""
    common = [version for version in PROTOCOL_VERSIONS if lowest <= version <= highest]
    if not common:
        expected = max(PROTOCOL_VERSIONS)
        raise Refused(
            INVALID_REQUEST,
            "protocol mismatch",
            {
                "code": "PROTOCOL_MISMATCH",
                "expectedProtocol": expected,
                "supportedProtocols": list(PROTOCOL_VERSIONS),
            },
            close_code=PROTOCOL_ERROR,
            close_reason="protocol mismatch",
        )
    return max(common)


def _check_backoff(wait_ms: int) -> None:
    if wait_ms > 0:
        raise Refused(
            INVALID_REQUEST,
            "unauthorized: too many failed attempts from this address, try again later",
            {
                "code": "AUTH_RATE_LIMITED",
                "authReason": "rate_limited",
                "retryAfterMs": wait_ms,
                "recommendedNextStep": "wait_then_retry",
            },
            close_reason="too many failed attempts",
            retry_after_ms=wait_ms,
        )


def _check_role(role: str) -> str:
    if role not in scope_rules.ROLES:
        raise Refused(
            INVALID_REQUEST, "invalid role: expected 'operator' or 'node'", {"code": "INVALID_ROLE"}
        )
    return role


def _check_origin(peer: Peer) -> None:
    if not peer.origin_allowed:
        raise Refused(
            INVALID_REQUEST,
            "origin not allowed: open the page from the Gateway itself, or list its origin in "
            "gateway.controlUi.allowedOrigins",
            {"code": "CONTROL_UI_ORIGIN_NOT_ALLOWED"},
            close_reason="origin not allowed",
        )


def _check_device(attempt: Attempt, device: DeviceProof, role: str) -> None:
    """Refuse a device whose proof does not hold."""
    raw_key = raw_public_key(device.public_key)
    if raw_key is None:
        raise _device_refusal("DEVICE_AUTH_PUBLIC_KEY_INVALID", "public key is not Ed25519")
    if device_id_of(raw_key) != device.id:
        raise _device_refusal("DEVICE_AUTH_DEVICE_ID_MISMATCH", "id is not that of the public key")
    if abs(attempt.now_ms - device.signed_at) > SIGNATURE_LIFETIME_MS:
        raise _device_refusal(
            "DEVICE_AUTH_SIGNATURE_EXPIRED", "signature is stale: check the clocks of both hosts"
        )
    nonce = given(device.nonce, None)
    if nonce is None and not (attempt.peer.is_local and attempt.peer.origin is None):
        raise _device_refusal("DEVICE_AUTH_NONCE_REQUIRED", "nonce is missing")
    if nonce is not None and nonce != attempt.nonce:
        raise _device_refusal(
            "DEVICE_AUTH_NONCE_MISMATCH", "nonce is not the one of this connection"
        )
    if not is_signed(raw_key, device.signature, _signed_fields(attempt, device, role)):
        raise _device_refusal("DEVICE_AUTH_SIGNATURE_INVALID", "signature does not verify")


def _signed_fields(attempt: Attempt, device: DeviceProof, role: str) -> SignedFields:
    params = attempt.params
    auth = _auth(params)
    presented = (auth.token, auth.device_token, auth.bootstrap_token)
    return SignedFields(
        device_id=device.id,
        client_id=params.client.id,
        client_mode=params.client.mode,
        role=role,
        scopes=given(params.scopes, []),
        signed_at_ms=device.signed_at,
        token=next((secret for secret in presented if isinstance(secret, str)), ""),
        nonce=given(device.nonce, None),
        platform=params.client.platform,
        device_family=given(params.client.device_family, ""),
        protocol=params.max_protocol,
    )


def _device_refusal(code: str, problem: str) -> Refused:
    return Refused(
        INVALID_REQUEST,
        f"device identity refused: {problem}",
        {"code": code, "reason": problem},
        close_reason="device identity refused",
        failed_auth=code in ("DEVICE_AUTH_SIGNATURE_INVALID", "DEVICE_AUTH_NONCE_MISMATCH"),
    )


def _auth(params: ConnectParams) -> ConnectAuth:
    return given(params.auth, ConnectAuth())


def _authenticate(attempt: Attempt, grant: RoleGrant | None) -> AuthMethod:
    """By which secret the client got in.

    Version 3 clients put a saved device token into `auth.token`, so that one is tried as both.
    """
    auth = _auth(attempt.params)
    device_token = given(auth.device_token, "")
    shared = given(auth.token, "")
    if device_token and _is_token_of(grant, device_token):
        return "device-token"
    mode = attempt.secrets.mode
    if mode == "none":
        return "none"
    if _knows_secret(attempt.secrets, auth):
        return mode
    if shared and _is_token_of(grant, shared):
        return "device-token"
    raise _auth_refusal(mode, auth, has_token=grant is not None and grant.token_hash is not None)


def _is_token_of(grant: RoleGrant | None, token: str) -> bool:
    if grant is None or grant.token_hash is None:
        return False
    return same_secret(hash_token(token), grant.token_hash)


def _knows_secret(secrets: Secrets, auth: ConnectAuth) -> bool:
    if secrets.mode == "password":
        return secrets.password is not None and same_secret(
            given(auth.password, ""), secrets.password
        )
    return secrets.token is not None and same_secret(given(auth.token, ""), secrets.token)


def _auth_refusal(mode: AuthMode, auth: ConnectAuth, *, has_token: bool) -> Refused:
    what = "password" if mode == "password" else "token"
    device_token = given(auth.device_token, "")
    secret = given(auth.password if mode == "password" else auth.token, "")
    # Stock clients put a saved device token into both fields, and forget it only by its own code.
    if secret and secret != device_token:
        code, problem = f"AUTH_{what.upper()}_MISMATCH", f"gateway {what} mismatch"
        hint = f"use the {what} the Gateway was started with"
        step = "retry_with_device_token" if has_token else "update_auth_credentials"
    elif device_token:
        code, problem = "AUTH_DEVICE_TOKEN_MISMATCH", "device token mismatch"
        hint, step = "it was rotated or revoked; pair again", "update_auth_credentials"
    else:
        code, problem = f"AUTH_{what.upper()}_MISSING", f"gateway {what} missing"
        hint, step = f"give the {what} the Gateway was started with", "update_auth_configuration"
    missing = code.endswith("_MISSING")
    return Refused(
        INVALID_REQUEST,
        f"unauthorized: {problem} ({hint})",
        {
            "code": code,
            "authReason": code.removeprefix("AUTH_").lower(),
            "canRetryWithDeviceToken": code == "AUTH_TOKEN_MISMATCH" and has_token,
            "recommendedNextStep": step,
        },
        close_reason=f"unauthorized: {problem}",
        failed_auth=not missing,
    )


def _admit_without_device(attempt: Attempt, version: int, role: str) -> Admitted:
    """A client that knows the secret but has no device: connected, mostly without any scope."""
    method = _authenticate(attempt, None)
    browser = attempt.peer.origin is not None
    if method == "none" or role == scope_rules.NODE or browser:
        prefix = "CONTROL_UI_" if browser else ""
        raise Refused(
            NOT_PAIRED,
            "device identity required"
            + (": open the page by https or as localhost, so that it can make a key" * browser),
            {"code": f"{prefix}DEVICE_IDENTITY_REQUIRED"},
            close_reason="device identity required",
        )
    client = attempt.params.client
    scopes: tuple[str, ...] = ()
    if attempt.peer.is_local and (client.id, client.mode) in KEYLESS_AT_HOME:
        scopes = scope_rules.distinct(given(attempt.params.scopes, []))
    return Admitted(version, role, scopes, method)


def _admit_tool(attempt: Attempt, version: int, role: str, token: str) -> Admitted:
    """A tool of an agent: bound to its session, with what that session's policy gives.

    A client with a device is not asked for this token: it comes in by what it has itself.
    """
    bound = attempt.session_of(token)
    is_near = attempt.peer.is_local and attempt.peer.origin is None
    if bound is None or not is_near or role != scope_rules.OPERATOR:
        raise Refused(
            INVALID_REQUEST,
            "unauthorized: session token mismatch (the session was reset, its agent was stopped, "
            "or the Gateway was restarted since)",
            {
                "code": "AUTH_UNAUTHORIZED",
                "authReason": "session_token_mismatch",
                "canRetryWithDeviceToken": False,
                "recommendedNextStep": "update_auth_credentials",
            },
            close_reason="unauthorized: session token mismatch",
            failed_auth=True,
        )
    return Admitted(version, role, bound.scopes, "session-token", bound_session=bound)


def _wanted_scopes(params: ConnectParams, role: str, version: int) -> tuple[str, ...] | None:
    """The scopes a client asks for; None for "what I have".

    A version 3 operator that names none means everything; that it asks does not mean it gets.
    """
    if role == scope_rules.NODE:
        return ()
    wanted = scope_rules.distinct(given(params.scopes, []))
    return wanted or ((scope_rules.ADMIN,) if version < 4 else None)


def _admit_device(
    attempt: Attempt,
    version: int,
    role: str,
    device: DeviceProof,
    grants: Grants | None,
    method: AuthMethod,
    wanted: tuple[str, ...] | None,
) -> Admitted:
    grant = grants.get(role) if grants else None
    approved: Sequence[str] = ()
    if grant is not None:
        approved = grant.token_scopes if method == "device-token" else grant.scopes
        if wanted is None or not scope_rules.uncovered(approved, wanted):
            granted = tuple(approved) if wanted is None else wanted
            return Admitted(version, role, granted, method, device.id)
    reason: PairReason = (
        "not-paired" if grants is None else "role-upgrade" if grant is None else "scope-upgrade"
    )
    pairing = Pairing(reason, device.id, device.public_key, role, wanted or ())
    if attempt.peer.is_local and method != "device-token":
        return Admitted(version, role, wanted or (), method, device.id, pairing)
    raise _pairing_refusal(pairing, grants, approved)


def _pairing_refusal(pairing: Pairing, grants: Grants | None, approved: Sequence[str]) -> Refused:
    details: dict[str, Any] = {
        "code": "PAIRING_REQUIRED",
        "reason": pairing.reason,
        "deviceId": pairing.device_id,
        "requestedRole": pairing.role,
        "requestedScopes": list(pairing.scopes),
        "approvedRoles": list(grants or ()),
        "approvedScopes": list(approved),
    }
    return Refused(
        NOT_PAIRED,
        f"pairing required: {_PAIR_WORDS[pairing.reason]}",
        details,
        close_reason="pairing required",
        wants_pairing=pairing,
    )
