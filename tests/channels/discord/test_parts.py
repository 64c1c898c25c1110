"""The pure parts: the Gateway's stream, close codes, rate limits, addresses."""

from __future__ import annotations

import zlib

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels.discord import protocol
from clawgw.channels.discord.api import Api
from clawgw.channels.discord.limits import Limits
from clawgw.channels.discord.objects import milliseconds, snowflake, time_of
from clawgw.channels.discord.outbound import address_of
from clawgw.channels.discord.protocol import BadStream, Inflater, address, meaning
from clawgw.channels.http import Headers


class FileTests(SynchronousTestCase):
    def test_files_are_fetched_from_discord_only(self) -> None:
        api = Api(Clock(), "https://proxy.example:8443/api", lambda: "token")
        for url in (
            "https://cdn.discordapp.com/attachments/1/2/a.png?ex=1",
            "https://media.discordapp.net/a.png",
            "https://proxy.example:8443/attachments/a.png",
        ):
            self.assertTrue(api.is_discords(url), url)
        for url in (
            "http://cdn.discordapp.com/a.png",
            "https://evildiscordapp.com/a.png",
            "https://cdn.discordapp.com@127.0.0.1/a.png",
            "https://proxy.example/a.png",
            "http://169.254.169.254/latest",
            "file:///etc/passwd",
            "https://[",
            "",
        ):
            self.assertFalse(api.is_discords(url), url)


class StreamTests(SynchronousTestCase):
    def test_pieces_of_one_stream(self) -> None:
        stream, inflater = zlib.compressobj(), Inflater()
        for text in (b'{"op": 10}', b'{"op": 0, "t": "' + b"A" * 5000 + b'"}'):
            packed = stream.compress(text) + stream.flush(zlib.Z_SYNC_FLUSH)
            found = [inflater.feed(packed[n : n + 3]) for n in range(0, len(packed), 3)]
            self.assertEqual([one for one in found if one], [text])

    def test_what_is_no_stream_or_a_bomb(self) -> None:
        self.assertRaises(BadStream, Inflater().feed, b"nonsense\x00\x00\xff\xff")
        self.patch(protocol, "MAX_FRAME", 10_000)
        stream = zlib.compressobj()
        bomb = stream.compress(b"0" * 1_000_000) + stream.flush(zlib.Z_SYNC_FLUSH)
        self.assertRaises(BadStream, Inflater().feed, bomb)
        self.assertRaises(BadStream, Inflater().feed, b"x" * 10_001)

    def test_a_stream_that_is_over(self) -> None:
        stream = zlib.compressobj()
        packed = stream.compress(b"{}") + stream.flush(zlib.Z_SYNC_FLUSH)
        packed += stream.flush(zlib.Z_FINISH) + b"\x00\x00\xff\xff"
        self.assertRaises(BadStream, Inflater().feed, packed)

    def test_the_address_says_how_we_speak(self) -> None:
        self.assertEqual(
            address("wss://gateway.discord.gg"),
            "wss://gateway.discord.gg/?v=10&encoding=json&compress=zlib-stream",
        )
        self.assertIn("/path?", address("wss://example.org/path?v=9&x=1"))
        self.assertNotIn("v=9", address("wss://example.org/?v=9"))


class CloseCodeTests(SynchronousTestCase):
    def test_what_discords_codes_ask_for(self) -> None:
        wanted = {
            "resume": (1000, 1001, 1006, 1009, 4000, 4001, 4002, 4005, 4008, 4999),
            "new": (4003, 4007, 4009),
            "stop": (4004, 4010, 4011, 4012, 4013, 4014),
        }
        for then, codes in wanted.items():
            for code in codes:
                self.assertEqual(meaning(code).then, then, code)


class LimitTests(SynchronousTestCase):
    ROUTE = "POST /channels/{}/messages"

    def setUp(self) -> None:
        self.clock = Clock()
        self.limits = Limits(self.clock.seconds)

    def learn(self, remaining: int, after: float, *, route: str = ROUTE, major: str = "1") -> None:
        headers = {
            "X-RateLimit-Bucket": "abcd",
            "X-RateLimit-Limit": "5",
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset-After": str(after),
        }
        self.limits.learn(route, major, Headers(headers))

    def test_nothing_is_known_at_first(self) -> None:
        self.assertEqual(self.limits.wait(self.ROUTE, "1"), 0)

    def test_what_is_left_is_counted_down_until_the_bucket_is_full_again(self) -> None:
        self.learn(2, 4.0)
        waits = [self.limits.wait(self.ROUTE, "1") for _ in range(3)]
        self.assertEqual(waits, [0, 0, 4.0])
        self.clock.advance(3)
        self.assertEqual(self.limits.wait(self.ROUTE, "1"), 1.0)
        self.clock.advance(1)
        self.assertEqual(self.limits.wait(self.ROUTE, "1"), 0)

    def test_those_who_waited_do_not_all_go_at_once(self) -> None:
        self.learn(0, 2.0)
        self.clock.advance(2)
        waits = [self.limits.wait(self.ROUTE, "1") for _ in range(7)]
        self.assertEqual(waits, [0, 0, 0, 0, 0, 2.0, 2.0])

    def test_an_answer_does_not_know_of_the_requests_after_it(self) -> None:
        self.learn(4, 2.0)
        for _ in range(3):
            self.assertEqual(self.limits.wait(self.ROUTE, "1"), 0)
        self.learn(3, 1.0)
        waits = [self.limits.wait(self.ROUTE, "1") for _ in range(2)]
        self.assertEqual(waits, [0, 1.0])

    def test_another_channel_has_its_own(self) -> None:
        self.learn(0, 4.0)
        self.assertEqual(self.limits.wait(self.ROUTE, "2"), 0)

    def test_routes_that_share_a_bucket(self) -> None:
        self.learn(5, 4.0, route="PATCH /x")
        self.learn(0, 4.0)
        self.assertEqual(self.limits.wait("PATCH /x", "1"), 4.0)

    def test_a_refusal(self) -> None:
        self.limits.stop(self.ROUTE, "1", 7.0, everywhere=False)
        self.assertEqual(self.limits.wait(self.ROUTE, "1"), 7.0)
        self.assertEqual(self.limits.wait(self.ROUTE, "2"), 0)
        self.limits.stop(self.ROUTE, "1", 9.0, everywhere=True)
        self.assertEqual(self.limits.wait(self.ROUTE, "2"), 9.0)
        self.assertTrue(self.limits.stopped)
        self.clock.advance(9.0)
        self.assertFalse(self.limits.stopped)

    def test_headers_that_make_no_sense_are_ignored(self) -> None:
        for remaining, after in (("x", "1"), ("1", "nan"), ("1", "inf"), ("-1", "1"), ("1", "")):
            headers = {
                "X-RateLimit-Bucket": "abcd",
                "X-RateLimit-Limit": "5",
                "X-RateLimit-Remaining": remaining,
                "X-RateLimit-Reset-After": after,
            }
            self.limits.learn(self.ROUTE, "1", Headers(headers))
            self.assertEqual(self.limits.wait(self.ROUTE, "1"), 0)


class SmallTests(SynchronousTestCase):
    def test_addresses(self) -> None:
        number = "123456789012345678"
        for text in (f"user:{number}", f"<@{number}>", f"<@!{number}>", f"discord:user:{number}"):
            self.assertEqual(address_of(text), f"user:{number}")
        for text in (f"channel:{number}", f"<#{number}>", f" discord:channel:{number} "):
            self.assertEqual(address_of(text), number)
        for text in (number, "#general", "user:alice", "", "channel:"):
            self.assertRaises(ValueError, address_of, text)

    def test_snowflakes_tell_the_time(self) -> None:
        # The example of Discord's documentation.
        self.assertEqual(milliseconds("175928847299117063"), 1462015105796)
        self.assertEqual(milliseconds(snowflake(1462015105796)), 1462015105796)
        self.assertEqual(milliseconds("x"), 0)
        self.assertEqual(time_of("2016-04-30T11:18:25.796000+00:00"), 1462015105796)
        self.assertEqual(time_of(None), 0)
