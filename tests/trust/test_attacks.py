"""People who want in, or more than they were given: each of these fails.

Decision, registry and handshake together, without a socket. Every test is the story of one
attempt, and says what would have been gained.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from clawgw.gateway.handshake import Denied, Gatekeeper, Granted
from clawgw.protocol import devices as wire
from clawgw.protocol.connect import ClientId, ClientMode, ConnectAuth, ConnectParams
from clawgw.protocol.errors import RequestError
from clawgw.trust.backoff import AuthBackoff, BackoffPolicy
from clawgw.trust.connect import Secrets
from clawgw.trust.devices import DeviceRegistry
from clawgw.trust.methods import DeviceMethods
from clawgw.trust.peers import Peer
from clawgw.trust.tokens import TokenMint
from tests.support.memory import (
    NONCE,
    Caller,
    Device,
    MemoryDatabase,
    MsClock,
    RecordedEvents,
    client_info,
    connect_params,
    scopes,
    token_auth,
)
from tests.trust.admission import ADMIN, LOCAL, READ, REMOTE, SECRETS, TOKEN, WRITE, through

PAIRING = "operator.pairing"
OPEN = Secrets("none")


class AttackTestCase(TestCase):
    """A Gateway's front door."""

    def setUp(self) -> None:
        self.clock = MsClock()
        self.events = RecordedEvents()
        self.devices = DeviceRegistry(MemoryDatabase(), TokenMint(b"k" * 32), self.clock.now_ms)
        self.cut: list[tuple[str, str, str | None]] = []
        self.methods = DeviceMethods(
            self.devices,
            self.events,
            lambda _: False,
            lambda *args: self.cut.append(args),
            self.clock.now_ms,
        )
        self.guard_with(SECRETS)
        self.device = Device(7)

    def guard_with(self, secrets: Secrets) -> None:
        self.backoff = AuthBackoff(BackoffPolicy())
        self.gate = Gatekeeper(secrets, self.devices, self.backoff, self.events, self.clock.now_ms)

    async def knock(self, params: ConnectParams, peer: Peer = REMOTE) -> Granted | Denied:
        return await self.gate.admit(params, peer, NONCE)

    async def let_in(self, params: ConnectParams, peer: Peer = LOCAL) -> Granted:
        verdict = await self.knock(params, peer)
        assert isinstance(verdict, Granted), verdict
        return verdict

    async def kept_out(self, params: ConnectParams, peer: Peer = REMOTE) -> dict[str, Any]:
        verdict = await self.knock(params, peer)
        assert isinstance(verdict, Denied), verdict
        assert isinstance(verdict.error.details, dict)
        return verdict.error.details

    def hello(self, *asked: str, device: Device | None = None, **more: Any) -> ConnectParams:
        """A signed connect at this moment, with the shared token unless told otherwise."""
        fields: dict[str, Any] = {"auth": token_auth(TOKEN), "scopes": list(asked)}
        one = device or self.device
        return one.connect(signed_at_ms=self.clock.now_ms(), **(fields | more))

    async def fails(self, work: Any, says: str) -> None:
        with self.assertRaises(RequestError) as caught:
            await work
        self.assertIn(says, caught.exception.message)

    async def pair(self, *asked: str, device: Device | None = None, role: str = "operator") -> str:
        """A device that was let in here, properly; returns its token."""
        granted = await self.let_in(self.hello(*asked, device=device, role=role))
        assert granted.token is not None
        return granted.token.token


class Claims(AttackTestCase):
    """What a client says of itself."""

    async def test_scopes_claimed_without_a_device(self) -> None:
        for asked in ([ADMIN], list(scopes("read", "write", "approvals", "pairing"))):
            granted = await self.let_in(connect_params(auth=token_auth(TOKEN), scopes=asked))
            self.assertEqual(granted.admitted.scopes, ())
            self.assertIsNone(granted.token)

    async def test_the_stock_command_line_without_its_device_elsewhere_than_at_home(self) -> None:
        """It needs this host, the shared secret, and no page; its name alone is nothing."""
        page = LOCAL._replace(origin="http://127.0.0.1:18789")
        for name, mode in (("cli", "cli"), ("gateway-client", "backend")):
            fields = {"client": client_info(id=name, mode=mode), "scopes": [ADMIN]}
            params = connect_params(auth=token_auth(TOKEN), **fields)
            self.assertEqual((await self.let_in(params, REMOTE)).admitted.scopes, ())
            details = await self.kept_out(params, page)
            self.assertEqual(details["code"], "CONTROL_UI_DEVICE_IDENTITY_REQUIRED")
            wrong = connect_params(auth=token_auth("guess"), **fields)
            self.assertEqual((await self.kept_out(wrong, LOCAL))["code"], "AUTH_TOKEN_MISMATCH")
            as_node = connect_params(auth=token_auth(TOKEN), role="node", **fields)
            self.assertEqual((await self.kept_out(as_node))["code"], "DEVICE_IDENTITY_REQUIRED")
        for name, mode in (("cli", "backend"), ("gateway-client", "cli"), ("test", "cli")):
            params = connect_params(
                auth=token_auth(TOKEN), client=client_info(id=name, mode=mode), scopes=[ADMIN]
            )
            self.assertEqual((await self.let_in(params)).admitted.scopes, ())

    async def test_names_and_modes_that_sound_trustworthy(self) -> None:
        self.guard_with(OPEN)
        for mode in ClientMode.__args__:
            for name in ClientId.__args__:
                client = client_info(id=name, mode=mode)
                details = await self.kept_out(connect_params(client=client), LOCAL)
                self.assertEqual(details["code"], "DEVICE_IDENTITY_REQUIRED")
        details = await self.kept_out(
            self.hello(client=client_info(id="gateway-client", mode="backend")), REMOTE
        )
        self.assertEqual(details["code"], "PAIRING_REQUIRED")

    async def test_permissions_and_caps_open_nothing(self) -> None:
        params = connect_params(
            auth=token_auth(TOKEN),
            permissions={"operator.admin": True},
            caps=["operator.admin"],
            commands=["operator.admin"],
        )
        self.assertEqual((await self.let_in(params)).admitted.scopes, ())

    async def test_a_node_that_asks_for_an_operators_scopes(self) -> None:
        granted = await self.let_in(self.hello(ADMIN, role="node"))
        self.assertEqual(granted.admitted.scopes, ())
        assert granted.token is not None
        self.assertEqual(granted.token.scopes, ())
        as_operator = self.hello(auth=ConnectAuth(device_token=granted.token.token))
        details = await self.kept_out(as_operator, LOCAL)
        self.assertEqual(details["code"], "AUTH_DEVICE_TOKEN_MISMATCH")


class Proxies(AttackTestCase):
    """Somebody far away who would be paired on the spot if it looked local."""

    async def test_headers_added_by_the_client(self) -> None:
        self.guard_with(OPEN)
        for header in ("x-forwarded-for", "x-real-ip", "forwarded"):
            peer = through({"host": "localhost", header: "127.0.0.1"}, address="203.0.113.9")
            details = await self.kept_out(self.hello(READ), peer)
            self.assertEqual(details["code"], "PAIRING_REQUIRED")

    async def test_through_a_proxy_of_this_host(self) -> None:
        self.guard_with(OPEN)
        for header in ("x-forwarded-for", "x-forwarded-proto", "via", "cf-connecting-ip"):
            peer = through({"host": "localhost:18789", header: "127.0.0.1"})
            details = await self.kept_out(self.hello(READ), peer)
            self.assertEqual(details["code"], "PAIRING_REQUIRED")

    async def test_through_a_trusted_proxy_with_a_chain_made_up(self) -> None:
        self.guard_with(OPEN)
        for chain in ("127.0.0.1, 203.0.113.9", "127.0.0.1, garbage", "::1,203.0.113.9"):
            headers = {"host": "localhost", "x-forwarded-for": chain, "x-real-ip": "127.0.0.1"}
            peer = through(headers, trusted_proxies=("127.0.0.1",))
            await self.kept_out(self.hello(READ), peer)

    async def test_dns_rebinding(self) -> None:
        """A page of evil.example whose name points at 127.0.0.1, in the owner's browser."""
        self.guard_with(OPEN)
        headers = {"host": "evil.example:18789", "origin": "http://evil.example:18789"}
        details = await self.kept_out(self.hello(READ), through(headers))
        self.assertEqual(details["code"], "CONTROL_UI_ORIGIN_NOT_ALLOWED")
        for listed in ((), ("http://evil.example:18789",)):
            peer = through(headers, allowed_origins=listed)
            self.assertFalse(peer.is_local)
            await self.kept_out(self.hello(READ), peer)

    async def test_a_page_of_another_local_server(self) -> None:
        self.guard_with(OPEN)
        headers = {"host": "localhost:18789", "origin": "http://localhost:3000"}
        details = await self.kept_out(self.hello(READ), through(headers))
        self.assertEqual(details["code"], "CONTROL_UI_ORIGIN_NOT_ALLOWED")


class Replays(AttackTestCase):
    """Frames of other connections."""

    async def test_a_recorded_connect(self) -> None:
        params = self.hello(READ)
        await self.let_in(params)
        verdict = await self.gate.admit(params, LOCAL, "nonce of the next connection")
        assert isinstance(verdict, Denied)
        self.assertEqual(verdict.error.details["code"], "DEVICE_AUTH_NONCE_MISMATCH")

    async def test_a_recorded_connect_without_a_nonce_from_elsewhere(self) -> None:
        params = self.hello(READ, version=1, nonce=None)
        await self.let_in(params, LOCAL)
        details = await self.kept_out(params, REMOTE)
        self.assertEqual(details["code"], "DEVICE_AUTH_NONCE_REQUIRED")

    async def test_an_old_one_even_here(self) -> None:
        params = self.hello(READ, version=1, nonce=None)
        self.clock.advance(601)
        details = await self.kept_out(params, LOCAL)
        self.assertEqual(details["code"], "DEVICE_AUTH_SIGNATURE_EXPIRED")

    async def test_somebody_elses_device_with_ones_own_key(self) -> None:
        await self.pair(ADMIN)
        thief = Device(666)
        for proof in (
            {"id": self.device.id},
            {"id": self.device.id, "public_key": self.device.public_key},
        ):
            await self.kept_out(self.hello(ADMIN, device=thief, proof=proof), REMOTE)


class Guessing(AttackTestCase):
    """Trying secrets."""

    async def guess(self, **more: Any) -> dict[str, Any]:
        return await self.kept_out(self.hello(auth=token_auth("guess"), **more))

    async def test_it_gets_slow_and_the_right_one_is_not_heard_either(self) -> None:
        for _ in range(5):
            await self.guess()
        details = await self.kept_out(self.hello(READ))
        self.assertEqual(details["code"], "AUTH_RATE_LIMITED")

    async def test_while_waiting_nothing_counts(self) -> None:
        for _ in range(200):
            await self.guess()
        self.clock.advance(1.001)
        details = await self.kept_out(self.hello(READ))
        self.assertEqual(details["code"], "PAIRING_REQUIRED")

    async def test_a_good_device_token_does_not_buy_more_guesses(self) -> None:
        """The holder of a weak device token would wipe out its failures after every few guesses."""
        token = await self.pair(READ)
        for _ in range(4):
            await self.guess()
        await self.let_in(self.hello(READ, auth=ConnectAuth(device_token=token)), REMOTE)
        await self.guess()
        details = await self.guess()
        self.assertEqual(details["code"], "AUTH_RATE_LIMITED")

    async def test_without_a_signature(self) -> None:
        for _ in range(5):
            await self.kept_out(connect_params(auth=token_auth("guess")))
        details = await self.kept_out(connect_params(auth=token_auth(TOKEN)))
        self.assertEqual(details["code"], "AUTH_RATE_LIMITED")

    async def test_unpaired_people_learn_nothing_before_they_know_the_secret(self) -> None:
        await self.pair(ADMIN)
        for device in (self.device, Device(8)):
            params = self.hello(ADMIN, device=device, auth=ConnectAuth())
            details = await self.kept_out(params)
            self.assertEqual(details["code"], "AUTH_TOKEN_MISSING")
            self.assertFalse({"approvedScopes", "approvedRoles", "requestId"} & set(details))
        self.assertEqual(self.events.named("device.pair.requested"), [])


class Escalation(AttackTestCase):
    """More than was given, with what was given."""

    def caller(self, *names: str, device: Device | None = None) -> Caller:
        one = device.id if device else None
        return Caller(scopes=frozenset(scopes(*names)), device_id=one)

    async def ask(self, *asked: str, device: Device | None = None) -> str:
        request_id = (await self.kept_out(self.hello(*asked, device=device)))["requestId"]
        assert isinstance(request_id, str)
        return request_id

    def approval(self, caller: Caller, request_id: str) -> Any:
        return self.methods.approve(caller, wire.PairDecisionParams(request_id=request_id))

    def rotation(self, caller: Caller, device: Device, wanted: list[str] | None = None) -> Any:
        more = {} if wanted is None else {"scopes": wanted}
        params = wire.TokenRotateParams(device_id=device.id, role="operator", **more)
        return self.methods.rotate(caller, params)

    async def test_approving_more_than_one_has(self) -> None:
        for asked in (ADMIN, WRITE, "operator.approvals"):
            request_id = await self.ask(asked)
            approver = self.caller("pairing", "read", device=Device(9))
            await self.fails(self.approval(approver, request_id), f"missing scope: {asked}")
            self.assertIsNone(self.devices.grants_of(self.device.id))

    async def test_approving_ones_own_upgrade(self) -> None:
        await self.pair(PAIRING)
        request_id = await self.ask(PAIRING, ADMIN)
        own = self.caller("pairing", device=self.device)
        await self.fails(self.approval(own, request_id), "missing scope: operator.admin")

    async def test_rotating_ones_own_token_to_more(self) -> None:
        await self.pair(PAIRING)
        own = self.caller("pairing", device=self.device)
        await self.fails(self.rotation(own, self.device, [ADMIN]), "was not approved")

    async def test_rotating_a_narrowed_token_back(self) -> None:
        await self.pair(PAIRING, ADMIN)
        await self.rotation(self.caller("admin"), self.device, [PAIRING])
        own = self.caller("pairing", device=self.device)
        await self.fails(self.rotation(own, self.device, [ADMIN]), "missing scope: operator.admin")

    async def test_rotating_an_admins_token_to_have_it(self) -> None:
        admin = Device(9)
        await self.pair(ADMIN, device=admin)
        own = self.caller("pairing", device=self.device)
        await self.fails(self.rotation(own, admin), "missing scope: operator.admin")
        told = await self.rotation(own, admin, [])
        self.assertEqual(told.token_delivery, "withheld-cross-device")
        self.assertNotIsInstance(told.token, str)

    async def test_without_a_device_nobody_is_told_a_token(self) -> None:
        await self.pair(READ)
        told = await self.rotation(self.caller("admin"), self.device)
        self.assertEqual(told.token_delivery, "withheld-cross-device")
        self.assertNotIsInstance(told.token, str)

    async def test_a_small_approval_does_not_give_back_what_was_taken_from_a_token(self) -> None:
        """An admin took admin from a token; an operator that has no admin approves `write`."""
        await self.pair(READ, ADMIN)
        await self.rotation(self.caller("admin"), self.device, [READ])
        token = self.devices.token_of(self.device.id, "operator")
        assert token is not None
        auth = ConnectAuth(device_token=token.token)
        request_id = (await self.kept_out(self.hello(READ, WRITE, auth=auth)))["requestId"]
        await self.approval(self.caller("pairing", "write"), request_id)
        granted = await self.let_in(self.hello(auth=auth), REMOTE)
        self.assertEqual(granted.admitted.scopes, (READ, WRITE))
        details = await self.kept_out(self.hello(ADMIN, auth=auth))
        self.assertEqual(details["reason"], "scope-upgrade")

    async def test_a_small_approval_does_not_revive_all_of_a_revoked_token(self) -> None:
        await self.pair(READ, "operator.approvals")
        await self.methods.revoke(
            self.caller("admin"), wire.TokenRevokeParams(device_id=self.device.id, role="operator")
        )
        request_id = await self.ask("operator.questions")
        await self.approval(self.caller("pairing", "questions"), request_id)
        token = self.devices.token_of(self.device.id, "operator")
        assert token is not None
        self.assertEqual(token.scopes, ("operator.questions",))

    async def test_a_revoked_token_does_not_come_back_by_asking_for_more(self) -> None:
        """A local device would get a new one by asking for any scope it does not have yet."""
        await self.pair(READ)
        await self.methods.revoke(
            self.caller("admin"), wire.TokenRevokeParams(device_id=self.device.id, role="operator")
        )
        for asked in ((READ,), (READ, WRITE), ("made.up",)):
            granted = await self.let_in(self.hello(*asked))
            self.assertIsNone(granted.token)

    async def test_a_request_that_changes_between_the_look_and_the_click(self) -> None:
        """It asks for little, an admin looks, it asks for all, the admin approves what it saw."""
        seen = await self.ask(READ)
        wanted = await self.ask(READ, ADMIN)
        await self.fails(self.approval(self.caller("admin"), seen), "unknown requestId")
        self.assertNotEqual(seen, wanted)
        self.assertIsNone(self.devices.grants_of(self.device.id))

    async def test_rejected_or_unknown_people_stay_out(self) -> None:
        request_id = await self.ask(READ)
        await self.methods.reject(
            self.caller("pairing"), wire.PairDecisionParams(request_id=request_id)
        )
        await self.kept_out(self.hello(READ))

    async def test_connections_with_the_old_token_end(self) -> None:
        await self.pair(READ)
        await self.rotation(self.caller("admin"), self.device)
        await self.methods.revoke(
            self.caller("admin"), wire.TokenRevokeParams(device_id=self.device.id, role="operator")
        )
        self.assertEqual(self.cut, [(self.device.id, "operator", "conn-1")] * 2)
