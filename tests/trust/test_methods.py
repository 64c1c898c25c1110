"""`device.pair.*` and `device.token.*`: what operators are told."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET
from twisted.trial.unittest import TestCase

from clawgw.methods import MethodTable
from clawgw.protocol import devices as wire
from clawgw.protocol.errors import RequestError
from clawgw.trust.connect import Pairing
from clawgw.trust.devices import REQUEST_LIFETIME_MS, DeviceRegistry
from clawgw.trust.methods import DeviceMethods
from clawgw.trust.tokens import TokenMint
from tests.support.memory import (
    Caller,
    Device,
    MemoryDatabase,
    MsClock,
    RecordedEvents,
    client_info,
    scopes,
)


class DeviceMethodsTestCase(TestCase):
    """The methods over a registry in memory."""

    def setUp(self) -> None:
        self.clock = MsClock()
        self.events = RecordedEvents()
        self.cut: list[Any] = []
        self.devices = DeviceRegistry(MemoryDatabase(), TokenMint(b"k" * 32), self.clock.now_ms)
        self.methods = DeviceMethods(
            self.devices,
            self.events,
            lambda device_id: device_id == self.device.id,
            lambda *args: self.cut.append(args),
            self.clock.now_ms,
        )
        self.device = Device()

    async def ask(self, *names: str) -> str:
        wish = Pairing(
            "not-paired", self.device.id, self.device.public_key, "operator", tuple(scopes(*names))
        )
        request, _ = await self.devices.ask(wish, client_info(), "203.0.113.9", "https://page")
        return request.request_id

    async def approve(self, *names: str) -> wire.PairApproved:
        params = wire.PairDecisionParams(request_id=await self.ask(*names))
        return await self.methods.approve(Caller(), params)

    def resolved(self) -> list[tuple[str, str]]:
        events = self.events.named("device.pair.resolved")
        return [(event.device_id, event.decision) for event in events]

    async def test_list(self) -> None:
        request_id = await self.ask("read")
        (waiting,) = self.methods.pair_list(Caller(), None).pending
        self.assertEqual(waiting.request_id, request_id)
        self.assertEqual(
            (waiting.remote_ip, waiting.browser_origin), ("203.0.113.9", "https://page")
        )
        await self.approve("read")
        listed = self.methods.pair_list(Caller(), None)
        self.assertEqual(listed.pending, [])
        self.assertIs(listed.paired[0].connected, True)

    async def test_approve_tells_everybody(self) -> None:
        approved = await self.approve("read")
        self.assertEqual(approved.device.device_id, self.device.id)
        self.assertEqual(self.resolved(), [(self.device.id, "approved")])

    async def test_reject_tells_everybody(self) -> None:
        params = wire.PairDecisionParams(request_id=await self.ask("read"))
        rejected = await self.methods.reject(Caller(), params)
        self.assertEqual(rejected.device_id, self.device.id)
        self.assertEqual(self.resolved(), [(self.device.id, "rejected")])

    async def test_a_decision_about_nothing_tells_nobody(self) -> None:
        params = wire.PairDecisionParams(request_id="no such")
        for work in (self.methods.approve, self.methods.reject):
            with self.assertRaises(RequestError):
                await work(Caller(), params)
        self.assertEqual(self.resolved(), [])

    async def test_expiry_tells_everybody_once(self) -> None:
        await self.ask("read")
        self.methods.expire()
        self.assertEqual(self.resolved(), [])
        self.clock.advance(REQUEST_LIFETIME_MS / 1000 + 1)
        self.methods.expire()
        self.methods.expire()
        self.assertEqual(self.resolved(), [(self.device.id, "expired")])

    async def test_who_is_told_a_new_token(self) -> None:
        """The device itself; in version 3, which cannot say "withheld", an admin too."""
        await self.approve("read", "pairing")
        weak = scopes("read", "pairing")
        table = [
            (Caller(device_id=self.device.id, scopes=frozenset(weak)), True),
            (Caller(device_id=self.device.id, scopes=frozenset(weak), version=3), True),
            (Caller(device_id="another"), False),
            (Caller(), False),
            (Caller(device_id="another", version=3), True),
            (Caller(device_id="another", version=3, scopes=frozenset(weak)), False),
        ]
        params = wire.TokenRotateParams(device_id=self.device.id, role="operator")
        for caller, told in table:
            with self.subTest(caller=caller):
                rotated = await self.methods.rotate(caller, params)
                self.assertEqual(rotated.token is not UNSET, told)
                delivery = "in-band" if told else "withheld-cross-device"
                self.assertEqual(rotated.token_delivery, delivery)
                issued = self.devices.token_of(self.device.id, "operator")
                assert issued is not None
                if told:
                    self.assertEqual(rotated.token, issued.token)
                self.assertNotIn(issued.token, repr(rotated))

    async def test_connections_of_the_role_end_but_the_callers(self) -> None:
        await self.approve("read")
        caller = Caller(conn_id="mine")
        await self.methods.rotate(
            caller, wire.TokenRotateParams(device_id=self.device.id, role="operator")
        )
        revoked = await self.methods.revoke(
            caller, wire.TokenRevokeParams(device_id=self.device.id, role="operator")
        )
        self.assertEqual(revoked.revoked_at_ms, self.clock.now_ms())
        self.assertEqual(self.cut, [(self.device.id, "operator", "mine")] * 2)

    def test_all_of_them_need_the_scope_for_it(self) -> None:
        table = MethodTable()
        self.methods.register(table)
        self.assertEqual(
            set(table.names()),
            {
                "device.pair.list", "device.pair.approve", "device.pair.reject",
                "device.token.rotate", "device.token.revoke",
            },
        )  # fmt: skip
        others = frozenset(scopes("read", "write", "approvals", "talk"))
        for name in table.names():
            table.find(name).check(Caller(scopes=frozenset(scopes("pairing"))))
            for role in ("operator", "node"):
                with self.assertRaises(RequestError):
                    table.find(name).check(Caller(role=role, scopes=others))
