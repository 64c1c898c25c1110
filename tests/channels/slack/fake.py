"""A fake Slack for tests: Web API, Socket Mode and files on one loopback port.

Written from Slack's documentation. ``FakeSlack`` is what a test holds: it makes people talk, sees
what the bot sent, and sets faults. ``workspace`` keeps the state, ``webapi`` answers HTTP,
``socketmode`` delivers events, ``methods`` checks every request against Slack's specification.

    slack = FakeSlack(reactor)
    slack.start()
    ann = slack.workspace.person("U0ANN", "ann")
    slack.say(ann, slack.workspace.direct(ann), "hello")
    ...
    await slack.stop()
"""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from typing import Any

from autobahn.twisted.resource import WebSocketResource
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.tcp import Port
from twisted.protocols.policies import WrappingFactory
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.channels.slack import workspace
from tests.channels.slack.faults import Fault
from tests.channels.slack.socketmode import Delivery, SocketFactory, Sockets
from tests.channels.slack.webapi import Api, Call, Download, SignIn, Upload
from tests.channels.slack.workspace import File, Json, Workspace
from tests.support.ports import hold_port


class FakeSlack:
    """One workspace with one app, reachable at ``api_root``.

    ``calls`` are all Web API requests in order. ``violations`` are faults of the client that no
    provider should ever see; a test ends with ``assertEqual(slack.violations, [])``.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.workspace = Workspace()
        self.bot_token = workspace.BOT_TOKEN
        self.app_token = workspace.APP_TOKEN
        self.missing_scopes: dict[str, str] = {}
        """Methods that answer ``missing_scope``, each with the scope it needs."""
        self.page_limit = 999
        self.echo_own = True
        """Whether the bot's own messages come back as events, as they do at Slack."""
        self.calls: list[Call] = []
        self.posted: list[tuple[str, Json]] = []
        self.whispers: list[tuple[str, str, str]] = []
        """Ephemeral messages: where, to whom, what."""
        self.violations: list[str] = []
        self.sockets = Sockets(self, reactor)
        self._faults: dict[str, list[Fault]] = defaultdict(list)
        self._tickets: set[str] = set()
        self._port = hold_port(self)
        self._tcp: Port | None = None
        self._connections: WrappingFactory | None = None

    def start(self) -> None:
        """Listens on loopback, on the same port each time, so that clients find it again."""
        root = Resource()
        root.putChild(b"api", Api(self, self._reactor))
        upload, files = Resource(), Download(self)
        upload.putChild(b"v1", Upload(self))
        root.putChild(b"upload", upload)
        root.putChild(b"files-pri", files)
        root.putChild(b"signin", SignIn())
        root.putChild(b"link", WebSocketResource(SocketFactory(self.sockets)))
        site = Site(root)
        self._connections = WrappingFactory(site)
        site.noisy = self._connections.noisy = False
        self._tcp = self._reactor.listenTCP(self._port, self._connections, interface="127.0.0.1")

    def stop(self) -> Deferred[Any]:
        """Ends it for good."""
        self.sockets.stop()
        return self.vanish()

    def vanish(self) -> Deferred[Any]:
        """Stops listening and resets every connection; ``start`` brings it back.

        Meanwhile events are tried again, as ever, and given up in the end.
        """
        assert self._tcp is not None
        closed = [self._tcp.stopListening(), *(one.is_closed for one in self.sockets.open)]
        self.cut_connections()
        return DeferredList(closed)

    def cut_connections(self) -> None:
        """Resets every connection, sockets and requests alike."""
        for connection in self.connections:
            connection.abortConnection()

    @property
    def connections(self) -> list[Any]:
        """The connections there are, sockets and others."""
        assert self._connections is not None
        return list(self._connections.protocols)

    @property
    def port(self) -> int:
        assert self._tcp is not None
        return int(self._tcp.getHost().port)

    @property
    def api_root(self) -> str:
        """What ``apiRoot`` is to be set to."""
        return self.url("/api")

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    # people

    def say(self, user: str, channel: str, text: str, **more: Any) -> str:
        """Somebody writes; the bot is told as Slack would. Gives back the message's ``ts``.

        ``more`` are fields of the message: ``thread_ts``, ``files`` (from ``file_object``),
        ``subtype``, ``blocks``.
        """
        message = {"user": user, "text": text, "client_msg_id": str(uuid.uuid4()), **more}
        if "files" in more:
            message.setdefault("subtype", "file_share")
        stored = self.workspace.write(channel, message)
        self.tell(channel, stored)
        return str(stored["ts"])

    def share(self, user: str, channel: str, file: File, text: str = "", **more: Any) -> str:
        """Somebody shares a file."""
        return self.say(user, channel, text, files=[self.file_object(file)], **more)

    def edit(self, channel: str, ts: str, text: str) -> None:
        """The author changes a message."""
        message = self.workspace.conversations[channel].messages[ts]
        before = dict(message)
        now = self.workspace.ts()
        message.update(text=text, edited={"user": message["user"], "ts": now})
        change = {"subtype": "message_changed", "hidden": True, "ts": now,
            "message": dict(message), "previous_message": before}  # fmt: skip
        self._event(channel, {"type": "message", **change})

    def remove(self, channel: str, ts: str) -> None:
        """The author deletes a message."""
        message = self.workspace.conversations[channel].messages.pop(ts)
        change = {"subtype": "message_deleted", "hidden": True, "ts": self.workspace.ts(),
            "deleted_ts": ts, "previous_message": message}  # fmt: skip
        self._event(channel, {"type": "message", **change})

    def click(self, user: str, channel: str, ts: str, action: Json) -> Delivery:
        """Somebody presses a button (``action``: ``action_id``, ``value``) of a message."""
        kind = {"type": "button", "action_ts": self.workspace.ts(), "block_id": "b1"}
        return self.sockets.send(
            "interactive",
            {
                "type": "block_actions",
                "team": {"id": workspace.TEAM, "domain": "fake"},
                "user": {"id": user, "username": self._name(user), "team_id": workspace.TEAM},
                "api_app_id": workspace.APP,
                "container": {"type": "message", "message_ts": ts, "channel_id": channel},
                "channel": {"id": channel, "name": "fake"},
                "message": self.workspace.conversations[channel].messages.get(ts, {}),
                "trigger_id": "1.2.abc",
                "response_url": self.url("/actions/none"),
                "actions": [kind | action],
            },
        )

    def slash(self, user: str, channel: str, command: str, text: str) -> Delivery:
        """Somebody types a slash command."""
        return self.sockets.send(
            "slash_commands",
            {
                "command": command,
                "text": text,
                "user_id": user,
                "user_name": self._name(user),
                "channel_id": channel,
                "channel_name": "directmessage",
                "team_id": workspace.TEAM,
                "api_app_id": workspace.APP,
                "trigger_id": "1.2.abc",
                "response_url": self.url("/commands/none"),
            },
        )

    def tell(self, channel: str, message: Json) -> list[Delivery]:
        """The events Slack sends for a message: ``message``, and ``app_mention`` beside it."""
        told = [self._event(channel, message)]
        kind = self.workspace.conversations[channel].kind
        if f"<@{workspace.BOT_USER}>" in message.get("text", "") and kind != "im":
            shown = {k: v for k, v in message.items() if k not in ("subtype", "channel_type")}
            told.append(self._event(channel, {**shown, "type": "app_mention"}))
        return told

    def event(self, event: Json) -> Delivery:
        """Delivers any event at all."""
        return self.sockets.send(
            "events_api",
            {
                "token": "verification",
                "team_id": workspace.TEAM,
                "api_app_id": workspace.APP,
                "event": event,
                "type": "event_callback",
                "event_id": f"Ev{uuid.uuid4().hex[:10].upper()}",
                "event_time": int(self._reactor.seconds()),
                "authorizations": [{"team_id": workspace.TEAM, "user_id": workspace.BOT_USER}],
                "is_ext_shared_channel": False,
            },
        )

    def file_object(self, file: File) -> Json:
        """A file as messages and ``files.info`` show it."""
        private = self.url(f"/files-pri/{workspace.TEAM}-{file.id}")
        return {
            "id": file.id,
            "name": file.name,
            "title": file.title,
            "mimetype": file.mimetype,
            "size": file.length,
            "mode": "hosted",
            "is_external": False,
            "url_private": f"{private}/{file.name}",
            "url_private_download": f"{private}/download/{file.name}",
            "shares": {"private": {channel: [{}] for channel in self.workspace.places(file)}},
        }

    # what the bot did

    def sent(self, channel: str) -> list[str]:
        """The texts the bot posted in a conversation, in order."""
        return [message["text"] for where, message in self.posted if where == channel]

    def doubles(self) -> dict[tuple[str, str], int]:
        """Texts the bot posted more than once in one conversation, and how often."""
        counted = Counter((where, message["text"]) for where, message in self.posted)
        return {key: count for key, count in counted.items() if count > 1}

    def called(self, method: str) -> list[Json]:
        """The arguments of every call of a method, in order."""
        return [call.arguments for call in self.calls if call.method == method]

    # faults

    def fail(self, method: str, *faults: Fault) -> None:
        """Queues faults for the next calls of a method (or ``upload``, ``download``)."""
        self._faults[method] += faults

    def next_fault(self, method: str) -> Fault | None:
        """Takes the next queued fault of a method."""
        queued = self._faults.get(method)
        return queued.pop(0) if queued else None

    # for the parts of the fake

    def new_socket_url(self) -> str:
        """The answer of ``apps.connections.open``: an address that works once."""
        ticket = str(uuid.uuid4())
        self._tickets.add(ticket)
        return f"ws://127.0.0.1:{self.port}/link/?ticket={ticket}&app_id={workspace.APP}"

    def use_ticket(self, ticket: str) -> bool:
        """Whether this ticket was given out and not yet used."""
        known = ticket in self._tickets
        self._tickets.discard(ticket)
        return known

    def posted_by_bot(self, channel: str, message: Json) -> None:
        """The bot posted a message: it is put down, and comes back as an event."""
        self.posted.append((channel, message))
        if self.echo_own:
            self._event(channel, message)

    def _event(self, channel: str, message: Json) -> Delivery:
        kind = self.workspace.conversations[channel].kind
        event = {**message, "channel": channel, "event_ts": message["ts"]}
        if event["type"] == "message":
            event["channel_type"] = kind
        return self.event(event)

    def _name(self, user: str) -> str:
        return str(self.workspace.people.get(user, {}).get("name", ""))
