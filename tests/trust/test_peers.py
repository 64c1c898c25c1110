"""Where a connection comes from: local or not, through a proxy or not, from which page."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from clawgw.trust.peers import PeerPolicy, identify, is_loopback, origin_is_allowed
from tests.trust.admission import through

US = "localhost:18789"


class Loopback(SynchronousTestCase):
    """Addresses of this host."""

    def test_addresses(self) -> None:
        for address in ("127.0.0.1", "127.8.9.1", "::1", "[::1]", "::ffff:127.0.0.1", "::1%lo"):
            self.assertTrue(is_loopback(address), address)
        for address in ("192.168.1.2", "::", "0.0.0.0", "::ffff:10.0.0.1", "localhost", "", "x"):
            self.assertFalse(is_loopback(address), address)


class Local(SynchronousTestCase):
    """A process of this host that did not come through a proxy."""

    def test_by_the_hosts_it_may_ask_for(self) -> None:
        for host in (
            "localhost", "LOCALHOST:18789", "127.0.0.1", "127.0.0.1:18789", "[::1]", "[::1]:18789",
            "127.3.4.5:1", "[::ffff:127.0.0.1]:18789",
        ):  # fmt: skip
            for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
                self.assertTrue(through({"host": host}, address=address).is_local, host)

    def test_not_by_any_other(self) -> None:
        for host in (
            "evil.example", "evil.example:18789", "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost.", "192.168.1.2:18789", "0.0.0.0:18789", "evil@localhost", "localhost@evil",
            "localhost/evil", "localhost?", "localhost#", "localhost, evil", "localhost:x", "[::1",
            "::1", "127.1", "0x7f.1", "2130706433", "", " ",
        ):  # fmt: skip
            self.assertFalse(through({"host": host}).is_local, host)
        self.assertFalse(through({}).is_local)

    def test_not_from_elsewhere(self) -> None:
        for address in ("192.168.1.2", "2001:db8::1", "::ffff:192.168.1.2", "unknown", ""):
            self.assertFalse(through({"host": US}, address=address).is_local, address)

    def test_not_through_a_proxy_nobody_trusts(self) -> None:
        for name in (
            "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip",
            "x-forwarded-server", "x-forwarded-port", "via", "cf-connecting-ip", "true-client-ip",
            "x-client-ip",
        ):  # fmt: skip
            for value in ("127.0.0.1", "", "for=127.0.0.1"):
                peer = through({"host": US, name: value})
                self.assertFalse(peer.is_local, name)
                self.assertEqual(peer.address, "127.0.0.1")

    def test_a_header_does_not_make_somebody_elsewhere_local(self) -> None:
        for name in ("x-forwarded-for", "x-real-ip", "forwarded", "x-forwarded-host"):
            peer = through({"host": US, name: "127.0.0.1"}, address="203.0.113.9")
            self.assertEqual((peer.is_local, peer.address), (False, "203.0.113.9"))


class Proxies(SynchronousTestCase):
    """What a trusted proxy says counts; what its clients say does not."""

    def behind(self, chain: str, trusted: tuple[str, ...] = ("127.0.0.1",), **more: str) -> str:
        headers = {"host": US, "x-forwarded-for": chain, **more}
        peer = through(headers, trusted_proxies=trusted)
        self.assertFalse(peer.is_local)
        return peer.address

    def test_the_client_is_the_nearest_that_is_no_proxy(self) -> None:
        self.assertEqual(self.behind("203.0.113.9"), "203.0.113.9")
        self.assertEqual(self.behind("203.0.113.9, 10.0.0.5", ("127.0.0.1", "10.0.0.0/8")),
                         "203.0.113.9")  # fmt: skip
        self.assertEqual(self.behind("2001:db8::1"), "2001:db8::1")

    def test_a_chain_the_client_began_itself(self) -> None:
        for made_up in ("127.0.0.1", "::1", "10.0.0.5", "localhost", "a, b, c", ""):
            self.assertEqual(self.behind(f"{made_up}, 203.0.113.9"), "203.0.113.9")
            self.assertEqual(
                self.behind(f"{made_up}, 203.0.113.9", **{"x-real-ip": "127.0.0.1"}), "203.0.113.9"
            )

    def test_a_chain_that_makes_no_sense(self) -> None:
        for chain in ("", "unknown", "127.0.0.1, unknown", "203.0.113.9:4711, x", "_hidden, "):
            self.assertEqual(self.behind(chain), "127.0.0.1", chain)
            self.assertEqual(self.behind(chain, **{"x-real-ip": "::1"}), "127.0.0.1", chain)

    def test_a_chain_of_proxies_only(self) -> None:
        self.assertEqual(self.behind("127.0.0.1, 127.0.0.1"), "127.0.0.1")

    def test_the_other_headers(self) -> None:
        trusted = {"trusted_proxies": ("127.0.0.1",)}
        self.assertEqual(
            through({"host": US, "x-real-ip": "203.0.113.9"}, **trusted).address, "203.0.113.9"
        )
        for name in ("forwarded", "x-forwarded-host", "x-forwarded-proto"):
            peer = through({"host": US, name: "for=127.0.0.1"}, **trusted)
            self.assertEqual((peer.is_local, peer.address), (False, "127.0.0.1"))

    def test_a_process_of_this_host_through_its_own_proxy(self) -> None:
        peer = through(
            {"host": US, "x-forwarded-for": "::1"}, trusted_proxies=("127.0.0.1", "192.0.2.0/24")
        )
        self.assertTrue(peer.is_local)

    def test_a_process_of_the_proxys_host_is_not_of_ours(self) -> None:
        peer = through(
            {"host": US, "x-forwarded-for": "127.0.0.1"},
            address="192.0.2.7",
            trusted_proxies=("192.0.2.0/24",),
        )
        self.assertFalse(peer.is_local)

    def test_only_those_that_are_listed(self) -> None:
        for trusted in ((), ("192.0.2.0/24",), ("not an address",), ("::1",)):
            peer = through({"host": US, "x-forwarded-for": "203.0.113.9"}, trusted_proxies=trusted)
            self.assertEqual((peer.is_local, peer.address), (False, "127.0.0.1"))


class Origins(SynchronousTestCase):
    """Pages."""

    def allowed(self, origin: str, host: str = US, *, secure: bool = False, **policy: Any) -> bool:
        return origin_is_allowed(origin, host, PeerPolicy(**policy), secure=secure)

    def test_our_own_page(self) -> None:
        table = [
            ("http://localhost:18789", "localhost:18789", False),
            ("http://LOCALHOST:18789", "LocalHost:18789", False),
            ("http://127.0.0.1:18789", "127.0.0.1:18789", False),
            ("http://[::1]:18789", "[::1]:18789", False),
            ("https://192.168.1.2:18789", "192.168.1.2:18789", True),
            ("http://localhost", "localhost", False),
            ("http://localhost", "localhost:80", False),
            ("https://localhost", "localhost", True),
            ("https://localhost:443", "localhost", True),
        ]
        for origin, host, secure in table:
            self.assertTrue(self.allowed(origin, host, secure=secure), origin)

    def test_under_this_hosts_name(self) -> None:
        for name in ("box", "Box", "box.local"):
            host = f"{name}:18789"
            self.assertTrue(self.allowed(f"http://{host}", host, host_names=("box",)))
            self.assertFalse(self.allowed(f"http://{host}", host, host_names=("other",)))

    def test_a_name_somebody_else_may_own(self) -> None:
        """DNS rebinding: page and Host agree, because both are the attacker's."""
        for name in ("evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "box.example"):
            host = f"{name}:18789"
            self.assertFalse(self.allowed(f"http://{host}", host, host_names=("box",)), name)

    def test_other_pages(self) -> None:
        for origin in (
            "https://evil.example", "http://localhost", "http://localhost:3000",
            "http://127.0.0.1:18789", "null", "", "file://", "file:///home/me/page.html",
            "chrome-extension://abcdefghijklmnop", "app://localhost", "*",
            "http://evil@localhost:18789", "http://localhost:18789@evil.example",
            "http://localhost:18789/path", "http://localhost:18789?x", "http://localhost:18789#x",
            "http://localhost:x", "http://", "//localhost:18789", "localhost:18789",
            "http://localhost:18789, http://evil.example", "http://localhost:18789.evil.example",
        ):  # fmt: skip
            self.assertFalse(self.allowed(origin), origin)

    def test_listed(self) -> None:
        listed = {"allowed_origins": ("https://chat.example/", "chrome-extension://abc", "null")}
        for origin in ("https://chat.example", "HTTPS://Chat.Example", "chrome-extension://abc"):
            self.assertTrue(self.allowed(origin, **listed))
        for origin in (
            "http://chat.example", "https://chat.example:8443", "https://a.chat.example",
            "https://chat.example.evil", "chrome-extension://abcd",
        ):  # fmt: skip
            self.assertFalse(self.allowed(origin, **listed), origin)

    def test_programs_have_none(self) -> None:
        peer = identify("127.0.0.1", {"host": US}, PeerPolicy())
        self.assertEqual((peer.origin, peer.origin_allowed), (None, True))

    def test_an_empty_one_is_one(self) -> None:
        peer = identify("127.0.0.1", {"host": US, "origin": ""}, PeerPolicy())
        self.assertEqual((peer.origin, peer.origin_allowed), ("", False))


class AnyHeaders(SynchronousTestCase):
    """Whatever a stranger sends."""

    @settings(max_examples=300)
    @given(
        st.dictionaries(
            st.sampled_from(["host", "origin", "x-forwarded-for", "x-real-ip", "forwarded", "via"]),
            st.one_of(st.text(max_size=30), st.sampled_from([US, "127.0.0.1", f"http://{US}"])),
        )
    )
    def test_never_fails_and_never_makes_a_stranger_local(self, headers: dict[str, str]) -> None:
        for trusted in ((), ("127.0.0.1",), ("203.0.113.9",)):
            policy = PeerPolicy(trusted_proxies=trusted)
            self.assertFalse(identify("203.0.113.9", headers, policy).is_local)
            identify("127.0.0.1", headers, policy)
