"""A running Gateway with a canvas, for tests that look at it from outside."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import clawgw
from clawgw.identity import load_or_create_identity
from tests.support.gateway import GatewayProcess, scripted_agents
from tests.support.ports import hold_port
from tests.support.wire import Client

TOKEN = "test-token"
TIMEOUT = 60
NPM_SECONDS = 600
TREE = Path(clawgw.__file__).parents[1]
SOURCE = TREE / "clawgw" / "canvas" / "a2ui"


def build_renderer() -> None:
    """Build the A2UI renderer as `make a2ui` does, unless it is built.

    Raises:
        AssertionError: npm is missing, or failed.
    """
    with (SOURCE / "package.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert shutil.which("npm"), "the A2UI tests need npm (Debian: apt-get install npm)"
        done = subprocess.run(
            ["make", "--silent", "a2ui"], cwd=TREE, capture_output=True, text=True,
            timeout=NPM_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"make a2ui failed:\n{done.stdout}\n{done.stderr}"


class CanvasGateway:
    """A Gateway whose canvas is on a port of its own.

    Args:
        canvas: more of the configuration section.
        more: other sections.
    """

    def __init__(self, canvas: dict[str, Any] | None = None, **more: Any) -> None:
        self.port = hold_port(self)
        self.state = Path(tempfile.mkdtemp(prefix="clawgw-canvas-"))
        config = {**scripted_agents(), "canvas": {"port": self.port, **(canvas or {})}, **more}
        self.process = GatewayProcess(self.state / "state", token=TOKEN, config=config)
        self._clients: list[Client] = []

    @property
    def files(self) -> Path:
        """The canvas directory."""
        return self.process.state_dir / "canvas"

    @property
    def url(self) -> str:
        """The canvas, for a browser of this machine."""
        return f"http{self.process.scheme}://127.0.0.1:{self.port}/__openclaw__/canvas/"

    @property
    def a2ui_url(self) -> str:
        """The A2UI page."""
        return self.url.replace("canvas/", "a2ui/")

    def start(self) -> CanvasGateway:
        """Start it."""
        self.process.start()
        return self

    def close(self) -> None:
        """Stop it and delete what it left."""
        for client in self._clients:
            client.cut()
        self.process.stop()
        shutil.rmtree(self.state, ignore_errors=True)

    def client(self, protocol: int = 4, **more: Any) -> Client:
        """A client that may do everything, unless `more` says otherwise."""
        identity = load_or_create_identity(self.state / "device.json")
        client = Client(
            self.process.port, token=TOKEN, identity=identity, protocol=protocol,
            tls=bool(self.process.scheme), **more,
        )  # fmt: skip
        self._clients.append(client)
        return client


def upgrade(port: int, path: str, **headers: str) -> tuple[int, socket.socket]:
    """Ask for a WebSocket; the status of the answer, and the connection."""
    plain = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    fields = {"Host": f"127.0.0.1:{port}", **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    key = base64.b64encode(os.urandom(16)).decode()
    plain.sendall(
        f"GET {path} HTTP/1.1\r\n{lines}Upgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        data = plain.recv(1)
        if not data:
            break
        head += data
    return int(head.split(b" ", 2)[1]), plain


def next_json(connection: socket.socket) -> Any:
    """The next text frame of a Gateway, decoded; one of at most 64 KiB."""

    def exactly(count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = connection.recv(count - len(data))
            assert more, "the connection ended"
            data += more
        return data

    size = exactly(2)[1]
    return json.loads(exactly(int.from_bytes(exactly(2), "big") if size == 126 else size))
