"""Discord's Gateway, version 10, without any I/O: what is said on the wire and what it means.

From Discord's documentation, "Gateway", "Gateway Events" and "Opcodes and Status Codes".
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

VERSION = "10"
MAX_FRAME = 64 * 1024 * 1024
"""Bytes of one event, unpacked; the largest are those of servers with many channels."""

KEEPS_SESSION = 4900
"""A close code of ours. After 1000 and 1001 Discord would give the session up."""

_FLUSH = b"\x00\x00\xff\xff"


class Op(IntEnum):
    """What a frame is."""

    DISPATCH = 0
    HEARTBEAT = 1
    IDENTIFY = 2
    RESUME = 6
    RECONNECT = 7
    INVALID_SESSION = 9
    HELLO = 10
    HEARTBEAT_ACK = 11


INTENTS = (
    1 << 0  # GUILDS
    | 1 << 9  # GUILD_MESSAGES
    | 1 << 10  # GUILD_MESSAGE_REACTIONS
    | 1 << 12  # DIRECT_MESSAGES
    | 1 << 13  # DIRECT_MESSAGE_REACTIONS
    | 1 << 15  # MESSAGE_CONTENT, which has to be allowed on the application's page
)


class Frame(msgspec.Struct, frozen=True):
    """A frame as it comes; fields we do not know are ignored."""

    op: int
    d: Any = None
    s: int | None = None
    t: str | None = None


@dataclass(frozen=True)
class Session:
    """What a session is resumed with. `seq`: all up to this one has been stored."""

    id: str
    url: str
    seq: int


@dataclass(frozen=True)
class Meaning:
    """What a close code asks for.

    Attributes:
        why: for the operator.
        then: `resume` the session, begin a `new` one, or `stop` until somebody changes something.
    """

    why: str
    then: Literal["resume", "new", "stop"]


_PORTAL = "on the application's page at Discord (Bot, Privileged Gateway Intents)"
_CODES = {
    4000: Meaning("Discord closed the connection for a reason it does not know", "resume"),
    4001: Meaning("Discord did not know what we sent", "resume"),
    4002: Meaning("Discord could not read what we sent", "resume"),
    4003: Meaning("Discord no longer knows the session", "new"),
    4004: Meaning(
        "Discord does not accept the bot's token; set channels.discord.token to the current one",
        "stop",
    ),
    4005: Meaning("Discord was identified to twice", "resume"),
    4007: Meaning("Discord cannot go on at this point of the session", "new"),
    4008: Meaning("Discord was sent too much at a time", "resume"),
    4009: Meaning("the session at Discord timed out", "new"),
    4010: Meaning("Discord refused the shard", "stop"),
    4011: Meaning("the bot is in so many servers that Discord demands shards", "stop"),
    4012: Meaning("Discord no longer speaks this version of its Gateway", "stop"),
    4013: Meaning("Discord does not know an intent we asked for", "stop"),
    4014: Meaning(
        f"Discord refused the Message Content intent; switch it on {_PORTAL}, then start again",
        "stop",
    ),
}


def meaning(code: int) -> Meaning:
    """What a close code asks for; those not Discord's own leave the session as it is."""
    if code in _CODES:
        return _CODES[code]
    if code in (1000, 1001):
        return Meaning("Discord ended the connection", "resume")
    if code == 1009:
        return Meaning("Discord sent more at a time than is allowed here", "resume")
    text = "the connection to Discord was cut" if code == 1006 else "Discord closed the connection"
    return Meaning(text if code == 1006 else f"{text} with code {code}", "resume")


def address(url: str) -> str:
    """The address of the Gateway with the version, encoding and compression we speak."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    query |= {"v": VERSION, "encoding": "json", "compress": "zlib-stream"}
    return urlunsplit(parts._replace(path=parts.path or "/", query=urlencode(query)))


def identify(token: str) -> dict[str, Any]:
    """The frame that begins a session."""
    name = "clawgw"
    properties = {"os": "linux", "browser": name, "device": name}
    data = {"token": token, "intents": INTENTS, "properties": properties}
    return {"op": Op.IDENTIFY, "d": data}


def resume(token: str, session: Session) -> dict[str, Any]:
    """The frame that goes on with a session."""
    data = {"token": token, "session_id": session.id, "seq": session.seq}
    return {"op": Op.RESUME, "d": data}


def heartbeat(seq: int | None) -> dict[str, Any]:
    """A sign of life; `seq` is the last one received, None for none."""
    return {"op": Op.HEARTBEAT, "d": seq}


class BadStream(ValueError):
    """What came is no zlib stream, or unpacks to too much."""


class Inflater:
    """One connection's compressed stream: pieces in, frames out."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj()
        self._pieces = bytearray()

    def feed(self, piece: bytes) -> bytes | None:
        """The frame that a piece completes, None while one is not complete.

        Raises:
            BadStream: nothing that follows can be read either.
        """
        self._pieces += piece
        if len(self._pieces) > MAX_FRAME:
            raise BadStream("too much")
        if not self._pieces.endswith(_FLUSH):
            return None
        packed, self._pieces = bytes(self._pieces), bytearray()
        try:
            frame = self._stream.decompress(packed, MAX_FRAME)
        except zlib.error:
            raise BadStream("no zlib stream") from None
        if self._stream.unconsumed_tail:
            raise BadStream("too much")
        if self._stream.eof:
            raise BadStream("the stream is over")
        return frame
