"""`channels.telegram` as people write it."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels.policy import judge
from clawgw.channels.telegram.provider import PROVIDER
from clawgw.channels.telegram.settings import TelegramSettings
from tests.channels.telegram.test_inbound import GROUP, said


def settings(**section: Any) -> TelegramSettings:
    return msgspec.convert(section, TelegramSettings)


class SettingsTests(SynchronousTestCase):
    def test_what_is_missing(self) -> None:
        self.assertIn("bot token", settings().configured({}) or "")
        self.assertIsNone(settings(botToken="1:a").configured({}))
        self.assertIsNone(settings(tokenFile="/a").configured({}))
        self.assertIsNone(settings().configured({"TELEGRAM_BOT_TOKEN": "1:a"}))

    def test_openclaws_example(self) -> None:
        read = settings(
            enabled=True,
            botToken="your-bot-token",
            dmPolicy="pairing",
            allowFrom=["tg:123456789"],
            groups={
                "*": {"requireMention": True},
                "-1001234567890": {
                    "allowFrom": ["@admin"],
                    "systemPrompt": "Keep answers brief.",
                    "topics": {"99": {"requireMention": False, "systemPrompt": "Stay on topic."}},
                },
            },
            customCommands=[{"command": "backup", "description": "Git backup"}],
            historyLimit=50, replyToMode="first", linkPreview=True, streamMode="partial",
            reactionNotifications="own", mediaMaxMb=5,
            webhookUrl="https://example.com/telegram-webhook", webhookSecret="secret",
            webhookPath="/telegram-webhook",
        )  # fmt: skip
        self.assertTrue(read.streams())
        self.assertNotIn("your-bot-token", repr(read))

    def test_a_topic_is_part_of_its_group(self) -> None:
        group = {"requireMention": True, "topics": {"8": {"requireMention": False}}}
        policy = settings(groupAllowFrom=["1001"], groups={"-1009": group}).policy()
        forum = {**GROUP, "is_forum": True}
        in_topic = said(chat=forum, text="x", message_thread_id=8, is_topic_message=True)
        self.assertEqual(judge(in_topic, policy, ()).act, "answer")
        self.assertEqual(judge(said(chat=forum, text="x"), policy, ()).act, "hear")

    def test_nonsense_is_refused(self) -> None:
        for section in (
            {"apiRoot": "api.telegram.org"},
            {"webhookUrl": "http://a.example/"},
            {"webhookSecret": "with space"},
            {"streamMode": "always"},
            {"customCommands": [{"command": "no spaces please", "description": "x"}]},
            {"botTokn": "1:a"},
        ):
            with self.assertRaises(msgspec.ValidationError):
                settings(**section)


class AddressTests(SynchronousTestCase):
    def test_addresses(self) -> None:
        adapter = PROVIDER.make("default", settings(botToken="1:a"), _Host())
        for text, where in (
            ("123456789", ("123456789", None)),
            (" tg:123456789 ", ("123456789", None)),
            ("-1001234567890:topic:99", ("-1001234567890", "99")),
            ("telegram:-1001234567890:99", ("-1001234567890", "99")),
            ("@some_channel", ("@some_channel", None)),
            ("https://t.me/some_channel", ("@some_channel", None)),
        ):
            self.assertEqual(adapter.address(text), where)
        for text in ("", "Ann", "@a", "12:34:56", "+49123"):
            with self.assertRaisesRegex(ValueError, "expected a chat's number"):
                adapter.address(text)


class _Host:
    """As much of a host as it takes to make an adapter."""

    def __init__(self) -> None:
        from twisted.internet import reactor

        self.reactor = reactor
