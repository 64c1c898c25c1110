"""A real Gateway process for tests: `twistd -n clawgw` on a free port, started and ended by us.

Everything here blocks, so that it can be used from a test's thread as well as from a plain test.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.ports import hold_port

START_SECONDS = 60.0
STOP_SECONDS = 60.0
SCRIPTED_AGENT = str(Path(__file__).with_name("scripted_agent.py"))
ROOT = Path(__file__).resolve().parents[2]


def scripted_agents(**env: str) -> dict[str, Any]:
    """A configuration whose agent is the scripted one."""
    entry = {"id": "main", "command": [sys.executable, "-u", SCRIPTED_AGENT], "env": env}
    return {"agents": {"list": [entry]}}


class GatewayProcess:
    """One Gateway.

    Args:
        state_dir: its state; made if missing.
        token: the shared secret, None for none.
        config: written to config.json in the state directory.
        args: more options for `twistd clawgw`.
        env: more environment.
    """

    def __init__(
        self,
        state_dir: str | Path,
        *,
        token: str | None = "test-token",
        config: dict[str, Any] | None = None,
        args: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
    ) -> None:
        self.state_dir = Path(state_dir).absolute()
        self.token = token
        self.port = hold_port(self)
        self.args = args
        self.env = env or {}
        self.scheme = (
            "s" if config and config.get("gateway", {}).get("tls", {}).get("enabled") else ""
        )
        self.state_dir.mkdir(parents=True, exist_ok=True)
        settings = scripted_agents() if config is None else config
        (self.state_dir / "config.json").write_text(json.dumps(settings))
        self.process: subprocess.Popen[bytes] | None = None
        self.log_path = self.state_dir / "gateway.log"

    @property
    def http_url(self) -> str:
        """Where the page is."""
        return f"http{self.scheme}://127.0.0.1:{self.port}/"

    @property
    def ws_url(self) -> str:
        """Where the API is."""
        return f"ws{self.scheme}://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Everything it has logged."""
        return self.log_path.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    def command(self) -> list[str]:
        """How it is started."""
        return [
            sys.executable, "-c", "from twisted.scripts.twistd import run; run()",
            "-n", "--pidfile=", "clawgw", *self._options(),
        ]  # fmt: skip

    def _options(self) -> list[str]:
        return ["--state-dir", str(self.state_dir), "--port", str(self.port), *self.args]

    def spawn(self) -> None:
        """Start it without waiting."""
        env = {**os.environ, **self.env}
        for name in ("CLAWGW_GATEWAY_TOKEN", "OPENCLAW_GATEWAY_TOKEN", "CLAWDBOT_GATEWAY_TOKEN"):
            env.pop(name, None)
        if self.token is not None:
            env["CLAWGW_GATEWAY_TOKEN"] = self.token
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, env=env, cwd=self.state_dir
            )

    def start(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            AssertionError: it ended, or was not ready in time; with its log.
        """
        self.spawn()
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process is not None and self.process.poll() is not None:
                break
            if self.is_ready():
                return
            time.sleep(0.02)
        raise AssertionError(f"the Gateway did not start:\n{self.log}")

    def is_ready(self) -> bool:
        """Whether `/readyz` says so; over TLS, whether the port is open."""
        import socket

        try:
            if self.scheme:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return True
            with urllib.request.urlopen(f"{self.http_url}readyz", timeout=20) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self) -> int:
        """End it politely; returns its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """End it as a power cut would."""
        return self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        process = self.process
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(number)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the Gateway did not stop:\n{self.log}") from None
