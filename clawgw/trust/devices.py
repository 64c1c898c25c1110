"""Paired devices: the memory of who was let in, as what.

All of it is in memory, because every connect asks, and written through to the store before
anything is answered. A device that waits for an operator has one pending request per role; asking
again renews it, and it is forgotten after five minutes. The number of those who wait is bounded.

An operator can pass on no more than it has: approving a request or rotating a token needs, beside
`operator.pairing`, every scope that would be given.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec
from msgspec import UNSET
from twisted.internet.defer import Deferred

from clawgw.protocol import devices as wire
from clawgw.protocol.base import given
from clawgw.protocol.connect import ClientInfo
from clawgw.protocol.errors import RequestError, invalid, unavailable
from clawgw.store import devices as table
from clawgw.store.database import Connection, Database
from clawgw.store.devices import Device, Grant, PairRequestRow
from clawgw.trust import scopes as scope_rules
from clawgw.trust.connect import Grants, Pairing, RoleGrant
from clawgw.trust.tokens import TokenMint, hash_token, new_salt

REQUEST_LIFETIME_MS = 5 * 60 * 1000
MAX_PENDING = 100


class IssuedToken(NamedTuple):
    """A device token on its way to its device."""

    token: str
    scopes: tuple[str, ...]
    issued_at_ms: int

    def __repr__(self) -> str:
        return f"IssuedToken(scopes={self.scopes!r})"


class DeviceRegistry:
    """The devices of this Gateway.

    Args:
        database: where they are kept.
        mint: makes their tokens.
        now_ms: the time, in milliseconds since the epoch.
    """

    def __init__(self, database: Database, mint: TokenMint, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._mint = mint
        self._now_ms = now_ms
        self._devices = {row.device_id: row for row in database.read(table.all_devices)}
        self._grants: dict[str, dict[str, Grant]] = {}
        for grant in database.read(table.all_grants):
            # Of this key, not the stored one: with another key file no older token counts.
            kept = grant._replace(token_hash=self._hash(grant))
            self._grants.setdefault(grant.device_id, {})[grant.role] = kept
        self._pending = {row.request_id: row for row in database.read(table.all_requests)}

    # What the connect decision asks

    def grants_of(self, device_id: str) -> Grants | None:
        """What a device may be and do; None for one that is not paired."""
        if device_id not in self._devices:
            return None
        return {
            role: RoleGrant(
                grant.scopes,
                grant.token_scopes,
                None if grant.revoked_at is not None else grant.token_hash,
            )
            for role, grant in self._grants.get(device_id, {}).items()
        }

    def token_of(self, device_id: str, role: str) -> IssuedToken | None:
        """The device's token in a role, for its own `hello-ok`; None if it was revoked."""
        grant = self._grants.get(device_id, {}).get(role)
        if grant is None or grant.revoked_at is not None:
            return None
        token = self._mint.token(device_id, role, grant.token_salt)
        return IssuedToken(token, grant.token_scopes, grant.rotated_at or grant.created_at)

    # Pairing

    async def pair(
        self, pairing: Pairing, client: ClientInfo, remote_ip: str, via: str = "silent"
    ) -> None:
        """Let a device in, or give it more; returns when that is on the disk."""
        request = self._request(pairing, client, remote_ip, origin=None)
        await self._save(request, via)

    async def ask(
        self, pairing: Pairing, client: ClientInfo, remote_ip: str, origin: str | None
    ) -> tuple[wire.PairRequest, bool]:
        """Have a device wait for an operator; returns its request and whether that is news.

        Raises:
            RequestError: `UNAVAILABLE`, too many devices wait.
        """
        request = self._request(pairing, client, remote_ip, origin)
        old = self._pending_of(request)
        same = old is not None and set(given(old.scopes, [])) == set(pairing.scopes)
        if old is not None and same:
            request = msgspec.structs.replace(old, ts=request.ts)
        elif old is not None:
            # Another wish is another request: an operator must not approve what it has not seen.
            del self._pending[old.request_id]
        elif len(self._live()) >= MAX_PENDING:
            raise unavailable(
                "too many devices wait for approval, try again in a few minutes", retryable=True
            )
        row = PairRequestRow(
            request.request_id,
            request.device_id,
            pairing.role,
            request.ts,
            msgspec.json.encode(request),
        )
        self._pending[row.request_id] = row
        await self._database.write(table.save_request, row)
        return request, not same

    async def approve(self, request_id: str, approver_scopes: Iterable[str]) -> wire.PairedDevice:
        """Let a waiting device in, with what it asked for.

        Raises:
            RequestError: no such request, or it asks for more than the approver has.
        """
        request = self._waiting(request_id)
        missing = scope_rules.uncovered(approver_scopes, given(request.scopes, []))
        if missing:
            raise _beyond_own(missing[0])
        await self._save(request, "operator")
        return self.paired(request.device_id)

    async def reject(self, request_id: str) -> wire.PairRequest:
        """Send a waiting device away.

        Raises:
            RequestError: no such request.
        """
        request = self._waiting(request_id)
        del self._pending[request_id]
        await self._database.write(table.delete_request, request_id)
        return request

    def expire(self) -> list[wire.PairRequest]:
        """Forget requests that waited too long; returns them."""
        limit = self._now_ms() - REQUEST_LIFETIME_MS
        gone = [row for row in self._pending.values() if row.created_at < limit]
        for row in gone:
            del self._pending[row.request_id]
            self._database.write(table.delete_request, row.request_id)
        return [_decoded(row) for row in gone]

    # Tokens

    async def rotate(
        self, device_id: str, role: str, scopes: list[str] | None, asker_scopes: Iterable[str]
    ) -> IssuedToken:
        """Make a device a new token; the old one is worth nothing from now on.

        Raises:
            RequestError: no such grant; scopes beyond the device's; or beyond the asker's.
        """
        grant = self._granted(device_id, role)
        wanted = grant.token_scopes if scopes is None else scope_rules.distinct(scopes)
        beyond = scope_rules.uncovered(grant.scopes, wanted)
        if beyond:
            raise invalid(f"scopes: {beyond[0]} was not approved for this device")
        asker_scopes = tuple(asker_scopes)
        missing = scope_rules.uncovered(asker_scopes, wanted)
        if missing:
            raise _beyond_own(missing[0])
        salt = new_salt()
        token = self._mint.token(device_id, role, salt)
        now = self._now_ms()
        await self._save_grant(
            grant._replace(
                token_scopes=wanted,
                token_salt=salt,
                token_hash=hash_token(token),
                rotated_at=now,
                revoked_at=None,
            )
        )
        return IssuedToken(token, wanted, now)

    async def revoke(self, device_id: str, role: str) -> int:
        """Take a device's token away; returns when, in milliseconds.

        Raises:
            RequestError: no such grant.
        """
        grant = self._granted(device_id, role)
        now = self._now_ms()
        await self._save_grant(grant._replace(token_salt=new_salt(), revoked_at=now))
        return now

    def remove(self, device_id: str, role: str) -> Deferred[None]:
        """Take a role away from a device, as if it had never had it; the last takes the device.

        Returns:
            Fires when that is on the disk; nothing happens to a device that has no such role.
        """
        grants = self._grants.get(device_id, {})
        grants.pop(role, None)
        if not grants:
            self._grants.pop(device_id, None)
            self._devices.pop(device_id, None)
        return self._database.write(table.delete_grant, device_id, role)

    # Lists

    def listing(self, connected: Callable[[str], bool]) -> wire.PairList:
        """Everybody who waits and everybody who was let in."""
        return wire.PairList(
            pending=[_decoded(row) for row in self._live()],
            paired=[self.paired(name, connected=connected(name)) for name in self._devices],
        )

    def paired(self, device_id: str, *, connected: bool | None = None) -> wire.PairedDevice:
        """A paired device as clients see it."""
        device = self._devices[device_id]
        grants = list(self._grants.get(device_id, {}).values())
        scopes: tuple[str, ...] = ()
        for grant in grants:
            scopes = scope_rules.union(scopes, grant.scopes)
        return wire.PairedDevice(
            device_id=device_id,
            public_key=device.public_key,
            roles=[grant.role for grant in grants],
            role=grants[0].role if grants else UNSET,
            scopes=list(scopes),
            created_at_ms=device.created_at,
            approved_at_ms=device.approved_at,
            approved_via=device.approved_via,
            tokens=[_token_summary(grant) for grant in grants],
            display_name=device.display_name or UNSET,
            platform=device.platform or UNSET,
            device_family=device.device_family or UNSET,
            client_id=device.client_id or UNSET,
            client_mode=device.client_mode or UNSET,
            remote_ip=device.remote_ip or UNSET,
            connected=UNSET if connected is None else connected,
        )

    # Inside

    def _request(
        self, pairing: Pairing, client: ClientInfo, remote_ip: str, origin: str | None
    ) -> wire.PairRequest:
        return wire.PairRequest(
            request_id=str(uuid.uuid4()),
            device_id=pairing.device_id,
            public_key=pairing.public_key,
            ts=self._now_ms(),
            display_name=client.display_name,
            platform=client.platform,
            device_family=client.device_family,
            client_id=client.id,
            client_mode=client.mode,
            browser_origin=origin or UNSET,
            role=pairing.role,
            roles=[pairing.role],
            scopes=list(pairing.scopes),
            remote_ip=remote_ip or UNSET,
            silent=False,
            is_repair=pairing.device_id in self._devices,
        )

    def _live(self) -> list[PairRequestRow]:
        limit = self._now_ms() - REQUEST_LIFETIME_MS
        return [row for row in self._pending.values() if row.created_at >= limit]

    def _pending_of(self, request: wire.PairRequest) -> wire.PairRequest | None:
        asker = (request.device_id, request.role)
        mine = (row for row in self._live() if (row.device_id, row.role) == asker)
        return next((_decoded(row) for row in mine), None)

    def _waiting(self, request_id: str) -> wire.PairRequest:
        row = self._pending.get(request_id)
        if row is None or row.created_at < self._now_ms() - REQUEST_LIFETIME_MS:
            raise invalid("unknown requestId")
        return _decoded(row)

    def _granted(self, device_id: str, role: str) -> Grant:
        grant = self._grants.get(device_id, {}).get(role)
        if grant is None:
            raise invalid("unknown deviceId/role")
        return grant

    async def _save(self, request: wire.PairRequest, via: str) -> None:
        now = self._now_ms()
        role = given(request.role, scope_rules.OPERATOR)
        old = self._devices.get(request.device_id)
        device = Device(
            device_id=request.device_id,
            public_key=request.public_key,
            display_name=given(request.display_name, None),
            platform=given(request.platform, None),
            device_family=given(request.device_family, None),
            client_id=given(request.client_id, None),
            client_mode=given(request.client_mode, None),
            remote_ip=given(request.remote_ip, None),
            created_at=old.created_at if old else now,
            approved_at=now,
            approved_via=via,
        )
        scopes = tuple(given(request.scopes, []))
        grant = self._new_grant(request.device_id, role, scopes, now, revive=via == "operator")
        answered = [
            row.request_id
            for row in self._pending.values()
            if (row.device_id, row.role) == (request.device_id, role)
        ]

        def change(connection: Connection) -> None:
            table.save_device(connection, device)
            table.save_grant(connection, grant)
            for request_id in answered:
                table.delete_request(connection, request_id)

        # In memory first: the same device may be connecting twice at once, and must get one token.
        self._devices[device.device_id] = device
        self._grants.setdefault(device.device_id, {})[role] = grant
        for request_id in answered:
            self._pending.pop(request_id, None)
        await self._database.write(change)

    def _new_grant(
        self, device_id: str, role: str, scopes: tuple[str, ...], now: int, *, revive: bool
    ) -> Grant:
        """What is approved now on top of what was.

        The token gets what is approved now and nothing that was taken from it earlier. One that
        was revoked stays so, unless an operator decides (`revive`).
        """
        old = self._grants.get(device_id, {}).get(role)
        if old is not None and (old.revoked_at is None or not revive):
            return old._replace(
                scopes=scope_rules.union(old.scopes, scopes),
                token_scopes=scope_rules.union(old.token_scopes, scopes),
            )
        grant = Grant(
            device_id,
            role,
            scopes=scope_rules.union(old.scopes, scopes) if old else scopes,
            token_scopes=scopes,
            token_salt=new_salt(),
            token_hash="",
            created_at=now,
        )
        return grant._replace(token_hash=self._hash(grant))

    def _hash(self, grant: Grant) -> str:
        return hash_token(self._mint.token(grant.device_id, grant.role, grant.token_salt))

    async def _save_grant(self, grant: Grant) -> None:
        self._grants[grant.device_id][grant.role] = grant
        await self._database.write(table.save_grant, grant)


def _decoded(row: PairRequestRow) -> wire.PairRequest:
    return msgspec.json.decode(row.body, type=wire.PairRequest)


def _token_summary(grant: Grant) -> wire.TokenSummary:
    return wire.TokenSummary(
        role=grant.role,
        scopes=list(grant.token_scopes),
        created_at_ms=grant.created_at,
        rotated_at_ms=UNSET if grant.rotated_at is None else grant.rotated_at,
        revoked_at_ms=UNSET if grant.revoked_at is None else grant.revoked_at,
    )


def _beyond_own(scope: str) -> RequestError:
    return invalid(f"missing scope: {scope} (nobody can give what they do not have)")
