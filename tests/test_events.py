"""Which events there are, and who may hear them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from clawgw.events import RULES, audible_events

EVERYBODY = {"connect.challenge", "tick", "shutdown"}
READERS = {"agent", "chat", "presence", "health", "talk.mode"}
PAIRING = {
    f"{what}.pair.{when}"
    for what in ("device", "node", "channel")
    for when in ("requested", "resolved")
}
NODES = {"node.invoke.request", "node.invoke.cancel"}
NEW = {"sessions.changed", "node.hostStats"}
APPROVALS = {name for name in RULES if name.startswith("exec.approval.")}


class Audible(SynchronousTestCase):
    """By version, role and scopes."""

    def test_who_hears_what(self) -> None:
        table: list[tuple[int, str, set[str], set[str]]] = [
            (4, "operator", set(), EVERYBODY),
            (3, "operator", {"operator.read"}, EVERYBODY | READERS),
            (4, "operator", {"operator.read"}, EVERYBODY | READERS | NEW),
            (4, "operator", {"operator.write"}, EVERYBODY | READERS | NEW),
            (4, "operator", {"operator.pairing"}, EVERYBODY | PAIRING),
            (3, "operator", {"operator.pairing"}, EVERYBODY | PAIRING),
            (4, "operator", {"operator.approvals"}, EVERYBODY | APPROVALS),
            (4, "operator", {"operator.admin"}, set(RULES) - NODES),
            (3, "operator", {"operator.admin"}, set(RULES) - NODES - NEW),
            (4, "operator", {"node"}, EVERYBODY),
            (4, "node", set(), EVERYBODY | NODES),
            (3, "node", {"operator.admin"}, EVERYBODY | {"node.invoke.request"}),
        ]
        for version, role, scopes, expected in table:
            with self.subTest(version=version, role=role, scopes=scopes):
                self.assertEqual(audible_events(version, role, frozenset(scopes)), expected)

    def test_what_people_say_is_never_for_everybody(self) -> None:
        for name in RULES.keys() - EVERYBODY:
            self.assertIsNotNone(RULES[name].scope, name)
