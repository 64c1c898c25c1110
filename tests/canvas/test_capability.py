"""Capabilities, ranges and addresses: the pure decisions of the canvas host."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from clawgw.canvas.access import Route, host_name, may_enter, route, surface_url
from clawgw.canvas.capability import Capabilities
from clawgw.canvas.policies import a2ui_policy, canvas_policy
from clawgw.canvas.ranges import Span, Unsatisfiable, parse_range
from clawgw.trust.peers import Peer

DAY = 24 * 3600 * 1000


class Time:
    def __init__(self) -> None:
        self.now = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now


class CapabilityTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.time = Time()
        self.ours = Capabilities(b"k" * 32, DAY, self.time)

    def test_holds_until_it_expires(self) -> None:
        text = self.ours.mint("canvas")
        self.time.now += DAY - 1
        self.assertTrue(self.ours.holds("canvas", text))
        self.time.now += 1
        self.assertFalse(self.ours.holds("canvas", text))

    def test_each_is_another_and_cannot_be_guessed(self) -> None:
        made = {self.ours.mint("canvas") for _ in range(100)}
        self.assertEqual(len(made), 100)
        self.assertTrue(all(len(text) >= 43 for text in made))

    def test_purposes_and_keys_are_apart(self) -> None:
        text = self.ours.mint("canvas")
        self.assertFalse(self.ours.holds("a2ui", text))
        self.assertTrue(self.ours.holds("a2ui", self.ours.mint("a2ui")))
        self.assertFalse(Capabilities(b"l" * 32, DAY, self.time).holds("canvas", text))

    def test_survives_a_restart(self) -> None:
        text = self.ours.mint("canvas")
        self.assertTrue(Capabilities(b"k" * 32, DAY, self.time).holds("canvas", text))

    def test_no_byte_can_be_changed(self) -> None:
        text = self.ours.mint("canvas")
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        for place in range(len(raw)):
            forged = bytearray(raw)
            forged[place] ^= 1
            again = base64.urlsafe_b64encode(bytes(forged)).rstrip(b"=").decode()
            self.assertFalse(self.ours.holds("canvas", again), place)

    @given(st.text(max_size=120))
    def test_nothing_else_holds(self, text: str) -> None:
        self.assertFalse(Capabilities(b"k" * 32, DAY, Time()).holds("canvas", text))

    def test_repr_says_nothing(self) -> None:
        self.assertEqual(repr(self.ours), "Capabilities(…)")


class RangeTests(SynchronousTestCase):
    def test_parts(self) -> None:
        for header, expected in (
            ("bytes=0-0", Span(0, 1)),
            ("bytes=0-9", Span(0, 10)),
            ("bytes=2-", Span(2, 8)),
            ("bytes=-3", Span(7, 3)),
            ("bytes=-30", Span(0, 10)),
            ("bytes=5-999", Span(5, 5)),
            ("Bytes= 1 - 2 ", Span(1, 2)),
        ):
            self.assertEqual(parse_range(header, 10), expected, header)

    def test_content_range(self) -> None:
        self.assertEqual(Span(5, 5).content_range(10), "bytes 5-9/10")

    def test_ignored(self) -> None:
        for header in (None, "", "bytes=", "bytes=-", "bytes=3-1", "bytes=0-1,3-4", "items=0-1",
                       "bytes=a-b", "bytes=0-1x", "bytes=" + "9" * 5000 + "-"):  # fmt: skip
            self.assertIsNone(parse_range(header, 10), header)

    def test_unsatisfiable(self) -> None:
        for header, size in (("bytes=10-", 10), ("bytes=10-12", 10), ("bytes=-0", 10),
                             ("bytes=0-", 0), ("bytes=-5", 0)):  # fmt: skip
            with self.assertRaises(Unsatisfiable, msg=header):
                parse_range(header, size)

    @given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 40))
    def test_never_outside(self, first: int, last: int, size: int) -> None:
        try:
            span = parse_range(f"bytes={first}-{last}", size)
        except Unsatisfiable:
            self.assertGreaterEqual(first, size)
            return
        if span is not None:
            self.assertTrue(span.start >= 0 and span.length > 0)
            self.assertLessEqual(span.start + span.length, size)


class AddressTests(SynchronousTestCase):
    def test_places(self) -> None:
        for path, expected in (
            ("/__openclaw__/canvas/", Route("canvas", "")),
            ("/__openclaw__/canvas", Route("canvas", "", bare=True)),
            ("/__openclaw__/canvas/a%20b/c.js", Route("canvas", "a b/c.js")),
            ("/__openclaw__/a2ui/", Route("a2ui", "")),
            ("/__openclaw__/ws", Route("socket", "")),
            ("/__openclaw__/ws/x", Route("elsewhere", "/__openclaw__/ws/x")),
            ("/", Route("elsewhere", "/")),
            ("/__openclaw__/cap/abc/__openclaw__/canvas/x",
             Route("canvas", "x", "/__openclaw__/cap/abc", "abc")),
            ("/__openclaw__/cap/abc", Route("elsewhere", "/", "/__openclaw__/cap/abc", "abc")),
            ("/__openclaw__/cap/a<b/__openclaw__/ws",
             Route("elsewhere", "/__openclaw__/cap/a<b/__openclaw__/ws")),
        ):  # fmt: skip
            self.assertEqual(route(path), expected)

    def test_who_may_enter(self) -> None:
        ours = Capabilities(b"k" * 32, DAY, Time())
        good, forged = ours.mint("canvas"), ours.mint("a2ui")
        here, elsewhere = Peer("127.0.0.1", True), Peer("192.168.0.7", False)
        for capability, peer, expected in (
            (None, here, True), (forged, here, True), (None, elsewhere, False),
            (forged, elsewhere, False), (good, elsewhere, True),
        ):  # fmt: skip
            where = Route("canvas", "", "", capability)
            self.assertIs(may_enter(where, peer, ours), expected)

    def test_url_follows_how_the_client_came(self) -> None:
        for host, expected in (
            ("127.0.0.1:18789", "http://127.0.0.1:9/__openclaw__/cap/c"),
            ("box.local:18789", "http://box.local:9/__openclaw__/cap/c"),
            ("box", "http://box:9/__openclaw__/cap/c"),
            ("[::1]:18789", "http://[::1]:9/__openclaw__/cap/c"),
            ("", None), ("a b", None), ("evil.example/", None), ("x@y:1", None),
        ):  # fmt: skip
            self.assertEqual(surface_url(host, 9, "c", secure=False), expected)
        self.assertEqual(
            surface_url("box:1", 9, "c", secure=True), "https://box:9/__openclaw__/cap/c"
        )

    def test_host_name(self) -> None:
        self.assertEqual(host_name("127.0.0.1:1"), "127.0.0.1")
        self.assertIsNone(host_name("a; script-src *"))


class PolicyTests(SynchronousTestCase):
    def test_canvas_pages_reach_neither_api_nor_a2ui_page(self) -> None:
        policy = canvas_policy("127.0.0.1:18793", "", secure=False)
        connect = next(part for part in policy.split("; ") if part.startswith("connect-src"))
        self.assertEqual(
            connect.split()[1:],
            ["http://127.0.0.1:18793/__openclaw__/canvas/",
             "ws://127.0.0.1:18793/__openclaw__/ws", "https:", "data:", "blob:"],
        )  # fmt: skip

    def test_over_tls_nothing_of_ours_but_the_canvas(self) -> None:
        policy = canvas_policy("box:18793", "/__openclaw__/cap/c", secure=True)
        connect = next(part for part in policy.split("; ") if part.startswith("connect-src"))
        self.assertNotIn("https:", connect.split())
        self.assertIn("wss://box:18793/__openclaw__/cap/c/__openclaw__/ws", connect.split())

    def test_a2ui_page_is_in_a_sandbox_of_its_own(self) -> None:
        policy = a2ui_policy("box:18793", "", secure=False)
        sandbox = next(part for part in policy.split("; ") if part.startswith("sandbox"))
        self.assertIn("allow-scripts", sandbox)
        self.assertNotIn("allow-same-origin", sandbox)
        self.assertIn("script-src http://box:18793/__openclaw__/a2ui/;", policy)
