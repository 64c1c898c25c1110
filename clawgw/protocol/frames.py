"""The three frames: request, response, event.

A text message is one JSON object. `req` goes from client to Gateway, `res` answers it by id,
`event` is pushed. Responses and events are put together from parts that are already JSON, so that
a payload is encoded once however many clients get it, and a cached one is not encoded at all.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw

from clawgw.protocol.base import Count, Maybe, Name, Open, Params
from clawgw.protocol.errors import ErrorShape

_encode = msgspec.json.Encoder().encode


class RequestFrame(Params, frozen=True):
    """A call: `params` stays raw until the method's own decoder has a look.

    `traceparent` (version 4, W3C Trace Context) is taken and not used.
    """

    type: Literal["req"]
    id: Name
    method: Name
    params: Maybe[Raw] = UNSET
    traceparent: Maybe[Annotated[str, Meta(max_length=128)]] = UNSET


class StateVersion(Open, frozen=True):
    """Which edition of presence and health a frame belongs to."""

    presence: Count
    health: Count


class ResponseFrame(Open, frozen=True, tag_field="type", tag="res"):
    """An answer, as the schema and clients see it."""

    id: Name
    ok: bool
    payload: Maybe[Any] = UNSET
    error: Maybe[ErrorShape] = UNSET


class EventFrame(Open, frozen=True, tag_field="type", tag="event"):
    """A push, as the schema and clients see it."""

    event: Name
    payload: Maybe[Any] = UNSET
    seq: Maybe[Count] = UNSET
    state_version: Maybe[StateVersion] = UNSET


decode_request = msgspec.json.Decoder(RequestFrame).decode
"""bytes -> RequestFrame; raises `msgspec.DecodeError` (or `RecursionError` for deep nesting)."""


def encode(value: Any) -> bytes:
    """A wire object, struct or plain, as JSON bytes; bytes that are already JSON pass as `Raw`."""
    return _encode(value)


def response(request_id: str, payload: bytes) -> bytes:
    """A successful answer around an encoded payload."""
    return b'{"type":"res","id":%b,"ok":true,"payload":%b}' % (_encode(request_id), payload)


def spliced_response(request_id: str, pieces: tuple[Any, ...]) -> tuple[Any, ...]:
    """A successful answer around a payload in pieces, in pieces."""
    return (b'{"type":"res","id":%b,"ok":true,"payload":' % _encode(request_id), *pieces, b"}")


def error_response(request_id: str, error: ErrorShape, payload: bytes | None = None) -> bytes:
    """A refusal; `payload` tells the state of a run that failed after it was accepted."""
    extra = b"" if payload is None else b',"payload":' + payload
    return b'{"type":"res","id":%b,"ok":false%b,"error":%b}' % (
        _encode(request_id),
        extra,
        _encode(error),
    )


def event_head(name: str, payload: bytes, state_version: StateVersion | None = None) -> bytes:
    """All of an event frame but the end, where each connection puts its own `seq`."""
    versions = b"" if state_version is None else b',"stateVersion":' + _encode(state_version)
    return b'{"type":"event","event":%b,"payload":%b%b' % (_encode(name), payload, versions)


def with_seq(head: bytes, seq: int) -> bytes:
    """A whole event frame for the connection whose count is `seq`."""
    return b'%b,"seq":%d}' % (head, seq)


def without_seq(head: bytes) -> bytes:
    """A whole event frame that is not counted (`connect.challenge` only)."""
    return head + b"}"
