"""The fake's REST API, version 10, and its CDN.

Every request is checked in Discord's own order: address, `User-Agent`, token, rate limits, then
path, query and body against the published description (`spec`), then what the operation itself
demands. Answers and errors have the documented form (`code`, `message`, nested `errors`, the
`X-RateLimit-*` headers). Messages with `enforce_nonce` are deduplicated for real.

`Rest.faults` makes single requests go wrong; see `Fault`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import HTTP
from typing import Any
from urllib.parse import unquote
from zlib import crc32

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from tests.channels.discord.spec import Match, Spec
from tests.channels.discord.world import (
    CHAT_INPUT_COMMAND,
    JSON,
    Channel,
    Interaction,
    World,
)

PREFIX = "/api/v10"
TEXT_LIMIT = 2000
FILE_LIMIT = 10 * 1024 * 1024
SILENT, EPHEMERAL, LOADING = 1 << 12, 1 << 6, 1 << 7
CREATE_MESSAGE = "POST /channels/{channel_id}/messages"
FREE_OF_TOKEN = ("/interactions/", "/webhooks/")


class ApiError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: int, message: str, errors: JSON | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body: JSON = {"message": message, "code": code}
        if errors:
            self.body["errors"] = errors
        self.headers: dict[str, str] = {}


@dataclass
class Fault:
    """What goes wrong with one request.

    Attributes:
        status, body, headers: answer this instead of acting (`body` may be no JSON at all).
        cut: `before` acting or `after` it, the connection is torn and nothing is answered.
        delay: seconds until the answer; the request is acted on at once.
        retry_after: answer 429 with it; `everywhere`: it is the global limit.
    """

    status: int = 0
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: str = ""
    delay: float = 0.0
    retry_after: float = 0.0
    everywhere: bool = False


@dataclass
class Request:
    """A request as it came."""

    operation: str
    path: str
    query: dict[str, str]
    body: Any
    files: dict[str, tuple[str, str, bytes]]
    headers: dict[str, str]
    at: float
    status: int = 0


@dataclass
class Bucket:
    limit: int
    seconds: float
    times: deque[float] = field(default_factory=deque)


class Rest(Resource):
    """Everything under the fake's HTTP port.

    Attributes:
        requests: all, with the status each was answered with.
        faults: for an operation (as the description names it), what goes wrong next, in order.
        limit: the rate limit of every bucket, `(requests, seconds)`.
        exceeded: how often a client asked on although its bucket was empty.
        complaints: what clients did against the rules.
        gateway_url: what GET /gateway/bot says.
        latency: seconds every answer takes.
        answer_seconds: how long an interaction waits for its answer.
    """

    isLeaf = True

    def __init__(self, reactor: Any, world: World) -> None:
        super().__init__()
        self.clock = reactor
        self.world = world
        self.spec = Spec()
        self.requests: list[Request] = []
        self.faults: dict[str, deque[Fault]] = {}
        self.limit = (50, 1.0)
        self.exceeded = 0
        self.complaints: list[str] = []
        self.gateway_url = ""
        self.latency = 0.0
        self.answer_seconds = 3.0
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._global_until = 0.0
        self._handlers: dict[str, Callable[..., Any]] = {
            "GET /applications/@me": self._application,
            "GET /channels/{channel_id}": lambda _, channel_id: self._channel(channel_id).json(),
            "GET /channels/{channel_id}/messages": self._messages,
            "GET /channels/{channel_id}/messages/{message_id}": self._message,
            "GET /gateway/bot": self._gateway,
            "GET /guilds/{guild_id}": self._guild,
            "GET /users/@me": lambda _: self.world.bot.json(),
            "PUT /applications/{application_id}/commands": self._commands,
            CREATE_MESSAGE: self._create,
            "PATCH /channels/{channel_id}/messages/{message_id}": self._edit,
            "DELETE /channels/{channel_id}/messages/{message_id}": self._delete,
            "POST /channels/{channel_id}/typing": self._typing,
            "PUT /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me": (
                self._react
            ),
            "DELETE /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me": (
                self._unreact
            ),
            "POST /users/@me/channels": self._open_dm,
            "POST /interactions/{interaction_id}/{interaction_token}/callback": self._callback,
            "PATCH /webhooks/{webhook_id}/{webhook_token}/messages/@original": self._edit_original,
            "POST /webhooks/{webhook_id}/{webhook_token}": self._followup,
        }

    def fail(self, operation: str, *faults: Fault) -> None:
        """Make the next requests for an operation go wrong."""
        if operation not in self._handlers:
            raise KeyError(operation)
        self.faults.setdefault(operation, deque()).extend(faults)

    def throttle(self, limit: int, seconds: float) -> None:
        """Another rate limit for every bucket, from now on."""
        self.limit = (limit, seconds)
        self._buckets.clear()

    def refill(self) -> None:
        """As if the time of every bucket had gone by."""
        for bucket in self._buckets.values():
            bucket.times.clear()

    def of(self, operation: str) -> list[Request]:
        """The requests for an operation."""
        return [request for request in self.requests if request.operation == operation]

    # One request

    def render(self, request: Any) -> Any:
        path = unquote(request.path.decode())
        if path.startswith("/attachments/"):
            return self._cdn(request, path)
        record = Request(
            "", path, _query(request), None, {}, _headers(request), self.clock.seconds()
        )
        self.requests.append(record)
        fault = Fault()
        try:
            match = self._route(request.method.decode(), path, record)
            record.operation = match.operation
            queue = self.faults.get(match.operation)
            fault = queue.popleft() if queue else fault
            if fault.cut == "before":
                request.transport.abortConnection()
                return NOT_DONE_YET
            status, headers, answer = self._answer(request, record, match, fault)
        except ApiError as error:
            status, headers, answer = error.status, error.headers, _json(error.body)
        if fault.cut == "after":
            record.status = status
            request.transport.abortConnection()
            return NOT_DONE_YET
        record.status = status
        self._finish(request, fault.delay or self.latency, status, headers, answer)
        return NOT_DONE_YET

    def _finish(
        self, request: Any, delay: float, status: int, headers: dict[str, str], answer: bytes
    ) -> None:
        gone: list[Any] = []
        request.notifyFinish().addErrback(gone.append)

        def write() -> None:
            if gone:
                return
            request.setResponseCode(status)
            if answer:
                request.setHeader("content-type", "application/json")
            for name, value in headers.items():
                request.setHeader(name, value)
            if answer:
                request.write(answer)
            request.finish()

        if delay:
            self.clock.callLater(delay, write)
        else:
            write()

    def _route(self, method: str, path: str, record: Request) -> Match:
        if not path.startswith(PREFIX + "/"):
            raise ApiError(404, 0, "404: Not Found")
        path = path.removeprefix(PREFIX)
        free = any(part in path for part in FREE_OF_TOKEN)
        if not free and not record.headers.get("user-agent", "").startswith("DiscordBot ("):
            self.complaints.append("User-Agent")
            raise ApiError(403, 0, "error code: 1010")
        match = self.spec.match(method, path)
        if match is None:
            self.complaints.append(f"unknown: {method} {path}")
            known = self.spec.methods(path)
            raise ApiError(
                *((405, 0, "405: Method Not Allowed") if known else (404, 0, "404: Not Found"))
            )
        return match

    def _answer(
        self, request: Any, record: Request, match: Match, fault: Fault
    ) -> tuple[int, dict[str, str], bytes]:
        self._authorize(record, match)
        if fault.retry_after:
            raise self._limited(fault.retry_after, everywhere=fault.everywhere)
        if fault.status:
            return fault.status, fault.headers, fault.body
        headers = self._count(match)
        record.body, record.files = self._body(request, record)
        self._check(record, match)
        result = self._handlers[match.operation](record, **match.variables)
        if result is None:
            return 204, headers, b""
        return 200, headers, _json(result)

    def _authorize(self, record: Request, match: Match) -> None:
        given = record.headers.get("authorization")
        if any(part in record.path for part in FREE_OF_TOKEN) and given is None:
            return
        if given != f"Bot {self.world.token}":
            raise ApiError(401, 0, "401: Unauthorized")

    # Rate limits

    def _count(self, match: Match) -> dict[str, str]:
        now = self.clock.seconds()
        if now < self._global_until:
            self.exceeded += 1
            raise self._limited(self._global_until - now, everywhere=True)
        major = next(iter(match.variables.values()), "")
        limit, seconds = self.limit
        bucket = self._buckets.setdefault((match.operation, major), Bucket(limit, seconds))
        while bucket.times and now - bucket.times[0] >= bucket.seconds:
            bucket.times.popleft()
        if len(bucket.times) >= bucket.limit:
            self.exceeded += 1
            raise self._limited(bucket.times[0] + bucket.seconds - now, name=match.operation)
        bucket.times.append(now)
        left = bucket.limit - len(bucket.times)
        return self._bucket_headers(
            bucket.limit, left, bucket.times[0] + bucket.seconds - now, match.operation
        )

    def _bucket_headers(self, limit: int, left: int, after: float, name: str) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(left),
            "X-RateLimit-Reset": f"{self.clock.seconds() + after:.3f}",
            "X-RateLimit-Reset-After": f"{after:.3f}",
            "X-RateLimit-Bucket": f"{crc32(name.encode()):08x}",
        }

    def _limited(self, seconds: float, *, everywhere: bool = False, name: str = "") -> ApiError:
        error = ApiError(429, 0, "You are being rate limited.")
        error.body = {
            "message": "You are being rate limited.",
            "retry_after": round(seconds, 3),
            "global": everywhere,
        }
        error.headers = {"Retry-After": str(int(seconds) + 1)}
        if everywhere:
            self._global_until = max(self._global_until, self.clock.seconds() + seconds)
            error.headers |= {"X-RateLimit-Global": "true", "X-RateLimit-Scope": "global"}
        else:
            error.headers |= {"X-RateLimit-Scope": "user"}
            error.headers |= self._bucket_headers(self.limit[0], 0, seconds, name)
        return error

    # Bodies

    def _body(self, request: Any, record: Request) -> tuple[Any, dict[str, tuple[str, str, bytes]]]:
        data = request.content.read()
        kind = record.headers.get("content-type", "")
        if not data and not kind.startswith("multipart/"):
            return None, {}
        if kind.startswith("application/json"):
            try:
                return json.loads(data), {}
            except ValueError:
                raise ApiError(400, 50109, "The request body contains invalid JSON.") from None
        if kind.startswith("multipart/form-data"):
            return _multipart(kind, data)
        raise _invalid([([], "CONTENT_TYPE_INVALID", "Unsupported Content-Type.")])

    def _check(self, record: Request, match: Match) -> None:
        wrong = self.spec.query_errors(match.operation, record.query)
        errors = [(["query"], "BASE_TYPE_BAD_TYPE", text) for text in wrong]
        errors += self.spec.body_errors(match.operation, _as_described(record.body))
        content = record.body.get("content") if isinstance(record.body, dict) else None
        if isinstance(content, str) and len(content) > TEXT_LIMIT:
            limit = f"Must be {TEXT_LIMIT} or fewer in length."
            errors.append((["content"], "BASE_TYPE_MAX_LENGTH", limit))
        if errors:
            self.complaints.append(f"{match.operation}: {errors}")
            raise _invalid(errors)
        for name, (_, _, data) in record.files.items():
            if len(data) > FILE_LIMIT:
                raise ApiError(413, 40005, "Request entity too large")
            if not name.startswith("files["):
                raise _invalid([([name], "UNKNOWN_FIELD", "Files are named files[n].")])

    # Operations

    def _channel(self, channel_id: str, *, write: bool = False) -> Channel:
        channel = self.world.channels.get(channel_id)
        if channel is None:
            raise ApiError(404, 10003, "Unknown Channel")
        if not channel.readable:
            raise ApiError(403, 50001, "Missing Access")
        if write and channel.recipient and channel.recipient.blocked:
            raise ApiError(403, 50007, "Cannot send messages to this user")
        if write and not channel.writable:
            raise ApiError(403, 50013, "Missing Permissions")
        if write and channel.locked:
            raise ApiError(400, 50083, "Thread is archived")
        return channel

    def _application(self, record: Request) -> JSON:
        flags = (1 << 19) if self.world.content_enabled else 0
        return {"id": self.world.application_id, "name": "Claw", "flags": flags}

    def _gateway(self, record: Request) -> JSON:
        start = {"total": 1000, "remaining": 999, "reset_after": 14_400_000, "max_concurrency": 1}
        return {"url": self.gateway_url, "shards": 1, "session_start_limit": start}

    def _guild(self, record: Request, guild_id: str) -> JSON:
        guild = self.world.guilds.get(guild_id)
        if guild is None:
            raise ApiError(404, 10004, "Unknown Guild")
        whole = guild.json()
        return {key: whole[key] for key in ("id", "name", "roles")}

    def _message(self, record: Request, channel_id: str, message_id: str) -> JSON:
        message = self.world.find(self._channel(channel_id), message_id)
        if message is None:
            raise ApiError(404, 10008, "Unknown Message")
        return self.world.renewed(message)

    def _messages(self, record: Request, channel_id: str) -> list[JSON]:
        channel = self._channel(channel_id)
        limit = int(record.query.get("limit", "50"))
        if not 1 <= limit <= 100:
            message = "int value should be between 1 and 100."
            raise _invalid([(["limit"], "NUMBER_TYPE_MAX", message)])
        messages = sorted(channel.messages, key=lambda m: int(m["id"]))
        after, before = record.query.get("after"), record.query.get("before")
        if after is not None:
            messages = [m for m in messages if int(m["id"]) > int(after)][:limit]
        elif before is not None:
            messages = [m for m in messages if int(m["id"]) < int(before)][-limit:]
        else:
            messages = messages[-limit:]
        return messages[::-1]

    def _create(self, record: Request, channel_id: str) -> JSON:
        channel = self._channel(channel_id, write=True)
        body = record.body or {}
        nonce = body.get("nonce")
        if body.get("enforce_nonce") and nonce is not None:
            known = self.world.known_nonce(nonce)
            if known is not None:
                return known
        reference = body.get("message_reference")
        if reference and self.world.find(channel, reference["message_id"]) is None:
            if reference.get("fail_if_not_exists", True):
                raise _invalid(
                    [(["message_reference"], "REPLIES_UNKNOWN_MESSAGE", "Unknown message")]
                )
            body = {**body, "message_reference": None}
        message = self._new_message(channel, body, record.files)
        if nonce is not None:
            message["nonce"] = nonce
            self.world.keep_nonce(nonce, message)
        return self.world.post(channel, message)

    def _new_message(
        self, channel: Channel, body: JSON, files: dict[str, tuple[str, str, bytes]], **more: Any
    ) -> JSON:
        attached = [self.world.attach(channel, *file) for file in files.values()]
        filled = {**body, "attachments": attached}
        parts = ("embeds", "sticker_ids", "components", "attachments", "poll")
        if not (body.get("content") or "").strip() and not any(filled.get(p) for p in parts):
            raise ApiError(400, 50006, "Cannot send an empty message")
        return self.world.message(channel, self.world.bot, filled, **more)

    def _own(self, channel_id: str, message_id: str) -> tuple[Channel, JSON]:
        channel = self._channel(channel_id)
        message = self.world.find(channel, message_id)
        if message is None:
            raise ApiError(404, 10008, "Unknown Message")
        if message["author"]["id"] != self.world.bot.id:
            raise ApiError(403, 50005, "Cannot edit a message authored by another user")
        return channel, message

    def _edit(self, record: Request, channel_id: str, message_id: str) -> JSON:
        channel, message = self._own(channel_id, message_id)
        _change(message, record.body or {})
        self.world.announce("MESSAGE_UPDATE", channel, message)
        return message

    def _delete(self, record: Request, channel_id: str, message_id: str) -> None:
        channel, message = self._own(channel_id, message_id)
        channel.messages.remove(message)

    def _typing(self, record: Request, channel_id: str) -> None:
        self.world.typing.append(self._channel(channel_id, write=True).id)

    def _reaction(self, channel_id: str, message_id: str, emoji_name: str) -> tuple[str, str]:
        if self.world.find(self._channel(channel_id), message_id) is None:
            raise ApiError(404, 10008, "Unknown Message")
        if emoji_name.isascii() and ":" not in emoji_name:
            raise ApiError(400, 10014, "Unknown Emoji")
        return message_id, emoji_name

    def _react(self, record: Request, **variables: str) -> None:
        self.world.reactions.append(self._reaction(**variables))

    def _unreact(self, record: Request, **variables: str) -> None:
        mine = self._reaction(**variables)
        if mine in self.world.reactions:
            self.world.reactions.remove(mine)

    def _open_dm(self, record: Request) -> JSON:
        user = self.world.users.get((record.body or {}).get("recipient_id") or "")
        if user is None:
            raise ApiError(400, 50033, "Invalid Recipient(s)")
        return self.world.dm(user).json()

    def _commands(self, record: Request, application_id: str) -> list[JSON]:
        if application_id != self.world.application_id:
            raise ApiError(403, 20012, "You are not authorized to perform this action")
        self.world.commands = [
            {**command, "id": self.world.snowflake(), "application_id": application_id}
            for command in record.body
        ]
        return self.world.commands

    # Interactions

    def _callback(self, record: Request, interaction_id: str, interaction_token: str) -> Any:
        interaction = self.world.interactions.get(interaction_id)
        now, most = self.clock.seconds(), self.answer_seconds
        late = interaction is not None and now - interaction.at > most
        if interaction is None or interaction.token != interaction_token or late:
            raise ApiError(404, 10062, "Unknown interaction")
        if interaction.answered is not None:
            raise ApiError(400, 40060, "Interaction has already been acknowledged.")
        kind = record.body["type"]
        if kind in (6, 7) and interaction.source is None:
            raise _invalid([(["type"], "BASE_TYPE_CHOICES", "Only for components.")])
        interaction.answered = kind
        data = record.body.get("data") or {}
        if kind == 4:
            self._interaction_message(interaction, data, record.files)
        elif kind == 5:
            interaction.original = self.world.message(
                interaction.channel,
                self.world.bot,
                {"content": "", "flags": LOADING | (data.get("flags") or 0)},
                type=CHAT_INPUT_COMMAND,
            )
        elif kind == 7 and interaction.source:
            _change(interaction.source, data)
            self.world.announce("MESSAGE_UPDATE", interaction.channel, interaction.source)
        return {"interaction": {"id": interaction_id, "type": 2}} if record.query else None

    def _interaction_message(
        self, interaction: Interaction, body: JSON, files: dict[str, tuple[str, str, bytes]]
    ) -> JSON:
        kind = CHAT_INPUT_COMMAND if interaction.original is None else 19
        message = self._new_message(interaction.channel, body, files, type=kind)
        if interaction.original is None:
            interaction.original = message
        if (body.get("flags") or 0) & EPHEMERAL:
            interaction.ephemeral.append(message["content"])
            return message
        return self.world.post(interaction.channel, message)

    def _by_token(self, webhook_id: str, webhook_token: str) -> Interaction:
        for interaction in self.world.interactions.values():
            if interaction.token == webhook_token and webhook_id == self.world.application_id:
                if self.clock.seconds() - interaction.at > 900:
                    break
                if interaction.answered is None:
                    raise ApiError(404, 10015, "Unknown Webhook")
                return interaction
        raise ApiError(401, 50027, "Invalid Webhook Token")

    def _edit_original(self, record: Request, webhook_id: str, webhook_token: str) -> JSON:
        interaction = self._by_token(webhook_id, webhook_token)
        message = interaction.original
        if message is None:
            raise ApiError(404, 10008, "Unknown Message")
        if message["flags"] & LOADING:
            return self._fill(interaction, message, record)
        _change(message, record.body or {})
        self.world.announce("MESSAGE_UPDATE", interaction.channel, message)
        return message

    def _fill(self, interaction: Interaction, message: JSON, record: Request) -> JSON:
        """The message that stood for "thinking" becomes the answer."""
        _change(message, record.body or {})
        message["attachments"] = [
            self.world.attach(interaction.channel, *file) for file in record.files.values()
        ]
        message["flags"] &= ~LOADING
        if message["flags"] & EPHEMERAL:
            interaction.ephemeral.append(message["content"])
        else:
            self.world.post(interaction.channel, message)
        return message

    def _followup(self, record: Request, webhook_id: str, webhook_token: str) -> JSON:
        interaction = self._by_token(webhook_id, webhook_token)
        if interaction.original and interaction.original["flags"] & LOADING:
            return self._fill(interaction, interaction.original, record)
        return self._interaction_message(interaction, record.body or {}, record.files)

    # Files

    def _cdn(self, request: Any, path: str) -> bytes:
        if request.getHeader("authorization"):
            self.complaints.append("the token was sent to the CDN")
        mime_type, data = self.world.files.get(path, ("", b""))
        if not mime_type:
            request.setResponseCode(404)
            return b"This content is no longer available."
        request.setHeader("content-type", mime_type)
        return data


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _query(request: Any) -> dict[str, str]:
    return (
        {k.decode(): v[0].decode() for k, v in request.args.items()}
        if request.uri.count(b"?")
        else {}
    )


def _headers(request: Any) -> dict[str, str]:
    return {
        name.decode().lower(): values[0].decode("latin-1")
        for name, values in request.requestHeaders.getAllRawHeaders()
    }


def _invalid(errors: list[tuple[list[Any], str, str]]) -> ApiError:
    tree: JSON = {}
    for path, code, message in errors:
        node = tree
        for step in path:
            node = node.setdefault(str(step), {})
        node.setdefault("_errors", []).append({"code": code, "message": message})
    return ApiError(400, 50035, "Invalid Form Body", tree)


def _as_described(body: Any) -> Any:
    """Attachments may be numbered by integers: Discord's own example does it."""
    if not isinstance(body, dict) or not isinstance(body.get("attachments"), list):
        return body
    listed = [
        {**one, "id": str(one["id"])} if isinstance(one, dict) and "id" in one else one
        for one in body["attachments"]
    ]
    return {**body, "attachments": listed}


def _change(message: JSON, body: JSON) -> None:
    for name in ("content", "components", "embeds"):
        if name in body:
            message[name] = body[name] or ("" if name == "content" else [])
    message["edited_timestamp"] = message["timestamp"]


def _multipart(kind: str, data: bytes) -> tuple[Any, dict[str, tuple[str, str, bytes]]]:
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    body: Any = None
    files: dict[str, tuple[str, str, bytes]] = {}
    for part in message_from_bytes(head + data, policy=HTTP).iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        payload = part.get_payload(decode=True)
        if name == "payload_json":
            body = json.loads(payload)
        else:
            files[name] = (part.get_filename() or "", part.get_content_type(), payload)
    return body, files
