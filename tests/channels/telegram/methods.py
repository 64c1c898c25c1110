"""The methods of the Bot API a bot of ours may call: each checks what it is asked, and does it.

Checked is what the documentation says of each parameter, and the errors are Telegram's. Stricter
than Telegram in two points, so that a test notices our mistakes: a number that is none is an error
(Telegram takes it for 0), and a parameter the method does not have is noted in `complaints`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.channels.telegram.errors import ApiError, bad
from tests.channels.telegram.markup import MarkupError, parse_html, utf16_length
from tests.channels.telegram.world import GENERAL_TOPIC, Chat, Json, Sent, Upload, World


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TEXT_LIMIT = 4096
CAPTION_LIMIT = 1024
CALLBACK_DATA_LIMIT = 64
PHOTO_LIMIT = 10 << 20
UPLOAD_LIMIT = 50 << 20
DOWNLOAD_LIMIT = 20 << 20
ACTIONS = _words(
    "typing upload_photo record_video upload_video record_voice upload_voice upload_document "
    "choose_sticker find_location record_video_note upload_video_note"
)
REACTIONS = _words(
    "❤ 👍 👎 🔥 🥰 👏 😁 🤔 🤯 😱 🤬 😢 🎉 🤩 🤮 💩 🙏 👌 🕊 🤡 🥱 🥴 😍 🐳 "
    "❤‍🔥 🌚 🌭 💯 🤣 ⚡ 🍌 🏆 💔 🤨 😐 🍓 🍾 💋 🖕 😈 😴 😭 🤓 👻 👨‍💻 👀 🎃 🙈 "
    "😇 😨 🤝 ✍ 🤗 🫡 🎅 🎄 ☃ 💅 🤪 🗿 🆒 💘 🙉 🦄 😘 💊 🙊 😎 👾 🤷‍♂ 🤷 🤷‍♀ "
    "😡 "
)
_TO_A_CHAT = _words(
    "business_connection_id chat_id message_thread_id direct_messages_topic_id "
    "disable_notification protect_content allow_paid_broadcast message_effect_id "
    "suggested_post_parameters reply_parameters reply_markup"
)
_CAPTIONED = _words("caption parse_mode caption_entities")
MEDIA = {
    "sendPhoto": "photo", "sendDocument": "document", "sendVoice": "voice", "sendAudio": "audio",
    "sendVideo": "video", "sendAnimation": "animation",
}  # fmt: skip
PARAMETERS: dict[str, frozenset[str]] = {
    "getMe": frozenset(),
    "getUpdates": frozenset(("offset", "limit", "timeout", "allowed_updates")),
    "setWebhook": _words(
        "url certificate ip_address max_connections allowed_updates drop_pending_updates "
        "secret_token"
    ),
    "deleteWebhook": frozenset(("drop_pending_updates",)),
    "getWebhookInfo": frozenset(),
    "sendMessage": _TO_A_CHAT | {"text", "parse_mode", "entities", "link_preview_options"},
    "sendPhoto": _TO_A_CHAT | _CAPTIONED | {"photo", "has_spoiler", "show_caption_above_media"},
    "sendDocument": _TO_A_CHAT
    | _CAPTIONED
    | {"document", "thumbnail", "disable_content_type_detection"},
    "sendVoice": _TO_A_CHAT | _CAPTIONED | {"voice", "duration"},
    "sendAudio": _TO_A_CHAT
    | _CAPTIONED
    | {"audio", "duration", "performer", "title", "thumbnail"},
    "sendVideo": _TO_A_CHAT
    | _CAPTIONED
    | {"video", "duration", "width", "height", "thumbnail", "supports_streaming"},
    "sendAnimation": _TO_A_CHAT
    | _CAPTIONED
    | {"animation", "duration", "width", "height", "thumbnail"},
    "sendPoll": _TO_A_CHAT
    | {
        "question", "options", "is_anonymous", "type", "allows_multiple_answers", "open_period",
        "close_date", "is_closed", "correct_option_ids", "explanation",
    },
    "sendMessageDraft": frozenset(
        ("chat_id", "message_thread_id", "draft_id", "text", "parse_mode", "entities")
    ),
    "sendChatAction": frozenset(
        ("business_connection_id", "chat_id", "message_thread_id", "action")
    ),
    "editMessageText": _words(
        "business_connection_id chat_id message_id inline_message_id text parse_mode entities "
        "link_preview_options reply_markup"
    ),
    "editMessageReplyMarkup": frozenset(
        ("business_connection_id", "chat_id", "message_id", "inline_message_id", "reply_markup")
    ),
    "deleteMessage": frozenset(("chat_id", "message_id")),
    "answerCallbackQuery": frozenset(
        ("callback_query_id", "text", "show_alert", "url", "cache_time")
    ),
    "setMessageReaction": frozenset(("chat_id", "message_id", "reaction", "is_big")),
    "getFile": frozenset(("file_id",)),
    "getChat": frozenset(("chat_id",)),
    "setMyCommands": frozenset(("commands", "scope", "language_code")),
}  # fmt: skip
NAMES = {name.lower(): name for name in PARAMETERS}
_IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM")


@dataclass
class Call:
    """A method with its parameters; from JSON they have types, from a form they are text."""

    method: str
    params: Json
    files: dict[str, Upload]

    def integer(self, name: str, default: int | None = None) -> int | None:
        """A number, or the default where there is none."""
        value = self.params.get(name)
        if value is None or value == "":
            return default
        if isinstance(value, bool) or not re.fullmatch(r"-?\d+", str(value)):
            raise bad(f"wrong parameter {name} in request")
        return int(value)

    def text(self, name: str) -> str:
        """A text, empty where there is none."""
        value = self.params.get(name, "")
        if not isinstance(value, str):
            raise bad(f"{name} must be a String")
        return value

    def structure(self, name: str, kind: type, what: str) -> Any:
        """A JSON-serialised object or array, or None."""
        value = self.params.get(name)
        if isinstance(value, str):
            if not value:
                return None
            try:
                value = json.loads(value)
            except ValueError:
                raise bad(f"can't parse {what} JSON object") from None
        if value is not None and not isinstance(value, kind):
            raise bad(f"{'object' if kind is dict else 'array'} expected as {what}")
        return value

    def flag(self, name: str) -> bool:
        """A Boolean."""
        return self.params.get(name) in (True, "true", "True", "1", "yes")


def call_method(world: World, call: Call, complaints: list[str]) -> Any:
    """Do what the call says; `getUpdates` and the webhook are the server's, not here.

    Raises:
        ApiError: what it is answered with instead.
    """
    unknown = set(call.params) | set(call.files)
    complaints += [
        f"{call.method}: there is no parameter {name}"
        for name in sorted(unknown - PARAMETERS[call.method])
        if not _is_attached(call, name)
    ]
    if call.method in MEDIA:
        return _send_media(world, call)
    return _METHODS[call.method](world, call)


def _is_attached(call: Call, name: str) -> bool:
    return name in call.files and f"attach://{name}" in map(str, call.params.values())


def _get_me(world: World, call: Call) -> Json:
    return world.me


def _send_message(world: World, call: Call) -> Json:
    text, entities = _formatted(call, "text", "entities", TEXT_LIMIT, "message is too long")
    if not text.strip():
        raise bad("message text is empty")
    return _post(world, call, {"text": text, **_some("entities", entities)}, text, entities)


def _send_media(world: World, call: Call) -> Json:
    kind = MEDIA[call.method]
    upload = _uploaded(world, call, kind)
    caption, entities = _formatted(
        call, "caption", "caption_entities", CAPTION_LIMIT, "message caption is too long"
    )
    about = world.file(upload.data, upload.name, upload.content_type, None)
    content: Json = {kind: {**about, "file_name": upload.name, "mime_type": upload.content_type}}
    if kind == "photo":
        if not upload.data.startswith(_IMAGE_STARTS):
            raise bad("IMAGE_PROCESS_FAILED")
        content = {"photo": [{**about, "width": 100, "height": 100}]}
    content |= {**_some("caption", caption), **_some("caption_entities", entities)}
    return _post(world, call, content, caption, entities, upload)


def _uploaded(world: World, call: Call, kind: str) -> Upload:
    named = call.text(kind)
    field = named.removeprefix("attach://") if named.startswith("attach://") else kind
    upload = call.files.get(field)
    if upload is None and named in world.files:
        upload = world.files[named]
    if upload is None and named.startswith(("http://", "https://")):
        raise bad("failed to get HTTP URL content")
    if upload is None and named:
        raise bad("wrong remote file identifier specified: Wrong string length")
    if upload is None:
        raise bad(f"there is no {kind} in the request")
    if not upload.data:
        raise bad("file must be non-empty")
    if len(upload.data) > (PHOTO_LIMIT if kind == "photo" else UPLOAD_LIMIT):
        raise ApiError(413, "Request Entity Too Large")
    return upload


def _send_poll(world: World, call: Call) -> Json:
    question = call.text("question")
    if not question.strip():
        raise bad("poll question must be non-empty")
    if utf16_length(question) > 300:
        raise bad("poll question length must not exceed 300")
    options = call.structure("options", list, "options") or []
    texts = [option.get("text") if isinstance(option, dict) else option for option in options]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise bad("poll options must be non-empty")
    if not texts:
        raise bad("poll must have at least 1 option")
    if len(texts) > 12:
        raise bad("poll can't have more than 12 options")
    if any(utf16_length(text) > 100 for text in texts):
        raise bad("poll options length must not exceed 100")
    period = call.integer("open_period")
    if period is not None and not 5 <= period <= 2_628_000:
        raise bad("wrong open period specified")
    poll = {
        "id": "5" + str(len(world.sent)), "question": question, "total_voter_count": 0,
        "options": [{"text": text, "voter_count": 0} for text in texts],
        "is_anonymous": call.params.get("is_anonymous") not in (False, "false"),
        "allows_multiple_answers": call.flag("allows_multiple_answers"),
        "type": call.text("type") or "regular", "is_closed": call.flag("is_closed"),
    }  # fmt: skip
    return _post(world, call, {"poll": poll}, question, [])


def _post(
    world: World, call: Call, content: Json, text: str, entities: list[Json],
    upload: Upload | None = None,
) -> Json:  # fmt: skip
    chat = world.chat_for_writing(call.params.get("chat_id"))
    thread = _thread(chat, call)
    reply_to = _replied(world, chat, call)
    markup = _markup(call)
    if thread is not None:
        content |= {"message_thread_id": thread, "is_topic_message": True}
    if reply_to is not None:
        content["reply_to_message"] = world.messages[chat.id, reply_to]
    content |= _some("reply_markup", markup)
    message = world.bot_says(chat, content)
    world.sent.append(
        Sent(
            call.method, chat.id, message["message_id"], text, entities, call.params, upload,
            reply_to, thread, markup,
        )
    )  # fmt: skip
    return message


def _send_draft(world: World, call: Call) -> bool:
    chat = world.chat_for_writing(call.integer("chat_id"))
    if chat.about["type"] != "private":
        raise bad("TEXTDRAFT_PEER_INVALID")
    if not call.integer("draft_id"):
        raise bad("RANDOM_ID_INVALID")
    text, _entities = _formatted(call, "text", "entities", TEXT_LIMIT, "message is too long")
    world.drafts.append({**call.params, "text": text})
    return True


def _send_action(world: World, call: Call) -> bool:
    chat = world.chat_for_writing(call.params.get("chat_id"))
    action = call.text("action")
    if action not in ACTIONS:
        raise bad("wrong parameter action in request")
    thread = _thread(chat, call) if call.integer("message_thread_id") != GENERAL_TOPIC else 1
    world.actions.append((chat.id, action, thread))
    return True


def _edit_text(world: World, call: Call) -> Json:
    sent = _edited(world, call)
    text, entities = _formatted(call, "text", "entities", TEXT_LIMIT, "MESSAGE_TOO_LONG")
    if not text.strip():
        raise bad("message text is empty")
    markup = _markup(call)
    if (text, entities, markup) == (sent.text, sent.entities, sent.markup):
        raise _not_modified()
    sent.edits.append(sent.text)
    sent.text, sent.entities, sent.markup = text, entities, markup
    return _shown(world, sent)


def _edit_markup(world: World, call: Call) -> Json:
    sent = _edited(world, call)
    markup = _markup(call)
    if markup == sent.markup:
        raise _not_modified()
    sent.markup = markup
    return _shown(world, sent)


def _shown(world: World, sent: Sent) -> Json:
    message = world.messages[sent.chat_id, sent.message_id]
    for name in ("entities", "reply_markup"):
        message.pop(name, None)
    message |= _some("entities", sent.entities) | _some("reply_markup", sent.markup)
    if "text" in message:
        message["text"] = sent.text
    return message


def _not_modified() -> ApiError:
    return bad(
        "message is not modified: specified new message content and reply markup are exactly the "
        "same as a current content and reply markup of the message"
    )


def _edited(world: World, call: Call) -> Sent:
    chat = world.chat_for_writing(call.params.get("chat_id"))
    message_id = call.integer("message_id")
    if message_id is None:
        raise bad("message identifier is not specified")
    for sent in world.sent:
        if (sent.chat_id, sent.message_id) == (chat.id, message_id) and not sent.deleted:
            return sent
    known = (chat.id, message_id) in world.messages
    raise bad("message can't be edited" if known else "message to edit not found")


def _delete(world: World, call: Call) -> bool:
    chat = world.chat_for_writing(call.params.get("chat_id"))
    message_id = call.integer("message_id")
    if (chat.id, message_id) not in world.messages:
        raise bad("message to delete not found")
    del world.messages[chat.id, message_id]
    for sent in world.sent:
        if (sent.chat_id, sent.message_id) == (chat.id, message_id):
            sent.deleted = True
    return True


def _answer_query(world: World, call: Call) -> bool:
    query_id = call.text("callback_query_id")
    if query_id not in world.queries or query_id in world.answered:
        raise bad("query is too old and response timeout expired or query ID is invalid")
    if utf16_length(call.text("text")) > 200:
        raise bad("MESSAGE_TOO_LONG")
    world.answered[query_id] = call.params
    return True


def _react(world: World, call: Call) -> bool:
    chat = world.chat_for_writing(call.params.get("chat_id"))
    message_id = call.integer("message_id")
    if message_id is None or (chat.id, message_id) not in world.messages:
        raise bad("message to react not found")
    reactions = call.structure("reaction", list, "reaction types") or []
    if len(reactions) > 1:
        raise bad("REACTIONS_TOO_MANY")
    for reaction in reactions:
        if reaction.get("type") == "emoji" and reaction.get("emoji") not in REACTIONS:
            raise bad("REACTION_INVALID")
    world.reactions[chat.id, message_id] = reactions
    return True


def _get_file(world: World, call: Call) -> Json:
    file_id = call.text("file_id")
    upload = world.files.get(file_id)
    if upload is None:
        raise bad("wrong file_id or the file is temporarily unavailable")
    if len(upload.data) > DOWNLOAD_LIMIT:
        raise bad("file is too big")
    return {
        "file_id": file_id, "file_unique_id": "u" + file_id[-8:], "file_size": len(upload.data),
        "file_path": f"documents/{file_id}",
    }  # fmt: skip


def _get_chat(world: World, call: Call) -> Json:
    return world.chat_for_writing(call.params.get("chat_id")).about


def _set_commands(world: World, call: Call) -> bool:
    commands = call.structure("commands", list, "commands") or []
    for command in commands:
        if not re.fullmatch(r"[a-z0-9_]{1,32}", str(command.get("command"))):
            raise bad("BOT_COMMAND_INVALID")
        if not 1 <= utf16_length(str(command.get("description", ""))) <= 256:
            raise bad("BOT_COMMAND_DESCRIPTION_INVALID")
    world.commands = commands
    return True


def _formatted(
    call: Call, name: str, entities_name: str, limit: int, too_long: str
) -> tuple[str, list[Json]]:
    source = call.text(name)
    if len(source.encode()) > 1 << 15:
        raise bad("text is too long")
    entities = call.structure(entities_name, list, "entities") or []
    mode = call.text("parse_mode").lower()
    text = source
    if mode == "html":
        try:
            text, entities = parse_html(source)
        except MarkupError as error:
            raise bad(f"can't parse entities: {error}") from None
    elif mode:
        raise bad("unsupported parse_mode")
    if utf16_length(text) > limit:
        raise bad(too_long)
    return text.strip(), entities


def _thread(chat: Chat, call: Call) -> int | None:
    thread = call.integer("message_thread_id")
    if not thread:
        return None
    if chat.about.get("is_forum") and (thread == GENERAL_TOPIC or thread not in chat.topics):
        raise bad("message thread not found")
    return thread if chat.about.get("is_forum") else None


def _replied(world: World, chat: Chat, call: Call) -> int | None:
    about = call.structure("reply_parameters", dict, "reply parameters")
    if about is None:
        return None
    message_id = about.get("message_id")
    if not isinstance(message_id, int) or isinstance(message_id, bool):
        raise bad('can\'t parse reply parameters: Field "message_id" must be of type Number')
    if (chat.id, message_id) in world.messages:
        return message_id
    if about.get("allow_sending_without_reply"):
        return None
    raise bad("message to be replied not found")


def _markup(call: Call) -> Json | None:
    markup: Json | None = call.structure("reply_markup", dict, "reply markup")
    if not markup:
        return None
    rows = markup.get("inline_keyboard", [])
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad('field "inline_keyboard" of the InlineKeyboardMarkup must be an Array of Arrays')
    for button in (button for row in rows for button in row):
        _check_button(button)
    return markup


def _check_button(button: Any) -> None:
    if not isinstance(button, dict):
        raise bad("can't parse inline keyboard button: InlineKeyboardButton must be an Object")
    if not isinstance(button.get("text"), str) or not button["text"]:
        raise bad('can\'t parse inline keyboard button: Field "text" must be of type String')
    if not button.get("callback_data") and not button.get("url"):
        raise bad(
            "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"
        )
    if len(button.get("callback_data", "").encode()) > CALLBACK_DATA_LIMIT:
        raise bad("BUTTON_DATA_INVALID")


def _some(name: str, value: Any) -> Json:
    return {name: value} if value else {}


_METHODS: dict[str, Callable[[World, Call], Any]] = {
    "getMe": _get_me,
    "sendMessage": _send_message,
    "sendPoll": _send_poll,
    "sendMessageDraft": _send_draft,
    "sendChatAction": _send_action,
    "editMessageText": _edit_text,
    "editMessageReplyMarkup": _edit_markup,
    "deleteMessage": _delete,
    "answerCallbackQuery": _answer_query,
    "setMessageReaction": _react,
    "getFile": _get_file,
    "getChat": _get_chat,
    "setMyCommands": _set_commands,
}
