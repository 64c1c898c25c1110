"""How far conversations were read."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from clawgw.channels.slack import positions
from clawgw.channels.slack.positions import Positions, earlier


class PositionsTests(TestCase):
    def test_what_was_stored_is_known_again(self) -> None:
        first = Positions({})
        changes = first.read([("C1", None, "2.0"), ("C2", None, "1.0"), ("C1", "2.0", "3.0")])
        stored = {key: value for key, value in changes.items() if value is not None}
        again = Positions({**stored, "f:key": "F1"})
        self.assertEqual(again.newest, "3.0")
        self.assertEqual(again.conversations(), ["C1", "C2"])
        self.assertEqual((again.of("C1"), again.of("C1", "2.0")), ("2.0", "3.0"))
        self.assertEqual(again.threads("C1"), ["2.0"])

    def test_what_comes_late_moves_nothing_back(self) -> None:
        known = Positions({})
        known.read([("C1", None, "1700000000.000200")])
        self.assertEqual(known.read([("C1", None, "1700000000.000100")]), {})
        self.assertEqual(known.of("C1"), "1700000000.000200")

    def test_what_is_gone_is_forgotten_with_its_threads(self) -> None:
        known = Positions({"c:C1": "1.0", "t:C1:1.0": "2.0", "c:C12": "1.0"})
        self.assertEqual(known.forget("C1"), {"c:C1": None, "t:C1:1.0": None})
        self.assertEqual(known.conversations(), ["C12"])

    def test_only_the_newest_are_kept(self) -> None:
        self.patch(positions, "MOST_THREADS", 2)
        known = Positions({})
        changes = known.read([("C1", f"{n}.0", f"{n}.5") for n in (3, 1, 2)])
        self.assertIsNone(changes["t:C1:1.0"])
        self.assertEqual(known.threads("C1"), ["3.0", "2.0"])

    def test_garbage_in_the_store_is_survived(self) -> None:
        known = Positions({"at": "x", "c:C1": ""})
        known.read([("C1", None, "5.0")])
        self.assertEqual((known.newest, known.of("C1")), ("5.0", "5.0"))

    def test_earlier(self) -> None:
        self.assertEqual(earlier("1700000000.000100", 600), "1699999400.000100")
        self.assertEqual(earlier("5.0", 600), "0.000000")
