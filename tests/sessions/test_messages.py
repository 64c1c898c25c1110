"""Messages as transcripts keep them and clients read them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from clawgw.sessions.messages import (
    assistant_message,
    new_message,
    one_line,
    shortened,
    text_of,
    user_message,
    with_identity,
)
from clawgw.store.messages import StoredMessage


def stored(message: dict[str, Any], run_id: str | None = None) -> StoredMessage:
    one = new_message(message, run_id)
    return StoredMessage(7, one.id, one.role, one.run_id, one.body)


class Messages(SynchronousTestCase):
    """Their shapes, and what is read out of them."""

    def test_from_a_person(self) -> None:
        message = user_message("hi", 5, "run", ["a.png"])
        self.assertEqual(
            message,
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "hi"},
                    {"type": "text", "text": "[attached: a.png]"},
                ],
                "timestamp": 5,
                "idempotencyKey": "run:user",
            },
        )
        self.assertEqual(user_message("", 5, "run")["content"], [])

    def test_from_an_agent(self) -> None:
        self.assertEqual(
            assistant_message("hi", 5, stopReason="stop"),
            {
                "role": "assistant",
                "content": [{"type": "text", "text": "hi"}],
                "timestamp": 5,
                "stopReason": "stop",
            },
        )

    def test_the_text(self) -> None:
        table: list[tuple[dict[str, Any], str]] = [
            (user_message("a", 1, "r", ["f"]), "a\n\n[attached: f]"),
            ({"content": "plain"}, "plain"),
            ({"content": [{"type": "thinking", "thinking": "x"}, {"type": "text"}]}, ""),
            ({"content": [], "errorMessage": "it broke"}, "it broke"),
            ({}, ""),
        ]
        for message, text in table:
            self.assertEqual(text_of(message), text)

    def test_one_line(self) -> None:
        self.assertEqual(one_line("  a \n\n b\t"), "a b")
        self.assertEqual(one_line("abc def", 7), "abc def")
        self.assertEqual(one_line("abc defg", 7), "abc de…")
        self.assertEqual(one_line("abc defg", 5), "abc…")

    @given(st.text(), st.integers(1, 50))
    def test_one_line_is_one_short_line(self, text: str, limit: int) -> None:
        line = one_line(text, limit)
        self.assertLessEqual(len(line), limit)
        self.assertEqual(line.splitlines(), [line] if line else [])

    @given(st.dictionaries(st.text(), st.text()), st.one_of(st.none(), st.text()))
    def test_identity_is_added_and_nothing_else(
        self, more: dict[str, str], run_id: str | None
    ) -> None:
        message = assistant_message("hi", 5) | more | {"role": "assistant", "timestamp": 5}
        one = stored(message, run_id)
        read = json.loads(with_identity(one))
        identity = read.pop("__openclaw")
        self.assertEqual(read, message)
        expected = {"id": one.id, "seq": 7} | ({} if run_id is None else {"runId": run_id})
        self.assertEqual(identity, expected)

    def test_shortened(self) -> None:
        body = new_message(user_message("x" * 100, 5, "run")).body
        self.assertEqual(shortened(body, 1000), body)
        text = json.loads(shortened(body, 10))["content"][0]["text"]
        self.assertTrue(text.startswith("x" * 10 + "\n"))
        self.assertIn("truncated", text)
        self.assertLess(len(text), 40)
        other = b'{"content":["text",{"type":"image","data":"%b"}]}' % (b"x" * 100)
        self.assertEqual(json.loads(shortened(other, 10)), json.loads(other))
