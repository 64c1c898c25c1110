"""A fake of the sidecar, from its contract (`clawgw/channels/whatsapp/sidecar/README.md`).

One fake is one login directory, the sidecar that uses it, and WhatsApp behind both. As the contract
promises, a message is repeated after every start until it is confirmed, and one of ours that is
sent again with the same id is shown once. A second child at the same time would be a second session
of the same login; that is a complaint.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.channels.fake_rpc import Call, Check, FakeRpc, Refusal, Session, checked

FAILED = -32000
NOT_FOUND = -32601
ME = "4915100000001"
MY_LID = "111222333444555@lid"
_TEXT = Check(str)
_ID = Check(str, required=True)

METHODS: dict[str, dict[str, Check]] = {
    "start": {
        "authDir": Check(str, required=True),
        "socketUrl": _TEXT,
        "version": Check(list),
        "markOnline": Check(bool),
    },
    "login": {"kind": _ID, "phoneNumber": _TEXT},
    "cancelLogin": {},
    "logout": {},
    "confirm": {"seqs": Check(list, required=True)},
    "send": {
        "to": _ID,
        "id": _ID,
        "text": _TEXT,
        "media": Check(dict),
        "poll": Check(dict),
        "edit": Check(dict),
        "quoted": Check(dict),
        "mentions": Check(list),
    },
    "react": {"to": _ID, "id": _ID, "target": Check(dict, required=True), "emoji": _TEXT},
    "read": {"keys": Check(list, required=True)},
    "presence": {"state": _ID, "to": _TEXT},
    "fetchMedia": {"handle": Check(dict, required=True), "path": _ID, "maxBytes": Check(int)},
    "resolve": {"phone": _ID},
    "group": {"jid": _ID},
    "status": {},
}
_JID = re.compile(r"[0-9A-Za-z._-]+@(s\.whatsapp\.net|lid|g\.us)")
_MESSAGE_ID = re.compile(r"[0-9A-F]{16,64}")


def refusal(reason: str, message: str, **data: Any) -> Refusal:
    """An error as the sidecar answers it."""
    return Refusal(FAILED, message, {"reason": reason, **data})


def jid(number: str) -> str:
    """The jid of a number."""
    return f"{number.removeprefix('+')}@s.whatsapp.net"


class FakeSidecar(FakeRpc):
    """The fake.

    Attributes:
        linked: whether a phone is linked.
        shown: what people were shown, as it was sent, each id once.
        copies: how often a message came that had been shown already.
        numbers: who is on WhatsApp; None: everybody.
        groups: what groups are called.
        files: what is behind a handle, by its `file`.
    """

    def __init__(self, reactor: Any, *, linked: bool = True) -> None:
        super().__init__(reactor)
        self.linked = linked
        self.reachable = True
        self.shown: list[dict[str, Any]] = []
        self.copies = 0
        self.numbers: set[str] | None = None
        self.groups: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        self.reactions: list[dict[str, Any]] = []
        self._ids: set[tuple[str, str]] = set()
        self._spool: dict[int, dict[str, Any]] = {}
        self._last_seq = 0
        self._qr = 0

    # For tests

    @property
    def unconfirmed(self) -> list[int]:
        """The numbers of messages that nobody has confirmed."""
        return list(self._spool)

    def write(self, number: str, text: str, **more: Any) -> dict[str, Any]:
        """Somebody writes to the account; the message."""
        self._last_seq += 1
        message: dict[str, Any] = {
            "seq": self._last_seq,
            "key": {"id": f"{self._last_seq:020X}", "chat": jid(number)},
            "chat": jid(number),
            "sender": {"jid": jid(number), "phone": f"+{number}", "name": f"Contact {number}"},
            "group": False,
            "timestamp": 1_700_000_000 + self._last_seq,
            "offline": False,
            "kind": "message",
            "text": text,
            "somethingNew": {"from": "a later version"},
            **more,
        }
        if more.get("group"):
            message["key"] |= {"chat": message["chat"], "participant": jid(number)}
        self._spool[message["seq"]] = message
        self.repeat(message)
        return message

    def repeat(self, message: dict[str, Any]) -> None:
        """Say a message again, as the contract allows at any time."""
        self.notify("message", message)

    def notify(self, method: str, params: Any) -> None:
        """Tell whoever has started it."""
        for session in self.sessions:
            if session.state.get("started"):
                session.say({"method": method, "params": params})

    def end_connection(self, code: int, reason: str) -> None:
        """WhatsApp ends the connection."""
        self._connection(state="closed", statusCode=code, reason=reason)

    def remove_device(self) -> None:
        """The phone removes the device."""
        self.linked = False
        self._connection(state="loggedOut", statusCode=401, reason="the phone has removed it")

    def scan(self) -> None:
        """The phone has scanned the QR code, or its user typed the code in."""
        self.linked = True
        for session in self.sessions:
            self._connect(session)

    def next_qr(self) -> str:
        """Another QR code is shown."""
        self._qr += 1
        self.notify("qr", {"qr": self.qr})
        return self.qr

    @property
    def qr(self) -> str:
        """The QR code that is shown."""
        return f"2@code-{self._qr}"

    # What the sidecar does

    def opened(self, session: Session) -> None:
        """See `FakeRpc`."""
        if len(self.sessions) > 1:
            self.complaints.append("two sidecars use the same login")

    def answer(self, call: Call) -> Any:
        """See `FakeRpc`."""
        checks = METHODS.get(call.method)
        if checks is None:
            raise Refusal(NOT_FOUND, f"there is no method {call.method!r}")
        params, unknown = checked(call.params, checks, lambda why: refusal("invalid", why))
        self.complaints += [f"{call.method}: unknown field {name}" for name in unknown]
        if call.method != "start" and not call.session.state.get("started"):
            raise refusal("invalid", "it has not been started")
        answer = getattr(self, f"_{call.method}")
        return answer(call.session, **params)

    def _start(self, session: Session, authDir: str, **options: Any) -> Any:
        if not Path(authDir).is_dir():
            self.complaints.append(f"authDir {authDir} is no directory")
        session.state["started"] = True
        self.reactor.callLater(0, self._after_start, session)
        return {"linked": self.linked, "self": self._self if self.linked else None}

    def _after_start(self, session: Session) -> None:
        for message in list(self._spool.values()):
            session.say({"method": "message", "params": message})
        if self.linked and self.reachable:
            self._connect(session)

    def _connect(self, session: Session) -> None:
        session.state["open"] = True
        state = {"state": "open", "self": self._self}
        session.say({"method": "connection", "params": state})
        self.changed()

    @property
    def _self(self) -> dict[str, Any]:
        return {"jid": jid(ME), "lid": MY_LID, "phone": f"+{ME}", "name": "Account"}

    def _connection(self, **params: Any) -> None:
        for session in self.sessions:
            session.state["open"] = False
        self.notify("connection", params)

    def _login(self, session: Session, kind: str, phoneNumber: str | None = None) -> Any:
        if self.linked:
            raise refusal("linked", "a phone is linked already; log out first")
        if kind == "code":
            if not phoneNumber:
                raise refusal("invalid", '"phoneNumber" is missing')
            return {"code": "ABCD-1234"}
        self.next_qr()
        return {"qr": self.qr}

    def _cancelLogin(self, session: Session) -> Any:
        return {}

    def _logout(self, session: Session) -> Any:
        was, told = self.linked, bool(session.state.get("open"))
        self.linked = False
        if was:
            self._connection(state="loggedOut", reason="logged out here")
        return {"loggedOut": was, "told": told}

    def _confirm(self, session: Session, seqs: list[int]) -> Any:
        for seq in seqs:
            self._spool.pop(seq, None)
        return {}

    def _send(self, session: Session, to: str, id: str, **what: Any) -> Any:
        self._checked(session, to, id)
        if not (what.get("text") or what.get("media") or what.get("poll")):
            raise refusal("invalid", '"text" is empty')
        media = what.get("media")
        if media is not None and not Path(media["path"]).is_file():
            raise refusal("refused", "the file to be sent is not there any more")
        if (to, id) in self._ids:
            self.copies += 1
        else:
            self._ids.add((to, id))
            self.shown.append({"to": to, "id": id, **what})
        return {"id": id, "timestamp": 1_700_000_000}

    def _react(self, session: Session, to: str, id: str, **what: Any) -> Any:
        self._checked(session, to, id)
        self.reactions.append({"to": to, **what})
        return {"id": id, "timestamp": 1_700_000_000}

    def _checked(self, session: Session, to: str, message_id: str) -> None:
        self._connected(session)
        if not _JID.fullmatch(to):
            raise refusal("invalid", f'"to" is no address of WhatsApp: {to}')
        if not _MESSAGE_ID.fullmatch(message_id):
            raise refusal("invalid", f'"id" is no message id: {message_id}')

    def _connected(self, session: Session) -> None:
        if not self.linked:
            raise refusal("notLinked", "no phone is linked")
        if not session.state.get("open"):
            raise refusal("notConnected", "there is no connection to WhatsApp")

    def _read(self, session: Session, keys: list[dict[str, Any]]) -> Any:
        self._connected(session)
        return {}

    def _presence(self, session: Session, state: str, to: str | None = None) -> Any:
        self._connected(session)
        return {}

    def _fetchMedia(
        self, session: Session, handle: dict[str, Any], path: str, maxBytes: int = 0
    ) -> Any:
        data = self.files.get(handle.get("file", ""))
        if data is None:
            raise refusal("gone", "WhatsApp does not have the file any more", statusCode=404)
        if len(data) > maxBytes:
            raise refusal("tooLarge", f"the file is larger than {maxBytes} bytes")
        Path(path).write_bytes(data)
        return {"path": path, "size": len(data), "mimetype": "image/png"}

    def _resolve(self, session: Session, phone: str) -> Any:
        self._connected(session)
        there = self.numbers is None or phone.removeprefix("+") in self.numbers
        return {"jid": jid(phone) if there else None}

    def _group(self, session: Session, jid: str) -> Any:
        self._connected(session)
        if jid not in self.groups:
            raise refusal("failed", "no such group")
        return {"jid": jid, "subject": self.groups[jid], "size": 3}

    def _status(self, session: Session) -> Any:
        is_open = bool(session.state.get("open"))
        return {
            "linked": self.linked, "open": is_open, "self": self._self if self.linked else None,
            "unconfirmed": len(self._spool),
        }  # fmt: skip
