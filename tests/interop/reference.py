"""The public reference client in a process of its own, and the public contract's JSON Schema.

Both come from npm, at the versions pinned in `package-lock.json`; they are installed beside this
file the first time a test needs them.
"""

from __future__ import annotations

import functools
import json
import platform
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator, ValidationError

from tests.support import npm

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
TIMEOUT = 90.0
SCOPES = [
    "operator.admin", "operator.read", "operator.write", "operator.approvals", "operator.pairing",
]  # fmt: skip


def install() -> None:
    """Install what `package-lock.json` names, unless it is there already.

    Raises:
        AssertionError: npm is missing, or failed.
    """
    npm.install(HERE, "the reference client")


def node() -> str:
    """The Node that was installed with the packages."""
    machine = "arm64" if platform.machine() in ("aarch64", "arm64") else "x64"
    return str(MODULES / f"node-linux-{machine}" / "bin" / "node")


class RequestFailed(Exception):
    """The reference client reports an error for a request."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error))
        self.error = error


class ReferenceClient:
    """One reference client; everything it tells is kept in `told`, in order.

    Args:
        kept_at: the file with its device key and tokens; made the first time.
    """

    def __init__(self, kept_at: Path) -> None:
        self.kept_at = kept_at
        self.told: list[dict[str, Any]] = []
        self._incoming: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._last_id = 0
        self._process = subprocess.Popen(
            [node(), str(HERE / "driver.mjs"), str(kept_at)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._incoming.put(json.loads(line))
        self._incoming.put(None)

    def send(self, **command: Any) -> None:
        """A command to the driver."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def wait_for(
        self, kind: str, fits: Callable[[Any], bool] = lambda _: True, since: int = 0
    ) -> Any:
        """The first thing told of this kind that fits, here from `since` on or still to come."""
        deadline = time.monotonic() + TIMEOUT
        seen = since
        while True:
            for line in self.told[seen:]:
                if kind in line and fits(line[kind]):
                    return line[kind]
            seen = len(self.told)
            try:
                line = self._incoming.get(timeout=max(0.001, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {kind} in time; told: {self.told[-5:]}") from None
            assert line is not None, f"the driver ended; it told: {self.told[-5:]}"
            self.told.append(line)

    def connect(self, url: str, **options: Any) -> Any:
        """Start the client and wait for hello-ok."""
        mark = len(self.told)
        self.start(url, **options)
        return self.wait_for("hello", since=mark)

    def start(self, url: str, **options: Any) -> None:
        """Start the client."""
        self.send(do="connect", options={"url": url, "scopes": SCOPES, **options})

    def request(self, method: str, params: Any = None) -> Any:
        """Ask and wait.

        Raises:
            RequestFailed: the answer is an error.
        """
        return self._reply(self._ask(method, params, twice=False))

    def request_twice(self, method: str, params: Any) -> tuple[Any, Any]:
        """Ask a method that answers twice; both answers."""
        request_id = self._ask(method, params, twice=True)
        first = self.wait_for("accepted", lambda told: told["id"] == request_id)
        return first["payload"], self._reply(request_id)

    def _ask(self, method: str, params: Any, *, twice: bool) -> int:
        self._last_id += 1
        self.send(do="request", id=self._last_id, method=method, params=params or {}, twice=twice)
        return self._last_id

    def _reply(self, request_id: int) -> Any:
        reply = self.wait_for("reply", lambda told: told["id"] == request_id)
        if "error" in reply:
            raise RequestFailed(reply["error"])
        return reply["payload"]

    def event(self, name: str, fits: Callable[[Any], bool] = lambda _: True) -> Any:
        """The payload of the first event of this name that fits."""
        found = self.wait_for(
            "event", lambda event: event["event"] == name and fits(event.get("payload"))
        )
        return found["payload"]

    def events(self, name: str | None = None) -> Iterator[dict[str, Any]]:
        """The events so far."""
        for line in self.told:
            if "event" in line and name in (None, line["event"]["event"]):
                yield line["event"]

    def tokens(self) -> dict[str, Any]:
        """The device tokens it has saved, by role."""
        saved: dict[str, Any] = json.loads(self.kept_at.read_text())["tokens"]
        return saved

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


# Properties the original sends (see the recordings of 2026.9.6) that are not in the contract of
# 2026.9.1, whose definitions allow no others; by the path of their object.
BEYOND_CONTRACT = {
    ("HelloOk", "$.auth"): {"method"},
    ("AgentEvent", "$"): {"sessionKey", "sessionId", "agentId"},
}


@functools.cache
def _contract() -> dict[str, Any]:
    path = MODULES / "@openclaw" / "gateway-protocol" / "protocol.schema.json"
    contract: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return contract


def complaints(definition: str, value: Any) -> list[str]:
    """What the contract's definition of that name has against a value."""
    schema = {"$ref": f"#/definitions/{definition}", "definitions": _contract()["definitions"]}
    return [
        f"{definition}: {error.json_path}: {error.message[:300]}"
        for error in Draft7Validator(schema).iter_errors(value)
        if not _is_beyond(definition, error)
    ]


def _is_beyond(definition: str, error: ValidationError) -> bool:
    """Whether all that is wrong is properties the original sends too."""
    if error.validator != "additionalProperties":
        return False
    unknown = set(error.instance) - set(error.schema["properties"])
    return unknown <= BEYOND_CONTRACT.get((definition, error.json_path), set())


def contract_methods() -> dict[str, Any]:
    """The contract's methods: `{name: {scope, …}}`."""
    methods: dict[str, Any] = _contract()["methods"]
    return methods
