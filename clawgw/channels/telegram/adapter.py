"""The Telegram adapter: one bot, received by polling or by a webhook, sent through the Bot API.

What arrives is stored before Telegram may forget it, however it comes (`polling`, `webhook`).
Presses of buttons are acted on before that, so that a crash repeats one rather than loses it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from clawgw.channels.adapter import (
    Adapter,
    Capabilities,
    Fatal,
    Fault,
    Host,
    SendLater,
    SendRefused,
)
from clawgw.channels.format import Format
from clawgw.channels.http import Http, HttpError
from clawgw.channels.messages import Media, Part, Press, Target
from clawgw.channels.presses import outcome
from clawgw.channels.telegram.api import BotApi, BotError, as_fault, as_fetch_error
from clawgw.channels.telegram.edits import Edits
from clawgw.channels.telegram.inbound import Albums, Read, reaction_notice, read
from clawgw.channels.telegram.menu import menu
from clawgw.channels.telegram.outbound import chat_id
from clawgw.channels.telegram.polling import Numbered, Poller
from clawgw.channels.telegram.sender import EDIT_SECONDS, MOVED, BotSender
from clawgw.channels.telegram.settings import TelegramAccount
from clawgw.channels.telegram.token import bot_token
from clawgw.channels.telegram.updates import File, Update, User
from clawgw.channels.telegram.webhook import MOST_CONNECTIONS, WebhookListener

TEXT_LIMIT = 4096
CAPTION_LIMIT = 1024
UPLOAD_BYTES = 50 * 1024 * 1024
TYPING_SECONDS = 4.5
TOAST_CHARS = 200
ALERT_CHARS = 60
WEBHOOK_CHECK_SECONDS = 300.0
_ADDRESS = re.compile(
    r"(?P<chat>-?\d{1,20}|@[A-Za-z]\w{3,31})(?::(?:topic:)?(?P<thread>\d{1,10}))?", re.ASCII
)
_PREFIX = re.compile(r"(telegram:|tg:|group:)|(https?://)?t\.me/@?", re.IGNORECASE)
_PRIVACY = (
    "privacy mode is on, so Telegram shows the bot only what is addressed to it, and "
    "requireMention: false has no effect. Turn it off with /setprivacy at @BotFather, then remove "
    "the bot from the group and add it again"
)


class TelegramAdapter(Adapter[TelegramAccount]):
    """A bot. See `Adapter` for what each method promises."""

    channel = "telegram"
    capabilities = Capabilities(
        format=Format.TELEGRAM,
        text_limit=TEXT_LIMIT,
        caption_limit=CAPTION_LIMIT,
        edits=True,
        edit_seconds=EDIT_SECONDS,
        typing_seconds=TYPING_SECONDS,
        buttons=True,
        polls=True,
        max_media_bytes=UPLOAD_BYTES,
    )

    def __init__(self, account: str, settings: TelegramAccount, host: Host) -> None:
        super().__init__(account, settings, host)
        self._http = Http(host.reactor, "Telegram")
        self._api: BotApi | None = None
        self._sender = BotSender(host, settings, self._bot)
        self._albums = Albums()
        self._edits = Edits()
        self._me = User(id=0)
        self._of_bot = ""
        self._aside: set[Deferred[None]] = set()

    # Receiving

    async def run(self) -> None:
        """See `Adapter.run`."""
        self._api = None  # the token may be another one by now
        try:
            await self._receive()
        except (BotError, HttpError) as error:
            raise as_fault(error) from None
        finally:
            for work in list(self._aside):
                work.cancel()

    async def close(self) -> None:
        """See `Adapter.close`: the connections, and whatever is under way on them."""
        await self._http.close()

    async def _receive(self) -> None:
        api = await self._bot()
        self._me = await api.call("getMe", {}, User)
        cursor = await self.host.cursor()
        await self._keep_apart(cursor)
        self._sender.know_moves(cursor)
        self._beside(self._offer_menu(api))
        if self.settings.webhook_url is not None:
            await self._by_webhook(api, self.settings.webhook_url)
            return
        if "webhook" in cursor:  # it is ours, of another configuration
            await api.call("deleteWebhook", {}, object)
            await self.host.remember({"webhook": None})
        offset = cursor.get(self._of_bot + "offset", "")
        poller = Poller(
            self.host.reactor, api, int(offset) if offset.isdigit() else 0, self._wanted(),
            self._take, self.host.log,
        )  # fmt: skip
        await poller.run(lambda: self._connected("polling"))

    async def _keep_apart(self, cursor: Mapping[str, str]) -> None:
        """Tell what this bot receives from what another did that the account was before.

        Messages and updates are numbered for each bot by itself (core.telegram.org/bots/api,
        "Message" and "Update"), so a message of this one may have the id that one of the other had.
        """
        bot = str(self._me.id)
        first = cursor.get("bot")
        if first is None:
            await self.host.remember({"bot": bot})
        self._of_bot = "" if first in (None, bot) else f"{bot}/"

    def _connected(self, mode: str) -> None:
        name = f"@{self._me.username}" if self._me.username else self._me.name
        self.host.connected(name=name, id=str(self._me.id), mode=mode)
        wants_all = any(rule.require_mention is False for rule in self.settings.groups.values())
        if wants_all and not self._me.can_read_all_group_messages:
            self.host.warn(_PRIVACY)

    def _wanted(self) -> list[str]:
        kinds = ["message", "edited_message", "channel_post", "edited_channel_post"]
        kinds.append("callback_query")
        if self.settings.reaction_notifications != "off":
            kinds.append("message_reaction")
        return kinds

    async def _take(self, found: Sequence[Numbered], offset: int | None) -> None:
        """Store what updates bring, and where to go on; then they may be confirmed."""
        reads = [self._read(update, raw) for update, raw in found]
        for one in reads:
            if one.press is not None:
                await self._pressed(*one.press)
        cursor = {f"{MOVED}{one.moved[0]}": one.moved[1] for one in reads if one.moved is not None}
        self._sender.know_moves(cursor)
        if offset is not None:
            cursor[self._of_bot + "offset"] = str(offset)
        messages, absorbed = self._albums.join(reads)
        if messages or cursor:
            named = [
                replace(one, message_id=self._of_bot + one.message_id) if self._of_bot else one
                for one in messages
            ]
            await self.host.received(named, cursor)
        self._albums.stored(absorbed)

    async def _take_one(self, update: Update, raw: msgspec.Raw) -> None:
        await self._take([(update, raw)], None)

    def _read(self, update: Update, raw: msgspec.Raw) -> Read:
        try:
            found = read(update, self._me, raw)
        except Exception:  # noqa: BLE001 - one odd update must not stop the others for ever
            self.host.log.failure(
                "update {number} cannot be understood; it is skipped", number=update.update_id
            )
            return Read()
        if found.message is not None and not self._edits.changes_something(found.message):
            return Read()
        reaction = found.reaction
        if reaction is None:
            if found == Read() and not _is_known(update):
                self.host.log.warn(
                    "update {number} is skipped: it cannot be read", number=update.update_id
                )
            return found
        text = self._sender.own_text(str(reaction.chat.id), reaction.message_id)
        if text is None and self.settings.reaction_notifications != "all":
            return Read()
        return Read(reaction_notice(reaction, update.update_id, text or ""))

    # Buttons and commands

    async def _pressed(self, query_id: str, press: Press) -> None:
        """Somebody pressed a button; they are told what came of it."""
        told = await outcome(self.host, press)
        self._beside(self._acknowledge(query_id, press, told))

    async def _acknowledge(self, query_id: str, press: Press, told: str) -> None:
        api = await self._bot()
        text = told if len(told) <= TOAST_CHARS else f"{told[: TOAST_CHARS - 1]}…"
        answer: dict[str, Any] = {"callback_query_id": query_id, "text": text}
        if len(text) > ALERT_CHARS:  # too much for a line that vanishes
            answer["show_alert"] = True
        await api.call("answerCallbackQuery", answer, object)
        if press.chat.kind == "direct":  # in a group somebody else may be the one to decide
            place = {"chat_id": chat_id(press.chat.id), "message_id": int(press.message_id)}
            await api.call("editMessageReplyMarkup", place, object)

    async def _offer_menu(self, api: BotApi) -> None:
        await api.call("setMyCommands", {"commands": menu(self.settings)}, object)

    # The webhook

    async def _by_webhook(self, api: BotApi, url: str) -> None:
        settings = self.settings
        secret = settings.webhook_secret or secrets.token_urlsafe(32)
        listener = WebhookListener(
            self.host.reactor, settings.webhook_host, settings.webhook_port, settings.webhook_path,
            secret, self._take_one, self.host.log,
        )  # fmt: skip
        listener.start()
        try:
            await self.host.remember({"webhook": "1"})
            asked = {
                "url": url,
                "secret_token": secret,
                "allowed_updates": self._wanted(),
                "max_connections": MOST_CONNECTIONS,
            }
            await api.call("setWebhook", asked, object)
            self._connected("webhook")
            is_late = False
            while True:
                await deferLater(self.host.reactor, WEBHOOK_CHECK_SECONDS)
                is_late = await self._check_webhook(api, url, is_late)
        finally:
            await listener.stop()

    async def _check_webhook(self, api: BotApi, url: str, was_late: bool) -> bool:
        about = await api.call("getWebhookInfo", {}, _WebhookInfo)
        if about.url != url:
            raise Fault("another program has changed this bot's webhook; it is set again")
        is_late = bool(about.pending_update_count and about.last_error_message)
        why = f"Telegram cannot reach webhookUrl: {about.last_error_message[:200]}"
        if is_late or was_late:  # a warning of something else stays
            self.host.warn(why if is_late else "")
        return is_late

    # Sending

    async def send(self, target: Target, part: Part) -> str:
        """See `Adapter.send`."""
        return await self._sender.send(target, part)

    async def edit(self, target: Target, message_id: str, part: Part) -> None:
        """See `Adapter.edit`."""
        await self._sender.edit(target, message_id, part)

    async def typing(self, target: Target) -> None:
        """See `Adapter.typing`."""
        await self._sender.typing(target)

    def address(self, text: str) -> tuple[str, str | None]:
        """See `Adapter.address`."""
        bare = text.strip()
        prefix = _PREFIX.match(bare)
        if prefix is not None:
            is_link = prefix.group(1) is None
            bare = ("@" if is_link else "") + bare[prefix.end() :].strip()
        found = _ADDRESS.fullmatch(bare)
        if found is None:
            raise ValueError(
                "expected a chat's number (123456789, -1001234567890) or the @name of a channel or "
                "public group, with :topic:<number> behind it for a topic"
            )
        return found["chat"], found["thread"]

    # Files, and who we are

    async def fetch(self, media: Media, path: Path, max_bytes: int) -> Media:
        """See `Adapter.fetch`."""
        if media.size > max_bytes:
            raise SendRefused("the file is larger than allowed")
        try:
            api = await self._bot()
            about = await api.call("getFile", {"file_id": media.ref.get("file_id", "")}, File)
            where = about.file_path
            if not where or where.startswith("/") or ".." in where.split("/"):
                # A server in `--local` mode tells a path of its own disk.
                raise SendRefused("the Bot API server does not give files out")
            found = await api.download(where, path, max_bytes)
        except Fatal as problem:
            raise SendLater(str(problem)) from None
        except OSError as error:
            raise SendLater(f"the file cannot be written: {error.strerror}") from None
        except (BotError, HttpError) as error:
            raise as_fetch_error(error) from None
        return replace(media, path=str(path), size=found.size)

    async def probe(self) -> dict[str, Any]:
        """See `Adapter.probe`."""
        try:
            api = await self._bot()
            me = await api.call("getMe", {}, User)
        except (BotError, HttpError) as error:
            raise as_fault(error) from None
        bot = {
            "id": me.id,
            "username": me.username,
            "name": me.name,
            "canReadAllGroupMessages": me.can_read_all_group_messages,
        }
        try:
            webhook = await api.call("getWebhookInfo", {}, _WebhookInfo)
        except (BotError, HttpError):
            return {"bot": bot}  # the account works; a server that stands for Telegram may not know
        host = urlsplit(webhook.url).hostname
        return {"bot": bot, "webhook": {"host": host, "pending": webhook.pending_update_count}}

    async def _bot(self) -> BotApi:
        """The API with the bot's token.

        Raises:
            Fatal: there is no token.
        """
        if self._api is None:
            token = await bot_token(self.account, self.settings, self.host)
            seconds = float(self.settings.timeout_seconds)
            self._api = BotApi(self._http, self.settings.api_root, token, seconds)
        return self._api

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what nothing depends on, without waiting for it."""
        done: Deferred[None] = Deferred.fromCoroutine(work)
        self._aside.add(done)
        done.addErrback(self._missed)
        done.addCallback(lambda _: self._aside.discard(done))

    def _missed(self, failure: Any) -> None:
        if failure.check(BotError, HttpError, Fatal):
            self.host.log.info("left out: {why}", why=str(failure.value))
        elif failure.check(CancelledError) is None:
            self.host.log.failure("while talking to Telegram", failure)


class _WebhookInfo(msgspec.Struct, frozen=True):
    url: str = ""
    pending_update_count: int = 0
    last_error_message: str = ""


def _is_known(update: Update) -> bool:
    """Whether anything of an update is there but its number."""
    return update != Update(update_id=update.update_id)
