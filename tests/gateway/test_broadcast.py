"""Events: who hears them, in which edition, and how often they are encoded."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from clawgw.events import RULES, audible_events
from clawgw.gateway import broadcast, connection
from clawgw.gateway.broadcast import Broadcaster
from clawgw.protocol.frames import StateVersion
from clawgw.protocol.system import TickEvent
from tests.gateway.support import RecordingWire, make_connection


class BroadcastTestCase(SynchronousTestCase):
    """A broadcaster and its listeners, by name."""

    def setUp(self) -> None:
        self.broadcaster = Broadcaster()
        self.wires: dict[str, RecordingWire] = {}
        self.connections: dict[str, Any] = {}

    def add(self, name: str, *, version: int = 4, **changes: Any) -> None:
        """A connection that hears what its scopes allow."""
        scopes = frozenset(changes.pop("scopes", {"operator.read"}))
        role = changes.pop("role", "operator")
        self.wires[name] = RecordingWire()
        self.connections[name] = make_connection(
            self.wires[name],
            conn_id=name,
            version=version,
            role=role,
            scopes=scopes,
            audible=audible_events(version, role, scopes),
            **changes,
        )
        self.broadcaster.add(self.connections[name])

    def heard(self, name: str) -> list[Any]:
        """The payloads a connection got."""
        return [frame["payload"] for frame in self.wires[name].frames]


class AudienceTests(BroadcastTestCase):
    """Who hears what."""

    def test_scopes(self) -> None:
        self.add("reader")
        self.add("writer", scopes={"operator.write"})
        self.add("admin", scopes={"operator.admin"})
        self.add("pairing", scopes={"operator.pairing"})
        self.add("nobody", scopes=set())
        self.add("node", role="node", scopes={"operator.read", "operator.pairing"})
        self.broadcaster.publish("chat", "chat")
        self.broadcaster.publish("device.pair.requested", "pair")
        self.broadcaster.publish("tick", "tick")
        self.assertEqual(
            {name: self.heard(name) for name in self.wires},
            {
                "reader": ["chat", "tick"],
                "writer": ["chat", "tick"],
                "admin": ["chat", "pair", "tick"],
                "pairing": ["pair", "tick"],
                "nobody": ["tick"],
                "node": ["tick"],
            },
        )

    def test_what_is_not_heard_is_not_counted(self) -> None:
        self.add("pairing", scopes={"operator.pairing"})
        self.broadcaster.publish("chat", 1)
        self.broadcaster.publish("tick", 2)
        self.assertEqual([one["seq"] for one in self.wires["pairing"].frames], [1])

    def test_a_capability(self) -> None:
        self.add("plain")
        self.add("tools", caps=frozenset({"tool-events"}))
        self.broadcaster.publish("agent", {"stream": "tool"}, cap="tool-events")
        self.assertEqual(self.heard("plain"), [])
        self.assertEqual(self.heard("tools"), [{"stream": "tool"}])

    def test_one_version_only(self) -> None:
        self.add("old", version=3)
        self.add("new")
        self.broadcaster.publish("agent", 1, only_version=4)
        self.broadcaster.publish("agent", 2, only_version=3)
        self.assertEqual((self.heard("old"), self.heard("new")), ([2], [1]))

    def test_an_event_newer_than_the_connection(self) -> None:
        self.add("old", version=3)
        self.add("new")
        self.broadcaster.publish("sessions.changed", 1)
        self.assertEqual((self.heard("old"), self.heard("new")), ([], [1]))

    def test_an_event_for_one_connection_is_not_counted(self) -> None:
        self.add("one")
        self.add("two")
        self.broadcaster.publish("tick", 1)
        self.assertTrue(self.broadcaster.send("one", "node.invoke.request", {"id": "x"}))
        self.broadcaster.publish("tick", 2)
        self.assertEqual([frame.get("seq") for frame in self.wires["one"].frames], [1, None, 2])
        self.assertEqual(self.heard("one"), [1, {"id": "x"}, 2])
        self.assertEqual(self.heard("two"), [1, 2])
        self.broadcaster.remove(self.connections["one"])
        self.assertFalse(self.broadcaster.send("one", "node.invoke.request", {}))

    def test_who_left_hears_no_more(self) -> None:
        self.add("one")
        self.add("two", device_id="device")
        self.assertTrue(self.broadcaster.has_device("device"))
        self.broadcaster.remove(self.connections["two"])
        self.broadcaster.remove(self.connections["two"])
        self.broadcaster.publish("tick", 1)
        self.assertEqual((self.heard("one"), self.heard("two")), ([1], []))
        self.assertEqual([one.conn_id for one in self.broadcaster], ["one"])
        self.assertEqual(len(self.broadcaster), 1)
        self.assertFalse(self.broadcaster.has_device("device"))

    def test_somebody_leaves_while_an_event_goes_out(self) -> None:
        self.add("first")
        self.add("second")
        wire = self.wires["first"]
        take = wire.send_framed

        def leave(frame: bytes) -> None:
            take(frame)
            self.broadcaster.remove(self.connections["second"])

        self.patch(wire, "send_framed", leave)
        self.broadcaster.publish("tick", 1)
        self.broadcaster.publish("tick", 2)
        self.assertEqual((self.heard("first"), self.heard("second")), ([1, 2], [1]))

    def test_a_reader_that_is_slow_goes_without_droppable_events(self) -> None:
        self.add("slow")
        self.add("quick")
        self.connections["slow"].reader_is_slow()
        self.broadcaster.publish("chat", "delta", droppable=True)
        self.broadcaster.publish("chat", "final")
        self.connections["slow"].reader_caught_up()
        self.assertEqual(self.heard("quick"), ["delta", "final"])
        (final,) = self.wires["slow"].frames
        self.assertEqual((final["payload"], final["seq"]), ("final", 2))


class EditionTests(BroadcastTestCase):
    """What is sent."""

    def test_version_3_gets_its_own_edition_where_there_is_one(self) -> None:
        self.add("old", version=3)
        self.add("new")
        self.broadcaster.publish("chat", {"deltaText": "x"}, v3={"message": "x"})
        self.broadcaster.publish("tick", {"ts": 1})
        self.assertEqual(self.heard("old"), [{"message": "x"}, {"ts": 1}])
        self.assertEqual(self.heard("new"), [{"deltaText": "x"}, {"ts": 1}])

    def test_the_frame(self) -> None:
        self.add("one")
        self.broadcaster.publish("tick", TickEvent(ts=7))
        self.broadcaster.publish(
            "presence", {"presence": []}, state_version=StateVersion(presence=3, health=4)
        )
        self.assertEqual(
            self.wires["one"].frames,
            [
                {"type": "event", "event": "tick", "payload": {"ts": 7}, "seq": 1},
                {
                    "type": "event",
                    "event": "presence",
                    "payload": {"presence": []},
                    "stateVersion": {"presence": 3, "health": 4},
                    "seq": 2,
                },
            ],
        )

    def test_an_event_is_encoded_once_per_version_and_framed_once_per_number(self) -> None:
        for number in range(50):
            self.add(f"old-{number}", version=3)
            self.add(f"new-{number}")
        encoded: list[Any] = []
        framed: list[bytes] = []

        def encode(value: Any) -> bytes:
            encoded.append(value)
            return msgspec.json.encode(value)

        def frame(payload: bytes) -> bytes:
            framed.append(payload)
            return real_frame(payload)

        real_frame = connection.text_frame
        self.patch(broadcast, "encode", encode)
        self.patch(connection, "text_frame", frame)
        self.broadcaster.publish("chat", "new", v3="old")
        self.assertCountEqual(encoded, ["new", "old"])
        self.assertEqual(len(framed), 2)
        self.assertEqual(self.heard("old-49"), ["old"])
        self.assertEqual(self.heard("new-49"), ["new"])
        self.add("late")  # one that counts differently
        self.broadcaster.publish("chat", "again")
        self.assertEqual(len(framed), 2 + 3)

    def test_nobody_there_nothing_encoded(self) -> None:
        def encode(_: Any) -> bytes:
            raise AssertionError("for nobody")

        self.patch(broadcast, "encode", encode)
        self.add("node", role="node")
        self.broadcaster.publish("chat", {})

    def test_every_rule_has_a_type(self) -> None:
        from clawgw.protocol.catalog import event_types

        self.assertLessEqual(set(RULES), set(event_types()))
