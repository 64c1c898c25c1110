"""A fake of `signal-cli` (0.13 and later), from its documentation.

Sources: `signal-cli-jsonrpc(5)`, `signal-cli(1)`, and the JSON records and error codes of the
program itself (github.com/AsamK/signal-cli, `src/main/java/org/asamk/signal/{json,jsonrpc}`).

One fake is one data directory of `signal-cli` and the Signal servers behind it. Like the real one,
it keeps what it has acknowledged to the server on disk until it has written it to its client, and
hands it out again when it was killed in between; it has no way to be told a message's id, and none
to be asked whether a message was sent.
"""

from __future__ import annotations

import base64
import re
import uuid
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from twisted.internet.defer import Deferred

from tests.channels.fake_rpc import Call, Check, FakeRpc, Refusal, Session, checked

USER_ERROR = -1
IO_ERROR = -3
UNTRUSTED = -4
RATE_LIMIT = -5
INVALID_PARAMS = -32602
NOT_FOUND = -32601

_TEXT = Check(str)
_DATA_URI = re.compile(r"data:(?P<type>[^;,]+)(;filename=(?P<name>[^;,]*))?;base64,(?P<data>.+)")
_STYLE = re.compile(r"(\d+):(\d+):(BOLD|ITALIC|SPOILER|STRIKETHROUGH|MONOSPACE)")
_NUMBER = re.compile(r"\+[1-9][0-9]{4,14}")

_TO = {
    "recipient": Check(str, many=True, names=("recipients",)),
    "groupId": Check(str, many=True, names=("groupIds",)),
    "account": _TEXT,
}
METHODS: dict[str, dict[str, Check]] = {
    "version": {},
    "listAccounts": {},
    "startLink": {},
    "finishLink": {"deviceLinkUri": _TEXT, "deviceName": _TEXT},
    "deleteLocalAccountData": {
        "account": Check(str, required=True),
        "ignoreRegistered": Check(bool),
    },
    "listGroups": {"groupId": Check(str, many=True), "account": _TEXT},
    "subscribeReceive": {"account": _TEXT},
    "unsubscribeReceive": {"subscription": Check(int), "account": _TEXT},
    "send": {
        **_TO,
        "username": Check(str, many=True, names=("usernames",)),
        "message": _TEXT,
        "attachment": Check(str, many=True, names=("attachments",)),
        "textStyle": Check(str, many=True, names=("textStyles",)),
        "mention": Check(str, many=True, names=("mentions",)),
        "quoteTimestamp": Check(int),
        "quoteAuthor": _TEXT,
        "quoteMessage": _TEXT,
        "editTimestamp": Check(int),
        "viewOnce": Check(bool),
    },
    "sendTyping": {**_TO, "stop": Check(bool)},
    "sendReaction": {
        **_TO,
        "emoji": Check(str, required=True),
        "targetAuthor": Check(str, required=True),
        "targetTimestamp": Check(int, required=True),
        "remove": Check(bool),
    },
    "sendReceipt": {
        "recipient": Check(str, required=True),
        "targetTimestamp": Check(int, required=True, many=True, names=("targetTimestamps",)),
        "type": _TEXT,
        "account": _TEXT,
    },
    "getAttachment": {
        "id": Check(str, required=True),
        "recipient": _TEXT,
        "groupId": _TEXT,
        "account": _TEXT,
    },
}
WITHOUT_ACCOUNT = (
    *("version", "listAccounts", "startLink", "finishLink"),
    "deleteLocalAccountData",
)


@dataclass
class Person:
    """Somebody at Signal; without a number for those who hide it."""

    number: str | None
    uuid: str
    name: str

    def is_called(self, text: str) -> bool:
        return text in (self.number, self.uuid)


@dataclass
class Group:
    """A group: its id is base64, as in every message."""

    id: str
    name: str
    members: list[Person]


@dataclass
class Sent:
    """What a person at the other end sees."""

    account: str
    to: str
    text: str
    timestamp: int
    styles: list[str] = field(default_factory=list)
    attachments: list[tuple[str, str, bytes]] = field(default_factory=list)
    quote: tuple[int, str, str] | None = None


@dataclass
class Account:
    """A linked account: what waits at the server, what is in the cache on disk, and what was."""

    person: Person
    waiting: list[dict[str, Any]] = field(default_factory=list)
    cache: list[dict[str, Any]] = field(default_factory=list)
    handed_out: list[dict[str, Any]] = field(default_factory=list)


class FakeSignal(FakeRpc):
    """`signal-cli` and the servers behind it.

    Attributes:
        sent: every message that went out, in order: what people see, doubles and all.
        reactions, receipts, typing: params of what went out besides.
        attachments: files that came with messages, by id.
        daemon_account: whom the daemon was started for; None: for all accounts.
    """

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self.people: list[Person] = []
        self.groups: dict[str, Group] = {}
        self.accounts: dict[str, Account] = {}
        self.sent: list[Sent] = []
        self.reactions: list[dict[str, Any]] = []
        self.receipts: list[dict[str, Any]] = []
        self.typing: list[dict[str, Any]] = []
        self.attachments: dict[str, bytes] = {}
        self.handed_out = 0
        self.paused = False
        self.daemon_account: str | None = None
        self._links: dict[str, Deferred[dict[str, Any]]] = {}
        self._now = 1_790_000_000_000
        self._subscriptions = 0

    # For tests: the world

    def person(self, number: str | None, name: str = "Somebody") -> Person:
        """Somebody who can write and be written to."""
        person = Person(number, str(uuid.uuid5(uuid.NAMESPACE_URL, f"{number}/{name}")), name)
        self.people.append(person)
        return person

    def account(self, number: str) -> Account:
        """Link an account, as if somebody had done it before."""
        account = Account(self.person(number, "The bot"))
        self.accounts[number] = account
        return account

    def group(self, name: str, *members: Person) -> Group:
        """A group that the account is in, too."""
        made = base64.b64encode(uuid.uuid5(uuid.NAMESPACE_URL, name).bytes * 2).decode()
        self.groups[made] = Group(made, name, list(members))
        return self.groups[made]

    def attachment(self, name: str, content_type: str, data: bytes) -> dict[str, Any]:
        """A file to come with a message: one entry of `attachments`."""
        made = f"{uuid.uuid5(uuid.NAMESPACE_URL, name).hex}.{name.rpartition('.')[2]}"
        self.attachments[made] = data
        return {
            "contentType": content_type,
            "filename": name,
            "id": made,
            "size": len(data),
            "width": None,
            "height": None,
            "caption": None,
            "uploadTimestamp": self._now,
        }

    def write(
        self, source: Person, text: str | None, *, group: Group | None = None, **data: Any
    ) -> int:
        """A message for every account; `data` are further fields of `dataMessage`.

        Returns the timestamp, which is the message's id at Signal together with its author.
        """
        timestamp = self.tick()
        message: dict[str, Any] = {
            "timestamp": timestamp,
            "message": text,
            "expiresInSeconds": 0,
            "viewOnce": False,
            **data,
        }
        if group is not None:
            message["groupInfo"] = {
                "groupId": group.id,
                "groupName": group.name,
                "revision": 3,
                "type": "DELIVER",
            }
        self.envelope(source, timestamp, dataMessage=message)
        return timestamp

    def envelope(self, source: Person, timestamp: int | None = None, **content: Any) -> None:
        """Any envelope for every account."""
        timestamp = timestamp or self.tick()
        envelope = {
            "source": source.number or source.uuid,
            "sourceNumber": source.number,
            "sourceUuid": source.uuid,
            "sourceName": source.name,
            "sourceDevice": 1,
            "timestamp": timestamp,
            "serverReceivedTimestamp": timestamp + 20,
            "serverDeliveredTimestamp": timestamp + 30,
            **content,
        }
        for account in self.accounts.values():
            account.waiting.append(envelope)
        self._pump()

    def repeat(self, number: str) -> None:
        """Hand out once more what an account has received, the newest first."""
        account = self.accounts[number]
        account.waiting += reversed(account.handed_out)
        self._pump()

    def say_to_all(self, text: str) -> None:
        """Write text as it is to every client: garbage, or a huge line."""
        for session in self.sessions:
            session.write(text)

    def scan(self, uri: str, number: str) -> None:
        """Somebody scans the QR code of a link with the phone of this number."""
        waiting = self._links.pop(uri)
        self.account(number)
        if not waiting.called:
            waiting.callback({"number": number})

    def expire_link(self, uri: str) -> None:
        """Nobody scanned it in time."""
        text = "Link request timed out, please try again."
        self._links.pop(uri).errback(Refusal(USER_ERROR, text))

    def unlink(self, number: str) -> None:
        """The account's owner removes this device."""
        del self.accounts[number]
        for session in list(self.sessions):
            if session.state.get("account") == number:
                session.end(1, "Authorization failed!")

    def tick(self) -> int:
        """The next millisecond."""
        self._now += 1
        return self._now

    @property
    def links(self) -> list[str]:
        """QR codes that wait to be scanned."""
        return [uri for uri, waiting in self._links.items() if not waiting.called]

    # The program

    def opened(self, session: Session) -> None:
        words = session.argv
        number = self.daemon_account if words == ["daemon"] else None
        for flag, value in pairwise(words):
            if flag in ("-a", "--account", "-u", "--username"):
                number = value
        if session.argv != ["daemon"] and "jsonRpc" not in words:
            session.end(1, "error: too few arguments")
        elif number is not None and number not in self.accounts:
            session.end(1, f"User {number} is not registered.")
        else:
            manual = "manual" in words and "--receive-mode" in words
            session.state.update(account=number, receiving=not manual, unwritten={})
            self._pump()

    def closed(self, session: Session) -> None:
        # What was not written for certain is still in the cache, and handed out again.
        for account in self.accounts.values():
            for key, (owner, envelope) in list(session.state.get("unwritten", {}).items()):
                if owner is account and key:
                    account.cache.append(envelope)
                    del session.state["unwritten"][key]
        self._pump()

    def _pump(self) -> None:
        if self.paused:
            return
        for account in self.accounts.values():
            session = next((s for s in self.sessions if self._receives(s, account)), None)
            if session is None:
                continue
            while account.cache or account.waiting:
                envelope = (account.cache or account.waiting).pop(0)
                self._hand_out(session, account, envelope)

    def _receives(self, session: Session, account: Account) -> bool:
        mine = session.state.get("account") in (None, account.person.number)
        return session.open and mine and bool(session.state.get("receiving"))

    def _hand_out(self, session: Session, account: Account, envelope: dict[str, Any]) -> None:
        account.handed_out.append(envelope)
        self.handed_out += 1
        key = self.handed_out
        session.state["unwritten"][key] = (account, envelope)
        params: dict[str, Any] = {"envelope": envelope, "account": account.person.number}
        if "exception" in envelope:
            bare = {name: value for name, value in envelope.items() if name != "exception"}
            params = {**params, "envelope": bare, "exception": envelope["exception"]}
        if (subscription := session.state.get("subscription")) is not None:
            params = {"subscription": subscription, "result": params}

        def written() -> None:
            session.state["unwritten"].pop(key, None)
            self.changed()

        session.say({"method": "receive", "params": params}, written)

    def answer(self, call: Call) -> Any:
        checks = METHODS.get(call.method)
        if checks is None:
            raise Refusal(NOT_FOUND, "Method not implemented")
        params, unknown = checked(call.params, checks, lambda why: Refusal(USER_ERROR, why))
        self.complaints += [f"{call.method}: unknown parameter {name}" for name in unknown]
        single = call.session.state.get("account")
        if call.method in WITHOUT_ACCOUNT:
            if single is not None and call.method != "version":
                raise Refusal(NOT_FOUND, "Method not implemented")
            return getattr(self, f"_do_{call.method}")(params)
        account = self.accounts.get(single or params.get("account", ""))
        if account is None and single is None and "account" not in params:
            account = next(iter(self.accounts.values())) if len(self.accounts) == 1 else None
        if account is None:
            if "account" in params:
                raise Refusal(INVALID_PARAMS, "Specified account does not exist")
            raise Refusal(INVALID_PARAMS, "Method requires valid account parameter")
        if call.method in ("subscribeReceive", "unsubscribeReceive"):
            return getattr(self, f"_do_{call.method}")(call.session, params)
        return getattr(self, f"_do_{call.method}")(account, params)

    def _do_version(self, params: dict[str, Any]) -> Any:
        return {"version": "0.13.19"}

    def _do_listAccounts(self, params: dict[str, Any]) -> Any:
        return [{"number": number} for number in self.accounts]

    def _do_startLink(self, params: dict[str, Any]) -> Any:
        uri = f"sgnl://linkdevice?uuid={uuid.uuid4()}&pub_key=BdC%2F{len(self._links)}"
        self._links[uri] = Deferred()
        return {"deviceLinkUri": uri}

    def _do_finishLink(self, params: dict[str, Any]) -> Any:
        waiting = self._links.get(params.get("deviceLinkUri", ""))
        if waiting is None:
            raise Refusal(USER_ERROR, "Unknown device link uri.")
        return waiting

    def _do_deleteLocalAccountData(self, params: dict[str, Any]) -> Any:
        if params["account"] not in self.accounts:
            raise Refusal(INVALID_PARAMS, "Failed to load the given account")
        if not params.get("ignoreRegistered"):
            raise Refusal(USER_ERROR, "Not deleting account, it is still registered.")
        del self.accounts[params["account"]]
        return {}

    def _do_subscribeReceive(self, session: Session, params: dict[str, Any]) -> Any:
        self._subscriptions += 1
        session.state.update(subscription=self._subscriptions, receiving=True)
        self.reactor.callLater(0, self._pump)
        return self._subscriptions

    def _do_unsubscribeReceive(self, session: Session, params: dict[str, Any]) -> Any:
        if params.get("subscription") != session.state.get("subscription"):
            raise Refusal(USER_ERROR, "Unknown subscription id")
        session.state.update(subscription=None, receiving=False)
        return {}

    def _do_listGroups(self, account: Account, params: dict[str, Any]) -> Any:
        return [
            {
                "id": group.id,
                "name": group.name,
                "description": "",
                "isMember": True,
                "isBlocked": False,
                "messageExpirationTime": 0,
                "members": [
                    {"number": person.number, "uuid": person.uuid}
                    for person in (*group.members, account.person)
                ],
                "pendingMembers": [],
                "requestingMembers": [],
                "admins": [],
                "banned": [],
                "permissionAddMember": "EVERY_MEMBER",
                "permissionEditDetails": "EVERY_MEMBER",
                "permissionSendMessage": "EVERY_MEMBER",
                "groupInviteLink": None,
            }
            for group in self.groups.values()
            if params.get("groupId") is None or group.id in params["groupId"]
        ]

    def _do_send(self, account: Account, params: dict[str, Any]) -> Any:
        to, addresses = self._recipients(params)
        text = params.get("message", "")
        files = [self._attachment_of(text) for text in params.get("attachment", ())]
        if not text and not files:
            raise Refusal(
                USER_ERROR,
                "Sending empty message is not allowed, either a message, attachment or sticker "
                "must be given.",
            )
        for style in params.get("textStyle", ()):
            match = _STYLE.fullmatch(style)
            if match is None:
                raise Refusal(USER_ERROR, f"Invalid textStyle syntax ({style})")
            length = len(text.encode("utf-16-le")) // 2
            if int(match[1]) + int(match[2]) > length or match[2] == "0":
                self.complaints.append(f"send: style {style} is beyond the text")
        quote = None
        if "quoteTimestamp" in params:
            if "quoteAuthor" not in params:
                raise Refusal(USER_ERROR, "Quote author parameter is missing")
            self._find(params["quoteAuthor"])
            quote = (
                params["quoteTimestamp"],
                params["quoteAuthor"],
                params.get("quoteMessage", ""),
            )
        timestamp = self.tick()
        number = account.person.number or ""
        styles = list(params.get("textStyle", ()))
        self.sent.append(Sent(number, to, text, timestamp, styles, files, quote))
        return self._result(timestamp, addresses, params)

    def _do_sendTyping(self, account: Account, params: dict[str, Any]) -> Any:
        _, addresses = self._recipients(params)
        self.typing.append(params)
        return self._result(self.tick(), addresses, params)

    def _do_sendReaction(self, account: Account, params: dict[str, Any]) -> Any:
        _, addresses = self._recipients(params)
        self._find(params["targetAuthor"])
        self.reactions.append(params)
        return self._result(self.tick(), addresses, params)

    def _do_sendReceipt(self, account: Account, params: dict[str, Any]) -> Any:
        person = self._find(params["recipient"])
        if params.get("type", "read") not in ("read", "viewed"):
            raise Refusal(USER_ERROR, f"Unknown receipt type: {params['type']}")
        self.receipts.append(params)
        return self._result(self.tick(), [person], params)

    def _do_getAttachment(self, account: Account, params: dict[str, Any]) -> Any:
        data = self.attachments.get(params["id"])
        if data is None:
            raise Refusal(USER_ERROR, f"Could not find attachment with ID: {params['id']}")
        return {"data": base64.b64encode(data).decode()}

    def _recipients(self, params: dict[str, Any]) -> tuple[str, list[Person]]:
        groups = params.get("groupId", [])
        people = [self._find(text) for text in params.get("recipient", ())]
        for made in groups:
            try:
                base64.b64decode(made, validate=True)
            except ValueError:
                raise Refusal(USER_ERROR, f"Invalid group id: {made}") from None
            if made not in self.groups:
                raise Refusal(USER_ERROR, f"Group not found: {made}")
        if not groups and not people:
            raise Refusal(USER_ERROR, "No recipients given")
        if groups:
            return groups[0], self.groups[groups[0]].members
        return people[0].number or people[0].uuid, people

    def _find(self, text: str) -> Person:
        for person in self.people:
            if person.is_called(text):
                return person
        if _NUMBER.fullmatch(text):
            raise unsuccessful({"number": text, "uuid": None}, "UNREGISTERED_FAILURE")
        try:
            uuid.UUID(text)
        except ValueError:
            raise Refusal(USER_ERROR, f"Invalid phone number '{text}': invalid") from None
        raise unsuccessful({"number": None, "uuid": text}, "UNREGISTERED_FAILURE")

    def _attachment_of(self, text: str) -> tuple[str, str, bytes]:
        match = _DATA_URI.fullmatch(text)
        if match is not None:
            name = unquote(match["name"] or "")
            return name, match["type"], base64.b64decode(match["data"], validate=True)
        try:
            return Path(text).name, "", Path(text).read_bytes()
        except OSError as problem:
            said = f"Failed to send message: {problem} (AttachmentInvalidException)"
            raise Refusal(-32603, said) from None

    def _result(
        self, timestamp: int, addresses: list[Person], params: dict[str, Any]
    ) -> dict[str, Any]:
        group = {"groupId": params["groupId"][0]} if params.get("groupId") else {}
        return {
            "timestamp": timestamp,
            "results": [
                {
                    "recipientAddress": {
                        "uuid": person.uuid,
                        "number": person.number,
                        "username": None,
                    },
                    "type": "SUCCESS",
                    **group,
                }
                for person in addresses
            ],
        }


def unsuccessful(address: dict[str, Any], kind: str, **more: Any) -> Refusal:
    """The error for a message that reached nobody; `kind` as in `results[].type`."""
    code, text = {
        "RATE_LIMIT_FAILURE": (RATE_LIMIT, "Failed to send message due to rate limiting"),
        "IDENTITY_FAILURE": (UNTRUSTED, "Failed to send message due to untrusted identities"),
    }.get(kind, (USER_ERROR, "Failed to send message"))
    result = {"recipientAddress": address, "type": kind, **more}
    return Refusal(code, text, {"response": {"timestamp": 1, "results": [result]}})
