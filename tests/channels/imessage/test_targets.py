"""How chats of Messages are addressed."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels.imessage.targets import address, parameters


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
