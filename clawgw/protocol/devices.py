"""Device pairing and device tokens (contract: `DevicePair*`, `DeviceToken*`)."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET

from clawgw.protocol.base import Count, Maybe, Name, Open, Params


class PairRequest(Open, frozen=True):
    """A device that asks to be let in; also the payload of `device.pair.requested`."""

    request_id: Name
    device_id: Name
    public_key: Name
    ts: Count
    display_name: Maybe[Name] = UNSET
    platform: Maybe[Name] = UNSET
    device_family: Maybe[Name] = UNSET
    client_id: Maybe[Name] = UNSET
    client_mode: Maybe[Name] = UNSET
    browser_origin: Maybe[Name] = UNSET
    role: Maybe[Name] = UNSET
    roles: Maybe[list[Name]] = UNSET
    scopes: Maybe[list[Name]] = UNSET
    remote_ip: Maybe[Name] = UNSET
    silent: Maybe[bool] = UNSET
    is_repair: Maybe[bool] = UNSET


class TokenSummary(Open, frozen=True):
    """A device token as a list shows it: all but the token."""

    role: Name
    scopes: list[Name]
    created_at_ms: Count
    rotated_at_ms: Maybe[Count] = UNSET
    revoked_at_ms: Maybe[Count] = UNSET
    last_used_at_ms: Maybe[Count] = UNSET


class PairedDevice(Open, frozen=True):
    """A device that was let in."""

    device_id: Name
    public_key: Name
    roles: list[Name]
    scopes: list[Name]
    created_at_ms: Count
    approved_at_ms: Count
    tokens: list[TokenSummary]
    display_name: Maybe[Name] = UNSET
    platform: Maybe[Name] = UNSET
    device_family: Maybe[Name] = UNSET
    client_id: Maybe[Name] = UNSET
    client_mode: Maybe[Name] = UNSET
    role: Maybe[Name] = UNSET
    remote_ip: Maybe[Name] = UNSET
    approved_via: Maybe[Name] = UNSET
    last_seen_at_ms: Maybe[Count] = UNSET
    connected: Maybe[bool] = UNSET


class PairList(Open, frozen=True):
    """Result of `device.pair.list`."""

    pending: list[PairRequest]
    paired: list[PairedDevice]


class PairDecisionParams(Params, frozen=True):
    """`device.pair.approve` and `device.pair.reject`."""

    request_id: Name


class PairApproved(Open, frozen=True):
    """Result of `device.pair.approve`."""

    request_id: Name
    device: PairedDevice


class PairRejected(Open, frozen=True):
    """Result of `device.pair.reject`."""

    request_id: Name
    device_id: Name


class PairResolvedEvent(Open, frozen=True):
    """`device.pair.resolved`."""

    request_id: Name
    device_id: Name
    decision: Literal["approved", "rejected", "expired"]
    ts: Count


class TokenRotateParams(Params, frozen=True):
    """`device.token.rotate`: a new token, with these scopes or those it had."""

    device_id: Name
    role: Name
    scopes: Maybe[list[Name]] = UNSET


class TokenRotated(Open, frozen=True):
    """Result of `device.token.rotate`.

    The token itself goes to the device it belongs to and to nobody else; another asker is told
    `withheld-cross-device`, and the device finds its new token in its next `hello-ok`.
    """

    device_id: Name
    role: Name
    scopes: list[Name]
    rotated_at_ms: Count
    token_delivery: Literal["in-band", "withheld-cross-device"]
    token: Maybe[Name] = UNSET

    def __repr__(self) -> str:
        return f"TokenRotated(device_id={self.device_id!r}, role={self.role!r})"


class TokenRevokeParams(Params, frozen=True):
    """`device.token.revoke`."""

    device_id: Name
    role: Name


class TokenRevoked(Open, frozen=True):
    """Result of `device.token.revoke`."""

    device_id: Name
    role: Name
    revoked_at_ms: Count
