"""Whatever an event of Slack's holds, it stops nothing that comes after it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels.slack.directory import Conversation, Person
from clawgw.channels.slack.events import (
    Me,
    Picked,
    edit_in_history,
    from_history,
    message_of,
    pick,
)

ME = Me("U0BOT", "B0BOT", "T0TEAM")
FIELDS = (
    "type", "subtype", "channel", "channel_type", "ts", "user", "bot_id", "text", "hidden",
    "message", "previous_message", "edited", "thread_ts", "parent_user_id", "files", "attachments",
    "item", "item_user", "reaction", "event_ts", "username", "hologram_2031", "id", "mode", "url",
    "mimetype", "size", "name", "title", "author_name", "fallback", "is_share",
)  # fmt: skip
SAID = ("message", "app_mention", "message_changed", "reaction_added", "1700000000.123456", "C1")

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(SAID),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5)
    ),
    max_leaves=12,
)
ODD = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=10)


class LyingTests(SynchronousTestCase):
    @given(ODD)
    @settings(max_examples=500)
    def test_any_event(self, event: dict[str, Any]) -> None:
        pick(event, ME)
        for kind in ("message", "app_mention", "reaction_added"):
            self._read(
                pick({"channel": "C1", "ts": "1700000000.123456", **event, "type": kind}, ME)
            )

    @given(ODD)
    @settings(max_examples=500)
    def test_any_message_of_a_history(self, message: dict[str, Any]) -> None:
        from_history(message, "C1", ME)
        picked = from_history({**message, "ts": "1700000000.123456"}, "C1", ME)
        self._read(picked)
        if picked is not None:
            self._read(edit_in_history(picked))

    def _read(self, picked: Picked | None) -> None:
        if picked is None:
            return
        self.assertTrue(picked.id.startswith(picked.channel))
        author = Person(picked.people[0] if picked.people else "")
        conversation = Conversation(picked.channel, "channel", "general")
        found = message_of(picked, author, conversation, ME, lambda _: None)
        self.assertEqual(found.message_id, picked.id)
        self.assertTrue(found.text or found.media)
