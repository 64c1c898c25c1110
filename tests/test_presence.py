"""Who is there."""

from __future__ import annotations

import json
from typing import Any

from msgspec import UNSET
from twisted.trial.unittest import SynchronousTestCase

from clawgw.presence import BEACON_LIFETIME_MS, MAX_BEACONS, Presence
from clawgw.protocol.system import SystemEventParams
from tests.support.memory import Caller, MsClock, client_info


def visitor(conn_id: str = "1", device_id: str | None = "d", **more: Any) -> Caller:
    """An app's connection."""
    client = client_info(**({"mode": "ui", "display_name": "Phone"} | more.pop("client", {})))
    return Caller(conn_id=conn_id, device_id=device_id, client=client, **more)


class PresenceTestCase(SynchronousTestCase):
    """The list."""

    def setUp(self) -> None:
        self.clock = MsClock()
        self.changes = 0
        self.presence = Presence(self.clock.now_ms, "1.2.3", "instance", self.changed)

    def changed(self) -> None:
        self.changes += 1

    def others(self) -> list[Any]:
        return self.presence.entries()[1:]

    def note(self, text: str = "note", **more: Any) -> None:
        self.presence.beacon(SystemEventParams(text=text, **more))

    def test_the_gateway_is_first(self) -> None:
        (me,) = self.presence.entries()
        self.assertEqual((me.mode, me.reason, me.version), ("gateway", "self", "1.2.3"))

    def test_coming_and_going(self) -> None:
        self.presence.arrived(visitor(address="203.0.113.9"))
        (row,) = self.others()
        self.assertEqual((row.host, row.ip, row.device_id), ("Phone", "203.0.113.9", "d"))
        self.assertEqual((row.mode, row.reason, row.roles), ("ui", "connect", ["operator"]))
        self.presence.left(visitor())
        self.assertEqual(self.others(), [])
        self.assertEqual((self.changes, self.presence.edition), (2, 3))

    def test_addresses_of_this_host_are_not_shown(self) -> None:
        for address in ("127.0.0.1", "::1"):
            self.presence.arrived(visitor(address=address))
            self.assertIs(self.others()[0].ip, UNSET)

    def test_programs_without_a_face_have_no_row(self) -> None:
        for mode in ("cli", "probe", "test", "backend"):
            self.presence.arrived(visitor(client={"mode": mode}))
            self.presence.left(visitor(client={"mode": mode}))
        self.assertEqual((self.others(), self.changes), ([], 0))

    def test_a_device_that_is_there_twice_is_one_row(self) -> None:
        self.presence.arrived(visitor("1"))
        self.presence.arrived(visitor("2", role="node"))
        (row,) = self.others()
        self.assertEqual(row.roles, ["node", "operator"])
        self.presence.left(visitor("2", role="node"))
        (row,) = self.others()
        self.assertEqual(row.roles, ["operator"])
        self.presence.left(visitor("2"))
        self.assertEqual(len(self.others()), 1)
        self.presence.left(visitor("1"))
        self.assertEqual(self.others(), [])

    def test_without_a_device_by_instance_or_connection(self) -> None:
        self.presence.arrived(visitor("1", None, client={"instance_id": "i"}))
        self.presence.arrived(visitor("2", None, client={"instance_id": "i"}))
        self.presence.arrived(visitor("3", None))
        self.presence.arrived(visitor("4", None))
        self.assertEqual(len(self.others()), 3)

    def test_the_latest_first(self) -> None:
        for name in ("a", "b", "c"):
            self.clock.advance(1)
            self.presence.arrived(visitor(name, name))
        self.assertEqual([row.device_id for row in self.others()], ["c", "b", "a"])

    def test_a_beacon_of_somebody_who_is_there(self) -> None:
        self.presence.arrived(visitor())
        self.clock.advance(BEACON_LIFETIME_MS / 1000 + 1)
        self.note("idle", device_id="d", last_input_seconds=9)
        self.note("idle", device_id="other")
        (one, two) = self.others()
        rows = {row.device_id: row for row in (one, two)}
        self.assertEqual((rows["d"].text, rows["d"].last_input_seconds), ("idle", 9))
        self.assertEqual((rows["d"].host, rows["d"].roles), ("Phone", ["operator"]))
        self.presence.left(visitor())
        self.assertEqual([row.device_id for row in self.others()], ["other"])

    def test_a_beacon_does_not_give_roles_to_who_comes(self) -> None:
        self.note(device_id="d", roles=["node", "king"])
        self.presence.arrived(visitor())
        self.assertEqual(self.others()[0].roles, ["operator"])

    def test_beacons_fade(self) -> None:
        self.note()
        self.clock.advance(BEACON_LIFETIME_MS / 1000)
        self.presence.refresh()
        self.assertEqual(len(self.others()), 1)
        edition = self.presence.edition
        self.clock.advance(0.001)
        self.presence.refresh()
        self.assertEqual((self.others(), self.presence.edition), ([], edition + 1))

    def test_people_do_not_fade(self) -> None:
        self.presence.arrived(visitor())
        self.clock.advance(BEACON_LIFETIME_MS / 1000 * 10)
        self.presence.refresh()
        self.assertEqual(len(self.others()), 1)

    def test_beacons_are_bounded_and_the_latest_are_kept(self) -> None:
        self.presence.arrived(visitor())
        for number in range(MAX_BEACONS + 50):
            self.clock.advance(0.01)
            self.note(str(number))
        texts = [row.text for row in self.others()]
        self.assertEqual(len(texts), MAX_BEACONS + 1)
        self.assertEqual(texts[0], str(MAX_BEACONS + 49))
        self.assertNotIn("49", texts)

    def test_the_same_note_again_is_the_same_row(self) -> None:
        self.note("a")
        self.note("a")
        self.note("b")
        self.assertEqual(len(self.others()), 2)

    def test_the_encoded_list_is_the_list(self) -> None:
        for change in (
            lambda: None,
            lambda: self.presence.arrived(visitor()),
            lambda: self.note("x", device_id="d"),
            lambda: self.clock.advance(5),
            self.presence.refresh,
            lambda: self.presence.left(visitor()),
        ):
            change()
            shown = json.loads(self.presence.encoded())
            self.assertEqual(len(shown), len(self.presence.entries()))
            self.assertEqual(shown[0]["ts"], self.presence.entries()[0].ts)
