"""The Gateway's own methods, as operators call them."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.gateway.support import MemoryGateway
from tests.protocol import recorded
from tests.support.memory import Device


class SystemMethodTests(SynchronousTestCase):
    """Calls over a connection to a Gateway in memory."""

    def setUp(self) -> None:
        self.gateway = MemoryGateway(self).start()
        self.admin = self.gateway.connect(device=Device(1))

    def ask(self, method: str, params: Any = None, **how: Any) -> Any:
        """The payload of an answer."""
        answer = (how.get("client") or self.admin).request(method, params)
        self.assertTrue(answer["ok"], answer)
        return answer["payload"]

    def with_scopes(self, *scopes: str) -> Any:
        return self.gateway.connect(device=Device(2), scopes=list(scopes))

    def test_health_takes_whatever_params(self) -> None:
        """As the original does: its clients send `probe` and more."""
        health = self.ask("health", {"probe": True, "x": 1})
        self.assertTrue(health["ok"])
        self.assertEqual(self.ask("health")["agents"], health["agents"])

    def test_status_counts_who_is_there(self) -> None:
        self.assertEqual(self.ask("status")["connections"], 1)
        self.gateway.connect(device=Device(2))
        self.assertEqual(self.ask("status")["connections"], 2)

    def test_who_may_ask_what(self) -> None:
        params: dict[str, Any] = {
            "health": None,
            "status": None,
            "system-presence": None,
            "system-event": {"text": "x"},
            "talk.mode": {"enabled": True},
        }
        allowed = {
            "operator.read": {"health", "status", "system-presence"},
            "operator.write": {"health", "status", "system-presence", "talk.mode"},
            "operator.talk": {"talk.mode"},
            "operator.pairing": set(),
            "operator.admin": set(params),
        }
        for number, (scope, methods) in enumerate(allowed.items(), 10):
            client = self.gateway.connect(device=Device(number), scopes=[scope])
            may = {name for name, given in params.items() if client.request(name, given)["ok"]}
            self.assertEqual(may, methods, scope)

    def test_presence_begins_with_the_gateway(self) -> None:
        self.gateway.connect(device=Device(2), client={"mode": "ui", "display_name": "Phone"})
        rows = self.ask("system-presence")
        self.assertEqual((rows[0]["mode"], rows[0]["reason"]), ("gateway", "self"))
        self.assertEqual(rows[1]["host"], "Phone")
        theirs = recorded.response(3, "system-presence")["payload"][0]
        self.assertLessEqual(set(theirs) - {"ip"}, set(rows[0]))

    def test_a_note(self) -> None:
        reader = self.with_scopes("operator.read")
        answer = self.ask("system-event", {"text": "Something happened."})
        self.assertEqual(answer, {"ok": True})
        self.gateway.advance(0.1)
        (event,) = reader.events("presence")
        note = event["payload"]["presence"][-1]
        self.assertEqual(note, {"text": "Something happened.", "ts": note["ts"]})
        self.assertEqual(self.ask("system-presence")[-1], note)

    def test_a_beacon_renews_its_row(self) -> None:
        beacon = {"text": "Phone active", "instanceId": "phone", "host": "Phone"}
        self.ask("system-event", {**beacon, "lastInputSeconds": 5})
        self.gateway.advance(60)
        self.ask("system-event", {**beacon, "lastInputSeconds": 7})
        rows = [row for row in self.ask("system-presence") if row.get("instanceId") == "phone"]
        self.assertEqual([row["lastInputSeconds"] for row in rows], [7])

    def test_a_note_fades(self) -> None:
        self.ask("system-event", {"text": "Something happened."})
        self.gateway.advance(240)
        self.assertEqual(len(self.ask("system-presence")), 2)
        self.gateway.advance(120)
        self.assertEqual(len(self.ask("system-presence")), 1)

    def test_notes_do_not_pile_up(self) -> None:
        for number in range(300):
            self.ask("system-event", {"text": f"note {number}"})
            self.admin.received.clear()
        rows = self.ask("system-presence")
        self.assertLessEqual(len(rows), 201)
        self.assertIn("note 299", [row["text"] for row in rows])

    def test_a_note_without_text(self) -> None:
        answer = self.admin.request("system-event", {"host": "x"})
        self.assertIn("text", answer["error"]["message"])

    def test_talk_mode(self) -> None:
        for phase, shown in (({"phase": "thinking"}, "thinking"), ({}, None)):
            mode = self.ask("talk.mode", {"enabled": True, **phase})
            self.assertEqual((mode["enabled"], mode["phase"]), (True, shown))
            self.assertEqual(mode["ts"], self.gateway.reactor.now_ms())
        for version in (3, 4):
            theirs = recorded.response(version, "talk.mode")["payload"]
            self.assertEqual(recorded.missing_fields(mode, theirs), [])
        self.assertEqual(len(self.admin.events("talk.mode")), 2)

    def test_nothing_of_it_is_a_secret(self) -> None:
        told = json.dumps([self.ask(name) for name in ("health", "status", "system-presence")])
        for secret in ("test-token", self.admin.hello["auth"]["deviceToken"]):
            self.assertNotIn(secret, told)
