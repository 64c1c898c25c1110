"""What a message without a text was, in brackets: `[location 52.5,13.4]`.

What is a file is not here, but a sticker's emoji is. Things that happen in a chat (somebody joins,
a topic begins) are notices: nobody expects an answer to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from clawgw.channels.telegram.updates import Message, PollAbout, Reaction, User

_ENVELOPE = frozenset(
    (
        "message_id", "message_thread_id", "direct_messages_topic", "from", "sender_chat",
        "sender_boost_count", "sender_business_bot", "sender_tag", "date", "edit_date", "chat",
        "business_connection_id", "forward_origin", "is_topic_message", "is_automatic_forward",
        "reply_to_message", "external_reply", "quote", "reply_to_story", "via_bot",
        "has_protected_content", "is_from_offline", "is_paid_post", "media_group_id",
        "author_signature", "paid_star_count", "link_preview_options", "effect_id",
        "reply_markup", "show_caption_above_media", "has_media_spoiler", "caption_entities",
        "entities", "guest_query_id", "suggested_post_info",
    )
)  # fmt: skip
"""Fields that say something about a message, and are none themselves."""

_HAPPENINGS = re.compile(
    r"^(new_chat_|left_chat_|delete_chat_|group_chat_|supergroup_chat_|channel_chat_|migrate_|"
    r"pinned_|forum_topic_|general_forum_|video_chat_|message_auto_|chat_|boost_|connected_|"
    r"write_access_|proximity_|users_shared|giveaway_|poll_option_|suggested_post_|paid_message_|"
    r"direct_message_|checklist_tasks_|managed_bot_|successful_|refunded_)"
)
_LONGEST = 300


def sort_note(message: Message) -> str | None:
    """What kind of message it is, for those that have no text and are no file."""
    if message.venue is not None:
        place = message.venue
        about = ", ".join(part for part in (place.title, place.address) if part)
        at = f"{place.location.latitude:g},{place.location.longitude:g}"
        return _note(f"venue: {about} ({at})")
    if message.location is not None:
        return _note(f"location {message.location.latitude:g},{message.location.longitude:g}")
    if message.contact is not None:
        card = message.contact
        return _note(
            f"contact: {card.first_name} {card.last_name}".rstrip() + f", {card.phone_number}"
        )
    if message.poll is not None:
        return poll_note(message.poll)
    if message.checklist is not None:
        tasks = ", ".join(task.text for task in message.checklist.tasks)
        return _note(f"checklist: {message.checklist.title} ({tasks})")
    if message.dice is not None:
        return _note(f"dice {message.dice.emoji} {message.dice.value}")
    for name, what in (("game", message.game), ("invoice", message.invoice)):
        if what is not None:
            return _note(f"{name}: {what.title}")
    return None


def poll_note(poll: PollAbout) -> str:
    """`[poll: Lunch? (pizza, pasta)]`."""
    return _note(f"poll: {poll.question} ({', '.join(option.text for option in poll.options)})")


def happening(message: Message) -> str | None:
    """What has happened in the chat, if the message is Telegram's own."""
    if message.new_chat_members:
        return _note(f"{_names(message.new_chat_members)} joined")
    if message.left_chat_member is not None:
        return _note(f"{message.left_chat_member.name} left")
    if message.new_chat_title is not None:
        return _note(f"the group is now called {message.new_chat_title}")
    if message.forum_topic_created is not None:
        return _note(f"topic created: {message.forum_topic_created.name}")
    if message.migrate_to_chat_id is not None:
        return _note(f"the group became a supergroup with the id {message.migrate_to_chat_id}")
    if message.migrate_from_chat_id is not None:
        return _note(f"this supergroup was the group with the id {message.migrate_from_chat_id}")
    return None


def unknown_note(fields: Iterable[str]) -> tuple[str, bool]:
    """A note on a message that we know nothing of, and whether it is something that happened."""
    content = [name for name in fields if name not in _ENVELOPE]
    words = ", ".join(name.replace("_", " ") for name in content) or "unreadable"
    happened = bool(content) and all(_HAPPENINGS.match(name) for name in content)
    return _note(words if happened else f"unsupported message: {words}"), happened


def reaction_note(reaction: Reaction, text: str) -> str:
    """What somebody thinks of a message now.

    Args:
        text: the message, as far as it is known.
    """
    emoji = " ".join(one.emoji or "a custom emoji" for one in reaction.new_reaction)
    about = f' to "{text}"' if text else f" to message {reaction.message_id}"
    return _note(f"reaction {emoji}{about}" if emoji else f"reaction taken back{about}")


def _names(users: Iterable[User]) -> str:
    return ", ".join(user.name for user in users)


def _note(text: str) -> str:
    flat = " ".join(text.split())
    return f"[{flat if len(flat) <= _LONGEST else flat[: _LONGEST - 1] + '…'}]"
