"""Histories, what came since, previews."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from clawgw.sessions import transcripts
from clawgw.sessions.messages import new_message, one_line, text_of, user_message
from clawgw.sessions.transcripts import (
    decode_cursor,
    encode_cursor,
    read_page,
    read_preview,
    read_since,
)
from clawgw.store import messages, sessions
from tests.support.memory import START_MS, MemoryDatabase

KEY = "agent:main:main"


class TranscriptTestCase(SynchronousTestCase):
    """A session in memory."""

    def setUp(self) -> None:
        self.connection = MemoryDatabase().connection
        sessions.ensure(self.connection, KEY, "main", "id", START_MS)

    def say(self, *texts: str) -> None:
        for text in texts:
            body = user_message(text, START_MS, "run")
            messages.append(self.connection, KEY, new_message(body, "run"), one_line(text))

    def page(self, **more: Any) -> transcripts.Page:
        return read_page(self.connection, KEY, **({"version": 4} | more))[1]

    def texts(self, bodies: list[bytes]) -> str:
        return " ".join(text_of(json.loads(body)) for body in bodies)


class Histories(TranscriptTestCase):
    """`chat.history` without a cursor."""

    def test_no_session(self) -> None:
        session, page = read_page(self.connection, "agent:main:none", version=4)
        self.assertIsNone(session)
        self.assertEqual((page.messages, page.has_more, page.total), ([], False, 0))
        self.assertIsNone(read_since(self.connection, "agent:main:none", page.cursor))

    def test_an_empty_one(self) -> None:
        page = self.page()
        self.assertEqual((page.messages, page.has_more, page.total), ([], False, 0))

    def test_the_newest_and_whether_there_are_more(self) -> None:
        self.say(*"abcde")
        table = [
            (2, 0, "d e", True),
            (2, 2, "b c", True),
            (2, 3, "a b", False),
            (2, 4, "a", False),
            (2, 5, "", False),
            (2, 99, "", False),
            (5, 0, "a b c d e", False),
            (9, 0, "a b c d e", False),
        ]
        for limit, offset, expected, more in table:
            with self.subTest(limit=limit, offset=offset):
                page = self.page(limit=limit, offset=offset)
                self.assertEqual((self.texts(page.messages), page.has_more), (expected, more))
                self.assertEqual(page.total, 5)

    def test_after_a_compaction(self) -> None:
        self.say(*"abcde")
        messages.keep_last(self.connection, KEY, 3)
        self.assertEqual(self.texts(self.page(limit=9).messages), "c d e")
        self.assertFalse(self.page(limit=3).has_more)
        self.assertTrue(self.page(limit=2).has_more)

    def test_version_4_adds_who_they_are(self) -> None:
        self.say("a")
        old, new = (json.loads(self.page(version=number).messages[0]) for number in (3, 4))
        identity = new.pop("__openclaw")
        self.assertEqual(old, new)
        self.assertEqual((identity["seq"], identity["runId"]), (1, "run"))

    def test_texts_are_cut_where_asked(self) -> None:
        self.say("x" * 1000)
        (body,) = self.page(max_chars=10).messages
        self.assertLess(len(body), 400)
        self.assertEqual(json.loads(body)["__openclaw"]["seq"], 1)

    def test_no_answer_is_larger_than_a_client_can_take(self) -> None:
        self.patch(transcripts, "MAX_HISTORY_BYTES", 10_000)
        self.say(*("x" * 1000 for _ in range(20)))
        page = self.page()
        self.assertLessEqual(sum(map(len, page.messages)), 10_000)
        self.assertGreater(len(page.messages), 5)
        self.assertTrue(page.has_more)
        self.assertEqual(json.loads(page.messages[-1])["__openclaw"]["seq"], 20)

    def test_paging_through_reaches_everything_once(self) -> None:
        self.patch(transcripts, "MAX_HISTORY_BYTES", 3_000)
        self.say(*(f"{number} " + "x" * (number * 37 % 900) for number in range(50)))
        seen: list[int] = []
        offset = 0
        while True:
            page = self.page(limit=7, offset=offset)
            seqs = [json.loads(body)["__openclaw"]["seq"] for body in page.messages]
            seen = seqs + seen
            offset += len(seqs)
            if not page.has_more:
                break
        self.assertEqual(seen, list(range(1, 51)))

    def test_one_message_that_is_too_large_hides_nothing(self) -> None:
        self.say("before", "x" * (transcripts.MAX_HISTORY_BYTES + 1), "after")
        page = self.page()
        self.assertEqual(len(page.messages), 3)
        self.assertLess(sum(map(len, page.messages)), 1_000_000)
        self.assertIn(b"truncated", page.messages[1])
        self.assertFalse(page.has_more)


class Deltas(TranscriptTestCase):
    """`chat.history` with a cursor."""

    def since(self, cursor: str) -> tuple[str, str] | None:
        found = read_since(self.connection, KEY, cursor)
        return found and (self.texts(found[1]), found[2])

    def test_what_came_since(self) -> None:
        self.say("a", "b")
        cursor = self.page().cursor
        self.assertEqual(self.since(cursor), ("", cursor))
        self.say("c", "d")
        found = self.since(cursor)
        assert found is not None
        self.assertEqual(found, ("c d", self.page().cursor))
        self.assertEqual(self.since(found[1]), ("", found[1]))
        self.assertEqual(self.since(encode_cursor("id", 0)), ("a b c d", self.page().cursor))

    def test_cut_like_a_history(self) -> None:
        cursor = self.page().cursor
        self.say("x" * 1000)
        found = read_since(self.connection, KEY, cursor, max_chars=10)
        assert found is not None
        self.assertLess(len(found[1][0]), 400)

    def test_one_that_no_longer_holds(self) -> None:
        self.say(*"abcde")
        early = encode_cursor("id", 1)
        self.assertIsNotNone(self.since(early))
        messages.keep_last(self.connection, KEY, 3)
        self.assertIsNone(self.since(early))
        self.assertEqual((self.since(encode_cursor("id", 2)) or [""])[0], "c d e")
        sessions.update(self.connection, KEY, session_id="another", message_count=0, last_seq=0)
        self.assertIsNone(self.since(encode_cursor("id", 5)))

    def test_one_that_never_held(self) -> None:
        self.say("a")
        for cursor in (
            "", "x", "e30", encode_cursor("id", 2), encode_cursor("id", -1), "💥", "a" * 10_000,
            encode_cursor("id", 10**30),
        ):  # fmt: skip
            self.assertIsNone(self.since(cursor), cursor)

    def test_too_much_to_tell(self) -> None:
        """A part would leave the client without the rest: it is to begin anew."""
        cursor = self.page().cursor
        self.patch(transcripts, "MAX_DELTA", 3)
        self.say(*"abc")
        self.assertEqual((self.since(cursor) or [""])[0], "a b c")
        self.say("d")
        self.assertIsNone(self.since(cursor))

    def test_too_large_to_tell(self) -> None:
        cursor = self.page().cursor
        self.patch(transcripts, "MAX_HISTORY_BYTES", 3000)
        self.say(*("x" * 1000 for _ in range(2)))
        self.assertIsNotNone(self.since(cursor))
        self.say("x" * 1000)
        self.assertIsNone(self.since(cursor))

    @given(st.text(), st.integers(0, 2**53))
    def test_cursors_come_back(self, session_id: str, seq: int) -> None:
        self.assertEqual(decode_cursor(encode_cursor(session_id, seq)), (session_id, seq))

    @given(st.text())
    def test_any_text_is_a_cursor_or_none(self, text: str) -> None:
        decode_cursor(text)


class Previews(TranscriptTestCase):
    """`sessions.preview`."""

    def test_the_last_with_text(self) -> None:
        self.say("a", "", "b  c", "x" * 50)
        self.assertEqual(
            read_preview(self.connection, KEY, 3, 20),
            [("user", "b  c"), ("user", "x" * 19 + "…")],
        )

    def test_nothing_to_see(self) -> None:
        self.assertEqual(read_preview(self.connection, KEY, 3, 20), [])
        self.assertIsNone(read_preview(self.connection, "none", 3, 20))
