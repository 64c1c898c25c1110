"""The iMessage adapter: Messages on a Mac, through `imsg rpc` as a child.

`imsg` reads the database of Messages, which keeps everything, so nothing is lost however things
end: what is stored here is stored together with the number of its row, and the next child is told
to go on after that. The first time, only what comes from then on counts; and what was written
before that first time never does, for iCloud brings a new Mac its old messages in any order, under
new numbers.

Messages takes no id of ours. Whether something was sent is found out by looking: before a send the
newest row is noted, and afterwards a row of ours after that one, in that chat, with the same text
or file is it. It is not looked for while `imsg` may still be sending.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError

from clawgw.channels.adapter import (
    Adapter,
    Capabilities,
    Fatal,
    Fault,
    Host,
    SendError,
    SendLater,
    SendRefused,
    SendUnknown,
)
from clawgw.channels.child import RpcLink, open_link
from clawgw.channels.format import Format
from clawgw.channels.imessage import targets
from clawgw.channels.imessage.files import Files, file_name
from clawgw.channels.imessage.notes import Notes
from clawgw.channels.imessage.rows import Row, inbound, row_of, said, unreadable
from clawgw.channels.imessage.settings import IMessageAccount
from clawgw.channels.intake import Intake
from clawgw.channels.messages import Media, Part, Target
from clawgw.jsonrpc import INTERNAL_ERROR, METHOD_NOT_FOUND, ProcessGone, RpcError, RpcTimeout

ASK_SECONDS = 30.0
SEND_SECONDS = 120.0
CONNECT_SECONDS = 10.0
SETTLE_SECONDS = 15.0
HUNG_SECONDS = 900.0
NOT_FOUND = 127
LOOKED_THROUGH = 200
CLOCKS_DIFFER_SECONDS = 300.0
EVERY_ROW = -1
"""For `imsg`: from the first row on; 0 means from the newest on (its MessageWatcher.swift)."""
REMEMBERED = 500
MAX_FILE = 100 * 1024 * 1024


class IMessageAdapter(Adapter[IMessageAccount]):
    """One Mac."""

    channel = "imessage"
    capabilities = Capabilities(
        format=Format.PLAIN,
        text_limit=4000,
        finds=True,
        max_media_bytes=MAX_FILE,
        needs_connection=True,
    )

    def __init__(self, account: str, settings: IMessageAccount, host: Host) -> None:
        super().__init__(account, settings, host)
        self._name = f"imessage ({account})"
        self._files = Files(host.reactor, settings.remote_host, host.environ, host.in_thread)
        self._link: RpcLink | None = None
        self._intake = Intake(host.received, lambda _: None)
        self._newest = 0
        self._ours: OrderedDict[str, None] = OrderedDict()
        self._sending: set[str] = set()
        self._notes = Notes()
        self._broken: Deferred[str] = Deferred()

    # Receiving

    async def run(self) -> None:
        """See `Adapter.run`."""
        self._intake = Intake(self.host.received, lambda on: _hold(link, on))
        self._broken = Deferred()
        link = await self._open()
        try:
            await self._serve(link)
        except ProcessGone as problem:
            raise Fault(f"imsg: {_ended(str(problem))}") from None
        finally:
            self._link = None
            self._sending.clear()
            await link.stop()

    async def _open(self) -> RpcLink:
        """Start imsg.

        Raises:
            Fatal: it cannot be started.
        """
        try:
            return await open_link(
                self.host.reactor, self.settings.words, name=self._name, env=self.host.environ,
                on_request=_nothing, on_notification=self._heard, connect_timeout=CONNECT_SECONDS,
            )  # fmt: skip
        except ProcessGone as problem:
            raise Fatal(f"{problem}: install imsg, or set channels.imessage.cliPath") from None

    async def _serve(self, link: RpcLink) -> None:
        """Watch, and store what is seen, until the child has ended or can watch no more."""
        link.ended.addCallback(self._over)
        storing = Deferred.fromCoroutine(self._intake.run())
        try:
            await self._ask_of(link, "watch.subscribe", {
                **await self._where_to_begin(link),
                "attachments": True,
                "include_reactions": self.settings.reaction_notifications != "off",
            })  # fmt: skip
            self._link = link
            self.host.connected(mode="child")
            await storing
        except (RpcError, RpcTimeout) as problem:
            raise Fault(f"imsg: {_said(problem)}") from None
        finally:
            storing.addErrback(lambda _: None)
            storing.cancel()
        raise Fault(f"imsg: {_ended(await self._broken)}")

    def _over(self, reason: str) -> None:
        """Nothing more will be heard."""
        if not self._broken.called:
            self._broken.callback(reason)
        self._intake.finish()

    async def _chats(self, link: RpcLink) -> Any:
        """The first answer of an imsg that has just been started: the newest chat.

        Raises:
            Fatal: `imsg` may not read the database.
        """
        seconds = self.settings.startup_timeout_ms / 1000
        try:
            return await link.request("chats.list", {"limit": 1}, timeout=seconds)
        except RpcTimeout:
            raise Fault(f"imsg did not start within {seconds:g} s") from None
        except RpcError as problem:
            raise _cannot_start(problem) from None

    async def _where_to_begin(self, link: RpcLink) -> dict[str, Any]:
        """What to watch: the rows after the last one that is stored, but none that is too old.

        Raises:
            Fatal: `imsg` may not read the database.
        """
        chats = _list(await self._chats(link), "chats")
        cursor = await self.host.cursor()
        self._notes = Notes(cursor.get("sends"))
        for guid in self._notes.guids:
            self._remember_ours(guid)
        if "rowid" not in cursor:
            cursor = await self._first_cursor(link, chats)
            await self.host.remember(cursor)
        self._newest = int(cursor["rowid"])
        began = cursor.get("began")
        return {"since_rowid": self._newest, **({"start": began} if began else {})}

    async def _first_cursor(self, link: RpcLink, chats: list[dict[str, Any]]) -> dict[str, str]:
        """The newest row of the newest chat, and the time; no chats: Messages is still empty."""
        newest = EVERY_ROW
        if chats:
            number = chats[0].get("id")
            newest = await self._newest_row(link, number) if isinstance(number, int) else 0
        began = datetime.fromtimestamp(self.host.reactor.seconds() - CLOCKS_DIFFER_SECONDS, UTC)
        return {"rowid": str(newest), "began": began.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def _heard(self, method: str, params: dict[str, Any]) -> None:
        if method == "message":
            self._seen(params.get("message"))
        elif method == "error":
            error = params.get("error")
            said = error.get("message") if isinstance(error, dict) else None
            self._over(f"it cannot watch any more: {str(said)[:200]}")

    def _seen(self, value: Any) -> None:
        try:
            row = row_of(value)
        except ValueError as problem:
            self.host.log.warn("{why}", why=str(problem))
            note = unreadable(value, self.settings.groups)
            if note is not None:
                self._intake.put(note)
            return
        if row.is_from_me:
            self._remember_ours(row.guid)
        message = inbound(
            row,
            our_guids=self._ours,
            groups=self.settings.groups,
            reactions=self.settings.reaction_notifications,
            attachments=self.settings.include_attachments,
        )
        self._newest = max(self._newest, row.id)
        self._intake.put(message, {"rowid": str(self._newest)})

    def _remember_ours(self, guid: str) -> None:
        self._ours[guid] = None
        if len(self._ours) > REMEMBERED:
            self._ours.popitem(last=False)

    # Sending

    async def send(self, target: Target, part: Part) -> str:
        """See `Adapter.send`."""
        link = self._link
        if link is None or not link.running:
            raise SendLater("imsg is not running")
        if part.key in self._sending:
            raise SendLater("it is still being sent", SETTLE_SECONDS)
        params = targets.parameters(target.chat, self.settings.service, self.settings.region)
        if part.text:
            params["text"] = part.text
        await self._note(link, target.chat, part.key)
        if part.media is None:
            return await self._send(link, part.key, params)
        params["file"] = await self._files.place(part.media, part.key)
        try:
            return await self._send(link, part.key, params)
        finally:
            await self._files.discard(part.media, part.key)

    async def _send(self, link: RpcLink, key: str, params: dict[str, Any]) -> str:
        self._sending.add(key)
        asked = link.request("send", params)
        waiting: Deferred[Any] = Deferred()

        def settled(result: Any) -> None:
            self._sending.discard(key)
            if not waiting.called:
                waiting.callback(result)

        asked.addBoth(settled)
        waiting.addTimeout(SEND_SECONDS, self.host.reactor)
        try:
            answer = await waiting
        except RpcError as problem:
            failure = _failure(problem)
            if isinstance(failure, SendRefused):
                self._notes.forget(key)
            raise failure from None
        except ProcessGone as problem:
            raise SendUnknown(f"imsg ended while it was sending: {problem}") from None
        except TimeoutError:
            raise SendUnknown("imsg did not answer in time") from None
        guid = answer.get("guid") if isinstance(answer, dict) else None
        if isinstance(guid, str) and guid:
            self._remember_ours(guid)
        else:
            guid = f"sent:{key}"  # imsg does not always see the row in time
        self._notes.complete(key, guid)
        await self._keep_notes()
        return guid

    async def _keep_notes(self) -> None:
        await self.host.remember({"sends": self._notes.text})

    async def _note(self, link: RpcLink, chat: str, key: str) -> None:
        """Write down what the newest row is, and when that was.

        Raises:
            SendLater
        """
        try:
            number = await self._number(link, chat)
            newest = 0 if number is None else await self._newest_row(link, number)
        except (RpcError, RpcTimeout, ProcessGone) as problem:
            raise SendLater(f"imsg: {_said(problem)}") from None
        newest = max(newest, self._newest)
        self._notes.begin(key, newest, int(self.host.reactor.seconds()))
        await self._keep_notes()

    async def find(self, target: Target, part: Part) -> str | None:
        """See `Adapter.find`."""
        link = self._link
        if link is None:
            raise SendLater("imsg is not running")
        note = self._notes.get(part.key)
        if note is None or note.guid is not None:
            return None if note is None else note.guid  # not even begun, or done
        wait = note.at + SETTLE_SECONDS - self.host.reactor.seconds()
        if part.key in self._sending and wait < -HUNG_SECONDS:
            self.host.log.warn("imsg has not answered for {s:g} s; it is ended", s=HUNG_SECONDS)
            link.stop()
        if part.key in self._sending or wait > 0:
            raise SendLater("it may still be under way", max(wait, 1.0))
        try:
            row = await self._look(link, target.chat, part, note.after)
        except (RpcError, RpcTimeout, ProcessGone) as problem:
            raise SendLater(f"imsg: {_said(problem)}") from None
        if row is None:
            return None
        self._remember_ours(row.guid)
        self._notes.complete(part.key, row.key)
        return row.key

    async def _look(self, link: RpcLink, chat: str, part: Part, after: int) -> Row | None:
        """Our first row after one in a chat that is this part."""
        number = await self._number(link, chat)
        if number is None:
            return None
        answer = await self._ask_of(link, "messages.history", {
            "chat_id": number, "limit": LOOKED_THROUGH, "attachments": part.media is not None,
        })  # fmt: skip
        rows = [row_of(value) for value in _list(answer, "messages")]
        for row in sorted(rows, key=lambda row: row.id):
            if row.id > after and row.is_from_me and _is_part(row, part):
                return row
        return None

    async def _number(self, link: RpcLink, chat: str) -> int | None:
        """A chat's number; None if there is no such chat yet."""
        number = targets.number_of(chat)
        if number is not None:
            return number
        answer = await self._ask_of(link, "chats.list", {"limit": LOOKED_THROUGH})
        for listed in _list(answer, "chats"):
            if targets.is_meant(chat, listed) and isinstance(listed.get("id"), int):
                return int(listed["id"])
        return None

    async def _newest_row(self, link: RpcLink, number: int) -> int:
        answer = await self._ask_of(link, "messages.history", {"chat_id": number, "limit": 1})
        return max((row_of(value).id for value in _list(answer, "messages")), default=0)

    async def _ask_of(self, link: RpcLink, method: str, params: dict[str, Any]) -> Any:
        return await link.request(method, params, timeout=ASK_SECONDS)

    def address(self, text: str) -> tuple[str, str | None]:
        """See `Adapter.address`."""
        return targets.address(text), None

    async def fetch(self, media: Media, path: Path, max_bytes: int) -> Media:
        """See `Adapter.fetch`."""
        return await self._files.fetch(media, path, max_bytes)

    async def probe(self) -> dict[str, Any]:
        """See `Adapter.probe`."""
        if self._link is None:
            raise Fault("imsg is not running")
        try:
            answer = await self._ask_of(self._link, "chats.list", {"limit": LOOKED_THROUGH})
        except (RpcError, RpcTimeout, ProcessGone) as problem:
            raise Fault(f"imsg: {_said(problem)}") from None
        return {"chats": len(_list(answer, "chats")), "rowid": self._newest}

    async def check(self) -> dict[str, Any]:
        """See `Adapter.check`: whether imsg is there and may read what Messages has."""
        link = await self._open()
        try:
            answer = await self._chats(link)
        except ProcessGone as problem:
            raise Fault(f"imsg: {_ended(str(problem))}") from None
        finally:
            await link.stop()
        return {"chats": len(_list(answer, "chats"))}


def _nothing(method: str, params: dict[str, Any]) -> None:
    """imsg asks nothing."""
    raise RpcError(METHOD_NOT_FOUND, "nothing can be asked here")


def _hold(link: RpcLink, on: bool) -> None:
    (link.pause if on else link.resume)()


def _list(answer: Any, field: str) -> list[dict[str, Any]]:
    found = answer.get(field) if isinstance(answer, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _is_part(row: Row, part: Part) -> bool:
    if part.media is not None:
        name = file_name(part.media.name)
        return any(file.transfer_name == name for file in row.attachments)
    return row.said == said(part.text)


def _said(problem: Exception) -> str:
    """An error of imsg in one line; the useful half is in its `data`."""
    detail = getattr(problem, "data", None)
    text = f"{problem}: {detail}" if isinstance(detail, str) and detail else str(problem)
    return " ".join(text.split())[:300]


def _ended(reason: str) -> str:
    """Why it ended; a shell's way of saying that there is no such program is put into words."""
    if reason.endswith(f"exit code {NOT_FOUND}"):
        return "it is not found where its command runs: install it there, or give its whole path"
    return reason


def _cannot_start(problem: RpcError) -> Fault:
    said = _said(problem)
    if problem.code == INTERNAL_ERROR and ("Full Disk Access" in said or "authoriz" in said):
        return Fatal(
            "imsg may not read the database of Messages: give the program that starts it Full "
            "Disk Access in the Mac's System Settings, Privacy & Security"
        )
    return Fault(f"imsg: {said}")


def _failure(problem: RpcError) -> SendError:
    said = _said(problem)
    if problem.code == INTERNAL_ERROR:
        return SendUnknown(f"imsg: {said}")
    return SendRefused(f"imsg: {said}")
