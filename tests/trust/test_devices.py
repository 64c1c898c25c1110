"""The memory of who was let in, as what."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from clawgw.protocol.errors import RequestError
from clawgw.store import devices as table
from clawgw.store.database import StoreError
from clawgw.trust import devices as registry_module
from clawgw.trust.connect import Pairing
from clawgw.trust.devices import REQUEST_LIFETIME_MS, DeviceRegistry
from clawgw.trust.tokens import TokenMint, hash_token
from tests.support.memory import Device, MemoryDatabase, MsClock, client_info, scopes

ADMIN = scopes("admin")


class RegistryTestCase(TestCase):
    """A registry on a store in memory."""

    def setUp(self) -> None:
        self.database = MemoryDatabase()
        self.clock = MsClock()
        self.key = b"k" * 32
        self.device = Device()
        self.restart()

    def restart(self) -> None:
        """What a new process would have."""
        self.devices = DeviceRegistry(self.database, TokenMint(self.key), self.clock.now_ms)

    def wish(self, *names: str, role: str = "operator", device: Device | None = None) -> Pairing:
        one = device or self.device
        return Pairing("not-paired", one.id, one.public_key, role, tuple(scopes(*names)))

    async def pair(self, *names: str, **more: Any) -> str:
        """Pair on the spot; returns the token."""
        await self.devices.pair(self.wish(*names, **more), client_info(), "127.0.0.1")
        return self.token(**more)

    async def ask(self, *names: str, **more: Any) -> Any:
        request, _ = await self.devices.ask(
            self.wish(*names, **more), client_info(), "203.0.113.9", None
        )
        return request

    def token(self, role: str = "operator", device: Device | None = None) -> str:
        issued = self.devices.token_of((device or self.device).id, role)
        assert issued is not None
        return issued.token

    def counts(self, token: str, role: str = "operator") -> bool:
        """Whether the connect decision would take this token."""
        grants = self.devices.grants_of(self.device.id)
        return grants is not None and grants[role].token_hash == hash_token(token)

    def pending(self) -> list[str]:
        return [one.request_id for one in self.devices.listing(lambda _: False).pending]

    async def refused(self, work: Any, says: str) -> None:
        with self.assertRaises(RequestError) as caught:
            await work
        self.assertIn(says, caught.exception.message)


class LettingIn(RegistryTestCase):
    """Devices that are let in."""

    async def test_nobody_is_known_at_first(self) -> None:
        self.assertIsNone(self.devices.grants_of(self.device.id))
        self.assertIsNone(self.devices.token_of(self.device.id, "operator"))

    async def test_a_restart_keeps_everything(self) -> None:
        token = await self.pair("read", "write")
        waiting = await self.ask("admin")
        before = self.devices.listing(lambda _: False)
        self.restart()
        self.assertEqual(self.devices.listing(lambda _: False), before)
        self.assertEqual(self.token(), token)
        self.assertTrue(self.counts(token))
        self.assertEqual(self.pending(), [waiting.request_id])

    async def test_the_store_alone_admits_nobody(self) -> None:
        token = await self.pair("read")
        dump = "\n".join(self.database.connection.iterdump())
        self.assertIn(hash_token(token), dump)
        self.assertNotIn(token, dump)

    async def test_another_key_file_makes_all_old_tokens_worthless_and_new_ones_good(self) -> None:
        old = await self.pair("read")
        self.key = b"another key of 32 bytes, exactly"
        self.restart()
        self.assertFalse(self.counts(old))
        self.assertNotEqual(self.token(), old)
        self.assertTrue(self.counts(self.token()))

    async def test_two_pairings_at_once_give_one_token(self) -> None:
        first = Deferred.fromCoroutine(self.pair("read"))
        second = Deferred.fromCoroutine(self.pair("read"))
        self.assertEqual(await first, await second)
        self.restart()
        self.assertEqual(self.token(), await first)

    async def test_pairing_again_keeps_the_token_and_adds_scopes(self) -> None:
        token = await self.pair("read")
        self.assertEqual(await self.pair("write"), token)
        grants = self.devices.grants_of(self.device.id)
        assert grants is not None
        self.assertEqual(grants["operator"].scopes, scopes("read", "write"))
        self.assertEqual(grants["operator"].token_scopes, scopes("read", "write"))

    async def test_roles_have_tokens_of_their_own(self) -> None:
        operator, node = await self.pair("read"), await self.pair(role="node")
        self.assertNotEqual(operator, node)
        self.assertFalse(self.counts(node))
        self.assertFalse(self.counts(operator, "node"))

    async def test_pairing_answers_a_waiting_request(self) -> None:
        await self.ask("read")
        await self.ask(role="node")
        await self.pair("read")
        roles = [one.role for one in self.devices.listing(lambda _: False).pending]
        self.assertEqual(roles, ["node"])
        self.restart()
        self.assertEqual(len(self.pending()), 1)

    async def test_the_list(self) -> None:
        await self.pair("read", "write")
        await self.pair(role="node")
        (one,) = self.devices.listing(lambda name: name == self.device.id).paired
        self.assertEqual(one.device_id, self.device.id)
        self.assertEqual(one.roles, ["operator", "node"])
        self.assertEqual(one.scopes, list(scopes("read", "write")))
        self.assertIs(one.connected, True)
        self.assertEqual(one.approved_via, "silent")
        self.assertNotIn(self.token(), repr(one))


class Removing(RegistryTestCase):
    """A role that is taken away altogether."""

    async def test_one_of_two(self) -> None:
        kept = await self.pair("read")
        gone = await self.pair(role="node")
        await self.devices.remove(self.device.id, "node")
        for _ in range(2):
            self.assertTrue(self.counts(kept))
            self.assertEqual(list(self.devices.grants_of(self.device.id) or ()), ["operator"])
            self.assertEqual(len(self.devices.listing(lambda _: False).paired), 1)
            self.restart()
        self.assertNotEqual(await self.pair(role="node"), gone)

    async def test_the_last_takes_the_device(self) -> None:
        await self.pair("read")
        await self.devices.remove(self.device.id, "operator")
        await self.devices.remove(self.device.id, "operator")
        for _ in range(2):
            self.assertIsNone(self.devices.grants_of(self.device.id))
            self.assertEqual(self.devices.listing(lambda _: False).paired, [])
            self.restart()


class Asking(RegistryTestCase):
    """Devices that wait for an operator."""

    async def test_asking_again_is_the_same_request_and_no_news(self) -> None:
        first, new = await self.devices.ask(self.wish("read"), client_info(), "203.0.113.9", None)
        again, news = await self.devices.ask(self.wish("read"), client_info(), "203.0.113.9", None)
        self.assertEqual((first.request_id, new, news), (again.request_id, True, False))
        self.assertEqual(len(self.pending()), 1)

    async def test_asking_again_renews_it(self) -> None:
        first = await self.ask("read")
        self.clock.advance(REQUEST_LIFETIME_MS / 1000 - 1)
        await self.ask("read")
        self.clock.advance(REQUEST_LIFETIME_MS / 1000 - 1)
        self.assertEqual(self.devices.expire(), [])
        self.restart()
        self.assertEqual(self.pending(), [first.request_id])

    async def test_another_wish_is_another_request(self) -> None:
        """What an operator looked at must not become something else under its eyes."""
        harmless = await self.ask("read")
        greedy = await self.ask("read", "admin")
        self.assertNotEqual(harmless.request_id, greedy.request_id)
        await self.refused(self.devices.approve(harmless.request_id, ADMIN), "unknown requestId")
        self.assertEqual(self.pending(), [greedy.request_id])
        self.restart()
        self.assertEqual(self.pending(), [greedy.request_id])

    async def test_the_order_of_scopes_is_no_other_wish(self) -> None:
        first = await self.ask("read", "write")
        self.assertEqual((await self.ask("write", "read")).request_id, first.request_id)

    async def test_one_request_per_role(self) -> None:
        await self.ask("read")
        await self.ask(role="node")
        self.assertEqual(len(self.pending()), 2)

    async def test_it_expires(self) -> None:
        request = await self.ask("read")
        self.clock.advance(REQUEST_LIFETIME_MS / 1000)
        self.assertEqual(self.pending(), [request.request_id])
        self.clock.advance(0.001)
        self.assertEqual(self.pending(), [])
        await self.refused(self.devices.approve(request.request_id, ADMIN), "unknown requestId")
        await self.refused(self.devices.reject(request.request_id), "unknown requestId")
        self.assertEqual([one.request_id for one in self.devices.expire()], [request.request_id])
        self.assertEqual(self.devices.expire(), [])
        self.assertEqual(self.database.read(table.all_requests), [])

    async def test_after_it_expired_the_next_one_is_found_again(self) -> None:
        await self.ask("read")
        self.clock.advance(REQUEST_LIFETIME_MS / 1000 + 1)
        second = await self.ask("read")
        self.assertEqual((await self.ask("read")).request_id, second.request_id)
        self.assertEqual(self.pending(), [second.request_id])
        self.devices.expire()
        self.restart()
        self.assertEqual(self.pending(), [second.request_id])

    async def test_not_too_many_wait(self) -> None:
        self.patch(registry_module, "MAX_PENDING", 3)
        for seed in range(2, 5):
            await self.ask("read", device=Device(seed))
        with self.assertRaises(RequestError) as caught:
            await self.ask("read")
        self.assertEqual(caught.exception.code, "UNAVAILABLE")
        self.assertIs(caught.exception.shape.retryable, True)
        self.assertEqual(len(self.pending()), 3)
        await self.ask("write", device=Device(2))
        self.clock.advance(REQUEST_LIFETIME_MS / 1000 + 1)
        await self.ask("read")

    async def test_approved(self) -> None:
        request = await self.ask("read")
        device = await self.devices.approve(request.request_id, ADMIN)
        self.assertEqual((device.device_id, device.approved_via), (self.device.id, "operator"))
        self.assertTrue(self.counts(self.token()))
        await self.refused(self.devices.approve(request.request_id, ADMIN), "unknown requestId")

    async def test_rejected(self) -> None:
        request = await self.ask("read")
        await self.devices.reject(request.request_id)
        self.assertEqual(self.pending(), [])
        self.assertIsNone(self.devices.grants_of(self.device.id))
        self.restart()
        self.assertEqual(self.pending(), [])

    async def test_a_request_that_is_not_on_the_disk_is_not_answered(self) -> None:
        self.database.fail_next = StoreError("the disk is full")
        with self.assertRaises(StoreError):
            await self.ask("read")


class Tokens(RegistryTestCase):
    """Rotating and revoking."""

    async def test_rotated(self) -> None:
        old = await self.pair("read", "write")
        self.clock.advance(10)
        issued = await self.devices.rotate(self.device.id, "operator", None, ADMIN)
        self.assertEqual(issued.scopes, scopes("read", "write"))
        self.assertEqual(issued.issued_at_ms, self.clock.now_ms())
        self.assertEqual((self.counts(old), self.counts(issued.token)), (False, True))
        self.restart()
        self.assertEqual((self.counts(old), self.counts(issued.token)), (False, True))

    async def test_revoked_and_restored(self) -> None:
        old = await self.pair("read")
        await self.devices.revoke(self.device.id, "operator")
        for _ in range(2):
            self.assertFalse(self.counts(old))
            self.assertIsNone(self.devices.token_of(self.device.id, "operator"))
            self.restart()
        issued = await self.devices.rotate(self.device.id, "operator", None, ADMIN)
        self.assertEqual((self.counts(old), self.counts(issued.token)), (False, True))
        self.assertEqual(self.token(), issued.token)

    async def test_narrowed(self) -> None:
        await self.pair("read", "write")
        issued = await self.devices.rotate(self.device.id, "operator", ["operator.read"], ADMIN)
        self.assertEqual(issued.scopes, scopes("read"))
        grants = self.devices.grants_of(self.device.id)
        assert grants is not None
        self.assertEqual(grants["operator"].token_scopes, scopes("read"))

    async def test_not_beyond_what_the_device_has(self) -> None:
        await self.pair("read")
        await self.refused(
            self.devices.rotate(self.device.id, "operator", ["operator.write"], ADMIN),
            "operator.write was not approved",
        )

    async def test_who_is_not_there(self) -> None:
        await self.pair("read")
        for device_id, role in (("x", "operator"), (self.device.id, "node"), ("", "")):
            for work in (
                self.devices.rotate(device_id, role, None, ADMIN),
                self.devices.revoke(device_id, role),
            ):
                await self.refused(work, "unknown deviceId/role")
