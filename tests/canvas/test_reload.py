"""Live reload: when pages are told, and that nobody looks when nobody is there."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from clawgw.canvas.reload import RELOAD, Watcher, with_script
from clawgw.canvas.root import CanvasRoot

NOW = 1_800_000_000


class Page:
    def __init__(self, served_ms: int) -> None:
        self.served_ms = served_ms
        self.told: list[str] = []

    def tell(self, text: str) -> None:
        self.told.append(text)


class WatcherTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.mkdir()
        self.clock = Clock()
        self.clock.rightNow = NOW
        self.looks = 0
        self.watcher = Watcher(self.clock, self.in_thread, CanvasRoot(self.path), self.now_ms)

    def in_thread(self, function: object, *args: object) -> Deferred[object]:
        self.looks += 1
        return maybeDeferred(function, *args)  # type: ignore[arg-type]

    def now_ms(self) -> int:
        return int(self.clock.seconds() * 1000)

    def write(self, name: str, content: str, age: float = 0) -> None:
        (self.path / name).write_text(content)
        when = self.clock.seconds() - age
        os.utime(self.path / name, (when, when))

    def page(self) -> Page:
        page = Page(self.now_ms())
        self.watcher.opened(page)
        return page

    def test_a_change_reloads_every_page(self) -> None:
        self.write("a.html", "one", age=60)
        pages = [self.page(), self.page()]
        self.clock.pump([0.5] * 4)
        self.assertEqual([page.told for page in pages], [[], []])
        self.write("a.html", "two")
        self.clock.pump([0.5] * 2)
        self.assertEqual([page.told for page in pages], [[RELOAD], [RELOAD]])

    def test_a_new_and_a_deleted_file_are_changes(self) -> None:
        page = self.page()
        self.write("b.css", "x", age=60)
        self.clock.pump([0.5] * 2)
        (self.path / "b.css").unlink()
        self.clock.pump([0.5] * 2)
        self.assertEqual(page.told, [RELOAD, RELOAD])

    def test_a_change_before_the_page_listened(self) -> None:
        late = Page(self.now_ms())
        self.clock.advance(1)
        self.write("a.html", "newer than the page")
        self.watcher.opened(late)
        self.assertEqual(late.told, [RELOAD])
        self.clock.advance(60)
        self.assertEqual(self.page().told, [])

    def test_a_deletion_before_the_page_listened(self) -> None:
        late = Page(self.now_ms())
        self.clock.advance(1)
        self.watcher.changed()
        self.watcher.opened(late)
        self.assertEqual(late.told, [RELOAD])
        self.clock.advance(1)
        self.assertEqual(self.page().told, [])

    def test_a_file_from_the_future_does_not_reload_for_ever(self) -> None:
        self.write("a.html", "x", age=-3600)
        self.assertEqual(self.page().told, [])

    def test_a_write_through_the_gateway_is_seen_at_once(self) -> None:
        self.clock.advance(10)
        page = self.page()
        self.clock.advance(0)
        self.write("a.html", "x")
        self.watcher.changed()
        self.assertEqual(page.told, [RELOAD])

    def test_nobody_looks_when_no_page_is_open(self) -> None:
        self.clock.pump([1] * 10)
        self.watcher.changed()
        self.assertEqual(self.looks, 0)
        page = self.page()
        self.clock.pump([0.5] * 4)
        self.watcher.closed(page)
        seen = self.looks
        self.clock.pump([1] * 10)
        self.assertEqual((self.looks, self.clock.getDelayedCalls()), (seen, []))

    def test_slow_looks_come_less_often(self) -> None:
        waiting: list[Deferred[object]] = []

        def slowly(*_: object) -> Deferred[object]:
            waiting.append(Deferred())
            return waiting[-1]

        watcher = Watcher(self.clock, slowly, CanvasRoot(self.path), self.now_ms)
        watcher.opened(Page(0))
        self.clock.advance(2)
        waiting[0].callback(watcher._view(self.now_ms()))
        self.clock.advance(19)
        self.assertEqual(len(waiting), 1)
        self.clock.advance(1)
        self.assertEqual(len(waiting), 2)

    def test_a_directory_that_went_away_is_no_end(self) -> None:
        page = self.page()
        self.path.rmdir()
        self.clock.pump([0.5] * 2)
        self.path.mkdir()
        self.write("a.html", "x")
        self.clock.pump([0.5] * 2)
        self.assertEqual(page.told, [RELOAD])


class ScriptTests(SynchronousTestCase):
    def test_before_the_end_of_the_body(self) -> None:
        page = with_script(b"<body>x</body></html>", "/__openclaw__/ws", 7)
        self.assertTrue(page.startswith(b"<body>x<script>"))
        self.assertTrue(page.endswith(b"</script>\n</body></html>"))
        self.assertIn(b'"/__openclaw__/ws", served = 7;', page)

    def test_without_a_body_at_the_end(self) -> None:
        self.assertTrue(with_script(b"<p>100%", "/ws", 7).startswith(b"<p>100%<script>"))

    def test_utf_16_is_left_alone(self) -> None:
        page = "<p>x".encode("utf-16")
        self.assertEqual(with_script(page, "/ws", 7), page)
