"""The connect decision for tests: an attempt in a line, and what came of it.

Everything has a default under which a paired, local device that knows the token is let in, so that
a test says only what is different.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from clawgw.protocol.connect import ConnectParams
from clawgw.trust.connect import Admitted, Attempt, Grants, Refused, RoleGrant, Secrets, decide
from clawgw.trust.peers import Peer, PeerPolicy, identify
from clawgw.trust.tokens import hash_token
from tests.support.memory import NONCE, START_MS, Device, connect_params, token_auth

TOKEN = "the-shared-token"
SECRETS = Secrets("token", TOKEN)
DEVICE_TOKEN = "the-token-of-the-device"

LOCAL = Peer("127.0.0.1", is_local=True)
REMOTE = Peer("203.0.113.9", is_local=False)
OUR_PAGE = Peer("127.0.0.1", is_local=True, origin="http://localhost:18789")

READ, WRITE, ADMIN = "operator.read", "operator.write", "operator.admin"

DETAIL_CODES = frozenset(
    {
        "AUTH_TOKEN_MISSING", "AUTH_TOKEN_MISMATCH", "AUTH_PASSWORD_MISSING",
        "AUTH_PASSWORD_MISMATCH", "AUTH_DEVICE_TOKEN_MISMATCH", "AUTH_RATE_LIMITED",
        "CONTROL_UI_ORIGIN_NOT_ALLOWED", "CONTROL_UI_DEVICE_IDENTITY_REQUIRED",
        "DEVICE_IDENTITY_REQUIRED", "DEVICE_AUTH_DEVICE_ID_MISMATCH",
        "DEVICE_AUTH_SIGNATURE_EXPIRED", "DEVICE_AUTH_NONCE_REQUIRED",
        "DEVICE_AUTH_NONCE_MISMATCH", "DEVICE_AUTH_SIGNATURE_INVALID",
        "DEVICE_AUTH_PUBLIC_KEY_INVALID", "PAIRING_REQUIRED", "PROTOCOL_MISMATCH",
    }
)  # fmt: skip
"""Those of the contract's `ConnectErrorDetailCodes` that this Gateway can have a reason for."""

NEXT_STEPS = frozenset(
    {
        "retry_with_device_token", "update_auth_configuration", "update_auth_credentials",
        "wait_then_retry", "review_auth_configuration",
    }
)  # fmt: skip
"""The contract's words for `recommendedNextStep`."""


def grant(
    *scopes: str, token: str | None = DEVICE_TOKEN, token_scopes: Iterable[str] | None = None
) -> RoleGrant:
    """A grant of these scopes; without `token` the device's token was revoked."""
    narrowed = scopes if token_scopes is None else tuple(token_scopes)
    return RoleGrant(scopes, narrowed, None if token is None else hash_token(token))


class AdmissionTestCase(SynchronousTestCase):
    """Assertions about who gets in."""

    def setUp(self) -> None:
        self.device = Device()
        self.grants: dict[str, Grants] = {self.device.id: {"operator": grant(READ, WRITE)}}

    def attempt(
        self,
        params: ConnectParams,
        peer: Peer = LOCAL,
        *,
        secrets: Secrets = SECRETS,
        grants: Mapping[str, Grants] | None = None,
        nonce: str = NONCE,
        now_ms: int = START_MS,
        wait_ms: int = 0,
    ) -> Attempt:
        known = self.grants if grants is None else grants
        return Attempt(params, peer, nonce, now_ms, secrets, known.get, wait_ms)

    def admitted(self, params: ConnectParams, peer: Peer = LOCAL, **more: Any) -> Admitted:
        return decide(self.attempt(params, peer, **more))

    def refused(
        self,
        params: ConnectParams,
        peer: Peer = LOCAL,
        *,
        detail: str,
        says: str,
        code: str = "INVALID_REQUEST",
        close: int = 1008,
        failed_auth: bool = False,
        **more: Any,
    ) -> Refused:
        """That they are not let in, and every word of the answer a program may look at."""
        with self.assertRaises(Refused) as caught:
            decide(self.attempt(params, peer, **more))
        refusal = caught.exception
        found = (
            refusal.details.get("code"), refusal.code, refusal.close_code, refusal.failed_auth,
        )  # fmt: skip
        self.assertEqual(found, (detail, code, close, failed_auth), refusal.message)
        self.assertTrue(re.match(says, refusal.message), refusal.message)
        if refusal.close_reason:
            self.assertLessEqual(len(refusal.close_reason.encode()), 120)
        step = refusal.details.get("recommendedNextStep")
        self.assertTrue(step is None or step in NEXT_STEPS, step)
        self.assertTrue(detail in DETAIL_CODES or detail == "INVALID_ROLE", detail)
        for secret in (TOKEN, DEVICE_TOKEN):
            self.assertNotIn(secret, f"{refusal.message} {refusal.details} {refusal!r}")
        return refusal

    def signed(self, **changes: Any) -> ConnectParams:
        """The device, with the shared token unless told otherwise."""
        return self.device.connect(**({"auth": token_auth(TOKEN)} | changes))


def without_device(**changes: Any) -> ConnectParams:
    """A client that has no device."""
    return connect_params(**changes)


def through(headers: Mapping[str, str], *, address: str = "127.0.0.1", **policy: Any) -> Peer:
    """Who comes from this address with these headers."""
    return identify(address, headers, PeerPolicy(**policy))
