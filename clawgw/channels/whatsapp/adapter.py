"""The WhatsApp account: the sidecar's session as an adapter.

`run` is one life of the sidecar. A login starts a sidecar too, because none runs while no phone is
linked; once the phone has accepted it, `run` takes that one over, so that the connection which
WhatsApp has just set up is not cut again. At most one sidecar uses a login at any time, in this
process because there is one `_session`, and on this host because each holds a lock.

A message is named by the outbox's key, so that one that is sent again is not shown again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred, DeferredLock

from clawgw.channels.adapter import (
    Adapter,
    Capabilities,
    Fault,
    Host,
    LoggedOut,
    LoginProblem,
    LoginStep,
    SendError,
    SendLater,
    SendRefused,
    SendUnknown,
)
from clawgw.channels.format import Format
from clawgw.channels.messages import Inbound, Media, OutMedia, Part, Target
from clawgw.channels.whatsapp.addresses import jid_of, parse_chat
from clawgw.channels.whatsapp.contract import Identity, Message
from clawgw.channels.whatsapp.inbound import inbound, quote
from clawgw.channels.whatsapp.install import Installation
from clawgw.channels.whatsapp.login import INSTALLING, Login, cancelled
from clawgw.channels.whatsapp.session import NOT_LINKED, STOPPED, Session, child_environment
from clawgw.channels.whatsapp.settings import WhatsAppAccount, locks_of
from clawgw.jsonrpc import ProcessGone, RpcError, RpcTimeout

TEXT_LIMIT = 4000
CAPTION_LIMIT = 1024
MEDIA_BYTES = 100 * 1024 * 1024
CONNECT_SECONDS = 60.0
SEND_SECONDS = 60.0
UPLOAD_SECONDS = 170.0
ASK_SECONDS = 20.0
TITLE_SECONDS = 5.0
LOGOUT_SECONDS = 20.0
FIRST_STEP_SECONDS = 20.0
ADOPT_SECONDS = 60.0
LINK_SECONDS = 600.0
MOST_NUMBERS = 10_000
CREDENTIALS = "creds.json"
NOT_IN_TIME = f"no phone was linked within {LINK_SECONDS / 60:.0f} minutes; begin again"

_KINDS = {"file": "document", "voice": "audio"}
_MENTION = re.compile(r"@\+?(\d{6,15})\b", re.ASCII)


class WhatsAppAdapter(Adapter[WhatsAppAccount]):
    """A WhatsApp account."""

    channel = "whatsapp"
    capabilities = Capabilities(
        format=Format.WHATSAPP,
        text_limit=TEXT_LIMIT,
        caption_limit=CAPTION_LIMIT,
        client_ids=True,
        typing_seconds=8.0,
        polls=True,
        max_media_bytes=MEDIA_BYTES,
        needs_connection=True,
        login=True,
        login_by_code=True,
    )

    def __init__(self, account: str, settings: WhatsAppAccount, host: Host) -> None:
        super().__init__(account, settings, host)
        self._environ = child_environment(host.environ)
        self._installation = Installation(
            host.reactor, host.directory, self._environ, host.in_thread, host.log
        )
        self._lock = DeferredLock()
        self._session: Session | None = None
        self._login: Login | None = None
        self._running = False
        self._abandon: Any = None
        self._watching: Deferred[None] | None = None
        self._titles: dict[str, str] = {}
        self._numbers: set[str] = set()

    # The connection

    async def run(self) -> None:
        """See `Adapter.run`."""
        self._running = True
        self._dont_abandon()
        session = None
        try:
            if self._session is None and not await self.host.in_thread(self._may_be_linked):
                raise LoggedOut(NOT_LINKED)  # nothing has to be installed or started to know that
            session = await self._begin()
            await self._follow(session)
        finally:
            self._running = False
            if session is not None:
                await self._end(session)

    async def _follow(self, session: Session) -> None:
        deadline = self.host.reactor.seconds() + CONNECT_SECONDS
        told = False
        while session.end is None:
            if session.connected and not told:
                told = True
                self.host.connected(**_details(session.me))
            if not session.linked and (self._login is None or self._login.over):
                raise LoggedOut(NOT_LINKED)
            left = deadline - self.host.reactor.seconds()
            if session.linked and not told and left <= 0:
                raise Fault(f"no connection to WhatsApp within {CONNECT_SECONDS:.0f} s")
            await session.changed(None if told else max(left, 1.0))
        raise session.end

    async def _begin(self) -> Session:
        """The session there is, or a new one."""
        await self._lock.acquire()
        try:
            session = self._session
            if session is not None and session.end is None:
                return session
            if session is not None:
                await self._end(session)
            return await self._open()
        finally:
            self._lock.release()

    async def _open(self) -> Session:
        command = await self._command()
        directory = await self.host.in_thread(self._make_directory)
        options: dict[str, Any] = {"markOnline": not self.settings.self_chat_mode}
        if self.settings.socket_url is not None:
            options["socketUrl"] = self.settings.socket_url
        session = self._session = Session(self.host.reactor, self.host.log, self._received)
        try:
            locks = locks_of(directory, self.settings, self.host.environ)
            await session.open(command, self._environ, directory, locks, **options)
        except BaseException:
            await self._end(session)
            raise
        return session

    async def _end(self, session: Session, why: str = STOPPED) -> None:
        if self._session is session:
            self._session = None
        await session.stop(why)

    async def _command(self) -> list[str]:
        if self.settings.command is not None:
            return list(self.settings.command)
        command = await self._installation.find()
        if command is None:
            self.host.warn(INSTALLING)
            if self._login is not None:
                self._login.say(INSTALLING)
            try:
                command = await self._installation.install()
            finally:
                self.host.warn("")
        return command

    @property
    def _directory(self) -> Path:
        configured = self.settings.auth_dir
        if configured is None:
            return self.host.directory / "auth"
        return Path(configured).expanduser()

    def _may_be_linked(self) -> bool:
        own = self.settings.command is None
        return not own or (self._directory / CREDENTIALS).is_file()

    def _make_directory(self) -> Path:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self._directory

    # Receiving

    async def _received(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if not message.group and message.sender.phone is not None:
                self._remember_number(message.chat)  # who writes to us need not be looked up
        titles = await self._titles_of({message.chat for message in messages if message.group})
        await self.host.received(
            [self._inbound(message, titles.get(message.chat, "")) for message in messages]
        )

    def _inbound(self, message: Message, title: str) -> Inbound:
        session = self._session
        me = session.me if session is not None and session.me is not None else Identity(jid="")
        return inbound(message, me, title=title, self_chat=self.settings.self_chat_mode)

    def _remember_number(self, jid: str) -> None:
        if len(self._numbers) >= MOST_NUMBERS:
            self._numbers.clear()  # they can be asked for again
        self._numbers.add(jid)

    async def _titles_of(self, jids: Iterable[str]) -> dict[str, str]:
        """What groups are called; all are asked for at once, as each may take its time."""
        asked = {jid: Deferred.fromCoroutine(self._title(jid)) for jid in jids}
        try:
            return {jid: await title for jid, title in asked.items()}
        finally:
            for title in asked.values():
                title.addErrback(lambda _: None)
                title.cancel()

    async def _title(self, jid: str) -> str:
        """What a group is called; empty where that cannot be found out quickly."""
        title = self._titles.get(jid)
        if title is None:
            try:
                answer = await self._ask("group", {"jid": jid}, TITLE_SECONDS)
            except SendError:
                return ""
            title = self._titles[jid] = str(answer.get("subject") or "")
        return title

    async def seen(self, message: Inbound) -> None:
        """See `Adapter.seen`: blue ticks, and a reaction where that is wanted."""
        key = quote(message.reply_id or message.message_id)
        chat = jid_of(message.chat.id)
        if self.settings.send_read_receipts and not message.own and not self._is_me(chat):
            await self._ask("read", {"keys": [{"chat": _raw_chat(message), **key}]}, ASK_SECONDS)
        if self._reacts(message):
            params = {
                "to": chat,
                "id": _message_id(f"ack:{message.message_id}"),
                "target": {**key, "fromMe": self._is_me(chat)},
                "emoji": self.settings.ack_reaction.emoji,
            }
            await self._ask("react", params, ASK_SECONDS)

    def _reacts(self, message: Inbound) -> bool:
        reaction = self.settings.ack_reaction
        if not reaction.emoji or message.kind != "message":
            return False
        if message.chat.kind == "direct":
            return reaction.direct
        return reaction.group == "always" or (reaction.group == "mentions" and message.mentioned)

    def _is_me(self, jid: str) -> bool:
        session = self._session
        me = session.me if session is not None else None
        return me is not None and jid in (me.jid, me.lid)

    async def fetch(self, media: Media, path: Path, max_bytes: int) -> Media:
        """See `Adapter.fetch`."""
        params = {"handle": media.ref, "path": str(path), "maxBytes": max_bytes}
        try:
            got = await self._ask("fetchMedia", params, UPLOAD_SECONDS)
        except SendUnknown as problem:
            raise SendLater(str(problem)) from None
        return replace(media, path=str(path), size=got["size"])

    # Sending

    def address(self, text: str) -> tuple[str, str | None]:
        """See `Adapter.address`."""
        return parse_chat(text), None

    async def reach(self, chat: str) -> str:
        """See `Adapter.reach`: whether a number is on WhatsApp is asked once."""
        jid = jid_of(chat)
        if chat.startswith("+") and jid not in self._numbers and not self._is_me(jid):
            found = (await self._ask("resolve", {"phone": chat}, ASK_SECONDS)).get("jid")
            if found is None:
                raise SendRefused(f"{chat} is not on WhatsApp")
            self._remember_number(jid)
        return jid

    async def send(self, target: Target, part: Part) -> str:
        """See `Adapter.send`."""
        to = jid_of(target.chat)
        message: dict[str, Any] = {"to": to, "id": _message_id(part.key)}
        if part.reply_to is not None:
            message["quoted"] = quote(part.reply_to)
        if part.poll is not None:
            message["poll"] = {
                "question": part.poll.question,
                "options": list(part.poll.options),
                "selectable": part.poll.max_selections,
            }
            return await self._send(message, SEND_SECONDS)
        text = part.text
        media = part.media
        if media is not None and text and media.kind in ("audio", "voice", "sticker"):
            # These have no caption. Both have names of their own, so a retry doubles neither.
            words = {**message, "id": _message_id(f"{part.key}:text"), **_text(text, to)}
            await self._send(words, SEND_SECONDS)
            text = ""
        message.update(_text(text, to))
        if media is not None:
            message["media"] = _media(media)
            return await self._send(message, UPLOAD_SECONDS)
        return await self._send(message, SEND_SECONDS)

    async def _send(self, message: dict[str, Any], seconds: float) -> str:
        return str((await self._ask("send", message, seconds))["id"])

    async def typing(self, target: Target) -> None:
        """See `Adapter.typing`."""
        params = {"to": jid_of(target.chat), "state": "composing"}
        await self._ask("presence", params, ASK_SECONDS)

    async def _ask(self, method: str, params: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Ask the sidecar.

        Raises:
            SendError: it did not do it, or nobody knows.
        """
        session = self._session
        if session is None or session.end is not None:
            raise SendLater("WhatsApp is not connected")
        try:
            answer = await session.request(method, params, seconds)
        except RpcError as problem:
            raise _send_error(problem) from None
        except (RpcTimeout, ProcessGone) as problem:
            raise SendUnknown(f"the WhatsApp sidecar: {problem}") from None
        if not isinstance(answer, dict):
            raise SendUnknown("the WhatsApp sidecar gave no answer that can be read")
        return answer

    # The login

    async def probe(self) -> dict[str, Any]:
        """See `Adapter.probe`."""
        try:
            status = await self._ask("status", {}, ASK_SECONDS)
        except SendError as problem:
            raise Fault(str(problem)) from None
        return {key: status.get(key) for key in ("linked", "open", "self")}

    async def check(self) -> dict[str, Any]:
        """See `Adapter.check`: whether there is a Node.js that runs; a phone is linked later."""
        if self.settings.command is None:
            await self._installation.find()
        return {}

    async def login_start(self, *, force: bool, phone: str | None = None) -> LoginStep:
        """See `Adapter.login_start`."""
        if self._login is not None and not self._login.over:
            await self._login.give_up()
        try:
            if force:
                await self.logout()
            elif self._linked:
                return LoginStep(message=self._linked_words, connected=True)
        except Fault as problem:
            raise LoginProblem(str(problem)) from None
        self._login = Login(self.host.reactor, self._begin_login, phone)
        self._login.start()
        return await self._login.wait(FIRST_STEP_SECONDS)

    async def login_wait(self, seconds: float, shown_qr: str | None = None) -> LoginStep:
        """See `Adapter.login_wait`."""
        if self._login is None:
            if self._linked:
                return LoginStep(message=self._linked_words, connected=True)
            raise LoginProblem("no login is going on; begin one")
        return await self._login.wait(seconds, shown_qr)

    async def logout(self) -> bool:
        """See `Adapter.logout`. Where WhatsApp can be told, it is."""
        session = await self._begin()
        try:
            deadline = self.host.reactor.seconds() + LOGOUT_SECONDS
            while session.linked and not session.connected and session.end is None:
                left = deadline - self.host.reactor.seconds()
                if left <= 0:
                    break
                await session.changed(left)
            if session.end is not None and session.linked:
                await self._end(session)
                session = await self._begin()
            answer = await session.request("logout", {}, LOGOUT_SECONDS)
        except (RpcError, RpcTimeout, ProcessGone) as problem:
            raise Fault(f"the login could not be given up: {problem}") from None
        finally:
            if not self._running:
                await self._end(session)
        return bool(answer.get("loggedOut"))

    @property
    def _linked(self) -> bool:
        return self._running and self._session is not None and self._session.linked

    @property
    def _linked_words(self) -> str:
        me = self._session.me if self._session is not None else None
        return f"WhatsApp is linked already, as {me.phone if me is not None else 'this account'}."

    async def _begin_login(self) -> Session:
        session = await self._begin()
        self._watching = Deferred.fromCoroutine(self._watch(session))
        return session

    async def _watch(self, session: Session) -> None:
        """End a login's session if it fails; if it does not, give `run` some time to take it."""
        deadline = self.host.reactor.seconds() + LINK_SECONDS
        while session.end is None and not session.connected:
            left = deadline - self.host.reactor.seconds()
            if left <= 0:
                await self._end(session, NOT_IN_TIME)
            else:
                await session.changed(left)
        if self._running or self._session is not session:
            return
        if session.end is not None:
            await self._end(session)
        else:
            self._abandon = self.host.reactor.callLater(ADOPT_SECONDS, self._abandoned, session)

    def _abandoned(self, session: Session) -> None:
        self._abandon = None
        self._watching = Deferred.fromCoroutine(self._end(session))

    def _dont_abandon(self) -> None:
        if self._abandon is not None:
            self._abandon.cancel()
            self._abandon = None

    async def close(self) -> None:
        """Give up a login that is going on; the account is not used any more."""
        self._dont_abandon()
        if self._login is not None:
            await self._login.give_up()
        if self._watching is not None:
            await cancelled(self._watching)
        if self._session is not None:
            await self._end(self._session)


def _details(me: Identity | None) -> dict[str, str]:
    """What the status shows of the account."""
    known = {"name": me.name, "id": me.phone or me.jid} if me is not None else {}
    return {key: value for key, value in known.items() if value}


def _message_id(key: str) -> str:
    """WhatsApp's id of a message of ours, as WhatsApp Web's look; the same for the same key."""
    return "3EB0" + hashlib.sha256(key.encode()).hexdigest()[:28].upper()


def _text(text: str, to: str) -> dict[str, Any]:
    """The text, and in a group the people it names by number."""
    if not to.endswith("@g.us"):
        return {"text": text}
    numbers = dict.fromkeys(_MENTION.findall(text))
    if not numbers:
        return {"text": text}
    mentions = [f"{number}@s.whatsapp.net" for number in numbers]
    return {"text": _MENTION.sub(r"@\1", text), "mentions": mentions}


def _media(media: OutMedia) -> dict[str, Any]:
    kind = _KINDS.get(media.kind, media.kind)
    if kind == "sticker" and media.mime_type != "image/webp":
        kind = "image"
    return {
        "kind": kind,
        "path": media.path,
        "mimetype": media.mime_type,
        "name": media.name,
        "voice": media.kind == "voice",
    }


def _raw_chat(message: Inbound) -> str:
    """The chat as WhatsApp names it, which receipts have to repeat."""
    return message.message_id.partition(":")[0]


def _send_error(problem: RpcError) -> SendError:
    reason = problem.data.get("reason") if isinstance(problem.data, dict) else None
    words = f"WhatsApp: {problem}"
    if reason in ("invalid", "refused", "tooLarge", "gone"):
        return SendRefused(words)
    if reason == "unknown":
        return SendUnknown(words)
    return SendLater(words)
