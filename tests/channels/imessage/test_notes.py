"""Notes about sends."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels.imessage import notes as module
from clawgw.channels.imessage.notes import Note, Notes


class TakingNotes(SynchronousTestCase):
    """Over a restart, and without end."""

    def test_from_begin_to_completion(self) -> None:
        notes = Notes()
        self.assertIsNone(notes.get("a"))
        notes.begin("a", 7, 1000)
        self.assertEqual(Notes(notes.text).get("a"), Note(7, 1000))
        notes.complete("a", "GUID")
        self.assertEqual(Notes(notes.text).get("a"), Note(7, 1000, "GUID"))
        notes.begin("a", 9, 2000)
        self.assertEqual(notes.get("a"), Note(9, 2000))
        notes.forget("a")
        self.assertIsNone(notes.get("a"))

    def test_only_completed_ones_are_thrown_away(self) -> None:
        self.patch(module, "KEPT", 2)
        notes = Notes()
        for number in range(4):
            notes.begin(f"open {number}", number, 0)
            notes.begin(f"done {number}", number, 0)
            notes.complete(f"done {number}", "GUID")
        kept = [name for name in (f"done {n}" for n in range(4)) if notes.get(name)]
        self.assertEqual(kept, ["done 2", "done 3"])
        self.assertTrue(all(notes.get(f"open {number}") for number in range(4)))

    def test_what_nobody_asks_for_any_more(self) -> None:
        notes = Notes()
        notes.begin("long ago", 7, 1000)
        notes.begin("now", 9, 1001 + module.FORGOTTEN_SECONDS)
        self.assertIsNone(notes.get("long ago"))
        self.assertEqual(notes.get("now"), Note(9, 1001 + module.FORGOTTEN_SECONDS))

    def test_damage(self) -> None:
        for text in ("", "x", "[]", '{"a": 7}'):
            self.assertIsNone(Notes(text).get("a"))
