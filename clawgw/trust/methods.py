"""Methods of devices: `device.pair.*` and `device.token.*`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from msgspec import UNSET

from clawgw.events import EventSink
from clawgw.methods import Caller, MethodTable
from clawgw.protocol import devices as wire
from clawgw.protocol.base import given
from clawgw.trust.devices import DeviceRegistry
from clawgw.trust.scopes import ADMIN, PAIRING

Disconnect = Callable[[str, str, str | None], None]
"""Cuts a device's connections in a role: device id, role, the connection to spare or None."""


@dataclass(frozen=True)
class DeviceMethods:
    """The handlers."""

    devices: DeviceRegistry
    events: EventSink
    is_connected: Callable[[str], bool]
    disconnect: Disconnect
    now_ms: Callable[[], int]

    def register(self, table: MethodTable) -> None:
        """Add them to the table."""
        table.add("device.pair.list", self.pair_list, scope=PAIRING)
        table.add("device.pair.approve", self.approve, scope=PAIRING)
        table.add("device.pair.reject", self.reject, scope=PAIRING)
        table.add("device.token.rotate", self.rotate, scope=PAIRING)
        table.add("device.token.revoke", self.revoke, scope=PAIRING)

    def pair_list(self, _: Caller, __: Any) -> wire.PairList:
        """Everybody who waits and everybody who was let in."""
        return self.devices.listing(self.is_connected)

    async def approve(self, caller: Caller, params: wire.PairDecisionParams) -> wire.PairApproved:
        """Let a waiting device in."""
        device = await self.devices.approve(params.request_id, caller.scopes)
        self._resolved(params.request_id, device.device_id, "approved")
        return wire.PairApproved(request_id=params.request_id, device=device)

    async def reject(self, _: Caller, params: wire.PairDecisionParams) -> wire.PairRejected:
        """Send a waiting device away."""
        request = await self.devices.reject(params.request_id)
        self._resolved(params.request_id, request.device_id, "rejected")
        return wire.PairRejected(request_id=params.request_id, device_id=request.device_id)

    async def rotate(self, caller: Caller, params: wire.TokenRotateParams) -> wire.TokenRotated:
        """Make a device a new token. Connections made with the old one end."""
        issued = await self.devices.rotate(
            params.device_id, params.role, given(params.scopes, None), caller.scopes
        )
        own = caller.device_id == params.device_id
        # Version 3 has no word for a token that is withheld; there an admin gets it.
        told = own or (caller.version < 4 and ADMIN in caller.scopes)
        self.disconnect(params.device_id, params.role, caller.conn_id)
        return wire.TokenRotated(
            device_id=params.device_id,
            role=params.role,
            scopes=list(issued.scopes),
            rotated_at_ms=issued.issued_at_ms,
            token_delivery="in-band" if told else "withheld-cross-device",
            token=issued.token if told else UNSET,
        )

    async def revoke(self, caller: Caller, params: wire.TokenRevokeParams) -> wire.TokenRevoked:
        """Take a device's token away. Connections made with it end."""
        revoked_at = await self.devices.revoke(params.device_id, params.role)
        self.disconnect(params.device_id, params.role, caller.conn_id)
        return wire.TokenRevoked(
            device_id=params.device_id, role=params.role, revoked_at_ms=revoked_at
        )

    def expire(self) -> None:
        """Every now and then: requests nobody decided are over."""
        for request in self.devices.expire():
            self._resolved(request.request_id, request.device_id, "expired")

    def _resolved(
        self,
        request_id: str,
        device_id: str,
        decision: Literal["approved", "rejected", "expired"],
    ) -> None:
        event = wire.PairResolvedEvent(
            request_id=request_id, device_id=device_id, decision=decision, ts=self.now_ms()
        )
        self.events.publish("device.pair.resolved", event)
