"""The table of methods: what there is, and who may call it."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from clawgw.methods import MethodTable
from clawgw.protocol.errors import RequestError
from tests.support.memory import Caller

READ, WRITE, ADMIN, TALK = (f"operator.{name}" for name in ("read", "write", "admin", "talk"))


def nothing(caller: Any, params: Any) -> None:
    """A handler."""


class Table(SynchronousTestCase):
    """Finding, and refusing."""

    def setUp(self) -> None:
        self.table = MethodTable()
        self.table.add("health", nothing, scope=READ)
        self.table.add("sessions.patch", nothing, scope=WRITE)
        self.table.add("sessions.delete", nothing, scope=ADMIN)
        self.table.add("talk.mode", nothing, scope=TALK)
        self.table.add("status", nothing, scope=None)
        self.table.add("system-event", nothing, scope=None, roles=("node",))

    def may(self, name: str, *scopes: str, role: str = "operator") -> bool:
        try:
            self.table.find(name).check(Caller(role=role, scopes=frozenset(scopes)))
        except RequestError:
            return False
        return True

    def test_unknown(self) -> None:
        for name in ("nothing", "", "Health", "health ", "x" * 10_000):
            error = self.assertRaises(RequestError, self.table.find, name)
            self.assertEqual(error.code, "INVALID_REQUEST")
            self.assertTrue(error.message.startswith("unknown method: "))
            self.assertLess(len(error.message), 150)

    def test_only_what_the_protocol_defines_can_be_added(self) -> None:
        with self.assertRaises(KeyError):
            self.table.add("made.up", nothing, scope=None)
        self.assertNotIn("made.up", self.table.names())

    def test_names_in_order(self) -> None:
        self.assertEqual(self.table.names()[:2], ["health", "sessions.patch"])

    def test_scopes(self) -> None:
        allowed = {
            "health": {READ, WRITE, ADMIN},
            "sessions.patch": {WRITE, ADMIN},
            "sessions.delete": {ADMIN},
            "talk.mode": {TALK, WRITE, ADMIN},
            "status": {READ, WRITE, ADMIN, TALK, "operator.pairing"},
        }
        for name, scopes in allowed.items():
            for scope in (READ, WRITE, ADMIN, TALK, "operator.pairing"):
                self.assertEqual(self.may(name, scope), scope in scopes, (name, scope))
            self.assertEqual(self.may(name), name == "status", name)

    def test_roles(self) -> None:
        self.assertTrue(self.may("system-event", role="node"))
        self.assertFalse(self.may("system-event", ADMIN))
        for name in ("health", "status", "sessions.delete"):
            self.assertFalse(self.may(name, ADMIN, role="node"), name)

    def test_refusals_in_the_words_of_each_version(self) -> None:
        method = self.table.find("sessions.patch")
        table: list[tuple[Caller, str, str, Any]] = [
            (Caller(version=3, scopes=frozenset({READ})), "INVALID_REQUEST",
             "missing scope: operator.write", None),
            (Caller(version=4, scopes=frozenset({READ})), "FORBIDDEN",
             "missing scope: operator.write",
             {"code": "MISSING_SCOPE", "missingScope": WRITE, "requiredScopes": [WRITE]}),
            (Caller(role="node"), "INVALID_REQUEST", "unauthorized role: node", None),
        ]  # fmt: skip
        for caller, code, message, details in table:
            error = self.assertRaises(RequestError, method.check, caller)
            self.assertEqual((error.code, error.message), (code, message))
            shown = error.shape.details
            self.assertEqual(shown if isinstance(shown, dict) else None, details)
