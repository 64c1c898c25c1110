"""Calls of Discord's REST API, version 10: one method for each thing the adapter does.

A request waits for its rate limit as long as `patience` allows; one that was refused with 429 was
not acted on and is made again after the time Discord says. What an answer other than 2xx means is
`Refused`; what no answer means, `clawgw.channels.http` says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
from twisted.internet.task import deferLater

from clawgw import __version__
from clawgw.channels.discord.limits import Limits
from clawgw.channels.http import Headers, Http, HttpBadAnswer, Part, Response

SECONDS = 30.0
UPLOAD_SECONDS = 120.0
PATIENCE = 10.0
TRIES = 3
PAGE = 100
FILE_HOSTS = (".discordapp.com", ".discordapp.net", ".discord.com")
EPHEMERAL = 1 << 6
MESSAGE, DEFERRED = 4, 5  # kinds of answers to an interaction

UNKNOWN_MESSAGE = 10008
NOT_SO = "Discord's answer has not the form it should have."

JSON = dict[str, Any]


class Refused(Exception):
    """Discord answered with an error.

    Attributes:
        status: of HTTP.
        code: Discord's own, 0 where it gave none.
        foreign: the answer is none of Discord's API: something in between let nothing through.
    """

    def __init__(self, status: int, code: int, message: str, *, foreign: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.foreign = foreign


class Throttled(Exception):
    """A request was not made, or refused, because there were too many.

    Attributes:
        retry_after: seconds.
        everywhere: all requests have to wait.
    """

    def __init__(self, retry_after: float, *, everywhere: bool) -> None:
        super().__init__(f"Discord asks to wait {retry_after:.1f} s.")
        self.retry_after = retry_after
        self.everywhere = everywhere


class _Error(msgspec.Struct, frozen=True):
    """The body of an error."""

    message: str = ""
    code: int = 0


class _Wait(msgspec.Struct, frozen=True):
    """The body of a 429."""

    retry_after: float
    global_: bool = msgspec.field(default=False, name="global")


class Api:
    """The API, as one bot.

    Args:
        root: where it is; the version is added where it is not there already.
        token: gives the bot's token.
    """

    def __init__(self, reactor: Any, root: str, token: Callable[[], str]) -> None:
        self._reactor = reactor
        self._root = root.rstrip("/").removesuffix("/v10") + "/v10"
        self._token = token
        self._limits = Limits(reactor.seconds)
        self.http = Http(reactor, "Discord", headers=self._headers)

    def __repr__(self) -> str:
        return "Api()"

    def is_discords(self, url: str) -> bool:
        """Whether an address is one of Discord's, or of the server that stands for it."""
        try:
            parts, root = urlsplit(url), urlsplit(self._root)
            if (parts.scheme, parts.hostname, parts.port) == (
                root.scheme, root.hostname, root.port
            ):  # fmt: skip
                return True
        except ValueError:
            return False
        host = f".{parts.hostname or ''}"
        return parts.scheme == "https" and host.endswith(FILE_HOSTS)

    def _headers(self) -> Mapping[str, str]:
        return {
            "Authorization": f"Bot {self._token()}",
            "User-Agent": f"DiscordBot (clawgw, {__version__})",
        }

    async def close(self) -> None:
        """End what is under way."""
        await self.http.close()

    # Who we are, where to connect

    async def me(self) -> JSON:
        """The bot's user."""
        return _object(await self._call("GET", "/users/@me"))

    async def application(self) -> JSON:
        """The application the bot belongs to; its `flags` say what it may see."""
        return _object(await self._call("GET", "/applications/@me"))

    async def gateway(self) -> JSON:
        """The address of the Gateway, and how many sessions may still be begun."""
        return _object(await self._call("GET", "/gateway/bot"))

    async def set_commands(self, application: str, commands: Sequence[JSON]) -> None:
        """Make these the bot's slash commands; all others are gone."""
        path = "/applications/{}/commands"
        await self._call("PUT", path, application, json=list(commands))

    # Places

    async def channel(self, channel: str) -> JSON:
        """A channel, thread or conversation."""
        return _object(await self._call("GET", "/channels/{}", channel))

    async def guild(self, guild: str) -> JSON:
        """A server, with its roles."""
        return _object(await self._call("GET", "/guilds/{}", guild))

    async def open_dm(self, user: str) -> str:
        """The id of the conversation with a user; it is made if need be."""
        answer = await self._call("POST", "/users/@me/channels", json={"recipient_id": user})
        return _id_in(answer)

    # Messages

    async def messages(self, channel: str, after: str) -> list[JSON]:
        """The next messages after one, at most `PAGE`, oldest first."""
        query = f"?after={after}&limit={PAGE}"
        answer = await self._call("GET", "/channels/{}/messages", channel, query=query)
        if not isinstance(answer, list):
            raise HttpBadAnswer(NOT_SO, 200)
        return [one for one in reversed(answer) if isinstance(one, dict)]

    async def message(self, channel: str, message: str) -> JSON:
        """One message, with links to its files that work for some hours."""
        return _object(await self._call("GET", "/channels/{}/messages/{}", channel, message))

    async def create(self, channel: str, body: JSON, file: Part | None = None) -> str:
        """Write a message; returns its id."""
        path = "/channels/{}/messages"
        if file is None:
            answer = await self._call("POST", path, channel, json=body)
        else:
            form = {"payload_json": msgspec.json.encode(body).decode()}
            answer = await self._call(
                "POST", path, channel, form=form, files=(file,), timeout=UPLOAD_SECONDS
            )
        return _id_in(answer)

    async def edit(self, channel: str, message: str, body: JSON) -> None:
        """Replace one of our messages."""
        await self._call("PATCH", "/channels/{}/messages/{}", channel, message, json=body)

    async def typing(self, channel: str) -> None:
        """Show for ten seconds that the bot is writing."""
        await self._call("POST", "/channels/{}/typing", channel, patience=0.0, timeout=10.0)

    # Interactions; the token in their paths is their right to be answered

    async def answer(self, interaction: str, token: str, kind: int, data: JSON) -> None:
        """Answer an interaction; that has to happen within three seconds."""
        body = {"type": kind, "data": data}
        path = "/interactions/{}/{}/callback"
        await self._call("POST", path, interaction, token, json=body, patience=1.0, timeout=5.0)

    async def fill(self, application: str, token: str, body: JSON) -> None:
        """Say what was deferred when the interaction was answered."""
        path = "/webhooks/{}/{}/messages/@original"
        await self._call("PATCH", path, application, token, json=body)

    # One call

    async def _call(
        self,
        method: str,
        template: str,
        *variables: str,
        query: str = "",
        json: Any = None,
        form: Mapping[str, str] | None = None,
        files: Sequence[Part] = (),
        timeout: float = SECONDS,
        patience: float = PATIENCE,
    ) -> Any:
        """Ask, and read the answer.

        Raises:
            Refused: Discord will not.
            Throttled: it takes longer than `patience`.
            HttpError: there was no usable answer.
        """
        path = template.format(*(quote(one, safe="@") for one in variables))
        route, major = f"{method} {template}", variables[0] if variables else ""
        for left in range(TRIES - 1, -1, -1):
            await self._turn(route, major, patience)
            response = await self._request(
                method, path + query, json=json, form=form, files=files, timeout=timeout
            )
            self._limits.learn(route, major, response.headers)
            if response.status != 429:
                return _result(response)
            wait = _wait(response)
            everywhere = wait.global_ or response.headers.get("x-ratelimit-scope") == "global"
            self._limits.stop(route, major, wait.retry_after, everywhere=everywhere)
            if not left:
                raise Throttled(wait.retry_after, everywhere=everywhere)
        raise AssertionError("unreachable")

    def _request(self, method: str, path: str, **more: Any) -> Any:
        return self.http.request(method, self._root + path, **more)

    async def _turn(self, route: str, major: str, patience: float) -> None:
        """Wait until a request may be made; others that wait too may be faster."""
        patient_until = self._reactor.seconds() + patience
        while (seconds := self._limits.wait(route, major)) > 0:
            if self._reactor.seconds() + seconds > patient_until:
                raise Throttled(seconds, everywhere=self._limits.stopped)
            await deferLater(self._reactor, seconds)


def file_part(path: str, name: str, mime_type: str) -> Part:
    """A file to go with a message, as the first of its attachments."""
    return Part("files[0]", name or Path(path).name, mime_type, Path(path))


def _result(response: Response) -> Any:
    if response.status == 204:
        return None
    if 200 <= response.status < 300:
        return response.json()
    try:
        error = msgspec.json.decode(response.body, type=_Error)
    except (msgspec.DecodeError, RecursionError):
        raise Refused(response.status, 0, f"status {response.status}", foreign=True) from None
    message = error.message[:200] or f"status {response.status}"
    raise Refused(response.status, error.code, message)


def _wait(response: Response) -> _Wait:
    """What a 429 says; one that does not come from Discord itself has no body to read."""
    try:
        wait = msgspec.json.decode(response.body, type=_Wait)
    except (msgspec.DecodeError, RecursionError):
        return _Wait(_seconds(response.headers), True)
    return _Wait(max(0.05, min(wait.retry_after, 86_400.0)), wait.global_)


def _seconds(headers: Headers) -> float:
    text = headers.get("retry-after") or ""
    return float(min(int(text), 86_400)) if text.isdecimal() and len(text) < 10 else 60.0


def _id_in(value: Any) -> str:
    found = _object(value).get("id")
    if not isinstance(found, str):
        raise HttpBadAnswer("Discord's answer names nothing that was made.", 200)
    return found


def _object(value: Any) -> JSON:
    if not isinstance(value, dict):
        raise HttpBadAnswer(NOT_SO, 200)
    return value
