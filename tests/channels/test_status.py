"""How the channels are doing, as clients and people read it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from clawgw.channels import status
from clawgw.channels.adapter import Fatal, Fault
from clawgw.channels.providers import Configured
from clawgw.protocol.channels import ChannelsStatus
from tests.channels.conversation import OPEN, ConversationCase
from tests.channels.support import TOY, ToyAdapter, ToySettings, direct


class Telling(ConversationCase):
    """`channels.status`, `health` and `status`."""

    settings = {  # noqa: RUF012
        "default": OPEN | {"name": "My bot"},
        "off": {"enabled": False, "allowFrom": ["7", "@Bob"]},
        "bare": {"token": None},
    }

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.call("channels.status")
        msgspec.convert(answer, ChannelsStatus)
        return answer

    def row(self, name: str = "default") -> dict[str, Any]:
        rows = self.status()["channelAccounts"]["toy"]
        found: dict[str, Any] = next(row for row in rows if row["accountId"] == name)
        return found

    def test_how_the_channel_is_shown(self) -> None:
        found = self.status()
        self.assertEqual(found["channelOrder"], ["toy"])
        self.assertEqual(found["channelLabels"], {"toy": "Toy"})
        self.assertEqual(found["channelMeta"][0]["systemImage"], "gift")
        self.assertEqual(found["channelDefaultAccountId"], {"toy": "default"})
        self.assertEqual(found["ts"], self.clock.now_ms())

    def test_one_that_works(self) -> None:
        self.account().connected(name="toybot", mode="polling")
        self.hear(direct(1))
        self.turns[0].end("hello")
        row = self.row()
        now = self.clock.now_ms()
        for name, value in {
            "name": "My bot", "enabled": True, "configured": True, "running": True,
            "connected": True, "healthState": "healthy", "mode": "polling", "dmPolicy": "open",
            "allowFrom": ["*"], "lastConnectedAt": now, "lastInboundAt": now,
            "lastOutboundAt": now, "reconnectAttempts": 0,
        }.items():  # fmt: skip
            self.assertEqual(row[name], value, name)
        self.assertNotIn("lastError", row)
        self.assertNotIn("linked", row)

    def test_one_that_does_not_says_why(self) -> None:
        self.adapter.lives[-1].errback(Fault("the line was cut"))
        row = self.row()
        self.assertEqual((row["connected"], row["lastError"]), (False, "the line was cut"))
        self.assertEqual((row["healthState"], row["reconnectAttempts"]), ("reconnecting", 1))

    def test_one_that_is_switched_off(self) -> None:
        row = self.row("off")
        self.assertEqual((row["enabled"], row["running"]), (False, False))
        self.assertEqual(row["allowFrom"], ["7", "@bob"])
        self.assertNotIn("lastError", row)

    def test_one_with_something_missing(self) -> None:
        row = self.row("bare")
        self.assertEqual((row["configured"], row["running"]), (False, False))
        self.assertEqual(row["lastError"], "a token is missing: set token")

    def test_one_that_could_not_be_made(self) -> None:
        broken = replace(TOY, adapter="tests.channels.missing:Adapter")
        self.patch(
            self, "configured", lambda: [Configured(broken, "default", ToySettings(token="t2"))]
        )
        self.do(self.channels.follow(self.parsed()))
        row = self.row()
        self.assertEqual((row["enabled"], row["healthState"]), (True, "failed"))
        self.assertIn("could not be started: ModuleNotFoundError", row["lastError"])
        self.flushLoggedErrors(ModuleNotFoundError)

    def test_whether_somebody_is_logged_in(self) -> None:
        can = msgspec.structs.replace(ToyAdapter.capabilities, login=True)
        self.patch(ToyAdapter, "capabilities", can)
        self.assertTrue(self.row()["linked"])
        self.call("channels.logout", channel="toy")
        self.assertFalse(self.row()["linked"])

    def test_of_a_channel_as_a_whole(self) -> None:
        found = self.status()["channels"]["toy"]
        self.assertEqual((found["configured"], found["running"]), (True, True))

    def test_health_has_the_accounts_too(self) -> None:
        self.account().connected()
        found = self.channels.health()["toy"]
        self.assertTrue(found["connected"])
        self.assertTrue(found["accounts"]["default"]["connected"])
        self.assertEqual(found["accounts"]["bare"]["lastError"], "a token is missing: set token")

    def test_a_change_is_seen_in_health(self) -> None:
        before = self.changes
        self.account().connected()
        self.assertGreater(self.changes, before)

    def test_lines_for_a_person(self) -> None:
        account = self.account()
        self.assertEqual(
            self.channels.summary(),
            [
                "Toy (default): starting",
                "Toy (bare): not configured: a token is missing: set token",
            ],
        )
        account.connected()
        self.assertEqual(status.words(account), "connected")
        account.warn("it cannot read groups")
        self.assertEqual(status.words(account), "connected, but it cannot read groups")
        self.adapter.lives[-1].errback(Fatal("the token is wrong"))
        self.assertEqual(status.words(account), "failed: the token is wrong")

    def test_nothing_of_it_is_a_secret(self) -> None:
        self.settings = {"default": OPEN | {"token": "very-secret"}}
        self.do(self.channels.follow(self.parsed()))
        shown = f"{self.status()} {self.channels.health()} {self.channels.summary()}"
        self.assertNotIn("very-secret", shown)

    def test_no_channel_at_all(self) -> None:
        self.settings = {}
        self.do(self.channels.follow(self.parsed()))
        self.assertEqual(self.status()["channelOrder"], [])
        self.assertEqual((self.channels.health(), self.channels.summary()), ({}, []))
