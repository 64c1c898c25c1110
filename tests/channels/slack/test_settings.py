"""Slack's configuration, in OpenClaw's words, and who may speak because of it."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.trial.unittest import TestCase

from clawgw.channels.messages import Chat, Inbound, Sender
from clawgw.channels.policy import judge
from clawgw.channels.slack.settings import GROUP_DM, SlackSettings

ANN = Sender(id="U0ANN", names=("@ann",))
BOB = Sender(id="U0BOB", names=("@bob",))
DM = Chat(id="D1")
GENERAL = Chat(id="C1", kind="channel", parents=("#general", "general", "T1"))
OTHER = Chat(id="C2", kind="channel", parents=("#other", "other", "T1"))
SEVERAL = Chat(id="G1", kind="group", parents=(GROUP_DM, "T1"))


def settings(**section: Any) -> SlackSettings:
    return msgspec.convert(section, SlackSettings)


def verdict(given: SlackSettings, chat: Chat, sender: Sender = ANN, mentioned: bool = True) -> str:
    message = Inbound(message_id="1", chat=chat, sender=sender, sent_at=0, mentioned=mentioned)
    return judge(message, given.policy(), ()).act


class PolicyTests(TestCase):
    def test_strangers_get_a_code_and_channels_hear_nobody_by_default(self) -> None:
        self.assertEqual(verdict(settings(), DM), "pair")
        self.assertEqual(verdict(settings(), GENERAL), "drop")
        self.assertEqual(verdict(settings(), SEVERAL), "drop")

    def test_dm(self) -> None:
        listed = settings(dm={"policy": "allowlist", "allowFrom": ["U0ANN", "@bob"]})
        self.assertEqual(verdict(listed, DM), "answer")
        self.assertEqual(verdict(listed, DM, BOB), "answer")
        self.assertEqual(verdict(listed, DM, Sender(id="U0EVE")), "drop")
        self.assertEqual(verdict(settings(dm={"enabled": False}), DM), "drop")
        anybody = settings(dm={"policy": "open", "allowFrom": ["*"]})
        self.assertEqual(verdict(anybody, DM), "answer")

    def test_a_listed_channel_is_open_to_everybody_in_it(self) -> None:
        given = settings(channels={"C1": {}})
        self.assertEqual(verdict(given, GENERAL), "answer")
        self.assertEqual(verdict(given, GENERAL, mentioned=False), "hear")
        self.assertEqual(verdict(given, OTHER), "drop")

    def test_a_channel_may_be_listed_by_name_with_its_own_rules(self) -> None:
        given = settings(channels={"#general": {"users": ["U0BOB"], "requireMention": False}})
        self.assertEqual(verdict(given, GENERAL, BOB, mentioned=False), "answer")
        self.assertEqual(verdict(given, GENERAL, ANN), "drop")
        for switched_off in ({"allow": False}, {"enabled": False}):
            given = settings(groupPolicy="open", channels={"#general": switched_off})
            self.assertEqual(verdict(given, GENERAL), "drop")

    def test_open_means_all_channels_also_those_that_are_not_listed(self) -> None:
        given = settings(groupPolicy="open", channels={"C1": {"requireMention": False}})
        self.assertEqual(verdict(given, GENERAL, mentioned=False), "answer")
        self.assertEqual(verdict(given, OTHER), "answer")
        self.assertEqual(verdict(given, OTHER, mentioned=False), "hear")

    def test_without_a_list_of_channels_the_lists_of_people_count(self) -> None:
        given = settings(groupAllowFrom=["U0ANN"])
        self.assertEqual(verdict(given, GENERAL), "answer")
        self.assertEqual(verdict(given, GENERAL, BOB), "drop")

    def test_group_dms_are_off_unless_switched_on(self) -> None:
        listed = {"allowFrom": ["U0ANN"], "channels": {"C1": {}}}
        on = settings(**listed, dm={"groupEnabled": True})
        some = settings(**listed, dm={"groupEnabled": True, "groupChannels": ["G9"]})
        these = settings(**listed, dm={"groupEnabled": True, "groupChannels": ["G1"]})
        answers = [verdict(one, SEVERAL) for one in (settings(**listed), on, some, these)]
        self.assertEqual(answers, ["drop", "answer", "drop", "answer"])

    def test_bots(self) -> None:
        given = settings(allowBots=True, channels={"C1": {"allowBots": False}, "#x": {}})
        self.assertFalse(given.hears_bots(("C1", "#general")))
        self.assertTrue(given.hears_bots(("C2", "#x")))


class TokenTests(TestCase):
    def test_what_is_missing_is_named(self) -> None:
        self.assertIn("botToken is missing", str(settings().configured({})))
        half = {"SLACK_BOT_TOKEN": "xoxb-1"}
        self.assertIn("appToken is missing", str(settings().configured(half)))
        self.assertIsNone(settings(appToken="xapp-1").configured(half))

    def test_secrets_show_in_no_repr(self) -> None:
        given = settings(
            botToken="xoxb-1", accounts={"two": {"botToken": "xoxb-2", "appToken": "xapp-2"}}
        )
        self.assertNotIn("xoxb-", repr(given) + repr(given.accounts))

    def test_unknown_keys_are_refused(self) -> None:
        self.assertRaises(msgspec.ValidationError, settings, botTokn="x")
        self.assertRaises(msgspec.ValidationError, settings, dm={"polcy": "open"})
