"""A fake of `imsg rpc` (github.com/steipete/imsg, `docs/rpc.md`, `docs/json.md`, `docs/watch.md`).

One fake is one Mac: Messages with its database of chats and rows, and `imsg` in front of it. It
answers one request after the other, as `imsg` does. What is sent becomes a row, too, and is told to
those who watch, with `is_from_me`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.channels.fake_rpc import Call, Check, FakeRpc, Refusal, Session, checked

_COUNTRIES = {"US": "+1", "DE": "+49"}

_TEXT = Check(str)
_NUMBER = Check(int)
_TARGET = {
    "chat_id": _NUMBER,
    "chat_guid": _TEXT,
    "chat_identifier": _TEXT,
    "to": _TEXT,
}
METHODS: dict[str, dict[str, Check]] = {
    "chats.list": {"limit": _NUMBER},
    "messages.history": {
        "chat_id": Check(int, required=True),
        "limit": _NUMBER,
        "participants": Check(str, many=True),
        "start": _TEXT,
        "end": _TEXT,
        "attachments": Check(bool),
    },
    "watch.subscribe": {
        "chat_id": _NUMBER,
        "since_rowid": _NUMBER,
        "participants": Check(str, many=True),
        "start": _TEXT,
        "end": _TEXT,
        "attachments": Check(bool),
        "include_reactions": Check(bool),
        "debounce_ms": _NUMBER,
    },
    "watch.unsubscribe": {"subscription": Check(int, required=True)},
    "send": {
        **_TARGET,
        "text": _TEXT,
        "file": _TEXT,
        "service": _TEXT,
        "region": _TEXT,
        "transport": _TEXT,
    },
}


def invalid(why: str) -> Refusal:
    """`Invalid params`, with what is wrong in `data`."""
    return Refusal(-32602, "Invalid params", why)


def internal(why: str) -> Refusal:
    """`Internal error`, with what went wrong in `data`."""
    return Refusal(-32603, "Internal error", why)


@dataclass
class FakeChat:
    """A row of `chat`."""

    id: int
    identifier: str
    guid: str
    name: str
    participants: list[str]

    @property
    def is_group(self) -> bool:
        return ";+;" in self.guid


@dataclass
class Row:
    """A row of `message`."""

    id: int
    chat: FakeChat
    guid: str
    sender: str
    text: str
    mine: bool
    at: datetime
    attachments: list[dict[str, Any]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)


class FakeMessages(FakeRpc):
    """A Mac with `imsg`.

    Attributes:
        rows: everything in the database.
        denied: what `imsg` says when it may not read the database; empty: it may.
        silent_ids: whether `send` answers without the id, as it may.
    """

    serial = True

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self.chats: list[FakeChat] = []
        self.rows: list[Row] = []
        self.denied = ""
        self.silent_ids = False
        self._began = datetime.now(UTC).replace(microsecond=0)
        self._subscriptions = 0

    # For tests: the world

    def direct(self, handle: str, name: str = "") -> FakeChat:
        """A chat with one person."""
        return self._chat(handle, f"iMessage;-;{handle}", name, [handle])

    def group(self, name: str, *handles: str) -> FakeChat:
        """A group."""
        made = f"chat{len(self.chats) + 1:09d}"
        return self._chat(made, f"iMessage;+;{made}", name, list(handles))

    def write(self, chat: FakeChat, text: str, *, sender: str = "", **extra: Any) -> Row:
        """Somebody writes; `extra` are further fields of the message, or `at`: when that was."""
        files = extra.pop("attachments", [])
        mine = extra.pop("mine", False)
        at = extra.pop("at", None)
        row = self._row(chat, sender or chat.participants[0], text, mine=mine)
        row.attachments, row.extra = files, extra
        row.at = at or row.at
        self._tell(row)
        return row

    @property
    def sent(self) -> list[Row]:
        """What has gone out, doubles and all."""
        return [row for row in self.rows if row.mine]

    def say_to_all(self, text: str) -> None:
        """Write text as it is to every client."""
        for session in self.sessions:
            session.write(text)

    def repeat(self) -> None:
        """Tell everybody of every row once more, the newest first."""
        for session in self.sessions:
            for row in reversed(self.rows):
                self._say(session, row)

    def break_watch(self, why: str) -> None:
        """Every subscription fails."""
        for session in self.sessions:
            number = session.state.get("subscription")
            params = {"subscription": number, "error": {"message": why}}
            session.say({"method": "error", "params": params})

    # The program

    def opened(self, session: Session) -> None:
        if session.argv[:1] != ["rpc"]:
            session.end(64, "error: unknown command")

    def answer(self, call: Call) -> Any:
        if self.denied:
            raise internal(self.denied)
        checks = METHODS.get(call.method)
        if checks is None:
            raise Refusal(-32601, "Method not found", call.method)
        params, unknown = checked(call.params, checks, invalid)
        self.complaints += [f"{call.method}: unknown parameter {name}" for name in unknown]
        name = "_do_" + call.method.replace(".", "_")
        return getattr(self, name)(call.session, params)

    def _do_chats_list(self, session: Session, params: dict[str, Any]) -> Any:
        newest = {row.chat.id: row for row in sorted(self.rows, key=_age)}
        written_in = [chat for chat in self.chats if chat.id in newest]
        ordered = sorted(written_in, key=lambda chat: _age(newest[chat.id]), reverse=True)
        return {
            "chats": [
                {
                    "id": chat.id,
                    "name": chat.name,
                    "identifier": chat.identifier,
                    "guid": chat.guid,
                    "service": "iMessage",
                    "last_message_at": _iso(newest[chat.id].at),
                    "is_group": chat.is_group,
                    "participants": chat.participants,
                }
                for chat in ordered[: params.get("limit", 20)]
            ]
        }

    def _do_messages_history(self, session: Session, params: dict[str, Any]) -> Any:
        rows = [row for row in self.rows if row.chat.id == params["chat_id"]]
        rows = [row for row in rows if "is_reaction" not in row.extra]
        newest = sorted(rows, key=_age, reverse=True)[: params.get("limit", 50)]
        return {"messages": [_payload(row, params.get("attachments", False)) for row in newest]}

    def _do_watch_subscribe(self, session: Session, params: dict[str, Any]) -> Any:
        self._subscriptions += 1
        # MessageWatcher.swift: without a row, and with row 0, it begins after the newest.
        since = max(0, params.get("since_rowid") or len(self.rows))
        session.state.update(subscription=self._subscriptions, since=since, watch=params)
        self.reactor.callLater(0, self._catch_up, session)
        return {"subscription": self._subscriptions}

    def _do_watch_unsubscribe(self, session: Session, params: dict[str, Any]) -> Any:
        session.state.pop("watch", None)
        return {"ok": True}

    def _do_send(self, session: Session, params: dict[str, Any]) -> Any:
        text, file = params.get("text", ""), params.get("file", "")
        if params.get("service", "auto") not in ("auto", "imessage", "sms"):
            raise invalid("invalid service")
        places = [name for name in ("chat_id", "chat_guid", "chat_identifier") if name in params]
        if places and "to" in params:
            raise invalid("use to or chat_*; not both")
        if not places and not params.get("to"):
            raise invalid("to is required for direct sends")
        if not text and not file:
            raise invalid("text or file is required")
        chat = self._target(params)
        files = []
        if file:
            if not Path(file).is_file():
                raise internal(f"AppleScript failed: attachment not found at {file}")
            files = [attachment(Path(file))]
        row = self._row(chat, "", text or "\ufffc", mine=True)
        row.attachments = files
        self._tell(row)
        result: dict[str, Any] = {"ok": True, "transport": "applescript"}
        if not self.silent_ids and not file:
            result.update(id=row.id, guid=row.guid)
        return result

    def _target(self, params: dict[str, Any]) -> FakeChat:
        if "to" in params:
            params = {**params, "to": _whole_number(params["to"], params.get("region", "US"))}
        for chat in self.chats:
            if (
                params.get("chat_id") == chat.id
                or params.get("chat_guid") == chat.guid
                or params.get("chat_identifier") == chat.identifier
                or params.get("to") == chat.identifier
            ):
                return chat
        if "to" in params:
            return self.direct(params["to"])
        if "chat_id" in params:
            raise invalid(f"unknown chat_id {params['chat_id']}")
        raise internal("AppleScript failed: Messages got an error: Can't get chat id")

    def _chat(self, identifier: str, guid: str, name: str, participants: list[str]) -> FakeChat:
        chat = FakeChat(len(self.chats) + 1, identifier, guid, name, participants)
        self.chats.append(chat)
        return chat

    def _row(self, chat: FakeChat, sender: str, text: str, *, mine: bool) -> Row:
        number = len(self.rows) + 1
        guid = str(uuid.uuid5(uuid.NAMESPACE_URL, str(number))).upper()
        row = Row(number, chat, guid, sender, text, mine, self._began + timedelta(seconds=number))
        self.rows.append(row)
        return row

    def _tell(self, row: Row) -> None:
        for session in list(self.sessions):
            self._catch_up(session)

    def _catch_up(self, session: Session) -> None:
        watch = session.state.get("watch")
        if watch is None or not session.open:
            return
        for row in self.rows[session.state["since"] :]:
            session.state["since"] = row.id
            if watch.get("chat_id") not in (None, row.chat.id):
                continue
            if "is_reaction" in row.extra and not watch.get("include_reactions"):
                continue
            if "start" in watch and row.at < datetime.fromisoformat(watch["start"]):
                continue
            self._say(session, row)

    def _say(self, session: Session, row: Row) -> None:
        message = _payload(row, session.state["watch"].get("attachments", False))
        params = {"subscription": session.state["subscription"], "message": message}
        session.say({"method": "message", "params": params})


def _whole_number(handle: str, region: str) -> str:
    """A phone number with its country (PhoneNumberNormalizer.swift)."""
    return _COUNTRIES[region] + handle.lstrip("0") if handle.isdigit() else handle


def _payload(row: Row, with_attachments: bool) -> dict[str, Any]:
    return {
        "id": row.id,
        "chat_id": row.chat.id,
        "chat_identifier": row.chat.identifier,
        "chat_guid": row.chat.guid,
        "chat_name": row.chat.name,
        "participants": row.chat.participants,
        "is_group": row.chat.is_group,
        "guid": row.guid,
        "sender": row.sender,
        "is_from_me": row.mine,
        "text": row.text,
        "created_at": _iso(row.at),
        "attachments": row.attachments if with_attachments else [],
        "reactions": [],
        **row.extra,
    }


def attachment(path: Path, **changes: Any) -> dict[str, Any]:
    """A file that came with a message."""
    size = path.stat().st_size if path.exists() else 0
    return {
        "filename": f"~/Library/Messages/Attachments/{path.name}",
        "transfer_name": path.name,
        "uti": "public.data",
        "mime_type": "image/png" if path.suffix == ".png" else "",
        "total_bytes": size,
        "is_sticker": False,
        "original_path": str(path),
        "missing": not path.exists(),
        **changes,
    }


def _age(row: Row) -> tuple[datetime, int]:
    return row.at, row.id


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
