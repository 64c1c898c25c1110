"""A WebSocket client that hides nothing: it sends what it is told and shows what came.

Blocking, on a plain socket, with no library in between, so that a test can send what no library
would (garbage, half frames, wrong opcodes), can stop reading, and sees every frame as it came.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from clawgw.identity import DeviceIdentity, load_or_create_identity

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
OPERATOR_SCOPES = (
    "operator.admin", "operator.read", "operator.write", "operator.approvals", "operator.pairing",
)  # fmt: skip
TIMEOUT = 60.0
_ONE_READ = 256 * 1024


class Message(NamedTuple):
    """What the Gateway sent: a text, or a close with its code and reason."""

    opcode: int
    payload: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.payload)

    @property
    def close_code(self) -> int:
        return int.from_bytes(self.payload[:2], "big")

    @property
    def close_reason(self) -> str:
        return self.payload[2:].decode()


class Cut(Exception):
    """The connection ended without a close frame."""


class Closed(Exception):
    """The Gateway closed the connection."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"closed {code}: {reason}")
        self.code = code
        self.reason = reason


class Refused(Exception):
    """An error response."""

    def __init__(self, frame: dict[str, Any]) -> None:
        super().__init__(str(frame["error"]))
        self.frame = frame
        self.error = frame["error"]
        self.code = frame["error"]["code"]


def client_frame(payload: bytes, opcode: int = TEXT, *, fin: bool = True) -> bytes:
    """A masked WebSocket frame (RFC 6455, section 5.2); the mask is zero: it hides nothing."""
    first = bytes(((0x80 if fin else 0) | opcode,))
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | size,))
    elif size < 65536:
        head = b"\xfe" + size.to_bytes(2, "big")
    else:
        head = b"\xff" + size.to_bytes(8, "big")
    return first + head + b"\0\0\0\0" + payload


class Socket:
    """An open WebSocket: frames out, frames in."""

    def __init__(
        self,
        port: int,
        *,
        tls: bool = False,
        receive_buffer: int | None = None,
        source: str | None = None,
    ) -> None:
        plain = socket.socket()
        if source is not None:
            plain.bind((source, 0))
        if receive_buffer is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.settimeout(TIMEOUT)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.connect(("127.0.0.1", port))
        if plain.getsockname() == plain.getpeername():
            # where nobody listens, TCP may connect a socket to itself
            plain.close()
            raise ConnectionRefusedError(port)
        self.socket: socket.socket = _tls(plain) if tls else plain
        self._bytes = bytearray()
        self._at = 0
        self.pong_pings = True
        try:
            self._upgrade(port)
        except BaseException:
            self.socket.close()
            raise

    def _upgrade(self, port: int) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self.send_raw(
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        while (end := self._bytes.find(b"\r\n\r\n")) < 0:
            self._fill(time.monotonic() + TIMEOUT)
        head = bytes(self._bytes[:end])
        del self._bytes[: end + 4]
        assert head.startswith(b"HTTP/1.1 101"), head

    def send_raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self.socket.sendall(data)

    def send_text(self, payload: bytes | str) -> None:
        """One text message."""
        self.send_raw(client_frame(payload.encode() if isinstance(payload, str) else payload))

    def receive(self, timeout: float = TIMEOUT) -> Message:
        """The next text or close. Pings are answered.

        Raises:
            TimeoutError: nothing came in time.
            Cut: the connection is gone.
        """
        deadline = time.monotonic() + timeout
        while True:
            message = self._next()
            if message is None:
                self._fill(deadline)
            elif message.opcode == PING:
                if self.pong_pings:
                    with contextlib.suppress(ConnectionError):  # what came before the end counts
                        self.send_raw(client_frame(message.payload, PONG))
            elif message.opcode != PONG:
                return message

    def _next(self) -> Message | None:
        """A whole frame out of what is here. Servers do not mask, ours does not fragment."""
        data, at = self._bytes, self._at
        if len(data) < at + 2:
            return None
        size, start = data[at + 1], at + 2
        if size == 126:
            size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
        elif size == 127:
            size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
        if len(data) < start + size:
            return None
        assert data[at] & 0xF0 == 0x80, f"a fragment, or reserved bits: {data[at]:#x}"
        message = Message(data[at] & 0x0F, bytes(data[start : start + size]))
        self._at = start + size
        if self._at == len(data):
            data.clear()
            self._at = 0
        return message

    def _fill(self, deadline: float) -> None:
        if self._at > 1 << 20:
            del self._bytes[: self._at]
            self._at = 0
        self.socket.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            data = self.socket.recv(_ONE_READ)
        except (ConnectionError, ssl.SSLEOFError) as problem:
            raise Cut(str(problem)) from None
        finally:
            self.socket.settimeout(TIMEOUT)
        if not data:
            raise Cut("end of the stream")
        self._bytes += data

    def readable(self, timeout: float) -> bool:
        """Whether bytes come within a time."""
        return bool(self._bytes or select.select([self.socket], [], [], timeout)[0])

    def ending(self, timeout: float = TIMEOUT) -> Closed | Cut:
        """Read to the end of the connection; how it ended."""
        while True:
            try:
                message = self.receive(timeout)
            except Cut as cut:
                return cut
            if message.opcode == CLOSE:
                return Closed(message.close_code, message.close_reason)

    def cut(self) -> None:
        """Let go, without a word."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def _tls(plain: socket.socket) -> socket.socket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain)


class Client(Socket):
    """A connected client: requests, answers, events.

    Args:
        port: the Gateway's.
        token: the shared secret.
        identity: the device's key; None for a client without a device.
        protocol: 3 or 4.
        client: more fields of `connect.client`.

    Raises:
        Refused: by the Gateway; the close follows, see `ending`.
    """

    def __init__(
        self,
        port: int,
        *,
        token: str | None = "test-token",
        identity: DeviceIdentity | None = None,
        protocol: int = 3,
        scopes: tuple[str, ...] = OPERATOR_SCOPES,
        role: str = "operator",
        caps: tuple[str, ...] = (),
        client: dict[str, Any] | None = None,
        tls: bool = False,
        receive_buffer: int | None = None,
    ) -> None:
        super().__init__(port, tls=tls, receive_buffer=receive_buffer)
        self.events: list[dict[str, Any]] = []
        self._answers: dict[str, deque[dict[str, Any]]] = {}
        self._last_id = 0
        challenge = self.receive().json
        assert challenge["event"] == "connect.challenge", challenge
        params = connect_params(
            challenge["payload"]["nonce"], token=token, identity=identity, protocol=protocol,
            scopes=scopes, role=role, caps=caps, client=client,
        )  # fmt: skip
        self.hello: dict[str, Any] = self.request("connect", params)

    def post(self, method: str, params: Any = None) -> str:
        """Send a request; returns its id."""
        self._last_id += 1
        request_id = str(self._last_id)
        frame = {"type": "req", "id": request_id, "method": method, "params": params or {}}
        self.send_text(json.dumps(frame))
        return request_id

    def answer(self, request_id: str, timeout: float = TIMEOUT) -> dict[str, Any]:
        """The next response frame to a request, good or bad."""
        deadline = time.monotonic() + timeout
        while not self._answers.get(request_id):
            self.step(deadline)
        return self._answers[request_id].popleft()

    def request(self, method: str, params: Any = None, timeout: float = TIMEOUT) -> Any:
        """Ask, wait, and give the payload.

        Raises:
            Refused: it was an error.
        """
        return self.result(self.post(method, params), timeout)

    def result(self, request_id: str, timeout: float = TIMEOUT) -> Any:
        """The payload of the next response to a request."""
        frame = self.answer(request_id, timeout)
        if not frame["ok"]:
            raise Refused(frame)
        return frame["payload"]

    def step(self, deadline: float) -> dict[str, Any]:
        """Read one frame and file it."""
        message = self.receive(max(0.001, deadline - time.monotonic()))
        if message.opcode == CLOSE:
            raise Closed(message.close_code, message.close_reason)
        assert message.opcode == TEXT, message
        frame: dict[str, Any] = message.json
        if frame["type"] == "event":
            self.events.append(frame)
        else:
            self._answers.setdefault(frame["id"], deque()).append(frame)
        return frame

    def event(
        self, name: str, fits: Callable[[Any], bool] = lambda _: True, timeout: float = TIMEOUT
    ) -> dict[str, Any]:
        """The first event of this name whose payload fits, here or still to come."""
        deadline = time.monotonic() + timeout
        seen = 0
        while True:
            for frame in self.events[seen:]:
                if frame["event"] == name and fits(frame.get("payload")):
                    return frame
            seen = len(self.events)
            self.step(deadline)

    def payloads(self, name: str, fits: Callable[[Any], bool] = lambda _: True) -> list[Any]:
        """The payloads of the events of this name so far."""
        found = [frame["payload"] for frame in self.events if frame["event"] == name]
        return [payload for payload in found if fits(payload)]


def connect_params(
    nonce: str,
    *,
    token: str | None = "test-token",
    identity: DeviceIdentity | None = None,
    protocol: int = 3,
    scopes: tuple[str, ...] = OPERATOR_SCOPES,
    role: str = "operator",
    caps: tuple[str, ...] = (),
    client: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The parameters of `connect`, with the device's proof (second form of the signed text)."""
    about = {"id": "cli", "version": "1.0.0", "platform": "linux", "mode": "cli", **(client or {})}
    params: dict[str, Any] = {
        "minProtocol": protocol,
        "maxProtocol": protocol,
        "client": about,
        "role": role,
        "scopes": list(scopes),
        "caps": list(caps),
    }
    if token is not None:
        params["auth"] = {"token": token}
    if identity is not None:
        signed_at = int(time.time() * 1000)
        text = "|".join(
            ["v2", identity.device_id, about["id"], about["mode"], role, ",".join(scopes),
             str(signed_at), token or "", nonce]
        )  # fmt: skip
        params["device"] = {
            "id": identity.device_id,
            "publicKey": identity.public_key,
            "signature": identity.sign(text),
            "signedAt": signed_at,
            "nonce": nonce,
        }
    return params


def device(directory: str | Path, name: str = "device") -> DeviceIdentity:
    """A device key, made the first time."""
    return load_or_create_identity(Path(directory) / f"{name}.pem")
