"""From `connect` to `hello-ok`: who is let in, and what they are told."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from clawgw.events import RULES
from clawgw.protocol.catalog import method_types
from clawgw.trust.scopes import NODE
from tests.gateway.support import ALL_SCOPES, REMOTE, TOKEN, Client, MemoryGateway
from tests.protocol.recorded import flow
from tests.support.memory import Device

FOR_EVERYBODY = {name for name, rule in RULES.items() if rule.scope is None}
FOR_NODES = {name for name, rule in RULES.items() if rule.scope == NODE}


class HandshakeTestCase(SynchronousTestCase):
    """A Gateway in memory."""

    def setUp(self) -> None:
        self.gateway = MemoryGateway(self).start()

    def refused(self, client: Client, code: int = 1008, **how: Any) -> dict[str, Any]:
        """The error of a `connect` that is refused and closed."""
        answer = client.connect(**how)
        self.assertFalse(answer["ok"], answer)
        assert client.closed is not None
        self.assertEqual(client.closed[0], code)
        self.assertTrue(client.is_cut)
        self.assertEqual(len(self.gateway.service.broadcaster), 0)
        return answer["error"]

    def pair(self, device: Device, **how: Any) -> None:
        """Let a device in by connecting it from this host."""
        self.gateway.connect(device=device, **how).hang_up()


class HelloTests(HandshakeTestCase):
    """The answer."""

    def fields(self, hello: dict[str, Any]) -> dict[str, set[str]]:
        """Names of fields, but for the canvas, which a Gateway may have or not."""
        rest = {name for name in hello if name not in ("canvasHostUrl", "pluginSurfaceUrls")}
        parts = {"": rest, **{name: hello[name] for name in ("server", "snapshot", "policy")}}
        return {name: set(part) for name, part in parts.items()}

    def test_version_4(self) -> None:
        hello = self.gateway.connect(device=Device(), protocol=4).hello
        self.assertEqual(
            self.fields(hello),
            {
                "": {"type", "protocol", "server", "features", "snapshot", "policy", "auth"},
                "server": {"version", "connId", "bootId"},
                "snapshot": {
                    "presence", "health", "stateVersion", "uptimeMs", "configPath", "stateDir",
                    "sessionDefaults", "suspension", "authMode",
                },
                "policy": {"maxPayload", "maxBufferedBytes", "tickIntervalMs", "attachments"},
            },
        )  # fmt: skip
        self.assertEqual((hello["type"], hello["protocol"]), ("hello-ok", 4))
        self.assertEqual(hello["auth"]["role"], "operator")
        self.assertEqual(hello["auth"]["scopes"], list(ALL_SCOPES))
        self.assertEqual(hello["auth"]["method"], "token")
        self.assertGreater(len(hello["auth"]["deviceToken"]), 20)
        self.assertEqual(hello["snapshot"]["authMode"], "token")

    def test_version_3(self) -> None:
        hello = self.gateway.connect(device=Device(), protocol=3).hello
        self.assertEqual(
            self.fields(hello),
            {
                "": {"type", "protocol", "server", "features", "snapshot", "policy", "auth"},
                "server": {"version", "connId", "host"},
                "snapshot": {
                    "presence", "health", "stateVersion", "uptimeMs", "configPath", "stateDir",
                    "sessionDefaults",
                },
                "policy": {"maxPayload", "maxBufferedBytes", "tickIntervalMs"},
            },
        )  # fmt: skip
        self.assertEqual(hello["protocol"], 3)
        self.assertEqual(set(hello["auth"]), {"role", "scopes", "deviceToken", "issuedAtMs"})
        self.assertEqual(
            hello["policy"],
            {"maxPayload": 524288, "maxBufferedBytes": 1572864, "tickIntervalMs": 30000},
        )
        self.assertEqual(
            set(hello["snapshot"]["sessionDefaults"]),
            {"defaultAgentId", "mainKey", "mainSessionKey", "scope"},
        )

    def test_nothing_the_stock_clients_of_version_3_read_is_missing(self) -> None:
        """What the recorded `hello-ok` has, but for the canvas."""
        hello = self.gateway.connect(device=Device(), protocol=3).hello
        (recorded,) = [line.frame for line in flow(3, "connect") if line.frame["type"] == "res"]
        old = recorded["payload"]
        self.assertLessEqual(set(old) - set(hello), {"canvasHostUrl"})
        for part in ("server", "features", "snapshot", "auth", "policy"):
            self.assertLessEqual(set(old[part]), set(hello[part]), part)

    def test_the_highest_version_both_speak(self) -> None:
        for lowest, highest, chosen in ((3, 4, 4), (1, 3, 3), (4, 9, 4), (1, 99, 4)):
            client = Client(self.gateway)
            params = client.connect_params(protocol=highest)
            params["minProtocol"] = lowest
            answer = client.request("connect", params)
            self.assertEqual(answer["payload"]["protocol"], chosen)

    def test_auth_is_always_there_in_version_4_and_in_3_with_a_token_only(self) -> None:
        new = self.gateway.connect(protocol=4).hello
        self.assertEqual(new["auth"], {"role": "operator", "scopes": [], "method": "token"})
        self.assertNotIn("auth", self.gateway.connect(protocol=3).hello)

    def test_who_may_not_read_sees_nothing(self) -> None:
        for protocol in (3, 4):
            for how in ({}, {"device": Device(protocol), "scopes": ["operator.pairing"]}):
                snapshot = self.gateway.connect(protocol=protocol, **how).hello["snapshot"]
                self.assertEqual((snapshot["presence"], snapshot["health"]), ([], {}))
                for name in ("configPath", "stateDir", "authMode"):
                    self.assertNotIn(name, snapshot)

    def test_who_may_read_sees_the_state_but_no_paths(self) -> None:
        how = {"device": Device(), "scopes": ["operator.read"]}
        snapshot = self.gateway.connect(**how).hello["snapshot"]
        self.assertEqual(snapshot["presence"][0]["mode"], "gateway")
        self.assertTrue(snapshot["health"]["ok"])
        for name in ("configPath", "stateDir", "authMode"):
            self.assertNotIn(name, snapshot)

    def test_a_node_sees_nothing(self) -> None:
        hello = self.gateway.connect(device=Device(), role="node", scopes=["operator.read"]).hello
        self.assertEqual(hello["snapshot"]["presence"], [])
        self.assertEqual(hello["auth"]["scopes"], [])
        self.assertEqual(set(hello["features"]["events"]), FOR_EVERYBODY | FOR_NODES)

    def test_the_state_version_is_that_of_the_snapshot(self) -> None:
        client = self.gateway.connect(device=Device())
        before = client.hello["snapshot"]["stateVersion"]["presence"]
        self.gateway.connect(device=Device(2), client={"mode": "ui"})
        self.gateway.advance(0.1)
        (event,) = client.events("presence")
        self.assertEqual(event["stateVersion"]["presence"], before + 1)

    def test_a_connection_has_one_id_and_the_gateway_one_boot(self) -> None:
        one, two = (self.gateway.connect(device=Device(n)).hello["server"] for n in (1, 2))
        self.assertNotEqual(one["connId"], two["connId"])
        self.assertEqual(one["bootId"], two["bootId"])

    def test_the_same_device_has_the_same_token(self) -> None:
        tokens = {
            self.gateway.connect(device=Device()).hello["auth"]["deviceToken"] for _ in range(3)
        }
        self.assertEqual(len(tokens), 1)

    def test_uptime(self) -> None:
        self.gateway.advance(12)
        hello = self.gateway.connect(device=Device()).hello
        self.assertLess(abs(hello["snapshot"]["uptimeMs"] - 12_000), 100)


class FeatureTests(HandshakeTestCase):
    """What is promised is there, and what is there is promised."""

    def test_a_method_is_named_if_and_only_if_there_is_one(self) -> None:
        for protocol in (3, 4):
            client = self.gateway.connect(device=Device(), protocol=protocol)
            named = client.hello["features"]["methods"]
            self.assertEqual(len(named), len(set(named)))
            for method in {*named, *method_types(), "node.list", "no.such.method"} - {"connect"}:
                message = client.request(method, {"nonsense": 1}).get("error", {}).get("message")
                unknown = message == f"unknown method: {method}"
                self.assertEqual(unknown, method not in named, method)

    def test_events_are_those_the_client_may_hear(self) -> None:
        admin = self.gateway.connect(device=Device()).hello["features"]["events"]
        self.assertEqual(set(admin), set(RULES) - FOR_NODES)
        old = self.gateway.connect(device=Device(), protocol=3).hello["features"]["events"]
        new = {name for name, rule in RULES.items() if rule.min_version > 3}
        self.assertIn("sessions.changed", new)
        self.assertEqual(set(RULES) - set(old), new | FOR_NODES)
        nobody = self.gateway.connect().hello["features"]["events"]
        self.assertEqual(set(nobody), FOR_EVERYBODY)
        self.assertLessEqual({"connect.challenge", "tick", "shutdown"}, set(nobody))
        self.assertEqual(set(nobody) & {"agent", "chat", "presence", "health"}, set())


class RefusalTests(HandshakeTestCase):
    """Who is not let in, and how that is said."""

    def test_a_version_we_do_not_speak(self) -> None:
        for protocol in (1, 2, 5, 99):
            error = self.refused(Client(self.gateway), 1002, protocol=protocol)
            self.assertEqual(
                (error["code"], error["message"]), ("INVALID_REQUEST", "protocol mismatch")
            )
            self.assertEqual(error["details"]["expectedProtocol"], 4)

    def test_no_token_and_a_wrong_one(self) -> None:
        error = self.refused(Client(self.gateway), token=None)
        self.assertEqual(error["details"]["code"], "AUTH_TOKEN_MISSING")
        error = self.refused(Client(self.gateway), token="wrong")
        self.assertEqual(error["details"]["code"], "AUTH_TOKEN_MISMATCH")
        self.assertNotIn(TOKEN, json.dumps(error))

    def test_a_signature_for_another_connection(self) -> None:
        client, other = Client(self.gateway), Client(self.gateway)
        params = other.connect_params(Device())
        answer = client.request("connect", params)
        self.assertEqual(answer["error"]["details"]["code"], "DEVICE_AUTH_NONCE_MISMATCH")
        self.assertTrue(client.is_cut)

    def test_an_address_that_keeps_guessing_is_not_listened_to(self) -> None:
        for _ in range(5):
            self.refused(Client(self.gateway, REMOTE), token="wrong")
        error = self.refused(Client(self.gateway, REMOTE))
        self.assertEqual(error["details"]["code"], "AUTH_RATE_LIMITED")
        self.assertGreater(error["retryAfterMs"], 0)
        self.assertTrue(Client(self.gateway, "192.0.2.8").connect()["ok"])
        self.gateway.advance(error["retryAfterMs"] / 1000 + 0.1)
        self.assertTrue(Client(self.gateway, REMOTE).connect()["ok"])

    def test_a_page_from_elsewhere(self) -> None:
        page = Client(self.gateway, headers=["Origin: https://evil.example"])
        error = self.refused(page, device=Device())
        self.assertEqual(error["details"]["code"], "CONTROL_UI_ORIGIN_NOT_ALLOWED")
        self.assertIn("gateway.controlUi.allowedOrigins", error["message"])

    def test_a_page_under_a_name_that_points_here(self) -> None:
        page = Client(self.gateway, headers=["Origin: http://evil.example"], host="evil.example")
        error = self.refused(page, device=Device())
        self.assertEqual(error["details"]["code"], "CONTROL_UI_ORIGIN_NOT_ALLOWED")

    def test_our_own_page(self) -> None:
        page = Client(self.gateway, headers=["Origin: http://127.0.0.1:18789"])
        self.assertTrue(page.connect(Device())["ok"])

    def test_a_page_the_operator_lists(self) -> None:
        self.gateway.stop()
        origins = {"allowedOrigins": ["https://chat.example"]}
        self.gateway = MemoryGateway(self, {"gateway": {"controlUi": origins}}).start()
        page = Client(self.gateway, headers=["Origin: https://chat.example"])
        self.assertTrue(page.connect(Device())["ok"])

    def test_a_page_without_a_key(self) -> None:
        page = Client(self.gateway, headers=["Origin: http://127.0.0.1:18789"])
        error = self.refused(page)
        self.assertEqual(error["code"], "NOT_PAIRED")
        self.assertEqual(error["details"]["code"], "CONTROL_UI_DEVICE_IDENTITY_REQUIRED")


class PairingTests(HandshakeTestCase):
    """Devices from elsewhere wait for an operator."""

    def setUp(self) -> None:
        super().setUp()
        self.operator = self.gateway.connect(device=Device(1))
        self.phone = Device(2)

    def ask(self, **how: Any) -> dict[str, Any]:
        """The phone's attempt from elsewhere; the error."""
        answer = Client(self.gateway, REMOTE).connect(self.phone, **how)
        self.assertFalse(answer["ok"])
        return answer["error"]

    def test_it_is_told_what_to_do(self) -> None:
        error = self.ask()
        self.assertEqual(error["code"], "NOT_PAIRED")
        details = error["details"]
        self.assertEqual((details["code"], details["reason"]), ("PAIRING_REQUIRED", "not-paired"))
        self.assertIn(details["requestId"], details["remediationHint"])

    def test_only_operators_that_may_decide_hear_of_it(self) -> None:
        reader = self.gateway.connect(device=Device(3), scopes=["operator.read"])
        decider = self.gateway.connect(device=Device(4), scopes=["operator.pairing"])
        nobody = self.gateway.connect()
        node = self.gateway.connect(device=Device(5), role="node")
        request_id = self.ask()["details"]["requestId"]
        for client in (self.operator, decider):
            (event,) = client.events("device.pair.requested")
            self.assertEqual(event["payload"]["requestId"], request_id)
            self.assertEqual(event["payload"]["deviceId"], self.phone.id)
            self.assertEqual(event["payload"]["remoteIp"], REMOTE)
        for client in (reader, nobody, node):
            self.assertEqual(client.events("device.pair.requested"), [])

    def test_asking_again_is_no_news(self) -> None:
        first, second = self.ask(), self.ask()
        self.assertEqual(first["details"]["requestId"], second["details"]["requestId"])
        self.assertEqual(len(self.operator.events("device.pair.requested")), 1)

    def test_approved_it_comes_in(self) -> None:
        request_id = self.ask(scopes=["operator.read"])["details"]["requestId"]
        approved = self.operator.request("device.pair.approve", {"requestId": request_id})
        self.assertTrue(approved["ok"])
        (event,) = self.operator.events("device.pair.resolved")
        self.assertEqual(event["payload"]["decision"], "approved")
        phone = self.gateway.connect(address=REMOTE, device=self.phone, scopes=["operator.read"])
        token = phone.hello["auth"]["deviceToken"]
        again = Client(self.gateway, REMOTE)
        answer = again.connect(self.phone, token=None, device_token=token, scopes=["operator.read"])
        self.assertEqual(answer["payload"]["auth"]["method"], "device-token")
        more = Client(self.gateway, REMOTE).connect(self.phone)
        self.assertEqual(more["error"]["details"]["reason"], "scope-upgrade")

    def test_rejected_it_asks_anew(self) -> None:
        request_id = self.ask()["details"]["requestId"]
        self.operator.request("device.pair.reject", {"requestId": request_id})
        (event,) = self.operator.events("device.pair.resolved")
        self.assertEqual(event["payload"]["decision"], "rejected")
        self.assertNotEqual(self.ask()["details"]["requestId"], request_id)

    def test_a_request_nobody_decides_expires(self) -> None:
        request_id = self.ask()["details"]["requestId"]
        for _ in range(6):
            self.gateway.advance(60)
        (event,) = self.operator.events("device.pair.resolved")
        self.assertEqual(event["payload"]["decision"], "expired")
        late = self.operator.request("device.pair.approve", {"requestId": request_id})
        self.assertEqual(late["error"]["message"], "unknown requestId")


class TokenTests(HandshakeTestCase):
    """A token that is rotated or revoked ends the connections made with it."""

    def setUp(self) -> None:
        super().setUp()
        self.operator = self.gateway.connect(device=Device(1))
        self.phone = [self.gateway.connect(device=Device(2)) for _ in range(2)]
        self.node = self.gateway.connect(device=Device(2), role="node")
        self.grant = {"deviceId": Device(2).id, "role": "operator"}

    def assert_cut(self) -> None:
        for client in self.phone:
            client.read()
            self.assertEqual(client.closed, (1008, "device token changed"))
            self.assertTrue(client.is_cut)
        for client in (self.operator, self.node):
            self.assertFalse(client.is_cut)
            client.read()
            self.assertIsNone(client.closed)

    def test_revoked(self) -> None:
        token = self.phone[0].hello["auth"]["deviceToken"]
        self.assertTrue(self.operator.request("device.token.revoke", self.grant)["ok"])
        self.assert_cut()
        answer = Client(self.gateway).connect(Device(2), token=None, device_token=token)
        self.assertEqual(answer["error"]["details"]["code"], "AUTH_DEVICE_TOKEN_MISMATCH")

    def test_rotated(self) -> None:
        old = self.phone[0].hello["auth"]["deviceToken"]
        answer = self.operator.request("device.token.rotate", self.grant)
        self.assertTrue(answer["ok"])
        self.assertNotIn("token", answer["payload"], "it is the device's, nobody else's")
        self.assert_cut()
        refused = Client(self.gateway).connect(Device(2), token=None, device_token=old)
        self.assertFalse(refused["ok"])
        new = self.gateway.connect(device=Device(2)).hello["auth"]["deviceToken"]
        self.assertNotEqual(new, old)

    def test_who_rotates_its_own_stays(self) -> None:
        asker, other = self.phone
        answer = asker.request("device.token.rotate", self.grant)
        self.assertTrue(answer["payload"]["token"])
        other.read()
        self.assertTrue(other.is_cut)
        self.assertTrue(asker.request("health")["ok"])


class EventTests(HandshakeTestCase):
    """What connected clients hear of the Gateway itself."""

    def setUp(self) -> None:
        super().setUp()
        self.client = self.gateway.connect(device=Device(1))

    def test_somebody_with_a_face_comes_and_goes(self) -> None:
        app = self.gateway.connect(
            device=Device(2), client={"mode": "ui", "display_name": "Ada's phone"}
        )
        self.gateway.advance(0.1)
        (event,) = self.client.events("presence")
        rows = event["payload"]["presence"]
        self.assertEqual([row["mode"] for row in rows], ["gateway", "ui"])
        self.assertEqual(rows[1]["host"], "Ada's phone")
        self.assertEqual(set(event["stateVersion"]), {"presence", "health"})
        app.hang_up()
        self.gateway.advance(0.1)
        last = self.client.events("presence")[-1]
        self.assertEqual(len(last["payload"]["presence"]), 1)

    def test_several_at_once_are_one_event(self) -> None:
        for number in range(2, 7):
            self.gateway.connect(device=Device(number), client={"mode": "webchat"})
        self.gateway.advance(0.1)
        (event,) = self.client.events("presence")
        self.assertEqual(len(event["payload"]["presence"]), 6)

    def test_commands_have_no_face(self) -> None:
        for number, mode in enumerate(("cli", "backend", "probe", "test"), 2):
            self.gateway.connect(device=Device(number), client={"mode": mode})
        self.gateway.advance(1)
        self.assertEqual(self.client.events("presence"), [])
        self.assertEqual(len(self.client.request("system-presence")["payload"]), 1)

    def test_ticks(self) -> None:
        self.gateway.advance(95)
        ticks = self.client.events("tick")
        self.assertEqual(len(ticks), 3)
        times = [tick["payload"]["ts"] for tick in ticks]
        for earlier, later in pairwise(times):
            self.assertLess(abs(later - earlier - 30_000), 200)

    def test_health_every_minute(self) -> None:
        self.gateway.advance(61)
        (event,) = self.client.events("health")
        self.assertTrue(event["payload"]["ok"])
        self.assertEqual(event["payload"]["defaultAgentId"], "main")
        self.assertEqual(set(event["stateVersion"]), {"presence", "health"})

    def test_every_connection_counts_its_own_events(self) -> None:
        self.gateway.advance(31)
        late = self.gateway.connect(device=Device(2))
        self.gateway.advance(60)
        for client in (self.client, late):
            numbers = [one["seq"] for one in client.read() if "seq" in one]
            self.assertEqual(numbers, list(range(1, len(numbers) + 1)))

    def test_shutdown_is_announced_before_the_close(self) -> None:
        nobody = self.gateway.connect()
        self.gateway.stop()
        for client in (self.client, nobody):
            (event,) = client.events("shutdown")
            self.assertTrue(event["payload"]["reason"])
            self.assertEqual(client.closed, (1012, "service restart"))

    def test_talk_mode_is_told_to_the_others(self) -> None:
        other = self.gateway.connect(device=Device(2))
        mode = self.client.request("talk.mode", {"enabled": True, "phase": "listening"})
        (event,) = other.events("talk.mode")
        self.assertEqual(event["payload"], mode["payload"])

    def test_pairing_shows_who_is_connected(self) -> None:
        self.pair(Device(2))
        listed = self.client.request("device.pair.list")["payload"]["paired"]
        self.assertEqual(
            {one["deviceId"]: one["connected"] for one in listed},
            {Device(1).id: True, Device(2).id: False},
        )


class LogTests(HandshakeTestCase):
    """What is written down of a connection, and what never is."""

    def test_lines(self) -> None:
        log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        client = self.gateway.connect(device=Device(), client={"mode": "ui"})
        token = client.hello["auth"]["deviceToken"]
        Client(self.gateway).connect(token="not-the-token")
        Client(self.gateway).send(b"hello")
        text = "\n".join(formatEvent(event) for event in log)
        conn_id = client.hello["server"]["connId"]
        self.assertIn(f"{conn_id}: connected test 1.0 ui as operator from 127.0.0.1", text)
        self.assertIn("gateway token mismatch", text)
        self.assertIn("first frame refused", text)
        for secret in (TOKEN, token, "not-the-token", Device().public_key):
            self.assertNotIn(secret, text)

    def test_a_client_cannot_write_lines_of_its_own(self) -> None:
        log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        version = "1\nforged: line\x1b[2J" + "x" * 5000
        self.assertTrue(Client(self.gateway).connect(client={"version": version})["ok"])
        for event in log:
            line = formatEvent(event)
            self.assertNotIn("\n", line)
            self.assertNotIn("\x1b", line)
            self.assertLess(len(line), 500)

    def test_a_loop_of_connections_does_not_flood_it(self) -> None:
        log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        for _ in range(60):
            self.gateway.connect().hang_up()
        self.gateway.advance(1.1)
        lines = [formatEvent(event) for event in log]
        self.assertLess(len([line for line in lines if "connected" in line]), 15)
        self.assertTrue(any("50 more connections" in line for line in lines))
