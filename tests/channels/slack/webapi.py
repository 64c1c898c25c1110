"""Slack's Web API over HTTP, with file upload and download, on top of a ``Workspace``.

Every call is checked first for what all methods share (the verb, the token and its kind, the
arguments against Slack's specification), then answered by the ``_Methods`` method of its name. A
refusal is what Slack sends: status 200, ``ok: false`` and a documented error. Whatever a well-made
client would never send is also put down in ``FakeSlack.violations``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IReactorTime
from twisted.web.http import Request as HttpRequest
from twisted.web.resource import NoResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from tests.channels.slack import methods, workspace
from tests.channels.slack.faults import Answer, Broken, Cut, Delay, Fault, Refuse, Throttle
from tests.channels.slack.workspace import Json, between

if TYPE_CHECKING:
    from tests.channels.slack.fake import FakeSlack

MAX_TEXT = 40_000  # chat.postMessage cuts what is longer
MAX_UPDATE_TEXT = 4_000  # chat.update refuses it
MAX_BLOCKS = 50
MAX_SECTION_TEXT = 3_000
APP_LEVEL = {"apps.connections.open"}


@dataclass
class Call:
    """One request that came in: the method, its arguments, and the error it got, if any."""

    method: str
    arguments: Json
    error: str = ""


@dataclass
class _Refused(Exception):
    error: str
    more: Json = field(default_factory=dict)


class Api(Resource):
    """``/api/<method>``."""

    isLeaf = True

    def __init__(self, slack: FakeSlack, reactor: IReactorTime) -> None:
        super().__init__()
        self._slack = slack
        self._reactor = reactor
        self._known = methods.load()
        self._methods = _Methods(slack)

    def render(self, request: Request) -> Any:
        name = b"/".join(request.postpath).decode()
        arguments, fault = self._arguments(request), self._slack.next_fault(name)
        call = Call(name, arguments)
        self._slack.calls.append(call)
        match fault:
            case Throttle(retry_after):
                request.setResponseCode(429)
                request.setHeader(b"retry-after", f"{retry_after:g}".encode())
                call.error = "ratelimited"
                return _json({"ok": False, "error": "ratelimited"}, request)
            case Broken(status):
                request.setResponseCode(status)
                return b"<html><body>Slack is having trouble</body></html>"
            case Cut(acted=False):
                return abort(request)
        answer = self._answer(call, request, fault)
        match fault:
            case Cut(acted=True):
                return abort(request)
            case Answer(body):
                return body
            case Delay(seconds):
                request.setHeader(b"content-type", b"application/json; charset=utf-8")
                finish_later(request, _dump(answer), self._reactor, seconds)
                return NOT_DONE_YET
        return _json(answer, request)

    def _answer(self, call: Call, request: Request, fault: Fault | None) -> Json:
        try:
            self._check(call, request)
            if isinstance(fault, Refuse):
                raise _Refused(fault.error)
            done = getattr(self._methods, call.method.replace(".", "_"))(call.arguments)
        except _Refused as refused:
            call.error = refused.error
            if refused.error not in self._errors(call.method):
                raise AssertionError(f"{call.method} cannot answer {refused.error}") from None
            return {"ok": False, "error": refused.error, **refused.more}
        return {"ok": True, **done}

    def _errors(self, method: str) -> set[str]:
        known = self._known.get(method)
        return {"unknown_method", *(known.errors if known else ())}

    def _check(self, call: Call, request: Request) -> None:
        method = self._known.get(call.method)
        if method is None or not hasattr(self._methods, call.method.replace(".", "_")):
            self._slack.violations.append(f"{call.method}: no such method")
            raise _Refused("unknown_method", {"req_method": call.method})
        if request.method not in (b"GET", b"POST") or (
            method.verb == "post" and request.method != b"POST"
        ):
            self._slack.violations.append(f"{call.method}: wrong verb {request.method!r}")
        self._check_token(call, request)
        faults = method.faults(call.arguments)
        if faults:
            self._slack.violations += [f"{call.method}: {fault}" for fault in faults]
            raise _Refused("invalid_arguments", {"response_metadata": {"messages": faults}})

    def _check_token(self, call: Call, request: Request) -> None:
        if "token" in call.arguments:
            self._slack.violations.append(f"{call.method}: the token is among the arguments")
            del call.arguments["token"]
        token = bearer(request)
        if not token:
            raise _Refused("not_authed")
        if token not in (self._slack.bot_token, self._slack.app_token):
            raise _Refused("invalid_auth")
        if (token == self._slack.app_token) != (call.method in APP_LEVEL):
            raise _Refused("not_allowed_token_type")
        needed = self._slack.missing_scopes.get(call.method)
        if needed:
            raise _Refused("missing_scope", {"needed": needed, "provided": "chat:write"})

    def _arguments(self, request: Request) -> Json:
        """The arguments, from the query, a form or a JSON body (which reading methods refuse)."""
        arguments: Json = {
            key.decode(): values[-1].decode() for key, values in (request.args or {}).items()
        }
        kind = (request.getHeader("content-type") or "").split(";")[0].strip().lower()
        if kind == "application/json":
            assert request.content is not None
            arguments |= json.loads(request.content.read() or b"{}")
        return arguments


class _Methods:
    """What each method does. Each takes the checked arguments and gives back its answer."""

    def __init__(self, slack: FakeSlack) -> None:
        self._slack = slack
        self._workspace = slack.workspace

    def auth_test(self, given: Json) -> Json:
        return {
            "url": "https://fake.slack.com/",
            "team": "Fake",
            "user": "clawgw",
            "team_id": workspace.TEAM,
            "user_id": workspace.BOT_USER,
            "bot_id": workspace.BOT_ID,
            "is_enterprise_install": False,
        }

    def apps_connections_open(self, given: Json) -> Json:
        return {"url": self._slack.new_socket_url()}

    def chat_postMessage(self, given: Json) -> Json:
        channel = self._to(given["channel"])
        content = self._content(given, MAX_TEXT)
        if len(content["text"]) > MAX_TEXT:
            content["text"] = content["text"][:MAX_TEXT]
            self._slack.violations.append("chat.postMessage: Slack cut the text")
        if given.get("thread_ts"):
            if given["thread_ts"] not in channel.messages:
                raise _Refused("cannot_reply_to_message")
            content["thread_ts"] = given["thread_ts"]
        stored = self._post(channel.id, content)
        return {"channel": channel.id, "ts": stored["ts"], "message": stored}

    def chat_update(self, given: Json) -> Json:
        message = self._own(given)
        content = self._content(given, MAX_UPDATE_TEXT)
        if len(content["text"]) > MAX_UPDATE_TEXT:
            raise _Refused("msg_too_long")
        message.update(content)
        message["edited"] = {"user": workspace.BOT_USER, "ts": self._workspace.ts()}
        return {"channel": given["channel"], "ts": given["ts"], "text": message["text"]}

    def chat_delete(self, given: Json) -> Json:
        message = self._own(given)
        del self._workspace.conversations[given["channel"]].messages[message["ts"]]
        return {"channel": given["channel"], "ts": given["ts"]}

    def chat_postEphemeral(self, given: Json) -> Json:
        channel = self._member_of(given["channel"])
        if given["user"] not in channel.members:
            raise _Refused("user_not_in_channel")
        content = self._content(given, MAX_TEXT)
        self._slack.whispers.append((channel.id, given["user"], content["text"]))
        return {"message_ts": self._workspace.ts()}

    def conversations_open(self, given: Json) -> Json:
        if given.get("channel"):
            return {"channel": {"id": self._conversation(given["channel"]).id}}
        users = [user for user in given.get("users", "").split(",") if user]
        if not users:
            raise _Refused("users_list_not_supplied")
        if not set(users) <= set(self._workspace.people):
            raise _Refused("user_not_found")
        return {"channel": {"id": self._workspace.direct(*users)}}

    def conversations_info(self, given: Json) -> Json:
        return {"channel": self._shown(self._conversation(given["channel"]))}

    def conversations_list(self, given: Json) -> Json:
        return self._listed(given, list(self._workspace.conversations.values()))

    def users_conversations(self, given: Json) -> Json:
        user = given.get("user") or workspace.BOT_USER
        everywhere = self._workspace.conversations.values()
        return self._listed(given, [one for one in everywhere if user in one.members])

    def conversations_history(self, given: Json) -> Json:
        channel = self._member_of(given["channel"])
        found = between(channel.top_level(), given)
        found.reverse()  # newest first
        page, more = self._page(given, found, 100)
        shown = [self._stripped(message, given) for message in page]
        return {"messages": shown, "has_more": bool(more), "pin_count": 0, **more}

    def conversations_replies(self, given: Json) -> Json:
        channel = self._member_of(given["channel"])
        thread = channel.thread(str(given["ts"]))
        if not thread:
            raise _Refused("thread_not_found")
        # the parent leads every first page, however `oldest` is set
        found = thread[:1] + between(thread[1:], given)
        page, more = self._page(given, found, 1000)
        shown = [self._stripped(message, given) for message in page]
        return {"messages": shown, "has_more": bool(more), **more}

    def users_info(self, given: Json) -> Json:
        person = self._workspace.people.get(given["user"])
        if person is None:
            raise _Refused("user_not_found")
        return {"user": person}

    def reactions_add(self, given: Json) -> Json:
        reactions = self._reactions(given)
        if given["name"] in reactions:
            raise _Refused("already_reacted")
        reactions.append(given["name"])
        return {}

    def reactions_remove(self, given: Json) -> Json:
        reactions = self._reactions(given)
        if given["name"] not in reactions:
            raise _Refused("no_reaction")
        reactions.remove(given["name"])
        return {}

    def files_info(self, given: Json) -> Json:
        file = self._workspace.files.get(given["file"])
        if file is None:
            raise _Refused("file_not_found")
        return {"file": self._slack.file_object(file)}

    def files_getUploadURLExternal(self, given: Json) -> Json:
        file = self._workspace.announce(given["filename"], int(given["length"]))
        return {"upload_url": self._slack.url(f"/upload/v1/{file.id}"), "file_id": file.id}

    def files_completeUploadExternal(self, given: Json) -> Json:
        files = []
        for named in _decoded(given["files"]):
            file = self._workspace.files.get(named.get("id", ""))
            if file is None or file.content is None:
                raise _Refused("file_not_found")
            file.title = named.get("title", file.name)
            files.append(file)
        shown = [self._slack.file_object(file) for file in files]
        if given.get("channel_id"):
            if given["channel_id"] not in self._workspace.conversations:
                raise _Refused("invalid_channel")
            channel = self._member_of(given["channel_id"])
            thread = {"thread_ts": given["thread_ts"]} if given.get("thread_ts") else {}
            text = given.get("initial_comment", "")
            self._post(channel.id, {"text": text, "files": shown, **thread}, "file_share")
        return {"files": [{"id": file.id, "title": file.title} for file in files]}

    def assistant_threads_setStatus(self, given: Json) -> Json:
        channel = self._conversation(given["channel_id"])
        if given["thread_ts"] not in channel.messages:
            raise _Refused("invalid_thread_ts")
        return {}

    def _content(self, given: Json, limit: int) -> Json:
        """Text, blocks and metadata of a message to post, checked."""
        blocks = _decoded(given.get("blocks") or "[]")
        text = given.get("text") or given.get("markdown_text") or ""
        if not text and not blocks and not given.get("attachments"):
            raise _Refused("no_text")
        if len(blocks) > MAX_BLOCKS or any(not _is_block(block) for block in blocks):
            self._slack.violations.append("invalid blocks")
            raise _Refused("invalid_blocks")
        content: Json = {"text": text}
        if given.get("blocks"):  # an empty list takes the old ones away
            content["blocks"] = blocks
        if given.get("metadata"):
            metadata = _decoded(given["metadata"])
            if set(metadata) != {"event_type", "event_payload"}:
                raise _Refused("invalid_metadata_format")
            content["metadata"] = metadata
        return content

    def _post(self, channel: str, content: Json, subtype: str = "") -> Json:
        author = {"user": workspace.BOT_USER, "bot_id": workspace.BOT_ID, "app_id": workspace.APP}
        kind = {"subtype": subtype} if subtype else {}
        stored = self._workspace.write(channel, {**author, **kind, **content})
        self._slack.posted_by_bot(channel, stored)
        return stored

    def _to(self, target: str) -> workspace.Conversation:
        """Where ``chat.postMessage`` sends: a conversation, or a user's DM."""
        if target in self._workspace.people:
            target = self._workspace.direct(target)
        return self._member_of(target)

    def _conversation(self, channel: str) -> workspace.Conversation:
        found = self._workspace.conversations.get(channel)
        if found is None:
            raise _Refused("channel_not_found")
        return found

    def _member_of(self, channel: str) -> workspace.Conversation:
        found = self._conversation(channel)
        if workspace.BOT_USER not in found.members:
            raise _Refused("not_in_channel")
        if found.archived:
            raise _Refused("is_archived")
        return found

    def _own(self, given: Json) -> Json:
        message = self._conversation(given["channel"]).messages.get(given["ts"])
        if message is None:
            raise _Refused("message_not_found")
        if message.get("bot_id") != workspace.BOT_ID:
            raise _Refused("cant_update_message")
        return message

    def _reactions(self, given: Json) -> list[str]:
        message = self._conversation(given["channel"]).messages.get(given["timestamp"])
        if message is None:
            raise _Refused("message_not_found")
        reactions: list[str] = message.setdefault("reactions", [])
        return reactions

    def _listed(self, given: Json, found: list[workspace.Conversation]) -> Json:
        names = {"public_channel": "channel", "private_channel": "group"}
        types = given.get("types", "public_channel").split(",")
        kinds = {names.get(one, one) for one in types}
        chosen = [self._shown(one) for one in found if one.kind in kinds and not one.archived]
        page, more = self._page(given, chosen, 100)
        return {"channels": page, **more}

    def _shown(self, channel: workspace.Conversation) -> Json:
        shown: Json = {
            "id": channel.id,
            "is_channel": channel.kind == "channel",
            "is_group": channel.kind == "group",
            "is_im": channel.kind == "im",
            "is_mpim": channel.kind == "mpim",
            "is_archived": channel.archived,
            "is_member": workspace.BOT_USER in channel.members,
        }
        if channel.kind == "im":
            shown["user"] = next(iter(channel.members - {workspace.BOT_USER}))
        else:
            shown["name"] = channel.name
        return shown

    def _stripped(self, message: Json, given: Json) -> Json:
        """A message as reading methods show it: the metadata's payload only on demand."""
        shown = dict(message)
        wanted = str(given.get("include_all_metadata", "")).lower() in ("1", "true")
        if "metadata" in shown and not wanted:
            shown["metadata"] = {"event_type": shown["metadata"]["event_type"]}
        return shown

    def _page(self, given: Json, found: list[Json], default: int) -> tuple[list[Json], Json]:
        limit = min(int(given.get("limit") or default), 999, self._slack.page_limit)
        cursor = given.get("cursor") or "next:0"
        if not cursor.startswith("next:"):
            raise _Refused("invalid_cursor")
        start = int(cursor.removeprefix("next:"))
        rest = found[start + limit :]
        more = {"response_metadata": {"next_cursor": f"next:{start + limit}"}} if rest else {}
        return found[start : start + limit], more


class Upload(Resource):
    """``/upload/v1/<file id>``: where ``files.getUploadURLExternal`` sends the bytes."""

    isLeaf = True

    def __init__(self, slack: FakeSlack) -> None:
        super().__init__()
        self._slack = slack

    def render_POST(self, request: Request) -> Any:
        match self._slack.next_fault("upload"):
            case Broken(status):
                request.setResponseCode(status)
                return b"error"
            case Cut():
                return abort(request)
        file = self._slack.workspace.files.get(request.postpath[-1].decode())
        content = _uploaded(request)
        if file is None or len(content) != file.length:
            self._slack.violations.append("upload: not the bytes that were announced")
            request.setResponseCode(400)
            return b"error"
        file.content = content
        return f"OK - {len(content)}".encode()


class Download(Resource):
    """``/files-pri/<team>-<file id>/download/<name>``: ``url_private_download``.

    Without the bot's token Slack sends no error but its sign-in page.
    """

    isLeaf = True

    def __init__(self, slack: FakeSlack) -> None:
        super().__init__()
        self._slack = slack

    def render_GET(self, request: Request) -> Any:
        match self._slack.next_fault("download"):
            case Broken(status):
                request.setResponseCode(status)
                return b"error"
            case Cut():
                return abort(request)
        file = self._slack.workspace.files.get(request.postpath[0].decode().partition("-")[2])
        if bearer(request) != self._slack.bot_token:
            request.redirect(self._slack.url("/signin").encode())
            return b""
        if file is None or file.content is None:
            return NoResource("no such file").render(request)
        request.setHeader(b"content-type", file.mimetype.encode())
        return file.content


class SignIn(Resource):
    """The page a browser without a session is sent to."""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"content-type", b"text/html; charset=utf-8")
        return b"<!DOCTYPE html><html><body>Sign in to Slack</body></html>"


def _uploaded(request: Request) -> bytes:
    """The bytes of an upload, which Slack takes bare or as the one file of a form."""
    if (request.getHeader("content-type") or "").startswith("multipart/form-data"):
        return next(iter((request.args or {}).values()), [b""])[0]
    assert request.content is not None
    return request.content.read()


def bearer(request: Request) -> str:
    """The token of the ``Authorization`` header, or nothing."""
    scheme, _, token = (request.getHeader("authorization") or "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


def abort(request: HttpRequest) -> int:
    """Resets the connection under a request."""
    request.channel.transport.abortConnection()
    return NOT_DONE_YET


def finish_later(request: Request, body: bytes, reactor: IReactorTime, seconds: float) -> None:
    """Answers after a while, unless the client has gone by then."""
    waiting = reactor.callLater(seconds, lambda: (request.write(body), request.finish()))
    gone = request.notifyFinish()
    gone.addErrback(lambda _: waiting.active() and waiting.cancel())


def _is_block(block: Any) -> bool:
    if not isinstance(block, dict) or "type" not in block:
        return False
    text = block.get("text", {})
    text = text.get("text", "") if isinstance(text, dict) else text
    return block["type"] != "section" or len(text) <= MAX_SECTION_TEXT


def _decoded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _dump(answer: Json) -> bytes:
    return json.dumps(answer).encode()


def _json(answer: Json, request: Request) -> bytes:
    request.setHeader(b"content-type", b"application/json; charset=utf-8")
    return _dump(answer)
