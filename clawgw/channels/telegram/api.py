"""Calls of the Bot API, and what their answers mean.

A call is a POST of JSON to `<root>/bot<token>/<method>`, or of a form where a file goes along. The
answer is `{"ok": true, "result"}` or `{"ok": false, "error_code", "description", "parameters"}`
(core.telegram.org/bots/api, "Making requests"). The token is part of the address, so no address
appears in any text of ours.

The two halves of the adapter hear of failures in their own words: receiving in `Fault`s, which end
a connection; sending in `SendError`s, which say whether the message was taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote

import msgspec

from clawgw.channels.adapter import Fatal, Fault, SendError, SendLater, SendRefused, SendUnknown
from clawgw.channels.http import (
    DownloadInfo,
    Http,
    HttpBadAnswer,
    HttpError,
    HttpUnreachable,
    Part,
    Response,
    TooLarge,
)
from clawgw.channels.telegram.updates import mended

LONGEST_WAIT = 24 * 3600.0
"""Seconds; nobody is asked to wait for longer, whatever an answer says."""

_TOKEN = re.compile(r"[0-9A-Za-z_:.\-]{3,120}")
_ResultT = TypeVar("_ResultT")

REFUSED = "Telegram does not accept the bot token; take it from @BotFather and set botToken"
TOO_LARGE = "the file is larger than Telegram takes from bots (50 MB)"
ANOTHER_POLLER = (
    "another program receives this bot's messages (Telegram: 409 Conflict). A bot can be used by "
    "one program only: stop the other one, or make a new bot with @BotFather"
)
ANOTHER_WEBHOOK = (
    "another program has set a webhook for this bot (Telegram: 409 Conflict), so its messages go "
    "there. Stop it and have it delete its webhook, or make a new bot with @BotFather"
)


class BotError(Exception):
    """Telegram answered that it did not do it.

    Attributes:
        code: like an HTTP status.
        retry_after: seconds to wait, where Telegram says so.
        moved_to: the id the chat has now, where it has become a supergroup.
    """

    def __init__(
        self,
        code: int,
        description: str,
        retry_after: float | None = None,
        moved_to: int | None = None,
    ) -> None:
        super().__init__(f"Telegram says: {description} ({code})")
        self.code = code
        self.description = description
        self.retry_after = retry_after
        self.moved_to = moved_to

    def says(self, words: str) -> bool:
        """Whether the description has these words, in any case."""
        return words in self.description.lower()


class _Parameters(msgspec.Struct, frozen=True):
    retry_after: float | None = None
    migrate_to_chat_id: int | None = None


class _Answer(msgspec.Struct, frozen=True):
    ok: bool
    result: msgspec.Raw = msgspec.Raw(b"null")
    error_code: int | None = None
    description: str = ""
    parameters: _Parameters | None = None


_answer = msgspec.json.Decoder(_Answer).decode


class BotApi:
    """The Bot API for one bot.

    Args:
        root: where it is, without a slash at the end.
        token: the bot's.
        seconds: how long a call may take.
    """

    def __init__(self, http: Http, root: str, token: str, seconds: float) -> None:
        self._http = http
        self._root = root.rstrip("/")
        self._token = token
        self._seconds = seconds

    async def call(
        self,
        method: str,
        params: Mapping[str, Any],
        result: type[_ResultT],
        *,
        seconds: float | None = None,
    ) -> _ResultT:
        """Call a method; returns what it answers.

        Args:
            result: the type of the answer.
            seconds: how long it may take, if not as usual.

        Raises:
            BotError: Telegram refused.
            HttpError: there was no answer, or none of the Bot API.
        """
        response = await self._http.request(
            "POST", self._address(method), json=params, timeout=seconds or self._seconds
        )
        return _result(response, result)

    async def upload(
        self,
        method: str,
        params: Mapping[str, Any],
        files: Sequence[Part],
        result: type[_ResultT],
        *,
        seconds: float,
    ) -> _ResultT:
        """Call a method that takes files.

        Raises:
            BotError, HttpError: as `call`.
            OSError: a file cannot be read.
        """
        form = {name: _field(value) for name, value in params.items()}
        response = await self._http.request(
            "POST", self._address(method), form=form, files=files, timeout=seconds
        )
        return _result(response, result)

    async def download(self, file_path: str, path: Path, max_bytes: int) -> DownloadInfo:
        """Fetch a file that `getFile` told the path of.

        Raises:
            HttpError: it could not be fetched.
            OSError: it could not be written.
        """
        return await self._http.download(
            f"{self._root}/file/bot{self._token}/{quote(file_path)}", path, max_bytes=max_bytes
        )

    def _address(self, method: str) -> str:
        return f"{self._root}/bot{self._token}/{method}"


def checked_token(text: str) -> str:
    """A token without the white space around it.

    Raises:
        Fatal: it cannot be one.
    """
    token = text.strip()
    if _TOKEN.fullmatch(token) is None:
        raise Fatal(
            "the bot token is not one: @BotFather's look like 123456789:AAExample, "
            "without spaces or slashes"
        )
    return token


def as_fault(error: BotError | HttpError) -> Fault:
    """Why a connection ended."""
    if isinstance(error, HttpError):
        return Fault(str(error))
    if error.code in (401, 404):
        return Fatal(REFUSED)
    if error.code == 409:
        return Fault(ANOTHER_WEBHOOK if error.says("webhook") else ANOTHER_POLLER)
    return Fault(str(error), error.retry_after)


def as_send_error(error: BotError | HttpError) -> SendError:
    """What a failed call means for the message that was to be sent."""
    if isinstance(error, HttpUnreachable):
        return SendLater(str(error), account_wide=True)
    if isinstance(error, HttpBadAnswer) and error.status == 413:
        return SendRefused(TOO_LARGE)
    if isinstance(error, HttpBadAnswer) and 400 <= error.status < 500:
        return SendLater(str(error), account_wide=True)  # something in between let nothing through
    if isinstance(error, HttpError):
        return SendUnknown(str(error))
    if error.code == 413:
        return SendRefused(TOO_LARGE)
    if error.code == 429:
        return SendLater(str(error), error.retry_after)
    if error.code in (401, 404):
        return SendLater(REFUSED, account_wide=True)
    if error.code == 409:
        return SendLater(str(error))
    if error.code >= 500:
        return SendUnknown(str(error))
    if error.says("chat not found"):
        return SendRefused(
            f"{error}. A person has to write to the bot first, and is addressed by number; a group "
            "has to have the bot as a member"
        )
    return SendRefused(str(error))


def as_fetch_error(error: BotError | HttpError) -> SendError:
    """What a failed call means for a file that was to be fetched."""
    if isinstance(error, TooLarge):
        return SendRefused("the file is larger than allowed")
    if isinstance(error, HttpBadAnswer) and 400 <= error.status < 500 and error.status != 429:
        return SendRefused("Telegram does not have the file any more")
    if isinstance(error, HttpError):
        return SendLater(str(error))
    if error.says("file is too big"):
        return SendRefused("the file is larger than the 20 MB that Telegram gives to bots")
    if error.code == 400:
        return SendRefused(str(error))
    return SendLater(str(error), error.retry_after)


def _result(response: Response, kind: type[_ResultT]) -> _ResultT:
    try:
        answer = _read(response.body)
    except (msgspec.DecodeError, RecursionError):
        _foreign(response)
    if not answer.ok:
        _refused(response, answer)
    try:
        return msgspec.json.decode(answer.result, type=kind)
    except (msgspec.DecodeError, RecursionError):
        _foreign(response)


def _read(body: bytes) -> _Answer:
    """An answer, also where a text in it is no Unicode: it would come again for ever."""
    try:
        return _answer(body)
    except msgspec.DecodeError:
        better = mended(body)
        if better is None:
            raise
        return _answer(better)


def _refused(response: Response, answer: _Answer) -> NoReturn:
    parameters = answer.parameters or _Parameters()
    waiting = parameters.retry_after
    raise BotError(
        answer.error_code or response.status,
        answer.description[:300] or "no reason given",
        None if waiting is None else min(max(0.0, waiting), LONGEST_WAIT),
        parameters.migrate_to_chat_id,
    )


def _foreign(response: Response) -> NoReturn:
    raise HttpBadAnswer(
        f"{response.source} answered with status {response.status}, and not as the Bot API does.",
        response.status,
    ) from None


def _field(value: Any) -> str:
    """A parameter as a form has it."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
