"""What each kind of message is to the agent: a text, a file, or a note that says what it was."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels.messages import Inbound
from clawgw.channels.telegram.inbound import Read, read
from clawgw.channels.telegram.updates import Message, User, mended, read_update

ME = User(id=42, is_bot=True, first_name="Claw", username="claw_test_bot")
ANN = {"id": 1001, "is_bot": False, "first_name": "Ann", "last_name": "Lee", "username": "AnnLee"}
BOT = {"id": 42, "is_bot": True, "first_name": "Claw", "username": "claw_test_bot"}
PRIVATE = {"id": 1001, "type": "private", "first_name": "Ann"}
GROUP = {"id": -1009, "type": "supergroup", "title": "Team"}
FORUM = {**GROUP, "is_forum": True}
FILE = {"file_id": "F1", "file_unique_id": "u", "file_size": 7}


def took(**update: Any) -> Read:
    raw = json.dumps({"update_id": 7, **update}).encode()
    found = read_update(raw)
    assert found is not None
    return read(found, ME, raw)


def said(**content: Any) -> Inbound:
    message = {"message_id": 5, "from": ANN, "chat": PRIVATE, "date": 1_790_000_000, **content}
    found = took(message=message).message
    assert found is not None
    return found


class DamagedTests(SynchronousTestCase):
    """A part of a message breaks the Bot API's rules."""

    def test_what_was_written_is_told_all_the_same(self) -> None:
        found = said(text="hello", sticker="none", message_thread_id="odd")
        self.assertEqual(found.text, "[a part of this message could not be read]\nhello")
        self.assertEqual(found.sent_at, 1_790_000_000_000)
        found = said(text=["no", "text"])
        self.assertEqual(found.text, "[unsupported message: text]")

    def test_what_is_no_unicode_is_replaced(self) -> None:
        for broken in (b'{"update_id": 1, "x": "\\ud83d"}', b'{"update_id": 1, "x": "\xff"}'):
            better = mended(broken)
            assert better is not None
            update = read_update(better)
            assert update is not None
            self.assertEqual(update.update_id, 1)
        self.assertIsNone(mended(b"<html>"))
        self.assertIsNone(mended(b"[" * 100_000))

    def test_posts_and_edits_too(self) -> None:
        post = {"message_id": 5, "chat": {**GROUP, "type": "channel"}, "text": "news", "dice": 6}
        found = took(channel_post=post).message
        assert found is not None
        self.assertIn("news", found.text)
        edit = {"message_id": 5, "from": ANN, "chat": PRIVATE, "edit_date": 9, "text": "new"}
        found = took(edited_message={**edit, "poll": 1}).message
        assert found is not None
        self.assertEqual((found.kind, found.message_id), ("edit", "1001:5:edit:9"))

    def test_it_gives_no_commands(self) -> None:
        self.assertFalse(said(text="/approve 1", entities="odd").text.startswith("/"))


class TextTests(SynchronousTestCase):
    def test_notes(self) -> None:
        option = [{"text": "pizza", "voter_count": 0}, {"text": "pasta", "voter_count": 0}]
        place = {"latitude": 52.5, "longitude": 13.4}
        for content, note in (
            ({"location": place}, "[location 52.5,13.4]"),
            (
                {"venue": {"location": place, "title": "Zoo", "address": "Park 1"},
                 "location": place},
                "[venue: Zoo, Park 1 (52.5,13.4)]",
            ),
            ({"poll": {"id": "1", "question": "Lunch?", "options": option}},
             "[poll: Lunch? (pizza, pasta)]"),
            ({"contact": {"phone_number": "+49", "first_name": "Bo"}}, "[contact: Bo, +49]"),
            ({"dice": {"emoji": "🎯", "value": 6}}, "[dice 🎯 6]"),
            ({"game": {"title": "Chess", "description": "", "photo": []}}, "[game: Chess]"),
            ({"checklist": {"title": "To do", "tasks": [{"id": 1, "text": "sleep"}]}},
             "[checklist: To do (sleep)]"),
            ({"sticker": {**FILE, "emoji": "👍", "is_animated": True}}, "[sticker 👍]"),
            ({"story": {"id": 1}}, "[unsupported message: story]"),
            ({"hologram_2031": {"depth": 3}}, "[unsupported message: hologram 2031]"),
        ):  # fmt: skip
            message = said(**content)
            self.assertEqual((message.text, message.kind), (note, "message"))

    def test_what_happens_in_a_chat_is_a_notice(self) -> None:
        bo = {"id": 5, "is_bot": False, "first_name": "Bo"}
        for content, note in (
            ({"new_chat_members": [bo]}, "[Bo joined]"),
            ({"left_chat_member": bo}, "[Bo left]"),
            ({"new_chat_title": "Band"}, "[the group is now called Band]"),
            ({"forum_topic_created": {"name": "Plans"}}, "[topic created: Plans]"),
            ({"pinned_message": {"message_id": 1}}, "[pinned message]"),
            ({"video_chat_started": {}}, "[video chat started]"),
        ):
            message = said(chat=GROUP, **content)
            self.assertEqual((message.text, message.kind), (note, "notice"))

    def test_links_behind_words_are_shown(self) -> None:
        message = said(
            text="🦞 see here and there",
            entities=[
                {"type": "text_link", "offset": 7, "length": 4, "url": "https://a.example/"},
                {"type": "text_link", "offset": 16, "length": 5, "url": "https://b.example/(x)"},
                {"type": "bold", "offset": 0, "length": 2},
            ],
        )
        self.assertEqual(
            message.text, "🦞 see [here](https://a.example/) and [there](<https://b.example/(x)>)"
        )

    def test_entities_beyond_the_text_do_no_harm(self) -> None:
        link = {"type": "text_link", "offset": 90, "length": -5, "url": "https://a.example/"}
        mention = {"type": "mention", "offset": -4, "length": 1000}
        self.assertEqual(said(text="hi", entities=[link, mention]).text, "hi")

    def test_a_forwarded_message_says_whose_it_is(self) -> None:
        origin = {"type": "hidden_user", "sender_user_name": "Deep Throat", "date": 1}
        self.assertEqual(
            said(text="follow the money", forward_origin=origin).text,
            "[forwarded from Deep Throat]\nfollow the money",
        )

    def test_a_reply_says_to_what(self) -> None:
        earlier = {"message_id": 3, "from": BOT, "chat": PRIVATE, "date": 1, "text": "one two"}
        quoted = said(text="why?", reply_to_message=earlier).quoted
        self.assertIsNotNone(quoted)
        self.assertEqual(
            (quoted.message_id, quoted.text, quoted.sender), ("1001:3", "one two", "Claw")
        )
        part = said(text="why?", reply_to_message=earlier, quote={"text": "two", "position": 4})
        self.assertEqual(part.quoted.text, "two")

    def test_edits(self) -> None:
        message = {"message_id": 5, "from": ANN, "chat": PRIVATE, "date": 1, "edit_date": 99}
        edit = took(edited_message={**message, "text": "better"}).message
        self.assertEqual((edit.message_id, edit.kind), ("1001:5:edit:99", "edit"))
        position = {"latitude": 1, "longitude": 2, "live_period": 60}
        moving = took(edited_message={**message, "location": position}).message
        self.assertEqual(moving.kind, "notice")
        joined = took(edited_message={**message, "new_chat_title": "x"}).message
        self.assertIsNone(joined)


class LyingTests(SynchronousTestCase):
    """Whatever a field holds, the message is taken, at least as a note."""

    FIELDS = tuple(
        name
        for name in Message.__struct_encode_fields__
        if name not in ("message_id", "chat", "from", "sender_chat")
    )

    @given(
        st.dictionaries(
            st.sampled_from((*FIELDS, "hologram_2031")),
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers(-(2**70), 2**70)
                | st.floats(allow_nan=False, allow_infinity=False)
                | st.text(max_size=20)
                | st.just({**FILE, "location": {"latitude": 1, "longitude": 2}}),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(
                        st.sampled_from(("text", "title", "type", "offset", "length", "url", "id")),
                        inner,
                        max_size=4,
                    )
                ),
                max_leaves=8,
            ),
            max_size=6,
        )
    )
    @settings(max_examples=300)
    def test_any_content(self, content: dict[str, Any]) -> None:
        message = said(**content)
        self.assertTrue(message.message_id == "1001:5")
        self.assertEqual(message.sender.id, "1001")
        self.assertTrue(message.text or message.media)


class FileTests(SynchronousTestCase):
    def test_kinds(self) -> None:
        for content, kind, mime_type in (
            ({"voice": FILE}, "voice", "audio/ogg"),
            ({"audio": {**FILE, "mime_type": "audio/mp4"}}, "audio", "audio/mp4"),
            ({"video": FILE}, "video", "video/mp4"),
            ({"video_note": FILE}, "video", "video/mp4"),
            ({"animation": FILE, "document": FILE}, "video", "video/mp4"),
            ({"document": {**FILE, "mime_type": "image/png"}}, "image", "image/png"),
            ({"document": FILE}, "file", "application/octet-stream"),
            ({"sticker": {**FILE, "emoji": "👍"}}, "sticker", "image/webp"),
        ):
            (media,) = said(**content).media
            self.assertEqual((media.kind, media.mime_type), (kind, mime_type))
            self.assertEqual((media.ref, media.size), ({"file_id": "F1"}, 7))

    def test_the_largest_picture_and_its_caption(self) -> None:
        sizes = [
            {"file_id": name, "width": width, "height": 1, "file_size": width}
            for name, width in (("small", 90), ("large", 1280), ("medium", 320))
        ]
        message = said(photo=sizes, caption="look")
        self.assertEqual([media.ref["file_id"] for media in message.media], ["large"])
        self.assertEqual(message.text, "look")

    def test_moving_stickers_are_only_a_note(self) -> None:
        message = said(sticker={**FILE, "emoji": "👍", "is_video": True})
        self.assertEqual((message.text, message.media), ("[sticker 👍]", ()))


class WhoTests(SynchronousTestCase):
    def test_the_bot_and_other_bots_are_not_heard(self) -> None:
        other = {"id": 43, "is_bot": True, "first_name": "Other"}
        for sender in (BOT, other):
            message = {"message_id": 5, "from": sender, "chat": GROUP, "date": 1, "text": "x"}
            self.assertEqual(took(message=message), Read())

    def test_an_anonymous_admin_is_the_group(self) -> None:
        anonymous = {"id": 1087968824, "is_bot": True, "first_name": "Group"}
        message = said(chat=GROUP, sender_chat=GROUP, text="x", **{"from": anonymous})
        self.assertEqual((message.sender.id, message.sender.name), ("-1009", "Team"))

    def test_a_post_of_a_channel(self) -> None:
        channel = {"id": -1007, "type": "channel", "title": "News"}
        post = {"message_id": 5, "chat": channel, "sender_chat": channel, "date": 1, "text": "x"}
        message = took(channel_post=post).message
        self.assertEqual((message.chat.kind, message.sender.id), ("channel", "-1007"))

    def test_a_channels_post_in_its_group_is_not_repeated(self) -> None:
        service = {"id": 777000, "is_bot": False, "first_name": "Telegram"}
        message = {"message_id": 5, "from": service, "chat": GROUP, "date": 1, "text": "x"}
        self.assertEqual(took(message=message), Read())

    def test_names_for_allowlists(self) -> None:
        sender = said(text="x").sender
        self.assertEqual((sender.id, sender.names, sender.name), ("1001", ("@annlee",), "Ann Lee"))

    def test_unknown_updates_are_skipped(self) -> None:
        self.assertEqual(took(purchased_paid_media={"from": ANN}), Read())
        self.assertIsNone(read_update(b'{"update_id":"x"}'))
        self.assertIsNone(read_update(b"[]"))


class GroupTests(SynchronousTestCase):
    def test_who_is_addressed(self) -> None:
        def entity(kind: str, length: int, offset: int = 0, **more: Any) -> list[dict[str, Any]]:
            return [{"type": kind, "offset": offset, "length": length, **more}]

        of_mine = {"message_id": 3, "from": BOT, "chat": GROUP, "date": 1, "text": "x"}
        of_ann = {**of_mine, "from": ANN}
        for content, mentioned, text in (
            ({"text": "hello all"}, False, "hello all"),
            ({"text": "@claw_test_bot: hello", "entities": entity("mention", 14)}, True, "hello"),
            ({"text": "hi @Claw_Test_Bot", "entities": entity("mention", 14, 3)}, True,
             "hi @Claw_Test_Bot"),
            ({"text": "@claw_test_bot_2 hi", "entities": entity("mention", 16)}, False,
             "@claw_test_bot_2 hi"),
            ({"text": "Claw hi", "entities": entity("text_mention", 4, user=BOT)}, True, "Claw hi"),
            ({"text": "/new", "entities": entity("bot_command", 4)}, True, "/new"),
            ({"text": "/new@claw_test_bot now", "entities": entity("bot_command", 18)}, True,
             "/new now"),
            ({"text": "/new@other_bot", "entities": entity("bot_command", 14)}, False,
             "/new@other_bot"),
            ({"text": "why?", "reply_to_message": of_mine}, True, "why?"),
            ({"text": "why?", "reply_to_message": of_ann}, False, "why?"),
            ({"photo": [FILE], "caption": "@claw_test_bot look",
              "caption_entities": entity("mention", 14)}, True, "look"),
        ):  # fmt: skip
            message = said(chat=GROUP, **content)
            self.assertEqual((message.mentioned, message.text), (mentioned, text), content)

    def test_in_a_direct_message_the_bot_is_always_addressed(self) -> None:
        self.assertTrue(said(text="x").mentioned)

    def test_topics(self) -> None:
        began = {
            "message_id": 8, "from": BOT, "chat": FORUM, "date": 1,
            "forum_topic_created": {"name": "Plans"},
        }  # fmt: skip
        in_topic = {"message_thread_id": 8, "is_topic_message": True, "reply_to_message": began}
        message = said(chat=FORUM, text="x", **in_topic)
        self.assertEqual((message.chat.thread, message.quoted), ("8", None))
        self.assertFalse(message.mentioned, "every message of a topic seems a reply to its start")
        self.assertEqual(said(chat=FORUM, text="x").chat.thread, "1")
        self.assertIsNone(said(chat=GROUP, text="x", message_thread_id=8).chat.thread)

    def test_ids_are_unique_over_chats(self) -> None:
        ids = {said(chat=chat, text="x").message_id for chat in (PRIVATE, GROUP)}
        self.assertEqual(ids, {"1001:5", "-1009:5"})
