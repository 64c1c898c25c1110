"""Message actions: how the stock command line sends (`openclaw message send|poll|broadcast`).

`message.action` names an action and gives it parameters of its own, most of which are options of
that command line. Sending and polls are translated into the parameters of `send` and `poll`, and
done by those; so is what a broadcast sends to each. What an action here cannot express is refused,
rather than left out of the message without a word. What the client says of who asks (its sender,
account, session) grants nothing and is not looked at.

Names are those that `openclaw` 2026.9.6 sends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from clawgw.protocol import channels as wire
from clawgw.protocol.base import given
from clawgw.protocol.errors import invalid

T = TypeVar("T")

CANNOT = (
    "pin", "presentation", "interactive", "delivery", "location", "contact", "card", "components",
)  # fmt: skip
"""What a message may be given there and not here."""


def request_of(asked: wire.MessageActionParams) -> wire.SendParams | wire.PollParams:
    """What an action is, as the parameters of `send` or `poll`.

    Raises:
        RequestError: there is no such action, or it is given what cannot be done or understood.
    """
    if asked.params.get("dryRun") is True:
        raise invalid("params/dryRun: a dry run is for the client to make; nothing was sent")
    if asked.action == "send":
        return _send(asked, asked.params)
    if asked.action == "poll":
        return _poll(asked, asked.params)
    raise invalid(
        f"Channel {asked.channel[:40]} does not support action {asked.action[:40]}; "
        "expected send or poll."
    )


def _send(asked: wire.MessageActionParams, params: Mapping[str, Any]) -> wire.SendParams:
    for name in CANNOT:
        if params.get(name):
            raise invalid(f"params/{name}: channels cannot be sent that here")
    reply = asked.reply
    fields = {
        **_common(asked, params),
        "message": _first(params, "message", "text", "caption"),
        "mediaUrls": [*_texts(params, "mediaUrls"), *_texts(params, "mediaUrl", "media")],
        "replyToId": reply.reply_to_id if isinstance(reply, wire.ActionReply)
        else _first(params, "replyToId", "replyTo"),
        **_kept(params, "buffer", "filename", "contentType", "asVoice", "gifPlayback",
                "forceDocument"),
    }  # fmt: skip
    return _as(wire.SendParams, fields)


def _poll(asked: wire.MessageActionParams, params: Mapping[str, Any]) -> wire.PollParams:
    options = _texts(params, "pollOption")
    several = params.get("pollMulti") is True
    anonymous = params.get("pollAnonymous") is True
    public = params.get("pollPublic") is True
    fields = {
        **_common(asked, params),
        "question": _first(params, "pollQuestion"),
        "options": options,
        "maxSelections": max(1, len(options)) if several else 1,
        "durationHours": _whole(params.get("pollDurationHours")),
        "durationSeconds": _whole(params.get("pollDurationSeconds")),
        "isAnonymous": anonymous if anonymous != public else UNSET,
    }
    return _as(wire.PollParams, fields)


def _common(asked: wire.MessageActionParams, params: Mapping[str, Any]) -> dict[str, Any]:
    own = params.get("accountId") or ""
    account = given(asked.account_id, "") or own
    if own and own != account:
        raise invalid("accountId: message.action accountId does not match params.accountId")
    return {
        "to": _first(params, "to", "target"),
        "channel": asked.channel,
        "accountId": account or UNSET,
        "threadId": _first(params, "threadId"),
        "idempotencyKey": asked.idempotency_key,
        **_kept(params, "silent"),
    }


def _as(type_: type[T], fields: Mapping[str, Any]) -> T:
    """The parameters of a method.

    Raises:
        RequestError: naming what is missing or of the wrong kind.
    """
    try:
        return msgspec.convert(
            {name: value for name, value in fields.items() if value is not UNSET}, type_
        )
    except msgspec.ValidationError as problem:
        raise invalid(f"params: {problem}") from None


def _first(params: Mapping[str, Any], *names: str) -> Any:
    """The first of these that says something; a number is taken as it is written."""
    for name in names:
        value = params.get(name)
        if value not in (None, ""):
            return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return UNSET


def _texts(params: Mapping[str, Any], *names: str) -> list[Any]:
    """All of these that say something; each may be one or a list."""
    found: list[Any] = []
    for name in names:
        value = params.get(name)
        found += value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return [one for one in found if one not in (None, "")]


def _whole(value: Any) -> Any:
    """A number that the command line gives as text."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else (value or UNSET)


def _kept(params: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: params[name] for name in names if params.get(name) is not None}
