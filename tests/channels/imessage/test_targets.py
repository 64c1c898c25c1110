"""How chats of Messages are addressed."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels.imessage.targets import address, is_meant, parameters


class Addresses(SynchronousTestCase):
    """As people write them."""

    def test_what_is_understood(self) -> None:
        for text, chat in (
            ("42", "42"),
            ("chat_id:42", "42"),
            ("imessage:+1 (555) 123-4567", "+15551234567"),
            ("+49 170 1234567", "+491701234567"),
            ("415-555-1212", "tel:4155551212"),
            ("4155551212", "tel:4155551212"),
            ("sms:+1 555 123 4567", "sms:+15551234567"),
            ("Jane@Example.com", "jane@example.com"),
            ("chat_guid:iMessage;+;chat1", "chat_guid:iMessage;+;chat1"),
            (" chat_identifier:chat1 ", "chat_identifier:chat1"),
        ):
            self.assertEqual(address(text), chat, text)

    def test_what_is_not(self) -> None:
        for text in ("", "Jane", "chat_id:x", "chat_guid:", "sms:jane", "telegram:12", "imessage:"):
            with self.assertRaises(ValueError) as caught:
                address(text)
            self.assertIn("expected a phone number", str(caught.exception))

    def test_parameters(self) -> None:
        for chat, params in (
            ("42", {"chat_id": 42}),
            ("tel:4155551212", {"to": "4155551212", "service": "auto", "region": "DE"}),
            ("sms:+1555", {"to": "+1555", "service": "sms", "region": "DE"}),
            ("chat_identifier:chat1", {"chat_identifier": "chat1"}),
        ):
            self.assertEqual(parameters(chat, "auto", "DE"), params)

    def test_which_chat_is_meant(self) -> None:
        listed = {"identifier": "+491711234567", "guid": "iMessage;-;+491711234567"}
        for chat, meant in (
            ("+491711234567", True),
            ("sms:+491711234567", True),
            ("tel:01711234567", True),
            ("sms:1711234567", True),
            ("chat_guid:iMessage;-;+491711234567", True),
            ("chat_identifier:+491711234567", True),
            ("chat_identifier:1711234567", False),
            ("tel:01711234568", False),
            ("tel:0001711234567890", False),
            ("+1711234567", False),
        ):
            self.assertEqual(is_meant(chat, listed), meant, chat)
        self.assertFalse(is_meant("tel:1711234567", {"identifier": None}))
