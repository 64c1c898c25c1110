"""The tool server's connection to its Gateway.

An MCP server is an asyncio program, so this is a small client of its own on `websockets`: it shows
the token of the session, asks, and waits for answers. Over TLS the certificate is checked by its
fingerprint at the end of the TLS handshake, before a byte of ours is sent.

A connection that breaks is made anew at the next call. A token that counts no more never will
again: then, and when the Gateway stops, it is *over*, and the server has nothing left to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import itertools
import logging
import ssl
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Raw
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed, WebSocketException

from clawgw import __version__
from clawgw.fingerprint import fingerprint_of_der, parse_fingerprint
from clawgw.protocol.connect import ClientInfo, ConnectAuth, ConnectParams

MAX_FRAME = 32 * 1024 * 1024  # more than the Gateway ever sends
OPEN_SECONDS = 10.0
ANSWER_SECONDS = 30.0
REVOKED = "session token"
GOING_AWAY = 1012

_log = logging.getLogger("clawgw.mcp")


class Failure(Exception):
    """Something a tool wanted did not come about; one sentence for the model."""


class Over(Failure):
    """There is no Gateway for this session any more, and will not be."""


class _Error(msgspec.Struct, frozen=True):
    code: str = ""
    message: str = "no reason given"


class _Frame(msgspec.Struct, frozen=True):
    type: str
    id: str = ""
    event: str = ""
    ok: bool = False
    payload: Raw | msgspec.UnsetType = UNSET
    error: _Error = _Error()


class _Hello(msgspec.Struct, frozen=True):
    features: dict[str, Any]


class Gateway:
    """The Gateway, as one session's tools reach it.

    Args:
        url: `ws://` or `wss://` on this host.
        token: the session's.
        pin: the fingerprint of the certificate, None without TLS.

    Raises:
        Failure: the address is not on this host, or the pin is none.
    """

    def __init__(self, url: str, token: str, pin: str | None = None) -> None:
        self.methods: frozenset[str] = frozenset()
        self.over = asyncio.Event()
        self._url = url
        self._token = token
        self._tls = _tls(url, pin)
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._calls: dict[str, Call] = {}
        self._ids = itertools.count(1)
        self._opening = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Gateway {self._url}>"

    async def connect(self) -> None:
        """Connect, if there is no connection.

        Raises:
            Failure: it cannot be reached.
            Over: it does not take the token.
        """
        async with self._opening:
            if self.over.is_set():
                raise Over("These tools belong to a session that has ended.")
            if self._socket is None:
                self._socket = await self._open()
                self._reader = asyncio.create_task(self._read(self._socket))

    async def request(
        self, method: str, params: Mapping[str, Any], limit: float = ANSWER_SECONDS
    ) -> Any:
        """Call a method; returns the payload. `limit` in seconds.

        Raises:
            Failure: it was refused, took too long, or the connection broke.
        """
        async with self.call(method, params) as call:
            return await call.answer(limit)

    def call(self, method: str, params: Mapping[str, Any]) -> Call:
        """A call that may be answered more than once; to be used in `async with`."""
        return Call(self, method, params)

    async def close(self) -> None:
        """Say goodbye."""
        self.over.set()
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()
        if self._reader is not None:
            self._reader.cancel()

    # For `Call`

    async def send(self, call: Call, method: str, params: Mapping[str, Any]) -> str:
        """Send a request; returns its id."""
        await self.connect()
        socket = self._socket
        if socket is None:
            raise _gone()
        frame_id = str(next(self._ids))
        self._calls[frame_id] = call
        frame = {"type": "req", "id": frame_id, "method": method, "params": params}
        try:
            await socket.send(msgspec.json.encode(frame), text=True)
        except ConnectionClosed:
            del self._calls[frame_id]
            raise _gone() from None
        return frame_id

    def forget(self, frame_id: str) -> None:
        """Nobody waits for this answer any more."""
        self._calls.pop(frame_id, None)

    # The connection

    async def _open(self) -> ClientConnection:
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                socket = await open_websocket(
                    self._url,
                    ssl=self._tls,
                    max_size=MAX_FRAME,
                    compression=None,
                    proxy=None,
                    ping_interval=None,  # the Gateway asks, and that is enough
                    close_timeout=1,
                )
                await self._greet(socket)
        except ssl.SSLCertVerificationError as problem:
            raise Failure(f"The Gateway's certificate is not the pinned one: {problem}.") from None
        except (OSError, WebSocketException, TimeoutError) as problem:
            raise Failure(f"The Gateway cannot be reached: {_why(problem)}.") from None
        return socket

    async def _greet(self, socket: ClientConnection) -> None:
        """Wait for the challenge, show the token, hear what may be called."""
        await socket.recv()
        params = ConnectParams(
            min_protocol=4,
            max_protocol=4,
            client=ClientInfo(
                id="gateway-client", version=__version__, platform=sys.platform, mode="backend"
            ),
            role="operator",
            auth=ConnectAuth(agent_runtime_identity_token=self._token),
        )
        frame = {"type": "req", "id": "connect", "method": "connect", "params": params}
        await socket.send(msgspec.json.encode(frame), text=True)
        answer = _decode(await socket.recv())
        if not answer.ok or isinstance(answer.payload, msgspec.UnsetType):
            await socket.close()
            self.over.set()
            raise Over(f"The Gateway does not let these tools in: {answer.error.message}.")
        hello = msgspec.json.decode(answer.payload, type=_Hello)
        self.methods = frozenset(hello.features.get("methods", ()))

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for message in socket:
                frame = _decode(message)
                call = self._calls.get(frame.id) if frame.type == "res" else None
                if call is not None:
                    call.put(frame)
        except ConnectionClosed:
            pass
        except msgspec.DecodeError:
            await socket.close()
        finally:
            self._lost(socket)

    def _lost(self, socket: ClientConnection) -> None:
        code, reason = socket.close_code, socket.close_reason or ""
        _log.info("connection lost: %s %s", code, reason)
        self._socket = None
        if code == GOING_AWAY or REVOKED in reason:
            self.over.set()
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.put(None)


class Call:
    """One request that waits for answers."""

    def __init__(self, gateway: Gateway, method: str, params: Mapping[str, Any]) -> None:
        self._gateway = gateway
        self._what = (method, params)
        self._answers: asyncio.Queue[_Frame | None] = asyncio.Queue()
        self._id = ""

    def put(self, frame: _Frame | None) -> None:
        """An answer is there; None when the connection was lost."""
        self._answers.put_nowait(frame)

    async def answer(self, limit: float) -> Any:
        """The payload of the next answer, within so many seconds.

        Raises:
            TimeoutError: it did not come.
            Failure: it is an error, or the connection was lost.
        """
        async with asyncio.timeout(limit):
            frame = await self._answers.get()
        if frame is None:
            raise _gone()
        if not frame.ok:
            raise Failure(_sentence(frame.error.message))
        return None if isinstance(frame.payload, msgspec.UnsetType) else _json(frame.payload)

    async def __aenter__(self) -> Self:
        self._id = await self._gateway.send(self, *self._what)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        self._gateway.forget(self._id)
        if isinstance(problem, TimeoutError):
            raise Failure("The Gateway did not answer in time.") from None


class _Pinned(ssl.SSLObject):
    """TLS that only the holder of one certificate can complete."""

    def do_handshake(self) -> None:
        """See `ssl.SSLObject`."""
        super().do_handshake()
        pin = getattr(self.context, "pin", None)
        seen = fingerprint_of_der(self.getpeercert(True) or b"")
        if seen != pin:
            raise ssl.SSLCertVerificationError(f"expected {pin}, saw {seen}")


class _PinnedContext(ssl.SSLContext):
    pin: str
    sslobject_class = _Pinned


def _tls(url: str, pin: str | None) -> ssl.SSLContext | None:
    """How to secure the connection; checks that it stays on this host."""
    parts = urlsplit(url)
    near = False
    with contextlib.suppress(ValueError):
        near = ipaddress.ip_address(parts.hostname or "").is_loopback
    if parts.scheme not in ("ws", "wss") or not near:
        raise Failure("The Gateway's address is not a ws:// or wss:// address of this host.")
    if parts.scheme == "ws":
        return None
    if pin is None:
        raise Failure("The Gateway's address is wss://, but no fingerprint to pin was given.")
    context = _PinnedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the pin is the trust
    try:
        context.pin = parse_fingerprint(pin)
    except ValueError as problem:
        raise Failure(f"The fingerprint to pin cannot be used: {problem}") from None
    return context


def _decode(message: str | bytes) -> _Frame:
    return msgspec.json.decode(message, type=_Frame)


def _json(raw: Raw) -> Any:
    return msgspec.json.decode(raw)


def _gone() -> Failure:
    return Failure("The connection to the Gateway was lost, so whether this was done is not known.")


def _sentence(text: str) -> str:
    text = text.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


def _why(problem: BaseException) -> str:
    if isinstance(problem, TimeoutError):
        return "it does not answer"
    return getattr(problem, "strerror", None) or str(problem).rstrip(".") or type(problem).__name__
