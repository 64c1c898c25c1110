"""`make interop-cli`: the stock node host of OpenClaw connects to us and runs commands.

It is 650 MB, too large for every run of the tests, so this is a program of its own. It installs
`openclaw` beside this file (`cli/node_modules`, not in version control, pinned by
`cli/package-lock.json`), starts a Gateway and the stock `openclaw node run`, unmodified, approves
what that declares, invokes `system.which` and `system.run`, has it connect anew, and prints a
transcript. Exit code 0: everything was as expected, and the host's log has no complaint.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from tests.support.gateway import GatewayProcess
from tests.support.wire import Client, device

HERE = Path(__file__).parent / "cli"
MODULES = HERE / "node_modules"
STAMP = MODULES / ".installed"
NPM_SECONDS = 1800
HOST_SECONDS = 180.0
SETTLE_SECONDS = 5.0
TOKEN = "interop-token"
COMPLAINT = re.compile(r"error|fail|warn|unknown method|unauthorized|invalid|denied|reject", re.I)


def install() -> None:
    """Install what the lock file names, unless it is there."""
    lock = (HERE / "package-lock.json").read_text()
    with (HERE / "package.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if STAMP.exists() and STAMP.read_text() == lock:
            return
        npm = shutil.which("npm")
        if npm is None:
            raise SystemExit("npm is needed (Debian: apt-get install npm)")
        print("installing the stock OpenClaw CLI, about 650 MB …", flush=True)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress"]
        subprocess.run(command, cwd=HERE, check=True, timeout=NPM_SECONDS)
        STAMP.write_text(lock)


def node_directory() -> Path:
    """Where the Node is that was installed with it."""
    machine = "arm64" if platform.machine() in ("aarch64", "arm64") else "x64"
    return MODULES / f"node-linux-{machine}" / "bin"


class StockHost:
    """`openclaw node run`, with a home of its own."""

    def __init__(self, home: Path, port: int) -> None:
        home.mkdir(exist_ok=True)
        self.log_path = home.with_suffix(".log")
        environ = {
            "PATH": f"{node_directory()}{os.pathsep}{os.environ.get('PATH', '')}",
            "HOME": str(home),
            "OPENCLAW_STATE_DIR": str(home / ".openclaw"),
            "OPENCLAW_GATEWAY_TOKEN": TOKEN,
        }
        command = [
            str(MODULES / ".bin" / "openclaw"), "node", "run", "--host", "127.0.0.1",
            "--port", str(port), "--display-name", "Stock host",
        ]  # fmt: skip
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environ, cwd=home, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def log(self) -> str:
        """All it has written."""
        return self.log_path.read_text(errors="replace")


class Failed(Exception):
    """Something was not as expected."""


class Check:
    """One run of the whole story.

    Args:
        directory: for state and logs.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.gateway = GatewayProcess(directory / "gateway", token=TOKEN)
        self.host: StockHost | None = None

    def run(self) -> None:
        """Everything, in order."""
        self.gateway.start()
        self.operator = Client(
            self.gateway.port, token=TOKEN, identity=device(self.directory), protocol=4
        )
        self.host = StockHost(self.directory / "host", self.gateway.port)
        asked = self._event("node.pair.requested")
        self.node_id = asked["nodeId"]
        self._say("asks to lend", f"{len(asked['commands'])} commands, as {asked['clientId']} "
                  f"{asked['version']}")  # fmt: skip
        self._expect(self._row()["approvalState"] == "pending-approval", "waits for approval")
        approved = self.operator.request("node.pair.approve", {"requestId": asked["requestId"]})
        self._say("approved, may be asked", ", ".join(self._row()["commands"]))
        self._expect(approved["node"]["nodeId"] == self.node_id, "the approval names the node")
        self._commands()
        self._expect("hostStats" in self._row(), "published its host statistics")
        time.sleep(SETTLE_SECONDS)  # what it publishes after an approval, it publishes by now
        self._reconnects()
        self._no_complaint()

    def _commands(self) -> None:
        which = self._invoke("system.which", {"bins": ["sh", "no-such-program"]})
        self._expect(list(which["bins"]) == ["sh"], "system.which finds what is there")
        ran = self._invoke("system.run", {"command": ["echo", "hello from a stock host"]})
        self._expect(ran["stdout"] == "hello from a stock host\n", "system.run gives the output")
        failed = self._invoke("system.run", {"command": ["sh", "-c", "exit 3"]})
        self._expect(failed["exitCode"] == 3, "system.run gives the exit code")
        policy = self.operator.request("exec.approvals.node.get", {"nodeId": self.node_id}, 60)
        self._expect("hash" in policy, "exec.approvals.node.get gives its policy")

    def _reconnects(self) -> None:
        assert self.host is not None
        self.host.stop()
        self._until(lambda: not self._row()["connected"], "is shown as gone")
        self.host = StockHost(self.directory / "host", self.gateway.port)
        self._until(lambda: self._row()["connected"], "connects again with its saved token")
        which = self._invoke("system.which", {"bins": ["sh"]})
        self._expect(list(which["bins"]) == ["sh"], "needs no second approval")
        time.sleep(SETTLE_SECONDS)

    def _no_complaint(self) -> None:
        assert self.host is not None
        log = self.host.log
        print("\nlog of the stock host:\n" + log)
        # The list of its commands has words of its own.
        lines = [line for line in log.splitlines() if "advertised commands" not in line]
        found = [line for line in lines if COMPLAINT.search(line)]
        self._expect(not found, f"no complaint in its log {found or ''}".rstrip())

    def _invoke(self, command: str, params: dict[str, Any]) -> dict[str, Any]:
        asked = {
            "nodeId": self.node_id, "command": command, "params": params,
            "timeoutMs": 60_000, "idempotencyKey": str(uuid.uuid4()),
        }  # fmt: skip
        started = time.perf_counter()
        answer = self.operator.request("node.invoke", asked, 90)
        took = (time.perf_counter() - started) * 1000
        self._say(f"{command} {json.dumps(params)}", f"{answer['payloadJSON']} in {took:.0f} ms")
        payload: dict[str, Any] = answer["payload"]
        return payload

    def _row(self) -> dict[str, Any]:
        rows = self.operator.request("node.list")["nodes"]
        return next(row for row in rows if row["nodeId"] == self.node_id)

    def _event(self, name: str) -> dict[str, Any]:
        payload: dict[str, Any] = self.operator.event(name, timeout=HOST_SECONDS)["payload"]
        return payload

    def _until(self, holds: Any, what: str) -> None:
        deadline = time.monotonic() + HOST_SECONDS
        while not holds():
            if time.monotonic() > deadline:
                raise Failed(f"not in time: {what}")
            time.sleep(0.2)
        self._say("ok", what)

    def _expect(self, holds: bool, what: str) -> None:
        if not holds:
            raise Failed(what)
        self._say("ok", what)

    def _say(self, what: str, more: str) -> None:
        print(f"{what}: {more}", flush=True)

    def close(self) -> None:
        """End what was started."""
        if self.host is not None:
            self.host.stop()
        self.gateway.kill()


def main() -> int:
    """Exit code 1 when something was not as expected."""
    install()
    with tempfile.TemporaryDirectory() as directory:
        check = Check(Path(directory))
        try:
            check.run()
        except (Failed, AssertionError, TimeoutError) as problem:
            print(f"FAILED: {problem}", file=sys.stderr)
            print(check.gateway.log, check.host.log if check.host else "", file=sys.stderr)
            return 1
        finally:
            check.close()
    print("the stock node host works with this Gateway")
    return 0


if __name__ == "__main__":
    sys.exit(main())
