"""From a part to the parameters of `send`, and from its answer to what became of it.

Error codes are those of `SignalJsonRpcCommandHandler`: -1 the user's fault, -3 the network's, -4 an
identity that is not trusted, -5 too many messages. Beside the code, `data.response.results` says
for each recipient how it went.

What that tells of whether somebody has the message, by the source of signal-cli 0.13.19
(`SendHelper`, `SendMessageResultUtils`) and of its library (`SignalServiceMessageSender`):

- Where some of a group have the message and others do not, that is a result and no error, and an
  end: a group's message cannot be sent to some members alone.
- `NETWORK_FAILURE` is no proof that it was not sent. It stands for every `IOException`: for a
  server that cannot be reached, but also for an answer of the server that was waited for in vain,
  and for trouble in telling our own other devices of a message that its recipient has by then.
- With a group, such an exception can end the whole call when some members have the message and
  others do not. Then it is an internal error, `Failed to send message: …`.

Nothing tells these cases from a network that is down, and what was not sent for want of a network
has to be sent later. So all of them count as not sent: a message lost is worse than one that comes
twice.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

from clawgw.channels.adapter import SendError, SendLater, SendRefused, SendUnknown
from clawgw.channels.messages import OutMedia, Part
from clawgw.jsonrpc import INTERNAL_ERROR, RpcError

INVALID_PARAMS = -32602
USER_ERROR = -1
IO_ERROR = -3
UNTRUSTED = -4
RATE_LIMIT = -5
RATE_LIMIT_SECONDS = 60.0

_NUMBER = re.compile(r"\+[0-9]{5,}")
_NO_NETWORK = "signal-cli cannot reach Signal's server"


def address(text: str) -> str:
    """The chat that an address as people write it means.

    A phone number, a UUID (`uuid:…` or bare), a group (`group:…`), a name (`username:…`).

    Raises:
        ValueError: it is none of these.
    """
    bare = text.strip()
    if bare.lower().startswith("signal:"):
        bare = bare[7:].strip()
    kind, _, rest = bare.partition(":")
    kind = kind.lower()
    if kind == "group" and _is_group(rest):
        return rest
    if kind == "username" and rest:
        return f"username:{rest}"
    if kind == "uuid":
        bare = rest
    number = bare.translate({ord(c): None for c in " -()/."})
    if _NUMBER.fullmatch(number):
        return number
    if _is_uuid(bare):
        return bare.lower()
    if _is_group(bare):
        return bare
    raise ValueError(
        f"{text[:60]!r} is no address at Signal: expected a phone number such as +15551234567, "
        "'uuid:…', 'group:…' or 'username:…'"
    )


def recipient(chat: str) -> dict[str, Any]:
    """The parameters that address a chat."""
    if _NUMBER.fullmatch(chat) or _is_uuid(chat):  # a group's id may begin with +, too
        return {"recipient": [chat]}
    if chat.startswith("username:"):
        return {"username": [chat.removeprefix("username:")]}
    return {"groupId": [chat]}


def params_of(chat: str, part: Part, quoted_text: str) -> dict[str, Any]:
    """The parameters of `send`, without files.

    Args:
        quoted_text: what the message this one replies to says, if that is known.
    """
    params: dict[str, Any] = {**recipient(chat)}
    if part.text:
        params["message"] = part.text
    if part.styles:
        params["textStyle"] = list(part.styles)
    named = message_name(part.reply_to)
    if named is not None:
        author, timestamp = named
        params.update(quoteAuthor=author, quoteTimestamp=timestamp, quoteMessage=quoted_text)
    edited = message_name(part.edit)
    if edited is not None:
        params["editTimestamp"] = edited[1]
    return params


def message_name(message_id: str | None) -> tuple[str, int] | None:
    """Author and timestamp of a message of this adapter; None if it is not one."""
    author, _, timestamp = (message_id or "").rpartition(":")
    if not author or not timestamp.isascii() or not timestamp.isdigit():
        return None
    return author, int(timestamp)


def data_uri(media: OutMedia) -> str:
    """A file as `send` takes it from anywhere. Reads the file: not for the reactor's thread.

    Raises:
        SendRefused: the file is not there.
    """
    try:
        data = Path(media.path).read_bytes()
    except OSError as problem:
        raise SendRefused(f"the file {media.name!r} cannot be read: {problem.strerror}") from None
    encoded = base64.b64encode(data).decode()
    return f"data:{media.mime_type};filename={quote(media.name, safe='')};base64,{encoded}"


def failure_of(problem: RpcError) -> SendError:
    """What an error answer to `send` means."""
    results = _results(problem.data)
    kinds = {str(result.get("type")) for result in results}
    if problem.code == INTERNAL_ERROR:
        return _inside(problem)
    if problem.code == IO_ERROR or "NETWORK_FAILURE" in kinds:
        return SendLater(_NO_NETWORK)
    if problem.code == RATE_LIMIT or "RATE_LIMIT_FAILURE" in kinds:
        return _throttled(results)
    if problem.code == UNTRUSTED or kinds == {"IDENTITY_FAILURE"}:
        return SendRefused(
            "the safety number of the recipient has changed and has to be trusted first: "
            "signal-cli trust"
        )
    if kinds == {"UNREGISTERED_FAILURE"}:
        return SendRefused("the recipient is not at Signal")
    if problem.code in (USER_ERROR, INVALID_PARAMS, -32601, -32600):
        return SendRefused(f"signal-cli says: {_short(problem)}")
    return SendUnknown(f"signal-cli failed: {_short(problem)}")


def leaves_open(problem: RpcError) -> bool:
    """Whether nobody can tell from an error answer if the message was sent."""
    return isinstance(failure_of(problem), SendUnknown)


def missed(answer: Any) -> list[str]:
    """Why some of a group did not get what was sent to it, one word for each of them."""
    kinds = [str(result.get("type")) for result in _results({"response": answer})]
    return [kind for kind in kinds if kind != "SUCCESS"]


def _inside(problem: RpcError) -> SendError:
    """Of an internal error; `SendCommand` says so of what it could not send or attach."""
    said = str(problem)
    if not said.startswith("Failed to send message: "):
        return SendUnknown(f"signal-cli failed: {_short(problem)}")
    if "(AttachmentInvalidException)" in said:
        return SendRefused(f"signal-cli does not take the file: {_short(problem)}")
    return SendLater(_NO_NETWORK)


def challenge_in(problem: RpcError) -> str | None:
    """The token with which Signal wants to be shown that a person is behind this account."""
    for result in _results(problem.data):
        token = result.get("token")
        if isinstance(token, str) and token:
            return token[:200]
    return None


def _throttled(results: list[Mapping[str, Any]]) -> SendLater:
    waits = [result.get("retryAfterSeconds") for result in results]
    known = [float(wait) for wait in waits if isinstance(wait, int | float) and wait > 0]
    return SendLater(
        "Signal takes no more messages for now",
        max(known, default=RATE_LIMIT_SECONDS),
        account_wide=True,
    )


def _results(data: Any) -> list[Mapping[str, Any]]:
    response = data.get("response") if isinstance(data, dict) else None
    results = response.get("results") if isinstance(response, dict) else None
    return [one for one in results if isinstance(one, dict)] if isinstance(results, list) else []


def _short(problem: RpcError) -> str:
    return " ".join(str(problem).split())[:200]


def _is_uuid(text: str) -> bool:
    if len(text) != 36:
        return False
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _is_group(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) in (16, 32)
    except ValueError:
        return False
